#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Everything that a change has to pass: build, formatting, unit tests (plain, with AddressSanitizer and UBSan, with
# ThreadSanitizer), fuzzers (FUZZ_SECONDS for those of BFD packets and BGP messages, an eighth
# of it for the others), integration tests in network namespaces.
# One part: scripts/test.sh PART... (build format unit asan tsan fuzz integration). B=dir as for make. PART:NAME,NAME runs
# only those of its programs (unit, asan, tsan) or files (integration); a line "failed in: NAME" tells what to name.
# The last line is "N passed, N failed, N skipped"; the exit status is 0 only if nothing failed.
set -u
cd "$(dirname "$0")/.." || exit 1
unset MAKEFLAGS MAKELEVEL # called from make: -j and variables of the outer one are not ours
B=${B:-build}
FUZZ_SECONDS=${FUZZ_SECONDS:-60}
parts=${*:-build format unit asan tsan fuzz integration}
jobs=$(nproc)
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
rows=()

# The counts of a part are in its last line of the form "... N passed, N failed, N skipped"; a part without one counts as one
# test. A part that ends with a failure that it did not count is one failed test.
part() { # name command...
	local name=$1 start=$SECONDS rc p=0 f=0 s=0 line
	shift
	echo "== $name"
	"$@" 2>&1 | tee "$log"
	rc=${PIPESTATUS[0]}
	line=$(grep -oE '[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped' "$log" | tail -n 1)
	if [ -n "$line" ]; then
		read -r p _ f _ s _ <<<"$line"
		[ "$rc" -eq 0 ] || [ "$f" -gt 0 ] || f=1
	elif [ "$rc" -eq 0 ]; then
		p=1
	else
		f=1
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	rows+=("$(printf '%-12s %5d passed %4d failed %4d skipped %6d s' "$name" "$p" "$f" "$s" $((SECONDS - start)))")
	return "$rc"
}

broken=no
for p in $parts; do
	only=
	[[ $p != *:* ]] || only=${p#*:} p=${p%%:*}
	only=${only//,/ }
	case $p in
	build) part build make -s -j"$jobs" B="$B" all || broken=yes ;;
	format) part format make -s format-check ;;
	unit) part unit make -s -j"$jobs" B="$B" TESTS="$only" unit ;;
	asan | tsan) part "$p" make -s -j"$jobs" B="$B/$p" SAN="$p" TESTS="$only" unit ;;
	fuzz) part fuzz make -s -j"$jobs" B="$B" FUZZ_SECONDS="$FUZZ_SECONDS" fuzz ;;
	integration)
		if [ $broken = yes ]; then
			echo "== integration"
			echo "FAIL  not run: the build is broken"
			failed=$((failed + 1))
		else
			# words on purpose
			# shellcheck disable=SC2086
			part integration env PEREGRINE_BUILD="$(realpath "$B")" scripts/run-integration.sh $only
		fi
		;;
	*)
		echo "test.sh: no such part: $p" >&2
		exit 2
		;;
	esac
done

echo
printf '%s\n' "${rows[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
