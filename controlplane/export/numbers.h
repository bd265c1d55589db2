/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Things that are kept once for equal ones and named by a number: a list by
 * number, chains by hash, memory from a slab. What stands in it (what is sent:
 * sent.h, who gets what: fan.h) begins with a struct numbered and knows its own
 * size and how it is compared.
 *
 * Numbers of what is gone are used again, the last one first. One thread only.
 */
#pragma once
#include "controlplane/rib/slab.h"
#include <stdbool.h>
#include <stdint.h>

struct numbered {
	uint32_t refs;
	uint32_t hash;
	uint32_t next; /* in the hash chain */
};

struct numbers {
	struct numbered **at; /* by number; [0] is NULL */
	uint32_t n, cap, free;
	uint32_t *bucket;
	uint32_t mask, used;
	struct slab slab;
	size_t bytes; /* of the things */
};

void numbers_init(struct numbers *s);
void numbers_free(struct numbers *s); /* what is still in it has been given back to the slab by its owner */

/* Number 0: NULL. */
static inline void *numbers_get(const struct numbers *s, uint32_t id)
{
	return s->at[id];
}
/* A free number is a link of a list, told from a pointer by its lowest bit. */
static inline bool numbers_is_free(const struct numbers *s, uint32_t id)
{
	return (uintptr_t)s->at[id] & 1;
}
/* The chain with this hash: a number, 0 at its end; the next one is ->next. */
static inline uint32_t numbers_first(const struct numbers *s, uint32_t hash)
{
	return s->bucket[hash & s->mask];
}
static inline void numbers_hold(struct numbers *s, uint32_t id)
{
	if (id)
		s->at[id]->refs++;
}

void *numbers_take(struct numbers *s, size_t size); /* memory for one more, not zeroed */
/* Its number, never 0. refs and hash are set by the caller. */
uint32_t numbers_add(struct numbers *s, struct numbered *x);
/* Away with it: the number is free, the memory is given back. */
void numbers_remove(struct numbers *s, uint32_t id, size_t size);
/* Of all of it. */
size_t numbers_bytes(const struct numbers *s);
