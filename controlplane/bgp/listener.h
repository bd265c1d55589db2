/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Listening sockets, shared by the sessions that want the same one. The list
 * belongs to main; accept() runs in the first session thread.
 */
#pragma once
#include "controlplane/bgp/settings.h"
#include <ev.h>

struct bgp_engine;
struct loop;

struct bgp_listener {
	struct bgp_listener *next;
	struct bgp_engine *engine;
	bool v6;
	struct ipaddr addr; /* zero: any */
	uint16_t port;
	uint32_t scope;
	char device[IF_NAMESIZE];
	bool free_bind;
	int fd;
	unsigned users;
	bool watched;
	struct ev_io watcher;
};

/* What a session listens on: its own address with `strict bind`, else any. */
void listener_spec(const struct bgp_config *c, bool v6, struct bgp_listener *out);
bool listener_same(const struct bgp_listener *a, const struct bgp_listener *b);
/* A new one for the spec, not yet watched. NULL with *rc and err. */
struct bgp_listener *listener_open(const struct bgp_listener *spec, int *rc, char err[TRANSPORT_ERR]);
