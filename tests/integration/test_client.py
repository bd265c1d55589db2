# SPDX-License-Identifier: BSD-2-Clause
"""peregrinec against a running daemon: text, JSON, exit status, long replies, the prompt with history, completion and pager."""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import termios
import time

import pytest
from netlab import Lab, build_dir
from netlab.daemons import Peregrine
from netlab.proc import end_process, wait_for

pytestmark = pytest.mark.ours
MANY = 20000

CONFIG = """
log "%s" all;
router id 192.0.2.2;
ipv4 table spare;
ipv4 table piped;
roa4 table r4;
define LIMIT = 24;
function short(prefix p) -> bool { return p.len <= LIMIT; }
filter good { if ! short(net) then reject "too long"; accept; }
protocol device { }
protocol direct { ipv4; }
protocol pipe p1 { table master4; peer table piped; }
protocol static s1 { ipv4; route 198.51.100.0/24 blackhole; route 198.51.100.64/26 unreachable; }
protocol static many { ipv4 { table spare; }; %s }
protocol static roas { roa4 { table r4; }; route 198.51.100.0/24 max 24 as 64496; }
protocol bfd { neighbor 127.0.0.9 dev "lo"; }
protocol bgp wait { local 127.0.0.1 as 64500; neighbor 127.0.0.7 as 64501; multihop; passive; description "nobody yet";
	ipv4 { import filter good; export filter good; }; }
"""


def text(node, routes):
    return CONFIG % (node.log_path, " ".join(f"route 10.{i >> 8}.{i & 255}.0/24 blackhole;" for i in range(routes)))


@pytest.fixture(scope="module")
def node():
    with Lab() as lab:
        lab.add("solo")
        n = Peregrine(lab, "solo")
        n.start(text(n, MANY))
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


def test_every_show_command_has_json(node, tmp_path):
    """What the client offers after `show` at a prompt is what there is: each has a document, in each of its forms."""
    t = Terminal(node, tmp_path)
    t.expect("peregrine> ")
    t.send("show \t")
    offered = set(t.expect(r"\r?\n((?:\w+  )+)\r?\n").group(1).split())
    t.send("status\r")
    t.expect("up and running")
    t.expect("peregrine> ")
    assert t.quit() == 0
    tried = {c.split()[1] for c in JSON if c.startswith("show ")}
    assert offered == tried, f"no test of the JSON of {sorted(offered ^ tried)}"
    for command in ("show protocols \"s*\"", "show protocols all \"*\"", "show route table all", "show route table all count", "show route stats", "show route primary",
                    "show route filtered", "show route in 198.51.100.0/24", "show route 198.51.100.0/24 all", "show route export p1", "show route preexport p1",
                    "show route noexport p1", "show route exported p1", "show route protocol s1", "show route filter good", "show route filter { accept; } count",
                    "show bfd sessions all", "show bfd sessions bfd1 ipv4", "show symbols table", "show symbols filter", "show symbols protocol", "show symbols template",
                    "explain 198.51.100.64/26 wait", "explain 198.51.100.64/26 import wait"):
        r = client(node, "-j", command)
        assert r.returncode == 0, (command, r.stdout, r.stderr)
        json.loads(r.stdout)
    # an answer that is an error is one line of text, and the status says so
    for command in ("show protocols nosuch", "show bogus", "show static wait", "show ospf"):
        r = client(node, "-j", command)
        assert r.returncode == 1, (command, r.stdout)
    # nothing found is a document with nothing in it
    assert json.loads(client(node, "-j", "show", "route", "1.2.3.0/24").stdout)["routes_shown"] == []


class Session:
    """A connection to the control socket, line by line."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.reader = self.socket.makefile("rb")
        assert self.line().startswith(b"0001 BIRD 2.")

    def line(self):
        line = self.reader.readline()
        assert line, "closed"
        return line

    def send(self, command):
        self.socket.sendall(command + b"\n")

    def ask(self, command):
        self.send(command)
        lines = [self.line()]
        while not re.match(rb"\d{4} ", lines[-1]):
            lines.append(self.line())
        return lines

    def close(self):
        self.reader.close()
        self.socket.close()


UNDO = b"+Config timeout expired, starting undo\n"


def test_configuration_while_routes_are_on_their_way_out(node, tmp_path):
    """Twenty thousand withdrawals take longer than the next command: the routes that it brings are for the next start."""
    more = tmp_path / "more.conf"
    more.write_text(text(node, MANY + 1))
    s = Session(node.sock)
    for first in ("disable many", "restart many"):
        assert s.ask(f'configure "{more}"'.encode())[-1] == b"0003 Reconfigured\n"
        s.send("\n".join([first, "configure undo", "enable many", "eval 4"]).encode())
        while s.line() != b"0023 4\n":
            pass
        wait_for(lambda: f"{MANY} of {MANY} routes" in client(node, "show", "route", "table", "spare", "count").stdout, "the routes are back")
    s.close()


def test_the_end_of_a_timeout_is_told_to_who_asked(node, tmp_path):
    """`configure timeout`: the undo that comes by itself is a line of its own for the session that waits, and for no other; a
    confirmed one, one that a later configure replaces, and one whose asker has gone are told to nobody."""
    waits, other, gone = Session(node.sock), Session(node.sock), Session(node.sock)
    assert waits.ask(b"configure timeout 1")[-2:] == [b"0022-Undo scheduled in 1 s\n", b"0003 Reconfigured\n"]
    assert waits.line() == UNDO
    assert waits.ask(b"configure confirm")[-1].startswith(b"0019 ")
    # replaced: the second one's asker hears of it, once
    other.ask(b"configure timeout 1")
    waits.ask(b"configure timeout 1")
    assert waits.line() == UNDO
    assert other.ask(b"eval 1")[-1] == b"0023 1\n"
    # not idle when it ends: told between two replies
    waits.ask(b"configure timeout 1")
    waits.send(b"show route table spare\n" * 3 + b"eval 2")
    seen = [waits.line()]
    while seen[-1] != b"0023 2\n":
        seen.append(waits.line())
    if UNDO in seen:
        at = seen.index(UNDO)
        assert at == 0 or re.match(rb"\d{4} ", seen[at - 1]), seen[at - 1]
    else:
        assert waits.line() == UNDO
    gone.ask(b"configure timeout 1")
    gone.close()
    deadline = time.monotonic() + 20
    while b"unconfirmed" in b"".join(other.ask(b"configure status")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    waits.ask(b"configure timeout 60")
    assert waits.ask(b"configure confirm")[-1].startswith(b"0018 ")
    assert waits.ask(b"eval 3")[-1] == b"0023 3\n"
    # at the prompt of the client, without a key being pressed
    t = Terminal(node, tmp_path)
    t.expect("peregrine> ")
    t.send("configure timeout 1\r")
    t.expect("Reconfigured")
    t.expect(">>> Config timeout expired, starting undo")
    t.expect("peregrine> ")
    t.send("eval 6*7\r")
    t.expect("42\r\n")
    t.expect("peregrine> ")
    assert t.quit() == 0


class Users:
    """A daemon with a socket for a group, and people who try it: neither root nor in the daemon's own group."""

    GROUP, OTHER = 4242, 4243

    def __init__(self, lab, directory):
        self.lab, self.dir, self.sock = lab, directory, directory + "/ctl"
        self.conf = directory + "/conf"
        shutil.copy(os.path.join(build_dir(), "peregrinec"), directory)
        self.process = None

    def start(self, text, *options):
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(text)
        self.process = self.lab.popen("solo", [os.path.join(build_dir(), "peregrined"), "-f", "-c", self.conf, "-s", self.sock, *options], log=self.dir + "/out")
        wait_for(self.answers, "the daemon answers", failed=lambda: None if self.process.poll() is None else open(self.dir + "/out", encoding="utf-8").read())

    def answers(self):
        try:
            Session(self.sock).close()
            return True
        except OSError:
            return False

    def tries(self, groups, sock, *words):
        """As nobody, with these groups beside nobody's own."""
        return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", *([f"--groups={groups}"] if groups else ["--clear-groups"]), "--inh-caps=-all",
                               self.dir + "/peregrinec", "-s", sock, *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def users(node):
    directory = tempfile.mkdtemp(prefix="peregrine-users-", dir="/tmp")
    u = Users(node.lab, directory)
    try:
        os.chmod(directory, 0o755)
        yield u
    finally:
        if u.process:
            end_process(u.process)
        shutil.rmtree(directory, ignore_errors=True)


SMALL = 'log "%s/log" all; router id 192.0.2.2; protocol device { } protocol static s1 { ipv4; route 198.51.100.0/24 blackhole; } %s'


def test_socket_mode_and_group(node, users):
    """Who may give orders is a matter of the socket's mode and group: -g names it."""
    assert os.stat(node.sock).st_mode & 0o777 == 0o660
    extra = users.dir + "/look"
    users.start(SMALL % (users.dir, f'cli "{extra}" {{ restrict; }};'), "-g", str(users.GROUP))
    for sock in (users.sock, extra):
        st = os.stat(sock)
        assert (st.st_uid, st.st_gid, st.st_mode & 0o777) == (0, users.GROUP, 0o660), sock
        assert users.tries(users.GROUP, sock, "show", "status").returncode == 0
        for groups in (None, users.OTHER):
            r = users.tries(groups, sock, "show", "status")
            assert r.returncode == 1 and "Permission denied" in r.stderr and not r.stdout, (sock, groups)
    # the one that `cli` opens is restricted, the other is not
    r = users.tries(users.GROUP, extra, "disable", "s1")
    assert r.returncode == 1 and "Access denied" in r.stdout
    assert users.tries(users.GROUP, extra, "show", "route").returncode == 0
    assert "s1: disabled" in users.tries(users.GROUP, users.sock, "disable", "s1").stdout


def test_socket_of_an_unprivileged_daemon(users):
    """-u and -g: the socket is theirs, and it goes with the daemon though root made it."""
    os.chown(users.dir, 65534, users.GROUP)
    users.start(SMALL % (users.dir, ""), "-u", "65534", "-g", str(users.GROUP))
    st = os.stat(users.sock)
    assert (st.st_uid, st.st_gid, st.st_mode & 0o777) == (65534, users.GROUP, 0o660)
    assert users.tries(users.OTHER, users.sock, "show", "status").returncode == 0, "the daemon's own user"
    assert users.tries(users.GROUP, users.sock, "down").returncode == 0
    assert users.process.wait(20) == 0
    assert not os.path.exists(users.sock)


def test_sockets_come_and_go_with_the_configuration(users):
    """A reload opens what `cli` names anew, closes what it names no more, and takes `restrict` over; the sessions that are open go on."""
    one, two = users.dir + "/one", users.dir + "/two"
    users.start(SMALL % (users.dir, f'cli "{one}";'), "-g", str(users.GROUP))
    session = Session(one)
    assert session.ask(b"enable s1")[0] == b"0010-s1: already enabled\n"
    with open(users.conf, "w", encoding="ascii") as f:
        f.write(SMALL % (users.dir, f'cli "{two}" {{ restrict; }};'))
    assert session.ask(b"configure")[-1] == b"0003 Reconfigured\n"
    assert not os.path.exists(one)
    assert session.ask(b"eval 1")[-1] == b"0023 1\n", "the session that asked for it"
    st = os.stat(two)
    assert (st.st_gid, st.st_mode & 0o777) == (users.GROUP, 0o660)
    assert Session(two).ask(b"enable s1")[-1] == b"8007 Access denied\n"
    with open(users.conf, "w", encoding="ascii") as f:
        f.write(SMALL % (users.dir, f'cli "{two}"; cli "{one}" {{ restrict; }};'))
    assert session.ask(b"configure")[-1] == b"0003 Reconfigured\n"
    assert Session(two).ask(b"enable s1")[0] == b"0010-s1: already enabled\n"
    assert Session(one).ask(b"enable s1")[-1] == b"8007 Access denied\n"
