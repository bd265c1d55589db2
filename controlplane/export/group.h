/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Groups of peers that share what is encoded for them.
 *
 * Peers with the same table, mode, rules (bgp_export_class) and encoding are a
 * group, whatever their export filters. Each filter in use is a lane; a member
 * is in one lane. In each shard a group keeps for every prefix one number, its
 * fan (fan.h): what each lane sends of it. A route is put through the filters
 * once for its attributes, not for each prefix and each peer (choose.c), and the
 * outcome for all lanes is one fan. So seven hundred peers with seven hundred
 * filters cost a set of seven hundred bits for each different outcome, not seven
 * hundred tables.
 *
 * At the end of a slice the changes, pairs of fans, are turned into segments:
 * attributes for a set of lanes, except the peer whose own routes they are. Equal
 * pairs are worked out once. The segments of a slice share blocks, which each
 * member gets by reference and of which it reads what has its lane's bit
 * (block.h). The member whose own route takes another's place gets a
 * withdrawal, in a segment for it alone.
 *
 * States of a member in a shard:
 *   JOINING  the group itself does not know the table yet
 *   SYNC     is brought up to date range by range, as its ring has room
 *   LIVE     gets blocks as they are made
 *
 * SYNC (dump.c) is one thing for a peer that joins, asks for a refresh, gets
 * another filter, or was too slow. Indexes are taken in ranges. Time is counted in
 * flushes (`seq`); a group remembers when each prefix changed last, and a SYNC member
 * when it was given each range last (`since`), or that it never was. What the
 * peer has of a prefix then follows from
 *   - since[range] set, and no change after it: what its lane sends: nothing to do
 *   - since[range] set, a change after it: unknown: it is told the present state
 *   - never given: by `from`: nothing (it joins), what another lane sends (it had that
 *     lane's filter before; unknown if the prefix has changed meanwhile), what its own lane sends (a
 *     refresh, all is said again), unknown, or what `had` says
 * so a member that lags costs a few words for each range, and none for a
 * change. All SYNC members that need a range get it in one step from one block,
 * whose bits number the members of that step; those that join and have nothing get
 * blocks by lane, which are kept while the range does not change. A member starts at the range the
 * others are at. It is LIVE when no range needs it.
 *
 * A change does not wait for that: its range comes next, in turn with the one that the round is at,
 * for all that need it, so that a million prefixes under way to a member do not hold up one. And no
 * more is put into a ring than is soon out of it again.
 *
 * A new lane is known in a range when the range's routes have been put through
 * its filter (range_gen, lane_gen): that is done by the first step that is about
 * the range; the bits of a lane mean nothing before.
 *
 * While a member is not LIVE the shard's prefixes are pinned: an index means the
 * same prefix until the member has heard of it.
 *
 * Everything here belongs to the shard's thread, but for the rings and what says
 * otherwise.
 */
#pragma once
#include "controlplane/bgp/nlri.h"
#include "controlplane/export/choose.h"
#include "controlplane/export/engine.h"
#include "controlplane/export/fan.h"
#include "controlplane/export/ring.h"
#include "controlplane/export/select.h"

#define RANGE 512u /* indexes of a range */

struct group;
struct export_peer;

struct paths { /* ALL: path[i] has the path id i + 1 on the wire */
	uint32_t n;
	struct path {
		uint32_t fan;
		uint32_t source, path_in; /* the route's path id at its source */
	} path[];
};

/* What an entry of a message is made of: the prefix, or a handle of what is none. */
static inline const struct prefix *group_prefix(const struct net *n, struct prefix *handle)
{
	if (n->type <= NET_IP6)
		return &n->prefix;
	*handle = bgp_nlri_handle(n->nlri);
	return handle;
}

struct change {
	struct prefix prefix; /* group_prefix() */
	uint32_t index, path_id;
	uint32_t old, now; /* fans; references are held */
	uint32_t next;     /* of the same index, CHANGE_NONE ends */
	uint32_t plan;
};
#define CHANGE_NONE UINT32_MAX

/* What the replacement of one fan by another means: in a slice, by pair. */
struct plan {
	uint32_t old, now;
	uint32_t first, n; /* in group_shard.step */
	uint32_t count;    /* changes */
};
struct plan_step {
	uint32_t to;    /* the encoder's receivers */
	uint32_t attrs; /* as sent; 0: withdraw */
};

enum member_state { MEMBER_JOINING, MEMBER_SYNC, MEMBER_LIVE };

#define FROM_NOTHING UINT32_MAX
#define FROM_UNKNOWN (UINT32_MAX - 1)
#define FROM_SAME (UINT32_MAX - 2) /* a refresh: has what its lane sends, or nothing, and is told again */
#define HAD_UNKNOWN UINT32_MAX
#define NEVER UINT64_MAX

struct member {
	struct cds_list_head node;
	struct export_peer *peer;
	uint32_t own_source;
	bool observer;
	struct member *next_own; /* of the same source: observers are behind the peer itself */
	struct lane *lane;
	enum member_state state;
	bool joined;              /* is on a group's list */
	bool mark_end;            /* a DUMP_END is owed when it becomes LIVE */
	bool fed;                 /* is given the whole table: it counts as that many updates */
	uint32_t mark_generation; /* what it says: which dump it ends */
	/* SYNC */
	uint32_t from;          /* lane, or as above */
	struct lane *from_lane; /* in use until every range was given; NULL */
	uint64_t began;         /* seq when it was last LIVE in from */
	uint64_t base;          /* since of ranges beyond n_since */
	uint64_t *since;        /* by range */
	uint32_t n_since, n_never;
	uint32_t
		*had; /* after a change of group: what the peer has by index; references; HAD_UNKNOWN; NULL */
	uint32_t n_had;
	uint32_t *had_ids; /* ALL, likewise: the highest path id by index; NULL */
	uint32_t n_had_ids;
	struct ring ring;
};

/* Lists of members are walked by their heads: the list's own head is not where a member, which is aligned to
 * a cache line, could be. */
static inline struct member *member_of(struct cds_list_head *node)
{
	return caa_container_of(node, struct member, node);
}

struct made {
	struct block **b; /* a reference on each */
	uint32_t n, cap;
};
/* What is made at a time are fewer blocks than that: they get longer as they get more (block_limit() in
 * encoder.c), so it would be a quarter of a gigabyte. */
#define MADE_BLOCKS 384u

struct range_cache {
	struct made made;
	uint64_t seq, gen; /* of when it was made */
	bool valid;
};

#define STALE_LAST UINT32_MAX

struct group_shard {
	struct group *group;
	struct rib_shard *shard; /* known from the first call */
	unsigned number;
	struct choose choose;              /* lanes, filters, fans */
	uint32_t *out;                     /* fan by index; BEST, SECONDARY */
	struct paths **all;                /* by index; ALL */
	uint32_t *change_of;               /* by index: first change of this slice + 1, 0: none */
	uint32_t *changed_at;              /* by index: low half of seq of the last change */
	uint32_t n_index;                  /* size of these */
	uint64_t *changed_max, *range_gen; /* by range */
	struct change *change;
	uint32_t n_change, cap_change;
	uint32_t *gone, gone_mask, n_gone; /* changes by prefix, of prefixes given up in this slice */
	uint64_t seq;
	bool ready;
	struct cds_list_head members;
	unsigned n_live, n_slow;
	struct rib_task task;
	bool task_started;
	uint32_t sync_at; /* range */
	/* Ranges with changes that SYNC members have not heard of: a queue. By range the next one + 1, or
	 * STALE_LAST, 0 when it is not in it; first_stale + 1. */
	uint32_t *stale, first_stale, last_stale;
	struct member **needing; /* of a step */
	uint32_t cap_needing;
	struct member **owner;   /* by source id: the first of next_own */
	uint32_t *own_announced; /* by source id, of those that have an owner: prefixes its lane sends */
	uint32_t n_source;
	struct range_cache *cache; /* by range */
	uint32_t n_cache;
	/* of a flush */
	struct plan *plan;
	uint32_t n_plan, cap_plan;
	uint32_t *plan_hash, plan_mask;
	struct plan_step *step;
	uint32_t n_step, cap_step;
	struct selection selection; /* ALL, but not of all */
	uint32_t *fans;             /* scratch: of routes */
	uint32_t cap_fans;
	uint64_t *bits; /* scratch: two sets */
	uint32_t cap_bits;
	uint64_t *known; /* lanes of known_gen */
	uint64_t known_gen;
	uint32_t cap_known;
	bool known_good;
	struct lane *first_lane;        /* in use before its member has joined */
	struct export_feed_stats stats; /* relaxed atomics, read by others; accepted is by lane */
	struct encoder *encoder;
	size_t path_bytes; /* of all[] */
	size_t bytes;      /* relaxed atomic: what the group takes here, for others to read */
};

struct group {
	struct cds_list_head node;
	struct export_engine *engine;
	unsigned refs; /* engine->lock */
	struct rib_table *table;
	enum export_mode mode;
	struct path_choice choice;
	struct bgp_export_class class;
	struct bgp_encode_class encode;
	struct lane **lane; /* by number; engine->lock */
	uint32_t n_lane;
	struct rib_listener *listener;
	_Atomic unsigned open;
	/* `export limit N action block`: a group for one peer, that source's; N + 1, 0: no such limit. What
	 * is announced and not its own, in all shards; whether something was held back since that was below
	 * the limit. */
	uint32_t cap, cap_source;
	_Atomic uint32_t cap_used;
	_Atomic bool blocked;
	unsigned n_shards;
	struct group_shard shard[];
};

/* group.c: under no lock; takes the engine's. */
struct group *export_group_get(struct export_engine *x, const struct export_peer_config *c,
	struct lane **lane); /* a reference on both */
void export_group_put(struct group *g);
void export_lane_hold(struct group *g, struct lane *l, unsigned n);
void export_lane_put(struct group *g, struct lane *l);
bool export_group_same(const struct group *g, const struct export_peer_config *c);
/* In the shard's thread. */
void export_group_join(struct group *g, struct rib_shard *s, struct member *m, struct lane *l);
void export_group_leave(struct group *g, struct rib_shard *s, struct member *m);
/* A reference on the old lane is given up, now or when nothing is compared with it any more. */
void export_group_move(
	struct group *from, struct group *to, struct rib_shard *s, struct member *m, struct lane *l);
void export_group_redump(struct group *g, struct rib_shard *s, struct member *m, uint32_t generation);
void export_group_room(struct group *g, struct rib_shard *s); /* some member's ring has room again */
void export_group_flush(struct group_shard *gs);
uint32_t export_group_member_exported(const struct group_shard *gs, const struct member *m);
/* The fan under a path id; path_id 0 unless ALL. FAN_NONE: nothing. */
uint32_t export_group_fan(const struct group_shard *gs, uint32_t index, uint32_t path_id);
void group_evaluate_range(struct group_shard *gs, uint32_t range);
void group_becomes_live(struct group_shard *gs, struct member *m);
void member_forget_had(struct group_shard *gs, struct member *m);
void member_end_from(struct group_shard *gs, struct member *m);
static inline uint32_t group_ranges(const struct group_shard *gs)
{
	return gs->n_index / RANGE; /* n_index is a multiple */
}

/* What a prefix, or a path of it, sends from now on: *at becomes now, a reference on which is taken over. */
typedef void (*set_fan_fn)(struct group_shard *gs, const struct net *n, uint32_t index, uint32_t path_id,
	uint32_t *at, uint32_t now);
/* Through the filters of all lanes: a fan with a reference. */
uint32_t group_try_route(
	struct group_shard *gs, struct rib_shard *s, const struct net *n, const struct rib_route_view *r);
/* The fan that takes the place of `old` in a group with a limit: what is announced stays, nothing is added
 * beyond the limit, and what was not taken is not taken later by itself, as in BIRD. A reference on `now` is
 * taken over. */
uint32_t group_within_limit(struct group_shard *gs, uint32_t old, uint32_t now);
static inline bool group_usable(const struct rib_route_view *r)
{
	return !(r->flags & (ROUTE_FILTERED | ROUTE_UNREACHABLE));
}

/* paths.c: ALL */
void paths_evaluate(struct group_shard *gs, struct rib_shard *s, const struct net *n, uint32_t index,
	const struct rib_route_view *r, unsigned n_routes, set_fan_fn set);
void paths_forget(struct group_shard *gs, uint32_t index);
/* Before a member goes to another group, where path ids mean something else: all that it may have are said
 * anew there or withdrawn. */
void member_note_ids(struct group_shard *gs, struct member *m);
void member_forget_ids(struct member *m);

/* encoder.c: changes into blocks. One for each shard of a group. */
struct encoder *encoder_create(const struct bgp_encode_class *c, const struct sents *s);
void encoder_destroy(struct encoder *e);
/* Receivers: a set, the source whose peer is left out, or the one whose peer alone is meant, if it is in the
 * set. The number is good until encoder_finish(). */
uint32_t encoder_to(struct encoder *e, const uint64_t *set, uint32_t words, uint32_t except, uint32_t only);
void encoder_announce(
	struct encoder *e, uint32_t to, uint32_t attrs, const struct prefix *p, uint32_t path_id);
void encoder_withdraw(struct encoder *e, uint32_t to, const struct prefix *p, uint32_t path_id);
/* Packs what was given since the last call. */
void encoder_finish(struct encoder *e, struct made *out);
struct block *block_mark(uint32_t generation); /* a DUMP_END; one reference */
void made_clear(struct made *m);               /* drops the maker's references */
void made_free(struct made *m);

/* dump.c: the shard's background work for members that are not LIVE. */
bool dump_run(struct rib_task *t, struct rib_shard *s, uint64_t deadline_ns);
void dump_drop_cache(struct group_shard *gs);
/* Hands blocks to a member whose bit in their sets is `bit`. The ring has room for all. */
void member_give(struct member *m, const struct made *made, uint32_t bit);

/* peer.c */
void peer_wake(struct export_peer *p);
void peer_given(struct export_peer *p, uint64_t bytes); /* they are in its ring */
void peer_slow(struct export_peer *p, int change);      /* a shard has it off LIVE: +1, back: -1 */
/* In the shard's thread: the member is given the whole table; it has been: so many routes, of which its own,
 * and those that it got. */
void peer_feed_begins(struct export_peer *p, const struct group_shard *gs, const struct lane *l);
void peer_fed(struct export_peer *p, const struct group_shard *gs, const struct lane *l, uint64_t routes,
	uint64_t own, uint64_t got);
/* blocked: the group has held something back. */
void peer_check_limit(struct export_peer *p, unsigned shard, uint32_t exported, bool blocked);
