/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bgpgen/peer.h"
#include "shared/clock.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define IN_SIZE (1u << 18)
#define KEEPALIVE (10 * NS_PER_S)
#define RETRY (200 * NS_PER_MS)

int generator_init(struct generator *g, unsigned n)
{
	g->peer = calloc(n, sizeof(*g->peer));
	g->n_peers = n;
	g->epoll = epoll_create1(EPOLL_CLOEXEC);
	g->now_ns = clock_now_ns();
	if (!g->peer || g->epoll < 0)
		return -errno;
	for (unsigned i = 0; i < n; i++) {
		struct peer *p = &g->peer[i];

		p->gen = g;
		p->number = i;
		p->fd = -1;
		p->in = malloc(IN_SIZE);
		p->have = calloc(g->table->n_routes / 64 + 1, sizeof(*p->have));
		if (!p->in || !p->have)
			return -ENOMEM;
	}
	return 0;
}

void generator_free(struct generator *g)
{
	for (unsigned i = 0; i < g->n_peers; i++) {
		peer_close(&g->peer[i], false);
		stream_free(&g->peer[i].own);
		free(g->peer[i].in);
		free(g->peer[i].have);
	}
	close(g->epoll);
	free(g->peer);
}

static void watch(struct peer *p, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = p};

	epoll_ctl(p->gen->epoll, EPOLL_CTL_MOD, p->fd, &ev);
}

static void forget_routes(struct peer *p)
{
	memset(p->have, 0, (p->gen->table->n_routes / 64 + 1) * sizeof(*p->have));
	p->n_have = 0;
}

static void say(struct peer *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->problem, sizeof(p->problem), fmt, ap);
	va_end(ap);
}

void peer_close(struct peer *p, bool cease)
{
	if (p->fd < 0)
		return;
	if (cease && p->state == PEER_UP) {
		struct stream s = {0};

		stream_cease(&s);
		(void)!write(p->fd, s.data, s.len);
		stream_free(&s);
	}
	if (p->state == PEER_UP)
		p->gen->n_up--;
	close(p->fd);
	p->fd = -1;
	p->state = PEER_IDLE;
	p->in_len = 0;
	p->own.len = p->own_done = 0;
	p->sending = false;
	p->retry_at_ns = UINT64_MAX;
	forget_routes(p);
}

static void failed(struct peer *p, const char *what)
{
	if (*what)
		say(p, "%s", what);
	peer_close(p, false);
	p->retry_at_ns = p->gen->now_ns + RETRY;
}

void peer_connect(struct peer *p)
{
	struct sockaddr_storage ss;
	struct epoll_event ev = {.events = EPOLLOUT | EPOLLIN, .data.ptr = p};
	int one = 1;
	socklen_t len;

	p->retry_at_ns = UINT64_MAX;
	p->fd = socket(
		ipaddr_is_v4(&p->local) ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd < 0) {
		say(p, "socket: %s", strerror(errno));
		return;
	}
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	len = ipaddr_to_sockaddr(&p->local, 0, 0, &ss);
	if (bind(p->fd, (struct sockaddr *)&ss, len) < 0) {
		failed(p, strerror(errno));
		return;
	}
	len = ipaddr_to_sockaddr(&p->gen->dut, p->gen->dut_port, 0, &ss);
	if (connect(p->fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS) {
		failed(p, strerror(errno));
		return;
	}
	p->state = PEER_CONNECTING;
	epoll_ctl(p->gen->epoll, EPOLL_CTL_ADD, p->fd, &ev);
}

void peer_expect(struct peer *p, uint32_t n_expected)
{
	if (!p->n_expected && n_expected)
		p->gen->n_expecting++;
	if (p->complete_ns)
		p->gen->n_complete--;
	p->n_expected = n_expected;
	p->complete_ns = p->first_rx_ns = p->last_rx_ns = p->worst_gap_ns = 0;
	if (n_expected && p->n_have == n_expected) {
		p->complete_ns = p->gen->now_ns;
		p->gen->n_complete++;
	}
}

void peer_send(struct peer *p)
{
	p->table_done = 0;
	p->sending = p->table != NULL;
	if (p->fd >= 0)
		watch(p, EPOLLIN | EPOLLOUT);
}

/* ---- receiving ---- */

static void got(struct peer *p, const struct prefix *pfx, bool announced)
{
	uint32_t r = table_find(p->gen->table, pfx);
	uint64_t bit;

	if (r == UINT32_MAX) {
		p->rx_unknown++;
		return;
	}
	bit = UINT64_C(1) << (r & 63);
	if (announced) {
		p->rx_announced++;
		if (p->have[r / 64] & bit)
			p->rx_repeated++;
		else
			p->n_have++;
		p->have[r / 64] |= bit;
	} else {
		p->rx_withdrawn++;
		if (p->have[r / 64] & bit)
			p->n_have--;
		p->have[r / 64] &= ~bit;
		if (!p->n_have)
			p->empty_ns = p->gen->now_ns;
	}
}

static bool nlri(struct peer *p, const uint8_t *b, size_t len, bool v4, bool announced)
{
	const uint8_t *end = b + len;

	while (b < end) {
		struct prefix pfx = {.family = v4 ? 4 : 6};
		unsigned bytes;

		if (p->who.add_path_rx)
			b += 4;
		if (b >= end)
			return false;
		pfx.len = *b++;
		bytes = (pfx.len + 7u) / 8;
		if (pfx.len > (v4 ? 32 : 128) || b + bytes > end)
			return false;
		if (v4) {
			pfx.addr = ipaddr_v4(0);
			memcpy(&pfx.addr.b[12], b, bytes);
		} else {
			memcpy(pfx.addr.b, b, bytes);
		}
		b += bytes;
		got(p, &pfx, announced);
	}
	return true;
}

static bool update(struct peer *p, const uint8_t *b, size_t len)
{
	const uint8_t *end = b + len, *attrs_end;
	size_t n;

	p->rx_updates++;
	if (len < 4)
		return false;
	n = (size_t)b[0] << 8 | b[1];
	if (b + 2 + n + 2 > end || !nlri(p, b + 2, n, true, false))
		return false;
	b += 2 + n;
	n = (size_t)b[0] << 8 | b[1];
	b += 2;
	attrs_end = b + n;
	if (attrs_end > end)
		return false;
	while (b + 3 <= attrs_end) {
		bool ext = b[0] & 0x10;
		unsigned type = b[1];
		size_t alen = ext ? (size_t)b[2] << 8 | b[3] : b[2];
		const uint8_t *v = b + (ext ? 4 : 3);

		if (v + alen > attrs_end)
			return false;
		if (type == 14 && alen >= 5) {
			size_t hop = v[3];

			if (hop + 5 > alen || !nlri(p, v + 5 + hop, alen - 5 - hop, v[1] == 1, true))
				return false;
		} else if (type == 15 && alen >= 3) {
			if (!nlri(p, v + 3, alen - 3, v[1] == 1, false))
				return false;
		}
		b = v + alen;
	}
	return nlri(p, attrs_end, (size_t)(end - attrs_end), true, true);
}

static void established(struct peer *p)
{
	p->state = PEER_UP;
	p->gen->n_up++;
	p->next_keepalive_ns = p->gen->now_ns + KEEPALIVE;
	p->problem[0] = 0;
}

static bool message(struct peer *p, unsigned type, const uint8_t *body, size_t len)
{
	switch (type) {
	case 1:
		if (p->state != PEER_OPEN_SENT)
			return false;
		stream_keepalive(&p->own);
		p->state = PEER_OPEN_CONFIRM;
		watch(p, EPOLLIN | EPOLLOUT);
		return true;
	case 2:
		if (p->state != PEER_UP || !update(p, body, len)) {
			say(p, "malformed UPDATE received");
			return false;
		}
		return true;
	case 3:
		say(p, "NOTIFICATION %u/%u received", len > 0 ? body[0] : 0, len > 1 ? body[1] : 0);
		return false;
	case 4:
		if (p->state == PEER_OPEN_CONFIRM)
			established(p);
		return true;
	default: return true;
	}
}

static void note_progress(struct peer *p, uint64_t updates_before)
{
	uint64_t now = p->gen->now_ns;

	if (p->rx_updates == updates_before)
		return;
	if (!p->first_rx_ns)
		p->first_rx_ns = now;
	else if (now - p->last_rx_ns > p->worst_gap_ns)
		p->worst_gap_ns = now - p->last_rx_ns;
	p->last_rx_ns = now;
	if (p->n_expected && p->n_have == p->n_expected && !p->complete_ns) {
		p->complete_ns = now;
		p->gen->n_complete++;
	}
}

static size_t allowance(struct peer *p)
{
	size_t room = IN_SIZE - p->in_len;
	uint64_t may;

	if (!p->slow_bytes_s)
		return room;
	if (!p->slow_from_ns)
		p->slow_from_ns = p->gen->now_ns;
	may = (p->gen->now_ns - p->slow_from_ns) / NS_PER_US * p->slow_bytes_s / 1000000;
	may = may > p->slow_read ? may - p->slow_read : 0;
	return may < room ? (size_t)may : room;
}

static void receive(struct peer *p)
{
	uint64_t before = p->rx_updates;
	size_t room = allowance(p), at = 0;
	ssize_t n;

	if (!room || p->reads_nothing) {
		if (p->slow_bytes_s || p->reads_nothing)
			watch(p, 0); /* looked at again by the timer */
		return;
	}
	n = read(p->fd, p->in + p->in_len, room);
	if (n <= 0) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		failed(p, p->problem[0] ? "" : n ? strerror(errno) : "connection closed by the other side");
		return;
	}
	p->rx_bytes += (uint64_t)n;
	p->slow_read += (uint64_t)n;
	p->in_len += (size_t)n;
	while (p->in_len - at >= 19) {
		size_t len = (size_t)p->in[at + 16] << 8 | p->in[at + 17];

		if (len < 19 || len > 65535) {
			failed(p, "message with an impossible length received");
			return;
		}
		if (p->in_len - at < len)
			break;
		if (!message(p, p->in[at + 18], p->in + at + 19, len - 19)) {
			failed(p, "");
			return;
		}
		at += len;
	}
	memmove(p->in, p->in + at, p->in_len - at);
	p->in_len -= at;
	note_progress(p, before);
}

/* ---- sending ---- */

static void send_some(struct peer *p)
{
	struct iovec iov[2];
	size_t want;
	int n = 0;
	ssize_t w;

	if (p->state == PEER_CONNECTING) {
		int err = 0;
		socklen_t len = sizeof(err);

		getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &err, &len);
		if (err) {
			failed(p, strerror(err));
			return;
		}
		stream_open(&p->own, &p->who);
		p->state = PEER_OPEN_SENT;
	}
	/* Keepalives only between whole messages of the table: it is written to its end first once begun. */
	if (p->table_done == 0 || !p->sending || p->table_done == p->table->len) {
		if (p->own.len > p->own_done)
			iov[n++] = (struct iovec){p->own.data + p->own_done, p->own.len - p->own_done};
	}
	if (p->state == PEER_UP && p->sending && p->table_done < p->table->len)
		iov[n++] = (struct iovec){p->table->data + p->table_done, p->table->len - p->table_done};
	if (!n) {
		watch(p, EPOLLIN);
		return;
	}
	w = writev(p->fd, iov, n);
	if (w < 0) {
		if (errno != EAGAIN && errno != EINTR)
			failed(p, strerror(errno));
		return;
	}
	for (int i = 0; i < n && w > 0; i++) {
		want = iov[i].iov_len < (size_t)w ? iov[i].iov_len : (size_t)w;
		if (p->table && (uint8_t *)iov[i].iov_base >= p->table->data &&
			(uint8_t *)iov[i].iov_base < p->table->data + p->table->len)
			p->table_done += want;
		else
			p->own_done += want;
		w -= (ssize_t)want;
	}
	if (p->own_done == p->own.len)
		p->own.len = p->own_done = 0;
}

void generator_turn(struct generator *g, int wait_ms)
{
	struct epoll_event ev[256];
	int n = epoll_wait(g->epoll, ev, 256, wait_ms);

	g->now_ns = clock_now_ns();
	for (int i = 0; i < n; i++) {
		struct peer *p = ev[i].data.ptr;

		if (p->fd >= 0 && (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) &&
			p->state != PEER_CONNECTING)
			receive(p);
		if (p->fd >= 0 && (ev[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
			send_some(p);
	}
	for (unsigned i = 0; i < g->n_peers; i++) {
		struct peer *p = &g->peer[i];

		if (p->fd < 0 && p->retry_at_ns <= g->now_ns)
			peer_connect(p);
		if (p->fd >= 0 && (p->slow_bytes_s || p->reads_nothing) && p->state == PEER_UP &&
			allowance(p) > 0 && !p->reads_nothing)
			watch(p, EPOLLIN | EPOLLOUT);
		if (p->state == PEER_UP && g->now_ns >= p->next_keepalive_ns) {
			stream_keepalive(&p->own);
			p->next_keepalive_ns = g->now_ns + KEEPALIVE;
			watch(p, EPOLLIN | EPOLLOUT);
		}
	}
}
