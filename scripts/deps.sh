#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Installs from Debian's packages what is missing to build, test and play the lab on Debian 12. Idempotent: when nothing
# is missing it asks the package database once and says so. Nothing that a package brings is started or left enabled:
# the lab runs daemons of its own, in namespaces of its own.
set -eu

# name the purpose, then the packages for it
wanted() {
	cat <<-LIST
	build         build-essential pkg-config clang llvm lld libclang-rt-14-dev clang-format git
	dataplane     libdpdk-dev dpdk-dev libbpf-dev libxdp-dev libelf-dev zlib1g-dev
	libraries     liburcu-dev libev-dev libnl-3-dev libnl-route-3-dev libxxhash-dev libssl-dev libedit-dev libjansson-dev
	unit-tests    libcmocka-dev
	peers         bird2 frr gobgpd exabgp openbgpd stayrtr
	monitoring    prometheus-bird-exporter
	lab           iproute2 nftables ethtool iputils-ping procps bpftool tcpdump tshark python3 python3-pytest jq mandoc
	LIST
}

installed() { # package
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

command -v dpkg-query >/dev/null 2>&1 || {
	echo "deps: this is not a Debian system (no dpkg); install by hand:" >&2
	wanted >&2
	exit 1
}

missing=$(wanted | while read -r purpose packages; do
	lack=
	for p in $packages; do
		installed "$p" || lack="$lack $p"
	done
	[ -z "$lack" ] || echo "$purpose:$lack"
done)
if [ -z "$missing" ]; then
	echo "deps: nothing missing"
	exit 0
fi
echo "deps: missing"
echo "$missing" | sed 's/^/    /'
[ "$(id -u)" -eq 0 ] || {
	echo "deps: run as root to install them" >&2
	exit 1
}
new=$(echo "$missing" | sed 's/^[^:]*://')

policy=/usr/sbin/policy-rc.d
mine=no
log=$(mktemp)
finish() {
	[ "$mine" = no ] || rm -f "$policy"
	rm -f "$log"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ ! -e "$policy" ]; then
	mine=yes
	printf '#!/bin/sh\n# put here by peregrine scripts/deps.sh while it installs packages; safe to delete\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	echo "deps: $policy keeps new daemons from starting while packages are installed; removed afterwards"
fi

apt() {
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1 || {
		cat "$log" >&2
		echo "deps: apt-get $1 failed" >&2
		exit 1
	}
}
apt update
# a list of words on purpose
# shellcheck disable=SC2086
apt install --no-install-recommends $new

# policy-rc.d keeps them from starting now; this keeps them from starting at the next boot. Only what came just now:
# a daemon that was on the host before is the host's business.
if command -v systemctl >/dev/null 2>&1; then
	for p in $new; do
		dpkg -L "$p" | sed -n 's#^\(/usr\)\?/lib/systemd/system/\([^/@]*\.\(service\|socket\|timer\)\)$#\2#p'
	done | while read -r unit; do
		systemctl disable --quiet "$unit" >/dev/null 2>&1 || true
	done
fi
echo "deps: installed"
