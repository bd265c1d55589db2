/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What BGP sessions receive and how their states change, as an MRT file (RFC 6396 BGP4MP, RFC 8050): the
 * option `mrtdump "FILE"`. A record is one write() to a descriptor in append mode, so session threads share
 * it without a lock. Made and replaced by main; a session holds the one of its settings.
 */
#pragma once
#include "shared/addr.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MRTDUMP_STATES = 1, MRTDUMP_MESSAGES = 2 }; /* of `mrtdump { states, messages }` */

struct mrt_messages;

/* Main. NULL with errno. */
struct mrt_messages *mrt_messages_open(const char *path);
struct mrt_messages *mrt_messages_hold(struct mrt_messages *m); /* NULL is passed on */
void mrt_messages_release(struct mrt_messages *m);              /* any thread */
const char *mrt_messages_path(const struct mrt_messages *m);

struct mrt_session {
	uint32_t peer_as, local_as, ifindex;
	struct ipaddr peer, local;
	bool as4, add_path; /* how the message is encoded */
};
/* Any thread. An error is logged once. msg: the whole message with its header. */
void mrt_messages_received(
	struct mrt_messages *m, const struct mrt_session *s, const uint8_t *msg, size_t len);
/* States are RFC 4271's: 1 Idle ... 6 Established. */
void mrt_messages_state(struct mrt_messages *m, const struct mrt_session *s, unsigned from, unsigned to);
