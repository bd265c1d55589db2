/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/rib/pool.h"
#include "controlplane/rib/memory.h"
#include "shared/rcu.h"
#include <string.h>

void pool_init(struct pool *p, uint32_t size, uint32_t next_offset)
{
	memset(p, 0, sizeof(*p));
	p->size = size;
	p->next_offset = next_offset;
	p->free = POOL_NONE;
}

static uint32_t *link_of(struct pool *p, uint32_t index)
{
	return (uint32_t *)((uint8_t *)pool_at(p, index) + p->next_offset);
}

static size_t chunk_bytes(const struct pool *p, unsigned chunk)
{
	return (size_t)p->size << (chunk + POOL_FIRST_LOG);
}

uint32_t pool_take(struct pool *p)
{
	uint32_t index = p->free, k;
	unsigned chunk;

	if (index != POOL_NONE) {
		p->free = *link_of(p, index);
		p->live++;
		return index;
	}
	index = p->end;
	k = index + POOL_FIRST;
	chunk = 31 - (unsigned)__builtin_clz(k) - POOL_FIRST_LOG;
	if (chunk >= POOL_CHUNKS)
		return POOL_NONE;
	if (!p->chunk[chunk]) /* zeroed: a reader that gets here early sees records that were never used */
		__atomic_store_n(&p->chunk[chunk], memory_map(chunk_bytes(p, chunk)), __ATOMIC_RELEASE);
	/* The first touch is a write: a read would map the zero page, and the write behind it fault once
	 * more. */
	__atomic_store_n((uint32_t *)pool_at(p, index), 0, __ATOMIC_RELEASE);
	__atomic_store_n(&p->end, index + 1, __ATOMIC_RELEASE);
	p->live++;
	return index;
}

void pool_give(struct pool *p, uint32_t index)
{
	/* Readers may be looking: the link is written as every field of a record is. */
	__atomic_store_n(link_of(p, index), p->free, __ATOMIC_RELEASE);
	p->free = index;
	p->live--;
}

struct doomed {
	struct rcu_head rcu;
	struct {
		void *p;
		size_t n;
	} chunk[POOL_CHUNKS];
};

static void doomed_free(struct rcu_head *head)
{
	struct doomed *d = caa_container_of(head, struct doomed, rcu);

	rcu_callback_begin(head);
	for (unsigned i = 0; i < POOL_CHUNKS; i++)
		memory_unmap(d->chunk[i].p, d->chunk[i].n);
	memory_free(d);
}

void pool_reset(struct pool *p)
{
	struct doomed *d;

	if (!p->end)
		return;
	d = memory_zero(sizeof(*d));
	__atomic_store_n(&p->end, 0, __ATOMIC_RELEASE);
	p->free = POOL_NONE;
	for (unsigned i = 0; i < POOL_CHUNKS; i++) {
		d->chunk[i].p = p->chunk[i];
		d->chunk[i].n = chunk_bytes(p, i);
		__atomic_store_n(&p->chunk[i], NULL, __ATOMIC_RELEASE);
	}
	call_rcu(&d->rcu, doomed_free);
}

void pool_destroy(struct pool *p)
{
	for (unsigned i = 0; i < POOL_CHUNKS; i++)
		memory_unmap(p->chunk[i], chunk_bytes(p, i));
	memset(p->chunk, 0, sizeof(p->chunk));
	p->end = p->live = 0;
}
