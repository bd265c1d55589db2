# SPDX-License-Identifier: BSD-2-Clause
"""Route servers as generators configure them, with live sessions: one table with secondary routes and filtered ones kept, as
arouteserver does it. And reloads of such a server: what is looked at again. (A table and a pipe a client, and a million routes:
test_routeserver_tables.py.)

The clients are three stock BIRDs in a network each, so that the next hops of one are not another's own addresses.
"""
import re
import socket
import time

import pytest
from netlab import Lab
from netlab.daemons import Bird, Peregrine
from netlab.proc import wait_for

pytestmark = pytest.mark.ours
RS = 64500
SERVER = {1: "192.0.2.9", 2: "192.0.2.17", 3: "192.0.2.25"}
CLIENT = {1: ("192.0.2.11", 65011), 2: ("192.0.2.19", 65012), 3: ("192.0.2.27", 65013)}

COMMON = """
log "%(log)s" all;
timeformat base iso long; timeformat log iso long; timeformat protocol iso long; timeformat route iso long;
router id 192.0.2.2;
define rs_as = %(rs)d;
protocol device { scan time 10; }
"""

# ---- as arouteserver writes it: functions with variables before the body, case, sets by the client, reasons for refusals ----

ONE_TABLE = COMMON + """
ipv4 table master4 sorted;
roa4 table RPKI4;
define bogons = [ 0.0.0.0/8+, 10.0.0.0/8+, 127.0.0.0/8+, 169.254.0.0/16+, 192.168.0.0/16+, 224.0.0.0/3+ ];
define never_via = [ 174, 701, 1299 ];
define black_list = [ 192.0.2.0/24+ ];
define AS_SET_c1_asns = [ 65011, 65111 ];
define AS_SET_c1_prefixes = [ 198.51.100.0/24{24,28}, 203.0.113.0/24, 198.18.0.0/15{15,24} ];
define AS_SET_c2_asns = [ 65012 ];
define AS_SET_c2_prefixes = [ 203.0.113.0/24, 198.19.0.0/16{16,24} ];
define AS_SET_c3_asns = [ 65013 ];
define AS_SET_c3_prefixes = [ 198.19.128.0/17+ ];

protocol static {
	roa4 { table RPKI4; };
	route 198.51.100.0/24 max 24 as 65011;
	route 198.18.7.0/24 max 24 as 64999;
}
function prefix_is_bogon() { return net ~ bogons; }
function length_is_fine()
int pref_len;
{
	pref_len = net.len;
	if (65535, 666) ~ bgp_community then return pref_len <= 32;
	return pref_len >= 8 && pref_len <= 28;
}
function origin_as_of(ip peer_ip)
{
	case peer_ip {
		192.0.2.11 : return 65011;
		192.0.2.19 : return 65012;
		192.0.2.27 : return 65013;
		else: return 0;
	}
	return 0;
}
function refuse(int why)
{
	bgp_large_community.add((rs_as, 65520, why));
	print "refused ", net, " of ", proto, ": ", why;
	return true;
}
function scrub_in()
{
	bgp_community.delete([ (65520, 0..99) ]);
	bgp_ext_community.delete([ (rt, rs_as, *), (ro, rs_as, *) ]);
	bgp_large_community.delete([ (rs_as, *, *) ]);
	return true;
}
function send_to(int peer_as)
{
	if (0, rs_as) ~ bgp_community && ! ((rs_as, peer_as) ~ bgp_community) then return false;
	if (0, peer_as) ~ bgp_community then return false;
	if (rs_as, 0, peer_as) ~ bgp_large_community then return false;
	return true;
}
function prepend_for(int peer_as)
{
	if (65501, peer_as) ~ bgp_community then bgp_path.prepend(bgp_path.first);
	if (65502, peer_as) ~ bgp_community then { bgp_path.prepend(bgp_path.first); bgp_path.prepend(bgp_path.first); }
	return true;
}
function scrub_out()
{
	bgp_community.delete([ (0, *), (rs_as, *), (65501, *), (65502, *) ]);
	bgp_large_community.delete([ (rs_as, *, *) ]);
	return true;
}
%(clients)s
"""

ONE_CLIENT = """
filter receive_from_c%(i)d {
	if ! (source ~ [ RTS_BGP ]) then { refuse(99); reject "not BGP"; }
	if net.type = NET_IP4 then {
		if bgp_path.len > 32 then { refuse(1); reject "path too long: ", net, " ", bgp_path; }
	}
	if bgp_path.first != origin_as_of(from) then { refuse(2); reject "first AS: ", bgp_path.first; }
	if bgp_next_hop != from then { refuse(3); reject "next hop: ", bgp_next_hop; }
	if prefix_is_bogon() then { refuse(4); reject "bogon: ", net; }
	if net ~ black_list then { refuse(5); reject "black list"; }
	if bgp_path ~ never_via then { refuse(6); reject "never via"; }
	if bgp_path ~ [= * [64512..64999] * =] then { refuse(7); reject "private AS"; }
	if ! length_is_fine() then { refuse(8); reject "length ", net.len; }
	scrub_in();
	if ! (bgp_path.last_nonaggregated ~ AS_SET_c%(i)d_asns) then { refuse(9); reject "origin ", bgp_path.last_nonaggregated; }
	if roa_check(RPKI4) = ROA_INVALID then { refuse(10); reject "RPKI invalid: ", net, " ", bgp_path.last; }
	if ! (net ~ AS_SET_c%(i)d_prefixes) then { refuse(11); reject "prefix ", net; }
	accept;
}
filter announce_to_c%(i)d {
	if ! (source = RTS_BGP) then reject;
	if ! send_to(%(asn)d) then reject;
	prepend_for(%(asn)d);
	if (65535, 666) ~ bgp_community then bgp_community.add((65535, 65281));
	scrub_out();
	accept;
}
protocol bgp c%(i)d {
	description "Client number %(i)d";
	local as rs_as;
	neighbor %(address)s as %(asn)d;
	rs client;
	passive %(passive)s;
	ttl security off;
	connect delay time 1; connect retry time 1; error wait time 1, 2;
	interpret communities off;
	ipv4 {
		table master4;
		secondary;
		import table on;
		import keep filtered on;
		receive limit 5000 action disable;
		import limit 1000 action %(action)s;
		import filter receive_from_c%(i)d;
		export filter announce_to_c%(i)d;
	};
}
"""

PEER = """
log "%(log)s" all;
router id %(address)s;
protocol device { }
protocol static { ipv4; %(routes)s }
protocol bgp server {
	local %(address)s as %(asn)d;
	neighbor %(server)s as 64500;
	connect delay time 1; connect retry time 1; error wait time 1, 2;
	ipv4 { gateway recursive; import all; export where source = RTS_STATIC; };
}
"""

ROUTES = {
    1: """route 198.51.100.0/24 blackhole;
	route 203.0.113.0/24 blackhole { bgp_community.add((0, 65013)); };
	route 198.18.1.0/24 blackhole { bgp_path.prepend(65111); bgp_community.add((65501, 65012)); bgp_community.add((64500, 17)); };
	route 198.18.2.0/24 blackhole { bgp_community.add((0, 64500)); bgp_community.add((64500, 65013)); };
	route 198.18.7.0/24 blackhole;
	route 198.18.8.0/29 blackhole;
	route 10.1.0.0/16 blackhole;
	route 172.104.0.0/16 blackhole;
	route 198.18.9.0/24 blackhole { bgp_path.prepend(1299); };
	route 198.18.10.0/24 blackhole { bgp_path.prepend(64666); bgp_path.prepend(65111); };
	route 198.18.11.0/24 blackhole { bgp_path.prepend(65099); };
	route 198.51.100.16/28 blackhole { bgp_community.add((65535, 666)); };""",
    2: """route 203.0.113.0/24 blackhole { bgp_path.prepend(65012); };
	route 198.19.1.0/24 blackhole;""",
    3: "route 198.19.200.0/24 blackhole; route 198.19.1.0/24 blackhole;",
}
# network of client 1 -> the reason it is refused for
REFUSED = {"198.18.7.0/24": 10, "198.18.8.0/29": 8, "10.1.0.0/16": 4, "172.104.0.0/16": 11, "198.18.9.0/24": 6, "198.18.10.0/24": 7,
           "198.18.11.0/24": 9, "198.51.100.16/28": 10}


class World:
    def __init__(self, lab, server):
        self.lab = lab
        lab.add("rs", *(f"client{i}" for i in CLIENT))
        for i, (address, _) in CLIENT.items():
            lab.link(f"l{i}", ("rs", f"up{i}", [f"{SERVER[i]}/29"]), (f"client{i}", "cust0", [f"{address}/29"]))
        self.node = Peregrine(lab, "rs")
        self.ctl = self.node.ctl
        self.peers = {i: Bird(lab, f"client{i}") for i in CLIENT}
        for i, (address, asn) in CLIENT.items():
            self.peers[i].start(PEER % {"log": self.peers[i].log_path, "address": address, "asn": asn, "routes": ROUTES[i], "server": SERVER[i]})
        self.node.start(self.text(server))

    def text(self, server):
        return server(self.node.log_path)

    def wait(self, fact, what, limit=45):
        return wait_for(fact, what, limit=limit, failed=lambda: next(filter(None, (d.dead() for d in (self.node, *self.peers.values()))), None))

    def up(self, *names):
        self.wait(lambda: self.ctl.established(*names) and all(p.ctl.established("server") for p in self.peers.values()), "sessions")

    def seen(self, client):
        """network -> attributes, as the client got it from the server."""
        return {r["net"]: r["attrs"] for r in self.peers[client].ctl.routes("protocol server")}


def one_table(log, sets=None, action="block", passive="off"):
    text = ONE_TABLE % {"log": log, "rs": RS, "clients": "".join(
        ONE_CLIENT % {"i": i, "address": a, "asn": n, "action": action, "passive": passive} for i, (a, n) in CLIENT.items())}
    for old, new in (sets or {}).items():
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def single():
    with Lab() as lab:
        w = World(lab, one_table)
        w.up("c1", "c2", "c3")
        w.wait(lambda: len(w.seen(2)) == 4 and len(w.seen(3)) == 5, "all routes")
        yield w


def test_one_table_what_clients_get(single):
    w = single
    to1, to2, to3 = w.seen(1), w.seen(2), w.seen(3)
    assert set(to1) >= {"198.19.1.0/24", "198.19.200.0/24"} and "198.51.100.0/24" not in to1
    assert set(to2) == {"198.51.100.0/24", "203.0.113.0/24", "198.18.1.0/24", "198.19.200.0/24"}
    assert set(to3) == {"198.51.100.0/24", "203.0.113.0/24", "198.18.1.0/24", "198.18.2.0/24", "198.19.1.0/24"}
    # transparent: no AS of the server, the client's next hop
    assert to2["198.51.100.0/24"]["BGP.as_path"] == "65011" and to2["198.51.100.0/24"]["BGP.next_hop"].startswith("192.0.2.11")
    # prepended for one client only, and the server's own communities are gone
    assert to2["198.18.1.0/24"]["BGP.as_path"] == "65011 65011 65111" and to3["198.18.1.0/24"]["BGP.as_path"] == "65011 65111"
    assert "BGP.community" not in to2["198.18.1.0/24"]


def test_one_table_no_path_hiding(single):
    """The best route of 203.0.113.0/24 is client 1's, which client 3 must not get: it gets client 2's (`secondary`)."""
    w = single
    assert w.ctl.best("203.0.113.0/24")["proto"] == "c1"
    assert w.seen(3)["203.0.113.0/24"]["BGP.as_path"] == "65012 65012"
    assert w.seen(2)["203.0.113.0/24"]["BGP.as_path"] == "65011"
    assert w.seen(1)["203.0.113.0/24"]["BGP.as_path"] == "65012 65012", "whose own is the best hears of the next"


def test_one_table_refusals_are_kept_with_their_reason(single):
    w = single
    kept = {r["net"]: r["attrs"].get("BGP.large_community", "") for r in w.ctl.routes("filtered protocol c1")}
    assert set(kept) == set(REFUSED)
    text = w.ctl.protocol_all("c1")
    assert re.search(r"Routes: +4 imported, 8 filtered, \d exported, 4 preferred", text)
    log = w.node.log_text()
    for net, why in REFUSED.items():
        assert f"refused {net} of c1: {why}\n" in log, net
    assert "<ERR>" not in log and "<BUG>" not in log
    assert "RPKI invalid: 198.18.7.0/24 65011" in log


def test_one_table_birdwatchers_questions(single):
    """What birdwatcher asks a server with one table, in the forms that its expressions read."""
    w = single
    for command, pattern in (
            ("show route all protocol 'c1'", r"(?m)^198\.51\.100\.0/24\s+unicast\s+\[c1 \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]\s+\*\s+\(100\) \[AS65011i\]$"),
            ("show route all filtered protocol 'c1'", r"(?m)^10\.1\.0\.0/16\s+unicast\s+\[c1 "),
            ("show route all noexport 'c3'", r"(?m)^203\.0\.113\.0/24\s+unicast\s+\[c1 "),
            ("show route all export 'c3'", r"(?m)^203\.0\.113\.0/24\s+unicast\s+\[c2 "),
            ("show route table 'master4' count", r"(?m)^(\d+)\s+of\s+(\d+)\s+routes"),
            ("show route primary protocol 'c1' count", r"(?m)^(\d+)\s+of\s+(\d+)\s+routes"),
            ("show route all where from=192.0.2.11", r"(?m)^\s+BGP\.as_path: 65011$"),
            ("show route for 198.51.100.1 table 'master4' all where net.type = NET_IP4", r"(?m)^\s+via 192\.0\.2\.11 on up1\s*$"),
            ("show protocols all", r"(?m)^\s+Import updates:(\s+(\d+|---)){5}$"),
            ("show status", r"(?m)^Current\sserver\stime\sis\s[0-9\-]+\s[0-9:.]+$"),
            ("show symbols", r"(?m)^c1\s+protocol$")):
        assert re.search(pattern, w.ctl.cmd(command)), command


def test_bird_lg_restricts_and_reads(single):
    """The proxy's way: banner, restrict, the query; the end is the first line whose code begins 0, 8 or 9."""
    for query, want in (("show protocols", r"^Name\s+Proto"), ("show protocols all 'c1'", "Neighbor AS:"), ("show route for 198.51.100.1 all", "\tBGP.as_path: 65011"),
                        ("show route where net ~ [ 198.51.100.0/24 ] all", "\tvia "), ("show route where bgp_path.last = 65011", r"unicast \[c1 "),
                        ("show route 1.1.1.0/24", "Network not found")):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(single.node.sock)
            f = s.makefile("r", encoding="ascii")
            assert f.readline().startswith("0001 BIRD 2.")
            s.sendall(b"restrict\n")
            assert "Access restricted" in f.readline()
            s.sendall(query.encode() + b"\n")
            lines = []
            while not lines or lines[-1][:1] not in "089" or not lines[-1][:4].isdigit():
                lines.append(f.readline())
                assert lines[-1] and len(lines[-1]) <= 1024
            assert re.search(want, "".join(line[5:] if line[:4].isdigit() else line[1:] for line in lines), re.M), query


def line_of(w, text, after=""):
    """Where the configuration says so: FILE:LINE."""
    path = w.node.file(".conf")
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    start = next(i for i, x in enumerate(lines) if after in x)
    return f"{path}:{1 + next(i for i, x in enumerate(lines) if i >= start and text in x)}"


def test_explain(single):
    """Which statement decided, by file and line: for what came in and for what goes out."""
    w = single
    out = w.ctl.cmd("explain 172.104.0.0/16 import c1")
    assert re.search(r"import c1, route of c1: rejected", out) and line_of(w, "refuse(11)", "filter receive_from_c1") in out
    out = w.ctl.cmd("explain 198.51.100.0/24 import c1")
    assert re.search(r"import c1, route of c1: accepted", out) and line_of(w, "accept;", "filter receive_from_c1") in out
    out = w.ctl.cmd("explain 203.0.113.0/24 export c3")
    assert re.search(r"export c3, route of c1: rejected", out) and line_of(w, "if ! send_to(", "filter announce_to_c3") in out
    assert re.search(r"export c3, route of c2: accepted", out)
    out = w.ctl.cmd("explain 198.51.100.0/24 export c1")
    assert "not sent: it came from there" in out
    both = w.ctl.cmd("explain 198.51.100.0/24 c2")
    assert "export c2, route of c1: accepted" in both


def test_reload_looks_only_at_the_changed_members_routes(single):
    """Filters print what they refuse; a set that changes makes its member's routes be looked at again, nobody else's."""
    w = single
    since = w.ctl.session_since("c1", "c2", "c3")
    before = len(w.node.log_text())
    w.node.configure(one_table(w.node.log_path))
    time.sleep(0.3)
    assert "refused" not in w.node.log_text()[before:], "nothing changed"
    before = len(w.node.log_text())
    w.node.configure(one_table(w.node.log_path, {"203.0.113.0/24, 198.18.0.0/15{15,24} ]": "203.0.113.0/24, 198.18.0.0/16{16,24} , 172.104.0.0/16 ]"}))
    w.wait(lambda: "172.104.0.0/16" in w.seen(2), "what the new set lets in is announced")
    again = w.node.log_text()[before:]
    assert set(re.findall(r"refused (\S+) of", again)) == set(REFUSED) - {"172.104.0.0/16"}
    assert set(re.findall(r"refused \S+ of (\S+):", again)) == {"c1"}
    assert w.ctl.session_since("c1", "c2", "c3") == since
    # soft: not now, but for what is to come
    before = len(w.node.log_text())
    w.node.configure(one_table(w.node.log_path), "soft")
    time.sleep(0.3)
    assert "172.104.0.0/16" in w.seen(2) and "refused" not in w.node.log_text()[before:]
    w.ctl.cmd("reload in c1")
    w.wait(lambda: "172.104.0.0/16" not in w.seen(2), "reload in: the filter of now")
    assert w.ctl.session_since("c1", "c2", "c3") == since


def test_reload_that_fails_changes_nothing(single):
    w = single
    since, routes = w.ctl.session_since("c1", "c2", "c3"), w.seen(2)
    good = one_table(w.node.log_path)
    for bad in (good + "\nbogus;\n", good.replace("rs client;", "rr client;", 1), good[:-40], good.replace("AS_SET_c3_prefixes = [", "AS_SET_c3_prefixes = [ 1.2.3.4/8,")):
        w.node.write(".conf", bad)
        for how in ("configure", "configure check", "configure soft", "configure timeout 5"):
            r = w.ctl.ask(how)
            assert r.code == 8002 and re.match(r"\S+\.conf:\d+:\d+ ", r.lines[-1][1]), r.text
    w.node.write(".conf", good)
    assert w.ctl.ask("configure check").code == 20
    assert w.ctl.session_since("c1", "c2", "c3") == since and w.seen(2) == routes


def test_reload_timeout_undo_confirm(single):
    w = single
    since = w.ctl.session_since("c1", "c2", "c3")
    shut = one_table(w.node.log_path, {"if (0, peer_as) ~ bgp_community then return false;": "if true then return false;"})
    w.node.configure(shut, "timeout 2")
    w.wait(lambda: not w.seen(2), "withdrawn by the new policy")
    assert re.search(r"undo in \d", w.ctl.cmd("configure status"))
    w.wait(lambda: len(w.seen(2)) == 4, "undone by time")
    assert w.ctl.ask("configure confirm").code == 19
    w.node.configure(shut, "timeout 60")
    w.wait(lambda: not w.seen(2), "withdrawn again")
    assert w.ctl.ask("configure undo").code == 3
    w.wait(lambda: len(w.seen(2)) == 4, "undone by hand")
    w.node.configure(one_table(w.node.log_path), "timeout 2")
    assert w.ctl.ask("configure confirm").code == 18
    assert "unconfirmed" not in w.ctl.cmd("configure status")
    assert w.ctl.session_since("c1", "c2", "c3") == since
