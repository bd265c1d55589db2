# SPDX-License-Identifier: BSD-2-Clause
"""A scripted RPKI cache (RFC 6810, RFC 8210, its successor's ASPA): for what Debian's stayrtr does not do on demand."""
import ipaddress
import socket
import struct
import threading

NOTIFY, SERIAL_QUERY, RESET_QUERY, RESPONSE, PREFIX4, PREFIX6, END, CACHE_RESET, ROUTER_KEY, ERROR, ASPA = (
    0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11)


class Cache:
    """vrps: set of (prefix, maxlen, asn); aspas: {customer: (providers)}. Queries that came are kept in `asked` as (version,
    type, session, serial); answers can be replaced by `script`, a list of functions (cache, query) -> bytes for the next ones."""

    def __init__(self, lab, role, address, port=3323, version=1):
        with lab.inside(role):
            self.listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(4)
        self.version, self.session, self.serial = version, 7, 1
        self.vrps, self.aspas = set(), {}
        self.history = {}  # serial -> (vrps, aspas)
        self.asked, self.errors, self.script, self.conns = [], [], [], []
        self.timers = (3600, 1, 7200)  # retry at once: tests break connections
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    # ---- PDUs ----

    def pdu(self, kind, field, body=b"", version=None):
        return struct.pack("!BBHI", self.version if version is None else version, kind, field, 8 + len(body)) + body

    def vrp(self, v, announce=True):
        net = ipaddress.ip_network(v[0])
        body = struct.pack("!BBBB", announce, net.prefixlen, v[1], 0) + net.network_address.packed + struct.pack("!I", v[2])
        return self.pdu(PREFIX4 if net.version == 4 else PREFIX6, 0, body)

    def aspa(self, customer, providers, announce=True):
        body = struct.pack("!I", customer) + b"".join(struct.pack("!I", p) for p in (providers if announce else ()))
        return self.pdu(ASPA, announce << 8, body)

    def response(self):
        return self.pdu(RESPONSE, self.session)

    def end(self):
        body = struct.pack("!I", self.serial) + (struct.pack("!III", *self.timers) if self.version else b"")
        return self.pdu(END, self.session, body)

    def error(self, code, text=b"", version=None):
        return self.pdu(ERROR, code, struct.pack("!I", 0) + struct.pack("!I", len(text)) + text, version)

    def whole(self):
        return (self.response() + b"".join(self.vrp(v) for v in sorted(self.vrps)) +
                b"".join(self.aspa(c, p) for c, p in sorted(self.aspas.items()) if self.version >= 2) + self.end())

    def difference(self, since):
        vrps, aspas = self.history[since]
        out = b"".join(self.vrp(v, False) for v in sorted(vrps - self.vrps)) + b"".join(self.vrp(v) for v in sorted(self.vrps - vrps))
        out += b"".join(self.aspa(c, (), False) for c in sorted(aspas.keys() - self.aspas.keys()))
        out += b"".join(self.aspa(c, p) for c, p in sorted(self.aspas.items()) if aspas.get(c) != p)
        return self.response() + out + self.end()

    # ---- the test's side ----

    def change(self, vrps=None, aspas=None, notify=True):
        """A new serial."""
        with self.lock:
            self.history[self.serial] = (set(self.vrps), dict(self.aspas))
            self.vrps = set(vrps) if vrps is not None else self.vrps
            self.aspas = dict(aspas) if aspas is not None else self.aspas
            self.serial += 1
            if notify:
                self.send(self.pdu(NOTIFY, self.session, struct.pack("!I", self.serial)))

    def send(self, data):
        for c in self.conns[-1:]:
            c.sendall(data)

    def hang_up(self):
        for c in self.conns:
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.conns = []

    def close(self):
        self.listener.close()
        self.hang_up()

    # ---- the connection ----

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.conns.append(conn)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    @staticmethod
    def _exactly(conn, n):
        data = b""
        while len(data) < n:
            part = conn.recv(n - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    def _serve(self, conn):
        try:
            while True:
                version, kind, field, length = struct.unpack("!BBHI", self._exactly(conn, 8))
                body = self._exactly(conn, length - 8)
                with self.lock:
                    conn.sendall(self._answer(version, kind, field, body))
        except OSError:
            conn.close()

    def _answer(self, version, kind, field, body):
        if kind == ERROR:
            self.errors.append((field, body))
            return b""
        query = (version, kind, field if kind == SERIAL_QUERY else None, struct.unpack("!I", body)[0] if body else None)
        self.asked.append(query)
        if self.script:
            return self.script.pop(0)(self, query)
        if version > self.version:
            return self.error(4, b"too new", version=self.version)
        if kind == SERIAL_QUERY:
            if query[2] == self.session and query[3] == self.serial:
                return self.response() + self.end()
            if query[2] == self.session and query[3] in self.history:
                return self.difference(query[3])
            return self.pdu(CACHE_RESET, 0)
        return self.whole()
