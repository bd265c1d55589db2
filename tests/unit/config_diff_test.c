/* SPDX-License-Identifier: BSD-2-Clause */
/* What a reload finds changed. */
#include "tests/unit/config_support.h"

/* The bits for protocol x, its channels included, between two texts. */
static uint32_t diff(const char *old, const char *new)
{
	struct config *a = must_parse(old), *b = must_parse(new);
	const struct proto_config *x = must_proto(a, "x"), *y = must_proto(b, "x");
	uint32_t bits = config_diff_protocol(x, y);
	const struct channel_config *ch;

	cds_list_for_each_entry(ch, &x->channels, node) bits |=
		config_diff_channel(ch, must_channel(y, ch->name));
	config_release(a);
	config_release(b);
	return bits;
}

static uint32_t diff_bgp(const char *old, const char *new)
{
	static const char *const frame =
		"ipv4 table t; ipv4 table s sorted; filter f { if net.len > 24 then reject; accept; }\n"
		"protocol bgp x { local as 65000; neighbor 192.0.2.1 as 65001; %s }";
	char a[1000], b[1000];

	snprintf(a, sizeof(a), frame, old);
	snprintf(b, sizeof(b), frame, new);
	return diff(a, b);
}

static void test_same(void **state)
{
	const char *full = "description \"d\"; interface \"eth0\"; password \"p\"; hold time 90; bfd { "
			   "multiplier 3; };\n"
			   "ipv4 { import filter f; export where bgp_path ~ [= 1 * =]; import limit 5; next "
			   "hop self; };";

	assert_int_equal(diff_bgp(full, full), PROTO_SAME);
	/* other spelling, same meaning */
	assert_int_equal(diff_bgp("ipv4 { import all; export none; };",
				 "hold time 240; ipv4 { export none; import all; preference 100; };"),
		PROTO_SAME);
}

static void test_bgp(void **state)
{
	static const struct {
		const char *old, *new;
		uint32_t bits;
	} rows[] = {
		{"", "hold time 30;", PROTO_RESTART},
		{"", "passive;", PROTO_RESTART},
		{"", "rs client;", PROTO_RESTART},
		{"", "interface \"eth0\";", PROTO_RESTART},
		{"interface \"eth0\";", "interface \"eth1\";", PROTO_RESTART},
		{"password \"a\";", "password \"b\";", PROTO_RESTART},
		{"", "router id 5;", PROTO_RESTART},
		{"", "source address 192.0.2.9;", PROTO_RESTART},
		{"", "vrf \"red\";", PROTO_RESTART},
		{"", "bfd;", PROTO_RECONFIGURE},
		{"bfd;", "bfd { multiplier 3; };", PROTO_RECONFIGURE},
		{"bfd;", "bfd strict;", PROTO_RECONFIGURE},
		{"", "check link off;", PROTO_RECONFIGURE},
		{"", "require as4;", PROTO_RECONFIGURE},
		{"", "description \"x\";", PROTO_RECONFIGURE},
		{"description \"x\";", "description \"y\";", PROTO_RECONFIGURE},
		{"", "debug all;", PROTO_RECONFIGURE},
		{"", "disabled;", PROTO_RECONFIGURE},
		{"hostname \"a\";", "hostname \"b\";", PROTO_RECONFIGURE},
		{"advertise hostname; hostname \"a\";", "advertise hostname; hostname \"b\";", PROTO_RESTART},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t bits = diff_bgp(rows[i].old, rows[i].new);

		if (bits != rows[i].bits)
			print_error("%s | %s\n", rows[i].old, rows[i].new);
		assert_int_equal(bits, rows[i].bits);
	}
}

static void test_channel(void **state)
{
	static const struct {
		const char *change;
		uint32_t bits;
	} rows[] = {
		{"table t;", PROTO_RESTART},
		{"add paths tx;", PROTO_RESTART},
		{"add paths tx; add paths send best 2;", PROTO_RESTART},
		{"import table;", PROTO_RESTART},
		{"export table;", PROTO_RESTART},
		{"extended next hop;", PROTO_RESTART},
		{"next hop address 192.0.2.9;", PROTO_RESTART},
		{"table s; secondary;", PROTO_RESTART},
		{"graceful restart;", PROTO_RESTART},
		{"preference 5;", PROTO_IMPORT_CHANGED},
		{"import none;", PROTO_IMPORT_CHANGED},
		{"import filter f;", PROTO_IMPORT_CHANGED},
		{"import keep filtered;", PROTO_IMPORT_CHANGED},
		{"gateway recursive;", PROTO_IMPORT_CHANGED | PROTO_RESTART},
		{"export all;", PROTO_EXPORT_CHANGED},
		{"export where true;", PROTO_EXPORT_CHANGED},
		{"next hop self;", PROTO_EXPORT_CHANGED},
		{"next hop keep;", PROTO_EXPORT_CHANGED},
		{"import limit 5;", PROTO_RECONFIGURE},
		{"receive limit 5;", PROTO_RECONFIGURE},
		{"export limit 5 action warn;", PROTO_RECONFIGURE},
		{"rpki reload off;", PROTO_RECONFIGURE},
		{"debug all;", PROTO_RECONFIGURE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char new[200];
		uint32_t bits;

		snprintf(new, sizeof(new), "ipv4 { import all; export none; %s };", rows[i].change);
		bits = diff_bgp("ipv4 { import all; export none; };", new);
		/* a recursive gateway brings next hop preference and igp tables with it */
		if (bits != rows[i].bits)
			print_error("%s\n", rows[i].change);
		assert_int_equal(bits, rows[i].bits);
	}
}

/* A filter is what it does, functions and sets it uses included. */
static void test_filter_content(void **state)
{
	static const char *const frame = "define S = [ %s ]; function g() { return %s; }\n"
					 "filter f { if net ~ S && g() then accept; reject; }\n"
					 "protocol bgp x { local as 1; neighbor 192.0.2.1 as 2; ipv4 { "
					 "import filter f; export none; }; }";
	char a[600], b[600];

	snprintf(a, sizeof(a), frame, "10.0.0.0/8+", "true");
	assert_int_equal(diff(a, a), PROTO_SAME);
	snprintf(b, sizeof(b), frame, "10.0.0.0/8+, 11.0.0.0/8", "true");
	assert_int_equal(diff(a, b), PROTO_IMPORT_CHANGED);
	snprintf(b, sizeof(b), frame, "10.0.0.0/8+", "false");
	assert_int_equal(diff(a, b), PROTO_IMPORT_CHANGED);
	snprintf(b, sizeof(b), frame, " /* moved */\n\n10.0.0.0/8{8,32}", "true");
	assert_int_equal(diff(a, b), PROTO_SAME);
}

static void test_others(void **state)
{
	static const struct {
		const char *old, *new;
		uint32_t bits;
	} rows[] = {
		{"protocol static x { ipv4; route 10.0.0.0/8 reject; }",
			"protocol static x { ipv4; route 10.0.0.0/8 unreachable; }", PROTO_SAME},
		{"protocol static x { ipv4; route 10.0.0.0/8 reject; }",
			"protocol static x { ipv4; route 10.0.0.0/8 blackhole; }", PROTO_RECONFIGURE},
		{"protocol static x { ipv4; }", "protocol static x { ipv4; route 10.0.0.0/8 reject; }",
			PROTO_RECONFIGURE},
		{"protocol static x { ipv4; route 10.0.0.0/8 via 192.0.2.1; }",
			"protocol static x { ipv4; route 10.0.0.0/8 via 192.0.2.1 weight 2; }",
			PROTO_RECONFIGURE},
		{"protocol static x { ipv4; route 10.0.0.0/8 reject { preference = 5; }; }",
			"protocol static x { ipv4; route 10.0.0.0/8 reject { preference = 6; }; }",
			PROTO_RECONFIGURE},
		{"protocol static x { ipv4; route 10.0.0.0/8 reject { preference = 5; }; }",
			"protocol static x { ipv4; route 10.0.0.0/8 reject { preference = 5; }; }",
			PROTO_SAME},
		{"protocol device x { }", "protocol device x { scan time 5; }", PROTO_RECONFIGURE},
		{"protocol device x { interface \"a\" { preferred 1.2.3.4; }; }",
			"protocol device x { interface \"b\" { preferred 1.2.3.4; }; }", PROTO_RECONFIGURE},
		{"protocol direct x { ipv4; interface \"a\"; }",
			"protocol direct x { ipv4; interface \"b\"; }", PROTO_RESTART},
		{"protocol direct x { ipv4; interface \"a\"; }",
			"protocol direct x { ipv4; interface \"a\"; }", PROTO_SAME},
		{"protocol kernel x { ipv4; }", "protocol kernel x { ipv4; scan time 5; }",
			PROTO_RECONFIGURE},
		{"protocol kernel x { ipv4; }", "protocol kernel x { ipv4; metric 5; }", PROTO_RESTART},
		{"protocol kernel x { ipv4; }", "protocol kernel x { ipv4; }", PROTO_SAME},
		{"protocol bfd x { }", "protocol bfd x { interface \"a\" { interval 1 s; }; }",
			PROTO_RECONFIGURE},
		{"protocol bfd x { interface \"a\" { interval 1 s; }; neighbor 1.2.3.4; }",
			"protocol bfd x { interface \"a\" { interval 1 s; }; neighbor 1.2.3.4; }",
			PROTO_SAME},
		{"protocol bfd x { neighbor 1.2.3.4; }", "protocol bfd x { neighbor 1.2.3.5; }",
			PROTO_RECONFIGURE},
		{"protocol bfd x { }", "protocol bfd x { strict bind; }", PROTO_RESTART},
		{"protocol bfd x { multihop { interval 1 s; }; }",
			"protocol bfd x { multihop { interval 2 s; }; }", PROTO_RECONFIGURE},
		{"roa4 table r; protocol rpki x { roa4; remote \"a\"; }",
			"roa4 table r; protocol rpki x { roa4; remote \"b\"; }", PROTO_RESTART},
		{"roa4 table r; protocol rpki x { roa4; remote \"a\"; }",
			"roa4 table r; protocol rpki x { roa4; remote \"a\"; retry 5; }", PROTO_RECONFIGURE},
		{"roa4 table r; protocol rpki x { roa4; remote \"a\"; }",
			"roa4 table r; protocol rpki x { roa4; remote \"a\"; port 323; }", PROTO_SAME},
		{"ipv4 table t; protocol pipe x { table master4; peer table t; }",
			"ipv4 table t; protocol pipe x { table master4; peer table t; }", PROTO_SAME},
		{"ipv4 table t; ipv4 table u; protocol pipe x { table master4; peer table t; }",
			"ipv4 table t; ipv4 table u; protocol pipe x { table master4; peer table u; }",
			PROTO_RESTART},
		{"ipv4 table t; protocol pipe x { table master4; peer table t; }",
			"ipv4 table t; protocol pipe x { table master4; peer table t; export none; }",
			PROTO_EXPORT_CHANGED},
		{"protocol mrt x { table \"*\"; filename \"a\"; period 5; }",
			"protocol mrt x { table \"*\"; filename \"a\"; period 6; }", PROTO_RECONFIGURE},
		{"protocol bmp x { station address ip 1.2.3.4 port 5; }",
			"protocol bmp x { station address ip 1.2.3.4 port 6; }", PROTO_RESTART},
		{"protocol bmp x { station address ip 1.2.3.4 port 5; }",
			"protocol bmp x { station address ip 1.2.3.4 port 5; monitoring rib local; }",
			PROTO_RESTART},
		{"protocol device x { }", "protocol direct x { }", PROTO_RESTART},
		{"protocol ospf x { }", "protocol ospf x { area 0 { }; }", PROTO_SAME},
		{"protocol ospf x { }", "protocol rip x { }", PROTO_RESTART},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t bits = diff(rows[i].old, rows[i].new);

		if (bits != rows[i].bits)
			print_error("%s\n%s\n", rows[i].old, rows[i].new);
		assert_int_equal(bits, rows[i].bits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_bgp),
		cmocka_unit_test(test_channel),
		cmocka_unit_test(test_filter_content),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
