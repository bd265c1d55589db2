# SPDX-License-Identifier: BSD-2-Clause
"""Bad input of every kind: one readable line, and nothing lost."""
import contextlib
import os
import re
import socket
import struct
import subprocess
import time

import pytest
from netlab import BirdError, build_dir, wait_for
from netlab.pair import NODE, PEER, PEER_NET

IPC_MAGIC = 0x50475243
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "shared", "ipc.h"), encoding="ascii") as _f:
    IPC_VERSION = int(re.search(r"#define IPC_VERSION (\d+)u", _f.read()).group(1))  # peregrined and peregrine-dp of one build have the same
HELLO, WELCOME = 1, 2


def daemon(*argv, role=None, lab=None, timeout=20, user=None):
    """Runs one of our programs until it ends by itself; returns its exit status and what it wrote."""
    argv = [os.path.join(build_dir(), argv[0]), *argv[1:]]
    if user:
        argv = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all", "--", *argv]
    if lab:
        argv = lab.command(role, *argv)
    p = subprocess.run(argv, text=True, capture_output=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL)
    return p.returncode, p.stderr + p.stdout


def one_line(text):
    """The message: exactly one line that says what is wrong (EAL and others may not chatter)."""
    lines = [x for x in text.strip().splitlines() if x.strip()]
    assert len(lines) == 1, f"not one line:\n{text}"
    return lines[0]


# ---- configuration ----

@pytest.mark.ours
@pytest.mark.parametrize("text,line,col", [
    ("router id 1.2.3.4;\nprotocl device { }\n", 2, 1),
    ("router id 1.2.3.4;\nprotocol bgp x {\n\tlocal as 64500;\n\tneighbor 192.0.2.1;\n\tipv4 { import all; export all; };\n}\n", 6, 1),
    ("define A = 1;\nfilter f { if B then accept; reject; }\n", 2, 15),
    ("include \"/nonexistent/file.conf\";\n", 1, 9),
    ("log \"/dev/null\" all;\nprotocol static { ipv4; route 192.0.2.1/24 blackhole; }\n", 2, 31),
])
def test_broken_configuration_at_the_start(tmp_path, text, line, col):
    conf = tmp_path / "broken.conf"
    conf.write_text(text)
    for flags in (["-p"], ["-f"]):
        status, out = daemon("peregrined", *flags, "-c", str(conf), "-s", str(tmp_path / "x.ctl"))
        assert status == 1
        m = re.search(rf"{re.escape(str(conf))}:(\d+):(\d+) (.+)", one_line(out))
        assert m, out
        assert int(m.group(1)) == line or line == 6, out
        assert not (tmp_path / "x.ctl").exists()


@pytest.mark.ours
def test_good_configuration_is_silent(tmp_path):
    conf = tmp_path / "good.conf"
    conf.write_text("router id 1.2.3.4;\nprotocol device { }\n")
    assert daemon("peregrined", "-p", "-c", str(conf)) == (0, "")


@pytest.mark.ours
def test_no_configuration_file(tmp_path):
    status, out = daemon("peregrined", "-f", "-c", str(tmp_path / "none.conf"), "-s", str(tmp_path / "x.ctl"))
    assert status == 1
    assert "none.conf" in one_line(out)


# ---- what the system refuses ----

@contextlib.contextmanager
def taken(lab, port):
    """Somebody else listens on the port in the node's namespace, on all addresses of both families."""
    with contextlib.ExitStack() as stack:
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            with lab.inside("node"):
                s = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind((address, port))
            s.listen(1)
        yield


@pytest.mark.ours
def test_port_in_use_at_the_start(make_pair):
    p = make_pair("bird")
    p.node.write(".conf", p.config())
    with taken(p.lab, 179):
        q = subprocess.run(p.lab.command("node", *p.node.argv()), text=True, capture_output=True, timeout=20, check=False)
        assert q.returncode == 1
        assert re.search(r"port 179: Address already in use", one_line(q.stderr)), q.stderr
    p.start().up()


@pytest.mark.ours
def test_port_in_use_at_a_reload_changes_nothing(make_pair):
    p = make_pair("bird").start().up()
    before = p.ctl.session_since("peer_v4", "peer_v6")
    other = p.config().replace(f"local {NODE[6]} as", f"local {NODE[6]} port 1790 as")
    with taken(p.lab, 1790), pytest.raises(BirdError) as e:
        p.node.configure(other)
    assert re.search(r"port 1790: Address already in use", e.value.text), e.value.text
    assert p.ctl.session_since("peer_v4", "peer_v6") == before


def test_control_socket_in_use(make_pair):
    p = make_pair("bird").start()
    argv = p.node.argv()
    q = subprocess.run(p.lab.command("node", *argv), text=True, capture_output=True, timeout=20, check=False)
    assert q.returncode == 1
    assert re.search(r"(?i)in use|another|running", q.stderr), q.stderr
    assert p.ctl.cmd("show status")


@pytest.mark.ours
def test_no_such_interface(lab):
    lab.add("node")
    status, out = daemon("peregrine-dp", "--socket", lab.path("dp.sock"), "--port", "af_xdp:nosuch0", lab=lab, role="node")
    assert status != 0
    assert "nosuch0" in one_line(out)
    assert not os.path.exists(lab.path("dp.sock"))


@pytest.mark.ours
@pytest.mark.parametrize("argv,names", [
    (["--port", "af_xdp:lo"], "--socket"),
    (["--socket", "SOCK", "--port", "carrier_pigeon:eth0"], "carrier_pigeon"),
    (["--socket", "SOCK", "--port", "af_xdp"], "af_xdp"),
    (["--socket", "SOCK", "--nonsense"], "nonsense"),
])
def test_dataplane_options(lab, argv, names):
    lab.add("node")
    status, out = daemon("peregrine-dp", *[lab.path("dp.sock") if a == "SOCK" else a for a in argv], lab=lab, role="node")
    assert status != 0
    assert names in out, out


@pytest.mark.ours
def test_no_privilege_dataplane(lab):
    lab.add("node", "peer")
    lab.link("a", ("node", "up0", ["192.0.2.2/24"]), ("peer", "x0", ["192.0.2.1/24"]))
    os.chmod(lab.dir, 0o777)
    status, out = daemon("peregrine-dp", "--socket", lab.path("dp.sock"), "--port", "af_xdp:up0", lab=lab, role="node", user=65534)
    assert status != 0
    assert re.search(r"(?i)CAP_|permission|privilege|not permitted|root", one_line(out)), out


@pytest.mark.ours
def test_no_privilege_control_plane(make_pair):
    """Without the right to bind port 179 or to change routes peregrined says which is missing; it goes on or it ends, but
    not silently."""
    p = make_pair(None)
    os.chmod(p.lab.dir, 0o777)
    p.node.write(".conf", p.config())
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--", *p.node.argv()]
    p.node.spawn(p.node.name, argv, p.node.file(".out"))
    p.lab.processes[-1].poll()

    def said():
        text = p.node.log_text() + p.node.last_words()
        return re.search(r"(?i)permission|not permitted|CAP_", text)
    assert wait_for(said, "it says that a permission is missing")


# ---- the socket between the two programs ----

@pytest.mark.ours
def test_dataplane_absent_then_there(make_pair):
    p = make_pair("bird", dataplane=True)
    p.peer.start()
    p.node.write(".conf", p.config())
    p.node.spawn(p.node.name, p.node.argv(), p.node.file(".out"))
    p.wait(lambda: p.ctl.established("peer_v4", "peer_v6"), "BGP comes up without the dataplane")
    p.logged(r"(?i)dataplane|" + re.escape(p.node.dp_sock))
    assert not any(b["state"] in ("Up", "Down") for b in p.ctl.bfd_sessions().values())
    p.node.start_dp()
    p.up()


@pytest.mark.ours
def test_dataplane_of_another_version(make_pair):
    """A dataplane that answers HELLO with another version is named with both versions, and BGP stays."""
    p = make_pair("bird", dataplane=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(p.node.dp_sock)
        listener.listen(4)
        listener.settimeout(20)
        p.peer.start()
        p.node.write(".conf", p.config())
        p.node.spawn(p.node.name, p.node.argv(), p.node.file(".out"))
        conn, _ = listener.accept()
        with conn:
            conn.settimeout(20)
            hello = conn.recv(1024)
            kind, _, ident, magic, version = struct.unpack_from("=HHIII", hello)
            assert (kind, magic, version) == (HELLO, IPC_MAGIC, IPC_VERSION)
            text = b"speaks version 99"
            body = struct.pack("=IIQIi160s", IPC_MAGIC, 99, 1, 0, 71, text)
            conn.send(struct.pack("=HHI", WELCOME, 8 + len(body), ident) + body)
            p.logged(r"(?i)version")
        p.wait(lambda: p.ctl.established("peer_v4", "peer_v6"), "BGP sessions all the same")


@pytest.mark.ours
@pytest.mark.parametrize("what", ["version", "magic", "garbage", "short"])
def test_client_of_another_version(make_pair, what):
    """The dataplane answers with its own version and a text, closes, and its other sessions don't notice."""
    p = make_pair("bird", dataplane=True).start().up()
    before = p.ctl.session_since("peer_v4", "peer_v6")
    hello = struct.pack("=HHIIIII32s", HELLO, 56, 7, IPC_MAGIC if what != "magic" else 0x12345678,
                        99 if what == "version" else IPC_VERSION, 0, 0, b"a test")
    if what == "garbage":
        hello = os.urandom(200)
    elif what == "short":
        hello = hello[:11]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(10)
        s.connect(p.node.dp_sock)
        s.send(hello)
        answer = s.recv(1024)
        if what == "version":
            kind, _, ident, magic, version = struct.unpack_from("=HHIII", answer)
            assert (kind, ident, magic, version) == (WELCOME, 7, IPC_MAGIC, IPC_VERSION)
            error, = struct.unpack_from("=i", answer, 28)
            assert error != 0 and b"version" in answer
            answer = s.recv(1024)
        if what in ("version", "garbage", "short", "magic"):
            # whatever was answered first, the end follows
            with contextlib.suppress(ConnectionResetError):
                while answer:
                    answer = s.recv(1024)
    assert p.node.dead() is None
    p.wait(lambda: p.ctl.bfd_up(*PEER.values()), "BFD Up")
    assert p.ctl.session_since("peer_v4", "peer_v6") == before


# ---- malformed packets ----

MARKER = b"\xff" * 16


def message(kind, body=b"", marker=MARKER, length=None):
    return marker + struct.pack("!HB", (19 + len(body)) if length is None else length, kind) + body


def open_message(asn=64496, hold=90, ident=PEER[4], version=4, params=b"\x02\x06\x01\x04\x00\x01\x00\x01"):
    return message(1, struct.pack("!BHH4sB", version, asn, hold, socket.inet_aton(ident), len(params)) + params)


class RawPeer:
    """A BGP speaker by hand, listening in the peer's namespace."""

    def __init__(self, lab):
        with lab.inside("peer"):
            self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((PEER[4], 179))
        self.listener.listen(4)
        self.listener.settimeout(30)
        self.s = None

    def accept(self):
        if self.s:
            self.s.close()
        self.s, _ = self.listener.accept()
        self.s.settimeout(30)
        self.f = self.s.makefile("rb")

    def read(self):
        """(type, body); None at the end."""
        head = self.f.read(19)
        if len(head) < 19:
            return None
        assert head[:16] == MARKER
        length, kind = struct.unpack("!HB", head[16:])
        return kind, self.f.read(length - 19)

    def read_until(self, kind):
        while True:
            m = self.read()
            assert m is not None, f"closed before a message of type {kind}"
            if m[0] == kind:
                return m[1]
            if m[0] == 3:
                raise AssertionError(f"NOTIFICATION {m[1][:2].hex()}")

    def establish(self):
        self.accept()
        self.read_until(1)
        self.s.sendall(open_message() + message(4))
        self.read_until(4)

    def notification(self):
        while True:
            m = self.read()
            if m is None:
                return None
            if m[0] == 3:
                return m[1][0], m[1][1]

    def close(self):
        for s in (self.s, self.listener):
            if s:
                s.close()


@pytest.fixture
def raw(make_pair):
    p = make_pair(None)
    peer = RawPeer(p.lab)
    p.start(p.config(bfd="", families=(4,)))
    yield p, peer
    peer.close()


@pytest.mark.parametrize("sent,code", [
    (message(4, marker=b"\x00" * 16), (1, 1)),
    (message(4, length=18), (1, 2)),
    (message(4, length=5000), (1, 2)),
    # RFC 4271 section 6.1; stock BIRD lets it pass
    pytest.param(message(4, b"x"), (1, 2), marks=pytest.mark.ours),
    (message(9), (1, 3)),
    (message(2, b"\xff\xff\x00\x00"), (3, 1)),
    (message(2, b"\x00\x00\xff\xff"), (3, 1)),
    (open_message(), (5, 3)),
], ids=["marker", "too short", "too long", "keepalive with a body", "unknown type", "withdrawn length", "attribute length", "OPEN again"])
def test_malformed_bgp_on_an_established_session(raw, sent, code):
    p, peer = raw
    peer.establish()
    p.wait(lambda: p.ctl.established("peer_v4"), "Established")
    peer.s.sendall(sent)
    got = peer.notification()
    assert got is not None and got[0] == code[0] and (got[1] == code[1] or code[0] == 5), got
    p.wait(lambda: re.search(r"Last error:", p.ctl.protocol_all("peer_v4")), "the error is shown")
    p.logged(r"<RMT> peer_v4: ")
    assert p.node.dead() is None
    peer.establish()
    p.wait(lambda: p.ctl.established("peer_v4"), "Established again")


@pytest.mark.parametrize("sent,code", [
    (open_message(version=3), (2, 1)),
    (open_message(asn=64999), (2, 2)),
    (open_message(ident="0.0.0.0"), (2, 3)),
    (open_message(hold=2), (2, 6)),
    (open_message(params=b"\x02\xff\x01\x04"), (2, 0)),
], ids=["version", "peer AS", "identifier", "hold time", "parameters"])
def test_malformed_open(raw, sent, code):
    p, peer = raw
    peer.accept()
    peer.read_until(1)
    peer.s.sendall(sent)
    got = peer.notification()
    assert got is not None and got[0] == code[0] and (code[1] == 0 or got[1] == code[1]), got
    p.wait(lambda: re.search(r"Last error:", p.ctl.protocol_all("peer_v4")), "the error is shown")
    assert p.node.dead() is None
    peer.establish()
    p.wait(lambda: p.ctl.established("peer_v4"), "Established afterwards")


def attribute(flags, kind, value):
    return struct.pack("!BBB", flags, kind, len(value)) + value


GOOD = attribute(0x40, 1, b"\0") + attribute(0x40, 2, b"\x02\x01" + struct.pack("!H", 64496)) + attribute(0x40, 3, socket.inet_aton(PEER[4]))
NLRI = b"\x18" + bytes([203, 0, 113])


def update(attributes, nlri=NLRI):
    return message(2, struct.pack("!HH", 0, len(attributes)) + attributes + nlri)


@pytest.mark.parametrize("attributes", [
    attribute(0x40, 1, b"\x09") + GOOD[4:],
    attribute(0x40, 1, b"\0\0") + GOOD[4:],
    GOOD + attribute(0x80, 4, b"\0\0\0"),
    GOOD + attribute(0xC0, 8, b"\0\0\0"),
    GOOD[:-7],
], ids=["ORIGIN value", "ORIGIN length", "MED length", "COMMUNITY length", "no NEXT_HOP"])
def test_malformed_attributes_withdraw_the_route_and_keep_the_session(raw, attributes):
    """RFC 7606: treat as withdraw."""
    p, peer = raw
    peer.establish()
    p.wait(lambda: p.ctl.established("peer_v4"), "Established")
    peer.s.sendall(update(GOOD))
    p.wait(lambda: p.ctl.best(PEER_NET[4]), "the good route is there")
    before = p.ctl.session_since("peer_v4")
    peer.s.sendall(update(attributes))
    p.wait(lambda: p.ctl.best(PEER_NET[4]) is None, "the bad update withdrew it")
    peer.s.sendall(update(GOOD))
    p.wait(lambda: p.ctl.best(PEER_NET[4]), "the good route is back")
    assert p.ctl.session_since("peer_v4") == before


def bfd_packet(version=1, diag=0, state=3, flags=0, mult=3, length=24, mine=0x11111111, yours=0x22222222, tx=300000, rx=300000):
    return struct.pack("!BBBBIIIII", version << 5 | diag, state << 6 | flags, mult, length, mine, yours, tx, rx, 0)


@pytest.mark.parametrize("dataplane", [False, pytest.param(True, marks=pytest.mark.ours)], ids=["kernel sockets", "dataplane"])
def test_malformed_bfd_changes_nothing(make_pair, dataplane):
    p = make_pair("bird", dataplane=dataplane).start().up()
    before = p.ctl.bfd_sessions()
    junk = [b"", b"\0", os.urandom(23), os.urandom(24), os.urandom(60), bfd_packet(version=0), bfd_packet(version=2),
            bfd_packet(length=23), bfd_packet(length=25), bfd_packet(mult=0), bfd_packet(mine=0), bfd_packet(yours=0),
            bfd_packet(state=1, yours=0xdeadbeef), bfd_packet(flags=1), bfd_packet(flags=4), bfd_packet(state=1, diag=1)]
    for family, address in ((socket.AF_INET, NODE[4]), (socket.AF_INET6, NODE[6])):
        with p.lab.inside("peer"):
            s = socket.socket(family, socket.SOCK_DGRAM)
        with s:
            for ttl in (255, 64):
                if family == socket.AF_INET:
                    s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
                else:
                    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
                for packet in junk * 3:
                    s.sendto(packet, (address, 3784))
                # an honest-looking Down for the real session, but it came over a router
                if ttl == 64:
                    s.sendto(bfd_packet(state=1), (address, 3784))
    time.sleep(1.2)  # longer than the detection time: a session that was hurt would have gone down by now
    now = p.ctl.bfd_sessions()
    assert {a: b["since"] for a, b in now.items()} == {a: b["since"] for a, b in before.items()}
    assert all(b["state"] == "Up" for b in now.values())
    assert p.ctl.established("peer_v4", "peer_v6") and p.node.dead() is None


def test_one_broken_neighbour_does_not_disturb_the_other(make_pair):
    """The session that is sent rubbish ends; the other one is not touched."""
    p = make_pair("bird")
    third = {4: "192.0.2.3"}
    p.lab.ip("peer", "addr", "add", third[4] + "/24", "dev", "cust0")
    extra = f"""protocol bgp third_v4 {{
	local {NODE[4]} as 64500; neighbor {third[4]} as 64511; connect delay time 1; connect retry time 2; error wait time 1, 3;
	passive;
	ipv4 {{ import all; export all; }};
}}
"""
    p.start(p.config(extra=extra))
    p.up()
    before = p.ctl.session_since("peer_v4", "peer_v6")
    for rubbish in (b"GET / HTTP/1.0\r\n\r\n" + b"x" * 100, os.urandom(4096), message(2, b"\xff" * 60), open_message(asn=64511)[:25]):
        with p.lab.inside("peer"):
            s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with s, contextlib.suppress(ConnectionResetError, BrokenPipeError, ConnectionRefusedError, TimeoutError):
            s.settimeout(5)
            s.bind((third[4], 0))
            s.connect((NODE[4], 179))
            s.sendall(rubbish)
            while s.recv(4096):
                pass
    assert p.node.dead() is None
    assert p.ctl.session_since("peer_v4", "peer_v6") == before
