/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bgpgen/relay.h"
#include "tools/bgpgen/stream.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#define IN_SIZE (1u << 18)
#define IOVS 64

/* Whole messages as one source sent them. Kept for as long as the relay runs: it is the least a daemon does,
 * not a model of its memory. */
struct chunk {
	struct chunk *next;
	unsigned source;
	size_t len;
	uint8_t data[];
};

struct member {
	int fd;
	unsigned number;
	bool open_seen, receives, want_out;
	uint8_t rest[65536];
	size_t rest_len;
	struct stream own;     /* what it is told by the relay itself; goes first */
	size_t own_done, done; /* done: bytes of *at written */
	struct chunk **at;     /* the link to its next chunk */
};

struct relay {
	const struct options *o;
	int epoll, listener;
	struct member **member;
	unsigned n_members;
	struct chunk *first, **last;
	uint8_t *in;
};

static void watch(struct relay *r, struct member *m, bool out)
{
	struct epoll_event ev = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = m};

	if (m->want_out != out)
		epoll_ctl(r->epoll, EPOLL_CTL_MOD, m->fd, &ev);
	m->want_out = out;
}

static void close_member(struct relay *r, struct member *m)
{
	close(m->fd);
	m->fd = -1;
	m->receives = false;
}

static void skip_own(const struct relay *r, struct member *m)
{
	while (*m->at && !m->done && (*m->at)->source == m->number && r->o->sc.mode == MODE_RS)
		m->at = &(*m->at)->next;
}

static void write_some(struct relay *r, struct member *m)
{
	struct iovec iov[IOVS];
	size_t offset = m->done, own = m->own.len - m->own_done;
	int n = 0;
	ssize_t w;

	if (own)
		iov[n++] = (struct iovec){m->own.data + m->own_done, own};
	if (m->receives) {
		skip_own(r, m);
		for (struct chunk *c = *m->at; c && n < IOVS; c = c->next) {
			if (c->source != m->number || r->o->sc.mode == MODE_FEEDS)
				iov[n++] = (struct iovec){c->data + offset, c->len - offset};
			offset = 0;
		}
	}
	if (!n) {
		watch(r, m, false);
		return;
	}
	w = writev(m->fd, iov, n);
	if (w < 0) {
		if (errno != EAGAIN && errno != EINTR)
			close_member(r, m);
		else
			watch(r, m, true);
		return;
	}
	own = own < (size_t)w ? own : (size_t)w;
	m->own_done += own;
	w -= (ssize_t)own;
	if (m->own_done == m->own.len)
		m->own.len = m->own_done = 0;
	while (w > 0) {
		size_t left;

		skip_own(r, m);
		left = (*m->at)->len - m->done;
		if ((size_t)w < left) {
			m->done += (size_t)w;
			break;
		}
		w -= (ssize_t)left;
		m->done = 0;
		m->at = &(*m->at)->next;
	}
	if (m->receives)
		skip_own(r, m);
	watch(r, m, m->own.len > m->own_done || (m->receives && *m->at));
}

/* UPDATEs that stand together become one chunk. */
static void hand_on(struct relay *r, unsigned source, const uint8_t *data, size_t len)
{
	struct chunk *c;

	if (!len || (r->o->sc.mode == MODE_FEEDS && source != 0))
		return;
	c = malloc(sizeof(*c) + len);
	if (!c)
		abort();
	*c = (struct chunk){.source = source, .len = len};
	memcpy(c->data, data, len);
	*r->last = c;
	r->last = &c->next;
	for (unsigned i = 0; i < r->n_members; i++)
		if (r->member[i]->fd >= 0 && r->member[i]->receives)
			watch(r, r->member[i], true);
}

static void opened(struct relay *r, struct member *m, const uint8_t *body)
{
	struct speaker who = {.as = r->o->sc.rs_as,
		.router_id = ntohl(r->o->dut.w[3]),
		.hold_time = (uint16_t)r->o->hold_time,
		.v4 = r->o->table.v4 > 0,
		.v6 = r->o->table.v6 > 0};
	struct ipaddr id = {.w = {0, 0, htonl(0xffff)}};

	memcpy(&id.w[3], body + 5, 4); /* the generator's peers are numbered by their router id */
	m->number = ntohl(id.w[3]) - ntohl(r->o->sc.base.w[3]);
	m->receives = r->o->sc.mode == MODE_RS || m->number >= r->o->sc.feeders;
	m->open_seen = true;
	stream_open(&m->own, &who);
	stream_keepalive(&m->own);
	watch(r, m, true);
}

static void read_some(struct relay *r, struct member *m)
{
	size_t have, at = 0, from = 0;
	ssize_t n;

	memcpy(r->in, m->rest, m->rest_len);
	n = read(m->fd, r->in + m->rest_len, IN_SIZE);
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			close_member(r, m);
		return;
	}
	have = m->rest_len + (size_t)n;
	while (have - at >= 19) {
		size_t len = (size_t)r->in[at + 16] << 8 | r->in[at + 17];

		if (len < 19) {
			close_member(r, m);
			return;
		}
		if (have - at < len)
			break;
		if (r->in[at + 18] != 2) {
			hand_on(r, m->number, r->in + from, at - from);
			if (r->in[at + 18] == 1 && len >= 29)
				opened(r, m, r->in + at + 19);
			from = at + len;
		}
		at += len;
	}
	hand_on(r, m->number, r->in + from, at - from);
	m->rest_len = have - at;
	memcpy(m->rest, r->in + at, m->rest_len);
}

static void accept_one(struct relay *r)
{
	struct member *m, **more;
	int one = 1, fd = accept4(r->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	m = calloc(1, sizeof(*m));
	more = realloc(r->member, (r->n_members + 1) * sizeof(*more));
	if (!m || !more)
		abort();
	r->member = more;
	r->member[r->n_members++] = m;
	m->fd = fd;
	m->at = &r->first;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = m});
}

int relay_run(const struct options *o)
{
	struct relay r = {.o = o, .epoll = epoll_create1(EPOLL_CLOEXEC), .in = malloc(IN_SIZE + 65536)};
	struct sockaddr_storage ss;
	struct epoll_event ev[256];
	socklen_t len = ipaddr_to_sockaddr(&o->dut, o->port, 0, &ss);
	int one = 1;

	r.last = &r.first;
	r.listener = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(r.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!r.in || r.epoll < 0 || bind(r.listener, (struct sockaddr *)&ss, len) < 0 ||
		listen(r.listener, 1024) < 0) {
		fprintf(stderr, "peregrine-bgpgen: cannot listen: %s\n", strerror(errno));
		return 2;
	}
	epoll_ctl(r.epoll, EPOLL_CTL_ADD, r.listener,
		&(struct epoll_event){.events = EPOLLIN, .data.ptr = NULL});
	fputs("relaying\n", stderr);
	for (;;) {
		int n = epoll_wait(r.epoll, ev, 256, -1);

		for (int i = 0; i < n; i++) {
			struct member *m = ev[i].data.ptr;

			if (!m)
				accept_one(&r);
			else if (m->fd >= 0 && ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				read_some(&r, m);
			if (m && m->fd >= 0 && ev[i].events & EPOLLOUT)
				write_some(&r, m);
		}
	}
}
