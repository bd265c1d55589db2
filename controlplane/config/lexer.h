/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tokens of BIRD 2's language, from files (with includes) or one CLI line.
 * Used by one thread at a time; a parser owns its lexer.
 *
 * Literal prefixes are the hot path (sets of millions): numbers, addresses and
 * punctuation allocate nothing. Spellings of identifiers are interned in the
 * arena, so two tokens of one lexer spelt alike have the same `text` pointer.
 */
#pragma once
#include "controlplane/config/arena.h"
#include "controlplane/filter/value.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum token_kind {
	TOK_EOF = 0,
	/* single characters are their own code: '{' '}' ';' ',' '(' ')' '=' '<' '>' '~' '[' ']' '?' '!' '|'
	 * '-' '+' '*' '/' '.' ':'
	 * '%' '&' */
	TOK_NUMBER = 256,
	TOK_IP4,
	TOK_IP6,
	TOK_RD,
	TOK_MAC,
	TOK_BYTES,
	TOK_TEXT,    /* "string" */
	TOK_SYMBOL,  /* identifier that is not a keyword, or one that a symbol in scope overrides, or 'quoted'
		      */
	TOK_KEYWORD, /* identifier that is a keyword: ->text, compare with parser_is(p, "word") */
	TOK_ELSECOL, /* else: */
	TOK_NEQ,
	TOK_NMA, /* !~ */
	TOK_LEQ,
	TOK_GEQ,
	TOK_AND,
	TOK_OR,
	TOK_ARROW,
	TOK_PLUSPLUS,
	TOK_DDOT,
	TOK_PO,    /* [= */
	TOK_PC,    /* =] */
	TOK_ERROR, /* not a token: text says what is wrong. parser_next() fails with it, only parser_peek()
		      can show it */
};

struct token {
	int kind;
	bool quoted;        /* 'symbol' */
	const char *file;   /* interned: valid while the configuration lives */
	unsigned line, col; /* 1-based, of the first character; of the closing quote for what is quoted, as in
			       BIRD */
	/* SYMBOL, KEYWORD: spelling; TEXT: without the quotes; ERROR: the message. NUL-terminated, in the
	 * arena. Else NULL. */
	const char *text;
	union {
		uint32_t number;
		struct ipaddr ip;
		uint64_t u64; /* RD: the eight bytes as a number, type on top */
		uint8_t mac[6];
		const struct value_bytes *bytes;
	};
};

struct lexer;
/* Spellings and strings go to `strings`; the texts being read are the lexer's own and go with
 * lexer_destroy(). */
struct lexer *lexer_create(struct arena *strings);
void lexer_destroy(struct lexer *l);
/* What to read, once for each lexer. File: 0 or -errno. Text is copied; includes are relative to the
 * directory of name. */
int lexer_open_file(struct lexer *l, const char *path);
void lexer_open_text(struct lexer *l, const char *name, const char *text, size_t len, bool allow_include);
/* After an error or the end the same token comes again. */
void lexer_next(struct lexer *l, struct token *t);
/* The spelling, interned. */
const char *lexer_intern(struct lexer *l, const char *s, size_t len);

/* Is this a keyword of the language (whether or not some symbol overrides it)? */
bool keyword_known(const char *word, size_t len);
