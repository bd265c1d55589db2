#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs the given unit-test programs one by one; prints a line for each and the whole output of those that fail.
# Before the last line a line "failed in: NAME" for each that failed. The last line is "unit: N passed, N failed, N skipped".
set -u
passed=0 failed=0 skipped=0 bad=
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# ThreadSanitizer wants its shadow where a randomised address space may have put something else.
run=
! setarch -R true 2>/dev/null || run="setarch -R"
for t in "$@"; do
	# a command of several words on purpose
	# shellcheck disable=SC2086
	if timeout --kill-after=10 300 $run "$t" >"$log" 2>&1 </dev/null; then rc=0; else rc=$?; fi
	p=$(grep -c '^\[       OK \]' "$log")
	# cmocka names a skipped or failed test when it happens and once more in its summary
	s=$(sed -n 's/^\[  SKIPPED \] \([A-Za-z_]\)/\1/p' "$log" | sort -u | wc -l)
	passed=$((passed + p))
	skipped=$((skipped + s))
	if [ "$rc" -eq 0 ] && [ $((p + s)) -gt 0 ]; then
		echo "ok    $(basename "$t") ($p tests$([ "$s" -eq 0 ] || echo ", $s skipped"))"
		grep '^SKIP' "$log"
	else
		f=$(sed -n 's/^\[  FAILED  \] \([A-Za-z_]\)/\1/p' "$log" | grep -v 'test(s), listed below' | sort -u | wc -l)
		[ "$f" -gt 0 ] || f=1
		failed=$((failed + f)) bad="$bad $(basename "$t")"
		case $rc in
		0) echo "FAIL  $(basename "$t") (ran no test)" ;;
		124 | 137) echo "FAIL  $(basename "$t") (did not end within 300 s)" ;;
		*) echo "FAIL  $(basename "$t") (exit $rc)" ;;
		esac
		cat "$log"
	fi
done
for t in $bad; do echo "failed in: $t"; done
echo "unit: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
