/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading UPDATE messages.
 *
 * Three steps, so that the common case does little:
 *   bgp_update_split()  finds the pieces without looking at attribute values,
 *                       and the key: the attribute bytes without NLRI
 *   attr_cache.h        recognises keys seen before: attributes that arrive again
 *                       are not parsed again
 *   bgp_attrs_decode()  parses a key by the table of RFC 7606
 *   bgp_nlri_next()     walks the prefixes
 *
 * What an error means (RFC 7606): the session is reset only when prefixes
 * cannot be found reliably; else the routes of the message are treated as
 * withdrawn, or one attribute is discarded. Every such event is reported
 * through bgp_import_class.report.
 * Any thread; all state is in the arguments.
 */
#pragma once
#include "controlplane/bgp/message.h"
#include "controlplane/rib/attr.h"

struct ifaces;

/* Everything of a session that the meaning of attribute bytes depends on. Zeroed before it is filled: it is
 * hashed as bytes. */
struct bgp_import_class {
	uint8_t afi, safi; /* of the NLRI the attributes are for */
	bool as4;          /* 4-octet AS numbers agreed */
	bool internal;     /* same AS */
	bool interior;     /* same AS or confederation */
	bool allow_local_pref, allow_as_sets, enforce_first_as, aigp;
	bool gateway_recursive, prefer_link_local, extended_next_hop, direct;
	bool graceful_shutdown, graceful_shutdown_receive; /* RFC 8326: LOCAL_PREF 0 for all; for who asks */
	int8_t role;                                       /* ours */
	uint16_t preference;
	uint32_t remote_as, local_as, public_as, allow_local_as;
	uint32_t router_id, cluster_id, default_local_pref;
	uint32_t ifindex; /* of a direct session */
	struct ipaddr local_addr, remote_addr;
	struct prefix link; /* the connected network of a direct session */
};

struct bgp_import_context {
	const struct bgp_import_class *class;
	struct ifaces *ifaces; /* may be NULL: next hops outside `link` are then refused on direct sessions */
	/* One line for each departure from the protocol: "Malformed ORIGIN attribute - invalid length (2)".
	 * May be NULL. */
	void (*report)(void *ctx, const char *line);
	void *ctx;
};

struct bgp_bytes {
	const uint8_t *p;
	size_t len;
};

struct bgp_update {
	struct bgp_bytes withdrawn, attrs,
		nlri; /* RFC 4271's three fields; prefixes of these are IPv4 unicast */
	bool mp_reach, mp_unreach;
	uint16_t reach_afi, unreach_afi;
	uint8_t reach_safi, unreach_safi;
	struct bgp_bytes next_hop;       /* of MP_REACH_NLRI */
	struct bgp_bytes reach, unreach; /* their NLRI */
	bool framing_error;              /* an attribute overruns: RFC 7606 section 4 b */
	bool bad_mp_flags;
	struct bgp_bytes key; /* attributes without the two; in the caller's scratch when those were there */
};

/* body: after the header. scratch: at least len bytes. 0, or -EBADMSG with *e: reset the session. */
int bgp_update_split(
	const uint8_t *body, size_t len, uint8_t *scratch, struct bgp_update *u, struct bgp_error *e);
/* RFC 4724 section 2. */
bool bgp_update_is_end_of_rib(const struct bgp_update *u, uint16_t *afi, uint8_t *safi);

/* Room for what a decoded set points to. One for each thread that decodes; grows, never shrinks. */
struct bgp_decode_scratch {
	uint8_t *mem;
	size_t size, used;
};
void bgp_decode_scratch_free(struct bgp_decode_scratch *s);

enum bgp_decode_result {
	BGP_DECODE_OK,
	BGP_DECODE_WITHDRAW, /* the routes are to be treated as withdrawn */
};
/* next_hop: of MP_REACH_NLRI, or {NULL, 0} for the NEXT_HOP attribute. out points into the scratch and the
 * key; not interned. */
enum bgp_decode_result bgp_attrs_decode(const struct bgp_import_context *c, struct bgp_bytes key,
	struct bgp_bytes next_hop, struct bgp_decode_scratch *s, struct attrs *out);

/* One prefix. 1: there was one; 0: the end; -EBADMSG: lengths are wrong. */
int bgp_nlri_next(struct bgp_bytes *b, uint8_t afi, bool add_path, uint32_t *path_id, struct prefix *out);
/* False for prefixes that no table takes: loopback, link-local, multicast, class E. */
bool bgp_prefix_is_usable(const struct prefix *p);
