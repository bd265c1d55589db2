# SPDX-License-Identifier: BSD-2-Clause
"""peregrine-bfdgen against peregrine-dp and stock BIRD: it holds, cuts, floods, and what it reports is what happened. All
intervals are calm ones: how fast is a matter of the benchmark, not of a test."""
import csv
import json
import os
import re
import signal
import subprocess
import time

import pytest

from netlab import Bird, build_dir, run, wait_for
from netlab.daemons import ROOT
from test_dataplane import PEER, US, DataPlane

pytestmark = pytest.mark.ours

N = 5
FIRST = {4: "192.0.2.65", 6: "2001:db8:1::65"}
CALM = ("--interval", "300", "--mult", "5")
WAYS = {"af_xdp": ("--port", "af_xdp:cust0"), "af_packet": ("--port", "af_packet:cust0"), "sockets": ("--sockets", "cust0")}


@pytest.fixture
def net(lab):
    """The generator's addresses: a block that is local in the peer's namespace, and is answered for."""
    lab.add("node", "peer")
    lab.link("a", ("node", "up0", [f"{US[4]}/24", f"{US[6]}/64"]), ("peer", "cust0", [f"{PEER[4]}/24", f"{PEER[6]}/64"]))
    lab.ip("peer", "route", "add", "local", "192.0.2.64/26", "dev", "lo")
    for i in range(N):
        lab.ip("peer", "addr", "add", f"2001:db8:1::{0x65 + i:x}/64", "dev", "cust0", "nodad")
    return lab


def dataplane(net, *commands):
    dp = DataPlane(net, "node", "--port", "af_xdp:up0").start()
    dp.client("hello hold=60", *commands, "watch 1000")
    return dp


def ranged(options=""):
    return f"range {FIRST[4]}%up0 {N} tx=300000 rx=300000 mult=5 {options}"


class Run:
    """One run of the generator; its report when it has ended."""

    def __init__(self, lab, *args, way="af_xdp", family=4, name="gen", path=None):
        self.lab, self.json, self.csv = lab, lab.path(f"{name}.json"), lab.path(f"{name}-csv")
        how = ("--port", f"memif:{path},role=client,ip=192.0.2.254/24") if path else WAYS[way]
        self.argv = [os.path.join(build_dir(), "peregrine-bfdgen"), *how, "--local", FIRST[family], "--peer", US[family],
                     "--sessions", str(N), *CALM, "--json", self.json, "--csv", self.csv, "--quiet", *args]

    def popen(self):
        return subprocess.Popen(["nsenter", f"--net={self.lab.ns_path('peer')}", "--", *self.argv], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def wait(self, p, status=0):
        out, err = p.communicate(timeout=120)
        assert p.returncode == status, (p.returncode, out, err)
        with open(self.json, encoding="utf-8") as f:
            self.report = json.load(f)
        return self.report

    def run(self, status=0):
        return self.wait(self.popen(), status)

    def rows(self, name):
        with open(os.path.join(self.csv, name + ".csv"), encoding="utf-8", newline="") as f:
            return list(csv.DictReader(f))


@pytest.mark.parametrize("way", list(WAYS))
def test_holds_cuts_and_reports(net, way):
    """Sessions come up, those that are cut are noticed by the device and never early, all come back; the files say the same."""
    dp = dataplane(net, ranged())
    g = Run(net, "--time", "1", "--cut", "2", "--cut-spread", "100", "--pid", f"{dp.pids[0]}=dp", way=way)
    r = g.run()
    assert r["sessions"]["reached_up"] == N and r["sessions"]["up_at_end"] == N
    assert r["flaps"]["total"] == 0, r["flaps"]
    assert (r["detections"]["count"], r["detections"]["early"], r["detections"]["missed"]) == (2, 0, 0), r["detections"]
    assert all(x["detect_us"] == 1500000 for x in r["detections"]["list"])
    assert r["gaps"]["interval_us_min"] == r["gaps"]["interval_us_max"] == 300000
    assert sum(b["count"] for b in r["gaps"]["histogram"]) == r["gaps"]["count"] > 0
    assert r["cpu"][0]["name"] == "dp" and r["cpu"][0]["percent"] > 0
    sessions = g.rows("sessions")
    assert [s["local"] for s in sessions] == [f"192.0.2.{65 + i}" for i in range(N)]
    assert sum(int(s["gaps"]) for s in sessions) == r["gaps"]["count"]
    assert len(g.rows("detections")) == 2 and not g.rows("flaps") and g.rows("series") and g.rows("cpu")
    # It said goodbye: the device knows that it was not the path.
    wait_for(lambda: all(s["diag"] == "Neighbor down" for s in dp.sessions().values()), "AdminDown arrived", failed=dp.dead)


def test_ipv6_passive(net):
    """The device begins, over IPv6."""
    dataplane(net, *[f"add 2001:db8:1::{0x65 + i:x}%up0 tx=300000 rx=300000 mult=5" for i in range(N)])
    r = Run(net, "--time", "0.5", "--passive", family=6).run()
    assert r["sessions"]["reached_up"] == N and r["flaps"]["total"] == 0


def test_multihop(net):
    net.ip("node", "route", "add", f"{FIRST[4]}/32", "via", PEER[4])
    dataplane(net, f"add {FIRST[4]} from={US[4]} tx=300000 rx=300000 mult=5 multihop ttl=64")
    r = Run(net, "--time", "0.5", "--multihop", "--sessions", "1").run()
    assert r["sessions"]["reached_up"] == 1 and r["flaps"]["total"] == 0


@pytest.mark.parametrize("kind", ["garbage", "unknown", "ttl"])
def test_floods_hurt_nobody(net, kind):
    dp = dataplane(net, ranged())
    r = Run(net, "--time", "2", "--flood", f"{kind}:2000").run()
    assert r["sessions"]["reached_up"] == N
    assert r["packets"]["flood"] > 0
    assert r["flaps"]["total"] == 0, r["flaps"]
    if kind != "ttl":  # which the XDP filter drops
        worker = dp.ctl("hello observer", "workers")
        assert f" {'invalid' if kind == 'garbage' else 'unknown'} 0 " not in worker, worker


@pytest.mark.parametrize("kind", ["garbage", "unknown"])
def test_a_million_packets_a_second(net, kind):
    """Over memif, where nothing but the two programs limits it: no flap that the machine does not explain."""
    path = net.path("memif.sock")
    dp = DataPlane(net, "node", "--port", f"memif:{path},role=server,ip={US[4]}/24,name=m0").start()
    dp.client("hello hold=60", f"range {FIRST[4]}%m0 {N} from={US[4]} tx=300000 rx=300000 mult=5", "watch 1000")
    r = Run(net, "--time", "3", "--flood", f"{kind}:1000000", way="memif", path=path).run()
    assert r["sessions"]["reached_up"] == N
    assert r["packets"]["flood"] > 10000  # how many in a second is what `make bench-bfd` tells
    assert r["flaps"]["device"] == 0 and r["detections"]["early"] == 0, r["flaps"]
    worker = dp.ctl("hello observer", "workers")
    seen = int(re.search(rf"{'invalid' if kind == 'garbage' else 'unknown'} (\d+)", worker)[1])
    assert seen > 10000, worker


def test_a_flooded_reflector(net):
    """Anybody may ask an S-BFD reflector: it answers no more than 100,000 times a second, and the sessions beside it stay."""
    path = net.path("memif.sock")
    dp = DataPlane(net, "node", "--port", f"memif:{path},role=server,ip={US[4]}/24,name=m0").start()
    dp.client("hello hold=60", "settings sbfd=4711", f"range {FIRST[4]}%m0 {N} from={US[4]} tx=300000 rx=300000 mult=5",
              "watch 1000")
    r = Run(net, "--time", "2", "--flood", "sbfd=4711:1000000", way="memif", path=path).run()
    assert r["sessions"]["reached_up"] == N
    assert r["flaps"]["device"] == 0 and r["detections"]["early"] == 0, r["flaps"]
    asked, answered = r["packets"]["flood"], r["packets"]["foreign"]
    limited = int(re.search(r"limited (\d+)", dp.ctl("hello observer", "workers"))[1])
    assert asked > 10000 and answered > 1000, r["packets"]
    # The time the flood lasted, and a burst of 20 ms.
    seconds = r["course"]["cuts_s"] - r["course"]["hold_s"] + 0.1
    assert answered <= 100000 * (seconds + 0.02) + 100, (answered, seconds)
    assert limited + answered <= asked + 100
    assert limited > 0 or asked <= 100000 * (seconds + 0.02), (asked, answered, limited)


def test_vlan_on_memif(net):
    """Tagged sessions, resolved by ARP within the VLAN; a generator in another VLAN finds nobody."""
    path = net.path("memif.sock")
    dp = DataPlane(net, "node", "--port", f"memif:{path},role=server,name=m0,vlan=100,ip={US[4]}/24").start()
    dp.client("hello hold=60", f"range {FIRST[4]}%m0.100 {N} from={US[4]} tx=300000 rx=300000 mult=5", "watch 1000")
    r = Run(net, "--time", "0.5", way="memif", path=f"{path},vlan=100").run()
    assert r["sessions"]["reached_up"] == N and r["flaps"]["total"] == 0, r["flaps"]
    g = Run(net, "--time", "0.1", way="memif", path=f"{path},vlan=101")
    p = g.popen()
    assert f"no MAC address of {US[4]}" in p.communicate(timeout=60)[1] and p.returncode == 1


def test_a_frozen_device_is_blamed(net):
    """The device stands still for longer than the detection time: every session flaps once, it was silent, and it is to blame."""
    dp = dataplane(net, ranged())
    g = Run(net, "--time", "6")
    p = g.popen()
    wait_for(lambda: dp.all_up(N), "sessions Up", failed=dp.dead)
    os.kill(dp.pids[0], signal.SIGSTOP)
    time.sleep(2.5)
    os.kill(dp.pids[0], signal.SIGCONT)
    r = g.wait(p)
    assert r["flaps"]["total"] == N and r["flaps"]["device"] == N, r["flaps"]
    assert all(f["what"] == "silent" and f["blame"] == "device" and f["silent_us"] >= 1500000 for f in r["flaps"]["list"])
    assert len(g.rows("flaps")) == N


def test_strict_status(net):
    """--strict: a flap is exit status 4; sessions that never come up are 3. --give-up: flaps end an hour's hold, without cuts."""
    dp = dataplane(net, ranged())
    g = Run(net, "--time", "3600", "--cut", "1", "--give-up", str(N), "--strict")
    p = g.popen()
    deadline = time.monotonic() + 60
    while p.poll() is None and time.monotonic() < deadline:  # once more if the hold had not begun
        wait_for(lambda: dp.all_up(N) or p.poll() is not None, "sessions Up", failed=dp.dead)
        time.sleep(0.5)
        os.kill(dp.pids[0], signal.SIGSTOP)
        time.sleep(2.5)
        os.kill(dp.pids[0], signal.SIGCONT)
    r = g.wait(p, status=4)
    assert r["flaps"]["since_hold"] == r["flaps"]["silent"] == N and r["flaps"]["said"] == 0, r["flaps"]
    assert r["detections"]["count"] == 0, r
    dp.kill()
    assert Run(net, "--time", "0.1", "--wait", "1", "--peer-mac", "02:00:00:00:00:01").run(status=3)["sessions"]["reached_up"] == 0


AUTH = {"simple": "simple", "keyed-md5": "keyed md5", "meticulous-md5": "meticulous keyed md5", "keyed-sha1": "keyed sha1",
        "meticulous-sha1": "meticulous keyed sha1"}


@pytest.mark.parametrize("kind", list(AUTH))
def test_authentication_with_bird(net, kind):
    """Each type against BIRD's own: the right secret comes up and stays, a wrong one does not."""
    b = Bird(net, "node")
    neighbors = "".join(f'neighbor 192.0.2.{65 + i} dev "up0" local {US[4]}; ' for i in range(N))
    b.start(f"""log "{b.log_path}" all;
router id {US[4]};
protocol device {{ }}
protocol bfd {{ interface "*" {{ min rx interval 300 ms; min tx interval 300 ms; multiplier 5;
	authentication {AUTH[kind]}; password "secret" {{ id 5; }}; }}; {neighbors} }}
""")
    r = Run(net, "--time", "1", "--auth", f"{kind}:5:secret").run()
    assert r["sessions"]["reached_up"] == N and r["flaps"]["total"] == 0, r["flaps"]
    r = Run(net, "--time", "0.1", "--wait", "3", "--auth", f"{kind}:5:another", name="wrong").run(status=3)
    assert r["sessions"]["reached_up"] == 0


def test_refusals(net):
    def refused(status, *args):
        p = subprocess.run(["nsenter", f"--net={net.ns_path('peer')}", "--", os.path.join(build_dir(), "peregrine-bfdgen"), *args],
                           text=True, capture_output=True, timeout=60, check=False)
        lines = p.stderr.strip().splitlines()
        assert p.returncode == status and len(lines) == 1, (args, p.returncode, p.stderr)
        return lines[0]
    who = ("--local", FIRST[4], "--peer", US[4])
    assert "--port or --sockets" in refused(2, *who)
    assert "there is no interface nope0" in refused(1, "--sockets", "nope0", *who)
    assert "there is no interface nope0" in refused(1, "--port", "af_xdp:nope0", *who)
    assert "unknown port" in refused(1, "--port", "cust0", *who)
    assert "at most 4096 addresses" in refused(1, "--port", "af_xdp:cust0", *who, "--sessions", "5000")
    assert "no MAC address of 192.0.2.9" in refused(1, "--port", "af_xdp:cust0", "--local", FIRST[4], "--peer", "192.0.2.9")


@pytest.mark.parametrize("program", ["peregrine-bfdgen", "peregrine-dp"])
def test_the_manual_names_every_option(program):
    """And --help every one that the manual names as the program's own."""
    said = run(os.path.join(build_dir(), program), "--help")
    with open(os.path.join(ROOT, "docs/man", program + ".8"), encoding="utf-8") as f:
        page = f.read()
    options = set(re.findall(r"--([a-z][a-z-]+)", said)) - {"dplaneaddr"}  # bfdd's
    described = set(re.findall(r"^\.It .*?Fl -([a-z][a-z-]+)", page, re.M))
    assert options - described - {"help", "version"} == set(), "not in the manual"
    assert described - options - {"help", "version", "lcores"} == set(), "not in --help"  # the EAL's
