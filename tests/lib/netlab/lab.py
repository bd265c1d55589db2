# SPDX-License-Identifier: BSD-2-Clause
"""A Lab: namespaces joined by links that all pass through one more namespace, the wire.

    node up0 ===veth=== wire: a.pri [bridge a] a.up ===veth=== up0 upstream

Because each link is a bridge in the wire, packets of it can be dropped, one way or both, while both ends keep their
carrier; and a tap in the wire sees what a daemon really sent and what really arrived, whatever the daemon uses to send it
(AF_XDP takes packets away before any tap on the node itself).

Names: namespaces are pglab<pid>-<role>, so that two labs never meet and leftovers of a killed one are recognised
(sweep()). Cleanup runs at the end of the with-block, at exit, and on SIGINT and SIGTERM.
"""
import atexit
import contextlib
import ctypes
import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile

from .proc import CommandError, end_process, pid_alive, run

PREFIX = "pglab"
KEEP_MARK = "kept-logs"  # a directory left by NETLAB_KEEP_LOGS=1
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    pass


def _namespaces():
    try:
        return sorted(os.listdir("/run/netns"))
    except FileNotFoundError:
        return []


def _delete_namespace(name):
    for pid in run("ip", "netns", "pids", name, check=False).split():
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(pid), signal.SIGKILL)
    run("ip", "netns", "del", name, check=False)


def sweep(everything=False, pid=None):
    """Removes the leftovers of labs whose process is gone, or of that one process; those that were kept on purpose only with
    everything=True. Returns the names of what it removed."""
    only = str(pid) if pid is not None else None
    directories = glob.glob(f"/tmp/{PREFIX}[0-9]*-*")

    def owner(name):
        return os.path.basename(name)[len(PREFIX):].split("-")[0]

    def left(name):
        pid = owner(name)
        return pid.isdigit() and only in (None, pid) and not pid_alive(int(pid)) and (
            everything or not os.path.exists(f"/run/{PREFIX}{pid}.keep"))

    gone = [n for n in _namespaces() if n.startswith(PREFIX) and left(n)]
    for name in gone:
        _delete_namespace(name)
    for path in filter(left, directories):
        if everything or not os.path.exists(os.path.join(path, KEEP_MARK)):
            shutil.rmtree(path, ignore_errors=True)
    if everything:
        for path in glob.glob(f"/run/{PREFIX}{only or '[0-9]*'}.keep"):
            os.unlink(path)
    return gone


class Lab:
    def __init__(self, name="lab", keep=False, wire=True):
        """wire=False: no links by way of a wire will be asked for."""
        if os.geteuid() != 0:
            raise LabError("needs root: it makes network namespaces")
        self.name = name
        self.keep = keep
        self.wire = wire
        self.tag = f"{PREFIX}{os.getpid()}"
        self.dir = None
        self.roles = []
        self.links = {}
        self.processes = []
        self.ours = []  # daemons of ours in it
        self._closers = []
        self._handlers = {}
        self._closed = True

    # ---- life ----

    def __enter__(self):
        self._closed = False
        sweep()
        # World-readable: FRR's and others' helpers drop privileges and must still reach their files.
        self.dir = tempfile.mkdtemp(prefix=f"{self.tag}-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        atexit.register(self.close)
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(ValueError):  # not in the main thread
                self._handlers[sig] = signal.signal(sig, self._interrupted)
        if self.wire:
            self.add("wire")
            self._nft("add table bridge wire; add chain bridge wire dead { type filter hook forward priority 0; }")
        return self

    def __exit__(self, *exc):
        self.close()

    def _interrupted(self, sig, frame):
        self.keep = False
        if sig == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + sig)

    def close(self):
        if self._closed:
            return
        self._closed = True
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(ValueError):
                signal.signal(sig, signal.SIG_IGN)
        try:
            if self.keep:
                with open(f"/run/{self.tag}.keep", "w", encoding="ascii") as f:
                    f.write(self.dir + "\n")
            else:
                self._clean()
        finally:
            atexit.unregister(self.close)
            for sig, old in self._handlers.items():
                with contextlib.suppress(ValueError):
                    signal.signal(sig, old if old is not None else signal.SIG_DFL)

    def _clean(self):
        for closer in reversed(self._closers):
            with contextlib.suppress(Exception):
                closer()
        for p in reversed(self.processes):
            if p.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(p.pid, signal.SIGKILL)
        for p in self.processes:
            with contextlib.suppress(Exception):
                p.wait(5)
        for name in _namespaces():
            if name.startswith(self.tag + "-"):
                _delete_namespace(name)
        if os.environ.get("NETLAB_KEEP_LOGS"):
            open(self.path(KEEP_MARK), "w", encoding="ascii").close()
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def on_close(self, closer):
        self._closers.append(closer)

    # ---- namespaces ----

    def ns(self, role):
        return f"{self.tag}-{role}"

    def ns_path(self, role):
        return f"/run/netns/{self.ns(role)}"

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def add(self, *roles):
        for role in roles:
            ns = self.ns(role)
            run("ip", "netns", "add", ns)
            self.roles.append(role)
            # No duplicate address detection, no autoconfiguration: an address is usable at once and stays what we gave.
            settings = ["net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
                        "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0",
                        "net.ipv6.conf.default.accept_ra=0", "net.ipv6.conf.default.router_solicitations=0",
                        "net.ipv4.ping_group_range=0 2147483647"]
            if role == "wire":
                settings += ["net.ipv6.conf.default.disable_ipv6=1", "net.ipv6.conf.all.disable_ipv6=1"]
                if os.path.exists("/proc/sys/net/bridge"):  # frames only: no detour through IP's hooks
                    settings += ["net.bridge.bridge-nf-call-iptables=0", "net.bridge.bridge-nf-call-ip6tables=0",
                                 "net.bridge.bridge-nf-call-arptables=0"]
            else:
                settings += ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]
            run("ip", "netns", "exec", ns, "sysctl", "-q", "-w", *settings)
            run("ip", "-n", ns, "link", "set", "lo", "up")

    def command(self, role, *argv):
        """argv that runs inside the namespace, as a daemon there would be started by hand."""
        return ["ip", "netns", "exec", self.ns(role), *argv]

    def enter(self, role):
        """What a command line starts with to run inside the namespace with the host's own /sys: ip netns exec would hide
        /sys/fs/bpf behind a fresh one."""
        return ["nsenter", f"--net={self.ns_path(role)}", "--"]

    def run(self, role, *argv, **kw):
        return run(*self.command(role, *argv), **kw)

    def ip(self, role, *argv, **kw):
        return run("ip", "-n", self.ns(role), *argv, **kw)

    @contextlib.contextmanager
    def inside(self, role):
        """Sockets made in this block belong to the namespace, and stay there afterwards."""
        with open("/proc/self/ns/net", "rb") as home, open(self.ns_path(role), "rb") as there:
            self._setns(there)
            try:
                yield
            finally:
                self._setns(home)

    @staticmethod
    def _setns(f):
        if _libc.setns(f.fileno(), CLONE_NEWNET) != 0:
            e = ctypes.get_errno()
            raise OSError(e, "setns: " + os.strerror(e))

    def popen(self, role, argv, log=None, **kw):
        """Starts a process in the namespace; it is ended with the lab at the latest. Its pid is the program's own."""
        out = open(log, "ab", buffering=0) if log else subprocess.DEVNULL
        try:
            kw.setdefault("stdin", subprocess.DEVNULL)
            kw.setdefault("stdout", out)
            p = subprocess.Popen([*self.enter(role), *argv], stderr=out,
                                 start_new_session=True, **kw)
        finally:
            if log:
                out.close()
        self.processes.append(p)
        return p

    def end(self, popen, **kw):
        end_process(popen, **kw)
        if popen in self.processes:
            self.processes.remove(popen)

    # ---- links ----

    def link(self, name, a, b):
        """a and b: (role, interface, [addresses]). The link is a bridge of that name in the wire; its ports there are
        <name>.<role>."""
        wire = self.ns("wire")
        batch = [f"link add name {name} type bridge stp_state 0 mcast_snooping 0", f"link set dev {name} up"]
        for role, ifname, _ in (a, b):
            port = f"{name}.{role}"
            if len(port) > 15 or len(ifname) > 15:
                raise LabError(f"interface name too long: {port} {ifname}")
            batch += [f"link add name {port} type veth peer name {ifname} netns {self.ns(role)}",
                      f"link set dev {port} master {name}", f"link set dev {port} up"]
        run("ip", "-n", wire, "-batch", "-", input="\n".join(batch) + "\n")
        for role, ifname, addresses in (a, b):
            lines = [f"link set dev {ifname} up"]
            lines += [f"addr add {x} dev {ifname}" + (" nodad" if ":" in x else "") for x in addresses]
            run("ip", "-n", self.ns(role), "-batch", "-", input="\n".join(lines) + "\n")
            # A real wire carries finished checksums; veth would leave them to hardware that is not there.
            self.run(role, "ethtool", "-K", ifname, "tx", "off")
        self.links[name] = (a, b)

    def _nft(self, script):
        self.run("wire", "nft", script)

    def ports(self, name, towards=None):
        """The wire's ports of a link whose received packets are to be dropped: both, or only what goes to `towards`."""
        a, b = (end[0] for end in self.links[name])
        return [f"{name}.{r}" for r in (a, b) if towards is None or r != towards]

    def cut(self, *links, towards=None):
        """Packets are dropped, carrier stays. towards=role: only those that go to it."""
        self._nft("; ".join(f'add rule bridge wire dead iifname "{p}" drop'
                            for n in links for p in self.ports(n, towards)))

    def mend(self):
        """All cut links carry packets again."""
        self._nft("flush chain bridge wire dead")

    def filter_port(self, name, proto, port, drop=True):
        """Drops TCP or UDP packets from or to a port on one link (or lets them through again): a filter on the path."""
        chain = "chain_" + name
        if drop:
            rules = [f"add chain bridge wire {chain} {{ type filter hook forward priority 1; }}"]
            for p in self.ports(name):
                for what in ("dport", "sport"):
                    rules.append(f'add rule bridge wire {chain} iifname "{p}" {proto} {what} {port} drop')
            self._nft("; ".join(rules))
        else:
            self._nft(f"delete chain bridge wire {chain}")

    # ---- the kernel's view ----

    def routes(self, role, family=4, *match):
        out = self.ip(role, "-j", "-d", f"-{family}", "route", "show", *match)
        return json.loads(out or "[]")

    def route_gateway(self, role, family, dst="default"):
        """The gateways the kernel has for a route: a list, resolved through nexthop objects too."""
        found = []
        for r in self.routes(role, family, "exact", dst):
            if "nexthops" in r:
                found += [h.get("gateway", h.get("via", {}).get("host")) for h in r["nexthops"]]
            elif "gateway" in r or "via" in r:
                found.append(r.get("gateway") or r["via"]["host"])
            elif "nhid" in r:
                found += self.nexthop_gateways(role, r["nhid"])
        return found

    def nexthop_gateways(self, role, nhid):
        try:
            h = json.loads(self.ip(role, "-j", "nexthop", "show", "id", str(nhid)))[0]
        except (CommandError, IndexError, ValueError):
            return []
        if "group" in h:
            return [g for m in h["group"] for g in self.nexthop_gateways(role, m["id"])]
        return [h["gateway"]] if "gateway" in h else []

    def route_get(self, role, dst, *extra):
        """What the kernel would do with a packet now: the gateway it would be sent to."""
        out = json.loads(self.ip(role, "-j", "route", "get", dst, *extra) or "[{}]")
        return out[0].get("gateway") or out[0].get("via", {}).get("host")
