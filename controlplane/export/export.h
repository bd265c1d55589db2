/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What goes out.
 *
 * Feed: a table seen through an export filter. The filter's verdict is memoised
 * by attribute id as far as the filter allows (filter_reads()).
 *   - the FIB and pipes consume a feed directly;
 *   - BGP peers are members of a group: peers with the same table, filter
 *     content, export class and encode class. A change is filtered, rewritten
 *     and encoded once for the group, into immutable reference-counted blocks
 *     packed by attribute; a member is a cursor into the group's sequence of blocks and skips
 *     the announcements of routes it sent itself (it gets a withdrawal where the group's best used to be
 * somebody else's). A member that lags is taken off the sequence: it remembers which prefixes it has missed
 * (a bitmap by prefix index) and is given their final state when it can write again. Memory for it is bounded
 * by that bitmap.
 *
 * Threads: blocks are made in the shard's threads; export_take() and
 * export_sent() are called by the session's thread; attach, detach and
 * reconfigure by main or the session's thread. Blocks are freed after the last reference.
 */
#pragma once
#include "controlplane/bgp/codec.h"
#include "controlplane/rib/rib.h"
#include <sys/uio.h>

struct export_engine;
struct export_peer;

struct export_engine *export_create(struct rib *rib);
void export_destroy(struct export_engine *x);
/* What is kept for peers beside the tables: what they are sent of each prefix. Rings and blocks under way are
 * not in it. Any thread. */
size_t export_bytes(struct export_engine *x);
/* Bytes of changes under way from shards to sessions; number of peers; bytes of all kinds that wait for a
 * peer, of which some may not be for it. Any thread. */
uint64_t export_waiting(const struct export_engine *x);
unsigned export_receivers(const struct export_engine *x);
uint64_t export_peer_waiting(const struct export_peer *p);

enum export_mode {
	EXPORT_BEST,      /* the best route, if the filter takes it */
	EXPORT_SECONDARY, /* the best of those that the filter takes (BIRD's `secondary`) */
	EXPORT_ALL,       /* routes that the filter takes: ADD-PATH; all of them, or as `choice` says */
};

/* ---- BGP peers ---- */
struct export_peer_config {
	struct rib_table *table;
	uint32_t own_source; /* rib_source_id() of the peer's import side: not sent back */
	struct filter_ref filter;
	enum export_mode mode;
	struct path_choice choice; /* ALL */
	struct bgp_export_class class;
	struct bgp_encode_class encode;
	struct limit_config export_limit;
	bool no_roa_reload; /* `rpki reload off`: changed ROAs do not run the filter again */
	bool end_of_rib;    /* send it after the initial table */
	/* Not the peer itself but one that is told what the peer is sent (BMP): shares all with it, and the
	 * peer's counters and limits do not know of it. */
	bool observer;
	/* There is something to take. Called in a shard's thread, once until the next export_take() found
	 * nothing; only posts. */
	void (*wake)(void *ctx);
	void (*limit_hit)(void *ctx, enum limit_action action);
	void *ctx;
};
struct export_peer *export_attach(struct export_engine *x, const struct export_peer_config *c);
/* Another filter, class or limit: the difference is sent; nothing is withdrawn that stays. */
void export_reconfigure(struct export_peer *p, const struct export_peer_config *c);
void export_detach(struct export_peer *p); /* no wake() after it returns; frees when no block is in flight */
void export_refresh(struct export_peer *p,
	bool enhanced); /* ROUTE-REFRESH: everything again; with BoRR/EoRR marks when enhanced */

/* Next bytes for the socket: fills iov, returns its count, 0 when there is nothing now. The bytes are whole
 * messages, valid and unchanged until export_sent() has accounted for them. */
unsigned export_take(struct export_peer *p, struct iovec *iov, unsigned max);
void export_sent(struct export_peer *p, size_t bytes);

struct export_peer_stats {
	uint32_t exported; /* prefixes now announced */
	uint64_t updates_received, updates_rejected, updates_filtered, updates_accepted;
	uint64_t withdraws_received, withdraws_accepted;
	uint64_t messages, bytes;
	uint32_t backlog_blocks;
	bool detached; /* lagging: coalescing to final state */
};
void export_peer_stats(const struct export_peer *p, struct export_peer_stats *out); /* any thread */
/* `show route export P`: is this route of the table what the peer has? Runs the filter; reader threads;
 * *changed/out as filter_run(). */
bool export_would_send(struct rib *rib, const struct export_peer_config *c, struct filter_vm *vm,
	const struct rib_net_view *view, unsigned route, bool *rejected_by_filter, bool *changed,
	struct attrs *out);

/* ---- plain feeds: FIB, pipes ---- */
struct export_feed;
struct export_feed_change {
	const struct net *net;
	uint32_t index; /* as rib_change */
	bool last;
	uint32_t attrs, source; /* what the filter made of the best route; 0: nothing (any more) */
	uint32_t backup_attrs, backup_source; /* the best accepted route with other next hops; 0: none. Only
						 if with_backup */
	const struct rib_route_view *routes;  /* of the table, best first (for merge paths) */
	unsigned n_routes;
};
struct export_feed_config {
	struct rib_table *table;
	struct filter_ref filter;
	uint32_t own_source; /* 0, or not to be given back */
	bool with_backup;
	/* In the shard's thread; must not block; ids are held during the call. */
	void (*changed)(
		void *ctx, struct rib_shard *s, const struct export_feed_change *c, unsigned n, bool dump);
	void (*dumped)(void *ctx, struct rib_shard *s);
	void (*closed)(void *ctx, struct rib_shard *s);
	void (*flush)(void *ctx, struct rib_shard *s);
	void *ctx;
};
struct export_feed *export_feed_open(struct export_engine *x, const struct export_feed_config *c);
void export_feed_reconfigure(struct export_feed *f, const struct filter_ref *filter);
void export_feed_close(struct export_feed *f);
struct export_feed_stats {
	uint32_t exported;
	uint64_t updates_received, updates_rejected, updates_filtered, updates_accepted, withdraws_received,
		withdraws_accepted;
};
void export_feed_stats(const struct export_feed *f, struct export_feed_stats *out);
