# SPDX-License-Identifier: BSD-2-Clause
"""The two-location network that the lab plays in and the integration tests use.

        host ---lan--- pri ----a---- upa ---ca--- vp      AS 64500: pri, bkp     upstream A (upa): AS 64496
                        |                          |                             upstream B (upb): AS 64497
                        i (iBGP)                   |      vantage point (vp): AS 64510
                        |                          |
                       bkp ----b---- upb ---cb-----+

Both nodes announce 198.51.100.0/24 and 2001:db8::/48. The vantage point is the rest of the world: it announces the default
routes that the upstreams hand down, and it hears both ways to the prefix. The host sends probe packets out through pri.

What an operator writes on a node is in node_config(): BIRD 2's language, spelt as operators spell it.
"""
import os
import re
from dataclasses import dataclass, field, replace

from .daemons import Bird, Frr, make_node
from .lab import Lab
from .proc import wait_for

NODE_AS, A_AS, B_AS, VP_AS = 64500, 64496, 64497, 64510
OWN4, OWN6 = "198.51.100.0/24", "2001:db8::/48"
DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}
OWN = {4: OWN4, 6: OWN6}
PROBE_TO = {4: "198.18.0.1", 6: "2001:db8:ffff::1"}

UPA = {4: "192.0.2.1", 6: "2001:db8:1::1"}
PRI = {4: "192.0.2.2", 6: "2001:db8:1::2"}
UPB = {4: "203.0.113.1", 6: "2001:db8:2::1"}
BKP = {4: "203.0.113.2", 6: "2001:db8:2::2"}
PRI_I = {4: "100.64.0.1", 6: "2001:db8:100::1"}
BKP_I = {4: "100.64.0.2", 6: "2001:db8:100::2"}
UPA_C = {4: "100.64.1.2", 6: "2001:db8:101::2"}
VP_A = {4: "100.64.1.1", 6: "2001:db8:101::1"}
UPB_C = {4: "100.64.2.2", 6: "2001:db8:102::2"}
VP_B = {4: "100.64.2.1", 6: "2001:db8:102::1"}
LAN = {4: "198.51.100.1", 6: "2001:db8:0:1::1"}
HOST = {4: "198.51.100.10", 6: "2001:db8:0:1::10"}

# Short enough for a lab, long enough that a busy machine does not lose a session by it.
HOLD = 9
SESSIONS = ("upstream_v4", "upstream_v6", "ibgp_v4", "ibgp_v6")
UPSTREAM = {4: "upstream_v4", 6: "upstream_v6"}


def with_len(address, bits4, bits6):
    return [f"{address[4]}/{bits4}", f"{address[6]}/{bits6}"]


@dataclass
class Policy:
    """What changes on a node between the steps."""
    local_pref: int = 0  # 0: not set by the import filter
    med: int = -1        # -1: not set by the export filter
    prepend: int = 0
    gshut: bool = False  # we are about to go: announce with GRACEFUL_SHUTDOWN
    bfd_ms: int = 300
    bfd: str = "bfd;"    # the statement in the bgp protocol: "bfd;", "bfd graceful;" or nothing
    own: bool = True
    graceful: bool = False  # graceful restart: a killed daemon's neighbours keep its routes and their BFD session
    extra: str = ""

    def but(self, **kw):
        return replace(self, **kw)


def node_config(log, router_id, mine, mine_i, upstream, upstream_as, other_i, policy):
    imports = ["if (65535, 0) ~ bgp_community then { bgp_local_pref = 0; accept; }"]
    if policy.local_pref:
        imports.append(f"bgp_local_pref = {policy.local_pref};")
    exports = []
    if policy.gshut:
        exports.append("bgp_community.add((65535, 0));")
    if policy.med >= 0:
        exports.append(f"bgp_med = {policy.med};")
    exports += ["bgp_path.prepend(64500);"] * policy.prepend
    own = "" if policy.own else "disabled;"
    text = f"""# node of AS {NODE_AS}
log "{log}" all;
debug protocols {{ states, events }};
timeformat base iso long ms;
timeformat log iso long ms;
timeformat protocol iso long ms;
timeformat route iso long ms;
router id {router_id};

define OWN4 = {OWN4};
define OWN6 = {OWN6};
define MY_AS = {NODE_AS};

filter upstream_in {{
	{chr(10).join(imports).replace(chr(10), chr(10) + chr(9))}
	accept;
}}

filter upstream_out {{
	if net = OWN4 || net = OWN6 then {{
		{(chr(10) + chr(9) * 2).join(exports + ["accept;"])}
	}}
	reject;
}}

function is_default()
{{
	return net = 0.0.0.0/0 || net = ::/0;
}}

protocol device {{ scan time 10; }}
protocol direct lan {{ ipv4; ipv6; interface "lan*"; }}
protocol static own4 {{ {own} ipv4; route {OWN4} blackhole; }}
protocol static own6 {{ {own} ipv6; route {OWN6} blackhole; }}
protocol kernel kernel4 {{ scan time 5; ipv4 {{ import none; export where source = RTS_BGP || source = RTS_STATIC; }}; }}
protocol kernel kernel6 {{ scan time 5; ipv6 {{ import none; export where source = RTS_BGP || source = RTS_STATIC; }}; }}

protocol bfd {{
	interface "*" {{ min rx interval {policy.bfd_ms} ms; min tx interval {policy.bfd_ms} ms; multiplier 3; }};
}};

template bgp timers {{
	hold time {HOLD};
	connect delay time 1;
	connect retry time 2;
	error wait time 1, 3;
	graceful restart on;
}}
"""
    for f in (4, 6):
        text += f"""
protocol bgp upstream_v{f} from timers {{
	description "upstream AS{upstream_as} IPv{f}";
	local {mine[f]} as MY_AS;
	neighbor {upstream[f]} as {upstream_as};
	{policy.bfd}
	ipv{f} {{ import filter upstream_in; export filter upstream_out; }};
}}
protocol bgp ibgp_v{f} from timers {{
	local {mine_i[f]} as MY_AS;
	neighbor {other_i[f]} as MY_AS;
	direct;
	ipv{f} {{
		import all;
		export where source = RTS_BGP && is_default();
		next hop self;
		add paths on;
	}};
}}
"""
    return text + policy.extra


@dataclass
class UpstreamSpec:
    asn: int
    own: dict       # towards the customer
    customer: dict
    core: dict      # towards the vantage point
    vp: dict
    bfd_ms: int = 300  # 0: no BFD with the customer
    gshut: bool = False  # announces its routes with GRACEFUL_SHUTDOWN
    honour: bool = True


class BirdUpstream:
    kind = "BIRD"

    def __init__(self, lab, role, spec):
        self.daemon = Bird(lab, role)
        self.lab, self.role, self.spec = lab, role, spec

    def config(self):
        s = self.spec
        bfd = f'interface "cust0" {{ min rx interval {s.bfd_ms} ms; min tx interval {s.bfd_ms} ms; multiplier 3; }};'
        honour = "if (65535, 0) ~ bgp_community then { bgp_local_pref = 0; accept; }" if s.honour else ""
        text = f"""log "{self.daemon.log_path}" all;
timeformat protocol iso long ms;
router id {s.own[4]};
protocol device {{ }}
protocol kernel {{ ipv4 {{ import none; export all; }}; }}
protocol kernel {{ ipv6 {{ import none; export all; }}; }}
protocol bfd {{
	{bfd if s.bfd_ms else ""}
	interface "core0" {{ min rx interval 300 ms; min tx interval 300 ms; multiplier 3; }};
}}
filter heard {{
	{honour}
	accept;
}}
template bgp timers {{ hold time {HOLD}; connect delay time 1; connect retry time 2; error wait time 1, 3; }}
"""
        gshut = "bgp_community.add((65535, 0));" if s.gshut else ""
        for f in (4, 6):
            text += f"""
protocol bgp customer_v{f} from timers {{
	local {s.own[f]} as {s.asn};
	neighbor {s.customer[f]} as {NODE_AS};
	bfd {"on" if s.bfd_ms else "off"};
	ipv{f} {{ import filter heard; export filter {{ if net = {DEFAULT[f]} then {{ {gshut} accept; }} reject; }}; }};
}}
protocol bgp core_v{f} from timers {{
	local {s.core[f]} as {s.asn};
	neighbor {s.vp[f]} as {VP_AS};
	bfd on;
	ipv{f} {{ import filter heard; export all; }};
}}
"""
        return text

    def start(self):
        self.daemon.start(self.config())

    def apply(self, **changes):
        self.spec = replace(self.spec, **changes)
        self.daemon.configure(self.config())

    def established(self):
        return self.daemon.ctl.established("customer_v4", "customer_v6", "core_v4", "core_v6")

    def bfd_up(self):
        return self.daemon.ctl.bfd_up(self.spec.customer[4], self.spec.customer[6])

    def sees(self, net):
        """The customer's announcement of net: {path, communities, med, localpref} or None."""
        for r in self.daemon.ctl.routes(net):
            if r["proto"].startswith("customer"):
                return bird_route(r)
        return None

    def log_text(self):
        return self.daemon.log_text()


def bird_route(r):
    a = r["attrs"]
    return {"path": [int(x) for x in re.findall(r"\d+", a.get("BGP.as_path", ""))],
            "communities": {tuple(map(int, c)) for c in re.findall(r"\((\d+),\s*(\d+)\)", a.get("BGP.community", ""))},
            "med": int(a["BGP.med"]) if "BGP.med" in a else None,
            "localpref": int(a["BGP.local_pref"]) if "BGP.local_pref" in a else None,
            "via": r["via"], "best": r["best"]}


class FrrUpstream:
    kind = "FRR"

    def __init__(self, lab, role, spec):
        self.daemon = Frr(lab, role)
        self.lab, self.role, self.spec = lab, role, spec

    def bgpd_config(self):
        # Graceful restart off: BIRD's default ("aware") would keep the routes of an FRR that went silent until the restart
        # timer, and the lab wants to see the hold timer.
        s = self.spec
        peers = [(s.customer, NODE_AS, "customer", bool(s.bfd_ms)), (s.vp, VP_AS, "core", True)]
        text = f"""router bgp {s.asn}
 bgp router-id {s.own[4]}
 bgp log-neighbor-changes
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 bgp graceful-restart-disable
 timers bgp 3 {HOLD}
"""
        for address, asn, name, bfd in peers:
            for f in (4, 6):
                text += f" neighbor {address[f]} remote-as {asn}\n neighbor {address[f]} timers connect 1\n"
                if bfd:
                    text += f" neighbor {address[f]} bfd\n neighbor {address[f]} bfd profile {name}\n"
        for f in (4, 6):
            text += f" address-family ipv{f} unicast\n"
            for address, _, name, _ in peers:
                text += f"  neighbor {address[f]} activate\n  neighbor {address[f]} route-map {name}-in in\n"
                text += f"  neighbor {address[f]} route-map {name}-out out\n"
                text += f"  neighbor {address[f]} soft-reconfiguration inbound\n"
            text += " exit-address-family\n"
        text += """exit
ip prefix-list default4 permit 0.0.0.0/0
ipv6 prefix-list default6 permit ::/0
bgp community-list standard gshut permit 65535:0
"""
        gshut = " set community graceful-shutdown additive\n" if s.gshut else ""
        text += f"route-map customer-out permit 10\n match ip address prefix-list default4\n{gshut}exit\n"
        text += f"route-map customer-out permit 20\n match ipv6 address prefix-list default6\n{gshut}exit\n"
        text += "route-map core-out permit 10\nexit\n"
        for name in ("customer", "core"):
            if s.honour:
                text += f"route-map {name}-in permit 10\n match community gshut\n set local-preference 0\nexit\n"
            text += f"route-map {name}-in permit 20\nexit\n"
        return text

    def bfd_config(self):
        text = "bfd\n"
        for name, ms in (("customer", self.spec.bfd_ms or 300), ("core", 300)):
            text += f" profile {name}\n  receive-interval {ms}\n  transmit-interval {ms}\n  detect-multiplier 3\n exit\n"
        return text + "exit\n"

    def start(self):
        self.daemon.start(self.bgpd_config(), self.bfd_config())

    def apply(self, **changes):
        was, self.spec = self.spec, replace(self.spec, **changes)
        s, commands = self.spec, ["configure terminal"]
        if s.gshut != was.gshut:
            for seq in (10, 20):
                commands += [f"route-map customer-out permit {seq}",
                             ("" if s.gshut else "no ") + "set community graceful-shutdown" + (" additive" if s.gshut else ""),
                             "exit"]
        if s.honour != was.honour:
            raise ValueError("honour is chosen at the start")
        if bool(s.bfd_ms) != bool(was.bfd_ms):
            commands.append(f"router bgp {s.asn}")
            for f in (4, 6):
                if s.bfd_ms:
                    commands += [f"neighbor {s.customer[f]} bfd", f"neighbor {s.customer[f]} bfd profile customer"]
                else:
                    commands.append(f"no neighbor {s.customer[f]} bfd")
            commands.append("exit")
        if s.bfd_ms and s.bfd_ms != was.bfd_ms:
            commands += ["bfd", "profile customer", f"receive-interval {s.bfd_ms}", f"transmit-interval {s.bfd_ms}"]
        self.daemon.vtysh(*commands)

    def established(self):
        s = self.spec
        return self.daemon.established(*s.customer.values(), *s.vp.values())

    def bfd_up(self):
        return self.daemon.bfd_up(*self.spec.customer.values())

    def sees(self, net):
        f = 6 if ":" in net else 4
        for p in self.daemon.route(net):
            if p["nexthop"] == self.spec.customer[f] or NODE_AS in (path := [int(x) for x in p["path"].split()]) and \
                    VP_AS not in path:
                words = p["community"].replace("graceful-shutdown", "65535:0").split()
                return {"path": [int(x) for x in p["path"].split()],
                        "communities": {tuple(map(int, w.split(":"))) for w in words if ":" in w},
                        "med": p["med"], "localpref": p["localpref"], "best": p["best"], "via": p["nexthop"]}
        return None

    def log_text(self):
        with open(os.path.join(self.daemon.dir, "frr.log"), encoding="utf-8", errors="replace") as f:
            return f.read()


def vantage_config(log):
    text = f"""log "{log}" all;
timeformat protocol iso long ms;
router id 100.64.1.1;
protocol device {{ }}
protocol static world4 {{ ipv4; route 0.0.0.0/0 blackhole; }}
protocol static world6 {{ ipv6; route ::/0 blackhole; }}
protocol kernel {{ ipv4 {{ import none; export where source = RTS_BGP; }}; }}
protocol kernel {{ ipv6 {{ import none; export where source = RTS_BGP; }}; }}
protocol bfd {{ interface "*" {{ min rx interval 300 ms; min tx interval 300 ms; multiplier 3; }}; }}
filter heard {{
	if (65535, 0) ~ bgp_community then {{ bgp_local_pref = 0; accept; }}
	accept;
}}
template bgp timers {{ hold time {HOLD}; connect delay time 1; connect retry time 2; error wait time 1, 3; bfd on; }}
"""
    for name, own, peer, asn in (("a", VP_A, UPA_C, A_AS), ("b", VP_B, UPB_C, B_AS)):
        for f in (4, 6):
            text += f"""
protocol bgp {name}_v{f} from timers {{
	local {own[f]} as {VP_AS};
	neighbor {peer[f]} as {asn};
	ipv{f} {{ import filter heard; export where source = RTS_STATIC; }};
}}
"""
    return text


@dataclass
class TwoSite:
    """The whole network. order: which stock daemon is upstream A and which is upstream B."""
    lab: Lab
    order: tuple = ("bird", "frr")
    pri_policy: Policy = field(default_factory=Policy)
    bkp_policy: Policy = field(default_factory=Policy)

    def build(self):
        lab = self.lab
        lab.add("pri", "bkp", "upa", "upb", "vp", "host")
        lab.link("a", ("pri", "up0", with_len(PRI, 24, 64)), ("upa", "cust0", with_len(UPA, 24, 64)))
        lab.link("b", ("bkp", "up0", with_len(BKP, 24, 64)), ("upb", "cust0", with_len(UPB, 24, 64)))
        lab.link("i", ("pri", "ibgp0", with_len(PRI_I, 24, 64)), ("bkp", "ibgp0", with_len(BKP_I, 24, 64)))
        lab.link("ca", ("upa", "core0", with_len(UPA_C, 24, 64)), ("vp", "a0", with_len(VP_A, 24, 64)))
        lab.link("cb", ("upb", "core0", with_len(UPB_C, 24, 64)), ("vp", "b0", with_len(VP_B, 24, 64)))
        lab.link("lan", ("pri", "lan0", with_len(LAN, 28, 64)), ("host", "eth0", with_len(HOST, 28, 64)))
        lab.ip("host", "route", "add", "default", "via", LAN[4])
        lab.ip("host", "-6", "route", "add", "default", "via", LAN[6])
        lab.ip("vp", "addr", "add", PROBE_TO[4] + "/32", "dev", "lo")
        lab.ip("vp", "addr", "add", PROBE_TO[6] + "/128", "dev", "lo")
        kinds = {"bird": BirdUpstream, "frr": FrrUpstream}
        self.upa = kinds[self.order[0]](lab, "upa", UpstreamSpec(A_AS, UPA, PRI, UPA_C, VP_A))
        self.upb = kinds[self.order[1]](lab, "upb", UpstreamSpec(B_AS, UPB, BKP, UPB_C, VP_B))
        self.vp = Bird(lab, "vp")
        self.pri = make_node(lab, "pri", ports=["af_xdp:up0"])
        self.bkp = make_node(lab, "bkp", ports=["af_xdp:up0"])
        return self

    def start(self):
        self.vp.start(vantage_config(self.vp.log_path))
        self.upa.start()
        self.upb.start()
        self.pri.start(self.pri_config())
        self.bkp.start(self.bkp_config())
        return self

    def pri_config(self, policy=None):
        return node_config(self.pri.log_path, PRI[4], PRI, PRI_I, UPA, A_AS, BKP_I, policy or self.pri_policy)

    def bkp_config(self, policy=None):
        return node_config(self.bkp.log_path, BKP[4], BKP, BKP_I, UPB, B_AS, PRI_I, policy or self.bkp_policy)

    def set_pri(self, how="", **changes):
        self.pri_policy = self.pri_policy.but(**changes)
        return self.pri.configure(self.pri_config(), how)

    def set_bkp(self, how="", **changes):
        self.bkp_policy = self.bkp_policy.but(**changes)
        return self.bkp.configure(self.bkp_config(), how)

    def dead(self):
        for d in (self.vp, self.upa.daemon, self.upb.daemon, self.pri, self.bkp):
            why = d.dead()
            if why:
                return f"{d.role}: {why}"
        return None

    def wait(self, fact, what, limit=45.0):
        return wait_for(fact, what, limit=limit, failed=self.dead)

    # ---- facts ----

    def sessions_up(self):
        return (self.pri.ctl.established(*SESSIONS) and self.bkp.ctl.established(*SESSIONS)
                and self.upa.established() and self.upb.established())

    def bfd_up(self, pri=True, bkp=True):
        return (not pri or self.pri.ctl.bfd_up(*UPA.values())) and (not bkp or self.bkp.ctl.bfd_up(*UPB.values()))

    def vp_route(self, f):
        """How the vantage point reaches the prefix: "a", "b" or None; and the AS path."""
        r = self.vp.ctl.best(OWN[f])
        if r is None:
            return None, []
        return r["proto"][0], bird_route(r)["path"]

    def vp_prefers(self, which):
        return all(self.vp_route(f)[0] == which for f in (4, 6))

    def vp_kernel(self, which):
        want = UPA_C if which == "a" else UPB_C
        return all(self.lab.route_gateway("vp", f, OWN[f]) == [want[f]] for f in (4, 6))

    def exits(self, node, gateway):
        """The node's kernel sends what has no better route to this gateway, in both families."""
        return all(self.lab.route_get(node, PROBE_TO[f]) == gateway[f] for f in (4, 6))

    def wait_ready(self, pri_exit=UPA, bkp_exit=None, limit=60.0):
        """Everything up, everybody on the preferred way."""
        self.wait(self.sessions_up, "all BGP sessions Established", limit)
        self.wait(self.bfd_up, "BFD Up on both nodes", limit)
        self.wait(lambda: self.exits("pri", pri_exit), "pri's kernel exits by the preferred way", limit)
        if bkp_exit:
            self.wait(lambda: self.exits("bkp", bkp_exit), "bkp's kernel exits by the preferred way", limit)
