/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One TCP connection: bytes in and out, and its timers.
 *
 * Reading: one read() a turn into the thread's buffer, all complete messages in
 * it are processed, the rest is kept. So one neighbour cannot keep the thread
 * from the others, and an idle session costs no buffer. Who has much to say while the daemon has much to
 * write waits a little (gate.h). When the RIB says stop, the watcher is stopped and what is left waits in
 * c->rx; the neighbour is held back by TCP, keepalives go on.
 *
 * Writing: short messages are copied to c->tx; routes are written from the
 * shared blocks of the export side. Only whole takes follow each other, so that
 * a short message never lands inside another. conn_send() does not write: errors
 * of a write tear the connection down, which must not happen under the feet
 * of whoever is handling a message.
 */
#include "controlplane/bgp/session.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct ev_loop *ev_of(struct bgp_conn *c)
{
	return loop_ev(c->s->thread->loop);
}

/* ---- reading ---- */

static void keep_rest(struct bgp_conn *c, const uint8_t *p, size_t len)
{
	if (len > c->rx_size) {
		free(c->rx);
		c->rx = malloc(len);
		if (!c->rx)
			abort();
		c->rx_size = len;
	} else if (!len && c->rx_size > BGP_MAX_MESSAGE) {
		free(c->rx);
		c->rx = NULL;
		c->rx_size = 0;
	}
	if (len)
		memcpy(c->rx, p, len);
	c->rx_len = len;
}

static bool held_back(const struct bgp_conn *c)
{
	return c->s->paused && c->s->conn == c;
}

/* Handles the complete messages at p. False: the connection is gone. */
static bool process(struct bgp_conn *c, const uint8_t *p, size_t len)
{
	struct bgp_session *s = c->s;

	while (!held_back(c)) {
		struct bgp_error e;
		int n = bgp_frame(p, len, c->max_message, &e);

		if (n < 0) {
			channels_submit(s);
			fsm_error(c, &e);
			return false;
		}
		if (!n)
			break;
		if (!fsm_message(c, p, (size_t)n))
			return false;
		p += n;
		len -= (size_t)n;
	}
	keep_rest(c, p, len);
	channels_submit(s);
	if (held_back(c))
		ev_io_stop(ev_of(c), &c->rd);
	return true;
}

static void on_readable(struct ev_loop *ev, ev_io *w, int revents)
{
	struct bgp_conn *c = w->data;
	uint8_t *buf = c->s->thread->read_buf;
	size_t most;
	ssize_t n;

	(void)ev;
	(void)revents;
	if (gate_closed(c, &most))
		return;
	if (c->rx_len)
		memcpy(buf, c->rx, c->rx_len);
	n = read(c->fd, buf + c->rx_len, most);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			fsm_socket_error(c, errno);
		return;
	}
	if (n == 0) {
		fsm_socket_error(c, 0);
		return;
	}
	c->rx_ns = clock_now_ns();
	gate_read(c, (size_t)n);
	if (c->s->conn == c)
		atomic_store_explicit(&c->s->rx_ns, c->rx_ns, memory_order_relaxed);
	process(c, buf, c->rx_len + (size_t)n);
}

void conn_read_again(struct bgp_conn *c)
{
	if (held_back(c))
		return;
	ev_io_start(ev_of(c), &c->rd);
	on_readable(ev_of(c), &c->rd, EV_READ);
}

void conn_resume(struct bgp_conn *c)
{
	uint8_t *buf = c->s->thread->read_buf;
	size_t len = c->rx_len;

	if (c->fd < 0)
		return;
	if (len) {
		memcpy(buf, c->rx, len);
		if (!process(c, buf, len))
			return;
	}
	if (!held_back(c))
		ev_io_start(ev_of(c), &c->rd);
}

/* ---- writing ---- */

static void wrote(struct bgp_conn *c)
{
	c->tx_ns = clock_now_ns();
	if (c->s->conn == c)
		atomic_store_explicit(&c->s->tx_ns, c->tx_ns, memory_order_relaxed);
	ev_timer_stop(ev_of(c), &c->send_hold_timer);
	gate_blocked(c, false);
}

/* Takes routes of the next channel that has some. */
static bool take_routes(struct bgp_conn *c)
{
	struct bgp_session *s = c->s;

	if (s->conn != c)
		return false;
	for (unsigned i = 0; i < s->n_channels; i++) {
		struct bgp_channel *ch = &s->channel[(c->next_channel + i) % s->n_channels];

		if (!ch->export)
			continue;
		c->iov_n = export_take(ch->export, c->iov, BGP_IOV);
		if (!c->iov_n)
			continue;
		c->iov_at = 0;
		c->iov_skip = 0;
		c->msg_left = 0;
		c->iov_channel = ch;
		c->next_channel = (ch->index + 1) % s->n_channels;
		return true;
	}
	return false;
}

static uint8_t iov_byte(const struct bgp_conn *c, unsigned at, size_t off)
{
	while (off >= c->iov[at].iov_len)
		off -= c->iov[at++].iov_len;
	return ((const uint8_t *)c->iov[at].iov_base)[off];
}

/* n bytes of the take were written and more are left: moves on and notes how much of the message that was cut
 * is still to come. */
static void advance_partly(struct bgp_conn *c, size_t n)
{
	size_t done = c->msg_left, pos = c->iov_skip;

	/* Message by message up to the one that n ends in; the blocks are still valid here. */
	while (done < n) {
		unsigned hi = iov_byte(c, c->iov_at, pos + done + 16),
			 lo = iov_byte(c, c->iov_at, pos + done + 17);

		done += hi << 8 | lo;
	}
	c->msg_left = done - n;
	for (c->iov_skip += n; c->iov_at < c->iov_n && c->iov_skip >= c->iov[c->iov_at].iov_len; c->iov_at++)
		c->iov_skip -= c->iov[c->iov_at].iov_len;
}

static ssize_t write_routes(struct bgp_conn *c)
{
	struct iovec iov[BGP_IOV];
	struct msghdr msg = {.msg_iov = iov};
	unsigned count = c->iov_n - c->iov_at;
	size_t total = 0;
	ssize_t n;

	memcpy(iov, c->iov + c->iov_at, count * sizeof(*iov));
	iov[0].iov_base = (uint8_t *)iov[0].iov_base + c->iov_skip;
	iov[0].iov_len -= c->iov_skip;
	for (unsigned i = 0; i < count; i++)
		total += iov[i].iov_len;
	msg.msg_iovlen = count;
	n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
	if (n <= 0)
		return n;
	if ((size_t)n == total) {
		c->iov_n = c->iov_at = 0;
		c->msg_left = 0;
	} else {
		advance_partly(c, (size_t)n);
	}
	export_sent(c->iov_channel->export, (size_t)n);
	return n;
}

static ssize_t write_short(struct bgp_conn *c)
{
	ssize_t n = send(c->fd, c->tx, c->tx_len, MSG_NOSIGNAL);

	if (n > 0) {
		memmove(c->tx, c->tx + n, c->tx_len - (size_t)n);
		c->tx_len -= (size_t)n;
		if (!c->tx_len)
			c->keepalive_queued = false;
	}
	return n;
}

static void blocked(struct bgp_conn *c)
{
	ev_io_start(ev_of(c), &c->wr);
	gate_blocked(c, true);
	/* RFC 9687: as long as nothing at all goes out. */
	if (c->send_hold_time && !ev_is_active(&c->send_hold_timer)) {
		ev_timer_set(&c->send_hold_timer, c->send_hold_time, 0);
		ev_timer_start(ev_of(c), &c->send_hold_timer);
	}
}

void conn_flush(struct bgp_conn *c)
{
	enum { FLUSH_BYTES = 64 << 10 };
	size_t written = 0;

	if (c->fd < 0 || c->state == BS_CONNECT)
		return;
	/* A bounded share of the thread: what is left goes on when the socket says writable, after the others
	 * had their turn. */
	while (written < FLUSH_BYTES) {
		ssize_t n;

		if (c->iov_at < c->iov_n) {
			n = write_routes(c);
		} else if (c->tx_len) {
			n = write_short(c);
		} else if (take_routes(c)) {
			n = write_routes(c);
		} else {
			ev_io_stop(ev_of(c), &c->wr);
			return;
		}
		if (n > 0) {
			wrote(c);
			written += (size_t)n;
			continue;
		}
		if (errno == EAGAIN || errno == EINTR)
			blocked(c);
		else
			fsm_socket_error(c, errno);
		return;
	}
	ev_io_start(ev_of(c), &c->wr);
}

static void on_writable(struct ev_loop *ev, ev_io *w, int revents)
{
	struct bgp_conn *c = w->data;

	(void)ev;
	(void)revents;
	if (c->state == BS_CONNECT)
		fsm_connected(c);
	else
		conn_flush(c);
}

void conn_send(struct bgp_conn *c, const uint8_t *msg, size_t len)
{
	if (c->fd < 0 || !len)
		return;
	if (c->tx_len + len > c->tx_size) {
		c->tx_size = (c->tx_len + len) * 2;
		c->tx = realloc(c->tx, c->tx_size);
		if (!c->tx)
			abort();
	}
	memcpy(c->tx + c->tx_len, msg, len);
	c->tx_len += len;
	ev_feed_event(ev_of(c), &c->wr, EV_WRITE);
}

/* ---- timers ---- */

static void on_hold_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct bgp_conn *c = w->data;
	/* Before Established the whole exchange has to finish in time; then it is about silence. */
	uint64_t limit =
		c->state == BS_ESTABLISHED || (c->state == BS_OPENCONFIRM && !c->bfd_wait) ? c->hold_time : 0;
	double left = limit ? (double)limit - (double)(clock_now_ns() - c->rx_ns) / 1e9 : 0;
	int unread = 0;

	(void)revents;
	/* Not the neighbour's silence but ours: we stopped reading, or have not come to it yet. */
	if (left <= 0 && (c->s->paused || (ioctl(c->fd, FIONREAD, &unread) == 0 && unread > 0)))
		left = 10;
	if (left > 0) {
		ev_timer_set(w, left, 0);
		ev_timer_start(ev, w);
		return;
	}
	fsm_hold_expired(c);
}

static void on_keepalive_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct bgp_conn *c = w->data;

	(void)ev;
	(void)revents;
	fsm_keepalive_due(c);
	conn_start_keepalives(c);
}

static void on_connect_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	(void)ev;
	(void)revents;
	fsm_connect_timer(w->data);
}

static void on_send_hold_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	(void)ev;
	(void)revents;
	fsm_send_hold_expired(w->data);
}

void conn_set_hold_timer(struct bgp_conn *c, uint32_t seconds)
{
	ev_timer_stop(ev_of(c), &c->hold_timer);
	if (!seconds)
		return;
	ev_now_update(ev_of(c));
	ev_timer_set(&c->hold_timer, seconds, 0);
	ev_timer_start(ev_of(c), &c->hold_timer);
}

void conn_start_keepalives(struct bgp_conn *c)
{
	double t = c->keepalive_time;

	ev_timer_stop(ev_of(c), &c->keepalive_timer);
	if (!c->keepalive_time || c->fd < 0)
		return;
	/* RFC 4271 section 10: a jitter of 0.75 to 1. */
	t *= 0.75 + 0.25 * ((double)(hash_u64(clock_now_ns(), c->s->thread->seed) & 0xffff) / 65535);
	ev_timer_set(&c->keepalive_timer, t, 0);
	ev_timer_start(ev_of(c), &c->keepalive_timer);
	c->keepalive_due = clock_now_ns() + (uint64_t)(t * 1e9);
	if (c->s->conn == c)
		atomic_store_explicit(&c->s->keepalive_due, c->keepalive_due, memory_order_relaxed);
}

/* ---- life ---- */

void conn_init(struct bgp_conn *c, struct bgp_session *s, bool outgoing)
{
	*c = (struct bgp_conn){.s = s, .outgoing = outgoing, .fd = -1};
	c->rd.data = c->wr.data = c->connect_timer.data = c->hold_timer.data = c->keepalive_timer.data =
		c->send_hold_timer.data = c;
	ev_io_init(&c->rd, on_readable, -1, EV_READ);
	ev_io_init(&c->wr, on_writable, -1, EV_WRITE);
	ev_timer_init(&c->connect_timer, on_connect_timer, 0, 0);
	ev_timer_init(&c->hold_timer, on_hold_timer, 0, 0);
	ev_timer_init(&c->keepalive_timer, on_keepalive_timer, 0, 0);
	ev_timer_init(&c->send_hold_timer, on_send_hold_timer, 0, 0);
	c->connect_timer.data = c->hold_timer.data = c->keepalive_timer.data = c->send_hold_timer.data = c;
	c->rd.data = c->wr.data = c;
	c->max_message = BGP_MAX_MESSAGE;
}

void conn_attach(struct bgp_conn *c, int fd)
{
	c->fd = fd;
	c->rx_ns = c->tx_ns = clock_now_ns();
	ev_io_set(&c->rd, fd, EV_READ);
	ev_io_set(&c->wr, fd, EV_WRITE);
	if (c->state == BS_CONNECT)
		ev_io_start(ev_of(c), &c->wr);
	else
		ev_io_start(ev_of(c), &c->rd);
}

/* Everything but the descriptor. */
static void clear(struct bgp_conn *c)
{
	struct ev_loop *ev = ev_of(c);

	session_mirror(c->s); /* while its bytes are there */
	gate_leave(c);
	ev_io_stop(ev, &c->rd);
	ev_io_stop(ev, &c->wr);
	ev_timer_stop(ev, &c->connect_timer);
	ev_timer_stop(ev, &c->hold_timer);
	ev_timer_stop(ev, &c->keepalive_timer);
	ev_timer_stop(ev, &c->send_hold_timer);
	free(c->rx);
	free(c->tx);
	free(c->open_sent);
	free(c->open_received);
	conn_init(c, c->s, c->outgoing);
}

void conn_reset(struct bgp_conn *c)
{
	int fd = c->fd;

	clear(c);
	if (fd >= 0)
		close(fd);
}

/* The rest of a message that was cut, then what was queued, then the NOTIFICATION. */
static uint8_t *last_words(struct bgp_conn *c, const struct bgp_error *e, size_t *len)
{
	size_t cut = c->iov_at < c->iov_n ? c->msg_left : 0, n = 0;
	uint8_t *buf = malloc(cut + c->tx_len + BGP_MAX_MESSAGE);
	size_t skip = c->iov_skip;

	if (!buf)
		abort();
	for (unsigned i = c->iov_at; n < cut; i++, skip = 0) {
		size_t part = c->iov[i].iov_len - skip;

		if (part > cut - n)
			part = cut - n;
		memcpy(buf + n, (const uint8_t *)c->iov[i].iov_base + skip, part);
		n += part;
	}
	if (c->tx_len)
		memcpy(buf + n, c->tx, c->tx_len);
	n += c->tx_len;
	*len = n + bgp_notification_encode(e, buf + n, BGP_MAX_MESSAGE);
	return buf;
}

void conn_close(struct bgp_conn *c, const struct bgp_error *e)
{
	struct bgp_thread *t = c->s->thread;
	int fd = c->fd;
	uint8_t *bytes;
	size_t len;

	if (c->state < BS_OPENSENT || fd < 0) {
		conn_reset(c);
		return;
	}
	bytes = last_words(c, e, &len);
	clear(c);
	engine_linger(t, fd, bytes, len);
}
