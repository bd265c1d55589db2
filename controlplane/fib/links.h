/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Neighbours whose loss we are told of, and what is to be written when one is
 * lost.
 *
 * Mechanism. A route's group lists [best..., backup..., stand-by] with weights
 * and buckets such that the kernel gives every bucket to the best (nexthop.h).
 * When a member object goes, the kernel moves the buckets of all groups it was
 * in, without looking at a single route. So the loss of a neighbour is one
 * message for each nexthop object through it: RTM_DELNEXTHOP; or, when
 * everything it carries has the same substitute (IPv4), the substitute's gateway written
 * into the object, which costs no grace period in the kernel: with a thousand
 * neighbours lost at once that is what counts.
 *
 * Threads
 *   link thread   fib_link_event(): stamps the link, reads its plan (RCU), writes
 *                 netlink. Never waits for the fib thread.
 *   fib thread    makes objects and groups, publishes plans, repairs.
 *
 * Why no route is ever left on a lost neighbour:
 *   L1  link thread: counts the loss in the link, then events + 1   (sequentially consistent)
 *   L2  link thread: reads the plan, deletes or rewrites the objects in it
 *   F1  fib thread: creates the object in the kernel
 *   F2  fib thread: publishes the plan that contains it
 *   F3  fib thread: reads events                                    (sequentially consistent)
 *   F4  fib thread: only now writes routes through it
 * If F3 does not see L1, F2 came before L2's read in the one order that both agree on, so L2 finds the
 * object. If F3 sees L1, the fib thread itself deletes the link's objects before F4
 * (nexthops_links_changed()). The kernel arbitrates the rest: a group written with an object that is gone is
 * refused; a group written before is shrunk by the deletion. The link thread never writes a lost neighbour
 * into anything, and every write of the fib thread that could is followed by F3.
 *
 * Netlink is a message for each object, and each waits for the kernel's lock. Where the kernel can do that,
 * packets are therefore redirected first, by a store (redirect.h); the argument is the same: the entry is
 * there before the plan that names it (F2), and is taken back only after the objects have been deleted.
 *
 * Who is lost for whom: the link thread only counts. The fib thread, when it
 * looks, gives the loss an epoch; a group remembers the epoch of its last
 * update and does not use links lost after it, even when they are up again
 * (see "Retirement" in nexthop.h).
 *
 * A link is made when the first event names it and lives as long as the FIB:
 * as many as there are BFD and BGP sessions.
 */
#pragma once
#include "controlplane/fib/batch.h"
#include "controlplane/fib/fib.h"
#include "shared/rcu.h"
#include <pthread.h>
#include <stdatomic.h>
#include <urcu/list.h>

struct nhobj;
struct link;

/* A next hop as the kernel is told. */
struct hop {
	struct ipaddr gw;    /* zero: on the interface */
	struct ipaddr owner; /* the recursive next hop that led here; zero: none */
	uint32_t ifindex;
	uint16_t weight; /* 1..256 */
	bool onlink;
};
#define HOP_LINKS 3 /* (gw, ifindex), (gw, any), (owner, any) */
/* The address family of the nexthop object; without a gateway it is that of its routes (4 or 6). */
static inline uint8_t hop_family(const struct hop *h, uint8_t route_family)
{
	bool v4 = ipaddr_is_zero(&h->gw) ? route_family == 4 : ipaddr_is_v4(&h->gw);

	return v4 ? AF_INET : AF_INET6;
}

struct plan_entry {
	struct nhobj *obj; /* its counters; freed a grace period after it left the plan */
	uint32_t id;
	uint8_t family; /* of the routes */
	bool has_substitute;
	struct hop substitute;
	const struct link *substitute_link[HOP_LINKS]; /* is it alive itself? */
	uint32_t substitute_downs[HOP_LINKS];          /* it was when this was so many */
	uint32_t slot;                                 /* redirect.h; 0: not redirected */
};

struct plan {
	struct rcu_head rcu;
	unsigned n;
	struct plan_entry e[];
};

/* Who says Down and will say Up again. A lost BGP session or carrier is an event: what may be used after it
 * is for the RIB and the kernel to say. */
#define LINK_DOWN_BFD 1
#define LINK_DOWN_NEIGHBOUR 2
#define LINK_REASON_NEIGHBOUR "neighbour unreachable"

struct link {
	struct link *next; /* RCU */
	struct ipaddr addr;
	uint32_t ifindex;                /* 0: any */
	_Atomic uint8_t down;            /* LINK_DOWN_* that hold; other reasons are events only */
	_Atomic uint32_t downs, changes; /* counted */
	struct plan *plan;               /* RCU */
	/* fib thread only */
	struct cds_list_head uses; /* struct link_use of the objects through it */
	uint32_t seen_downs, seen_changes;
	uint64_t down_epoch, change_epoch;
	bool attached; /* the objects made before it know it */
	bool plan_stale;
	struct link *next_stale;
};

#define LINK_BUCKETS 1024
#define HISTORY 64

struct history_entry {
	struct fib_failover_view v;
	bool used, logged;
};

struct links {
	pthread_mutex_t lock; /* making links; the socket; history has its own */
	struct batch batch;
	uint8_t rtproto;
	struct link *bucket[LINK_BUCKETS]; /* RCU */
	_Atomic uint64_t events;
	_Atomic uint32_t urgent; /* losses that are being written: the fib thread's batches wait for them */
	pthread_mutex_t history_lock;
	struct history_entry history[HISTORY];
	unsigned history_next;
};

int links_init(struct links *l, uint8_t rtproto);
void links_exit(struct links *l);
/* Any thread. */
struct link *links_find(struct links *l, const struct ipaddr *addr, uint32_t ifindex);
/* The links that a hop depends on; those that nobody has named are NULL. */
void links_of_hop(struct links *l, const struct hop *h, struct link *out[HOP_LINKS]);
/* Somebody says Down, or it was lost after the epoch. fib thread. */
bool hop_dead(struct links *l, const struct hop *h, uint64_t epoch);
/* An interface went, and the kernel did by itself what we would have. fib thread. */
void links_note_interface(struct links *l, uint32_t ifindex, const char *reason, uint64_t heard_ns,
	unsigned groups, uint64_t prefixes);
/* Writes the line of what is complete or older than a second. fib thread. */
void links_log_history(struct links *l);
/* The fib thread's follow-up of events: groups, plan, and what follows in the kernel. */
void links_changed(struct fib *f);
/* "192.0.2.1 on eth0" */
const char *link_text(const struct ipaddr *addr, uint32_t ifindex, char *buf, size_t size);
