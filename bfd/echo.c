/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Echo function, RFC 5880 sections 6.4, 6.8.5, 6.8.8, 6.8.9 and RFC 5881.
 *
 * Our own: while the session is Up and the remote has offered it, packets that
 * the remote forwards back to us; when none has come back for DetectMult times
 * the interval the session goes Down with diagnostic 2 and is held there for a
 * while (section 6.8.18): control packets may still flow, and would bring it Up
 * again within a round trip, only to fail again. What is in them is
 * nobody's business but ours: the discriminator that leads to the slot, a
 * number, and a cookie that somebody who never saw one cannot guess.
 *
 * The remote's: the engine says whether a packet is one that we promised to
 * send back (Required Min Echo RX Interval), no faster than promised; sending
 * it back is the port's work.
 */
#include "bfd/bucket.h"
#include "bfd/core.h"
#include <string.h>

#define ECHO_MAGIC 0x50474531u /* "PGE1" */
#define ECHO_MIN_TTL 254       /* forwarded once */
#define ECHO_BEHIND 64u        /* numbers that may still be on their way */
#define REFLECT_BURST 4u

/* Offsets in the payload. */
#define ECHO_DISC 4
#define ECHO_SEQ 8
#define ECHO_COOKIE 16

bool echo_is_wanted(const struct session *s)
{
	return s->params.echo_tx_us && s->remote_min_echo_rx_us && s->state == BFD_UP && !s->unresolved;
}

static struct bfd_line *echo_line(struct bfd_engine *e, uint32_t slot)
{
	return &e->line[e->capacity + slot];
}

static void set_echo_deadline(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	const struct session *s = &e->session[slot];

	e->echo_deadline[slot] = session_deadline(
		echo_line(e, slot)->interval_us ? s->echo_ns + s->echo_detect_ns : UINT64_MAX, now_ns);
}

static void extend_sweep(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	uint32_t end = (slot / BFD_DETECT_BLOCK + 1) * BFD_DETECT_BLOCK;

	for (uint32_t i = e->echo_end; i < end; i++)
		e->echo_deadline[i] = bfd_tick_now(now_ns) + BFD_TICKS_FAR;
	if (end > e->echo_end)
		e->echo_end = end;
}

/* Starts, changes or stops the session's own echo, whatever its variables say. */
void echo_refresh(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	struct session *s = &e->session[slot];
	struct bfd_line *l = echo_line(e, slot);
	uint32_t interval = 0;

	if (echo_is_wanted(s))
		interval = bfd_tx_interval(s->params.echo_tx_us, s->remote_min_echo_rx_us);
	s->echo_detect_ns = (uint64_t)s->params.detect_mult * interval * NS_PER_US;
	if (interval == l->interval_us) {
		if (interval)
			set_echo_deadline(e, slot, now_ns); /* the multiplier may be another */
		return;
	}
	extend_sweep(e, slot, now_ns);
	/* Counted from now: a rhythm that has changed starts afresh. */
	s->echo_ns = now_ns;
	l->interval_us = interval;
	l->steady = false;
	bfd_pacer_remove(&e->pacer, e->capacity + slot);
	if (interval) {
		bfd_put32(l->packet, ECHO_MAGIC);
		bfd_put32(l->packet + ECHO_DISC, s->local_disc);
		memcpy(l->packet + ECHO_COOKIE, &s->echo_cookie, sizeof(s->echo_cookie));
		bfd_pacer_schedule(&e->pacer, e->capacity + slot, now_ns);
	}
	set_echo_deadline(e, slot, now_ns);
}

void echo_forget(struct bfd_engine *e, uint32_t slot)
{
	bfd_pacer_remove(&e->pacer, e->capacity + slot);
	echo_line(e, slot)->interval_us = 0;
	if (slot < e->echo_end)
		e->echo_deadline[slot] = e->deadline[slot];
}

void echo_arrived(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	if (!e->session[slot].params.echo_tx_us)
		return;
	extend_sweep(e, slot, now_ns);
	set_echo_deadline(e, slot, now_ns);
}

void echo_flush_counters(struct bfd_engine *e, uint32_t slot)
{
	struct linkstate_stats *st = &e->ls->stats[slot];
	struct session *s = &e->session[slot];
	struct bfd_line *l;

	if (!s->params.echo_tx_us)
		return;
	l = echo_line(e, slot);
	stat_add(&st->echo_tx, l->tx_count);
	stat_add(&st->echo_rx, s->echo_rx_count);
	l->tx_count = 0;
	s->echo_rx_count = 0;
}

void echo_emit(struct bfd_engine *e, uint32_t slot, uint64_t now_ns, struct bfd_tx *out)
{
	struct bfd_line *l = echo_line(e, slot);

	bfd_put32(l->packet + ECHO_SEQ, bfd_get32(l->packet + ECHO_SEQ) + 1);
	out->slot = slot;
	out->kind = BFD_TX_ECHO;
	out->payload = l->packet;
	out->len = BFD_PACKET_LEN;
	l->last_tx_ns = now_ns;
	bfd_pacer_schedule(&e->pacer, e->capacity + slot,
		now_ns + bfd_jitter_ns(l->interval_us, false, bfd_random(&e->random)));
	if (++l->tx_count == UINT16_MAX)
		echo_flush_counters(e, slot);
}

/* One of ours that came back? */
static bool take_own(struct bfd_engine *e, const struct bfd_rx *rx, uint64_t now_ns, uint32_t *slot)
{
	const struct bfd_line *l;
	struct session *s;
	uint32_t disc, seq;

	if (rx->len < BFD_PACKET_LEN || bfd_get32(rx->payload) != ECHO_MAGIC || rx->ttl < ECHO_MIN_TTL)
		return false;
	disc = bfd_get32(rx->payload + ECHO_DISC);
	*slot = (disc ^ e->disc_salt) & SLOT_MASK;
	if (*slot >= e->capacity || e->session[*slot].local_disc != disc || !disc)
		return false;
	s = &e->session[*slot];
	l = echo_line(e, *slot);
	if (!l->interval_us ||
		memcmp(rx->payload + ECHO_COOKIE, &s->echo_cookie, sizeof(s->echo_cookie)) != 0)
		return false;
	/* Sent lately, and newer than what came back before: a repetition is no sign of life. */
	seq = bfd_get32(rx->payload + ECHO_SEQ);
	if (bfd_get32(l->packet + ECHO_SEQ) - seq >= ECHO_BEHIND || (int32_t)(seq - s->echo_seen) <= 0)
		return false;
	s->echo_seen = seq;
	s->echo_ns = now_ns;
	s->echo_rx_count++;
	set_echo_deadline(e, *slot, now_ns);
	return true;
}

/* The remote's: addressed to itself, which is why a router would send it back. */
static enum bfd_rx_result may_reflect(
	struct bfd_engine *e, const struct bfd_rx *rx, uint64_t now_ns, uint32_t *slot)
{
	struct session *s;
	uint64_t cost;

	*slot = session_lookup(e, NULL, &rx->dst, rx->ifindex, false);
	if (*slot == BFD_NIL)
		return BFD_RX_UNKNOWN;
	s = &e->session[*slot];
	if (rx->ttl != 255)
		return BFD_RX_TTL;
	if (s->state != BFD_UP || !s->params.min_echo_rx_us)
		return BFD_RX_REFUSED;
	/* No faster than was promised, with the jitter of section 6.8.9 and a packet in between. */
	cost = (uint64_t)s->params.min_echo_rx_us * NS_PER_US * 3 / 4;
	return bfd_bucket_take(&s->reflect_ns, cost, REFLECT_BURST * cost, now_ns) ? BFD_RX_REFLECT
										   : BFD_RX_LIMITED;
}

enum bfd_rx_result echo_receive(
	struct bfd_engine *e, const struct bfd_rx *rx, uint64_t now_ns, uint32_t *slot)
{
	enum bfd_rx_result r;

	r = solo_receive(e, rx, now_ns, slot);
	if (r != BFD_RX_UNKNOWN)
		return r;
	if (take_own(e, rx, now_ns, slot))
		return BFD_RX_OK;
	r = may_reflect(e, rx, now_ns, slot);
	return r == BFD_RX_REFLECT ? r : engine_refuse(e, r);
}

unsigned echo_sweep(struct bfd_engine *e, uint64_t until_ns, uint64_t now_ns)
{
	uint32_t now = bfd_tick_now(until_ns);
	unsigned down = 0;

	for (uint32_t i = 0; (i = bfd_detect_next(e->echo_deadline, i, e->echo_end, now)) < e->echo_end;
		i++) {
		struct session *s;

		if (i >= e->capacity || !e->session[i].generation || !echo_line(e, i)->interval_us) {
			e->echo_deadline[i] = now + BFD_TICKS_FAR;
			continue;
		}
		s = &e->session[i];
		if (until_ns < s->echo_ns + s->echo_detect_ns) {
			set_echo_deadline(e, i, now_ns);
			continue;
		}
		struct linkstate_stats *st = &e->ls->stats[i];
		uint64_t over = (now_ns - s->echo_ns - s->echo_detect_ns) / NS_PER_US;
		if (over > stat_get(&st->worst_overshoot_us))
			stat_set(&st->worst_overshoot_us, over);
		s->after_stall = engine_was_stalled(e, s->echo_ns, s->echo_ns + s->echo_detect_ns,
			s->echo_detect_ns / s->params.detect_mult);
		session_set_state(e, i, BFD_DOWN, BFD_DIAG_ECHO_FAILED, now_ns);
		session_keep_down(s, now_ns + s->params.idle_tx_us * NS_PER_US);
		session_refresh(e, i, now_ns);
		down++;
	}
	return down;
}
