#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# run-integration.sh [FILE...]: the integration tests, one pytest a file, one more at a time than there are CPUs: each has
# networks of its own, and most of their time is waiting. PEREGRINE_BUILD=dir says whose programs (default build).
# What a file printed comes in one piece when it has ended. The last line is "integration: N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.." || exit 1
if [ "$(id -u)" -ne 0 ]; then
	echo "SKIP  integration tests need root: they make network namespaces"
	echo "integration: 0 passed, 0 failed, 1 skipped"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'kill $(jobs -p) 2>/dev/null; wait; exit 130' INT
trap 'kill $(jobs -p) 2>/dev/null; wait; exit 143' TERM
# The slowest first; others in the order of their names.
first="bgp_matrix scenario bfdgen errors troubles dataplane survival"
files=()
if [ $# -gt 0 ]; then
	files=("$@")
else
	for name in $first; do files+=("tests/integration/test_$name.py"); done
	for f in tests/integration/test_*.py; do
		[[ " ${files[*]} " == *" $f "* ]] || files+=("$f")
	done
fi

one() { # file
	local name start=$SECONDS
	name=$(basename "$1" .py)
	/usr/bin/python3 -m pytest -q -rs -p no:cacheprovider --durations=3 --junitxml="$work/$name.xml" "$1" >"$work/$name.log" 2>&1 </dev/null
	# pytest's exit status says less than its report; a report that is missing is one failure
	/usr/bin/python3 - "$work/$name.xml" >"$work/$name.counts" 2>/dev/null <<-'END' || echo "0 1 0" >"$work/$name.counts"
		import sys, xml.etree.ElementTree as t
		s = t.parse(sys.argv[1]).getroot().find("testsuite").attrib
		bad, skip = int(s["failures"]) + int(s["errors"]), int(s["skipped"])
		print(int(s["tests"]) - bad - skip, bad, skip)
	END
	{
		echo "-- $name, $((SECONDS - start)) s"
		cat "$work/$name.log"
	} >"$work/$name.said"
	cat "$work/$name.said"
}

for f in "${files[@]}"; do
	while [ "$(jobs -rp | wc -l)" -gt "$(nproc)" ]; do wait -n; done
	one "$f" &
done
wait
passed=0 failed=0 skipped=0
for f in "${files[@]}"; do
	read -r p b s <"$work/$(basename "$f" .py).counts"
	passed=$((passed + p)) failed=$((failed + b)) skipped=$((skipped + s))
	[ "$b" -eq 0 ] || echo "failed in: $f"
done
echo "integration: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
