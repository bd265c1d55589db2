# SPDX-License-Identifier: BSD-2-Clause
"""Networks in a box for the lab and the integration tests: namespaces, links that can go dead with their carrier up,
stock daemons and ours, and a witness that sees packets and kernel changes on one clock.

Only Python's standard library. Everything is started by a Lab, and nothing outlives it: see lab.py.
"""
from .birdctl import BirdCtl, BirdError
from .daemons import Bird, Daemon, ExaBgp, Frr, GoBgp, Peregrine, build_dir, gobgp_config, gobgp_neighbor, have, make_node
from .lab import Lab, LabError, sweep
from .proc import now_ns, run, wait_for
from .witness import Probe, Witness

__all__ = ["Bird", "BirdCtl", "BirdError", "Daemon", "ExaBgp", "Frr", "GoBgp", "Lab", "LabError", "Peregrine", "Probe",
           "Witness", "build_dir", "gobgp_config", "gobgp_neighbor", "have", "make_node", "now_ns", "run", "sweep", "wait_for"]
