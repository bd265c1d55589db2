/* SPDX-License-Identifier: BSD-2-Clause */
/* The two clocks of the engine by themselves: the deadline sweep and the transmit calendar. */
#include "bfd/detect.h"
#include "bfd/pacer.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N 256

static uint32_t rnd(void)
{
	static uint64_t state = 42;
	return bfd_random(&state);
}

/* Against a loop that nobody could get wrong. */
static void test_sweep_finds_all(void **state)
{
	static _Alignas(64) uint32_t deadline[N];

	for (int round = 0; round < 2000; round++) {
		uint32_t now = round % 3 ? rnd() : (uint32_t)(round - 5); /* also around the wrap */
		unsigned late = 0, density = rnd() % 200;
		for (unsigned i = 0; i < N; i++) {
			uint32_t by = rnd() % (round % 2 ? 4 : BFD_TICKS_FAR);
			bool is_late = rnd() % 200 < density;
			deadline[i] = is_late ? now - by : now + 1 + by;
			late += is_late;
		}
		unsigned found = 0;
		for (uint32_t i = 0; (i = bfd_detect_next(deadline, i, N, now)) < N; i++) {
			assert_true((int32_t)(now - deadline[i]) >= 0);
			found++;
		}
		assert_int_equal(found, late);
		uint32_t least = UINT32_MAX;
		for (unsigned i = 0; i < N; i++) {
			int32_t left = (int32_t)(deadline[i] - now);
			uint32_t l = left > 0 ? (uint32_t)left : 0;
			least = l < least ? l : least;
		}
		assert_int_equal(bfd_detect_slack(deadline, N, now), least);
	}
}

/* Each position alone, from each start. */
static void test_sweep_positions(void **state)
{
	static _Alignas(64) uint32_t deadline[N];

	for (unsigned i = 0; i < N; i++)
		deadline[i] = 1000;
	assert_int_equal(bfd_detect_next(deadline, 0, N, 999), N);
	for (unsigned late = 0; late < N; late++) {
		deadline[late] = 999;
		for (unsigned from = 0; from < N; from += 13)
			assert_int_equal(bfd_detect_next(deadline, from, N, 999), from <= late ? late : N);
		deadline[late] = 1000;
	}
}

static void test_ticks_never_early(void **state)
{
	for (uint64_t at = 1; at < 5000; at++)
		for (uint64_t now = at > 2000 ? at - 2000 : 0; now < at + 3000; now++) {
			bool late = bfd_tick_late(bfd_tick_deadline(at), bfd_tick_now(now));
			assert_false(late && now < at);
			assert_false(!late && now >= at + 1024);
		}
}

struct calendar {
	struct bfd_pacer pacer;
	struct bfd_link links[N];
	uint64_t due[N]; /* 0: not scheduled */
};

static struct calendar *calendar_new(void)
{
	struct calendar *c = aligned_alloc(64, (sizeof(*c) + 63) & ~(size_t)63);

	assert_non_null(c);
	memset(c, 0, sizeof(*c));
	bfd_pacer_init(&c->pacer, c->links);
	return c;
}

/* Nobody is lost, nobody comes late or more than a slot early, from microseconds to hours ahead. */
static void test_calendar_model(void **state)
{
	static const uint64_t spans[] = {1000000, 20000000, 260000000, 2000000000, UINT64_C(4000000000000)};
	uint64_t starts[] = {0, 12345678901, (UINT64_C(1) << 48) - 30000000, UINT64_C(5184000000000000)};
	const uint64_t slot = UINT64_C(1) << BFD_WHEEL_SHIFT;

	for (size_t t = 0; t < sizeof(starts) / sizeof(*starts); t++) {
		struct calendar *c = calendar_new();
		uint64_t now = starts[t];
		bool stepped = false;

		for (int round = 0; round < 30000; round++) {
			uint64_t step = rnd() % 100000;
			if (rnd() % 1000 == 0)
				step = rnd(); /* a pause of up to 4 s */
			uint64_t before = now;
			now += step;
			stepped = true;
			for (unsigned k = rnd() % 3; k; k--) {
				uint32_t id = rnd() % N;
				if (c->due[id]) {
					bfd_pacer_remove(&c->pacer, id);
					c->due[id] = 0;
				} else {
					c->due[id] = before + 1 + rnd() % spans[rnd() % 5];
					bfd_pacer_schedule(&c->pacer, id, c->due[id]);
				}
			}
			uint64_t next = bfd_pacer_next_ns(&c->pacer, before), earliest = UINT64_MAX;
			for (unsigned i = 0; i < N; i++)
				if (c->due[i] && c->due[i] < earliest)
					earliest = c->due[i];
			assert_true(earliest == UINT64_MAX ? next == UINT64_MAX
							   : next <= (earliest > before ? earliest : before));
			for (uint32_t id; (id = bfd_pacer_pop(&c->pacer, now)) != BFD_NIL;) {
				assert_true(c->due[id] != 0);
				assert_true(c->due[id] < now + slot);
				c->due[id] = 0;
			}
			for (unsigned i = 0; i < N; i++)
				assert_false(c->due[i] && c->due[i] / slot <= now / slot);
		}
		assert_true(stepped);
		free(c);
	}
}

static void test_calendar_urgent(void **state)
{
	struct calendar *c = calendar_new();
	uint64_t now = 1000000000;

	bfd_pacer_schedule(&c->pacer, 1, now);
	bfd_pacer_schedule(&c->pacer, 2, now + 10000000);
	bfd_pacer_urge(&c->pacer, 2);
	bfd_pacer_urge(&c->pacer, 3);
	bfd_pacer_urge(&c->pacer, 4);
	bfd_pacer_urge(&c->pacer, 5);
	bfd_pacer_urge(&c->pacer, 3); /* is already */
	assert_true(bfd_pacer_next_ns(&c->pacer, now) == now);
	bfd_pacer_remove(&c->pacer, 4);
	assert_int_equal(bfd_pacer_pop(&c->pacer, now), 2);
	assert_int_equal(bfd_pacer_pop(&c->pacer, now), 1); /* the wheel's turn */
	assert_int_equal(bfd_pacer_pop(&c->pacer, now), 3);
	assert_int_equal(bfd_pacer_pop(&c->pacer, now), 5);
	assert_int_equal(bfd_pacer_pop(&c->pacer, now), BFD_NIL);
	bfd_pacer_urge(&c->pacer, 7);
	bfd_pacer_remove(&c->pacer, 7);
	bfd_pacer_remove(&c->pacer, 7);
	assert_int_equal(bfd_pacer_pop(&c->pacer, now), BFD_NIL);
	assert_true(bfd_pacer_next_ns(&c->pacer, now) == UINT64_MAX);
	free(c);
}

/* After a long pause everybody is handed out once, not once for each turn that was missed. */
static void test_calendar_catch_up(void **state)
{
	struct calendar *c = calendar_new();
	uint64_t now = 1000000000;
	unsigned count[N] = {0};

	for (uint32_t i = 0; i < N; i++)
		bfd_pacer_schedule(&c->pacer, i, now + i * 100000);
	now += UINT64_C(3600000000000);
	for (uint32_t id; (id = bfd_pacer_pop(&c->pacer, now)) != BFD_NIL;) {
		count[id]++;
		bfd_pacer_schedule(&c->pacer, id, now + 7500000 + id * 1000);
	}
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(count[i], 1);
	now += 8000000;
	for (uint32_t id; (id = bfd_pacer_pop(&c->pacer, now)) != BFD_NIL;)
		count[id]++;
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(count[i], 2);
	free(c);
}

static void test_jitter_range(void **state)
{
	static const uint32_t us[] = {1000, 3300, 10000, 300000, 1000000, UINT32_MAX};
	const uint64_t slot = UINT64_C(1) << BFD_WHEEL_SHIFT;

	for (size_t i = 0; i < sizeof(us) / sizeof(*us); i++)
		for (int one = 0; one < 2; one++) {
			uint64_t ns = (uint64_t)us[i] * 1000, high = one ? ns / 10 * 9 : ns;
			assert_true(bfd_jitter_ns(us[i], one, 0) == ns - ns / 4 + slot);
			assert_true(bfd_jitter_ns(us[i], one, UINT32_MAX) <= high);
			assert_true(bfd_jitter_ns(us[i], one, UINT32_MAX) >= high - ns / 1000);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sweep_finds_all),
		cmocka_unit_test(test_sweep_positions),
		cmocka_unit_test(test_ticks_never_early),
		cmocka_unit_test(test_calendar_model),
		cmocka_unit_test(test_calendar_urgent),
		cmocka_unit_test(test_calendar_catch_up),
		cmocka_unit_test(test_jitter_range),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
