/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/filter/prefix_set.h"
#include "shared/hash.h"
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FROM 64u /* entries from which an index by the top bits pays */

/* While building: one prefix and a range of lengths not shorter than its own, with the key on top so that
 * comparing is comparing numbers. */
struct item {
	uint64_t high, low; /* IPv4: address << 8 | len in high */
	uint8_t len, lo, hi;
};

struct block4 {
	struct block4 *next;
	uint32_t n, capacity;
	uint64_t key[]; /* address << 24 | len << 16 | lo << 8 | hi */
};

struct block6 {
	struct block6 *next;
	uint32_t n, capacity;
	struct item item[];
};

struct prefix_set_builder {
	struct arena *arena;
	uint8_t family; /* 0: nothing yet */
	bool upward;
	uint32_t n; /* items */
	struct block4 *first4, *last4;
	struct block6 *first6, *last6;
};

static void *need(void *p)
{
	if (!p) {
		fprintf(stderr, "out of memory\n");
		abort();
	}
	return p;
}

struct prefix_set_builder *prefix_set_builder(struct arena *a)
{
	struct prefix_set_builder *b = arena_alloc(a, sizeof(*b));

	b->arena = a;
	return b;
}

static uint32_t block_capacity(uint32_t n)
{
	return n < 16 ? 16 : n > 65536 ? 65536 : n;
}

static void push4(struct prefix_set_builder *b, uint32_t addr, unsigned len, unsigned lo, unsigned hi)
{
	struct block4 *l = b->last4;

	if (!l || l->n == l->capacity) {
		uint32_t capacity = block_capacity(b->n);
		struct block4 *fresh =
			arena_alloc_raw(b->arena, sizeof(*fresh) + capacity * sizeof(fresh->key[0]));

		fresh->next = NULL;
		fresh->n = 0;
		fresh->capacity = capacity;
		if (l)
			l->next = fresh;
		else
			b->first4 = fresh;
		b->last4 = l = fresh;
	}
	l->key[l->n++] = (uint64_t)addr << 24 | len << 16 | lo << 8 | hi;
	b->n++;
}

static void push6(
	struct prefix_set_builder *b, uint64_t high, uint64_t low, unsigned len, unsigned lo, unsigned hi)
{
	struct block6 *l = b->last6;

	if (!l || l->n == l->capacity) {
		uint32_t capacity = block_capacity(b->n);
		struct block6 *fresh =
			arena_alloc_raw(b->arena, sizeof(*fresh) + capacity * sizeof(fresh->item[0]));

		fresh->next = NULL;
		fresh->n = 0;
		fresh->capacity = capacity;
		if (l)
			l->next = fresh;
		else
			b->first6 = fresh;
		b->last6 = l = fresh;
	}
	l->item[l->n++] = (struct item){high, low, (uint8_t)len, (uint8_t)lo, (uint8_t)hi};
	b->n++;
}

bool prefix_set_builder_add(struct prefix_set_builder *b, const struct prefix *p, unsigned lo, unsigned hi)
{
	if (b->family != p->family) {
		if (b->family)
			return false;
		b->family = p->family;
	}
	/* The pattern as it is; what it means is worked out when all are known. */
	if (lo < p->len)
		b->upward = true;
	if (p->family == 4) {
		push4(b, ntohl(ipaddr_to_v4(&p->addr)), p->len, lo, hi);
	} else {
		push6(b, be64toh(p->addr.q[0]), be64toh(p->addr.q[1]), p->len, lo, hi);
	}
	return true;
}

static inline uint32_t net_mask4(unsigned len)
{
	return len ? UINT32_MAX << (32 - len) : 0;
}

static inline void net_mask6(unsigned len, uint64_t *high, uint64_t *low)
{
	*high = len == 0 ? 0 : len >= 64 ? UINT64_MAX : UINT64_MAX << (64 - len);
	*low = len <= 64 ? 0 : len >= 128 ? UINT64_MAX : UINT64_MAX << (128 - len);
}

static int order_item(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->high != y->high)
		return x->high < y->high ? -1 : 1;
	if (x->low != y->low)
		return x->low < y->low ? -1 : 1;
	return (int)x->len - (int)y->len;
}

/* Least significant byte first, eight bits at a time, skipping the bytes that are all equal: a set that is
 * sorted already was not sent here, and qsort() would take several times as long for the millions of a
 * registry dump. */
static void radix_sort(uint64_t *v, uint32_t n)
{
	uint64_t *other = need(malloc((size_t)n * sizeof(*other))), *from = v, *to = other;

	for (unsigned shift = 16; shift < 56; shift += 8) {
		uint32_t count[257] = {0};

		for (uint32_t i = 0; i < n; i++)
			count[(from[i] >> shift & 255) + 1]++;
		if (count[(from[0] >> shift & 255) + 1] == n)
			continue;
		for (unsigned i = 0; i < 256; i++)
			count[i + 1] += count[i];
		for (uint32_t i = 0; i < n; i++)
			to[count[from[i] >> shift & 255]++] = from[i];
		uint64_t *t = from;
		from = to;
		to = t;
	}
	if (from != v)
		memcpy(v, from, (size_t)n * sizeof(*v));
	free(other);
}

/* Distinct masks, by open addressing while building. */
struct masks {
	struct length_mask *m;
	uint32_t n, capacity;
	uint32_t *slot; /* index + 1 */
	uint32_t n_slots;
};

static uint32_t mask_slot(const struct masks *ms, const struct length_mask *m)
{
	return (uint32_t)hash_bytes(m, sizeof(*m), 0) & (ms->n_slots - 1);
}

static uint32_t mask_index(struct masks *ms, const struct length_mask *m)
{
	uint32_t i;

	if (ms->n * 2 >= ms->n_slots) {
		ms->n_slots = ms->n_slots ? ms->n_slots * 2 : 64;
		free(ms->slot);
		ms->slot = need(calloc(ms->n_slots, sizeof(*ms->slot)));
		for (uint32_t k = 0; k < ms->n; k++) {
			for (i = mask_slot(ms, &ms->m[k]); ms->slot[i]; i = (i + 1) & (ms->n_slots - 1))
				;
			ms->slot[i] = k + 1;
		}
	}
	for (i = mask_slot(ms, m); ms->slot[i]; i = (i + 1) & (ms->n_slots - 1))
		if (!memcmp(&ms->m[ms->slot[i] - 1], m, sizeof(*m)))
			return ms->slot[i] - 1;
	if (ms->n == ms->capacity) {
		ms->capacity = ms->capacity ? ms->capacity * 2 : 16;
		ms->m = need(realloc(ms->m, ms->capacity * sizeof(*ms->m)));
	}
	ms->m[ms->n] = *m;
	ms->slot[i] = ++ms->n;
	return ms->n - 1;
}

static void mask_set(struct length_mask *m, unsigned lo, unsigned hi)
{
	for (unsigned l = lo; l <= hi; l++)
		m->w[l / 64] |= UINT64_C(1) << l % 64;
}

static inline bool mask_has(const struct length_mask *m, unsigned len)
{
	return m->w[len / 64] >> len % 64 & 1;
}

/* All patterns as items, those parts above their own length as exact items of the shorter prefixes. */
static struct item *collect(struct prefix_set_builder *b, uint32_t *n_items)
{
	size_t n = 0, capacity = (size_t)b->n + 1;
	struct item *items = need(malloc(capacity * sizeof(*items)));
	struct block4 *l4 = b->first4;
	struct block6 *l6 = b->first6;
	bool v4 = b->family == 4;

	if (v4 && !b->upward) { /* the common and the large case: sort words */
		uint64_t *words = need(malloc(capacity * sizeof(*words)));
		bool sorted = true;

		for (; l4; l4 = l4->next) {
			memcpy(words + n, l4->key, l4->n * sizeof(*words));
			n += l4->n;
		}
		for (size_t i = 1; i < n && sorted; i++)
			sorted = words[i - 1] >> 16 <= words[i] >> 16;
		if (!sorted)
			radix_sort(words, (uint32_t)n);
		for (size_t i = 0; i < n; i++)
			items[i] = (struct item){words[i] >> 24, 0, (uint8_t)(words[i] >> 16),
				(uint8_t)(words[i] >> 8), (uint8_t)words[i]};
		free(words);
		*n_items = (uint32_t)n;
		return items;
	}
	for (uint32_t i = 0; v4 ? l4 != NULL : l6 != NULL;) {
		struct item it;

		if (v4)
			it = (struct item){l4->key[i] >> 24, 0, (uint8_t)(l4->key[i] >> 16),
				(uint8_t)(l4->key[i] >> 8), (uint8_t)l4->key[i]};
		else
			it = l6->item[i];
		for (unsigned len = it.lo; len < it.len && len <= it.hi; len++) {
			uint64_t high = v4 ? net_mask4(len) : 0, low = 0;

			if (!v4)
				net_mask6(len, &high, &low);
			if (n + 1 >= capacity) {
				capacity = capacity * 2 + 16;
				items = need(realloc(items, capacity * sizeof(*items)));
			}
			items[n++] = (struct item){
				it.high & high, it.low & low, (uint8_t)len, (uint8_t)len, (uint8_t)len};
		}
		if (it.hi >= it.len) {
			if (it.lo < it.len)
				it.lo = it.len;
			if (n + 1 >= capacity) {
				capacity = capacity * 2 + 16;
				items = need(realloc(items, capacity * sizeof(*items)));
			}
			items[n++] = it;
		}
		if (v4 ? ++i == l4->n : ++i == l6->n) {
			i = 0;
			if (v4)
				l4 = l4->next;
			else
				l6 = l6->next;
		}
	}
	for (size_t i = 1; i < n; i++)
		if (order_item(&items[i - 1], &items[i]) > 0) {
			qsort(items, n, sizeof(*items), order_item);
			break;
		}
	*n_items = (uint32_t)n;
	return items;
}

static void keep_patterns(struct prefix_set_builder *b, struct filter_prefix_set *s)
{
	s->n_patterns = b->n;
	s->patterns = need(calloc(b->n, sizeof(*s->patterns)));
	uint32_t n = 0;
	for (struct block4 *l = b->first4; l; l = l->next)
		for (uint32_t i = 0; i < l->n; i++) {
			struct ipaddr a = ipaddr_v4(htonl((uint32_t)(l->key[i] >> 24)));

			s->patterns[n++] =
				(struct prefix_pattern){prefix_make(&a, (uint8_t)(l->key[i] >> 16)),
					(uint8_t)(l->key[i] >> 8), (uint8_t)l->key[i]};
		}
	for (struct block6 *l = b->first6; l; l = l->next)
		for (uint32_t i = 0; i < l->n; i++) {
			const struct item *it = &l->item[i];
			struct prefix p = {.len = it->len, .family = 6};

			p.addr.q[0] = htobe64(it->high);
			p.addr.q[1] = htobe64(it->low);
			s->patterns[n++] = (struct prefix_pattern){p, it->lo, it->hi};
		}
}

static bool covers(bool v4, const struct item *outer, const struct item *inner)
{
	uint64_t high, low;

	if (outer->len > inner->len)
		return false;
	if (v4)
		return ((outer->high ^ inner->high) & net_mask4(outer->len)) == 0;
	net_mask6(outer->len, &high, &low);
	return !((outer->high ^ inner->high) & high) && !((outer->low ^ inner->low) & low);
}

static void destroy(struct interned *o)
{
	struct filter_prefix_set *s = (struct filter_prefix_set *)o;

	free(s->key4);
	free(s->info);
	free(s->own);
	free(s->bucket);
	free(s->masks);
	free(s->patterns);
	free(s);
}

static void digest(struct filter_prefix_set *s)
{
	XXH3_state_t *h = need(XXH3_createState());

	XXH3_128bits_reset_withSeed(h, s->v4 ? 0x9e7404u : 0x9e7406u);
	XXH3_128bits_update(h, s->key4, s->n * (s->v4 ? sizeof(*s->key4) : sizeof(*s->key6)));
	for (uint32_t i = 0; i < s->n; i++) {
		uint8_t len = s->info[i].len;

		XXH3_128bits_update(h, &len, 1);
		XXH3_128bits_update(h, &s->masks[s->own[i]], sizeof(struct length_mask));
	}
	for (uint32_t i = 0; i < s->n_patterns; i++) {
		const struct prefix_pattern *p = &s->patterns[i];

		XXH3_128bits_update(h, &p->prefix.addr, sizeof(p->prefix.addr));
		XXH3_128bits_update(h, &p->prefix.len, 1);
		XXH3_128bits_update(h, &p->lo, 1);
		XXH3_128bits_update(h, &p->hi, 1);
	}
	XXH128_hash_t d = XXH3_128bits_digest(h);
	XXH3_freeState(h);
	s->intern.digest = (struct digest){d.low64, d.high64};
	s->intern.destroy = destroy;
}

/* About one bucket for two entries of IPv4; IPv6 wastes the top three bits on 2000::/3. */
static void build_buckets(struct filter_prefix_set *s)
{
	unsigned bits = s->v4 ? 4 : 7;
	uint32_t next = 0;

	while (bits < 16 && 2u << bits < s->n)
		bits++;
	s->shift = (uint8_t)((s->v4 ? 32 : 64) - bits);
	s->bucket = need(malloc(((1u << bits) + 1) * sizeof(*s->bucket)));
	for (uint32_t top = 0; top < 1u << bits; top++) {
		s->bucket[top] = next;
		while (next < s->n && (s->v4 ? s->key4[next] >> s->shift
					     : (uint32_t)(s->key6[next].high >> s->shift)) == top)
			next++;
	}
	s->bucket[1u << bits] = s->n;
}

const struct filter_prefix_set *prefix_set_build(struct prefix_set_builder *b)
{
	uint32_t n_items, n = 0;

	if (!b->n)
		return NULL;
	struct filter_prefix_set *s = need(calloc(1, sizeof(*s)));
	struct item *items = collect(b, &n_items);
	struct masks masks = {0};

	s->v4 = b->family == 4;
	if (b->upward)
		keep_patterns(b, s);
	/* One entry for each prefix. */
	uint32_t entries = 0;
	for (uint32_t i = 0; i < n_items; i++)
		entries += i == 0 || order_item(&items[i - 1], &items[i]) != 0;
	s->key4 = need(malloc((entries ? entries : 1) * (s->v4 ? sizeof(*s->key4) : sizeof(*s->key6))));
	s->info = need(malloc((entries ? entries : 1) * sizeof(*s->info)));
	s->own = need(malloc((entries ? entries : 1) * sizeof(*s->own)));
	for (uint32_t i = 0; i < n_items;) {
		struct length_mask m = {{0}}, all;
		struct item first = items[i];
		uint32_t parent = n ? n - 1 : PREFIX_SET_NONE;

		for (; i < n_items && !order_item(&first, &items[i]); i++)
			mask_set(&m, items[i].lo, items[i].hi);
		/* items[0..n) now holds the entries made so far */
		while (parent != PREFIX_SET_NONE && !covers(s->v4, &items[parent], &first))
			parent = s->info[parent].parent;
		s->own[n] = mask_index(&masks, &m);
		all = m;
		if (parent != PREFIX_SET_NONE) {
			const struct length_mask *cumulative = &masks.m[s->info[parent].cumulative];

			for (int k = 0; k < 3; k++)
				all.w[k] |= cumulative->w[k];
		}
		s->info[n] = (struct prefix_info){
			.parent = parent, .len = first.len, .cumulative = mask_index(&masks, &all)};
		if (s->v4)
			s->key4[n] = (uint32_t)first.high;
		else
			s->key6[n] = (struct key6){first.high, first.low};
		items[n++] = first;
	}
	if (masks.n > 1u << 24) { /* cannot be: a few hundred in practice */
		fprintf(stderr, "prefix set with %u kinds of length ranges\n", masks.n);
		abort();
	}
	s->n = n;
	s->n_masks = masks.n;
	s->masks = masks.m;
	free(masks.slot);
	free(items);
	if (n >= BUCKETS_FROM)
		build_buckets(s);
	digest(s);
	return (const struct filter_prefix_set *)intern_add(&s->intern);
}

const struct filter_prefix_set *prefix_set_hold(const struct filter_prefix_set *s)
{
	if (s)
		intern_hold((struct interned *)&s->intern);
	return s;
}

void prefix_set_release(const struct filter_prefix_set *s)
{
	if (s)
		intern_release((struct interned *)&s->intern);
}

size_t prefix_set_bytes(const struct filter_prefix_set *s)
{
	if (!s)
		return 0;
	return sizeof(*s) +
	       s->n * ((s->v4 ? sizeof(*s->key4) : sizeof(*s->key6)) + sizeof(*s->info) + sizeof(*s->own)) +
	       (s->bucket ? ((1u << ((s->v4 ? 32 : 64) - s->shift)) + 1) * sizeof(*s->bucket) : 0) +
	       s->n_masks * sizeof(*s->masks) + s->n_patterns * sizeof(*s->patterns);
}

/*
 * The last entry that starts at or below the address is the deepest of those that may cover it: all that do
 * are among its parents (an entry between a covering one and the address starts inside the covering one,
 * hence lies in it).
 */
bool prefix_set_has4(const struct filter_prefix_set *s, uint32_t addr, unsigned len)
{
	uint32_t base = 0, n = s->n;

	if (s->bucket) {
		base = s->bucket[addr >> s->shift];
		n = s->bucket[(addr >> s->shift) + 1] - base;
		if (!n || s->key4[base] > addr) { /* the last of an earlier bucket */
			if (!base)
				return false;
			base--;
			n = 1;
		}
	} else if (!n || s->key4[0] > addr) {
		return false;
	}
	while (n > 1) {
		uint32_t half = n / 2;

		base = s->key4[base + half] <= addr ? base + half : base;
		n -= half;
	}
	while (base != PREFIX_SET_NONE) {
		const struct prefix_info *i = &s->info[base];

		if (i->len <= len && ((s->key4[base] ^ addr) & net_mask4(i->len)) == 0)
			return s->masks[i->cumulative].w[0] >> len & 1;
		base = i->parent;
	}
	return false;
}

static inline bool key6_le(const struct key6 *k, uint64_t high, uint64_t low)
{
	return k->high < high || (k->high == high && k->low <= low);
}

bool prefix_set_has6(const struct filter_prefix_set *s, const uint8_t *addr, unsigned len)
{
	uint64_t word[2], high, low, mask_high, mask_low;
	uint32_t base = 0, n = s->n;

	memcpy(word, addr, 16);
	high = be64toh(word[0]);
	low = be64toh(word[1]);
	if (s->bucket) {
		base = s->bucket[high >> s->shift];
		n = s->bucket[(high >> s->shift) + 1] - base;
		if (!n || !key6_le(&s->key6[base], high, low)) {
			if (!base)
				return false;
			base--;
			n = 1;
		}
	} else if (!n || !key6_le(&s->key6[0], high, low)) {
		return false;
	}
	while (n > 1) {
		uint32_t half = n / 2;

		base = key6_le(&s->key6[base + half], high, low) ? base + half : base;
		n -= half;
	}
	while (base != PREFIX_SET_NONE) {
		const struct prefix_info *i = &s->info[base];

		if (i->len <= len) {
			net_mask6(i->len, &mask_high, &mask_low);
			if (!((s->key6[base].high ^ high) & mask_high) &&
				!((s->key6[base].low ^ low) & mask_low))
				return mask_has(&s->masks[i->cumulative], len);
		}
		base = i->parent;
	}
	return false;
}

bool prefix_set_has_net(const struct filter_prefix_set *s, const struct net *n)
{
	if (!s)
		return false;
	switch (n->type) {
	case NET_IP4:
	case NET_VPN4:
	case NET_ROA4:
	case NET_FLOW4:
		return s->v4 && prefix_set_has4(s, ntohl(ipaddr_to_v4(&n->prefix.addr)), n->prefix.len);
	case NET_IP6:
	case NET_VPN6:
	case NET_ROA6:
	case NET_FLOW6: return !s->v4 && prefix_set_has6(s, n->prefix.addr.b, n->prefix.len);
	default: return false;
	}
}

bool prefix_set_equal(const struct filter_prefix_set *a, const struct filter_prefix_set *b)
{
	return a == b; /* interned */
}

void prefix_set_each(
	const struct filter_prefix_set *s, void (*fn)(void *ctx, const struct prefix_pattern *p), void *ctx)
{
	unsigned max = s && s->v4 ? 32 : 128;

	if (!s)
		return;
	if (s->patterns) {
		for (uint32_t i = 0; i < s->n_patterns; i++)
			fn(ctx, &s->patterns[i]);
		return;
	}
	for (uint32_t i = 0; i < s->n; i++) {
		struct prefix_pattern p = {.prefix = {.len = s->info[i].len, .family = s->v4 ? 4 : 6}};
		const struct length_mask *m = &s->masks[s->own[i]];

		if (s->v4) {
			p.prefix.addr = ipaddr_v4(htonl(s->key4[i]));
		} else {
			p.prefix.addr.q[0] = htobe64(s->key6[i].high);
			p.prefix.addr.q[1] = htobe64(s->key6[i].low);
		}
		for (unsigned l = p.prefix.len; l <= max; l++) {
			unsigned last = l;

			if (!mask_has(m, l))
				continue;
			while (last < max && mask_has(m, last + 1))
				last++;
			p.lo = (uint8_t)l;
			p.hi = (uint8_t)last;
			fn(ctx, &p);
			l = last;
		}
	}
}
