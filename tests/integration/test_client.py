# SPDX-License-Identifier: BSD-2-Clause
"""peregrinec against a running daemon: text, JSON, exit status, long replies, the prompt with history, completion and pager."""
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest
from netlab import Lab, build_dir
from netlab.daemons import Peregrine

pytestmark = pytest.mark.ours
MANY = 20000

CONFIG = """
log "%s" all;
router id 192.0.2.2;
ipv4 table spare;
roa4 table r4;
define LIMIT = 24;
function short(prefix p) -> bool { return p.len <= LIMIT; }
filter good { if ! short(net) then reject "too long"; accept; }
protocol device { }
protocol direct { ipv4; }
protocol static s1 { ipv4; route 198.51.100.0/24 blackhole; route 198.51.100.64/26 unreachable; }
protocol static many { ipv4 { table spare; }; %s }
protocol static roas { roa4 { table r4; }; route 198.51.100.0/24 max 24 as 64496; }
protocol bfd { neighbor 127.0.0.9 dev "lo"; }
protocol bgp wait { local 127.0.0.1 as 64500; neighbor 127.0.0.7 as 64501; multihop; passive; description "nobody yet";
	ipv4 { import filter good; export filter good; }; }
"""


@pytest.fixture(scope="module")
def node():
    with Lab() as lab:
        lab.add("solo")
        n = Peregrine(lab, "solo")
        n.start(CONFIG % (n.log_path, " ".join(f"route 10.{i >> 8}.{i & 255}.0/24 blackhole;" for i in range(MANY))))
        yield n


def client(node, *args, **kw):
    return subprocess.run([os.path.join(build_dir(), "peregrinec"), "-s", node.sock, *args], capture_output=True, text=True, timeout=60, check=False, **kw)


def test_text_and_exit_status(node):
    good = client(node, "show", "protocols")
    assert good.returncode == 0 and good.stderr == ""
    assert re.match(r"BIRD 2\.[\d.]+ ready\.\nName +Proto +Table", good.stdout) and re.search(r"(?m)^s1 +Static +master4 +up", good.stdout)
    for bad in (["frobnicate"], ["show", "route", "table", "nosuch"], ["show", "route", "1.2.3.0/24"], ["enable", "nosuch"], ["eval", "1/0"]):
        assert client(node, *bad).returncode == 1, bad
    missing = subprocess.run([os.path.join(build_dir(), "peregrinec"), "-s", node.sock + ".no", "show", "status"], capture_output=True, text=True, check=False)
    assert missing.returncode == 1 and missing.stdout == "" and "No such file" in missing.stderr


def test_codes_and_abbreviations(node):
    out = client(node, "-v", "sh", "sym", "s1").stdout
    assert "1010 s1      \tprotocol" in out
    out = client(node, "-v", "show", "route", "count").stdout
    assert re.search(r"(?m)^1007-\d+ of \d+ routes for \d+ networks in table master4$", out)
    r = client(node, "s")  # only show begins so
    assert r.returncode == 1
    assert "Ambiguous command: re" in client(node, "re", "s1").stderr


def test_restricted(node):
    r = client(node, "-r", "disable", "s1")
    assert r.returncode == 1 and "Access restricted" in r.stdout and "Access denied" in r.stdout
    assert client(node, "-r", "show", "status").returncode == 0
    assert re.search(r"(?m)^s1 +Static +master4 +up", client(node, "show", "protocols").stdout)


JSON = {
    "show status": lambda d: d["router_id"] == "192.0.2.2",
    "show protocols": lambda d: {p["name"] for p in d} >= {"s1", "many", "wait", "bfd1"},
    "show protocols all": lambda d: next(p for p in d if p["name"] == "wait")["description"] == "nobody yet",
    "show protocols all wait": lambda d: len(d) == 1,
    "show route": lambda d: "198.51.100.0/24" in json.dumps(d),
    "show route all": lambda d: "198.51.100.0/24" in json.dumps(d),
    "show route for 198.51.100.65": lambda d: "198.51.100.64/26" in json.dumps(d) and "198.51.100.0/24" not in json.dumps(d),
    "show route count": lambda d: str(MANY) not in json.dumps(d) and "master4" in json.dumps(d),
    "show route table spare count": lambda d: d["tables"] == [{"table": "spare", "shown": MANY, "routes": MANY, "networks": MANY}],
    "show route table r4": lambda d: "64496" in json.dumps(d),
    "show route where net.len = 26": lambda d: "198.51.100.64/26" in json.dumps(d),
    "show bfd sessions": lambda d: "127.0.0.9" in json.dumps(d),
    "show failover": lambda d: True,
    "show interfaces": lambda d: "lo" in json.dumps(d),
    "show interfaces summary": lambda d: "lo" in json.dumps(d),
    "show symbols": lambda d: {"name": "good", "class": "filter"} in d,
    "show symbols function": lambda d: [x["name"] for x in d] == ["short"],
    "show symbols s1": lambda d: d == [{"name": "s1", "class": "protocol"}],
    "show memory": lambda d: d["resident"] > 1 << 20,
    "show static": lambda d: "198.51.100.0/24" in json.dumps(d),
    "show static s1": lambda d: "198.51.100.64/26" in json.dumps(d),
    "explain 198.51.100.64/26 export wait": lambda d: "reject" in json.dumps(d),
}


@pytest.mark.parametrize("command", JSON)
def test_json(node, command):
    """-j: one JSON document and nothing else."""
    r = client(node, "-j", *command.split())
    assert r.returncode == 0, r.stdout + r.stderr
    document = json.loads(r.stdout)
    assert JSON[command](document), r.stdout[:2000]


def test_json_of_an_error(node):
    r = client(node, "-j", "show", "route", "table", "nosuch")
    assert r.returncode == 1
    assert "nosuch" in r.stdout + r.stderr or "syntax" in r.stdout + r.stderr


def test_explain_names_statement_file_and_line(node):
    conf = node.file(".conf")
    with open(conf, encoding="utf-8") as f:
        lines = f.read().split("\n")
    at = 1 + next(i for i, line in enumerate(lines) if line.startswith("filter good"))
    out = client(node, "explain", "198.51.100.64/26", "export", "wait").stdout
    assert f"{conf}:{at}" in out and "reject" in out
    out = client(node, "explain", "198.51.100.0/24", "export", "wait").stdout
    assert f"{conf}:{at}" in out and "accept" in out


def test_long_replies_arrive_whole(node):
    """Text and JSON of many routes; a reader that stops half way makes no error but its own."""
    r = client(node, "show", "route", "table", "spare")
    assert len(re.findall(r"(?m)^10\.\d+\.\d+\.0/24 ", r.stdout)) == MANY
    d = client(node, "-j", "show", "route", "table", "spare", "all")
    assert len(set(re.findall(r'"10\.\d+\.\d+\.0/24"', json.dumps(json.loads(d.stdout))))) == MANY
    half = subprocess.run(f"{build_dir()}/peregrinec -s {node.sock} show route table spare all | head -3", shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert len(half.stdout.splitlines()) == 3
    assert client(node, "show", "status").returncode == 0


def test_watch(node):
    p = subprocess.Popen([os.path.join(build_dir(), "peregrinec"), "-s", node.sock, "watch", "1", "eval", "40+2"], stdout=subprocess.PIPE, text=True)
    try:
        assert [p.stdout.readline() for _ in range(4)][1:] == ["42\n"] * 3
        assert p.poll() is None
    finally:
        p.kill()
        p.wait()


class Terminal:
    """The client at a prompt, in a terminal of so many rows."""

    def __init__(self, node, home, rows=24, **env):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.environ.update({"HOME": str(home), "TERM": "vt100", "PAGER": "cat", **env})
            os.execv(os.path.join(build_dir(), "peregrinec"), ["peregrinec", "-s", node.sock])
        self.pid, self.seen = pid, ""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 200, 0, 0))

    def expect(self, pattern, limit=20):
        end = time.monotonic() + limit
        while not (m := re.search(pattern, self.seen)):
            if time.monotonic() > end or not select.select([self.fd], [], [], 1)[0] and time.monotonic() > end:
                raise AssertionError(f"no {pattern!r} in {self.seen[-1500:]!r}")
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    raise AssertionError(f"ended: {self.seen[-1500:]!r}") from None
        self.seen = self.seen[m.end():]
        return m

    def send(self, text):
        os.write(self.fd, text.encode())

    def quit(self):
        self.send("quit\r")
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def test_prompt_completion_and_history(node, tmp_path):
    t = Terminal(node, tmp_path)
    t.expect("peregrine> ")
    t.send("show pro\t")
    t.expect("tocols ")
    t.send("wai\t\r")  # a name of the configuration
    t.expect(r"wait +BGP")
    t.expect("peregrine> ")
    t.send("eval 6*7\r")
    t.expect("42\r\n")
    t.expect("peregrine> ")
    t.send("nonsense\r")
    t.expect("Unknown command")
    t.expect("peregrine> ")
    assert t.quit() == 0
    kept = (tmp_path / ".peregrinec_history").read_text()
    assert "eval" in kept and "protocols" in kept
    again = Terminal(node, tmp_path)
    again.expect("peregrine> ")
    again.send("\x10\x10\x10")  # ^P: back in the history, past quit and nonsense
    again.send("\r")
    again.expect("42\r\n")
    again.expect("peregrine> ")
    assert again.quit() == 0


def test_pager_only_for_what_is_longer_than_the_screen(node, tmp_path):
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho PAGED\nexec cat\n")
    pager.chmod(0o755)
    t = Terminal(node, tmp_path, rows=10, PAGER=str(pager))
    t.expect("peregrine> ")
    t.send("eval 1+1\r")
    assert "PAGED" not in t.expect(r"(?s)eval.*?\n2\r\n").group(0)
    t.expect("peregrine> ")
    t.send("show route table spare\r")
    t.expect("PAGED")
    t.expect(r"10\.78\.\d+\.0/24")
    t.expect("peregrine> ")
    assert t.quit() == 0


def test_socket_mode_and_group(node):
    """Who may give orders is a matter of the socket's mode and group."""
    assert os.stat(node.sock).st_mode & 0o777 == 0o660
