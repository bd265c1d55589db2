/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tokens of BIRD 2's language, from files (with includes) or one CLI line.
 * Used by one thread at a time; a parser owns its lexer.
 */
#pragma once
#include "controlplane/filter/value.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum token_kind {
	TOK_EOF = 0,
	/* single characters are their own code: '{' '}' ';' ',' '(' ')' '=' '<' '>' '~' '[' ']' '?' '!' '|' '-' '+' '*' '/' '.' ':' '%' '&' */
	TOK_NUMBER = 256,
	TOK_IP4,
	TOK_IP6,
	TOK_RD,
	TOK_MAC,
	TOK_BYTES,
	TOK_TEXT,     /* "string" */
	TOK_SYMBOL,   /* identifier that is not a keyword, or 'quoted' */
	TOK_KEYWORD,  /* identifier that is a keyword: ->text, compare with parser_is(p, "word") */
	TOK_ELSECOL,  /* else: */
	TOK_NEQ, TOK_NMA, TOK_LEQ, TOK_GEQ, TOK_AND, TOK_OR, TOK_ARROW, TOK_PLUSPLUS, TOK_DDOT,
	TOK_PO, TOK_PC, /* [= =] */
};

struct token {
	int kind;
	const char *file;       /* interned: valid while the configuration lives */
	unsigned line, col;     /* 1-based, of the first character */
	const char *text;       /* spelling, NUL-terminated, in the arena (strings without quotes) */
	bool quoted;            /* 'symbol' */
	union {
		uint32_t number;
		struct ipaddr ip;
		uint64_t u64;
		uint8_t mac[6];
		const struct value_bytes *bytes;
	};
};
