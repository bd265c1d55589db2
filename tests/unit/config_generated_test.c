/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whole configurations of the kinds that are in use (tests/data/config): what
 * route server generators, edge routers and hobby networks write. Run from the
 * top of the tree. And sizes: what is generated is long.
 */
#include "controlplane/config/arena.h"
#include "tests/unit/config_support.h"
#include <unistd.h>

static struct config *must_read(const char *path)
{
	struct config_error err;
	struct config *c = config_read(path, &err);

	if (!c) {
		char buf[1024];

		config_error_format(&err, buf, sizeof(buf));
		print_error("%s\n", buf);
		fail();
	}
	return c;
}

static unsigned count_protocols(const struct config *c)
{
	const struct proto_config *pc;
	unsigned n = 0;

	cds_list_for_each_entry(pc, &c->protocols, node) n++;
	return n;
}

static void test_route_server(void **state)
{
	struct config *c = must_read("tests/data/config/routeserver.conf");
	const struct proto_config *pc = must_proto(c, "AS65001_1");
	const struct bgp_config *b = pc->body;
	const struct channel_config *ch = must_channel(pc, "ipv4");

	assert_int_equal(count_protocols(c), 5);
	assert_true(config_find_table(c, "master4")->sorted);
	assert_true(b->rs_client && b->passive && b->enable_extended_messages);
	assert_int_equal(b->local_as, 65500);
	assert_true(ch->secondary && ch->import_table && ch->import_keep_filtered);
	assert_string_equal(filter_name(ch->import.filter), "receive_from_AS65001_1");
	assert_int_equal(ch->receive_limit.action, LIMIT_WARN);
	assert_int_equal(ch->import_limit.value, 170);
	assert_int_equal(ch->export_limit.action, LIMIT_NONE);
	assert_int_equal(ch->next_hop_keep, NHMODE_ALL);
	assert_int_equal(((const struct static_config *)must_proto(c, "static_roas4")->body)->n_routes, 2);
	assert_true(filter_reads(ch->import.filter) & FILTER_READS_ROA);
	config_release(c);
}

static void test_table_for_each_client(void **state)
{
	struct config *c = must_read("tests/data/config/tablesperclient.conf");
	const struct proto_config *pc = must_proto(c, "pb_0001_as65001");
	const struct bgp_config *b = pc->body;
	const struct pipe_config *pipe = must_proto(c, "pp_0001_as65001")->body;

	assert_int_equal(count_protocols(c), 4);
	assert_int_equal(b->auth, BGP_AUTH_MD5);
	assert_int_equal(b->connect_delay, 30);
	assert_true(b->strict_bind && b->enforce_first_as);
	assert_string_equal(must_channel(pc, "ipv4")->table->name, "t_0001_as65001");
	assert_string_equal(pipe->peer_table->name, "t_0001_as65001");
	assert_int_equal(((const struct rpki_config *)must_proto(c, "rpki1")->body)->port, 3323);
	config_release(c);
}

static void test_edge(void **state)
{
	struct config *c = must_read("tests/data/config/edge.conf");
	const struct bgp_config *b = must_proto(c, "TRANSIT_A_v4")->body;

	assert_int_equal(count_protocols(c), 12);
	assert_int_equal(b->bfd, BGP_BFD_GRACEFUL);
	assert_int_equal(b->hold_time, 30);
	assert_int_equal(b->gr_mode, GR_ON);
	assert_int_equal(must_channel(must_proto(c, "TRANSIT_A_v4"), "ipv4")->import_limit.value, 1000000);
	b = must_proto(c, "bgp1")->body;
	assert_int_equal(b->remote_as, 65101);
	assert_int_equal(b->bfd, BGP_BFD_GRACEFUL);
	assert_int_equal(b->bfd_options.multiplier, 5);
	b = must_proto(c, "DYN")->body;
	assert_true(b->has_range);
	config_release(c);
}

static void test_includes_by_the_dozen(void **state)
{
	struct config *c = must_read("tests/data/config/dn42/bird.conf");
	const struct bgp_config *b = must_proto(c, "peer-a.v6")->body;

	assert_string_equal(b->ifname, "wg-a");
	assert_int_equal(must_channel(must_proto(c, "peer_b"), "ipv6")->import.kind, FILTER_NONE);
	assert_int_equal(must_channel(must_proto(c, "peer_b"), "ipv4")->import.kind, FILTER_PROGRAM);
	assert_int_equal(must_proto(c, "int_babel")->type, PROTO_INERT);
	assert_int_equal(((const struct static_config *)must_proto(c, "static1")->body)->n_routes, 2);
	config_release(c);
}

/* Read twice, nothing has changed. */
static void test_unchanged(void **state)
{
	static const char *const files[] = {
		"routeserver.conf", "tablesperclient.conf", "edge.conf", "dn42/bird.conf"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[128];
		struct config *a, *b;
		const struct proto_config *pc;

		snprintf(path, sizeof(path), "tests/data/config/%s", files[i]);
		a = must_read(path);
		b = must_read(path);
		cds_list_for_each_entry(pc, &a->protocols, node)
		{
			const struct proto_config *other = must_proto(b, pc->name);
			const struct channel_config *ch;

			assert_int_equal(config_diff_protocol(pc, other), PROTO_SAME);
			cds_list_for_each_entry(ch, &pc->channels, node) assert_int_equal(
				config_diff_channel(ch, must_channel(other, ch->name)), PROTO_SAME);
		}
		config_release(a);
		config_release(b);
	}
}

/* n ROA routes and a prefix set of n, as text. */
static char *long_text(unsigned n)
{
	char *text = malloc((size_t)n * 96 + 256);
	size_t len = (size_t)sprintf(text, "roa4 table r;\nprotocol static x { roa4;\n");

	assert_non_null(text);
	for (unsigned i = 0; i < n; i++)
		len += (size_t)sprintf(text + len, "\troute %u.%u.%u.0/24 max 24 as %u;\n", i >> 16 & 255,
			i >> 8 & 255, i & 255, i);
	len += (size_t)sprintf(text + len, "}\ndefine S = [\n");
	for (unsigned i = 0; i < n; i++)
		len += (size_t)sprintf(text + len, "\t%u.%u.%u.0/24{24,32}%s\n", i >> 16 & 255, i >> 8 & 255,
			i & 255, i + 1 < n ? "," : "");
	sprintf(text + len, "];\n");
	return text;
}

/* Memory grows with the text and not faster. (Time is not looked at here; tests/tools/confcheck -t tells it.)
 */
static void test_long(void **state)
{
	size_t bytes[2];
	unsigned n = 50000;

	for (int i = 0; i < 2; i++, n *= 4) {
		char *text = long_text(n);
		struct config *c = must_parse(text);

		assert_int_equal(((const struct static_config *)must_proto(c, "x")->body)->n_routes, n);
		bytes[i] = arena_bytes(c->arena);
		config_release(c);
		free(text);
	}
	assert_true(bytes[1] < 5 * bytes[0]);
	assert_true(bytes[1] < (size_t)200000 * 512);
}

/* A thousand clients from a template. */
static void test_many_protocols(void **state)
{
	enum { N = 1000 };
	char *text = malloc(N * 400);
	size_t len = (size_t)sprintf(
		text, "template bgp t { local as 65000; rs client; ipv4 { import all; export all; }; }\n");
	struct config *c;

	for (int i = 0; i < N; i++)
		len += (size_t)sprintf(text + len,
			"ipv4 table t_%d;\nprotocol bgp p%d from t { neighbor 10.0.%d.%d as %d; ipv4 { table "
			"t_%d; import limit %d; }; }\n"
			"protocol pipe { table master4; peer table t_%d; import where net.len <= 24; }\n",
			i, i, i >> 8, i & 255, 65001 + i, i, i + 1, i);
	c = must_parse(text);
	assert_int_equal(count_protocols(c), 2 * N);
	assert_int_equal(((const struct bgp_config *)must_proto(c, "p999")->body)->remote_as, 66000);
	assert_int_equal(must_channel(must_proto(c, "p999"), "ipv4")->import_limit.value, 1000);
	assert_non_null(config_find_protocol(c, "pipe1000"));
	config_release(c);
	free(text);
}

/* Nesting ends in an error, not in the end of the stack. */
static void test_depth(void **state)
{
	static const struct {
		const char *head, *unit, *tail;
	} rows[] = {
		{"define x = ", "(", "1;"},
		{"define x = ", "!", "true;"},
		{"filter f ", "{", ""},
		{"filter f { ", "if true then ", "accept; }"},
		{"define x = ", "[", ""},
		{"define x = 1", " + 1", ";"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum { N = 100000 };
		char *text = malloc(N * 16 + 64), *end = stpcpy(text, rows[i].head);
		struct config_error err;

		for (int k = 0; k < N; k++)
			end = stpcpy(end, rows[i].unit);
		strcpy(end, rows[i].tail);
		assert_null(config_parse_text("t", text, strlen(text), false, &err));
		assert_int_not_equal(err.text[0], 0);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route_server),
		cmocka_unit_test(test_table_for_each_client),
		cmocka_unit_test(test_edge),
		cmocka_unit_test(test_includes_by_the_dozen),
		cmocka_unit_test(test_unchanged),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_many_protocols),
		cmocka_unit_test(test_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
