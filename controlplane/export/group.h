/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Groups of peers that are sent the same bytes.
 *
 * In each shard a group keeps what it announces of every prefix (`out`: the
 * interned attributes as sent, and the source they came from), the changes of
 * the present slice, and its members. At the end of the slice the changes are
 * packed by source and attributes into blocks, and each block is handed to all
 * members but the one whose own routes it announces. That member gets a
 * withdrawal instead where the group's route used to be somebody else's.
 *
 * States of a member in a shard:
 *   JOINING  the group itself does not know the table yet
 *   DUMP     gets the table range by range, as its ring has room; changes behind
 *            dump_at are remembered in `missed`, those before come with the dump
 *   CATCHUP  ring was full: gets the final state of what is in `missed`
 *   LIVE     gets blocks as they are made
 * While a member is not LIVE the shard's prefixes are pinned: an index means the
 * same prefix until the member has heard of it.
 *
 * Blocks of a dumped range are kept while members dump and the range does not
 * change: peers that join together share them.
 *
 * Everything here belongs to the shard's thread, but for the rings and what says
 * otherwise.
 */
#pragma once
#include "controlplane/export/engine.h"
#include "controlplane/export/policy.h"
#include "controlplane/export/ring.h"

#define RANGE 1024u /* indexes of a dumped range: never more blocks than a ring takes */

struct group;
struct export_peer;

/* What is announced under one path id. BEST and SECONDARY have one, with path id 0. */
struct path {
	uint32_t attrs;   /* 0: nothing; a reference is held */
	uint32_t source;  /* of the route */
	uint32_t path_in; /* ALL: the route's path id at its source */
};

struct paths { /* ALL: path[i] has the path id i + 1 on the wire */
	uint32_t n;
	struct path path[];
};

struct change {
	struct prefix prefix;
	uint32_t index, path_id;
	struct path old, new; /* references are held on both */
	uint32_t next;        /* of the same index, CHANGE_NONE ends */
};
#define CHANGE_NONE UINT32_MAX

enum member_state { MEMBER_JOINING, MEMBER_DUMP, MEMBER_CATCHUP, MEMBER_LIVE };

/* A path that a slow member must be told is gone (ALL only: else the bitmap says it all). */
struct gone {
	uint32_t index, path_id;
};

struct member {
	struct cds_list_head node;
	struct export_peer *peer;
	uint32_t own_source;
	enum member_state state;
	bool joined;              /* is on a group's list */
	bool mark_end;            /* a DUMP_END is owed when it becomes LIVE */
	uint32_t mark_generation; /* what it says: which dump it ends */
	uint32_t dump_at, dump_end;
	uint64_t *missed;
	uint32_t missed_words, missed_at;
	struct gone *gone;
	uint32_t n_gone, cap_gone;
	uint32_t *had; /* DUMP after a change of group: what the peer has by index; references; HAD_UNKNOWN;
			  NULL */
	uint32_t n_had;
	struct ring ring;
};
#define HAD_UNKNOWN UINT32_MAX

/* Lists of members are walked by their heads: the list's own head is not where a member, which is aligned to
 * a cache line, could be. */
static inline struct member *member_of(struct cds_list_head *node)
{
	return caa_container_of(node, struct member, node);
}

struct made_block {
	struct block *block;
	uint32_t except;     /* source whose peer does not get it; 0: all get it */
	struct member *only; /* not NULL: nobody else gets it */
};

struct made {
	struct made_block *b;
	uint32_t n, cap;
};

struct range_cache {
	struct made made;
	bool valid;
};

struct group_shard {
	struct group *group;
	struct rib_shard *shard; /* known from the first call */
	unsigned number;
	struct policy policy;
	struct path *out;    /* by index; BEST, SECONDARY */
	struct paths **all;  /* by index; ALL */
	uint32_t *change_of; /* by index: first change of this slice + 1, 0: none */
	uint32_t n_index;    /* size of the three */
	struct change *change;
	uint32_t n_change, cap_change;
	bool ready;
	struct cds_list_head members;
	unsigned n_live, n_slow;
	struct rib_task task;
	bool task_started;
	struct member **owner; /* by source id */
	uint32_t *by_source;   /* announced routes by source id */
	uint32_t n_source;
	struct range_cache *cache;
	uint32_t n_cache;
	/* counters: relaxed atomics, read by stats */
	uint32_t announced;
	struct export_feed_stats stats;
	struct encoder *encoder;
};

struct group {
	struct cds_list_head node;
	struct export_engine *engine;
	unsigned refs; /* engine->lock */
	struct rib_table *table;
	struct filter_ref filter;
	enum export_mode mode;
	struct bgp_export_class class;
	struct bgp_encode_class encode;
	struct rib_listener *listener;
	_Atomic unsigned open;
	unsigned n_shards;
	struct group_shard shard[];
};

/* group.c: under no lock; takes the engine's. */
struct group *export_group_get(struct export_engine *x, const struct export_peer_config *c);
void export_group_put(struct group *g);
bool export_group_same(const struct group *g, const struct export_peer_config *c);
/* In the shard's thread. */
void export_group_join(struct group *g, struct rib_shard *s, struct member *m);
void export_group_leave(struct group *g, struct rib_shard *s, struct member *m);
void export_group_move(struct group *from, struct group *to, struct rib_shard *s, struct member *m);
void export_group_redump(struct group *g, struct rib_shard *s, struct member *m, uint32_t generation);
void export_group_room(struct group *g, struct rib_shard *s); /* some member's ring has room again */
void export_group_flush(struct group_shard *gs);
uint32_t export_group_member_exported(const struct group_shard *gs, const struct member *m);
struct path *export_group_path(
	const struct group_shard *gs, uint32_t index, uint32_t path_id); /* NULL: nothing under that id */

/* encoder.c: changes into blocks. One for each shard of a group. */
struct encoder *encoder_create(const struct bgp_encode_class *c);
void encoder_destroy(struct encoder *e);
void encoder_announce(
	struct encoder *e, uint32_t source, uint32_t attrs, const struct prefix *p, uint32_t path_id);
void encoder_withdraw(struct encoder *e, uint32_t source, const struct prefix *p, uint32_t path_id);
/* Packs what was given since the last call; except: blocks are tagged with their source. only: they are for
 * that member. */
void encoder_finish(struct encoder *e, struct made *out, bool except, struct member *only);
struct block *block_make(
	const void *bytes, size_t len, uint32_t messages, enum block_mark mark); /* one reference */
void made_clear(struct made *m); /* drops the maker's references */
void made_free(struct made *m);

/* dump.c: the shard's background work for members that are not LIVE. */
bool dump_run(struct rib_task *t, struct rib_shard *s, uint64_t deadline_ns);
void dump_invalidate(struct group_shard *gs, uint32_t index);
void dump_drop_cache(struct group_shard *gs);
void member_miss(struct member *m, const struct change *c);
/* Hands blocks to a member: except its own. The ring has room for all. */
void member_give(struct member *m, const struct made *made);

/* peer.c */
void peer_wake(struct export_peer *p);
void peer_slow(struct export_peer *p, int change); /* a shard has it off LIVE: +1, back: -1 */
void peer_check_limit(struct export_peer *p, unsigned shard, uint32_t exported);
