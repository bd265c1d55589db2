// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * Picks BFD out of an interface that otherwise stays with the kernel.
 *
 * Taken to AF_XDP: UDP to port 3784, 3785, 4784 or 7784 *and* to an address of
 * this host, over IPv4 without options or fragments or IPv6 without extension
 * headers, with at most one 802.1Q tag; also what an S-BFD reflector answers
 * (from port 7784), and echo packets that a neighbour with a session of ours
 * addressed to itself (RFC 5881 section 4). Everything else, and BFD that is only
 * passing through this router, is XDP_PASS: the kernel sees it as if we were
 * not here. Single-hop control packets whose TTL is not 255 came from somebody
 * who is not on this link (RFC 5881 section 5) and are dropped right here, the
 * cheapest place there is.
 *
 * The manager of peregrine-dp fills local_v4 and local_v6 and reads
 * filter_stats; the AF_XDP driver fills xsks_map (it insists on that name).
 * With no socket in xsks_map for a queue the packet is passed: a dead daemon
 * never takes traffic away.
 *
 * dataplane/xdp.c recognises the program on an interface by its name and by
 * the names of its maps: keep them together.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "dataplane/xdp/filter_stats.h"

#define MAX_QUEUES 256
#define MAX_LOCAL 4096

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LOCAL);
	__type(key, __be32);
	__type(value, __u8);
} local_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LOCAL);
	__type(key, struct in6_addr);
	__type(value, __u8);
} local_v6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FILTER_STATS);
	__type(key, __u32);
	__type(value, __u64);
} filter_stats SEC(".maps");

static __always_inline void count(__u32 what)
{
	__u64 *c = bpf_map_lookup_elem(&filter_stats, &what);

	if (c)
		(*c)++;
}

static __always_inline int is_bfd(const struct udphdr *udp)
{
	return udp->dest == bpf_htons(3784) || udp->dest == bpf_htons(3785) || udp->dest == bpf_htons(4784) ||
	       udp->dest == bpf_htons(7784) || udp->source == bpf_htons(7784);
}

SEC("xdp")
int bfd_filter(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct udphdr *udp;
	__u8 *local;
	void *l3;
	__be16 proto;
	__u8 ttl;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	proto = eth->h_proto;
	l3 = eth + 1;
	if (proto == bpf_htons(ETH_P_8021Q)) {
		struct vlan_tag *tag = l3;

		if ((void *)(tag + 1) > end)
			return XDP_PASS;
		proto = tag->proto;
		l3 = tag + 1;
	}

	if (proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = l3;

		if ((void *)(ip + 1) > end)
			return XDP_PASS;
		/* More-fragments or an offset: a BFD packet is never fragmented on purpose. */
		if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
			(ip->frag_off & bpf_htons(0x3fff)))
			return XDP_PASS;
		udp = (void *)(ip + 1);
		if ((void *)(udp + 1) > end || !is_bfd(udp))
			return XDP_PASS;
		ttl = ip->ttl;
		local = bpf_map_lookup_elem(&local_v4, &ip->daddr);
	} else if (proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip6 = l3;

		if ((void *)(ip6 + 1) > end)
			return XDP_PASS;
		if (ip6->version != 6 || ip6->nexthdr != IPPROTO_UDP)
			return XDP_PASS;
		udp = (void *)(ip6 + 1);
		if ((void *)(udp + 1) > end || !is_bfd(udp))
			return XDP_PASS;
		ttl = ip6->hop_limit;
		local = bpf_map_lookup_elem(&local_v6, &ip6->daddr);
	} else {
		return XDP_PASS;
	}

	if (!local || (*local == FILTER_ECHO_PEER && udp->dest != bpf_htons(3785))) {
		count(FILTER_NOT_LOCAL);
		return XDP_PASS;
	}
	if (udp->dest == bpf_htons(3784) && ttl != 255) {
		count(FILTER_TTL);
		return XDP_DROP;
	}
	count(FILTER_TAKEN);
	return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
}

char _license[] SEC("license") = "Dual BSD/GPL";
