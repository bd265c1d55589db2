/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two engines back to back over a link with delay and loss, under a clock that
 * only the test moves. One session on each side unless a test adds more. Every
 * packet passes on_packet, which may look at it, change it or drop it.
 */
#pragma once
#include "bfd/engine.h"
#include "bfd/packet.h"
#include "shared/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIM_CAPACITY 64
#define SIM_QUEUE 4096
#define SIM_SALT 0x12345678u

struct sim;

struct sim_packet {
	uint64_t at;
	uint16_t len;
	uint8_t from;
	bool echo;
	uint8_t bytes[128];
};

struct sim_node {
	struct linkstate ls;
	struct bfd_engine *engine;
	struct ipaddr addr;
	uint32_t generation;
	uint64_t last_tx_ns;
	unsigned sent, received, downs;
	enum bfd_rx_result last_result;
	struct linkstate_reader reader;
	bool frozen; /* neither receives, sweeps nor sends; packets wait */
};

struct sim {
	uint64_t now, step, delay;
	struct sim_node node[2];
	bool cut[2];      /* packets from this node are lost */
	bool echo_cut[2]; /* its echo packets are not forwarded back */
	unsigned echoes[2];
	/* Returns false to drop. payload may be changed. */
	bool (*on_packet)(struct sim *s, unsigned from, uint8_t *payload, uint16_t len);
	void *user;
	unsigned head, tail;
	struct sim_packet queue[SIM_QUEUE];
};

static inline struct bfd_params sim_params(uint32_t tx_us, uint32_t rx_us, uint8_t mult)
{
	struct bfd_params p = {
		.min_tx_us = tx_us,
		.min_rx_us = rx_us,
		.idle_tx_us = 1000000,
		.detect_mult = mult,
		.min_ttl = 255,
	};
	return p;
}

static inline struct bfd_key sim_key(const struct sim *s, unsigned n, unsigned i)
{
	struct bfd_key k = {.local = s->node[n].addr, .remote = s->node[!n].addr, .ifindex = 10 + i};
	return k;
}

static inline uint32_t sim_disc(const struct sim *s, unsigned n, unsigned slot)
{
	return bfd_discriminator_make(SIM_SALT + n * 77777, s->node[n].generation, slot);
}

/* Session i on node n, on "interface" 10 + i. */
static inline void sim_add(struct sim *s, unsigned n, unsigned i, const struct bfd_params *p)
{
	struct bfd_key k = sim_key(s, n, i);

	s->node[n].generation++;
	assert_int_equal(
		bfd_engine_add(s->node[n].engine, i, s->node[n].generation, sim_disc(s, n, i), &k, p, s->now),
		0);
}

static inline void sim_start_node(struct sim *s, unsigned n)
{
	struct bfd_engine_options o = {.capacity = SIM_CAPACITY, .worker = 0, .seed = 7 + n + s->now};

	assert_int_equal(linkstate_create(&s->node[n].ls, SIM_CAPACITY, false), 0);
	s->node[n].engine = bfd_engine_create(&s->node[n].ls, &o);
	assert_non_null(s->node[n].engine);
	linkstate_reader_init(&s->node[n].reader, &s->node[n].ls);
}

static inline struct sim *sim_new(uint64_t start_ns)
{
	struct sim *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->now = start_ns;
	s->step = 50 * NS_PER_US;
	s->delay = 20 * NS_PER_US;
	assert_int_equal(ipaddr_parse("192.0.2.1", &s->node[0].addr), 0);
	assert_int_equal(ipaddr_parse("192.0.2.2", &s->node[1].addr), 0);
	sim_start_node(s, 0);
	sim_start_node(s, 1);
	return s;
}

static inline void sim_stop_node(struct sim *s, unsigned n)
{
	bfd_engine_destroy(s->node[n].engine);
	linkstate_close(&s->node[n].ls);
	s->node[n].engine = NULL;
}

static inline void sim_free(struct sim *s)
{
	for (unsigned n = 0; n < 2; n++)
		if (s->node[n].engine)
			sim_stop_node(s, n);
	free(s);
}

static inline struct linkstate_entry sim_entry(const struct sim *s, unsigned n, unsigned i)
{
	struct linkstate_entry e;

	assert_true(linkstate_read(&s->node[n].ls, i, &e));
	return e;
}

static inline unsigned sim_state(const struct sim *s, unsigned n)
{
	return sim_entry(s, n, 0).state;
}

static inline void sim_deliver(struct sim *s, unsigned to)
{
	for (unsigned q = s->tail; q != s->head; q = (q + 1) % SIM_QUEUE) {
		struct sim_packet *p = &s->queue[q];

		if (!p->len || (p->from == to) != p->echo || p->at > s->now)
			continue;
		struct bfd_rx rx = {
			.payload = p->bytes,
			.len = p->len,
			.dport = BFD_PORT_CONTROL,
			.ifindex = 10, /* set by your_disc or by the only session that needs it */
			.ttl = 255,
			.src = s->node[!to].addr,
			.dst = s->node[to].addr,
		};
		uint32_t slot;
		/* The interface is carried in the byte after the payload. */
		rx.ifindex = 10u + p->bytes[p->len];
		if (p->echo) {
			rx.dport = BFD_PORT_ECHO;
			rx.ttl = 254;
			rx.src = rx.dst;
		}
		s->node[to].last_result = bfd_engine_rx(s->node[to].engine, &rx, s->now, &slot);
		s->node[to].received += s->node[to].last_result == BFD_RX_OK;
		p->len = 0;
	}
	while (s->tail != s->head && !s->queue[s->tail].len)
		s->tail = (s->tail + 1) % SIM_QUEUE;
}

static inline void sim_transmit(struct sim *s, unsigned n)
{
	struct bfd_tx out[16];
	unsigned got;

	do {
		got = bfd_engine_tx(s->node[n].engine, s->now, out, 16);
		for (unsigned i = 0; i < got; i++) {
			struct sim_packet *p = &s->queue[s->head];

			s->node[n].sent++;
			s->node[n].last_tx_ns = s->now;
			assert_true(out[i].len < sizeof(p->bytes));
			memcpy(p->bytes, out[i].payload, out[i].len);
			p->bytes[out[i].len] = (uint8_t)out[i].slot;
			p->len = out[i].len;
			p->from = (uint8_t)n;
			p->at = s->now + s->delay;
			p->echo = out[i].kind == BFD_TX_ECHO;
			if (p->echo) {
				s->echoes[n]++;
				p->at += s->delay;
				if (s->echo_cut[n])
					continue;
			}
			if (!p->echo && s->on_packet && !s->on_packet(s, n, p->bytes, p->len))
				continue;
			if (s->cut[n])
				continue;
			s->head = (s->head + 1) % SIM_QUEUE;
			assert_int_not_equal(s->head, s->tail);
		}
	} while (got == 16);
}

static inline void sim_round(struct sim *s, unsigned n)
{
	if (!s->node[n].engine || s->node[n].frozen)
		return;
	sim_deliver(s, n);
	s->node[n].downs += bfd_engine_sweep(s->node[n].engine, s->now);
	sim_transmit(s, n);
}

static inline void sim_run_us(struct sim *s, uint64_t us)
{
	uint64_t end = s->now + us * NS_PER_US;

	while (s->now < end) {
		s->now += s->step;
		sim_round(s, 0);
		sim_round(s, 1);
	}
}

static inline void sim_run_ms(struct sim *s, uint64_t ms)
{
	sim_run_us(s, ms * 1000);
}

/* Runs until node n's session 0 is in the state; how long that took, in us. Fails after max_ms. */
static inline uint64_t sim_run_until(struct sim *s, unsigned n, unsigned state, uint64_t max_ms)
{
	uint64_t start = s->now;

	while (sim_state(s, n) != state) {
		if (s->now - start > max_ms * NS_PER_MS)
			fail_msg("node %u: %s, not %s after %u ms", n,
				bfd_state_name((uint8_t)sim_state(s, n)), bfd_state_name((uint8_t)state),
				(unsigned)max_ms);
		sim_run_us(s, s->step / NS_PER_US);
	}
	return (s->now - start) / NS_PER_US;
}

/* Both sides up with these parameters, polls done. */
static inline struct sim *sim_up(const struct bfd_params *a, const struct bfd_params *b, uint64_t start_ns)
{
	struct sim *s = sim_new(start_ns);

	sim_add(s, 0, 0, a);
	sim_add(s, 1, 0, b);
	sim_run_until(s, 0, BFD_UP, 100);
	sim_run_until(s, 1, BFD_UP, 100);
	sim_run_ms(s, 1500);
	assert_int_equal(sim_state(s, 0), BFD_UP);
	assert_int_equal(sim_state(s, 1), BFD_UP);
	return s;
}
