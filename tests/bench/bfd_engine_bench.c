/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the engine costs, in cycles of the time stamp counter, without any port:
 *   bfd_engine_bench [sessions]
 * Packets of Up sessions are received in random order in bursts of 32, as a
 * worker does it (with prefetch), the deadline array is swept, packets are
 * sent as the calendar says. The best of several rounds is shown, and the
 * median: on a machine that is shared only the best says something about code.
 */
#include "bfd/auth.h"
#include "bfd/engine.h"
#include "bfd/frame.h"
#include "bfd/packet.h"
#include "shared/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#define ROUNDS 31
#define BURST 32
#define SALT 0x51ed270bu

struct bench {
	uint32_t n;
	uint64_t now;
	struct linkstate ls;
	struct bfd_engine *engine;
	uint8_t (*packets)[64];
	uint16_t len;
	uint32_t *order;
	struct ipaddr remote;
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void report(const char *what, double *v)
{
	qsort(v, ROUNDS, sizeof(*v), compare);
	printf("%-44s %8.2f  median %8.2f\n", what, v[0], v[ROUNDS / 2]);
}

static struct bfd_rx make_rx(const struct bench *b, uint32_t i)
{
	struct bfd_rx rx = {
		.payload = b->packets[i],
		.len = b->len,
		.dport = BFD_PORT_CONTROL,
		.ifindex = i + 1,
		.ttl = 255,
		.src = b->remote,
	};
	return rx;
}

static void bring_up(struct bench *b)
{
	struct bfd_params p = {.min_tx_us = 10000,
		.min_rx_us = 10000,
		.idle_tx_us = 1000000,
		.detect_mult = 3,
		.min_ttl = 255};
	struct bfd_engine_options o = {.capacity = b->n, .seed = 1};

	if (linkstate_create(&b->ls, b->n, false) < 0 || !(b->engine = bfd_engine_create(&b->ls, &o)))
		exit(1);
	for (uint32_t i = 0; i < b->n; i++) {
		uint32_t disc = bfd_discriminator_make(SALT, 1, i), slot;
		struct bfd_key k = {.remote = b->remote, .ifindex = i + 1};
		struct bfd_packet pkt = {
			.state = BFD_DOWN,
			.detect_mult = 3,
			.my_disc = i + 1,
			.min_tx_us = 10000,
			.min_rx_us = 10000,
		};
		if (bfd_engine_add(b->engine, i, 1, disc, &k, &p, b->now) < 0)
			exit(1);
		b->len = BFD_PACKET_LEN;
		bfd_packet_build(&pkt, b->packets[i]);
		struct bfd_rx rx = make_rx(b, i);
		bfd_engine_rx(b->engine, &rx, b->now += 60000, &slot);
		pkt.your_disc = disc;
		pkt.state = BFD_UP;
		bfd_packet_build(&pkt, b->packets[i]);
		for (int twice = 0; twice < 2; twice++)
			if (bfd_engine_rx(b->engine, &rx, b->now, &slot) != BFD_RX_OK)
				exit(1);
		b->order[i] = i;
	}
	for (uint32_t i = b->n - 1; i > 0; i--) {
		uint32_t j = (uint32_t)rand() % (i + 1), t = b->order[i];
		b->order[i] = b->order[j];
		b->order[j] = t;
	}
}

static void bench_rx(struct bench *b, const char *what)
{
	double v[ROUNDS];
	struct bfd_rx *rx = malloc(b->n * sizeof(*rx));
	uint32_t slot, ok = 0;

	for (uint32_t i = 0; i < b->n; i++)
		rx[i] = make_rx(b, b->order[i]);
	for (int r = 0; r < ROUNDS; r++) {
		b->now += 9 * NS_PER_MS;
		uint64_t start = __rdtsc();
		for (uint32_t i = 0; i < b->n; i += BURST) {
			uint32_t end = i + BURST < b->n ? i + BURST : b->n;
			for (uint32_t j = i; j < end; j++)
				bfd_engine_rx_prefetch(b->engine, rx[j].payload);
			for (uint32_t j = i; j < end; j++)
				ok += bfd_engine_rx(b->engine, &rx[j], b->now, &slot) == BFD_RX_OK;
		}
		v[r] = (double)(__rdtsc() - start) / b->n;
	}
	if (ok != b->n * ROUNDS)
		exit(1);
	free(rx);
	report(what, v);
}

static void bench_rx_one(struct bench *b)
{
	double v[ROUNDS];
	struct bfd_rx rx = make_rx(b, 0);
	uint32_t slot;

	for (int r = 0; r < ROUNDS; r++) {
		uint64_t start = __rdtsc();
		for (uint32_t i = 0; i < 10000; i++)
			bfd_engine_rx(b->engine, &rx, b->now + i, &slot);
		v[r] = (double)(__rdtsc() - start) / 10000;
	}
	report("rx, one session, cycles a packet", v);
}

static void bench_sweep(struct bench *b)
{
	double v[ROUNDS];

	for (int r = 0; r < ROUNDS; r++) {
		b->now += 50 * NS_PER_US; /* below the maintenance step: the bare sweep, most times */
		uint64_t start = __rdtsc();
		for (int i = 0; i < 10; i++)
			bfd_engine_sweep(b->engine, b->now);
		v[r] = (double)(__rdtsc() - start) / 10 / b->n;
	}
	report("sweep, cycles a session", v);
}

static void keep_alive(struct bench *b)
{
	uint32_t slot;

	for (uint32_t i = 0; i < b->n; i++) {
		struct bfd_rx rx = make_rx(b, i);
		bfd_engine_rx(b->engine, &rx, b->now, &slot);
	}
}

/* 100 ms of sending at the engine's own pace, in steps of 50 us, with and without making frames. */
static void bench_tx(struct bench *b, bool frames)
{
	struct bfd_frame_addr a = {
		.sport = 50000, .dport = BFD_PORT_CONTROL, .ttl = 255, .src = b->remote, .dst = b->remote};
	struct bfd_frame *frame = calloc(b->n, sizeof(*frame));
	struct bfd_tx out[BURST];
	uint8_t wire[256];
	double v[ROUNDS];

	for (uint32_t i = 0; i < b->n; i++)
		bfd_frame_init(&frame[i], &a);
	for (int r = 0; r < ROUNDS; r++) {
		uint64_t cycles = 0, sent = 0;
		for (int step = 0; step < 2000; step++) {
			unsigned n;
			b->now += 50 * NS_PER_US;
			uint64_t start = __rdtsc();
			while ((n = bfd_engine_tx(b->engine, b->now, out, BURST)) > 0) {
				for (unsigned i = 0; frames && i < n; i++) {
					bfd_frame_write(
						&frame[out[i].slot], out[i].payload, out[i].len, wire);
					__asm__ volatile("" : : "r"(wire) : "memory");
				}
				sent += n;
			}
			cycles += __rdtsc() - start;
		}
		keep_alive(b);
		v[r] = sent ? (double)cycles / (double)sent : 0;
	}
	free(frame);
	report(frames ? "tx with frame, cycles a packet" : "tx, cycles a packet", v);
}

static void bench_refused(struct bench *b)
{
	double v[ROUNDS];
	struct bfd_rx rx = make_rx(b, 0);
	uint8_t bad[BFD_PACKET_LEN];
	uint32_t slot;

	memcpy(bad, rx.payload, sizeof(bad));
	rx.payload = bad;
	for (int kind = 0; kind < 3; kind++) {
		rx.ttl = kind == 0 ? 254 : 255;
		if (kind == 1)
			bad[8] ^= 0x80; /* another generation */
		if (kind == 2) {
			bad[1] = BFD_DOWN << 6;
			memset(bad + 8, 0, 4);
			rx.ifindex = b->n + 7;
		}
		for (int r = 0; r < ROUNDS; r++) {
			uint64_t start = __rdtsc();
			for (uint32_t i = 0; i < 10000; i++)
				bfd_engine_rx(b->engine, &rx, b->now + i, &slot);
			v[r] = (double)(__rdtsc() - start) / 10000;
		}
		report(kind == 0    ? "rx refused by TTL, cycles a packet"
			: kind == 1 ? "rx of an unknown discriminator"
				    : "rx by address, unknown, limited",
			v);
	}
}

static void bench_auth(void)
{
	static const char *const names[] = {
		"", "simple password", "keyed MD5", "meticulous MD5", "keyed SHA1", "meticulous SHA1"};
	double sign[ROUNDS], verify[ROUNDS];
	char what[64];

	for (uint8_t type = BFD_AUTH_SIMPLE; type <= BFD_AUTH_METICULOUS_SHA1; type++) {
		struct bfd_params p = {.auth_type = type};
		struct bfd_packet pkt = {.state = BFD_UP, .detect_mult = 3, .my_disc = 1, .your_disc = 2};
		uint8_t b[BFD_PACKET_MAX];
		unsigned len = 0;

		p.auth[0] = (struct bfd_auth_key){
			.id = 1, .len = 6, .secret = "secret", .send = true, .accept = true};
		for (int r = 0; r < ROUNDS; r++) {
			uint64_t start = __rdtsc();
			for (uint32_t i = 0; i < 1000; i++) {
				bfd_packet_build(&pkt, b);
				len = bfd_auth_sign(&p, i, b);
			}
			sign[r] = (double)(__rdtsc() - start) / 1000;
			bfd_packet_parse(b, len, &pkt);
			start = __rdtsc();
			for (uint32_t i = 0; i < 1000; i++) {
				struct bfd_auth_rx st = {0};
				if (bfd_auth_verify(&p, b, &pkt, &st) < 0)
					exit(1);
			}
			verify[r] = (double)(__rdtsc() - start) / 1000;
			pkt.flags = 0;
			pkt.length = 0;
		}
		snprintf(what, sizeof(what), "%s: build and sign", names[type]);
		report(what, sign);
		snprintf(what, sizeof(what), "%s: verify", names[type]);
		report(what, verify);
	}
}

/* The worst sweep: everybody is late at once, is declared Down, published, and told to the remote. */
static void bench_mass_down(struct bench *b)
{
	struct bfd_tx out[BURST];
	uint64_t start, down = 0, sent = 0;
	unsigned n;

	keep_alive(b);
	b->now += 100 * NS_PER_MS;
	start = __rdtsc();
	down = bfd_engine_sweep(b->engine, b->now);
	printf("%-44s %8.2f\n", "mass failure: cycles a session Down",
		(double)(__rdtsc() - start) / (double)down);
	start = __rdtsc();
	while ((n = bfd_engine_tx(b->engine, b->now, out, BURST)) > 0)
		sent += n;
	printf("%-44s %8.2f\n", "mass failure: cycles a packet sent",
		(double)(__rdtsc() - start) / (double)sent);
}

int main(int argc, char **argv)
{
	struct bench b = {.n = argc > 1 ? (uint32_t)atoi(argv[1]) : 10000, .now = 1000 * NS_PER_S};

	b.remote = ipaddr_v4(htonl(0xc0000202));
	b.packets = calloc(b.n, sizeof(*b.packets));
	b.order = calloc(b.n, sizeof(*b.order));
	if (!b.n || !b.packets || !b.order)
		return 1;
	bring_up(&b);
	printf("%u sessions, 10 ms x 3%35s\n", b.n, "best");
	bench_rx(&b, "rx, random order, bursts of 32");
	bench_rx_one(&b);
	bench_sweep(&b);
	bench_tx(&b, false);
	bench_tx(&b, true);
	bench_refused(&b);
	bench_mass_down(&b);
	bench_auth();
	return 0;
}
