/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encoding of routes: path attributes and NLRI as UPDATE messages want them.
 * Pure functions on buffers; any thread. Decoding is in message.h.
 */
#pragma once
#include "controlplane/rib/attr.h"
#include "controlplane/rib/rib.h"

/* Everything that makes the bytes of the same route differ between peers. Peers with equal classes share
 * blocks. */
struct bgp_encode_class {
	uint8_t afi, safi;      /* of the NLRI */
	bool as4;               /* 4-octet AS numbers agreed (RFC 6793) */
	bool add_path;          /* we send path ids (RFC 7911) */
	bool extended_next_hop; /* RFC 8950: IPv4 NLRI with IPv6 next hop */
	uint16_t max_message;   /* 4096 or 65535 (RFC 8654) */
};

/* The rules of a session that turn a table's route into what is sent: shared by peers that are alike. */
struct bgp_export_class {
	uint8_t afi, safi;      /* of the channel, as in bgp_encode_class */
	bool extended_next_hop; /* likewise */
	bool external, confed;  /* session type: another AS; of our confederation */
	bool rs_client, rr_client;
	uint32_t local_as;  /* what we prepend */
	uint32_t public_as; /* confederation identifier or local_as */
	uint32_t router_id, cluster_id, default_local_pref;
	bool allow_local_pref, allow_med, interpret_communities;
	uint8_t next_hop_keep, next_hop_self; /* enum nexthop_mode */
	struct ipaddr next_hop_address;       /* configured, or zero */
	struct ipaddr local_addr, local_ll;   /* ours on the session: next hop self */
	struct prefix link;                   /* the connected network of a direct session; len 0: none */
	uint32_t ifindex;                     /* of a direct session */
	int8_t role;                          /* enum bgp_role, ours */
	bool llgr_aware;                      /* the peer */
	bool aigp, aigp_originate;
	bool graceful_shutdown; /* RFC 8326: says so with each route */
	uint32_t remote_as;     /* only where a rule needs it (OTC as peer/customer side); else 0 */
};

/* RFC 4271 9.2, 4456, 5065, 7947, 9234: before the export filter. True: the route may be offered to this
 * class at all. */
bool bgp_export_allowed(
	const struct bgp_export_class *c, const struct attrs *a, const struct rib_source_config *from);
/* After the export filter: own AS, next hop, LOCAL_PREF, MED, ORIGINATOR_ID, OTC... a: what the filter made
 * of it; before: what the filter was given (the table's), which tells what the filter set itself: a MED or
 * next hop of its own is sent where another's would not be; NULL: not filtered. distance: rib_distance() of a
 * recursive next hop. out's lists may point into a
 * or scratch (aligned to 4, at least BGP_EXPORT_SCRATCH(a) bytes). false: not to be sent (no usable next
 * hop...). */
#define BGP_EXPORT_SCRATCH(a)                                                                                \
	(2 * (size_t)(a)->as_path_bytes + 4 * ((size_t)(a)->n_cluster + (a)->n_community + 3) + 64)
bool bgp_export_attrs(const struct bgp_export_class *c, const struct attrs *a, const struct attrs *before,
	const struct rib_source_config *from, uint32_t distance, struct attrs *out, uint8_t *scratch,
	size_t scratch_size);

/* Path attributes in ascending type order without MP_REACH_NLRI/MP_UNREACH_NLRI. IPv4 unicast without
 * extended next hop carries NEXT_HOP here. Returns the length, 0 if it does not fit. */
size_t bgp_encode_attrs(const struct attrs *a, const struct bgp_encode_class *c, uint8_t *buf, size_t size);
/* One NLRI entry: [path id] length prefix. Returns bytes written (at most 4 + 1 + 16). */
size_t bgp_encode_nlri(const struct prefix *p, uint32_t path_id, bool add_path, uint8_t *buf);
/* Whole messages, header included. nlri: entries already encoded. Returns message length, 0 if it does not
 * fit max_message. */
size_t bgp_encode_update(const struct bgp_encode_class *c, const struct attrs *a, const uint8_t *attr_bytes,
	size_t attr_len, const uint8_t *nlri, size_t nlri_len, uint8_t *buf, size_t size);
/* The same with the next hops already encoded: bgp_encode_next_hop() of the same class, at most 48 bytes; 0:
 * it is among the attributes, or there is none. */
unsigned bgp_encode_next_hop(const struct attrs *a, const struct bgp_encode_class *c, uint8_t *buf);
size_t bgp_encode_announce(const struct bgp_encode_class *c, const uint8_t *next_hop, unsigned next_hop_len,
	const uint8_t *attr_bytes, size_t attr_len, const uint8_t *nlri, size_t nlri_len, uint8_t *buf,
	size_t size);
size_t bgp_encode_withdraw(
	const struct bgp_encode_class *c, const uint8_t *nlri, size_t nlri_len, uint8_t *buf, size_t size);
size_t bgp_encode_end_of_rib(const struct bgp_encode_class *c, uint8_t *buf, size_t size);
