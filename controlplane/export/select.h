/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of the routes of a prefix a lane sends, where it sends several (ADD-PATH)
 * but not all: `add paths send best N`, `per as`, `ecmp`, `plus N`, `limit N`.
 *
 * The routes come best first. A lane chooses among those that its filter takes
 * and that are not its peer's own, so a route that it rejects hides no other. All
 * lanes choose at once: what is remembered are sets of lanes.
 *
 * One for each shard of a group, its thread only; readers make their own.
 */
#pragma once
#include "controlplane/export/export.h"
#include "controlplane/rib/better.h"

struct select_seen {
	struct candidate best; /* ECMP: of the lanes in the set */
	uint32_t neighbor_as;  /* PER_AS: the lanes in the set have a route of it */
};

struct selection {
	struct candidate *ranked; /* by rank */
	uint32_t *rank;           /* of the routes: numbers, best first */
	unsigned cap_ranked;
	uint32_t words;
	uint64_t *any;             /* lanes that have chosen one */
	uint64_t *extra, *taken;   /* [plus], [limit]: lanes that have chosen more than so many beyond the
				    * rule, in all */
	unsigned n_extra, n_taken; /* of the sets above that are not empty */
	struct select_seen *seen;
	uint64_t *seen_set;
	unsigned n_seen, cap_seen;
	uint64_t *get; /* result of selection_take(); behind it, scratch */
	uint32_t cap_words;
	unsigned cap_extra, cap_taken;
	const struct path_choice *how;
};

/* Fills s->rank: the numbers of the routes that can be sent, best first; returns how many. Sorted: they are
 * in order. */
unsigned selection_rank(
	struct selection *s, struct rib *rib, bool sorted, const struct rib_route_view *r, unsigned n_routes);
void selection_begin(struct selection *s, const struct path_choice *how, uint32_t words);
/* The route of this rank can be sent by the lanes in can; s->get: those that choose it. */
void selection_take(struct selection *s, unsigned rank, const uint64_t *can);
/* No lane in all will choose another. */
bool selection_is_full(const struct selection *s, const uint64_t *all);
void selection_free(struct selection *s);
