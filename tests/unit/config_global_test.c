/* SPDX-License-Identifier: BSD-2-Clause */
/* Statements outside protocols: globals, log, time formats, tables, constants, symbols. */
#include "shared/timefmt.h"
#include "tests/unit/config_support.h"

#define DEV "protocol device { }\n"

static void test_defaults(void **state)
{
	struct config *c = must_parse(DEV);

	assert_int_equal(c->router_id, 0);
	assert_int_equal(c->gr_wait, 240);
	assert_null(c->hostname);
	assert_string_equal(c->tf_route, TIMEFMT_ISO_SHORT_MS);
	assert_string_equal(c->tf_route_old, "%F");
	assert_int_equal(c->tf_route_limit_s, 20 * 3600);
	assert_string_equal(c->tf_base, TIMEFMT_ISO_LONG_MS);
	assert_null(c->tf_base_old);
	assert_int_equal(c->n_log_sinks, 0);
	assert_non_null(config_find_table(c, "master4"));
	assert_true(config_find_table(c, "master4")->implicit);
	assert_true(config_find_table(c, "master4")->is_default);
	assert_int_equal(config_find_table(c, "master6")->net, NET_IP6);
	assert_null(config_find_table(c, "device1"));
	assert_null(config_find_protocol(c, "master4"));
	assert_int_equal(c->n_warnings, 0);
	config_release(c);
}

static void test_globals(void **state)
{
	struct config *c = must_parse("router id 192.0.2.1;\n"
				      "hostname \"rs1\";\n"
				      "graceful restart wait 30;\n"
				      "threads 4;\n"
				      "debug protocols { states, events };\n"
				      "debug channels all;\n"
				      "debug tables off;\n"
				      "debug commands 2;\n"
				      "debug latency on;\n"
				      "debug latency limit 5 ms;\n"
				      "watchdog warning 2 s;\n"
				      "watchdog timeout 30 s;\n"
				      "mrtdump \"/tmp/x\";\n"
				      "mrtdump protocols { states, messages };\n"
				      "cli \"/run/a.ctl\" { restrict; };\n"
				      "cli \"/run/b.ctl\";\n"
				      "eval 1 + 2;\n;;;\n" DEV);

	assert_int_equal(c->router_id, 0xc0000201);
	assert_string_equal(c->hostname, "rs1");
	assert_int_equal(c->gr_wait, 30);
	assert_int_equal(c->threads, 4);
	assert_int_equal(c->debug_protocols, DBG_STATES | DBG_EVENTS);
	assert_int_equal(c->debug_channels, 63);
	assert_int_equal(c->debug_tables, 0);
	assert_int_equal(c->debug_commands, 2);
	assert_true(c->debug_latency);
	assert_int_equal(c->latency_limit_us, 5000);
	assert_int_equal(c->watchdog_warning_us, 2000000);
	assert_int_equal(c->watchdog_timeout_us, 30000000);
	assert_string_equal(c->mrtdump_file, "/tmp/x");
	assert_int_equal(c->mrtdump_protocols, 3);
	assert_string_equal(c->cli_sockets->path, "/run/a.ctl");
	assert_true(c->cli_sockets->restricted);
	assert_string_equal(c->cli_sockets->next->path, "/run/b.ctl");
	assert_false(c->cli_sockets->next->restricted);
	assert_int_equal(must_proto(c, "device1")->debug, DBG_STATES | DBG_EVENTS);
	assert_int_equal(must_proto(c, "device1")->router_id, 0xc0000201);
	config_release(c);
}

static void test_router_id(void **state)
{
	static const struct {
		const char *text;
		uint32_t id;
	} rows[] = {
		{"router id 5;", 5},
		{"router id 1.2.3.4;", 0x01020304},
		{"define X = 1.2.3.4; router id X;", 0x01020304},
		{"define X = 7; router id X;", 7},
		{"define X = 7; router id (X + 1);", 8},
	};
	struct config *c;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[200];

		snprintf(text, sizeof(text), "%s " DEV, rows[i].text);
		c = must_parse(text);
		assert_int_equal(c->router_id, rows[i].id);
		config_release(c);
	}
	c = must_parse("router id from \"eth*\", -\"lo\", \"x\" 10.0.0.0/8, 192.0.2.1;" DEV);
	assert_string_equal(c->router_id_from->mask, "eth*");
	assert_true(c->router_id_from->next->negate);
	assert_true(c->router_id_from->next->next->has_prefix);
	assert_int_equal(c->router_id_from->next->next->next->prefix.len, 32);
	assert_null(c->router_id_from->next->next->next->next);
	config_release(c);
	/* a protocol's own id stays; the global one may come later */
	c = must_parse("protocol device { router id 9; } protocol direct { ipv4; } router id 1;");
	assert_int_equal(must_proto(c, "device1")->router_id, 9);
	assert_int_equal(must_proto(c, "direct1")->router_id, 1);
	config_release(c);
}

static void test_log(void **state)
{
	struct config *c =
		must_parse("log syslog all;\n"
			   "log syslog name \"rs\" { error, fatal };\n"
			   "log stderr { debug, trace, info, remote, warning, error, auth, fatal, bug };\n"
			   "log \"/var/log/a.log\" all;\n"
			   "log \"/var/log/b.log\" 1000000 \"/var/log/b.old\" { info };\n"
			   "log udp 192.0.2.1 port 1514 all;\n"
			   "log udp \"loghost\" all;\n" DEV);
	const struct log_sink *s = c->log_sinks;

	assert_int_equal(c->n_log_sinks, 7);
	assert_int_equal(s[0].kind, LOG_SINK_SYSLOG);
	assert_int_equal(s[0].classes, (1 << LOG_CLASS_COUNT) - 1);
	assert_null(s[0].path);
	assert_string_equal(s[1].path, "rs");
	assert_int_equal(s[1].classes, 1 << LOG_CLASS_ERROR | 1 << LOG_CLASS_FATAL);
	assert_int_equal(s[2].kind, LOG_SINK_STDERR);
	assert_int_equal(s[2].classes, (1 << LOG_CLASS_COUNT) - 1);
	assert_int_equal(s[3].kind, LOG_SINK_FILE);
	assert_string_equal(s[3].path, "/var/log/a.log");
	assert_null(s[3].backup_path);
	assert_int_equal(s[4].limit_bytes, 1000000);
	assert_string_equal(s[4].backup_path, "/var/log/b.old");
	assert_int_equal(s[5].kind, LOG_SINK_UDP);
	assert_string_equal(s[5].path, "192.0.2.1");
	assert_int_equal(s[5].port, 1514);
	assert_string_equal(s[6].path, "loghost");
	assert_int_equal(s[6].port, 514);
	config_release(c);
}

static void test_timeformat(void **state)
{
	struct config *c = must_parse("timeformat route iso long;\n"
				      "timeformat protocol iso long ms;\n"
				      "timeformat base iso short us;\n"
				      "timeformat log \"%H:%M\" 3600 \"%d.%m.\";\n" DEV);

	assert_string_equal(c->tf_route, "%F %T");
	assert_null(c->tf_route_old);
	assert_int_equal(c->tf_route_limit_s, 0);
	assert_string_equal(c->tf_protocol, "%F %T.%3f");
	assert_string_equal(c->tf_base, "%T.%6f");
	assert_string_equal(c->tf_base_old, "%F");
	assert_string_equal(c->tf_log, "%H:%M");
	assert_string_equal(c->tf_log_old, "%d.%m.");
	assert_int_equal(c->tf_log_limit_s, 3600);
	config_release(c);
}

static void test_tables(void **state)
{
	struct config *c = must_parse(
		"ipv4 table master4 sorted;\n"
		"ipv4 table t1;\n"
		"ipv4 table t2 { sorted; trie; min settle time 5 s; max settle time 60 s; gc threshold 7; "
		"gc period 90 s; debug all; };\n"
		"roa4 table r4; roa6 table r6; roa4 table other; aspa table a;\n"
		"ipv6 sadr table s; vpn4 table v4; vpn6 table v6; flow4 table f4; flow6 table f6;\n"
		"mpls table m; eth table e; evpn table ev; neighbor table n;\n" DEV);
	const struct table_config *t = config_find_table(c, "master4");

	assert_true(t->sorted);
	assert_false(t->implicit);
	assert_true(t->is_default);
	assert_false(config_find_table(c, "t1")->sorted);
	assert_false(config_find_table(c, "t1")->is_default);
	assert_int_equal(config_find_table(c, "t1")->min_settle_ms, 1000);
	assert_int_equal(config_find_table(c, "t1")->max_settle_ms, 20000);
	t = config_find_table(c, "t2");
	assert_true(t->sorted && t->trie);
	assert_int_equal(t->min_settle_ms, 5000);
	assert_int_equal(t->max_settle_ms, 60000);
	assert_int_equal(t->gc_threshold, 7);
	assert_int_equal(t->gc_period_s, 90);
	assert_int_equal(t->line, 3);
	assert_true(config_find_table(c, "r4")->is_default);
	assert_false(config_find_table(c, "other")->is_default);
	assert_ptr_equal(c->default_table[NET_ROA4], config_find_table(c, "r4"));
	assert_int_equal(config_find_table(c, "s")->net, NET_IP6_SADR);
	assert_int_equal(config_find_table(c, "m")->net, NET_MPLS);
	assert_int_equal(config_find_table(c, "n")->net, NET_NEIGHBOR);
	config_release(c);
}

static uint32_t constant(const struct config *c, const char *name)
{
	const struct symbol *s = symbol_find_here(c->symbols->global, name);

	assert_non_null(s);
	assert_int_equal(s->cls, SYM_CONSTANT);
	assert_int_equal(s->value.type, T_INT);
	return s->value.i;
}

static void test_define(void **state)
{
	struct config *c = must_parse(
		"define A = 65000; define B = A; define C = (A + 1) * 2;\n"
		"define 'a-b' = 5; define D = 'a-b' + 1;\n"
		"define NAME = \"dev\"; define T = 7;\n"
		"protocol device { description NAME; scan time T; }\n"
		"protocol direct { ipv4; description (\"a\" ++ \"b\"); check link (T > 5 && T < 9); }\n");

	assert_int_equal(constant(c, "B"), 65000);
	assert_int_equal(constant(c, "C"), 130002);
	assert_int_equal(constant(c, "D"), 6);
	assert_string_equal(must_proto(c, "device1")->description, "dev");
	assert_int_equal(((const struct device_config *)must_proto(c, "device1")->body)->scan_time, 7);
	config_release(c);
}

/* Every way to write a switch. */
static void test_switches(void **state)
{
	static const struct {
		const char *text;
		bool on;
	} rows[] = {
		{"", true},
		{"on", true},
		{"yes", true},
		{"true", true},
		{"1", true},
		{"7", true},
		{"ONE", true},
		{"YEP", true},
		{"(0 + 1)", true},
		{"off", false},
		{"no", false},
		{"false", false},
		{"0", false},
		{"ZERO", false},
		{"NOPE", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[300];
		struct config *c;

		snprintf(text, sizeof(text),
			"define ONE = 1; define ZERO = 0; define YEP = true; define NOPE = false;\n"
			"protocol device { disabled %s; }",
			rows[i].text);
		c = must_parse(text);
		if (must_proto(c, "device1")->disabled != rows[i].on)
			print_error("disabled %s\n", rows[i].text);
		assert_true(must_proto(c, "device1")->disabled == rows[i].on);
		config_release(c);
	}
}

static void test_keywords_are_names(void **state)
{
	struct config *c =
		must_parse("ipv4 table peer; ipv4 table local;\n"
			   "define metric = 5;\n"
			   "filter reject { accept; }\n"
			   "protocol device from { }\n"
			   "protocol pipe table { table peer; peer table local; import filter reject; }\n");

	assert_non_null(config_find_table(c, "peer"));
	assert_int_equal(must_proto(c, "from")->type, PROTO_DEVICE);
	assert_int_equal(must_proto(c, "table")->type, PROTO_PIPE);
	assert_true(has_warning(c, "Symbol 'peer' overrides existing keyword"));
	assert_true(has_warning(c, "Symbol 'metric' overrides existing keyword"));
	config_release(c);
	/* quoted: no keyword, no warning */
	c = must_parse("protocol device 'peer' { }");
	assert_int_equal(c->n_warnings, 0);
	config_release(c);
}

static void test_symbol_order(void **state)
{
	struct config *c =
		must_parse("define A = 1; roa4 table r; filter f { accept; } function g() { return 1; }\n"
			   "template bgp t { } protocol device d { } attribute int x;\n");
	static const char *const want[][2] = {
		{"master4", "routing table"},
		{"master6", "routing table"},
		{"A", "constant"},
		{"r", "routing table"},
		{"f", "filter"},
		{"g", "function"},
		{"t", "protocol template"},
		{"d", "protocol"},
		{"x", "custom attribute"},
	};
	const struct symbol *s = c->symbols->first;

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++, s = s->order_next) {
		assert_non_null(s);
		assert_string_equal(s->name, want[i][0]);
		assert_string_equal(symbol_class_name(s), want[i][1]);
	}
	assert_null(s);
	config_release(c);
}

static void test_references(void **state)
{
	struct config *c = must_parse(DEV);

	config_hold(c);
	config_release(c);
	assert_string_equal(must_proto(c, "device1")->name, "device1");
	config_release(c);
	config_release(NULL);
}

static void test_cli_line(void **state)
{
	struct config *c = must_parse("define A = 5; protocol device d { }");
	struct arena *a = arena_create();
	struct config_error err;
	struct parser p;
	const char *line = "show route 10.0.0.0/8 protocol d where A";
	unsigned before = c->symbols->global->n_symbols;

	parser_open_line(&p, a, c, line, strlen(line), &err);
	if (setjmp(p.fail))
		fail_msg("%s", err.text);
	parser_start(&p);
	parser_expect(&p, "show");
	parser_expect(&p, "route");
	assert_int_equal(parser_prefix(&p).len, 8);
	parser_expect(&p, "protocol");
	assert_string_equal(parser_name(&p), "d");
	assert_true(parser_accept(&p, "where"));
	assert_int_equal(parser_number(&p), 5);
	assert_int_equal(p.tok.kind, TOK_EOF);
	assert_int_equal(c->symbols->global->n_symbols, before);
	parser_close(&p);

	parser_open_line(&p, a, c, "show bogus", 10, &err);
	if (!setjmp(p.fail)) {
		parser_start(&p);
		parser_expect(&p, "show");
		parser_expect(&p, "route");
		fail();
	}
	assert_string_equal(err.text, "syntax error, unexpected CF_SYM_UNDEFINED, expecting ROUTE");
	parser_close(&p);
	arena_destroy(a);
	config_release(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_globals),
		cmocka_unit_test(test_router_id),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_timeformat),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_define),
		cmocka_unit_test(test_switches),
		cmocka_unit_test(test_keywords_are_names),
		cmocka_unit_test(test_symbol_order),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_cli_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
