/* SPDX-License-Identifier: BSD-2-Clause */
/* All protocols but BGP. */
#include "tests/unit/config_support.h"

static const void *body(const struct config *c, const char *name, enum proto_type type)
{
	const struct proto_config *pc = must_proto(c, name);

	assert_int_equal(pc->type, type);
	return pc->body;
}

static void test_device(void **state)
{
	struct config *c = must_parse("protocol device { scan time 10; interface \"eth*\" { preferred "
				      "192.0.2.1; preferred 2001:db8::1; };\n"
				      " interface \"lo\"; }");
	const struct device_config *d = body(c, "device1", PROTO_DEVICE);

	assert_int_equal(d->scan_time, 10);
	assert_int_equal(d->n_preferred, 2);
	assert_string_equal(d->preferred[1].pattern->mask, "eth*");
	assert_ip(d->preferred[1].preferred, "2001:db8::1");
	config_release(c);
	c = must_parse("protocol device { };");
	assert_int_equal(((const struct device_config *)body(c, "device1", PROTO_DEVICE))->scan_time, 60);
	assert_string_equal(must_proto(c, "device1")->type_name, "Device");
	config_release(c);
}

static void test_direct(void **state)
{
	struct config *c = must_parse("define NET = 10.0.0.0/8;\n"
				      "template direct t { ipv4; interface \"a*\"; }\n"
				      "protocol direct { ipv4; ipv6; check link; interface -\"dummy*\", "
				      "\"*\" NET; interface \"b\"; vrf \"red\"; }\n"
				      "protocol direct d2 from t { interface \"c\"; }\n"
				      "protocol direct d3 from t { vrf default; }\n");
	const struct direct_config *d = body(c, "direct1", PROTO_DIRECT);
	const struct iface_pattern *i = d->pattern;
	struct ipaddr in = ip("10.1.2.3"), out = ip("11.1.2.3");

	assert_true(d->check_link);
	assert_true(i->negate);
	assert_string_equal(i->next->mask, "*");
	assert_int_equal(i->next->prefix.len, 8);
	assert_false(iface_pattern_match(i, "dummy0", &in));
	assert_true(iface_pattern_match(i, "eth0", &in));
	assert_false(iface_pattern_match(i, "eth0", &out));
	assert_true(iface_pattern_match(i, "b", &out));
	assert_string_equal(must_proto(c, "direct1")->vrf, "red");
	assert_int_equal(must_channel(must_proto(c, "direct1"), "ipv6")->preference, 240);
	d = body(c, "d2", PROTO_DIRECT);
	assert_string_equal(d->pattern->mask, "a*");
	assert_string_equal(d->pattern->next->mask, "c");
	d = body(c, "d3", PROTO_DIRECT); /* not touched by what d2 added */
	assert_null(d->pattern->next);
	assert_true(must_proto(c, "d3")->vrf_default);
	config_release(c);
}

static void test_kernel(void **state)
{
	struct config *c = must_parse("ipv6 table t6;\n"
				      "protocol kernel { ipv4 { export all; }; }\n"
				      "protocol kernel k6 { scan time 20; learn; persist; merge paths on "
				      "limit 8; graceful restart;\n"
				      "  kernel table 100; metric 64; netlink rx buffer 1000000; ipv6 { "
				      "table t6; import none; }; }\n"
				      "ipv4 table x; protocol kernel k4 { learn all; merge paths; kernel "
				      "table 5; ipv4 { table x; }; }\n");
	const struct kernel_config *k = body(c, "kernel1", PROTO_KERNEL);

	assert_int_equal(k->scan_time, 60);
	assert_int_equal(k->table_id, 254);
	assert_int_equal(k->metric, 32);
	assert_int_equal(k->merge_limit, 16);
	assert_false(k->learn || k->persist || k->merge_paths || k->graceful_restart);
	assert_int_equal(must_channel(must_proto(c, "kernel1"), "ipv4")->preference, 10);
	k = body(c, "k6", PROTO_KERNEL);
	assert_true(k->learn && k->persist && k->merge_paths && k->graceful_restart);
	assert_false(k->learn_all);
	assert_int_equal(k->merge_limit, 8);
	assert_int_equal(k->table_id, 100);
	assert_int_equal(k->metric, 64);
	assert_int_equal(k->rx_buffer, 1000000);
	assert_string_equal(must_channel(must_proto(c, "k6"), "ipv6")->table->name, "t6");
	k = body(c, "k4", PROTO_KERNEL);
	assert_true(k->learn && k->learn_all && k->merge_paths);
	assert_int_equal(k->merge_limit, 16);
	config_release(c);
}

static void test_bfd(void **state)
{
	struct config *c =
		must_parse("protocol bfd { }\n"
			   "protocol bfd b2 { accept ipv4 direct; strict bind; zero udp6 checksum rx;\n"
			   "  interface \"eth*\", \"br0\" { min rx interval 20 ms; min tx interval 50 ms; "
			   "idle tx interval 300 ms; multiplier 10;\n"
			   "    authentication simple; passwords { password \"one\" { id 1; }; password "
			   "\"two\" { id 2; generate to \"2000-01-01\"; }; "
			   "password \"three\" { id 3; from \"2000-01-01 10:00:00\"; accept to "
			   "\"2000-01-02\"; }; }; };\n"
			   "  interface \"*\";\n"
			   "  multihop { interval 200 ms; multiplier 4; };\n"
			   "  neighbor 192.0.2.1; neighbor fe80::1%eth0; neighbor 192.0.2.2 dev \"eth1\" "
			   "local 192.0.2.9;\n"
			   "  neighbor 198.51.100.1 local 192.0.2.9 multihop; }\n");
	const struct bfd_config *b = body(c, "bfd1", PROTO_BFD);
	const struct bfd_iface_config *i;
	const struct bfd_neighbor_config *n;

	assert_true(b->accept_ipv4 && b->accept_ipv6 && b->accept_direct && b->accept_multihop);
	assert_ptr_equal(b->ifaces.next, &b->ifaces);
	assert_ptr_equal(b->neighbors.next, &b->neighbors);
	assert_false(b->has_multihop);
	assert_int_equal(b->multihop.multiplier, 5);
	b = body(c, "b2", PROTO_BFD);
	assert_true(b->accept_ipv4 && b->accept_direct && b->strict_bind && b->zero_udp6_checksum_rx);
	assert_false(b->accept_ipv6 || b->accept_multihop);
	i = cds_list_first_entry(&b->ifaces, struct bfd_iface_config, node);
	assert_string_equal(i->pattern->next->mask, "br0");
	assert_int_equal(i->options.min_rx_us, 20000);
	assert_int_equal(i->options.min_tx_us, 50000);
	assert_int_equal(i->options.idle_tx_us, 300000);
	assert_int_equal(i->options.multiplier, 10);
	assert_int_equal(i->options.n_keys, 3);
	assert_true(i->options.keys[0].send && i->options.keys[0].accept);
	assert_false(i->options.keys[1].send);
	assert_true(i->options.keys[1].accept);
	assert_true(i->options.keys[2].send);
	assert_false(i->options.keys[2].accept);
	i = cds_list_entry(i->node.next, struct bfd_iface_config, node);
	assert_int_equal(i->options.min_rx_us, 10000);
	assert_int_equal(i->options.min_tx_us, 100000);
	assert_int_equal(i->options.idle_tx_us, 1000000);
	assert_false(i->options.set_min_rx);
	assert_true(b->has_multihop);
	assert_int_equal(b->multihop.min_tx_us, 200000);
	n = cds_list_first_entry(&b->neighbors, struct bfd_neighbor_config, node);
	assert_ip(n->addr, "192.0.2.1");
	n = cds_list_entry(n->node.next, struct bfd_neighbor_config, node);
	assert_string_equal(n->ifname, "eth0");
	n = cds_list_entry(n->node.next, struct bfd_neighbor_config, node);
	assert_string_equal(n->ifname, "eth1");
	assert_ip(n->local, "192.0.2.9");
	n = cds_list_entry(n->node.next, struct bfd_neighbor_config, node);
	assert_true(n->multihop);
	assert_ptr_equal(n->node.next, &b->neighbors);
	config_release(c);
}

static void test_static(void **state)
{
	struct config *c =
		must_parse("define P = 10.9.0.0/16; define GW = 192.0.2.7; ipv4 table i4; ipv6 table i6;\n"
			   "protocol static s { ipv4; check link; igp table i4; igp table i6;\n"
			   "  route 10.0.0.0/8 via 192.0.2.1;\n"
			   "  route 10.1.0.0/16 via 192.0.2.1 weight 3 bfd via fe80::1%eth0 onlink via "
			   "\"eth1\" weight 256 mpls 1/2;\n"
			   "  route 10.2.0.0/16 recursive 198.51.100.1;\n"
			   "  route 10.3.0.0/16 blackhole; route 10.4.0.0/16 drop; route 10.5.0.0/16 "
			   "unreachable; route 10.6.0.0/16 reject;\n"
			   "  route 10.7.0.0/16 prohibit;\n"
			   "  route P via GW { preference = 5; bgp_community.add((1,2)); };\n"
			   "  route 10.8.0.0/16 via 192.0.2.1 dev \"eth0\";\n"
			   "}\n");
	const struct static_config *s = body(c, "s", PROTO_STATIC);
	const struct static_route *r = s->routes;

	assert_true(s->check_link);
	assert_string_equal(s->igp_table->name, "i4");
	assert_string_equal(s->igp_table6->name, "i6");
	assert_int_equal(s->n_routes, 10);
	assert_int_equal(r->net.type, NET_IP4);
	assert_int_equal(r->dest, RTD_UNICAST);
	assert_ip(r->nexthops->via, "192.0.2.1");
	assert_int_equal(r->nexthops->weight, 1);
	assert_null(r->nexthops->next);
	assert_int_equal(r->line, 3);
	r = r->next;
	assert_int_equal(r->nexthops->weight, 3);
	assert_true(r->nexthops->use_bfd);
	assert_ip(r->nexthops->next->via, "fe80::1");
	assert_string_equal(r->nexthops->next->ifname, "eth0");
	assert_true(r->nexthops->next->onlink);
	assert_string_equal(r->nexthops->next->next->ifname, "eth1");
	assert_true(ipaddr_is_zero(&r->nexthops->next->next->via));
	assert_int_equal(r->nexthops->next->next->weight, 256);
	r = r->next;
	assert_true(r->recursive);
	assert_ip(r->via_recursive, "198.51.100.1");
	r = r->next;
	assert_int_equal(r->dest, RTD_BLACKHOLE);
	r = r->next;
	assert_int_equal(r->dest, RTD_BLACKHOLE);
	r = r->next;
	assert_int_equal(r->dest, RTD_UNREACHABLE);
	r = r->next;
	assert_int_equal(r->dest, RTD_UNREACHABLE);
	r = r->next;
	assert_int_equal(r->dest, RTD_PROHIBIT);
	assert_null(r->actions);
	r = r->next;
	assert_non_null(r->actions);
	assert_ip(r->nexthops->via, "192.0.2.7");
	r = r->next;
	assert_string_equal(r->nexthops->ifname, "eth0");
	assert_null(r->next);
	assert_int_equal(must_channel(must_proto(c, "s"), "ipv4")->preference, 200);
	config_release(c);
}

static void test_static_other_nets(void **state)
{
	struct config *c = must_parse(
		"roa4 table r4; roa6 table r6; aspa table at; vpn4 table v4; ipv6 sadr table sa; flow4 table "
		"f4; mpls table m;\n"
		"protocol static a { roa4; route 10.0.0.0/8 max 24 as 65000; route 10.0.0.0/8 max 8 as 0; }\n"
		"protocol static b { roa6 { table r6; }; route 2001:db8::/32 max 48 as 4200000000; }\n"
		"protocol static c { aspa; route aspa 65000 providers 1, 2, 3, 4, 5, 6, 7, 8, 9; route aspa "
		"65001 transit; }\n"
		"protocol static d { vpn4; route 65000:1 10.0.0.0/8 unreachable; }\n"
		"protocol static e { ipv6 sadr; route 2001:db8::/32 from 2001:db8:1::/48 reject; }\n"
		"protocol static f { flow4; route flow4 { dst 10.0.0.0/8; proto = 6; dport > 24 && < 30 || "
		"40..50; }; }\n"
		"protocol static g { mpls; route mpls 100 via 192.0.2.1 mpls 5; }\n"
		"protocol static h { ipv6; route 2001:db8::/32 via fe80::1%eth0; route ::/0 via 192.0.2.1; "
		"}\n");
	const struct static_route *r = ((const struct static_config *)body(c, "a", PROTO_STATIC))->routes;

	assert_int_equal(r->net.type, NET_ROA4);
	assert_int_equal(r->net.maxlen, 24);
	assert_int_equal(r->net.asn, 65000);
	assert_int_equal(r->dest, RTD_NONE);
	assert_int_equal(r->next->net.maxlen, 8);
	r = ((const struct static_config *)body(c, "b", PROTO_STATIC))->routes;
	assert_int_equal(r->net.type, NET_ROA6);
	assert_int_equal(r->net.asn, 4200000000u);
	r = ((const struct static_config *)body(c, "c", PROTO_STATIC))->routes;
	assert_int_equal(r->net.type, NET_ASPA);
	assert_int_equal(r->net.asn, 65000);
	assert_int_equal(r->n_providers, 9);
	assert_int_equal(r->providers[8], 9);
	assert_int_equal(r->next->n_providers, 1);
	assert_int_equal(r->next->providers[0], 0);
	r = ((const struct static_config *)body(c, "d", PROTO_STATIC))->routes;
	assert_int_equal(r->net.type, NET_VPN4);
	assert_int_equal(r->net.rd, UINT64_C(0x0000fde800000001));
	r = ((const struct static_config *)body(c, "e", PROTO_STATIC))->routes;
	assert_int_equal(r->net.type, NET_IP6_SADR);
	assert_int_equal(r->net.src.len, 48);
	r = ((const struct static_config *)body(c, "h", PROTO_STATIC))->routes;
	assert_int_equal(r->net.type, NET_IP6);
	assert_int_equal(r->next->net.prefix.len, 0);
	assert_int_equal(r->next->net.prefix.family, 6);
	assert_false(has_warning(c, "Channel flow4 of protocol f is parsed but not run"));
	config_release(c);
}

/* What a template brings is its own in each heir. */
static void test_static_inherits(void **state)
{
	struct config *c = must_parse(
		"template static t { ipv4; route 10.0.0.0/8 reject; }\n"
		"protocol static a from t { route 10.1.0.0/16 reject; }\n"
		"protocol static b from t { route 10.2.0.0/16 reject; route 10.3.0.0/16 reject; }\n"
		"protocol static d from t { }\n");
	const struct static_config *s = body(c, "a", PROTO_STATIC);

	assert_int_equal(s->n_routes, 2);
	assert_ip(s->routes->next->net.prefix.addr, "10.1.0.0");
	assert_null(s->routes->next->next);
	s = body(c, "b", PROTO_STATIC);
	assert_int_equal(s->n_routes, 3);
	assert_ip(s->routes->next->net.prefix.addr, "10.2.0.0");
	s = body(c, "d", PROTO_STATIC);
	assert_int_equal(s->n_routes, 1);
	assert_null(s->routes->next);
	config_release(c);
}

static void test_rpki(void **state)
{
	struct config *c =
		must_parse("roa4 table r4; roa6 table r6;\n"
			   "protocol rpki a { roa4 { table r4; }; roa6 { table r6; }; remote "
			   "\"rtr.example.net\" port 8282; retry keep 90;\n"
			   "  refresh keep 900; expire keep 172800; ignore max length; min version 1; max "
			   "version 1; local address 192.0.2.9;\n"
			   "  transport tcp { authentication md5; password \"x\"; }; }\n"
			   "protocol rpki b { roa4; remote 192.0.2.1; hold routes; }\n"
			   "protocol rpki d { roa6; remote 2001:db8::1; port 323; transport tcp; hold routes "
			   "timeout 90; }\n"
			   "protocol rpki e { roa6; remote \"192.0.2.5\"; transport ssh { bird private key "
			   "\"/k\"; remote public key \"/p\"; user \"u\"; }; }\n");
	const struct rpki_config *r = body(c, "a", PROTO_RPKI);

	assert_string_equal(r->host, "rtr.example.net");
	assert_true(ipaddr_is_zero(&r->remote));
	assert_int_equal(r->port, 8282);
	assert_int_equal(r->retry, 90);
	assert_int_equal(r->refresh, 900);
	assert_int_equal(r->expire, 172800);
	assert_true(r->keep_retry && r->keep_refresh && r->keep_expire && r->ignore_max_length);
	assert_int_equal(r->min_version, 1);
	assert_int_equal(r->max_version, 1);
	assert_ip(r->local, "192.0.2.9");
	assert_string_equal(r->md5_password, "x");
	assert_false(r->hold_routes);
	r = body(c, "d", PROTO_RPKI);
	assert_true(r->hold_routes);
	assert_int_equal(r->hold_timeout, 90);
	r = body(c, "b", PROTO_RPKI);
	assert_true(r->hold_routes);
	assert_int_equal(r->hold_timeout, 0);
	assert_string_equal(r->host, "192.0.2.1");
	assert_ip(r->remote, "192.0.2.1");
	assert_int_equal(r->port, 323);
	assert_int_equal(r->refresh, 3600);
	assert_int_equal(r->retry, 600);
	assert_int_equal(r->expire, 7200);
	assert_int_equal(r->max_version, 2);
	assert_int_equal(must_channel(must_proto(c, "b"), "roa4")->preference, 100);
	assert_string_equal(must_channel(must_proto(c, "b"), "roa4")->table->name, "r4");
	r = body(c, "e", PROTO_RPKI);
	assert_true(r->ssh);
	assert_int_equal(r->port, 22);
	assert_ip(r->remote, "192.0.2.5");
	assert_string_equal(r->ssh_user, "u");
	assert_true(has_warning(c, "SSH transport is parsed but not run"));
	config_release(c);
}

static void test_pipe(void **state)
{
	struct config *c = must_parse("ipv4 table t1; ipv4 table t2; filter f { accept; }\n"
				      "template pipe tp { import none; export filter f; }\n"
				      "protocol pipe { table master4; peer table t1; }\n"
				      "protocol pipe p2 from tp { table t1; peer table t2; import where "
				      "net.len = 24; preference 7; import limit 5; "
				      "description \"x\"; debug all; }\n");
	const struct channel_config *ch = must_channel(must_proto(c, "pipe1"), "main");

	assert_string_equal(
		((const struct pipe_config *)body(c, "pipe1", PROTO_PIPE))->peer_table->name, "t1");
	assert_string_equal(ch->table->name, "master4");
	assert_int_equal(ch->net, NET_IP4);
	assert_int_equal(ch->import.kind, FILTER_ALL);
	assert_int_equal(ch->export.kind, FILTER_ALL);
	ch = must_channel(must_proto(c, "p2"), "main");
	assert_int_equal(ch->import.kind, FILTER_PROGRAM);
	assert_int_equal(ch->export.kind, FILTER_PROGRAM);
	assert_string_equal(filter_name(ch->export.filter), "f");
	assert_int_equal(ch->preference, 7);
	assert_ptr_equal(
		ch->node.next, &must_proto(c, "p2")->channels); /* one channel, not the template's as well */
	config_release(c);
}

static void test_mrt_bmp(void **state)
{
	struct config *c = must_parse(
		"protocol mrt { table \"*4\"; filename \"/tmp/%N_%F_%T.mrt\"; period 300; where source = "
		"RTS_BGP; always add path; }\n"
		"protocol mrt m2 { table master6; filename \"x\"; period 1; }\n"
		"protocol bmp { local address 192.0.2.9; station address ip 192.0.2.1 port 1790; system "
		"description \"d\"; system name \"n\";\n"
		"  monitoring rib in pre_policy; monitoring rib in post_policy off; tx buffer limit 10;\n"
		"  monitoring rib out post_policy; monitoring rib local; monitoring mirror; }\n");
	const struct mrt_config *m = body(c, "mrt1", PROTO_MRT);
	const struct bmp_config *b = body(c, "bmp1", PROTO_BMP);

	assert_string_equal(m->table_pattern, "*4");
	assert_null(m->table);
	assert_int_equal(m->period, 300);
	assert_true(m->always_add_path);
	assert_int_equal(m->filter.kind, FILTER_PROGRAM);
	m = body(c, "m2", PROTO_MRT);
	assert_string_equal(m->table->name, "master6");
	assert_int_equal(m->filter.kind, FILTER_ALL);
	assert_ip(b->station, "192.0.2.1");
	assert_ip(b->local, "192.0.2.9");
	assert_int_equal(b->port, 1790);
	assert_true(b->pre_policy);
	assert_true(b->out_post_policy && b->loc_rib && b->mirror && !b->out_pre_policy);
	assert_string_equal(b->loc_rib_table[0]->name, "master4");
	assert_string_equal(b->loc_rib_table[1]->name, "master6");
	assert_false(b->post_policy);
	assert_int_equal(b->tx_limit_mb, 10);
	assert_string_equal(b->sys_name, "n");
	config_release(c);
}

static void test_not_run(void **state)
{
	struct config *c = must_parse(
		"ipv4 table a1; ipv4 table a2;\n"
		"protocol ospf v2 { area 0 { interface \"eth*\" { cost 5; type bcast; authentication "
		"cryptographic; password \"x\"; }; }; }\n"
		"protocol ospf v3 myospf { ipv6 { export all; }; area 0.0.0.1 { stub; }; }\n"
		"protocol ospf { }\n"
		"protocol rip ng r6 { ipv6; interface \"*\" { mode multicast; }; }\n"
		"protocol babel { interface \"wlan*\" { type wireless; }; ipv4 { import all; }; }\n"
		"protocol radv { interface \"eth2\" { prefix ::/0 { skip; }; rdnss 2001:db8::1; }; }\n"
		"protocol l3vpn vpn1 { rd 1:1; route target [(rt, 1, 2)]; }\n"
		"protocol perf { } protocol evpn { } protocol bridge { }\n"
		"template ospf v2 tt { } protocol ospf v2 fromt from tt { }\n"
		"protocol aggregator { table a1; peer table a2; export all; aggregate on net, (net.len), "
		"bgp_path; merge by { for route r in "
		"routes do { accept; } }; }\n"
		"filter f { if proto = \"myospf\" then accept; if source = RTS_OSPF then reject; }\n"
		"mpls domain d { label range bgp { start 1; length 5; }; }\n");

	assert_int_equal(must_proto(c, "ospf1")->type, PROTO_INERT);
	assert_string_equal(must_proto(c, "ospf1")->type_name, "OSPF");
	assert_string_equal(must_proto(c, "myospf")->type_name, "OSPF");
	assert_int_equal(must_proto(c, "ospf2")->type, PROTO_INERT);
	assert_string_equal(must_proto(c, "r6")->type_name, "RIP");
	assert_string_equal(must_proto(c, "babel1")->type_name, "Babel");
	assert_string_equal(must_proto(c, "radv1")->type_name, "RAdv");
	assert_string_equal(must_proto(c, "vpn1")->type_name, "L3VPN");
	assert_string_equal(must_proto(c, "fromt")->type_name, "OSPF");
	assert_int_equal(must_proto(c, "aggregator1")->type, PROTO_AGGREGATOR);
	assert_true(has_warning(c, "Protocol myospf (OSPF) is parsed but not run"));
	assert_true(has_warning(c, "Protocol aggregator1 (Aggregator) is parsed but not run"));
	/* once for each, with its line; a template says nothing */
	assert_int_equal(c->n_warnings, 13);
	assert_int_equal(c->warnings->line, 2);
	config_release(c);
	assert_string_equal(must_fail("protocol ospf {"), "1:16 syntax error, unexpected END");
}

/* What BIRD's bfd protocol does not have. */
static void test_bfd_ours(void **state)
{
	struct config *c = must_parse(
		"protocol bfd {\n"
		"  interface \"eth*\" { demand; echo interval 50 ms; echo rx interval 20 ms; pdu size 1400;\n"
		"    dampening { flaps 2; within 10 s; hold 1 s; max hold 8 s; }; };\n"
		"  multihop { min ttl 250; dampening; };\n"
		"  neighbor 192.0.2.1 dev \"eth0\" echo only;\n"
		"  neighbor 192.0.2.2 local 192.0.2.9 sbfd 4711\n"
		"    { authentication keyed sha1; password \"secret\" { id 9; }; };\n"
		"  sbfd reflector 4712 min rx interval 3300 us\n"
		"    { authentication meticulous keyed sha1; password \"one\"; password \"two\" { id 7; }; "
		"};\n"
		"  workers 3;\n"
		"  unsolicited { interface \"ix*\"; allow 192.0.2.0/24, 2001:db8::/32; limit 7; keep 3 s; "
		"};\n"
		"}");
	const struct bfd_config *b = body(c, "bfd1", PROTO_BFD);
	const struct bfd_options *o =
		&cds_list_first_entry(&b->ifaces, struct bfd_iface_config, node)->options;
	const struct bfd_neighbor_config *n =
		cds_list_first_entry(&b->neighbors, struct bfd_neighbor_config, node);

	assert_true(o->demand && o->set_demand && o->set_echo && o->set_echo_rx && o->set_pdu && o->set_damp);
	assert_int_equal(o->echo_tx_us, 50000);
	assert_int_equal(o->echo_min_rx_us, 20000);
	assert_int_equal(o->pdu_size, 1400);
	assert_int_equal(o->damp_flaps, 2);
	assert_int_equal(o->damp_within_us, 10000000);
	assert_int_equal(o->damp_hold_us, 1000000);
	assert_int_equal(o->damp_max_us, 8000000);
	assert_int_equal(b->multihop.min_ttl, 250);
	assert_int_equal(b->multihop.damp_flaps, 3);
	assert_true(n->echo_only);
	n = cds_list_entry(n->node.next, struct bfd_neighbor_config, node);
	assert_int_equal(n->sbfd_disc, 4711);
	assert_true(n->options.set_auth);
	assert_int_equal(n->options.auth_type, BFD_AUTH_KEYED_SHA1);
	assert_int_equal(n->options.keys[0].id, 9);
	assert_int_equal(b->reflector.params.auth_type, BFD_AUTH_METICULOUS_SHA1);
	assert_memory_equal(b->reflector.params.auth[0].secret, "one", 3);
	assert_int_equal(b->reflector.params.auth[1].id, 7);
	assert_int_equal(b->reflector.discriminator, 4712);
	assert_int_equal(b->reflector.params.min_rx_us, 3300);
	assert_int_equal(b->workers, 3);
	assert_true(b->unsolicited.on);
	assert_int_equal(b->unsolicited.n_allow, 2);
	assert_int_equal(b->unsolicited.limit, 7);
	assert_int_equal(b->unsolicited.keep_us, 3000000);
	config_release(c);
	assert_non_null(strstr(must_fail("protocol bfd { interface \"*\" { pdu size 20; }; }"),
		"PDU size must be 0 or in range"));
	assert_non_null(strstr(must_fail("protocol bfd { interface \"*\" { dampening { flaps 9; }; }; }"),
		"Flaps must be in range 2-8"));
	assert_non_null(
		strstr(must_fail("protocol bfd { neighbor 192.0.2.1 sbfd 0; }"), "discriminator is not 0"));
	assert_non_null(strstr(must_fail("protocol bfd { neighbor 192.0.2.1 echo only; }"),
		"Echo-only neighbor requires an interface"));
	assert_non_null(
		strstr(must_fail("protocol bfd { unsolicited { foo; }; }"), "expecting INTERFACE or ALLOW"));
}

static void test_ours(void **state)
{
	struct config *c = must_parse("peregrine { io threads 3; rib shards 5; failover redirect off; "
				      "}\nprotocol device peregrine { }");

	assert_int_equal(c->threads, 3);
	assert_int_equal(c->rib_shards, 5);
	assert_int_equal(c->failover_redirect, TRI_OFF);
	assert_int_equal(must_proto(c, "peregrine")->type, PROTO_DEVICE);
	config_release(c);
	c = must_parse("protocol device { }");
	assert_int_equal(c->failover_redirect, TRI_UNSET);
	config_release(c);
	assert_non_null(strstr(must_fail("peregrine { foo; }"), "expecting IO or RIB"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_direct),
		cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_bfd),
		cmocka_unit_test(test_static),
		cmocka_unit_test(test_static_other_nets),
		cmocka_unit_test(test_static_inherits),
		cmocka_unit_test(test_rpki),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_mrt_bmp),
		cmocka_unit_test(test_not_run),
		cmocka_unit_test(test_bfd_ours),
		cmocka_unit_test(test_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
