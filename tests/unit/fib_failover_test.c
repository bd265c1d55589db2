/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lost neighbours. When fib_link_event() has returned the kernel must forward
 * elsewhere: via() is asked once, not waited for, wherever that is the claim.
 */
#include "controlplane/fib/fib_priv.h"
#include "shared/clock.h"
#include "tests/unit/fib_lab.h"
#include "tests/unit/fib_packets.h"
#include "tests/unit/fib_prepared.h"
#include <pthread.h>

#define MANY 2000

static uint32_t best4, backup4, best6, backup6;

static void load(void)
{
	best4 = lab_attrs(&lab, "10.1.0.2", 200);
	backup4 = lab_attrs(&lab, "10.2.0.2", 100);
	best6 = lab_attrs(&lab, "2001:db8:1::2", 200);
	backup6 = lab_attrs(&lab, "2001:db8:2::2", 100);
	lab_announce_many(lab.two, false, 0, MANY, backup4);
	lab_announce_many(lab.one, false, 0, MANY, best4);
	lab_announce_many(lab.two6, true, 0, MANY, backup6);
	lab_announce_many(lab.one6, true, 0, MANY, best6);
	expect_routes(2 * MANY);
	expect_in_step(&lab);
	assert_string_equal(via("20.0.5.1"), "10.1.0.2");
	assert_string_equal(via("2400:0:5::1"), "2001:db8:1::2");
}

static void withdraw_many(struct rib_source *s, bool v6)
{
	struct rib_batch *b = rib_batch_create(s);

	for (uint32_t i = 0; i < MANY; i++) {
		struct net n = v6 ? lab_net6(i) : lab_net4(i);
		rib_batch_withdraw(b, &n, 0);
	}
	rib_submit(b);
}

static void unload(void)
{
	withdraw_many(lab.one, false);
	withdraw_many(lab.two, false);
	withdraw_many(lab.one6, true);
	withdraw_many(lab.two6, true);
	expect_routes(0);
	assert_true(wait_for(no_nexthops, NULL));
	attrs_release(best4);
	attrs_release(backup4);
	attrs_release(best6);
	attrs_release(backup6);
}

static struct fib_failover_view latest(void)
{
	struct fib_failover_view v = {0};

	assert_int_equal(fib_failovers(lab.fib, &v, 1), 1);
	return v;
}

/* Both families; the plan, its stamps and counts; the way back. */
static void test_down_and_up(void **state)
{
	struct fib_failover_view v;
	struct fib_plan_view plans[16];

	NEED_LAB(&lab);
	link_event(&lab, "10.1.0.2", lab.a, true); /* BFD came up: the links are known */
	link_event(&lab, "2001:db8:1::2", lab.a, true);
	load();
	unsigned n = fib_plans(lab.fib, plans, 16), seen = 0;
	for (unsigned i = 0; i < n; i++)
		if (plans[i].ifindex == lab.a) {
			assert_int_equal(plans[i].groups, 1);
			assert_int_equal(plans[i].prefixes, MANY);
			assert_true(plans[i].link_up);
			seen++;
		}
	assert_int_equal(seen, 2);

	uint64_t messages = lab.fib->links.batch.messages;
	link_event(&lab, "10.1.0.2", lab.a, false);
	assert_int_equal(lab.fib->links.batch.messages - messages, 1); /* whatever is on it */
	assert_string_equal(via("20.0.5.1"), "10.2.0.2");
	assert_string_equal(via("20.7.207.1"), "10.2.0.2"); /* the last */
	assert_string_equal(via("2400:0:5::1"), "2001:db8:1::2");
	v = latest();
	assert_int_equal(v.groups, 1);
	assert_int_equal(v.prefixes, MANY);
	assert_int_equal(v.error, 0);
	assert_false(v.up);
	assert_true(v.t.netlink_sent >= v.t.plan_found && v.t.netlink_acked > v.t.netlink_sent);
	messages = lab.fib->links.batch.messages;
	link_event(&lab, "2001:db8:1::2", lab.a, false);
	assert_int_equal(lab.fib->links.batch.messages - messages, 1);
	assert_string_equal(via("2400:0:5::1"), "2001:db8:2::2");
	assert_int_equal(latest().prefixes, MANY);
	expect_in_step(&lab);

	/* Up alone does not bring traffic back: the RIB has not said anything since. */
	link_event(&lab, "10.1.0.2", lab.a, true);
	assert_string_equal(via("20.0.5.1"), "10.2.0.2");
	/* One prefix is re-learnt: that one goes back at once. */
	struct attrs again = *attrs_get(best4);
	again.med = 7;
	again.present |= ATTR_MED;
	lab_announce_id(lab.one, "20.0.9.0/24", attrs_intern(&again));
	lab_announce(&lab, lab.one, "20.0.9.0/24", "10.3.0.2", 200);
	expect_via("20.0.9.1", "10.3.0.2");
	lab_announce_id(lab.one, "20.0.9.0/24", attrs_intern(&again));
	expect_via("20.0.9.1", "10.1.0.2");
	/* What the RIB still wants there follows when everything has settled. */
	expect_via("20.0.5.1", "10.1.0.2");
	link_event(&lab, "2001:db8:1::2", lab.a, true);
	expect_via("2400:0:5::1", "2001:db8:1::2");
	expect_in_step(&lab);
	unload();
}

/* A link that is dead when the routes come; and a second loss while the first lasts. */
static void test_dead_before_routes(void **state)
{
	NEED_LAB(&lab);
	link_event(&lab, "10.1.0.2", lab.a, false);
	lab_announce(&lab, lab.two, "198.51.100.0/24", "10.2.0.2", 100);
	lab_announce(&lab, lab.one, "198.51.100.0/24", "10.1.0.2", 200);
	expect_via("198.51.100.1", "10.2.0.2");
	/* Without an alternative it is where the RIB says. */
	lab_announce(&lab, lab.one, "203.0.113.0/24", "10.1.0.2", 200);
	expect_via("203.0.113.1", "10.1.0.2");
	link_event(&lab, "10.2.0.2", lab.b, false);
	link_event(&lab, "10.2.0.2", lab.b, true);
	link_event(&lab, "10.1.0.2", lab.a, true);
	expect_via("198.51.100.1", "10.1.0.2");
	expect_in_step(&lab);
	lab_withdraw(lab.one, "198.51.100.0/24");
	lab_withdraw(lab.two, "198.51.100.0/24");
	lab_withdraw(lab.one, "203.0.113.0/24");
	expect_routes(0);
}

/* No backup, or none left: nothing is flushed, nothing to be installed again. */
static void test_both_lost(void **state)
{
	struct fib_link both[2] = {{.addr = ip("10.1.0.2"), .ifindex = lab.a, .reason = "bfd"},
		{.addr = ip("10.2.0.2"), .ifindex = lab.b, .reason = "bfd"}};

	NEED_LAB(&lab);
	link_event(&lab, "10.1.0.2", lab.a, true);
	link_event(&lab, "10.2.0.2", lab.b, true);
	load();
	fib_link_event(lab.fib, both, 2);
	assert_int_equal(kernel_routes(), 2 * MANY);
	expect_in_step(&lab);
	assert_int_equal(kernel_routes(), 2 * MANY);
	/* BGP takes the best away: what is left is used, dead or not, and the living as soon as there is one.
	 */
	both[1].up = true;
	fib_link_event(lab.fib, &both[1], 1);
	expect_via("20.0.5.1", "10.2.0.2");
	both[0].up = true;
	fib_link_event(lab.fib, &both[0], 1);
	expect_via("20.0.5.1", "10.1.0.2");
	expect_in_step(&lab);
	unload();
}

/* A session without an interface (multihop) or an event for all interfaces. */
static void test_any_interface(void **state)
{
	NEED_LAB(&lab);
	link_event(&lab, "10.1.0.2", 0, true);
	load();
	link_event(&lab, "10.1.0.2", 0, false);
	assert_string_equal(via("20.0.5.1"), "10.2.0.2");
	link_event(&lab, "10.1.0.2", 0, true);
	expect_via("20.0.5.1", "10.1.0.2");
	unload();
}

/* A recursive next hop's own session: only what goes through it moves, not what uses the same gateway
 * directly. */
static void test_recursive_owner(void **state)
{
	struct attr_nexthop nh = {.gw = ip("172.16.0.1"), .weight = 1, .flags = NH_RECURSIVE};
	struct attrs a = {.dest = RTD_UNICAST, .preference = 200, .nexthop = &nh, .n_nexthop = 1};

	NEED_LAB(&lab);
	link_event(&lab, "172.16.0.1", 0, true);
	lab_announce(&lab, lab.one, "172.16.0.0/16", "10.1.0.2", 200);
	lab_announce(&lab, lab.two, "198.51.100.0/24", "10.2.0.2", 100);
	lab_announce_id(lab.one, "198.51.100.0/24", attrs_intern(&a));
	lab_announce(&lab, lab.two, "203.0.113.0/24", "10.2.0.2", 100);
	lab_announce(&lab, lab.one, "203.0.113.0/24", "10.1.0.2", 200);
	expect_via("198.51.100.1", "10.1.0.2");
	expect_via("203.0.113.1", "10.1.0.2");
	expect_in_step(&lab);
	link_event(&lab, "172.16.0.1", 0, false);
	assert_string_equal(via("198.51.100.1"), "10.2.0.2");
	assert_string_equal(via("203.0.113.1"), "10.1.0.2");
	link_event(&lab, "172.16.0.1", 0, true);
	expect_via("198.51.100.1", "10.1.0.2");
	lab_withdraw(lab.one, "198.51.100.0/24");
	lab_withdraw(lab.two, "198.51.100.0/24");
	lab_withdraw(lab.one, "203.0.113.0/24");
	lab_withdraw(lab.two, "203.0.113.0/24");
	lab_withdraw(lab.one, "172.16.0.0/16");
	expect_routes(0);
}

static void test_ecmp_loses_one(void **state)
{
	NEED_LAB(&lab);
	link_event(&lab, "10.1.0.2", lab.a, true);
	lab_announce(&lab, lab.two, "198.51.100.0/24", "10.3.0.2", 100);
	lab_announce(&lab, lab.one, "198.51.100.0/24", "10.1.0.2 10.2.0.2", 200);
	expect_routes(1);
	expect_in_step(&lab);
	link_event(&lab, "10.1.0.2", lab.a, false);
	for (int i = 1; i < 60; i++) {
		char dst[32];
		snprintf(dst, sizeof(dst), "198.51.100.%d", i);
		assert_string_equal(via(dst), "10.2.0.2");
	}
	link_event(&lab, "10.2.0.2", lab.b, false);
	expect_via("198.51.100.1", "10.3.0.2");
	link_event(&lab, "10.1.0.2", lab.a, true);
	link_event(&lab, "10.2.0.2", lab.b, true);
	expect_in_step(&lab);
	lab_withdraw(lab.one, "198.51.100.0/24");
	lab_withdraw(lab.two, "198.51.100.0/24");
	expect_routes(0);
}

static bool a_is_down(void *arg)
{
	struct iface_view v;

	return ifaces_by_index(lab.ifaces, lab.a, &v) && !v.up;
}

static bool carrier_told(void *arg)
{
	struct fib_failover_view v;

	return fib_failovers(lab.fib, &v, 1) == 1 && !strcmp(v.reason, "carrier") && v.ifindex == lab.a &&
	       v.groups == 2 && v.prefixes == 2 * MANY && !v.up && v.t.detected;
}

/* The kernel reacts to the carrier by itself, with what we have laid ready. */
static void test_carrier(void **state)
{
	NEED_LAB(&lab);
	load();
	lab_announce(&lab, lab.one, "203.0.113.0/24", "10.1.0.2", 200); /* no backup: the kernel removes it */
	expect_via("203.0.113.1", "10.1.0.2");
	sh("ip link set a1 down");
	assert_true(wait_for(a_is_down, NULL));
	assert_string_equal(via("20.0.5.1"), "10.2.0.2");
	assert_string_equal(via("2400:0:5::1"), "2001:db8:2::2");
	assert_string_equal(via("203.0.113.1"), "");
	/* Told like any failover. */
	assert_true(wait_for(carrier_told, NULL));
	/* Routes that come now go where they can. */
	lab_announce(&lab, lab.two, "192.0.2.0/24", "10.2.0.2", 100);
	lab_announce(&lab, lab.one, "192.0.2.0/24", "10.1.0.2", 200);
	expect_via("192.0.2.1", "10.2.0.2");
	sh("ip link set a1 up");
	expect_via("20.0.5.1", "10.1.0.2");
	expect_via("2400:0:5::1", "2001:db8:1::2");
	expect_via("203.0.113.1", "10.1.0.2");
	expect_via("192.0.2.1", "10.1.0.2");
	expect_in_step(&lab);
	/* Down by hand takes addresses and routes along. */
	sh("ip link set a0 down");
	expect_via("20.0.5.1", "10.2.0.2");
	expect_via("2400:0:5::1", "2001:db8:2::2");
	sh("ip link set a0 up; ip -6 addr replace 2001:db8:1::1/64 dev a0;"
	   "ip neigh replace 10.1.0.2 lladdr 02:00:00:00:00:01 dev a0;"
	   "ip neigh replace 2001:db8:1::2 lladdr 02:00:00:00:00:01 dev a0");
	expect_via("20.0.5.1", "10.1.0.2");
	expect_via("2400:0:5::1", "2001:db8:1::2");
	lab_withdraw(lab.one, "203.0.113.0/24");
	lab_withdraw(lab.one, "192.0.2.0/24");
	lab_withdraw(lab.two, "192.0.2.0/24");
	unload();
}

/* A burst: what the last word was is what counts, and a neighbour that is back gets nothing before the RIB
 * has said so again. */
static void test_bursts(void **state)
{
	NEED_LAB(&lab);
	link_event(&lab, "10.1.0.2", lab.a, true);
	load();
	for (int i = 0; i < 50; i++) {
		link_event(&lab, "10.1.0.2", lab.a, false);
		assert_string_equal(via("20.0.5.1"), "10.2.0.2");
		link_event(&lab, "10.1.0.2", lab.a, true);
		assert_string_equal(via("20.0.5.1"), "10.2.0.2");
	}
	expect_via("20.0.5.1", "10.1.0.2");
	/* In one call, too. */
	struct fib_link burst[3] = {{.addr = ip("10.1.0.2"), .ifindex = lab.a, .reason = "bfd"},
		{.addr = ip("10.1.0.2"), .ifindex = lab.a, .up = true, .reason = "bfd"},
		{.addr = ip("10.1.0.2"), .ifindex = lab.a, .reason = "bfd"}};
	fib_link_event(lab.fib, burst, 3);
	assert_string_equal(via("20.0.5.1"), "10.2.0.2");
	sleep(3); /* longer than what is waited before a link is used again */
	assert_string_equal(via("20.0.5.1"), "10.2.0.2");
	expect_in_step(&lab);
	link_event(&lab, "10.1.0.2", lab.a, true);
	expect_via("20.0.5.1", "10.1.0.2");
	expect_in_step(&lab);
	unload();
}

#define NEIGHBOURS 1000

static uint32_t attrs_of_neighbour(unsigned i)
{
	struct attr_nexthop nh = {.ifindex = lab.a, .weight = 1};
	struct attrs a = {.dest = RTD_UNICAST, .preference = 200, .nexthop = &nh, .n_nexthop = 1};
	char t[32];

	snprintf(t, sizeof(t), "10.1.%u.%u", 4 + i / 250, 1 + i % 250);
	nh.gw = ip(t);
	return attrs_intern(&a);
}

/* All neighbours of one port: one call, one send, whatever their number. */
static void test_thousand_on_one_port(void **state)
{
	struct fib_link *links = calloc(NEIGHBOURS, sizeof(*links));
	uint32_t backup = lab_attrs(&lab, "10.2.0.2", 100);
	char t[32];

	NEED_LAB(&lab);
	for (unsigned i = 0; i < NEIGHBOURS; i++) {
		snprintf(t, sizeof(t), "10.1.%u.%u", 4 + i / 250, 1 + i % 250);
		links[i] = (struct fib_link){.addr = ip(t), .ifindex = lab.a, .up = true, .reason = "bfd"};
	}
	fib_link_event(lab.fib, links, NEIGHBOURS);
	lab_announce_many(lab.two, false, 0, NEIGHBOURS, backup);
	struct rib_batch *b = rib_batch_create(lab.one);
	for (unsigned i = 0; i < NEIGHBOURS; i++) {
		struct net n = lab_net4(i);
		uint32_t id = attrs_of_neighbour(i);
		rib_batch_announce(b, &n, 0, id);
		attrs_release(id);
	}
	rib_submit(b);
	expect_routes(NEIGHBOURS);
	expect_in_step(&lab);
	expect_via("20.0.5.1", "10.1.4.6");
	uint64_t sends = lab.fib->links.batch.sends, messages = lab.fib->links.batch.messages;
	for (unsigned i = 0; i < NEIGHBOURS; i++)
		links[i].up = false;
	fib_link_event(lab.fib, links, NEIGHBOURS);
	assert_int_equal(lab.fib->links.batch.sends - sends, 1);
	assert_int_equal(lab.fib->links.batch.messages - messages, NEIGHBOURS);
	for (unsigned i = 0; i < NEIGHBOURS; i += 37) {
		snprintf(t, sizeof(t), "20.0.%u.1", i);
		if (i < 256)
			assert_string_equal(via(t), "10.2.0.2");
	}
	assert_string_equal(via("20.3.231.1"), "10.2.0.2"); /* the last */
	expect_in_step(&lab);
	for (unsigned i = 0; i < NEIGHBOURS; i++)
		links[i].up = true;
	fib_link_event(lab.fib, links, NEIGHBOURS);
	expect_via("20.0.5.1", "10.1.4.6");
	expect_in_step(&lab);
	b = rib_batch_create(lab.one);
	struct rib_batch *b2 = rib_batch_create(lab.two);
	for (unsigned i = 0; i < NEIGHBOURS; i++) {
		struct net n = lab_net4(i);
		rib_batch_withdraw(b, &n, 0);
		rib_batch_withdraw(b2, &n, 0);
	}
	rib_submit(b);
	rib_submit(b2);
	expect_routes(0);
	attrs_release(backup);
	free(links);
}

/* Whatever keeps the fib thread busy (a full load, an audit, a reload): a loss does not wait for it. Here it
 * does not move at all. */
static void stand_still(void *arg)
{
	sem_t *s = arg;

	sem_post(&s[0]);
	sem_wait(&s[1]);
}

static void test_does_not_wait(void **state)
{
	sem_t s[2];

	NEED_LAB(&lab);
	link_event(&lab, "10.1.0.2", lab.a, true);
	link_event(&lab, "2001:db8:1::2", lab.a, true);
	load();
	sem_init(&s[0], 0, 0);
	sem_init(&s[1], 0, 0);
	loop_call(lab.fib->loop, stand_still, s);
	sem_wait(&s[0]);
	link_event(&lab, "10.1.0.2", lab.a, false);
	link_event(&lab, "2001:db8:1::2", lab.a, false);
	assert_string_equal(via("20.0.5.1"), "10.2.0.2");
	assert_string_equal(via("2400:0:5::1"), "2001:db8:2::2");
	sem_post(&s[1]);
	expect_in_step(&lab);
	link_event(&lab, "10.1.0.2", lab.a, true);
	link_event(&lab, "2001:db8:1::2", lab.a, true);
	expect_via("20.0.5.1", "10.1.0.2");
	sem_destroy(&s[0]);
	sem_destroy(&s[1]);
	unload();
}

/* ---- in the middle of a load ---- */

#define LOAD 100000

static uint64_t routes4(void)
{
	struct fib_channel_stats s;

	fib_channel_stats(lab.ch4, &s);
	return s.routes;
}

static bool load_under_way(void *arg)
{
	return routes4() > MANY + 1000;
}

static bool load_done(void *arg)
{
	return routes4() == MANY + LOAD;
}

static bool gave_way(void *arg)
{
	return atomic_load(&lab.fib->writer.gave_way) > *(uint64_t *)arg;
}

static void *lose_v6(void *arg)
{
	rcu_register_thread();
	link_event(&lab, "2001:db8:1::2", lab.a, false);
	rcu_unregister_thread();
	return NULL;
}

/* The kernel has one lock for the writer's routes and the failover's objects. The writer keeps out of it
 * while a failover is being written, and the failover has its answer long before the load ends. */
static void test_writer_gives_way(void **state)
{
	uint64_t before;
	pthread_t t;

	NEED_LAB(&lab);
	link_known(&lab, "10.1.0.2", lab.a);
	link_known(&lab, "2001:db8:1::2", lab.a);
	load();
	uint32_t c = lab_attrs(&lab, "10.3.0.2", 200);
	before = atomic_load(&lab.fib->writer.gave_way);
	lab_announce_many(lab.one, false, MANY, LOAD, c);
	assert_true(wait_for(load_under_way, NULL));
	/* A failover that is held up has announced itself already. */
	pthread_mutex_lock(&lab.fib->links.lock);
	pthread_create(&t, NULL, lose_v6, NULL);
	bool gave = wait_for(gave_way, &before);
	pthread_mutex_unlock(&lab.fib->links.lock);
	pthread_join(t, NULL);
	assert_true(gave);
	link_event(&lab, "10.1.0.2", lab.a, false);
	uint64_t loaded = routes4();
	assert_string_equal(via("20.0.5.1"), "10.2.0.2");
	assert_string_equal(via("2400:0:5::1"), "2001:db8:2::2");
	assert_true(loaded < MANY + LOAD);
	assert_true(wait_for(load_done, NULL));
	expect_in_step(&lab);
	link_event(&lab, "10.1.0.2", lab.a, true);
	link_event(&lab, "2001:db8:1::2", lab.a, true);
	struct rib_batch *b = rib_batch_create(lab.one);
	for (uint32_t i = LOAD; i-- > 0;) { /* from the end: what the kernel is quicker at */
		struct net n = lab_net4(MANY + i);
		rib_batch_withdraw(b, &n, 0);
	}
	rib_submit(b);
	attrs_release(c);
	unload();
}

static void *lose_both(void *arg)
{
	const struct fib_link lost[2] = {{.addr = ip("10.1.0.2"), .ifindex = lab.a, .reason = "bfd"},
		{.addr = ip("2001:db8:1::2"), .ifindex = lab.a, .reason = "bfd"}};

	(void)arg;
	rcu_register_thread();
	fib_link_event(lab.fib, lost, 2);
	rcu_unregister_thread();
	return NULL;
}

/* Nobody can tell the kernel anything: the link thread has no socket, and the fib thread, which looks at
 * losses, too, stands still. */
static void silence_netlink(sem_t s[2])
{
	sem_init(&s[0], 0, 0);
	sem_init(&s[1], 0, 0);
	loop_call(lab.fib->loop, stand_still, s);
	sem_wait(&s[0]);
	pthread_mutex_lock(&lab.fib->links.lock);
}

static void allow_netlink(sem_t s[2], pthread_t t)
{
	pthread_mutex_unlock(&lab.fib->links.lock);
	pthread_join(t, NULL);
	sem_post(&s[1]);
}

static bool redirected(void *arg)
{
	return redirect_active(lab.fib->redirect) == *(unsigned *)arg;
}

#define BY_A 0x00001 /* hardware addresses: fib_lab.h */
#define BY_B 0x10002

/* How many of the packets to a hundred prefixes of each family leave that way. */
static unsigned leave(struct packets *p, int way)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < MANY; i += MANY / 100)
		for (int v6 = 0; v6 < 2; v6++) {
			struct net net = v6 ? lab_net6(i) : lab_net4(i);
			net.prefix.addr.b[15] = 1;
			n += packets_way(p, &net.prefix.addr) == way;
		}
	return n;
}

/* Packets do not wait for netlink: here it hears nothing at all until they have all been seen on the backup.
 */
static void test_redirected(void **state)
{
	struct packets p;
	unsigned none = 0, two = 2;
	sem_t s[2];
	pthread_t t;

	NEED_LAB(&lab);
	if (!lab.fib->redirect)
		skip(); /* the log has said why */
	packets_open(&p);
	link_known(&lab, "10.1.0.2", lab.a);
	link_known(&lab, "2001:db8:1::2", lab.a);
	load();
	assert_int_equal(leave(&p, BY_A), 200);
	uint64_t messages = lab.fib->links.batch.messages;
	silence_netlink(s);
	pthread_create(&t, NULL, lose_both, NULL);
	bool lost = wait_for(redirected, &two);
	unsigned moved = leave(&p, BY_B);
	bool told = lab.fib->links.batch.messages != messages;
	char before[80];
	snprintf(before, sizeof(before), "%s", via("20.0.5.1"));
	allow_netlink(s, t);
	assert_true(lost);
	assert_false(told);
	assert_string_equal(before, "10.1.0.2");
	assert_int_equal(moved, 200);
	/* Then the routes themselves, and nothing is redirected any more. */
	assert_string_equal(via("20.0.5.1"), "10.2.0.2");
	assert_string_equal(via("2400:0:5::1"), "2001:db8:2::2");
	assert_true(wait_for(redirected, &none));
	assert_int_equal(leave(&p, BY_B), 200);
	assert_int_equal(latest().redirected, MANY);
	assert_true(latest().redirected_ns != 0);
	expect_in_step(&lab);
	link_event(&lab, "10.1.0.2", lab.a, true);
	link_event(&lab, "2001:db8:1::2", lab.a, true);
	expect_via("20.0.5.1", "10.1.0.2");
	expect_via("2400:0:5::1", "2001:db8:1::2");
	assert_int_equal(leave(&p, BY_A), 200);
	packets_close(&p);
	unload();
}

static int way(struct packets *p, const char *dst)
{
	struct ipaddr a = ip(dst);

	return packets_way(p, &a);
}

static void *lose_five(void *arg)
{
	const char *const gw[] = {"10.1.0.2", "2001:db8:1::2", "10.1.0.4", "10.1.0.6", "10.1.0.7"};
	struct fib_link lost[5];

	(void)arg;
	for (int i = 0; i < 5; i++)
		lost[i] = (struct fib_link){.addr = ip(gw[i]), .ifindex = lab.a, .reason = "bfd"};
	rcu_register_thread();
	fib_link_event(lab.fib, lost, 5);
	rcu_unregister_thread();
	return NULL;
}

/* Each packet goes where its own route will go: to another backup, to the rest of its paths, over a gateway
 * of the other family, to somebody on the same port; and nowhere else when its route has nobody else. */
static void redirected_by_route(bool v6_sole)
{
	static const struct {
		const char *net, *best, *backup, *dst;
		int before, after;
	} route[] = {
		{"198.51.100.0/24", "10.1.0.2", "10.2.0.2", "198.51.100.1", BY_A, BY_B},
		{"198.51.101.0/24", "10.1.0.2", "10.2.0.9", "198.51.101.1", BY_A, 0x10009},
		{"198.51.102.0/24", "10.1.0.2", NULL, "198.51.102.1", BY_A, BY_A},
		{"198.51.103.0/24", "10.1.0.2 10.2.0.2", NULL, "198.51.103.1", 0, BY_B},
		{"198.51.104.0/24", "2001:db8:1::2", "2001:db8:2::2", "198.51.104.1", BY_A, BY_B},
		{"198.51.105.0/24", "10.1.0.4", "10.1.0.5", "198.51.105.1", 0x4, 0x5},
		/* On its own port, and somebody with nobody else: the packet does not say which of them it
		   is. */
		{"198.51.106.0/24", "10.1.0.7", "10.1.0.5", "198.51.106.1", 0x7, 0x7},
		{"198.51.107.0/24", "10.1.0.7", NULL, "198.51.107.1", 0x7, 0x7},
		/* A less specific one, as if it had been withdrawn. */
		{"203.0.112.0/20", "10.2.0.2", NULL, "203.0.112.1", BY_B, BY_B},
		{"203.0.113.0/24", "10.1.0.2", NULL, "203.0.113.1", BY_A, BY_B},
		/* Backups on two ports: netlink. */
		{"198.51.108.0/24", "10.1.0.6", "10.2.0.2", "198.51.108.1", 0x6, 0x6},
		{"198.51.109.0/24", "10.1.0.6", "10.3.0.2", "198.51.109.1", 0x6, 0x6},
	};
	const unsigned n = sizeof(route) / sizeof(*route);
	unsigned none = 0;
	int moved[16], multi[32];
	struct packets p;
	sem_t s[2];
	pthread_t t;

	NEED_LAB(&lab);
	if (!lab.fib->redirect)
		skip();
	sh("for x in 4 5 6 7; do ip neigh add 10.1.0.$x lladdr 02:00:00:00:00:0$x dev a0; done;"
	   "ip neigh add 10.2.0.9 lladdr 02:00:00:00:00:09 dev b0");
	packets_open(&p);
	link_known(&lab, "10.1.0.2", lab.a);
	link_known(&lab, "2001:db8:1::2", lab.a);
	link_known(&lab, "10.1.0.4", lab.a);
	link_known(&lab, "10.1.0.6", lab.a);
	link_known(&lab, "10.1.0.7", lab.a);
	for (unsigned i = 0; i < n; i++) {
		if (route[i].backup)
			lab_announce(&lab, lab.two, route[i].net, route[i].backup, 100);
		lab_announce(&lab, lab.one, route[i].net, route[i].best, 200);
	}
	lab_announce(&lab, lab.two6, "2001:db8:f000::/48", "2001:db8:2::2", 100);
	lab_announce(&lab, lab.one6, "2001:db8:f000::/48", "2001:db8:1::2", 200);
	expect_routes(n + 1);
	expect_in_step(&lab);
	if (v6_sole) {
		lab_announce(&lab, lab.one6, "2001:db8:f001::/48", "2001:db8:1::2", 200);
		expect_routes(n + 2);
		expect_in_step(&lab);
	}
	for (unsigned i = 0; i < n; i++)
		if (route[i].before)
			assert_int_equal(way(&p, route[i].dst), route[i].before);
	silence_netlink(s);
	pthread_create(&t, NULL, lose_five, NULL);
	/* 10.1.0.2, 10.1.0.4, and 2001:db8:1::2 for IPv4 and, if nobody there has it alone, for IPv6. */
	unsigned slots = v6_sole ? 3 : 4;
	bool lost = wait_for(redirected, &slots);
	int moved6 = way(&p, "2001:db8:f000::1");
	for (unsigned i = 0; i < n; i++)
		moved[i] = way(&p, route[i].dst);
	for (int i = 0; i < 32; i++) {
		char dst[32];
		snprintf(dst, sizeof(dst), "198.51.103.%d", i + 1);
		multi[i] = way(&p, dst);
	}
	allow_netlink(s, t);
	assert_true(lost);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(moved[i], route[i].after);
	for (int i = 0; i < 32; i++)
		assert_int_equal(multi[i], BY_B);
	assert_int_equal(moved6, v6_sole ? BY_A : BY_B);
	assert_true(wait_for(redirected, &none));
	link_event(&lab, "10.1.0.2", lab.a, true);
	link_event(&lab, "2001:db8:1::2", lab.a, true);
	link_event(&lab, "10.1.0.4", lab.a, true);
	link_event(&lab, "10.1.0.6", lab.a, true);
	link_event(&lab, "10.1.0.7", lab.a, true);
	for (unsigned i = 0; i < n; i++) {
		lab_withdraw(lab.one, route[i].net);
		if (route[i].backup)
			lab_withdraw(lab.two, route[i].net);
	}
	lab_withdraw(lab.one6, "2001:db8:f000::/48");
	lab_withdraw(lab.two6, "2001:db8:f000::/48");
	if (v6_sole)
		lab_withdraw(lab.one6, "2001:db8:f001::/48");
	expect_routes(0);
	sh("for x in 4 5 6 7; do ip neigh del 10.1.0.$x dev a0; done; ip neigh del 10.2.0.9 dev b0");
	packets_close(&p);
}

static void test_redirected_by_route(void **state)
{
	redirected_by_route(false);
	redirected_by_route(true);
}

static void *lose_a_and_b(void *arg)
{
	const char *const gw[] = {"10.1.0.2", "2001:db8:1::2", "10.2.0.2", "2001:db8:2::2"};
	struct fib_link lost[4];

	(void)arg;
	for (int i = 0; i < 4; i++)
		lost[i] = (struct fib_link){
			.addr = ip(gw[i]), .ifindex = i < 2 ? lab.a : lab.b, .reason = "bfd"};
	rcu_register_thread();
	fib_link_event(lab.fib, lost, 4);
	rcu_unregister_thread();
	return NULL;
}

static void announce_pair(const char *net4, const char *net6, int best, int backup)
{
	struct rib_source *const s[] = {lab.one, lab.one6, lab.two, lab.two6};

	for (int i = 4; i-- > 0;) {
		char gw[32];
		snprintf(gw, sizeof(gw), i & 1 ? "2001:db8:%d::2" : "10.%d.0.2", i < 2 ? best : backup);
		lab_announce(&lab, s[i], i & 1 ? net6 : net4, gw, i < 2 ? 200 : 100);
	}
}

static void withdraw_pair(const char *net4, const char *net6)
{
	lab_withdraw(lab.one, net4);
	lab_withdraw(lab.two, net4);
	lab_withdraw(lab.one6, net6);
	lab_withdraw(lab.two6, net6);
}

static void all_up(void)
{
	static const char *const gw[] = {"10.1.0.2", "2001:db8:1::2", "10.2.0.2", "2001:db8:2::2"};

	for (int i = 0; i < 4; i++)
		link_known(&lab, gw[i], i < 2 ? lab.a : lab.b);
}

static bool uses_c(void *arg)
{
	return (output("ip nexthop show dev c0")[0] != 0) == *(bool *)arg;
}

/* What a neighbour carried once, with its backup elsewhere, is no matter when it is gone. */
static void test_redirected_after_others(void **state)
{
	unsigned none = 0, two = 2;
	bool yes = true, no = false;
	struct packets p;
	sem_t s[2];
	pthread_t t;

	NEED_LAB(&lab);
	if (!lab.fib->redirect)
		skip();
	packets_open(&p);
	all_up();
	announce_pair("198.51.100.0/24", "2001:db8:f000::/48", 1, 2);
	announce_pair("198.51.101.0/24", "2001:db8:f001::/48", 1, 3);
	expect_routes(4);
	assert_true(wait_for(uses_c, &yes));
	withdraw_pair("198.51.101.0/24", "2001:db8:f001::/48");
	assert_true(wait_for(uses_c, &no));
	expect_in_step(&lab);
	assert_true(wait_for(prepared, &two));
	silence_netlink(s);
	pthread_create(&t, NULL, lose_both, NULL);
	bool lost = wait_for(redirected, &two);
	int by4 = way(&p, "198.51.100.1"), by6 = way(&p, "2001:db8:f000::1");
	allow_netlink(s, t);
	assert_true(lost);
	assert_int_equal(by4, BY_B);
	assert_int_equal(by6, BY_B);
	assert_true(wait_for(redirected, &none));
	all_up();
	withdraw_pair("198.51.100.0/24", "2001:db8:f000::/48");
	expect_routes(0);
	packets_close(&p);
}

/* Each other's backup, and both lost: every packet leaves where it would have left, once. */
static void test_redirected_never_loops(void **state)
{
	static const char *const dst[] = {
		"198.51.100.1", "2001:db8:f000::1", "198.51.101.1", "2001:db8:f001::1"};
	unsigned none = 0, four = 4;
	int by[4], again[4];
	struct packets p;
	sem_t s[2];
	pthread_t t;

	NEED_LAB(&lab);
	if (!lab.fib->redirect)
		skip();
	packets_open(&p);
	all_up();
	announce_pair("198.51.100.0/24", "2001:db8:f000::/48", 1, 2);
	announce_pair("198.51.101.0/24", "2001:db8:f001::/48", 2, 1);
	expect_routes(4);
	expect_in_step(&lab);
	assert_true(wait_for(prepared, &four));
	silence_netlink(s);
	pthread_create(&t, NULL, lose_a_and_b, NULL);
	bool lost = wait_for(redirected, &four);
	for (int i = 0; i < 4; i++) {
		struct ipaddr a = ip(dst[i]);
		by[i] = way(&p, dst[i]);
		again[i] = packets_seen(&p, &a);
	}
	allow_netlink(s, t);
	assert_true(lost);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(by[i], i < 2 ? BY_A : BY_B);
		assert_int_equal(again[i], -1);
	}
	assert_true(wait_for(redirected, &none));
	all_up();
	withdraw_pair("198.51.100.0/24", "2001:db8:f000::/48");
	withdraw_pair("198.51.101.0/24", "2001:db8:f001::/48");
	expect_routes(0);
	packets_close(&p);
}

/* Only what goes to the lost neighbour by a route: not what is for itself, nor what another table sends to
 * somebody else on its port; and what another table sends to it goes where that table says. */
static void test_redirected_others_not(void **state)
{
	unsigned none = 0, two = 2;
	int marked_other, marked_same, by_port, itself, itself6, plain;
	uint32_t mark = 7, zero = 0;
	struct packets p;
	sem_t s[2];
	pthread_t t;

	NEED_LAB(&lab);
	if (!lab.fib->redirect)
		skip();
	sh("ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev a0;"
	   "ip neigh add 10.2.0.9 lladdr 02:00:00:00:00:09 dev b0;"
	   "ip rule add fwmark 7 lookup 77 prio 100;"
	   "ip rule add to 198.51.102.0/24 ipproto udp dport %d lookup 78 prio 101;"
	   "ip route add 198.51.102.0/24 via 10.1.0.9 dev a0 table 78;"
	   "ip route add 198.51.100.0/24 via 10.1.0.9 dev a0 table 77;"
	   "ip route add 198.51.101.0/24 via 10.1.0.2 dev a0 table 77;"
	   "ip route add default via 10.2.0.9 dev b0 table 77",
		PACKETS_PORT);
	packets_open(&p);
	all_up();
	announce_pair("198.51.100.0/24", "2001:db8:f000::/48", 1, 2);
	announce_pair("198.51.101.0/24", "2001:db8:f001::/48", 1, 2);
	announce_pair("198.51.102.0/24", "2001:db8:f002::/48", 1, 2);
	lab_announce(&lab, lab.two, "0.0.0.0/0", "10.2.0.2", 100);
	lab_announce(&lab, lab.two6, "::/0", "2001:db8:2::2", 100);
	expect_routes(8);
	expect_in_step(&lab);
	assert_true(wait_for(prepared, &two));
	silence_netlink(s);
	pthread_create(&t, NULL, lose_both, NULL);
	bool lost = wait_for(redirected, &two);
	plain = way(&p, "198.51.100.1");
	by_port = way(&p, "198.51.102.1");
	itself = way(&p, "10.1.0.2");
	itself6 = way(&p, "2001:db8:1::2");
	setsockopt(p.out4, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
	marked_other = way(&p, "198.51.100.1");
	marked_same = way(&p, "198.51.101.1");
	setsockopt(p.out4, SOL_SOCKET, SO_MARK, &zero, sizeof(zero));
	allow_netlink(s, t);
	assert_true(lost);
	assert_int_equal(plain, BY_B);
	assert_int_equal(itself, BY_A);
	assert_int_equal(itself6, BY_A);
	assert_int_equal(marked_other, 0x9);
	assert_int_equal(by_port, 0x9); /* what the program cannot ask for: the frame's address says it */
	/* Before Linux 6.10 the program cannot ask for a mark, and leaves the packet alone. */
	assert_true(marked_same == 0x10009 || marked_same == BY_A);
	assert_true(wait_for(redirected, &none));
	all_up();
	withdraw_pair("198.51.100.0/24", "2001:db8:f000::/48");
	withdraw_pair("198.51.101.0/24", "2001:db8:f001::/48");
	withdraw_pair("198.51.102.0/24", "2001:db8:f002::/48");
	withdraw_pair("0.0.0.0/0", "::/0");
	expect_routes(0);
	sh("ip rule del prio 100; ip rule del prio 101; ip route flush table 77; ip route flush table 78;"
	   "ip neigh del 10.1.0.9 dev a0; ip neigh del 10.2.0.9 dev b0");
	packets_close(&p);
}

/* What `show failover` shows of a group. */
static void test_groups_seen(void **state)
{
	struct fib_group_view g[8];

	NEED_LAB(&lab);
	load();
	lab_announce(&lab, lab.one, "203.0.113.0/24", "10.1.0.2 10.3.0.2", 200);
	expect_via("20.0.5.1", "10.1.0.2");
	expect_in_step(&lab);
	unsigned n = fib_groups(lab.fib, g, 8);
	assert_int_equal(n, 3);
	assert_int_equal(g[0].prefixes, MANY);
	assert_int_equal(g[1].prefixes, MANY);
	assert_int_equal(g[2].prefixes, 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(g[i].n_members, 2);
		assert_int_equal(g[i].member[0].ifindex, lab.a);
		assert_true(g[i].member[0].carries);
		assert_int_equal(g[i].member[1].ifindex, lab.b);
		assert_false(g[i].member[1].carries);
		assert_true(g[i].id != 0);
	}
	assert_int_equal(g[2].n_members, 2);
	assert_true(g[2].member[0].carries && g[2].member[1].carries);
	assert_int_equal(fib_groups(lab.fib, g, 1), 3); /* the one with most, and how many there are */
	assert_int_equal(g[0].prefixes, MANY);
	lab_withdraw(lab.one, "203.0.113.0/24");
	unload();
}

/* Events of every kind while routes pour in: in the end nothing is on a dead neighbour, and the kernel is in
 * step. */
static _Atomic bool churning;

static void *churn(void *arg)
{
	unsigned seed = 7;
	uint32_t ids[] = {best4, backup4, lab_attrs(&lab, "10.3.0.2", 150)};

	rcu_register_thread();
	while (atomic_load(&churning)) {
		for (int s = 0; s < 2; s++) {
			struct rib_source *src = s ? lab.two : lab.one;
			struct rib_batch *b = rib_batch_create(src);
			for (int i = 0; i < 50; i++) {
				struct net n = lab_net4((uint32_t)(rand_r(&seed) % MANY));
				if (rand_r(&seed) % 4)
					rib_batch_announce(b, &n, 0, ids[rand_r(&seed) % 3]);
				else
					rib_batch_withdraw(b, &n, 0);
			}
			rib_submit(b);
		}
		usleep(2000);
	}
	attrs_release(ids[2]);
	rcu_unregister_thread();
	return NULL;
}

/* FIB_CHURN_SECONDS=300 in the environment: for that long, with an audit now and then. */
static uint64_t churn_seconds(void)
{
	const char *s = getenv("FIB_CHURN_SECONDS");

	return s ? strtoul(s, NULL, 10) : 0;
}

static void churn_pause(pthread_t *t)
{
	atomic_store(&churning, false);
	pthread_join(*t, NULL);
	expect_in_step(&lab);
	printf("churn: %u routes in step\n", kernel_routes());
	fflush(stdout);
	atomic_store(&churning, true);
	pthread_create(t, NULL, churn, NULL);
}

static void test_churn(void **state)
{
	static const char *const gw[] = {"10.1.0.2", "10.2.0.2", "10.3.0.2"};
	uint32_t ifindex[] = {lab.a, lab.b, lab.c};
	bool down[3] = {false}, carrier = true;
	unsigned seed = 3;
	pthread_t t;

	NEED_LAB(&lab);
	load();
	atomic_store(&churning, true);
	pthread_create(&t, NULL, churn, NULL);
	uint64_t until = clock_now_ns() + churn_seconds() * NS_PER_S;
	for (int i = 0; i < 600 || clock_now_ns() < until; i++) {
		int k = rand_r(&seed) % 3;
		if (churn_seconds() && i % 5000 == 4999)
			churn_pause(&t); /* the audit is the oracle */
		if (down[k] || down[0] + down[1] + down[2] < 2) {
			down[k] = !down[k];
			link_event(&lab, gw[k], ifindex[k], !down[k]);
		}
		if (i % 60 == 59)
			sh("ip link set c1 %s", (carrier = !carrier) ? "up" : "down");
		usleep((unsigned)(rand_r(&seed) % 3000));
	}
	sh("ip link set c1 up");
	for (int k = 0; k < 3; k++)
		if (down[k])
			link_event(&lab, gw[k], ifindex[k], true);
	atomic_store(&churning, false);
	pthread_join(t, NULL);
	/* Now each prefix has an alternative; then two of three die while nobody writes. */
	uint32_t c = lab_attrs(&lab, "10.3.0.2", 100);
	lab_announce_many(lab.one, false, 0, MANY, best4);
	lab_announce_many(lab.two, false, 0, MANY, c);
	expect_routes(2 * MANY);
	expect_in_step(&lab);
	for (int k = 0; k < 3; k++)
		link_event(&lab, gw[k], ifindex[k], true);
	expect_via("20.0.5.1", "10.1.0.2");
	link_event(&lab, gw[0], ifindex[0], false);
	for (uint32_t i = 0; i < MANY; i += 97) {
		char dst[IPADDR_STRLEN];
		struct net n = lab_net4(i);
		n.prefix.addr.b[15] = 1;
		assert_string_equal(via(ipaddr_format(&n.prefix.addr, dst)), "10.3.0.2");
	}
	expect_in_step(&lab);
	link_event(&lab, gw[0], ifindex[0], true);
	attrs_release(c);
	unload();
}

/* With an argument: the tests whose names match it ('test_redirected*'). */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_down_and_up),
		cmocka_unit_test(test_dead_before_routes),
		cmocka_unit_test(test_both_lost),
		cmocka_unit_test(test_any_interface),
		cmocka_unit_test(test_recursive_owner),
		cmocka_unit_test(test_ecmp_loses_one),
		cmocka_unit_test(test_carrier),
		cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_thousand_on_one_port),
		cmocka_unit_test(test_does_not_wait),
		cmocka_unit_test(test_writer_gives_way),
		cmocka_unit_test(test_redirected),
		cmocka_unit_test(test_redirected_by_route),
		cmocka_unit_test(test_redirected_after_others),
		cmocka_unit_test(test_redirected_never_loops),
		cmocka_unit_test(test_redirected_others_not),
		cmocka_unit_test(test_groups_seen),
		cmocka_unit_test(test_churn),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, lab_group_start, lab_group_stop);
}
