# SPDX-License-Identifier: BSD-2-Clause
"""Best path against stock BIRD: the same random tables, from the same neighbours in the same order, to both; the same winner for
every prefix. One pair of daemons, a table for each set of options, six scripted neighbours a table, IPv4 and IPv6.

MED makes the choice depend on the order of arrival; so neighbours speak in turns, and the next begins when both daemons have
counted what the last one said.
"""
import random
import re
import socket

import pytest
from bgp_peers import KEEPALIVE, Raw, attribute, mp_reach, next_hop, nlri, update_message
from netlab import Lab
from netlab.daemons import Bird, Peregrine
from netlab.proc import wait_for

pytestmark = pytest.mark.ours

NODE_AS = 64500
PREFIXES = 120  # for each family and table
ROUNDS = 3
# (name, statements for each protocol, local AS)
VARIANTS = [
    ("plain", "", NODE_AS),
    ("deterministic", "deterministic med on;", NODE_AS),
    ("medfirst", "med metric on; path metric off;", NODE_AS),
    ("older", "prefer older on;", NODE_AS),
    ("detolder", "deterministic med on; prefer older on;", NODE_AS),
    ("detmed", "deterministic med on; med metric on; path metric off;", NODE_AS),
    ("noigp", "igp metric off; default bgp_med 50; default bgp_local_pref 120;", NODE_AS),
    ("confed", "confederation 64500;", 65100),
]
# (kind, AS): two of one AS, for MED; p0 and p5 have one router id, for what comes after it
PEERS = [("ebgp", 65001), ("ebgp", 65001), ("ebgp", 65002), ("ibgp", None), ("client", None), ("ebgp", 65003)]
MEMBERS = {0: 65101, 2: 65102}  # in the confederation
HOPS = {"10.201.0.1": 10, "10.202.0.1": 10, "10.203.0.1": 500, "10.204.0.1": None, "10.205.0.1": "unreachable"}
HOPS6 = {f"2001:db8:{a.split('.')[1]}::1": m for a, m in HOPS.items()}


def asn(v, p):
    kind, number = PEERS[p]
    if VARIANTS[v][0] == "confed" and p in MEMBERS:
        return MEMBERS[p]
    return VARIANTS[v][2] if kind in ("ibgp", "client") else number


def internal(p):
    return PEERS[p][0] != "ebgp"


def address(v, p):
    return f"10.100.{v}.{10 + p}"


def config(log):
    text = f"""log "{log}" all;
router id 10.0.0.1;
protocol device {{ }}
protocol static i4 {{ ipv4;
"""
    for hops, via in ((HOPS, "10.0.0.9"), (HOPS6, "2001:db8:1::9")):
        if hops is HOPS6:
            text += "}\nprotocol static i6 { ipv6;\n"
        for a, m in hops.items():
            net = f"{a}/{128 if ':' in a else 32}"
            text += f"route {net} unreachable;\n" if m == "unreachable" else f"route {net} via {via}{' { igp_metric = %d; }' % m if m else ''};\n"
    text += "}\n"
    for v, (name, options, local) in enumerate(VARIANTS):
        for f in (4, 6):
            text += f"ipv{f} table {name}{f};\n"
        for p, (kind, _) in enumerate(PEERS):
            more = "rr client;" if kind == "client" else ""
            if name == "confed" and p in MEMBERS:
                more += "confederation member on;"
            text += f"""protocol bgp {name}_{p} {{
	local 10.0.0.1 as {local}; neighbor {address(v, p)} as {asn(v, p)}; passive; {options} {more}
	ipv4 {{ table {name}4; igp table master4; import all; export none; }};
	ipv6 {{ table {name}6; igp table master6; import all; export none; }};
}}
"""
    return text


class Site:
    def __init__(self, lab, kind, make):
        self.role = f"{kind}n"
        lab.add(self.role, f"{kind}p")
        addresses = [f"{address(v, p)}/8" for v in range(len(VARIANTS)) for p in range(len(PEERS))]
        lab.link(kind, (self.role, "up0", ["10.0.0.1/8", "2001:db8:1::1/64"]),
                 (f"{kind}p", "cust0", ["10.0.0.9/8", "2001:db8:1::9/64", *addresses]))
        self.node = make(lab, self.role)
        self.node.start(config(self.node.log_path))
        self.sent = {}  # (v, p, family) -> [updates, withdrawals]
        self.raw = {(v, p): Raw(lab, address(v, p), "10.0.0.1", asn(v, p), role=f"{kind}p",
                                router_id=f"10.9.0.{1 if p == 5 else 1 + p}") for v in range(len(VARIANTS)) for p in range(len(PEERS))}

    def say(self, v, p, data, counts):
        self.raw[v, p].write(data)
        for f in (4, 6):
            n = self.sent.setdefault((v, p, f), [0, 0])
            n[0] += counts[f][0]
            n[1] += counts[f][1]

    def counted(self, p):
        """Have all tables' neighbours p been heard to the end?"""
        for v, (name, _, _) in enumerate(VARIANTS):
            text = self.node.ctl.protocol_all(f"{name}_{p}")
            for f, part in zip((4, 6), text.split("Channel ipv")[1:]):
                got = [int(re.search(rf"Import {what}: +(\d+)", part).group(1)) for what in ("updates", "withdraws")]
                if got != self.sent[v, p, f]:
                    return False
        return True

    def best(self):
        found = {}
        for name, _, _ in VARIANTS:
            for f in (4, 6):
                r = self.node.ctl.ask(f"show route table {name}{f} primary")
                for code, line in r.lines:
                    m = re.match(r"(\S+/\d+) +\S+ +\[(\S+) ", line)
                    if code == 1007 and m:
                        found[name, m.group(1)] = m.group(2)
        return found


def update(attributes, family, prefix, hop):
    if family == 6:
        return update_message(attributes + mp_reach(prefix, hop))
    return update_message(attributes + next_hop(hop), [prefix])


def withdrawal(family, prefix):
    if family == 6:
        return update_message(attribute(15, b"\x00\x02\x01" + nlri(prefix), 0x80))
    return update_message(withdrawn=[prefix])


def segment(kind, numbers):
    return bytes([kind, len(numbers)]) + b"".join(n.to_bytes(4, "big") for n in numbers)


def random_attributes(rng, v, p, i):
    """Few values of each kind, so that ties are common and every rule decides some prefix. With deterministic med a route stays
    in its neighbouring AS: BIRD 2.0.12 lets one that was the best and alone in its AS win once more when it changes to
    another, whatever it is worth there."""
    name = VARIANTS[v][0]
    member = name == "confed" and p in MEMBERS
    path = b""
    tail = [rng.choice((65010, 65011)) for _ in range(rng.choice((1, 1, 2)))]
    if member:
        path += segment(3, [asn(v, p)] + ([65109] if rng.random() < 0.3 else []))
        if rng.random() < 0.8:
            path += segment(2, [rng.choice((65001, 65003))] + tail)
    elif internal(p):
        which = (7 * i + p) % 10 if "deterministic" in VARIANTS[v][1] else rng.randrange(10)
        if which < 9:
            path += segment(2, [65002 if which < 3 else 65001] + tail)
    else:
        path += segment(2, [asn(v, p)] + tail)
    out = attribute(1, bytes([rng.choice((0, 0, 0, 1, 2))]), 0x40) + attribute(2, path, 0x40)
    if rng.random() < 0.7:
        out += attribute(4, rng.choice((0, 50, 100)).to_bytes(4, "big"), 0x80)
    if internal(p) or member:
        out += attribute(5, rng.choice((100, 100, 100, 120, 90)).to_bytes(4, "big"), 0x40)
    if rng.random() < 0.15:
        out += attribute(8, bytes.fromhex("ffff0006"), 0xC0)  # LLGR_STALE
    if internal(p):
        if rng.random() < 0.5:
            out += attribute(9, socket.inet_aton(f"10.9.0.{rng.choice((1, 2, 3, 7))}"), 0x80)
            out += attribute(10, b"".join(socket.inet_aton(f"10.8.0.{i}") for i in range(rng.choice((1, 1, 2, 3)))), 0x80)
        if rng.random() < 0.3:
            out += attribute(26, bytes([1, 0, 11]) + rng.choice((5, 10, 400)).to_bytes(8, "big"), 0x80)
    return out


def random_hop(rng, v, p, family):
    if internal(p):
        return rng.choice(list(HOPS if family == 4 else HOPS6))
    return address(v, p) if family == 4 else "2001:db8:1::9"


def script(seed):
    """[(p, {v: (bytes, {family: (updates, withdrawals)})})]: who says what, in turns."""
    rng = random.Random(seed)
    have, turns = set(), []
    for turn in range(ROUNDS):
        for p in rng.sample(range(len(PEERS)), len(PEERS)):
            said = {}
            for v in range(len(VARIANTS)):
                data, counts = b"", {4: [0, 0], 6: [0, 0]}
                for f in (4, 6):
                    for i in range(PREFIXES):
                        prefix = f"10.{i // 256}.{i % 256}.0/24" if f == 4 else f"2001:db8:ff{i:02x}::/48"
                        key = v, p, prefix
                        if turn and key in have and rng.random() < 0.15:
                            have.discard(key)
                            data += withdrawal(f, prefix)
                            counts[f][1] += 1
                        elif rng.random() < (0.3 if turn else 0.7):
                            have.add(key)
                            data += update(random_attributes(rng, v, p, i), f, prefix, random_hop(rng, v, p, f))
                            counts[f][0] += 1
                said[v] = data, counts
            turns.append((p, said))
    return turns


@pytest.mark.parametrize("seed", (1, 2, 3))
def test_same_winners_as_bird(seed):
    with Lab() as lab:
        sites = [Site(lab, "ours", Peregrine), Site(lab, "bird", Bird)]
        for step, (p, said) in enumerate(script(seed)):
            for site in sites:
                for v, (data, counts) in said.items():
                    site.say(v, p, data, counts)
            for site in sites:
                wait_for(lambda: site.counted(p), f"{site.role}: what neighbours {p} said in turn {step}", failed=site.node.dead)
            if step % len(PEERS) == len(PEERS) - 1:
                ours, bird = (s.best() for s in sites)
                different = {k: (ours.get(k), bird.get(k)) for k in ours.keys() | bird.keys() if ours.get(k) != bird.get(k)}
                assert not different, f"turn {step}: {len(different)} of {len(bird)}: {dict(sorted(different.items())[:20])}"
                # a table that one neighbour always wins would prove nothing
                for name, _, _ in VARIANTS:
                    winners = {w for (n, _), w in bird.items() if n == name}
                    assert len(winners) == len(PEERS), f"{name}: only {winners} ever win"
        for site in sites:
            for raw in site.raw.values():
                raw.send(KEEPALIVE)
                assert not raw.notifications()
                raw.close()
