/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking at tables: for listeners in the shard's thread, for readers in any.
 * Readers never wait and are never waited for; see internal.h for why a
 * copy whose sequence counter did not move is consistent.
 */
#include "controlplane/rib/internal.h"
#include <sched.h>

#define VIEW_FLAGS (ROUTE_FILTERED | ROUTE_SUPPRESSED | ROUTE_UNREACHABLE | ROUTE_LLGR)

/* ---- in the shard's thread ---- */

/* Where the routes of a net are, and whose: a net that borrows has the lender's. */
struct span {
	const struct part *at;
	uint32_t first, skip; /* skip: routes of this owner do not count */
	uint32_t owner;       /* 0: as the record says */
	bool refused;
};

static struct span span_of(const struct part *p, const struct net_record *n)
{
	const struct loan *loan;

	if (!is_borrowed(n->first))
		return (struct span){p, n->first, 0, 0, false};
	loan = p->loan;
	return (struct span){loan->lender,
		((const struct net_record *)pool_at(&loan->lender->nets, lent_number(n->first)))->first,
		loan->not_from, loan->source->id, n->first & BORROWED_REFUSED};
}

/* A route that is borrowed has been brought by the pipe. */
static void lent_view(const struct span *x, struct rib_route_view *v)
{
	v->owner = x->owner;
	v->attrs_received = v->attrs;
	v->flags = x->refused ? ROUTE_FILTERED : 0;
	if (x->refused)
		v->attrs = 0;
}

static void fill_view(const struct rib_shard *s, const struct span *x, const struct route_record *r,
	struct rib_route_view *v)
{
	const struct local_source *l = shard_source(s, route_owner(r));
	unsigned f = route_flags(r);

	*v = (struct rib_route_view){
		.source = route_owner(r),
		.owner = route_owner(r),
		.path_id = r->path,
		.attrs = r->attrs,
		.attrs_received = r->received,
		.flags = f & VIEW_FLAGS,
		.changed_ns = (uint64_t)r->changed << CHANGED_SHIFT,
	};
	if (f & RECORD_PIPED)
		origin_of_key(s, r->path, &v->source, &v->path_id);
	if (l && route_generation(r) != l->generation)
		v->flags |= ROUTE_STALE;
	if (x->owner)
		lent_view(x, v);
}

/* The route, or the next one that counts. */
static const struct route_record *record_at(const struct span *x, uint32_t i)
{
	while (i != POOL_NONE) {
		const struct route_record *r = pool_at(&x->at->routes, i);

		if (route_owner(r) != x->skip)
			return r;
		i = r->next;
	}
	return NULL;
}

static const struct route_record *usable_at(const struct span *x, uint32_t i)
{
	const struct route_record *r = record_at(x, i);

	return r && !x->refused && !(route_flags(r) & ROUTE_FILTERED) ? r : NULL;
}

/* The best max of an unsorted list, by selection; n > 2. */
static void select_views(struct rib_shard *s, const struct span *x, struct rib_route_view *out, unsigned max)
{
	const struct route_record *taken[RIB_BACKUP_ROUTES], *r;

	taken[0] = usable_at(x, x->first);
	fill_view(s, x, taken[0], &out[0]);
	for (unsigned k = 1; k < max; k++) {
		const struct route_record *best = NULL;
		struct candidate b = {0}, c;

		for (uint32_t i = x->first; (r = usable_at(x, i)); i = r->next) {
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
		fill_view(s, x, best, &out[k]);
	}
}

unsigned part_views(
	struct rib_shard *s, struct part *p, uint32_t net, struct rib_route_view *out, unsigned max)
{
	struct span x = span_of(p, pool_at(&p->nets, net));
	const struct route_record *r;
	unsigned count = 0;

	for (uint32_t i = x.first; (r = usable_at(&x, i)); i = r->next) {
		if (count < max)
			fill_view(s, &x, r, &out[count]);
		count++;
		if (max == 1)
			break; /* the best alone: nobody asks how many there are */
	}
	if (count > 2 && !p->table->sorted && max > 1 && max <= RIB_BACKUP_ROUTES)
		select_views(s, &x, out, count < max ? count : max);
	return count;
}

unsigned part_views_filtered(struct rib_shard *s, struct part *p, uint32_t net, struct rib_route_view *out,
	unsigned count, unsigned max)
{
	struct span x = span_of(p, pool_at(&p->nets, net));
	const struct route_record *r;
	uint32_t i = x.first;

	while ((r = usable_at(&x, i)))
		i = r->next;
	for (; (r = record_at(&x, i)) && count < max; count++) {
		fill_view(s, &x, r, &out[count]);
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

void rib_shard_counts(const struct rib_table *t, const struct rib_shard *s, uint64_t *nets, uint64_t *routes)
{
	*nets = t->part[s->number].n_nets;
	*routes = t->part[s->number].n_routes;
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

	if (n->first == POOL_NONE && !(p->n_idle && net_is_indexed(p, index)))
		return false;
	key_net(t->net, n->key, out);
	return true;
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
	} else if (n->first < BORROWED) {
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
	uint32_t key[KEY_WORDS], lent_seq = 0;
	struct net_record *n, *lent;
	struct span x;

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
		x = (struct span){.at = p};
		lent = NULL;
		if (is_borrowed(i)) {
			const struct loan *loan = rcu_dereference(p->loan);

			lent = loan ? pool_peek(&loan->lender->nets, lent_number(i)) : NULL;
			if (!lent)
				continue; /* it has records of its own by now */
			x = (struct span){
				loan->lender, 0, loan->not_from, loan->source->id, i & BORROWED_REFUSED};
			lent_seq = get32(&lent->seq);
			if (lent_seq & 1)
				continue;
			i = get32(&lent->first);
		}
		while (i != POOL_NONE) {
			struct route_record *r = pool_peek(&x.at->routes, i), c;

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
			if (x.owner && route_owner(&c) == x.skip)
				continue;
			if (count < max) {
				struct rib_route_view *y = &v->routes[count];
				const struct rib_source *src;

				*y = (struct rib_route_view){
					.source = route_owner(&c),
					.owner = route_owner(&c),
					.path_id = c.path,
					.attrs = c.attrs,
					.attrs_received = c.received,
					.flags = route_flags(&c) & VIEW_FLAGS,
					.changed_ns = (uint64_t)c.changed << CHANGED_SHIFT,
				};
				if (route_flags(&c) & RECORD_PIPED)
					origin_of_key(s, c.path, &y->source, &y->path_id);
				src = rib_source_by_id(t->rib, route_owner(&c));
				if (src && __atomic_load_n(&src->local[shard].generation, __ATOMIC_RELAXED) !=
						   route_generation(&c))
					y->flags |= ROUTE_STALE;
				if (x.owner)
					lent_view(&x, y);
			}
			count++;
		}
		if ((lent && get32(&lent->seq) != lent_seq) || get32(&n->seq) != seq)
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

static bool find_own(struct rib_table *t, const uint32_t *key, struct rib_net_view *view, unsigned max)
{
	uint64_t hash = key_hash(t->rib, key, t->key_words);
	unsigned shard = shard_of(t->rib, t->net, key, hash);
	uint32_t candidates[32];
	unsigned n = index_candidates(&t->part[shard].index, index_hash(hash), candidates, 32);

	for (unsigned i = 0; i < n; i++)
		if (read_net(t, shard, candidates[i], key, view, max))
			return true;
	return false;
}

/* A net that borrows is in the lender's index. */
static bool find_borrowed(struct rib_table *t, const uint32_t *key, struct rib_net_view *view, unsigned max)
{
	uint64_t hash = key_hash(t->rib, key, t->key_words);
	unsigned shard = shard_of(t->rib, t->net, key, hash);
	const struct loan *loan = rcu_dereference(t->part[shard].loan);
	uint32_t candidates[32];
	unsigned n;

	if (!loan)
		return false;
	n = index_candidates(&loan->lender->index, index_hash(hash), candidates, 32);
	for (unsigned i = 0; i < n; i++) {
		uint32_t *at = pool_peek(&loan->number, candidates[i]), number = at ? get32(at) : 0;

		if (number && read_net(t, shard, number - 1, key, view, max))
			return true;
	}
	/* Or it has got records of its own just now, and was in neither index when that was looked at: it is
	 * entered in the one before it leaves the other. */
	return find_own(t, key, view, max);
}

static bool find_key(struct rib_table *t, const uint32_t *key, struct rib_net_view *view, unsigned max)
{
	return find_own(t, key, view, max) || find_borrowed(t, key, view, max);
}

bool rib_find(struct rib_table *t, const struct net *n, struct rib_net_view *view, unsigned max)
{
	uint32_t key[KEY_WORDS];

	if (n->type != t->net)
		return false;
	if (!key_is_nlri(t->key_words))
		key_of(t->net, n, key);
	else if (!nlri_key_find(t->rib, n, key))
		return false;
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
