/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel has other users, and we are restarted: kernel and RIB stay, or come, in step. */
#include "controlplane/fib/fib_priv.h"
#include "tests/unit/fib_lab.h"
#include <sys/mount.h>
#include <sys/wait.h>

#define MANY 1500

static uint32_t best4, backup4, best6;

static void load(void)
{
	best4 = lab_attrs(&lab, "10.1.0.2", 200);
	backup4 = lab_attrs(&lab, "10.2.0.2", 100);
	best6 = lab_attrs(&lab, "2001:db8:1::2", 200);
	lab_announce_many(lab.two, false, 0, MANY, backup4);
	lab_announce_many(lab.one, false, 0, MANY, best4);
	lab_announce_many(lab.one6, true, 0, MANY, best6);
	lab_announce_id(lab.one, "192.0.2.0/24",
		attrs_intern(&(struct attrs){.dest = RTD_BLACKHOLE, .preference = 200}));
	expect_routes(2 * MANY + 1);
	expect_in_step(&lab);
}

static void withdraw_many(struct rib_source *s, bool v6, uint32_t from, uint32_t n)
{
	struct rib_batch *b = rib_batch_create(s);

	for (uint32_t i = from; i < from + n; i++) {
		struct net net = v6 ? lab_net6(i) : lab_net4(i);
		rib_batch_withdraw(b, &net, 0);
	}
	rib_submit(b);
}

static void unload(void)
{
	withdraw_many(lab.one, false, 0, MANY);
	withdraw_many(lab.two, false, 0, MANY);
	withdraw_many(lab.one6, true, 0, MANY);
	lab_withdraw(lab.one, "192.0.2.0/24");
	expect_routes(0);
	attrs_release(best4);
	attrs_release(backup4);
	attrs_release(best6);
}

static struct fib_channel_stats stats(struct fib_channel *ch)
{
	struct fib_channel_stats s;

	fib_channel_stats(ch, &s);
	return s;
}

/* Our nexthop objects and the ids in our routes, as text to compare. */
static char *ids(void)
{
	return strdup(output(
		"ip nexthop show proto %d | sort; ip route show proto %d | grep -o 'nhid.*' | sort | uniq -c;"
		"ip -6 route show proto %d | grep -o 'nhid.*' | sort | uniq -c",
		LAB_PROTO, LAB_PROTO, LAB_PROTO));
}

#define NOT_ASKED UINT64_MAX

static uint64_t want4, want6;

static bool adopted(void *arg)
{
	return stats(lab.ch4).adopted == want4 && (want6 == NOT_ASKED || stats(lab.ch6).adopted == want6);
}

/* The feed's first dump has gone through, and has found so many routes in place. */
static void expect_adopted(uint64_t n4, uint64_t n6)
{
	want4 = n4;
	want6 = n6;
	if (!wait_for(adopted, NULL))
		fail_msg("%llu and %llu routes adopted, not %llu and %llu",
			(unsigned long long)stats(lab.ch4).adopted,
			(unsigned long long)stats(lab.ch6).adopted, (unsigned long long)n4,
			(unsigned long long)n6);
}

static void restart(bool keep, bool recover)
{
	lab_close_channels(&lab, keep);
	fib_destroy(lab.fib, keep);
	if (keep)
		assert_int_equal(kernel_routes(), 2 * MANY + 1);
	lab_fib(&lab, recover);
	lab_channels(&lab);
}

/* The same routes after a restart: nothing is written, nothing is even touched. */
static void test_adoption(void **state)
{
	char *before, *after;
	struct fib_audit a;

	NEED_LAB(&lab);
	load();
	for (int i = 0; i < 1000 && count_lines(output("ip nexthop show proto %d groups", LAB_PROTO)) != 2;
		i++)
		usleep(5000);
	before = ids();
	restart(true, true);
	lab_barrier(&lab);
	assert_int_equal(fib_audit(lab.fib, &a), 0);
	assert_int_equal(a.repaired, 0);
	expect_adopted(MANY + 1, MANY);
	assert_int_equal(stats(lab.ch4).routes, MANY + 1);
	after = ids();
	assert_string_equal(before, after);
	free(before);
	free(after);
	/* And they are ours now: a loss moves them. */
	link_known(&lab, "10.1.0.2", lab.a);
	link_event(&lab, "10.1.0.2", lab.a, false);
	assert_string_equal(via("20.0.5.1"), "10.2.0.2");
	link_event(&lab, "10.1.0.2", lab.a, true);
	expect_via("20.0.5.1", "10.1.0.2");
	expect_in_step(&lab);
}

/* What is not wanted again is kept until recovery is over, and what is wanted elsewhere moves without a hole.
 */
static void test_adoption_of_changes(void **state)
{
	struct fib_audit a;

	NEED_LAB(&lab);
	lab_close_channels(&lab, true);
	fib_destroy(lab.fib, true);
	withdraw_many(lab.one, false, 0, 100); /* these fall back to `two` */
	withdraw_many(lab.one, false, 100, 100);
	withdraw_many(lab.two, false, 100, 100);
	lab_barrier(&lab);
	lab_fib(&lab, true);
	lab_channels(&lab);
	expect_via("20.0.5.1", "10.2.0.2");
	assert_int_equal(fib_audit(lab.fib, &a), 0);
	assert_int_equal(kernel_routes(), 2 * MANY + 1);
	fib_recovery_done(lab.fib);
	expect_routes(2 * MANY + 1 - 100);
	lab_announce_many(lab.one, false, 0, MANY, best4);
	lab_announce_many(lab.two, false, 0, MANY, backup4);
	expect_routes(2 * MANY + 1);
	expect_in_step(&lab);
}

static void doze(void *arg)
{
	sem_t *s = arg;

	sem_wait(s);
}

/* After a restart the kernel keeps what it has until the neighbours have sent theirs. A link that dies in
 * that time moves what the earlier run left, at once, though nobody has asked for it again. */
static void test_loss_while_deferred(void **state)
{
	sem_t s;

	NEED_LAB(&lab);
	for (int i = 0; i < 1000 && count_lines(output("ip nexthop show proto %d groups", LAB_PROTO)) != 2;
		i++)
		usleep(5000);
	lab_close_channels(&lab, true);
	fib_destroy(lab.fib, true);
	lab_fib(&lab, true);
	fib_defer(lab.fib);
	lab_channels(&lab);
	lab_barrier(&lab);
	link_known(&lab, "10.1.0.2", lab.a);
	assert_int_equal(stats(lab.ch4).adopted, 0);
	assert_string_equal(via("20.0.5.1"), "10.1.0.2");
	sem_init(&s, 0, 0);
	loop_call(lab.fib->loop, doze, &s); /* the link thread does it by itself */
	link_event(&lab, "10.1.0.2", lab.a, false);
	assert_string_equal(via("20.0.5.1"), "10.2.0.2");
	struct fib_failover_view v;
	assert_int_equal(fib_failovers(lab.fib, &v, 1), 1);
	assert_int_equal(v.groups, 1);
	assert_int_equal(v.prefixes, MANY);
	sem_post(&s);
	link_event(&lab, "10.2.0.2", lab.b, true); /* behind what follows from the loss */
	assert_int_equal(kernel_routes(), 2 * MANY + 1);
	fib_recovery_done(lab.fib);
	expect_in_step(&lab);
	assert_string_equal(via("20.0.5.1"), "10.2.0.2");
	assert_int_equal(kernel_routes(), 2 * MANY + 1);
	link_event(&lab, "10.1.0.2", lab.a, true);
	expect_via("20.0.5.1", "10.1.0.2");
	expect_in_step(&lab);
}

static void test_start_without_recovery(void **state)
{
	NEED_LAB(&lab);
	restart(true, false);
	expect_routes(2 * MANY + 1);
	expect_in_step(&lab);
	assert_int_equal(stats(lab.ch6).adopted, 0);
	/* Without a RIB that wants them they are gone. */
	unload();
	assert_true(wait_for(no_nexthops, NULL));
}

/* `persist` of one protocol: its routes stay, and so does what they go through, whoever else used it; what is
 * not kept goes. The next run has it all again. */
static void test_persist(void **state)
{
	struct fib_channel_config c4 = {
		.table = lab.t4, .kernel = &lab.kernel, .export = {.kind = FILTER_ALL}};
	sem_t s;

	NEED_LAB(&lab);
	load();
	sem_init(&s, 0, 0);
	/* The protocol alone is disabled and enabled again: the FIB lives, and reaps what nobody uses. */
	fib_channel_close(lab.ch4, true, lab_posted, &s);
	sem_wait(&s);
	/* Somebody writes over the group meanwhile: what is put right is still kept. */
	sh("g=$(ip route show 20.0.5.0/24 | grep -o 'nhid [0-9]*' | cut -d' ' -f2);"
	   "ip nexthop replace id $g group $(ip nexthop show proto %d | grep 'via 10.2.0.2' | head -1 | cut "
	   "-d' ' -f2) "
	   "type resilient buckets 32 proto %d",
		LAB_PROTO, LAB_PROTO);
	expect_via("20.0.5.1", "10.1.0.2");
	sleep(4);
	assert_int_equal(kernel_routes(), 2 * MANY + 1);
	assert_string_equal(via("20.0.5.1"), "10.1.0.2");
	lab.ch4 = fib_channel_open(lab.fib, &c4);
	expect_adopted(MANY + 1, NOT_ASKED);
	expect_in_step(&lab);
	/* The daemon stops. */
	fib_channel_close(lab.ch4, true, lab_posted, &s);
	fib_channel_close(lab.ch6, false, lab_posted, &s);
	sem_wait(&s);
	sem_wait(&s);
	fib_destroy(lab.fib, false);
	assert_int_equal(kernel_routes(), MANY + 1);
	assert_string_equal(via("20.0.5.1"), "10.1.0.2");
	assert_string_equal(output("ip nexthop show proto %d | grep 2001", LAB_PROTO), "");
	lab_fib(&lab, true);
	lab_channels(&lab);
	expect_routes(2 * MANY + 1);
	expect_adopted(MANY + 1, NOT_ASKED);
	expect_in_step(&lab);
	unload();
	assert_true(wait_for(no_nexthops, NULL));
}

static unsigned routes77(void)
{
	return (unsigned)atoi(output("ip -o route show table 77 proto %d | wc -l", LAB_PROTO));
}

static bool table77_is_full(void *arg)
{
	return routes77() == MANY + 1;
}

/* A protocol's routes are kept before anybody asked for them after a restart; another one takes over what
 * they go through and stops: the kept ones still have it. */
static void test_persist_claimed(void **state)
{
	struct fib_channel_config c4 = {
		.table = lab.t4, .kernel = &lab.kernel, .export = {.kind = FILTER_ALL}};
	sem_t s;

	NEED_LAB(&lab);
	load();
	lab_close_channels(&lab, true);
	fib_destroy(lab.fib, true);
	lab_fib(&lab, true);
	fib_defer(lab.fib);
	lab_channels(&lab);
	sem_init(&s, 0, 0);
	fib_channel_close(lab.ch4, true, lab_posted, &s);
	sem_wait(&s);
	char *before = ids();
	lab.kernel.table_id = 77;
	lab.ch4 = fib_channel_open(lab.fib, &c4);
	assert_true(wait_for(table77_is_full, NULL));
	fib_channel_close(lab.ch4, false, lab_posted, &s);
	sem_wait(&s);
	assert_int_equal(routes77(), 0);
	sleep(4); /* longer than what nobody uses is left */
	assert_int_equal(kernel_routes(), 2 * MANY + 1);
	char *after = ids();
	assert_string_equal(before, after); /* it was the same group */
	free(before);
	free(after);
	lab.kernel.table_id = 254;
	lab.ch4 = fib_channel_open(lab.fib, &c4);
	fib_recovery_done(lab.fib);
	expect_adopted(MANY + 1, NOT_ASKED);
	expect_in_step(&lab);
	unload();
	assert_true(wait_for(no_nexthops, NULL));
}

static void test_clean_exit(void **state)
{
	NEED_LAB(&lab);
	load();
	lab_close_channels(&lab, false);
	assert_int_equal(kernel_routes(), 0);
	fib_destroy(lab.fib, false);
	assert_int_equal(kernel_nexthops(), 0);
	lab_fib(&lab, true);
	lab_channels(&lab);
	expect_routes(2 * MANY + 1);
	expect_in_step(&lab);
	unload();
}

/* Somebody else's ip(8). */
static void test_foreign_removals(void **state)
{
	NEED_LAB(&lab);
	load();
	uint64_t repaired4 = stats(lab.ch4).repaired, repaired6 = stats(lab.ch6).repaired;
	sh("ip route del 20.0.5.0/24; ip -6 route del 2400:0:5::/48; ip route del blackhole 192.0.2.0/24");
	expect_routes(2 * MANY + 1);
	expect_in_step(&lab);
	assert_int_equal(stats(lab.ch4).repaired - repaired4, 2); /* counted */
	assert_int_equal(stats(lab.ch6).repaired - repaired6, 1);
	sh("ip route flush proto %d", LAB_PROTO);
	expect_routes(2 * MANY + 1);
	/* Objects and groups: the routes go silently with them. */
	sh("ip nexthop flush proto %d >/dev/null", LAB_PROTO);
	expect_routes(2 * MANY + 1);
	expect_via("20.0.5.1", "10.1.0.2");
	expect_in_step(&lab);
	sh("ip nexthop del id $(ip nexthop show proto %d groups | head -1 | cut -d' ' -f2)", LAB_PROTO);
	expect_routes(2 * MANY + 1);
	sh("ip nexthop del id $(ip nexthop show proto %d | grep 'via 10.1.0.2' | head -1 | cut -d' ' -f2)",
		LAB_PROTO);
	expect_via("20.0.5.1", "10.1.0.2");
	/* Written over. */
	sh("ip nexthop replace id $(ip nexthop show proto %d | grep 'via 10.1.0.2' | head -1 | cut -d' ' "
	   "-f2) via 10.3.0.2 dev c0 "
	   "proto %d",
		LAB_PROTO, LAB_PROTO);
	expect_via("20.0.5.1", "10.1.0.2");
	sh("ip route replace 20.0.7.0/24 via 10.3.0.2 metric 32 proto %d", LAB_PROTO);
	expect_via("20.0.7.1", "10.1.0.2");
	/* Unknown ones with our number. */
	sh("ip route add 203.0.113.0/24 via 10.3.0.2 metric 32 proto %d; ip nexthop add id 100000999 via "
	   "10.3.0.2 dev c0 proto %d",
		LAB_PROTO, LAB_PROTO);
	expect_routes(2 * MANY + 1);
	for (int i = 0; i < 1000 && *output("ip nexthop show | grep 100000999"); i++)
		usleep(5000);
	assert_string_equal(output("ip nexthop show | grep 100000999"), "");
	expect_in_step(&lab);
	unload();
}

/* What a changed route below a next hop does, before the monitor's socket is looked at. */
static void doze_then_follow(void *arg)
{
	doze(arg);
	nexthops_resolution_changed(lab.fib);
}

/* Somebody removes a group just before we write it anew, and we have not heard of it: its routes are gone,
 * too. */
static void test_group_gone_unheard(void **state)
{
	struct attr_nexthop nh = {.gw = ip("172.16.0.1"), .weight = 1, .flags = NH_RECURSIVE};
	struct attrs a = {.dest = RTD_UNICAST, .preference = 200, .nexthop = &nh, .n_nexthop = 1};
	sem_t s;

	NEED_LAB(&lab);
	lab_announce(&lab, lab.one, "172.16.0.0/16", "10.1.0.2", 200);
	lab_announce_id(lab.one, "198.51.100.0/24", attrs_intern(&a));
	expect_via("198.51.100.1", "10.1.0.2");
	expect_in_step(&lab);
	sem_init(&s, 0, 0);
	loop_call(lab.fib->loop, doze_then_follow, &s);
	sh("ip nexthop del id $(ip route show 198.51.100.0/24 | grep -o 'nhid [0-9]*' | cut -d' ' -f2)");
	assert_string_equal(via("198.51.100.1"), "");
	lab_announce(&lab, lab.one, "172.16.0.0/16", "10.3.0.2", 200); /* the group is to be replaced */
	lab_barrier(&lab);
	sem_post(&s);
	expect_via("198.51.100.1", "10.3.0.2");
	expect_in_step(&lab);
	lab_withdraw(lab.one, "198.51.100.0/24");
	lab_withdraw(lab.one, "172.16.0.0/16");
	expect_routes(0);
}

/* What is not ours is not touched. */
static void test_aliens(void **state)
{
	NEED_LAB(&lab);
	sh("ip route add 198.51.100.0/24 via 10.3.0.2 metric 32 proto static;"
	   "ip route add 203.0.113.0/24 via 10.3.0.2 metric 5 proto static; ip nexthop add id 7 via 10.3.0.2 "
	   "dev c0");
	lab_announce(&lab, lab.one, "198.51.100.0/24", "10.1.0.2", 200);
	lab_announce(&lab, lab.one, "203.0.113.0/24", "10.1.0.2", 200);
	lab_barrier(&lab);
	struct fib_audit a;
	fib_audit(lab.fib, &a);
	assert_string_equal(via("198.51.100.1"), "10.3.0.2");
	assert_int_equal(stats(lab.ch4).failed, 1);
	assert_int_equal(stats(lab.ch4).routes, 1);
	lab_withdraw(lab.one, "198.51.100.0/24");
	lab_barrier(&lab);
	fib_audit(lab.fib, &a);
	assert_string_equal(via("198.51.100.1"), "10.3.0.2");
	lab_announce(&lab, lab.one, "198.51.100.0/24", "10.1.0.2", 200);
	/* It goes: ours takes its place. */
	lab_barrier(&lab);
	fib_audit(lab.fib, &a);
	sh("ip route del 198.51.100.0/24 proto static");
	expect_via("198.51.100.1", "10.1.0.2");
	/* Replaced under us: theirs. */
	sh("ip route replace 198.51.100.0/24 via 10.2.0.2 metric 32 proto static");
	fib_audit(lab.fib, &a);
	assert_string_equal(via("198.51.100.1"), "10.2.0.2");
	sh("ip route del 198.51.100.0/24 proto static");
	expect_via("198.51.100.1", "10.1.0.2");
	lab_withdraw(lab.one, "198.51.100.0/24");
	lab_withdraw(lab.one, "203.0.113.0/24");
	expect_routes(0);
	assert_string_equal(via("203.0.113.1"), "10.3.0.2");
	assert_non_null(strstr(output("ip nexthop show"), "id 7 "));
	sh("ip route del 203.0.113.0/24; ip nexthop del id 7");
}

/* The fib thread sleeps while more happens than its socket can hold. */
static void test_overrun(void **state)
{
	char path[] = "/tmp/fib-overrun-XXXXXX";
	sem_t s;
	FILE *f;

	NEED_LAB(&lab);
	load();
	sem_init(&s, 0, 0);
	f = fdopen(mkstemp(path), "w");
	for (int i = 0; i < 60000; i++)
		fprintf(f, "route add 30.%d.%d.0/24 via 10.3.0.2 table 77\n", i / 256, i % 256);
	fclose(f);
	loop_call(lab.fib->loop, doze, &s);
	sh("ip -batch %s", path);
	sh("ip nexthop flush proto %d >/dev/null; ip route add 20.0.3.0/24 via 10.3.0.2 metric 32 proto "
	   "static",
		LAB_PROTO);
	sem_post(&s);
	expect_via("20.0.5.1", "10.1.0.2");
	expect_routes(2 * MANY); /* all but the one that an alien took */
	sh("ip route del 20.0.3.0/24 proto static; ip route flush table 77");
	expect_routes(2 * MANY + 1);
	struct fib_audit a;
	fib_audit(lab.fib, &a);
	expect_in_step(&lab);
	unlink(path);
	unload();
}

static void deafen(void *arg)
{
	monitor_close(arg);
}

static void hear(void *arg)
{
	assert_int_equal(monitor_open(arg), 0);
}

/* `scan time`: the audit comes by itself. Nothing is heard of the kernel meanwhile. */
static void test_scan_time(void **state)
{
	struct fib_channel_config c4 = {
		.table = lab.t4, .kernel = &lab.kernel, .export = {.kind = FILTER_ALL}};

	NEED_LAB(&lab);
	load();
	loop_call_sync(lab.fib->loop, deafen, lab.fib);
	sh("ip route del 20.0.5.0/24; ip route add 203.0.113.0/24 via 10.3.0.2 metric 32 proto %d",
		LAB_PROTO);
	lab.kernel.scan_time = 1;
	fib_channel_reconfigure(lab.ch4, &c4);
	expect_via("20.0.5.1", "10.1.0.2");
	expect_via("203.0.113.1", "");
	lab.kernel.scan_time = 3600;
	fib_channel_reconfigure(lab.ch4, &c4);
	loop_call_sync(lab.fib->loop, hear, lab.fib);
	expect_in_step(&lab);
	unload();
}

/* ---- learning and merging ---- */

static bool learned(void *arg)
{
	const struct expectation *e = arg;
	struct {
		struct rib_net_view v;
		struct rib_route_view r[8];
	} u;
	struct net n = net_of(e->dst);
	bool there = false;

	rcu_read_lock();
	if (rib_find(lab.t4, &n, &u.v, 8) && u.v.n_routes) {
		const struct attrs *a = attrs_get(u.r[0].attrs);
		struct ipaddr gw = *e->gw ? ip(e->gw) : (struct ipaddr){0};
		there = a->dest == RTD_UNICAST && a->n_nexthop == 1 && ipaddr_equal(&a->nexthop[0].gw, &gw) &&
			a->krt_source == RTPROT_STATIC;
	}
	rcu_read_unlock();
	return there;
}

static bool not_learned(void *arg)
{
	return !learned(arg);
}

static void reopen4(bool learn, bool merge, struct rib_source *src)
{
	struct fib_channel_config c = {
		.table = lab.t4, .kernel = &lab.kernel, .export = {.kind = FILTER_ALL}};
	sem_t s;

	sem_init(&s, 0, 0);
	fib_channel_close(lab.ch4, false, lab_posted, &s);
	sem_wait(&s);
	lab.kernel.learn = learn;
	lab.kernel.merge_paths = merge;
	lab.kernel.merge_limit = 16;
	c.learn_source = src;
	lab.ch4 = fib_channel_open(lab.fib, &c);
}

static void test_learn(void **state)
{
	struct expectation before = {"198.51.100.0/24", "10.3.0.2"}, during = {"203.0.113.0/24", "10.2.0.2"};
	struct rib_source *src;
	sem_t s;

	NEED_LAB(&lab);
	sh("ip route add 198.51.100.0/24 via 10.3.0.2 proto static");
	src = lab_source(lab.t4, "kernel1", RTS_INHERIT);
	reopen4(true, false, src);
	assert_true(wait_for(learned, &before));
	sh("ip route add 203.0.113.0/24 via 10.3.0.2 metric 100 proto static");
	sh("ip route add 203.0.113.0/24 via 10.2.0.2 metric 50 proto static"); /* the better one */
	assert_true(wait_for(learned, &during));
	sh("ip route del 203.0.113.0/24 metric 50");
	during.gw = "10.3.0.2";
	assert_true(wait_for(learned, &during));
	/* Through a nexthop object of somebody's. */
	sh("ip nexthop add id 9 via 10.2.0.2 dev b0; ip route replace 203.0.113.0/24 nhid 9 metric 100 proto "
	   "static");
	during.gw = "10.2.0.2";
	assert_true(wait_for(learned, &during));
	sh("ip route del 203.0.113.0/24; ip route del 198.51.100.0/24; ip nexthop del id 9");
	assert_true(wait_for(not_learned, &during));
	assert_true(wait_for(not_learned, &before));
	/* Learned routes are not given back, and ours are not learned. */
	assert_int_equal(kernel_routes(), 0);
	reopen4(false, false, NULL);
	sem_init(&s, 0, 0);
	rib_source_close(src, lab_posted, &s);
	sem_wait(&s);
}

static void test_merge_paths(void **state)
{
	NEED_LAB(&lab);
	reopen4(false, true, NULL);
	lab_announce(&lab, lab.one, "198.51.100.0/24", "10.1.0.2", 200);
	expect_via("198.51.100.1", "10.1.0.2");
	lab_announce(&lab, lab.two, "198.51.100.0/24", "10.2.0.2", 200);
	for (int i = 0; i < 1000 &&
			!strstr(output("ip nexthop bucket show | grep -o 'nhid.*' | sort | uniq -c"), " 64 ");
		i++)
		usleep(5000);
	assert_int_equal(count_lines(output("ip nexthop bucket show | grep -o 'nhid.*' | sort -u")), 2);
	/* Not as good: a backup instead. */
	lab_announce(&lab, lab.two, "198.51.100.0/24", "10.2.0.2", 100);
	expect_in_step(&lab);
	for (int i = 1; i < 50; i++) {
		char dst[32];
		snprintf(dst, sizeof(dst), "198.51.100.%d", i);
		assert_string_equal(via(dst), "10.1.0.2");
	}
	lab_withdraw(lab.one, "198.51.100.0/24");
	lab_withdraw(lab.two, "198.51.100.0/24");
	expect_routes(0);
	reopen4(false, false, NULL);
}

/* ---- privileges ---- */

static void test_without_privilege(void **state)
{
	struct fib_options o = {.rib = lab.rib, .export = lab.export, .rtproto = LAB_PROTO};

	NEED_LAB(&lab);
	pid_t pid = fork();
	if (pid == 0) {
		if (setresuid(65534, 65534, 65534) < 0)
			_exit(3);
		struct fib *f = fib_create(&o);
		_exit(f ? 1 : errno == EPERM ? 0 : 2);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The sysctl cannot be written (a container): said once, and all works. */
static void test_sysctl_read_only(void **state)
{
	static const char file[] = "/proc/sys/net/ipv4/nexthop_compat_mode";

	NEED_LAB(&lab);
	sh("echo 1 >%s", file);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount(file, file, NULL, MS_BIND, NULL) < 0 ||
		mount(NULL, file, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0) {
		printf("SKIP: no mount namespace: %s\n", strerror(errno));
		skip();
	}
	lab_close_channels(&lab, false);
	fib_destroy(lab.fib, false);
	lab_fib(&lab, true);
	lab_channels(&lab);
	assert_non_null(strstr(output("cat %s", file), "1"));
	lab_announce(&lab, lab.two, "198.51.100.0/24", "10.2.0.2", 100);
	lab_announce(&lab, lab.one, "198.51.100.0/24", "10.1.0.2", 200);
	expect_via("198.51.100.1", "10.1.0.2");
	expect_in_step(&lab);
	link_event(&lab, "10.1.0.2", lab.a, false);
	expect_via("198.51.100.1", "10.2.0.2");
	link_event(&lab, "10.1.0.2", lab.a, true);
	expect_in_step(&lab);
	lab_withdraw(lab.one, "198.51.100.0/24");
	lab_withdraw(lab.two, "198.51.100.0/24");
	expect_routes(0);
	umount(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adoption),
		cmocka_unit_test(test_adoption_of_changes),
		cmocka_unit_test(test_loss_while_deferred),
		cmocka_unit_test(test_start_without_recovery),
		cmocka_unit_test(test_clean_exit),
		cmocka_unit_test(test_persist), /* with a FIB that adopts, as it leaves one */
		cmocka_unit_test(test_persist_claimed),
		cmocka_unit_test(test_foreign_removals),
		cmocka_unit_test(test_group_gone_unheard),
		cmocka_unit_test(test_aliens),
		cmocka_unit_test(test_overrun),
		cmocka_unit_test(test_scan_time),
		cmocka_unit_test(test_learn),
		cmocka_unit_test(test_merge_paths),
		cmocka_unit_test(test_without_privilege),
		cmocka_unit_test(test_sysctl_read_only),
	};

	return cmocka_run_group_tests(tests, lab_group_start, lab_group_stop);
}
