/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FRR's bfdd with --dplaneaddr listens; we are the data plane that connects to
 * it. bfdd then hands its sessions to us (ADD, also for updates), and we report
 * state changes. What is peculiar:
 *
 *   - bfdd's output buffer holds 58 ADDs; the rest of a first burst is lost and
 *     nobody runs those sessions. So a connection that brought a full burst is
 *     followed by another one, which gets the sessions not attached yet, until
 *     one brings less.
 *   - On each connect bfdd forgets what it knew: a session that is Up here is
 *     reported Up at once, and keeps running untouched if the ADD is identical.
 *     So bfdd can be restarted without a flap: sessions are kept for HOLD_NS. A
 *     bfdd that starts listens before it reads its configuration, and with some
 *     hundred peers that takes it minutes (each line is validated against all):
 *     until it has said something it is starting, and the hold time waits.
 *   - bfdd may stop reading a connection without closing it; an ECHO each few
 *     seconds finds out.
 *   - Every STATE_CHANGE makes bfdd notify its clients: a change of timers
 *     alone is sent at most once a second, Init never.
 *   - COUNTERS are answered at once and for unknown sessions too: bfdd blocks.
 *
 * A session is known by bfdd's local discriminator, the lid; on the wire we use
 * our own.
 */
#include "dataplane/frr_offload.h"
#include "dataplane/bfddp.h"
#include "dataplane/dpdk.h"
#include "dataplane/session.h"
#include "shared/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 64
#define FULL_BURST 58
#define BUCKETS 4096
#define HOLD_NS (30 * NS_PER_S)
#define STARTING_NS (600 * NS_PER_S)
#define RECONNECT_NS NS_PER_S
#define QUIET_NS (300 * NS_PER_MS) /* a first burst is over */
#define ECHO_NS (5 * NS_PER_S)
#define ECHO_LOST_NS (20 * NS_PER_S)
#define TIMERS_NS NS_PER_S
#define RETRY_NS (5 * NS_PER_S)
#define IN_SIZE 65536
#define OUT_LIMIT (4u << 20)

struct connection {
	struct frr *frr;
	struct dp_source source;
	bool used, connected, spoken; /* spoken: something has come from bfdd */
	bool told;                    /* our log */
	unsigned adds;                /* of a burst */
	uint64_t last_add_ns, echo_sent_ns, echo_seen_ns;
	uint8_t *in, *out;
	size_t nin, nout, out_size;
};

struct frr_session {
	struct frr_session *next;
	uint32_t lid;
	struct session_request request;
	bool placed; /* has a slot */
	uint32_t slot, generation;
	struct connection *via; /* NULL: its connection is lost */
	uint64_t lost_ns, retry_ns, timers_ns;
	bool reported; /* something has been said on this connection */
	bool timers_due;
	struct bfddp_state said;
};

struct frr {
	struct dp *dp;
	struct sockaddr_storage address;
	socklen_t address_len;
	struct connection connection[CONNECTIONS];
	struct frr_session *by_lid[BUCKETS];
	unsigned nsessions;
	uint64_t next_connect_ns;
	bool complained;
	struct log_limit limit;
};

static struct frr_session *find(struct frr *f, uint32_t lid)
{
	struct frr_session *s = f->by_lid[lid % BUCKETS];

	while (s && s->lid != lid)
		s = s->next;
	return s;
}

static bool in_place(const struct frr *f, const struct frr_session *s)
{
	const struct session *d = &f->dp->session[s->slot];

	return s->placed && d->state == SESSION_LIVE && d->owner == OWNER_FRR && d->tag == s->lid &&
	       d->generation == s->generation;
}

/* Output: a message goes out in one piece if the socket has room, else it waits its turn. */

static void send_message(struct connection *c, const uint8_t *m, size_t len)
{
	ssize_t n = c->nout ? 0 : send(c->source.fd, m, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n == (ssize_t)len)
		return;
	if (n < 0)
		n = 0; /* an error comes back through epoll */
	if (c->nout + len > c->out_size) {
		size_t size = c->out_size ? c->out_size * 2 : 16384;
		uint8_t *bigger = size <= OUT_LIMIT ? realloc(c->out, size) : NULL;

		if (!bigger) { /* bfdd has not read for very long */
			shutdown(c->source.fd, SHUT_RDWR);
			return;
		}
		c->out = bigger;
		c->out_size = size;
	}
	memcpy(c->out + c->nout, m + n, len - (size_t)n);
	c->nout += len - (size_t)n;
	dp_watch(c->frr->dp, &c->source, c->source.fd, EPOLLIN | EPOLLOUT);
}

static void send_rest(struct connection *c)
{
	ssize_t n = send(c->source.fd, c->out, c->nout, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0) {
		memmove(c->out, c->out + n, c->nout - (size_t)n);
		c->nout -= (size_t)n;
	}
	if (c->nout == 0)
		dp_watch(c->frr->dp, &c->source, c->source.fd, EPOLLIN);
}

/* State */

static struct bfddp_state describe(const struct frr_session *s, const struct linkstate_entry *e)
{
	return (struct bfddp_state){
		.lid = s->lid,
		.rid = e->remote_disc,
		.remote_flags = (e->flags & LINKSTATE_REMOTE_CBIT ? 1u : 0) |
				(e->flags & LINKSTATE_REMOTE_DEMAND ? 2u : 0),
		.min_tx_us = e->remote_min_tx_us,
		.min_rx_us = e->remote_min_rx_us,
		.min_echo_rx_us = e->remote_min_echo_rx_us,
		.state = e->state == BFD_INIT ? BFD_DOWN : e->state,
		.diag = e->remote_diag,
		.detect_mult = e->remote_detect_mult,
	};
}

static void say(struct frr *f, struct frr_session *s, const struct bfddp_state *st)
{
	uint8_t m[BFDDP_STATE];

	s->said = *st;
	s->reported = true;
	s->timers_due = false;
	s->timers_ns = f->dp->now_ns;
	send_message(s->via, m, bfddp_build_state(m, st));
}

static void report(struct frr *f, struct frr_session *s, const struct linkstate_entry *e)
{
	struct bfddp_state st = describe(s, e), before = s->said;

	if (!s->via)
		return;
	if (!s->reported) { /* bfdd believes Down */
		if (st.state == BFD_UP)
			say(f, s, &st);
		return;
	}
	if (st.state != before.state) {
		say(f, s, &st);
		return;
	}
	if (st.state == BFD_UP &&
		(st.rid != before.rid || st.min_tx_us != before.min_tx_us ||
			st.min_rx_us != before.min_rx_us || st.detect_mult != before.detect_mult ||
			st.remote_flags != before.remote_flags || st.diag != before.diag ||
			st.min_echo_rx_us != before.min_echo_rx_us))
		s->timers_due = true;
}

void frr_session_changed(struct dp *dp, uint32_t slot, const struct linkstate_entry *e)
{
	struct frr_session *s = dp->frr ? find(dp->frr, dp->session[slot].tag) : NULL;

	if (s && s->slot == slot && in_place(dp->frr, s))
		report(dp->frr, s, e);
}

/* Input */

static void place(struct frr *f, struct frr_session *s)
{
	char text[IPC_TEXT] = "", name[IPADDR_STRLEN];
	struct linkstate_entry e;
	bool created;
	int rc;

	s->retry_ns = f->dp->now_ns + RETRY_NS;
	rc = session_add(f->dp, &s->request, &s->slot, &created, text);
	s->placed = rc == 0;
	if (rc) {
		if (log_limit_ok(&f->limit))
			log_msg(LOG_CLASS_ERROR, "FRR's BFD session %s: %s",
				ipaddr_format(&s->request.key.remote, name), text);
		return;
	}
	s->generation = f->dp->session[s->slot].generation;
	if (linkstate_read(&f->dp->ls, s->slot, &e) && e.generation == s->generation)
		report(f, s, &e);
}

static void forget(struct frr *f, struct frr_session *s)
{
	struct frr_session **p = &f->by_lid[s->lid % BUCKETS];

	if (in_place(f, s))
		session_remove(f->dp, s->slot);
	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	f->nsessions--;
	free(s);
}

static struct session_request request_of(const struct bfddp_session *m)
{
	struct session_request r = {.owner = OWNER_FRR, .tag = m->lid};
	bool multihop = m->flags & BFDDP_MULTIHOP;

	r.key = (struct bfd_key){
		.local = m->src,
		.remote = m->dst,
		.kind = multihop ? BFD_KIND_MULTIHOP : BFD_KIND_SINGLEHOP,
		.ifindex = multihop ? 0 : m->ifindex,
	};
	r.params = (struct bfd_params){
		.min_tx_us = m->min_tx_us,
		.min_rx_us = m->min_rx_us,
		.idle_tx_us = BFD_MIN_IDLE_US,
		.min_echo_rx_us = m->min_echo_rx_us,
		.echo_tx_us = m->flags & BFDDP_ECHO_MODE ? m->min_echo_tx_us : 0,
		.detect_mult = m->detect_mult,
		.min_ttl = multihop ? m->ttl : 255,
		.passive = m->flags & BFDDP_PASSIVE,
		.admin_down = m->flags & BFDDP_SHUTDOWN,
		.demand = m->flags & BFDDP_DEMAND,
		.cbit = m->flags & BFDDP_CBIT,
	};
	if (!multihop)
		memcpy(r.ifname, m->ifname, sizeof(r.ifname));
	return r;
}

static void on_add(struct connection *c, const struct bfddp_session *m)
{
	struct frr *f = c->frr;
	struct frr_session *s = find(f, m->lid);

	c->adds++;
	c->last_add_ns = f->dp->now_ns;
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return;
		s->lid = m->lid;
		s->next = f->by_lid[m->lid % BUCKETS];
		f->by_lid[m->lid % BUCKETS] = s;
		f->nsessions++;
	} else if (in_place(f, s)) {
		/* An update; but a session with other addresses under the same lid is another session. */
		const struct bfd_key *k = &s->request.key;

		if (!ipaddr_equal(&k->remote, &m->dst) || !ipaddr_equal(&k->local, &m->src) ||
			(k->kind == BFD_KIND_MULTIHOP) != !!(m->flags & BFDDP_MULTIHOP))
			session_remove(f->dp, s->slot);
	}
	if (s->via != c)
		s->reported = false;
	s->via = c;
	s->request = request_of(m);
	place(f, s);
}

static void on_counters(struct connection *c, uint16_t id, uint32_t lid)
{
	struct frr_session *s = find(c->frr, lid);
	struct bfddp_counters n = {0};
	uint8_t m[BFDDP_COUNTERS];

	if (s && in_place(c->frr, s)) {
		const struct linkstate_stats *st = &c->frr->dp->ls.stats[s->slot];

		n.rx_bytes = atomic_load_explicit(&st->rx_bytes, memory_order_relaxed);
		n.rx_packets = atomic_load_explicit(&st->rx_packets, memory_order_relaxed);
		n.tx_bytes = atomic_load_explicit(&st->tx_bytes, memory_order_relaxed);
		n.tx_packets = atomic_load_explicit(&st->tx_packets, memory_order_relaxed);
		n.echo_rx_packets = atomic_load_explicit(&st->echo_rx, memory_order_relaxed);
		n.echo_tx_packets = atomic_load_explicit(&st->echo_tx, memory_order_relaxed);
	}
	send_message(c, m, bfddp_build_counters(m, id, lid, &n));
}

static int handle(struct connection *c, const struct bfddp_header *h, const uint8_t *body, size_t len)
{
	struct frr *f = c->frr;
	struct bfddp_session session;
	struct frr_session *s;
	uint8_t m[BFDDP_ECHO];
	uint32_t lid;

	switch (h->type) {
	case BFDDP_ADD_SESSION:
		if (bfddp_parse_session(body, len, &session))
			return -EPROTO;
		on_add(c, &session);
		return 0;
	case BFDDP_DELETE_SESSION:
		if (bfddp_parse_session(body, len, &session))
			return -EPROTO;
		s = find(f, session.lid);
		if (s)
			forget(f, s);
		return 0;
	case BFDDP_REQUEST_COUNTERS:
		if (bfddp_parse_lid(body, len, &lid))
			return -EPROTO;
		on_counters(c, h->id, lid);
		return 0;
	case BFDDP_ECHO_REQUEST:
		if (len < BFDDP_ECHO - BFDDP_HEADER)
			return -EPROTO;
		bfddp_build_echo(m, BFDDP_ECHO_REPLY, h->id, 0, 0);
		memcpy(m + BFDDP_HEADER, body, BFDDP_ECHO - BFDDP_HEADER);
		send_message(c, m, sizeof(m));
		return 0;
	case BFDDP_ECHO_REPLY: c->echo_seen_ns = f->dp->now_ns; return 0;
	default: return 0; /* a later bfdd's: skipped by its length */
	}
}

static void disconnect(struct connection *c, const char *why)
{
	struct frr *f = c->frr;
	int fd = c->source.fd;

	if (c->connected) {
		log_msg(LOG_CLASS_WARNING, "FRR bfdd: connection lost (%s); its sessions are kept for %u s",
			why, (unsigned)(HOLD_NS / NS_PER_S));
		f->complained = false;
	}
	dp_unwatch(f->dp, &c->source);
	close(fd);
	free(c->in);
	free(c->out);
	for (unsigned b = 0; b < BUCKETS; b++)
		for (struct frr_session *s = f->by_lid[b]; s; s = s->next)
			if (s->via == c) {
				s->via = NULL;
				s->lost_ns = f->dp->now_ns;
				s->reported = false;
			}
	memset(c, 0, sizeof(*c));
	c->frr = f;
	c->source.fd = -1;
	f->next_connect_ns = f->dp->now_ns + RECONNECT_NS;
}

static void consume(struct connection *c)
{
	size_t at = 0;

	for (;;) {
		struct bfddp_header h;
		int n = bfddp_frame(c->in + at, c->nin - at, &h);

		if (n == 0)
			break;
		if (n < 0 || handle(c, &h, c->in + at + BFDDP_HEADER, (size_t)n - BFDDP_HEADER)) {
			disconnect(c, "it does not speak version 1 of the protocol");
			return;
		}
		at += (size_t)n;
	}
	memmove(c->in, c->in + at, c->nin - at);
	c->nin -= at;
}

static void on_ready(struct dp_source *src, uint32_t events)
{
	struct connection *c = src->owner;
	int error = 0;
	socklen_t len = sizeof(error);
	ssize_t n;

	if (!c->connected) {
		getsockopt(src->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error) {
			disconnect(c, strerror(error));
			return;
		}
		c->connected = true;
		c->echo_seen_ns = c->frr->dp->now_ns;
		dp_watch(c->frr->dp, src, src->fd, EPOLLIN);
	}
	if (events & EPOLLOUT && c->nout)
		send_rest(c);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	n = recv(src->fd, c->in + c->nin, IN_SIZE - c->nin, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		disconnect(c, n ? strerror(errno) : "closed");
		return;
	}
	c->nin += (size_t)n;
	if (!c->spoken)
		c->echo_seen_ns = c->frr->dp->now_ns;
	c->spoken = true;
	consume(c);
}

static void open_connection(struct frr *f)
{
	struct connection *c = NULL;
	int fd;

	for (unsigned i = 0; i < CONNECTIONS && !c; i++)
		if (!f->connection[i].used)
			c = &f->connection[i];
	if (!c)
		return;
	fd = socket(f->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&f->address, f->address_len) && errno != EINPROGRESS) {
		if (!f->complained)
			log_msg(LOG_CLASS_WARNING, "FRR bfdd at %s: %s, trying again each second",
				f->dp->opt->frr_address, strerror(errno));
		f->complained = true;
		close(fd);
		return;
	}
	*c = (struct connection){.frr = f, .used = true, .in = malloc(IN_SIZE)};
	c->source = (struct dp_source){on_ready, c, -1};
	if (!c->in) {
		close(fd);
		c->used = false;
		return;
	}
	dp_watch(f->dp, &c->source, fd, EPOLLIN | EPOLLOUT);
}

int frr_create(struct dp *dp, char err[OPTIONS_ERR])
{
	struct frr *f;

	if (!dp->opt->frr_address)
		return 0;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->dp = dp;
	for (unsigned i = 0; i < CONNECTIONS; i++)
		f->connection[i].source.fd = -1;
	if (bfddp_parse_address(dp->opt->frr_address, &f->address, &f->address_len)) {
		snprintf(err, OPTIONS_ERR,
			"--frr %.100s: write unix:PATH, ipv4:ADDRESS[:PORT] or ipv6:[ADDRESS][:PORT]",
			dp->opt->frr_address);
		free(f);
		return -EINVAL;
	}
	dp->frr = f;
	return 0;
}

void frr_destroy(struct dp *dp)
{
	struct frr *f = dp->frr;

	if (!f)
		return;
	dp->frr = NULL;
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		struct connection *c = &f->connection[i];

		if (!c->used)
			continue;
		close(c->source.fd);
		free(c->in);
		free(c->out);
	}
	for (unsigned b = 0; b < BUCKETS; b++)
		while (f->by_lid[b]) {
			struct frr_session *s = f->by_lid[b];

			f->by_lid[b] = s->next;
			free(s);
		}
	free(f);
}

static void tick_connections(struct frr *f)
{
	uint64_t now = f->dp->now_ns;
	bool any = false, more = false;

	for (unsigned i = 0; i < CONNECTIONS; i++) {
		struct connection *c = &f->connection[i];
		uint8_t m[BFDDP_ECHO];

		if (!c->used)
			continue;
		any = true;
		if (!c->connected)
			continue;
		if (now - c->echo_seen_ns > (c->spoken ? ECHO_LOST_NS : STARTING_NS)) {
			disconnect(c, "no answer");
			continue;
		}
		/* One is enough while it starts: it does not read them. */
		if ((c->spoken || !c->echo_sent_ns) && now - c->echo_sent_ns > ECHO_NS) {
			c->echo_sent_ns = now;
			send_message(c, m, bfddp_build_echo(m, BFDDP_ECHO_REQUEST, 0, now / NS_PER_US, 0));
		}
		if (!c->spoken || now - c->last_add_ns <= QUIET_NS)
			continue;
		if (!c->told)
			log_msg(LOG_CLASS_INFO, "FRR bfdd: connected, %u sessions%s", c->adds,
				c->adds >= FULL_BURST ? ", there may be more" : "");
		c->told = true;
		more |= c->adds >= FULL_BURST;
		c->adds = 0;
	}
	if (more || (!any && now >= f->next_connect_ns)) {
		f->next_connect_ns = now + RECONNECT_NS;
		open_connection(f);
	}
}

/* bfdd is there, and has not said a word yet. */
static bool is_starting(const struct frr *f)
{
	bool any = false;

	for (unsigned i = 0; i < CONNECTIONS; i++) {
		if (f->connection[i].connected && f->connection[i].spoken)
			return false;
		any |= f->connection[i].connected;
	}
	return any;
}

static void tick_session(struct frr *f, struct frr_session *s, uint64_t hold_ns)
{
	uint64_t now = f->dp->now_ns;
	struct linkstate_entry e;

	if (!s->via) {
		if (now - s->lost_ns > hold_ns)
			forget(f, s);
		return;
	}
	if (!in_place(f, s)) {
		if (now >= s->retry_ns)
			place(f, s);
		return;
	}
	if (!s->timers_due || now - s->timers_ns < TIMERS_NS || !linkstate_read(&f->dp->ls, s->slot, &e) ||
		e.generation != s->generation)
		return;
	struct bfddp_state st = describe(s, &e);
	say(f, s, &st);
}

void frr_tick(struct dp *dp)
{
	struct frr *f = dp->frr;
	uint64_t hold_ns;

	if (!f)
		return;
	tick_connections(f);
	hold_ns = is_starting(f) ? STARTING_NS : HOLD_NS;
	for (unsigned b = 0; f->nsessions && b < BUCKETS; b++)
		for (struct frr_session *s = f->by_lid[b], *next; s; s = next) {
			next = s->next;
			tick_session(f, s, hold_ns);
		}
}
