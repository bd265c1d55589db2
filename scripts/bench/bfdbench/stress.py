# SPDX-License-Identifier: BSD-2-Clause
"""Sessions at 10 ms x 3 while something else goes on: bench-bfd.py --stress.

A case is a context manager that lasts as long as a trial; what it yields is called afterwards and tells what was done. The
worker is on the device's core, the generator's loop, in real time with short naps, on the other one. Noise is pinned
nowhere, so that it takes what either leaves, unless the case says otherwise.
"""
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile

from netlab.daemons import build_dir
from netlab.proc import run, wait_for

from .devices import DUT, FIRST, Memif, XdpAdaptive, XdpBusy, dpctl

ROUTES4, ROUTES6 = 1_000_000, 200_000
CHURN = 1000  # sessions added, and as many removed, a second
HOG = "while True: pass"
STORM = ("import signal,time\nsignal.signal(signal.SIGALRM, lambda *a: None)\n"
         "signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)\nwhile True: time.sleep(1)")


class Beside:
    """The device's peregrined, if it has one, where the noise is: it must not push its own worker from its core."""

    def daemon(self, n, ms, *more):
        self.pinned = lambda *argv: list(argv)
        super().daemon(n, ms, *more)
        with contextlib.suppress(OSError), open(f"/proc/{self.running['peregrined'].pid}/autogroup", "w", encoding="ascii") as f:
            f.write("0")
        return self


class Busy(Beside, XdpBusy):
    pass


class Adaptive(Beside, XdpAdaptive):
    pass


class Churning:
    """Provisioned by dpctl, because peregrine-dp has one master at a time: after its sessions are Up it adds, and removes, CHURN
    others a second, which find nobody at the other end."""

    def start(self, n, ms):
        us, options = round(ms * 1000), f"from={DUT} mult=3"
        sock = self.dataplane()
        self.spawn("dpctl", ["stdbuf", "-oL", dpctl(), sock, "hello hold=1", f"range {FIRST}%dut0 {n} tx={us} rx={us} {options}",
                             "sleep 3", f"churn {FIRST + 3000}%dut0 {CHURN} {self.churn_s} {options}", "sleep 1000"], self.file(".churn"))
        return self


class BusyChurning(Churning, XdpBusy):
    pass


class AdaptiveChurning(Churning, XdpAdaptive):
    pass


def processes(argvs):
    """Each a session of its own; a session and all that it started ends at the end."""
    return [subprocess.Popen(a, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL) for a in argvs]


def end(started):
    for p in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(p.pid, signal.SIGKILL)
        p.wait()


@contextlib.contextmanager
def nothing(bench, device, seconds):
    yield lambda data: ""


def hogs(pinned):
    @contextlib.contextmanager
    def case(bench, device, seconds):
        hogs_, storms = 4, 4
        where = ["taskset", "-c", str(bench.o.gen_core)] if pinned else []
        started = processes([[*where, sys.executable, "-c", t] for t in [HOG] * hogs_ + [STORM] * storms])
        try:
            yield lambda data: f"{hogs_} busy loops, {storms} timers at 10 kHz"
        finally:
            end(started)
    return case


def bgp_config():
    text = ""
    for i in range(3):  # addresses that the generator's kernel answers for
        channel = "{ import all; export none; }" if i < 2 else "{ import none; export all; }"
        text += (f"protocol bgp feed{i} {{ local {DUT} as 63999; neighbor 10.9.127.{1 + i} as {64001 + i}; passive on;"
                 f" error wait time 1, 2; ipv4 {channel}; ipv6 {channel}; }}\n")
    return text


@contextlib.contextmanager
def tables(bench, device, seconds):
    """Two feeds load the table and a third peer receives it, again and again; the table is read out meanwhile."""
    lab, ctl = bench.lab, device.file(".ctl")
    with open(device.file(".conf"), "a", encoding="utf-8") as f:
        f.write(bgp_config())
    client = [os.path.join(build_dir(), "peregrinec"), "-s", ctl]
    run(*client, "configure")
    count = tempfile.NamedTemporaryFile("r", suffix=".stress")  # pylint: disable=consider-using-with
    generator = (f"{build_dir()}/peregrine-bgpgen --mode feeds --dut {DUT} --base 10.9.127.1 --base-as 64001 --rs-as 63999"
                 f" --v4 {ROUTES4} --v6 {ROUTES6}")
    started = [lab.popen("gen", ["sh", "-c", f"while {generator}; do echo loaded >> {count.name}; done"], log=device.file(".bgpgen"))]
    started += processes([["sh", "-c", f"while :; do n=$({' '.join(client)} show route primary | wc -l); echo $n >> {count.name}; done"]])

    def told(data):
        lines = count.read().split()
        dumps = [int(n) for n in lines if n.isdigit()]
        here = sum(int(n) for n in re.findall(r"(\d+) of \d+ routes for \d+ networks in table", run(*client, "show", "route", "count")))
        return (f"{ROUTES4 + ROUTES6:,} routes from each of two feeds, wholly loaded {lines.count('loaded')} times, {here:,} there at the end;"
                f" {sum(n > 1000 for n in dumps)} dumps of up to {max(dumps, default=0):,} lines")
    try:
        yield told
    finally:
        end(started)
        lab.processes.remove(started[0])
        count.close()


@contextlib.contextmanager
def garbage(bench, device, seconds):
    yield lambda data: f"{data['packets']['flood'] / (data['course']['goodbye_s'] - data['course']['hold_s']) / 1e6:.2f} M packets a second"


@contextlib.contextmanager
def churn(bench, device, seconds):
    """The device does it itself."""
    def told(data):
        def last():
            with open(device.file(".churn"), encoding="utf-8") as f:
                return re.findall(r"churn: (\d.*)", f.read())
        return wait_for(last, "the churn ends", limit=60, failed=device.dead)[-1]
    yield told


FLOOD = ["--flood", "garbage:1000000"]
# Name, what goes on, options of the generator, devices. Loading takes a while where only half a core is left for it.
LONGER = {tables: 30}
CASES = [
    ("nothing", nothing, [], [Busy, Adaptive]),
    ("hogs and timer storms on the other core", hogs(True), [], [Busy, Adaptive]),
    ("hogs and timer storms on both cores", hogs(False), [], [Busy, Adaptive]),
    ("tables loaded and dumped", tables, [], [Adaptive]),
    ("garbage", garbage, FLOOD, [Busy, Memif]),
    ("churn", churn, [], [BusyChurning, AdaptiveChurning]),
]


def table(rows):
    yield "| what goes on | device | sessions | flaps, noticed here / there | of them while a core was away | worst gap | past the deadline: p50 / p99 / worst | what was done |"
    yield "|---|---|---|---|---|---|---|---|"
    for r in rows:
        head = f"| {r['case']} | {r['device']} | {r['sessions']} at {r['interval_ms']:g} ms"
        if "error" in r:
            yield f"{head} | {r['error']} | | | | |"
            continue
        yield (f"{head}, {r['hold_s']:g} s | {r['flaps_said']} / {r['flaps_silent']} | {r['flaps_machine'] + r['flaps_generator']} |"
               f" {r['worst_gap_ms']:.1f} ms | {r['overshoot_median_ms']:.3f} / {r['overshoot_p99_ms']:.3f} / {r['overshoot_max_ms']:.3f} ms"
               f" of {r['detections']} | {r['done']} |")
