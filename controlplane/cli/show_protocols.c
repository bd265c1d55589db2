/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * show protocols [all] [NAME]. States belong to main, so main writes the lines: a
 * few protocols in a call, so that a thousand of them hold up nothing.
 */
#include "controlplane/bgp/bgp.h"
#include "controlplane/cli/json.h"
#include "controlplane/cli/session.h"
#include "controlplane/proto/pipe.h"
#include "shared/timefmt.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AT_ONCE 16u

struct show_protocols {
	struct cli_session *s;
	const char *pattern;
	bool is_glob, all;
	struct proto **found; /* compared only, until it is known that they are still there */
	unsigned n, at;
	struct json json;
};

static const char *channel_state_name(enum channel_state s)
{
	static const char *const names[] = {"DOWN", "START", "UP", "FLUSHING"};

	return names[s];
}

static const char *state_name(const struct proto *p)
{
	/* Its own work is over, routes are still being withdrawn. */
	return p->state == PS_STOP && p->stopped ? "flush" : proto_state_name(p->state);
}

static const char *table_name(const struct proto *p)
{
	const struct channel_config *c;

	if (p->cf->type != PROTO_STATIC && p->cf->type != PROTO_KERNEL)
		return "---";
	c = cds_list_first_entry(&p->cf->channels, struct channel_config, node);
	return &c->node != &p->cf->channels && c->table ? c->table->name : "---";
}

struct channel_numbers {
	struct rib_source_stats in;
	struct export_feed_stats out;
};

static void numbers(struct proto *p, struct proto_channel *c, struct channel_numbers *n)
{
	memset(n, 0, sizeof(*n));
	if (c->source)
		rib_source_stats(c->source, &n->in);
	if (p->ops && p->ops->export_stats)
		p->ops->export_stats(p, c, &n->out);
}

static void limit_lines(struct cli_out *o, const char *label, const struct limit_config *l, bool hit)
{
	if (l->action == LIMIT_NONE)
		return;
	cli_line(o, 1006, "    %-16s%u%s", label, l->value, hit ? " [HIT]" : "");
	cli_line(o, 1006, "      Action:       %s", proto_limit_action_name(l->action));
}

static void channel_lines(struct cli_out *o, struct proto *p, struct proto_channel *c)
{
	struct channel_numbers n;
	char filtered[32] = "";

	numbers(p, c, &n);
	cli_line(o, 1006, "  Channel %s", c->cf->name);
	cli_line(o, 1006, "    State:          %s", channel_state_name(c->state));
	cli_line(o, 1006, "    Table:          %s", c->cf->table ? c->cf->table->name : "---");
	cli_line(o, 1006, "    Preference:     %u", c->cf->preference);
	cli_line(o, 1006, "    Input filter:   %s", filter_ref_name(&c->cf->import));
	cli_line(o, 1006, "    Output filter:  %s", filter_ref_name(&c->cf->export));
	limit_lines(o, "Receive limit:", &c->cf->receive_limit, n.in.receive_hit);
	limit_lines(o, "Import limit:", &c->cf->import_limit, n.in.import_hit);
	limit_lines(o, "Export limit:", &c->cf->export_limit, false);
	if (c->state != CS_DOWN) {
		if (c->cf->import_keep_filtered)
			snprintf(filtered, sizeof(filtered), "%u filtered, ", n.in.filtered);
		cli_line(o, 1006, "    Routes:         %u imported, %s%u exported, %u preferred",
			n.in.imported, filtered, n.out.exported, n.in.preferred);
		cli_line(o, 1006,
			"    Route change stats:     received   rejected   filtered    ignored   accepted");
		cli_line(o, 1006,
			"      Import updates:     %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64
			" %10" PRIu64,
			n.in.updates_received, n.in.updates_rejected, n.in.updates_filtered,
			n.in.updates_ignored, n.in.updates_accepted);
		cli_line(o, 1006,
			"      Import withdraws:   %10" PRIu64 " %10u        --- %10" PRIu64 " %10" PRIu64,
			n.in.withdraws_received, 0, n.in.withdraws_ignored, n.in.withdraws_accepted);
		cli_line(o, 1006,
			"      Export updates:     %10" PRIu64 " %10" PRIu64 " %10" PRIu64
			"        --- %10" PRIu64,
			n.out.updates_received, n.out.updates_rejected, n.out.updates_filtered,
			n.out.updates_accepted);
		cli_line(o, 1006,
			"      Export withdraws:   %10" PRIu64 "        ---        ---        --- %10" PRIu64,
			n.out.withdraws_received, n.out.withdraws_accepted);
	}
	if (p->ops && p->ops->show_channel)
		p->ops->show_channel(p, c, o);
}

static void direction_lines(struct cli_out *o, const char *way, const struct rib_source_stats *st)
{
	cli_line(o, 1006,
		"    %s updates:     %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64, way,
		st->updates_received, st->updates_rejected, st->updates_filtered, st->updates_ignored,
		st->updates_accepted);
	cli_line(o, 1006, "    %s withdraws:   %10" PRIu64 " %10u        --- %10" PRIu64 " %10" PRIu64, way,
		st->withdraws_received, 0, st->withdraws_ignored, st->withdraws_accepted);
}

static void pipe_lines(struct cli_out *o, struct proto *p)
{
	const struct channel_config *cf = cds_list_first_entry(&p->channels, struct proto_channel, node)->cf;
	struct pipe_view v;

	pipe_view(p, &v);
	cli_line(o, 1006, "  Channel main");
	cli_line(o, 1006, "    Table:          %s", v.table);
	cli_line(o, 1006, "    Peer table:     %s", v.peer_table);
	cli_line(o, 1006, "    Import state:   %s", v.running ? "up" : "down");
	cli_line(o, 1006, "    Export state:   %s", v.running ? "up" : "down");
	cli_line(o, 1006, "    Import filter:  %s", filter_ref_name(&cf->import));
	cli_line(o, 1006, "    Export filter:  %s", filter_ref_name(&cf->export));
	limit_lines(o, "Import limit:", &cf->import_limit, v.in.import_hit);
	limit_lines(o, "Export limit:", &cf->export_limit, v.out.import_hit);
	if (p->state == PS_DOWN)
		return;
	cli_line(o, 1006, "  Routes:         %u imported, %u exported", v.in.imported, v.out.imported);
	cli_line(o, 1006, "  Route change stats:     received   rejected   filtered    ignored   accepted");
	direction_lines(o, "Import", &v.in);
	direction_lines(o, "Export", &v.out);
}

/* A cache's channels in BIRD's order, and those it lacks. */
static void rpki_lines(struct cli_out *o, struct proto *p)
{
	static const char *const names[] = {"roa4", "roa6", "aspa"};
	struct proto_channel *c;

	if (p->state == PS_DOWN)
		return;
	for (int i = 0; i < 3; i++) {
		bool found = false;

		cds_list_for_each_entry(c, &p->channels, node) if (!strcmp(c->cf->name, names[i]))
		{
			channel_lines(o, p, c);
			found = true;
		}
		if (!found)
			cli_line(o, 1006, "  No %s channel", names[i]);
	}
}

static void detail(struct cli_session *s, struct proto *p)
{
	struct cli_out *o = &s->out;
	struct proto_channel *c;

	if (p->cf->description)
		cli_line(o, 1006, "  Description:    %s", p->cf->description);
	if (p->message)
		cli_line(o, 1006, "  Message:        %s", p->message);
	if (p->cf->router_id && p->cf->router_id != p->config->router_id) {
		struct ipaddr id = ipaddr_v4(htonl(p->cf->router_id));
		char t[IPADDR_STRLEN];

		cli_line(o, 1006, "  Router ID:      %s", ipaddr_format(&id, t));
	}
	if (p->cf->vrf || p->cf->vrf_default)
		cli_line(o, 1006, "  VRF:            %s", p->cf->vrf ? p->cf->vrf : "default");
	if (p->ops && p->ops->show_all)
		p->ops->show_all(p, o);
	if (p->cf->type == PROTO_PIPE && !cds_list_empty(&p->channels))
		pipe_lines(o, p);
	else if (p->cf->type == PROTO_RPKI)
		rpki_lines(o, p);
	else
		cds_list_for_each_entry(c, &p->channels, node) channel_lines(o, p, c);
	cli_line(o, 1006, "%s", "");
}

/* ---- JSON ---- */

static void json_limit(struct json *j, const char *key, const struct limit_config *l, bool hit)
{
	if (l->action == LIMIT_NONE)
		return;
	json_open(j, key, '{');
	json_u64(j, "limit", l->value);
	json_str(j, "action", proto_limit_action_name(l->action));
	json_bool(j, "hit", hit);
	json_close(j, '}');
}

static void json_source(struct json *j, const struct rib_source_stats *st)
{
	json_u64(j, "imported", st->imported);
	json_u64(j, "filtered", st->filtered);
	json_u64(j, "preferred", st->preferred);
	json_u64(j, "import_updates_received", st->updates_received);
	json_u64(j, "import_updates_rejected", st->updates_rejected);
	json_u64(j, "import_updates_filtered", st->updates_filtered);
	json_u64(j, "import_updates_ignored", st->updates_ignored);
	json_u64(j, "import_updates_accepted", st->updates_accepted);
	json_u64(j, "import_withdraws_received", st->withdraws_received);
	json_u64(j, "import_withdraws_ignored", st->withdraws_ignored);
	json_u64(j, "import_withdraws_accepted", st->withdraws_accepted);
}

static void json_channel(struct json *j, struct proto *p, struct proto_channel *c)
{
	struct channel_numbers n;

	numbers(p, c, &n);
	json_open(j, NULL, '{');
	json_str(j, "name", c->cf->name);
	json_str(j, "state", channel_state_name(c->state));
	json_str(j, "table", c->cf->table ? c->cf->table->name : NULL);
	json_u64(j, "preference", c->cf->preference);
	json_str(j, "input_filter", filter_ref_name(&c->cf->import));
	json_str(j, "output_filter", filter_ref_name(&c->cf->export));
	json_limit(j, "receive_limit", &c->cf->receive_limit, n.in.receive_hit);
	json_limit(j, "import_limit", &c->cf->import_limit, n.in.import_hit);
	json_limit(j, "export_limit", &c->cf->export_limit, false);
	json_source(j, &n.in);
	json_u64(j, "exported", n.out.exported);
	json_u64(j, "export_updates_received", n.out.updates_received);
	json_u64(j, "export_updates_rejected", n.out.updates_rejected);
	json_u64(j, "export_updates_filtered", n.out.updates_filtered);
	json_u64(j, "export_updates_accepted", n.out.updates_accepted);
	json_u64(j, "export_withdraws_received", n.out.withdraws_received);
	json_u64(j, "export_withdraws_accepted", n.out.withdraws_accepted);
	json_close(j, '}');
}

static void json_pipe(struct json *j, struct proto *p)
{
	struct pipe_view v;

	pipe_view(p, &v);
	json_str(j, "peer_table", v.peer_table);
	json_open(j, "import", '{');
	json_source(j, &v.in);
	json_close(j, '}');
	json_open(j, "export", '{');
	json_source(j, &v.out);
	json_close(j, '}');
}

/* "Neighbor address" -> "neighbor_address" */
static void field_key(char *out, size_t size, const char *label, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++)
		out[n++] = isalnum((unsigned char)label[i]) ? (char)tolower((unsigned char)label[i]) : '_';
	while (n && out[n - 1] == '_')
		n--;
	out[n] = 0;
}

/*
 * What a protocol says of itself are lines "  Label:   value": the outer ones become fields, and all of them
 * are given as they are for what is nested (capabilities).
 */
static void json_details(struct json *j, struct proto *p)
{
	struct cli_out o;
	char *line, *next, *value, key[64];

	if (!p->ops || !p->ops->show_all)
		return;
	cli_out_init(&o, -1);
	p->ops->show_all(p, &o);
	for (line = o.buf; line && line < o.buf + o.len; line = next) {
		next = memchr(line, '\n', (size_t)(o.buf + o.len - line));
		*next++ = 0;
	}
	json_open(j, "fields", '{');
	for (line = o.buf; line && line < o.buf + o.len; line = next) {
		char *text = line + (*line == ' ' ? 1 : 5);
		size_t indent = strspn(text, " ");

		next = line + strlen(line) + 1;
		value = strchr(text, ':');
		if (indent > 4 || !value || (value[1] != ' ' && value[1]))
			continue;
		field_key(key, sizeof(key), text + indent, (size_t)(value - text) - indent);
		value += 1 + strspn(value + 1, " ");
		json_str(j, key, value);
	}
	json_close(j, '}');
	json_open(j, "lines", '[');
	for (line = o.buf; line && line < o.buf + o.len; line += strlen(line) + 1)
		json_str(j, NULL, line + (*line == ' ' ? 1 : 5));
	json_close(j, ']');
	cli_out_free(&o);
}

static void json_protocol(struct json *j, struct cli_session *s, struct proto *p, bool all)
{
	char since[TIMEFMT_MAX], info[256] = "";
	struct proto_channel *c;

	if (p->ops && p->ops->info)
		p->ops->info(p, info, sizeof(info));
	for (size_t n = strlen(info); n && info[n - 1] == ' '; n--)
		info[n - 1] = 0;
	json_open(j, NULL, '{');
	json_str(j, "name", p->cf->name);
	json_str(j, "proto", p->cf->type_name);
	json_str(j, "table", table_name(p));
	json_str(j, "state", state_name(p));
	json_str(j, "since", cli_time_wall(s, CLI_TIME_PROTOCOL, p->since_wall_ns, since));
	json_str(j, "info", info);
	if (all) {
		json_str(j, "description", p->cf->description);
		json_str(j, "message", p->message);
		json_bool(j, "disabled", p->disabled);
		json_details(j, p);
		if (p->cf->type == PROTO_PIPE && !cds_list_empty(&p->channels))
			json_pipe(j, p);
		json_open(j, "channels", '[');
		cds_list_for_each_entry(c, &p->channels, node) json_channel(j, p, c);
		json_close(j, ']');
	}
	json_close(j, '}');
}

/* ---- the list ---- */

static void find_in_main(void *arg)
{
	struct show_protocols *sp = arg;
	struct proto *p;
	unsigned n = 0;

	cds_list_for_each_entry(p, &sp->s->daemon->protos, node) n++;
	sp->found = arena_alloc_raw(sp->s->arena, (n + 1) * sizeof(*sp->found));
	cds_list_for_each_entry(p, &sp->s->daemon->protos,
		node) if (cli_name_matches(sp->pattern, sp->is_glob, p->cf->name)) sp->found[sp->n++] = p;
}

static bool still_there(struct daemon *d, const struct proto *p)
{
	const struct proto *q;

	cds_list_for_each_entry(q, &d->protos, node) if (q == p) return true;
	return false;
}

static void some_in_main(void *arg)
{
	struct show_protocols *sp = arg;
	struct cli_session *s = sp->s;

	for (unsigned k = 0; k < AT_ONCE && sp->at < sp->n; k++) {
		struct proto *p = sp->found[sp->at++];
		char since[TIMEFMT_MAX], info[256] = "";

		if (!still_there(s->daemon, p))
			continue;
		if (s->json) {
			json_protocol(&sp->json, s, p, sp->all);
			continue;
		}
		if (p->ops && p->ops->info)
			p->ops->info(p, info, sizeof(info));
		cli_line(&s->out, 1002, "%-10s %-10s %-10s %-6s %-12s  %s", p->cf->name, p->cf->type_name,
			table_name(p), state_name(p),
			cli_time_wall(s, CLI_TIME_PROTOCOL, p->since_wall_ns, since), info);
		if (sp->all)
			detail(s, p);
	}
}

void cli_show_protocols(struct cli_session *s, struct parser *p)
{
	struct show_protocols *sp = arena_alloc(s->arena, sizeof(*sp));

	sp->s = s;
	sp->all = parser_is(p, "all") && !parser_symbol(p);
	if (sp->all)
		parser_next(p);
	sp->pattern = cli_parse_name_pattern(s, p, true, &sp->is_glob);
	if (!sp->all && parser_accept(p, "all"))
		sp->all = true;
	cli_expect_end(p);
	cli_in_main(s, find_in_main, sp);
	if (!sp->n && !s->json) {
		cli_end(&s->out, 8003, "No protocols match");
		return;
	}
	if (s->json) {
		json_begin(&sp->json, s);
		json_open(&sp->json, NULL, '[');
	} else {
		cli_line(&s->out, 2002, "%-10s %-10s %-10s %-6s %-12s  %s", "Name", "Proto", "Table", "State",
			"Since", "Info");
	}
	/* JSON writes to the connection as it goes: main must not wait for that. */
	while (sp->at < sp->n && !s->out.broken) {
		s->out.hold = true;
		cli_in_main(s, some_in_main, sp);
		s->out.hold = false;
		cli_flush_some(&s->out);
	}
	if (s->json) {
		json_close(&sp->json, ']');
		json_end(&sp->json);
	} else {
		cli_end(&s->out, 0, "%s", "");
	}
}
