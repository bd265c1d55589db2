/* SPDX-License-Identifier: BSD-2-Clause */
/* Options that only BGP's channels have. */
#include "controlplane/config/grammar.h"

static enum nexthop_mode nexthop_mode(struct parser *p)
{
	if (parser_accept(p, "ibgp"))
		return NHMODE_IBGP;
	if (parser_accept(p, "ebgp"))
		return NHMODE_EBGP;
	return parser_switch(p) ? NHMODE_ALL : NHMODE_OFF;
}

static void next_hop_keep(struct parser *p, void *target)
{
	((struct channel_config *)target)->next_hop_keep = nexthop_mode(p);
}

static void next_hop_self(struct parser *p, void *target)
{
	((struct channel_config *)target)->next_hop_self = nexthop_mode(p);
}

static void next_hop_prefer(struct parser *p, void *target)
{
	struct channel_config *ch = target;

	ch->next_hop_prefer_local = parser_accept(p, "local");
	ch->next_hop_prefer_set = true;
	if (!ch->next_hop_prefer_local && !parser_accept(p, "global"))
		parser_syntax_error(p, "LOCAL or GLOBAL");
}

static void link_local_format(struct parser *p, void *target)
{
	struct channel_config *ch = target;

	if (parser_accept(p, "native"))
		ch->link_local_format = 0;
	else if (parser_accept(p, "single"))
		ch->link_local_format = 1;
	else if (parser_accept(p, "double"))
		ch->link_local_format = 2;
	else
		parser_syntax_error(p, "NATIVE or SINGLE or DOUBLE");
}

static void gateway(struct parser *p, void *target)
{
	struct channel_config *ch = target;

	if (parser_accept(p, "recursive"))
		ch->gateway_recursive = TRI_ON;
	else if (parser_accept(p, "direct"))
		ch->gateway_recursive = TRI_OFF;
	else
		parser_syntax_error(p, "DIRECT or RECURSIVE");
}

static void igp_table(struct parser *p, void *target)
{
	struct channel_config *ch = target;
	const struct symbol *sym = parser_symbol(p);

	if (sym && sym->cls == SYM_TABLE && sym->table->net != NET_IP4 && sym->table->net != NET_IP6)
		parser_fail(p, "Mismatched IGP table type");
	if (sym && sym->cls == SYM_TABLE && sym->table->net == NET_IP6)
		ch->igp_table6 = grammar_table_ref(p);
	else
		ch->igp_table4 = grammar_table_ref(p);
}

static void base_table(struct parser *p, void *target)
{
	struct channel_config *ch = target;
	const struct symbol *sym = parser_symbol(p);

	if (ch->net != NET_FLOW4 && ch->net != NET_FLOW6)
		parser_fail(p, "Base table option limited to flowspec channels");
	if (sym && sym->cls == SYM_TABLE && sym->table->net != (ch->net == NET_FLOW4 ? NET_IP4 : NET_IP6))
		parser_fail(p, "Mismatched base table type");
	ch->base_table = grammar_table_ref(p);
}

static void add_paths(struct parser *p, void *target)
{
	struct channel_config *ch = target;

	if (parser_accept(p, "rx"))
		ch->add_paths = ADD_PATH_RX;
	else if (parser_accept(p, "tx"))
		ch->add_paths = ADD_PATH_TX;
	else
		ch->add_paths = parser_switch(p) ? ADD_PATH_BOTH : ADD_PATH_NONE;
}

static uint8_t count(struct parser *p)
{
	return (uint8_t)parser_number_in(p, 1, UINT8_MAX, "Number of paths must be between 1 and 255");
}

/* all | best N | per as | ecmp, [plus N], [limit N] */
static void add_paths_send(struct parser *p, void *target)
{
	struct path_choice *c = &((struct channel_config *)target)->add_paths_send;

	*c = (struct path_choice){.send = SEND_ALL};
	if (parser_accept(p, "best")) {
		c->limit = count(p);
		return;
	}
	if (parser_accept(p, "per")) {
		parser_expect(p, "as");
		c->send = SEND_PER_AS;
	} else if (parser_accept(p, "ecmp")) {
		c->send = SEND_ECMP;
	} else if (!parser_accept(p, "all")) {
		parser_syntax_error(p, "ALL or BEST or PER or ECMP");
	}
	if (c->send != SEND_ALL && parser_accept(p, "plus"))
		c->plus = count(p);
	if (parser_accept(p, "limit"))
		c->limit = count(p);
}

static void aigp(struct parser *p, void *target)
{
	struct channel_config *ch = target;

	ch->aigp_originate = parser_accept(p, "originate");
	if (ch->aigp_originate)
		ch->aigp = TRI_ON;
	else
		ch->aigp = parser_switch(p) ? TRI_ON : TRI_OFF;
}

static void validate(struct parser *p, void *target)
{
	struct channel_config *ch = target;

	ch->validate = parser_switch(p);
	if (ch->net != NET_FLOW4 && ch->net != NET_FLOW6)
		parser_fail(p, "Validate option limited to flowspec channels");
}

static void missing_lladdr(struct parser *p, void *target)
{
	struct channel_config *ch = target;
	struct token value = p->tok;

	if (!parser_accept(p, "self") && !parser_accept(p, "drop") && !parser_accept(p, "ignore"))
		parser_syntax_error(p, "DROP or IGNORE or SELF");
	parser_warn(p, &value, "%s.%s: Missing lladdr option is deprecated and ignored, remove it",
		grammar_of(p)->proto->name, ch->name);
}

#define FIELD(f) .offset = offsetof(struct channel_config, f)
#define SWITCH(w, f)                                                                                         \
	{                                                                                                    \
		.words = (w), .kind = OPT_SWITCH, FIELD(f)                                                   \
	}
#define CUSTOM(w, fn)                                                                                        \
	{                                                                                                    \
		.words = (w), .kind = OPT_CUSTOM, .parse = (fn)                                              \
	}
#define LLGR_TIME(w, f, name)                                                                                \
	{                                                                                                    \
		.words = (w), .kind = OPT_NUMBER, FIELD(f), .max = (1 << 24) - 1,                            \
		.range = name " must be less than 2^24", .place = AT_VALUE                                   \
	}

const struct option bgp_channel_options[] = {
	SWITCH("mandatory", mandatory),
	CUSTOM("next hop keep", next_hop_keep),
	CUSTOM("next hop self", next_hop_self),
	{.words = "next hop address", .kind = OPT_IP, FIELD(next_hop_address)},
	CUSTOM("next hop prefer", next_hop_prefer),
	CUSTOM("link local next hop format", link_local_format),
	CUSTOM("gateway", gateway),
	CUSTOM("igp table", igp_table),
	CUSTOM("base table", base_table),
	SWITCH("import table", import_table),
	SWITCH("export table", export_table),
	SWITCH("secondary", secondary),
	CUSTOM("add paths", add_paths),
	CUSTOM("add paths send", add_paths_send),
	{.words = "add paths receive limit",
		.kind = OPT_U16,
		FIELD(add_paths_receive_limit),
		.min = 1,
		.range = "Number of paths must be between 1 and 65535",
		.place = AT_VALUE},
	SWITCH("require add paths", require_add_paths),
	SWITCH("extended next hop", extended_next_hop),
	SWITCH("require extended next hop", require_extended_next_hop),
	CUSTOM("aigp", aigp),
	{.words = "cost",
		.kind = OPT_NUMBER,
		FIELD(cost),
		.min = 1,
		.range = "Cost must be positive",
		.place = AT_VALUE},
	{.words = "graceful restart", .kind = OPT_TRISTATE, FIELD(graceful_restart)},
	{.words = "long lived graceful restart", .kind = OPT_TRISTATE, FIELD(llgr)},
	LLGR_TIME("long lived stale time", llgr_stale_time, "Long-lived stale time"),
	LLGR_TIME("min long lived stale time", min_llgr_time, "Min long-lived stale time"),
	LLGR_TIME("max long lived stale time", max_llgr_time, "Max long-lived stale time"),
	CUSTOM("validate", validate),
	CUSTOM("missing lladdr", missing_lladdr),
};
const size_t n_bgp_channel_options = sizeof(bgp_channel_options) / sizeof(bgp_channel_options[0]);
