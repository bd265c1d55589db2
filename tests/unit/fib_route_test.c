/* SPDX-License-Identifier: BSD-2-Clause */
/* Routes and groups: what the RIB says is what the kernel does. */
#include "tests/unit/fib_lab.h"

static void test_install_replace_delete(void **state)
{
	NEED_LAB(&lab);
	lab_announce(&lab, lab.one, "192.0.2.0/24", "10.1.0.2", 200);
	expect_via("192.0.2.1", "10.1.0.2");
	assert_non_null(strstr(output("ip route show 192.0.2.0/24"), "metric 32"));
	lab_announce(&lab, lab.one, "192.0.2.0/24", "10.2.0.2", 200);
	expect_via("192.0.2.1", "10.2.0.2");
	assert_int_equal(kernel_routes(), 1);
	lab_announce(&lab, lab.one6, "2001:db8:ffff::/48", "2001:db8:1::2", 200);
	expect_via("2001:db8:ffff::1", "2001:db8:1::2");
	lab_announce(&lab, lab.one6, "::/0", "2001:db8:2::2", 200);
	expect_via("2001:1::1", "2001:db8:2::2");
	lab_announce(&lab, lab.one, "0.0.0.0/0", "10.3.0.2", 200);
	expect_via("9.9.9.9", "10.3.0.2");
	expect_in_step(&lab);
	lab_withdraw(lab.one, "192.0.2.0/24");
	lab_withdraw(lab.one, "0.0.0.0/0");
	lab_withdraw(lab.one6, "2001:db8:ffff::/48");
	lab_withdraw(lab.one6, "::/0");
	expect_routes(0);
	assert_true(wait_for(no_nexthops, NULL)); /* freed when unused */
	expect_in_step(&lab);
}

static void test_kinds(void **state)
{
	static const enum route_dest dest[] = {RTD_BLACKHOLE, RTD_UNREACHABLE, RTD_PROHIBIT};
	static const char *const word[] = {"blackhole", "unreachable", "prohibit"};

	NEED_LAB(&lab);
	for (int i = 0; i < 3; i++) {
		struct attrs a = {.dest = dest[i], .preference = 200};
		lab_announce_id(lab.one, "198.51.100.0/24", attrs_intern(&a));
		lab_announce_id(lab.one6, "2001:db8:fffe::/48", attrs_intern(&a));
		expect_routes(2);
		for (int tries = 0;
			tries < 500 &&
			!strstr(output("ip route show 198.51.100.0/24; ip -6 route show 2001:db8:fffe::/48"),
				word[i]);
			tries++)
			usleep(2000);
		assert_non_null(strstr(output("ip route show 198.51.100.0/24"), word[i]));
		expect_in_step(&lab);
	}
	/* From a kind without next hops to one with, and back. */
	lab_announce(&lab, lab.one, "198.51.100.0/24", "10.1.0.2", 200);
	expect_via("198.51.100.1", "10.1.0.2");
	lab_withdraw(lab.one, "198.51.100.0/24");
	lab_withdraw(lab.one6, "2001:db8:fffe::/48");
	expect_routes(0);
}

/* A thousand prefixes, two sources: one group, which shows best and backup. */
static void test_groups_shared(void **state)
{
	uint32_t best, backup;

	NEED_LAB(&lab);
	best = lab_attrs(&lab, "10.1.0.2", 200);
	backup = lab_attrs(&lab, "10.2.0.2", 100);
	lab_announce_many(lab.one, false, 0, 1000, best);
	lab_announce_many(lab.two, false, 0, 1000, backup);
	expect_routes(1000);
	expect_in_step(&lab);
	/* The group without backup, from before the second source came, goes in the end. */
	for (int i = 0; i < 2000 && count_lines(output("ip nexthop show proto %d groups", LAB_PROTO)) != 1;
		i++)
		usleep(5000);
	assert_int_equal(count_lines(output("ip nexthop show proto %d groups", LAB_PROTO)), 1);
	assert_non_null(strstr(output("ip nexthop show proto %d groups", LAB_PROTO), "type resilient"));
	/* Best has every bucket. */
	const char *o = output(
		"ip nexthop bucket show | grep \"nhid $(ip nexthop show proto %d | grep 'via 10.1.0.2' | "
		"grep -o '10[0-9]*' | head -1)\"",
		LAB_PROTO);
	assert_int_equal(count_lines(o), 32);
	expect_via("20.0.5.1", "10.1.0.2");
	for (uint32_t i = 0; i < 1000; i++) {
		char p[PREFIX_STRLEN];
		struct net n = lab_net4(i);
		lab_withdraw(lab.one, prefix_format(&n.prefix, p));
	}
	expect_via("20.0.5.1", "10.2.0.2");
	for (uint32_t i = 0; i < 1000; i++) {
		char p[PREFIX_STRLEN];
		struct net n = lab_net4(i);
		lab_withdraw(lab.two, prefix_format(&n.prefix, p));
	}
	expect_routes(0);
	assert_true(wait_for(no_nexthops, NULL));
	attrs_release(best);
	attrs_release(backup);
}

static void test_ecmp_and_weights(void **state)
{
	struct attr_nexthop nh[2] = {{.gw = ip("10.1.0.2"), .ifindex = lab.a, .weight = 3},
		{.gw = ip("10.2.0.2"), .ifindex = lab.b, .weight = 1}};
	struct attrs a = {.dest = RTD_UNICAST, .preference = 200, .nexthop = nh, .n_nexthop = 2};
	unsigned na = 0, nb = 0;

	NEED_LAB(&lab);
	lab_announce_id(lab.one, "198.51.100.0/24", attrs_intern(&a));
	expect_routes(1);
	for (int i = 1; i < 250; i++) {
		char dst[32];
		snprintf(dst, sizeof(dst), "198.51.100.%d", i);
		const char *gw = via(dst);
		na += !strcmp(gw, "10.1.0.2");
		nb += !strcmp(gw, "10.2.0.2");
	}
	assert_int_equal(na + nb, 249);
	assert_in_range(nb, 30, 95); /* a quarter of 249 */
	expect_in_step(&lab);
	lab_withdraw(lab.one, "198.51.100.0/24");
	expect_routes(0);
}

static void test_route_attributes(void **state)
{
	struct attr_nexthop nh = {.gw = ip("10.1.0.2"), .ifindex = lab.a, .weight = 1};
	uint32_t mtu = 1400;
	struct attr_extra extra = {.id = ATTR_EXTRA_KRT(RTAX_MTU), .type = T_INT, .len = 4, .data = &mtu};
	struct attrs a = {.dest = RTD_UNICAST,
		.preference = 200,
		.nexthop = &nh,
		.n_nexthop = 1,
		.present = ATTR_KRT_PREFSRC,
		.krt_prefsrc = ip("10.2.0.1"),
		.extra = &extra,
		.n_extra = 1};

	NEED_LAB(&lab);
	lab_announce_id(lab.one, "198.51.100.0/24", attrs_intern(&a));
	expect_routes(1);
	const char *o = output("ip route show 198.51.100.0/24");
	assert_non_null(strstr(o, "src 10.2.0.1"));
	assert_non_null(strstr(o, "mtu 1400"));
	expect_in_step(&lab);
	/* The source address goes, and the kernel removes the route without a word; with the address back it
	 * is installed. */
	sh("ip addr del 10.2.0.1/16 dev b0");
	expect_routes(0);
	sh("ip addr add 10.2.0.1/16 dev b0; ip neigh replace 10.2.0.2 lladdr 02:00:00:00:00:02 dev b0");
	struct fib_audit au;
	for (int i = 0; i < 100 && kernel_routes() != 1; i++)
		fib_audit(lab.fib, &au);
	assert_int_equal(kernel_routes(), 1);
	/* A realm needs a route with its next hop in it. */
	a.present = ATTR_KRT_REALM;
	a.krt_realm = 7;
	lab_announce_id(lab.one, "198.51.100.0/24", attrs_intern(&a));
	for (int i = 0; i < 1000 && !strstr(output("ip route show 198.51.100.0/24"), "realm"); i++)
		usleep(2000);
	assert_non_null(strstr(output("ip route show 198.51.100.0/24"), "via 10.1.0.2"));
	expect_in_step(&lab);
	lab_withdraw(lab.one, "198.51.100.0/24");
	expect_routes(0);
}

static void test_link_local_and_v4_over_v6(void **state)
{
	struct attr_nexthop nh = {.gw = ip("fe80::2"), .ifindex = lab.a, .weight = 1};
	struct attrs a = {.dest = RTD_UNICAST, .preference = 200, .nexthop = &nh, .n_nexthop = 1};

	NEED_LAB(&lab);
	lab_announce_id(lab.one6, "2001:db8:fffd::/48", attrs_intern(&a));
	lab_announce_id(lab.one, "198.51.100.0/24", attrs_intern(&a)); /* RFC 8950 */
	expect_via("2001:db8:fffd::1", "fe80::2");
	expect_via("198.51.100.1", "fe80::2");
	expect_in_step(&lab);
	/* On the interface itself. */
	nh.gw = (struct ipaddr){0};
	lab_announce_id(lab.one, "198.51.100.0/24", attrs_intern(&a));
	expect_via("198.51.100.1", "direct");
	lab_announce_id(lab.one6, "2001:db8:fffd::/48", attrs_intern(&a));
	expect_via("2001:db8:fffd::1", "direct");
	expect_in_step(&lab);
	lab_withdraw(lab.one, "198.51.100.0/24");
	lab_withdraw(lab.one6, "2001:db8:fffd::/48");
	expect_routes(0);
}

/* A next hop is found through another route, and followed when that moves: by the group, not by its routes.
 */
static void test_recursive(void **state)
{
	struct attr_nexthop nh = {.gw = ip("172.16.0.1"), .weight = 1, .flags = NH_RECURSIVE};
	struct attrs a = {.dest = RTD_UNICAST, .preference = 200, .nexthop = &nh, .n_nexthop = 1};

	NEED_LAB(&lab);
	lab_announce(&lab, lab.two, "172.16.0.0/16", "10.1.0.2", 100);
	lab_announce_id(lab.one, "198.51.100.0/24", attrs_intern(&a));
	expect_via("198.51.100.1", "10.1.0.2");
	const char *before = strdup(output("ip route show 198.51.100.0/24 | grep -o 'nhid [0-9]*'"));
	lab_announce(&lab, lab.two, "172.16.0.0/16", "10.2.0.2", 100);
	expect_via("198.51.100.1", "10.2.0.2");
	assert_string_equal(before, output("ip route show 198.51.100.0/24 | grep -o 'nhid [0-9]*'"));
	free((void *)before);
	expect_in_step(&lab);
	lab_announce(&lab, lab.two, "172.16.0.0/16", "10.1.0.2 10.3.0.2", 100);
	for (int i = 0; i < 1000 && !strstr(output("ip nexthop show proto %d groups", LAB_PROTO), "/"); i++)
		usleep(2000);
	expect_in_step(&lab);
	lab_withdraw(lab.one, "198.51.100.0/24");
	lab_withdraw(lab.two, "172.16.0.0/16");
	expect_routes(0);
	assert_true(wait_for(no_nexthops, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_install_replace_delete),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_groups_shared),
		cmocka_unit_test(test_ecmp_and_weights),
		cmocka_unit_test(test_route_attributes),
		cmocka_unit_test(test_link_local_and_v4_over_v6),
		cmocka_unit_test(test_recursive),
	};

	return cmocka_run_group_tests(tests, lab_group_start, lab_group_stop);
}
