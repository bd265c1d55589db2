/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `merge paths`: equally good routes become one with all their next hops. Runs
 * in the shard's thread, before the queue: what comes out is a set of attributes like
 * any other.
 */
#pragma once
#include "controlplane/fib/fib_priv.h"

/* The export filter that the other routes have to pass. Main thread. */
void merge_set_filter(struct fib_channel *ch, const struct filter_ref *filter);
/* c: what the feed said, out: the change made of it so far; its attrs are exchanged for the merged ones. */
void merge_paths(struct fib_channel *ch, struct rib_shard *s, const struct export_feed_change *c,
	struct fib_change *out);
