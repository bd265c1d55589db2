/* SPDX-License-Identifier: BSD-2-Clause */
/* Main's side of a BGP protocol: what hangs off proto.data. Main thread only. */
#pragma once
#include "controlplane/bgp/session.h"

struct bgp_peer {
	struct proto *p;
	struct bgp_session *session;                     /* NULL: down, or the parent of dynamic sessions */
	struct proto_channel *channel[BGP_MAX_CHANNELS]; /* of the session's channels */
	unsigned recovering;                             /* channels we wait for after our own restart */
	char last_error[192];                            /* of sessions before this one */
	uint32_t startup_delay;
	/* dynamic neighbours */
	unsigned children;            /* made so far: names */
	struct bgp_incoming incoming; /* a child's: what it was made for */
	bool has_incoming;
};

/* A copy of what the session says; false: there is none. */
bool bgp_peer_status(struct proto *p, struct bgp_status *out);
void bgp_recovery_ended(struct daemon *d);

/* show.c */
void bgp_info(struct proto *p, char *buf, size_t size);
void bgp_show_all(struct proto *p, struct cli_out *o);
void bgp_show_channel(struct proto *p, struct proto_channel *c, struct cli_out *o);
