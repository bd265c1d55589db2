# SPDX-License-Identifier: BSD-2-Clause
"""The last row of the scenario: what can be wrong between two routers, and that state and last error say which it is."""
import re

import pytest
from netlab.pair import NODE_NET, PEER_NET, SESSIONS

# Whoever notices first says it: we ourselves, or the peer in its NOTIFICATION (Cease, BFD Down: RFC 9384, code 6/10).
BFD_DOWN = r"(?i)peer_v[46]: .*(BFD session down|Received: .*(6\.10|BFD))"

both = pytest.mark.parametrize("peer", ["bird", "frr"])


@both
def test_tcp_179_filtered_from_the_beginning(make_pair, peer):
    p = make_pair(peer)
    p.lab.filter_port("a", "tcp", 179)
    p.start()
    p.wait(lambda: p.info().split()[0] in ("Connect", "Active"), "the session tries to connect")
    p.lab.filter_port("a", "tcp", 179, drop=False)
    p.up()


@both
def test_tcp_179_filtered_later_is_the_hold_timer(make_pair, peer):
    p = make_pair(peer, bfd=False)
    p.start(p.config(bfd="")).up(bfd=False)
    p.lab.filter_port("a", "tcp", 179)
    p.wait(lambda: "Hold timer expired" in p.ctl.protocol_all("peer_v4"), "last error is the hold timer")
    p.logged(r"peer_v4: .*Hold timer expired")
    p.lab.filter_port("a", "tcp", 179, drop=False)
    p.up(bfd=False)


@both
def test_wrong_asn(make_pair, peer):
    p = make_pair(peer)
    p.start(p.config(peer_as=64999))
    p.wait(lambda: re.search(r"Bad peer AS", p.ctl.protocol_all("peer_v4")), "last error says Bad peer AS")
    assert "Established" not in p.info()
    p.node.configure(p.config())
    p.up()


@both
def test_bfd_filtered(make_pair, peer):
    p = make_pair(peer)
    p.lab.filter_port("a", "udp", 3784)
    p.start(p.config(bgp="debug { states, events };"))
    p.up(bfd=False)
    assert all(b["state"] == "Down" for b in p.ctl.bfd_sessions().values())
    p.lab.filter_port("a", "udp", 3784, drop=False)
    p.up()
    p.lab.filter_port("a", "udp", 3784)
    p.logged(BFD_DOWN)
    p.wait(lambda: p.ctl.established(*SESSIONS), "the session returns without BFD")


@both
def test_peer_without_bfd(make_pair, peer):
    p = make_pair(peer, bfd=False).start()
    p.up(bfd=False)
    assert all(b["state"] == "Down" for b in p.ctl.bfd_sessions().values())


def test_community_not_honoured(make_pair):
    """The peer hears GRACEFUL_SHUTDOWN and does nothing: that it was sent is seen on our side, that it was not acted upon
    on theirs."""
    p = make_pair("bird")
    p.start(p.config(export="filter { bgp_community.add((65535, 0)); accept; }"))
    p.up()
    for net in NODE_NET.values():
        p.wait(lambda: p.peer.sees(net), f"{net} at the peer")
        r = [r for r in p.peer.daemon.ctl.routes(net) if r["proto"].startswith("node_")][0]
        assert "(65535,0)" in r["attrs"]["BGP.community"].replace(" ", "")
        assert r["attrs"]["BGP.local_pref"] == "100"
    assert "(65535,0)" in p.ctl.cmd(f"show route {NODE_NET[4]} export peer_v4 all").replace(" ", "")


@both
def test_session_with_md5(make_pair, peer):
    p = make_pair(peer, password="open sesame" if peer == "bird" else "sesame")
    p.start(p.config(bgp=f'password "{p.peer.password}";'))
    p.up()
    for f in (4, 6):
        p.wait(lambda: p.peer.sees(NODE_NET[f]) and p.ctl.best(PEER_NET[f]), f"IPv{f} routes both ways")
    # another password: no session, whatever else is right
    p.node.configure(p.config(bgp='password "wrong";'))
    p.wait(lambda: not p.ctl.established("peer_v4"), "the session went down with the changed password")
    p.wait(lambda: p.info().split()[0] in ("Connect", "Active"), "it tries and does not get through")
    p.node.configure(p.config(bgp=f'password "{p.peer.password}";'))
    p.up()


@both
def test_session_and_bfd_changes_are_in_the_log(make_pair, peer):
    p = make_pair(peer)
    p.start(p.config(bgp="debug { states, events };"))
    p.up()
    p.logged(r"peer_v4: .*(?i:established|state changed to up)")
    p.lab.cut("a")
    p.logged(BFD_DOWN)
    p.lab.mend()
    p.up()


@both
def test_one_way_loss_is_seen_by_bfd(make_pair, peer):
    """Only packets towards us are lost: we notice by ourselves, the peer by what we say."""
    p = make_pair(peer).start().up()
    p.lab.cut("a", towards="node")
    p.wait(lambda: not p.ctl.established("peer_v4"), "our session went down")
    p.lab.mend()
    p.up()
    p.lab.cut("a", towards="peer")
    p.wait(lambda: not p.ctl.established("peer_v4"), "our session went down, told by the peer")
    p.lab.mend()
    p.up()
