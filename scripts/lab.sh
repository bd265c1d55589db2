#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Plays the two-location scenario in network namespaces. KEEP=1 leaves it standing; `scripts/lab.sh clean` removes what
# was left; NODE=bird puts stock BIRD in our place. See scripts/lab/.
set -eu
exec /usr/bin/python3 "$(dirname "$0")/lab/main.py" "$@"
