# SPDX-License-Identifier: BSD-2-Clause
"""make bench-policy: what a big policy costs to load, to reload and to run, against BIRD in the same run.

    scripts/bench.sh policy                       all cases, three runs each, alternating
    scripts/bench.sh policy --runs 1 --members 32 --entries 10000
    scripts/bench.sh policy --case irr

irr: an exchange that filters by IRR: members with a prefix set of so many entries and an origin set each (3.2 M entries), a
route server session a member. routemap: members with a policy of 60 conditions each, and a table that the policies are run
over. pipes: as IXP-Manager writes it, a table and a pipe a member (200 at most) beside a table of 20,000 routes, which all of
them get but what they filter; here the load lasts until the last member's table is full. Figures: seconds from exec to the first answer on the control socket; resident memory then; seconds that `configure`
takes with nothing changed, with one entry of one member's set changed, and with one member's policy changed; nanoseconds a
route that a policy costs, from `show route where POLICY count` over the table less the same with `where false`. Neither
daemon has sessions that come up: this is about the policy, not about routes. Results: build/bench/policy.json.
"""
import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "lib"))
from netlab.birdctl import BirdCtl  # noqa: E402
from netlab.daemons import build_dir, have  # noqa: E402

ROUTES = 100000
PIPES, PIPED = 200, 20000
POLICIES = 8  # of the members' policies, those that are timed


def head(log):
    return f'log "{log}" all;\nrouter id 192.0.2.2;\nprotocol device {{ }}\n'


def member(i, extra=""):
    return f"""protocol bgp m{i} {{
	local as 64500; neighbor 10.99.{i >> 8}.{i & 255} as {65000 + i};
	passive; rs client; multihop;
	ipv4 {{ import filter in_{i}; export where source = RTS_BGP; {extra} }};
}}
"""


def irr(members, entries, changed=False):
    """The sets as generators write them: sorted networks of a registry, most with more specifics up to /24."""
    text = []
    for i in range(members):
        r = random.Random(i)
        nets = set()
        while len(nets) < entries:
            plen = r.choice((16, 19, 20, 20, 21, 22, 22, 22, 23, 23, 24, 24, 24, 24, 24))
            nets.add((r.randrange(1 << 24, 224 << 24) >> (32 - plen) << (32 - plen), plen))
        nets = sorted(nets)
        if changed and i == members // 2:
            nets[-1] = (nets[-1][0] ^ 1 << 24, nets[-1][1])
        items = [f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}/{n}" + (f"{{{n},24}}" if n < 24 else "") for a, n in nets]
        origins = ", ".join(str(r.randrange(1000, 400000)) for _ in range(200))
        text.append(f"define NETS_{i} = [\n" + ",\n".join(items) + "\n];\n" f"define ORIGINS_{i} = [ {origins} ];\n"
                    f"filter in_{i} {{\n\tif bgp_path.first != {65000 + i} then reject;\n\tif ! (bgp_path.last ~ ORIGINS_{i}) then reject;\n"
                    f"\tif ! (net ~ NETS_{i}) then reject;\n\tbgp_large_community.add((64500, 1, {i}));\n\taccept;\n}}\n" + member(i))
    return "".join(text)


def routemap(members, changed=False):
    """Sixty conditions in a row, none of which needs luck to be slow: communities, paths, prefixes, then changes."""
    text = ["attribute int seen;\n"]
    for i in range(members):
        r = random.Random(1000 + i)
        body = []
        for k in range(60):
            what = r.randrange(6)
            n = r.randrange(1, 65000)
            if changed and i == members // 2 and k == 30:
                n = 65001
            cond = (f"({n}, {k}) ~ bgp_community", f"bgp_path ~ [= {n} * {k + 1} =]", f"bgp_path.len > {20 + n % 50}",
                    f"net ~ [ {n % 100 + 100}.{k}.0.0/16{{16,24}}, 172.{16 + k % 16}.0.0/16+ ]", f"bgp_path ~ [ {n}, {n + 7}..{n + 90} ]",
                    f"bgp_large_community ~ [ ({n}, 0, *), ({n}, 1..9, *) ]")[what]
            do = (f"bgp_local_pref = {n % 300};", f"bgp_community.add(({n}, 1));", "return false;", f"bgp_large_community.add(({n}, 2, {k}));")[r.randrange(4)]
            body.append(f"\tif {cond} then {{ {do} }}\n")
        text.append(f"function map_{i}() {{\n{''.join(body)}\treturn true;\n}}\nfilter in_{i} {{\n\tif map_{i}() then accept;\n\treject;\n}}\n" + member(i))
    r = random.Random(7)
    routes = "".join(f"\troute 10.{j >> 12 & 255}.{j >> 4 & 255}.{(j & 15) << 4}/28 blackhole {{ bgp_path.prepend({r.randrange(1, 65000)}); bgp_path.prepend({r.randrange(1, 65000)}); "
                     f"bgp_path.prepend({r.randrange(1, 65000)}); bgp_community.add(({r.randrange(1, 65000)}, {r.randrange(100)})); "
                     f"bgp_community.add((64500, {r.randrange(100)})); }};\n" for j in range(ROUTES))
    text.append(f"protocol static {{\n\tipv4;\n{routes}}}\n")
    return "".join(text)


def pipes(members, changed=False):
    """Tags instead of refusals on the way in, control communities on the way out; some of the routes have those."""
    members = min(members, PIPES)
    text = ["filter to_master { if bgp_large_community ~ [ (64500, 1101, *) ] then reject; accept; }\n"
            "function wanted(int member_as) { if (0, member_as) ~ bgp_community then return false; return true; }\n",
            "protocol static { ipv4;\n" + "".join(
                f"\troute 10.{j >> 8}.{j & 255}.0/24 blackhole {{ bgp_path.prepend({1000 + j // 5}); bgp_community.add((64500, {j // 5})); "
                + (f"bgp_community.add((0, {j % 1000})); " if j % 10 == 0 else "") + "};\n" for j in range(PIPED)) + "}\n"]
    for i in range(members):
        asn = i + (1000 if changed and i == members // 2 else 0)
        text.append(f"ipv4 table t_{i};\nprotocol pipe p_{i} {{ table master4; peer table t_{i}; import filter to_master; export where wanted({asn}); }}\n")
    return "".join(text)


class Daemon:
    def __init__(self, name, argv, where):
        self.name, self.program = name, argv
        self.conf, self.sock = os.path.join(where, name + ".conf"), os.path.join(where, name + ".ctl")
        self.log = os.path.join(where, name + ".log")
        self.ctl = BirdCtl(self.sock)

    def write(self, text):
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(head(self.log) + text)

    def start(self):
        """In a network namespace of its own: ports and addresses are nobody's business."""
        t = time.monotonic()
        self.process = subprocess.Popen(["unshare", "--net", *self.program, "-f", "-c", self.conf, "-s", self.sock], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        while True:
            try:
                self.ctl.cmd("show status")
                return time.monotonic() - t
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(f"bench-policy: {self.name} ended with status {self.process.returncode}") from None
                time.sleep(0.01)

    def memory(self):
        """MB: now, and at most."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            kb = {line.split(":")[0]: line.split()[1] for line in f if line.startswith(("VmRSS", "VmHWM"))}
        return int(kb["VmRSS"]) / 1024, int(kb["VmHWM"]) / 1024

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            words = f.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def fill(self, table, least):
        """Until a member's table has at least so many routes."""
        while int(self.ask(f"show route table {table} count")[1].split(" of ")[0].split()[-1]) < least:
            time.sleep(0.1)

    def ask(self, command):
        t = time.monotonic()
        text = self.ctl.cmd(command, timeout=300)
        return time.monotonic() - t, text

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def reload_s(d):
    s, text = d.ask("configure")
    if "Reconfigured" not in text and "in progress" not in text:
        raise SystemExit(f"bench-policy: {d.name}: {text}")
    return s


def one_run(d, texts, policies, last_table):
    f = {}
    d.write(texts[0])
    begun = time.monotonic()
    f["load s"] = d.start()
    try:
        if last_table:
            d.fill(last_table, PIPED * 99 // 100)
            f["load s"] = time.monotonic() - begun
        f["load CPU s"] = d.cpu()
        f["memory MB"], f["peak MB"] = d.memory()
        f["reload, nothing changed s"] = reload_s(d)
        d.write(texts[1])
        f["reload, one member changed s"] = reload_s(d)
        f["memory after reloads MB"], f["peak after reloads MB"] = d.memory()
        if policies:
            idle, _ = d.ask("show route where false count")
            busy = sum(d.ask(f"show route where map_{i}() count")[0] for i in range(policies)) / policies
            f["policy ns/route"] = (busy - idle) * 1e9 / ROUTES
    finally:
        d.stop()
    return f


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--members", type=int, default=320)
    p.add_argument("--entries", type=int, default=10000, help="of each member's prefix set")
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--case", choices=("irr", "routemap", "pipes"))
    p.add_argument("--daemons", default="peregrine,bird")
    o = p.parse_args()
    where = tempfile.mkdtemp(prefix="bench-policy-")
    results = {}
    try:
        both = {"peregrine": [os.path.join(build_dir(), "peregrined")], "bird": [have("bird") or ""]}
        daemons = [Daemon(n, both[n], where) for n in o.daemons.split(",") if both[n][0]]
        for d in set(both) - {d.name for d in daemons}:
            print(f"SKIP  {d}: not here or not asked for")
        cases = {"irr": lambda c: irr(o.members, o.entries, c), "routemap": lambda c: routemap(o.members, c), "pipes": lambda c: pipes(o.members, c)}
        for case, text in cases.items():
            if o.case not in (None, case):
                continue
            texts = text(False), text(True)
            print(f"{case}: {min(o.members, PIPES) if case == 'pipes' else o.members} members, {len(texts[0]) / 1e6:.0f} MB of configuration" + (f", {o.members * o.entries} entries" if case == "irr" else ""), flush=True)
            rows = {}
            for run in range(o.runs):
                for d in daemons if run % 2 == 0 else daemons[::-1]:
                    rows.setdefault(d.name, []).append(one_run(d, texts, min(POLICIES, o.members) if case == "routemap" else 0,
                                                                  f"t_{min(o.members, PIPES) - 1}" if case == "pipes" else None))
            results[case] = rows
            for key in next(iter(rows.values()))[0]:
                line = f"  {key:30}"
                for name, runs in rows.items():
                    v = [r[key] for r in runs]
                    line += f" {name}: {statistics.median(v):9.3f} (worst {max(v):.3f})"
                print(line, flush=True)
    finally:
        shutil.rmtree(where, ignore_errors=True)
    os.makedirs(os.path.join(build_dir(), "bench"), exist_ok=True)
    with open(os.path.join(build_dir(), "bench", "policy.json"), "w", encoding="ascii") as f:
        json.dump({"members": o.members, "entries": o.entries, "results": results}, f, indent=1)


if __name__ == "__main__":
    if os.geteuid() != 0:
        raise SystemExit("bench-policy: needs root (a network namespace a daemon)")
    main()
