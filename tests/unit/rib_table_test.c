/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables: announcements, withdrawals, import filters, stale routes, closing, readers; against a plain model.
 */
#include "tests/unit/rib_support.h"

static unsigned views(struct rib_table *t, const char *prefix, union net_buffer *b)
{
	struct net n = net_of(prefix);
	bool found;

	rcu_read_lock();
	found = rib_find(t, &n, &b->v, 64);
	rcu_read_unlock();
	return found ? b->v.n_routes : 0;
}

static void assert_no_attrs(struct rib *rib)
{
	struct attrs_usage u;

	rib_destroy(rib);
	rcu_barrier();
	attrs_usage(&u);
	assert_int_equal(u.sets, 0);
}

static void test_one_route(void **state)
{
	struct rib *rib = rib_create(2);
	struct rib_table *t = rib_table_open(rib, "master4", NET_IP4, false);
	struct rib_source_config c = bgp_source("a", 1);
	struct rib_source *a = rib_source_open(t, &c);
	struct net n = net_of("10.0.0.0/8");
	struct rib_source_stats st;
	struct rib_table_stats ts;
	uint32_t id = simple_attrs(1, 3, 5);
	union net_buffer b;

	announce(a, &n, 0, id);
	attrs_release(id);
	rib_quiet(rib);
	assert_int_equal(views(t, "10.0.0.0/8", &b), 1);
	assert_int_equal(b.v.routes[0].attrs, id);
	assert_int_equal(b.v.routes[0].source, rib_source_id(a));
	assert_int_equal(b.v.routes[0].flags, 0);
	assert_true(prefix_equal(&b.v.net.prefix, &n.prefix));
	assert_int_equal(views(t, "10.0.0.0/9", &b), 0);
	rib_source_stats(a, &st);
	assert_int_equal(st.imported, 1);
	assert_int_equal(st.preferred, 1);
	rib_table_stats(t, &ts);
	assert_int_equal(ts.nets, 1);
	assert_int_equal(ts.routes, 1);

	withdraw_net(a, &n, 0);
	withdraw_net(a, &n, 0);
	rib_quiet(rib);
	assert_int_equal(views(t, "10.0.0.0/8", &b), 0);
	rib_source_stats(a, &st);
	assert_int_equal(st.received, 0);
	assert_int_equal(st.preferred, 0);
	assert_int_equal(st.withdraws_accepted, 1);
	assert_int_equal(st.withdraws_ignored, 1);
	rib_table_stats(t, &ts);
	assert_int_equal(ts.nets, 0);
	source_close_wait(a);
	rib_table_close(t);
	assert_no_attrs(rib);
}

/* The import filter's refusals stay, hidden, and come up when the filter changes. */
static void test_import_filter(void **state)
{
	struct config *c1, *c2;
	struct filter_ref f1 = filter_from("if net.len > 24 then reject; bgp_local_pref = 200; accept;", &c1);
	struct filter_ref f2 = filter_from("if bgp_path.len > 2 then reject; accept;", &c2);
	struct rib *rib = rib_create(1);
	struct rib_table *t = rib_table_open(rib, "master4", NET_IP4, false);
	struct rib_source_config c = bgp_source("a", 1);
	struct net n = net_of("10.0.0.0/8"), m = net_of("10.0.0.0/28");
	struct rib_source_stats st;
	struct rib_source *a;
	uint32_t id = simple_attrs(1, 3, 5);
	union net_buffer b;

	c.import = f1;
	a = rib_source_open(t, &c);
	announce(a, &n, 0, id);
	announce(a, &m, 0, id);
	rib_quiet(rib);
	assert_int_equal(views(t, "10.0.0.0/8", &b), 1);
	assert_int_equal(b.v.routes[0].attrs_received, id);
	assert_int_not_equal(b.v.routes[0].attrs, id);
	rcu_read_lock();
	assert_int_equal(attrs_get(b.v.routes[0].attrs)->local_pref, 200);
	rcu_read_unlock();
	assert_int_equal(views(t, "10.0.0.0/28", &b), 1);
	assert_int_equal(b.v.routes[0].flags, ROUTE_FILTERED);
	assert_int_equal(b.v.routes[0].attrs, 0);
	rib_source_stats(a, &st);
	assert_int_equal(st.received, 2);
	assert_int_equal(st.imported, 1);
	assert_int_equal(st.filtered, 0); /* not kept for anybody to see */

	c.keep_filtered = true;
	rib_source_reconfigure(a, &c, false);
	rib_quiet(rib);
	assert_int_equal(views(t, "10.0.0.0/28", &b), 1);
	assert_int_equal(b.v.routes[0].flags, ROUTE_FILTERED);
	assert_int_equal(b.v.routes[0].attrs, id);
	rib_source_stats(a, &st);
	assert_int_equal(st.filtered, 1);

	c.import = f2;
	rib_source_reconfigure(a, &c, false);
	rib_quiet(rib);
	rib_source_stats(a, &st);
	assert_int_equal(st.imported, 0);
	assert_int_equal(st.filtered, 2);
	c.import.kind = FILTER_ALL;
	rib_source_reconfigure(a, &c, false);
	rib_quiet(rib);
	rib_source_stats(a, &st);
	assert_int_equal(st.imported, 2);
	assert_int_equal(st.filtered, 0);
	assert_int_equal(views(t, "10.0.0.0/28", &b), 1);
	assert_int_equal(b.v.routes[0].attrs, id);
	c.import.kind = FILTER_NONE;
	rib_source_reconfigure(a, &c, false);
	rib_quiet(rib);
	rib_source_stats(a, &st);
	assert_int_equal(st.imported, 0);

	attrs_release(id);
	source_close_wait(a);
	rib_table_close(t);
	config_release(c1);
	config_release(c2);
	assert_no_attrs(rib);
}

static void test_stale(void **state)
{
	struct rib *rib = rib_create(2);
	struct rib_table *t = rib_table_open(rib, "master4", NET_IP4, false);
	struct rib_source_config c = bgp_source("a", 1), d = bgp_source("b", 2);
	struct rib_source *a = rib_source_open(t, &c), *other = rib_source_open(t, &d);
	uint32_t id = simple_attrs(1, 3, 5), with_no_llgr, no_llgr = 0xffff0007;
	struct rib_source_stats st;
	union net_buffer b;
	struct attrs e;

	for (unsigned i = 0; i < 1000; i++) {
		struct net n = net4(0x0b000000 + (i << 8), 24);

		announce(a, &n, 0, id);
		announce(other, &n, 0, id);
	}
	for (unsigned round = 0; round < 40; round++) {
		rib_source_mark_stale(a, false);
		for (unsigned i = 0; i < 1000; i++) {
			struct net n = net4(0x0b000000 + (i << 8), 24);

			if (i % 2 == round % 2)
				announce(a, &n, 0, id);
		}
		/* A second refresh starts before the first has ended. */
		if (round % 3 == 0) {
			rib_quiet(rib);
			assert_int_equal(views(t, "11.0.0.0/24", &b), 2);
			for (unsigned i = 0; i < 2; i++)
				if (b.v.routes[i].source == rib_source_id(a))
					assert_int_equal(b.v.routes[i].flags, round % 2 ? ROUTE_STALE : 0);
		}
		rib_source_sweep_stale(a);
		rib_quiet(rib);
		rib_source_stats(a, &st);
		assert_int_equal(st.imported, 500);
		for (unsigned i = 0; i < 1000; i++) {
			struct net n = net4(0x0b000000 + (i << 8), 24);

			announce(a, &n, 0, id);
		}
	}
	rib_quiet(rib);
	rib_source_stats(a, &st);
	assert_int_equal(st.imported, 1000);

	/* Long-lived: last choice, with a community; those that must not be kept are not. */
	rcu_read_lock();
	e = *attrs_get(id);
	e.community = &no_llgr;
	e.n_community = 1;
	e.present |= ATTR_COMMUNITY;
	with_no_llgr = attrs_intern(&e);
	rcu_read_unlock();
	{
		struct net n = net_of("11.0.1.0/24");

		announce(a, &n, 0, with_no_llgr);
	}
	rib_source_mark_stale(a, true);
	rib_quiet(rib);
	assert_int_equal(views(t, "11.0.1.0/24", &b), 1);
	assert_int_equal(views(t, "11.0.0.0/24", &b), 2);
	assert_int_equal(b.v.routes[0].source, rib_source_id(other));
	assert_int_equal(b.v.routes[1].flags, ROUTE_STALE | ROUTE_LLGR);
	rcu_read_lock();
	assert_int_equal(attrs_get(b.v.routes[1].attrs)->derived, ATTRD_LLGR_COMMUNITY);
	rcu_read_unlock();
	{
		struct net n = net_of("11.0.0.0/24");

		announce(a, &n, 0, id);
	}
	rib_quiet(rib);
	assert_int_equal(views(t, "11.0.0.0/24", &b), 2);
	assert_int_equal(b.v.routes[0].source, rib_source_id(a));
	assert_int_equal(b.v.routes[0].attrs, id);
	rib_source_sweep_stale(a);
	rib_quiet(rib);
	rib_source_stats(a, &st);
	assert_int_equal(st.imported, 1);
	rib_source_flush(other);
	rib_quiet(rib);
	rib_source_stats(other, &st);
	assert_int_equal(st.received, 0);
	attrs_release(id);
	attrs_release(with_no_llgr);
	source_close_wait(a);
	source_close_wait(other);
	rib_table_close(t);
	assert_no_attrs(rib);
}

struct hits {
	_Atomic unsigned receive, import;
	_Atomic unsigned action;
};

static void limit_hit(void *ctx, bool import_limit, enum limit_action action)
{
	struct hits *h = ctx;

	if (import_limit)
		h->import++;
	else
		h->receive++;
	h->action = action;
}

static void test_limits(void **state)
{
	struct rib *rib = rib_create(1);
	struct rib_table *t = rib_table_open(rib, "master4", NET_IP4, false);
	struct rib_source_config c = bgp_source("a", 1);
	struct rib_source_stats st;
	struct hits h = {0};
	struct rib_source *a;
	uint32_t id = simple_attrs(1, 3, 5);

	c.receive_limit = (struct limit_config){.value = 100, .action = LIMIT_WARN};
	c.import_limit = (struct limit_config){.value = 50, .action = LIMIT_BLOCK};
	c.limit_hit = limit_hit;
	c.ctx = &h;
	a = rib_source_open(t, &c);
	for (unsigned i = 0; i < 150; i++) {
		struct net n = net4(i << 8, 24);

		announce(a, &n, 0, id);
	}
	rib_quiet(rib);
	rib_source_stats(a, &st);
	assert_int_equal(st.received, 150);
	assert_int_equal(st.imported, 50);
	assert_int_equal(h.receive, 1);
	assert_int_equal(h.import, 1);
	/* Room again: new ones are let in up to the limit, and the warning is given again. */
	for (unsigned i = 0; i < 100; i++) {
		struct net n = net4(i << 8, 24);

		withdraw_net(a, &n, 0);
	}
	for (unsigned i = 0; i < 100; i++) {
		struct net n = net4(i << 8, 24);

		announce(a, &n, 0, id);
	}
	rib_quiet(rib);
	rib_source_stats(a, &st);
	assert_int_equal(st.imported, 50);
	assert_int_equal(h.import, 2);
	/* The limit goes: what was blocked is considered when the filter is run again. */
	c.import_limit.action = LIMIT_NONE;
	c.receive_limit = (struct limit_config){.value = 10, .action = LIMIT_DISABLE};
	rib_source_reconfigure(a, &c, true);
	rib_quiet(rib);
	rib_source_stats(a, &st);
	assert_int_equal(st.imported, 150);
	{
		struct net n = net_of("99.0.0.0/8");

		announce(a, &n, 0, id);
	}
	rib_quiet(rib);
	rib_source_stats(a, &st);
	assert_int_equal(st.received, 150);
	assert_int_equal(st.updates_ignored, 151); /* limits refuse, and that counts so */
	assert_int_equal(h.action, LIMIT_DISABLE);
	attrs_release(id);
	source_close_wait(a);
	rib_table_close(t);
	assert_no_attrs(rib);
}

static void test_add_path_and_pipe(void **state)
{
	struct rib *rib = rib_create(2);
	struct rib_table *t = rib_table_open(rib, "t1", NET_IP4, true),
			 *u = rib_table_open(rib, "t2", NET_IP4, false);
	struct rib_source_config c = bgp_source("a", 1), pc = bgp_source("pipe1", 9),
				 pd = bgp_source("pipe2", 9);
	struct rib_source *a = rib_source_open(t, &c), *pipe1, *pipe2;
	uint32_t longer = simple_attrs(1, 3, 5), shorter = simple_attrs(1, 2, 6);
	struct net n = net_of("10.0.0.0/8");
	struct rib_source_stats st;
	struct rib_batch *batch;
	union net_buffer b;

	pc.source = pd.source = RTS_PIPE;
	pc.peer.bgp = pd.peer.bgp = false;
	pipe1 = rib_source_open(u, &pc);
	pipe2 = rib_source_open(u, &pd);
	announce(a, &n, 7, longer);
	announce(a, &n, 70000, shorter);
	announce(a, &n, 8, longer);
	rib_quiet(rib);
	assert_int_equal(views(t, "10.0.0.0/8", &b), 3);
	assert_int_equal(b.v.routes[0].path_id, 70000);
	assert_int_equal(b.v.routes[0].attrs, shorter);
	withdraw_net(a, &n, 7);
	rib_quiet(rib);
	assert_int_equal(views(t, "10.0.0.0/8", &b), 2);

	/* A pipe's routes keep who they are from, and best path knows it. */
	batch = rib_batch_create(pipe1);
	rib_batch_announce_from(batch, &n, rib_source_id(a), 8, longer);
	rib_batch_announce_from(batch, &n, rib_source_id(a), 70000, shorter);
	rib_submit(batch);
	batch = rib_batch_create(pipe2);
	rib_batch_announce_from(
		batch, &n, rib_source_id(a), 70000, shorter);        /* refused: it is here already */
	rib_batch_withdraw_from(batch, &n, rib_source_id(a), 70000); /* not this pipe's */
	rib_submit(batch);
	rib_quiet(rib);
	assert_int_equal(views(u, "10.0.0.0/8", &b), 2);
	assert_int_equal(b.v.routes[0].path_id, 70000);
	assert_int_equal(b.v.routes[0].source, rib_source_id(a));
	assert_int_equal(b.v.routes[0].owner, rib_source_id(pipe1));
	rib_source_stats(pipe2, &st);
	assert_int_equal(st.updates_rejected, 1);
	assert_int_equal(st.withdraws_ignored, 1);
	source_close_wait(a);
	rib_source_flush(pipe1);
	rib_quiet(rib);
	assert_int_equal(views(u, "10.0.0.0/8", &b), 0);
	attrs_release(longer);
	attrs_release(shorter);
	source_close_wait(pipe1);
	source_close_wait(pipe2);
	rib_table_close(t);
	rib_table_close(u);
	assert_no_attrs(rib);
}

static void test_longest_match(void **state)
{
	static const char *const nets[] = {
		"0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32"};
	struct rib *rib = rib_create(3);
	struct rib_table *t = rib_table_open(rib, "master4", NET_IP4, false),
			 *t6 = rib_table_open(rib, "master6", NET_IP6, false);
	struct rib_source_config c = bgp_source("a", 1);
	struct rib_source *a = rib_source_open(t, &c), *a6 = rib_source_open(t6, &c);
	uint32_t id = simple_attrs(1, 3, 5);
	union net_buffer b;
	struct prefix p;

	for (unsigned i = 0; i < 5; i++) {
		struct net n = net_of(nets[i]);

		announce(a, &n, 0, id);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct net n = net_of(i ? "2001:db8::/32" : "2001:db8:1::/48");

		announce(a6, &n, 0, id);
	}
	rib_quiet(rib);
	rcu_read_lock();
#define LONGEST(table, host, want)                                                                           \
	do {                                                                                                 \
		char text[PREFIX_STRLEN];                                                                    \
		prefix_parse(host, &p);                                                                      \
		assert_true(rib_find_longest(table, &p, &b.v, 64));                                          \
		assert_string_equal(prefix_format(&b.v.net.prefix, text), want);                             \
	} while (0)
	LONGEST(t, "10.1.2.3/32", "10.1.2.3/32");
	LONGEST(t, "10.1.2.4/32", "10.1.2.0/24");
	LONGEST(t, "10.1.2.0/23", "10.1.0.0/16");
	LONGEST(t, "10.200.0.0/16", "10.0.0.0/8");
	LONGEST(t, "11.0.0.1/32", "0.0.0.0/0");
	LONGEST(t6, "2001:db8:1::1/128", "2001:db8:1::/48");
	LONGEST(t6, "2001:db8:2::1/128", "2001:db8::/32");
	prefix_parse("2001:db9::1/128", &p);
	assert_false(rib_find_longest(t6, &p, &b.v, 64));
	prefix_parse("10.0.0.0/8", &p);
	assert_false(rib_find_longest(t6, &p, &b.v, 64));
	rcu_read_unlock();
	/* A refused route covers nothing. */
	c.import.kind = FILTER_NONE;
	rib_source_reconfigure(a, &c, false);
	rib_quiet(rib);
	prefix_parse("10.1.2.3/32", &p);
	rcu_read_lock();
	assert_false(rib_find_longest(t, &p, &b.v, 64));
	rcu_read_unlock();
	attrs_release(id);
	source_close_wait(a);
	source_close_wait(a6);
	rib_table_close(t);
	rib_table_close(t6);
	assert_no_attrs(rib);
}

/* All kinds of nets come back as they went in. */
static void test_net_types(void **state)
{
	struct rib *rib = rib_create(2);
	struct rib_source_config c = bgp_source("a", 1);
	uint32_t id = simple_attrs(1, 1, 5);
	static const enum net_type types[] = {NET_IP4, NET_IP6, NET_VPN4, NET_VPN6, NET_ROA4, NET_ROA6,
		NET_ASPA, NET_IP6_SADR, NET_ETH, NET_FLOW4, NET_FLOW6, NET_EVPN};
	union {
		struct nlri nlri;
		uint8_t room[16];
	} bytes[2] = {{.nlri.len = 3}, {.nlri.len = 3}};

	memcpy(bytes[0].nlri.data, "\3\x81\6", 3);
	memcpy(bytes[1].nlri.data, "\3\x81\7", 3);

	c.source = RTS_STATIC;
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct rib_table *t = rib_table_open(rib, "t", types[i], false);
		struct rib_source *a = rib_source_open(t, &c);
		bool six = types[i] == NET_IP6 || types[i] == NET_VPN6 || types[i] == NET_ROA6 ||
			   types[i] == NET_IP6_SADR;
		struct net n = {.type = (uint8_t)types[i]}, m;
		union net_buffer b;
		char x[128], y[128];

		if (types[i] != NET_ASPA && types[i] != NET_ETH)
			n.prefix = net_of(six ? "2001:db8::/32" : "192.0.2.0/25").prefix;
		if (types[i] == NET_FLOW4 || types[i] == NET_FLOW6 || types[i] == NET_EVPN)
			n.prefix = (struct prefix){0}, n.nlri = &bytes[0].nlri;
		if (types[i] == NET_EVPN) {
			memcpy(bytes[0].nlri.data, "\x9\1\6", 3);
			memcpy(bytes[1].nlri.data, "\x9\1\7", 3);
		}
		if (types[i] == NET_VPN4 || types[i] == NET_VPN6)
			n.rd = UINT64_C(0x0000fde800000007);
		if (types[i] == NET_ROA4 || types[i] == NET_ROA6)
			n.maxlen = 40, n.asn = 4200000000u;
		if (types[i] == NET_ASPA)
			n.asn = 4200000001u;
		if (types[i] == NET_IP6_SADR)
			n.src = net_of("2001:db8:5::/48").prefix;
		if (types[i] == NET_ETH)
			memcpy(n.mac, "\1\2\3\4\5\6", 6), n.vlan = 9;
		m = n;
		m.asn++;
		m.rd++;
		if (types[i] == NET_IP4 || types[i] == NET_IP6)
			m.prefix.len++;
		if (types[i] == NET_IP6_SADR)
			m.src.len++;
		if (n.nlri == &bytes[0].nlri)
			m.nlri = &bytes[1].nlri;
		announce(a, &n, 0, id);
		rib_quiet(rib);
		rcu_read_lock();
		assert_true(rib_find(t, &n, &b.v, 1));
		net_format(&n, x, sizeof(x));
		net_format(&b.v.net, y, sizeof(y));
		assert_string_equal(x, y);
		assert_false(rib_find(t, &m, &b.v, 1));
		rcu_read_unlock();
		source_close_wait(a);
		rib_table_close(t);
	}
	attrs_release(id);
	assert_no_attrs(rib);
}

/* Destinations that are bytes: one for all tables, the same again when it comes back at once, and gone in the
 * end (which rib_destroy() waits for). */
static void test_nets_of_bytes(void **state)
{
	struct rib *rib = rib_create(2);
	struct rib_source_config c = bgp_source("a", 1);
	uint32_t id = simple_attrs(1, 1, 5);
	struct rib_table *t[2] = {
		rib_table_open(rib, "one", NET_FLOW4, false), rib_table_open(rib, "two", NET_FLOW4, false)};
	struct rib_source *a[2] = {rib_source_open(t[0], &c), rib_source_open(t[1], &c)};
	struct nlri *nlri = malloc(sizeof(*nlri) + 6);
	struct net n = {.type = NET_FLOW4, .nlri = nlri};
	union net_buffer b;

	nlri->len = 6;
	memcpy(nlri->data, "\3\x81\6\4\x81", 5);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 2000; i++) {
			struct rib_batch *batch = rib_batch_create(a[i & 1]);

			nlri->data[5] = (uint8_t)(i % 40);
			rib_batch_announce(batch, &n, 0, id);
			if (i % 3)
				rib_batch_withdraw(batch, &n, 0);
			if (i % 7)
				rib_submit(batch);
			else
				rib_batch_discard(batch);
		}
		for (unsigned i = 0; i < 80; i++) {
			nlri->data[5] = (uint8_t)(i / 2);
			announce(a[i & 1], &n, 0, id);
		}
		rib_quiet(rib);
		rcu_read_lock();
		nlri->data[5] = 39;
		assert_true(rib_find(t[1], &n, &b.v, 1));
		assert_int_equal(net_compare(&b.v.net, &n), 0);
		nlri->data[5] = 40;
		assert_false(rib_find(t[1], &n, &b.v, 1));
		rcu_read_unlock();
		rib_source_flush(a[0]);
		rib_source_flush(a[1]);
	}
	rib_quiet(rib);
	nlri->data[5] = 39;
	rcu_read_lock();
	assert_false(rib_find(t[0], &n, &b.v, 1));
	rcu_read_unlock();
	free(nlri);
	for (unsigned i = 0; i < 2; i++) {
		source_close_wait(a[i]);
		rib_table_close(t[i]);
	}
	attrs_release(id);
	assert_no_attrs(rib);
}

/* ---- random changes against a plain model, with listeners and readers looking on ---- */

enum { SOURCES = 6, NETS = 300, STEPS = 60000, VALUES = 12 };

struct model_route {
	bool there;
	unsigned value; /* which attributes */
};

struct seen { /* what a listener has been told */
	uint32_t attrs, source;
};

struct watch {
	unsigned what;
	bool sorted;
	struct seen net[NETS];
	struct rib *rib;
	uint32_t index_net[4][NETS * 4]; /* by shard: net number + 1 of an index */
	_Atomic unsigned dumped, closed;
	unsigned calls, early;
};

static unsigned net_number(const struct net *n)
{
	return (ntohl(n->prefix.addr.w[3]) - 0x0c000000) >> 8;
}

static void watch_changed(void *ctx, struct rib_shard *s, const struct rib_change *c, unsigned n, bool dump)
{
	struct watch *w = ctx;

	for (unsigned i = 0; i < n; i++) {
		unsigned k = net_number(c[i].net);
		uint32_t *owner = &w->index_net[rib_shard_index(s)][c[i].index];
		struct seen *x = &w->net[k];

		/* An index is one prefix's until `last`. */
		if (*owner && *owner != k + 1)
			abort();
		*owner = c[i].last ? 0 : k + 1;
		if (!dump && x->attrs &&
			(c[i].old_best_attrs != x->attrs || c[i].old_best_source != x->source))
			w->early++; /* allowed only in a repeated dump */
		x->attrs = c[i].best_attrs;
		x->source = c[i].best_source;
		if (c[i].best_attrs) {
			if (!c[i].n_routes || c[i].routes[0].attrs != c[i].best_attrs ||
				c[i].routes[0].source != c[i].best_source)
				abort();
			(void)attrs_get(c[i].best_attrs)->path_len;
		}
		if (c[i].old_best_attrs)
			(void)attrs_get(c[i].old_best_attrs)->path_len;
		if (c[i].last && c[i].best_attrs)
			abort();
	}
	__atomic_fetch_add(&w->calls, n, __ATOMIC_RELAXED);
}

static void watch_dumped(void *ctx, struct rib_shard *s)
{
	((struct watch *)ctx)->dumped++;
}

static void watch_closed(void *ctx, struct rib_shard *s)
{
	((struct watch *)ctx)->closed++;
}

struct reading {
	struct rib_table *t;
	_Atomic bool stop;
	unsigned rounds;
};

static void *reader(void *arg)
{
	struct reading *r = arg;
	union net_buffer b;

	rcu_register_thread();
	while (!r->stop) {
		struct rib_cursor c = {.table = r->t};
		bool more = true;

		while (more) {
			rcu_read_lock();
			for (unsigned i = 0; i < 50 && (more = rib_next(&c, &b.v, 64)); i++) {
				if (net_number(&b.v.net) >= NETS || b.v.net.prefix.len != 24 || !b.v.n_routes)
					abort();
				for (unsigned k = 0; k < b.v.n_routes && k < 64; k++)
					if (b.v.routes[k].attrs &&
						attrs_get(b.v.routes[k].attrs)->preference != 100)
						abort();
				/* Better ones never come after worse ones at the head. */
				if (b.v.n_routes > 1 && (b.v.routes[0].flags & ROUTE_FILTERED) &&
					!(b.v.routes[1].flags & ROUTE_FILTERED))
					abort();
			}
			rcu_read_unlock();
		}
		r->rounds++;
	}
	rcu_unregister_thread();
	return NULL;
}

static void random_table(bool sorted, unsigned shards)
{
	static struct model_route model[NETS][SOURCES];
	struct rib *rib = rib_create(shards);
	struct rib_table *t = rib_table_open(rib, "master4", NET_IP4, sorted);
	static const struct rib_listener_ops ops = {
		.changed = watch_changed, .dumped = watch_dumped, .closed = watch_closed};
	struct watch *early = calloc(1, sizeof(*early)), *late = calloc(1, sizeof(*late));
	struct rib_listener *l1, *l2 = NULL;
	struct rib_source_config c[SOURCES];
	struct rib_source *src[SOURCES];
	struct reading reading = {.t = t};
	uint32_t values[VALUES];
	unsigned seed = 1234 + shards;
	pthread_t thread;

	memset(model, 0, sizeof(model));
	for (unsigned i = 0; i < VALUES; i++)
		values[i] = simple_attrs(1, 1 + i % 4, i); /* equal lengths: the router id decides */
	for (unsigned i = 0; i < SOURCES; i++) {
		c[i] = bgp_source("x", i);
		src[i] = rib_source_open(t, &c[i]);
	}
	l1 = rib_listener_open(t, RIB_LISTEN_BEST, &ops, early);
	pthread_create(&thread, NULL, reader, &reading);
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned who = (unsigned)rand_r(&seed) % SOURCES, n = 1 + (unsigned)rand_r(&seed) % 20;
		struct rib_batch *b = rib_batch_create(src[who]);

		for (unsigned i = 0; i < n; i++) {
			unsigned k = (unsigned)rand_r(&seed) % NETS,
				 v = (unsigned)rand_r(&seed) % (VALUES + 4);
			struct net net = net4(0x0c000000 + (k << 8), 24);

			model[k][who].there = v < VALUES;
			model[k][who].value = v;
			if (v < VALUES)
				rib_batch_announce(b, &net, 0, values[v]);
			else
				rib_batch_withdraw(b, &net, 0);
		}
		rib_submit(b);
		step += n;
		if (!l2 && step > STEPS / 2)
			l2 = rib_listener_open(t, RIB_LISTEN_BACKUP, &ops, late);
		if (rand_r(&seed) % 200 == 0)
			usleep(500);
		if (rand_r(&seed) % 500 == 0) {
			unsigned gone = (unsigned)rand_r(&seed) % SOURCES;

			rib_source_flush(src[gone]);
			for (unsigned k = 0; k < NETS; k++)
				model[k][gone].there = false;
		}
	}
	rib_quiet(rib);
	reading.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(early->dumped, shards);
	assert_int_equal(late->dumped, shards);
	assert_int_equal(early->early, 0);
	for (unsigned k = 0; k < NETS; k++) {
		struct net net = net4(0x0c000000 + (k << 8), 24);
		unsigned count = 0;
		int best = -1;
		union net_buffer b;
		bool found;

		for (unsigned i = 0; i < SOURCES; i++) {
			if (!model[k][i].there)
				continue;
			count++;
			/* Shorter path, then lower router id, which is the lower number. */
			if (best < 0 || model[k][i].value % 4 < model[k][best].value % 4)
				best = (int)i;
		}
		rcu_read_lock();
		found = rib_find(t, &net, &b.v, 64);
		rcu_read_unlock();
		assert_int_equal(found, count > 0);
		if (found) {
			assert_int_equal(b.v.n_routes, count);
			assert_int_equal(b.v.routes[0].source, rib_source_id(src[best]));
			assert_int_equal(b.v.routes[0].attrs, values[model[k][best].value]);
			if (sorted)
				for (unsigned i = 1; i < count; i++) {
					const struct attrs *x = attrs_get(b.v.routes[i - 1].attrs),
							   *y = attrs_get(b.v.routes[i].attrs);

					assert_true(x->path_len < y->path_len ||
						    (x->path_len == y->path_len &&
							    b.v.routes[i - 1].source < b.v.routes[i].source));
				}
		}
		for (unsigned i = 0; i < 2; i++) {
			const struct seen *x = &(i ? late : early)->net[k];

			assert_int_equal(x->attrs, found ? values[model[k][best].value] : 0);
			if (found)
				assert_int_equal(x->source, rib_source_id(src[best]));
		}
	}
	rib_listener_close(l1);
	rib_listener_close(l2);
	for (unsigned i = 0; i < SOURCES; i++)
		source_close_wait(src[i]);
	rib_quiet(rib);
	assert_int_equal(early->closed, shards);
	for (unsigned i = 0; i < VALUES; i++)
		attrs_release(values[i]);
	rib_table_close(t);
	assert_no_attrs(rib);
	free(early);
	free(late);
}

static void test_random_unsorted(void **state)
{
	random_table(false, 1);
	random_table(false, 3);
}

static void test_random_sorted(void **state)
{
	random_table(true, 2);
}

static void hold_up(struct rib_shard *s, void *arg)
{
	sem_wait(arg);
}

/* A walk that began in the middle comes round to what is before that, though the table has grown meanwhile.
 */
static void test_walk_while_the_table_grows(void **state)
{
	enum { FEW = 200, MORE = 20000 };
	struct rib *rib = rib_create(1);
	struct rib_table *t = rib_table_open(rib, "master4", NET_IP4, false);
	struct rib_source_config c = bgp_source("x", 1);
	struct rib_source *a = rib_source_open(t, &c);
	uint32_t id = simple_attrs(1, 1, 1);
	struct rib_cursor at = {.table = t};
	struct rib_source_stats st;
	struct rib_batch *b;
	union net_buffer v;
	unsigned n = 0;
	sem_t go;

	sem_init(&go, 0, 0);
	for (unsigned i = 0; i < FEW; i++) {
		struct net net = net4(0x0c000000 + (i << 8), 24);

		announce(a, &net, 0, id);
		if (i != FEW / 2)
			continue;
		/* The walk ends here and will go on here. */
		rib_quiet(rib);
		rib_source_reconfigure(a, &c, RIB_ALWAYS);
		rib_quiet(rib);
	}
	rib_quiet(rib);
	rib_shard_call(rib, 0, hold_up, &go);
	c.import.kind = FILTER_NONE;
	rib_source_reconfigure(a, &c, RIB_IF_CHANGED);
	b = rib_batch_create(a);
	for (unsigned i = FEW; i < MORE; i++) {
		struct net net = net4(0x0c000000 + (i << 8), 24);

		rib_batch_announce(b, &net, 0, id);
	}
	rib_submit(b);
	sem_post(&go);
	rib_quiet(rib);
	rib_source_stats(a, &st);
	assert_int_equal(st.received, MORE);
	assert_int_equal(st.imported, 0);
	rcu_read_lock();
	for (; rib_next(&at, &v.v, 64); n++)
		assert_true(v.v.routes[0].flags & ROUTE_FILTERED);
	rcu_read_unlock();
	assert_int_equal(n, MORE);
	attrs_release(id);
	source_close_wait(a);
	rib_table_close(t);
	sem_destroy(&go);
	assert_no_attrs(rib);
}

/* Memory comes back, and numbers of prefixes are used again. */
static void test_big_and_empty(void **state)
{
	enum { N = 100000 };
	struct rib *rib = rib_create(1);
	struct rib_table *t = rib_table_open(rib, "master4", NET_IP4, false);
	struct rib_source_config c = bgp_source("a", 1);
	struct rib_source *a = rib_source_open(t, &c);
	uint32_t id = simple_attrs(1, 3, 5);
	struct rib_table_stats st;
	union net_buffer buf;

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < N;) {
			struct rib_batch *b = rib_batch_create(a);

			for (unsigned k = 0; k < 1000; k++, i++) {
				struct net n = net4(i * 256 + round, 32);

				rib_batch_announce(b, &n, 0, id);
			}
			rib_submit(b);
		}
		rib_quiet(rib);
		rib_table_stats(t, &st);
		assert_int_equal(st.nets, N);
		assert_true(st.bytes < N * 80);
		for (unsigned i = 0; i < N; i += 997) {
			struct net n = net4(i * 256 + round, 32);

			rcu_read_lock();
			assert_true(rib_find(t, &n, &buf.v, 1));
			rcu_read_unlock();
		}
		rib_source_flush(a);
		rib_quiet(rib);
		rib_table_stats(t, &st);
		assert_int_equal(st.nets, 0);
		assert_true(st.bytes < 10000);
	}
	attrs_release(id);
	source_close_wait(a);
	rib_table_close(t);
	assert_no_attrs(rib);
}

static void resumed(void *ctx)
{
	sem_post(ctx);
}

static void test_back_pressure(void **state)
{
	struct rib *rib = rib_create(1);
	struct rib_table *t = rib_table_open(rib, "master4", NET_IP4, false);
	struct rib_source_config c = bgp_source("a", 1);
	struct rib_source *a;
	uint32_t id = simple_attrs(1, 3, 5);
	unsigned pauses = 0;
	sem_t sem;

	sem_init(&sem, 0, 0);
	c.resume = resumed;
	c.ctx = &sem;
	a = rib_source_open(t, &c);
	for (unsigned i = 0; i < 40; i++) {
		struct rib_batch *b = rib_batch_create(a);

		for (unsigned k = 0; k < 20000; k++) {
			struct net n = net4((i * 20000 + k) << 4, 28);

			rib_batch_announce(b, &n, 0, id);
		}
		if (!rib_submit(b)) {
			pauses++;
			sem_wait(&sem); /* for ever, if nobody tells */
		}
	}
	assert_true(pauses > 0);
	attrs_release(id);
	source_close_wait(a);
	rib_table_close(t);
	assert_no_attrs(rib);
}

static void wait_in_shard(struct rib_shard *s, void *arg)
{
	sem_wait(arg);
}

static void told_too_late(void *ctx)
{
	abort();
}

/* Who has closed a source may free what it was called with: a pause that ends later is nobody's news. */
static void test_closed_while_paused(void **state)
{
	struct rib *rib = rib_create(1);
	struct rib_table *t = rib_table_open(rib, "master4", NET_IP4, false);
	struct rib_source_config c = bgp_source("a", 1);
	uint32_t id = simple_attrs(1, 3, 5);
	struct rib_source *a;
	bool paused = false;
	sem_t go;

	sem_init(&go, 0, 0);
	c.resume = told_too_late;
	a = rib_source_open(t, &c);
	rib_shard_call(rib, 0, wait_in_shard, &go);
	for (unsigned i = 0; !paused; i++) {
		struct rib_batch *b = rib_batch_create(a);

		for (unsigned k = 0; k < 20000; k++) {
			struct net n = net4((i * 20000 + k) << 4, 28);

			rib_batch_announce(b, &n, 0, id);
		}
		paused = !rib_submit(b);
	}
	attrs_release(id);
	rib_source_close(a, resumed, &go);
	sem_post(&go);
	rib_quiet(rib);
	sem_wait(&go);
	rib_table_close(t);
	assert_no_attrs(rib);
	sem_destroy(&go);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_route),
		cmocka_unit_test(test_import_filter),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_add_path_and_pipe),
		cmocka_unit_test(test_longest_match),
		cmocka_unit_test(test_net_types),
		cmocka_unit_test(test_nets_of_bytes),
		cmocka_unit_test(test_random_unsorted),
		cmocka_unit_test(test_random_sorted),
		cmocka_unit_test(test_walk_while_the_table_grows),
		cmocka_unit_test(test_big_and_empty),
		cmocka_unit_test(test_back_pressure),
		cmocka_unit_test(test_closed_while_paused),
	};
	return cmocka_run_group_tests(tests, rib_test_setup, rib_test_teardown);
}
