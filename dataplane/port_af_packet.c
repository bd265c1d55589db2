/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AF_PACKET: works on every interface, costs a system call and a copy for each
 * packet. It is a tap, not a divert: the kernel sees the packets too and would
 * answer "port unreachable" on behalf of a port nobody listens on, so sockets
 * that drop everything are bound to the BFD ports of the interface. A classic
 * BPF filter keeps all other traffic out of our rings.
 */
#include "bfd/session.h"
#include "dataplane/port.h"
#include "shared/log.h"
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FD_SCAN 4096

static const uint16_t guard_ports[] = {BFD_PORT_CONTROL, BFD_PORT_ECHO, BFD_PORT_MULTIHOP, BFD_PORT_SBFD};

static int prepare(struct port *p, const struct port_open *how)
{
	static const struct port_capability need[] = {
		{CAP_NET_RAW, -1, "CAP_NET_RAW"}, {CAP_NET_ADMIN, -1, "CAP_NET_ADMIN"}};
	int rc = port_need_capabilities(p, need, 2);

	if (rc == 0)
		rc = port_kernel_interface(p);
	if (rc == 0)
		rc = port_lock(p);
	p->ndevs = 1;
	p->nqueues = p->spec.queues ? p->spec.queues : 1;
	p->partial_csum = true;
	return rc;
}

static int arguments(struct port *p, const struct port_open *how, unsigned dev, char *args, size_t size)
{
	snprintf(p->devname[dev], sizeof(p->devname[dev]), "net_af_packet%u_%u", p->index, p->opened);
	snprintf(args, size, "iface=%s,qpairs=%u,qdisc_bypass=1,framesz=2048,blocksz=65536,framecnt=2048",
		p->spec.target, p->nqueues);
	return 0;
}

/* UDP to a BFD port, whole, without options, and not what this host itself sends. */
static int attach_filter(int fd)
{
	enum { DROP = 24, TAKE = 25 };
#define JUMP(at, op, k, yes, no) BPF_JUMP(BPF_JMP | (op) | BPF_K, k, (yes) - (at)-1, (no) - (at)-1)
	struct sock_filter code[] = {
		/* 0 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		/* 1 */ JUMP(1, BPF_JEQ, PACKET_HOST, 2, DROP),
		/* 2 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		/* 3 */ JUMP(3, BPF_JEQ, ETH_P_IP, 4, 14),
		/* 4 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14),
		/* 5 */ JUMP(5, BPF_JEQ, 0x45, 6, DROP),
		/* 6 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 20),
		/* 7 */ JUMP(7, BPF_JSET, 0x3fff, DROP, 8),
		/* 8 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),
		/* 9 */ JUMP(9, BPF_JEQ, IPPROTO_UDP, 10, DROP),
		/* 10 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 34),
		/* 11 */ JUMP(11, BPF_JEQ, BFD_PORT_SBFD, TAKE, 12),
		/* 12 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 36),
		/* 13 */ BPF_STMT(BPF_JMP | BPF_JA, 20 - 13 - 1),
		/* 14 */ JUMP(14, BPF_JEQ, ETH_P_IPV6, 15, DROP),
		/* 15 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20),
		/* 16 */ JUMP(16, BPF_JEQ, IPPROTO_UDP, 17, DROP),
		/* 17 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 54),
		/* 18 */ JUMP(18, BPF_JEQ, BFD_PORT_SBFD, TAKE, 19),
		/* 19 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 56),
		/* 20 */ JUMP(20, BPF_JEQ, BFD_PORT_CONTROL, TAKE, 21),
		/* 21 */ JUMP(21, BPF_JEQ, BFD_PORT_ECHO, TAKE, 22),
		/* 22 */ JUMP(22, BPF_JEQ, BFD_PORT_MULTIHOP, TAKE, 23),
		/* 23 */ JUMP(23, BPF_JEQ, BFD_PORT_SBFD, TAKE, DROP),
		/* 24 */ BPF_STMT(BPF_RET | BPF_K, 0),
		/* 25 */ BPF_STMT(BPF_RET | BPF_K, 0xffff),
	};
#undef JUMP
	struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) ? -errno : 0;
}

static int drop_everything(int fd)
{
	struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
	struct sock_fprog prog = {.len = 1, .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) ? -errno : 0;
}

/* The driver keeps its sockets to itself: ours are those bound to the interface, in the order of the queues.
 * The one that is bound to nothing is its control socket, which would otherwise collect a copy of all traffic
 * of the host. */
static int started(struct port *p, unsigned dev)
{
	unsigned q = 0;

	for (int fd = 0; fd < FD_SCAN && q < p->nqueues; fd++) {
		struct sockaddr_ll sll = {0};
		socklen_t len = sizeof(sll), dlen = sizeof(int);
		int domain = 0, rc;

		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &dlen) || domain != AF_PACKET ||
			getsockname(fd, (struct sockaddr *)&sll, &len))
			continue;
		if (sll.sll_ifindex == 0) {
			drop_everything(fd);
			continue;
		}
		if ((uint32_t)sll.sll_ifindex != p->ifindex)
			continue;
		rc = attach_filter(fd);
		if (rc)
			return port_refuse(p, rc, "no filter on its socket: %s", strerror(-rc));
		p->q[q++].fd = fd;
	}
	return q == p->nqueues ? 0 : port_refuse(p, -EIO, "the driver made no packet socket");
}

static int guard(struct port *p, int family, uint16_t port)
{
	struct sockaddr_storage ss;
	struct ipaddr any = family == AF_INET ? ipaddr_v4(0) : (struct ipaddr){0};
	socklen_t len = ipaddr_to_sockaddr(&any, port, 0, &ss);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -errno;
	if (drop_everything(fd) || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
		(family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) ||
		setsockopt(
			fd, SOL_SOCKET, SO_BINDTODEVICE, p->spec.target, (socklen_t)strlen(p->spec.target)) ||
		bind(fd, (struct sockaddr *)&ss, len)) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static int ready(struct port *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 4; i++)
		for (int v6 = 0; v6 < 2; v6++) {
			int fd = guard(p, v6 ? AF_INET6 : AF_INET, guard_ports[i]);

			if (fd >= 0)
				p->guard_fd[n++] = fd;
			else if (fd != -EAFNOSUPPORT)
				log_msg(LOG_CLASS_WARNING,
					"%s: UDP port %u cannot be held in the kernel (%s): it may answer "
					"BFD "
					"packets with port-unreachable",
					p->spec.target, guard_ports[i], strerror(-fd));
		}
	return 0;
}

static void af_packet_close(struct port *p)
{
	for (unsigned i = 0; i < 8; i++) {
		if (p->guard_fd[i] >= 0)
			close(p->guard_fd[i]);
		p->guard_fd[i] = -1;
	}
}

const struct port_driver port_driver_af_packet = {
	.bus = "vdev",
	.prepare = prepare,
	.arguments = arguments,
	.started = started,
	.ready = ready,
	.close = af_packet_close,
};
