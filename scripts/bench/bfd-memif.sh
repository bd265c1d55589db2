#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# bfd-memif.sh [OPTION...]: SESSIONS x INTERVAL between peregrine-bfdgen and peregrine-dp over memif, held for SECONDS, each
# of the two on cores of its own. Needs the built programs, a Unix socket and python3; no network interface, no namespace, no
# huge pages, nor, but for real-time priority and the best nice values, root. What `scripts/bench.sh bfd --device memif` does
# on a machine with two cores, for one that has more.
#
#   --interval MS       (default 3.3)     --sessions N   (default 10000)    --seconds S   (default 60)
#   --dp-cores M,W      manager and worker of peregrine-dp (default 0,1)
#   --gen-cores M,L     main thread and loop of peregrine-bfdgen (default 2,3; on two cores 0,1, the worker then on 0)
#   --poll busy|nap     the generator's (default busy where its loop has a core of its own)
#   --dp-poll busy|adaptive   peregrine-dp's (default busy; adaptive has real-time priority, for a machine that others use too)
#   --cut N             sessions that stop answering at the end, whose detection is measured (default 200)
#   --build DIR         where the programs are (default build)    --out DIR   (default build/bench/bfd-memif)
#   --label TEXT        --eal "ARGS"   for both, like "-d /lib/librte_net_memif.so"
#
# In DIR afterwards: gen.json and csv/ (the generator's report), workers.before and .after (what peregrine-dp counts), the logs,
# and result.json: flaps of both sides, worst gaps, detections, stalls, busy and cycles a packet of both. The last line on
# stdout is one sentence of that. Exit status 0: measured, whatever it says; 1: not. Whatever it starts ends by itself.
set -u
cd "$(dirname "$0")/../.." || exit 1

cores=$(nproc)
interval=3.3 sessions=10000 seconds=60 cut=200 build=build out= label= eal= poll= dp_poll=busy
if [ "$cores" -ge 4 ]; then dp_cores=0,1 gen_cores=2,3; else dp_cores=1,0 gen_cores=0,$((cores - 1)); fi
while [ $# -gt 0 ]; do
	[ $# -gt 1 ] || {
		echo "bfd-memif: $1 needs a value" >&2
		exit 2
	}
	case $1 in
	--interval) interval=$2 ;; --sessions) sessions=$2 ;; --seconds) seconds=$2 ;; --cut) cut=$2 ;; --build) build=$2 ;;
	--out) out=$2 ;; --label) label=$2 ;; --eal) eal=$2 ;; --poll) poll=$2 ;; --dp-poll) dp_poll=$2 ;; --dp-cores) dp_cores=$2 ;;
	--gen-cores) gen_cores=$2 ;;
	*)
		echo "bfd-memif: unknown option $1" >&2
		exit 2
		;;
	esac
	shift 2
done
dp_main=${dp_cores%,*} dp_loop=${dp_cores#*,} gen_main=${gen_cores%,*} gen_loop=${gen_cores#*,}
out=${out:-$build/bench/bfd-memif}
[ -n "$poll" ] || if [ "$cores" -ge 4 ]; then poll=busy; else poll=nap; fi
limit=$((${seconds%.*} + 90)) # seconds, of everything that is started here
us=$(python3 -c "print(round($interval * 1000))") || exit 1

for p in peregrine-dp peregrine-bfdgen tools/dpctl; do
	[ -x "$build/$p" ] || {
		echo "bfd-memif: $build/$p is not built (make, make $build/tools/dpctl)" >&2
		exit 1
	}
done
rm -rf "$out"
mkdir -p "$out" || exit 1
run=$(mktemp -d) # for sockets, whose names must be short
pids=()
finish() {
	local p
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
	wait 2>/dev/null
	rm -rf "$run"
}
trap finish EXIT
trap 'exit 130' INT TERM
fail() {
	echo "bfd-memif: $*" >&2
	tail -n 5 "$out"/*.log >&2
	exit 1
}

# A session of its own each, with the best nice value: where the kernel shares the machine out by session, that is what counts.
start() { # log program argument...
	local log=$1
	shift
	setsid timeout -k 5 "$limit" "$@" >"$out/$log" 2>&1 </dev/null &
	pids+=($!)
	echo -20 >"/proc/$!/autogroup" 2>/dev/null
}

mac_dp=02:00:00:00:09:01 mac_gen=02:00:00:00:09:02
# shellcheck disable=SC2086
start dp.log taskset -c "$dp_main,$dp_loop" "$build/peregrine-dp" --socket "$run/dp" --poll "$dp_poll" --port \
	"memif:$run/m,role=server,bsize=256,ip=10.9.0.1/16,name=m0,mac=$mac_dp,peer_mac=$mac_gen" -- \
	--lcores="0@$dp_main,1@$dp_loop" $eal
for _ in $(seq 100); do
	grep -q ' ready: ' "$out/dp.log" && break
	sleep 0.1
done
grep -q ' ready: ' "$out/dp.log" || fail "peregrine-dp is not ready after 10 s"
start dpctl.log taskset -c "$dp_main" "$build/tools/dpctl" "$run/dp" 'hello hold=1' \
	"range 10.9.64.1%m0 $sessions from=10.9.0.1 tx=$us rx=$us mult=3" "sleep $limit"

workers() { timeout 10 taskset -c "$dp_main" "$build/tools/dpctl" "$run/dp" 'hello observer' workers; }
workers >"$out/workers.before" || fail "peregrine-dp does not answer"
read -r dp_pid _ <"/proc/${pids[0]}/task/${pids[0]}/children" # of timeout
# On a busy machine the server may not take the connection at once.
for _ in 1 2 3 4 5; do
	# shellcheck disable=SC2086
	setsid timeout -k 5 "$limit" taskset -c "$gen_main,$gen_loop" "$build/peregrine-bfdgen" \
		--port "memif:$run/m,role=client,bsize=256,ip=10.9.255.254/16,mac=$mac_gen" --peer-mac $mac_dp --local 10.9.64.1 --peer 10.9.0.1 \
		--sessions "$sessions" --interval "$interval" --time "$seconds" --cut "$cut" --cut-rounds 1 --poll "$poll" \
		--watch-core "$dp_loop" ${dp_pid:+--pid "$dp_pid=peregrine-dp"} --json "$out/gen.json" --csv "$out/csv" --label "$label" \
		-- --lcores="0@$gen_main,1@$gen_loop" $eal >"$out/gen.log" 2>&1 </dev/null &
	gen=$!
	pids+=("$gen")
	echo -20 >"/proc/$gen/autogroup" 2>/dev/null
	sleep 3
	kill -0 "$gen" 2>/dev/null && break
done
# The worker's figures of the hold: from some time in it to some time in it.
sleep 4
workers >"$out/workers.before"
wait $gen
status=$?
workers >"$out/workers.after"
[ "$status" -eq 0 ] || [ "$status" -eq 3 ] || fail "peregrine-bfdgen ended with $status"
[ -s "$out/gen.json" ] || fail "no report"

python3 - "$out" "$sessions" "$interval" "$dp_cores" "$gen_cores" <<'EOF'
import json, os, platform, re, sys

out, sessions, interval, dp_cores, gen_cores = sys.argv[1:]
d = json.load(open(f"{out}/gen.json", encoding="utf-8"))

def worker(name):
    m = re.search(r"worker 0 rx (\d+) tx (\d+) .*stalls (\d+).*?worst ([0-9.]+) ms loops (\d+) busy ([0-9.]+) s dropped (\d+)",
                  open(f"{out}/workers.{name}", encoding="utf-8").read())
    return dict(zip(("rx", "tx", "stalls", "worst_stall_ms", "loops", "busy_s", "dropped"), map(float, m.groups()))) if m else None

def cpuinfo(field):
    return next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith(field)), "")

mhz = float(cpuinfo("cpu MHz") or 0)
r = {"sessions": int(sessions), "interval_ms": float(interval), "dp_cores": dp_cores, "generator_cores": gen_cores,
     "cpu": cpuinfo("model name"), "cpus": os.cpu_count(), "mhz": mhz, "kernel": platform.release(), "load": os.getloadavg()[0],
     "up_at_hold": d["sessions"]["up_at_hold"], "held_s": round(d["course"]["cuts_s"] - d["course"]["hold_s"], 1),
     "flaps": d["flaps"], "gaps": d["gaps"]["count"], "gaps_late": d["gaps"]["late"], "worst_gap_ms": d["gaps"]["max_us"] / 1e3,
     "detections": d["detections"], "packets": d["packets"], "generator": d["generator"], "cores": d["cores"], "cpu_used": d["cpu"],
     "generator_cycles_a_packet": round(d["generator"]["ns_a_packet"] * mhz / 1e3)}
a, b = worker("before"), worker("after")
if a and b and b["rx"] + b["tx"] > a["rx"] + a["tx"]:
    each = (b["busy_s"] - a["busy_s"]) / (b["rx"] + b["tx"] - a["rx"] - a["tx"])
    rate = 2 * d["gaps"]["count"] / (d["course"]["goodbye_s"] - d["course"]["hold_s"])
    r["worker"] = b | {"cycles_a_packet": round(each * mhz * 1e6), "busy_percent": round(100 * each * rate, 1),
                       "packets_a_round": round((b["rx"] + b["tx"] - a["rx"] - a["tx"]) / (b["loops"] - a["loops"]), 2)}
json.dump(r, open(f"{out}/result.json", "w", encoding="utf-8"), indent=1)
print(json.dumps(r, indent=1))
f, o, w = d["flaps"], d["detections"]["overshoot_us"], r.get("worker", {})
print(f"{r['up_at_hold']} of {sessions} sessions at {interval} ms held for {r['held_s']} s: {f['device']} flaps"
      f" (and {f['machine']} while the worker's core was away, {f['generator']} while the generator's was);"
      f" worst gap {r['worst_gap_ms']:.2f} ms; {o['count']} detections past the deadline by"
      f" {o['median'] / 1e3:.3f} / {o['p99'] / 1e3:.3f} / {o['max'] / 1e3:.3f} ms, {d['detections']['early']} early,"
      f" {d['detections']['missed']} missed; worker {w.get('busy_percent', '?')} % busy, {w.get('cycles_a_packet', '?')} cycles a packet;"
      f" generator {d['generator']['busy_percent']} % busy, {r['generator_cycles_a_packet']} cycles a packet")
EOF
exit
