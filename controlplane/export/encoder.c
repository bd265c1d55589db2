/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packing: prefixes with equal attributes share messages, messages of one source
 * share blocks.
 *
 * Entries are chained by (source, attributes) through a small hash table in the
 * order they came, so a run of updates as a neighbour sent it stays together and
 * nothing is sorted.
 */
#include "controlplane/export/group.h"
#include "shared/hash.h"
#include "shared/log.h"
#include "shared/rcu.h"
#include <string.h>

struct entry {
	struct prefix prefix;
	uint32_t path_id;
	uint32_t next;
};

struct bundle {                 /* one (source, attrs) */
	uint32_t source, attrs; /* attrs 0: withdrawals */
	uint32_t first, last;   /* entries */
	uint32_t next_of_source;
};

struct origin {                       /* one source */
	uint32_t source, first, last; /* bundles */
};

#define NONE UINT32_MAX

struct encoder {
	struct bgp_encode_class class;
	struct entry *entry;
	uint32_t n_entry, cap_entry;
	struct bundle *bundle;
	uint32_t n_bundle, cap_bundle;
	struct origin *origin;
	uint32_t n_origin, cap_origin;
	uint32_t *bundle_hash, *origin_hash; /* number + 1 */
	uint32_t bundle_mask, origin_mask;
	uint32_t last_bundle; /* most entries go where the one before went */
	uint8_t *block;       /* under construction */
	size_t len;
	uint32_t messages;
	uint8_t attr_bytes[65536], nlri[65536];
};

static void *grow(void *p, uint32_t *cap, size_t size)
{
	*cap = *cap ? 2 * *cap : 256;
	p = realloc(p, *cap * size);
	if (!p)
		abort();
	return p;
}

struct encoder *encoder_create(const struct bgp_encode_class *c)
{
	struct encoder *e = calloc(1, sizeof(*e));

	if (!e)
		abort();
	e->class = *c;
	e->bundle_mask = e->origin_mask = 255;
	e->bundle_hash = calloc(256, sizeof(uint32_t));
	e->origin_hash = calloc(256, sizeof(uint32_t));
	e->block = malloc(2 * BLOCK_BYTES);
	if (!e->bundle_hash || !e->origin_hash || !e->block)
		abort();
	e->last_bundle = NONE;
	return e;
}

void encoder_destroy(struct encoder *e)
{
	free(e->entry);
	free(e->bundle);
	free(e->origin);
	free(e->bundle_hash);
	free(e->origin_hash);
	free(e->block);
	free(e);
}

static uint32_t origin_of(struct encoder *e, uint32_t source)
{
	uint32_t slot = (uint32_t)hash_u64(source, 1) & e->origin_mask;

	for (; e->origin_hash[slot]; slot = (slot + 1) & e->origin_mask)
		if (e->origin[e->origin_hash[slot] - 1].source == source)
			return e->origin_hash[slot] - 1;
	if (e->n_origin == e->cap_origin)
		e->origin = grow(e->origin, &e->cap_origin, sizeof(*e->origin));
	e->origin[e->n_origin] = (struct origin){source, NONE, NONE};
	e->origin_hash[slot] = ++e->n_origin;
	if (2 * e->n_origin > e->origin_mask) {
		uint32_t mask = 2 * e->origin_mask + 1;

		free(e->origin_hash);
		e->origin_hash = calloc((size_t)mask + 1, sizeof(uint32_t));
		if (!e->origin_hash)
			abort();
		e->origin_mask = mask;
		for (uint32_t i = 0; i < e->n_origin; i++) {
			slot = (uint32_t)hash_u64(e->origin[i].source, 1) & mask;
			while (e->origin_hash[slot])
				slot = (slot + 1) & mask;
			e->origin_hash[slot] = i + 1;
		}
	}
	return e->n_origin - 1;
}

static uint32_t bundle_slot(const struct encoder *e, uint32_t source, uint32_t attrs)
{
	return (uint32_t)hash_u64((uint64_t)source << 32 | attrs, 2) & e->bundle_mask;
}

static uint32_t bundle_of(struct encoder *e, uint32_t source, uint32_t attrs)
{
	uint32_t slot, o;

	if (e->last_bundle != NONE && e->bundle[e->last_bundle].source == source &&
		e->bundle[e->last_bundle].attrs == attrs)
		return e->last_bundle;
	for (slot = bundle_slot(e, source, attrs); e->bundle_hash[slot]; slot = (slot + 1) & e->bundle_mask) {
		const struct bundle *b = &e->bundle[e->bundle_hash[slot] - 1];

		if (b->source == source && b->attrs == attrs)
			return e->last_bundle = e->bundle_hash[slot] - 1;
	}
	if (e->n_bundle == e->cap_bundle)
		e->bundle = grow(e->bundle, &e->cap_bundle, sizeof(*e->bundle));
	o = origin_of(e, source);
	e->bundle[e->n_bundle] = (struct bundle){source, attrs, NONE, NONE, NONE};
	if (e->origin[o].first == NONE)
		e->origin[o].first = e->n_bundle;
	else
		e->bundle[e->origin[o].last].next_of_source = e->n_bundle;
	e->origin[o].last = e->n_bundle;
	e->bundle_hash[slot] = ++e->n_bundle;
	if (2 * e->n_bundle > e->bundle_mask) {
		uint32_t mask = 2 * e->bundle_mask + 1;

		free(e->bundle_hash);
		e->bundle_hash = calloc((size_t)mask + 1, sizeof(uint32_t));
		if (!e->bundle_hash)
			abort();
		e->bundle_mask = mask;
		for (uint32_t i = 0; i < e->n_bundle; i++) {
			slot = bundle_slot(e, e->bundle[i].source, e->bundle[i].attrs);
			while (e->bundle_hash[slot])
				slot = (slot + 1) & mask;
			e->bundle_hash[slot] = i + 1;
		}
	}
	return e->last_bundle = e->n_bundle - 1;
}

static void add(struct encoder *e, uint32_t source, uint32_t attrs, const struct prefix *p, uint32_t path_id)
{
	uint32_t b = bundle_of(e, source, attrs);

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
	struct encoder *e, uint32_t source, uint32_t attrs, const struct prefix *p, uint32_t path_id)
{
	add(e, source, attrs, p, path_id);
}

void encoder_withdraw(struct encoder *e, uint32_t source, const struct prefix *p, uint32_t path_id)
{
	add(e, source, 0, p, path_id);
}

struct block *block_make(const void *bytes, size_t len, uint32_t messages, enum block_mark mark)
{
	struct block *b = malloc(sizeof(*b) + len);

	if (!b)
		abort();
	atomic_init(&b->refs, 1);
	b->len = (uint32_t)len;
	b->messages = messages;
	b->mark = mark;
	if (len)
		memcpy(b->bytes, bytes, len);
	return b;
}

static void end_block(struct encoder *e, struct made *out, uint32_t except, struct member *only)
{
	if (!e->len)
		return;
	if (out->n == out->cap)
		out->b = grow(out->b, &out->cap, sizeof(*out->b));
	out->b[out->n++] =
		(struct made_block){block_make(e->block, e->len, e->messages, BLOCK_DATA), except, only};
	e->len = 0;
	e->messages = 0;
}

void made_clear(struct made *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		block_release(m->b[i].block);
	m->n = 0;
}

void made_free(struct made *m)
{
	made_clear(m);
	free(m->b);
	*m = (struct made){0};
}

/* Entries of one bundle from *at on, as many as fit one message; *at moves on. False: attributes too long for
 * any message. */
static bool one_message(struct encoder *e, const struct attrs *a, size_t attr_len, uint32_t *at)
{
	/* Header, two lengths, and for MP_REACH_NLRI its header and next hops, or for MP_UNREACH_NLRI its
	 * header. */
	size_t fixed = 19 + 4 + attr_len +
		       (a ? (e->class.afi == 1 && !e->class.extended_next_hop ? 0 : 4 + 5 + 32 + 1) : 8);
	size_t room = e->class.max_message > fixed ? e->class.max_message - fixed : 0, n = 0, written;
	uint32_t i = *at;

	if (room < 21)
		return false;
	while (i != NONE && n + 21 <= room) {
		n += bgp_encode_nlri(
			&e->entry[i].prefix, e->entry[i].path_id, e->class.add_path, e->nlri + n);
		i = e->entry[i].next;
	}
	if (a)
		written = bgp_encode_update(&e->class, a, e->attr_bytes, attr_len, e->nlri, n,
			e->block + e->len, 2 * BLOCK_BYTES - e->len);
	else
		written = bgp_encode_withdraw(
			&e->class, e->nlri, n, e->block + e->len, 2 * BLOCK_BYTES - e->len);
	if (!written)
		return false;
	e->len += written;
	e->messages++;
	*at = i;
	return true;
}

static void encode_bundle(
	struct encoder *e, const struct bundle *b, struct made *out, uint32_t except, struct member *only)
{
	static struct log_limit too_long;
	const struct attrs *a = b->attrs ? attrs_get(b->attrs) : NULL;
	size_t attr_len = 0;
	uint32_t at = b->first;

	if (a) {
		attr_len = bgp_encode_attrs(a, &e->class, e->attr_bytes, sizeof(e->attr_bytes));
		if (!attr_len)
			a = NULL;
	}
	while (at != NONE) {
		if (e->len + e->class.max_message > 2 * BLOCK_BYTES || e->len >= BLOCK_BYTES)
			end_block(e, out, except, only);
		if (one_message(e, a, attr_len, &at))
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
		attr_len = 0;
	}
}

void encoder_finish(struct encoder *e, struct made *out, bool except, struct member *only)
{
	for (uint32_t o = 0; o < e->n_origin; o++) {
		uint32_t tag = except ? e->origin[o].source : 0;

		/* Withdrawals first: a peer frees before it fills. */
		for (int pass = 0; pass < 2; pass++)
			for (uint32_t b = e->origin[o].first; b != NONE; b = e->bundle[b].next_of_source)
				if ((e->bundle[b].attrs != 0) == pass)
					encode_bundle(e, &e->bundle[b], out, tag, only);
		if (except)
			end_block(e, out, tag, only);
	}
	end_block(e, out, 0, only);
	/* Empty again, at the cost of what was in it. */
	for (uint32_t b = 0; b < e->n_bundle; b++) {
		uint32_t slot = bundle_slot(e, e->bundle[b].source, e->bundle[b].attrs);

		while (e->bundle_hash[slot] && e->bundle_hash[slot] != b + 1)
			slot = (slot + 1) & e->bundle_mask;
		e->bundle[b].first =
			slot; /* cleared below: a chain must stay whole while others are looked for */
	}
	for (uint32_t b = 0; b < e->n_bundle; b++)
		e->bundle_hash[e->bundle[b].first] = 0;
	memset(e->origin_hash, 0, ((size_t)e->origin_mask + 1) * sizeof(uint32_t));
	e->n_entry = e->n_bundle = e->n_origin = 0;
	e->last_bundle = NONE;
}
