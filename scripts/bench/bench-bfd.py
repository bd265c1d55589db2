# SPDX-License-Identifier: BSD-2-Clause
"""make bench-bfd: how many BFD sessions each daemon holds, how late it detects, what it costs.

    scripts/bench.sh bfd                 about five minutes: 250 sessions at each interval, and ours at scale
    scripts/bench.sh bfd --held          the most sessions that each holds for 60 s, from known figures: twenty minutes
    scripts/bench.sh bfd --stress        ours with hogs, timer storms, tables, garbage and churn beside: four minutes
    scripts/bench.sh bfd --full          the most sessions that each holds for 60 s, searched for; an hour and a half
    scripts/bench.sh bfd --full --brief  the same in a quarter of an hour: 50, 10 and 3.3 ms, coarser steps, held for 15 s
    scripts/bench.sh bfd --device BIRD --interval 10 --sessions 250,500,1000 --time 20

All are driven by the same generator (peregrine-bfdgen) over the same veth pair, and judged by what it sees at its port. The
device under test has one core, the generator another. Results: build/bench/bfd.json, bfd.csv, and as tables bfd.md.
A trial that the machine spoilt (a core was taken away for long enough to explain a flap) is repeated, and counted as
spoilt if it never came out clean.
"""
import argparse
import csv
import json
import os
import platform
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "tests", "lib")]
from bfdbench import devices, stress  # noqa: E402
from bfdbench.trial import measure  # noqa: E402
from netlab import Lab  # noqa: E402
from netlab.daemons import build_dir  # noqa: E402
from netlab.proc import CommandError, Timeout  # noqa: E402

INTERVALS = [300.0, 100.0, 50.0, 10.0, 3.3]
STEPS = [50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 1000, 1250, 1500, 1750, 2000, 2500, 3000, 3250, 3500, 4000, 5000,
         6000, 7000, 8000, 9000, 10000, 12000, 14000, 16000]
BRIEF_INTERVALS = [50.0, 10.0, 3.3]
BRIEF_STEPS = [100, 250, 500, 750, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 10000]
# --held begins with these: what was held before, or expected. By interval; the most there is room for where there is none.
HELD = {"peregrine-dp af_xdp busy": {10.0: 3000, 3.3: 1000},
        "peregrine-dp memif busy": {10.0: 10000, 3.3: 10000},
        "BIRD": {100.0: 3000, 50.0: 2000, 10.0: 600, 3.3: 250},
        "FRR bfdd": {300.0: 500, 100.0: 250, 50.0: 200, 10.0: 200},
        "FRR bfdd chrt -f 90": {300.0: 500, 100.0: 250, 50.0: 200, 10.0: 150}}
GIVE_UP = 100  # flaps; a core that is away for some milliseconds makes as many where there are thousands of sessions
# Ours alone: a few sessions, cheaply; many. Device, sessions, interval, seconds.
AT_SCALE = [(devices.XdpAdaptive, [8], 50.0, 10), (devices.XdpAdaptive, [1000, 3000], 10.0, 5),
            (devices.MemifAdaptive, [10000], 10.0, 5), (devices.Memif, [10000], 3.3, 10)]
ATTEMPTS = 3  # of a trial that the machine spoils


def say(text=""):
    print(text, flush=True)


def machine():
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()[0],
            "started": time.strftime("%Y-%m-%dT%H:%M:%S"), "versions": devices.versions()}


class Bench:
    def __init__(self, lab, o):
        self.lab, self.o, self.rows = lab, o, []

    def stress(self):
        """Sessions at 10 ms while something else goes on: what happens is told, nothing is repeated."""
        n, ms = (self.o.sessions or [250])[0], 10.0
        for name, case, more, classes in stress.CASES:
            if self.o.case and not any(c.lower() in name for c in self.o.case):
                continue
            say(name)
            seconds = max(self.o.time, stress.LONGER.get(case, 0))
            for cls in classes:
                device = cls(self.lab, self.o.dut_core)
                device.churn_s = seconds
                device.start(n, ms)
                try:
                    with case(self, device, seconds + 4) as told:
                        t = measure(self.lab, device, n, ms, seconds, self.o.gen_core, self.o.cut, 1, more)
                        done = told(t.data) if t.data else ""
                finally:
                    device.stop()
                row = {"what": "stress", "case": name} | t.row() | {"done": done}
                self.rows.append(row)
                say(f"  {device.title}: {line(row)}" + ("" if t.error else
                    f" | flaps noticed by it {row['flaps_said']}, by the generator {row['flaps_silent']} | {done}"))
                self.write()

    def trial(self, cls, n, ms, seconds, cut, rounds, device=None, more=()):
        """A device of its own unless one is given. Repeated while the machine spoils it."""
        for attempt in range(ATTEMPTS):
            own = device or cls(self.lab, self.o.dut_core).start(n, ms)
            try:
                t = measure(self.lab, own, n, ms, seconds, self.o.gen_core, cut, rounds, more)
            finally:
                if not device:
                    own.stop()
            if t.clean or t.error or (t.flaps and not t.excused):
                break
            say(f"    {n} sessions: spoilt by the machine ({t.excused} flaps while a core was away), again")
        return t

    def keep(self, t, what):
        row = {"what": what} | t.row()
        self.rows.append(row)
        say("  " + line(row))
        self.write()
        return t

    def write(self):
        where = os.path.join(build_dir(), "bench")
        os.makedirs(where, exist_ok=True)
        with open(os.path.join(where, "bfd.json"), "w", encoding="utf-8") as f:
            json.dump({"machine": self.machine, "rows": self.rows}, f, indent=1)
            f.write("\n")
        names = list(dict.fromkeys(k for r in self.rows for k in r))
        with open(os.path.join(where, "bfd.csv"), "w", encoding="utf-8", newline="") as f:
            w = csv.DictWriter(f, names)
            w.writeheader()
            w.writerows(self.rows)

    # ---- forms ----

    def same(self, classes, n, seconds):
        """The same number of sessions on all, at every interval: one start of each device."""
        for cls in classes:
            say(f"{cls.title}" + (f" ({cls.note})" if cls.note else ""))
            floor = max(min(self.o.interval), cls.floor_ms)
            device = cls(self.lab, self.o.dut_core).start(n, floor)
            try:
                for ms in self.o.interval:
                    if ms < cls.floor_ms:
                        say(f"  {ms:6g} ms: its shortest interval is {cls.floor_ms:g} ms")
                        continue
                    self.keep(self.trial(cls, n, ms, seconds, self.o.cut, 1, device), "same")
            finally:
                device.stop()

    def given(self, cls, sessions, ms, seconds):
        for n in sessions:
            if n > cls.most:
                say(f"  {ms:6g} ms: {n} sessions: no room for more than {cls.most}")
                continue
            self.keep(self.trial(cls, n, ms, seconds, self.o.cut, self.o.rounds), "given")

    def search(self, cls, ms, seconds):
        """The most sessions that hold: bisection with short trials, then long ones from there down."""
        steps = [s for s in (BRIEF_STEPS if self.o.brief else STEPS) if s <= cls.most]
        low, high = -1, len(steps)
        while high - low > 1:
            # Ours often hold all that there is room for: first the upper end.
            at = (low + high) // 2 if low >= 0 or high < len(steps) else len(steps) - 1
            t = self.trial(cls, steps[at], ms, self.o.probe_time, 0, 1)
            say(f"    {steps[at]} sessions for {self.o.probe_time:g} s: " +
                (t.error or ("held" if t.held else f"{t.flaps} flaps, {t.data['sessions']['up_at_hold']} up")))
            low, high = (at, high) if t.held else (low, at)
        while low >= 0:
            t = self.keep(self.trial(cls, steps[low], ms, seconds, self.o.cut, self.o.rounds), "most")
            if t.held:
                return
            low -= 1
        say(f"  {ms:6g} ms: not even {steps[0]} sessions")


    def held(self, cls, ms, seconds):
        """The most sessions that hold, upwards or downwards from what is known: each try a long one that ends early when it
        does not hold, the first beyond a success a short one."""
        steps = [s for s in STEPS if s <= cls.most]
        known = HELD.get(cls.title, {}).get(ms, cls.most)
        at = max(i for i, s in enumerate(steps) if s <= known)
        more = ["--give-up", str(GIVE_UP)]
        best, best_at = None, -1
        while at > best_at:
            t = self.trial(cls, steps[at], ms, seconds, self.o.cut, 1, more=more)
            if not t.held:
                say(f"    {steps[at]} sessions: {t.error or self.why_not(t)}")
                at -= 1
                continue
            first, best, best_at = best is None, t, at
            while first and at + 1 < len(steps):
                short = self.trial(cls, steps[at + 1], ms, self.o.probe_time, 0, 1, more=more)
                if not short.held:
                    say(f"    {steps[at + 1]} sessions: {short.error or self.why_not(short)}")
                    break
                say(f"    {steps[at + 1]} sessions held for {self.o.probe_time:g} s")
                at += 1
        if best:
            self.keep(best, "most")
        else:
            say(f"  {ms:6g} ms: not even {steps[0]} sessions")

    @staticmethod
    def why_not(t):
        up = t.data["sessions"]["up_at_hold"]
        after = t.data["course"]["cuts_s"] - t.data["course"]["hold_s"]
        return f"{t.flaps} flaps within {after:.1f} s" if up == t.n else f"{up} came Up"


def line(r):
    head = f"{r['interval_ms']:6g} ms {r['sessions']:6d} sessions"
    if "error" in r:
        return f"{head}: {r['error']}"
    spoilt = r["flaps_machine"] + r["flaps_generator"]
    return (f"{head} {r['hold_s']:5.1f} s {r['flaps']:7d} flaps{f' (+{spoilt} not its fault)' if spoilt else ''}"
            f" {'' if r['up'] == r['sessions'] else str(r['up']) + ' up '}| worst gap {r['worst_gap_ms']:8.2f} ms"
            f" | past the deadline {r['overshoot_median_ms']:.3f} / {r['overshoot_p99_ms']:.3f} / {r['overshoot_max_ms']:.3f} ms"
            f" of {r['detections']}, {r['early']} early, {r['missed']} missed"
            f" | cpu {r['cpu_percent']:.1f} %" +
            (f", {r['worker_busy_percent']:.0f} % busy, {r['worker_cycles']:.0f} cycles a packet" if "worker_cycles" in r else "") +
            f" | generator {r['generator_busy_percent']:.0f} % busy | stalls {r['own_stalls']}+{r['core_stalls']}, worst"
            f" {max(r['own_worst_stall_ms'], r['core_worst_stall_ms']):.1f} ms, load {r['load']:.1f}")


def figures(r):
    return (f"{r['overshoot_median_ms']:.3f} / {r['overshoot_p99_ms']:.3f} / {r['overshoot_max_ms']:.3f}" if r["detections"]
            else "-")


def matrix(rows):
    """The same number of sessions on all."""
    names = list(dict.fromkeys(r["device"] for r in rows))
    intervals = sorted({r["interval_ms"] for r in rows}, reverse=True)
    yield f"{rows[0]['sessions']} sessions on each: flaps; ms past the deadline, 99 % and the worst; CPU."
    yield ""
    yield "| device |" + "".join(f" {ms:g} ms |" for ms in intervals)
    yield "|---|" + "---|" * len(intervals)
    for name in names:
        cells = []
        for ms in intervals:
            r = next((r for r in rows if r["device"] == name and r["interval_ms"] == ms), None)
            if r is None:
                cells.append("-")
            elif "error" in r:
                cells.append(r["error"])
            else:
                late = f"{r['overshoot_p99_ms']:.2f}, {r['overshoot_max_ms']:.2f}" if r["detections"] else "-"
                cells.append(f"{r['flaps']}; {late}; {r['cpu_percent']:.0f} %")
        yield f"| {name} |" + "".join(f" {c} |" for c in cells)


def rows_of(rows):
    yield "| device | interval | sessions | held for | flaps | past the deadline: p50 / p99 / worst | early | missed | CPU | busy | a packet |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for r in rows:
        head = f"| {r['device']} | {r['interval_ms']:g} ms | {r['sessions']:,} |"
        if "error" in r:
            yield f"{head} {r['error']} | | | | | | | |"
            continue
        flaps = str(r["flaps"]) + (f" (and {r['flaps_machine'] + r['flaps_generator']} while a core was away)"
                                   if r["flaps_machine"] + r["flaps_generator"] else "")
        if r["up"] != r["sessions"]:
            flaps += f", {r['up']} up"
        yield (f"{head} {r['hold_s']:g} s | {flaps} | {figures(r)} ms of {r['detections']} | {r['early']} | {r['missed']} |"
               f" {r['cpu_percent']:.1f} % |" +
               (f" {r['worker_busy_percent']:.0f} % | {r['worker_cycles']:.0f} cycles |" if "worker_cycles" in r else " | |"))


def table(rows, m, path):
    """As docs/bfd.md has it: on stdout and in a file."""
    same, stressed = ([r for r in rows if r["what"] == w] for w in ("same", "stress"))
    others = [r for r in rows if r["what"] not in ("same", "stress")]
    text = [f"{m['cores']} cores of {m['cpu']}, Linux {m['kernel']}, {', '.join(m['versions'].values())}, {m['started'][:10]}, load "
            f"{m['load']:.1f} at the start.", ""]
    if same:
        text += [*matrix(same), ""]
    if others:
        text += [*rows_of(others), ""]
    if stressed:
        text += [*stress.table(stressed), ""]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(text))
    say()
    for t in text:
        say(t)


def arguments():
    a = argparse.ArgumentParser(prog="bench.sh bfd", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--full", action="store_true", help="search for the most sessions of each")
    a.add_argument("--brief", action="store_true", help="with --full: a quarter of an hour")
    a.add_argument("--held", action="store_true", help="the same from known figures upwards or downwards: twenty minutes for ours, BIRD, "
                   "bfdd, and bfdd under chrt -f 90; held for 60 s, at 100 ms and more for 20 s unless --time says otherwise")
    a.add_argument("--stress", action="store_true", help="ours at 10 ms with hogs, timer storms, tables, floods, churn beside")
    a.add_argument("--case", action="append", help="with --stress: only cases whose name contains this; several times")
    a.add_argument("--device", action="append", help="only devices whose name contains this; several times")
    a.add_argument("--interval", help="milliseconds, with commas (default 300,100,50,10,3.3)")
    a.add_argument("--sessions", help="numbers, with commas: no search, no comparison, only these")
    a.add_argument("--time", type=float, help="seconds to hold (default 3, with --full 60, with --brief 15, with --sessions 10)")
    a.add_argument("--probe-time", type=float, help="seconds of the trials of a search (default 6, with --brief 3)")
    a.add_argument("--cut", type=int, default=50, help="sessions cut in a round (default 50)")
    a.add_argument("--rounds", type=int, default=4, help="rounds of cuts (default 4)")
    a.add_argument("--dut-core", type=int, default=0)
    a.add_argument("--gen-core", type=int, default=(os.cpu_count() or 2) - 1)
    o = a.parse_args()
    o.interval = [float(x) for x in o.interval.split(",")] if o.interval else BRIEF_INTERVALS if o.brief else INTERVALS
    o.probe_time = o.probe_time or (15 if o.held else 3 if o.brief else 6)
    o.held_time = o.time
    o.sessions = [int(x) for x in o.sessions.split(",")] if o.sessions else None
    o.time = o.time or (12 if o.stress else 15 if o.brief else 60 if o.full else 10 if o.sessions else 3)
    return o


def main():
    o = arguments()
    chosen = [d for d in devices.ALL if not o.device or any(x.lower() in d.title.lower() for x in o.device)]
    m = machine()
    say(f"{m['cores']} cores of {m['cpu']}, Linux {m['kernel']}, load {m['load']:.1f}; {', '.join(m['versions'].values())}")
    say(f"device on core {o.dut_core} with priority over other sessions' work, generator on core {o.gen_core}")
    if (os.cpu_count() or 1) < 2:
        say("one core: the generator and the device take turns, figures below say little")
    for cls in [c for c in chosen if c.missing()]:
        say(f"left out: {cls.title}: {cls.missing()}")
    chosen = [c for c in chosen if not c.missing()]
    failed = False
    with Lab() as lab:
        devices.wire(lab)
        bench = Bench(lab, o)
        bench.machine = m
        try:
            if o.stress:
                bench.stress()
            elif o.held:
                for cls in [c for c in chosen if c.title in HELD]:
                    say(cls.title)
                    for ms in [x for x in o.interval if x >= cls.floor_ms and (x in HELD[cls.title] or cls.most < 10000)]:
                        bench.held(cls, ms, o.held_time or (20 if ms >= 100 else 60))
            elif o.sessions:
                for cls in chosen:
                    say(cls.title)
                    for ms in [x for x in o.interval if x >= cls.floor_ms]:
                        bench.given(cls, o.sessions, ms, o.time)
            elif o.full:
                for cls in chosen:
                    say(cls.title)
                    for ms in o.interval:
                        if ms < cls.floor_ms:
                            say(f"  {ms:6g} ms: its shortest interval is {cls.floor_ms:g} ms")
                        else:
                            bench.search(cls, ms, o.time)
            else:
                bench.same([c for c in chosen if c.port.startswith("af_xdp")] or chosen, 250, o.time)
                say("at scale")
                for cls, sizes, ms, seconds in AT_SCALE:
                    if cls in chosen:
                        say(cls.title)
                        bench.given(cls, sizes, ms, seconds)
        except (CommandError, Timeout) as e:
            say(f"bench-bfd: {e}")
            failed = True
        bench.write()
        where = os.path.relpath(os.path.join(build_dir(), "bench"))
        table(bench.rows, m, os.path.join(where, "bfd.md"))
    say(f"{where}/bfd.json, {where}/bfd.csv, {where}/bfd.md")
    return 1 if failed or any("error" in r for r in bench.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
