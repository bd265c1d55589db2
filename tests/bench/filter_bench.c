/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a run of a filter costs, in ns, for filters as they are found in import
 * and export of edges and route servers; what loading a large prefix set costs.
 *
 *	filter_bench [-n RUNS] [-p PREFIXES]
 */
#include "controlplane/config/config.h"
#include "controlplane/filter/code.h"
#include "controlplane/filter/filter.h"
#include "controlplane/filter/prefix_set.h"
#include "controlplane/filter/vm.h"
#include "controlplane/rib/attr.h"
#include "shared/clock.h"
#include "shared/log.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUTES 4096

static struct net nets[ROUTES];
static struct attrs attrs[ROUTES];
static struct filter_route routes[ROUTES];

static uint64_t seed = 88172645463325252u;

static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % below;
}

/* Routes as a full table has them: /16 to /24, paths of three to six, some communities. */
static void make_routes(void)
{
	static struct attr_nexthop nexthop = {.weight = 1};

	for (unsigned i = 0; i < ROUTES; i++) {
		struct ipaddr a = ipaddr_v4(htonl((1 + rnd(220)) << 24 | rnd(1 << 24)));
		unsigned n = 3 + rnd(4), nc = rnd(6), nl = rnd(4);
		uint8_t *path = calloc(1, 2 + 4 * n);
		uint32_t *c = calloc(8, sizeof(*c));
		struct lcomm *l = calloc(4, sizeof(*l));

		nets[i].type = NET_IP4;
		nets[i].prefix = prefix_make(&a, rnd(3) ? 24 : 16 + rnd(9));
		path[0] = 2;
		path[1] = (uint8_t)n;
		for (unsigned k = 0; k < n; k++) {
			uint32_t be = htonl(k ? 1 + rnd(400000) : 64496);

			memcpy(path + 2 + 4 * k, &be, 4);
		}
		for (unsigned k = 0; k < nc; k++)
			c[k] = (3000 + rnd(30000)) << 16 | rnd(65536);
		for (unsigned k = 0; k < nl; k++)
			l[k] = (struct lcomm){60000 + rnd(5000), rnd(1000), rnd(1000)};
		attrs[i] = (struct attrs){.present = ATTR_ORIGIN | ATTR_AS_PATH | ATTR_NEXT_HOP |
						     ATTR_COMMUNITY | ATTR_LARGE_COMMUNITY,
			.as_path = path,
			.as_path_bytes = (uint16_t)(2 + 4 * n),
			.community = c,
			.n_community = (uint16_t)nc,
			.large = l,
			.n_large = (uint16_t)nl,
			.dest = RTD_UNICAST,
			.nexthop = &nexthop,
			.n_nexthop = 1,
			.preference = 100};
		routes[i] = (struct filter_route){.net = &nets[i],
			.attrs = &attrs[i],
			.proto_name = "upstream1",
			.source = RTS_BGP,
			.from = ipaddr_v4(htonl(0xc0000201))};
	}
}

static const char config_text[] =
	"router id 192.0.2.1;\nprotocol device { }\n"
	"define MYAS = 64500;\n"
	"define BOGONS = [ 0.0.0.0/8+, 10.0.0.0/8+, 100.64.0.0/10+, 127.0.0.0/8+, 169.254.0.0/16+, "
	"172.16.0.0/12+, 192.0.2.0/24+,\n"
	"  192.168.0.0/16+, 198.18.0.0/15+, 198.51.100.0/24+, 203.0.113.0/24+, 224.0.0.0/3+, "
	"0.0.0.0/0{25,32}, 0.0.0.0/0{0,7} ];\n"
	"define BOGON_ASNS = [ 0, 23456, 64496..64511, 65536..65551, 64512..65534, 4200000000..4294967294, "
	"65535, 4294967295 ];\n"
	"define TRANSIT = [ 174, 701, 1299, 2914, 3257, 3320, 3356, 3491, 4134, 5511, 6453, 6461, 6762, "
	"6830, 7018 ];\n"
	"function is_bogon() -> bool { return net ~ BOGONS; }\n"
	"function path_ok() -> bool { if bgp_path.len > 64 then return false; if bgp_path ~ [0, 23456, "
	"65535, 4294967295] then return false; return "
	"true; }\n"
	"filter accept_all { accept; }\n"
	"filter local_pref { bgp_local_pref = 200; accept; }\n"
	"filter origin { if net = 198.51.100.0/24 then accept; reject; }\n"
	"filter gshut { if (65535, 0) ~ bgp_community then { bgp_local_pref = 0; accept; } bgp_local_pref = "
	"200; accept; }\n"
	"filter edge_import {\n"
	"  if is_bogon() then reject;\n"
	"  if ! path_ok() then reject;\n"
	"  if net.len > 24 then reject;\n"
	"  bgp_large_community.delete([(MYAS, *, *)]);\n"
	"  bgp_local_pref = 100;\n"
	"  bgp_large_community.add((MYAS, 1, 1));\n"
	"  accept;\n}\n"
	"filter export_prepend { if bgp_path.first = 64496 then { bgp_path.prepend(64500); "
	"bgp_path.prepend(64500); accept; } reject; }\n"
	"filter route_server {\n" /* as generated for one client of an exchange */
	"  if source != RTS_BGP then reject;\n"
	"  if net.type != NET_IP4 then reject;\n"
	"  if bgp_path.len > 32 then reject;\n"
	"  if bgp_path ~ [= * [0, 64496..64511, 65535, 4200000000..4294967295] * [1..3] =] then reject;\n"
	"  if bgp_path ~ [= * 174 * 3356 * =] then reject;\n"
	"  case net.len { 8..24: if net ~ BOGONS then reject; else: reject; }\n"
	"  bgp_community.delete([(65501..65535, *), (0, 100..200)]);\n"
	"  bgp_large_community.delete([(64500, *, *)]);\n"
	"  if (64500, 0, 64501) ~ bgp_large_community then reject;\n"
	"  if (0, 64501) ~ bgp_community then reject;\n"
	"  accept;\n}\n"
	"function fib(int x) -> int { if x < 2 then return x; return fib(x - 1) + fib(x - 2); }\n"
	"filter calls { if fib(12) = 144 then accept; reject; }\n"
	"filter loop { int n = 0; for int a in bgp_path do n = n + a; if n = 0 then reject; accept; }\n";

static void run_all(struct config *c, struct filter_vm *vm, unsigned runs)
{
	for (struct symbol *s = c->symbols->first; s; s = s->order_next) {
		unsigned accepted = 0, changed_n = 0, n = strcmp(s->name, "calls") ? runs : runs / 100;
		uint64_t best = UINT64_MAX;

		if (s->cls != SYM_FILTER)
			continue;
		for (int round = 0; round < 5; round++) {
			uint64_t start = clock_now_ns();

			accepted = changed_n = 0;
			for (unsigned i = 0; i < n; i++) {
				struct attrs out;
				bool changed;

				accepted += filter_run(vm, s->filter, &routes[i % ROUTES], &changed, &out) ==
					    FILTER_ACCEPT;
				changed_n += changed;
			}
			uint64_t took = clock_now_ns() - start;
			if (took < best)
				best = took;
		}
		uint64_t start = clock_now_ns(), sum = 0;
		if (filter_net_use(s->filter) == FILTER_NET_CONDITIONS)
			for (unsigned i = 0; i < n; i++)
				sum += filter_net_key(vm, s->filter, &nets[i % ROUTES]);
		double key_ns = sum ? (double)(clock_now_ns() - start) / n : 0;
		printf("%-16s %8.1f ns a run   %5.1f %% accepted   %5.1f %% changed   %3u instructions   key "
		       "%5.1f ns\n",
			s->name, (double)best / n, 100.0 * accepted / n, 100.0 * changed_n / n,
			s->filter->code->n_insns, key_ns);
	}
}

/* A set as registries yield it: sorted /24s and shorter, each with a range of lengths. */
static void large_set(unsigned n)
{
	size_t room = (size_t)n * 32 + 256, len;
	char *text = malloc(room), *p = text;
	struct config_error err;

	p += sprintf(p, "router id 192.0.2.1;\nprotocol device { }\nfilter f {\n  if net ~ [\n");
	for (unsigned i = 0; i < n; i++) {
		uint32_t a = 0x01000000 + (uint32_t)((uint64_t)i * 0xdf000000 / n);
		unsigned plen = 24 - rnd(5);

		a &= 0xffffffffu << (32 - plen);
		p += sprintf(p, "    %u.%u.%u.%u/%u{%u,24}%s\n", a >> 24, a >> 16 & 255, a >> 8 & 255,
			a & 255, plen, plen, i + 1 < n ? "," : "");
	}
	p += sprintf(p, "  ] then accept;\n  reject;\n}\n");
	len = (size_t)(p - text);
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	uint64_t start = clock_now_ns();
	struct config *c = config_parse_text("large", text, len, false, &err);
	uint64_t took = clock_now_ns() - start;
	if (!c) {
		printf("%u:%u %s\n", err.line, err.col, err.text);
		exit(1);
	}
	size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
	printf("%u prefixes: parsed in %.2f s, %.1f MB kept\n", n, (double)took / 1e9,
		(double)(after - before) / 1e6);
	free(text);

	struct filter_vm *vm = filter_vm_create();
	run_all(c, vm, 2000000);
	filter_vm_destroy(vm);
	start = clock_now_ns();
	config_release(c);
	printf("released in %.3f s\n", (double)(clock_now_ns() - start) / 1e9);
}

int main(int argc, char **argv)
{
	unsigned runs = 2000000, prefixes = 3200000;
	struct config_error err;
	int opt;

	while ((opt = getopt(argc, argv, "n:p:")) != -1) {
		if (opt == 'n')
			runs = (unsigned)atoi(optarg);
		else if (opt == 'p')
			prefixes = (unsigned)atoi(optarg);
		else
			return 2;
	}
	log_init("filter_bench");
	make_routes();
	struct config *c = config_parse_text("bench", config_text, sizeof(config_text) - 1, false, &err);
	if (!c) {
		printf("%u:%u %s\n", err.line, err.col, err.text);
		return 1;
	}
	struct filter_vm *vm = filter_vm_create();
	run_all(c, vm, runs);
	filter_vm_destroy(vm);
	config_release(c);
	if (prefixes)
		large_set(prefixes);
	return 0;
}
