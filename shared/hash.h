/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hashing, one spelling for all tables: XXH3 inlined, so that a key of known
 * size costs a few instructions. Not cryptographic: a table that a remote can
 * fill with keys of its choice passes a random seed. Values are not stable
 * between versions; never store them. Pure, any thread.
 */
#pragma once
#include "shared/addr.h"
#include <stddef.h>
#include <stdint.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint64_t hash_bytes(const void *data, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, len, seed);
}

/* A good mix of one word (the finaliser of MurmurHash3): for ids and pointers. */
static inline uint64_t hash_u64(uint64_t v, uint64_t seed)
{
	v ^= seed;
	v ^= v >> 33;
	v *= UINT64_C(0xff51afd7ed558ccd);
	v ^= v >> 33;
	v *= UINT64_C(0xc4ceb9fe1a85ec53);
	return v ^ v >> 33;
}

static inline uint64_t hash_ipaddr(const struct ipaddr *a, uint64_t seed)
{
	return XXH3_64bits_withSeed(a->b, sizeof(a->b), seed);
}

static inline uint64_t hash_prefix(const struct prefix *p, uint64_t seed)
{
	return XXH3_64bits_withSeed(p->addr.b, sizeof(p->addr.b), seed + ((uint64_t)p->family << 8 | p->len));
}
