/* SPDX-License-Identifier: BSD-2-Clause */
/* What `show` wants to know of a pipe: it has two tables and no export side. Main thread. */
#pragma once
#include "controlplane/proto/proto.h"

struct pipe_view {
	const char *table, *peer_table; /* import goes from peer_table to table */
	bool running;
	uint32_t in_source,
		out_source; /* rib_source_id() of what the pipe puts into table, into peer_table */
	struct rib_source_stats in, out;
};
void pipe_view(struct proto *p, struct pipe_view *out);
