/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/export/choose.h"
#include "controlplane/export/room.h"
#include "controlplane/filter/family.h"
#include "shared/hash.h"
#include "shared/rcu.h"
#include <stdlib.h>
#include <string.h>

#define MEMO_FIRST 256u
#define MEMO_MOST 65536u

struct lane_memo {
	uint32_t attrs,
		source; /* attrs 0: empty; a reference is held, so that the number cannot mean another set */
	uint64_t key;
	uint64_t gen;      /* lanes added later are not in it */
	uint32_t distance; /* policy_distance() */
	uint32_t fan : 31; /* a reference is held */
	bool rejected : 1;
};

static bool in(const uint64_t *set, uint32_t lane)
{
	return set[lane / 64] >> (lane & 63) & 1;
}

static void put(uint64_t *set, uint32_t lane, bool on)
{
	if (on)
		set[lane / 64] |= UINT64_C(1) << (lane & 63);
	else
		set[lane / 64] &= ~(UINT64_C(1) << (lane & 63));
}

void choose_init(struct choose *c, unsigned shard, const struct bgp_encode_class *encode, bool aigp)
{
	*c = (struct choose){.shard = shard, .encode = encode, .aigp = aigp};
	fans_init(&c->fans);
	draft_init(&c->draft, &c->fans.sents);
}

static void memo_drop(struct choose *c, struct lane_memo *m)
{
	attrs_release(m->attrs);
	fan_release(&c->fans, m->fan);
	m->attrs = 0;
}

void choose_forget(struct choose *c)
{
	for (uint32_t i = 0; c->memo && i <= c->memo_mask; i++)
		if (c->memo[i].attrs)
			memo_drop(c, &c->memo[i]);
	free(c->memo);
	c->memo = NULL;
	c->memo_used = 0;
}

size_t choose_bytes(const struct choose *c)
{
	return fans_bytes(&c->fans) + (c->memo ? ((size_t)c->memo_mask + 1) * sizeof(*c->memo) : 0);
}

void choose_free(struct choose *c)
{
	choose_forget(c);
	for (unsigned i = 0; i < c->n_keys; i++)
		filter_release(c->keys[i].filter);
	free(c->keys);
	for (unsigned i = 0; i < c->n_family; i++) {
		filter_release(c->family[i].filter);
		free(c->family[i].set);
		free(c->family[i].atom);
	}
	free(c->family);
	free(c->alone);
	free(c->named);
	free(c->lane);
	free(c->active);
	free(c->shared);
	free(c->each);
	draft_free(&c->draft);
	fans_free(&c->fans);
}

/* ---- lanes ---- */

/* Its questions about the prefix are among those asked already, or there is room in the key for them. */
static bool may_ask(struct choose *c, const struct filter *f)
{
	uint64_t digest = filter_net_digest(f);
	unsigned bits = filter_net_key_bits(f);

	for (unsigned i = 0; i < c->n_keys; i++) {
		if (c->keys[i].digest == digest)
			return true;
		bits += c->keys[i].bits;
	}
	if (bits > 64)
		return false;
	c->keys = room_grow(c->keys, c->n_keys, c->n_keys + 1, sizeof(*c->keys));
	c->keys[c->n_keys++] = (struct lane_keys){filter_hold(f), digest, filter_net_key_bits(f)};
	/* What was remembered was remembered by shorter keys. */
	for (uint32_t i = 0; c->memo && i <= c->memo_mask; i++)
		if (c->memo[i].attrs)
			memo_drop(c, &c->memo[i]);
	c->memo_used = 0;
	return true;
}

static bool is_shared(struct choose *c, const struct filter_ref *f)
{
	if (f->kind != FILTER_PROGRAM)
		return true;
	if (!policy_is_shared(f->filter))
		return false;
	return filter_net_use(f->filter) == FILTER_NET_UNUSED || may_ask(c, f->filter);
}

/* ---- families ---- */

/* Lanes by what is looked for: built again when a lane comes or goes, used for every new attribute set. */
static void build_atoms(struct choose *c, struct lane_family *f)
{
	uint64_t atoms[FILTER_FAMILY_CONSTS];
	uint32_t room = 64;

	free(f->atom);
	while (room < 4 * f->n * (unsigned)__builtin_popcountll(f->differs))
		room *= 2;
	f->mask = room - 1;
	f->used = 0;
	f->atom = calloc(2 * (size_t)room, sizeof(*f->atom));
	if (!f->atom)
		abort();
	for (uint32_t i = 0; i < c->n_lane; i++) {
		unsigned n;

		if (!in(f->set, i))
			continue;
		n = filter_atoms(c->lane[i]->filter.filter, f->differs, atoms);
		for (unsigned k = 0; k < n; k++) {
			uint32_t slot = (uint32_t)hash_u64(atoms[k], 1) & f->mask;

			while (f->atom[slot].atom && f->atom[slot].atom != atoms[k])
				slot = (slot + 1) & f->mask;
			if (f->atom[slot].atom) { /* several lanes: a chain behind the table */
				struct family_atom *more = &f->atom[room + f->used];

				*more = f->atom[slot];
				f->atom[slot].next = room + f->used++ + 1;
			} else {
				f->atom[slot].atom = atoms[k];
			}
			f->atom[slot].lane = i;
		}
	}
	f->dirty = false;
}

/* Into the family it belongs to, or one of its own. */
static void find_family(struct choose *c, struct lane *l)
{
	uint64_t shape = filter_shape(l->filter.filter);
	struct lane_family *f;
	unsigned i;

	for (i = 0; i < c->n_family; i++) {
		uint64_t differs = c->family[i].differs;

		f = &c->family[i];
		if (f->shape != shape || !filter_alike(f->filter, l->filter.filter, &differs))
			continue;
		if (differs != f->differs) {
			f->differs = differs;
			f->ok = filter_family_ok(f->filter, differs);
		}
		break;
	}
	if (i == c->n_family) {
		c->family = room_grow(c->family, i, i + 1, sizeof(*c->family));
		c->n_family++;
		f = &c->family[i];
		*f = (struct lane_family){
			.filter = filter_hold(l->filter.filter), .shape = shape, .ok = true};
		f->set = room_grow(NULL, 0, c->words, sizeof(*f->set));
	}
	f = &c->family[i];
	l->shard[c->shard].family = i + 1;
	put(f->set, l->number, true);
	f->n++;
	f->dirty = true;
}

static void leave_family(struct choose *c, struct lane *l)
{
	unsigned i = l->shard[c->shard].family;
	struct lane_family *f;

	if (!i)
		return;
	f = &c->family[i - 1];
	l->shard[c->shard].family = 0;
	put(f->set, l->number, false);
	f->dirty = true;
	if (--f->n)
		return;
	filter_release(f->filter);
	free(f->set);
	free(f->atom);
	*f = c->family[--c->n_family];
	for (uint32_t k = 0; f != &c->family[c->n_family] && k < c->n_lane; k++)
		if (in(f->set, k))
			c->lane[k]->shard[c->shard].family = i;
}

void choose_add(struct choose *c, struct lane *l)
{
	uint32_t n = l->number;

	if (n >= c->n_lane) {
		uint32_t words = c->words ? c->words : 1;

		while (words * 64 <= n)
			words *= 2;
		c->lane = room_grow(c->lane, c->n_lane, words * 64, sizeof(*c->lane));
		c->active = room_grow(c->active, c->words, words, sizeof(*c->active));
		c->shared = room_grow(c->shared, c->words, words, sizeof(*c->shared));
		c->each = room_grow(c->each, c->words, words, sizeof(*c->each));
		c->alone = room_grow(c->alone, c->words, words, sizeof(*c->alone));
		c->named = room_grow(c->named, c->words, words, sizeof(*c->named));
		for (unsigned i = 0; i < c->n_family; i++)
			c->family[i].set =
				room_grow(c->family[i].set, c->words, words, sizeof(*c->family[i].set));
		c->words = words;
		c->n_lane = words * 64;
	}
	c->lane[n] = l;
	c->n_active++;
	c->n_own += l->own != 0;
	l->shard[c->shard].gen = ++c->gen;
	put(c->active, n, true);
	if (is_shared(c, &l->filter)) {
		put(c->shared, n, true);
		if (l->filter.kind == FILTER_PROGRAM)
			find_family(c, l);
	} else {
		put(c->each, n, true);
		c->n_each++;
	}
}

void choose_remove(struct choose *c, struct lane *l)
{
	uint32_t n = l->number;

	leave_family(c, l);
	c->lane[n] = NULL;
	c->n_active--;
	c->n_own -= l->own != 0;
	put(c->active, n, false);
	put(c->shared, n, false);
	if (in(c->each, n)) {
		put(c->each, n, false);
		c->n_each--;
	}
}

void choose_known_at(const struct choose *c, uint64_t gen, uint64_t *set)
{
	memcpy(set, c->active, c->words * sizeof(*set));
	if (gen == c->gen)
		return;
	for (uint32_t i = 0; i < c->n_lane; i++)
		if (c->lane[i] && c->lane[i]->shard[c->shard].gen > gen)
			put(set, i, false);
}

/* ---- filters ---- */

static void run_lane(struct choose *c, struct rib_shard *s, const struct net *n,
	const struct rib_route_view *r, uint32_t lane)
{
	struct lane *l = c->lane[lane];
	uint32_t id = 0;

	if (l->own && l->own == r->source)
		return;
	if (policy_send(&l->shard[c->shard].policy, s, n, r, c->encode, &c->fans.sents, &id))
		draft_send(&c->draft, lane, id, r->source);
}

static void run_lanes(struct choose *c, struct rib_shard *s, const struct net *n,
	const struct rib_route_view *r, const uint64_t *set)
{
	for (uint32_t k = 0; k < c->words; k++)
		for (uint64_t w = set[k]; w; w &= w - 1)
			run_lane(c, s, n, r, 64 * k + (uint32_t)__builtin_ctzll(w));
}

/* Once for those that the route does not name, and for each of the others. Those are left in c->alone. */
static void run_family(struct choose *c, struct rib_shard *s, const struct net *n,
	const struct rib_route_view *r, struct lane_family *f, const uint64_t *atoms, unsigned n_atoms)
{
	uint32_t first = UINT32_MAX, id = 0;

	if (f->dirty)
		build_atoms(c, f);
	memset(c->named, 0, c->words * sizeof(*c->named));
	for (unsigned k = 0; k < n_atoms; k++) {
		uint32_t slot = (uint32_t)hash_u64(atoms[k], 1) & f->mask;

		while (f->atom[slot].atom && f->atom[slot].atom != atoms[k])
			slot = (slot + 1) & f->mask;
		if (!f->atom[slot].atom)
			continue;
		for (uint32_t at = slot + 1; at; at = f->atom[at - 1].next)
			put(c->named, f->atom[at - 1].lane, true);
	}
	for (uint32_t k = 0; k < c->words; k++) {
		uint64_t rest = f->set[k] & ~c->named[k];

		if (rest && first == UINT32_MAX)
			first = 64 * k + (uint32_t)__builtin_ctzll(rest);
		c->alone[k] &= ~rest;
		c->named[k] = rest;
	}
	/* Who the route came from does not get it back. */
	for (uint32_t i = 0; c->n_own && i < c->n_lane; i++)
		if (c->lane[i] && c->lane[i]->own == r->source)
			put(c->named, i, false);
	if (first != UINT32_MAX &&
		policy_send(&c->lane[first]->shard[c->shard].policy, s, n, r, c->encode, &c->fans.sents, &id))
		draft_send_all(&c->draft, c->named, id, r->source);
}

static void run_shared(
	struct choose *c, struct rib_shard *s, const struct net *n, const struct rib_route_view *r)
{
	uint64_t few[256], *atoms = few;
	unsigned n_atoms = 0;
	bool asked = false;

	memcpy(c->alone, c->shared, c->words * sizeof(*c->alone));
	for (unsigned i = 0; i < c->n_family; i++) {
		struct lane_family *f = &c->family[i];

		if (f->n < FAMILY_MIN || !f->ok)
			continue;
		if (!asked && f->differs) {
			n_atoms = filter_route_atoms(attrs_get(r->attrs), few, 256);
			if (n_atoms > 256) {
				atoms = malloc(n_atoms * sizeof(*atoms));
				if (!atoms)
					abort();
				filter_route_atoms(attrs_get(r->attrs), atoms, n_atoms);
			}
			asked = true;
		}
		run_family(c, s, n, r, f, atoms, n_atoms);
	}
	if (atoms != few)
		free(atoms);
	run_lanes(c, s, n, r, c->alone);
}

static bool allowed(struct choose *c, struct rib_shard *s, const struct rib_route_view *r)
{
	for (uint32_t i = 0; i < c->n_lane; i++)
		if (c->lane[i]) /* the rules are the group's, any lane will do */
			return policy_allowed(&c->lane[i]->shard[c->shard].policy, s, r);
	return false;
}

static void remember(struct choose *c, struct rib_shard *s, const struct net *n,
	const struct rib_route_view *r, struct lane_memo *m)
{
	m->rejected = !allowed(c, s, r);
	draft_begin(&c->draft, c->n_lane);
	if (!m->rejected)
		run_shared(c, s, n, r);
	m->fan = fan_intern(&c->fans, &c->draft, c->active);
	m->gen = c->gen;
}

/* Lanes that are younger than what is remembered. Many: all anew. */
static void add_young(struct choose *c, struct rib_shard *s, const struct net *n,
	const struct rib_route_view *r, struct lane_memo *m)
{
	uint32_t old = m->fan;

	if (c->gen - m->gen > c->n_active / 4 + 1) {
		remember(c, s, n, r, m);
	} else if (!m->rejected) {
		draft_from(&c->draft, fan_get(&c->fans, old), c->n_lane);
		for (uint32_t i = 0; i < c->n_lane; i++) {
			if (!c->lane[i] || c->lane[i]->shard[c->shard].gen <= m->gen)
				continue;
			draft_clear(&c->draft, i); /* of a lane that had the number before */
			if (in(c->shared, i))
				run_lane(c, s, n, r, i);
		}
		m->fan = fan_intern(&c->fans, &c->draft, c->active);
		m->gen = c->gen;
	} else {
		m->gen = c->gen;
		return;
	}
	fan_release(&c->fans, old);
}

static struct lane_memo *slot_of(const struct choose *c, uint32_t attrs, uint32_t source, uint64_t key)
{
	return &c->memo[hash_u64(((uint64_t)source << 32 | attrs) ^ key * 0x9e3779b97f4a7c15, 0) &
			c->memo_mask];
}

/* Twice as large: entries that fall together lose, it is a cache. */
static void memo_grow(struct choose *c)
{
	uint32_t old_n = c->memo ? c->memo_mask + 1 : 0, n = old_n ? 2 * old_n : MEMO_FIRST;
	struct lane_memo *old = c->memo;

	c->memo = calloc(n, sizeof(*c->memo));
	if (!c->memo)
		abort();
	c->memo_mask = n - 1;
	c->memo_used = 0;
	for (uint32_t i = 0; i < old_n; i++) {
		struct lane_memo *to;

		if (!old[i].attrs)
			continue;
		to = slot_of(c, old[i].attrs, old[i].source, old[i].key);
		if (to->attrs)
			memo_drop(c, to);
		else
			c->memo_used++;
		*to = old[i];
	}
	free(old);
}

static uint64_t key_of(const struct choose *c, struct rib_shard *s, const struct net *n)
{
	uint64_t key = 0;

	for (unsigned i = 0; i < c->n_keys; i++) {
		uint64_t k = filter_net_key(rib_shard_vm(s), c->keys[i].filter, n);

		key = c->keys[i].bits < 64 ? key << c->keys[i].bits | k : k;
	}
	return key;
}

uint32_t choose_fan(struct choose *c, struct rib_shard *s, const struct net *n,
	const struct rib_route_view *r, bool *rejected)
{
	struct lane_memo *m;
	uint32_t fan, distance;
	uint64_t key;

	*rejected = false;
	if (!c->n_active) /* nobody is there to ask the rules for */
		return FAN_NONE;
	key = c->n_keys ? key_of(c, s, n) : 0;
	if (!c->memo || (c->memo_used > c->memo_mask / 2 && c->memo_mask + 1 < MEMO_MOST))
		memo_grow(c);
	m = slot_of(c, r->attrs, r->source, key);
	rcu_read_lock();
	distance = policy_distance(c->aigp, s, r);
	if (m->attrs != r->attrs || m->source != r->source || m->key != key || m->distance != distance) {
		if (m->attrs)
			memo_drop(c, m);
		else
			c->memo_used++;
		attrs_hold(r->attrs);
		*m = (struct lane_memo){
			.attrs = r->attrs, .source = r->source, .key = key, .distance = distance};
		remember(c, s, n, r, m);
	} else if (m->gen != c->gen) {
		add_young(c, s, n, r, m);
	}
	*rejected = m->rejected;
	if (c->n_each && !m->rejected) {
		draft_from(&c->draft, fan_get(&c->fans, m->fan), c->n_lane);
		run_lanes(c, s, n, r, c->each);
		fan = fan_intern(&c->fans, &c->draft, c->active);
	} else {
		fan = m->fan;
		fan_hold(&c->fans, fan);
	}
	rcu_read_unlock();
	return fan;
}
