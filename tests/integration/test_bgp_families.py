# SPDX-License-Identifier: BSD-2-Clause
"""Families whose destinations are no prefixes, through a route server: what BIRD, FRR, GoBGP and ExaBGP make of each other's
flow specifications with us between them."""
import re

import pytest
from netlab import Bird, ExaBgp, Frr, GoBgp, gobgp_config, gobgp_neighbor, have, make_node
from netlab.proc import wait_for

pytestmark = pytest.mark.ours
NODE_AS = 64500
NUMBERS = {"bird": 1, "gobgp": 2, "exabgp": 3, "frr": 4, "bird2": 5}

# The last is 245 bytes: a length of two bytes. ExaBGP 4.2.21 reads those up to 255 right, GoBGP 3.10 none.
RULES4 = ["flow4 { dst 10.0.0.0/8; proto 6; dport > 24 && < 30 || 40..50,60..70,80; }",
          "flow4 { dst 10.1.0.0/16; src 10.2.3.4/32; tcp flags 0x3/0x3 && 0x0/0xc; length 2048..65535; "
          "fragment dont_fragment && is_fragment || !first_fragment; }",
          "flow4 { src 10.7.0.0/16; icmp type 8; icmp code != 3; dscp 5; }",
          "flow4 { dst 10.9.0.0/16; port " + ",".join(str(p) for p in range(1000, 1080)) + "; }"]
RULES6 = ["flow6 { dst 2001:db8::/32; next header 17; label 77; }",
          "flow6 { dst 2001:db8:1::/48; src 2001:db8:2::/48; sport 53; }"]


def address(name, v=4):
    n = NUMBERS[name]
    return f"10.250.{n}.2" if v == 4 else f"2001:db8:{n}::2"


def ours(name, v=4):
    return address(name, v)[:-1] + "1"


class Star:
    """The node in the middle, a link to each of the daemons named."""

    def __init__(self, lab, *names):
        self.lab = lab
        lab.add("node", *names)
        for i, name in enumerate(names):
            lab.link(f"l{i}", ("node", f"to{i}", [f"{ours(name)}/24", f"{ours(name, 6)}/64"]),
                     (name, "up0", [f"{address(name)}/24", f"{address(name, 6)}/64"]))
        self.names = names
        self.node = make_node(lab, "node")
        self.ctl = self.node.ctl
        self.daemons = {}

    def dead(self):
        return self.node.dead() or next((d.dead() for d in self.daemons.values() if d.dead()), None)

    def wait(self, fact, what, limit=45.0):
        return wait_for(fact, what, limit=limit, failed=self.dead)

    def config(self, tables, channels, options="rs client;"):
        """channels: for all, or {name: channels}"""
        text = f'log "{self.node.log_path}" all;\nrouter id 10.250.0.1;\nprotocol device {{ }}\n{tables}\n'
        for n in self.names:
            text += f"""protocol bgp {n} {{ local {ours(n)} as {NODE_AS}; neighbor {address(n)} as {64600 + NUMBERS[n]};
	hold time 9; connect delay time 1; connect retry time 2; error wait time 1, 3; {options}
	{channels[n] if isinstance(channels, dict) else channels} }}
"""
        return text

    def up(self):
        self.wait(lambda: self.ctl.established(*self.names), "sessions Established")

    def bird(self, tables, channels, name="bird", options=""):
        b = self.daemons[name] = Bird(self.lab, name)
        b.start(f"""log "{b.log_path}" all;
router id {address(name)};
debug protocols {{ states, events, packets }};
protocol device {{ }}
{tables}
protocol bgp node {{ local as {64600 + NUMBERS[name]}; neighbor {ours(name)} as {NODE_AS};
	hold time 9; connect delay time 1; connect retry time 2; error wait time 1, 3; enforce first as off; {options}
	{channels} }}
""")
        return b

    def gobgp(self, *families):
        g = self.daemons["gobgp"] = GoBgp(self.lab, "gobgp")
        g.start(gobgp_config(64600 + NUMBERS["gobgp"], address("gobgp"), gobgp_neighbor(ours("gobgp"), NODE_AS, families)))
        return g

    def exabgp(self, families, routes):
        x = self.daemons["exabgp"] = ExaBgp(self.lab, "exabgp")
        x.start(f"""neighbor {ours('exabgp')} {{
	router-id {address('exabgp')};
	local-address {address('exabgp')};
	local-as {64600 + NUMBERS['exabgp']};
	peer-as {NODE_AS};
	hold-time 9;
	family {{ {families} }}
	api {{ processes [ sink ]; neighbor-changes; receive {{ parsed; update; }} }}
	{routes}
}}
""")
        return x

    def frr(self, families):
        f = self.daemons["frr"] = Frr(self.lab, "frr", bfdd=False)
        f.start(f"""router bgp {64600 + NUMBERS['frr']}
 bgp router-id {address('frr')}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp enforce-first-as
 timers bgp 3 9
 neighbor {ours('frr')} remote-as {NODE_AS}
 neighbor {ours('frr')} timers connect 1
 neighbor {ours('frr')} advertisement-interval 0
{families}
exit
""")
        return f

    def heard(self):
        """All that ExaBGP was told, as it writes it."""
        with open(self.daemons["exabgp"].file(".json"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def nets(self, ctl, table, attributes=False):
        """{destination: text of its attributes, as they are printed} of a table."""
        found, net = {}, None
        for line in ctl.cmd(f"show route table {table}" + (" all" if attributes else "")).splitlines():
            m = re.match(r"(\S.*?) +\w* ?\[\S+ ", line)
            if m:
                net = m.group(1)
                found[net] = ""
            elif net and line.startswith("\t"):
                found[net] += line.strip() + "\n"
        return found


@pytest.fixture
def star(lab):
    return lambda *names: Star(lab, *names)


def installed(*programs):
    missing = [p for p in programs if not have(p)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


FLOW_TABLES = "flow4 table f4; flow6 table f6;"
FLOW = "flow4 { table f4; import all; export all; }; flow6 { table f6; import all; export all; };"
STATIC = "protocol static s{v} {{ flow{v} {{ table f{v}; }}; {routes} }}\n"
ACTIONS = "bgp_ext_community.add((generic, 0x80060000, 0x0)); bgp_ext_community.add((rt, 64500, 9));"


def statics():
    # BIRD's text is read by BIRD and by us
    routes = {4: [f"route {r} {{ {ACTIONS} }};" for r in RULES4], 6: [f"route {r};" for r in RULES6]}
    return "".join(STATIC.format(v=v, routes="\n".join(routes[v])) for v in (4, 6))


@installed("exabgp", "gobgpd")
def test_flow_route_server(star):
    """BIRD's rules arrive at ExaBGP, GoBGP and a second BIRD, ExaBGP's and GoBGP's at BIRD, byte for byte as both print them."""
    s = star("bird", "gobgp", "exabgp", "bird2")
    bird = s.bird(FLOW_TABLES + statics(), FLOW)
    other = s.bird(FLOW_TABLES, FLOW, name="bird2")
    gobgp = s.gobgp("ipv4-flowspec", "ipv6-flowspec")
    s.exabgp("ipv4 flow; ipv6 flow;", """flow { route {
		match { source 10.11.0.0/16; destination 10.12.0.0/16; protocol tcp; destination-port [ =80 =443 ]; tcp-flags syn; }
		then { rate-limit 9600; } } }""")
    short_only = FLOW.replace("export all", "export where net.dst != 10.9.0.0/16", 1)
    s.node.start(s.config(FLOW_TABLES, {n: short_only if n == "gobgp" else FLOW for n in s.names}))
    s.up()
    gobgp.gobgp("global", "rib", "-a", "ipv4-flowspec", "add", "match", "destination", "10.20.0.0/24", "protocol", "udp", "then", "discard")
    gobgp.gobgp("global", "rib", "-a", "ipv6-flowspec", "add", "match", "destination", "2001:db8:20::/48", "port", "==53", "then", "discard")
    theirs4 = {"flow4 { dst 10.12.0.0/16; src 10.11.0.0/16; proto 6; dport 80,443; tcp flags !0x0/0x2; }",
               "flow4 { dst 10.20.0.0/24; proto 17; }"}
    # `any of these flags` is what ExaBGP asks for
    want4, want6 = {*RULES4[:3]} | theirs4, {*RULES6, "flow6 { dst 2001:db8:20::/48; port 53; }"}

    def short(nets):  # what is longer than a line is cut, in each at its own place
        return {n for n in nets if "..." not in n and len(n) < 300}
    for ctl in (s.ctl, bird.ctl, other.ctl):
        s.wait(lambda c=ctl: short(s.nets(c, "f4")) == want4 and short(s.nets(c, "f6")) == want6, "all rules everywhere")
    assert len(s.nets(other.ctl, "f4")) == len(want4) + 1  # and the long one
    # The same attributes at us and, through us, at the second BIRD (what differs is said of the session, not of the rule).
    us, them = s.nets(s.ctl, "f4", True), s.nets(other.ctl, "f4", True)
    for net in want4:
        assert "BGP.ext_community:" in us[net], us[net]
        assert us[net].replace("BGP.local_pref: 100\n", "") == them[net].replace("BGP.local_pref: 100\n", ""), net
        assert "next_hop" not in them[net]
    assert "(generic, 0x80060000, 0x0)" in them[RULES4[0]] and "(rt, 64500, 9)" in them[RULES4[0]]
    # The whole of the long one, in JSON: BIRD's text of it is longer than its lines.
    assert RULES4[3] in {r["network"] for r in s.node.client("show", "route", "table", "f4")["routes_shown"]}
    # What others make of BIRD's.
    at_gobgp = ("[destination: 10.0.0.0/8]", "[source: 10.7.0.0/16]", "[packet-length: >=2048&<=65535]", "[destination: 10.12.0.0/16]")
    s.wait(lambda: all(x in gobgp.gobgp("global", "rib", "-a", "ipv4-flowspec") for x in at_gobgp), "GoBGP has the short rules")
    s.wait(lambda: '"destination-ipv4": [ "10.9.0.0/16" ]' in s.heard(), "ExaBGP has BIRD's rules")
    # Withdrawn by who announced it, for all; the others stay.
    bird.ctl.cmd("disable s4")
    for ctl in (s.ctl, other.ctl):
        s.wait(lambda c=ctl: set(s.nets(c, "f4")) == theirs4, "BIRD's rules are withdrawn")
    assert short(s.nets(other.ctl, "f6")) == want6
    assert s.ctl.established(*s.names)


VPN_TABLES = "vpn4 table v4; vpn6 table v6;"
VPN = "vpn4 mpls { table v4; import all; export all; }; vpn6 mpls { table v6; import all; export all; };"


@installed("gobgpd")
def test_vpn_route_server(star):
    """L3VPN routes of BIRD, FRR and GoBGP at each other: distinguisher, label, route target and next hop as they were."""
    s = star("bird", "gobgp", "frr")
    bird = s.bird(VPN_TABLES + f"""
protocol static s4 {{ vpn4 {{ table v4; }}; route 65001:1 10.1.0.0/16 via 10.250.1.77 mpls 1001 {{ bgp_ext_community.add((rt, 65001, 1)); }}; }}
protocol static s6 {{ vpn6 {{ table v6; }}; route 65001:1 2001:db8:a::/48 via 2001:db8:1::77 mpls 1002; }}
""", VPN, options="multihop 2;")  # its next hops are looked up: they are on no network of its own
    gobgp = s.gobgp("l3vpn-ipv4-unicast", "l3vpn-ipv6-unicast")
    af = f"""  neighbor {ours('frr')} activate
  network 10.3.0.0/16 rd 65003:3 label 3003
 exit-address-family"""
    frr = s.frr(f" address-family ipv4 vpn\n{af}")
    tables = VPN_TABLES + f"protocol static own {{ vpn4 {{ table v4; }}; route 64500:9 10.9.0.0/16 via {address('frr')} mpls 909; }}"
    # FRR tells us what it has of the others
    s.node.start(s.config(tables, {n: VPN.replace("import all", "import where bgp_path.len = 1") for n in s.names}))
    s.up()
    gobgp.gobgp("global", "rib", "add", "10.2.0.0/16", "label", "2002", "rd", "65002:2", "rt", "65002:2", "-a", "vpnv4")
    gobgp.gobgp("global", "rib", "add", "2001:db8:b::/48", "label", "2003", "rd", "65002:2", "rt", "65002:2", "-a", "vpnv6")
    want = {"65001:1 10.1.0.0/16", "65002:2 10.2.0.0/16", "65003:3 10.3.0.0/16", "64500:9 10.9.0.0/16"}
    want6 = {"65001:1 2001:db8:a::/48", "65002:2 2001:db8:b::/48"}
    for ctl in (s.ctl, bird.ctl):
        s.wait(lambda c=ctl: set(s.nets(c, "v4")) == want, "all VPN routes")
    # GoBGP's next hop is a mapped IPv4 address (RFC 4659 section 3.2.1.2), which BIRD 2.0.12 does not take.
    s.wait(lambda: set(s.nets(s.ctl, "v6")) == want6, "all VPNv6 routes")
    at_us, at_bird = s.nets(s.ctl, "v4", True), s.nets(bird.ctl, "v4", True)
    for net, label in (("65001:1 10.1.0.0/16", 3), ("65002:2 10.2.0.0/16", 2002), ("65003:3 10.3.0.0/16", 3003), ("64500:9 10.9.0.0/16", 909)):
        for texts in (at_us, at_bird)[:1 if net.startswith("65001") else 2]:  # BIRD says implicit null with itself as next hop
            assert f"BGP.mpls_label_stack: {label}\n" in texts[net], texts[net]
    assert "(rt, 65002, 2)" in at_bird["65002:2 10.2.0.0/16"] and "(rt, 65001, 1)" in at_us["65001:1 10.1.0.0/16"]
    # The next hop is GoBGP's own, though the neighbour is external and not on its network.
    assert f"BGP.next_hop: {address('gobgp')}\n" in at_bird["65002:2 10.2.0.0/16"]
    s.wait(lambda: "10.2.0.0/16" in frr.vtysh("show bgp ipv4 vpn") and "10.1.0.0/16" in frr.vtysh("show bgp ipv4 vpn"), "FRR has the others'")
    assert re.search(r"label=2002\b|remote label 2002", frr.vtysh("show bgp ipv4 vpn 10.2.0.0/16").lower()) or \
        "2002" in frr.vtysh("show bgp ipv4 vpn 10.2.0.0/16")
    s.wait(lambda: "65003:3:10.3.0.0/16" in gobgp.gobgp("global", "rib", "-a", "vpnv4"), "GoBGP has FRR's")
    assert re.search(r"65003:3:10\.3\.0\.0/16 +\[3003\]|3003", gobgp.gobgp("global", "rib", "-a", "vpnv4"))
    # Withdrawals: whatever label stands in them.
    gobgp.gobgp("global", "rib", "del", "10.2.0.0/16", "label", "2002", "rd", "65002:2", "-a", "vpnv4")
    bird.ctl.cmd("disable s4")
    for ctl in (s.ctl, bird.ctl):
        s.wait(lambda c=ctl: set(s.nets(c, "v4")) == want - {"65001:1 10.1.0.0/16", "65002:2 10.2.0.0/16"}, "withdrawn")
    s.wait(lambda: not re.search(r"10\.[12]\.0\.0", frr.vtysh("show bgp ipv4 vpn")), "withdrawn at FRR")
    assert s.ctl.established(*s.names)


@installed("gobgpd")
def test_evpn_route_server(star):
    """EVPN routes of every type from GoBGP at FRR, and as we print them; gone when they are withdrawn."""
    s = star("gobgp", "frr")
    gobgp = s.gobgp("l2vpn-evpn")
    frr = s.frr(f" address-family l2vpn evpn\n  neighbor {ours('frr')} activate\n exit-address-family")
    s.node.start(s.config("evpn table e;", "evpn { table e; import all; export all; };"))
    s.up()
    esi = ["esi", "LACP", "aa:bb:cc:dd:ee:ff", "100"]
    rib = ["global", "rib", "-a", "evpn"]
    routes = [["a-d", *esi, "etag", "5", "label", "50", "rd", "65002:1"],
              ["macadv", "02:00:00:00:00:07", "10.0.0.7", "etag", "0", "label", "77", "rd", "65002:1"],
              ["multicast", "10.250.2.2", "etag", "0", "rd", "65002:1"],
              ["esi", "10.250.2.2", *esi, "rd", "65002:1"],
              ["prefix", "10.77.0.0/16", "gw", "10.0.0.1", "etag", "0", "label", "88", "rd", "65002:1"]]
    for r in routes:
        gobgp.gobgp(*rib, "add", *r, "rt", "65002:1") if r[0] != "esi" else gobgp.gobgp(*rib, "add", *r)
    identifier = "01:aa:bb:cc:dd:ee:ff:00:64:00"
    want = {f"evpn ead 65002:1 5 {identifier}", "evpn mac 65002:1 0 02:00:00:00:00:07 10.0.0.7", "evpn imet 65002:1 0 10.250.2.2",
            f"evpn es 65002:1 {identifier} 10.250.2.2", "evpn prefix 65002:1 0 10.77.0.0/16"}
    s.wait(lambda: set(s.nets(s.ctl, "e")) == want, "all types at us")
    at_us = s.nets(s.ctl, "e", True)
    assert "label 0x" in at_us["evpn mac 65002:1 0 02:00:00:00:00:07 10.0.0.7"]
    assert "gateway 10.0.0.1" in at_us["evpn prefix 65002:1 0 10.77.0.0/16"]
    assert [r["network"] for r in s.node.client("show", "route", "evpn", "imet", "65002:1", "0", "10.250.2.2", "table", "e")["routes_shown"]] == \
        ["evpn imet 65002:1 0 10.250.2.2"]
    marks = ("[2]:[0]:[48]:[02:00:00:00:00:07]:[32]:[10.0.0.7]", "[3]:[0]:[32]:[10.250.2.2]", "[5]:[0]:[16]:[10.77.0.0]", "[1]:[5]:", "[4]:")
    s.wait(lambda: all(m in frr.vtysh("show bgp l2vpn evpn") for m in marks), "all types at FRR")
    assert "10.250.2.2" in frr.vtysh("show bgp l2vpn evpn route type multicast")  # its next hop, unchanged
    gobgp.gobgp(*rib, "del", *routes[1])
    gobgp.gobgp(*rib, "del", *routes[4])
    s.wait(lambda: len(s.nets(s.ctl, "e")) == 3, "withdrawn")
    s.wait(lambda: not any(m in frr.vtysh("show bgp l2vpn evpn") for m in (marks[0], marks[2])), "withdrawn at FRR")
    assert s.ctl.established(*s.names)


def test_flow_as_other_families(star):
    """ADD-PATH, End-of-RIB, refresh, limits and a neighbour's graceful restart with flow specifications."""
    s = star("bird", "bird2")
    gr = "graceful restart on; graceful restart time 30;"
    paths = "flow4 { table f4; import all; export all; add paths on; };"
    twice = "".join(f"protocol static {p} {{ flow4 {{ table f4; preference {n}; }}; route {RULES4[0]}; }}\n" for p, n in (("one", 200), ("two", 199)))
    bird = s.bird(FLOW_TABLES + twice, paths, options=gr)
    other = s.bird(FLOW_TABLES + STATIC.format(v=4, routes=f"route {RULES4[1]}; route {RULES4[2]};"), paths, name="bird2")
    s.node.start(s.config(FLOW_TABLES, {"bird": paths, "bird2": paths.replace("import all", "receive limit 1 action block; import all")},
                          options=f"rs client; {gr}"))
    s.up()

    def routes(ctl, proto):
        return len(ctl.cmd(f"show route table f4 protocol {proto}").splitlines()) - 1
    s.wait(lambda: routes(other.ctl, "node") == 2, "both paths of the rule at the other side")
    s.wait(lambda: routes(s.ctl, "bird2") == 1 and "hits route receive limit (1)" in s.node.log_text(), "one rule more than the limit is not taken")
    s.wait(lambda: "Got END-OF-RIB" in other.log_text() and "Got END-OF-RIB" in bird.log_text(), "End-of-RIB")
    s.ctl.cmd("reload in bird")
    s.wait(lambda: "Got ROUTE-REFRESH" in bird.log_text(), "we ask for a refresh")
    refreshes = other.log_text().count("Got END-OF-RR")
    other.ctl.cmd("reload in node")
    s.wait(lambda: other.log_text().count("Got END-OF-RR") > refreshes, "BIRD asks, and is told all of it again")
    assert routes(other.ctl, "node") == 2
    del s.daemons["bird"]
    bird.kill()
    s.wait(lambda: not s.ctl.established("bird"), "the neighbour is gone")
    assert routes(s.ctl, "bird") == 2 and routes(other.ctl, "node") == 2
    argv = bird.argv
    bird.argv = lambda: [*argv(), "-R"]
    bird.start(None)
    s.wait(lambda: s.ctl.established("bird") and "s)" not in s.ctl.cmd("show route table f4 protocol bird"), "it is back, and nothing is stale")
    assert routes(s.ctl, "bird") == 2 and routes(other.ctl, "node") == 2
    bird.ctl.cmd("disable two")
    s.wait(lambda: routes(other.ctl, "node") == 1, "one path is withdrawn")
    assert s.ctl.established(*s.names)


# Who announces what in test_flow_validation: AS, unicast routes, flow rules.
PERSONAS = {
    "a": (64601, {"": ["10.1.0.0/16", "10.2.0.0/16", "2001:db8:1000::/48"], "late": ["10.9.0.0/16", "2001:db8:9000::/48"]},
          ["{ dst 10.1.0.0/16; }", "{ dst 10.1.5.0/24; }", "{ dst 10.2.0.0/16; }", "{ dst 10.3.0.0/16; }", "{ src 10.1.0.0/16; }",
           "{ dst 10.9.1.0/24; }", "{ dst 10.6.1.0/24; }", "{ dst 10.0.0.0/8; }", "{ dst 2001:db8:1000::/48; }",
           "{ dst 2001:db8:1000:1::/64; }", "{ dst 2001:db8:3000::/48; }", "{ dst 2001:db8:9000::/48; }", "{ next header 6; }"]),
    "b": (64602, {"": ["10.3.0.0/16", "2001:db8:3000::/48"], "late": ["10.1.7.0/24", "2001:db8:1000:7::/64"]},
          ["{ dst 10.1.5.0/24; proto 17; }", "{ dst 10.3.0.0/16; proto 17; }", "{ dst 10.3.0.0/16; }",
           "{ dst 2001:db8:3000::/48; next header 17; }", "{ dst 2001:db8:1000::/48; next header 17; }"]),
    # internal
    "i": (NODE_AS, {"": ["10.4.0.0/16", "10.5.0.0/16"]},
          ["{ dst 10.19.0.0/16; }", "{ dst 10.4.0.0/16; }", "{ src 10.4.0.0/16; }", "{ dst 10.4.1.0/24; dscp 1; }",
           "{ dst 10.5.0.0/16; dscp 1; }", "{ dst 10.5.0.0/16; dscp 2; }", "{ dst 10.3.0.0/16; dscp 3; }"]),
    "sink": (64700, {}, []),
}
# The paths of the internal one's, where they are not empty.
PATHS = """if net ~ [ 10.5.0.0/16 ] then bgp_path.prepend(64999);"""
FLOW_PATHS = """if net.dst ~ [ 10.4.1.0/24, 10.5.0.0/16 ] then bgp_path.prepend(64999);
	if net = flow4 { dst 10.5.0.0/16; dscp 2; } then bgp_path.prepend(64998);"""


def net_of(side, persona, v=4):
    """Each of them has a network of its own with each who judges: side 0 is us, 1 BIRD."""
    n = 20 + 20 * side + list(PERSONAS).index(persona)
    return f"10.251.{n}." if v == 4 else f"2001:db8:51{n}::"


def personas():
    """The announcer's configuration."""
    text = ""
    for p, (asn, routes, rules) in PERSONAS.items():
        text += f"ipv4 table u4{p}; ipv6 table u6{p};\nflow4 table f4{p}; flow6 table f6{p};\n"
        for when, nets in routes.items():
            for v in (4, 6):
                own = " ".join(f"route {n} blackhole;" for n in nets if (":" in n) == (v == 6))
                text += f"protocol static s{v}{p}{when} {{ {'disabled; ' if when else ''}ipv{v} {{ table u{v}{p}; }}; {own} }}\n"
        for v in (4, 6):
            own = " ".join(f"route flow{v} {r};" for r in rules if (":" in r or "next" in r) == (v == 6))
            text += f"protocol static r{v}{p} {{ flow{v} {{ table f{v}{p}; }}; {own} }}\n"
        for side, name in enumerate(("us", "them")):
            tables = {v: f"f{v}{p}" for v in (4, 6)}
            if p == "sink":
                text += f"flow4 table sink4{name}; flow6 table sink6{name};\n"
                tables = {v: f"sink{v}{name}" for v in (4, 6)}
            flows = "".join(f"flow{v} {{ table {tables[v]}; import {'all' if p == 'sink' else 'none'}; "
                            f"export {'none' if p == 'sink' else 'filter { ' + FLOW_PATHS * (p == 'i' and v == 4) + ' accept; }'}; }}; " for v in (4, 6))
            text += f"""protocol bgp {p}_{name} {{ local {net_of(side, p)}2 as {asn}; neighbor {net_of(side, p)}1 as {NODE_AS}; direct;
	hold time 9; connect delay time 1; connect retry time 2; error wait time 1, 3;
	ipv4 {{ table u4{p}; import none; export filter {{ {PATHS * (p == 'i')} accept; }}; }};
	ipv6 {{ table u6{p}; import none; export all; next hop address {net_of(side, p, 6)}2; }};
	{flows} }}
"""
    return text


def validator(side):
    """Of the one that judges: the same for us and for BIRD."""
    text = """ipv4 table master4 { trie yes; };
ipv6 table master6 { trie yes; };
flow4 table f4;
flow6 table f6;
protocol device { }
protocol static own { ipv4; route 10.6.0.0/16 blackhole; }
protocol static own_late { disabled; ipv4; route 10.1.5.0/25 blackhole; }
"""
    for p, (asn, _, _) in PERSONAS.items():
        way = "import none; export all;" if p == "sink" else "import all; export none;"
        text += f"""protocol bgp {p} {{ local {net_of(side, p)}1 as {NODE_AS}; neighbor {net_of(side, p)}2 as {asn}; direct;
	hold time 9; connect delay time 1; connect retry time 2; error wait time 1, 3;
	ipv4 {{ {way.replace("export all", "export none")} }};
	ipv6 {{ {way.replace("export all", "export none")} }};
	flow4 {{ table f4; {way} validate; }};
	flow6 {{ table f6; {way} validate; }}; }}
"""
    return text


def test_flow_validation(star):
    """Two external neighbours and an internal one: BIRD beside us takes the same of their rules for feasible, whatever comes and goes."""
    s = star("bird", "bird2")
    s.lab.link("aside", ("bird2", "aside", ["10.251.0.1/24"]), ("bird", "aside", ["10.251.0.2/24"]))
    for p in PERSONAS:
        for v, length in ((4, ["24"]), (6, ["64", "nodad"])):
            for side, (role, theirs, ours) in enumerate((("node", "to0", "up0"), ("bird2", "aside", "aside"))):
                for host, (r, dev) in enumerate(((role, theirs), ("bird", ours)), 1):
                    s.lab.ip(r, "addr", "add", f"{net_of(side, p, v)}{host}/{length[0]}", "dev", dev, *length[1:])
    announcer, judge = Bird(s.lab, "bird"), Bird(s.lab, "bird2")
    s.daemons = {"bird": announcer, "bird2": judge}
    announcer.start(f'log "{announcer.log_path}" all;\nrouter id 10.250.1.2;\nprotocol device {{ }}\n' + personas())
    judge.start(f'log "{judge.log_path}" all;\nrouter id 10.250.0.9;\n' + validator(1))
    s.node.start(f'log "{s.node.log_path}" all;\nrouter id 10.250.0.1;\n' + validator(0))
    s.wait(lambda: s.ctl.established(*PERSONAS) and judge.ctl.established(*PERSONAS), "all sessions")
    n_rules = sum(len(rules) for _, _, rules in PERSONAS.values())

    def verdicts(ctl):
        """{(rule, neighbour): it is feasible}"""
        found, net = {}, None
        for t in ("f4", "f6"):
            for line in ctl.cmd(f"show route table {t}").splitlines():
                m = re.match(r"(flow\d \{.*?\}|) +(unreachable )?\[(\w+) ", line)
                if m:
                    net = m.group(1) or net
                    found[net, m.group(3)] = not m.group(2)
        return found

    def same(what, **want):
        """Both say the same, and of a's and b's rules what is said here."""
        def fact():
            ours, theirs = verdicts(s.ctl), verdicts(judge.ctl)
            return len(ours) == n_rules and ours == theirs and all(
                ours[f"flow{6 if ':' in dst else 4} {{ dst {dst}; }}", p] == ok for p, of in want.items() for dst, ok in of.items())
        try:
            s.wait(fact, what, limit=30)
        except Exception:
            ours, theirs = verdicts(s.ctl), verdicts(judge.ctl)
            print(what, {k: (ours.get(k), theirs.get(k)) for k in {*ours, *theirs} if ours.get(k) != theirs.get(k)}, ours)
            raise
    same("the first verdicts", a={"10.1.0.0/16": True, "10.3.0.0/16": False, "10.9.1.0/24": False, "2001:db8:1000::/48": True}, b={"10.3.0.0/16": True})
    both = verdicts(s.ctl)
    assert 8 <= sum(both.values()) <= n_rules - 8, both
    # More specific routes of another AS, and they go.
    for change, ok in (("enable", False), ("disable", True)):
        announcer.ctl.cmd(f"{change} s4blate")
        announcer.ctl.cmd(f"{change} s6blate")
        same(f"{change} more specific ones", a={"10.1.0.0/16": ok, "10.1.5.0/24": True, "2001:db8:1000::/48": ok, "2001:db8:1000:1::/64": True})
    # The best match goes, and comes.
    for change, ok in (("disable", False), ("enable", True)):
        announcer.ctl.cmd(f"{change} s4a")
        same(f"{change} the best match", a={"10.1.0.0/16": ok, "10.2.0.0/16": ok, "2001:db8:1000::/48": True})
    # One that there was none for.
    announcer.ctl.cmd("enable s4alate")
    announcer.ctl.cmd("enable s6alate")
    same("a late one", a={"10.9.1.0/24": True, "2001:db8:9000::/48": True})
    # A static one within, at the one that judges.
    for change, ok in (("enable", False), ("disable", True)):
        for ctl in (s.ctl, judge.ctl):
            ctl.cmd(f"{change} own_late")
        same(f"{change} a route that is not of BGP", a={"10.1.5.0/24": ok, "10.1.0.0/16": ok})
    assert "Base table:     master4" in s.ctl.cmd("show protocols all a") and "Base table:     master4" in judge.ctl.cmd("show protocols all a")

    def told(name):
        return {v: set(s.nets(announcer.ctl, f"sink{v}{name}")) for v in (4, 6)}
    s.wait(lambda: told("us") == told("them"), "both tell others the same")
    assert told("us")[4] == {rule for (rule, _), ok in verdicts(s.ctl).items() if ok and rule.startswith("flow4")}
    # A filter sees the verdict, and what it drops comes back.
    drop = validator(0).replace("table f4; import all;", "table f4; import where dest != RTD_UNREACHABLE;")
    s.node.configure(f'log "{s.node.log_path}" all;\nrouter id 10.250.0.1;\n' + drop)
    feasible = {k for k, ok in verdicts(judge.ctl).items() if ok and k[0].startswith("flow4")}

    def kept():
        return {k for k in verdicts(s.ctl) if k[0].startswith("flow4")}
    s.wait(lambda: kept() == feasible, "only feasible ones are in the table")
    announcer.ctl.cmd("disable s4a")
    s.wait(lambda: {p for _, p in kept()} == {"a", "b", "i"} and len(kept()) == len(feasible) - 3, "three are dropped")
    announcer.ctl.cmd("enable s4a")
    s.wait(lambda: kept() == feasible, "and are back")
