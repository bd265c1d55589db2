/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has to be looked at again because something beside the routes themselves has
 * changed: prefixes under changed ROAs, routes through next hops that
 * resolve differently now, flow rules whose destination's routes have changed. Immutable, counted; one is
 * shared by all shards' walks.
 */
#include "controlplane/filter/flow.h"
#include "controlplane/rib/internal.h"
#include <stdlib.h>

struct rib_cover {
	unsigned refs;         /* atomic */
	struct rib_table *igp; /* of next hops; NULL: prefixes */
	bool forced;           /* also for `rpki reload off` */
	bool flows;            /* flow rules whose destinations overlap with the prefixes */
	struct cover_call *then;
	unsigned n;
	union {
		struct prefix *prefix; /* sorted, none within another */
		struct ipaddr *addr;   /* sorted */
	};
};

static int by_prefix(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

static int by_addr(const void *a, const void *b)
{
	return ipaddr_cmp(a, b);
}

struct rib_cover *cover_of_prefixes(struct prefix *list, unsigned n, bool forced)
{
	struct rib_cover *c = memory_zero(sizeof(*c));

	c->refs = 1;
	c->forced = forced;
	c->prefix = memory_take((n ? n : 1) * sizeof(*list));
	/* By family, address, length: what lies within another comes after it. */
	qsort(list, n, sizeof(*list), by_prefix);
	for (unsigned i = 0; i < n; i++)
		if (!c->n || !prefix_contains(&c->prefix[c->n - 1], &list[i]))
			c->prefix[c->n++] = list[i];
	return c;
}

struct rib_cover *cover_of_flows(struct prefix *list, unsigned n)
{
	struct rib_cover *c = cover_of_prefixes(list, n, false);

	c->flows = true;
	return c;
}

struct rib_cover *cover_of_next_hops(struct rib_table *igp, const struct ipaddr *list, unsigned n)
{
	struct rib_cover *c = memory_zero(sizeof(*c));

	c->refs = 1;
	c->igp = igp;
	c->n = n;
	c->addr = memory_take(n * sizeof(*list));
	memcpy(c->addr, list, n * sizeof(*list));
	qsort(c->addr, n, sizeof(*list), by_addr);
	return c;
}

struct rib_cover *cover_hold(struct rib_cover *c)
{
	__atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void cover_release(struct rib_cover *c)
{
	if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
		return;
	while (c->then) {
		struct cover_call *call = c->then;

		c->then = call->next;
		call->fn(call->ctx);
		memory_free(call);
	}
	memory_free(c->prefix);
	memory_free(c);
}

void cover_then(struct rib_cover *c, struct cover_call *calls)
{
	c->then = calls;
}

/* The number of those that are not after p: the last of them is the only one that may contain it. */
static unsigned not_after(const struct rib_cover *c, const struct prefix *p)
{
	unsigned lo = 0, hi = c->n;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (prefix_cmp(&c->prefix[mid], p) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool has_prefix(const struct rib_cover *c, const struct prefix *p)
{
	unsigned n = not_after(c, p);

	return n && prefix_contains(&c->prefix[n - 1], p);
}

static bool overlaps(const struct rib_cover *c, const struct net *rule)
{
	struct prefix dst;
	unsigned n;

	/* One without a destination is never allowed. */
	if (!flow_prefix(rule->nlri, rule->type == NET_FLOW6, FLOW_DST, &dst))
		return false;
	/* What lies within it comes next. */
	n = not_after(c, &dst);
	return (n && prefix_contains(&c->prefix[n - 1], &dst)) ||
	       (n < c->n && prefix_contains(&dst, &c->prefix[n]));
}

static bool through(const struct rib_cover *c, struct rib_shard *s, const struct route_record *r)
{
	const struct local_source *l = shard_source(s, route_owner(r));
	const struct attrs *a;

	if (!(route_flags(r) & RECORD_TRACKED))
		return false;
	if ((l->conf->c.igp_table ? l->conf->c.igp_table : l->source->table) != c->igp)
		return false;
	a = attrs_get(r->attrs);
	for (unsigned i = 0; i < a->n_nexthop; i++)
		if ((a->nexthop[i].flags & NH_RECURSIVE) &&
			bsearch(&a->nexthop[i].gw, c->addr, c->n, sizeof(*c->addr), by_addr))
			return true;
	return false;
}

bool cover_matches(
	const struct rib_cover *c, struct rib_shard *s, const struct part *p, const struct net_record *n)
{
	struct net net;

	if (c->igp) {
		if (is_borrowed(n->first)) /* what is tracked is not borrowed */
			return false;
		for (uint32_t i = n->first; i != POOL_NONE;) {
			const struct route_record *r = pool_at(&p->routes, i);

			if (through(c, s, r))
				return true;
			i = r->next;
		}
		return false;
	}
	if (c->flows && is_borrowed(n->first)) /* from where it is checked */
		return false;
	key_net(p->table->net, n->key, &net);
	return c->flows ? overlaps(c, &net) : has_prefix(c, &net.prefix);
}

static bool concerns(const struct rib_cover *c, const struct source_conf *conf)
{
	return c->flows ? conf->base != NULL : reads_roa(conf, c->forced);
}

void cover_visit(const struct rib_cover *c, struct rib_shard *s, struct part *p, uint32_t net)
{
	const struct net_record *n = pool_at(&p->nets, net);
	unsigned k = 0;

	if (c->igp) {
		update_order(s, p, net);
		return;
	}
	if (!c->flows && is_borrowed(n->first) && reads_roa(p->loan->source->conf, c->forced))
		borrow_own(s, p, net);
	/* What is done to a route may move it within the list: they are collected first. */
	for (uint32_t i = is_borrowed(n->first) ? POOL_NONE : n->first; i != POOL_NONE;) {
		const struct route_record *r = pool_at(&p->routes, i);

		if (concerns(c, shard_source(s, route_owner(r))->conf))
			*shard_scratch(s, k++) = i;
		i = r->next;
	}
	for (unsigned i = 0; i < k; i++)
		update_import(s, p, net, s->scratch[i]);
	if (!c->flows)
		listener_revisit(s, p, net, c->forced);
	if (p->loan)
		borrow_try(s, p, net);
}

struct start {
	struct item item;
	struct rib_cover *cover;
};

static bool start_run(struct rib_shard *s, struct item *i, uint64_t deadline_ns)
{
	struct start *st = caa_container_of(i, struct start, item);

	for (struct rib_table *t = rcu_dereference(s->rib->tables); t; t = rcu_dereference(t->next)) {
		struct part *p = &t->part[s->number];
		bool wanted = false;

		if (st->cover->igp)
			wanted = p->tracked;
		else if (st->cover->flows)
			wanted = p->flow_checked;
		else if (t->net == NET_IP4 || t->net == NET_IP6)
			wanted = p->roa_readers || (st->cover->forced && p->roa_quiet);
		if (wanted)
			walk_covered(s, p, st->cover);
	}
	cover_release(st->cover);
	memory_free(st);
	return true;
}

void cover_start(struct rib *rib, struct rib_cover *c)
{
	for (unsigned i = 0; i < rib->n_shards; i++) {
		struct start *st = memory_take(sizeof(*st));

		st->item.run = start_run;
		st->cover = cover_hold(c);
		shard_push(&rib->shard[i], &st->item);
	}
}
