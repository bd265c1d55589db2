/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions that move between the engines of two workers while they run. */
#include "tests/unit/bfd_sim.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define START (3 * NS_PER_S)

/* Node 0 has a second engine; its session is in node[0].engine, the other one is empty. */
static struct bfd_engine *second_engine(struct sim *s)
{
	struct bfd_engine_options o = {.capacity = SIM_CAPACITY, .worker = 1, .seed = 99};
	struct bfd_engine *e = bfd_engine_create(&s->node[0].ls, &o);

	assert_non_null(e);
	return e;
}

static struct bfd_engine *move(struct sim *s, struct bfd_engine *to)
{
	struct bfd_engine *from = s->node[0].engine;
	struct bfd_moved *m = bfd_moved_create();

	assert_non_null(m);
	assert_int_equal(bfd_engine_export(from, 0, m, s->now), 0);
	assert_int_equal(bfd_engine_export(from, 0, m, s->now), -ENOENT);
	assert_null(bfd_engine_key(from, 0));
	assert_int_equal(bfd_engine_import(to, 0, m, s->now), 0);
	assert_int_equal(bfd_engine_import(to, 0, m, s->now), -EINVAL); /* it is not in there any more */
	assert_non_null(bfd_engine_key(to, 0));
	bfd_moved_destroy(m);
	s->node[0].engine = to;
	return from;
}

static struct bfd_params kind_of(unsigned kind)
{
	struct bfd_params p = sim_params(10000, 10000, 3);

	if (kind == 1) {
		p.auth_type = BFD_AUTH_METICULOUS_SHA1;
		p.auth[0] = (struct bfd_auth_key){
			.id = 1, .len = 3, .secret = "one", .send = true, .accept = true};
	} else if (kind == 2) {
		p.echo_tx_us = 20000;
		p.min_echo_rx_us = 20000;
	} else if (kind == 3) {
		p.demand = true;
	} else if (kind == 4) {
		p.padded_len = 100;
	}
	return p;
}

/* At any moment, many times, with every kind of session: nothing is lost, late or repeated. */
static void test_nobody_notices(void **state)
{
	for (unsigned kind = 0; kind <= 4; kind++) {
		struct bfd_params p = kind_of(kind);
		struct sim *s = sim_up(&p, &p, START);
		struct bfd_engine *spare = second_engine(s);
		uint64_t sent = s->node[0].sent, up[2];

		for (unsigned n = 0; n < 2; n++)
			up[n] = s->node[n].ls.stats[0].up_count;
		for (unsigned i = 0; i < 400; i++) {
			spare = move(s, spare);
			assert_int_equal(sim_state(s, 0), BFD_UP);
			assert_int_equal(sim_entry(s, 0, 0).owner, i % 2 ? 0 : 1);
			sim_run_us(s, 50 * (1 + i * 7 % 120));
		}
		assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
		for (unsigned n = 0; n < 2; n++) {
			const struct linkstate_stats *st = &s->node[n].ls.stats[0];

			assert_int_equal(st->up_count, up[n]);
			assert_int_equal(st->down_count, 0);
			assert_int_equal(st->rx_auth_failed, 0);
			assert_int_equal(st->rx_refused, 0);
			if (kind == 0 || kind == 1 || kind == 4) {
				/* Not one transmission was missed, nor doubled. */
				assert_in_range(st->worst_tx_gap_us, 7500, 10000);
				assert_in_range(st->worst_rx_gap_us, 7500, 10100);
			}
		}
		if (kind == 0)
			assert_in_range(s->node[0].sent - sent, 400 * 3025 / 10000, 400 * 3025 / 7500 + 1);
		bfd_engine_destroy(spare);
		sim_free(s);
	}
}

/* The deadline goes along: detection is as exact as without a move. */
static void test_detection_after_a_move(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);

	for (unsigned i = 0; i < 50; i++) {
		struct sim *s = sim_up(&p, &p, START + i * 777 * NS_PER_US);
		struct bfd_engine *spare = second_engine(s);
		struct linkstate_entry e;

		s->cut[1] = true;
		sim_run_us(s, 50 * (i % 190));
		spare = move(s, spare);
		sim_run_until(s, 0, BFD_DOWN, 31);
		e = sim_entry(s, 0, 0);
		assert_true(e.detected_ns - e.last_rx_ns >= 30 * NS_PER_MS);
		assert_true(e.detected_ns - e.last_rx_ns < 30 * NS_PER_MS + s->step + 3000);
		/* Down, it moves too, and comes back. */
		spare = move(s, spare);
		s->cut[1] = false;
		sim_run_until(s, 0, BFD_UP, 2500);
		bfd_engine_destroy(spare);
		sim_free(s);
	}
}

/* In the middle of a poll sequence, with an answer to a Poll due, and with wishes that wait for the Final. */
static void test_poll_goes_on(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3), slower = sim_params(50000, 10000, 3),
			  slowest = sim_params(70000, 30000, 3);
	struct sim *s = sim_up(&p, &p, START);
	struct bfd_engine *spare = second_engine(s);

	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &slower, s->now), 0);
	spare = move(s, spare);
	assert_int_equal(bfd_engine_update(s->node[0].engine, 0, &slowest, s->now), 0);
	sim_run_us(s, 100);
	spare = move(s, spare);
	assert_int_equal(bfd_engine_update(s->node[1].engine, 0, &slower, s->now), 0);
	for (unsigned i = 0; i < 100; i++) {
		sim_run_us(s, 50);
		spare = move(s, spare);
	}
	sim_run_ms(s, 3000);
	assert_int_equal(sim_entry(s, 0, 0).tx_us, 70000);
	assert_int_equal(sim_entry(s, 1, 0).remote_min_tx_us, 70000);
	assert_int_equal(sim_entry(s, 1, 0).remote_min_rx_us, 30000);
	assert_int_equal(sim_entry(s, 1, 0).tx_us, 50000);
	assert_false(sim_entry(s, 0, 0).flags & LINKSTATE_POLLING);
	assert_false(sim_entry(s, 1, 0).flags & LINKSTATE_POLLING);
	assert_int_equal(s->node[0].downs + s->node[1].downs, 0);
	bfd_engine_destroy(spare);
	sim_free(s);
}

/* Two threads, one link state table, a session that is thrown back and forth: what ThreadSanitizer looks at.
 */

struct thrower {
	struct bfd_engine *engine;
	struct bfd_moved *_Atomic *take, *_Atomic *give;
	const struct linkstate *ls;
	unsigned rounds;
};

static void *throw(void *arg)
{
	struct thrower *t = arg;
	uint64_t now = 100 * NS_PER_S;
	struct bfd_tx out[4];

	for (unsigned i = 0; i < t->rounds;) {
		struct bfd_moved *m = atomic_exchange_explicit(t->take, NULL, memory_order_acquire);

		if (!m) {
			sched_yield();
			continue;
		}
		now = clock_now_ns();
		if (bfd_engine_import(t->engine, 0, m, now))
			return arg;
		bfd_engine_tx(t->engine, now, out, 4);
		bfd_engine_sweep(t->engine, now);
		if (bfd_engine_export(t->engine, 0, m, now))
			return arg;
		i++;
		atomic_store_explicit(t->give, m, memory_order_release);
	}
	return NULL;
}

static void test_between_threads(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_new(clock_now_ns());
	struct bfd_engine *other = second_engine(s);
	struct bfd_moved *_Atomic mail[2] = {NULL, NULL};
	struct bfd_moved *m = bfd_moved_create();
	struct thrower t[2] = {{s->node[0].engine, &mail[0], &mail[1], &s->node[0].ls, 1000},
		{other, &mail[1], &mail[0], &s->node[0].ls, 1000}};
	struct linkstate_entry e;
	pthread_t thread[2];
	void *failed[2];

	sim_add(s, 0, 0, &p);
	assert_int_equal(bfd_engine_export(s->node[0].engine, 0, m, s->now), 0);
	atomic_store(&mail[0], m);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, throw, &t[i]), 0);
	for (unsigned i = 0; i < 1000; i++)
		if (linkstate_read(&s->node[0].ls, 0, &e))
			assert_int_equal(e.state, BFD_DOWN);
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(thread[i], &failed[i]);
		assert_null(failed[i]);
	}
	m = atomic_load(&mail[0]);
	assert_int_equal(bfd_engine_import(other, 0, m, clock_now_ns()), 0);
	bfd_moved_destroy(m);
	assert_int_equal(sim_entry(s, 0, 0).owner, 1);
	bfd_engine_destroy(other);
	sim_free(s);
}

static void test_refusals(void **state)
{
	struct bfd_params p = sim_params(10000, 10000, 3);
	struct sim *s = sim_up(&p, &p, START);
	struct bfd_engine *other = second_engine(s);
	struct bfd_moved *m = bfd_moved_create();
	struct bfd_key k = {.local = s->node[0].addr, .remote = s->node[1].addr, .ifindex = 99};

	assert_int_equal(bfd_engine_export(other, 0, m, s->now), -ENOENT);
	assert_int_equal(bfd_engine_export(other, SIM_CAPACITY, m, s->now), -ENOENT);
	assert_int_equal(bfd_engine_import(other, 0, m, s->now), -EINVAL);
	/* The slot is taken there: the session stays where it is, and can go back. */
	assert_int_equal(
		bfd_engine_add(other, 0, 9, sim_disc(s, 0, 0) ^ 9u << BFD_SLOT_BITS, &k, &p, s->now), 0);
	assert_int_equal(bfd_engine_export(s->node[0].engine, 0, m, s->now), 0);
	assert_int_equal(bfd_engine_import(other, 0, m, s->now), -EEXIST);
	assert_int_equal(bfd_engine_import(s->node[0].engine, 0, m, s->now), 0);
	bfd_moved_destroy(m);
	bfd_engine_destroy(other);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_notices),
		cmocka_unit_test(test_detection_after_a_move),
		cmocka_unit_test(test_poll_goes_on),
		cmocka_unit_test(test_between_threads),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
