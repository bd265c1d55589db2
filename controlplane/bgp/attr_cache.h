/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attribute blocks seen before: raw bytes to the id of the interned set, so that
 * what arrives again is not parsed again. Two-way, of fixed size; a block that
 * does not fit a slot is not remembered.
 *
 * Belongs to one session thread and holds a reference on each id in it. `class` is the
 * hash of the session's bgp_import_class: the same bytes mean different things to different sessions.
 */
#pragma once
#include "controlplane/bgp/update.h"

struct attr_cache;
struct attr_cache *attr_cache_create(uint64_t seed);
void attr_cache_destroy(struct attr_cache *c);
/* 0: not here. The id stays valid until the next put or clear. */
uint32_t attr_cache_find(
	struct attr_cache *c, uint64_t class, struct bgp_bytes key, struct bgp_bytes next_hop);
/* Takes over the caller's reference on id; right after a find that missed with the same arguments. */
void attr_cache_put(struct attr_cache *c, uint32_t id);
/* What the bytes mean has changed (interfaces came or went). */
void attr_cache_clear(struct attr_cache *c);
