/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A steady stream of numbered UDP packets, IPv4 and IPv6 side by side, so that
 * the lab can see which way a router forwards at any moment, to the interval
 * between two packets. Each packet is an independent route look-up on the
 * routers on its way; the sender never changes anything.
 *
 *   probe -4 DST4 -6 DST6 -p PORT -r PACKETS_PER_SECOND
 *
 * Payload: "PGPB", sequence number (u32), CLOCK_MONOTONIC ns of the sending (u64), host byte order.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct payload {
	char magic[4];
	uint32_t seq;
	uint64_t ns;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = 1;
}

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to4 = {.sin_family = AF_INET};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
	int fd4 = -1, fd6 = -1, opt;
	unsigned port = 33333, rate = 1000;

	while ((opt = getopt(argc, argv, "4:6:p:r:")) != -1) {
		switch (opt) {
		case '4':
			fd4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
			if (fd4 < 0 || inet_pton(AF_INET, optarg, &to4.sin_addr) != 1)
				goto usage;
			break;
		case '6':
			fd6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
			if (fd6 < 0 || inet_pton(AF_INET6, optarg, &to6.sin6_addr) != 1)
				goto usage;
			break;
		case 'p': port = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'r': rate = (unsigned)strtoul(optarg, NULL, 10); break;
		default: goto usage;
		}
	}
	if ((fd4 < 0 && fd6 < 0) || rate == 0 || rate > 100000 || port == 0 || port > 65535)
		goto usage;
	to4.sin_port = htons((uint16_t)port);
	to6.sin6_port = htons((uint16_t)port);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);

	struct payload p = {.magic = "PGPB"};
	uint64_t step = 1000000000u / rate, next = now_ns();
	while (!stop) {
		p.ns = now_ns();
		/* Unconnected on purpose: a connected socket would cache the route. Errors (no route, ICMP)
		 * are what is being measured elsewhere. */
		if (fd4 >= 0)
			(void)!sendto(fd4, &p, sizeof(p), MSG_DONTWAIT, (struct sockaddr *)&to4, sizeof(to4));
		if (fd6 >= 0)
			(void)!sendto(fd6, &p, sizeof(p), MSG_DONTWAIT, (struct sockaddr *)&to6, sizeof(to6));
		p.seq++;
		next += step;
		if (p.ns > next + 50000000u) /* far behind: the machine was away; do not send a burst */
			next = p.ns + step;
		struct timespec ts = {
			.tv_sec = (time_t)(next / 1000000000u), .tv_nsec = (long)(next % 1000000000u)};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	}
	return 0;
usage:
	fprintf(stderr, "usage: probe [-4 DST4] [-6 DST6] [-p PORT] [-r PACKETS_PER_SECOND]\n");
	return 2;
}
