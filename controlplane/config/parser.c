/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the grammars share: the token window, errors in bison's words (people
 * search the web for them, and scripts compare), plain values.
 */
#include "controlplane/config/parser.h"
#include "controlplane/config/config.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 1000

/* ---- errors ---- */

static _Noreturn void vfail(struct parser *p, const struct token *t, const char *fmt, va_list ap)
{
	struct config_error *e = p->error;

	snprintf(e->file, sizeof(e->file), "%s", t->file ? t->file : "");
	e->line = t->line;
	e->col = t->col;
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	longjmp(p->fail, 1);
}

void parser_fail(struct parser *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfail(p, &p->tok, fmt, ap);
}

void parser_fail_at(struct parser *p, const struct token *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfail(p, t, fmt, ap);
}

/* The name of a token kind in BIRD's grammar. */
static const char *kind_name(int kind, char buf[8])
{
	switch (kind) {
	case TOK_EOF: return "END";
	case TOK_NUMBER: return "NUM";
	case TOK_IP4: return "IP4";
	case TOK_IP6: return "IP6";
	case TOK_RD: return "VPN_RD";
	case TOK_MAC: return "MAC_ADDR";
	case TOK_BYTES: return "BYTETEXT";
	case TOK_TEXT: return "TEXT";
	case TOK_SYMBOL: return "CF_SYM_UNDEFINED";
	case TOK_ELSECOL: return "ELSECOL";
	case TOK_NEQ: return "NEQ";
	case TOK_NMA: return "NMA";
	case TOK_LEQ: return "LEQ";
	case TOK_GEQ: return "GEQ";
	case TOK_AND: return "AND";
	case TOK_OR: return "OR";
	case TOK_ARROW: return "ARROW";
	case TOK_PLUSPLUS: return "CONCAT";
	case TOK_DDOT: return "DDOT";
	case TOK_PO: return "PO";
	case TOK_PC: return "PC";
	default: break;
	}
	if (kind < 256)
		snprintf(buf, 8, "'%c'", kind);
	else
		snprintf(buf, 8, "?");
	return buf;
}

static const char *upper(const char *word, char *buf, size_t size)
{
	size_t i;

	for (i = 0; word[i] && i + 1 < size; i++)
		buf[i] = (char)toupper((unsigned char)word[i]);
	buf[i] = 0;
	return buf;
}

void parser_syntax_error(struct parser *p, const char *expecting)
{
	char kind[8], word[72];
	const char *got;

	if (p->tok.kind == TOK_KEYWORD)
		got = upper(p->tok.text, word, sizeof(word));
	else if (p->tok.kind == TOK_SYMBOL && parser_symbol(p))
		got = "CF_SYM_KNOWN";
	else
		got = kind_name(p->tok.kind, kind);
	if (expecting)
		parser_fail(p, "syntax error, unexpected %s, expecting %s", got, expecting);
	parser_fail(p, "syntax error, unexpected %s", got);
}

void parser_warn(struct parser *p, const struct token *t, const char *fmt, ...)
{
	struct config *c = p->config;
	struct config_warning *w, **link;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (p->cli || c->n_warnings++ >= CONFIG_WARNINGS)
		return;
	log_msg(LOG_CLASS_WARNING, "%s:%u:%u: %s", t->file, t->line, t->col, text);
	w = arena_alloc(c->arena, sizeof(*w));
	w->file = t->file;
	w->line = t->line;
	w->col = t->col;
	w->text = arena_strdup(c->arena, text);
	for (link = &c->warnings; *link; link = &(*link)->next)
		;
	*link = w;
}

void parser_enter(struct parser *p)
{
	if (++p->depth > MAX_DEPTH)
		parser_fail(p, "Nesting too deep");
}

void parser_leave(struct parser *p)
{
	p->depth--;
}

struct arena *parser_scratch_begin(struct parser *p)
{
	struct arena *outer = p->arena;

	if (p->scratch)
		p->arena = p->scratch;
	return outer;
}

void parser_scratch_end(struct parser *p, struct arena *outer)
{
	if (p->arena != outer)
		arena_reset(p->scratch);
	p->arena = outer;
}

/* ---- tokens ---- */

void parser_open_line(struct parser *p, struct arena *a, struct config *c, const char *line, size_t len,
	struct config_error *err)
{
	memset(p, 0, sizeof(*p));
	memset(err, 0, sizeof(*err));
	p->arena = a;
	p->config = c;
	p->symbols = c->symbols;
	p->scope = symbol_scope_push(a, c->symbols->global);
	p->error = err;
	p->cli = true;
	p->lexer = lexer_create(a);
	lexer_open_text(p->lexer, "CLI", line, len, false);
}

void parser_start(struct parser *p)
{
	parser_next(p);
}

void parser_close(struct parser *p)
{
	lexer_destroy(p->lexer);
	p->lexer = NULL;
}

/* A word of the language that a symbol in scope overrides is that symbol. */
static inline void resolve(const struct parser *p, struct token *t)
{
	if (t->kind == TOK_KEYWORD && symbol_find(p->scope, t->text))
		t->kind = TOK_SYMBOL;
}

void parser_next(struct parser *p)
{
	if (p->has_ahead) {
		p->tok = p->ahead;
		p->has_ahead = false;
	} else {
		lexer_next(p->lexer, &p->tok);
	}
	resolve(p, &p->tok);
	if (p->tok.kind == TOK_ERROR)
		parser_fail(p, "%s", p->tok.text);
}

const struct token *parser_peek(struct parser *p)
{
	if (!p->has_ahead) {
		lexer_next(p->lexer, &p->ahead);
		p->has_ahead = true;
	}
	resolve(p, &p->ahead);
	return &p->ahead;
}

bool parser_is_word(const struct parser *p)
{
	return p->tok.kind == TOK_SYMBOL || p->tok.kind == TOK_KEYWORD;
}

bool parser_is(const struct parser *p, const char *word)
{
	return parser_is_word(p) && !p->tok.quoted && !strcmp(p->tok.text, word);
}

bool parser_is_char(const struct parser *p, int c)
{
	return p->tok.kind == c;
}

bool parser_accept(struct parser *p, const char *word)
{
	if (!parser_is(p, word))
		return false;
	parser_next(p);
	return true;
}

bool parser_accept_char(struct parser *p, int c)
{
	if (p->tok.kind != c)
		return false;
	parser_next(p);
	return true;
}

void parser_expect(struct parser *p, const char *word)
{
	char buf[72];

	if (!parser_accept(p, word))
		parser_syntax_error(p, upper(word, buf, sizeof(buf)));
}

void parser_expect_char(struct parser *p, int c)
{
	char buf[8];

	if (!parser_accept_char(p, c))
		parser_syntax_error(p, kind_name(c, buf));
}

/* ---- symbols ---- */

struct symbol *parser_symbol(const struct parser *p)
{
	struct symbol *sym = parser_is_word(p) ? symbol_find(p->scope, p->tok.text) : NULL;

	return sym && sym->cls != SYM_VOID ? sym : NULL;
}

struct symbol *parser_define(struct parser *p, const struct token *name, enum symbol_class cls)
{
	struct symbol *sym;

	if (symbol_find_here(p->scope, name->text))
		parser_fail(p, "Symbol '%s' already defined", name->text);
	if (!name->quoted && keyword_known(name->text, strlen(name->text)))
		parser_warn(p, name, "Symbol '%s' overrides existing keyword", name->text);
	sym = symbol_define(p->arena, p->symbols, p->scope, name->text, cls);
	sym->file = name->file;
	sym->line = name->line;
	return sym;
}

const char *parser_name(struct parser *p)
{
	const char *name = p->tok.text;

	if (!parser_is_word(p))
		parser_syntax_error(p, "CF_SYM_UNDEFINED or CF_SYM_KNOWN");
	parser_next(p);
	return name;
}

/* ---- plain values ---- */

/* The constant that the current token names; fails unless it is one of a type in types (bits). Not consumed.
 */
static const struct value *constant(struct parser *p, uint32_t types, const char *what, const char *expecting)
{
	const struct symbol *sym = p->tok.kind == TOK_SYMBOL ? parser_symbol(p) : NULL;

	if (!sym)
		parser_syntax_error(p, expecting);
	if (sym->cls != SYM_CONSTANT || sym->value.type >= 32 || !(types & 1u << sym->value.type))
		parser_fail(p, "%s expected", what);
	return &sym->value;
}

static struct value expression(struct parser *p, enum value_type type, const char *what)
{
	struct value v;

	parser_expect_char(p, '(');
	parser_enter(p);
	v = filter_parse_constant(p);
	parser_leave(p);
	if (v.type != type)
		parser_fail(p, "%s expected", what);
	parser_expect_char(p, ')');
	return v;
}

uint32_t parser_number(struct parser *p)
{
	uint32_t n;

	if (p->tok.kind == TOK_NUMBER) {
		n = p->tok.number;
		parser_next(p);
		return n;
	}
	if (p->tok.kind == '(')
		return expression(p, T_INT, "Number").i;
	n = constant(p, 1u << T_INT, "Number", "NUM or CF_SYM_KNOWN or '('")->i;
	parser_next(p);
	return n;
}

uint32_t parser_number_in(struct parser *p, uint32_t min, uint32_t max, const char *error)
{
	struct token value = p->tok;
	uint32_t n = parser_number(p);

	if (n >= min && n <= max)
		return n;
	if (error)
		parser_fail_at(p, &value, "%s", error);
	parser_fail_at(p, &value, "Value %u out of range (%u-%u)", n, min, max);
}

bool parser_switch(struct parser *p)
{
	const struct value *v;
	bool on;

	/* The words first: nobody means a constant by a name like these, and it could only say the same. */
	if (parser_accept(p, "on") || parser_accept(p, "yes") || parser_accept(p, "true"))
		return true;
	if (parser_accept(p, "off") || parser_accept(p, "no") || parser_accept(p, "false"))
		return false;
	if (p->tok.kind == TOK_NUMBER)
		return parser_number(p) != 0;
	if (parser_accept_char(p, '(')) {
		struct value r = filter_parse_constant(p);

		if (r.type != T_INT && r.type != T_BOOL)
			parser_fail(p, "Switch value expected");
		parser_expect_char(p, ')');
		return r.type == T_BOOL ? r.b : r.i != 0;
	}
	if (p->tok.kind != TOK_SYMBOL || !parser_symbol(p))
		return true; /* silence means agreement */
	v = constant(p, 1u << T_INT | 1u << T_BOOL, "Switch value", NULL);
	on = v->type == T_BOOL ? v->b : v->i != 0;
	parser_next(p);
	return on;
}

const char *parser_text(struct parser *p)
{
	const char *s;

	if (p->tok.kind == TOK_TEXT) {
		s = p->tok.text;
		parser_next(p);
		return s;
	}
	if (p->tok.kind == '(')
		return expression(p, T_STRING, "String").s;
	s = constant(p, 1u << T_STRING, "String", "CF_SYM_KNOWN or TEXT or '('")->s;
	parser_next(p);
	return s;
}

struct ipaddr parser_ip(struct parser *p)
{
	struct ipaddr ip;

	if (p->tok.kind == TOK_IP4 || p->tok.kind == TOK_IP6) {
		ip = p->tok.ip;
		parser_next(p);
		return ip;
	}
	if (p->tok.kind == '(')
		return expression(p, T_IP, "IP address").ip;
	ip = constant(p, 1u << T_IP, "IP address", "IP4 or IP6 or CF_SYM_KNOWN or '('")->ip;
	parser_next(p);
	return ip;
}

static bool in_prefix_set(int next)
{
	return next == '{' || next == '+' || next == '-' || next == ',' || next == ']';
}

struct prefix parser_prefix_literal(struct parser *p)
{
	struct ipaddr ip = p->tok.ip;
	bool v4 = p->tok.kind == TOK_IP4, too_long;
	struct prefix out;
	uint32_t len;

	parser_next(p);
	parser_expect_char(p, '/');
	if (p->tok.kind != TOK_NUMBER)
		parser_syntax_error(p, "NUM");
	len = p->tok.number;
	too_long = len > (v4 ? 32u : 128u);
	if (too_long) {
		out = (struct prefix){.addr = ip};
	} else if (v4) {
		out = prefix_make(&ip, len);
	} else {
		/* By hand: an IPv6 literal inside ::ffff:0:0/96 stays IPv6. */
		out = (struct prefix){.addr = ip, .len = (uint8_t)len, .family = 6};
		for (unsigned i = 0; i < 16; i++)
			out.addr.b[i] &= len >= 8 * i + 8 ? 0xff
					 : len <= 8 * i   ? 0
							  : (uint8_t)(0xff00 >> (len - 8 * i));
	}
	if (too_long || !ipaddr_equal(&ip, &out.addr)) {
		char wrong[IPADDR_STRLEN], right[PREFIX_STRLEN];

		/* BIRD has seen what follows an IPv6 prefix before it looks at it, but for elements of a set.
		 */
		if (!v4 && !in_prefix_set(parser_peek(p)->kind))
			parser_next(p);
		if (too_long)
			parser_fail(p, "Invalid prefix length %u", len);
		parser_fail(p, "Invalid IPv%u prefix %s/%u, maybe you wanted %s", out.family,
			ipaddr_format(&ip, wrong), len, prefix_format(&out, right));
	}
	parser_next(p);
	return out;
}

struct prefix parser_prefix(struct parser *p)
{
	const struct net *net;

	if (p->tok.kind == TOK_IP4 || p->tok.kind == TOK_IP6)
		return parser_prefix_literal(p);
	if (p->tok.kind == '(') {
		net = expression(p, T_NET, "IP network").net;
		if (net->type != NET_IP4 && net->type != NET_IP6)
			parser_fail(p, "IP network expected");
		return net->prefix;
	}
	net = constant(p, 1u << T_NET, "IP network", "IP4 or IP6 or CF_SYM_KNOWN or '('")->net;
	if (net->type != NET_IP4 && net->type != NET_IP6)
		parser_fail(p, "IP network expected");
	parser_next(p);
	return net->prefix;
}

uint64_t parser_time_us(struct parser *p)
{
	uint64_t n = parser_number(p);

	if (parser_accept(p, "s"))
		return n * 1000000;
	if (parser_accept(p, "ms"))
		return n * 1000;
	if (parser_accept(p, "us"))
		return n;
	parser_syntax_error(p, "S or MS or US");
}
