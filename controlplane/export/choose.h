/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a route to its fan: what the filters of all lanes make of it.
 *
 * Remembered by (attributes, source, key), where key stands for the prefix in
 * the eyes of those filters that look at it through conditions only
 * (filter_net_key()). Filters that read more of the prefix, or what changes without
 * a change of the route, are run every time: their lanes are added to what is remembered.
 *
 * A lane that was added after a fan was remembered is added to it when it is next
 * asked for.
 */
#pragma once
#include "controlplane/export/fan.h"
#include "controlplane/export/policy.h"

/* A filter in use. Belongs to the group (refs under the engine's lock), but for shard[i], which shard i's
 * thread owns while the lane is active there. */
struct lane {
	unsigned refs;
	uint32_t number; /* below MAX_LANES */
	/* secondary, or ADD-PATH with a choice: its one peer's own source, whose routes it does not take: it
	 * gets the next one instead. 0: peers with different sources share the lane, and each passes over its
	 * own routes */
	uint32_t own;
	struct filter_ref filter;
	struct lane_shard {
		uint32_t users;  /* members in it or coming from it */
		uint64_t gen;    /* when it was activated */
		uint32_t family; /* number + 1; 0: none */
		struct policy policy;
		uint32_t announced; /* relaxed atomics: prefixes now, changes so far */
		uint64_t accepted;
	} shard[];
};
#define MAX_LANES 65536u

struct lane_memo;
struct lane_keys { /* filters whose keys are equal for equal prefixes */
	const struct filter *filter;
	uint64_t digest;
	unsigned bits;
};

/* Lanes whose filters differ in the peer's own numbers only, and look for these in a route's communities and
 * path (filter/family.h): a route is run once, and once for each lane that it names. */
struct lane_family {
	const struct filter *filter; /* of a lane that is or was in it; a reference is held */
	uint64_t shape, differs;
	bool ok;    /* proved */
	bool dirty; /* atom is of before */
	uint32_t n;
	uint64_t *set; /* lanes in it */
	struct family_atom {
		uint64_t atom;       /* 0: free */
		uint32_t lane, next; /* of the same atom, + 1 */
	} * atom;                    /* open addressing by atom; further lanes of one behind mask */
	uint32_t mask, used;
};
#define FAMILY_MIN 4u /* fewer are run one by one */

struct choose {
	struct lane_family *family;
	unsigned n_family;
	uint64_t *alone, *named; /* sets: lanes run one by one; scratch */
	unsigned shard;
	const struct bgp_encode_class *encode; /* the group's */
	bool aigp;                             /* likewise */
	struct lane **lane;                    /* by number; NULL: not active */
	uint32_t n_lane, n_active, n_own;      /* n_own: lanes with a source of their own */
	uint64_t *active, *shared, *each;      /* sets of n_lane bits; each: run for every prefix */
	uint32_t words, n_each;
	uint64_t gen;
	struct lane_keys *keys;
	unsigned n_keys;
	struct fans fans;
	struct draft draft;
	struct lane_memo *memo; /* direct-mapped */
	uint32_t memo_mask, memo_used;
};

void choose_init(struct choose *c, unsigned shard, const struct bgp_encode_class *encode, bool aigp);
void choose_free(struct choose *c);
void choose_forget(struct choose *c); /* drops what it remembers: there are no routes */
size_t choose_bytes(const struct choose *c);
void choose_add(struct choose *c, struct lane *l); /* gets a gen of its own */
void choose_remove(struct choose *c, struct lane *l);
/* One reference for the caller. *rejected: the rules before the filters said no. */
uint32_t choose_fan(struct choose *c, struct rib_shard *s, const struct net *n,
	const struct rib_route_view *r, bool *rejected);
/* Lanes that were active at gen (not added after it). */
void choose_known_at(const struct choose *c, uint64_t gen, uint64_t *set);
