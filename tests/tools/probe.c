/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A steady stream of numbered UDP packets, IPv4 and IPv6 side by side, so that
 * the lab can see which way a router forwards at any moment, to the interval
 * between two packets. Each packet is an independent route look-up on the
 * routers on its way; the sender never changes anything.
 *
 *   probe -4 DST4 -6 DST6 -p PORT -r PACKETS_PER_SECOND
 *
 * More than 10,000 a second go out in bursts, each 0.1 ms, with one call for a burst: the loss is then known
 * to a burst. At the end it prints how many were sent, as JSON.
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

#define BURSTS_A_SECOND 10000u
#define BURST_MAX 100u

struct stream {
	int fd;
	void *to;
	socklen_t to_len;
	struct payload payload[BURST_MAX];
};

/* Unconnected on purpose: a connected socket would cache the route. Errors (no route, ICMP) are what is being
 * measured elsewhere; a packet that was refused was not sent. */
static unsigned send_burst(struct stream *s, uint32_t seq, unsigned n, uint64_t now)
{
	struct mmsghdr m[BURST_MAX];
	struct iovec iov[BURST_MAX];
	unsigned sent = 0;

	for (unsigned i = 0; i < n; i++) {
		s->payload[i] = (struct payload){.magic = "PGPB", .seq = seq + i, .ns = now};
		iov[i] = (struct iovec){&s->payload[i], sizeof(s->payload[i])};
		m[i] = (struct mmsghdr){.msg_hdr = {.msg_name = s->to,
						.msg_namelen = s->to_len,
						.msg_iov = &iov[i],
						.msg_iovlen = 1}};
	}
	for (unsigned done = 0; done < n;) {
		int rc = sendmmsg(s->fd, m + done, n - done, MSG_DONTWAIT);
		if (rc > 0)
			sent += (unsigned)rc;
		done += rc > 0 ? (unsigned)rc : 1;
	}
	return sent;
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
	if ((fd4 < 0 && fd6 < 0) || rate == 0 || rate > BURSTS_A_SECOND * BURST_MAX || port == 0 ||
		port > 65535)
		goto usage;
	to4.sin_port = htons((uint16_t)port);
	to6.sin6_port = htons((uint16_t)port);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);

	struct stream stream[2] = {{.fd = fd4, .to = &to4, .to_len = sizeof(to4)},
		{.fd = fd6, .to = &to6, .to_len = sizeof(to6)}};
	unsigned burst = (rate + BURSTS_A_SECOND - 1) / BURSTS_A_SECOND;
	uint64_t step = 1000000000u / rate * burst, next = now_ns(), begin = next, sent = 0;
	uint32_t seq = 0;
	while (!stop) {
		uint64_t now = now_ns();
		for (unsigned i = 0; i < 2; i++)
			if (stream[i].fd >= 0)
				sent += send_burst(&stream[i], seq, burst, now);
		seq += burst;
		next += step;
		if (now > next + 50000000u) /* far behind: the machine was away; do not catch up */
			next = now + step;
		struct timespec ts = {
			.tv_sec = (time_t)(next / 1000000000u), .tv_nsec = (long)(next % 1000000000u)};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	}
	printf("{\"sent\": %llu, \"seconds\": %.6f}\n", (unsigned long long)sent,
		(double)(now_ns() - begin) / 1e9);
	return 0;
usage:
	fprintf(stderr, "usage: probe [-4 DST4] [-6 DST6] [-p PORT] [-r PACKETS_PER_SECOND]\n");
	return 2;
}
