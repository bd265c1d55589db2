# SPDX-License-Identifier: BSD-2-Clause
"""Other people's daemons as peers, with routes both ways."""
import pytest
from netlab import ExaBgp, GoBgp, gobgp_config, gobgp_neighbor, have
from netlab.pair import NODE, NODE_AS, NODE_NET, PEER, PEER_AS, PEER_NET

GOBGP = gobgp_config(PEER_AS, PEER[4], *(gobgp_neighbor(NODE[f], NODE_AS, [f"ipv{f}-unicast"]) for f in (4, 6)))

EXABGP = "".join(f"""neighbor {NODE[f]} {{
	router-id {PEER[4]};
	local-address {PEER[f]};
	local-as {PEER_AS};
	peer-as {NODE_AS};
	hold-time 9;
	family {{ ipv{f} unicast; }}
	api {{ processes [ sink ]; receive {{ parsed; update; }} }}
	static {{ route {PEER_NET[f]} next-hop {PEER[f]} community [ 64496:1 ]; }}
}}
""" for f in (4, 6))


def both_ways(p, sees):
    p.wait(lambda: p.ctl.established("peer_v4", "peer_v6"), "sessions Established")
    for f in (4, 6):
        p.wait(lambda: sees(NODE_NET[f]), f"{NODE_NET[f]} at the peer")
        best = p.wait(lambda: p.ctl.best(PEER_NET[f]), f"{PEER_NET[f]} from the peer")
        assert best["via"] == PEER[f] and best["attrs"]["BGP.as_path"] == str(PEER_AS)
        p.wait(lambda: p.lab.route_gateway("node", f, PEER_NET[f]) == [PEER[f]], f"{PEER_NET[f]} in the kernel")


@pytest.mark.skipif(not have("gobgpd"), reason="gobgpd is not installed")
def test_gobgp(make_pair):
    p = make_pair(None)
    gobgp = GoBgp(p.lab, "peer").start(GOBGP)
    for f in (4, 6):
        gobgp.gobgp("global", "rib", "add", PEER_NET[f], "nexthop", PEER[f], "-a", f"ipv{f}")
    p.start(p.config(bfd=""))
    both_ways(p, lambda net: net in gobgp.routes("ipv6" if ":" in net else "ipv4"))
    gobgp.gobgp("global", "rib", "del", PEER_NET[4], "-a", "ipv4")
    p.wait(lambda: p.ctl.best(PEER_NET[4]) is None, "the withdrawal arrived")
    p.wait(lambda: p.lab.route_gateway("node", 4, PEER_NET[4]) == [], "and left the kernel")


@pytest.mark.skipif(not have("exabgp"), reason="exabgp is not installed")
def test_exabgp(make_pair):
    p = make_pair(None)
    exabgp = ExaBgp(p.lab, "peer").start(EXABGP)
    p.start(p.config(bfd=""))
    both_ways(p, exabgp.sees)
    assert "(64496,1)" in p.ctl.best(PEER_NET[4])["attrs"]["BGP.community"].replace(" ", "")
    p.ctl.cmd("disable own4")
    p.wait(lambda: not exabgp.sees(NODE_NET[4]), "the withdrawal arrived at ExaBGP")
