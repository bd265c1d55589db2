/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets that a device under test must survive, made once and sent over and
 * over. Pure: what to say and from whom; sending is the wire's (wire.h).
 */
#pragma once
#include "bfd/packet.h"
#include "shared/addr.h"
#include <stdbool.h>
#include <stdint.h>

enum flood_kind {
	FLOOD_GARBAGE, /* random bytes to the BFD port, from addresses that sessions have */
	FLOOD_UNKNOWN, /* well-formed, for sessions that do not exist */
	FLOOD_SOURCE,  /* "Down" for a real session, from an address that is not its neighbour's */
	FLOOD_SBFD,    /* questions for an S-BFD reflector, each of which costs it an answer */
	FLOOD_TTL,     /* "Down" for a real session from its neighbour's address, TTL 254 */
	FLOOD_KINDS
};

struct flood_options {
	uint8_t kind;  /* enum flood_kind */
	double rate;   /* packets a second */
	uint32_t disc; /* FLOOD_SBFD: the reflector's discriminator */
};

/* What a real session looks like to somebody who listened. */
struct flood_target {
	struct ipaddr local, peer; /* as the generator sees them: packets go from local to peer */
	uint32_t my_disc, your_disc;
	uint32_t reflector;
};

#define FLOOD_PAYLOAD 64
struct flood_packet {
	struct ipaddr src, dst;
	uint16_t sport, dport;
	uint8_t ttl;
	uint8_t len;
	uint8_t payload[FLOOD_PAYLOAD];
};

extern const char *const flood_names[FLOOD_KINDS];
/* "garbage:100000", "sbfd=4711:100000"; 0 or -EINVAL. */
int flood_parse(const char *text, struct flood_options *out);
/* t: the session it is about, or looks like. strangers: the first address that no session has. */
void flood_make(struct flood_packet *p, enum flood_kind kind, const struct flood_target *t,
	const struct ipaddr *stranger, bool multihop, uint64_t *random);
