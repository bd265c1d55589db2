/* SPDX-License-Identifier: BSD-2-Clause */
/* What a session of each type does to a route: who may have it, and what is changed. */
#include "controlplane/bgp/codec.h"
#include "tests/unit/bgp_support.h"

static struct bgp_export_class ebgp(void)
{
	return (struct bgp_export_class){.afi = 1,
		.external = true,
		.local_as = 64500,
		.public_as = 64500,
		.router_id = 1,
		.cluster_id = 0x01010101,
		.default_local_pref = 100,
		.interpret_communities = true,
		.local_addr = ip("192.0.2.2"),
		.link = pfx("192.0.2.0/24"),
		.ifindex = 3,
		.role = BGP_ROLE_NONE};
}

static struct bgp_export_class ibgp(void)
{
	struct bgp_export_class c = ebgp();

	c.external = false;
	c.ifindex = 0;
	memset(&c.link, 0, sizeof(c.link));
	return c;
}

static struct rib_source_config from_bgp(bool external, uint32_t ifindex)
{
	struct rib_source_config s = {.source = RTS_BGP};

	s.peer.bgp = true;
	s.peer.external = external;
	s.peer.ifindex = ifindex;
	s.peer.router_id = 0x0a0a0a0a;
	return s;
}

static uint8_t path[64];
static struct attr_nexthop gateway;

static struct attrs route(void)
{
	static const uint32_t as[] = {64496, 3356};
	struct attrs a = {.present = ATTR_ORIGIN | ATTR_AS_PATH | ATTR_NEXT_HOP | ATTR_LOCAL_PREF};

	a.as_path = path;
	a.as_path_bytes = (uint16_t)sequence(path, 2, as);
	a.next_hop = ip("192.0.2.1");
	gateway = (struct attr_nexthop){.gw = ip("192.0.2.1"), .ifindex = 3, .weight = 1};
	a.nexthop = &gateway;
	a.n_nexthop = 1;
	a.dest = RTD_UNICAST;
	a.local_pref = 150;
	return a;
}

static uint32_t scratch[1024];

static bool export_to(const struct bgp_export_class *c, const struct attrs *a, const struct attrs *before,
	const struct rib_source_config *from, struct attrs *out)
{
	return bgp_export_attrs(c, a, before, from, 0, out, (uint8_t *)scratch, sizeof(scratch));
}

static void test_allowed(void **state)
{
	static const uint32_t no_export[] = {1, COMM_NO_EXPORT}, no_advertise[] = {COMM_NO_ADVERTISE},
			      subconfed[] = {COMM_NO_EXPORT_SUBCONFED};
	struct bgp_export_class e = ebgp(), i = ibgp(), confed = ebgp();
	struct rib_source_config ext = from_bgp(true, 3), in = from_bgp(false, 0),
				 none = {.source = RTS_STATIC};
	struct attrs a = route();

	(void)state;
	confed.confed = true;
	assert_true(bgp_export_allowed(&e, &a, &ext));
	assert_true(bgp_export_allowed(&e, &a, &none));
	assert_true(bgp_export_allowed(&i, &a, &ext));
	assert_false(bgp_export_allowed(&i, &a, &in));
	i.rr_client = true;
	assert_true(bgp_export_allowed(&i, &a, &in));
	i.rr_client = false;
	in.peer.rr_client = true;
	assert_true(bgp_export_allowed(&i, &a, &in));
	a.present |= ATTR_COMMUNITY;
	a.community = no_export;
	a.n_community = 2;
	assert_false(bgp_export_allowed(&e, &a, &ext));
	assert_true(bgp_export_allowed(&i, &a, &ext));
	assert_true(bgp_export_allowed(&confed, &a, &ext));
	a.community = subconfed;
	a.n_community = 1;
	assert_false(bgp_export_allowed(&confed, &a, &ext));
	assert_true(bgp_export_allowed(&i, &a, &ext));
	a.community = no_advertise;
	assert_false(bgp_export_allowed(&i, &a, &ext));
	e.interpret_communities = false;
	assert_true(bgp_export_allowed(&e, &a, &ext));
}

static void test_aigp(void **state)
{
	static const struct {
		uint64_t aigp;
		uint32_t igp_metric, distance;
		bool recursive, keep;
		uint64_t want;
	} cases[] = {
		{40, 0, 7, false, false, 41}, /* at least 1 */
		{40, 600, 7, false, false, 640},
		{40, 600, 7, true, false, 47},
		{40, 600, 0, true, false, 41},
		{40, 600, 7, true, true, 40}, /* the next hop stays */
		{UINT64_MAX - 3, 0, 7, true, false, UINT64_MAX},
	};
	struct rib_source_config ext = from_bgp(true, 3);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bgp_export_class c = ebgp();
		struct attrs a = route(), out;

		c.aigp = true;
		c.next_hop_self = cases[i].keep ? NHMODE_OFF : NHMODE_ALL;
		c.next_hop_keep = cases[i].keep ? NHMODE_ALL : NHMODE_OFF;
		a.present |= ATTR_AIGP | (cases[i].igp_metric ? ATTR_IGP_METRIC : 0);
		a.aigp = cases[i].aigp;
		a.igp_metric = cases[i].igp_metric;
		a.derived |= cases[i].recursive ? ATTRD_RECURSIVE : 0;
		assert_true(bgp_export_attrs(
			&c, &a, NULL, &ext, cases[i].distance, &out, (uint8_t *)scratch, sizeof(scratch)));
		assert_true(out.present & ATTR_AIGP);
		assert_int_equal(out.aigp, cases[i].want);
	}
}

/* RFC 8326: a community more, behind those that are there, and beside LLGR_STALE. */
static void test_graceful_shutdown(void **state)
{
	static const uint32_t some[] = {7, 9}, with[] = {COMM_GRACEFUL_SHUTDOWN};
	struct bgp_export_class c = ebgp();
	struct attrs a = route(), out;

	(void)state;
	c.graceful_shutdown = true;
	assert_true(export_to(&c, &a, NULL, NULL, &out));
	assert_int_equal(out.n_community, 1);
	assert_int_equal(out.community[0], COMM_GRACEFUL_SHUTDOWN);
	a.present |= ATTR_COMMUNITY | ATTR_LLGR_STALE;
	a.community = some;
	a.n_community = 2;
	assert_true(export_to(&c, &a, NULL, NULL, &out));
	assert_int_equal(out.n_community, 4);
	assert_int_equal(out.community[1], 9);
	assert_int_equal(out.community[2], COMM_LLGR_STALE);
	assert_int_equal(out.community[3], COMM_GRACEFUL_SHUTDOWN);
	a.present &= ~(uint32_t)ATTR_LLGR_STALE;
	a.community = with;
	a.n_community = 1;
	assert_true(export_to(&c, &a, NULL, NULL, &out));
	assert_int_equal(out.n_community, 1);
}

static void test_otc(void **state)
{
	static const struct {
		int8_t role;
		bool may_send_otc;
		bool adds;
	} cases[] = {
		{BGP_ROLE_NONE, true, false},
		{BGP_ROLE_PROVIDER, true, true},
		{BGP_ROLE_RS_SERVER, true, true},
		{BGP_ROLE_PEER, false, true},
		{BGP_ROLE_CUSTOMER, false, false},
		{BGP_ROLE_RS_CLIENT, false, false},
	};
	struct rib_source_config ext = from_bgp(true, 3);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bgp_export_class c = ebgp();
		struct attrs a = route(), out;

		c.role = cases[i].role;
		assert_true(export_to(&c, &a, NULL, &ext, &out));
		assert_int_equal(!!(out.present & ATTR_OTC), cases[i].adds);
		a.present |= ATTR_OTC;
		a.otc = 9;
		assert_int_equal(bgp_export_allowed(&c, &a, &ext), cases[i].may_send_otc);
		export_to(&c, &a, NULL, &ext, &out);
		assert_int_equal(out.otc, 9);
	}
}

static void test_llgr(void **state)
{
	struct bgp_export_class c = ebgp();
	struct rib_source_config ext = from_bgp(true, 3);
	struct attrs a = route(), out;

	(void)state;
	a.present |= ATTR_LLGR_STALE;
	assert_false(bgp_export_allowed(&c, &a, &ext));
	c.llgr_aware = true;
	assert_true(bgp_export_allowed(&c, &a, &ext));
	assert_true(export_to(&c, &a, &a, &ext, &out));
	assert_true(out.present & ATTR_COMMUNITY);
	assert_int_equal(out.n_community, 1);
	assert_int_equal(out.community[0], COMM_LLGR_STALE);
}

static void test_external(void **state)
{
	struct bgp_export_class c = ebgp();
	struct rib_source_config ext = from_bgp(true, 9), in = from_bgp(false, 0);
	struct attrs a = route(), before = a, out;

	(void)state;
	a.present |= ATTR_MED | ATTR_ORIGINATOR | ATTR_CLUSTER_LIST | ATTR_AIGP;
	a.med = 50;
	before.present |= ATTR_MED;
	before.med = 50;
	assert_true(export_to(&c, &a, &before, &in, &out));
	assert_int_equal(as_path_first(out.as_path, out.as_path_bytes), 64500);
	assert_int_equal(as_path_length(out.as_path, out.as_path_bytes), 3);
	assert_false(
		out.present & (ATTR_MED | ATTR_LOCAL_PREF | ATTR_ORIGINATOR | ATTR_CLUSTER_LIST | ATTR_AIGP));
	/* from another network: ourselves as next hop */
	gateway.ifindex = 9;
	assert_true(export_to(&c, &a, &before, &ext, &out));
	assert_true(ipaddr_equal(&out.next_hop, &c.local_addr));
	/* the export filter said it */
	a.med = 51;
	assert_true(export_to(&c, &a, &before, &in, &out));
	assert_int_equal(out.med, 51);
	assert_true(out.present & ATTR_MED);
	a.med = 50;
	before.present &= ~(uint32_t)ATTR_MED;
	assert_true(export_to(&c, &a, &before, &in, &out));
	assert_true(out.present & ATTR_MED);
	before.present |= ATTR_MED;
	c.allow_med = c.allow_local_pref = true;
	assert_true(export_to(&c, &a, &before, &in, &out));
	assert_true(out.present & ATTR_MED && out.present & ATTR_LOCAL_PREF);
}

/* RFC 7947 */
static void test_route_server(void **state)
{
	struct bgp_export_class c = ebgp();
	struct rib_source_config ext = from_bgp(true, 3);
	struct attrs a = route(), out;

	(void)state;
	c.rs_client = true;
	c.next_hop_keep = NHMODE_ALL;
	a.present |= ATTR_MED;
	a.med = 5;
	assert_true(export_to(&c, &a, &a, &ext, &out));
	assert_int_equal(out.as_path_bytes, a.as_path_bytes);
	assert_memory_equal(out.as_path, a.as_path, a.as_path_bytes);
	assert_true(ipaddr_equal(&out.next_hop, &a.next_hop));
	assert_true(out.present & ATTR_MED);
	assert_false(out.present & ATTR_LOCAL_PREF);
}

static void test_internal(void **state)
{
	struct bgp_export_class c = ibgp();
	struct rib_source_config ext = from_bgp(true, 3), in = from_bgp(false, 0);
	static const uint32_t clusters[] = {7, 8};
	struct attrs a = route(), out;

	(void)state;
	assert_true(export_to(&c, &a, &a, &ext, &out));
	assert_int_equal(out.as_path_bytes, a.as_path_bytes);
	assert_int_equal(out.local_pref, 150);
	assert_true(ipaddr_equal(&out.next_hop, &a.next_hop));
	assert_false(out.present & ATTR_ORIGINATOR);
	c.next_hop_self = NHMODE_ALL;
	assert_true(export_to(&c, &a, &a, &ext, &out));
	assert_true(ipaddr_equal(&out.next_hop, &c.local_addr));
	c.next_hop_self = NHMODE_IBGP; /* what comes from inside */
	assert_true(export_to(&c, &a, &a, &ext, &out));
	assert_true(ipaddr_equal(&out.next_hop, &a.next_hop));
	/* reflected: RFC 4456 section 8 */
	a.cluster = clusters;
	a.n_cluster = 2;
	a.present |= ATTR_CLUSTER_LIST;
	c.next_hop_self = NHMODE_OFF;
	assert_true(export_to(&c, &a, &a, &in, &out));
	assert_int_equal(out.originator_id, 0x0a0a0a0a);
	assert_int_equal(out.n_cluster, 3);
	assert_int_equal(out.cluster[0], 0x01010101);
	assert_int_equal(out.cluster[2], 8);
	a.present |= ATTR_ORIGINATOR;
	a.originator_id = 5;
	assert_true(export_to(&c, &a, &a, &in, &out));
	assert_int_equal(out.originator_id, 5);
}

/* RFC 5065 */
static void test_confederation(void **state)
{
	struct bgp_export_class c = ebgp();
	struct rib_source_config ext = from_bgp(true, 3);
	struct attrs a = route(), out, second;
	uint8_t copy[64];

	(void)state;
	c.confed = true;
	c.local_as = 65010;
	c.public_as = 64500;
	assert_true(export_to(&c, &a, &a, &ext, &out));
	assert_int_equal(out.as_path[0], AS_CONFED_SEQUENCE);
	assert_int_equal(get_u32(out.as_path + 2), 65010);
	assert_true(out.present & ATTR_LOCAL_PREF);
	memcpy(copy, out.as_path, out.as_path_bytes);
	out.as_path = copy;
	/* and out of the confederation: the segment goes, its number comes */
	c.confed = false;
	assert_true(export_to(&c, &out, &out, &ext, &second));
	assert_int_equal(second.as_path[0], AS_SEQUENCE);
	assert_int_equal(get_u32(second.as_path + 2), 64500);
	assert_int_equal(as_path_length(second.as_path, second.as_path_bytes), 3);
	assert_false(as_path_contains(second.as_path, second.as_path_bytes, 65010));
}

static void test_next_hop_cases(void **state)
{
	struct bgp_export_class c = ebgp();
	struct rib_source_config ext = from_bgp(true, 3), stat = {.source = RTS_STATIC};
	struct attrs a = route(), before = a, out;

	(void)state;
	/* learnt on the same network: the neighbours reach each other without us */
	assert_true(export_to(&c, &a, &a, &ext, &out));
	assert_true(ipaddr_equal(&out.next_hop, &a.next_hop));
	c.next_hop_self = NHMODE_ALL;
	assert_true(export_to(&c, &a, &a, &ext, &out));
	assert_true(ipaddr_equal(&out.next_hop, &c.local_addr));
	c.next_hop_self = NHMODE_OFF;
	/* set by the export filter */
	a.next_hop = ip("203.0.113.77");
	assert_true(export_to(&c, &a, &before, &stat, &out));
	assert_true(ipaddr_equal(&out.next_hop, &a.next_hop));
	/* also to none: nobody could use the route, so it stays here */
	memset(&a.next_hop, 0, sizeof(a.next_hop));
	assert_false(export_to(&c, &a, &before, &stat, &out));
	/* a static route: through its gateway on the same network, else us */
	a = route();
	a.present &= ~(uint32_t)ATTR_NEXT_HOP;
	memset(&a.next_hop, 0, sizeof(a.next_hop));
	assert_true(export_to(&c, &a, &a, &stat, &out));
	assert_true(ipaddr_equal(&out.next_hop, &gateway.gw));
	a.dest = RTD_BLACKHOLE;
	a.n_nexthop = 0;
	assert_true(export_to(&c, &a, &a, &stat, &out));
	assert_true(ipaddr_equal(&out.next_hop, &c.local_addr));
	c.next_hop_address = ip("198.51.100.1");
	assert_true(export_to(&c, &a, &a, &stat, &out));
	assert_true(ipaddr_equal(&out.next_hop, &c.next_hop_address));
	/* no address of the right family: not sent */
	memset(&c.next_hop_address, 0, sizeof(c.next_hop_address));
	c.local_addr = ip("2001:db8::1");
	assert_false(export_to(&c, &a, &a, &stat, &out));
	c.extended_next_hop = true;
	assert_true(export_to(&c, &a, &a, &stat, &out));
}

static void test_local_route(void **state)
{
	struct bgp_export_class c = ebgp();
	struct rib_source_config stat = {.source = RTS_STATIC};
	struct attrs a = {.dest = RTD_BLACKHOLE}, out;
	struct bgp_encode_class ec = {.afi = 1, .safi = 1, .as4 = true, .max_message = 4096};
	uint8_t buf[256];

	(void)state;
	assert_true(export_to(&c, &a, &a, &stat, &out));
	assert_int_equal(out.origin, ORIGIN_IGP);
	assert_int_equal(as_path_first(out.as_path, out.as_path_bytes), 64500);
	assert_true(bgp_encode_attrs(&out, &ec, buf, sizeof(buf)) > 0);
	/* to an internal neighbour: an empty path, which is still an attribute */
	c = ibgp();
	assert_true(export_to(&c, &a, &a, &stat, &out));
	assert_int_equal(out.as_path_bytes, 0);
	assert_int_equal(out.local_pref, 100);
	assert_true(bgp_encode_attrs(&out, &ec, buf, sizeof(buf)) > 0);
	assert_memory_equal(buf + 4, "\x40\x02\x00", 3);
}

static void test_small_scratch_is_refused(void **state)
{
	struct bgp_export_class c = ebgp();
	struct attrs a = route(), out;

	(void)state;
	assert_false(bgp_export_attrs(
		&c, &a, NULL, NULL, 0, &out, (uint8_t *)scratch, BGP_EXPORT_SCRATCH(&a) - 1));
	assert_true(
		bgp_export_attrs(&c, &a, NULL, NULL, 0, &out, (uint8_t *)scratch, BGP_EXPORT_SCRATCH(&a)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_aigp),
		cmocka_unit_test(test_graceful_shutdown),
		cmocka_unit_test(test_otc),
		cmocka_unit_test(test_llgr),
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_route_server),
		cmocka_unit_test(test_internal),
		cmocka_unit_test(test_confederation),
		cmocka_unit_test(test_next_hop_cases),
		cmocka_unit_test(test_local_route),
		cmocka_unit_test(test_small_scratch_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
