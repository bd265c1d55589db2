# SPDX-License-Identifier: BSD-2-Clause
"""The pieces of bench-bfd.py: devices under test, trials by peregrine-bfdgen, the table."""
