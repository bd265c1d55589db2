# SPDX-License-Identifier: BSD-2-Clause
"""make bench-bgp: the table and the fan-out, measured at the receivers, against the daemons of this host.

    scripts/bench.sh bgp                          the short form, within five minutes
    scripts/bench.sh bgp --full                   every case and every daemon
    scripts/bench.sh bgp --case feeds,rs50 --daemons peregrine,bird --runs 3

All are driven by the same generator (peregrine-bgpgen) over the same veth pair. The daemon has one core, the generator
another. Runs alternate between the daemons. The clock starts with the first byte of routes and stops when the last receiver
has the last prefix; CPU time and peak memory are the daemon's, from /proc.
"""
import argparse
import json
import os
import platform
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "tests", "lib")]
from bgpbench import devices  # noqa: E402
from bgpbench.scene import Scene, wire  # noqa: E402
from bgpbench.trial import trial  # noqa: E402
from netlab import Lab  # noqa: E402
from netlab.daemons import build_dir  # noqa: E402
from netlab.proc import CommandError, Timeout  # noqa: E402

CASES = [
    Scene("feeds", "2 feeds x 1.2 M routes to 1 receiver", "feeds", 1000000, 200000, peers=3, feeders=2),
    Scene("rs50", "route server, 50 clients, 200 k routes", "rs", 200000, peers=50),
    Scene("rs200", "route server, 200 clients, 200 k routes", "rs", 200000, peers=200),
    Scene("rs700", "route server, 700 clients, 400 k routes", "rs", 400000, peers=700),
]


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
            "started": time.strftime("%Y-%m-%dT%H:%M:%S")}


def line(r):
    if "error" in r:
        return f"{r['device']:12} {'> ' + str(r['over']) + ' s' if r.get('over') else 'failed: ' + r['error']}"
    return (f"{r['device']:12} {r['complete']['last_s']:8.3f} s  cpu {r['cpu_user_s'] + r['cpu_system_s']:7.2f} s "
            f"(user {r['cpu_user_s']:.2f})  peak {r['peak_kb'] / 1024:7.1f} MB  rss {r['rss_kb'] / 1024:7.1f} MB  up {r['established_s']:.2f} s"
            f"  {r['updates']} updates, {r['repeated']} repeated")


def arguments():
    a = argparse.ArgumentParser(prog="bench.sh bgp", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--case", help="names, with commas: " + ", ".join(c.name for c in CASES))
    a.add_argument("--daemons", default="peregrine,bird", help="with commas: " + ", ".join(d.key for d in devices.ALL))
    a.add_argument("--runs", type=int, default=3)
    a.add_argument("--limit", type=float, default=120, help="seconds a trial may take (default 120)")
    a.add_argument("--full", action="store_true")
    a.add_argument("--dut-core", type=int, default=0)
    a.add_argument("--gen-core", type=int, default=(os.cpu_count() or 2) - 1)
    return a.parse_args()


def main():
    o = arguments()
    cases = [c for c in CASES if c.name in (o.case.split(",") if o.case else ("feeds", "rs50"))]
    chosen = [d for d in devices.ALL if d.key in o.daemons.split(",")]
    m = machine()
    say(f"{m['cores']} cores of {m['cpu']}, Linux {m['kernel']}, load {m['load']:.1f}")
    for d in [d for d in chosen if d.missing()]:
        say(f"left out: {d.title}: {d.missing()}")
    chosen = [d for d in chosen if not d.missing()]
    rows = []
    with Lab() as lab:
        wire(lab)
        for c in cases:
            say(f"{c.name}: {c.title}")
            for _ in range(o.runs):
                for cls in chosen:
                    try:
                        r = trial(lab, cls(lab, o.dut_core), c, o.gen_core, o.limit)
                    except (CommandError, Timeout) as e:
                        r = {"device": cls.title, "scene": c.name, "error": str(e)}
                    rows.append(r)
                    say("  " + line(r))
            for cls in chosen:
                good = [r for r in rows if r["scene"] == c.name and r["device"] == cls.title and "error" not in r]
                if good:
                    t = [r["complete"]["last_s"] for r in good]
                    cpu = [r["cpu_user_s"] + r["cpu_system_s"] for r in good]
                    say(f"  {cls.title:12} median {statistics.median(t):.3f} s (worst {max(t):.3f}), cpu {statistics.median(cpu):.2f} s"
                        f" (worst {max(cpu):.2f}), peak {max(r['peak_kb'] for r in good) / 1024:.0f} MB")
    where = os.path.join(build_dir(), "bench")
    os.makedirs(where, exist_ok=True)
    with open(os.path.join(where, "bgp.json"), "w", encoding="utf-8") as f:
        json.dump({"machine": m, "rows": rows}, f, indent=1)
    return 1 if any("error" in r for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
