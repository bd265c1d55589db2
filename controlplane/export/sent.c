/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/export/sent.h"
#include "shared/hash.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { NEXT_HOPS = 32, ATTRS_MAX = 65535 };

void sents_init(struct sents *s)
{
	*s = (struct sents){.n = 1, .cap = 64, .mask = 63};
	s->set = calloc(s->cap, sizeof(*s->set));
	s->bucket = calloc((size_t)s->mask + 1, sizeof(*s->bucket));
	s->scratch = malloc(NEXT_HOPS + ATTRS_MAX);
	if (!s->set || !s->bucket || !s->scratch)
		abort();
	/* Neighbours choose the bytes. */
	if (getrandom(&s->seed, sizeof(s->seed), GRND_NONBLOCK) != sizeof(s->seed))
		s->seed = (uintptr_t)s->set;
}

/* A free number is a link of a list, told from a pointer by its lowest bit. */
static bool is_free(const struct sents *s, uint32_t id)
{
	return (uintptr_t)s->set[id] & 1;
}

static size_t size_of(const struct sent *a)
{
	return sizeof(*a) + a->nh + a->len;
}

void sents_free(struct sents *s)
{
	for (uint32_t i = 1; i < s->n; i++)
		if (!is_free(s, i))
			slab_give(&s->slab, s->set[i], size_of(s->set[i]));
	free(s->set);
	free(s->bucket);
	free(s->scratch);
}

static uint32_t take_number(struct sents *s)
{
	uint32_t id = s->free;

	if (id) {
		s->free = (uint32_t)((uintptr_t)s->set[id] >> 1);
		return id;
	}
	if (s->n == s->cap) {
		s->cap *= 2;
		s->set = realloc(s->set, s->cap * sizeof(*s->set));
		if (!s->set)
			abort();
	}
	return s->n++;
}

static void grow_buckets(struct sents *s)
{
	uint32_t mask = 2 * s->mask + 1;

	free(s->bucket);
	s->bucket = calloc((size_t)mask + 1, sizeof(*s->bucket));
	if (!s->bucket)
		abort();
	s->mask = mask;
	for (uint32_t i = 1; i < s->n; i++) {
		if (is_free(s, i))
			continue;
		s->set[i]->next = s->bucket[s->set[i]->hash & mask];
		s->bucket[s->set[i]->hash & mask] = i;
	}
}

static uint32_t intern(struct sents *s, const uint8_t *bytes, unsigned nh, unsigned len)
{
	/* The last bit of a hash is the same for all in a bucket: it may as well say how long the next hop
	 * is. */
	uint32_t hash = (uint32_t)hash_bytes(bytes, nh + len, s->seed + nh), id;
	struct sent *a;

	for (id = s->bucket[hash & s->mask]; id; id = a->next) {
		a = s->set[id];
		if (a->hash == hash && a->len == len && a->nh == nh &&
			memcmp(a->bytes, bytes, nh + len) == 0) {
			a->refs++;
			return id;
		}
	}
	a = slab_take(&s->slab, sizeof(*a) + nh + len);
	s->bytes += slab_size(sizeof(*a) + nh + len);
	*a = (struct sent){.refs = 1, .hash = hash, .len = (uint16_t)len, .nh = (uint16_t)nh};
	memcpy(a->bytes, bytes, nh + len);
	id = take_number(s);
	s->set[id] = a;
	if (++s->used > s->mask) {
		grow_buckets(s); /* links it too */
	} else {
		a->next = s->bucket[hash & s->mask];
		s->bucket[hash & s->mask] = id;
	}
	return id;
}

uint32_t sent_intern(struct sents *s, const struct bgp_encode_class *c, const struct attrs *a)
{
	unsigned nh = bgp_encode_next_hop(a, c, s->scratch);
	size_t len = bgp_encode_attrs(a, c, s->scratch + nh, ATTRS_MAX);

	return intern(s, s->scratch, nh, (unsigned)len);
}

uint32_t sent_copy(struct sents *to, const struct sents *from, uint32_t id)
{
	const struct sent *a = from->set[id];

	return intern(to, a->bytes, a->nh, a->len);
}

void sent_hold(struct sents *s, uint32_t id)
{
	if (id)
		s->set[id]->refs++;
}

void sent_release(struct sents *s, uint32_t id)
{
	struct sent *a = id ? s->set[id] : NULL;
	uint32_t *at;

	if (!a || --a->refs)
		return;
	for (at = &s->bucket[a->hash & s->mask]; *at != id;)
		at = &s->set[*at]->next;
	*at = a->next;
	s->used--;
	s->bytes -= slab_size(size_of(a));
	slab_give(&s->slab, a, size_of(a));
	s->set[id] = (struct sent *)(((uintptr_t)s->free << 1) | 1);
	s->free = id;
}

size_t sents_bytes(const struct sents *s)
{
	return s->bytes + s->cap * sizeof(*s->set) + ((size_t)s->mask + 1) * sizeof(*s->bucket) + NEXT_HOPS +
	       ATTRS_MAX;
}
