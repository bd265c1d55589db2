/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One RPKI cache: its connection, what it says, and how long that holds
 * (RFC 8210). A thread of its own; see cache.c.
 */
#pragma once
#include "controlplane/config/model.h"
#include "controlplane/loop/loop.h"
#include "controlplane/rib/rib.h"

struct rpki_cache;

/* What kinds of records go to. NULL: the protocol has no such channel. */
enum rpki_kind { RPKI_ROA4, RPKI_ROA6, RPKI_ASPA, RPKI_KINDS };

struct rpki_cache_config {
	const char *name;             /* copied */
	const struct rpki_config *cf; /* copied */
	struct rib_source *source[RPKI_KINDS];
	uint16_t preference[RPKI_KINDS];
	/* From the cache's thread; only post. synced: the first complete answer is in; stopped: the last
	 * call. */
	void (*synced)(void *ctx);
	void (*stopped)(void *ctx);
	void *ctx;
};

/* Main. NULL with errno. */
struct rpki_cache *rpki_cache_create(const struct rpki_cache_config *c);
/* Disconnects, in its own time (it may be waiting for the resolver): stopped() comes when the sources are no
 * longer used. */
void rpki_cache_stop(struct rpki_cache *c);
void rpki_cache_destroy(struct rpki_cache *c); /* after stopped() */
/* Times and the like, which do not need another connection. */
void rpki_cache_reconfigure(struct rpki_cache *c, const struct rpki_config *cf);
void rpki_cache_refresh(struct rpki_cache *c); /* ask now */

struct rpki_timer_view {
	bool running;
	double left_s;
	uint32_t interval_s;
};
struct rpki_cache_view {
	const char *state; /* "Established", ... */
	uint8_t version;
	bool has_session;
	uint16_t session;
	uint32_t serial;
	bool updated; /* ever */
	double updated_before_s;
	struct rpki_timer_view refresh, retry, expire;
};
void rpki_cache_view(struct rpki_cache *c, struct rpki_cache_view *out); /* any thread */
