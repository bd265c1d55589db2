/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a configuration keeps: the compiled form, not the text's trees; and that reading, replacing and
 * dropping one again and again takes no more memory the tenth time than the third.
 */
#include "tests/unit/config_support.h"
#include <malloc.h>

#define ROUTES 3000
#define MEMBERS 20

/* Every sort of thing that is compiled or interned, much of it. mark: something differs in each of them. */
static char *text_of(unsigned mark)
{
	static char *text;
	size_t size = 2000000, n = 0;

	text = text ? text : malloc(size);
	assert_non_null(text);
#define PUT(...) n += (size_t)snprintf(text + n, size - n, __VA_ARGS__)
	PUT("router id 192.0.2.1; attribute int seen;\n");
	PUT("define NETS = [ 10.0.0.0/8{%u,24}, 172.16.0.0/12+ ]; define TEXT = \"t%u\"; define PAIRS = [ "
	    "(1,%u), (2,*) ];\n",
		9 + mark % 8, mark, mark);
	PUT("define MASK = [= * %u [1, 2..%u] =]; define LIST = -empty-; define NET = 10.%u.0.0/16;\n", mark,
		3 + mark, mark % 256);
	PUT("define SUM = 1 + %u * 2; define BYTES = hex:01:%02x; define PATH = +empty+;\n", mark,
		mark % 256);
	for (unsigned i = 0; i < MEMBERS; i++) {
		PUT("function f%u(int a; prefix set allowed) -> bool { int b = a + %u; if net ~ allowed then "
		    "return true; case b { 1, 2: "
		    "bgp_local_pref = b; 3..%u: print \"x\", TEXT; else: seen = 1; } for int h in bgp_path "
		    "do b = b + h; "
		    "if bgp_path ~ [= %u * =] || bgp_community ~ PAIRS then { bgp_large_community.add((1, 2, "
		    "b)); } return b > 3; }\n",
			i, mark, 10 + mark, mark);
		PUT("filter in%u { if f%u(%u, NETS) then accept; if ! f%u(1, [ 10.%u.0.0/16+ ]) then reject "
		    "\"no\", net; accept; }\n",
			i, i, mark, i, i);
		PUT("protocol bgp m%u { local as 64500; neighbor 10.0.0.%u as %u; ipv4 { import filter in%u; "
		    "export where net ~ NETS && "
		    "bgp_path.len < %u; }; }\n",
			i, i + 2, 65000 + i, i, mark + 3);
	}
	PUT("protocol static { ipv4;\n");
	for (unsigned i = 0; i < ROUTES; i++)
		PUT("route 10.%u.%u.0/24 blackhole { bgp_path.prepend(%u); bgp_community.add((%u,%u)); "
		    "bgp_med = %u; };\n",
			i >> 8, i & 255, i + 1, mark, i, i % 7);
	PUT("}\n");
#undef PUT
	assert_true(n < size - 1);
	return text;
}

static void test_no_trees_are_kept(void **state)
{
	struct config *c = must_parse(text_of(1));
	size_t before = arena_bytes(c->arena);
	size_t routes = ROUTES * sizeof(struct static_route);

	/* the routes, the reference on each one's code, and what is not per route */
	assert_true(before < routes + ROUTES * 32 + 600000);
	config_release(c);
}

/* Bytes that malloc has given out and not got back (none under AddressSanitizer, which looks for leaks
 * itself). */
static size_t given_out(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* The allocator's rounding varies with what lies where; sixteen bytes a route in three reloads would be more
 * than this. */
static void assert_as_much(size_t now, size_t before)
{
	assert_true(now < before + 64 * 1024);
}

/* As reloads do it: one in force, one for undo, a third being read. */
static void test_reloads_do_not_add_up(void **state)
{
	struct config *undo = NULL, *now = must_parse(text_of(0));
	size_t heap = 0, arena = 0;

	for (unsigned i = 1; i <= 12; i++) {
		struct config *next = must_parse(text_of(i % 3)), *gone = undo;

		undo = now;
		now = next;
		config_release(gone);
		if (i == 6) {
			heap = given_out();
			arena = arena_bytes(now->arena) + arena_bytes(undo->arena);
		}
		if (i > 6 && i % 3 == 0) { /* the same two as at 6 */
			assert_as_much(given_out(), heap);
			assert_int_equal(arena_bytes(now->arena) + arena_bytes(undo->arena), arena);
		}
	}
	config_release(undo);
	config_release(now);
}

static void test_failed_reloads_leave_nothing(void **state)
{
	size_t heap = 0;

	for (unsigned i = 0; i < 6; i++) {
		struct config_error err;
		char *text = text_of(i % 3), *end = text + strlen(text);

		strcpy(end, "filter last { if net ~ NETS then { bogus; } }\n");
		assert_null(config_parse_text("t.conf", text, strlen(text), false, &err));
		assert_non_null(strstr(err.text, "syntax error"));
		if (i == 2)
			heap = given_out();
		if (i == 5)
			assert_as_much(given_out(), heap);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_trees_are_kept),
		cmocka_unit_test(test_reloads_do_not_add_up),
		cmocka_unit_test(test_failed_reloads_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
