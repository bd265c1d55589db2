/* SPDX-License-Identifier: BSD-2-Clause */
/* What a group should contain now: see "Groups" in nexthop.h. */
#include "controlplane/fib/group_want.h"
#include "controlplane/fib/mem.h"
#include <string.h>

#define FULL_WEIGHT 256

unsigned group_resolve(struct fib *f, struct group *g)
{
	const struct group_key *k = g->key;
	struct hop hop[HOPS_MAX];
	unsigned n = 0, n_best;

	for (unsigned i = 0; i < k->n_best; i++)
		n += nexthop_resolve(f, k->family, &k->spec[i], &hop[n], BEST_MAX - n);
	n_best = n;
	for (unsigned i = 0; i < k->n_backup; i++)
		n += nexthop_resolve(f, k->family, &k->spec[k->n_best + i], &hop[n], 8);
	g->hops = mem_grow(g->hops, n * sizeof(*hop));
	memcpy(g->hops, hop, n * sizeof(*hop));
	g->n_hops = n;
	return n_best;
}

static bool usable(struct fib *f, const struct group *g, const struct hop *h)
{
	struct iface_view v;

	if (hop_dead(&f->links, h, g->epoch))
		return false;
	return !f->ifaces || (ifaces_by_index(f->ifaces, h->ifindex, &v) && v.up);
}

static void add(struct wanted *w, const struct hop *h, enum nh_role role, bool primary, unsigned max)
{
	for (unsigned i = 0; i < w->n; i++)
		if (w->m[i].role == role && hop_same_gateway(&w->m[i].hop, h)) {
			unsigned sum = (unsigned)w->m[i].weight + h->weight;
			if (w->m[i].primary && primary)
				w->m[i].weight = (uint16_t)(sum > FULL_WEIGHT ? FULL_WEIGHT : sum);
			return;
		}
	if (w->n < max)
		w->m[w->n++] = (struct wanted_member){*h, role, primary, h->weight};
}

/* Shares of the primaries, as large as weights go: that leaves least to the others. */
static unsigned scale(struct wanted *w, unsigned n)
{
	unsigned top = 1, sum = 0;

	for (unsigned i = 0; i < n; i++)
		if (w->m[i].weight > top)
			top = w->m[i].weight;
	for (unsigned i = 0; i < n; i++) {
		unsigned x = w->m[i].weight * FULL_WEIGHT / top;
		w->m[i].weight = (uint16_t)(x ? x : 1);
		sum += w->m[i].weight;
	}
	return sum;
}

void group_want(struct fib *f, struct group *g, const bool *bad, unsigned n_best, struct wanted *w)
{
	unsigned primaries, sum;
	struct hop standby;

	w->n = 0;
	for (unsigned i = 0; i < n_best; i++)
		if (!bad[i] && usable(f, g, &g->hops[i]))
			add(w, &g->hops[i], NH_PROTECTED, true, BEST_MAX);
	bool best_alive = w->n > 0;
	for (unsigned i = n_best; !best_alive && i < g->n_hops; i++)
		if (!bad[i] && usable(f, g, &g->hops[i]))
			add(w, &g->hops[i], NH_PROTECTED, true, BEST_MAX);
	primaries = w->n;
	if (!primaries) {
		/* Everybody is dead. What BFD calls dead may still forward; what cannot be written is no
		 * help. */
		for (unsigned i = 0; i < g->n_hops && !w->n; i++)
			if (!bad[i])
				add(w, &g->hops[i], NH_STANDBY, true, 1);
		return;
	}
	sum = scale(w, primaries);
	if (g->key->plain)
		return;
	if (!g->can_grow || !f->nh.resilient) {
		for (unsigned i = 0; i < primaries; i++)
			w->m[i].role = NH_STANDBY;
		return;
	}
	for (unsigned i = n_best; best_alive && i < g->n_hops; i++)
		if (!bad[i] && usable(f, g, &g->hops[i]))
			add(w, &g->hops[i], NH_PROTECTED, false, primaries + BACKUP_MAX);
	standby = w->m[w->n > primaries ? primaries : 0].hop;
	if (w->n == 1) {
		w->m[0].role = NH_STANDBY;
		return;
	}
	for (unsigned i = primaries; i < w->n; i++)
		w->m[i].weight = 1;
	w->m[w->n++] = (struct wanted_member){standby, NH_STANDBY, false, 1};
	if (!g->buckets)
		return;
	while (w->n > primaries && !nexthop_fit(g->buckets, sum, w->n - primaries))
		w->n--;
}

uint16_t group_choose_buckets(const struct wanted *w)
{
	unsigned sum = 0, least = FULL_WEIGHT, rest = BACKUP_MAX + 1, primaries = 0;
	bool even = true;

	for (unsigned i = 0; i < w->n; i++)
		if (w->m[i].primary) {
			primaries++;
			sum += w->m[i].weight;
			even = even && w->m[i].weight == w->m[0].weight;
			if (w->m[i].weight < least)
				least = w->m[i].weight;
		}
	if (primaries <= 1)
		return 32;
	/* Equal shares stay right when the kernel is left with only one of them. */
	for (unsigned b = 128; b > 1; b /= 2)
		if (nexthop_fit(b, even ? least : sum, rest))
			return (uint16_t)b;
	return 1;
}
