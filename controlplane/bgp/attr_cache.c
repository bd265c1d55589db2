/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/bgp/attr_cache.h"
#include "shared/hash.h"
#include <stdlib.h>

#define SETS 4096
#define ROOM 236 /* so that a slot is 256 bytes */

struct slot {
	uint64_t class, hash;
	uint32_t id; /* 0: empty */
	uint16_t key_len;
	uint8_t next_hop_len, unused;
	uint8_t bytes[ROOM - 4];
};

struct attr_cache {
	uint64_t seed;
	struct slot (*sets)[2];
	uint8_t turn[SETS]; /* which of the two goes next */
	/* the last miss */
	struct {
		uint64_t class, hash;
		struct bgp_bytes key, next_hop;
	} miss;
	uint32_t loose; /* a set that did not fit a slot: held until the next put */
};

struct attr_cache *attr_cache_create(uint64_t seed)
{
	struct attr_cache *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->seed = seed;
	c->sets = calloc(SETS, sizeof(*c->sets));
	if (!c->sets)
		abort();
	return c;
}

void attr_cache_clear(struct attr_cache *c)
{
	for (unsigned i = 0; i < SETS; i++) {
		for (unsigned w = 0; w < 2; w++) {
			if (c->sets[i][w].id)
				attrs_release(c->sets[i][w].id);
			c->sets[i][w].id = 0;
		}
	}
	if (c->loose)
		attrs_release(c->loose);
	c->loose = 0;
}

void attr_cache_destroy(struct attr_cache *c)
{
	if (!c)
		return;
	attr_cache_clear(c);
	free(c->sets);
	free(c);
}

static bool same(
	const struct slot *s, uint64_t class, uint64_t hash, struct bgp_bytes key, struct bgp_bytes next_hop)
{
	return s->id && s->hash == hash && s->class == class && s->key_len == key.len &&
	       s->next_hop_len == next_hop.len && !memcmp(s->bytes, key.p, key.len) &&
	       !memcmp(s->bytes + key.len, next_hop.p ? next_hop.p : key.p, next_hop.len);
}

uint32_t attr_cache_find(
	struct attr_cache *c, uint64_t class, struct bgp_bytes key, struct bgp_bytes next_hop)
{
	uint64_t hash = hash_bytes(key.p, key.len, c->seed ^ class);
	struct slot *s;

	if (next_hop.len)
		hash = hash_bytes(next_hop.p, next_hop.len, hash);
	s = c->sets[hash % SETS];
	if (same(&s[0], class, hash, key, next_hop))
		return s[0].id;
	if (same(&s[1], class, hash, key, next_hop))
		return s[1].id;
	c->miss.class = class;
	c->miss.hash = hash;
	c->miss.key = key;
	c->miss.next_hop = next_hop;
	return 0;
}

void attr_cache_put(struct attr_cache *c, uint32_t id)
{
	struct bgp_bytes key = c->miss.key, nh = c->miss.next_hop;
	unsigned set = c->miss.hash % SETS;
	struct slot *s;

	if (key.len + nh.len > sizeof(s->bytes)) {
		if (c->loose)
			attrs_release(c->loose);
		c->loose = id;
		return;
	}
	s = &c->sets[set][c->turn[set]];
	c->turn[set] ^= 1;
	if (s->id)
		attrs_release(s->id);
	s->id = id;
	s->class = c->miss.class;
	s->hash = c->miss.hash;
	s->key_len = (uint16_t)key.len;
	s->next_hop_len = (uint8_t)nh.len;
	memcpy(s->bytes, key.p, key.len);
	if (nh.len)
		memcpy(s->bytes + key.len, nh.p, nh.len);
}
