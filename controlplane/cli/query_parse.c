/* SPDX-License-Identifier: BSD-2-Clause */
/* The clauses of `show route`, in any order. Messages are BIRD's. */
#include "controlplane/cli/query.h"
#include <string.h>

static struct query_table *add_table(struct query *q, struct parser *p)
{
	if (q->n_tables == q->max_tables)
		parser_fail(p, "Too many tables");
	return &q->table[q->n_tables++];
}

struct channel_name query_parse_channel(struct cli_session *s, struct parser *p)
{
	const char *proto = cli_parse_symbol(s, p, SYM_PROTOCOL), *channel = NULL;

	if (parser_accept_char(p, '.')) {
		/* ipv4-mc and the like are several tokens */
		channel = parser_name(p);
		while (parser_accept_char(p, '-'))
			channel = arena_printf(p->arena, "%s-%s", channel, parser_name(p));
	}
	return (struct channel_name){proto, channel};
}

static void channel_table(struct query *q, struct parser *p, enum table_kind kind)
{
	struct query_table *t = add_table(q, p);

	t->kind = kind;
	t->of = query_parse_channel(q->s, p);
	if (!t->of.channel)
		parser_syntax_error(p, "'.'");
	q->show_empty = q->need_match = true;
}

static void export_clause(struct query *q, struct parser *p, enum show_mode mode)
{
	struct channel_name n = query_parse_channel(q->s, p);

	if (q->mode != SHOW_TABLE)
		parser_fail(p, "Export specified twice");
	q->mode = mode;
	q->export = n;
	q->show_empty = q->need_match = false;
}

static void table_clause(struct query *q, struct parser *p)
{
	const struct table_config *t;

	if (parser_is(p, "all") && !parser_symbol(p)) {
		parser_next(p);
		cds_list_for_each_entry(t, &q->s->config->tables, node) add_table(q, p)->name = t->name;
		q->need_match = false;
	} else {
		if (!parser_symbol(p))
			parser_syntax_error(p, "CF_SYM_KNOWN or ALL");
		add_table(q, p)->name = cli_parse_symbol(q->s, p, SYM_TABLE);
		q->need_match = true;
	}
	q->show_empty = true;
}

/* A network that begins with a word. */
static bool at_other_net(const struct parser *p)
{
	return parser_is(p, "aspa") || parser_is(p, "flow4") || parser_is(p, "flow6") || parser_is(p, "evpn");
}

/* What is at the current token as a network: a literal, an address (its host's), a constant. */
static bool network(struct parser *p, struct net *out)
{
	const struct symbol *sym = p->tok.kind == TOK_SYMBOL ? parser_symbol(p) : NULL;
	const struct net *n = NULL;
	struct ipaddr ip;

	memset(out, 0, sizeof(*out));
	if (p->tok.kind == TOK_IP4 || p->tok.kind == TOK_IP6) {
		if (parser_peek(p)->kind == '/') {
			struct value v = filter_parse_constant(p);

			if (v.type != T_NET)
				parser_fail(p, "IP network expected");
			*out = *v.net;
			return true;
		}
		ip = parser_ip(p);
	} else if (sym && sym->cls == SYM_CONSTANT && sym->value.type == T_IP) {
		ip = parser_ip(p);
	} else if (sym && sym->cls == SYM_CONSTANT && sym->value.type == T_NET) {
		n = sym->value.net;
		parser_next(p);
	} else if (p->tok.kind == TOK_RD || (at_other_net(p) && parser_peek(p)->kind != TOK_EOF)) {
		struct value v = filter_parse_constant(p);

		if (v.type != T_NET)
			parser_fail(p, "IP network expected");
		n = v.net;
	} else {
		return false;
	}
	if (n) {
		*out = *n;
		return true;
	}
	out->type = ipaddr_is_v4(&ip) ? NET_IP4 : NET_IP6;
	out->prefix = prefix_make(&ip, ipaddr_is_v4(&ip) ? 32 : 128);
	return true;
}

struct net query_parse_net(struct parser *p)
{
	struct net n;

	if (!network(p, &n))
		parser_syntax_error(p, NULL);
	return n;
}

static void set_net(struct query *q, struct parser *p, enum addr_mode mode)
{
	struct net n = query_parse_net(p);

	if (q->addr_mode != ADDR_NONE)
		parser_fail(p, "Only one prefix expected");
	if (mode == ADDR_IN && n.type != NET_IP4 && n.type != NET_IP6)
		parser_fail(p, "Only IP networks accepted for 'in' argument");
	q->net = n;
	q->addr_mode = mode;
}

static void filter_clause(struct query *q, struct parser *p)
{
	struct filter_ref f = filter_parse_ref(p);

	if (q->has_filter)
		parser_fail(p, "Filter specified twice");
	q->filter = f;
	q->has_filter = true;
}

static bool at_network(struct parser *p)
{
	const struct symbol *sym = p->tok.kind == TOK_SYMBOL ? parser_symbol(p) : NULL;

	return p->tok.kind == TOK_IP4 || p->tok.kind == TOK_IP6 || p->tok.kind == TOK_RD ||
	       (at_other_net(p) && !sym) ||
	       (sym && sym->cls == SYM_CONSTANT && (sym->value.type == T_NET || sym->value.type == T_IP));
}

static void clause(struct query *q, struct parser *p)
{
	if (parser_accept(p, "for")) {
		set_net(q, p, ADDR_FOR);
	} else if (parser_accept(p, "in")) {
		set_net(q, p, ADDR_IN);
	} else if (parser_accept(p, "table")) {
		table_clause(q, p);
	} else if (parser_accept(p, "import")) {
		parser_expect(p, "table");
		channel_table(q, p, TABLE_IMPORT);
	} else if (parser_is(p, "where") || parser_is(p, "filter")) {
		filter_clause(q, p);
	} else if (parser_accept(p, "all")) {
		q->all = true;
	} else if (parser_accept(p, "primary")) {
		q->primary = true;
	} else if (parser_accept(p, "filtered")) {
		q->filtered = true;
	} else if (parser_accept(p, "preexport")) {
		export_clause(q, p, SHOW_PREEXPORT);
	} else if (parser_accept(p, "noexport")) {
		export_clause(q, p, SHOW_NOEXPORT);
	} else if (parser_accept(p, "exported")) {
		export_clause(q, p, SHOW_EXPORTED);
	} else if (parser_accept(p, "export")) {
		if (parser_is(p, "table") && !parser_symbol(p)) {
			parser_next(p);
			channel_table(q, p, TABLE_EXPORT);
		} else {
			export_clause(q, p, SHOW_EXPORT);
		}
	} else if (parser_accept(p, "protocol")) {
		const char *name = cli_parse_symbol(q->s, p, SYM_PROTOCOL);

		if (q->protocol)
			parser_fail(p, "Protocol specified twice");
		q->protocol = name;
		q->show_empty = q->need_match = false;
	} else if (parser_accept(p, "stats")) {
		q->stats = true;
		q->count = false;
	} else if (parser_accept(p, "count")) {
		q->count = true;
		q->stats = false;
	} else if (at_network(p)) {
		set_net(q, p, ADDR_EQUAL);
	} else {
		parser_syntax_error(p, NULL);
	}
}

void query_parse(struct query *q, struct parser *p)
{
	const struct table_config *t;

	/* Each table of the configuration, and room for naming some twice. */
	cds_list_for_each_entry(t, &q->s->config->tables, node) q->max_tables++;
	q->max_tables += 256;
	q->table = arena_alloc(q->s->arena, q->max_tables * sizeof(*q->table));
	while (p->tok.kind != TOK_EOF)
		clause(q, p);
}
