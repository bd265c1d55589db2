/* SPDX-License-Identifier: BSD-2-Clause */
/* The state machine against a table written from RFC 5880 section 6.8.6, first as a function, then through
 * the engine. */
#include "bfd/fsm.h"
#include "tests/unit/bfd_sim.h"

#define START (9 * NS_PER_S)
#define STAY 0xff

/* [local state][received state]: new state and bfd.LocalDiag, or STAY. */
static const struct {
	uint8_t state, diag;
} table[4][4] = {
	[BFD_ADMIN_DOWN] = {{STAY, 0}, {STAY, 0}, {STAY, 0}, {STAY, 0}}, /* "Discard the packet" */
	[BFD_DOWN] = {[BFD_ADMIN_DOWN] = {STAY, 0},
		[BFD_DOWN] = {BFD_INIT, BFD_DIAG_NONE},
		[BFD_INIT] = {BFD_UP, BFD_DIAG_NONE},
		[BFD_UP] = {STAY, 0}},
	[BFD_INIT] = {[BFD_ADMIN_DOWN] = {BFD_DOWN, BFD_DIAG_NEIGHBOR_DOWN},
		[BFD_DOWN] = {STAY, 0},
		[BFD_INIT] = {BFD_UP, BFD_DIAG_NONE},
		[BFD_UP] = {BFD_UP, BFD_DIAG_NONE}},
	[BFD_UP] = {[BFD_ADMIN_DOWN] = {BFD_DOWN, BFD_DIAG_NEIGHBOR_DOWN},
		[BFD_DOWN] = {BFD_DOWN, BFD_DIAG_NEIGHBOR_DOWN},
		[BFD_INIT] = {STAY, 0},
		[BFD_UP] = {STAY, 0}},
};

static void test_table(void **state)
{
	for (uint8_t local = 0; local < 4; local++)
		for (uint8_t got = 0; got < 4; got++) {
			struct bfd_transition t = bfd_fsm_receive(local, got);
			bool stays = table[local][got].state == STAY;
			assert_int_equal(t.changed, !stays);
			assert_int_equal(t.state, stays ? local : table[local][got].state);
			if (!stays)
				assert_int_equal(t.diag, table[local][got].diag);
		}
}

#define REMOTE_DISC 0xabcd0001u

static enum bfd_rx_result feed(struct sim *s, struct bfd_packet p, uint8_t ttl)
{
	uint8_t b[BFD_PACKET_LEN];
	struct bfd_rx rx = {
		.payload = b, .len = sizeof(b), .dport = BFD_PORT_CONTROL, .ifindex = 10, .ttl = ttl};
	uint32_t slot;

	bfd_packet_build(&p, b);
	rx.src = s->node[1].addr;
	rx.dst = s->node[0].addr;
	s->now += 1000;
	return bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot);
}

static struct bfd_packet packet(const struct sim *s, uint8_t state, bool your)
{
	struct bfd_packet p = {
		.state = state,
		.detect_mult = 3,
		.my_disc = REMOTE_DISC,
		.your_disc = your ? sim_disc(s, 0, 0) : 0,
		.min_tx_us = 1000000,
		.min_rx_us = 10000,
	};
	return p;
}

/* A session of node 0 brought into a state with hand-made packets. */
static struct sim *in_state(uint8_t wanted)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_new(START);

	p.admin_down = wanted == BFD_ADMIN_DOWN;
	sim_add(s, 0, 0, &p);
	if (wanted == BFD_INIT || wanted == BFD_UP)
		assert_int_equal(feed(s, packet(s, BFD_DOWN, false), 255), BFD_RX_OK);
	if (wanted == BFD_UP)
		assert_int_equal(feed(s, packet(s, BFD_INIT, true), 255), BFD_RX_OK);
	assert_int_equal(sim_state(s, 0), wanted);
	return s;
}

/* What the next packet sent looks like. */
static struct bfd_packet next_packet(struct sim *s)
{
	struct bfd_tx out;
	struct bfd_packet p;

	assert_int_equal(bfd_engine_tx(s->node[0].engine, s->now, &out, 1), 1);
	assert_int_equal(bfd_packet_parse(out.payload, out.len, &p), 0);
	return p;
}

static void test_engine_follows_table(void **state)
{
	for (uint8_t local = 0; local < 4; local++)
		for (uint8_t got = 0; got < 4; got++)
			for (int your = 0; your < 2; your++) {
				struct sim *s = in_state(local);
				uint8_t diag = sim_entry(s, 0, 0).diag, want = table[local][got].state;
				enum bfd_rx_result r = feed(s, packet(s, got, your), 255);
				struct linkstate_entry e = sim_entry(s, 0, 0);

				if (!your && (got == BFD_INIT || got == BFD_UP)) {
					assert_int_equal(r, BFD_RX_INVALID);
					want = STAY;
				} else {
					assert_int_equal(
						r, local == BFD_ADMIN_DOWN ? BFD_RX_REFUSED : BFD_RX_OK);
					assert_int_equal(e.remote_state, got);
					assert_int_equal(e.remote_disc, REMOTE_DISC);
				}
				assert_int_equal(e.state, want == STAY ? local : want);
				assert_int_equal(e.diag, want == STAY ? diag : table[local][got].diag);
				if (want != STAY) {
					/* Told at once, and with the discriminator that was just learnt. */
					struct bfd_packet p = next_packet(s);
					assert_int_equal(p.state, want);
					assert_int_equal(p.diag, e.diag);
					assert_int_equal(p.your_disc, REMOTE_DISC);
					assert_int_equal(p.min_tx_us, want == BFD_UP ? 10000 : 1000000);
				}
				sim_free(s);
			}
}

/* Detection expires in every state: what follows is by section 6.8.1 and 6.8.4. */
static void test_expiry_in_every_state(void **state)
{
	for (uint8_t local = 0; local < 4; local++) {
		struct sim *s = in_state(local);
		uint8_t stays_with =
			local == BFD_DOWN ? BFD_UP : BFD_DOWN; /* a packet that changes nothing */

		if (local != BFD_UP)
			feed(s, packet(s, stays_with, true), 255);
		else
			feed(s, packet(s, BFD_UP, true), 255);
		assert_int_equal(sim_state(s, 0), local);
		assert_int_equal(sim_entry(s, 0, 0).remote_disc, REMOTE_DISC);
		/* 3 * max(10 ms, 1 s) */
		s->now += 3 * NS_PER_S - 2000;
		assert_int_equal(bfd_engine_sweep(s->node[0].engine, s->now), 0);
		assert_int_equal(sim_entry(s, 0, 0).remote_disc, REMOTE_DISC);
		s->now += 4000;
		unsigned down = bfd_engine_sweep(s->node[0].engine, s->now);
		struct linkstate_entry e = sim_entry(s, 0, 0);
		bool falls = local == BFD_INIT || local == BFD_UP;
		assert_int_equal(down, falls);
		assert_int_equal(e.state, falls ? BFD_DOWN : local);
		assert_int_equal(e.diag, falls                     ? BFD_DIAG_TIME_EXPIRED
					 : local == BFD_ADMIN_DOWN ? BFD_DIAG_ADMIN_DOWN
								   : 0);
		assert_int_equal(e.remote_disc, 0);
		sim_free(s);
	}
}

static void test_ttl(void **state)
{
	struct sim *s = in_state(BFD_UP);
	struct bfd_params p = *bfd_engine_params(s->node[0].engine, 0);

	assert_int_equal(feed(s, packet(s, BFD_UP, true), 254), BFD_RX_TTL);
	assert_int_equal(feed(s, packet(s, BFD_DOWN, true), 0), BFD_RX_TTL);
	assert_int_equal(sim_state(s, 0), BFD_UP);
	assert_int_equal(feed(s, packet(s, BFD_UP, true), 255), BFD_RX_OK);
	assert_int_equal(feed(s, packet(s, BFD_UP, true), 255), BFD_RX_OK); /* the short way */
	assert_int_equal(feed(s, packet(s, BFD_UP, true), 254), BFD_RX_TTL);

	/* A session with a lower limit next to it opens the first gate, not this session's. */
	struct bfd_key k = sim_key(s, 0, 1);
	p.min_ttl = 250;
	p.auth_type = BFD_AUTH_SIMPLE;
	p.auth[0] = (struct bfd_auth_key){.id = 1, .len = 1, .secret = "x", .send = true, .accept = true};
	assert_int_equal(bfd_engine_add(s->node[0].engine, 1, 9, bfd_discriminator_make(SIM_SALT, 9, 1), &k,
				 &p, s->now),
		0);
	assert_int_equal(feed(s, packet(s, BFD_UP, true), 254), BFD_RX_TTL);
	assert_int_equal(feed(s, packet(s, BFD_UP, true), 249), BFD_RX_TTL);
	sim_free(s);
}

static void test_unknown(void **state)
{
	struct sim *s = in_state(BFD_UP);
	struct bfd_packet p = packet(s, BFD_UP, true);

	/* Another generation of the same slot, and a free slot. */
	p.your_disc = bfd_discriminator_make(SIM_SALT, s->node[0].generation + 1, 0);
	assert_int_equal(feed(s, p, 255), BFD_RX_UNKNOWN);
	p.your_disc = bfd_discriminator_make(SIM_SALT, s->node[0].generation, 1);
	assert_int_equal(feed(s, p, 255), BFD_RX_UNKNOWN);
	p.your_disc = bfd_discriminator_make(SIM_SALT, s->node[0].generation, SIM_CAPACITY);
	assert_int_equal(feed(s, p, 255), BFD_RX_UNKNOWN);
	assert_int_equal(sim_state(s, 0), BFD_UP);

	/* By address: from somebody else, or on another interface. */
	uint8_t b[BFD_PACKET_LEN];
	struct bfd_rx rx = {
		.payload = b, .len = sizeof(b), .dport = BFD_PORT_CONTROL, .ifindex = 10, .ttl = 255};
	uint32_t slot;
	p = packet(s, BFD_DOWN, false);
	bfd_packet_build(&p, b);
	rx.src = s->node[0].addr;
	rx.dst = s->node[0].addr;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_UNKNOWN);
	rx.src = s->node[1].addr;
	rx.ifindex = 11;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_UNKNOWN);
	rx.ifindex = 10;
	rx.dst = s->node[1].addr; /* not our address: the session has a local one */
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_UNKNOWN);
	rx.dst = s->node[0].addr;
	rx.dport = BFD_PORT_MULTIHOP;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_UNKNOWN);
	rx.dport = 9;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_INVALID);
	rx.dport = BFD_PORT_CONTROL;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_OK);
	assert_int_equal(slot, 0);
	assert_int_equal(sim_state(s, 0), BFD_DOWN);
	sim_free(s);
}

static void test_multihop(void **state)
{
	struct sim *s = sim_new(START);
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct bfd_key k = {.local = s->node[0].addr, .remote = s->node[1].addr, .kind = BFD_KIND_MULTIHOP};
	uint8_t b[BFD_PACKET_LEN];
	struct bfd_rx rx = {
		.payload = b, .len = sizeof(b), .dport = BFD_PORT_MULTIHOP, .ifindex = 99, .ttl = 250};
	struct bfd_packet pkt = {
		.state = BFD_DOWN, .detect_mult = 3, .my_disc = 5, .min_tx_us = 1000000, .min_rx_us = 1};
	uint32_t slot, disc = bfd_discriminator_make(SIM_SALT, 1, 2);

	p.min_ttl = 250;
	assert_int_equal(bfd_engine_add(s->node[0].engine, 2, 1, disc, &k, &p, s->now), 0);
	rx.src = k.remote;
	rx.dst = k.local;
	bfd_packet_build(&pkt, b);
	rx.ttl = 249;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_TTL);
	rx.ttl = 250;
	rx.dport = BFD_PORT_CONTROL;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_TTL);
	rx.dport = BFD_PORT_MULTIHOP;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_OK);
	assert_int_equal(slot, 2);
	pkt.state = BFD_INIT;
	pkt.your_disc = disc;
	bfd_packet_build(&pkt, b);
	/* The right discriminator on the wrong port. */
	rx.dport = BFD_PORT_CONTROL;
	rx.ttl = 255;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_REFUSED);
	rx.dport = BFD_PORT_MULTIHOP;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_OK);
	assert_int_equal(sim_entry(s, 0, 2).state, BFD_UP);
	sim_free(s);
}

/* A local address that was left open matches any, one that is given wins. */
static void test_open_local_address(void **state)
{
	struct sim *s = sim_new(START);
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct bfd_key open = {.remote = s->node[1].addr, .ifindex = 10}, exact = open;
	uint8_t b[BFD_PACKET_LEN];
	struct bfd_rx rx = {
		.payload = b, .len = sizeof(b), .dport = BFD_PORT_CONTROL, .ifindex = 10, .ttl = 255};
	struct bfd_packet pkt = {
		.state = BFD_DOWN, .detect_mult = 3, .my_disc = 5, .min_tx_us = 1000000, .min_rx_us = 1};
	uint32_t slot;

	exact.local = s->node[0].addr;
	assert_int_equal(bfd_engine_add(s->node[0].engine, 0, 1, bfd_discriminator_make(SIM_SALT, 1, 0),
				 &open, &p, s->now),
		0);
	bfd_packet_build(&pkt, b);
	rx.src = s->node[1].addr;
	rx.dst = s->node[0].addr;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_OK);
	assert_int_equal(slot, 0);
	assert_int_equal(bfd_engine_add(s->node[0].engine, 1, 1, bfd_discriminator_make(SIM_SALT, 1, 1),
				 &exact, &p, s->now),
		0);
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_OK);
	assert_int_equal(slot, 1);
	rx.dst = s->node[1].addr;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_OK);
	assert_int_equal(slot, 0);
	sim_free(s);
}

/* A flood of look-ups by address is cut off, and does not touch sessions that are on. */
static void test_slow_path_limit(void **state)
{
	struct sim *s = in_state(BFD_UP);
	struct bfd_packet p = packet(s, BFD_DOWN, false);
	uint8_t b[BFD_PACKET_LEN];
	struct bfd_rx rx = {
		.payload = b, .len = sizeof(b), .dport = BFD_PORT_CONTROL, .ifindex = 10, .ttl = 255};
	unsigned limited = 0, unknown = 0;
	uint32_t slot;

	bfd_packet_build(&p, b);
	rx.src = s->node[0].addr;
	rx.dst = s->node[0].addr;
	for (unsigned i = 0; i < 100000; i++) { /* in 100 ms: a million a second */
		enum bfd_rx_result r = bfd_engine_rx(s->node[0].engine, &rx, s->now + i * 1000, &slot);
		limited += r == BFD_RX_LIMITED;
		unknown += r == BFD_RX_UNKNOWN;
	}
	assert_int_equal(limited + unknown, 100000);
	assert_in_range(unknown, 2000, 6000);
	s->now += 100 * NS_PER_MS;
	assert_int_equal(feed(s, packet(s, BFD_UP, true), 255), BFD_RX_OK);
	assert_int_equal(sim_state(s, 0), BFD_UP);
	/* And recovers. */
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now + NS_PER_S, &slot), BFD_RX_UNKNOWN);
	sim_free(s);
}

/* A Poll is answered with F and without P, whatever the state, at once; our own poll goes on afterwards. */
static void test_poll_answered(void **state)
{
	for (uint8_t local = BFD_DOWN; local <= BFD_UP; local++) {
		struct sim *s = in_state(local);
		uint8_t stay = local == BFD_UP ? BFD_UP : local == BFD_INIT ? BFD_DOWN : BFD_UP;
		struct bfd_packet p = packet(s, stay, true), got;
		struct bfd_tx out[4];

		s->now += 50 * NS_PER_MS;
		while (bfd_engine_tx(s->node[0].engine, s->now, out, 4))
			;
		p.flags = BFD_FLAG_POLL;
		assert_int_equal(feed(s, p, 255), BFD_RX_OK);
		assert_int_equal(bfd_engine_tx(s->node[0].engine, s->now, out, 4), 1);
		assert_int_equal(bfd_packet_parse(out[0].payload, out[0].len, &got), 0);
		assert_int_equal(got.flags & (BFD_FLAG_POLL | BFD_FLAG_FINAL), BFD_FLAG_FINAL);
		assert_int_equal(got.state, local);
		/* Once. */
		assert_int_equal(bfd_engine_tx(s->node[0].engine, s->now, out, 4), 0);
		sim_free(s);
	}
}

/* A Final that falls together with a periodic packet: one packet a session and call, since they share their
 * buffer. */
static void test_final_and_periodic_together(void **state)
{
	struct sim *s = in_state(BFD_UP);
	struct bfd_packet p = packet(s, BFD_UP, true), got;
	struct bfd_tx out[4];

	while (bfd_engine_tx(s->node[0].engine, s->now, out, 4))
		;
	s->now += 11 * NS_PER_MS; /* overdue */
	p.flags = BFD_FLAG_POLL;
	assert_int_equal(feed(s, p, 255), BFD_RX_OK);
	assert_int_equal(bfd_engine_tx(s->node[0].engine, s->now, out, 4), 1);
	assert_int_equal(bfd_packet_parse(out[0].payload, out[0].len, &got), 0);
	assert_int_equal(got.flags & (BFD_FLAG_POLL | BFD_FLAG_FINAL), BFD_FLAG_FINAL);
	s->now += 70 * NS_PER_US;
	assert_int_equal(bfd_engine_tx(s->node[0].engine, s->now, out, 4), 1);
	assert_int_equal(bfd_packet_parse(out[0].payload, out[0].len, &got), 0);
	assert_int_equal(got.flags & BFD_FLAG_FINAL, 0);
	sim_free(s);
}

/* A remote that does not know Demand mode goes on sending: only the answer to a poll counts all the same. */
static void test_demand_ignored_by_remote(void **state)
{
	struct sim *s = in_state(BFD_UP);
	struct bfd_params p = *bfd_engine_params(s->node[0].engine, 0);
	struct bfd_packet pkt = packet(s, BFD_UP, true);
	struct bfd_tx out[4];
	uint64_t start = s->now;

	pkt.min_tx_us = 10000;
	assert_int_equal(feed(s, pkt, 255), BFD_RX_OK);
	p.demand = true;
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &p, s->now), 0);
	while (sim_state(s, 0) == BFD_UP) {
		s->now += 50 * NS_PER_US;
		bfd_engine_sweep(s->node[0].engine, s->now);
		bfd_engine_tx(s->node[0].engine, s->now, out, 4);
		if (s->now / (9 * NS_PER_MS) != (s->now - 50 * NS_PER_US) / (9 * NS_PER_MS))
			feed(s, pkt, 255);
		assert_true(s->now - start < 100 * NS_PER_MS);
	}
	/* DetectMult times our own interval after the first Poll left. */
	assert_true(s->now - start >= 30 * NS_PER_MS && s->now - start < 31 * NS_PER_MS);
	assert_int_equal(sim_entry(s, 0, 0).diag, BFD_DIAG_TIME_EXPIRED);
	sim_free(s);
}

/* A Final that nobody asked for ends nothing: the one asked for here is not on the wire yet. */
static void test_unasked_final(void **state)
{
	struct sim *s = in_state(BFD_UP);
	struct bfd_packet p = packet(s, BFD_UP, true);

	assert_true(sim_entry(s, 0, 0).flags & LINKSTATE_POLLING); /* into Up the interval changed */
	p.flags = BFD_FLAG_FINAL;
	assert_int_equal(feed(s, p, 255), BFD_RX_OK);
	assert_true(sim_entry(s, 0, 0).flags & LINKSTATE_POLLING);
	assert_true(next_packet(s).flags & BFD_FLAG_POLL);
	assert_int_equal(feed(s, p, 255), BFD_RX_OK);
	assert_false(sim_entry(s, 0, 0).flags & LINKSTATE_POLLING);
	sim_free(s);
}

/* The short way of receiving must give way the moment that anything differs. */
static void test_every_field_is_noticed(void **state)
{
	struct bfd_packet base;

	for (int i = 0; i < 8; i++) {
		struct sim *s = in_state(BFD_UP);
		base = packet(s, BFD_UP, true);
		for (int n = 0; n < 4; n++) {
			struct bfd_tx out[4];
			bfd_engine_tx(s->node[0].engine, s->now, out, 4);
			assert_int_equal(feed(s, base, 255), BFD_RX_OK);
			s->now += 9 * NS_PER_MS;
		}
		struct bfd_packet p = base;
		struct linkstate_entry e;
		switch (i) {
		case 0: p.my_disc++; break;
		case 1: p.min_tx_us = 20000; break;
		case 2: p.min_rx_us = 30000; break;
		case 3: p.min_echo_rx_us = 40000; break;
		case 4: p.detect_mult = 7; break;
		case 5: p.diag = BFD_DIAG_CONCAT_PATH_DOWN; break;
		case 6: p.flags = BFD_FLAG_CPI; break;
		case 7: p.flags = BFD_FLAG_DEMAND; break;
		}
		assert_int_equal(feed(s, p, 255), BFD_RX_OK);
		e = sim_entry(s, 0, 0);
		assert_int_equal(e.remote_disc, p.my_disc);
		assert_int_equal(e.remote_min_tx_us, p.min_tx_us);
		assert_int_equal(e.remote_min_rx_us, p.min_rx_us);
		assert_int_equal(e.remote_min_echo_rx_us, p.min_echo_rx_us);
		assert_int_equal(e.remote_detect_mult, p.detect_mult);
		assert_int_equal(e.remote_diag, p.diag);
		assert_int_equal(e.flags & LINKSTATE_REMOTE_CBIT, i == 6 ? LINKSTATE_REMOTE_CBIT : 0);
		assert_int_equal(e.flags & LINKSTATE_REMOTE_DEMAND, i == 7 ? LINKSTATE_REMOTE_DEMAND : 0);
		assert_int_equal(e.detect_us, p.detect_mult * (p.min_tx_us > 10000 ? p.min_tx_us : 10000));
		sim_free(s);
	}
}

static void test_params_check(void **state)
{
	struct bfd_key single = {.remote = ipaddr_v4(htonl(0xc0000202)), .ifindex = 3}, multi = single, k;
	struct bfd_params good = sim_params(10000, 10000, 3), p;

	multi.kind = BFD_KIND_MULTIHOP;
	multi.ifindex = 0;
	assert_null(bfd_params_check(&single, &good));
	assert_null(bfd_params_check(&multi, &good));
#define BAD(key_, change)                                                                                    \
	do {                                                                                                 \
		p = good;                                                                                    \
		k = key_;                                                                                    \
		change;                                                                                      \
		assert_non_null(bfd_params_check(&k, &p));                                                   \
	} while (0)
	BAD(single, p.detect_mult = 0);
	BAD(single, p.min_tx_us = 0);
	BAD(single, p.min_tx_us = 999);
	BAD(single, p.min_rx_us = 999);
	BAD(single, p.idle_tx_us = 999999);
	BAD(single, p.min_ttl = 254);
	BAD(single, p.padded_len = 51);
	BAD(single, p.padded_len = 9189);
	BAD(single, p.echo_tx_us = 1);
	BAD(multi, p.echo_tx_us = 10000);
	BAD(single, k.ifindex = 0);
	BAD(multi, k.ifindex = 1);
	BAD(single, k.kind = 9);
	BAD(single, k.kind = BFD_KIND_SBFD);
	BAD(multi, k.kind = BFD_KIND_ECHO_ONLY);
	BAD(single, (k.kind = BFD_KIND_ECHO_ONLY, p.demand = true));
	BAD(single, memset(&k.remote, 0, 16));
	BAD(single, k.local = ipaddr_v6("abcdefghijklmnop"));
	BAD(single, p.auth_type = BFD_AUTH_SIMPLE);
	BAD(single, p.auth_type = 6);
	BAD(single, (p.auth_type = BFD_AUTH_SIMPLE,
			    p.auth[0] = (struct bfd_auth_key){.len = 17, .send = true, .accept = true}));
	BAD(single, (p.auth_type = BFD_AUTH_KEYED_SHA1,
			    p.auth[0] = (struct bfd_auth_key){.len = 21, .send = true, .accept = true}));
	BAD(single, (p.auth_type = BFD_AUTH_KEYED_MD5,
			    p.auth[0] = (struct bfd_auth_key){.len = 16, .send = true}));
	BAD(single, (p.auth_type = BFD_AUTH_KEYED_MD5,
			    p.auth[0] = (struct bfd_auth_key){.len = 16, .accept = true}));
#undef BAD
	p = good;
	p.min_rx_us = 0;
	assert_null(bfd_params_check(&single, &p));
	p.auth_type = BFD_AUTH_KEYED_SHA1;
	p.auth[3] = (struct bfd_auth_key){.len = 20, .send = true, .accept = true};
	p.min_ttl = 1;
	assert_null(bfd_params_check(&single, &p));
}

static void test_discriminators(void **state)
{
	static const uint32_t salts[] = {0, 1, UINT32_MAX, 0x80000000, 0xdeadbeef};
	static const uint32_t slots[] = {0, 1, 77, (1u << BFD_SLOT_BITS) - 1};

	for (size_t i = 0; i < sizeof(salts) / sizeof(*salts); i++)
		for (uint32_t g = 0; g < 5000; g += 7)
			for (size_t j = 0; j < sizeof(slots) / sizeof(*slots); j++) {
				uint32_t d = bfd_discriminator_make(salts[i], g, slots[j]);
				assert_int_not_equal(d, 0);
				assert_int_equal(bfd_discriminator_slot(salts[i], d), slots[j]);
				assert_int_not_equal(d, bfd_discriminator_make(salts[i], g + 1, slots[j]));
			}
	assert_int_not_equal(bfd_discriminator_make(0, 0, 0), 0);
}

static void test_names(void **state)
{
	assert_string_equal(bfd_state_name(BFD_ADMIN_DOWN), "AdminDown");
	assert_string_equal(bfd_state_name(BFD_UP), "Up");
	assert_string_equal(bfd_diag_name(BFD_DIAG_TIME_EXPIRED), "Time expired");
	assert_string_equal(bfd_diag_name(BFD_DIAG_REV_CONCAT_PATH_DOWN), "Rev concat path down");
	assert_non_null(bfd_state_name(200));
	assert_non_null(bfd_diag_name(200));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_engine_follows_table),
		cmocka_unit_test(test_expiry_in_every_state),
		cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_multihop),
		cmocka_unit_test(test_open_local_address),
		cmocka_unit_test(test_slow_path_limit),
		cmocka_unit_test(test_poll_answered),
		cmocka_unit_test(test_unasked_final),
		cmocka_unit_test(test_final_and_periodic_together),
		cmocka_unit_test(test_demand_ignored_by_remote),
		cmocka_unit_test(test_every_field_is_noticed),
		cmocka_unit_test(test_params_check),
		cmocka_unit_test(test_discriminators),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
