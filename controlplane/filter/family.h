/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Filters that are one filter for many peers: the same code, each with the
 * peer's own numbers in it, as route servers have them.
 *
 * If those numbers are only looked for among a route's communities and the
 * numbers of its path, then a peer whose numbers are not there is treated like
 * any other such peer. filter_family_ok() proves that of the code: it follows the numbers
 * through registers and calls, and says no wherever one of them is compared with anything else, printed,
 * stored or computed with. So a route is put through the filter once, and once more
 * for each peer that it names.
 *
 * Pure functions; any thread.
 */
#pragma once
#include "controlplane/filter/filter.h"

#define FILTER_FAMILY_CONSTS 64

/* Equal for filters that are alike. */
uint64_t filter_shape(const struct filter *f);
/* The same but for some numbers: adds the constants that differ to *differs (bit per constant). */
bool filter_alike(const struct filter *a, const struct filter *b, uint64_t *differs);
bool filter_family_ok(const struct filter *f, uint64_t differs);
/* What is looked for: the values of these constants as atoms. Returns their number, at most 64. */
unsigned filter_atoms(const struct filter *f, uint64_t differs, uint64_t out[FILTER_FAMILY_CONSTS]);
/* All atoms of a route; returns how many there are, fills at most max. */
unsigned filter_route_atoms(const struct attrs *a, uint64_t *out, unsigned max);
