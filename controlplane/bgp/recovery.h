/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Our own graceful restart, RFC 4724 section 4.1: after a start with -R nothing
 * is sent before the neighbours have sent what they had (End-of-RIB), or
 * `graceful restart wait` is over: or else they would take our half-filled table
 * for the truth. Routes that are held (`hold routes` of a RPKI cache) are waited for
 * as well. Main thread only.
 */
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct bgp_engine;

struct bgp_recovery {
	struct daemon *daemon;
	unsigned waiting; /* channels whose End-of-RIB is missing */
	bool held;        /* routes are */
	bool settling;    /* they are, or what they were held for is still being looked at */
	bool running;
	struct ev_timer timer;
	uint32_t total_s;
};

struct bgp_recovery *engine_recovery(struct bgp_engine *e);
/* A protocol starts with n channels. False: we are not recovering (any more). */
bool recovery_join(struct bgp_recovery *r, struct daemon *d, unsigned n);
void recovery_leave(struct bgp_recovery *r, unsigned n);
void recovery_stop(struct bgp_recovery *r);
