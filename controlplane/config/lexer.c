/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hand-written scanner. A file is read whole (not mapped: an editor that
 * truncates it while we parse must not kill the daemon) and ends with a NUL,
 * so scanning needs no bounds checks.
 *
 * The token rules are "longest match, earlier rule wins a tie". Most tokens are
 * decided by their first two characters; what may be an address, a route
 * distinguisher, a MAC or a byte string goes to ambiguous(), which tries all.
 */
#include "controlplane/config/lexer.h"
#include "shared/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYMBOL_MAX 64
#define INCLUDE_DEPTH 8
#define FILE_MAX ((size_t)4 << 30)
#define INTERN_FIRST 256u

enum { F_WHITE = 1, F_DIGIT = 2, F_HEX = 4, F_WORD = 8 };

static const uint8_t flags[256] = {
	['\t'] = F_WHITE,
	[' '] = F_WHITE,
	['0' ... '9'] = F_DIGIT | F_HEX | F_WORD,
	['a' ... 'f'] = F_HEX | F_WORD,
	['A' ... 'F'] = F_HEX | F_WORD,
	['g' ... 'z'] = F_WORD,
	['G' ... 'Z'] = F_WORD,
	['_'] = F_WORD,
};

static inline bool is(char c, unsigned f)
{
	return flags[(uint8_t)c] & f;
}

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

static struct ident *intern(struct lexer *l, const char *s, size_t len)
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
	return intern(l, s, len)->text;
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

/* ---- tokens ---- */

static void at(const struct source *s, struct token *t, const char *p)
{
	t->file = s->file;
	t->line = s->line;
	t->col = (unsigned)(p - s->line_start) + 1;
}

/* The position stays, so that the error repeats. */
static void error_at(struct lexer *l, struct token *t, const char *p, const char *text)
{
	at(l->src, t, p);
	t->kind = TOK_ERROR;
	t->text = text;
}

static void error(struct token *t, const char *text)
{
	t->kind = TOK_ERROR;
	t->text = text;
}

/* Opens what is on top if it was only queued. False: error in t. */
static bool source_ready(struct lexer *l, struct token *t)
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

/* p: at the opening quote. Leaves the position behind the statement and the file(s) on top. */
static bool include(struct lexer *l, struct token *t, const char *p)
{
	struct source *s = l->src;
	const char *name = ++p, *slash, *path;
	size_t len = strcspn(p, "\"\n");
	glob_t g;
	int rc;

	at(s, t, name);
	p += len;
	if (*p == '"') {
		p++;
		while (is(*p, F_WHITE))
			p++;
	}
	if (!len || *p != ';' || memchr(name, 0, len)) {
		error(t, !len && *p == ';' ? "Include with empty argument" : "Unterminated include");
		return false;
	}
	if (!l->allow_include) {
		error(t, "Include not allowed here");
		return false;
	}
	if (s->depth >= INCLUDE_DEPTH) {
		error(t, "Max include depth reached");
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
		error(t, arena_printf(l->arena, "Unable to match pattern %s: %s", path,
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

static size_t run(const char *p, unsigned f)
{
	const char *q = p;

	while (is(*q, f))
		q++;
	return (size_t)(q - p);
}

/* Length of d.d.d.d at p, or 0. */
static size_t dotted(const char *p)
{
	const char *q = p;

	for (int i = 0; i < 4; i++) {
		size_t n;

		if (i && *q++ != '.')
			return 0;
		n = run(q, F_DIGIT);
		if (!n)
			return 0;
		q += n;
	}
	return (size_t)(q - p);
}

static bool number(const char *p, size_t n, uint32_t *out)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		v = v * 10 + (uint64_t)(p[i] - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*out = (uint32_t)v;
	return true;
}

static unsigned hex_value(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* Fields A:B and C:A:B; what they may hold depends on the kind of the first (RFC 4364 section 4.2). */
static void lex_rd(struct token *t, const char *p, size_t len)
{
	const char *fields[3], *end = p + len;
	size_t lens[3];
	uint32_t a, b, kind = 0;
	unsigned n = 0;

	for (const char *q = p; n < 3; n++) {
		const char *colon = memchr(q, ':', (size_t)(end - q));

		fields[n] = q;
		lens[n] = (size_t)((colon ? colon : end) - q);
		if (!colon) {
			n++;
			break;
		}
		q = colon + 1;
	}
	t->kind = TOK_RD;
	if (memchr(fields[0], '.', lens[0])) {
		struct ipaddr ip;
		char text[IPADDR_STRLEN];

		if (lens[0] >= sizeof(text))
			return error(t, "Invalid route distinguisher");
		memcpy(text, fields[0], lens[0]);
		text[lens[0]] = 0;
		if (ipaddr_parse(text, &ip) < 0 || !number(fields[1], lens[1], &b) || b > UINT16_MAX)
			return error(t, "Number out of range");
		t->u64 = UINT64_C(1) << 48 | (uint64_t)ntohl(ipaddr_to_v4(&ip)) << 16 | b;
		return;
	}
	if (n == 3)
		kind = fields[0][0] == '2' ? 2 : 0;
	if (!number(fields[n - 2], lens[n - 2], &a) || !number(fields[n - 1], lens[n - 1], &b))
		return error(t, "Number out of range");
	if (n == 2 && a > UINT16_MAX)
		kind = 2;
	if (kind == 0 && a > UINT16_MAX)
		return error(t, "ASN out of range");
	if (kind == 2 && b > UINT16_MAX)
		return error(t, "Number out of range");
	t->u64 = kind ? UINT64_C(2) << 48 | (uint64_t)a << 16 | b : (uint64_t)a << 32 | b;
}

static void lex_ip(struct lexer *l, struct token *t, const char *p, size_t len, int kind)
{
	char text[80];

	t->kind = kind;
	if (len >= sizeof(text))
		return error(t, kind == TOK_IP4 ? "Invalid IPv4 address" : "Invalid IPv6 address");
	memcpy(text, p, len);
	text[len] = 0;
	if (kind == TOK_IP6) {
		struct in6_addr a;

		/* Not ipaddr_parse(): ::ffff:a.b.c.d as written is an IPv6 address, though it is held the
		 * same. */
		if (inet_pton(AF_INET6, text, &a) == 1) {
			t->ip = ipaddr_v6(&a);
			return;
		}
		error(t, arena_printf(l->arena, "Invalid IPv6 address %s", text));
		return;
	}
	{
		uint32_t v = 0;
		const char *q = text;

		for (int i = 0; i < 4; i++, q++) {
			uint32_t octet;
			size_t n = run(q, F_DIGIT);

			if (!number(q, n, &octet) || octet > 255)
				return error(t, arena_printf(l->arena, "Invalid IPv4 address %s", text));
			v = v << 8 | octet;
			q += n;
		}
		t->ip = ipaddr_v4(htonl(v));
	}
}

/* Pairs of hex digits with or without colons between them. */
static void lex_bytes(struct lexer *l, struct token *t, const char *p, size_t len)
{
	struct value_bytes *v = arena_alloc_raw(l->arena, sizeof(*v) + len / 2 + 1);

	t->kind = TOK_BYTES;
	v->len = 0;
	for (size_t i = 0; i + 1 < len; i++) {
		if (p[i] == ':')
			continue;
		v->data[v->len++] = (uint8_t)(hex_value(p[i]) << 4 | hex_value(p[i + 1]));
		i++;
	}
	t->bytes = v;
}

static size_t match_rd(const char *p)
{
	size_t a = run(p, F_DIGIT), b, c;

	if (!a)
		return 0;
	if (p[a] == '.') {
		a = dotted(p);
		if (!a || p[a] != ':')
			return 0;
		b = run(p + a + 1, F_DIGIT);
		return b ? a + 1 + b : 0;
	}
	if (p[a] != ':')
		return 0;
	b = run(p + a + 1, F_DIGIT);
	if (!b)
		return 0;
	if (a == 1 && (*p == '0' || *p == '2') && p[2 + b] == ':') {
		c = run(p + 3 + b, F_DIGIT);
		if (c)
			return 3 + b + c;
	}
	return a + 1 + b;
}

/* XX:XX:... ; *pairs is their number. */
static size_t match_pairs(const char *p, unsigned *pairs)
{
	size_t n = 0;

	for (*pairs = 0; is(p[n], F_HEX) && is(p[n + 1], F_HEX); ++*pairs) {
		n += 2;
		if (p[n] != ':' || !is(p[n + 1], F_HEX) || !is(p[n + 2], F_HEX)) {
			++*pairs;
			break;
		}
		n++;
	}
	return n;
}

/* Hex digits and colons with "::" after the first group or at least three colons, and perhaps an IPv4 tail.
 */
static size_t match_ip6(const char *p)
{
	size_t n = 0, last = 0, first = run(p, F_HEX), v4;
	unsigned colons = 0;

	while (is(p[n], F_HEX) || p[n] == ':') {
		if (p[n] == ':') {
			colons++;
			last = n + 1;
		}
		n++;
	}
	if (colons < 3 && !(p[first] == ':' && p[first + 1] == ':'))
		return 0;
	v4 = dotted(p + last);
	return v4 ? last + v4 : n;
}

/* What starts with a hex digit or a colon and is not obviously a number or a word. Returns its length. */
static size_t ambiguous(struct lexer *l, struct token *t, const char *p)
{
	enum { NONE, RD, IP4, MAC, BYTES, IP6, HEX, NUMBER, WORD } best = NONE;
	size_t len = 0, n, digits;
	unsigned pairs;

#define TRY(kind, length)                                                                                    \
	do {                                                                                                 \
		n = (length);                                                                                \
		if (n > len) {                                                                               \
			len = n;                                                                             \
			best = kind;                                                                         \
		}                                                                                            \
	} while (0)
	TRY(RD, match_rd(p));
	TRY(IP4, dotted(p));
	n = match_pairs(p, &pairs);
	if (pairs >= 6)
		TRY(MAC, 17); /* the first six; longer ones are byte strings or addresses */
	if (pairs >= 10)
		TRY(BYTES, match_pairs(p, &pairs));
	n = run(p, F_HEX);
	if (n >= 20)
		TRY(BYTES, n & ~(size_t)1);
	TRY(IP6, match_ip6(p));
	if (p[0] == '0' && p[1] == 'x' && (n = run(p + 2, F_HEX)))
		TRY(HEX, n + 2);
	digits = run(p, F_DIGIT);
	TRY(NUMBER, digits);
	if (!digits)
		TRY(WORD, run(p, F_WORD));
#undef TRY
	switch (best) {
	case RD: lex_rd(t, p, len); break;
	case IP4: lex_ip(l, t, p, len, TOK_IP4); break;
	case MAC:
		t->kind = TOK_MAC;
		for (int i = 0; i < 6; i++)
			t->mac[i] = (uint8_t)(hex_value(p[3 * i]) << 4 | hex_value(p[3 * i + 1]));
		break;
	case BYTES: lex_bytes(l, t, p, len); break;
	case IP6: lex_ip(l, t, p, len, TOK_IP6); break;
	case HEX: {
		uint64_t v = 0;

		t->kind = TOK_NUMBER;
		for (size_t i = 2; i < len && v <= UINT32_MAX; i++)
			v = v << 4 | hex_value(p[i]);
		if (v > UINT32_MAX)
			error(t, "Number out of range");
		t->number = (uint32_t)v;
		break;
	}
	case NUMBER:
		t->kind = TOK_NUMBER;
		if (!number(p, len, &t->number))
			error(t, "Number out of range");
		break;
	case WORD: return 0;
	case NONE: /* a lone colon */ t->kind = ':'; return 1;
	}
	return len;
}

/* Only blanks between the start of the line and p? */
static bool at_line_start(const struct source *s, const char *p)
{
	while (p > s->line_start && is(p[-1], F_WHITE))
		p--;
	return p == s->line_start;
}

static const char *skip_comment(struct lexer *l, struct token *t, const char *p)
{
	struct source *s = l->src;

	for (p += 2;; p++) {
		if (*p == '\n') {
			s->line++;
			s->line_start = p + 1;
		} else if (*p == '*' && p[1] == '/') {
			return p + 2;
		} else if (*p == '/' && p[1] == '*') {
			error_at(l, t, p, "Comment nesting not supported");
			return NULL;
		} else if (!*p && p == s->end) {
			error_at(l, t, p, "Unterminated comment");
			return NULL;
		}
	}
}

static int two_char_operator(char a, char b)
{
	switch (a) {
	case '!': return b == '=' ? TOK_NEQ : b == '~' ? TOK_NMA : 0;
	case '<': return b == '=' ? TOK_LEQ : 0;
	case '>': return b == '=' ? TOK_GEQ : 0;
	case '&': return b == '&' ? TOK_AND : 0;
	case '|': return b == '|' ? TOK_OR : 0;
	case '-': return b == '>' ? TOK_ARROW : 0;
	case '+': return b == '+' ? TOK_PLUSPLUS : 0;
	case '.': return b == '.' ? TOK_DDOT : 0;
	case '[': return b == '=' ? TOK_PO : 0;
	case '=': return b == ']' ? TOK_PC : 0;
	default: return 0;
	}
}

static void lex_text(struct lexer *l, struct token *t, const char *p)
{
	struct source *s = l->src;
	size_t n = strcspn(p + 1, "\"\n");

	/* BIRD's place for a quoted thing is where it ends */
	if (p[1 + n] != '"')
		return error_at(l, t, p + n + (p[1 + n] == '\n'), "Unterminated string");
	at(s, t, p + 1 + n);
	t->kind = TOK_TEXT;
	t->text = arena_strndup(l->arena, p + 1, n);
	s->pos = p + n + 2;
}

static void lex_quoted(struct lexer *l, struct token *t, const char *p)
{
	size_t n = 1;

	while (is(p[n], F_WORD) || p[n] == '-' || p[n] == '.' || p[n] == ':')
		n++;
	if (p[n] == '\n' || (!p[n] && p + n == l->src->end))
		return error_at(l, t, p + n - 1, "Unterminated symbol");
	if (p[n] != '\'')
		return error_at(l, t, p + n, "Invalid character in apostrophed symbol");
	at(l->src, t, p + n);
	if (n - 1 > SYMBOL_MAX)
		return error(t, "Symbol too long");
	t->kind = TOK_SYMBOL;
	t->quoted = true;
	t->text = lexer_intern(l, p + 1, n - 1);
	l->src->pos = p + n + 1;
}

/* False: an include was followed, look again. */
static bool lex_word(struct lexer *l, struct token *t, const char *p)
{
	struct source *s = l->src;
	size_t n = run(p, F_WORD);
	struct ident *id;

	if (n == 4 && p[4] == ':' && !memcmp(p, "else", 4)) {
		t->kind = TOK_ELSECOL;
		s->pos = p + 5;
		return true;
	}
	if (n == 3 && p[3] == ':' && !memcmp(p, "hex", 3)) {
		size_t m = 4, pair = 4;

		while (is(p[pair], F_HEX) && is(p[pair + 1], F_HEX)) {
			m = pair + 2;
			pair = m + (p[m] == ':');
		}
		lex_bytes(l, t, p + 4, m - 4);
		s->pos = p + m;
		return true;
	}
	if (n == 7 && !memcmp(p, "include", 7) && at_line_start(s, p)) {
		const char *q = p + 7;

		while (is(*q, F_WHITE))
			q++;
		if (*q == '"')
			return !include(l, t, q);
	}
	if (n > SYMBOL_MAX) {
		error(t, "Symbol too long");
		return true;
	}
	id = intern(l, p, n);
	t->kind = id->keyword ? TOK_KEYWORD : TOK_SYMBOL;
	t->text = id->text;
	s->pos = p + n;
	return true;
}

/* A number or what begins like one. */
static void lex_digit(struct lexer *l, struct token *t, const char *p)
{
	struct source *s = l->src;
	uint64_t v = (uint64_t)(*p - '0');
	const char *q = p + 1;

	while (is(*q, F_DIGIT))
		v = v * 10 + (uint64_t)(*q++ - '0');
	/* up to nineteen digits cannot have wrapped around; more are no number anyway */
	if (*q == ':' || is(*q, F_HEX) || *q == 'x' || q - p >= 20 || (*q == '.' && is(q[1], F_DIGIT))) {
		/* a.b.c.d with nothing odd around is by far the most frequent of these */
		if (*q == '.' && v <= 255) {
			uint32_t addr = (uint32_t)v;
			int dots = 0;

			while (dots < 3 && *q == '.' && is(q[1], F_DIGIT)) {
				uint32_t octet = (uint32_t)(q[1] - '0');

				for (q += 2; is(*q, F_DIGIT) && octet <= 255; q++)
					octet = octet * 10 + (uint32_t)(*q - '0');
				if (octet > 255)
					break;
				addr = addr << 8 | octet;
				dots++;
			}
			if (dots == 3 && !(*q == ':' && is(q[1], F_DIGIT))) {
				t->kind = TOK_IP4;
				t->ip = ipaddr_v4(htonl(addr));
				s->pos = q;
				return;
			}
		}
		s->pos = p + ambiguous(l, t, p);
		return;
	}
	t->kind = TOK_NUMBER;
	t->number = (uint32_t)v;
	s->pos = q;
	if (v > UINT32_MAX)
		error(t, "Number out of range");
}

void lexer_next(struct lexer *l, struct token *t)
{
	struct source *s;
	const char *p;

	t->text = NULL;
	t->quoted = false;
again:
	if (!source_ready(l, t))
		return;
	s = l->src;
	p = s->pos;
skip:
	while (is(*p, F_WHITE))
		p++;
	at(s, t, p);
	switch (*p) {
	case '\n':
		s->line++;
		s->line_start = ++p;
		goto skip;
	case '\r': /* BIRD refuses it; a file from elsewhere is no reason to */
		if (p[1] == '\n') {
			p++;
			goto skip;
		}
		break;
	case '#':
		while (*p && *p != '\n')
			p++;
		if (*p || p == s->end)
			goto skip;
		break;
	case '/':
		if (p[1] == '*') {
			s->pos = p;
			p = skip_comment(l, t, p);
			if (!p)
				return;
			goto skip;
		}
		t->kind = '/';
		s->pos = p + 1;
		return;
	case 0:
		if (p != s->end)
			break;
		s->pos = p;
		if (s->up) {
			l->src = s->up;
			source_free(s);
			goto again;
		}
		t->kind = TOK_EOF;
		return;
	case '0' ... '9':
		lex_digit(l, t, p);
		if (t->kind == TOK_ERROR)
			s->pos = p;
		return;
	case ':':
		s->pos = p + ambiguous(l, t, p);
		if (t->kind == TOK_ERROR)
			s->pos = p;
		return;
	case '"':
		s->pos = p;
		lex_text(l, t, p);
		return;
	case '\'':
		s->pos = p;
		lex_quoted(l, t, p);
		return;
	case 'a' ... 'f':
	case 'A' ... 'F': {
		size_t n = run(p, F_HEX);

		if (p[n] == ':' || n >= 20) {
			n = ambiguous(l, t, p);
			if (n) {
				s->pos = t->kind == TOK_ERROR ? p : p + n;
				return;
			}
		}
	}
		/* fall through */
	case 'g' ... 'z':
	case 'G' ... 'Z':
	case '_':
		s->pos = p;
		if (!lex_word(l, t, p))
			goto again;
		return;
	case '!':
	case '<':
	case '>':
	case '&':
	case '|':
	case '-':
	case '+':
	case '.':
	case '[':
	case '=': {
		int op = two_char_operator(*p, p[1]);

		t->kind = op ? op : *p;
		s->pos = p + (op ? 2 : 1);
		return;
	}
	case '{':
	case '}':
	case ';':
	case ',':
	case '(':
	case ')':
	case ']':
	case '~':
	case '?':
	case '*':
	case '%':
		t->kind = *p;
		s->pos = p + 1;
		return;
	default: break;
	}
	s->pos = p;
	error(t, "Unknown character");
}
