/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Receiving, RFC 5880 section 6.8.6. Nearly every packet repeats the one
 * before it: bfd_engine_rx() compares it with what is expected (core.h says
 * when that is enough) and stores the new deadline. All else goes the long
 * way through the text of the RFC in receive_control().
 */
#include "bfd/bucket.h"
#include "bfd/core.h"
#include <string.h>

/* Slow path: packets with Your Discriminator 0 need a look-up by address, and anybody can make those. */
#define SLOW_PER_S 20000u /* and twice the number of sessions, so that a mass start is not held up */
#define SLOW_BURST_NS (100 * NS_PER_MS)

static bool slow_path_token(struct bfd_engine *e, uint64_t now_ns)
{
	return bfd_bucket_take(
		&e->bucket_ns, NS_PER_S / (SLOW_PER_S + 2 * (uint64_t)e->sessions), SLOW_BURST_NS, now_ns);
}

static void count_outside(struct bfd_engine *e, uint32_t slot, unsigned bucket)
{
	struct session_hot *h = &e->hot[slot];

	/* The rhythm has changed, or this one is odd: publish what was gathered and gather around this one.
	 */
	session_flush_counters(e, slot);
	h->gap_base = (uint8_t)(bucket < LINKSTATE_HIST - 2 ? bucket : LINKSTATE_HIST - 2);
	h->gap_count[bucket < LINKSTATE_HIST - 1 ? bucket - h->gap_base : 1] = 1;
}

/* The packet has been received "for purposes of the Detection Time". */
static inline void account(struct bfd_engine *e, uint32_t slot, uint16_t len, uint64_t now_ns, bool steady)
{
	struct session_hot *h = &e->hot[slot];
	uint32_t gap = (uint32_t)((now_ns - h->last_rx_ns) / NS_PER_US);

	h->last_rx_ns = now_ns;
	h->rx_count++;
	h->rx_bytes += len;
	if (steady && gap > h->worst_gap_us)
		h->worst_gap_us = gap;
	/* With 25 % of jitter the gaps fall into two neighbouring buckets. */
	unsigned bucket = 31u - (unsigned)__builtin_clz(gap | 1), i = bucket - h->gap_base;
	if (__builtin_expect(i < 2 && h->gap_count[i] < UINT16_MAX, 1))
		h->gap_count[i]++;
	else
		count_outside(e, slot, bucket);
}

void session_account(struct bfd_engine *e, uint32_t slot, uint16_t len, uint64_t now_ns, bool steady)
{
	struct session *s = &e->session[slot];

	if (!s->heard) {
		s->heard = true;
		e->hot[slot].last_rx_ns = now_ns; /* no gap to what was forgotten */
	}
	account(e, slot, len, now_ns, steady);
}

enum bfd_rx_result engine_refuse(struct bfd_engine *e, enum bfd_rx_result why)
{
	e->rx_refused[why]++;
	return why;
}

enum bfd_rx_result session_drop(struct bfd_engine *e, uint32_t slot, enum bfd_rx_result why)
{
	struct linkstate_stats *st = &e->ls->stats[slot];

	stat_add(&st->rx_dropped, 1);
	switch (why) {
	case BFD_RX_AUTH: stat_add(&st->rx_auth_failed, 1); break;
	case BFD_RX_TTL: stat_add(&st->rx_ttl, 1); break;
	default: stat_add(&st->rx_refused, 1); break;
	}
	return engine_refuse(e, why);
}

static uint16_t port_of(const struct bfd_key *k)
{
	return k->kind == BFD_KIND_MULTIHOP ? BFD_PORT_MULTIHOP : BFD_PORT_CONTROL;
}

static enum bfd_rx_result find_session(struct bfd_engine *e, const struct bfd_rx *rx,
	const struct bfd_packet *p, uint64_t now_ns, uint32_t *slot)
{
	if (p->your_disc) {
		/* The discriminator alone: addresses and interface may change (section 6.3). */
		*slot = (p->your_disc ^ e->disc_salt) & SLOT_MASK;
		if (*slot >= e->capacity || !e->session[*slot].generation ||
			e->session[*slot].local_disc != p->your_disc)
			return BFD_RX_UNKNOWN;
		return BFD_RX_OK;
	}
	if (!slow_path_token(e, now_ns))
		return BFD_RX_LIMITED;
	*slot = session_lookup(e, &rx->dst, &rx->src, rx->ifindex, rx->dport == BFD_PORT_MULTIHOP);
	return *slot == BFD_NIL ? BFD_RX_UNKNOWN : BFD_RX_OK;
}

/* Remembers the packet if another one like it would change nothing, or if it were not for a Poll in it. */
static void expect_again(
	struct bfd_engine *e, uint32_t slot, const struct bfd_rx *rx, const struct bfd_packet *p)
{
	const struct session *s = &e->session[slot];
	struct session_hot *h = &e->hot[slot];

	h->dport = 0;
	if (s->state != BFD_UP || p->state != BFD_UP || s->params.auth_type != BFD_AUTH_NONE ||
		is_demand_active(s) || p->flags & BFD_FLAG_FINAL || !p->your_disc)
		return;
	memcpy(h->expect, rx->payload, BFD_PACKET_LEN);
	h->expect[1] &= (uint8_t)~BFD_FLAG_POLL;
	h->dport = rx->dport;
}

/* To be answered at once, whatever else the packet says. */
static void answer_poll(struct bfd_engine *e, uint32_t slot)
{
	if (e->session[slot].unresolved)
		return;
	e->line[slot].pending |= BFD_PENDING_FINAL;
	bfd_pacer_urge(&e->pacer, slot);
}

static enum bfd_rx_result receive_control(
	struct bfd_engine *e, const struct bfd_rx *rx, uint64_t now_ns, uint32_t *slot)
{
	enum bfd_rx_result result;
	struct bfd_transition t;
	struct bfd_packet p;
	struct session *s;
	bool steady;

	if (bfd_packet_parse(rx->payload, rx->len, &p) < 0)
		return engine_refuse(e, BFD_RX_INVALID);
	result = find_session(e, rx, &p, now_ns, slot);
	if (result != BFD_RX_OK)
		return engine_refuse(e, result);
	s = &e->session[*slot];
	if (is_self_timed(s))
		return session_drop(e, *slot, BFD_RX_REFUSED);
	if (rx->ttl < s->params.min_ttl)
		return session_drop(e, *slot, BFD_RX_TTL);
	if (rx->dport != port_of(&s->key))
		return session_drop(e, *slot, BFD_RX_REFUSED);
	if (bfd_auth_verify(&s->params, rx->payload, &p, &s->auth_rx) < 0)
		return session_drop(e, *slot, BFD_RX_AUTH);

	session_leave_fast_path(e, *slot);
	/* A gap that spans a change of rhythm says nothing about loss. */
	steady = s->state == BFD_UP && s->remote_min_tx_us == p.min_tx_us;
	s->remote_disc = p.my_disc;
	s->remote_state = p.state;
	s->remote_diag = p.diag;
	s->remote_mult = p.detect_mult;
	s->remote_flags = p.flags & (BFD_FLAG_CPI | BFD_FLAG_DEMAND);
	s->remote_min_tx_us = p.min_tx_us;
	s->remote_min_rx_us = p.min_rx_us;
	s->remote_min_echo_rx_us = p.min_echo_rx_us;
	if (p.flags & BFD_FLAG_FINAL) {
		if (s->polling && s->poll_on_wire)
			session_poll_finished(e, *slot, now_ns);
	} else if (s->poll_guard) {
		s->poll_guard = false; /* what was wished for meanwhile may be asked now */
	}
	if (s->state == BFD_ADMIN_DOWN) {
		/* Discarded as far as the state machine goes, but still the remote's latest word, and
		 * forgotten in time. */
		s->heard = true;
		e->hot[*slot].last_rx_ns = now_ns;
		session_refresh(e, *slot, now_ns);
		return session_drop(e, *slot, BFD_RX_REFUSED);
	}
	t = bfd_fsm_receive(s->state, p.state);
	if (t.changed && !session_is_kept_down(s, now_ns))
		session_set_state(e, *slot, t.state, t.diag, now_ns);
	/* Time of the last packet first: the new deadline counts from it. */
	session_account(e, *slot, rx->len, now_ns, steady);
	session_refresh(e, *slot, now_ns);
	if (p.flags & BFD_FLAG_POLL)
		answer_poll(e, *slot);
	expect_again(e, *slot, rx, &p);
	return BFD_RX_OK;
}

/* But for the P bit of a. */
static inline bool same_packet(const uint8_t *a, const uint8_t *b)
{
	static const uint8_t poll[8] = {0, BFD_FLAG_POLL};
	uint64_t x[3], y[3], p;

	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	memcpy(&p, poll, sizeof(p));
	return (((x[0] ^ y[0]) & ~p) | (x[1] ^ y[1]) | (x[2] ^ y[2])) == 0;
}

enum bfd_rx_result bfd_engine_rx(
	struct bfd_engine *e, const struct bfd_rx *rx, uint64_t now_ns, uint32_t *slot)
{
	bool multihop = rx->dport == BFD_PORT_MULTIHOP;
	struct session_hot *h;
	uint32_t i;

	e->rx_packets++;
	if (__builtin_expect(rx->dport == BFD_PORT_ECHO, 0))
		return echo_receive(e, rx, now_ns, slot);
	if (__builtin_expect(rx->sport == BFD_PORT_SBFD && !multihop && rx->dport != BFD_PORT_CONTROL, 0)) {
		enum bfd_rx_result r = solo_receive(e, rx, now_ns, slot);
		return r == BFD_RX_UNKNOWN ? engine_refuse(e, r) : r;
	}
	if (rx->len < BFD_PACKET_LEN || (rx->dport != BFD_PORT_CONTROL && !multihop))
		return engine_refuse(e, BFD_RX_INVALID);
	if (rx->ttl < e->min_ttl[multihop])
		return engine_refuse(e, BFD_RX_TTL);
	i = (bfd_get32(rx->payload + 8) ^ e->disc_salt) & SLOT_MASK;
	if (i < e->capacity) {
		h = &e->hot[i];
		if (h->dport == rx->dport && rx->ttl >= h->min_ttl && same_packet(rx->payload, h->expect)) {
			*slot = i;
			/* The deadline rounds the time up and the detection time was rounded up: never early.
			 */
			e->deadline[i] = bfd_tick_deadline(now_ns) + h->detect_ticks;
			account(e, i, rx->len, now_ns, true);
			if (__builtin_expect(rx->payload[1] & BFD_FLAG_POLL, 0))
				answer_poll(e, i);
			return BFD_RX_OK;
		}
	}
	return receive_control(e, rx, now_ns, slot);
}

bool bfd_rx_may_begin(const struct bfd_rx *rx)
{
	struct bfd_packet p;

	return rx->dport == BFD_PORT_CONTROL && rx->ttl == 255 &&
	       bfd_packet_parse(rx->payload, rx->len, &p) == 0 && !p.your_disc && p.state == BFD_DOWN;
}

void bfd_engine_rx_prefetch(const struct bfd_engine *e, const uint8_t *payload)
{
	uint32_t i = (bfd_get32(payload + 8) ^ e->disc_salt) & SLOT_MASK;

	if (i < e->capacity) {
		__builtin_prefetch(&e->hot[i], 1);
		__builtin_prefetch(&e->deadline[i], 1);
	}
}
