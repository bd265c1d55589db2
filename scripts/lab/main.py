# SPDX-License-Identifier: BSD-2-Clause
"""make lab: two locations, real upstreams, a dead link, traffic on the backup. See steps.py for what is played."""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "lib"))
import steps  # noqa: E402
from netlab import Lab, LabError, Probe, Witness, sweep  # noqa: E402
from netlab.twosite import PROBE_TO, TwoSite  # noqa: E402
from report import Report  # noqa: E402

RATE = 5000  # probe packets a second and family: 0.2 ms between two


def play(report, order, full, cuts, keep, steps_wanted):
    with Lab(keep=keep) as lab:
        site = TwoSite(lab, order).build()
        p = steps.Play(lab, site, report, None, RATE)
        report.say(f"\n{'#' * 100}\n# {steps.summary_of(site)}")
        p.witness = Witness(lab, follow=("pri", "vp"), far=("ca.upa", "cb.upb"))
        if not p.start():
            return
        Probe(lab, "host", PROBE_TO[4], PROBE_TO[6], RATE)
        parts = [(2, p.policy), (3, p.failures_slow), (3, lambda: p.failures_fast(cuts)), (4, p.no_bfd), (5, p.by_hand)]
        if full:
            parts += [(6, p.control_killed), (6, p.dataplane_killed)]
        for number, part in parts + [(5, p.final)]:
            if number in steps_wanted:
                part()
        if keep:
            ask = {"bird": lambda d: f"birdc -s {d.sock}", "frr": lambda d: f"vtysh --vty_socket {d.dir}"}
            report.say(f"""
The lab is left standing.
  enter a place    ip netns exec {lab.tag}-pri bash       (or -bkp -upa -upb -vp -host -wire)
  ask a node       birdc -s {site.pri.sock}
  ask upstreams    {';  '.join(ask[up.kind.lower()](up.daemon) for up in (site.upa, site.upb))}
  kill the link    ip netns exec {lab.ns('wire')} nft 'add rule bridge wire dead iifname "a.*" drop'
  and mend it      ip netns exec {lab.ns('wire')} nft flush chain bridge wire dead
  remove it all    scripts/lab.sh clean {os.getpid()}""")


def main():
    a = argparse.ArgumentParser(prog="lab.sh", description=__doc__)
    a.add_argument("command", nargs="?", default="play", choices=("play", "clean"))
    a.add_argument("lab", nargs="?", type=int, help="clean: only that one, the number in the names of its namespaces")
    a.add_argument("--cuts", type=int, default=20, help="how many times the link is cut at 10 ms x 3 (default 20)")
    a.add_argument("--only", choices=("bird", "frr"), help="play only the round in which upstream A is this one")
    a.add_argument("--steps", default="1,2,3,4,5,6", help="play only these, with 2 before others (default 1,2,3,4,5,6)")
    o = a.parse_args()
    try:
        steps_wanted = {int(x) for x in o.steps.split(",")}
    except ValueError:
        a.error(f"--steps {o.steps}: numbers with commas between them")
    if steps_wanted - {1, 2}:
        steps_wanted.add(2)  # the preferences that the others start from
    if o.command == "clean":
        print("\n".join(sweep(everything=True, pid=o.lab)) or "nothing to remove")
        return 0
    keep = os.environ.get("KEEP", "") not in ("", "0")
    report, start = Report(), time.monotonic()
    rounds = [(("bird", "frr"), True, o.cuts), (("frr", "bird"), False, min(o.cuts, 3))]
    if o.only:
        rounds = [(order, full, o.cuts) for order, full, _ in rounds if order[0] == o.only]
    try:
        for i, (order, full, cuts) in enumerate(rounds):
            play(report, order, full, cuts, keep and i == len(rounds) - 1, steps_wanted)
    except LabError as e:
        print(f"lab: {e}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, SystemExit) as e:
        report.table()
        print("lab: interrupted, everything has been removed")
        return e.code if isinstance(e, SystemExit) else 130
    status = report.table()
    print(f" {time.monotonic() - start:.0f} s in all")
    return status


if __name__ == "__main__":
    sys.exit(main())
