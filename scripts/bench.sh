#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# bench.sh [NAME [ARGUMENT...]]: runs one benchmark, or all of them one after another: scripts/bench/bench-NAME.{sh,py}.
# Each says what it measures, on what machine, and against which other daemons of this host.
set -eu
cd "$(dirname "$0")/.."

find_bench() {
	for f in "scripts/bench/bench-$1.sh" "scripts/bench/bench-$1.py"; do
		[ ! -f "$f" ] || echo "$f"
	done
}

run() { # file argument...
	case $1 in
	*.py) /usr/bin/python3 "$@" ;;
	*) sh "$@" ;;
	esac
}

names=$(for f in scripts/bench/bench-*.sh scripts/bench/bench-*.py; do
	[ ! -f "$f" ] || basename "$f" | sed 's/^bench-//; s/\.[a-z]*$//'
done)
if [ $# -gt 0 ]; then
	file=$(find_bench "$1")
	[ -n "$file" ] || {
		echo "bench: no such benchmark: $1 (there are: ${names:-none})" >&2
		exit 2
	}
	shift
	run "$file" "$@"
	exit
fi
[ -n "$names" ] || {
	echo "bench: there is no benchmark in scripts/bench" >&2
	exit 2
}
status=0
for n in $names; do
	echo "== $n"
	run "$(find_bench "$n")" || status=1
done
exit $status
