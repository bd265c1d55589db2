/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks from one shard to one peer's session: one producer, one consumer.
 *
 * Ordering: the producer writes the entry, then tail (release); the consumer
 * reads tail (acquire), so it sees the entry and the block's bytes. The consumer
 * is done with an entry before it moves head (release); the producer reads head
 * (acquire) before it writes the entry again. `queued` counts bytes: what the
 * producer adds needs no order (relaxed), it is who judges by it.
 * Room: a producer that found none sets `low`, then `wanted`, and looks again; the consumer
 * looks at them after each pop. All sequentially consistent, so one of them sees.
 */
#pragma once
#include "controlplane/export/block.h"
#include <stdbool.h>

#define RING_BLOCKS 1024u
#define RING_BYTES (8u << 20)      /* a peer with more than this waiting is lagging */
#define RING_LOW (RING_BLOCKS / 4) /* with fewer blocks than this it may be worth a call to the producer */

struct ring {
	_Alignas(64) _Atomic uint32_t tail;
	_Alignas(64) _Atomic uint32_t head;
	_Alignas(64) _Atomic uint64_t queued;
	_Atomic bool wanted;  /* the producer wants to hear when there is room, */
	_Atomic uint32_t low; /* which is when no more bytes than these are queued */
	struct block *entry[RING_BLOCKS];
	uint16_t bit[RING_BLOCKS]; /* the receiver's in the block's sets */
};

/* Producer. The reference goes to the ring. False: no room, the caller keeps it. */
static inline bool ring_push(struct ring *r, struct block *b, uint32_t bit)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (tail - atomic_load_explicit(&r->head, memory_order_acquire) == RING_BLOCKS)
		return false;
	r->entry[tail % RING_BLOCKS] = b;
	r->bit[tail % RING_BLOCKS] = (uint16_t)bit;
	atomic_fetch_add_explicit(&r->queued, b->len, memory_order_relaxed);
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return true;
}

static inline bool ring_has_room(const struct ring *r, uint32_t blocks, uint32_t bytes)
{
	uint32_t used = atomic_load_explicit(&r->tail, memory_order_relaxed) - atomic_load(&r->head);

	return used + blocks <= RING_BLOCKS && atomic_load(&r->queued) < bytes;
}

/* Producer: the consumer is to call when it is down to `low` bytes. Look again after this. */
static inline void ring_want(struct ring *r, uint32_t low)
{
	atomic_store(&r->low, low);
	atomic_store(&r->wanted, true);
}

/* Consumer: blocks that wait. */
static inline uint32_t ring_count(const struct ring *r)
{
	return atomic_load_explicit(&r->tail, memory_order_acquire) -
	       atomic_load_explicit(&r->head, memory_order_relaxed);
}

/* Consumer, after a pop: is it to call? Once. */
static inline bool ring_is_wanted(struct ring *r)
{
	return atomic_load(&r->wanted) && ring_count(r) <= RING_LOW &&
	       atomic_load(&r->queued) <= atomic_load(&r->low) && atomic_exchange(&r->wanted, false);
}

/* Producer. */
static inline bool ring_is_empty(const struct ring *r)
{
	return atomic_load(&r->queued) == 0;
}

/* Consumer: the i-th waiting block, i < ring_count(); the bit that was given with it. */
static inline struct block *ring_peek(const struct ring *r, uint32_t i, uint32_t *bit)
{
	uint32_t at = (atomic_load_explicit(&r->head, memory_order_relaxed) + i) % RING_BLOCKS;

	*bit = r->bit[at];
	return r->entry[at];
}

/* Consumer: takes the first; the reference is the caller's. */
static inline struct block *ring_pop(struct ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	struct block *b = r->entry[head % RING_BLOCKS];

	atomic_fetch_sub(&r->queued, b->len);
	atomic_store(&r->head, head + 1); /* and before `wanted` is looked at */
	return b;
}
