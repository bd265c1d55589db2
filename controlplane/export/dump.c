/* SPDX-License-Identifier: BSD-2-Clause */
/* The table for members that join, and what lagging members have missed: in slices, as their rings have room.
 */
#include "controlplane/export/group.h"
#include "shared/clock.h"
#include <string.h>

/* The prefix of an index; false: none has it. */
static bool net_of(const struct group_shard *gs, uint32_t index, struct net *n)
{
	const struct rib_table *t = gs->group->table;

	return index < rib_shard_indexes(t, gs->shard) && rib_shard_net(t, gs->shard, index, n);
}

/* ---- what a slow member still has to be told ---- */

static void miss_index(struct member *m, uint32_t index)
{
	uint32_t word = index / 64;

	if (word >= m->missed_words) {
		uint32_t n = m->missed_words ? 2 * m->missed_words : 64;

		while (n <= word)
			n *= 2;
		m->missed = realloc(m->missed, n * sizeof(*m->missed));
		if (!m->missed)
			abort();
		memset(m->missed + m->missed_words, 0, (n - m->missed_words) * sizeof(*m->missed));
		m->missed_words = n;
	}
	m->missed[word] |= UINT64_C(1) << (index & 63);
}

void member_miss(struct member *m, const struct change *c)
{
	if (m->state == MEMBER_JOINING ||
		(m->state == MEMBER_DUMP && c->index >= m->dump_at && c->index < m->dump_end))
		return; /* comes with the dump */
	miss_index(m, c->index);
	if (!c->path_id || c->new.attrs)
		return;
	if (m->n_gone == m->cap_gone) {
		m->cap_gone = m->cap_gone ? 2 * m->cap_gone : 64;
		m->gone = realloc(m->gone, m->cap_gone * sizeof(*m->gone));
		if (!m->gone)
			abort();
	}
	m->gone[m->n_gone++] = (struct gone){c->index, c->path_id};
}

/* ---- blocks of a range, shared ---- */

static void announce_index(
	struct group_shard *gs, struct encoder *e, uint32_t index, const struct net *n, uint32_t not_source)
{
	const struct paths *ps = gs->all ? gs->all[index] : NULL;

	if (gs->group->mode != EXPORT_ALL) {
		const struct path *p = export_group_path(gs, index, 0);

		if (p && p->source != not_source)
			encoder_announce(e, p->source, p->attrs, &n->prefix, 0);
		return;
	}
	for (uint32_t i = 0; ps && i < ps->n; i++)
		if (ps->path[i].attrs && ps->path[i].source != not_source)
			encoder_announce(e, ps->path[i].source, ps->path[i].attrs, &n->prefix, i + 1);
}

static const struct made *range_blocks(struct group_shard *gs, uint32_t range)
{
	static const struct made nothing;
	struct range_cache *rc;
	uint32_t end = (range + 1) * RANGE;
	struct net n;

	if (range * RANGE >= gs->n_index)
		return &nothing;
	if (range >= gs->n_cache) {
		uint32_t want = gs->n_index / RANGE + 1;

		gs->cache = realloc(gs->cache, want * sizeof(*gs->cache));
		if (!gs->cache)
			abort();
		memset(gs->cache + gs->n_cache, 0, (want - gs->n_cache) * sizeof(*gs->cache));
		gs->n_cache = want;
	}
	rc = &gs->cache[range];
	if (rc->valid)
		return &rc->made;
	made_clear(&rc->made);
	for (uint32_t i = range * RANGE; i < end && i < gs->n_index; i++)
		if (net_of(gs, i, &n))
			announce_index(gs, gs->encoder, i, &n, 0);
	encoder_finish(gs->encoder, &rc->made, true, NULL);
	rc->valid = true;
	return &rc->made;
}

void dump_invalidate(struct group_shard *gs, uint32_t index)
{
	uint32_t range = index / RANGE;

	if (range < gs->n_cache && gs->cache[range].valid) {
		gs->cache[range].valid = false;
		made_clear(&gs->cache[range].made);
	}
}

void dump_drop_cache(struct group_shard *gs)
{
	for (uint32_t i = 0; i < gs->n_cache; i++) {
		made_free(&gs->cache[i].made);
		gs->cache[i].valid = false;
	}
}

/* ---- for one member ---- */

void member_give(struct member *m, const struct made *made)
{
	uint32_t given = 0;

	for (uint32_t i = 0; i < made->n; i++) {
		const struct made_block *b = &made->b[i];

		if (b->only ? b->only != m : b->except && b->except == m->own_source)
			continue;
		block_hold(b->block, 1);
		if (!ring_push(&m->ring, b->block))
			abort(); /* the caller has made sure of the room */
		given++;
	}
	if (given)
		peer_wake(m->peer);
}

static void forget_range(struct member *m, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to && i < m->n_had; i++) {
		if (m->had[i] && m->had[i] != HAD_UNKNOWN)
			attrs_release(m->had[i]);
		m->had[i] = 0;
	}
}

/* A range against what the member had before it changed its group. */
static void diff_range(
	struct group_shard *gs, struct member *m, uint32_t from, uint32_t to, struct made *made)
{
	struct net n;

	for (uint32_t i = from; i < to; i++) {
		const struct path *p = export_group_path(gs, i, 0);
		uint32_t had = i < m->n_had ? m->had[i] : 0,
			 now = p && p->source != m->own_source ? p->attrs : 0;

		if (now != had && net_of(gs, i, &n)) {
			if (now)
				encoder_announce(gs->encoder, 0, now, &n.prefix, 0);
			else
				encoder_withdraw(gs->encoder, 0, &n.prefix, 0);
		}
	}
	forget_range(m, from, to);
	encoder_finish(gs->encoder, made, false, m);
}

static void give_private(struct member *m, struct made *made)
{
	member_give(m, made);
	made_free(made);
}

/* What the member had is replaced by something else all over the range: then it needs just what everybody
 * needs. */
static bool all_replaced(const struct group_shard *gs, const struct member *m, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to && i < m->n_had; i++) {
		const struct path *p = export_group_path(gs, i, 0);

		if (m->had[i] && (!p || p->source == m->own_source || p->attrs == m->had[i]))
			return false;
	}
	return true;
}

/* One range of the dump. */
static void dump_step(struct group_shard *gs, struct member *m)
{
	uint32_t end = m->dump_at / RANGE * RANGE + RANGE;
	struct made made = {0};

	if (m->had && !all_replaced(gs, m, m->dump_at, end)) {
		diff_range(gs, m, m->dump_at, end < m->dump_end ? end : m->dump_end, &made);
		give_private(m, &made);
	} else {
		forget_range(m, m->dump_at, end);
		member_give(m, range_blocks(gs, m->dump_at / RANGE));
	}
	m->dump_at = end;
	if (end < m->dump_end)
		return;
	free(m->had); /* its references were dropped range by range */
	m->had = NULL;
	m->n_had = 0;
	m->state = MEMBER_CATCHUP;
	m->missed_at = 0;
}

/* The final state of some of what was missed. False: nothing is left. */
static bool catch_up_step(struct group_shard *gs, struct member *m)
{
	struct made made = {0};
	struct net n;
	unsigned done = 0;

	while (m->n_gone && done < RANGE) {
		struct gone g = m->gone[--m->n_gone];

		done++;
		if (!export_group_path(gs, g.index, g.path_id) && net_of(gs, g.index, &n))
			encoder_withdraw(gs->encoder, 0, &n.prefix, g.path_id);
	}
	for (; m->missed_at < m->missed_words && done < RANGE; m->missed_at++) {
		while (m->missed[m->missed_at]) {
			uint32_t index =
				m->missed_at * 64 + (uint32_t)__builtin_ctzll(m->missed[m->missed_at]);
			const struct path *p;

			m->missed[m->missed_at] &= m->missed[m->missed_at] - 1;
			if (!net_of(gs, index, &n))
				continue;
			done++;
			if (gs->group->mode == EXPORT_ALL) {
				announce_index(gs, gs->encoder, index, &n, m->own_source);
				continue;
			}
			p = export_group_path(gs, index, 0);
			if (p && p->source != m->own_source)
				encoder_announce(gs->encoder, 0, p->attrs, &n.prefix, 0);
			else
				encoder_withdraw(gs->encoder, 0, &n.prefix, 0);
		}
	}
	encoder_finish(gs->encoder, &made, false, m);
	give_private(m, &made);
	if (done)
		return true;
	/* A pass may have set bits behind missed_at: only a pass that found nothing is the end. */
	for (uint32_t i = 0; i < m->missed_words; i++)
		if (m->missed[i]) {
			m->missed_at = i;
			return true;
		}
	return m->n_gone > 0;
}

static void become_live(struct group_shard *gs, struct member *m)
{
	if (m->mark_end) {
		struct block *b = block_make(NULL, 0, m->mark_generation, BLOCK_DUMP_END);

		if (!ring_push(&m->ring, b)) {
			block_release(b);
			return; /* next time */
		}
		m->mark_end = false;
		peer_wake(m->peer);
	}
	free(m->missed);
	m->missed = NULL;
	m->missed_words = m->missed_at = 0;
	m->state = MEMBER_LIVE;
	gs->n_slow--;
	gs->n_live++;
	rib_shard_unpin(gs->group->table, gs->shard);
	peer_slow(m->peer, -1);
	peer_check_limit(m->peer, gs->number, export_group_member_exported(gs, m));
}

static bool has_room(struct member *m)
{
	if (ring_has_room(&m->ring, RANGE + 8))
		return true;
	atomic_store(&m->ring.wanted, true);
	return ring_has_room(&m->ring, RANGE + 8);
}

bool dump_run(struct rib_task *t, struct rib_shard *s, uint64_t deadline_ns)
{
	struct group_shard *gs = caa_container_of(t, struct group_shard, task);
	bool more = false;
	struct cds_list_head *node, *tmp;
	struct member *m;

	(void)s;
	export_group_flush(gs);
	do {
		more = false;
		/* A step for each in turn: those that dump together are at the same range and share its
		 * blocks. */
		cds_list_for_each_safe(node, tmp, &gs->members)
		{
			m = member_of(node);
			if (m->state == MEMBER_LIVE || m->state == MEMBER_JOINING || !has_room(m))
				continue;
			if (m->state == MEMBER_DUMP)
				dump_step(gs, m);
			else if (!catch_up_step(gs, m))
				become_live(gs, m);
			more = true;
		}
	} while (more && clock_now_ns() < deadline_ns);
	if (!more) {
		gs->task_started = false;
		if (!gs->n_slow)
			dump_drop_cache(gs);
	}
	return more;
}
