/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * (source, path id) in 32 bits: what a pipe's route record keeps of the route's
 * origin, and what ADD-PATH sends as path id. The usual small path ids are put beside
 * the source's number; others get a number from a table, in the order they are
 * seen, for the life of the shard: there are as many as neighbours invent.
 * Shard's thread only, but origin_of_key(), which readers call with keys from records.
 * Keys of different shards do not mix, as a prefix has one shard.
 */
#include "controlplane/rib/internal.h"

enum { SMALL = 0xfff }; /* path ids below stand for themselves */

struct origin {
	uint32_t source, path_id;
};

struct origin_map {
	struct pool list;
	uint32_t n;
	uint32_t *slots; /* number + 1 by hash */
	uint32_t n_slots;
};

struct origin_map *origin_map_create(void)
{
	struct origin_map *m = memory_zero(sizeof(*m));

	pool_init(&m->list, sizeof(struct origin), 0);
	return m;
}

void origin_map_destroy(struct origin_map *m)
{
	pool_destroy(&m->list);
	memory_free(m->slots);
	memory_free(m);
}

static uint32_t *slot_of(struct origin_map *m, struct origin o)
{
	uint32_t at = (uint32_t)hash_u64((uint64_t)o.source << 32 | o.path_id, 0) & (m->n_slots - 1);

	while (m->slots[at]) {
		const struct origin *x = pool_at(&m->list, m->slots[at] - 1);

		if (x->source == o.source && x->path_id == o.path_id)
			break;
		at = (at + 1) & (m->n_slots - 1);
	}
	return &m->slots[at];
}

uint32_t origin_key(struct rib_shard *s, uint32_t source, uint32_t path_id)
{
	struct origin_map *m = s->origins;
	struct origin o = {source, path_id};
	uint32_t *slot;

	if (path_id < SMALL)
		return path_id << SOURCE_BITS | source;
	if (2 * (m->n + 1) > m->n_slots) {
		memory_free(m->slots);
		m->n_slots = m->n_slots ? 2 * m->n_slots : 64;
		m->slots = memory_zero(m->n_slots * sizeof(*m->slots));
		for (uint32_t i = 0; i < m->n; i++)
			*slot_of(m, *(struct origin *)pool_at(&m->list, i)) = i + 1;
	}
	slot = slot_of(m, o);
	if (!*slot) {
		struct origin *x;

		/* After a million of them the first ones are forgotten: their routes are long gone. */
		if (m->n == SOURCES_MAX) {
			m->n = 0;
			memset(m->slots, 0, m->n_slots * sizeof(*m->slots));
			slot = slot_of(m, o);
		}
		if (m->n == m->list.end)
			pool_take(&m->list);
		x = pool_at(&m->list, m->n);
		put32(&x->source, source);
		put32(&x->path_id, path_id);
		*slot = ++m->n;
	}
	return (uint32_t)SMALL << SOURCE_BITS | (*slot - 1);
}

void origin_of_key(const struct rib_shard *s, uint32_t key, uint32_t *source, uint32_t *path_id)
{
	struct origin *o;

	if (key >> SOURCE_BITS < SMALL) {
		*source = key & SOURCE_MASK;
		*path_id = key >> SOURCE_BITS;
		return;
	}
	o = pool_peek(&s->origins->list, key & SOURCE_MASK);
	*source = o ? get32(&o->source) : 0;
	*path_id = o ? get32(&o->path_id) : 0;
}
