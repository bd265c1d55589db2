/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that changes a net: announcements, withdrawals, and what walks do
 * to the routes that are there. Shard's thread only.
 *
 * Routes of a net are a list: usable ones first, the best at the head, then
 * those that the import filter refused (kept for the day the filter changes). In a
 * sorted table the usable ones are in order; else only the head is the best, as in
 * BIRD, and when somebody asked for backups the second is the best of those
 * with other next hops.
 *
 * A change is: change_begin() (what was best), edit the list inside
 * net_begin()/net_end(), change_end() (tell the listeners). References to
 * attribute sets that leave the records are dropped after the listeners have been told.
 */
#include "controlplane/rib/internal.h"
#include "controlplane/rib/roa.h"
#include "shared/log.h"
#include <stdlib.h>

static bool usable(const struct route_record *r)
{
	return !(route_flags(r) & ROUTE_FILTERED);
}

/* ---- finding ---- */

static inline bool same_key(const struct part *p, uint32_t net, const uint32_t *key)
{
	const uint32_t *k = net_at(p, net)->key;
	unsigned n = p->table->key_words;

	if (n == 2)
		return k[0] == key[0] && k[1] == key[1];
	while (n && k[n - 1] == key[n - 1])
		n--;
	return n == 0;
}

uint32_t part_find(const struct part *p, const uint32_t *key, uint32_t hash)
{
	struct index_probe probe = index_probe(&p->index, hash);
	uint32_t i;

	while (index_next(&probe, &i))
		if (same_key(p, i, key))
			return i;
	return p->loan ? borrow_find(p, key, hash) : POOL_NONE;
}

/* The hint was looked up a few updates ago: what was there then may be gone, and be there now what was not.
 */
static inline uint32_t find_net(const struct part *p, const struct update *u)
{
	if (u->hint < p->nets.end && net_at(p, u->hint)->first != POOL_NONE && same_key(p, u->hint, u->key))
		return u->hint;
	return part_find(p, u->key, u->hash);
}

static uint32_t net_make(struct part *p, const uint32_t *key, uint32_t hash)
{
	uint32_t i = pool_take(&p->nets);
	struct net_record *n;
	unsigned len;

	if (i == POOL_NONE) {
		log_msg(LOG_CLASS_FATAL, "Table %s: too many networks", p->table->name);
		abort();
	}
	n = net_at(p, i);
	net_begin(n);
	put32(&n->first, POOL_NONE);
	for (unsigned k = 0; k < p->table->key_words; k++)
		put32(&n->key[k], key[k]);
	net_end(n);
	if (key_is_nlri(p->table->key_words))
		nlri_key_hold(p->table->rib, key);
	index_insert(&p->index, hash, i);
	if (!p->lengths)
		p->lengths = memory_zero(129 * sizeof(*p->lengths));
	len = key_prefix_length(p->table->net, key);
	if (!p->lengths[len]++)
		__atomic_store_n(&p->length_map[len / 64], p->length_map[len / 64] | UINT64_C(1) << len % 64,
			__ATOMIC_RELEASE);
	return i;
}

/* Its last change is on its way to the listeners. */
static void give_up_net(struct part *p, uint32_t net)
{
	struct net_record *n = net_at(p, net);
	unsigned len = key_prefix_length(p->table->net, n->key);

	index_remove(&p->index, index_hash(key_hash(p->table->rib, n->key, p->table->key_words)), net);
	if (!--p->lengths[len])
		__atomic_store_n(&p->length_map[len / 64],
			p->length_map[len / 64] & ~(UINT64_C(1) << len % 64), __ATOMIC_RELEASE);
	/* Listeners may still be told of it in this slice: the bytes stay for a grace period. */
	if (key_is_nlri(p->table->key_words))
		nlri_key_release(p->table->rib, n->key);
	net_begin(n);
	pool_give(&p->nets, net);
	net_end(n);
	/* An empty table costs nothing. */
	if (!p->nets.live && !p->routes.live && p->nets.end > POOL_FIRST) {
		pool_reset(&p->nets);
		pool_reset(&p->routes);
		index_reset(&p->index);
		p->walk_at = 0;
	}
}

/* ---- before and after ---- */

/* What identifies a route for those who are told of it; attrs 0: none. */
struct place {
	uint32_t attrs, who, path;
};

struct before {
	struct place best, second;
	unsigned views, n_views, n_all_views; /* RIB_LISTEN_OLD */
	bool metric;
};

static uint32_t identity(const struct route_record *r)
{
	return (r->who & SOURCE_MASK) | (route_flags(r) & RECORD_PIPED) << SOURCE_BITS;
}

static inline struct place place_of(const struct part *p, uint32_t route)
{
	const struct route_record *r;

	if (route == POOL_NONE)
		return (struct place){0};
	r = route_at(p, route);
	return usable(r) ? (struct place){r->attrs, identity(r), r->path} : (struct place){0};
}

static inline struct place second_of(const struct part *p, const struct net_record *n)
{
	return n->first == POOL_NONE ? (struct place){0} : place_of(p, route_at(p, n->first)->next);
}

static inline bool same_place(const struct place *a, const struct place *b)
{
	return a->attrs == b->attrs && a->who == b->who && a->path == b->path;
}

static inline bool received_wanted(const struct part *p)
{
	return (p->want & RIB_LISTEN_RECEIVED) == RIB_LISTEN_RECEIVED;
}

static inline void change_begin(struct rib_shard *s, struct part *p, uint32_t net, struct before *b)
{
	const struct net_record *n = net_at(p, net);

	if (p->borrowers)
		borrow_recall(s, p, net);
	b->best = place_of(p, n->first);
	if (p->want & RIB_LISTEN_BACKUP)
		b->second = second_of(p, n);
	b->views = b->n_views = b->n_all_views = 0;
	b->metric = false;
	if (p->want & RIB_LISTEN_OLD) {
		/* Room for the old and the new. */
		if (s->changed_part != p || s->n_changes == CHANGES ||
			CHANGE_VIEWS - s->n_views < 2 * RIB_MAX_ROUTES)
			shard_flush_changes(s);
		s->changed_part = p;
		b->views = s->n_views;
		b->n_views = part_views(s, p, net, s->views + s->n_views, RIB_MAX_ROUTES);
		if (b->n_views > RIB_MAX_ROUTES)
			b->n_views = RIB_MAX_ROUTES;
		b->n_all_views = b->n_views;
		if (received_wanted(p))
			b->n_all_views = part_views_filtered(
				s, p, net, s->views + s->n_views, b->n_views, RIB_MAX_ROUTES);
		s->n_views += b->n_all_views;
	}
}

static void origin_of(
	const struct rib_shard *s, uint32_t who, uint32_t path, uint32_t *source, uint32_t *path_id)
{
	if (who >> SOURCE_BITS) {
		origin_of_key(s, path, source, path_id);
	} else {
		*source = who & SOURCE_MASK;
		*path_id = path;
	}
}

static void prefer(struct rib_shard *s, uint32_t owner, int by)
{
	struct local_source *l = shard_source(s, owner);

	if (l)
		count32_add(&l->stats.preferred, (uint32_t)by);
}

static void tell(struct rib_shard *s, struct part *p, uint32_t net, const struct before *b,
	const struct place *best, bool last)
{
	const struct net_record *n = net_at(p, net);
	struct rib_change *c;
	unsigned room;

	/* change_begin() has made room already where it took old views, which must stay. */
	if (!(p->want & RIB_LISTEN_OLD) && (s->changed_part != p || s->n_changes == CHANGES ||
						   CHANGE_VIEWS - s->n_views < RIB_MAX_ROUTES)) {
		shard_flush_changes(s);
		s->changed_part = p;
	}
	c = &s->changes[s->n_changes];
	key_net(p->table->net, n->key, &s->change_nets[s->n_changes]);
	*c = (struct rib_change){
		.net = &s->change_nets[s->n_changes],
		.index = net,
		.last = last,
		.metric = b->metric,
		.old_best_attrs = b->best.attrs,
		.best_attrs = best->attrs,
		.old_routes = s->views + b->views,
		.n_old_routes = b->n_views,
		.n_all_old_routes = b->n_all_views,
		.routes = s->views + s->n_views,
	};
	if (b->best.attrs) {
		uint32_t path;

		origin_of(s, b->best.who, b->best.path, &c->old_best_source, &path);
	}
	if (best->attrs) {
		origin_of(s, best->who, best->path, &c->best_source, &c->best_path_id);
		room = p->want & RIB_LISTEN_ALL      ? RIB_MAX_ROUTES
		       : p->want & RIB_LISTEN_BACKUP ? RIB_BACKUP_ROUTES
						     : 1;
		c->n_routes = part_views(s, p, net, s->views + s->n_views, room);
		if (c->n_routes > room)
			c->n_routes = room;
		s->n_views += c->n_routes;
	}
	c->n_all_routes = c->n_routes;
	if (received_wanted(p)) {
		c->n_all_routes = part_views_filtered(
			s, p, net, s->views + s->n_views - c->n_routes, c->n_routes, RIB_MAX_ROUTES);
		s->n_views += c->n_all_routes - c->n_routes;
	}
	s->n_changes++;
}

static void emptied(struct part *p, uint32_t net)
{
	/* The number may be used again at once: the change that says so goes out before any that follows it.
	 */
	if (!p->pins) {
		give_up_net(p, net);
		return;
	}
	if (p->n_idle == p->cap_idle) {
		p->cap_idle = p->cap_idle ? 2 * p->cap_idle : 64;
		p->idle = memory_grow(p->idle, p->cap_idle * sizeof(*p->idle));
	}
	p->idle[p->n_idle++] = net;
}

/* Compares with what was, tells listeners, gives up a net without routes. any: some usable route changed. */
static inline void change_end(
	struct rib_shard *s, struct part *p, uint32_t net, const struct before *b, bool any)
{
	const struct net_record *n = net_at(p, net);
	struct place best = place_of(p, n->first);
	bool changed = !same_place(&best, &b->best), last = n->first == POOL_NONE && !p->pins;
	unsigned what = (changed ? RIB_LISTEN_BEST | RIB_LISTEN_BACKUP : 0) | (any ? RIB_LISTEN_ALL : 0) |
			(b->metric ? RIB_LISTEN_METRIC : 0) |
			(RIB_LISTEN_RECEIVED & ~(RIB_LISTEN_ALL | RIB_LISTEN_OLD));

	if (changed) {
		if (b->best.attrs)
			prefer(s, b->best.who & SOURCE_MASK, -1);
		if (best.attrs)
			prefer(s, best.who & SOURCE_MASK, 1);
		if (p->table->roa)
			roa_changed(p->table, n->key, b->best.attrs, best.attrs);
	} else if (p->want & RIB_LISTEN_BACKUP) {
		struct place second = second_of(p, n);

		if (!same_place(&second, &b->second))
			what |= RIB_LISTEN_BACKUP;
	}
	if (p->listeners && ((p->want & what) || last))
		tell(s, p, net, b, &best, last);
	if (n->first == POOL_NONE)
		emptied(p, net);
}

/* ---- the list ---- */

/* Where the pointer to a route is. */
static uint32_t *link_at(struct part *p, struct net_record *n, uint32_t prev)
{
	return prev == POOL_NONE ? &n->first : &route_at(p, prev)->next;
}

/* Returns what was before it. */
static uint32_t list_unlink(struct part *p, struct net_record *n, uint32_t route)
{
	uint32_t prev = POOL_NONE, i = n->first;

	while (i != route) {
		prev = i;
		i = route_at(p, i)->next;
	}
	put32(link_at(p, n, prev), route_at(p, route)->next);
	return prev;
}

static void list_insert(struct part *p, struct net_record *n, uint32_t prev, uint32_t route)
{
	uint32_t *link = link_at(p, n, prev);

	put32(&route_at(p, route)->next, *link);
	put32(link, route);
}

static uint32_t last_usable(struct part *p, struct net_record *n)
{
	uint32_t prev = POOL_NONE;

	for (uint32_t i = n->first; i != POOL_NONE && usable(route_at(p, i)); i = route_at(p, i)->next)
		prev = i;
	return prev;
}

static void set_flags(struct route_record *r, unsigned set, unsigned clear)
{
	unsigned f = (route_flags(r) | set) & ~clear;

	if (f != route_flags(r))
		put32(&r->who, who_make(route_owner(r), route_generation(r), f));
}

static void move_after(struct part *p, struct net_record *n, uint32_t prev, uint32_t route)
{
	list_unlink(p, n, route);
	list_insert(p, n, prev, route);
}

/* deterministic med: of each group (preference, neighbouring AS) only the best takes part in the final, and
 * those equal to it. */
static void suppress(struct rib_shard *s, struct part *p, struct net_record *n)
{
	for (uint32_t i = n->first; i != POOL_NONE; i = route_at(p, i)->next)
		set_flags(route_at(p, i), 0, ROUTE_SUPPRESSED);
	for (uint32_t i = n->first; i != POOL_NONE && usable(route_at(p, i)); i = route_at(p, i)->next) {
		struct candidate c, k, best;
		bool first = true;
		uint32_t as;

		candidate_of(s, route_at(p, i), &c);
		if (c.source != RTS_BGP || !c.peer->deterministic_med)
			continue;
		as = candidate_neighbor_as(&c);
		c.flags &= ~(unsigned)ROUTE_SUPPRESSED;
		best = c;
		for (uint32_t j = n->first; j != POOL_NONE && usable(route_at(p, j));
			j = route_at(p, j)->next) {
			candidate_of(s, route_at(p, j), &k);
			if (k.source != RTS_BGP || !k.peer->deterministic_med ||
				k.attrs->preference != c.attrs->preference || candidate_neighbor_as(&k) != as)
				continue;
			/* Within a group the flags do not count. */
			k.flags &= ~(unsigned)ROUTE_SUPPRESSED;
			if (first || candidate_better(&k, &best))
				best = k;
			first = false;
		}
		if (best.attrs != c.attrs || best.peer != c.peer)
			if (!candidate_mergable(&best, &c))
				set_flags(route_at(p, i), ROUTE_SUPPRESSED, 0);
	}
}

/* Best to the head, by one pass over the usable ones in list order. */
static void elect(struct rib_shard *s, struct part *p, struct net_record *n)
{
	uint32_t best = n->first, i;
	struct candidate b, k;

	if (best == POOL_NONE || !usable(route_at(p, best)))
		return;
	i = route_at(p, best)->next;
	if (i == POOL_NONE || !usable(route_at(p, i)))
		return;
	candidate_of(s, route_at(p, best), &b);
	for (; i != POOL_NONE && usable(route_at(p, i)); i = route_at(p, i)->next) {
		candidate_of(s, route_at(p, i), &k);
		if (candidate_better(&k, &b)) {
			best = i;
			b = k;
		}
	}
	if (best != n->first)
		move_after(p, n, POOL_NONE, best);
}

/* Behind the head: the best of those that do not share its next hops. */
static void elect_backup(struct rib_shard *s, struct part *p, struct net_record *n)
{
	uint32_t backup = POOL_NONE;
	const struct attrs *best;
	struct candidate b = {0}, k;

	if (n->first == POOL_NONE || !usable(route_at(p, n->first)))
		return;
	best = attrs_get(route_at(p, n->first)->attrs);
	for (uint32_t i = route_at(p, n->first)->next; i != POOL_NONE && usable(route_at(p, i));
		i = route_at(p, i)->next) {
		candidate_of(s, route_at(p, i), &k);
		if (same_next_hops(k.attrs, best))
			continue;
		if (backup == POOL_NONE || candidate_better(&k, &b)) {
			backup = i;
			b = k;
		}
	}
	if (backup != POOL_NONE && backup != route_at(p, n->first)->next)
		move_after(p, n, n->first, backup);
}

static bool newer_better(struct rib_shard *s, const struct route_record *a, const struct route_record *b)
{
	struct candidate x, y;

	candidate_of(s, a, &x);
	candidate_of(s, b, &y);
	return candidate_better(&x, &y);
}

/*
 * A route that is not in the list comes in. behind: the usable one after which it belongs by age: the last,
 * or the one before its former self. best: a copy of the record that was best before (possibly this one's
 * former self), NULL: none. was_best: the one that was best has left its place. Besides the best, which
 * leads, usable routes stay in the order in which their sources first had one: MED and `prefer older` make it
 * count.
 */
static void place(struct rib_shard *s, struct part *p, struct net_record *n, uint32_t route, uint32_t behind,
	const struct route_record *best, bool was_best)
{
	struct route_record *r = route_at(p, route);

	if (!usable(r)) {
		list_insert(p, n, last_usable(p, n), route);
		if (was_best && !p->table->sorted)
			elect(s, p, n);
	} else if (p->table->sorted) {
		uint32_t prev = POOL_NONE, i = n->first;

		for (; i != POOL_NONE && usable(route_at(p, i)); prev = i, i = route_at(p, i)->next)
			if (newer_better(s, r, route_at(p, i)))
				break;
		list_insert(p, n, prev, route);
	} else if (p->deterministic) {
		list_insert(p, n, behind, route);
	} else if (!best || newer_better(s, r, best)) {
		list_insert(p, n, POOL_NONE, route);
	} else {
		list_insert(p, n, behind, route);
		if (was_best)
			elect(s, p, n);
	}
}

/* After every edit of the list. */
static void settle(struct rib_shard *s, struct part *p, struct net_record *n)
{
	if (p->table->sorted)
		return;
	if (p->deterministic) {
		suppress(s, p, n);
		elect(s, p, n);
	}
	if (p->want & RIB_LISTEN_BACKUP)
		elect_backup(s, p, n);
}

/* ---- attributes of a record ---- */

/*
 * Next hops are resolved by looking into tables, perhaps into this net: so they are tracked before
 * net_begin() and let go after net_end(). Returns the flag for the record that will have the attributes.
 */
static unsigned track(struct rib_shard *s, const struct local_source *l, uint32_t attrs)
{
	const struct attrs *a = attrs_get(attrs);

	if (!a || !(a->derived & ATTRD_RECURSIVE))
		return 0;
	tracker_hold(s, l->conf->c.igp_table ? l->conf->c.igp_table : l->source->table, a);
	l->part->tracked++;
	return RECORD_TRACKED;
}

/* Drops what a record held; r is a copy of it. */
static void drop(struct rib_shard *s, const struct local_source *l, const struct route_record *r)
{
	if (route_flags(r) & RECORD_TRACKED) {
		tracker_release(s, l->conf->c.igp_table ? l->conf->c.igp_table : l->source->table,
			attrs_get(r->attrs));
		l->part->tracked--;
	}
	if (r->attrs != r->received)
		shard_drop(s, r->attrs, 1);
	shard_drop(s, r->received, 1);
}

static void count_route(struct local_source *l, const struct route_record *r, int by)
{
	count32_add(&l->stats.received, (uint32_t)by);
	if (!usable(r)) {
		if (r->attrs)
			count32_add(&l->stats.filtered, (uint32_t)by);
	} else {
		count32_add(&l->stats.imported, (uint32_t)by);
	}
	if (l->counted) {
		atomic_fetch_add_explicit(&l->source->n_received, (uint32_t)by, memory_order_relaxed);
		if (usable(r))
			atomic_fetch_add_explicit(&l->source->n_imported, (uint32_t)by, memory_order_relaxed);
	}
}

/* ---- limits ---- */

/* Is there room for one more? Tells the owner once when there is none. */
static bool limit_allows(struct local_source *l, bool import)
{
	const struct limit_config *c = import ? &l->conf->c.import_limit : &l->conf->c.receive_limit;
	struct rib_source *src = l->source;
	_Atomic bool *hit = import ? &src->import_hit : &src->receive_hit;
	uint32_t n;

	if (c->action == LIMIT_NONE || !l->counted)
		return true;
	n = atomic_load_explicit(import ? &src->n_imported : &src->n_received, memory_order_relaxed);
	if (n < c->value) {
		/* Armed again well below, so that a neighbour at the limit fills no log. */
		if (n < c->value - c->value / 16 && atomic_load_explicit(hit, memory_order_relaxed))
			atomic_store_explicit(hit, false, memory_order_relaxed);
		return true;
	}
	if (!atomic_exchange(hit, true))
		source_tell_limit(l, import, c->action);
	return c->action == LIMIT_WARN;
}

/* ---- announcements and withdrawals ---- */

enum { COMMUNITY_LLGR_STALE = 0xffff0006 };

/* The route of an origin in a net. *last: when there is none, the last usable one. */
static uint32_t find_route(struct rib_shard *s, struct part *p, const struct net_record *n,
	const struct update *u, uint32_t *last)
{
	uint32_t me = u->source->id, origin, path_id;

	for (uint32_t i = n->first; i != POOL_NONE; i = route_at(p, i)->next) {
		const struct route_record *r = route_at(p, i);

		if (r->path == u->path && route_owner(r) == me &&
			!(route_flags(r) & RECORD_PIPED) == !u->piped)
			return i;
		if (usable(r))
			*last = i;
	}
	if (!u->piped)
		return POOL_NONE;
	/* Somebody else may have brought the same route here. */
	origin_of_key(s, u->path, &origin, &path_id);
	for (uint32_t i = n->first; i != POOL_NONE; i = route_at(p, i)->next) {
		const struct route_record *r = route_at(p, i);

		if (route_flags(r) & RECORD_PIPED ? r->path == u->path
						  : route_owner(r) == origin && r->path == path_id)
			return i;
	}
	return POOL_NONE;
}

/* The net of an update, with routes of its own. */
static inline uint32_t find_own(struct rib_shard *s, struct part *p, const struct update *u)
{
	uint32_t net = find_net(p, u);

	if (net != POOL_NONE && is_borrowed(net_at(p, net)->first))
		borrow_own(s, p, net);
	return net;
}

static uint32_t now_units(const struct rib_shard *s)
{
	return (uint32_t)(s->now_ns >> CHANGED_SHIFT);
}

static void collision(struct rib_shard *s, const struct update *u)
{
	static struct log_limit limit;
	char text[128];
	struct net net;

	if (!log_limit_ok(&limit))
		return;
	key_net(u->part->table->net, u->key, &net);
	net_format(&net, text, sizeof(text));
	log_msg(LOG_CLASS_ERROR, "Pipe collision detected when sending %s to table %s", text,
		u->part->table->name);
}

static void withdraw(struct rib_shard *s, const struct update *u)
{
	struct part *p = u->part;
	struct local_source *l = u->source;
	uint32_t net = find_own(s, p, u), route = POOL_NONE, last;

	count_add(&l->stats.withdraws_received, 1);
	if (net != POOL_NONE)
		route = find_route(s, p, net_at(p, net), u, &last);
	if (route == POOL_NONE || route_owner(route_at(p, route)) != l->id) {
		count_add(&l->stats.withdraws_ignored, 1);
		return;
	}
	count_add(&l->stats.withdraws_accepted, 1);
	update_remove(s, p, net, route);
}

void update_remove(struct rib_shard *s, struct part *p, uint32_t net, uint32_t route)
{
	struct net_record *n = net_at(p, net);
	struct route_record *r = route_at(p, route), copy = *r;
	struct local_source *l = shard_source(s, route_owner(r));
	bool was_best = n->first == route, was_usable = usable(r);
	struct before b;

	change_begin(s, p, net, &b);
	count_route(l, r, -1);
	net_begin(n);
	list_unlink(p, n, route);
	if (was_best && !p->table->sorted && !p->deterministic)
		elect(s, p, n);
	settle(s, p, n);
	net_end(n);
	drop(s, l, &copy);
	pool_give(&p->routes, route);
	count_add(&p->n_routes, (uint64_t)-1);
	if (n->first == POOL_NONE)
		count_add(&p->n_nets, (uint64_t)-1);
	change_end(s, p, net, &b, was_usable);
}

static uint32_t add_community(uint32_t attrs, uint32_t community);

/* The verdict is not used after all: nothing is kept of it. */
static void verdict_forget(struct rib_shard *s, uint32_t received, struct verdict *v)
{
	if (v->attrs != received)
		shard_drop(s, v->attrs, 1);
	v->attrs = 0;
}

/* The verdict's attributes with a community more. */
static void verdict_add_community(uint32_t received, struct verdict *v, uint32_t community)
{
	uint32_t with = add_community(v->attrs, community);

	if (v->attrs != received)
		attrs_release(v->attrs);
	if (with == received)
		attrs_release(with);
	v->attrs = with;
}

/* The flags of a route whose attributes have just been determined. */
static unsigned flags_for(
	struct rib_shard *s, const struct local_source *l, const struct verdict *v, bool piped)
{
	return (v->accepted ? 0 : ROUTE_FILTERED) | (piped ? RECORD_PIPED : 0) | track(s, l, v->attrs);
}

/* received and the verdict's: references that the record takes. */
static void fill(struct rib_shard *s, struct local_source *l, struct route_record *r, uint32_t received,
	const struct verdict *v, uint32_t path, unsigned flags, unsigned generation)
{
	put32(&r->received, received);
	put32(&r->attrs, v->attrs);
	put32(&r->path, path);
	put32(&r->changed, now_units(s));
	put32(&r->who, who_make(l->id, generation, flags));
}

/* A route of l says something else from now on, and keeps its place by age. The references to received and in
 * v are taken over. */
static void rewrite(struct rib_shard *s, struct part *p, struct net_record *n, struct local_source *l,
	uint32_t route, uint32_t received, const struct verdict *v, uint32_t path, unsigned flags,
	unsigned generation)
{
	struct route_record *r = route_at(p, route), copy = *r, *best = &copy;
	bool was_best = n->first == route;
	uint32_t behind;

	count_route(l, r, -1);
	net_begin(n);
	behind = list_unlink(p, n, route);
	if (!usable(&copy))
		behind = last_usable(p, n);
	fill(s, l, r, received, v, path, flags, generation);
	count_route(l, r, 1);
	if (!was_best)
		best = n->first != POOL_NONE ? route_at(p, n->first) : NULL;
	place(s, p, n, route, behind, best && usable(best) ? best : NULL, was_best);
	settle(s, p, n);
	net_end(n);
	drop(s, l, &copy);
}

static void count_refused(struct part *p, struct local_source *l, uint32_t net, bool old_usable)
{
	if (old_usable)
		count_add(&l->stats.withdraws_accepted, 1);
	else if (l->conf->c.keep_filtered || (net != POOL_NONE && place_of(p, net_at(p, net)->first).attrs))
		count_add(&l->stats.withdraws_ignored, 1);
}

static void announce(struct rib_shard *s, const struct update *u)
{
	struct part *p = u->part;
	struct local_source *l = u->source;
	struct route_record *r;
	struct net_record *n;
	struct before b;
	struct verdict v;
	uint32_t net = find_own(s, p, u), route = POOL_NONE, origin = l->id, path_id, behind = POOL_NONE;
	bool old_usable, any;
	uint64_t *verdict;
	unsigned flags;

	count_add(&l->stats.updates_received, 1);
	if (net != POOL_NONE)
		route = find_route(s, p, net_at(p, net), u, &behind);
	if (route == POOL_NONE) {
		if (!limit_allows(l, false)) {
			count_add(&l->stats.updates_ignored, 1);
			shard_drop(s, u->attrs, 1);
			return;
		}
	} else if (route_owner(route_at(p, route)) != l->id) {
		collision(s, u);
		count_add(&l->stats.updates_rejected, 1);
		shard_drop(s, u->attrs, 1);
		return;
	}
	if (u->piped)
		origin_of_key(s, u->path, &origin, &path_id);
	v = import_verdict(s, l, u->key, origin, u->attrs);
	old_usable = route != POOL_NONE && usable(route_at(p, route));
	verdict = v.accepted ? &l->stats.updates_accepted : &l->stats.updates_filtered;
	if (v.accepted && !old_usable && !limit_allows(l, true)) {
		v.accepted = false;
		verdict = &l->stats.updates_ignored;
		if (!l->conf->c.keep_filtered)
			verdict_forget(s, u->attrs, &v);
	}
	count_add(verdict, 1);
	/* To the table a refused announcement is a withdrawal: BIRD counts it as one, too. */
	if (verdict == &l->stats.updates_filtered)
		count_refused(p, l, net, old_usable);

	if (route != POOL_NONE) {
		r = route_at(p, route);
		n = net_at(p, net);
		if (r->received == u->attrs && r->attrs == v.attrs && old_usable == v.accepted &&
			!(route_flags(r) & RECORD_LLGR)) {
			/* Said again. */
			if (v.accepted) {
				count_add(&l->stats.updates_accepted, (uint64_t)-1);
				count_add(&l->stats.updates_ignored, 1);
			}
			if (route_generation(r) != l->generation) {
				net_begin(n);
				put32(&r->who, who_make(l->id, l->generation, route_flags(r)));
				net_end(n);
			}
			verdict_forget(s, u->attrs, &v);
			shard_drop(s, u->attrs, 1);
			return;
		}
		change_begin(s, p, net, &b);
		any = old_usable || v.accepted;
		flags = flags_for(s, l, &v, u->piped);
		rewrite(s, p, n, l, route, u->attrs, &v, u->path, flags, l->generation);
	} else {
		struct route_record *head;

		if (net == POOL_NONE)
			net = net_make(p, u->key, u->hash);
		n = net_at(p, net);
		change_begin(s, p, net, &b);
		any = v.accepted;
		route = pool_take(&p->routes);
		if (route == POOL_NONE) {
			log_msg(LOG_CLASS_FATAL, "Table %s: too many routes", p->table->name);
			abort();
		}
		r = route_at(p, route);
		head = n->first != POOL_NONE ? route_at(p, n->first) : NULL;
		if (!head)
			count_add(&p->n_nets, 1);
		count_add(&p->n_routes, 1);
		flags = flags_for(s, l, &v, u->piped);
		net_begin(n);
		fill(s, l, r, u->attrs, &v, u->path, flags, l->generation);
		count_route(l, r, 1);
		if (!head)
			list_insert(p, n, POOL_NONE, route);
		else
			place(s, p, n, route, behind, usable(head) ? head : NULL, false);
		if (head)
			settle(s, p, n);
		net_end(n);
	}
	change_end(s, p, net, &b, any);
}

void update_apply(struct rib_shard *s, const struct update *u)
{
	if (u->attrs)
		announce(s, u);
	else
		withdraw(s, u);
	if (u->part->loan) {
		uint32_t net = part_find(u->part, u->key, u->hash);

		if (net != POOL_NONE)
			borrow_try(s, u->part, net);
	}
}

/* ---- for walks ---- */

/* Replaces what the record has after import; received stays. v's reference is taken. */
static void replace(struct rib_shard *s, struct part *p, uint32_t net, uint32_t route,
	const struct verdict *v, unsigned llgr)
{
	struct net_record *n = net_at(p, net);
	struct route_record *r = route_at(p, route);
	struct local_source *l = shard_source(s, route_owner(r));
	bool old_usable = usable(r);
	struct before b;
	unsigned flags;

	change_begin(s, p, net, &b);
	/* The record's received is held for the new contents before the old ones are dropped. */
	attrs_hold(r->received);
	flags = flags_for(s, l, v, route_flags(r) & RECORD_PIPED) | llgr;
	rewrite(s, p, n, l, route, r->received, v, r->path, flags, route_generation(r));
	change_end(s, p, net, &b, old_usable || v->accepted);
}

void update_import(struct rib_shard *s, struct part *p, uint32_t net, uint32_t route)
{
	struct net_record *n = net_at(p, net);
	struct route_record *r = route_at(p, route);
	struct local_source *l = shard_source(s, route_owner(r));
	unsigned llgr = route_flags(r) & RECORD_LLGR;
	uint32_t origin = l->id, path_id;
	struct verdict v;

	if (route_flags(r) & RECORD_PIPED)
		origin_of_key(s, r->path, &origin, &path_id);
	v = import_verdict(s, l, n->key, origin, r->received);
	if (v.accepted && !usable(r) && !limit_allows(l, true)) {
		v.accepted = false;
		if (!l->conf->c.keep_filtered)
			verdict_forget(s, r->received, &v);
	}
	if (llgr && v.accepted)
		verdict_add_community(r->received, &v, COMMUNITY_LLGR_STALE);
	if (v.attrs == r->attrs && v.accepted == usable(r)) {
		verdict_forget(s, r->received, &v);
		return;
	}
	replace(s, p, net, route, &v, llgr);
}

/* A reference for the caller. */
static uint32_t add_community(uint32_t id, uint32_t community)
{
	const struct attrs *a = attrs_get(id);
	struct attrs edit = *a;
	uint32_t *list;

	for (unsigned i = 0; i < a->n_community; i++)
		if (a->community[i] == community) {
			attrs_hold(id);
			return id;
		}
	list = memory_take((a->n_community + 1u) * sizeof(*list));
	if (a->n_community)
		memcpy(list, a->community, a->n_community * sizeof(*list));
	list[a->n_community] = community;
	edit.community = list;
	edit.n_community++;
	edit.present |= ATTR_COMMUNITY;
	id = attrs_intern(&edit);
	memory_free(list);
	return id;
}

void update_llgr(struct rib_shard *s, struct part *p, uint32_t net, uint32_t route)
{
	struct route_record *r = route_at(p, route);
	struct verdict v = {.accepted = usable(r)};

	if (route_flags(r) & RECORD_LLGR)
		return;
	if (attrs_get(r->received)->derived & ATTRD_NO_LLGR) {
		update_remove(s, p, net, route);
		return;
	}
	if (!usable(r))
		return;
	v.attrs = r->attrs;
	if (v.attrs != r->received)
		attrs_hold(v.attrs);
	verdict_add_community(r->received, &v, COMMUNITY_LLGR_STALE);
	replace(s, p, net, route, &v, RECORD_LLGR);
}

/* Metrics or reachability of next hops have changed. */
void update_order(struct rib_shard *s, struct part *p, uint32_t net)
{
	struct net_record *n = net_at(p, net);
	struct before b;

	if (is_borrowed(n->first))
		borrow_own(s, p, net);
	change_begin(s, p, net, &b);
	b.metric = true;
	net_begin(n);
	if (p->table->sorted) {
		/* Taken apart and put together again. */
		uint32_t i = n->first, filtered, last = last_usable(p, n);

		if (last != POOL_NONE) {
			filtered = route_at(p, last)->next;
			put32(&n->first, filtered);
			while (i != filtered) {
				uint32_t next = route_at(p, i)->next;

				place(s, p, n, i, POOL_NONE, NULL, false);
				i = next;
			}
		}
	} else {
		elect(s, p, n);
		settle(s, p, n);
	}
	net_end(n);
	change_end(s, p, net, &b, true);
}

void update_backup(struct rib_shard *s, struct part *p, uint32_t net)
{
	struct net_record *n = net_at(p, net);

	if (p->borrowers)
		borrow_recall(s, p, net);
	if (is_borrowed(n->first))
		borrow_own(s, p, net);
	net_begin(n);
	elect_backup(s, p, n);
	net_end(n);
	if (p->loan)
		borrow_try(s, p, net);
}

void update_retrack(struct rib_shard *s, struct local_source *l, const struct source_conf *next)
{
	struct part *p = l->part;
	struct rib_table *from = l->conf->c.igp_table, *to = next->c.igp_table;

	for (uint32_t i = 0; i < p->nets.end; i++) {
		uint32_t k = net_at(p, i)->first;

		if (is_borrowed(k)) /* what is tracked is not borrowed */
			continue;
		for (; k != POOL_NONE; k = route_at(p, k)->next) {
			const struct route_record *r = route_at(p, k);

			if (route_owner(r) != l->id || !(route_flags(r) & RECORD_TRACKED))
				continue;
			tracker_hold(s, to ? to : l->source->table, attrs_get(r->attrs));
			tracker_release(s, from ? from : l->source->table, attrs_get(r->attrs));
		}
	}
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void update_idle(struct rib_shard *s, struct part *p)
{
	uint32_t last = POOL_NONE;

	/* One that came and went several times is there as often. */
	qsort(p->idle, p->n_idle, sizeof(*p->idle), by_number);
	for (uint32_t i = 0; i < p->n_idle; i++) {
		struct before b;

		/* It may have had a route again meanwhile, and been given up when that went. */
		if (p->idle[i] == last || net_at(p, p->idle[i])->first != POOL_NONE ||
			!net_is_indexed(p, p->idle[i]))
			continue;
		last = p->idle[i];
		change_begin(s, p, last, &b);
		change_end(s, p, last, &b, false);
	}
	memory_free(p->idle);
	p->idle = NULL;
	p->n_idle = p->cap_idle = 0;
}
