/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * explain PREFIX [import|export] PROTOCOL[.CHANNEL]
 *
 * Runs the filter again over the routes that are there, with the machine's
 * tracing on, and says which statement, by file and line, changed or decided
 * what. Import: routes that the protocol brought, as they were received. Export:
 * the table's routes, on their way to the protocol, or where they would go if it
 * were up.
 */
#include "controlplane/cli/query.h"
#include "controlplane/proto/pipe.h"
#include "shared/rcu.h"
#include <stdio.h>
#include <string.h>

#define CODE 1102

struct explain {
	struct cli_session *s;
	struct net net;
	bool import, export;
	struct channel_name of;
	/* of main */
	char error[256];
	struct rib_table *table; /* held */
	uint32_t source;
	struct filter_ref import_filter; /* held */
	struct export_side *side;
	struct filter_ref export_filter; /* held; used while there is no side: the protocol is not up */
	struct json json;
};

static bool carries(enum net_type t, const struct net *n)
{
	return t == n->type;
}

static void find_pipe(struct explain *e, struct proto *p)
{
	const struct channel_config *cf = cds_list_first_entry(&p->channels, struct proto_channel, node)->cf;
	struct pipe_view v;

	pipe_view(p, &v);
	if (!v.running || !carries(cf->net, &e->net)) {
		snprintf(e->error, sizeof(e->error), "%s has no channel for this network", e->of.proto);
		return;
	}
	e->source = v.in_source;
	e->import_filter = cf->import;
	e->export_filter = cf->export;
	e->table = rib_table_find(e->s->daemon->rib, v.table);
	e->side = query_side(e->s->arena, p, NULL, v.table);
}

static void find_channel(struct explain *e, struct proto *p)
{
	struct proto_channel *c, *found = NULL;

	cds_list_for_each_entry(
		c, &p->channels, node) if (!found && carries(c->cf->net, &e->net) &&
					   (!e->of.channel || !strcmp(c->cf->name, e->of.channel))) found = c;
	if (!found) {
		snprintf(e->error, sizeof(e->error), "%s has no channel for this network", e->of.proto);
		return;
	}
	e->source = found->source ? rib_source_id(found->source) : 0;
	e->import_filter = found->cf->import;
	e->export_filter = found->cf->export;
	e->table = found->table ? found->table : rib_table_find(e->s->daemon->rib, found->cf->table->name);
	e->side = query_side(e->s->arena, p, found->cf->name, NULL);
}

static void find_in_main(void *arg)
{
	struct explain *e = arg;
	struct proto *p = proto_find(e->s->daemon, e->of.proto);

	if (!p) {
		snprintf(e->error, sizeof(e->error), "%s is not a protocol", e->of.proto);
		return;
	}
	rcu_read_lock();
	if (p->cf->type == PROTO_PIPE && !cds_list_empty(&p->channels))
		find_pipe(e, p);
	else
		find_channel(e, p);
	if (e->table && !rib_table_hold(e->table))
		e->table = NULL;
	rcu_read_unlock();
	if (!e->table && !e->error[0])
		snprintf(e->error, sizeof(e->error), "%s is down", e->of.proto);
	filter_ref_hold(&e->import_filter);
	filter_ref_hold(&e->export_filter);
}

/* ---- what is said ---- */

static void say(struct explain *e, const char *direction, const struct rib_source_config *src,
	const struct rib_route_view *r, const char *verdict)
{
	const struct filter_trace_step *steps;
	unsigned n = filter_vm_steps(cli_vm(e->s), &steps);
	char net[192];

	net_format(&e->net, net, sizeof(net));
	if (e->s->json) {
		json_open(&e->json, NULL, '{');
		json_str(&e->json, "direction", direction);
		json_str(&e->json, "from", src ? src->proto_name : NULL);
		json_u64(&e->json, "path_id", r->path_id);
		json_str(&e->json, "verdict", verdict);
		json_open(&e->json, "steps", '[');
		for (unsigned i = 0; i < n; i++) {
			json_open(&e->json, NULL, '{');
			json_str(&e->json, "file", steps[i].file);
			json_u64(&e->json, "line", steps[i].line);
			json_str(&e->json, "what", steps[i].what);
			json_close(&e->json, '}');
		}
		json_close(&e->json, ']');
		json_close(&e->json, '}');
		return;
	}
	cli_line(&e->s->out, CODE, "%s %s %s, route of %s: %s", net, direction, e->of.proto,
		src ? src->proto_name : "?", verdict);
	for (unsigned i = 0; i < n; i++)
		cli_line(&e->s->out, CODE, "\t%s:%u: %s", steps[i].file, steps[i].line, steps[i].what);
}

static const char *by_kind(const struct filter_ref *f)
{
	return f->kind == FILTER_ALL ? "accepted (import or export all)" : "rejected (import or export none)";
}

/* Runs a filter with tracing on; the answer in words. */
static const char *run(struct explain *e, const struct filter_ref *f, const struct net *net,
	const struct attrs *a, const struct rib_source_config *src)
{
	static __thread struct attrs edited;
	struct filter_route fr = query_filter_route(net, a, src);
	bool changed = false;

	filter_vm_trace(cli_vm(e->s), false);
	if (f->kind != FILTER_PROGRAM)
		return by_kind(f);
	filter_vm_trace(cli_vm(e->s), true);
	switch (filter_run(cli_vm(e->s), f->filter, &fr, &changed, &edited)) {
	case FILTER_ACCEPT: return changed ? "accepted, changed" : "accepted";
	case FILTER_REJECT: return "rejected";
	case FILTER_ERROR: break;
	}
	return "rejected by a run-time error";
}

static const struct rib_source_config *source_of(struct explain *e, const struct rib_route_view *r)
{
	const struct rib_source *src = rib_source_by_id(e->s->daemon->rib, r->source);

	return src ? rib_source_config(src) : NULL;
}

static unsigned explain_import(struct explain *e, const struct rib_net_view *v)
{
	unsigned said = 0;

	for (unsigned i = 0; i < v->n_routes && i < RIB_MAX_ROUTES; i++) {
		const struct rib_route_view *r = &v->routes[i];
		const struct attrs *a = attrs_get(r->attrs_received);
		const struct rib_source_config *src = source_of(e, r);
		const char *verdict;

		if (r->owner != e->source || !a)
			continue;
		verdict = run(e, &e->import_filter, &v->net, a, src);
		if ((r->flags & ROUTE_FILTERED) && !strncmp(verdict, "accepted", 8))
			verdict = "accepted by the filter, held back by a limit";
		say(e, "import", src, r, verdict);
		said++;
	}
	return said;
}

static unsigned explain_export(struct explain *e, const struct rib_net_view *v)
{
	static __thread struct attrs out;
	const struct filter_ref *f;
	unsigned said = 0;

	f = !e->side                    ? &e->export_filter
	    : e->side->kind == SIDE_BGP ? &e->side->bgp.filter
					: &e->side->filter;
	for (unsigned i = 0; i < v->n_routes && i < RIB_MAX_ROUTES; i++) {
		const struct rib_route_view *r = &v->routes[i];
		const struct attrs *a = r->flags & ROUTE_FILTERED ? NULL : attrs_get(r->attrs), *sent = a;
		const struct rib_source_config *src = source_of(e, r);
		struct query q = {.s = e->s};
		const char *verdict;

		if (!a)
			continue;
		if (!e->side) {
			verdict = run(e, f, &v->net, a, src);
		} else if (!query_side_passes(&q, e->side, SHOW_PREEXPORT, v, i, &sent, src, &out)) {
			filter_vm_trace(cli_vm(e->s), false);
			verdict = i != 0 && e->side->kind == SIDE_BGP && e->side->bgp.mode == EXPORT_BEST
					  ? "not sent: not the best route"
				  : r->owner == e->side->own_source ||
						  (e->side->kind == SIDE_BGP &&
							  r->source == e->side->bgp.own_source)
					  ? "not sent: it came from there"
					  : "not sent: by the protocol's own rules, before the filter";
		} else {
			verdict = run(e, f, &v->net, a, src);
		}
		say(e, "export", src, r, verdict);
		said++;
	}
	return said;
}

static void answer(struct explain *e)
{
	struct rib_net_view *v =
		arena_alloc_raw(e->s->arena, sizeof(*v) + RIB_MAX_ROUTES * sizeof(v->routes[0]));
	unsigned said = 0;

	if (e->s->json) {
		json_begin(&e->json, e->s);
		json_open(&e->json, NULL, '[');
	}
	rcu_read_lock();
	if (rib_find(e->table, &e->net, v, RIB_MAX_ROUTES)) {
		if (e->import)
			said += explain_import(e, v);
		if (e->export)
			said += explain_export(e, v);
	}
	rcu_read_unlock();
	filter_vm_trace(cli_vm(e->s), false);
	if (e->s->json) {
		json_close(&e->json, ']');
		json_end(&e->json);
	} else if (said) {
		cli_end(&e->s->out, 0, "%s", "");
	} else {
		cli_end(&e->s->out, 8001, "Network not found");
	}
}

void cli_explain(struct cli_session *s, struct parser *p)
{
	struct explain *e = arena_alloc(s->arena, sizeof(*e));

	e->s = s;
	e->net = query_parse_net(p);
	e->import = parser_accept(p, "import");
	e->export = !e->import && parser_accept(p, "export");
	if (!e->import && !e->export)
		e->import = e->export = true;
	e->of = query_parse_channel(s, p);
	cli_expect_end(p);
	cli_in_main(s, find_in_main, e);
	if (e->error[0])
		cli_end(&s->out, 9001, "%s", e->error);
	else
		answer(e);
	if (e->table)
		rib_table_close(e->table);
	filter_ref_release(&e->import_filter);
	filter_ref_release(&e->export_filter);
	query_side_release(e->side);
}
