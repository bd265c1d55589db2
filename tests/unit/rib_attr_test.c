/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/rib_support.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t path_1_2[] = {2, 2, 0, 0, 0, 1, 0, 0, 0, 2};

static struct attrs sample(void)
{
	static const uint32_t comm[] = {65536 * 7 + 1, 65536 * 7 + 2};
	static const uint64_t ext[] = {0x0002000100000002};
	static const struct lcomm large[] = {{1, 2, 3}};
	static const uint32_t cluster[] = {9};
	static const struct attr_nexthop nh[] = {{.gw = {.w = {0, 0, 0, 5}}, .weight = 1}};
	struct attrs a = {
		.present = ATTR_ORIGIN | ATTR_AS_PATH | ATTR_MED | ATTR_COMMUNITY | ATTR_EXT_COMMUNITY |
			   ATTR_LARGE_COMMUNITY | ATTR_CLUSTER_LIST,
		.origin = ORIGIN_EGP,
		.med = 77,
		.dest = RTD_UNICAST,
		.as_path = path_1_2,
		.as_path_bytes = sizeof(path_1_2),
		.community = comm,
		.n_community = 2,
		.ext = ext,
		.n_ext = 1,
		.large = large,
		.n_large = 1,
		.cluster = cluster,
		.n_cluster = 1,
		.nexthop = nh,
		.n_nexthop = 1,
	};
	return a;
}

static void test_round_trip(void **state)
{
	struct attrs a = sample(), b;
	static const uint8_t raw[] = "hello";
	uint32_t scalar = 5;
	struct attr_extra x[] = {
		{.id = ATTR_EXTRA_CUSTOM(3), .type = T_INT, .len = 4, .data = &scalar},
		{.id = ATTR_EXTRA_BGP(99), .type = T_BYTESTRING, .flags = 0xc0, .len = 5, .data = raw},
	};
	struct attr_extra y[2] = {x[1], x[0]};
	const struct attrs *s;
	uint32_t id, id2;

	a.extra = x;
	a.n_extra = 2;
	id = attrs_intern(&a);
	assert_int_not_equal(id, 0);
	s = attrs_get(id);
	assert_int_equal(s->id, id);
	assert_int_equal(s->med, 77);
	assert_int_equal(s->as_path_bytes, 10);
	assert_memory_equal(s->as_path, path_1_2, 10);
	assert_int_equal(s->path_len, 2);
	assert_int_equal(s->first_as, 1);
	assert_int_equal(s->last_as, 2);
	assert_int_equal(s->community[1], 65536 * 7 + 2);
	assert_int_equal(s->ext[0], 0x0002000100000002);
	assert_int_equal(s->large[0].data2, 3);
	assert_int_equal(s->cluster[0], 9);
	assert_int_equal(s->nexthop[0].gw.w[3], 5);
	assert_int_equal(s->n_extra, 2);
	assert_int_equal(s->extra[0].id, ATTR_EXTRA_BGP(99));
	assert_memory_equal(attrs_find_extra(s, ATTR_EXTRA_BGP(99))->data, raw, 5);
	assert_memory_equal(attrs_find_extra(s, ATTR_EXTRA_CUSTOM(3))->data, &scalar, 4);
	assert_null(attrs_find_extra(s, 1));

	/* The order of extras and what is in the derived and absent fields do not count. */
	a.extra = y;
	a.path_len = 1000;
	a.derived = 0xff;
	a.local_pref = 4711;
	a.aigp = 1;
	a.hash = 5;
	a.id = 6;
	id2 = attrs_intern(&a);
	assert_int_equal(id, id2);
	assert_int_equal(attrs_references(id), 2);

	/* An interned set is a good argument. */
	b = *s;
	assert_int_equal(attrs_intern(&b), id);
	b.med = 78;
	id2 = attrs_intern(&b);
	assert_int_not_equal(id2, id);
	b.present &= ~(uint32_t)ATTR_MED;
	b.extra = NULL;
	b.n_extra = 0;
	attrs_release(id2);
	id2 = attrs_intern(&b);
	assert_int_equal(attrs_get(id2)->med, 0);
	attrs_release(id2);
	attrs_release_n(id, 3);
}

/* Every field that counts makes another set. */
static void test_every_field_counts(void **state)
{
	struct attrs base = sample();
	uint32_t ids[64];
	unsigned n = 0;

	ids[n++] = attrs_intern(&base);
#define VARY(...)                                                                                            \
	do {                                                                                                 \
		struct attrs a = base;                                                                       \
		__VA_ARGS__;                                                                                 \
		ids[n++] = attrs_intern(&a);                                                                 \
	} while (0)
	VARY(a.origin = ORIGIN_IGP);
	VARY(a.med++);
	VARY(a.present |= ATTR_LOCAL_PREF);
	VARY(a.present |= ATTR_LOCAL_PREF; a.local_pref = 1);
	VARY(a.present |= ATTR_OTC; a.otc = 1);
	VARY(a.present |= ATTR_IGP_METRIC; a.igp_metric = 1);
	VARY(a.present |= ATTR_ORIGINATOR; a.originator_id = 1);
	VARY(a.present |= ATTR_AGGREGATOR; a.aggregator_as = 1);
	VARY(a.present |= ATTR_AGGREGATOR; a.aggregator_id = 1);
	VARY(a.present |= ATTR_AIGP; a.aigp = UINT64_C(1) << 40);
	VARY(a.present |= ATTR_FROM; a.from.w[3] = 1);
	VARY(a.present |= ATTR_WEIGHT; a.weight = 1);
	VARY(a.present |= ATTR_NEXT_HOP; a.next_hop.w[0] = 1);
	VARY(a.present |= ATTR_NEXT_HOP; a.next_hop_ll.w[0] = 1);
	VARY(a.present |= ATTR_KRT_PREFSRC; a.krt_prefsrc.w[0] = 1);
	VARY(a.present |= ATTR_KRT_METRIC; a.krt_metric = 1);
	VARY(a.present |= ATTR_KRT_SOURCE; a.krt_source = 1);
	VARY(a.present |= ATTR_KRT_REALM; a.krt_realm = 1);
	VARY(a.present |= ATTR_KRT_SCOPE; a.krt_scope = 1);
	VARY(a.present |= ATTR_ATOMIC);
	VARY(a.preference = 1);
	VARY(a.scope = SCOPE_LINK);
	VARY(a.dest = RTD_BLACKHOLE);
	VARY(a.as_path_bytes = 6; a.as_path = (const uint8_t *)"\2\1\0\0\0\1");
	VARY(a.as_path = (const uint8_t *)"\2\2\0\0\0\1\0\0\0\3");
	VARY(a.n_community = 1);
	VARY(a.n_community = 0);
	VARY(a.n_community = 0; a.present &= ~(uint32_t)ATTR_COMMUNITY);
	VARY(a.n_ext = 0);
	VARY(a.n_large = 0);
	VARY(a.n_cluster = 0);
	VARY(a.n_nexthop = 0);
	VARY(struct attr_nexthop h = base.nexthop[0]; h.flags = NH_RECURSIVE; a.nexthop = &h);
	VARY(struct attr_extra x = {.id = 0x1ff}; a.extra = &x; a.n_extra = 1);
	VARY(struct attr_extra x = {.id = 0x1ff, .len = 1, .data = "a"}; a.extra = &x; a.n_extra = 1);
	VARY(struct attr_extra x = {.id = 0x1ff, .len = 2, .data = "ab"}; a.extra = &x; a.n_extra = 1);
	VARY(struct attr_extra x = {.id = 0x1ff, .len = 2, .data = "ac"}; a.extra = &x; a.n_extra = 1);
#undef VARY
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(ids[i], ids[j]);
	for (unsigned i = 0; i < n; i++)
		attrs_release(ids[i]);
}

static void test_derived(void **state)
{
	static const uint32_t comm[] = {0xffff0006, 0xffff0007};
	static const uint8_t confed[] = {3, 1, 0, 0, 0, 9, 2, 1, 0, 0, 0, 8};
	struct attrs a = {.present = ATTR_COMMUNITY | ATTR_AS_PATH,
		.community = comm,
		.n_community = 2,
		.as_path = confed,
		.as_path_bytes = sizeof(confed)};
	uint32_t id = attrs_intern(&a);
	const struct attrs *s = attrs_get(id);

	assert_int_equal(s->derived, ATTRD_LLGR_COMMUNITY | ATTRD_NO_LLGR | ATTRD_CONFED_PATH);
	assert_int_equal(s->first_as, 0);
	assert_int_equal(as_path_first_regular(s->as_path, s->as_path_bytes), 8);
	assert_int_equal(s->path_len, 1);
	attrs_release(id);
}

static void test_freed(void **state)
{
	enum { N = 20000 };
	struct attrs a = sample();
	struct attrs_usage before, full, after;
	uint32_t *ids = malloc(N * sizeof(*ids)), max = 0, again = 0;

	attrs_usage(&before);
	for (unsigned i = 0; i < N; i++) {
		a.med = i;
		ids[i] = attrs_intern(&a);
		if (ids[i] > max)
			max = ids[i];
	}
	attrs_usage(&full);
	assert_int_equal(full.sets - before.sets, N);
	for (unsigned i = 0; i < N; i++) {
		a.med = i;
		assert_int_equal(attrs_intern(&a), ids[i]);
		assert_int_equal(attrs_get(ids[i])->med, i);
	}
	for (unsigned i = 0; i < N; i++)
		attrs_release_n(ids[i], 2);
	attrs_usage(&after);
	assert_int_equal(after.sets, before.sets);
	rcu_barrier();
	rcu_barrier();
	/* Ids come back. */
	for (unsigned i = 0; i < N; i++) {
		a.med = i + N;
		ids[i] = attrs_intern(&a);
		if (ids[i] > again)
			again = ids[i];
	}
	assert_true(again <= max + 64 * 32);
	for (unsigned i = 0; i < N; i++)
		attrs_release(ids[i]);
	free(ids);
}

/* A reader that found an id in shared state keeps its set for its critical section. */
static void test_reader_keeps_pointer(void **state)
{
	struct attrs a = sample();
	uint32_t id;
	const struct attrs *s;

	a.med = 123456;
	id = attrs_intern(&a);
	rcu_read_lock();
	s = attrs_get(id);
	attrs_release(id);
	a.med = 5;
	for (unsigned i = 0; i < 1000; i++) {
		uint32_t other;

		a.med = 1000000 + i;
		other = attrs_intern(&a);
		assert_int_not_equal(other, id);
		attrs_release(other);
	}
	assert_ptr_equal(attrs_get(id), s);
	assert_int_equal(s->med, 123456);
	assert_int_equal(s->community[0], 65536 * 7 + 1);
	rcu_read_unlock();
}

enum { THREADS = 4, ROUNDS = 20000, VALUES = 61 };
static _Atomic uint32_t shared_id[VALUES];

static void *hammer(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	struct attrs a = sample();

	rcu_register_thread();
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t v = (uint32_t)rand_r(&seed) % VALUES, id, old;

		a.med = v;
		id = attrs_intern(&a);
		if (attrs_get(id)->med != v)
			abort();
		attrs_hold_n(id, 3);
		attrs_release_n(id, 3);
		/* Hands its reference over and drops another thread's. */
		old = atomic_exchange(&shared_id[v], id);
		attrs_release(old);
		rcu_read_lock();
		id = atomic_load(&shared_id[v]);
		if (id && attrs_get(id)->med != v)
			abort();
		if (i % 3 == 0)
			attrs_release(atomic_exchange(&shared_id[v], 0));
		rcu_read_unlock();
	}
	rcu_unregister_thread();
	return NULL;
}

static void test_concurrent(void **state)
{
	pthread_t t[THREADS];
	struct attrs_usage u;

	for (unsigned i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, hammer, (void *)(uintptr_t)(i + 1));
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (unsigned v = 0; v < VALUES; v++)
		attrs_release(shared_id[v]);
	attrs_usage(&u);
	assert_int_equal(u.sets, 0);
}

static void test_paths(void **state)
{
	static const uint8_t set_end[] = {2, 1, 0, 0, 0, 1, 1, 2, 0, 0, 0, 5, 0, 0, 0, 6};
	static const uint8_t truncated[] = {2, 3, 0, 0, 0, 1};
	uint8_t out[2048], full[2 + 4 * 255];
	unsigned n;

	assert_int_equal(as_path_length(NULL, 0), 0);
	assert_int_equal(as_path_first(NULL, 0), 0);
	assert_int_equal(as_path_length(set_end, sizeof(set_end)), 2);
	assert_int_equal(as_path_last(set_end, sizeof(set_end)), 0);
	assert_int_equal(as_path_last_nonaggregated(set_end, sizeof(set_end)), 1);
	assert_true(as_path_contains(set_end, sizeof(set_end), 6));
	assert_false(as_path_contains(set_end, sizeof(set_end), 7));
	assert_int_equal(as_path_length(truncated, sizeof(truncated)), 0);

	n = as_path_prepend(NULL, 0, 7, 2, out);
	assert_int_equal(n, 6);
	assert_memory_equal(out, "\2\1\0\0\0\7", 6);
	n = as_path_prepend(out, n, 8, 2, out);
	assert_int_equal(n, 10);
	assert_memory_equal(out, "\2\2\0\0\0\10\0\0\0\7", 10);
	n = as_path_prepend(out, n, 9, 3, out);
	assert_int_equal(n, 16);
	assert_memory_equal(out, "\3\1\0\0\0\11\2\2", 8);
	memset(full, 1, sizeof(full));
	full[0] = 2;
	full[1] = 255;
	n = as_path_prepend(full, sizeof(full), 3, 2, out);
	assert_int_equal(n, sizeof(full) + 6);
	assert_int_equal(as_path_length(out, n), 256);
	assert_int_equal(as_path_count(out, n, 0x01010101), 255);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, rib_test_setup, rib_test_teardown),
		cmocka_unit_test_setup_teardown(test_every_field_counts, rib_test_setup, rib_test_teardown),
		cmocka_unit_test_setup_teardown(test_derived, rib_test_setup, rib_test_teardown),
		cmocka_unit_test_setup_teardown(test_freed, rib_test_setup, rib_test_teardown),
		cmocka_unit_test_setup_teardown(test_reader_keeps_pointer, rib_test_setup, rib_test_teardown),
		cmocka_unit_test_setup_teardown(test_concurrent, rib_test_setup, rib_test_teardown),
		cmocka_unit_test(test_paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
