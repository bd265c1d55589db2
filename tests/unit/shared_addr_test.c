/* SPDX-License-Identifier: BSD-2-Clause */
#include "shared/addr.h"
#include "shared/hash.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct ipaddr addr(const char *text)
{
	struct ipaddr a;

	assert_int_equal(ipaddr_parse(text, &a), 0);
	return a;
}

static struct prefix pfx(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static void test_text_round_trip(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"0.0.0.0", "0.0.0.0"},
		{"192.0.2.1", "192.0.2.1"},
		{"255.255.255.255", "255.255.255.255"},
		{"::", "::"},
		{"::1", "::1"},
		{"::1:2", "::0.1.0.2"},
		{"::1:0:0", "::1:0:0"},
		{"1::", "1::"},
		{"2001:DB8::A", "2001:db8::a"},
		{"2001:db8:0:0:1:0:0:0", "2001:db8:0:0:1::"},
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
		{"1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"},
		{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
		{"0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"},
		{"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
		{"::ffff:10.1.2.3", "10.1.2.3"},
		{"fe80::a00:27ff:fe4e:66a1", "fe80::a00:27ff:fe4e:66a1"},
	};
	char buf[IPADDR_STRLEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ipaddr a = addr(cases[i].in);
		assert_string_equal(ipaddr_format(&a, buf), cases[i].out);
	}
	static const char *const bad[] = {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "::g", "1::2::3",
		"fe80::1%eth0", " 1.2.3.4", "1.2.3.4 ", "1:2:3:4:5:6:7:8:9"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct ipaddr a;
		assert_int_equal(ipaddr_parse(bad[i], &a), -EINVAL);
	}
}

/* Against libc, for many values with zero groups in all places. */
static void test_format_against_libc(void **state)
{
	uint32_t seed = 1;

	for (int i = 0; i < 200000; i++) {
		uint8_t b[16];
		for (int g = 0; g < 8; g++) {
			seed = seed * 1664525 + 1013904223;
			uint16_t v = (seed >> 28) < 8 ? 0 : (uint16_t)(seed >> 12 >> (seed >> 8 & 15));
			b[2 * g] = (uint8_t)(v >> 8);
			b[2 * g + 1] = (uint8_t)v;
		}
		b[0] |= 0x10; /* libc writes ::a.b.c.d for the deprecated compatible addresses: not ours */
		char mine[IPADDR_STRLEN], theirs[INET6_ADDRSTRLEN];
		struct ipaddr a = ipaddr_v6(b);
		inet_ntop(AF_INET6, b, theirs, sizeof(theirs));
		assert_string_equal(ipaddr_format(&a, mine), theirs);
		struct ipaddr back = addr(mine);
		assert_true(ipaddr_equal(&a, &back));
	}
}

static void test_prefix_text(void **state)
{
	struct prefix p;
	char buf[PREFIX_STRLEN];

	p = pfx("10.0.0.0/8");
	assert_int_equal(p.family, 4);
	assert_int_equal(p.len, 8);
	assert_string_equal(prefix_format(&p, buf), "10.0.0.0/8");
	p = pfx("0.0.0.0/0");
	assert_string_equal(prefix_format(&p, buf), "0.0.0.0/0");
	p = pfx("::/0");
	assert_int_equal(p.family, 6);
	assert_string_equal(prefix_format(&p, buf), "::/0");
	p = pfx("2001:db8::1/128");
	assert_string_equal(prefix_format(&p, buf), "2001:db8::1/128");

	assert_int_equal(prefix_parse("10.0.0.1/8", &p), -EDOM);
	assert_string_equal(prefix_format(&p, buf), "10.0.0.0/8");
	assert_int_equal(prefix_parse("2001:db8:0:1::/48", &p), -EDOM);
	assert_string_equal(prefix_format(&p, buf), "2001:db8::/48");
	assert_int_equal(prefix_parse("10.0.0.0/33", &p), -ERANGE);
	assert_int_equal(prefix_parse("2001:db8::/129", &p), -ERANGE);
	static const char *const bad[] = {"", "/", "10.0.0.0", "10.0.0.0/", "/8", "10.0.0.0/8x",
		"10.0.0.0/-1", "10.0.0/8", "10.0.0.0/0008", "x/8", "10.0.0.0/8/8",
		"11111111111111111111111111111111111111111111111111111/8"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(prefix_parse(bad[i], &p), -EINVAL);
}

static void test_prefix_contains(void **state)
{
	static const struct {
		const char *outer, *inner;
		bool contains;
	} cases[] = {
		{"10.0.0.0/8", "10.1.0.0/16", true},
		{"10.0.0.0/8", "10.0.0.0/8", true},
		{"10.0.0.0/8", "0.0.0.0/0", false},
		{"10.0.0.0/8", "11.0.0.0/16", false},
		{"0.0.0.0/0", "203.0.113.255/32", true},
		{"0.0.0.0/0", "::/0", false},
		{"::/0", "10.0.0.0/8", false},
		{"::/0", "2001:db8::/32", true},
		{"2001:db8::/32", "2001:db8:ffff::/48", true},
		{"2001:db8::/65", "2001:db8:0:0:7fff::/80", true},
		{"2001:db8::/65", "2001:db8:0:0:8000::/80", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct prefix o = pfx(cases[i].outer), in = pfx(cases[i].inner);
		assert_int_equal(prefix_contains(&o, &in), cases[i].contains);
		assert_int_equal(prefix_contains_addr(&o, &in.addr) && in.len >= o.len, cases[i].contains);
	}
}

/* Every length of both families: the mask has exactly len bits. */
static void test_prefix_make_masks(void **state)
{
	struct ipaddr ones4 = addr("255.255.255.255"),
		      ones6 = addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");

	for (unsigned len = 0; len <= 128; len++) {
		struct prefix p = prefix_make(&ones6, len);
		for (unsigned bit = 0; bit < 128; bit++)
			assert_int_equal(p.addr.b[bit / 8] >> (7 - bit % 8) & 1, bit < len);
	}
	for (unsigned len = 0; len <= 32; len++) {
		struct prefix p = prefix_make(&ones4, len);
		assert_int_equal(p.family, 4);
		assert_true(ipaddr_is_v4(&p.addr));
		assert_int_equal(ntohl(ipaddr_to_v4(&p.addr)), len ? ~UINT32_C(0) << (32 - len) : 0);
	}
}

static void test_order(void **state)
{
	static const char *const sorted[] = {
		"0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "::/0", "2001:db8::/32"};
	size_t n = sizeof(sorted) / sizeof(*sorted);

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			struct prefix a = pfx(sorted[i]), b = pfx(sorted[j]);
			int c = prefix_cmp(&a, &b);
			assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
			assert_int_equal(prefix_equal(&a, &b), i == j);
			assert_int_equal(hash_prefix(&a, 7) == hash_prefix(&b, 7), i == j);
		}
}

static void test_sockaddr(void **state)
{
	struct sockaddr_storage ss;
	struct ipaddr a, out;
	uint16_t port;
	uint32_t scope;

	a = addr("192.0.2.7");
	assert_int_equal(ipaddr_to_sockaddr(&a, 3784, 5, &ss), sizeof(struct sockaddr_in));
	assert_int_equal(ipaddr_from_sockaddr((struct sockaddr *)&ss, &out, &port, &scope), 0);
	assert_true(ipaddr_equal(&a, &out));
	assert_int_equal(port, 3784);
	assert_int_equal(scope, 0);
	a = addr("fe80::1");
	assert_true(ipaddr_is_link_local(&a));
	assert_int_equal(ipaddr_to_sockaddr(&a, 179, 5, &ss), sizeof(struct sockaddr_in6));
	assert_int_equal(ipaddr_from_sockaddr((struct sockaddr *)&ss, &out, &port, &scope), 0);
	assert_true(ipaddr_equal(&a, &out));
	assert_int_equal(port, 179);
	assert_int_equal(scope, 5);
	ss.ss_family = AF_UNIX;
	assert_int_equal(ipaddr_from_sockaddr((struct sockaddr *)&ss, &out, NULL, NULL), -EAFNOSUPPORT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_round_trip),
		cmocka_unit_test(test_format_against_libc),
		cmocka_unit_test(test_prefix_text),
		cmocka_unit_test(test_prefix_contains),
		cmocka_unit_test(test_prefix_make_masks),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_sockaddr),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
