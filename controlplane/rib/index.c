/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/rib/index.h"
#include "controlplane/rib/memory.h"
#include "shared/rcu.h"
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct index_bucket) == 64, "a bucket is a cache line");
_Static_assert(sizeof(struct index_segment) == 4096, "a segment is a page");

enum { MAX_DEPTH = 24 };

struct doomed {
	struct rcu_head rcu;
	void *page, *directory;
	struct index_directory *all; /* a directory with its segments */
};

static void directory_free_all(struct index_directory *d)
{
	/* Entries of one segment are neighbours. */
	for (uint32_t i = 0; i < UINT32_C(1) << d->depth; i++)
		if (i == 0 || d->segment[i] != d->segment[i - 1])
			memory_page_free(d->segment[i]);
	free(d);
}

static void doomed_free(struct rcu_head *head)
{
	struct doomed *d = caa_container_of(head, struct doomed, rcu);

	rcu_callback_begin(head);
	memory_page_free(d->page);
	free(d->directory);
	if (d->all)
		directory_free_all(d->all);
	free(d);
}

static void free_later(void *page, void *directory, struct index_directory *all)
{
	struct doomed *d = memory_zero(sizeof(*d));

	d->page = page;
	d->directory = directory;
	d->all = all;
	call_rcu(&d->rcu, doomed_free);
}

static struct index_segment *segment_make(uint16_t depth)
{
	struct index_segment *s = memory_page();

	s->bucket[0].depth = depth;
	return s;
}

static void put32(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static void segment_insert(struct index_segment *s, uint32_t hash, uint32_t record)
{
	unsigned b = hash % INDEX_BUCKETS, free_ways;

	while (!(free_ways = index_match(&s->bucket[b], 0))) {
		struct index_bucket *full = &s->bucket[b];

		__atomic_store_n(&full->overflow, (uint16_t)(full->overflow + 1), __ATOMIC_RELEASE);
		b = (b + 1) % INDEX_BUCKETS;
	}
	/* The record first: who sees the hash sees the record. */
	put32(&s->bucket[b].record[__builtin_ctz(free_ways)], record);
	put32(&s->bucket[b].hash[__builtin_ctz(free_ways)], hash);
	s->bucket[0].used++;
}

static struct index_directory *directory_make(uint32_t depth)
{
	struct index_directory *d = memory_take(sizeof(*d) + (sizeof(d->segment[0]) << depth));

	d->depth = depth;
	return d;
}

static void directory_double(struct index *x)
{
	struct index_directory *old = x->directory, *d = directory_make(old->depth + 1);

	for (uint32_t i = 0; i < UINT32_C(1) << old->depth; i++)
		d->segment[2 * i] = d->segment[2 * i + 1] = old->segment[i];
	__atomic_store_n(&x->directory, d, __ATOMIC_RELEASE);
	free_later(NULL, old, NULL);
}

static void split(struct index *x, uint32_t hash)
{
	struct index_segment *old = index_segment_of(x->directory, hash), *half[2];
	uint16_t depth = old->bucket[0].depth;
	uint32_t first, n;

	if (depth == x->directory->depth)
		directory_double(x);
	half[0] = segment_make(depth + 1);
	half[1] = segment_make(depth + 1);
	for (unsigned b = 0; b < INDEX_BUCKETS; b++)
		for (unsigned i = 0; i < INDEX_WAYS; i++) {
			uint32_t h = old->bucket[b].hash[i];

			if (h)
				segment_insert(half[h >> (31 - depth) & 1], h, old->bucket[b].record[i]);
		}
	n = UINT32_C(1) << (x->directory->depth - depth); /* entries of the old one */
	first = (uint32_t)((uint64_t)hash >> (32 - x->directory->depth)) & ~(n - 1);
	for (uint32_t i = 0; i < n; i++)
		__atomic_store_n(&x->directory->segment[first + i], half[i >= n / 2], __ATOMIC_RELEASE);
	put32(&x->segments, x->segments + 1);
	free_later(old, NULL, NULL);
}

void index_insert(struct index *x, uint32_t hash, uint32_t record)
{
	struct index_segment *s;

	if (!x->directory) {
		struct index_directory *d = directory_make(0);

		d->segment[0] = segment_make(0);
		put32(&x->segments, 1);
		__atomic_store_n(&x->directory, d, __ATOMIC_RELEASE);
	}
	/* Splitting may have to be repeated when all entries go to the same half; equal hashes never part, so
	 * it gives up at some depth and fills the segment to the last entry. */
	for (;;) {
		s = index_segment_of(x->directory, hash);
		if (s->bucket[0].used < INDEX_FULL ||
			(s->bucket[0].depth >= MAX_DEPTH && s->bucket[0].used < INDEX_WAYS * INDEX_BUCKETS))
			break;
		if (s->bucket[0].depth >= MAX_DEPTH)
			abort(); /* 448 keys with 24 equal hash bits, of a seeded hash */
		split(x, hash);
	}
	segment_insert(s, hash, record);
	x->count++;
}

void index_remove(struct index *x, uint32_t hash, uint32_t record)
{
	struct index_segment *s = index_segment_of(x->directory, hash);
	unsigned home = hash % INDEX_BUCKETS, b = home;

	for (;; b = (b + 1) % INDEX_BUCKETS) {
		struct index_bucket *k = &s->bucket[b];
		unsigned m = index_match(k, hash);

		for (; m; m &= m - 1)
			if (k->record[__builtin_ctz(m)] == record) {
				put32(&k->hash[__builtin_ctz(m)], 0);
				goto found;
			}
	}
found:
	for (; home != b; home = (home + 1) % INDEX_BUCKETS)
		__atomic_store_n(&s->bucket[home].overflow, (uint16_t)(s->bucket[home].overflow - 1),
			__ATOMIC_RELEASE);
	s->bucket[0].used--;
	x->count--;
}

unsigned index_candidates(const struct index *x, uint32_t hash, uint32_t *records, unsigned max)
{
	const struct index_directory *d = __atomic_load_n(&x->directory, __ATOMIC_ACQUIRE);
	const struct index_segment *s;
	unsigned b = hash % INDEX_BUCKETS, n = 0;

	if (!d)
		return 0;
	s = index_segment_of(d, hash);
	for (unsigned visited = 0; visited < INDEX_BUCKETS; visited++, b = (b + 1) % INDEX_BUCKETS) {
		const struct index_bucket *k = &s->bucket[b];

		for (unsigned i = 0; i < INDEX_WAYS; i++)
			if (__atomic_load_n(&k->hash[i], __ATOMIC_ACQUIRE) == hash && n < max)
				records[n++] = __atomic_load_n(&k->record[i], __ATOMIC_ACQUIRE);
		if (!__atomic_load_n(&k->overflow, __ATOMIC_ACQUIRE))
			break;
	}
	return n;
}

void index_reset(struct index *x)
{
	struct index_directory *d = x->directory;

	if (!d)
		return;
	__atomic_store_n(&x->directory, NULL, __ATOMIC_RELEASE);
	put32(&x->segments, 0);
	free_later(NULL, NULL, d);
}

void index_destroy(struct index *x)
{
	if (x->directory)
		directory_free_all(x->directory);
	x->directory = NULL;
	x->count = x->segments = 0;
}
