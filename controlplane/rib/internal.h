/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the RIB: not for other rooms.
 *
 * Who writes what
 *   rib, tables, sources   made and freed under rib->lock by main or the owner's
 *                          thread; found by others through RCU
 *   struct part            a table's part in one shard: by that shard's thread
 *   struct local_source    a source's part in one shard: by that shard's thread
 *   queue                  pushed by anybody, taken by the shard
 *
 * What readers of other threads see of a part (records of nets and routes, the
 * index) is written with release stores and read with acquire loads, inside a
 * sequence counter for each net: net_begin() makes it odd, net_end() even again. A
 * reader copies the fields and looks at the counter once more. On x86 both are
 * plain moves; the shard itself reads its records without ceremony.
 *
 *   writer                                reader
 *   seq = odd          (release)          s1 = seq            (acquire)
 *   fields...          (release)          fields...           (acquire)
 *   seq = even         (release)          s2 = seq
 * If a field load saw a new value, it synchronised with its release store, before which the odd value was
 * stored: then s2 is at least that odd value, differs from s1, and the reader tries again. Field loads being
 * acquire, s2 is not loaded before them.
 */
#pragma once
#include "controlplane/rib/better.h"
#include "controlplane/rib/flow_base.h"
#include "controlplane/rib/index.h"
#include "controlplane/rib/memory.h"
#include "controlplane/rib/nht.h"
#include "controlplane/rib/pool.h"
#include "controlplane/rib/rib.h"
#include "shared/clock.h"
#include "shared/hash.h"
#include "shared/rcu.h"
#include <pthread.h>
#include <stdatomic.h>

enum {
	KEY_WORDS = 16, /* at most: a whole struct net for the odd types */
	KEY_NLRI = 4,   /* those that name bytes in the store, and no others: hash, address */
	SOURCE_BITS = 20,
	SOURCES_MAX = 1 << SOURCE_BITS,
	SOURCE_MASK = SOURCES_MAX - 1,
	SLICE_NS = 1000000,
	CHANGES = 64, /* handed to listeners at a time */
	CHANGE_VIEWS = 4 * RIB_MAX_ROUTES,
};

/* ---- records ---- */

struct net_record {
	uint32_t seq;
	uint32_t first; /* route, or POOL_NONE, or BORROWED: a lender's net */
	uint32_t key[];
};

/* net_record.first of a net that borrows: these, and the number of the lender's net. */
#define BORROWED UINT32_C(0x80000000)
#define BORROWED_REFUSED UINT32_C(0x40000000)

static inline bool is_borrowed(uint32_t first)
{
	return first >= BORROWED && first != POOL_NONE;
}

static inline uint32_t lent_number(uint32_t first)
{
	return first & (BORROWED_REFUSED - 1);
}

/* Beside enum rib_route_flag */
enum record_flag {
	RECORD_LLGR = ROUTE_LLGR,
	RECORD_PIPED = 32,   /* path is an origin_key() */
	RECORD_TRACKED = 64, /* holds next hops in the shard's tracker */
};

struct route_record {
	uint32_t received; /* attribute ids; equal ones are one reference */
	uint32_t attrs;
	uint32_t path;
	uint32_t changed; /* CLOCK_MONOTONIC >> CHANGED_SHIFT */
	uint32_t next;
	uint32_t who; /* owner: SOURCE_BITS, generation: 4, flags: 8 */
};
#define CHANGED_SHIFT 24

static inline uint32_t route_owner(const struct route_record *r)
{
	return r->who & SOURCE_MASK;
}

static inline unsigned route_generation(const struct route_record *r)
{
	return r->who >> SOURCE_BITS & 15;
}

static inline unsigned route_flags(const struct route_record *r)
{
	return r->who >> (SOURCE_BITS + 4);
}

static inline uint32_t who_make(uint32_t owner, unsigned generation, unsigned flags)
{
	return owner | (generation & 15) << SOURCE_BITS | (uint32_t)flags << (SOURCE_BITS + 4);
}

static inline void put32(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline uint32_t get32(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void net_begin(struct net_record *n)
{
	put32(&n->seq, n->seq + 1);
}

static inline void net_end(struct net_record *n)
{
	put32(&n->seq, n->seq + 1);
}

/* Counters with one writer, read by anybody. */
static inline void count_add(uint64_t *c, uint64_t n)
{
	__atomic_store_n(c, *c + n, __ATOMIC_RELAXED);
}

static inline void count32_add(uint32_t *c, uint32_t n)
{
	__atomic_store_n(c, *c + n, __ATOMIC_RELAXED);
}

/* ---- a table's part in a shard ---- */

/* Bits by number of a net, in the shard's thread. */
struct net_bits {
	uint32_t *word, words;
};

/* What one part borrows from another: borrow.c. */
struct loan {
	struct part *part, *lender;
	struct local_source *source; /* the pipe's, which owns what is borrowed */
	uint32_t not_from;           /* routes of the lender's that are not: their owner */
	uint8_t generation;
	struct pool number; /* by number of the lender's net: the borrower's + 1, or 0 */
	struct loan *next;  /* the lender's */
	struct rcu_head rcu;
};

struct rib_cover;
struct local_listener;
struct local_source;
struct roa_table;

struct part {
	struct rib_table *table;
	struct rib_shard *shard;
	struct index index;
	struct pool nets, routes;
	struct local_listener *listeners;
	unsigned want;          /* union of the listeners' enum rib_listen */
	unsigned deterministic; /* sources with deterministic med */
	unsigned roa_readers;   /* sources and listeners whose filters read ROAs and want to be told */
	unsigned roa_quiet;     /* those that do not want to be told */
	unsigned flow_checked;  /* sources whose flow rules are checked against a base table */
	uint32_t *lengths;      /* prefixes by length, for longest match; NULL while empty */
	uint64_t length_map[3]; /* bit: some prefix of that length; for readers */
	uint32_t pins;
	uint32_t *idle; /* nets without routes, kept while pinned */
	uint32_t n_idle, cap_idle;
	/* the walk: walk.c */
	struct local_source *walking;
	struct walk_below *below;   /* re-evaluations of what ROAs or next hops have changed for */
	uint32_t tracked;           /* routes with recursive next hops */
	uint32_t walk_at, walk_end; /* end: nets.end, as those who walk know it */
	struct rib_task walk;
	uint64_t n_nets, n_routes;
	struct loan *loan;      /* RCU; NULL: borrows nothing */
	struct loan *borrowers; /* a lender's */
	struct net_bits lent, recalled;
	struct rib_task lend_again;
};

static inline struct net_record *net_at(const struct part *p, uint32_t i)
{
	return pool_at(&p->nets, i);
}

static inline struct route_record *route_at(const struct part *p, uint32_t i)
{
	return pool_at(&p->routes, i);
}

struct rib_table {
	struct rib *rib;
	struct rib_table *next; /* rib->tables, RCU */
	char *name;
	enum net_type net;
	bool sorted;
	uint8_t key_words;
	unsigned refs;            /* rib->lock */
	_Atomic unsigned closing; /* shards that have something of it */
	struct roa_table *roa;    /* ROA and ASPA tables */
	struct rcu_head rcu;
	struct part part[];
};

/* ---- sources ---- */

/* A configuration of a source, immutable; freed when no shard and no reader uses it. */
struct source_conf {
	struct rib_source_config c; /* strings are ours */
	unsigned refs;              /* atomic */
	uint32_t filter_uid, filter_reads;
	struct flow_base *base; /* NULL: flow rules are not checked */
	struct rcu_head rcu;
};

enum walk_kind { WALK_SWEEP = 1, WALK_IMPORT = 2, WALK_LLGR = 4, WALK_CLOSE = 8 };

struct local_source {
	_Alignas(64) uint32_t id;
	struct rib_source *source;
	struct source_conf *conf;
	struct part *part;
	uint8_t generation, sweep_generation, marks;
	bool counted;       /* in source->n_received and n_imported, for limits */
	uint8_t walk;       /* enum walk_kind */
	uint32_t walk_left; /* numbers of nets still to be visited */
	struct local_source *walk_next;
	struct rib_source_stats stats;
};

struct rib_source {
	struct rib *rib;
	struct rib_table *table;
	uint32_t id;
	struct source_conf *conf; /* RCU */
	_Atomic uint32_t queued;  /* entries submitted and not processed */
	_Atomic bool paused;
	_Atomic uint32_t n_received, n_imported; /* kept only while a limit is configured */
	_Atomic bool receive_hit, import_hit;
	_Atomic unsigned closing; /* shards that have not finished */
	pthread_mutex_t telling;  /* held while the owner is called, so that close can wait for it */
	bool silent;              /* telling: closed, the owner may be gone */
	void (*done)(void *ctx);
	void *done_ctx;
	struct rcu_head rcu;
	struct local_source local[];
};

/* ---- listeners ---- */

struct local_listener {
	struct local_listener *next;
	struct rib_listener *listener;
	struct local_listener *flush_next;
	bool dumping, first_dump, unflushed;
	bool reads_roa, roa_told; /* its answer depends on ROAs; and it wants to be told when they change */
	uint32_t dump_at;
	struct rib_task dump;
	struct part *part;
};

struct rib_listener {
	struct rib_table *table;
	unsigned what;
	struct rib_listener_ops ops;
	void *ctx;
	_Atomic unsigned closing;
	struct local_listener local[];
};

/* ---- shards ---- */

/* Work in a shard's queue. run() returns false when it wants to go on in the next slice, and frees the item
 * otherwise. */
struct item {
	struct item *next;
	bool (*run)(struct rib_shard *s, struct item *i, uint64_t deadline_ns);
};

struct memo;    /* verdicts of import filters: memo.c */
struct tracker; /* next hops in use by the shard's routes: tracker.c */

struct rib_shard {
	struct rib *rib;
	unsigned number;
	pthread_t thread;
	/* queue: a stack that the shard takes as a whole and turns round */
	_Alignas(64) struct item *_Atomic pushed;
	_Atomic uint32_t asleep; /* futex */
	_Alignas(64) struct item *work, *work_last;
	bool stop;
	struct rib_task *tasks;
	uint64_t wake_ns;  /* 0: no timer */
	uint32_t *scratch; /* of walks */
	unsigned cap_scratch;
	uint64_t now_ns;
	struct filter_vm *vm;
	struct local_source **sources; /* by id */
	uint32_t n_sources;
	struct memo *memo;
	struct tracker *tracker;
	struct origin_map *origins;
	/* changes not yet given to listeners, all of one part */
	struct part *changed_part;
	unsigned n_changes, n_views;
	struct rib_change *changes;
	struct net *change_nets;
	struct rib_route_view *views;
	/* attribute references that the changes above need until they are given out: (id, n) */
	uint32_t (*dropped)[2];
	unsigned n_dropped, cap_dropped;
	struct local_listener *unflushed; /* those with flush() that were told something in this slice */
};

struct rib {
	unsigned n_shards;
	uint64_t seed;
	pthread_mutex_t lock; /* tables, ids, counts of references */
	struct rib_table *tables;
	struct rib_source *_Atomic *sources; /* SOURCES_MAX, reserved memory */
	uint32_t next_source;
	_Atomic uint64_t queued;
	_Atomic unsigned live; /* tables and sources that are not freed yet */
	struct nht *_Atomic nht;
	struct roa_notifier *roa;
	struct flow_bases *flow_bases;
	struct nlri_store *nlris;
	struct rib_shard shard[];
};

/* shard.c */
int shard_start(struct rib_shard *s); /* 0 or -errno; rib and number are set */
void shard_stop(struct rib_shard *s);
void shard_push(struct rib_shard *s, struct item *i);
void shard_flush_changes(struct rib_shard *s);
void shard_drop(
	struct rib_shard *s, uint32_t attrs, uint32_t n); /* releases n references once the changes are out */
static inline struct local_source *shard_source(const struct rib_shard *s, uint32_t id) /* NULL: gone */
{
	return id < s->n_sources ? s->sources[id] : NULL;
}
static inline uint32_t *shard_scratch(struct rib_shard *s, unsigned i)
{
	if (i >= s->cap_scratch) {
		s->cap_scratch = s->cap_scratch ? 2 * s->cap_scratch : 64;
		s->scratch = memory_grow(s->scratch, s->cap_scratch * sizeof(*s->scratch));
	}
	return &s->scratch[i];
}
static inline bool reads_roa(const struct source_conf *c, bool forced)
{
	return (c->filter_reads & FILTER_READS_ROA) && (forced || !c->c.no_roa_reload);
}

/* listener.c */
void listener_changed(struct rib_shard *s, struct local_listener *l, const struct rib_change *c, unsigned n);
void listener_flush(struct rib_shard *s);
/* For those that read ROAs; forced: also those that do not want to be told. */
void listener_revisit(struct rib_shard *s, struct part *p, uint32_t net, bool forced);

/* key.c: nets as words */
unsigned key_words(enum net_type t);
void key_of(enum net_type t, const struct net *n, uint32_t *key);
void key_net(enum net_type t, const uint32_t *key, struct net *out);
/* Low 32 bits are the index's; high ones choose the shard of what has no neighbourhood. */
static inline uint64_t key_hash(const struct rib *rib, const uint32_t *key, unsigned words)
{
	return words == 2          ? hash_u64((uint64_t)key[1] << 32 | key[0], rib->seed)
	       : words == KEY_NLRI ? (uint64_t)key[1] << 32 | key[0]
				   : hash_bytes(key, 4 * (size_t)words, rib->seed);
}

/* nlri.c: destinations that are bytes, each kept once for all tables */
struct nlri_store;
struct nlri_store *nlri_store_create(void);
void nlri_store_destroy(struct nlri_store *s); /* nothing is left in it */
/* The key of a net, with a reference. */
void nlri_key_take(struct rib *rib, const struct net *n, uint32_t *key);
/* Without; valid under RCU. False: no table has it. */
bool nlri_key_find(struct rib *rib, const struct net *n, uint32_t *key);
void nlri_key_hold(struct rib *rib, const uint32_t *key);
void nlri_key_release(struct rib *rib, const uint32_t *key);
void nlri_key_net(const uint32_t *key, struct net *out);
static inline bool key_is_nlri(unsigned words)
{
	return words == KEY_NLRI;
}
unsigned key_prefix_length(enum net_type t, const uint32_t *key);
/*
 * Addresses that are near each other share a shard: their routes mostly share attributes, which are then put
 * through filters and encoded once, and go out in one message. Spread evenly over 4 shards, a set of five
 * prefixes would be work for three of them. Longer prefixes than a table has (a test's million host routes)
 * have smaller neighbourhoods.
 */
static inline unsigned shard_of(const struct rib *rib, enum net_type t, const uint32_t *key, uint64_t hash)
{
	if (rib->n_shards == 1)
		return 0;
	if (t == NET_IP4)
		hash = hash_u64(ntohl(key[0]) >> (key[1] > 24 ? 10 : 18), rib->seed);
	else if (t == NET_IP6)
		hash = hash_u64(
			key[4] > 48 ? (uint64_t)key[0] << 32 | key[1] : ntohl(key[0]) >> 4, rib->seed);
	return (unsigned)((hash >> 32) * rib->n_shards >> 32);
}

/* better.c, beside better.h */
void candidate_of(struct rib_shard *s, const struct route_record *r, struct candidate *out);
uint32_t attrs_neighbor_as(const struct attrs *a); /* the first AS of the path; 0: there is none */
bool same_next_hops(const struct attrs *a, const struct attrs *b);

/* source.c: the owner's calls, not made any more once it has closed the source. Shard's thread. */
void source_tell_limit(struct local_source *l, bool import, enum limit_action action);

/* update.c: everything that changes a net */
struct update {
	struct part *part;
	struct local_source *source;
	const uint32_t *key;
	uint32_t hash;
	uint32_t hint; /* the net's number, perhaps; POOL_NONE */
	uint32_t path; /* path id, or origin_key() */
	bool piped;
	uint32_t attrs; /* a reference that update_apply() takes; 0: withdrawal */
};
void update_apply(struct rib_shard *s, const struct update *u);
uint32_t part_find(const struct part *p, const uint32_t *key, uint32_t hash);
/* What a walk may do with a route. true: it is gone, or the list has changed. */
void update_remove(struct rib_shard *s, struct part *p, uint32_t net, uint32_t route);
void update_import(
	struct rib_shard *s, struct part *p, uint32_t net, uint32_t route); /* import filter again */
void update_llgr(struct rib_shard *s, struct part *p, uint32_t net, uint32_t route);
void update_order(
	struct rib_shard *s, struct part *p, uint32_t net); /* next hops have changed: order again */
void update_backup(
	struct rib_shard *s, struct part *p, uint32_t net); /* somebody wants backups from now on */
/* The source's routes are resolved through another table from now on. */
void update_retrack(struct rib_shard *s, struct local_source *l, const struct source_conf *next);
void update_idle(struct rib_shard *s, struct part *p); /* not pinned any more: idle nets are given up */

/* view.c */
void view_of(
	struct rib_shard *s, const struct route_record *r, struct rib_route_view *out); /* shard's thread */
/* Usable routes, best first; at most max are copied, returns how many there are (1 when one was asked for).
 * Those behind the best are put in order when few are asked for. */
unsigned part_views(
	struct rib_shard *s, struct part *p, uint32_t net, struct rib_route_view *out, unsigned max);
/* Those that the import filter rejects, behind the count views that out has; returns how many it has then, at
 * most max. */
unsigned part_views_filtered(struct rib_shard *s, struct part *p, uint32_t net, struct rib_route_view *out,
	unsigned count, unsigned max);

/* walk.c */
void walk_init(struct part *p);
void walk_source(struct rib_shard *s, struct local_source *l, unsigned kinds);
void walk_stop(struct rib_shard *s, struct part *p);
void walk_covered(struct rib_shard *s, struct part *p, struct rib_cover *c);
void source_closed(struct rib_shard *s, struct local_source *l); /* source.c: the last walk is over */

/* borrow.c; the first three for a part with a loan */
uint32_t borrow_find(const struct part *p, const uint32_t *key, uint32_t hash);
void borrow_try(
	struct rib_shard *s, struct part *p, uint32_t net); /* a net that may borrow does from now on */
void borrow_own(struct rib_shard *s, struct part *p, uint32_t net); /* a net that borrows does not any more */
/* Would the source's filter decide the same on a net that borrows? */
bool borrow_verdict_stays(struct rib_shard *s, const struct part *p, const struct net_record *n);
void borrow_recall(struct rib_shard *s, struct part *lender, uint32_t net); /* it is about to change */
void borrow_open(struct rib_shard *s, struct local_source *l, struct rib_table *from, uint32_t not_from);
void borrow_close(struct rib_shard *s, struct local_source *l);

/* cover.c */
/* Calls that are owed when it has been everywhere; takes over the list. */
struct cover_call {
	struct cover_call *next;
	void (*fn)(void *ctx);
	void *ctx;
};
void cover_then(struct rib_cover *c, struct cover_call *calls);
struct rib_cover *cover_hold(struct rib_cover *c);
void cover_release(struct rib_cover *c);
bool cover_matches(
	const struct rib_cover *c, struct rib_shard *s, const struct part *p, const struct net_record *n);
void cover_visit(const struct rib_cover *c, struct rib_shard *s, struct part *p, uint32_t net);
/* All parts of a shard that have something to do with it start a walk. Takes no reference. */
void cover_start(struct rib *rib, struct rib_cover *c);
struct rib_cover *cover_of_prefixes(struct prefix *list, unsigned n, bool forced); /* list is reordered */
/* Flow rules whose destinations overlap with them. */
struct rib_cover *cover_of_flows(struct prefix *list, unsigned n); /* list is reordered */
struct rib_cover *cover_of_next_hops(struct rib_table *igp, const struct ipaddr *list, unsigned n);

/* view.c: false: the record is free */
bool net_is_indexed(const struct part *p, uint32_t net);

/* memo.c */
struct memo *memo_create(void);
void memo_destroy(struct memo *m);
void memo_forget(struct rib_shard *s, struct memo *m); /* drops what it holds: the shard has nothing to do */
bool memo_in_use(const struct memo *m);
struct verdict {
	bool accepted;
	uint32_t attrs; /* what the filter made of it: a reference for the caller unless it is `received`
			   itself; 0: nothing to keep */
};
/* received: the route's attributes, held by the caller. */
struct verdict import_verdict(struct rib_shard *s, const struct local_source *l, const uint32_t *key,
	uint32_t origin, uint32_t received);

/* tracker.c */
struct tracker *tracker_create(void);
void tracker_destroy(struct tracker *t);
void tracker_hold(struct rib_shard *s, struct rib_table *igp, const struct attrs *a);
void tracker_release(struct rib_shard *s, struct rib_table *igp, const struct attrs *a);

/* origin.c: (source, path id) <-> 32 bits, unique in a shard */
struct origin_map *origin_map_create(void);
void origin_map_destroy(struct origin_map *m);
uint32_t origin_key(struct rib_shard *s, uint32_t source, uint32_t path_id);
void origin_of_key(const struct rib_shard *s, uint32_t key, uint32_t *source, uint32_t *path_id);

/* table.c */
void table_hold(struct rib_table *t);
