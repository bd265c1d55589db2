/* SPDX-License-Identifier: BSD-2-Clause */
/* show protocols [all] [NAME]: states belong to main, so main writes the lines. */
#include "controlplane/cli/json.h"
#include "controlplane/cli/session.h"
#include "shared/timefmt.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct show_protocols {
	struct cli_session *s;
	const char *pattern;
	bool is_glob, all;
	struct json json;
};

static const char *channel_state_name(enum channel_state s)
{
	static const char *const names[] = {"DOWN", "START", "UP", "FLUSHING"};

	return names[s];
}

static const char *action_name(enum limit_action a)
{
	static const char *const names[] = {"none", "warn", "block", "restart", "disable"};

	return names[a];
}

static const char *table_name(const struct proto *p)
{
	const struct channel_config *c;

	switch (p->cf->type) {
	case PROTO_STATIC:
	case PROTO_KERNEL:
	case PROTO_PIPE:
		c = cds_list_first_entry(&p->cf->channels, struct channel_config, node);
		return &c->node != &p->cf->channels && c->table ? c->table->name : "---";
	default: return "---";
	}
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

static void limit_lines(struct cli_out *o, const char *label, const struct limit_config *l)
{
	if (l->action == LIMIT_NONE)
		return;
	cli_line(o, 1006, "    %-16s%u", label, l->value);
	cli_line(o, 1006, "      Action:       %s", action_name(l->action));
}

static void channel_lines(struct cli_out *o, struct proto *p, struct proto_channel *c)
{
	struct channel_numbers n;
	char filtered[32] = "";

	cli_line(o, 1006, "  Channel %s", c->cf->name);
	cli_line(o, 1006, "    State:          %s", channel_state_name(c->state));
	cli_line(o, 1006, "    Table:          %s", c->cf->table ? c->cf->table->name : "---");
	cli_line(o, 1006, "    Preference:     %u", c->cf->preference);
	cli_line(o, 1006, "    Input filter:   %s", filter_ref_name(&c->cf->import));
	cli_line(o, 1006, "    Output filter:  %s", filter_ref_name(&c->cf->export));
	limit_lines(o, "Receive limit:", &c->cf->receive_limit);
	limit_lines(o, "Import limit:", &c->cf->import_limit);
	limit_lines(o, "Export limit:", &c->cf->export_limit);
	if (c->state != CS_DOWN) {
		numbers(p, c, &n);
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
	if (p->cf->vrf)
		cli_line(o, 1006, "  VRF:            %s", p->cf->vrf);
	if (p->ops && p->ops->show_all)
		p->ops->show_all(p, o);
	cds_list_for_each_entry(c, &p->channels, node) channel_lines(o, p, c);
	cli_line(o, 1006, "%s", "");
}

static void json_protocol(struct json *j, struct cli_session *s, struct proto *p, bool all)
{
	char since[TIMEFMT_MAX], info[256] = "";
	struct proto_channel *c;
	size_t n;

	if (p->ops && p->ops->info)
		p->ops->info(p, info, sizeof(info));
	for (n = strlen(info); n && info[n - 1] == ' '; n--)
		info[n - 1] = 0;
	json_open(j, NULL, '{');
	json_str(j, "name", p->cf->name);
	json_str(j, "proto", p->cf->type_name);
	json_str(j, "table", table_name(p));
	json_str(j, "state", proto_state_name(p->state));
	json_str(j, "since", cli_time_wall(s, CLI_TIME_PROTOCOL, p->since_wall_ns, since));
	json_str(j, "info", info);
	if (all) {
		json_str(j, "description", p->cf->description);
		json_open(j, "channels", '[');
		cds_list_for_each_entry(c, &p->channels, node)
		{
			struct channel_numbers cn;

			numbers(p, c, &cn);
			json_open(j, NULL, '{');
			json_str(j, "name", c->cf->name);
			json_str(j, "state", channel_state_name(c->state));
			json_str(j, "table", c->cf->table ? c->cf->table->name : NULL);
			json_u64(j, "preference", c->cf->preference);
			json_str(j, "input_filter", filter_ref_name(&c->cf->import));
			json_str(j, "output_filter", filter_ref_name(&c->cf->export));
			json_u64(j, "imported", cn.in.imported);
			json_u64(j, "filtered", cn.in.filtered);
			json_u64(j, "exported", cn.out.exported);
			json_u64(j, "preferred", cn.in.preferred);
			json_u64(j, "import_updates_received", cn.in.updates_received);
			json_u64(j, "import_updates_accepted", cn.in.updates_accepted);
			json_u64(j, "import_withdraws_received", cn.in.withdraws_received);
			json_u64(j, "export_updates_accepted", cn.out.updates_accepted);
			json_u64(j, "export_withdraws_accepted", cn.out.withdraws_accepted);
			json_close(j, '}');
		}
		json_close(j, ']');
	}
	json_close(j, '}');
}

static void show_in_main(void *arg)
{
	struct show_protocols *sp = arg;
	struct cli_session *s = sp->s;
	bool heading = false, found = false;
	struct proto *p;

	if (s->json) {
		json_begin(&sp->json, s);
		json_open(&sp->json, NULL, '[');
	}
	cds_list_for_each_entry(p, &s->daemon->protos, node)
	{
		char since[TIMEFMT_MAX], info[256] = "";

		if (!cli_name_matches(sp->pattern, sp->is_glob, p->cf->name))
			continue;
		found = true;
		if (s->json) {
			json_protocol(&sp->json, s, p, sp->all);
			continue;
		}
		if (!heading)
			cli_line(&s->out, 2002, "%-10s %-10s %-10s %-6s %-12s  %s", "Name", "Proto", "Table",
				"State", "Since", "Info");
		heading = true;
		if (p->ops && p->ops->info)
			p->ops->info(p, info, sizeof(info));
		cli_line(&s->out, 1002, "%-10s %-10s %-10s %-6s %-12s  %s", p->cf->name, p->cf->type_name,
			table_name(p), proto_state_name(p->state),
			cli_time_wall(s, CLI_TIME_PROTOCOL, p->since_wall_ns, since), info);
		if (sp->all)
			detail(s, p);
	}
	if (s->json) {
		json_close(&sp->json, ']');
		json_end(&sp->json);
	} else if (found) {
		cli_end(&s->out, 0, "%s", "");
	} else {
		cli_end(&s->out, 8003, "No protocols match");
	}
}

void cli_show_protocols(struct cli_session *s, struct parser *p)
{
	struct show_protocols *sp = arena_alloc(s->arena, sizeof(*sp));

	sp->s = s;
	sp->all = parser_is(p, "all") && !p->tok.quoted;
	if (sp->all)
		parser_next(p);
	if (p->tok.kind != TOK_EOF) {
		const struct symbol *sym;

		sp->pattern = cli_parse_name_pattern(p, &sp->is_glob);
		sym = sp->is_glob || !sp->pattern ? NULL
						  : symbol_find(s->config->symbols->global, sp->pattern);
		if (sym && sym->cls != SYM_PROTOCOL) {
			cli_end(&s->out, 9002, "%s is not a protocol", sp->pattern);
			return;
		}
	}
	if (!sp->all && parser_accept(p, "all"))
		sp->all = true;
	cli_expect_end(p);
	cli_in_main(s, show_in_main, sp);
}
