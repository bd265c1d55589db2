/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/filter/set.h"
#include "controlplane/filter/text.h"
#include "shared/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool set_type_valid(enum value_type t)
{
	switch (t) {
	case T_IP:
	case T_EC:
	case T_LC:
	case T_RD:
	case T_MAC: return true;
	default: return set_type_is_32(t);
	}
}

union set_key set_key_of(const struct value *v)
{
	union set_key k;

	memset(&k, 0, sizeof(k));
	switch (v->type) {
	case T_IP: k.ip = v->ip; break;
	case T_EC:
	case T_RD: k.u64 = v->u64; break;
	case T_LC: k.lc = v->lc; break;
	case T_MAC:
		for (int i = 0; i < 6; i++)
			k.u64 = k.u64 << 8 | v->mac[i];
		break;
	default: k.i = v->i;
	}
	return k;
}

struct value set_key_value(enum value_type t, const union set_key *k)
{
	struct value v = {.type = t};

	switch (t) {
	case T_IP: v.ip = k->ip; break;
	case T_EC:
	case T_RD: v.u64 = k->u64; break;
	case T_LC: v.lc = k->lc; break;
	case T_MAC:
		for (int i = 0; i < 6; i++)
			v.mac[i] = (uint8_t)(k->u64 >> (40 - 8 * i));
		break;
	default: v.i = k->i;
	}
	return v;
}

static inline int order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

int set_key_compare(enum value_type t, const union set_key *a, const union set_key *b)
{
	switch (t) {
	case T_IP: return ipaddr_cmp(&a->ip, &b->ip);
	case T_EC:
	case T_RD:
	case T_MAC: return order(a->u64, b->u64);
	case T_LC:
		if (a->lc.asn != b->lc.asn)
			return order(a->lc.asn, b->lc.asn);
		if (a->lc.data1 != b->lc.data1)
			return order(a->lc.data1, b->lc.data1);
		return order(a->lc.data2, b->lc.data2);
	default: return order(a->i, b->i);
	}
}

void set_builder_add(struct set_builder *b, const union set_key *lo, const union set_key *hi, uint32_t tag)
{
	if (b->n == b->capacity) {
		uint32_t capacity = b->capacity ? b->capacity * 2 : 8;
		struct set_range *r = arena_alloc_raw(b->arena, (size_t)capacity * sizeof(*r));

		if (b->n)
			memcpy(r, b->ranges, (size_t)b->n * sizeof(*r));
		b->ranges = r;
		b->capacity = capacity;
	}
	b->ranges[b->n++] = (struct set_range){*lo, *hi, tag};
}

static int range_order(const void *a, const void *b, void *type)
{
	const struct set_range *x = a, *y = b;
	enum value_type t = *(const enum value_type *)type;
	int c = set_key_compare(t, &x->lo, &y->lo);

	return c ? c : set_key_compare(t, &x->hi, &y->hi);
}

bool set_builder_sort(struct set_builder *b, bool merge)
{
	uint32_t w = 0;

	if (!b->n)
		return true;
	for (uint32_t i = 1; i < b->n; i++)
		if (range_order(&b->ranges[i - 1], &b->ranges[i], &b->type) > 0) {
			qsort_r(b->ranges, b->n, sizeof(*b->ranges), range_order, &b->type);
			break;
		}
	for (uint32_t r = 1; r < b->n; r++) {
		if (set_key_compare(b->type, &b->ranges[w].hi, &b->ranges[r].lo) < 0) {
			b->ranges[++w] = b->ranges[r];
			continue;
		}
		if (!merge)
			return false;
		if (set_key_compare(b->type, &b->ranges[w].hi, &b->ranges[r].hi) < 0)
			b->ranges[w].hi = b->ranges[r].hi;
	}
	b->n = w + 1;
	return true;
}

static void set_destroy(struct interned *o)
{
	free(o);
}

const struct filter_set *set_build(struct set_builder *b)
{
	if (!b->n)
		return NULL;
	set_builder_sort(b, true);

	bool narrow = set_type_is_32(b->type);
	size_t key = narrow ? sizeof(uint32_t) : sizeof(union set_key), bytes = 2 * key * b->n;
	struct filter_set *s = aligned_alloc(16, (sizeof(*s) + bytes + 15) & ~(size_t)15);

	if (!s) {
		fprintf(stderr, "out of memory\n");
		abort();
	}
	memset(s, 0, sizeof(*s));
	s->type = b->type;
	s->n = b->n;
	s->all_v4 = b->type == T_IP;
	if (narrow) {
		uint32_t *lo = (uint32_t *)s->storage, *hi = lo + b->n;

		for (uint32_t i = 0; i < b->n; i++) {
			lo[i] = b->ranges[i].lo.i;
			hi[i] = b->ranges[i].hi.i;
		}
		s->lo32 = lo;
		s->hi32 = hi;
	} else {
		union set_key *lo = (union set_key *)s->storage, *hi = lo + b->n;

		for (uint32_t i = 0; i < b->n; i++) {
			lo[i] = b->ranges[i].lo;
			hi[i] = b->ranges[i].hi;
			s->all_v4 = s->all_v4 && ipaddr_is_v4(&lo[i].ip) && ipaddr_is_v4(&hi[i].ip);
		}
		s->lo = lo;
		s->hi = hi;
	}
	XXH128_hash_t h = XXH3_128bits_withSeed(s->storage, bytes, 0x5e7000u + b->type);
	s->intern.digest = (struct digest){h.low64, h.high64};
	s->intern.destroy = set_destroy;
	return (const struct filter_set *)intern_add(&s->intern);
}

const struct filter_set *set_hold(const struct filter_set *s)
{
	if (s)
		intern_hold((struct interned *)&s->intern);
	return s;
}

void set_release(const struct filter_set *s)
{
	if (s)
		intern_release((struct interned *)&s->intern);
}

/* The number of ranges that start at or below v, less one, is the only one that can hold it. */
bool set_has_u32(const struct filter_set *s, uint32_t v)
{
	const uint32_t *lo = s->lo32;
	uint32_t n = s->n, base = 0;

	if (v < lo[0])
		return false;
	while (n > 1) { /* lo[base] <= v; without a branch on the comparison */
		uint32_t half = n / 2;

		base = lo[base + half] <= v ? base + half : base;
		n -= half;
	}
	return v <= s->hi32[base];
}

bool set_has_key(const struct filter_set *s, const union set_key *k)
{
	uint32_t n = s->n, base = 0;

	if (set_key_compare(s->type, k, &s->lo[0]) < 0)
		return false;
	while (n > 1) {
		uint32_t half = n / 2;

		if (set_key_compare(s->type, &s->lo[base + half], k) <= 0)
			base += half;
		n -= half;
	}
	return set_key_compare(s->type, k, &s->hi[base]) <= 0;
}

bool set_has(const struct filter_set *s, const struct value *v)
{
	if (!s)
		return false;
	if (set_type_is_32(s->type))
		return set_has_u32(s, v->i);

	union set_key k;
	if (v->type == T_QUAD && s->type == T_IP)
		k.ip = ipaddr_v4(htonl(v->i));
	else
		k = set_key_of(v);
	return set_has_key(s, &k);
}

bool set_equal(const struct filter_set *a, const struct filter_set *b)
{
	return a == b; /* interned */
}

void set_put(struct text *t, const struct filter_set *s)
{
	text_char(t, '[');
	for (uint32_t i = 0; s && i < s->n; i++) {
		bool narrow = set_type_is_32(s->type);
		union set_key lo = {0}, hi = {0};

		if (narrow) {
			lo.i = s->lo32[i];
			hi.i = s->hi32[i];
		} else {
			lo = s->lo[i];
			hi = s->hi[i];
		}
		struct value from = set_key_value(s->type, &lo), to = set_key_value(s->type, &hi);

		if (i)
			text_puts(t, ", ");
		value_put(t, &from);
		if (set_key_compare(s->type, &lo, &hi)) {
			text_puts(t, "..");
			value_put(t, &to);
		}
	}
	text_char(t, ']');
}
