# SPDX-License-Identifier: BSD-2-Clause
"""What is asked of every daemon alike: who its peers are, what they announce, which policy stands between them.

    dut: dut0 10.64.0.1 ======= veth, no bridge ======= gen0 :gen     10.64.128.1, 10.64.128.2, ...

Peer i has the address FIRST+i and the number FIRST_AS+i. The generator never puts a number above 59999 and below 200000
into a path, so none of these is a loop.
"""
import dataclasses
import ipaddress

from netlab.proc import run

DUT, DUT6, DUT_AS = "10.64.0.1", "2001:db8::1", 63999
FIRST, FIRST_AS = ipaddress.ip_address("10.64.128.1"), 64001
FIRST6 = ipaddress.ip_address("2001:db8::1:0")


def wire(lab):
    lab.add("dut", "gen")
    run("ip", "-n", lab.ns("dut"), "link", "add", "dut0", "type", "veth", "peer", "name", "gen0", "netns", lab.ns("gen"))
    for role, ifname, addresses in (("dut", "dut0", (DUT + "/16", DUT6 + "/64")), ("gen", "gen0", ("10.64.255.254/16", "2001:db8::2/64"))):
        for a in addresses:
            lab.ip(role, "addr", "add", a, "dev", ifname, *(["nodad"] if ":" in a else []))
        lab.ip(role, "link", "set", ifname, "up")
    lab.ip("gen", "route", "add", "local", "10.64.128.0/17", "dev", "lo")


@dataclasses.dataclass
class Peer:
    number: int
    feeder: bool = False  # announces and wants nothing back

    @property
    def address(self):
        return str(FIRST + self.number)

    @property
    def asn(self):
        return FIRST_AS + self.number

    @property
    def name(self):
        return f"p{self.number}"


@dataclasses.dataclass
class Scene:
    """mode feeds: `feeders` announce all of the table, the others receive. mode rs: each of `peers` announces its share."""
    name: str
    title: str
    mode: str
    v4: int
    v6: int = 0
    peers: int = 0
    feeders: int = 0
    gen: tuple = ()  # more arguments for peregrine-bgpgen

    @property
    def all_peers(self):
        return [Peer(i, self.mode == "feeds" and i < self.feeders) for i in range(self.peers)]

    def gen_args(self):
        argv = ["--mode", self.mode, "--dut", DUT, "--base", str(FIRST), "--base-as", str(FIRST_AS), "--v4", str(self.v4),
                "--v6", str(self.v6)]
        if self.mode == "rs":
            argv += ["--clients", str(self.peers)]
        else:
            argv += ["--feeders", str(self.feeders), "--receivers", str(self.peers - self.feeders)]
        return argv + list(self.gen)
