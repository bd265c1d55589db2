/* SPDX-License-Identifier: BSD-2-Clause */
/* Set literals, labels of case, path masks. */
#include "controlplane/filter/mask.h"
#include "controlplane/filter/parse.h"
#include "controlplane/filter/prefix_set.h"
#include <string.h>

/* ---- prefix sets ---- */

static void release_prefix_set(void *s)
{
	prefix_set_release(s);
}

static void release_set(void *s)
{
	set_release(s);
}

static unsigned plain_number(struct parser *p)
{
	unsigned n;

	if (p->tok.kind != TOK_NUMBER)
		parser_syntax_error(p, "NUM");
	n = p->tok.number;
	parser_next(p);
	return n;
}

static struct node *parse_prefix_set(struct parser *p)
{
	struct prefix_set_builder *b = prefix_set_builder(p->arena);
	struct value v = {.type = T_PREFIX_SET};

	for (;;) {
		if (p->tok.kind != TOK_IP4 && p->tok.kind != TOK_IP6)
			parser_syntax_error(p, "IP4 or IP6");
		struct prefix prefix = parser_prefix_literal(p);
		unsigned max = prefix.family == 4 ? 32 : 128, lo = prefix.len, hi = prefix.len;

		switch (p->tok.kind) {
		case '+':
			hi = max;
			parser_next(p);
			break;
		case '-':
			lo = 0;
			parser_next(p);
			break;
		case '{':
			parser_next(p);
			lo = plain_number(p);
			parser_expect_char(p, ',');
			hi = plain_number(p);
			if (p->tok.kind != '}')
				parser_syntax_error(p, "'}'");
			if (lo > hi || hi > max)
				parser_fail(p, "Invalid prefix pattern range: {%u, %u}", lo, hi);
			parser_next(p);
			break;
		default: break;
		}
		if (!prefix_set_builder_add(b, &prefix, lo, hi))
			parser_fail(p, "Mixed IPv4/IPv6 prefixes in prefix set");
		if (p->tok.kind == ']')
			break;
		if (p->tok.kind != ',')
			parser_syntax_error(p, "',' or ']'");
		parser_next(p);
	}
	v.pset = prefix_set_build(b);
	arena_at_end(p->arena, release_prefix_set, (void *)v.pset);
	parser_next(p);
	return node_const(p, v);
}

/* ---- items ---- */

/* One component of a tuple: N, N..N or a star. */
struct field {
	uint32_t lo, hi;
	bool star, range;
};

static uint32_t constant_number(struct parser *p, struct node *n)
{
	return parse_evaluate(p, n, T_INT).i;
}

static uint32_t check_u16(struct parser *p, uint32_t v)
{
	if (v > 0xffff)
		parser_fail(p, "Value %u out of range (0-65535)", v);
	return v;
}

static struct field parse_field(struct parser *p)
{
	struct field f = {0, UINT32_MAX, true, false};

	if (parser_accept_char(p, '*'))
		return f;
	f.star = false;
	f.lo = f.hi = constant_number(p, parse_expression(p));
	if (parser_accept_char(p, TOK_DDOT)) {
		f.range = true;
		f.hi = constant_number(p, parse_expression(p));
	}
	return f;
}

static void add(struct parser *p, struct set_builder *b, enum value_type type, const union set_key *lo,
	const union set_key *hi, uint32_t tag)
{
	if (b->type && b->type != type)
		parser_fail(p, "Elements of a set must be of one type, got %s and %s",
			value_type_name(b->type), value_type_name(type));
	b->type = type;
	set_builder_add(b, lo, hi, tag);
}

static void add_u32(
	struct parser *p, struct set_builder *b, enum value_type type, uint32_t lo, uint32_t hi, uint32_t tag)
{
	union set_key l, h;

	memset(&l, 0, sizeof(l));
	memset(&h, 0, sizeof(h));
	l.i = lo;
	h.i = hi;
	add(p, b, type, &l, &h, tag);
}

static void add_pair(struct parser *p, struct set_builder *b, uint32_t tag, const struct field *f)
{
	uint32_t a0 = check_u16(p, f[0].lo), a1 = f[0].star ? 0xffff : check_u16(p, f[0].hi);
	uint32_t b0 = check_u16(p, f[1].lo), b1 = f[1].star ? 0xffff : check_u16(p, f[1].hi);

	if (a1 < a0 || b1 < b0)
		parser_fail(p, "From value cannot be higher that To value in pair sets");
	if (b0 == 0 && b1 == 0xffff) { /* one stretch */
		add_u32(p, b, T_PAIR, a0 << 16, a1 << 16 | 0xffff, tag);
		return;
	}
	for (uint32_t i = a0; i <= a1; i++)
		add_u32(p, b, T_PAIR, i << 16 | b0, i << 16 | b1, tag);
}

static void add_lc(struct parser *p, struct set_builder *b, uint32_t tag, const struct field *f)
{
	union set_key lo, hi;

	/* After the first range or star there is nothing but stars: the set is one stretch in the order of
	 * triples. */
	if (((f[0].range || f[0].star) && !f[1].star) || ((f[1].range || f[1].star) && !f[2].star))
		parser_fail(p, "syntax error, only '*' may follow a range or '*' in a large community set");
	memset(&lo, 0, sizeof(lo));
	memset(&hi, 0, sizeof(hi));
	lo.lc = (struct lcomm){f[0].lo, f[1].lo, f[2].lo};
	hi.lc = (struct lcomm){f[0].hi, f[1].hi, f[2].hi};
	add(p, b, T_LC, &lo, &hi, tag);
}

static bool at_ec_kind(struct parser *p)
{
	return parse_at_word(p, "rt") || parse_at_word(p, "ro") || parse_at_word(p, "unknown") ||
	       parse_at_word(p, "generic");
}

uint32_t parse_ec_kind(struct parser *p)
{
	uint32_t kind = EC_RT;

	if (parser_is(p, "ro")) {
		kind = EC_RO;
	} else if (parser_is(p, "generic")) {
		kind = EC_GENERIC;
	} else if (parser_is(p, "unknown")) {
		parser_next(p);
		if (p->tok.kind != TOK_NUMBER)
			parser_syntax_error(p, "NUM");
		kind = p->tok.number;
		if (kind > 0xffff)
			parser_fail(p, "Value %u out of range (0-65535)", kind);
	}
	parser_next(p);
	return kind;
}

static void add_ec(struct parser *p, struct set_builder *b, uint32_t tag)
{
	uint32_t kind = parse_ec_kind(p), key;
	union set_key lo, hi;
	struct field f;

	parser_expect_char(p, ',');
	key = constant_number(p, parse_expression(p));
	parser_expect_char(p, ',');
	f = parse_field(p);
	if (p->tok.kind != ')')
		parser_syntax_error(p, "')'");
	if (kind != EC_GENERIC && key > 0xffff) {
		check_u16(p, f.lo);
		f.hi = f.star ? 0xffff : check_u16(p, f.hi);
	}
	parser_next(p);
	memset(&lo, 0, sizeof(lo));
	memset(&hi, 0, sizeof(hi));
	lo.u64 = ec_make(kind, false, key, f.lo);
	hi.u64 = ec_make(kind, false, key, f.hi);
	add(p, b, T_EC, &lo, &hi, tag);
}

/* After '('. true: it was a tuple and is added; false: ( expression ), its value in *atom. */
static bool parse_tuple(struct parser *p, struct set_builder *b, uint32_t tag, struct value *atom)
{
	struct field f[3], g[3];
	unsigned n = 0, m = 0;
	bool single = true;

	if (at_ec_kind(p)) {
		add_ec(p, b, tag);
		return true;
	}
	if (!parser_accept_char(p, '*')) {
		struct node *first = parse_expression(p);

		if (parser_accept_char(p, ')')) {
			*atom = parse_evaluate(p, first, T_VOID);
			if (!set_type_valid(atom->type))
				parser_fail(p, "Set-incompatible type (%s)", value_type_name(atom->type));
			return false;
		}
		f[0] = (struct field){.lo = constant_number(p, first)};
		f[0].hi = f[0].lo;
		if (parser_accept_char(p, TOK_DDOT)) {
			f[0].range = true;
			f[0].hi = constant_number(p, parse_expression(p));
		}
	} else {
		f[0] = (struct field){0, UINT32_MAX, true, false};
	}
	if (p->tok.kind != ',')
		parser_syntax_error(p, "','");
	for (n = 1; n < 3 && parser_accept_char(p, ','); n++)
		f[n] = parse_field(p);
	parser_expect_char(p, ')');
	for (unsigned i = 0; i < n; i++)
		single = single && !f[i].range && !f[i].star;
	if (single && parser_accept_char(p, TOK_DDOT)) {
		parser_expect_char(p, '(');
		do {
			g[m++] = parse_field(p);
			if (g[m - 1].range || g[m - 1].star)
				parser_syntax_error(p, "',' or ')'");
		} while (m < n && parser_accept_char(p, ','));
		if (m < n)
			parser_syntax_error(p, "','");
		parser_expect_char(p, ')');
		if (n == 2) {
			for (unsigned i = 0; i < 2; i++) {
				check_u16(p, f[i].lo);
				check_u16(p, g[i].lo);
				if (g[i].lo < f[i].lo)
					parser_fail(
						p, "From value cannot be higher that To value in pair sets");
			}
			add_u32(p, b, T_PAIR, f[0].lo << 16 | f[1].lo, g[0].lo << 16 | g[1].lo, tag);
			return true;
		}
		union set_key lo, hi;

		memset(&lo, 0, sizeof(lo));
		memset(&hi, 0, sizeof(hi));
		lo.lc = (struct lcomm){f[0].lo, f[1].lo, f[2].lo};
		hi.lc = (struct lcomm){g[0].lo, g[1].lo, g[2].lo};
		add(p, b, T_LC, &lo, &hi, tag);
		return true;
	}
	if (n == 2)
		add_pair(p, b, tag, f);
	else
		add_lc(p, b, tag, f);
	return true;
}

/* A single value: number, address, rd, mac, enum constant, constant's name. */
static struct value parse_atom(struct parser *p, bool symbols)
{
	struct value v = {.type = T_VOID};
	const struct word *w;
	struct symbol *sym;

	switch (p->tok.kind) {
	case TOK_NUMBER: v = (struct value){.type = T_INT, .i = p->tok.number}; break;
	case TOK_IP4:
	case TOK_IP6: v = (struct value){.type = T_IP, .ip = p->tok.ip}; break;
	case TOK_RD: v = (struct value){.type = T_RD, .u64 = p->tok.u64}; break;
	case TOK_MAC:
		v.type = T_MAC;
		memcpy(v.mac, p->tok.mac, 6);
		break;
	case TOK_SYMBOL:
	case TOK_KEYWORD:
		sym = parser_symbol(p);
		if (sym) {
			if (!symbols)
				parser_syntax_error(p, NULL);
			if (sym->cls != SYM_CONSTANT)
				parser_fail(p, "Constant name required");
			if (!set_type_valid(sym->value.type))
				parser_fail(p, "%s: Set-incompatible type (%s)", sym->name,
					value_type_name(sym->value.type));
			v = sym->value;
			break;
		}
		w = parse_word(p);
		if (!w || w->kind != WORD_ENUM)
			parser_syntax_error(p, NULL);
		v = (struct value){.type = w->type, .i = w->number};
		break;
	default: parser_syntax_error(p, NULL);
	}
	parser_next(p);
	return v;
}

static void parse_item(struct parser *p, struct set_builder *b, uint32_t tag, bool symbols)
{
	struct value from, to;
	union set_key lo, hi;

	if (parser_accept_char(p, '(')) {
		if (parse_tuple(p, b, tag, &from))
			return;
	} else {
		from = parse_atom(p, symbols);
	}
	to = from;
	if (parser_accept_char(p, TOK_DDOT)) {
		if (parser_accept_char(p, '(')) {
			to = parse_evaluate(p, parse_expression(p), T_VOID);
			parser_expect_char(p, ')');
		} else {
			to = parse_atom(p, symbols);
		}
		if (to.type != from.type)
			parser_fail(p, "Both ends of a range must be of one type, got %s and %s",
				value_type_name(from.type), value_type_name(to.type));
	}
	lo = set_key_of(&from);
	hi = set_key_of(&to);
	add(p, b, from.type, &lo, &hi, tag);
}

void parse_set_items(struct parser *p, struct set_builder *b, uint32_t tag, bool symbols)
{
	do
		parse_item(p, b, tag, symbols);
	while (parser_accept_char(p, ','));
}

static const struct filter_set *finish_set(struct parser *p, struct set_builder *b)
{
	const struct filter_set *s = set_build(b);

	arena_at_end(p->arena, release_set, (void *)s);
	return s;
}

struct node *parse_set(struct parser *p)
{
	struct set_builder b = {.arena = p->arena};
	struct value v = {.type = T_SET};

	parser_next(p);
	if ((p->tok.kind == TOK_IP4 || p->tok.kind == TOK_IP6) && parser_peek(p)->kind == '/')
		return parse_prefix_set(p);
	if (p->tok.kind != ']') {
		parse_set_items(p, &b, 0, true);
		if (p->tok.kind != ']')
			parser_syntax_error(p, "',' or ']'");
		v.set = finish_set(p, &b);
	}
	parser_next(p);
	return node_const(p, v);
}

/* ---- path masks ---- */

static struct node *mask_node(struct parser *p, enum mask_node op, struct mask_item item)
{
	struct node *n = node_new(p, N_MASK);

	n->op = (uint8_t)op;
	n->mask_item = arena_memdup(p->arena, &item, sizeof(item));
	return n;
}

static struct node *mask_constant(struct parser *p, struct node *n)
{
	const struct value *v = &n->value;

	if (v->type == T_INT)
		return mask_node(
			p, MASK_NODE_ITEM, (struct mask_item){.kind = MASK_ASN, .lo = v->i, .hi = v->i});
	if (v->type == T_SET) {
		if (v->set && v->set->type != T_INT)
			parser_fail(p,
				"filter preevaluation, line %u: Only integer sets allowed in path mask",
				n->line);
		return mask_node(p, MASK_NODE_ITEM, (struct mask_item){.kind = MASK_SET, .set = v->set});
	}
	parser_fail(p,
		"filter preevaluation, line %u: Error resolving path mask template: value not an integer",
		n->line);
}

static struct node *mask_element(struct parser *p)
{
	struct mask_item it = {.kind = MASK_ANY};
	struct set_builder b = {.arena = p->arena};
	struct node *n;

	switch (p->tok.kind) {
	case '*':
		it.kind = MASK_STAR;
		parser_next(p);
		return mask_node(p, MASK_NODE_ITEM, it);
	case '?': parser_next(p); return mask_node(p, MASK_NODE_ITEM, it);
	case '+': parser_next(p); return mask_node(p, MASK_NODE_LOOP, it);
	case TOK_NUMBER:
		it.kind = MASK_ASN;
		it.lo = it.hi = p->tok.number;
		parser_next(p);
		if (parser_accept_char(p, TOK_DDOT)) {
			it.range = true;
			it.hi = plain_number(p);
		}
		return mask_node(p, MASK_NODE_ITEM, it);
	case '[':
		parser_next(p);
		it.kind = MASK_SET;
		if (p->tok.kind != ']') {
			parse_set_items(p, &b, 0, true);
			if (b.type != T_INT)
				parser_fail(p, "Only integer sets allowed in path mask");
			it.set = finish_set(p, &b);
		}
		parser_expect_char(p, ']');
		return mask_node(p, MASK_NODE_ITEM, it);
	case '(':
		parser_next(p);
		n = parse_expression(p);
		parser_expect_char(p, ')');
		break;
	default: {
		struct symbol *sym = parser_symbol(p);

		if (!sym)
			parser_syntax_error(p, NULL);
		n = node_new(p, N_VAR);
		if (sym->cls == SYM_CONSTANT) {
			n = node_const(p, sym->value);
		} else if (sym->cls == SYM_VARIABLE) {
			n->slot = sym->index;
			n->type = sym->type;
		} else {
			parser_fail(p, "Can't get value of symbol %s", sym->name);
		}
		parser_next(p);
	}
	}
	if (n->kind == N_CONST)
		return mask_constant(p, n);
	struct node *e = node_new(p, N_MASK);

	e->op = MASK_NODE_EXPRESSION;
	e->a = n;
	return e;
}

struct node *parse_mask(struct parser *p)
{
	struct node *n = node_new(p, N_MASK), **tail = &n->a;
	bool constant = true;
	unsigned count = 0;

	parser_next(p);
	n->type = T_PATH_MASK;
	n->definite = true;
	for (; p->tok.kind != TOK_PC; count++) {
		struct node *e = mask_element(p);

		if (e->op == MASK_NODE_LOOP && !count)
			parser_fail(p,
				"filter preevaluation, line %u: Path mask iterator '+' cannot be first",
				e->line);
		constant = constant && e->op != MASK_NODE_EXPRESSION;
		*tail = e;
		tail = &e->next;
	}
	parser_next(p);
	if (!constant)
		return n;

	struct filter_mask *m = mask_new(p->arena, count);
	for (struct node *e = n->a; e; e = e->next) {
		if (e->op == MASK_NODE_LOOP)
			mask_add_loop(m);
		else
			mask_add(m, *e->mask_item);
	}
	mask_finish(m);
	return node_const(p, (struct value){.type = T_PATH_MASK, .mask = m});
}
