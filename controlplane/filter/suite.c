/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/filter/suite.h"
#include "controlplane/filter/code.h"
#include "controlplane/filter/vm.h"
#include <stdio.h>

static _Thread_local struct filter_tests
	*collecting; /* the thread that reads a configuration, for its own use */

void filter_tests_collect(struct filter_tests *into)
{
	collecting = into;
	if (into) {
		into->first = NULL;
		into->tail = &into->first;
		into->count = 0;
	}
}

void filter_tests_add(struct parser *p, struct filter_test *t)
{
	(void)p;
	if (!collecting)
		return;
	*collecting->tail = t;
	collecting->tail = &t->next;
	collecting->count++;
}

struct outcome {
	unsigned failed;
	const struct filter_test *test;
	void (*report)(const char *what);
};

static void asserted(void *ctx, bool ok, const char *what)
{
	struct outcome *o = ctx;
	char text[512];

	if (ok)
		return;
	o->failed++;
	snprintf(text, sizeof(text), "%s: assertion failed at %s", o->test->function->name, what);
	o->report(text);
}

unsigned filter_tests_run(const struct filter_tests *tests, void (*report)(const char *what))
{
	struct filter_vm *vm = filter_vm_create();
	unsigned failed = 0;

	for (const struct filter_test *t = tests->first; t; t = t->next) {
		struct outcome o = {0, t, report};
		char text[512];

		if (t->other) {
			const struct digest *a = &t->function->code->digest, *b = &t->other->code->digest;

			if ((a->low == b->low && a->high == b->high) != t->same) {
				snprintf(text, sizeof(text), "%s:%u: %s and %s should%s be the same", t->file,
					t->line, t->function->name, t->other->name, t->same ? "" : " not");
				report(text);
				failed++;
			}
			continue;
		}
		struct value v;
		const char *error = NULL;
		unsigned line = 0;

		vm->assert_hook = asserted;
		vm->assert_ctx = &o;
		if (filter_vm_call(vm, t->function->code, &v, &error, &line)) {
			snprintf(text, sizeof(text), "%s: line %u: %s", t->function->name, line,
				error ? error : "no return");
			report(text);
			o.failed++;
		}
		failed += o.failed != 0;
	}
	filter_vm_destroy(vm);
	return failed;
}
