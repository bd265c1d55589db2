# SPDX-License-Identifier: BSD-2-Clause
"""The interop matrix: every stock daemon of Debian against peregrined, IPv4 and IPv6, one test a feature. A cell that a daemon
cannot have is skipped with the reason."""
import re
import time

import pytest
from bgp_peers import DRIVERS, FAMILIES, installed
from netlab.pair import NODE, NODE_AS, NODE_NET, PEER, PEER_AS, PEER_NET

pytestmark = pytest.mark.ours
SESSIONS = ("peer_v4", "peer_v6")


def why_not(name, needs):
    """The reason why a daemon cannot have a cell; None: it can."""
    if not installed(name):
        return f"{name} is not installed"
    return next((f"{name}: {DRIVERS[name].cannot[x]}" for x in needs if x in DRIVERS[name].cannot), None)


def peers(*needs):
    """Parametrises with the daemons."""
    reasons = {n: why_not(n, needs) for n in DRIVERS}
    return pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.skip(reason=r) if r else ()) for n, r in reasons.items()])


@pytest.fixture
def pair(make_pair):
    """pair(name, bgp="...", peer={options}) -> (Pair, driver), both running and Established."""
    def make(name, wait=True, peer=None, **config):
        p = make_pair(None)
        d = DRIVERS[name](p.lab, **(peer or {})).start()
        p.peer_driver = d
        p.start(p.config(bfd="", **config))
        if wait:
            p.wait(lambda: p.ctl.established(*SESSIONS) and d.established(), "sessions Established")
        return p, d
    return make


def received(p, d, f, net=None):
    """The route the node has from the peer."""
    net = net or PEER_NET[f]
    return p.wait(lambda: p.ctl.best(net), f"{net} from the peer")


def told(p, d, f, want=1):
    """What the peer says that the node told it about the node's prefix."""
    p.wait(lambda: len(d.paths(NODE_NET[f])) == want, f"{want} paths of {NODE_NET[f]} at the peer")
    return d.paths(NODE_NET[f])


def counter(p, f, what):
    m = re.search(rf"{what}:\s+(\d+)", p.ctl.protocol_all(f"peer_v{f}"))
    return int(m.group(1))


@peers()
def test_routes_both_ways(pair, name):
    p, d = pair(name)
    for f in FAMILIES:
        r = received(p, d, f)
        assert r["attrs"]["BGP.as_path"] == str(PEER_AS)
        assert r["attrs"]["BGP.next_hop"].split()[0] == PEER[f]
        assert r["via"] == PEER[f]
        t = told(p, d, f)[0]
        assert t["path"] == str(NODE_AS)
        assert t["nexthop"] == NODE[f] or t["nexthop"].startswith("fe80:")


@peers()
def test_withdraw_and_announce_again(pair, name):
    p, d = pair(name)
    for f in FAMILIES:
        received(p, d, f)
        told(p, d, f)
        d.withdraw(f)
        p.wait(lambda: p.ctl.best(PEER_NET[f]) is None, "the peer's withdrawal")
        d.announce(f)
        received(p, d, f)
        p.ctl.cmd(f"disable own{f}")
        told(p, d, f, 0)
        p.ctl.cmd(f"enable own{f}")
        told(p, d, f)
    assert p.ctl.established(*SESSIONS)


@peers()
def test_communities(pair, name):
    export = "filter { bgp_community.add((64500, 7)); bgp_community.add((64500, 3)); bgp_large_community.add((64500, 1, 2)); " \
             "bgp_ext_community.add((rt, 64500, 9)); accept; }"
    p, d = pair(name, peer={"community": "64496:123"}, export=export)
    for f in FAMILIES:
        assert received(p, d, f)["attrs"]["BGP.community"].replace(" ", "") == "(64496,123)"
        assert told(p, d, f)[0]["communities"] == {"64500:7", "64500:3"}


@peers("path")
def test_long_path_in(pair, name):
    """More numbers than a segment holds, and 4-octet ones."""
    path = [4200000000 + i for i in range({"frr": 60, "gobgp": 200}.get(name, 300))]  # gobgpd dies of a segment too many
    p, d = pair(name, peer={"path": path})
    for f in FAMILIES:
        r = received(p, d, f)
        whole = [PEER_AS, *path]
        # a line of text is cut where BIRD cuts it; the route is not
        assert " ".join(map(str, whole)).startswith(r["attrs"]["BGP.as_path"].removesuffix("..."))
        asked = f"where bgp_path.len = {len(whole)} && bgp_path.first = {whole[0]} && bgp_path.last = {whole[-1]}"
        assert [x["net"] for x in p.ctl.routes(f"for {PEER_NET[f]} {asked}")] == [PEER_NET[f]]


@peers()
def test_long_path_out(pair, name):
    text = "filter { " + "bgp_path.prepend(4200000001); " * 280 + "accept; }"
    p, d = pair(name, export=text)
    for f in FAMILIES:
        path = told(p, d, f)[0]["path"].split()
        if name == "bird":  # its lines are short
            shown = d.daemon.ctl.cmd(f"show route for {NODE_NET[f]} where bgp_path.len = 281 && bgp_path ~ [= {NODE_AS} 4200000001 * =]")
            assert NODE_NET[f] in shown
        else:
            assert path == [str(NODE_AS)] + ["4200000001"] * 280


@peers("refresh_in")
def test_peer_asks_for_refresh(pair, name):
    p, d = pair(name, bgp="debug { packets };")
    for f in FAMILIES:
        told(p, d, f)
    d.ask_refresh()
    for f in FAMILIES:
        p.logged(rf"peer_v{f}: Got ROUTE-REFRESH")
        told(p, d, f)
    assert p.ctl.established(*SESSIONS)


@peers("enhanced")
def test_enhanced_refresh(pair, name):
    """RFC 7313 both ways: what is sent again is between marks, and the routes are there all the time."""
    p, d = pair(name, bgp="debug { packets };")
    for f in FAMILIES:
        told(p, d, f)
        received(p, d, f)
        assert "Enhanced refresh" in p.ctl.protocol_all(f"peer_v{f}").split("Neighbor capabilities")[1]
    d.ask_refresh()
    p.wait(lambda: d.marks() == (len(FAMILIES), len(FAMILIES)), "our marks at the peer")
    for f in FAMILIES:
        told(p, d, f)
        p.ctl.cmd(f"reload in peer_v{f}")
        p.logged(rf"peer_v{f}: Got BEGIN-OF-RR")
        p.logged(rf"peer_v{f}: Got END-OF-RR")
        assert p.ctl.best(PEER_NET[f])
    assert p.ctl.established(*SESSIONS)


@peers("refresh_out")
def test_we_ask_for_refresh(pair, name):
    p, d = pair(name)
    for f in FAMILIES:
        received(p, d, f)
        before = counter(p, f, "Import updates")
        p.ctl.cmd(f"reload in peer_v{f}")
        p.wait(lambda: counter(p, f, "Import updates") > before, "everything again from the peer")
        received(p, d, f)
    assert p.ctl.established(*SESSIONS)


@peers()
def test_add_path_out(pair, name):
    """Two paths of one prefix arrive both, with identifiers."""
    more = "".join(f"protocol static more{f} {{ ipv{f} {{ preference 190; import filter {{ bgp_med = 54; accept; }}; }}; route {NODE_NET[f]} unreachable; }}\n"
                   for f in FAMILIES)
    export = "filter { if source != RTS_STATIC then reject; if bgp_med = 54 then bgp_med = 55; accept; }; add paths on"
    p, d = pair(name, peer={"addpath": True}, export=export, extra=more)
    for f in FAMILIES:
        paths = told(p, d, f, 2)
        assert sorted(x["med"] or 0 for x in paths) == [0, 55]
        p.ctl.cmd(f"disable more{f}")
        assert not told(p, d, f, 1)[0]["med"]


@peers()
def test_add_path_send(pair, name):
    """Some of four paths: so many, one of each neighbouring AS, those as good as the best; while they come and go."""
    more = "".join(f"protocol static more{n}_{f} {{ ipv{f} {{ preference {pref}; import filter {{ bgp_path.prepend({asn}); "
                   f"bgp_community.add((64500, {n})); accept; }}; }}; route {NODE_NET[f]} unreachable; }}\n"
                   for n, pref, asn in ((1, 200, 65101), (2, 190, 65101), (3, 180, 65103)) for f in FAMILIES)

    def config(choice):
        return {"export": f"filter {{ if source = RTS_STATIC then accept; reject; }}; add paths on; add paths send {choice}", "extra": more}

    def has(*numbers):
        want = [set() if not n else {f"64500:{n}"} for n in numbers]
        for f in FAMILIES:
            p.wait(lambda: sorted(map(sorted, (x["communities"] for x in d.paths(NODE_NET[f])))) == sorted(map(sorted, want)),
                   f"paths {numbers} of {NODE_NET[f]} at the peer")

    p, d = pair(name, peer={"addpath": True}, **config("best 3"))
    has(0, 1, 2)
    for f in FAMILIES:
        p.ctl.cmd(f"disable more1_{f}")
    has(0, 2, 3)
    for f in FAMILIES:
        p.ctl.cmd(f"enable more1_{f}")
    has(0, 1, 2)
    assert len(p.ctl.routes(f"for {NODE_NET[4]} export peer_v4")) == 3
    if name in ("exabgp", "openbgpd"):  # the one keeps what a session before said, the other is not back soon
        return
    for choice, paths in (("per as", (0, 1, 3)), ("ecmp", (0, 1)), ("ecmp plus 2 limit 3", (0, 1, 2))):
        p.node.configure(p.config(bfd="", **config(choice)))
        has(*paths)


@peers()
def test_add_path_in(pair, name):
    two = "two_paths" not in DRIVERS[name].cannot
    p, d = pair(name, peer={"addpath": True, "two_paths": two}, export="all; add paths on")
    for f in FAMILIES:
        p.wait(lambda: len([r for r in p.ctl.routes(PEER_NET[f]) if r["proto"] == f"peer_v{f}"]) == (2 if two else 1), "the peer's paths")
        assert "RX: ipv" in p.ctl.protocol_all(f"peer_v{f}").split("Neighbor capabilities")[1]


@peers()
def test_md5(pair, name):
    p, d = pair(name, peer={"md5": "the-secret"}, bgp='authentication md5; password "the-secret";')
    for f in FAMILIES:
        received(p, d, f)
        told(p, d, f)


@peers()
def test_md5_mismatch_stays_down(pair, name):
    p, d = pair(name, wait=False, peer={"md5": "the-secret"}, bgp='authentication md5; password "another";')
    time.sleep(5)
    assert not any(x["state"] == "up" for n, x in p.ctl.protocols().items() if n in SESSIONS)
    p.node.configure(p.config(bfd="", bgp='authentication md5; password "the-secret";'))
    p.wait(lambda: p.ctl.established(*SESSIONS), "sessions with the right password")


@peers("role")
def test_roles(pair, name):
    p, d = pair(name, peer={"role": "customer"}, bgp="local role provider; require roles;")
    for f in FAMILIES:
        assert "Role: customer" in p.ctl.protocol_all(f"peer_v{f}")
        told(p, d, f)
        received(p, d, f)


@peers("role")
def test_role_mismatch(pair, name):
    p, d = pair(name, wait=False, peer={"role": "peer"}, bgp="local role provider;")
    p.wait(lambda: "Role mismatch" in p.info("peer_v4") and "Role mismatch" in p.info("peer_v6"), "refused on both sessions")


@peers()
@pytest.mark.parametrize("action", ["block", "restart", "disable", "warn"])
def test_import_limit(pair, name, action):
    nets = {4: [f"10.{i}.0.0/16" for i in range(5)], 6: [f"2001:db8:{i:x}::/48" for i in range(0x100, 0x105)]}
    p, d = pair(name, wait=False, peer={"nets": nets}, export=f"none; import limit 3 action {action}")
    for f in FAMILIES:
        p.logged(rf"Protocol peer_v{f} hits route import limit \(3\), action: {action}")
        if action in ("warn", "block"):
            p.wait(lambda: p.ctl.established(f"peer_v{f}"), "session up")
            count = 5 if action == "warn" else 3
            p.wait(lambda: f"Routes:         {count} imported" in p.ctl.protocol_all(f"peer_v{f}"), f"{count} routes")
        elif action == "disable":
            p.wait(lambda: p.ctl.protocols()[f"peer_v{f}"]["state"] == "down", "protocol down")
            assert "Route limit exceeded" in p.info(f"peer_v{f}")
        else:
            p.wait(lambda: "Route limit exceeded" in p.info(f"peer_v{f}"), "session restarted")


@peers("shutdown")
def test_shutdown_communication(pair, name):
    p, d = pair(name)
    p.ctl.cmd('disable peer_v4 "moving to rack 7"')
    p.wait(lambda: p.ctl.protocols()["peer_v4"]["state"] == "down", "down")
    p.wait(lambda: "moving to rack 7" in d.last_error(4), "the text at the peer")
    p.ctl.cmd("enable peer_v4")
    p.wait(lambda: p.ctl.established("peer_v4"), "back")


@peers("restarter")
def test_peer_restarts_gracefully(pair, name):
    """The peer's daemon is killed: its routes stay as stale, and are fresh again after it came back, without a gap."""
    p, d = pair(name, peer={"gr": True}, bgp="graceful restart on;")
    for f in FAMILIES:
        received(p, d, f)
        p.wait(lambda: p.lab.route_gateway("node", f, PEER_NET[f]) == [PEER[f]], "the kernel has it, too")
    d.kill()
    p.wait(lambda: all("Neighbor graceful restart active" in p.ctl.protocol_all(s) for s in SESSIONS), "helper mode")
    for f in FAMILIES:
        assert p.ctl.best(PEER_NET[f])
        assert p.lab.route_gateway("node", f, PEER_NET[f]) == [PEER[f]]
    d.restart()
    end = time.monotonic() + 40
    while time.monotonic() < end:
        for f in FAMILIES:
            assert p.ctl.best(PEER_NET[f]), f"{PEER_NET[f]} was lost while the peer restarted"
        if all("Neighbor graceful restart active" not in p.ctl.protocol_all(s) for s in SESSIONS) and p.ctl.established(*SESSIONS):
            break
        time.sleep(0.1)
    p.wait(lambda: p.ctl.established(*SESSIONS), "sessions back")
    for f in FAMILIES:
        p.wait(lambda: "Neighbor GR:" not in p.ctl.protocol_all(f"peer_v{f}"), "End-of-RIB has ended it")
        assert p.ctl.best(PEER_NET[f])


@peers("restarter")
def test_peer_does_not_come_back(pair, name):
    p, d = pair(name, peer={"gr": True}, bgp="graceful restart on; max graceful restart time 3;")
    for f in FAMILIES:
        received(p, d, f)
    d.kill()
    p.wait(lambda: all(p.ctl.best(PEER_NET[f]) is None for f in FAMILIES), "stale routes are gone", limit=20)
    p.logged("Neighbor graceful restart timeout")


STALE = "(65535,6)"


@peers("llgr")
def test_peer_is_away_for_long(pair, name):
    """Longer than its restart time (RFC 9494): its routes stay, marked as stale, until the long time is over, too."""
    p, d = pair(name, peer={"gr": True, "llgr": 6}, bgp="graceful restart on; long lived graceful restart on;")
    for f in FAMILIES:
        received(p, d, f)
    d.kill()

    def marked(f):
        r = p.ctl.best(PEER_NET[f])
        return r and STALE in r["attrs"].get("BGP.community", "").replace(" ", "")
    p.wait(lambda: all(marked(f) for f in FAMILIES), "LLGR_STALE")
    p.wait(lambda: all(p.ctl.best(PEER_NET[f]) is None for f in FAMILIES), "their time is over", limit=20)
    p.logged("Long-lived stale timeout")


@peers("llgr")
def test_we_are_away_for_long(pair, name):
    """The same the other way round: the peer keeps our routes as stale, and has them fresh when we are back."""
    p, d = pair(name, peer={"gr": True, "llgr": 60},
                bgp="graceful restart on; graceful restart time 1; long lived graceful restart on; long lived stale time 60;")

    def stale(f):
        paths = d.paths(NODE_NET[f])
        return None if not paths else bool({"65535:6", "llgr-stale"} & paths[0]["communities"])
    p.wait(lambda: [stale(f) for f in FAMILIES] == [False, False], "our routes at the peer")
    p.node.kill_control()
    p.wait(lambda: [stale(f) for f in FAMILIES] == [True, True], "kept as stale")
    p.node.start_control()
    p.wait(lambda: [stale(f) for f in FAMILIES] == [False, False], "fresh again")


@peers("helper")
def test_we_restart_gracefully(pair, name):
    """peregrined is killed and started with -R: the peer keeps our routes all the time. (What we say meanwhile:
    test_bgp_features.py, test_our_restart_on_the_wire. FRR 8.4 was seen without a route for a moment after we had said all that; so
    it is asked when we have.)"""
    p, d = pair(name, peer={"gr": True}, bgp="graceful restart on; graceful restart time 60;")
    for f in FAMILIES:
        told(p, d, f)
        received(p, d, f)
    p.node.kill_control()
    p.node.start_control()
    end = time.monotonic() + 30
    while time.monotonic() < end and not (p.ctl.established(*SESSIONS) and d.established()):
        for f in FAMILIES:
            assert name == "frr" or d.paths(NODE_NET[f]), f"the peer lost {NODE_NET[f]}"
        time.sleep(0.1)
    p.wait(lambda: p.ctl.established(*SESSIONS), "sessions back")
    p.logged("Graceful restart done")
    for f in FAMILIES:
        told(p, d, f)
        received(p, d, f)
