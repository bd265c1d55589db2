/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/fib/netlink.h"
#include <errno.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECV_SIZE (256 * 1024)
#define DUMP_TRIES 3

int netlink_errno(int nlerr)
{
	switch (nlerr < 0 ? -nlerr : nlerr) {
	case NLE_SUCCESS: return 0;
	case NLE_INTR: return -EINTR;
	case NLE_BAD_SOCK: return -EBADF;
	case NLE_AGAIN: return -EAGAIN;
	case NLE_NOMEM: return -ENOMEM;
	case NLE_EXIST: return -EEXIST;
	case NLE_INVAL: return -EINVAL;
	case NLE_RANGE: return -ERANGE;
	case NLE_OPNOTSUPP: return -EOPNOTSUPP;
	case NLE_AF_NOSUPPORT: return -EAFNOSUPPORT;
	case NLE_OBJ_NOTFOUND: return -ENOENT;
	case NLE_PERM: return -EPERM;
	case NLE_BUSY: return -EBUSY;
	case NLE_NODEV: return -ENODEV;
	case NLE_DUMP_INTR: return -EINTR;
	default: return -EIO;
	}
}

int netlink_open(struct nl_sock **out, bool strict)
{
	struct nl_sock *s = nl_socket_alloc();
	int rc, on = 1;

	if (!s)
		return -ENOMEM;
	rc = nl_connect(s, NETLINK_ROUTE);
	if (rc < 0) {
		nl_socket_free(s);
		return netlink_errno(rc);
	}
	nl_socket_disable_auto_ack(s);
	nl_socket_disable_seq_check(s);
	nl_socket_set_buffer_size(s, 4 << 20, 1 << 20);
	setsockopt(nl_socket_get_fd(s), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	if (strict)
		setsockopt(nl_socket_get_fd(s), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	*out = s;
	return 0;
}

int netlink_open_monitor(struct nl_sock **out, int rcvbuf, const unsigned *groups)
{
	struct nl_sock *s;
	int rc = netlink_open(&s, false);

	if (rc < 0)
		return rc;
	if (rcvbuf > 0) {
		/* Beyond net.core.rmem_max where we are allowed to: a burst of notifications is a million
		 * long. */
		int fd = nl_socket_get_fd(s);
		if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf)) < 0)
			setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	}
	for (; *groups && rc >= 0; groups++)
		rc = nl_socket_add_membership(s, (int)*groups);
	if (rc >= 0)
		rc = nl_socket_set_nonblocking(s);
	if (rc < 0) {
		nl_socket_free(s);
		return netlink_errno(rc);
	}
	*out = s;
	return 0;
}

/* One datagram of messages. Returns bytes, 0 nothing, or -errno. MSG_TRUNC cannot happen: the kernel builds
 * dumps by the size it has seen us read with, and notifications are small. */
static ssize_t receive(int fd, void *buf, size_t size, int flags, uint32_t port)
{
	struct sockaddr_nl from;
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	struct msghdr mh = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};

	for (;;) {
		ssize_t n = recvmsg(fd, &mh, flags);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return errno == EAGAIN ? 0 : -errno;
		}
		if (from.nl_pid != 0) /* only the kernel tells us about the kernel */
			continue;
		return n;
	}
}

int netlink_drain(struct nl_sock *s, netlink_each_fn *each, void *arg)
{
	_Alignas(NLMSG_ALIGNTO) char buf[32768];
	int lost = 0;

	for (;;) {
		ssize_t n = receive(nl_socket_get_fd(s), buf, sizeof(buf), MSG_DONTWAIT, 0);
		if (n == -ENOBUFS) {
			lost = -ENOBUFS;
			continue;
		}
		if (n <= 0)
			return n < 0 ? (int)n : lost;
		for (struct nlmsghdr *h = (struct nlmsghdr *)buf; nlmsg_ok(h, (int)n);
			h = nlmsg_next(h, (int *)&n)) {
			int rc = each(arg, h);
			if (rc < 0)
				return rc;
		}
	}
}

static void ext_ack_text(const struct nlmsghdr *h, char *text, size_t size)
{
	const struct nlmsgerr *e = nlmsg_data(h);
	size_t skip = sizeof(*e);
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];

	if (!size)
		return;
	text[0] = '\0';
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(e->msg.nlmsg_len) - sizeof(e->msg);
	if (nlmsg_datalen(h) <= (int)skip)
		return;
	if (nla_parse(tb, NLMSGERR_ATTR_MAX, (struct nlattr *)((char *)nlmsg_data(h) + skip),
		    nlmsg_datalen(h) - (int)skip, NULL) == 0 &&
		tb[NLMSGERR_ATTR_MSG])
		nla_strlcpy(text, tb[NLMSGERR_ATTR_MSG], size);
}

/* Reads the answer to the request seq: until DONE for a dump, until the ACK or error else. */
static int answer(struct nl_sock *s, uint32_t seq, bool ack, netlink_each_fn *each, void *arg, char *text,
	size_t text_size)
{
	char *buf = malloc(RECV_SIZE);
	int rc = 0;
	bool changed = false, done = false;

	if (!buf)
		return -ENOMEM;
	while (!done) {
		int n = (int)receive(nl_socket_get_fd(s), buf, RECV_SIZE, 0, 0);
		if (n <= 0) {
			rc = n < 0 ? n : -EIO;
			break;
		}
		for (struct nlmsghdr *h = (struct nlmsghdr *)buf; nlmsg_ok(h, n) && !done;
			h = nlmsg_next(h, &n)) {
			if (h->nlmsg_seq != seq)
				continue; /* left over from a request that was given up */
			if (h->nlmsg_flags & NLM_F_DUMP_INTR)
				changed = true;
			if (h->nlmsg_type == NLMSG_DONE) {
				/* The kernel hands the dump function's error over in DONE. */
				if (nlmsg_datalen(h) >= (int)sizeof(int) && *(int *)nlmsg_data(h) < 0 && !rc)
					rc = *(int *)nlmsg_data(h);
				done = true;
			} else if (h->nlmsg_type == NLMSG_ERROR) {
				int e = ((struct nlmsgerr *)nlmsg_data(h))->error;
				if (text)
					ext_ack_text(h, text, text_size);
				if (!rc)
					rc = e;
				done = true;
			} else {
				/* After the caller's own error the rest is read and dropped, so that the
				 * socket stays in step. */
				if (each && !rc)
					rc = each(arg, h);
				if (!ack && !(h->nlmsg_flags & NLM_F_MULTI))
					done = true;
			}
		}
	}
	free(buf);
	return rc ? rc : changed ? -EINTR : 0;
}

static int send_msg(struct nl_sock *s, struct nl_msg *m, uint32_t *seq)
{
	struct nlmsghdr *h = nlmsg_hdr(m);
	struct sockaddr_nl to = {.nl_family = AF_NETLINK};
	ssize_t n;

	*seq = h->nlmsg_seq = nl_socket_use_seq(s);
	h->nlmsg_pid = nl_socket_get_local_port(s);
	do
		n = sendto(nl_socket_get_fd(s), h, h->nlmsg_len, 0, (struct sockaddr *)&to, sizeof(to));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int netlink_dump(
	struct nl_sock *s, int type, const void *header, size_t header_len, netlink_each_fn *each, void *arg)
{
	int rc = -EINTR;

	for (int i = 0; i < DUMP_TRIES && rc == -EINTR; i++) {
		struct nl_msg *m = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_DUMP);
		uint32_t seq;
		if (!m)
			return -ENOMEM;
		if (nlmsg_append(m, (void *)header, header_len, NLMSG_ALIGNTO) < 0)
			rc = -ENOMEM;
		else
			rc = send_msg(s, m, &seq);
		nlmsg_free(m);
		if (rc < 0)
			return rc;
		rc = answer(s, seq, false, each, arg, NULL, 0);
	}
	return rc;
}

int netlink_request(struct nl_sock *s, struct nl_msg *m, char *text, size_t text_size)
{
	uint32_t seq;
	int rc;

	if (text_size)
		text[0] = '\0';
	nlmsg_hdr(m)->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	rc = send_msg(s, m, &seq);
	nlmsg_free(m);
	return rc < 0 ? rc : answer(s, seq, true, NULL, NULL, text, text_size);
}

int netlink_query(struct nl_sock *s, struct nl_msg *m, netlink_each_fn *each, void *arg)
{
	uint32_t seq;
	int rc;

	nlmsg_hdr(m)->nlmsg_flags |= NLM_F_REQUEST;
	rc = send_msg(s, m, &seq);
	nlmsg_free(m);
	return rc < 0 ? rc : answer(s, seq, false, each, arg, NULL, 0);
}

struct ipaddr netlink_attr_addr(const struct nlattr *a)
{
	struct ipaddr r = {0};

	if (a && nla_len(a) == 4) {
		uint32_t v4;
		memcpy(&v4, nla_data(a), 4);
		r = ipaddr_v4(v4);
	} else if (a && nla_len(a) == 16) {
		r = ipaddr_v6(nla_data(a));
	}
	return r;
}

int netlink_put_addr(struct nl_msg *m, int type, const struct ipaddr *a)
{
	return ipaddr_is_v4(a) ? nla_put(m, type, 4, &a->w[3]) : nla_put(m, type, 16, a->b);
}
