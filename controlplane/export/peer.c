/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A peer: its rings' other end, and its life across the shards.
 *
 *   shards    push blocks into member[i].ring and wake the session
 *   session   export_take(), export_sent(): the only consumer
 *   owner     (main or the session's thread) attaches, reconfigures, detaches
 *
 * Waking: `asleep` is set by the session when it found nothing, then it looks
 * once more; a shard that pushed exchanges it to false and wakes if it was true.
 * Both are sequentially consistent: either the session sees the block in its
 * second look or the shard sees asleep.
 *
 * Detaching: `dead` is set, then callers of wake() that began before are waited
 * for (`in_wake`); so none comes after export_detach() returned. The memory is
 * freed when every shard has let the member go.
 */
#include "controlplane/export/group.h"
#include "shared/log.h"
#include "shared/rcu.h"
#include <sched.h>
#include <string.h>

struct export_peer {
	struct export_engine *engine;
	struct export_peer_config cf;
	struct group *group;
	struct lane *lane;
	pthread_mutex_t lock; /* group and lane as readers of the counters see them */
	unsigned n_shards;
	_Atomic bool dead, asleep, limit_was_hit;
	_Atomic(struct limit_config) limit; /* read by the shards */
	_Atomic unsigned in_wake, leaving;
	_Atomic unsigned slow; /* shards that have it off LIVE */
	/* the session's thread only */
	unsigned cur;        /* ring being read */
	uint32_t segment;    /* of its first block */
	size_t segment_done; /* bytes of that which are out */
	uint8_t own[512];    /* end-of-RIB, refresh marks: between blocks */
	size_t own_len, own_done;
	bool taking_own;
	unsigned ends;       /* DUMP_END marks seen of the present dump */
	uint32_t generation; /* of the present dump: a refresh begins another */
	bool enhanced;       /* the end of this dump is said with EoRR */
	bool first_dump;
	uint64_t messages, bytes;
	uint32_t *exported; /* by shard: relaxed atomics */
	/* By shard. A counter of the peer is group's and lane's now, less base; feed: the peer's when the
	 * feed that is under way began. Written by the shard's thread; relaxed atomics. */
	struct peer_counts {
		uint64_t updates, rejected, accepted, withdraws, withdrawn;
	} * base, *feed;
	struct member *member; /* by shard */
};

void peer_slow(struct export_peer *p, int change)
{
	atomic_fetch_add_explicit(&p->slow, (unsigned)change, memory_order_relaxed);
}

void peer_wake(struct export_peer *p)
{
	if (!atomic_exchange(&p->asleep, false))
		return;
	atomic_fetch_add(&p->in_wake, 1);
	if (!atomic_load(&p->dead))
		p->cf.wake(p->cf.ctx);
	atomic_fetch_sub(&p->in_wake, 1);
}

void peer_given(struct export_peer *p, uint64_t bytes)
{
	/* The session may have taken some out again by now. Parts of a table do not count. */
	if (bytes)
		atomic_fetch_add_explicit(&p->engine->waiting, (int64_t)bytes, memory_order_relaxed);
	peer_wake(p);
}

static struct block *take_out(struct export_peer *p, unsigned i)
{
	struct block *b = ring_pop(&p->member[i].ring);

	if (b->change)
		atomic_fetch_sub_explicit(&p->engine->waiting, b->len, memory_order_relaxed);
	return b;
}

uint64_t export_peer_waiting(const struct export_peer *p)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < p->n_shards; i++)
		sum += atomic_load_explicit(&p->member[i].ring.queued, memory_order_relaxed);
	return sum;
}

void peer_check_limit(struct export_peer *p, unsigned shard, uint32_t exported, bool blocked)
{
	struct limit_config limit = atomic_load_explicit(&p->limit, memory_order_relaxed);
	uint64_t sum = 0;

	__atomic_store_n(&p->exported[shard], exported, __ATOMIC_RELAXED);
	if (limit.action == LIMIT_NONE)
		return;
	for (unsigned i = 0; i < p->n_shards; i++)
		sum += __atomic_load_n(&p->exported[i], __ATOMIC_RELAXED);
	if (limit.action == LIMIT_BLOCK ? !blocked : sum <= limit.value) {
		atomic_store(&p->limit_was_hit, false);
		return;
	}
	if (atomic_exchange(&p->limit_was_hit, true))
		return;
	atomic_fetch_add(&p->in_wake, 1);
	if (!atomic_load(&p->dead) && p->cf.limit_hit)
		p->cf.limit_hit(p->cf.ctx, limit.action);
	atomic_fetch_sub(&p->in_wake, 1);
}

/* ---- calls into the shards ---- */

struct shard_call {
	struct export_peer *peer;
	struct group *group, *to;
	struct lane *lane;
	uint32_t generation;
};

static void call_all(
	struct export_peer *p, void (*fn)(struct rib_shard *, void *), struct group *g, struct group *to)
{
	/* The peer may be gone when the last shard has been told. */
	struct shard_call proto = {p, g, to, p->lane, p->generation};
	struct rib *rib = p->engine->rib;
	unsigned n = p->n_shards;

	for (unsigned i = 0; i < n; i++) {
		struct shard_call *c = malloc(sizeof(*c));

		if (!c)
			abort();
		*c = proto;
		rib_shard_call(rib, i, fn, c);
	}
}

static uint64_t load(const uint64_t *v)
{
	return __atomic_load_n(v, __ATOMIC_RELAXED);
}

/* Of group and lane. Any thread. */
static struct peer_counts counters(const struct group_shard *gs, const struct lane *l)
{
	return (struct peer_counts){
		.updates = load(&gs->stats.updates_received),
		.rejected = load(&gs->stats.updates_rejected),
		.accepted = load(&l->shard[gs->number].accepted),
		.withdraws = load(&gs->stats.withdraws_received),
		.withdrawn = load(&gs->stats.withdraws_accepted),
	};
}

static struct peer_counts less(const struct peer_counts *a, const struct peer_counts *b)
{
	return (struct peer_counts){
		.updates = a->updates - load(&b->updates),
		.rejected = a->rejected - load(&b->rejected),
		.accepted = a->accepted - load(&b->accepted),
		.withdraws = a->withdraws - load(&b->withdraws),
		.withdrawn = a->withdrawn - load(&b->withdrawn),
	};
}

static struct peer_counts counted(
	const struct export_peer *p, const struct group_shard *gs, const struct lane *l)
{
	struct peer_counts now = counters(gs, l);

	return less(&now, &p->base[gs->number]);
}

/* From now on the peer's counters are `counts` and what comes. */
static void count_from(struct export_peer *p, const struct group_shard *gs, const struct lane *l,
	const struct peer_counts *counts)
{
	struct peer_counts now = counters(gs, l), b = less(&now, counts), *to = &p->base[gs->number];

	__atomic_store_n(&to->updates, b.updates, __ATOMIC_RELAXED);
	__atomic_store_n(&to->rejected, b.rejected, __ATOMIC_RELAXED);
	__atomic_store_n(&to->accepted, b.accepted, __ATOMIC_RELAXED);
	__atomic_store_n(&to->withdraws, b.withdraws, __ATOMIC_RELAXED);
	__atomic_store_n(&to->withdrawn, b.withdrawn, __ATOMIC_RELAXED);
}

void peer_feed_begins(struct export_peer *p, const struct group_shard *gs, const struct lane *l)
{
	p->feed[gs->number] = counted(p, gs, l);
}

/* What has changed meanwhile is in what was fed. */
void peer_fed(struct export_peer *p, const struct group_shard *gs, const struct lane *l, uint64_t routes,
	uint64_t own, uint64_t got)
{
	struct peer_counts c = counted(p, gs, l), *before = &p->feed[gs->number];

	c.updates = before->updates + routes;
	c.rejected = before->rejected + own;
	c.accepted = before->accepted + got;
	count_from(p, gs, l, &c);
}

static void join_in_shard(struct rib_shard *s, void *arg)
{
	struct shard_call *c = arg;
	unsigned i = rib_shard_index(s);

	count_from(c->peer, &c->group->shard[i], c->lane, &(struct peer_counts){0});
	export_group_join(c->group, s, &c->peer->member[i], c->lane);
	free(c);
}

static void free_peer(struct export_peer *p)
{
	export_lane_put(p->group, p->lane);
	export_group_put(p->group);
	pthread_mutex_destroy(&p->lock);
	filter_ref_release(&p->cf.filter);
	free(p->member);
	free(p->exported);
	free(p->base);
	free(p->feed);
	free(p);
}

static void leave_in_shard(struct rib_shard *s, void *arg)
{
	struct shard_call *c = arg;
	struct export_peer *p = c->peer;
	struct member *m = &p->member[rib_shard_index(s)];

	export_group_leave(c->group, s, m);
	while (ring_count(&m->ring))
		block_release(take_out(p, rib_shard_index(s))); /* the session has stopped reading */
	free(c);
	if (atomic_fetch_sub(&p->leaving, 1) == 1)
		free_peer(p);
}

static void move_in_shard(struct rib_shard *s, void *arg)
{
	struct shard_call *c = arg;
	unsigned i = rib_shard_index(s);
	struct member *m = &c->peer->member[i];
	struct peer_counts have = counted(c->peer, &c->group->shard[i], m->lane);

	count_from(c->peer, &c->to->shard[i], c->lane, &have);
	export_group_move(c->group, c->to, s, m, c->lane);
	export_group_put(c->group); /* one reference was taken for each shard */
	free(c);
}

static void redump_in_shard(struct rib_shard *s, void *arg)
{
	struct shard_call *c = arg;

	export_group_redump(c->group, s, &c->peer->member[rib_shard_index(s)], c->generation);
	free(c);
}

static void room_in_shard(struct rib_shard *s, void *arg)
{
	struct shard_call *c = arg;
	struct export_peer *p = c->peer;
	struct member *m = &p->member[rib_shard_index(s)];

	if (m->joined)
		export_group_room(c->group, s);
	free(c);
}

/* ---- the owner's side ---- */

struct export_peer *export_attach(struct export_engine *x, const struct export_peer_config *c)
{
	unsigned n = rib_shards(x->rib);
	struct export_peer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->engine = x;
	p->cf = *c;
	p->n_shards = n;
	p->member = aligned_alloc(64, n * sizeof(*p->member));
	p->exported = calloc(n, sizeof(*p->exported));
	p->base = calloc(n, sizeof(*p->base));
	p->feed = calloc(n, sizeof(*p->feed));
	if (p->member && p->exported && p->base && p->feed)
		p->group = export_group_get(x, c, &p->lane);
	if (!p->group) {
		free(p->member);
		free(p->exported);
		free(p->base);
		free(p->feed);
		free(p);
		return NULL;
	}
	pthread_mutex_init(&p->lock, NULL);
	memset(p->member, 0, n * sizeof(*p->member));
	filter_ref_hold(&p->cf.filter);
	for (unsigned i = 0; i < n; i++) {
		p->member[i].peer = p;
		p->member[i].own_source = c->own_source;
		p->member[i].observer = c->observer;
	}
	p->first_dump = true;
	atomic_init(&p->asleep, true);
	atomic_init(&p->leaving, n);
	atomic_init(&p->limit, c->export_limit);
	atomic_fetch_add_explicit(&x->receivers, 1, memory_order_relaxed);
	call_all(p, join_in_shard, p->group, NULL);
	return p;
}

void export_reconfigure(struct export_peer *p, const struct export_peer_config *c)
{
	struct group *old = p->group, *new;
	struct lane *old_lane = p->lane, *lane;

	filter_ref_hold(&c->filter);
	filter_ref_release(&p->cf.filter);
	p->cf.filter = c->filter;
	atomic_store_explicit(&p->limit, c->export_limit, memory_order_relaxed);
	p->cf.mode = c->mode;
	memcpy(&p->cf.class, &c->class, sizeof(c->class));
	atomic_store(&p->limit_was_hit, false);
	if (export_group_same(old, c) && filter_same(&old_lane->filter, &c->filter))
		return;
	new = export_group_get(p->engine, c, &lane);
	if (!new) {
		log_msg(LOG_CLASS_ERROR, "Out of memory: an export filter could not be changed");
		return;
	}
	pthread_mutex_lock(&p->lock);
	p->group = new;
	p->lane = lane;
	pthread_mutex_unlock(&p->lock);
	/* One reference on the old ones for each shard's call, the peer's own included. */
	export_lane_hold(old, old_lane, p->n_shards - 1);
	pthread_mutex_lock(&p->engine->lock);
	old->refs += p->n_shards - 1;
	pthread_mutex_unlock(&p->engine->lock);
	call_all(p, move_in_shard, old, new);
}

void export_detach(struct export_peer *p)
{
	atomic_fetch_sub_explicit(&p->engine->receivers, 1, memory_order_relaxed);
	atomic_store(&p->dead, true);
	while (atomic_load(&p->in_wake))
		sched_yield();
	call_all(p, leave_in_shard, p->group, NULL);
}

static void say_refresh(struct export_peer *p, uint8_t subtype)
{
	uint8_t *b = p->own + p->own_len;

	if (p->own_len + 23 > sizeof(p->own))
		return;
	memset(b, 0xff, 16);
	b[16] = 0;
	b[17] = 23;
	b[18] = 5; /* ROUTE-REFRESH, RFC 7313 section 4 */
	b[19] = 0;
	b[20] = p->cf.encode.afi;
	b[21] = subtype;
	b[22] = p->cf.encode.safi;
	p->own_len += 23;
}

void export_refresh(struct export_peer *p, bool enhanced)
{
	p->ends = 0;
	p->generation++;
	p->enhanced = enhanced;
	if (enhanced)
		say_refresh(p, 1);
	call_all(p, redump_in_shard, p->group, NULL);
	atomic_store(&p->asleep, true);
	peer_wake(p);
}

/* ---- the session's side ---- */

static void ask_for_more(struct export_peer *p, unsigned i)
{
	struct shard_call *c;

	if (!ring_is_wanted(&p->member[i].ring))
		return;
	c = malloc(sizeof(*c));
	if (!c)
		abort();
	*c = (struct shard_call){p, p->group, NULL, NULL, 0};
	rib_shard_call(p->engine->rib, i, room_in_shard, c);
}

static void dump_ended(struct export_peer *p, uint32_t generation)
{
	if (generation != p->generation || ++p->ends < p->n_shards)
		return;
	p->ends = 0;
	if (p->first_dump) {
		p->first_dump = false;
		if (p->cf.end_of_rib && p->own_len + 64 < sizeof(p->own))
			p->own_len += bgp_encode_end_of_rib(
				&p->cf.encode, p->own + p->own_len, sizeof(p->own) - p->own_len);
	}
	if (p->enhanced) {
		say_refresh(p, 2);
		p->enhanced = false;
	}
}

static void pop(struct export_peer *p, unsigned i)
{
	struct block *b = take_out(p, i);

	if (b->mark == BLOCK_DUMP_END)
		dump_ended(p, b->generation);
	p->segment = 0;
	p->segment_done = 0;
	block_release(b);
	ask_for_more(p, i);
}

/* The first segment from `at` on that is for the peer; n_segments: none. */
static uint32_t next_segment(const struct export_peer *p, const struct block *b, uint32_t at, uint32_t bit)
{
	while (at < b->n_segments && !block_is_for(b, &b->segment[at], bit, p->cf.own_source))
		at++;
	return at;
}

static uint32_t begin_of(const struct block *b, uint32_t segment)
{
	return segment ? b->segment[segment - 1].end : 0;
}

/* Passes over marks and over what is not for the peer at the front of the ring. */
static void skip(struct export_peer *p)
{
	struct ring *r = &p->member[p->cur].ring;
	struct block *b;
	uint32_t bit;

	while (ring_count(r)) {
		b = ring_peek(r, 0, &bit);
		if (b->mark == BLOCK_DATA) {
			p->segment = next_segment(p, b, p->segment, bit);
			if (p->segment < b->n_segments)
				return;
		}
		pop(p, p->cur);
	}
}

/* Fills iov from one ring, whose blocks stay there until they are sent. Segments beside each other are one
 * piece. */
static unsigned take_ring(struct export_peer *p, struct iovec *iov, unsigned max)
{
	struct ring *r = &p->member[p->cur].ring;
	uint32_t count = ring_count(r), bit;
	size_t done = p->segment_done;
	unsigned n = 0;

	for (uint32_t k = 0; k < count; k++) {
		struct block *b = ring_peek(r, k, &bit);
		uint32_t at = k ? 0 : p->segment, joined = 0; /* where the last piece ended in this block */

		if (b->mark != BLOCK_DATA)
			break;
		while ((at = next_segment(p, b, at, bit)) < b->n_segments) {
			size_t from = begin_of(b, at) + done, len = b->segment[at].end - from;

			if (n && joined && joined == from) {
				iov[n - 1].iov_len += len;
			} else {
				if (n == max)
					return n;
				iov[n++] = (struct iovec){(void *)(uintptr_t)(b->bytes + from), len};
			}
			joined = b->segment[at++].end;
			done = 0;
		}
	}
	return n;
}

static bool take_own(struct export_peer *p, struct iovec *iov)
{
	if (p->own_done == p->own_len)
		return false;
	p->taking_own = true;
	iov[0] = (struct iovec){p->own + p->own_done, p->own_len - p->own_done};
	return true;
}

static unsigned take(struct export_peer *p, struct iovec *iov, unsigned max)
{
	unsigned n;

	if (p->segment_done) /* in the middle of something: that ring goes on */
		return take_ring(p, iov, max);
	for (unsigned i = 0; i < p->n_shards; i++) {
		skip(p);
		if (take_own(p, iov))
			return 1;
		n = take_ring(p, iov, max);
		if (n)
			return n;
		p->cur = (p->cur + 1) % p->n_shards;
	}
	return take_own(p, iov);
}

unsigned export_take(struct export_peer *p, struct iovec *iov, unsigned max)
{
	unsigned n;

	p->taking_own = false;
	n = take(p, iov, max);
	if (n)
		return n;
	atomic_store(&p->asleep, true);
	n = take(p, iov, max);
	if (n)
		atomic_store(&p->asleep, false);
	return n;
}

void export_sent(struct export_peer *p, size_t bytes)
{
	struct ring *r = &p->member[p->cur].ring;

	if (p->taking_own) {
		p->own_done += bytes;
		if (p->own_done == p->own_len) {
			p->bytes += p->own_len;
			p->own_len = p->own_done = 0;
		}
		return;
	}
	p->bytes += bytes;
	while (bytes) {
		uint32_t bit;
		const struct block *b = ring_peek(r, 0, &bit);
		size_t left;

		p->segment = next_segment(p, b, p->segment, bit);
		if (p->segment == b->n_segments) {
			pop(p, p->cur);
			continue;
		}
		left = b->segment[p->segment].end - begin_of(b, p->segment) - p->segment_done;
		if (bytes < left) {
			p->segment_done += bytes;
			return;
		}
		bytes -= left;
		p->messages += b->segment[p->segment].messages;
		p->segment_done = 0;
		if (++p->segment == b->n_segments)
			pop(p, p->cur);
	}
}

void export_peer_stats(const struct export_peer *p, struct export_peer_stats *out)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&p->lock;

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(lock);
	for (unsigned i = 0; i < p->n_shards; i++) {
		struct peer_counts c = counted(p, &p->group->shard[i], p->lane);

		out->exported += __atomic_load_n(&p->exported[i], __ATOMIC_RELAXED);
		out->updates_received += c.updates;
		out->updates_rejected += c.rejected;
		out->updates_accepted += c.accepted;
		out->withdraws_received += c.withdraws;
		out->withdraws_accepted += c.withdrawn;
		out->backlog_blocks += ring_count(&p->member[i].ring);
	}
	pthread_mutex_unlock(lock);
	/* What neither the rules nor the filter let through: counted by what is left. */
	if (out->updates_received > out->updates_rejected + out->updates_accepted)
		out->updates_filtered = out->updates_received - out->updates_rejected - out->updates_accepted;
	out->messages = p->messages;
	out->bytes = p->bytes;
	out->detached = !p->first_dump && atomic_load_explicit(&p->slow, memory_order_relaxed) > 0;
}

/* ---- for readers ---- */

/* Could the route be sent: rules and filter? */
static bool takes(struct rib *rib, const struct export_peer_config *c, struct filter_vm *vm,
	const struct rib_net_view *view, unsigned route, bool *rejected_by_filter, bool *changed,
	struct attrs *out)
{
	const struct rib_route_view *r = &view->routes[route];
	const struct rib_source *src;
	const struct rib_source_config *from;
	const struct attrs *a;

	if (!r->attrs || (r->flags & (ROUTE_FILTERED | ROUTE_UNREACHABLE)) || r->source == c->own_source)
		return false;
	src = rib_source_by_id(rib, r->source);
	from = src ? rib_source_config(src) : NULL;
	a = attrs_get(r->attrs);
	if (!bgp_export_allowed(&c->class, a, from))
		return false;
	if (policy_filter(&c->filter, vm, &view->net, a, from, changed, out))
		return true;
	*rejected_by_filter = true;
	return false;
}

/* Is the route among those that `add paths send` chooses? */
static bool chooses(struct rib *rib, const struct export_peer_config *c, struct filter_vm *vm,
	const struct rib_net_view *view, unsigned route, struct attrs *scratch)
{
	unsigned n = view->n_routes < RIB_MAX_ROUTES ? view->n_routes : RIB_MAX_ROUTES, k;
	struct selection s = {0};
	bool chosen, filtered, changed;

	n = selection_rank(&s, rib, rib_table_is_sorted(c->table), view->routes, n);
	selection_begin(&s, &c->choice, 1);
	for (k = 0; k < n; k++) {
		uint64_t can = takes(rib, c, vm, view, s.rank[k], &filtered, &changed, scratch);

		selection_take(&s, k, &can);
		if (s.rank[k] == route)
			break;
	}
	chosen = k < n && s.get[0];
	selection_free(&s);
	return chosen;
}

bool export_would_send(struct rib *rib, const struct export_peer_config *c, struct filter_vm *vm,
	const struct rib_net_view *view, unsigned route, bool *rejected_by_filter, bool *changed,
	struct attrs *out)
{
	*rejected_by_filter = false;
	*changed = false;
	if (c->mode == EXPORT_BEST && route != 0)
		return false;
	if (c->mode == EXPORT_ALL && path_choice_is_some(&c->choice) &&
		!chooses(rib, c, vm, view, route, out)) {
		/* `noexport` shows it where it is the filter that does not take it. */
		takes(rib, c, vm, view, route, rejected_by_filter, changed, out);
		return false;
	}
	return takes(rib, c, vm, view, route, rejected_by_filter, changed, out);
}
