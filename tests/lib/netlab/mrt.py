# SPDX-License-Identifier: BSD-2-Clause
"""Reads MRT files (RFC 6396, RFC 8050): what a test wants to know of them, and nothing is forgiven."""
import socket
import struct

ADDPATH = {8: 2, 10: 4}  # subtype -> the one without path ids


class Cut:
    """Bytes taken from the front; too few are an error."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if self.at + n > len(self.data):
            raise ValueError(f"{n} bytes wanted, {len(self.data) - self.at} left")
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), "big")

    def address(self, v6):
        return socket.inet_ntop(socket.AF_INET6 if v6 else socket.AF_INET, self.take(16 if v6 else 4))

    def prefix(self, v6):
        bits = self.number(1)
        raw = self.take((bits + 7) // 8).ljust(16 if v6 else 4, b"\0")
        return f"{socket.inet_ntop(socket.AF_INET6 if v6 else socket.AF_INET, raw)}/{bits}"

    def left(self):
        return len(self.data) - self.at

    def ended(self):
        if self.left():
            raise ValueError(f"{self.left()} bytes too many")


def records(path):
    """(time, type, subtype, body) of each record of a file."""
    with open(path, "rb") as f:
        data = Cut(f.read())
    while data.left():
        when, kind, subtype, length = struct.unpack("!IHHI", data.take(12))
        yield when, kind, subtype, data.take(length)


def attributes(raw):
    """type -> value"""
    c, out = Cut(raw), {}
    while c.left():
        flags, code = c.number(1), c.number(1)
        out[code] = c.take(c.number(2 if flags & 0x10 else 1))
    return out


def as_path(value):
    c, out = Cut(value), []
    while c.left():
        c.number(1)
        out += [c.number(4) for _ in range(c.number(1))]
    return out


class Table:
    """One table of a TABLE_DUMP_V2 file: view, router_id, peers [(id, address, as)], routes {prefix: [route]}."""

    def __init__(self, path):
        self.routes, self.sequences = {}, []
        all_records = list(records(path))
        assert [r[1:3] for r in all_records][0] == (13, 1), "the first record is the peer index table"
        self._peers(Cut(all_records[0][3]))
        for _, kind, subtype, body in all_records[1:]:
            assert kind == 13
            self._net(subtype, Cut(body))
        assert all(a + 1 == b for a, b in zip(self.sequences, self.sequences[1:])), "records are numbered"

    def _peers(self, c):
        self.router_id = c.address(False)
        self.view = c.take(c.number(2)).decode()
        self.peers = []
        for _ in range(c.number(2)):
            kind = c.number(1)
            assert kind & 2, "AS numbers of four bytes"
            self.peers.append((c.address(False), c.address(kind & 1), c.number(4)))
        c.ended()

    def _net(self, subtype, c):
        add_path, v6 = subtype in ADDPATH, ADDPATH.get(subtype, subtype) == 4
        self.sequences.append(c.number(4))
        net = c.prefix(v6)
        n = c.number(2)
        assert n, "no record without entries"
        for _ in range(n):
            route = {"peer": self.peers[c.number(2)], "time": c.number(4), "path_id": c.number(4) if add_path else None}
            route["attributes"] = attributes(c.take(c.number(2)))
            self.routes.setdefault(net, []).append(route)
        c.ended()


def messages(path):
    """BGP4MP records: dicts with what is in them; a message's type is message[18]."""
    out = []
    for when, kind, subtype, body in records(path):
        assert kind == 16
        c, as4 = Cut(body), subtype in (4, 5, 9)
        m = {"time": when, "peer_as": c.number(4 if as4 else 2), "local_as": c.number(4 if as4 else 2), "ifindex": c.number(2)}
        v6 = c.number(2) == 2
        m.update(peer=c.address(v6), local=c.address(v6), subtype=subtype)
        if subtype == 5:
            m.update(old=c.number(2), new=c.number(2))
        else:
            m["message"] = c.take(c.left())
            assert m["message"][:16] == b"\xff" * 16 and int.from_bytes(m["message"][16:18], "big") == len(m["message"])
        c.ended()
        out.append(m)
    return out
