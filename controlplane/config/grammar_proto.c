/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * protocol TYPE [NAME] [from PARENT] { items }: what all types have in common.
 * A template is a protocol that is not listed; `from` copies the parent's plain
 * structures, so later items override by assigning.
 */
#include "controlplane/config/grammar.h"
#include <stdio.h>
#include <string.h>

static const struct proto_grammar *const types[] = {
	&grammar_bgp,
	&grammar_bfd,
	&grammar_device,
	&grammar_direct,
	&grammar_kernel,
	&grammar_static,
	&grammar_rpki,
	&grammar_pipe,
	&grammar_mrt,
	&grammar_bmp,
	&grammar_aggregator,
};

static const struct {
	const char *word, *type_name;
} inert[] = {
	{"ospf", "OSPF"},
	{"rip", "RIP"},
	{"babel", "Babel"},
	{"radv", "RAdv"},
	{"l3vpn", "L3VPN"},
	{"perf", "Perf"},
	{"evpn", "EVPN"},
	{"bridge", "Bridge"},
};

static void debug(struct parser *p, void *target)
{
	((struct proto_config *)target)->debug = grammar_debug_mask(p);
}

static void mrtdump(struct parser *p, void *target)
{
	((struct proto_config *)target)->mrtdump = grammar_mrtdump_mask(p);
}

static void router_id(struct parser *p, void *target)
{
	((struct proto_config *)target)->router_id = grammar_router_id(p);
}

static void vrf(struct parser *p, void *target)
{
	struct proto_config *pc = target;

	if (parser_accept(p, "default")) {
		pc->vrf = NULL;
		pc->vrf_default = true;
		return;
	}
	if (p->tok.kind != TOK_TEXT && p->tok.kind != '(' && !parser_symbol(p))
		parser_syntax_error(p, "CF_SYM_KNOWN or TEXT or '(' or DEFAULT");
	pc->vrf = parser_text(p);
	pc->vrf_default = false;
}

static const struct option common[] = {
	{.words = "disabled", .kind = OPT_SWITCH, .offset = offsetof(struct proto_config, disabled)},
	{.words = "debug", .kind = OPT_CUSTOM, .parse = debug},
	{.words = "mrtdump", .kind = OPT_CUSTOM, .parse = mrtdump},
	{.words = "router id", .kind = OPT_CUSTOM, .parse = router_id},
	{.words = "hostname", .kind = OPT_TEXT, .offset = offsetof(struct proto_config, hostname)},
	{.words = "description", .kind = OPT_TEXT, .offset = offsetof(struct proto_config, description)},
	{.words = "vrf", .kind = OPT_CUSTOM, .parse = vrf},
};

static const char *auto_name(struct parser *p, const char *word, unsigned *counter)
{
	char name[72];

	do
		snprintf(name, sizeof(name), "%s%u", word, ++*counter);
	while (symbol_find_here(p->scope, name));
	return lexer_intern(p->lexer, name, strlen(name));
}

/* The parent's options and channels. What identifies pc stays. */
static void inherit(struct parser *p, const struct proto_grammar *g, struct proto_config *pc, void *body,
	const struct proto_config *parent)
{
	struct channel_config *ch;

	pc->disabled = parent->disabled;
	pc->description = parent->description;
	pc->vrf = parent->vrf;
	pc->vrf_default = parent->vrf_default;
	pc->hostname = parent->hostname;
	pc->router_id = parent->router_id;
	pc->debug = parent->debug;
	pc->mrtdump = parent->mrtdump;
	pc->parent = parent;
	if (!g)
		return;
	memcpy(body, parent->body, g->body_size);
	cds_list_for_each_entry(ch, &parent->channels, node)
	{
		struct channel_config *copy = arena_memdup(p->arena, ch, sizeof(*ch));

		copy->inherited = true;
		cds_list_add_tail(&copy->node, &pc->channels);
	}
	if (g->inherit)
		g->inherit(p, pc, body);
}

static const struct proto_config *parent_of(struct parser *p, const struct proto_config *pc)
{
	const struct symbol *sym = parser_symbol(p);

	if (!sym)
		parser_syntax_error(p, "CF_SYM_KNOWN");
	if (sym->cls != SYM_TEMPLATE && sym->cls != SYM_PROTOCOL)
		parser_fail(p, "Template or protocol name expected");
	if (sym->proto->type != pc->type || strcmp(sym->proto->type_name, pc->type_name) != 0)
		parser_fail(p, "Can't copy configuration from a different protocol type");
	parser_next(p);
	return sym->proto;
}

static void items(struct parser *p, const struct proto_grammar *g, struct proto_config *pc, void *body)
{
	const struct option_set set = OPTION_SET(common, pc);

	parser_expect_char(p, '{');
	while (!parser_is_char(p, '}')) {
		/* its own items first: `interface`, `local`, `import table` are the type's */
		if (!parser_is_char(p, ';') && !(g->item && g->item(p, pc, body)) &&
			!option_parse(p, &set, 1) && !(g->nets && grammar_channel(p, g, pc)))
			parser_syntax_error(p, NULL);
		parser_expect_char(p, ';');
	}
	if (!pc->is_template && g->finish)
		g->finish(p, pc, body);
	parser_next(p);
}

static void inert_items(struct parser *p, struct proto_config *pc, const struct token *start)
{
	if (!parser_is_char(p, '{'))
		parser_syntax_error(p, NULL);
	grammar_skip_block(p);
	if (!pc->is_template)
		parser_warn(p, start, "Protocol %s (%s) is parsed but not run", pc->name, pc->type_name);
}

void grammar_protocol(struct parser *p, bool is_template)
{
	struct grammar *gr = grammar_of(p);
	struct proto_config *pc = arena_alloc(p->arena, sizeof(*pc));
	const struct proto_grammar *g = NULL;
	struct token start = p->tok, name;
	unsigned *counter = NULL;
	struct symbol *sym;
	void *body = NULL;

	if (!parser_is_word(p))
		parser_syntax_error(p, NULL);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (!parser_is(p, types[i]->word))
			continue;
		g = types[i];
		pc->type = g->type;
		pc->type_name = g->type_name;
		counter = &gr->auto_number[g->type];
	}
	for (size_t i = 0; !g && i < sizeof(inert) / sizeof(inert[0]); i++) {
		if (!parser_is(p, inert[i].word))
			continue;
		pc->type = PROTO_INERT;
		pc->type_name = inert[i].type_name;
		counter = &gr->auto_inert[i];
	}
	if (!counter)
		parser_syntax_error(p, NULL);
	pc->word = p->tok.text;
	parser_next(p);
	/* ospf v2|v3, rip [ng] */
	if (!g && (parser_is(p, "v2") || parser_is(p, "v3") || parser_is(p, "ng")) &&
		parser_peek(p)->kind != ';')
		parser_next(p);

	pc->is_template = is_template;
	pc->file = start.file;
	pc->line = start.line;
	pc->debug = p->config->debug_protocols;
	pc->mrtdump = p->config->mrtdump_protocols;
	CDS_INIT_LIST_HEAD(&pc->channels);
	if (g) {
		body = arena_alloc(p->arena, g->body_size ? g->body_size : 1);
		pc->body = body;
	}

	if (parser_is_char(p, '{') || (parser_is(p, "from") && parser_peek(p)->kind != '{')) {
		name = start;
		name.text = auto_name(p, pc->word, counter);
		name.quoted = true;
	} else {
		name = p->tok;
		if (!parser_is_word(p))
			parser_syntax_error(p, NULL);
		parser_next(p);
	}
	pc->name = name.text;
	sym = parser_define(p, &name, is_template ? SYM_TEMPLATE : SYM_PROTOCOL);
	sym->proto = pc;
	gr->proto = pc;
	gr->proto_word = start;
	if (g && g->init)
		g->init(p, pc, body);
	if (parser_accept(p, "from")) {
		/* not itself: it is only being made */
		sym->cls = SYM_VOID;
		inherit(p, g, pc, body, parent_of(p, pc));
		sym->cls = is_template ? SYM_TEMPLATE : SYM_PROTOCOL;
	}
	if (g)
		items(p, g, pc, body);
	else
		inert_items(p, pc, &start);
	if (!is_template)
		cds_list_add_tail(&pc->node, &p->config->protocols);
	gr->proto = NULL;
}
