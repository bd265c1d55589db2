/* SPDX-License-Identifier: BSD-2-Clause */
/* Recursive next hops: what they resolve to, and that best path follows. */
#include "tests/unit/rib_support.h"

struct fixture {
	struct rib *rib;
	struct nht *nht;
	struct rib_table *t, *igp;
	struct rib_source *bgp[2], *stat;
	_Atomic unsigned told;
	struct ipaddr last;
};

static void told(void *ctx, struct rib_table *t, const struct ipaddr *addr)
{
	struct fixture *f = ctx;

	f->told++;
}

static void open_all(struct fixture *f, bool separate)
{
	memset(f, 0, sizeof(*f));
	f->rib = rib_create(2);
	f->nht = nht_create(f->rib);
	nht_subscribe(f->nht, told, f);
	f->t = rib_table_open(f->rib, "master4", NET_IP4, false);
	f->igp = separate ? rib_table_open(f->rib, "igp", NET_IP4, false) : NULL;
	for (unsigned i = 0; i < 2; i++) {
		struct rib_source_config c = bgp_source("ibgp", i);

		c.peer.external = false;
		c.igp_table = f->igp;
		f->bgp[i] = rib_source_open(f->t, &c);
	}
	struct rib_source_config c = {.proto_name = "static1",
		.source = RTS_STATIC,
		.import.kind = FILTER_ALL,
		.type_name = "Static"};
	f->stat = rib_source_open(separate ? f->igp : f->t, &c);
}

static void close_all(struct fixture *f)
{
	struct attrs_usage u;

	for (unsigned i = 0; i < 2; i++)
		source_close_wait(f->bgp[i]);
	source_close_wait(f->stat);
	rib_table_close(f->t);
	if (f->igp)
		rib_table_close(f->igp);
	nht_destroy(f->nht);
	rib_destroy(f->rib);
	attrs_usage(&u);
	assert_int_equal(u.sets, 0);
}

static uint32_t recursive(const char *gw)
{
	struct attr_nexthop nh;
	uint8_t path[64];
	struct attrs a = bgp_attrs(path, &nh, 1, 2, 0);

	nh.gw = a.next_hop = addr_of(gw);
	nh.ifindex = 0;
	nh.flags = NH_RECURSIVE;
	return attrs_intern(&a);
}

static void route(struct fixture *f, const char *net, const char *gw, uint32_t ifindex, int metric,
	enum route_dest dest)
{
	struct attr_nexthop nh = {.ifindex = ifindex, .weight = 1};
	struct attrs a = {.preference = 200, .dest = (uint8_t)dest, .nexthop = &nh, .n_nexthop = 1};
	struct net n = net_of(net);
	uint32_t id;

	if (gw)
		nh.gw = addr_of(gw);
	if (metric >= 0) {
		a.present |= ATTR_IGP_METRIC;
		a.igp_metric = (uint32_t)metric;
	}
	id = attrs_intern(&a);
	announce(f->stat, &n, 0, id);
	attrs_release(id);
}

static struct nht_answer answer(struct fixture *f, const char *addr)
{
	struct ipaddr a = addr_of(addr);
	const struct nht_answer *p;
	struct nht_answer out = {.n = 99};

	rib_quiet(f->rib);
	rcu_read_lock();
	p = nht_lookup(f->nht, f->igp ? f->igp : f->t, &a);
	if (p)
		out = *p;
	rcu_read_unlock();
	return out;
}

/* Number of the neighbour whose route is best. */
static int best(struct fixture *f, const char *net)
{
	struct net n = net_of(net);
	union net_buffer b;
	bool found;

	rib_quiet(f->rib);
	rcu_read_lock();
	found = rib_find(f->t, &n, &b.v, 64);
	rcu_read_unlock();
	if (!found)
		return -1;
	return b.v.routes[0].source == rib_source_id(f->bgp[0]) ? 0 : 1;
}

static void follow(bool separate)
{
	struct fixture f;
	struct net n = net_of("99.0.0.0/8"), gone = net_of("10.1.0.0/16");
	uint32_t a = recursive("10.1.0.1"), b = recursive("10.2.0.1");
	struct nht_answer r;
	unsigned before;

	open_all(&f, separate);
	announce(f.bgp[0], &n, 0, a);
	announce(f.bgp[1], &n, 0, b);
	assert_int_equal(best(&f, "99.0.0.0/8"), 0); /* neither resolves: lower router id */
	r = answer(&f, "10.1.0.1");
	assert_false(r.reachable);
	assert_int_equal(r.dest, RTD_UNREACHABLE);

	route(&f, "10.2.0.0/16", "192.0.2.2", 7, 10, RTD_UNICAST);
	assert_int_equal(best(&f, "99.0.0.0/8"), 1);
	r = answer(&f, "10.2.0.1");
	assert_true(r.reachable);
	assert_int_equal(r.metric, 10);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.nexthop[0].ifindex, 7);
	assert_int_equal(ipaddr_to_v4(&r.nexthop[0].gw), inet_addr("192.0.2.2"));
	assert_true(f.told > 0);

	route(&f, "10.1.0.0/16", "192.0.2.1", 7, 5, RTD_UNICAST);
	assert_int_equal(best(&f, "99.0.0.0/8"), 0);
	route(&f, "10.1.0.0/16", "192.0.2.1", 7, 15, RTD_UNICAST);
	assert_int_equal(best(&f, "99.0.0.0/8"), 1);
	/* A more specific one takes over; on the interface itself the gateway is the address. */
	route(&f, "10.1.0.0/24", NULL, 8, 1, RTD_UNICAST);
	assert_int_equal(best(&f, "99.0.0.0/8"), 0);
	r = answer(&f, "10.1.0.1");
	assert_int_equal(r.nexthop[0].ifindex, 8);
	assert_int_equal(ipaddr_to_v4(&r.nexthop[0].gw), inet_addr("10.1.0.1"));
	/* Unreachable is not resolvable, a blackhole is. */
	route(&f, "10.1.0.0/24", NULL, 0, 1, RTD_UNREACHABLE);
	assert_int_equal(best(&f, "99.0.0.0/8"), 1);
	route(&f, "10.1.0.0/24", NULL, 0, 1, RTD_BLACKHOLE);
	assert_int_equal(best(&f, "99.0.0.0/8"), 0);
	r = answer(&f, "10.1.0.1");
	assert_int_equal(r.dest, RTD_BLACKHOLE);
	gone = net_of("10.1.0.0/24");
	withdraw_net(f.stat, &gone, 0);
	gone = net_of("10.1.0.0/16");
	withdraw_net(f.stat, &gone, 0);
	assert_int_equal(best(&f, "99.0.0.0/8"), 1);

	/* What does not cover it does not matter. */
	rib_quiet(f.rib);
	before = f.told;
	for (unsigned i = 0; i < 1000; i++) {
		char text[40];

		snprintf(text, sizeof(text), "11.%u.%u.0/24", i / 256, i % 256);
		route(&f, text, "192.0.2.2", 7, 10, RTD_UNICAST);
	}
	rib_quiet(f.rib);
	assert_int_equal(f.told, before);

	/* Nobody uses it any more. */
	rib_source_flush(f.bgp[0]);
	r = answer(&f, "10.1.0.1");
	assert_int_equal(r.n, 99);
	attrs_release(a);
	attrs_release(b);
	close_all(&f);
}

static void test_follow(void **state)
{
	follow(false);
	follow(true);
}

/* A route that covers its own next hop does not resolve it. */
static void test_not_through_itself(void **state)
{
	struct fixture f;
	struct net n = net_of("10.0.0.0/8"), m = net_of("10.1.0.0/16");
	uint32_t a = recursive("10.1.0.1");

	open_all(&f, false);
	announce(f.bgp[0], &n, 0, a);
	assert_false(answer(&f, "10.1.0.1").reachable);
	route(&f, "10.1.0.0/16", "192.0.2.1", 7, 5, RTD_UNICAST);
	assert_true(answer(&f, "10.1.0.1").reachable);
	withdraw_net(f.stat, &m, 0);
	assert_false(answer(&f, "10.1.0.1").reachable);
	attrs_release(a);
	close_all(&f);
}

static bool connected(void *ctx, const struct ipaddr *addr, struct prefix *net, uint32_t *ifindex)
{
	if (!*(_Atomic bool *)ctx)
		return false;
	prefix_parse("10.1.0.0/24", net);
	*ifindex = 3;
	return prefix_contains_addr(net, addr);
}

static void test_connected(void **state)
{
	_Atomic bool up = true;
	struct fixture f;
	struct net n = net_of("99.0.0.0/8");
	uint32_t a = recursive("10.1.0.1"), b = recursive("10.2.0.1");
	struct nht_answer r;

	open_all(&f, false);
	nht_set_connected_lookup(f.nht, connected, &up);
	announce(f.bgp[1], &n, 0, a);
	announce(f.bgp[0], &n, 0, b);
	assert_int_equal(best(&f, "99.0.0.0/8"), 1);
	r = answer(&f, "10.1.0.1");
	assert_true(r.reachable);
	assert_int_equal(r.nexthop[0].ifindex, 3);
	assert_int_equal(r.metric, 0);
	/* A more specific route wins over the network. */
	route(&f, "10.1.0.0/25", "192.0.2.1", 7, 5, RTD_UNICAST);
	assert_int_equal(answer(&f, "10.1.0.1").nexthop[0].ifindex, 7);
	route(&f, "10.1.0.0/25", NULL, 0, 5, RTD_UNREACHABLE);
	assert_false(answer(&f, "10.1.0.1").reachable);
	{
		struct net m = net_of("10.1.0.0/25");

		withdraw_net(f.stat, &m, 0);
	}
	assert_true(answer(&f, "10.1.0.1").reachable);
	up = false;
	nht_connected_changed(f.nht);
	assert_false(answer(&f, "10.1.0.1").reachable);
	assert_int_equal(best(&f, "99.0.0.0/8"), 0);
	attrs_release(a);
	attrs_release(b);
	close_all(&f);
}

/* Many at once, with the igp flapping. */
static void test_churn(void **state)
{
	enum { HOPS = 50, NETS = 200 };
	struct fixture f;
	uint32_t ids[HOPS];
	unsigned seed = 7;
	bool up[HOPS] = {0};

	open_all(&f, true);
	for (unsigned i = 0; i < HOPS; i++) {
		char gw[32];

		snprintf(gw, sizeof(gw), "10.%u.0.1", i);
		ids[i] = recursive(gw);
	}
	for (unsigned i = 0; i < NETS; i++) {
		struct net n = net4(0x0c000000 + (i << 8), 24);

		announce(f.bgp[0], &n, 0, ids[i % HOPS]);
		announce(f.bgp[1], &n, 0, ids[(i + 1) % HOPS]);
	}
	for (unsigned step = 0; step < 3000; step++) {
		unsigned h = (unsigned)rand_r(&seed) % HOPS;
		char net[32];

		snprintf(net, sizeof(net), "10.%u.0.0/24", h);
		up[h] = rand_r(&seed) % 2;
		if (up[h]) {
			route(&f, net, "192.0.2.1", 7, 1, RTD_UNICAST);
		} else {
			struct net n = net_of(net);

			withdraw_net(f.stat, &n, 0);
		}
		if (step % 300 == 0)
			rib_quiet(f.rib);
	}
	rib_quiet(f.rib);
	for (unsigned i = 0; i < NETS; i++) {
		bool first = up[i % HOPS], second = up[(i + 1) % HOPS];
		char net[32];

		snprintf(net, sizeof(net), "12.0.%u.0/24", i);
		assert_int_equal(best(&f, net), first || !second ? 0 : 1);
	}
	for (unsigned i = 0; i < HOPS; i++)
		attrs_release(ids[i]);
	close_all(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_follow),
		cmocka_unit_test(test_not_through_itself),
		cmocka_unit_test(test_connected),
		cmocka_unit_test(test_churn),
	};
	return cmocka_run_group_tests(tests, rib_test_setup, rib_test_teardown);
}
