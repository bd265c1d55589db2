# SPDX-License-Identifier: BSD-2-Clause
"""Nobody reads the log: stderr is a pipe that is full from the beginning. Sessions come up and stay, a lost link is a failover, and
when somebody reads again the log says how much was lost; the other destination has everything all the time."""
import os
import re
import select
import time

import pytest
from netlab.pair import PEER, SESSIONS
from netlab.proc import wait_for

pytestmark = [pytest.mark.ours]

HOLD = 6
SPARE = "192.0.2.9"
TO = "20.0.0.1"


def fill(path):
    """A named pipe with no room left; the descriptor keeps it open."""
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while True:
            os.write(fd, b"." * 4095 + b"\n")
    except BlockingIOError:
        return fd


def read_until(fd, pattern, limit=30.0):
    """What comes out of the pipe, until the pattern is in it."""
    text, until = "", time.monotonic() + limit
    while not re.search(pattern, text):
        assert time.monotonic() < until, f"no {pattern!r} in what was read: {text[-500:]}"
        if select.select([fd], [], [], 0.5)[0]:
            text += os.read(fd, 1 << 16).decode()
    return text


def test_full_pipe(lab, make_pair):
    pair = make_pair("bird", bfd_ms=1000)
    lab.ip("node", "neigh", "add", SPARE, "lladdr", "02:00:00:00:00:09", "dev", "up0")
    extra = f"""log stderr all;
debug protocols all;
protocol static near {{ ipv4 {{ preference 210; }}; route 20.0.0.0/24 via {PEER[4]} bfd; }}
protocol static far {{ ipv4 {{ preference 190; }}; route 20.0.0.0/24 via {SPARE}; }}
"""
    config = pair.config(bfd_ms=1000, bgp=f"hold time {HOLD};", extra=extra).replace("export where source = RTS_BGP", "export where net ~ 20.0.0.0/8", 1)
    pipe = fill(pair.node.file(".out"))
    try:
        pair.start(config).up()
        pair.wait(lambda: lab.route_get("node", TO) == PEER[4], "the route goes by the peer")

        def members():
            return max((len(g["members"]) for g in pair.node.client("show", "failover")["groups"]), default=0)
        pair.wait(lambda: members() > 1, "the group has its backup")
        began = {s: pair.ctl.protocols()[s]["since"] for s in SESSIONS}
        for _ in range(10):
            pair.node.configure(config)  # each says a lot
            pair.node.configure(config.replace("preference 190", "preference 191"))
        time.sleep(HOLD + 1)  # who could not send a KEEPALIVE in this time is not heard any more
        assert pair.peer.established()
        assert {s: pair.ctl.protocols()[s]["since"] for s in SESSIONS} == began
        lab.cut("a")
        try:
            pair.wait(lambda: lab.route_get("node", TO) == SPARE, "the route goes by the spare")
            wait_for(lambda: [e for e in pair.node.client("show", "failover")["failovers"]
                              if e["event"] == "down" and e["reason"] == "bfd" and e["stages"].get("netlink_acked")],
                     "the failover is in the history")
            pair.logged(rf"Failover: {PEER[4]} on up0 lost \(bfd\)")
        finally:
            lab.mend()
        pair.up()
        text = read_until(pipe, r"lines of the log were lost")
        # From here on it has every line again: the same as the file, which has missed none.
        pair.node.configure(config)
        text += read_until(pipe, r"Reconfigured\n")
        after = re.search(r"<WARN> (\d+) lines of the log were lost[^\n]*\n(.*\n)", text)
        lines = pair.node.log_text().splitlines(keepends=True)
        assert after and lines[int(after[1])] == after[2]
        assert not any("of the log were lost" in x for x in lines)
    finally:
        os.close(pipe)
        pair.node.stop()
