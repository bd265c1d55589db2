/* SPDX-License-Identifier: BSD-2-Clause */
/* Best path: a table of pairs, each decided by one rule and by nothing before it; deterministic MED, prefer
 * older, backups. */
#include "tests/unit/rib_support.h"

/* A route as the rules see it. The defaults are equal in everything. */
struct route {
	struct attrs a;
	struct rib_peer peer;
	enum route_source source;
	unsigned flags;
	uint32_t metric;
	bool unresolvable;
};

static const uint8_t path2[] = {2, 2, 0, 0, 0, 1, 0, 0, 0, 2};

static struct route plain(void)
{
	struct route r = {
		.a = {.present = ATTR_ORIGIN | ATTR_AS_PATH,
			.preference = 100,
			.dest = RTD_UNICAST,
			.path_len = 2,
			.first_as = 1,
			.as_path = path2,
			.as_path_bytes = sizeof(path2)},
		.peer = {.bgp = true,
			.external = true,
			.path_metric = true,
			.igp_metric = true,
			.default_local_pref = 100,
			.default_med = 0,
			.router_id = 10,
			.local_as = 65000,
			.addr = ipaddr_v4(htonl(10))},
		.source = RTS_BGP,
	};

	return r;
}

static struct candidate candidate(const struct route *r)
{
	return (struct candidate){.attrs = &r->a,
		.peer = &r->peer,
		.source = r->source,
		.flags = r->flags,
		.metric = r->metric,
		.resolvable = !r->unresolvable};
}

static bool better(const struct route *x, const struct route *y)
{
	struct candidate a = candidate(x), b = candidate(y);

	return candidate_better(&a, &b);
}

/* x wins, whoever came first. */
#define WINS(x, y)                                                                                           \
	do {                                                                                                 \
		assert_true(better(&(x), &(y)));                                                             \
		assert_false(better(&(y), &(x)));                                                            \
	} while (0)

/*
 * Each step makes `good` win by one rule and gives `bad` everything that the rules after it look at, so that
 * an order other than this one fails.
 */
static void test_order_of_rules(void **state)
{
	struct route good = plain(), bad = plain();

	/* From the last rule to the first: what was won below is now outweighed. */
	good.peer.addr = ipaddr_v4(htonl(9));
	WINS(good, bad);
	bad.peer.addr = ipaddr_v4(htonl(8));
	WINS(bad, good);

	bad.a.present |= ATTR_CLUSTER_LIST;
	bad.a.n_cluster = 1;
	WINS(good, bad); /* shorter cluster list */

	good.a.present |= ATTR_CLUSTER_LIST;
	good.a.n_cluster = 2;
	bad.peer.router_id = 11;
	WINS(good, bad); /* lower router id */

	bad.a.present |= ATTR_ORIGINATOR;
	bad.a.originator_id = 1;
	WINS(bad, good); /* which an ORIGINATOR_ID replaces */
	good.metric = 5;
	bad.metric = 6;
	WINS(good, bad); /* nearer next hop */
	bad.peer.igp_metric = false;
	WINS(bad, good); /* whose metric does not count is at distance 0 */
	bad.peer.igp_metric = true;

	good.metric = 7;
	bad.peer.external = false;
	WINS(good, bad); /* external over internal */
	bad.peer.external = true;
	bad.peer.confed = true;
	WINS(good, bad); /* a confederation's is as good as internal */

	good.peer.confed = true;
	good.peer.external = false;
	bad.peer.confed = false;
	good.a.present |= ATTR_MED;
	bad.a.present |= ATTR_MED;
	good.a.med = 1;
	bad.a.med = 2;
	WINS(good, bad); /* lower MED from the same AS */
	bad.a.first_as = 3;
	WINS(bad, good); /* of another: not compared */
	good.peer.med_metric = true;
	WINS(good, bad); /* unless asked for */
	good.peer.med_metric = false;
	bad.a.first_as = 1;

	bad.a.med = 0;
	good.a.origin = ORIGIN_IGP;
	bad.a.origin = ORIGIN_EGP;
	WINS(good, bad);
	bad.a.present &= ~(uint32_t)ATTR_ORIGIN;
	good.a.origin = ORIGIN_EGP;
	WINS(good, bad); /* none is the worst */

	good.a.origin = ORIGIN_INCOMPLETE;
	bad.a.present |= ATTR_ORIGIN;
	bad.a.origin = ORIGIN_IGP;
	bad.a.path_len = 3;
	WINS(good, bad); /* shorter path */
	good.peer.path_metric = bad.peer.path_metric = false;
	WINS(bad, good);
	good.peer.path_metric = bad.peer.path_metric = true;

	good.a.path_len = 9;
	good.a.present |= ATTR_AIGP;
	good.a.aigp = 1000000;
	WINS(good, bad); /* AIGP over none */
	bad.a.present |= ATTR_AIGP;
	bad.a.aigp = 1000002;
	WINS(good, bad); /* 1000007 against 1000008: the metric to the next hop is part of it */
	bad.metric = 4;
	WINS(bad, good);

	good.a.present |= ATTR_LOCAL_PREF;
	good.a.local_pref = 101;
	WINS(good, bad); /* absent is the default */
	bad.a.present |= ATTR_LOCAL_PREF;
	bad.a.local_pref = 200;
	WINS(bad, good);

	bad.a.derived = ATTRD_LLGR_COMMUNITY;
	WINS(good, bad);
	good.flags = RECORD_LLGR;
	WINS(bad, good); /* equal again */
	bad.a.derived = 0;
	WINS(bad, good);
	bad.unresolvable = true;
	WINS(good, bad);

	bad.unresolvable = false;
	bad.flags = ROUTE_SUPPRESSED;
	WINS(good, bad);

	bad.a.preference = 101;
	WINS(bad, good);
	good.source = RTS_STATIC;
	WINS(bad, good);
	good.a.preference = 101;
	WINS(good, bad); /* of another protocol: some order, always the same */
}

static void test_prefer_older(void **state)
{
	struct route there = plain(), here = plain();

	here.peer.router_id = 1;
	WINS(here, there);
	there.peer.prefer_older = true;
	assert_false(better(&here, &there));
	assert_false(better(&there, &here)); /* whichever came first stays */
	here.peer.external = there.peer.external = false;
	WINS(here, there); /* of internal ones it does not matter */
	here.peer.external = there.peer.external = true;
	here.peer.router_id = 10;
	here.peer.addr = ipaddr_v4(htonl(1));
	WINS(here, there); /* the same router twice */
}

static void test_static_by_metric(void **state)
{
	struct route a = plain(), b = plain();

	a.source = b.source = RTS_STATIC;
	a.metric = 1;
	b.metric = 2;
	WINS(a, b);
	b.metric = 1;
	assert_false(better(&a, &b));
	assert_false(better(&b, &a));
}

/* ---- in a table ---- */

struct ctx {
	struct rib *rib;
	struct rib_table *t;
	struct rib_source *src[4];
	struct rib_source_config c[4];
	struct net net;
};

static void open_all(struct ctx *x, bool deterministic, bool sorted, bool older)
{
	x->rib = rib_create(1);
	x->t = rib_table_open(x->rib, "t", NET_IP4, sorted);
	x->net = net_of("10.0.0.0/8");
	for (unsigned i = 0; i < 4; i++) {
		x->c[i] = bgp_source("p", i);
		x->c[i].peer.deterministic_med = deterministic;
		x->c[i].peer.prefer_older = older;
		x->src[i] = rib_source_open(x->t, &x->c[i]);
	}
}

static void close_all(struct ctx *x)
{
	for (unsigned i = 0; i < 4; i++)
		source_close_wait(x->src[i]);
	rib_table_close(x->t);
	rib_destroy(x->rib);
}

static void say(struct ctx *x, unsigned who, uint32_t as, uint32_t med, uint32_t router_id)
{
	struct attr_nexthop nh;
	uint8_t path[64];
	struct attrs a = bgp_attrs(path, &nh, as, 1, who + 1);
	uint32_t id;

	a.present |= ATTR_MED | ATTR_ORIGINATOR;
	a.med = med;
	a.originator_id = router_id;
	id = attrs_intern(&a);
	announce(x->src[who], &x->net, 0, id);
	attrs_release(id);
}

static unsigned best(struct ctx *x)
{
	union net_buffer b;

	rib_quiet(x->rib);
	rcu_read_lock();
	assert_true(rib_find(x->t, &x->net, &b.v, 64));
	rcu_read_unlock();
	for (unsigned i = 0; i < 4; i++)
		if (rib_source_id(x->src[i]) == b.v.routes[0].source)
			return i;
	return 99;
}

/*
 * The textbook case: A (AS 1, MED 2, id 1), B (AS 2, id 2), C (AS 1, MED 1, id 3). C beats A, A beats B, B
 * beats C: without deterministic med the order of arrival decides, with it B does always.
 */
static void test_deterministic_med(void **state)
{
	static const unsigned order[6][3] = {
		{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	unsigned seen[2] = {0, 0};

	for (unsigned det = 0; det < 2; det++)
		for (unsigned o = 0; o < 6; o++) {
			struct ctx x;

			open_all(&x, det, false, false);
			for (unsigned i = 0; i < 3; i++) {
				unsigned who = order[o][i];

				say(&x, who, who == 1 ? 2 : 1, who == 0 ? 2 : who == 2 ? 1 : 0, 1 + who);
			}
			seen[det] |= 1u << best(&x);
			if (det) {
				/* C goes: A is the best of its group and of all. */
				withdraw_net(x.src[2], &x.net, 0);
				assert_int_equal(best(&x), 0);
				say(&x, 2, 1, 3, 3);
				assert_int_equal(best(&x), 0);
				say(&x, 2, 1, 1, 3);
				assert_int_equal(best(&x), 1);
			}
			close_all(&x);
		}
	assert_int_equal(seen[1], 1u << 1);
	assert_true(seen[0] & (seen[0] - 1)); /* more than one outcome */
}

/* `prefer older`: of those that are equal up to the router id the one that came first stays, within a
 * neighbouring AS and across, with deterministic med and without. */
static void test_older_in_table(void **state)
{
	for (unsigned det = 0; det < 2; det++) {
		struct ctx x;

		open_all(&x, det, false, true);
		say(&x, 0, 1, 5, 40);
		say(&x, 1, 2, 5, 30);
		assert_int_equal(best(&x), 0);
		say(&x, 2, 1, 5, 20);
		assert_int_equal(best(&x), 0);
		say(&x, 3, 3, 5, 10);
		assert_int_equal(best(&x), 0);
		say(&x, 0, 1, 5, 41); /* says something else: still there */
		assert_int_equal(best(&x), 0);
		/* A better MED than the best one's, of one AS; with groups it is one of three that are equal.
		 */
		say(&x, 2, 1, 4, 20);
		assert_int_equal(best(&x), det ? 1 : 2);
		withdraw_net(x.src[0], &x.net, 0);
		withdraw_net(x.src[2], &x.net, 0);
		assert_int_equal(best(&x), 1);
		withdraw_net(x.src[1], &x.net, 0);
		assert_int_equal(best(&x), 3);
		close_all(&x);
	}
}

/* The views a listener gets are in order all the way down. */
static void in_order(void *ctx, struct rib_shard *s, const struct rib_change *c, unsigned n, bool dump)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 1; k < c[i].n_routes; k++)
			if (attrs_get(c[i].routes[k - 1].attrs)->path_len >
				attrs_get(c[i].routes[k].attrs)->path_len)
				abort();
}

/* The one behind the best does not share its next hop when there is one that does not. */
static void test_backup(void **state)
{
	struct ctx x;
	struct rib_listener *l;
	static const struct rib_listener_ops ops = {.changed = in_order};
	struct attr_nexthop nh;
	uint8_t path[64];
	union net_buffer b;

	open_all(&x, false, false, false);
	for (unsigned i = 0; i < 4; i++) {
		struct attrs a = bgp_attrs(path, &nh, 5, i + 1, i < 3 ? 7 : 8);
		uint32_t id = attrs_intern(&a);

		announce(x.src[i], &x.net, 0, id);
		attrs_release(id);
	}
	rib_quiet(x.rib);
	/* Somebody wants backups from now on; what is there is put in order. */
	l = rib_listener_open(x.t, RIB_LISTEN_BACKUP, &ops, &x);
	rib_quiet(x.rib);
	rcu_read_lock();
	rib_find(x.t, &x.net, &b.v, 64);
	rcu_read_unlock();
	assert_int_equal(b.v.routes[0].source, rib_source_id(x.src[0]));
	assert_int_equal(b.v.routes[1].source, rib_source_id(x.src[3]));
	withdraw_net(x.src[0], &x.net, 0);
	rib_quiet(x.rib);
	rcu_read_lock();
	rib_find(x.t, &x.net, &b.v, 64);
	rcu_read_unlock();
	assert_int_equal(b.v.routes[0].source, rib_source_id(x.src[1]));
	assert_int_equal(b.v.routes[1].source, rib_source_id(x.src[3]));
	rib_listener_close(l);
	close_all(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_of_rules),
		cmocka_unit_test(test_prefer_older),
		cmocka_unit_test(test_static_by_metric),
		cmocka_unit_test(test_older_in_table),
		cmocka_unit_test(test_deterministic_med),
		cmocka_unit_test(test_backup),
	};
	return cmocka_run_group_tests(tests, rib_test_setup, rib_test_teardown);
}
