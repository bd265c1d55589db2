/* SPDX-License-Identifier: BSD-2-Clause */
/* See flow.h. The text is BIRD's, which reads it as well: a comma in a list of numbers is an `or`. */
#include "controlplane/filter/flow.h"
#include "controlplane/filter/text.h"
#include <arpa/inet.h>
#include <string.h>

static bool is_prefix(unsigned component)
{
	return component == FLOW_DST || component == FLOW_SRC;
}

static bool is_bits(unsigned component)
{
	return component == FLOW_TCP_FLAGS || component == FLOW_FRAGMENT;
}

static unsigned value_size(uint8_t op)
{
	return 1u << (op >> 4 & 3);
}

static uint64_t value_of(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	while (size--)
		v = v << 8 | *p++;
	return v;
}

const char *flow_component_name(enum flow_component c, bool v6)
{
	static const char *const names[FLOW_COMPONENTS] = {
		[FLOW_DST] = "dst",
		[FLOW_SRC] = "src",
		[FLOW_PROTO] = "proto",
		[FLOW_PORT] = "port",
		[FLOW_DPORT] = "dport",
		[FLOW_SPORT] = "sport",
		[FLOW_ICMP_TYPE] = "icmp type",
		[FLOW_ICMP_CODE] = "icmp code",
		[FLOW_TCP_FLAGS] = "tcp flags",
		[FLOW_LENGTH] = "length",
		[FLOW_DSCP] = "dscp",
		[FLOW_FRAGMENT] = "fragment",
		[FLOW_LABEL] = "label",
	};

	return v6 && c == FLOW_PROTO ? "next header" : names[c];
}

const char *flow_fragment_name(unsigned bits)
{
	switch (bits) {
	case 1: return "dont_fragment";
	case 2: return "is_fragment";
	case 4: return "first_fragment";
	case 8: return "last_fragment";
	default: return NULL;
	}
}

/* ---- soundness ---- */

/* p: behind the component's type. Moves it on; NULL: sound. */
static const char *check_prefix(uint8_t **at, const uint8_t *end, bool v6)
{
	uint8_t *p = *at;
	unsigned len, offset = 0, bits;

	if (end - p < (v6 ? 2 : 1))
		return "Not complete";
	len = *p++;
	if (v6)
		offset = *p++;
	if (len > (v6 ? 128u : 32u))
		return "Exceed maximal prefix length";
	/* Of a pattern there is at least one bit (RFC 8956), or the prefix is ::/0. */
	if (offset > len || (offset && offset == len))
		return "Exceed maximal prefix offset";
	bits = len - offset;
	if ((size_t)(end - p) < (bits + 7) / 8)
		return "Not complete";
	p += (bits + 7) / 8;
	if (bits % 8)
		p[-1] &= (uint8_t)(0xff << (8 - bits % 8));
	*at = p;
	return NULL;
}

static const char *check_operators(uint8_t **at, const uint8_t *end, unsigned component, bool v6)
{
	/* In bytes; what is not here may have all that an operator can say but 8. */
	static const uint8_t longest[FLOW_COMPONENTS] = {
		[FLOW_TCP_FLAGS] = 2, [FLOW_DSCP] = 1, [FLOW_FRAGMENT] = 1};
	uint8_t *p = *at;
	bool last = false;

	for (bool first = true; !last; first = false) {
		unsigned size;

		if (p == end)
			return "Not complete";
		size = value_size(*p);
		if (size > (longest[component] ? longest[component] : 4u))
			return "Exceed maximal value length";
		if ((size_t)(end - p) < 1 + size)
			return "Not complete";
		*p &= (uint8_t)(is_bits(component) ? 0xf3 : 0xf7);
		if (first)
			*p &= (uint8_t)~FLOW_OP_AND;
		if (component == FLOW_TCP_FLAGS && size == 2)
			p[1] &= 0x0f;
		if (component == FLOW_FRAGMENT)
			p[1] &= v6 ? 0x0e : 0x0f;
		last = *p & FLOW_OP_END;
		p += 1 + size;
	}
	*at = p;
	return NULL;
}

const char *flow_check(uint8_t *data, size_t len, bool v6)
{
	uint8_t *p = data;
	const uint8_t *end = data + len;
	unsigned before = 0;

	if (len > FLOW_MAX_BYTES)
		return "Too long";
	while (p < end) {
		unsigned component = *p++;
		const char *wrong;

		if (!component || component >= (v6 ? FLOW_COMPONENTS : FLOW_LABEL))
			return "Unknown component";
		if (component <= before)
			return "Bad component order";
		before = component;
		wrong = is_prefix(component) ? check_prefix(&p, end, v6)
					     : check_operators(&p, end, component, v6);
		if (wrong)
			return wrong;
	}
	return NULL;
}

/* ---- reading what is sound ---- */

/* Behind the component at p, which is its type. */
static const uint8_t *component_end(const uint8_t *p, bool v6)
{
	uint8_t op;

	if (is_prefix(*p)) {
		unsigned bits = p[1] - (v6 ? p[2] : 0u);

		return p + (v6 ? 3 : 2) + (bits + 7) / 8;
	}
	p++;
	do {
		op = *p;
		p += 1 + value_size(op);
	} while (!(op & FLOW_OP_END));
	return p;
}

static struct prefix read_prefix(const uint8_t *p, bool v6)
{
	struct prefix out = {.len = p[1], .family = v6 ? 6 : 4};
	unsigned offset, bits;

	if (!v6) {
		uint32_t be = 0;

		memcpy(&be, p + 2, (p[1] + 7u) / 8);
		out.addr = ipaddr_v4(be);
		return out;
	}
	offset = p[2];
	bits = p[1] - offset;
	for (unsigned i = 0; i < bits; i++)
		if (p[3 + i / 8] >> (7 - i % 8) & 1)
			out.addr.b[(offset + i) / 8] |= (uint8_t)(0x80 >> (offset + i) % 8);
	return out;
}

bool flow_prefix(const struct nlri *n, bool v6, enum flow_component which, struct prefix *out)
{
	const uint8_t *p = n->data, *end = p + n->len;

	for (; p < end && *p <= which; p = component_end(p, v6))
		if (*p == which) {
			*out = read_prefix(p, v6);
			return true;
		}
	*out = (struct prefix){.family = v6 ? 6 : 4};
	if (!v6)
		out->addr = ipaddr_v4(0);
	return false;
}

/* ---- text ---- */

static void put_prefix(struct text *t, const uint8_t *p, bool v6)
{
	struct prefix prefix = read_prefix(p, v6);
	char s[PREFIX_STRLEN];

	text_puts(t, prefix_format(&prefix, s));
	if (v6 && p[2])
		text_printf(t, " offset %u", p[2]);
}

static void put_number(struct text *t, uint8_t op, uint64_t v)
{
	static const char *const names[] = {"false", "=", ">", ">=", "<", "<=", "!=", "true"};

	if ((op & 7) == FLOW_OP_EQ)
		text_printf(t, "%u", (unsigned)v);
	else
		text_printf(t, "%s %u", names[op & 7], (unsigned)v);
}

static bool closes(uint8_t op) /* a single number or the end of a range: a comma may come behind it */
{
	return (op & 7) == FLOW_OP_EQ || (op & 7) == (FLOW_OP_LT | FLOW_OP_EQ);
}

static bool opens(uint8_t op)
{
	return (op & 7) == FLOW_OP_EQ || (op & 7) == (FLOW_OP_GT | FLOW_OP_EQ);
}

static void put_numbers(struct text *t, const uint8_t *p)
{
	uint8_t before = 0, op;

	do {
		unsigned size = value_size(*p);
		const uint8_t *next = p + 1 + size;

		op = *p;
		if (before && !(op & FLOW_OP_AND) && opens(op) && closes(before))
			text_puts(t, ",");
		else if (before)
			text_puts(t, op & FLOW_OP_AND ? " && " : " || ");
		if (!(op & (FLOW_OP_END | FLOW_OP_AND)) && (*next & FLOW_OP_AND) &&
			(op & 7) == (FLOW_OP_GT | FLOW_OP_EQ) && (*next & 7) == (FLOW_OP_LT | FLOW_OP_EQ)) {
			text_printf(t, "%u..%u", (unsigned)value_of(p + 1, size),
				(unsigned)value_of(next + 1, value_size(*next)));
			op = *next;
			next += 1 + value_size(op);
		} else {
			put_number(t, op, value_of(p + 1, size));
		}
		/* What is before the first one is no operator: never zero. */
		before = op | 0x08;
		p = next;
	} while (!(op & FLOW_OP_END));
}

/*
 *	not match
 *	 0    0    !0/B
 *	 0    1     B/B
 *	 1    0     0/B
 *	 1    1    !B/B
 */
static void put_bits(struct text *t, unsigned component, const uint8_t *p)
{
	uint8_t op;

	for (bool first = true;; first = false) {
		unsigned size = value_size(*p), v = (unsigned)value_of(p + 1, size);
		const char *name = component == FLOW_FRAGMENT ? flow_fragment_name(v) : NULL;
		bool match;

		op = *p;
		match = op & FLOW_MATCH;
		if (!first)
			text_puts(t, op & FLOW_OP_AND ? " && " : " || ");
		if (!(op & FLOW_NOT) == !match)
			text_char(t, '!');
		if (name)
			text_printf(t, "%s%s", match ? "" : "!", name);
		else
			text_printf(t, "0x%x/0x%x", match ? v : 0, v);
		if (op & FLOW_OP_END)
			return;
		p += 1 + size;
	}
}

size_t flow_format(const struct nlri *n, bool v6, char *buf, size_t size)
{
	static const char cut[] = " ...}";
	struct text t = text_make(buf, size);
	const uint8_t *p = n->data, *end = p + n->len;

	text_puts(&t, v6 ? "flow6 { " : "flow4 { ");
	for (; p < end; p = component_end(p, v6)) {
		text_puts(&t, flow_component_name(*p, v6));
		text_char(&t, ' ');
		if (is_prefix(*p))
			put_prefix(&t, p, v6);
		else if (is_bits(*p))
			put_bits(&t, *p, p + 1);
		else
			put_numbers(&t, p + 1);
		text_puts(&t, "; ");
	}
	text_char(&t, '}');
	if (t.len >= size && size > sizeof(cut))
		memcpy(buf + size - sizeof(cut), cut, sizeof(cut));
	return t.len;
}
