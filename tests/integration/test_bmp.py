# SPDX-License-Identifier: BSD-2-Clause
"""`protocol bmp`: what a BMP station hears of our sessions and their routes (RFC 7854), of what leaves (RFC 8671) and of the Loc-RIB
(RFC 9069)."""
import re

import pytest
from bgp_peers import Raw, as_path, attribute, message, next_hop, origin, update_message
from netlab import Lab
from netlab.bmp import DOWN, ERRORED, INITIATION, LOCAL, LOST, MIRROR, TERMINATION, Station, tshark
from netlab.mrt import as_path as path_of
from netlab.pair import NODE, NODE_AS, NODE_NET, PEER, PEER_AS, PEER_NET, Pair

pytestmark = pytest.mark.ours  # Debian's BIRD has no BMP
STATION_PORT = 11019


@pytest.fixture
def lab_with_station():
    with Lab() as lab:
        p = Pair(lab, "bird")
        p.station = Station(lab, "peer", PEER[4], STATION_PORT)
        p.bmp = f"""
protocol bmp station {{ station address ip {PEER[4]} port {STATION_PORT}; system description "the box"; system name "edge1";
	monitoring rib in pre_policy; monitoring rib in post_policy; }}
"""
        yield p
        p.station.close()
        assert p.station.error is None, repr(p.station.error)


def keys(rib):
    return {k[0] for k in rib}


def test_sessions_and_routes(lab_with_station):
    p, st = lab_with_station, lab_with_station.station
    p.start(p.config(extra=p.bmp)).up(bfd=False)
    both = {PEER[4], PEER[6]}
    p.wait(lambda: set(st.up) == both, "Peer Up of both sessions")
    assert st.log[0] == (INITIATION, {1: "the box", 2: "edge1"})
    for f in (4, 6):
        info = st.up[PEER[f]]
        assert info["as"] == PEER_AS and info["local"] == NODE[f] and 179 in info["ports"]
        sent, received = (body for _, body in info["opens"])
        assert int.from_bytes(sent[1:3], "big") == NODE_AS and int.from_bytes(received[1:3], "big") == PEER_AS
        for policy in ("pre", "post"):
            p.wait(lambda: keys(st.rib[(PEER[f], policy)]) == {PEER_NET[f]}, f"the route of {PEER[f]}, {policy}-policy")
            p.wait(lambda: (PEER[f], policy, f) in st.end_of_rib, f"End-of-RIB of {PEER[f]}, {policy}-policy")
    assert path_of(st.rib[(PEER[4], "pre")][(PEER_NET[4], 0)][2]) == [PEER_AS]
    assert p.ctl.protocols()["station"]["state"] == "up"
    assert "Established" in p.info("station")

    # another import filter: before it nothing changes, behind it the route is gone, then back and different
    base = p.config(extra=p.bmp)
    none = base.replace("ipv4 { import all;", "ipv4 { import none;")
    assert none != base
    p.node.configure(none)
    p.wait(lambda: not st.rib[(PEER[4], "post")], "the filtered route is withdrawn, post-policy")
    assert keys(st.rib[(PEER[4], "pre")]) == {PEER_NET[4]}
    p.node.configure(base.replace("ipv4 { import all;", "ipv4 { import filter { bgp_med = 77; accept; };"))
    p.wait(lambda: (PEER_NET[4], 0) in st.rib[(PEER[4], "post")], "the route is back, post-policy")
    assert st.rib[(PEER[4], "post")][(PEER_NET[4], 0)][4] == (77).to_bytes(4, "big")
    assert 4 not in st.rib[(PEER[4], "pre")][(PEER_NET[4], 0)]

    # the neighbour withdraws
    p.peer.daemon.ctl.cmd("disable static1")
    p.wait(lambda: not st.rib[(PEER[4], "pre")] and not st.rib[(PEER[4], "post")], "withdrawn")
    p.peer.daemon.ctl.cmd("enable static1")
    p.wait(lambda: st.rib[(PEER[4], "pre")], "announced again")

    # sessions end: our doing, the neighbour's doing, without a word
    p.ctl.cmd("disable peer_v4")
    down = p.wait(lambda: [e for e in st.log if e[:2] == (DOWN, PEER[4])], "Peer Down")[-1]
    assert down[2] == 1 and down[3][18:21] == bytes((3, 6, 2)), "our NOTIFICATION: Cease, Administrative Shutdown"
    p.peer.daemon.ctl.cmd("disable node_v6")
    down = p.wait(lambda: [e for e in st.log if e[:2] == (DOWN, PEER[6])], "Peer Down")[-1]
    assert down[2] == 3 and down[3][18:20] == bytes((3, 6)), "the neighbour's NOTIFICATION"
    p.ctl.cmd("enable peer_v4")
    p.peer.daemon.ctl.cmd("enable node_v6")
    p.wait(lambda: set(st.up) == both and all(st.rib[(PEER[f], "post")] for f in (4, 6)), "both are back with their routes")

    # the end
    p.ctl.cmd("disable station")
    p.wait(lambda: st.log[-1] == (TERMINATION, 0), "Termination")
    p.wait(lambda: p.ctl.protocols()["station"]["state"] == "down", "the protocol is down")


def test_station_that_comes_late_and_goes(lab_with_station):
    """What was there before is told to a station that connects; a lost connection is made again and all is said anew."""
    p, st = lab_with_station, lab_with_station.station
    p.start().up(bfd=False)
    p.wait(lambda: p.ctl.best(PEER_NET[4]) and p.ctl.best(PEER_NET[6]), "routes from the peer")
    p.node.configure(p.config(extra=p.bmp.replace("monitoring rib in pre_policy;", "monitoring rib in pre_policy; monitoring rib out post_policy;")))

    def complete():
        return all(keys(st.rib.get((PEER[f], policy), {})) >= {net[f]} and (PEER[f], policy, f) in st.end_of_rib
                   for f in (4, 6) for policy, net in (("pre", PEER_NET), ("post", PEER_NET), ("out post", NODE_NET)))
    p.wait(complete, "everything that is up is told")
    st.conn.shutdown(2)
    p.logged("Connection to the BMP station lost")
    p.wait(lambda: st.connections == 2 and complete(), "connected again and told again")
    p.node.configure(p.config())  # not in the configuration any more
    p.wait(lambda: st.log[-1] == (TERMINATION, 0), "Termination")


MORE = "198.51.101.0/24"
EXPORT = "filter { if net = 198.51.101.0/24 then reject; if source = RTS_STATIC then { bgp_med = 55; accept; } reject; }"


def test_what_leaves_and_the_loc_rib(lab_with_station):
    """Adj-RIB-Out before and behind the export filter, and the Loc-RIB: what the neighbour has and what is best, at the beginning and
    after each change; tshark finds nothing wrong."""
    p, st = lab_with_station, lab_with_station.station
    bmp = p.bmp.replace("monitoring rib in pre_policy; monitoring rib in post_policy;",
                        "monitoring rib out pre_policy; monitoring rib out post_policy; monitoring rib local;")
    more = f"protocol static more {{ ipv4; route {MORE} blackhole; }}\nprotocol static own {{ ipv4; disabled; route {PEER_NET[4]} blackhole; }}\n"

    def config(export=EXPORT):
        return p.config(families=(4, 6), export=export, extra=more + bmp)

    def have(peer, rib, nets, what):
        p.wait(lambda: keys(st.rib.get((peer, rib), {})) == set(nets), f"{rib}: {what}")
    p.start(config()).up(bfd=False)
    p.wait(lambda: set(st.up) == {PEER[4], PEER[6], LOCAL}, "Peer Up of both sessions and of the Loc-RIB")
    assert st.up[LOCAL]["as"] == NODE_AS and st.up[LOCAL]["ports"] == (0, 0)
    have(PEER[4], "out pre", [NODE_NET[4], MORE], "all but its own")
    have(PEER[4], "out post", [NODE_NET[4]], "what the filter lets through")
    have(PEER[6], "out post", [NODE_NET[6]], "the other family")
    have(LOCAL, LOCAL, [NODE_NET[4], NODE_NET[6], PEER_NET[4], PEER_NET[6], MORE], "everything that is best")
    for f in (4, 6):
        p.wait(lambda: {(PEER[f], "out pre", f), (PEER[f], "out post", f), (LOCAL, LOCAL, f)} <= st.end_of_rib, "End-of-RIB")
    # who looks over the neighbour's shoulder without its filter is not what is counted
    p.wait(lambda: re.search(r"Routes:\s+1 imported, 1 exported", p.ctl.protocol_all("peer_v4")), "one route exported")
    post = st.rib[(PEER[4], "out post")][(NODE_NET[4], 0)]
    assert post[4] == (55).to_bytes(4, "big") and path_of(post[2]) == [NODE_AS]
    assert 4 not in st.rib[(PEER[4], "out pre")][(NODE_NET[4], 0)]
    local = st.rib[(LOCAL, LOCAL)]
    assert path_of(local[(PEER_NET[4], 0)][2]) == [PEER_AS] and path_of(local[(NODE_NET[4], 0)][2]) == []
    assert not st.rib[(PEER[4], "pre")] and not st.rib[(PEER[4], "post")], "what was not asked for"

    # another export filter
    p.node.configure(config("filter { bgp_med = 66; accept; }"))
    have(PEER[4], "out post", [NODE_NET[4], MORE], "another filter")
    p.wait(lambda: st.rib[(PEER[4], "out post")][(NODE_NET[4], 0)][4] == (66).to_bytes(4, "big"), "with another metric")

    # a route of ours takes the place of the neighbour's own, and gives it back
    for _ in range(2):
        p.ctl.cmd("enable own")
        for rib in ("out pre", "out post"):
            have(PEER[4], rib, [NODE_NET[4], MORE, PEER_NET[4]], "ours is better than its own")
        p.wait(lambda: path_of(st.rib[(LOCAL, LOCAL)][(PEER_NET[4], 0)][2]) == [], "ours is best")
        p.wait(lambda: p.peer.sees(PEER_NET[4]), "the neighbour has it, too")
        p.ctl.cmd("disable own")
        for rib in ("out pre", "out post"):
            have(PEER[4], rib, [NODE_NET[4], MORE], "its own is the best again")
        p.wait(lambda: path_of(st.rib[(LOCAL, LOCAL)][(PEER_NET[4], 0)][2]) == [PEER_AS], "its own is best")
        p.wait(lambda: not p.peer.sees(PEER_NET[4]), "withdrawn from the neighbour, too")
    p.peer.daemon.ctl.cmd("disable static1")
    have(LOCAL, LOCAL, [NODE_NET[4], NODE_NET[6], PEER_NET[6], MORE], "withdrawn by the neighbour")

    # one session ends: nothing more of what would leave there, and the other's is told as before
    p.ctl.cmd("disable peer_v4")
    p.wait(lambda: PEER[4] not in st.up, "Peer Down")
    for command, nets in (("disable", []), ("enable", [NODE_NET[6]])):
        p.ctl.cmd(f"{command} more")
        p.ctl.cmd(f"{command} own6")
        p.wait(lambda: (NODE_NET[6], 0) in st.rib[(PEER[6], "out post")] if nets else not keys(st.rib[(PEER[6], "out post")]) & {NODE_NET[6]},
               f"own6 after {command}")
        have(LOCAL, LOCAL, [NODE_NET[4], PEER_NET[6], *nets, *([MORE] if nets else [])], "and the Loc-RIB")
    assert st.error is None, repr(st.error)
    p.ctl.cmd("enable peer_v4")
    have(PEER[4], "out post", [NODE_NET[4], MORE], "the session is back")

    # tshark of Debian 12 takes a TLV in a Peer Up for one more BGP message: the table's name was looked at by Station
    told = [m[:1] + (len(m) - 10).to_bytes(4, "big") + m[5:-10] if m[5:7] == b"\x03\x03" else m for m in st.messages]
    rows = tshark(told, p.lab.path("bmp.pcap"), "bmp.type", "bmp.peer.type", "bmp.peer.flags.adj_rib_out", "bmp.peer.flags.post_policy")
    assert len(rows) == len(told) and None not in rows
    assert {r[1:] for r in rows if r[0] == "0"} == {("0", "1", "0"), ("0", "1", "1"), ("3", "", "")}

    # without the station the neighbour is still told all
    p.ctl.cmd("disable station")
    p.wait(lambda: p.ctl.protocols()["station"]["state"] == "down", "the station is gone")
    assert re.search(r"Routes:\s+0 imported, 2 exported", p.ctl.protocol_all("peer_v4"))
    p.peer.daemon.ctl.cmd("enable static1")
    p.wait(lambda: p.ctl.best(PEER_NET[4]), "its route is back")
    p.ctl.cmd("enable own")
    p.wait(lambda: p.peer.sees(PEER_NET[4]), "ours at the neighbour")
    p.ctl.cmd("disable own")
    p.wait(lambda: not p.peer.sees(PEER_NET[4]), "withdrawn")


def test_many_routes_and_a_slow_station():
    """A station that does not read is dropped when its limit is reached; one that reads gets the whole of it."""
    with Lab() as lab:
        p = Pair(lab, None)
        st = Station(lab, "peer", PEER[4], STATION_PORT, read=False)
        p.start(p.config(families=(4,), bfd="", bgp="", extra=f"""
protocol bmp station {{ station address ip {PEER[4]} port {STATION_PORT}; monitoring rib in pre_policy; tx buffer limit 1; }}
"""))
        raw = Raw(lab, PEER[4], NODE[4], PEER_AS)
        p.wait(lambda: "Established" in p.info("station"), "connected")
        count = 30000
        nets = [f"10.{i >> 8 & 255}.{i & 255}.0/24" for i in range(count)]
        # two versions of everything: more than the socket and a megabyte hold
        for med in range(4):
            for i in range(0, count, 500):
                raw.update(origin() + as_path(PEER_AS, 65000 + med) + next_hop(PEER[4]), nets[i:i + 500])
        p.logged("TX buffer limit reached")
        assert p.ctl.established("peer_v4")
        st.reading.set()
        p.wait(lambda: len(st.rib.get((PEER[4], "pre"), {})) == count and (PEER[4], "pre", 4) in st.end_of_rib,
               "all of it after the next connection", limit=60)
        assert all(path_of(a[2]) == [PEER_AS, 65003] for a in st.rib[(PEER[4], "pre")].values())
        raw.close()
        p.wait(lambda: not st.up, "Peer Down")
        assert st.error is None, repr(st.error)
        st.close()


def test_mirrored_messages():
    """What a neighbour sends arrives at the station byte by byte, with what was wrong about it; tshark reads it."""
    with Lab() as lab:
        p = Pair(lab, None)
        st = Station(lab, "peer", PEER[4], STATION_PORT)
        p.start(p.config(families=(4,), bfd="", bgp="error wait time 1, 1;", extra=f"""
protocol bmp station {{ station address ip {PEER[4]} port {STATION_PORT}; monitoring mirror; }}
"""))
        p.wait(lambda: "Established" in p.info("station"), "connected")
        raw = Raw(lab, PEER[4], NODE[4], PEER_AS)
        p.wait(lambda: PEER[4] in st.up, "Peer Up")
        good = update_message(origin() + as_path(PEER_AS, 65001) + next_hop(PEER[4]), ["10.1.0.0/24", "10.2.0.0/16"])
        loop = update_message(origin() + as_path(PEER_AS, NODE_AS) + next_hop(PEER[4]), ["10.3.0.0/24"])
        bad = update_message(origin(9) + as_path(PEER_AS, 65001) + next_hop(PEER[4]), ["10.4.0.0/24"])
        end = message(2, bytes((0, 9, 0, 0)))  # withdrawn routes beyond the end: the session goes
        for m in (good, loop, bad, good, end):
            raw.write(m)

        def told():
            return [(m, i) for kind, peer, m, i in (e for e in st.log if e[0] == MIRROR) if m[18] != 4]
        p.wait(lambda: any(e[0] == DOWN for e in st.log), "Peer Down")
        assert told() == [(good, []), (loop, []), (bad, [ERRORED]), (good, []), (end, [ERRORED])]
        assert [e[0] for e in st.log if e[0] in (MIRROR, DOWN)][-1] == DOWN
        rows = tshark(st.messages, lab.path("bmp.pcap"), "bmp.type")
        assert [r for r in rows if r and r[0] == "6"]
        raw.close()
        assert st.error is None, repr(st.error)
        st.close()


def test_mirrored_messages_are_lost_and_it_is_said():
    """A station that does not read in time misses messages; the connection and the session stay."""
    with Lab() as lab:
        p = Pair(lab, None)
        st = Station(lab, "peer", PEER[4], STATION_PORT, read=False)
        p.start(p.config(families=(4,), bfd="", extra=f"""
protocol bmp station {{ station address ip {PEER[4]} port {STATION_PORT}; monitoring mirror; tx buffer limit 1; }}
"""))
        p.wait(lambda: "Established" in p.info("station"), "connected")
        raw = Raw(lab, PEER[4], NODE[4], PEER_AS)
        p.wait(lambda: p.ctl.established("peer_v4"), "up")
        sent, net = 6000, "10.1.0.0/24"
        communities = attribute(8, b"".join((65001 << 16 | i).to_bytes(4, "big") for i in range(900)))
        for i in range(sent):
            raw.update(origin() + as_path(PEER_AS, 100000 + i) + next_hop(PEER[4]) + communities, [net])
        p.wait(lambda: (p.ctl.best(net) or {}).get("attrs", {}).get("BGP.as_path", "").endswith(str(100000 + sent - 1)), "all of it is in the table")
        st.reading.set()

        def mirrored():
            return [e for e in list(st.log) if e[0] == MIRROR]
        p.wait(lambda: any(LOST in e[3] for e in mirrored()), "messages lost", limit=60)  # with the next one at the latest, a KEEPALIVE
        assert len([e for e in mirrored() if e[2][18] == 2]) < sent
        assert p.ctl.established("peer_v4") and st.connections == 1
        assert st.error is None, repr(st.error)
        raw.close()
        st.close()
