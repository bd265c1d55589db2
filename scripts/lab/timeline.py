# SPDX-License-Identifier: BSD-2-Clause
"""One failure, put together from what the witness saw: the same for any daemon on the node, because it looks at packets
in the wire and at the kernel's notifications only. What our daemon says of itself (show failover) is printed beside it.
"""
import json
from dataclasses import dataclass

from netlab.twosite import DEFAULT, OWN, UPA, UPB_C


def ms(ns):
    return ns / 1e6


@dataclass
class Timeline:
    family: int
    last: int = 0         # last packet of the upstream that was delivered to the node: BFD, or BGP where there is no BFD
    detected: int = 0     # the node's first BFD packet that says Down
    kernel: int = 0       # first change of the nexthop group or of the default route in the node's kernel
    by_group: bool = False  # that first change was the group's, not the route's
    forwarding: int = 0   # first probe packet that left over the backup
    told: int = 0         # first UPDATE to the other node
    vantage: int = 0      # the vantage point's kernel has the other way in
    closed: int = 0       # TCP FIN or RST from the upstream: the fast way to hear of a killed daemon
    lost: int = 0         # probe packets that never reached the far end

    def since(self, name):
        t = getattr(self, name)
        return ms(t - self.last) if t and self.last else None


def nexthop_ids(lab, role, f):
    """The nexthop ids behind the default route: the group and its members."""
    ids = set()
    for r in lab.routes(role, f, "exact", "default"):
        if "nhid" in r:
            ids.add(r["nhid"])
            try:
                h = json.loads(lab.ip(role, "-j", "nexthop", "show", "id", str(r["nhid"])))[0]
                ids |= {m["id"] for m in h.get("group", [])}
            except (IndexError, ValueError):
                pass
    return ids


def analyse(events, f, ids, begin, bfd=True):
    """The timeline of one family from the records of a window that holds one failure and no recovery. begin: when the
    failure was brought about; nothing before it can be a consequence. bfd: the upstream speaks BFD, and stamps count from
    its last BFD packet; else from its last BGP packet."""
    t = Timeline(f)

    def first(pred, after):
        return next((e["t"] for e in events if e["t"] >= after and pred(e)), 0)

    from_upstream = [e for e in events if e["at"] == "a.pri" and e["dir"] == "out" and e["family"] == f
                     and e.get("src") == UPA[f]]
    # The last BFD packet that said Up; what follows (an AdminDown, say) is part of the failure.
    alive = [e["t"] for e in from_upstream if (e["kind"] == "bfd" and e["state"] == "Up" if bfd else e["kind"] == "bgp")]
    t.last = max(alive, default=0)
    if not t.last:
        return t
    t.closed = first(lambda e: e["kind"] == "tcp" and e["at"] == "a.pri" and e["dir"] == "out" and e["family"] == f, begin)
    if bfd:
        t.detected = first(lambda e: e["kind"] == "bfd" and e["at"] == "a.pri" and e["dir"] == "in" and e["family"] == f
                           and e["state"] != "Up", begin)
    group = first(lambda e: e["at"] == "pri" and e["kind"] == "nexthop" and e["id"] in ids, begin)
    route = first(lambda e: e["at"] == "pri" and e["kind"] == "route" and e["family"] == f and e["dst"] == DEFAULT[f], begin)
    t.kernel = min(x for x in (group, route, 1 << 63) if x) % (1 << 63)
    t.by_group = bool(group) and t.kernel == group
    t.forwarding = first(lambda e: e["kind"] == "probe" and e["at"] == "i.pri" and e["family"] == f, begin)
    t.told = first(lambda e: e["kind"] == "bgp" and e["at"] == "i.pri" and e["dir"] == "in" and e["family"] == f
                   and "UPDATE" in e["type"], begin)
    t.vantage = first(lambda e: e["kind"] == "route" and e["at"] == "vp" and e["family"] == f and e["dst"] == OWN[f]
                      and e["what"] == "new" and e["via"] == UPB_C[f], begin)
    t.lost = sum(e["lost"] for e in events if e["kind"] == "gap" and e["family"] == f and e["t"] >= begin)
    return t


ROWS = (("closed", "TCP connection closed by the upstream"), ("detected", "BFD Down sent: detection"),
        ("kernel", "nexthop group or route replaced"), ("forwarding", "first packet forwarded over the backup"),
        ("told", "BGP told: first UPDATE to the other node"), ("vantage", "vantage point converged"))


# What our daemon stamps itself on the same clock (show failover), in the order in which it happens.
OWN_STAGES = (("last_packet", "last packet, as the engine saw it"), ("detected", "detected"), ("published", "published to the ring"),
              ("ring_read", "ring read by the failover thread"), ("plan_found", "plan found"),
              ("netlink_sent", "netlink sent"), ("netlink_acked", "netlink acknowledged"), ("bgp_told", "BGP told"),
              ("updates_out", "updates out"))


def own_stages(node, since):
    """family -> stages of the first failover of the upstream after `since`, as the daemon tells; {} for a stock daemon."""
    if not node.has_failover:
        return {}
    found = {}
    for e in node.client("show", "failover").get("failovers", []):
        for f, address in UPA.items():
            detected = e["stages"].get("detected", 0)
            if e["address"] == address and e["event"] == "down" and detected >= since:
                if f not in found or detected < found[f]["stages"]["detected"]:
                    found[f] = e
    return found


def row(text, values):
    return f"      {text:<48}" + "".join(f"{v:11.3f}" if v is not None else f"{'-':>11}" for v in values)


def show(say, title, pair, rate, own=None, bfd=True):
    """pair: {4: Timeline, 6: Timeline}; own: what own_stages() gave."""
    say(f"   {title}: ms since the last {'BFD' if bfd else 'BGP'} packet of upstream A that reached pri")
    say(f"      {'':48}     IPv4       IPv6")
    for name, text in ROWS:
        values = [pair[f].since(name) for f in (4, 6)]
        if any(v is not None for v in values):
            say(row(text, values))
    say(f"      {'probe packets lost end to end (as ms)':<48}" + "".join(f"{pair[f].lost * 1000 / rate:11.1f}" for f in (4, 6)))
    if not own:
        return
    say(f"      peregrined's own stamps ({', '.join(sorted({e['reason'] for e in own.values()}))};"
        f" {', '.join(str(e['groups']) for e in own.values())} groups)")
    for name, text in OWN_STAGES:
        values = [ms(own[f]["stages"][name] - pair[f].last) if f in own and name in own[f]["stages"] and pair[f].last else None
                  for f in (4, 6)]
        if any(v is not None for v in values):
            say(row("  " + text, values))
