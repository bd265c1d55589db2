/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packing: prefixes with equal attributes for equal receivers share messages,
 * messages for equal receivers share a segment, and segments share blocks.
 *
 * Entries are chained by (receivers, attributes) through a small hash table in
 * the order they came, so a run of updates as a neighbour sent it stays together
 * and nothing is sorted.
 */
#include "controlplane/export/group.h"
#include "shared/hash.h"
#include "shared/log.h"
#include <string.h>

struct entry {
	struct prefix prefix;
	uint32_t path_id;
	uint32_t next;
};

struct bundle {               /* one (receivers, attrs) */
	uint32_t to, attrs;   /* attrs 0: withdrawals */
	uint32_t first, last; /* entries */
	uint32_t next_of_same;
};

struct receivers {
	uint64_t hash;
	uint32_t set, words; /* in e->bits */
	uint32_t except, only;
	uint32_t first, last; /* bundles */
};

#define NONE UINT32_MAX

struct encoder {
	struct bgp_encode_class class;
	const struct sents *sents;
	struct entry *entry;
	uint32_t n_entry, cap_entry;
	struct bundle *bundle;
	uint32_t n_bundle, cap_bundle;
	struct receivers *receivers;
	uint32_t n_receivers, cap_receivers;
	uint64_t *bits;
	uint32_t n_bits, cap_bits;
	uint32_t *bundle_hash, *receivers_hash; /* number + 1 */
	uint32_t bundle_mask, receivers_mask;
	uint32_t last_bundle; /* most entries go where the one before went */
	uint8_t *block;       /* under construction */
	size_t len, room;
	uint32_t messages;       /* of the segment under construction */
	struct segment *segment; /* set: number of the receivers until the block is made */
	uint32_t n_segment, cap_segment;
	uint8_t nlri[65536];
};

static void *grow(void *p, uint32_t *cap, size_t size)
{
	*cap = *cap ? 2 * *cap : 256;
	p = realloc(p, *cap * size);
	if (!p)
		abort();
	return p;
}

struct encoder *encoder_create(const struct bgp_encode_class *c, const struct sents *s)
{
	struct encoder *e = calloc(1, sizeof(*e));

	if (!e)
		abort();
	e->class = *c;
	e->sents = s;
	e->bundle_mask = e->receivers_mask = 255;
	e->bundle_hash = calloc(256, sizeof(uint32_t));
	e->receivers_hash = calloc(256, sizeof(uint32_t));
	e->room = 2 * BLOCK_BYTES;
	e->block = malloc(e->room);
	if (!e->bundle_hash || !e->receivers_hash || !e->block)
		abort();
	e->last_bundle = NONE;
	return e;
}

void encoder_destroy(struct encoder *e)
{
	free(e->entry);
	free(e->bundle);
	free(e->receivers);
	free(e->bits);
	free(e->segment);
	free(e->bundle_hash);
	free(e->receivers_hash);
	free(e->block);
	free(e);
}

static void more_receiver_slots(struct encoder *e)
{
	uint32_t mask = 2 * e->receivers_mask + 1, slot;

	free(e->receivers_hash);
	e->receivers_hash = calloc((size_t)mask + 1, sizeof(uint32_t));
	if (!e->receivers_hash)
		abort();
	e->receivers_mask = mask;
	for (uint32_t i = 0; i < e->n_receivers; i++) {
		slot = (uint32_t)e->receivers[i].hash & mask;
		while (e->receivers_hash[slot])
			slot = (slot + 1) & mask;
		e->receivers_hash[slot] = i + 1;
	}
}

uint32_t encoder_to(struct encoder *e, const uint64_t *set, uint32_t words, uint32_t except, uint32_t only)
{
	uint64_t h = hash_u64((uint64_t)except << 32 | only, 1);
	uint32_t slot;

	while (words && !set[words - 1])
		words--;
	for (uint32_t i = 0; i < words; i++)
		h = hash_u64(h ^ set[i], 1);
	for (slot = (uint32_t)h & e->receivers_mask; e->receivers_hash[slot];
		slot = (slot + 1) & e->receivers_mask) {
		const struct receivers *r = &e->receivers[e->receivers_hash[slot] - 1];

		if (r->hash == h && r->words == words && r->except == except && r->only == only &&
			(!words || memcmp(e->bits + r->set, set, words * sizeof(*set)) == 0))
			return e->receivers_hash[slot] - 1;
	}
	if (e->n_receivers == e->cap_receivers)
		e->receivers = grow(e->receivers, &e->cap_receivers, sizeof(*e->receivers));
	while (e->n_bits + words > e->cap_bits)
		e->bits = grow(e->bits, &e->cap_bits, sizeof(*e->bits));
	e->receivers[e->n_receivers] = (struct receivers){h, e->n_bits, words, except, only, NONE, NONE};
	if (words)
		memcpy(e->bits + e->n_bits, set, words * sizeof(*set));
	e->n_bits += words;
	e->receivers_hash[slot] = ++e->n_receivers;
	if (2 * e->n_receivers > e->receivers_mask)
		more_receiver_slots(e);
	return e->n_receivers - 1;
}

static uint32_t bundle_slot(const struct encoder *e, uint32_t to, uint32_t attrs)
{
	return (uint32_t)hash_u64((uint64_t)to << 32 | attrs, 2) & e->bundle_mask;
}

static uint32_t bundle_of(struct encoder *e, uint32_t to, uint32_t attrs)
{
	struct receivers *r;
	uint32_t slot;

	if (e->last_bundle != NONE && e->bundle[e->last_bundle].to == to &&
		e->bundle[e->last_bundle].attrs == attrs)
		return e->last_bundle;
	for (slot = bundle_slot(e, to, attrs); e->bundle_hash[slot]; slot = (slot + 1) & e->bundle_mask) {
		const struct bundle *b = &e->bundle[e->bundle_hash[slot] - 1];

		if (b->to == to && b->attrs == attrs)
			return e->last_bundle = e->bundle_hash[slot] - 1;
	}
	if (e->n_bundle == e->cap_bundle)
		e->bundle = grow(e->bundle, &e->cap_bundle, sizeof(*e->bundle));
	r = &e->receivers[to];
	e->bundle[e->n_bundle] = (struct bundle){to, attrs, NONE, NONE, NONE};
	if (r->first == NONE)
		r->first = e->n_bundle;
	else
		e->bundle[r->last].next_of_same = e->n_bundle;
	r->last = e->n_bundle;
	e->bundle_hash[slot] = ++e->n_bundle;
	if (2 * e->n_bundle > e->bundle_mask) {
		uint32_t mask = 2 * e->bundle_mask + 1;

		free(e->bundle_hash);
		e->bundle_hash = calloc((size_t)mask + 1, sizeof(uint32_t));
		if (!e->bundle_hash)
			abort();
		e->bundle_mask = mask;
		for (uint32_t i = 0; i < e->n_bundle; i++) {
			slot = bundle_slot(e, e->bundle[i].to, e->bundle[i].attrs);
			while (e->bundle_hash[slot])
				slot = (slot + 1) & mask;
			e->bundle_hash[slot] = i + 1;
		}
	}
	return e->last_bundle = e->n_bundle - 1;
}

static void add(struct encoder *e, uint32_t to, uint32_t attrs, const struct prefix *p, uint32_t path_id)
{
	uint32_t b = bundle_of(e, to, attrs);

	if (e->n_entry == e->cap_entry)
		e->entry = grow(e->entry, &e->cap_entry, sizeof(*e->entry));
	e->entry[e->n_entry] = (struct entry){*p, path_id, NONE};
	if (e->bundle[b].first == NONE)
		e->bundle[b].first = e->n_entry;
	else
		e->entry[e->bundle[b].last].next = e->n_entry;
	e->bundle[b].last = e->n_entry++;
}

void encoder_announce(
	struct encoder *e, uint32_t to, uint32_t attrs, const struct prefix *p, uint32_t path_id)
{
	add(e, to, attrs, p, path_id);
}

void encoder_withdraw(struct encoder *e, uint32_t to, const struct prefix *p, uint32_t path_id)
{
	add(e, to, 0, p, path_id);
}

/* segments and sets are filled in by the caller */
static struct block *block_alloc(size_t len, uint32_t segments, uint32_t sets, uint32_t words)
{
	size_t fixed = segments * sizeof(struct segment), set_bytes = ((size_t)sets + 1) * words * 8;
	struct block *b;

	fixed = (fixed + 7) & ~(size_t)7;
	b = malloc(sizeof(*b) + set_bytes + fixed + len);
	if (!b)
		abort();
	*b = (struct block){.len = (uint32_t)len, .n_segments = segments, .words = words};
	atomic_init(&b->refs, 1);
	b->any = b->data;
	b->sets = b->data + words;
	b->segment = (const struct segment *)(const void *)(b->data + ((size_t)sets + 1) * words);
	b->bytes = (const uint8_t *)b->segment + fixed;
	return b;
}

struct block *block_mark(uint32_t generation)
{
	struct block *b = block_alloc(0, 0, 0, 1);

	b->mark = BLOCK_DUMP_END;
	b->generation = generation;
	b->data[0] = ~UINT64_C(0);
	return b;
}

static void end_segment(struct encoder *e, uint32_t to)
{
	uint32_t begin = e->n_segment ? e->segment[e->n_segment - 1].end : 0;

	if (e->len == begin)
		return;
	if (e->n_segment == e->cap_segment)
		e->segment = grow(e->segment, &e->cap_segment, sizeof(*e->segment));
	e->segment[e->n_segment++] = (struct segment){.end = (uint32_t)e->len,
		.messages = e->messages,
		.set = to,
		.except = e->receivers[to].except,
		.only = e->receivers[to].only};
	e->messages = 0;
}

static bool same_set(const struct encoder *e, const struct receivers *a, const struct receivers *b)
{
	return a->words == b->words &&
	       (!a->words || memcmp(e->bits + a->set, e->bits + b->set, a->words * sizeof(uint64_t)) == 0);
}

static void end_block(struct encoder *e, struct made *out)
{
	uint32_t words = 1, sets = 0, n = 0;
	struct segment *seg;
	struct block *b;

	if (!e->n_segment)
		return;
	for (uint32_t i = 0; i < e->n_segment; i++) {
		const struct receivers *r = &e->receivers[e->segment[i].set];

		if (r->words > words)
			words = r->words;
		sets += !i || !same_set(e, r, &e->receivers[e->segment[i - 1].set]);
	}
	b = block_alloc(e->len, e->n_segment, sets, words);
	memset(b->data, 0, ((size_t)sets + 1) * words * 8);
	memcpy(b->data + ((size_t)sets + 1) * words, e->segment, e->n_segment * sizeof(*e->segment));
	memcpy((uint8_t *)(b->data + ((size_t)sets + 1) * words) + (b->bytes - (const uint8_t *)b->segment),
		e->block, e->len);
	seg = (struct segment *)(void *)(b->data + ((size_t)sets + 1) * words);
	for (uint32_t i = 0; i < e->n_segment; i++) {
		const struct receivers *r = &e->receivers[e->segment[i].set];

		if (!i || !same_set(e, r, &e->receivers[e->segment[i - 1].set])) {
			uint64_t *set = b->data + (size_t)(++n) * words;

			for (uint32_t k = 0; k < r->words; k++) {
				set[k] = e->bits[r->set + k];
				b->data[k] |= set[k];
			}
		}
		seg[i].set = n - 1;
		b->some_only |= seg[i].only != 0;
	}
	if (out->n == out->cap)
		out->b = grow(out->b, &out->cap, sizeof(*out->b));
	out->b[out->n++] = b;
	e->len = 0;
	e->n_segment = 0;
}

void made_clear(struct made *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		block_release(m->b[i]);
	m->n = 0;
}

void made_free(struct made *m)
{
	made_clear(m);
	free(m->b);
	*m = (struct made){0};
}

/* Prefixes from *at on, as many as room takes. */
static size_t put_prefixes(struct encoder *e, size_t room, uint32_t *at)
{
	uint32_t i = *at;
	size_t n = 0;

	while (i != NONE) {
		size_t len = (e->class.add_path ? 5u : 1u) + (e->entry[i].prefix.len + 7u) / 8;

		if (n + len > room)
			break;
		n += bgp_encode_nlri(
			&e->entry[i].prefix, e->entry[i].path_id, e->class.add_path, e->nlri + n);
		i = e->entry[i].next;
	}
	*at = i;
	return n;
}

/* The same of a family that has no prefixes. */
static size_t put_nlris(struct encoder *e, const struct sent *a, size_t room, uint32_t *at)
{
	enum net_type type = bgp_family_net(e->class.afi, e->class.safi);
	uint32_t i = *at;
	size_t n = 0, len;

	for (; i != NONE; n += len, i = e->entry[i].next) {
		len = bgp_nlri_encode(bgp_nlri_of_handle(&e->entry[i].prefix), type,
			a ? sent_labels(a) : NULL, a ? a->labels : 0, e->class.add_path, e->entry[i].path_id,
			e->nlri + n, room - n);
		if (!len)
			break;
	}
	*at = i;
	return n;
}

/* Not even one goes into a message with these attributes: RFC 4271 section 9.2, as below, for this one alone.
 */
static size_t withhold(struct encoder *e, uint32_t *at)
{
	static struct log_limit too_long;
	uint32_t i = *at, only = e->entry[i].next;
	size_t n;

	e->entry[i].next = NONE;
	n = put_nlris(e, NULL, e->class.max_message - (19 + 4 + 8u), at);
	e->entry[i].next = only;
	*at = only;
	if (log_limit_ok(&too_long))
		log_msg(LOG_CLASS_ERROR, "Route too long for a message of %u bytes, withheld",
			e->class.max_message);
	return n;
}

/* Entries of one bundle from *at on, as many as fit one message; *at moves on. False: attributes too long for
 * any message. */
static bool one_message(struct encoder *e, const struct sent *a, uint32_t *at)
{
	bool plain = e->class.safi == BGP_SAFI_UNICAST;
	/* Header, two lengths, and for MP_REACH_NLRI its header and next hops, or for MP_UNREACH_NLRI its
	 * header. */
	size_t fixed = 19 + 4 + (a ? a->len + (a->nh || !plain ? 4 + 5u + a->nh : 0) : 8);
	size_t room = e->class.max_message > fixed ? e->class.max_message - fixed : 0, n, written;
	uint32_t i = *at;

	if (room < 21)
		return false;
	n = plain ? put_prefixes(e, room, &i) : put_nlris(e, a, room, &i);
	if (!n) {
		n = withhold(e, &i);
		a = NULL;
	}
	if (!n)
		written = 0;
	else if (a)
		written = bgp_encode_announce(&e->class, a->bytes, a->nh, sent_attrs(a), a->len, e->nlri, n,
			e->block + e->len, e->room - e->len);
	else
		written = bgp_encode_withdraw(&e->class, e->nlri, n, e->block + e->len, e->room - e->len);
	if (n && !written)
		return false;
	e->len += written;
	e->messages += written != 0;
	*at = i;
	return true;
}

/* The length of a block that n others are before: so that all of what is made is in MADE_BLOCKS of them. */
static size_t block_limit(uint32_t n)
{
	return (size_t)BLOCK_BYTES << n / 64;
}

static void encode_bundle(struct encoder *e, const struct bundle *b, struct made *out)
{
	static struct log_limit too_long;
	const struct sent *a = b->attrs ? sent_get(e->sents, b->attrs) : NULL;
	uint32_t at = b->first;

	while (at != NONE) {
		if (e->len >= block_limit(out->n)) {
			end_segment(e, b->to);
			end_block(e, out);
		}
		if (e->len + e->class.max_message > e->room) {
			e->room *= 2;
			e->block = realloc(e->block, e->room);
			if (!e->block)
				abort();
		}
		if ((!a || a->len) && one_message(e, a, &at))
			continue;
		if (!a)
			break; /* a withdrawal always fits */
		/* RFC 4271 section 9.2: a route that cannot be put into a message is not advertised, and what
		 * was is withdrawn. */
		if (log_limit_ok(&too_long))
			log_msg(LOG_CLASS_ERROR,
				"Attributes too long for a message of %u bytes, route withheld",
				e->class.max_message);
		a = NULL;
	}
}

void encoder_finish(struct encoder *e, struct made *out)
{
	for (uint32_t o = 0; o < e->n_receivers; o++) {
		/* Withdrawals first: a peer frees before it fills. */
		for (int pass = 0; pass < 2; pass++)
			for (uint32_t b = e->receivers[o].first; b != NONE; b = e->bundle[b].next_of_same)
				if ((e->bundle[b].attrs != 0) == pass)
					encode_bundle(e, &e->bundle[b], out);
		end_segment(e, o);
	}
	end_block(e, out);
	/* Empty again, at the cost of what was in it. */
	for (uint32_t b = 0; b < e->n_bundle; b++) {
		uint32_t slot = bundle_slot(e, e->bundle[b].to, e->bundle[b].attrs);

		while (e->bundle_hash[slot] && e->bundle_hash[slot] != b + 1)
			slot = (slot + 1) & e->bundle_mask;
		e->bundle[b].first =
			slot; /* cleared below: a chain must stay whole while others are looked for */
	}
	for (uint32_t b = 0; b < e->n_bundle; b++)
		e->bundle_hash[e->bundle[b].first] = 0;
	if (e->n_receivers)
		memset(e->receivers_hash, 0, ((size_t)e->receivers_mask + 1) * sizeof(uint32_t));
	e->n_entry = e->n_bundle = e->n_receivers = e->n_bits = 0;
	e->last_bundle = NONE;
}
