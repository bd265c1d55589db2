/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Going over a table's part on behalf of its sources: sweeping what is stale,
 * running import filters again, marking for LLGR, ordering again.
 *
 * There is no list of a source's routes (it would cost more than the routes);
 * one walker a part goes round the net records in order of their numbers and
 * does what any source wants of the route it sees. A source that asks while the walk is
 * under way joins where it is and is done when the walk comes back there: fifty
 * neighbours lost at once cost one round, not fifty. A slice is short, so live
 * updates are done in between; they mark what they touch with the
 * source's present generation, which the walk leaves alone.
 *
 * Shard's thread only.
 */
#include "controlplane/rib/internal.h"

enum { STEP = 64, AHEAD = 8 };

/* Re-evaluation of what changed prefixes cover (ROAs), or of next hops; shared by all parts it is for. */
struct walk_below {
	struct walk_below *next;
	struct rib_cover *cover;
	uint32_t left;
};

static bool walk_run(struct rib_task *t, struct rib_shard *s, uint64_t deadline_ns);

void walk_init(struct part *p)
{
	p->walk.run = walk_run;
}

/* The part has got more nets: who is going round comes to where he began so much later. */
static void grown(struct part *p)
{
	uint32_t by = p->nets.end > p->walk_end ? p->nets.end - p->walk_end : 0;

	p->walk_end = p->nets.end;
	if (!by)
		return;
	for (struct local_source *l = p->walking; l; l = l->walk_next)
		l->walk_left += by;
	for (struct walk_below *w = p->below; w; w = w->next)
		w->left += by;
}

void walk_source(struct rib_shard *s, struct local_source *l, unsigned kinds)
{
	struct part *p = l->part;

	grown(p);
	if (!l->walk) {
		l->walk_next = p->walking;
		p->walking = l;
	}
	l->walk |= (uint8_t)kinds;
	l->walk_left = p->nets.end;
	rib_task_start(s, &p->walk);
}

void walk_covered(struct rib_shard *s, struct part *p, struct rib_cover *c)
{
	struct walk_below *w = memory_zero(sizeof(*w));

	grown(p);
	w->cover = cover_hold(c);
	w->left = p->nets.end;
	w->next = p->below;
	p->below = w;
	rib_task_start(s, &p->walk);
}

/* Is this generation none of those since the sweep was ordered? */
static bool swept(const struct local_source *l, unsigned generation)
{
	return ((generation - l->sweep_generation) & 15) > ((l->generation - l->sweep_generation) & 15u);
}

static void visit_route(struct rib_shard *s, struct part *p, uint32_t net, uint32_t route)
{
	const struct route_record *r = pool_at(&p->routes, route);
	struct local_source *l = shard_source(s, route_owner(r));

	if ((l->walk & WALK_SWEEP) && swept(l, route_generation(r))) {
		update_remove(s, p, net, route);
		return;
	}
	if (l->walk & WALK_IMPORT)
		update_import(s, p, net, route);
	if ((l->walk & WALK_LLGR) && route_generation(r) != l->generation)
		update_llgr(s, p, net, route);
}

/* A sweep that empties nets goes to the index as well. */
static void prefetch_index(const struct part *p, uint32_t net)
{
	const struct net_record *n = net < p->nets.end ? pool_at(&p->nets, net) : NULL;

	if (n && n->first != POOL_NONE)
		index_prefetch(&p->index, index_hash(key_hash(p->table->rib, n->key, p->table->key_words)));
}

/* Has the walk anything to do with a net that borrows? */
static bool borrowed_wanted(struct rib_shard *s, const struct part *p, const struct net_record *n)
{
	const struct local_source *l = p->loan->source;

	return (l->walk & (WALK_SWEEP | WALK_LLGR)) ||
	       ((l->walk & WALK_IMPORT) && !borrow_verdict_stays(s, p, n));
}

static void visit(struct rib_shard *s, struct part *p, uint32_t net)
{
	struct net_record *n = pool_at(&p->nets, net);
	unsigned k = 0;

	if (is_borrowed(n->first) && borrowed_wanted(s, p, n))
		borrow_own(s, p, net);
	/* What is done to a route may move it within the list: they are collected first. */
	if (p->walking && !is_borrowed(n->first))
		for (uint32_t i = n->first; i != POOL_NONE;) {
			const struct route_record *r = pool_at(&p->routes, i);

			if (shard_source(s, route_owner(r))->walk)
				*shard_scratch(s, k++) = i;
			i = r->next;
		}
	for (unsigned i = 0; i < k; i++)
		visit_route(s, p, net, s->scratch[i]);
	if (k && p->loan)
		borrow_try(s, p, net);
	for (struct walk_below *w = p->below; w; w = w->next)
		if (n->first != POOL_NONE && cover_matches(w->cover, s, p, n))
			cover_visit(w->cover, s, p, net);
}

static bool walk_run(struct rib_task *t, struct rib_shard *s, uint64_t deadline_ns)
{
	struct part *p = caa_container_of(t, struct part, walk);

	grown(p);
	if (p->n_idle && !p->pins)
		update_idle(s, p);
	while (p->walking || p->below) {
		uint32_t step = STEP;
		struct local_source **lp = &p->walking, *l;
		struct walk_below **wp = &p->below, *w;

		for (l = p->walking; l; l = l->walk_next)
			if (l->walk_left < step)
				step = l->walk_left;
		for (w = p->below; w; w = w->next)
			if (w->left < step)
				step = w->left;
		for (uint32_t i = 0; i < step; i++) {
			if (p->walk_at >= p->nets.end)
				p->walk_at = 0;
			if (!p->nets.end)
				break;
			rib_shard_prefetch(p->table, s, p->walk_at + 2 * AHEAD, 0);
			rib_shard_prefetch(p->table, s, p->walk_at + AHEAD, 1);
			if (p->walking && (p->walking->walk & WALK_SWEEP))
				prefetch_index(p, p->walk_at + AHEAD);
			visit(s, p, p->walk_at++);
		}
		while ((l = *lp)) {
			l->walk_left -= step < l->walk_left ? step : l->walk_left;
			if (l->walk_left && p->nets.end) {
				lp = &l->walk_next;
				continue;
			}
			*lp = l->walk_next;
			if (l->walk & WALK_CLOSE) {
				l->walk = 0;
				source_closed(s, l);
			} else {
				l->walk = 0;
			}
		}
		while ((w = *wp)) {
			w->left -= step < w->left ? step : w->left;
			if (w->left && p->nets.end) {
				wp = &w->next;
				continue;
			}
			*wp = w->next;
			cover_release(w->cover);
			memory_free(w);
		}
		if (clock_now_ns() >= deadline_ns)
			break;
	}
	return p->walking || p->below;
}

void walk_stop(struct rib_shard *s, struct part *p)
{
	rib_task_stop(s, &p->walk);
	while (p->below) {
		struct walk_below *next = p->below->next;

		cover_release(p->below->cover);
		memory_free(p->below);
		p->below = next;
	}
}

void rib_shard_pin(struct rib_table *t, struct rib_shard *s)
{
	t->part[s->number].pins++;
}

/* May be called by a listener while it is given changes: what follows from it is left to the walk. */
void rib_shard_unpin(struct rib_table *t, struct rib_shard *s)
{
	struct part *p = &t->part[s->number];

	if (--p->pins == 0 && p->n_idle)
		rib_task_start(s, &p->walk);
}
