/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records of one size, named by 32-bit numbers, at addresses that never move.
 *
 * Chunks double in size: the first holds POOL_FIRST records, so a table of ten
 * routes costs a page, and finding one is a bit scan and a load. One writer
 * (the shard); readers under RCU may look at any record at any time, freed ones
 * too: memory is type-stable while the pool is not reset, and what a record means is
 * for the reader to verify (sequence counters, see store.h).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_NONE UINT32_MAX
enum { POOL_FIRST_LOG = 5, POOL_FIRST = 1 << POOL_FIRST_LOG, POOL_CHUNKS = 31 - POOL_FIRST_LOG };

struct pool {
	uint8_t *chunk[POOL_CHUNKS]; /* published with release */
	uint32_t size;               /* of a record, a multiple of 4 */
	uint32_t next_offset;        /* of the u32 that links free records */
	uint32_t end;                /* records below were used at some time; written with release */
	uint32_t free;
	uint32_t live;
};

void pool_init(struct pool *p, uint32_t size, uint32_t next_offset);
/* POOL_NONE when 2^31 are in use. Contents: as the last user left them, or zero. */
uint32_t pool_take(struct pool *p);
void pool_give(struct pool *p, uint32_t index);
/* Frees the chunks after a grace period; nothing may be live. Readers find NULL chunks. */
void pool_reset(struct pool *p);
void pool_destroy(struct pool *p); /* at once: no readers any more */

static inline void *pool_at(const struct pool *p, uint32_t index)
{
	uint32_t k = index + POOL_FIRST;
	unsigned log = 31 - (unsigned)__builtin_clz(k);

	return p->chunk[log - POOL_FIRST_LOG] + (size_t)(k - (UINT32_C(1) << log)) * p->size;
}

/* For readers: NULL if there is no such record. */
static inline void *pool_peek(const struct pool *p, uint32_t index)
{
	uint32_t k;
	unsigned log;
	uint8_t *c;

	if (index >= __atomic_load_n(&p->end, __ATOMIC_ACQUIRE))
		return NULL;
	k = index + POOL_FIRST;
	log = 31 - (unsigned)__builtin_clz(k);
	c = __atomic_load_n(&p->chunk[log - POOL_FIRST_LOG], __ATOMIC_ACQUIRE);
	return c ? c + (size_t)(k - (UINT32_C(1) << log)) * p->size : NULL;
}
