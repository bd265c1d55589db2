/* SPDX-License-Identifier: BSD-2-Clause */
/* ADD-PATH: which routes of a prefix are sent, and under which path ids. The shard's thread. */
#include "controlplane/export/group.h"
#include "controlplane/export/room.h"
#include "shared/rcu.h"

static bool is_path_of(const struct path *p, const struct rib_route_view *r)
{
	return p->source == r->source && p->path_in == r->path_id;
}

/* The path id under which a route is announced already, or a free one. */
static uint32_t path_id_for(
	struct group_shard *gs, uint32_t index, const struct rib_route_view *r, bool may_add)
{
	struct paths *ps = gs->all[index];
	uint32_t free_id = 0, n = ps ? ps->n : 0;

	for (uint32_t i = 0; i < n; i++) {
		if (ps->path[i].fan && is_path_of(&ps->path[i], r))
			return i + 1;
		if (!ps->path[i].fan && !free_id)
			free_id = i + 1;
	}
	if (!may_add)
		return 0;
	if (!free_id) {
		gs->path_bytes += (ps ? 0 : sizeof(*ps)) + sizeof(ps->path[0]);
		ps = realloc(ps, sizeof(*ps) + (n + 1) * sizeof(ps->path[0]));
		if (!ps)
			abort();
		ps->path[n] = (struct path){0};
		ps->n = free_id = n + 1;
		gs->all[index] = ps;
	}
	ps->path[free_id - 1].source = r->source;
	ps->path[free_id - 1].path_in = r->path_id;
	return free_id;
}

void paths_forget(struct group_shard *gs, uint32_t index)
{
	struct paths *ps = gs->all[index];

	if (!ps)
		return;
	gs->path_bytes -= sizeof(*ps) + ps->n * sizeof(ps->path[0]);
	free(ps);
	gs->all[index] = NULL;
}

/* What is announced and not to be any more; it goes first, so that its path id is free for what comes in its
 * place. fans: of the routes; NULL: those that can be used stay. */
static void withdraw_gone(struct group_shard *gs, const struct net *n, uint32_t index,
	const struct rib_route_view *r, unsigned n_routes, const uint32_t *fans, set_fan_fn set)
{
	struct paths *ps = gs->all[index];

	for (uint32_t i = 0; ps && i < ps->n; i++) {
		bool stays = false;

		for (unsigned k = 0; k < n_routes && !stays; k++)
			stays = is_path_of(&ps->path[i], &r[k]) &&
				(fans ? fans[k] != FAN_NONE : group_usable(&r[k]));
		if (!stays)
			set(gs, n, index, i + 1, &ps->path[i].fan,
				group_within_limit(gs, ps->path[i].fan, FAN_NONE));
	}
}

/* A reference on fan is taken over. */
static void set_path(struct group_shard *gs, const struct net *n, uint32_t index, uint32_t id, uint32_t fan,
	set_fan_fn set)
{
	uint32_t *at = &gs->all[index]->path[id - 1].fan;

	set(gs, n, index, id, at, group_within_limit(gs, *at, fan));
}

/* ---- of several, some ---- */

/* Of a fan what the lanes in get send. The reference on it is given up for one on the result. */
static uint32_t fan_part(struct group_shard *gs, uint32_t id, const uint64_t *get)
{
	struct choose *c = &gs->choose;
	const struct fan *f = fan_get(&c->fans, id);
	uint64_t *set = gs->bits;
	uint32_t part;

	draft_begin(&c->draft, c->n_lane);
	for (uint32_t v = 0; f && v < f->n; v++) {
		for (uint32_t k = 0; k < c->words; k++)
			set[k] = k < f->words ? fan_set(f, v)[k] & get[k] : 0;
		if (!any_lane(set, c->words))
			continue;
		sent_hold(&c->fans.sents, f->v[v].attrs);
		draft_send_all(&c->draft, set, f->v[v].attrs, f->v[v].source);
	}
	part = fan_intern(&c->fans, &c->draft, c->active);
	fan_release(&c->fans, id);
	return part;
}

/* gs->fans: of each route, what the lanes that choose it send. */
static void choose_routes(struct group_shard *gs, struct rib_shard *s, const struct net *n,
	const struct rib_route_view *r, unsigned n_routes)
{
	struct selection *sel = &gs->selection;
	const struct choose *c = &gs->choose;
	uint64_t *can = gs->bits;
	unsigned usable;

	if (n_routes > gs->cap_fans) {
		gs->cap_fans = 2 * n_routes;
		gs->fans = realloc(gs->fans, gs->cap_fans * sizeof(*gs->fans));
		if (!gs->fans)
			abort();
	}
	for (unsigned i = 0; i < n_routes; i++)
		gs->fans[i] = FAN_NONE;
	rcu_read_lock();
	usable = selection_rank(sel, rib_shard_rib(s), rib_table_is_sorted(gs->group->table), r, n_routes);
	selection_begin(sel, &gs->group->choice, c->words);
	for (unsigned k = 0; k < usable && !selection_is_full(sel, c->active); k++) {
		uint32_t fan = group_try_route(gs, s, n, &r[sel->rank[k]]);

		for (uint32_t w = 0; w < c->words; w++)
			can[w] = fan_word(fan_get(&c->fans, fan), c->active, w);
		selection_take(sel, k, can);
		if (memcmp(can, sel->get, c->words * sizeof(*can)) != 0)
			fan = fan_part(gs, fan, sel->get);
		gs->fans[sel->rank[k]] = fan;
	}
	rcu_read_unlock();
}

static void evaluate_chosen(struct group_shard *gs, struct rib_shard *s, const struct net *n, uint32_t index,
	const struct rib_route_view *r, unsigned n_routes, set_fan_fn set)
{
	choose_routes(gs, s, n, r, n_routes);
	withdraw_gone(gs, n, index, r, n_routes, gs->fans, set);
	for (unsigned k = 0; k < n_routes; k++)
		if (gs->fans[k] != FAN_NONE)
			set_path(gs, n, index, path_id_for(gs, index, &r[k], true), gs->fans[k], set);
}

/* ---- of several, all ---- */

static void evaluate_all(struct group_shard *gs, struct rib_shard *s, const struct net *n, uint32_t index,
	const struct rib_route_view *r, unsigned n_routes, set_fan_fn set)
{
	withdraw_gone(gs, n, index, r, n_routes, NULL, set);
	for (unsigned k = 0; k < n_routes; k++) {
		uint32_t fan, id;

		if (!group_usable(&r[k]))
			continue;
		fan = group_try_route(gs, s, n, &r[k]);
		id = path_id_for(gs, index, &r[k], fan != FAN_NONE);
		if (id)
			set_path(gs, n, index, id, fan, set);
	}
}

void paths_evaluate(struct group_shard *gs, struct rib_shard *s, const struct net *n, uint32_t index,
	const struct rib_route_view *r, unsigned n_routes, set_fan_fn set)
{
	if (path_choice_is_some(&gs->group->choice))
		evaluate_chosen(gs, s, n, index, r, n_routes, set);
	else
		evaluate_all(gs, s, n, index, r, n_routes, set);
}

/* ---- members that change their group ---- */

void member_note_ids(struct group_shard *gs, struct member *m)
{
	uint32_t n = gs->n_index > m->n_had_ids ? gs->n_index : m->n_had_ids;

	if (!n)
		return;
	m->had_ids = room_grow(m->had_ids, m->n_had_ids, n, sizeof(*m->had_ids));
	m->n_had_ids = n;
	for (uint32_t i = 0; i < gs->n_index; i++)
		if (gs->all[i] && gs->all[i]->n > m->had_ids[i])
			m->had_ids[i] = gs->all[i]->n;
}

void member_forget_ids(struct member *m)
{
	free(m->had_ids);
	m->had_ids = NULL;
	m->n_had_ids = 0;
}
