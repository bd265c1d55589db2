/* SPDX-License-Identifier: BSD-2-Clause */
/* The generator's judgement, on packets and times made up here. */
#include "bfd/packet.h"
#include "shared/clock.h"
#include "tools/bfdgen/meter.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS NS_PER_MS
#define T0 (UINT64_C(1000) * NS_PER_S)

static const struct bfd_params ours = {
	.min_tx_us = 10000, .min_rx_us = 10000, .idle_tx_us = 1000000, .detect_mult = 3, .min_ttl = 255};

/* What the device says: DesiredMinTx and RequiredMinRx 5 and 20 ms, unless it is not Up. */
static void said(uint8_t *out, uint8_t state, uint8_t diag, uint32_t disc)
{
	struct bfd_packet p = {
		.state = state,
		.diag = diag,
		.detect_mult = 5,
		.my_disc = disc,
		.your_disc = 1,
		.min_tx_us = state == BFD_UP ? 5000 : 1000000,
		.min_rx_us = 20000,
	};

	bfd_packet_build(&p, out);
}

static bool hear(struct meter *m, uint32_t session, uint8_t state, uint64_t at)
{
	uint8_t b[BFD_PACKET_LEN];

	said(b, state, state == BFD_UP ? 0 : BFD_DIAG_TIME_EXPIRED, 77);
	return meter_received(m, session, b, at);
}

static struct meter *make(uint32_t n)
{
	struct meter *m = meter_create(n, &ours, NS_PER_MS);

	assert_non_null(m);
	return m;
}

/* Up at both ends at T0 and in its rhythm: the last packet of the device came at T0. */
static void bring_up(struct meter *m, uint32_t session)
{
	hear(m, session, BFD_DOWN, T0 - 40 * MS);
	meter_sent(m, session, T0 - 35 * MS, T0 - 35 * MS);
	meter_local(m, session, BFD_UP, 0, T0 - 30 * MS);
	hear(m, session, BFD_UP, T0 - 20 * MS);
	hear(m, session, BFD_UP, T0 - 10 * MS);
	meter_sent(m, session, T0 - 5 * MS, T0 - 5 * MS);
	hear(m, session, BFD_UP, T0);
}

static void test_up(void **state)
{
	struct meter *m = make(2);

	hear(m, 0, BFD_DOWN, T0);
	hear(m, 0, BFD_UP, T0 + 1);
	assert_int_equal(m->up, 0); /* our end is not */
	meter_local(m, 0, BFD_UP, 0, T0 + 2);
	assert_int_equal(m->up, 1);
	assert_int_equal(m->all_up_ns, 0);
	meter_local(m, 1, BFD_UP, 0, T0 + 3);
	hear(m, 1, BFD_UP, T0 + 4);
	assert_int_equal(m->up, 2);
	assert_int_equal(m->all_up_ns, T0 + 4);
	assert_int_equal(m->flaps, 0);
	meter_destroy(m);
}

/* The interval that counts is the greater of the device's DesiredMinTx and our RequiredMinRx: 10 ms. */
static void test_gaps(void **state)
{
	struct meter *m = make(1);
	struct meter_session *s = &m->session[0];

	bring_up(m, 0);
	assert_int_equal(s->interval_us, 10000);
	assert_int_equal(s->gaps, 1);
	hear(m, 0, BFD_UP, T0 + 8 * MS);
	hear(m, 0, BFD_UP, T0 + 18 * MS); /* exactly the interval is not above it */
	assert_int_equal(s->over, 0);
	hear(m, 0, BFD_UP, T0 + 28 * MS + MS / 2);
	assert_int_equal(s->over, 1);
	assert_int_equal(s->late, 0); /* within the tolerance of 1 ms */
	hear(m, 0, BFD_UP, T0 + 58 * MS);
	assert_int_equal(s->over, 2);
	assert_int_equal(s->late, 1);
	assert_int_equal(s->gaps, 5);
	assert_int_equal(s->gap_max_ns, 29 * MS + MS / 2);
	assert_int_equal(s->gap_max_at_ns, T0 + 58 * MS);
	assert_int_equal(m->hist[0].bin[25], 1);              /* 8 ms: 80 %, 25/32 to 26/32 */
	assert_int_equal(m->hist[0].bin[METER_BINS_FINE], 1); /* 29.5 ms: twice to three times */
	assert_int_equal(meter_window(m), 29 * MS + MS / 2);
	assert_int_equal(meter_window(m), 0);
	assert_int_equal(m->flaps, 0);
	meter_destroy(m);
}

/* Another interval begins another rhythm: the gap in which it changed is nobody's. */
static void test_change_of_interval(void **state)
{
	struct meter *m = make(1);
	struct bfd_packet p = {.state = BFD_UP,
		.detect_mult = 3,
		.my_disc = 77,
		.your_disc = 1,
		.min_tx_us = 50000,
		.min_rx_us = 20000};
	uint8_t b[BFD_PACKET_LEN];

	bring_up(m, 0);
	bfd_packet_build(&p, b);
	meter_received(m, 0, b, T0 + 45 * MS);
	meter_received(m, 0, b, T0 + 90 * MS);
	assert_int_equal(m->session[0].gaps, 1);
	assert_int_equal(m->session[0].interval_us, 50000);
	meter_received(m, 0, b, T0 + 135 * MS);
	assert_int_equal(m->session[0].gaps, 2);
	assert_int_equal(m->session[0].over, 0);
	meter_destroy(m);
}

/* What came while we stood still, and the first after it, is not held against the device. */
static void test_stall(void **state)
{
	struct meter *m = make(1);
	struct meter_session *s = &m->session[0];

	bring_up(m, 0);
	meter_stalled(m, T0 + MS, T0 + 60 * MS);
	hear(m, 0, BFD_UP, T0 + 60 * MS);
	meter_drained(m, T0 + 61 * MS);
	hear(m, 0, BFD_UP, T0 + 66 * MS);
	assert_int_equal(s->gaps, 1);
	assert_int_equal(s->spoilt, 2);
	assert_int_equal(s->over, 0);
	hear(m, 0, BFD_UP, T0 + 76 * MS);
	assert_int_equal(s->gaps, 2);
	assert_int_equal(m->stalls, 1);
	assert_int_equal(m->worst_stall_ns, 59 * MS);
	meter_destroy(m);
}

static void test_longest_stall(void **state)
{
	const struct meter_stall s[] = {{100, 200}, {300, 350}, {400, 480}, {900, 1000}};

	assert_int_equal(meter_longest_stall(s, 4, 0, 2000), 100);
	assert_int_equal(meter_longest_stall(s, 4, 310, 450), 50); /* the overlap, not the whole */
	assert_int_equal(meter_longest_stall(s, 4, 200, 300), 0);
	assert_int_equal(meter_longest_stall(s, 4, 500, 899), 0);
	assert_int_equal(meter_longest_stall(s, 0, 0, 2000), 0);
}

/* The device says Down while we were answering. */
static void test_flap_said(void **state)
{
	struct meter *m = make(1);

	bring_up(m, 0);
	meter_sent(m, 0, T0 + 4 * MS, T0 + 4 * MS);
	meter_sent(m, 0, T0 + 44 * MS, T0 + 44 * MS);
	assert_true(hear(m, 0, BFD_DOWN, T0 + 50 * MS));
	meter_local(m, 0, BFD_DOWN, BFD_DIAG_NEIGHBOR_DOWN, T0 + 50 * MS);
	assert_int_equal(m->flaps, 1);
	assert_int_equal(m->up, 0);
	assert_int_equal(m->flap[0].kind, METER_FLAP_SAID);
	assert_int_equal(m->flap[0].dut_diag, BFD_DIAG_TIME_EXPIRED);
	assert_int_equal(m->flap[0].silent_ns, 50 * MS);
	assert_int_equal(m->flap[0].own_gap_ns, 40 * MS); /* from 4 to 44 ms */
	/* ours x max(its RequiredMinRx 20 ms, our DesiredMinTx 10 ms), not what its Down says */
	assert_int_equal(m->flap[0].detect_ns, 60 * MS);
	assert_int_equal(m->flap[0].back_ns, 0);
	hear(m, 0, BFD_INIT, T0 + 1050 * MS);
	meter_local(m, 0, BFD_UP, 0, T0 + 1051 * MS);
	hear(m, 0, BFD_UP, T0 + 1052 * MS);
	assert_int_equal(m->flap[0].back_ns, T0 + 1052 * MS);
	assert_int_equal(m->up, 1);
	assert_int_equal(m->flaps, 1);
	meter_destroy(m);
}

/* Our engine gave it up: nothing came. */
static void test_flap_silent(void **state)
{
	struct meter *m = make(1);

	bring_up(m, 0);
	meter_local(m, 0, BFD_DOWN, BFD_DIAG_TIME_EXPIRED, T0 + 30 * MS);
	assert_int_equal(m->flaps, 1);
	assert_int_equal(m->flap[0].kind, METER_FLAP_SILENT);
	assert_int_equal(m->flap[0].silent_ns, 30 * MS);
	assert_int_equal(m->flap[0].detect_ns, 30 * MS);
	/* The device hears of it and goes down too: the same flap. */
	hear(m, 0, BFD_DOWN, T0 + 31 * MS);
	assert_int_equal(m->flaps, 1);
	meter_destroy(m);
}

/* A cut session: deadline 60 ms after our last packet, which left between T0 + 10.00 and 10.02 ms. */
static void cut(struct meter *m)
{
	bring_up(m, 0);
	meter_sent(m, 0, T0 + 10 * MS, T0 + 10 * MS + 20000);
	hear(m, 0, BFD_UP, T0 + 10 * MS);
	meter_cut(m, 0);
	assert_int_equal(m->up, 0);
	hear(m, 0, BFD_UP, T0 + 20 * MS);
}

static void test_detection(void **state)
{
	struct meter *m = make(1);

	cut(m);
	assert_true(hear(m, 0, BFD_DOWN, T0 + 70 * MS + 50000));
	meter_local(m, 0, BFD_DOWN, BFD_DIAG_NEIGHBOR_DOWN, T0 + 70 * MS + 50000);
	hear(m, 0, BFD_DOWN, T0 + 900 * MS); /* again, but it has been noticed */
	assert_int_equal(m->detections, 1);
	assert_int_equal(m->flaps, 0);
	assert_int_equal(m->early, 0);
	assert_false(m->detection[0].spoilt);
	assert_int_equal(m->detection[0].detect_ns, 60 * MS);
	assert_int_equal(
		m->detection[0].down_ns - m->detection[0].after_ns - m->detection[0].detect_ns, 30000);
	assert_true(meter_restore(m, 0));
	meter_local(m, 0, BFD_UP, 0, T0 + 1800 * MS);
	hear(m, 0, BFD_UP, T0 + 1801 * MS);
	assert_int_equal(m->up, 1);
	assert_int_equal(m->flaps, 0);
	assert_int_equal(m->missed, 0);
	meter_destroy(m);
}

/* Early is what no delay on the way can explain: before the deadline counted from before our packet left. */
static void test_early(void **state)
{
	struct meter *m = make(1);

	cut(m);
	hear(m, 0, BFD_DOWN, T0 + 70 * MS - 1);
	assert_int_equal(m->early, 1);
	meter_destroy(m);
	m = make(1);
	cut(m);
	hear(m, 0, BFD_DOWN, T0 + 70 * MS);
	assert_int_equal(m->early, 0);
	meter_destroy(m);
}

/* What the device cannot have had when it judged is not what it counts from. */
static void test_crossing(void **state)
{
	struct meter *m = make(1);

	/* We were silent from 10 to 69.9 ms, and cut just then: the Down that the silence caused was on its
	 * way. */
	bring_up(m, 0);
	meter_sent(m, 0, T0 + 10 * MS, T0 + 10 * MS + 20000);
	hear(m, 0, BFD_UP, T0 + 60 * MS);
	meter_sent(m, 0, T0 + 69 * MS + 900000, T0 + 69 * MS + 920000);
	meter_cut(m, 0);
	hear(m, 0, BFD_DOWN, T0 + 70 * MS + 50000);
	assert_int_equal(m->detections, 1);
	assert_int_equal(m->early, 0);
	assert_true(m->detection[0].spoilt);
	meter_destroy(m);

	/* The same, counted from the earlier packet: too early all the same. */
	m = make(1);
	bring_up(m, 0);
	meter_sent(m, 0, T0 + 10 * MS, T0 + 10 * MS + 20000);
	hear(m, 0, BFD_UP, T0 + 60 * MS);
	meter_sent(m, 0, T0 + 69 * MS, T0 + 69 * MS + 20000);
	meter_cut(m, 0);
	hear(m, 0, BFD_DOWN, T0 + 69 * MS + 500000);
	assert_int_equal(m->early, 1);
	meter_destroy(m);

	/* The Down waited in our ring, for how long nobody knows: it may have been sent before our last
	 * packet came. */
	m = make(1);
	cut(m);
	m->heard_ns = T0 + 12 * MS;
	hear(m, 0, BFD_DOWN, T0 + 65 * MS);
	assert_int_equal(m->early, 0);
	assert_true(m->detection[0].spoilt);
	meter_destroy(m);
	m = make(1);
	cut(m);
	m->heard_ns = T0 + 64 * MS;
	hear(m, 0, BFD_DOWN, T0 + 65 * MS);
	assert_int_equal(m->early, 1);
	meter_destroy(m);

	/* Our thread stood still in the middle of sending: nobody knows when the packet left. */
	m = make(1);
	bring_up(m, 0);
	meter_sent(m, 0, T0 + 10 * MS, T0 + 10 * MS + 20000);
	meter_sent(m, 0, T0 + 15 * MS, T0 + 69 * MS);
	hear(m, 0, BFD_UP, T0 + 69 * MS);
	meter_cut(m, 0);
	hear(m, 0, BFD_DOWN, T0 + 70 * MS + 50000);
	assert_int_equal(m->early, 0);
	meter_destroy(m);
}

/* A packet that the port did not take was never sent, and a flap that follows is not our silence. */
static void test_refused(void **state)
{
	struct meter *m = make(1);

	bring_up(m, 0);
	meter_sent(m, 0, T0 + 4 * MS, T0 + 4 * MS);
	for (unsigned ms = 14; ms <= 64; ms += 10)
		meter_refused(m, 0, T0 + ms * MS);
	hear(m, 0, BFD_DOWN, T0 + 65 * MS);
	assert_int_equal(m->flaps, 1);
	assert_true(m->flap[0].refused);
	assert_int_equal(m->flap[0].own_gap_ns, 61 * MS);
	meter_destroy(m);

	m = make(1);
	bring_up(m, 0);
	meter_sent(m, 0, T0 + 4 * MS, T0 + 4 * MS);
	hear(m, 0, BFD_UP, T0 + 5 * MS);
	meter_refused(m, 0, T0 + 14 * MS); /* what would have been our last packet */
	meter_cut(m, 0);
	hear(m, 0, BFD_DOWN, T0 + 64 * MS + 50000);
	assert_int_equal(m->early, 0);
	assert_int_equal(m->flaps, 0);
	assert_false(m->detection[0].spoilt);
	meter_destroy(m);
}

static void test_missed_and_spoilt(void **state)
{
	struct meter *m = make(1);

	cut(m);
	hear(m, 0, BFD_UP, T0 + 2000 * MS);
	assert_false(meter_restore(m, 0));
	assert_int_equal(m->missed, 1);
	assert_int_equal(m->up, 1); /* both ends still say Up */
	meter_destroy(m);

	m = make(1);
	cut(m);
	meter_stalled(m, T0 + 60 * MS, T0 + 80 * MS);
	hear(m, 0, BFD_DOWN, T0 + 80 * MS);
	meter_drained(m, T0 + 81 * MS);
	assert_int_equal(m->detections, 1);
	assert_true(m->detection[0].spoilt);
	meter_destroy(m);

	/* A stall that was over before the Down came does not matter. */
	m = make(1);
	cut(m);
	meter_stalled(m, T0 + 30 * MS, T0 + 40 * MS);
	meter_drained(m, T0 + 41 * MS);
	hear(m, 0, BFD_DOWN, T0 + 71 * MS);
	assert_false(m->detection[0].spoilt);
	meter_destroy(m);
}

static void test_probe(void **state)
{
	struct meter *m = make(1);
	uint8_t b[BFD_PACKET_LEN];

	bring_up(m, 0);
	meter_probed(m, 0, T0 + MS);
	hear(m, 0, BFD_UP, T0 + 2 * MS);
	assert_int_equal(m->nrtts, 0);
	said(b, BFD_UP, 0, 77);
	b[1] |= BFD_FLAG_FINAL;
	meter_received(m, 0, b, T0 + 3 * MS);
	meter_received(m, 0, b, T0 + 4 * MS); /* nobody asked */
	assert_int_equal(m->nrtts, 1);
	assert_int_equal(m->rtt_ns[0], 2 * MS);
	meter_destroy(m);
}

static void test_own_gaps(void **state)
{
	struct meter *m = make(1);

	bring_up(m, 0);
	for (unsigned i = 1; i <= 10; i++)
		meter_sent(m, 0, T0 + i * 9 * MS, T0 + i * 9 * MS);
	assert_int_equal(m->session[0].tx_gap_max_ns, 9 * MS);
	meter_sent(m, 0, T0 + 105 * MS, T0 + 105 * MS);
	assert_int_equal(m->session[0].tx_gap_max_ns, 15 * MS);
	meter_destroy(m);
}

static void test_bins(void **state)
{
	for (unsigned b = 0; b + 1 < METER_BINS; b++)
		assert_true(meter_bin_edge(b) < meter_bin_edge(b + 1));
	assert_int_equal(meter_bin_edge(METER_BINS_FINE), 64);
	assert_int_equal(meter_bin_edge(METER_BINS - 1), 32 * 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_up),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_change_of_interval),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_longest_stall),
		cmocka_unit_test(test_flap_said),
		cmocka_unit_test(test_flap_silent),
		cmocka_unit_test(test_detection),
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_missed_and_spoilt),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_own_gaps),
		cmocka_unit_test(test_bins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
