/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Next hop tracking: what an address resolves to in a table.
 *
 * Best path asks whether a recursive next hop is reachable and at which IGP
 * metric; the FIB asks through which direct next hops. Both look it up here by
 * (table, address), wait-free; the answer is republished as a whole when the
 * covering route moves, and those who subscribed are told.
 */
#pragma once
#include "controlplane/rib/rib.h"

struct nht_answer {
	bool reachable;
	uint32_t metric;      /* IGP metric; 0 for a direct network */
	enum route_dest dest; /* RTD_UNICAST, or what the covering route does */
	unsigned n;
	struct attr_nexthop
		nexthop[8]; /* direct: gw (the address itself on a connected network) and ifindex */
};

/* Best path of the rib's routes with NH_RECURSIVE asks it from now on. */
struct nht *nht_create(struct rib *rib);
void nht_destroy(struct nht *n); /* after the sources are closed, before the rib is destroyed */
/*
 * Which connected network an address is on, for those who run no direct protocol: fills the network and the
 * interface. Any thread. A route of the table wins over it when its prefix is longer. Set by main before the
 * first route, or never.
 */
void nht_set_connected_lookup(struct nht *n,
	bool (*connected)(void *ctx, const struct ipaddr *addr, struct prefix *net, uint32_t *ifindex),
	void *ctx);
/* Connected networks have changed: all is resolved again. */
void nht_connected_changed(struct nht *n);
/* Starts tracking (reference counted by (table, address)); any thread. */
void nht_track(struct nht *n, struct rib_table *t, const struct ipaddr *addr);
void nht_untrack(struct nht *n, struct rib_table *t, const struct ipaddr *addr);
/* Under rcu_read_lock(). NULL: not tracked (treated as unreachable). */
const struct nht_answer *nht_lookup(struct nht *n, struct rib_table *t, const struct ipaddr *addr);
/* changed() is called in an unspecified thread after the new answer is visible; must only post. */
void nht_subscribe(
	struct nht *n, void (*changed)(void *ctx, struct rib_table *t, const struct ipaddr *addr), void *ctx);
/* No call is under way or comes when it returns. Not from changed(). */
void nht_unsubscribe(
	struct nht *n, void (*changed)(void *ctx, struct rib_table *t, const struct ipaddr *addr), void *ctx);
