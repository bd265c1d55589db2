# SPDX-License-Identifier: BSD-2-Clause
"""What is asked of every daemon alike: who its peers are, what they announce, which policy stands between them.

    dut: dut0 10.64.0.1 ======= veth, no bridge ======= gen0 :gen     10.64.128.1, 10.64.128.2, ...

Peer i has the address FIRST+i and the number FIRST_AS+i. The generator never puts a number above 59999 and below 200000
into a path, so none of these is a loop.
"""
import dataclasses
import ipaddress
import os
import subprocess

from netlab.daemons import build_dir
from netlab.proc import run

DUT, DUT6, DUT_AS = "10.64.0.1", "2001:db8::1", 63999
GEN, GEN6, PEERS = "10.64.255.254", "2001:db8::2", "10.64.128.0/17"
FIRST, FIRST_AS = ipaddress.ip_address("10.64.128.1"), 64001
PULSE = "10.255.255.0/24"  # the prefix on which the generator measures stalls
ADDED = 7                  # DUT_AS:ADDED is what a reload adds to every export


def generator():
    return os.path.join(build_dir(), "peregrine-bgpgen")


def wire(lab):
    lab.add("dut", "gen")
    run("ip", "-n", lab.ns("dut"), "link", "add", "dut0", "type", "veth", "peer", "name", "gen0", "netns", lab.ns("gen"))
    for role, ifname, addresses in (("dut", "dut0", (DUT + "/16", DUT6 + "/64")), ("gen", "gen0", (GEN + "/16", GEN6 + "/64"))):
        for a in addresses:
            lab.ip(role, "addr", "add", a, "dev", ifname, *(["nodad"] if ":" in a else []))
        lab.ip(role, "link", "set", ifname, "up")
        # A veth drops when its receiver's core is busy. What a host's default (BBR, on some) makes of that, seconds of silence
        # at 15 kbit/s, would be measured instead of the daemons.
        lab.run(role, "sysctl", "-qw", "net.ipv4.tcp_congestion_control=reno")
    lab.ip("gen", "route", "add", "local", PEERS, "dev", "lo")


@dataclasses.dataclass(frozen=True)
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
    mode: str
    v4: int
    v6: int = 0
    peers: int = 0
    feeders: int = 0
    control: bool = False  # control communities: only to, not to, prepend
    refused: int = 0       # import filters with prefix lists, in which every so-manieth route is missing
    reload: bool = False   # in the middle the export policy changes: DUT_AS:ADDED on everything
    beside: bool = False   # the daemon is asked to show all routes, again and again
    hold: int = 240
    shards: int = 0        # ours, and session threads: 0 automatic
    seed: int = 1          # of the table and of all that is random
    table: str = ""        # a file with a real table
    gen: tuple = ()        # more arguments for peregrine-bgpgen

    @property
    def all_peers(self):
        return [Peer(i, self.mode == "feeds" and i < self.feeders) for i in range(self.peers)]

    @property
    def families(self):
        return [f for f, n in ((4, self.v4), (6, self.v6)) if n]

    def table_args(self):
        argv = ["--mode", self.mode, "--base-as", str(FIRST_AS), "--rs-as", str(DUT_AS), "--v4", str(self.v4), "--v6", str(self.v6)]
        argv += ["--seed", str(self.seed)]
        argv += ["--table", self.table] if self.table else []
        argv += ["--refused", str(self.refused)] if self.refused else []
        argv += ["--control"] if self.control else []
        if self.mode == "rs":
            return argv + ["--clients", str(self.peers)]
        return argv + ["--feeders", str(self.feeders), "--receivers", str(self.peers - self.feeders)]

    def gen_args(self):
        argv = [*self.table_args(), "--dut", DUT, "--base", str(FIRST), "--hold-time", str(self.hold)]
        return argv + (["--added-community", f"{DUT_AS}:{ADDED}"] if self.reload else []) + list(self.gen)

    def prefix_lists(self):
        """Client number -> the prefixes that its import filter lets through."""
        lists = {p.number: [] for p in self.all_peers}
        overlap = [x for k, x in zip(self.gen, self.gen[1:]) if k == "--overlap"]
        p = subprocess.run([generator(), *self.table_args(), *(["--overlap", *overlap] if overlap else []), "--print-filters"],
                           text=True, capture_output=True, check=True)
        for line in p.stdout.splitlines():
            client, prefix = line.split()
            lists[int(client)].append(prefix)
        return lists
