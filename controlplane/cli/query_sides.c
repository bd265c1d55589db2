/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What main knows: which tables there are, and what leaves them towards a
 * protocol. All in one call to main, so that everything is of one moment, and held:
 * a reload may come before the answer is written.
 */
#include "controlplane/bgp/bgp.h"
#include "controlplane/cli/query.h"
#include "controlplane/proto/pipe.h"
#include "shared/rcu.h"
#include <stdio.h>
#include <string.h>

/* ---- export sides ---- */

static struct proto_channel *find_channel(struct proto *p, const char *channel, const char *table)
{
	struct proto_channel *c;

	cds_list_for_each_entry(
		c, &p->channels, node) if ((!channel || !strcmp(c->cf->name, channel)) &&
					   (!table || !strcmp(c->cf->table->name, table))) return c;
	return NULL;
}

/* A pipe leads out of both its tables. Its channels are called pri and sec. */
static struct export_side *pipe_side(struct arena *a, struct proto *p, const char *channel, const char *table)
{
	const struct channel_config *cf = cds_list_first_entry(&p->channels, struct proto_channel, node)->cf;
	struct export_side *side;
	struct pipe_view v;
	bool out;

	pipe_view(p, &v);
	if (!v.running)
		return NULL;
	out = table ? !strcmp(table, v.table) : !channel || strcmp(channel, "sec") != 0;
	if (!out && table && strcmp(table, v.peer_table) != 0)
		return NULL;
	side = arena_alloc(a, sizeof(*side));
	side->kind = SIDE_ANY;
	side->filter = out ? cf->export : cf->import;
	side->own_source = out ? v.in_source : v.out_source;
	filter_ref_hold(&side->filter);
	return side;
}

struct export_side *query_side(struct arena *a, struct proto *p, const char *channel, const char *table)
{
	struct export_side *side;
	struct proto_channel *c;

	if (p->cf->type == PROTO_PIPE)
		return pipe_side(a, p, channel, table);
	c = find_channel(p, channel, table);
	if (!c || p->state != PS_UP)
		return NULL;
	side = arena_alloc(a, sizeof(*side));
	if (p->cf->type == PROTO_BGP) {
		side->kind = SIDE_BGP;
		if (bgp_export_view(p, c, &side->bgp) < 0)
			return NULL;
		filter_ref_hold(&side->bgp.filter);
		return side;
	}
	if (p->cf->type != PROTO_KERNEL)
		return NULL;
	side->kind = SIDE_BEST;
	side->filter = c->cf->export;
	side->own_source = c->source ? rib_source_id(c->source) : 0;
	filter_ref_hold(&side->filter);
	return side;
}

void query_side_release(struct export_side *side)
{
	if (!side)
		return;
	filter_ref_release(&side->bgp.filter);
	filter_ref_release(&side->filter);
}

struct filter_route query_filter_route(
	const struct net *net, const struct attrs *a, const struct rib_source_config *src)
{
	static const struct ipaddr no_address;

	return (struct filter_route){
		.net = net,
		.attrs = a,
		.proto_name = src ? src->proto_name : "",
		.source = src ? src->source : RTS_NONE,
		.from = src ? src->peer.addr : no_address,
		.ifindex = src ? src->peer.ifindex : 0,
	};
}

bool query_side_passes(struct query *q, const struct export_side *side, enum show_mode mode,
	const struct rib_net_view *v, unsigned i, const struct attrs **a, const struct rib_source_config *src,
	struct attrs *out)
{
	bool by_filter = false, changed = false, sent;

	if (side->kind == SIDE_BGP) {
		sent = export_would_send(
			q->s->daemon->rib, &side->bgp, cli_vm(q->s), v, i, &by_filter, &changed, out);
	} else {
		struct filter_route fr = query_filter_route(&v->net, *a, src);

		if (v->routes[i].owner == side->own_source || (side->kind == SIDE_BEST && i != 0))
			return false;
		sent = side->filter.kind == FILTER_ALL ||
		       (side->filter.kind == FILTER_PROGRAM && filter_run(cli_vm(q->s), side->filter.filter,
								       &fr, &changed, out) == FILTER_ACCEPT);
		by_filter = !sent;
	}
	if (mode == SHOW_PREEXPORT)
		return sent || by_filter;
	if (mode == SHOW_NOEXPORT)
		return by_filter;
	if (sent && changed)
		*a = out;
	return sent;
}

/* ---- tables ---- */

static bool __attribute__((format(printf, 2, 3))) fail(struct query *q, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(q->error, sizeof(q->error), fmt, ap);
	va_end(ap);
	return false;
}

static struct rib_table *hold_named(struct daemon *d, const char *name)
{
	struct rib_table *t;

	rcu_read_lock();
	t = rib_table_find(d->rib, name);
	if (t && !rib_table_hold(t))
		t = NULL;
	rcu_read_unlock();
	return t;
}

static bool channel_table(struct query *q, struct query_table *t)
{
	struct daemon *d = q->s->daemon;
	struct proto *p = proto_find(d, t->of.proto);
	struct proto_channel *c;

	if (!p)
		return fail(q, "%s is not a protocol", t->of.proto);
	c = find_channel(p, t->of.channel, NULL);
	if (!c)
		return fail(q, "Channel %s.%s not found", t->of.proto, t->of.channel);
	if (t->kind == TABLE_IMPORT && (!c->cf->import_table || !c->source))
		return fail(q, "No import table in channel %s.%s", t->of.proto, t->of.channel);
	if (t->kind == TABLE_EXPORT && !c->cf->export_table)
		return fail(q, "No export table in channel %s.%s", t->of.proto, t->of.channel);
	t->title = t->kind == TABLE_IMPORT ? "import" : "export";
	if (t->kind == TABLE_IMPORT)
		t->source = rib_source_id(c->source);
	else
		t->side = query_side(q->s->arena, p, t->of.channel, NULL);
	if (c->table && rib_table_hold(c->table))
		t->table = c->table;
	return true;
}

static void add_table(struct query *q, const char *name, struct export_side *side)
{
	struct query_table *t;

	if (q->n_tables == q->max_tables) {
		query_side_release(side);
		return;
	}
	t = &q->table[q->n_tables++];
	t->name = name;
	t->side = side;
}

static void default_tables(struct query *q, struct proto *export)
{
	struct proto_channel *c;
	struct proto *p;
	struct pipe_view v;

	if (export && export->cf->type == PROTO_PIPE) {
		pipe_view(export, &v);
		if (!v.running)
			return;
		if (!q->export.channel || !strcmp(q->export.channel, "pri"))
			add_table(q, v.table, query_side(q->s->arena, export, NULL, v.table));
		if (!q->export.channel || !strcmp(q->export.channel, "sec"))
			add_table(q, v.peer_table, query_side(q->s->arena, export, NULL, v.peer_table));
		return;
	}
	if (export) {
		cds_list_for_each_entry(c, &export->channels, node)
		{
			struct export_side *side =
				q->export.channel && strcmp(q->export.channel, c->cf->name) != 0
					? NULL
					: query_side(q->s->arena, export, c->cf->name, NULL);

			if (side)
				add_table(q, c->cf->table->name, side);
			else if (q->export.channel && !strcmp(q->export.channel, c->cf->name))
				add_table(q, c->cf->table->name, NULL); /* down: nothing is exported */
		}
		return;
	}
	if (q->protocol) {
		p = proto_find(q->s->daemon, q->protocol);
		if (!p)
			return;
		cds_list_for_each_entry(c, &p->channels, node) add_table(q, c->cf->table->name, NULL);
		if (p->cf->type == PROTO_PIPE && !cds_list_empty(&p->channels)) {
			pipe_view(p, &v);
			add_table(q, v.peer_table, NULL);
		}
		return;
	}
	for (int i = 1; i < NET_MAX; i++)
		if (q->s->config->default_table[i])
			add_table(q, q->s->config->default_table[i]->name, NULL);
}

/* Names point into configurations: into the command's, or copied. */
static bool prepare_tables(struct query *q, struct proto *export)
{
	struct daemon *d = q->s->daemon;
	bool named = q->n_tables != 0;
	unsigned left = 0;

	if (!named)
		default_tables(q, export);
	for (unsigned i = 0; i < q->n_tables; i++) {
		struct query_table *t = &q->table[i];

		if (t->kind != TABLE_WHOLE) {
			if (!channel_table(q, t))
				return false;
		} else {
			t->title = arena_strdup(q->s->arena, t->name);
			t->table = hold_named(d, t->name);
			if (named && export)
				t->side = query_side(q->s->arena, export, q->export.channel, t->name);
		}
		if (t->table && named && export && t->kind == TABLE_WHOLE && !t->side) {
			if (q->need_match)
				return fail(q, "No export channel for table %s", t->title);
			rib_table_close(t->table);
			t->table = NULL;
		}
		if (t->table && q->addr_mode != ADDR_NONE && rib_table_net(t->table) != q->net.type) {
			if (q->need_match)
				return fail(q, "Incompatible type of prefix/ip for table %s", t->title);
			rib_table_close(t->table);
			t->table = NULL;
		}
		left += t->table != NULL;
	}
	return left ? true : fail(q, "No valid tables");
}

static void prepare_in_main(void *arg)
{
	struct query *q = arg;
	struct daemon *d = q->s->daemon;
	struct proto *export = NULL;

	if (q->protocol && !proto_find(d, q->protocol)) {
		fail(q, "%s is not a protocol", q->protocol);
		return;
	}
	if (q->mode != SHOW_TABLE) {
		export = proto_find(d, q->export.proto);
		if (!export) {
			fail(q, "%s is not a protocol", q->export.proto);
			return;
		}
		if (q->export.channel && export->cf->type != PROTO_PIPE &&
			!find_channel(export, q->export.channel, NULL)) {
			fail(q, "Channel %s.%s not found", q->export.proto, q->export.channel);
			return;
		}
	}
	prepare_tables(q, export);
}

void query_prepare(struct query *q)
{
	cli_in_main(q->s, prepare_in_main, q);
}

void query_release(struct query *q)
{
	for (unsigned i = 0; i < q->n_tables; i++) {
		if (q->table[i].table)
			rib_table_close(q->table[i].table);
		query_side_release(q->table[i].side);
	}
}
