/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/fib/learn.h"
#include "controlplane/fib/mem.h"
#include "shared/hash.h"

#define PREFERENCE 10 /* of `protocol kernel` */

struct entry {
	struct entry *next;
	struct prefix prefix;
	uint32_t metric;
	uint32_t attrs; /* held */
	bool seen, announced;
};

struct learned {
	struct fib_channel *ch;
	struct entry **slot;
	uint32_t mask, n;
	bool dumping;
	struct rib_batch *batch;
};

struct learned *learned_open(struct fib_channel *ch)
{
	struct learned *l = mem_zero(sizeof(*l));

	l->ch = ch;
	l->mask = 255;
	l->slot = mem_zero((l->mask + 1) * sizeof(*l->slot));
	return l;
}

void learned_close(struct learned *l)
{
	if (!l)
		return;
	for (uint32_t i = 0; i <= l->mask; i++)
		while (l->slot[i]) {
			struct entry *e = l->slot[i];
			l->slot[i] = e->next;
			attrs_release(e->attrs);
			free(e);
		}
	if (l->batch)
		rib_batch_discard(l->batch);
	free(l->slot);
	free(l);
}

static struct entry **chain(struct learned *l, const struct prefix *p)
{
	return &l->slot[(uint32_t)(hash_prefix(p, 0) >> 32) & l->mask];
}

static void grow(struct learned *l)
{
	struct entry **old = l->slot;
	uint32_t old_mask = l->mask;

	l->mask = old_mask * 2 + 1;
	l->slot = mem_zero((size_t)(l->mask + 1) * sizeof(*l->slot));
	for (uint32_t i = 0; i <= old_mask; i++)
		for (struct entry *e = old[i], *next; e; e = next) {
			next = e->next;
			struct entry **at = chain(l, &e->prefix);
			e->next = *at;
			*at = e;
		}
	free(old);
}

static struct rib_batch *batch(struct learned *l)
{
	if (!l->batch)
		l->batch = rib_batch_create(l->ch->learn_source);
	return l->batch;
}

/* The entry of lowest metric is what the RIB should have. */
static void announce_best(struct learned *l, const struct prefix *p, bool content_changed)
{
	struct net net = {.type = p->family == 4 ? NET_IP4 : NET_IP6, .prefix = *p};
	struct entry *best = NULL, *announced = NULL;

	for (struct entry *e = *chain(l, p); e; e = e->next) {
		if (!prefix_equal(&e->prefix, p))
			continue;
		if (!best || e->metric < best->metric)
			best = e;
		if (e->announced)
			announced = e;
	}
	if (best == announced && !(best && content_changed))
		return;
	if (announced)
		announced->announced = false;
	if (best) {
		best->announced = true;
		rib_batch_announce(batch(l), &net, 0, best->attrs);
	} else {
		rib_batch_withdraw(batch(l), &net, 0);
	}
}

static bool wanted(const struct learned *l, const struct kernel_route *r)
{
	if (r->cloned || r->protocol == RTPROT_UNSPEC || r->protocol == RTPROT_REDIRECT)
		return false;
	if (r->protocol == RTPROT_KERNEL && !l->ch->kernel.learn_all)
		return false;
	if (r->prefix.family == 6 && (r->prefix.addr.b[0] == 0xff || ipaddr_is_link_local(&r->prefix.addr)))
		return false;
	return r->type == RTN_UNICAST || r->type == RTN_BLACKHOLE || r->type == RTN_UNREACHABLE ||
	       r->type == RTN_PROHIBIT;
}

static uint32_t intern(const struct kernel_route *r)
{
	struct attr_nexthop nh[BEST_MAX];
	struct attr_extra extra[24];
	struct attrs a = {.dest = r->type == RTN_UNICAST       ? RTD_UNICAST
				  : r->type == RTN_BLACKHOLE   ? RTD_BLACKHOLE
				  : r->type == RTN_UNREACHABLE ? RTD_UNREACHABLE
							       : RTD_PROHIBIT,
		.preference = PREFERENCE,
		.scope = SCOPE_UNIVERSE,
		.present = ATTR_KRT_METRIC | ATTR_KRT_SOURCE,
		.krt_source = r->protocol,
		.krt_metric = r->info.metric};

	if (!ipaddr_is_zero(&r->info.prefsrc)) {
		a.krt_prefsrc = r->info.prefsrc;
		a.present |= ATTR_KRT_PREFSRC;
	}
	if (r->info.realm) {
		a.krt_realm = r->info.realm;
		a.present |= ATTR_KRT_REALM;
	}
	if (r->info.scope) {
		a.krt_scope = r->info.scope;
		a.present |= ATTR_KRT_SCOPE;
	}
	for (unsigned i = 0; a.dest == RTD_UNICAST && i < r->n_hops; i++)
		nh[a.n_nexthop++] = (struct attr_nexthop){.gw = r->hops[i].gw,
			.ifindex = r->hops[i].ifindex,
			.weight = r->hops[i].weight,
			.flags = r->hops[i].onlink ? NH_ONLINK : 0};
	a.nexthop = nh;
	for (unsigned n = 1; n < 24; n++) {
		if (n == RTAX_CC_ALGO && r->info.cc_len)
			extra[a.n_extra++] = (struct attr_extra){.id = ATTR_EXTRA_KRT(n),
				.type = T_STRING,
				.len = r->info.cc_len,
				.data = r->info.cc};
		else if (r->info.metrics[n])
			extra[a.n_extra++] = (struct attr_extra){.id = ATTR_EXTRA_KRT(n),
				.type = T_INT,
				.len = 4,
				.data = &r->info.metrics[n]};
	}
	a.extra = extra;
	return attrs_intern(&a);
}

void learned_update(struct learned *l, struct kernel_route *r)
{
	struct entry *e;
	uint32_t attrs;

	if (!wanted(l, r)) {
		learned_withdraw(l, r); /* it may have been something else before */
		return;
	}
	kernel_route_resolve(l->ch->f, r);
	if (r->type == RTN_UNICAST && !r->n_hops)
		return;
	attrs = intern(r);
	for (e = *chain(l, &r->prefix); e; e = e->next)
		if (e->metric == r->info.metric && prefix_equal(&e->prefix, &r->prefix))
			break;
	if (e && e->attrs == attrs) {
		e->seen = true;
		attrs_release(attrs);
		return;
	}
	if (!e) {
		if (l->n > l->mask)
			grow(l);
		e = mem_zero(sizeof(*e));
		e->prefix = r->prefix;
		e->metric = r->info.metric;
		struct entry **at = chain(l, &r->prefix);
		e->next = *at;
		*at = e;
		l->n++;
	} else {
		attrs_release(e->attrs);
	}
	e->attrs = attrs;
	e->seen = true;
	announce_best(l, &r->prefix, e->announced);
}

static void drop(struct learned *l, struct entry **at)
{
	struct entry *e = *at;
	struct prefix p = e->prefix;
	bool announced = e->announced;
	struct net net = {.type = p.family == 4 ? NET_IP4 : NET_IP6, .prefix = p};

	*at = e->next;
	attrs_release(e->attrs);
	free(e);
	l->n--;
	if (!announced)
		return;
	for (e = *chain(l, &p); e; e = e->next)
		if (prefix_equal(&e->prefix, &p)) {
			announce_best(l, &p, false);
			return;
		}
	rib_batch_withdraw(batch(l), &net, 0);
}

void learned_withdraw(struct learned *l, const struct kernel_route *r)
{
	for (struct entry **at = chain(l, &r->prefix); *at; at = &(*at)->next)
		if ((*at)->metric == r->info.metric && prefix_equal(&(*at)->prefix, &r->prefix)) {
			drop(l, at);
			return;
		}
}

void learned_begin(struct learned *l)
{
	for (uint32_t i = 0; i <= l->mask; i++)
		for (struct entry *e = l->slot[i]; e; e = e->next)
			e->seen = false;
	l->dumping = true;
}

void learned_end(struct learned *l)
{
	l->dumping = false;
	for (uint32_t i = 0; i <= l->mask; i++)
		for (struct entry **at = &l->slot[i]; *at;)
			if ((*at)->seen)
				at = &(*at)->next;
			else
				drop(l, at);
	learned_flush(l);
}

void learned_flush(struct learned *l)
{
	if (!l || !l->batch)
		return;
	/* Few enough to be queued whatever the RIB's high-water mark says. */
	rib_submit(l->batch);
	l->batch = NULL;
}
