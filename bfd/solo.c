/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions in which no second state machine takes part: the S-BFD initiator
 * (RFC 7880, RFC 7881), whose packets a reflector turns round without keeping
 * state, and the unaffiliated echo (RFC 9747), whose packets are merely
 * forwarded back by somebody who knows nothing of BFD. Both are timed by their
 * own interval and multiplier, and there is nobody to poll. Also the reflector.
 */
#include "bfd/core.h"

#define ECHO_MIN_TTL 254 /* forwarded once */

/* What differs from a control packet of RFC 5880 section 6.8.7. */
void solo_fill(const struct session *s, struct bfd_packet *p)
{
	p->min_echo_rx_us = 0;
	if (s->key.kind == BFD_KIND_SBFD) {
		p->flags |= BFD_FLAG_DEMAND; /* a reflector clears it: two reflectors cannot loop */
		p->min_rx_us = 0;
	} else {
		p->min_rx_us = p->min_tx_us;
		p->your_disc = s->heard ? s->local_disc : 0;
	}
}

/* RFC 7880 section 7.3.1: the reflector says Up or AdminDown, nothing else. */
static struct bfd_transition sbfd_transition(uint8_t state, uint8_t received)
{
	struct bfd_transition t = {state, BFD_DIAG_NONE, false};

	if (state == BFD_DOWN && received == BFD_UP)
		t = (struct bfd_transition){BFD_UP, BFD_DIAG_NONE, true};
	else if (state == BFD_UP && received == BFD_ADMIN_DOWN)
		t = (struct bfd_transition){BFD_DOWN, BFD_DIAG_NEIGHBOR_DOWN, true};
	return t;
}

static bool is_for(const struct session *s, const struct bfd_packet *p, const struct bfd_rx *rx)
{
	if (s->key.kind == BFD_KIND_SBFD)
		return rx->dport != BFD_PORT_ECHO && p->your_disc == s->local_disc &&
		       p->my_disc == s->params.sbfd_disc && !(p->flags & BFD_FLAG_DEMAND);
	/* Our own packet: both discriminators are ours, or the second is not filled in yet. */
	return s->key.kind == BFD_KIND_ECHO_ONLY && rx->dport == BFD_PORT_ECHO &&
	       p->my_disc == s->local_disc && (!p->your_disc || p->your_disc == s->local_disc);
}

/* RFC 7880 section 11: the answer has the number of the question, which was one of the last
 * that we asked, and none is taken twice. */
static bool is_authentic(struct session *s, const uint8_t *payload, const struct bfd_packet *p)
{
	struct bfd_auth_rx fresh = {0};
	uint32_t seq;

	if (bfd_auth_verify(&s->params, payload, p, &fresh) < 0)
		return false;
	if (!fresh.known)
		return true;
	seq = fresh.seq;
	if (s->xmit_seq - seq > 3u * s->params.detect_mult ||
		(s->auth_rx.known && (int32_t)(seq - s->auth_rx.seq) <= 0))
		return false;
	s->auth_rx = fresh;
	return true;
}

/* BFD_RX_UNKNOWN is not counted as refused: the packet may be something else. */
enum bfd_rx_result solo_receive(
	struct bfd_engine *e, const struct bfd_rx *rx, uint64_t now_ns, uint32_t *slot)
{
	uint32_t disc;
	struct bfd_transition t;
	struct bfd_packet p;
	struct session *s;

	if (bfd_packet_parse(rx->payload, rx->len, &p) < 0)
		return BFD_RX_UNKNOWN;
	disc = p.your_disc ? p.your_disc : p.my_disc;
	*slot = (disc ^ e->disc_salt) & SLOT_MASK;
	if (*slot >= e->capacity || e->session[*slot].local_disc != disc)
		return BFD_RX_UNKNOWN;
	s = &e->session[*slot];
	if (!is_for(s, &p, rx))
		return BFD_RX_UNKNOWN;
	if (rx->ttl < (s->key.kind == BFD_KIND_ECHO_ONLY ? ECHO_MIN_TTL : s->params.min_ttl))
		return session_drop(e, *slot, BFD_RX_TTL);
	if (!is_authentic(s, rx->payload, &p))
		return session_drop(e, *slot, BFD_RX_AUTH);
	if (s->state == BFD_ADMIN_DOWN)
		return session_drop(e, *slot, BFD_RX_REFUSED);

	bool steady = s->state == BFD_UP;
	if (s->key.kind == BFD_KIND_SBFD) {
		t = sbfd_transition(s->state, p.state);
		s->remote_min_rx_us = p.min_rx_us ? p.min_rx_us : 1;
		s->remote_disc = p.my_disc;
	} else {
		t = bfd_fsm_receive(s->state, p.state);
		s->remote_disc = s->local_disc;
	}
	s->remote_state = p.state;
	s->remote_diag = p.diag;
	s->remote_mult = p.detect_mult;
	s->remote_min_tx_us = p.min_tx_us;
	if (t.changed && !session_is_kept_down(s, now_ns))
		session_set_state(e, *slot, t.state, t.diag, now_ns);
	session_account(e, *slot, rx->len, now_ns, steady);
	session_refresh(e, *slot, now_ns);
	/* RFC 7880 section 7.5: the reflector's Poll is answered by our next packet. Not by one more, which
	 * would be answered with another Poll. */
	if (s->key.kind == BFD_KIND_SBFD && p.flags & BFD_FLAG_POLL)
		e->line[*slot].pending |= BFD_PENDING_FINAL | BFD_PENDING_CHANGE;
	return BFD_RX_OK;
}

enum bfd_rx_result bfd_sbfd_reflect(
	const struct bfd_rx *rx, const struct bfd_reflector *r, uint8_t *reply, uint16_t *len)
{
	struct bfd_packet p, q;
	int n;

	/* From port 7784 it is an answer, never a question (RFC 7881 section 3). */
	if (rx->dport != BFD_PORT_SBFD || rx->sport == BFD_PORT_SBFD)
		return BFD_RX_INVALID;
	if (bfd_packet_parse(rx->payload, rx->len, &p) < 0)
		return BFD_RX_INVALID;
	if (!r->discriminator || p.your_disc != r->discriminator)
		return BFD_RX_UNKNOWN;
	if (!(p.flags & BFD_FLAG_DEMAND))
		return BFD_RX_REFUSED;
	q = p;
	q.my_disc = r->discriminator;
	q.your_disc = p.my_disc;
	q.state = r->params.admin_down ? BFD_ADMIN_DOWN : BFD_UP;
	q.diag = r->params.admin_down ? BFD_DIAG_ADMIN_DOWN : BFD_DIAG_NONE;
	q.flags = p.flags & BFD_FLAG_POLL ? BFD_FLAG_FINAL : 0;
	q.min_rx_us = r->params.min_rx_us;
	q.min_echo_rx_us = 0;
	q.length = BFD_PACKET_LEN;
	bfd_packet_build(&q, reply);
	n = bfd_auth_reflect(&r->params, rx->payload, &p, reply);
	if (n < 0)
		return BFD_RX_AUTH;
	*len = (uint16_t)n;
	return BFD_RX_REFLECT;
}
