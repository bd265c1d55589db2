/* SPDX-License-Identifier: BSD-2-Clause */
/* The arena and the symbol table under everything else. */
#include "controlplane/config/arena.h"
#include "tests/unit/config_support.h"

static void test_memory(void **state)
{
	struct arena *a = arena_create();
	size_t sizes[] = {1, 7, 8, 9, 100, 5000, 20000, 70000, 3000000, 1, 16};

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			unsigned char *p = arena_alloc(a, sizes[i]);

			assert_int_equal((uintptr_t)p % 8, 0);
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(p[k], 0);
			memset(p, 0xee, sizes[i]); /* what comes next must still be zero */
		}
		assert_true(arena_bytes(a) >= 3000000);
		arena_reset(a);
	}
	assert_string_equal(arena_strdup(a, "abc"), "abc");
	assert_string_equal(arena_strndup(a, "abcdef", 3), "abc");
	assert_string_equal(arena_strndup(a, "", 0), "");
	assert_string_equal(arena_printf(a, "%s-%d", "x", 7), "x-7");
	assert_memory_equal(arena_memdup(a, "\1\2\3", 3), "\1\2\3", 3);
	arena_destroy(a);
	arena_destroy(NULL);
}

static char order[8];

static void note(void *arg)
{
	size_t n = strlen(order);

	order[n] = *(char *)arg;
	order[n + 1] = 0;
}

static void test_cleanups(void **state)
{
	struct arena *a = arena_create();
	char one = '1', two = '2', three = '3';

	order[0] = 0;
	arena_at_end(a, note, &one);
	arena_at_end(a, note, &two);
	arena_reset(a);
	assert_string_equal(order, "21"); /* newest first, once */
	arena_at_end(a, note, &three);
	arena_destroy(a);
	assert_string_equal(order, "213");
}

static void test_scopes(void **state)
{
	struct arena *a = arena_create();
	struct symbol_table *t = symbol_table_create(a);
	struct symbol_scope *inner = symbol_scope_push(a, t->global);
	struct symbol *outer_x, *inner_x;
	char name[16];

	assert_null(symbol_find(inner, "x"));
	outer_x = symbol_define(a, t, t->global, "x", SYM_CONSTANT);
	assert_ptr_equal(symbol_find(inner, "x"), outer_x);
	assert_null(symbol_find_here(inner, "x"));
	inner_x = symbol_define(a, NULL, inner, "x", SYM_VARIABLE);
	assert_ptr_equal(symbol_find(inner, "x"), inner_x);
	assert_ptr_equal(symbol_find(t->global, "x"), outer_x);
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		symbol_define(a, t, t->global, arena_strdup(a, name), SYM_FILTER)->line = (unsigned)i;
	}
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		assert_int_equal(symbol_find(inner, name)->line, i);
	}
	assert_ptr_equal(t->first, outer_x);
	assert_string_equal(t->last->name, "s4999");
	/* variables are no names of the configuration */
	for (const struct symbol *s = t->first; s; s = s->order_next)
		assert_int_not_equal(s->cls, SYM_VARIABLE);
	arena_destroy(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_cleanups),
		cmocka_unit_test(test_scopes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
