/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the FIB. All of it belongs to the fib thread (fib.loop) except
 * where a comment names another.
 */
#pragma once
#include "controlplane/fib/batch.h"
#include "controlplane/fib/fib.h"
#include "controlplane/fib/links.h"
#include "controlplane/fib/netlink.h"
#include "controlplane/fib/nexthop.h"
#include "controlplane/fib/queue.h"
#include "controlplane/fib/redirect.h"
#include "controlplane/fib/table.h"
#include "controlplane/loop/loop.h"
#include <ev.h>
#include <stdatomic.h>
#include <urcu/list.h>

#define BATCH_ROUTES BATCH_AT_ONCE_MAX /* routes in one send, at most */

/* Of a route besides where it goes: interned, never forgotten. */
struct route_info {
	uint32_t metric, realm;
	uint8_t scope; /* RT_SCOPE_* */
	uint8_t n_metrics;
	uint16_t cc_len;
	struct ipaddr prefsrc;
	uint32_t metrics[24]; /* by RTAX_*; 0: not set */
	char cc[16];
};

struct learned; /* learn.h */

struct fib_channel {
	struct cds_list_head node;
	struct fib *f;
	struct rib_table *table;
	struct kernel_config kernel;
	struct filter_ref export;
	struct rib_source *learn_source;
	uint8_t family; /* 4 or 6 */
	uint32_t table_id;
	struct export_feed *feed;
	struct queue *queues; /* one for each shard */
	unsigned n_shards;
	_Atomic unsigned closed_shards, dumped_shards;
	bool closing, keep, feed_closed;
	void (*done)(void *ctx);
	void *done_ctx;

	struct table routes;
	bool sweeping;
	uint32_t sweep_at; /* slot */
	uint64_t sweep_removals, sweep_rehashes;
	bool ready;           /* what an earlier run left is known */
	bool flushing;        /* the sweep removes everything */
	bool drop_left_overs; /* the sweep removes what is left over */
	uint32_t n_left_over;
	uint64_t next_scan_ns;
	struct learned *learned;
	struct log_limit refused_log, repaired_log;
	struct merge_filter *merge_filter; /* RCU; merge.c */

	_Atomic uint64_t n_routes, pending, failed, repaired, adopted;
};

/* One route message of the writer's batch, for when the kernel refuses it. */
struct written {
	struct fib_channel *ch;
	struct prefix prefix;
	uint32_t group; /* the new one; 0: a removal */
	uint16_t info;
	bool replace;
	enum write_reason { WRITE_WISH, WRITE_MISSING, WRITE_RETRY } reason;
};

struct audit; /* audit.h */

struct fib {
	struct fib_options o;
	struct ifaces *ifaces;
	struct loop *loop;
	struct links links; /* link threads, too */
	struct nexthops nh;
	struct redirect *redirect; /* NULL: none */
	struct nl_sock *ask;       /* dumps and questions */
	struct batch ctl;          /* objects and groups: each answer is waited for */
	struct batch writer;       /* routes */
	struct written written[BATCH_ROUTES];
	bool resync_wanted; /* outcomes or notifications were lost: audit everything */
	bool verify_wanted; /* of nexthop objects: look at those */
	struct route_info *infos;
	uint32_t n_infos;
	struct cds_list_head channels;

	ev_async wake; /* from shards */
	ev_idle work;
	ev_timer tick;  /* 1 s */
	ev_timer calm;  /* runs while the kernel is left to the link thread, see fib_keep_calm() */
	double calm_by; /* ev_now() time: not longer than that */
	ev_io monitor_io;
	struct nl_sock *monitor;
	double restore_at;  /* ev_now() time; 0: nothing to restore */
	double hold_until;  /* left-overs are kept until then */
	bool recovery_done; /* all neighbours have sent again what they had */
	bool deferred;      /* tables with left-overs wait for that, until defer_until at most */
	double defer_until; /* ev_now() time */
	bool recovered;     /* left-overs have been dropped, or there were to be none */
	uint64_t start_ns;
	struct audit *audit;
	_Atomic bool woken;
	_Atomic bool nht_changed;
	_Atomic bool objects; /* nexthop objects are in use; for other threads */
	bool said_plain;
};

/* fib.c */
void fib_wake(struct fib *f);          /* any thread: there is work */
void fib_restore_later(struct fib *f); /* a link changed */
/* A link was lost, and others of the same cable are lost within a BFD interval. Whatever we tell the kernel
 * now holds its one lock for a grace period, 20 ms and more on a busy machine, and their failover would wait
 * for it: it comes later. */
void fib_keep_calm(struct fib *f);
bool fib_queues_empty(struct fib *f);

/* route.c: desired state into messages */
/* What changes of one batch have come to: their neighbours' in it mostly have the same attributes. Ids stay
 * what they are while the batch holds them. */
#define RECENT 16
struct recent {
	struct recent_entry {
		uint32_t attrs, source, backup_attrs, backup_source; /* attrs 0: free */
		uint32_t changes;                                    /* nexthops.changes then */
		uint16_t info;
		struct group *group;
	} e[RECENT];
};
void route_apply(struct fib_channel *ch, const struct fib_change *c, struct recent *recent);
/* Points the route at g with info i (g NULL: away with it) and writes what that takes. */
void route_set(struct fib_channel *ch, const struct prefix *p, struct group *g, uint16_t info);
/* Writes an existing entry once more: it is missing in the kernel or wrong there (replace). */
void route_rewrite(struct fib_channel *ch, struct route *r, bool replace);
/* Removes a prefix with this metric that is in the kernel and nobody knows of. */
void route_remove_unknown(struct fib_channel *ch, const struct prefix *p, uint32_t metric);
void route_refuse(struct fib_channel *ch, struct route *r); /* somebody else has its place */
void route_add_left_over(struct fib_channel *ch, const struct prefix *p, struct group *g, uint16_t info);
/* Sends the batch; the kernel has answered for all of it afterwards. */
void route_flush(struct fib *f);
uint16_t route_info_intern(struct fib *f, const struct route_info *i);
/* One step of the sweep: at most max slots. True: there is more to do. */
bool route_sweep(struct fib *f, unsigned max);
void route_start_sweep(struct fib_channel *ch);

/* A route as the kernel tells it. */
struct kernel_route {
	struct prefix prefix;
	uint32_t table, metric, nhid;
	uint8_t type, protocol, scope;
	bool cloned;
	struct route_info info;
	unsigned n_hops;
	struct hop hops[BEST_MAX];
};
bool kernel_route_parse(const struct nlmsghdr *h, struct kernel_route *r);
/* Fills in the hops of a route that came with a nexthop id only. */
void kernel_route_resolve(struct fib *f, struct kernel_route *r);

/* monitor.c */
int monitor_open(struct fib *f);
void monitor_close(struct fib *f);
int monitor_filter(struct fib *f); /* again when who learns has changed */

/* channel.c */
struct fib_channel *channel_of(struct fib *f, uint8_t family, uint32_t table_id);
bool channel_work(struct fib *f); /* one slice of the queues; true: there was something */
void channels_reap(struct fib *f);
void channel_gone(struct fib_channel *ch);
