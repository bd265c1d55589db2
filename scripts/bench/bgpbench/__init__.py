# SPDX-License-Identifier: BSD-2-Clause
"""The pieces of bench-bgp.py: scenes (what is asked), devices (of whom), trials by peregrine-bgpgen, the table, the plots."""
