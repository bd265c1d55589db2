/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The routing tables.
 *
 * A rib has N shards, each a thread; a prefix belongs to one shard by where it lies, in
 * every table, so all that happens to a prefix happens in order in one thread
 * without locks. A shard is the only writer of its part of every table.
 *
 *   sources --batches--> [queue] shard: import filter, order routes, best and
 *                                backup --changes--> listeners (export, fib, pipes)
 *   readers: rcu_read_lock(), walk, never block and are never waited for.
 *
 * A route keeps what was received and what the import filter made of it (two
 * attribute ids): a new import filter is applied to what is here, without
 * asking the neighbour. That is the import table, at 4 bytes a route.
 *
 * Work in a shard is done in slices of at most 1 ms between looks at its queue,
 * so that a withdrawal does not wait for a table dump or a re-evaluation.
 */
#pragma once
#include "controlplane/config/model.h"
#include "controlplane/filter/filter.h"
#include "controlplane/rib/attr.h"

struct rib;
struct rib_shard;
struct rib_table;
struct rib_source;
struct rib_listener;

struct rib *rib_create(unsigned shards); /* starts the threads; NULL on failure */
void rib_destroy(struct rib *rib);       /* after all sources and listeners are closed */
unsigned rib_shards(const struct rib *rib);
uint64_t rib_queued(const struct rib *rib); /* entries submitted and not yet processed; any thread */
/* Runs fn in every shard's thread, between two slices, and returns when all have run. Not from a shard. */
void rib_call_all(struct rib *rib, void (*fn)(struct rib_shard *, void *), void *arg);
unsigned rib_shard_index(const struct rib_shard *s);
struct filter_vm *rib_shard_vm(struct rib_shard *s); /* the shard's filter machine; its thread only */
struct rib *rib_shard_rib(const struct rib_shard *s);
/* Runs fn(s, arg) in shard i's thread between two slices, in the order of the calls and batches that one
 * thread sends. Any thread. */
void rib_shard_call(struct rib *rib, unsigned i, void (*fn)(struct rib_shard *, void *), void *arg);
/*
 * Background work of a shard, done in slices: run() works until deadline_ns (CLOCK_MONOTONIC) at most and
 * returns true while there is more. Owned by the shard's thread: start it there; it stays in the list until
 * run() returns false or it is stopped.
 */
struct rib_task {
	struct rib_task *next, **prev; /* NULL prev: not started */
	bool (*run)(struct rib_task *t, struct rib_shard *s, uint64_t deadline_ns);
};
void rib_task_start(struct rib_shard *s, struct rib_task *t);
void rib_task_stop(struct rib_shard *s, struct rib_task *t);

/* ---- tables: main thread ---- */
/* Finds or makes a table and takes a reference. sorted: routes fully ordered (else best and backup only are
 * in order). */
struct rib_table *rib_table_open(struct rib *rib, const char *name, enum net_type net, bool sorted);
void rib_table_close(struct rib_table *t);
/* A reference more on a table found under RCU. False: it is on its way out. Any thread. */
bool rib_table_hold(struct rib_table *t);
const char *rib_table_name(const struct rib_table *t);
enum net_type rib_table_net(const struct rib_table *t);
bool rib_table_is_sorted(const struct rib_table *t);
struct rib *rib_table_rib(const struct rib_table *t);
struct rib_table *rib_table_find(struct rib *rib, const char *name); /* no reference; RCU */
/* All open tables, for `show route table all`: RCU. Returns the number; fills at most max. */
unsigned rib_tables(struct rib *rib, struct rib_table **out, unsigned max);

/* ---- sources: where routes come from (one import channel of one protocol) ---- */

/* What best path selection (RFC 4271 9.1.2) wants to know about a BGP neighbour. */
struct rib_peer {
	bool bgp, external, confed;
	bool rr_client, rs_client;
	bool path_metric, igp_metric, med_metric, deterministic_med, prefer_older;
	uint32_t default_med, default_local_pref;
	uint32_t router_id; /* of the neighbour, host order */
	uint32_t local_as, remote_as;
	struct ipaddr addr, local_addr;
	uint32_t ifindex; /* of a direct session */
};

struct rib_source_config {
	const char *proto_name;   /* copied */
	const char *channel_name; /* "ipv4" */
	const char *type_name;    /* "BGP": for show route all's Type line */
	enum route_source source;
	struct filter_ref import;
	bool keep_filtered;
	bool no_roa_reload; /* `rpki reload off`: do not re-run the import filter when ROAs change */
	struct limit_config receive_limit, import_limit;
	struct rib_table *igp_table; /* for NH_RECURSIVE; NULL: the table itself */
	/* Flow rules that its routes do not allow are unreachable (RFC 8955 section 6); NULL: they are not
	 * checked. */
	struct rib_table *base_table;
	struct rib_peer peer;
	/* A limit was hit or is no longer: called once in a shard's thread; must only post a call elsewhere.
	 */
	void (*limit_hit)(void *ctx, bool import_limit, enum limit_action action);
	/* The queue has drained below the low-water mark after rib_submit() said to pause. As above. */
	void (*resume)(void *ctx);
	void *ctx;
};

/* Any one thread at a time for each source (its owner). Batches are filled and submitted by any thread,
 * several batches by several threads at a time if their order does not matter. NULL with errno ENOMEM, ENOSPC
 * (a million sources). */
struct rib_source *rib_source_open(struct rib_table *t, const struct rib_source_config *c);
/* Takes over a new configuration. The import filter runs again over the routes kept when it differs by
 * content (or keep_filtered does), always, or never: `configure soft`, where it is for routes to come. */
enum rib_reevaluate { RIB_IF_CHANGED, RIB_ALWAYS, RIB_NEVER };
void rib_source_reconfigure(
	struct rib_source *s, const struct rib_source_config *c, enum rib_reevaluate reevaluate);
/* Withdraws everything, then frees; the caller forgets it. done is called in a shard's thread after the last
 * change was given to the listeners; nothing else of the configuration is called any more from now on. */
void rib_source_close(struct rib_source *s, void (*done)(void *ctx), void *ctx);
/* All that the source announces is from another table: routes of `from` but those that the source not_from
 * owns there. What it does not change is then not kept twice, where that is possible: one source of a table,
 * and not of one that others borrow from. Before the first batch. */
void rib_source_borrow(struct rib_source *s, struct rib_table *from, uint32_t not_from);
uint32_t rib_source_id(const struct rib_source *s);
/* Names and peer data of a source by id; RCU. NULL if gone. */
const struct rib_source *rib_source_by_id(struct rib *rib, uint32_t id);
const struct rib_source_config *rib_source_config(const struct rib_source *s);
/* The IGP metric to the next hop of a route of that source; UINT32_MAX: it is not reachable. Any thread,
 * under RCU. */
uint32_t rib_distance(struct rib *rib, uint32_t source, const struct attrs *a);

/* Stale handling (RFC 4724, 7313): mark all present routes; those not announced again are withdrawn by sweep.
 * retain: they stay usable meanwhile; llgr: they become least preferred (RFC 9494). */
void rib_source_mark_stale(struct rib_source *s, bool llgr);
void rib_source_sweep_stale(struct rib_source *s);
void rib_source_flush(struct rib_source *s); /* withdraw all, the source stays open */

struct rib_source_stats {
	uint32_t received, filtered, imported, preferred; /* routes now */
	uint64_t updates_received, updates_rejected, updates_filtered, updates_ignored, updates_accepted;
	uint64_t withdraws_received, withdraws_ignored, withdraws_accepted;
	bool receive_hit, import_hit; /* limits that have been hit */
};
void rib_source_stats(const struct rib_source *s, struct rib_source_stats *out); /* any thread */

/* ---- batches ---- */
struct rib_batch; /* a list of announcements and withdrawals of one source, split by shard as it is filled */
struct rib_batch *rib_batch_create(struct rib_source *s);
void rib_batch_discard(struct rib_batch *b);
/* attrs: id the batch takes a reference on (a run of equal ids costs one atomic operation); path_id:
 * ADD-PATH, 0 without. */
void rib_batch_announce(struct rib_batch *b, const struct net *n, uint32_t path_id, uint32_t attrs);
void rib_batch_withdraw(struct rib_batch *b, const struct net *n, uint32_t path_id);
/* For pipes: the route keeps the identity of where it came from (origin: rib_route_view.source and .path_id),
 * the batch's source owns it. A net holds one route of an origin: a second owner's is refused and logged (a
 * loop of pipes). */
void rib_batch_announce_from(
	struct rib_batch *b, const struct net *n, uint32_t origin, uint32_t path_id, uint32_t attrs);
void rib_batch_withdraw_from(struct rib_batch *b, const struct net *n, uint32_t origin, uint32_t path_id);
unsigned rib_batch_count(const struct rib_batch *b);
/* Queues the batch (and owns it). Never blocks. Returns false when the queue is above its high-water mark:
 * stop reading from the neighbour until resume() is called. */
bool rib_submit(struct rib_batch *b);
/* Routes that the source's owner has seen and not passed on are counted: announcements as rejected. In the
 * shard's thread. */
void rib_source_passed_over(
	struct rib_source *s, const struct rib_shard *shard, unsigned announced, unsigned withdrawn);
/* done(ctx) is called in a shard's thread when everything this source submitted before has gone through all
 * shards. */
void rib_source_barrier(struct rib_source *s, void (*done)(void *ctx), void *ctx);

/* ---- what readers and listeners see ---- */

enum rib_route_flag {
	ROUTE_FILTERED = 1,
	ROUTE_STALE = 2,
	ROUTE_SUPPRESSED = 4,
	ROUTE_UNREACHABLE = 8, /* next hop */
	ROUTE_LLGR = 16,       /* kept by rib_source_mark_stale(llgr): last choice */
};
struct rib_route_view {
	uint32_t source; /* rib_source_id() of who made the route */
	uint32_t owner;  /* of who put it into this table: differs for a pipe's */
	uint32_t path_id;
	uint32_t attrs; /* after import; 0 when filtered and not kept */
	uint32_t attrs_received;
	uint32_t flags;      /* enum rib_route_flag */
	uint64_t changed_ns; /* CLOCK_MONOTONIC, 17 ms resolution */
};

#define RIB_NO_INDEX UINT32_MAX
/* One changed prefix. Valid during the call only; ids are held by the table during the call: attrs_hold()
 * what you keep. */
struct rib_change {
	const struct net *net;
	uint32_t index; /* number of the prefix in its shard and table: stable while the prefix has routes */
	bool last;      /* the prefix has no routes any more: index will be reused after this call */
	bool metric;    /* the way to a next hop has changed */
	uint32_t old_best_attrs, old_best_source; /* 0: none */
	uint32_t best_attrs, best_source;
	uint32_t best_path_id;
	const struct rib_route_view
		*routes; /* usable ones, best first; complete when some listener of the table asked for all */
	unsigned n_routes;
	const struct rib_route_view *old_routes; /* RIB_LISTEN_OLD: the same before the change */
	unsigned n_old_routes;
	/* RIB_LISTEN_RECEIVED: behind the usable ones come those that the import filter rejects; how many
	 * there are with them */
	unsigned n_all_routes, n_all_old_routes;
};

enum rib_listen {
	RIB_LISTEN_BEST = 1,   /* best changed */
	RIB_LISTEN_BACKUP = 2, /* best changed, or the best one with other next hops; routes[] has at most
				  RIB_BACKUP_ROUTES */
	RIB_LISTEN_ALL = 4,    /* any */
	RIB_LISTEN_OLD = 8,    /* with ALL: old_routes */
	/* also when the best stays the same and the way to its next hop, or to another's, does not */
	RIB_LISTEN_METRIC = 64,
	RIB_LISTEN_NO_DUMP = 16, /* live changes only; dumped() is called at once */
	/* any, also of routes that are filtered, and of what was received though the filter makes the same of
	 * it */
	RIB_LISTEN_RECEIVED = 32 | RIB_LISTEN_ALL | RIB_LISTEN_OLD,
};
#define RIB_BACKUP_ROUTES 16
struct rib_listener_ops {
	/* In the shard's thread; must not block. n >= 1 changes, in order. dump: initial contents, not an
	 * event. */
	void (*changed)(void *ctx, struct rib_shard *s, const struct rib_change *c, unsigned n, bool dump);
	/* The initial dump of this shard is complete. */
	void (*dumped)(void *ctx, struct rib_shard *s);
	/* No more calls for this shard will come. */
	void (*closed)(void *ctx, struct rib_shard *s);
	/* The shard has finished a slice: whoever batches can flush. May be NULL. */
	void (*flush)(void *ctx, struct rib_shard *s);
};
/* Main or the owner's thread. The dump starts at once, in slices, interleaved with live changes in the right
 * order per prefix. */
struct rib_listener *rib_listener_open(
	struct rib_table *t, enum rib_listen what, const struct rib_listener_ops *ops, void *ctx);
void rib_listener_close(struct rib_listener *l); /* closed() is called in each shard, then it is freed */
/* What it makes of a route depends on ROAs: what changed ones cover is given again, as a dump gives it;
 * quietly: only when a table is held or no longer held. For good. */
void rib_listener_reads_roa(struct rib_listener *l, bool quietly);
void rib_listener_redump(struct rib_listener *l); /* give everything again (a changed export filter) */

/* ---- ROA and ASPA tables ---- */
/* Main. While a table is held, filters that ask it reject; when that begins and when it ends, everything they
 * have decided is looked at again, also for `rpki reload off`. */
void rib_roa_hold(struct rib_table *t, bool held);
/* done(ctx) is called, in a shard's thread, when what was to be looked at again by now has been. Main. */
void rib_roa_settle(struct rib *rib, void (*done)(void *ctx), void *ctx);

/* ---- readers: under rcu_read_lock() from begin to the last use of a view; re-lock between slices ---- */
#define RIB_MAX_ROUTES 4096
struct rib_cursor {
	struct rib_table *table;
	uint32_t shard, index;
};
struct rib_net_view {
	struct net net;
	uint32_t n_routes; /* all routes incl. filtered, usable ones first and best first */
	struct rib_route_view routes[];
};
/* Next prefix at or after the cursor, which moves on. view has room for max routes (more are cut and n_routes
 * says how many there are). Returns false at the end. Cheap enough for 10 M a second; the cursor stays valid
 * outside RCU. */
bool rib_next(struct rib_cursor *c, struct rib_net_view *view, unsigned max);
bool rib_find(struct rib_table *t, const struct net *n, struct rib_net_view *view, unsigned max); /* exact */
bool rib_find_longest(struct rib_table *t, const struct prefix *p, struct rib_net_view *view, unsigned max);
struct rib_table_stats {
	uint64_t nets, routes, bytes;
};
void rib_table_stats(const struct rib_table *t, struct rib_table_stats *out);

/* ---- for listeners, in the shard's thread ---- */
/* Numbers of prefixes are below this; those in between may be unused. */
uint32_t rib_shard_indexes(const struct rib_table *t, const struct rib_shard *s);
bool rib_shard_is_empty(const struct rib_table *t, const struct rib_shard *s); /* no route in this shard */
/* Prefixes that have routes, and routes; kept filtered ones among them. */
void rib_shard_counts(const struct rib_table *t, const struct rib_shard *s, uint64_t *nets, uint64_t *routes);
/* The prefix of an index in use, or kept while pinned. false: unused. */
bool rib_shard_net(const struct rib_table *t, const struct rib_shard *s, uint32_t index, struct net *out);
/* Usable routes, best first, of an index: as rib_change.routes, at most max; returns how many there are, 0:
 * none. */
unsigned rib_shard_routes(
	struct rib_table *t, struct rib_shard *s, uint32_t index, struct rib_route_view *out, unsigned max);
/* Hints to the cache: stage 0, then a few indexes later 1, then 2. */
void rib_shard_prefetch(const struct rib_table *t, const struct rib_shard *s, uint32_t index, unsigned stage);
/* While pinned, a prefix without routes keeps its index (a `last` change comes when it is given up). Counted.
 */
void rib_shard_pin(struct rib_table *t, struct rib_shard *s);
void rib_shard_unpin(struct rib_table *t, struct rib_shard *s);
/* The words of RTS_* for `show route`'s parts. */
const char *route_source_name(enum route_source s);
