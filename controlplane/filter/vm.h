/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's state, shared by vm.c (instructions), vm_attr.c (the route) and vm_trace.c. One thread's own.
 */
#pragma once
#include "controlplane/config/arena.h"
#include "controlplane/filter/code.h"
#include "controlplane/filter/text.h"
#include "controlplane/rib/attr.h"

#define VM_DEPTH 1024u            /* calls in each other */
#define VM_STACK (VM_DEPTH * 32u) /* registers of all of them */
#define VM_BUDGET 4000000u        /* calls and turns of loops in one run */
#define VM_MEMORY ((size_t)256 << 20)

struct vm_frame {
	const struct code *code;
	const struct insn *pc; /* of the call */
	struct value *regs;
};

struct filter_vm {
	struct arena *arena; /* of one run */
	struct value *stack, *stack_end;
	struct vm_frame *frames;
	uint32_t depth;
	uint32_t budget; /* VM_BUDGET, less where a test is in a hurry */

	const struct filter_route *route; /* NULL: no route to access */
	const struct attrs *attrs;        /* as they are now: the route's, or *out */
	struct attrs *out;
	bool edited;
	uint64_t touched; /* bit per enum filter_attr: assigned or unset in this run */

	char print_buffer[4096];
	struct text print;

	struct arena *trace_arena; /* not reset before the next traced run: NULL when off */
	struct filter_trace_step *steps;
	unsigned n_steps, room_steps;

	void (*assert_hook)(void *ctx, bool ok, const char *what);
	void *assert_ctx;
};

/* vm_attr.c. NULL, or what went wrong. */
const char *vm_get(
	struct filter_vm *vm, unsigned attr, uint32_t extra, enum value_type type, struct value *out);
const char *vm_set(
	struct filter_vm *vm, unsigned attr, uint32_t extra, enum value_type type, const struct value *v);
const char *vm_unset(struct filter_vm *vm, unsigned attr, uint32_t extra);

/* A function without arguments, for test suites. 0, or -EINVAL with *error (may be NULL) and *line. */
int filter_vm_call(
	struct filter_vm *vm, const struct code *c, struct value *out, const char **error, unsigned *line);

/* The value of an expression on the prefix alone; false: a run-time error. The last run's results stay. */
bool vm_condition(struct filter_vm *vm, const struct code *c, const struct net *net, struct value *out);

/* vm_trace.c */
void vm_trace_step(struct filter_vm *vm, const struct code *c, const struct insn *in, const struct value *v);

/* ROA and ASPA tables, vm_roa.c: NULL, what is wrong, or vm_held: it must not be asked yet. */
extern const char vm_held[];
const char *vm_roa_route(struct filter_vm *vm, struct roa_ref *r, struct value *out);
const char *vm_roa(struct roa_ref *r, const struct value *net, uint32_t asn, struct value *out);
const char *vm_aspa(struct roa_ref *r, const struct value *path, bool upstream, struct value *out);
