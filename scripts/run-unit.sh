#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs the given unit-test programs one by one; prints a line for each and the whole output of those that fail.
set -u
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for t in "$@"; do
	if timeout 300 "$t" >"$log" 2>&1; then rc=0; else rc=$?; fi
	p=$(grep -c '^\[       OK \]' "$log")
	s=$(grep -c '^\[  SKIPPED \]' "$log")
	passed=$((passed + p))
	skipped=$((skipped + s / 2))
	if [ "$rc" -eq 0 ]; then
		echo "ok    $(basename "$t") ($p tests)"
		grep '^SKIP' "$log"
	else
		f=$(grep '^\[  FAILED  \]' "$log" | sort -u | wc -l)
		[ "$f" -gt 0 ] || f=1
		failed=$((failed + f))
		echo "FAIL  $(basename "$t") (exit $rc)"
		cat "$log"
	fi
done
echo "unit: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
