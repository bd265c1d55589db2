# SPDX-License-Identifier: BSD-2-Clause
"""The daemons that put the table into the kernel: each with two BGP sessions, BFD at 10 ms x 3 on both, and a third session that
makes load."""
from netlab.daemons import FRR_DIR, Bird, Frr, Peregrine, have
from netlab.proc import run

DUT_AS, A_AS, B_AS, C_AS = 64500, 64496, 64497, 64498
BFD_MS = 10


def neighbours(net):
    return (("a", net.A[0], net.DUT_A, A_AS), ("b", net.B, net.DUT_B, B_AS), ("c", net.C, net.DUT_C, C_AS))


def bird_language(log, net):
    f = net.family
    text = f"""log "{log}" {{ warning, error, fatal, info, remote, auth, bug }};
router id 10.1.0.1;
protocol device {{ }}
protocol kernel {{ ipv{f} {{ import none; export where source = RTS_BGP; }}; }}
protocol bfd {{ interface "*" {{ min rx interval {BFD_MS} ms; min tx interval {BFD_MS} ms; multiplier 3; }}; }}
"""
    for name, peer, own, asn in neighbours(net):
        text += f"""protocol bgp {name} {{ local {own} as {DUT_AS}; neighbor {peer} as {asn}; hold time 240;
	connect delay time 1; connect retry time 1; error wait time 1, 2; {"bfd on;" if name != "c" else ""}
	ipv{f} {{ import all; export none; }}; }}
"""
    return text


class OfBird:
    title, program = "BIRD", "bird"

    def __init__(self, lab, net):
        self.net = net
        self.daemon = Bird(lab, "dut")

    def start(self):
        self.daemon.start(bird_language(self.daemon.log_path, self.net))

    def bfd_up(self):
        return self.daemon.ctl.bfd_up(self.net.A[0])

    @staticmethod
    def version():
        return run(have("bird"), "--version", check=False).strip() or "BIRD"

    def words(self, since):
        return None


class Ours(OfBird):
    title, program = "peregrine", "peregrined"

    def __init__(self, lab, net, dataplane=True):
        self.net = net
        self.daemon = Peregrine(lab, "dut", ports=["af_xdp:a0", "af_xdp:b0"] if dataplane else ())

    @staticmethod
    def version():
        return "this tree"

    def words(self, since):
        """The stages of feed A's loss, as it tells them: of the first one since then."""
        lost = [e for e in self.daemon.client("show", "failover").get("failovers", []) if e["event"] == "down" and e["reason"] == "bfd"
                and e["address"] == self.net.A[0] and e["stages"].get("detected", 0) > since and e["stages"].get("netlink_acked")]
        return min((e["stages"] for e in lost), key=lambda s: s["detected"], default=None)


class OfFrr:
    title, program = "FRR", "zebra"

    def __init__(self, lab, net):
        self.net = net
        self.daemon = Frr(lab, "dut")

    def start(self):
        family = f"ipv{self.net.family}"
        text = f"""router bgp {DUT_AS}
 bgp router-id 10.1.0.1
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 bgp graceful-restart-disable
"""
        for name, peer, _, asn in neighbours(self.net):
            text += f" neighbor {peer} remote-as {asn}\n neighbor {peer} timers connect 1\n"
            if name != "c":
                text += f" neighbor {peer} bfd\n neighbor {peer} bfd profile p\n"
        text += f" address-family {family} unicast\n"
        for _, peer, _, _ in neighbours(self.net):
            text += f"  neighbor {peer} activate\n  neighbor {peer} route-map none out\n"
        text += " exit-address-family\nexit\nroute-map none deny 10\nexit\n"
        bfd = f"bfd\n profile p\n  receive-interval {BFD_MS}\n  transmit-interval {BFD_MS}\n  detect-multiplier 3\n exit\nexit\n"
        self.daemon.start(text, bfd)

    def bfd_up(self):
        return self.daemon.bfd_up(self.net.A[0])

    @staticmethod
    def version():
        return run(f"{FRR_DIR}/bgpd", "--version", check=False).splitlines()[0]

    def words(self, since):
        return None


DEVICES = {"peregrine": Ours, "bird": OfBird, "frr": OfFrr}
