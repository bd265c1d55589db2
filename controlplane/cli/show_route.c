/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * show route. Reads RCU snapshots in slices: a slice of prefixes is formatted
 * under rcu_read_lock(), the lock is dropped while the text is written, so that
 * neither memory reclaim nor a slow terminal waits for the other.
 */
#include "controlplane/bgp/bgp.h"
#include "controlplane/cli/json.h"
#include "controlplane/cli/route_text.h"
#include "controlplane/cli/session.h"
#include "shared/rcu.h"
#include <errno.h>
#include <string.h>

#define SLICE 256u /* prefixes between two looks at the output */
#define MAX_TABLES 1024u
#define MAX_VIEW RIB_MAX_ROUTES

enum export_show { SHOW_TABLE, SHOW_EXPORT, SHOW_PREEXPORT, SHOW_NOEXPORT };

struct query {
	struct cli_session *s;
	bool has_net, longest, within; /* show route NET | for X | in P */
	struct net net;
	struct prefix prefix;
	bool tables_named, all_tables;
	const char *table[32];
	unsigned n_tables;
	bool import_table;
	const struct filter *where;
	struct filter_ref filter; /* filter clause */
	bool has_filter;
	bool all, primary, filtered, stats, count;
	enum export_show mode;
	const char *export_proto, *export_channel;
	struct export_peer_config export_cfg;
	struct filter_ref export_filter; /* of a protocol that is not BGP */
	bool export_bgp;
	const char *protocol; /* protocol P */
	/* running */
	struct json json;
	const char *printed_table;
	uint64_t shown, total, nets, all_shown, all_total, all_nets;
	unsigned tables_done;
	struct rib_net_view *view;
};

/* ---- parsing ---- */

static void add_table(struct query *q, struct parser *p, const char *name)
{
	if (q->n_tables == sizeof(q->table) / sizeof(*q->table))
		parser_fail(p, "Too many tables");
	q->table[q->n_tables++] = name;
	q->tables_named = true;
}

static void parse_export(struct query *q, struct parser *p, enum export_show mode)
{
	char *name = arena_strdup(q->s->arena, parser_name(p)), *dot;

	if (parser_accept_char(p, '.'))
		q->export_channel = parser_name(p);
	else if ((dot = strrchr(name, '.')) != NULL && !symbol_find(q->s->config->symbols->global, name)) {
		*dot = 0;
		q->export_channel = dot + 1;
	}
	q->export_proto = name;
	q->mode = mode;
}

static void set_net(struct query *q, const struct prefix *pfx)
{
	q->has_net = true;
	q->prefix = *pfx;
	q->net = (struct net){.type = pfx->family == 4 ? NET_IP4 : NET_IP6, .prefix = *pfx};
}

static bool at_address(const struct parser *p)
{
	const struct symbol *sym;

	if (p->tok.kind == TOK_IP4 || p->tok.kind == TOK_IP6)
		return true;
	sym = p->tok.kind == TOK_SYMBOL ? parser_symbol(p) : NULL;
	return sym && sym->cls == SYM_CONSTANT && (sym->value.type == T_IP || sym->value.type == T_NET);
}

/* PREFIX or IP: an address alone stands for its host prefix. */
static struct prefix parse_prefix_or_ip(struct parser *p)
{
	const struct token *ahead = parser_peek(p);
	const struct symbol *sym = p->tok.kind == TOK_SYMBOL ? parser_symbol(p) : NULL;
	struct ipaddr a;

	if (ahead->kind == '/' || (sym && sym->value.type == T_NET))
		return parser_prefix(p);
	a = parser_ip(p);
	return prefix_make(&a, ipaddr_is_v4(&a) ? 32 : 128);
}

static void parse(struct query *q, struct parser *p)
{
	while (p->tok.kind != TOK_EOF) {
		struct prefix pfx;

		if (parser_accept(p, "for")) {
			pfx = parse_prefix_or_ip(p);
			set_net(q, &pfx);
			q->longest = true;
		} else if (parser_accept(p, "in")) {
			pfx = parser_prefix(p);
			set_net(q, &pfx);
			q->within = true;
		} else if (at_address(p)) {
			pfx = parse_prefix_or_ip(p);
			set_net(q, &pfx);
		} else if (parser_accept(p, "table")) {
			if (parser_is(p, "all") && !p->tok.quoted) {
				parser_next(p);
				q->all_tables = q->tables_named = true;
			} else {
				add_table(q, p, parser_name(p));
			}
		} else if (parser_is(p, "import") && parser_peek(p)->kind != TOK_EOF) {
			parser_next(p);
			parser_expect(p, "table");
			parse_export(q, p, SHOW_TABLE);
			q->import_table = true;
		} else if (parser_accept(p, "where")) {
			q->where = filter_parse_expression(p);
		} else if (parser_is(p, "filter")) {
			q->filter = filter_parse_ref(p);
			q->has_filter = true;
		} else if (parser_accept(p, "all")) {
			q->all = true;
		} else if (parser_accept(p, "primary")) {
			q->primary = true;
		} else if (parser_accept(p, "filtered")) {
			q->filtered = true;
		} else if (parser_accept(p, "preexport")) {
			parse_export(q, p, SHOW_PREEXPORT);
		} else if (parser_accept(p, "noexport")) {
			parse_export(q, p, SHOW_NOEXPORT);
		} else if (parser_accept(p, "export") || parser_accept(p, "exported")) {
			if (parser_accept(p, "table"))
				parse_export(q, p, SHOW_EXPORT);
			else
				parse_export(q, p, SHOW_EXPORT);
		} else if (parser_accept(p, "protocol")) {
			q->protocol = parser_name(p);
		} else if (parser_accept(p, "stats")) {
			q->stats = true;
		} else if (parser_accept(p, "count")) {
			q->count = true;
		} else {
			parser_syntax_error(p, "END");
		}
	}
}

/* ---- what main knows about a protocol's export side ---- */

struct export_question {
	struct query *q;
	const char *table; /* of the protocol's channel */
	int rc;
};

static void ask_export(void *arg)
{
	struct export_question *e = arg;
	struct query *q = e->q;
	struct proto *p = proto_find(q->s->daemon, q->export_proto);
	struct proto_channel *c, *found = NULL;

	if (!p) {
		e->rc = -ESRCH;
		return;
	}
	cds_list_for_each_entry(
		c, &p->channels, node) if (!q->export_channel || !strcmp(q->export_channel, c->cf->name))
	{
		/* With no channel named, the one of the net asked for. */
		if (!found || (q->has_net && c->cf->net == q->net.type))
			found = c;
	}
	if (!found || !found->cf->table) {
		e->rc = -ENOENT;
		return;
	}
	e->table = arena_strdup(q->s->arena, found->cf->table->name);
	if (q->import_table)
		q->protocol = q->export_proto;
	else if (p->cf->type == PROTO_BGP) {
		e->rc = bgp_export_view(p, found, &q->export_cfg);
		q->export_bgp = true;
	} else {
		q->export_filter = found->cf->export;
		if (q->export_filter.kind == FILTER_PROGRAM)
			filter_hold(q->export_filter.filter);
	}
}

/* ---- choosing and printing routes ---- */

static struct filter_route as_filter_route(const struct query *q, const struct net *net,
	const struct attrs *a, const struct rib_source_config *src)
{
	(void)q;
	return (struct filter_route){
		.net = net,
		.attrs = a,
		.proto_name = src ? src->proto_name : "",
		.source = src ? src->source : RTS_NONE,
		.from = src ? src->peer.addr : (struct ipaddr){},
		.ifindex = src ? src->peer.ifindex : 0,
	};
}

/* `where` and `filter`: true if the route is to be shown; *a may become the edited set. */
static bool passes(struct query *q, const struct net *net, const struct attrs **a,
	const struct rib_source_config *src, struct attrs *edited)
{
	struct filter_route fr = as_filter_route(q, net, *a, src);
	struct value v;
	const char *err;
	bool changed = false;

	if (q->where && (filter_eval(cli_vm(q->s), q->where, &fr, &v, &err) < 0 || v.type != T_BOOL || !v.b))
		return false;
	if (!q->has_filter || q->filter.kind == FILTER_ALL)
		return true;
	if (q->filter.kind == FILTER_NONE)
		return false;
	if (filter_run(cli_vm(q->s), q->filter.filter, &fr, &changed, edited) != FILTER_ACCEPT)
		return false;
	if (changed)
		*a = edited;
	return true;
}

static void table_heading(struct query *q, const char *table)
{
	if (q->s->json || q->printed_table == table)
		return;
	if (q->printed_table)
		cli_line(&q->s->out, 1007, "%s", "");
	cli_line(&q->s->out, 1007, "Table %s:", table);
	q->printed_table = table;
}

/* Whether the route passes the export side that was asked for; *a may become what is sent. */
static bool export_passes(struct query *q, const struct rib_net_view *v, unsigned i, const struct attrs **a,
	const struct rib_source_config *src, struct attrs *out)
{
	bool by_filter = false, changed = false, sent;

	if (q->mode == SHOW_TABLE)
		return true;
	if (q->export_bgp) {
		sent = export_would_send(
			q->s->daemon->rib, &q->export_cfg, cli_vm(q->s), v, i, &by_filter, &changed, out);
		if (q->mode == SHOW_PREEXPORT)
			return sent || by_filter;
		if (q->mode == SHOW_NOEXPORT)
			return !sent && by_filter;
		if (sent && changed)
			*a = out;
		return sent;
	}
	if (i != 0)
		return false;
	sent = q->export_filter.kind == FILTER_ALL;
	if (q->export_filter.kind == FILTER_PROGRAM) {
		struct filter_route fr = as_filter_route(q, &v->net, *a, src);

		sent = filter_run(cli_vm(q->s), q->export_filter.filter, &fr, &changed, out) == FILTER_ACCEPT;
		if (sent && changed && q->mode == SHOW_EXPORT)
			*a = out;
	}
	return q->mode == SHOW_PREEXPORT || (q->mode == SHOW_NOEXPORT ? !sent : sent);
}

static void net_routes(struct query *q, struct rib_table *t, const struct rib_net_view *v)
{
	static __thread struct attrs sent_attrs, filtered_attrs;
	bool first = true, counted = false;

	for (unsigned i = 0; i < v->n_routes && i < MAX_VIEW; i++) {
		const struct rib_route_view *rv = &v->routes[i];
		bool filtered = rv->flags & ROUTE_FILTERED;
		uint32_t id = q->import_table || (filtered && !rv->attrs) ? rv->attrs_received : rv->attrs;
		const struct rib_source *src = rib_source_by_id(q->s->daemon->rib, rv->source);
		const struct rib_source_config *sc = src ? rib_source_config(src) : NULL;
		const struct attrs *a = id ? attrs_get(id) : NULL;
		struct route_text text;

		if (!a)
			continue;
		if (filtered && sc && !sc->keep_filtered && !q->import_table)
			continue; /* kept for re-evaluation only: BIRD would not have it */
		q->total++;
		if (!counted) {
			q->nets++;
			counted = true;
		}
		if (filtered != q->filtered && !q->import_table)
			continue;
		if (q->primary && i != 0)
			continue;
		if (q->protocol && (!sc || strcmp(sc->proto_name, q->protocol)))
			continue;
		if (!export_passes(q, v, i, &a, sc, &sent_attrs) ||
			!passes(q, &v->net, &a, sc, &filtered_attrs))
			continue;
		q->shown++;
		if (q->count)
			continue;
		table_heading(q, rib_table_name(t));
		text = (struct route_text){
			.net = first || q->s->json ? &v->net : NULL,
			.attrs = a,
			.source = sc,
			.view = rv,
			.primary = i == 0 && !filtered,
			.filtered = filtered,
			.all = q->all,
		};
		first = false;
		if (q->s->json)
			cli_route_json(q->s, &q->json, &text);
		else
			cli_route_lines(q->s, &text);
	}
}

static void walk(struct query *q, struct rib_table *t)
{
	struct rib_cursor c = {.table = t};
	bool more = true;

	while (more && !q->s->out.broken && !atomic_load(q->s->closing)) {
		rcu_read_lock();
		for (unsigned i = 0; i < SLICE && (more = rib_next(&c, q->view, MAX_VIEW)); i++)
			if (!q->within || prefix_contains(&q->prefix, &q->view->net.prefix))
				net_routes(q, t, q->view);
		rcu_read_unlock();
		cli_flush_some(&q->s->out);
	}
}

static void one_table(struct query *q, struct rib_table *t)
{
	bool found;

	q->shown = q->total = q->nets = 0;
	if (q->has_net && !q->within) {
		enum net_type nt = rib_table_net(t);

		if (nt != q->net.type && !(nt == NET_ROA4 && q->net.type == NET_IP4) &&
			!(nt == NET_ROA6 && q->net.type == NET_IP6))
			return;
		rcu_read_lock();
		found = q->longest ? rib_find_longest(t, &q->prefix, q->view, MAX_VIEW)
				   : rib_find(t, &q->net, q->view, MAX_VIEW);
		if (found)
			net_routes(q, t, q->view);
		rcu_read_unlock();
	} else {
		walk(q, t);
	}
	if (q->stats || q->count) {
		if (!q->s->json)
			cli_line(&q->s->out, 1007, "%llu of %llu routes for %llu networks in table %s",
				(unsigned long long)q->shown, (unsigned long long)q->total,
				(unsigned long long)q->nets, rib_table_name(t));
	}
	q->all_shown += q->shown;
	q->all_total += q->total;
	q->all_nets += q->nets;
	q->tables_done++;
}

static void choose_tables(struct query *q, const char *export_table)
{
	if (export_table) {
		if (!q->tables_named)
			q->table[q->n_tables++] = export_table;
		return;
	}
	if (q->all_tables || q->tables_named)
		return;
	if (q->protocol) {
		const struct proto_config *pc = config_find_protocol(q->s->config, q->protocol);
		const struct channel_config *c;

		if (pc) {
			cds_list_for_each_entry(c, &pc->channels, node) if (c->table && q->n_tables < 32)
				q->table[q->n_tables++] = c->table->name;
			return;
		}
	}
	for (unsigned i = 0; i < NET_MAX; i++)
		if (q->s->config->default_table[i] && q->n_tables < 32)
			q->table[q->n_tables++] = q->s->config->default_table[i]->name;
}

/* Tables come and go with reloads: main takes a reference on each for as long as the dump reads it. */
struct hold {
	struct query *q;
	struct rib_table *table[MAX_TABLES];
	unsigned n;
};

static void hold_tables(void *arg)
{
	struct hold *h = arg;
	struct query *q = h->q;
	struct rib *rib = q->s->daemon->rib;

	if (q->all_tables) {
		h->n = rib_tables(rib, h->table, MAX_TABLES);
		h->n = h->n > MAX_TABLES ? MAX_TABLES : h->n;
	}
	for (unsigned i = 0; i < q->n_tables && h->n < MAX_TABLES; i++) {
		struct rib_table *t = rib_table_find(rib, q->table[i]);

		if (t)
			h->table[h->n++] = t;
	}
	for (unsigned i = 0; i < h->n; i++)
		h->table[i] =
			rib_table_open(rib, rib_table_name(h->table[i]), rib_table_net(h->table[i]), false);
}

static void release_tables(void *arg)
{
	struct hold *h = arg;

	for (unsigned i = 0; i < h->n; i++)
		rib_table_close(h->table[i]);
}

static void run(struct query *q)
{
	struct hold *h = arena_alloc(q->s->arena, sizeof(*h));

	h->q = q;
	cli_in_main(q->s, hold_tables, h);
	for (unsigned i = 0; i < h->n; i++)
		one_table(q, h->table[i]);
	cli_in_main(q->s, release_tables, h);
}

static void finish(struct query *q)
{
	struct cli_out *o = &q->s->out;

	if (q->s->json) {
		json_close(&q->json, ']');
		json_u64(&q->json, "shown", q->all_shown);
		json_u64(&q->json, "routes", q->all_total);
		json_u64(&q->json, "networks", q->all_nets);
		json_close(&q->json, '}');
		json_end(&q->json);
	} else if (q->has_net && !q->within && !q->all_nets && !q->count) {
		cli_out_reset(o);
		cli_end(o, 8001, "Network not found");
	} else if ((q->stats || q->count) && q->tables_done > 1) {
		cli_end(o, 14, "Total: %llu of %llu routes for %llu networks in %u tables",
			(unsigned long long)q->all_shown, (unsigned long long)q->all_total,
			(unsigned long long)q->all_nets, q->tables_done);
	} else {
		cli_end(o, 0, "%s", "");
	}
}

void cli_show_route(struct cli_session *s, struct parser *p)
{
	struct query *q = arena_alloc(s->arena, sizeof(*q));
	struct export_question e = {.q = q};
	const struct symbol *sym;

	q->s = s;
	parse(q, p);
	for (unsigned i = 0; i < q->n_tables; i++) {
		sym = symbol_find(s->config->symbols->global, q->table[i]);
		if (!sym || sym->cls != SYM_TABLE) {
			cli_end(&s->out, 9002, "%s is not a table", q->table[i]);
			goto out;
		}
	}
	if (q->protocol && !config_find_protocol(s->config, q->protocol)) {
		cli_end(&s->out, 9002, "%s is not a protocol", q->protocol);
		goto out;
	}
	if (q->filtered && (q->mode != SHOW_TABLE || q->primary)) {
		cli_end(&s->out, 9001, "Incompatible show route options");
		goto out;
	}
	if (q->export_proto) {
		cli_in_main(s, ask_export, &e);
		if (e.rc == -ESRCH) {
			cli_end(&s->out, 9002, "%s is not a protocol", q->export_proto);
			goto out;
		}
		if (e.rc < 0) { /* not up: nothing is exported */
			cli_end(&s->out, q->has_net && !q->within ? 8001 : 0, "%s",
				q->has_net && !q->within ? "Network not found" : "");
			goto out;
		}
	}
	choose_tables(q, e.table);
	q->view = arena_alloc_raw(s->arena, sizeof(*q->view) + MAX_VIEW * sizeof(q->view->routes[0]));
	if (s->json) {
		json_begin(&q->json, s);
		json_open(&q->json, NULL, '{');
		json_open(&q->json, "routes_shown", '[');
	}
	run(q);
	finish(q);
out:
	if (q->where)
		filter_release(q->where);
	if (q->has_filter && q->filter.kind == FILTER_PROGRAM)
		filter_release(q->filter.filter);
	if (q->export_filter.kind == FILTER_PROGRAM)
		filter_release(q->export_filter.filter);
}
