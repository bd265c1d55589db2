# SPDX-License-Identifier: BSD-2-Clause
"""Stock BGP daemons as one kind of peer, for the interop matrix: the same questions to each.

Every driver lives in the namespace "peer" of a Pair, has a v4 and a v6 session to the node and announces PEER_NET of each
family. What a daemon can't do is in its `cannot` with the reason, and the matrix says so by skipping.
"""
import contextlib
import json
import os
import re
import socket
import threading
import time

from netlab import ExaBgp, Frr, GoBgp, gobgp_config, gobgp_neighbor, have
from netlab.daemons import Bird, Daemon
from netlab.mrt import Cut
from netlab.pair import NODE, NODE_AS, PEER, PEER_AS, PEER_NET
from netlab.proc import run, wait_for

FAMILIES = (4, 6)


def family(net):
    return 6 if ":" in net else 4


class Driver:
    """options: md5, addpath, gr, llgr (s), role (ours is its counterpart), nets {family: [prefix...]}, path (AS numbers that
    stand behind ours), community "a:b", two_paths (PEER_NET twice, with different metrics)."""

    cannot = {}

    def __init__(self, lab, **options):
        self.lab = lab
        self.o = {"md5": None, "addpath": False, "gr": False, "llgr": 0, "role": None, "path": (), "community": None, "nets": None,
                  "two_paths": False, "asn": PEER_AS, **options}

    def nets(self, f):
        return (self.o["nets"] or {k: [v] for k, v in PEER_NET.items()})[f]

    def dead(self):
        return self.daemon.dead()


class BirdDriver(Driver):
    name = "bird"

    def __init__(self, lab, **options):
        super().__init__(lab, **options)
        self.daemon = Bird(lab, "peer")

    def config(self):
        o = self.o
        text = f"""log "{self.daemon.log_path}" all;
router id {PEER[4]};
debug protocols {{ states, events, packets }};
protocol device {{ }}
"""
        gr = f"graceful restart on; graceful restart time {1 if o['llgr'] else 30};" if o["gr"] else ""
        if o["llgr"]:
            gr += f" long lived graceful restart on; long lived stale time {o['llgr']};"
        sets = "".join(f"bgp_path.prepend({a}); " for a in reversed(o["path"]))
        if o["community"]:
            sets += "bgp_community.add((%s)); " % o["community"].replace(":", ",")
        for f in FAMILIES:
            routes = " ".join(f"route {n} blackhole;" for n in self.nets(f))
            text += f"protocol static s{f} {{ ipv{f}; {routes} }}\n"
            if o["two_paths"]:
                text += f"protocol static t{f} {{ ipv{f} {{ import filter {{ bgp_med = 77; accept; }}; preference 199; }}; route {PEER_NET[f]} blackhole; }}\n"
            text += f"""protocol bgp node_v{f} {{
	local {PEER[f]} as {o['asn']};
	neighbor {NODE[f]} as {NODE_AS};
	hold time 9; connect delay time 1; connect retry time 2; error wait time 1, 3;
	{'password "%s";' % o['md5'] if o['md5'] else ''}
	{gr}
	{'local role %s;' % o['role'] if o['role'] else ''}
	ipv{f} {{ import all; {'add paths on;' if o['addpath'] else ''}
		export filter {{ if source != RTS_STATIC then reject; if bgp_med = 77 then bgp_med = 77; {sets} accept; }}; }};
}}
"""
        return text

    def start(self):
        self.daemon.start(self.config())
        return self

    def established(self):
        return self.daemon.ctl.established("node_v4", "node_v6")

    def paths(self, net):
        """[{path, communities, med, nexthop}] of what we told it."""
        found = []
        for r in self.daemon.ctl.routes(net):
            if not r["proto"].startswith("node_"):
                continue
            a = r["attrs"]
            found.append({"path": a.get("BGP.as_path", ""), "med": int(a["BGP.med"]) if "BGP.med" in a else None,
                          "communities": set(c.replace(",", ":") for c in re.findall(r"\((\d+,\d+)\)", a.get("BGP.community", ""))),
                          "nexthop": a.get("BGP.next_hop", "").split()[0]})
        return found

    def ask_refresh(self):
        self.daemon.ctl.cmd("reload in all")

    def withdraw(self, f):
        self.daemon.ctl.cmd(f"disable s{f}")

    def announce(self, f):
        self.daemon.ctl.cmd(f"enable s{f}")

    def marks(self):
        """(BEGIN-OF-RR, END-OF-RR) that it has had from us."""
        return tuple(self.daemon.log_text().count(f"Got {x}-OF-RR") for x in ("BEGIN", "END"))

    def kill(self):
        self.daemon.kill()

    def restart(self):
        argv = self.daemon.argv
        self.daemon.argv = lambda: [*argv(), "-R"]
        self.daemon.start(None)

    def last_error(self, f):
        return self.daemon.ctl.protocols()[f"node_v{f}"]["info"] + self.daemon.log_text()


class FrrDriver(Driver):
    name = "frr"
    cannot = {"two_paths": "a network statement is one path"}

    def __init__(self, lab, **options):
        super().__init__(lab, **options)
        self.daemon = Frr(lab, "peer", bfdd=False)

    def config(self):
        o = self.o
        text = f"log file {self.daemon.dir}/frr.log debugging\ndebug bgp neighbor-events\n"
        sets = []
        if o["path"]:
            sets.append("set as-path prepend " + " ".join(map(str, o["path"])))
        if o["community"]:
            sets.append(f"set community {o['community']}")
        text += "route-map out permit 10\n" + "".join(f" {s}\n" for s in sets) + "exit\n"
        text += f"""router bgp {o['asn']}
 bgp router-id {PEER[4]}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 timers bgp 3 9
"""
        if o["gr"]:
            text += f" bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n bgp graceful-restart restart-time {1 if o['llgr'] else 30}\n"
        else:
            text += " bgp graceful-restart-disable\n"
        if o["llgr"]:
            text += f" bgp long-lived-graceful-restart stale-time {o['llgr']}\n"
        for f in FAMILIES:
            n = f" neighbor {NODE[f]}"
            text += f"{n} remote-as {NODE_AS}\n{n} timers connect 1\n{n} advertisement-interval 0\n"
            if o["md5"]:
                text += f"{n} password {o['md5']}\n"
            if o["role"]:
                text += f"{n} local-role {o['role'].replace('_', '-')}\n"
        for f in FAMILIES:
            n = f"  neighbor {NODE[f]}"
            text += f" address-family ipv{f} unicast\n{n} activate\n{n} route-map out out\n{n} soft-reconfiguration inbound\n"
            if o["addpath"]:
                text += f"{n} addpath-tx-all-paths\n"
            text += "".join(f"  network {x}\n" for x in self.nets(f)) + " exit-address-family\n"
        return text + "exit\n"

    def start(self):
        self.daemon.start(self.config())
        return self

    def established(self):
        return self.daemon.established(*NODE.values())

    def paths(self, net):
        found = []
        for p in self.daemon.route(net):
            if p["nexthop"] in ("0.0.0.0", "::", None):
                continue
            found.append({"path": p["path"], "med": p["med"], "communities": set((p["community"] or "").split()), "nexthop": p["nexthop"]})
        return found

    def ask_refresh(self):
        # soft-reconfiguration inbound would answer from memory
        for f in FAMILIES:
            self.daemon.vtysh("configure", f"router bgp {self.o['asn']}", f"address-family ipv{f} unicast",
                              f"no neighbor {NODE[f]} soft-reconfiguration inbound")
            self.daemon.vtysh(f"clear bgp ipv{f} {NODE[f]} soft in")

    def marks(self):
        with open(f"{self.daemon.dir}/frr.log", encoding="utf-8", errors="replace") as f:
            text = f.read()
        return tuple(text.count(f"rcvd route-refresh ({x})") for x in ("BoRR", "EoRR"))

    def withdraw(self, f, word="no "):
        self.daemon.vtysh("configure", f"router bgp {self.o['asn']}", f"address-family ipv{f} unicast", f"{word}network {PEER_NET[f]}")

    def announce(self, f):
        self.withdraw(f, "")

    def kill(self):
        self.daemon.kill()

    def restart(self):
        self.daemon.start(self.config())

    def last_error(self, f):
        return self.daemon.vtysh(f"show bgp neighbors {NODE[f]}") + self.daemon.vtysh(f"show bgp neighbors {NODE[f]} json")


class GoBgpDriver(Driver):
    name = "gobgp"
    cannot = {"refresh_in": "softresetin applies policy to what it has, no command sends ROUTE-REFRESH",
              "enhanced": "names the capability and does not send the marks", "role": "has no roles"}

    def __init__(self, lab, **options):
        super().__init__(lab, **options)
        self.daemon = GoBgp(lab, "peer")

    def config(self):
        o = self.o
        md5 = f'    auth-password = "{o["md5"]}"\n' if o["md5"] else ""
        tables = family_tables = ""
        if o["gr"]:
            tables = f"  [neighbors.graceful-restart.config]\n    enabled = true\n    restart-time = {1 if o['llgr'] else 30}\n"
            family_tables = "    [neighbors.afi-safis.mp-graceful-restart.config]\n      enabled = true\n"
        if o["llgr"]:
            tables += "    long-lived-enabled = true\n"
            family_tables += ("    [neighbors.afi-safis.long-lived-graceful-restart.config]\n      enabled = true\n"
                              f"      restart-time = {o['llgr']}\n")
        if o["addpath"]:
            family_tables += "    [neighbors.afi-safis.add-paths.config]\n      receive = true\n      send-max = 8\n"
        return gobgp_config(o["asn"], PEER[4], *(gobgp_neighbor(NODE[f], NODE_AS, [f"ipv{f}-unicast"], md5, tables, family_tables)
                                                 for f in FAMILIES))

    def start(self):
        self.daemon.start(self.config())
        for f in FAMILIES:
            self.announce(f)
        return self

    def announce(self, f):
        o = self.o
        for net in self.nets(f):
            words = ["global", "rib", "add", net, "nexthop", PEER[f], "origin", "igp"]
            if o["path"]:
                words += ["aspath", " ".join(map(str, o["path"]))]
            if o["community"]:
                words += ["community", o["community"]]
            self.daemon.gobgp(*words, "-a", f"ipv{f}")
        if o["two_paths"]:
            self.daemon.gobgp("global", "rib", "add", PEER_NET[f], "identifier", "10", "nexthop", PEER[f], "med", "77", "-a", f"ipv{f}")

    def withdraw(self, f):
        for net in self.nets(f):
            self.daemon.gobgp("global", "rib", "del", net, "-a", f"ipv{f}")

    def established(self):
        return all(self.daemon.neighbor(a).get("state", {}).get("session_state") == 6 for a in NODE.values())

    def paths(self, net):
        found = []
        rib = json.loads(self.daemon.gobgp("neighbor", NODE[family(net)], "adj-in", "-a", f"ipv{family(net)}", "-j") or "{}")
        for prefix, paths in (rib.items() if isinstance(rib, dict) else [(p[0]["nlri"]["prefix"], p) for p in rib]):
            if prefix != net:
                continue
            for p in paths:
                a = {x["type"]: x for x in p["attrs"]}
                hop = a[3]["nexthop"] if 3 in a else a[14]["nexthop"]
                segments = a[2].get("as_paths") or []
                found.append({"path": " ".join(str(n) for s in segments for n in s["asns"]), "med": a[4]["metric"] if 4 in a else None,
                              "communities": {f"{c >> 16}:{c & 65535}" for c in a[8]["communities"]} if 8 in a else set(),
                              "nexthop": hop})
        return found

    def kill(self):
        self.daemon.kill()

    def restart(self):
        self.daemon.spawn("gobgpd", [have("gobgpd"), "-f", self.daemon.file(".toml"), "-r", "--api-hosts", f"127.0.0.1:{self.daemon.port}"],
                          self.daemon.file(".out"))
        wait_for(lambda: self.daemon.gobgp("global"), "gobgpd answers", failed=self.daemon.dead)
        for f in FAMILIES:
            self.announce(f)

    def last_error(self, f):
        with open(self.daemon.file(".out"), encoding="utf-8", errors="replace") as out:
            return out.read()


class ExaBgpDriver(Driver):
    name = "exabgp"
    REFRESH = "4.2.21 closes the session on ROUTE-REFRESH, with BIRD as well"
    cannot = {"refresh_in": REFRESH, "refresh_out": REFRESH, "enhanced": REFRESH, "role": "has no roles",
              "llgr": "has no long-lived graceful restart",
              "helper": "keeps no table of what it is told", "shutdown": "does not say what a NOTIFICATION was about"}

    def kill(self):
        self.daemon.kill()

    def restart(self):
        self.daemon.start(self.config())

    def __init__(self, lab, **options):
        super().__init__(lab, **options)
        self.daemon = ExaBgp(lab, "peer")
        self.pipe = lab.path("exabgp.do")

    def config(self):
        o = self.o
        text = ""
        tail = f" as-path [ {' '.join(map(str, (o['asn'], *o['path'])))} ]" if o["path"] else ""
        if o["community"]:
            tail += f" community [ {o['community']} ]"
        for f in FAMILIES:
            routes = "".join(f"route {n} next-hop {PEER[f]}{' path-information 0.0.0.1' if o['addpath'] else ''}{tail};\n" for n in self.nets(f))
            if o["two_paths"]:
                routes += f"route {PEER_NET[f]} next-hop {PEER[f]} path-information 0.0.0.10 med 77;\n"
            text += f"""neighbor {NODE[f]} {{
	router-id {PEER[4]};
	local-address {PEER[f]};
	local-as {o['asn']};
	peer-as {NODE_AS};
	hold-time 9;
	{'md5-password "%s";' % o['md5'] if o['md5'] else ''}
	capability {{ route-refresh enable; {'add-path send/receive;' if o['addpath'] else ''} {'graceful-restart 30;' if o['gr'] else ''} }}
	family {{ ipv{f} unicast; }}
	{'add-path { ipv%d unicast; }' % f if o['addpath'] else ''}
	api {{ processes [ sink, control ]; neighbor-changes; receive {{ parsed; update; }} }}
	static {{ {routes} }}
}}
"""
        script = self.daemon.write("-control.py", f"""#!/usr/bin/python3
import os, sys, time
path = {self.pipe!r}
while True:
    try:
        os.rename(path, path + ".now")
        for line in open(path + ".now"):
            sys.stdout.write(line)
            sys.stdout.flush()
    except FileNotFoundError:
        pass
    time.sleep(0.05)
""")
        os.chmod(script, 0o755)
        return f"process control {{\n\trun {script};\n\tencoder text;\n}}\n" + text

    def start(self):
        self.daemon.start(self.config())
        return self

    def do(self, *lines):
        with open(self.pipe + ".new", "w", encoding="ascii") as f:
            f.write("".join(x + "\n" for x in lines))
        os.rename(self.pipe + ".new", self.pipe)

    def established(self):
        state = {}
        for m in self.daemon.received():
            n = m.get("neighbor", {})
            if m.get("type") == "state":
                state[n["address"]["peer"]] = n["state"]
        return all(state.get(a) == "up" for a in NODE.values())

    def paths(self, net):
        now = {}
        for m in self.daemon.received():
            u = m.get("neighbor", {}).get("message", {}).get("update", {})
            for hops in u.get("announce", {}).values():
                for hop, nlris in hops.items():
                    for n in nlris:
                        if not isinstance(n, dict) or n.get("nlri") != net:
                            continue
                        a = u.get("attribute", {})
                        now[n.get("path-information")] = {
                            "path": " ".join(str(x) for x in a.get("as-path", [])), "med": a.get("med"),
                            "communities": {f"{x}:{y}" for x, y in a.get("community", [])}, "nexthop": hop}
            for nlris in u.get("withdraw", {}).values():
                for n in nlris:
                    if isinstance(n, dict) and n.get("nlri") == net:
                        now.pop(n.get("path-information"), None)
        return list(now.values())

    def withdraw(self, f, word="withdraw"):
        self.do(f"neighbor {NODE[f]} {word} route {PEER_NET[f]} next-hop {PEER[f]}")

    def announce(self, f):
        self.withdraw(f, "announce")


class OpenBgpDriver(Driver):
    name = "openbgpd"
    REFRESH = '7.7 answers ROUTE-REFRESH with "AID IPv4 unicast not negotiated", to BIRD as well'
    cannot = {"refresh_out": REFRESH, "enhanced": REFRESH, "path": "prepends its own number and no other",
              
              "restarter": "says Cease when one of its processes is killed, and of no family that its routes are kept",
              "llgr": "has no long-lived graceful restart", "two_paths": "has no way to originate two"}
    ROLES = {"rs_server": "rs", "rs_client": "rs-client"}

    def __init__(self, lab, **options):
        super().__init__(lab, **options)
        self.daemon = Daemon(lab, "peer", "openbgpd")
        self.sock = self.daemon.file(".ctl")

    def config(self):
        o = self.o
        text = f"""AS {o['asn']}
router-id {PEER[4]}
fib-update no
socket "{self.sock}"
holdtime 9
connect-retry 1
"""
        for f in FAMILIES:
            text += f"listen on {PEER[f]}\n"
        for f in FAMILIES:
            text += "".join(f"network {n}\n" for n in self.nets(f))
        for f in FAMILIES:
            text += f"""neighbor {NODE[f]} {{
	remote-as {NODE_AS}
	local-address {PEER[f]}
	{'tcp md5sig password %s' % o['md5'] if o['md5'] else ''}
	{'announce add-path recv yes' if o['addpath'] else ''}
	{'announce add-path send all' if o['addpath'] else ''}
	{'announce policy %s' % self.ROLES.get(o['role'], o['role']) if o['role'] else ''}
	announce IPv{f} unicast
	announce IPv{10 - f} none
}}
"""
        sets = ""
        if o["community"]:
            sets += f" community {o['community']}"
        if o["path"]:
            sets += f" prepend-self {len(o['path'])}"
        return text + f"allow from any\nallow to any{' set {%s }' % sets if sets else ''}\n"

    def start(self):
        os.makedirs("/run/openbgpd", mode=0o755, exist_ok=True)  # its chroot, which its service unit would make
        self.daemon.write(".conf", self.config())
        os.chmod(self.daemon.file(".conf"), 0o600)
        self.daemon.spawn("bgpd", ["/usr/sbin/bgpd", "-d", "-f", self.daemon.file(".conf")], self.daemon.file(".out"))
        wait_for(lambda: self.bgpctl("show", "summary"), "bgpd answers", failed=self.daemon.dead)
        return self

    def bgpctl(self, *words):
        return run("/usr/sbin/bgpctl", "-s", self.sock, *words)

    def established(self):
        n = json.loads(run("/usr/sbin/bgpctl", "-s", self.sock, "-j", "show", "neighbor"))["neighbors"]
        return sum(x["state"] == "Established" for x in n) == 2

    def paths(self, net):
        found = []
        rib = json.loads(run("/usr/sbin/bgpctl", "-s", self.sock, "-j", "show", "rib", "in", "detail", net) or "{}").get("rib", [])
        for r in rib:
            if r["prefix"] != net or r["source"] == "announced" or r.get("exit_nexthop") in ("0.0.0.0", "::"):
                continue
            if r.get("neighbor", {}).get("remote_addr", "") not in NODE.values():
                continue
            found.append({"path": r.get("aspath", ""), "med": r.get("metric"), "communities": set(r.get("communities", [])),
                          "nexthop": r["exit_nexthop"]})
        return found

    def ask_refresh(self):
        for a in NODE.values():
            self.bgpctl("neighbor", a, "refresh")

    def withdraw(self, f, word="delete"):
        self.bgpctl("network", word, PEER_NET[f])

    def announce(self, f):
        self.withdraw(f, "add")

    def last_error(self, f):
        with open(self.daemon.file(".out"), encoding="utf-8", errors="replace") as out:
            return self.bgpctl("show", "neighbor", NODE[f]) + out.read()


DRIVERS = {d.name: d for d in (BirdDriver, FrrDriver, GoBgpDriver, ExaBgpDriver, OpenBgpDriver)}
PROGRAMS = {"bird": "bird", "frr": None, "gobgp": "gobgpd", "exabgp": "exabgp", "openbgpd": "bgpd"}


def installed(name):
    if name == "frr":
        return os.path.exists("/usr/lib/frr/bgpd")
    if name == "openbgpd":
        return os.path.exists("/usr/sbin/bgpd")
    return have(PROGRAMS[name])


# ---- a neighbour of our own, for what no daemon would send ----

MARKER = b"\xff" * 16
OPEN, UPDATE, NOTIFICATION, KEEPALIVE, REFRESH = 1, 2, 3, 4, 5


def attribute(code, value, flags=0xC0):
    """One path attribute; long ones get the extended length."""
    if len(value) > 255 or flags & 0x10:
        return bytes([flags | 0x10, code]) + len(value).to_bytes(2, "big") + value
    return bytes([flags, code, len(value)]) + value


def origin(value=0):
    return attribute(1, bytes([value]), 0x40)


def as_path(*numbers):
    return attribute(2, bytes([2, len(numbers)]) + b"".join(n.to_bytes(4, "big") for n in numbers) if numbers else b"", 0x40)


def next_hop(address):
    return attribute(3, socket.inet_aton(address), 0x40)


def nlri(prefix):
    address, length = prefix.split("/")
    raw = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    return bytes([int(length)]) + raw[:(int(length) + 7) // 8]


def prefixes4(raw):
    cut, found = Cut(raw), set()
    while cut.left():
        found.add(cut.prefix(False))
    return found


def message(kind, body=b""):
    return MARKER + (19 + len(body)).to_bytes(2, "big") + bytes([kind]) + body


def update_message(attributes=b"", prefixes=(), withdrawn=()):
    w = b"".join(nlri(p) for p in withdrawn)
    return message(UPDATE, len(w).to_bytes(2, "big") + w + len(attributes).to_bytes(2, "big") + attributes + b"".join(nlri(p) for p in prefixes))


def mp_reach(prefix, hop):
    return attribute(14, b"\x00\x02\x01\x10" + socket.inet_pton(socket.AF_INET6, hop) + b"\x00" + nlri(prefix), 0x80)


class Raw:
    """A scripted neighbour in a namespace of the lab: OPEN and KEEPALIVE are done, the rest is the test's. Messages that
    arrive are kept in `got` as (type, body), the times of keepalives in `keepalives`."""

    def __init__(self, lab, address, node, asn, role="peer", hold=90, read=True, capabilities=None, port=179, router_id=None):
        self.got, self.keepalives, self.closed, self.asn = [], [], False, asn
        self.sending = threading.Lock()  # the reading thread answers keepalives
        with lab.inside(role):
            self.s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.s.bind((address, 0))
        self.s.settimeout(20)
        wait_for(lambda: self.s.connect_ex((node, port)) in (0, 106), f"{address} is connected")
        if capabilities is None:
            capabilities = b"\x01\x04\x00\x01\x00\x01" + b"\x01\x04\x00\x02\x00\x01" + b"\x02\x00" + b"\x41\x04" + asn.to_bytes(4, "big")
        parameters = bytes([2, len(capabilities)]) + capabilities if capabilities else b""
        ident = socket.inet_aton(router_id or (address if ":" not in address else "9.9.9.9"))
        self.send(OPEN, b"\x04" + min(asn, 23456 if asn > 65535 else asn).to_bytes(2, "big") + hold.to_bytes(2, "big") + ident + bytes([len(parameters)]) + parameters)
        self.open = self.expect(OPEN)
        self.send(KEEPALIVE)
        self.expect(KEEPALIVE)
        self.thread = threading.Thread(target=self._read, daemon=True)
        if read:
            self.thread.start()

    def write(self, data):
        with self.sending:
            self.s.sendall(data)

    def send(self, kind, body=b""):
        self.write(message(kind, body))

    def update(self, attributes=b"", prefixes=(), withdrawn=()):
        self.write(update_message(attributes, prefixes, withdrawn))

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            part = self.s.recv(n - len(data))
            if not part:
                raise ConnectionError("closed")
            data += part
        return data

    def _message(self):
        head = self._exactly(19)
        assert head[:16] == MARKER, "a message with a broken marker left the node"
        return head[18], self._exactly(int.from_bytes(head[16:18], "big") - 19)

    def expect(self, kind):
        got, body = self._message()
        if got != kind:
            raise ConnectionError(f"message {got} instead of {kind}: {body.hex()}")
        return body

    def _read(self):
        try:
            self.s.settimeout(None)
            while True:
                m = self._message()
                self.got.append(m)
                if m[0] == KEEPALIVE:
                    self.keepalives.append(time.monotonic())
                    self.send(KEEPALIVE)
        except (OSError, ValueError):
            self.closed = True

    def announced(self):
        """IPv4 prefixes that we have from the node, and whether it has sent End-of-RIB for them."""
        now, end = set(), False
        for kind, body in list(self.got):
            if kind != UPDATE:
                continue
            w = int.from_bytes(body[:2], "big")
            a = int.from_bytes(body[2 + w:4 + w], "big")
            end |= len(body) == 4
            now -= prefixes4(body[2:2 + w])
            now |= prefixes4(body[4 + w + a:])
        return now, end

    def notifications(self):
        return [b for k, b in list(self.got) if k == NOTIFICATION]

    def close(self):
        with contextlib.suppress(OSError):
            self.s.shutdown(socket.SHUT_RDWR)
        self.s.close()
