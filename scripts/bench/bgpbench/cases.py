# SPDX-License-Identifier: BSD-2-Clause
"""The cases of bench-bgp: a scene each, what is read from its phases, and what we mean to reach.

A figure is (name, phase, key, unit); key may be a function of the phase's dict. A goal compares medians: its function gets
m(daemon, figure) -> median or None, and returns (value, limit) of which value must not be larger, or None when what it is
compared with was not measured.
"""
import dataclasses

from .scene import Scene


def cpu(d):
    return d["cpu_user_s"] + d["cpu_system_s"]


def peak(d):
    return d["peak_kb"] / 1024


def rss(d):
    return d["rss_kb"] / 1024


def packing(d):
    return d["updates"] / d["minimum_updates"] if d.get("minimum_updates") else None


def figures(phase, prefix=""):
    return [(prefix + "time", phase, "last_s", "s"), (prefix + "cpu", phase, cpu, "s"), (prefix + "peak", phase, peak, "MB")]


def times(name, phase):
    return [(f"{name} p50", phase, "median_s", "s"), (f"{name} worst", phase, "last_s", "s")]


def stall(name, phase):
    return [(f"{name} stall p50", phase, "stall_median_s", "s"), (f"{name} stall worst", phase, "stall_worst_s", "s")]


def ratio(figure, share, of="BIRD", ours="peregrined"):
    """Ours at most share of theirs. A trial of theirs that was cut short counts with its limit: the truth is worse."""
    def goal(m):
        a, b = m(ours, figure), m(of, figure)
        return None if a is None or b is None else (a, share * b)
    words = "at most 1/%g of %s" % (1 / share, of) if share < 1 else f"at most {share:g} x {of}"
    return (f"{figure}: {words}", goal)


def below(figure, limit, ours="peregrined"):
    def goal(m):
        a = m(ours, figure)
        return None if a is None else (a, limit)
    return (f"{figure}: at most {limit:g}", goal)


@dataclasses.dataclass
class Case:
    name: str
    title: str
    scene: Scene
    figures: list
    goals: list = dataclasses.field(default_factory=list)
    daemons: tuple = ("relay", "peregrine", "bird", "frr", "openbgpd", "gobgp")
    short: bool = False      # part of the short form
    short_daemons: tuple = ("relay", "peregrine", "bird")
    limit: float = 120       # seconds that a phase of a trial may take
    runs: int = 3
    against: str = ""        # a case whose figures the goals may name as case:figure
    curve: str = ""          # the case of which this is a point of the scaling curve


SLOW = dict(limit=100, runs=1)
LOAD = figures("load") + [("settled memory", "load", rss, "MB"), ("updates / minimum", "load", packing, "x"),
                          ("sessions up", None, "established_s", "s")]
PULSE = ("--pulse", "10")


def rs(peers, v4, **more):
    return Scene("rs", v4, peers=peers, **more)


def relative(figure, factor, other):
    """Ours here at most factor x ours in another case of the same run."""
    def goal(m):
        a, b = m("peregrined", figure), m("peregrined", f"{other}:{figure}")
        return None if a is None or b is None else (a, factor * b)
    return (f"{figure}: at most {factor:g} x {other}", goal)


CASES = [
    Case("feeds", "2 feeds x 1.2 M routes to 1 receiver", Scene("feeds", 1000000, 200000, peers=3, feeders=2), LOAD,
         [ratio("time", 0.1), ratio("peak", 1)], short=True),
    Case("rs50", "route server, 50 clients, 200 k routes", rs(50, 200000), LOAD,
         [ratio("cpu", 1 / 25), ratio("cpu", 0.1, "FRR"), ratio("peak", 1), ratio("time", 2, "bare relay")], short=True),
    Case("rs200", "route server, 200 clients, 200 k routes", rs(200, 200000), LOAD,
         [ratio("cpu", 1 / 25), ratio("time", 1 / 25), ratio("time", 2, "bare relay"), ratio("peak", 1)], **SLOW),
    Case("rs700", "route server, 700 clients, 400 k routes", rs(700, 400000), LOAD,
         [ratio("time", 1 / 25), ratio("time", 2, "bare relay"), ratio("peak", 1), below("peak", 2048)], limit=100, runs=1,
         daemons=("relay", "peregrine", "bird")),
    Case("control50", "50 clients, 200 k routes, control communities", rs(50, 200000, control=True), LOAD,
         [relative("cpu", 2, "rs50"), relative("peak", 1.5, "rs50"), ratio("cpu", 1 / 25)], short=True,
         daemons=("peregrine", "bird"), against="rs50"),
    Case("filters50", "50 clients, 200 k routes, control communities and import filters", rs(50, 200000, control=True, refused=20), LOAD,
         [relative("cpu", 2, "rs50"), relative("peak", 1.5, "rs50"), ratio("cpu", 1 / 25)], daemons=("peregrine", "bird"),
         against="rs50"),
    Case("filters200", "200 clients, 200 k routes, control communities and import filters", rs(200, 200000, control=True, refused=20), LOAD,
         [relative("cpu", 2, "rs200"), relative("peak", 1.5, "rs200")], daemons=("peregrine", "bird"), against="rs200", **SLOW),
    Case("filters700", "700 clients, 400 k routes, control communities and import filters", rs(700, 400000, control=True, refused=20), LOAD,
         [relative("time", 2, "rs700"), relative("peak", 1.5, "rs700")], daemons=("peregrine",), against="rs700", limit=100, runs=1),
    Case("tenants", "500 tenants take a full table (1 M) from 2 upstreams",
         Scene("feeds", 1000000, peers=502, feeders=2, gen=("--late",)), figures("late"),
         [ratio("time", 2, "bare relay")], daemons=("relay", "peregrine", "bird"), limit=150, runs=1),
    Case("join", "a client joins a busy server: 200 clients, 200 k routes, 1000 changes/s",
         rs(200, 200000, gen=("--join", "1", "--busy", "1000", *PULSE)), [("time", "joined", "last_s", "s"), *stall("others", "joined")],
         [below("others stall worst", 0.05)], daemons=("peregrine", "bird"), limit=100, runs=3),
    Case("drop", "50 of 700 clients drop and return (400 k routes)", rs(700, 400000, gen=("--drop", "50", *PULSE)),
         times("withdrawn", "withdrawn") + times("returned", "returned") + [("first returned", "returned", "first_update_s", "s"),
                                                                           *stall("return", "returned")],
         [ratio("withdrawn worst", 0.2), ratio("returned worst", 0.2), below("withdrawn p50", 0.2), below("returned p50", 0.29)],
         daemons=("peregrine", "bird"), limit=150, runs=1),
    Case("drop50", "10 of 50 clients drop and return (200 k routes)", rs(50, 200000, gen=("--drop", "10", *PULSE)),
         times("withdrawn", "withdrawn") + times("returned", "returned") + [("first returned", "returned", "first_update_s", "s"),
                                                                           *stall("return", "returned")],
         [ratio("withdrawn worst", 0.2), ratio("returned worst", 0.2)], daemons=("peregrine", "bird", "frr", "openbgpd"), runs=3),
    Case("reload", "policy reload that changes every export: 200 clients, 200 k routes", rs(200, 200000, reload=True, gen=PULSE),
         [("first update", "command", "first_update_s", "s"), *times("complete", "command"), *stall("reload", "command"),
          ("cpu", "command", cpu, "s"), ("peak", "command", peak, "MB")],
         [below("first update", 0.2), ratio("complete worst", 1 / 25), below("reload stall worst", 0.268)],
         daemons=("peregrine", "bird"), limit=150, runs=1),
    Case("reload50", "policy reload that changes every export: 50 clients, 200 k routes", rs(50, 200000, reload=True, gen=PULSE),
         [("first update", "command", "first_update_s", "s"), *times("complete", "command"), *stall("reload", "command"),
          ("cpu", "command", cpu, "s"), ("peak", "command", peak, "MB")],
         [below("first update", 0.2), ratio("complete worst", 1 / 25)], daemons=("peregrine", "bird", "openbgpd"), short=True, runs=2),
    Case("slow", "one slow reader (10 kB/s) among 200 (200 k routes)", rs(200, 200000, gen=("--slow", "1")),
         [*figures("load"), ("caught up", "caught_up", "last_s", "s")], [relative("time", 1.05, "rs200"), relative("peak", 1.1, "rs200")],
         daemons=("peregrine", "bird"), against="rs200", **SLOW),
    Case("show", "show route of everything beside 1000 changes/s: 50 clients, 200 k routes",
         rs(50, 200000, beside=True, hold=9, gen=("--busy", "1000", "--beside-time", "10", *PULSE)),
         [*stall("update", "beside"), ("worst silence", "beside", "worst_silence_s", "s"), ("shown", None, "beside_runs", "times"),
          ("cpu", "beside", cpu, "s")], [below("update stall worst", 0.05), below("worst silence", 3)],
         daemons=("peregrine", "bird", "openbgpd"), short=True, runs=2),
    Case("soak", "churn, accelerated: 50 clients, 100 k routes, 20000 changes/s",
         rs(50, 100000, gen=("--churn", "60", "--churn-rate", "20000", "--churn-drops", "60", "--churn-sample", "2")),
         [("growth", None, lambda d: growth(d.get("rss_samples_kb")), "%"), ("memory", "settled", rss, "MB"), ("cpu", "churn", cpu, "s"),
          ("settled", "settled", "last_s", "s")], [below("growth", 5)], daemons=("peregrine", "bird"), runs=1),
]


def with_shards(case, n):
    """A point of its scaling curve: n shards and n session threads on n cores, where there are so many."""
    return dataclasses.replace(case, name=f"{case.name}@{n}", title=f"{case.title}; {n} shards", daemons=("peregrine",), goals=[],
                               scene=dataclasses.replace(case.scene, shards=n), curve=case.name)


def growth(samples):
    """Of the last tenth over the second quarter, in per cent: the first quarter fills caches."""
    if not samples or len(samples) < 12:
        return None
    n = len(samples)
    early, late = samples[n // 4:n // 2], samples[-max(1, n // 10):]
    return 100 * (max(late) / max(early) - 1)
