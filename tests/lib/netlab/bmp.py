# SPDX-License-Identifier: BSD-2-Clause
"""A BMP station (RFC 7854, 8671, 9069) for tests: listens in a namespace of the lab and decodes what it is sent; nothing is
forgiven."""
import socket
import struct
import subprocess
import threading

from .mrt import Cut, attributes

ROUTE, STATISTICS, DOWN, UP, INITIATION, TERMINATION, MIRROR = range(7)
ERRORED, LOST = range(2)  # information about a mirrored message
MARKER = b"\xff" * 16


def bgp_message(c):
    """One BGP message: (type, body)."""
    assert c.take(16) == MARKER
    length, kind = c.number(2), c.number(1)
    return kind, c.take(length - 19)


def nlri(c, v6, add_path):
    out = []
    while c.left():
        path_id = c.number(4) if add_path else 0
        out.append((c.prefix(v6), path_id))
    return out


def update(body, add_path=False):
    """(announced, withdrawn, attributes, v6): lists of (prefix, path id); both empty: End-of-RIB."""
    c = Cut(body)
    withdrawn = nlri(Cut(c.take(c.number(2))), False, add_path)
    attrs = attributes(c.take(c.number(2)))
    announced = nlri(c, False, add_path)
    v6 = False
    if 14 in attrs:
        m = Cut(attrs[14])
        v6 = m.number(2) == 2
        assert m.number(1) == 1
        m.take(m.number(1) + 1)
        announced += nlri(m, v6, add_path)
    if 15 in attrs:
        m = Cut(attrs[15])
        v6 = m.number(2) == 2
        assert m.number(1) == 1
        withdrawn += nlri(m, v6, add_path)
    return announced, withdrawn, attrs, v6


RIBS = {0: "pre", 0x40: "post", 0x10: "out pre", 0x50: "out post"}  # by flags
LOCAL = "local"


def tshark(messages, path, *fields):
    """What tshark makes of BMP messages: a tuple of its fields for each (several values of one are joined by commas), None for one
    that it calls malformed."""
    at = 1
    with open(path, "wb") as f:  # each message a TCP segment
        f.write(struct.pack("<IHHIIII", 0xa1b2c3d4, 2, 4, 0, 0, 1 << 18, 101))
        for m in messages:
            head = struct.pack("!BBHHHBBHII", 0x45, 0, 40 + len(m), 0, 0, 64, 6, 0, 0x7f000001, 0x7f000002)
            head += struct.pack("!HHIIHHHH", 50000, 11019, at, 1, 0x5018, 65535, 0, 0)
            f.write(struct.pack("<IIII", 0, 0, len(head + m), len(head + m)) + head + m)
            at += len(m)
    argv = ["tshark", "-n", "-r", path, "-d", "tcp.port==11019,bmp", "-T", "fields", "-e", "_ws.malformed", *(x for n in fields for x in ("-e", n))]
    out = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    rows = [line.split("\t") for line in out.splitlines()]
    return [None if r[0] else tuple(r[1:]) for r in rows]


class Station:
    """.log: (kind, ...) in order; .rib: {(peer address, "pre"|"post"|"out pre"|"out post"): {(prefix, path id): attributes}} of peers
    that are up, (LOCAL, LOCAL) for the Loc-RIB; .messages: all of this connection, as they came."""

    def __init__(self, lab, role, address, port=11019, read=True):
        with lab.inside(role):
            self.listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(4)
        self.log, self.rib, self.up, self.error, self.connections = [], {}, {}, None, 0
        self.end_of_rib, self.add_path, self.messages = set(), set(), []
        self.reading = threading.Event()
        if read:
            self.reading.set()
        self.conn = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.conn = conn
            self.connections += 1
            self.rib, self.up = {}, {}
            self.end_of_rib, self.messages = set(), []
            self.reading.wait()
            try:
                self._messages(conn)
            except (ConnectionError, OSError):
                pass
            except Exception as e:  # noqa: BLE001  what the decoder does not like is the test's finding
                self.error = e

    @staticmethod
    def _exactly(conn, n):
        data = b""
        while len(data) < n:
            part = conn.recv(n - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    def _messages(self, conn):
        while True:
            raw = self._exactly(conn, 6)
            head = Cut(raw)
            assert head.number(1) == 3, "version"
            length, kind = head.number(4), head.number(1)
            body = self._exactly(conn, length - 6)
            self.messages.append(raw + body)
            self._message(kind, Cut(body))

    def _message(self, kind, c):
        if kind == INITIATION:
            tlvs = {}
            while c.left():
                t = c.number(2)
                tlvs[t] = c.take(c.number(2)).decode()
            self.log.append((INITIATION, tlvs))
            return
        if kind == TERMINATION:
            assert c.number(2) == 1 and c.number(2) == 2
            self.log.append((TERMINATION, c.number(2)))
            return
        instance = c.number(1)
        assert instance in (0, 3), "global instance or Loc-RIB"
        flags = c.number(1)
        assert c.take(8) == bytes(8), "no distinguisher"
        raw = Cut(c.take(16))
        if not flags & 0x80:
            assert raw.take(12) == bytes(12)
        peer = raw.address(bool(flags & 0x80))
        asn, ident = c.number(4), c.address(False)
        c.take(8)
        if instance == 3:
            assert peer == "0.0.0.0" and flags == 0
            peer, which = LOCAL, (LOCAL, LOCAL)
        else:
            which = (peer, RIBS[flags & 0x7f])
        if kind == UP:
            local = Cut(c.take(16))
            if not flags & 0x80:
                local.take(12)
            info = {"as": asn, "id": ident, "local": local.address(bool(flags & 0x80)), "ports": (c.number(2), c.number(2)),
                    "opens": [bgp_message(c), bgp_message(c)]}
            assert [k for k, _ in info["opens"]] == [1, 1] and peer not in self.up
            if instance == 3:
                assert (c.number(2), c.take(c.number(2))) == (3, b"global"), "the table's name"
            for name in ([LOCAL] if instance == 3 else RIBS.values()):
                self.rib[(peer, name)] = {}
            self.up[peer] = info
            self.log.append((UP, peer))
        elif kind == DOWN:
            reason = c.number(1)
            assert peer in self.up
            del self.up[peer]
            for name in RIBS.values():
                del self.rib[(peer, name)]
            self.end_of_rib = {e for e in self.end_of_rib if e[0] != peer}
            self.log.append((DOWN, peer, reason, c.take(c.left())))
        elif kind == ROUTE:
            assert peer in self.up, "a route of a peer that is not up"
            k, body = bgp_message(c)
            assert k == 2
            announced, withdrawn, attrs, v6 = update(body, peer in self.add_path)
            if not announced and not withdrawn:
                self.end_of_rib.add((*which, 6 if v6 else 4))
            for key in withdrawn:
                self.rib[which].pop(key, None)
            for key in announced:
                self.rib[which][key] = attrs
        elif kind == STATISTICS:
            stats = {}
            for _ in range(c.number(4)):
                t = c.number(2)
                stats[t] = c.number(c.number(2))
            self.log.append((STATISTICS, peer, stats))
        elif kind == MIRROR:
            assert peer in self.up, "a message of a peer that is not up"
            information, message = [], None
            while c.left():
                assert message is None, "the message is the last TLV"
                t, body = c.number(2), Cut(c.take(c.number(2)))
                if t == 1:
                    information.append(body.number(2))
                else:
                    assert t == 0
                    message = body.take(body.left())
                body.ended()
            self.log.append((MIRROR, peer, message, information))
        else:
            raise AssertionError(f"message type {kind}")
        c.ended()

    def close(self):
        self.listener.close()
        if self.conn:
            self.conn.close()
