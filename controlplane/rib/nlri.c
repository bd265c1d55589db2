/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Destinations that are bytes (flow specifications, VPN and EVPN routes): each is kept once for all tables of
 * a rib, and a key is its hash and its address.
 *
 * References are held by nets of tables and by entries of batches; they are counted under the lock of the
 * destination's stripe. Without references it stays in the store for a grace period, and is the same when it
 * is wanted again meanwhile: what readers and listeners saw in that time is valid, and a route that goes and
 * comes within a slice has one address, so that what is sent of it stays in order.
 */
#include "controlplane/rib/internal.h"
#include <stdlib.h>
#include <string.h>

enum { STRIPES = 64, FIRST_SLOTS = 16 };

struct entry {
	struct entry *next;
	struct rcu_head rcu;
	struct rib *rib;
	uint64_t hash;
	uint32_t refs;
	bool waiting; /* for a grace period */
	bool again;   /* was without references once more meanwhile */
	uint8_t type; /* enum net_type: bytes of two families may be equal */
	struct prefix prefix;
	uint64_t rd;
	struct nlri nlri;
};

struct stripe {
	_Alignas(64) pthread_mutex_t lock;
	struct entry **slot;
	uint32_t mask, n;
};

struct nlri_store {
	struct stripe stripe[STRIPES];
};

struct nlri_store *nlri_store_create(void)
{
	struct nlri_store *s = aligned_alloc(_Alignof(struct nlri_store), sizeof(*s));

	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < STRIPES; i++)
		pthread_mutex_init(&s->stripe[i].lock, NULL);
	return s;
}

void nlri_store_destroy(struct nlri_store *s)
{
	for (unsigned i = 0; i < STRIPES; i++) {
		pthread_mutex_destroy(&s->stripe[i].lock);
		memory_free(s->stripe[i].slot);
	}
	free(s);
}

static struct stripe *stripe_of(const struct rib *rib, uint64_t hash)
{
	return &rib->nlris->stripe[hash % STRIPES];
}

static struct entry *entry_of(const uint32_t *key)
{
	uintptr_t p;

	memcpy(&p, key + 2, sizeof(p));
	return (struct entry *)p;
}

static void put_key(const struct entry *e, uint32_t *key)
{
	uintptr_t p = (uintptr_t)e;

	_Static_assert(sizeof(p) <= 8, "an address fits two words");
	memset(key + 2, 0, 8);
	key[0] = (uint32_t)e->hash;
	key[1] = (uint32_t)(e->hash >> 32);
	memcpy(key + 2, &p, sizeof(p));
}

static void grow(struct stripe *s)
{
	uint32_t n = s->slot ? 2 * (s->mask + 1) : FIRST_SLOTS;
	struct entry **slot = memory_zero(n * sizeof(*slot)), *e;

	for (uint32_t i = 0; s->slot && i <= s->mask; i++)
		while ((e = s->slot[i]) != NULL) {
			s->slot[i] = e->next;
			e->next = slot[e->hash / STRIPES & (n - 1)];
			slot[e->hash / STRIPES & (n - 1)] = e;
		}
	memory_free(s->slot);
	s->slot = slot;
	s->mask = n - 1;
}

/* What is looked for. */
struct wanted {
	struct stripe *stripe;
	uint64_t hash;
	uint8_t type;
	const uint8_t *bytes;
	size_t len;
	uint8_t room[32]; /* for the bytes of a VPN */
};

static void want(const struct rib *rib, const struct net *n, struct wanted *w)
{
	unsigned bytes = (n->prefix.len + 7u) / 8;

	w->type = n->type;
	if (n->type == NET_VPN4 || n->type == NET_VPN6) {
		for (unsigned i = 0; i < 8; i++)
			w->room[i] = (uint8_t)(n->rd >> (56 - 8 * i));
		w->room[8] = n->prefix.len;
		memcpy(w->room + 9, n->prefix.addr.b + (n->type == NET_VPN4 ? 12 : 0), bytes);
		w->bytes = w->room;
		w->len = 9 + bytes;
	} else {
		w->bytes = n->nlri->data;
		w->len = n->nlri->len;
	}
	w->hash = hash_bytes(w->bytes, w->len, rib->seed + n->type);
	w->stripe = stripe_of(rib, w->hash);
}

/* Under the stripe's lock. */
static struct entry *find(const struct wanted *w)
{
	const struct stripe *s = w->stripe;
	struct entry *e = s->slot ? s->slot[w->hash / STRIPES & s->mask] : NULL;

	while (e && !(e->hash == w->hash && e->nlri.len == w->len && e->type == w->type &&
			    memcmp(e->nlri.data, w->bytes, w->len) == 0))
		e = e->next;
	return e;
}

/* Likewise. Without references yet. */
static struct entry *add(struct rib *rib, const struct wanted *w, const struct net *n)
{
	struct stripe *s = w->stripe;
	struct entry *e, **slot;

	if (!s->slot || s->n > s->mask)
		grow(s);
	slot = &s->slot[w->hash / STRIPES & s->mask];
	e = memory_take(sizeof(*e) + w->len);
	*e = (struct entry){.next = *slot,
		.rib = rib,
		.hash = w->hash,
		.type = w->type,
		.prefix = n->prefix,
		.rd = n->rd,
		.nlri = {.len = (uint16_t)w->len}};
	memcpy(e->nlri.data, w->bytes, w->len);
	*slot = e;
	s->n++;
	atomic_fetch_add(&rib->live, 1);
	return e;
}

void nlri_key_take(struct rib *rib, const struct net *n, uint32_t *key)
{
	struct wanted w;
	struct entry *e;

	want(rib, n, &w);
	pthread_mutex_lock(&w.stripe->lock);
	e = find(&w);
	if (!e)
		e = add(rib, &w, n);
	e->refs++;
	pthread_mutex_unlock(&w.stripe->lock);
	put_key(e, key);
}

bool nlri_key_find(struct rib *rib, const struct net *n, uint32_t *key)
{
	struct wanted w;
	struct entry *e;

	want(rib, n, &w);
	pthread_mutex_lock(&w.stripe->lock);
	e = find(&w);
	if (e)
		put_key(e, key);
	pthread_mutex_unlock(&w.stripe->lock);
	return e != NULL;
}

void nlri_key_hold(struct rib *rib, const uint32_t *key)
{
	struct entry *e = entry_of(key);
	struct stripe *s = stripe_of(rib, e->hash);

	pthread_mutex_lock(&s->lock);
	e->refs++;
	pthread_mutex_unlock(&s->lock);
}

static void grace_is_over(struct rcu_head *head)
{
	struct entry *e = caa_container_of(head, struct entry, rcu), **at;
	struct rib *rib;
	struct stripe *s;

	rcu_callback_begin(head);
	rib = e->rib;
	s = stripe_of(rib, e->hash);
	pthread_mutex_lock(&s->lock);
	e->waiting = false;
	if (e->refs) {
		pthread_mutex_unlock(&s->lock);
		return;
	}
	if (e->again) {
		e->again = false;
		e->waiting = true;
		pthread_mutex_unlock(&s->lock);
		call_rcu(&e->rcu, grace_is_over);
		return;
	}
	for (at = &s->slot[e->hash / STRIPES & s->mask]; *at != e;)
		at = &(*at)->next;
	*at = e->next;
	s->n--;
	pthread_mutex_unlock(&s->lock);
	memory_free(e);
	atomic_fetch_sub(&rib->live, 1);
}

void nlri_key_release(struct rib *rib, const uint32_t *key)
{
	struct entry *e = entry_of(key);
	struct stripe *s = stripe_of(rib, e->hash);
	bool wait = false;

	pthread_mutex_lock(&s->lock);
	if (--e->refs == 0) {
		wait = !e->waiting;
		e->again = e->waiting;
		e->waiting = true;
	}
	pthread_mutex_unlock(&s->lock);
	if (wait)
		call_rcu(&e->rcu, grace_is_over);
}

void nlri_key_net(const uint32_t *key, struct net *out)
{
	const struct entry *e = entry_of(key);

	out->prefix = e->prefix;
	out->rd = e->rd;
	out->nlri = &e->nlri;
}
