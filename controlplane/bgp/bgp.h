/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BGP sessions.
 *
 * A session belongs to one session thread (a loop) from accept or connect to
 * close: TCP, framing, FSM, keepalives, parsing and writing. What main wants of
 * it is sent as a call; what it wants of main likewise. Parsed routes go to the
 * RIB as batches; bytes to send come from controlplane/export. A session thread
 * never waits for table work: when the RIB's queue is full it stops reading
 * that one socket, and keepalives go on.
 */
#pragma once
#include "controlplane/export/export.h"
#include "controlplane/proto/proto.h"

struct bgp_engine; /* session threads and listening sockets */

/* n: number of session threads. NULL with errno. */
struct bgp_engine *bgp_engine_create(struct daemon *d, unsigned n);
void bgp_engine_destroy(struct bgp_engine *e);
/* Main thread, before a commit is accepted: makes sure that every listening socket the configuration wants
 * can be had. 0, or -errno with a line in err ("cannot listen on 192.0.2.1 port 179: Address already in
 * use"). */
int bgp_engine_listen(struct bgp_engine *e, const struct config *c, char *err, size_t size);

/* What `show route export P`, `preexport`, `noexport` need; main thread fills it. -ENOENT when the session is
 * not up. */
int bgp_export_view(struct proto *p, struct proto_channel *c, struct export_peer_config *out);
/* While we recover: routes are held that neighbours are not to miss when they are told that they have heard
 * all. Main. */
void bgp_recovery_hold(struct daemon *d, bool held);
/* `show status` while we recover from our own restart: channels whose End-of-RIB is missing, and the wait
 * timer. False: we do not. */
bool bgp_recovery_status(struct daemon *d, unsigned *channels, double *left_s, uint32_t *total_s);
