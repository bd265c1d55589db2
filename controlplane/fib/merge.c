/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/fib/merge.h"
#include "controlplane/fib/mem.h"

/* Filters are reference counted; shards read the present one under RCU. */
struct merge_filter {
	struct rcu_head rcu;
	struct filter_ref ref;
};

static void free_filter(struct rcu_head *head)
{
	rcu_callback_begin(head);
	struct merge_filter *m = caa_container_of(head, struct merge_filter, rcu);
	filter_ref_release(&m->ref);
	free(m);
}

void merge_set_filter(struct fib_channel *ch, const struct filter_ref *filter)
{
	struct merge_filter *m = NULL, *old;

	if (filter && ch->kernel.merge_paths) {
		m = mem_zero(sizeof(*m));
		m->ref = *filter;
		filter_ref_hold(filter);
	}
	old = rcu_xchg_pointer(&ch->merge_filter, m);
	if (old)
		call_rcu(&old->rcu, free_filter);
}

static bool med_matters(const struct rib_peer *p, const struct attrs *a, const struct attrs *b)
{
	return p->med_metric || a->first_as == b->first_as;
}

static uint32_t value(const struct attrs *a, uint32_t bit, uint32_t v, uint32_t otherwise)
{
	return a->present & bit ? v : otherwise;
}

/* Equal in everything that decides before the router id (RFC 4271 section 9.1.2.2 a to e). */
static bool equally_good(const struct rib_source_config *sa, const struct attrs *a,
	const struct rib_source_config *sb, const struct attrs *b)
{
	if (a->preference != b->preference || sa->source != sb->source)
		return false;
	if (sa->source == RTS_STATIC)
		return true;
	if (sa->source != RTS_BGP)
		return false;
	const struct rib_peer *p = &sa->peer, *q = &sb->peer;
	uint32_t med_a = value(a, ATTR_MED, a->med, p->default_med),
		 med_b = value(b, ATTR_MED, b->med, q->default_med);

	return value(a, ATTR_LOCAL_PREF, a->local_pref, p->default_local_pref) ==
		       value(b, ATTR_LOCAL_PREF, b->local_pref, q->default_local_pref) &&
	       (!p->path_metric || a->path_len == b->path_len) && a->origin == b->origin &&
	       (!med_matters(p, a, b) || med_a == med_b) && p->external == q->external &&
	       (!p->igp_metric || value(a, ATTR_IGP_METRIC, a->igp_metric, 0) ==
					  value(b, ATTR_IGP_METRIC, b->igp_metric, 0)) &&
	       (a->present & (ATTR_STALE | ATTR_LLGR_STALE)) == (b->present & (ATTR_STALE | ATTR_LLGR_STALE));
}

static const struct rib_source_config *source_config(struct fib_channel *ch, uint32_t id)
{
	const struct rib_source *s = rib_source_by_id(ch->f->o.rib, id);

	return s ? rib_source_config(s) : NULL;
}

static bool passes(struct fib_channel *ch, struct rib_shard *s, const struct net *net,
	const struct rib_source_config *sc, const struct attrs *a, struct attrs *out)
{
	const struct merge_filter *m = rcu_dereference(ch->merge_filter);
	struct filter_route r = {.net = net,
		.attrs = a,
		.proto_name = sc->proto_name,
		.source = (uint8_t)sc->source,
		.from = a->present & ATTR_FROM ? a->from : sc->peer.addr,
		.ifindex = sc->peer.ifindex};
	bool edited = false;

	*out = *a;
	if (!m || m->ref.kind == FILTER_ALL)
		return true;
	if (m->ref.kind == FILTER_NONE)
		return false;
	if (filter_run(rib_shard_vm(s), m->ref.filter, &r, &edited, out) != FILTER_ACCEPT)
		return false;
	if (!edited)
		*out = *a;
	return true;
}

static unsigned add_hops(struct attr_nexthop *nh, unsigned n, unsigned max, const struct attrs *a)
{
	for (unsigned i = 0; i < a->n_nexthop && n < max; i++) {
		const struct attr_nexthop *x = &a->nexthop[i];
		unsigned k;
		for (k = 0; k < n; k++)
			if (nh[k].ifindex == x->ifindex && ipaddr_equal(&nh[k].gw, &x->gw))
				break;
		if (k == n)
			nh[n++] = *x;
	}
	return n;
}

static int by_address(const void *pa, const void *pb)
{
	const struct attr_nexthop *a = pa, *b = pb;
	int c = ipaddr_cmp(&a->gw, &b->gw);

	return c ? c : a->ifindex < b->ifindex ? -1 : a->ifindex > b->ifindex;
}

void merge_paths(struct fib_channel *ch, struct rib_shard *s, const struct export_feed_change *c,
	struct fib_change *out)
{
	struct attr_nexthop nh[BEST_MAX];
	unsigned limit = ch->kernel.merge_limit, n;
	const struct attrs *best = attrs_get(out->attrs);
	const struct rib_source_config *sb;
	const struct attrs *table_best = NULL;
	struct attrs a;

	if (!limit || limit > BEST_MAX)
		limit = BEST_MAX;
	if (best->dest != RTD_UNICAST || c->n_routes < 2)
		return;
	rcu_read_lock();
	sb = source_config(ch, c->source);
	/* Compared as the table has them: the filter may have changed what it let through. */
	for (unsigned i = 0; i < c->n_routes && !table_best; i++)
		if (c->routes[i].source == c->source && c->routes[i].attrs)
			table_best = attrs_get(c->routes[i].attrs);
	n = add_hops(nh, 0, limit, best);
	for (unsigned i = 0; sb && table_best && i < c->n_routes && n < limit; i++) {
		const struct rib_route_view *r = &c->routes[i];
		const struct rib_source_config *sr =
			r->source == c->source ? NULL : source_config(ch, r->source);
		if (!sr || !r->attrs || (r->flags & (ROUTE_FILTERED | ROUTE_UNREACHABLE | ROUTE_SUPPRESSED)))
			continue;
		const struct attrs *x = attrs_get(r->attrs);
		if (x->dest == RTD_UNICAST && equally_good(sb, table_best, sr, x) &&
			passes(ch, s, c->net, sr, x, &a))
			n = add_hops(nh, n, limit, &a);
	}
	rcu_read_unlock();
	if (n == best->n_nexthop)
		return;
	/* In one order whoever is best, so that equal sets are one group. */
	qsort(nh, n, sizeof(*nh), by_address);
	a = *best;
	a.nexthop = nh;
	a.n_nexthop = (uint16_t)n;
	uint32_t merged = attrs_intern(&a);
	attrs_release(out->attrs);
	out->attrs = merged;
}
