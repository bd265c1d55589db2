# SPDX-License-Identifier: BSD-2-Clause
"""make bench-fib: the kernel's table, measured at the kernel, against the daemons of this host and a bare netlink loop.

    scripts/bench.sh fib                            the short form: 100,000 IPv4 routes, 3 cuts
    scripts/bench.sh fib --sizes 10000,100000,1000000 --cuts 50 --daemons peregrine
    scripts/bench.sh fib --family 6 --sizes 200000
    scripts/bench.sh fib --full                     every size, both families, every daemon; an hour or more

        host ---h--- dut ---a--- pa   feed A, preferred, BFD 10 ms x 3
                      |----b--- pb   feed B, the backup, BFD 10 ms x 3
                      +----c--- pc   makes load: announces and withdraws 100,000 other prefixes all the time

    in        the first byte of feed A's table -> the kernel answers for all of a sample of prefixes (first and last included)
    replaced  the same prefixes with another next hop, until the kernel sends all of the sample there
    removed   withdrawn, until the kernel knows none of them
    cut       packets of link a are dropped in the wire, carrier stays. Counted from the last BFD packet that was delivered,
              until the kernel's table says b for the first, the median and the last prefix of the sample. A stream of numbered
              packets crosses: those that never arrive are counted, and when the stream goes on behind b ("forwarded": what really
              leaves; ours may do so before its table says it, docs/failover.md).

--cores 0-15 puts the generator, the forwarding and the receiver on a CPU of their own each (with 4 CPUs or more; the kernel is told
by RPS), the daemon on half of the rest and everything else on the other half.
--bfd says another BFD interval for everybody: beside a stream of packets on two cores 10 ms x 3 is not stable with every daemon.
The last lines are the tables of docs/failover.md, and for our slowest cut the stages that it names.

Daemons take turns, each run in fresh namespaces; everything is read from the kernel (tests/tools/fibwatch.c) and from the wire
(tests/tools/netwatch.c). The bare loop writes the same messages without any daemon. Results: build/bench/fib.json.
"""
import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "tests", "lib")]
from fibbench import devices  # noqa: E402
from fibbench.devices import A_AS, B_AS, C_AS, DEVICES  # noqa: E402
from fibbench.feeder import Feeder, announcements, withdrawals  # noqa: E402
from netlab import Lab, Witness, now_ns  # noqa: E402
from netlab.daemons import Bird, build_dir  # noqa: E402
from netlab.proc import run, wait_for  # noqa: E402
from netlab.witness import PROBE_PORT, ahead_of_others, tool  # noqa: E402

SAMPLES = 64
CUT_SAMPLES = 17  # a round over them takes about 0.1 ms
STAGES = ("detected", "published", "ring_read", "plan_found", "redirected", "netlink_sent", "netlink_acked", "bgp_told", "updates_out")
PHASES = ("in", "replaced", "removed")
WITNESSED_RATE = 20000  # packets a second whose gaps the witness sees one by one
EARLY = "early"  # the routes had left feed A before its last packet: not for the cut
LOAD_FROM, LOAD_N = 2000000, 100000


def cpu_list(text_):
    """0-3,8 -> [0, 1, 2, 3, 8]"""
    found = []
    for part in text_.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


class Cores:
    """Who runs where; without a list, or with less than four, everything everywhere."""

    def __init__(self, cpus):
        self.apart = len(cpus) >= 4
        if cpus and not self.apart:
            os.sched_setaffinity(0, cpus)
        if not self.apart:
            return
        self.generator, self.forwarder, self.receiver = cpus[:3]
        rest = cpus[3:]
        half = (len(rest) + 1) // 2
        self.daemon, self.others = rest[:half], rest[half:] or rest
        os.sched_setaffinity(0, self.others)

    def __str__(self):
        return (f"generator {self.generator}, forwarding {self.forwarder}, receiver {self.receiver}, daemon {self.daemon}, "
                f"others {self.others}" if self.apart else "not apart")

    def start(self, device):
        if not self.apart:
            return device.start()
        os.sched_setaffinity(0, self.daemon)
        try:
            device.start()
        finally:
            os.sched_setaffinity(0, self.others)

    def probe(self):
        return ["taskset", "-c", str(self.generator)] if self.apart else []

    def spread(self, lab):
        """Packets that come in are worked off on a CPU other than the sender's."""
        if not self.apart:
            return
        for role, port, cpu in (("dut", "h0", self.forwarder), ("pa", "e0", self.receiver), ("pb", "e0", self.receiver)):
            mask = f"{1 << cpu:x}"
            mask = ",".join(mask[max(0, k - 8):k] for k in reversed(range(len(mask), 0, -8)))
            lab.run(role, "sh", "-c", f"echo {mask} >/sys/class/net/{port}/queues/rx-0/rps_cpus")


class Net:
    def __init__(self, family):
        self.family = family
        if family == 4:
            self.DUT_A, self.DUT_B, self.DUT_C = "10.1.0.1", "10.2.0.1", "10.3.0.1"
            self.A, self.B, self.C = ("10.1.0.2", "10.1.0.3"), "10.2.0.2", "10.3.0.2"
            self.len, self.host = 24, ("10.9.0.1", "10.9.0.2")
        else:
            self.DUT_A, self.DUT_B, self.DUT_C = "2001:db8:1::1", "2001:db8:2::1", "2001:db8:3::1"
            self.A, self.B, self.C = ("2001:db8:1::2", "2001:db8:1::3"), "2001:db8:2::2", "2001:db8:3::2"
            self.len, self.host = 64, ("2001:db8:9::1", "2001:db8:9::2")

    def build(self, lab):
        n = self.len
        lab.add("dut", "pa", "pb", "pc", "host", "sink")
        lab.link("a", ("dut", "a0", [f"{self.DUT_A}/{n}"]), ("pa", "e0", [f"{x}/{n}" for x in self.A]))
        lab.link("b", ("dut", "b0", [f"{self.DUT_B}/{n}"]), ("pb", "e0", [f"{self.B}/{n}"]))
        lab.link("c", ("dut", "c0", [f"{self.DUT_C}/{n}"]), ("pc", "e0", [f"{self.C}/{n}"]))
        lab.link("h", ("dut", "h0", [f"{self.host[0]}/{n}"]), ("host", "e0", [f"{self.host[1]}/{n}"]))
        lab.ip("host", f"-{self.family}", "route", "add", "default", "via", self.host[0])
        # The far end: what a neighbour hands on is seen in the wire behind it.
        for k, role in enumerate(("pa", "pb")):
            near, far = [x.replace("9", str(11 + k)) for x in self.host]
            lab.link(f"s{role[1]}", (role, "s0", [f"{near}/{n}"]), ("sink", f"{role[1]}0", [f"{far}/{n}"]))
            lab.ip(role, f"-{self.family}", "route", "add", "default", "via", far)
        for role in ("pc", "sink"):
            lab.ip(role, f"-{self.family}", "route", "add", "blackhole", "default")

    def target(self, n):
        i = n // 3
        return f"{20 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.1" if self.family == 4 else f"2400:{i >> 16:x}:{i & 65535:x}::1"


class Watch:
    """fibwatch in the namespace; wait() -> its answer, or None when not all came right."""

    def __init__(self, lab, net, n, *wanted, pause_us=1000, seconds=120, samples=SAMPLES):
        self.p = lab.popen("dut", [tool("fibwatch"), f"-{net.family}", "-n", str(n), "-s", str(samples), *wanted,
                                   "-i", str(pause_us), "-t", str(seconds)], stdout=subprocess.PIPE, text=True)
        if pause_us < 1000:
            ahead_of_others(self.p.pid)
        self.p.stdout.readline()

    def wait(self):
        out = self.p.stdout.readline()
        answer = json.loads(out) if out else {}
        return answer if self.p.wait() == 0 else None


class Stream:
    """More packets than a witness can look at, counted at both ends: by the generator, and by the neighbours' kernels. One of
    them runs across each cut."""

    def __init__(self, lab, net, n, rate, cores):
        self.lab, self.argv = lab, [*cores.probe(), tool("probe"), f"-{net.family}", net.target(n), "-p", str(PROBE_PORT), "-r", str(rate)]
        for role in ("pa", "pb"):
            lab.run(role, "nft", "add table inet stream; add counter inet stream arrived; add chain inet stream pre "
                    "{ type filter hook prerouting priority -300; }; "
                    f"add rule inet stream pre udp dport {PROBE_PORT} counter name arrived drop")

    def arrived(self):
        return sum(int(re.search(r"packets (\d+)", self.lab.run(role, "nft", "list counter inet stream arrived"))[1])
                   for role in ("pa", "pb"))

    def start(self):
        self.before = self.arrived()
        self.p = self.lab.popen("host", self.argv, stdout=subprocess.PIPE, text=True)

    def stop(self):
        """Packets lost, and how many a second were sent."""
        self.p.terminate()
        told = json.loads(self.p.communicate()[0])
        time.sleep(0.05)
        return told["sent"] - (self.arrived() - self.before), told["sent"] / told["seconds"]


def bfd_peer(lab, role, net, own, remote):
    """Stock BIRD, for nothing but its BFD: its packets come in time on a busy machine, too, so that only the cut loses the session."""
    d = Bird(lab, role)
    d.start(f"""router id 10.0.0.9;
protocol device {{ }}
protocol bfd {{ interface "*" {{ min rx interval {devices.BFD_MS} ms; min tx interval {devices.BFD_MS} ms; multiplier 3; }};
	neighbor {remote} dev "e0" local {own}; }}
""")
    for pid in d.pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            ahead_of_others(int(thread))
    return d


def cpu_of(daemon):
    ticks = 0
    for pid in daemon.pids:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Trial:
    def __init__(self, lab, net, device, n, rate, cores, say):
        self.lab, self.net, self.device, self.n, self.rate, self.cores, self.say = lab, net, device, n, rate, cores, say
        self.limit = 30 + n // 10000
        self.result = {"device": device.title, "family": net.family, "routes": n}

    def feeders(self):
        net, lab = self.net, self.lab
        self.a = Feeder(lab, "pa", net.A[0], net.DUT_A, A_AS)
        self.b = Feeder(lab, "pb", net.B, net.DUT_B, B_AS)
        self.c = Feeder(lab, "pc", net.C, net.DUT_C, C_AS)
        for f in (self.a, self.b, self.c):
            lab.on_close(f.stop)
            wait_for(f.established.is_set, f"{self.device.title}: session with {f.role}", failed=self.device.daemon.dead)

    def phase(self, name, data, *wanted):
        w = Watch(self.lab, self.net, self.n, *wanted)
        cpu, start = cpu_of(self.device.daemon), now_ns()
        self.a.send(data)
        answer = w.wait()
        self.result[name] = (answer["last"] - start) / 1e9 if answer else None
        self.result[name + "_cpu"] = cpu_of(self.device.daemon) - cpu
        self.say(f"  {self.device.title}: {name} {text(self.result[name])} s")

    def install(self):
        n, net, f = self.n, self.net, self.net.family
        self.phase("in", announcements(f, 0, n, A_AS, net.A[0]), "-g", net.A[0])
        self.phase("replaced", announcements(f, 0, n, A_AS, net.A[1]), "-g", net.A[1])
        self.phase("removed", withdrawals(f, 0, n), "-x")

    def settle(self, seconds=1.0):
        """Until the daemon has had nothing to do for so long."""
        last, quiet = cpu_of(self.device.daemon), 0.0
        for _ in range(120):
            time.sleep(0.25)
            now = cpu_of(self.device.daemon)
            quiet = quiet + 0.25 if now - last < 0.06 else 0.0
            last = now
            if quiet >= seconds:
                return

    def churn(self, stop):
        f, net = self.net.family, self.net
        up, down = announcements(f, LOAD_FROM, LOAD_N, C_AS, net.C), withdrawals(f, LOAD_FROM, LOAD_N)
        while not stop.is_set():
            for data in (up, down):
                done = self.c.send(data)
                while not done.wait(0.1) and not stop.is_set():
                    pass

    def prepare_cuts(self):
        n, net, f = self.n, self.net, self.net.family
        self.bfd = [bfd_peer(self.lab, "pa", net, net.A[0], net.DUT_A), bfd_peer(self.lab, "pb", net, net.B, net.DUT_B)]
        self.a.table = announcements(f, 0, n, A_AS, net.A[0])
        self.b.table = announcements(f, 0, n, B_AS, net.B, path_len=4)
        self.b.send(self.b.table)
        self.a.send(self.a.table)
        if not Watch(self.lab, net, n, "-d", "a0", seconds=240).wait():
            raise RuntimeError("feed A's routes did not arrive")
        wait_for(self.device.bfd_up, "BFD Up", failed=self.device.daemon.dead)
        self.settle()
        self.stream = Stream(self.lab, net, n, self.rate, self.cores) if self.rate > WITNESSED_RATE else None
        self.witness = (Witness(self.lab, probes=False, links=("a",)) if self.stream
                        else Witness(self.lab, far=("sa.pa", "sb.pb")))
        if not self.stream:
            self.lab.popen("host", [*self.cores.probe(), tool("probe"), f"-{f}", net.target(n), "-p", str(PROBE_PORT),
                                    "-r", str(self.rate)], log=self.lab.path("probe.out"))
        time.sleep(1)

    def arrived(self):
        """Packets that have come in from the stream, and when that was: a busy machine sends less than it is asked for."""
        link = json.loads(self.lab.ip("dut", "-s", "-j", "link", "show", "h0"))[0]
        return now_ns(), link.get("stats64", link.get("stats"))["rx"]["packets"]

    def cut(self):
        lab, net = self.lab, self.net
        w = Watch(lab, net, self.n, "-d", "b0", pause_us=20, seconds=self.limit, samples=CUT_SAMPLES)
        if self.stream:
            self.stream.start()
        before = self.arrived()
        time.sleep(0.2)
        begin, after = now_ns(), self.arrived()
        lab.cut("a")
        answer = w.wait()
        time.sleep(0.2)
        counted = self.stream.stop() if self.stream else None
        events = self.witness.events(begin - 10**9)
        alive = [e["t"] for e in events if e["kind"] == "bfd" and e["at"] == "a.dut" and e["dir"] == "out" and e["state"] == "Up"]
        gaps = [e for e in events if e["kind"] == "gap" and e["t"] >= begin]
        lost = sum(e["lost"] for e in gaps)
        s = self.device.words(begin)
        lab.mend()
        if not answer or not alive:
            return None
        last = max(alive)  # dropped ones are not seen on their way to dut
        if answer["first"] < last:
            return EARLY
        found = {k: (answer[k] - last) / 1e6 for k in ("first", "median", "last")}
        found["lost"] = lost
        if gaps:
            found["forwarded"] = (max(gaps, key=lambda e: e["lost"])["t"] - last) / 1e6
        if counted:
            found["lost"], found["stream"] = counted
        else:
            found["stream"] = (after[1] - before[1]) * 1e9 / (after[0] - before[0])
        if s:
            found["detected"] = (s["detected"] - last) / 1e6
            found["acked"] = (s["netlink_acked"] - last) / 1e6
            found["swap"] = (answer["last"] - s["detected"]) / 1e6
            found["stages"] = {k: (s[k] - last) / 1e6 for k in STAGES if k in s}
        return found

    def back(self):
        """On feed A again, and quiet."""
        if not Watch(self.lab, self.net, self.n, "-d", "a0", seconds=self.limit).wait():
            raise RuntimeError("the routes did not return to feed A")
        wait_for(self.device.bfd_up, "BFD Up", failed=self.device.daemon.dead)
        self.settle()

    def cuts(self, count, loaded):
        stop, t = threading.Event(), None
        found = []
        for _ in range(2 * count):
            if len(found) == count:
                break
            if loaded:
                stop.clear()
                t = threading.Thread(target=self.churn, args=(stop,), daemon=True)
                t.start()
                time.sleep(1.0)
            c = self.cut()
            if loaded:
                stop.set()
                t.join()
            if c == EARLY:
                self.say(f"  {self.device.title}: its BFD session was lost before the cut (a busy machine): not counted")
                self.back()
                continue
            found.append(c)
            self.result["cuts_loaded" if loaded else "cuts_idle"] = found
            self.say(f"  {self.device.title}: cut {'under load' if loaded else 'idle'}: " + (", ".join(
                f"{k} {text(v, 2)}" for k, v in c.items() if k != "stages") if c else "no switch in time"))
            self.back()


def bare(n, family):
    out = run(os.path.join(build_dir(), "bench", "fib_bench"), "bare", str(n), str(family), timeout=300)
    return json.loads(out)


def spread(values):
    values = [v for v in values if v is not None]
    return (statistics.median(values), max(values)) if values else (None, None)


def text(v, digits=2):
    return f"{v:.{digits}f}" if v is not None else "-"


def by_device(results):
    rows = {}
    for r in results:
        rows.setdefault(r["device"], []).append(r)
    return rows


def print_install(say, rows, floor):
    say(f"\n  {'s, median of the runs (CPU s)':30} {'in':>18} {'replaced':>18} {'removed':>18}")
    for device, runs in rows.items():
        cells = []
        for k in PHASES:
            m, cpu = spread([r.get(k) for r in runs])[0], spread([r.get(k + "_cpu") for r in runs])[0]
            cells.append(f"{text(m):>9} ({text(cpu)})")
        say(f"  {device:30} " + " ".join(f"{c:>18}" for c in cells))
    say(f"  {'bare netlink loop':30} " + " ".join(f"{text(floor[k]):>9} ({text(floor[k + '_cpu'])})".rjust(18)
                                                  for k in PHASES))


def both(values, digits):
    """Median and worst."""
    return " / ".join(text(x, digits) for x in spread(values))


def print_cuts(say, rows, rate):
    for key, title in (("cuts_idle", "idle"), ("cuts_loaded", "while another feed announces and withdraws")):
        if not any(r.get(key) for runs in rows.values() for r in runs):
            continue
        say(f"\n  link cut, {title}: ms since the last packet, median / worst     (stream: {rate}/s asked for; lost, of what came)")
        say(f"  {'':12} {'cuts':>5} {'first prefix':>20} {'median prefix':>20} {'last prefix':>20} {'lost':>26}")
        for device, runs in rows.items():
            cuts = [c for r in runs for c in r.get(key, [])]
            good = [c for c in cuts if c]
            if not cuts:
                continue
            cells = [both([c[k] for c in good], 1) for k in ("first", "median", "last")]
            lost = both([c["lost"] for c in good], 0)
            if any("forwarded" in c for c in good):
                cells.append("forwarded " + both([c.get("forwarded") for c in good], 1))
            lost += f" of {text(spread([c['stream'] for c in good])[0], 0)}/s"
            say(f"  {device:12} {len(good):>5} " + " ".join(f"{c:>20}" for c in cells) + f" {lost:>26}")
            if len(good) < len(cuts):
                say(f"  {device:12} {len(cuts) - len(good)} cuts were not followed by a switch in time")
            if good and any("swap" in c for c in good):
                own = [c for c in good if "swap" in c]
                say(f"  {'':12} detection -> last prefix: " + both([c["swap"] for c in own], 3)
                    + " ms;  last packet -> acknowledged: " + both([c["acked"] for c in own], 2) + " ms")


def print_worst(say, rows):
    """Which stage it was that was late: of our slowest cut. And the middle: where the time goes between the last packet and the
    last prefix."""
    for key in ("cuts_idle", "cuts_loaded"):
        cuts = [c for r in rows.get("peregrine", []) for c in r.get(key, []) if c and "stages" in c]
        if cuts:
            say(f"  median stages of {key}, ms since the last packet: " + ", ".join(
                f"{k} {statistics.median([c['stages'][k] for c in cuts if k in c['stages']]):.2f}" for k in STAGES
                if any(k in c["stages"] for c in cuts)) + f", last prefix {statistics.median([c['last'] for c in cuts]):.2f}")
            c = max(cuts, key=lambda c: c["last"])
            say(f"  slowest of {key}, ms since the last packet: " + ", ".join(f"{k} {v:.2f}" for k, v in c["stages"].items())
                + f", last prefix {c['last']:.2f}")


def print_tables(say, rows, floor, family, n):
    """As they stand in docs/failover.md."""
    if floor:
        say(f"\n| IPv{family}, {n} routes | in | replaced | removed |\n|---|---|---|---|")
        for device, runs in rows.items():
            say(f"| {device} | " + " | ".join(text(spread([r.get(k) for r in runs])[0]) + " s" for k in PHASES) + " |")
        say("| bare loop | " + " | ".join(f"{floor[k]:.2f} s" for k in PHASES) + " |")
    if not any(r.get(key) for runs in rows.values() for r in runs for key in ("cuts_idle", "cuts_loaded")):
        return
    say("\n| | cuts | detected | forwarded | first prefix | median prefix | last prefix | detection to last prefix | packets lost | "
        "of a stream of |\n|---|---|---|---|---|---|---|---|---|---|")
    for key, title in (("cuts_idle", "idle"), ("cuts_loaded", "under load")):
        for device, runs in rows.items():
            cuts = [c for r in runs for c in r.get(key, []) if c]
            if cuts:
                say(f"| {device}, {n} IPv{family}, {title} | {len(cuts)} | " + " | ".join(
                    both([c.get(k) for c in cuts], d) + unit for k, d, unit in (
                        ("detected", 2, " ms"), ("forwarded", 1, " ms"), ("first", 1, " ms"), ("median", 1, " ms"), ("last", 1, " ms"),
                        ("swap", 3, " ms"), ("lost", 0, "")))
                    + f" | {text(spread([c['stream'] for c in cuts])[0], 0)}/s |")


def where_we_lose(say, rows, floor):
    ours = rows.get("peregrine")
    if not ours:
        return
    lost = []
    for k in PHASES:
        mine = spread([r.get(k) for r in ours])[0]
        if mine is None:
            continue
        for device, runs in rows.items():
            theirs = spread([r.get(k) for r in runs])[0]
            if device != "peregrine" and theirs is not None and mine > theirs:
                lost.append(f"{k}: {mine:.2f} s, {device} {theirs:.2f} s")
        if floor and mine > floor[k] * 1.15:
            lost.append(f"{k}: {mine / floor[k]:.2f} times the bare loop (reach: 1.15)")
    for key in ("cuts_idle", "cuts_loaded"):
        cuts = [c for r in ours for c in r.get(key, []) if c]
        if cuts:
            m, worst = spread([c["last"] for c in cuts])
            reach = 3 * devices.BFD_MS + 1
            if m > reach:
                lost.append(f"{key}: median {m:.1f} ms (reach: {reach})")
            if worst > reach:
                lost.append(f"{key}: worst {worst:.1f} ms is over {reach}")
    say("\n  where we lose: " + ("; ".join(lost) if lost else "nowhere in this run"))


def main():
    a = argparse.ArgumentParser(prog="bench-fib", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--sizes", default="100000")
    a.add_argument("--family", type=int, choices=(4, 6), default=4)
    a.add_argument("--daemons", default="peregrine,bird,frr")
    a.add_argument("--runs", type=int, default=1)
    a.add_argument("--cuts", type=int, default=3)
    a.add_argument("--load", choices=("idle", "loaded", "both"), default="both")
    a.add_argument("--rate", type=int, default=100000 if (os.cpu_count() or 1) >= 8 else 5000,
                   help="packets a second of the stream that crosses the cut (default 100000, with less than 8 CPUs 5000)")
    a.add_argument("--bfd", type=int, default=10, metavar="MS", help="BFD interval of every daemon, x 3 (default 10)")
    a.add_argument("--cores", type=cpu_list, default=[], metavar="LIST", help="the CPUs to use, like 0-15, each part on its own")
    a.add_argument("--embedded", action="store_true", help="ours without peregrine-dp: BFD on kernel sockets")
    a.add_argument("--no-install", action="store_true")
    a.add_argument("--full", action="store_true")
    o = a.parse_args()
    if os.geteuid() != 0:
        print("bench-fib: needs root: it makes network namespaces", file=sys.stderr)
        return 2
    if shutil.which("make") and shutil.which("cc"):
        run("make", "-s", "-C", os.path.join(HERE, "..", ".."), f"B={build_dir()}", os.path.join(build_dir(), "bench", "fib_bench"),
            timeout=300)
    os.makedirs(os.path.join(build_dir(), "bench"), exist_ok=True)
    log = open(os.path.join(build_dir(), "bench", "fib.txt"), "a", encoding="utf-8")

    def save():
        with open(os.path.join(build_dir(), "bench", "fib.json"), "w", encoding="utf-8") as f:
            json.dump(everything, f, indent=1)

    def say(line=""):
        print(line, flush=True)
        log.write(line + "\n")
        log.flush()

    devices.BFD_MS = o.bfd
    cores = Cores(o.cores)
    sizes = [int(x) for x in o.sizes.split(",")]
    families = [o.family]
    if o.full:
        sizes, families, o.runs = [10000, 100000, 1000000], [4, 6], 3
    everything = []
    chosen = [DEVICES[x] for x in o.daemons.split(",")]
    say(f"{time.strftime('%Y-%m-%d %H:%M')}  {os.cpu_count()} CPUs, kernel {platform.release()}, load {os.getloadavg()[0]:.1f}, "
        f"BFD {o.bfd} ms x 3; cores: {cores}; "
        + "; ".join(f"{d.title}: {d.version()}" for d in chosen))
    for family in families:
        net = Net(family)
        for n in sizes:
            say(f"\n== IPv{family}, {n} routes")
            results = []
            floor = None if o.no_install else bare(n, family)
            for _ in range(o.runs):
                for device in chosen:
                    with Lab() as lab:
                        net.build(lab)
                        d = device(lab, net, not o.embedded) if device.title == "peregrine" else device(lab, net)
                        cores.spread(lab)
                        t = Trial(lab, net, d, n, o.rate, cores, say)
                        try:
                            cores.start(d)
                            t.feeders()
                            if not o.no_install:
                                t.install()
                            if o.cuts:
                                t.prepare_cuts()
                                for loaded in {"idle": (False,), "loaded": (True,), "both": (False, True)}[o.load]:
                                    t.cuts(o.cuts, loaded)
                        except (AssertionError, RuntimeError, OSError) as e:
                            say(f"  {d.title}: {e}; {d.daemon.dead() or 'it runs'}")
                        results.append(t.result)
                        everything.append(t.result)
                        save()
            rows = by_device(results)
            if floor:
                print_install(say, rows, floor)
            print_cuts(say, rows, o.rate)
            print_worst(say, rows)
            print_tables(say, rows, floor, family, n)
            where_we_lose(say, rows, floor)
            everything.append({"device": "bare", "family": family, "routes": n, **(floor or {})})
    save()
    log.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
