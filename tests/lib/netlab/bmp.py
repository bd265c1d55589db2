# SPDX-License-Identifier: BSD-2-Clause
"""A BMP station (RFC 7854) for tests: listens in a namespace of the lab and decodes what it is sent; nothing is forgiven."""
import socket
import threading

from .mrt import Cut, attributes

ROUTE, STATISTICS, DOWN, UP, INITIATION, TERMINATION = range(6)
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


class Station:
    """.log: (kind, ...) in order; .rib: {(peer address, "pre"|"post"): {(prefix, path id): attributes}} of peers that are up."""

    def __init__(self, lab, role, address, port=11019, read=True):
        with lab.inside(role):
            self.listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(4)
        self.log, self.rib, self.up, self.error, self.connections = [], {}, {}, None, 0
        self.end_of_rib, self.add_path = set(), set()
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
            self.end_of_rib = set()
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
            head = Cut(self._exactly(conn, 6))
            assert head.number(1) == 3, "version"
            length, kind = head.number(4), head.number(1)
            self._message(kind, Cut(self._exactly(conn, length - 6)))

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
        assert c.number(1) == 0, "global instance"
        flags = c.number(1)
        c.take(8)
        raw = Cut(c.take(16))
        if not flags & 0x80:
            raw.take(12)
        peer = raw.address(bool(flags & 0x80))
        asn, ident = c.number(4), c.address(False)
        c.take(8)
        which = (peer, "post" if flags & 0x40 else "pre")
        if kind == UP:
            local = Cut(c.take(16))
            if not flags & 0x80:
                local.take(12)
            info = {"as": asn, "id": ident, "local": local.address(bool(flags & 0x80)), "ports": (c.number(2), c.number(2)),
                    "opens": [bgp_message(c), bgp_message(c)]}
            assert [k for k, _ in info["opens"]] == [1, 1] and peer not in self.up
            self.up[peer] = info
            self.rib[(peer, "pre")], self.rib[(peer, "post")] = {}, {}
            self.log.append((UP, peer))
        elif kind == DOWN:
            reason = c.number(1)
            assert peer in self.up
            del self.up[peer], self.rib[(peer, "pre")], self.rib[(peer, "post")]
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
        else:
            raise AssertionError(f"message type {kind}")
        c.ended()

    def close(self):
        self.listener.close()
        if self.conn:
            self.conn.close()
