/* SPDX-License-Identifier: BSD-2-Clause */
/* Two engines over a simulated link: the life of a session as RFC 5880 wants it. */
#include "tests/unit/bfd_sim.h"
#include <errno.h>

#define START (5 * NS_PER_S)

static void test_comes_up_fast(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_new(START);
	struct linkstate_entry e;

	sim_add(s, 0, 0, &p);
	sim_add(s, 1, 0, &p);
	assert_int_equal(sim_state(s, 0), BFD_DOWN);
	/* The first packet leaves within the spread; the three-way handshake follows at once. */
	uint64_t took = sim_run_until(s, 0, BFD_UP, 100);
	assert_true(took <= BFD_FIRST_TX_SPREAD_US + 1000);
	sim_run_until(s, 1, BFD_UP, 1);
	sim_run_ms(s, 50);
	e = sim_entry(s, 0, 0);
	assert_int_equal(e.remote_state, BFD_UP);
	assert_int_equal(e.diag, BFD_DIAG_NONE);
	assert_int_equal(e.tx_us, 10000);
	assert_int_equal(e.detect_us, 30000);
	assert_int_equal(e.remote_disc, sim_disc(s, 1, 0));
	assert_int_equal(e.local_disc, sim_disc(s, 0, 0));
	assert_int_equal(e.remote_detect_mult, 3);
	assert_false(e.flags & LINKSTATE_POLLING);
	sim_free(s);
}

static void test_asymmetric_timers(void **state)
{
	struct bfd_params a = sim_params(10000, 50000, 3), b = sim_params(20000, 30000, 5);
	struct sim *s = sim_up(&a, &b, START);

	/* Section 6.8.2: the slower of what one offers and the other takes. */
	assert_int_equal(sim_entry(s, 0, 0).tx_us, 30000);
	assert_int_equal(sim_entry(s, 1, 0).tx_us, 50000);
	/* Section 6.8.4: remote multiplier times the slower of what we take and the other offers. */
	assert_int_equal(sim_entry(s, 0, 0).detect_us, 5 * 50000);
	assert_int_equal(sim_entry(s, 1, 0).detect_us, 3 * 30000);
	sim_free(s);
}

static uint64_t last_delivery;
static bool note_delivery(struct sim *s, unsigned from, uint8_t *payload, uint16_t len)
{
	if (from == 1 && !s->cut[1])
		last_delivery = s->now;
	return true;
}

/* Never early, and late by no more than one round of the loop; at all phases against the sweep. */
static void test_detection_time_exact(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);

	for (unsigned i = 0; i < 40; i++) {
		struct sim *s = sim_up(&p, &p, START + i * 12345);
		s->on_packet = note_delivery;
		sim_run_us(s, 20000 + i * 333);
		s->cut[1] = true;
		/* The packet is seen by node 0 in the first round at or after its arrival. */
		while (sim_state(s, 0) == BFD_UP)
			sim_run_us(s, 50);
		struct linkstate_entry e = sim_entry(s, 0, 0);
		assert_int_equal(e.state, BFD_DOWN);
		assert_int_equal(e.diag, BFD_DIAG_TIME_EXPIRED);
		assert_true(e.last_rx_ns >= last_delivery + s->delay &&
			    e.last_rx_ns < last_delivery + s->delay + s->step);
		uint64_t age = e.detected_ns - e.last_rx_ns;
		assert_true(age >= 30 * NS_PER_MS);
		assert_true(age < 30 * NS_PER_MS + s->step + 3 * NS_PER_US);
		assert_int_equal(e.remote_disc, 0);
		struct linkstate_stats *st = &s->node[0].ls.stats[0];
		assert_int_equal(st->down_count, 1);
		assert_true(st->last_down_ns == e.detected_ns && st->last_down_rx_ns == e.last_rx_ns);
		assert_true(st->worst_overshoot_us <= 53);
		sim_free(s);
	}
}

static void test_neighbor_down_is_told(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);

	s->cut[1] = true;
	sim_run_until(s, 0, BFD_DOWN, 40);
	/* One direction is alive: the other end hears of it in a packet, not by its own timer. */
	uint64_t took = sim_run_until(s, 1, BFD_DOWN, 5);
	assert_true(took <= 200);
	struct linkstate_entry e = sim_entry(s, 1, 0);
	assert_int_equal(e.diag, BFD_DIAG_NEIGHBOR_DOWN);
	assert_int_equal(e.remote_diag, BFD_DIAG_TIME_EXPIRED);
	/* And with the link back they come up again within a slow interval. */
	s->cut[1] = false;
	sim_run_until(s, 0, BFD_UP, 1100);
	sim_run_until(s, 1, BFD_UP, 5);
	sim_free(s);
}

/* Loss of any two packets in a row is what a multiplier of 3 is for. */
static bool drop_two_of_three(struct sim *s, unsigned from, uint8_t *payload, uint16_t len)
{
	static unsigned n;
	return from == 0 || n++ % 3 == 2;
}

static void test_survives_loss(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);

	s->on_packet = drop_two_of_three;
	/* The third packet comes after at most three jittered intervals: 30 ms at the very worst, which
	 * detection equals. */
	sim_run_ms(s, 20000);
	assert_int_equal(s->node[0].downs, 0);
	assert_int_equal(sim_state(s, 1), BFD_UP);
	sim_free(s);
}

struct gaps {
	uint64_t last, least, most;
	unsigned n;
};

static bool note_gaps(struct sim *s, unsigned from, uint8_t *payload, uint16_t len)
{
	struct gaps *g = s->user;

	if (from == 0) {
		if (g->last) {
			uint64_t gap = s->now - g->last;
			g->least = !g->n || gap < g->least ? gap : g->least;
			g->most = gap > g->most ? gap : g->most;
			g->n++;
		}
		g->last = s->now;
	}
	return true;
}

/* Section 6.8.7: 75-100 %, 75-90 % with a multiplier of 1, and the whole range is used. */
static void test_jitter(void **state)
{
	static const struct {
		uint32_t us;
		uint8_t mult;
		unsigned most_percent;
	} cases[] = {{10000, 3, 100}, {10000, 1, 90}, {3300, 3, 100}, {1000, 3, 100}, {1000, 1, 90},
		{1000000, 1, 90}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bfd_params p = sim_params(cases[i].us, cases[i].us, cases[i].mult);
		struct sim *s = sim_new(START);
		struct gaps g = {0};

		s->step = cases[i].us > 100000 ? 1000 * NS_PER_US : 10 * NS_PER_US;
		sim_add(s, 0, 0, &p);
		sim_add(s, 1, 0, &p);
		sim_run_until(s, 0, BFD_UP, 3000);
		sim_run_until(s, 1, BFD_UP, 100);
		sim_run_ms(s, 2000);
		s->user = &g;
		s->on_packet = note_gaps;
		sim_run_us(s, (uint64_t)cases[i].us * 1500);
		uint64_t us = cases[i].us, slot = 66 + s->step / NS_PER_US;
		assert_true(g.n >= 1500);
		assert_true(g.least >= us * 750);
		assert_true(g.most <= us * 10 * cases[i].most_percent + s->step);
		/* With 1500 draws both ends of the range are come close to: within 2 % of the interval and a
		 * slot. */
		assert_true(g.least <= us * 770 + slot * 1000);
		assert_true(g.most >= us * 10 * (cases[i].most_percent - 2) - slot * 1000);
		assert_int_equal(s->node[1].downs, 0);
		sim_free(s);
	}
}

/* The polls that a change of parameters needs, as seen on the wire. */
struct wire {
	unsigned polls[2], finals[2], both;
	uint32_t tx[2], rx[2];
	bool hold_finals;
};

static bool note_wire(struct sim *s, unsigned from, uint8_t *payload, uint16_t len)
{
	struct wire *w = s->user;
	bool poll = payload[1] & BFD_FLAG_POLL, final = payload[1] & BFD_FLAG_FINAL;

	w->polls[from] += poll;
	w->finals[from] += final;
	w->both += poll && final;
	w->tx[from] = bfd_get32(payload + 12);
	w->rx[from] = bfd_get32(payload + 16);
	return !(w->hold_finals && final);
}

static void test_tx_increase_waits_for_final(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3), slower = sim_params(50000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);
	struct wire w = {.hold_finals = true};

	s->user = &w;
	s->on_packet = note_wire;
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &slower, s->now), 0);
	sim_run_ms(s, 200);
	/* Said, but not done, as long as the answer is lost; the remote allows for the slower rate already.
	 */
	assert_int_equal(w.tx[0], 50000);
	assert_true(w.polls[0] >= 20);
	assert_true(sim_entry(s, 0, 0).flags & LINKSTATE_POLLING);
	assert_int_equal(sim_entry(s, 0, 0).tx_us, 10000);
	assert_int_equal(sim_entry(s, 1, 0).detect_us, 150000);
	w.hold_finals = false;
	sim_run_ms(s, 20);
	assert_int_equal(sim_entry(s, 0, 0).tx_us, 50000);
	unsigned polls = w.polls[0];
	sim_run_ms(s, 1000);
	assert_int_equal(w.polls[0], polls);
	assert_false(sim_entry(s, 0, 0).flags & LINKSTATE_POLLING);
	assert_int_equal(w.both, 0);
	assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
	sim_free(s);
}

static void test_tx_decrease_is_immediate(void **state)
{
	struct bfd_params p = sim_params(50000, 10000, 3), faster = sim_params(10000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);
	struct wire w = {.hold_finals = true};

	s->user = &w;
	s->on_packet = note_wire;
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &faster, s->now), 0);
	assert_int_equal(sim_entry(s, 0, 0).tx_us, 10000);
	sim_run_ms(s, 100);
	assert_true(w.polls[0] >= 9);
	assert_int_equal(sim_entry(s, 1, 0).detect_us, 30000);
	w.hold_finals = false;
	sim_run_ms(s, 100);
	assert_false(sim_entry(s, 0, 0).flags & LINKSTATE_POLLING);
	assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
	sim_free(s);
}

static void test_rx_decrease_waits_for_final(void **state)
{
	struct bfd_params p = sim_params(10000, 50000, 3), b = sim_params(10000, 10000, 3),
			  less = sim_params(10000, 10000, 3);
	struct sim *s = sim_up(&p, &b, START);
	struct wire w = {.hold_finals = true};

	assert_int_equal(sim_entry(s, 0, 0).detect_us, 150000);
	assert_int_equal(sim_entry(s, 1, 0).tx_us, 50000);
	s->user = &w;
	s->on_packet = note_wire;
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &less, s->now), 0);
	sim_run_ms(s, 100);
	/* The remote honours the smaller interval at once, we keep the longer detection time until it says
	 * so. */
	assert_int_equal(w.rx[0], 10000);
	assert_int_equal(sim_entry(s, 1, 0).tx_us, 10000);
	assert_int_equal(sim_entry(s, 0, 0).detect_us, 150000);
	w.hold_finals = false;
	sim_run_ms(s, 20);
	assert_int_equal(sim_entry(s, 0, 0).detect_us, 30000);
	sim_run_ms(s, 1000);
	assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
	sim_free(s);
}

static void test_rx_increase_is_immediate(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3), more = sim_params(10000, 50000, 3);
	struct sim *s = sim_up(&p, &p, START);
	struct wire w = {.hold_finals = true};

	s->user = &w;
	s->on_packet = note_wire;
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &more, s->now), 0);
	assert_int_equal(sim_entry(s, 0, 0).detect_us, 150000);
	sim_run_ms(s, 300);
	assert_int_equal(sim_entry(s, 1, 0).tx_us, 50000);
	w.hold_finals = false;
	sim_run_ms(s, 1000);
	assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
	sim_free(s);
}

/* Section 6.8.3: several changes are never told in one poll sequence. */
static void test_change_during_poll(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3), p2 = sim_params(40000, 10000, 3),
			  p3 = sim_params(80000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);
	struct wire w = {.hold_finals = true};

	s->user = &w;
	s->on_packet = note_wire;
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &p2, s->now), 0);
	sim_run_ms(s, 50);
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &p3, s->now), 0);
	sim_run_ms(s, 100);
	assert_int_equal(w.tx[0], 40000);
	assert_int_equal(sim_entry(s, 0, 0).tx_us, 10000);
	w.hold_finals = false;
	sim_run_ms(s, 500);
	assert_int_equal(w.tx[0], 80000);
	assert_int_equal(sim_entry(s, 0, 0).tx_us, 80000);
	/* There and back while the first is on its way: the end counts. */
	w.hold_finals = true;
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &p, s->now), 0);
	sim_run_ms(s, 50);
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &p2, s->now), 0);
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &p, s->now), 0);
	w.hold_finals = false;
	sim_run_ms(s, 500);
	assert_int_equal(w.tx[0], 10000);
	assert_int_equal(sim_entry(s, 0, 0).tx_us, 10000);
	assert_false(sim_entry(s, 0, 0).flags & LINKSTATE_POLLING);
	assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
	sim_free(s);
}

static bool only_finals(struct sim *s, unsigned from, uint8_t *payload, uint16_t len)
{
	return from == 0 || payload[1] & BFD_FLAG_FINAL || !s->user;
}

/* After a Final the next poll waits for a packet without F (choice 3), or for much longer than a round trip
 * (choice 2). */
static void test_poll_guard(void **state)
{
	struct bfd_params p = sim_params(10000, 100000, 20), p2 = sim_params(40000, 100000, 20),
			  p3 = sim_params(80000, 100000, 20);

	for (int choice = 2; choice <= 3; choice++) {
		struct sim *s = sim_up(&p, &p, START);
		struct wire w = {0};

		s->user = &w;
		s->on_packet = only_finals; /* of the remote's packets */
		assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &p2, s->now), 0);
		assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &p3, s->now), 0);
		sim_run_ms(s, 200);
		/* The first is through, the second must not have been said yet. */
		assert_int_equal(sim_entry(s, 0, 0).tx_us, 100000);
		assert_int_equal(sim_entry(s, 1, 0).remote_min_tx_us, 40000);
		if (choice == 3) {
			s->user = NULL; /* everything passes again: with the next packet of the remote's, not
					   after a second */
			sim_run_ms(s, 110);
		} else {
			sim_run_ms(s, 700);
			assert_int_equal(sim_entry(s, 1, 0).remote_min_tx_us, 40000);
			sim_run_ms(s, 300);
		}
		assert_int_equal(sim_entry(s, 1, 0).remote_min_tx_us, 80000);
		assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
		sim_free(s);
	}
}

/* Random changes on both sides over a link that loses: never a flap that detection would not explain. */
static bool lose_some(struct sim *s, unsigned from, uint8_t *payload, uint16_t len)
{
	static uint32_t seed = 1;
	static unsigned in_row[2];

	seed = seed * 1664525 + 1013904223;
	if (seed >> 30 == 0 && in_row[from] < 1) {
		in_row[from]++;
		return false;
	}
	in_row[from] = 0;
	return true;
}

static void test_random_changes_never_flap(void **state)
{
	static const uint32_t intervals[] = {3300, 10000, 20000, 50000, 100000, 300000};
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);
	uint32_t seed = 99;

	s->on_packet = lose_some;
	for (int i = 0; i < 300; i++) {
		seed = seed * 1664525 + 1013904223;
		struct bfd_params q = sim_params(intervals[(seed >> 8) % 6], intervals[(seed >> 16) % 6], 3);
		assert_int_equal(bfd_engine_update(s->node[seed >> 31].engine, 0, &q, s->now), 0);
		sim_run_ms(s, (seed >> 24) % 100 + 1);
		assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
	}
	sim_run_ms(s, 3000);
	for (unsigned n = 0; n < 2; n++) {
		const struct bfd_params *mine = bfd_engine_params(s->node[n].engine, 0);
		const struct bfd_params *other = bfd_engine_params(s->node[!n].engine, 0);
		struct linkstate_entry e = sim_entry(s, n, 0);
		assert_int_equal(e.state, BFD_UP);
		assert_int_equal(
			e.tx_us, mine->min_tx_us > other->min_rx_us ? mine->min_tx_us : other->min_rx_us);
		assert_int_equal(e.detect_us,
			3 * (mine->min_rx_us > other->min_tx_us ? mine->min_rx_us : other->min_tx_us));
	}
	sim_free(s);
}

static void test_admin_down(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3), off = p;
	struct sim *s = sim_up(&p, &p, START);
	struct linkstate_entry e;

	off.admin_down = true;
	bfd_engine_notify(s->node[0].engine);
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &off, s->now), 0);
	assert_true(bfd_engine_notify(s->node[0].engine));
	e = sim_entry(s, 0, 0);
	assert_int_equal(e.state, BFD_ADMIN_DOWN);
	assert_int_equal(e.diag, BFD_DIAG_ADMIN_DOWN);
	assert_true(sim_run_until(s, 1, BFD_DOWN, 5) <= 200);
	e = sim_entry(s, 1, 0);
	assert_int_equal(e.remote_state, BFD_ADMIN_DOWN);
	assert_int_equal(e.diag, BFD_DIAG_NEIGHBOR_DOWN);
	assert_int_equal(e.remote_diag, BFD_DIAG_ADMIN_DOWN);
	/* It goes on saying so, slowly; the other side stays Down and must not time out into anything. */
	unsigned sent = s->node[0].sent;
	sim_run_ms(s, 10000);
	assert_in_range(s->node[0].sent - sent, 9, 15);
	assert_int_equal(sim_state(s, 1), BFD_DOWN);
	assert_int_equal(sim_entry(s, 1, 0).remote_state, BFD_ADMIN_DOWN);
	assert_int_equal(sim_state(s, 0), BFD_ADMIN_DOWN);
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &p, s->now), 0);
	sim_run_until(s, 0, BFD_UP, 1100);
	sim_run_until(s, 1, BFD_UP, 5);
	sim_free(s);
}

/* A side that died and came back with another discriminator. */
static void test_restart(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);
	uint32_t old = sim_entry(s, 1, 0).local_disc;

	sim_stop_node(s, 1);
	sim_run_ms(s, 5);
	sim_start_node(s, 1);
	sim_add(s, 1, 0, &p);
	assert_int_not_equal(old, sim_disc(s, 1, 0));
	/* Its first Down packet, with Your Discriminator 0, is found by address and ends the old session
	 * before the timer. */
	sim_run_until(s, 0, BFD_DOWN, 21);
	assert_int_equal(sim_entry(s, 0, 0).diag, BFD_DIAG_NEIGHBOR_DOWN);
	sim_run_until(s, 0, BFD_UP, 1100);
	sim_run_until(s, 1, BFD_UP, 5);
	assert_int_equal(sim_entry(s, 0, 0).remote_disc, sim_disc(s, 1, 0));
	sim_run_ms(s, 1000);
	assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
	sim_free(s);
}

/* Section 6.8.7: a remote that asks for nothing gets nothing periodic, but every Poll is answered. */
static void test_remote_min_rx_zero(void **state)
{
	struct bfd_params a = sim_params(10000, 10000, 3), b = sim_params(10000, 0, 3);
	struct sim *s = sim_up(&a, &b, START);

	assert_int_equal(sim_entry(s, 0, 0).tx_us, 0);
	assert_int_equal(sim_entry(s, 1, 0).detect_us, 0);
	sim_run_ms(s, 2000);
	unsigned sent = s->node[0].sent;
	sim_run_ms(s, 5000);
	assert_int_equal(s->node[0].sent, sent);
	assert_int_equal(sim_state(s, 1), BFD_UP);
	struct bfd_params b2 = sim_params(20000, 0, 3);
	assert_int_equal(bfd_engine_update(s->node[1].engine, 0, &b2, s->now), 0);
	sim_run_ms(s, 200);
	assert_true(s->node[0].sent > sent);
	assert_int_equal(sim_entry(s, 1, 0).tx_us, 20000);
	/* And back to a periodic session. */
	assert_int_equal(bfd_engine_update(s->node[1].engine, 0, &a, s->now), 0);
	sim_run_ms(s, 2000);
	assert_int_equal(sim_entry(s, 0, 0).tx_us, 10000);
	assert_int_equal(sim_entry(s, 1, 0).detect_us, 30000);
	assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
	/* What a dead remote asked for is forgotten with it (section 6.8.1 initialises it to 1). */
	assert_int_equal(bfd_engine_update(s->node[1].engine, 0, &b, s->now), 0);
	sim_run_ms(s, 1500);
	assert_int_equal(sim_entry(s, 0, 0).tx_us, 0);
	s->cut[1] = true;
	sim_run_until(s, 0, BFD_DOWN, 100);
	sim_run_ms(s, 5);
	assert_int_equal(sim_entry(s, 0, 0).tx_us, 1000000);
	sim_free(s);
}

static void test_passive(void **state)
{
	struct bfd_params a = sim_params(10000, 10000, 3), b = a;
	struct sim *s = sim_new(START);

	a.passive = b.passive = true;
	sim_add(s, 0, 0, &a);
	sim_add(s, 1, 0, &b);
	sim_run_ms(s, 5000);
	assert_int_equal(s->node[0].sent + s->node[1].sent, 0);
	b.passive = false;
	assert_int_equal(bfd_engine_update(s->node[1].engine, 0, &b, s->now), 0);
	sim_run_until(s, 0, BFD_UP, 1100);
	sim_run_until(s, 1, BFD_UP, 5);
	sim_run_ms(s, 1000);
	/* The passive side falls silent again once the discriminator is forgotten. */
	sim_stop_node(s, 1);
	sim_run_until(s, 0, BFD_DOWN, 50);
	sim_run_ms(s, 100);
	unsigned sent = s->node[0].sent;
	sim_run_ms(s, 5000);
	assert_int_equal(s->node[0].sent, sent);
	sim_free(s);
}

/* Our own pause: nothing is sent in a burst afterwards, and what waited in the queue counts before anybody is
 * late. */
static void test_stall(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);
	struct gaps g = {0};

	s->node[0].frozen = true;
	sim_run_ms(s, 25);
	s->node[0].frozen = false;
	s->user = &g;
	s->on_packet = note_gaps;
	sim_run_ms(s, 25);
	assert_in_range(g.n, 2, 4); /* one packet at once, then the usual rhythm */
	assert_true(g.least >= 7500 * NS_PER_US);
	assert_int_equal(s->node[0].downs + s->node[1].downs, 0);

	/* Longer than detection: the remote is right to go Down, we must not. */
	s->on_packet = NULL;
	sim_run_ms(s, 200);
	s->node[0].frozen = true;
	sim_run_ms(s, 29);
	s->now += 50 * NS_PER_MS; /* both stand still, the remote's packets wait */
	s->node[0].frozen = false;
	sim_deliver(s, 0);
	bfd_engine_stalled(s->node[0].engine, 79 * NS_PER_MS, s->now);
	assert_int_equal(bfd_engine_sweep(s->node[0].engine, s->now), 0);
	assert_int_equal(s->node[0].ls.header->workers[0].stalls, 1);
	assert_true(s->node[0].ls.header->workers[0].worst_stall_ns == 79 * NS_PER_MS);

	/* Nothing waited: Down, and marked. */
	sim_run_until(s, 0, BFD_UP, 1200);
	sim_run_until(s, 1, BFD_UP, 1200);
	sim_run_ms(s, 500);
	s->cut[1] = true;
	s->node[0].frozen = true;
	sim_run_ms(s, 40);
	s->node[0].frozen = false;
	sim_deliver(s, 0);
	s->now += 40 * NS_PER_MS;
	bfd_engine_stalled(s->node[0].engine, 80 * NS_PER_MS, s->now);
	assert_int_equal(bfd_engine_sweep(s->node[0].engine, s->now), 1);
	assert_true(sim_entry(s, 0, 0).flags & LINKSTATE_AFTER_STALL);
	s->cut[1] = false;
	sim_run_until(s, 0, BFD_UP, 1200);
	assert_false(sim_entry(s, 0, 0).flags & LINKSTATE_AFTER_STALL);
	/* An ordinary Down afterwards is not marked. */
	sim_run_until(s, 1, BFD_UP, 1200);
	s->cut[1] = true;
	sim_run_until(s, 0, BFD_DOWN, 1200);
	assert_false(sim_entry(s, 0, 0).flags & LINKSTATE_AFTER_STALL);
	sim_free(s);
}

/* A packet that came in time and waits in a ring of ours is not missing: the sweep judges up to when the
 * rings were last empty. */
static void test_waiting_is_not_late(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);
	struct bfd_engine *e = s->node[0].engine;
	uint64_t cut = s->now;

	s->cut[1] = true;
	sim_run_ms(s, 5);
	/* The last packet came between 10 ms before the cut and just after it. The caller stood still since
	 * 19 ms after: what came until 20 ms after would count. */
	bfd_engine_drained(e, cut + 19 * NS_PER_MS);
	s->now = cut + 60 * NS_PER_MS;
	assert_int_equal(bfd_engine_sweep(e, s->now), 0);
	assert_int_equal(sim_state(s, 0), BFD_UP);
	/* And now it has found it empty later than that: nothing came. */
	bfd_engine_drained(e, cut + 31 * NS_PER_MS);
	assert_int_equal(bfd_engine_sweep(e, s->now), 1);
	assert_true(sim_entry(s, 0, 0).detected_ns == s->now);
	sim_free(s);
}

/* The remote went Down because we were silent: our Neighbor Down says so. */
static void test_stall_noticed_by_the_remote(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);

	for (unsigned ms = 40; ms <= 300; ms += 130) {
		s->node[0].frozen = true;
		sim_run_ms(s, ms);
		assert_int_equal(sim_state(s, 1), BFD_DOWN);
		s->node[0].frozen = false;
		bfd_engine_stalled(s->node[0].engine, ms * NS_PER_MS, s->now);
		sim_run_until(s, 0, BFD_DOWN, 10);
		assert_int_equal(sim_entry(s, 0, 0).diag, BFD_DIAG_NEIGHBOR_DOWN);
		assert_true(sim_entry(s, 0, 0).flags & LINKSTATE_AFTER_STALL);
		sim_run_until(s, 0, BFD_UP, 2500);
		sim_run_until(s, 1, BFD_UP, 2500);
		assert_false(sim_entry(s, 0, 0).flags & LINKSTATE_AFTER_STALL);
		sim_run_ms(s, 1500);
	}
	/* A pause shorter than the time between packets is no excuse. */
	bfd_engine_stalled(s->node[0].engine, 9 * NS_PER_MS, s->now);
	s->cut[0] = true;
	sim_run_until(s, 0, BFD_DOWN, 60);
	assert_int_equal(sim_entry(s, 0, 0).diag, BFD_DIAG_NEIGHBOR_DOWN);
	assert_false(sim_entry(s, 0, 0).flags & LINKSTATE_AFTER_STALL);
	/* AdminDown is a wish and no consequence. */
	s->cut[0] = false;
	sim_run_until(s, 0, BFD_UP, 2500);
	sim_run_until(s, 1, BFD_UP, 2500);
	sim_run_ms(s, 1500);
	bfd_engine_stalled(s->node[0].engine, 25 * NS_PER_MS, s->now);
	p.admin_down = true;
	assert_int_equal(bfd_engine_update(s->node[1].engine, 0, &p, s->now), 0);
	sim_run_until(s, 0, BFD_DOWN, 5);
	assert_false(sim_entry(s, 0, 0).flags & LINKSTATE_AFTER_STALL);
	sim_free(s);
}

/* Packets were lost while we stood still (a ring ran over); the deadline passes some time after the pause. */
static void test_stall_with_loss(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);

	s->cut[1] = true;
	s->node[0].frozen = true;
	sim_run_ms(s, 12);
	s->node[0].frozen = false;
	bfd_engine_stalled(s->node[0].engine, 12 * NS_PER_MS, s->now);
	sim_run_until(s, 0, BFD_DOWN, 40);
	assert_int_equal(sim_entry(s, 0, 0).diag, BFD_DIAG_TIME_EXPIRED);
	assert_true(sim_entry(s, 0, 0).flags & LINKSTATE_AFTER_STALL);
	sim_free(s);
}

/* The deadline clock is 32 bits of 1024 ns: it wraps each 73 minutes, its half at 36. */
static void test_clock_wrap(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	uint64_t wrap = UINT64_C(1) << (32 + 10);
	uint64_t starts[] = {wrap - 3 * NS_PER_S, wrap / 2 - 3 * NS_PER_S, 5 * wrap - 3 * NS_PER_S,
		(UINT64_C(1) << (32 + 16)) - 3 * NS_PER_S /* the calendar's */};

	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		struct sim *s = sim_up(&p, &p, starts[i]);
		sim_run_ms(s, 3000);
		assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
		assert_int_equal(sim_state(s, 0), BFD_UP);
		s->cut[1] = true;
		uint64_t took = sim_run_until(s, 0, BFD_DOWN, 31);
		assert_true(took >= 19000);
		sim_free(s);
	}
	/* Down right on the wrap: the last packets before it, detection after it. */
	for (unsigned ms = 0; ms < 40; ms += 3) {
		struct sim *s = sim_up(&p, &p, wrap - 2 * NS_PER_S);
		while (s->now < wrap - ms * NS_PER_MS)
			sim_run_us(s, 50);
		s->cut[1] = true;
		sim_run_until(s, 0, BFD_DOWN, 31);
		struct linkstate_entry e = sim_entry(s, 0, 0);
		assert_true(e.detected_ns - e.last_rx_ns >= 30 * NS_PER_MS);
		assert_true(e.detected_ns - e.last_rx_ns < 30 * NS_PER_MS + 53 * NS_PER_US);
		sim_free(s);
	}
}

/* A session that nobody answers for hours stays just Down, and very long detection times are honoured. */
static void test_long_times(void **state)
{
	struct bfd_params p = sim_params(1000000000, 1000000000, 255);
	struct sim *s = sim_new(START);

	s->step = 500 * NS_PER_MS;
	s->delay = NS_PER_MS;
	sim_add(s, 0, 0, &p);
	sim_add(s, 1, 0, &p);
	/* 1000 s between packets even on the way up: min_tx is above the idle interval. */
	sim_run_until(s, 0, BFD_UP, 3000000);
	sim_run_until(s, 1, BFD_UP, 3000000);
	sim_run_ms(s, 3000000);
	assert_int_equal(sim_entry(s, 0, 0).detect_us,
		UINT32_MAX); /* 255000 s do not fit: the most that can be shown */
	s->cut[1] = true;
	uint64_t took = sim_run_until(s, 0, BFD_DOWN, 256000000);
	assert_true(took >= 253900ull * 1000000);
	struct linkstate_entry e = sim_entry(s, 0, 0);
	assert_true(e.detected_ns - e.last_rx_ns >= 255000 * NS_PER_S);
	assert_true(e.detected_ns - e.last_rx_ns <= 255001 * NS_PER_S);
	sim_free(s);
}

static void test_unresolved(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_new(START);

	sim_add(s, 0, 0, &p);
	bfd_engine_set_resolved(s->node[0].engine, 0, false, s->now);
	assert_true(sim_entry(s, 0, 0).flags & LINKSTATE_UNRESOLVED);
	sim_add(s, 1, 0, &p);
	sim_run_ms(s, 3000);
	assert_int_equal(s->node[0].sent, 0);
	assert_int_equal(sim_state(s, 0), BFD_INIT);
	bfd_engine_set_resolved(s->node[0].engine, 0, true, s->now);
	assert_false(sim_entry(s, 0, 0).flags & LINKSTATE_UNRESOLVED);
	sim_run_until(s, 0, BFD_UP, 2100);
	sim_run_ms(s, 1500);
	bfd_engine_set_resolved(s->node[0].engine, 0, false, s->now);
	unsigned sent = s->node[0].sent;
	sim_run_until(s, 1, BFD_DOWN, 50);
	assert_int_equal(s->node[0].sent, sent);
	sim_free(s);
}

static void test_add_update_remove(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3), bad = p;
	struct sim *s = sim_new(START);
	struct bfd_engine *e = s->node[0].engine;
	struct bfd_key k = sim_key(s, 0, 0), k2 = sim_key(s, 0, 1);
	uint32_t slots[8], disc = bfd_discriminator_make(SIM_SALT, 5, 3);
	struct linkstate_entry entry;
	bool overrun;

	bad.detect_mult = 0;
	assert_int_equal(bfd_engine_add(e, 3, 5, disc, &k, &bad, s->now), -EINVAL);
	assert_int_equal(bfd_engine_add(e, SIM_CAPACITY, 5, disc, &k, &p, s->now), -EINVAL);
	assert_int_equal(bfd_engine_add(e, 3, 0, disc, &k, &p, s->now), -EINVAL);
	assert_int_equal(bfd_engine_add(e, 3, 5, 0, &k, &p, s->now), -EINVAL);
	assert_int_equal(bfd_engine_add(e, 3, 5, disc, &k, &p, s->now), 0);
	assert_int_equal(
		bfd_engine_add(e, 3, 6, bfd_discriminator_make(SIM_SALT, 6, 3), &k2, &p, s->now), -EEXIST);
	assert_int_equal(
		bfd_engine_add(e, 4, 5, bfd_discriminator_make(SIM_SALT, 5, 4), &k, &p, s->now), -EEXIST);
	/* A discriminator that would not lead to its slot. */
	assert_int_equal(
		bfd_engine_add(e, 4, 5, bfd_discriminator_make(SIM_SALT, 5, 5), &k2, &p, s->now), -EINVAL);
	assert_int_equal(bfd_engine_update(e, 3, &bad, s->now), -EINVAL);
	assert_int_equal(bfd_engine_update(e, 4, &p, s->now), -ENOENT);
	assert_int_equal(bfd_engine_update(e, 999, &p, s->now), -ENOENT);
	assert_non_null(bfd_engine_key(e, 3));
	assert_null(bfd_engine_key(e, 4));
	assert_null(bfd_engine_params(e, 999));

	assert_true(bfd_engine_notify(e));
	assert_false(bfd_engine_notify(e));
	assert_int_equal(linkstate_poll(&s->node[0].reader, slots, 8, &overrun), 1);
	assert_int_equal(slots[0], 3);
	assert_true(linkstate_read(&s->node[0].ls, 3, &entry));
	assert_int_equal(entry.generation, 5);

	/* An identical update is nothing at all. */
	assert_int_equal(bfd_engine_update(e, 3, &p, s->now), 0);
	assert_int_equal(linkstate_poll(&s->node[0].reader, slots, 8, &overrun), 0);

	assert_int_equal(bfd_engine_remove(e, 3, s->now), 0);
	assert_int_equal(bfd_engine_remove(e, 3, s->now), -ENOENT);
	assert_true(bfd_engine_notify(e));
	assert_true(linkstate_read(&s->node[0].ls, 3, &entry));
	assert_int_equal(entry.generation, 0);
	assert_int_equal(linkstate_poll(&s->node[0].reader, slots, 8, &overrun), 1);
	struct bfd_tx out[4];
	assert_int_equal(bfd_engine_tx(e, s->now + NS_PER_S, out, 4), 0);
	assert_true(bfd_engine_next_ns(e, s->now) == UINT64_MAX);
	/* The slot is as new, under another salt too: nobody is left who would mind. */
	assert_int_equal(bfd_engine_add(e, 3, 6, bfd_discriminator_make(~SIM_SALT, 6, 3), &k, &p, s->now), 0);
	assert_int_equal(s->node[0].ls.stats[3].up_count, 0);
	sim_free(s);
}

/* next_ns never lies: sleeping until then misses neither a packet to send nor a deadline. */
static void test_sleeping_loop(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);
	uint64_t end = s->now + 2 * NS_PER_S, rounds = 0;
	struct gaps g = {0};

	s->user = &g;
	s->on_packet = note_gaps;
	while (s->now < end) {
		uint64_t next = UINT64_MAX;
		for (unsigned n = 0; n < 2; n++) {
			uint64_t t = bfd_engine_next_ns(s->node[n].engine, s->now);
			next = t < next ? t : next;
		}
		/* Arrivals wake the loop too. */
		for (unsigned q = s->tail; q != s->head; q = (q + 1) % SIM_QUEUE)
			if (s->queue[q].len && s->queue[q].at < next)
				next = s->queue[q].at;
		assert_true(next >= s->now);
		s->now = next > s->now ? next : s->now + 1;
		sim_round(s, 0);
		sim_round(s, 1);
		rounds++;
	}
	assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
	assert_true(g.most <= 10 * NS_PER_MS);
	assert_true(rounds < 2500);
	s->cut[1] = true;
	while (sim_state(s, 0) == BFD_UP) {
		uint64_t next = bfd_engine_next_ns(s->node[0].engine, s->now);
		s->now = next > s->now ? next : s->now + 1;
		sim_round(s, 0);
	}
	struct linkstate_entry e = sim_entry(s, 0, 0);
	assert_true(e.detected_ns - e.last_rx_ns >= 30 * NS_PER_MS);
	assert_true(e.detected_ns - e.last_rx_ns < 30 * NS_PER_MS + 5 * NS_PER_US);
	sim_free(s);
}

static void test_counters(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);

	sim_run_ms(s, 2000);
	unsigned received = s->node[0].received, sent = s->node[0].sent;
	s->on_packet = NULL;
	s->cut[0] = s->cut[1] = false;
	/* Published within the maintenance period. */
	struct linkstate_stats *st = &s->node[0].ls.stats[0];
	assert_true(st->rx_packets <= received && st->rx_packets + 14 >= received);
	assert_true(st->tx_packets <= sent && st->tx_packets + 14 >= sent);
	assert_true(st->rx_bytes == 24 * st->rx_packets);
	assert_true(st->tx_bytes == 24 * st->tx_packets);
	assert_int_equal(st->up_count, 1);
	assert_int_equal(st->down_count, 0);
	/* Nearly all gaps are in the two buckets from 4096 us and from 8192 us. */
	unsigned total = 0;
	for (unsigned i = 0; i < LINKSTATE_HIST; i++)
		total += st->rx_gap_hist[i];
	assert_true(total <= received && total + 14 >= received);
	assert_true(st->rx_gap_hist[12] + st->rx_gap_hist[13] >= total - 10);
	assert_true(st->rx_gap_hist[12] > 20 && st->rx_gap_hist[13] > 100);
	assert_in_range(st->worst_rx_gap_us, 9000, 10100);
	assert_in_range(st->worst_tx_gap_us, 9000, 10060);
	struct linkstate_worker *w = &s->node[0].ls.header->workers[0];
	assert_true(w->rx_packets <= received && w->rx_packets + 14 >= received);
	sim_free(s);
}

/* Many sessions, all at once: every one comes up, none disturbs another, all are detected in one sweep. */
static void test_many_sessions(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_new(START);
	struct linkstate_entry e;

	for (unsigned i = 0; i < SIM_CAPACITY; i++) {
		sim_add(s, 0, i, &p);
		sim_add(s, 1, i, &p);
	}
	sim_run_ms(s, 1200);
	for (unsigned i = 0; i < SIM_CAPACITY; i++) {
		e = sim_entry(s, 0, i);
		assert_int_equal(e.state, BFD_UP);
		assert_int_equal(e.detect_us, 30000);
	}
	sim_run_ms(s, 1000);
	assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
	assert_int_equal(bfd_engine_remove(s->node[1].engine, 7, s->now), 0);
	sim_run_ms(s, 100);
	assert_int_equal(s->node[0].downs, 1);
	e = sim_entry(s, 0, 7);
	assert_int_equal(e.state, BFD_DOWN);
	s->cut[1] = true;
	sim_run_ms(s, 100);
	assert_int_equal(s->node[0].downs, SIM_CAPACITY);
	sim_free(s);
}

/* The port is known to be dead: no waiting for the timer. */
static void test_path_down(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);
	struct linkstate_entry e;

	s->cut[0] = s->cut[1] = true;
	bfd_engine_notify(s->node[0].engine);
	bfd_engine_path_down(s->node[0].engine, 0, s->now);
	e = sim_entry(s, 0, 0);
	assert_int_equal(e.state, BFD_DOWN);
	assert_int_equal(e.diag, BFD_DIAG_PATH_DOWN);
	assert_true(e.detected_ns == s->now);
	assert_true(bfd_engine_notify(s->node[0].engine));
	bfd_engine_path_down(s->node[0].engine, 0, s->now + 1); /* is already */
	bfd_engine_path_down(s->node[0].engine, 5, s->now);     /* nobody there */
	bfd_engine_path_down(s->node[0].engine, 5000, s->now);
	assert_true(sim_entry(s, 0, 0).detected_ns == s->now);
	sim_run_ms(s, 200);
	assert_int_equal(s->node[0].downs, 0); /* the sweep finds nothing more to declare */
	s->cut[0] = s->cut[1] = false;
	sim_run_until(s, 0, BFD_UP, 2100);
	sim_free(s);
}

static void test_cbit_and_echo_offer(void **state)
{
	struct bfd_params a = sim_params(10000, 10000, 3), b = a;
	struct sim *s;

	a.cbit = true;
	a.min_echo_rx_us = 12345;
	s = sim_up(&a, &b, START);
	assert_true(sim_entry(s, 1, 0).flags & LINKSTATE_REMOTE_CBIT);
	assert_false(sim_entry(s, 0, 0).flags & LINKSTATE_REMOTE_CBIT);
	assert_int_equal(sim_entry(s, 1, 0).remote_min_echo_rx_us, 12345);
	a.cbit = false;
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &a, s->now), 0);
	sim_run_ms(s, 1);
	assert_false(sim_entry(s, 1, 0).flags & LINKSTATE_REMOTE_CBIT);
	sim_free(s);
}

/* Hours alone, through several wraps of the deadline clock, with a table that is not whole blocks. */
static void test_idle_for_hours(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct bfd_engine_options o = {.capacity = 70, .worker = 3, .seed = 0};
	struct linkstate ls;
	struct linkstate_entry e;
	struct bfd_tx out[4];
	uint64_t now = START;
	unsigned sent = 0, hasty = 0;

	assert_int_equal(linkstate_create(&ls, 70, false), 0);
	o.capacity = 71;
	assert_null(bfd_engine_create(&ls, &o));
	o.capacity = 70;
	o.worker = LINKSTATE_RINGS;
	assert_null(bfd_engine_create(&ls, &o));
	o.worker = 3;
	struct bfd_engine *engine = bfd_engine_create(&ls, &o);
	assert_non_null(engine);
	struct bfd_key k = {.remote = ipaddr_v4(htonl(0xc0000202)), .ifindex = 1};
	assert_int_equal(bfd_engine_add(engine, 69, 1, bfd_discriminator_make(9, 1, 69), &k, &p, now), 0);
	while (now < 5 * 3600 * NS_PER_S) {
		uint64_t next = bfd_engine_next_ns(engine, now);
		assert_true(next >= now && next <= now + 100 * NS_PER_MS);
		hasty += next == now;
		now = next;
		assert_int_equal(bfd_engine_sweep(engine, now), 0);
		sent += bfd_engine_tx(engine, now, out, 4);
	}
	assert_true(hasty <= 1); /* the calendar learns the time with the first call */
	/* One in 875 ms on average, and never more than one a 750 ms. */
	assert_in_range(sent, 5 * 3600 / 0.9, 5 * 3600 / 0.85);
	assert_true(linkstate_read(&ls, 69, &e));
	assert_int_equal(e.state, BFD_DOWN);
	assert_int_equal(e.owner, 3);
	assert_true(ls.header->workers[3].tx_packets + 1 >= sent);
	bfd_engine_destroy(engine);
	bfd_engine_destroy(NULL);
	linkstate_close(&ls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comes_up_fast),
		cmocka_unit_test(test_asymmetric_timers),
		cmocka_unit_test(test_detection_time_exact),
		cmocka_unit_test(test_neighbor_down_is_told),
		cmocka_unit_test(test_survives_loss),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_tx_increase_waits_for_final),
		cmocka_unit_test(test_tx_decrease_is_immediate),
		cmocka_unit_test(test_rx_decrease_waits_for_final),
		cmocka_unit_test(test_rx_increase_is_immediate),
		cmocka_unit_test(test_change_during_poll),
		cmocka_unit_test(test_poll_guard),
		cmocka_unit_test(test_random_changes_never_flap),
		cmocka_unit_test(test_admin_down),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_remote_min_rx_zero),
		cmocka_unit_test(test_passive),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_waiting_is_not_late),
		cmocka_unit_test(test_stall_noticed_by_the_remote),
		cmocka_unit_test(test_stall_with_loss),
		cmocka_unit_test(test_clock_wrap),
		cmocka_unit_test(test_long_times),
		cmocka_unit_test(test_unresolved),
		cmocka_unit_test(test_add_update_remove),
		cmocka_unit_test(test_sleeping_loop),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_many_sessions),
		cmocka_unit_test(test_path_down),
		cmocka_unit_test(test_cbit_and_echo_offer),
		cmocka_unit_test(test_idle_for_hours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
