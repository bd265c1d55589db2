/* SPDX-License-Identifier: BSD-2-Clause */
/* The statements of a file: what stands outside protocols and tables, and the way to those. */
#include "controlplane/config/grammar.h"
#include <string.h>

/* N | IPv4 | constant of either | ( expression ) */
uint32_t grammar_router_id(struct parser *p)
{
	const struct symbol *sym;
	struct value v;
	uint32_t id;
	bool paren;

	if (p->tok.kind == TOK_IP4) {
		id = ntohl(ipaddr_to_v4(&p->tok.ip));
		parser_next(p);
		return id;
	}
	if (p->tok.kind == TOK_NUMBER)
		return parser_number(p);
	paren = parser_accept_char(p, '(');
	if (paren) {
		v = filter_parse_constant(p);
	} else {
		sym = p->tok.kind == TOK_SYMBOL ? parser_symbol(p) : NULL;
		if (!sym)
			parser_syntax_error(p, "NUM or IP4 or CF_SYM_KNOWN or '('");
		v = sym->value;
		if (sym->cls != SYM_CONSTANT)
			v.type = T_VOID;
	}
	if (v.type == T_INT || v.type == T_QUAD)
		id = v.i;
	else if (v.type == T_IP && ipaddr_is_v4(&v.ip))
		id = ntohl(ipaddr_to_v4(&v.ip));
	else
		parser_fail(p, "Number or IPv4 address constant expected");
	if (paren)
		parser_expect_char(p, ')');
	else
		parser_next(p);
	return id;
}

void grammar_skip_block(struct parser *p)
{
	unsigned depth = 0;

	do {
		if (p->tok.kind == '{')
			depth++;
		else if (p->tok.kind == '}')
			depth--;
		else if (p->tok.kind == TOK_EOF)
			parser_syntax_error(p, NULL);
		parser_next(p);
	} while (depth);
}

static void define(struct parser *p)
{
	struct token name = p->tok;
	struct value v;
	struct symbol *sym;

	if (!parser_is_word(p))
		parser_syntax_error(p, "CF_SYM_UNDEFINED or CF_SYM_KNOWN");
	parser_next(p);
	parser_expect_char(p, '=');
	v = filter_parse_constant(p);
	sym = parser_define(p, &name, SYM_CONSTANT);
	sym->value = v;
	parser_expect_char(p, ';');
}

static void router_id(struct parser *p)
{
	parser_expect(p, "id");
	if (parser_accept(p, "from"))
		p->config->router_id_from = grammar_iface_pattern(p, false);
	else
		p->config->router_id = grammar_router_id(p);
	parser_expect_char(p, ';');
}

static uint32_t watchdog_time(struct parser *p)
{
	struct token value = p->tok;
	uint64_t us = parser_time_us(p);

	if (us > UINT32_MAX)
		parser_fail_at(p, &value, "Time out of range");
	return (uint32_t)us;
}

static void watchdog(struct parser *p)
{
	if (parser_accept(p, "warning"))
		p->config->watchdog_warning_us = watchdog_time(p);
	else if (parser_accept(p, "timeout"))
		p->config->watchdog_timeout_us = watchdog_time(p);
	else
		parser_syntax_error(p, "WARNING or TIMEOUT");
	parser_expect_char(p, ';');
}

/* cli "socket" { restrict; }; */
static void cli_socket(struct parser *p)
{
	struct cli_socket_config *s = arena_alloc(p->arena, sizeof(*s)), **link;

	s->path = parser_text(p);
	if (parser_accept_char(p, '{')) {
		while (!parser_accept_char(p, '}')) {
			if (parser_accept(p, "restrict"))
				s->restricted = parser_switch(p);
			else if (!parser_is_char(p, ';'))
				parser_syntax_error(p, "'}' or RESTRICT");
			parser_expect_char(p, ';');
		}
	}
	for (link = &p->config->cli_sockets; *link; link = &(*link)->next)
		;
	*link = s;
}

/* Ours: peregrine { io threads N; rib shards N; failover redirect SWITCH; } */
static void peregrine(struct parser *p)
{
	struct config *c = p->config;
	const struct option options[] = {
		{.words = "io threads",
			.kind = OPT_NUMBER,
			.offset = offsetof(struct config, threads),
			.max = 256},
		{.words = "rib shards",
			.kind = OPT_NUMBER,
			.offset = offsetof(struct config, rib_shards),
			.max = 256},
		{.words = "failover redirect",
			.kind = OPT_TRISTATE,
			.offset = offsetof(struct config, failover_redirect)},
	};
	const struct option_set set = OPTION_SET(options, c);

	parser_expect_char(p, '{');
	while (!parser_accept_char(p, '}')) {
		if (!option_parse(p, &set, 1) && !parser_is_char(p, ';'))
			parser_syntax_error(p, "IO or RIB or FAILOVER or '}'");
		parser_expect_char(p, ';');
	}
}

/* mpls domain NAME { ... } | mpls table NAME ... ; `mpls` is consumed */
static void mpls(struct parser *p, const struct token *start)
{
	if (parser_is(p, "table")) {
		grammar_table(p, NET_MPLS);
		return;
	}
	parser_expect(p, "domain");
	parser_name(p);
	if (parser_is_char(p, '{'))
		grammar_skip_block(p);
	parser_warn(p, start, "MPLS domains are parsed but not run");
}

static bool statement(struct parser *p)
{
	struct config *c = p->config;
	struct token start = p->tok;
	enum net_type net;

	if (parser_accept_char(p, ';'))
		return true;
	if (!parser_is_word(p) || p->tok.quoted)
		return false;
	if (parser_accept(p, "protocol"))
		grammar_protocol(p, false);
	else if (parser_accept(p, "template"))
		grammar_protocol(p, true);
	else if (parser_accept(p, "define"))
		define(p);
	else if (parser_accept(p, "function"))
		filter_parse_function(p);
	else if (parser_accept(p, "filter"))
		filter_parse_definition(p);
	else if (parser_accept(p, "attribute"))
		filter_parse_attribute(p);
	else if (parser_accept(p, "router"))
		router_id(p);
	else if (parser_accept(p, "hostname")) {
		c->hostname = parser_text(p);
		parser_expect_char(p, ';');
	} else if (parser_accept(p, "graceful")) {
		parser_expect(p, "restart");
		parser_expect(p, "wait");
		c->gr_wait = parser_number(p);
		parser_expect_char(p, ';');
	} else if (parser_accept(p, "log"))
		grammar_log(p);
	else if (parser_accept(p, "debug"))
		grammar_debug(p);
	else if (parser_accept(p, "mrtdump"))
		grammar_mrtdump(p);
	else if (parser_accept(p, "timeformat"))
		grammar_timeformat(p);
	else if (parser_accept(p, "watchdog"))
		watchdog(p);
	else if (parser_accept(p, "threads")) {
		c->threads = parser_number(p);
		parser_expect_char(p, ';');
	} else if (parser_accept(p, "cli"))
		cli_socket(p);
	else if (parser_accept(p, "eval")) {
		filter_parse_constant(p);
		parser_expect_char(p, ';');
	} else if (parser_accept(p, "mpls"))
		mpls(p, &start);
	else if (parser_is(p, "peregrine") && parser_peek(p)->kind == '{') {
		parser_next(p);
		peregrine(p);
	} else if ((net = grammar_net_type(p)) != NET_NONE)
		grammar_table(p, net);
	else if (!strncmp(p->tok.text, "bt_", 3))
		return filter_parse_test_statement(p);
	else
		return false;
	return true;
}

void grammar_file(struct parser *p)
{
	while (p->tok.kind != TOK_EOF)
		if (!statement(p))
			parser_syntax_error(p, NULL);
	if (cds_list_empty(&p->config->protocols))
		parser_fail(p, "No protocol is specified in the config file");
}
