/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recursive descent over tokens: what the grammars (configuration, filters,
 * CLI) share. Errors leave by longjmp to whoever set p->fail (config_read(),
 * cli_parse()): everything that was allocated is in p->arena, so nothing leaks;
 * code between must not hold locks or heap memory.
 *
 * Keywords are not reserved. An identifier that names a symbol in scope is
 * TOK_SYMBOL even if it is a keyword. So where an expression or a command may
 * start with a symbol of the user's, look the spelling up (symbol_find())
 * before comparing it with words of the language; where the grammar takes only
 * the word, parser_is() compares spellings and nothing else.
 */
#pragma once
#include "controlplane/config/arena.h"
#include "controlplane/config/lexer.h"
#include "controlplane/config/symbol.h"
#include <setjmp.h>

struct config;
struct config_error;

struct parser {
	struct lexer *lexer;
	struct arena *arena;   /* where what is parsed goes now: the configuration's, or scratch */
	struct arena *scratch; /* see parser_scratch_begin(); NULL: a command line, whose arena is short-lived
				  anyway */
	struct config *config; /* being built, or in scope for the CLI */
	struct symbol_table *symbols;
	struct symbol_scope *scope; /* innermost */
	struct token tok;           /* the current token: not yet consumed */
	struct token ahead;         /* parser_peek()'s */
	bool has_ahead;
	bool cli;       /* a command line: no includes, no definitions */
	unsigned depth; /* of recursion, see parser_enter() */
	struct config_error *error;
	void *grammar; /* controlplane/config/grammar.h: of the configuration being read */
	jmp_buf fail;
};

/* A parser over one command line, with c's symbols in scope (read only: names that the line defines go to a
 *scope of its own). The first token is current after parser_start(), which fails like all others: set p->fail
 *before.
 *
 *	parser_open_line(&p, arena, c, line, len, &err);
 *	if (setjmp(p.fail)) { parser_close(&p); report err.text; }
 *	parser_start(&p); ... parser_close(&p);
 */
void parser_open_line(struct parser *p, struct arena *a, struct config *c, const char *line, size_t len,
	struct config_error *err);
void parser_start(struct parser *p);
void parser_close(struct parser *p);

/* Consumes the current token. */
void parser_next(struct parser *p);
/* One token of look-ahead beyond p->tok. */
const struct token *parser_peek(struct parser *p);
/* Unquoted identifier, keyword or symbol, spelled so. */
bool parser_is(const struct parser *p, const char *word);
bool parser_is_char(const struct parser *p, int c);
/* An identifier of any sort: TOK_SYMBOL or TOK_KEYWORD. */
bool parser_is_word(const struct parser *p);
bool parser_accept(struct parser *p, const char *word);
bool parser_accept_char(struct parser *p, int c);
void parser_expect(struct parser *p, const char *word); /* else "syntax error, unexpected X, expecting Y" */
void parser_expect_char(struct parser *p, int c);       /* takes other token kinds as well */
_Noreturn void parser_fail(struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void parser_fail_at(struct parser *p, const struct token *t, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* expecting: as bison would write it ("';'", "NUM or CF_SYM_KNOWN or '('"); may be NULL */
_Noreturn void parser_syntax_error(struct parser *p, const char *expecting);
void parser_warn(struct parser *p, const struct token *t, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Around everything that recurses with the input (blocks, parentheses): fails with "Nesting too deep" beyond
 * a bound. */
void parser_enter(struct parser *p);
void parser_leave(struct parser *p);
/* What is only needed until it has been compiled (syntax trees, local names) is allocated between these two
 * and gone after the outermost end: p->arena is the scratch arena meanwhile. begin returns what end wants
 * back. */
struct arena *parser_scratch_begin(struct parser *p);
void parser_scratch_end(struct parser *p, struct arena *outer);

/* A new symbol in p->scope. Fails with "Symbol 'x' already defined" (at the current token) if the scope has
 * it, warns if a keyword is overridden. name: its token, for the place. */
struct symbol *parser_define(struct parser *p, const struct token *name, enum symbol_class cls);
/* The symbol that the current token names in any scope, or NULL. */
struct symbol *parser_symbol(const struct parser *p);

/* Values where the configuration wants a plain one: literal | constant | ( expression ). */
uint32_t parser_number(struct parser *p);
/* The same, in min..max. error: what to say at the number else; NULL: "Value %u out of range (min-max)". */
uint32_t parser_number_in(struct parser *p, uint32_t min, uint32_t max, const char *error);
bool parser_switch(struct parser *p); /* on|yes|true|off|no|false|nothing|number|constant */
const char *parser_text(struct parser *p);
struct ipaddr parser_ip(struct parser *p);
struct prefix parser_prefix(struct parser *p); /* IPv4 or IPv6 */
uint64_t parser_time_us(struct parser *p);     /* N s|ms|us */
const char *parser_name(struct parser *p);     /* a symbol to be defined or referred to, quoted or not */
/* ADDR / LEN with the literal address as current token, nothing else: for long lists. */
struct prefix parser_prefix_literal(struct parser *p);

/* ---- provided by controlplane/filter/parse.c ----
 * Filters and sets that these return belong to p->arena as it is at the call (released by arena_at_end()),
 * unless it says otherwise: so a failed parse drops them, and whoever outlives the configuration takes a
 * reference of his own.
 */
/* all | none | filter NAME | filter [decls] { } | where expr ; current token is the first of them. */
struct filter_ref filter_parse_ref(struct parser *p);
/* after the word `filter`: NAME [decls] { ... } at top level */
void filter_parse_definition(struct parser *p);
/* after the word `function` */
void filter_parse_function(struct parser *p);
/* after the word `attribute` */
void filter_parse_attribute(struct parser *p);
/* Any constant expression: after `define NAME =`, and inside "( expression )" of parser_number() etc. */
struct value filter_parse_constant(struct parser *p);
/* { commands } of a static route: compiled as a filter that accepts. Current token is '{'. */
const struct filter *filter_parse_actions(struct parser *p);
/* An expression as a filter program for filter_eval(); `show route where`, `eval`. Holds one reference for
 * the caller. */
const struct filter *filter_parse_expression(struct parser *p);
/* bt_test_suite(...) and friends at top level; the current token is the word */
bool filter_parse_test_statement(struct parser *p);
