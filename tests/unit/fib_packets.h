/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the kernel really sends a packet: one is sent to an address, and seen at the far end of a0 or b0,
 * with the hardware address of the next hop that it was meant for. `ip route get` says what the table says;
 * this, what leaves.
 */
#pragma once
#include "shared/addr.h"
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKETS_PORT 33333

struct packets {
	int out4, out6, in[2]; /* in: at a1, b1 */
};

static inline int packets_in(const char *name)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));

	if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline void packets_open(struct packets *p)
{
	p->out4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	p->out6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	p->in[0] = packets_in("a1");
	p->in[1] = packets_in("b1");
}

static inline void packets_close(struct packets *p)
{
	close(p->out4);
	close(p->out6);
	close(p->in[0]);
	close(p->in[1]);
}

static inline bool packets_is(const uint8_t *f, ssize_t n, const struct ipaddr *dst)
{
	bool v4 = ipaddr_is_v4(dst);
	const uint8_t *udp = f + 14 + (v4 ? 20 : 40);

	if (n < 14 + 48 - 4 * v4 || f[12] != (v4 ? 0x08 : 0x86) || f[v4 ? 23 : 20] != IPPROTO_UDP)
		return false;
	return udp[2] == PACKETS_PORT >> 8 && udp[3] == (PACKETS_PORT & 255) &&
	       (v4 ? !memcmp(f + 30, &dst->w[3], 4) : !memcmp(f + 38, dst->b, 16));
}

/* The last two bytes of the next hop's hardware address, 0x10000 more when it came out of b0. Negative: it
 * did not come out of either within 20 ms. */
static inline int packets_seen(struct packets *p, const struct ipaddr *dst)
{
	struct pollfd ready[2] = {{p->in[0], POLLIN, 0}, {p->in[1], POLLIN, 0}};
	uint8_t frame[128];
	ssize_t n;

	for (int tries = 0; tries < 20; tries++) {
		for (int i = 0; i < 2; i++)
			while ((n = recv(p->in[i], frame, sizeof(frame), 0)) > 0)
				if (packets_is(frame, n, dst))
					return i << 16 | frame[4] << 8 | frame[5];
		poll(ready, 2, 1);
	}
	return -1;
}

/* The same of one that is sent now. */
static inline int packets_way(struct packets *p, const struct ipaddr *dst)
{
	uint8_t text[20] = "where does this go?";
	ssize_t n;

	if (ipaddr_is_v4(dst)) {
		struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PACKETS_PORT)};
		memcpy(&to.sin_addr, &dst->w[3], 4);
		n = sendto(p->out4, text, sizeof(text), 0, (struct sockaddr *)&to, sizeof(to));
	} else {
		struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(PACKETS_PORT)};
		memcpy(&to.sin6_addr, dst->b, 16);
		n = sendto(p->out6, text, sizeof(text), 0, (struct sockaddr *)&to, sizeof(to));
	}
	return n < 0 ? -1 : packets_seen(p, dst);
}
