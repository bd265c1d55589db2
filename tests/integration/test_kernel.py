# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's table under real traffic: a link is lost in every way it can be, numbered packets cross, and those that never
arrive are counted. Timing decides nothing here: after each loss the stream goes on over the backup, and kernel and RIB agree."""
import re

import pytest
from conftest import kernel_in_step, tell
from netlab import Lab, Probe, Witness, now_ns
from netlab.proc import wait_for
from netlab.twosite import BKP_I, PROBE_TO, UPA, TwoSite

RATE = 1000

pytestmark = [pytest.mark.ours]


@pytest.fixture(scope="module")
def site():
    with Lab() as lab:
        s = TwoSite(lab, ("bird", "frr")).build()
        try:
            s.start().wait_ready()
            s.set_pri(local_pref=200, bfd_ms=50)
            s.set_bkp(local_pref=100, prepend=2)
            s.upa.apply(bfd_ms=50)
            s.wait(lambda: backup_ready(s), "every group of pri has its backup")
        except AssertionError:
            tell(s.pri)
            raise
        s.witness = Witness(lab, follow=("pri",), far=("ca.upa", "cb.upb"))
        Probe(lab, "host", PROBE_TO[4], PROBE_TO[6], RATE)
        yield s


def backup_ready(s):
    """Both default routes are in groups with a next hop beyond the one that carries."""
    groups = [g for g in s.pri.client("show", "failover")["groups"] if any(m.get("address") in UPA.values() for m in g["members"])]
    return {g["family"] for g in groups if len(g["members"]) > 1} == {4, 6}


def carrier(s):
    s.lab.ip("wire", "link", "set", "a.upa", "down")
    s.lab.ip("wire", "link", "set", "a.pri", "down")


def carrier_back(s):
    s.lab.ip("wire", "link", "set", "a.pri", "up")
    s.lab.ip("wire", "link", "set", "a.upa", "up")


# What is done, how it is taken back, and the reasons for the history; empty: any. A neighbour that says goodbye is no failure, its link
# may be well: None, BGP alone moves the routes.
LOSSES = {
    "dead link": (lambda s: s.lab.cut("a"), lambda s: s.lab.mend(), {"bfd"}),
    "carrier": (carrier, carrier_back, {"carrier", "bfd"}),  # it is told by who noticed first
    "killed": (lambda s: s.upa.daemon.kill(), lambda s: s.upa.start(), set()),
    "disabled there": (lambda s: [s.upa.daemon.ctl.cmd(f"disable customer_v{f}") for f in (4, 6)],
                       lambda s: [s.upa.daemon.ctl.cmd(f"enable customer_v{f}") for f in (4, 6)], None),
}


@pytest.mark.parametrize("how", LOSSES)
def test_traffic_goes_on_over_the_backup(site, how):
    s, (lose, back, reason) = site, LOSSES[how]
    s.wait(lambda: backup_ready(s) and s.bfd_up() and s.exits("pri", UPA), "pri on its preferred way with a backup", 90)
    begin = now_ns()
    lose(s)
    try:
        s.wait(lambda: s.exits("pri", BKP_I), "pri's kernel exits by the other node", 40)
        arrived = {}

        def flows():
            for e in s.witness.events(begin):
                if e["kind"] == "probe" and e["at"] == "i.pri":
                    arrived[e["family"]] = e["t"]
            return set(arrived) == {4, 6}
        wait_for(flows, "probe packets of both families leave over the backup")
        downs = [e for e in s.pri.client("show", "failover")["failovers"]
                 if e["event"] == "down" and e["stages"].get("detected", 0) >= begin]
        assert downs or reason is None, "no failover in the history"
        if reason:
            assert reason & {e["reason"] for e in downs}
        assert not [e for e in downs if e["error"]]
        kernel_in_step(s.lab)
    finally:
        back(s)
    s.wait(lambda: s.exits("pri", UPA), "pri is back on its preferred way", 90)
    lost = {f: sum(e["lost"] for e in s.witness.events(begin) if e["kind"] == "gap" and e["family"] == f) for f in (4, 6)}
    print(f"{how}: packets lost there and back, of {RATE} a second: IPv4 {lost[4]}, IPv6 {lost[6]}")
    kernel_in_step(s.lab)


def test_one_line_in_the_log(site):
    """The line of the log has the same stages as show failover."""
    site.wait(lambda: re.search(r"Failover: \S+ on up0 lost \(bfd\): \d+ groups, \d+ prefixes, last packet .*detected|"
                                r"Failover: \S+ on up0 lost \(bfd\): \d+ groups.*acknowledged \+\d+ us", site.pri.log_text()),
              "the failover's line")


def test_others_routes_are_left_alone(site):
    lab = site.lab
    lab.ip("pri", "route", "add", "192.0.2.128/25", "via", UPA[4], "proto", "static")
    lab.ip("pri", "route", "del", "default", check=False)
    site.wait(lambda: lab.routes("pri", 4, "exact", "default"), "the default route is put back")
    lab.ip("pri", "nexthop", "flush", check=False)
    site.wait(lambda: lab.route_get("pri", PROBE_TO[4]) == UPA[4] and lab.route_get("pri", PROBE_TO[6]) == UPA[6],
              "flushed nexthop objects are put back")
    assert lab.routes("pri", 4, "exact", "192.0.2.128/25")
    lab.ip("pri", "route", "del", "192.0.2.128/25")
