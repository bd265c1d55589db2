/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables written as MRT files (RFC 6396 TABLE_DUMP_V2, RFC 8050), as BIRD writes them: peer 0 stands for
 * routes that BGP did not bring, routes with a path id are in records of their own unless all are to be.
 *
 * The table is read under RCU in slices, so that a dump of a million routes holds up nobody; it is the table
 * as it went by, not as it was at one instant.
 */
#pragma once
#include "controlplane/proto/proto.h"
#include <stdatomic.h>

struct mrt_peer {
	uint32_t source; /* rib_source_id() */
	uint32_t id, as; /* host order */
	struct ipaddr addr;
	uint16_t index; /* in the file */
};

/* One dump: made by main, run by a thread that is registered with RCU, freed by either. */
struct mrt_dump {
	struct rib *rib;
	struct rib_table **tables; /* held */
	unsigned n_tables;
	struct mrt_peer *peers; /* by source */
	unsigned n_peers;
	unsigned n_file_peers; /* a peer with two channels is one of the file */
	uint32_t router_id;
	struct filter_ref filter; /* held */
	char *filename;           /* %N: the table's name; the rest is strftime's */
	bool always_add_path;
	/* Something could not be written; in the running thread. */
	void (*complain)(void *ctx, const char *text);
	void *ctx;
	_Atomic bool *stop; /* of who ordered it: end soon */
	/* results */
	uint64_t routes;
	unsigned files;
};

/* Main. table NULL: those that the glob pattern names, among the IPv4 and IPv6 ones. Never NULL. */
struct mrt_dump *mrt_dump_create(struct daemon *d, const char *table, const char *pattern,
	const struct filter_ref *filter, const char *filename);
void mrt_dump_run(struct mrt_dump *m);
void mrt_dump_free(struct mrt_dump *m);
