/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/bgp/ra.h"
#include "controlplane/loop/loop.h"
#include "shared/clock.h"
#include "shared/log.h"
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOP_LIMIT 255        /* others come from beyond the link */
#define BETWEEN_ANSWERS_S 3u /* MIN_DELAY_BETWEEN_RAS */
#define MOST_AT_ONCE 64u     /* messages in a turn */

struct ra_link {
	struct loop *loop;
	char name[64], ifname[IF_NAMESIZE];
	bool (*heard)(void *ctx, const struct ipaddr *from);
	void *ctx;
	int fd;           /* -1: the interface is not there */
	unsigned ifindex; /* of fd */
	uint8_t mac[6];
	bool has_mac, asked, failed;
	uint64_t sent_ns;   /* last advertisement, 0: none yet */
	struct ipaddr last; /* whose advertisement came last */
	struct ev_io readable;
	struct ev_timer tick;
};

/* ---- messages ---- */

enum ra_kind ra_read(const uint8_t *msg, size_t len, int hop_limit, const struct ipaddr *from)
{
	bool nobody = ipaddr_is_zero(from);
	size_t at;

	if (hop_limit != HOP_LIMIT || len < 8 || msg[1] != 0)
		return RA_NONE;
	if (msg[0] == ND_ROUTER_ADVERT) {
		if (len < 16 || !ipaddr_is_link_local(from))
			return RA_NONE;
		at = 16;
	} else if (msg[0] == ND_ROUTER_SOLICIT) {
		at = 8;
	} else {
		return RA_NONE;
	}
	while (at < len) {
		size_t n;

		if (len - at < 2)
			return RA_NONE;
		n = 8 * (size_t)msg[at + 1];
		if (!n || n > len - at)
			return RA_NONE;
		if (msg[at] == ND_OPT_SOURCE_LINKADDR && nobody)
			return RA_NONE;
		at += n;
	}
	return msg[0] == ND_ROUTER_ADVERT ? RA_ADVERTISEMENT : RA_SOLICITATION;
}

size_t ra_make(const uint8_t mac[6], uint8_t buf[RA_LEN])
{
	memset(buf, 0, RA_LEN);
	buf[0] = ND_ROUTER_ADVERT;
	if (!mac)
		return 16;
	buf[16] = ND_OPT_SOURCE_LINKADDR;
	buf[17] = 1;
	memcpy(buf + 18, mac, 6);
	return RA_LEN;
}

static void send_to(struct ra_link *r, uint8_t group, const uint8_t *msg, size_t len)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_scope_id = r->ifindex};

	to.sin6_addr.s6_addr[0] = 0xff;
	to.sin6_addr.s6_addr[1] = 2;
	to.sin6_addr.s6_addr[15] = group;
	/* Without an address yet, or with the interface down: next time. */
	(void)!sendto(r->fd, msg, len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
}

static void advertise(struct ra_link *r)
{
	uint8_t buf[RA_LEN];

	send_to(r, 1, buf, ra_make(r->has_mac ? r->mac : NULL, buf));
	r->sent_ns = clock_now_ns();
	r->asked = false;
}

static void solicit(struct ra_link *r)
{
	static const uint8_t msg[8] = {ND_ROUTER_SOLICIT};

	send_to(r, 2, msg, sizeof(msg));
}

/* ---- the socket ---- */

static int hop_limit_of(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int hops;

		if (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_HOPLIMIT ||
			c->cmsg_len < CMSG_LEN(sizeof(hops)))
			continue;
		memcpy(&hops, CMSG_DATA(c), sizeof(hops));
		return hops;
	}
	return -1;
}

static bool receive(struct ra_link *r)
{
	uint8_t msg[1500];
	struct sockaddr_in6 from;
	_Alignas(struct cmsghdr) uint8_t control[128];
	struct iovec iov = {msg, sizeof(msg)};
	struct msghdr m = {.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(r->fd, &m, MSG_DONTWAIT);
	struct ipaddr addr;

	if (n < 0)
		return errno == EINTR;
	addr = ipaddr_v6(from.sin6_addr.s6_addr);
	switch (ra_read(msg, (size_t)n, hop_limit_of(&m), &addr)) {
	case RA_NONE: break;
	case RA_SOLICITATION:
		r->asked = true;
		if (clock_now_ns() - r->sent_ns >= BETWEEN_ANSWERS_S * NS_PER_S)
			advertise(r);
		break;
	case RA_ADVERTISEMENT:
		/* One that is new here has not heard us: it need not wait for that. */
		r->asked |= !ipaddr_equal(&r->last, &addr);
		r->last = addr;
		return r->heard(r->ctx, &addr);
	}
	return true;
}

static void on_readable(struct ev_loop *ev, ev_io *w, int revents)
{
	struct ra_link *r = w->data;

	(void)ev;
	(void)revents;
	for (unsigned i = 0; i < MOST_AT_ONCE && receive(r); i++)
		;
}

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

static int open_socket(struct ra_link *r)
{
	struct ipv6_mreq routers = {.ipv6mr_interface = r->ifindex};
	struct icmp6_filter filter;
	int fd = socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMPV6);
	int rc;

	if (fd < 0)
		return -errno;
	ICMP6_FILTER_SETBLOCKALL(&filter);
	ICMP6_FILTER_SETPASS(ND_ROUTER_ADVERT, &filter);
	ICMP6_FILTER_SETPASS(ND_ROUTER_SOLICIT, &filter);
	routers.ipv6mr_multiaddr.s6_addr[0] = 0xff;
	routers.ipv6mr_multiaddr.s6_addr[1] = 2;
	routers.ipv6mr_multiaddr.s6_addr[15] = 2;
	if (setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, r->ifname, (socklen_t)strlen(r->ifname)) < 0 ||
		set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) < 0 ||
		set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, HOP_LIMIT) < 0 ||
		set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0) < 0 ||
		set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)r->ifindex) < 0 ||
		setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &routers, sizeof(routers)) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static void find_mac(struct ra_link *r)
{
	struct ifreq req = {0};

	memcpy(req.ifr_name, r->ifname, sizeof(req.ifr_name));
	r->has_mac = ioctl(r->fd, SIOCGIFHWADDR, &req) == 0 && req.ifr_hwaddr.sa_family == ARPHRD_ETHER;
	if (r->has_mac)
		memcpy(r->mac, req.ifr_hwaddr.sa_data, sizeof(r->mac));
}

static void shut(struct ra_link *r)
{
	if (r->fd < 0)
		return;
	ev_io_stop(loop_ev(r->loop), &r->readable);
	close(r->fd);
	r->fd = -1;
}

static void begin(struct ra_link *r, unsigned ifindex)
{
	int fd;

	r->ifindex = ifindex;
	fd = open_socket(r);
	if (fd < 0) {
		if (!r->failed)
			log_msg(LOG_CLASS_ERROR, "%s: Cannot listen for router advertisements on %s: %s",
				r->name, r->ifname, strerror(-fd));
		r->failed = true;
		return;
	}
	r->failed = false;
	r->fd = fd;
	find_mac(r);
	ev_io_init(&r->readable, on_readable, fd, EV_READ);
	r->readable.data = r;
	ev_io_start(loop_ev(r->loop), &r->readable);
	solicit(r);
	advertise(r);
}

/* Once a second. */
static void on_tick(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct ra_link *r = w->data;
	unsigned ifindex = if_nametoindex(r->ifname);
	uint64_t silent;

	(void)ev;
	(void)revents;
	if (ifindex != r->ifindex)
		shut(r);
	if (!ifindex)
		return;
	if (r->fd < 0) {
		begin(r, ifindex);
		return;
	}
	silent = clock_now_ns() - r->sent_ns;
	if (silent >= RA_INTERVAL_S * NS_PER_S || (r->asked && silent >= BETWEEN_ANSWERS_S * NS_PER_S))
		advertise(r);
}

struct ra_link *ra_open(struct loop *l, const char *name, const char *ifname,
	bool (*heard)(void *ctx, const struct ipaddr *from), void *ctx)
{
	struct ra_link *r = calloc(1, sizeof(*r));
	unsigned ifindex;

	if (!r)
		return NULL;
	r->loop = l;
	r->heard = heard;
	r->ctx = ctx;
	r->fd = -1;
	snprintf(r->name, sizeof(r->name), "%s", name);
	snprintf(r->ifname, sizeof(r->ifname), "%s", ifname);
	ifindex = if_nametoindex(r->ifname);
	if (ifindex)
		begin(r, ifindex);
	ev_now_update(loop_ev(l));
	ev_timer_init(&r->tick, on_tick, 1, 1);
	r->tick.data = r;
	ev_timer_start(loop_ev(l), &r->tick);
	return r;
}

void ra_close(struct ra_link *r)
{
	if (!r)
		return;
	shut(r);
	ev_timer_stop(loop_ev(r->loop), &r->tick);
	free(r);
}
