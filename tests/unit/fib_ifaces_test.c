/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/fib/fib.h"
#include "shared/rcu.h"
#include "tests/unit/fib_netns.h"
#include <net/if.h>
#include <setjmp.h>
#include <stdatomic.h>

#include <cmocka.h>

static struct ifaces *ifs;
static bool have_netns;

static struct ipaddr ip(const char *text)
{
	struct ipaddr a;

	assert_int_equal(ipaddr_parse(text, &a), 0);
	return a;
}

static int start(void **state)
{
	rcu_register_thread();
	have_netns = netns_enter();
	if (!have_netns)
		return 0;
	sh("echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad; echo 0 "
	   ">/proc/sys/net/ipv6/conf/all/accept_dad;"
	   "ip link set lo up; ip link add a0 type veth peer name a1; ip link set a0 up; ip link set a1 up;"
	   "ip addr add 192.0.2.2/24 dev a0; ip addr add 192.0.2.3/24 dev a0; ip addr add 10.0.0.1 peer "
	   "10.9.9.9/32 dev a0;"
	   "ip -6 addr add 2001:db8:1::2/64 dev a0 nodad");
	ifs = ifaces_create();
	return ifs ? 0 : -1;
}

static int stop(void **state)
{
	ifaces_destroy(ifs);
	rcu_unregister_thread();
	return 0;
}

#define NEED_NETNS                                                                                           \
	do {                                                                                                 \
		if (!have_netns)                                                                             \
			skip();                                                                              \
	} while (0)

static void test_first_scan(void **state)
{
	struct iface_view v;
	struct ipaddr local, a;

	NEED_NETNS;
	ifaces_wait_scan(ifs);
	assert_true(ifaces_by_name(ifs, "a0", &v));
	assert_int_equal(v.ifindex, if_nametoindex("a0"));
	assert_true(v.up);
	assert_int_equal(v.mtu, 1500);
	assert_string_equal(ifaces_name(v.ifindex), "a0");
	assert_string_equal(ifaces_name(9999), "");
	assert_false(ifaces_by_name(ifs, "a", &v));
	assert_false(ifaces_by_name(ifs, "zz", &v));

	a = ip("192.0.2.200");
	assert_true(ifaces_for_neighbor(ifs, &a, &v, &local));
	assert_string_equal(v.name, "a0");
	assert_memory_equal(&local, (struct ipaddr[]){ip("192.0.2.2")}, sizeof(local));
	a = ip("10.9.9.9");
	assert_true(ifaces_for_neighbor(ifs, &a, &v, &local));
	assert_memory_equal(&local, (struct ipaddr[]){ip("10.0.0.1")}, sizeof(local));
	a = ip("10.9.9.8");
	assert_false(ifaces_for_neighbor(ifs, &a, &v, NULL));
	a = ip("2001:db8:1::77");
	assert_true(ifaces_for_neighbor(ifs, &a, NULL, &local));
	a = ip("fe80::1");
	assert_false(ifaces_for_neighbor(ifs, &a, NULL, NULL));
	assert_true(ifaces_neighbor_on(ifs, &a, if_nametoindex("a0"), &local));
	assert_true(ipaddr_is_link_local(&local));
	a = ip("127.3.2.1"); /* nobody's neighbour is on loopback */
	assert_false(ifaces_for_neighbor(ifs, &a, NULL, NULL));

	a = ip("192.0.2.2");
	assert_true(ifaces_is_local(ifs, &a));
	a = ip("192.0.2.1");
	assert_false(ifaces_is_local(ifs, &a));
	a = ip("::1");
	assert_true(ifaces_is_local(ifs, &a));

	assert_true(ifaces_by_name(ifs, "a0", &v));
	unsigned primary = 0, secondary = 0;
	for (unsigned k = 0; k < v.n_addrs; k++) {
		primary += v.addrs[k].primary;
		secondary += v.addrs[k].secondary;
		if (v.addrs[k].secondary)
			assert_memory_equal(&v.addrs[k].addr, (struct ipaddr[]){ip("192.0.2.3")}, 16);
	}
	assert_int_equal(primary, 3); /* IPv4, IPv6, link-local */
	assert_int_equal(secondary, 1);
}

static _Atomic unsigned n_changed;
static _Atomic uint32_t last_changed;

static void changed(void *ctx, uint32_t ifindex)
{
	last_changed = ifindex;
	n_changed++;
}

static bool is_down(void *arg)
{
	struct iface_view v;

	return ifaces_by_name(ifs, arg, &v) && !v.up;
}

static bool is_gone(void *arg)
{
	struct iface_view v;

	return !ifaces_by_name(ifs, arg, &v);
}

static bool is_there(void *arg)
{
	return !is_gone(arg);
}

static bool is_local(void *arg)
{
	return ifaces_is_local(ifs, arg);
}

static bool is_not_local(void *arg)
{
	return !ifaces_is_local(ifs, arg);
}

static bool was_told(void *arg)
{
	return atomic_load(&last_changed) == *(uint32_t *)arg;
}

static void test_changes(void **state)
{
	struct ipaddr a = ip("198.51.100.1");
	struct iface_view v;
	uint32_t index;

	NEED_NETNS;
	ifaces_subscribe(ifs, changed, NULL);
	sh("ip addr add 198.51.100.1/25 dev a1");
	assert_true(wait_for(is_local, &a));
	index = if_nametoindex("a1");
	assert_true(wait_for(was_told, &index));
	assert_true(ifaces_by_name(ifs, "a1", &v));
	sh("ip addr del 198.51.100.1/25 dev a1");
	assert_true(wait_for(is_not_local, &a));

	/* The other end of a veth pair is its carrier. */
	sh("ip link set a1 down");
	assert_true(wait_for(is_down, "a0"));
	assert_true(ifaces_by_name(ifs, "a0", &v));
	assert_true(v.flags & IFF_UP);
	sh("ip link set a1 up");

	sh("ip link add x0 type veth peer name x1");
	assert_true(wait_for(is_there, "x1"));
	sh("ip link set x1 name y1");
	assert_true(wait_for(is_there, "y1"));
	assert_true(is_gone("x1"));
	sh("ip link del x0");
	assert_true(wait_for(is_gone, "y1"));

	ifaces_unsubscribe(ifs, changed, NULL);
	unsigned before = n_changed;
	sh("ip addr add 198.51.100.1/25 dev a1");
	assert_true(wait_for(is_local, &a));
	assert_int_equal(n_changed, before);
	sh("ip addr del 198.51.100.1/25 dev a1");
	assert_true(wait_for(is_not_local, &a));
}

/* The longest network wins, and of equal ones that which is up. */
static void test_neighbor_choice(void **state)
{
	struct ipaddr a = ip("192.0.2.130"), b = ip("203.0.113.5"), present = ip("203.0.113.2");
	struct iface_view v;

	NEED_NETNS;
	sh("ip link add b0 type veth peer name b1; ip link set b0 up; ip link set b1 up;"
	   "ip addr add 192.0.2.129/26 dev b0; ip addr add 203.0.113.1/24 dev b0; ip addr add 203.0.113.2/24 "
	   "dev a0");
	assert_true(wait_for(is_local, &present));
	assert_true(ifaces_for_neighbor(ifs, &a, &v, NULL));
	assert_string_equal(v.name, "b0");
	sh("ip link set a1 down");
	assert_true(wait_for(is_down, "a0"));
	assert_true(ifaces_for_neighbor(ifs, &b, &v, NULL));
	assert_string_equal(v.name, "b0");
	sh("ip link set a1 up; ip link set b1 down");
	assert_true(wait_for(is_down, "b0"));
	assert_true(ifaces_for_neighbor(ifs, &b, &v, NULL));
	assert_string_equal(v.name, "a0");
	sh("ip link del b0");
	assert_true(wait_for(is_gone, "b0"));
}

/* Enough at once to overrun nothing but order: the last state of each is what is seen. */
static void test_many(void **state)
{
	struct ipaddr last = ip("10.77.3.231");
	char path[] = "/tmp/fib-ifaces-XXXXXX";
	int fd;
	FILE *f;

	NEED_NETNS;
	fd = mkstemp(path);
	f = fdopen(fd, "w");
	for (int k = 0; k < 1000; k++)
		fprintf(f, "addr add 10.77.%d.%d/32 dev a0\n", k / 256, k % 256);
	fclose(f);
	sh("ip -batch %s", path);
	assert_true(wait_for(is_local, &last));
	for (int k = 0; k < 1000; k++) {
		struct ipaddr a = ipaddr_v4(htonl(0x0a4d0000u + (unsigned)k));
		assert_true(ifaces_is_local(ifs, &a));
	}
	struct iface_view v;
	assert_true(ifaces_by_name(ifs, "a0", &v));
	assert_int_equal(v.n_addrs, 32);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_scan),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_neighbor_choice),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
