/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/export/group.h"
#include "shared/rcu.h"
#include <string.h>

/* ---- room for indexes and sources ---- */

static uint32_t round_up(uint32_t have, uint32_t need)
{
	uint32_t n = have ? have : 1024;

	while (n < need)
		n *= 2;
	return n;
}

static void *zero_grow(void *p, uint32_t from, uint32_t to, size_t size)
{
	p = realloc(p, to * size);
	if (!p)
		abort();
	memset((char *)p + from * size, 0, (to - from) * size);
	return p;
}

static void need_index(struct group_shard *gs, uint32_t index)
{
	uint32_t n;

	if (index < gs->n_index)
		return;
	n = round_up(gs->n_index, index + 1);
	if (gs->group->mode == EXPORT_ALL)
		gs->all = zero_grow(gs->all, gs->n_index, n, sizeof(*gs->all));
	else
		gs->out = zero_grow(gs->out, gs->n_index, n, sizeof(*gs->out));
	gs->change_of = zero_grow(gs->change_of, gs->n_index, n, sizeof(*gs->change_of));
	gs->n_index = n;
}

static void need_source(struct group_shard *gs, uint32_t source)
{
	uint32_t n;

	if (source < gs->n_source)
		return;
	n = round_up(gs->n_source, source + 1);
	gs->owner = zero_grow(gs->owner, gs->n_source, n, sizeof(*gs->owner));
	gs->by_source = zero_grow(gs->by_source, gs->n_source, n, sizeof(*gs->by_source));
	gs->n_source = n;
}

static void count(uint64_t *c)
{
	__atomic_store_n(c, *c + 1, __ATOMIC_RELAXED);
}

struct path *export_group_path(const struct group_shard *gs, uint32_t index, uint32_t path_id)
{
	struct path *p;

	if (index >= gs->n_index)
		return NULL;
	if (gs->group->mode != EXPORT_ALL) {
		p = &gs->out[index];
	} else {
		struct paths *ps = gs->all[index];

		if (!ps || !path_id || path_id > ps->n)
			return NULL;
		p = &ps->path[path_id - 1];
	}
	return p->attrs ? p : NULL;
}

/* ---- changes of a slice ---- */

static struct change *change_for(
	struct group_shard *gs, const struct net *n, uint32_t index, uint32_t path_id, const struct path *old)
{
	uint32_t first = gs->change_of[index];
	struct change *c;

	for (uint32_t i = first ? first - 1 : CHANGE_NONE; i != CHANGE_NONE; i = gs->change[i].next)
		if (gs->change[i].path_id == path_id)
			return &gs->change[i];
	if (gs->n_change == gs->cap_change) {
		gs->cap_change = gs->cap_change ? 2 * gs->cap_change : 256;
		gs->change = realloc(gs->change, gs->cap_change * sizeof(*gs->change));
		if (!gs->change)
			abort();
	}
	c = &gs->change[gs->n_change];
	*c = (struct change){
		.prefix = n->prefix,
		.index = index,
		.path_id = path_id,
		.old = *old,
		.new = *old,
		.next = first ? first - 1 : CHANGE_NONE,
	};
	if (old->attrs)
		attrs_hold_n(old->attrs, 2);
	gs->change_of[index] = ++gs->n_change;
	return c;
}

/* The path at *at becomes now, whose reference is taken over. */
static void set_path(struct group_shard *gs, const struct net *n, uint32_t index, uint32_t path_id,
	struct path *at, struct path now)
{
	struct change *c;

	if (at->attrs == now.attrs && at->source == now.source) {
		if (now.attrs)
			attrs_release(now.attrs);
		at->path_in = now.path_in;
		return;
	}
	c = change_for(gs, n, index, path_id, at);
	if (c->new.attrs)
		attrs_release(c->new.attrs);
	c->new = now;
	if (now.attrs)
		attrs_hold(now.attrs);
	if (at->attrs) {
		gs->by_source[at->source]--;
		attrs_release(at->attrs);
	}
	if (now.attrs) {
		need_source(gs, now.source);
		gs->by_source[now.source]++;
	}
	__atomic_store_n(&gs->announced, gs->announced + !!now.attrs - !!at->attrs, __ATOMIC_RELAXED);
	if (!now.attrs) {
		count(&gs->stats.withdraws_received);
		count(&gs->stats.withdraws_accepted);
	}
	*at = now;
	if (!now.attrs)
		*at = (struct path){0};
}

static bool try_route(struct group_shard *gs, struct rib_shard *s, const struct net *n,
	const struct rib_route_view *r, struct path *out)
{
	enum policy_verdict v;
	uint32_t id = 0;

	count(&gs->stats.updates_received);
	v = policy_run(&gs->policy, s, n, r, &id);
	count(v == POLICY_ACCEPT     ? &gs->stats.updates_accepted
		: v == POLICY_FILTER ? &gs->stats.updates_filtered
				     : &gs->stats.updates_rejected);
	if (v != POLICY_ACCEPT)
		return false;
	*out = (struct path){id, r->source, r->path_id};
	return true;
}

static bool usable(const struct rib_route_view *r)
{
	return !(r->flags & (ROUTE_FILTERED | ROUTE_UNREACHABLE));
}

static void change_best(struct group_shard *gs, struct rib_shard *s, const struct rib_change *c)
{
	struct path now = {0};

	for (unsigned i = 0; i < c->n_routes; i++) {
		if (!usable(&c->routes[i]))
			break;
		if (try_route(gs, s, c->net, &c->routes[i], &now) || gs->group->mode == EXPORT_BEST)
			break;
	}
	set_path(gs, c->net, c->index, 0, &gs->out[c->index], now);
}

/* The path id under which a route is announced already, or a free one. */
static uint32_t path_id_for(struct group_shard *gs, uint32_t index, const struct path *now)
{
	struct paths *ps = gs->all[index];
	uint32_t free_id = 0, n = ps ? ps->n : 0;

	for (uint32_t i = 0; i < n; i++) {
		if (ps->path[i].attrs && ps->path[i].source == now->source &&
			ps->path[i].path_in == now->path_in)
			return i + 1;
		if (!ps->path[i].attrs && !free_id)
			free_id = i + 1;
	}
	if (free_id)
		return free_id;
	ps = realloc(ps, sizeof(*ps) + (n + 1) * sizeof(ps->path[0]));
	if (!ps)
		abort();
	ps->path[n] = (struct path){0};
	ps->n = n + 1;
	gs->all[index] = ps;
	return n + 1;
}

static void change_all(struct group_shard *gs, struct rib_shard *s, const struct rib_change *c)
{
	struct paths *ps = gs->all[c->index];

	/* What is announced and not among the routes any more. */
	for (uint32_t i = 0; ps && i < ps->n; i++) {
		bool there = false;

		for (unsigned k = 0; k < c->n_routes && !there; k++)
			there = c->routes[k].source == ps->path[i].source &&
				c->routes[k].path_id == ps->path[i].path_in && usable(&c->routes[k]);
		if (!there)
			set_path(gs, c->net, c->index, i + 1, &ps->path[i], (struct path){0});
	}
	for (unsigned k = 0; k < c->n_routes; k++) {
		struct path now = {.source = c->routes[k].source, .path_in = c->routes[k].path_id};
		uint32_t id;

		if (!usable(&c->routes[k]))
			continue;
		if (!try_route(gs, s, c->net, &c->routes[k], &now)) {
			now.attrs = 0;
			/* Only if it is announced: an id is not made up for what is rejected. */
			for (uint32_t i = 0; (ps = gs->all[c->index]) && i < ps->n; i++)
				if (ps->path[i].attrs && ps->path[i].source == now.source &&
					ps->path[i].path_in == now.path_in)
					set_path(gs, c->net, c->index, i + 1, &ps->path[i], (struct path){0});
			continue;
		}
		id = path_id_for(gs, c->index, &now);
		set_path(gs, c->net, c->index, id, &gs->all[c->index]->path[id - 1], now);
	}
}

static void changed(void *ctx, struct rib_shard *s, const struct rib_change *c, unsigned n, bool dump)
{
	struct group *g = ctx;
	struct group_shard *gs = &g->shard[rib_shard_index(s)];

	(void)dump;
	gs->shard = s;
	for (; n; n--, c++) {
		need_index(gs, c->index);
		if (g->mode == EXPORT_ALL)
			change_all(gs, s, c);
		else
			change_best(gs, s, c);
		if (c->last) {
			/* The number will mean another prefix: its changes are complete. */
			gs->change_of[c->index] = 0;
			if (g->mode == EXPORT_ALL) {
				free(gs->all[c->index]);
				gs->all[c->index] = NULL;
			}
		}
	}
}

static void start_task(struct group_shard *gs)
{
	if (gs->task_started || !gs->shard || !gs->ready || !gs->n_slow)
		return;
	gs->task_started = true;
	gs->task.run = dump_run;
	rib_task_start(gs->shard, &gs->task);
}

/* ---- the end of a slice ---- */

static void queue_change(struct group_shard *gs, const struct change *c)
{
	if (c->new.attrs && c->new.attrs == c->old.attrs)
		return; /* from another source: news for two peers, see owners_differ() */
	if (c->new.attrs)
		encoder_announce(gs->encoder, c->new.source, c->new.attrs, &c->prefix, c->path_id);
	else
		encoder_withdraw(gs->encoder, c->old.source, &c->prefix, c->path_id);
}

/*
 * Changes that mean something else to the peers whose own routes are in them: the new source's peer must
 * forget what it had from another, and the old source's peer hears of a route that all others have already,
 * when its attributes are the same.
 */
static struct member *owner_of(const struct group_shard *gs, uint32_t source)
{
	struct member *m = source < gs->n_source ? gs->owner[source] : NULL;

	return m && m->state == MEMBER_LIVE ? m : NULL;
}

static struct member *owner_told(const struct group_shard *gs, const struct change *c, bool announce)
{
	if (!c->new.attrs || !c->old.attrs || c->old.source == c->new.source)
		return NULL;
	if (announce)
		return c->new.attrs == c->old.attrs ? owner_of(gs, c->old.source) : NULL;
	return owner_of(gs, c->new.source);
}

/* Rare, and one member at a time: packed with what follows for the same one. */
static void owners_differ(struct group_shard *gs, struct made *made, bool announce)
{
	for (uint32_t i = 0; i < gs->n_change; i++) {
		struct member *m = owner_told(gs, &gs->change[i], announce);

		if (!m)
			continue;
		do {
			const struct change *c = &gs->change[i];

			if (announce)
				encoder_announce(gs->encoder, 0, c->new.attrs, &c->prefix, c->path_id);
			else
				encoder_withdraw(gs->encoder, 0, &c->prefix, c->path_id);
		} while (i + 1 < gs->n_change && owner_told(gs, &gs->change[i + 1], announce) == m && ++i);
		encoder_finish(gs->encoder, made, false, m);
	}
}

static void drop_changes(struct group_shard *gs)
{
	for (uint32_t i = 0; i < gs->n_change; i++) {
		struct change *c = &gs->change[i];

		if (c->old.attrs)
			attrs_release(c->old.attrs);
		if (c->new.attrs)
			attrs_release(c->new.attrs);
		if (c->index < gs->n_index && gs->change_of[c->index])
			gs->change_of[c->index] = 0;
	}
	gs->n_change = 0;
}

static void become_slow(struct group_shard *gs, struct member *m)
{
	m->state = MEMBER_CATCHUP;
	m->missed_at = 0;
	gs->n_live--;
	gs->n_slow++;
	rib_shard_pin(gs->group->table, gs->shard);
	peer_slow(m->peer, 1);
}

static void hand_out(struct group_shard *gs, struct made *made)
{
	struct cds_list_head *node;

	cds_list_for_each(node, &gs->members)
	{
		struct member *m = member_of(node);

		if (m->state != MEMBER_LIVE)
			continue;
		if (made->n && !ring_has_room(&m->ring, made->n)) {
			become_slow(gs, m);
			for (uint32_t i = 0; i < gs->n_change; i++)
				member_miss(m, &gs->change[i]);
			continue;
		}
		member_give(m, made);
		peer_check_limit(m->peer, gs->number, export_group_member_exported(gs, m));
	}
}

void export_group_flush(struct group_shard *gs)
{
	struct made made = {0};
	struct cds_list_head *node;

	if (!gs->n_change)
		return;
	for (uint32_t i = 0; i < gs->n_change;) {
		struct change *c = &gs->change[i];

		if (c->old.attrs != c->new.attrs || c->old.source != c->new.source) {
			dump_invalidate(gs, c->index);
			i++;
			continue;
		}
		/* There and back within a slice: nothing happened. */
		if (c->old.attrs)
			attrs_release_n(c->old.attrs, 2);
		if (gs->change_of[c->index])
			gs->change_of[c->index] = 0;
		gs->change[i] = gs->change[--gs->n_change];
	}
	if (gs->n_slow)
		cds_list_for_each(node,
			&gs->members) if (member_of(node)->state != MEMBER_LIVE) for (uint32_t i = 0;
										      i < gs->n_change; i++)
			member_miss(member_of(node), &gs->change[i]);
	if (gs->n_live) {
		for (uint32_t i = 0; i < gs->n_change; i++)
			queue_change(gs, &gs->change[i]);
		encoder_finish(gs->encoder, &made, true, NULL);
		owners_differ(gs, &made, false);
		owners_differ(gs, &made, true);
		hand_out(gs, &made);
		made_free(&made);
	}
	drop_changes(gs);
	start_task(gs);
}

static void flush(void *ctx, struct rib_shard *s)
{
	struct group *g = ctx;

	export_group_flush(&g->shard[rib_shard_index(s)]);
}

static void begin_dump(struct group_shard *gs, struct member *m)
{
	uint32_t n = rib_shard_indexes(gs->group->table, gs->shard);

	m->state = MEMBER_DUMP;
	m->dump_at = 0;
	m->dump_end = n > m->n_had ? n : m->n_had;
}

static void dumped(void *ctx, struct rib_shard *s)
{
	struct group *g = ctx;
	struct group_shard *gs = &g->shard[rib_shard_index(s)];
	struct cds_list_head *node;

	gs->shard = s;
	export_group_flush(gs);
	gs->ready = true;
	cds_list_for_each(node, &gs->members) if (member_of(node)->state == MEMBER_JOINING)
		begin_dump(gs, member_of(node));
	start_task(gs);
}

static void free_group(struct group *g)
{
	if (g->filter.kind == FILTER_PROGRAM)
		filter_release(g->filter.filter);
	free(g);
}

static void closed(void *ctx, struct rib_shard *s)
{
	struct group *g = ctx;
	struct group_shard *gs = &g->shard[rib_shard_index(s)];

	drop_changes(gs);
	if (gs->task_started)
		rib_task_stop(s, &gs->task);
	for (uint32_t i = 0; i < gs->n_index; i++) {
		if (gs->out && gs->out[i].attrs)
			attrs_release(gs->out[i].attrs);
		if (gs->all && gs->all[i]) {
			for (uint32_t k = 0; k < gs->all[i]->n; k++)
				if (gs->all[i]->path[k].attrs)
					attrs_release(gs->all[i]->path[k].attrs);
			free(gs->all[i]);
		}
	}
	dump_drop_cache(gs);
	free(gs->cache);
	free(gs->out);
	free(gs->all);
	free(gs->change_of);
	free(gs->change);
	free(gs->owner);
	free(gs->by_source);
	policy_free(&gs->policy);
	encoder_destroy(gs->encoder);
	if (atomic_fetch_sub(&g->open, 1) == 1)
		free_group(g);
}

static const struct rib_listener_ops listener_ops = {changed, dumped, closed, flush};

/* ---- members ---- */

uint32_t export_group_member_exported(const struct group_shard *gs, const struct member *m)
{
	uint32_t own = m->own_source < gs->n_source ? gs->by_source[m->own_source] : 0;

	return gs->announced - own;
}

static void add_member(struct group_shard *gs, struct rib_shard *s, struct member *m)
{
	gs->shard = s;
	need_source(gs, m->own_source);
	gs->owner[m->own_source] = m;
	m->joined = true;
	cds_list_add_tail(&m->node, &gs->members);
	gs->n_slow++;
	peer_slow(m->peer, 1);
	rib_shard_pin(gs->group->table, s);
	m->dump_at = 0;
	if (gs->ready) {
		export_group_flush(gs);
		begin_dump(gs, m);
	} else {
		m->state = MEMBER_JOINING;
	}
	start_task(gs);
}

static void remove_member(struct group_shard *gs, struct rib_shard *s, struct member *m)
{
	cds_list_del(&m->node);
	m->joined = false;
	if (gs->owner[m->own_source] == m)
		gs->owner[m->own_source] = NULL;
	if (m->state == MEMBER_LIVE) {
		gs->n_live--;
	} else {
		gs->n_slow--;
		peer_slow(m->peer, -1);
		rib_shard_unpin(gs->group->table, s);
	}
}

static void forget_had(struct member *m)
{
	for (uint32_t i = 0; i < m->n_had; i++)
		if (m->had[i] && m->had[i] != HAD_UNKNOWN)
			attrs_release(m->had[i]);
	free(m->had);
	m->had = NULL;
	m->n_had = 0;
}

void export_group_join(struct group *g, struct rib_shard *s, struct member *m)
{
	m->mark_end = true;
	add_member(&g->shard[rib_shard_index(s)], s, m);
}

void export_group_leave(struct group *g, struct rib_shard *s, struct member *m)
{
	if (m->joined)
		remove_member(&g->shard[rib_shard_index(s)], s, m);
	forget_had(m);
	free(m->missed);
	free(m->gone);
	m->missed = NULL;
	m->gone = NULL;
	m->missed_words = m->n_gone = m->cap_gone = 0;
}

/* What the member has been told of every prefix, before it leaves the group. */
static void snapshot(struct group_shard *gs, struct member *m)
{
	uint32_t n = gs->n_index, *had = calloc(n ? n : 1, sizeof(*had));

	if (!had)
		abort();
	for (uint32_t i = 0; i < n; i++) {
		const struct path *p = export_group_path(gs, i, 0);
		bool missed = m->missed && i / 64 < m->missed_words && (m->missed[i / 64] >> (i & 63) & 1);

		if (m->state == MEMBER_JOINING || (m->state == MEMBER_DUMP && i >= m->dump_at))
			had[i] = m->had && i < m->n_had ? m->had[i] : 0;
		else if (missed)
			had[i] = HAD_UNKNOWN;
		else if (p && p->source != m->own_source)
			had[i] = p->attrs;
		if (had[i] && had[i] != HAD_UNKNOWN)
			attrs_hold(had[i]);
	}
	forget_had(m);
	m->had = had;
	m->n_had = n;
}

void export_group_move(struct group *from, struct group *to, struct rib_shard *s, struct member *m)
{
	struct group_shard *gs = &from->shard[rib_shard_index(s)];

	export_group_flush(gs);
	if (from->mode != EXPORT_ALL && to->mode != EXPORT_ALL)
		snapshot(gs, m);
	rib_shard_pin(to->table, s); /* an index must not change its meaning between the groups */
	remove_member(gs, s, m);
	if (m->missed)
		memset(m->missed, 0, m->missed_words * sizeof(*m->missed));
	m->n_gone = 0;
	add_member(&to->shard[rib_shard_index(s)], s, m);
	rib_shard_unpin(to->table, s);
}

void export_group_redump(struct group *g, struct rib_shard *s, struct member *m, uint32_t generation)
{
	struct group_shard *gs = &g->shard[rib_shard_index(s)];

	if (!m->joined)
		return;
	export_group_flush(gs);
	m->mark_end = true;
	m->mark_generation = generation;
	if (m->state == MEMBER_JOINING)
		return; /* everything is still to come */
	if (m->state == MEMBER_LIVE) {
		gs->n_live--;
		gs->n_slow++;
		peer_slow(m->peer, 1);
		rib_shard_pin(g->table, s);
	}
	forget_had(m);
	begin_dump(gs, m);
	start_task(gs);
}

void export_group_room(struct group *g, struct rib_shard *s)
{
	start_task(&g->shard[rib_shard_index(s)]);
}

/* ---- finding and making ---- */

bool export_group_same(const struct group *g, const struct export_peer_config *c)
{
	return g->table == c->table && g->mode == c->mode && filter_same(&g->filter, &c->filter) &&
	       memcmp(&g->class, &c->class, sizeof(g->class)) == 0 &&
	       memcmp(&g->encode, &c->encode, sizeof(g->encode)) == 0;
}

static struct group *make(struct export_engine *x, const struct export_peer_config *c)
{
	unsigned n = rib_shards(x->rib);
	struct group *g = calloc(1, sizeof(*g) + n * sizeof(g->shard[0]));
	enum rib_listen what = c->mode == EXPORT_BEST ? RIB_LISTEN_BEST : RIB_LISTEN_ALL;

	if (!g)
		return NULL;
	g->engine = x;
	g->refs = 1;
	g->table = c->table;
	g->filter = c->filter;
	if (g->filter.kind == FILTER_PROGRAM)
		filter_hold(g->filter.filter);
	g->mode = c->mode;
	memcpy(&g->class, &c->class, sizeof(g->class)); /* padding too: compared as bytes */
	memcpy(&g->encode, &c->encode, sizeof(g->encode));
	atomic_init(&g->open, n);
	g->n_shards = n;
	for (unsigned i = 0; i < n; i++) {
		struct group_shard *gs = &g->shard[i];

		gs->group = g;
		gs->number = i;
		CDS_INIT_LIST_HEAD(&gs->members);
		policy_init(&gs->policy, &g->filter, &g->class);
		gs->encoder = encoder_create(&g->encode);
	}
	g->listener = rib_listener_open(g->table, what, &listener_ops, g);
	if (!g->listener) {
		for (unsigned i = 0; i < n; i++) {
			policy_free(&g->shard[i].policy);
			encoder_destroy(g->shard[i].encoder);
		}
		free_group(g);
		return NULL;
	}
	cds_list_add_tail(&g->node, &x->groups);
	return g;
}

struct group *export_group_get(struct export_engine *x, const struct export_peer_config *c)
{
	struct group *g;

	pthread_mutex_lock(&x->lock);
	cds_list_for_each_entry(g, &x->groups, node) if (export_group_same(g, c))
	{
		g->refs++;
		goto out;
	}
	g = make(x, c);
out:
	pthread_mutex_unlock(&x->lock);
	return g;
}

void export_group_put(struct group *g)
{
	struct export_engine *x = g->engine;
	bool last;

	pthread_mutex_lock(&x->lock);
	last = --g->refs == 0;
	if (last)
		cds_list_del(&g->node);
	pthread_mutex_unlock(&x->lock);
	if (last)
		rib_listener_close(g->listener);
}
