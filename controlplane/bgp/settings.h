/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a session is configured with: a copy of everything the session thread
 * needs, so that a configuration can be freed while a session still runs on
 * what it said. Immutable and reference counted; made by main.
 */
#pragma once
#include "controlplane/bgp/transport.h"
#include "controlplane/config/model.h"
#include "controlplane/rib/rib.h"

#define BGP_MAX_CHANNELS 8 /* each family that we run: nlri.h */

struct mrt_messages;
struct proto;

struct bgp_channel_settings {
	struct channel_config cf; /* filters held; pointers to tables are not to be followed */
	const char *name;
	uint8_t afi, safi;
	struct rib_table *table; /* the protocol's channel holds it */
	struct rib_table *igp_table, *base_table;
};

struct bgp_settings {
	unsigned refs;
	struct arena *arena;
	struct bgp_config c; /* strings and keys are copies */
	const char *name;
	uint32_t debug, mrtdump;
	struct mrt_messages *mrt_messages; /* held; NULL: none */
	uint32_t router_id;
	const char *hostname;
	/* derived */
	bool internal, interior, direct;
	uint32_t public_as, cluster_id;
	unsigned hops;
	unsigned n_channels;
	struct bgp_channel_settings channel[BGP_MAX_CHANNELS];
};

/* Main thread; one reference. remote: of a dynamic neighbour's child, else NULL. router_id: 0 takes the
 * protocol's own. */
struct bgp_settings *bgp_settings_make(struct proto *p, const struct ipaddr *remote);
struct bgp_settings *bgp_settings_hold(struct bgp_settings *s);
void bgp_settings_release(struct bgp_settings *s); /* any thread */
/* Once the neighbour's AS is known (`neighbor ... external|internal`): whether it is one of us. */
void bgp_settings_resolve(struct bgp_settings *s, uint32_t remote_as);
