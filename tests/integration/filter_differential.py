#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Random filter expressions and functions, evaluated by stock BIRD and by ours; every difference is printed.

    filter_differential.py [--cases N] [--seed S] [--eval PATH] [--bird PATH]

BIRD runs in the background with a private socket and no protocol that opens one; nothing needs root. Ours is
tests/tools/filter_eval. Older BIRDs lack part of the language: what is generated follows the version in the banner.
Differences that are meant are not generated (see KNOWN at the end of this file).
"""
import argparse
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ASNS = [0, 1, 2, 3, 4, 5, 7, 10, 64496, 64500, 65000, 65535, 65536, 70000, 4200000000, 4294967295]
SMALL = [0, 1, 2, 3, 4, 5, 7, 10, 100, 255, 256, 1000, 65534, 65535]
HEAVY = 3


class Gen:
    """Expressions of a wanted type. new: BIRD >= 2.14, where methods that change a value may be used in expressions."""

    def __init__(self, rng, new, variables=None):
        self.r = rng
        self.new = new
        self.vars = variables or {}   # name -> type

    # ---- atoms ----
    def n(self):
        return self.r.choice(ASNS) if self.r.random() < 0.8 else self.r.randrange(1 << 32)

    def small(self):
        return self.r.choice(SMALL)

    def v4(self):
        return ".".join(str(self.r.choice([0, 1, 2, 10, 127, 128, 192, 203, 255])) for _ in range(4))

    def v6(self):
        groups = [self.r.choice(["0", "1", "db8", "2001", "ffff", "fe80", "10"]) for _ in range(8)]
        if self.r.random() < 0.6:
            i = self.r.randrange(0, 7)
            j = self.r.randrange(i + 1, 8)
            left, right = groups[:i], groups[j + 1:]
            if len(left) + len(right) <= 6:
                return ":".join(left) + "::" + ":".join(right)
        return ":".join(groups)

    def prefix4(self):
        length = self.r.choice([0, 1, 7, 8, 9, 12, 15, 16, 17, 20, 22, 23, 24, 25, 28, 31, 32])
        base = self.r.choice([0x0a000000, 0x0a010000, 0x0a0102ff, 0xc0000200, 0xcb007100, 0xffffffff, 0])
        base ^= self.r.choice([0, 0, 0x100, 0x10000, 1])
        base &= (0xffffffff << (32 - length)) & 0xffffffff if length else 0
        return ".".join(str(base >> s & 255) for s in (24, 16, 8, 0)), length

    def prefix6(self):
        length = self.r.choice([0, 1, 3, 15, 16, 29, 32, 33, 35, 40, 47, 48, 49, 56, 63, 64, 65, 67, 96, 127, 128])
        base = self.r.choice([0x20010db8 << 96, 0x20010db8000100020003000400050006, 0x2a000000 << 96, 0, (1 << 128) - 1])
        base ^= self.r.choice([0, 0, 1 << 80, 1 << 64, 1])
        base &= ((1 << 128) - 1) ^ ((1 << (128 - length)) - 1)
        return ":".join("%x" % (base >> s & 0xffff) for s in range(112, -1, -16)), length

    def prefix_text(self, six=None):
        six = self.r.random() < 0.4 if six is None else six
        a, n = self.prefix6() if six else self.prefix4()
        return "%s/%d" % (a, n)

    # ---- sets ----
    def disjoint(self, low, high, k):
        cuts = sorted(self.r.sample(range(low, min(high, low + 400)), 2 * k)) if high - low > 2 * k else [low, low]
        return [(cuts[i], cuts[i + 1]) for i in range(0, len(cuts) - 1, 2)]

    def int_set(self):
        items = []
        for lo, hi in self.disjoint(self.r.choice([0, 0, 64490, 4294966000]), 1 << 32, self.r.randrange(1, 5)):
            if self.r.random() < 0.5:
                items.append("%d" % lo)
            elif self.r.random() < 0.2:
                items.append("(%d+0)..%d" % (lo, hi) if self.new else "%d..%d" % (lo, hi))
            else:
                items.append("%d..%d" % (lo, hi))
        if self.new and self.r.random() < 0.3:   # overlaps are merged there
            items.append("%d..%d" % (self.n(), self.n()))
        self.r.shuffle(items)
        return "[" + ", ".join(items) + "]"

    def pair_set(self):
        items = []
        a = self.small()
        for lo, hi in self.disjoint(0, 65536, self.r.randrange(1, 4)):
            form = self.r.randrange(7)
            if form == 0:
                items.append("(%d, %d)" % (a, lo))
            elif form == 1:
                items.append("(%d, %d..%d)" % (a, lo, hi))
            elif form == 2:
                items.append("(%d, *)" % (lo if self.new else 40000 + lo))
            elif form == 3:
                items.append("(%d..%d, *)" % ((lo, hi) if self.new else (41000 + lo, 41000 + hi)))
            elif form == 4 and self.new:
                items.append("(%d, %d)..(%d, %d)" % (lo, self.small(), lo + 1, self.small()))
            elif form == 5:
                items.append("(%d..%d, %d)" % (50000 + lo, 50000 + min(hi, lo + 20), self.small()))
            else:
                items.append("(%d, %d)" % (a, lo))
        if not self.new:
            items = items[:1]
        return "[" + ", ".join(items) + "]"

    def lc_set(self):
        items = []
        for lo, hi in self.disjoint(0, 1 << 32, self.r.randrange(1, 4) if self.new else 1):
            form = self.r.randrange(7)
            a, b = self.n(), self.n()
            items.append(["(%d, %d, %d)" % (a, b, lo), "(%d, %d, %d..%d)" % (a, b, lo, hi), "(%d, %d, *)" % (a, lo),
                          "(%d, %d..%d, *)" % (a, lo, hi), "(%d, *, *)" % lo, "(%d..%d, *, *)" % (lo, hi),
                          "(%d, %d, %d)..(%d, %d, %d)" % (lo, a, b, hi, a, b)][form])
        return "[" + ", ".join(items) + "]"

    def ec_set(self):
        items = []
        for lo, hi in self.disjoint(0, 60000, self.r.randrange(1, 4) if self.new else 1):
            kind = self.r.choice(["rt", "ro", "generic", "unknown 5", "unknown 0x4300"])
            form = self.r.randrange(3)
            key = self.n()
            items.append("(%s, %d, %s)" % (kind, key, ["%d" % lo, "%d..%d" % (lo, hi), "*"][form]))
        return "[" + ", ".join(items) + "]"

    def ip_set(self):
        if self.new:
            items = [self.r.choice([self.v4, self.v6])() for _ in range(self.r.randrange(1, 4))]
            if self.r.random() < 0.5:
                items.append("10.0.0.0 .. 10.255.255.255")
        else:
            items = [self.v4()]
        return "[" + ", ".join(items) + "]"

    def prefix_set(self):
        six = self.r.random() < 0.4
        items = []
        for _ in range(self.r.randrange(1, 6)):
            a, n = self.prefix6() if six else self.prefix4()
            form = self.r.randrange(5)
            top = 128 if six else 32
            if form == 1:
                items.append("%s/%d+" % (a, n))
            elif form == 2:
                items.append("%s/%d-" % (a, n))
            elif form == 3:
                lo = self.r.randrange(0, top + 1)
                items.append("%s/%d{%d,%d}" % (a, n, lo, self.r.randrange(lo, top + 1)))
            elif form == 4:
                items.append("%s/%d{%d,%d}" % (a, n, n, self.r.randrange(n, top + 1)))
            else:
                items.append("%s/%d" % (a, n))
        return "[" + ", ".join(items) + "]"

    def mask(self):
        items = []
        for _ in range(self.r.randrange(0, 6)):
            k = self.r.randrange(8)
            items.append(["%d" % self.n(), "*", "?", "%d..%d" % tuple(sorted((self.n(), self.n()))), self.int_set(),
                          "%d" % self.r.choice(ASNS[:6]), "*", "(%s)" % self.expr("int", 1)][k])
            if self.r.random() < 0.15 and items[-1] != "+":
                items.append("+")
        return "[= " + " ".join(items) + " =]"

    # ---- lists ----
    def path(self, depth=0):
        p = "+empty+"
        for _ in range(self.r.randrange(0, 6)):
            p = "prepend(%s, %d)" % (p, self.n())
        return p

    def clist(self):
        e = "-empty-"
        for _ in range(self.r.randrange(0, 5)):
            e = "add(%s, (%d,%d))" % (e, self.small(), self.small())
        return e

    def eclist(self):
        e = "--empty--"
        for _ in range(self.r.randrange(0, 4)):
            e = "add(%s, %s)" % (e, self.ec())
        return e

    def lclist(self):
        e = "---empty---"
        for _ in range(self.r.randrange(0, 4)):
            e = "add(%s, (%d,%d,%d))" % (e, self.n(), self.n(), self.n())
        return e

    def ec(self):
        kind = self.r.choice(["rt", "ro", "generic", "unknown 0x%x" % self.r.choice([2, 3, 5, 0x4002, 0x4300, 0x55])])
        key = self.v4() if self.r.random() < 0.2 and kind != "generic" else "%d" % self.n()
        return "(%s, %s, %d)" % (kind, key, self.small() if self.r.random() < 0.8 else self.n())

    def enum(self):
        return self.r.choice(["RTS_BGP", "RTS_STATIC", "RTS_DEVICE", "NET_IP4", "NET_IP6", "SCOPE_UNIVERSE", "SCOPE_HOST", "RTD_BLACKHOLE",
                              "RTD_UNICAST", "ROA_VALID", "ROA_INVALID", "ORIGIN_IGP", "ORIGIN_INCOMPLETE"])

    def string(self):
        return '"%s"' % "".join(self.r.choice("abcAB_.*?-1 ") for _ in range(self.r.randrange(0, 6)))

    def glob(self):
        while True:
            s = "".join(self.r.choice("abcAB_.**?-1 ") for _ in range(self.r.randrange(0, 5)))
            if "*?" not in s and "**" not in s:
                return '"%s"' % s

    def rd(self):
        return self.r.choice(["%d:%d" % (self.r.randrange(65536), self.n()), "2:%d:%d" % (self.n(), self.r.randrange(65536)),
                              "%s:%d" % (self.v4(), self.r.randrange(65536)), "%d:%d" % (65536 + self.r.randrange(1000), self.r.randrange(65536))])

    def roa(self):
        six = self.r.random() < 0.3
        a, n = self.prefix6() if six else self.prefix4()
        return "%s/%d max %d as %d" % (a, n, self.r.randrange(n, (128 if six else 32) + 1), self.n())

    def net(self):
        k = self.r.random()
        if k < 0.75:
            return self.prefix_text()
        if k < 0.85:
            return self.roa()
        if k < 0.95:
            return "%s %s" % (self.rd(), self.prefix_text())
        return "%s from %s" % (self.prefix_text(True), self.prefix_text(True))

    # ---- expressions ----
    def expr(self, t, depth):
        names = [n for n, vt in self.vars.items() if vt == t]
        if names and self.r.random() < 0.4:
            return self.r.choice(names)
        if depth <= 0 or self.r.random() < 0.15:
            return self.atom(t)
        f = getattr(self, "x_" + t, None)
        return f(depth - 1) if f else self.atom(t)

    def atom(self, t):
        return {"int": lambda: "%d" % self.n(), "bool": lambda: self.r.choice(["true", "false"]),
                "pair": lambda: "(%d,%d)" % (self.small(), self.small()), "ip": lambda: self.r.choice([self.v4, self.v6])(),
                "prefix": self.net, "ec": self.ec, "lc": lambda: "(%d,%d,%d)" % (self.n(), self.n(), self.n()),
                "string": self.string, "bgppath": self.path, "clist": self.clist, "eclist": self.eclist, "lclist": self.lclist,
                "enum": self.enum, "rd": self.rd, "bgpmask": self.mask, "int set": self.int_set, "pair set": self.pair_set,
                "ip set": self.ip_set, "ec set": self.ec_set, "lc set": self.lc_set, "prefix set": self.prefix_set}[t]()

    def p(self, t, depth):
        return "(%s)" % self.expr(t, depth)

    def x_int(self, d):
        k = self.r.randrange(11)
        if k < 4:
            return "(%s %s %s)" % (self.expr("int", d), self.r.choice("+-*/+-*"), self.expr("int", d))
        if k == 4:
            return "%s.len" % self.p("prefix", d)
        if k == 5:
            return "%s.%s" % (self.p("bgppath", d), self.r.choice(["len", "first", "last", "last_nonaggregated"]))
        if k == 6:
            return "%s.%s" % (self.p("pair", d), self.r.choice(["asn", "data"]))
        if k == 7:
            return "%s.%s" % (self.p("lc", d), self.r.choice(["asn", "data1", "data2"]))
        if k == 8:
            return "%s.len" % self.p(self.r.choice(["clist", "eclist", "lclist"]), d)
        if k == 9:
            return "%s.%s" % ("(" + self.roa() + ")", self.r.choice(["maxlen", "asn"]))
        return "(%s)" % self.expr("int", d)

    def x_bool(self, d):
        k = self.r.randrange(10)
        if k < 2:
            return "(%s %s %s)" % (self.expr("bool", d), self.r.choice(["&&", "||"]), self.expr("bool", d))
        if k == 2:
            return "!%s" % self.p("bool", d)
        if k == 3:
            t = self.r.choice(["int", "pair", "ip", "prefix", "ec", "lc", "bool"] + ([] if self.new else ["rd"]))
            return "%s %s %s" % (self.p(t, d), self.r.choice(["<", ">", "<=", ">="]), self.p(t, d))
        if k == 4:
            t = self.r.choice(["int", "pair", "ip", "prefix", "ec", "lc", "rd", "bool", "string", "clist", "lclist", "eclist", "bgpmask",
                               "int set", "prefix set", "enum", "pair set"])
            return "%s %s %s" % (self.p(t, d), self.r.choice(["=", "!="]), self.p(t, d))
        if k == 5:
            t, u = self.r.choice(["int", "pair", "ip", "prefix", "lc", "string"]), self.r.choice(["int", "pair", "bool", "enum", "string"])
            return "%s %s %s" % (self.p(t, d), self.r.choice(["=", "!="]), self.p(u, d))
        if k == 6:
            return "defined%s" % self.p(self.r.choice(self.DEFINED), d)
        if k == 7:
            return "%s.is_v4" % self.p("ip", d) if self.new else "true"
        x, y = self.r.choice([("int", "int set"), ("pair", "pair set"), ("ip", "ip set"), ("ec", "ec set"), ("lc", "lc set"),
                              ("prefix", "prefix set"), ("prefix", "prefix"), ("ip", "prefix"), ("int", "bgppath"), ("bgppath", "int set"),
                              ("bgppath", "bgpmask"), ("pair", "clist"), ("ec", "eclist"), ("lc", "lclist"), ("clist", "pair set"),
                              ("eclist", "ec set"), ("lclist", "lc set"), ("prefix", "prefix set"), ("bgppath", "bgpmask"),
                              ("prefix", "prefix set"), ("string", "glob"), ("int", "int set"), ("clist", "int set" if self.new else "pair set"), ("ip", "clist")])
        right = self.glob() if y == "glob" else self.expr(y, d)
        if y == "bgppath" or y == "prefix" or y == "clist":
            right = "(%s)" % right
        return "%s %s %s" % (self.p(x, d), self.r.choice(["~", "~", "!~"]), right)

    def x_pair(self, d):
        if self.r.random() < 0.3:
            return "%s.%s" % (self.p("clist", d), self.r.choice(["min", "max"])) if self.new else self.atom("pair")
        return "(%s, %s)" % (self.expr("int", d) if self.r.random() < 0.3 else self.small(), self.small())

    def x_lc(self, d):
        if self.r.random() < 0.3 and self.new:
            return "%s.%s" % (self.p("lclist", d), self.r.choice(["min", "max"]))
        return "(%s, %s, %s)" % (self.expr("int", d), self.expr("int", d), self.expr("int", d))

    def x_ec(self, d):
        if self.r.random() < 0.3 and self.new:
            return "%s.%s" % (self.p("eclist", d), self.r.choice(["min", "max"]))
        return "(%s, %s, %s)" % (self.r.choice(["rt", "ro"]), self.expr(self.r.choice(["int", "ip"]), d), self.small())

    def x_ip(self, d):
        if self.r.random() < 0.5:
            return "%s.mask(%d)" % (self.p("ip", d), self.r.randrange(0, 33))
        return "%s.ip" % self.p("prefix", d)

    def x_string(self, d):
        if self.new and self.r.random() < 0.5:
            return "(%s ++ %s)" % (self.expr("string", d), self.expr("string", d))
        return "format(%s)" % self.expr(self.r.choice(["int", "prefix", "bgppath", "clist", "lclist", "bool", "enum"]), d)

    def x_rd(self, d):
        return "(%s %s).rd" % (self.rd(), self.prefix_text())

    def call(self, name, a, b):
        if self.new and self.r.random() < 0.5:
            return "(%s).%s(%s)" % (a, name, b)
        return "%s(%s, %s)" % (name, a, b)

    def x_bgppath(self, d):
        k = self.r.randrange(4)
        if k == 0:
            return self.call("prepend", self.expr("bgppath", d), self.expr("int", d))
        if k == 1:
            return self.call("delete", self.expr("bgppath", d), self.expr(self.r.choice(["int", "int set"]), d))
        if k == 2:
            return self.call("filter", self.expr("bgppath", d), self.expr("int set", d))
        return self.path()

    def lists(self, kind, element, d):
        k = self.r.randrange(5)
        if k == 0:
            return self.call("add", self.expr(kind, d), self.expr(element, d))
        if k == 1:
            return self.call("add", self.expr(kind, d), self.expr(kind, d))
        if k == 2:
            return self.call("delete", self.expr(kind, d), self.expr(self.r.choice([element, kind, element + " set"]), d))
        if k == 3:
            return self.call("filter", self.expr(kind, d), self.expr(self.r.choice([kind, element + " set"]), d))
        return self.atom(kind)

    def x_clist(self, d):
        return self.lists("clist", "pair", d)

    def x_eclist(self, d):
        return self.lists("eclist", "ec", d)

    def x_lclist(self, d):
        return self.lists("lclist", "lc", d)

    DEFINED = ["int", "clist", "lclist", "eclist", "bgppath"]
    TOP = ["int", "bool", "bool", "bool", "bool", "pair", "ip", "prefix", "ec", "lc", "string", "bgppath", "clist", "eclist", "lclist",
           "enum", "rd", "bgpmask", "int set", "pair set", "ip set", "ec set", "lc set", "prefix set"]

    def top(self):
        return self.expr(self.r.choice(self.TOP), self.r.randrange(0, 4))


class Program(Gen):
    """Functions with variables, branches and loops. They return what they computed as a string."""
    TYPES = ["int", "bool", "pair", "ip", "prefix", "lc", "ec", "string", "bgppath", "clist", "eclist", "lclist"]

    def function(self, name):
        self.vars = {}
        self.count = 0
        args = []
        for _ in range(self.r.randrange(0, 3)):
            n = self.fresh()
            args.append(("int", n))
            self.vars[n] = "int"
        body = self.block(self.r.randrange(2, 7), 2)
        out = " ++ \" \" ++ ".join("format(%s)" % v for v in self.vars) or '""'
        if not self.new:
            out = '"%s"' % name
            last = [v for v, t in self.vars.items()]
            if last:
                out = "format(%s)" % self.r.choice(last)
        head = "function %s(%s)%s\n" % (name, "; ".join("%s %s" % a for a in args), " -> string" if self.new else "")
        call = "%s(%s)" % (name, ", ".join(str(self.r.choice(ASNS)) for _ in args))
        return head + "{\n" + body + "\treturn %s;\n}\n" % out, call

    def fresh(self):
        self.count += 1
        return "x_%d" % self.count

    def block(self, n, depth):
        return "".join(self.statement(depth) for _ in range(n))

    def inner(self, depth):
        saved = dict(self.vars)
        text = "{\n" + self.block(self.r.randrange(0, 4), depth - 1) + "}"
        self.vars = saved
        return text

    def statement(self, depth):
        k = self.r.randrange(9)
        if k < 3 or not self.vars:
            t = self.r.choice(self.TYPES)
            e = self.expr(t, 2)
            n = self.fresh()
            self.vars[n] = t
            return "\t%s %s = %s;\n" % (t, n, e)
        if k == 3:
            n = self.r.choice(list(self.vars))
            return "\t%s = %s;\n" % (n, self.expr(self.vars[n], 2))
        if k == 4 and self.new:
            lists = [n for n, t in self.vars.items() if t in ("bgppath", "clist", "eclist", "lclist")]
            if lists:
                n = self.r.choice(lists)
                t = self.vars[n]
                e = {"bgppath": "int", "clist": "pair", "eclist": "ec", "lclist": "lc"}[t]
                m = self.r.choice(["prepend" if t == "bgppath" else "add", "delete"])
                return "\t%s.%s(%s);\n" % (n, m, self.expr(e, 1))
        if k == 5 and depth:
            text = "\tif %s then %s" % (self.expr("bool", 2), self.inner(depth))
            if self.r.random() < 0.6:
                text += "\n\telse %s" % self.inner(depth)
            return text + "\n"
        if k == 6 and depth:
            labels = self.r.sample(range(0, 12), 6)
            text = "\tcase %s {\n" % self.expr("int", 1)
            text += "\t%d, %d: %s\n" % (labels[0], labels[1], self.inner(depth))
            text += "\t%d: %s\n" % (labels[2], self.inner(depth))
            if self.r.random() < 0.7:
                text += "\telse: %s\n" % self.inner(depth)
            return text + "\t}\n"
        if k == 7 and depth and self.new:
            kind, e = self.r.choice([("bgppath", "int"), ("clist", "pair"), ("eclist", "ec"), ("lclist", "lc")])
            what = self.expr(kind, 1)
            n = self.fresh()
            saved = dict(self.vars)
            self.vars[n] = e
            text = "\tfor %s %s in %s do %s\n" % (e, n, what, self.inner(depth))
            self.vars = saved
            return text
        return "\t%s\n" % self.inner(depth) if depth else ""


class Routes(Program):
    """Static routes with attribute blocks, and questions about the routes that come out."""
    ATTRS = {"bgp_path": "bgppath", "bgp_community": "clist", "bgp_large_community": "lclist", "bgp_ext_community": "eclist",
             "bgp_med": "int", "bgp_local_pref": "int", "bgp_next_hop": "ip", "preference": "int", "krt_metric": "int", "krt_prefsrc": "ip",
             "mark": "int", "tags": "lclist", "trail": "bgppath"}
    DEFINED = ["int", "ip"]   # an attribute that is an empty list is none here
    READ = dict(ATTRS, **{"net": "prefix", "from": "ip", "proto": "string"})
    HEAD = "attribute int mark;\nattribute lclist tags;\nattribute bgppath trail;\n"

    def statement(self, depth):
        k = self.r.randrange(8)
        if k < 3:
            n = self.r.choice(list(self.ATTRS))
            t = self.ATTRS[n]
            if n == "preference":
                return "\tpreference = %d;\n" % self.r.randrange(65536)
            return "\t%s = %s;\n" % (n, self.expr(t, 2))
        if k == 3:
            return "\tunset(%s);\n" % self.r.choice([a for a in self.ATTRS if a != "preference"])
        if k < 6:
            n = self.r.choice([a for a, t in self.ATTRS.items() if t in ("bgppath", "clist", "eclist", "lclist")])
            t = self.ATTRS[n]
            if n in ("tags", "trail") and not self.new:
                return ""
            e = {"bgppath": "int", "clist": "pair", "eclist": "ec", "lclist": "lc"}[t]
            m = self.r.choice(["prepend" if t == "bgppath" else "add", "prepend" if t == "bgppath" else "add", "delete", "empty"])
            if m == "empty":
                return "\t%s.empty;\n" % n
            return "\t%s.%s(%s);\n" % (n, m, self.expr(e + " set" if m == "delete" and self.r.random() < 0.4 else e, 1))
        if k == 6 and depth:
            # not constant: BIRD's static protocol loses what stands around a condition that it works out while parsing
            return "\tif preference >= 0 && (%s) then %s\n" % (self.expr("bool", 2), self.inner(depth))
        return "\tbgp_origin = %s;\n" % self.r.choice(["ORIGIN_IGP", "ORIGIN_EGP", "ORIGIN_INCOMPLETE"])

    made = 0

    def config(self, n):
        self.count = 0
        self.vars, self.blocks = {}, {}
        self.made += 1   # other nets each time: some changes to a static route are not seen by BIRD
        self.nets = ["10.%d.%d.0/%d" % (self.made % 256, i, self.r.choice([24, 25, 28, 32])) for i in range(n)]
        text = self.HEAD + "protocol static statics {\n\tipv4;\n"
        for net in self.nets:
            # what is read must be there: reading what is absent is an error, of which there are enough without
            self.vars = dict((a, t) for a, t in self.ATTRS.items() if t not in ("int", "ip"))
            self.vars["preference"] = "int"
            self.blocks[net] = self.block(self.r.randrange(0, 6), 1)
            text += "\troute %s blackhole {\n%s\t};\n" % (net, self.blocks[net])
        return text + "}\n"

    def question(self):
        self.vars = self.READ
        return self.r.choice(self.nets), self.expr(self.r.choice(self.TOP[:17]), self.r.randrange(0, 3))


class Bird:
    def __init__(self, program, directory):
        self.dir = directory
        self.conf = os.path.join(directory, "bird.conf")
        self.sock = os.path.join(directory, "bird.ctl")
        self.write("")
        self.program = program
        self.crashes = 0
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.program, "-f", "-c", self.conf, "-s", self.sock, "-P", os.path.join(self.dir, "bird.pid")],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                self.s = socket.socket(socket.AF_UNIX)
                self.s.connect(self.sock)
                self.s.settimeout(20)
                break
            except OSError:
                time.sleep(0.05)
        self.f = self.s.makefile("rb")
        self.version = tuple(int(x) for x in re.findall(r"\d+", self.f.readline().decode().split()[2])[:3])

    def write(self, functions):
        with open(self.conf, "w") as f:
            f.write('router id 192.0.2.1;\nlog "%s" all;\nroa4 table r4;\nprotocol device { }\n' % os.path.join(self.dir, "bird.log"))
            f.write(functions)

    def reply(self):
        lines = []
        while True:
            line = self.f.readline().decode("latin1")
            if not line:
                raise OSError("it has closed the connection")
            line = line.rstrip("\n")
            lines.append(line)
            if len(line) > 4 and line[:4].isdigit() and line[4] == " ":
                return lines

    def configure(self, functions):
        self.write(functions)
        try:
            self.s.sendall(b"configure\n")
            return self.reply()[-1]
        except OSError:
            self.process.kill()
            self.process.wait()
            self.crashes += 1
            self.write("")
            self.start()
            return CRASHED

    def evaluate(self, expressions):
        out = []
        for e in expressions:   # one by one: BIRD drops a client that is far ahead
            try:
                self.s.sendall(("eval %s\n" % e).encode())
                line = self.reply()[-1]
                if "Too many nested method calls" in line:   # it loses count after errors in methods
                    raise OSError("needs a restart")
            except OSError:   # it has fallen over this one: nothing to compare with
                self.process.kill()
                self.process.wait()
                self.crashes += 1
                self.start()
                line = CRASHED
            out.append(line[5:] if line.startswith("0023 ") else line)
        return out

    def count(self, net, condition):
        """How many routes to the net satisfy it: 1 or 0; None if BIRD does not understand it."""
        try:
            self.s.sendall(("show route %s where %s\n" % (net, condition)).encode())
            lines = self.reply()
        except OSError:
            self.process.kill()
            self.process.wait()
            self.crashes += 1
            self.start()
            return CRASHED
        if lines[-1].startswith("9001 "):
            return None
        return sum(1 for x in lines if net in x)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Ours:
    def __init__(self, program, conf=None, routes=False):
        self.p = subprocess.Popen([program] + (["-r"] if routes else []) + (["-c", conf] if conf else []), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)

    def evaluate(self, expressions):
        self.p.stdin.write("".join(e + "\n" for e in expressions).encode())
        self.p.stdin.flush()
        return [self.p.stdout.readline().decode("latin1").rstrip("\n") for _ in expressions]

    def stop(self):
        self.p.stdin.close()
        self.p.wait()
        return self.p.returncode


# What is known to differ, on purpose (and is not generated, or made equal here):
#  - the numbers of enums printed by BIRD before 2.14;
#  - overlapping ranges of a set are merged since 2.19 only; a set of elements of different types is an error here;
#  - a glob "*?" matches here what a shell would match; paths of which one begins with the other, followed only by
#    repetitions of its last AS, are equal for BIRD (comparisons of paths are not generated);
#  - route distinguishers compare as numbers here, by their halves swapped in BIRD 2.14 and later on little-endian machines;
#  - a line of more than about 2,000 characters is cut by BIRD.
def theirs(text, version):
    if version < (2, 14):
        text = text.replace("(enum 34)", "(enum 33)").replace("(enum 35)", "(enum 34)")
    return normal(text)


def normal(text):
    if text.startswith("9001 ") or text.startswith("8008 "):
        text = re.sub(r"Expression of type (\w+) expected|Integer expression expected", "constant type", text)
        text = re.sub(r"got 0x\w+", "got X", re.sub(r"must be integer or IPv4 address, got \w+", "must be integer or IPv4 address, got X", text))
    return text


CRASHED = "(BIRD crashed)"


def long_line(e, text):
    return text == CRASHED or len(e) > 3900 or "<line overflow>" in text or len(text) > 1900 or " ..." in text


def run(args):
    rng = random.Random(args.seed)
    directory = tempfile.mkdtemp(prefix="filter-diff-")
    bird = Bird(args.bird, directory)
    new = bird.version >= (2, 14)
    done = same = cut = 0
    differences = []
    started = time.time()
    try:
        ours = Ours(args.eval)
        gen = Gen(rng, new)
        programs = args.programs
        while done < args.cases - programs:
            batch = [gen.top() for _ in range(200)]
            batch = [e for e in batch if len(e) < 3900]
            for e, x, y in zip(batch, bird.evaluate(batch), ours.evaluate(batch)):
                done += 1
                if long_line(e, x):
                    cut += 1
                elif theirs(x, bird.version) == normal(y):
                    same += 1
                else:
                    differences.append((e, x, y))
            if len(differences) > args.most:
                break
        if ours.stop():
            differences.append(("(exit)", "", "filter_eval failed with %d" % ours.p.returncode))
        while done < args.cases and len(differences) <= args.most:
            prog = Program(rng, new)
            text, calls, bodies = "", [], {}
            for i in range(min(300, args.cases - done)):
                f, call = prog.function("f%d" % i)
                if len(f) < 30000:
                    text += f
                    calls.append(call)
                    bodies[call] = f
            answer = bird.configure(text)
            if not answer.startswith(("0003", "0004")):
                # one bad function spoils the file: find it, see that ours refuses it for the same reason
                text, calls = one_by_one(args, bird, bodies, differences)
                done += len(bodies) - len(calls)
                same += len(bodies) - len(calls)
                if not calls:
                    continue
                bird.configure(text)
            ours = Ours(args.eval, bird.conf)
            for e, x, y in zip(calls, bird.evaluate(calls), ours.evaluate(calls)):
                done += 1
                if long_line(e, x):
                    cut += 1
                elif theirs(x, bird.version) == normal(y):
                    same += 1
                else:
                    differences.append((bodies[e] + e, x, y))
            ours.stop()
        routes = Routes(rng, new)
        more = args.cases + args.routes
        while done < more and len(differences) <= args.most:
            d, s, c = compare_routes(args, bird, routes, differences, min(500, more - done))
            done, same, cut = done + d, same + s, cut + c
    finally:
        bird.stop()
        shutil.rmtree(directory)
    for e, x, y in differences[:args.most]:
        print("%s\n    bird: %s\n    ours: %s" % (e[:2000], x[:400], y[:400]))
    print("BIRD %s, seed %d: %d cases in %.0f s: %d same, %d without an answer (too long, or BIRD crashed: %d times), %d different" %
          (".".join(map(str, bird.version)), args.seed, done, time.time() - started, same, cut, bird.crashes,
           len(differences)))
    return 1 if differences else 0


def compare_routes(args, bird, gen, differences, n):
    """Ours says what an expression is for a route; BIRD is asked whether it is that."""
    done = same = cut = 0
    for _ in range(50):
        answer = bird.configure(gen.config(30 if gen.new else 8))
        if answer.startswith(("0003", "0004")):
            break
    else:
        raise SystemExit("BIRD accepts none of the configurations with routes: " + answer)
    ours = Ours(args.eval, bird.conf, routes=True)
    questions = [gen.question() for _ in range(n)]
    for (net, e), text in zip(questions, ours.evaluate(["%s %s" % q for q in questions])):
        done += 1
        if text == "failed" or len(text) > 900 or len(e) > 2000:
            cut += 1
            continue
        if text.startswith("9001 "):
            same += 1   # how it is said is compared elsewhere
            if bird.count(net, "format(%s) = \"\"" % e) is not None:
                differences.append(("%s: %s" % (net, e), "(accepted)", text))
            continue
        if text.startswith("8008 "):
            got, want = bird.count(net, "defined(format(%s))" % e), 0
        else:
            if bird.version < (2, 14):
                text = text.replace("(enum 34)", "(enum 35)").replace("(enum 33)", "(enum 34)")
            got, want = bird.count(net, "format(%s) = \"%s\"" % (e, text)), 1
        if got == CRASHED:
            cut += 1
        elif got == want:
            same += 1
        else:
            differences.append(("%s {\n%s}\n%s" % (net, gen.blocks[net], e), "%s route(s) for which it is so" % got, text))
    ours.stop()
    return done, same, cut


def one_by_one(args, bird, bodies, differences):
    """Functions that BIRD refuses must be refused by ours for the same reason; returns the others."""
    text, calls = "", []
    for call, body in bodies.items():
        bird.write(body)
        a = subprocess.run([args.bird, "-p", "-c", bird.conf], capture_output=True, text=True)
        b = subprocess.run([args.eval, "-c", bird.conf], input="", capture_output=True, text=True)
        if a.returncode == 0 and b.returncode == 0:
            text += body
            calls.append(call)
            continue

        def message(r):
            lines = [x for x in r.stderr.splitlines() if re.search(r":\d+:\d+ ", x) and "<WARN>" not in x and "Inferring" not in x]
            return re.sub(r"line \d+", "line N", re.sub(r"^.*?:\d+:\d+ ", "", lines[-1])) if lines and r.returncode else "(accepted)"
        x, y = message(a), message(b)
        if theirs("9001 " + x, bird.version) != normal("9001 " + y):
            differences.append((body, x, y))
    return text, calls


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    build = os.environ.get("PEREGRINE_BUILD", "build")
    p.add_argument("--cases", type=int, default=10000)
    p.add_argument("--programs", type=int, default=500, help="how many of the cases are functions")
    p.add_argument("--routes", type=int, default=0, help="questions about routes, on top of the cases")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--most", type=int, default=50, help="differences after which to stop")
    p.add_argument("--eval", default=os.path.join(build, "tools", "filter_eval"))
    p.add_argument("--bird", default=shutil.which("bird") or "/usr/sbin/bird")
    return run(p.parse_args())


if __name__ == "__main__":
    sys.exit(main())
