/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test suites written in the language: bt_test_suite(), bt_test_same(),
 * bt_assert(). They are kept while a configuration is read if somebody asked
 * for them, and run by whoever did.
 */
#pragma once
#include "controlplane/config/parser.h"
#include "controlplane/filter/filter.h"

struct filter_function;

struct filter_test {
	struct filter_test *next;
	const char *file;
	unsigned line;
	const struct filter_function *function, *other; /* other: bt_test_same */
	const char *description;
	bool same;
};

/* Collects the tests of configurations that this thread reads from now on; NULL: they are parsed and dropped.
 */
struct filter_tests {
	struct filter_test *first, **tail;
	unsigned count;
};
void filter_tests_collect(struct filter_tests *into);
void filter_tests_add(struct parser *p, struct filter_test *t);
/* Runs them (the configuration is still held); report is called for each failed assertion or test. The number
 * that failed. */
unsigned filter_tests_run(const struct filter_tests *tests, void (*report)(const char *what));
