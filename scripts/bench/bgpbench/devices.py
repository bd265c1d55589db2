# SPDX-License-Identifier: BSD-2-Clause
"""The daemons under test: each gets the configuration of a scene in its own language, with the same meaning, and one core (or
one for each shard)."""
import contextlib
import os
import shutil
import subprocess

from netlab.birdctl import BirdCtl
from netlab.daemons import FRR_DIR, Daemon, build_dir, have
from netlab.proc import run, wait_for

from . import bird_language
from .scene import ADDED, DUT, DUT_AS, generator


class Device(Daemon):
    title, key = "?", "?"

    def __init__(self, lab, cores):
        """cores: as taskset takes them."""
        super().__init__(lab, "dut", self.key)
        self.cores = cores

    @classmethod
    def missing(cls):
        """Why it can't be measured here, or None."""
        return None

    @classmethod
    def version(cls):
        return ""

    def cannot(self, scene):
        """Why it can't run this scene, or None."""
        return None

    def measured(self):
        """pids whose CPU time and memory count."""
        return self.pids

    def spawn(self, program, argv, log, **kw):
        """As near to a core of its own as a shared machine gets: each has a session of its own, and the kernel shares the
        machine out by session."""
        p = super().spawn(program, ["taskset", "-c", str(self.cores), *argv], log, **kw)
        with contextlib.suppress(OSError), open(f"/proc/{p.pid}/autogroup", "w", encoding="ascii") as f:
            f.write("-20")
        return p

    def start(self, scene):
        raise NotImplementedError

    def reload_command(self, scene):
        """A shell command that puts the scene's second policy in force."""
        raise NotImplementedError

    def show_commands(self, scene):
        """Shell commands that print every route, as text, and as JSON where there is such."""
        raise NotImplementedError


def first_line(*argv):
    p = subprocess.run(argv, text=True, capture_output=True, timeout=10, check=False)
    lines = (p.stdout + p.stderr).strip().splitlines()
    return lines[0] if lines else ""


class Bird(Device):
    title, key = "BIRD", "bird"

    @classmethod
    def missing(cls):
        return None if have("bird") else "bird is not installed"

    @classmethod
    def version(cls):
        return first_line(have("bird"), "--version")

    def program(self):
        return have("bird")

    def config(self, scene, reloaded=False):
        return bird_language.config(scene, self.file(".log"), reloaded)

    def reload_command(self, scene):
        new = self.write(".new", self.config(scene, reloaded=True))
        return f"cp {new} {self.file('.conf')} && {have('birdc')} -s {self.sock} configure"

    def show_commands(self, scene):
        return [f"{have('birdc')} -s {self.sock} show route"]

    def start(self, scene):
        conf, self.sock = self.write(".conf", self.config(scene)), self.file(".ctl")
        self.ctl = BirdCtl(self.sock)
        self.spawn(self.key, [self.program(), "-f", "-c", conf, "-s", self.sock, "-P", self.file(".pid")], self.file(".out"))
        wait_for(lambda: self.ctl.cmd("show status"), f"{self.title} answers", limit=120, failed=self.dead)
        return self


class Peregrine(Bird):
    title, key = "peregrined", "peregrine"

    @classmethod
    def missing(cls):
        return None

    @classmethod
    def version(cls):
        return first_line(os.path.join(build_dir(), "peregrined"), "--version")

    def program(self):
        return os.path.join(build_dir(), "peregrined")

    def config(self, scene, reloaded=False):
        return bird_language.config(scene, self.file(".log"), reloaded, ours=True)

    def client(self):
        return f"{os.path.join(build_dir(), 'peregrinec')} -s {self.sock}"

    def reload_command(self, scene):
        new = self.write(".new", self.config(scene, reloaded=True))
        return f"cp {new} {self.file('.conf')} && {self.client()} configure"

    def show_commands(self, scene):
        return [f"{self.client()} show route", f"{self.client()} -j show route"]


class Relay(Device):
    """No daemon: UPDATEs are framed and handed on unparsed. What this takes, the sockets take."""
    title, key = "bare relay", "relay"

    def cannot(self, scene):
        return "a relay has no policy" if scene.control or scene.refused or scene.reload or scene.beside else None

    def start(self, scene):
        self.spawn("relay", [generator(), *scene.gen_args(), "--relay"], self.file(".out"))
        wait_for(lambda: "relaying" in self.last_words(), "the relay listens", failed=self.dead)
        return self


# ---- others ----

class Frr(Device):
    """bgpd with zebra beside it for next hops (nothing goes to the kernel); the CPU time and memory are bgpd's."""
    title, key = "FRR", "frr"

    @classmethod
    def missing(cls):
        return None if os.path.exists(f"{FRR_DIR}/bgpd") else "FRR's bgpd is not installed"

    @classmethod
    def version(cls):
        return first_line(f"{FRR_DIR}/bgpd", "--version")

    def measured(self):
        return [self.running["bgpd"].pid]

    def cannot(self, scene):
        return "no such configuration is generated for it" if scene.control or scene.refused else None

    def reload_command(self, scene):
        return (f"vtysh --vty_socket {self.file('-run')} -c 'configure terminal' -c 'route-map out permit 10' "
                f"-c 'set community {DUT_AS}:{ADDED} additive'")

    def show_commands(self, scene):
        v = f"vtysh --vty_socket {self.file('-run')}"
        return [x for f in scene.families for x in (f"{v} -c 'show bgp ipv{f} unicast'", f"{v} -c 'show bgp ipv{f} unicast json'")]

    def config(self, scene):
        text = f"""bgp route-map delay-timer 0
router bgp {DUT_AS}
 bgp router-id {DUT}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp enforce-first-as
 no bgp network import-check
"""
        for p in scene.all_peers:
            n = f" neighbor {p.address}"
            text += f"{n} remote-as {p.asn}\n{n} passive\n{n} advertisement-interval 0\n{n} timers 60 {scene.hold}\n"
        for f, routes in ((4, scene.v4), (6, scene.v6)):
            if not routes:
                continue
            text += f" address-family ipv{f} unicast\n"
            for p in scene.all_peers:
                n = f"  neighbor {p.address}"
                text += f"{n} activate\n"
                if scene.mode == "rs":
                    text += f"{n} route-server-client\n"
                if p.feeder:
                    text += f"{n} route-map none out\n"
                elif scene.mode == "feeds":
                    text += f"{n} route-map none in\n"
                if scene.reload and not p.feeder:
                    text += f"{n} route-map out out\n"
            text += " exit-address-family\n"
        return text + "exit\nroute-map none deny 10\nexit\nroute-map out permit 10\nexit\n"

    def start(self, scene):
        where = self.file("-run")
        shutil.rmtree(where, ignore_errors=True)
        os.makedirs(where)
        shutil.chown(where, "frr", "frr")
        conf, zserv = self.write(".conf", self.config(scene)), f"{where}/zserv.api"
        common = ["-z", zserv, "--vty_socket", where]
        self.spawn("zebra", [f"{FRR_DIR}/zebra", "-f", "/dev/null", "-i", f"{where}/zebra.pid", *common], self.file(".out"))
        wait_for(lambda: os.path.exists(zserv), "zebra listens", failed=self.dead)
        self.spawn("bgpd", [f"{FRR_DIR}/bgpd", "-n", "-f", conf, "-i", f"{where}/bgpd.pid", *common], self.file(".out"))
        wait_for(lambda: scene.all_peers[-1].address in run("vtysh", "--vty_socket", where, "-c", "show running-config"),
                 "bgpd has read its configuration", limit=120, failed=self.dead)
        return self


class OpenBgpd(Device):
    title, key = "OpenBGPD", "openbgpd"

    @classmethod
    def missing(cls):
        return None if os.path.exists("/usr/sbin/bgpd") else "openbgpd is not installed"

    @classmethod
    def version(cls):
        return first_line("/usr/sbin/bgpd", "-V")

    def measured(self):
        """It forks a session engine and a route decision engine."""
        parent = self.running["bgpd"].pid
        return [parent] + [int(x) for x in run("ps", "-o", "pid=", "--ppid", str(parent), check=False).split()]

    def cannot(self, scene):
        return "no such configuration is generated for it" if scene.control or scene.refused else None

    def reload_command(self, scene):
        new = self.write(".new", self.config(scene) + f"match to any set community {DUT_AS}:{ADDED}\n")
        return f"cp {new} {self.file('.conf')} && chmod 600 {self.file('.conf')} && /usr/sbin/bgpctl -s {self.file('.ctl')} reload"

    def show_commands(self, scene):
        c = f"/usr/sbin/bgpctl -s {self.file('.ctl')}"
        return [f"{c} show rib", f"{c} -j show rib"]

    def config(self, scene):
        text = f"""AS {DUT_AS}
router-id {DUT}
fib-update no
socket "{self.file('.ctl')}"
holdtime {scene.hold}
listen on {DUT}
{"transparent-as yes" if scene.mode == "rs" else ""}
"""
        for p in scene.all_peers:
            role = "feeder" if p.feeder else "client"
            families = "".join(f"\tannounce IPv{f} {'unicast' if n else 'none'}\n" for f, n in ((4, scene.v4), (6, scene.v6)))
            text += (f"neighbor {p.address} {{\n\tremote-as {p.asn}\n\tdescr {role}{p.number}\n\tlocal-address {DUT}\n\tpassive\n"
                     f"\tenforce neighbor-as no\n{families}"
                     + ("\tset nexthop no-modify\n" if scene.mode == "rs" else "")
                     + ("\texport none\n" if p.feeder else "") + "}\n")
        return text + "allow from any\nallow to any\n"

    def start(self, scene):
        os.makedirs("/run/openbgpd", mode=0o755, exist_ok=True)  # its chroot, which its service unit would make
        conf = self.write(".conf", self.config(scene))
        os.chmod(conf, 0o600)
        self.spawn("bgpd", ["/usr/sbin/bgpd", "-d", "-f", conf], self.file(".out"))
        wait_for(lambda: run("/usr/sbin/bgpctl", "-s", self.file(".ctl"), "show", "summary"), "bgpd answers", limit=120,
                 failed=self.dead)
        return self


class GoBgp(Device):
    title, key = "GoBGP", "gobgp"

    @classmethod
    def missing(cls):
        return None if have("gobgpd") else "gobgpd is not installed"

    @classmethod
    def version(cls):
        return first_line(have("gobgpd"), "--version")

    def cannot(self, scene):
        return "no such configuration is generated for it" if scene.control or scene.refused or scene.reload or scene.beside else None

    def config(self, scene):
        text = f'[global.config]\n  as = {DUT_AS}\n  router-id = "{DUT}"\n'
        for p in scene.all_peers:
            text += f"""[[neighbors]]
  [neighbors.config]
    neighbor-address = "{p.address}"
    peer-as = {p.asn}
  [neighbors.transport.config]
    passive-mode = true
    local-address = "{DUT}"
  [neighbors.timers.config]
    hold-time = {scene.hold}
"""
            if scene.mode == "rs":
                text += "  [neighbors.route-server.config]\n    route-server-client = true\n"
            for f, n in ((4, scene.v4), (6, scene.v6)):
                if n:
                    text += f'  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = "ipv{f}-unicast"\n'
        return text

    def start(self, scene):
        conf = self.write(".toml", self.config(scene))
        self.spawn("gobgpd", [have("gobgpd"), "-f", conf, "-l", "error", "--api-hosts", "127.0.0.1:50051"], self.file(".out"),
                   env=dict(os.environ, GOMAXPROCS="1"))
        wait_for(lambda: str(scene.peers and scene.all_peers[-1].address) in
                 self.lab.run("dut", have("gobgp"), "neighbor"), "gobgpd answers", limit=120, failed=self.dead)
        return self


ALL = [Relay, Peregrine, Bird, Frr, OpenBgpd, GoBgp]
