/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Prefix sets: patterns ADDR/LEN{lo,hi}. A prefix of length L matches a pattern
 * if the first min(L, LEN) bits agree and lo <= L <= hi.
 *
 * Layout: an array of entries sorted by address, then length. An entry is a
 * prefix with the lengths that it accepts at or below itself. The part of a
 * pattern above its own length ("-", {lo,...} with lo < LEN) becomes entries of
 * their own, one for each of those shorter prefixes. Every entry knows the
 * nearest entry that covers it and the union of the lengths that it and all
 * those above it accept. So a look-up is one binary search (inside a bucket of
 * the top bits when the set is large), a step or two upwards past longer
 * entries, and one bit test; 16 bytes an entry for IPv4, 28 for IPv6.
 *
 * Immutable and interned; NULL is the empty set.
 */
#pragma once
#include "controlplane/config/arena.h"
#include "controlplane/filter/intern.h"
#include "controlplane/filter/value.h"

struct prefix_pattern {
	struct prefix prefix;
	uint8_t lo, hi;
};

/* Accepted lengths, bit L. IPv4 uses w[0] alone. */
struct length_mask {
	uint64_t w[3];
};

struct prefix_info {
	uint32_t parent;                   /* nearest covering entry, or PREFIX_SET_NONE */
	uint32_t len : 8, cumulative : 24; /* index into masks: own and all parents' */
};
#define PREFIX_SET_NONE UINT32_MAX

struct key6 {
	uint64_t high, low; /* host order */
};

struct filter_prefix_set {
	struct interned intern;
	bool v4;
	uint8_t shift; /* of the address, or its upper half, to the number of the bucket */
	uint32_t n;
	union {
		uint32_t *key4; /* host order */
		struct key6 *key6;
	};
	struct prefix_info *info;
	uint32_t *own;    /* mask of the entry alone: for text */
	uint32_t *bucket; /* first index by the top bits, and the end; NULL for small sets */
	uint32_t n_masks;
	struct length_mask *masks;
	/* As written, when some pattern reached above its own length (the entries do not show that any more).
	 */
	uint32_t n_patterns;
	struct prefix_pattern *patterns;
};

struct prefix_set_builder;
struct prefix_set_builder *prefix_set_builder(struct arena *a);
/* lo <= hi <= 32 or 128. false: IPv4 and IPv6 mixed. */
bool prefix_set_builder_add(struct prefix_set_builder *b, const struct prefix *p, unsigned lo, unsigned hi);
/* Interned, with a reference for the caller; NULL if nothing was added. The builder is spent. */
const struct filter_prefix_set *prefix_set_build(struct prefix_set_builder *b);
const struct filter_prefix_set *prefix_set_hold(const struct filter_prefix_set *s);
void prefix_set_release(const struct filter_prefix_set *s);

bool prefix_set_has4(const struct filter_prefix_set *s, uint32_t addr, unsigned len); /* host order */
bool prefix_set_has6(const struct filter_prefix_set *s, const uint8_t *addr, unsigned len);
bool prefix_set_has_net(const struct filter_prefix_set *s, const struct net *n);
bool prefix_set_equal(const struct filter_prefix_set *a, const struct filter_prefix_set *b);
size_t prefix_set_bytes(const struct filter_prefix_set *s);

/* Calls fn for the patterns that make the set, in the order of the entries (as written when patterns were
 * kept). */
void prefix_set_each(
	const struct filter_prefix_set *s, void (*fn)(void *ctx, const struct prefix_pattern *p), void *ctx);
/* BIRD's text of a prefix set: see prefix_set_text.c. */
struct text;
void prefix_set_put(struct text *t, const struct filter_prefix_set *s);
