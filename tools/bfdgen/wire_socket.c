/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel UDP sockets on one interface: one to receive, one to send, for all
 * sessions; the source address travels with each packet. Slower than a port,
 * and needs nothing but an interface. Packets that come in are stamped by the
 * kernel when the interface delivered them.
 */
#include "shared/clock.h"
#include "tools/bfdgen/wire.h"
#include <errno.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOM 2048u
#define CONTROL 256u
#define BUFFER (8 << 20)

struct destination {
	struct sockaddr_storage to;
	socklen_t len;
	struct ipaddr src;
	uint8_t ttl;
};

struct wire_socket {
	struct wire w; /* first */
	int rx, tx;
	bool v6;
	struct destination *path;
	uint32_t paths;
	struct mmsghdr in[WIRE_BURST], out[WIRE_BURST];
	struct iovec in_iov[WIRE_BURST], out_iov[WIRE_BURST];
	struct sockaddr_storage from[WIRE_BURST];
	uint8_t payload[WIRE_BURST][ROOM], sending[WIRE_BURST][ROOM];
	_Alignas(16) uint8_t control[WIRE_BURST][CONTROL];
	_Alignas(16) uint8_t out_control[WIRE_BURST][CONTROL];
	unsigned nout;
	uint16_t port;
};

static struct wire_socket *socket_of(struct wire *w)
{
	return (struct wire_socket *)w;
}

static int int_of(const struct cmsghdr *c)
{
	int v;

	memcpy(&v, CMSG_DATA(c), sizeof(v));
	return v;
}

static void read_control(struct msghdr *h, struct wire_packet *k, uint64_t real_to_mono)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			struct timespec ts;

			memcpy(&ts, CMSG_DATA(c), sizeof(ts));
			k->at_ns = (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec + real_to_mono;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) {
			k->rx.ttl = (uint8_t)int_of(c);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT) {
			k->rx.ttl = (uint8_t)int_of(c);
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo i;

			memcpy(&i, CMSG_DATA(c), sizeof(i));
			k->rx.dst = ipaddr_v4(i.ipi_addr.s_addr);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo i;

			memcpy(&i, CMSG_DATA(c), sizeof(i));
			k->rx.dst = ipaddr_v6(i.ipi6_addr.s6_addr);
		}
	}
}

static unsigned receive(struct wire *w, struct wire_packet *out, bool *more)
{
	struct wire_socket *s = socket_of(w);
	uint64_t now, offset;
	int n;

	for (unsigned i = 0; i < WIRE_BURST; i++) {
		s->in[i].msg_hdr.msg_namelen = sizeof(s->from[i]);
		s->in[i].msg_hdr.msg_controllen = CONTROL;
	}
	n = recvmmsg(s->rx, s->in, WIRE_BURST, MSG_DONTWAIT, NULL);
	*more = n == WIRE_BURST;
	if (n <= 0)
		return 0;
	now = clock_now_ns();
	offset = now - clock_wall_ns();
	for (int i = 0; i < n; i++) {
		struct wire_packet *k = &out[i];
		uint32_t scope;

		*k = (struct wire_packet){.at_ns = now};
		ipaddr_from_sockaddr((struct sockaddr *)&s->from[i], &k->rx.src, &k->rx.sport, &scope);
		k->rx.payload = s->payload[i];
		k->rx.len = (uint16_t)s->in[i].msg_len;
		k->rx.dport = s->port;
		k->rx.ifindex = w->ifindex;
		read_control(&s->in[i].msg_hdr, k, offset);
		if (k->at_ns > now) /* the wall clock is being turned */
			k->at_ns = now;
	}
	return (unsigned)n;
}

static uint32_t flush(struct wire *w)
{
	struct wire_socket *s = socket_of(w);
	uint32_t refused = 0;
	unsigned done = 0;

	while (done < s->nout) {
		int n = sendmmsg(s->tx, s->out + done, s->nout - done, MSG_DONTWAIT);

		if (n > 0) {
			done += (unsigned)n;
		} else {
			w->refused++; /* this one; the others may find their way */
			refused |= 1u << done++;
		}
	}
	s->nout = 0;
	return refused;
}

static void put_control(struct msghdr *h, const struct destination *d, uint32_t ifindex, bool v6)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(h);
	int ttl = d->ttl;

	if (v6) {
		struct in6_pktinfo i = {.ipi6_ifindex = ifindex};

		memcpy(&i.ipi6_addr, d->src.b, 16);
		*c = (struct cmsghdr){.cmsg_level = IPPROTO_IPV6,
			.cmsg_type = IPV6_PKTINFO,
			.cmsg_len = CMSG_LEN(sizeof(i))};
		memcpy(CMSG_DATA(c), &i, sizeof(i));
		h->msg_controllen = CMSG_SPACE(sizeof(i)) + CMSG_SPACE(sizeof(ttl));
	} else {
		struct in_pktinfo i = {.ipi_ifindex = (int)ifindex, .ipi_spec_dst.s_addr = d->src.w[3]};

		*c = (struct cmsghdr){
			.cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO, .cmsg_len = CMSG_LEN(sizeof(i))};
		memcpy(CMSG_DATA(c), &i, sizeof(i));
		h->msg_controllen = CMSG_SPACE(sizeof(i)) + CMSG_SPACE(sizeof(ttl));
	}
	c = CMSG_NXTHDR(h, c);
	*c = (struct cmsghdr){.cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP,
		.cmsg_type = v6 ? IPV6_HOPLIMIT : IP_TTL,
		.cmsg_len = CMSG_LEN(sizeof(ttl))};
	memcpy(CMSG_DATA(c), &ttl, sizeof(ttl));
}

static bool queue(struct wire *w, uint32_t number, const uint8_t *payload, uint16_t len)
{
	struct wire_socket *s = socket_of(w);
	struct destination *d = &s->path[number];
	unsigned i;

	if (d->len == 0 || len > ROOM) {
		w->refused++;
		return false;
	}
	if (s->nout == WIRE_BURST)
		flush(w);
	i = s->nout++;
	memcpy(s->sending[i], payload, len);
	s->out_iov[i] = (struct iovec){s->sending[i], len};
	s->out[i].msg_hdr = (struct msghdr){
		.msg_name = &d->to,
		.msg_namelen = d->len,
		.msg_iov = &s->out_iov[i],
		.msg_iovlen = 1,
		.msg_control = s->out_control[i],
		.msg_controllen = CONTROL,
	};
	memset(s->out_control[i], 0, CONTROL);
	put_control(&s->out[i].msg_hdr, d, w->ifindex, s->v6);
	return true;
}

static int set_path(struct wire *w, uint32_t number, const struct wire_path *p)
{
	struct wire_socket *s = socket_of(w);
	struct destination *d = &s->path[number];

	if (number >= s->paths)
		return -EINVAL;
	d->len = ipaddr_to_sockaddr(&p->dst, p->dport, w->ifindex, &d->to);
	d->src = p->src;
	d->ttl = p->ttl;
	return 0;
}

static void close_sockets(struct wire *w)
{
	struct wire_socket *s = socket_of(w);

	if (s->rx >= 0)
		close(s->rx);
	if (s->tx >= 0)
		close(s->tx);
	free(s->path);
	free(s);
}

static int bind_any(int fd, bool v6, uint16_t port)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1;

	if (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)))
		return -errno;
	return bind(fd, v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4, v6 ? sizeof(a6) : sizeof(a4))
		       ? -errno
		       : 0;
}

static int open_sockets(struct wire_socket *s, const char *ifname, char err[GEN_ERR])
{
	int family = s->v6 ? AF_INET6 : AF_INET, one = 1, size = BUFFER, rc;

	s->rx = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	s->tx = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s->rx < 0 || s->tx < 0)
		return snprintf(err, GEN_ERR, "no socket: %s", strerror(errno)), -errno;
	if (setsockopt(s->rx, SOL_SOCKET, SO_BINDTODEVICE, ifname, (socklen_t)strlen(ifname)) ||
		setsockopt(s->tx, SOL_SOCKET, SO_BINDTODEVICE, ifname, (socklen_t)strlen(ifname)))
		return snprintf(err, GEN_ERR, "sockets cannot be bound to %s: %s", ifname, strerror(errno)),
		       -errno;
	setsockopt(s->rx, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(s->tx, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(s->rx, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
	/* Addresses that are not this host's may be spoken from: floods do. */
	if (s->v6) {
		setsockopt(s->rx, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
		setsockopt(s->rx, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &one, sizeof(one));
		setsockopt(s->tx, IPPROTO_IPV6, IPV6_TRANSPARENT, &one, sizeof(one));
	} else {
		setsockopt(s->rx, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
		setsockopt(s->rx, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one));
		setsockopt(s->tx, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one));
	}
	rc = bind_any(s->rx, s->v6, s->port);
	if (rc)
		return snprintf(err, GEN_ERR, "UDP port %u of %s is taken: %s", s->port, ifname,
			       strerror(-rc)),
		       rc;
	/* RFC 5881 section 4: a source port of the dynamic range. */
	for (uint16_t port = 49152; (rc = bind_any(s->tx, s->v6, port)) == -EADDRINUSE && port < 49252;
		port++)
		;
	if (rc)
		snprintf(err, GEN_ERR, "no source port: %s", strerror(-rc));
	return rc;
}

int wire_socket_open(const struct gen_options *o, uint32_t paths, struct wire **out, char err[GEN_ERR])
{
	struct wire_socket *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->rx = s->tx = -1;
	s->w = (struct wire){.ifindex = if_nametoindex(o->sockets),
		.receive = receive,
		.set_path = set_path,
		.queue = queue,
		.flush = flush,
		.close = close_sockets};
	s->v6 = !ipaddr_is_v4(&o->local);
	s->port = o->multihop ? BFD_PORT_MULTIHOP : BFD_PORT_CONTROL;
	s->paths = paths;
	s->path = calloc(paths, sizeof(*s->path));
	for (unsigned i = 0; i < WIRE_BURST; i++) {
		s->in_iov[i] = (struct iovec){s->payload[i], ROOM};
		s->in[i].msg_hdr = (struct msghdr){.msg_name = &s->from[i],
			.msg_iov = &s->in_iov[i],
			.msg_iovlen = 1,
			.msg_control = s->control[i]};
	}
	if (!s->path) {
		rc = -ENOMEM;
		snprintf(err, GEN_ERR, "out of memory");
	} else if (s->w.ifindex == 0) {
		rc = -ENODEV;
		snprintf(err, GEN_ERR, "there is no interface %.60s", o->sockets);
	} else {
		rc = open_sockets(s, o->sockets, err);
	}
	if (rc)
		close_sockets(&s->w);
	else
		*out = &s->w;
	return rc;
}
