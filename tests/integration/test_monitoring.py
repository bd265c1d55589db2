# SPDX-License-Identifier: BSD-2-Clause
"""Stock tools on our control socket: Debian's birdc and bird_exporter."""
import os
import re
import subprocess
import urllib.request

import pytest
from netlab import Lab, build_dir, have
from netlab.pair import PEER_NET, Pair


@pytest.fixture(scope="module")
def standing():
    with Lab() as lab:
        yield Pair(lab, "bird").start()


@pytest.fixture
def pair(standing):
    """One pair for all tests of this file, with everything up and the times as looking glasses want them."""
    p = standing
    if p.dead():
        p.node.stop()
        p.node.start()
    p.node.configure(p.config().replace("iso long ms", "iso long"))
    p.ctl.ask("enable all")
    p.up()
    p.wait(lambda: p.ctl.best(PEER_NET[4]) and p.ctl.best(PEER_NET[6]), "routes from the peer")
    return p


def birdc(p, *words):
    return subprocess.run([have("birdc"), "-s", p.node.sock, *words], text=True, capture_output=True, timeout=30, check=False)


@pytest.mark.parametrize("words,expected", [
    ("show status", r"BIRD 2\.[\d.]+\n(.*\n)*Router ID is 192\.0\.2\.2\n(.*\n)*Daemon is up and running"),
    ("show protocols", r"(?m)^Name +Proto +Table +State +Since +Info\n(.*\n)*peer_v4 +BGP +--- +up +\S+ \S+ +Established"),
    ("show protocols all peer_v4", r"BGP state: +Established\n +Neighbor address: 192\.0\.2\.1\n +Neighbor AS: +64496\n"
                                   r"(.*\n)*  Channel ipv4\n(.*\n)* +Routes: +1 imported, \d+ exported, 1 preferred"),
    ("show route", r"(?m)^203\.0\.113\.0/24 +unicast \[peer_v4 [^\]]+\] \* \(100\) \[AS64496i\]\n\tvia 192\.0\.2\.1 on up0"),
    ("show route for 203.0.113.9", r"203\.0\.113\.0/24 +unicast"),
    ("show route for 203.0.113.9 all", r"\tType: BGP univ\n\tBGP\.origin: IGP\n\tBGP\.as_path: 64496\n\tBGP\.next_hop: 192\.0\.2\.1"),
    ("show route protocol peer_v6", r"2001:db8:f::/48"),
    ("show route export peer_v4", r"198\.51\.100\.0/24 +blackhole \[own4"),
    ("show route count", r"\d+ of \d+ routes for \d+ networks in table master4"),
    ("show route where bgp_path.last = 64496", r"203\.0\.113\.0/24"),
    ("show bfd sessions", r"bfd1:\nIP address +Interface +State +Since +Interval +Timeout\n(.*\n)*192\.0\.2\.1 +up0 +Up +\S+ \S+ +0\.300 +0\.900"),
    ("show interfaces", r"up0 up \(index=\d+"),
    ("show symbols", r"peer_v4"),
    ("show memory", r"(?i)memory|total"),
    ("configure check", r"Configuration OK"),
    ("configure", r"Reconfigured"),
    ("configure soft", r"Reconfigured"),
    ("sh pro", r"peer_v6"),
    ("disable peer_v4", r"peer_v4: disabled"),
    ("restart peer_v6", r"peer_v6: restarted"),
])
def test_birdc(pair, words, expected):
    out = birdc(pair, *words.split())
    assert re.search(expected, out.stdout), out.stdout + out.stderr
    assert out.returncode == 0


@pytest.mark.parametrize("words", ["show route 192.0.2.128/25", "show protocols nosuch", "frobnicate", "enable nosuch"])
def test_birdc_exit_status_says_that_it_failed(pair, words):
    assert birdc(pair, *words.split()).returncode == 1


def test_birdc_restricted(pair):
    out = subprocess.run([have("birdc"), "-r", "-s", pair.node.sock, "disable", "peer_v4"], text=True, capture_output=True,
                         timeout=30, check=False)
    assert "Access denied" in out.stdout
    assert pair.ctl.protocols()["peer_v4"]["state"] == "up"


@pytest.mark.skipif(not have("prometheus-bird-exporter"), reason="prometheus-bird-exporter is not installed")
def test_bird_exporter(pair):
    """bird_exporter reads our socket; the count of exported prefixes is there to alert on, also when it falls to zero."""
    p = pair
    with p.lab.inside("node"):
        # a port that is free in this namespace: nobody else is in it
        exporter = p.lab.popen("node", [have("prometheus-bird-exporter"), "-bird.v2", "-bird.socket", p.node.sock,
                                        "-format.new=true", "-web.listen-address", "127.0.0.1:9324"], log=p.lab.path("exporter.out"))

    def metrics():
        assert exporter.poll() is None, open(p.lab.path("exporter.out"), encoding="utf-8").read()
        with p.lab.inside("node"):
            with urllib.request.urlopen("http://127.0.0.1:9324/metrics", timeout=10) as r:
                return r.read().decode()

    def value(metric, **labels):
        for line in metrics().splitlines():
            m = re.match(rf"{metric}\{{(.*)\}} (\S+)$", line)
            if m and all(f'{k}="{v}"' in m.group(1) for k, v in labels.items()):
                return float(m.group(2))
        return None

    p.wait(lambda: value("bird_protocol_up", name="peer_v4") == 1.0, "peer_v4 is up in the metrics")
    assert value("bird_protocol_up", name="peer_v6", ip_version="6") == 1.0
    assert value("bird_protocol_prefix_import_count", name="peer_v4") == 1.0
    assert value("bird_protocol_prefix_export_count", name="peer_v4") >= 1.0
    p.node.configure(p.config(export="none").replace("iso long ms", "iso long"))
    p.wait(lambda: value("bird_protocol_prefix_export_count", name="peer_v4") == 0.0, "nothing exported: the alert's value")
    p.ctl.cmd("disable peer_v4")
    p.wait(lambda: value("bird_protocol_up", name="peer_v4") == 0.0, "peer_v4 is down in the metrics")


@pytest.mark.ours
def test_peregrinec_json(pair):
    out = pair.node.client("show", "protocols")
    assert out, "empty JSON"
    text = str(out)
    assert "peer_v4" in text and "peer_v6" in text


@pytest.mark.ours
def test_peregrinec_exit_status(pair):
    client = os.path.join(build_dir(), "peregrinec")
    good = subprocess.run([client, "-s", pair.node.sock, "show", "status"], capture_output=True, text=True, timeout=30, check=False)
    bad = subprocess.run([client, "-s", pair.node.sock, "frobnicate"], capture_output=True, text=True, timeout=30, check=False)
    assert (good.returncode, bad.returncode) == (0, 1), good.stdout + bad.stdout


def test_birdc_down_ends_the_daemon(pair):
    birdc(pair, "down")
    daemon = pair.node.running[pair.node.name]
    assert daemon.wait(15) == 0
    assert not pair.peer.daemon.ctl.established("node_v4")
