# SPDX-License-Identifier: BSD-2-Clause
"""`protocol rpki` against Debian's stayrtr and against a scripted cache: versions, serials, resets, errors, several caches, ASPA;
only the routes that a changed ROA covers are looked at again."""
import json
import re

import pytest
from bgp_peers import UPDATE, Raw, as_path, next_hop, origin
from netlab import Lab, have
from netlab.pair import NODE, PEER, PEER_AS, Pair
from netlab.rtr import RESET_QUERY, SERIAL_QUERY, Cache

pytestmark = pytest.mark.ours
PORT = 3323
NETS = [f"10.0.{i}.0/24" for i in range(40)]

CONFIG = """
roa4 table r4;
roa6 table r6;
aspa table at;
filter check {
	print "LOOKED AT ", net;
	if roa_check(r4, net, bgp_path.last) = ROA_INVALID then reject;
	if roa_check(r4, net, bgp_path.last) = ROA_VALID then bgp_community.add((64500, 1));
	accept;
}
"""
RPKI = """
protocol rpki %(name)s {
	roa4 { table r4; }; roa6 { table r6; }; %(aspa)s
	remote %(address)s port %(port)d;
	retry keep 1; %(more)s
}
"""


def rpki(name="cache", address=PEER[4], port=PORT, more="", aspa=""):
    return RPKI % {"name": name, "address": address, "port": port, "more": more, "aspa": aspa}


class Site:
    """A node that checks the routes of a scripted neighbour."""

    def __init__(self, lab):
        self.p = Pair(lab, None)
        self.base = self.p.config(families=(4,), bfd="").replace("ipv4 { import all;", "ipv4 { import filter check;")
        # the filter has to stand before the protocol
        self.base = self.base.replace("protocol bgp peer_v4", CONFIG + "protocol bgp peer_v4")
        self.lab = lab

    def start(self, more):
        self.p.start(self.base + more)
        self.raw = Raw(self.lab, PEER[4], NODE[4], PEER_AS)
        self.raw.update(origin() + as_path(PEER_AS) + next_hop(PEER[4]), NETS)
        self.p.wait(lambda: len(self.routes()) == len(NETS), "the routes are there")

    def routes(self):
        return re.findall(r"(?m)^(10\.0\.\d+\.0/24) ", self.p.ctl.cmd("show route protocol peer_v4"))

    def valid(self):
        return re.findall(r"(?m)^(10\.0\.\d+\.0/24) ", self.p.ctl.cmd("show route where (64500, 1) ~ bgp_community"))

    def roas(self, table="r4"):
        return set(re.findall(r"(?m)^(\S+/\d+-\d+ +AS\d+)", self.p.ctl.cmd(f"show route table {table}")))

    def looked_at(self):
        return re.findall(r"LOOKED AT (\S+)", self.p.node.log_text())

    def has(self, roas, table="r4"):
        want = {re.sub(r" +", " ", f"{n}-{m} AS{a}") for n, m, a in roas}
        return self.p.wait(lambda: {re.sub(r" +", " ", r) for r in self.roas(table)} == want, f"{table} holds {sorted(want)}")

    def state(self, name="cache"):
        return self.p.info(name)


@pytest.fixture
def site():
    with Lab() as lab:
        yield Site(lab)


@pytest.mark.skipif(not have("stayrtr"), reason="stayrtr is not installed")
@pytest.mark.parametrize("version", [0, 1, 2])
def test_stayrtr(site, version, tmp_path):
    data = tmp_path / "vrps.json"

    def write(roas):
        data.write_text(json.dumps({"metadata": {}, "roas": [
            {"prefix": n, "maxLength": m, "asn": f"AS{a}", "ta": "test"} for n, m, a in roas]}))
    first = [("10.0.0.0/24", 24, PEER_AS), ("10.0.1.0/24", 24, 65551), ("2001:db8::/32", 48, 65550)]
    write(first)
    p = site.p
    p.lab.popen("peer", [have("stayrtr"), "-bind", f"{PEER[4]}:{PORT}", "-cache", str(data), "-checktime=false", "-refresh", "1",
                         "-metrics.addr", f"{PEER[4]}:9847", "-protocol", str(version)], log=str(tmp_path / "stayrtr.log"))
    site.start("")
    p.node.configure(site.base + rpki())
    site.has(first[:2])
    site.has(first[2:], "r6")
    assert "Established" in site.state()
    assert re.search(rf"Protocol version: +{version}\b", p.ctl.cmd("show protocols all cache"))
    p.wait(lambda: site.valid() == ["10.0.0.0/24"], "the valid route is marked")
    p.wait(lambda: "10.0.1.0/24" not in site.routes(), "the invalid one is rejected")
    assert len(site.routes()) == len(NETS) - 1
    # the cache's file changes: an increment
    second = [("10.0.1.0/24", 24, PEER_AS), ("10.0.2.0/24", 24, 0)]
    write(second)
    site.has(second)
    site.has([], "r6")
    p.wait(lambda: site.valid() == ["10.0.1.0/24"] and "10.0.2.0/24" not in site.routes() and len(site.routes()) == len(NETS) - 1,
           "routes follow")


def test_serials_resets_and_sessions(site):
    cache = Cache(site.lab, "peer", PEER[4], PORT)
    cache.vrps = {("10.0.0.0/24", 24, PEER_AS)}
    site.start("")
    p = site.p
    p.node.configure(site.base + rpki())
    site.has(cache.vrps)
    assert cache.asked[0][1] == RESET_QUERY
    p.wait(lambda: site.valid() == ["10.0.0.0/24"], "valid, which it is by being looked at again")
    # an increment touches what it covers and nothing else
    before = len(site.looked_at())
    cache.change({("10.0.0.0/24", 24, PEER_AS), ("10.0.4.0/22", 24, 65551)})
    p.wait(lambda: len(site.routes()) == len(NETS) - 4, "four routes have become invalid")
    assert cache.asked[-1] == (1, SERIAL_QUERY, 7, 1)
    assert set(site.looked_at()[before:]) == {f"10.0.{i}.0/24" for i in range(4, 8)}
    # nothing new
    n = len(cache.asked)
    p.ctl.cmd("reload in cache")
    p.wait(lambda: len(cache.asked) == n + 1 and "Established" in site.state(), "asked and answered")
    assert len(site.looked_at()) == before + 4
    # the cache does not know our serial any more: it says so, everything is asked for; what is the same is not looked at
    with cache.lock:
        cache.history.clear()
    cache.change({("10.0.0.0/24", 24, PEER_AS)}, notify=False)
    with cache.lock:
        cache.history.clear()
    n, before = len(cache.asked), len(site.looked_at())
    p.ctl.cmd("reload in cache")
    site.has(cache.vrps)
    p.wait(lambda: len(site.routes()) == len(NETS), "the four are back")
    assert [q[1] for q in cache.asked[n:]] == [SERIAL_QUERY, RESET_QUERY]
    assert set(site.looked_at()[before:]) == {f"10.0.{i}.0/24" for i in range(4, 8)}
    # a cache that was started anew has another session; what it says replaces what the old one said
    with cache.lock:
        cache.session, cache.serial, cache.vrps = 9, 1, {("10.0.9.0/24", 24, PEER_AS)}
        cache.hang_up()
    site.has(cache.vrps)
    p.wait(lambda: site.valid() == ["10.0.9.0/24"], "routes follow")
    # the connection breaks: records stay
    with cache.lock:
        cache.script = [lambda c, q: c.response() + c.vrp(("10.0.0.0/16", 24, 65551))]  # an answer without an end
        cache.hang_up()
    p.wait(lambda: not cache.script, "the answer was cut")
    with cache.lock:
        cache.hang_up()
    p.wait(lambda: "Established" in site.state(), "connected again")
    site.has(cache.vrps)
    assert len(site.routes()) == len(NETS)
    cache.close()
    p.logged("Connection to the cache lost|Cannot connect to the cache")
    site.has(cache.vrps)


@pytest.mark.parametrize("what,text", [
    (lambda c, q: c.response() + c.pdu(99, 0) + c.end(), "unknown PDU type"),
    (lambda c, q: c.end(), "record outside an answer"),
    (lambda c, q: c.response() + c.pdu(4, 0, b"\x01\x21\x20\x00" + bytes(8)) + c.end(), "malformed PDU"),
    (lambda c, q: b"\x01\x03\x00\x07\x00\x00\x00\x02", "malformed PDU"),
    (lambda c, q: c.error(1, b"out of cheese"), "out of cheese"),
])
def test_errors(site, what, text):
    """One clear line that names the cache; what was there stays; the next try gets it right."""
    cache = Cache(site.lab, "peer", PEER[4], PORT)
    cache.vrps = {("10.0.0.0/24", 24, PEER_AS)}
    site.start(rpki())
    site.has(cache.vrps)
    with cache.lock:
        cache.script = [what]
    site.p.ctl.cmd("reload in cache")
    site.p.logged(rf"cache: .*{text}")
    site.has(cache.vrps)
    site.p.wait(lambda: "Established" in site.state() and not cache.script, "another try")
    site.has(cache.vrps)
    cache.close()


def test_version_is_negotiated(site):
    cache = Cache(site.lab, "peer", PEER[4], PORT, version=0)
    cache.vrps = {("10.0.0.0/24", 24, PEER_AS)}
    site.start(rpki())
    site.has(cache.vrps)
    assert [q[0] for q in cache.asked][:2] != [0, 0] and cache.asked[-1][0] == 0, "began with a later version"
    cache.close()


def test_two_caches(site):
    """Records that two caches have stay when one of them takes its own back."""
    one, two = Cache(site.lab, "peer", PEER[4], PORT), Cache(site.lab, "peer", PEER[4], PORT + 1)
    shared = ("10.0.0.0/24", 24, PEER_AS)
    one.vrps, two.vrps = {shared, ("10.0.1.0/24", 24, PEER_AS)}, {shared}
    site.start(rpki("one") + rpki("two", port=PORT + 1))
    p = site.p
    site.has([shared, ("10.0.1.0/24", 24, PEER_AS)])
    p.wait(lambda: len(re.findall(r"\[(one|two) ", p.ctl.cmd("show route table r4"))) == 3, "three records of two caches")
    one.change(set())
    site.has([shared])
    p.wait(lambda: site.valid() == ["10.0.0.0/24"], "still valid by the other's")
    p.ctl.cmd("disable two")
    site.has([])
    p.wait(lambda: not site.valid(), "not valid any more")
    one.close()
    two.close()


def test_aspa_up_and_down(site):
    cache = Cache(site.lab, "peer", PEER[4], PORT, version=2)
    cache.aspas = {65001: (65002,), 65002: (65003, 65004), 65009: (0,)}
    site.p.start(site.base + rpki(aspa="aspa { table at; };"))
    p = site.p
    p.wait(lambda: p.ctl.cmd("show route table at count").startswith("3 of 3"), "three ASPA records")

    def check(path, upstream):
        words = "+empty+" + "".join(f".prepend({a})" for a in reversed(path))
        return p.ctl.cmd(f"eval aspa_check(at, {words}, {'true' if upstream else 'false'})")
    up_valid, up_invalid, up_unknown = check([65002, 65001], True), check([65005, 65001], True), check([65008, 65007], True)
    assert len({up_valid, up_invalid, up_unknown}) == 3
    assert check([65004, 65002, 65001], True) == up_valid
    assert check([65001, 65009], True) == up_invalid, "AS 0: no providers at all"
    # downstream: up on one side of the path and down on the other
    assert check([65001, 65002, 65001], False) == up_valid
    cache.change(aspas={65001: (65005,)})
    p.wait(lambda: check([65005, 65001], True) == up_valid and check([65002, 65001], True) == up_invalid, "a changed record")
    assert check([65004, 65002], True) == up_unknown, "withdrawn"
    cache.close()


def test_hold_until_the_first_answer(site):
    """`hold routes`: nothing that is checked gets into the table or out through an export filter before End of Data, whatever
    else the cache has said by then; and exports follow ROAs that change later."""
    cache = Cache(site.lab, "peer", PEER[4], PORT)
    cache.script = [lambda c, q: c.response() + c.vrp(("10.0.3.0/24", 24, 65551))]  # begins, and does not end
    own = ["10.9.0.0/24", "10.9.1.0/24"]
    more = "filter out { if proto != \"unchecked\" then reject; if roa_check(r4, net, 65550) = ROA_INVALID then reject; accept; }\n" \
           "protocol static unchecked { ipv4; %s }\n" % " ".join(f"route {n} blackhole;" for n in own)
    config = site.base.replace("export all", "export filter out").replace("protocol bgp peer_v4", more + "protocol bgp peer_v4")
    p = site.p
    p.start(config + rpki(more="hold routes;"))
    raw = Raw(site.lab, PEER[4], NODE[4], PEER_AS)
    raw.update(origin() + as_path(PEER_AS) + next_hop(PEER[4]), NETS)
    p.wait(lambda: not cache.script, "the cache has begun to answer")
    p.wait(lambda: re.search(rf"Import updates: +{len(NETS)} ", p.ctl.protocol_all("peer_v4")), "the routes have come")
    p.wait(lambda: raw.announced()[1], "End-of-RIB from the node")
    assert not site.routes() and raw.announced()[0] == set(), "held on the way in and out"
    assert re.search(r"(?m)Routes held: +until the first answer$", p.ctl.protocol_all("cache"))
    assert all(p.ctl.best(n) for n in own), "who does not ask is not held"
    with cache.lock:
        cache.vrps = {("10.0.3.0/24", 24, 65551), ("10.9.1.0/24", 24, 65551)}
        cache.hang_up()
    p.wait(lambda: set(site.routes()) == set(NETS) - {"10.0.3.0/24"}, "all are there but the invalid one")
    p.wait(lambda: raw.announced()[0] == {own[0]}, "and go out")
    assert re.search(r"(?m)Routes held: +no$", p.ctl.protocol_all("cache"))
    cache.change({("10.9.0.0/24", 24, 65551)})
    p.wait(lambda: raw.announced()[0] == {own[1]}, "exports follow")
    # started again, it holds again until it has answered
    with cache.lock:
        cache.script = [lambda c, q: c.response()]
    p.ctl.cmd("restart cache")
    p.wait(lambda: not site.routes() and not raw.announced()[0], "nothing that is checked")
    with cache.lock:
        cache.hang_up()
    p.wait(lambda: len(site.routes()) == len(NETS) and raw.announced()[0] == {own[1]}, "all again")
    cache.close()
    raw.close()


def test_restart_waits_for_held_routes(site):
    """Our own graceful restart is not over before what is held is not: or neighbours would drop what they kept of it."""
    p, hop = site.p, "192.0.2.50"
    caps = b"\x01\x04\x00\x01\x00\x01" + b"\x02\x00" + b"\x41\x04%s" + b"\x40\x06\x00\x78\x00\x01\x01\x80"
    p.lab.ip("peer", "addr", "add", "192.0.2.10/24", "dev", "cust0")
    config = site.base.replace("hold time 9;", "graceful restart on;")
    assert config != site.base
    config += config[config.index("protocol bgp peer_v4"):].replace("peer_v4", "second").replace(PEER[4], "192.0.2.10").replace(str(PEER_AS), "64999")

    def speak():
        first, second = (Raw(p.lab, address, NODE[4], asn, capabilities=caps % asn.to_bytes(4, "big"))
                         for address, asn in ((PEER[4], PEER_AS), ("192.0.2.10", 64999)))
        first.update(origin() + as_path(PEER_AS) + next_hop(hop), NETS)
        for r in (first, second):
            r.update()  # End-of-RIB
        return first, second
    p.start(config + rpki(more="hold routes;"))
    cache = Cache(site.lab, "peer", PEER[4], PORT)
    before = speak()
    p.wait(lambda: set(NETS) <= before[1].announced()[0], "all at the second one")
    p.node.kill_control()
    with cache.lock:
        cache.script = [lambda c, q: c.response()]  # begins, and does not end
        cache.hang_up()
    p.node.start_control()
    first, second = speak()
    p.wait(lambda: not cache.script, "the cache has been asked")
    p.wait(lambda: "Waiting for 0 channels to recover" in p.ctl.cmd("show status"), "both have said all")
    assert not [k for r in (first, second) for k, _ in list(r.got) if k == UPDATE], "nothing is said while routes are held"
    with cache.lock:
        cache.hang_up()
    p.wait(lambda: second.announced()[1], "End-of-RIB")
    assert set(NETS) <= second.announced()[0], "which is behind the routes"
    updates = [body for k, body in list(second.got) if k == UPDATE]
    assert updates[-1] == bytes(4) and all(body[:2] == bytes(2) for body in updates), "nothing is withdrawn, nothing follows"
    p.logged("Graceful restart done")
    cache.close()
    for r in (*before, first, second):
        r.close()


def test_hold_has_an_end(site):
    """A cache that never comes: closed until the timeout, then open, with one line in the log. Without a timeout: closed."""
    p = site.p
    p.start(site.base + rpki(more="hold routes timeout 6;"))
    raw = Raw(site.lab, PEER[4], NODE[4], PEER_AS)
    raw.update(origin() + as_path(PEER_AS) + next_hop(PEER[4]), NETS)
    p.wait(lambda: re.search(rf"Import updates: +{len(NETS)} ", p.ctl.protocol_all("peer_v4")), "the routes have come")
    assert re.search(r"(?m)Routes held: +until the first answer, \d s at most$", p.ctl.protocol_all("cache"))
    assert not site.routes()
    p.logged("cache: No complete answer in 6 s: routes .* are no longer held")
    p.wait(lambda: len(site.routes()) == len(NETS), "they are let in")
    assert not site.valid() and re.search(r"(?m)Routes held: +no \(timeout\)$", p.ctl.protocol_all("cache"))
    p.node.configure(site.base + rpki(more="hold routes;"))
    p.wait(lambda: not site.routes(), "closed")
    assert len(re.findall("no longer held", p.node.log_text())) == 1
    # another cache of the table opens it
    cache = Cache(site.lab, "peer", PEER[4], PORT + 1)
    p.node.configure(site.base + rpki(more="hold routes;") + rpki("other", port=PORT + 1))
    p.wait(lambda: len(site.routes()) == len(NETS), "open")
    cache.close()
    raw.close()
