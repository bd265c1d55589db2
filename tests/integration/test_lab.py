# SPDX-License-Identifier: BSD-2-Clause
"""make lab as a command: what it prints at its end, that it leaves nothing when it is interrupted, and what KEEP=1 leaves."""
import glob
import os
import re
import signal
import subprocess

import pytest
from netlab.daemons import ROOT
from netlab.lab import PREFIX, _namespaces

LAB = os.path.join(ROOT, "scripts", "lab.sh")
pytestmark = pytest.mark.ours


def remains(pid):
    """What is there of the lab of a process."""
    return [n for n in _namespaces() if n.startswith(f"{PREFIX}{pid}-")] + glob.glob(f"/tmp/{PREFIX}{pid}-*")


@pytest.mark.parametrize("sig,status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_interrupted_it_removes_everything(sig, status):
    with subprocess.Popen([LAB, "--only", "bird"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as p:
        said = ""
        for line in p.stdout:
            said += line
            if "BFD Up on both nodes" in line:  # in the middle: daemons run, links are there
                assert remains(p.pid)
                p.send_signal(sig)
                break
        said += p.stdout.read()
        assert p.wait(60) == status, said
    assert "interrupted, everything has been removed" in said
    assert not remains(p.pid), said


def test_kept_it_can_be_entered_and_removed():
    env = {**os.environ, "KEEP": "1"}
    with subprocess.Popen([LAB, "--only", "frr", "--steps", "1"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as p:
        said = p.communicate(timeout=180)[0]
    try:
        assert p.returncode == 0, said
        assert re.search(r"^ PASS  \[A=FRR B=BIRD\] 1 ", said, re.M) and re.search(r"^ PASS: 1 steps passed, 0 failed", said, re.M), said
        commands = dict(re.findall(r"^  (\S.*?)  +(\S.*)$", said[said.index("left standing"):], re.M))
        enter = commands["enter a place"].split(" bash")[0].split()
        assert "up0" in subprocess.run([*enter, "ip", "link"], text=True, capture_output=True, check=True).stdout
        asked = subprocess.run([*commands["ask a node"].split(), "show", "protocols"], text=True, capture_output=True, check=True).stdout
        assert re.search(r"upstream_v4 .*Established", asked), asked
        for command in commands["ask upstreams"].split(";  "):
            words = ["show", "protocols"] if command.startswith("birdc") else ["-c", "show bgp summary"]
            subprocess.run([*command.split(), *words], check=True, capture_output=True)
        for command in (commands["kill the link"], commands["and mend it"]):
            subprocess.run(command, shell=True, check=True)
    finally:
        subprocess.run([LAB, "clean", str(p.pid)], check=True, capture_output=True)
    assert not remains(p.pid)


def test_wrong_words_are_refused():
    for words in (["frobnicate"], ["--only", "quagga"], ["--steps", "a"]):
        p = subprocess.run([LAB, *words], text=True, capture_output=True, check=False)
        assert p.returncode == 2 and "usage:" in p.stderr
