/* SPDX-License-Identifier: BSD-2-Clause */
/* Channels: the blocks `ipv4 { ... }` inside protocols, and the options that all of them have. */
#include "controlplane/config/grammar.h"
#include <string.h>

static void table(struct parser *p, void *target)
{
	struct channel_config *ch = target;
	const struct symbol *sym = parser_symbol(p);

	if (sym && sym->cls == SYM_TABLE && ch->net != NET_NONE && sym->table->net != ch->net)
		parser_fail(p, "Incompatible table type");
	ch->table = grammar_table_ref(p);
}

static void import(struct parser *p, void *target)
{
	struct channel_config *ch = target;

	ch->import = filter_parse_ref(p);
	ch->import_defined = true;
}

static void export(struct parser *p, void *target)
{
	struct channel_config *ch = target;

	ch->export = filter_parse_ref(p);
	ch->export_defined = true;
}

static struct limit_config limit(struct parser *p)
{
	struct limit_config l = {0};

	if (parser_accept(p, "off"))
		return l;
	if (p->tok.kind == TOK_SYMBOL && !parser_symbol(p))
		parser_syntax_error(p, "NUM or CF_SYM_KNOWN or OFF or '('");
	l.value = parser_number(p);
	l.action = LIMIT_DISABLE;
	if (!parser_accept(p, "action"))
		return l;
	if (parser_accept(p, "warn"))
		l.action = LIMIT_WARN;
	else if (parser_accept(p, "block"))
		l.action = LIMIT_BLOCK;
	else if (parser_accept(p, "restart"))
		l.action = LIMIT_RESTART;
	else if (!parser_accept(p, "disable"))
		parser_syntax_error(p, "WARN or BLOCK or RESTART or DISABLE");
	return l;
}

static void receive_limit(struct parser *p, void *target)
{
	((struct channel_config *)target)->receive_limit = limit(p);
}

static void import_limit(struct parser *p, void *target)
{
	((struct channel_config *)target)->import_limit = limit(p);
}

static void export_limit(struct parser *p, void *target)
{
	((struct channel_config *)target)->export_limit = limit(p);
}

static void debug(struct parser *p, void *target)
{
	((struct channel_config *)target)->debug = grammar_debug_mask(p);
}

const struct option channel_options[] = {
	{.words = "table", .kind = OPT_CUSTOM, .parse = table},
	{.words = "preference",
		.kind = OPT_U16,
		.offset = offsetof(struct channel_config, preference),
		.place = AT_VALUE},
	{.words = "import", .kind = OPT_CUSTOM, .parse = import},
	{.words = "export", .kind = OPT_CUSTOM, .parse = export},
	{.words = "import keep filtered",
		.kind = OPT_SWITCH,
		.offset = offsetof(struct channel_config, import_keep_filtered)},
	{.words = "receive limit", .kind = OPT_CUSTOM, .parse = receive_limit},
	{.words = "import limit", .kind = OPT_CUSTOM, .parse = import_limit},
	{.words = "export limit", .kind = OPT_CUSTOM, .parse = export_limit},
	{.words = "rpki reload", .kind = OPT_SWITCH, .offset = offsetof(struct channel_config, rpki_reload)},
	{.words = "debug", .kind = OPT_CUSTOM, .parse = debug},
};
const size_t n_channel_options = sizeof(channel_options) / sizeof(channel_options[0]);

struct channel_config *channel_find(const struct proto_config *pc, const char *name)
{
	struct channel_config *ch;

	cds_list_for_each_entry(ch, &pc->channels, node) if (!strcmp(ch->name, name)) return ch;
	return NULL;
}

static bool family_runs(enum net_type net, uint8_t safi)
{
	switch (net) {
	case NET_IP4:
	case NET_IP6: return safi == 1;
	case NET_ROA4:
	case NET_ROA6:
	case NET_ASPA:
	case NET_FLOW4:
	case NET_FLOW6:
	case NET_EVPN: return true;
	case NET_VPN4:
	case NET_VPN6: return safi != 129;
	default: return false;
	}
}

struct channel_config *channel_new(struct parser *p, struct proto_config *pc, const struct proto_grammar *g,
	const char *name, enum net_type net)
{
	struct channel_config *ch = arena_alloc(p->arena, sizeof(*ch));

	ch->name = name;
	ch->net = net;
	ch->safi = 1;
	ch->table = net ? p->config->default_table[net] : NULL;
	ch->preference = g->preference;
	ch->import.kind = FILTER_ALL;
	ch->export.kind = FILTER_NONE;
	ch->rpki_reload = true;
	ch->debug = p->config->debug_channels;
	ch->next_hop_keep = ch->next_hop_self = NHMODE_UNSET;
	ch->gateway_recursive = ch->aigp = ch->graceful_restart = ch->llgr = TRI_UNSET;
	ch->llgr_stale_time = UINT32_MAX;
	ch->min_llgr_time = 0;
	ch->max_llgr_time = UINT32_MAX;
	cds_list_add_tail(&ch->node, &pc->channels);
	return ch;
}

/* What BGP puts behind ipv4, vpn4 ...: the channel's name and SAFI. NULL: plain is not for BGP. */
static const char *bgp_family(struct parser *p, enum net_type net, uint8_t *safi)
{
	bool v6 = net == NET_IP6 || net == NET_VPN6 || net == NET_FLOW6;

	switch (net) {
	case NET_IP4:
	case NET_IP6:
		if (parser_accept(p, "multicast")) {
			*safi = 2;
			return v6 ? "ipv6-mc" : "ipv4-mc";
		}
		if (parser_accept(p, "mpls")) {
			*safi = 4;
			return v6 ? "ipv6-mpls" : "ipv4-mpls";
		}
		*safi = 1;
		return v6 ? "ipv6" : "ipv4";
	case NET_VPN4:
	case NET_VPN6:
		if (parser_accept(p, "multicast")) {
			*safi = 129;
			return v6 ? "vpn6-mc" : "vpn4-mc";
		}
		parser_expect(p, "mpls");
		*safi = 128;
		return v6 ? "vpn6-mpls" : "vpn4-mpls";
	case NET_FLOW4:
	case NET_FLOW6: *safi = 133; return v6 ? "flow6" : "flow4";
	case NET_EVPN: *safi = 70; return "evpn";
	default: return grammar_net_label(net);
	}
}

static void options(struct parser *p, struct channel_config *ch, bool bgp)
{
	const struct option_set sets[] = {
		{channel_options, n_channel_options, ch},
		{bgp_channel_options, n_bgp_channel_options, ch},
	};

	parser_next(p); /* { */
	while (!parser_is_char(p, '}')) {
		if (!option_parse(p, sets, bgp ? 2 : 1))
			parser_syntax_error(p, NULL);
		parser_expect_char(p, ';');
	}
}

bool grammar_channel(struct parser *p, const struct proto_grammar *g, struct proto_config *pc)
{
	struct token start = p->tok;
	const struct token *where;
	struct channel_config *ch;
	uint8_t safi = 1;
	const char *name;
	enum net_type net;

	if (g->type == PROTO_BGP && parser_accept(p, "neighbors"))
		net = NET_NEIGHBOR;
	else
		net = grammar_net_type(p);
	if (net == NET_NONE)
		return false;
	if (!(g->nets & NET_BIT(net))) {
		if (g->type == PROTO_BGP) {
			p->tok = start;
			p->has_ahead = false;
			parser_syntax_error(p, NULL);
		}
		parser_fail_at(p, &start, "Unsupported channel type");
	}
	name = g->type == PROTO_BGP ? bgp_family(p, net, &safi) : grammar_net_label(net);
	if (g->type == PROTO_BGP && net == NET_NEIGHBOR)
		name = "neighbors";
	/* Where BIRD has looked one token further to know the family, it complains there. */
	where = g->type == PROTO_BGP || net == NET_IP6 ? &p->tok : &start;
	ch = channel_find(pc, name);
	if (ch && !ch->inherited)
		parser_fail_at(p, where, "Multiple %s channels", name);
	if (!ch && g->one_net && net != NET_MPLS) {
		struct channel_config *other;

		cds_list_for_each_entry(other, &pc->channels, node) if (other->net != NET_MPLS)
			parser_fail_at(p, where, "Different channel type");
	}
	if (!ch) {
		ch = channel_new(p, pc, g, name, net);
		ch->safi = safi;
		ch->inert = !family_runs(net, safi);
		if (ch->inert && !pc->is_template)
			parser_warn(
				p, &start, "Channel %s of protocol %s is parsed but not run", name, pc->name);
	}
	ch->inherited = false;
	if (net == NET_MPLS || net == NET_NEIGHBOR) {
		/* their options are labels and link-local sessions: nothing of it is run */
		if (parser_is_char(p, '{'))
			grammar_skip_block(p);
		if (!ch->table)
			parser_fail(p, "Routing table not specified");
		return true;
	}
	if (parser_is_char(p, '{')) {
		options(p, ch, g->type == PROTO_BGP);
		if (!ch->table)
			parser_fail(p, "Routing table not specified");
		parser_next(p);
	} else if (!ch->table) {
		parser_fail(p, "Routing table not specified");
	}
	return true;
}
