/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/fib/batch.h"
#include "shared/clock.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REPLY_SIZE 65536
/* Room for an error message of each of a batch's messages. */
#define SOCKET_BUFFER (8 << 20)

int batch_open(struct batch *b, size_t capacity)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	socklen_t len = sizeof(a);
	int size = SOCKET_BUFFER, on = 1;

	memset(b, 0, sizeof(*b));
	b->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (b->fd < 0)
		return -errno;
	if (bind(b->fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		getsockname(b->fd, (struct sockaddr *)&a, &len) < 0) {
		int rc = -errno;
		close(b->fd);
		b->fd = -1;
		return rc;
	}
	b->port = a.nl_pid;
	if (setsockopt(b->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(b->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(b->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(b->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	/* Answers without a copy of the question, and with the kernel's explanation. */
	setsockopt(b->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	setsockopt(b->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	b->buf = malloc(capacity);
	b->reply = malloc(REPLY_SIZE);
	b->cap = capacity;
	b->first_seq = 1;
	b->at_once = BATCH_AT_ONCE_MAX;
	if (!b->buf || !b->reply) {
		batch_close(b);
		return -ENOMEM;
	}
	return 0;
}

void batch_close(struct batch *b)
{
	if (b->fd >= 0)
		close(b->fd);
	free(b->buf);
	free(b->reply);
	*b = (struct batch){.fd = -1};
}

void batch_touch(struct batch *b)
{
	memset(b->buf, 0, b->cap);
	memset(b->reply, 0, REPLY_SIZE);
	(void)!mlock(b->buf, b->cap);
	(void)!mlock(b->reply, REPLY_SIZE);
}

struct nlmsghdr *batch_add(struct batch *b, uint16_t type, uint16_t flags, size_t fixed)
{
	struct nlmsghdr *h = (struct nlmsghdr *)(b->buf + b->len);
	size_t total = NLMSG_HDRLEN + NLMSG_ALIGN(fixed);

	memset(h, 0, total);
	h->nlmsg_len = (uint32_t)total;
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = b->first_seq + b->n;
	b->last = h;
	b->len += total;
	b->n++;
	return h;
}

static const char *explanation(const struct nlmsghdr *h)
{
	/* NETLINK_CAP_ACK: the attributes follow the header of the question. */
	size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nlmsgerr));

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return "";
	if (!(h->nlmsg_flags & NLM_F_CAPPED)) {
		const struct nlmsgerr *e = (const struct nlmsgerr *)((const char *)h + NLMSG_HDRLEN);
		at += NLMSG_ALIGN(e->msg.nlmsg_len) - sizeof(e->msg);
	}
	while (at + NLA_HDRLEN <= h->nlmsg_len) {
		const struct nlattr *a = (const struct nlattr *)((const char *)h + at);
		if (a->nla_len < NLA_HDRLEN || at + a->nla_len > h->nlmsg_len)
			break;
		if ((a->nla_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG &&
			((const char *)a)[a->nla_len - 1] == '\0')
			return (const char *)a + NLA_HDRLEN;
		at += NLA_ALIGN(a->nla_len);
	}
	return "";
}

/* Until the answer to seq `last` has come. */
static int read_answers(struct batch *b, uint32_t first, uint32_t last,
	void (*failed)(void *, unsigned, int, const char *), void *ctx)
{
	for (;;) {
		ssize_t n = recv(b->fd, b->reply, REPLY_SIZE, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (struct nlmsghdr *h = (struct nlmsghdr *)b->reply; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			const struct nlmsgerr *e = NLMSG_DATA(h);
			if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_seq - first > last - first)
				continue; /* an answer to a batch that was given up */
			if (e->error) {
				b->errors++;
				if (failed)
					failed(ctx, h->nlmsg_seq - first, e->error, explanation(h));
			}
			if (h->nlmsg_seq == last)
				return 0;
		}
	}
}

/* Asleep, not spinning: on a machine with one core the other thread needs it. */
static void give_way(struct batch *b)
{
	const struct timespec nap = {.tv_nsec = 20000};
	uint64_t until;

	if (!b->urgent || !atomic_load(b->urgent))
		return;
	atomic_fetch_add(&b->gave_way, 1);
	until = clock_now_ns() + BATCH_GIVE_WAY_MAX_NS;
	while (atomic_load(b->urgent) && clock_now_ns() < until)
		nanosleep(&nap, NULL);
}

void batch_pace(struct batch *b, unsigned n, uint64_t ns)
{
	uint64_t each = ns / n + 1, fit;

	b->message_ns = b->message_ns ? (3 * b->message_ns + each) / 4 : each;
	fit = BATCH_STRETCH_NS / b->message_ns;
	b->at_once = fit > BATCH_AT_ONCE_MAX   ? BATCH_AT_ONCE_MAX
		     : fit < BATCH_AT_ONCE_MIN ? BATCH_AT_ONCE_MIN
					       : (unsigned)fit;
}

/* Of this thread: what it waits for others is no reason for shorter sends. */
static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

int batch_flush(
	struct batch *b, void (*failed)(void *ctx, unsigned index, int err, const char *text), void *ctx)
{
	uint32_t first = b->first_seq, last = first + b->n - 1;
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	uint64_t begin = 0;
	ssize_t n;
	int rc = 0;

	if (!b->n)
		return 0;
	b->last->nlmsg_flags |= NLM_F_ACK;
	give_way(b);
	if (b->urgent)
		begin = cpu_ns();
	do
		n = sendto(b->fd, b->buf, b->len, 0, (struct sockaddr *)&kernel, sizeof(kernel));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		rc = -errno;
	if (b->urgent)
		batch_pace(b, b->n, cpu_ns() - begin);
	b->sends++;
	b->messages += b->n;
	b->first_seq = last + 1;
	b->len = 0;
	b->n = 0;
	return rc < 0 ? rc : read_answers(b, first, last, failed, ctx);
}

struct first_error {
	int err;
	char *text;
};

static void note_first(void *ctx, unsigned index, int err, const char *text)
{
	struct first_error *f = ctx;

	if (f->err)
		return;
	f->err = err;
	if (f->text)
		strncpy(f->text, text, BATCH_TEXT - 1);
}

int batch_flush_simple(struct batch *b, char text[BATCH_TEXT])
{
	struct first_error f = {.text = text};
	int rc;

	if (text)
		memset(text, 0, BATCH_TEXT);
	rc = batch_flush(b, note_first, &f);
	return rc < 0 ? rc : f.err;
}
