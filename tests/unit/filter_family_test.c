/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which filters are taken for one filter with the peer's numbers in it: those that only look for the
 * numbers in the route, and none that does anything else with them. For what is accepted, a route that does
 * not name a peer is treated alike (export_group_test compares what comes of it).
 */
#include "controlplane/filter/family.h"
#include "tests/unit/rib_support.h"

/* The same text with another number in it. */
static struct filter_ref with(const char *body, unsigned asn, struct config **conf)
{
	char text[2048];

	snprintf(text, sizeof(text), body, asn, asn, asn, asn);
	return filter_from(text, conf);
}

static bool ok(const char *body, bool *alike)
{
	struct config *ca, *cb;
	struct filter_ref a = with(body, 1001, &ca), b = with(body, 1002, &cb);
	uint64_t differs = 0;
	bool proved;

	*alike = filter_alike(a.filter, b.filter, &differs);
	if (*alike)
		assert_int_equal(filter_shape(a.filter), filter_shape(b.filter));
	proved = *alike && filter_family_ok(a.filter, differs);
	config_release(ca);
	config_release(cb);
	return proved;
}

static void proved(void **state)
{
	static const char *const good[] = {
		"if (0, %u) ~ bgp_community then reject; accept;",
		"if (0, %u) ~ bgp_community then reject; if (65501, %u) ~ bgp_community then "
		"bgp_path.prepend(65000); bgp_community.delete([(0, *), (65501, *)]); accept;",
		"if ! ((0, 65000) ~ bgp_community && ! ((65000, %u) ~ bgp_community)) then accept; reject;",
		"if (65000, 0, %u) ~ bgp_large_community then reject; accept;",
		"if (rt, 65000, %u) ~ bgp_ext_community then reject; accept;",
		"bgp_community.delete((0, %u)); accept;",
		"int asn = %u; if (0, asn) ~ bgp_community then reject; accept;",
		"bgp_community.delete([(0, 5)]); if (0, %u) ~ bgp_community then reject; accept;",
	};
	static const char *const bad[] = {
		"if %u > 1001 then reject; accept;",
		"bgp_path.prepend(%u); accept;",
		"bgp_community.add((0, %u)); accept;",
		"print %u; accept;",
		"if bgp_med = %u then reject; accept;",
		"bgp_local_pref = %u; accept;",
		"bgp_community.add((0, 1002)); if (0, %u) ~ bgp_community then reject; accept;",
		"int asn = 7; if bgp_med = 1 then asn = %u; if (0, asn) ~ bgp_community then reject; accept;",
		"if (0, %u) ~ [(0, 1002)] then reject; accept;",
	};
	bool alike;

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!ok(good[i], &alike))
			fail_msg("not proved: %s", good[i]);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (ok(bad[i], &alike))
			fail_msg("proved: %s", bad[i]);
}

static void alike(void **state)
{
	struct config *ca, *cb, *cc;
	struct filter_ref a = with("if (0, %u) ~ bgp_community then reject; accept;", 7, &ca),
			  b = with("if (0, %u) ~ bgp_community then accept; reject;", 7, &cb),
			  c = with("int asn = %u; if (0, asn) ~ bgp_community then reject; accept;",
				  4200000000u, &cc);
	struct config *cd;
	struct filter_ref d = with("int asn = %u; if (0, asn) ~ bgp_community then reject; accept;", 7, &cd);
	uint64_t differs = 0;

	assert_false(filter_alike(a.filter, b.filter, &differs));
	/* No pair can be made of the one: it fails where the other does not. */
	assert_false(filter_alike(c.filter, d.filter, &differs));
	config_release(ca);
	config_release(cb);
	config_release(cc);
	config_release(cd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(proved, rib_test_setup, rib_test_teardown),
		cmocka_unit_test_setup_teardown(alike, rib_test_setup, rib_test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
