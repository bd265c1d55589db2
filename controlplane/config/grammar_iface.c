/* SPDX-License-Identifier: BSD-2-Clause */
/* Interface patterns, and the three protocols that are about the kernel: device, direct, kernel. */
#include "controlplane/config/grammar.h"
#include <string.h>

/* [-] ["mask"] [prefix]; an address alone is its host prefix */
static struct iface_pattern *pattern_node(struct parser *p, bool names_only)
{
	struct iface_pattern *n = arena_alloc(p->arena, sizeof(*n));
	const struct symbol *sym;
	bool net;

	n->negate = parser_accept_char(p, '-');
	sym = parser_symbol(p);
	if (p->tok.kind == TOK_TEXT || (sym && sym->cls == SYM_CONSTANT && sym->value.type == T_STRING))
		n->mask = parser_text(p);
	sym = parser_symbol(p);
	net = p->tok.kind == TOK_IP4 || p->tok.kind == TOK_IP6;
	if (sym && sym->cls == SYM_CONSTANT && sym->value.type == T_IP) {
		n->prefix = prefix_make(&sym->value.ip, ipaddr_is_v4(&sym->value.ip) ? 32 : 128);
		n->has_prefix = true;
		parser_next(p);
	} else if (net && parser_peek(p)->kind != '/') {
		n->prefix = prefix_make(&p->tok.ip, p->tok.kind == TOK_IP4 ? 32 : 128);
		n->has_prefix = true;
		parser_next(p);
	} else if (net || (sym && sym->cls == SYM_CONSTANT && sym->value.type == T_NET)) {
		n->prefix = parser_prefix(p);
		n->has_prefix = true;
	} else if (!n->mask) {
		parser_syntax_error(p, NULL);
	}
	if (n->has_prefix && names_only)
		parser_fail(p, "Interface name/mask expected, not IP prefix");
	return n;
}

struct iface_pattern *grammar_iface_pattern(struct parser *p, bool names_only)
{
	struct iface_pattern *first = NULL, **link = &first;

	do {
		*link = pattern_node(p, names_only);
		link = &(*link)->next;
	} while (parser_accept_char(p, ','));
	return first;
}

/* ---- device ---- */

static void device_init(struct parser *p, struct proto_config *pc, void *body)
{
	((struct device_config *)body)->scan_time = 60;
	if (pc->is_template)
		return;
	if (grammar_of(p)->device_seen)
		parser_fail_at(p, &grammar_of(p)->proto_word, "Kernel device protocol already defined");
	grammar_of(p)->device_seen = true;
}

static void device_interface(struct parser *p, void *target)
{
	struct device_config *d = target;
	struct iface_pattern *pattern = grammar_iface_pattern(p, true);

	if (!parser_accept_char(p, '{'))
		return;
	while (!parser_accept_char(p, '}')) {
		if (parser_accept(p, "preferred")) {
			if (d->n_preferred == sizeof(d->preferred) / sizeof(d->preferred[0]))
				parser_fail(p, "Too many preferred addresses");
			d->preferred[d->n_preferred].preferred = parser_ip(p);
			d->preferred[d->n_preferred++].pattern = pattern;
		} else if (!parser_is_char(p, ';')) {
			parser_syntax_error(p, NULL);
		}
		parser_expect_char(p, ';');
	}
}

static bool device_item(struct parser *p, struct proto_config *pc, void *body)
{
	static const struct option options[] = {
		{.words = "scan time",
			.kind = OPT_NUMBER,
			.offset = offsetof(struct device_config, scan_time)},
		{.words = "interface", .kind = OPT_CUSTOM, .parse = device_interface},
	};
	const struct option_set set = OPTION_SET(options, body);

	return option_parse(p, &set, 1);
}

const struct proto_grammar grammar_device = {
	.word = "device",
	.type = PROTO_DEVICE,
	.type_name = "Device",
	.body_size = sizeof(struct device_config),
	.init = device_init,
	.item = device_item,
};

/* ---- direct ---- */

static void direct_init(struct parser *p, struct proto_config *pc, void *body)
{
	((struct direct_config *)body)->check_link = false;
}

/* Several `interface` items are one list: first match wins either way. */
static void direct_interface(struct parser *p, void *target)
{
	struct direct_config *d = target;
	struct iface_pattern **link = &d->pattern;

	while (*link)
		link = &(*link)->next;
	*link = grammar_iface_pattern(p, false);
}

static void direct_inherit(struct parser *p, struct proto_config *pc, void *body)
{
	struct direct_config *d = body;
	struct iface_pattern *from = d->pattern, **link = &d->pattern;

	for (; from; from = from->next) {
		*link = arena_memdup(p->arena, from, sizeof(*from));
		link = &(*link)->next;
	}
}

static bool direct_item(struct parser *p, struct proto_config *pc, void *body)
{
	static const struct option options[] = {
		{.words = "interface", .kind = OPT_CUSTOM, .parse = direct_interface},
		{.words = "check link",
			.kind = OPT_SWITCH,
			.offset = offsetof(struct direct_config, check_link)},
	};
	const struct option_set set = OPTION_SET(options, body);

	return option_parse(p, &set, 1);
}

const struct proto_grammar grammar_direct = {
	.word = "direct",
	.type = PROTO_DIRECT,
	.type_name = "Direct",
	.body_size = sizeof(struct direct_config),
	.preference = 240,
	.nets = NET_BIT(NET_IP4) | NET_BIT(NET_IP6) | NET_BIT(NET_IP6_SADR),
	.init = direct_init,
	.inherit = direct_inherit,
	.item = direct_item,
};

/* ---- kernel ---- */

static void kernel_init(struct parser *p, struct proto_config *pc, void *body)
{
	struct kernel_config *k = body;

	k->scan_time = 60;
	k->table_id = 254;
	k->metric = 32;
	k->merge_limit = 16;
}

static void learn(struct parser *p, void *target)
{
	struct kernel_config *k = target;

	k->learn_all = parser_accept(p, "all");
	k->learn = k->learn_all || parser_switch(p);
}

static void merge_paths(struct parser *p, void *target)
{
	struct kernel_config *k = target;

	k->merge_paths = parser_switch(p);
	if (parser_accept(p, "limit"))
		k->merge_limit = parser_number_in(p, 1, 255, "Merge paths limit must be in range 1-255");
}

static void rx_buffer(struct parser *p, void *target)
{
	((struct kernel_config *)target)->rx_buffer = parser_number(p);
}

static bool kernel_item(struct parser *p, struct proto_config *pc, void *body)
{
	static const struct option options[] = {
		{.words = "scan time",
			.kind = OPT_NUMBER,
			.offset = offsetof(struct kernel_config, scan_time)},
		{.words = "learn", .kind = OPT_CUSTOM, .parse = learn},
		{.words = "persist", .kind = OPT_SWITCH, .offset = offsetof(struct kernel_config, persist)},
		{.words = "merge paths", .kind = OPT_CUSTOM, .parse = merge_paths},
		{.words = "graceful restart",
			.kind = OPT_SWITCH,
			.offset = offsetof(struct kernel_config, graceful_restart)},
		{.words = "kernel table",
			.kind = OPT_NUMBER,
			.offset = offsetof(struct kernel_config, table_id)},
		{.words = "metric", .kind = OPT_NUMBER, .offset = offsetof(struct kernel_config, metric)},
		{.words = "netlink rx buffer", .kind = OPT_CUSTOM, .parse = rx_buffer},
	};
	const struct option_set set = OPTION_SET(options, body);

	return option_parse(p, &set, 1);
}

static const struct channel_config *main_channel(const struct proto_config *pc)
{
	const struct channel_config *ch;

	cds_list_for_each_entry(ch, &pc->channels, node) if (ch->net != NET_MPLS) return ch;
	return NULL;
}

static void kernel_finish(struct parser *p, struct proto_config *pc, void *body)
{
	const struct channel_config *ch = main_channel(pc), *other_ch;
	const struct kernel_config *k = body;
	const struct proto_config *other;

	if (!ch)
		parser_fail(p, "Channel not specified");
	cds_list_for_each_entry(other, &p->config->protocols, node)
	{
		if (other->type != PROTO_KERNEL)
			continue;
		other_ch = main_channel(other);
		if (other_ch->table == ch->table)
			parser_fail(p, "Kernel syncer (%s) already attached to table %s", other->name,
				ch->table->name);
		if (((const struct kernel_config *)other->body)->table_id == k->table_id &&
			other_ch->net == ch->net)
			parser_warn(p, &p->tok, "%s: kernel table %u is already synchronised by %s", pc->name,
				k->table_id, other->name);
	}
}

const struct proto_grammar grammar_kernel = {
	.word = "kernel",
	.type = PROTO_KERNEL,
	.type_name = "Kernel",
	.body_size = sizeof(struct kernel_config),
	.preference = 10,
	.nets = NET_BIT(NET_IP4) | NET_BIT(NET_IP6) | NET_BIT(NET_IP6_SADR) | NET_BIT(NET_MPLS),
	.one_net = true,
	.init = kernel_init,
	.item = kernel_item,
	.finish = kernel_finish,
};
