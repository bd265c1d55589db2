/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Evaluates filter expressions, one on each line of stdin, and prints the value
 * on a line of its own: what `birdc eval` prints, errors with BIRD's reply
 * codes in front. For the differential runner.
 *
 *	filter_eval [-c FILE]    expressions on stdin, with FILE's symbols in scope
 *	filter_eval -r -c FILE   lines are NET, blank, expression: evaluated for FILE's static route to NET,
 *after its attribute block ("failed" when that ends in an error) filter_eval -t FILE      runs the
 *bt_test_suite() statements of FILE
 */
#include "controlplane/config/config.h"
#include "controlplane/filter/filter.h"
#include "controlplane/filter/suite.h"
#include "controlplane/rib/attr.h"
#include "shared/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void report(const char *what)
{
	printf("%s\n", what);
}

static int run_tests(const char *path)
{
	struct filter_tests tests;
	struct config_error err;
	char text[1024];

	filter_tests_collect(&tests);
	struct config *c = config_read(path, &err);
	if (!c) {
		config_error_format(&err, text, sizeof(text));
		fprintf(stderr, "%s\n", text);
		return 1;
	}
	unsigned failed = filter_tests_run(&tests, report);
	printf("%u tests, %u failed\n", tests.count, failed);
	config_release(c);
	return failed != 0;
}

/* The static route to the net that the text starts with, as it is before its attribute block. */
static const struct static_route *find_route(
	const struct config *c, const char *text, size_t len, const char **proto)
{
	const struct proto_config *p;

	cds_list_for_each_entry(p, &c->protocols, node)
	{
		if (p->type != PROTO_STATIC)
			continue;
		for (const struct static_route *r = ((const struct static_config *)p->body)->routes; r;
			r = r->next) {
			char net[160];

			if (net_format(&r->net, net, sizeof(net)) == len && !memcmp(net, text, len)) {
				*proto = p->name;
				return r;
			}
		}
	}
	return NULL;
}

static void evaluate(struct config *c, struct filter_vm *vm, struct arena *a,
	const struct filter_route *route, const char *line, size_t len)
{
	static char out[1 << 20];
	struct parser p;
	struct config_error err;
	const struct filter *volatile f = NULL;
	const char *error;
	struct value v;

	parser_open_line(&p, a, c, line, len, &err);
	if (setjmp(p.fail)) {
		parser_close(&p);
		arena_reset(a);
		printf("9001 %s\n", err.text);
		return;
	}
	parser_start(&p);
	f = filter_parse_expression(&p);
	if (p.tok.kind != TOK_EOF) {
		filter_release(f);
		parser_syntax_error(&p, NULL);
	}
	parser_close(&p);
	if (filter_eval(vm, f, route, &v, &error)) {
		printf("8008 runtime error\n");
	} else {
		value_format(&v, out, sizeof(out));
		printf("%s\n", out);
	}
	filter_release(f);
	arena_reset(a);
}

static void evaluate_for_route(
	struct config *c, struct filter_vm *vm, struct arena *a, const char *line, size_t len)
{
	const char *blank = memchr(line, ' ', len);
	struct attrs attrs = {.preference = 200, .scope = SCOPE_UNIVERSE}, out;
	struct filter_route r = {.attrs = &attrs, .source = RTS_STATIC};
	/* What the attribute block made lives in its machine until that runs again. */
	static struct filter_vm *first;
	const struct static_route *s;
	bool changed;

	if (!first)
		first = filter_vm_create();
	s = blank ? find_route(c, line, (size_t)(blank - line), &r.proto_name) : NULL;
	if (!s) {
		printf("no such route\n");
		return;
	}
	attrs.dest = (uint8_t)s->dest;
	r.net = &s->net;
	if (s->actions) {
		if (filter_run(first, s->actions, &r, &changed, &out) != FILTER_ACCEPT) {
			printf("failed\n");
			return;
		}
		if (changed)
			r.attrs = &out;
	}
	evaluate(c, vm, a, &r, blank + 1, len - (size_t)(blank + 1 - line));
}

int main(int argc, char **argv)
{
	bool routes = false;
	struct config_error err;
	struct config *c;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	int opt;
	const char *path = NULL;
	static const char nothing[] = "router id 1.1.1.1; roa4 table r4; protocol device {}";

	log_init("filter_eval");
	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((opt = getopt(argc, argv, "c:rt:")) != -1) {
		if (opt == 't')
			return run_tests(optarg);
		if (opt == 'r')
			routes = true;
		else if (opt == 'c')
			path = optarg;
		else
			return 2;
	}
	if (path)
		c = config_read(path, &err);
	else
		c = config_parse_text("eval", nothing, sizeof(nothing) - 1, false, &err);
	if (!c) {
		char text[1024];

		config_error_format(&err, text, sizeof(text));
		fprintf(stderr, "%s\n", text);
		return 1;
	}
	struct filter_vm *vm = filter_vm_create();
	struct arena *a = arena_create();
	while ((n = getline(&line, &size, stdin)) > 0) {
		if (line[n - 1] == '\n')
			n--;
		if (routes)
			evaluate_for_route(c, vm, a, line, (size_t)n);
		else
			evaluate(c, vm, a, NULL, line, (size_t)n);
	}
	fflush(stdout);
	free(line);
	arena_destroy(a);
	filter_vm_destroy(vm);
	config_release(c);
	return 0;
}
