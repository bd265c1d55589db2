/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Listeners: dump and live changes, in one order for each prefix.
 *
 * The dump walks the numbers of the nets and hands out what is there at that
 * moment; live changes of nets it has passed are handed out as they happen. Those of
 * nets it has not come to yet are left to it in a first dump (the listener
 * has never heard of them); in a repeated dump they are given at once, because
 * the listener has something to withdraw. What the dump says later is then said twice.
 *
 * Before the dump hands out a slice, the changes gathered so far go out, and each call is
 * made with the present contents of the net: per prefix nothing comes out of order.
 */
#include "controlplane/rib/internal.h"

static bool dump_run(struct rib_task *t, struct rib_shard *s, uint64_t deadline_ns);

static void give(
	struct rib_shard *s, struct local_listener *l, const struct rib_change *c, unsigned n, bool dump)
{
	struct rib_listener *x = l->listener;

	x->ops.changed(x->ctx, s, c, n, dump);
	if (x->ops.flush && !l->unflushed) {
		l->unflushed = true;
		l->flush_next = s->unflushed;
		s->unflushed = l;
	}
}

/* A first dump that has not come to it yet says it. */
static bool left_to_dump(const struct local_listener *l, uint32_t net)
{
	return l->dumping && l->first_dump && net >= l->dump_at;
}

/* Does the listener want to hear of it? */
static bool wanted(const struct local_listener *l, const struct rib_change *c)
{
	unsigned what = l->listener->what;
	bool best = c->best_attrs != c->old_best_attrs || c->best_source != c->old_best_source;

	if (left_to_dump(l, c->index))
		return false;
	/* Who wants less than the table's most curious listener may hear of a path id or a backup that is not
	 * his business. */
	return (what & (RIB_LISTEN_BACKUP | RIB_LISTEN_ALL)) || best || c->last ||
	       (c->metric && (what & RIB_LISTEN_METRIC));
}

void listener_changed(struct rib_shard *s, struct local_listener *l, const struct rib_change *c, unsigned n)
{
	unsigned first = 0;

	if (!l->dumping && !(l->part->want & (RIB_LISTEN_BACKUP | RIB_LISTEN_ALL | RIB_LISTEN_METRIC))) {
		give(s, l, c, n, false);
		return;
	}
	for (unsigned i = 0; i <= n; i++)
		if (i == n || !wanted(l, &c[i])) {
			if (i > first)
				give(s, l, c + first, i - first, false);
			first = i + 1;
		}
}

void listener_flush(struct rib_shard *s)
{
	while (s->unflushed) {
		struct local_listener *l = s->unflushed;

		s->unflushed = l->flush_next;
		l->unflushed = false;
		l->listener->ops.flush(l->listener->ctx, s);
	}
}

static unsigned most_routes(const struct rib_listener *x)
{
	return x->what & RIB_LISTEN_ALL      ? RIB_MAX_ROUTES
	       : x->what & RIB_LISTEN_BACKUP ? RIB_BACKUP_ROUTES
					     : 1;
}

/* The net as it is now. False: it has no routes. */
static bool change_of_net(struct rib_shard *s, struct part *p, uint32_t net, struct rib_change *c,
	struct rib_route_view *views, unsigned max)
{
	const struct net_record *r = pool_at(&p->nets, net);
	struct net *n = &s->change_nets[c - s->changes];

	if (r->first == POOL_NONE)
		return false;
	*c = (struct rib_change){.net = n, .index = net, .routes = views};
	c->n_routes = part_views(s, p, net, views, max);
	if (!c->n_routes)
		return false;
	if (c->n_routes > max)
		c->n_routes = max;
	key_net(p->table->net, r->key, n);
	c->best_attrs = c->routes[0].attrs;
	c->best_source = c->routes[0].source;
	c->best_path_id = c->routes[0].path_id;
	return true;
}

static bool dump_run(struct rib_task *t, struct rib_shard *s, uint64_t deadline_ns)
{
	struct local_listener *l = caa_container_of(t, struct local_listener, dump);
	struct part *p = l->part;
	struct rib_listener *x = l->listener;
	unsigned max = most_routes(x);
	unsigned n = 0, views = 0, since = 0;

	shard_flush_changes(s);
	while (l->dump_at < p->nets.end) {
		struct rib_change *c = &s->changes[n];
		uint32_t i;

		if (++since == 256) {
			since = 0;
			if (clock_now_ns() >= deadline_ns)
				break;
		}
		i = l->dump_at++;
		rib_shard_prefetch(p->table, s, i + 16, 0);
		rib_shard_prefetch(p->table, s, i + 8, 1);
		if (!change_of_net(s, p, i, c, s->views + views, max))
			continue;
		views += c->n_routes;
		n++;
		if (n == CHANGES || CHANGE_VIEWS - views < RIB_MAX_ROUTES) {
			give(s, l, s->changes, n, true);
			n = views = 0;
		}
	}
	if (n)
		give(s, l, s->changes, n, true);
	if (l->dump_at < p->nets.end)
		return true;
	l->dumping = l->first_dump = false;
	if (x->ops.dumped)
		x->ops.dumped(x->ctx, s);
	return false;
}

/* In a walk: what the routes' own filters have made of the change is out before. */
void listener_revisit(struct rib_shard *s, struct part *p, uint32_t net, bool forced)
{
	for (struct local_listener *l = p->listeners; l; l = l->next) {
		struct rib_change *c = &s->changes[0];

		if (!(forced ? l->reads_roa : l->roa_told) || left_to_dump(l, net))
			continue;
		shard_flush_changes(s); /* whose place c takes */
		if (change_of_net(s, p, net, c, s->views, most_routes(l->listener)))
			give(s, l, c, 1, true);
	}
}

static void want_again(struct part *p)
{
	p->want = 0;
	for (struct local_listener *l = p->listeners; l; l = l->next)
		p->want |= l->listener->what;
}

static void open_here(struct rib_shard *s, void *arg)
{
	struct rib_listener *x = arg;
	struct local_listener *l = &x->local[s->number];
	struct part *p = &x->table->part[s->number];
	unsigned before = p->want;

	l->listener = x;
	l->part = p;
	l->next = p->listeners;
	p->listeners = l;
	want_again(p);
	/* Nobody has kept backups in their place so far. */
	if ((p->want & ~before & RIB_LISTEN_BACKUP) && !p->table->sorted)
		for (uint32_t i = 0; i < p->nets.end; i++)
			if (((struct net_record *)pool_at(&p->nets, i))->first != POOL_NONE)
				update_backup(s, p, i);
	l->dump.run = dump_run;
	if (x->what & RIB_LISTEN_NO_DUMP) {
		if (x->ops.dumped)
			x->ops.dumped(x->ctx, s);
		return;
	}
	l->dumping = l->first_dump = true;
	l->dump_at = 0;
	rib_task_start(s, &l->dump);
}

static void roa_counts(struct local_listener *l, int by)
{
	l->part->roa_readers += (unsigned)(l->roa_told ? by : 0);
	l->part->roa_quiet += (unsigned)(l->reads_roa && !l->roa_told ? by : 0);
}

static void close_here(struct rib_shard *s, void *arg)
{
	struct rib_listener *x = arg;
	struct local_listener *l = &x->local[s->number], **at;

	rib_task_stop(s, &l->dump);
	roa_counts(l, -1);
	for (at = &l->part->listeners; *at != l;)
		at = &(*at)->next;
	*at = l->next;
	want_again(l->part);
	if (l->unflushed)
		for (at = &s->unflushed; *at; at = &(*at)->flush_next)
			if (*at == l) {
				*at = l->flush_next;
				break;
			}
	if (x->ops.closed)
		x->ops.closed(x->ctx, s);
	if (atomic_fetch_sub(&x->closing, 1) == 1) {
		rib_table_close(x->table);
		memory_free(x);
	}
}

static void redump_here(struct rib_shard *s, void *arg)
{
	struct local_listener *l = &((struct rib_listener *)arg)->local[s->number];

	l->dumping = true;
	l->dump_at = 0;
	rib_task_start(s, &l->dump);
}

static void everywhere(struct rib_listener *l, void (*fn)(struct rib_shard *, void *))
{
	struct rib *rib = l->table->rib;

	for (unsigned i = 0; i < rib->n_shards; i++)
		rib_shard_call(rib, i, fn, l);
}

struct rib_listener *rib_listener_open(
	struct rib_table *t, enum rib_listen what, const struct rib_listener_ops *ops, void *ctx)
{
	struct rib *rib = t->rib;
	struct rib_listener *l = memory_zero(sizeof(*l) + rib->n_shards * sizeof(l->local[0]));

	table_hold(t);
	l->table = t;
	l->what = what;
	l->ops = *ops;
	l->ctx = ctx;
	atomic_init(&l->closing, rib->n_shards);
	everywhere(l, open_here);
	return l;
}

void rib_listener_close(struct rib_listener *l)
{
	struct rib *rib = l->table->rib;
	unsigned n = rib->n_shards;

	/* l may be gone when the last shard has been told. */
	for (unsigned i = 0; i < n; i++)
		rib_shard_call(rib, i, close_here, l);
}

static void reads_roa_here(struct rib_shard *s, struct rib_listener *x, bool told)
{
	struct local_listener *l = &x->local[s->number];

	roa_counts(l, -1);
	l->reads_roa = true;
	l->roa_told |= told;
	roa_counts(l, 1);
}

static void reads_roa_quietly(struct rib_shard *s, void *arg)
{
	reads_roa_here(s, arg, false);
}

static void wants_roa(struct rib_shard *s, void *arg)
{
	reads_roa_here(s, arg, true);
}

void rib_listener_reads_roa(struct rib_listener *l, bool quietly)
{
	everywhere(l, quietly ? reads_roa_quietly : wants_roa);
}

void rib_listener_redump(struct rib_listener *l)
{
	everywhere(l, redump_here);
}
