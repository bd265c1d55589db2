/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text that claims to be a configuration with filters: parsed, and every filter
 * and function in it run over a few routes. If the text does not parse as a
 * configuration it is tried as the body of a filter, then as an expression.
 */
#include "controlplane/config/config.h"
#include "controlplane/filter/code.h"
#include "controlplane/filter/filter.h"
#include "controlplane/filter/vm.h"
#include "controlplane/rib/attr.h"
#include "shared/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct filter_vm *vm;
static struct net nets[2];
static struct attrs attrs[2];
static struct attr_nexthop nexthop;
static struct config *empty;
static volatile uint32_t sink;

static const char head[] = "router id 192.0.2.1; roa4 table r4; roa6 table r6; aspa table at; attribute int "
			   "mark; attribute clist tags;\n"
			   "protocol device { }\n";

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const uint32_t communities[] = {64500u << 16 | 1, 65535u << 16};
	static const uint64_t ext[] = {UINT64_C(0x0002fbf400000005)};
	static const struct lcomm large[] = {{64500, 1, 2}};
	static const uint8_t path[] = {
		2, 2, 0, 0, 0xfb, 0xf0, 0, 0, 0xfb, 0xf1, 1, 2, 0, 0, 0, 1, 0, 0, 0, 2};
	struct config_error err;
	struct log_sink none = {.kind = LOG_SINK_FILE, .classes = ~0u, .path = "/dev/null"};

	(void)argc;
	(void)argv;
	log_configure(&none, 1, NULL);
	vm = filter_vm_create();
	vm->budget = 20000;
	prefix_parse("198.51.100.0/24", &nets[0].prefix);
	nets[0].type = NET_IP4;
	prefix_parse("2001:db8::/32", &nets[1].prefix);
	nets[1].type = NET_IP6;
	attrs[0] = (struct attrs){.present = ATTR_ORIGIN | ATTR_AS_PATH | ATTR_COMMUNITY |
					     ATTR_EXT_COMMUNITY | ATTR_LARGE_COMMUNITY,
		.dest = RTD_UNICAST,
		.as_path = path,
		.as_path_bytes = sizeof(path),
		.community = communities,
		.n_community = 2,
		.ext = ext,
		.n_ext = 1,
		.large = large,
		.n_large = 1,
		.nexthop = &nexthop,
		.n_nexthop = 1};
	attrs[1].dest = RTD_BLACKHOLE;
	empty = config_parse_text("empty", head, sizeof(head) - 1, false, &err);
	if (!empty)
		abort();
	return 0;
}

/* Prefixes that have one key get one verdict. */
static void check_keys(const struct filter *f)
{
	static const char *const texts[] = {"10.0.0.0/8", "10.0.0.0/16", "10.1.0.0/16", "192.0.2.0/24",
		"198.51.100.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0"};
	enum { N = sizeof(texts) / sizeof(texts[0]) };
	enum filter_verdict verdict[N];
	uint64_t key[N];

	if (filter_net_use(f) == FILTER_NET_FREE)
		return;
	for (unsigned i = 0; i < N; i++) {
		struct net net = {.type = NET_IP4};
		struct filter_route r = {
			.net = &net, .attrs = &attrs[0], .proto_name = "p", .source = RTS_BGP};
		struct attrs out;
		bool changed;

		prefix_parse(texts[i], &net.prefix);
		net.type = net.prefix.family == 4 ? NET_IP4 : NET_IP6;
		verdict[i] = filter_run(vm, f, &r, &changed, &out);
		key[i] = filter_net_key(vm, f, &net);
		for (unsigned k = 0; k < i; k++)
			if (key[k] == key[i] && verdict[k] != verdict[i])
				abort();
	}
}

static void run_filter(const struct filter *f)
{
	check_keys(f);
	for (int i = 0; i < 2; i++) {
		struct filter_route r = {
			.net = &nets[i], .attrs = &attrs[i], .proto_name = "p", .source = RTS_BGP};
		struct attrs out;
		bool changed;

		filter_run(vm, f, &r, &changed, &out);
		if (changed) { /* everything that it points to can be read */
			uint32_t sum = 0;

			for (unsigned k = 0; k < out.n_community; k++)
				sum += out.community[k];
			for (unsigned k = 0; k < out.n_ext; k++)
				sum += (uint32_t)out.ext[k];
			for (unsigned k = 0; k < out.n_large; k++)
				sum += out.large[k].data2;
			for (unsigned k = 0; k < out.as_path_bytes; k++)
				sum += out.as_path[k];
			for (unsigned k = 0; k < out.n_extra; k++)
				for (unsigned b = 0; b < out.extra[k].len; b++)
					sum += ((const uint8_t *)out.extra[k].data)[b];
			sink = sum;
		}
	}
}

static bool run_config(const char *text, size_t size)
{
	struct config_error err;
	struct config *c = config_parse_text("fuzz", text, size, false, &err);

	if (!c)
		return false;
	for (struct symbol *s = c->symbols->first; s; s = s->order_next)
		if (s->cls == SYM_FILTER && s->filter)
			run_filter(s->filter);
	config_release(c);
	return true;
}

static void run_expression(const char *text, size_t size)
{
	struct parser p;
	struct config_error err;
	struct arena *a = arena_create();
	struct filter_route r = {.net = &nets[0], .attrs = &attrs[0], .proto_name = "p", .source = RTS_BGP};
	const struct filter *f;
	const char *error;
	struct value v;
	static char out[4096];

	parser_open_line(&p, a, empty, text, size, &err);
	if (!setjmp(p.fail)) {
		parser_start(&p);
		f = filter_parse_expression(&p);
		if (!filter_eval(vm, f, &r, &v, &error))
			value_format(&v, out, sizeof(out));
		filter_release(f);
	}
	parser_close(&p);
	arena_destroy(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = sizeof(head) + size + 32;
	char *text = malloc(room);
	int n;

	if (!text)
		return 0;
	n = snprintf(text, room, "%s", head);
	memcpy(text + n, data, size);
	if (!run_config(text, (size_t)n + size)) {
		n += snprintf(text + n, room - (size_t)n, "filter f {");
		memcpy(text + n, data, size);
		memcpy(text + n + size, "\n}\n", 3);
		if (!run_config(text, (size_t)n + size + 3))
			run_expression((const char *)data, size);
	}
	free(text);
	return 0;
}
