/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encoded messages on their way out: immutable once made, shared by reference.
 *
 * A block is whole BGP messages, one behind the other, in segments; a segment says who gets it. Each
 * receiver is given a block together with the number of its bit in the block's sets and passes over the
 * segments that are not for it: what differs between receivers costs bits, not blocks.
 *
 * The shard that makes a block takes one reference for each receiver it hands it to; a session's thread drops
 * one when the bytes are in the socket. The last to drop frees it.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define BLOCK_BYTES                                                                                          \
	65536u /* a block ends with the message that goes beyond; see block_limit() in encoder.c */

enum block_mark {
	BLOCK_DATA,
	BLOCK_DUMP_END, /* no bytes: this shard's part of the initial table or of a refresh is before it */
};

struct segment {
	uint32_t end; /* offset behind its last byte */
	uint32_t messages;
	uint32_t set;    /* number of the set of receivers */
	uint32_t except; /* source whose peer does not get it; 0: none */
	uint32_t
		only; /* not 0: goes to this source's peer and its observers, as far as they are in the set */
};

struct block {
	_Atomic uint32_t refs;
	uint32_t len;
	uint32_t generation; /* DUMP_END: which dump it ends */
	enum block_mark mark;
	uint32_t n_segments;
	uint32_t words;                /* of a set */
	bool some_only;                /* a segment has `only` */
	bool change;                   /* not a part of a table that somebody is brought up to date with */
	const struct segment *segment; /* all four point into data */
	const uint64_t *sets;
	const uint64_t *any; /* union of the sets */
	const uint8_t *bytes;
	uint64_t data[];
};

static inline bool block_set_has(const uint64_t *set, uint32_t words, uint32_t bit)
{
	return bit / 64 < words && (set[bit / 64] >> (bit & 63) & 1);
}

/* Is the segment for the receiver with this bit, whose own routes are of this source? */
static inline bool block_is_for(const struct block *b, const struct segment *s, uint32_t bit, uint32_t own)
{
	if (s->only ? s->only != own : s->except && s->except == own)
		return false;
	return block_set_has(b->sets + (size_t)s->set * b->words, b->words, bit);
}

static inline void block_hold(struct block *b, uint32_t n)
{
	atomic_fetch_add_explicit(&b->refs, n, memory_order_relaxed);
}

static inline void block_release(struct block *b)
{
	/* Release: our reading of the bytes is over; acquire by the last: so is everybody's. */
	if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
		free(b);
}
