# SPDX-License-Identifier: BSD-2-Clause
"""Random filters over random routes, a session each way: a neighbour's routes go through an import filter, and to receivers
through an export filter each. Stock BIRD and ours, side by side, have to send every receiver the same routes with the same
attributes. FILTER_ROUNDS=n for more than a short look."""
import os
import random
import re
import subprocess

import pytest
from filter_differential import ASNS, Routes
from netlab import Lab
from netlab.daemons import Bird, Peregrine, have
from netlab.proc import Timeout, wait_for

pytestmark = pytest.mark.ours
ROUNDS = int(os.environ.get("FILTER_ROUNDS", "4"))
RECEIVERS, ROUTES = 8, 40
TIMES = "connect delay time 1; connect retry time 1; error wait time 1, 2; hold time 90;"
SMALL = [0, 1, 2, 13, 100, 666, 64496, 64500, 65535]
MARK = "10.255.255.255/32"


class Filters(Routes):
    """Filters made of what the attribute blocks of static routes are made of. What comes through a session has no attributes
    of ours (mark, tags, trail) until a filter sets them; a path of the neighbour's is never absent."""

    def filter(self, name, round_number):
        self.count = 0
        self.vars = {a: t for a, t in self.ATTRS.items() if t not in ("int", "ip") and a not in ("tags", "trail")}
        self.vars["preference"] = "int"
        text = f"filter {name} {{\n\tif net = {MARK} then {{ bgp_med = {round_number}; accept; }}\n"
        text += self.block(self.r.randrange(1, 6), 2)
        if self.r.random() < 0.7:
            text += f"\tif {self.expr('bool', 2)} then reject {self.expr('string', 1)};\n"
        return text + "\taccept;\n}\n"

    def statics(self):
        """Plain ones: BIRD's static protocol does not survive every block that the expressions make."""
        text, r = f"protocol static statics {{\n\tipv4;\n\troute {MARK} blackhole;\n", self.r
        self.made += 1
        for i in range(ROUTES):
            does = [f"bgp_path.prepend({r.choice(ASNS[1:])});" for _ in range(r.randrange(4))]
            does += [f"bgp_community.add(({r.choice(SMALL)}, {r.choice(SMALL)}));" for _ in range(r.randrange(4))]
            does += [f"bgp_large_community.add(({r.choice(ASNS)}, {r.choice(SMALL)}, {r.choice(SMALL)}));" for _ in range(r.randrange(3))]
            does += [f"bgp_ext_community.add(({r.choice(['rt', 'ro'])}, {r.choice(SMALL)}, {r.choice(SMALL)}));" for _ in range(r.randrange(3))]
            does += [f"bgp_med = {r.choice(SMALL)};"] * r.randrange(2) + [f"bgp_origin = {r.choice(['ORIGIN_EGP', 'ORIGIN_INCOMPLETE'])};"] * r.randrange(2)
            text += f"\troute 10.{self.made % 256}.{i}.0/{r.choice([24, 25, 28, 32])} blackhole {{ {' '.join(does)} }};\n"
        return text + "}\n"


class Side:
    """One of the two, with a neighbour that sends and receives."""

    def __init__(self, lab, kind, make):
        self.kind, self.role, self.peer_role = kind, f"{kind}n", f"{kind}p"
        lab.add(self.role, self.peer_role)
        receivers = [f"192.0.2.{10 + i}/24" for i in range(RECEIVERS)]
        # BIRD has one session a neighbour address
        senders = [f"192.0.2.{110 + i}/24" for i in range(RECEIVERS)]
        lab.link(kind, (self.role, "up0", ["192.0.2.1/24", *senders]), (self.peer_role, "cust0", ["192.0.2.2/24", *receivers]))
        self.started = False
        self.node, self.peer = make(lab, self.role), Bird(lab, self.peer_role)

    def node_config(self, filters):
        more = "allow as sets; " if self.kind == "ours" else ""  # 2.0.12 always does
        text = f'log "{self.node.log_path}" all;\nrouter id 192.0.2.1;\n{Filters.HEAD}roa4 table r4;\nprotocol device {{ }}\n{filters}'
        text += (f"protocol bgp feed {{ local 192.0.2.1 as 64500; neighbor 192.0.2.2 as 64496; {TIMES} {more}"
                 "ipv4 { import filter f_in; export none; }; }\n")
        for i in range(RECEIVERS):
            text += (f"protocol bgp out{i} {{ local 192.0.2.{110 + i} as 64500; neighbor 192.0.2.{10 + i} as 64500; direct; {TIMES} "
                     f"ipv4 {{ import none; export filter f_{i}; }}; }}\n")
        return text

    def peer_config(self, statics):
        text = f'log "{self.peer.log_path}" all;\nrouter id 192.0.2.2;\nprotocol device {{ }}\n{statics}'
        text += f"protocol bgp feed {{ local 192.0.2.2 as 64496; neighbor 192.0.2.1 as 64500; {TIMES} ipv4 {{ next hop address 192.0.2.200; import none; export all; }}; }}\n"
        for i in range(RECEIVERS):
            text += (f"ipv4 table t{i};\nprotocol bgp in{i} {{ router id 10.0.0.{1 + i}; local 192.0.2.{10 + i} as 64500; neighbor 192.0.2.{110 + i} as 64500; direct; {TIMES} "
                     f"ipv4 {{ table t{i}; import all; export none; }}; }}\n")
        return text

    def go(self, filters, statics):
        for daemon, text in ((self.peer, self.peer_config(statics)), (self.node, self.node_config(filters))):
            if daemon.dead() or not self.started:
                daemon.start(text)
            else:
                daemon.configure(text)
        self.started = True

    def received(self, i):
        """{net: its attributes} of a receiver."""
        nets, lines = {}, self.peer.ctl.ask(f"show route table t{i} all").text.split("\n")
        for line in lines:
            m = re.match(r"(\d\S+/\d+) ", line)
            if m:
                attrs = nets[m.group(1)] = []
            elif line.startswith("\tBGP."):
                attrs.append(line)
        return nets


def accepted(text, tmp_path):
    """Does BIRD read it? What it refuses is compared elsewhere."""
    path = tmp_path / "one.conf"
    path.write_text("router id 192.0.2.1;\n" + Filters.HEAD + "roa4 table r4;\nprotocol device { }\n" + text)
    return subprocess.run([have("bird"), "-p", "-c", str(path)], capture_output=True, check=False).returncode == 0


def test_random_filters_on_both_sides_of_a_session(tmp_path):
    rng = random.Random(int(os.environ.get("FILTER_SEED", "17")))
    gen = Filters(rng, False)
    compared = kept = changed = crashes = 0
    with Lab() as lab:
        sides = Side(lab, "ours", Peregrine), Side(lab, "bird", Bird)
        for n in range(ROUNDS):
            statics = gen.statics()
            filters = ""
            for name in ["f_in"] + [f"f_{i}" for i in range(RECEIVERS)]:
                filters += next(f for f in iter(lambda name=name: gen.filter(name, n), None) if accepted(f, tmp_path))
            for s in sides:
                s.go(filters, statics)
            for i in range(RECEIVERS):
                found = {}

                def equal(i=i, n=n, found=found):
                    for s in sides:
                        found[s.kind] = s.received(i)
                    return f"\tBGP.med: {n}" in found["ours"].get(MARK, ()) and found["ours"] == found["bird"]
                try:
                    wait_for(equal, f"round {n}, receiver {i}: the same routes", limit=30, failed=sides[1].node.dead)
                except Timeout as e:
                    if sides[1].node.dead():  # it has fallen over a filter: nothing to compare with
                        crashes += 1
                        break
                    ours, theirs = found["ours"], found["bird"]
                    different = {net: (ours.get(net), theirs.get(net)) for net in {*ours, *theirs} if ours.get(net) != theirs.get(net)}
                    raise AssertionError(f"{e}\n{filters}\n{statics}\n(ours, BIRD): {different}") from e
                compared += 1
                kept += len(found["ours"])
                changed += sum(1 for a in found["ours"].values() if any("BGP.community" in x or "BGP.large" in x for x in a))
    # The filters did something: some routes are refused, some pass, some have lists.
    assert 0 < changed < kept < compared * (ROUTES + 1)
    print(f"{compared} filters over {ROUTES} routes each: equal, {kept} routes let through; BIRD crashed {crashes} times")
