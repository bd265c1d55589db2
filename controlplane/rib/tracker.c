/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Next hops in use by the routes of a shard, counted, so that next hop tracking
 * hears of the first and the last route only. Shard's thread only.
 */
#include "controlplane/rib/internal.h"

struct tracked {
	struct rib_table *igp; /* NULL: free */
	struct ipaddr addr;
	uint32_t count;
};

struct tracker {
	struct tracked *slots; /* linear probing; entries with count 0 stay until the next growth */
	uint32_t n, cap;
};

struct tracker *tracker_create(void)
{
	return memory_zero(sizeof(struct tracker));
}

void tracker_destroy(struct tracker *t)
{
	memory_free(t->slots);
	memory_free(t);
}

static struct tracked *slot_of(struct tracker *t, const struct rib_table *igp, const struct ipaddr *addr)
{
	uint32_t at = (uint32_t)hash_ipaddr(addr, (uintptr_t)igp) & (t->cap - 1);

	while (t->slots[at].igp && (t->slots[at].igp != igp || !ipaddr_equal(&t->slots[at].addr, addr)))
		at = (at + 1) & (t->cap - 1);
	return &t->slots[at];
}

static void grow(struct tracker *t)
{
	struct tracked *old = t->slots;
	uint32_t n = t->cap, live = 0;

	for (uint32_t i = 0; i < n; i++)
		live += old[i].count != 0;
	t->cap = 64;
	while (t->cap < 4 * (live + 1))
		t->cap *= 2;
	t->slots = memory_zero(t->cap * sizeof(*t->slots));
	t->n = live;
	for (uint32_t i = 0; i < n; i++)
		if (old[i].count)
			*slot_of(t, old[i].igp, &old[i].addr) = old[i];
	memory_free(old);
}

static void change(struct rib_shard *s, struct rib_table *igp, const struct attrs *a, bool hold)
{
	struct tracker *t = s->tracker;
	struct nht *nht = atomic_load_explicit(&s->rib->nht, memory_order_acquire);

	for (unsigned i = 0; i < a->n_nexthop; i++) {
		struct tracked *x;

		if (!(a->nexthop[i].flags & NH_RECURSIVE))
			continue;
		if (hold && 2 * (t->n + 1) > t->cap)
			grow(t);
		x = slot_of(t, igp, &a->nexthop[i].gw);
		if (hold) {
			if (!x->igp) {
				x->igp = igp;
				x->addr = a->nexthop[i].gw;
				t->n++;
			}
			if (!x->count++ && nht)
				nht_track(nht, igp, &x->addr);
		} else if (!--x->count && nht) {
			nht_untrack(nht, igp, &x->addr);
		}
	}
}

void tracker_hold(struct rib_shard *s, struct rib_table *igp, const struct attrs *a)
{
	change(s, igp, a, true);
}

void tracker_release(struct rib_shard *s, struct rib_table *igp, const struct attrs *a)
{
	change(s, igp, a, false);
}
