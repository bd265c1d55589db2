# SPDX-License-Identifier: BSD-2-Clause
"""The devices under test. Each holds N single-hop sessions from one address to N addresses that peregrine-bfdgen has.

    dut: dut0 10.9.0.1 ======= veth, no bridge ======= gen0 :gen     10.9.64.1, 10.9.64.2, ...
                       or memif, no namespaces

The neighbours' MAC addresses are given (permanent neighbour entries), so that no kernel table overflows and no ARP is
measured. Everything of a device runs on one core, the generator on another one.
"""
import contextlib
import ipaddress
import os
import re
import shutil
import subprocess

from netlab.daemons import ROOT, Daemon, build_dir, have
from netlab.proc import CommandError, end_process, run, wait_for

DUT, FIRST = "10.9.0.1", ipaddress.ip_address("10.9.64.1")
DUT_MAC, GEN_MAC = "02:00:00:00:09:01", "02:00:00:00:09:02"
FRR_DIR = "/usr/lib/frr"
AF_XDP_SESSIONS = 4096  # addresses of the generator that the XDP filter has room for


def peers(n):
    return [str(FIRST + i) for i in range(n)]


def wire(lab):
    """The veth pair, one queue each way, and the generator's addresses: a whole prefix that is local there."""
    lab.add("dut", "gen")
    run("ip", "-n", lab.ns("dut"), "link", "add", "dut0", "address", DUT_MAC, "numtxqueues", "1", "numrxqueues", "1",
        "type", "veth", "peer", "name", "gen0", "address", GEN_MAC, "netns", lab.ns("gen"), "numtxqueues", "1",
        "numrxqueues", "1")
    for role, ifname, address in (("dut", "dut0", DUT + "/16"), ("gen", "gen0", "10.9.255.254/16")):
        lab.run(role, "ethtool", "-K", ifname, "tx", "off", "gro", "off")
        lab.ip(role, "addr", "add", address, "dev", ifname)
        lab.ip(role, "link", "set", ifname, "up")
    lab.ip("gen", "route", "add", "local", "10.9.64.0/18", "dev", "lo")
    lines = "".join(f"neigh replace {a} lladdr {GEN_MAC} nud permanent dev dut0\n" for a in peers(AF_XDP_SESSIONS))
    run("ip", "-n", lab.ns("dut"), "-batch", "-", input=lines, timeout=120)


def dpctl():
    """tests/tools/dpctl.c: it provisions peregrine-dp where no kernel interface is that peregrined could name."""
    source, out = os.path.join(ROOT, "tests/tools/dpctl.c"), os.path.join(build_dir(), "tools", "dpctl")
    libraries = [os.path.join(build_dir(), f"lib{n}.a") for n in ("bfd", "shared")]
    if not os.path.exists(out) or any(os.path.getmtime(out) < os.path.getmtime(f) for f in (source, *libraries)):
        os.makedirs(os.path.dirname(out), exist_ok=True)
        temporary = f"{out}.{os.getpid()}"
        run(os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-D_GNU_SOURCE", f"-I{ROOT}", "-o", temporary, source,
            *libraries, "-lxxhash", "-lcrypto", "-pthread", timeout=120)
        os.replace(temporary, out)
    return out


class Device(Daemon):
    """title: for the table. floor_ms: the shortest interval it can be configured with. most: sessions that it, or the way to
    it, has room for."""
    title = "?"
    floor_ms = 1.0
    most = AF_XDP_SESSIONS - 96
    port = "af_xdp:gen0"
    note = ""
    throttles = False  # a real-time process that may use up what the kernel lets those have

    def __init__(self, lab, core):
        super().__init__(lab, "dut", "".join(c if c.isalnum() else "-" for c in self.title))
        self.core = core

    @classmethod
    def missing(cls):
        """Why it can't be measured here, or None."""
        return None

    def measured(self):
        """name -> pid: whose CPU time counts."""
        return {n: p.pid for n, p in self.running.items()}

    def worker(self):
        """What its poll loop says of itself, if it does: seconds busy, packets."""
        return None

    def pinned(self, *argv):
        return ["taskset", "-c", str(self.core), *argv]

    def spawn(self, program, argv, log, **kw):
        """As near to a core of its own as a shared machine gets: each has a session of its own, and the kernel shares the
        machine out by session."""
        p = super().spawn(program, argv, log, **kw)
        with contextlib.suppress(OSError), open(f"/proc/{p.pid}/autogroup", "w", encoding="ascii") as f:
            f.write("-20")
        return p

    def start(self, n, ms):
        raise NotImplementedError

    def stop(self):
        for p in reversed(list(self.running.values())):
            self.lab.end(p)
        self.running = {}


def bird_config(n, ms, log):
    us = round(ms * 1000)
    neighbors = "".join(f'\tneighbor {a} dev "dut0" local {DUT};\n' for a in peers(n))
    return f"""log "{log}" {{ warning, error, fatal, bug }};
router id {DUT};
protocol device {{ }}
protocol bfd {{
	interface "dut0" {{ min rx interval {us} us; min tx interval {us} us; idle tx interval 1 s; multiplier 3; }};
{neighbors}}}
"""


class Bird(Device):
    title = "BIRD"

    @classmethod
    def missing(cls):
        return None if have("bird") else "bird is not installed"

    def start(self, n, ms):
        conf, ctl = self.write(".conf", bird_config(n, ms, self.file(".log"))), self.file(".ctl")
        self.spawn("bird", self.pinned(have("bird"), "-f", "-c", conf, "-s", ctl), self.file(".out"))
        wait_for(lambda: os.path.exists(ctl), "BIRD runs", failed=self.dead)
        return self


class Embedded(Device):
    title = "peregrined"
    note = "embedded engine, kernel sockets"

    def daemon(self, n, ms, *more):
        conf, ctl = self.write(".conf", bird_config(n, ms, self.file(".log"))), self.file(".ctl")
        self.spawn("peregrined", self.pinned(os.path.join(build_dir(), "peregrined"), "-f", "-c", conf, "-s", ctl, *more),
                   self.file(".out"))
        wait_for(lambda: os.path.exists(ctl), "peregrined runs", failed=self.dead)
        return self

    def start(self, n, ms):
        return self.daemon(n, ms)


class DataPlane(Embedded):
    """peregrine-dp with peregrined as its client."""
    note = ""
    spec, poll = "af_xdp:dut0", "busy"

    def measured(self):
        return {"peregrine-dp": self.running["peregrine-dp"].pid}

    def worker(self):
        said = run(dpctl(), self.file(".sock"), "hello observer", "workers")
        m = re.search(r"worker 0 rx (\d+) tx (\d+) .* busy ([0-9.]+) s", said)
        return {"rx": int(m[1]), "tx": int(m[2]), "busy": float(m[3])} if m else None

    def dataplane(self):
        sock, out = self.file(".sock"), self.file("-dp.out")
        mark = os.path.getsize(out) if os.path.exists(out) else 0

        def ready():
            with open(out, encoding="utf-8", errors="replace") as f:
                f.seek(mark)
                return " ready: " in f.read()
        self.spawn("peregrine-dp", [os.path.join(build_dir(), "peregrine-dp"), "--socket", sock, "--port", self.spec, "--core",
                                    str(self.core), "--poll", self.poll], out)
        wait_for(ready, "peregrine-dp is ready", failed=self.dead)
        return sock

    def start(self, n, ms):
        return self.daemon(n, ms, "--dp", self.dataplane())

    def last_words(self):
        with open(self.file("-dp.out"), encoding="utf-8", errors="replace") as f:
            return " | ".join(f.read().strip().splitlines()[-3:])


class XdpBusy(DataPlane):
    title = "peregrine-dp af_xdp busy"


class XdpAdaptive(DataPlane):
    title, poll = "peregrine-dp af_xdp adaptive", "adaptive"


class Memif(DataPlane):
    title = "peregrine-dp memif busy"
    most = 16000

    def start(self, n, ms):
        path = self.file("-memif.sock")
        self.spec = f"memif:{path},role=server,bsize=256,ip={DUT}/16,name=m0,mac={DUT_MAC},peer_mac={GEN_MAC}"
        self.port = f"memif:{path},role=client,bsize=256,ip=10.9.255.254/16,mac={GEN_MAC}"
        sock = self.dataplane()
        us = round(ms * 1000)
        self.spawn("dpctl", [dpctl(), sock, "hello hold=1",
                             f"range {FIRST}%m0 {n} from={DUT} tx={us} rx={us} mult=3", "sleep 100000"], self.file(".ctl.out"))
        return self


class MemifAdaptive(Memif):
    title, poll = "peregrine-dp memif adaptive", "adaptive"


class Frr(Device):
    """zebra and bfdd; the CPU time is bfdd's."""
    title, floor_ms = "FRR bfdd", 10.0
    realtime = ()

    @classmethod
    def missing(cls):
        return None if os.path.exists(f"{FRR_DIR}/bfdd") else "FRR's bfdd is not installed"

    def measured(self):
        return {"bfdd": self.running["bfdd"].pid}

    def start(self, n, ms):
        where = self.file("-run")
        shutil.rmtree(where, ignore_errors=True)
        os.makedirs(where)
        shutil.chown(where, "frr", "frr")
        peer = "".join(f" peer {a} local-address {DUT} interface dut0\n  profile bench\n exit\n" for a in peers(n))
        conf = self.write(".conf", f"bfd\n profile bench\n  receive-interval {round(ms)}\n  transmit-interval {round(ms)}\n"
                                   f"  detect-multiplier 3\n exit\n{peer}exit\n")
        common = ["-z", f"{where}/z.sock", "--vty_socket", where]
        self.spawn("zebra", [f"{FRR_DIR}/zebra", "-f", "/dev/null", "-i", f"{where}/zebra.pid", *common], self.file(".out"))
        wait_for(lambda: os.path.exists(f"{where}/z.sock"), "zebra listens", failed=self.dead)
        self.spawn("bfdd", self.pinned(*self.realtime, f"{FRR_DIR}/bfdd", "-f", conf, "-i", f"{where}/bfdd.pid", "--bfdctl",
                                       f"{where}/bfdd.sock", *common), self.file(".out"))
        wait_for(lambda: run("vtysh", "--vty_socket", where, "-c", "show bfd peers brief").count("dut0") +
                 run("vtysh", "--vty_socket", where, "-c", "show bfd peers brief").count(DUT) >= n,
                 f"bfdd has {n} peers", limit=120, failed=self.dead)
        return self


class FrrRealtime(Frr):
    title, realtime, throttles = "FRR bfdd chrt -f 90", ("chrt", "-f", "90"), True


ALL = [XdpBusy, XdpAdaptive, Memif, MemifAdaptive, Embedded, Bird, Frr, FrrRealtime]


def versions():
    found = {}
    for name, argv in (("peregrine", [os.path.join(build_dir(), "peregrine-dp"), "--version"]),
                       ("bird", [have("bird") or "bird", "--version"]), ("frr", [f"{FRR_DIR}/bfdd", "--version"])):
        try:
            p = subprocess.run(argv, text=True, capture_output=True, timeout=10, check=False)
            found[name] = (p.stdout or p.stderr).strip().splitlines()[0]
        except (OSError, IndexError, CommandError):
            pass
    return found


__all__ = ["ALL", "Device", "DUT", "DUT_MAC", "FIRST", "wire", "versions", "end_process"]
