/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Next hop tracking.
 *
 * Entries are found in a hash by readers under RCU; an entry's answer is a
 * pointer that is replaced. Everything that writes has the mutex, resolving
 * included: a shard whose change covers a tracked address resolves it again
 * under the mutex, after its change is visible to readers, so whichever of two
 * shards comes last sees both changes.
 *
 * A listener on each table that something is resolved in looks at every changed best
 * route; whether any tracked address is below it is one binary search in a
 * sorted array (RCU), which for nearly all changes says no.
 *
 * A changed answer is published, then subscribers are told, then routes through it
 * are ordered again by a walk (cover.c); answers that change in quick succession share a walk.
 */
#include "controlplane/rib/internal.h"
#include <stdlib.h>

#define METRIC_UNKNOWN 0x80000000u /* reachable, at no distance that anybody knows: BIRD's number */

enum { BUCKETS = 1024 };

struct entry {
	struct entry *next; /* RCU */
	struct rib_table *table;
	struct ipaddr addr;
	unsigned refs;
	struct answer *answer; /* RCU */
	struct rcu_head rcu;
};

struct answer {
	struct nht_answer a;
	struct rcu_head rcu;
};

/* What is tracked in a table, sorted. */
struct addresses {
	struct rcu_head rcu;
	unsigned n;
	struct ipaddr addr[];
};

struct tracked_table {
	struct tracked_table *next;
	struct nht *nht;
	struct rib_table *table;
	struct rib_listener *listener;
	struct addresses *addresses; /* RCU */
	struct ipaddr *moved;        /* changed, waiting for a walk */
	unsigned n_moved, cap_moved;
	bool posted;
};

struct subscriber {
	struct subscriber *next;
	void (*changed)(void *ctx, struct rib_table *t, const struct ipaddr *addr);
	void *ctx;
};

struct nht {
	struct rib *rib;
	pthread_mutex_t lock;
	struct entry *bucket[BUCKETS];
	struct tracked_table *tables;
	struct subscriber *subscribers; /* lock */
	bool (*connected)(void *ctx, const struct ipaddr *addr, struct prefix *net, uint32_t *ifindex);
	void *connected_ctx;
};

static unsigned bucket_of(const struct rib_table *t, const struct ipaddr *addr)
{
	return (unsigned)hash_ipaddr(addr, (uintptr_t)t) % BUCKETS;
}

static struct entry *find(struct nht *n, const struct rib_table *t, const struct ipaddr *addr)
{
	struct entry *e = rcu_dereference(n->bucket[bucket_of(t, addr)]);

	while (e && (e->table != t || !ipaddr_equal(&e->addr, addr)))
		e = rcu_dereference(e->next);
	return e;
}

const struct nht_answer *nht_lookup(struct nht *n, struct rib_table *t, const struct ipaddr *addr)
{
	struct entry *e = find(n, t, addr);
	struct answer *a = e ? rcu_dereference(e->answer) : NULL;

	return a ? &a->a : NULL;
}

/* ---- resolving ---- */

static uint32_t metric_of(struct rib *rib, const struct rib_route_view *r, const struct attrs *a)
{
	const struct rib_source *src = rib_source_by_id(rib, r->source);

	if (a->present & ATTR_IGP_METRIC)
		return a->igp_metric;
	return src && rib_source_config(src)->source == RTS_DEVICE ? 0 : METRIC_UNKNOWN;
}

static void resolve(struct nht *n, struct rib_table *t, const struct ipaddr *addr, struct nht_answer *out)
{
	_Alignas(struct rib_net_view)
		uint8_t room[sizeof(struct rib_net_view) + sizeof(struct rib_route_view)];
	struct rib_net_view *best = (void *)room;
	struct prefix host = prefix_make(addr, ipaddr_is_v4(addr) ? 32 : 128), net;
	const struct attrs *a = rib_find_longest(t, &host, best, 1) ? attrs_get(best->routes[0].attrs) : NULL;
	uint32_t ifindex;

	memset(out, 0, sizeof(*out));
	out->metric = METRIC_UNKNOWN;
	out->dest = RTD_UNREACHABLE;
	if (n->connected && n->connected(n->connected_ctx, addr, &net, &ifindex) &&
		(!a || best->net.prefix.len <= net.len)) {
		out->reachable = true;
		out->metric = 0;
		out->dest = RTD_UNICAST;
		out->n = 1;
		out->nexthop[0] = (struct attr_nexthop){.gw = *addr, .ifindex = ifindex, .weight = 1};
		return;
	}
	/* A recursive route does not help another one along, nor itself. */
	if (!a || (a->derived & ATTRD_RECURSIVE))
		return;
	out->reachable = a->dest != RTD_UNREACHABLE;
	out->dest = a->dest;
	out->metric = metric_of(n->rib, &best->routes[0], a);
	for (unsigned i = 0; i < a->n_nexthop && out->n < sizeof(out->nexthop) / sizeof(out->nexthop[0]);
		i++) {
		struct attr_nexthop *h = &out->nexthop[out->n++];

		*h = a->nexthop[i];
		if (ipaddr_is_zero(&h->gw))
			h->gw = *addr;
	}
}

static void answer_free(struct rcu_head *head)
{
	rcu_callback_begin(head);
	memory_free(caa_container_of(head, struct answer, rcu));
}

static void entry_free(struct rcu_head *head)
{
	struct entry *e = caa_container_of(head, struct entry, rcu);

	rcu_callback_begin(head);
	memory_free(e->answer);
	memory_free(e);
}

static void addresses_free(struct rcu_head *head)
{
	rcu_callback_begin(head);
	memory_free(caa_container_of(head, struct addresses, rcu));
}

/* Locked, inside RCU. true: the answer is another one now. */
static bool resolve_entry(struct nht *n, struct entry *e)
{
	struct answer *fresh = memory_zero(sizeof(*fresh)), *old = e->answer;

	resolve(n, e->table, &e->addr, &fresh->a);
	if (old && memcmp(&old->a, &fresh->a, sizeof(fresh->a)) == 0) {
		memory_free(fresh);
		return false;
	}
	rcu_assign_pointer(e->answer, fresh);
	if (old)
		call_rcu(&old->rcu, answer_free);
	return true;
}

/* ---- changes ---- */

static void order_again(struct rib_shard *s, void *arg)
{
	struct tracked_table *t = arg;
	struct rib_cover *c;

	pthread_mutex_lock(&t->nht->lock);
	c = cover_of_next_hops(t->table, t->moved, t->n_moved);
	t->n_moved = 0;
	t->posted = false;
	pthread_mutex_unlock(&t->nht->lock);
	cover_start(t->nht->rib, c);
	cover_release(c);
}

/* Locked. */
static void moved(struct tracked_table *t, const struct entry *e)
{
	for (struct subscriber *s = t->nht->subscribers; s; s = s->next)
		s->changed(s->ctx, t->table, &e->addr);
	if (t->n_moved == t->cap_moved) {
		t->cap_moved = t->cap_moved ? 2 * t->cap_moved : 16;
		t->moved = memory_grow(t->moved, t->cap_moved * sizeof(*t->moved));
	}
	t->moved[t->n_moved++] = e->addr;
	if (!t->posted) {
		t->posted = true;
		rib_shard_call(t->nht->rib, 0, order_again, t);
	}
}

/* First address that is not before p's first one. */
static unsigned lower_bound(const struct addresses *a, const struct ipaddr *first)
{
	unsigned lo = 0, hi = a->n;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (ipaddr_cmp(&a->addr[mid], first) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void best_changed(void *ctx, struct rib_shard *s, const struct rib_change *c, unsigned n, bool dump)
{
	struct tracked_table *t = ctx;
	const struct addresses *a = rcu_dereference(t->addresses);

	for (unsigned i = 0; a && i < n; i++) {
		const struct prefix *p = &c[i].net->prefix;

		for (unsigned k = lower_bound(a, &p->addr); k < a->n && prefix_contains_addr(p, &a->addr[k]);
			k++) {
			struct entry *e;

			pthread_mutex_lock(&t->nht->lock);
			e = find(t->nht, t->table, &a->addr[k]);
			if (e && resolve_entry(t->nht, e))
				moved(t, e);
			pthread_mutex_unlock(&t->nht->lock);
		}
	}
}

void nht_connected_changed(struct nht *n)
{
	rcu_read_lock();
	pthread_mutex_lock(&n->lock);
	for (unsigned b = 0; b < BUCKETS; b++)
		for (struct entry *e = n->bucket[b]; e; e = e->next)
			if (resolve_entry(n, e))
				for (struct tracked_table *t = n->tables; t; t = t->next)
					if (t->table == e->table)
						moved(t, e);
	pthread_mutex_unlock(&n->lock);
	rcu_read_unlock();
}

/* ---- tracking ---- */

static struct tracked_table *table_of(struct nht *n, struct rib_table *table)
{
	static const struct rib_listener_ops ops = {.changed = best_changed};
	struct tracked_table *t;

	for (t = n->tables; t; t = t->next)
		if (t->table == table)
			return t;
	t = memory_zero(sizeof(*t));
	t->nht = n;
	t->table = table;
	t->next = n->tables;
	n->tables = t;
	t->listener = rib_listener_open(table, RIB_LISTEN_BEST, &ops, t);
	return t;
}

static void set_addresses(struct tracked_table *t, const struct ipaddr *addr, bool add)
{
	struct addresses *old = t->addresses, *a;
	unsigned n = old ? old->n : 0, at = old ? lower_bound(old, addr) : 0;

	a = memory_take(sizeof(*a) + (n + add) * sizeof(a->addr[0]));
	a->n = add ? n + 1 : n - 1;
	if (at)
		memcpy(a->addr, old->addr, at * sizeof(*addr));
	if (add) {
		a->addr[at] = *addr;
		if (at < n)
			memcpy(a->addr + at + 1, old->addr + at, (n - at) * sizeof(*addr));
	} else {
		memcpy(a->addr + at, old->addr + at + 1, (n - at - 1) * sizeof(*addr));
	}
	rcu_assign_pointer(t->addresses, a);
	if (old)
		call_rcu(&old->rcu, addresses_free);
}

void nht_track(struct nht *n, struct rib_table *t, const struct ipaddr *addr)
{
	struct entry *e;

	rcu_read_lock();
	pthread_mutex_lock(&n->lock);
	e = find(n, t, addr);
	if (e) {
		e->refs++;
	} else {
		unsigned b = bucket_of(t, addr);

		e = memory_zero(sizeof(*e));
		e->table = t;
		e->addr = *addr;
		e->refs = 1;
		/* In the array first: a change from now on resolves again after what we see here. */
		set_addresses(table_of(n, t), addr, true);
		e->next = n->bucket[b];
		resolve_entry(n, e);
		rcu_assign_pointer(n->bucket[b], e);
	}
	pthread_mutex_unlock(&n->lock);
	rcu_read_unlock();
}

void nht_untrack(struct nht *n, struct rib_table *t, const struct ipaddr *addr)
{
	struct entry *e, **at;

	pthread_mutex_lock(&n->lock);
	e = find(n, t, addr);
	if (e && --e->refs == 0) {
		for (at = &n->bucket[bucket_of(t, addr)]; *at != e;)
			at = &(*at)->next;
		rcu_assign_pointer(*at, e->next);
		set_addresses(table_of(n, t), addr, false);
		call_rcu(&e->rcu, entry_free);
	}
	pthread_mutex_unlock(&n->lock);
}

void nht_subscribe(
	struct nht *n, void (*changed)(void *ctx, struct rib_table *t, const struct ipaddr *addr), void *ctx)
{
	struct subscriber *s = memory_take(sizeof(*s));

	*s = (struct subscriber){.changed = changed, .ctx = ctx};
	pthread_mutex_lock(&n->lock);
	s->next = n->subscribers;
	n->subscribers = s;
	pthread_mutex_unlock(&n->lock);
}

void nht_unsubscribe(
	struct nht *n, void (*changed)(void *ctx, struct rib_table *t, const struct ipaddr *addr), void *ctx)
{
	pthread_mutex_lock(&n->lock);
	for (struct subscriber **at = &n->subscribers; *at; at = &(*at)->next) {
		struct subscriber *s = *at;

		if (s->changed != changed || s->ctx != ctx)
			continue;
		*at = s->next;
		memory_free(s);
		break;
	}
	pthread_mutex_unlock(&n->lock);
}

/* ---- life ---- */

struct nht *nht_create(struct rib *rib)
{
	struct nht *n = memory_zero(sizeof(*n));

	n->rib = rib;
	pthread_mutex_init(&n->lock, NULL);
	atomic_store_explicit(&rib->nht, n, memory_order_release);
	return n;
}

void nht_set_connected_lookup(struct nht *n,
	bool (*connected)(void *ctx, const struct ipaddr *addr, struct prefix *net, uint32_t *ifindex),
	void *ctx)
{
	pthread_mutex_lock(&n->lock);
	n->connected = connected;
	n->connected_ctx = ctx;
	pthread_mutex_unlock(&n->lock);
}

static void nothing(struct rib_shard *s, void *arg)
{
}

void nht_destroy(struct nht *n)
{
	for (struct tracked_table *t = n->tables; t; t = t->next)
		rib_listener_close(t->listener);
	/* Twice: what was posted when the first went round is done when the second has. */
	rib_call_all(n->rib, nothing, NULL);
	rib_call_all(n->rib, nothing, NULL);
	atomic_store(&n->rib->nht, NULL);
	synchronize_rcu();
	for (unsigned b = 0; b < BUCKETS; b++)
		while (n->bucket[b]) {
			struct entry *next = n->bucket[b]->next;

			memory_free(n->bucket[b]->answer);
			memory_free(n->bucket[b]);
			n->bucket[b] = next;
		}
	while (n->tables) {
		struct tracked_table *next = n->tables->next;

		memory_free(n->tables->addresses);
		memory_free(n->tables->moved);
		memory_free(n->tables);
		n->tables = next;
	}
	while (n->subscribers) {
		struct subscriber *next = n->subscribers->next;

		memory_free(n->subscribers);
		n->subscribers = next;
	}
	pthread_mutex_destroy(&n->lock);
	memory_free(n);
}
