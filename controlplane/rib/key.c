/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nets as the store keeps them: as few 32-bit words as their type needs. IPv4
 * prefixes take two, IPv6 five. Of families whose destinations are no prefixes the bytes are kept once, and
 * the key names them: nlri.c. Types that no protocol of ours fills in bulk are kept as they are.
 */
#include "controlplane/rib/internal.h"
#include <string.h>

_Static_assert(sizeof(struct net) <= 4 * KEY_WORDS, "any net fits a key");

unsigned key_words(enum net_type t)
{
	switch (t) {
	case NET_IP4: return 2;
	case NET_IP6: return 5;
	case NET_VPN4:
	case NET_VPN6:
	case NET_FLOW4:
	case NET_FLOW6:
	case NET_EVPN: return KEY_NLRI;
	case NET_ROA4: return 3;
	case NET_ROA6: return 6;
	case NET_ASPA: return 1;
	case NET_IP6_SADR: return 9;
	default: return sizeof(struct net) / 4;
	}
}

void key_of(enum net_type t, const struct net *n, uint32_t *k)
{
	const uint32_t *w = n->prefix.addr.w;

	switch (t) {
	case NET_IP4:
		k[0] = w[3];
		k[1] = n->prefix.len;
		return;
	case NET_IP6:
		memcpy(k, w, 16);
		k[4] = n->prefix.len;
		return;
	case NET_ROA4:
		k[0] = w[3];
		k[1] = n->prefix.len | (uint32_t)n->maxlen << 8;
		k[2] = n->asn;
		return;
	case NET_ROA6:
		memcpy(k, w, 16);
		k[4] = n->prefix.len | (uint32_t)n->maxlen << 8;
		k[5] = n->asn;
		return;
	case NET_ASPA: k[0] = n->asn; return;
	case NET_IP6_SADR:
		memcpy(k, w, 16);
		memcpy(k + 4, n->src.addr.w, 16);
		k[8] = n->prefix.len | (uint32_t)n->src.len << 8;
		return;
	default: {
		struct net flat;

		/* Without what may stand in holes and unused fields. */
		memset(&flat, 0, sizeof(flat));
		flat.type = n->type;
		flat.maxlen = n->maxlen;
		flat.vlan = n->vlan;
		flat.asn = n->asn;
		flat.prefix.addr = n->prefix.addr;
		flat.prefix.len = n->prefix.len;
		flat.prefix.family = n->prefix.family;
		flat.rd = n->rd;
		if (t == NET_ETH)
			memcpy(flat.mac, n->mac, sizeof(flat.mac));
		memcpy(k, &flat, sizeof(flat));
	}
	}
}

static void v4(struct prefix *p, uint32_t addr, uint32_t len)
{
	p->addr = ipaddr_v4(addr);
	p->len = (uint8_t)len;
	p->family = 4;
}

static void v6(struct prefix *p, const uint32_t *addr, uint32_t len)
{
	memcpy(p->addr.w, addr, 16);
	p->len = (uint8_t)len;
	p->family = 6;
}

void key_net(enum net_type t, const uint32_t *k, struct net *out)
{
	*out = (struct net){.type = (uint8_t)t};
	switch (t) {
	case NET_IP4: v4(&out->prefix, k[0], k[1]); return;
	case NET_IP6: v6(&out->prefix, k, k[4]); return;
	case NET_VPN4:
	case NET_VPN6:
	case NET_FLOW4:
	case NET_FLOW6:
	case NET_EVPN: nlri_key_net(k, out); return;
	case NET_ROA4:
		v4(&out->prefix, k[0], k[1] & 0xff);
		out->maxlen = (uint8_t)(k[1] >> 8);
		out->asn = k[2];
		return;
	case NET_ROA6:
		v6(&out->prefix, k, k[4] & 0xff);
		out->maxlen = (uint8_t)(k[4] >> 8);
		out->asn = k[5];
		return;
	case NET_ASPA: out->asn = k[0]; return;
	case NET_IP6_SADR:
		v6(&out->prefix, k, k[8] & 0xff);
		v6(&out->src, k + 4, k[8] >> 8);
		return;
	default: memcpy(out, k, sizeof(*out)); return;
	}
}

/* Of types that can be asked for the longest match; else 0. */
unsigned key_prefix_length(enum net_type t, const uint32_t *k)
{
	switch (t) {
	case NET_IP4: return k[1];
	case NET_IP6: return k[4];
	default: return 0;
	}
}
