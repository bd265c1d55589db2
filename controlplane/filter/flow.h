/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flow specifications: the components of RFC 8955 (IPv4) and RFC 8956 (IPv6) as bytes, without the length
 * that stands before them on the wire. Pure, any thread.
 */
#pragma once
#include "controlplane/filter/value.h"

enum flow_component {
	FLOW_DST = 1,
	FLOW_SRC,
	FLOW_PROTO, /* IPv6: next header */
	FLOW_PORT,
	FLOW_DPORT,
	FLOW_SPORT,
	FLOW_ICMP_TYPE,
	FLOW_ICMP_CODE,
	FLOW_TCP_FLAGS,
	FLOW_LENGTH,
	FLOW_DSCP,
	FLOW_FRAGMENT,
	FLOW_LABEL, /* IPv6 */
	FLOW_COMPONENTS
};

/* Of operators. The lower ones are those of numbers; those of bits are FLOW_NOT and FLOW_MATCH. */
enum {
	FLOW_OP_END = 0x80,
	FLOW_OP_AND = 0x40,
	FLOW_OP_LT = 4,
	FLOW_OP_GT = 2,
	FLOW_OP_EQ = 1,
	FLOW_NOT = 2,
	FLOW_MATCH = 1,
};

#define FLOW_MAX_BYTES 4095u /* what the length can say */

/* NULL: sound. Else what is wrong, as BIRD says it; and the components up to there may have been changed:
 * bits that a receiver has to ignore (RFC 8955 sections 4.2.1 and 4.2.2, RFC 8956 section 3.1) are cleared,
 * so that equal rules are equal bytes. */
const char *flow_check(uint8_t *data, size_t len, bool v6);
/* The prefix of FLOW_DST or FLOW_SRC; false: it has none, and out is 0.0.0.0/0 or ::/0. Bits before an offset
 * are zero. data is sound. */
bool flow_prefix(const struct nlri *n, bool v6, enum flow_component which, struct prefix *out);
const char *flow_component_name(enum flow_component c, bool v6);
/* Of FLOW_FRAGMENT; NULL: not a single bit that has a name. They are the lowest four. */
const char *flow_fragment_name(unsigned bits);
/* flow4 { dst 10.0.0.0/8; proto 6; }. Cut with " ...}" when buf is too short. Returns the length that it has
 * uncut. */
size_t flow_format(const struct nlri *n, bool v6, char *buf, size_t size);
