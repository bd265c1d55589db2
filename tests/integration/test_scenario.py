# SPDX-License-Identifier: BSD-2-Clause
"""The two-location scenario row by row, with stock BIRD and FRR as upstreams, both ways round. make lab plays the same with
more cuts and a printed timeline."""
import re

import pytest
from conftest import kernel_in_step, tell
from netlab import BirdError, Lab, now_ns
from netlab.twosite import (BKP_I, OWN, PRI_I, SESSIONS, UPA, UPB, UPSTREAM, TwoSite, bird_route)

GSHUT = (65535, 0)
BASE = {"pri": dict(local_pref=0, med=-1, prepend=0, gshut=False, bfd_ms=300, bfd="bfd;", own=True),
        "bkp": dict(local_pref=0, med=-1, prepend=0, gshut=False, bfd_ms=300, bfd="bfd;", own=True)}


@pytest.fixture(scope="module", params=[("bird", "frr"), ("frr", "bird")], ids=lambda p: f"A={p[0]},B={p[1]}")
def network(request):
    with Lab() as lab:
        site = TwoSite(lab, request.param).build()
        try:
            site.start().wait_ready()
        except AssertionError:
            tell(site.pri)
            raise
        yield site


@pytest.fixture
def site(network, request):
    """The network in its base state: A preferred by nobody's policy, everything up; put back after each test."""
    s = network
    s.set_pri(**BASE["pri"])
    s.set_bkp(**BASE["bkp"])
    s.wait_ready(bkp_exit=UPB)
    yield s
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed:
        for d in (s.pri, s.bkp, s.upa.daemon, s.upb.daemon, s.vp):
            tell(d)
    s.lab.mend()
    kernel_in_step(s.lab)
    for up in (s.upa, s.upb):
        up.daemon.thaw()
        if not up.daemon.running or up.daemon.dead():
            up.daemon.kill()
            up.start()
    for name in UPSTREAM.values():
        s.pri.ctl.ask(f"enable {name}")
    s.upa.apply(gshut=False, bfd_ms=300)


def prefer_a(s):
    s.set_pri(local_pref=200)
    s.set_bkp(local_pref=100, prepend=2)
    s.wait(lambda: s.exits("pri", UPA) and s.exits("bkp", PRI_I) and s.vp_kernel("a"), "everybody prefers A")


def since(s):
    return s.pri.ctl.session_since(*SESSIONS) + s.bkp.ctl.session_since(*SESSIONS)


def test_origin(site):
    for f, net in OWN.items():
        site.wait(lambda: site.upa.sees(net) and site.upb.sees(net), f"{net} at both upstreams")
        site.wait(lambda: {p["proto"] for p in site.vp.ctl.routes(net)} >= {f"a_v{f}", f"b_v{f}"}, f"{net} at the vantage point")
        assert site.upa.sees(net)["path"] == [64500]


@pytest.mark.ours
def test_default_route_goes_through_a_nexthop_group(site):
    for node in ("pri", "bkp"):
        for f in (4, 6):
            ids = [r["nhid"] for r in site.lab.routes(node, f, "exact", "default") if "nhid" in r]
            assert ids, f"{node}: the IPv{f} default route uses no nexthop object"
            text = site.lab.ip(node, "nexthop", "show", "id", str(ids[0]))
            assert "group" in text, text


def test_outbound_preference(site):
    before = since(site)
    prefer_a(site)
    for d in ("0.0.0.0/0", "::/0"):
        assert "BGP.local_pref: 200" in site.pri.ctl.cmd(f"show route for {d} all")
    assert since(site) == before


def test_inbound_med(site):
    before = since(site)
    site.set_pri(med=0)
    site.set_bkp(med=100)
    for net in OWN.values():
        site.wait(lambda: site.upa.sees(net)["med"] == 0 and site.upb.sees(net)["med"] == 100, f"metric of {net} at the upstreams")
    assert since(site) == before


def test_inbound_prepend(site):
    before = since(site)
    site.set_bkp(prepend=2)
    for f, net in OWN.items():
        site.wait(lambda: [bird_route(p)["path"] for p in site.vp.ctl.routes(net) if p["proto"] == f"b_v{f}"]
                  == [[64497 if site.upb.spec.asn == 64497 else site.upb.spec.asn, 64500, 64500, 64500]],
                  f"{net} prepended at the vantage point")
    site.wait(lambda: site.vp_kernel("a"), "the vantage point prefers A")
    assert since(site) == before


def test_bfd_up_with_interval_and_timeout(site):
    for node, peers in ((site.pri, UPA), (site.bkp, UPB)):
        sessions = node.ctl.bfd_sessions()
        for address in peers.values():
            assert sessions[address]["state"] == "Up"
            assert sessions[address]["interval"] == pytest.approx(0.3)
            assert sessions[address]["timeout"] == pytest.approx(0.9)


def test_bfd_graceful_is_accepted_and_changes_no_session(site):
    before = since(site)
    site.set_pri(bfd="bfd graceful;")
    site.wait(lambda: site.pri.ctl.bfd_up(*UPA.values()), "BFD Up with bfd graceful")
    assert since(site) == before


def test_graceful_shutdown_start(site):
    prefer_a(site)
    before = since(site)
    site.set_pri(gshut=True, med=50)
    for net in OWN.values():
        site.wait(lambda: GSHUT in site.upa.sees(net)["communities"] and site.upa.sees(net)["med"] == 50, f"{net} with (65535,0)")
    site.wait(lambda: site.vp_kernel("b"), "traffic moved to B")
    assert since(site) == before, "sessions were reset"
    site.set_pri(gshut=False, med=-1)
    site.wait(lambda: site.vp_kernel("a"), "traffic moved back to A")


def test_graceful_shutdown_honour(site):
    prefer_a(site)
    before = since(site)
    site.upa.apply(gshut=True)
    for d in ("0.0.0.0/0", "::/0"):
        site.wait(lambda: [bird_route(p)["localpref"] for p in site.pri.ctl.routes(d) if p["proto"].startswith("upstream")] == [0],
                  f"{d} has LOCAL_PREF 0")
    site.wait(lambda: site.exits("pri", BKP_I) and site.exits("bkp", UPB), "both exit by B")
    site.upa.apply(gshut=False)
    site.wait(lambda: site.exits("pri", UPA) and site.exits("bkp", PRI_I), "both exit by A again")
    assert since(site) == before


def test_failover_by_hand(site):
    prefer_a(site)
    for name in UPSTREAM.values():
        assert f"{name}: disabled" in site.pri.ctl.cmd(f"disable {name}")
    site.wait(lambda: site.vp_kernel("b") and site.exits("pri", BKP_I) and site.exits("bkp", UPB), "everybody goes by B")
    assert site.pri.ctl.protocols()["upstream_v4"]["state"] == "down"
    for name in UPSTREAM.values():
        assert f"{name}: enabled" in site.pri.ctl.cmd(f"enable {name}")
    site.wait_ready(bkp_exit=PRI_I)
    site.wait(lambda: site.vp_kernel("a"), "the vantage point returns to A")


@pytest.mark.parametrize("how", ["dead link", "frozen", "killed"])
def test_failover_by_failure_and_recovery(site, how):
    prefer_a(site)
    mark = len(site.pri.log_text())
    {"dead link": lambda: site.lab.cut("a"), "frozen": site.upa.daemon.freeze, "killed": site.upa.daemon.kill}[how]()
    # BFD at 300 ms x 3; a hold timer alone would take 6 s or more, but the clock decides nothing here: the log does.
    site.wait(lambda: site.exits("pri", BKP_I), "pri's kernel exits by bkp")
    site.wait(lambda: site.vp_kernel("b"), "the vantage point goes by B")
    site.wait(lambda: site.exits("bkp", UPB), "bkp's kernel exits by B")
    if how != "killed":
        assert re.search(r"(?i)bfd", site.pri.log_text()[mark:]), "the log of pri doesn't name BFD as the reason"
    {"dead link": site.lab.mend, "frozen": site.upa.daemon.thaw, "killed": site.upa.start}[how]()
    site.wait_ready(bkp_exit=PRI_I, limit=90)
    site.wait(lambda: site.vp_kernel("a"), "the vantage point returns to A")


@pytest.mark.ours
def test_show_failover_has_all_stages_in_order(site):
    prefer_a(site)
    start = now_ns()
    site.lab.cut("a")
    stages = ("last_packet", "detected", "published", "ring_read", "plan_found", "netlink_sent", "netlink_acked", "bgp_told",
              "updates_out")

    def told(address):
        for e in site.pri.client("show", "failover")["failovers"]:
            if e["address"] == address and e["event"] == "down" and e["stages"].get("detected", 0) > start:
                return e
        return None

    for address in UPA.values():
        e = site.wait(lambda: told(address), f"the failover of {address} is in show failover")
        assert e["reason"] == "bfd" and e["groups"] >= 1 and e["prefixes"] >= 1, e
        site.wait(lambda: set(told(address)["stages"]) >= set(stages), f"all stages of {address} are stamped")
        stamps = [told(address)["stages"][s] for s in stages]
        assert stamps == sorted(stamps), dict(zip(stages, stamps))
        assert stamps[0] >= start - 10**9


def test_peer_without_bfd(site):
    site.upa.apply(bfd_ms=0)
    site.wait(lambda: not any(b["state"] == "Up" for a, b in site.pri.ctl.bfd_sessions().items() if a in UPA.values()),
              "BFD is not Up")
    site.wait(site.sessions_up, "sessions are Established all the same")
    site.wait(lambda: site.exits("pri", UPA), "and the kernel uses the link")


def test_reload_reports_the_place_of_an_error_and_keeps_the_old(site):
    before = since(site)
    lines = site.pri_config().splitlines()
    at = next(i for i, text in enumerate(lines) if "filter upstream_out" in text)
    broken = "\n".join(lines[:at] + ["this is no configuration;"] + lines[at:])
    for how in ("check", "", "soft"):
        with pytest.raises(BirdError) as e:
            site.pri.configure(broken, how)
        assert e.value.code == 8002
        assert re.search(re.escape(site.pri.file(".conf")) + rf":{at + 1}:\d+ ", e.value.text), e.value.text
    assert since(site) == before
    assert site.exits("pri", UPA)
    site.pri.configure(site.pri_config())


def test_reload_soft_undo_timeout(site):
    before = since(site)
    med = lambda: site.upa.sees(OWN[4])["med"]  # noqa: E731
    site.set_pri(med=1)
    site.wait(lambda: med() == 1, "metric 1")
    site.set_pri("soft", med=7)
    assert med() == 1
    site.pri.ctl.cmd("reload out upstream_v4")
    site.wait(lambda: med() == 7, "metric 7 after reload out")
    site.set_pri(med=2)
    site.wait(lambda: med() == 2, "metric 2")
    site.set_pri(med=3)
    site.wait(lambda: med() == 3, "metric 3")
    site.pri.ctl.cmd("configure undo")
    site.wait(lambda: med() == 2, "metric 2 after undo")
    site.set_pri("timeout 2", med=9)
    site.wait(lambda: med() == 9, "metric 9 for a while")
    site.wait(lambda: med() == 2, "metric 2 after the timeout")
    assert since(site) == before


def test_only_the_changed_policy_is_applied_again(site):
    """What was not changed is not sent again: the other upstream's counters stand still."""
    counters = lambda: re.findall(r"Export updates:.*", site.pri.ctl.protocol_all("ibgp_v4"))  # noqa: E731
    before = counters()
    site.set_pri(med=4)
    site.wait(lambda: site.upa.sees(OWN[4])["med"] == 4, "metric 4")
    assert counters() == before


def test_exported_count_falls_to_zero(site):
    exported = lambda: re.search(r"Routes:.*?(\d+) exported", site.pri.ctl.protocol_all("upstream_v4")).group(1)  # noqa: E731
    site.wait(lambda: exported() == "1", "one route exported")
    site.set_pri(own=False)
    site.wait(lambda: exported() == "0", "nothing exported")
    site.wait(lambda: site.upa.sees(OWN[4]) is None and site.vp_prefers("b"), "A has lost the prefix")
    site.set_pri(own=True)
    site.wait(lambda: exported() == "1", "one route exported again")


def test_kernel_and_rib_agree(site):
    for node in (site.pri, site.bkp):
        for f, default in ((4, "0.0.0.0/0"), (6, "::/0")):
            best = node.ctl.best(default)
            site.wait(lambda: site.lab.route_gateway(node.role, f)[:1] == [best["via"]], f"{node.role} IPv{f} default")
            kernel = [r for r in site.lab.routes(node.role, f) if r.get("type") == "blackhole"]
            assert [r["dst"] for r in kernel] == [OWN[f]]
