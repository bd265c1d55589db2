/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * show route. Reads RCU snapshots in slices: a slice of prefixes is formatted
 * under rcu_read_lock(), the lock is dropped while the text is written, so that
 * neither memory reclaim nor a slow terminal waits for the other. Nothing is kept
 * of what has been written. Headings, counts and their conditions are BIRD's.
 */
#include "controlplane/cli/query.h"
#include "controlplane/cli/route_text.h"
#include "shared/rcu.h"
#include <string.h>

#define SLICE 256u /* prefixes between two looks at the output */
#define MAX_VIEW RIB_MAX_ROUTES

static struct cli_out *out_of(struct query *q)
{
	return &q->s->out;
}

static void heading(struct query *q, const struct query_table *t)
{
	if (q->s->json || q->count || q->headed == t)
		return;
	if (q->headed)
		cli_line(out_of(q), 1007, "%s", "");
	cli_line(out_of(q), 1007, "Table %s:", t->title);
	q->headed = t;
}

/* `where` and `filter`: true if the route is to be shown; *a may become the edited set. */
static bool passes_filter(struct query *q, const struct net *net, const struct attrs **a,
	const struct rib_source_config *src, struct attrs *edited)
{
	struct filter_route fr = query_filter_route(net, *a, src);
	bool changed = false;

	if (!q->has_filter || q->filter.kind == FILTER_ALL)
		return true;
	if (q->filter.kind == FILTER_NONE ||
		filter_run(cli_vm(q->s), q->filter.filter, &fr, &changed, edited) != FILTER_ACCEPT)
		return false;
	if (changed)
		*a = edited;
	return true;
}

static void print(struct query *q, const struct query_table *t, const struct route_text *text)
{
	heading(q, t);
	if (q->s->json)
		cli_route_json(q->s, &q->json, text);
	else
		cli_route_lines(q->s, text);
}

/* Attributes of the route in the table that is shown; 0: it is not there. */
static uint32_t attrs_in(const struct query *q, const struct query_table *t, const struct rib_route_view *r)
{
	if (t->kind == TABLE_IMPORT)
		return r->source == t->source ? r->attrs_received : 0;
	/* Filtered and not kept: only here to be looked at again when the filter changes. */
	if (!r->attrs || !(r->flags & ROUTE_FILTERED) != !q->filtered)
		return 0;
	return r->attrs;
}

static void net_routes(struct query *q, const struct query_table *t, const struct rib_net_view *v)
{
	static __thread struct attrs sent, edited;
	enum show_mode mode = t->kind == TABLE_EXPORT ? SHOW_EXPORT : q->mode;
	bool first = true, shown = false, enough = false;
	unsigned before = 0; /* routes that BIRD would have in the table before this one */

	for (unsigned i = 0; i < v->n_routes && i < MAX_VIEW; i++) {
		const struct rib_route_view *rv = &v->routes[i];
		uint32_t id = attrs_in(q, t, rv);
		const struct attrs *a = id ? attrs_get(id) : NULL;
		const struct rib_source *src;
		const struct rib_source_config *sc;
		bool best = !before;

		before += t->kind == TABLE_IMPORT ? a != NULL : rv->attrs != 0;
		if (!a)
			continue;
		if (q->primary && !first)
			break;
		q->total++;
		q->nets += first;
		first = false;
		if (enough)
			continue;
		src = rib_source_by_id(q->s->daemon->rib, rv->source);
		sc = src ? rib_source_config(src) : NULL;
		if (mode != SHOW_TABLE &&
			(!t->side || !query_side_passes(q, t->side, mode, v, i, &a, sc, &sent)))
			continue;
		if (t->side && t->side->kind == SIDE_BGP && t->side->bgp.mode == EXPORT_SECONDARY &&
			mode != SHOW_PREEXPORT && mode != SHOW_NOEXPORT)
			enough = true;
		if ((q->protocol && (!sc || strcmp(sc->proto_name, q->protocol) != 0)) ||
			!passes_filter(q, &v->net, &a, sc, &edited))
			continue;
		q->shown++;
		if (q->count)
			continue;
		print(q, t,
			&(struct route_text){
				.net = !shown || q->s->json ? &v->net : NULL,
				.attrs = a,
				.source = sc,
				.table = t->table,
				.view = rv,
				.primary = best,
				.filtered = rv->flags & ROUTE_FILTERED,
				.all = q->all,
			});
		shown = true;
	}
}

static void walk(struct query *q, const struct query_table *t)
{
	struct rib_cursor c = {.table = t->table};
	bool more = true;

	while (more && !out_of(q)->broken && !atomic_load(q->s->closing)) {
		rcu_read_lock();
		for (unsigned i = 0; i < SLICE && (more = rib_next(&c, q->view, MAX_VIEW)); i++)
			if (q->addr_mode != ADDR_IN || prefix_contains(&q->net.prefix, &q->view->net.prefix))
				net_routes(q, t, q->view);
		rcu_read_unlock();
		cli_flush_some(out_of(q));
	}
}

static void all_of_table(struct query *q, struct query_table *t)
{
	q->shown = q->total = q->nets = 0;
	q->tables_done++;
	if (q->show_empty)
		heading(q, t);
	walk(q, t);
	if ((q->stats || q->count) && !q->s->json) {
		if (!q->count)
			heading(q, t);
		cli_line(out_of(q), 1007, "%llu of %llu routes for %llu networks in table %s",
			(unsigned long long)q->shown, (unsigned long long)q->total,
			(unsigned long long)q->nets, t->title);
	}
	t->shown = q->shown;
	t->total = q->total;
	t->nets = q->nets;
	q->all_shown += q->shown;
	q->all_total += q->total;
	q->all_nets += q->nets;
}

static void one_net(struct query *q, struct query_table *t)
{
	bool found;

	rcu_read_lock();
	found = q->addr_mode == ADDR_FOR ? rib_find_longest(t->table, &q->net.prefix, q->view, MAX_VIEW)
					 : rib_find(t->table, &q->net, q->view, MAX_VIEW);
	if (found)
		net_routes(q, t, q->view);
	rcu_read_unlock();
	q->all_shown = t->shown = q->shown;
	q->all_total = t->total = q->total;
	q->all_nets = t->nets = q->nets;
}

static void counts(struct json *j, uint64_t shown, uint64_t total, uint64_t nets)
{
	json_u64(j, "shown", shown);
	json_u64(j, "routes", total);
	json_u64(j, "networks", nets);
}

static void finish_json(struct query *q)
{
	struct json *j = &q->json;

	json_close(j, ']');
	json_open(j, "tables", '[');
	for (unsigned i = 0; i < q->n_tables; i++) {
		const struct query_table *t = &q->table[i];

		if (!t->table)
			continue;
		json_open(j, NULL, '{');
		json_str(j, "table", t->title);
		counts(j, t->shown, t->total, t->nets);
		json_close(j, '}');
	}
	json_close(j, ']');
	counts(j, q->all_shown, q->all_total, q->all_nets);
	json_close(j, '}');
	json_end(j);
}

static void finish(struct query *q, bool single)
{
	struct cli_out *o = out_of(q);

	if (q->s->json) {
		finish_json(q);
	} else if (single && !q->all_total) {
		cli_end(o, 8001, "Network not found");
	} else if (!single && (q->stats || q->count) && q->tables_done > 1) {
		if (q->headed)
			cli_line(o, 1007, "%s", "");
		cli_end(o, 14, "Total: %llu of %llu routes for %llu networks in %u tables",
			(unsigned long long)q->all_shown, (unsigned long long)q->all_total,
			(unsigned long long)q->all_nets, q->tables_done);
	} else {
		cli_end(o, 0, "%s", "");
	}
}

static void answer(struct query *q)
{
	bool single = q->addr_mode == ADDR_EQUAL || q->addr_mode == ADDR_FOR;

	q->view = arena_alloc_raw(q->s->arena, sizeof(*q->view) + MAX_VIEW * sizeof(q->view->routes[0]));
	if (q->s->json) {
		json_begin(&q->json, q->s);
		json_open(&q->json, NULL, '{');
		json_open(&q->json, "routes_shown", '[');
	}
	for (unsigned i = 0; i < q->n_tables; i++) {
		if (!q->table[i].table)
			continue;
		if (single)
			one_net(q, &q->table[i]);
		else
			all_of_table(q, &q->table[i]);
	}
	finish(q, single);
}

void cli_show_route(struct cli_session *s, struct parser *p)
{
	struct query *q = arena_alloc(s->arena, sizeof(*q));

	q->s = s;
	query_parse(q, p);
	if (q->filtered && (q->mode != SHOW_TABLE || q->primary)) {
		cli_end(&s->out, 9001, "Incompatible show route options");
		return;
	}
	query_prepare(q);
	if (q->error[0])
		cli_end(&s->out, 9001, "%s", q->error);
	else
		answer(q);
	query_release(q);
}
