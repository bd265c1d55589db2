/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `protocol rpki`: one cache, one connection, one thread.
 *
 * A cache may send half a million records at once; they are parsed and put into
 * batches in the protocol's own loop, so main only starts and stops it and reads
 * its state under a lock. Sources are opened and closed by main; between start
 * and stop only the loop's thread submits to them.
 *
 * Records of an answer are collected in a batch and given to the tables when the
 * cache says End of Data: a connection that breaks in the middle changes
 * nothing. After a reset, what was not announced again is withdrawn then. While
 * the cache is away its records stay until they expire (RFC 8210 section 6).
 */
#include "controlplane/cli/cli.h"
#include "controlplane/proto/proto.h"
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

enum cache_state {
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

struct rpki {
	struct proto *proto;
	struct loop *loop;
	struct rpki_config cf; /* own copy: the loop's thread reads it; strings are copies too */
	char name[65];
	struct rib_source *source4, *source6;
	uint32_t attrs4, attrs6; /* ids for the records: one reference each */
	/* the loop's thread only */
	int fd;
	ev_io io;
	ev_timer retry, refresh, expire;
	uint8_t *in;
	size_t in_len;
	struct rib_batch *batch4, *batch6;
	bool resetting; /* the answer under way is to a reset query */
	uint32_t refresh_s, retry_s, expire_s;
	bool announced_up;
	/* under the lock: for show */
	pthread_mutex_t lock;
	enum cache_state state;
	uint8_t version;
	bool has_session;
	uint16_t session;
	uint32_t serial;
	uint64_t updated_ns; /* 0: never */
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

static void set_state(struct rpki *r, enum cache_state s)
{
	pthread_mutex_lock(&r->lock);
	r->state = s;
	pthread_mutex_unlock(&r->lock);
}

static void proto_up(void *arg)
{
	struct proto *p = arg;

	if (p->state == PS_START)
		proto_set_state(p, PS_UP);
}

/* ---- the connection: loop's thread ---- */

static void connect_cache(struct rpki *r);

static void discard_batches(struct rpki *r)
{
	if (r->batch4)
		rib_batch_discard(r->batch4);
	if (r->batch6)
		rib_batch_discard(r->batch6);
	r->batch4 = r->batch6 = NULL;
}

static void disconnect(struct rpki *r)
{
	if (r->fd >= 0) {
		ev_io_stop(loop_ev(r->loop), &r->io);
		close(r->fd);
		r->fd = -1;
	}
	ev_timer_stop(loop_ev(r->loop), &r->refresh);
	discard_batches(r);
	r->in_len = 0;
}

static void arm(struct rpki *r, ev_timer *t, double seconds)
{
	ev_timer_stop(loop_ev(r->loop), t);
	ev_timer_set(t, seconds, 0);
	ev_timer_start(loop_ev(r->loop), t);
}

static void try_later(struct rpki *r, enum cache_state s)
{
	disconnect(r);
	set_state(r, s);
	arm(r, &r->retry, r->retry_s);
}

static void send_bytes(struct rpki *r, const uint8_t *b, size_t n)
{
	/* Queries are a few bytes on an idle connection: a short write means that it is broken. */
	if (send(r->fd, b, n, MSG_NOSIGNAL) != (ssize_t)n) {
		log_msg(LOG_CLASS_WARNING, "%s: Connection to the cache lost: %s", r->name, strerror(errno));
		try_later(r, CACHE_TRANSPORT);
	}
}

static void ask(struct rpki *r)
{
	uint8_t b[16];

	r->resetting = !r->has_session;
	set_state(r, r->resetting ? CACHE_RESET : CACHE_SYNC_START);
	send_bytes(r, b,
		r->resetting ? rtr_reset_query(r->version, b)
			     : rtr_serial_query(r->version, r->session, r->serial, b));
}

static void forget_session(struct rpki *r)
{
	pthread_mutex_lock(&r->lock);
	r->has_session = false;
	pthread_mutex_unlock(&r->lock);
}

static void protocol_error(struct rpki *r, uint16_t code, const uint8_t *pdu, uint32_t len, const char *text)
{
	uint8_t b[16 + 64 + 128];

	len = len > 64 ? 64 : len;
	log_msg(LOG_CLASS_REMOTE, "%s: %s: %s", r->name, rtr_error_name(code), text);
	if (r->fd >= 0)
		(void)!send(r->fd, b, rtr_error_report(r->version, code, pdu, len, text, b), MSG_NOSIGNAL);
	try_later(r, CACHE_FATAL);
}

static void record(struct rpki *r, const struct rtr_pdu *p)
{
	bool v4 = p->type == RTR_IPV4_PREFIX;
	struct rib_batch *b = v4 ? r->batch4 : r->batch6;
	const struct net n = {
		.type = v4 ? NET_ROA4 : NET_ROA6,
		.prefix = p->prefix,
		.maxlen = r->cf.ignore_max_length ? (v4 ? 32 : 128) : p->max_len,
		.asn = p->asn,
	};

	if (!b)
		return; /* a family that this protocol has no channel for */
	if (p->announce)
		rib_batch_announce(b, &n, 0, v4 ? r->attrs4 : r->attrs6);
	else
		rib_batch_withdraw(b, &n, 0);
}

static void begin_answer(struct rpki *r, const struct rtr_pdu *p)
{
	if (r->has_session && p->session != r->session) {
		/* The cache has restarted: its numbers mean nothing any more (RFC 8210 section 5.1). */
		log_msg(LOG_CLASS_INFO, "%s: The cache has a new session, asking for everything", r->name);
		forget_session(r);
		ask(r);
		return;
	}
	pthread_mutex_lock(&r->lock);
	r->session = p->session;
	r->has_session = true;
	pthread_mutex_unlock(&r->lock);
	discard_batches(r);
	r->batch4 = r->source4 ? rib_batch_create(r->source4) : NULL;
	r->batch6 = r->source6 ? rib_batch_create(r->source6) : NULL;
	set_state(r, CACHE_SYNC_RUNNING);
}

static uint32_t in_range(uint32_t v, uint32_t min, uint32_t max)
{
	return v < min ? min : v > max ? max : v;
}

static void finish_one(struct rpki *r, struct rib_source *s, struct rib_batch **b)
{
	if (!s || !*b)
		return;
	if (r->resetting)
		rib_source_mark_stale(s, false);
	rib_submit(*b);
	*b = NULL;
	if (r->resetting)
		rib_source_sweep_stale(s);
}

static void end_answer(struct rpki *r, const struct rtr_pdu *p)
{
	finish_one(r, r->source4, &r->batch4);
	finish_one(r, r->source6, &r->batch6);
	r->resetting = false;
	if (p->has_timers) {
		if (!r->cf.keep_refresh)
			r->refresh_s = in_range(p->refresh, 1, 86400);
		if (!r->cf.keep_retry)
			r->retry_s = in_range(p->retry, 1, 7200);
		if (!r->cf.keep_expire)
			r->expire_s = in_range(p->expire, 600, 172800);
	}
	pthread_mutex_lock(&r->lock);
	r->serial = p->serial;
	r->updated_ns = clock_now_ns();
	r->state = CACHE_ESTABLISHED;
	pthread_mutex_unlock(&r->lock);
	arm(r, &r->refresh, r->refresh_s);
	arm(r, &r->expire, r->expire_s);
	if (!r->announced_up) {
		r->announced_up = true;
		loop_call(r->proto->daemon->main, proto_up, r->proto);
	}
}

static void error_received(struct rpki *r, const struct rtr_pdu *p)
{
	log_msg(LOG_CLASS_REMOTE, "%s: Cache reports: %s%s%.*s", r->name, rtr_error_name(p->session),
		p->text_len ? ": " : "", (int)(p->text_len > 200 ? 200 : p->text_len), (const char *)p->text);
	if (p->session == RTR_ERR_VERSION && r->version > r->cf.min_version) {
		uint8_t lower = p->version < r->version ? p->version : (uint8_t)(r->version - 1);

		pthread_mutex_lock(&r->lock);
		r->version = lower < r->cf.min_version ? r->cf.min_version : lower;
		pthread_mutex_unlock(&r->lock);
		disconnect(r);
		set_state(r, CACHE_FAST_RECONNECT);
		connect_cache(r);
		return;
	}
	try_later(r, p->session == RTR_ERR_NO_DATA ? CACHE_NO_DATA : CACHE_FATAL);
}

/* False: the connection was closed. */
static bool handle(struct rpki *r, const struct rtr_pdu *p, const uint8_t *bytes)
{
	if (p->type == RTR_ERROR_REPORT) {
		error_received(r, p);
		return false;
	}
	if (p->version != r->version) {
		/* An older cache answers in its own version (RFC 8210 section 7). */
		if (p->version < r->version && p->version >= r->cf.min_version && !r->updated_ns &&
			p->type == RTR_CACHE_RESPONSE) {
			log_msg(LOG_CLASS_INFO, "%s: The cache speaks version %u", r->name, p->version);
			pthread_mutex_lock(&r->lock);
			r->version = p->version;
			pthread_mutex_unlock(&r->lock);
		} else {
			protocol_error(r, RTR_ERR_UNEXPECTED_VERSION, bytes, p->length, "version changed");
			return false;
		}
	}
	switch (p->type) {
	case RTR_SERIAL_NOTIFY:
		if (r->state == CACHE_ESTABLISHED &&
			(!r->has_session || p->session != r->session || p->serial != r->serial))
			ask(r);
		break;
	case RTR_CACHE_RESPONSE: begin_answer(r, p); break;
	case RTR_IPV4_PREFIX:
	case RTR_IPV6_PREFIX:
		if (r->state != CACHE_SYNC_RUNNING) {
			protocol_error(r, RTR_ERR_CORRUPT, bytes, p->length, "record outside an answer");
			return false;
		}
		record(r, p);
		break;
	case RTR_END_OF_DATA:
		if (r->state != CACHE_SYNC_RUNNING) {
			protocol_error(r, RTR_ERR_CORRUPT, bytes, p->length, "end of data outside an answer");
			return false;
		}
		end_answer(r, p);
		break;
	case RTR_CACHE_RESET:
		set_state(r, CACHE_NO_INCR_UPDATE);
		forget_session(r);
		ask(r);
		break;
	case RTR_ROUTER_KEY:
	case RTR_ASPA: break; /* not used */
	default: protocol_error(r, RTR_ERR_TYPE, bytes, p->length, "unknown PDU type"); return false;
	}
	return r->fd >= 0;
}

static void on_readable(struct rpki *r)
{
	size_t at = 0;
	ssize_t n = recv(r->fd, r->in + r->in_len, RTR_MAX_PDU - r->in_len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		log_msg(LOG_CLASS_WARNING, "%s: Connection to the cache lost%s%s", r->name, n ? ": " : "",
			n ? strerror(errno) : "");
		try_later(r, CACHE_TRANSPORT);
		return;
	}
	r->in_len += (size_t)n;
	for (;;) {
		struct rtr_pdu p;
		int used = rtr_parse(r->in + at, r->in_len - at, &p);

		if (used == 0)
			break;
		if (used < 0) {
			protocol_error(r, RTR_ERR_CORRUPT, r->in + at, RTR_HEADER, "malformed PDU");
			return;
		}
		if (!handle(r, &p, r->in + at))
			return;
		at += (size_t)used;
	}
	memmove(r->in, r->in + at, r->in_len - at);
	r->in_len -= at;
}

static void on_io(struct ev_loop *ev, ev_io *w, int revents)
{
	struct rpki *r = w->data;

	if (revents & EV_WRITE) {
		int err = 0;
		socklen_t len = sizeof(err);

		getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &err, &len);
		if (err) {
			log_msg(LOG_CLASS_WARNING, "%s: Cannot connect to the cache: %s", r->name,
				strerror(err));
			try_later(r, CACHE_TRANSPORT);
			return;
		}
		ev_io_stop(ev, w);
		ev_io_set(w, r->fd, EV_READ);
		ev_io_start(ev, w);
		ask(r);
		return;
	}
	on_readable(r);
}

static int resolve(const struct rpki *r, struct sockaddr_storage *ss, socklen_t *len)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *ai;
	char port[8];
	int rc;

	if (!ipaddr_is_zero(&r->cf.remote)) {
		*len = ipaddr_to_sockaddr(&r->cf.remote, r->cf.port, 0, ss);
		return 0;
	}
	snprintf(port, sizeof(port), "%u", r->cf.port);
	rc = getaddrinfo(r->cf.host, port, &hints, &ai);
	if (rc) {
		log_msg(LOG_CLASS_WARNING, "%s: Cannot resolve %s: %s", r->name, r->cf.host,
			gai_strerror(rc));
		return -ENOENT;
	}
	memcpy(ss, ai->ai_addr, ai->ai_addrlen);
	*len = ai->ai_addrlen;
	freeaddrinfo(ai);
	return 0;
}

static int prepare_socket(struct rpki *r, const struct sockaddr_storage *remote, socklen_t len)
{
	int fd = socket(remote->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
	struct sockaddr_storage local;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	if (!ipaddr_is_zero(&r->cf.local)) {
		socklen_t l = ipaddr_to_sockaddr(&r->cf.local, 0, 0, &local);

		if (bind(fd, (struct sockaddr *)&local, l) < 0)
			goto fail;
	}
	if (r->cf.md5_password) {
		struct tcp_md5sig md5 = {0};

		memcpy(&md5.tcpm_addr, remote, len);
		md5.tcpm_keylen = (uint16_t)strlen(r->cf.md5_password);
		if (md5.tcpm_keylen > TCP_MD5SIG_MAXKEYLEN)
			md5.tcpm_keylen = TCP_MD5SIG_MAXKEYLEN;
		memcpy(md5.tcpm_key, r->cf.md5_password, md5.tcpm_keylen);
		if (setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &md5, sizeof(md5)) < 0)
			goto fail;
	}
	if (connect(fd, (const struct sockaddr *)remote, len) < 0 && errno != EINPROGRESS)
		goto fail;
	return fd;
fail:
	one = -errno;
	close(fd);
	return one;
}

static void connect_cache(struct rpki *r)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	set_state(r, CACHE_CONNECTING);
	if (resolve(r, &ss, &len) < 0) {
		try_later(r, CACHE_TRANSPORT);
		return;
	}
	fd = prepare_socket(r, &ss, len);
	if (fd < 0) {
		log_msg(LOG_CLASS_WARNING, "%s: Cannot connect to the cache: %s", r->name, strerror(-fd));
		try_later(r, CACHE_TRANSPORT);
		return;
	}
	r->fd = fd;
	ev_io_init(&r->io, on_io, fd, EV_WRITE);
	r->io.data = r;
	ev_io_start(loop_ev(r->loop), &r->io);
	arm(r, &r->retry, r->retry_s); /* if the connection hangs */
}

static void on_retry(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct rpki *r = w->data;

	(void)ev, (void)revents;
	if (r->fd >= 0 && r->state != CACHE_CONNECTING && r->state != CACHE_RESET &&
		r->state != CACHE_SYNC_START)
		return;
	disconnect(r);
	connect_cache(r);
}

static void on_refresh(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct rpki *r = w->data;

	(void)ev, (void)revents;
	if (r->fd >= 0 && r->state == CACHE_ESTABLISHED) {
		arm(r, &r->retry, r->retry_s);
		ask(r);
	}
}

static void on_expire(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct rpki *r = w->data;

	(void)ev, (void)revents;
	log_msg(LOG_CLASS_WARNING, "%s: The cache's data has expired", r->name);
	forget_session(r);
	if (r->source4)
		rib_source_flush(r->source4);
	if (r->source6)
		rib_source_flush(r->source6);
}

static void begin(void *arg)
{
	connect_cache(arg);
}

static void finish(void *arg)
{
	struct rpki *r = arg;

	disconnect(r);
	ev_timer_stop(loop_ev(r->loop), &r->retry);
	ev_timer_stop(loop_ev(r->loop), &r->expire);
}

/* ---- the protocol: main ---- */

static void copy_config(struct rpki *r, const struct rpki_config *cf)
{
	free((char *)r->cf.host);
	free((char *)r->cf.md5_password);
	r->cf = *cf;
	r->cf.host = cf->host ? strdup(cf->host) : NULL;
	r->cf.md5_password = cf->md5_password ? strdup(cf->md5_password) : NULL;
	r->refresh_s = cf->refresh;
	r->retry_s = cf->retry;
	r->expire_s = cf->expire;
}

static void free_rpki(struct rpki *r)
{
	loop_join_destroy(r->loop);
	if (r->attrs4)
		attrs_release(r->attrs4);
	if (r->attrs6)
		attrs_release(r->attrs6);
	free((char *)r->cf.host);
	free((char *)r->cf.md5_password);
	pthread_mutex_destroy(&r->lock);
	free(r->in);
	free(r);
}

static int open_channels(struct proto *p, struct rpki *r)
{
	const struct rib_source_config sc = {.source = RTS_RPKI};
	struct proto_channel *c;

	cds_list_for_each_entry(c, &p->channels, node)
	{
		const struct attrs a = {.preference = c->cf->preference, .scope = SCOPE_UNIVERSE};
		int rc;

		if (c->cf->net != NET_ROA4 && c->cf->net != NET_ROA6)
			continue;
		rc = proto_channel_open(c, &sc);
		if (rc < 0)
			return rc;
		if (c->cf->net == NET_ROA4) {
			r->source4 = c->source;
			r->attrs4 = attrs_intern(&a);
		} else {
			r->source6 = c->source;
			r->attrs6 = attrs_intern(&a);
		}
	}
	return 0;
}

static int rpki_start(struct proto *p)
{
	const struct rpki_config *cf = p->cf->body;
	struct rpki *r;
	int rc;

	if (cf->ssh) {
		log_msg(LOG_CLASS_ERROR, "%s: transport ssh is not supported, use tcp", p->cf->name);
		return -EPROTONOSUPPORT;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->proto = p;
	r->fd = -1;
	r->version = cf->max_version > RTR_MAX_VERSION ? RTR_MAX_VERSION : cf->max_version;
	r->state = CACHE_DOWN;
	pthread_mutex_init(&r->lock, NULL);
	copy_config(r, cf);
	snprintf(r->name, sizeof(r->name), "%s", p->cf->name);
	r->in = malloc(RTR_MAX_PDU);
	r->loop = loop_create("rpki");
	if (!r->in || !r->loop) {
		free(r->in);
		free(r);
		return -ENOMEM;
	}
	ev_timer_init(&r->retry, on_retry, 0, 0);
	ev_timer_init(&r->refresh, on_refresh, 0, 0);
	ev_timer_init(&r->expire, on_expire, 0, 0);
	r->retry.data = r->refresh.data = r->expire.data = r;
	p->data = r;
	rc = open_channels(p, r);
	if (rc < 0)
		return rc;
	rc = loop_start(r->loop);
	if (rc < 0)
		return rc;
	proto_set_state(p, PS_START);
	loop_call(r->loop, begin, r);
	return 0;
}

static void rpki_stop(struct proto *p, const char *message)
{
	struct rpki *r = p->data;

	(void)message;
	if (r) {
		loop_call_sync(r->loop, finish, r);
		free_rpki(r);
		p->data = NULL;
	}
	proto_set_state(p, PS_DOWN);
}

static void rpki_reconfigure(struct proto *p, const struct proto_config *old, uint32_t change)
{
	(void)old;
	proto_channels_reconfigure(p, change);
}

static void rpki_info(struct proto *p, char *buf, size_t size)
{
	struct rpki *r = p->data;

	if (!r) {
		snprintf(buf, size, "Down");
		return;
	}
	pthread_mutex_lock(&r->lock);
	snprintf(buf, size, "%s", state_names[r->state]);
	pthread_mutex_unlock(&r->lock);
}

static void rpki_show_all(struct proto *p, struct cli_out *o)
{
	struct rpki *r = p->data;
	enum cache_state state;
	uint32_t serial, session;
	uint64_t updated;
	bool has_session;
	uint8_t version;
	char addr[IPADDR_STRLEN];

	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	state = r->state;
	serial = r->serial;
	session = r->session;
	updated = r->updated_ns;
	has_session = r->has_session;
	version = r->version;
	pthread_mutex_unlock(&r->lock);
	cli_line(o, 1006, "  Cache server:     %s",
		r->cf.host ? r->cf.host : ipaddr_format(&r->cf.remote, addr));
	if (r->cf.port != 323)
		cli_line(o, 1006, "  Cache port:       %u", r->cf.port);
	cli_line(o, 1006, "  Status:           %s", state_names[state]);
	cli_line(o, 1006, "  Transport:        %s",
		r->cf.md5_password ? "TCP with MD5 authentication" : "Unprotected over TCP");
	cli_line(o, 1006, "  Protocol version: %u", version);
	if (has_session)
		cli_line(o, 1006, "  Session ID:       %u", session);
	else
		cli_line(o, 1006, "  Session ID:       ---");
	if (updated) {
		uint64_t ago = (clock_now_ns() - updated) / NS_PER_MS;

		cli_line(o, 1006, "  Serial number:    %u", serial);
		cli_line(o, 1006, "  Last update:      before %llu.%03llu s", (unsigned long long)ago / 1000,
			(unsigned long long)ago % 1000);
	} else {
		cli_line(o, 1006, "  Serial number:    ---");
		cli_line(o, 1006, "  Last update:      ---");
	}
	if (!r->source4)
		cli_line(o, 1006, "  No roa4 channel");
	if (!r->source6)
		cli_line(o, 1006, "  No roa6 channel");
}

const struct proto_ops rpki_ops = {
	.type = PROTO_RPKI,
	.start = rpki_start,
	.stop = rpki_stop,
	.reconfigure = rpki_reconfigure,
	.info = rpki_info,
	.show_all = rpki_show_all,
};
