/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attributes as they are sent: the bytes of a message's path attributes and its
 * next hop, kept once for equal ones and named by a number.
 *
 * What is compared with what a peer has is thus what the peer sees, and not what
 * the table knows beside it: two routes that differ in a preference only are the
 * same to a neighbour, and nothing is said when one takes the other's place.
 *
 * One store for each shard of a group; its thread only.
 */
#pragma once
#include "controlplane/bgp/codec.h"
#include "controlplane/export/numbers.h"

struct sent {
	struct numbered number;
	uint16_t len; /* of the attributes; 0: they are too long for any message */
	uint16_t nh; /* of the next hops of MP_REACH_NLRI: 0 (it is among the attributes, or there is none) to
		      * 48
		      */
	uint16_t labels; /* of what goes into the NLRI: bgp/nlri.h */
	uint8_t bytes[]; /* next hops, attributes, labels */
};

struct sents {
	struct numbers numbers;
	uint64_t seed;
	uint8_t *scratch; /* what is being encoded */
};

void sents_init(struct sents *s);
void sents_free(struct sents *s);
static inline const struct sent *sent_get(const struct sents *s, uint32_t id)
{
	return numbers_get(&s->numbers, id);
}
/* A number with one reference, never 0. */
uint32_t sent_intern(struct sents *s, const struct bgp_encode_class *c, const struct attrs *a);
/* The same content in another store. */
uint32_t sent_copy(struct sents *to, const struct sents *from, uint32_t id);
static inline void sent_hold(struct sents *s, uint32_t id)
{
	numbers_hold(&s->numbers, id);
}
void sent_release(struct sents *s, uint32_t id);
/* What a message is made of: the next hops as bgp_encode_announce() wants them. */
static inline const uint8_t *sent_attrs(const struct sent *a)
{
	return a->bytes + a->nh;
}
static inline const uint8_t *sent_labels(const struct sent *a)
{
	return a->bytes + a->nh + a->len;
}
size_t sents_bytes(const struct sents *s);
