/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The routes that the generated peers announce: prefixes with the lengths of a
 * real table, and attribute sets shared by short runs of them. Made from a seed:
 * the same arguments give the same table on every machine.
 */
#pragma once
#include "shared/addr.h"

struct gen_attrs {
	uint32_t path[8]; /* behind the announcing peer's own number; the last is the origin */
	uint8_t n_path, origin;
	uint32_t med; /* UINT32_MAX: none */
	uint32_t community[8];
	uint8_t n_community;
};

struct gen_route {
	struct prefix prefix;
	uint32_t attrs; /* index */
};

struct gen_table {
	struct gen_route *route;
	uint32_t n_routes, n_v4;
	struct gen_attrs *attrs;
	uint32_t n_attrs;
	uint32_t *hash; /* open addressing over route numbers + 1 */
	uint32_t hash_mask;
};

struct gen_options {
	uint32_t v4, v6;      /* prefixes */
	uint32_t run;         /* average prefixes of an attribute set */
	uint32_t communities; /* at most, each set */
	uint64_t seed;
	bool host24; /* plain /24s (and /48s) in sequence instead of a real mix of lengths */
};

int table_make(struct gen_table *t,
	const struct gen_options *o); /* 0 or -ENOMEM, -ERANGE (does not fit the address space) */
/* From a file of "PREFIX ORIGIN-AS" lines; anything after is ignored. 0 or -errno; *line tells where it is
 * wrong. */
int table_read(struct gen_table *t, const char *path, const struct gen_options *o, unsigned *line);
void table_free(struct gen_table *t);
/* Number of the route, or UINT32_MAX. */
uint32_t table_find(const struct gen_table *t, const struct prefix *p);
