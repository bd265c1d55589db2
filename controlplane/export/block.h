/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encoded messages on their way out: immutable once made, shared by reference.
 *
 * A block is whole BGP messages, one behind the other. The shard that makes it
 * takes one reference for each member it hands it to; a session's thread drops
 * one when the bytes are in the socket. The last to drop frees it.
 */
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define BLOCK_BYTES 65536u /* at most; a longer block is one longer message */

enum block_mark {
	BLOCK_DATA,
	BLOCK_DUMP_END, /* no bytes: this shard's part of the initial table or of a refresh is before it */
};

struct block {
	_Atomic uint32_t refs;
	uint32_t len;
	uint32_t messages; /* DUMP_END: which dump it ends */
	enum block_mark mark;
	uint8_t bytes[];
};

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
