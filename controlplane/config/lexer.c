/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hand-written scanner. The token rules are "longest match, earlier rule wins a
 * tie". Most tokens are decided by their first two characters; what may be an
 * address, a route distinguisher, a MAC or a byte string goes to ambiguous(),
 * which tries all. Source text ends with a NUL: no bounds checks.
 */
#include "controlplane/config/source.h"
#include <string.h>

#define SYMBOL_MAX 64

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

static void error_at(struct lexer *l, struct token *t, const char *p, const char *text)
{
	token_at(l->src, t, p);
	t->kind = TOK_ERROR;
	t->text = text;
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
			return token_error(t, "Invalid route distinguisher");
		memcpy(text, fields[0], lens[0]);
		text[lens[0]] = 0;
		if (ipaddr_parse(text, &ip) < 0 || !number(fields[1], lens[1], &b) || b > UINT16_MAX)
			return token_error(t, "Number out of range");
		t->u64 = UINT64_C(1) << 48 | (uint64_t)ntohl(ipaddr_to_v4(&ip)) << 16 | b;
		return;
	}
	if (n == 3)
		kind = fields[0][0] == '2' ? 2 : 0;
	if (!number(fields[n - 2], lens[n - 2], &a) || !number(fields[n - 1], lens[n - 1], &b))
		return token_error(t, "Number out of range");
	if (n == 2 && a > UINT16_MAX)
		kind = 2;
	if (kind == 0 && a > UINT16_MAX)
		return token_error(t, "ASN out of range");
	if (kind == 2 && b > UINT16_MAX)
		return token_error(t, "Number out of range");
	t->u64 = kind ? UINT64_C(2) << 48 | (uint64_t)a << 16 | b : (uint64_t)a << 32 | b;
}

static void lex_ip(struct lexer *l, struct token *t, const char *p, size_t len, int kind)
{
	char text[80];

	t->kind = kind;
	if (len >= sizeof(text))
		return token_error(t, kind == TOK_IP4 ? "Invalid IPv4 address" : "Invalid IPv6 address");
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
		token_error(t, arena_printf(l->arena, "Invalid IPv6 address %s", text));
		return;
	}
	{
		uint32_t v = 0;
		const char *q = text;

		for (int i = 0; i < 4; i++, q++) {
			uint32_t octet;
			size_t n = run(q, F_DIGIT);

			if (!number(q, n, &octet) || octet > 255)
				return token_error(
					t, arena_printf(l->arena, "Invalid IPv4 address %s", text));
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
			token_error(t, "Number out of range");
		t->number = (uint32_t)v;
		break;
	}
	case NUMBER:
		t->kind = TOK_NUMBER;
		if (!number(p, len, &t->number))
			token_error(t, "Number out of range");
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
	token_at(s, t, p + 1 + n);
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
	token_at(l->src, t, p + n);
	if (n - 1 > SYMBOL_MAX)
		return token_error(t, "Symbol too long");
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
			return !source_include(l, t, q);
	}
	if (n > SYMBOL_MAX) {
		token_error(t, "Symbol too long");
		return true;
	}
	id = lexer_ident(l, p, n);
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
		token_error(t, "Number out of range");
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
	token_at(s, t, p);
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
		if (source_pop(l))
			goto again;
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
	token_error(t, "Unknown character");
}
