# SPDX-License-Identifier: BSD-2-Clause
"""MRT files: tables (`protocol mrt`, `mrt dump`) and messages (`mrtdump`)."""
import os
import time

import pytest
from netlab import BirdError, Lab
from netlab.mrt import Table, as_path, messages, records
from netlab.pair import NODE, NODE_AS, NODE_NET, PEER, PEER_AS, PEER_NET, Pair


@pytest.fixture(scope="module")
def pair():
    with Lab() as lab:
        p = Pair(lab, "bird")
        p.dir = lab.dir
        extra = f"""
mrtdump "{lab.dir}/messages.mrt";
protocol mrt dump_all {{ table "master*"; filename "{lab.dir}/all-%N.mrt"; period 1; }}
protocol mrt dump_bgp {{ table master4; where source = RTS_BGP; filename "{lab.dir}/bgp.mrt"; period 1; always add path; }}
"""
        p.start(p.config(bgp="mrtdump all;", extra=extra)).up(bfd=False)
        p.wait(lambda: all(p.ctl.best(n) for n in PEER_NET.values()), "routes from the peer")
        yield p


def dump(p, words, name):
    path = os.path.join(p.dir, name)
    p.ctl.cmd(f'mrt dump {words} to "{path}"')
    return Table(path)


def test_dump_of_a_table(pair):
    for f, table in ((4, "master4"), (6, "master6")):
        t = dump(pair, f"table {table}", f"once{f}.mrt")
        assert t.view == table and t.router_id == NODE[4]
        assert t.peers[0] == ("0.0.0.0", "::", 0)
        assert (PEER[4], PEER[f], PEER_AS) in t.peers
        assert set(t.routes) == {NODE_NET[f], PEER_NET[f]}
        (r,) = t.routes[PEER_NET[f]]
        assert r["peer"] == (PEER[4], PEER[f], PEER_AS)
        assert abs(r["time"] - time.time()) < 600
        assert r["attributes"][1] == b"\0" and as_path(r["attributes"][2]) == [PEER_AS]
        if f == 4:
            assert r["attributes"][3] == bytes(map(int, PEER[4].split(".")))
        else:  # of MP_REACH_NLRI the next hop alone
            assert r["attributes"][14][0] == len(r["attributes"][14]) - 1 and r["attributes"][14][0] in (16, 32)
        (own,) = t.routes[NODE_NET[f]]
        assert own["peer"] == t.peers[0] and own["attributes"] == {}


def test_dump_through_a_filter_and_by_pattern(pair):
    t = dump(pair, "table master4 where net.len > 24", "none.mrt")
    assert t.routes == {}
    pair.ctl.cmd(f'mrt dump table "master?" where source = RTS_STATIC to "{pair.dir}/static-%N.mrt"')
    assert set(Table(f"{pair.dir}/static-master4.mrt").routes) == {NODE_NET[4]}
    assert set(Table(f"{pair.dir}/static-master6.mrt").routes) == {NODE_NET[6]}


def test_dump_that_cannot_be_written(pair):
    assert "Unable to open MRT file '/nonexistent/x'" in pair.node.birdc('mrt dump table master4 to "/nonexistent/x"')
    with pytest.raises(BirdError, match="Table not specified"):
        pair.ctl.cmd('mrt dump to "x"')
    with pytest.raises(BirdError, match="File not specified"):
        pair.ctl.cmd("mrt dump table master4")


def test_periodic_dumps(pair):
    assert pair.ctl.protocols()["dump_all"]["state"] == "up"

    def dumps(name):
        """Files are appended to: how many dumps there are in one."""
        return sum(r[1:3] == (13, 1) for r in records(os.path.join(pair.dir, name)))
    for name in ("all-master4.mrt", "all-master6.mrt", "bgp.mrt"):
        pair.wait(lambda: dumps(name) > 1, f"a second dump in {name}")
    with open(os.path.join(pair.dir, "bgp.mrt"), "rb") as f:
        assert f.read(12)[4:8] == b"\0\x0d\0\x01"
    subtypes = {r[2] for r in records(os.path.join(pair.dir, "bgp.mrt"))}
    assert subtypes == {1, 8}, "always add path"


def test_messages(pair):
    path = os.path.join(pair.dir, "messages.mrt")
    pair.ctl.cmd("restart peer_v4")
    pair.up(bfd=False)

    def of(f):
        return [m for m in messages(path) if m["peer"] == PEER[f]]
    for f in (4, 6):
        kinds = [m["message"][18] for m in of(f) if "message" in m]
        assert kinds[:2] == [1, 4], "OPEN and KEEPALIVE come first"
        assert 2 in kinds
        for m in of(f):
            assert m["local_as"] == NODE_AS and (m["local"] == NODE[f] or m["new"] < 4)
        assert all(m["peer_as"] == PEER_AS for m in of(f))
        steps = [(m["old"], m["new"]) for m in of(f) if "new" in m]
        assert (5, 6) in steps, "OpenConfirm to Established"
        assert all(a[1] == b[0] for a, b in zip(steps, steps[1:])), steps
    assert [(m["old"], m["new"]) for m in of(4) if "new" in m].count((5, 6)) == 2


def test_messages_can_be_turned_off(pair):
    path = os.path.join(pair.dir, "messages.mrt")
    pair.ctl.cmd("mrtdump peer_v6 off")
    pair.ctl.cmd("restart peer_v6")
    pair.wait(lambda: pair.ctl.established("peer_v6"), "the session is back")
    before = os.path.getsize(path)
    pair.ctl.cmd("mrtdump peer_v6 { messages }")
    pair.ctl.cmd("restart peer_v6")
    pair.wait(lambda: pair.ctl.established("peer_v6") and os.path.getsize(path) > before, "messages again")
    assert not [m for m in messages(path) if m["peer"] == PEER[6] and m["time"] > time.time() - 1 and "new" in m]
