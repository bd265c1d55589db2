/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of two routes is better, for those who choose more than the best one. Any thread, under RCU; a
 * candidate is good as long as that.
 */
#pragma once
#include "controlplane/rib/rib.h"

struct candidate {
	const struct attrs *attrs;
	const struct rib_peer *peer;
	enum route_source source;
	unsigned flags;  /* of the record or the view */
	uint32_t metric; /* IGP */
	bool resolvable;
};

/* v->attrs is not 0. */
void candidate_of_view(struct rib *rib, const struct rib_route_view *v, struct candidate *out);
/* a, the newer one, is better than b. With MED this is no ordering (RFC 4271 9.1.2.2). */
bool candidate_better(const struct candidate *a, const struct candidate *b);
/* Equal up to the IGP metric: what `merge paths` takes together. */
bool candidate_mergable(const struct candidate *best, const struct candidate *c);
/* The first AS of the path, our own for what has none. */
uint32_t candidate_neighbor_as(const struct candidate *c);
