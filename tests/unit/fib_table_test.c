/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/fib/table.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct prefix v4(uint32_t addr, uint8_t len)
{
	struct ipaddr a = ipaddr_v4(htonl(addr));

	return prefix_make(&a, len);
}

static struct prefix v6(uint32_t n, uint8_t len)
{
	struct ipaddr a = {.b = {0x20, 1, 0xd, 0xb8, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};

	return prefix_make(&a, len);
}

static void test_take_find_remove(void **state)
{
	struct table t;
	struct prefix a = v4(0x0a000000, 8), b = v4(0x0a000000, 9), d = v4(0, 0);
	struct route *r;

	table_init(&t, 4);
	assert_null(table_find(&t, &a));
	r = table_take(&t, &a);
	assert_int_equal(r->group, 0);
	r->group = 7;
	r->flags = ROUTE_IN_KERNEL;
	assert_null(table_find(&t, &b)); /* the same address, another length */
	table_take(&t, &d)->group = 9;
	assert_int_equal(table_find(&t, &a)->group, 7);
	assert_int_equal(table_find(&t, &d)->group, 9);
	assert_int_equal(t.n, 2);
	struct prefix back = route_prefix(&t, table_find(&t, &a));
	assert_true(prefix_equal(&back, &a));
	table_remove(&t, table_find(&t, &a));
	assert_null(table_find(&t, &a));
	assert_int_equal(table_find(&t, &d)->group, 9);
	table_free(&t);
}

/* Against a plain array, through growth and many removals. */
static void test_model(void **state)
{
	for (int family = 4; family <= 6; family += 2) {
		enum { N = 5000 };
		static uint32_t model[N];
		struct table t;
		unsigned n = 0;

		memset(model, 0, sizeof(model));
		table_init(&t, (uint8_t)family);
		srandom(1);
		for (int step = 0; step < 60000; step++) {
			uint32_t k = (uint32_t)random() % N;
			struct prefix p = family == 4 ? v4(k << 12, 20) : v6(k, 56);
			struct route *r = table_find(&t, &p);
			assert_int_equal(r ? r->group : 0, model[k]);
			if (random() % 5 < (step / 15000) % 4 + 1 && !r) {
				model[k] = (uint32_t)step + 1;
				table_take(&t, &p)->group = model[k];
				n++;
			} else if (r) {
				table_remove(&t, r);
				model[k] = 0;
				n--;
			}
			assert_int_equal(t.n, n);
		}
		unsigned found = 0;
		for (uint32_t s = 0; s <= t.mask; s++)
			found += table_at(&t, s)->group != 0;
		assert_int_equal(found, n);
		for (uint32_t k = 0; k < N; k++) {
			struct prefix p = family == 4 ? v4(k << 12, 20) : v6(k, 56);
			struct route *r = table_find(&t, &p);
			assert_int_equal(r ? r->group : 0, model[k]);
		}
		table_free(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take_find_remove),
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
