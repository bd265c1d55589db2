/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connection to one BMP station, with a thread of its own.
 *
 * What the station is told comes from three sides:
 *   - the hub: sessions that come up and go down;
 *   - the tables: listeners record each change of an Adj-RIB-In or of a best route as a small event, in the
 *     shards' threads; a shard's events are posted at the end of its slice;
 *   - the export side, of which the station is a member: see out.c.
 * What was there before is read by walking the tables under RCU, as fast as the station takes it. Events and
 * the walk are encoded here, in one thread: what the walk says of a prefix is the state of that moment, and
 * whatever changes later comes as an event behind it.
 *
 * A station that takes less than is produced is dropped when the limit is reached, and called again. Mirrored
 * messages are not: when too many of them wait, more are left out, and it is told so.
 */
#pragma once
#include "controlplane/bmp/hub.h"
#include "controlplane/config/model.h"

struct bmp_station;
struct bmp_station_config {
	const char *name, *sys_name, *sys_descr; /* copied */
	struct ipaddr local, address;
	uint16_t port;
	unsigned ribs; /* BMP_RIB_BIT()s: what is told */
	/* of the Loc-RIB: the tables for IPv4 and IPv6, open as long as the station is; who we are */
	struct rib_table *local_table[BMP_CHANNELS];
	uint32_t local_as, router_id;
	bool mirror;
	uint64_t limit_bytes;
	struct rib *rib;
	struct export_engine *export;
	struct bmp_hub *hub;
	void (*state)(void *ctx, bool up); /* in the station's thread; only posts */
	void (*stopped)(void *ctx);        /* likewise; the last call */
	void *ctx;
};

struct bmp_station *bmp_station_create(const struct bmp_station_config *c); /* starts; NULL with errno */
void bmp_station_stop(struct bmp_station *s);    /* says goodbye; ends in stopped() */
void bmp_station_destroy(struct bmp_station *s); /* after stopped(), not from the station's thread */
void bmp_station_set_limit(struct bmp_station *s, uint64_t bytes);

struct bmp_station_view {
	bool connected;
	uint64_t messages_bytes; /* sent over all connections */
	uint64_t queued_bytes, connections, overflows;
	char error[128]; /* why it is not connected */
};
void bmp_station_view(struct bmp_station *s, struct bmp_station_view *out); /* any thread */
