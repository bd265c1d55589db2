/* SPDX-License-Identifier: BSD-2-Clause */
/* Flow rules checked against a base table: against a plain model while the table changes, and case by case.
 */
#include "controlplane/rib/flow_base.h"
#include "tests/unit/rib_support.h"

enum { NEIGHBORS = 4, ROUTES = 120, RULES = 80 };

union rule {
	struct nlri nlri;
	uint8_t room[sizeof(struct nlri) + 64];
};

/* flow { dst p; }, or { proto 6; } */
static struct net rule_to(const struct prefix *p, bool six, union rule *r)
{
	struct net n = {.type = six ? NET_FLOW6 : NET_FLOW4, .nlri = &r->nlri};
	uint8_t *d = r->nlri.data;
	unsigned len = 0;

	if (!p) {
		memcpy(d, (uint8_t[]){3, 0x81, 6}, 3);
		r->nlri.len = 3;
		n.prefix.family = six ? 6 : 4;
		n.prefix.addr = six ? (struct ipaddr){0} : ipaddr_v4(0);
		return n;
	}
	d[len++] = 1;
	d[len++] = p->len;
	if (six)
		d[len++] = 0;
	memcpy(d + len, p->addr.b + (six ? 0 : 12), (p->len + 7u) / 8);
	len += (p->len + 7u) / 8;
	r->nlri.len = (uint16_t)len;
	n.prefix = *p;
	return n;
}

static uint32_t attrs_with(uint32_t first_as, uint32_t originator, bool flow)
{
	struct attr_nexthop nh;
	uint8_t path[64];
	struct attrs a = bgp_attrs(path, &nh, first_as, first_as ? 2 : 0, 1);

	if (!first_as)
		a.as_path_bytes = 0;
	if (originator) {
		a.present |= ATTR_ORIGINATOR;
		a.originator_id = originator;
	}
	if (flow) {
		a.dest = RTD_NONE;
		a.n_nexthop = 0;
		a.nexthop = NULL;
		a.present &= ~(typeof(a.present))ATTR_NEXT_HOP;
	}
	return attrs_intern(&a);
}

/* -1: it is not there; 1: allowed; 0: unreachable. */
static int state_of(struct rib_table *t, const struct net *n)
{
	union net_buffer b;
	int state = -1;

	rcu_read_lock();
	if (rib_find(t, n, &b.v, 64) && b.v.n_routes && !(b.v.routes[0].flags & ROUTE_FILTERED))
		state = attrs_get(b.v.routes[0].attrs)->dest != RTD_UNREACHABLE;
	rcu_read_unlock();
	return state;
}

static void wait_state(struct rib_table *t, const struct net *n, int want)
{
	for (unsigned i = 0; i < 1000 && state_of(t, n) != want; i++)
		usleep(10000);
	assert_int_equal(state_of(t, n), want);
}

/* ---- against a model ---- */

struct route {
	struct prefix p;
	bool there;
	unsigned who;
};

static bool model_allows(const struct route *routes, const struct prefix *dst, unsigned who)
{
	const struct route *best = NULL;

	for (unsigned i = 0; i < ROUTES; i++)
		if (routes[i].there && prefix_contains(&routes[i].p, dst) &&
			(!best || routes[i].p.len > best->p.len))
			best = &routes[i];
	if (!best || best->who != who)
		return false;
	for (unsigned i = 0; i < ROUTES; i++)
		if (routes[i].there && prefix_contains(dst, &routes[i].p) && routes[i].who != who)
			return false;
	return true;
}

static struct prefix some_prefix(bool six, unsigned *seed)
{
	unsigned len = (unsigned)rand_r(seed) % 13;
	struct ipaddr x = {.b = {0x20, 1, 0, (uint8_t)rand_r(seed), (uint8_t)rand_r(seed)}};

	return six ? prefix_make(&x, 24 + len)
		   : net4(0x0a000000 | ((uint32_t)rand_r(seed) & 0xfff) << 12, 8 + len).prefix;
}

static void check_random(bool six)
{
	struct rib *rib = rib_create(3);
	struct rib_table *base = rib_table_open(rib, "master", six ? NET_IP6 : NET_IP4, false);
	struct rib_table *t = rib_table_open(rib, "flows", six ? NET_FLOW6 : NET_FLOW4, false);
	struct rib_source *unicast[NEIGHBORS], *flow[NEIGHBORS];
	uint32_t ids[NEIGHBORS], flow_ids[NEIGHBORS];
	struct route *routes = calloc(ROUTES, sizeof(*routes));
	struct prefix dst[RULES];
	unsigned seed = 11, counts[2] = {0};

	for (unsigned i = 0; i < NEIGHBORS; i++) {
		struct rib_source_config c = bgp_source("n", i);

		ids[i] = attrs_with(100 + i, 0, false);
		flow_ids[i] = attrs_with(100 + i, 0, true);
		unicast[i] = rib_source_open(base, &c);
		c.base_table = base;
		flow[i] = rib_source_open(t, &c);
	}
	for (unsigned i = 0; i < RULES; i++) {
		union rule r;
		struct net n;
	again:
		dst[i] = some_prefix(six, &seed);
		for (unsigned j = 0; j < i; j++)
			if (prefix_equal(&dst[i], &dst[j]))
				goto again;
		n = rule_to(&dst[i], six, &r);
		announce(flow[i % NEIGHBORS], &n, 0, flow_ids[i % NEIGHBORS]);
	}
	for (unsigned round = 0; round < 8; round++) {
		for (unsigned k = 0; k < ROUTES / 4; k++) {
			struct route *x = &routes[(unsigned)rand_r(&seed) % ROUTES];
			struct net n = {.type = six ? NET_IP6 : NET_IP4};
			bool twin = false;

			if (x->there) {
				n.prefix = x->p;
				withdraw_net(unicast[x->who], &n, 0);
				x->there = false;
				continue;
			}
			x->p = some_prefix(six, &seed);
			/* Mostly the same neighbour in a neighbourhood, that some rules are allowed. */
			x->who = rand_r(&seed) % 8 ? x->p.addr.b[six ? 3 : 13] / 64
						   : (unsigned)rand_r(&seed) % 4;
			for (unsigned j = 0; j < ROUTES; j++)
				twin |= routes[j].there && prefix_equal(&routes[j].p, &x->p);
			if (twin)
				continue;
			x->there = true;
			n.prefix = x->p;
			announce(unicast[x->who], &n, 0, ids[x->who]);
		}
		for (unsigned i = 0; i < RULES; i++) {
			bool want = model_allows(routes, &dst[i], i % NEIGHBORS);
			union rule r;
			struct net n = rule_to(&dst[i], six, &r);

			wait_state(t, &n, want);
			counts[want]++;
		}
	}
	assert_true(counts[0] > 20 && counts[1] > 20);
	for (unsigned i = 0; i < NEIGHBORS; i++) {
		source_close_wait(unicast[i]);
		source_close_wait(flow[i]);
		attrs_release(ids[i]);
		attrs_release(flow_ids[i]);
	}
	rib_table_close(t);
	rib_table_close(base);
	rib_destroy(rib);
	free(routes);
}

static void test_random(void **state)
{
	check_random(false);
	check_random(true);
}

/* ---- case by case ---- */

struct world {
	struct rib *rib;
	struct rib_table *base, *t;
	struct rib_source *unicast, *flow;
	struct config *conf;
};

static void world_open(
	struct world *w, const struct rib_source_config *unicast, const struct rib_source_config *flow)
{
	struct rib_source_config c = *flow;

	w->rib = rib_create(2);
	w->base = rib_table_open(w->rib, "master4", NET_IP4, false);
	w->t = rib_table_open(w->rib, "flows", NET_FLOW4, false);
	w->unicast = rib_source_open(w->base, unicast);
	c.base_table = w->base;
	w->flow = rib_source_open(w->t, &c);
}

static void world_close(struct world *w)
{
	source_close_wait(w->unicast);
	source_close_wait(w->flow);
	rib_table_close(w->t);
	rib_table_close(w->base);
	rib_destroy(w->rib);
}

/* Who announces what, and whether the rule for 10.1.0.0/16 is allowed beside a route for 10.0.0.0/8. */
struct claim {
	bool external, bgp;
	unsigned neighbor;
	uint32_t as, originator;
};

static void check_case(const struct claim *route, const struct claim *rule, bool want)
{
	struct rib_source_config u = bgp_source("u", route->neighbor), f = bgp_source("f", rule->neighbor);
	uint32_t route_id = attrs_with(route->as, route->originator, false),
		 rule_id = attrs_with(rule->as, rule->originator, true);
	struct net net = net_of("10.0.0.0/8"), n;
	struct prefix dst = net_of("10.1.0.0/16").prefix;
	struct world w;
	union rule r;

	u.peer.external = route->external;
	if (!route->bgp)
		u.source = RTS_STATIC;
	f.peer.external = rule->external;
	world_open(&w, &u, &f);
	announce(w.unicast, &net, 0, route_id);
	rib_quiet(w.rib); /* the base has it, or will tell */
	n = rule_to(&dst, false, &r);
	announce(w.flow, &n, 0, rule_id);
	rib_quiet(w.rib);
	usleep(want ? 0 : 300000); /* what was too early is looked at again */
	wait_state(w.t, &n, want);
	/* Without a destination never; and without the route only the own rule of an internal neighbour. */
	n = rule_to(NULL, false, &r);
	announce(w.flow, &n, 0, rule_id);
	wait_state(w.t, &n, 0);
	n = rule_to(&dst, false, &r);
	withdraw_net(w.unicast, &net, 0);
	wait_state(w.t, &n, !rule->external && !rule->as);
	world_close(&w);
	attrs_release(route_id);
	attrs_release(rule_id);
}

static void test_cases(void **state)
{
	const struct claim external = {true, true, 1, 100, 0}, other_as = {true, true, 1, 200, 0},
			   other_neighbor = {true, true, 2, 100, 0}, is_static = {true, false, 1, 0, 0},
			   internal = {false, true, 1, 100, 0}, internal_own = {false, true, 2, 0, 0},
			   reflected = {false, true, 1, 100, 7},
			   reflected_by_other = {false, true, 2, 100, 7}, of_other = {false, true, 1, 100, 8},
			   internal_path = {false, true, 1, 200, 0};

	check_case(&external, &external, true);
	check_case(&external, &other_as, false);
	check_case(&external, &other_neighbor, false);
	check_case(&is_static, &external, false);
	check_case(&internal, &internal, true);
	check_case(&internal, &internal_path, true); /* 9117 4.2: the AS is asked of external ones */
	check_case(&external, &internal_own, true);
	check_case(&reflected, &reflected_by_other, true);
	check_case(&reflected, &of_other, false);
	check_case(&reflected, &internal, false);
}

/* A filter may drop what is not allowed; it comes back when it is. */
static void test_filtered(void **state)
{
	struct rib_source_config u = bgp_source("u", 1), f = bgp_source("f", 1);
	uint32_t route_id = attrs_with(100, 0, false), other_id = attrs_with(300, 0, false),
		 rule_id = attrs_with(100, 0, true);
	struct net net = net_of("10.0.0.0/8"), specific = net_of("10.1.2.0/24"), n;
	struct prefix dst = net_of("10.1.0.0/16").prefix;
	struct config *conf;
	struct world w;
	union rule r;

	f.import = filter_from("if dest = RTD_UNREACHABLE then reject; accept;", &conf);
	world_open(&w, &u, &f);
	n = rule_to(&dst, false, &r);
	announce(w.flow, &n, 0, rule_id);
	rib_quiet(w.rib);
	assert_int_equal(state_of(w.t, &n), -1);
	announce(w.unicast, &net, 0, route_id);
	wait_state(w.t, &n, 1);
	announce(w.unicast, &specific, 0, other_id);
	wait_state(w.t, &n, -1);
	announce(w.unicast, &specific, 0, route_id);
	wait_state(w.t, &n, 1);
	/* Not checked any more, and checked again. */
	withdraw_net(w.unicast, &net, 0);
	wait_state(w.t, &n, -1);
	rib_source_reconfigure(w.flow, &f, RIB_IF_CHANGED);
	wait_state(w.t, &n, 1);
	f.base_table = w.base;
	rib_source_reconfigure(w.flow, &f, RIB_IF_CHANGED);
	wait_state(w.t, &n, -1);
	world_close(&w);
	config_release(conf);
	attrs_release(route_id);
	attrs_release(other_id);
	attrs_release(rule_id);
}

/* A route of another AS that makes a fork between two of one. */
static void test_fork(void **state)
{
	struct rib_source_config c = bgp_source("n", 1);
	uint32_t same = attrs_with(100, 0, false), other = attrs_with(300, 0, false),
		 rule_id = attrs_with(100, 0, true);
	struct net routes[] = {net_of("10.1.0.0/16"), net_of("10.1.2.0/24"), net_of("10.1.8.0/24")},
		   twin = net_of("10.1.3.0/24"), n;
	struct prefix dst = net_of("10.1.0.0/16").prefix;
	struct world w;
	union rule r;

	world_open(&w, &c, &c);
	n = rule_to(&dst, false, &r);
	announce(w.flow, &n, 0, rule_id);
	for (unsigned i = 0; i < 3; i++)
		announce(w.unicast, &routes[i], 0, same);
	wait_state(w.t, &n, 1);
	announce(w.unicast, &twin, 0, other);
	wait_state(w.t, &n, 0);
	announce(w.unicast, &twin, 0, same);
	wait_state(w.t, &n, 1);
	announce(w.unicast, &twin, 0, other);
	wait_state(w.t, &n, 0);
	withdraw_net(w.unicast, &twin, 0);
	wait_state(w.t, &n, 1);
	world_close(&w);
	attrs_release(same);
	attrs_release(other);
	attrs_release(rule_id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_filtered),
		cmocka_unit_test(test_fork),
	};

	return cmocka_run_group_tests(tests, rib_test_setup, rib_test_teardown);
}
