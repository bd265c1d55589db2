# SPDX-License-Identifier: BSD-2-Clause
"""Medians, the table, goals, and what is written to build/bench."""
import json
import os
import statistics

from . import svg


class Results:
    def __init__(self, machine, where):
        self.machine, self.where, self.trials = machine, where, []
        os.makedirs(where, exist_ok=True)

    def add(self, case, result):
        self.trials.append({"case": case.name, **result})
        self.write()

    def keep(self, cases, daemons):
        """Takes over the earlier trials of what is not run now."""
        try:
            with open(os.path.join(self.where, "bgp.json"), encoding="utf-8") as f:
                old = json.load(f)
        except (OSError, ValueError):
            return
        self.trials = [t for t in old["trials"] if t["case"] not in cases or t["device"] not in daemons]

    def of(self, case_name, daemon):
        return [t for t in self.trials if t["case"] == case_name and t["device"] == daemon]

    @staticmethod
    def value(trial, figure):
        _, phase, key, _ = figure
        d = trial if phase is None else trial.get(phase)
        if d is None:
            return None
        try:
            return key(d) if callable(key) else d.get(key)
        except KeyError:
            return None

    def values(self, case, daemon, figure):
        good = [self.value(t, figure) for t in self.of(case.name, daemon) if "error" not in t or t.get(figure[1] or "")]
        return [v for v in good if v is not None]

    def over(self, case, daemon):
        """The limit that its trials ran past, or None."""
        return max((t["over"] for t in self.of(case.name, daemon) if t.get("over")), default=None)

    def median(self, case, daemon, figure):
        v = self.values(case, daemon, figure)
        return statistics.median(v) if v else None

    def lookup(self, cases, case):
        """m(daemon, name) for the goals of a case; a trial cut short stands for its limit in times."""
        def m(daemon, name):
            c = case
            if ":" in name:
                other, name = name.split(":")
                c = cases[other]
            for f in c.figures:
                if f[0] == name:
                    v = self.median(c, daemon, f)
                    return self.over(c, daemon) if v is None and f[3] == "s" else v
            return None
        return m

    def write(self):
        with open(os.path.join(self.where, "bgp.json"), "w", encoding="utf-8") as f:
            json.dump({"machine": self.machine, "trials": self.trials}, f, indent=1)
            f.write("\n")

    def devices(self, case):
        return list(dict.fromkeys(t["device"] for t in self.trials if t["case"] == case.name))

    def table(self, cases, case, say):
        """Median (worst) of each figure, a line a daemon; then the goals."""
        names = [f[0] for f in case.figures]
        wide = [max(len(n) + 6, 20) for n in names]
        say(f"\n{case.name}: {case.title}")
        say(f"  {'':12}" + "".join(f"{n} [{f[3]}]".rjust(w) for n, f, w in zip(names, case.figures, wide)))
        for daemon in self.devices(case):
            cells = []
            for f, w in zip(case.figures, wide):
                v = self.values(case, daemon, f)
                cells.append(("-" if not v else svg.number(statistics.median(v)) + (f" ({svg.number(max(v))})" if len(v) > 1 else "")).rjust(w))
            over = self.over(case, daemon)
            errors = [t["error"] for t in self.of(case.name, daemon) if "error" in t]
            bound = sum(bool(d.get("generator_bound")) for t in self.of(case.name, daemon) for d in t.values() if isinstance(d, dict))
            words = f"  > {over:g} s" if over else f"  {errors[0]}" if errors else ""
            say(f"  {daemon:12}" + "".join(cells) + words + ("  (generator-bound)" if bound else ""))
        m = self.lookup(cases, case)
        outcome = []
        for words, goal in case.goals:
            r = goal(m)
            if r is None:
                outcome.append((words, None, None, None))
                continue
            value, limit = r
            outcome.append((words, value, limit, value <= limit))
        for words, value, limit, ok in outcome:
            say(f"    {'not measured' if ok is None else 'reached     ' if ok else 'NOT REACHED '}  {words}" +
                ("" if ok is None else f": {svg.number(value)} against {svg.number(limit)}"))
        return outcome

    def markdown(self, by_name, cases):
        """The tables of docs/performance.md: a line a figure, a column a daemon; and what was to be reached."""
        columns = list(dict.fromkeys(d for c in cases for d in self.devices(c)))
        lines = ["| case | | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
        goals = ["", "| to reach | measured | against | |", "|---|---|---|---|"]
        for c in cases:
            head = f"`{c.name}`: {c.title}"
            for f in c.figures:
                cells = []
                for d in columns:
                    v, over = self.values(c, d, f), self.over(c, d)
                    if v:
                        cells.append(f"{svg.number(statistics.median(v))} {f[3]}" + (f" ({svg.number(max(v))})" if len(v) > 1 else ""))
                    else:
                        cells.append(f"> {over:g} s" if over and f[3] == "s" else "")
                if any(cells):
                    lines.append(f"| {head} | {f[0]} | " + " | ".join(cells) + " |")
                    head = ""
            m = self.lookup(by_name, c)
            for words, goal in c.goals:
                r = goal(m)
                if r is not None:
                    goals.append(f"| `{c.name}` {words} | {svg.number(r[0])} | {svg.number(r[1])} | {'reached' if r[0] <= r[1] else '**not reached**'} |")
        return self.save("bgp.md", "\n".join(lines + goals) + "\n")

    def losses(self, cases, say):
        """Where another daemon has the smaller median."""
        found = []
        for c in cases:
            for f in c.figures:
                ours = self.median(c, "peregrined", f)
                for d in self.devices(c):
                    theirs = self.median(c, d, f)
                    if d not in ("peregrined", "bare relay") and None not in (ours, theirs) and f[3] in ("s", "MB", "%") and ours > 1.02 * theirs:
                        found.append(f"{c.name} {f[0]}: {svg.number(ours)} {f[3]}, {d} {svg.number(theirs)} {f[3]}")
        say("\nwhere we lose: " + ("nowhere in this run" if not found else ""))
        for line in found:
            say("  " + line)

    @staticmethod
    def curve_points(cases):
        found = {}
        for c in cases:
            if c.curve:
                found.setdefault(c.curve, []).append(c)
        return found

    def curves(self, cases, say):
        """A line a number of shards: each figure, and how much faster than the first."""
        for base, points in self.curve_points(cases).items():
            say(f"\n{base}: shards, speed-up of the {points[0].figures[0][0]}, figures")
            first = self.median(points[0], "peregrined", points[0].figures[0])
            for c in points:
                v = self.median(c, "peregrined", c.figures[0])
                bound = any(d.get("generator_bound") for t in self.of(c.name, "peregrined") for d in t.values() if isinstance(d, dict))
                say(f"  {c.scene.shards:3} {f'{first / v:.2f} x' if first and v else '-':>8}  " + ", ".join(
                    f"{f[0]} {svg.number(m)} {f[3]}" for f in c.figures for m in [self.median(c, "peregrined", f)] if m is not None)
                    + ("  (generator-bound)" if bound else ""))

    def plots(self, cases):
        m = self.machine
        note = f"{m['cores']} cores of {m['cpu']}, Linux {m['kernel']}, {m['started']}; daemon on one core; median, line to the worst"
        written = []
        for c in cases:
            panels = []
            for f in c.figures:
                rows = []
                for d in self.devices(c):
                    v, over = self.values(c, d, f), self.over(c, d)
                    if v:
                        rows.append((d, statistics.median(v), max(v), False))
                    elif over and f[3] == "s" and f[0] in ("time", "complete worst", "withdrawn worst", "returned worst"):
                        rows.append((d, over, over, True))
                if rows and f[3] in ("s", "MB"):
                    panels.append((f[0], f[3], rows))
            if panels:
                written.append(self.save(f"bgp-{c.name}.svg", svg.bars(f"{c.name}: {c.title}", panels, note)))
            samples = {d: [x / 1024 for x in t.get("rss_samples_kb", [])] for d in self.devices(c) for t in self.of(c.name, d)}
            if any(samples.values()):
                written.append(self.save(f"bgp-{c.name}-memory.svg", svg.lines(f"{c.name}: memory", "MB", samples, note)))
        for base, points in self.curve_points(cases).items():
            times = [v for v in (self.median(c, "peregrined", c.figures[0]) for c in points) if v]
            if len(times) > 1:
                written.append(self.save(f"bgp-{base}-shards.svg", svg.lines(
                    f"{base}: {points[0].figures[0][0]}, {', '.join(str(c.scene.shards) for c in points)} shards", "s", {"peregrined": times}, note)))
        return written

    def save(self, name, text):
        with open(os.path.join(self.where, name), "w", encoding="utf-8") as f:
            f.write(text)
        return name
