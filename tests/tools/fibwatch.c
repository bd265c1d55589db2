/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks the kernel of this network namespace where it would send packets, until it gives the wanted answer for
 * all of a sample of prefixes.
 *
 *   fibwatch -4|-6 -n PREFIXES [-s SAMPLES] [-d INTERFACE | -g GATEWAY | -x] [-i MICROSECONDS] [-t SECONDS]
 *
 *   -d  the wanted answer: out by this interface;  -g  to this gateway;  -x  no route
 *   -i  pause between two rounds over what is not right yet
 *
 * Prefix i of n is 20.0.0.0 + i * 256 /24, or 2400:0:0::/48 with i in bits 16 to 47. The sample has the
 * first, the last, and the rest evenly between. Prints "ready" after a first round, then one JSON object:
 * CLOCK_MONOTONIC ns at which the first, the median and the last of the sample was found right, and how many
 * asks that took. Exit status 1: not all within the time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static bool v6, absent;
static unsigned interface;
static uint8_t gateway[16];
static bool by_gateway;

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void address_of(uint32_t i, uint8_t a[16])
{
	memset(a, 0, 16);
	if (v6) {
		a[0] = 0x24;
		a[2] = (uint8_t)(i >> 24), a[3] = (uint8_t)(i >> 16), a[4] = (uint8_t)(i >> 8),
		a[5] = (uint8_t)i;
		a[15] = 1;
	} else {
		uint32_t v4 = htonl(0x14000001u + (i << 8));
		memcpy(a, &v4, 4);
	}
}

static bool right(int fd, uint32_t i)
{
	struct {
		struct nlmsghdr n;
		struct rtmsg r;
		struct rtattr a;
		uint8_t addr[16];
	} q = {.n = {.nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST},
		.r = {.rtm_family = v6 ? AF_INET6 : AF_INET, .rtm_dst_len = v6 ? 128 : 32}};
	size_t size = v6 ? 16 : 4;
	_Alignas(8) char reply[8192];

	q.a.rta_type = RTA_DST;
	q.a.rta_len = (unsigned short)RTA_LENGTH(size);
	address_of(i, q.addr);
	q.n.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof(q.r)) + q.a.rta_len);
	if (send(fd, &q, q.n.nlmsg_len, 0) < 0)
		return false;
	ssize_t n = recv(fd, reply, sizeof(reply), 0);
	const struct nlmsghdr *h = (const struct nlmsghdr *)reply;
	if (n < 0 || !NLMSG_OK(h, n))
		return false;
	if (h->nlmsg_type == NLMSG_ERROR)
		return absent;
	const struct rtmsg *r = NLMSG_DATA(h);
	int left = (int)RTM_PAYLOAD(h);
	if (absent)
		return r->rtm_type != RTN_UNICAST;
	for (const struct rtattr *a = RTM_RTA(r); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (by_gateway && a->rta_type == RTA_GATEWAY)
			return RTA_PAYLOAD(a) == size && !memcmp(RTA_DATA(a), gateway, size);
		if (!by_gateway && a->rta_type == RTA_OIF)
			return *(const unsigned *)RTA_DATA(a) == interface;
	}
	return false;
}

int main(int argc, char **argv)
{
	uint32_t total = 0, samples = 64, waiting, n = 0;
	uint64_t *found, asks = 0, end;
	unsigned pause_us = 0, seconds = 60;
	uint32_t *index;
	int opt, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	while ((opt = getopt(argc, argv, "46n:s:d:g:xi:t:")) != -1) {
		switch (opt) {
		case '4': v6 = false; break;
		case '6': v6 = true; break;
		case 'n': total = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 's': samples = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'd': interface = if_nametoindex(optarg); break;
		case 'g':
			by_gateway =
				inet_pton(strchr(optarg, ':') ? AF_INET6 : AF_INET, optarg, gateway) == 1;
			break;
		case 'x': absent = true; break;
		case 'i': pause_us = (unsigned)strtoul(optarg, NULL, 10); break;
		case 't': seconds = (unsigned)strtoul(optarg, NULL, 10); break;
		default: return 2;
		}
	}
	if (fd < 0 || !total || !samples || absent + by_gateway + (interface != 0) != 1) {
		fprintf(stderr, "usage: fibwatch -4|-6 -n PREFIXES [-s SAMPLES] -d INTERFACE|-g GATEWAY|-x "
				"[-i US] [-t S]\n");
		return 2;
	}
	if (samples > total)
		samples = total;
	index = calloc(samples, sizeof(*index));
	found = calloc(samples, sizeof(*found));
	for (uint32_t i = 0; i < samples; i++)
		index[i] = samples > 1 ? (uint32_t)((uint64_t)i * (total - 1) / (samples - 1)) : 0;
	waiting = samples;
	end = now_ns() + (uint64_t)seconds * 1000000000u;
	for (bool first = true; waiting && now_ns() < end; first = false) {
		for (uint32_t i = 0; i < waiting;) {
			bool ok = right(fd, index[i]);
			asks++;
			if (!ok) {
				i++;
				continue;
			}
			found[n++] = now_ns();
			index[i] = index[--waiting];
		}
		if (first) {
			printf("ready\n");
			fflush(stdout);
		}
		if (pause_us && waiting)
			usleep(pause_us);
	}
	if (n)
		printf("{\"first\": %llu, \"median\": %llu, \"last\": %llu, \"right\": %u, \"samples\": %u, "
		       "\"asks\": %llu}\n",
			(unsigned long long)found[0], (unsigned long long)found[n / 2],
			(unsigned long long)found[n - 1], n, samples, (unsigned long long)asks);
	else
		printf("{\"right\": 0, \"samples\": %u, \"asks\": %llu}\n", samples,
			(unsigned long long)asks);
	return waiting ? 1 : 0;
}
