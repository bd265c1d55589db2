/* SPDX-License-Identifier: BSD-2-Clause */
/* protocol bgp: every option, defaults, inheritance, what depends on the kind of session. */
#include "tests/unit/config_support.h"

static const struct bgp_config *bgp(const struct config *c, const char *name)
{
	const struct proto_config *pc = must_proto(c, name);

	assert_int_equal(pc->type, PROTO_BGP);
	return pc->body;
}

#define POLICY "{ import all; export none; }"

static void test_defaults(void **state)
{
	struct config *c =
		must_parse("protocol bgp { local as 65000; neighbor 192.0.2.1 as 65001; ipv4 " POLICY "; }");
	const struct bgp_config *b = bgp(c, "bgp1");
	const struct channel_config *ch = must_channel(must_proto(c, "bgp1"), "ipv4");

	assert_int_equal(b->local_as, 65000);
	assert_int_equal(b->remote_as, 65001);
	assert_false(b->internal);
	assert_ip(b->remote, "192.0.2.1");
	assert_true(ipaddr_is_zero(&b->local));
	assert_int_equal(b->local_port, 179);
	assert_int_equal(b->remote_port, 179);
	assert_int_equal(b->multihop, 0);
	assert_int_equal(b->check_link, TRI_ON);
	assert_int_equal(b->hold_time, 240);
	assert_int_equal(b->startup_hold_time, 240);
	assert_int_equal(b->min_hold_time, 0);
	assert_int_equal(b->keepalive_time, 0);
	assert_int_equal(b->send_hold_time, UINT32_MAX);
	assert_int_equal(b->connect_delay, 5);
	assert_int_equal(b->connect_retry, 120);
	assert_int_equal(b->error_wait_min, 60);
	assert_int_equal(b->error_wait_max, 300);
	assert_int_equal(b->error_forget, 300);
	assert_int_equal(b->gr_mode, GR_AWARE);
	assert_int_equal(b->llgr_mode, GR_AWARE);
	assert_int_equal(b->gr_time, 120);
	assert_int_equal(b->llgr_time, 3600);
	assert_int_equal(b->default_local_pref, 100);
	assert_int_equal(b->default_med, 0);
	assert_int_equal(b->role, BGP_ROLE_NONE);
	assert_int_equal(b->bfd, BGP_BFD_OFF);
	assert_int_equal(b->auth, BGP_AUTH_NONE);
	assert_true(b->interpret_communities && b->capabilities && b->enable_refresh &&
		    b->enable_enhanced_refresh);
	assert_true(b->enable_as4 && b->path_metric && b->igp_metric && b->setkey);
	assert_false(b->enable_extended_messages || b->allow_as_sets || b->rs_client || b->rr_client ||
		     b->passive);
	assert_false(b->med_metric || b->deterministic_med || b->prefer_older || b->enforce_first_as);
	assert_string_equal(b->dynamic_name, "dynbgp");

	assert_string_equal(ch->table->name, "master4");
	assert_int_equal(ch->preference, 100);
	assert_int_equal(ch->import.kind, FILTER_ALL);
	assert_int_equal(ch->export.kind, FILTER_NONE);
	assert_int_equal(ch->next_hop_keep, NHMODE_OFF);
	assert_int_equal(ch->next_hop_self, NHMODE_OFF);
	assert_int_equal(ch->gateway_recursive, TRI_OFF);
	assert_int_equal(ch->aigp, TRI_OFF);
	assert_int_equal(ch->graceful_restart, TRI_OFF);
	assert_int_equal(ch->add_paths, ADD_PATH_NONE);
	assert_int_equal(ch->llgr_stale_time, 3600);
	assert_int_equal(ch->receive_limit.action, LIMIT_NONE);
	assert_true(ch->rpki_reload);
	assert_false(ch->import_keep_filtered || ch->import_table || ch->export_table || ch->secondary ||
		     ch->mandatory);
	assert_false(ch->inert);
	config_release(c);
}

static void test_internal(void **state)
{
	struct config *c = must_parse(
		"protocol bgp a { local as 65000; neighbor 192.0.2.1 as 65000; ipv4; }\n"
		"protocol bgp b { local as 65000; neighbor 192.0.2.2 internal; rr client; ipv4; direct; }\n"
		"protocol bgp e { local as 65000; neighbor 192.0.2.3 external; ipv4 " POLICY "; multihop; }\n"
		"protocol bgp m { local as 65001; neighbor 192.0.2.4 as 65002; confederation 65000; "
		"confederation member; ipv4; }\n");
	const struct bgp_config *b = bgp(c, "a");
	const struct channel_config *ch = must_channel(must_proto(c, "a"), "ipv4");

	assert_true(b->internal);
	assert_int_equal(b->multihop, 64);
	assert_int_equal(b->check_link, TRI_OFF);
	assert_int_equal(ch->import.kind, FILTER_ALL);
	assert_int_equal(ch->export.kind, FILTER_NONE);
	assert_int_equal(ch->gateway_recursive, TRI_ON);
	assert_true(ch->next_hop_prefer_local);
	assert_string_equal(ch->igp_table4->name, "master4");
	assert_string_equal(ch->igp_table6->name, "master6");
	assert_int_equal(ch->aigp, TRI_ON);
	b = bgp(c, "b");
	assert_true(b->internal);
	assert_int_equal(b->remote_as, 65000);
	assert_int_equal(b->multihop, 0);
	assert_int_equal(must_channel(must_proto(c, "b"), "ipv4")->next_hop_keep, NHMODE_IBGP);
	b = bgp(c, "e");
	assert_false(b->internal);
	assert_int_equal(b->remote_as, 0);
	assert_int_equal(b->multihop, 64);
	b = bgp(c, "m");
	assert_false(b->internal);
	assert_true(b->confederation_member);
	assert_int_equal(must_channel(must_proto(c, "m"), "ipv4")->aigp, TRI_ON);
	config_release(c);
}

static void test_route_server_client(void **state)
{
	struct config *c = must_parse(
		"ipv4 table master4 sorted;\n"
		"protocol bgp c { local as 65000; neighbor 192.0.2.1 as 65001; rs client; passive on;\n"
		"  interpret communities off; ttl security off; strict bind; source address 192.0.2.9;\n"
		"  ipv4 { import all; export all; secondary; add paths tx; import table on;\n"
		"    import keep filtered on; import limit 170000 action restart; next hop keep; }; }\n");
	const struct bgp_config *b = bgp(c, "c");
	const struct channel_config *ch = must_channel(must_proto(c, "c"), "ipv4");

	assert_true(b->rs_client && b->passive && b->strict_bind);
	assert_false(b->interpret_communities);
	assert_ip(b->local, "192.0.2.9");
	assert_int_equal(ch->next_hop_keep, NHMODE_ALL);
	assert_true(ch->secondary && ch->import_table && ch->import_keep_filtered);
	assert_int_equal(ch->add_paths, ADD_PATH_TX);
	assert_int_equal(ch->import_limit.value, 170000);
	assert_int_equal(ch->import_limit.action, LIMIT_RESTART);
	config_release(c);
	/* by default, too: rs client implies next hop keep */
	c = must_parse("protocol bgp c { local as 65000; neighbor 192.0.2.1 as 65001; rs client; ipv4 " POLICY
		       "; }");
	assert_int_equal(must_channel(must_proto(c, "c"), "ipv4")->next_hop_keep, NHMODE_ALL);
	config_release(c);
	c = must_parse("protocol bgp c { local as 65000; neighbor 192.0.2.1 as 65001; rs client; "
		       "ipv4 { import all; export all; next hop keep off; }; }");
	assert_int_equal(must_channel(must_proto(c, "c"), "ipv4")->next_hop_keep, NHMODE_OFF);
	config_release(c);
}

/* One option at a time: text, and where it must arrive. */
#define N(f) offsetof(struct bgp_config, f), sizeof(((struct bgp_config *)NULL)->f)
static void test_options(void **state)
{
	static const struct {
		const char *text;
		size_t offset, size;
		uint64_t value;
	} rows[] = {
		{"local port 1179;", N(local_port), 1179},
		{"neighbor port 1179;", N(remote_port), 1179},
		{"multihop 2;", N(multihop), 2},
		{"multihop;", N(multihop), 64},
		{"interface \"eth0\"; onlink;", N(onlink), 1},
		{"free bind;", N(free_bind), 1},
		{"ttl security;", N(ttl_security), 1},
		{"passive;", N(passive), 1},
		{"setkey off;", N(setkey), 0},
		{"check link off;", N(check_link), TRI_OFF},
		{"confederation 65100;", N(confederation), 65100},
		{"rr cluster id 1.2.3.4;", N(rr_cluster_id), 0x01020304},
		{"rr cluster id 7;", N(rr_cluster_id), 7},
		{"rs client 1;", N(rs_client), 1},
		{"allow bgp_local_pref;", N(allow_local_pref), 1},
		{"allow bgp_med;", N(allow_med), 1},
		{"allow local as;", N(allow_local_as), UINT32_MAX},
		{"allow local as 3;", N(allow_local_as), 3},
		{"allow as sets;", N(allow_as_sets), 1},
		{"enforce first as;", N(enforce_first_as), 1},
		{"capabilities off;", N(capabilities), 0},
		{"enable route refresh off;", N(enable_refresh), 0},
		{"enable enhanced route refresh off;", N(enable_enhanced_refresh), 0},
		{"enable as4 off;", N(enable_as4), 0},
		{"enable extended messages;", N(enable_extended_messages), 1},
		{"advertise hostname;", N(advertise_hostname), 1},
		{"require route refresh;", N(require_refresh), 1},
		{"require enhanced route refresh;", N(require_enhanced_refresh), 1},
		{"require as4;", N(require_as4), 1},
		{"require extended messages;", N(require_extended_messages), 1},
		{"require hostname;", N(require_hostname), 1},
		{"require graceful restart;", N(require_gr), 1},
		{"require long lived graceful restart;", N(require_llgr), 1},
		{"graceful restart;", N(gr_mode), GR_ON},
		{"graceful restart on;", N(gr_mode), GR_ON},
		{"graceful restart aware;", N(gr_mode), GR_AWARE},
		{"graceful restart off;", N(gr_mode), GR_OFF},
		{"graceful restart off;", N(llgr_mode), GR_OFF},
		{"graceful restart time 4095;", N(gr_time), 4095},
		{"min graceful restart time 10;", N(min_gr_time), 10},
		{"max graceful restart time 20;", N(max_gr_time), 20},
		{"long lived graceful restart;", N(llgr_mode), GR_ON},
		{"long lived graceful restart aware;", N(llgr_mode), GR_AWARE},
		{"long lived stale time 60;", N(llgr_time), 60},
		{"min long lived stale time 61;", N(min_llgr_time), 61},
		{"max long lived stale time 62;", N(max_llgr_time), 62},
		{"interpret communities off;", N(interpret_communities), 0},
		{"disable after error;", N(disable_after_error), 1},
		{"disable after cease;", N(disable_after_cease), 0x17f},
		{"disable after cease off;", N(disable_after_cease), 0},
		{"disable after cease { prefix limit hit, cease, out of resources };", N(disable_after_cease),
			0x103},
		{"hold time 0;", N(hold_time), 0},
		{"hold time 3;", N(hold_time), 3},
		{"min hold time 30;", N(min_hold_time), 30},
		{"startup hold time 60;", N(startup_hold_time), 60},
		{"keepalive time 20;", N(keepalive_time), 20},
		{"min keepalive time 5;", N(min_keepalive_time), 5},
		{"send hold time 0;", N(send_hold_time), 0},
		{"send hold time 500;", N(send_hold_time), 500},
		{"connect delay time 1;", N(connect_delay), 1},
		{"start delay time 2;", N(connect_delay), 2},
		{"connect retry time 3;", N(connect_retry), 3},
		{"error wait time 4, 5;", N(error_wait_min), 4},
		{"error wait time 4, 5;", N(error_wait_max), 5},
		{"error forget time 6;", N(error_forget), 6},
		{"path metric off;", N(path_metric), 0},
		{"igp metric off;", N(igp_metric), 0},
		{"med metric;", N(med_metric), 1},
		{"deterministic med;", N(deterministic_med), 1},
		{"prefer older;", N(prefer_older), 1},
		{"default bgp_med 7;", N(default_med), 7},
		{"default bgp_local_pref 8;", N(default_local_pref), 8},
		{"local role peer;", N(role), BGP_ROLE_PEER},
		{"local role provider;", N(role), BGP_ROLE_PROVIDER},
		{"local role customer;", N(role), BGP_ROLE_CUSTOMER},
		{"local role rs_server;", N(role), BGP_ROLE_RS_SERVER},
		{"local role rs_client;", N(role), BGP_ROLE_RS_CLIENT},
		{"local role peer; require roles;", N(require_roles), 1},
		{"bfd;", N(bfd), BGP_BFD_ON},
		{"bfd on;", N(bfd), BGP_BFD_ON},
		{"bfd graceful;", N(bfd), BGP_BFD_GRACEFUL},
		{"bfd; bfd off;", N(bfd), BGP_BFD_OFF},
		{"bfd strict;", N(bfd_strict), 1},
		{"bfd strict;", N(bfd), BGP_BFD_ON},
		{"bfd strict hold time 10;", N(bfd_strict_hold), 10},
		{"disable rx;", N(disable_rx), 1},
		{"password \"x\";", N(auth), BGP_AUTH_MD5},
		{"authentication md5; password \"x\";", N(auth), BGP_AUTH_MD5},
		{"authentication none;", N(auth), BGP_AUTH_NONE},
		{"dynamic name digits 5;", N(dynamic_name_digits), 5},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[400];
		struct config *c;
		uint64_t have = 0;

		snprintf(text, sizeof(text),
			"protocol bgp x { local as 65000; neighbor 192.0.2.1 as 65001; %s ipv4 " POLICY "; }",
			rows[i].text);
		c = must_parse(text);
		memcpy(&have, (const char *)bgp(c, "x") + rows[i].offset, rows[i].size);
		if (have != rows[i].value)
			print_error("%s\n", rows[i].text);
		assert_int_equal(have, rows[i].value);
		config_release(c);
	}
}

static void test_local_and_neighbor(void **state)
{
	struct config *c =
		must_parse("define ME = 65000; define PEER = 65001; define A = 192.0.2.1;\n"
			   "protocol bgp a { local 192.0.2.9 port 5 as ME; neighbor A as PEER; }\n"
			   "protocol bgp b { local as ME; source address 192.0.2.9; neighbor as (PEER + 1); "
			   "neighbor 192.0.2.2 port 7; }\n"
			   "protocol bgp d { local fe80::1 as ME; neighbor fe80::2%eth0 as PEER; }\n"
			   "protocol bgp e { local as ME; neighbor fe80::2 % 'eth0.10' as PEER; }\n"
			   "protocol bgp f { local as ME; neighbor fe80::3 as PEER; interface \"eth1\"; }\n"
			   "protocol bgp g { local as ME; neighbor 192.0.2.3 as 4200000000 onlink; interface "
			   "\"eth0\"; }\n");
	const struct bgp_config *b = bgp(c, "a");

	assert_ip(b->local, "192.0.2.9");
	assert_int_equal(b->local_port, 5);
	assert_int_equal(b->local_as, 65000);
	assert_ip(b->remote, "192.0.2.1");
	assert_int_equal(b->remote_as, 65001);
	b = bgp(c, "b");
	assert_int_equal(b->remote_as, 65002);
	assert_int_equal(b->remote_port, 7);
	assert_ip(b->local, "192.0.2.9");
	b = bgp(c, "d");
	assert_ip(b->remote, "fe80::2");
	assert_string_equal(b->ifname, "eth0");
	assert_string_equal(bgp(c, "e")->ifname, "eth0.10");
	assert_string_equal(bgp(c, "f")->ifname, "eth1");
	assert_true(bgp(c, "g")->onlink);
	assert_int_equal(bgp(c, "g")->remote_as, 4200000000u);
	config_release(c);
}

static void test_dynamic(void **state)
{
	struct config *c = must_parse(
		"protocol bgp dyn { local as 1; neighbor range 192.0.2.0/24 external; dynamic name \"d\"; "
		"dynamic name digits 4; ipv4 " POLICY "; password \"x\"; }\n"
		"protocol bgp ll { local as 1; strict bind; interface range \"eth*\", -\"eth9\"; neighbor "
		"range "
		"fe80::/10 as 5; ipv6 " POLICY "; }\n");
	const struct bgp_config *b = bgp(c, "dyn");

	assert_true(b->has_range);
	assert_int_equal(b->range.len, 24);
	assert_int_equal(b->peer_type, BGP_PEER_EXTERNAL);
	assert_string_equal(b->dynamic_name, "d");
	assert_int_equal(b->dynamic_name_digits, 4);
	b = bgp(c, "ll");
	assert_string_equal(b->iface_range->mask, "eth*");
	assert_true(b->iface_range->next->negate);
	config_release(c);
}

static void test_authentication_ao(void **state)
{
	struct config *c = must_parse(
		"protocol bgp a { local as 1; neighbor 192.0.2.1 as 2; authentication ao; keys {\n"
		"  key { id 1; secret \"abc\"; algorithm hmac sha256; preferred; };\n"
		"  key { send id 2; recv id 3; secret hex:01:02:03; algorithm cmac aes128; deprecated; };\n"
		"}; ipv4 " POLICY "; }");
	const struct ao_key *k = bgp(c, "a")->ao_keys;

	assert_int_equal(bgp(c, "a")->auth, BGP_AUTH_AO);
	assert_int_equal(k->send_id, 1);
	assert_int_equal(k->recv_id, 1);
	assert_string_equal(k->algorithm, "hmac(sha256)");
	assert_true(k->preferred);
	k = k->next;
	assert_int_equal(k->send_id, 2);
	assert_int_equal(k->recv_id, 3);
	assert_int_equal(k->secret_len, 3);
	assert_string_equal(k->algorithm, "cmac(aes128)");
	assert_true(k->deprecated);
	assert_null(k->next);
	config_release(c);
}

static void test_bfd(void **state)
{
	struct config *c =
		must_parse("protocol bgp a { local as 1; neighbor 192.0.2.1 as 2; bfd graceful; bfd { "
			   "interval 10 ms; }; bfd { "
			   "multiplier 3; passive; idle tx interval 2 s; }; }\n"
			   "protocol bgp b { local as 1; neighbor 192.0.2.1 as 2; bfd { min rx interval 300 "
			   "us; min tx interval 1 "
			   "s; authentication meticulous keyed sha1; password \"abc\" { id 7; }; }; }\n"
			   "protocol bgp d { local as 1; neighbor 192.0.2.1 as 2; bfd { graceful; }; bfd "
			   "strict hold time 5; }\n");
	const struct bfd_options *o = &bgp(c, "a")->bfd_options;

	assert_int_equal(bgp(c, "a")->bfd, BGP_BFD_GRACEFUL);
	assert_int_equal(o->min_rx_us, 10000);
	assert_int_equal(o->min_tx_us, 10000);
	assert_true(o->set_min_rx && o->set_min_tx && o->set_idle && o->set_mult && o->set_passive);
	assert_int_equal(o->multiplier, 3);
	assert_int_equal(o->idle_tx_us, 2000000);
	o = &bgp(c, "b")->bfd_options;
	assert_int_equal(bgp(c, "b")->bfd, BGP_BFD_ON);
	assert_int_equal(o->min_rx_us, 300);
	assert_int_equal(o->min_tx_us, 1000000);
	assert_false(o->set_idle || o->set_mult);
	assert_int_equal(o->multiplier, 5);
	assert_int_equal(o->auth_type, BFD_AUTH_METICULOUS_SHA1);
	assert_int_equal(o->n_keys, 1);
	assert_int_equal(o->keys[0].id, 7);
	assert_int_equal(o->keys[0].len, 3);
	assert_true(o->keys[0].send && o->keys[0].accept);
	assert_int_equal(bgp(c, "d")->bfd, BGP_BFD_GRACEFUL);
	assert_true(bgp(c, "d")->bfd_strict);
	assert_int_equal(bgp(c, "d")->bfd_strict_hold, 5);
	config_release(c);
}

static void test_neighbor_interface(void **state)
{
	struct config *c = must_parse(
		"protocol bgp a { local as 1; neighbor interface \"eth0\" external; ipv4 " POLICY "; }\n"
		"protocol bgp b { local as 1; neighbor interface \"eth1\" port 1179 as 1; }\n");

	assert_true(bgp(c, "a")->unnumbered);
	assert_string_equal(bgp(c, "a")->ifname, "eth0");
	assert_int_equal(bgp(c, "a")->peer_type, BGP_PEER_EXTERNAL);
	assert_true(bgp(c, "b")->internal);
	assert_int_equal(bgp(c, "b")->remote_port, 1179);
	config_release(c);
}

static void test_add_paths_send(void **state)
{
	static const struct {
		const char *text;
		struct path_choice want;
	} rows[] = {
		{"all", {0}},
		{"best 3", {.limit = 3}},
		{"all limit 255", {.limit = 255}},
		{"per as", {.send = SEND_PER_AS}},
		{"per as plus 2", {.send = SEND_PER_AS, .plus = 2}},
		{"ecmp limit 4", {.send = SEND_ECMP, .limit = 4}},
		{"ecmp plus (1 + 1) limit 4", {.send = SEND_ECMP, .plus = 2, .limit = 4}},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct path_choice *got;
		struct config *c;
		char text[256];

		snprintf(text, sizeof(text),
			"protocol bgp x { local as 1; neighbor 192.0.2.1 as 2; ipv4 { import all; export "
			"all; "
			"add paths send %s; add paths; }; }\n",
			rows[i].text);
		c = must_parse(text);
		got = &must_channel(must_proto(c, "x"), "ipv4")->add_paths_send;
		assert_int_equal(got->send, rows[i].want.send);
		assert_int_equal(got->plus, rows[i].want.plus);
		assert_int_equal(got->limit, rows[i].want.limit);
		assert_int_equal(must_channel(must_proto(c, "x"), "ipv4")->add_paths, ADD_PATH_BOTH);
		config_release(c);
	}
}

static void test_channel_options(void **state)
{
	struct config *c =
		must_parse("ipv4 table t4; ipv6 table i6; ipv4 table i4; filter f { accept; }\n"
			   "protocol bgp x { local as 1; neighbor 192.0.2.1 as 2; graceful restart; ipv4 {\n"
			   "  table t4; preference 150; import filter f; export where net.len < 24; import "
			   "keep filtered; rpki reload off;\n"
			   "  receive limit 10; import limit 11 action block; export limit 12 action warn; "
			   "debug { routes };\n"
			   "  mandatory; next hop keep ibgp; next hop self ebgp; next hop address 192.0.2.9; "
			   "next hop prefer local;\n"
			   "  link local next hop format double; gateway recursive; igp table i4; igp table "
			   "i6; import table; export table;\n"
			   "  add paths; require add paths; extended next hop; require extended next hop; "
			   "aigp originate; cost 5;\n"
			   "  graceful restart off; long lived graceful restart; long lived stale time 5; "
			   "min long lived stale time 1;\n"
			   "  max long lived stale time 9; missing lladdr self; }; }\n");
	const struct channel_config *ch = must_channel(must_proto(c, "x"), "ipv4");

	assert_string_equal(ch->table->name, "t4");
	assert_int_equal(ch->preference, 150);
	assert_int_equal(ch->import.kind, FILTER_PROGRAM);
	assert_int_equal(ch->export.kind, FILTER_PROGRAM);
	assert_true(ch->import_keep_filtered);
	assert_false(ch->rpki_reload);
	assert_int_equal(ch->receive_limit.value, 10);
	assert_int_equal(ch->receive_limit.action, LIMIT_DISABLE);
	assert_int_equal(ch->import_limit.action, LIMIT_BLOCK);
	assert_int_equal(ch->export_limit.action, LIMIT_WARN);
	assert_int_equal(ch->debug, DBG_ROUTES);
	assert_true(ch->mandatory && ch->import_table && ch->export_table && ch->require_add_paths);
	assert_true(ch->extended_next_hop && ch->require_extended_next_hop && ch->aigp_originate);
	assert_int_equal(ch->next_hop_keep, NHMODE_IBGP);
	assert_int_equal(ch->next_hop_self, NHMODE_EBGP);
	assert_ip(ch->next_hop_address, "192.0.2.9");
	assert_true(ch->next_hop_prefer_local);
	assert_int_equal(ch->link_local_format, 2);
	assert_int_equal(ch->gateway_recursive, TRI_ON);
	assert_string_equal(ch->igp_table4->name, "i4");
	assert_string_equal(ch->igp_table6->name, "i6");
	assert_int_equal(ch->add_paths, ADD_PATH_BOTH);
	assert_int_equal(ch->aigp, TRI_ON);
	assert_int_equal(ch->cost, 5);
	assert_int_equal(ch->graceful_restart, TRI_OFF);
	assert_int_equal(ch->llgr, TRI_ON);
	assert_int_equal(ch->llgr_stale_time, 5);
	assert_int_equal(ch->min_llgr_time, 1);
	assert_int_equal(ch->max_llgr_time, 9);
	assert_true(has_warning(c, "x.ipv4: Missing lladdr option is deprecated"));
	config_release(c);
}

static void test_families(void **state)
{
	struct config *c = must_parse(
		"vpn4 table v4; flow6 table f6; evpn table ev; mpls table mt; neighbor table nt;\n"
		"protocol bgp x { local as 1; neighbor range 192.0.2.0/24 as 1; ipv4; ipv6; ipv4 multicast; "
		"ipv6 "
		"mpls; vpn4 mpls; "
		"vpn4 multicast; flow6 { validate off; }; evpn; mpls { label policy static; }; neighbors; }");
	static const struct {
		const char *name;
		int safi;
		bool inert;
	} want[] = {
		{"ipv4", 1, false},
		{"ipv6", 1, false},
		{"ipv4-mc", 2, true},
		{"ipv6-mpls", 4, true},
		{"vpn4-mpls", 128, false},
		{"vpn4-mc", 129, true},
		{"flow6", 133, false},
		{"evpn", 70, false},
		{"mpls", 1, true},
		{"neighbors", 1, true},
	};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct channel_config *ch = must_channel(must_proto(c, "x"), want[i].name);

		assert_int_equal(ch->safi, want[i].safi);
		assert_true(ch->inert == want[i].inert);
	}
	assert_true(has_warning(c, "Channel vpn4-mc of protocol x is parsed but not run"));
	config_release(c);
}

static void test_templates(void **state)
{
	struct config *c = must_parse(
		"ipv4 table t4; filter f { reject; }\n"
		"template bgp base { local as 65000; hold time 90; description \"base\"; disabled; bfd { "
		"multiplier 7; };\n"
		"  ipv4 { import filter f; export none; import limit 100; next hop self; }; }\n"
		"template bgp rs from base { rs client; ipv4 { import limit 200 action block; }; ipv6 { "
		"import all; export all; }; }\n"
		"protocol bgp a from rs { neighbor 192.0.2.1 as 1; disabled off; ipv4 { table t4; }; }\n"
		"protocol bgp b from base { neighbor 192.0.2.2 as 2; hold time 30; ipv4 { import none; }; }\n"
		"protocol bgp from base { neighbor 192.0.2.3 as 3; }\n");
	const struct channel_config *ch;

	assert_null(config_find_protocol(c, "rs"));
	assert_int_equal(bgp(c, "a")->hold_time, 90);
	assert_true(bgp(c, "a")->rs_client);
	assert_false(must_proto(c, "a")->disabled);
	assert_true(must_proto(c, "b")->disabled);
	assert_string_equal(must_proto(c, "a")->description, "base");
	ch = must_channel(must_proto(c, "a"), "ipv4");
	assert_string_equal(ch->table->name, "t4");
	assert_int_equal(ch->import.kind, FILTER_PROGRAM);
	assert_int_equal(ch->import_limit.value, 200);
	assert_int_equal(ch->import_limit.action, LIMIT_BLOCK);
	assert_int_equal(ch->next_hop_self, NHMODE_ALL);
	assert_int_equal(ch->next_hop_keep, NHMODE_ALL); /* of rs client, decided at the leaf */
	must_channel(must_proto(c, "a"), "ipv6");
	assert_int_equal(bgp(c, "a")->bfd_options.multiplier, 7);
	assert_int_equal(bgp(c, "b")->hold_time, 30);
	assert_false(bgp(c, "b")->rs_client);
	ch = must_channel(must_proto(c, "b"), "ipv4");
	assert_string_equal(ch->table->name, "master4");
	assert_int_equal(ch->import.kind, FILTER_NONE);
	assert_int_equal(ch->import_limit.value, 100);
	assert_int_equal(ch->import_limit.action, LIMIT_DISABLE);
	assert_ptr_equal(must_proto(c, "bgp1")->parent, must_proto(c, "b")->parent);
	config_release(c);
}

static void test_auto_names(void **state)
{
	struct config *c = must_parse("protocol bgp bgp2 { local as 1; neighbor 192.0.2.1 as 2; }\n"
				      "protocol bgp { local as 1; neighbor 192.0.2.2 as 2; }\n"
				      "protocol bgp { local as 1; neighbor 192.0.2.3 as 2; }\n"
				      "protocol bgp 'as1.v4' { local as 1; neighbor 192.0.2.4 as 2; }\n");

	assert_ip(bgp(c, "bgp1")->remote, "192.0.2.2");
	assert_ip(bgp(c, "bgp3")->remote, "192.0.2.3");
	assert_ip(bgp(c, "as1.v4")->remote, "192.0.2.4");
	config_release(c);
}

static void test_password_warns_once(void **state)
{
	struct config *c =
		must_parse("protocol bgp a { local as 1; neighbor 192.0.2.1 as 2; password \"x\"; }\n"
			   "protocol bgp b { local as 1; neighbor 192.0.2.2 as 2; password \"x\"; }\n");

	assert_int_equal(c->n_warnings, 1);
	assert_string_equal(bgp(c, "b")->password, "x");
	config_release(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_internal),
		cmocka_unit_test(test_route_server_client),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_local_and_neighbor),
		cmocka_unit_test(test_dynamic),
		cmocka_unit_test(test_authentication_ao),
		cmocka_unit_test(test_bfd),
		cmocka_unit_test(test_neighbor_interface),
		cmocka_unit_test(test_add_paths_send),
		cmocka_unit_test(test_channel_options),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_templates),
		cmocka_unit_test(test_auto_names),
		cmocka_unit_test(test_password_warns_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
