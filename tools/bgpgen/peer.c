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
#define MESSAGE_MAX 65535u
#define RETRY (200 * NS_PER_MS)

int generator_init(struct generator *g, unsigned n)
{
	int rc = memo_init(&g->memo, g->table);

	g->peer = calloc(n, sizeof(*g->peer));
	g->in = malloc(IN_SIZE);
	g->pulse_sent_ns = calloc(65536, sizeof(*g->pulse_sent_ns));
	g->n_peers = n;
	g->epoll = epoll_create1(EPOLL_CLOEXEC);
	g->now_ns = clock_now_ns();
	if (g->epoll < 0)
		return -errno;
	if (rc < 0 || !g->peer || !g->in || !g->pulse_sent_ns)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		struct peer *p = &g->peer[i];

		p->gen = g;
		p->number = i;
		p->fd = -1;
		p->last_pulse = -1;
		p->have = calloc(g->table->n_routes / 64 + 1, sizeof(*p->have));
		p->want = calloc(g->table->n_routes / 64 + 1, sizeof(*p->want));
		p->ignore = calloc(g->table->n_routes / 64 + 1, sizeof(*p->ignore));
		p->attrs = g->check ? calloc(g->table->n_routes + 1, sizeof(*p->attrs)) : NULL;
		if (!p->have || !p->want || !p->ignore || (g->check && !p->attrs))
			return -ENOMEM;
	}
	return 0;
}

void generator_free(struct generator *g)
{
	g->established = NULL;
	g->lost = NULL;
	for (unsigned i = 0; i < g->n_peers; i++) {
		struct peer *p = &g->peer[i];

		peer_close(p, false);
		stream_free(&p->own);
		stream_free(&p->table);
		free(p->rest);
		free(p->have);
		free(p->want);
		free(p->ignore);
		free(p->attrs);
	}
	memo_free(&g->memo);
	close(g->epoll);
	free(g->peer);
	free(g->in);
	free(g->pulse_sent_ns);
}

static void watch(struct peer *p, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = p};

	if (p->events == events)
		return;
	p->events = events;
	epoll_ctl(p->gen->epoll, EPOLL_CTL_MOD, p->fd, &ev);
}

static void say(struct peer *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->problem, sizeof(p->problem), fmt, ap);
	va_end(ap);
}

/* ---- what it has against what it should have ---- */

static bool complete(const struct peer *p)
{
	return p->n_missing == 0 && p->n_extra == 0;
}

static void settle(struct peer *p, bool was)
{
	if (p->counts)
		p->gen->n_complete += (unsigned)complete(p) - (unsigned)was;
}

void peer_expect(struct peer *p, bool counts)
{
	uint32_t words = p->gen->table->n_routes / 64 + 1;

	if (p->counts) {
		p->gen->n_counting--;
		p->gen->n_complete -= complete(p);
	}
	p->counts = counts;
	p->n_missing = p->n_extra = 0;
	for (uint32_t w = 0; w < words; w++) {
		p->n_missing += (uint32_t)__builtin_popcountll(p->want[w] & ~p->have[w]);
		p->n_extra += (uint32_t)__builtin_popcountll(p->have[w] & ~p->want[w] & ~p->ignore[w]);
	}
	if (counts) {
		p->gen->n_counting++;
		p->gen->n_complete += complete(p);
	}
}

void peer_forget(struct peer *p)
{
	memset(p->have, 0, (p->gen->table->n_routes / 64 + 1) * sizeof(*p->have));
	if (p->attrs)
		memset(p->attrs, 0, (p->gen->table->n_routes + 1) * sizeof(*p->attrs));
	peer_expect(p, p->counts);
}

void peer_new_phase(struct peer *p)
{
	p->tally = (struct tally){0};
	p->last_any_ns = p->gen->now_ns;
}

/* ---- connecting ---- */

void peer_close(struct peer *p, bool cease)
{
	bool was_up = p->state == PEER_UP;

	if (p->fd < 0)
		return;
	if (cease && was_up) {
		struct stream s = {0};

		stream_cease(&s);
		(void)!write(p->fd, s.data, s.len);
		stream_free(&s);
	}
	if (was_up)
		p->gen->n_up--;
	close(p->fd);
	p->fd = -1;
	p->state = PEER_IDLE;
	p->rest_len = 0;
	p->own.len = p->own_done = p->own_first = 0;
	p->sending = false;
	p->retry_at_ns = UINT64_MAX;
	p->last_pulse = -1;
	peer_forget(p);
	if (was_up && p->gen->lost)
		p->gen->lost(p->gen, p, p->gen->user);
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
	int one = 1, buffer;
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
	/* Of a slow one, or the kernel would read ahead for it. */
	buffer = p->slow_bytes_s ? 32768 : p->gen->receive_buffer;
	if (buffer)
		setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
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
	p->events = ev.events;
	epoll_ctl(p->gen->epoll, EPOLL_CTL_ADD, p->fd, &ev);
}

void peer_send(struct peer *p)
{
	p->table_done = 0;
	p->own_first = p->own.len;
	p->sending = p->table.len > 0;
	peer_flush(p);
}

void peer_flush(struct peer *p)
{
	if (p->fd >= 0)
		watch(p, EPOLLOUT | (p->events & EPOLLIN));
}

void peer_read_on(struct peer *p)
{
	if (p->fd >= 0)
		watch(p, p->events | EPOLLIN);
}

/* ---- receiving ---- */

/* Routes [from, from + n) of one word. */
static void word(struct peer *p, uint32_t w, uint64_t mask, bool announced)
{
	uint64_t old = p->have[w], new = announced ? old | mask : old & ~mask, changed = old ^ new;
	uint64_t wanted = changed & p->want[w], other = changed ^ wanted;

	p->have[w] = new;
	if (other)
		other &= ~p->ignore[w];
	if (announced) {
		p->tally.repeated += (unsigned)__builtin_popcountll(old & mask);
		p->n_missing -= (uint32_t)__builtin_popcountll(wanted);
		p->n_extra += (uint32_t)__builtin_popcountll(other);
	} else {
		p->n_missing += (uint32_t)__builtin_popcountll(wanted);
		p->n_extra -= (uint32_t)__builtin_popcountll(other);
	}
}

static void pulse(struct peer *p, int number)
{
	uint64_t sent, late;

	/* Versions may be skipped: the first of those this one stands for waited longest. */
	sent = p->gen->pulse_sent_ns[p->last_pulse < 0 ? number : (p->last_pulse + 1) & 0xffff];
	late = sent && p->gen->now_ns > sent ? p->gen->now_ns - sent : 0;
	if (late > p->tally.worst_pulse_ns)
		p->tally.worst_pulse_ns = late;
	p->tally.pulses++;
	p->last_pulse = number;
}

static void apply(struct peer *p, const struct memo *m, const struct effect *e)
{
	bool was = complete(p);

	p->tally.updates++;
	p->tally.unknown += e->n_unknown;
	p->tally.end_of_ribs += e->end_of_rib;
	for (unsigned k = 0; k < e->n_runs; k++) {
		const struct run *r = &m->run[e->first_run + k];
		uint32_t at = r->from, end = r->from + r->n;

		*(r->announced ? &p->tally.announced : &p->tally.withdrawn) += r->n;
		while (at < end) {
			uint32_t n = 64 - at % 64 < end - at ? 64 - at % 64 : end - at;

			word(p, at / 64, (n == 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1) << at % 64,
				r->announced);
			at += n;
		}
		for (at = r->from; p->attrs && at < end; at++)
			p->attrs[at] = r->announced ? e->attrs : 0;
	}
	settle(p, was);
	if (e->pulse >= 0)
		pulse(p, e->pulse);
}

static bool update(struct peer *p, const uint8_t *body, size_t len)
{
	struct memo *m = &p->gen->memo;
	const struct effect *e;

	e = memo_find(m, body, len, p->who.add_path_rx, p->memo_hint);
	if (!e)
		return false;
	p->memo_hint = (uint32_t)(e - m->effect) + 1;
	apply(p, m, e);
	return true;
}

static void established(struct peer *p)
{
	p->state = PEER_UP;
	p->gen->n_up++;
	p->next_keepalive_ns = p->gen->now_ns + p->keepalive_every_ns;
	p->established_ns = p->gen->now_ns;
	p->problem[0] = 0;
	if (p->gen->established)
		p->gen->established(p->gen, p, p->gen->user);
}

static bool message(struct peer *p, unsigned type, const uint8_t *body, size_t len)
{
	switch (type) {
	case 1:
		if (p->state != PEER_OPEN_SENT)
			return false;
		stream_keepalive(&p->own);
		p->state = PEER_OPEN_CONFIRM;
		p->keepalive_every_ns = p->who.hold_time ? p->who.hold_time * NS_PER_S / 3 : UINT64_MAX / 4;
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

static void note_progress(struct peer *p, uint64_t before)
{
	struct tally *t = &p->tally;
	uint64_t now = p->gen->now_ns;

	if (p->last_any_ns && now - p->last_any_ns > t->worst_silence_ns)
		t->worst_silence_ns = now - p->last_any_ns;
	p->last_any_ns = now;
	if (t->announced + t->withdrawn == before) /* pulses and keepalives are counted elsewhere */
		return;
	if (!t->first_ns)
		t->first_ns = now;
	else if (now - t->last_ns > t->worst_gap_ns)
		t->worst_gap_ns = now - t->last_ns;
	t->last_ns = now;
	if (p->counts && complete(p) && !t->complete_ns)
		t->complete_ns = now;
	else if (p->counts && !complete(p))
		t->complete_ns = 0;
}

static size_t allowance(struct peer *p)
{
	size_t room = IN_SIZE - p->rest_len;
	uint64_t may;

	if (!p->slow_bytes_s || p->state != PEER_UP)
		return room;
	if (!p->slow_from_ns)
		p->slow_from_ns = p->gen->now_ns;
	may = (p->gen->now_ns - p->slow_from_ns) / NS_PER_US * p->slow_bytes_s / 1000000;
	may = may > p->slow_read ? may - p->slow_read : 0;
	return may < room ? (size_t)may : room;
}

static void keep_rest(struct peer *p, const uint8_t *at, size_t len)
{
	if (len > p->rest_size) {
		p->rest_size = len < 4096 ? 4096 : len;
		free(p->rest);
		p->rest = malloc(p->rest_size);
		if (!p->rest)
			abort();
	}
	if (len)
		memcpy(p->rest, at, len);
	p->rest_len = len;
}

static void receive(struct peer *p)
{
	uint64_t before = p->tally.announced + p->tally.withdrawn;
	uint8_t *in = p->gen->in;
	size_t room = allowance(p), at = 0, have;
	ssize_t n;

	if (!room) {
		watch(p, p->events & EPOLLOUT); /* looked at again by the timer */
		return;
	}
	n = read(p->fd, in + p->rest_len, room);
	if (n <= 0) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		failed(p, p->problem[0] ? "" : n ? strerror(errno) : "connection closed by the other side");
		return;
	}
	if (p->rest_len)
		memcpy(in, p->rest, p->rest_len);
	p->tally.bytes += (uint64_t)n;
	p->slow_read += (uint64_t)n;
	have = p->rest_len + (size_t)n;
	p->rest_len = 0;
	if (p->memo_generation != p->gen->memo.generation) {
		p->memo_generation = p->gen->memo.generation;
		p->memo_hint = 0;
	}
	while (have - at >= 19) {
		size_t len = (size_t)in[at + 16] << 8 | in[at + 17];

		if (len < 19) {
			failed(p, "message with an impossible length received");
			return;
		}
		if (have - at < len)
			break;
		if (!message(p, in[at + 18], in + at + 19, len - 19)) {
			failed(p, "");
			return;
		}
		at += len;
	}
	keep_rest(p, in + at, have - at);
	note_progress(p, before);
}

/* ---- sending ---- */

static void send_some(struct peer *p)
{
	struct iovec iov[2];
	size_t n_own = 0;
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
	/* What was there before the table goes before it; changes made since go behind it, or it would undo
	 * them. */
	if (!p->sending || p->table_done == p->table.len)
		n_own = p->own.len - p->own_done;
	else if (p->own_first > p->own_done)
		n_own = p->own_first - p->own_done;
	if (n_own)
		iov[n++] = (struct iovec){p->own.data + p->own_done, n_own};
	if (p->state == PEER_UP && p->sending && p->table_done < p->table.len)
		iov[n++] = (struct iovec){p->table.data + p->table_done, p->table.len - p->table_done};
	if (!n) {
		watch(p, p->events & EPOLLIN);
		return;
	}
	w = writev(p->fd, iov, n);
	if (w < 0) {
		if (errno != EAGAIN && errno != EINTR)
			failed(p, strerror(errno));
		return;
	}
	if ((size_t)w < n_own) {
		p->own_done += (size_t)w;
		return;
	}
	p->own_done += n_own;
	p->table_done += (size_t)w - n_own;
	if (p->own_done == p->own.len)
		p->own.len = p->own_done = p->own_first = 0;
}

void generator_turn(struct generator *g, int wait_ms)
{
	struct epoll_event ev[256];
	int n = epoll_wait(g->epoll, ev, 256, wait_ms);

	g->now_ns = clock_now_ns();
	for (int i = 0; i < n; i++) {
		struct peer *p = ev[i].data.ptr;

		if (p->fd >= 0 && (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) &&
			p->state != PEER_CONNECTING) {
			receive(p);
			g->now_ns = clock_now_ns();
		}
		if (p->fd >= 0 && (ev[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
			send_some(p);
	}
	for (unsigned i = 0; i < g->n_peers; i++) {
		struct peer *p = &g->peer[i];

		if (p->fd < 0 && p->retry_at_ns <= g->now_ns)
			peer_connect(p);
		if (p->fd >= 0 && p->slow_bytes_s && p->state == PEER_UP && allowance(p) >= 512)
			watch(p, p->events | EPOLLIN);
		if (p->state == PEER_UP && g->now_ns >= p->next_keepalive_ns) {
			stream_keepalive(&p->own);
			p->next_keepalive_ns = g->now_ns + p->keepalive_every_ns;
			peer_flush(p);
		}
	}
}
