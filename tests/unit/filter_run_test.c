/* SPDX-License-Identifier: BSD-2-Clause */
/* Filters over routes: attributes, verdicts, functions, what happens when something is wrong. */
#include "tests/unit/filter_support.h"

#include "controlplane/filter/suite.h"
#include "shared/log.h"
#include <stdlib.h>
#include <unistd.h>

/* ---- a route ---- */

static const uint32_t communities[] = {64500u << 16 | 1, 64500u << 16 | 2, 65535u << 16};
static const uint64_t ext[] = {UINT64_C(0x0002fbf400000005)}; /* (rt, 64500, 5) */
static const struct lcomm large[] = {{64500, 1, 2}, {64500, 3, 4}};
static const uint8_t path[] = {
	2, 3, 0, 0, 0xfb, 0xf0, 0, 0, 0xfb, 0xf1, 0, 0, 0xfb, 0xf2}; /* 64496 64497 64498 */

struct fixture {
	struct net net;
	struct attr_nexthop nexthop;
	struct attrs attrs;
	struct filter_route route;
	struct filter_vm *vm;
};

static void set_net(struct fixture *f, const char *prefix)
{
	assert_int_equal(prefix_parse(prefix, &f->net.prefix), 0);
	f->net.type = f->net.prefix.family == 4 ? NET_IP4 : NET_IP6;
}

static void make_route(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	set_net(f, "198.51.100.0/24");
	assert_int_equal(ipaddr_parse("192.0.2.1", &f->nexthop.gw), 0);
	f->nexthop.ifindex = 7;
	f->nexthop.weight = 1;
	f->attrs = (struct attrs){
		.present = ATTR_ORIGIN | ATTR_AS_PATH | ATTR_NEXT_HOP | ATTR_LOCAL_PREF | ATTR_MED |
			   ATTR_COMMUNITY | ATTR_EXT_COMMUNITY | ATTR_LARGE_COMMUNITY,
		.origin = ORIGIN_IGP,
		.local_pref = 100,
		.med = 5,
		.preference = 100,
		.dest = RTD_UNICAST,
		.scope = SCOPE_UNIVERSE,
		.as_path = path,
		.as_path_bytes = sizeof(path),
		.community = communities,
		.n_community = 3,
		.ext = ext,
		.n_ext = 1,
		.large = large,
		.n_large = 2,
		.nexthop = &f->nexthop,
		.n_nexthop = 1,
		.next_hop = f->nexthop.gw,
	};
	f->route = (struct filter_route){.net = &f->net,
		.attrs = &f->attrs,
		.proto_name = "upstream_v4",
		.source = RTS_BGP,
		.ifindex = 7};
	f->route.from = f->nexthop.gw;
	f->vm = filter_vm_create();
}

static void drop_route(struct fixture *f)
{
	filter_vm_destroy(f->vm);
}

/* ---- running ---- */

struct result {
	enum filter_verdict verdict;
	bool changed;
	struct attrs out;
};

/* Runs `filter f { body }` after the definitions. */
static struct result run_with(struct fixture *f, const char *definitions, const char *body)
{
	struct result r;
	char text[16384];

	memset(&r, 0, sizeof(r));
	snprintf(text, sizeof(text), "%s\nfilter f\n%s", definitions, body);
	struct config *c = config_of(text);
	r.verdict = filter_run(f->vm, find_filter(c, "f"), &f->route, &r.changed, &r.out);
	config_release(c);
	return r;
}

static struct result run_body(struct fixture *f, const char *body)
{
	return run_with(f, "", body);
}

/* ---- the log ---- */

static char log_path[64];

static void log_start(void)
{
	strcpy(log_path, "/tmp/filter_run_test.XXXXXX");
	int fd = mkstemp(log_path);
	assert_true(fd >= 0);
	close(fd);
	struct log_sink sink = {.kind = LOG_SINK_FILE, .classes = ~0u, .path = log_path};
	assert_int_equal(log_configure(&sink, 1, "T"), 0);
}

/* What was logged since; without the time. */
static const char *log_text(void)
{
	static char text[65536];
	FILE *f;

	log_flush();
	f = fopen(log_path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	assert_int_equal(truncate(log_path, 0), 0);
	return text;
}

/* ---- tests ---- */

static void reading(void **state)
{
	static const struct expectation table[] = {
		{"net", "198.51.100.0/24"},
		{"net.len", "24"},
		{"net.type = NET_IP4", "TRUE"},
		{"net ~ [ 198.51.0.0/16{24,24} ]", "TRUE"},
		{"proto", "upstream_v4"},
		{"proto ~ \"up*\"", "TRUE"},
		{"source", "(enum 30)11"},
		{"source ~ [ RTS_STATIC, RTS_BGP ]", "TRUE"},
		{"from", "192.0.2.1"},
		{"gw", "192.0.2.1"},
		{"dest = RTD_UNICAST", "TRUE"},
		{"scope = SCOPE_UNIVERSE", "TRUE"},
		{"ifindex", "7"},
		{"preference", "100"},
		{"weight", "1"},
		{"onlink", "FALSE"},
		{"gw_mpls", "3"},
		{"bgp_origin = ORIGIN_IGP", "TRUE"},
		{"bgp_path", "(path 64496 64497 64498)"},
		{"bgp_path.first", "64496"},
		{"bgp_path.last", "64498"},
		{"bgp_path.len", "3"},
		{"bgp_path ~ [= 64496 * =]", "TRUE"},
		{"64497 ~ bgp_path", "TRUE"},
		{"bgp_next_hop", "192.0.2.1"},
		{"bgp_med", "5"},
		{"bgp_local_pref", "100"},
		{"bgp_community", "(clist (64500,1) (64500,2) (65535,0))"},
		{"(65535, 0) ~ bgp_community", "TRUE"},
		{"bgp_community ~ [(64500, *)]", "TRUE"},
		{"bgp_ext_community", "(eclist (rt, 64500, 5))"},
		{"bgp_large_community", "(lclist (64500, 1, 2) (64500, 3, 4))"},
		{"bgp_large_community ~ [(64500, 3, *)]", "TRUE"},
		/* absent */
		{"bgp_originator_id", "(void)"},
		{"defined(bgp_originator_id)", "FALSE"},
		{"bgp_cluster_list", "(clist )"},
		{"defined(bgp_cluster_list)", "FALSE"},
		{"defined(bgp_community)", "TRUE"},
		{"defined(bgp_atomic_aggr)", "FALSE"},
		{"bgp_otc", "(void)"},
		{"bgp_otc = 5", "FALSE"},
		{"igp_metric", "(void)"},
		{"krt_prefsrc", "(void)"},
		{"ospf_metric1", "(void)"},
		/* BIRD's errors while running */
		{"bgp_otc + 1", "8008 Argument 1 of ADD must be of type int, got type void"},
		{"bgp_otc < 1", "TRUE"}, /* void sorts below everything */
		{"net.rd", "8008 VPN or EVPN address expected"},
		{"1 / (bgp_med - 5)", "8008 Mother told me not to divide by 0"},
		{"(bgp_med, 70000 + bgp_med)",
			"8008 Can't operate with value out of bounds in pair constructor"},
	};
	struct config *c = config_of("");
	struct fixture f;

	(void)state;
	make_route(&f);
	EXPECT(c, f.vm, &f.route, table);
	assert_string_equal(eval_in(c, f.vm, NULL, "net"), "8008 No route to access");
	config_release(c);
	drop_route(&f);
}

static void verdicts(void **state)
{
	struct fixture f;

	(void)state;
	make_route(&f);
	assert_int_equal(run_body(&f, "{ accept; }").verdict, FILTER_ACCEPT);
	assert_int_equal(run_body(&f, "{ reject; }").verdict, FILTER_REJECT);
	assert_int_equal(
		run_body(&f, "{ if net = 198.51.100.0/24 then accept; reject; }").verdict, FILTER_ACCEPT);
	assert_int_equal(run_body(&f, "{ if net = 198.51.100.0/25 then accept; else reject; }").verdict,
		FILTER_REJECT);
	assert_int_equal(
		run_body(&f,
			"{ if bgp_med > 3 && bgp_med < 7 || false then { if true then accept; } reject; }")
			.verdict,
		FILTER_ACCEPT);
	assert_int_equal(run_body(&f, "{ error; }").verdict, FILTER_ERROR);
	/* accept and reject in a function end the filter */
	assert_int_equal(run_with(&f, "function g() { reject; }", "{ g(); accept; }").verdict, FILTER_REJECT);
	assert_int_equal(run_with(&f, "function h(int x) -> bool { if x = 1 then accept; return false; }",
				 "{ if h(2) then accept; h(1); reject; }")
				 .verdict,
		FILTER_ACCEPT);
	log_text();
	assert_int_equal(run_body(&f, "{ }").verdict, FILTER_ERROR);
	assert_non_null(
		strstr(log_text(), "<ERR> Filter f did not return accept nor reject. Make up your mind\n"));
	drop_route(&f);
}

static void edits(void **state)
{
	struct fixture f;
	struct result r;
	struct attrs before;

	(void)state;
	make_route(&f);
	before = f.attrs;
	r = run_body(&f, "{ accept; }");
	assert_false(r.changed);

	r = run_body(&f, "{ bgp_local_pref = 200; bgp_med = 0; accept; }");
	assert_int_equal(r.verdict, FILTER_ACCEPT);
	assert_true(r.changed);
	assert_int_equal(r.out.local_pref, 200);
	assert_int_equal(r.out.med, 0);
	assert_ptr_equal(r.out.community, communities); /* what is not touched is shared */
	assert_memory_equal(&f.attrs, &before, sizeof(before));

	/* the same value again is no change, but it is known that it was set */
	r = run_body(&f, "{ bgp_local_pref = 100; bgp_community.add((64500, 1)); "
			 "bgp_large_community.delete([(1,*,*)]); accept; }");
	assert_false(r.changed);
	assert_true(filter_vm_touched(f.vm) & UINT64_C(1) << FA_LOCAL_PREF);
	assert_false(filter_vm_touched(f.vm) & UINT64_C(1) << FA_MED);

	r = run_body(&f, "{ bgp_path.prepend(64500); bgp_path.prepend(64500); accept; }");
	assert_int_equal(r.out.as_path_bytes, 2 + 5 * 4);
	assert_int_equal(r.out.as_path[1], 5);
	assert_int_equal(path_asn(r.out.as_path + 2), 64500);
	assert_int_equal(path_asn(r.out.as_path + 6), 64500);
	assert_int_equal(path_asn(r.out.as_path + 10), 64496);

	r = run_body(&f, "{ bgp_community.add((65535, 666)); bgp_community.delete((64500, 1)); accept; }");
	assert_int_equal(r.out.n_community, 3);
	assert_int_equal(r.out.community[0], 64500u << 16 | 2);
	assert_int_equal(r.out.community[2], 65535u << 16 | 666);

	r = run_body(&f, "{ bgp_community.delete([(*, *)]); accept; }");
	assert_int_equal(r.out.n_community, 0);
	assert_false(r.out.present & ATTR_COMMUNITY);

	r = run_body(&f, "{ bgp_large_community.empty; bgp_large_community.add((1, 2, 3)); "
			 "bgp_ext_community.add((ro, 1, 2)); accept; }");
	assert_int_equal(r.out.n_large, 1);
	assert_int_equal(r.out.large[0].data2, 3);
	assert_int_equal(r.out.n_ext, 2);

	r = run_body(&f, "{ unset(bgp_med); unset(bgp_local_pref); unset(bgp_otc); accept; }");
	assert_false(r.out.present & (ATTR_MED | ATTR_LOCAL_PREF));
	assert_int_equal(r.out.med, 0);

	r = run_body(&f,
		"{ bgp_origin = ORIGIN_INCOMPLETE; bgp_next_hop = 2001:db8::1; bgp_originator_id = 1.2.3.4; "
		"bgp_cluster_list.add(5.6.7.8); bgp_otc = 64500; igp_metric = 9; accept; }");
	assert_int_equal(r.out.origin, ORIGIN_INCOMPLETE);
	assert_false(ipaddr_is_v4(&r.out.next_hop));
	assert_int_equal(r.out.originator_id, 0x01020304);
	assert_int_equal(r.out.n_cluster, 1);
	assert_int_equal(r.out.cluster[0], 0x05060708);
	assert_int_equal(r.out.otc, 64500);
	assert_int_equal(r.out.igp_metric, 9);
	assert_true(r.out.present & ATTR_OTC && r.out.present & ATTR_CLUSTER_LIST &&
		    r.out.present & ATTR_IGP_METRIC);

	r = run_body(&f, "{ preference = 333; scope = SCOPE_LINK; from = 10.0.0.1; weight = 17; onlink = "
			 "true; accept; }");
	assert_int_equal(r.out.preference, 333);
	assert_int_equal(r.out.scope, SCOPE_LINK);
	assert_true(r.out.present & ATTR_FROM);
	assert_int_equal(r.out.nexthop[0].weight, 17);
	assert_int_equal(r.out.nexthop[0].flags, NH_ONLINK);
	assert_int_equal(f.nexthop.weight, 1);

	r = run_body(&f, "{ dest = RTD_BLACKHOLE; accept; }");
	assert_int_equal(r.out.dest, RTD_BLACKHOLE);
	assert_int_equal(r.out.n_nexthop, 0);
	r = run_body(&f, "{ gw = 192.0.2.99; accept; }");
	assert_int_equal(r.out.n_nexthop, 1);
	assert_int_equal(r.out.nexthop[0].gw.b[15], 99);
	assert_int_equal(r.out.dest, RTD_UNICAST);
	drop_route(&f);
}

/* Attributes without a field: kernel metrics, custom ones, those of protocols that are not run. */
static void extras(void **state)
{
	struct fixture f;
	struct result r;
	const struct attr_extra *e;
	uint32_t n;

	(void)state;
	make_route(&f);
	r = run_with(&f,
		"attribute int mark; attribute lclist notes; attribute string label; attribute ip who;",
		"{ if defined(mark) then reject; mark = 5; notes.add((1,2,3)); notes.add((4,5,6)); label = "
		"\"x\"; who = 10.0.0.1;\n"
		"  krt_prefsrc = 10.0.0.2; krt_mtu = 1400; krt_lock_mtu = true; krt_metric = 3; ospf_metric1 "
		"= 8;\n"
		"  if mark = 5 && notes.len = 2 && label = \"x\" && who = 10.0.0.1 && krt_mtu = 1400 && "
		"krt_lock_mtu && ospf_metric1 = 8\n"
		"  then accept; reject; }");
	assert_int_equal(r.verdict, FILTER_ACCEPT);
	assert_int_equal(r.out.n_extra, 7);
	for (unsigned i = 1; i < r.out.n_extra; i++)
		assert_true(r.out.extra[i - 1].id < r.out.extra[i].id);
	e = attrs_find_extra(&r.out, filter_custom_attribute("mark", T_INT));
	assert_non_null(e);
	memcpy(&n, e->data, 4);
	assert_int_equal(n, 5);
	assert_string_equal(filter_custom_attribute_name(e->id), "mark");
	assert_int_not_equal(filter_custom_attribute("mark", T_IP), filter_custom_attribute("mark", T_INT));
	assert_int_equal(r.out.krt_metric, 3);
	assert_true(r.out.present & ATTR_KRT_PREFSRC);

	/* they come back out, and go; by a machine of its own, for they are in the first one's memory */
	struct filter_vm *first = f.vm;

	f.vm = filter_vm_create();
	f.attrs.extra = r.out.extra;
	f.attrs.n_extra = r.out.n_extra;
	r = run_with(&f, "attribute int mark; attribute lclist notes;",
		"{ if mark != 5 || notes.len != 2 then reject; unset(mark); "
		"mark = 5; accept; }");
	assert_int_equal(r.verdict, FILTER_ACCEPT);
	r = run_with(&f, "attribute int mark;", "{ unset(mark); if defined(mark) then reject; accept; }");
	assert_int_equal(r.verdict, FILTER_ACCEPT);
	assert_int_equal(r.out.n_extra, 6);

	/* a BGP attribute that has a name only in the configuration */
	r = run_with(&f, "attribute bgp 200 bytestring vendor;",
		"{ vendor = hex:01:02; if vendor = hex:0102 then accept; reject; }");
	assert_int_equal(r.verdict, FILTER_ACCEPT);
	e = attrs_find_extra(&r.out, ATTR_EXTRA_BGP(200));
	assert_non_null(e);
	assert_int_equal(e->len, 2);
	assert_int_equal(e->flags, 0xc0);
	filter_vm_destroy(first);
	drop_route(&f);
}

static void statements(void **state)
{
	static const struct {
		const char *definitions, *body;
	} accepted[] = {
		{"", "{ int x = 1; { int x = 2; x = 3; } if x = 1 then accept; reject; }"},
		{"", "int x; { x = 5; if x = 5 then accept; reject; }"},
		{"", "{ int x; if defined(x) then reject; x = 1; if defined(x) then accept; reject; }"},
		{"", "{ bool b = true; b = b && bgp_med = 5; if b then accept; reject; }"},
		{"", "{ bool b = false; b = bgp_med = 4 || b || bgp_med = 5; if b then accept; reject; }"},
		{"", "{ case bgp_med { 1, 2: reject; 3..7: accept; else: reject; } reject; }"},
		{"", "{ case bgp_local_pref { 1: reject; else: { accept; } } reject; }"},
		{"", "{ case 7 { 1: reject; } accept; }"},
		{"", "{ case net.type { NET_IP6: reject; NET_IP4: accept; } reject; }"},
		{"", "{ case from { 10.0.0.0 .. 10.255.255.255 : reject; (192.0.2.1) : accept; } reject; }"},
		{"", "{ case (64500, bgp_med) { (64500, 4): reject; (64500, 5..6), (1, *): accept; } reject; "
		     "}"},
		{"", "{ int n = 0; for int a in bgp_path do n = n + a; if n = 64496 + 64497 + 64498 then "
		     "accept; reject; }"},
		{"", "{ int n = 0; for pair c in bgp_community do { if c.asn = 64500 then n = n + c.data; } "
		     "if n = 3 then accept; reject; }"},
		{"", "{ int n = 0; for lc l in bgp_large_community do for int a in bgp_path do n = n + 1; if "
		     "n = 6 then accept; reject; }"},
		{"", "{ int n = 0; for ec e in bgp_ext_community do { int k = 7; n = n + k; } if n = 7 then "
		     "accept; reject; }"},
		{"function f1(int x; ip y) -> bool { return x = 5 && y = from; }",
			"{ if f1(bgp_med, 192.0.2.1) then accept; reject; }"},
		{"function f2(int prefix) int t; { t = prefix * 2; return t; }",
			"{ if f2(4) = 8 then accept; reject; }"},
		{"function fib(int x) -> int { if x < 2 then return x; return fib(x - 1) + fib(x - 2); }",
			"{ if fib(15) = 610 then accept; reject; }"},
		{"function q(quad x) -> bool { return x = 1.2.3.4; }",
			"{ if q(1.2.3.4) then accept; reject; }"},
		{"function ps(prefix set s) -> bool { return net ~ s; }",
			"{ if !ps([]) && ps([ 198.51.100.0/24 ]) then accept; reject; }"},
		{"function m(int a) -> bgpmask { return [= a * =]; }",
			"{ if bgp_path ~ m(64496) && bgp_path !~ m(1) then accept; reject; }"},
		{"", "{ int set s = [64497]; if bgp_path ~ [= * s * =] && bgp_path ~ s then accept; reject; "
		     "}"},
		{"", "{ clist c = bgp_community; c.add((1, 1)); if (1, 1) !~ bgp_community && (1, 1) ~ c "
		     "then accept; reject; }"},
		{"", "{ bgp_community = add(bgp_community, (1, 1)); bgp_path = prepend(bgp_path, 1); if "
		     "bgp_path.first = 1 then accept; reject; }"},
		{"", "{ enum rts s = source; if s = RTS_BGP then accept; reject; }"},
		{"define NETS = [ 198.51.100.0/24{24,25} ];",
			"{ if ! (net ~ NETS) then reject; if net !~ NETS then reject; accept; }"},
		{"function peer() { if bgp_med = 5 then return true; return false; }",
			"{ if peer() then accept; reject; }"},
	};
	struct fixture f;
	int bad = 0;

	(void)state;
	make_route(&f);
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++)
		if (run_with(&f, accepted[i].definitions, accepted[i].body).verdict != FILTER_ACCEPT) {
			print_error("not accepted: %s %s\n%s\n", accepted[i].definitions, accepted[i].body,
				log_text());
			bad++;
		}
	assert_int_equal(bad, 0);
	drop_route(&f);
}

static void runtime_errors(void **state)
{
	static const struct {
		const char *body, *message;
	} cases[] = {
		{"{ int x; x = x + 1; accept; }",
			"line 4: Argument 1 of ADD must be of type int, got type void"},
		{"{ bgp_med = bgp_otc; accept; }",
			"line 4: Argument 1 of EA_SET must be of type int, got type void"},
		{"{\nint x;\nint y = x; accept; }",
			"line 6: Argument 1 of VAR_INIT must be of type int, got type void"},
		{"{ bool b; if b then accept; reject; }",
			"line 4: Argument 1 of CONDITION must be of type bool, got type void"},
		{"{ bool b; if b && true then accept; reject; }",
			"line 4: Argument 1 of AND must be of type bool, got type void"},
		{"{ bool b; if !b then accept; reject; }",
			"line 4: Argument 1 of NOT must be of type bool, got type void"},
		{"{ dest = RTD_UNICAST; accept; }",
			"Destination can be changed only to blackhole, unreachable or prohibit"},
		{"{ weight = 300; accept; }", "Setting weight value out of bounds"},
		{"{ ifname = \"nosuch\"; accept; }", "Invalid iface name"},
		{"{ int x; if bgp_path ~ [= x * =] then accept; reject; }",
			"Error resolving path mask template: value not an integer"},
		{"{ bgp_community.add((1, bgp_med * 100000)); accept; }",
			"Can't operate with value out of bounds in pair constructor"},
	};
	struct fixture f;
	struct result r;

	(void)state;
	make_route(&f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		log_text();
		r = run_body(&f, cases[i].body);
		assert_int_equal(r.verdict, FILTER_ERROR);
		const char *log = log_text();
		/* the log is rate limited: what is there has to be right */
		if (strstr(log, "filters, line") && !strstr(log, cases[i].message))
			fail_msg("%s\n%s", cases[i].body, log);
		if (i == 0)
			assert_non_null(strstr(log, "<ERR> filters, line 4: Argument 1 of ADD must be of "
						    "type int, got type void\n"));
	}
	drop_route(&f);
}

/* Whatever a filter says, it comes to an end, in bounded memory. */
static void bounded(void **state)
{
	struct fixture f;

	(void)state;
	make_route(&f);
	assert_int_equal(run_with(&f, "function r(int x) -> int { return r(x + 1); }",
				 "{ if r(1) = 1 then accept; reject; }")
				 .verdict,
		FILTER_ERROR);
	assert_int_equal(
		run_with(&f,
			"function d(int x) -> int { if x = 0 then return 1; return d(x - 1) + d(x - 1); }",
			"{ if d(60) = 1 then accept; reject; }")
			.verdict,
		FILTER_ERROR);
	assert_int_equal(run_with(&f,
				 "function g(string s; int n) -> string { if n = 0 then return s; return g(s "
				 "++ s, n - 1); }",
				 "{ if g(\"aaaaaaaaaaaaaaaa\", 40) = \"\" then accept; reject; }")
				 .verdict,
		FILTER_ERROR);
	assert_int_equal(run_with(&f,
				 "function p(bgppath b; int n) -> bgppath { if n = 0 then return b; bgppath "
				 "c = b; for int x in b do "
				 "c.prepend(x); return p(c, n - 1); }",
				 "{ if p(bgp_path, 100).len = 1 then accept; reject; }")
				 .verdict,
		FILTER_ERROR);
	/* deep but fine */
	assert_int_equal(run_with(&f, "function n(int x) -> int { if x = 0 then return 7; return n(x - 1); }",
				 "{ if n(500) = 7 then accept; reject; }")
				 .verdict,
		FILTER_ACCEPT);
	drop_route(&f);
}

static void printing(void **state)
{
	struct fixture f;

	(void)state;
	make_route(&f);
	log_text();
	run_body(&f, "{ print \"net \", net, \" med \", bgp_med; printn \"a\"; printn 1; print \"b\"; reject "
		     "\"no: \", bgp_path; }");
	assert_string_equal(log_text(),
		"T <INFO> net 198.51.100.0/24 med 5\nT <INFO> a1b\nT <INFO> no: (path 64496 64497 64498)\n");
	run_body(&f, "{ accept; }");
	assert_string_equal(log_text(), "");
	drop_route(&f);
}

/* ---- ROA ---- */

static unsigned handles;
static char roa4_table, roa6_table, aspa_table;

static void *table_handle(const char *name, enum net_type type)
{
	handles++;
	return !strcmp(name, "r4") && type == NET_ROA4   ? &roa4_table
	       : !strcmp(name, "r6") && type == NET_ROA6 ? &roa6_table
	       : !strcmp(name, "at")                     ? &aspa_table
							 : NULL;
}

static int check(void *table, const struct prefix *p, uint32_t asn)
{
	assert_ptr_equal(table, p->family == 4 ? &roa4_table : &roa6_table);
	return asn == 64498 ? 1 : 2;
}

static int aspa(void *table, const uint8_t *p, unsigned bytes, bool upstream)
{
	assert_ptr_equal(table, &aspa_table);
	assert_int_equal(bytes, sizeof(path));
	return upstream ? 1 : 2;
}

static bool hold;

static bool held(void *table)
{
	return hold && table == &roa4_table;
}

static void roa(void **state)
{
	static const struct filter_roa_ops ops = {
		.table_handle = table_handle, .roa_check = check, .aspa_check = aspa, .held = held};
	static const struct expectation table[] = {
		{"roa_check(r4)", "(enum 34)1"},
		{"roa_check(r4) = ROA_VALID", "TRUE"},
		{"roa_check(r4, net, 1)", "(enum 34)2"},
		{"roa_check(r4, 10.0.0.0/8, bgp_path.last)", "(enum 34)1"},
		{"roa_check(r6)", "(enum 34)0"}, /* an IPv4 route in an IPv6 table */
		{"roa_check(r6, 2001:db8::/32, 64498)", "(enum 34)1"},
		{"roa_check(gone, net, 64498)", "(enum 34)0"}, /* the table is not there (yet) */
		{"roa_check(master4)", "9001 Table type must be either ROA4 or ROA6"},
		{"roa_check(r4, net, \"a\")",
			"9001 Argument 2 of ROA_CHECK_EXPLICIT must be of type int, got type string"},
		{"roa_check(nosuch)",
			"9001 syntax error, unexpected CF_SYM_UNDEFINED, expecting CF_SYM_KNOWN"},
		{"aspa_check(at, bgp_path, true)", "(enum 35)1"},
		{"aspa_check_upstream(at)", "(enum 35)1"},
		{"aspa_check_downstream(at)", "(enum 35)2"},
	};
	/* Whatever the filter would do with the answer: it is rejected when it asks, and not when it does
	 * not. */
	static const struct {
		const char *body;
		enum filter_verdict verdict, held;
	} holds[] = {
		{"roa4 table r4; filter f { if roa_check(r4) = ROA_INVALID then reject; accept; }",
			FILTER_ACCEPT, FILTER_REJECT},
		{"roa4 table r4; function g() { return roa_check(r4, net, 1); } filter f { if g() = "
		 "ROA_VALID then "
		 "reject; accept; }",
			FILTER_ACCEPT, FILTER_REJECT},
		{"roa4 table r4; filter f { if net.len = 24 then accept; if roa_check(r4) = ROA_VALID then "
		 "accept; }",
			FILTER_ACCEPT, FILTER_ACCEPT},
		{"roa6 table r6; filter f { if roa_check(r6) = ROA_INVALID then reject; accept; }",
			FILTER_ACCEPT, FILTER_ACCEPT},
	};
	struct config *c = config_of("roa4 table r4; roa6 table r6; roa4 table gone; aspa table at;");
	struct fixture f;

	(void)state;
	make_route(&f);
	filter_set_roa_ops(&ops);
	EXPECT(c, f.vm, &f.route, table);
	hold = true;
	assert_string_equal(eval_in(c, f.vm, &f.route, "roa_check(r4)"),
		"8008 the RPKI table is held until its first sync");
	for (unsigned i = 0; i < sizeof(holds) / sizeof(holds[0]); i++) {
		struct config *h = config_of(holds[i].body);
		const struct filter *filter = find_filter(h, "f");
		struct attrs out;
		bool changed;

		hold = false;
		assert_int_equal(filter_run(f.vm, filter, &f.route, &changed, &out), holds[i].verdict);
		hold = true;
		assert_int_equal(filter_run(f.vm, filter, &f.route, &changed, &out), holds[i].held);
		config_release(h);
	}
	hold = false;
	assert_true(handles > 0);
	f.attrs.present &= ~ATTR_AS_PATH;
	assert_string_equal(eval_in(c, f.vm, &f.route, "roa_check(r4)"), "8008 Missing AS_PATH attribute");
	filter_set_roa_ops(NULL);
	config_release(c);
	drop_route(&f);
}

/* ---- interfaces ---- */

static const char *name_of(uint32_t index)
{
	return index == 7 ? "eth0" : NULL;
}

static uint32_t index_of(const char *name)
{
	return !strcmp(name, "eth1") ? 8 : 0;
}

static void interface_names(void **state)
{
	struct fixture f;
	struct result r;

	(void)state;
	make_route(&f);
	filter_set_ifname_lookup(name_of, index_of);
	r = run_body(&f, "{ if ifname != \"eth0\" then reject; ifname = \"eth1\"; accept; }");
	assert_int_equal(r.verdict, FILTER_ACCEPT);
	assert_int_equal(r.out.nexthop[0].ifindex, 8);
	assert_true(ipaddr_is_zero(&r.out.nexthop[0].gw));
	filter_set_ifname_lookup(NULL, NULL);
	drop_route(&f);
}

/* ---- explain ---- */

static void tracing(void **state)
{
	const struct filter_trace_step *steps;
	struct fixture f;

	(void)state;
	make_route(&f);
	filter_vm_trace(f.vm, true);
	run_body(&f, "{\nbgp_local_pref = 200;\nbgp_community.add((1,2));\nunset(bgp_med);\nif net.len = 24 "
		     "then\naccept;\nreject; }");
	assert_int_equal(filter_vm_steps(f.vm, &steps), 4);
	assert_string_equal(steps[0].what, "bgp_local_pref = 200");
	assert_string_equal(steps[0].file, "test");
	assert_int_equal(steps[0].line, 5);
	assert_string_equal(steps[1].what, "bgp_community = (clist (64500,1) (64500,2) (65535,0) (1,2))");
	assert_string_equal(steps[2].what, "unset(bgp_med)");
	assert_int_equal(steps[2].line, 7);
	assert_string_equal(steps[3].what, "accept");
	assert_int_equal(steps[3].line, 9);
	filter_vm_trace(f.vm, false);
	run_body(&f, "{ accept; }");
	assert_int_equal(filter_vm_steps(f.vm, &steps), 0);
	drop_route(&f);
}

/* ---- identity and analysis ---- */

static void identity(void **state)
{
	static const char one[] =
		"define S = [ 10.0.0.0/8+ ];\nfunction g(int x) -> bool { return x = 5; }\n"
		"filter a { if net ~ S && g(bgp_med) then accept; reject; }\n"
		"filter b { if net ~ [ 10.0.0.0/8{8,32} ] && g(bgp_med) then accept; reject; }\n"
		"filter other { if net ~ S && g(bgp_local_pref) then accept; reject; }\n";
	static const char two[] = "\n\n# a comment\ndefine SET = [ 10.0.0.0/8+ ];\nfunction gg(int yy) -> "
				  "bool\n{\n return yy = 5;\n}\n"
				  "filter a { if net ~ SET && gg(bgp_med) then accept;\n reject; }\n";
	static const char three[] =
		"define S = [ 10.0.0.0/8+ ];\nfunction g(int x) -> bool { return x = 6; }\n"
		"filter a { if net ~ S && g(bgp_med) then accept; reject; }\n";
	struct config *c1 = config_of(one), *c2 = config_of(two), *c3 = config_of(three);
	const struct filter *kept = filter_hold(find_filter(c1, "a"));
	uint32_t uid = filter_uid(kept);

	(void)state;
	assert_int_equal(filter_uid(find_filter(c1, "b")), uid);
	assert_int_not_equal(filter_uid(find_filter(c1, "other")), uid);
	assert_int_equal(filter_uid(find_filter(c2, "a")), uid);     /* same content, other names and lines */
	assert_int_not_equal(filter_uid(find_filter(c3, "a")), uid); /* a function that it calls differs */

	struct filter_ref x = {FILTER_PROGRAM, kept}, y = {FILTER_PROGRAM, find_filter(c2, "a")},
			  z = {FILTER_PROGRAM, find_filter(c3, "a")};
	struct filter_ref all = {FILTER_ALL, NULL}, none = {FILTER_NONE, NULL};
	assert_true(filter_same(&x, &y));
	assert_false(filter_same(&x, &z));
	assert_true(filter_same(&all, &all));
	assert_false(filter_same(&all, &none));
	assert_false(filter_same(&all, &x));
	assert_string_equal(filter_ref_name(&all), "ACCEPT");
	assert_string_equal(filter_ref_name(&none), "REJECT");
	assert_string_equal(filter_ref_name(&x), "a");
	config_release(c2);
	config_release(c3);
	config_release(c1);

	/* it outlives its configuration, and gives its uid to the next one */
	struct fixture f;
	struct result r;
	make_route(&f);
	set_net(&f, "10.1.0.0/16");
	assert_int_equal(filter_run(f.vm, kept, &f.route, &r.changed, &r.out), FILTER_ACCEPT);
	c2 = config_of(two);
	assert_int_equal(filter_uid(find_filter(c2, "a")), uid);
	config_release(c2);
	filter_release(kept);
	drop_route(&f);
}

static void reads(void **state)
{
	static const struct {
		const char *body;
		uint32_t reads;
	} cases[] = {
		{"{ accept; }", 0},
		{"{ if bgp_med = 1 && bgp_path.len > 3 then accept; reject; }", 0},
		{"{ if net ~ [ 10.0.0.0/8 ] then accept; reject; }", FILTER_READS_NET},
		{"{ if source = RTS_BGP then accept; reject; }", FILTER_READS_SOURCE},
		{"{ if proto = \"x\" then accept; reject; }", FILTER_READS_SOURCE},
		{"{ if from = 1.2.3.4 then accept; reject; }", FILTER_READS_SOURCE},
		{"{ if ifname = \"x\" then accept; reject; }", FILTER_READS_STATE},
		{"{ bgp_med = 1; accept; }", FILTER_WRITES},
		{"{ unset(bgp_med); accept; }", FILTER_WRITES},
		{"{ print \"x\"; accept; }", FILTER_PRINTS},
		{"{ reject \"x\"; }", FILTER_PRINTS},
		{"{ if roa_check(r4) = ROA_VALID then accept; reject; }",
			FILTER_READS_ROA | FILTER_READS_NET},
		{"{ if roa_check(r4, 10.0.0.0/8, 5) = ROA_VALID then accept; reject; }", FILTER_READS_ROA},
		{"{ if inner() then accept; reject; }",
			FILTER_READS_NET | FILTER_READS_SOURCE | FILTER_WRITES},
		{"{ if false then { if net.len = 1 then accept; } reject; }", FILTER_READS_NET},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[1024];

		snprintf(text, sizeof(text),
			"roa4 table r4;\nfunction deep() -> bool { bgp_med = 1; return net.len = 5; }\n"
			"function inner() -> bool { if proto = \"x\" then return deep(); return false; "
			"}\nfilter f %s",
			cases[i].body);
		struct config *c = config_of(text);
		if (filter_reads(find_filter(c, "f")) != cases[i].reads)
			fail_msg("%s: reads %u, not %u", cases[i].body, filter_reads(find_filter(c, "f")),
				cases[i].reads);
		config_release(c);
	}
}

/* Routes that differ in nothing but the prefix, and have equal keys, get the same verdict and changes. */
static void keys(void **state)
{
	static const struct {
		const char *body;
		enum filter_net_use use;
		unsigned bits;
	} cases[] = {
		{"{ if bgp_med = 5 then accept; reject; }", FILTER_NET_UNUSED, 0},
		{"{ if net ~ [ 10.0.0.0/8+ ] then accept; reject; }", FILTER_NET_CONDITIONS, 2},
		{"{ if net ~ [ 10.0.0.0/8+ ] then accept; if net ~ [ 10.0.0.0/8{8,32} ] then reject; accept; "
		 "}",
			FILTER_NET_CONDITIONS, 2},
		{"{ if net.len > 24 || net.len < 8 then reject; if net.type != NET_IP4 then reject; accept; "
		 "}",
			FILTER_NET_CONDITIONS, 4},
		{"{ case net.len { 8..16: accept; else: reject; } }", FILTER_NET_CONDITIONS, 8},
		{"{ case net.type { NET_IP4: accept; } reject; }", FILTER_NET_CONDITIONS, 5},
		{"{ bgp_med = net.len + 1; accept; }", FILTER_NET_CONDITIONS, 8},
		{"{ if bogon() then reject; accept; }", FILTER_NET_CONDITIONS, 2},
		{"{ if inside(net) then reject; accept; }", FILTER_NET_CONDITIONS, 2},
		{"{ if inside(net) && bgp_med = 5 || net = 10.0.0.0/8 then accept; reject; }",
			FILTER_NET_CONDITIONS, 4},
		{"{ mark(); accept; }", FILTER_NET_CONDITIONS, 12}, /* what a function asks */
		{"{ if net.len >= 9 && 17 > net.len && net.len != 12 && 8 < net.len then accept; reject; }",
			FILTER_NET_CONDITIONS, 2},
		{"{ if bgp_med = 5 && (net.len <= 16 || bgp_med = 4 || net.len < 9) then accept; if 24 <= "
		 "net.len then bgp_med = 6; "
		 "if bgp_med = 6 && net.len = 24 then reject; if net.type = NET_IP6 && bgp_med = 5 then "
		 "accept; reject; }",
			FILTER_NET_CONDITIONS, 10},
		{"{ bool b = net ~ [ 10.0.0.0/8 ]; if b then accept; reject; }", FILTER_NET_CONDITIONS, 2},
		{"{ if net.rd = 1:2 then accept; reject; }", FILTER_NET_CONDITIONS,
			2}, /* fails for every prefix here */
		{"{ print net; accept; }", FILTER_NET_FREE, 0},
		{"{ prefix p = net; if p.len = 24 then accept; reject; }", FILTER_NET_FREE, 0},
		{"{ prefix set s = [ 10.0.0.0/8 ]; if net ~ s then accept; reject; }", FILTER_NET_FREE, 0},
		{"{ if roa_check(r4) = ROA_VALID then accept; reject; }", FILTER_NET_FREE, 0},
		{"{ if roa_check(r4, net, 5) = ROA_VALID then accept; reject; }", FILTER_NET_FREE, 0},
		{"{ if net.ip = from then accept; reject; }", FILTER_NET_FREE, 0},
	};
	static const char *const prefixes[] = {"10.0.0.0/8", "10.0.0.0/9", "10.1.0.0/16", "10.2.0.0/16",
		"10.1.2.0/24", "10.1.2.0/25", "192.0.2.0/24", "192.0.2.0/23", "198.51.100.0/24", "0.0.0.0/0",
		"10.1.2.3/32", "172.16.0.0/12", "2001:db8::/32", "2001:db8::/48", "::/0"};
	enum { N = sizeof(prefixes) / sizeof(prefixes[0]) };
	struct fixture f;
	unsigned shared = 0, apart = 0;

	(void)state;
	make_route(&f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[2048];
		uint64_t key[N];
		struct result r[N];

		snprintf(text, sizeof(text),
			"roa4 table r4;\nfunction bogon() -> bool { if net ~ [ 10.0.0.0/8+ ] then return "
			"true; return net.len > 24; }\n"
			"function inside(prefix p) -> bool { return p ~ [ 10.0.0.0/8+ ]; }\n"
			"function mark() { if net.len = 24 && bgp_med = 5 then bgp_local_pref = net.len; if "
			"net ~ 10.0.0.0/8 then bgp_med = 1; }\n"
			"filter f %s",
			cases[i].body);
		struct config *c = config_of(text);
		const struct filter *filter = find_filter(c, "f");
		if (filter_net_use(filter) != cases[i].use || filter_net_key_bits(filter) != cases[i].bits)
			fail_msg("%s: use %u, %u bits", cases[i].body, filter_net_use(filter),
				filter_net_key_bits(filter));
		for (unsigned k = 0; k < N && cases[i].use != FILTER_NET_FREE; k++) {
			set_net(&f, prefixes[k]);
			memset(&r[k], 0, sizeof(r[k]));
			r[k].verdict = filter_run(f.vm, filter, &f.route, &r[k].changed, &r[k].out);
			struct attrs before = r[k].out;
			key[k] = filter_net_key(f.vm, filter, &f.net);
			assert_memory_equal(&before, &r[k].out, sizeof(before));
			for (unsigned j = 0; j < k; j++) {
				if (key[j] != key[k]) {
					apart++;
					continue;
				}
				shared++;
				assert_int_equal(r[j].verdict, r[k].verdict);
				assert_int_equal(r[j].changed, r[k].changed);
				if (r[j].changed) {
					assert_int_equal(r[j].out.med, r[k].out.med);
					assert_int_equal(r[j].out.local_pref, r[k].out.local_pref);
				}
			}
		}
		config_release(c);
	}
	assert_true(shared > 100 && apart > 100);
	drop_route(&f);
}

static void references(void **state)
{
	struct config *c = config_of("filter named { accept; }\n"
				     "protocol bgp x { local as 1; neighbor 10.0.0.1 as 2; ipv4 { import "
				     "filter named; export where net.len < 25; }; "
				     "ipv6 { import all; export none; }; }\n"
				     "protocol bgp y { local as 1; neighbor 10.0.0.2 as 2; ipv4 { import "
				     "filter { if bgp_med = 1 then accept; reject; }; "
				     "export filter int x; { x = 1; accept; }; }; }");
	const struct proto_config *p = config_find_protocol(c, "x");
	struct channel_config *ch = cds_list_first_entry(&p->channels, struct channel_config, node);
	struct fixture f;
	struct result r;

	(void)state;
	make_route(&f);
	assert_int_equal(ch->import.kind, FILTER_PROGRAM);
	assert_string_equal(filter_ref_name(&ch->import), "named");
	assert_string_equal(filter_ref_name(&ch->export), "(unnamed)");
	assert_int_equal(filter_run(f.vm, ch->export.filter, &f.route, &r.changed, &r.out), FILTER_ACCEPT);
	set_net(&f, "10.0.0.0/25");
	assert_int_equal(filter_run(f.vm, ch->export.filter, &f.route, &r.changed, &r.out), FILTER_REJECT);
	drop_route(&f);
	config_release(c);
}

/* The attribute block of a static route. */
static void actions(void **state)
{
	struct config *c = config_of("protocol static s { ipv4; route 10.0.0.0/8 blackhole { "
				     "bgp_community.add((1,2)); preference = 7; }; }");
	const struct static_config *s = config_find_protocol(c, "s")->body;
	struct fixture f;
	struct result r;

	(void)state;
	make_route(&f);
	assert_non_null(s->routes->actions);
	assert_int_equal(filter_run(f.vm, s->routes->actions, &f.route, &r.changed, &r.out), FILTER_ACCEPT);
	assert_int_equal(r.out.preference, 7);
	assert_int_equal(r.out.n_community, 4);
	drop_route(&f);
	config_release(c);
}

/* Test suites written in the language. */
static char reported[1024];

static void report(const char *what)
{
	strncat(reported, what, sizeof(reported) - strlen(reported) - 2);
	strcat(reported, "\n");
}

static void suites(void **state)
{
	struct filter_tests tests;

	(void)state;
	filter_tests_collect(&tests);
	struct config *c =
		config_of("function good() { int x = 5; bt_assert(x = 5); bt_assert(true); }\n"
			  "function bad() {\n  bt_assert(1 = 2); }\n"
			  "function fails() { int x; x = x / 0; }\n"
			  "function assigns() { int x; bt_check_assign(x, 7); bt_assert(x = 7); }\n"
			  "function one() -> int { return 1; }\nfunction two() -> int { return 2; "
			  "}\nfunction uno() -> int { return 1; }\n"
			  "bt_test_suite(good, \"good\");\nbt_test_suite(bad, "
			  "\"bad\");\nbt_test_suite(fails, \"fails\");\n"
			  "bt_test_suite(assigns, \"assigns\");\nbt_test_same(one, uno, "
			  "1);\nbt_test_same(one, two, 0);\n"
			  "bt_test_same(one, two, 1);\n");
	filter_tests_collect(NULL);
	assert_int_equal(tests.count, 7);
	assert_int_equal(filter_tests_run(&tests, report), 3);
	assert_non_null(strstr(reported, "bad: assertion failed at test:4\n"));
	assert_non_null(
		strstr(reported, "fails: line 5: Argument 1 of DIVIDE must be of type int, got type void\n"));
	assert_non_null(strstr(reported, "one and two should be the same\n"));
	assert_null(strstr(reported, "good"));
	config_release(c);
}

static int setup(void **state)
{
	(void)state;
	log_start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(log_path);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extras), /* what is logged later is rate limited */
		cmocka_unit_test(verdicts),
		cmocka_unit_test(runtime_errors),
		cmocka_unit_test(reading),
		cmocka_unit_test(edits),
		cmocka_unit_test(statements),
		cmocka_unit_test(bounded),
		cmocka_unit_test(printing),
		cmocka_unit_test(roa),
		cmocka_unit_test(interface_names),
		cmocka_unit_test(tracing),
		cmocka_unit_test(identity),
		cmocka_unit_test(reads),
		cmocka_unit_test(keys),
		cmocka_unit_test(references),
		cmocka_unit_test(actions),
		cmocka_unit_test(suites),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
