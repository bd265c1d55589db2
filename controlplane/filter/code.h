/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compiled code: what a filter, a function or an expression is run from.
 *
 * A register machine. Registers are values; the first n_args are arguments,
 * then come variables, then temporaries. An operand is a register, or with the
 * top bit set a constant of the code. A call puts its arguments into
 * consecutive registers; those are the first registers of the callee, whose
 * result replaces the first of them.
 *
 * Code is immutable and reference counted, and owns all that it points to:
 * it outlives the configuration that it came from.
 */
#pragma once
#include "controlplane/filter/filter.h"
#include "controlplane/filter/intern.h"
#include "controlplane/filter/ops.h"
#include "controlplane/filter/set.h"
#include <stdatomic.h>

struct insn {
	uint16_t op; /* enum filter_op, then enum code_op */
	uint16_t x;
	uint32_t a, b, c;
};

#define OPERAND_CONST 0x80000000u
#define CALL_SELF UINT32_MAX

enum code_op {
	C_MOVE = OP_VALUES_END, /* a = b */
	C_MOVE_TYPED,           /* a = b, which must be of type x; c: enum checked_by */
	C_CLEAR,                /* a = empty value of type x */
	C_JUMP,                 /* to a */
	C_JUMP_FALSE,           /* to a unless b; x: enum checked_by */
	C_JUMP_TRUE,
	C_TEST_FALSE, /* to a unless (b x c); x: comparison */
	C_TEST_TRUE,
	C_GET, /* a = attribute x (c: extra) of type b */
	C_SET, /* attribute x (c: extra) = b, must be of type a */
	C_UNSET,
	C_CALL,   /* callee c, registers from a */
	C_RETURN, /* b */
	C_ACCEPT,
	C_REJECT,
	C_ERROR,
	C_END,   /* the end of a filter: no verdict */
	C_PRINT, /* b */
	C_FLUSH,
	C_FOR, /* list in a + 1, position in a + 2: next element to a, or jump to b; x: type of the list */
	C_FOR_START, /* a + 1 = b, position 0; x: type of the list */
	C_SWITCH,    /* on b by table c */
	C_MASK,      /* a = mask by template c, its expressions in registers from b */
	C_ROA_ROUTE, /* a = roa_check(roa c) */
	C_ROA,       /* a = roa_check(roa x, b, c) */
	C_ASPA,      /* a = aspa_check(roa x, b, c) */
	C_ASSERT,    /* b; c: constant, what is asserted */
	C_OPS_END,
};

/* Which instruction of BIRD's a failed type check is reported for. */
enum checked_by { BY_CONDITION, BY_AND, BY_OR, BY_NOT, BY_VAR_SET, BY_VAR_INIT, BY_ASSERT };

struct switch_table {
	enum value_type type;
	uint32_t n, otherwise;    /* jump targets */
	struct set_range *ranges; /* tag: jump target */
};

struct mask_template_item {
	uint8_t kind; /* enum mask_node: item, loop, expression */
	uint8_t mask_kind;
	bool range;
	uint32_t lo, hi;
	const struct filter_set *set;
};

struct mask_template {
	uint32_t n;
	struct mask_template_item *items;
};

/* A table is named, and found by that name in the process, not in a configuration. */
struct roa_ref {
	const char *name;
	enum net_type type;
	void *_Atomic handle; /* NULL until somebody could provide it */
};

/* A condition on the prefix alone: what filter_net_key() asks. The usual ones are answered without running
 * code. */
enum net_question {
	ASK_CODE,     /* run it */
	ASK_SET,      /* net ~ set */
	ASK_LEN,      /* net.len itself */
	ASK_TYPE,     /* net.type itself */
	ASK_LEN_TEST, /* net.len in lo..hi; 1 if it is, or with negate if it is not */
	ASK_TYPE_TEST,
};
struct net_condition {
	const struct code *code; /* an expression */
	uint8_t bits;            /* that its value takes in a key */
	uint8_t ask;             /* enum net_question */
	bool negate;
	uint32_t lo, hi;
	const struct filter_prefix_set *set;
};

struct source_line {
	uint32_t file; /* index into files */
	uint32_t line;
};

struct code {
	_Atomic uint32_t refs;
	uint32_t reads; /* enum filter_reads, callees included */
	uint32_t n_insns, n_consts, n_regs, n_args;
	uint64_t attrs_read, attrs_written; /* bit per enum filter_attr, callees included */
	bool decides;                       /* accept, reject, error or an assertion in it or its callees */
	bool net_free; /* the prefix is used in other ways than by the conditions below */
	uint32_t n_conditions;
	struct net_condition *conditions; /* callees' included */
	const struct insn *insns;
	const struct value *consts;
	const struct code **callees;
	uint32_t n_callees;
	struct switch_table *switches;
	struct mask_template *masks;
	struct roa_ref *roas;
	uint32_t n_switches, n_masks, n_roas;
	const struct source_line *lines; /* one for each instruction */
	const char **files;
	uint32_t n_files;
	const char *name; /* of the filter or function; NULL */
	struct digest digest;
	/* references held by constants */
	struct {
		const struct filter_set **sets;
		const struct filter_prefix_set **prefix_sets;
		uint32_t n_sets, n_prefix_sets;
	} held;
	size_t used;               /* of the memory */
	_Alignas(8) char memory[]; /* of all that is pointed to */
};

const struct code *code_hold(const struct code *c);
void code_release(const struct code *c);

/* A function of the configuration: lives in its arena; those who call it hold the code. */
struct filter_function {
	const char *name;
	unsigned n_args;
	enum value_type *arg_types;
	enum value_type return_type; /* T_VOID: not known */
	const struct code *code; /* NULL while its own body is being parsed: only it can call itself then */
};

/* A filter in its configuration and wherever it is used. */
struct filter {
	_Atomic uint32_t refs;
	char *name;
	const struct code *code;
	struct interned *identity; /* gives the uid */
	bool expression;
};

struct node;
struct arena;
enum compile_kind {
	COMPILE_FILTER,
	COMPILE_FUNCTION,
	COMPILE_EXPRESSION,
	COMPILE_ACTIONS /* accepts at the end */
};
/* body: commands, or one expression. n_slots: registers that the parser gave out. Never fails. One reference.
 */
const struct code *code_compile(struct arena *scratch, enum compile_kind kind, struct node *body,
	unsigned n_args, unsigned n_slots, const char *name, const struct filter_function *self);
/* Takes over the reference on code. */
const struct filter *filter_new(const char *name, const struct code *code, bool expression);
