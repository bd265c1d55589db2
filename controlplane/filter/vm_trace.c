/* SPDX-License-Identifier: BSD-2-Clause */
/* explain: what a run did, statement by statement. Slow, and only when asked for. */
#include "controlplane/filter/vm.h"
#include "controlplane/filter/words.h"
#include <string.h>

void filter_vm_trace(struct filter_vm *vm, bool on)
{
	if (on && !vm->trace_arena)
		vm->trace_arena = arena_create();
	if (!on && vm->trace_arena) {
		arena_destroy(vm->trace_arena);
		vm->trace_arena = NULL;
	}
	vm->steps = NULL;
	vm->n_steps = vm->room_steps = 0;
}

unsigned filter_vm_steps(const struct filter_vm *vm, const struct filter_trace_step **steps)
{
	*steps = vm->steps;
	return vm->n_steps;
}

void vm_trace_step(struct filter_vm *vm, const struct code *c, const struct insn *in, const struct value *v)
{
	const struct source_line *at = &c->lines[in - c->insns];
	struct filter_trace_step *s;
	char text[512];

	if (vm->n_steps >= 1000) /* a loop: the rest is more of the same */
		return;
	if (vm->n_steps == vm->room_steps) {
		unsigned room = vm->room_steps ? vm->room_steps * 2 : 16;

		s = arena_alloc(vm->trace_arena, room * sizeof(*s));
		if (vm->n_steps)
			memcpy(s, vm->steps, vm->n_steps * sizeof(*s));
		vm->steps = s;
		vm->room_steps = room;
	}
	s = &vm->steps[vm->n_steps++];
	s->file = arena_strdup(vm->trace_arena, c->files[at->file]);
	s->line = at->line;
	switch (in->op) {
	case C_SET:
		value_format(v, text, sizeof(text));
		s->what =
			arena_printf(vm->trace_arena, "%s = %s", word_attr_name((uint8_t)in->x, in->c), text);
		break;
	case C_UNSET:
		s->what = arena_printf(vm->trace_arena, "unset(%s)", word_attr_name((uint8_t)in->x, in->c));
		break;
	case C_ROA_ROUTE:
	case C_ROA:
	case C_ASPA: s->what = "reject: the RPKI table is held until its first sync"; break;
	default: s->what = in->op == C_ACCEPT ? "accept" : "reject";
	}
}
