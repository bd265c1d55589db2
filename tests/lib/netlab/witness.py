# SPDX-License-Identifier: BSD-2-Clause
"""The witness: tests/tools/netwatch and probe, built when they are first needed, and what can be asked of them."""
import contextlib
import json
import os
import subprocess

from .daemons import ROOT, build_dir
from .proc import end_process, now_ns, run

PROBE_PORT = 33333
DISCARD_PORT = 9  # nobody here sends to it


def tool(name):
    """tests/tools/<name>.c built into <build>/tools/; rebuilt when the source is newer."""
    source = os.path.join(ROOT, "tests", "tools", name + ".c")
    out = os.path.join(build_dir(), "tools", name)
    if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(out), exist_ok=True)
        temporary = f"{out}.{os.getpid()}"
        run(os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-Wall", "-D_GNU_SOURCE", "-o", temporary, source, timeout=120)
        os.replace(temporary, out)
    return out


def ahead_of_others(pid):
    """The witness must not be late where the machine is busy: what it missed would look like the daemon's delay."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))


class Witness:
    """Taps all ports of the wire and follows the routes of the given namespaces."""

    def __init__(self, lab, follow=(), far=(), probes=True, links=None):
        """follow: roles whose nexthops and routes are recorded; far: wire ports where the probe stream is checked for
        gaps (the far end of its way); probes=False: probe packets are not looked at; links: only these are tapped."""
        self.lab = lab
        argv = [tool("netwatch"), "-p", str(PROBE_PORT if probes else DISCARD_PORT)]
        for name, ends in lab.links.items():
            for role, _, _ in ends if links is None or name in links else ():
                port = f"{name}.{role}"
                argv += ["-f" if port in far else "-t", f"{lab.ns_path('wire')}:{port}"]
        for role in follow:
            argv += ["-n", f"{role}={lab.ns_path(role)}"]
        self.errors = open(lab.path("netwatch.out"), "wb")
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                  start_new_session=True)
        ahead_of_others(self.p.pid)
        lab.processes.append(self.p)
        lab.on_close(self.close)
        if self.p.stdout.readline().strip() != "ready":
            with open(lab.path("netwatch.out"), encoding="utf-8") as f:
                raise RuntimeError("netwatch: " + f.read().strip())

    def close(self):
        end_process(self.p)
        self.errors.close()

    def events(self, since, until=None):
        """All records of that time, in order of their stamps."""
        self.p.stdin.write(f"dump {since} {until or now_ns()}\n")
        self.p.stdin.flush()
        found = []
        for line in self.p.stdout:
            if line == "end\n":
                break
            found.append(json.loads(line))
        return sorted(found, key=lambda e: e["t"])


class Probe:
    """A stream of numbered packets from a role to an address in each family."""

    def __init__(self, lab, role, dst4, dst6, rate):
        self.lab = lab
        self.p = lab.popen(role, [tool("probe"), "-4", dst4, "-6", dst6, "-p", str(PROBE_PORT), "-r", str(rate)],
                           log=lab.path("probe.out"))
        ahead_of_others(self.p.pid)

    def stop(self):
        self.lab.end(self.p)
