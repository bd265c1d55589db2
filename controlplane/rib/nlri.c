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

struct nlri_bytes {
	const uint8_t *p;
	size_t len;
};

/* Of a VPN, made in room. */
static struct nlri_bytes bytes_of(const struct net *n, uint8_t *room)
{
	unsigned bytes = (n->prefix.len + 7u) / 8;

	if (n->type != NET_VPN4 && n->type != NET_VPN6)
		return (struct nlri_bytes){n->nlri->data, n->nlri->len};
	for (unsigned i = 0; i < 8; i++)
		room[i] = (uint8_t)(n->rd >> (56 - 8 * i));
	room[8] = n->prefix.len;
	memcpy(room + 9, n->prefix.addr.b + (n->type == NET_VPN4 ? 12 : 0), bytes);
	return (struct nlri_bytes){room, 9 + bytes};
}

static uint64_t hash_of(const struct rib *rib, const struct net *n, struct nlri_bytes b)
{
	return hash_bytes(b.p, b.len, rib->seed + n->type);
}

static struct entry *find(const struct stripe *s, const struct net *n, struct nlri_bytes b, uint64_t hash)
{
	struct entry *e = s->slot ? s->slot[hash / STRIPES & s->mask] : NULL;

	while (e && !(e->hash == hash && e->nlri.len == b.len && e->type == n->type &&
			    memcmp(e->nlri.data, b.p, b.len) == 0))
		e = e->next;
	return e;
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

void nlri_key_take(struct rib *rib, const struct net *n, uint32_t *key)
{
	uint8_t room[32];
	struct nlri_bytes b = bytes_of(n, room);
	uint64_t hash = hash_of(rib, n, b);
	struct stripe *s = stripe_of(rib, hash);
	struct entry *e;

	pthread_mutex_lock(&s->lock);
	e = find(s, n, b, hash);
	if (!e) {
		if (!s->slot || s->n > s->mask)
			grow(s);
		e = memory_take(sizeof(*e) + b.len);
		*e = (struct entry){.next = s->slot[hash / STRIPES & s->mask],
			.rib = rib,
			.hash = hash,
			.type = n->type,
			.prefix = n->prefix,
			.rd = n->rd,
			.nlri = {.len = (uint16_t)b.len}};
		memcpy(e->nlri.data, b.p, b.len);
		s->slot[hash / STRIPES & s->mask] = e;
		s->n++;
		atomic_fetch_add(&rib->live, 1);
	}
	e->refs++;
	pthread_mutex_unlock(&s->lock);
	put_key(e, key);
}

bool nlri_key_find(struct rib *rib, const struct net *n, uint32_t *key)
{
	uint8_t room[32];
	struct nlri_bytes b = bytes_of(n, room);
	uint64_t hash = hash_of(rib, n, b);
	struct stripe *s = stripe_of(rib, hash);
	struct entry *e;

	pthread_mutex_lock(&s->lock);
	e = find(s, n, b, hash);
	if (e)
		put_key(e, key);
	pthread_mutex_unlock(&s->lock);
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
