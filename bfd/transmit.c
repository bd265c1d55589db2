/* SPDX-License-Identifier: BSD-2-Clause */
/* Sending, RFC 5880 section 6.8.7: whose turn it is comes from the pacer, what to say is already in the line.
 */
#include "bfd/core.h"
#include <string.h>

#define TX_AT_ONCE 32u

/* Authenticated or padded: made in the session's buffer for each packet. */
static const uint8_t *compose(struct session *s, const struct bfd_line *l)
{
	uint8_t *b = s->buffer;

	memcpy(b, l->packet, BFD_PACKET_LEN);
	if (s->params.auth_type != BFD_AUTH_NONE) {
		/* Sections 6.7.3, 6.7.4: always, or when the contents change. An answer to an S-BFD packet
		 * has its number: each has its own, so that no answer counts twice. */
		if (bfd_auth_meticulous(s->params.auth_type) || s->key.kind == BFD_KIND_SBFD ||
			memcmp(s->signed_packet, b, BFD_PACKET_LEN) != 0)
			s->xmit_seq++;
		memcpy(s->signed_packet, b, BFD_PACKET_LEN);
		bfd_auth_sign(&s->params, s->xmit_seq, b);
	}
	return b;
}

static void count_gap(struct bfd_line *l, uint64_t now_ns)
{
	uint64_t gap = (now_ns - l->last_tx_ns) / NS_PER_US;

	/* Pauses that are wanted (not Up, another interval, Demand mode, no MAC) are not our own slowness. */
	if (l->steady && gap > l->worst_gap_us)
		l->worst_gap_us = gap > UINT32_MAX ? UINT32_MAX : (uint32_t)gap;
	l->steady = l->interval_us && l->base_flags >> 6 == BFD_UP;
}

/* The first Poll of a sequence starts the clock in Demand mode (section 6.8.4). */
static void note_poll(struct bfd_engine *e, uint32_t slot, uint64_t now_ns)
{
	struct session *s = &e->session[slot];

	if (s->poll_on_wire)
		return;
	s->poll_on_wire = true;
	s->poll_ns = now_ns;
	if (is_demand_active(s))
		session_set_deadline(e, slot, now_ns);
}

static void emit(struct bfd_engine *e, uint32_t slot, uint64_t now_ns, struct bfd_tx *out)
{
	struct bfd_line *l = &e->line[slot];
	bool final = l->pending & BFD_PENDING_FINAL, change = l->pending & BFD_PENDING_CHANGE;

	l->pending = 0;
	l->packet[1] = l->base_flags;
	if (final) {
		l->packet[1] |= BFD_FLAG_FINAL; /* never together with P: section 6.5 */
	} else if (l->polling) {
		l->packet[1] |= BFD_FLAG_POLL;
		note_poll(e, slot, now_ns);
	}
	out->slot = slot;
	out->kind = BFD_TX_CONTROL;
	if (l->composed) {
		out->payload = compose(&e->session[slot], l);
		if (e->session[slot].key.kind == BFD_KIND_ECHO_ONLY)
			out->kind = BFD_TX_ECHO;
		out->len = e->session[slot].buffer_len;
	} else {
		out->payload = l->packet;
		out->len = BFD_PACKET_LEN;
	}

	if (!final || change) {
		/* From the moment it really leaves: what was missed is not made up for. */
		if (l->interval_us)
			bfd_pacer_schedule(&e->pacer, slot,
				now_ns + bfd_jitter_ns(l->interval_us, l->mult_one, bfd_random(&e->random)));
	} else if (l->interval_us) {
		/* A Final is outside the rhythm; but one packet a session and call, so not before the next
		 * slot. */
		uint32_t next = (uint32_t)(now_ns >> BFD_WHEEL_SHIFT) + 1;
		uint32_t due = e->link[slot].due_slot, ahead = (int32_t)(due - next) > 0 ? due - next : 0;
		bfd_pacer_schedule(
			&e->pacer, slot, ((now_ns >> BFD_WHEEL_SHIFT) + 1 + ahead) << BFD_WHEEL_SHIFT);
	}
	count_gap(l, now_ns);
	l->last_tx_ns = now_ns;
	l->was_sent = true;
	if (++l->tx_count == UINT16_MAX)
		session_flush_counters(e, slot);
}

/* First whose turn it is, so that their lines, and what the caller has, are on the way while the others are
 * looked for. */
static unsigned emit_some(struct bfd_engine *e, uint64_t now_ns, struct bfd_tx *out, unsigned max)
{
	uint32_t id[TX_AT_ONCE];
	unsigned n = 0;

	for (; n < max && (id[n] = bfd_pacer_pop(&e->pacer, now_ns)) != BFD_NIL; n++) {
		__builtin_prefetch(&e->line[id[n]], 1);
		if (e->coming)
			e->coming(e->coming_arg, id[n] < e->capacity ? id[n] : id[n] - e->capacity);
	}
	for (unsigned i = 0; i < n; i++) {
		if (id[i] < e->capacity)
			emit(e, id[i], now_ns, &out[i]);
		else
			echo_emit(e, id[i] - e->capacity, now_ns, &out[i]);
	}
	return n;
}

unsigned bfd_engine_tx(struct bfd_engine *e, uint64_t now_ns, struct bfd_tx *out, unsigned max)
{
	unsigned n = 0;

	while (n < max) {
		unsigned wanted = max - n < TX_AT_ONCE ? max - n : TX_AT_ONCE;
		unsigned got = emit_some(e, now_ns, out + n, wanted);

		n += got;
		if (got < wanted)
			break;
	}
	e->tx_packets += n;
	return n;
}
