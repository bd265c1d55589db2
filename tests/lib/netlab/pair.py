# SPDX-License-Identifier: BSD-2-Clause
"""The smallest network: one node of ours, one peer, one link "a"; for tests of a single thing.

    node (AS 64500) up0 192.0.2.2 ===== 192.0.2.1 cust0 peer (AS 64496)
"""
import re

from .daemons import Bird, Frr, make_node
from .proc import wait_for

NODE = {4: "192.0.2.2", 6: "2001:db8:1::2"}
PEER = {4: "192.0.2.1", 6: "2001:db8:1::1"}
NODE_AS, PEER_AS = 64500, 64496
NODE_NET = {4: "198.51.100.0/24", 6: "2001:db8::/48"}
PEER_NET = {4: "203.0.113.0/24", 6: "2001:db8:f::/48"}
SESSIONS = ("peer_v4", "peer_v6")


def node_config(log, peer_as=PEER_AS, bgp="", bfd="bfd;", families=(4, 6), bfd_ms=300, export="all", extra=""):
    """bgp: more statements for each bgp protocol; extra: more text at the end."""
    text = f"""log "{log}" all;
timeformat base iso long ms;
timeformat log iso long ms;
timeformat protocol iso long ms;
timeformat route iso long ms;
router id {NODE[4]};
protocol device {{ }}
protocol kernel {{ ipv4 {{ import none; export where source = RTS_BGP; }}; }}
protocol kernel {{ ipv6 {{ import none; export where source = RTS_BGP; }}; }}
protocol static own4 {{ ipv4; route {NODE_NET[4]} blackhole; }}
protocol static own6 {{ ipv6; route {NODE_NET[6]} blackhole; }}
protocol bfd {{ interface "*" {{ min rx interval {bfd_ms} ms; min tx interval {bfd_ms} ms; multiplier 3; }}; }}
"""
    for f in families:
        text += f"""protocol bgp peer_v{f} {{
	description "the peer";
	local {NODE[f]} as {NODE_AS};
	neighbor {PEER[f]} as {peer_as};
	hold time 9; connect delay time 1; connect retry time 2; error wait time 1, 3;
	{bfd}
	{bgp}
	ipv{f} {{ import all; export {export}; }};
}}
"""
    return text + extra


class BirdPeer:
    kind = "bird"

    def __init__(self, lab, asn=PEER_AS, node_as=NODE_AS, password=None, bfd=True, bfd_ms=300, honour=False):
        self.daemon = Bird(lab, "peer")
        self.asn, self.node_as, self.password, self.bfd, self.bfd_ms, self.honour = asn, node_as, password, bfd, bfd_ms, honour

    def config(self):
        text = f"""log "{self.daemon.log_path}" all;
timeformat protocol iso long ms;
router id {PEER[4]};
protocol device {{ }}
protocol static {{ ipv4; route {PEER_NET[4]} blackhole; }}
protocol static {{ ipv6; route {PEER_NET[6]} blackhole; }}
protocol bfd {{ interface "*" {{ min rx interval {self.bfd_ms} ms; min tx interval {self.bfd_ms} ms; multiplier 3; }}; }}
"""
        for f in (4, 6):
            text += f"""protocol bgp node_v{f} {{
	local {PEER[f]} as {self.asn};
	neighbor {NODE[f]} as {self.node_as};
	hold time 9; connect delay time 1; connect retry time 2; error wait time 1, 3;
	{f'password "{self.password}";' if self.password else ''}
	bfd {'on' if self.bfd else 'off'};
	ipv{f} {{ import all; export where source = RTS_STATIC; }};
}}
"""
        return text

    def start(self):
        self.daemon.start(self.config())

    def established(self):
        return self.daemon.ctl.established("node_v4", "node_v6")

    def bfd_up(self):
        return self.daemon.ctl.bfd_up(*NODE.values())

    def sees(self, net):
        return bool([r for r in self.daemon.ctl.routes(net) if r["proto"].startswith("node_")])


class FrrPeer:
    kind = "frr"

    def __init__(self, lab, asn=PEER_AS, node_as=NODE_AS, password=None, bfd=True, bfd_ms=300, honour=False):
        self.daemon = Frr(lab, "peer")
        self.asn, self.node_as, self.password, self.bfd, self.bfd_ms = asn, node_as, password, bfd, bfd_ms

    def start(self):
        text = f"""router bgp {self.asn}
 bgp router-id {PEER[4]}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 bgp graceful-restart-disable
 timers bgp 3 9
"""
        for f in (4, 6):
            n = f" neighbor {NODE[f]}"
            text += f"{n} remote-as {self.node_as}\n{n} timers connect 1\n"
            if self.password:
                text += f"{n} password {self.password}\n"
            if self.bfd:
                text += f"{n} bfd\n{n} bfd profile p\n"
        for f in (4, 6):
            text += f" address-family ipv{f} unicast\n  neighbor {NODE[f]} activate\n  network {PEER_NET[f]}\n exit-address-family\n"
        text += "exit\n"
        bfd = f"bfd\n profile p\n  receive-interval {self.bfd_ms}\n  transmit-interval {self.bfd_ms}\n  detect-multiplier 3\n exit\nexit\n"
        self.daemon.start(text, bfd)

    def established(self):
        return self.daemon.established(*NODE.values())

    def bfd_up(self):
        return self.daemon.bfd_up(*NODE.values())

    def sees(self, net):
        f = 6 if ":" in net else 4
        return bool([p for p in self.daemon.route(net) if p["nexthop"] == NODE[f] or p["path"].startswith(str(self.node_as))])


PEERS = {"bird": BirdPeer, "frr": FrrPeer}


class Pair:
    """peer: "bird", "frr", or None for a namespace in which the test plays the peer itself."""

    def __init__(self, lab, peer="bird", dataplane=False, **options):
        self.lab = lab
        lab.add("node", "peer")
        lab.link("a", ("node", "up0", [f"{NODE[4]}/24", f"{NODE[6]}/64"]), ("peer", "cust0", [f"{PEER[4]}/24", f"{PEER[6]}/64"]))
        self.node = make_node(lab, "node", ports=["af_xdp:up0"] if dataplane else ())
        self.peer = PEERS[peer](lab, **options) if peer else None
        self.ctl = self.node.ctl

    def config(self, **kw):
        return node_config(self.node.log_path, **kw)

    def start(self, config=None, **kw):
        if self.peer:
            self.peer.start()
        self.node.start(config or self.config(**kw))
        return self

    def dead(self):
        return self.node.dead() or (self.peer.daemon.dead() if self.peer else None)

    def wait(self, fact, what, limit=45.0):
        return wait_for(fact, what, limit=limit, failed=self.dead)

    def up(self, bfd=True):
        self.wait(lambda: self.ctl.established(*SESSIONS) and (not self.peer or self.peer.established()), "sessions Established")
        if bfd:
            self.wait(lambda: self.ctl.bfd_up(*PEER.values()), "BFD Up")
        return self

    def logged(self, pattern, limit=30.0):
        return self.wait(lambda: re.search(pattern, self.node.log_text()), f"log line like {pattern!r}", limit)

    def info(self, name="peer_v4"):
        return self.ctl.protocols()[name]["info"]
