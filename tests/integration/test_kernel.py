# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's table under real traffic: a link is lost in every way it can be, numbered packets cross, and those that never
arrive are counted. Timing decides nothing here: after each loss the stream goes on over the backup, and kernel and RIB agree."""
import re
import socket
import threading

import pytest
from conftest import kernel_in_step, tell
from netlab import Lab, Probe, Witness, now_ns
from netlab.proc import wait_for
from netlab.twosite import BKP_I, PROBE_TO, UPA, TwoSite

RATE = 1000
CROWD = 20000
SOCKET_HOLDS = 1000000  # bytes; more than a UNIX socket keeps for a reader who does not read

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


STAGES = {"last_packet": "last packet", "published": "published", "ring_read": "read", "plan_found": "plan", "netlink_sent": "sent",
          "netlink_acked": "acknowledged", "bgp_told": "BGP told", "updates_out": "updates out"}


def test_every_stage_in_show_and_in_one_line_of_the_log(site):
    """Of the neighbour that BFD lost above (dead link): all stages, in their order, and the same in one line of the log."""
    def told():
        return [e for e in site.pri.client("show", "failover")["failovers"] if e["event"] == "down" and e["reason"] == "bfd"
                and e["groups"] and set(STAGES) <= set(e["stages"])]
    e = site.wait(told, "a failover with every stage")[-1]
    order = [e["stages"][k] for k in ("last_packet", "detected", "published", "ring_read", "plan_found", "netlink_sent", "netlink_acked",
                                      "bgp_told", "updates_out")]
    assert order == sorted(order), e
    stages = dict(STAGES)
    if "redirected" in e["stages"]:  # where the kernel has tcx
        names = list(stages.items())
        stages = dict(names[:4] + [("redirected", "redirected")] + names[4:])
        assert e["stages"]["plan_found"] <= e["stages"]["redirected"] <= e["stages"]["netlink_sent"]
    zero = e["stages"]["detected"]
    line = f"Failover: {e['address']} on up0 lost (bfd): {e['groups']} groups, {e['prefixes']} prefixes" + "".join(
        f", {name} {(e['stages'][k] - zero) / 1000:+.0f} us" for k, name in stages.items())
    lines = [x for x in site.pri.log_text().splitlines() if "Failover: " in x]
    assert any(line in x for x in lines), f"{line}\n" + "\n".join(lines)


def test_others_routes_are_left_alone(site):
    lab = site.lab

    def repaired():
        return int(re.search(r"repaired \((\d+) since the start\)", site.pri.ctl.ask("audit").text)[1])
    before = repaired()
    lab.ip("pri", "route", "add", "192.0.2.128/25", "via", UPA[4], "proto", "static")
    lab.ip("pri", "route", "del", "default", check=False)
    site.wait(lambda: lab.routes("pri", 4, "exact", "default"), "the default route is put back")
    lab.ip("pri", "nexthop", "flush", check=False)
    site.wait(lambda: lab.route_get("pri", PROBE_TO[4]) == UPA[4] and lab.route_get("pri", PROBE_TO[6]) == UPA[6],
              "flushed nexthop objects are put back")
    assert lab.routes("pri", 4, "exact", "192.0.2.128/25")
    assert repaired() >= before + 2, "the repairs were not counted"
    lab.ip("pri", "route", "del", "192.0.2.128/25")


# ---- while something else goes on ----

def crowd_net(k):
    return f"20.{k >> 8}.{k & 255}.0/24"


def by(s, gateway):
    """The first, a middle and the last prefix of the crowd go that way."""
    return all(s.lab.route_get("pri", crowd_net(k).replace("0/24", "1")) == gateway for k in (0, CROWD // 2, CROWD - 1))


@pytest.fixture(scope="module")
def crowded(site):
    """Many prefixes by upstream A, and by the other node where A cannot be used."""
    text = ""
    for name, gateway, preference in (("near", UPA[4], 210), ("far", BKP_I[4], 190)):
        routes = "".join(f"\troute {crowd_net(k)} via {gateway};\n" for k in range(CROWD))
        text += f"protocol static {name} {{\n\tipv4 {{ preference {preference}; }};\n{routes}}}\n"
    site.set_pri(extra=text)
    site.wait(lambda: by(site, UPA[4]), "the crowd goes by upstream A", 60)
    yield site
    site.set_pri(extra="")


def lost(s, begin, address):
    """The history's entry for this neighbour's loss since then."""
    for e in s.pri.client("show", "failover")["failovers"]:
        if e["event"] == "down" and e["address"] == address and e["stages"].get("detected", 0) > begin:
            return e
    return None


def ready_for_a_cut(s):
    s.wait(lambda: by(s, UPA[4]) and s.bfd_up() and backup_ready(s) and any(
        g["prefixes"] >= CROWD and len(g["members"]) > 1 for g in s.pri.client("show", "failover")["groups"]),
        "the crowd has its preferred way and a backup", 90)


def test_lost_in_the_middle_of_a_dump(crowded):
    """Somebody has asked for all routes and does not read the answer: the loss does not wait for that."""
    s = crowded
    ready_for_a_cut(s)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as reader:
        reader.settimeout(60)
        reader.connect(s.pri.sock)
        reader.sendall(b"show route all\n")
        answer = reader.recv(100)
        begin = now_ns()
        s.lab.cut("a")
        try:
            s.wait(lambda: by(s, BKP_I[4]), "the crowd goes by the other node")
            e = s.wait(lambda: lost(s, begin, UPA[4]), "the failover is in the history")
            assert e["prefixes"] >= CROWD and not e["error"], e
            unread = 0
            while not re.search(rb"(^|\n)0000 ", answer[-64:]):
                piece = reader.recv(1 << 20)
                assert piece, "the answer ended too early"
                unread += len(piece)
                answer = answer[-64:] + piece
            assert unread > 2 * SOCKET_HOLDS, "the dump was over before the link was lost"
        finally:
            s.lab.mend()
    kernel_in_step(s.lab)


def test_lost_in_the_middle_of_a_reload(crowded):
    """One reload after another while the link is lost: some are over before, one is under way, and sessions stay."""
    s = crowded
    ready_for_a_cut(s)
    configs = [s.pri_config(s.pri_policy.but(local_pref=p)) for p in (200, 201)]
    stop, over, broken = threading.Event(), [], []

    def reload():
        while not stop.is_set():
            start = now_ns()
            try:
                s.pri.configure(configs[len(over) % 2])
            except (OSError, RuntimeError) as e:
                broken.append(e)
                return
            over.append((start, now_ns()))
    t = threading.Thread(target=reload)
    t.start()
    try:
        wait_for(lambda: over or broken, "the first reload is over")
        begin = now_ns()
        s.lab.cut("a")
        s.wait(lambda: by(s, BKP_I[4]), "the crowd goes by the other node")
        e = s.wait(lambda: lost(s, begin, UPA[4]), "the failover is in the history")
        assert e["prefixes"] >= CROWD and not e["error"], e
        acked = e["stages"]["netlink_acked"]
        wait_for(lambda: broken or (over and over[-1][0] > acked), "reloads go on")
    finally:
        stop.set()
        t.join()
        s.lab.mend()
    assert not broken
    assert over[0][1] < acked < over[-1][0]
    s.pri.configure(configs[0])
    s.wait(lambda: by(s, UPA[4]), "the crowd is back on its preferred way", 90)
    kernel_in_step(s.lab)
