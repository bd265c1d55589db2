# SPDX-License-Identifier: BSD-2-Clause
"""The fan-out, judged prefix by prefix: peregrine-bgpgen plays all peers of a route server and compares every receiver's
final table, attributes included, with its model of the right answer. The same scenes run against stock BIRD, which is how
the model itself is judged. Small tables: how fast is a matter of the benchmark, not of a test."""
import dataclasses
import os
import subprocess
import sys

import pytest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "scripts", "bench"))
from bgpbench import devices  # noqa: E402
from bgpbench.scene import Scene, generator, wire  # noqa: E402
from bgpbench.trial import trial  # noqa: E402

pytestmark = pytest.mark.ours

V4, V6 = 4000, 400
CHURN = ("--churn", "3", "--churn-rate", "2000", "--churn-drops", "100")
SCENES = {
    "feeds": Scene("feeds", V4, V6, peers=4, feeders=2),
    "late": Scene("feeds", V4, V6, peers=6, feeders=2, gen=("--late",)),
    "rs": Scene("rs", V4, V6, peers=12),
    "rs4": Scene("rs", V4, peers=12),
    "overlap": Scene("rs", V4, V6, peers=12, gen=("--overlap", "3")),
    "policy": Scene("rs", V4, V6, peers=12, control=True, refused=9, gen=("--overlap", "3")),
    "drop": Scene("rs", V4, V6, peers=12, control=True, gen=("--overlap", "2", "--drop", "4")),
    "join": Scene("rs", V4, V6, peers=12, control=True, gen=("--join", "2", "--busy", "200", "--pulse", "10")),
    "reload": Scene("rs", V4, V6, peers=12, control=True, reload=True, gen=("--overlap", "2")),
    "slow": Scene("rs", V4, V6, peers=12, control=True, gen=("--slow", "1", "--slow-rate", "2000")),
    "churn": Scene("rs", V4, V6, peers=12, control=True, refused=9, gen=("--overlap", "3", *CHURN)),
}
PHASES = {"late": "late", "drop": "returned", "join": "joined", "reload": "command", "slow": "caught_up", "churn": "settled"}
# peer, then a scene that the peer's configuration is generated for
CASES = [(devices.Peregrine, n) for n in SCENES] + [(devices.Bird, n) for n in SCENES] + [(devices.Frr, "rs"), (devices.OpenBgpd, "rs4")]


@pytest.fixture
def net(lab):
    wire(lab)
    return lab


def go(net, cls, scene, *more):
    if cls.missing():
        pytest.skip(cls.missing())
    return trial(net, cls(net, 0), scene, (os.cpu_count() or 2) - 1, 60, ["--check", *more])


@pytest.mark.parametrize("cls,name", CASES, ids=[f"{c.key}-{n}" for c, n in CASES])
def test_every_table_is_right(net, cls, name):
    r = go(net, cls, SCENES[name])
    assert "error" not in r, r["error"]
    assert PHASES.get(name, "load") in r
    for phase, d in r.items():
        if isinstance(d, dict):
            assert d["unknown"] == 0, f"{phase}: prefixes that nobody announced"
    last = r[PHASES.get(name, "load")]["check"]
    assert last["right"] > V4 // 2 and not (last["missing"] or last["extra"] or last["wrong"])


@pytest.mark.parametrize("seed", range(2, 5))
def test_random_churn(net, seed):
    """Other tables, other changes, other losses: equal final state for every peer."""
    r = go(net, devices.Peregrine, dataclasses.replace(SCENES["churn"], seed=seed))
    assert "error" not in r, r["error"]
    assert r["dropped"] > 0 and r["settled"]["check"]["right"] > V4


def test_packing(net):
    """One announcement of each route, in little more than the fewest messages possible. Where the first feed of a session
    meets the first changes, a few may be said twice (BIRD does that too)."""
    d = go(net, devices.Peregrine, SCENES["rs"])["load"]
    assert d["withdrawn"] == 0 and d["repeated"] < d["check"]["right"] / 20
    assert d["announced"] == d["check"]["right"] + d["repeated"]
    assert d["minimum_updates"] <= d["updates"] <= 1.25 * d["minimum_updates"]


def test_the_check_can_fail(net):
    """A daemon with another policy than the model's: every wrong table is seen."""
    silent = Scene("rs", V4, V6, peers=4, control=True)
    wrong = Scene("rs", V4, V6, peers=4)

    class Wrong(devices.Peregrine):
        def start(self, scene):
            return super().start(wrong)  # control communities are neither obeyed nor removed
    r = trial(net, Wrong(net, 0), silent, (os.cpu_count() or 2) - 1, 5, ["--check"])
    assert "error" in r


def test_real_tables(net, tmp_path):
    """Ranges of addresses as the asn data sets have them; more-specifics make up the number."""
    table = tmp_path / "asn.csv"
    table.write_text("".join(f"20.{i}.0.0,20.{i}.63.255,{1000 + i},\"AS {i} / test\"\n" for i in range(200)) +
                     "2a00:1000::,2a00:1000:ffff:ffff:ffff:ffff:ffff:ffff,2000,\"v6\"\n")
    r = go(net, devices.Peregrine, Scene("rs", 2000, 50, peers=4, table=str(table)))
    assert "error" not in r, r["error"]
    assert r["routes"] == 2050 and r["load"]["check"]["right"] == 3 * 2050


@pytest.mark.parametrize("text,words", [("1.0.0.0/24 1\nnonsense\n", ":2: Invalid argument"), ("", ":0: No data available")])
def test_a_bad_table_is_named(tmp_path, text, words):
    table = tmp_path / "bad"
    table.write_text(text)
    p = subprocess.run([generator(), "--mode", "feeds", "--dut", "127.0.0.1", "--base", "127.0.0.2", "--table", str(table)],
                       text=True, capture_output=True, check=False)
    assert p.returncode == 2 and f"{table}{words}" in p.stderr
