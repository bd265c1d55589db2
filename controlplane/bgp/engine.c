/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Session threads, listening sockets, and who an incoming connection is for.
 *
 * Main adds and removes listeners, sessions and ranges; the first session thread
 * accepts and looks them up: all three lists are under `lock`, held for a
 * look-up or an insertion only.
 */
#include "controlplane/bgp/listener.h"
#include "controlplane/bgp/recovery.h"
#include "controlplane/bgp/refuse.h"
#include "controlplane/bgp/session.h"
#include "controlplane/fib/fib.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUCKETS 4096

struct range {
	struct range *next;
	uint64_t id;
	struct bgp_settings *cf;
	bgp_spawn_fn *spawn;
	void *ctx;
	struct bgp_listener *listener;
};

struct bgp_engine {
	struct daemon *daemon;
	unsigned n;
	struct bgp_thread *threads;
	uint64_t seed;
	pthread_mutex_t lock;
	struct bgp_listener *listeners;
	struct bgp_session *buckets[BUCKETS];
	struct range *ranges;
	uint64_t next_range;
	struct ev_timer ifaces_timer; /* main's */
	struct bgp_recovery recovery; /* main's */
	struct log_limit unknown_limit;
	unsigned refusals; /* connections that are being told why they are closed; main's */
};

struct bgp_recovery *engine_recovery(struct bgp_engine *e)
{
	return &e->recovery;
}

/* ---- threads ---- */

struct bgp_thread *engine_pick_thread(struct bgp_engine *e)
{
	struct bgp_thread *best = &e->threads[0];

	for (unsigned i = 1; i < e->n; i++)
		if (e->threads[i].sessions < best->sessions)
			best = &e->threads[i];
	best->sessions++;
	return best;
}

void engine_put_thread(struct bgp_engine *e, struct bgp_thread *t)
{
	(void)e;
	t->sessions--;
}

unsigned engine_threads(const struct bgp_engine *e)
{
	return e->n;
}

struct daemon *engine_daemon(const struct bgp_engine *e)
{
	return e->daemon;
}

uint64_t engine_stuck(const struct bgp_engine *e)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < e->n; i++)
		sum += atomic_load_explicit(&e->threads[i].gate.stuck, memory_order_relaxed);
	return sum;
}

void engine_call_threads(struct bgp_engine *e, void (*fn)(void *arg), void *arg)
{
	for (unsigned i = 0; i < e->n; i++)
		loop_call(e->threads[i].loop, fn, arg);
}

static int thread_init(struct bgp_engine *e, unsigned i)
{
	struct bgp_thread *t = &e->threads[i];
	char name[16];

	snprintf(name, sizeof(name), "bgp%u", i);
	t->engine = e;
	t->seed = e->seed;
	t->loop = loop_create(name);
	t->cache = attr_cache_create(e->seed);
	t->read_buf = malloc(BGP_READ_BUF);
	t->key_buf = malloc(BGP_MAX_EXTENDED_MESSAGE);
	t->nlri = malloc(sizeof(*t->nlri));
	if (!t->loop || !t->read_buf || !t->key_buf || !t->nlri)
		return -ENOMEM;
	gate_init(t);
	return loop_start(t->loop);
}

static void close_lingering(void *arg);

static void thread_exit(struct bgp_thread *t)
{
	if (t->loop) {
		loop_call(t->loop, close_lingering, t);
		loop_join_destroy(t->loop);
	}
	attr_cache_destroy(t->cache);
	bgp_decode_scratch_free(&t->decode);
	free(t->read_buf);
	free(t->key_buf);
	free(t->nlri);
}

static void clear_cache(void *arg)
{
	struct bgp_thread *t = arg;

	attr_cache_clear(t->cache);
}

/* ---- interfaces ---- */

static void on_ifaces_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct bgp_engine *e = w->data;

	(void)ev;
	(void)revents;
	/* Next hops are resolved when attributes are decoded. */
	for (unsigned i = 0; i < e->n; i++)
		loop_call(e->threads[i].loop, clear_cache, &e->threads[i]);
	pthread_mutex_lock(&e->lock);
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct bgp_session *s = e->buckets[i]; s; s = s->hash_next)
			session_call(s, session_iface_changed);
	pthread_mutex_unlock(&e->lock);
}

/* Main: a burst of changes is looked at once. */
static void ifaces_changed(void *arg)
{
	struct daemon *d = arg;

	if (!d->bgp || ev_is_active(&d->bgp->ifaces_timer))
		return;
	ev_now_update(loop_ev(d->main));
	ev_timer_set(&d->bgp->ifaces_timer, 0.002, 0);
	ev_timer_start(loop_ev(d->main), &d->bgp->ifaces_timer);
}

/* The monitor's thread, which lives longer than the engine: it gets the daemon. */
static void on_ifaces_changed(void *ctx, uint32_t ifindex)
{
	struct daemon *d = ctx;

	(void)ifindex;
	loop_call(d->main, ifaces_changed, d);
}

struct bgp_engine *bgp_engine_create(struct daemon *d, unsigned n)
{
	struct bgp_engine *e = calloc(1, sizeof(*e));
	int rc = 0;

	if (!e)
		return NULL;
	e->daemon = d;
	e->n = n ? n : 1;
	pthread_mutex_init(&e->lock, NULL);
	if (getrandom(&e->seed, sizeof(e->seed), 0) != sizeof(e->seed))
		e->seed = clock_now_ns();
	e->threads = calloc(e->n, sizeof(*e->threads));
	if (!e->threads)
		rc = -ENOMEM;
	for (unsigned i = 0; !rc && i < e->n; i++)
		rc = thread_init(e, i);
	if (rc) {
		bgp_engine_destroy(e);
		errno = -rc;
		return NULL;
	}
	ev_timer_init(&e->ifaces_timer, on_ifaces_timer, 0, 0);
	e->ifaces_timer.data = e;
	if (d->ifaces)
		ifaces_subscribe(d->ifaces, on_ifaces_changed, d);
	return e;
}

/* ---- accepting ---- */

static unsigned bucket_of(const struct bgp_engine *e, const struct ipaddr *remote)
{
	return hash_ipaddr(remote, e->seed) % BUCKETS;
}

/* How well a session fits a connection; 0: not at all. */
static unsigned fits(const struct bgp_session *s, const struct bgp_listener *l, const struct bgp_incoming *in)
{
	const struct bgp_config *c = &s->identity->c;

	if (!ipaddr_equal(&s->identity->c.remote, &in->remote) || s->listener != l)
		return 0;
	if (ipaddr_is_link_local(&c->remote) && c->ifname && if_nametoindex(c->ifname) != in->ifindex)
		return 0;
	if (ipaddr_is_zero(&c->local))
		return 1;
	if (ipaddr_equal(&c->local, &in->local))
		return 2;
	return c->strict_bind ? 0 : 1;
}

/* With a reference; NULL if none is for it. Under the lock. */
static struct bgp_session *find_session(
	struct bgp_engine *e, const struct bgp_listener *l, const struct bgp_incoming *in)
{
	struct bgp_session *best = NULL;
	unsigned score = 0;

	for (struct bgp_session *s = e->buckets[bucket_of(e, &in->remote)]; s; s = s->hash_next) {
		unsigned f = fits(s, l, in);

		if (f > score) {
			score = f;
			best = s;
		}
	}
	return best ? session_hold(best) : NULL;
}

struct handover {
	struct bgp_session *s;
	struct bgp_incoming in;
};

static void run_handover(void *arg)
{
	struct handover *h = arg;

	session_incoming(h->s, h->in.fd, &h->in.local, h->in.ifindex, h->in.port);
	session_release(h->s);
	free(h);
}

void engine_hand_over(struct bgp_session *s, const struct bgp_incoming *in)
{
	struct handover *h = malloc(sizeof(*h));

	if (!h)
		abort();
	*h = (struct handover){session_hold(s), *in};
	loop_call(s->thread->loop, run_handover, h);
}

struct range_call {
	struct bgp_engine *engine;
	uint64_t id;
	struct bgp_incoming in;
};

static void run_spawn(void *arg)
{
	struct range_call *rc = arg;
	struct range *r;

	for (r = rc->engine->ranges; r && r->id != rc->id; r = r->next)
		;
	if (r)
		r->spawn(r->ctx, &rc->in);
	else
		close(rc->in.fd);
	free(rc);
}

static void post_spawn(struct bgp_engine *e, uint64_t id, const struct bgp_incoming *in)
{
	struct range_call *rc = malloc(sizeof(*rc));

	if (!rc)
		abort();
	*rc = (struct range_call){e, id, *in};
	loop_call(e->daemon->main, run_spawn, rc);
}

static void run_refusal(void *arg)
{
	struct range_call *rc = arg;
	char text[IPADDR_STRLEN];

	if (!bgp_refuse(rc->engine->daemon, &rc->in.remote, rc->in.fd, &rc->engine->refusals) &&
		log_limit_ok(&rc->engine->unknown_limit))
		log_msg(LOG_CLASS_WARNING, "BGP: Unexpected connect from unknown address %s (port %u)",
			ipaddr_format(&rc->in.remote, text), rc->in.port);
	free(rc);
}

/* Nobody runs a session with this neighbour: main knows whether somebody would. */
static void post_refusal(struct bgp_engine *e, const struct bgp_incoming *in)
{
	struct range_call *rc = malloc(sizeof(*rc));

	if (!rc)
		abort();
	*rc = (struct range_call){e, 0, *in};
	loop_call(e->daemon->main, run_refusal, rc);
}

static bool is_in(const struct range *r, const struct bgp_incoming *in)
{
	const struct bgp_config *c = &r->cf->c;

	if (!prefix_contains_addr(&c->range, &in->remote))
		return false;
	/* Such addresses mean something on one interface only. */
	return !ipaddr_is_link_local(&in->remote) || !c->ifname || if_nametoindex(c->ifname) == in->ifindex;
}

/* The most specific range; its id, 0: none. Under the lock. */
static uint64_t find_range(struct bgp_engine *e, const struct bgp_listener *l, const struct bgp_incoming *in)
{
	const struct range *best = NULL;

	for (const struct range *r = e->ranges; r; r = r->next)
		if (r->listener == l && is_in(r, in) && (!best || r->cf->c.range.len > best->cf->c.range.len))
			best = r;
	return best ? best->id : 0;
}

static void dispatch(struct bgp_engine *e, struct bgp_listener *l, const struct bgp_incoming *in)
{
	struct bgp_session *s;
	uint64_t range = 0;

	pthread_mutex_lock(&e->lock);
	s = find_session(e, l, in);
	if (!s)
		range = find_range(e, l, in);
	pthread_mutex_unlock(&e->lock);
	if (s) {
		engine_hand_over(s, in);
		session_release(s);
	} else if (range) {
		post_spawn(e, range, in);
	} else {
		post_refusal(e, in);
	}
}

static bool accept_one(struct bgp_engine *e, struct bgp_listener *l)
{
	struct bgp_incoming in = {0};
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	uint16_t port;
	uint32_t scope;

	in.fd = accept4(l->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (in.fd < 0)
		return errno == ECONNABORTED || errno == EINTR;
	if (ipaddr_from_sockaddr((struct sockaddr *)&ss, &in.remote, &in.port, &in.ifindex) < 0) {
		close(in.fd);
		return true;
	}
	len = sizeof(ss);
	if (getsockname(in.fd, (struct sockaddr *)&ss, &len) < 0 ||
		ipaddr_from_sockaddr((struct sockaddr *)&ss, &in.local, &port, &scope) < 0) {
		close(in.fd);
		return true;
	}
	dispatch(e, l, &in);
	return true;
}

static void on_acceptable(struct ev_loop *ev, ev_io *w, int revents)
{
	struct bgp_listener *l = w->data;

	(void)ev;
	(void)revents;
	for (unsigned i = 0; i < 32 && accept_one(l->engine, l); i++)
		;
}

/* ---- listeners ---- */

static void watch(void *arg)
{
	struct bgp_listener *l = arg;

	ev_io_init(&l->watcher, on_acceptable, l->fd, EV_READ);
	l->watcher.data = l;
	ev_io_start(loop_ev(l->engine->threads[0].loop), &l->watcher);
}

static void unwatch_free(void *arg)
{
	struct bgp_listener *l = arg;

	if (l->watched)
		ev_io_stop(loop_ev(l->engine->threads[0].loop), &l->watcher);
	close(l->fd);
	free(l);
}

static struct bgp_listener *get_listener(
	struct bgp_engine *e, const struct bgp_listener *spec, int *rc, char err[TRANSPORT_ERR])
{
	struct bgp_listener *l;

	for (l = e->listeners; l; l = l->next)
		if (listener_same(l, spec))
			return l;
	l = listener_open(spec, rc, err);
	if (!l)
		return NULL;
	l->engine = e;
	l->next = e->listeners;
	e->listeners = l;
	return l;
}

static struct bgp_listener *use_listener(
	struct bgp_engine *e, const struct bgp_config *c, bool v6, int *rc, char err[TRANSPORT_ERR])
{
	struct bgp_listener spec, *l;

	listener_spec(c, v6, &spec);
	l = get_listener(e, &spec, rc, err);
	if (!l)
		return NULL;
	l->users++;
	/* Not before somebody wants it: a socket opened to check a configuration answers nobody. */
	if (!l->watched) {
		l->watched = true;
		loop_call(e->threads[0].loop, watch, l);
	}
	return l;
}

static void drop_listener(struct bgp_engine *e, struct bgp_listener *l)
{
	struct bgp_listener **at;

	if (--l->users)
		return;
	for (at = &e->listeners; *at != l; at = &(*at)->next)
		;
	*at = l->next;
	/* It is closed later, by the thread that watches it; the port is free at once, for a protocol that is
	 * restarted. */
	shutdown(l->fd, SHUT_RDWR);
	loop_call(e->threads[0].loop, unwatch_free, l);
}

static bool wants_family(const struct bgp_config *c, bool v6)
{
	if (c->unnumbered)
		return v6;
	if (c->has_range)
		return (c->range.family == 6) == v6;
	return !ipaddr_is_zero(&c->remote) && !ipaddr_is_v4(&c->remote) == v6;
}

static int check_protocol(struct bgp_engine *e, const struct proto_config *p, char *err, size_t size)
{
	const struct bgp_config *c = p->body;
	char why[TRANSPORT_ERR];
	int rc = 0;

	if (c->auth == BGP_AUTH_AO && transport_probe_ao() == -ENOPROTOOPT) {
		snprintf(err, size, "%s: TCP-AO is not supported by this kernel", p->name);
		return -ENOPROTOOPT;
	}
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct bgp_listener spec;

		if (!wants_family(c, v6))
			continue;
		listener_spec(c, v6, &spec);
		if (!get_listener(e, &spec, &rc, why)) {
			snprintf(err, size, "%s: %s", p->name, why);
			return rc;
		}
	}
	return 0;
}

int bgp_engine_listen(struct bgp_engine *e, const struct config *c, char *err, size_t size)
{
	const struct proto_config *p;
	struct bgp_listener **at = &e->listeners;

	/* Sockets of a configuration that was checked and never came into force. */
	while (*at) {
		struct bgp_listener *l = *at;

		if (l->users) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		close(l->fd);
		free(l);
	}
	cds_list_for_each_entry(p, &c->protocols, node)
	{
		int rc = p->type == PROTO_BGP && !p->disabled ? check_protocol(e, p, err, size) : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- sessions and ranges ---- */

static int set_key(struct bgp_listener *l, const struct bgp_config *c, const struct prefix *from,
	char err[TRANSPORT_ERR])
{
	uint32_t scope = ipaddr_is_link_local(&from->addr) && c->ifname ? if_nametoindex(c->ifname) : 0;

	if (c->auth == BGP_AUTH_MD5)
		return transport_listener_md5(l->fd, from, scope, c->password, err);
	if (c->auth == BGP_AUTH_AO)
		return transport_listener_ao(l->fd, from, scope, c->ao_keys, err);
	return 0;
}

static void unset_key(struct bgp_listener *l, const struct bgp_config *c, const struct prefix *from)
{
	char err[TRANSPORT_ERR];
	uint32_t scope = ipaddr_is_link_local(&from->addr) && c->ifname ? if_nametoindex(c->ifname) : 0;

	if (c->auth == BGP_AUTH_MD5)
		transport_listener_md5(l->fd, from, scope, NULL, err);
}

static struct prefix remote_prefix(const struct bgp_config *c)
{
	return prefix_make(&c->remote, ipaddr_is_v4(&c->remote) ? 32 : 128);
}

int engine_register(struct bgp_engine *e, struct bgp_session *s, char err[TRANSPORT_ERR])
{
	const struct bgp_config *c = &s->identity->c;
	struct prefix from = remote_prefix(c);
	unsigned b = bucket_of(e, &s->identity->c.remote);
	int rc = 0;

	s->listener = use_listener(e, c, !ipaddr_is_v4(&c->remote), &rc, err);
	if (s->listener && !s->dynamic)
		rc = set_key(s->listener, c, &from, err);
	session_hold(s);
	pthread_mutex_lock(&e->lock);
	s->hash_next = e->buckets[b];
	e->buckets[b] = s;
	s->registered = true;
	pthread_mutex_unlock(&e->lock);
	return rc;
}

void engine_unregister(struct bgp_engine *e, struct bgp_session *s)
{
	const struct bgp_config *c = &s->identity->c;
	struct prefix from = remote_prefix(c);
	struct bgp_session **at;

	if (!s->registered)
		return;
	pthread_mutex_lock(&e->lock);
	for (at = &e->buckets[bucket_of(e, &s->identity->c.remote)]; *at != s; at = &(*at)->hash_next)
		;
	*at = s->hash_next;
	s->registered = false;
	pthread_mutex_unlock(&e->lock);
	if (s->listener) {
		if (!s->dynamic)
			unset_key(s->listener, c, &from);
		drop_listener(e, s->listener);
	}
	s->listener = NULL;
	session_release(s);
}

int engine_add_range(struct bgp_engine *e, struct bgp_settings *cf, bgp_spawn_fn *spawn, void *ctx,
	char err[TRANSPORT_ERR])
{
	struct range *r;
	int rc = 0;
	struct bgp_listener *l = use_listener(e, &cf->c, cf->c.range.family == 6, &rc, err);

	if (!l)
		return rc;
	rc = set_key(l, &cf->c, &cf->c.range, err);
	r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	*r = (struct range){.id = ++e->next_range,
		.cf = bgp_settings_hold(cf),
		.spawn = spawn,
		.ctx = ctx,
		.listener = l};
	pthread_mutex_lock(&e->lock);
	r->next = e->ranges;
	e->ranges = r;
	pthread_mutex_unlock(&e->lock);
	return rc;
}

void engine_remove_range(struct bgp_engine *e, void *ctx)
{
	struct range **at, *r;

	pthread_mutex_lock(&e->lock);
	for (at = &e->ranges; *at && (*at)->ctx != ctx; at = &(*at)->next)
		;
	r = *at;
	if (r)
		*at = r->next;
	pthread_mutex_unlock(&e->lock);
	if (!r)
		return;
	unset_key(r->listener, &r->cf->c, &r->cf->c.range);
	drop_listener(e, r->listener);
	bgp_settings_release(r->cf);
	free(r);
}

/* ---- last words ---- */

struct lingering {
	struct lingering *next, **prev;
	struct bgp_thread *thread;
	int fd;
	struct ev_io rd, wr;
	struct ev_timer timer;
	uint8_t *bytes;
	size_t len, at;
};

static void linger_end(struct lingering *l)
{
	struct ev_loop *ev = loop_ev(l->thread->loop);

	ev_io_stop(ev, &l->rd);
	ev_io_stop(ev, &l->wr);
	ev_timer_stop(ev, &l->timer);
	*l->prev = l->next;
	if (l->next)
		l->next->prev = l->prev;
	close(l->fd);
	free(l->bytes);
	free(l);
}

static void linger_write(struct lingering *l)
{
	while (l->at < l->len) {
		ssize_t n = send(l->fd, l->bytes + l->at, l->len - l->at, MSG_NOSIGNAL);

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				linger_end(l);
			else
				ev_io_start(loop_ev(l->thread->loop), &l->wr);
			return;
		}
		l->at += (size_t)n;
	}
	ev_io_stop(loop_ev(l->thread->loop), &l->wr);
	/* Unread input at close() would turn into a reset, which could overtake our NOTIFICATION: read until
	 * the other side closes. */
	shutdown(l->fd, SHUT_WR);
}

static void on_linger_writable(struct ev_loop *ev, ev_io *w, int revents)
{
	(void)ev;
	(void)revents;
	linger_write(w->data);
}

static void on_linger_readable(struct ev_loop *ev, ev_io *w, int revents)
{
	struct lingering *l = w->data;
	ssize_t n = read(l->fd, l->thread->read_buf, BGP_READ_SIZE);

	(void)ev;
	(void)revents;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		linger_end(l);
}

static void on_linger_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	(void)ev;
	(void)revents;
	linger_end(w->data);
}

void engine_linger(struct bgp_thread *t, int fd, uint8_t *bytes, size_t len)
{
	struct lingering *l = calloc(1, sizeof(*l));
	struct ev_loop *ev = loop_ev(t->loop);

	if (!l)
		abort();
	l->thread = t;
	l->fd = fd;
	l->bytes = bytes;
	l->len = len;
	l->next = t->lingering;
	l->prev = &t->lingering;
	if (l->next)
		l->next->prev = &l->next;
	t->lingering = l;
	ev_io_init(&l->rd, on_linger_readable, fd, EV_READ);
	ev_io_init(&l->wr, on_linger_writable, fd, EV_WRITE);
	ev_now_update(ev);
	ev_timer_init(&l->timer, on_linger_timer, 3, 0);
	l->rd.data = l->wr.data = l->timer.data = l;
	ev_io_start(ev, &l->rd);
	ev_timer_start(ev, &l->timer);
	linger_write(l);
}

static void close_lingering(void *arg)
{
	struct bgp_thread *t = arg;

	while (t->lingering)
		linger_end(t->lingering);
}

void bgp_engine_destroy(struct bgp_engine *e)
{
	if (!e)
		return;
	if (ev_is_active(&e->ifaces_timer))
		ev_timer_stop(loop_ev(e->daemon->main), &e->ifaces_timer);
	recovery_stop(&e->recovery);
	if (e->daemon->bgp == e)
		e->daemon->bgp = NULL;
	if (e->threads)
		for (unsigned i = e->n; i--;)
			thread_exit(&e->threads[i]);
	while (e->listeners) {
		struct bgp_listener *l = e->listeners;

		e->listeners = l->next;
		close(l->fd);
		free(l);
	}
	pthread_mutex_destroy(&e->lock);
	free(e->threads);
	free(e);
}
