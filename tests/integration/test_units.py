# SPDX-License-Identifier: BSD-2-Clause
"""The systemd units in dist/: systemd finds nothing wrong with them, and with the capabilities that they leave the programs do
their work: BGP and BFD Up with a stock peer, routes through nexthop groups in the kernel, as root and as a user."""
import os
import pwd
import re
import shlex
import subprocess

import pytest
from netlab import build_dir, wait_for
from netlab.daemons import ROOT, have
from netlab.pair import PEER_NET

pytestmark = pytest.mark.ours


class Unit(dict):
    """The [Service] section: the last value of each key."""

    def __init__(self, name):
        super().__init__()
        with open(os.path.join(ROOT, "dist", name + ".service"), encoding="utf-8") as f:
            for line in f.read().partition("[Service]")[2].splitlines():
                key, eq, value = line.partition("=")
                if eq and not line.startswith("#"):
                    self[key] = value

    def command(self, **values):
        """ExecStart as systemd would expand it."""
        words = []
        for word in shlex.split(self["ExecStart"]):
            words += values[word[1:]].split() if word.startswith("$") else [word.replace("@PREFIX@/sbin", build_dir())]
        return words

    def confined(self, argv):
        """argv with the unit's capabilities and no others."""
        caps = [c.lower().removeprefix("cap_") for c in self["CapabilityBoundingSet"].split()]
        return ["setpriv", "--bounding-set=-all,+" + ",+".join(caps), "--no-new-privs", "--", *argv]


def test_systemd_reads_them(tmp_path):
    analyze = have("systemd-analyze")
    if not analyze:
        pytest.skip("no systemd-analyze here")
    for name in ("peregrine-dp.service", "peregrined.service"):
        with open(os.path.join(ROOT, "dist", name), encoding="utf-8") as f:
            text = f.read()
        text = re.sub(r"@PREFIX@/s?bin", build_dir(), text)
        (tmp_path / name).write_text(text)
        p = subprocess.run([analyze, "verify", "--man=no", str(tmp_path / name)], capture_output=True, text=True, timeout=60, check=False)
        about = [x for x in (p.stdout + p.stderr).splitlines() if "peregrine" in x]
        assert not about, about


@pytest.mark.parametrize("user", ["root", "daemon"])
def test_their_capabilities_are_enough(make_pair, user):
    p = make_pair("bird", dataplane=True)
    os.chmod(p.lab.dir, 0o777)
    p.peer.start()
    p.node.write(".conf", p.config(bgp="graceful restart on;"))
    # the places of the units, made those of the lab
    place = {"/etc/peregrine/peregrine.conf": p.node.file(".conf"), "/run/peregrine.ctl": p.node.sock, "/run/peregrine-dp.sock": p.node.dp_sock}
    dp, control = Unit("peregrine-dp"), Unit("peregrined")

    def start(program, unit, **values):
        argv = [place.get(w, w) for w in unit.command(**values)]
        p.node.spawn(program, unit.confined(argv), p.node.file("-dp.out" if unit is dp else ".out"))
    start("peregrine-dp", dp, PORTS="--port af_xdp:up0", OPTIONS="" if user == "root" else f"--group {user}")
    with open(p.node.file("-dp.out"), encoding="utf-8") as said:
        wait_for(lambda: " ready: " in said.read(), "peregrine-dp is ready", failed=p.node.dead)
    who = "" if user == "root" else f" -u {user} -g {user}"
    start("peregrined", control, RECOVER="", OPTIONS=f"--dp {p.node.dp_sock}{who}")
    p.up()
    daemon = p.node.running["peregrined"].pid
    assert pwd.getpwuid(os.stat(f"/proc/{daemon}").st_uid).pw_name == user or user == "root"
    with open(f"/proc/{daemon}/status", encoding="utf-8") as f:
        ids = re.search(r"Uid:\s+(\d+)\s+(\d+)", f.read())
    assert {int(ids[1]), int(ids[2])} == {pwd.getpwnam(user).pw_uid}
    assert pwd.getpwuid(os.stat(p.node.sock).st_uid).pw_name == user
    for family, net in PEER_NET.items():
        p.wait(lambda: "nhid" in p.lab.ip("node", f"-{family}", "route", "show", net), f"{net} is in the kernel by a group")
    # it reloads, and what it may not do any more it does not need
    p.node.configure(p.config(bgp="graceful restart on;", export="none"))
    p.wait(lambda: not p.peer.sees("198.51.100.0/24"), "the new export")
    said = p.node.log_text() + p.node.last_words()
    assert not re.search(r"(?i)not permitted|permission denied|lacks", said), said
    p.node.stop()
    assert not p.lab.ip("node", "route", "show", PEER_NET[4])
