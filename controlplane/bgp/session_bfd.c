/* SPDX-License-Identifier: BSD-2-Clause */
/* BFD of a session: what it asks for, and what becomes of the session when BFD goes down or does not come up.
 */
#include "controlplane/bfd/bfd_client.h"
#include "controlplane/bgp/session.h"
#include "controlplane/fib/fib.h"
#include <stdio.h>
#include <stdlib.h>

struct bfd_message {
	struct bgp_session *s;
	enum bfd_event event;
	bool remote_cbit;
	char text[160];
};

/* BGP comes up on a path that BFD has proved, and on no other. */
bool session_needs_bfd(const struct bgp_session *s)
{
	return s->cf->c.bfd_strict && s->cf->c.bfd != BGP_BFD_OFF && !s->bfd_up;
}

static void bfd_down(struct bgp_session *s, bool remote_cbit)
{
	/* RFC 5882 section 4.3: a neighbour whose BFD does not share fate with its control plane is really
	 * gone. */
	bool retain = s->cf->c.bfd == BGP_BFD_GRACEFUL && !remote_cbit && session_can_retain(s);
	bool passed = s->cf->c.bfd_strict && s->bfd_up &&
		      (s->in.state == BS_OPENCONFIRM || s->out.state == BS_OPENCONFIRM);

	s->bfd_up = false;
	/* BFD has a say once BGP is up, or is about to be because BFD was. */
	if (!s->conn && !passed)
		return;
	session_log(s, LOG_CLASS_INFO, "BFD session down");
	session_fail(s, BE_MISC, "BFD session down", BGP_ERR_CEASE, CEASE_BFD_DOWN, retain, !retain);
	s->bfd_wait = s->start_state == BSS_DELAY;
	if (s->daemon->fib)
		fib_link_stage(s->daemon->fib, &s->cf->c.remote, s->ifindex, clock_now_ns(), 0);
	if (!retain)
		session_stamp_updates_out(s);
}

static void run_bfd_event(void *arg)
{
	struct bfd_message *m = arg;
	struct bgp_session *s = m->s;

	if (s->running && s->bfd) {
		switch (m->event) {
		case BFD_EVENT_UP:
			s->bfd_up = true;
			session_trace(s, DBG_EVENTS, "BFD session up");
			/* The path works again: no point in waiting out the delay. */
			if (s->start_state == BSS_DELAY && s->bfd_wait) {
				s->startup_delay = 0;
				s->bfd_wait = false;
				session_begin(s);
			}
			fsm_bfd_up(&s->in);
			fsm_bfd_up(&s->out);
			break;
		case BFD_EVENT_DOWN: bfd_down(s, m->remote_cbit); break;
		case BFD_EVENT_FAILED:
			session_log(s, LOG_CLASS_WARNING, "BFD session not possible: %s", m->text);
			break;
		case BFD_EVENT_ADMIN_DOWN:
		case BFD_EVENT_UNKNOWN: break; /* says nothing about the path */
		}
	}
	session_release(s);
	free(m);
}

/* Link thread: only posts. */
static void bfd_event(void *ctx, enum bfd_event ev, uint8_t diag, bool remote_cbit,
	const struct bfd_stamps *t, const char *text)
{
	struct bgp_session *s = ctx;
	struct bfd_message *m = calloc(1, sizeof(*m));

	(void)diag;
	(void)t;
	if (!m)
		abort();
	m->s = session_hold(s);
	m->event = ev;
	m->remote_cbit = remote_cbit;
	snprintf(m->text, sizeof(m->text), "%s", text ? text : "");
	loop_call(s->thread->loop, run_bfd_event, m);
}

void session_open_bfd(struct bgp_session *s)
{
	struct bfd_request_config r = {.options = s->cf->c.bfd_options, .event = bfd_event, .ctx = s};

	if (s->bfd || s->cf->c.bfd == BGP_BFD_OFF || !s->daemon->bfd)
		return;
	if (ipaddr_is_zero(&s->local_addr))
		return; /* opened when the connection tells our address */
	r.key.local = s->local_addr;
	r.key.remote = s->cf->c.remote;
	r.key.ifindex = s->cf->direct ? s->ifindex : 0;
	r.key.kind = s->cf->direct ? BFD_KIND_SINGLEHOP : BFD_KIND_MULTIHOP;
	r.ifname = s->cf->direct ? s->ifname : NULL;
	s->bfd = bfd_request_open(s->daemon->bfd, &r);
	if (!s->bfd)
		session_log(s, LOG_CLASS_ERROR, "Cannot ask for a BFD session");
}

void session_close_bfd(struct bgp_session *s)
{
	if (s->bfd)
		bfd_request_close(s->bfd);
	s->bfd = NULL;
	s->bfd_up = false;
	s->bfd_wait = false;
}

/* draft-ietf-idr-bgp-bfd-strict-mode: the neighbour agreed to everything, but BFD did not come up. */
void session_bfd_missing(struct bgp_session *s)
{
	session_log(s, LOG_CLASS_INFO, "BFD session not up in %u s", s->cf->c.bfd_strict_hold);
	session_fail(s, BE_MISC, "BFD session not up", BGP_ERR_CEASE, CEASE_BFD_DOWN, false, true);
	s->bfd_wait = s->start_state == BSS_DELAY;
}
