/* SPDX-License-Identifier: BSD-2-Clause */
/* What a session says of itself: lines of the log, its status for readers, records of its states. Its thread.
 */
#include "controlplane/bgp/session.h"
#include "controlplane/mrt/messages.h"
#include <stdarg.h>
#include <stdio.h>

void session_log(struct bgp_session *s, enum log_class cls, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_msg(cls, "%s: %s", s->cf->name, text);
}

void session_trace(struct bgp_session *s, uint32_t bit, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	if (!(s->cf->debug & bit))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_msg(LOG_CLASS_TRACE, "%s: %s", s->cf->name, text);
}

void session_store_error(struct bgp_session *s, enum bgp_error_class cls, const char *fmt, ...)
{
	static const char *const classes[] = {
		"", "Error: ", "Socket: ", "Received: ", "BGP Error: ", "Automatic shutdown: ", ""};
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&s->lock);
	snprintf(s->status.last_error, sizeof(s->status.last_error), "%s%s", classes[cls], text);
	pthread_mutex_unlock(&s->lock);
}

/* ---- what others see ---- */

/* When the timer ends, on the clock; `idle`: it does not run. */
static uint64_t deadline_of(struct bgp_session *s, ev_timer *t, uint64_t idle)
{
	return ev_is_active(t)
		       ? clock_now_ns() + (uint64_t)(ev_timer_remaining(loop_ev(s->thread->loop), t) * 1e9)
		       : idle;
}

static void publish_channel(struct bgp_session *s, unsigned i)
{
	struct bgp_channel *ch = &s->channel[i];

	s->status.channel[i].up = ch->up;
	s->status.channel[i].stale = ch->stale;
	s->status.channel[i].llgr = ch->llgr;
	s->status.channel[i].stale_deadline = deadline_of(s, &ch->stale_timer, 0);
	s->status.channel[i].next_hop = ch->next_hop;
	s->status.channel[i].next_hop_ll = ch->next_hop_ll;
	s->status.channel[i].export_cf = ch->export_cf;
	s->status.channel[i].export = ch->export;
}

struct mrt_session session_mrt(const struct bgp_session *s, const struct bgp_conn *c)
{
	struct mrt_session m = {
		.peer_as = s->remote_as,
		.local_as = s->cf->c.local_as,
		.ifindex = s->ifindex,
		.peer = s->cf->c.remote,
		.local = s->local_addr,
		.as4 = c->as4,
	};

	for (unsigned i = 0; i < s->n_channels && s->conn == c; i++)
		m.add_path |= s->channel[i].add_path_rx;
	return m;
}

/* RFC 4271's numbers in an MRT file; what is closing is Idle. */
static unsigned mrt_state(enum bgp_conn_state s)
{
	return s == BS_CLOSE ? 1 : (unsigned)s + 1;
}

static void dump_state_change(
	struct bgp_session *s, const struct bgp_conn *c, enum bgp_conn_state from, enum bgp_conn_state to)
{
	struct mrt_session who;

	if (!s->cf->mrt_messages || !(s->cf->mrtdump & MRTDUMP_STATES) || mrt_state(from) == mrt_state(to))
		return;
	who = session_mrt(s, c);
	mrt_messages_state(s->cf->mrt_messages, &who, mrt_state(from), mrt_state(to));
}

void session_publish(struct bgp_session *s)
{
	struct bgp_status *st = &s->status;
	struct bgp_conn *c = s->conn ? s->conn : s->in.state > s->out.state ? &s->in : &s->out;
	enum bgp_conn_state before = st->state;

	pthread_mutex_lock(&s->lock);
	st->state = c->state;
	st->start_state = s->start_state;
	st->passive = s->cf->c.passive;
	st->gr_active = s->gr_active;
	st->established = s->conn != NULL;
	st->start_deadline = s->start_deadline;
	st->start_total = s->start_total;
	st->bfd_deadline = c->bfd_wait ? deadline_of(s, &c->hold_timer, UINT64_MAX) : 0;
	st->restart_deadline = deadline_of(s, &s->gr_timer, 0);
	if (s->conn) {
		st->local_caps = c->local.caps;
		st->peer_caps = c->peer.caps;
		st->peer_id = c->peer.id;
		st->peer_as = c->peer.as;
		st->as4 = c->as4;
		st->hold_time = c->hold_time;
		st->keepalive_time = c->keepalive_time;
		st->send_hold_time = c->send_hold_time;
	}
	st->source_address = s->local_addr;
	st->ifindex = s->ifindex;
	for (unsigned i = 0; i < s->n_channels; i++)
		publish_channel(s, i);
	pthread_mutex_unlock(&s->lock);
	dump_state_change(s, c, before, c->state);
}
