/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recursive descent over tokens: what the grammars (configuration, filters,
 * CLI) share. Errors leave by longjmp to whoever set p->fail (config_read(),
 * cli_parse()): everything that was allocated is in p->arena, so nothing leaks;
 * code between must not hold locks or heap memory.
 */
#pragma once
#include "controlplane/config/arena.h"
#include "controlplane/config/lexer.h"
#include "controlplane/config/symbol.h"
#include <setjmp.h>

struct lexer;
struct config;
struct config_error;

struct parser {
	struct lexer *lexer;
	struct arena *arena;
	struct config *config;        /* being built, or in scope for the CLI */
	struct symbol_scope *scope;   /* innermost */
	struct token tok;             /* the current token: not yet consumed */
	struct config_error *error;
	jmp_buf fail;
	bool cli;                     /* a command line: no includes, no definitions */
};

/* Consumes the current token. */
void parser_next(struct parser *p);
/* One token of look-ahead beyond p->tok. */
const struct token *parser_peek(struct parser *p);
/* Keyword or symbol spelled so (keywords are not reserved: a symbol of that name does not match when it is defined in scope,
 * except where the grammar position only takes the keyword). */
bool parser_is(const struct parser *p, const char *word);
bool parser_is_char(const struct parser *p, int c);
bool parser_accept(struct parser *p, const char *word);
bool parser_accept_char(struct parser *p, int c);
void parser_expect(struct parser *p, const char *word);   /* else "syntax error, unexpected X, expecting Y" */
void parser_expect_char(struct parser *p, int c);
_Noreturn void parser_fail(struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void parser_fail_at(struct parser *p, const struct token *t, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void parser_syntax_error(struct parser *p, const char *expecting); /* expecting may be NULL */
void parser_warn(struct parser *p, const struct token *t, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Values where the configuration wants a plain one: literal | constant | ( expression ). */
uint32_t parser_number(struct parser *p);
bool parser_switch(struct parser *p);       /* on|yes|true|off|no|false|nothing|number|constant */
const char *parser_text(struct parser *p);
struct ipaddr parser_ip(struct parser *p);
struct prefix parser_prefix(struct parser *p);
uint32_t parser_time_us(struct parser *p);  /* N s|ms|us */
const char *parser_name(struct parser *p);  /* a symbol to be defined or referred to, quoted or not */

/* ---- provided by controlplane/filter/parse.c ---- */
/* all | none | filter NAME | filter [decls] { } | where expr ; current token is the first of them. net: of the channel, for checks. */
struct filter_ref filter_parse_ref(struct parser *p);
/* after the word `filter`: NAME [decls] { ... } at top level */
void filter_parse_definition(struct parser *p);
/* after the word `function` */
void filter_parse_function(struct parser *p);
/* after the word `attribute` */
void filter_parse_attribute(struct parser *p);
/* after `define NAME =`: any constant expression. Also used by parser_number() etc. for "( expression )". */
struct value filter_parse_constant(struct parser *p);
/* { commands } of a static route: compiled as a filter that accepts. Current token is '{'. */
const struct filter *filter_parse_actions(struct parser *p);
/* An expression as a filter program for filter_eval(); `show route where`, `eval`. Holds one reference for the caller. */
const struct filter *filter_parse_expression(struct parser *p);
/* bt_test_suite(...) and friends at top level; the current token is the word */
bool filter_parse_test_statement(struct parser *p);
