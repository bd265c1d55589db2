# SPDX-License-Identifier: BSD-2-Clause
"""Families whose destinations are no prefixes, through a route server: what BIRD, FRR, GoBGP and ExaBGP make of each other's
flow specifications with us between them."""
import re

import pytest
from netlab import Bird, ExaBgp, Frr, GoBgp, have, make_node
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
        g.start(f"""[global.config]
  as = {64600 + NUMBERS['gobgp']}
  router-id = "{address('gobgp')}"
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{ours('gobgp')}"
    peer-as = {NODE_AS}
  [neighbors.timers.config]
    connect-retry = 2
    hold-time = 9
    keepalive-interval = 3
""" + "".join(f"""  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "{f}"
""" for f in families))
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
