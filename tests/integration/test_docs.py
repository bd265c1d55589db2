# SPDX-License-Identifier: BSD-2-Clause
"""What docs/bgp.md promises is tested has a test of that name."""
import os
import re

import pytest
from netlab.daemons import ROOT

FILES = {"M": "test_bgp_matrix.py", "F": "test_bgp_features.py"}


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def promises():
    """(line, kind, file, names) of each part of the last column of each table that has a column of tests."""
    found, testing = [], False
    for number, line in enumerate(read("docs", "bgp.md").split("\n"), 1):
        if not line.startswith("|"):
            testing = False
            continue
        cells = [c.strip() for c in line.strip("|").split("|")]
        if cells[-1] == "test":
            testing = True
            continue
        if not testing or set(line) <= set("|- "):
            continue
        for part in re.sub(r"\(.*?\)", "", cells[-1]).split(";"):
            names = re.findall(r"`([^`]+)`", part)
            word = re.match(r"\s*([A-Z])\b\s*(\w*)", part)
            if names and names[0].endswith(".py"):
                found.append((number, "py", names[0], names[1:]))
            elif word:
                found.append((number, word.group(1), word.group(2), names))
            elif part.strip():
                found.append((number, "?", part, []))
    return found


def names_in(kind, name):
    """The names of the tests there are, or None if there is no such file."""
    if kind in ("M", "F", "py"):
        path = ("tests", "integration", FILES.get(kind, name))
        return set(re.findall(r"(?m)^def test_(\w+)", read(*path))) if os.path.exists(os.path.join(ROOT, *path)) else None
    for room in ("", "bgp_"):
        path = ("tests", "unit", f"{room}{name}_test.c") if kind == "U" else ("tests", "fuzz", f"{room}{name}_fuzz.c")
        if os.path.exists(os.path.join(ROOT, *path)):
            return set(re.findall(r"(?:cmocka_unit_test\w*|SESSION_TEST)\((?:test_)?(\w+)", read(*path)))
    return None


def test_named_tests_exist():
    parts = promises()
    assert len(parts) > 50, "the tables were not found"
    wrong = []
    for line, kind, name, names in parts:
        have = names_in(kind, name)
        if have is None:
            wrong.append(f"docs/bgp.md:{line}: no tests called {kind} {name}")
            continue
        for n in names:
            if not any(re.fullmatch(n.replace("*", r"\w*"), t) for t in have):
                wrong.append(f"docs/bgp.md:{line}: no test {n} in {kind} {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("document", ["bgp.md"])
def test_every_feature_has_a_test(document):
    for line in read("docs", document).split("\n"):
        cells = [c.strip() for c in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4 and cells[2].startswith("yes"):
            assert cells[3], f"{document}: {cells[0]}: no test"
