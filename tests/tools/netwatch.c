/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lab's witness: sees what daemons do from outside, on one clock.
 *
 *   netwatch [-t NETNS:IFACE]... [-f NETNS:IFACE]... [-n NAME=NETNS]... [-p PROBEPORT]
 *
 *   -t  tap an interface: BFD control packets, BGP messages (both directions) and probe packets (received
 * ones) -f  the same, and it is the far end: gaps in the probe's sequence numbers are recorded over all -f
 * taps together -n  follow a namespace's nexthop and route changes (netlink), recorded under NAME
 *
 * NETNS is a path like /run/netns/x. Packets carry the kernel's time of the tap, netlink messages the time
 * they were read here; all are CLOCK_MONOTONIC ns. Records stay in a ring in memory; nothing is written
 * unless asked, so that watching does not disturb. Commands on stdin, a line each:
 *
 *   dump FROM TO   the records of that time, one JSON object a line, then a line "end"
 *
 * End of stdin ends the program.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RING (1u << 18)
#define MAX_PORTS 64
/* A probe that comes on an interface after this much silence is the start of a flow there. */
#define SILENCE_NS 3000000u

struct record {
	uint64_t t;
	uint16_t port;
	uint8_t family; /* 4, 6 or 0 */
	bool out;
	char kind[8];
	char text[108];
};

struct probe_state {
	uint64_t last_t;
	uint32_t last_seq;
};

struct port {
	int fd;
	bool netlink, far;
	char name[40];
	struct probe_state probe[2]; /* v4, v6 */
};

static struct port ports[MAX_PORTS];
static unsigned nports;
static struct record *ring;
static uint64_t written;
static struct probe_state far_end[2];
static uint16_t probe_port = 33333;

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void die(const char *what, const char *arg)
{
	fprintf(stderr, "netwatch: %s %s: %s\n", what, arg, strerror(errno));
	exit(1);
}

static struct record *add(const struct port *p, uint64_t t, const char *kind, int family, bool out)
{
	struct record *r = &ring[written++ % RING];
	memset(r, 0, sizeof(*r));
	r->t = t;
	r->port = (uint16_t)(p - ports);
	r->family = (uint8_t)family;
	r->out = out;
	snprintf(r->kind, sizeof(r->kind), "%s", kind);
	return r;
}

/* ---- packets ---- */

static void see_probe(struct port *p, uint64_t t, int family, const uint8_t *pl, size_t len)
{
	if (len < 16 || memcmp(pl, "PGPB", 4) != 0)
		return;
	uint32_t seq;
	memcpy(&seq, pl + 4, 4);
	struct probe_state *s = &p->probe[family == 6];
	if (s->last_t == 0 || t > s->last_t + SILENCE_NS) {
		struct record *r = add(p, t, "probe", family, false);
		snprintf(r->text, sizeof(r->text), "\"seq\":%u,\"before\":%" PRIu64, seq, s->last_t);
	}
	s->last_t = t;
	s->last_seq = seq;
	if (!p->far)
		return;
	struct probe_state *f = &far_end[family == 6];
	if (f->last_t && seq > f->last_seq + 1) {
		struct record *r = add(p, t, "gap", family, false);
		snprintf(r->text, sizeof(r->text), "\"lost\":%u,\"before\":%" PRIu64, seq - f->last_seq - 1,
			f->last_t);
	}
	if (seq > f->last_seq || f->last_seq - seq > 1000000 || f->last_t == 0)
		f->last_seq = seq;
	f->last_t = t;
}

static void see_bfd(
	struct port *p, uint64_t t, int family, bool out, const char *src, const uint8_t *pl, size_t len)
{
	static const char *const state[] = {"AdminDown", "Down", "Init", "Up"};
	if (len < 24)
		return;
	struct record *r = add(p, t, "bfd", family, out);
	uint32_t my, tx;
	memcpy(&my, pl + 4, 4);
	memcpy(&tx, pl + 12, 4);
	snprintf(r->text, sizeof(r->text),
		"\"src\":\"%s\",\"state\":\"%s\",\"diag\":%u,\"mult\":%u,\"disc\":%u,\"tx\":%u", src,
		state[pl[1] >> 6], pl[0] & 31u, pl[2], ntohl(my), ntohl(tx));
}

static void see_bgp(
	struct port *p, uint64_t t, int family, bool out, const char *src, const uint8_t *pl, size_t len)
{
	static const char *const type[] = {"?", "OPEN", "UPDATE", "NOTIFICATION", "KEEPALIVE", "REFRESH"};
	static const uint8_t marker[16] = {[0 ... 15] = 0xff};
	char list[64] = "";
	/* Messages that begin in this segment; one that began in an earlier segment is skipped over by its
	 * marker only. */
	while (len >= 19 && memcmp(pl, marker, 16) == 0) {
		unsigned mlen = pl[16] * 256u + pl[17], ty = pl[18] <= 5 ? pl[18] : 0;
		if (mlen < 19)
			break;
		if (strlen(list) + 16 < sizeof(list)) {
			if (*list)
				strcat(list, "+");
			strcat(list, type[ty]);
		}
		if (mlen > len)
			break;
		pl += mlen;
		len -= mlen;
	}
	struct record *r = add(p, t, "bgp", family, out);
	snprintf(r->text, sizeof(r->text), "\"src\":\"%s\",\"type\":\"%s\"", src, *list ? list : "DATA");
}

static void see_packet(struct port *p, uint64_t t, bool out, const uint8_t *f, size_t len)
{
	char src[INET6_ADDRSTRLEN] = "";
	size_t l4, end;
	int family;
	uint8_t proto;
	if (len < 14 + 20)
		return;
	if (f[12] == 0x08 && f[13] == 0x00) {
		family = 4;
		proto = f[23];
		l4 = 14 + (f[14] & 15u) * 4u;
		end = 14 + f[16] * 256u + f[17];
		inet_ntop(AF_INET, f + 26, src, sizeof(src));
	} else if (f[12] == 0x86 && f[13] == 0xdd && len >= 14 + 40) {
		family = 6;
		proto = f[20];
		l4 = 14 + 40;
		end = l4 + f[18] * 256u + f[19];
		inet_ntop(AF_INET6, f + 22, src, sizeof(src));
	} else {
		return;
	}
	if (end > len)
		end = len;
	if (proto == IPPROTO_UDP && l4 + 8 <= end) {
		unsigned dport = f[l4 + 2] * 256u + f[l4 + 3];
		if (dport == probe_port)
			see_probe(p, t, family, f + l4 + 8, end - l4 - 8);
		else
			see_bfd(p, t, family, out, src, f + l4 + 8, end - l4 - 8);
	} else if (proto == IPPROTO_TCP && l4 + 20 <= end) {
		size_t data = l4 + (f[l4 + 12] >> 4) * 4u;
		uint8_t flags = f[l4 + 13];
		if (flags & 0x05) { /* FIN or RST: how a killed daemon's kernel says goodbye */
			struct record *r = add(p, t, "tcp", family, out);
			snprintf(r->text, sizeof(r->text), "\"src\":\"%s\",\"type\":\"%s\"", src,
				flags & 4 ? "RST" : "FIN");
		}
		if (data < end)
			see_bgp(p, t, family, out, src, f + data, end - data);
	}
}

static void read_packets(struct port *p)
{
	uint8_t buf[2048];
	for (int i = 0; i < 256; i++) {
		union {
			char b[CMSG_SPACE(sizeof(struct timespec))];
			struct cmsghdr h;
		} ctl;
		struct sockaddr_ll ll;
		struct iovec iov = {buf, sizeof(buf)};
		struct msghdr m = {.msg_name = &ll,
			.msg_namelen = sizeof(ll),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &ctl,
			.msg_controllen = sizeof(ctl)};
		ssize_t n = recvmsg(p->fd, &m, MSG_DONTWAIT);
		if (n < 0)
			return;
		uint64_t t = clock_ns(CLOCK_MONOTONIC);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
			struct timespec ts;
			memcpy(&ts, CMSG_DATA(c), sizeof(ts));
			/* realtime stamp -> how long ago -> monotonic */
			uint64_t real = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
			t -= clock_ns(CLOCK_REALTIME) - real;
		}
		see_packet(p, t, ll.sll_pkttype == PACKET_OUTGOING, buf, (size_t)n);
	}
}

/* ---- netlink ---- */

static void addr_text(int family, const void *a, char *out, size_t size)
{
	inet_ntop(family, a, out, (socklen_t)size);
}

static void see_netlink(struct port *p, uint64_t t, const struct nlmsghdr *h)
{
	if (h->nlmsg_type == RTM_NEWNEXTHOP || h->nlmsg_type == RTM_DELNEXTHOP) {
		const struct nhmsg *nh = NLMSG_DATA(h);
		unsigned id = 0;
		char more[96] = "";
		int left = (int)(h->nlmsg_len - NLMSG_SPACE(sizeof(*nh)));
		for (const struct rtattr *a = (const void *)((const char *)nh + NLMSG_ALIGN(sizeof(*nh)));
			RTA_OK(a, left); a = RTA_NEXT(a, left)) {
			size_t used = strlen(more);
			if (a->rta_type == NHA_ID) {
				id = *(const uint32_t *)RTA_DATA(a);
			} else if (a->rta_type == NHA_GROUP) {
				const struct nexthop_grp *g = RTA_DATA(a);
				for (unsigned i = 0; i < RTA_PAYLOAD(a) / sizeof(*g) && i < 4; i++)
					used += (size_t)snprintf(more + used, sizeof(more) - used, "%s%u",
						i ? "/" : " group ", g[i].id);
			} else if (a->rta_type == NHA_GATEWAY) {
				char txt[INET6_ADDRSTRLEN];
				addr_text(nh->nh_family, RTA_DATA(a), txt, sizeof(txt));
				snprintf(more + used, sizeof(more) - used, " via %s", txt);
			}
		}
		bool del = h->nlmsg_type == RTM_DELNEXTHOP;
		struct record *r = add(p, t, "nexthop",
			nh->nh_family == AF_INET    ? 4
			: nh->nh_family == AF_INET6 ? 6
						    : 0,
			false);
		snprintf(r->text, sizeof(r->text), "\"id\":%u,\"what\":\"%s%s\"", id, del ? "del" : "new",
			more);
	} else if (h->nlmsg_type == RTM_NEWROUTE || h->nlmsg_type == RTM_DELROUTE) {
		const struct rtmsg *rt = NLMSG_DATA(h);
		if ((rt->rtm_family != AF_INET && rt->rtm_family != AF_INET6) ||
			rt->rtm_table == RT_TABLE_LOCAL)
			return;
		char dst[INET6_ADDRSTRLEN], gw[INET6_ADDRSTRLEN] = "";
		unsigned nhid = 0;
		uint8_t zero[16] = {0};
		addr_text(rt->rtm_family, zero, dst, sizeof(dst));
		int left = (int)(h->nlmsg_len - NLMSG_SPACE(sizeof(*rt)));
		for (const struct rtattr *a = RTM_RTA(rt); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
			if (a->rta_type == RTA_DST)
				addr_text(rt->rtm_family, RTA_DATA(a), dst, sizeof(dst));
			else if (a->rta_type == RTA_GATEWAY)
				addr_text(rt->rtm_family, RTA_DATA(a), gw, sizeof(gw));
			else if (a->rta_type == RTA_NH_ID)
				nhid = *(const uint32_t *)RTA_DATA(a);
		}
		struct record *r = add(p, t, "route", rt->rtm_family == AF_INET ? 4 : 6, false);
		snprintf(r->text, sizeof(r->text),
			"\"what\":\"%s\",\"dst\":\"%s/%u\",\"via\":\"%s\",\"nhid\":%u",
			h->nlmsg_type == RTM_NEWROUTE ? "new" : "del", dst, rt->rtm_dst_len, gw, nhid);
	}
}

static void read_netlink(struct port *p)
{
	static char buf[65536] __attribute__((aligned(8)));
	for (;;) {
		ssize_t n = recv(p->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0) {
			if (errno == ENOBUFS) {
				add(p, clock_ns(CLOCK_MONOTONIC), "lost", 0, false);
				continue;
			}
			return;
		}
		uint64_t t = clock_ns(CLOCK_MONOTONIC);
		unsigned left = (unsigned)n;
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
			see_netlink(p, t, h);
	}
}

/* ---- setting up ---- */

static void enter(const char *netns)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die("enter", netns);
	close(fd);
}

static struct port *new_port(const char *name)
{
	if (nports == MAX_PORTS) {
		fprintf(stderr, "netwatch: more than %d taps\n", MAX_PORTS);
		exit(2);
	}
	struct port *p = &ports[nports++];
	snprintf(p->name, sizeof(p->name), "%s", name);
	return p;
}

static void attach_filter(int fd)
{
	/* UDP to 3784; TCP from or to 179; the probe's port unless outgoing. Frames are untagged
	 * Ethernet. */
	enum { DROP = 24, ACCEPT = 25 };
	struct sock_filter code[] = {
		/*  0 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		/*  1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 1, 0),
		/*  2 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 10, DROP - 3),
		/* IPv4 */
		/*  3 */ BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14),
		/*  4 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),
		/*  5 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 5, 0),
		/*  6 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, DROP - 7),
		/*  7 */ BPF_STMT(BPF_LD | BPF_H | BPF_IND, 14),
		/*  8 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 179, ACCEPT - 9, 0),
		/*  9 */ BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16),
		/* 10 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 179, ACCEPT - 11, DROP - 11),
		/* 11 */ BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16),
		/* 12 */ BPF_STMT(BPF_JMP | BPF_JA, 6), /* to 19 */
							/* IPv6 */
		/* 13 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20),
		/* 14 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 3, 0),
		/* 15 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, DROP - 16),
		/* 16 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 54),
		/* 17 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 179, ACCEPT - 18, 0),
		/* 18 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 56),
		/* a port number is in A: for TCP only 179 is left to try, which UDP never uses here */
		/* 19 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 179, ACCEPT - 20, 0),
		/* 20 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 3784, ACCEPT - 21, 0),
		/* 21 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, probe_port, 0, DROP - 22),
		/* 22 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		/* 23 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
		/* 24 */ BPF_STMT(BPF_RET | BPF_K, 0),
		/* 25 */ BPF_STMT(BPF_RET | BPF_K, 2048),
	};
	struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0)
		die("attach", "packet filter");
}

static void open_tap(const char *spec, bool far)
{
	char netns[256];
	const char *colon = strrchr(spec, ':');
	if (!colon || (size_t)(colon - spec) >= sizeof(netns)) {
		errno = EINVAL;
		die("tap", spec);
	}
	memcpy(netns, spec, (size_t)(colon - spec));
	netns[colon - spec] = 0;
	enter(netns);
	struct port *p = new_port(colon + 1);
	p->far = far;
	p->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		die("open tap", spec);
	attach_filter(p->fd);
	int on = 1, size = 8 << 20;
	setsockopt(p->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(p->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	struct sockaddr_ll ll = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(colon + 1)};
	if (ll.sll_ifindex == 0 || bind(p->fd, (struct sockaddr *)&ll, sizeof(ll)) < 0)
		die("tap", spec);
}

static void open_netlink(const char *spec)
{
	char name[40];
	const char *eq = strchr(spec, '=');
	if (!eq || (size_t)(eq - spec) >= sizeof(name)) {
		errno = EINVAL;
		die("namespace", spec);
	}
	memcpy(name, spec, (size_t)(eq - spec));
	name[eq - spec] = 0;
	enter(eq + 1);
	struct port *p = new_port(name);
	p->netlink = true;
	p->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK};
	if (p->fd < 0 || bind(p->fd, (struct sockaddr *)&nl, sizeof(nl)) < 0)
		die("netlink", spec);
	static const int groups[] = {RTNLGRP_NEXTHOP, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};
	for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (setsockopt(p->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i])) < 0)
			die("netlink group", spec);
	int size = 16 << 20;
	setsockopt(p->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
}

static void dump(uint64_t from, uint64_t to)
{
	uint64_t i = written > RING ? written - RING : 0;
	for (; i < written; i++) {
		const struct record *r = &ring[i % RING];
		if (r->t < from || r->t > to)
			continue;
		printf("{\"t\":%" PRIu64 ",\"kind\":\"%s\",\"at\":\"%s\",\"dir\":\"%s\",\"family\":%u%s%s}\n",
			r->t, r->kind, ports[r->port].name, r->out ? "out" : "in", r->family,
			*r->text ? "," : "", r->text);
	}
	printf("end\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int opt;
	ring = calloc(RING, sizeof(*ring));
	if (!ring)
		die("memory for", "the ring");
	while ((opt = getopt(argc, argv, "t:f:n:p:")) != -1) {
		if (opt == 't' || opt == 'f')
			open_tap(optarg, opt == 'f');
		else if (opt == 'n')
			open_netlink(optarg);
		else if (opt == 'p')
			probe_port = (uint16_t)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	int ep = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < nports; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
		if (epoll_ctl(ep, EPOLL_CTL_ADD, ports[i].fd, &e) < 0)
			die("epoll", ports[i].name);
	}
	struct epoll_event in = {.events = EPOLLIN, .data.u32 = MAX_PORTS};
	if (epoll_ctl(ep, EPOLL_CTL_ADD, STDIN_FILENO, &in) < 0)
		die("epoll", "stdin");
	puts("ready");
	fflush(stdout);
	char line[128];
	size_t have = 0;
	for (;;) {
		struct epoll_event ev[16];
		int n = epoll_wait(ep, ev, 16, -1);
		bool ask = false;
		for (int i = 0; i < n; i++) {
			if (ev[i].data.u32 == MAX_PORTS)
				ask = true;
			else if (ports[ev[i].data.u32].netlink)
				read_netlink(&ports[ev[i].data.u32]);
			else
				read_packets(&ports[ev[i].data.u32]);
		}
		if (!ask)
			continue;
		ssize_t got = read(STDIN_FILENO, line + have, sizeof(line) - 1 - have);
		if (got <= 0)
			return 0;
		have += (size_t)got;
		line[have] = 0;
		char *nl = strchr(line, '\n');
		if (!nl) {
			if (have == sizeof(line) - 1)
				have = 0;
			continue;
		}
		uint64_t from, to;
		if (sscanf(line, "dump %" SCNu64 " %" SCNu64, &from, &to) == 2)
			dump(from, to);
		have = 0;
	}
}
