/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * protocol static. ROAs come as static routes by the ten thousand (generated
 * includes), so a route costs one allocation and no look-up.
 */
#include "controlplane/config/grammar.h"
#include "controlplane/filter/parse.h"
#include <string.h>

/* The list is built at its tail; nobody outside sees the tail. */
struct static_body {
	struct static_config st;
	struct static_route **tail;
};

static void init(struct parser *p, struct proto_config *pc, void *body)
{
	struct static_body *b = body;

	b->tail = &b->st.routes;
}

static void inherit(struct parser *p, struct proto_config *pc, void *body)
{
	const struct static_route *from = ((const struct static_config *)pc->parent->body)->routes;
	struct static_body *b = body;

	b->tail = &b->st.routes;
	for (; from; from = from->next) {
		struct static_route *r = arena_memdup(p->arena, from, sizeof(*r));

		*b->tail = r;
		b->tail = &r->next;
	}
	*b->tail = NULL;
}

/* max N as N, behind a prefix */
static void roa(struct parser *p, struct net *n)
{
	struct token last;
	uint32_t maxlen;

	maxlen = parser_number(p);
	parser_expect(p, "as");
	last = p->tok;
	n->asn = parser_number(p);
	if (maxlen < n->prefix.len || maxlen > (n->prefix.family == 4 ? 32u : 128u))
		parser_fail_at(p, &last, "Invalid max prefix length %u", maxlen);
	n->maxlen = (uint8_t)maxlen;
	n->type = n->prefix.family == 4 ? NET_ROA4 : NET_ROA6;
}

static void aspa(struct parser *p, struct static_route *r)
{
	uint32_t *list = NULL;
	unsigned size = 0;

	r->net.type = NET_ASPA;
	r->net.asn = parser_number(p);
	if (parser_accept(p, "transit")) {
		r->providers = arena_alloc(p->arena, sizeof(uint32_t));
		r->n_providers = 1; /* AS 0: no providers */
		return;
	}
	if (!parser_accept(p, "providers"))
		return;
	do {
		if (r->n_providers == size) {
			uint32_t *more = arena_alloc_raw(p->arena, (size ? 2 * size : 8) * sizeof(*more));

			if (size)
				memcpy(more, list, size * sizeof(*more));
			list = more;
			size = size ? 2 * size : 8;
		}
		list[r->n_providers++] = parser_number(p);
	} while (parser_accept_char(p, ','));
	r->providers = list;
}

/* What is routed. Families that we do not run are parsed as far as their shape needs. */
static void destination(struct parser *p, struct static_route *r)
{
	struct net *n = &r->net;

	if (p->tok.kind == TOK_RD) {
		n->rd = p->tok.u64;
		parser_next(p);
		n->prefix = parser_prefix(p);
		n->type = n->prefix.family == 4 ? NET_VPN4 : NET_VPN6;
		return;
	}
	if (parser_accept(p, "aspa")) {
		aspa(p, r);
		return;
	}
	if (parser_is(p, "flow4") || parser_is(p, "flow6")) {
		*n = parse_flow(p);
		return;
	}
	if (parser_accept(p, "mpls")) {
		n->type = NET_MPLS;
		n->asn = parser_number(p);
		return;
	}
	if (parser_accept(p, "evpn") || parser_accept(p, "eth")) {
		n->type = NET_EVPN;
		while (!parser_is_char(p, ';') && p->tok.kind != TOK_EOF)
			parser_next(p);
		return;
	}
	if (p->tok.kind == TOK_SYMBOL) {
		const struct symbol *sym = parser_symbol(p);

		if (!sym)
			parser_syntax_error(p, NULL);
		if (sym->cls != SYM_CONSTANT || sym->value.type != T_NET)
			parser_fail(p, "Network expected");
		*n = *sym->value.net;
		parser_next(p);
	} else if (p->tok.kind == TOK_IP4 || p->tok.kind == TOK_IP6) {
		n->prefix = parser_prefix_literal(p);
		n->type = n->prefix.family == 4 ? NET_IP4 : NET_IP6;
	} else {
		parser_syntax_error(p, NULL);
	}
	if (parser_accept(p, "max")) {
		roa(p, n);
	} else if (parser_accept(p, "mpls")) {
		parser_number(p); /* the label of an MPLS channel, which we do not run */
	} else if (n->type == NET_IP6 && parser_accept(p, "from")) {
		n->src = parser_prefix(p);
		n->type = NET_IP6_SADR;
	}
}

static unsigned label_stack(struct parser *p, uint32_t *label, unsigned max)
{
	unsigned n = 0;

	do {
		uint32_t v = parser_number(p);

		if (v > 0xfffff)
			parser_fail(p, "Invalid MPLS label %u", v);
		if (n == max)
			parser_fail(p, "Too many labels in stack");
		label[n++] = v;
	} while (parser_accept_char(p, '/'));
	return n;
}

/* IP[%if] | "iface", then mpls L/L, onlink, weight N, bfd, dev "if" */
static struct static_nexthop *nexthop(struct parser *p)
{
	struct static_nexthop *nh = arena_alloc(p->arena, sizeof(*nh));
	const struct symbol *sym = parser_symbol(p);

	nh->weight = 1;
	if (p->tok.kind == TOK_TEXT || (sym && sym->cls == SYM_CONSTANT && sym->value.type == T_STRING)) {
		nh->ifname = parser_text(p);
	} else {
		nh->via = parser_ip(p);
		nh->ifname = grammar_ip_scope(p);
	}
	for (;;) {
		if (parser_accept(p, "mpls")) {
			nh->n_labels = label_stack(p, nh->label, 8);
		} else if (parser_accept(p, "onlink")) {
			nh->onlink = parser_switch(p);
		} else if (parser_accept(p, "bfd")) {
			nh->use_bfd = parser_switch(p);
		} else if (parser_accept(p, "dev")) {
			nh->ifname = parser_text(p);
		} else if (parser_accept(p, "weight")) {
			nh->weight = (uint16_t)parser_number_in(p, 1, 256, "Weight must be in range 1-256");
		} else {
			if (nh->use_bfd && nh->onlink)
				parser_fail(p, "Options 'bfd' and 'onlink' cannot be combined");
			return nh;
		}
	}
}

static void route(struct parser *p, void *target)
{
	struct static_route *r = arena_alloc(p->arena, sizeof(*r));
	struct static_body *b = target;
	struct token start = p->tok;
	bool has_dest = false, no_dest;

	r->file = start.file;
	r->line = start.line;
	destination(p, r);
	no_dest = r->net.type == NET_ROA4 || r->net.type == NET_ROA6 || r->net.type == NET_ASPA;
	if (parser_is(p, "via")) {
		struct static_nexthop **link = &r->nexthops;

		r->dest = RTD_UNICAST;
		while (parser_accept(p, "via")) {
			*link = nexthop(p);
			link = &(*link)->next;
		}
		has_dest = true;
	} else if (parser_accept(p, "recursive")) {
		r->dest = RTD_UNICAST;
		r->recursive = true;
		r->via_recursive = parser_ip(p);
		if (parser_accept(p, "mpls")) {
			uint32_t none[8];

			label_stack(p, none, 8);
		}
		has_dest = true;
	} else if (parser_accept(p, "blackhole") || parser_accept(p, "drop")) {
		r->dest = RTD_BLACKHOLE;
		has_dest = true;
	} else if (parser_accept(p, "unreachable") || parser_accept(p, "reject")) {
		r->dest = RTD_UNREACHABLE;
		has_dest = true;
	} else if (parser_accept(p, "prohibit")) {
		r->dest = RTD_PROHIBIT;
		has_dest = true;
	}
	if (parser_is_char(p, '{'))
		r->actions = filter_parse_actions(p);
	if (!parser_is_char(p, ';') && !has_dest)
		parser_syntax_error(p, NULL);
	if (has_dest == no_dest && r->net.type != NET_FLOW4 && r->net.type != NET_FLOW6 &&
		r->net.type != NET_EVPN)
		parser_fail(p, "Unexpected or missing nexthop/type");
	*b->tail = r;
	b->tail = &r->next;
	b->st.n_routes++;
}

static void igp_table(struct parser *p, void *target)
{
	struct static_config *s = target;
	struct table_config *t;
	const struct symbol *sym = parser_symbol(p);

	if (sym && sym->cls == SYM_TABLE && sym->table->net != NET_IP4 && sym->table->net != NET_IP6)
		parser_fail(p, "Incompatible IGP table type");
	t = grammar_table_ref(p);
	if (t->net == NET_IP6)
		s->igp_table6 = t;
	else
		s->igp_table = t;
}

static bool item(struct parser *p, struct proto_config *pc, void *body)
{
	static const struct option options[] = {
		{.words = "check link",
			.kind = OPT_SWITCH,
			.offset = offsetof(struct static_config, check_link)},
		{.words = "igp table", .kind = OPT_CUSTOM, .parse = igp_table},
	};
	const struct option_set set = OPTION_SET(options, body);

	if (parser_accept(p, "route")) {
		route(p, body);
		return true;
	}
	return option_parse(p, &set, 1);
}

static void finish(struct parser *p, struct proto_config *pc, void *body)
{
	const struct static_config *s = body;
	const struct channel_config *ch, *main = NULL;

	cds_list_for_each_entry(ch, &pc->channels, node) if (ch->net != NET_MPLS || !main) main = ch;
	if (!main)
		parser_fail(p, "Channel not specified");
	for (const struct static_route *r = s->routes; r; r = r->next) {
		char buf[128];

		if (r->net.type == main->net || r->net.type == NET_MPLS || r->net.type == NET_EVPN)
			continue;
		net_format(&r->net, buf, sizeof(buf));
		parser_fail(p, "Route %s incompatible with channel type", buf);
	}
}

const struct proto_grammar grammar_static = {
	.word = "static",
	.type = PROTO_STATIC,
	.type_name = "Static",
	.body_size = sizeof(struct static_body),
	.preference = 200,
	.nets = ~0u,
	.one_net = true,
	.init = init,
	.inherit = inherit,
	.item = item,
	.finish = finish,
};
