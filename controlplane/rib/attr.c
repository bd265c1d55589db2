/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The attribute store.
 *
 * A set is one allocation: struct attrs, then its lists one after the other
 * (the payload), then the array of extras, which points into the payload. The
 * content is thus one run of bytes, from `present` to the end of the payload,
 * without pointers: hashing and comparing are one call each.
 *
 * The hash table is split into STRIPES by the low bits of the hash, each with a
 * mutex. Interning takes one for about 100 ns; sessions cache raw bytes -> id
 * and shards memoise their filters, so this is not where the time goes.
 *
 * Reference counts. Every 1 -> 0 transition is made with the stripe's mutex
 * held, and so is the 0 -> 1 of a new set: a set found in the table under the mutex
 * is alive and stays so. All other changes are plain atomic additions. The last
 * reference's release orders the users' reads before the free by acq_rel.
 *
 * Retirement. A set whose count is zero leaves the table at once, and its id goes
 * to the stripe's list. After a grace period memory and id are free: until
 * then attrs_get() answers for readers that have the id from shared state. One
 * call_rcu() is in flight a stripe and frees a whole list.
 *
 * The id table is two-level; chunks are published once with release and never
 * move, so attrs_get() is two loads.
 */
#include "controlplane/rib/attr.h"
#include "controlplane/rib/slab.h"
#include "shared/hash.h"
#include "shared/log.h"
#include "shared/rcu.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
	STRIPES = 64,
	STRIPE_SHIFT = 6,
	CHUNK_SHIFT = 14,
	CHUNK_SIZE = 1 << CHUNK_SHIFT,
	CHUNKS = 1 << 14,
	ID_BLOCK = 32,       /* ids that a stripe takes at a time */
	FIRST_CAPACITY = 64, /* slots of a stripe's table */
	FLAT_ON_STACK = 2048,
};

#define CONTENT_OFFSET offsetof(struct attrs, present)
#define CONTENT_FIXED (sizeof(struct attrs) - CONTENT_OFFSET)

_Static_assert(sizeof(struct attrs) == 7 * sizeof(void *) + 16 + 160, "no padding inside struct attrs");
_Static_assert(offsetof(struct attrs, present) == 7 * sizeof(void *) + 16, "content starts after the header");
_Static_assert(sizeof(struct attr_nexthop) == 24, "no padding inside struct attr_nexthop");

struct slot {
	uint32_t tag; /* high half of the hash */
	uint32_t id;  /* 0: free */
};

struct id_list {
	uint32_t *id;
	uint32_t n, cap;
};

struct stripe {
	_Alignas(64) pthread_mutex_t lock;
	struct slot *slots;
	uint32_t capacity, used; /* capacity: a power of two */
	struct id_list free_ids;
	struct id_list retired; /* since the grace period in flight began */
	struct id_list waiting; /* for it to end */
	struct slab slab;
	bool in_flight;
	struct rcu_head rcu;
	uint64_t sets, bytes, hits, misses;
};

/* References are counted beside the sets, which nobody writes to once they are published. */
struct chunk {
	struct attrs *_Atomic set[CHUNK_SIZE];
	_Atomic uint32_t refs[CHUNK_SIZE];
};

static struct {
	struct chunk *_Atomic chunks[CHUNKS];
	pthread_mutex_t chunk_lock; /* of making one */
	_Atomic uint32_t next_id;
	uint64_t seed;
	struct stripe stripes[STRIPES];
} store; /* one a process: attr.h */

static void *must(void *p)
{
	if (!p) {
		log_msg(LOG_CLASS_FATAL, "Out of memory in the attribute store");
		abort();
	}
	return p;
}

/* ---- content as bytes ---- */

static size_t align_up(size_t n, size_t to)
{
	return (n + to - 1) & ~(to - 1);
}

/* Extras travel in the payload as this header and their data, padded to 8. */
struct flat_extra {
	uint32_t id;
	uint8_t type, flags;
	uint16_t len;
};

static size_t payload_size(const struct attrs *k)
{
	size_t n = k->n_nexthop * sizeof(struct attr_nexthop) + k->n_ext * sizeof(uint64_t) +
		   k->n_large * sizeof(struct lcomm) + k->n_community * sizeof(uint32_t) +
		   k->n_cluster * sizeof(uint32_t) + k->as_path_bytes;

	if (!k->n_extra)
		return n;
	n = align_up(n, 8);
	for (unsigned i = 0; i < k->n_extra; i++)
		n += sizeof(struct flat_extra) + align_up(k->extra[i].len, 8);
	return n;
}

/* k: the normalised header; its lists still are the caller's. */
static void payload_write(const struct attrs *k, uint8_t *p)
{
	const uint8_t *start = p;

#define PUT(list, n)                                                                                         \
	do {                                                                                                 \
		if (n) {                                                                                     \
			memcpy(p, list, (n) * sizeof(*(list)));                                              \
			p += (n) * sizeof(*(list));                                                          \
		}                                                                                            \
	} while (0)
	/* Falling alignment; without holes, but for extras. */
	PUT(k->nexthop, k->n_nexthop);
	PUT(k->ext, k->n_ext);
	PUT(k->large, k->n_large);
	PUT(k->community, k->n_community);
	PUT(k->cluster, k->n_cluster);
	PUT(k->as_path, k->as_path_bytes);
#undef PUT
	if (!k->n_extra)
		return;
	while ((size_t)(p - start) & 7)
		*p++ = 0;
	for (unsigned i = 0; i < k->n_extra; i++) {
		const struct attr_extra *x = &k->extra[i];
		struct flat_extra f = {.id = x->id, .type = x->type, .flags = x->flags, .len = x->len};
		size_t padded = align_up(x->len, 8);

		memcpy(p, &f, sizeof(f));
		p += sizeof(f);
		if (x->len)
			memcpy(p, x->data, x->len);
		memset(p + x->len, 0, padded - x->len);
		p += padded;
	}
}

/* Sets the pointers of a stored set, whose payload is in place; extras: behind the payload. */
static void payload_link(struct attrs *s, const uint8_t *p, struct attr_extra *extras)
{
	const uint8_t *start = p;

	s->nexthop = s->n_nexthop ? (const void *)p : NULL;
	p += s->n_nexthop * sizeof(*s->nexthop);
	s->ext = s->n_ext ? (const void *)p : NULL;
	p += s->n_ext * sizeof(*s->ext);
	s->large = s->n_large ? (const void *)p : NULL;
	p += s->n_large * sizeof(*s->large);
	s->community = s->n_community ? (const void *)p : NULL;
	p += s->n_community * sizeof(*s->community);
	s->cluster = s->n_cluster ? (const void *)p : NULL;
	p += s->n_cluster * sizeof(*s->cluster);
	s->as_path = s->as_path_bytes ? p : NULL;
	p += s->as_path_bytes;
	s->extra = s->n_extra ? extras : NULL;
	if (!s->n_extra)
		return;
	p = start + align_up((size_t)(p - start), 8);
	for (unsigned i = 0; i < s->n_extra; i++) {
		struct flat_extra f;

		memcpy(&f, p, sizeof(f));
		p += sizeof(f);
		extras[i] = (struct attr_extra){
			.id = f.id, .type = f.type, .flags = f.flags, .len = f.len, .data = p};
		p += align_up(f.len, 8);
	}
}

static int extra_by_id(const void *a, const void *b)
{
	const struct attr_extra *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

enum { COMMUNITY_LLGR_STALE = 0xffff0006, COMMUNITY_NO_LLGR = 0xffff0007 };

/* The set as it is stored: what is absent is zero, what is derived is computed. */
static void normalise(const struct attrs *a, struct attrs *k)
{
	uint32_t p = a->present;

	*k = *a;
	k->hash = 0;
	k->id = k->bytes = 0;
	k->reserved = 0;
	memset(k->reserved2, 0, sizeof(k->reserved2));
	k->derived = 0;
	if (!(p & ATTR_ORIGIN))
		k->origin = 0;
	if (!(p & ATTR_AS_PATH))
		k->as_path_bytes = 0;
	if (!(p & ATTR_NEXT_HOP)) {
		memset(&k->next_hop, 0, sizeof(k->next_hop));
		memset(&k->next_hop_ll, 0, sizeof(k->next_hop_ll));
	}
	if (!(p & ATTR_MED))
		k->med = 0;
	if (!(p & ATTR_LOCAL_PREF))
		k->local_pref = 0;
	if (!(p & ATTR_AGGREGATOR))
		k->aggregator_as = k->aggregator_id = 0;
	if (!(p & ATTR_COMMUNITY))
		k->n_community = 0;
	if (!(p & ATTR_ORIGINATOR))
		k->originator_id = 0;
	if (!(p & ATTR_CLUSTER_LIST))
		k->n_cluster = 0;
	if (!(p & ATTR_EXT_COMMUNITY))
		k->n_ext = 0;
	if (!(p & ATTR_LARGE_COMMUNITY))
		k->n_large = 0;
	if (!(p & ATTR_AIGP))
		k->aigp = 0;
	if (!(p & ATTR_OTC))
		k->otc = 0;
	if (!(p & ATTR_IGP_METRIC))
		k->igp_metric = 0;
	if (!(p & ATTR_FROM))
		memset(&k->from, 0, sizeof(k->from));
	if (!(p & ATTR_WEIGHT))
		k->weight = 0;
	if (!(p & ATTR_KRT_PREFSRC))
		memset(&k->krt_prefsrc, 0, sizeof(k->krt_prefsrc));
	if (!(p & ATTR_KRT_METRIC))
		k->krt_metric = 0;
	if (!(p & ATTR_KRT_SOURCE))
		k->krt_source = 0;
	if (!(p & ATTR_KRT_REALM))
		k->krt_realm = 0;
	if (!(p & ATTR_KRT_SCOPE))
		k->krt_scope = 0;
	if (k->dest != RTD_UNICAST)
		k->n_nexthop = 0;

	k->path_len = (uint16_t)as_path_length(k->as_path, k->as_path_bytes);
	k->first_as = as_path_first(k->as_path, k->as_path_bytes);
	k->last_as = as_path_last(k->as_path, k->as_path_bytes);
	if (k->as_path_bytes && k->as_path[0] > 2)
		k->derived |= ATTRD_CONFED_PATH;
	for (unsigned i = 0; i < k->n_nexthop; i++)
		if (k->nexthop[i].flags & NH_RECURSIVE)
			k->derived |= ATTRD_RECURSIVE;
	for (unsigned i = 0; i < k->n_community; i++) {
		if (k->community[i] == COMMUNITY_LLGR_STALE)
			k->derived |= ATTRD_LLGR_COMMUNITY;
		else if (k->community[i] == COMMUNITY_NO_LLGR)
			k->derived |= ATTRD_NO_LLGR;
	}
}

/* ---- ids ---- */

static struct chunk *chunk_of(uint32_t id)
{
	return atomic_load_explicit(&store.chunks[id >> CHUNK_SHIFT], memory_order_acquire);
}

static _Atomic uint32_t *refs_of(uint32_t id)
{
	return &chunk_of(id)->refs[id & (CHUNK_SIZE - 1)];
}

static struct attrs *attrs_of(uint32_t id)
{
	return atomic_load_explicit(&chunk_of(id)->set[id & (CHUNK_SIZE - 1)], memory_order_acquire);
}

static void attrs_put(uint32_t id, struct attrs *s)
{
	atomic_store_explicit(&chunk_of(id)->set[id & (CHUNK_SIZE - 1)], s, memory_order_release);
}

const struct attrs *attrs_get(uint32_t id)
{
	return id ? attrs_of(id) : NULL;
}

static void chunk_make(uint32_t chunk)
{
	if (chunk >= CHUNKS) {
		log_msg(LOG_CLASS_FATAL, "More than %u attribute sets", CHUNKS * CHUNK_SIZE);
		abort();
	}
	pthread_mutex_lock(&store.chunk_lock);
	if (!atomic_load_explicit(&store.chunks[chunk], memory_order_relaxed))
		atomic_store_explicit(
			&store.chunks[chunk], must(calloc(1, sizeof(struct chunk))), memory_order_release);
	pthread_mutex_unlock(&store.chunk_lock);
}

static void id_add(struct id_list *l, uint32_t id)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : ID_BLOCK;
		l->id = must(realloc(l->id, l->cap * sizeof(uint32_t)));
	}
	l->id[l->n++] = id;
}

/* Stripe locked. */
static uint32_t id_take(struct stripe *st)
{
	if (!st->free_ids.n) {
		uint32_t first = atomic_fetch_add_explicit(&store.next_id, ID_BLOCK, memory_order_relaxed);

		/* Blocks are aligned and chunks are multiples of them: a block is in one chunk. */
		if (!atomic_load_explicit(&store.chunks[first >> CHUNK_SHIFT], memory_order_acquire))
			chunk_make(first >> CHUNK_SHIFT);
		for (uint32_t i = ID_BLOCK; i--;)
			if (first + i) /* 0 is no id */
				id_add(&st->free_ids, first + i);
	}
	return st->free_ids.id[--st->free_ids.n];
}

/* ---- the hash table of a stripe: linear probing, deletion by shifting back. Stripe locked. ---- */

static struct stripe *stripe_of(uint64_t hash)
{
	return &store.stripes[hash & (STRIPES - 1)];
}

/* The tag, which the slots keep, says where probing starts: moving slots touches no set. */
static uint32_t home_of(const struct stripe *st, uint32_t tag)
{
	return tag & (st->capacity - 1);
}

static void table_resize(struct stripe *st, uint32_t capacity)
{
	struct slot *old = st->slots;
	uint32_t n = st->capacity;

	st->slots = must(calloc(capacity, sizeof(*st->slots)));
	st->capacity = capacity;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at;

		if (!old[i].id)
			continue;
		at = home_of(st, old[i].tag);
		while (st->slots[at].id)
			at = (at + 1) & (capacity - 1);
		st->slots[at] = old[i];
	}
	free(old);
}

static void table_insert(struct stripe *st, uint64_t hash, uint32_t id)
{
	uint32_t at;

	if (4 * (st->used + 1) > 3 * st->capacity)
		table_resize(st, 2 * st->capacity);
	at = home_of(st, (uint32_t)(hash >> 32));
	while (st->slots[at].id)
		at = (at + 1) & (st->capacity - 1);
	st->slots[at] = (struct slot){.tag = (uint32_t)(hash >> 32), .id = id};
	st->used++;
}

static void table_remove(struct stripe *st, uint64_t hash, uint32_t id)
{
	uint32_t mask = st->capacity - 1, hole = home_of(st, (uint32_t)(hash >> 32)), at;

	while (st->slots[hole].id != id)
		hole = (hole + 1) & mask;
	for (at = (hole + 1) & mask; st->slots[at].id; at = (at + 1) & mask) {
		uint32_t home = home_of(st, st->slots[at].tag);

		/* May it live in the hole? Only if its home is not after the hole. */
		if (((at - home) & mask) >= ((at - hole) & mask)) {
			st->slots[hole] = st->slots[at];
			hole = at;
		}
	}
	st->slots[hole].id = 0;
	st->used--;
	if (st->capacity > FIRST_CAPACITY && 8 * st->used < st->capacity)
		table_resize(st, st->capacity / 2);
}

/* ---- interning ---- */

static size_t stored_size(const struct attrs *k, size_t payload)
{
	size_t n = sizeof(struct attrs) + payload;

	return k->n_extra ? align_up(n, 8) + k->n_extra * sizeof(struct attr_extra) : n;
}

/* Stripe locked. */
static struct attrs *stored_make(
	struct stripe *st, const struct attrs *k, const uint8_t *content, size_t payload)
{
	size_t size = stored_size(k, payload);
	struct attrs *s = slab_take(&st->slab, size);
	uint8_t *body = (uint8_t *)(s + 1);

	*s = *k;
	s->bytes = (uint32_t)size;
	memcpy(body, content + CONTENT_FIXED, payload);
	payload_link(s, body, (void *)(body + align_up(payload, 8)));
	return s;
}

/* content: as stored from `present` on. Stripe locked. */
static uint32_t table_find(struct stripe *st, uint64_t hash, const uint8_t *content, size_t size)
{
	uint32_t tag = (uint32_t)(hash >> 32), mask = st->capacity - 1;

	for (uint32_t at = home_of(st, tag); st->slots[at].id; at = (at + 1) & mask) {
		const struct attrs *s;

		if (st->slots[at].tag != tag)
			continue;
		s = attrs_of(st->slots[at].id);
		/* The fixed part says how long the payload is, so equal hashes of unequal sizes differ within
		 * it. */
		if (s->hash == hash &&
			memcmp((const uint8_t *)s + CONTENT_OFFSET, content, CONTENT_FIXED) == 0 &&
			memcmp(s + 1, content + CONTENT_FIXED, size - CONTENT_FIXED) == 0)
			return st->slots[at].id;
	}
	return 0;
}

uint32_t attrs_intern(const struct attrs *a)
{
	uint8_t stack[FLAT_ON_STACK], *content = stack;
	struct attr_extra few[16], *sorted = NULL;
	struct attrs k;
	size_t payload, size;
	struct stripe *st;
	uint32_t id;

	normalise(a, &k);
	for (unsigned i = 1; i < k.n_extra; i++)
		if (k.extra[i - 1].id > k.extra[i].id) {
			sorted = k.n_extra <= 16 ? few : must(malloc(k.n_extra * sizeof(*sorted)));
			memcpy(sorted, k.extra, k.n_extra * sizeof(*sorted));
			qsort(sorted, k.n_extra, sizeof(*sorted), extra_by_id);
			k.extra = sorted;
			break;
		}
	payload = payload_size(&k);
	size = CONTENT_FIXED + payload;
	if (size > sizeof(stack))
		content = must(malloc(size));
	memcpy(content, (const uint8_t *)&k + CONTENT_OFFSET, CONTENT_FIXED);
	payload_write(&k, content + CONTENT_FIXED);
	/* The payload's length in extras is in the payload: a prefix of another payload is never equal to it.
	 */
	k.hash = hash_bytes(content, size, store.seed);

	st = stripe_of(k.hash);
	pthread_mutex_lock(&st->lock);
	id = table_find(st, k.hash, content, size);
	if (id) {
		atomic_fetch_add_explicit(refs_of(id), 1, memory_order_relaxed);
		st->hits++;
	} else {
		struct attrs *s = stored_make(st, &k, content, payload);

		id = id_take(st);
		s->id = id;
		atomic_store_explicit(refs_of(id), 1, memory_order_relaxed);
		attrs_put(id, s);
		table_insert(st, k.hash, id);
		st->sets++;
		st->bytes += s->bytes;
		st->misses++;
	}
	pthread_mutex_unlock(&st->lock);
	if (content != stack)
		free(content);
	if (sorted && sorted != few)
		free(sorted);
	return id;
}

/* ---- references ---- */

void attrs_hold_n(uint32_t id, uint32_t n)
{
	if (id && n)
		atomic_fetch_add_explicit(refs_of(id), n, memory_order_relaxed);
}

void attrs_hold(uint32_t id)
{
	attrs_hold_n(id, 1);
}

static void retire_done(struct rcu_head *head);

/* Stripe locked. */
static void retire_start(struct stripe *st)
{
	struct id_list empty = st->waiting;

	if (st->in_flight || !st->retired.n)
		return;
	st->waiting = st->retired;
	st->retired = empty;
	st->in_flight = true;
	call_rcu(&st->rcu, retire_done);
}

static void retire_done(struct rcu_head *head)
{
	struct stripe *st = caa_container_of(head, struct stripe, rcu);

	rcu_callback_begin(head);
	pthread_mutex_lock(&st->lock);
	for (uint32_t i = 0; i < st->waiting.n; i++) {
		uint32_t id = st->waiting.id[i];
		struct attrs *s = attrs_of(id);

		attrs_put(id, NULL);
		id_add(&st->free_ids, id);
		slab_give(&st->slab, s, s->bytes);
	}
	/* A burst is over: its list is not kept for the next one. */
	if (st->waiting.cap > 4096) {
		free(st->waiting.id);
		st->waiting = (struct id_list){0};
	}
	st->waiting.n = 0;
	st->in_flight = false;
	retire_start(st);
	pthread_mutex_unlock(&st->lock);
}

void attrs_release_n(uint32_t id, uint32_t n)
{
	_Atomic uint32_t *refs;
	struct stripe *st;
	struct attrs *s;
	uint32_t have;

	if (!id || !n)
		return;
	refs = refs_of(id);
	have = atomic_load_explicit(refs, memory_order_relaxed);
	while (have > n)
		if (atomic_compare_exchange_weak_explicit(
			    refs, &have, have - n, memory_order_release, memory_order_relaxed))
			return;
	/* Perhaps the last ones. The set is there: we hold a reference until the subtraction below. */
	s = attrs_of(id);
	st = stripe_of(s->hash);
	pthread_mutex_lock(&st->lock);
	if (atomic_fetch_sub_explicit(refs, n, memory_order_acq_rel) == n) {
		table_remove(st, s->hash, id);
		st->sets--;
		st->bytes -= s->bytes;
		id_add(&st->retired, id);
		retire_start(st);
	}
	pthread_mutex_unlock(&st->lock);
}

void attrs_release(uint32_t id)
{
	attrs_release_n(id, 1);
}

void attrs_release_list(uint32_t (*list)[2], unsigned count)
{
	enum { AHEAD = 8 };

	for (unsigned i = 0; i < count; i++) {
		if (i + AHEAD < count && list[i + AHEAD][0])
			__builtin_prefetch(refs_of(list[i + AHEAD][0]), 1);
		attrs_release_n(list[i][0], list[i][1]);
	}
}

uint32_t attrs_references(uint32_t id)
{
	return atomic_load_explicit(refs_of(id), memory_order_relaxed);
}

/* ---- the whole ---- */

int attrs_init(void)
{
	if (getrandom(&store.seed, sizeof(store.seed), 0) != sizeof(store.seed))
		return -errno;
	pthread_mutex_init(&store.chunk_lock, NULL);
	atomic_store(&store.next_id, 0);
	for (unsigned i = 0; i < STRIPES; i++) {
		struct stripe *st = &store.stripes[i];

		memset(st, 0, sizeof(*st));
		pthread_mutex_init(&st->lock, NULL);
		st->slots = calloc(FIRST_CAPACITY, sizeof(*st->slots));
		if (!st->slots)
			return -ENOMEM;
		st->capacity = FIRST_CAPACITY;
	}
	return 0;
}

void attrs_exit(void)
{
	for (unsigned i = 0; i < STRIPES; i++) {
		struct stripe *st = &store.stripes[i];

		/* A callback may start the next one. The lock also orders its writes before ours. */
		pthread_mutex_lock(&st->lock);
		while (st->in_flight) {
			pthread_mutex_unlock(&st->lock);
			rcu_barrier();
			pthread_mutex_lock(&st->lock);
		}
		for (uint32_t at = 0; at < st->capacity; at++)
			if (st->slots[at].id) {
				struct attrs *s = attrs_of(st->slots[at].id);

				slab_give(&st->slab, s, s->bytes);
			}
		free(st->slots);
		free(st->free_ids.id);
		free(st->retired.id);
		free(st->waiting.id);
		pthread_mutex_unlock(&st->lock);
		pthread_mutex_destroy(&st->lock);
	}
	for (unsigned i = 0; i < CHUNKS; i++) {
		free(atomic_load(&store.chunks[i]));
		atomic_store(&store.chunks[i], NULL);
	}
	pthread_mutex_destroy(&store.chunk_lock);
}

void attrs_usage(struct attrs_usage *u)
{
	memset(u, 0, sizeof(*u));
	for (unsigned i = 0; i < STRIPES; i++) {
		struct stripe *st = &store.stripes[i];

		pthread_mutex_lock(&st->lock);
		u->sets += st->sets;
		u->bytes += st->bytes + st->capacity * sizeof(*st->slots);
		u->hits += st->hits;
		u->misses += st->misses;
		pthread_mutex_unlock(&st->lock);
	}
	for (unsigned i = 0; i < CHUNKS && atomic_load(&store.chunks[i]); i++)
		u->bytes += sizeof(struct chunk);
}

const struct attr_extra *attrs_find_extra(const struct attrs *a, uint32_t id)
{
	/* Few, and an edited set need not be sorted yet. */
	for (unsigned i = 0; i < a->n_extra; i++)
		if (a->extra[i].id == id)
			return &a->extra[i];
	return NULL;
}
