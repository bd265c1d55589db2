/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions with authentication, in Demand mode, with padded packets. */
#include "bfd/auth.h"
#include "bfd/bucket.h"
#include "tests/unit/bfd_sim.h"

#define START (3 * NS_PER_S)

static void set_key(struct bfd_params *p, unsigned i, uint8_t id, const char *secret, bool send, bool accept)
{
	p->auth[i] = (struct bfd_auth_key){
		.id = id, .len = (uint8_t)strlen(secret), .send = send, .accept = accept};
	memcpy(p->auth[i].secret, secret, strlen(secret));
}

static struct bfd_params auth_params(uint8_t type)
{
	struct bfd_params p = sim_params(10000, 10000, 3);

	p.auth_type = type;
	set_key(&p, 0, 1, "one", true, true);
	return p;
}

static void test_auth_all_types(void **state)
{
	for (uint8_t type = BFD_AUTH_SIMPLE; type <= BFD_AUTH_METICULOUS_SHA1; type++) {
		struct bfd_params p = auth_params(type);
		struct sim *s = sim_up(&p, &p, START);

		sim_run_ms(s, 3000);
		assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
		assert_int_equal(s->node[0].ls.stats[0].rx_auth_failed, 0);
		assert_int_equal(sim_entry(s, 0, 0).detect_us, 30000);
		s->cut[0] = true;
		sim_run_until(s, 1, BFD_DOWN, 31);
		s->cut[0] = false;
		sim_run_until(s, 1, BFD_UP, 2000);
		sim_run_until(s, 0, BFD_UP, 2000);
		sim_free(s);
	}
}

static void test_auth_wrong_key(void **state)
{
	for (uint8_t type = BFD_AUTH_SIMPLE; type <= BFD_AUTH_METICULOUS_SHA1; type++) {
		struct bfd_params a = auth_params(type), b = a, none = sim_params(10000, 10000, 3);
		struct sim *s = sim_new(START);

		b.auth[0].secret[2] ^= 1;
		sim_add(s, 0, 0, &a);
		sim_add(s, 1, 0, &b);
		sim_add(s, 0, 1, &a);
		sim_add(s, 1, 1, &none);
		sim_run_ms(s, 5000);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(sim_entry(s, 0, i).state, BFD_DOWN);
			assert_int_equal(sim_entry(s, 1, i).state, BFD_DOWN);
			assert_int_equal(sim_entry(s, 0, i).remote_disc, 0);
			assert_in_range(s->node[0].ls.stats[i].rx_auth_failed, 4, 8);
			assert_in_range(s->node[1].ls.stats[i].rx_auth_failed, 4, 8);
		}
		/* Corrected while running. */
		assert_int_equal(bfd_engine_update(s->node[1].engine, 0, &a, s->now), 0);
		sim_run_until(s, 0, BFD_UP, 2100);
		sim_free(s);
	}
}

/* From one key to the next in four steps, each on one side alone, without losing a packet. */
static void test_auth_key_change(void **state)
{
	for (uint8_t type = BFD_AUTH_SIMPLE; type <= BFD_AUTH_METICULOUS_SHA1; type++) {
		struct bfd_params p = auth_params(type), both = p, switched = p, last = p;
		struct sim *s = sim_up(&p, &p, START);

		set_key(&both, 1, 2, "two", false, true);
		set_key(&switched, 0, 1, "one", false, true);
		set_key(&switched, 1, 2, "two", true, true);
		memset(&last.auth[0], 0, sizeof(last.auth[0]));
		set_key(&last, 1, 2, "two", true, true);
		const struct bfd_params *const steps[] = {&both, &switched, &last};
		for (unsigned i = 0; i < 3; i++)
			for (unsigned n = 0; n < 2; n++) {
				assert_int_equal(
					bfd_engine_update(s->node[n].engine, 0, steps[i], s->now), 0);
				sim_run_ms(s, 37);
			}
		sim_run_ms(s, 500);
		for (unsigned n = 0; n < 2; n++) {
			assert_int_equal(s->node[n].ls.stats[0].rx_auth_failed, 0);
			assert_int_equal(s->node[n].downs, 0);
		}
		sim_free(s);
	}
}

static struct sim_packet replay;

static bool record(struct sim *s, unsigned from, uint8_t *payload, uint16_t len)
{
	if (from == 1 && !replay.len) {
		memcpy(replay.bytes, payload, len);
		replay.len = len;
	}
	return true;
}

static enum bfd_rx_result send_replay(struct sim *s)
{
	struct bfd_rx rx = {.payload = replay.bytes,
		.len = replay.len,
		.dport = BFD_PORT_CONTROL,
		.ifindex = 10,
		.ttl = 255};
	uint32_t slot;

	rx.src = s->node[1].addr;
	rx.dst = s->node[0].addr;
	return bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot);
}

static void test_auth_replay(void **state)
{
	for (uint8_t type = BFD_AUTH_KEYED_MD5; type <= BFD_AUTH_METICULOUS_SHA1; type++) {
		struct bfd_params p = auth_params(type);
		struct sim *s = sim_up(&p, &p, START);

		memset(&replay, 0, sizeof(replay));
		s->on_packet = record;
		while (!replay.len)
			sim_run_us(s, 50);
		sim_run_us(s, 100); /* it has been received meanwhile */
		/* Meticulous: never the same number twice. Keyed: the number moves only with the contents. */
		assert_int_equal(send_replay(s), bfd_auth_meticulous(type) ? BFD_RX_AUTH : BFD_RX_OK);
		sim_run_ms(s, 1000);
		assert_int_equal(send_replay(s), bfd_auth_meticulous(type) ? BFD_RX_AUTH : BFD_RX_OK);
		assert_int_equal(s->node[0].downs, 0);
		sim_free(s);
	}
}

/* A remote that starts again draws another number: refused until twice the detection time has passed (6.8.1).
 */
static void test_auth_restart(void **state)
{
	for (uint8_t type = BFD_AUTH_KEYED_MD5; type <= BFD_AUTH_METICULOUS_SHA1; type++) {
		struct bfd_params p = auth_params(type);
		struct sim *s = sim_up(&p, &p, START);

		sim_stop_node(s, 1);
		sim_run_ms(s, 10);
		s->now += type; /* another seed */
		sim_start_node(s, 1);
		sim_add(s, 1, 0, &p);
		sim_run_until(s, 0, BFD_DOWN, 31);
		assert_int_equal(sim_entry(s, 0, 0).diag,
			BFD_DIAG_TIME_EXPIRED); /* not told: its Down was not believed */
		sim_run_until(s, 0, BFD_UP, 2100);
		sim_run_until(s, 1, BFD_UP, 2100);
		assert_true(s->node[0].ls.stats[0].rx_auth_failed > 0);
		sim_free(s);
	}
}

static void test_padding(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_new(START);
	struct bfd_tx out[4];
	bool any = false;

	p.padded_len = 1400;
	sim_add(s, 0, 0, &p);
	for (int i = 0; i < 100; i++) {
		unsigned n = bfd_engine_tx(s->node[0].engine, s->now += NS_PER_MS, out, 4);
		for (unsigned k = 0; k < n; k++) {
			struct bfd_packet got;
			any = true;
			assert_int_equal(out[k].len, 1400);
			assert_int_equal(bfd_packet_parse(out[k].payload, out[k].len, &got), 0);
			assert_int_equal(got.length, 24);
			for (unsigned j = 24; j < 1400; j++)
				assert_int_equal(out[k].payload[j], 0);
		}
	}
	assert_true(any);
	/* With authentication the section comes first, the padding after the packet (RFC 9764 section 3). */
	p = auth_params(BFD_AUTH_METICULOUS_SHA1);
	p.padded_len = 100;
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &p, s->now), 0);
	sim_add(s, 1, 0, &p);
	sim_run_until(s, 0, BFD_UP, 2100);
	sim_run_ms(s, 1000);
	assert_int_equal(sim_state(s, 1), BFD_UP);
	struct linkstate_stats *st = &s->node[1].ls.stats[0];
	assert_true(st->rx_bytes == 100 * st->rx_packets);
	sim_free(s);
}

struct wire {
	unsigned n[2], polls[2], finals[2], demand[2];
};

static bool note_wire(struct sim *s, unsigned from, uint8_t *payload, uint16_t len)
{
	struct wire *w = s->user;

	w->n[from]++;
	w->polls[from] += (payload[1] & BFD_FLAG_POLL) != 0;
	w->finals[from] += (payload[1] & BFD_FLAG_FINAL) != 0;
	w->demand[from] += (payload[1] & BFD_FLAG_DEMAND) != 0;
	return true;
}

/* Sections 6.6, 6.8.4, 6.8.7: node 0 wants Demand mode, so node 1 falls silent and only answers polls. */
static void test_demand_one_side(void **state)
{
	struct bfd_params a = sim_params(10000, 10000, 3), b = a, plain = a;
	struct wire w = {0};
	struct sim *s;

	a.demand = true;
	s = sim_up(&a, &b, START);
	sim_run_ms(s, 500);
	s->user = &w;
	s->on_packet = note_wire;
	sim_run_ms(s, 5000);
	assert_int_equal(sim_entry(s, 1, 0).flags & LINKSTATE_REMOTE_DEMAND, LINKSTATE_REMOTE_DEMAND);
	assert_int_equal(sim_entry(s, 1, 0).tx_us, 0);
	/* Node 0 asks once a second; node 1 answers each and says nothing else. Node 0 is itself not asked to
	 * be silent. */
	assert_in_range(w.finals[1], 4, 6);
	assert_int_equal(w.n[1], w.finals[1]);
	assert_true(w.polls[0] >= w.finals[1]);
	assert_true(w.n[0] > 450);
	assert_int_equal(w.demand[0], w.n[0]);
	assert_int_equal(s->node[0].downs + s->node[1].downs, 0);

	/* A dead remote is noticed by the poll: at the next one, after DetectMult times our own interval. */
	s->cut[1] = true;
	sim_run_until(s, 0, BFD_DOWN, 1000 + 110 + 35);
	struct linkstate_entry e = sim_entry(s, 0, 0);
	assert_int_equal(e.diag, BFD_DIAG_TIME_EXPIRED);
	s->cut[1] = false;
	sim_run_until(s, 0, BFD_UP, 2100);
	sim_run_until(s, 1, BFD_UP, 2100);
	sim_run_ms(s, 2000);
	assert_int_equal(sim_entry(s, 1, 0).tx_us, 0);

	/* Leaving Demand mode: told by a poll, the remote starts again, nobody goes Down in between. */
	unsigned downs = s->node[0].downs + s->node[1].downs;
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &plain, s->now), 0);
	sim_run_ms(s, 1000);
	assert_int_equal(sim_entry(s, 1, 0).tx_us, 10000);
	assert_false(sim_entry(s, 1, 0).flags & LINKSTATE_REMOTE_DEMAND);
	assert_int_equal(sim_entry(s, 0, 0).detect_us, 30000);
	assert_int_equal(s->node[0].downs + s->node[1].downs, downs);
	s->cut[1] = true;
	sim_run_until(s, 0, BFD_DOWN, 31);
	sim_free(s);
}

static void test_demand_both_sides(void **state)
{
	struct bfd_params a = sim_params(10000, 10000, 3), changed;
	struct wire w = {0};
	struct sim *s;

	a.demand = true;
	s = sim_up(&a, &a, START);
	sim_run_ms(s, 500);
	s->user = &w;
	s->on_packet = note_wire;
	sim_run_ms(s, 10000);
	/* A poll and its answer a second and direction, and nothing else. */
	for (unsigned n = 0; n < 2; n++) {
		assert_in_range(w.polls[n], 9, 11);
		assert_in_range(w.finals[n], 9, 11);
		assert_int_equal(w.n[n], w.polls[n] + w.finals[n]);
		assert_int_equal(sim_entry(s, n, 0).tx_us, 0);
	}
	/* A change of what packets say must be polled for (section 6.6). */
	changed = a;
	changed.detect_mult = 5;
	unsigned polls = w.polls[0];
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &changed, s->now), 0);
	sim_run_ms(s, 5);
	assert_int_equal(w.polls[0], polls + 1);
	assert_int_equal(sim_entry(s, 1, 0).remote_detect_mult, 5);
	changed.min_tx_us = 50000;
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &changed, s->now), 0);
	sim_run_ms(s, 2500);
	assert_int_equal(sim_entry(s, 1, 0).remote_min_tx_us, 50000);
	assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
	/* Both directions dead: both notice. */
	s->cut[0] = s->cut[1] = true;
	sim_run_until(s, 0, BFD_DOWN, 1400);
	sim_run_until(s, 1, BFD_DOWN, 1400);
	sim_free(s);
}

/* Sections 6.8.5, 6.8.9: node 0 watches by echo what node 1 offers to send back. */
static void test_echo(void **state)
{
	struct bfd_params a = sim_params(10000, 10000, 3), b = a, off;
	struct sim *s;

	a.echo_tx_us = 5000;
	b.min_echo_rx_us = 8000;
	s = sim_up(&a, &b, START);
	sim_run_ms(s, 1000);
	/* The slower of what we want and it takes; the control packets towards us slow down to one a second,
	 * by a poll. */
	unsigned n = s->echoes[0];
	sim_run_ms(s, 1000);
	assert_in_range(s->echoes[0] - n, 125, 167);
	assert_int_equal(s->echoes[1], 0);
	assert_int_equal(sim_entry(s, 0, 0).detect_us, 3000000);
	assert_int_equal(sim_entry(s, 1, 0).tx_us, 1000000);
	assert_int_equal(sim_entry(s, 1, 0).detect_us, 30000);
	assert_int_equal(sim_entry(s, 0, 0).remote_min_echo_rx_us, 8000);
	assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
	struct linkstate_stats *st = &s->node[0].ls.stats[0];
	assert_true(st->echo_tx > 200 && st->echo_rx + 20 >= st->echo_tx && st->echo_rx <= st->echo_tx);

	/* Lost on the way: Down with its own diagnostic after three intervals, while control packets still
	 * flow. */
	s->echo_cut[0] = true;
	uint64_t took = sim_run_until(s, 0, BFD_DOWN, 30);
	assert_true(took >= 24000 - 8000 && took <= 24000 + 200);
	assert_int_equal(sim_entry(s, 0, 0).diag, BFD_DIAG_ECHO_FAILED);
	sim_run_us(s, 200);
	assert_int_equal(sim_entry(s, 1, 0).remote_diag, BFD_DIAG_ECHO_FAILED);
	/* Held for the idle interval, although the control packets would bring it up at once. */
	assert_true(sim_entry(s, 0, 0).flags & LINKSTATE_DAMPED);
	sim_run_ms(s, 990);
	assert_int_equal(sim_state(s, 0), BFD_DOWN);
	s->echo_cut[0] = false;
	sim_run_until(s, 0, BFD_UP, 2000);
	assert_false(sim_entry(s, 0, 0).flags & LINKSTATE_DAMPED);
	sim_run_ms(s, 3000);
	assert_int_equal(s->node[0].downs, 1);

	/* The remote withdraws the offer: echo stops at once, control packets take over again without a flap.
	 */
	off = b;
	off.min_echo_rx_us = 0;
	assert_int_equal(bfd_engine_update(s->node[1].engine, 0, &off, s->now), 0);
	sim_run_ms(s, 1);
	n = s->echoes[0];
	sim_run_ms(s, 3000);
	assert_int_equal(s->echoes[0], n);
	assert_int_equal(sim_entry(s, 0, 0).detect_us, 30000);
	assert_int_equal(s->node[0].downs, 1);
	/* And offers again; we stop wanting it. */
	assert_int_equal(bfd_engine_update(s->node[1].engine, 0, &b, s->now), 0);
	sim_run_ms(s, 2000);
	assert_true(s->echoes[0] > n);
	off = a;
	off.echo_tx_us = 0;
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &off, s->now), 0);
	n = s->echoes[0];
	sim_run_ms(s, 3000);
	assert_int_equal(s->echoes[0], n);
	assert_int_equal(sim_entry(s, 0, 0).detect_us, 30000);
	assert_int_equal(s->node[0].downs, 1);
	assert_int_equal(bfd_engine_remove(s->node[0].engine, 0, s->now), 0);
	sim_free(s);
}

/* Nobody can keep a session up with echo packets that were made up or kept. */
static unsigned flap_once(struct sim *s)
{
	uint64_t start = s->now;

	s->cut[1] = true;
	sim_run_until(s, 0, BFD_DOWN, 60);
	s->cut[1] = false;
	if (!(sim_entry(s, 0, 0).flags & LINKSTATE_DAMPED)) {
		sim_run_until(s, 0, BFD_UP, 3000);
		sim_run_ms(s, 500);
	}
	return (unsigned)((s->now - start) / NS_PER_MS);
}

/* Three times Down within 15 s: held Down for 2 s, then 4, then at most 5; forgiven after a quiet time. */
static void test_dampening(void **state)
{
	struct bfd_params a = sim_params(10000, 10000, 3), b = a;
	struct sim *s;

	a.damp_flaps = 3;
	a.damp_within_us = 15000000;
	a.damp_hold_us = 2000000;
	a.damp_max_us = 5000000;
	s = sim_up(&a, &b, START);
	flap_once(s);
	flap_once(s);
	sim_run_ms(s, 15001); /* too long ago to count */
	flap_once(s);
	flap_once(s);
	assert_false(sim_entry(s, 0, 0).flags & LINKSTATE_DAMPED);
	static const unsigned hold_ms[] = {2000, 4000, 5000, 5000};
	for (unsigned i = 0; i < 4; i++) {
		flap_once(s);
		assert_true(sim_entry(s, 0, 0).flags & LINKSTATE_DAMPED);
		uint64_t took = sim_run_until(s, 0, BFD_UP, 7000);
		assert_in_range(took, hold_ms[i] * 1000u - 1000, hold_ms[i] * 1000u + 1001000);
		sim_run_ms(s, 500);
		flap_once(s);
		flap_once(s);
	}
	/* Held, the peer is heard and hears us: it knows that we are Down, and does not expire. */
	flap_once(s);
	sim_run_ms(s, 3000);
	assert_int_equal(sim_state(s, 0), BFD_DOWN);
	assert_int_equal(sim_state(s, 1), BFD_INIT);
	sim_run_until(s, 0, BFD_UP, 4000);
	sim_run_ms(s, 11000);
	flap_once(s);
	flap_once(s);
	flap_once(s);
	assert_true(sim_run_until(s, 0, BFD_UP, 7000) < 3100000);
	/* Switched off while held: no longer than what was said. */
	sim_free(s);
}

/* A flap that our own stall caused says so and is not held against the link. */
static void test_dampening_spares_stalls(void **state)
{
	struct bfd_params a = sim_params(10000, 10000, 3), b = a;
	struct sim *s;

	a.damp_flaps = 2;
	a.damp_within_us = 15000000;
	a.damp_hold_us = a.damp_max_us = 2000000;
	s = sim_up(&a, &b, START);
	for (unsigned i = 0; i < 4; i++) {
		s->cut[1] = true;
		s->now += 50 * NS_PER_MS;
		bfd_engine_stalled(s->node[0].engine, 50 * NS_PER_MS, s->now);
		assert_int_equal(bfd_engine_sweep(s->node[0].engine, s->now), 1);
		s->cut[1] = false;
		assert_int_equal(sim_entry(s, 0, 0).flags & (LINKSTATE_DAMPED | LINKSTATE_AFTER_STALL),
			LINKSTATE_AFTER_STALL);
		sim_run_until(s, 0, BFD_UP, 3000);
		sim_run_ms(s, 300);
	}
	assert_int_equal(s->node[0].ls.header->workers[0].stalls, 4);
	sim_free(s);
}

static void test_drops_by_reason(void **state)
{
	struct bfd_params a = auth_params(BFD_AUTH_METICULOUS_SHA1);
	struct sim *s = sim_up(&a, &a, START);
	const struct linkstate_stats *st = &s->node[0].ls.stats[0];
	struct bfd_packet pkt = {
		.state = BFD_UP, .detect_mult = 3, .my_disc = 9, .your_disc = sim_entry(s, 0, 0).local_disc};
	uint8_t p[BFD_PACKET_LEN];
	struct bfd_rx rx = {
		.payload = p, .len = sizeof(p), .dport = BFD_PORT_CONTROL, .ifindex = 10, .ttl = 255};
	uint32_t slot;

	bfd_packet_build(&pkt, p);
	rx.src = s->node[1].addr;
	rx.dst = s->node[0].addr;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_AUTH);
	rx.dport = BFD_PORT_MULTIHOP;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_REFUSED);
	assert_int_equal(st->rx_auth_failed, 1);
	assert_int_equal(st->rx_refused + st->rx_ttl, 1);
	assert_int_equal(st->rx_dropped, 2);
	sim_free(s);
}

static void test_echo_forgery(void **state)
{
	struct bfd_params a = sim_params(10000, 10000, 3), b = a;
	struct bfd_tx out[16];
	uint8_t kept[24] = {0}, forged[24];
	struct bfd_rx rx = {.len = 24, .dport = BFD_PORT_ECHO, .ifindex = 99, .ttl = 254};
	uint32_t slot;
	struct sim *s;

	a.echo_tx_us = b.min_echo_rx_us = 5000;
	s = sim_up(&a, &b, START);
	rx.src = rx.dst = s->node[0].addr;
	for (int i = 0; i < 1000 && !kept[0]; i++) {
		unsigned n = bfd_engine_tx(s->node[0].engine, s->now += 50 * NS_PER_US, out, 16);
		for (unsigned k = 0; k < n; k++)
			if (out[k].kind == BFD_TX_ECHO)
				memcpy(kept, out[k].payload, 24);
	}
	assert_int_not_equal(kept[0], 0);
	rx.payload = forged;
	for (unsigned i = 0; i < 24; i++) {
		if (i >= 12 && i < 16)
			continue; /* not used */
		memcpy(forged, kept, 24);
		forged[i] ^= 0x80;
		assert_int_not_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_OK);
	}
	rx.payload = kept;
	rx.ttl = 253;
	assert_int_not_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_OK);
	rx.ttl = 254;
	rx.len = 23;
	assert_int_not_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_OK);
	rx.len = 24;
	assert_int_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_OK);
	assert_int_not_equal(bfd_engine_rx(s->node[0].engine, &rx, s->now, &slot), BFD_RX_OK); /* again */
	sim_free(s);
}

static void test_echo_reflection(void **state)
{
	struct bfd_params a = sim_params(10000, 10000, 3), b = a;
	uint8_t any[10] = "whatever";
	struct bfd_rx rx = {.payload = any, .len = 10, .dport = BFD_PORT_ECHO, .ifindex = 10, .ttl = 255};
	unsigned reflected = 0, limited = 0;
	uint32_t slot;
	struct sim *s;

	b.min_echo_rx_us = 10000;
	s = sim_up(&a, &b, START);
	rx.src = rx.dst = s->node[0].addr;
	assert_int_equal(bfd_engine_rx(s->node[1].engine, &rx, s->now, &slot), BFD_RX_REFLECT);
	assert_int_equal(slot, 0);
	rx.src = s->node[1].addr; /* the source may be anything */
	assert_int_equal(bfd_engine_rx(s->node[1].engine, &rx, s->now, &slot), BFD_RX_REFLECT);
	rx.ttl = 254;
	assert_int_equal(bfd_engine_rx(s->node[1].engine, &rx, s->now, &slot), BFD_RX_TTL);
	rx.ttl = 255;
	rx.ifindex = 11;
	assert_int_equal(bfd_engine_rx(s->node[1].engine, &rx, s->now, &slot), BFD_RX_UNKNOWN);
	rx.ifindex = 10;
	rx.dst = s->node[1].addr;
	assert_int_equal(bfd_engine_rx(s->node[1].engine, &rx, s->now, &slot), BFD_RX_UNKNOWN);
	rx.dst = s->node[0].addr;
	/* Ten times as fast as promised: a tenth and what jitter allows. */
	for (unsigned i = 0; i < 1000; i++) {
		enum bfd_rx_result r = bfd_engine_rx(s->node[1].engine, &rx, s->now += NS_PER_MS, &slot);
		reflected += r == BFD_RX_REFLECT;
		limited += r == BFD_RX_LIMITED;
	}
	assert_int_equal(reflected + limited, 1000);
	assert_in_range(reflected, 130, 140);
	/* Not promised, or not Up. */
	b.min_echo_rx_us = 0;
	assert_int_equal(bfd_engine_update(s->node[1].engine, 0, &b, s->now), 0);
	assert_int_equal(bfd_engine_rx(s->node[1].engine, &rx, s->now, &slot), BFD_RX_REFUSED);
	b.min_echo_rx_us = 10000;
	b.admin_down = true;
	assert_int_equal(bfd_engine_update(s->node[1].engine, 0, &b, s->now), 0);
	assert_int_equal(bfd_engine_rx(s->node[1].engine, &rx, s->now, &slot), BFD_RX_REFUSED);
	sim_free(s);
}

/* One engine, and a function that sends back or answers what it transmits. */
struct solo {
	struct sim *s;
	uint8_t kind;
	bool lost;
	struct bfd_reflector reflector;
	enum bfd_rx_result reflected;
	bool polls;                     /* the reflector sets P in what it sends back */
	unsigned sent, finals;          /* packets of ours; with F */
	uint8_t answer[BFD_PACKET_MAX]; /* the last one */
	uint16_t answer_len;
};

#define REFLECTOR 0x0a000001u

static void solo_round(struct solo *o)
{
	struct bfd_engine *e = o->s->node[0].engine;
	struct bfd_tx out[4];
	uint32_t slot;

	o->s->now += 50 * NS_PER_US;
	o->s->node[0].downs += bfd_engine_sweep(e, o->s->now);
	unsigned n = bfd_engine_tx(e, o->s->now, out, 4);
	for (unsigned i = 0; i < n; i++) {
		uint8_t copy[BFD_PACKET_MAX], reply[BFD_PACKET_MAX];
		struct bfd_rx rx = {.payload = copy, .len = out[i].len, .ifindex = 10, .ttl = 254};
		o->sent++;
		o->finals += (out[i].payload[1] & BFD_FLAG_FINAL) != 0;
		memcpy(copy, out[i].payload, out[i].len);
		rx.src = rx.dst = o->s->node[0].addr;
		if (o->kind == BFD_KIND_ECHO_ONLY) {
			assert_int_equal(out[i].kind, BFD_TX_ECHO);
			rx.dport = BFD_PORT_ECHO;
			rx.sport = 50000;
		} else {
			assert_int_equal(out[i].kind, BFD_TX_CONTROL);
			rx.dport = BFD_PORT_SBFD;
			rx.sport = 50000;
			o->reflector.discriminator = REFLECTOR + 1;
			assert_int_equal(
				bfd_sbfd_reflect(&rx, &o->reflector, reply, &rx.len), BFD_RX_UNKNOWN);
			o->reflector.discriminator = REFLECTOR;
			o->reflected = bfd_sbfd_reflect(&rx, &o->reflector, reply, &rx.len);
			if (o->reflected != BFD_RX_REFLECT)
				continue;
			memcpy(copy, reply, sizeof(reply));
			if (o->polls)
				copy[1] |= BFD_FLAG_POLL;
			rx.dport = 50000;
			rx.sport = BFD_PORT_SBFD;
		}
		if (o->lost)
			continue;
		assert_int_equal(bfd_engine_rx(e, &rx, o->s->now, &slot), BFD_RX_OK);
		memcpy(o->answer, copy, rx.len);
		o->answer_len = rx.len;
	}
}

static void solo_run_ms(struct solo *o, unsigned ms)
{
	for (unsigned i = 0; i < ms * 20; i++)
		solo_round(o);
}

/* auth: type and keys of the initiator; NULL: none. */
static struct solo solo_start(uint8_t kind, const struct bfd_params *auth)
{
	struct solo o = {.s = sim_new(START), .kind = kind, .reflector.params.min_rx_us = 1000};
	struct bfd_params p = auth ? *auth : sim_params(10000, 10000, 3);
	struct bfd_key k = {.remote = o.s->node[1].addr, .ifindex = 10, .kind = kind};

	p.sbfd_disc = kind == BFD_KIND_SBFD ? REFLECTOR : 0;
	p.min_ttl = 200; /* the reflector may be hops away; echo packets are checked against 254 anyway */
	o.s->node[0].generation = 1;
	assert_int_equal(bfd_engine_add(o.s->node[0].engine, 0, 1, sim_disc(o.s, 0, 0), &k, &p, o.s->now), 0);
	return o;
}

static struct solo solo_up(uint8_t kind)
{
	struct solo o = solo_start(kind, NULL);

	solo_run_ms(&o, 25);
	assert_int_equal(sim_state(o.s, 0), BFD_UP);
	return o;
}

static void test_solo(void **state)
{
	static const uint8_t kinds[] = {BFD_KIND_SBFD, BFD_KIND_ECHO_ONLY};

	for (unsigned i = 0; i < 2; i++) {
		struct solo o = solo_up(kinds[i]);
		struct bfd_params p = *bfd_engine_params(o.s->node[0].engine, 0);
		struct linkstate_entry e;

		/* At our own pace, timed by our own multiplier, nothing polled. */
		o.sent = 0;
		solo_run_ms(&o, 1000);
		assert_in_range(o.sent, 100, 134);
		e = sim_entry(o.s, 0, 0);
		assert_int_equal(e.tx_us, 10000);
		assert_int_equal(e.detect_us, 30000);
		assert_false(e.flags & LINKSTATE_POLLING);
		assert_int_equal(o.s->node[0].downs, 0);
		/* Another interval takes effect at once. */
		p.min_tx_us = 20000;
		assert_int_equal(bfd_engine_update(o.s->node[0].engine, 0, &p, o.s->now), 0);
		assert_int_equal(sim_entry(o.s, 0, 0).detect_us, 60000);
		solo_run_ms(&o, 500);
		assert_int_equal(o.s->node[0].downs, 0);
		/* Lost: Down in time, slow, and Up again with the first that comes back. */
		o.lost = true;
		solo_run_ms(&o, 39);
		assert_int_equal(sim_state(o.s, 0), BFD_UP);
		solo_run_ms(&o, 22);
		e = sim_entry(o.s, 0, 0);
		assert_int_equal(e.state, BFD_DOWN);
		/* RFC 9747 section 2: Echo Function Failed. */
		assert_int_equal(e.diag,
			kinds[i] == BFD_KIND_ECHO_ONLY ? BFD_DIAG_ECHO_FAILED : BFD_DIAG_TIME_EXPIRED);
		o.sent = 0;
		solo_run_ms(&o, 10000);
		assert_in_range(o.sent, 9, 15);
		o.lost = false;
		solo_run_ms(&o, 1001);
		assert_int_equal(sim_state(o.s, 0), BFD_UP);
		/* A control packet for such a session is refused; so are our own packets with a bit changed.
		 */
		struct bfd_packet pkt = {
			.state = BFD_DOWN, .detect_mult = 3, .my_disc = 9, .your_disc = e.local_disc};
		uint8_t b[24];
		struct bfd_rx rx = {
			.payload = b, .len = 24, .dport = BFD_PORT_CONTROL, .ifindex = 10, .ttl = 255};
		uint32_t slot;
		bfd_packet_build(&pkt, b);
		rx.src = o.s->node[1].addr;
		rx.dst = o.s->node[0].addr;
		assert_int_equal(bfd_engine_rx(o.s->node[0].engine, &rx, o.s->now, &slot), BFD_RX_REFUSED);
		pkt.your_disc = 0;
		bfd_packet_build(&pkt, b);
		assert_int_equal(bfd_engine_rx(o.s->node[0].engine, &rx, o.s->now, &slot), BFD_RX_UNKNOWN);
		assert_int_equal(sim_state(o.s, 0), BFD_UP);
		p.admin_down = true;
		assert_int_equal(bfd_engine_update(o.s->node[0].engine, 0, &p, o.s->now), 0);
		assert_int_equal(sim_state(o.s, 0), BFD_ADMIN_DOWN);
		assert_int_equal(bfd_engine_remove(o.s->node[0].engine, 0, o.s->now), 0);
		sim_free(o.s);
	}
}

static struct bfd_auth_key sbfd_key(uint8_t id, const char *secret, bool send)
{
	struct bfd_auth_key k = {.id = id, .len = (uint8_t)strlen(secret), .send = send, .accept = true};

	memcpy(k.secret, secret, k.len);
	return k;
}

static enum bfd_rx_result again(struct solo *o)
{
	struct bfd_rx rx = {.payload = o->answer, .len = o->answer_len, .ifindex = 10, .ttl = 254};
	uint32_t slot;

	rx.src = rx.dst = o->s->node[0].addr;
	rx.dport = 50000;
	rx.sport = BFD_PORT_SBFD;
	return bfd_engine_rx(o->s->node[0].engine, &rx, o->s->now, &slot);
}

/* RFC 7880, security considerations: signed both ways with the number of the question, no answer counts
 * twice; the reflector, which knows all keys that are in use, answers with the one it was asked with. */
static void test_sbfd_authentication(void **state)
{
	for (uint8_t type = BFD_AUTH_SIMPLE; type <= BFD_AUTH_METICULOUS_SHA1; type++) {
		struct bfd_params p = sim_params(10000, 10000, 3);
		struct solo o;
		uint8_t old[BFD_PACKET_MAX];
		uint16_t old_len;

		p.auth_type = type;
		p.auth[0] = sbfd_key(7, "seven", true);
		o = solo_start(BFD_KIND_SBFD, &p);
		/* A reflector without authentication, and with a key of another secret, answers nothing. */
		solo_run_ms(&o, 100);
		assert_int_equal(o.reflected, BFD_RX_AUTH);
		o.reflector.params.auth_type = type;
		o.reflector.params.auth[0] = sbfd_key(1, "one", true);
		o.reflector.params.auth[1] = sbfd_key(7, "other", false);
		solo_run_ms(&o, 1500);
		assert_int_equal(o.reflected, BFD_RX_AUTH);
		assert_int_equal(sim_state(o.s, 0), BFD_DOWN);
		o.reflector.params.auth[1] = sbfd_key(7, "seven", false);
		solo_run_ms(&o, 1500);
		assert_int_equal(sim_state(o.s, 0), BFD_UP);
		solo_run_ms(&o, 500);
		assert_int_equal(o.answer[BFD_PACKET_LEN + 2], 7);
		/* The last answer again, and with a bit changed. */
		if (type != BFD_AUTH_SIMPLE)
			assert_int_equal(again(&o), BFD_RX_AUTH);
		memcpy(old, o.answer, sizeof(old));
		old_len = o.answer_len;
		o.answer[o.answer_len - 1] ^= 1;
		assert_int_equal(again(&o), BFD_RX_AUTH);
		/* Nor one without a section. */
		memcpy(o.answer, old, sizeof(old));
		o.answer[1] &= (uint8_t)~BFD_FLAG_AUTH;
		o.answer[3] = BFD_PACKET_LEN;
		assert_int_equal(again(&o), BFD_RX_AUTH);
		/* The initiator goes over to another key of the reflector's; it accepts both meanwhile. */
		p = *bfd_engine_params(o.s->node[0].engine, 0);
		p.auth[0].send = false;
		p.auth[1] = sbfd_key(1, "one", true);
		assert_int_equal(bfd_engine_update(o.s->node[0].engine, 0, &p, o.s->now), 0);
		solo_run_ms(&o, 500);
		assert_int_equal(o.answer[BFD_PACKET_LEN + 2], 1);
		assert_int_equal(o.s->node[0].downs, 0);
		/* Down, and long afterwards an answer from before. */
		o.lost = true;
		solo_run_ms(&o, 5000);
		assert_int_equal(sim_state(o.s, 0), BFD_DOWN);
		memcpy(o.answer, old, sizeof(old));
		o.answer_len = old_len;
		if (type != BFD_AUTH_SIMPLE)
			assert_int_equal(again(&o), BFD_RX_AUTH);
		o.lost = false;
		solo_run_ms(&o, 1001);
		assert_int_equal(sim_state(o.s, 0), BFD_UP);
		assert_int_equal(bfd_engine_remove(o.s->node[0].engine, 0, o.s->now), 0);
		sim_free(o.s);
	}
}

static void test_sbfd_reflector_down_and_slow(void **state)
{
	struct solo o = solo_up(BFD_KIND_SBFD);

	o.reflector.params.min_rx_us = 50000;
	solo_run_ms(&o, 1000);
	assert_int_equal(sim_entry(o.s, 0, 0).tx_us, 50000);
	assert_int_equal(sim_entry(o.s, 0, 0).detect_us, 150000);
	o.reflector.params.admin_down = true;
	solo_run_ms(&o, 51);
	assert_int_equal(sim_state(o.s, 0), BFD_DOWN);
	assert_int_equal(sim_entry(o.s, 0, 0).remote_state, BFD_ADMIN_DOWN);
	o.reflector.params.admin_down = false;
	solo_run_ms(&o, 1001);
	assert_int_equal(sim_state(o.s, 0), BFD_UP);
	/* RFC 7880 section 7.3.3: no faster than once a second. */
	o.reflector.params.admin_down = true;
	solo_run_ms(&o, 60);
	assert_int_equal(sim_state(o.s, 0), BFD_DOWN);
	o.sent = 0;
	solo_run_ms(&o, 10000);
	assert_in_range(o.sent, 9, 14);
	sim_free(o.s);
}

/* RFC 7880 section 7.5: the reflector asks, in every packet, to be asked less often; the next packet of ours
 * says Final, and there are no more packets than without. */
static void test_sbfd_reflector_polls(void **state)
{
	struct solo o = solo_up(BFD_KIND_SBFD);

	solo_run_ms(&o, 1000);
	assert_int_equal(o.finals, 0);
	o.polls = true;
	o.reflector.params.min_rx_us = 50000;
	solo_run_ms(&o, 100);
	assert_in_range(o.finals, 1, 4);
	assert_int_equal(sim_entry(o.s, 0, 0).tx_us, 50000);
	o.sent = o.finals = 0;
	solo_run_ms(&o, 1000);
	assert_in_range(o.sent, 20, 27);
	assert_int_equal(o.finals, o.sent);
	o.polls = false;
	solo_run_ms(&o, 60);
	o.finals = 0;
	solo_run_ms(&o, 200);
	assert_int_equal(o.finals, 0);
	assert_int_equal(o.s->node[0].downs, 0);
	sim_free(o.s);
}

/* What limits the reflector and the look-up by address: a burst, then the rate, and a full bucket after a
 * rest. */
static void test_bucket(void **state)
{
	uint64_t spent = 0, now = START;
	unsigned n = 0;

	while (bfd_bucket_take(&spent, NS_PER_MS, 20 * NS_PER_MS, now))
		n++;
	assert_int_equal(n, 20);
	for (unsigned i = 0; i < 100; i++) {
		now += NS_PER_MS;
		assert_true(bfd_bucket_take(&spent, NS_PER_MS, 20 * NS_PER_MS, now));
		assert_false(bfd_bucket_take(&spent, NS_PER_MS, 20 * NS_PER_MS, now));
	}
	now += NS_PER_S;
	for (n = 0; bfd_bucket_take(&spent, NS_PER_MS, 20 * NS_PER_MS, now);)
		n++;
	assert_int_equal(n, 20);
}

static void test_sbfd_reflector(void **state)
{
	struct bfd_packet p = {.state = BFD_DOWN,
		.flags = BFD_FLAG_DEMAND | BFD_FLAG_POLL,
		.detect_mult = 5,
		.my_disc = 77,
		.your_disc = REFLECTOR,
		.min_tx_us = 12345};
	struct bfd_reflector r = {.discriminator = REFLECTOR, .params.min_rx_us = 3300};
	uint8_t b[24], reply[BFD_PACKET_MAX];
	uint16_t len;
	struct bfd_rx rx = {.payload = b, .len = 24, .dport = BFD_PORT_SBFD, .sport = 50000, .ttl = 64};
	struct bfd_packet got;

	/* Your Discriminator set, so any state is possible; Down is what an initiator starts with. */
	bfd_packet_build(&p, b);
	assert_int_equal(bfd_sbfd_reflect(&rx, &r, reply, &len), BFD_RX_REFLECT);
	assert_int_equal(len, 24);
	assert_int_equal(bfd_packet_parse(reply, 24, &got), 0);
	assert_int_equal(got.state, BFD_UP);
	assert_int_equal(got.my_disc, REFLECTOR);
	assert_int_equal(got.your_disc, 77);
	assert_int_equal(got.flags, BFD_FLAG_FINAL);
	assert_int_equal(got.detect_mult, 5);
	assert_int_equal(got.min_tx_us, 12345);
	assert_int_equal(got.min_rx_us, 3300);
	assert_int_equal(got.min_echo_rx_us, 0);
	/* Two reflectors must not talk to each other for ever. */
	rx.sport = BFD_PORT_SBFD;
	assert_int_equal(bfd_sbfd_reflect(&rx, &r, reply, &len), BFD_RX_INVALID);
	rx.sport = 50000;
	p.flags = 0;
	bfd_packet_build(&p, b);
	assert_int_equal(bfd_sbfd_reflect(&rx, &r, reply, &len), BFD_RX_REFUSED);
	rx.len = 23;
	assert_int_equal(bfd_sbfd_reflect(&rx, &r, reply, &len), BFD_RX_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_auth_all_types),
		cmocka_unit_test(test_auth_wrong_key),
		cmocka_unit_test(test_auth_key_change),
		cmocka_unit_test(test_auth_replay),
		cmocka_unit_test(test_auth_restart),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_demand_one_side),
		cmocka_unit_test(test_demand_both_sides),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_dampening),
		cmocka_unit_test(test_dampening_spares_stalls),
		cmocka_unit_test(test_drops_by_reason),
		cmocka_unit_test(test_echo_forgery),
		cmocka_unit_test(test_echo_reflection),
		cmocka_unit_test(test_solo),
		cmocka_unit_test(test_sbfd_reflector_down_and_slow),
		cmocka_unit_test(test_sbfd_reflector_polls),
		cmocka_unit_test(test_sbfd_authentication),
		cmocka_unit_test(test_bucket),
		cmocka_unit_test(test_sbfd_reflector),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
