/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a station is told of tables: Adj-RIB-In before and behind the import filter, and the Loc-RIB, which is
 * the default tables' best routes. See station.h for how changes and the walk go together.
 */
#include "controlplane/bgp/wire.h"
#include "controlplane/bmp/station_priv.h"
#include "shared/clock.h"
#include "shared/rcu.h"
#include <stdlib.h>

#define SLICE 128u /* prefixes under one rcu_read_lock() */
#define MAX_SHARDS 64u

/* A change of one route in an Adj-RIB-In, or of a best route (local; it is in post). pre, post: attributes
 * (held), 0 withdrawn. */
struct event {
	struct prefix net;
	uint32_t source, path_id, pre, post;
	bool pre_changed, post_changed, local;
	uint64_t changed_ns;
};

struct chunk {
	struct bmp_station *s;
	uint64_t connection;
	unsigned n, size;
	struct event event[];
};

/* A table in which some session's routes are, or whose best routes are told. */
struct bmp_table {
	struct bmp_station *s;
	struct bmp_table *next;
	struct rib_table *table; /* held */
	struct rib_listener *listener;
	uint64_t connection;
	bool received, local;                       /* what is told: routes of peers; the best ones */
	_Atomic unsigned open_shards, quiet_shards; /* that listen; that do no longer */
	struct chunk *chunk[MAX_SHARDS];            /* being filled, each by its shard */
	/* the walk */
	bool wanted, walking, local_wanted, local_walking;
	struct rib_cursor cursor;
};

/* ---- peers of this connection ---- */

static unsigned slot_of(const struct bmp_station *s, uint32_t source)
{
	unsigned mask = s->index_size - 1, i = (source * 2654435761u) & mask;

	while (s->index[i]) {
		uint32_t at = s->index[i] - 1;
		const struct bmp_peer *p = s->peers[at / BMP_CHANNELS].p;

		if (p->channel[at % BMP_CHANNELS].source == source)
			break;
		i = (i + 1) & mask;
	}
	return i;
}

void tables_index_peers(struct bmp_station *s)
{
	unsigned size = 16;

	while (size < 4 * BMP_CHANNELS * (s->n_peers + 1))
		size *= 2;
	free(s->index);
	s->index = calloc(size, sizeof(*s->index));
	if (!s->index)
		abort();
	s->index_size = size;
	for (unsigned i = 0; i < s->n_peers; i++)
		for (unsigned k = 0; k < s->peers[i].p->n_channels; k++)
			s->index[slot_of(s, s->peers[i].p->channel[k].source)] = i * BMP_CHANNELS + k + 1;
}

static struct peer *peer_of(struct bmp_station *s, uint32_t source, unsigned *channel)
{
	uint32_t at;

	if (!s->n_peers || !(at = s->index[slot_of(s, source)]))
		return NULL;
	*channel = (at - 1) % BMP_CHANNELS;
	return &s->peers[(at - 1) / BMP_CHANNELS];
}

/* ---- changes: in the shards' threads ---- */

static struct event *add_event(struct bmp_table *t, unsigned shard)
{
	struct chunk *c = t->chunk[shard];

	if (c && c->n == c->size) {
		c->size *= 2;
		c = realloc(c, sizeof(*c) + c->size * sizeof(c->event[0]));
	} else if (!c) {
		c = malloc(sizeof(*c) + 32 * sizeof(c->event[0]));
		if (c)
			*c = (struct chunk){.s = t->s, .connection = t->connection, .size = 32};
	}
	if (!c)
		abort();
	t->chunk[shard] = c;
	return &c->event[c->n++];
}

static const struct rib_route_view *same_route(
	const struct rib_route_view *r, const struct rib_route_view *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].owner == r->owner && list[i].path_id == r->path_id)
			return &list[i];
	return NULL;
}

/* What a route is behind the import filter. */
static uint32_t post_of(const struct rib_route_view *r)
{
	return r && !(r->flags & ROUTE_FILTERED) ? r->attrs : 0;
}

static void route_changed(struct bmp_table *t, unsigned shard, const struct prefix *net,
	const struct rib_route_view *old, const struct rib_route_view *new)
{
	const struct rib_route_view *any = new ? new : old;
	uint32_t pre_old = old ? old->attrs_received : 0, pre = new ? new->attrs_received : 0;
	uint32_t post_old = post_of(old), post = post_of(new);
	struct event *e;

	if (any->owner != any->source || (pre_old == pre && post_old == post))
		return; /* a pipe's, or not this one */
	e = add_event(t, shard);
	*e = (struct event){
		.net = *net,
		.source = any->source,
		.path_id = any->path_id,
		.pre = pre,
		.post = post,
		.pre_changed = pre_old != pre,
		.post_changed = post_old != post,
		.changed_ns = any->changed_ns,
	};
	if (pre)
		attrs_hold(pre);
	if (post)
		attrs_hold(post);
}

static void best_changed(struct bmp_table *t, unsigned shard, const struct rib_change *c)
{
	struct event *e;

	if (c->best_attrs == c->old_best_attrs && c->best_source == c->old_best_source)
		return;
	e = add_event(t, shard);
	*e = (struct event){
		.net = c->net->prefix, .post = c->best_attrs, .local = true, .changed_ns = clock_now_ns()};
	if (e->post)
		attrs_hold(e->post);
}

static void changed(void *ctx, struct rib_shard *shard, const struct rib_change *c, unsigned n, bool dump)
{
	struct bmp_table *t = ctx;
	unsigned number = rib_shard_index(shard);

	(void)dump;
	if (atomic_load_explicit(&t->s->overflow, memory_order_relaxed))
		return;
	for (; n; n--, c++) {
		for (unsigned i = 0; i < c->n_all_old_routes && t->received; i++)
			if (!same_route(&c->old_routes[i], c->routes, c->n_all_routes))
				route_changed(t, number, &c->net->prefix, &c->old_routes[i], NULL);
		for (unsigned i = 0; i < c->n_all_routes && t->received; i++)
			route_changed(t, number, &c->net->prefix,
				same_route(&c->routes[i], c->old_routes, c->n_all_old_routes), &c->routes[i]);
		if (t->local)
			best_changed(t, number, c);
	}
}

static void release_events(struct chunk *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		if (c->event[i].pre)
			attrs_release(c->event[i].pre);
		if (c->event[i].post)
			attrs_release(c->event[i].post);
	}
}

static void take_chunk(void *arg);

static void post_chunk(void *ctx, struct rib_shard *shard)
{
	struct bmp_table *t = ctx;
	struct chunk **at = &t->chunk[rib_shard_index(shard)], *c = *at;
	uint64_t waiting;

	if (!c)
		return;
	*at = NULL;
	waiting = atomic_fetch_add(&t->s->queued_events, c->n) + c->n;
	if (waiting * sizeof(struct event) > atomic_load_explicit(&t->s->limit, memory_order_relaxed))
		atomic_store(&t->s->overflow, true); /* take_chunk() sees it */
	loop_call(t->s->loop, take_chunk, c);
}

static void listening(void *ctx, struct rib_shard *shard);
static void closed(void *ctx, struct rib_shard *shard);
static const struct rib_listener_ops listener_ops = {changed, listening, closed, post_chunk};

/* ---- tables ---- */

static void table_listens(void *arg)
{
	struct bmp_table *t = arg;

	station_more_soon(t->s);
}

static void listening(void *ctx, struct rib_shard *shard)
{
	struct bmp_table *t = ctx;

	(void)shard;
	if (atomic_fetch_add(&t->open_shards, 1) + 1 == rib_shards(t->s->c.rib))
		loop_call(t->s->loop, table_listens, t);
}

static void table_closed(void *arg)
{
	struct bmp_table *t = arg, **at;
	struct bmp_station *s = t->s;

	for (at = &s->tables; *at != t;)
		at = &(*at)->next;
	*at = t->next;
	rib_table_close(t->table);
	free(t);
	station_tables_closed(s);
}

static void closed(void *ctx, struct rib_shard *shard)
{
	struct bmp_table *t = ctx;
	struct chunk **at = &t->chunk[rib_shard_index(shard)];

	if (*at) {
		release_events(*at);
		free(*at);
		*at = NULL;
	}
	if (atomic_fetch_add(&t->quiet_shards, 1) + 1 == rib_shards(t->s->c.rib))
		loop_call(t->s->loop, table_closed, t);
}

static struct bmp_table *listen_to(struct bmp_station *s, struct rib_table *table, bool local)
{
	struct bmp_table *t;

	for (t = s->tables; t; t = t->next)
		if (t->table == table && t->connection == s->connection)
			return t;
	if (!rib_table_hold(table))
		return NULL; /* on its way out, and its routes with it */
	t = calloc(1, sizeof(*t));
	if (!t)
		abort();
	t->s = s;
	t->table = table;
	t->connection = s->connection;
	t->received = s->c.ribs & (BMP_RIB_BIT(BMP_IN_PRE) | BMP_RIB_BIT(BMP_IN_POST));
	t->local = local;
	t->next = s->tables;
	s->tables = t;
	t->listener = rib_listener_open(table,
		(t->received ? RIB_LISTEN_RECEIVED : RIB_LISTEN_BEST) | RIB_LISTEN_NO_DUMP, &listener_ops, t);
	return t;
}

void tables_want(struct bmp_station *s, struct rib_table *table)
{
	struct bmp_table *t;

	if (!(s->c.ribs & (BMP_RIB_BIT(BMP_IN_PRE) | BMP_RIB_BIT(BMP_IN_POST))))
		return;
	t = listen_to(s, table, false);
	if (t)
		t->wanted = true;
	station_more_soon(s);
}

/* Before any peer's: so the listener hears of both. */
void tables_want_local(struct bmp_station *s)
{
	for (unsigned k = 0; s->local && k < s->local->n_channels; k++) {
		struct bmp_table *t = listen_to(s, s->local->channel[k].table, true);

		if (t)
			t->wanted = t->local_wanted = true;
	}
	station_more_soon(s);
}

void tables_close(struct bmp_station *s)
{
	for (struct bmp_table *t = s->tables; t; t = t->next)
		if (t->listener) {
			rib_listener_close(t->listener);
			t->listener = NULL;
		}
}

/* ---- what is said ---- */

static uint64_t wall_of(uint64_t mono_ns)
{
	return mono_ns + (clock_wall_ns() - clock_now_ns());
}

static void say_local(struct bmp_station *s, const struct prefix *net, uint32_t attrs, uint64_t changed_ns)
{
	const struct bmp_peer *p = s->local;

	for (unsigned k = 0; p && k < p->n_channels; k++)
		if ((p->channel[k].afi == BGP_AFI_IPV4) == (net->family == 4))
			bmp_put_route(&s->tx, p, &p->channel[k], BMP_LOCAL, net, 0, attrs_get(attrs),
				wall_of(changed_ns));
}

static void say_event(struct bmp_station *s, const struct event *e)
{
	unsigned k;
	const struct peer *p;
	uint64_t wall;

	if (e->local) {
		say_local(s, &e->net, e->post, e->changed_ns);
		return;
	}
	p = peer_of(s, e->source, &k);
	if (!p)
		return; /* the station was told that it is down */
	wall = wall_of(e->changed_ns);
	if (e->pre_changed && (s->c.ribs & BMP_RIB_BIT(BMP_IN_PRE)))
		bmp_put_route(&s->tx, p->p, &p->p->channel[k], BMP_IN_PRE, &e->net, e->path_id,
			attrs_get(e->pre), wall);
	if (e->post_changed && (s->c.ribs & BMP_RIB_BIT(BMP_IN_POST)))
		bmp_put_route(&s->tx, p->p, &p->p->channel[k], BMP_IN_POST, &e->net, e->path_id,
			attrs_get(e->post), wall);
}

static bool too_much(struct bmp_station *s)
{
	return atomic_load(&s->overflow) ||
	       bmp_buffer_left(&s->tx) > atomic_load_explicit(&s->limit, memory_order_relaxed);
}

static void take_chunk(void *arg)
{
	struct chunk *c = arg;
	struct bmp_station *s = c->s;

	atomic_fetch_sub(&s->queued_events, c->n);
	if (s->up && c->connection == s->connection)
		for (unsigned i = 0; i < c->n; i++)
			say_event(s, &c->event[i]);
	release_events(c);
	free(c);
	if (!s->up)
		return;
	if (too_much(s)) {
		pthread_mutex_lock(&s->lock);
		s->shown.overflows++;
		pthread_mutex_unlock(&s->lock);
		station_disconnect(s, "TX buffer limit reached");
	} else {
		station_flush(s);
	}
}

/* ---- what was there before ---- */

static void walk_begin(struct bmp_station *s, struct bmp_table *t)
{
	t->wanted = false;
	t->walking = true;
	t->local_walking = t->local_wanted;
	t->local_wanted = false;
	t->cursor = (struct rib_cursor){.table = t->table};
	for (unsigned i = 0; i < s->n_peers; i++)
		for (unsigned k = 0; k < s->peers[i].p->n_channels; k++)
			if (s->peers[i].p->channel[k].table == t->table && s->peers[i].wanted[k]) {
				s->peers[i].wanted[k] = false;
				s->peers[i].walking[k] = true;
			}
}

static void walk_end(struct bmp_station *s, struct bmp_table *t)
{
	uint64_t now = clock_wall_ns();

	t->walking = false;
	for (unsigned k = 0; t->local_walking && k < s->local->n_channels; k++)
		if (s->local->channel[k].table == t->table)
			bmp_put_end_of_rib(&s->tx, s->local, &s->local->channel[k], BMP_LOCAL, now);
	t->local_walking = false;
	for (unsigned i = 0; i < s->n_peers; i++)
		for (unsigned k = 0; k < s->peers[i].p->n_channels; k++) {
			struct peer *p = &s->peers[i];

			if (p->p->channel[k].table != t->table || !p->walking[k])
				continue;
			p->walking[k] = false;
			for (unsigned rib = BMP_IN_PRE; rib <= BMP_IN_POST; rib++)
				if (s->c.ribs & BMP_RIB_BIT(rib))
					bmp_put_end_of_rib(&s->tx, p->p, &p->p->channel[k], rib, now);
		}
}

static void walk_net(struct bmp_station *s, const struct bmp_table *t)
{
	const struct rib_route_view *best = s->view->n_routes ? &s->view->routes[0] : NULL;

	if (t->local_walking && best && post_of(best))
		say_local(s, &s->view->net.prefix, best->attrs, best->changed_ns);
	for (unsigned i = 0; i < s->view->n_routes && i < RIB_MAX_ROUTES; i++) {
		const struct rib_route_view *r = &s->view->routes[i];
		struct event e = {.net = s->view->net.prefix,
			.source = r->source,
			.path_id = r->path_id,
			.pre = r->attrs_received,
			.post = post_of(r),
			.changed_ns = r->changed_ns};
		const struct peer *p;
		unsigned k;

		if (r->owner != r->source)
			continue;
		p = peer_of(s, r->source, &k);
		if (!p || !p->walking[k])
			continue;
		e.pre_changed = e.pre != 0;
		e.post_changed = e.post != 0;
		say_event(s, &e);
	}
}

static bool walk_slice(struct bmp_station *s, struct bmp_table *t)
{
	bool more = true;

	rcu_read_lock();
	for (unsigned i = 0; i < SLICE && (more = rib_next(&t->cursor, s->view, RIB_MAX_ROUTES)); i++)
		walk_net(s, t);
	rcu_read_unlock();
	return more;
}

void tables_walk(struct bmp_station *s)
{
	unsigned slices = 0;

	for (struct bmp_table *t = s->tables; t; t = t->next) {
		if (t->connection != s->connection || !t->listener ||
			atomic_load(&t->open_shards) < rib_shards(s->c.rib))
			continue;
		if (t->wanted && !t->walking)
			walk_begin(s, t);
		while (t->walking && bmp_buffer_left(&s->tx) < WALK_BELOW && slices++ < 16)
			if (!walk_slice(s, t)) {
				walk_end(s, t);
				if (t->wanted)
					walk_begin(s, t);
			}
	}
}

bool tables_walking(const struct bmp_station *s)
{
	for (const struct bmp_table *t = s->tables; t; t = t->next)
		if (t->connection == s->connection && t->listener && (t->wanted || t->walking) &&
			atomic_load(&t->open_shards) == rib_shards(s->c.rib))
			return true;
	return false;
}
