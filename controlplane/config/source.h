/* SPDX-License-Identifier: BSD-2-Clause */
/* Between lexer.c (tokens) and source.c (where the text comes from). */
#pragma once
#include "controlplane/config/lexer.h"
#include <sys/types.h>

struct source {
	struct source *up;
	const char *file; /* interned */
	char *buf;        /* NULL: to be opened when it is reached */
	const char *pos, *end, *line_start;
	unsigned line, depth;
	dev_t dev;
	ino_t ino;
	/* where the include stands, for errors */
	const char *from_file;
	unsigned from_line, from_col;
};

struct ident {
	struct ident *next;
	uint32_t hash, len;
	bool keyword;
	char text[];
};

struct lexer {
	struct arena *arena;
	struct source *src;
	bool allow_include;
	struct ident **bucket;
	unsigned n_buckets, n_idents;
};

struct ident *lexer_ident(struct lexer *l, const char *s, size_t len);
/* Opens what is on top if it was only queued. False: error in t. */
bool source_ready(struct lexer *l, struct token *t);
/* Back to the including text. False: there is none. */
bool source_pop(struct lexer *l);
/* `include "path";` with p at the opening quote. Leaves the position behind the statement and the file(s) on
 * top, or an error in t. */
bool source_include(struct lexer *l, struct token *t, const char *p);

static inline void token_at(const struct source *s, struct token *t, const char *p)
{
	t->file = s->file;
	t->line = s->line;
	t->col = (unsigned)(p - s->line_start) + 1;
}

/* The position stays, so that the error repeats. */
static inline void token_error(struct token *t, const char *text)
{
	t->kind = TOK_ERROR;
	t->text = text;
}
