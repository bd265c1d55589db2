/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A station inside: station.c has the connection and the sessions, tables.c what is in tables (Adj-RIB-In,
 * Loc-RIB), out.c what leaves (Adj-RIB-Out). All of it belongs to the station's thread but for what says
 * otherwise.
 */
#pragma once
#include "controlplane/bmp/message.h"
#include "controlplane/bmp/station.h"
#include "controlplane/loop/loop.h"
#include <pthread.h>
#include <stdatomic.h>

#define WALK_BELOW (1u << 20) /* bytes waiting to be sent: more are fetched */

struct bmp_table;
struct bmp_out;

struct peer {
	struct bmp_peer *p;
	bool wanted[BMP_CHANNELS], walking[BMP_CHANNELS];
	bool lost; /* mirrored messages were left out; it is still to be said */
};

enum { STOPPING_NO, STOPPING_TABLES, STOPPING_DONE };

struct bmp_station {
	struct bmp_station_config c;
	char *name, *sys_name, *sys_descr;
	struct loop *loop;
	int fd;
	bool up;
	uint64_t connection; /* counts them: what belongs to one before is dropped */
	ev_io io;            /* reading only tells us that it is gone */
	ev_io out;
	ev_timer retry, patience, walk, statistics;
	struct bmp_buffer tx;
	struct bmp_subscriber subscriber;
	bool subscribed;
	struct peer *peers; /* sorted by nothing: found by index */
	unsigned n_peers, cap_peers;
	uint32_t *index; /* source -> peer * BMP_CHANNELS + channel + 1, open addressing; 0: empty */
	unsigned index_size;
	struct bmp_peer *local;   /* the Loc-RIB as a peer; NULL: not told */
	struct bmp_table *tables; /* listening or on the way out */
	struct bmp_out *outs;
	struct rib_net_view *view;
	int stopping;
	_Atomic uint64_t queued_events; /* in chunks that are on their way */
	_Atomic bool overflow;
	_Atomic size_t mirrored; /* bytes of messages that are on their way */
	_Atomic uint64_t limit;
	pthread_mutex_t lock; /* of the view */
	struct bmp_station_view shown;
};

static inline struct ev_loop *station_ev(struct bmp_station *s)
{
	return loop_ev(s->loop);
}

/* station.c */
struct peer *station_find_peer(struct bmp_station *s, const struct bmp_peer *p); /* NULL: it is not told of */
void station_disconnect(struct bmp_station *s, const char *why);
void station_flush(struct bmp_station *s);
void station_more_soon(struct bmp_station *s); /* fetches more when the loop comes round */
void station_tables_closed(struct bmp_station *s);

/* mirror.c: the subscriber's mirror() */
void station_mirror(
	struct bmp_subscriber *sub, struct bmp_peer *p, const uint8_t *message, size_t len, bool errored);

/* tables.c */
void tables_index_peers(struct bmp_station *s);
/* What is there is told from now on: of a peer's channels, of the Loc-RIB. */
void tables_want(struct bmp_station *s, struct rib_table *table);
void tables_want_local(struct bmp_station *s);
void tables_close(struct bmp_station *s); /* ends in station_tables_closed() for each */
void tables_walk(struct bmp_station *s);
bool tables_walking(const struct bmp_station *s);

/* out.c */
void outs_set(struct bmp_station *s, struct bmp_peer *p, const struct bmp_export *e);
void outs_close(struct bmp_station *s, const struct bmp_peer *p); /* NULL: all */
void outs_fetch(struct bmp_station *s);
bool outs_waiting(const struct bmp_station *s);
/* Routes that the peer has been sent. */
uint64_t outs_count(const struct bmp_station *s, const struct bmp_peer *p);
