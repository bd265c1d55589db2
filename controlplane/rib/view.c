/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking at tables: for listeners in the shard's thread, for readers in any.
 * Readers never wait and are never waited for; see internal.h for why a
 * copy whose sequence counter did not move is consistent.
 */
#include "controlplane/rib/internal.h"
#include <sched.h>

/* ---- in the shard's thread ---- */

static void fill_view(const struct rib_shard *s, const struct route_record *r, struct rib_route_view *v)
{
	const struct local_source *l = shard_source(s, route_owner(r));
	unsigned f = route_flags(r);

	*v = (struct rib_route_view){
		.source = route_owner(r),
		.owner = route_owner(r),
		.path_id = r->path,
		.attrs = r->attrs,
		.attrs_received = r->received,
		.flags = f & (ROUTE_FILTERED | ROUTE_SUPPRESSED | ROUTE_UNREACHABLE),
		.changed_ns = (uint64_t)r->changed << CHANGED_SHIFT,
	};
	if (f & RECORD_PIPED)
		origin_of_key(s, r->path, &v->source, &v->path_id);
	if (l && route_generation(r) != l->generation)
		v->flags |= ROUTE_STALE;
}

static const struct route_record *usable_at(const struct part *p, uint32_t i)
{
	const struct route_record *r = i == POOL_NONE ? NULL : pool_at(&p->routes, i);

	return r && !(route_flags(r) & ROUTE_FILTERED) ? r : NULL;
}

/* The best max of an unsorted list, by selection; n > 2. */
static void select_views(
	struct rib_shard *s, struct part *p, uint32_t first, struct rib_route_view *out, unsigned max)
{
	const struct route_record *taken[RIB_BACKUP_ROUTES], *r;

	taken[0] = usable_at(p, first);
	fill_view(s, taken[0], &out[0]);
	for (unsigned k = 1; k < max; k++) {
		const struct route_record *best = NULL;
		struct candidate b = {0}, c;

		for (uint32_t i = first; (r = usable_at(p, i)); i = r->next) {
			unsigned j = 0;

			while (j < k && taken[j] != r)
				j++;
			if (j < k)
				continue;
			candidate_of(s, r, &c);
			if (!best || candidate_better(&c, &b)) {
				best = r;
				b = c;
			}
		}
		taken[k] = best;
		fill_view(s, best, &out[k]);
	}
}

unsigned part_views(
	struct rib_shard *s, struct part *p, uint32_t net, struct rib_route_view *out, unsigned max)
{
	const struct net_record *n = pool_at(&p->nets, net);
	const struct route_record *r;
	unsigned count = 0;

	for (uint32_t i = n->first; (r = usable_at(p, i)); i = r->next) {
		if (count < max)
			fill_view(s, r, &out[count]);
		count++;
		if (max == 1)
			break; /* the best alone: nobody asks how many there are */
	}
	if (count > 2 && !p->table->sorted && max > 1 && max <= RIB_BACKUP_ROUTES)
		select_views(s, p, n->first, out, count < max ? count : max);
	return count;
}

unsigned part_views_filtered(struct rib_shard *s, struct part *p, uint32_t net, struct rib_route_view *out,
	unsigned count, unsigned max)
{
	const struct net_record *n = pool_at(&p->nets, net);
	uint32_t i = n->first;

	while (usable_at(p, i))
		i = ((const struct route_record *)pool_at(&p->routes, i))->next;
	for (; i != POOL_NONE && count < max; count++) {
		const struct route_record *r = pool_at(&p->routes, i);

		fill_view(s, r, &out[count]);
		i = r->next;
	}
	return count;
}

uint32_t rib_shard_indexes(const struct rib_table *t, const struct rib_shard *s)
{
	return t->part[s->number].nets.end;
}

bool rib_shard_is_empty(const struct rib_table *t, const struct rib_shard *s)
{
	return t->part[s->number].n_nets == 0;
}

/* In the index under its key: a net without routes that is kept while pinned is, a free record is not. */
bool net_is_indexed(const struct part *p, uint32_t net)
{
	const struct net_record *n = pool_at(&p->nets, net);
	struct index_probe probe =
		index_probe(&p->index, index_hash(key_hash(p->table->rib, n->key, p->table->key_words)));
	uint32_t i;

	while (index_next(&probe, &i))
		if (i == net)
			return true;
	return false;
}

bool rib_shard_net(const struct rib_table *t, const struct rib_shard *s, uint32_t index, struct net *out)
{
	const struct part *p = &t->part[s->number];
	const struct net_record *n = pool_at(&p->nets, index);

	key_net(t->net, n->key, out);
	return n->first != POOL_NONE || (p->n_idle && net_is_indexed(p, index));
}

unsigned rib_shard_routes(
	struct rib_table *t, struct rib_shard *s, uint32_t index, struct rib_route_view *out, unsigned max)
{
	return part_views(s, &t->part[s->number], index, out, max);
}

void rib_shard_prefetch(const struct rib_table *t, const struct rib_shard *s, uint32_t index, unsigned stage)
{
	const struct part *p = &t->part[s->number];
	const struct net_record *n;

	if (index >= p->nets.end)
		return;
	n = pool_at(&p->nets, index);
	if (stage == 0) {
		__builtin_prefetch(n);
	} else if (n->first != POOL_NONE) {
		const struct route_record *r = pool_at(&p->routes, n->first);

		if (stage == 1)
			__builtin_prefetch(r);
		else
			__builtin_prefetch((const char *)attrs_get(r->attrs) + 64);
	}
}

/* ---- any thread, under rcu_read_lock() ---- */

/* Flags of records that are for readers; staleness is told from the generation, which only the shard knows
 * for certain. */
static bool read_net(struct rib_table *t, unsigned shard, uint32_t index, const uint32_t *want,
	struct rib_net_view *v, unsigned max)
{
	struct part *p = &t->part[shard];
	const struct rib_shard *s = p->shard;
	uint32_t key[KEY_WORDS];
	struct net_record *n;

	n = pool_peek(&p->nets, index);
	if (!n)
		return false;
	for (unsigned tries = 0;; tries++) {
		uint32_t seq = get32(&n->seq), i, count = 0, steps = 0;

		if (tries > 100)
			sched_yield(); /* the writer has lost its core within a few ns */
		if (seq & 1)
			continue;
		if (!seq)
			return false; /* never used yet */
		i = get32(&n->first);
		if (i == POOL_NONE)
			return false;
		for (unsigned k = 0; k < t->key_words; k++)
			key[k] = get32(&n->key[k]);
		if (want && memcmp(key, want, 4 * (size_t)t->key_words) != 0) {
			if (get32(&n->seq) == seq)
				return false;
			continue;
		}
		while (i != POOL_NONE) {
			struct route_record *r = pool_peek(&p->routes, i), c;

			/* A list that is being changed may lead anywhere, but never far. */
			if (!r || (++steps > RIB_MAX_ROUTES && get32(&n->seq) != seq))
				break;
			c = (struct route_record){
				.received = get32(&r->received),
				.attrs = get32(&r->attrs),
				.path = get32(&r->path),
				.changed = get32(&r->changed),
				.who = get32(&r->who),
			};
			i = get32(&r->next);
			if (count < max) {
				struct rib_route_view *x = &v->routes[count];
				const struct rib_source *src;

				*x = (struct rib_route_view){
					.source = route_owner(&c),
					.owner = route_owner(&c),
					.path_id = c.path,
					.attrs = c.attrs,
					.attrs_received = c.received,
					.flags = route_flags(&c) &
						 (ROUTE_FILTERED | ROUTE_SUPPRESSED | ROUTE_UNREACHABLE),
					.changed_ns = (uint64_t)c.changed << CHANGED_SHIFT,
				};
				if (route_flags(&c) & RECORD_PIPED)
					origin_of_key(s, c.path, &x->source, &x->path_id);
				src = rib_source_by_id(t->rib, route_owner(&c));
				if (src && __atomic_load_n(&src->local[shard].generation, __ATOMIC_RELAXED) !=
						   route_generation(&c))
					x->flags |= ROUTE_STALE;
			}
			count++;
		}
		if (get32(&n->seq) != seq)
			continue;
		key_net(t->net, key, &v->net);
		v->n_routes = count;
		return true;
	}
}

bool rib_next(struct rib_cursor *c, struct rib_net_view *view, unsigned max)
{
	struct rib_table *t = c->table;

	for (; c->shard < t->rib->n_shards; c->shard++, c->index = 0) {
		uint32_t end = __atomic_load_n(&t->part[c->shard].nets.end, __ATOMIC_ACQUIRE);

		while (c->index < end)
			if (read_net(t, c->shard, c->index++, NULL, view, max))
				return true;
	}
	return false;
}

static bool find_key(struct rib_table *t, const uint32_t *key, struct rib_net_view *view, unsigned max)
{
	uint64_t hash = key_hash(t->rib, key, t->key_words);
	unsigned shard = shard_of(t->rib, hash);
	uint32_t candidates[32];
	unsigned n = index_candidates(&t->part[shard].index, index_hash(hash), candidates, 32);

	for (unsigned i = 0; i < n; i++)
		if (read_net(t, shard, candidates[i], key, view, max))
			return true;
	return false;
}

bool rib_find(struct rib_table *t, const struct net *n, struct rib_net_view *view, unsigned max)
{
	uint32_t key[KEY_WORDS];

	if (n->type != t->net)
		return false;
	key_of(t->net, n, key);
	return find_key(t, key, view, max);
}

bool rib_find_longest(
	struct rib_table *t, const struct prefix *prefix, struct rib_net_view *view, unsigned max)
{
	uint64_t map[3] = {0};

	if (prefix->family != (t->net == NET_IP4 ? 4 : t->net == NET_IP6 ? 6 : 0))
		return false;
	for (unsigned i = 0; i < t->rib->n_shards; i++)
		for (unsigned w = 0; w < 3; w++)
			map[w] |= __atomic_load_n(&t->part[i].length_map[w], __ATOMIC_ACQUIRE);
	for (int len = prefix->len; len >= 0; len--) {
		struct net n = {.type = t->net};
		uint32_t key[KEY_WORDS];

		if (!(map[len / 64] >> len % 64 & 1))
			continue;
		n.prefix = prefix_make(&prefix->addr, (unsigned)len);
		key_of(t->net, &n, key);
		/* A net whose routes are all refused covers nothing. */
		if (find_key(t, key, view, max) && view->n_routes &&
			(max == 0 || !(view->routes[0].flags & ROUTE_FILTERED)))
			return true;
	}
	return false;
}

void rib_table_stats(const struct rib_table *t, struct rib_table_stats *out)
{
	*out = (struct rib_table_stats){0};
	for (unsigned i = 0; i < t->rib->n_shards; i++) {
		const struct part *p = &t->part[i];

		out->nets += __atomic_load_n(&p->n_nets, __ATOMIC_RELAXED);
		out->routes += __atomic_load_n(&p->n_routes, __ATOMIC_RELAXED);
		out->bytes += (uint64_t)get32(&p->nets.end) * p->nets.size;
		out->bytes += (uint64_t)get32(&p->routes.end) * p->routes.size;
		out->bytes += (uint64_t)get32(&p->index.segments) *
			      (sizeof(struct index_segment) + 2 * sizeof(void *));
	}
}
