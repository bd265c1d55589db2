/* SPDX-License-Identifier: BSD-2-Clause */
/* From a group's key to the members it should have; the kernel is not asked, nothing is written. fib thread.
 */
#pragma once
#include "controlplane/fib/fib_priv.h"

struct wanted_member {
	struct hop hop;
	enum nh_role role;
	bool primary; /* carries traffic */
	uint16_t weight;
};

struct wanted {
	unsigned n;
	struct wanted_member m[MEMBERS_MAX];
};
#define HOPS_MAX (BEST_MAX + 8 * BACKUP_MAX)

static inline bool hop_same_gateway(const struct hop *a, const struct hop *b)
{
	return a->ifindex == b->ifindex && ipaddr_equal(&a->gw, &b->gw);
}

/* Resolves the key anew into g->hops, best first. Returns how many of the hops are the best set's. */
unsigned group_resolve(struct fib *f, struct group *g);
/* bad: hops that the kernel did not take just now, by number. w->n 0: there is no way at present. */
void group_want(struct fib *f, struct group *g, const bool *bad, unsigned n_best, struct wanted *w);
/* Buckets are for good. Enough to spread several next hops, few enough for the rest to get none. */
uint16_t group_choose_buckets(const struct wanted *w);
