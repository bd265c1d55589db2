# SPDX-License-Identifier: BSD-2-Clause
"""The tools that everything else here relies on: a cut really cuts, the carrier really stays, the witness sees it, and
nothing is left behind."""
import glob
import os
import subprocess
import sys
import time

import pytest
from netlab import Lab, Probe, Witness, now_ns, sweep, wait_for
from netlab.lab import _namespaces

A = {4: "192.0.2.1", 6: "2001:db8::1"}
B = {4: "192.0.2.2", 6: "2001:db8::2"}


@pytest.fixture
def two(lab):
    lab.add("x", "y")
    lab.link("a", ("x", "x0", [A[4] + "/24", A[6] + "/64"]), ("y", "y0", [B[4] + "/24", B[6] + "/64"]))
    return lab


def answers(lab, family):
    return "1 received" in lab.run("x", "ping", f"-{family}", "-c1", "-W1", B[family], check=False)


@pytest.mark.parametrize("towards", [None, "x", "y"])
def test_cut_drops_both_families_and_keeps_the_carrier(two, towards):
    for f in (4, 6):
        assert answers(two, f)
    two.cut("a", towards=towards)
    for f in (4, 6):
        assert not answers(two, f)
    for role, ifname in (("x", "x0"), ("y", "y0")):
        assert "LOWER_UP" in two.ip(role, "link", "show", "dev", ifname)
    two.mend()
    for f in (4, 6):
        assert answers(two, f)


def test_filter_port_drops_only_that(two):
    two.filter_port("a", "tcp", 179)
    assert answers(two, 4)
    listen = "import socket; s=socket.create_server(('192.0.2.2', {})); print('up', flush=True); s.accept()"
    for port, reached in ((179, False), (180, True)):
        p = subprocess.Popen(two.command("y", sys.executable, "-c", listen.format(port)), stdout=subprocess.PIPE, text=True)
        assert p.stdout.readline() == "up\n"
        code = f"import socket; socket.create_connection(('192.0.2.2', {port}), 2)"
        q = subprocess.run(two.command("x", sys.executable, "-c", code), capture_output=True, timeout=20, check=False)
        p.kill()
        p.wait()
        assert (q.returncode == 0) is reached


def test_witness_sees_the_gap_and_the_routes(two):
    w = Witness(two, follow=("x",), far=("a.x",))
    start = now_ns() # before the stream's first packet, which is the only one that is recorded
    Probe(two, "x", B[4], B[6], 1000)
    wait_for(lambda: {e["family"] for e in w.events(start) if e["kind"] == "probe"} == {4, 6}, "the stream is seen")
    two.ip("x", "nexthop", "add", "id", "7", "via", B[4], "dev", "x0")
    two.ip("x", "nexthop", "add", "id", "8", "group", "7")
    two.ip("x", "route", "add", "198.51.100.0/24", "nhid", "8")
    events = wait_for(lambda: [e for e in w.events(start) if e["kind"] == "route"], "the route is seen")
    assert (events[0]["dst"], events[0]["nhid"], events[0]["at"]) == ("198.51.100.0/24", 8, "x")
    assert [e["what"] for e in w.events(start) if e["kind"] == "nexthop" and e["id"] == 8] == ["new group 7"]
    # The tap is before the place where packets are dropped, so nothing is missing there while the link is dead.
    two.cut("a")
    time.sleep(0.1)
    two.mend()
    assert not [e for e in w.events(start) if e["kind"] == "gap"]


def test_cleanup_leaves_nothing():
    with Lab() as lab:
        lab.add("x")
        p = lab.popen("x", ["sleep", "1000"])
        tag, where = lab.tag, lab.dir
        assert any(n.startswith(tag) for n in _namespaces())
    assert p.poll() is not None
    assert not any(n.startswith(tag) for n in _namespaces())
    assert not os.path.exists(where)


def test_leftovers_of_a_killed_lab_are_swept():
    code = ("import sys, os, signal; sys.path.insert(0, sys.argv[1]); import netlab\n"
            "lab = netlab.Lab().__enter__(); lab.add('x'); p = lab.popen('x', ['sleep', '1000'])\n"
            "print(lab.tag, p.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)")
    lib = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
    p = subprocess.run([sys.executable, "-c", code, lib], capture_output=True, text=True, timeout=30, check=False)
    tag, pid = p.stdout.split()
    assert any(n.startswith(tag + "-") for n in _namespaces()) and glob.glob(f"/tmp/{tag}-*")
    sweep()
    assert not any(n.startswith(tag + "-") for n in _namespaces()) and not glob.glob(f"/tmp/{tag}-*")
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the process is gone")
