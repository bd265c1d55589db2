/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/fib/table.h"
#include "controlplane/fib/mem.h"
#include "shared/hash.h"
#include <sys/mman.h>

#define FIRST_SLOTS 256
#define GROW_AHEAD 16 /* entries: so long the memory takes to answer */

/* A big table is touched all over: without huge pages each look-up also misses the TLB. */
static uint8_t *new_slots(size_t bytes)
{
	const size_t huge = 2 << 20;
	void *p;

	if (bytes < huge)
		return mem_zero(bytes);
	bytes = (bytes + huge - 1) & ~(huge - 1);
	p = aligned_alloc(huge, bytes);
	if (!p)
		return mem_zero(bytes); /* ends the process, or finds another place */
	madvise(p, bytes, MADV_HUGEPAGE);
	return memset(p, 0, bytes);
}

void table_init(struct table *t, uint8_t family)
{
	*t = (struct table){.family = family,
		.stride = (uint8_t)(sizeof(struct route) + (family == 4 ? 4 : 16)),
		.mask = FIRST_SLOTS - 1};
	t->slots = new_slots((size_t)FIRST_SLOTS * t->stride);
}

void table_free(struct table *t)
{
	free(t->slots);
	t->slots = NULL;
	t->n = 0;
}

static uint32_t home(const struct table *t, const uint8_t *addr, uint8_t len)
{
	uint64_t h = t->family == 4 ? hash_bytes(addr, 4, len) : hash_bytes(addr, 16, len);

	return (uint32_t)(h >> 32) & t->mask;
}

static const uint8_t *addr_bytes(const struct table *t, const struct prefix *p)
{
	return t->family == 4 ? p->addr.b + 12 : p->addr.b;
}

/* Of constant size: no call, and this is the hottest compare of the writer. */
static bool same_addr(const struct table *t, const uint8_t *a, const uint8_t *b)
{
	return t->family == 4 ? !memcmp(a, b, 4) : !memcmp(a, b, 16);
}

/* The prefix's entry, or the free one where it belongs. */
static struct route *probe(const struct table *t, const uint8_t *addr, uint8_t len)
{
	for (uint32_t i = home(t, addr, len);; i = (i + 1) & t->mask) {
		struct route *r = table_at(t, i);
		if (!r->group || (r->len == len && same_addr(t, r->addr, addr)))
			return r;
	}
}

struct route *table_find(const struct table *t, const struct prefix *p)
{
	struct route *r = probe(t, addr_bytes(t, p), p->len);

	return r->group ? r : NULL;
}

void table_prefetch(const struct table *t, const struct prefix *p)
{
	__builtin_prefetch(table_at(t, home(t, addr_bytes(t, p), p->len)), 1);
}

static void grow(struct table *t)
{
	struct table old = *t;

	t->mask = t->mask * 2 + 1;
	t->slots = new_slots((size_t)(t->mask + 1) * t->stride);
	for (uint32_t i = 0; i <= old.mask; i++) {
		const struct route *r = table_at(&old, i);
		const struct route *ahead = table_at(&old, (i + GROW_AHEAD) & old.mask);
		if (ahead->group)
			__builtin_prefetch(table_at(t, home(t, ahead->addr, ahead->len)), 1);
		if (r->group)
			memcpy(probe(t, r->addr, r->len), r, t->stride);
	}
	free(old.slots);
	t->rehashes++;
}

struct route *table_take(struct table *t, const struct prefix *p)
{
	struct route *r = probe(t, addr_bytes(t, p), p->len);

	if (r->group)
		return r;
	if ((uint64_t)(t->n + 1) * 4 > (uint64_t)(t->mask + 1) * 3) {
		grow(t);
		r = probe(t, addr_bytes(t, p), p->len);
	}
	memset(r, 0, t->stride);
	r->len = p->len;
	memcpy(r->addr, addr_bytes(t, p), t->family == 4 ? 4 : 16);
	t->n++;
	return r;
}

void table_remove(struct table *t, struct route *r)
{
	uint32_t hole = (uint32_t)(((uint8_t *)r - t->slots) / t->stride);

	/* Entries after the hole that would no longer be found from their home move into it. */
	for (uint32_t i = (hole + 1) & t->mask;; i = (i + 1) & t->mask) {
		struct route *e = table_at(t, i);
		if (!e->group)
			break;
		uint32_t h = home(t, e->addr, e->len);
		if (((i - h) & t->mask) >= ((i - hole) & t->mask)) {
			memcpy(table_at(t, hole), e, t->stride);
			hole = i;
		}
	}
	memset(table_at(t, hole), 0, t->stride);
	t->n--;
	t->removals++;
}

struct prefix route_prefix(const struct table *t, const struct route *r)
{
	struct prefix p = {.len = r->len, .family = t->family};

	if (t->family == 4) {
		uint32_t v4;
		memcpy(&v4, r->addr, 4);
		p.addr = ipaddr_v4(v4);
	} else {
		p.addr = ipaddr_v6(r->addr);
	}
	return p;
}
