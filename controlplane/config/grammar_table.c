/* SPDX-License-Identifier: BSD-2-Clause */
/* Routing tables, the words for their types, names that exist without being written. */
#include "controlplane/config/grammar.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order of enum net_type; the label is what shows as a channel's name. */
static const char *const labels[NET_MAX] = {
	[NET_NONE] = "none",
	[NET_IP4] = "ipv4",
	[NET_IP6] = "ipv6",
	[NET_VPN4] = "vpn4",
	[NET_VPN6] = "vpn6",
	[NET_ROA4] = "roa4",
	[NET_ROA6] = "roa6",
	[NET_FLOW4] = "flow4",
	[NET_FLOW6] = "flow6",
	[NET_IP6_SADR] = "ipv6-sadr",
	[NET_MPLS] = "mpls",
	[NET_ETH] = "eth",
	[NET_ASPA] = "aspa",
	[NET_EVPN] = "evpn",
	[NET_NEIGHBOR] = "neighbor",
};

const char *grammar_net_label(enum net_type net)
{
	return labels[net];
}

enum net_type grammar_net_type(struct parser *p)
{
	if (!parser_is_word(p) || p->tok.quoted)
		return NET_NONE;
	for (int i = 1; i < NET_MAX; i++) {
		if (i == NET_IP6_SADR || strcmp(p->tok.text, labels[i]) != 0)
			continue;
		parser_next(p);
		if (i == NET_IP6 && parser_accept(p, "sadr"))
			return NET_IP6_SADR;
		return (enum net_type)i;
	}
	return NET_NONE;
}

static struct table_config *table_new(struct parser *p, const char *name, enum net_type net)
{
	struct table_config *t = arena_alloc(p->arena, sizeof(*t));
	struct config *c = p->config;

	t->name = name;
	t->net = net;
	t->min_settle_ms = 1000;
	t->max_settle_ms = 20000;
	t->gc_threshold = 1000;
	t->debug = c->debug_tables;
	if (!c->default_table[net]) {
		c->default_table[net] = t;
		t->is_default = true;
	}
	cds_list_add_tail(&t->node, &c->tables);
	return t;
}

static void min_settle(struct parser *p, void *target)
{
	struct table_config *t = target;

	t->min_settle_ms = (uint32_t)(parser_time_us(p) / 1000);
}

static void max_settle(struct parser *p, void *target)
{
	struct table_config *t = target;

	t->max_settle_ms = (uint32_t)(parser_time_us(p) / 1000);
}

static void gc_period(struct parser *p, void *target)
{
	struct table_config *t = target;

	t->gc_period_s = (uint32_t)(parser_time_us(p) / 1000000);
}

static void debug(struct parser *p, void *target)
{
	struct table_config *t = target;

	t->debug = grammar_debug_mask(p);
}

static const struct option options[] = {
	{.words = "sorted", .kind = OPT_SWITCH, .offset = offsetof(struct table_config, sorted)},
	{.words = "trie", .kind = OPT_SWITCH, .offset = offsetof(struct table_config, trie)},
	{.words = "min settle time", .kind = OPT_CUSTOM, .parse = min_settle},
	{.words = "max settle time", .kind = OPT_CUSTOM, .parse = max_settle},
	{.words = "gc threshold", .kind = OPT_NUMBER, .offset = offsetof(struct table_config, gc_threshold)},
	{.words = "gc period", .kind = OPT_CUSTOM, .parse = gc_period},
	{.words = "debug", .kind = OPT_CUSTOM, .parse = debug},
};

void grammar_table(struct parser *p, enum net_type net)
{
	struct token name;
	struct symbol *sym;
	struct table_config *t;

	parser_expect(p, "table");
	name = p->tok;
	sym = parser_is_word(p) ? symbol_find_here(p->scope, p->tok.text) : NULL;
	if (sym && sym->cls == SYM_TABLE && sym->table == p->config->default_table[net] &&
		sym->table->net == net && (sym->table->implicit || !strncmp(sym->name, "master", 6))) {
		/* master4 and master6 exist; saying so again adds options */
		parser_next(p);
		t = sym->table;
	} else {
		/* BIRD sees the clash at the name itself */
		if (sym)
			parser_fail(p, "Symbol '%s' already defined", p->tok.text);
		parser_name(p);
		sym = parser_define(p, &name, SYM_TABLE);
		sym->table = t = table_new(p, name.text, net);
	}
	t->implicit = false;
	t->file = name.file;
	t->line = name.line;
	if (parser_accept(p, "sorted"))
		t->sorted = true;
	if (parser_accept_char(p, '{')) {
		const struct option_set set = OPTION_SET(options, t);

		while (!parser_accept_char(p, '}')) {
			if (!option_parse(p, &set, 1) && !parser_is_char(p, ';'))
				parser_syntax_error(p, NULL);
			parser_expect_char(p, ';');
		}
	}
	if (t->min_settle_ms > t->max_settle_ms)
		t->max_settle_ms = t->min_settle_ms;
}

struct table_config *grammar_table_ref(struct parser *p)
{
	const struct symbol *sym = parser_symbol(p);

	if (!sym)
		parser_syntax_error(p, "CF_SYM_KNOWN");
	if (sym->cls != SYM_TABLE)
		parser_fail(p, "Table name required");
	parser_next(p);
	return sym->table;
}

/* "NUMBER NAME" lines, '#' comments, as iproute2 reads them. */
static void names_of_file(struct parser *p, const char *path, const char *prefix, uint32_t max)
{
	FILE *f = fopen(path, "re");
	char line[512];

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		char name[64], *end, *s = line;
		unsigned long n;
		size_t len;
		struct symbol *sym;

		while (isspace((unsigned char)*s))
			s++;
		n = strtoul(s, &end, strncmp(s, "0x", 2) ? 10 : 16);
		if (end == s || n > max)
			continue;
		for (s = end; *s == ' ' || *s == '\t'; s++)
			;
		len = strcspn(s, " \t\r\n#");
		if (!len || s == end || strlen(prefix) + len >= sizeof(name))
			continue;
		snprintf(name, sizeof(name), "%s%.*s", prefix, (int)len, s);
		for (char *q = name; *q; q++)
			if (!isalnum((unsigned char)*q))
				*q = '_';
		if (symbol_find_here(p->scope, name))
			continue;
		sym = symbol_define(p->arena, p->symbols, p->scope,
			lexer_intern(p->lexer, name, strlen(name)), SYM_CONSTANT);
		sym->file = arena_strdup(p->arena, path);
		sym->value = (struct value){.type = T_INT, .i = (uint32_t)n};
	}
	fclose(f);
}

void grammar_predefine(struct parser *p, bool from_system)
{
	static const struct {
		const char *name;
		enum net_type net;
	} masters[] = {{"master4", NET_IP4}, {"master6", NET_IP6}};

	for (size_t i = 0; i < sizeof(masters) / sizeof(masters[0]); i++) {
		const char *name = lexer_intern(p->lexer, masters[i].name, strlen(masters[i].name));
		struct symbol *sym = symbol_define(p->arena, p->symbols, p->scope, name, SYM_TABLE);

		sym->file = "";
		sym->table = table_new(p, name, masters[i].net);
		sym->table->implicit = true;
		sym->table->file = "";
	}
	if (!from_system)
		return;
	names_of_file(p, "/etc/iproute2/rt_protos", "ipp_", 255);
	names_of_file(p, "/etc/iproute2/rt_realms", "ipr_", 255);
	names_of_file(p, "/etc/iproute2/rt_scopes", "ips_", 255);
	names_of_file(p, "/etc/iproute2/rt_tables", "ipt_", UINT32_MAX);
}
