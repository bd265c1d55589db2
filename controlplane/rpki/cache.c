/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A cache may send half a million records at once, and its name may take the
 * resolver half a minute: so each cache has a thread with a loop, in which all of
 * this runs. Main starts and stops it and reads a view under a lock. Between
 * start and stopped() only this thread submits to the sources.
 *
 * Records of an answer are collected in batches and given to the tables when the
 * cache says End of Data: a connection that breaks in the middle changes
 * nothing. After a reset, what was not announced again is withdrawn then. While
 * the cache is away its records stay until they expire (RFC 8210 section 6).
 *
 *   connecting -> asking (reset or serial query) -> receiving -> established
 *        ^            |  no answer in time               |           | refresh, notify: asking
 *        +-- retry ---+----------------------------------+-----------+
 */
#include "controlplane/rpki/cache.h"
#include "controlplane/rpki/rtr.h"
#include "shared/clock.h"
#include "shared/log.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_S 30.
#define ANSWER_TIMEOUT_S 60. /* without a byte */
#define MAX_ADDRESSES 16u

enum state {
	CACHE_CONNECTING,
	CACHE_ESTABLISHED,
	CACHE_RESET,
	CACHE_SYNC_START,
	CACHE_SYNC_RUNNING,
	CACHE_FAST_RECONNECT,
	CACHE_NO_INCR_UPDATE,
	CACHE_NO_DATA,
	CACHE_FATAL,
	CACHE_TRANSPORT,
	CACHE_DOWN,
};

static const char *const state_names[] = {
	"Connecting",
	"Established",
	"Resetting",
	"Sync-Start",
	"Sync-Running",
	"Fast-Reconnect",
	"No-Increment-Update-Available",
	"Cache-Error-No-Data-Available",
	"Fatal-Protocol-Error",
	"Transport-Error",
	"Down",
};

struct timer {
	ev_timer ev;
	uint64_t deadline_ns; /* 0: not running; under the lock */
	uint32_t interval_s;  /* under the lock */
};

struct rpki_cache {
	struct rpki_cache_config c;
	struct rpki_config cf; /* own copy, strings too; the thread's */
	char name[65];
	struct loop *loop;
	uint32_t attrs[RPKI_KINDS]; /* of ROAs: one set for all of a table */
	int fd;
	ev_io io;
	ev_timer patience; /* connecting, or waiting for an answer */
	struct sockaddr_storage address[MAX_ADDRESSES];
	socklen_t address_len[MAX_ADDRESSES];
	unsigned n_addresses, next_address;
	uint8_t *in;
	size_t in_len;
	struct rib_batch *batch[RPKI_KINDS];
	bool resetting;   /* the answer under way is to a reset query */
	bool answered;    /* something came on this connection */
	bool agreed;      /* the version is one that the cache has served us in */
	bool have_data;   /* not expired */
	bool told_synced; /* synced() was called */
	bool stopping;
	uint64_t asked_ns; /* the last query: notifications may come at any rate */
	/* for views: written by the thread under the lock */
	pthread_mutex_t lock;
	struct timer refresh, retry, expire;
	enum state state;
	uint8_t version;
	bool has_session;
	uint16_t session;
	uint32_t serial;
	uint64_t updated_ns; /* 0: never */
};

static struct ev_loop *ev_of(struct rpki_cache *c)
{
	return loop_ev(c->loop);
}

static void set_state(struct rpki_cache *c, enum state s)
{
	pthread_mutex_lock(&c->lock);
	c->state = s;
	pthread_mutex_unlock(&c->lock);
}

static void timer_stop(struct rpki_cache *c, struct timer *t)
{
	ev_timer_stop(ev_of(c), &t->ev);
	pthread_mutex_lock(&c->lock);
	t->deadline_ns = 0;
	pthread_mutex_unlock(&c->lock);
}

static void timer_start(struct rpki_cache *c, struct timer *t)
{
	ev_timer_stop(ev_of(c), &t->ev);
	ev_now_update(ev_of(c));
	ev_timer_set(&t->ev, t->interval_s, 0);
	ev_timer_start(ev_of(c), &t->ev);
	pthread_mutex_lock(&c->lock);
	t->deadline_ns = clock_now_ns() + t->interval_s * NS_PER_S;
	pthread_mutex_unlock(&c->lock);
}

static void timer_interval(struct rpki_cache *c, struct timer *t, uint32_t seconds)
{
	bool changed = t->interval_s != seconds;

	pthread_mutex_lock(&c->lock);
	t->interval_s = seconds;
	pthread_mutex_unlock(&c->lock);
	if (changed && ev_is_active(&t->ev))
		timer_start(c, t);
}

static void be_patient(struct rpki_cache *c, double seconds)
{
	ev_timer_stop(ev_of(c), &c->patience);
	ev_now_update(ev_of(c));
	ev_timer_set(&c->patience, seconds, 0);
	ev_timer_start(ev_of(c), &c->patience);
}

/* ---- the connection ---- */

static void connect_cache(struct rpki_cache *c);

static void discard_batches(struct rpki_cache *c)
{
	for (int i = 0; i < RPKI_KINDS; i++)
		if (c->batch[i]) {
			rib_batch_discard(c->batch[i]);
			c->batch[i] = NULL;
		}
}

static void disconnect(struct rpki_cache *c)
{
	if (c->fd >= 0) {
		ev_io_stop(ev_of(c), &c->io);
		close(c->fd);
		c->fd = -1;
	}
	ev_timer_stop(ev_of(c), &c->patience);
	timer_stop(c, &c->refresh);
	discard_batches(c);
	c->in_len = 0;
}

static void try_later(struct rpki_cache *c, enum state s)
{
	disconnect(c);
	set_state(c, s);
	timer_start(c, &c->retry);
}

static void try_again_now(struct rpki_cache *c)
{
	disconnect(c);
	set_state(c, CACHE_FAST_RECONNECT);
	connect_cache(c);
}

static uint8_t highest_version(const struct rpki_cache *c)
{
	return c->cf.max_version > RTR_MAX_VERSION ? RTR_MAX_VERSION : c->cf.max_version;
}

static void set_version(struct rpki_cache *c, uint8_t version)
{
	pthread_mutex_lock(&c->lock);
	c->version = version;
	pthread_mutex_unlock(&c->lock);
}

static void lost(struct rpki_cache *c, const char *why)
{
	log_msg(LOG_CLASS_WARNING, "%s: Connection to the cache lost: %s", c->name, why);
	try_later(c, CACHE_TRANSPORT);
}

static void closed_by_cache(struct rpki_cache *c)
{
	/* Some caches answer a version they do not know by hanging up: all are tried, in a circle. */
	if (!c->answered && !c->agreed) {
		set_version(
			c, c->version > c->cf.min_version ? (uint8_t)(c->version - 1) : highest_version(c));
		log_msg(LOG_CLASS_INFO, "%s: The cache has hung up, version %u is tried next", c->name,
			c->version);
	}
	lost(c, "closed by the cache");
}

static void ask(struct rpki_cache *c)
{
	uint8_t b[16];
	size_t n;

	c->resetting = !c->has_session;
	c->asked_ns = clock_now_ns();
	set_state(c, c->resetting ? CACHE_RESET : CACHE_SYNC_START);
	timer_stop(c, &c->refresh);
	be_patient(c, ANSWER_TIMEOUT_S);
	n = c->resetting ? rtr_reset_query(c->version, b)
			 : rtr_serial_query(c->version, c->session, c->serial, b);
	/* A query is a few bytes on an idle connection: a short write means that it is broken. */
	if (send(c->fd, b, n, MSG_NOSIGNAL) != (ssize_t)n)
		lost(c, strerror(errno));
}

static void forget_session(struct rpki_cache *c)
{
	pthread_mutex_lock(&c->lock);
	c->has_session = false;
	pthread_mutex_unlock(&c->lock);
}

static void protocol_error(
	struct rpki_cache *c, uint16_t code, const uint8_t *pdu, uint32_t len, const char *text)
{
	uint8_t b[16 + 64 + 128];

	len = len > 64 ? 64 : len;
	log_msg(LOG_CLASS_REMOTE, "%s: %s: %s", c->name, rtr_error_name(code), text);
	if (c->fd >= 0)
		(void)!send(c->fd, b, rtr_error_report(c->version, code, pdu, len, text, b), MSG_NOSIGNAL);
	try_later(c, CACHE_FATAL);
}

/* ---- an answer ---- */

static void roa(struct rpki_cache *c, const struct rtr_pdu *p)
{
	enum rpki_kind k = p->type == RTR_IPV4_PREFIX ? RPKI_ROA4 : RPKI_ROA6;
	const struct net n = {
		.type = k == RPKI_ROA4 ? NET_ROA4 : NET_ROA6,
		.prefix = p->prefix,
		.maxlen = !c->cf.ignore_max_length ? p->max_len
			  : k == RPKI_ROA4         ? 32
						   : 128,
		.asn = p->asn,
	};

	if (!c->batch[k] || p->ignore)
		return; /* a family that this protocol has no channel for */
	if (p->announce)
		rib_batch_announce(c->batch[k], &n, 0, c->attrs[k]);
	else
		rib_batch_withdraw(c->batch[k], &n, 0);
}

static void aspa(struct rpki_cache *c, const struct rtr_pdu *p)
{
	const struct net n = {.type = NET_ASPA, .asn = p->asn};
	struct attr_extra e = {.id = ATTR_EXTRA_ASPA_PROVIDERS, .type = T_CLIST};
	const struct attrs a = {
		.preference = c->c.preference[RPKI_ASPA], .scope = SCOPE_UNIVERSE, .extra = &e, .n_extra = 1};
	uint32_t list[RTR_MAX_PDU / 4], id;

	if (!c->batch[RPKI_ASPA])
		return;
	if (!p->announce) {
		rib_batch_withdraw(c->batch[RPKI_ASPA], &n, 0);
		return;
	}
	for (uint32_t i = 0; i < p->n_providers; i++)
		list[i] = rtr_provider(p, i);
	e.data = list;
	e.len = (uint16_t)(4 * p->n_providers);
	id = attrs_intern(&a);
	rib_batch_announce(c->batch[RPKI_ASPA], &n, 0, id);
	attrs_release(id);
}

static void begin_answer(struct rpki_cache *c, const struct rtr_pdu *p, const uint8_t *bytes)
{
	if (c->state != CACHE_RESET && c->state != CACHE_SYNC_START) {
		protocol_error(c, RTR_ERR_CORRUPT, bytes, p->length, "answer to no question");
		return;
	}
	if (!c->resetting && p->session != c->session) {
		/* The cache has restarted: its numbers mean nothing any more (RFC 8210 section 5.1). What
		 * it still has to say on this connection would be mistaken for the answer to come. */
		log_msg(LOG_CLASS_INFO, "%s: The cache has a new session, asking for everything", c->name);
		forget_session(c);
		try_again_now(c);
		return;
	}
	pthread_mutex_lock(&c->lock);
	c->session = p->session;
	c->has_session = true;
	c->state = CACHE_SYNC_RUNNING;
	pthread_mutex_unlock(&c->lock);
	discard_batches(c);
	for (int i = 0; i < RPKI_KINDS; i++)
		if (c->c.source[i])
			c->batch[i] = rib_batch_create(c->c.source[i]);
}

static uint32_t in_range(uint32_t v, uint32_t min, uint32_t max)
{
	return v < min ? min : v > max ? max : v;
}

static void end_answer(struct rpki_cache *c, const struct rtr_pdu *p)
{
	for (int i = 0; i < RPKI_KINDS; i++) {
		struct rib_source *s = c->c.source[i];

		if (!c->batch[i])
			continue;
		if (c->resetting)
			rib_source_mark_stale(s, false);
		rib_submit(c->batch[i]);
		c->batch[i] = NULL;
		if (c->resetting)
			rib_source_sweep_stale(s);
	}
	c->resetting = false;
	c->agreed = c->have_data = true;
	ev_timer_stop(ev_of(c), &c->patience);
	timer_stop(c, &c->retry);
	if (p->has_timers) {
		if (!c->cf.keep_refresh)
			timer_interval(c, &c->refresh, in_range(p->refresh, 1, 86400));
		if (!c->cf.keep_retry)
			timer_interval(c, &c->retry, in_range(p->retry, 1, 7200));
		if (!c->cf.keep_expire)
			timer_interval(c, &c->expire, in_range(p->expire, 600, 172800));
	}
	pthread_mutex_lock(&c->lock);
	c->serial = p->serial;
	c->updated_ns = clock_now_ns();
	c->state = CACHE_ESTABLISHED;
	pthread_mutex_unlock(&c->lock);
	timer_start(c, &c->refresh);
	timer_start(c, &c->expire);
	if (!c->told_synced) {
		c->told_synced = true;
		c->c.synced(c->c.ctx);
	}
}

static void error_received(struct rpki_cache *c, const struct rtr_pdu *p)
{
	char text[200];
	size_t n = p->text_len < sizeof(text) - 1 ? p->text_len : sizeof(text) - 1;

	for (size_t i = 0; i < n; i++)
		text[i] = p->text[i] < ' ' || p->text[i] == 0x7f ? '.' : (char)p->text[i];
	text[n] = 0;
	if (p->error == RTR_ERR_VERSION && !c->agreed && c->version > c->cf.min_version) {
		uint8_t lower = p->version < c->version ? p->version : (uint8_t)(c->version - 1);

		set_version(c, lower < c->cf.min_version ? c->cf.min_version : lower);
		log_msg(LOG_CLASS_INFO, "%s: The cache does not speak our version, trying version %u",
			c->name, c->version);
		try_again_now(c);
		return;
	}
	log_msg(LOG_CLASS_REMOTE, "%s: Cache reports: %s%s%s", c->name, rtr_error_name(p->error),
		n ? ": " : "", text);
	try_later(c, p->error == RTR_ERR_NO_DATA ? CACHE_NO_DATA : CACHE_FATAL);
}

/* False: not to be handled. */
static bool version_fits(struct rpki_cache *c, const struct rtr_pdu *p, const uint8_t *bytes)
{
	if (p->version == c->version)
		return true;
	/* RFC 8210 section 7: until a version is agreed on, notifications in any are ignored, and a lower
	 * one in the answer is the cache's choice. */
	if (p->type == RTR_SERIAL_NOTIFY && c->state != CACHE_ESTABLISHED)
		return false;
	if (p->type == RTR_CACHE_RESPONSE && p->version < c->version && p->version >= c->cf.min_version &&
		!c->agreed) {
		log_msg(LOG_CLASS_INFO, "%s: The cache speaks version %u", c->name, p->version);
		set_version(c, p->version);
		return true;
	}
	protocol_error(c, RTR_ERR_UNEXPECTED_VERSION, bytes, p->length, "version changed");
	c->agreed = false;
	set_version(c, highest_version(c)); /* the next connection begins again */
	return false;
}

static void notified(struct rpki_cache *c, const struct rtr_pdu *p)
{
	if (c->state != CACHE_ESTABLISHED ||
		(c->has_session && p->session == c->session && p->serial == c->serial))
		return;
	/* Not more often than once a second: the serial that we would miss is in the next answer. */
	if (clock_now_ns() - c->asked_ns < NS_PER_S) {
		be_patient(c, 1);
		return;
	}
	ask(c);
}

static void handle(struct rpki_cache *c, const struct rtr_pdu *p, const uint8_t *bytes)
{
	if (p->type == RTR_ERROR_REPORT) {
		error_received(c, p);
		return;
	}
	if (!version_fits(c, p, bytes))
		return;
	switch (p->type) {
	case RTR_SERIAL_NOTIFY: notified(c, p); return;
	case RTR_CACHE_RESPONSE: begin_answer(c, p, bytes); return;
	case RTR_CACHE_RESET:
		if (c->state != CACHE_SYNC_START) {
			protocol_error(c, RTR_ERR_CORRUPT, bytes, p->length, "reset in answer to no serial");
			return;
		}
		set_state(c, CACHE_NO_INCR_UPDATE);
		forget_session(c);
		ask(c);
		return;
	case RTR_IPV4_PREFIX:
	case RTR_IPV6_PREFIX:
	case RTR_ASPA:
	case RTR_ROUTER_KEY:
	case RTR_END_OF_DATA:
		if ((p->type == RTR_ASPA && c->version < 2) ||
			(p->type == RTR_ROUTER_KEY && c->version < 1)) {
			protocol_error(c, RTR_ERR_TYPE, bytes, p->length, "PDU of a later version");
			return;
		}
		if (c->state != CACHE_SYNC_RUNNING) {
			protocol_error(c, RTR_ERR_CORRUPT, bytes, p->length, "record outside an answer");
			return;
		}
		if (p->type == RTR_ASPA)
			aspa(c, p);
		else if (p->type == RTR_END_OF_DATA)
			end_answer(c, p);
		else if (p->type != RTR_ROUTER_KEY)
			roa(c, p);
		return;
	default: protocol_error(c, RTR_ERR_TYPE, bytes, p->length, "unknown PDU type"); return;
	}
}

static void on_readable(struct rpki_cache *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, RTR_MAX_PDU - c->in_len, 0);
	int fd = c->fd;
	size_t at = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 0) {
		closed_by_cache(c);
		return;
	}
	if (n < 0) {
		lost(c, strerror(errno));
		return;
	}
	if (c->state != CACHE_ESTABLISHED)
		be_patient(c, ANSWER_TIMEOUT_S);
	c->answered = true;
	c->in_len += (size_t)n;
	for (;;) {
		struct rtr_pdu p;
		int used = rtr_parse(c->in + at, c->in_len - at, &p);

		if (used == 0)
			break;
		if (used < 0) {
			protocol_error(c, RTR_ERR_CORRUPT, c->in + at, RTR_HEADER, "malformed PDU");
			return;
		}
		handle(c, &p, c->in + at);
		if (c->fd != fd || !c->in_len)
			return; /* another connection, or none */
		at += (size_t)used;
	}
	memmove(c->in, c->in + at, c->in_len - at);
	c->in_len -= at;
}

static void on_io(struct ev_loop *ev, ev_io *w, int revents)
{
	struct rpki_cache *c = w->data;

	if (revents & EV_WRITE) {
		int err = 0;
		socklen_t len = sizeof(err);

		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
		if (err) {
			log_msg(LOG_CLASS_WARNING, "%s: Cannot connect to the cache: %s", c->name,
				strerror(err));
			try_later(c, CACHE_TRANSPORT);
			return;
		}
		ev_io_stop(ev, w);
		ev_io_set(w, c->fd, EV_READ);
		ev_io_start(ev, w);
		timer_stop(c, &c->retry);
		ask(c);
		return;
	}
	on_readable(c);
}

/* ---- connecting ---- */

static int resolve(struct rpki_cache *c)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	char port[8];
	int rc;

	c->n_addresses = c->next_address = 0;
	if (!ipaddr_is_zero(&c->cf.remote)) {
		c->address_len[0] = ipaddr_to_sockaddr(&c->cf.remote, c->cf.port, 0, &c->address[0]);
		c->n_addresses = 1;
		return 0;
	}
	snprintf(port, sizeof(port), "%u", c->cf.port);
	rc = getaddrinfo(c->cf.host, port, &hints, &list);
	if (rc) {
		log_msg(LOG_CLASS_WARNING, "%s: Cannot resolve %s: %s", c->name, c->cf.host,
			gai_strerror(rc));
		return -ENOENT;
	}
	for (const struct addrinfo *a = list; a && c->n_addresses < MAX_ADDRESSES; a = a->ai_next) {
		memcpy(&c->address[c->n_addresses], a->ai_addr, a->ai_addrlen);
		c->address_len[c->n_addresses++] = a->ai_addrlen;
	}
	freeaddrinfo(list);
	return c->n_addresses ? 0 : -ENOENT;
}

static int set_md5(int fd, const struct sockaddr_storage *remote, const char *password)
{
	struct tcp_md5sig md5 = {0};
	size_t n = strlen(password);

	if (n > TCP_MD5SIG_MAXKEYLEN)
		return -ENAMETOOLONG;
	memcpy(&md5.tcpm_addr, remote, sizeof(*remote));
	md5.tcpm_keylen = (uint16_t)n;
	memcpy(md5.tcpm_key, password, n);
	return setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &md5, sizeof(md5)) < 0 ? -errno : 0;
}

static int prepare_socket(struct rpki_cache *c, const struct sockaddr_storage *remote, socklen_t len)
{
	int fd = socket(remote->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, rc = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	if (!ipaddr_is_zero(&c->cf.local)) {
		struct sockaddr_storage local;
		socklen_t l = ipaddr_to_sockaddr(&c->cf.local, 0, 0, &local);

		if (bind(fd, (struct sockaddr *)&local, l) < 0)
			rc = -errno;
	}
	if (rc == 0 && c->cf.md5_password)
		rc = set_md5(fd, remote, c->cf.md5_password);
	if (rc == 0 && connect(fd, (const struct sockaddr *)remote, len) < 0 && errno != EINPROGRESS)
		rc = -errno;
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

static void connect_cache(struct rpki_cache *c)
{
	unsigned i;
	int fd;

	set_state(c, CACHE_CONNECTING);
	timer_stop(c, &c->retry);
	/* Each attempt takes the next address; after the last one the name is looked up again. */
	if (c->next_address >= c->n_addresses && resolve(c) < 0) {
		try_later(c, CACHE_TRANSPORT);
		return;
	}
	i = c->next_address++;
	fd = prepare_socket(c, &c->address[i], c->address_len[i]);
	if (fd < 0) {
		log_msg(LOG_CLASS_WARNING, "%s: Cannot connect to the cache: %s", c->name, strerror(-fd));
		try_later(c, CACHE_TRANSPORT);
		return;
	}
	c->fd = fd;
	c->answered = false;
	ev_io_init(&c->io, on_io, fd, EV_WRITE);
	c->io.data = c;
	ev_io_start(ev_of(c), &c->io);
	be_patient(c, CONNECT_TIMEOUT_S);
}

/* ---- timers ---- */

static void on_patience(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct rpki_cache *c = w->data;

	(void)ev, (void)revents;
	if (c->state == CACHE_ESTABLISHED) /* a notification that had to wait */
		ask(c);
	else if (c->state == CACHE_CONNECTING)
		lost(c, "no answer to connecting");
	else
		lost(c, "no answer");
}

static void on_retry(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct rpki_cache *c = w->data;

	(void)ev, (void)revents;
	disconnect(c);
	connect_cache(c);
}

static void on_refresh(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct rpki_cache *c = w->data;

	(void)ev, (void)revents;
	if (c->fd >= 0 && c->state == CACHE_ESTABLISHED)
		ask(c);
}

static void on_expire(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct rpki_cache *c = w->data;

	(void)ev, (void)revents;
	log_msg(LOG_CLASS_WARNING, "%s: The cache's data has expired", c->name);
	timer_stop(c, &c->expire);
	forget_session(c); /* a serial query would bring the changes only */
	c->have_data = false;
	for (int i = 0; i < RPKI_KINDS; i++)
		if (c->c.source[i])
			rib_source_flush(c->c.source[i]);
}

/* ---- from main ---- */

static void copy_config(struct rpki_config *to, const struct rpki_config *from)
{
	*to = *from;
	to->host = from->host ? strdup(from->host) : NULL;
	to->md5_password = from->md5_password ? strdup(from->md5_password) : NULL;
	to->ssh_user = to->ssh_private_key = to->ssh_public_key = NULL;
}

static void free_config(struct rpki_config *cf)
{
	free((char *)cf->host);
	free((char *)cf->md5_password);
}

static void begin(void *arg)
{
	struct rpki_cache *c = arg;

	if (!c->stopping)
		connect_cache(c);
}

struct rpki_cache *rpki_cache_create(const struct rpki_cache_config *config)
{
	struct rpki_cache *c = calloc(1, sizeof(*c));
	const struct rpki_config *cf = config->cf;
	struct timer *timers[3];
	void (*const fired[])(struct ev_loop *, ev_timer *, int) = {on_refresh, on_retry, on_expire};
	int rc;

	if (!c)
		return NULL;
	timers[0] = &c->refresh;
	timers[1] = &c->retry;
	timers[2] = &c->expire;
	c->c = *config;
	copy_config(&c->cf, cf);
	snprintf(c->name, sizeof(c->name), "%s", config->name);
	pthread_mutex_init(&c->lock, NULL);
	c->fd = -1;
	c->version = highest_version(c);
	c->refresh.interval_s = cf->refresh;
	c->retry.interval_s = cf->retry;
	c->expire.interval_s = cf->expire;
	for (int i = 0; i < 3; i++) {
		ev_timer_init(&timers[i]->ev, fired[i], 0, 0);
		timers[i]->ev.data = c;
	}
	ev_timer_init(&c->patience, on_patience, 0, 0);
	c->patience.data = c;
	for (int i = RPKI_ROA4; i <= RPKI_ROA6; i++) {
		const struct attrs a = {.preference = config->preference[i], .scope = SCOPE_UNIVERSE};

		c->attrs[i] = attrs_intern(&a);
	}
	c->in = malloc(RTR_MAX_PDU);
	c->loop = loop_create("rpki");
	rc = c->in && c->loop ? loop_start(c->loop) : -ENOMEM;
	if (rc < 0) {
		rpki_cache_destroy(c);
		errno = -rc;
		return NULL;
	}
	loop_call(c->loop, begin, c);
	return c;
}

static void finish(void *arg)
{
	struct rpki_cache *c = arg;

	c->stopping = true;
	disconnect(c);
	timer_stop(c, &c->retry);
	timer_stop(c, &c->expire);
	set_state(c, CACHE_DOWN);
	c->c.stopped(c->c.ctx);
}

void rpki_cache_stop(struct rpki_cache *c)
{
	loop_call(c->loop, finish, c);
}

void rpki_cache_destroy(struct rpki_cache *c)
{
	loop_join_destroy(c->loop);
	attrs_release(c->attrs[RPKI_ROA4]);
	attrs_release(c->attrs[RPKI_ROA6]);
	free_config(&c->cf);
	pthread_mutex_destroy(&c->lock);
	free(c->in);
	free(c);
}

struct new_config {
	struct rpki_cache *cache;
	struct rpki_config cf;
};

static void take_config(void *arg)
{
	struct new_config *n = arg;
	struct rpki_cache *c = n->cache;
	struct rpki_config old = c->cf;

	c->cf = n->cf;
	free_config(&old);
	free(n);
	if (c->stopping)
		return;
	/* Those that the cache has said stay unless ours are to be kept. */
	if (c->cf.keep_refresh || old.refresh != c->cf.refresh)
		timer_interval(c, &c->refresh, c->cf.refresh);
	if (c->cf.keep_retry || old.retry != c->cf.retry)
		timer_interval(c, &c->retry, c->cf.retry);
	if (c->cf.keep_expire || old.expire != c->cf.expire)
		timer_interval(c, &c->expire, c->cf.expire);
}

void rpki_cache_reconfigure(struct rpki_cache *c, const struct rpki_config *cf)
{
	struct new_config *n = malloc(sizeof(*n));

	if (!n)
		abort();
	n->cache = c;
	copy_config(&n->cf, cf);
	loop_call(c->loop, take_config, n);
}

static void refresh_now(void *arg)
{
	struct rpki_cache *c = arg;

	if (c->stopping)
		return;
	if (c->fd >= 0 && c->state == CACHE_ESTABLISHED)
		ask(c);
	else if (ev_is_active(&c->retry.ev))
		on_retry(ev_of(c), &c->retry.ev, 0);
}

void rpki_cache_refresh(struct rpki_cache *c)
{
	loop_call(c->loop, refresh_now, c);
}

static struct rpki_timer_view timer_view(const struct timer *t, uint64_t now)
{
	struct rpki_timer_view v = {.running = t->deadline_ns != 0, .interval_s = t->interval_s};

	if (t->deadline_ns > now)
		v.left_s = (double)(t->deadline_ns - now) / 1e9;
	return v;
}

void rpki_cache_view(struct rpki_cache *c, struct rpki_cache_view *out)
{
	uint64_t now = clock_now_ns();

	pthread_mutex_lock(&c->lock);
	*out = (struct rpki_cache_view){
		.state = state_names[c->state],
		.version = c->version,
		.has_session = c->has_session,
		.session = c->session,
		.serial = c->serial,
		.updated = c->updated_ns != 0,
		.updated_before_s = (double)(now - c->updated_ns) / 1e9,
		.refresh = timer_view(&c->refresh, now),
		.retry = timer_view(&c->retry, now),
		.expire = timer_view(&c->expire, now),
	};
	pthread_mutex_unlock(&c->lock);
}
