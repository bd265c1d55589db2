/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel knows about the neighbourhood: links, addresses, neighbour
 * entries, routes. Manager thread only.
 *
 * Links and addresses are all kept (there are few); of the neighbour table only
 * entries that somebody watches. A watch is a next hop on an interface whose
 * MAC address is wanted: while it is unknown the kernel is asked to resolve it,
 * once known it is remembered even if the kernel gives it up: whether the
 * neighbour is alive is what BFD finds out. Next hops on standalone ports are
 * watched here too, but resolved by dataplane/exception.c.
 */
#pragma once
#include "shared/addr.h"
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct neigh_link {
	uint32_t ifindex;
	uint32_t lower; /* of a VLAN: the interface below */
	uint16_t vid;   /* of a VLAN, else 0 */
	bool up, running;
	uint8_t mac[6];
	char name[IF_NAMESIZE];
};

struct neigh_addr {
	uint32_t ifindex;
	struct ipaddr addr;
	uint8_t len; /* prefix length in its family */
};

struct neigh_watch {
	struct neigh_watch *next; /* in its hash bucket */
	uint32_t ifindex;
	struct ipaddr ip;
	uint8_t mac[6];
	bool known;
	bool fresh; /* the kernel holds it for reachable */
	unsigned users;
	uint32_t first_session; /* the watchers' list, theirs to use: UINT32_MAX at first */
	unsigned asked;         /* how often without an answer */
	uint64_t next_ask_ns;
};

struct neigh_table;

struct neigh_events {
	void *arg;
	void (*link)(void *arg, const struct neigh_link *l, bool gone);
	void (*address)(void *arg, uint32_t ifindex);       /* 0: any of them */
	void (*resolved)(void *arg, struct neigh_watch *w); /* known, or known otherwise */
	/* A watch on an interface that the kernel does not have wants an ARP or ND question to be sent. */
	void (*solicit)(void *arg, const struct neigh_watch *w);
};

/* 0 or -errno. Links and addresses are there when it returns; events come later, from neigh_dispatch() and
 * neigh_tick(). */
int neigh_create(struct neigh_table **out, const struct neigh_events *ev);
void neigh_destroy(struct neigh_table *t);
int neigh_fd(const struct neigh_table *t);
void neigh_dispatch(struct neigh_table *t);              /* the descriptor is readable */
void neigh_tick(struct neigh_table *t, uint64_t now_ns); /* some ten times a second */

const struct neigh_link *neigh_link(const struct neigh_table *t, uint32_t ifindex);
/* All links, all addresses. */
unsigned neigh_links(const struct neigh_table *t, const struct neigh_link **out);
unsigned neigh_addrs(const struct neigh_table *t, const struct neigh_addr **out);
/* The address to speak to remote from on that interface: same subnet first, else any of the family
 * (link-local to link-local). False if there is none. */
bool neigh_local_address(
	const struct neigh_table *t, uint32_t ifindex, const struct ipaddr *remote, struct ipaddr *out);

struct neigh_watch *neigh_watch(struct neigh_table *t, uint32_t ifindex, const struct ipaddr *ip);
void neigh_unwatch(struct neigh_table *t, struct neigh_watch *w);
/* For standalone ports: a MAC was learnt. */
void neigh_learn(struct neigh_table *t, uint32_t ifindex, const struct ipaddr *ip, const uint8_t mac[6]);

struct neigh_route {
	uint32_t ifindex;
	struct ipaddr next_hop; /* remote itself when it is on the link */
	struct ipaddr source;   /* the kernel's choice, zero if it has none */
};
/* How packets from local (may be zero) to remote leave. -EHOSTUNREACH and the like when there is no way. */
int neigh_route(struct neigh_table *t, const struct ipaddr *remote, const struct ipaddr *local,
	struct neigh_route *out);
