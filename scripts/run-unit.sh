#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# run-unit.sh PROGRAM...: runs unit-test programs side by side: those of the kernel's tables (fib_*) one after another, because
# they would wait for each other's locks, and beside them the others, as many as there are CPUs. Prints a line for each when it
# has ended, and the whole output of those that fail.
# Before the last line a line "failed in: NAME" for each that failed. The last line is "unit: N passed, N failed, N skipped".
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'kill $(jobs -p) 2>/dev/null; wait; exit 130' INT
trap 'kill $(jobs -p) 2>/dev/null; wait; exit 143' TERM
# ThreadSanitizer wants its shadow where a randomised address space may have put something else.
run=
! setarch -R true 2>/dev/null || run="setarch -R"
one() { # program
	local name=${1##*/} rc=0 p s f start=$SECONDS
	local log=$work/$name.log
	# a command of several words on purpose
	# shellcheck disable=SC2086
	timeout --kill-after=10 600 $run "$1" >"$log" 2>&1 </dev/null || rc=$?
	p=$(grep -c '^\[       OK \]' "$log")
	# cmocka names a skipped or failed test when it happens and once more in its summary
	s=$(sed -n 's/^\[  SKIPPED \] \([A-Za-z_]\)/\1/p' "$log" | sort -u | wc -l)
	if [ "$rc" -eq 0 ] && [ $((p + s)) -gt 0 ]; then
		f=0
		echo "ok    $name ($p tests$([ "$s" -eq 0 ] || echo ", $s skipped"), $((SECONDS - start)) s)"
		grep '^SKIP' "$log"
	else
		f=$(sed -n 's/^\[  FAILED  \] \([A-Za-z_]\)/\1/p' "$log" | grep -v 'test(s), listed below' | sort -u | wc -l)
		[ "$f" -gt 0 ] || f=1
		case $rc in
		0) echo "FAIL  $name (ran no test)" ;;
		124 | 137) echo "FAIL  $name (did not end within 600 s)" ;;
		*) echo "FAIL  $name (exit $rc)" ;;
		esac
		cat "$log"
	fi
	echo "$p $f $s" >"$work/$name.counts"
}

say() { # program: what it printed comes in one piece
	one "$1" >"$work/${1##*/}.said"
	cat "$work/${1##*/}.said"
}

others=()
for t in "$@"; do
	case ${t##*/} in
	fib_*) ;;
	export_group_test) others=("$t" "${others[@]}") ;; # the slowest first
	*) others+=("$t") ;;
	esac
done
(for t in "$@"; do
	case ${t##*/} in
	fib_*) say "$t" ;;
	esac
done) &
for t in "${others[@]}"; do
	while [ "$(jobs -rp | wc -l)" -gt "$(nproc)" ]; do wait -n; done
	say "$t" &
done
wait
passed=0 failed=0 skipped=0
for t in "$@"; do
	read -r p f s <"$work/${t##*/}.counts"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	[ "$f" -eq 0 ] || echo "failed in: ${t##*/}"
done
echo "unit: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
