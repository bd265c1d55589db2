#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# run-fuzz.sh DIR SECONDS [NAME...]: runs libFuzzer programs in DIR, as many at a time as there are CPUs: those named, or else
# all; then only the parsers of BFD packets and BGP messages, which read what anybody sends, run for that long, the others
# for an eighth of it.
# Seeds are tests/fuzz/corpus/<name>/; what breaks a program is kept in DIR/../artifacts/ and named.
# The last line is "fuzz: N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.." || exit 1
dir=$1 seconds=$2
shift 2
artifacts=$dir/../artifacts
mkdir -p "$artifacts"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'kill $(jobs -p) 2>/dev/null; exit 130' INT TERM

one() { # program seconds
	local name=${1##*/} seconds=$2
	local seeds=tests/fuzz/corpus/$name
	mkdir -p "$work/$name.corpus"
	[ -d "$seeds" ] || seeds=
	# shellcheck disable=SC2086
	# The program must end by itself soon after its time; a hang of its own is caught by -timeout.
	if timeout --kill-after=10 $((seconds + 120)) "$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2560 -print_final_stats=1 \
		-artifact_prefix="$artifacts/$name-" "$work/$name.corpus" $seeds >"$work/$name.log" 2>&1 </dev/null; then
		echo "ok    $name ($(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log") runs)"
		: >"$work/$name.ok"
	else
		echo "FAIL  $name"
		tail -n 60 "$work/$name.log"
	fi
}

programs=()
for p in "$dir"/*_fuzz; do
	[ -x "$p" ] || continue
	if [ $# -eq 0 ] || [[ " $* " == *" ${p##*/} "* ]]; then programs+=("$p"); fi
done
if [ ${#programs[@]} -eq 0 ]; then
	echo "SKIP  no fuzzer in $dir"
	echo "fuzz: 0 passed, 0 failed, 1 skipped"
	exit 0
fi
for p in "${programs[@]}"; do
	while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
	time=$seconds
	if [ $# -eq 0 ]; then
		case ${p##*/} in
		bfd_packet_fuzz | bgp_stream_fuzz | bgp_update_fuzz) ;;
		*) time=$(((seconds + 7) / 8)) ;;
		esac
	fi
	one "$p" "$time" >"$work/${p##*/}.said" &
done
wait
cat "$work"/*.said
passed=$(find "$work" -name '*.ok' | wc -l)
failed=$((${#programs[@]} - passed))
echo "fuzz: $passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
