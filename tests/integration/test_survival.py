# SPDX-License-Identifier: BSD-2-Clause
"""The two programs must not die together: either is killed, and what the other one is for goes on."""
import os
import re
import signal
import time

import pytest
from netlab import Witness, now_ns
from netlab.pair import PEER, PEER_NET, SESSIONS

# the dataplane's death or standstill, as it is logged
GONE = r"(?i)<(ERR|WARN)> .*(dataplane|peregrine-dp)"

pytestmark = [pytest.mark.ours]
both = pytest.mark.parametrize("peer", ["bird", "frr"])


@pytest.fixture
def make_watched(make_pair):
    def make(peer, **options):
        p = make_pair(peer, dataplane=True, **options)
        p.witness = Witness(p.lab, follow=("node",))
        # Graceful restart: without it stock BIRD closes its BFD session together with the TCP connection of a killed daemon.
        p.start(p.config(bgp="graceful restart on;", extra="graceful restart wait 10;\n")).up()
        for f in (4, 6):
            p.wait(lambda: p.lab.route_gateway("node", f, PEER_NET[f]) == [PEER[f]], "the kernel has the peer's routes")
        return p
    return make


def states_sent(p, since):
    return {e["state"] for e in p.witness.events(since) if e["kind"] == "bfd" and e["at"] == "a.node" and e["dir"] == "in"}


def routes_lost(p, since):
    """Deletions of the peer's routes in the node's kernel."""
    return [e for e in p.witness.events(since) if e["kind"] == "route" and e["at"] == "node" and e["what"] == "del"
            and e["dst"] in PEER_NET.values()]


@both
def test_peregrined_killed_bfd_and_routes_stay(make_watched, peer):
    p = make_watched(peer)
    start = now_ns()
    p.node.kill_control()
    time.sleep(2.5)  # several detection times
    assert states_sent(p, start) == {"Up"}, "BFD did not go on by itself"
    for f in (4, 6):
        assert p.lab.route_gateway("node", f, PEER_NET[f]) == [PEER[f]]
    p.node.start_control()
    p.up()
    for f in (4, 6):
        p.wait(lambda: p.ctl.best(PEER_NET[f]), "the route is in the table again")
        assert p.lab.route_gateway("node", f, PEER_NET[f]) == [PEER[f]]
    assert states_sent(p, start) == {"Up"}, "the session flapped when it was adopted"
    assert not routes_lost(p, start), "a route left the kernel when it was adopted"


@both
def test_routes_that_are_gone_meanwhile_are_removed(make_watched, peer):
    """Started again, the daemon does not keep what nobody announces any more."""
    p = make_watched(peer)
    p.node.kill_control()
    if peer == "bird":
        p.peer.daemon.ctl.cmd("disable static1")
    else:
        p.peer.daemon.vtysh("configure terminal", f"router bgp {p.peer.asn}", "address-family ipv4 unicast",
                            f"no network {PEER_NET[4]}")
    p.node.start_control()
    p.up()
    p.wait(lambda: p.lab.route_gateway("node", 4, PEER_NET[4]) == [], "the stale route left the kernel")
    assert p.lab.route_gateway("node", 6, PEER_NET[6]) == [PEER[6]]


@both
def test_dataplane_killed_bgp_stays_and_bfd_is_unknown(make_watched, peer):
    p = make_watched(peer)
    mark = len(p.node.log_text())  # FRR's BFD begins again when its BGP session comes up: Down once, before
    p.node.kill_dp()
    p.logged(GONE)
    p.wait(lambda: not any(b["state"] in ("Up", "Down") for b in p.ctl.bfd_sessions().values()), "BFD state is not known")
    # The peer hears no BFD now and may close its session for that; ours is not closed by us, and our routes are not
    # moved for the death of our own dataplane.
    assert not re.search(r"(?i)BFD session down", p.node.log_text()[mark:]), "the death of the dataplane was taken for dead links"
    p.node.start_dp()
    p.up()


def test_dataplane_killed_twice_leaves_no_program_behind(make_watched):
    """After SIGKILL the XDP program stays attached to the interface; the next start takes it off and goes on."""
    p = make_watched("bird")
    for _ in range(2):
        p.node.kill_dp()
        p.node.start_dp()
        p.wait(lambda: p.ctl.bfd_up(*PEER.values()), "BFD Up")
    p.node.stop()
    link = p.lab.ip("node", "link", "show", "dev", "up0")
    assert "xdp" not in link, link


def test_dataplane_frozen_is_noticed(make_watched):
    """A dataplane that stands still is told from quiet links by its heartbeat."""
    p = make_watched("bird")
    os.kill(p.node.running["peregrine-dp"].pid, signal.SIGSTOP)
    p.logged(GONE)
    p.wait(lambda: not any(b["state"] == "Up" for b in p.ctl.bfd_sessions().values()), "BFD is not claimed to be Up")
    os.kill(p.node.running["peregrine-dp"].pid, signal.SIGCONT)
    p.up()


def test_clean_stop_removes_the_routes(make_watched):
    p = make_watched("bird")
    p.ctl.cmd("down")
    p.node.running[p.node.name].wait(15)
    for f in (4, 6):
        assert p.lab.route_gateway("node", f, PEER_NET[f]) == []
    text = p.lab.ip("node", "nexthop", "show")
    assert text.strip() == "", text


def test_persist_keeps_the_routes(make_watched):
    """`persist` of the kernel protocol: a clean stop leaves its routes, the next start takes them over without a hole."""
    p = make_watched("bird")
    config = p.config(bgp="graceful restart on;").replace("protocol kernel { ipv4", "protocol kernel { persist; ipv4")
    p.ctl.cmd("down")
    p.node.running[p.node.name].wait(15)
    assert all(p.lab.route_gateway("node", f, PEER_NET[f]) == [] for f in (4, 6))
    p.node.start(config)
    p.up()
    for f in (4, 6):
        p.wait(lambda: p.lab.route_gateway("node", f, PEER_NET[f]) == [PEER[f]], "the kernel has the peer's routes")
    start = now_ns()
    p.ctl.cmd("down")
    p.node.running[p.node.name].wait(15)
    assert p.lab.route_gateway("node", 4, PEER_NET[4]) == [PEER[4]], "persist did not keep the route"
    assert p.lab.route_gateway("node", 6, PEER_NET[6]) == [], "kept without persist"
    p.node.start(config)
    p.up()
    p.wait(lambda: p.lab.route_gateway("node", 6, PEER_NET[6]) == [PEER[6]], "the kernel has the peer's routes")
    p.wait(lambda: p.ctl.best(PEER_NET[4]), "the route is in the table again")
    assert p.lab.route_gateway("node", 4, PEER_NET[4]) == [PEER[4]]
    assert PEER_NET[4] not in {e["dst"] for e in routes_lost(p, start)}, "the route left the kernel in between"


def test_both_killed_and_started(make_watched):
    p = make_watched("frr")
    p.node.kill()
    p.node.start()
    p.up()
    p.wait(lambda: p.ctl.established(*SESSIONS), "Established")
