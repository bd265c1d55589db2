/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Destinations of families that are no prefixes on the wire: flow specifications (RFC 8955, 8956), VPN routes
 * (RFC 4364, 4659, labels by RFC 8277), EVPN routes (RFC 7432, 9136). IPv4 and IPv6 unicast do not come here.
 *
 * What identifies a route is its struct nlri (filter/value.h). What else stands there, labels and the like,
 * is an attribute of the route in the table (ATTR_EXTRA_LABELS, ATTR_EXTRA_EVPN) and is put back when it is
 * sent. Pure, any thread.
 */
#pragma once
#include "controlplane/bgp/update.h"

/* What a table of the family holds; NET_NONE: we do not run it. */
enum net_type bgp_family_net(uint16_t afi, uint8_t safi);

#define BGP_LABELS_MAX 257 /* bytes of ATTR_EXTRA_LABELS or ATTR_EXTRA_EVPN */

/* Which of the two. */
static inline uint32_t bgp_labels_id(enum net_type t)
{
	return t == NET_EVPN ? ATTR_EXTRA_EVPN : ATTR_EXTRA_LABELS;
}

struct bgp_nlri {
	uint32_t path_id;
	struct net net;    /* points to nlri */
	const char *wrong; /* not NULL: it can be passed over, but not be used; why */
	uint8_t labels[BGP_LABELS_MAX];
	unsigned n_labels; /* bytes; 0: nothing but what identifies it */
	union {
		struct nlri nlri;
		uint8_t room[sizeof(struct nlri) + 4096];
	};
};

/* Takes one off b. reach: of MP_REACH_NLRI; in withdrawals of VPN routes a label is one, and means nothing.
 * 1: there was one; 0: the end; -EBADMSG: lengths are wrong, what is behind cannot be found. */
int bgp_nlri_decode(struct bgp_bytes *b, enum net_type type, bool reach, bool add_path, struct bgp_nlri *out);
/* labels: what is remembered of them, NULL in withdrawals. Returns the length, 0: there is no room for it. */
size_t bgp_nlri_encode(const struct nlri *n, enum net_type type, const uint8_t *labels, unsigned n_labels,
	bool add_path, uint32_t path_id, uint8_t *buf, size_t room);

/* In the place of a prefix where routes of all families are sent: group.h, encoder.c. */
static inline struct prefix bgp_nlri_handle(const struct nlri *n)
{
	struct prefix p = {0};

	p.addr.q[0] = (uintptr_t)n;
	return p;
}
static inline const struct nlri *bgp_nlri_of_handle(const struct prefix *p)
{
	return (const struct nlri *)(uintptr_t)p->addr.q[0];
}
