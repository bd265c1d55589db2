#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# host-tune.sh [apply]: what Peregrine would like from a host, what the host has, and why. Without "apply" nothing is changed;
# with it the values are set until the next boot (put them into /etc/sysctl.d to keep them).
set -u
apply=${1:-}
[ -z "$apply" ] || [ "$apply" = apply ] || {
	echo "usage: host-tune.sh [apply]" >&2
	exit 2
}
status=0

want() { # sysctl value why
	name=$1 value=$2
	shift 2
	file=/proc/sys/$(echo "$name" | tr . /)
	if [ ! -e "$file" ]; then
		echo "--     $name: this kernel has no such setting"
		return
	fi
	have=$(cat "$file")
	if [ "$have" = "$value" ]; then
		echo "ok     $name = $value"
		return
	fi
	if [ "$apply" = apply ] && echo "$value" >"$file" 2>/dev/null; then
		echo "set    $name = $value (was $have)"
	else
		echo "want   $name = $value, is $have"
		status=1
	fi
	echo "       $*"
}

want net.ipv4.nexthop_compat_mode 0 "with 1 the kernel announces every route of a nexthop group that changes, one by one, under its lock:" \
	"a failover of many routes then takes that long; other routing daemons in the namespace see nexthop ids only"
want net.ipv4.fib_sync_mem 67108864 "while routes go in, the kernel waits for all its processors whenever so many bytes of its trie" \
	"have been replaced, under the one lock that a failover needs, too"
want net.ipv6.route.skip_notify_on_dev_down 1 "a lost interface is one message, not one for each IPv6 route"
want net.core.rmem_max 16777216 "netlink and BGP sockets may ask for a buffer that a full table fits"
want net.core.wmem_max 16777216 "the same for sending"
want kernel.sched_rt_runtime_us -1 "only for peregrine-dp --poll busy under SCHED_FIFO: else the kernel stops it for 50 ms each second"
pages=$(awk '/^HugePages_Total/ { print $2 }' /proc/meminfo)
echo "--     huge pages: ${pages:-0}; peregrine-dp runs without, and better with some on ports that DPDK owns"
exit $status
