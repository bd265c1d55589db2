/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The receiving side of UPDATE (RFC 4271 4.3, RFC 4760, RFC 7911): where the
 * prefixes stand, and the attributes in a form that two daemons' encodings of
 * the same route share. Pure functions on bytes; nothing outside [body, body + len) is read.
 */
#pragma once
#include "tools/bgpgen/table.h"

struct slice {
	const uint8_t *at;
	size_t len;
};

struct update {
	struct slice withdrawn4, announced4;     /* IPv4 NLRI of the message itself */
	struct slice withdrawn_mp, announced_mp; /* of MP_UNREACH_NLRI, MP_REACH_NLRI */
	uint16_t withdrawn_afi, announced_afi;   /* 1 or 2; 0: no such attribute */
	struct slice attrs, mp_hop;
	bool end_of_rib; /* nothing in it, or an empty MP_UNREACH_NLRI alone */
};

/* 0 or -EBADMSG. */
int update_parse(const uint8_t *body, size_t len, struct update *out);
/* The next prefix of *s: 1, 0 at the end, -EBADMSG. */
int nlri_next(struct slice *s, bool v4, bool add_path, struct prefix *out);

#define CANONICAL_MAX 4096
/*
 * Attributes as text-free canonical bytes: origin, path (as_set marked), next hop, MED, LOCAL_PREF,
 * communities sorted, and whatever else there is byte for byte in order of its code. Equal routes give equal
 * bytes. Returns their length or -EBADMSG, -E2BIG.
 */
int attrs_canonical(const struct update *u, uint8_t *buf, size_t size);
/* One line for people. */
void canonical_print(const uint8_t *buf, size_t len, char *out, size_t size);
/* The standard community high:N of the attributes, or -1. */
int attrs_community(const struct update *u, unsigned high);
