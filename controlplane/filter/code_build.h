/* SPDX-License-Identifier: BSD-2-Clause */
/* Code while it is being generated: everything in the scratch arena, copied into its own memory at the end.
 */
#pragma once
#include "controlplane/config/arena.h"
#include "controlplane/filter/code.h"

struct code_builder {
	struct arena *scratch;
	struct insn *insns;
	struct source_line *lines;
	uint32_t n_insns, room_insns;
	struct value *consts;
	uint32_t n_consts, room_consts;
	const struct code **callees;
	uint32_t n_callees, room_callees;
	struct switch_table *switches;
	uint32_t n_switches, room_switches;
	struct mask_template *masks;
	uint32_t n_masks, room_masks;
	struct roa_ref *roas;
	uint32_t n_roas, room_roas;
	const char **files;
	uint32_t n_files, room_files;
	struct net_condition *conditions; /* each with a reference on its code */
	uint32_t n_conditions, room_conditions;
	bool net_free;
	uint32_t n_regs, n_args;
	uint32_t barrier; /* instructions before this one must not be merged with later ones */
};

void code_builder_init(struct code_builder *b, struct arena *scratch);
uint32_t code_emit(struct code_builder *b, struct insn i, const char *file, unsigned line); /* its index */
uint32_t code_constant(struct code_builder *b, const struct value *v);                      /* the operand */
uint32_t code_callee(struct code_builder *b, const struct code *c);
uint32_t code_mask(struct code_builder *b, const struct mask_template *t);
uint32_t code_roa(struct code_builder *b, const char *name, enum net_type type);
/* Ranges with the branch as tag; targets by branch come when they are known. */
uint32_t code_switch(struct code_builder *b, const struct set_builder *labels);
void code_switch_targets(struct code_builder *b, uint32_t index, const uint32_t *target, uint32_t otherwise);
/* Takes the reference on its code over. */
void code_condition(struct code_builder *b, const struct net_condition *c);
const struct code *code_finish(struct code_builder *b, const char *name);
