/* SPDX-License-Identifier: BSD-2-Clause */
/* Members that are not LIVE are given range after range: see group.h. In slices, as their rings have room. */
#include "controlplane/export/group.h"
#include "shared/clock.h"
#include <string.h>

/* The prefix of an index; false: none has it. */
static bool net_of(const struct group_shard *gs, uint32_t index, struct net *n)
{
	const struct rib_table *t = gs->group->table;

	return index < rib_shard_indexes(t, gs->shard) && rib_shard_net(t, gs->shard, index, n);
}

/* ---- what a member needs ---- */

static uint64_t since_of(const struct member *m, uint32_t range)
{
	return range < m->n_since ? m->since[range] : m->base;
}

static bool needs(const struct group_shard *gs, const struct member *m, uint32_t range)
{
	uint64_t since = since_of(m, range);

	if (since == NEVER)
		return true;
	return range < group_ranges(gs) && gs->changed_max[range] > since;
}

static uint32_t ranges_of(const struct group_shard *gs, const struct member *m)
{
	uint32_t n = group_ranges(gs);

	return m->n_since > n ? m->n_since : n; /* what it had in another group may go further */
}

static void was_given(struct group_shard *gs, struct member *m, uint32_t range)
{
	if (range >= m->n_since) {
		uint32_t n = ranges_of(gs, m);

		m->since = realloc(m->since, n * sizeof(*m->since));
		if (!m->since)
			abort();
		for (uint32_t i = m->n_since; i < n; i++)
			m->since[i] = m->base;
		if (m->base == NEVER)
			m->n_never += n - m->n_since;
		m->n_since = n;
	}
	m->n_never -= m->since[range] == NEVER;
	m->since[range] = gs->seq;
}

/* ---- blocks of a range for those that have nothing of it ---- */

static void announce_fan(struct group_shard *gs, const struct net *n, uint32_t path_id, const struct fan *f)
{
	struct prefix handle;
	const struct prefix *p = group_prefix(n, &handle);

	for (uint32_t i = 0; i < f->n; i++) {
		uint32_t to = encoder_to(gs->encoder, fan_set(f, i), f->words, f->v[i].source, 0);

		encoder_announce(gs->encoder, to, f->v[i].attrs, p, path_id);
	}
}

/* The last path id of an index, and the first: 0 and 0 unless ALL. */
static uint32_t path_ids(const struct group_shard *gs, uint32_t index, uint32_t *first)
{
	if (gs->group->mode != EXPORT_ALL) {
		*first = 0;
		return 0;
	}
	*first = 1;
	return index < gs->n_index && gs->all[index] ? gs->all[index]->n : 0;
}

static const struct made *range_blocks(struct group_shard *gs, uint32_t range)
{
	static const struct made nothing;
	struct range_cache *rc;
	uint32_t end = (range + 1) * RANGE, first, last;
	struct net n;

	if (range >= group_ranges(gs))
		return &nothing;
	if (range >= gs->n_cache) {
		uint32_t want = group_ranges(gs);

		gs->cache = realloc(gs->cache, want * sizeof(*gs->cache));
		if (!gs->cache)
			abort();
		memset(gs->cache + gs->n_cache, 0, (want - gs->n_cache) * sizeof(*gs->cache));
		gs->n_cache = want;
	}
	rc = &gs->cache[range];
	if (rc->valid && rc->gen == gs->choose.gen && rc->seq >= gs->changed_max[range])
		return &rc->made;
	made_clear(&rc->made);
	for (uint32_t i = range * RANGE; i < end; i++) {
		last = path_ids(gs, i, &first);
		for (uint32_t id = first; id <= last; id++) {
			uint32_t fan = export_group_fan(gs, i, id);

			if (fan && net_of(gs, i, &n))
				announce_fan(gs, &n, id, fan_get(&gs->choose.fans, fan));
		}
	}
	encoder_finish(gs->encoder, &rc->made);
	rc->valid = true;
	rc->gen = gs->choose.gen;
	rc->seq = gs->seq;
	return &rc->made;
}

void dump_drop_cache(struct group_shard *gs)
{
	for (uint32_t i = 0; i < gs->n_cache; i++) {
		made_free(&gs->cache[i].made);
		gs->cache[i].valid = false;
	}
}

/* ---- blocks of a range for those that have some of it ---- */

void member_give(struct member *m, const struct made *made, uint32_t bit)
{
	uint32_t given = 0;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < made->n; i++) {
		struct block *b = made->b[i];
		bool wanted = b->n_segments == 1 ? block_is_for(b, b->segment, bit, m->own_source)
						 : block_set_has(b->any, b->words, bit);

		for (uint32_t k = 0; !wanted && b->some_only && k < b->n_segments; k++)
			wanted = b->segment[k].only == m->own_source;
		if (!wanted)
			continue;
		block_hold(b, 1);
		if (!ring_push(&m->ring, b, bit))
			abort(); /* the caller has made sure of the room */
		given++;
		bytes += b->change ? b->len : 0;
	}
	if (given)
		peer_given(m->peer, bytes);
}

static uint32_t attrs_for(const struct member *m, const struct variant *v)
{
	return v && v->source != m->own_source ? v->attrs : 0;
}

#define UNKNOWN UINT32_MAX

/* What the peer has of a path: attributes, 0: nothing, or UNKNOWN. now: what it is to have. */
static uint32_t has_now(const struct group_shard *gs, const struct member *m, uint32_t index,
	const struct fan *f, uint32_t now)
{
	uint64_t since = since_of(m, index / RANGE);
	uint32_t changed_at = index < gs->n_index ? gs->changed_at[index] : 0;

	if (since != NEVER)
		return (int32_t)(changed_at - (uint32_t)since) > 0 ? UNKNOWN : now;
	if (m->had)
		return index < m->n_had ? m->had[index] : 0;
	if (m->from == FROM_NOTHING)
		return 0;
	if (m->from == FROM_UNKNOWN || (int32_t)(changed_at - (uint32_t)m->began) > 0)
		return UNKNOWN;
	if (m->from == FROM_SAME)
		return now ? UNKNOWN : 0;
	return attrs_for(m, fan_variant(f, m->from));
}

static void say(struct group_shard *gs, uint32_t n, uint32_t index, const struct net *net, uint32_t path_id,
	uint64_t *set, uint32_t words)
{
	const struct fan *f = fan_get(&gs->choose.fans, export_group_fan(gs, index, path_id));
	uint32_t variants = f ? f->n : 0;
	struct prefix handle;
	const struct prefix *p = group_prefix(net, &handle);
	bool any_withdraw = false;

	/* Set i is of variant i, the one behind them of those that lose it. */
	memset(set, 0, (size_t)(variants + 1) * words * sizeof(*set));
	for (uint32_t i = 0; i < n; i++) {
		const struct member *m = gs->needing[i];
		const struct variant *v = fan_variant(f, m->lane->number);
		uint32_t now = attrs_for(m, v), had = has_now(gs, m, index, f, now);
		uint32_t at;

		if (had == now)
			continue;
		at = now ? (uint32_t)(v - f->v) : variants;
		any_withdraw |= !now;
		set[(size_t)at * words + i / 64] |= UINT64_C(1) << (i & 63);
	}
	for (uint32_t i = 0; i < variants; i++) {
		bool any = false;

		for (uint32_t k = 0; k < words; k++)
			any |= set[(size_t)i * words + k] != 0;
		if (any)
			encoder_announce(gs->encoder,
				encoder_to(gs->encoder, set + (size_t)i * words, words, 0, 0), f->v[i].attrs,
				p, path_id);
	}
	if (any_withdraw)
		encoder_withdraw(gs->encoder,
			encoder_to(gs->encoder, set + (size_t)variants * words, words, 0, 0), p, path_id);
}

/* For the first n of gs->needing: what differs from what they have. */
static void give_difference(struct group_shard *gs, uint32_t n, uint32_t range)
{
	uint32_t words = (n + 63) / 64, end = (range + 1) * RANGE, oldest = UINT32_MAX, room = 8, first, last;
	uint64_t *set = malloc(room * (size_t)words * sizeof(*set)), least = NEVER;
	struct made made = {0};
	bool whole = false;
	struct net net;

	if (!set)
		abort();
	for (uint32_t i = 0; i < n; i++) {
		uint64_t since = since_of(gs->needing[i], range);

		whole |= since == NEVER;
		if (since < least)
			least = since;
	}
	oldest = (uint32_t)least;
	for (uint32_t i = range * RANGE; i < end; i++) {
		if (!whole && (i >= gs->n_index || (int32_t)(gs->changed_at[i] - oldest) <= 0))
			continue;
		if (!net_of(gs, i, &net))
			continue;
		last = path_ids(gs, i, &first);
		for (uint32_t k = 0; k < n && gs->group->mode == EXPORT_ALL; k++)
			if (i < gs->needing[k]->n_had_ids && gs->needing[k]->had_ids[i] > last)
				last = gs->needing[k]->had_ids[i];
		for (uint32_t id = first; id <= last; id++) {
			const struct fan *f = fan_get(&gs->choose.fans, export_group_fan(gs, i, id));

			if (f && f->n + 1u > room) {
				room = 2 * (f->n + 1u);
				set = realloc(set, room * (size_t)words * sizeof(*set));
				if (!set)
					abort();
			}
			say(gs, n, i, &net, id, set, words);
		}
	}
	free(set);
	encoder_finish(gs->encoder, &made);
	for (uint32_t i = 0; i < n; i++)
		member_give(gs->needing[i], &made, i);
	made_free(&made);
}

static void forget_range(struct group_shard *gs, struct member *m, uint32_t range)
{
	for (uint32_t i = range * RANGE; i < (range + 1) * RANGE && i < m->n_had; i++) {
		if (m->had[i] != HAD_UNKNOWN)
			sent_release(&gs->choose.fans.sents, m->had[i]);
		m->had[i] = 0;
	}
	for (uint32_t i = range * RANGE; i < (range + 1) * RANGE && i < m->n_had_ids; i++)
		m->had_ids[i] = 0;
}

/* ---- the task ---- */

/*
 * How much a member may have in its ring before it is given another range: what comes behind it, a change
 * among them, waits that long. All of theirs together is some milliseconds of work for the sessions' thread.
 */
static uint32_t round_limit(const struct group_shard *gs)
{
	uint32_t share = RING_BYTES / (gs->n_slow ? gs->n_slow : 1);

	return share < 64u << 10 ? 64u << 10 : share > 256u << 10 ? 256u << 10 : share;
}

static bool has_room(struct member *m, uint32_t bytes)
{
	if (ring_has_room(&m->ring, 2 * MADE_BLOCKS, bytes))
		return true;
	ring_want(&m->ring, bytes / 2);
	return ring_has_room(&m->ring, 2 * MADE_BLOCKS, bytes);
}

/* Members that have room now, in gs->needing; *others: how many have none. */
static uint32_t collect(struct group_shard *gs, uint32_t bytes, uint32_t *others)
{
	struct cds_list_head *node;
	uint32_t n = 0;

	if (gs->cap_needing < gs->n_slow) {
		gs->cap_needing = 2 * gs->n_slow;
		gs->needing = realloc(gs->needing, gs->cap_needing * sizeof(struct member *));
		if (!gs->needing)
			abort();
	}
	*others = 0;
	cds_list_for_each(node, &gs->members)
	{
		struct member *m = member_of(node);

		if (m->state != MEMBER_SYNC)
			continue;
		if (has_room(m, bytes))
			gs->needing[n++] = m;
		else
			++*others;
	}
	return n;
}

/*
 * A range is worked out once for all that get it in one step. So most of them have to have room, or one to be
 * out of work: else the n that have room wait, for the others or until one of them is.
 */
static bool worth_a_step(struct group_shard *gs, uint32_t n, uint32_t others)
{
	if (n >= 3 * others)
		return true;
	for (uint32_t i = 0; i < n; i++) {
		struct ring *r = &gs->needing[i]->ring;

		if (ring_is_empty(r))
			return true;
		ring_want(r, 0);
		if (ring_is_empty(r))
			return true;
	}
	return false;
}

/* Those of the n that need the range come first; returns how many. */
static uint32_t sort_needing(struct group_shard *gs, uint32_t n, uint32_t range)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct member *m = gs->needing[i];

		if (!needs(gs, m, range))
			continue;
		gs->needing[i] = gs->needing[k];
		gs->needing[k++] = m;
	}
	return k;
}

/* Or is to be told everything as if it had nothing. */
static bool has_nothing(const struct group_shard *gs, const struct member *m, uint32_t range)
{
	if (since_of(m, range) != NEVER || m->had)
		return false;
	if (m->from == FROM_SAME)
		return range >= group_ranges(gs) || gs->changed_max[range] <= m->began;
	return m->from == FROM_NOTHING;
}

static void step(struct group_shard *gs, uint32_t n, uint32_t range)
{
	uint32_t k = 0;

	if (range < group_ranges(gs))
		group_evaluate_range(gs, range);
	/* Those with something first, then those with nothing. */
	for (uint32_t i = 0; i < n; i++) {
		struct member *m = gs->needing[i];

		if (has_nothing(gs, m, range))
			continue;
		gs->needing[i] = gs->needing[k];
		gs->needing[k++] = m;
	}
	if (k)
		give_difference(gs, k, range);
	if (k < n) {
		const struct made *made = range_blocks(gs, range);

		for (uint32_t i = k; i < n; i++)
			member_give(gs->needing[i], made, gs->needing[i]->lane->number);
	}
	for (uint32_t i = 0; i < n; i++) {
		forget_range(gs, gs->needing[i], range);
		was_given(gs, gs->needing[i], range);
	}
}

/* As BIRD has it, a table that is fed is so many updates. */
static void count_feed(struct group_shard *gs, struct member *m)
{
	uint64_t nets, routes;
	uint32_t own = m->own_source < gs->n_source ? gs->own_announced[m->own_source] : 0;

	m->fed = false;
	rib_shard_counts(gs->group->table, gs->shard, &nets, &routes);
	peer_fed(m->peer, gs, m->lane, gs->group->mode == EXPORT_ALL ? routes : nets, own,
		export_group_member_exported(gs, m));
}

/* Nothing is to be said any more but that it is all. False: no room for that. */
static bool finish(struct group_shard *gs, struct member *m)
{
	if (m->mark_end) {
		struct block *b = block_mark(m->mark_generation);

		if (!ring_push(&m->ring, b, 0)) {
			block_release(b);
			return false; /* next time */
		}
		m->mark_end = false;
		peer_wake(m->peer);
	}
	group_becomes_live(gs, m);
	if (m->fed)
		count_feed(gs, m);
	return true;
}

static bool is_complete(const struct group_shard *gs, const struct member *m)
{
	if (m->n_never)
		return false;
	for (uint32_t r = 0; r < ranges_of(gs, m); r++)
		if (needs(gs, m, r))
			return false;
	return true;
}

static bool finish_complete(struct group_shard *gs, uint32_t n)
{
	bool any = false;

	for (uint32_t i = 0; i < n; i++)
		if (gs->needing[i]->state == MEMBER_SYNC && is_complete(gs, gs->needing[i]))
			any |= finish(gs, gs->needing[i]);
	return any;
}

/* The range that has waited longest to be told of a change, to those that have not heard. */
static bool step_stale(struct group_shard *gs)
{
	while (gs->first_stale) {
		uint32_t range = gs->first_stale - 1, next = gs->stale[range], others, k;

		gs->stale[range] = 0;
		gs->first_stale = next == STALE_LAST ? 0 : next;
		k = sort_needing(gs, collect(gs, 4 * round_limit(gs), &others), range);
		if (k) {
			step(gs, k, range);
			return true;
		}
	}
	return false;
}

/* The next range of the round. */
static bool step_round(struct group_shard *gs)
{
	uint32_t others, n = collect(gs, round_limit(gs), &others), ranges = 0, k = 0;

	for (uint32_t i = 0; i < n; i++)
		if (ranges_of(gs, gs->needing[i]) > ranges)
			ranges = ranges_of(gs, gs->needing[i]);
	for (uint32_t r = 0; r < ranges && !k; r++) {
		if (gs->sync_at >= ranges)
			gs->sync_at = 0;
		k = sort_needing(gs, n, gs->sync_at);
		if (!k)
			gs->sync_at++;
	}
	if (!k)
		return finish_complete(gs, n);
	if (!worth_a_step(gs, n, others))
		return false;
	step(gs, k, gs->sync_at++);
	return true;
}

bool dump_run(struct rib_task *t, struct rib_shard *s, uint64_t deadline_ns)
{
	struct group_shard *gs = caa_container_of(t, struct group_shard, task);
	uint32_t others;
	bool more;

	(void)s;
	export_group_flush(gs);
	do {
		more = step_stale(gs);
		more |= step_round(gs);
	} while (more && clock_now_ns() < deadline_ns);
	if (more) {
		finish_complete(gs, collect(gs, round_limit(gs), &others));
		more = gs->n_slow > 0;
	}
	if (!more) {
		gs->task_started = false;
		if (!gs->n_slow)
			dump_drop_cache(gs);
	}
	return more;
}
