/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What we have put into one kernel table for one family: a hash table of
 * prefixes, 12 bytes a route for IPv4 and 24 for IPv6. The fib thread's own.
 *
 * Open addressing, linear probing; a removal moves later entries up, so a
 * pointer to a route is valid only until the next table_take() or
 * table_remove(), and a walk (table_at()) can miss routes that a removal moved
 * behind it: `removals` tells.
 */
#pragma once
#include "shared/addr.h"
#include <stdbool.h>
#include <stdint.h>

enum route_flag {
	ROUTE_IN_KERNEL = 1,  /* as far as we know */
	ROUTE_SEEN = 2,       /* the running audit has met it: compared with table.seen */
	ROUTE_LEFT_OVER = 4,  /* of an earlier run; the RIB has not asked for it yet */
	ROUTE_REFUSED = 8,    /* the kernel did not take it; tried again with the next audit */
	ROUTE_RETRIED = 16,   /* refused once because of its group */
	ROUTE_OLD_THERE = 32, /* it was refused as a replacement: what it was to replace may still be there */
};

struct route {
	uint32_t group; /* index; 0: the entry is free */
	uint16_t info;  /* index of metric, source address, ... */
	uint8_t len;
	uint8_t flags;
	uint8_t addr[]; /* 4 or 16 */
};

struct table {
	uint8_t family;
	uint8_t stride;
	uint8_t seen;  /* 0 or ROUTE_SEEN: what a route met by the running audit carries */
	uint32_t mask; /* slots - 1 */
	uint32_t n;
	uint64_t removals, rehashes;
	uint8_t *slots;
};

void table_init(struct table *t, uint8_t family);
void table_free(struct table *t);
struct route *table_find(const struct table *t, const struct prefix *p);
/* Finds or makes (then all fields but the prefix are 0 and the caller sets group before anything else). */
struct route *table_take(struct table *t, const struct prefix *p);
void table_remove(struct table *t, struct route *r);
static inline struct route *table_at(const struct table *t, uint32_t slot)
{
	return (struct route *)(t->slots + (size_t)slot * t->stride);
}
/* A hint to the cache: the entry will be looked up soon. */
void table_prefetch(const struct table *t, const struct prefix *p);
struct prefix route_prefix(const struct table *t, const struct route *r);
