/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of filters share: a configuration from text, evaluating, running over a route. */
#pragma once
#include "controlplane/config/config.h"
#include "controlplane/filter/filter.h"
#include "controlplane/filter/path.h"
#include "controlplane/filter/words.h"
#include "controlplane/rib/attr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above before it */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* A configuration with `text` in it; fails the test if it is refused. */
static inline struct config *config_of(const char *text)
{
	struct config_error err;
	char all[65536];
	int n = snprintf(all, sizeof(all), "router id 192.0.2.1;\n%s\nprotocol device { }\n", text);

	assert_true(n > 0 && (size_t)n < sizeof(all));
	struct config *c = config_parse_text("test", all, (size_t)n, false, &err);
	if (!c)
		fail_msg("%u:%u %s", err.line, err.col, err.text);
	return c;
}

/* The error that a configuration with `text` (from line 1 on) ends with: "line:col message". */
static inline const char *refusal(const char *text)
{
	static char out[600];
	struct config_error err;
	struct config *c = config_parse_text("test", text, strlen(text), false, &err);

	if (c) {
		config_release(c);
		return "(accepted)";
	}
	snprintf(out, sizeof(out), "%u:%u %s", err.line, err.col, err.text);
	return out;
}

static inline const struct filter *find_filter(const struct config *c, const char *name)
{
	struct symbol *s = symbol_find(c->symbols->global, name);

	assert_non_null(s);
	assert_int_equal(s->cls, SYM_FILTER);
	return s->filter;
}

/* The text of an expression's value, or "9001 message" / "8008 message". */
static inline const char *eval_in(
	struct config *c, struct filter_vm *vm, const struct filter_route *r, const char *line)
{
	static char out[65536];
	struct parser p;
	struct config_error err;
	struct arena *a = arena_create();
	const struct filter *f;
	const char *error = NULL;
	struct value v;

	parser_open_line(&p, a, c, line, strlen(line), &err);
	if (setjmp(p.fail)) {
		parser_close(&p);
		arena_destroy(a);
		snprintf(out, sizeof(out), "9001 %s", err.text);
		return out;
	}
	parser_start(&p);
	f = filter_parse_expression(&p);
	if (p.tok.kind != TOK_EOF) {
		filter_release(f);
		parser_syntax_error(&p, NULL);
	}
	parser_close(&p);
	if (filter_eval(vm, f, r, &v, &error))
		snprintf(out, sizeof(out), "8008 %s", error);
	else
		value_format(&v, out, sizeof(out));
	filter_release(f);
	arena_destroy(a);
	return out;
}

struct expectation {
	const char *expression, *value;
};

static inline void expect_all(struct config *c, struct filter_vm *vm, const struct filter_route *r,
	const struct expectation *e, size_t n)
{
	int bad = 0;

	for (size_t i = 0; i < n; i++) {
		const char *got = eval_in(c, vm, r, e[i].expression);

		if (strcmp(got, e[i].value)) {
			print_error("%s\n    want %s\n    got  %s\n", e[i].expression, e[i].value, got);
			bad++;
		}
	}
	assert_int_equal(bad, 0);
}
#define EXPECT(c, vm, r, table) expect_all(c, vm, r, table, sizeof(table) / sizeof(table[0]))
