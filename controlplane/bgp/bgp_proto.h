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
	/* neighbor interface */
	struct ra_link *ra;
	struct ipaddr found; /* who is there; zero: nobody yet */
	uint64_t heard_ns;   /* when it last said so */
};

/* Makes the session and its channels, with this neighbour; NULL: as configured. 0, or -errno. */
int bgp_start_session(struct proto *p, struct bgp_peer *peer, const struct ipaddr *remote);

/* A copy of what the session says; false: there is none. */
bool bgp_peer_status(struct proto *p, struct bgp_status *out);
void bgp_recovery_ended(struct daemon *d);

/* unnumbered.c. Start: the state is START when it returns 0; a session is there when the neighbour is known.
 */
int bgp_unnumbered_start(struct proto *p, struct bgp_peer *peer);
void bgp_unnumbered_stop(struct proto *p, struct bgp_peer *peer); /* the session is the caller's */

/* show.c */
void bgp_info(struct proto *p, char *buf, size_t size);
void bgp_show_all(struct proto *p, struct cli_out *o);
void bgp_show_channel(struct proto *p, struct proto_channel *c, struct cli_out *o);
