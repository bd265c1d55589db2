# SPDX-License-Identifier: BSD-2-Clause
"""Integration tests: our daemons against stock ones in network namespaces. They need root and the programs of the build
(PEREGRINE_BUILD, default build/). NODE=bird runs those that make sense with stock BIRD in our place, which is how a new
test is proved before it is believed."""
import os
import re
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from netlab import Lab, build_dir  # noqa: E402
from netlab.pair import Pair  # noqa: E402
from netlab.proc import wait_for  # noqa: E402

STOCK = os.environ.get("NODE", "peregrine") == "bird"


def pytest_configure(config):
    config.addinivalue_line("markers", "ours: needs our own daemons, makes no sense with NODE=bird")


def pytest_collection_modifyitems(config, items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs root: network namespaces"))
        return
    if STOCK:
        for item in items:
            if item.get_closest_marker("ours"):
                item.add_marker(pytest.mark.skip(reason="NODE=bird: a test of our own daemons"))
        return
    missing = [p for p in ("peregrined", "peregrine-dp", "peregrinec") if not os.path.exists(os.path.join(build_dir(), p))]
    if missing:
        raise pytest.UsageError(f"not built in {build_dir()}: {', '.join(missing)} (make, or PEREGRINE_BUILD=...)")


def kernel_in_step(the_lab):
    """Kernel and RIB agree for every daemon of ours that still runs. A test may end in the middle of a change, so it has a
    moment for that; what the kernel had wrong by then has been repaired, and stays so."""
    for node in the_lab.ours:
        if node.dead() or node.name not in node.running or not node.ctl_answers():
            continue

        def agree(node=node):
            m = re.search(r"(\d+) missing, (\d+) wrong, (\d+) not ours", node.ctl.ask("audit").text)
            return m is None or m.groups() == ("0", "0", "0")
        wait_for(agree, f"{node.role}: kernel and RIB agree", limit=20, step=0.5)


@pytest.fixture
def lab():
    with Lab() as the_lab:
        yield the_lab
        kernel_in_step(the_lab)


@pytest.fixture
def make_pair(lab, request):
    """make_pair(peer="bird"|"frr"|None, dataplane=False, **options of the peer) -> Pair, not started."""
    made = []

    def make(peer="bird", **options):
        made.append(Pair(lab, peer, **options))
        return made[-1]
    yield make
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed:
        for p in made:
            tell(p.node)
            if p.peer:
                tell(p.peer.daemon)


def tell(daemon):
    """The last lines that a daemon wrote, for the report of a failed test."""
    lab = daemon.lab
    for name in sorted(os.listdir(lab.dir)):
        path = os.path.join(lab.dir, name)
        if name.startswith(daemon.role + "-") and name.endswith((".log", ".out")) and os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as f:
                lines = f.read().splitlines()[-40:]
            if lines:
                print(f"---- {name}\n" + "\n".join(lines))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.report_call = report
