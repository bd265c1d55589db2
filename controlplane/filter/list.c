/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/filter/list.h"
#include <string.h>

static const uint64_t nothing; /* what an empty list that somebody made points to */

static inline size_t width(enum value_type type)
{
	return type == T_CLIST    ? sizeof(uint32_t)
	       : type == T_ECLIST ? sizeof(uint64_t)
				  : sizeof(struct lcomm);
}

static inline enum value_type element(enum value_type type)
{
	return type == T_CLIST ? T_PAIR : type == T_ECLIST ? T_EC : T_LC;
}

union set_key list_get(enum value_type type, const struct value_list *l, uint32_t i)
{
	union set_key k;

	memset(&k, 0, sizeof(k));
	if (type == T_CLIST)
		k.i = ((const uint32_t *)l->data)[i];
	else if (type == T_ECLIST)
		k.u64 = ((const uint64_t *)l->data)[i];
	else
		k.lc = ((const struct lcomm *)l->data)[i];
	return k;
}

bool list_has(enum value_type type, const struct value_list *l, const union set_key *k)
{
	if (type == T_CLIST) {
		const uint32_t *p = l->data;

		for (uint32_t i = 0; i < l->count; i++)
			if (p[i] == k->i)
				return true;
	} else if (type == T_ECLIST) {
		const uint64_t *p = l->data;

		for (uint32_t i = 0; i < l->count; i++)
			if (p[i] == k->u64)
				return true;
	} else {
		const struct lcomm *p = l->data;

		for (uint32_t i = 0; i < l->count; i++)
			if (p[i].data2 == k->lc.data2 && p[i].data1 == k->lc.data1 && p[i].asn == k->lc.asn)
				return true;
	}
	return false;
}

struct value_list list_add(
	struct arena *a, enum value_type type, const struct value_list *l, const union set_key *k)
{
	size_t w = width(type);

	if (list_has(type, l, k))
		return *l;
	uint8_t *out = arena_alloc_raw(a, (l->count + 1) * w);
	if (l->count)
		memcpy(out, l->data, l->count * w);
	memcpy(out + l->count * w, k, w);
	return (struct value_list){out, l->count + 1};
}

struct value_list list_union(
	struct arena *a, enum value_type type, const struct value_list *l, const struct value_list *more)
{
	size_t w = width(type);
	uint8_t *out = NULL;
	uint32_t n = l->count;

	for (uint32_t i = 0; i < more->count; i++) {
		union set_key k = list_get(type, more, i);

		if (list_has(type, l, &k))
			continue;
		if (!out) {
			out = arena_alloc_raw(a, (l->count + more->count - i) * w);
			if (l->count)
				memcpy(out, l->data, l->count * w);
		}
		memcpy(out + n++ * w, &k, w);
	}
	return out ? (struct value_list){out, n} : *l;
}

/* Where a run of kept elements and the rest meet: copies only when something goes. */
struct sieve {
	struct arena *arena;
	const struct value_list *from;
	size_t w;
	uint8_t *out;
	uint32_t n;
};

static inline void sieve_put(struct sieve *s, uint32_t i, bool keep)
{
	if (keep) {
		if (s->out)
			memcpy(s->out + s->n * s->w, (const uint8_t *)s->from->data + i * s->w, s->w);
		s->n++;
	} else if (!s->out) {
		s->out = arena_alloc_raw(s->arena, s->from->count * s->w);
		memcpy(s->out, s->from->data, i * s->w);
	}
}

static struct value_list sieve_end(struct sieve *s)
{
	if (!s->out)
		return *s->from;
	if (!s->n)
		return (struct value_list){&nothing, 0};
	return (struct value_list){s->out, s->n};
}

struct value_list list_remove(
	struct arena *a, enum value_type type, const struct value_list *l, const union set_key *k)
{
	struct sieve s = {a, l, width(type), NULL, 0};

	if (!list_has(type, l, k))
		return *l;
	for (uint32_t i = 0; i < l->count; i++) {
		union set_key e = list_get(type, l, i);

		sieve_put(&s, i, set_key_compare(element(type), &e, k) != 0);
	}
	return sieve_end(&s);
}

bool list_set_fits(enum value_type type, const struct filter_set *s)
{
	if (!s)
		return true;
	if (type == T_CLIST)
		return s->type == T_INT || s->type == T_PAIR || s->type == T_QUAD ||
		       (s->type == T_IP && s->all_v4);
	return s->type == element(type);
}

static inline int lc_order(const struct lcomm *a, const struct lcomm *b)
{
	if (a->asn != b->asn)
		return a->asn < b->asn ? -1 : 1;
	if (a->data1 != b->data1)
		return a->data1 < b->data1 ? -1 : 1;
	return a->data2 < b->data2 ? -1 : a->data2 > b->data2;
}

/* What policies delete is mostly one or two ranges: no search then. */
static inline bool lc_in_set(const struct filter_set *s, const struct lcomm *l)
{
	uint32_t n = s->n, base = 0;

	while (n > 1) {
		uint32_t half = n / 2;

		if (lc_order(&s->lo[base + half].lc, l) <= 0)
			base += half;
		n -= half;
	}
	return lc_order(&s->lo[base].lc, l) <= 0 && lc_order(l, &s->hi[base].lc) <= 0;
}

/* An element of a clist is looked up among IPv4 addresses as one. */
static inline bool in_set(
	enum value_type type, const struct filter_set *s, const struct value_list *l, uint32_t i)
{
	if (type == T_CLIST) {
		uint32_t v = ((const uint32_t *)l->data)[i];

		if (s->type != T_IP)
			return set_has_u32(s, v);
		union set_key k = {.ip = ipaddr_v4(htonl(v))};
		return set_has_key(s, &k);
	}
	if (type == T_LCLIST)
		return lc_in_set(s, (const struct lcomm *)l->data + i);
	union set_key k = list_get(type, l, i);
	return set_has_key(s, &k);
}

struct value_list list_filter_set(struct arena *a, enum value_type type, const struct value_list *l,
	const struct filter_set *set, bool keep)
{
	struct sieve s = {a, l, width(type), NULL, 0};

	for (uint32_t i = 0; i < l->count; i++)
		sieve_put(&s, i, (set && in_set(type, set, l, i)) == keep);
	return sieve_end(&s);
}

struct value_list list_filter_list(struct arena *a, enum value_type type, const struct value_list *l,
	const struct value_list *other, bool keep)
{
	struct sieve s = {a, l, width(type), NULL, 0};

	for (uint32_t i = 0; i < l->count; i++) {
		union set_key k = list_get(type, l, i);

		sieve_put(&s, i, list_has(type, other, &k) == keep);
	}
	return sieve_end(&s);
}

bool list_has_any(enum value_type type, const struct value_list *l, const struct filter_set *s)
{
	if (!s)
		return false;
	for (uint32_t i = 0; i < l->count; i++)
		if (in_set(type, s, l, i))
			return true;
	return false;
}

static union set_key extreme(enum value_type type, const struct value_list *l, int want)
{
	union set_key best;

	memset(&best, 0, sizeof(best));
	for (uint32_t i = 0; i < l->count; i++) {
		union set_key k = list_get(type, l, i);

		if (!i || set_key_compare(element(type), &k, &best) * want > 0)
			best = k;
	}
	return best;
}

union set_key list_min(enum value_type type, const struct value_list *l)
{
	return extreme(type, l, -1);
}

union set_key list_max(enum value_type type, const struct value_list *l)
{
	return extreme(type, l, 1);
}
