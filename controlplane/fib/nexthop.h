/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nexthop objects and groups in the kernel. The fib thread's own; what other
 * threads read of it is atomic or published through plans (links.h).
 *
 * Objects: one for each (route family, gateway, interface, recursive owner) and role:
 *   protected  deleted or rewritten when its neighbour is lost
 *   stand-by   never deleted for that reason. Every group ends with one, so that
 *              the kernel never sees a group without members: it would delete the group and all its
 *              routes with it. A group without alternatives has only this.
 *
 * Groups: one for each (route family, best set, backup set). Members and weights:
 *     best x 256 (shares scaled), backup x 1, stand-by x 1
 * in a resilient group with so few buckets that the share of those with weight 1
 * rounds to none (nexthop_fit()). The kernel then keeps them ready and unused, and
 * hands them all buckets the moment the best go: on our RTM_DELNEXTHOP, and by
 * itself when the interface loses its carrier.
 * Where there can only be one next hop the group is an ordinary one: no hash per packet.
 *
 * Retirement. When a link changes, every group that has it in its key is taken
 * out of the index (retired): routes that arrive from now on get a new group,
 * made for the new situation. The retired group keeps the content that the loss gave it:
 * its routes were computed before, and traffic must not go back to a neighbour
 * that came up again before BGP has re-learnt the routes through it. When the queue has
 * drained and RESTORE_DELAY has passed, what is still on a retired group is
 * what the RIB still wants there: the group is brought up to date, with one
 * message.
 *
 * Lost groups: when the kernel has removed a group (its interfaces went), the
 * routes went with it. A sweep over the tables puts them back as soon as there is
 * a way.
 *
 * Ids are taken from ranges of ours, so that whatever we find there with our
 * protocol number was made by us or an earlier run:
 *     100000001..  protected, IPv4 routes     110000001..  IPv6 routes
 *     120000001..  stand-by, IPv4 routes      130000001..  IPv6 routes
 *     140000001..  groups, IPv4 routes        150000001..  IPv6 routes
 */
#pragma once
#include "controlplane/fib/links.h"
#include "controlplane/fib/netlink.h"

struct fib;

#define NH_ID_FIRST 100000001u
#define NH_ID_RANGE 10000000u
#define NH_ID_LAST (NH_ID_FIRST + 6 * NH_ID_RANGE - 2)

#define GROUPS_MAX 32768 /* above this, new groups are made without a backup */
#define BEST_MAX 64
#define BACKUP_MAX 2
#define MEMBERS_MAX (BEST_MAX + BACKUP_MAX + 1)
#define RESTORE_DELAY_S 2.0
/* A replace of a group of IPv6 routes walks them all under the kernel's lock (0.5 us each): above this many
 * the routes are moved to a new group one by one instead. */
#define IPV6_REPLACE_MAX 2000

enum nh_role { NH_PROTECTED, NH_STANDBY };

struct link_use {
	struct cds_list_head node; /* link.uses */
	struct link *link;         /* NULL: not attached */
	struct nhobj *obj;
};

/* What carries on in some of an object's groups when it is lost. */
struct rest {
	struct nhobj *substitute; /* NULL: several */
	uint32_t port;            /* 0: several; PORT_NONE: it is its own stand-by, nobody carries on */
	uint32_t groups;
};
#define PORT_NONE UINT32_MAX

struct nhobj {
	struct rcu_head rcu;
	struct nhobj *next; /* hash chain */
	struct hop hop;     /* weight not used */
	uint8_t family, role;
	bool left_over; /* of an earlier run and not used yet */
	uint32_t id;    /* 0: not in the kernel */
	int error;      /* of the last attempt to create it */
	unsigned refs;  /* groups that have it as a member */
	unsigned kept;  /* of these: kept ones, see group_keep() */
	struct link_use use[HOP_LINKS];
	/* Of the groups that send traffic through it and have something else: */
	_Atomic uint32_t groups;
	_Atomic uint64_t prefixes;
	struct rest *rest; /* each different one once, fib thread only */
	unsigned n_rest, cap_rest;
	struct nhobj *substitute; /* if it is one for all of them, else NULL */
	uint32_t other_port;      /* where the rest is, if it is one port for all of them, else 0 */
	unsigned sole;            /* stand-by: groups that have nobody else */
	/* redirect.h */
	uint32_t slot;   /* 0: none yet */
	bool redirected; /* has an entry, to this: */
	uint32_t redirected_port;
	struct ipaddr redirected_gw; /* zero: whom the table names there */
};

/* What the RIB says: to be resolved. No padding: it is hashed and compared as bytes. */
struct nhspec {
	struct ipaddr gw;
	struct rib_table *igp; /* recursive: resolved there */
	uint32_t ifindex;      /* 0: from gw */
	uint16_t weight;
	uint16_t flags; /* enum nexthop_flag */
};

enum group_kind { GROUP_UNICAST, GROUP_BLACKHOLE, GROUP_UNREACHABLE, GROUP_PROHIBIT };
struct group_key {
	uint8_t family, kind;
	uint8_t n_best, n_backup;
	uint32_t plain;                            /* no nexthop objects: realms, old kernels */
	struct nhspec spec[BEST_MAX + BACKUP_MAX]; /* as many as used */
};

struct member {
	struct nhobj *obj; /* NULL in a plain group: hop */
	struct hop hop;
	uint16_t weight;
	bool primary; /* carries traffic */
};

struct group {
	struct group *next; /* hash chain */
	uint64_t hash;
	uint32_t index;   /* in fib.groups */
	uint32_t id;      /* 0: not in the kernel */
	uint64_t epoch;   /* links lost after this are not used */
	uint32_t refs;    /* routes that name it */
	uint32_t missing; /* of these, not in the kernel for want of the group */
	bool indexed;     /* found by key */
	bool retired, lost, moving, left_over;
	bool can_grow; /* made as a resilient group */
	bool dynamic;  /* content depends on resolution or interfaces */
	bool tracked;
	bool kept; /* routes that are not ours to remove any more (persist) are on it */
	int error;
	uint16_t buckets;
	uint64_t unused_since_ns;
	unsigned n_members;
	struct member *member;
	unsigned n_hops; /* what the key resolved to, dead or alive */
	struct hop *hops;
	struct group_key *key; /* NULL: left over, not claimed */
};

/* Groups that exist always. */
#define GROUP_INDEX_BLACKHOLE 1u
#define GROUP_INDEX_UNREACHABLE 2u
#define GROUP_INDEX_PROHIBIT 3u

struct nexthops {
	struct nhobj **objs; /* hash */
	uint32_t n_objs, objs_mask;
	struct group **groups; /* by index */
	uint32_t n_groups, cap_groups, *free_index, n_free;
	uint32_t live_groups;
	uint32_t changes;     /* of the index, and groups freed: what was looked up before is to be looked up
				 again */
	struct group **index; /* hash by key */
	uint32_t index_mask;
	uint32_t next_id[6];
	uint64_t seen_events; /* links.events up to which links were looked at */
	uint64_t epoch;
	uint32_t seen_links;     /* number of links that objects were attached to */
	bool objects, resilient; /* what the kernel can do */
	bool said_full;
	struct link *stale_links; /* their plans are to be published */
	uint64_t repaired;
};

int nexthops_init(struct fib *f);
/* keep: nothing is removed from the kernel. */
void nexthops_exit(struct fib *f, bool keep);

/* The group for a key; made, and put into the kernel if that can be, when there is none. Never NULL. */
struct group *group_get(struct fib *f, const struct group_key *key);
static inline size_t group_key_size(const struct group_key *k)
{
	return offsetof(struct group_key, spec) + (size_t)(k->n_best + k->n_backup) * sizeof(k->spec[0]);
}
struct group *group_at(struct fib *f, uint32_t index);
void group_ref(struct fib *f, struct group *g);
void group_unref(struct fib *f, struct group *g);
/* The routes of a closed channel stay, so their group must, whoever lets go of it; until a channel takes them
 * over again (on false). */
void group_keep(struct group *g, bool on);
/* Routes can be written through it. */
static inline bool group_usable(const struct group *g)
{
	return g->id != 0 || (g->key && (g->key->kind != GROUP_UNICAST || (g->key->plain && g->n_members)));
}
/* Its routes are to be looked at by the sweep. */
static inline bool group_wants_sweep(const struct group *g)
{
	return g->lost || g->moving || (g->missing && group_usable(g));
}

/* Link events that were not looked at yet: deletes objects, retires groups. */
void nexthops_links_changed(struct fib *f);
/* Plans of links whose objects changed. Then nexthops_links_changed() if there was an event meanwhile: F2,
 * F3. */
void nexthops_publish(struct fib *f);
/* heard_ns: when its change was heard of. */
void nexthops_iface_changed(struct fib *f, uint32_t ifindex, uint64_t heard_ns);
void nexthops_resolution_changed(struct fib *f);
/* Brings retired groups up to date. */
void nexthops_restore(struct fib *f);
/* Frees what has been unused for a while (all: now). */
void nexthops_reap(struct fib *f, bool all);
/* Kernel against us, now; ifindex 0: everything, else what is on this interface. Returns the number of
 * differences, all repaired or noted for the sweep. */
unsigned nexthops_verify(struct fib *f, uint32_t ifindex);
/* Before it: what traffic the objects on an interface carry that have an alternative. */
struct carried {
	unsigned objects, groups;
	uint64_t prefixes;
};
struct carried nexthops_carried(struct fib *f, uint32_t ifindex);
/* What the kernel says of a gateway (NUD_*). */
void nexthops_neighbour(
	struct fib *f, const struct ipaddr *addr, uint32_t ifindex, uint16_t state, uint32_t probes);
void nexthops_poke_neighbours(struct fib *f);
/* Groups that could not be made: once more. */
void nexthops_retry(struct fib *f);
/* What an earlier run left: becomes left-over objects and groups (adopt), or is removed. 0 or -errno. */
int nexthops_take_stock(struct fib *f, bool adopt);
/* Finds out what this kernel can do. 0, or -errno when it cannot be asked at all. */
int nexthops_probe(struct fib *f);
/* Left-overs that nobody claimed, and whose routes are gone, are removed. */
void nexthops_drop_left_overs(struct fib *f);
/* The group with this kernel id that is left over or ours, or NULL. */
struct group *nexthops_by_id(struct fib *f, uint32_t id);
static inline bool nexthop_id_is_ours(uint32_t id)
{
	return id >= NH_ID_FIRST && id <= NH_ID_LAST;
}
/* Most buckets for which members of weight w (in all) leave none to the rest. */
static inline bool nexthop_fit(unsigned buckets, unsigned w, unsigned rest)
{
	return w + rest >= 2 * buckets * rest;
}
/* Resolves one wanted next hop. Returns the number of hops, at most max. */
unsigned nexthop_resolve(
	struct fib *f, uint8_t family, const struct nhspec *s, struct hop *out, unsigned max);
