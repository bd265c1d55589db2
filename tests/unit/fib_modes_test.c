/* SPDX-License-Identifier: BSD-2-Clause */
/* Kernels that can do less, neighbours that do not answer, interfaces that come again. */
#include "controlplane/fib/fib_priv.h"
#include "tests/unit/fib_lab.h"
#include "tests/unit/fib_prepared.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

static bool objects, resilient;

static void set_abilities(void *arg)
{
	struct fib *f = arg;

	f->nh.objects = objects;
	f->nh.resilient = resilient;
}

static void restart(bool with_objects, bool with_resilient)
{
	objects = with_objects;
	resilient = with_resilient;
	lab_close_channels(&lab, false);
	fib_destroy(lab.fib, false);
	lab_fib(&lab, true);
	loop_call_sync(lab.fib->loop, set_abilities, lab.fib);
	lab_channels(&lab);
}

static void scenario(void)
{
	lab_announce(&lab, lab.two, "198.51.100.0/24", "10.2.0.2", 100);
	lab_announce(&lab, lab.one, "198.51.100.0/24", "10.1.0.2", 200);
	lab_announce(&lab, lab.two6, "2001:db8:ff::/48", "2001:db8:2::2", 100);
	lab_announce(&lab, lab.one6, "2001:db8:ff::/48", "2001:db8:1::2", 200);
	lab_announce(&lab, lab.one, "203.0.113.0/24", "10.1.0.2 10.2.0.2", 200);
	expect_via("198.51.100.1", "10.1.0.2");
	expect_via("2001:db8:ff::1", "2001:db8:1::2");
	expect_routes(3);
	expect_in_step(&lab);
	link_event(&lab, "10.1.0.2", lab.a, false);
	link_event(&lab, "2001:db8:1::2", lab.a, false);
	if (objects) { /* without them only BGP moves routes */
		expect_via("198.51.100.1", "10.2.0.2");
		expect_via("2001:db8:ff::1", "2001:db8:2::2");
	}
	lab_announce(&lab, lab.one, "198.51.100.0/24", "10.3.0.2", 200);
	expect_via("198.51.100.1", "10.3.0.2");
	expect_in_step(&lab);
	link_event(&lab, "10.1.0.2", lab.a, true);
	link_event(&lab, "2001:db8:1::2", lab.a, true);
	lab_announce(&lab, lab.one, "198.51.100.0/24", "10.1.0.2", 200);
	expect_via("198.51.100.1", "10.1.0.2");
	expect_via("2001:db8:ff::1", "2001:db8:1::2");
	expect_in_step(&lab);
	sh("ip route del 198.51.100.0/24");
	expect_via("198.51.100.1", "10.1.0.2");
	lab_withdraw(lab.one, "198.51.100.0/24");
	expect_via("198.51.100.1", "10.2.0.2");
	lab_withdraw(lab.two, "198.51.100.0/24");
	lab_withdraw(lab.one, "203.0.113.0/24");
	lab_withdraw(lab.one6, "2001:db8:ff::/48");
	lab_withdraw(lab.two6, "2001:db8:ff::/48");
	expect_routes(0);
	assert_true(wait_for(no_nexthops, NULL));
}

static void test_plain_routes(void **state)
{
	NEED_LAB(&lab);
	restart(false, false);
	scenario();
}

static void test_ordinary_groups(void **state)
{
	NEED_LAB(&lab);
	restart(true, false);
	scenario();
	restart(true, true);
	scenario();
}

/* The gateway does not answer ARP any more. */
static void test_neighbour_unreachable(void **state)
{
	struct fib_failover_view v[4];

	NEED_LAB(&lab);
	sh("echo 50 >/proc/sys/net/ipv4/neigh/a0/retrans_time_ms; ip neigh del 10.1.0.2 dev a0");
	lab_announce(&lab, lab.two, "198.51.100.0/24", "10.2.0.2", 100);
	lab_announce(&lab, lab.one, "198.51.100.0/24", "10.1.0.2", 200);
	expect_via("198.51.100.1", "10.1.0.2");
	expect_in_step(&lab);
	sh("ping -c 1 -W 1 198.51.100.1 >/dev/null 2>&1 || true");
	expect_via("198.51.100.1", "10.2.0.2");
	assert_true(fib_failovers(lab.fib, v, 4) > 0);
	assert_string_equal(v[0].reason, "neighbour unreachable");
	/* It stays so while it does not answer, and ends when it does. */
	sh("ip neigh replace 10.1.0.2 lladdr 02:00:00:00:00:01 dev a0");
	expect_via("198.51.100.1", "10.1.0.2");
	lab_withdraw(lab.one, "198.51.100.0/24");
	lab_withdraw(lab.two, "198.51.100.0/24");
	expect_routes(0);
}

static bool has_b(void *arg)
{
	struct iface_view v;

	return ifaces_by_name(lab.ifaces, "b0", &v) && v.up && v.n_addrs > 1 && v.ifindex != lab.b;
}

/* An interface goes for good and one of the same name comes: next hops that name no interface follow. */
static void test_interface_again(void **state)
{
	struct attr_nexthop nh = {.gw = ip("10.2.0.2"), .weight = 1};
	struct attrs a = {.dest = RTD_UNICAST, .preference = 200, .nexthop = &nh, .n_nexthop = 1};

	NEED_LAB(&lab);
	lab_announce_id(lab.one, "198.51.100.0/24", attrs_intern(&a));
	expect_via("198.51.100.1", "10.2.0.2");
	sh("ip link del b0");
	expect_via("198.51.100.1", "");
	sh("ip link add b0 type veth peer name b1; ip link set b0 up; ip link set b1 up; ip addr add "
	   "10.2.0.1/16 dev b0");
	expect_via("198.51.100.1", "10.2.0.2");
	assert_true(wait_for(has_b, NULL));
	expect_in_step(&lab);
	lab_withdraw(lab.one, "198.51.100.0/24");
	expect_routes(0);
}

/* The calling thread's bpf() with this command fails, and that of threads that it makes. */
static bool refuse_bpf(uint32_t cmd, uint32_t err)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 3),
		BPF_STMT(
			BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])), /* little endian */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, cmd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = {sizeof(f) / sizeof(*f), f};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) == 0;
}

static const struct refusal {
	uint32_t cmd, err;
	const char *where;
} refusals[] = {
	{BPF_MAP_CREATE, EPERM, "(BPF maps: Operation not permitted)"},   /* no CAP_BPF */
	{BPF_PROG_LOAD, EPERM, "(BPF program: Operation not permitted)"}, /* no CAP_NET_ADMIN */
	{BPF_LINK_CREATE, EINVAL, "(BPF attachment: Invalid argument)"},  /* no tcx */
};

static bool could_refuse;

static void *restart_refused(void *arg)
{
	const struct refusal *r = arg;

	rcu_register_thread();
	could_refuse = refuse_bpf(r->cmd, r->err);
	restart(true, true);
	rcu_unregister_thread();
	return NULL;
}

/* What it said on stderr meanwhile. */
static void restart_heard(const struct refusal *r, char *said, size_t size)
{
	FILE *heard = tmpfile();
	int err = dup(STDERR_FILENO);
	pthread_t t;
	size_t n;

	assert_non_null(heard);
	dup2(fileno(heard), STDERR_FILENO);
	pthread_create(&t, NULL, restart_refused, (void *)r);
	pthread_join(t, NULL);
	dup2(err, STDERR_FILENO);
	close(err);
	rewind(heard);
	n = fread(said, 1, size - 1, heard);
	said[n] = '\0';
	fclose(heard);
}

/* Where bpf() is refused, at whichever step, one line says so, and losses are netlink's. */
static void test_no_redirection(void **state)
{
	static char said[8192];

	NEED_LAB(&lab);
	for (unsigned i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		restart_heard(&refusals[i], said, sizeof(said));
		if (!could_refuse) {
			printf("SKIP: no seccomp filter: %s\n", strerror(errno));
			restart(true, true);
			skip();
		}
		assert_null(lab.fib->redirect);
		const char *line = strstr(said, "redirect packets of lost neighbours");
		assert_non_null(line);
		assert_non_null(strstr(line, refusals[i].where));
		assert_null(strstr(line + 1, "redirect packets of lost neighbours"));
		assert_int_equal(programs_at(1), 0);
		scenario();
	}
	restart(true, true);
}

static bool b_has_program(void *arg)
{
	return programs_at(if_nametoindex("b0")) == 1;
}

/* A backup whose port carries less waits for netlink while it does; a port that is made again is another. */
static void test_redirection_follows_ports(void **state)
{
	struct attr_nexthop nh = {.gw = ip("10.2.0.2"), .weight = 1};
	struct attrs a = {.dest = RTD_UNICAST, .preference = 100, .nexthop = &nh, .n_nexthop = 1};
	unsigned none = 0, one = 1;

	NEED_LAB(&lab);
	if (!lab.fib->redirect)
		skip();
	link_known(&lab, "10.1.0.2", lab.a);
	lab_announce_id(lab.two, "198.51.100.0/24", attrs_intern(&a));
	lab_announce(&lab, lab.one, "198.51.100.0/24", "10.1.0.2", 200);
	assert_true(wait_for(prepared, &one));
	sh("ip link set b0 mtu 1400");
	assert_true(wait_for(prepared, &none));
	sh("ip link set b0 mtu 1500");
	assert_true(wait_for(prepared, &one));
	sh("ip link del b0");
	assert_true(wait_for(prepared, &none));
	sh("ip link add b0 type veth peer name b1; ip link set b0 up; ip link set b1 up; ip addr add "
	   "10.2.0.1/16 dev b0");
	assert_true(wait_for(prepared, &one));
	assert_true(wait_for(b_has_program, NULL));
	assert_int_equal(programs_at(lab.a), 1);
	lab_withdraw(lab.one, "198.51.100.0/24");
	lab_withdraw(lab.two, "198.51.100.0/24");
	expect_routes(0);
	expect_in_step(&lab);
}

static bool uses_t(void *arg)
{
	return (output("ip nexthop show dev t0")[0] != 0) == *(bool *)arg;
}

static bool has_t(void *arg)
{
	struct iface_view v;

	return ifaces_by_name(lab.ifaces, "t0", &v) && v.up && v.n_addrs > 0;
}

/* Neither to nor from a port that has no Ethernet header. */
static void test_redirection_ethernet_only(void **state)
{
	struct ifreq r = {.ifr_name = "t0", .ifr_flags = IFF_TUN | IFF_NO_PI};
	bool yes = true, no = false;
	unsigned none = 0;

	NEED_LAB(&lab);
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0) {
		printf("SKIP: no tun device: %s\n", strerror(errno));
		skip();
	}
	sh("ip addr add 10.9.0.1/24 dev t0; ip link set t0 up");
	assert_true(wait_for(has_t, NULL));
	assert_true(wait_for(prepared, &none)); /* what was there before has gone */
	link_known(&lab, "10.1.0.2", lab.a);
	link_known(&lab, "10.9.0.2", if_nametoindex("t0"));
	for (int i = 0; i < 2; i++) {
		lab_announce(&lab, lab.two, "198.51.100.0/24", i ? "10.1.0.2" : "10.9.0.2", 100);
		lab_announce(&lab, lab.one, "198.51.100.0/24", i ? "10.9.0.2" : "10.1.0.2", 200);
		expect_via("198.51.100.1", i ? "10.9.0.2" : "10.1.0.2");
		expect_in_step(&lab);
		assert_true(wait_for(uses_t, &yes));
		assert_true(prepared(&none)); /* published before the route was written */
		lab_withdraw(lab.one, "198.51.100.0/24");
		lab_withdraw(lab.two, "198.51.100.0/24");
		expect_routes(0);
		assert_true(wait_for(uses_t, &no));
	}
	close(fd);
}

/* The later stages of a failover are added to it. */
static void test_stages(void **state)
{
	struct ipaddr a = ip("10.3.0.2");
	struct fib_failover_view v;

	NEED_LAB(&lab);
	link_event(&lab, "10.3.0.2", lab.c, false);
	fib_link_stage(lab.fib, &a, lab.c, 1000, 0);
	fib_link_stage(lab.fib, &a, lab.c, 0, 2000);
	assert_int_equal(fib_failovers(lab.fib, &v, 1), 1);
	assert_int_equal(v.bgp_told_ns, 1000);
	assert_int_equal(v.updates_out_ns, 2000);
	assert_true(v.wall_ns > 0);
	link_event(&lab, "10.3.0.2", lab.c, true);
}

/* With an argument: the tests whose names match it ('test_redirection*'). */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_routes),
		cmocka_unit_test(test_ordinary_groups),
		cmocka_unit_test(test_neighbour_unreachable),
		cmocka_unit_test(test_no_redirection),
		cmocka_unit_test(test_interface_again),
		cmocka_unit_test(test_redirection_follows_ports),
		cmocka_unit_test(test_redirection_ethernet_only),
		cmocka_unit_test(test_stages),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, lab_group_start, lab_group_stop);
}
