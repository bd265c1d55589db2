/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a session around its connections; see session.h.
 *
 *   begin: find the neighbour (direct sessions) -> wait out errors -> connect and accept
 *   lost:  routes go, or stay as stale (graceful restart), main is told; begin again
 *
 * All of it in the session's thread.
 */
#include "controlplane/bgp/session.h"
#include "controlplane/fib/fib.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct ev_loop *ev_of(struct bgp_session *s)
{
	return loop_ev(s->thread->loop);
}

/* ---- references and calls ---- */

struct bgp_session *session_hold(struct bgp_session *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void session_release(struct bgp_session *s)
{
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	channels_release(s);
	bgp_settings_release(s->cf);
	bgp_settings_release(s->identity);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

struct call {
	struct bgp_session *s;
	void (*fn)(struct bgp_session *s);
};

static void run_call(void *arg)
{
	struct call *c = arg;

	c->fn(c->s);
	session_release(c->s);
	free(c);
}

void session_call(struct bgp_session *s, void (*fn)(struct bgp_session *s))
{
	struct call *c = malloc(sizeof(*c));

	if (!c)
		abort();
	*c = (struct call){session_hold(s), fn};
	loop_call(s->thread->loop, run_call, c);
}

/* ---- begin ---- */

static void wait_state(struct bgp_session *s, const char *fmt, const char *arg)
{
	if (s->start_state != BSS_WAIT)
		session_trace(s, DBG_EVENTS, fmt, arg);
	s->start_state = BSS_WAIT;
	session_publish(s);
}

static void activate(struct bgp_session *s)
{
	uint32_t delay = s->cf->c.connect_delay ? s->cf->c.connect_delay : 1;

	s->start_state = BSS_CONNECT;
	s->bfd_wait = false;
	if (!s->cf->c.passive && !s->dynamic) {
		session_trace(s, DBG_EVENTS, "Connect delayed by %u seconds", delay);
		fsm_wait_connect(&s->out, delay);
	}
	session_publish(s);
}

static void on_start_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct bgp_session *s = w->data;

	(void)ev;
	(void)revents;
	if (s->running && s->start_state == BSS_DELAY)
		activate(s);
}

void session_begin(struct bgp_session *s)
{
	char text[IPADDR_STRLEN];

	ev_timer_stop(ev_of(s), &s->start_timer);
	if (!s->running || s->conn || s->ending)
		return;
	if (s->dynamic && s->had_connection) {
		session_ended(s);
		return;
	}
	switch (session_find_neighbor(s)) {
	case NEIGHBOR_UNKNOWN:
		wait_state(s, "Waiting for %s to become my neighbor", ipaddr_format(&s->cf->c.remote, text));
		return;
	case NEIGHBOR_LINK_DOWN: wait_state(s, "Waiting for link on %s", s->ifname); return;
	case NEIGHBOR_READY: break;
	}
	session_open_bfd(s);
	if (s->startup_delay && !s->gr_active) {
		s->start_state = BSS_DELAY;
		session_trace(s, DBG_EVENTS, "Startup delayed by %u seconds due to errors", s->startup_delay);
		ev_now_update(ev_of(s));
		ev_timer_set(&s->start_timer, s->startup_delay, 0);
		ev_timer_start(ev_of(s), &s->start_timer);
		s->start_deadline = clock_now_ns() + s->startup_delay * NS_PER_S;
		s->start_total = s->startup_delay;
		session_publish(s);
		return;
	}
	activate(s);
}

void session_back_off(struct bgp_session *s)
{
	const struct bgp_config *c = &s->cf->c;
	uint64_t now = clock_now_ns();

	if (s->last_error_ns && now - s->last_error_ns >= c->error_forget * NS_PER_S)
		s->startup_delay = 0;
	s->last_error_ns = now;
	if (c->disable_after_error) {
		s->startup_delay = 0;
		session_ask_disable(s);
		return;
	}
	if (!s->startup_delay)
		s->startup_delay = c->error_wait_min;
	else
		s->startup_delay =
			s->startup_delay * 2 < c->error_wait_max ? s->startup_delay * 2 : c->error_wait_max;
}

void session_ask_disable(struct bgp_session *s)
{
	s->ending = true;
	bgp_tell_main(s, BGP_EVENT_DISABLE);
}

void session_ended(struct bgp_session *s)
{
	if (s->ending)
		return;
	s->ending = true;
	bgp_tell_main(s, BGP_EVENT_ENDED);
}

void session_fail(struct bgp_session *s, enum bgp_error_class cls, const char *what, uint8_t code,
	uint8_t subcode, bool retain, bool delay)
{
	struct bgp_error e;
	bool was = s->conn != NULL;

	session_store_error(s, cls, "%s", what);
	if (delay)
		session_back_off(s);
	bgp_fail(&e, code, subcode);
	s->conn = NULL;
	/* A graceful restart begins with silence: a NOTIFICATION would end it on the other side. */
	if (retain) {
		conn_reset(&s->in);
		conn_reset(&s->out);
	} else {
		conn_close(&s->in, &e);
		conn_close(&s->out, &e);
	}
	if (was)
		session_lost(
			s, retain, retain ? BMP_DOWN_LOCAL : BMP_DOWN_LOCAL_NOTIFICATION, retain ? NULL : &e);
	session_begin(s);
}

/* ---- up and down ---- */

/*
 * Kernel routes that point at a lost neighbour fail over at once, before the RIB
 * has withdrawn a million prefixes. The mark is taken back when the session
 * returns, or when the routes have long been withdrawn: the address may be
 * somebody else's gateway too (static routes), and that a BGP session ended says
 * nothing about those. With BFD the link thread has done it already.
 */
#define LINK_MARK_S 30

static void mark_link(struct bgp_session *s, bool up, bool established)
{
	struct bfd_stamps t = {.detected = clock_now_ns()};
	struct fib_link l = {.addr = s->cf->c.remote,
		.ifindex = s->ifindex,
		.up = up,
		.t = &t,
		.reason = established ? FIB_LINK_REASON_ESTABLISHED : "bgp session"};

	ev_timer_stop(ev_of(s), &s->link_timer);
	if (!s->daemon->fib || !s->cf->direct || s->cf->internal)
		return;
	if (s->link_marked_down != up && !established)
		return;
	fib_link_event(s->daemon->fib, &l, 1);
	s->link_marked_down = !up;
	if (up)
		return;
	ev_now_update(ev_of(s));
	ev_timer_set(&s->link_timer, LINK_MARK_S, 0);
	ev_timer_start(ev_of(s), &s->link_timer);
}

static void on_link_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	(void)ev;
	(void)revents;
	mark_link(w->data, true, false);
}

bool session_can_retain(const struct bgp_session *s)
{
	if (!s->conn || s->cf->c.gr_mode == GR_OFF || !s->conn->peer.caps.gr)
		return false;
	for (unsigned i = 0; i < s->n_channels; i++)
		if (s->channel[i].up && (s->channel[i].gr_negotiated || s->channel[i].llgr_negotiated))
			return true;
	return false;
}

void session_note_address(struct bgp_session *s, const struct bgp_conn *c)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	uint32_t scope;

	if (getsockname(c->fd, (struct sockaddr *)&ss, &len) == 0)
		ipaddr_from_sockaddr((struct sockaddr *)&ss, &s->local_addr, NULL, &scope);
}

void session_established(struct bgp_session *s)
{
	struct bgp_conn *c = s->conn;

	session_note_address(s, c);
	s->had_connection = true;
	atomic_store_explicit(&s->rx_ns, c->rx_ns, memory_order_relaxed);
	atomic_store_explicit(&s->tx_ns, c->tx_ns, memory_order_relaxed);
	atomic_store_explicit(&s->keepalive_due, c->keepalive_due, memory_order_relaxed);
	session_log(s, LOG_CLASS_INFO, "BGP session established");
	pthread_mutex_lock(&s->lock);
	s->status.last_error[0] = 0;
	pthread_mutex_unlock(&s->lock);
	mark_link(s, true, true);
	if (!s->cf->direct)
		session_open_bfd(s);
	ev_timer_stop(ev_of(s), &s->gr_timer);
	for (unsigned i = 0; i < s->n_channels; i++)
		if (bgp_family_agreed(c, s->channel[i].afi, s->channel[i].safi))
			channel_up(&s->channel[i]);
		else if (s->channel[i].stale)
			channel_drop_stale(&s->channel[i]);
	session_tell_stations_up(s);
	if (s->gr_active) {
		s->gr_active = false;
		session_log(s, LOG_CLASS_INFO, "Neighbor graceful restart: session is back");
	}
	s->reported_up = true;
	session_publish(s);
	bgp_tell_main(s, BGP_EVENT_UP);
	conn_flush(c);
}

static uint32_t clamp(uint32_t v, uint32_t low, uint32_t high)
{
	if (high && v > high)
		v = high;
	return v < low ? low : v;
}

static void log_closed(struct bgp_session *s)
{
	const char *why = s->status.last_error; /* only this thread writes it */

	session_log(
		s, LOG_CLASS_INFO, "BGP session closed%s%s%s", why[0] ? " (" : "", why, why[0] ? ")" : "");
}

void session_lost(
	struct bgp_session *s, bool retain, enum bmp_down_reason reason, const struct bgp_error *why)
{
	const struct bgp_config *c = &s->cf->c;
	uint32_t restart_time = clamp(s->status.peer_caps.gr_time, c->min_gr_time, c->max_gr_time);

	session_tell_stations_down(s, reason, why);
	s->paused = false;
	for (unsigned i = 0; i < s->n_channels; i++)
		channel_down(&s->channel[i], retain);
	if (!retain) {
		if (s->silent_loss)
			mark_link(s, false, false);
		s->silent_loss = false;
		s->reported_up = false;
		ev_timer_stop(ev_of(s), &s->gr_timer);
		s->gr_active = false;
		log_closed(s);
		session_publish(s);
		bgp_tell_main(s, BGP_EVENT_DOWN);
		return;
	}
	s->gr_active = true;
	session_log(s, LOG_CLASS_INFO, "Neighbor graceful restart detected, keeping its routes for %u s",
		restart_time);
	ev_now_update(ev_of(s));
	ev_timer_stop(ev_of(s), &s->gr_timer);
	ev_timer_set(&s->gr_timer, restart_time ? restart_time : 0.001, 0);
	ev_timer_start(ev_of(s), &s->gr_timer);
	session_publish(s);
}

static void on_gr_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct bgp_session *s = w->data;

	(void)ev;
	(void)revents;
	session_log(s, LOG_CLASS_INFO, "Neighbor graceful restart timeout");
	for (unsigned i = 0; i < s->n_channels; i++)
		channel_stale_expired(&s->channel[i]);
	session_gr_done(s);
}

/* Nothing stale is left, or the neighbour is not coming back: an ordinary lost session. */
void session_gr_done(struct bgp_session *s)
{
	if (s->conn || !s->gr_active)
		return;
	for (unsigned i = 0; i < s->n_channels; i++)
		if (s->channel[i].stale)
			return;
	ev_timer_stop(ev_of(s), &s->gr_timer);
	s->gr_active = false;
	s->reported_up = false;
	session_publish(s);
	bgp_tell_main(s, BGP_EVENT_DOWN);
}

/* ---- from outside ---- */

void session_incoming(
	struct bgp_session *s, int fd, const struct ipaddr *local, uint32_t ifindex, uint16_t port)
{
	struct transport_options o = {
		.remote = s->cf->c.remote, .hops = s->cf->hops, .ttl_security = s->cf->c.ttl_security};
	bool accept = s->running && !s->ending && s->start_state == BSS_CONNECT;
	char text[IPADDR_STRLEN], err[TRANSPORT_ERR];

	/* RFC 4724 section 5: a restarted neighbour may be back before we noticed that it went. */
	if (accept && s->conn && session_can_retain(s)) {
		session_trace(s, DBG_EVENTS, "New connection from a neighbor that restarts");
		conn_reset(s->conn);
		s->conn = NULL;
		session_lost(s, true, BMP_DOWN_REMOTE, NULL);
		session_begin(s);
	}
	accept = accept && !s->conn && s->in.state == BS_IDLE;
	session_trace(s, DBG_EVENTS, "Incoming connection from %s (port %u) %s",
		ipaddr_format(&s->cf->c.remote, text), port, accept ? "accepted" : "rejected");
	if (!accept || transport_accepted(fd, &o, err) < 0) {
		close(fd);
		if (s->dynamic && !s->conn && s->in.state == BS_IDLE)
			session_ended(s);
		return;
	}
	(void)ifindex;
	s->local_addr = *local;
	s->had_connection = true;
	conn_attach(&s->in, fd);
	fsm_send_open(&s->in);
}

void session_iface_changed(struct bgp_session *s)
{
	if (!s->running || !s->cf->direct)
		return;
	if (s->start_state == BSS_WAIT) {
		session_begin(s);
		return;
	}
	switch (session_find_neighbor(s)) {
	case NEIGHBOR_READY: return;
	case NEIGHBOR_UNKNOWN:
		session_log(s, LOG_CLASS_INFO, "Neighbor lost");
		session_fail(s, BE_MISC, "Neighbor lost", BGP_ERR_CEASE, 0, false, false);
		return;
	case NEIGHBOR_LINK_DOWN:
		session_log(s, LOG_CLASS_INFO, "Link down");
		session_fail(s, BE_MISC, "Link down", BGP_ERR_CEASE, 0, false, false);
		return;
	}
}

void session_limit(struct bgp_session *s, enum limit_action action)
{
	if (!s->running || s->ending)
		return;
	session_log(s, LOG_CLASS_INFO, "Route limit exceeded, shutting down");
	if (action == LIMIT_DISABLE)
		session_ask_disable(s);
	session_fail(s, BE_AUTO_DOWN, "Route limit exceeded", BGP_ERR_CEASE, CEASE_MAX_PREFIXES, false,
		action == LIMIT_RESTART);
}

void session_out_of_resources(struct bgp_session *s)
{
	if (s->conn)
		session_fail(s, BE_MISC, "Out of resources", BGP_ERR_CEASE, CEASE_RESOURCES, false, true);
}

/* ---- start and stop ---- */

struct bgp_session *session_create(struct bgp_thread *t, struct daemon *d, struct bgp_settings *cf)
{
	struct bgp_session *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	atomic_store(&s->refs, 1);
	s->thread = t;
	s->engine = t->engine;
	s->daemon = d;
	s->cf = cf;
	pthread_mutex_init(&s->lock, NULL);
	conn_init(&s->out, s, true);
	conn_init(&s->in, s, false);
	s->remote_as = cf->c.remote_as;
	s->identity = bgp_settings_hold(cf);
	s->n_channels = cf->n_channels;
	ev_timer_init(&s->start_timer, on_start_timer, 0, 0);
	ev_timer_init(&s->gr_timer, on_gr_timer, 0, 0);
	ev_timer_init(&s->link_timer, on_link_timer, 0, 0);
	s->start_timer.data = s->gr_timer.data = s->link_timer.data = s;
	channels_init(s);
	return s;
}

void session_start(struct bgp_session *s)
{
	s->running = true;
	session_begin(s);
}

void session_stop(struct bgp_session *s, const struct bgp_error *e, bool silent)
{
	bool was = s->conn != NULL;

	s->running = false;
	ev_timer_stop(ev_of(s), &s->start_timer);
	ev_timer_stop(ev_of(s), &s->gr_timer);
	s->conn = NULL;
	if (silent) {
		conn_reset(&s->in);
		conn_reset(&s->out);
	} else {
		conn_close(&s->in, e);
		conn_close(&s->out, e);
	}
	for (unsigned i = 0; i < s->n_channels; i++)
		channel_stop(&s->channel[i]);
	mark_link(s, true, false);
	session_close_bfd(s);
	s->gr_active = false;
	if (was) {
		session_tell_stations_down(
			s, silent ? BMP_DOWN_LOCAL : BMP_DOWN_LOCAL_NOTIFICATION, silent ? NULL : e);
		session_log(s, LOG_CLASS_INFO, "BGP session closed");
	}
	session_publish(s);
	bgp_tell_main(s, BGP_EVENT_STOPPED);
}

void session_take_settings(struct bgp_session *s, struct bgp_settings *cf, bool reload_in, bool reload_out)
{
	struct bgp_settings *old = s->cf;
	bool bfd_changed = old->c.bfd != cf->c.bfd ||
			   memcmp(&old->c.bfd_options, &cf->c.bfd_options, sizeof(cf->c.bfd_options));

	s->cf = cf;
	if (s->remote_as)
		bgp_settings_resolve(cf, s->remote_as);
	if (s->running) {
		if (bfd_changed && s->bfd && cf->c.bfd != BGP_BFD_OFF)
			bfd_request_update(s->bfd, &cf->c.bfd_options);
		else if (bfd_changed && s->bfd)
			session_close_bfd(s);
		else if (bfd_changed && s->start_state != BSS_WAIT)
			session_open_bfd(s);
		for (unsigned i = 0; i < s->n_channels; i++)
			channel_reconfigure(&s->channel[i], reload_in, reload_out);
	}
	bgp_settings_release(old);
	session_publish(s);
}
