/* SPDX-License-Identifier: BSD-2-Clause */
/* ROA and ASPA tables: checks against a plain model, and that what ROAs cover is evaluated again. */
#include "controlplane/rib/roa.h"
#include "tests/unit/rib_support.h"

enum { MODEL = 400 };

struct roa {
	struct net n;
	bool there;
};

/* Asks as filters do. */
static int check_by_filter(struct filter_vm *vm, const struct filter *f, const struct prefix *p, uint32_t asn)
{
	uint8_t path[64];
	struct attr_nexthop nh;
	struct attrs a = bgp_attrs(path, &nh, asn, 1, 1), out;
	struct net n = {.type = p->family == 4 ? NET_IP4 : NET_IP6, .prefix = *p};
	struct filter_route r = {.net = &n, .attrs = &a, .proto_name = "x"};
	bool changed;

	rcu_read_lock();
	assert_int_equal(filter_run(vm, f, &r, &changed, &out), FILTER_ACCEPT);
	rcu_read_unlock();
	return (int)out.med;
}

static int model_check(const struct roa *roas, const struct prefix *p, uint32_t asn)
{
	bool any = false;

	for (unsigned i = 0; i < MODEL; i++) {
		if (!roas[i].there || !prefix_contains(&roas[i].n.prefix, p))
			continue;
		any = true;
		if (asn && roas[i].n.asn == asn && roas[i].n.maxlen >= p->len)
			return 1;
	}
	return any ? 2 : 0;
}

static void check_random(bool six)
{
	struct config *conf;
	char body[200];
	struct filter_ref f;
	struct rib *rib = rib_create(3);
	struct rib_table *t = rib_table_open(rib, six ? "roas6" : "roas", six ? NET_ROA6 : NET_ROA4, false);
	struct rib_source_config c = {.proto_name = "rpki1", .source = RTS_RPKI, .import.kind = FILTER_ALL};
	struct rib_source *src = rib_source_open(t, &c);
	struct attrs a = {.preference = 100};
	uint32_t id = attrs_intern(&a);
	struct roa *roas = calloc(MODEL, sizeof(*roas));
	struct filter_vm *vm = filter_vm_create();
	unsigned seed = 5, answers[3] = {0};

	snprintf(body, sizeof(body),
		"case roa_check(%s, net, bgp_path.first) { ROA_UNKNOWN: bgp_med = 0; ROA_VALID: bgp_med = 1; "
		"ROA_INVALID: bgp_med = 2; } accept;",
		six ? "roas6" : "roas");
	f = filter_from(body, &conf);
	for (unsigned round = 0; round < 30; round++) {
		for (unsigned k = 0; k < 100; k++) {
			unsigned i = (unsigned)rand_r(&seed) % MODEL;
			struct roa *r = &roas[i];

			if (r->there) {
				withdraw_net(src, &r->n, 0);
				r->there = false;
				continue;
			}
			r->n = (struct net){.type = six ? NET_ROA6 : NET_ROA4};
			/* A small space, so that they cover each other. */
			if (six) {
				struct ipaddr x = {
					.b = {0x20, 1, (uint8_t)(rand_r(&seed) % 2), (uint8_t)rand_r(&seed),
						(uint8_t)(rand_r(&seed) % 3)}};

				r->n.prefix = prefix_make(&x, 16 + (unsigned)rand_r(&seed) % 33);
			} else {
				r->n.prefix = net4(0x0a000000 | ((uint32_t)rand_r(&seed) % 65536) << 8,
					12 + (unsigned)rand_r(&seed) % 13)
						      .prefix;
			}
			r->n.maxlen = (uint8_t)(r->n.prefix.len + (unsigned)rand_r(&seed) % 8);
			r->n.asn = 1 + (uint32_t)rand_r(&seed) % 5;
			for (unsigned j = 0; j < MODEL; j++) /* no twins */
				if (j != i && roas[j].there &&
					prefix_equal(&roas[j].n.prefix, &r->n.prefix) &&
					roas[j].n.asn == r->n.asn && roas[j].n.maxlen == r->n.maxlen)
					goto skip;
			r->there = true;
			announce(src, &r->n, 0, id);
		skip:;
		}
		rib_quiet(rib);
		for (unsigned k = 0; k < 300; k++) {
			uint32_t asn = 1 + (uint32_t)rand_r(&seed) % 5;
			struct prefix p;
			int want;

			if (six) {
				struct ipaddr x = {
					.b = {0x20, 1, (uint8_t)(rand_r(&seed) % 2), (uint8_t)rand_r(&seed),
						(uint8_t)(rand_r(&seed) % 3)}};

				p = prefix_make(&x, (unsigned)rand_r(&seed) % 65);
			} else {
				p = net4(0x0a000000 | ((uint32_t)rand_r(&seed) % 65536) << 8,
					8 + (unsigned)rand_r(&seed) % 25)
					    .prefix;
			}
			want = model_check(roas, &p, asn);
			assert_int_equal(check_by_filter(vm, f.filter, &p, asn), want);
			answers[want]++;
		}
	}
	assert_true(answers[0] && answers[1] && answers[2]);
	source_close_wait(src);
	rib_quiet(rib);
	{
		struct prefix p = net4(0x0a000000, 24).prefix;

		assert_int_equal(check_by_filter(vm, f.filter, &p, 1), 0);
	}
	rib_table_close(t);
	rib_destroy(rib);
	/* The table is gone, the filter is not: it knows nothing any more. */
	{
		struct prefix p = net4(0x0a000000, 24).prefix;

		assert_int_equal(check_by_filter(vm, f.filter, &p, 1), 0);
	}
	attrs_release(id);
	filter_vm_destroy(vm);
	config_release(conf);
	free(roas);
}

static void test_random(void **state)
{
	check_random(false);
	check_random(true);
}

/* What listeners are given again. */
struct given {
	_Atomic unsigned inside, outside, closed;
};

static void given_again(void *ctx, struct rib_shard *s, const struct rib_change *c, unsigned n, bool dump)
{
	struct given *g = ctx;

	for (unsigned i = 0; dump && i < n; i++) {
		assert_true(c[i].n_routes >= 1);
		g->inside += ntohl(c[i].net->prefix.addr.w[3]) == 0x0a010200;
		g->outside += ntohl(c[i].net->prefix.addr.w[3]) == 0x0b000000;
	}
}

static void given_closed(void *ctx, struct rib_shard *s)
{
	((struct given *)ctx)->closed++;
}

static void wait_until(_Atomic unsigned *n, unsigned want)
{
	for (unsigned i = 0; i < 1000 && *n < want; i++)
		usleep(10000);
	assert_int_equal(*n, want);
}

static void wait_imported(struct rib_source *s, unsigned want)
{
	struct rib_source_stats st;

	for (unsigned i = 0; i < 1000; i++) {
		rib_source_stats(s, &st);
		if (st.imported == want)
			return;
		usleep(10000);
	}
	assert_int_equal(st.imported, want);
}

static void test_evaluated_again(void **state)
{
	struct config *conf;
	struct filter_ref f = filter_from(
		"if roa_check(roas, net, bgp_path.first) = ROA_INVALID then reject; accept;", &conf);
	struct rib *rib = rib_create(2);
	struct rib_table *t = rib_table_open(rib, "master4", NET_IP4, false);
	struct rib_table *roas = rib_table_open(rib, "roas", NET_ROA4, false);
	struct rib_source_config c = bgp_source("a", 1), d = bgp_source("b", 2),
				 rc = {.proto_name = "rpki1", .source = RTS_RPKI, .import.kind = FILTER_ALL};
	struct rib_source *a, *b, *rpki = rib_source_open(roas, &rc);
	struct net n = net_of("10.1.2.0/24"), m = net_of("11.0.0.0/24"),
		   roa = {.type = NET_ROA4, .maxlen = 24, .asn = 9};
	struct attrs empty = {.preference = 100};
	uint32_t id = simple_attrs(1, 1, 5), roa_id = attrs_intern(&empty);
	struct rib_source_stats st, st2;
	static const struct rib_listener_ops ops = {.changed = given_again, .closed = given_closed};
	struct given told = {0}, quiet = {0};
	struct rib_listener *l1 = rib_listener_open(t, RIB_LISTEN_BEST, &ops, &told),
			    *l2 = rib_listener_open(t, RIB_LISTEN_BEST, &ops, &quiet);
	struct attrs_usage u;

	rib_listener_reads_roa(l1, false);
	rib_listener_reads_roa(l2, true);
	rib_quiet(rib); /* their first dumps are over */
	c.import = d.import = f;
	d.no_roa_reload = true;
	a = rib_source_open(t, &c);
	b = rib_source_open(t, &d);
	announce(a, &n, 0, id);
	announce(a, &m, 0, id);
	announce(b, &n, 0, id);
	rib_quiet(rib); /* the ROA may be another shard's, which does not wait for this one */
	roa.prefix = net_of("10.0.0.0/8").prefix;
	announce(rpki, &roa, 0, roa_id);
	wait_imported(a, 1);
	wait_until(&told.inside, 1);
	rib_quiet(rib);
	rib_source_stats(b, &st2);
	assert_int_equal(st2.imported, 1); /* asked not to be told */
	assert_int_equal(told.outside, 0); /* no ROA that has changed covers it */
	/* A ROA that makes it valid. */
	roa.asn = 1;
	announce(rpki, &roa, 0, roa_id);
	wait_imported(a, 2);
	wait_until(&told.inside, 2);
	rib_quiet(rib);
	assert_int_equal(told.outside, 0);
	assert_int_equal(quiet.inside + quiet.outside, 0);
	/* A table that is held: nothing that asks it gets in, and nobody may ask not to be told. */
	rib_roa_hold(roas, true);
	wait_imported(a, 0);
	wait_imported(b, 0);
	rib_quiet(rib);
	announce(a, &m, 0, id);
	rib_quiet(rib);
	rib_source_stats(a, &st);
	assert_int_equal(st.imported, 0);
	told.inside = told.outside = quiet.inside = quiet.outside = 0;
	rib_roa_hold(roas, false);
	wait_imported(a, 2);
	wait_imported(b, 1);
	wait_until(&told.inside, 1);
	wait_until(&told.outside, 1);
	wait_until(&quiet.inside, 1);
	wait_until(&quiet.outside, 1);
	rib_roa_hold(roas, false); /* which says nothing new */
	rib_quiet(rib);
	assert_int_equal(told.inside, 1);
	rib_listener_close(l1);
	rib_listener_close(l2);
	wait_until(&told.closed, 2);
	wait_until(&quiet.closed, 2);
	attrs_release(id);
	attrs_release(roa_id);
	source_close_wait(a);
	source_close_wait(b);
	source_close_wait(rpki);
	rib_table_close(t);
	rib_table_close(roas);
	rib_destroy(rib);
	config_release(conf);
	attrs_usage(&u);
	assert_int_equal(u.sets, 0);
}

/* ---- ASPA ---- */

static void attest(struct rib_source *s, uint32_t customer, const uint32_t *providers, unsigned n)
{
	struct attr_extra x = {.id = ATTR_EXTRA_ASPA_PROVIDERS,
		.type = T_CLIST,
		.len = (uint16_t)(4 * n),
		.data = providers};
	struct attrs a = {.preference = 100, .extra = &x, .n_extra = 1};
	struct net net = {.type = NET_ASPA, .asn = customer};
	uint32_t id = attrs_intern(&a);

	announce(s, &net, 0, id);
	attrs_release(id);
}

static int aspa(struct filter_vm *vm, const struct filter *f, const uint32_t *path, unsigned n)
{
	uint8_t wire[64] = {2, (uint8_t)n};
	struct attrs a = {.present = ATTR_AS_PATH, .as_path = wire, .as_path_bytes = (uint16_t)(2 + 4 * n)},
		     out;
	struct net net = net_of("10.0.0.0/8");
	struct filter_route r = {.net = &net, .attrs = &a, .proto_name = "x"};
	bool changed;

	for (unsigned i = 0; i < n; i++) {
		uint32_t be = htonl(path[i]);

		memcpy(wire + 2 + 4 * i, &be, 4);
	}
	rcu_read_lock();
	assert_int_equal(filter_run(vm, f, &r, &changed, &out), FILTER_ACCEPT);
	rcu_read_unlock();
	return (int)out.med;
}

#define PATH(...) ((const uint32_t[]){__VA_ARGS__}), sizeof((const uint32_t[]){__VA_ARGS__}) / 4

static void test_aspa(void **state)
{
	struct config *c1, *c2;
	struct filter_ref up =
		filter_from("case aspa_check(aspas, bgp_path, true) { ASPA_UNKNOWN: bgp_med = 0; "
			    "ASPA_VALID: bgp_med = 1; ASPA_INVALID: bgp_med = 2; } accept;",
			&c1);
	struct filter_ref down =
		filter_from("case aspa_check(aspas, bgp_path, false) { ASPA_UNKNOWN: bgp_med = 0; "
			    "ASPA_VALID: bgp_med = 1; ASPA_INVALID: bgp_med = 2; } accept;",
			&c2);
	struct rib *rib = rib_create(2);
	struct rib_table *t = rib_table_open(rib, "aspas", NET_ASPA, false);
	struct rib_source_config c = {.proto_name = "s", .source = RTS_STATIC, .import.kind = FILTER_ALL};
	struct rib_source *s = rib_source_open(t, &c);
	struct filter_vm *vm = filter_vm_create();

	/* 1 -> 2 -> 3 are customer, provider, its provider; 6 -> 5 -> 4 likewise; 7 says it has none. */
	attest(s, 1, PATH(2, 20));
	attest(s, 2, PATH(3));
	attest(s, 6, PATH(5));
	attest(s, 5, PATH(4));
	attest(s, 7, PATH(0));
	rib_quiet(rib);
	assert_int_equal(aspa(vm, up.filter, PATH(1)), 1);
	assert_int_equal(aspa(vm, up.filter, PATH(2, 1)), 1);
	assert_int_equal(aspa(vm, up.filter, PATH(3, 2, 2, 1, 1)), 1);
	assert_int_equal(aspa(vm, up.filter, PATH(4, 3, 2, 1)), 0); /* 3 attests nothing */
	assert_int_equal(aspa(vm, up.filter, PATH(4, 2, 1)), 2);
	assert_int_equal(aspa(vm, up.filter, PATH(3, 7)), 2);
	assert_int_equal(aspa(vm, down.filter, PATH(4, 2)), 1); /* two are always fine */
	assert_int_equal(aspa(vm, down.filter, PATH(6, 5, 4, 3, 2, 1)), 1);
	assert_int_equal(aspa(vm, down.filter, PATH(5, 6, 1)), 2); /* a valley */
	assert_int_equal(aspa(vm, down.filter, PATH(6, 5, 9, 8, 2, 1)), 2);
	assert_int_equal(aspa(vm, down.filter, PATH(6, 5, 4, 9, 3, 2, 1)), 0);
	/* Another attestation takes the place of the first. */
	attest(s, 1, PATH(30));
	rib_quiet(rib);
	assert_int_equal(aspa(vm, up.filter, PATH(2, 1)), 2);
	source_close_wait(s);
	rib_quiet(rib);
	assert_int_equal(aspa(vm, up.filter, PATH(2, 1)), 0);
	rib_table_close(t);
	rib_destroy(rib);
	filter_vm_destroy(vm);
	config_release(c1);
	config_release(c2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_evaluated_again),
		cmocka_unit_test(test_aspa),
	};
	return cmocka_run_group_tests(tests, rib_test_setup, rib_test_teardown);
}
