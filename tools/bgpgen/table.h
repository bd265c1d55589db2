/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The routes that the generated peers announce: prefixes with the lengths of a
 * real table, and attribute sets shared by short runs of them. Made from a seed:
 * the same arguments give the same table on every machine; or read from a file.
 */
#pragma once
#include "shared/addr.h"

#define GEN_PATH 24
#define GEN_COMMUNITIES 24

struct gen_attrs {
	uint32_t path[GEN_PATH]; /* behind the announcing peer's own number; the last is the origin */
	uint8_t n_path, origin;
	uint32_t med; /* UINT32_MAX: none */
	uint32_t community[GEN_COMMUNITIES];
	uint8_t n_community;
};

struct gen_route {
	struct prefix prefix;
	uint32_t attrs; /* index */
};

struct gen_table {
	struct gen_route *route; /* IPv4 first, in order of the prefixes */
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

/* 0 or -ENOMEM, -ERANGE (does not fit the address space). */
int table_make(struct gen_table *t, const struct gen_options *o);
/*
 * From a file, or a pipe, one of
 *   lines PREFIX ORIGIN-AS ...
 *   lines FIRST,LAST,ORIGIN-AS,...   ranges of addresses, as the asn data sets of @ip-location-db have them
 *   MRT, TABLE_DUMP_V2 (RFC 6396): the first path of each prefix with its attributes
 * o->v4 and o->v6, where not 0, say how many routes are wanted: more-specifics are added, or some left out.
 * 0 or -errno; *where is the line, or for MRT the record, that is wrong.
 */
int table_read(struct gen_table *t, const char *path, const struct gen_options *o, unsigned *where);
/* The same from memory. */
int table_parse(
	struct gen_table *t, const uint8_t *data, size_t len, const struct gen_options *o, unsigned *where);
void table_free(struct gen_table *t);
/* Number of the route, or UINT32_MAX. */
uint32_t table_find(const struct gen_table *t, const struct prefix *p);

/* ---- between table.c and mrt.c ---- */
/* Adds a route; attrs is the origin's number, or a set's when from MRT. 0 or -ENOMEM. */
int table_add(struct gen_table *t, uint32_t *size, const struct prefix *p, uint32_t attrs);
int table_parse_mrt(struct gen_table *t, uint32_t *size, const uint8_t *data, size_t len, unsigned *record);
