# SPDX-License-Identifier: BSD-2-Clause
"""Route servers once more (test_routeserver.py): a table and a pipe a client, as IXP-Manager does it; and what goes on while a
reload looks at a million routes again.
"""
import re
import socket
import time

import pytest
from bgp_peers import Raw, as_path, attribute, next_hop, origin
from netlab.daemons import Peregrine
from test_routeserver import CLIENT, COMMON, ROUTES, RS, SERVER, World

pytestmark = pytest.mark.ours

# ---- as IXP-Manager writes it: a table and a pipe a client, tags instead of refusals ----

MANY_TABLES = COMMON + """
function tag_in(int asn; prefix set allowed) -> bool
{
	if net ~ [ 10.0.0.0/8+ ] then bgp_large_community.add((rs_as, 1101, 3));
	if bgp_path.first != asn then bgp_large_community.add((rs_as, 1101, 1));
	if ! (net ~ allowed) then bgp_large_community.add((rs_as, 1101, 9));
	return true;
}
function ixp_community_filter(int peeras) -> bool
{
	if ! (source = RTS_BGP) then return false;
	if (0, peeras) ~ bgp_community then return false;
	if (rs_as, 0, peeras) ~ bgp_large_community then return false;
	return true;
}
filter f_export_to_master
{
	if bgp_large_community ~ [ (rs_as, 1101, *) ] then reject;
	accept;
}
template bgp tb_rsclient {
	local as rs_as;
	strict bind yes;
	rs client;
	connect delay time 1; connect retry time 1; error wait time 1, 2;
	interpret communities off;
}
%(clients)s
"""

MANY_CLIENT = """
ipv4 table t_%(i)04d_as%(asn)d;
filter f_import_as%(asn)d
prefix set allnet;
{
	allnet = [ %(allowed)s ];
	tag_in(%(asn)d, allnet);
	accept;
}
protocol pipe pp_%(i)04d_as%(asn)d {
	description "Pipe for AS%(asn)d";
	table master4;
	peer table t_%(i)04d_as%(asn)d;
	import filter f_export_to_master;
	export where ixp_community_filter(%(asn)d);
}
protocol bgp pb_%(i)04d_as%(asn)d from tb_rsclient {
	description "AS%(asn)d";
	source address %(server)s;
	neighbor %(address)s as %(asn)d;
	ipv4 { import limit 900 action restart; import filter f_import_as%(asn)d; table t_%(i)04d_as%(asn)d; export filter { bgp_large_community.delete([ (rs_as, *, *) ]); accept; }; };
}
"""
ALLOWED = {1: "198.51.100.0/24, 203.0.113.0/24, 198.18.0.0/15{15,24}", 2: "203.0.113.0/24, 198.19.0.0/16{16,24}", 3: "198.19.128.0/17+"}


def many_tables(log):
    return MANY_TABLES % {"log": log, "rs": RS, "clients": "".join(
        MANY_CLIENT % {"i": i, "address": a, "asn": n, "allowed": ALLOWED[i], "server": SERVER[i]} for i, (a, n) in CLIENT.items())}


def test_table_and_pipe_for_each_client(lab):
    w = World(lab, many_tables)
    w.up("pb_0001_as65011", "pb_0002_as65012", "pb_0003_as65013")
    w.wait(lambda: len(w.seen(2)) >= 6 and len(w.seen(1)) >= 2 and "203.0.113.0/24" in w.seen(2), "routes")
    # a pipe carries all routes of a network: the best of 203.0.113.0/24 is not for client 3, which gets the other one
    w.wait(lambda: w.seen(3)["203.0.113.0/24"]["BGP.as_path"] == "65012 65012", "the other route")
    to2 = w.seen(2)
    assert "10.1.0.0/16" not in to2 and "172.104.0.0/16" not in to2, "tagged, so it stays in its table"
    assert to2["198.51.100.0/24"]["BGP.as_path"] == "65011" and "BGP.large_community" not in to2["198.51.100.0/24"]
    own = w.ctl.routes("table t_0001_as65011")
    assert {r["net"] for r in own if r["proto"] == "pb_0001_as65011"} == {m for m in re.findall(r"route (\S+) ", ROUTES[1])}
    tagged = next(r for r in own if r["net"] == "10.1.0.0/16")
    assert "(64500, 1101, 3)" in tagged["attrs"]["BGP.large_community"]
    # the looking glass' way to what a pipe filtered
    assert "10.1.0.0/16" in w.ctl.cmd("show route table 't_0001_as65011' noexport 'pp_0001_as65011' all")
    counts = w.ctl.cmd("show route table all count")
    assert re.search(r"in table t_0003_as65013", counts)
    assert re.search(r"(?m)^pp_0001_as65011 Pipe +--- +up +.* master4 <=> t_0001_as65011 *$", w.ctl.cmd("show protocols"))
    w.ctl.cmd("disable pp_0001_as65011")
    w.wait(lambda: "198.51.100.0/24" not in w.seen(2), "what came through the pipe is gone")
    w.ctl.cmd("enable pp_0001_as65011")
    w.wait(lambda: "198.51.100.0/24" in w.seen(2), "and back")


# ---- a reload with a million routes ----

MILLION = COMMON + """
define SEEN = [ 100.0.0.0/6+, 60.0.0.0/6+, 80.0.0.0/6{8,24}, 20.%(mark)d.0.0/16+ ];
filter feed { if net ~ SEEN then bgp_community.add((rs_as, %(mark)d)); else bgp_community.add((rs_as, %(mark)d + 100)); accept; }
protocol bgp feeder { local as rs_as; neighbor 192.0.2.11 as 65011; passive; rs client; hold time 3;
	ipv4 { import table on; import filter feed; export none; }; }
protocol bgp quiet1 { local as rs_as; neighbor 192.0.2.19 as 65012; passive; rs client; hold time 3; ipv4 { import all; export none; }; }
protocol bgp quiet2 { local as rs_as; neighbor 192.0.2.27 as 65013; passive; rs client; hold time 3; ipv4 { import all; export where net ~ [ 198.51.100.0/24+ ]; }; }
"""
MANY = 1000000


def million(mark):
    return lambda log: MILLION % {"log": log, "rs": RS, "mark": mark}


def test_reload_with_a_million_routes_holds_nobody_up(lab):
    """Sessions with a hold time of 3 s on both sides live through reloads that look at a million routes again: no neighbour's
    hold timer would have expired either. Questions are answered meanwhile. Then a dump of all routes whose reader stands
    still: changes go through, another reload too, and in the end the dump is whole."""
    lab.add("rs", "peer")
    lab.link("lan", ("rs", "up0", ["192.0.2.2/24"]), ("peer", "cust0", [f"{a}/24" for a, _ in CLIENT.values()]))
    node = Peregrine(lab, "rs")
    node.start(million(1)(node.log_path))
    raws = [Raw(lab, a, "192.0.2.2", n, hold=3) for a, n in CLIENT.values()]
    try:
        alive = Alive(raws)
        attributes = origin() + as_path(65011, 65111) + next_hop("192.0.2.11") + attribute(8, b"\0\1\0\2")
        tail = len(attributes).to_bytes(2, "big") + attributes
        nets = [bytes([24, 20 + i // 65536, i >> 8 & 255, i & 255]) for i in range(MANY)]
        for at in range(0, MANY, 900):
            raws[0].send(2, b"\0\0" + tail + b"".join(nets[at:at + 900]))
            alive.beat()
        count = lambda c: int(re.search(r"(\d+) of", node.ctl.cmd(f"show route where (64500,{c}) ~ bgp_community count", timeout=60)).group(1))
        alive.until(lambda: count(1) + count(101) == MANY, "a million routes")
        since = node.ctl.session_since("feeder", "quiet1", "quiet2")
        for mark in (2, 3, 4):
            node.write(".conf", million(mark)(node.log_path))
            answer = node.ctl.cmd("configure")
            assert "Reconfigured" in answer
            asked = 0
            while count(mark) + count(mark + 100) != MANY:
                node.ctl.cmd("show status")
                node.ctl.cmd("show protocols all quiet1")
                asked += 1
                alive.beat()
            alive.beat()
        assert node.ctl.session_since("feeder", "quiet1", "quiet2") == since
        assert not any(r.closed or r.notifications() for r in raws)
        assert "Hold timer expired" not in node.log_text()
        # one more with nothing changed: nothing is looked at
        node.ctl.cmd("configure")
        assert count(4) + count(104) == MANY
        dump_beside_changes(node, raws, alive)
        assert node.ctl.session_since("feeder", "quiet1", "quiet2") == since
        for r in raws:
            assert not r.closed and len(r.keepalives) > 1
            assert max(b - a for a, b in zip(r.keepalives, r.keepalives[1:])) < 3, "the neighbour's hold timer has expired"
    finally:
        for r in raws:
            r.close()


def dump_beside_changes(node, raws, alive):
    """`show route` of everything, of which the first line is read and no more until all else has happened."""
    attributes = origin() + as_path(65012) + next_hop("192.0.2.19")
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(node.sock)
        f = s.makefile("rb")
        assert f.readline().startswith(b"0001 ")
        s.sendall(b"show route protocol feeder\n")
        assert f.readline() == b"1007-Table master4:\n"
        for i in range(20):  # each is seen by the third before the next is sent
            raws[1].update(attributes, [f"198.51.100.{i}/32"])
            alive.until(lambda: f"198.51.100.{i}/32" in raws[2].announced()[0], f"change {i} arrives beside the dump")
        node.write(".conf", million(5)(node.log_path))
        assert "Reconfigured" in node.ctl.cmd("configure")
        again = lambda: int(re.search(r"(\d+) of", node.ctl.cmd("show route where (64500,5) ~ bgp_community || (64500,105) ~ bgp_community count", timeout=60)).group(1))
        alive.until(lambda: again() == MANY, "a million routes looked at again beside the dump")
        raws[1].update(withdrawn=[f"198.51.100.{i}/32" for i in range(20)])
        alive.until(lambda: not raws[2].announced()[0], "withdrawals beside the dump")
        nets = 0
        for line in f:
            alive.beat()
            if line == b"0000 \n":
                break
            nets += b" unicast [feeder " in line
        assert nets == MANY
        s.sendall(b"eval 1\n")
        assert f.readline() == b"0023 1\n"


class Alive:
    """Our side of the sessions: a keepalive when it is due, whatever the test is doing."""

    def __init__(self, raws):
        self.raws, self.last = raws, time.monotonic()

    def beat(self):
        if time.monotonic() - self.last > 0.8:
            self.last = time.monotonic()
            for r in self.raws:
                r.send(4)

    def until(self, fact, what, limit=90):
        end = time.monotonic() + limit
        while not fact():
            assert time.monotonic() < end, what
            self.beat()
