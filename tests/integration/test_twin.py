# SPDX-License-Identifier: BSD-2-Clause
"""The same configuration, the same neighbour, the same questions: ours and stock BIRD side by side, in namespaces that look
alike. What they answer has to be equal, line by line, once clocks and counters are masked; where BIRD 2.19 prints more than
the 2.0.12 that Debian has, the difference is in NEWER, with its reason.
"""
import difflib
import re
import socket

import pytest
from netlab import Lab
from netlab.daemons import Bird, Peregrine
from netlab.proc import wait_for

pytestmark = pytest.mark.ours

CONFIG = """
log "%(log)s" all;
router id 192.0.2.2;
hostname "twin";
timeformat base iso long ms; timeformat log iso long ms; timeformat protocol iso long; timeformat route iso long;
define MYAS = 64500;
define OURS = [ 198.51.100.0/24+, 10.0.0.0/8{16,24} ];
define TAGS = [ (64496,*), (65535,666) ];
attribute int seen;
ipv4 table spare;
ipv4 table ranked sorted;
roa4 table r4;
roa6 table r6;

function is_ours(prefix p) { return p ~ OURS; }
function mark(int n) { bgp_community.add((MYAS, n)); return true; }
filter incoming {
	if net ~ [ 10.66.0.0/16+ ] then reject "no, ", net;
	if (64496, 13) ~ bgp_community then reject;
	seen = net.len;
	if bgp_path.len > 3 then bgp_local_pref = 50;
	if roa_check(r4, net, bgp_path.last) = ROA_INVALID then bgp_large_community.add((MYAS, 1, 2));
	mark(7);
	accept;
}
filter outgoing {
	if source = RTS_BGP then reject;
	if net = 198.51.100.128/25 then { bgp_community.add((65535, 65281)); accept; }
	bgp_path.prepend(MYAS);
	accept;
}
template bgp clients {
	description "a customer";
	local 192.0.2.2 as MYAS;
	hold time 30; connect delay time 1; connect retry time 2; error wait time 1, 3;
}
protocol device { scan time 60; }
protocol direct d1 { ipv4; interface "up*"; }
protocol kernel k4 { ipv4 { import none; export none; }; }
protocol static s4 {
	ipv4;
	route 198.51.100.0/24 blackhole;
	route 198.51.100.128/25 unreachable;
	route 198.51.101.0/24 prohibit;
	route 198.51.102.0/24 via 192.0.2.1;
	route 198.51.103.0/24 via 192.0.2.1 via 192.0.2.3 weight 2;
	route 198.51.104.0/24 via "up0";
	route 198.51.105.0/24 blackhole { preference = 300; krt_prefsrc = 192.0.2.2; krt_metric = 7; };
	route 198.51.106.0/24 blackhole { bgp_origin = ORIGIN_EGP; bgp_path.prepend(65010); bgp_path.prepend(65011); bgp_med = 5;
		bgp_community.add((1,2)); bgp_community.add((65535,666)); bgp_large_community.add((1,2,3));
		bgp_ext_community.add((rt,1,2)); bgp_ext_community.add((generic,0x43000000,1)); bgp_ext_community.add((ro,1.2.3.4,5)); seen = 3; };
	route 198.51.107.0/24 recursive 198.51.102.1;
}
protocol static s4low { ipv4 { preference 90; }; route 198.51.100.0/24 via 192.0.2.1; }
protocol static s6 { ipv6; route 2001:db8::/48 unreachable; route 2001:db8:1::/48 via 2001:db8:1::1; }
protocol static sr4 { roa4 { table r4; }; route 203.0.113.0/24 max 28 as 64496; route 10.1.0.0/16 max 24 as 65099; }
protocol static sr6 { roa6 { table r6; }; route 2001:db8:f::/48 max 64 as 64496; }
protocol static so { ipv4 { table spare; }; route 172.16.0.0/12 blackhole; route 198.51.100.0/24 prohibit; }
protocol pipe pp { table master4; peer table spare; import all; export where source = RTS_BGP && net ~ [ 10.0.0.0/8+ ]; }
protocol static resting { disabled; ipv4; route 203.0.113.1/32 blackhole; }
protocol bfd { interface "*" { min rx interval 400 ms; min tx interval 400 ms; multiplier 3; }; }
protocol bgp peer_v4 from clients {
	neighbor 192.0.2.1 as 64496;
	bfd;
	ipv4 { import filter incoming; export filter outgoing; import keep filtered; import limit 500 action warn; receive limit 600 action block; export limit 100 action disable; };
}
protocol bgp peer_v6 from clients {
	description "six";
	local 2001:db8:1::2 as MYAS;
	neighbor 2001:db8:1::1 as 64496;
	ipv6 { import table on; import where bgp_path.first = 64496; export where source = RTS_STATIC; };
}
protocol bgp lost { local as MYAS; neighbor 192.0.2.77 as 64777; passive; ipv4 { import none; export none; }; }
protocol bgp shut { local as MYAS; neighbor 192.0.2.78 as 64778; disabled; ipv4 { import all; export all; }; }
"""

PEER = """
log "%(log)s" all;
router id 192.0.2.1;
protocol device { }
protocol static p4 {
	ipv4;
	route 203.0.113.0/24 blackhole;
	route 10.1.0.0/16 blackhole { bgp_path.prepend(65001); bgp_path.prepend(65002); bgp_path.prepend(65003); };
	route 10.2.0.0/16 blackhole { bgp_community.add((64496,1)); bgp_community.add((1,1)); bgp_med = 17; };
	route 10.3.0.0/24 blackhole { bgp_community.add((64496,13)); };
	route 10.66.1.0/24 blackhole;
	route 10.4.0.0/16 blackhole { bgp_ext_community.add((rt,64496,4)); bgp_large_community.add((64496,4,4)); bgp_origin = ORIGIN_INCOMPLETE; };
	%(many)s
}
protocol static p6 { ipv6; route 2001:db8:f::/48 blackhole; route 2001:db8:e::/48 blackhole; }
protocol bfd { interface "*" { min rx interval 400 ms; min tx interval 400 ms; multiplier 3; }; }
protocol bgp node_v4 {
	local 192.0.2.1 as 64496; neighbor 192.0.2.2 as 64500; hold time 30; connect delay time 1; connect retry time 2; error wait time 1, 3; bfd;
	ipv4 { import all; export filter { if source != RTS_STATIC then reject; if defined(bgp_med) then bgp_med = bgp_med; accept; }; };
}
protocol bgp node_v6 {
	local 2001:db8:1::1 as 64496; neighbor 2001:db8:1::2 as 64500; hold time 30; connect delay time 1; connect retry time 2; error wait time 1, 3;
	ipv6 { import all; export where source = RTS_STATIC; };
}
""" % {"log": "%(log)s", "many": "\n\t".join(
    f"route 10.20.{i}.0/24 blackhole {{ " + "".join(f"bgp_community.add((64{i}00,{j})); " for j in range(1, 80 * (i % 3 == 0) + 1)) + "};"
    for i in range(9)) + "".join(f"""
	route 10.21.{i}.0/24 blackhole {{ """ + "".join(add % j for j in range(1, 61)) + "};" for i, add in enumerate((
        "bgp_ext_community.add((rt,64496,%d)); ", "bgp_large_community.add((64496,%d,17)); ")))}

EVENTS = ("peer_v4", "peer_v6")


class Twin:
    """One of the two: a node and a neighbour with a link of their own."""

    def __init__(self, lab, kind, make):
        self.role, self.peer_role = f"{kind}n", f"{kind}p"
        lab.add(self.role, self.peer_role)
        lab.link(kind, (self.role, "up0", ["192.0.2.2/24", "2001:db8:1::2/64"]), (self.peer_role, "cust0", ["192.0.2.1/24", "2001:db8:1::1/64"]))
        self.node = make(lab, self.role)
        self.peer = Bird(lab, self.peer_role)
        self.ctl = self.node.ctl

    def start(self):
        self.peer.start(PEER % {"log": self.peer.log_path})
        self.node.start(CONFIG % {"log": self.node.log_path})

    def settle(self):
        wait_for(lambda: self.ctl.established(*EVENTS) and self.peer.ctl.established("node_v4", "node_v6"), f"{self.role}: sessions", limit=45,
                 failed=self.node.dead)
        wait_for(lambda: self.ctl.bfd_up("192.0.2.1"), f"{self.role}: BFD", limit=30)
        # all routes both ways, and what follows from them
        wait_for(lambda: "15 imported, 2 filtered, 11 exported" in self.ctl.protocol_all("peer_v4") and "2 imported, 2 exported" in
                 self.ctl.protocol_all("peer_v6"), f"{self.role}: routes", limit=30)


@pytest.fixture(scope="module")
def twins():
    with Lab() as lab:
        both = Twin(lab, "ours", Peregrine), Twin(lab, "bird", Bird)
        for t in both:
            t.start()
        for t in both:
            t.settle()
        yield both


def masked(text):
    """Clocks, sizes and what is random, out of the way."""
    for pattern, by in ((r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", "TIME"), (r"(timer:|wait:|delay:) +\d+\.\d+/(\d+)", r"\1 T/\2"),
                        (r"(in) [\d.]+ s", r"\1 T s"), (r"fe80::[0-9a-f:]+", "fe80::X"), (r"\bindex=\d+", "index=N"), (r"^BIRD \d+\.\d+\.\d+", "BIRD VERSION"),
                        (r"[ \d]+\.\d [ kMG]?B\b", " SIZE"), (r"(configuration from) \S+", r"\1 FILE"), (r"^(\s+(?:Import|Export) (?:updates|withdraws):)((?: +(?:\d+|---)){5})$",
                                                                                                    lambda m: m.group(1) + re.sub(r" +\d+", " N", m.group(2)))):
        text = re.sub(pattern, by, text, flags=re.M)
    return text


def blocks(text):
    """Of a list of routes: one block a network, sorted; the order of networks is nobody's promise. Headings stay before theirs."""
    found, tables = [], []
    for line in text.split("\n"):
        if line.startswith("Table "):
            tables.append((line, []))
        elif line and not line[0].isspace() and tables:
            tables[-1][1].append([line])
        elif tables and tables[-1][1]:
            tables[-1][1][-1].append(line)
        else:
            found.append(line)
    for head, nets in sorted(tables):
        found.append(head)
        for net in sorted(nets):
            # The best route leads; the rest of an unsorted table is in no order.
            routes = []
            for line in filter(None, net):
                if line[0] != "\t":
                    routes.append([])
                routes[-1].append(line)
            found += [x for route in routes[:1] + sorted(routes[1:]) for x in route]
    return "\n".join(found)


def compare(twins, command):
    answers = []
    for t in twins:
        r = t.ctl.ask(command)
        text = masked("\n".join(f"{c} {x}" if c >= 8000 else x for c, x in r.lines))
        lines = (blocks(text) if command.startswith("show route") else text).split("\n")
        if command.startswith("show symbols"):
            lines.sort()
        if command == "show memory":
            lines = [x for x in lines if x]
        answers.append([r.code] + lines)
    ours, bird = answers
    ours = [x for x in ours if not any(re.search(n, str(x)) for n in NEWER)]
    if command == "show symbols":
        bird = [x for x in bird if not any(re.search(n, str(x)) for n in OLDER)]
    diff = list(difflib.unified_diff([str(x) for x in bird], [str(x) for x in ours], "bird", "ours", lineterm="", n=2))
    assert not diff, command + "\n" + "\n".join(diff)


# Lines that 2.19 (and so we) print and 2.0.12 does not.
NEWER = (r"Send hold timer", r"^Software is ", r"^BFD runs on ", r"^(Active|Kept free|Cold free) pages:")
# Words that 2.0.12 has as symbols because it read them; and they are in nobody's configuration.
OLDER = (r"\tundefined$",)

SAME = """
show status
show protocols
show protocols "peer*"
show protocols all
show protocols all peer_v4
show protocols all 'peer_v6'
show protocols nosuch
show protocols "nosuch*"
show protocols master4
show route
show route all
show route table all
show route table spare
show route table spare table master4
show route table master4 all
show route table r4
show route table r6 all
show route for 203.0.113.9
show route for 203.0.113.9 all
show route for 203.0.113.0/24
show route 203.0.113.0/24
show route 203.0.113.0/25
show route in 10.0.0.0/8
show route in 10.20.0.0/16 all
show route protocol peer_v4
show route protocol s4 all
show route protocol 'peer_v6' all
show route protocol sr4
show route protocol pp
show route export peer_v4
show route export peer_v4 all
show route preexport peer_v4
show route noexport peer_v4
show route exported peer_v4
show route export peer_v6
show route export pp
show route noexport pp
show route export k4
show route filtered
show route filtered protocol peer_v4 all
show route all filtered protocol peer_v4
show route primary
show route primary protocol s4
show route count
show route primary count
show route protocol peer_v4 count
show route table spare count
show route table all count
show route filtered count
show route export peer_v4 count
show route stats
show route table spare stats
show route where bgp_path.last = 64496
show route where net ~ OURS
show route where is_ours(net)
show route where net ~ [ 10.0.0.0/8+ ] all
show route all where from = 192.0.2.1
show route where source = RTS_STATIC
show route where (64500,7) ~ bgp_community
show route filter incoming
show route filter { if net.len < 20 then accept; reject; }
show route all where net.type = NET_IP4 && source = RTS_BGP
show route where seen = 3
show route where net.type = NET_IP4
show route import table peer_v6.ipv6
show route import table peer_v6.ipv6 all
show route export table peer_v6.ipv6
show route import table peer_v4.ipv4
show route filtered export peer_v4
show route filtered primary
show route table nosuch
show route protocol nosuch
show route protocol master4
show route 10.0.0.0/7 bogus
show route for 2001:db8::1
show route 2001:db8::/48
show route for 10.20.3.4 table spare
show route for 10.20.3.4 table master4 all
show route for 1.2.3.4 table master6
show route in 2001:db8::/32 count
show route   count
show route count;
show interfaces
show interfaces summary
show static
show static s4
show static nosuch
show symbols
show symbols table
show symbols filter
show symbols function
show symbols protocol
show symbols template
show symbols incoming
show symbols nosuch
show memory
show bfd sessions
show bfd sessions bfd1
show bfd sessions peer_v4
show ospf
show ospf neighbors
show rip interfaces
show foo
show
eval 1+2
eval bgp_path.len
eval net
eval OURS
eval TAGS
eval MYAS
eval (1,2)
eval 10.0.0.0/8
eval [= 1 * 2 =]
eval "x"
eval 1/0
eval 1 +
eval nosuch
eval (rt,1,2)
eval is_ours(198.51.100.0/24)
eval roa_check(r4, 203.0.113.0/24, 64496) = ROA_VALID
eval -empty-
eval add(-empty-, (1,2))
eval 192.0.2.1
eval 1.2.3.4.mask(8)
eval true
eval [1, 2..5]
configure check
configure check "/nonexistent"
configure confirm
configure status
configure undo
configure
configure soft
configure timeout 300
configure status
configure confirm
configure status
configure timeout 200
configure undo
configure bogus
disable resting
enable s4low
disable s4low
disable s4low
enable s4low
restart s4low
reload peer_v4
reload in peer_v4
reload out peer_v4
reload in s4
reload k4
reload resting
restart "s4l*"
disable nosuch
disable "nosuch*"
enable all bogus
echo all
echo off
echo { debug, info }
echo { bogus }
debug peer_v4 all
debug peer_v4 off
debug peer_v4 { states, routes }
debug all off
debug nosuch all
debug peer_v4
mrtdump all off
mrtdump peer_v4 { states }
dump resources
dump sockets
dump events
dump interfaces
dump neighbors
dump protocols
dump filter all
dump bogus
mrt dump
mrt dump table master4 to "/nonexistent/x.mrt"
mrt dump table nosuch to "/tmp/x.mrt"
frobnicate

;
show status # comment
down bogus
graceful
graceful bogus
restrict bogus
disable peer_v4 "going home"
show protocols peer_v4
enable peer_v4
enable "shut"
disable shut
disable all "text"
enable all
""".strip("\n").split("\n")


def stats(t):
    """The rows of `Route change stats`, by protocol and row."""
    rows, name = {}, None
    for line in t.ctl.cmd("show protocols all").split("\n"):
        head = re.match(r"(\S+) +[A-Z]", line)
        row = re.match(r"\s+((?:Import|Export) (?:updates|withdraws)): +(.*\S)", line)
        if head:
            name = head.group(1)
        elif row:
            rows[name, row.group(1)] = row.group(2).split()
    return rows


def test_route_change_stats_are_birds(twins):
    """Before anything was changed. What is exported depends on how often a network has changed meanwhile, a pipe's among it."""
    ours, birds = (stats(t) for t in twins)
    assert set(ours) == set(birds)
    assert len(ours) > 40
    differ = [f"{key}: {ours[key]}, BIRD: {birds[key]}" for key in ours if key[1].startswith("Import") and key[0] != "pp" and ours[key] != birds[key]]
    assert not differ, "\n".join(differ)


def test_every_answer_is_as_birds(twins):
    """One after another, as one operator would: what changes something changes it in both."""
    differ = []
    for command in SAME:
        for t in twins:  # what the command before set in motion
            wait_for(lambda: "flush" not in t.ctl.cmd("show protocols"), f"{t.role} at rest", failed=t.node.dead)
        try:
            compare(twins, command)
        except AssertionError as e:
            differ.append(str(e))
    assert not differ, "\n\n".join(differ)


def test_what_a_restricted_session_may_do(twins):
    """restrict: the same commands are denied, the same are answered."""
    commands = ["restrict", "show status", "eval 1", "echo off", "configure", "configure check", "configure confirm", "enable all", "disable all", "restart all",
                "reload all", "debug all off", "mrtdump all off", "graceful restart", "down", 'mrt dump table master4 to "/x"', "show route count"]
    codes = []
    for t in twins:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(20)
            s.connect(t.node.sock)
            f = s.makefile("rb")
            t.ctl._reply(f)
            answers = []
            for c in commands:
                s.sendall(c.encode() + b"\n")
                answers.append((c, t.ctl._reply(f).code))
            codes.append(answers)
    assert codes[0] == codes[1]
