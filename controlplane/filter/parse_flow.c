/* SPDX-License-Identifier: BSD-2-Clause */
/* Flow specifications: flow4 { dst 10.0.0.0/8; proto = 6; dport > 24 && < 30 || 40..50; tcp flags 0x02/0x12;
 * } */
#include "controlplane/filter/flow.h"
#include "controlplane/filter/parse.h"
#include <string.h>

struct flow_builder {
	struct parser *p;
	bool v6;
	struct {
		uint8_t *bytes;         /* of the component, type first; NULL: none */
		size_t len, room, last; /* last: where the last operator is */
	} part[FLOW_COMPONENTS];
};

static uint8_t *more(struct flow_builder *b, enum flow_component c, size_t n)
{
	size_t len = b->part[c].len;

	if (len + n > b->part[c].room) {
		size_t room = b->part[c].room ? 2 * b->part[c].room : 32;
		uint8_t *bytes = arena_alloc_raw(b->p->arena, room);

		if (len)
			memcpy(bytes, b->part[c].bytes, len);
		b->part[c].bytes = bytes;
		b->part[c].room = room;
	}
	b->part[c].len = len + n;
	if (len > FLOW_MAX_BYTES)
		parser_fail(b->p, "Invalid flow route: Too long");
	return b->part[c].bytes + len;
}

/* A component is said once; BIRD keeps the first and forgets the others, where it is silent about it. */
static void begin(struct flow_builder *b, enum flow_component c)
{
	if (b->part[c].len)
		parser_fail(b->p, "Flow component %s said twice", flow_component_name(c, b->v6));
	*more(b, c, 1) = (uint8_t)c;
}

static void add(struct flow_builder *b, enum flow_component c, uint8_t op, uint32_t v)
{
	/* RFC 8956 section 3.7: labels in 4 bytes */
	unsigned size = v > 0xffff || c == FLOW_LABEL ? 4 : v > 0xff ? 2 : 1;
	bool first = b->part[c].len == 1;
	uint8_t *p;

	if (!first)
		b->part[c].bytes[b->part[c].last] &= (uint8_t)~FLOW_OP_END;
	b->part[c].last = b->part[c].len;
	p = more(b, c, 1 + size);
	p[0] = (uint8_t)(op | FLOW_OP_END | (size == 4 ? 0x20 : size == 2 ? 0x10 : 0));
	for (unsigned i = 0; i < size; i++)
		p[1 + i] = (uint8_t)(v >> 8 * (size - 1 - i));
}

/* ---- prefixes ---- */

static void prefix_component(struct flow_builder *b, enum flow_component c)
{
	struct prefix prefix = parser_prefix(b->p);
	unsigned offset = 0, bits;
	uint8_t *p;

	if (prefix.family != (b->v6 ? 6 : 4))
		parser_fail(b->p, "%s network expected", b->v6 ? "IPv6" : "IPv4");
	if (b->v6 && parser_accept(b->p, "offset")) {
		offset = parser_number(b->p);
		if (offset > prefix.len)
			parser_fail(b->p, "Prefix offset is higher than prefix length");
		if (offset == prefix.len)
			offset = 0; /* nothing of it is compared */
	}
	begin(b, c);
	*more(b, c, 1) = prefix.len;
	if (b->v6)
		*more(b, c, 1) = (uint8_t)offset;
	bits = prefix.len - offset;
	p = more(b, c, (bits + 7) / 8);
	memset(p, 0, (bits + 7) / 8);
	for (unsigned i = 0; i < bits; i++) {
		unsigned at = offset + i;

		if (prefix.addr.b[(b->v6 ? 0 : 12) + at / 8] >> (7 - at % 8) & 1)
			p[i / 8] |= (uint8_t)(0x80 >> i % 8);
	}
}

/* ---- numbers ---- */

static uint32_t number(struct flow_builder *b, enum flow_component c)
{
	static const uint8_t bits[FLOW_COMPONENTS] = {
		[FLOW_PROTO] = 8,
		[FLOW_PORT] = 16,
		[FLOW_DPORT] = 16,
		[FLOW_SPORT] = 16,
		[FLOW_ICMP_TYPE] = 8,
		[FLOW_ICMP_CODE] = 8,
		[FLOW_LENGTH] = 16,
		[FLOW_DSCP] = 6,
		[FLOW_LABEL] = 20,
	};
	uint32_t v = parser_number(b->p), max = (UINT32_C(1) << bits[c]) - 1;

	if (v > max)
		parser_fail(b->p, "%s value %u out of range (0-%u)", flow_component_name(c, b->v6), v, max);
	return v;
}

/* The operator at the current token, -1: none. */
static int operator_at(struct parser *p)
{
	switch (p->tok.kind) {
	case '=': return FLOW_OP_EQ;
	case TOK_NEQ: return FLOW_OP_LT | FLOW_OP_GT;
	case '<': return FLOW_OP_LT;
	case TOK_LEQ: return FLOW_OP_LT | FLOW_OP_EQ;
	case '>': return FLOW_OP_GT;
	case TOK_GEQ: return FLOW_OP_GT | FLOW_OP_EQ;
	default: break;
	}
	return parse_at_word(p, "true") ? 7 : parse_at_word(p, "false") ? 0 : -1;
}

static void list(struct flow_builder *b, enum flow_component c)
{
	do {
		uint32_t v = number(b, c);

		if (b->p->tok.kind != TOK_DDOT) {
			add(b, c, FLOW_OP_EQ, v);
			continue;
		}
		parser_next(b->p);
		add(b, c, FLOW_OP_GT | FLOW_OP_EQ, v);
		add(b, c, FLOW_OP_AND | FLOW_OP_LT | FLOW_OP_EQ, number(b, c));
	} while (parser_accept_char(b->p, ','));
}

static void numbers(struct flow_builder *b, enum flow_component c)
{
	uint8_t logic = 0;

	begin(b, c);
	for (;;) {
		int op = operator_at(b->p);

		if (op >= 0) {
			parser_next(b->p);
			add(b, c, logic | (uint8_t)op, number(b, c));
		} else if (logic) {
			parser_syntax_error(b->p, NULL);
		} else {
			list(b, c);
		}
		if (b->p->tok.kind != TOK_AND && b->p->tok.kind != TOK_OR)
			return;
		logic = b->p->tok.kind == TOK_AND ? FLOW_OP_AND : 0;
		parser_next(b->p);
	}
}

/* ---- bits ---- */

/* Which of the bits in mask are set: those of v and no others. */
static void add_bits(struct flow_builder *b, enum flow_component c, uint8_t op, uint32_t v, uint32_t mask)
{
	if (v & mask) {
		add(b, c, op ^ FLOW_MATCH, v & mask);
		op |= FLOW_OP_AND;
	}
	if (~v & mask)
		add(b, c, op ^ FLOW_NOT, ~v & mask);
}

static void one_mask(struct flow_builder *b, enum flow_component c, uint8_t logic)
{
	bool not = parser_accept_char(b->p, '!');
	uint32_t v = parser_number(b->p), mask;

	parser_expect_char(b->p, '/');
	mask = parser_number(b->p);
	if (not &&v && v != mask)
		parser_fail(b->p, "For negation, value must be zero or bitmask");
	if (mask & ~0xfffu)
		parser_fail(b->p, "Invalid mask 0x%x, must not exceed 0xfff", mask);
	if (v & ~mask)
		parser_fail(b->p, "Value 0x%x outside bitmask 0x%x", v, mask);
	add_bits(b, c, logic | (not ? FLOW_NOT : 0), v, mask);
}

static void one_fragment(struct flow_builder *b, enum flow_component c, uint8_t logic)
{
	bool not = parser_accept_char(b->p, '!');
	unsigned bit = 1;
	const char *name;

	while ((name = flow_fragment_name(bit)) && !parser_is(b->p, name))
		bit <<= 1;
	if (!name)
		parser_syntax_error(b->p, "DONT_FRAGMENT or IS_FRAGMENT or FIRST_FRAGMENT or LAST_FRAGMENT");
	if (bit == 1 && b->v6)
		parser_fail(b->p, "Flag dont_fragment not valid in flow6");
	parser_next(b->p);
	add_bits(b, c, logic, not ? 0 : bit, bit);
}

static void bits(struct flow_builder *b, enum flow_component c,
	void (*one)(struct flow_builder *b, enum flow_component c, uint8_t logic))
{
	uint8_t logic = 0;

	begin(b, c);
	for (;;) {
		one(b, c, logic);
		if (b->p->tok.kind != TOK_AND && b->p->tok.kind != TOK_OR && b->p->tok.kind != ',')
			return;
		logic = b->p->tok.kind == TOK_OR ? 0 : FLOW_OP_AND;
		parser_next(b->p);
	}
}

/* ---- the whole ---- */

static void item(struct flow_builder *b)
{
	static const struct {
		const char *word, *second;
		enum flow_component c;
	} items[] = {
		{"dst", NULL, FLOW_DST},
		{"src", NULL, FLOW_SRC},
		{"proto", NULL, FLOW_PROTO},
		{"next", "header", FLOW_PROTO},
		{"port", NULL, FLOW_PORT},
		{"dport", NULL, FLOW_DPORT},
		{"sport", NULL, FLOW_SPORT},
		{"icmp", "type", FLOW_ICMP_TYPE},
		{"icmp", "code", FLOW_ICMP_CODE},
		{"tcp", "flags", FLOW_TCP_FLAGS},
		{"length", NULL, FLOW_LENGTH},
		{"dscp", NULL, FLOW_DSCP},
		{"fragment", NULL, FLOW_FRAGMENT},
		{"label", NULL, FLOW_LABEL},
	};
	size_t i = 0, n = sizeof(items) / sizeof(items[0]);
	enum flow_component c;

	while (i < n && !parse_at_word(b->p, items[i].word))
		i++;
	if (i == n)
		parser_syntax_error(b->p, NULL);
	parser_next(b->p);
	if (items[i].second && !parser_is(b->p, items[i].second) && i + 1 < n && items[i + 1].second &&
		strcmp(items[i].word, items[i + 1].word) == 0)
		i++;
	if (items[i].second)
		parser_expect(b->p, items[i].second);
	c = items[i].c;
	if (c == FLOW_LABEL && !b->v6)
		parser_fail(b->p, "Flow label not valid in flow4");
	switch (c) {
	case FLOW_DST:
	case FLOW_SRC: prefix_component(b, c); break;
	case FLOW_TCP_FLAGS: bits(b, c, one_mask); break;
	case FLOW_FRAGMENT: bits(b, c, one_fragment); break;
	default: numbers(b, c);
	}
	parser_expect_char(b->p, ';');
}

struct net parse_flow(struct parser *p)
{
	struct flow_builder b = {.p = p, .v6 = parser_is(p, "flow6")};
	struct net n;
	struct nlri *nlri;
	size_t len = 0;

	parser_next(p);
	if (p->tok.kind != '{')
		parser_syntax_error(p, "'{'");
	parser_next(p);
	while (p->tok.kind != '}')
		item(&b);
	for (unsigned c = 0; c < FLOW_COMPONENTS; c++)
		len += b.part[c].len;
	if (len > FLOW_MAX_BYTES)
		parser_fail(p, "Invalid flow route: Too long");
	parser_next(p);
	nlri = arena_alloc(p->arena, sizeof(*nlri) + len);
	for (unsigned c = 0; c < FLOW_COMPONENTS; c++) {
		if (b.part[c].len)
			memcpy(nlri->data + nlri->len, b.part[c].bytes, b.part[c].len);
		nlri->len = (uint16_t)(nlri->len + b.part[c].len);
	}
	memset(&n, 0, sizeof(n));
	n.type = b.v6 ? NET_FLOW6 : NET_FLOW4;
	flow_prefix(nlri, b.v6, FLOW_DST, &n.prefix);
	n.nlri = nlri;
	return n;
}
