/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where tokens come from: files, includes, spellings. A file is read whole (not
 * mapped: an editor that truncates it while we parse must not kill the daemon)
 * and ends with a NUL, so that scanning needs no bounds checks.
 */
#include "controlplane/config/source.h"
#include "shared/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INCLUDE_DEPTH 8
#define FILE_MAX ((size_t)4 << 30)
#define INTERN_FIRST 256u

/* ---- spellings ---- */

static void intern_grow(struct lexer *l)
{
	unsigned n = l->n_buckets ? l->n_buckets * 2 : INTERN_FIRST;
	struct ident **bucket = calloc(n, sizeof(*bucket));

	if (!bucket)
		abort();
	for (unsigned i = 0; i < l->n_buckets; i++) {
		for (struct ident *id = l->bucket[i], *next; id; id = next) {
			next = id->next;
			id->next = bucket[id->hash & (n - 1)];
			bucket[id->hash & (n - 1)] = id;
		}
	}
	free(l->bucket);
	l->bucket = bucket;
	l->n_buckets = n;
}

struct ident *lexer_ident(struct lexer *l, const char *s, size_t len)
{
	uint32_t hash = (uint32_t)hash_bytes(s, len, 0);
	struct ident *id;

	if (l->n_idents >= l->n_buckets)
		intern_grow(l);
	for (id = l->bucket[hash & (l->n_buckets - 1)]; id; id = id->next)
		if (id->hash == hash && id->len == len && !memcmp(id->text, s, len))
			return id;
	id = arena_alloc_raw(l->arena, sizeof(*id) + len + 1);
	id->hash = hash;
	id->len = (uint32_t)len;
	id->keyword = keyword_known(s, len);
	memcpy(id->text, s, len);
	id->text[len] = 0;
	id->next = l->bucket[hash & (l->n_buckets - 1)];
	l->bucket[hash & (l->n_buckets - 1)] = id;
	l->n_idents++;
	return id;
}

const char *lexer_intern(struct lexer *l, const char *s, size_t len)
{
	return lexer_ident(l, s, len)->text;
}

/* ---- sources ---- */

struct lexer *lexer_create(struct arena *strings)
{
	struct lexer *l = calloc(1, sizeof(*l));

	if (!l)
		abort();
	l->arena = strings;
	return l;
}

static void source_free(struct source *s)
{
	free(s->buf);
	free(s);
}

void lexer_destroy(struct lexer *l)
{
	if (!l)
		return;
	while (l->src) {
		struct source *s = l->src;

		l->src = s->up;
		source_free(s);
	}
	free(l->bucket);
	free(l);
}

static struct source *source_push(struct lexer *l, const char *file)
{
	struct source *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->file = lexer_intern(l, file, strlen(file));
	s->line = 1;
	s->up = l->src;
	s->depth = l->src ? l->src->depth + 1 : 0;
	l->src = s;
	return s;
}

static void source_set(struct source *s, char *buf, size_t len)
{
	buf[len] = 0;
	s->buf = buf;
	s->pos = s->line_start = buf;
	s->end = buf + len;
}

/* 0 or -errno. Regular files are read in one go, others (a pipe from a template program) until their end. */
static int source_read(struct source *s)
{
	struct stat st;
	size_t size, len = 0;
	char *buf;
	int fd = open(s->file, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		err = -errno;
	} else if (S_ISDIR(st.st_mode)) {
		err = -EISDIR;
	} else {
		s->dev = st.st_dev;
		s->ino = st.st_ino;
	}
	size = !err && S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size + 1 : 65536;
	buf = err ? NULL : malloc(size + 1);
	while (buf) {
		ssize_t n;

		if (len == size) {
			char *more = size < FILE_MAX ? realloc(buf, size * 2 + 1) : NULL;

			if (!more) {
				err = -EFBIG;
				break;
			}
			buf = more;
			size *= 2;
		}
		n = read(fd, buf + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	if (!buf)
		return err ? err : -ENOMEM;
	if (err)
		free(buf);
	else
		source_set(s, buf, len);
	return err;
}

int lexer_open_file(struct lexer *l, const char *path)
{
	l->allow_include = true;
	return source_read(source_push(l, path));
}

void lexer_open_text(struct lexer *l, const char *name, const char *text, size_t len, bool allow_include)
{
	struct source *s = source_push(l, name);
	char *buf = malloc(len + 1);

	if (!buf)
		abort();
	l->allow_include = allow_include;
	if (len)
		memcpy(buf, text, len);
	source_set(s, buf, len);
}

bool source_pop(struct lexer *l)
{
	struct source *s = l->src;

	if (!s->up)
		return false;
	l->src = s->up;
	source_free(s);
	return true;
}

bool source_ready(struct lexer *l, struct token *t)
{
	struct source *s = l->src;
	int err;

	if (s->buf)
		return true;
	err = source_read(s);
	for (struct source *u = s->up; !err && u; u = u->up)
		if (u->ino && u->ino == s->ino && u->dev == s->dev && u->depth < s->depth)
			err = -ELOOP; /* includes itself: can only end at the depth limit */
	if (!err)
		return true;
	t->kind = TOK_ERROR;
	t->file = s->from_file;
	t->line = s->from_line;
	t->col = s->from_col;
	t->text = err == -ELOOP ? "Max include depth reached"
				: arena_printf(l->arena, "Unable to open included file %s: %s", s->file,
					  strerror(-err));
	free(s->buf);
	s->buf = NULL;
	return false;
}

static void queue_file(struct lexer *l, const char *path, const struct token *where)
{
	/* The including file is not always on top: several files of one glob wait above it. */
	struct source *top = l->src, *s = source_push(l, path);

	s->depth = top->buf ? top->depth + 1 : top->depth;
	s->from_file = where->file;
	s->from_line = where->line;
	s->from_col = where->col;
}

bool source_include(struct lexer *l, struct token *t, const char *p)
{
	struct source *s = l->src;
	const char *name = ++p, *slash, *path;
	size_t len = strcspn(p, "\"\n");
	glob_t g;
	int rc;

	token_at(s, t, name);
	p += len;
	if (*p == '"') {
		p++;
		while (*p == ' ' || *p == '\t')
			p++;
	}
	if (!len || *p != ';' || memchr(name, 0, len)) {
		token_error(t, !len && *p == ';' ? "Include with empty argument" : "Unterminated include");
		return false;
	}
	if (!l->allow_include) {
		token_error(t, "Include not allowed here");
		return false;
	}
	if (s->depth >= INCLUDE_DEPTH) {
		token_error(t, "Max include depth reached");
		return false;
	}
	slash = strrchr(s->file, '/');
	if (*name == '/')
		path = arena_strndup(l->arena, name, len);
	else if (slash)
		path = arena_printf(l->arena, "%.*s/%.*s", (int)(slash - s->file), s->file, (int)len, name);
	else
		path = arena_printf(l->arena, "./%.*s", (int)len, name);
	s->pos = p + 1;
	if (!memchr(name, '?', len) && !memchr(name, '*', len) && !memchr(name, '[', len)) {
		queue_file(l, path, t);
		return true;
	}
	rc = glob(path, GLOB_NOESCAPE | GLOB_ERR, NULL, &g);
	if (rc == GLOB_NOMATCH)
		return true;
	if (rc) {
		token_error(t, arena_printf(l->arena, "Unable to match pattern %s: %s", path,
				       rc == GLOB_NOSPACE ? strerror(ENOMEM) : strerror(errno)));
		return false;
	}
	for (size_t i = g.gl_pathc; i--;) {
		struct stat st;

		if (stat(g.gl_pathv[i], &st) == 0 && S_ISDIR(st.st_mode))
			continue;
		queue_file(l, g.gl_pathv[i], t);
	}
	globfree(&g);
	return true;
}
