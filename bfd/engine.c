/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions come, change and go; the sweep that declares them Down; what is
 * told to the outside. See engine.h for who calls, core.h for the layout.
 *
 * Everything that a session says or does follows from its variables through
 * session_refresh(): a change is made by setting variables and refreshing, so
 * that packet, interval, detection time and publication cannot disagree.
 */
#include "bfd/core.h"
#include "shared/hash.h"
#include "shared/lines.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t round_up_block(uint32_t n)
{
	return (n + BFD_DETECT_BLOCK - 1) / BFD_DETECT_BLOCK * BFD_DETECT_BLOCK;
}

struct bfd_engine *bfd_engine_create(struct linkstate *ls, const struct bfd_engine_options *o)
{
	struct bfd_engine *e;
	uint32_t buckets = 64;

	if (!o->capacity || o->capacity > ls->header->capacity || o->capacity > SLOT_MASK + 1 ||
		o->worker >= LINKSTATE_RINGS)
		return NULL;
	e = map_lines(1, sizeof(*e));
	if (!e)
		return NULL;
	while (buckets < o->capacity && buckets < 1u << 16)
		buckets *= 2;
	e->capacity = o->capacity;
	e->ls = ls;
	e->worker = o->worker;
	e->coming = o->coming;
	e->coming_arg = o->coming_arg;
	e->random = o->seed ? o->seed : UINT64_C(0x9e3779b97f4a7c15);
	bfd_random(&e->random);
	e->hash_seed = (uint64_t)bfd_random(&e->random) << 32 | bfd_random(&e->random);
	e->hash_mask = buckets - 1;
	e->min_ttl[0] = e->min_ttl[1] = 255;
	e->deadline = map_lines(round_up_block(o->capacity), sizeof(*e->deadline));
	e->echo_deadline = map_lines(round_up_block(o->capacity), sizeof(*e->echo_deadline));
	e->hot = map_lines(o->capacity, sizeof(*e->hot));
	e->line = map_lines(2 * (size_t)o->capacity, sizeof(*e->line));
	e->link = map_lines(2 * (size_t)o->capacity, sizeof(*e->link));
	e->session = map_lines(o->capacity, sizeof(*e->session));
	e->hash = malloc(buckets * sizeof(*e->hash));
	if (!e->deadline || !e->echo_deadline || !e->hot || !e->line || !e->link || !e->session || !e->hash) {
		bfd_engine_destroy(e);
		return NULL;
	}
	memset(e->hash, 0xff, buckets * sizeof(*e->hash));
	bfd_pacer_init(&e->pacer, e->link);
	return e;
}

void bfd_engine_destroy(struct bfd_engine *e)
{
	if (!e)
		return;
	/* Slots never used are not touched: their pages need not come to life now. */
	for (uint32_t i = 0; e->session && i < e->sweep_end && i < e->capacity; i++)
		free(e->session[i].buffer);
	unmap_lines(e->deadline, round_up_block(e->capacity), sizeof(*e->deadline));
	unmap_lines(e->echo_deadline, round_up_block(e->capacity), sizeof(*e->echo_deadline));
	unmap_lines(e->hot, e->capacity, sizeof(*e->hot));
	unmap_lines(e->line, 2 * (size_t)e->capacity, sizeof(*e->line));
	unmap_lines(e->link, 2 * (size_t)e->capacity, sizeof(*e->link));
	unmap_lines(e->session, e->capacity, sizeof(*e->session));
	free(e->hash);
	unmap_lines(e, 1, sizeof(*e));
}

/* Lookup by address. Only the remote end is hashed: the local address of a session may be left open. */

static uint32_t *hash_chain(
	struct bfd_engine *e, const struct ipaddr *remote, uint32_t ifindex, bool multihop)
{
	uint64_t seed = e->hash_seed ^ ((uint64_t)ifindex << 1 | multihop);

	return &e->hash[hash_ipaddr(remote, seed) & e->hash_mask];
}

static bool is_multihop(const struct bfd_key *k)
{
	return k->kind == BFD_KIND_MULTIHOP;
}

/* Sessions that nobody else has a part in are never looked for by address. */
static bool has_kind(const struct bfd_key *k, bool multihop)
{
	return k->kind == (multihop ? BFD_KIND_MULTIHOP : BFD_KIND_SINGLEHOP);
}

uint32_t session_lookup(struct bfd_engine *e, const struct ipaddr *local, const struct ipaddr *remote,
	uint32_t ifindex, bool multihop)
{
	uint32_t open = BFD_NIL;

	if (multihop)
		ifindex = 0;
	for (uint32_t i = *hash_chain(e, remote, ifindex, multihop); i != BFD_NIL;
		i = e->session[i].hash_next) {
		const struct bfd_key *k = &e->session[i].key;

		if (!has_kind(k, multihop) || k->ifindex != ifindex || !ipaddr_equal(&k->remote, remote))
			continue;
		if (!local || ipaddr_equal(&k->local, local))
			return i;
		if (ipaddr_is_zero(&k->local))
			open = i;
	}
	return open;
}

static uint32_t find_key(struct bfd_engine *e, const struct bfd_key *key)
{
	for (uint32_t i = *hash_chain(e, &key->remote, key->ifindex, is_multihop(key)); i != BFD_NIL;
		i = e->session[i].hash_next) {
		const struct bfd_key *k = &e->session[i].key;
		if (k->kind == key->kind && k->ifindex == key->ifindex &&
			ipaddr_equal(&k->remote, &key->remote) && ipaddr_equal(&k->local, &key->local))
			return i;
	}
	return BFD_NIL;
}

static void hash_remove(struct bfd_engine *e, uint32_t slot)
{
	const struct bfd_key *k = &e->session[slot].key;
	uint32_t *link = hash_chain(e, &k->remote, k->ifindex, is_multihop(k));

	while (*link != slot)
		link = &e->session[*link].hash_next;
	*link = e->session[slot].hash_next;
}

/* Publication. */

void bfd_session_publish(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	struct session *s = &e->session[slot];
	const struct linkstate_entry *last = &s->published;
	struct linkstate_entry n = {
		.generation = s->generation,
		.state = s->state,
		.diag = s->diag,
		.remote_state = s->remote_state,
		.remote_diag = s->remote_diag,
		.remote_detect_mult = s->remote_mult,
		.owner = e->worker,
		.local_disc = s->local_disc,
		.remote_disc = s->remote_disc,
		.remote_min_tx_us = s->remote_min_tx_us,
		.remote_min_rx_us = s->remote_min_rx_us,
		.remote_min_echo_rx_us = s->remote_min_echo_rx_us,
		.tx_us = e->line[slot].interval_us,
		.detect_us = s->detect_ns / NS_PER_US > UINT32_MAX ? UINT32_MAX
								   : (uint32_t)(s->detect_ns / NS_PER_US),
	};

	if (s->remote_flags & BFD_FLAG_CPI)
		n.flags |= LINKSTATE_REMOTE_CBIT;
	if (s->remote_flags & BFD_FLAG_DEMAND)
		n.flags |= LINKSTATE_REMOTE_DEMAND;
	if (s->polling)
		n.flags |= LINKSTATE_POLLING;
	if (s->after_stall)
		n.flags |= LINKSTATE_AFTER_STALL;
	if (s->unresolved)
		n.flags |= LINKSTATE_UNRESOLVED;
	if (s->held)
		n.flags |= LINKSTATE_DAMPED;
	/* Up to the first of the times there are no holes in the structure. */
	if (memcmp(&n, last, offsetof(struct linkstate_entry, last_rx_ns)) == 0)
		return;
	n.last_rx_ns = e->hot[slot].last_rx_ns;
	n.detected_ns = s->since_ns;
	bool first = last->generation != n.generation;
	bool state = first || last->state != n.state;
	linkstate_write(e->ls, slot, &n);
	linkstate_push(e->ls, e->worker, slot);
	if (first || (state && (n.state == BFD_UP || last->state == BFD_UP || n.state == BFD_ADMIN_DOWN ||
				       last->state == BFD_ADMIN_DOWN)))
		e->notify = true;
	s->published = n;
}

bool bfd_engine_notify(struct bfd_engine *e)
{
	bool n = e->notify;

	e->notify = false;
	return n;
}

/* Counters are gathered where the packets already touch, and published now and then. */

void session_flush_counters(struct bfd_engine *e, uint32_t slot)
{
	struct linkstate_stats *st = &e->ls->stats[slot];
	struct session_hot *h = &e->hot[slot];
	struct bfd_line *l = &e->line[slot];

	if (h->rx_count) {
		stat_add(&st->rx_packets, h->rx_count);
		stat_add(&st->rx_bytes, h->rx_bytes);
		h->rx_count = h->rx_bytes = 0;
		if (h->worst_gap_us > stat_get(&st->worst_rx_gap_us))
			stat_set(&st->worst_rx_gap_us, h->worst_gap_us);
		h->worst_gap_us = 0;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (h->gap_count[i])
			stat_add(&st->rx_gap_hist[h->gap_base + i], h->gap_count[i]);
		h->gap_count[i] = 0;
	}
	echo_flush_counters(e, slot);
	if (l->tx_count) {
		const struct session *s = &e->session[slot];
		stat_add(&st->tx_packets, l->tx_count);
		stat_add(&st->tx_bytes,
			(uint64_t)l->tx_count * (l->composed ? s->buffer_len : BFD_PACKET_LEN));
		l->tx_count = 0;
		if (l->worst_gap_us > stat_get(&st->worst_tx_gap_us))
			stat_set(&st->worst_tx_gap_us, l->worst_gap_us);
		l->worst_gap_us = 0;
	}
}

static void flush_worker(struct bfd_engine *e)
{
	struct linkstate_worker *w = &e->ls->header->workers[e->worker];

	stat_add(&w->rx_packets, e->rx_packets);
	stat_add(&w->tx_packets, e->tx_packets);
	stat_add(&w->rx_invalid, e->rx_refused[BFD_RX_INVALID]);
	stat_add(&w->rx_ttl, e->rx_refused[BFD_RX_TTL]);
	stat_add(&w->rx_unknown, e->rx_refused[BFD_RX_UNKNOWN]);
	stat_add(&w->rx_ratelimited, e->rx_refused[BFD_RX_LIMITED]);
	e->rx_packets = e->tx_packets = 0;
	memset(e->rx_refused, 0, sizeof(e->rx_refused));
}

static void clear_stats(struct linkstate_stats *st)
{
	_Atomic uint64_t *const counters[] = {&st->rx_packets, &st->tx_packets, &st->rx_bytes, &st->tx_bytes,
		&st->rx_dropped, &st->rx_auth_failed, &st->up_count, &st->down_count, &st->worst_rx_gap_us,
		&st->worst_tx_gap_us, &st->last_down_ns, &st->last_down_rx_ns, &st->worst_overshoot_us,
		&st->echo_rx, &st->echo_tx};

	for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
		stat_set(counters[i], 0);
	for (unsigned i = 0; i < LINKSTATE_HIST; i++)
		stat_set(&st->rx_gap_hist[i], 0);
	stat_set(&st->rx_ttl, 0);
	stat_set(&st->down_after_stall, 0);
	stat_set(&st->rx_refused, 0);
}

/* Sections 6.5 and 6.8.3. */

static void start_poll(struct session *s, uint64_t now_ns)
{
	if (!s->remote_disc || is_self_timed(s))
		return; /* nobody to ask: what we say goes out in every packet anyway */
	s->polling = true;
	s->poll_on_wire = false;
	s->poll_ns = now_ns;
}

/* Section 6.8.3: not Up, at most one packet a second. */
static uint32_t wanted_tx_us(const struct session *s)
{
	if (s->state == BFD_UP || s->params.min_tx_us > s->params.idle_tx_us)
		return s->params.min_tx_us;
	return s->params.idle_tx_us;
}

/* While echo packets do the watching the remote need not send fast. */
static uint32_t wanted_rx_us(const struct session *s)
{
	if (echo_is_wanted(s) && s->params.min_rx_us && s->params.min_rx_us < BFD_MIN_IDLE_US)
		return BFD_MIN_IDLE_US;
	return s->params.min_rx_us;
}

/* Outside Up everything takes effect at once, and on the way to Up nothing gets slower: what was being asked
 * is moot. */
static void settle(struct session *s, uint64_t now_ns)
{
	uint32_t tx = wanted_tx_us(s), rx = wanted_rx_us(s);
	bool differs = tx != s->said_tx_us || rx != s->said_rx_us;

	s->polling = s->poll_guard = s->poll_again = false;
	s->said_tx_us = s->used_tx_us = tx;
	s->said_rx_us = s->used_rx_us = rx;
	if (differs)
		start_poll(s, now_ns);
}

void session_negotiate(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	struct session *s = &e->session[slot];
	uint32_t tx = wanted_tx_us(s), rx = wanted_rx_us(s);

	if (tx == s->said_tx_us && rx == s->said_rx_us) {
		s->poll_again = false;
		return;
	}
	if (s->state != BFD_UP || is_self_timed(s)) {
		settle(s, now_ns);
		return;
	}
	if (s->polling || s->poll_guard) {
		/* One poll, one set of values: else nobody can tell what a Final confirms. */
		s->poll_again = true;
		return;
	}
	s->poll_again = false;
	s->said_tx_us = tx;
	s->said_rx_us = rx;
	if (tx < s->used_tx_us)
		s->used_tx_us = tx;
	/* Detection must not get shorter before the remote has heard of it; 0, "send me nothing", is the
	 * longest. */
	if (!rx || (s->used_rx_us && rx > s->used_rx_us))
		s->used_rx_us = rx;
	start_poll(s, now_ns);
}

void session_poll_finished(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	struct session *s = &e->session[slot];

	s->polling = false;
	s->poll_guard = true;
	s->poll_ns = now_ns;
	s->used_tx_us = s->said_tx_us;
	s->used_rx_us = s->said_rx_us;
}

void session_keep_down(struct session *s, uint64_t until_ns)
{
	if (!s->held || until_ns > s->hold_ns)
		s->hold_ns = until_ns;
	s->held = true;
}

bool session_is_kept_down(struct session *s, uint64_t now_ns)
{
	if (s->held && now_ns >= s->hold_ns)
		s->held = false;
	return s->held;
}

/* The session has just gone Down. What a stall of our own did is not held against the link. */
static void dampen(struct session *s, uint64_t now_ns)
{
	const struct bfd_params *p = &s->params;
	uint64_t first, hold;

	if (!p->damp_flaps || s->after_stall)
		return;
	s->flap_ns[s->flap_next] = now_ns;
	s->flap_next = (uint8_t)((s->flap_next + 1) % BFD_DAMP_FLAPS);
	first = s->flap_ns[(unsigned)(s->flap_next + BFD_DAMP_FLAPS - p->damp_flaps) % BFD_DAMP_FLAPS];
	if (!first || now_ns - first > p->damp_within_us * NS_PER_US)
		return;
	/* It has behaved for as long as the longest hold: start again with the shortest. */
	if (s->hold_ns && now_ns > s->hold_ns + p->damp_max_us * NS_PER_US)
		s->damp_level = 0;
	hold = (uint64_t)p->damp_hold_us << s->damp_level;
	if (hold < p->damp_max_us)
		s->damp_level++;
	else
		hold = p->damp_max_us;
	memset(s->flap_ns, 0, sizeof(s->flap_ns)); /* these have been paid for */
	session_keep_down(s, now_ns + hold * NS_PER_US);
}

bool engine_was_stalled(const struct bfd_engine *e, uint64_t from_ns, uint64_t to_ns, uint64_t least_ns)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ENGINE_STALLS; i++) {
		const struct engine_stall *p = &e->stall[i];
		uint64_t from = p->from_ns > from_ns ? p->from_ns : from_ns;
		uint64_t to = p->to_ns < to_ns ? p->to_ns : to_ns;

		sum += to > from ? to - from : 0;
	}
	return sum && sum >= least_ns;
}

/* The remote has gone Down first. If we were silent for a packet's time or longer within its detection time,
 * that is why. */
static bool remote_suffered(const struct bfd_engine *e, const struct session *s, uint64_t now_ns)
{
	uint64_t interval = bfd_tx_interval(s->used_tx_us, s->remote_min_rx_us) * NS_PER_US;

	return engine_was_stalled(e, now_ns - s->params.detect_mult * interval, now_ns, interval);
}

void session_set_state(struct bfd_engine *e, uint32_t slot, uint8_t state, uint8_t diag, uint64_t now_ns)
{
	struct session *s = &e->session[slot];
	struct linkstate_stats *st = &e->ls->stats[slot];
	uint8_t old = s->state;

	session_leave_fast_path(e, slot);
	s->state = state;
	s->diag = diag;
	s->since_ns = now_ns;
	s->held = false;
	if (state == BFD_UP) {
		s->after_stall = false;
		stat_add(&st->up_count, 1);
	}
	if (old == BFD_UP) {
		/* What the sweep finds late it has judged itself. A remote that is AdminDown says so with its
		 * state. */
		if (diag == BFD_DIAG_NEIGHBOR_DOWN && s->remote_state == BFD_DOWN)
			s->after_stall = remote_suffered(e, s, now_ns);
		stat_add(&st->down_count, 1);
		stat_add(&st->down_after_stall, s->after_stall);
		stat_set(&st->last_down_ns, now_ns);
		stat_set(&st->last_down_rx_ns, e->hot[slot].last_rx_ns);
		session_flush_counters(e, slot);
	}
	if (old == BFD_UP && state == BFD_DOWN)
		dampen(s, now_ns);
	settle(s, now_ns);
}

/* What follows from the variables. */

static uint64_t detect_time_ns(const struct session *s)
{
	/* Demand mode is timed from the start of a poll instead; a remote that we told not to send cannot be
	 * late. */
	if (!s->remote_mult || (!s->used_rx_us && !is_self_timed(s)))
		return 0;
	if (is_demand_active(s) || is_self_timed(s))
		return (uint64_t)s->params.detect_mult * bfd_tx_interval(s->used_tx_us, s->remote_min_rx_us) *
		       NS_PER_US;
	return bfd_detect_time_us(s->remote_mult, s->used_rx_us, s->remote_min_tx_us) * NS_PER_US;
}

static uint64_t ticks_of(uint64_t ns)
{
	return (ns + (1u << BFD_TICK_SHIFT) - 1) >> BFD_TICK_SHIFT;
}

uint32_t session_deadline(uint64_t at_ns, uint64_t now_ns)
{
	if (at_ns > now_ns && ticks_of(at_ns - now_ns) >= BFD_TICKS_FAR)
		return bfd_tick_now(now_ns) + BFD_TICKS_FAR;
	return bfd_tick_deadline(at_ns);
}

/* What detection counts from. */
static uint64_t last_sign_of_life(const struct bfd_engine *e, uint32_t slot)
{
	uint64_t rx = e->hot[slot].last_rx_ns, grace = e->session[slot].grace_ns;

	return rx > grace ? rx : grace;
}

void session_set_deadline(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	struct session *s = &e->session[slot];
	uint64_t at = UINT64_MAX;

	if (is_demand_active(s)) {
		if (s->polling && s->poll_on_wire)
			at = s->poll_ns + s->detect_ns;
	} else if (s->heard && s->detect_ns) {
		at = last_sign_of_life(e, slot) + s->detect_ns;
	} else if (s->auth_rx.known && s->detect_ns) {
		at = last_sign_of_life(e, slot) + 2 * s->detect_ns; /* bfd.AuthSeqKnown, section 6.8.1 */
	}
	e->deadline[slot] = session_deadline(at, now_ns);
}

/* Section 6.8.7: may packets leave periodically? */
static bool may_send_periodically(const struct session *s)
{
	if (s->unresolved || !s->remote_min_rx_us)
		return false;
	if (s->params.passive && !s->remote_disc)
		return false;
	return !is_remote_demand_active(s) || s->polling;
}

bool session_may_transmit(const struct session *s)
{
	return !s->unresolved && !(s->params.passive && !s->remote_disc);
}

static bool build_packet(struct bfd_engine *e, uint32_t slot)
{
	struct session *s = &e->session[slot];
	struct bfd_line *l = &e->line[slot];
	uint8_t fresh[BFD_PACKET_LEN];
	struct bfd_packet p = {
		.diag = s->diag,
		.state = s->state,
		.detect_mult = s->params.detect_mult,
		.my_disc = s->local_disc,
		.your_disc = s->remote_disc,
		.min_tx_us = s->said_tx_us,
		.min_rx_us = s->said_rx_us,
		.min_echo_rx_us = s->params.min_echo_rx_us,
	};

	if (s->params.cbit)
		p.flags |= BFD_FLAG_CPI;
	if (is_demand_active(s))
		p.flags |= BFD_FLAG_DEMAND;
	if (is_self_timed(s))
		solo_fill(s, &p);
	bfd_packet_build(&p, fresh);
	l->packet[1] = l->base_flags;
	if (memcmp(fresh, l->packet, BFD_PACKET_LEN) == 0)
		return false;
	memcpy(l->packet, fresh, BFD_PACKET_LEN);
	l->base_flags = fresh[1];
	return true;
}

static void reschedule(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	struct bfd_line *l = &e->line[slot];

	if (e->link[slot].list == BFD_LIST_URGENT)
		return; /* is scheduled again when it has been sent */
	bfd_pacer_remove(&e->pacer, slot);
	if (!l->interval_us)
		return;
	uint64_t due = now_ns;
	if (l->was_sent)
		due = l->last_tx_ns + bfd_jitter_ns(l->interval_us, l->mult_one, bfd_random(&e->random));
	bfd_pacer_schedule(&e->pacer, slot, due > now_ns ? due : now_ns);
}

void session_refresh(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	struct session *s = &e->session[slot];
	struct bfd_line *l = &e->line[slot];
	bool was_demand = l->base_flags & BFD_FLAG_DEMAND, changed;

	session_negotiate(e, slot, now_ns);
	changed = build_packet(e, slot);

	if (was_demand && !is_demand_active(s))
		s->grace_ns = now_ns; /* the silence was agreed on: the remote needs time to speak up */

	/* Section 6.6: with Demand mode on either side nothing else would carry the change across. */
	if (changed && !s->polling && (was_demand || is_demand_active(s) || is_remote_demand_active(s)))
		start_poll(s, now_ns);

	uint32_t interval =
		may_send_periodically(s) ? bfd_tx_interval(s->used_tx_us, s->remote_min_rx_us) : 0;
	bool mult_one = s->params.detect_mult == 1;
	if (interval != l->interval_us || mult_one != l->mult_one) {
		l->interval_us = interval;
		l->mult_one = mult_one;
		l->steady = false;
		reschedule(e, slot, now_ns);
	}
	l->polling = s->polling;
	/* Before the very first packet the schedule spreads the sessions out; after it a change is told at
	 * once. */
	if (changed && (l->was_sent || s->heard) && session_may_transmit(s)) {
		l->pending |= BFD_PENDING_CHANGE;
		bfd_pacer_urge(&e->pacer, slot);
	}
	s->detect_ns = detect_time_ns(s);
	uint64_t ticks = s->detect_ns && !is_demand_active(s) ? ticks_of(s->detect_ns) : BFD_TICKS_FAR;
	e->hot[slot].detect_ticks = (uint32_t)(ticks < BFD_TICKS_FAR ? ticks : BFD_TICKS_FAR);
	session_set_deadline(e, slot, now_ns);
	echo_refresh(e, slot, now_ns);
	bfd_session_publish(e, slot, now_ns);
}

/* Section 6.8.1. The rest of what the remote said goes with its discriminator: it may come back as another,
 * and a RequiredMinRx of 0 remembered from before would keep us silent for ever. */
static void forget_remote(struct session *s)
{
	s->heard = false;
	s->remote_disc = s->key.kind == BFD_KIND_SBFD ? s->params.sbfd_disc : 0;
	s->remote_min_rx_us = 1;
	s->remote_state = BFD_DOWN;
	s->remote_flags = 0;
}

/* Sessions come, change, go. */

static int prepare_buffer(struct bfd_engine *e, uint32_t slot, const struct bfd_params *p, uint8_t kind)
{
	struct session *s = &e->session[slot];
	unsigned len = BFD_PACKET_LEN + bfd_auth_len(p);
	uint8_t *fresh = NULL;

	if (p->padded_len > len)
		len = p->padded_len;
	if (len > BFD_PACKET_LEN || kind == BFD_KIND_ECHO_ONLY) {
		fresh = calloc(1, len < BFD_PACKET_MAX ? BFD_PACKET_MAX : len);
		if (!fresh)
			return -ENOMEM;
	}
	session_flush_counters(e, slot); /* what was sent had the old length */
	free(s->buffer);
	s->buffer = fresh;
	s->buffer_len = (uint16_t)len;
	e->line[slot].composed = fresh != NULL;
	return 0;
}

static void take_min_ttl(struct bfd_engine *e, uint32_t slot)
{
	const struct session *s = &e->session[slot];
	uint8_t *least = &e->min_ttl[is_multihop(&s->key)];

	if (s->params.min_ttl < *least)
		*least = s->params.min_ttl;
	e->hot[slot].min_ttl = s->params.min_ttl;
}

void session_enter(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	struct session *s = &e->session[slot];
	uint32_t *chain = hash_chain(e, &s->key.remote, s->key.ifindex, is_multihop(&s->key));

	e->disc_salt = (s->local_disc ^ slot) & SLOT_MASK;
	s->hash_next = *chain;
	*chain = slot;
	if (!e->sessions++)
		e->maintained_ns = now_ns;
	if (e->sweep_end <= slot) {
		uint32_t end = round_up_block(slot + 1);
		for (uint32_t i = e->sweep_end; i < end; i++)
			e->deadline[i] = bfd_tick_now(now_ns) + BFD_TICKS_FAR;
		e->sweep_end = end;
	}
	take_min_ttl(e, slot);
}

void session_forget(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	session_leave_fast_path(e, slot);
	bfd_pacer_remove(&e->pacer, slot);
	e->deadline[slot] = bfd_tick_now(now_ns) + BFD_TICKS_FAR;
	echo_forget(e, slot);
	hash_remove(e, slot);
	memset(&e->session[slot], 0, sizeof(e->session[slot]));
	if (!--e->sessions) {
		e->min_ttl[0] = e->min_ttl[1] = 255;
		flush_worker(e);
	}
}

int bfd_engine_add(struct bfd_engine *e, uint32_t slot, uint32_t generation, uint32_t local_disc,
	const struct bfd_key *key, const struct bfd_params *p, uint64_t now_ns)
{
	struct session *s;

	if (slot >= e->capacity || !generation || !local_disc || bfd_params_check(key, p))
		return -EINVAL;
	if (e->sessions && ((local_disc ^ e->disc_salt) & SLOT_MASK) != slot)
		return -EINVAL;
	s = &e->session[slot];
	if (s->generation || find_key(e, key) != BFD_NIL)
		return -EEXIST;
	if (prepare_buffer(e, slot, p, key->kind) < 0)
		return -ENOMEM;

	uint8_t *buffer = s->buffer;
	uint16_t buffer_len = s->buffer_len;
	memset(s, 0, sizeof(*s));
	memset(&e->hot[slot], 0, sizeof(e->hot[slot]));
	memset(&e->line[slot], 0, sizeof(e->line[slot]));
	memset(&e->line[e->capacity + slot], 0, sizeof(e->line[slot]));
	clear_stats(&e->ls->stats[slot]);
	s->buffer = buffer;
	s->buffer_len = buffer_len;
	e->line[slot].composed = buffer != NULL;
	s->generation = generation;
	s->local_disc = local_disc;
	s->key = *key;
	s->params = *p;
	s->state = p->admin_down ? BFD_ADMIN_DOWN : BFD_DOWN;
	s->diag = p->admin_down ? BFD_DIAG_ADMIN_DOWN : BFD_DIAG_NONE;
	forget_remote(s);
	s->since_ns = now_ns;
	s->xmit_seq = bfd_random(&e->random);
	s->echo_cookie = (uint64_t)bfd_random(&e->random) << 32 | bfd_random(&e->random);
	s->said_tx_us = s->used_tx_us = wanted_tx_us(s);
	s->said_rx_us = s->used_rx_us = p->min_rx_us;
	session_enter(e, slot, now_ns);
	session_refresh(e, slot, now_ns);
	if (e->link[slot].list == BFD_LIST_WHEEL) {
		/* Many sessions are added at once: do not start them all in one slot. */
		uint64_t spread = (uint64_t)bfd_random(&e->random) * BFD_FIRST_TX_SPREAD_US >> 32;
		bfd_pacer_remove(&e->pacer, slot);
		bfd_pacer_schedule(&e->pacer, slot, now_ns + spread * NS_PER_US);
	}
	return 0;
}

static bool same_params(const struct bfd_params *a, const struct bfd_params *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

int bfd_engine_update(struct bfd_engine *e, uint32_t slot, const struct bfd_params *p, uint64_t now_ns)
{
	struct session *s;

	if (slot >= e->capacity || !e->session[slot].generation)
		return -ENOENT;
	s = &e->session[slot];
	if (bfd_params_check(&s->key, p))
		return -EINVAL;
	if (same_params(&s->params, p))
		return 0;
	if (prepare_buffer(e, slot, p, s->key.kind) < 0)
		return -ENOMEM;
	session_leave_fast_path(e, slot);
	if (p->auth_type != s->params.auth_type)
		s->auth_rx.known = false;
	bool was_admin_down = s->params.admin_down;
	s->params = *p;
	if (s->key.kind == BFD_KIND_SBFD)
		s->remote_disc = p->sbfd_disc;
	take_min_ttl(e, slot);
	if (p->admin_down && !was_admin_down)
		session_set_state(e, slot, BFD_ADMIN_DOWN, BFD_DIAG_ADMIN_DOWN, now_ns);
	else if (!p->admin_down && was_admin_down)
		session_set_state(e, slot, BFD_DOWN, BFD_DIAG_NONE, now_ns);
	session_refresh(e, slot, now_ns);
	return 0;
}

int bfd_engine_remove(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	struct linkstate_entry gone = {.owner = e->worker, .detected_ns = now_ns};
	struct session *s;

	if (slot >= e->capacity || !e->session[slot].generation)
		return -ENOENT;
	s = &e->session[slot];
	session_flush_counters(e, slot);
	free(s->buffer);
	session_forget(e, slot, now_ns);
	linkstate_write(e->ls, slot, &gone);
	linkstate_push(e->ls, e->worker, slot);
	e->notify = true;
	return 0;
}

void bfd_engine_set_resolved(struct bfd_engine *e, uint32_t slot, bool resolved, uint64_t now_ns)
{
	struct session *s;

	if (slot >= e->capacity || !e->session[slot].generation)
		return;
	s = &e->session[slot];
	if (s->unresolved == !resolved)
		return;
	s->unresolved = !resolved;
	if (!resolved) {
		e->line[slot].pending = 0;
		bfd_pacer_remove(&e->pacer, slot);
	}
	session_refresh(e, slot, now_ns);
}

/* Detection. */

/* How many packets must be missing. */
static uint8_t detect_mult(const struct session *s)
{
	return is_demand_active(s) || is_self_timed(s) ? s->params.detect_mult : s->remote_mult;
}

/* A detection time without packets. True if a session ended with it. */
static bool expire(struct bfd_engine *e, uint32_t slot, uint64_t now_ns, uint64_t deadline_ns)
{
	struct session *s = &e->session[slot];
	bool down = s->state == BFD_INIT || s->state == BFD_UP;
	uint64_t interval_ns = s->detect_ns / detect_mult(s);

	session_leave_fast_path(e, slot);
	forget_remote(s);
	if (down) {
		struct linkstate_stats *st = &e->ls->stats[slot];
		uint64_t over = (now_ns - deadline_ns) / NS_PER_US;

		if (over > stat_get(&st->worst_overshoot_us))
			stat_set(&st->worst_overshoot_us, over);
		/* A packet's time or more of our own within the silence: those packets may have been lost
		 * with us. */
		s->after_stall = engine_was_stalled(e, deadline_ns - s->detect_ns, deadline_ns, interval_ns);
		/* RFC 9747 section 2: what did not come back is an echo. */
		session_set_state(e, slot, BFD_DOWN,
			s->key.kind == BFD_KIND_ECHO_ONLY ? BFD_DIAG_ECHO_FAILED : BFD_DIAG_TIME_EXPIRED,
			now_ns);
	} else {
		s->polling = s->poll_guard = s->poll_again = false;
	}
	session_refresh(e, slot, now_ns);
	return down;
}

void bfd_engine_path_down(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	struct session *s;

	if (slot >= e->capacity || !e->session[slot].generation)
		return;
	s = &e->session[slot];
	if (s->state != BFD_UP && s->state != BFD_INIT)
		return;
	forget_remote(s);
	session_set_state(e, slot, BFD_DOWN, BFD_DIAG_PATH_DOWN, now_ns);
	session_refresh(e, slot, now_ns);
}

/* The deadline in ticks has come up: look at the real time. */
static bool check_late(struct bfd_engine *e, uint32_t slot, uint64_t until_ns, uint64_t now_ns)
{
	struct session *s = &e->session[slot];
	uint64_t since;

	if (!s->generation) {
		e->deadline[slot] = bfd_tick_now(now_ns) + BFD_TICKS_FAR;
		return false;
	}
	if (is_demand_active(s)) {
		if (s->polling && s->poll_on_wire && s->detect_ns && until_ns >= s->poll_ns + s->detect_ns)
			return expire(e, slot, now_ns, s->poll_ns + s->detect_ns);
	} else if (s->detect_ns) {
		since = last_sign_of_life(e, slot);
		if (s->heard && until_ns >= since + s->detect_ns)
			return expire(e, slot, now_ns, since + s->detect_ns);
		if (!s->heard && s->auth_rx.known && until_ns >= since + 2 * s->detect_ns)
			s->auth_rx.known = false;
	}
	session_set_deadline(e, slot, now_ns);
	return false;
}

/* What no packet triggers: counters, the end of the guard after a poll, verification in Demand mode. */
static void maintain(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	struct session *s = &e->session[slot];

	if (!s->generation)
		return;
	session_flush_counters(e, slot);
	if (s->polling)
		return;
	if (s->poll_guard && now_ns - s->poll_ns >= NS_PER_S) {
		/* Section 6.8.3, choice 2: far more than a round trip has passed. */
		s->poll_guard = false;
		session_refresh(e, slot, now_ns);
	} else if (is_demand_active(s) && now_ns - s->poll_ns >= s->params.idle_tx_us * NS_PER_US) {
		start_poll(s, now_ns);
		session_refresh(e, slot, now_ns);
		if (session_may_transmit(s)) {
			e->line[slot].pending |= BFD_PENDING_CHANGE;
			bfd_pacer_urge(&e->pacer, slot);
		}
	}
}

/* A share of the sessions each time, so that all are visited in MAINTENANCE_NS without a bump in any round.
 */
static void maintain_some(struct bfd_engine *e, uint64_t now_ns)
{
	uint64_t passed = now_ns - e->maintained_ns;
	uint32_t n;

	if (passed < MAINTENANCE_NS / 100 || !e->sweep_end)
		return;
	n = passed >= MAINTENANCE_NS ? e->sweep_end : (uint32_t)(e->sweep_end * passed / MAINTENANCE_NS) + 1;
	e->maintained_ns = now_ns;
	while (n--) {
		if (e->maintained_slot >= e->sweep_end || e->maintained_slot >= e->capacity)
			e->maintained_slot = 0;
		maintain(e, e->maintained_slot++, now_ns);
	}
	flush_worker(e);
}

unsigned bfd_engine_sweep(struct bfd_engine *e, uint64_t now_ns)
{
	uint64_t until_ns = engine_judges_until(e, now_ns);
	uint32_t now = bfd_tick_now(until_ns), end = e->sweep_end;
	unsigned down = 0;

	for (uint32_t i = 0; (i = bfd_detect_next(e->deadline, i, end, now)) < end; i++) {
		if (i >= e->capacity)
			e->deadline[i] = now + BFD_TICKS_FAR; /* filling of the last block */
		else
			down += check_late(e, i, until_ns, now_ns);
	}
	if (e->echo_end)
		down += echo_sweep(e, until_ns, now_ns);
	maintain_some(e, now_ns);
	return down;
}

void bfd_engine_stalled(struct bfd_engine *e, uint64_t gap_ns, uint64_t now_ns)
{
	struct linkstate_worker *w = &e->ls->header->workers[e->worker];

	stat_add(&w->stalls, 1);
	if (gap_ns > stat_get(&w->worst_stall_ns))
		stat_set(&w->worst_stall_ns, gap_ns);
	e->stall[e->stall_next++ % ENGINE_STALLS] =
		(struct engine_stall){now_ns > gap_ns ? now_ns - gap_ns : 0, now_ns};
}

void bfd_engine_drained(struct bfd_engine *e, uint64_t until_ns)
{
	e->drained_ns = until_ns;
}

uint64_t bfd_engine_next_ns(const struct bfd_engine *e, uint64_t now_ns)
{
	uint64_t next = bfd_pacer_next_ns(&e->pacer, now_ns), deadline;

	if (!e->sessions)
		return UINT64_MAX;
	/* The tick after: rounding must not make the caller wake up a microsecond too early and find nothing.
	 */
	uint32_t slack = bfd_detect_slack(e->deadline, e->sweep_end, bfd_tick_now(now_ns));
	uint32_t echo_slack = bfd_detect_slack(e->echo_deadline, e->echo_end, bfd_tick_now(now_ns));
	slack = echo_slack < slack ? echo_slack : slack;
	deadline = slack ? ((now_ns >> BFD_TICK_SHIFT) + slack) << BFD_TICK_SHIFT : now_ns;
	if (deadline < next)
		next = deadline;
	return next < now_ns + MAINTENANCE_NS ? next : now_ns + MAINTENANCE_NS;
}

const struct bfd_key *bfd_engine_key(const struct bfd_engine *e, uint32_t slot)
{
	return slot < e->capacity && e->session[slot].generation ? &e->session[slot].key : NULL;
}

const struct bfd_params *bfd_engine_params(const struct bfd_engine *e, uint32_t slot)
{
	return slot < e->capacity && e->session[slot].generation ? &e->session[slot].params : NULL;
}
