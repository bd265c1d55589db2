/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sets of int, pair, quad, ip, ec, lc, rd, mac and enum values: sorted disjoint
 * closed ranges, found by binary search. Immutable and interned (intern.h), so
 * they may outlive the configuration that wrote them; NULL is the empty set.
 */
#pragma once
#include "controlplane/config/arena.h"
#include "controlplane/filter/intern.h"
#include "controlplane/filter/value.h"

union set_key {
	uint32_t i;
	uint64_t u64; /* EC RD, MAC as a number */
	struct ipaddr ip;
	struct lcomm lc;
};

struct set_range {
	union set_key lo, hi;
	uint32_t tag; /* case: number of the branch */
};

struct filter_set {
	struct interned intern;
	enum value_type type; /* of the elements */
	bool all_v4;          /* T_IP: no IPv6 inside, so quads and communities can be looked up */
	uint32_t n;
	/* 32-bit elements: lo[n] then hi[n]; others: union set_key lo[n], hi[n] */
	union {
		const uint32_t *lo32;
		const union set_key *lo;
	};
	union {
		const uint32_t *hi32;
		const union set_key *hi;
	};
	_Alignas(16) uint8_t storage[];
};

bool set_type_valid(enum value_type t);
static inline bool set_type_is_32(enum value_type t)
{
	return t == T_INT || t == T_PAIR || t == T_QUAD || value_type_is_enum(t);
}
union set_key set_key_of(const struct value *v);
int set_key_compare(enum value_type t, const union set_key *a, const union set_key *b);
struct value set_key_value(enum value_type t, const union set_key *k);

/* Collects ranges while a literal is parsed; memory is the arena's. */
struct set_builder {
	struct arena *arena;
	enum value_type type; /* T_VOID until the first element */
	struct set_range *ranges;
	uint32_t n, capacity;
};
void set_builder_add(struct set_builder *b, const union set_key *lo, const union set_key *hi, uint32_t tag);
/* Sorts. With merge, overlapping ranges become one; else the return value is false if there are any. */
bool set_builder_sort(struct set_builder *b, bool merge);
/* Interned, with a reference for the caller. NULL for no elements. */
const struct filter_set *set_build(struct set_builder *b);
const struct filter_set *set_hold(const struct filter_set *s);
void set_release(const struct filter_set *s);

bool set_has_u32(const struct filter_set *s, uint32_t v);
bool set_has_key(const struct filter_set *s, const union set_key *k);
/* v is of the element type, or a quad against IPv4 addresses. */
bool set_has(const struct filter_set *s, const struct value *v);
bool set_equal(const struct filter_set *a, const struct filter_set *b);
struct text;
void set_put(struct text *t, const struct filter_set *s);
