/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/export/group.h"
#include "controlplane/export/room.h"
#include "shared/hash.h"
#include "shared/rcu.h"
#include <string.h>

/* ---- room for indexes and sources ---- */

static void need_index(struct group_shard *gs, uint32_t index)
{
	uint32_t n, ranges = group_ranges(gs);

	if (index < gs->n_index)
		return;
	n = room_up_to(gs->n_index, index + 1, 1024);
	if (gs->group->mode == EXPORT_ALL)
		gs->all = room_grow(gs->all, gs->n_index, n, sizeof(*gs->all));
	else
		gs->out = room_grow(gs->out, gs->n_index, n, sizeof(*gs->out));
	gs->change_of = room_grow(gs->change_of, gs->n_index, n, sizeof(*gs->change_of));
	gs->changed_at = room_grow(gs->changed_at, gs->n_index, n, sizeof(*gs->changed_at));
	gs->n_index = n;
	gs->changed_max = room_grow(gs->changed_max, ranges, group_ranges(gs), sizeof(*gs->changed_max));
	gs->range_gen = room_grow(gs->range_gen, ranges, group_ranges(gs), sizeof(*gs->range_gen));
	gs->stale = room_grow(gs->stale, ranges, group_ranges(gs), sizeof(*gs->stale));
	for (; ranges < group_ranges(gs); ranges++)
		gs->range_gen[ranges] = gs->choose.gen; /* all lanes will have seen what comes in here */
}

static void need_source(struct group_shard *gs, uint32_t source)
{
	uint32_t n;

	if (source < gs->n_source)
		return;
	n = room_up_to(gs->n_source, source + 1, 1024);
	gs->owner = room_grow(gs->owner, gs->n_source, n, sizeof(*gs->owner));
	gs->own_announced = room_grow(gs->own_announced, gs->n_source, n, sizeof(*gs->own_announced));
	gs->n_source = n;
}

static void count(uint64_t *c)
{
	__atomic_store_n(c, *c + 1, __ATOMIC_RELAXED);
}

uint32_t export_group_fan(const struct group_shard *gs, uint32_t index, uint32_t path_id)
{
	const struct paths *ps;

	if (index >= gs->n_index)
		return FAN_NONE;
	if (gs->group->mode != EXPORT_ALL)
		return gs->out[index];
	ps = gs->all[index];
	return ps && path_id && path_id <= ps->n ? ps->path[path_id - 1].fan : FAN_NONE;
}

static const struct fan *fan_of(const struct group_shard *gs, uint32_t id)
{
	return fan_get(&gs->choose.fans, id);
}

static bool has(const uint64_t *set, uint32_t lane)
{
	return set[lane / 64] >> (lane & 63) & 1;
}

/* ---- counting ---- */

static void need_bits(struct group_shard *gs)
{
	if (2 * gs->choose.words <= gs->cap_bits)
		return;
	gs->cap_bits = 2 * gs->choose.words;
	gs->bits = realloc(gs->bits, gs->cap_bits * sizeof(*gs->bits));
	if (!gs->bits)
		abort();
}

static const struct member *owner_of(const struct group_shard *gs, uint32_t source)
{
	return source < gs->n_source ? gs->owner[source] : NULL;
}

static void add_own(struct group_shard *gs, const struct fan *f, const uint64_t *mask, uint32_t n)
{
	for (uint32_t i = 0; f && i < f->n; i++) {
		uint32_t source = f->v[i].source;
		const struct member *m = owner_of(gs, source);

		if (m && has(mask, m->lane->number) && fan_sends(f, i, m->lane->number))
			gs->own_announced[source] += n;
	}
}

static void add_uses(struct group_shard *gs, uint32_t old, uint32_t now, uint32_t n)
{
	fan_use(&gs->choose.fans, old, -n);
	fan_use(&gs->choose.fans, now, n);
}

/* Lanes that have been counted in what was evaluated at gen. Good until a lane is added or removed. */
static const uint64_t *known_at(struct group_shard *gs, uint64_t gen)
{
	if (gen == gs->choose.gen)
		return gs->choose.active;
	if (gs->known_gen != gen || !gs->known_good) {
		if (gs->cap_known < gs->choose.words) {
			gs->cap_known = gs->choose.words;
			gs->known = realloc(gs->known, gs->cap_known * sizeof(*gs->known));
			if (!gs->known)
				abort();
		}
		choose_known_at(&gs->choose, gen, gs->known);
		gs->known_gen = gen;
		gs->known_good = true;
	}
	return gs->known;
}

/* n prefixes have another fan. Of the old one the lanes in `before` have been counted, the new one counts for
 * those in `after`. event: it is a change and not just a lane that has been added. */
static void account(struct group_shard *gs, uint32_t old, uint32_t now, uint32_t n, const uint64_t *before,
	const uint64_t *after, bool event)
{
	const struct fan *was = fan_of(gs, old), *is = fan_of(gs, now);

	add_own(gs, was, before, -n);
	add_own(gs, is, after, n);
	for (uint32_t k = 0; k < gs->choose.words; k++) {
		uint64_t a = fan_word(was, before, k), b = fan_word(is, after, k);

		for (uint64_t w = event ? a | b : a ^ b; w; w &= w - 1) {
			uint32_t bit = (uint32_t)__builtin_ctzll(w), lane = 64 * k + bit;
			struct lane_shard *l = &gs->choose.lane[lane]->shard[gs->number];

			if ((a ^ b) >> bit & 1)
				__atomic_store_n(&l->announced, l->announced + (b >> bit & 1 ? n : -n),
					__ATOMIC_RELAXED);
			if (event && (b >> bit & 1))
				__atomic_store_n(&l->accepted, l->accepted + n, __ATOMIC_RELAXED);
		}
	}
}

/* From nothing, for a member that has just become the owner or LIVE. */
static void count_own(struct group_shard *gs, const struct member *m)
{
	const struct fans *s = &gs->choose.fans;
	uint32_t sum = 0;

	for (uint32_t id = fans_of_source(s, m->own_source), next; id; id = next) {
		const struct fan *f = fan_get(s, id);

		next = fan_next_of(f, m->own_source);
		for (uint32_t i = 0; f->uses && i < f->n; i++)
			if (f->v[i].source == m->own_source && fan_sends(f, i, m->lane->number))
				sum += f->uses;
	}
	gs->own_announced[m->own_source] = sum;
}

uint32_t export_group_member_exported(const struct group_shard *gs, const struct member *m)
{
	uint32_t own = m->own_source < gs->n_source ? gs->own_announced[m->own_source] : 0;

	return m->lane->shard[gs->number].announced - own;
}

static void check_limit(struct group_shard *gs, const struct member *m)
{
	peer_check_limit(
		m->peer, gs->number, export_group_member_exported(gs, m), atomic_load(&gs->group->blocked));
}

/* ---- changes of a slice ---- */

/*
 * A prefix that is given up and comes back within a slice, perhaps with another index: must be one change, or
 * the withdrawal may be packed behind the announcement.
 */
static uint32_t gone_slot(const struct group_shard *gs, const struct prefix *p, uint32_t path_id)
{
	return (uint32_t)hash_bytes(p, sizeof(*p), path_id) & gs->gone_mask;
}

static void note_gone(struct group_shard *gs, uint32_t change)
{
	uint32_t slot;

	if (2 * gs->n_gone >= gs->gone_mask) {
		uint32_t mask = gs->gone_mask ? 2 * gs->gone_mask + 1 : 255, *old = gs->gone,
			 old_n = gs->gone_mask ? gs->gone_mask + 1 : 0;

		gs->gone = calloc((size_t)mask + 1, sizeof(*gs->gone));
		if (!gs->gone)
			abort();
		gs->gone_mask = mask;
		gs->n_gone = 0;
		for (uint32_t i = 0; i < old_n; i++)
			if (old[i])
				note_gone(gs, old[i] - 1);
		free(old);
	}
	for (slot = gone_slot(gs, &gs->change[change].prefix, gs->change[change].path_id); gs->gone[slot];
		slot = (slot + 1) & gs->gone_mask)
		;
	gs->gone[slot] = change + 1;
	gs->n_gone++;
}

/* The youngest change by which it went: an older one is not its last. */
static struct change *find_gone(struct group_shard *gs, const struct prefix *p, uint32_t path_id)
{
	struct change *found = NULL;

	if (!gs->n_gone)
		return NULL;
	for (uint32_t slot = gone_slot(gs, p, path_id); gs->gone[slot]; slot = (slot + 1) & gs->gone_mask) {
		struct change *c = &gs->change[gs->gone[slot] - 1];

		if (c->path_id == path_id && prefix_equal(&c->prefix, p) && (!found || c > found))
			found = c;
	}
	return found;
}

static void forget_gone(struct group_shard *gs)
{
	if (gs->n_gone)
		memset(gs->gone, 0, ((size_t)gs->gone_mask + 1) * sizeof(*gs->gone));
	gs->n_gone = 0;
}

/* All changes of an index: the number will mean another prefix. */
static void index_gone(struct group_shard *gs, uint32_t index)
{
	uint32_t first = gs->change_of[index];

	for (uint32_t i = first ? first - 1 : CHANGE_NONE; i != CHANGE_NONE; i = gs->change[i].next)
		note_gone(gs, i);
	gs->change_of[index] = 0;
}

static struct change *change_for(
	struct group_shard *gs, const struct net *n, uint32_t index, uint32_t path_id, uint32_t old)
{
	uint32_t first = gs->change_of[index];
	struct prefix handle;
	const struct prefix *p = group_prefix(n, &handle);
	struct change *c;

	for (uint32_t i = first ? first - 1 : CHANGE_NONE; i != CHANGE_NONE; i = gs->change[i].next)
		if (gs->change[i].path_id == path_id)
			return &gs->change[i];
	c = find_gone(gs, p, path_id);
	if (c) {
		c->index = index;
		c->next = first ? first - 1 : CHANGE_NONE;
		gs->change_of[index] = (uint32_t)(c - gs->change) + 1;
		return c;
	}
	if (gs->n_change == gs->cap_change) {
		gs->cap_change = gs->cap_change ? 2 * gs->cap_change : 256;
		gs->change = realloc(gs->change, gs->cap_change * sizeof(*gs->change));
		if (!gs->change)
			abort();
	}
	c = &gs->change[gs->n_change];
	*c = (struct change){
		.prefix = *p,
		.index = index,
		.path_id = path_id,
		.old = old,
		.now = old,
		.next = first ? first - 1 : CHANGE_NONE,
	};
	fan_hold(&gs->choose.fans, old);
	fan_hold(&gs->choose.fans, old);
	gs->change_of[index] = ++gs->n_change;
	return c;
}

/* The fan at *at becomes now, whose reference is taken over. */
static void set_fan(struct group_shard *gs, const struct net *n, uint32_t index, uint32_t path_id,
	uint32_t *at, uint32_t now)
{
	struct fans *fans = &gs->choose.fans;
	struct change *c;

	if (*at == now) {
		fan_release(fans, now);
		return;
	}
	c = change_for(gs, n, index, path_id, *at);
	fan_release(fans, c->now);
	c->now = now;
	fan_hold(fans, now);
	fan_release(fans, *at);
	if (!now) {
		count(&gs->stats.withdraws_received);
		count(&gs->stats.withdraws_accepted);
	}
	*at = now;
}

uint32_t group_try_route(
	struct group_shard *gs, struct rib_shard *s, const struct net *n, const struct rib_route_view *r)
{
	bool rejected;
	uint32_t fan = choose_fan(&gs->choose, s, n, r, &rejected);

	count(&gs->stats.updates_received);
	if (rejected)
		count(&gs->stats.updates_rejected);
	return fan;
}

static uint32_t best_fan(struct group_shard *gs, struct rib_shard *s, const struct net *n,
	const struct rib_route_view *r, unsigned n_routes)
{
	return n_routes && group_usable(r) ? group_try_route(gs, s, n, r) : FAN_NONE;
}

/* Each lane gets the first that it takes; a peer's own routes are none for it (RFC 7947 2.3: no hidden path).
 */
static uint32_t secondary_fan(struct group_shard *gs, struct rib_shard *s, const struct net *n,
	const struct rib_route_view *r, unsigned n_routes)
{
	struct choose *c = &gs->choose;
	uint64_t *left = gs->bits, *get = gs->bits + c->words;
	uint32_t fan = FAN_NONE;
	bool more;

	memcpy(left, c->active, c->words * sizeof(*left));
	for (unsigned i = 0; i < n_routes && group_usable(&r[i]); i++) {
		uint32_t next = group_try_route(gs, s, n, &r[i]);
		const struct fan *f = fan_of(gs, next);

		if (!i) {
			fan = next;
		} else if (f) {
			draft_from(&c->draft, fan_of(gs, fan), c->n_lane);
			for (uint32_t v = 0; v < f->n; v++) {
				for (uint32_t k = 0; k < c->words; k++)
					get[k] = k < f->words ? fan_set(f, v)[k] & left[k] : 0;
				sent_hold(&c->fans.sents, f->v[v].attrs);
				draft_send_all(&c->draft, get, f->v[v].attrs, f->v[v].source);
			}
			fan_release(&c->fans, fan);
			fan = fan_intern(&c->fans, &c->draft, c->active);
		}
		more = false;
		for (uint32_t k = 0; k < c->words; k++) {
			left[k] &= ~fan_word(f, left, k);
			more |= left[k] != 0;
		}
		if (i)
			fan_release(&c->fans, next);
		if (!more)
			break;
	}
	return fan;
}

/* Does it count: does the peer get something that is not its own? */
static bool counts(const struct group_shard *gs, uint32_t fan)
{
	const struct fan *f = fan_of(gs, fan);

	for (uint32_t i = 0; f && i < f->n; i++)
		if (f->v[i].source != gs->group->cap_source)
			return true;
	return false;
}

uint32_t group_within_limit(struct group_shard *gs, uint32_t old, uint32_t now)
{
	struct group *g = gs->group;
	struct cds_list_head *node;
	bool had, has;

	if (!g->cap)
		return now;
	had = counts(gs, old);
	has = counts(gs, now);
	if (had && !has) {
		atomic_fetch_sub(&g->cap_used, 1);
		atomic_store(&g->blocked, false);
	}
	if (had || !has)
		return now;
	if (atomic_fetch_add(&g->cap_used, 1) < g->cap - 1)
		return now;
	atomic_fetch_sub(&g->cap_used, 1);
	fan_release(&gs->choose.fans, now);
	if (!atomic_exchange(&g->blocked, true))
		cds_list_for_each(node, &gs->members) check_limit(gs, member_of(node));
	return FAN_NONE;
}

static void evaluate(struct group_shard *gs, struct rib_shard *s, const struct net *n, uint32_t index,
	const struct rib_route_view *r, unsigned n_routes, set_fan_fn set)
{
	uint32_t fan;

	need_bits(gs);
	switch (gs->group->mode) {
	case EXPORT_BEST:
		fan = best_fan(gs, s, n, r, n_routes);
		set(gs, n, index, 0, &gs->out[index], group_within_limit(gs, gs->out[index], fan));
		break;
	case EXPORT_SECONDARY:
		fan = secondary_fan(gs, s, n, r, n_routes);
		set(gs, n, index, 0, &gs->out[index], group_within_limit(gs, gs->out[index], fan));
		break;
	case EXPORT_ALL: paths_evaluate(gs, s, n, index, r, n_routes, set);
	}
}

static void changed(void *ctx, struct rib_shard *s, const struct rib_change *c, unsigned n, bool dump)
{
	struct group *g = ctx;
	struct group_shard *gs = &g->shard[rib_shard_index(s)];

	(void)dump;
	gs->shard = s;
	for (; n; n--, c++) {
		need_index(gs, c->index);
		evaluate(gs, s, c->net, c->index, c->routes, c->n_routes, set_fan);
		if (c->last) {
			index_gone(gs, c->index);
			if (g->mode == EXPORT_ALL)
				paths_forget(gs, c->index);
		}
	}
}

static void start_task(struct group_shard *gs)
{
	if (gs->task_started || !gs->shard || !gs->ready || !gs->n_slow)
		return;
	gs->task_started = true;
	gs->task.run = dump_run;
	rib_task_start(gs->shard, &gs->task);
}

/* ---- lanes that were added ---- */

/* A prefix is seen through new filters: for the lanes that were there nothing changes, as a rule. */
static void add_lanes(struct group_shard *gs, const struct net *n, uint32_t index, uint32_t path_id,
	uint32_t *at, uint32_t now)
{
	const struct choose *c = &gs->choose;
	const uint64_t *known = known_at(gs, gs->range_gen[index / RANGE]);

	if (!fans_agree(fan_of(gs, *at), fan_of(gs, now), known, c->words)) {
		/* It does, and is said to those. */
		for (uint32_t k = 0; k < c->words; k++)
			gs->bits[k] = c->active[k] & ~known[k];
		account(gs, FAN_NONE, now, 1, gs->bits, gs->bits, false);
		set_fan(gs, n, index, path_id, at, now);
		return;
	}
	add_uses(gs, *at, now, 1);
	account(gs, *at, now, 1, known, c->active, false);
	fan_release(&gs->choose.fans, *at);
	*at = now;
}

/* Gone from the table, and the change that says so is still to come: it will take away from all lanes. */
static void count_unseen(struct group_shard *gs, uint32_t index)
{
	const uint64_t *known = known_at(gs, gs->range_gen[index / RANGE]);
	uint32_t first = gs->all ? 1 : 0, last = 0;

	if (index >= gs->n_index)
		return;
	if (gs->all)
		last = gs->all[index] ? gs->all[index]->n : 0;
	for (uint32_t id = first; id <= last; id++) {
		uint32_t fan = export_group_fan(gs, index, id);

		if (!fan)
			continue;
		need_bits(gs);
		for (uint32_t k = 0; k < gs->choose.words; k++)
			gs->bits[k] = gs->choose.active[k] & ~known[k];
		account(gs, FAN_NONE, fan, 1, gs->bits, gs->bits, false);
	}
}

void group_evaluate_range(struct group_shard *gs, uint32_t range)
{
	const struct rib_table *t = gs->group->table;
	unsigned max = gs->group->mode == EXPORT_BEST ? 1 : RIB_MAX_ROUTES;
	uint32_t end = (range + 1) * RANGE, used = rib_shard_indexes(t, gs->shard);
	struct rib_route_view one, *routes = &one;
	struct net n;

	if (gs->range_gen[range] == gs->choose.gen)
		return;
	export_group_flush(gs); /* what is pending is counted for the lanes of before */
	if (max > 1) {
		routes = malloc(max * sizeof(*routes));
		if (!routes)
			abort();
	}
	gs->known_good = false;
	for (uint32_t i = range * RANGE; i < end && i < used; i++) {
		unsigned n_routes;

		rib_shard_prefetch(t, gs->shard, i + 16, 0);
		rib_shard_prefetch(t, gs->shard, i + 8, 1);
		n_routes = rib_shard_routes(gs->group->table, gs->shard, i, routes, max);
		if (n_routes && rib_shard_net(t, gs->shard, i, &n))
			evaluate(gs, gs->shard, &n, i, routes, n_routes < max ? n_routes : max, add_lanes);
		else
			count_unseen(gs, i);
	}
	if (max > 1)
		free(routes);
	export_group_flush(gs);
	gs->range_gen[range] = gs->choose.gen;
	gs->known_good = false;
}

/* ---- the end of a slice ---- */

static struct plan_step *add_step(struct group_shard *gs, uint32_t to, uint32_t attrs)
{
	if (gs->n_step == gs->cap_step) {
		gs->cap_step = gs->cap_step ? 2 * gs->cap_step : 64;
		gs->step = realloc(gs->step, gs->cap_step * sizeof(*gs->step));
		if (!gs->step)
			abort();
	}
	gs->step[gs->n_step] = (struct plan_step){to, attrs};
	return &gs->step[gs->n_step++];
}

/* Is a step for it to be made? One for all of a source's in the same lane is enough. */
static bool owner_hears(const struct group_shard *gs, const struct member *m)
{
	if (m->state != MEMBER_LIVE)
		return false;
	for (const struct member *o = gs->owner[m->own_source]; o != m; o = o->next_own)
		if (o->state == MEMBER_LIVE && o->lane == m->lane)
			return false;
	return true;
}

static uint32_t to_owner(struct group_shard *gs, const struct member *m)
{
	uint64_t *set = gs->bits;
	uint32_t words = m->lane->number / 64 + 1;

	memset(set, 0, words * sizeof(*set));
	set[words - 1] = UINT64_C(1) << (m->lane->number & 63);
	return encoder_to(gs->encoder, set, words, 0, m->own_source);
}

/*
 * Changes that mean something else to the peers whose own routes are in them: the new source's peer must
 * forget what it had from another, and the old source's peer hears of a route that all others have already,
 * when its attributes are the same.
 */
static void plan_owners(struct group_shard *gs, const struct fan *old, const struct fan *now)
{
	for (uint32_t i = 0; old && i < old->n; i++) {
		uint32_t source = old->v[i].source;

		for (const struct member *m = owner_of(gs, source); m; m = m->next_own) {
			const struct variant *v;

			if (!owner_hears(gs, m) || !fan_sends(old, i, m->lane->number))
				continue;
			v = fan_variant(now, m->lane->number);
			if (v && v->source != source && v->attrs == old->v[i].attrs)
				add_step(gs, to_owner(gs, m), v->attrs);
		}
	}
	for (uint32_t i = 0; now && i < now->n; i++) {
		uint32_t source = now->v[i].source;

		for (const struct member *m = owner_of(gs, source); m; m = m->next_own) {
			const struct variant *v;

			if (!owner_hears(gs, m) || !fan_sends(now, i, m->lane->number))
				continue;
			v = fan_variant(old, m->lane->number);
			if (v && v->source != source)
				add_step(gs, to_owner(gs, m), 0);
		}
	}
}

static void plan_steps(struct group_shard *gs, const struct fan *old, const struct fan *now)
{
	const struct choose *c = &gs->choose;
	uint64_t *set = gs->bits;

	/* Who had something and gets nothing; by source, because its peer never had it. */
	for (uint32_t i = 0; old && i < old->n; i++) {
		for (uint32_t k = 0; k < c->words; k++)
			set[k] = k < old->words
					 ? fan_set(old, i)[k] & c->active[k] & ~fan_word(now, c->active, k)
					 : 0;
		if (any_lane(set, c->words))
			add_step(gs, encoder_to(gs->encoder, set, c->words, old->v[i].source, 0), 0);
	}
	for (uint32_t i = 0; now && i < now->n; i++) {
		const struct variant *v = &now->v[i];

		for (uint32_t k = 0; k < c->words; k++)
			set[k] = k < now->words ? fan_set(now, i)[k] & c->active[k] : 0;
		/* Equal attributes from another source are no news, but to owners. */
		for (uint32_t j = 0; old && j < old->n; j++)
			for (uint32_t k = 0; old->v[j].attrs == v->attrs && k < old->words && k < c->words;
				k++)
				set[k] &= ~fan_set(old, j)[k];
		if (any_lane(set, c->words))
			add_step(gs, encoder_to(gs->encoder, set, c->words, v->source, 0), v->attrs);
	}
	plan_owners(gs, old, now);
}

static void more_plan_slots(struct group_shard *gs)
{
	uint32_t mask = gs->plan_mask ? 2 * gs->plan_mask + 1 : 255, slot;

	free(gs->plan_hash);
	gs->plan_hash = calloc((size_t)mask + 1, sizeof(*gs->plan_hash));
	if (!gs->plan_hash)
		abort();
	gs->plan_mask = mask;
	for (uint32_t i = 0; i < gs->n_plan; i++) {
		slot = (uint32_t)hash_u64((uint64_t)gs->plan[i].old << 32 | gs->plan[i].now, 4) & mask;
		while (gs->plan_hash[slot])
			slot = (slot + 1) & mask;
		gs->plan_hash[slot] = i + 1;
	}
}

static uint32_t plan_for(struct group_shard *gs, uint32_t old, uint32_t now)
{
	uint32_t slot;
	struct plan *p;

	if (gs->n_plan && gs->plan[gs->n_plan - 1].old == old && gs->plan[gs->n_plan - 1].now == now)
		return gs->n_plan - 1;
	if (2 * gs->n_plan >= gs->plan_mask)
		more_plan_slots(gs);
	for (slot = (uint32_t)hash_u64((uint64_t)old << 32 | now, 4) & gs->plan_mask; gs->plan_hash[slot];
		slot = (slot + 1) & gs->plan_mask) {
		p = &gs->plan[gs->plan_hash[slot] - 1];
		if (p->old == old && p->now == now)
			return gs->plan_hash[slot] - 1;
	}
	if (gs->n_plan == gs->cap_plan) {
		gs->cap_plan = gs->cap_plan ? 2 * gs->cap_plan : 64;
		gs->plan = realloc(gs->plan, gs->cap_plan * sizeof(*gs->plan));
		if (!gs->plan)
			abort();
	}
	p = &gs->plan[gs->n_plan];
	*p = (struct plan){old, now, gs->n_step, 0, 0};
	if (gs->n_live)
		plan_steps(gs, fan_of(gs, old), fan_of(gs, now));
	p->n = gs->n_step - p->first;
	gs->plan_hash[slot] = ++gs->n_plan;
	return gs->n_plan - 1;
}

static void forget_plans(struct group_shard *gs)
{
	if (gs->n_plan * 8 > gs->plan_mask) {
		memset(gs->plan_hash, 0, ((size_t)gs->plan_mask + 1) * sizeof(*gs->plan_hash));
	} else {
		for (uint32_t i = gs->n_plan; i-- > 0;) { /* backwards: chains stay whole */
			uint32_t slot =
				(uint32_t)hash_u64((uint64_t)gs->plan[i].old << 32 | gs->plan[i].now, 4) &
				gs->plan_mask;

			while (gs->plan_hash[slot] != i + 1)
				slot = (slot + 1) & gs->plan_mask;
			gs->plan_hash[slot] = 0;
		}
	}
	gs->n_plan = gs->n_step = 0;
}

static void drop_changes(struct group_shard *gs)
{
	for (uint32_t i = 0; i < gs->n_change; i++) {
		struct change *c = &gs->change[i];

		fan_release(&gs->choose.fans, c->old);
		fan_release(&gs->choose.fans, c->now);
		if (c->index < gs->n_index && gs->change_of[c->index])
			gs->change_of[c->index] = 0;
	}
	gs->n_change = 0;
}

static void become_slow(struct group_shard *gs, struct member *m)
{
	m->state = MEMBER_SYNC;
	m->from = FROM_NOTHING;
	m->base = gs->seq;
	m->n_since = m->n_never = 0;
	gs->n_live--;
	gs->n_slow++;
	rib_shard_pin(gs->group->table, gs->shard);
	peer_slow(m->peer, 1);
}

static void hand_out(struct group_shard *gs, const struct made *made)
{
	struct cds_list_head *node;

	cds_list_for_each(node, &gs->members)
	{
		struct member *m = member_of(node);

		if (m->state != MEMBER_LIVE)
			continue;
		/* LIVE means that there is room. It gets this too: prefixes in it may be gone for good, and
		 * are pinned from now on only. */
		member_give(m, made, m->lane->number);
		check_limit(gs, m);
		if (!ring_has_room(&m->ring, MADE_BLOCKS, RING_BYTES))
			become_slow(gs, m);
	}
}

static void drop_undone(struct group_shard *gs)
{
	for (uint32_t i = 0; i < gs->n_change;) {
		struct change *c = &gs->change[i];

		if (c->old != c->now) {
			i++;
			continue;
		}
		/* There and back within a slice: nothing happened. */
		fan_release(&gs->choose.fans, c->old);
		fan_release(&gs->choose.fans, c->now);
		if (gs->change_of[c->index])
			gs->change_of[c->index] = 0;
		gs->change[i] = gs->change[--gs->n_change];
	}
}

static void encode_change(struct group_shard *gs, const struct change *c)
{
	const struct plan *p = &gs->plan[c->plan];

	for (uint32_t i = p->first; i < p->first + p->n; i++) {
		const struct plan_step *st = &gs->step[i];

		if (st->attrs)
			encoder_announce(gs->encoder, st->to, st->attrs, &c->prefix, c->path_id);
		else
			encoder_withdraw(gs->encoder, st->to, &c->prefix, c->path_id);
	}
}

/* An empty table costs nothing. Nobody is on the way through it, so no index means anything. */
static void forget_prefixes(struct group_shard *gs)
{
	void *all[] = {gs->out, gs->all, gs->change_of, gs->changed_at, gs->changed_max, gs->range_gen,
		gs->stale, gs->change, gs->gone};

	choose_forget(&gs->choose);
	if (gs->choose.fans.numbers.used)
		return;
	dump_drop_cache(gs);
	free(gs->cache);
	gs->cache = NULL;
	gs->n_cache = 0;
	for (uint32_t i = 0; gs->all && i < gs->n_index; i++)
		paths_forget(gs, i);
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		free(all[i]);
	gs->out = gs->change_of = gs->changed_at = gs->stale = gs->gone = NULL;
	gs->changed_max = gs->range_gen = NULL;
	gs->all = NULL;
	gs->change = NULL;
	gs->n_index = gs->cap_change = gs->gone_mask = gs->first_stale = gs->sync_at = 0;
}

static size_t bytes_of(const struct group_shard *gs)
{
	size_t prefix = gs->group->mode == EXPORT_ALL ? sizeof(*gs->all) : sizeof(*gs->out);

	prefix += sizeof(*gs->change_of) + sizeof(*gs->changed_at);
	return choose_bytes(&gs->choose) + gs->path_bytes + gs->n_index * prefix +
	       group_ranges(gs) * (2 * sizeof(uint64_t) + sizeof(*gs->stale)) +
	       gs->cap_change * sizeof(*gs->change);
}

/* Members that are brought up to date are told of it before they are given the next range. */
static void note_stale(struct group_shard *gs, uint32_t range)
{
	if (gs->stale[range])
		return;
	gs->stale[range] = STALE_LAST;
	if (gs->first_stale)
		gs->stale[gs->last_stale] = range + 1;
	else
		gs->first_stale = range + 1;
	gs->last_stale = range;
}

void export_group_flush(struct group_shard *gs)
{
	struct made made = {0};

	if (!gs->n_change)
		return;
	forget_gone(gs);
	drop_undone(gs);
	need_bits(gs);
	gs->known_good = false;
	gs->seq++;
	for (uint32_t i = 0; i < gs->n_change; i++) {
		struct change *c = &gs->change[i];
		uint32_t range = c->index / RANGE;

		gs->changed_at[c->index] = (uint32_t)gs->seq;
		gs->changed_max[range] = gs->seq;
		if (gs->n_slow)
			note_stale(gs, range);
		c->plan = plan_for(gs, c->old, c->now);
		if (gs->range_gen[range] == gs->choose.gen) {
			gs->plan[c->plan].count++;
		} else {
			const uint64_t *known = known_at(gs, gs->range_gen[range]);

			add_uses(gs, c->old, c->now, 1);
			account(gs, c->old, c->now, 1, known, known, true);
		}
		if (gs->n_live)
			encode_change(gs, c);
	}
	for (uint32_t i = 0; i < gs->n_plan; i++) {
		const struct plan *p = &gs->plan[i];

		if (!p->count)
			continue;
		add_uses(gs, p->old, p->now, p->count);
		account(gs, p->old, p->now, p->count, gs->choose.active, gs->choose.active, true);
	}
	if (gs->n_live) {
		encoder_finish(gs->encoder, &made);
		for (uint32_t i = 0; i < made.n; i++)
			made.b[i]->change = true;
		hand_out(gs, &made);
		made_free(&made);
	}
	forget_plans(gs);
	drop_changes(gs);
	start_task(gs);
	if (!gs->n_slow && rib_shard_is_empty(gs->group->table, gs->shard))
		forget_prefixes(gs);
	__atomic_store_n(&gs->bytes, bytes_of(gs), __ATOMIC_RELAXED);
}

static void flush(void *ctx, struct rib_shard *s)
{
	struct group *g = ctx;

	export_group_flush(&g->shard[rib_shard_index(s)]);
}

/* ---- members ---- */

void member_forget_had(struct group_shard *gs, struct member *m)
{
	for (uint32_t i = 0; i < m->n_had; i++)
		if (m->had[i] != HAD_UNKNOWN)
			sent_release(&gs->choose.fans.sents, m->had[i]);
	free(m->had);
	m->had = NULL;
	m->n_had = 0;
}

static void use_lane(struct group_shard *gs, struct lane *l)
{
	if (l == gs->first_lane) {
		gs->first_lane = NULL; /* has been in use since the group was made */
		return;
	}
	if (!l->shard[gs->number].users++) {
		export_group_flush(gs); /* what is pending is of before */
		l->shard[gs->number].announced = 0;
		choose_add(&gs->choose, l);
	}
}

static void leave_lane(struct group_shard *gs, struct lane *l)
{
	if (!--l->shard[gs->number].users) {
		export_group_flush(gs);
		choose_remove(&gs->choose, l);
	}
}

/* Every range has been given: nothing is compared with the lane it came from any more. */
void member_end_from(struct group_shard *gs, struct member *m)
{
	struct lane *l = m->from_lane;

	m->from = FROM_NOTHING;
	m->from_lane = NULL;
	member_forget_had(gs, m);
	if (l) {
		leave_lane(gs, l);
		export_lane_put(gs->group, l);
	}
}

static void begin_sync(struct group_shard *gs, struct member *m)
{
	uint32_t n_had = m->n_had > m->n_had_ids ? m->n_had : m->n_had_ids, had = (n_had + RANGE - 1) / RANGE,
		 n = group_ranges(gs),
		 used = (rib_shard_indexes(gs->group->table, gs->shard) + RANGE - 1) / RANGE;

	/* Another group may have known more than this one does. */
	if (had > n)
		n = had;
	if (m->from == FROM_UNKNOWN && used > n)
		n = used;
	m->state = MEMBER_SYNC;
	m->base = NEVER;
	m->since = realloc(m->since, (n ? n : 1) * sizeof(*m->since));
	if (!m->since)
		abort();
	for (uint32_t i = 0; i < n; i++)
		m->since[i] = NEVER;
	m->n_since = m->n_never = n;
}

static void dumped(void *ctx, struct rib_shard *s)
{
	struct group *g = ctx;
	struct group_shard *gs = &g->shard[rib_shard_index(s)];
	struct cds_list_head *node;

	gs->shard = s;
	export_group_flush(gs);
	gs->ready = true;
	cds_list_for_each(node, &gs->members) if (member_of(node)->state == MEMBER_JOINING)
		begin_sync(gs, member_of(node));
	start_task(gs);
}

static void own(struct group_shard *gs, struct member *m)
{
	struct member **at;

	need_source(gs, m->own_source);
	at = &gs->owner[m->own_source];
	while (m->observer && *at && !(*at)->observer)
		at = &(*at)->next_own;
	m->next_own = *at;
	*at = m;
	count_own(gs, gs->owner[m->own_source]);
}

static void disown(struct group_shard *gs, struct member *m)
{
	struct member **at = &gs->owner[m->own_source];

	while (*at != m)
		at = &(*at)->next_own;
	*at = m->next_own;
	if (gs->owner[m->own_source])
		count_own(gs, gs->owner[m->own_source]);
}

static void add_member(struct group_shard *gs, struct rib_shard *s, struct member *m)
{
	gs->shard = s;
	export_group_flush(gs);
	use_lane(gs, m->lane);
	own(gs, m);
	m->joined = true;
	m->fed = true;
	peer_feed_begins(m->peer, gs, m->lane);
	cds_list_add_tail(&m->node, &gs->members);
	gs->n_slow++;
	peer_slow(m->peer, 1);
	rib_shard_pin(gs->group->table, s);
	if (gs->ready)
		begin_sync(gs, m);
	else
		m->state = MEMBER_JOINING;
	start_task(gs);
}

static void remove_member(struct group_shard *gs, struct rib_shard *s, struct member *m)
{
	cds_list_del(&m->node);
	m->joined = false;
	disown(gs, m);
	if (m->state == MEMBER_LIVE) {
		gs->n_live--;
	} else {
		gs->n_slow--;
		peer_slow(m->peer, -1);
		rib_shard_unpin(gs->group->table, s);
	}
	free(m->since);
	m->since = NULL;
	m->n_since = 0;
	leave_lane(gs, m->lane);
}

/* Off LIVE, with everything to come. */
static void sync_again(struct group_shard *gs, struct member *m, uint32_t from, struct lane *from_lane)
{
	m->from = from;
	m->from_lane = from_lane;
	m->began = gs->seq;
	m->fed = true;
	peer_feed_begins(m->peer, gs, m->lane);
	if (m->state == MEMBER_LIVE) {
		gs->n_live--;
		gs->n_slow++;
		peer_slow(m->peer, 1);
		rib_shard_pin(gs->group->table, gs->shard);
	}
	begin_sync(gs, m);
	start_task(gs);
}

void group_becomes_live(struct group_shard *gs, struct member *m)
{
	member_end_from(gs, m);
	member_forget_ids(m);
	free(m->since);
	m->since = NULL;
	m->n_since = 0;
	m->state = MEMBER_LIVE;
	gs->n_slow--;
	gs->n_live++;
	rib_shard_unpin(gs->group->table, gs->shard);
	peer_slow(m->peer, -1);
	count_own(gs, m);
	check_limit(gs, m);
}

void export_group_join(struct group *g, struct rib_shard *s, struct member *m, struct lane *l)
{
	m->mark_end = true;
	m->lane = l;
	m->from = FROM_NOTHING;
	add_member(&g->shard[rib_shard_index(s)], s, m);
}

void export_group_leave(struct group *g, struct rib_shard *s, struct member *m)
{
	struct group_shard *gs = &g->shard[rib_shard_index(s)];

	if (m->joined) {
		export_group_flush(gs);
		member_end_from(gs, m);
		remove_member(gs, s, m);
	}
	member_forget_had(gs, m);
	member_forget_ids(m);
}

static bool is_dirty(const struct group_shard *gs, const struct member *m)
{
	for (uint32_t r = 0; r < group_ranges(gs); r++) {
		uint64_t since = r < m->n_since ? m->since[r] : m->base;

		if (since != NEVER && gs->changed_max[r] > since)
			return true;
	}
	return false;
}

/* What the member has been told of every prefix, before it leaves the group. */
static void snapshot(struct group_shard *gs, struct member *m)
{
	struct sents *sents = &gs->choose.fans.sents;
	uint32_t n = gs->n_index > m->n_had ? gs->n_index : m->n_had, *had,
		 used = rib_shard_indexes(gs->group->table, gs->shard);

	if (used > n)
		n = used;
	had = calloc(n ? n : 1, sizeof(*had));

	if (!had)
		abort();
	for (uint32_t i = 0; i < n; i++) {
		uint32_t r = i / RANGE, lane = m->lane->number;
		uint64_t since = m->state == MEMBER_LIVE      ? gs->seq
				 : m->state == MEMBER_JOINING ? NEVER
				 : r < m->n_since             ? m->since[r]
							      : m->base;
		const struct fan *f = fan_of(gs, export_group_fan(gs, i, 0));
		const struct variant *v;

		if (since != NEVER && i < gs->n_index && (int32_t)(gs->changed_at[i] - (uint32_t)since) > 0) {
			had[i] = HAD_UNKNOWN;
			continue;
		}
		if (since == NEVER) {
			if (m->had) {
				had[i] = i < m->n_had ? m->had[i] : 0;
				if (had[i] != HAD_UNKNOWN)
					sent_hold(sents, had[i]);
				continue;
			}
			if (m->from == FROM_NOTHING)
				continue;
			if (m->from == FROM_UNKNOWN ||
				(i < gs->n_index && (int32_t)(gs->changed_at[i] - (uint32_t)m->began) > 0)) {
				had[i] = HAD_UNKNOWN;
				continue;
			}
			if (m->from != FROM_SAME)
				lane = m->from;
		}
		v = fan_variant(f, lane);
		if (v && v->source != m->own_source && since == NEVER && m->from == FROM_SAME) {
			had[i] = HAD_UNKNOWN; /* perhaps it joined and had not come to this */
		} else if (v && v->source != m->own_source) {
			had[i] = v->attrs;
			sent_hold(sents, had[i]);
		}
	}
	member_forget_had(gs, m);
	m->had = had;
	m->n_had = n;
}

/* The numbers in `had` become those of another group's store. */
static void translate(uint32_t *had, uint32_t n, struct sents *from, struct sents *to)
{
	uint32_t *known = calloc(from->numbers.n, sizeof(*known));

	if (!known)
		abort();
	for (uint32_t i = 0; i < n; i++) {
		uint32_t id = had[i];

		if (!id || id == HAD_UNKNOWN)
			continue;
		if (known[id])
			sent_hold(to, known[id]);
		else
			known[id] = sent_copy(to, from, id);
		had[i] = known[id];
		sent_release(from, id);
	}
	free(known);
}

/* Another filter in the same group. */
static void change_lane(struct group_shard *gs, struct member *m, struct lane *l)
{
	struct lane *old = m->lane;
	bool fresh = m->state == MEMBER_JOINING ||
		     (m->state == MEMBER_SYNC && m->from == FROM_NOTHING && !m->had && m->base == NEVER &&
			     m->n_never == m->n_since);

	use_lane(gs, l);
	m->lane = l;
	if (m->state == MEMBER_LIVE) {
		sync_again(gs, m, old->number, old); /* stays in use */
	} else if (fresh) {
		leave_lane(gs, old);
		export_lane_put(gs->group, old);
	} else {
		member_end_from(gs, m);
		leave_lane(gs, old);
		export_lane_put(gs->group, old);
		sync_again(gs, m, FROM_UNKNOWN, NULL);
	}
	count_own(gs, gs->owner[m->own_source]);
}

/* Of the two modes both are ALL or none is: that a session has agreed upon. */
void export_group_move(
	struct group *from, struct group *to, struct rib_shard *s, struct member *m, struct lane *l)
{
	struct group_shard *gs = &from->shard[rib_shard_index(s)];
	struct lane *old = m->lane;

	if (!m->joined) { /* has left */
		export_lane_put(from, old);
		m->lane = l;
		return;
	}
	export_group_flush(gs);
	if (from == to) {
		change_lane(gs, m, l);
		return;
	}
	if (from->mode == EXPORT_ALL) {
		member_note_ids(gs, m);
		member_end_from(gs, m);
	} else {
		uint32_t *had;
		uint32_t n_had;

		snapshot(gs, m);
		had = m->had;
		n_had = m->n_had;
		m->had = NULL;
		m->n_had = 0;
		member_end_from(gs, m);
		translate(
			had, n_had, &gs->choose.fans.sents, &to->shard[rib_shard_index(s)].choose.fans.sents);
		m->had = had;
		m->n_had = n_had;
	}
	rib_shard_pin(to->table, s); /* an index must not change its meaning between the groups */
	remove_member(gs, s, m);
	export_lane_put(from, old);
	m->lane = l;
	m->from = m->had_ids ? FROM_UNKNOWN : FROM_NOTHING;
	add_member(&to->shard[rib_shard_index(s)], s, m);
	rib_shard_unpin(to->table, s);
}

void export_group_redump(struct group *g, struct rib_shard *s, struct member *m, uint32_t generation)
{
	struct group_shard *gs = &g->shard[rib_shard_index(s)];

	if (!m->joined)
		return;
	export_group_flush(gs);
	m->mark_end = true;
	m->mark_generation = generation;
	if (m->state == MEMBER_JOINING)
		return; /* everything is still to come */
	/* Of one that is not up to date it is not known what it has, and some of it may have to be withdrawn.
	 */
	if (m->state == MEMBER_LIVE || (m->from == FROM_NOTHING && !m->had && !is_dirty(gs, m))) {
		sync_again(gs, m, FROM_SAME, NULL);
	} else {
		member_end_from(gs, m);
		sync_again(gs, m, FROM_UNKNOWN, NULL);
	}
}

void export_group_room(struct group *g, struct rib_shard *s)
{
	start_task(&g->shard[rib_shard_index(s)]);
}

/* ---- finding and making ---- */

static uint32_t cap_of(const struct export_peer_config *c)
{
	return c->export_limit.action == LIMIT_BLOCK ? c->export_limit.value + 1 : 0;
}

bool export_group_same(const struct group *g, const struct export_peer_config *c)
{
	return g->cap == cap_of(c) && (!g->cap || g->cap_source == c->own_source) && g->table == c->table &&
	       g->mode == c->mode && path_choice_same(&g->choice, &c->choice) &&
	       memcmp(&g->class, &c->class, sizeof(g->class)) == 0 &&
	       memcmp(&g->encode, &c->encode, sizeof(g->encode)) == 0;
}

static void free_group(struct group *g)
{
	free(g->lane);
	free(g);
}

static void closed(void *ctx, struct rib_shard *s)
{
	struct group *g = ctx;
	struct group_shard *gs = &g->shard[rib_shard_index(s)];

	drop_changes(gs);
	if (gs->task_started)
		rib_task_stop(s, &gs->task);
	for (uint32_t i = 0; gs->all && i < gs->n_index; i++)
		free(gs->all[i]);
	dump_drop_cache(gs);
	free(gs->cache);
	free(gs->out);
	free(gs->all);
	free(gs->change_of);
	free(gs->changed_at);
	free(gs->changed_max);
	free(gs->range_gen);
	free(gs->stale);
	free(gs->change);
	free(gs->needing);
	free(gs->owner);
	free(gs->own_announced);
	free(gs->plan);
	free(gs->plan_hash);
	free(gs->step);
	free(gs->bits);
	free(gs->fans);
	selection_free(&gs->selection);
	free(gs->known);
	free(gs->gone);
	choose_free(&gs->choose); /* and the fans: the references of prefixes go with them */
	encoder_destroy(gs->encoder);
	if (atomic_fetch_sub(&g->open, 1) == 1)
		free_group(g);
}

static const struct rib_listener_ops listener_ops = {changed, dumped, closed, flush};

/* Under the engine's lock. */
static struct lane *lane_get(struct group *g, const struct export_peer_config *cf)
{
	const struct filter_ref *f = &cf->filter;
	uint32_t own = g->mode == EXPORT_SECONDARY || path_choice_is_some(&g->choice) ? cf->own_source : 0,
		 at = g->n_lane;
	struct lane *l;

	for (uint32_t i = g->n_lane; i-- > 0;) {
		if (!g->lane[i]) {
			at = i;
		} else if (g->lane[i]->own == own && filter_same(&g->lane[i]->filter, f)) {
			g->lane[i]->refs++;
			return g->lane[i];
		}
	}
	if (at == MAX_LANES)
		return NULL;
	l = calloc(1, sizeof(*l) + g->n_shards * sizeof(l->shard[0]));
	if (!l)
		return NULL;
	if (at == g->n_lane) {
		struct lane **more = realloc(g->lane, (at + 1) * sizeof(struct lane *));

		if (!more) {
			free(l);
			return NULL;
		}
		g->lane = more;
		g->n_lane++;
	}
	l->refs = 1;
	l->number = at;
	l->own = own;
	l->filter = *f;
	filter_ref_hold(f);
	for (unsigned i = 0; i < g->n_shards; i++)
		policy_init(&l->shard[i].policy, f, &g->class);
	g->lane[at] = l;
	return l;
}

void export_lane_hold(struct group *g, struct lane *l, unsigned n)
{
	pthread_mutex_lock(&g->engine->lock);
	l->refs += n;
	pthread_mutex_unlock(&g->engine->lock);
}

void export_lane_put(struct group *g, struct lane *l)
{
	bool last;

	pthread_mutex_lock(&g->engine->lock);
	last = --l->refs == 0;
	if (last)
		g->lane[l->number] = NULL;
	pthread_mutex_unlock(&g->engine->lock);
	if (!last)
		return;
	for (unsigned i = 0; i < g->n_shards; i++)
		policy_free(&l->shard[i].policy);
	filter_ref_release(&l->filter);
	free(l);
}

static struct group *make(struct export_engine *x, const struct export_peer_config *c, struct lane **lane)
{
	unsigned n = rib_shards(x->rib);
	struct group *g = calloc(1, sizeof(*g) + n * sizeof(g->shard[0]));
	enum rib_listen what = c->mode == EXPORT_BEST ? RIB_LISTEN_BEST : RIB_LISTEN_ALL;

	/* With AIGP it is in what is sent; else it is in the order of the routes behind the best. */
	if (c->class.aigp || path_choice_is_some(&c->choice))
		what |= RIB_LISTEN_METRIC;

	if (!g)
		return NULL;
	g->engine = x;
	g->refs = 1;
	g->table = c->table;
	g->mode = c->mode;
	g->choice = c->choice;
	g->cap = cap_of(c);
	g->cap_source = c->own_source;
	memcpy(&g->class, &c->class, sizeof(g->class)); /* padding too: compared as bytes */
	memcpy(&g->encode, &c->encode, sizeof(g->encode));
	atomic_init(&g->open, n);
	g->n_shards = n;
	*lane = lane_get(g, c);
	if (!*lane) {
		free_group(g);
		return NULL;
	}
	for (unsigned i = 0; i < n; i++) {
		struct group_shard *gs = &g->shard[i];

		gs->group = g;
		gs->number = i;
		CDS_INIT_LIST_HEAD(&gs->members);
		choose_init(&gs->choose, i, &g->encode, g->class.aigp);
		/* The table may come before the first member does. The peer that is attached joins this lane:
		 * its place among the users is taken here. */
		choose_add(&gs->choose, *lane);
		(*lane)->shard[i].users = 1;
		gs->first_lane = *lane;
		gs->encoder = encoder_create(&g->encode, &gs->choose.fans.sents);
	}
	g->listener = rib_listener_open(g->table, what, &listener_ops, g);
	cds_list_add_tail(&g->node, &x->groups);
	return g;
}

struct group *export_group_get(
	struct export_engine *x, const struct export_peer_config *c, struct lane **lane)
{
	struct group *g;

	pthread_mutex_lock(&x->lock);
	cds_list_for_each_entry(g, &x->groups, node) if (export_group_same(g, c))
	{
		*lane = lane_get(g, c);
		if (*lane)
			g->refs++;
		else
			g = NULL;
		goto out;
	}
	g = make(x, c, lane);
out:
	if (g && policy_reads_roa(&c->filter))
		rib_listener_reads_roa(g->listener, c->no_roa_reload);
	pthread_mutex_unlock(&x->lock);
	return g;
}

void export_group_put(struct group *g)
{
	struct export_engine *x = g->engine;
	bool last;

	pthread_mutex_lock(&x->lock);
	last = --g->refs == 0;
	if (last)
		cds_list_del(&g->node);
	pthread_mutex_unlock(&x->lock);
	if (last)
		rib_listener_close(g->listener);
}
