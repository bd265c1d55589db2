# SPDX-License-Identifier: BSD-2-Clause
"""What sessions can be besides a plain one on a link, and what a neighbour may do without hurting anybody."""
import random
import re
import time

import pytest
from bgp_peers import DRIVERS, FAMILIES, REFRESH, UPDATE, Raw, as_path, attribute, installed, next_hop, nlri, origin
from netlab.daemons import Frr
from netlab.pair import NODE, NODE_AS, NODE_NET, PEER, PEER_AS, PEER_NET

pytestmark = pytest.mark.ours
RAW = "192.0.2.9"
RAW_AS = 64999
HOP = "192.0.2.50"  # on the link, and nobody's: the raw neighbour shares its namespace with the stock daemon


def raw_protocol(name="raw", more="", channel="import all; export all;", asn=RAW_AS, address=RAW):
    return f"""protocol bgp {name} {{
	local {NODE[4]} as {NODE_AS};
	neighbor {address} as {asn};
	passive; error wait time 1, 2; connect delay time 1;
	{more}
	ipv4 {{ {channel} }};
	ipv6 {{ {channel} }};
}}
"""


@pytest.fixture
def world(make_pair):
    """world(peer="bird"|None, extra=...) -> (pair, driver): a second address for Raw neighbours in the peer's namespace."""
    raws = []

    def pair(name):
        p = make_pair(name)
        p.lab.ip("peer", "addr", "add", f"{RAW}/24", "dev", "cust0")
        return p

    def make(name="bird", extra="", wait=True, peer=None, **config):
        p = pair(None)
        d = DRIVERS[name](p.lab, **(peer or {})).start() if name else None
        p.start(p.config(bfd="", extra=extra, **config))
        if wait and d:
            p.wait(lambda: p.ctl.established("peer_v4", "peer_v6") and d.established(), "sessions Established")
        return p, d

    def raw(p, **kw):
        raws.append(Raw(p.lab, kw.pop("address", RAW), NODE[4], kw.pop("asn", RAW_AS), **kw))
        return raws[-1]
    make.raw, make.pair = raw, pair
    yield make
    for r in raws:
        r.close()


def sound(*more, hop=HOP, asn=RAW_AS):
    return origin() + as_path(asn) + next_hop(hop) + b"".join(more)


# ---- hostile and broken neighbours ----

CASES = [  # RFC 7606: attributes of an update, and whether its route may stay
    ("sound", sound(), True),
    ("origin of 2 octets", attribute(1, b"\0\0", 0x40) + as_path(RAW_AS) + next_hop(RAW), False),
    ("origin 3", origin(3) + as_path(RAW_AS) + next_hop(RAW), False),
    ("no origin", as_path(RAW_AS) + next_hop(RAW), False),
    ("no path", origin() + next_hop(RAW), False),
    ("no next hop", origin() + as_path(RAW_AS), False),
    ("path segment type 9", origin() + attribute(2, b"\x09\x01\0\0\xfd\xe7", 0x40) + next_hop(RAW), False),
    ("path segment overruns", origin() + attribute(2, b"\x02\x02\0\0\xfd\xe7", 0x40) + next_hop(RAW), False),
    ("AS 0", sound()[:4] + as_path(RAW_AS, 0) + next_hop(RAW), False),
    ("AS_SET", origin() + attribute(2, b"\x01\x01\0\0\xfd\xe7", 0x40) + next_hop(RAW), False),
    ("next hop of 3 octets", origin() + as_path(RAW_AS) + attribute(3, b"\xc0\0\2", 0x40), False),
    ("next hop is ours", sound(hop=NODE[4]), False),
    ("next hop far away", sound(hop="8.8.8.8"), False),
    ("med of 3 octets", sound(attribute(4, b"\0\0\1", 0x80)), False),
    ("med well-known", sound(attribute(4, b"\0\0\0\1", 0x40)), False),
    ("local pref from outside", sound(attribute(5, b"\0\0", 0x40)), True),
    ("atomic with contents", sound(attribute(6, b"x", 0x40)), True),
    ("aggregator of 6 octets", sound(attribute(7, b"\0\0\0\0\0\0")), True),
    ("community of 3 octets", sound(attribute(8, b"\0\0\0")), False),
    ("community of 0 octets", sound(attribute(8, b"")), False),
    ("originator from outside", sound(attribute(9, b"\0", 0x80)), True),
    ("cluster list from outside", sound(attribute(10, b"\0", 0x80)), True),
    ("extended community of 7", sound(attribute(16, b"\0" * 7)), False),
    ("large community of 13", sound(attribute(32, b"\0" * 13)), False),
    ("OTC of 1024", sound(attribute(35, b"\0" * 1024)), False),
    ("unknown well-known", sound(attribute(99, b"\0", 0x40)), False),
    ("unknown transitive", sound(attribute(99, b"\0")), True),
    ("last attribute overruns", sound() + b"\xc0\x08\x08\0\0", False),
    ("half a header", sound() + b"\xc0", False),
    ("two origins", sound(origin(1)), True),
]


def test_rfc7606(world):
    """The session stays whatever an attribute is like; the route stays only where RFC 7606 lets it."""
    p, _ = world(None, raw_protocol())
    r = world.raw(p)
    p.wait(lambda: p.ctl.established("raw"), "up")
    net = "198.18.7.0/24"
    for what, attributes, stays in CASES:
        r.update(sound(), [net])
        p.wait(lambda: p.ctl.best(net), "the route before")
        r.update(attributes, [net])
        r.update(sound(), ["198.18.8.0/24"])  # comes after it: when this is there, the other has been dealt with
        p.wait(lambda: p.ctl.best("198.18.8.0/24"), "the update behind")
        assert bool(p.ctl.best(net)) == stays, what
        r.update(withdrawn=["198.18.8.0/24"])
        p.wait(lambda: p.ctl.best("198.18.8.0/24") is None, "withdrawn")
        assert not r.closed and p.ctl.established("raw"), what
    assert not r.notifications()


@pytest.mark.parametrize("name", ["bird", "frr", "gobgp", "openbgpd"])
def test_unknown_attributes_pass_through_unharmed(world, name):
    """Random unknown transitive attributes, long and short, go through us to a second neighbour: both sessions stay, and the
    route arrives."""
    p, d = world(name, raw_protocol())
    r = world.raw(p)
    rnd = random.Random(7606)
    used = {14, 15, 22, 23, 24, 26, 29, 35, 40, 128}
    since = p.ctl.session_since("peer_v4")
    for i in range(60):
        codes = rnd.sample([c for c in range(36, 255) if c not in used], rnd.randrange(1, 5))
        more = b"".join(attribute(c, rnd.randbytes(rnd.choice((0, 1, 7, 255, 256, 700))), 0xC0 | rnd.choice((0, 0x20))) for c in sorted(codes))
        net = f"198.18.{i}.0/24"
        r.update(sound(more), [net])
        if i % 10 == 9:
            p.wait(lambda: d.paths(net), f"{net} at the second neighbour ({codes})")
    assert p.ctl.session_since("peer_v4") == since
    assert not r.closed and not r.notifications()


def test_known_attributes_mutated_never_leave_malformed(world):
    """Random damage to known attributes; what leaves for a second neighbour is sound, or it would say so."""
    p, d = world("bird", raw_protocol("raw") + raw_protocol("raw2", address="192.0.2.10", asn=RAW_AS + 1))
    p.lab.ip("peer", "addr", "add", "192.0.2.10/24", "dev", "cust0")
    out = world.raw(p, address="192.0.2.10", asn=RAW_AS + 1)
    r = world.raw(p)
    rnd = random.Random(1)
    good = sound(attribute(4, b"\0\0\0\1", 0x80), attribute(7, b"\0\0\xfd\xe7\1\1\1\1"), attribute(8, b"\0\1\0\2" * 3), attribute(16, b"\0\2\0\1\0\0\0\2"),
                 attribute(32, b"\0" * 12), attribute(99, b"hello"))
    for i in range(300):
        raw = bytearray(good)
        for _ in range(rnd.randrange(1, 4)):
            raw[rnd.randrange(len(raw))] = rnd.randrange(256)
        if r.closed:  # two MP_REACH or the like: a reset is what RFC 7606 wants then
            time.sleep(1.2)
            r = world.raw(p)
        try:
            r.update(bytes(raw), [f"198.19.{i % 250}.0/24"])
        except OSError:
            pass
    if r.closed:
        time.sleep(1.2)
        r = world.raw(p)
    r.update(sound(), ["198.18.1.0/24"])
    p.wait(lambda: d.paths("198.18.1.0/24"), "a sound route at the end")
    assert d.established() and not out.closed
    assert "Error" not in d.daemon.log_text() and "<RMT>" not in d.daemon.log_text()


def test_errors_are_reported_with_the_name(world):
    p, _ = world(None, raw_protocol())
    r = world.raw(p)
    r.update(sound(attribute(8, b"\0\0\0")), ["198.18.1.0/24"])
    p.logged(r"<RMT> raw: Malformed COMMUNITY attribute - invalid length \(3\)")
    r.update(sound(), ["127.0.0.0/8"])
    p.logged(r"<RMT> raw: Ignoring bogus route 127\.0\.0\.0/8")
    r.send(UPDATE, b"\0\0\0\0" + b"\x21\1\2\3\4\5")
    p.wait(r.notifications, "a NOTIFICATION")
    assert r.notifications()[0][:2] == bytes([3, 10])
    p.logged("raw: Error: Invalid network field")


def test_silent_reader_costs_only_itself(world):
    """A neighbour that reads nothing while there is a lot to say: the others go on, and it is dropped by the send hold timer."""
    many = "".join(f"route 100.{i >> 8 & 63 | 64}.{i & 255}.0/24 blackhole;" for i in range(0, 16000))
    extra = raw_protocol("raw", "hold time 6; send hold time 8;") + f"protocol static many {{ ipv4; {many} }}\n"
    p, d = world("bird", extra)
    r = world.raw(p, hold=240, read=False)
    r.s.setsockopt(1, 8, 2048)  # SO_RCVBUF
    p.wait(lambda: p.ctl.established("raw"), "up")
    end = time.monotonic() + 40
    flip = 0
    while time.monotonic() < end and "Send hold timer" not in p.info("raw"):
        # keep the stream coming, and our side from hearing nothing
        try:
            r.send(4)
        except OSError:
            break
        flip ^= 1
        p.ctl.cmd("disable many" if flip else "enable many")
        time.sleep(0.5)
    p.logged("raw: Error: Send hold timer expired")
    assert p.ctl.established("peer_v4", "peer_v6") and d.established()


def test_software_version_is_advertised(world):
    p, _ = world(None, raw_protocol(more="advertise software version;"))
    r = world.raw(p)
    assert b"\x4b" in r.open and b"peregrine/" in r.open


def test_unknown_neighbor_is_turned_away(world):
    p, _ = world(None, "")
    with pytest.raises((ConnectionError, OSError)):
        world.raw(p)
    p.logged(rf"Unexpected connect from unknown address {RAW}")


# ---- kinds of sessions ----

def test_route_server_is_transparent(world):
    extra = raw_protocol("raw", "rs client;").replace("export all", "export none")
    p, d = world("bird", extra, bgp="rs client; interpret communities off;", wait=False,
                 export="where proto = \"raw\"")
    p.wait(lambda: d.established(), "bird is up")
    r = world.raw(p)
    r.update(sound(attribute(4, (77).to_bytes(4, "big"), 0x80), attribute(8, b"\xff\xff\xff\x01")), ["198.18.5.0/24"])
    path = p.wait(lambda: d.paths("198.18.5.0/24"), "the route at the other client")[0]
    assert path["path"] == str(RAW_AS)  # not our AS
    assert path["nexthop"] == HOP and path["med"] == 77
    assert "65535:65281" in path["communities"]


def test_reflector(make_pair):
    """IBGP both sides: reflected with ORIGINATOR_ID and CLUSTER_LIST, next hop and path untouched."""
    p = make_pair(None)
    p.lab.ip("peer", "addr", "add", f"{RAW}/24", "dev", "cust0")
    d = DRIVERS["bird"](p.lab, asn=NODE_AS).start()
    extra = raw_protocol("raw", "rr client; direct; multihop 2;", asn=NODE_AS).replace("direct; multihop 2;", "")
    p.start(p.config(bfd="", peer_as=NODE_AS, bgp="rr client; rr cluster id 7.7.7.7;", extra=extra))
    p.wait(lambda: d.established(), "bird is up")
    r = Raw(p.lab, RAW, NODE[4], NODE_AS)
    try:
        r.update(origin() + as_path(65010) + next_hop(HOP) + attribute(5, (300).to_bytes(4, "big"), 0x40), ["198.18.5.0/24"])
        p.wait(lambda: d.paths("198.18.5.0/24"), "reflected")
        text = d.daemon.ctl.cmd("show route for 198.18.5.0/24 all")
        assert "BGP.originator_id: 192.0.2.9" in text and "BGP.cluster_list: 7.7.7.7" in text
        assert f"BGP.next_hop: {HOP}" in text and "BGP.as_path: 65010" in text and "BGP.local_pref: 300" in text
    finally:
        r.close()


BIRD_HEAD = f"""router id {PEER[4]};
protocol device {{ }}
protocol static s4 {{ ipv4; route {PEER_NET[4]} blackhole; }}
protocol static s6 {{ ipv6; route {PEER_NET[6]} blackhole; }}
"""


def bird_peer(p, text):
    d = DRIVERS["bird"](p.lab)
    d.daemon.start(f'log "{d.daemon.log_path}" all;\n' + BIRD_HEAD + text)
    return d


def link_local(p, role, ifname):
    return p.lab.link_local(role, ifname) if hasattr(p.lab, "link_local") else \
        p.lab.ip(role, "-6", "-o", "addr", "show", "dev", ifname, "scope", "link").split()[3].split("/")[0]


def test_link_local_session_with_extended_next_hop(make_pair):
    """One session between link-local addresses carries both families (RFC 8950)."""
    p = make_pair(None)
    node, peer = link_local(p, "node", "up0"), link_local(p, "peer", "cust0")
    d = bird_peer(p, f"""protocol bgp node_v6 {{ local {peer}%cust0 as {PEER_AS}; neighbor {node}%cust0 as {NODE_AS};
	connect delay time 1; connect retry time 2;
	ipv4 {{ import all; export all; extended next hop; }}; ipv6 {{ import all; export all; }}; }}
""")
    p.start(p.config(families=(), bfd="", extra=f"""protocol bgp ll {{ local as {NODE_AS}; neighbor {peer}%up0 as {PEER_AS};
	connect delay time 1; connect retry time 2;
	ipv4 {{ import all; export where source = RTS_STATIC; extended next hop; }}; ipv6 {{ import all; export where source = RTS_STATIC; }}; }}
"""))
    p.wait(lambda: p.ctl.established("ll"), "up")
    for f in FAMILIES:
        best = p.wait(lambda: p.ctl.best(PEER_NET[f]), f"{PEER_NET[f]} here")
        assert best["via"] == peer
        p.wait(lambda: d.paths(NODE_NET[f]), f"{NODE_NET[f]} there")
    assert "IPv6 nexthop: ipv4" in p.ctl.protocol_all("ll")
    assert f"Neighbor address: {peer}%up0" in p.ctl.protocol_all("ll")
    routes = p.lab.ip("node", "route", "show", PEER_NET[4])
    assert "inet6" in routes or "nhid" in routes


def unnumbered(p, more=""):
    """Ours for a link without addresses, and FRR at its other end, not started."""
    for role, dev in (("node", "up0"), ("peer", "cust0")):
        p.lab.ip(role, "-4", "addr", "flush", "dev", dev)
        p.lab.ip(role, "-6", "addr", "flush", "dev", dev, "scope", "global")
    return p.config(families=(), bfd="", extra=f"""protocol bgp far {{ local as {NODE_AS}; neighbor interface "up0" external;
	connect delay time 1; connect retry time 2; error wait time 1, 2; {more}
	ipv4 {{ import all; export where source = RTS_STATIC; extended next hop; }}; ipv6 {{ import all; export where source = RTS_STATIC; }}; }}
""")


FRR_UNNUMBERED = f"""router bgp {PEER_AS}
 bgp router-id {PEER[4]}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 bgp graceful-restart-disable
 neighbor cust0 interface remote-as external
 neighbor cust0 timers connect 1
""" + "".join(f" address-family ipv{f} unicast\n  neighbor cust0 activate\n  network {PEER_NET[f]}\n exit-address-family\n" for f in FAMILIES) + "exit\n"


@pytest.mark.skipif(not installed("frr"), reason="frr is not installed")
def test_neighbor_on_an_interface(make_pair):
    """FRR's `neighbor cust0 interface`: each finds the other by its router advertisements, on a link without addresses."""
    p = make_pair(None)
    config = unnumbered(p)
    p.start(config)
    assert "Neighbor on:      up0" in p.ctl.protocol_all("far")
    d = Frr(p.lab, "peer", bfdd=False)
    d.start(FRR_UNNUMBERED)
    p.peer_driver = d
    p.wait(lambda: p.ctl.established("far") and d.established("cust0"), "a session")
    peer = link_local(p, "peer", "cust0")
    assert f"Neighbor address: {peer}%up0" in p.ctl.protocol_all("far")
    for f in FAMILIES:
        best = p.wait(lambda: p.ctl.best(PEER_NET[f]), f"{PEER_NET[f]} here")
        assert best["via"] == peer
        p.wait(lambda: d.route(NODE_NET[f]), f"{NODE_NET[f]} there")
    p.wait(lambda: "nhid" in p.lab.ip("node", "route", "show", PEER_NET[4]), "the IPv4 route in the kernel")
    p.wait(lambda: "inet6 fe80" in p.lab.ip("peer", "route", "show", NODE_NET[4]), "the IPv4 route in FRR's kernel")
    # it goes, and comes back
    d.kill()
    p.wait(lambda: not p.ctl.established("far"), "the loss")
    d.start(FRR_UNNUMBERED)
    p.wait(lambda: p.ctl.established("far") and p.ctl.best(PEER_NET[4]), "the session again")
    p.ctl.cmd("restart far")
    p.wait(lambda: p.ctl.established("far") and p.ctl.best(PEER_NET[6]), "the session after a restart")


def test_multihop_with_ttl_security(make_pair):
    p = make_pair(None)
    p.lab.ip("node", "addr", "add", "10.9.9.1/32", "dev", "lo")
    p.lab.ip("peer", "addr", "add", "10.9.9.2/32", "dev", "lo")
    p.lab.ip("node", "route", "add", "10.9.9.2/32", "via", PEER[4])
    p.lab.ip("peer", "route", "add", "10.9.9.1/32", "via", NODE[4])
    d = bird_peer(p, f"""protocol bgp node_v4 {{ local 10.9.9.2 as {PEER_AS}; neighbor 10.9.9.1 as {NODE_AS}; multihop 2; ttl security;
	connect delay time 1; connect retry time 2; ipv4 {{ import all; export all; next hop self; }}; }}
""")
    config = p.config(families=(), bfd="", extra=f"""protocol direct {{ ipv4; }}
protocol bgp far {{ local 10.9.9.1 as {NODE_AS}; neighbor 10.9.9.2 as {PEER_AS}; multihop 2; ttl security;
	connect delay time 1; connect retry time 2; ipv4 {{ import all; export where source = RTS_STATIC; }}; }}
""")
    p.start(config)
    p.wait(lambda: p.ctl.established("far"), "up")
    p.wait(lambda: d.paths(NODE_NET[4]), "our route there")
    assert "external multihop" in p.ctl.protocol_all("far")
    # the neighbour sends with an ordinary TTL: nothing of it arrives
    p.ctl.cmd("disable far")
    d.daemon.configure(open(d.daemon.file(".conf"), encoding="utf-8").read().replace("ttl security;", ""))
    p.ctl.cmd("enable far")
    time.sleep(5)
    assert not p.ctl.established("far")


def test_dynamic_neighbors(make_pair):
    p = make_pair(None)
    d = DRIVERS["bird"](p.lab).start()
    p.start(p.config(families=(), bfd="", extra=f"""protocol bgp clients {{ local as {NODE_AS}; neighbor range 192.0.2.0/24 external; dynamic name "client"; dynamic name digits 2;
	ipv4 {{ import all; export all; }}; }}
protocol bgp clients6 {{ local as {NODE_AS}; neighbor range 2001:db8:1::/64 as {PEER_AS}; dynamic name "six";
	ipv6 {{ import all; export all; }}; }}
"""))
    assert p.ctl.protocols()["clients"]["info"].startswith("Passive")
    p.wait(lambda: p.ctl.established("client01", "six1") and d.established(), "spawned and up")
    for f in FAMILIES:
        p.wait(lambda: p.ctl.best(PEER_NET[f]), "the client's route")
        p.wait(lambda: d.paths(NODE_NET[f]), "ours there")
    assert "Neighbor address: 192.0.2.1" in p.ctl.protocol_all("client01")
    assert "Neighbor range:   192.0.2.0/24" in p.ctl.protocol_all("clients")
    d.daemon.stop()
    p.wait(lambda: "client01" not in p.ctl.protocols() and "six1" not in p.ctl.protocols(), "gone with its session")
    assert p.ctl.best(PEER_NET[4]) is None
    d.daemon.start(None)
    p.wait(lambda: any(n.startswith("client0") and x["state"] == "up" for n, x in p.ctl.protocols().items()), "back")
    p.ctl.cmd("disable clients")
    p.wait(lambda: not any(n.startswith("client0") for n in p.ctl.protocols()), "children go with the parent")


def test_dynamic_neighbors_with_md5(make_pair):
    """One password for a range; a neighbour with another one is not heard."""
    p = make_pair(None)
    d = DRIVERS["bird"](p.lab, md5="the-secret").start()
    ranges = "".join(f"""protocol bgp clients{f} {{ local as {NODE_AS}; neighbor range {net} external; dynamic name "c{f}n";
	authentication md5; password "%s"; ipv{f} {{ import all; export all; }}; }}
""" for f, net in ((4, "192.0.2.0/24"), (6, "2001:db8:1::/64")))
    p.start(p.config(families=(), bfd="", extra=ranges % ("another", "another")))
    p.wait(lambda: d.daemon.log_text().count("Connecting to") >= 4, "BIRD has tried")
    assert not [n for n in p.ctl.protocols() if re.match("c[46]n", n)]
    p.node.configure(p.config(families=(), bfd="", extra=ranges % ("the-secret", "the-secret")))
    p.wait(d.established, "both up")
    for f in FAMILIES:
        p.wait(lambda: p.ctl.best(PEER_NET[f]), "the client's route")
        p.wait(lambda: d.paths(NODE_NET[f]), "ours there")


LIMIT_ACTIONS = ("warn", "block", "restart", "disable")


def limit_protocols(limit):
    return {a: (f"192.0.2.{20 + i}", 65020 + i, limit + " action " + a) for i, a in enumerate(LIMIT_ACTIONS)}


@pytest.mark.parametrize("direction", ["receive", "import", "export"])
def test_limits(make_pair, direction):
    """Each direction's limit of 3 with each action, met by 5 routes."""
    p = make_pair(None)
    nets = [f"198.18.{i}.0/24" for i in range(5)]
    what = limit_protocols(f"{direction} limit 3")
    extra = "protocol static more { ipv4; " + "".join(f"route {n} blackhole; " for n in nets) + "}\n" if direction == "export" else ""
    for name, (address, asn, limit) in what.items():
        p.lab.ip("peer", "addr", "add", f"{address}/24", "dev", "cust0")
        channel = f"import all; export {'where proto = %s' % chr(34) + 'more' + chr(34) if direction == 'export' else 'none'}; {limit};"
        extra += raw_protocol(name, asn=asn, address=address, channel=channel)
    p.start(p.config(bfd="", families=(), extra=extra))
    raws = {n: Raw(p.lab, a, NODE[4], asn) for n, (a, asn, _) in what.items()}
    for n, r in raws.items():
        if direction != "export":
            r.update(sound(hop=what[n][0], asn=what[n][1]), nets)
        p.logged(rf"Protocol {n} hits route {direction} limit \(3\), action: {n}")

    def have(n):
        if direction == "export":
            return len(raws[n].announced()[0])
        return len(p.ctl.routes(f"protocol {n}"))
    p.wait(lambda: have("warn") == 5, "a warning, no more")
    p.wait(lambda: have("block") == 3 and (direction != "export" or raws["block"].announced()[1]), "the first three")
    for n in ("restart", "disable"):
        p.wait(lambda: raws[n].notifications(), "a NOTIFICATION")
        assert raws[n].notifications()[0][:2] == b"\x06\x01", "Cease, maximum number of prefixes"
    p.wait(lambda: p.ctl.protocols()["disable"]["state"] == "down", "stays down")
    assert "Route limit exceeded" in p.info("disable")
    def back():
        raws["restart"] = Raw(p.lab, what["restart"][0], NODE[4], what["restart"][1])
        return True
    p.wait(back, "the restarted one may come back")  # turned away until its error wait is over: ConnectionError
    if direction == "receive":  # blocked ones were not kept: fewer routes make room for others
        raws["block"].update(withdrawn=nets[:1])
        raws["block"].update(sound(hop=what["block"][0], asn=what["block"][1]), nets[4:])
        p.wait(lambda: p.ctl.best(nets[4]) and have("block") == 3, "room for another")
    assert not raws["warn"].notifications() and not raws["block"].notifications()
    for r in raws.values():
        r.close()


INSIDE = "192.0.2.20"


def test_aigp_between_daemons(world):
    """AIGP to BIRD and from it, where both sides have it switched on: begun with a route's metric, carried and added to
    (RFC 7311)."""
    p = world.pair(None)
    d = DRIVERS["bird"](p.lab)
    config = d.config().replace("ipv4 { import all;", "ipv4 { import all; aigp originate;") \
        .replace(f"route {PEER_NET[4]} blackhole;", f"route {PEER_NET[4]} blackhole {{ igp_metric = 700; }};")
    assert config.count("aigp originate") == config.count("igp_metric = 700") == 1
    d.daemon.start(config)
    own = "route 198.18.7.0/24 blackhole { igp_metric = 600; }; route 198.18.8.0/24 blackhole;"
    extra = raw_protocol(channel="aigp on; import all; export all;") + "protocol static metrics { ipv4; %s }\n" % own
    extra += raw_protocol("inside", asn=NODE_AS, address=INSIDE)
    extra += f"protocol static ways {{ ipv4; route 10.9.9.0/24 via {HOP} {{ igp_metric = 600; }}; # way\n }}\n"
    p.lab.ip("peer", "addr", "add", f"{INSIDE}/24", "dev", "cust0")
    text = p.config(bfd="", extra=extra)
    text = text.replace("ipv4 { import all; export all; };", "ipv4 { aigp originate; next hop self; import all; export all; };", 1)
    p.start(text)
    p.wait(lambda: p.ctl.established("peer_v4", "peer_v6") and d.established(), "sessions")
    assert p.wait(lambda: p.ctl.best(PEER_NET[4]), "a route")["attrs"].get("BGP.aigp") == "700"
    raw = world.raw(p)
    raw.update(sound(attribute(26, b"\x01\x00\x0b" + (40).to_bytes(8, "big"), 0x80)), ["198.18.9.0/24"])

    def there(net):
        p.wait(lambda: d.daemon.ctl.best(net), f"{net} at BIRD")
        return d.daemon.ctl.best(net)["attrs"].get("BGP.aigp")
    assert there("198.18.7.0/24") == "600"
    assert there("198.18.8.0/24") is None, "no metric to begin with"
    assert there("198.18.9.0/24") == "41", "our distance to the old next hop is added"
    # a recursive next hop (internal neighbours' are): how far it is counts, and counts anew when that changes
    inside = world.raw(p, address=INSIDE, asn=NODE_AS)
    inside.update(origin() + as_path() + next_hop("10.9.9.9") + attribute(5, (100).to_bytes(4, "big"), 0x40) +
                  attribute(26, b"\x01\x00\x0b" + (40).to_bytes(8, "big"), 0x80), ["198.18.10.0/24"])
    assert there("198.18.10.0/24") == "640"
    p.node.configure(text.replace("igp_metric = 600; }; # way", "igp_metric = 300; };"))
    p.wait(lambda: there("198.18.10.0/24") == "340", "a shorter way")
    # AIGP is off between autonomous systems unless asked for
    assert "BGP.aigp" not in p.wait(lambda: p.ctl.best(PEER_NET[6]), "the other family")["attrs"]


def test_graceful_shutdown(world):
    """RFC 8326 as options. `graceful shutdown`: the neighbour is told, what we have from it is the last choice, the session stays.
    `graceful shutdown receive`: the same when the neighbour tells us."""
    p = world.pair(None)
    d = DRIVERS["frr"](p.lab).start()  # which heeds it by itself
    p.start(p.config(bfd=""))
    p.wait(lambda: p.ctl.established("peer_v4", "peer_v6") and d.established(), "sessions")
    since = p.ctl.session_since("peer_v4")

    def state(f):
        """(LOCAL_PREF of the peer's route here, whether ours has the community there, LOCAL_PREF of ours there)"""
        mine, theirs = p.ctl.best(PEER_NET[f]), d.daemon.route(NODE_NET[f])
        if not mine or not theirs:
            return None
        return int(mine["attrs"]["BGP.local_pref"]), "graceful-shutdown" in (theirs[0]["community"] or ""), theirs[0]["localpref"]

    def both(want, what):
        p.wait(lambda: [state(f) for f in FAMILIES] == [want] * 2, what)
    p.wait(lambda: all(state(f) and state(f)[:2] == (100, False) for f in FAMILIES), "nothing special")
    p.node.configure(p.config(bfd="", bgp="graceful shutdown;"))
    both((0, True, 0), "we are about to go")
    p.node.configure(p.config(bfd="", bgp="graceful shutdown receive;"))
    p.wait(lambda: all(state(f) and state(f)[:2] == (100, False) for f in FAMILIES), "we are not")
    d.daemon.vtysh("configure", f"router bgp {PEER_AS}", "bgp graceful-shutdown")
    p.wait(lambda: all((state(f) or [None])[0] == 0 for f in FAMILIES), "FRR is about to go")
    d.daemon.vtysh("configure", f"router bgp {PEER_AS}", "no bgp graceful-shutdown")
    p.wait(lambda: all((state(f) or [None])[0] == 100 for f in FAMILIES), "it is not")
    assert p.ctl.session_since("peer_v4") == since


def test_other_ports_passive_and_strict_bind(make_pair):
    p = make_pair(None)
    d = bird_peer(p, f"""protocol bgp node_v4 {{ local {PEER[4]} port 1790 as {PEER_AS}; neighbor {NODE[4]} port 1179 as {NODE_AS};
	connect delay time 1; connect retry time 2; ipv4 {{ import all; export all; }}; }}
""")
    p.start(p.config(families=(), bfd="", extra=f"""protocol bgp odd {{ local {NODE[4]} port 1179 as {NODE_AS}; neighbor {PEER[4]} port 1790 as {PEER_AS};
	strict bind; passive; ipv4 {{ import all; export all; }}; }}
"""))
    p.wait(lambda: p.ctl.established("odd"), "up")
    p.wait(lambda: d.paths(NODE_NET[4]), "our route there")
    listening = p.lab.run("node", "ss", "-Hltn")
    assert f"{NODE[4]}:1179" in listening and ":179 " not in listening


def test_interface_goes_down(make_pair):
    """`check link`: without waiting for the hold timer."""
    p = make_pair(None)
    DRIVERS["bird"](p.lab).start()
    p.start(p.config(bfd=""))
    p.wait(lambda: p.ctl.established("peer_v4", "peer_v6"), "up")
    p.lab.ip("node", "link", "set", "up0", "down")
    p.wait(lambda: not p.ctl.established("peer_v4"), "down", limit=5)
    p.wait(lambda: p.info("peer_v4").startswith("Idle") and ("Link down" in p.info("peer_v4") or "Neighbor lost" in p.info("peer_v4")), "says why")
    p.lab.ip("node", "link", "set", "up0", "up")
    p.lab.ip("node", "addr", "replace", f"{NODE[6]}/64", "dev", "up0", "nodad")
    p.wait(lambda: p.ctl.established("peer_v4", "peer_v6"), "back")


def test_confederation(make_pair):
    """Member AS 65010 of confederation 64500; the neighbour is member 65011."""
    p = make_pair(None)
    d = bird_peer(p, f"""protocol bgp node_v4 {{ local {PEER[4]} as 65011; neighbor {NODE[4]} as 65010; confederation 64500; confederation member;
	connect delay time 1; connect retry time 2; ipv4 {{ import all; export filter {{ bgp_local_pref = 250; accept; }}; }}; }}
""")
    p.lab.ip("peer", "addr", "add", f"{RAW}/24", "dev", "cust0")
    raw = raw_protocol("raw").replace(f"local {NODE[4]} as {NODE_AS};", f"local {NODE[4]} as 65010; confederation 64500;")
    p.start(p.config(families=(), bfd="", extra=raw + f"""protocol bgp member {{ local {NODE[4]} as 65010; neighbor {PEER[4]} as 65011; confederation 64500; confederation member;
	connect delay time 1; connect retry time 2; ipv4 {{ import all; export all; }}; }}
"""))
    p.wait(lambda: p.ctl.established("member"), "up")
    best = p.wait(lambda: p.ctl.best(PEER_NET[4]), "its route")
    assert best["attrs"]["BGP.as_path"] == "(65011)" and best["attrs"]["BGP.local_pref"] == "250"
    p.wait(lambda: d.paths(NODE_NET[4]), "ours there")
    assert d.paths(NODE_NET[4])[0]["path"] == "(65010)"
    r = Raw(p.lab, RAW, NODE[4], RAW_AS)
    try:
        p.wait(lambda: any(nlri(PEER_NET[4]) in b and b"\x02\x01" + (64500).to_bytes(4, "big") in b for k, b in r.got if k == UPDATE),
               "outside only the confederation's number is seen")
        assert not any((65011).to_bytes(4, "big") in b for k, b in r.got if k == UPDATE)
    finally:
        r.close()


def test_tcp_ao_is_refused_in_one_line(make_pair):
    p = make_pair(None)
    p.start(p.config(families=(), bfd=""))
    with pytest.raises(Exception) as e:
        p.node.configure(p.config(families=(), bfd="", extra=raw_protocol("raw", 'authentication ao; keys { key { id 1; secret "x"; algorithm hmac sha1; }; };')))
    assert "TCP-AO is not supported by this kernel" in str(e.value)
    assert "raw" not in p.ctl.protocols()


def test_hold_time_zero(make_pair):
    """No keepalives at all, by agreement."""
    p = make_pair(None)
    p.lab.ip("peer", "addr", "add", f"{RAW}/24", "dev", "cust0")
    p.start(p.config(families=(), bfd="", extra=raw_protocol("raw", "hold time 0;")))
    r = Raw(p.lab, RAW, NODE[4], RAW_AS, hold=90)
    try:
        p.wait(lambda: p.ctl.established("raw"), "up")
        assert "Hold timer:       0.000/0" in p.ctl.protocol_all("raw")
        time.sleep(3)
        assert p.ctl.established("raw") and not any(k == 4 for k, _ in r.got)
    finally:
        r.close()


def test_many_sessions(make_pair):
    """Three hundred neighbours at once, each with a route of its own that all others get."""
    n = 300
    p = make_pair(None)
    batch = "".join(f"addr add 10.77.{i // 250}.{i % 250 + 2}/16 dev cust0\n" for i in range(n))
    p.lab.ip("peer", "-batch", "-", input=batch)
    p.lab.ip("node", "addr", "add", "10.77.255.1/16", "dev", "up0")
    extra = f"""protocol bgp clients {{ local as {NODE_AS}; neighbor range 10.77.0.0/16 external; rs client; dynamic name "c"; hold time 60;
	ipv4 {{ import all; export all; }}; }}
"""
    p.start(p.config(families=(), bfd="", extra=extra))
    raws = []
    try:
        for i in range(n):
            a = f"10.77.{i // 250}.{i % 250 + 2}"
            r = Raw(p.lab, a, "10.77.255.1", 65000 + i)
            r.update(origin() + as_path(65000 + i) + next_hop(a), [f"100.{64 + i // 250}.{i % 250}.0/24"])
            raws.append(r)
        p.wait(lambda: p.ctl.established(*[f"c{i + 1}" for i in range(n)]), "all up")
        want = [nlri(f"100.{64 + i // 250}.{i % 250}.0/24") for i in range(n)]

        def complete():
            for k, r in enumerate(raws):
                seen = b"".join(b for t, b in r.got if t == UPDATE)
                if not all(w in seen for i, w in enumerate(want) if i != k):
                    return False
            return True
        p.wait(complete, "everybody has everybody else's route", limit=60)
        assert not any(r.closed or r.notifications() for r in raws)
    finally:
        for r in raws:
            r.close()


def test_bfd_strict(make_pair):
    """BIRD does not know the capability; without its BFD the session ends in OpenConfirm, and comes up with it."""
    p = make_pair("bird", bfd=False)
    p.start(bfd="bfd strict hold time 2;")
    p.logged("peer_v4: BFD session not up in 2 s")
    p.wait(lambda: re.search(r"node_v4: Received: .*", p.peer.daemon.log_text()), "BIRD is told")
    assert "BGP session established" not in p.node.log_text()
    p.peer.bfd = True
    p.peer.daemon.configure(p.peer.config())
    p.up()


GR_CAPABILITIES = (b"\x01\x04\x00\x01\x00\x01" + b"\x02\x00" + b"\x41\x04%s" +
                   b"\x40\x06\x00\x78\x00\x01\x01\x80")  # 120 s, IPv4 unicast kept


def gr_of(open_message):
    """The flags and the families of the graceful restart capability in an OPEN."""
    rest = open_message[10:]
    while rest:
        caps, rest = rest[2:2 + rest[1]], rest[2 + rest[1]:]
        while caps:
            code, value, caps = caps[0], caps[2:2 + caps[1]], caps[2 + caps[1]:]
            if code == 64:
                return value[0] >> 4, {(int.from_bytes(value[i:i + 2], "big"), value[i + 2]): value[i + 3] for i in range(2, len(value), 4)}
    return None


def test_our_restart_on_the_wire(make_pair):
    """What a restarted speaker owes its neighbours (RFC 4724 section 4.1): R and F bits, no routes before it has heard all of
    them, then its routes, then End-of-RIB, and no withdrawal."""
    p = make_pair(None)
    addresses = {"a": ("192.0.2.9", 64998), "b": ("192.0.2.10", 64999)}
    for address, _ in addresses.values():
        p.lab.ip("peer", "addr", "add", f"{address}/24", "dev", "cust0")
    extra = "".join(raw_protocol(n, "graceful restart on;", asn=asn, address=a).replace("ipv6 { import all; export all; };", "")
                    for n, (a, asn) in addresses.items())
    p.start(p.config(bfd="", families=(), extra=extra))

    def speaker(name):
        address, asn = addresses[name]
        return Raw(p.lab, address, NODE[4], asn, capabilities=GR_CAPABILITIES % asn.to_bytes(4, "big"))

    def say(raw, name, net):
        raw.update(sound(hop=addresses[name][0], asn=addresses[name][1]), [net])
        raw.update()  # End-of-RIB
    nets = {"a": "198.18.1.0/24", "b": "198.18.2.0/24"}
    first = {n: speaker(n) for n in addresses}
    for n, r in first.items():
        assert gr_of(r.open) == (4, {(1, 1): 0}), "R bit is not set, N is; nothing was kept"
        say(r, n, nets[n])
    p.wait(lambda: first["a"].announced() == ({NODE_NET[4], nets["b"]}, True) and first["b"].announced() == ({NODE_NET[4], nets["a"]}, True), "routes")
    p.node.kill_control()
    p.node.start_control()
    again = {n: speaker(n) for n in addresses}
    for r in again.values():
        assert gr_of(r.open) == (12, {(1, 1): 0x80}), "R, N; F: what was forwarded still is"
    p.wait(lambda: p.ctl.established(*addresses), "sessions back")
    say(again["a"], "a", nets["a"])
    p.wait(lambda: p.ctl.best(nets["a"]), "the first one's route")
    assert not [k for r in again.values() for k, _ in list(r.got) if k == UPDATE], "nothing is sent before the second one is heard"
    say(again["b"], "b", nets["b"])
    p.wait(lambda: all(r.announced()[1] for r in again.values()), "End-of-RIB")
    assert again["a"].announced()[0] == {NODE_NET[4], nets["b"]} and again["b"].announced()[0] == {NODE_NET[4], nets["a"]}
    for r in again.values():
        updates = [body for k, body in list(r.got) if k == UPDATE]
        assert updates.index(bytes(4)) == len(updates) - 1, "End-of-RIB is the last"
        assert all(body[:2] == bytes(2) for body in updates), "nothing is withdrawn"
        assert not r.notifications()
    for r in [*first.values(), *again.values()]:
        r.close()


def test_long_lived_stale_routes(world):
    """BIRD is gone for longer than its restart time (RFC 9494): its routes stay, marked, but those with NO_LLGR; who does not know of
    it is not told them; then their time is over."""
    p = world.pair(None)
    kept, not_kept = "198.18.70.0/24", "198.18.71.0/24"
    d = DRIVERS["bird"](p.lab, gr=True, llgr=6, nets={4: [kept, not_kept], 6: [PEER_NET[6]]})
    text = d.config().replace("export filter {", f"export filter {{ if net = {not_kept} then bgp_community.add((65535, 7));")
    d.daemon.start(text)
    p.start(p.config(bfd="", bgp="graceful restart on; long lived graceful restart on;", extra=raw_protocol()))
    raw = world.raw(p)
    p.wait(lambda: {kept, not_kept} <= raw.announced()[0], "both are passed on")
    d.kill()

    def marked():
        r = p.ctl.best(kept)
        return r and "(65535,6)" in r["attrs"].get("BGP.community", "").replace(" ", "")
    p.wait(marked, "LLGR_STALE")
    p.wait(lambda: p.ctl.best(not_kept) is None, "NO_LLGR")
    p.wait(lambda: not {kept, not_kept} & raw.announced()[0], "withdrawn from who does not know LLGR")
    assert p.ctl.best(kept), "still here"
    p.wait(lambda: p.ctl.best(kept) is None and p.ctl.best(PEER_NET[6]) is None, "their time is over")
    p.logged("peer_v4: Long-lived stale timeout")


def test_enhanced_refresh(world):
    """RFC 7313 both ways: what we send again is between its marks; what the neighbour does not send again goes."""
    p, _ = world(None, raw_protocol())
    caps = b"\x01\x04\x00\x01\x00\x01" + b"\x02\x00" + b"\x46\x00" + b"\x41\x04" + RAW_AS.to_bytes(4, "big")
    r = world.raw(p, capabilities=caps)
    begin, end = b"\x00\x01\x01\x01", b"\x00\x01\x02\x01"
    p.wait(lambda: r.announced()[1], "the first table")
    n = len(r.got)
    r.send(REFRESH, b"\x00\x01\x00\x01")
    p.wait(lambda: (REFRESH, end) in r.got[n:], "END-OF-RR")
    again = [m for m in r.got[n:] if m[0] in (REFRESH, UPDATE)]
    assert again[0] == (REFRESH, begin) and again[-1] == (REFRESH, end)
    assert [m for m in again[1:-1] if m[0] == UPDATE and nlri(NODE_NET[4]) in m[1]], "our route is between the marks"
    nets = ["198.18.1.0/24", "198.18.2.0/24"]
    r.update(sound(), nets)
    r.update()  # End-of-RIB: marks before it are ignored
    p.wait(lambda: all(p.ctl.best(x) for x in nets), "two routes")
    n = len(r.got)
    p.ctl.cmd("reload in raw")
    p.wait(lambda: (REFRESH, b"\x00\x01\x00\x01") in r.got[n:], "we ask")
    r.send(REFRESH, begin)
    r.update(sound(), nets[:1])
    r.send(REFRESH, end)
    p.wait(lambda: p.ctl.best(nets[1]) is None, "what was not sent again is gone")
    assert p.ctl.best(nets[0]) and p.ctl.established("raw")


def paths_of(r, prefix):
    """{path id: last two octets of the community} of a prefix that a Raw neighbour with ADD-PATH for IPv4 has been told."""
    want, now = nlri(prefix), {}

    def ids(data):
        while data:
            end = 5 + (data[4] + 7) // 8
            if data[4:end] == want:
                yield int.from_bytes(data[:4], "big")
            data = data[end:]
    for kind, body in list(r.got):
        if kind != UPDATE:
            continue
        w = int.from_bytes(body[:2], "big")
        a = int.from_bytes(body[2 + w:4 + w], "big")
        at = body.find(b"\xc0\x08\x04", 4 + w, 4 + w + a)
        number = int.from_bytes(body[at + 5:at + 7], "big") if at >= 0 else 0
        for i in ids(body[2:2 + w]):
            now.pop(i, None)
        for i in ids(body[4 + w + a:]):
            now[i] = number
    return now


def test_paths_limit(world):
    """A neighbour that wants two paths of a prefix is told the best two; one that wants three or any number, what we choose. What we want is in our OPEN."""
    more = "".join(f"protocol static more{n} {{ ipv4 {{ preference {200 - n}; import filter {{ bgp_community.add((64500, {n})); accept; }}; }}; route 10.77.0.0/16 unreachable; }}\n"
                   for n in range(1, 5))
    asns = {RAW: RAW_AS, "192.0.2.10": 64998, "192.0.2.11": 64997}
    channel = "import all; export all; add paths on; add paths send all limit 3; add paths receive limit 515;"
    p, _ = world(None, extra=more + "".join(raw_protocol(f"raw{n}", channel=channel.replace("limit 515", f"limit {515 + n}"), asn=asn, address=a)
                                            .replace("ipv6 {", "ipv6 { import none; export none; }; #")
                                            for n, (a, asn) in enumerate(asns.items())), wait=False)
    limits = {RAW: 2, "192.0.2.10": 3, "192.0.2.11": 0}  # 0: as if it was not said
    r = {}
    for n, (a, asn) in enumerate(asns.items()):
        if a != RAW:
            p.lab.ip("peer", "addr", "add", f"{a}/24", "dev", "cust0")
        caps = b"\x01\x04\0\1\0\1" + b"\x41\x04" + asn.to_bytes(4, "big") + b"\x45\x04\0\1\1\1" + b"\x4c\x05\0\1\1" + limits[a].to_bytes(2, "big")
        r[a] = world.raw(p, address=a, asn=asn, capabilities=caps)
        assert b"\x4c\x05\0\1\1" + (515 + n).to_bytes(2, "big") in r[a].open
    text = p.ctl.cmd("show protocols all raw0")
    assert "Paths limit: ipv4 515" in text and "Paths limit: ipv4 2" in text

    def has(*numbers):
        for a in asns:
            want = list(numbers[:limits[a] or 3])
            p.wait(lambda: sorted(paths_of(r[a], "10.77.0.0/16").values()) == want, f"{a} has {want}: {paths_of(r[a], '10.77.0.0/16')}")
    has(1, 2, 3)
    p.ctl.cmd("disable more1")
    has(2, 3, 4)
    p.ctl.cmd("enable more1")
    has(1, 2, 3)
    p.ctl.cmd("disable more3")
    p.ctl.cmd("disable more2")
    has(1, 4)
    assert not any(x.closed for x in r.values())
