# SPDX-License-Identifier: BSD-2-Clause
"""Random filter expressions, functions and attribute blocks of routes: stock BIRD and ours have to agree on every one."""
import os
import subprocess
import sys

import pytest

from netlab import build_dir

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")


@pytest.mark.ours
def test_expressions_and_functions():
    build = build_dir()
    subprocess.run(["make", "-s", "-C", ROOT, "B=" + build, build + "/tools/filter_eval"], check=True, timeout=600)
    r = subprocess.run([sys.executable, os.path.join(HERE, "filter_differential.py"), "--eval", build + "/tools/filter_eval",
                        "--cases", "20000", "--programs", "1000", "--routes", "5000", "--seed", "7"], capture_output=True, text=True, timeout=600)
    assert r.returncode == 0, r.stdout + r.stderr
    assert "0 different" in r.stdout
