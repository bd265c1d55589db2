# SPDX-License-Identifier: BSD-2-Clause
"""A BGP neighbour that announces a table, announces it again with another next hop, and withdraws it, all from bytes made
beforehand: what is measured is never the generator."""
import ipaddress
import select
import socket
import struct
import threading
import time

MARKER = b"\xff" * 16
HOLD = 240


def message(kind, body=b""):
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def prefixes(family, start, n):
    """NLRI of prefixes start..start+n-1, in pieces of at most 200; numbered as tests/tools/fibwatch.c does."""
    for at in range(start, start + n, 200):
        upto = min(at + 200, start + n)
        if family == 4:
            yield b"".join(b"\x18" + struct.pack("!I", 0x14000000 + (i << 8))[:3] for i in range(at, upto))
        else:
            yield b"".join(b"\x30\x24\x00" + struct.pack("!I", i) for i in range(at, upto))


def attribute(flags, kind, value):
    if len(value) > 255:
        return struct.pack("!BBH", flags | 0x10, kind, len(value)) + value
    return struct.pack("!BBB", flags, kind, len(value)) + value


def announcements(family, start, n, asn, next_hop, path_len=2):
    hop = ipaddress.ip_address(next_hop).packed
    out = bytearray()
    for k, nlri in enumerate(prefixes(family, start, n)):
        path = [asn] + [65000 + k % 400] * (path_len - 1)
        attrs = attribute(0x40, 1, b"\0") + attribute(0x40, 2, struct.pack("!BB", 2, len(path)) + struct.pack(f"!{len(path)}I", *path))
        if family == 4:
            attrs += attribute(0x40, 3, hop)
            out += message(2, struct.pack("!HH", 0, len(attrs)) + attrs + nlri)
        else:
            attrs += attribute(0x80, 14, struct.pack("!HBB", 2, 1, 16) + hop + b"\0" + nlri)
            out += message(2, struct.pack("!HH", 0, len(attrs)) + attrs)
    return bytes(out)


def withdrawals(family, start, n):
    out = bytearray()
    for nlri in prefixes(family, start, n):
        if family == 4:
            out += message(2, struct.pack("!H", len(nlri)) + nlri + b"\0\0")
        else:
            attrs = attribute(0x80, 15, struct.pack("!HB", 2, 1) + nlri)
            out += message(2, struct.pack("!HH", 0, len(attrs)) + attrs)
    return bytes(out)


class Feeder:
    """Keeps a session up from a thread of its own, connecting again when it is lost; `table` is sent whenever it comes up."""

    def __init__(self, lab, role, source, dut, asn):
        self.lab, self.role, self.source, self.dut, self.asn = lab, role, source, dut, asn
        self.table = b""
        self.sock = None
        self.stopped = False
        self.sessions = 0
        self.established = threading.Event()
        self.wake, self.waker = socket.socketpair()
        self.jobs = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self):
        self.stopped = True
        self.waker.send(b"x")
        self.thread.join(10)

    def send(self, data, done=None):
        """Queues bytes; done is an Event that is set when the socket has taken the last of them."""
        done = done or threading.Event()
        self.jobs.append((data, done))
        self.waker.send(b"x")
        return done

    def _connect(self):
        s = self.made
        s.settimeout(2)
        s.bind((self.source, 0))
        s.connect((self.dut, 179))
        family = 2 if ":" in self.dut else 1
        caps = bytes([1, 4, 0, family, 0, 1]) + bytes([65, 4]) + struct.pack("!I", self.asn)
        opt = bytes([2, len(caps)]) + caps
        router_id = ipaddress.ip_address(0x0a000000 + self.asn).packed
        s.sendall(message(1, struct.pack("!BHH", 4, min(self.asn, 23456), HOLD) + router_id + bytes([len(opt)]) + opt))
        self.buf = b""
        if self._read(s)[0] != 1:
            raise OSError("no OPEN")
        s.sendall(message(4))
        while self._read(s)[0] != 4:
            pass
        return s

    def _read(self, s):
        while len(self.buf) < 19 or len(self.buf) < struct.unpack("!H", self.buf[16:18])[0]:
            data = s.recv(65536)
            if not data:
                raise OSError("closed")
            self.buf += data
        n = struct.unpack("!H", self.buf[16:18])[0]
        m, self.buf = self.buf[:n], self.buf[n:]
        if m[18] == 3:
            raise OSError(f"NOTIFICATION {m[19]}.{m[20]}")
        return m[18], m[19:]

    def _run(self):
        # Network namespaces belong to threads: this one lives in the neighbour's.
        with open(self.lab.ns_path(self.role), "rb") as there:
            self.lab._setns(there)
        while not self.stopped:
            try:
                self.made = socket.socket(socket.AF_INET6 if ":" in self.dut else socket.AF_INET, socket.SOCK_STREAM)
                s = self._connect()
            except OSError:
                self.made.close()
                time.sleep(0.2)
                continue
            self.sessions += 1
            try:
                self._serve(s)
            except OSError:
                pass
            self.established.clear()
            s.close()

    def _serve(self, s):
        s.setblocking(False)
        pending = [(memoryview(self.table), None)] if self.table else []
        self.established.set()
        next_alive = 0.0
        while not self.stopped:
            while self.jobs:
                data, done = self.jobs.pop(0)
                pending.append((memoryview(data), done))
            r, w, _ = select.select([s, self.wake], [s] if pending else [], [], 1.0)
            if self.wake in r:
                self.wake.recv(4096)
            if s in r:
                data = s.recv(65536)
                if not data:
                    raise OSError("closed")
                self.buf += data
                while len(self.buf) >= 19 and len(self.buf) >= struct.unpack("!H", self.buf[16:18])[0]:
                    self._read(s)
            if w:
                view, done = pending[0]
                n = s.send(view[:1 << 18])
                if n == len(view):
                    pending.pop(0)
                    if done:
                        done.set()
                else:
                    pending[0] = (view[n:], done)
            elif not pending and time.monotonic() > next_alive:
                s.send(message(4))
                next_alive = time.monotonic() + HOLD / 4
