/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which BGP sessions are Established, for those who report it to a BMP station.
 *
 * Session threads say so; stations hear it in their own threads. One mutex orders both: a station that
 * subscribes is given every session that is up, and then each change once, in order. What a session says
 * before its first route reaches a station before that route does: the route travels session thread -> shard
 * -> station, and each step hands on what the one before had sent.
 */
#pragma once
#include "controlplane/export/export.h"
#include "controlplane/rib/rib.h"
#include <urcu/list.h>

struct bmp_hub;

#define BMP_CHANNELS 2u
struct bmp_peer_channel {
	uint32_t source; /* rib_source_id() */
	struct rib_table *table;
	uint8_t afi;
	bool add_path; /* what it sends has path ids */
};

/* How a channel of a session exports now. Immutable, counted, holds its filter. */
struct bmp_export {
	_Atomic unsigned refs;
	struct export_peer_config cf;
};
struct bmp_export *bmp_export_hold(struct bmp_export *e);
void bmp_export_release(struct bmp_export *e); /* any thread */

/* A session from Established to its end. Immutable but for what says otherwise, counted. */
struct bmp_peer {
	_Atomic unsigned refs;
	struct cds_list_head node; /* the hub's, under its mutex */
	const void *session;       /* which, for bmp_hub_down() */
	struct ipaddr peer, local;
	uint16_t peer_port, local_port;
	uint32_t as, id; /* the neighbour's, host order */
	uint64_t up_wall_ns;
	bool local_rib;                          /* no session: our own Loc-RIB (RFC 9069) */
	bool as4;                                /* what it sends has 4-octet AS numbers */
	struct bmp_export *export[BMP_CHANNELS]; /* the hub's, under its mutex */
	unsigned n_channels;
	struct bmp_peer_channel channel[BMP_CHANNELS];
	size_t sent_len, received_len; /* the OPEN messages, headers included, follow */
	uint8_t opens[];
};

/* RFC 7854 4.9 */
enum bmp_down_reason {
	BMP_DOWN_LOCAL_NOTIFICATION = 1,  /* data: the message */
	BMP_DOWN_LOCAL = 2,               /* data: two bytes, RFC 4271's event or 0 */
	BMP_DOWN_REMOTE_NOTIFICATION = 3, /* data: the message */
	BMP_DOWN_REMOTE = 4,
	BMP_DOWN_DECONFIGURED = 5,
};
struct bmp_down {
	enum bmp_down_reason reason;
	size_t len;
	uint8_t data[300];
};

struct bmp_hub *bmp_hub_create(void);
void bmp_hub_destroy(struct bmp_hub *h);

/* Takes p over (one reference, made by bmp_peer_new()). Session thread, before it submits a route. */
void bmp_hub_up(struct bmp_hub *h, struct bmp_peer *p);
void bmp_hub_down(struct bmp_hub *h, const void *session, const struct bmp_down *why);
/* A channel of a session that is up exports, or from now on otherwise. Which one: cf->own_source. */
void bmp_hub_export(struct bmp_hub *h, const void *session, const struct export_peer_config *cf);
struct bmp_peer *bmp_peer_new(
	const uint8_t *sent, size_t sent_len, const uint8_t *received, size_t received_len);
struct bmp_peer *bmp_peer_hold(struct bmp_peer *p);
void bmp_peer_release(struct bmp_peer *p); /* any thread */

/* Route mirroring: is there a station that wants messages as they were received? Any thread, cheap. */
bool bmp_hub_mirrors(const struct bmp_hub *h);
/* One that a session that is up has received; errored: it could not be used. Its thread. */
void bmp_hub_mirror(struct bmp_hub *h, const void *session, const uint8_t *message, size_t len, bool errored);

/* Called under the hub's mutex, by whatever thread reports: only posts. up: a reference the callee takes
 * over.
 */
struct bmp_subscriber {
	struct cds_list_head node;
	void (*up)(struct bmp_subscriber *s, struct bmp_peer *p);
	void (*down)(struct bmp_subscriber *s, struct bmp_peer *p, const struct bmp_down *why);
	void (*export)(struct bmp_subscriber *s, struct bmp_peer *p, struct bmp_export *e); /* both */
	/* NULL: not wanted. No reference; the message is good during the call */
	void (*mirror)(struct bmp_subscriber *s, struct bmp_peer *p, const uint8_t *message, size_t len,
		bool errored);
};
void bmp_hub_subscribe(struct bmp_hub *h, struct bmp_subscriber *s); /* calls up() for each that is up */
void bmp_hub_unsubscribe(struct bmp_hub *h, struct bmp_subscriber *s);
