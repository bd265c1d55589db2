# SPDX-License-Identifier: BSD-2-Clause
"""The control socket's protocol (BIRD 2's), and readers for the answers that the lab looks at."""
import re
import socket


class BirdError(RuntimeError):
    """The daemon answered with a code of 8000 or more."""

    def __init__(self, code, text):
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class Reply:
    def __init__(self):
        self.lines = []  # (code, text)

    @property
    def code(self):
        return self.lines[-1][0]

    @property
    def text(self):
        return "\n".join(t for _, t in self.lines)


class BirdCtl:
    def __init__(self, path):
        self.path = path

    def ask(self, command, timeout=20):
        """One command on a connection of its own; the reply whatever its code."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(timeout)
            s.connect(self.path)
            f = s.makefile("rb")
            self._reply(f)
            s.sendall(command.encode() + b"\n")
            return self._reply(f)

    @staticmethod
    def _reply(f):
        reply, code = Reply(), None
        for raw in f:
            line = raw.decode(errors="replace").rstrip("\n")
            if line.startswith("+"):
                continue
            if line.startswith(" ") and code is not None:
                reply.lines.append((code, line[1:]))
                continue
            m = re.match(r"(\d{4})([ -])(.*)", line)
            if not m:
                raise BirdError(0, f"not a reply line: {line!r}")
            code = int(m.group(1))
            reply.lines.append((code, m.group(3)))
            if m.group(2) == " ":
                return reply
        raise ConnectionError("control socket closed in the middle of a reply")

    def cmd(self, command, **kw):
        r = self.ask(command, **kw)
        if r.code >= 8000:
            raise BirdError(r.code, r.lines[-1][1])
        return r.text

    # ---- readers ----

    def protocols(self):
        """name -> {type, table, state, info}"""
        found = {}
        for code, line in self.ask("show protocols").lines:
            if code == 1002:
                # the time may be one word or two, and info may be empty
                m = re.match(r"(\S+)\s+(\S+)\s+(\S+)\s+(up|down|start|stop|flush)\s+"
                             r"((?:\d{4}-\d\d-\d\d )?[\d:.]+|\d{4}-\d\d-\d\d|\S+)\s*(.*)$", line)
                if m:
                    found[m.group(1)] = {"type": m.group(2), "table": m.group(3), "state": m.group(4),
                                         "since": m.group(5), "info": m.group(6).strip()}
        return found

    def established(self, *names):
        p = self.protocols()
        return all(n in p and p[n]["info"].startswith("Established") for n in names)

    def protocol_all(self, name):
        return self.cmd(f"show protocols all {name}")

    def session_since(self, *names):
        """A value that changes when any of the sessions was reset."""
        p = self.protocols()
        return tuple((n, p[n]["since"], p[n]["state"]) for n in names)

    def bfd_sessions(self):
        """address -> {iface, state, since, interval, timeout}"""
        found = {}
        r = self.ask("show bfd sessions")
        for code, line in r.lines:
            m = re.match(r"(\S+)\s+(\S+)\s+(Up|Down|Init|AdminDown|Unknown)\s+(\S+(?: \S+)?)\s+([\d.]+)\s+([\d.]+)\s*$",
                         line)
            if code == 1020 and m:
                found[m.group(1)] = {"iface": m.group(2), "state": m.group(3), "since": m.group(4),
                                     "interval": float(m.group(5)), "timeout": float(m.group(6))}
        return found

    def bfd_up(self, *addresses):
        s = self.bfd_sessions()
        return all(s.get(a, {}).get("state") == "Up" for a in addresses)

    def routes(self, query):
        """The routes of `show route <query> all`: [{net, dest, proto, best, via, iface, attrs}]. No such network is []."""
        r = self.ask(f"show route {query} all")
        if r.code == 8001:
            return []
        if r.code >= 8000:
            raise BirdError(r.code, r.lines[-1][1])
        found, net = [], None
        for code, line in r.lines:
            m = re.match(r"(\S*)\s+(unicast|blackhole|unreachable|prohibited)\s+\[(\S+) ([^\]]*)\](\s+[*!])?(.*)$", line)
            if code == 1007 and m:
                net = m.group(1) or net
                found.append({"net": net, "dest": m.group(2), "proto": m.group(3), "best": "*" in (m.group(5) or ""),
                              "info": m.group(6).strip(), "via": None, "iface": None, "attrs": {}})
            elif found and line.startswith("\tvia "):
                w = line.split()
                if found[-1]["via"] is None:
                    found[-1]["via"], found[-1]["iface"] = w[1], w[3] if len(w) > 3 else None
            elif found and line.startswith("\tdev "):
                found[-1]["iface"] = line.split()[1]
            elif found and ": " in line or found and line.rstrip().endswith(":"):
                key, _, value = line.strip().partition(":")
                found[-1]["attrs"][key] = value.strip()
        return found

    def best(self, net):
        for r in self.routes(f"for {net}" if "/" not in net else net):
            if r["best"]:
                return r
        return None
