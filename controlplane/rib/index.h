/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hash of a key -> number of the record: extendible hashing.
 *
 * The directory, found by the top bits of the hash, points to segments of 4 kB;
 * a segment holds 64 buckets of one cache line with 7 entries each. A full
 * segment is split in two, which costs a microsecond or two; nothing is ever rehashed as a
 * whole, so that growing from ten to ten million prefixes shows in no latency.
 * The index knows hashes and numbers only; whether a candidate is the key is for
 * the caller to compare.
 *
 * One writer (the shard). Readers under RCU: entries do not move within a
 * segment, a split makes new segments and publishes them, the old one is freed
 * after a grace period. A reader may miss an entry that is being inserted or
 * removed, never one that stays.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { INDEX_WAYS = 7, INDEX_BUCKETS = 64, INDEX_FULL = 380 /* entries: splits a segment */ };

struct index_bucket {
	_Alignas(64) uint32_t hash[INDEX_WAYS]; /* 0: free */
	uint16_t overflow;                      /* entries whose home is before or here and that went on */
	uint16_t reserved;
	uint32_t record[INDEX_WAYS];
	uint16_t used, depth; /* of the segment: kept in its first bucket */
};

struct index_segment {
	struct index_bucket bucket[INDEX_BUCKETS];
};

struct index_directory {
	uint32_t depth; /* 2^depth entries */
	struct index_segment *segment[];
};

struct index {
	struct index_directory *directory; /* published with release; NULL: empty */
	uint32_t count;
	uint32_t segments; /* readers may look */
};

void index_destroy(struct index *x); /* at once: no readers any more */
void index_reset(struct index *x);   /* after a grace period; count must be 0 */

/* 0 stands for a free entry. */
static inline uint32_t index_hash(uint64_t hash)
{
	uint32_t h = (uint32_t)hash;

	return h ? h : 1;
}

static inline struct index_segment *index_segment_of(const struct index_directory *d, uint32_t hash)
{
	return __atomic_load_n(&d->segment[(uint64_t)hash >> (32 - d->depth)], __ATOMIC_ACQUIRE);
}

static inline void index_prefetch(const struct index *x, uint32_t hash)
{
	if (x->directory)
		__builtin_prefetch(&index_segment_of(x->directory, hash)->bucket[hash % INDEX_BUCKETS]);
}

/* Bit i: entry i of the bucket has this hash. Writer only. */
static inline unsigned index_match(const struct index_bucket *b, uint32_t hash)
{
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
	__m128i want = _mm_set1_epi32((int)hash);
	__m128i lo = _mm_load_si128((const __m128i *)(const void *)b->hash);
	__m128i hi = _mm_loadu_si128((const __m128i *)(const void *)(b->hash + 3));
	unsigned l = (unsigned)_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(lo, want)));
	unsigned h = (unsigned)_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(hi, want)));

	return l | h << 3;
#else
	unsigned m = 0;

	for (unsigned i = 0; i < INDEX_WAYS; i++)
		m |= (unsigned)(b->hash[i] == hash) << i;
	return m;
#endif
}

/* A walk over the candidates for a hash. */
struct index_probe {
	struct index_segment *segment;
	uint32_t hash;
	uint16_t bucket, visited;
	unsigned match;
};

static inline struct index_probe index_probe(const struct index *x, uint32_t hash)
{
	struct index_probe p = {.hash = hash, .bucket = (uint16_t)(hash % INDEX_BUCKETS)};

	if (x->directory) {
		p.segment = index_segment_of(x->directory, hash);
		p.match = index_match(&p.segment->bucket[p.bucket], hash);
	}
	return p;
}

/* Next candidate's record; false: no more. Writer only. */
static inline bool index_next(struct index_probe *p, uint32_t *record)
{
	if (!p->segment)
		return false;
	for (;;) {
		const struct index_bucket *b = &p->segment->bucket[p->bucket];

		if (p->match) {
			unsigned i = (unsigned)__builtin_ctz(p->match);

			p->match &= p->match - 1;
			*record = b->record[i];
			return true;
		}
		if (!b->overflow || ++p->visited == INDEX_BUCKETS)
			return false;
		p->bucket = (p->bucket + 1) % INDEX_BUCKETS;
		p->match = index_match(&p->segment->bucket[p->bucket], p->hash);
	}
}

/* The same for readers: at most max candidates of a hash. rcu_read_lock() is held. */
unsigned index_candidates(const struct index *x, uint32_t hash, uint32_t *records, unsigned max);

/* The caller has looked: (hash, record) is not there. */
void index_insert(struct index *x, uint32_t hash, uint32_t record);
/* It is there. */
void index_remove(struct index *x, uint32_t hash, uint32_t record);
