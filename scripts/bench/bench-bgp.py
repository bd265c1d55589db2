# SPDX-License-Identifier: BSD-2-Clause
"""make bench-bgp: the table and the fan-out, measured at the receivers, against the daemons of this host.

    scripts/bench.sh bgp                          the short form, within five minutes
    scripts/bench.sh bgp --whole                  every case, BIRD beside us, the others where they are quick; 20 minutes
    scripts/bench.sh bgp --full                   every case and every daemon; hours
    scripts/bench.sh bgp --case feeds,rs50 --daemons peregrine,bird --runs 3
    scripts/bench.sh bgp --case feeds,rs200 --shards 1,2,4 --cores 0-7
    scripts/bench.sh bgp --list

All are driven by the same generator (peregrine-bgpgen) over the same veth pair. The daemon has one core, the generator
another (with --shards ours has a core for each). Runs alternate between the daemons. The clock starts with the first byte of routes and stops when the last receiver
has the last prefix; CPU time and peak memory are the daemon's, from /proc. "bare relay" is no daemon: it hands UPDATEs on
unparsed, which is the floor for the same bytes on the same sockets. A daemon that exceeds the limit in its first run is not
tried again in that case. Results: build/bench/bgp.json, bgp.txt, bgp.md and bgp-CASE.svg.
"""
import argparse
import os
import platform
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "tests", "lib")]
from bgpbench import devices  # noqa: E402
from bgpbench.cases import CASES, with_shards  # noqa: E402
from bgpbench.place import place  # noqa: E402
from bgpbench.report import Results  # noqa: E402
from bgpbench.trial import trial  # noqa: E402
from netlab.daemons import build_dir  # noqa: E402


WHOLE = ("relay", "peregrine", "bird")
QUICK = {"feeds": ("frr", "openbgpd"), "rs50": ("frr", "openbgpd")}  # --whole: who is there beside those


class Say:
    """To the terminal and to a file."""

    def __init__(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.file = open(path, "w", encoding="utf-8")

    def __call__(self, text=""):
        print(text, flush=True)
        self.file.write(text + "\n")
        self.file.flush()


def machine(chosen):
    model, memory = "", 0
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo", encoding="ascii") as f:
        memory = int(f.readline().split()[1]) // 1048576
    return {"cpu": model, "cores": os.cpu_count(), "memory_gb": memory, "kernel": platform.release(), "load": os.getloadavg()[0],
            "started": time.strftime("%Y-%m-%dT%H:%M:%S"), "versions": {d.title: d.version() for d in chosen}}


def line(case, r):
    head = f"{r['device']:12} "
    if "error" in r:
        done = [p for p, d in r.items() if isinstance(d, dict)]
        return head + (f"> {r['over']:g} s" if r.get("over") else "failed") + (f" after {', '.join(done)}" if done else "") + f": {r['error']}"
    parts = []
    for phase, d in r.items():
        if not isinstance(d, dict):
            continue
        words = [f"{d['last_s']:.3f} s" if "last_s" in d else "", f"cpu {d['cpu_user_s'] + d['cpu_system_s']:.2f}",
                 f"stall {d['stall_worst_s'] * 1e3:.0f} ms" if "stall_worst_s" in d else "", f"peak {d['peak_kb'] / 1024:.0f} MB",
                 f"updates {d['updates'] / d['minimum_updates']:.3f} x minimum" if d.get("minimum_updates") else "",
                 f"repeated {d['repeated']}" if d["repeated"] else "",
                 f"generator-bound ({d['generator_cpu_s']:.1f} s)" if d["generator_bound"] and d["wall_s"] > 0.1 else ""]
        parts.append(f"{phase}: " + ", ".join(w for w in words if w))
    return head + "; ".join(parts)


def arguments():
    a = argparse.ArgumentParser(prog="bench.sh bgp", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--full", action="store_true", help="every case, every daemon")
    a.add_argument("--whole", action="store_true", help="every case; one run of the others, who have at most a minute a phase")
    a.add_argument("--list", action="store_true", help="name the cases and end")
    a.add_argument("--case", help="names, with commas")
    a.add_argument("--daemons", help="with commas: " + ", ".join(d.key for d in devices.ALL))
    a.add_argument("--runs", type=int, help="of each daemon in each case (default: the case's own, mostly 3)")
    a.add_argument("--limit", type=float, help="seconds that a phase of a trial may take (default: the case's own)")
    a.add_argument("--table", help="a file with a real table instead of a made one: see peregrine-bgpgen(8)")
    a.add_argument("--keep", action="store_true", help="keep what earlier runs wrote about other cases and daemons")
    a.add_argument("--check", action="store_true", help="compare every receiver's table with the model's too (slower)")
    a.add_argument("--shards", type=numbers, default=[], help="the scaling curve: ours again with so many table shards and session threads, "
                   "on as many cores; like 1,2,4")
    a.add_argument("--cores", type=numbers, default=sorted(os.sched_getaffinity(0)),
                   help="like 0-3,6: the cores to use; the last is the generator's, the daemons' are the first")
    o = a.parse_args()
    if not set(o.cores) <= os.sched_getaffinity(0):
        a.error(f"--cores: there are {','.join(map(str, sorted(os.sched_getaffinity(0))))}")
    return o


def numbers(text):
    """1,4-6 -> [1, 4, 5, 6]"""
    found = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def cores_of(o, scene):
    """The daemon's, of those that are not the generator's."""
    own = o.cores[:-1] or o.cores
    return ",".join(map(str, own[:max(scene.shards, 1)]))


def choose(o):
    names = o.case.split(",") if o.case else [c.name for c in CASES if o.full or o.whole or c.short]
    unknown = [n for n in names if n not in [c.name for c in CASES]]
    if unknown:
        sys.exit(f"bench-bgp: no such case: {', '.join(unknown)} (there are: {', '.join(c.name for c in CASES)})")
    return [x for c in CASES if c.name in names for x in (c, *(with_shards(c, n) for n in o.shards))]


def run(o, cases, chosen, results, say, lab):
    for c in cases:
        keys = c.daemons if c.curve else [d.strip() for d in o.daemons.split(",")] if o.daemons else c.daemons if o.full or o.case else c.short_daemons
        if o.whole and not o.daemons:
            keys = [k for k in c.daemons if k in WHOLE or c.name in QUICK and k in QUICK[c.name]]
        there = [d for d in chosen if d.key in keys]
        if o.table:
            c.scene.table = os.path.abspath(o.table)
        say(f"\n{c.name}: {c.title}" + (f", cores {cores_of(o, c.scene)}" if c.curve else ""))
        left_out = set()
        for n in range(o.runs or (1 if c.runs == 1 else c.runs if o.full or o.case or o.whole else min(2, c.runs))):
            for cls in there:
                if o.whole and n and cls.key not in ("peregrine", "relay"):
                    continue
                device = cls(lab, cores_of(o, c.scene))
                why = device.cannot(c.scene)
                if why and n == 0:
                    say(f"  {cls.title:12} left out: {why}")
                if why or cls.key in left_out:
                    continue
                r = trial(lab, device, c.scene, o.cores[-1], o.limit or (min(c.limit, 60) if o.whole else c.limit), ["--check"] if o.check else [])
                results.add(c, r)
                say("  " + line(c, r))
                if "error" in r:
                    left_out.add(cls.key)


def main():
    o = arguments()
    if o.list:
        for c in CASES:
            print(f"{c.name:12} {c.title}{'  (short form)' if c.short else ''}")
        return 0
    where = os.path.join(build_dir(), "bench")
    say = Say(os.path.join(where, "bgp.txt"))
    present = [d for d in devices.ALL if not d.missing()]
    m = machine(present)
    say(f"{m['cores']} cores of {m['cpu']}, {m['memory_gb']} GB, Linux {m['kernel']}, load {m['load']:.1f}, {m['started']}")
    say("; ".join(f"{t}: {v}" for t, v in m["versions"].items() if v))
    say(f"daemon on core {o.cores[0]}, generator on core {o.cores[-1]}")
    for d in [d for d in devices.ALL if d.missing()]:
        say(f"left out: {d.title}: {d.missing()}")
    if len(o.cores) < 2:
        say("one core: the generator and the daemon take turns, figures below say little")
    cases, results = choose(o), Results(m, where)
    if o.keep:
        results.keep([c.name for c in cases], [d.title for d in devices.ALL if not o.daemons or d.key in o.daemons.split(",")])
    with place(say) as lab:
        run(o, cases, present, results, say, lab)
    say("\nmedian (worst)")
    known = cases + [x for c in CASES for x in (c, *(with_shards(c, n) for n in (1, 2, 4, 8, 16)))] if o.keep else cases
    by_name = {c.name: c for c in [*CASES, *known]}
    shown = [c for c in by_name.values() if c in cases or o.keep and results.devices(c)]
    for c in shown:
        results.table(by_name, c, say)
    results.curves(shown, say)
    results.losses(shown, say)
    files = [results.markdown(by_name, shown), *results.plots(shown)]
    say(f"\n{os.path.relpath(where)}: bgp.json, bgp.txt, {', '.join(files)}")
    ours = [t for t in results.trials if t["device"] == "peregrined" and "error" in t]
    return 1 if ours else 0


if __name__ == "__main__":
    sys.exit(main())
