# SPDX-License-Identifier: BSD-2-Clause
"""The daemons of the lab: stock BIRD, FRR, GoBGP and ExaBGP, and ours. Each is started in a namespace with sockets and
files of its own under the lab's directory, and ended by its pid.
"""
import json
import os
import shutil
import signal
import socket
import subprocess


from .birdctl import BirdCtl
from .proc import CommandError, run, wait_for

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
FRR_DIR = "/usr/lib/frr"


def build_dir():
    return os.path.abspath(os.environ.get("PEREGRINE_BUILD", os.path.join(ROOT, "build")))


def have(program):
    """The path of a program, also of those in sbin that a user's PATH may lack; or None."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Daemon:
    """One or more processes that live and die together."""

    def __init__(self, lab, role, name):
        self.lab, self.role, self.name = lab, role, name
        self.running = {}  # program -> Popen

    def file(self, suffix):
        return self.lab.path(f"{self.role}-{self.name}{suffix}")

    def write(self, suffix, text):
        path = self.file(suffix)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def spawn(self, program, argv, log, **kw):
        self.running[program] = self.lab.popen(self.role, argv, log=log, **kw)
        return self.running[program]

    @property
    def pids(self):
        return [p.pid for p in self.running.values()]

    def dead(self):
        """None while all processes run, else which one ended and what it said last."""
        for program, p in self.running.items():
            if p.poll() is not None:
                return f"{program} ended with status {p.returncode}: {self.last_words()}"
        return None

    def last_words(self):
        try:
            with open(self.file(".out"), encoding="utf-8", errors="replace") as f:
                return " | ".join(f.read().strip().splitlines()[-3:])
        except OSError:
            return ""

    def signal(self, sig):
        for p in self.running.values():
            if p.poll() is None:
                os.kill(p.pid, sig)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        """SIGKILL to all of it; waits until they are gone."""
        self.signal(signal.SIGKILL)
        for p in self.running.values():
            p.wait(10)
            if p in self.lab.processes:
                self.lab.processes.remove(p)
        self.running = {}

    def stop(self):
        for p in self.running.values():
            self.lab.end(p)
        self.running = {}


class BirdLike(Daemon):
    """What BIRD and peregrined have in common: the configuration language and the control socket."""

    def __init__(self, lab, role, name):
        super().__init__(lab, role, name)
        self.sock = self.file(".ctl")
        self.ctl = BirdCtl(self.sock)
        self.log_path = self.file(".log")

    def argv(self):
        raise NotImplementedError

    def start(self, config=None, wait=True):
        if config is not None:
            self.write(".conf", config)
        self.spawn(self.name, self.argv(), self.file(".out"))
        if wait:
            wait_for(lambda: self.ctl.cmd("show status"), f"{self.role}: {self.name} answers on its control socket",
                     failed=self.dead)
        return self

    def configure(self, config=None, how=""):
        """A reload with a new file; returns the daemon's answer, raises BirdError if it was refused."""
        if config is not None:
            self.write(".conf", config)
        answer = self.ctl.cmd(f"configure {how}".strip())
        return answer

    def log_text(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def birdc(self, *words):
        """The same through Debian's own client."""
        return run(have("birdc"), "-s", self.sock, *words)


class Bird(BirdLike):
    """Stock BIRD 2. As a node it stands in for peregrined while nothing of ours is built (NODE=bird)."""

    has_dp = False
    has_failover = False

    def __init__(self, lab, role, name="bird", ports=()):
        super().__init__(lab, role, name)

    def argv(self):
        return [have("bird"), "-f", "-c", self.file(".conf"), "-s", self.sock, "-P", self.file(".pid")]


class Peregrine(BirdLike):
    """peregrined with peregrine-dp beside it; ports: specifications for --port, none for the embedded engine."""

    has_failover = True

    def __init__(self, lab, role, name="peregrined", ports=(), dp_args=()):
        super().__init__(lab, role, name)
        self.ports = list(ports)
        self.has_dp = bool(self.ports)
        self.dp_args = list(dp_args)
        self.dp_sock = self.file("-dp.sock")
        self.extra = []  # more arguments for peregrined
        lab.ours.append(self)

    def argv(self):
        argv = [os.path.join(build_dir(), "peregrined"), "-f", "-c", self.file(".conf"), "-s", self.sock,
                "-P", self.file(".pid")]
        return argv + (["--dp", self.dp_sock] if self.has_dp else []) + self.extra

    def start(self, config=None, wait=True):
        self.extra = []
        if self.has_dp and "peregrine-dp" not in self.running:
            self.start_dp()
        return super().start(config, wait)

    def ctl_answers(self):
        try:
            return bool(self.ctl.ask("show status"))
        except OSError:
            return False

    def dp_answers(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(self.dp_sock)
            return True

    def start_dp(self, wait=True):
        argv = [os.path.join(build_dir(), "peregrine-dp"), "--socket", self.dp_sock]
        for p in self.ports:
            argv += ["--port", p]
        self.spawn("peregrine-dp", [*argv, "--poll", "adaptive", *self.dp_args], self.file("-dp.out"))
        if wait:
            wait_for(self.dp_answers, f"{self.role}: peregrine-dp listens on its socket", failed=self.dead)

    def _one(self, program, sig):
        p = self.running.pop(program)
        os.kill(p.pid, sig)
        p.wait(10)
        if p in self.lab.processes:
            self.lab.processes.remove(p)

    def kill_control(self):
        self._one(self.name, signal.SIGKILL)

    def start_control(self):
        self.extra = ["-R"]  # what a service manager does after a crash
        try:
            return super().start(None)
        finally:
            self.extra = []

    def kill_dp(self):
        self._one("peregrine-dp", signal.SIGKILL)

    def last_words(self):
        words = []
        for suffix in (".out", "-dp.out"):
            try:
                with open(self.file(suffix), encoding="utf-8", errors="replace") as f:
                    words += f.read().strip().splitlines()[-3:]
            except OSError:
                pass
        return " | ".join(words)

    def client(self, *words):
        """peregrinec -j: the answer as JSON."""
        return json.loads(run(os.path.join(build_dir(), "peregrinec"), "-s", self.sock, "-j", *words))


def make_node(lab, role, ports=()):
    """A node of ours; NODE=bird in the environment puts stock BIRD in its place."""
    if os.environ.get("NODE", "peregrine") == "bird":
        return Bird(lab, role)
    return Peregrine(lab, role, ports=ports)


class Frr(Daemon):
    """Stock FRR: zebra, bgpd and (with bfdd=True) bfdd, each with sockets under the lab's directory."""

    def __init__(self, lab, role, name="frr", bfdd=True):
        super().__init__(lab, role, name)
        self.bfdd = bfdd
        self.dir = self.file("-run")

    def start(self, bgpd, bfd="", zebra="", wait=True):
        # FRR's daemons drop to the user frr, as they do on a host.
        shutil.rmtree(self.dir, ignore_errors=True)  # a killed zebra leaves its socket, and bgpd would wait for it
        os.makedirs(self.dir)
        shutil.chown(self.dir, "frr", "frr")
        head = f"log file {self.dir}/frr.log informational\n"
        zserv = os.path.join(self.dir, "zserv.api")
        common = ["-z", zserv, "--vty_socket", self.dir]
        for program, text in (("zebra", zebra), ("bgpd", bgpd), ("bfdd", bfd)):
            if program == "bfdd" and not self.bfdd:
                continue
            conf = self.write(f"-{program}.conf", head + text)
            argv = [f"{FRR_DIR}/{program}", "-f", conf, "-i", os.path.join(self.dir, program + ".pid"), *common]
            if program == "bfdd":
                argv += ["--bfdctl", os.path.join(self.dir, "bfdd.sock")]
            self.spawn(program, argv, self.file(".out"))
            if program == "zebra":
                wait_for(lambda: self._listens(zserv), f"{self.role}: zebra listens", failed=self.dead)
        if wait:
            wait_for(lambda: "IPv4" in self.vtysh("show bgp summary") or self.vtysh("show running-config"),
                     f"{self.role}: bgpd answers", failed=self.dead)
        return self

    @staticmethod
    def _listens(path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.connect(path)
            return True

    def vtysh(self, *commands, check=True, timeout=30):
        """Commands one after another; several are one configuration session."""
        argv = ["vtysh", "--vty_socket", self.dir]
        for c in commands:
            argv += ["-c", c]
        out = run(*argv, check=check, timeout=timeout)
        for line in out.splitlines():
            if line.startswith("% ") and check and "Unknown" in line:
                raise CommandError(f"vtysh: {line}")
        return out

    def json(self, command):
        try:
            return json.loads(self.vtysh(command, timeout=10) or "{}")
        except subprocess.TimeoutExpired:  # a machine that is busy: who waits for a fact asks again
            return {}

    def neighbors(self):
        """address -> state word, over both families."""
        found = {}
        for family in self.json("show bgp summary json").values():
            if isinstance(family, dict):
                for address, peer in family.get("peers", {}).items():
                    found[address] = peer.get("state")
        return found

    def established(self, *addresses):
        n = self.neighbors()
        return all(n.get(a) == "Established" for a in addresses)

    def bfd_up(self, *addresses):
        peers = {p["peer"]: p["status"] for p in self.json("show bfd peers json")}
        return all(peers.get(a) == "up" for a in addresses)

    def route(self, net):
        """The paths of a prefix: [{path, best, community, med, localpref, nexthop}]"""
        family = "ipv6" if ":" in net else "ipv4"
        found = []
        for p in self.json(f"show bgp {family} unicast {net} json").get("paths", []):
            found.append({"path": p.get("aspath", {}).get("string", ""), "best": p.get("bestpath", {}).get("overall", False),
                          "community": p.get("community", {}).get("string", ""), "med": p.get("metric", p.get("med")),
                          "localpref": p.get("locPrf", p.get("localpref")),
                          "nexthop": (p.get("nexthops") or [{}])[0].get("ip")})
        return found


def gobgp_config(asn, router_id, *neighbors):
    """GoBGP's TOML, with what gobgp_neighbor() makes."""
    return f'[global.config]\n  as = {asn}\n  router-id = "{router_id}"\n' + "".join(neighbors)


def gobgp_neighbor(address, asn, families, config="", tables="", family_tables=""):
    """families: as GoBGP names them. More TOML of the neighbor's own config, tables of it, and tables of each of its families."""
    return f"""[[neighbors]]
  [neighbors.config]
    neighbor-address = "{address}"
    peer-as = {asn}
{config}  [neighbors.timers.config]
    connect-retry = 2
    hold-time = 9
    keepalive-interval = 3
{tables}""" + "".join(f"""  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "{f}"
{family_tables}""" for f in families)


class GoBgp(Daemon):
    def __init__(self, lab, role, name="gobgpd", port=50051):
        super().__init__(lab, role, name)
        self.port = port

    def start(self, config, wait=True):
        """config: TOML."""
        self.write(".toml", config)
        self.spawn("gobgpd", [have("gobgpd"), "-f", self.file(".toml"), "--api-hosts", f"127.0.0.1:{self.port}"],
                   self.file(".out"))
        if wait:
            wait_for(lambda: self.gobgp("global"), f"{self.role}: gobgpd answers", failed=self.dead)
        return self

    def gobgp(self, *words):
        return self.lab.run(self.role, have("gobgp"), "-p", str(self.port), *words)

    def neighbor(self, address):
        return json.loads(self.gobgp("neighbor", address, "-j"))

    def routes(self, family="ipv4"):
        return json.loads(self.gobgp("global", "rib", "-a", family, "-j") or "{}")


class ExaBgp(Daemon):
    """ExaBGP; what its peers tell it is read from its JSON process output (received())."""

    def __init__(self, lab, role, name="exabgp"):
        super().__init__(lab, role, name)

    def start(self, neighbors):
        """neighbors: text of neighbor blocks; each gets "api { processes [ sink ]; receive { parsed; update; } }" by
        the caller."""
        sink = self.file(".json")
        open(sink, "w", encoding="ascii").close()
        # ExaBGP makes the pipe non-blocking on both ends: a plain cat would die of EAGAIN.
        script = self.write(".py", f"""#!/usr/bin/python3
import os, select
out = open({sink!r}, "ab", buffering=0)
while True:
    select.select([0], [], [])
    try:
        data = os.read(0, 65536)
    except BlockingIOError:
        continue
    if not data:
        break
    out.write(data)
""")
        os.chmod(script, 0o755)
        text = f"process sink {{\n\trun {script};\n\tencoder json;\n}}\n" + neighbors
        self.write(".conf", text)
        env = dict(os.environ, exabgp_daemon_user="root", exabgp_daemon_daemonize="false", exabgp_api_cli="false",
                   exabgp_log_level="INFO", exabgp_daemon_drop="false", exabgp_tcp_bind="", PYTHONWARNINGS="ignore")
        self.spawn("exabgp", [have("exabgp"), self.file(".conf")], self.file(".out"), env=env)
        return self

    def received(self):
        found = []
        with open(self.file(".json"), encoding="utf-8", errors="replace") as f:
            for line in f:
                try:
                    found.append(json.loads(line))
                except ValueError:
                    pass
        return found

    def sees(self, prefix):
        """The last thing said about the prefix was an announcement."""
        last = False
        for m in self.received():
            text = json.dumps(m.get("neighbor", {}).get("message", {}).get("update", {}).get("announce", {}))
            gone = json.dumps(m.get("neighbor", {}).get("message", {}).get("update", {}).get("withdraw", {}))
            if f'"{prefix}"' in text:
                last = True
            elif f'"{prefix}"' in gone:
                last = False
        return last


