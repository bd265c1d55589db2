# SPDX-License-Identifier: BSD-2-Clause
"""BFD as it is configured: peregrined (with peregrine-dp, or its own engine) against stock BIRD, the kernel, itself. The
lines of docs/bfd.md's feature table that need more than one process name tests of this file."""
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from netlab import Bird, Peregrine, build_dir, wait_for
from netlab.proc import CommandError

from test_dataplane import PEER, US, DataPlane, bird_peer, net  # noqa: F401

pytestmark = pytest.mark.ours

WAYS = pytest.mark.parametrize("way", ["af_xdp", "sockets"])
CALM = "min rx interval 100 ms; min tx interval 100 ms; multiplier 5;"


def node(lab, way="af_xdp", role="node", ifname="up0"):
    return Peregrine(lab, role, ports=[f"af_xdp:{ifname}"] if way == "af_xdp" else [])


def config(p, bfd, router_id=US[4]):
    return f'log "{p.log_path}" all;\nrouter id {router_id};\nprotocol device {{ }}\nprotocol bfd {{\n{bfd}\n}}\n'


def sessions(p):
    return {s["address"]: s for s in p.client("show", "bfd", "sessions")}


def state(p, address):
    return sessions(p).get(address, {}).get("state")


def up(p, *addresses):
    wait_for(lambda: all(state(p, a) == "Up" for a in addresses), f"{addresses} Up", failed=p.dead)


@WAYS
def test_key_change_without_a_flap(net, way):
    """Meticulous SHA1 with BIRD: a second key is accepted, then sent, then the first one goes; nobody goes Down, and nobody
    refuses a packet. The detection time is long: how long BIRD may wait for a busy machine's core is not the question, and a
    packet refused is seen at once."""
    calm = "min rx interval 100 ms; min tx interval 100 ms; multiplier 50;"
    auth = "authentication meticulous keyed sha1; passwords {{ {} }};"
    one, two = 'password "one" { id 1; };', 'password "second" { id 2; };'

    def ours(keys):
        return config(p, f'interface "up0" {{ {calm} {auth.format(keys)} }}; neighbor {PEER[4]} dev "up0";')

    def birds(keys):
        return (f'log "{bird.log_path}" all;\nrouter id {PEER[4]};\nprotocol device {{ }}\nprotocol bfd {{ interface "cust0" '
                f'{{ {calm} {auth.format(keys)} }}; neighbor {US[4]} dev "cust0"; }}\n')

    def refused():
        with open(bird.log_path, encoding="utf-8", errors="replace") as f:
            return [line for line in f if "uthentication" in line]
    p = node(net, way)
    bird = Bird(net, "peer")
    bird.start(birds(one))
    p.start(ours(one))
    up(p, PEER[4])
    wait_for(lambda: bird.ctl.bfd_up(US[4]), "BIRD says Up")
    for d, text in ((p, ours(one + two)), (bird, birds(one + two)), (bird, birds(two + one)), (p, ours(two + one)),
                    (p, ours(two)), (bird, birds(two))):
        d.configure(text)
        before = sessions(p)[PEER[4]]["rx_packets"]
        wait_for(lambda b=before: sessions(p)[PEER[4]]["rx_packets"] > b + 10, "ten packets with these keys", failed=p.dead)
        s = sessions(p)[PEER[4]]
        assert (s["state"], s["down_count"], s["rx_auth_failed"]) == ("Up", 0, 0), s
        assert bird.ctl.bfd_up(US[4]) and not refused(), refused()
    # It would be seen: BIRD goes on to a key that we do not know.
    bird.configure(birds('password "third" { id 3; };'))
    wait_for(refused, "BIRD refuses our packets", failed=p.dead)
    wait_for(lambda: sessions(p)[PEER[4]]["rx_auth_failed"] > 0, "we refuse BIRD's", failed=p.dead)


@WAYS
def test_demand(net, way):
    """We ask for Demand mode: BIRD falls silent but for the answers to our polls; the session lives, and its end is noticed."""
    bird_peer(net, ms=50, mult=5)
    p = node(net, way)
    p.start(config(p, f'interface "up0" {{ interval 50 ms; multiplier 5; demand; }}; neighbor {PEER[4]} dev "up0";'))
    up(p, PEER[4])
    time.sleep(1)
    before = sessions(p)[PEER[4]]["rx_packets"]
    time.sleep(3)
    after = sessions(p)[PEER[4]]
    assert after["state"] == "Up" and after["down_count"] == 0
    assert 1 <= after["rx_packets"] - before <= 12, "20 a second without Demand mode, about one with it"
    net.cut("a")
    wait_for(lambda: state(p, PEER[4]) == "Down", "a poll stays unanswered", failed=p.dead)


@WAYS
def test_large_packets(net, way):
    """RFC 9764: packets of the wished size, unfragmented, decoded by tshark; a way that is too narrow for them is Down."""
    bird_peer(net, ms=100, mult=3)
    tap = net.popen("peer", ["tshark", "-l", "-n", "-i", "cust0", "-f", f"udp dst port 3784 and src {US[4]}", "-T", "fields",
                             "-e", "udp.length", "-e", "ip.flags.df", "-e", "bfd.sta", "-e", "bfd.message_length"],
                    log=net.path("tshark.log"))
    p = node(net, way)
    p.start(config(p, f'interface "up0" {{ interval 100 ms; multiplier 3; pdu size 1400; }}; neighbor {PEER[4]} dev "up0";'))
    up(p, PEER[4])

    def lines():
        with open(net.path("tshark.log"), encoding="utf-8") as f:
            return [x.split() for x in f.read().splitlines() if x[:1].isdigit()]
    wait_for(lambda: any(x[2] == "0x03" for x in lines()), "tshark sees Up")
    net.end(tap)
    # The last line may be half a line: tshark has been ended.
    other = [x for x in lines()[:-1] if len(x) != 4 or x[0] != "1408" or x[1] not in ("1", "True") or x[3] != "24"]
    assert not other, other
    net.ip("wire", "link", "set", "a.peer", "mtu", "1000")
    wait_for(lambda: state(p, PEER[4]) == "Down", "the way is too narrow", failed=p.dead)


def test_dampening(net):
    """Two flaps: held Down although BIRD would come up at once; both sides say so."""
    bird = bird_peer(net, ms=50)
    p = node(net)
    p.start(config(p, 'interface "up0" { interval 50 ms; multiplier 3; dampening { flaps 2; within 60 s; hold 30 s; }; }; '
                      f'neighbor {PEER[4]} dev "up0";'))
    for n in (1, 2):
        up(p, PEER[4])
        net.cut("a")
        wait_for(lambda k=n: sessions(p)[PEER[4]]["down_count"] == k, "Down", failed=p.dead)
        net.mend()
    wait_for(lambda: "Init" in bird.ctl.cmd("show bfd sessions"), "BIRD is Init: it hears that we are Down")
    time.sleep(1)
    s = sessions(p)[PEER[4]]
    # A stall of the machine's own is not held against the link: then there is nothing to be dampened.
    assert s["dampened"] and s["state"] == "Down" or "after a stall" in p.log_text(), s
    assert "Dampened:" in p.ctl.cmd("show bfd sessions all") or "after a stall" in p.log_text()


@WAYS
def test_unsolicited(net, way):
    """RFC 9468: BIRD begins; whom the list allows gets a session, up to the limit; it goes when the neighbour is gone."""
    bird = bird_peer(net, ms=100, mult=5)
    p = node(net, way)
    p.start(config(p, f'interface "up0" {{ {CALM} }}; unsolicited {{ interface "up*"; allow 192.0.2.0/28; limit 4; keep 2 s; }};'))
    up(p, PEER[4])
    wait_for(lambda: bird.ctl.bfd_up(US[4]), "BIRD says Up")
    s = sessions(p)
    assert list(s) == [PEER[4]] and s[PEER[4]]["unsolicited"], "the IPv6 neighbours are not on the list"
    p.configure(config(p, f'interface "up0" {{ {CALM} }}; unsolicited {{ allow 192.0.2.0/28, 2001:db8:1::/64; limit 1; }};'))
    wait_for(lambda: "are the limit" in p.log_text(), "the limit is told", failed=p.dead)
    assert list(sessions(p)) == [PEER[4]] and sessions(p)[PEER[4]]["down_count"] == 0
    p.configure(config(p, f'interface "up0" {{ {CALM} }}; unsolicited {{ allow 192.0.2.0/28; keep 1 s; }};'))
    bird.stop()
    wait_for(lambda: not sessions(p), "forgotten", failed=p.dead)
    p.configure(config(p, f'interface "up0" {{ {CALM} }};'))


def test_sbfd(net):
    """RFC 7880: an initiator here, a reflector there, both ours; it ends with the reflector's discriminator."""
    there = node(net, role="peer", ifname="cust0")
    there.start(config(there, "sbfd reflector 4711 min rx interval 20 ms;", PEER[4]))
    p = node(net)
    p.start(config(p, f"multihop {{ interval 10 ms; multiplier 5; }}; neighbor {PEER[4]} local {US[4]} sbfd 4711;"))
    up(p, PEER[4])
    s = sessions(p)[PEER[4]]
    assert s["type"] == "sbfd" and s["remote_discriminator"] == 4711
    # No faster than the reflector wishes: RFC 7880 section 7.3.2.
    assert float(s["interval"]) == 0.02, s
    assert not sessions(there), "a reflector keeps no state"
    there.configure(config(there, "sbfd reflector 4712;", PEER[4]))
    wait_for(lambda: state(p, PEER[4]) == "Down", "nobody answers for 4711", failed=p.dead)


def test_sbfd_authentication(net):
    """RFC 7880: keys for one reflector, not those of the multihop sessions; the wrong one is not answered, and counted."""
    there = node(net, role="peer", ifname="cust0")
    there.start(config(there, 'sbfd reflector 4711 min rx interval 20 ms { authentication meticulous keyed sha1; '
                              'password "first" { id 1; }; password "second" { id 2; }; };', PEER[4]))

    def asking(secret, number):
        return config(p, f'multihop {{ interval 20 ms; multiplier 10; authentication keyed md5; password "other"; }}; '
                         f'neighbor {PEER[4]} local {US[4]} sbfd 4711 {{ authentication meticulous keyed sha1; '
                         f'password "{secret}" {{ id {number}; }}; password "second" {{ id 2; }}; }};')
    p = node(net)
    p.start(asking("first", 1))
    up(p, PEER[4])
    # To the other key, while both are known here; then one that the reflector does not have.
    p.configure(config(p, f'neighbor {PEER[4]} local {US[4]} sbfd 4711 {{ interval 20 ms; multiplier 10; authentication '
                          f'meticulous keyed sha1; password "second" {{ id 2; }}; password "first" {{ id 1; }}; }};'))
    before = int(sessions(p)[PEER[4]]["rx_packets"])
    wait_for(lambda: int(sessions(p)[PEER[4]]["rx_packets"]) > before + 20, "answers to the second key", failed=p.dead)
    s = sessions(p)[PEER[4]]
    assert (s["state"], s["down_count"]) == ("Up", 0), s
    p.configure(asking("wrong", 1))
    wait_for(lambda: state(p, PEER[4]) == "Down", "nobody answers to a wrong secret", failed=p.dead)


def test_unaffiliated_echo(net):
    """RFC 9747: the neighbour is a kernel that forwards, and has never heard of BFD."""
    for key in ("ip_forward", "conf.all.accept_local", "conf.cust0.accept_local"):
        net.run("peer", "sysctl", "-qw", f"net.ipv4.{key}=1")
    for key in ("conf.all.rp_filter", "conf.cust0.rp_filter", "conf.all.send_redirects", "conf.cust0.send_redirects"):
        net.run("peer", "sysctl", "-qw", f"net.ipv4.{key}=0")
    p = node(net)
    p.start(config(p, f'interface "up0" {{ interval 20 ms; multiplier 5; }}; neighbor {PEER[4]} dev "up0" echo only;'))
    up(p, PEER[4])
    s = sessions(p)[PEER[4]]
    assert s["type"] == "echo" and float(s["interval"]) == 0.02, s
    net.run("peer", "sysctl", "-qw", "net.ipv4.ip_forward=0")
    wait_for(lambda: state(p, PEER[4]) == "Down", "nothing comes back", failed=p.dead)
    assert sessions(p)[PEER[4]]["diagnostic"] == "Echo failed"


@WAYS
def test_vlan(net, way):
    """Sessions on an 802.1Q interface above the port."""
    for role, ifname, address in (("node", "up0", "198.51.100.2/24"), ("peer", "cust0", "198.51.100.1/24")):
        try:
            net.ip(role, "link", "add", "link", ifname, "name", f"{ifname}.100", "type", "vlan", "id", "100")
        except CommandError as e:
            pytest.skip(f"no VLAN interfaces in this kernel: {e}")
        net.ip(role, "addr", "add", address, "dev", f"{ifname}.100")
        net.ip(role, "link", "set", f"{ifname}.100", "up")
    bird = Bird(net, "peer")
    bird.start(f'log "{bird.log_path}" all;\nrouter id {PEER[4]};\nprotocol device {{ }}\n'
               f'protocol bfd {{ interface "*" {{ {CALM} }}; neighbor 198.51.100.2 dev "cust0.100"; }}\n')
    p = node(net, way)
    p.start(config(p, f'interface "*" {{ {CALM} }}; neighbor 198.51.100.1 dev "up0.100";'))
    up(p, "198.51.100.1")
    assert sessions(p)["198.51.100.1"]["interface"] == "up0.100"


@WAYS
def test_changes_without_a_reset(net, way):
    """Every option that the protocol lets change while a session runs; BIRD stays Up, and hears of the new timers."""
    bird = bird_peer(net, ms=100, mult=5)
    p = node(net, way)

    def with_options(options):
        return config(p, f'interface "up0" {{ {options} }}; neighbor {PEER[4]} dev "up0";')
    p.start(with_options("interval 100 ms; multiplier 5;"))
    up(p, PEER[4])
    for options in ("interval 300 ms; multiplier 5;", "interval 50 ms; multiplier 10;", "interval 100 ms; multiplier 5; passive;",
                    "interval 100 ms; multiplier 5; demand;", "interval 100 ms; multiplier 5; pdu size 512;",
                    "interval 100 ms; multiplier 5; dampening; min ttl 200;", "interval 200 ms; multiplier 7;"):
        p.configure(with_options(options))
        time.sleep(0.7)
    wait_for(lambda: float(sessions(p)[PEER[4]]["interval"]) == 0.2, "the last wish is in force", failed=p.dead)
    s = sessions(p)[PEER[4]]
    assert (s["state"], s["up_count"], s["down_count"]) == ("Up", 1, 0), s
    text = bird.ctl.cmd("show bfd sessions")
    assert bird.ctl.bfd_up(US[4]) and "1.400" in text, text  # 7 x 200 ms


def test_what_is_shown(net):
    """`show bfd sessions all` and JSON: counters, drops by reason, histogram, the last detection with its times."""
    bird_peer(net, ms=50)
    p = node(net)
    p.start(config(p, f'interface "up0" {{ interval 50 ms; multiplier 3; }}; neighbor {PEER[4]} dev "up0";'))
    up(p, PEER[4])
    time.sleep(1)
    net.cut("a")
    wait_for(lambda: state(p, PEER[4]) == "Down", "Down", failed=p.dead)
    s = sessions(p)[PEER[4]]
    assert sum(s["rx_gap_histogram"]) > 5 and s["rx_packets"] > 5 and s["worst_rx_gap_us"] > 0
    silent = s["last_down_ns"] - s["last_down_rx_ns"]
    assert silent >= 150_000_000, f"declared Down {silent} ns after a packet"
    assert {"rx_dropped", "rx_auth_failed", "rx_ttl", "rx_refused", "worst_tx_gap_us", "worst_overshoot_us", "after_stall",
            "dampened", "down_after_stall"} <= set(s) and s["down_after_stall"] <= s["down_count"] == 1
    text = p.ctl.cmd("show bfd sessions all")
    for word in ("Packets:", "Dropped:", "Worst gap:", "Receive gaps:", "Last detection:", "Detection overshoot:"):
        assert word in text, text


def test_counters_of_the_filter(net):
    """What the XDP filter took, dropped and left alone, and what a worker threw away, by peregrinec and in JSON."""
    bird_peer(net, ms=50)
    p = node(net)
    p.start(config(p, f'interface "up0" {{ interval 50 ms; multiplier 5; }}; neighbor {PEER[4]} dev "up0";'))
    up(p, PEER[4])
    send = ("import socket,sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nto, ttl = sys.argv[1], int(sys.argv[2])\n"
            "s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)\nfor i in range(7): s.sendto(b'?' * 24, (to, 3784))\n")

    def counters():
        c = p.client("show", "bfd", "counters")
        return c["workers"][0], c["filters"][0]
    w0, f0 = counters()
    assert f0["port"] == "up0" and wait_for(lambda: counters()[1]["taken"] > 0, "the filter has taken BFD", failed=p.dead)
    w0, f0 = counters()
    net.run("node", "ip", "route", "add", "198.51.100.0/24", "dev", "lo")
    net.run("peer", "ip", "route", "add", "198.51.100.0/24", "via", US[4])
    for to, ttl in ((US[4], 254), (US[4], 255), ("198.51.100.1", 255)):
        net.run("peer", sys.executable, "-c", send, to, str(ttl))
    wait_for(lambda: counters()[1]["dropped_ttl"] == f0["dropped_ttl"] + 7, "what came from afar was dropped", failed=p.dead)
    wait_for(lambda: counters()[1]["passed_not_local"] == f0["passed_not_local"] + 7, "what is for others went on", failed=p.dead)
    wait_for(lambda: counters()[0]["rx_invalid"] == w0["rx_invalid"] + 7, "what is malformed reached the worker", failed=p.dead)
    text = p.ctl.cmd("show bfd counters")
    assert all(re.search(p, text) for p in (r"XDP filter of up0: \d+ taken, \d+ dropped \(TTL\), \d+ passed on", r"malformed \d+")), text


# ---- under stress ----

def flaps_explained(a, b):
    """Of the sessions that two planes have with each other, in the same slots: whatever went Down says, at one end or the
    other, that the plane there stood still."""
    here, there = a.sessions(), b.sessions()
    for slot in sorted(there.keys() & here.keys()):
        x, y = here[slot], there[slot]
        assert x["down"] - x["after_stall"] <= y["after_stall"] and y["down"] - y["after_stall"] <= x["after_stall"], \
            f"slot {slot} flapped and nobody had stood still: {x} {y}\n{a.said()}\n{b.said()}"
    return True


def pair_of_planes(net, n, options):
    net.run("peer", "ip", "-batch", "-", input="".join(f"addr add 10.9.0.{i}/32 dev cust0\n" for i in range(1, n + 1)))
    net.ip("node", "route", "add", "10.9.0.0/24", "via", PEER[4])
    a = DataPlane(net, "node", "--port", "af_xdp:up0").start()
    b = DataPlane(net, "peer", "--port", "af_xdp:cust0", name="peer-dp").start()
    b.client("hello", f"range 10.9.0.1 {n} multihop ttl=255 {options} peer={US[4]}", "watch 100")
    return a, b


def test_churn(net):
    """A thousand sessions a second come and go beside those that run."""
    a, b = pair_of_planes(net, 32, "tx=50000 rx=50000 mult=5")
    commands = [f"range 10.9.0.1 32 multihop ttl=255 tx=50000 rx=50000 mult=5 from={US[4]}", "wait up 32 20",
                "churn 10.9.128.1 1000 3 multihop ttl=255 from=192.0.2.2", "sleep 0.5"]
    out = a.ctl("hello", *commands, "summary")
    assert "churn: 3000 added and removed" in out and ", 0 errors" in out.split("churn:")[1], out
    assert flaps_explained(a, b)


def test_tables_beside(net):
    """peregrined reads two tables, chooses, sends a third party all of it and shows it, while its sessions run beside."""
    n, routes = 16, 200000
    net.run("peer", "ip", "-batch", "-", input="".join(f"addr add 10.9.0.{i}/32 dev cust0\n" for i in range(1, n + 1)))
    net.ip("node", "route", "add", "10.9.0.0/24", "via", PEER[4])
    net.ip("peer", "route", "add", "local", "192.0.2.192/26", "dev", "lo")
    b = DataPlane(net, "peer", "--port", "af_xdp:cust0", name="peer-dp").start()
    b.client("hello", f"range 10.9.0.1 {n} multihop ttl=255 tx=20000 rx=20000 mult=10 peer={US[4]}", "watch 1000")
    p = node(net)
    neighbors = "".join(f"neighbor 10.9.0.{i} local {US[4]} multihop; " for i in range(1, n + 1))
    bgp = "".join(f"protocol bgp p{i} {{ local {US[4]} as 63999; neighbor 192.0.2.{200 + i} as {64001 + i};"
                  f" ipv4 {{ import {'all' if i < 2 else 'none'}; export {'none' if i < 2 else 'all'}; }}; }}\n" for i in range(3))
    p.start(config(p, f"multihop {{ interval 20 ms; multiplier 10; }}; {neighbors}") + bgp)
    up(p, *[f"10.9.0.{i}" for i in range(1, n + 1)])
    gen = net.popen("peer", [os.path.join(build_dir(), "peregrine-bgpgen"), "--mode", "feeds", "--dut", US[4], "--base", "192.0.2.200",
                             "--base-as", "64001", "--rs-as", "63999", "--v4", str(routes), "--stay", "4"], log=net.path("bgpgen"))
    shown = 0
    while gen.poll() is None:
        shown = max(shown, len(p.ctl.cmd("show route primary").splitlines()))
    assert gen.returncode == 0, open(net.path("bgpgen"), encoding="utf-8").read()
    assert shown > routes / 2, shown
    here, there = sessions(p).values(), b.sessions().values()
    assert all(s["state"] == "Up" for s in here) and len(there) == n
    assert sum(s["down_count"] - s["down_after_stall"] for s in here) <= sum(s["after_stall"] for s in there)
    assert sum(s["down"] - s["after_stall"] for s in there) <= sum(s["down_after_stall"] for s in here), (here, there)


HOG = "while True: pass"
STORM = ("import signal,time\nsignal.signal(signal.SIGALRM, lambda *a: None)\n"
         "signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)\nwhile True: time.sleep(1)")


def test_hogs_and_timer_storms(net):
    """Twice as many busy loops as cores, and timers at 10 kHz: sessions at 10 ms stay Up both ways. The multiplier is for the
    kernel's own threads, which carry packets across a veth pair at nobody's priority: how long they are kept waiting is no
    fact about us."""
    a, b = pair_of_planes(net, 16, "tx=10000 rx=10000 mult=20")
    a.client("hello", f"range 10.9.0.1 16 multihop ttl=255 tx=10000 rx=10000 mult=20 from={US[4]}", "watch 100")
    wait_for(lambda: a.all_up(16) and b.all_up(16), "Up", failed=a.dead)
    hogs = [subprocess.Popen([sys.executable, "-c", text]) for text in [HOG] * (2 * (os.cpu_count() or 1)) + [STORM] * 4]
    try:
        time.sleep(4)
    finally:
        for h in hogs:
            h.send_signal(signal.SIGKILL)
            h.wait()
    assert flaps_explained(a, b)
