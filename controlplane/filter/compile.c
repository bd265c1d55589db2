/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the parsed form to code. Conditions become jumps; comparisons in
 * conditions test and jump in one instruction. Temporaries are allocated like a
 * stack above the variables. Nothing here can fail: types were checked by the
 * parser.
 */
#include "controlplane/filter/ast.h"
#include "controlplane/filter/code.h"
#include "controlplane/filter/code_build.h"
#include "controlplane/filter/mask.h"
#include <string.h>

struct gen {
	struct code_builder *b;
	const struct filter_function *self;
	uint32_t slots; /* registers of variables */
	uint32_t top;   /* first free temporary */
	unsigned line;
	const char *file;
	bool in_condition; /* inside a condition on the prefix that has been noted as a whole */
};

static uint32_t expression(struct gen *g, struct node *n);
static void expression_to(struct gen *g, struct node *n, uint32_t reg);
static void commands(struct gen *g, struct node *n);

static uint32_t emit(struct gen *g, uint16_t op, uint16_t x, uint32_t a, uint32_t b, uint32_t c)
{
	return code_emit(g->b, (struct insn){op, x, a, b, c}, g->file, g->line);
}

static uint32_t temporary(struct gen *g)
{
	uint32_t r = g->top++;

	if (g->top > g->b->n_regs)
		g->b->n_regs = g->top;
	return r;
}

static void at(struct gen *g, const struct node *n)
{
	g->line = n->line;
	g->file = n->file;
}

/* ---- jumps: the target is filled in when it is known ---- */

struct label {
	uint32_t uses; /* chain through the a fields of the jumps, 0: end (instruction 0 is never a jump to be
			  patched) */
};

static void jump_to(struct gen *g, struct label *l, uint16_t op, uint16_t x, uint32_t b, uint32_t c)
{
	l->uses = emit(g, op, x, l->uses, b, c) + 1;
}

static void place(struct gen *g, struct label *l)
{
	uint32_t here = g->b->n_insns;

	while (l->uses) {
		struct insn *i = &g->b->insns[l->uses - 1];
		uint32_t next = i->a;

		i->a = here;
		l->uses = next;
	}
	g->b->barrier = here; /* somebody may arrive here: no looking back over it */
}

/* ---- how the prefix is used: see filter_net_use() ---- */

/* Called for every expression before it is compiled, the outer before the inner. True: noted as a whole, and
 * the caller clears in_condition when it is done with n. */
static bool note_condition(struct gen *g, struct node *n)
{
	struct net_condition c;

	if (g->in_condition)
		return false;
	switch (net_condition_of(g->b->scratch, n, &c)) {
	case NET_CONDITION_FREE: g->b->net_free = true; return false;
	case NET_CONDITION_NONE: return false;
	default:
		code_condition(g->b, &c);
		g->in_condition = true;
		return true;
	}
}

/* What a function that is called with other things in hand asks about the prefix. */
static void note_callee(struct gen *g, const struct code *callee)
{
	if (!callee || g->in_condition)
		return;
	g->b->net_free = g->b->net_free || callee->net_free;
	for (uint32_t i = 0; i < callee->n_conditions; i++) {
		code_hold(callee->conditions[i].code);
		code_condition(g->b, &callee->conditions[i]);
	}
}

/* ---- conditions ---- */

/* Jumps to the label if the condition is `when`, else goes on behind. by: whom a value that is no bool is
 * reported for. */
static void condition_inside(struct gen *g, struct node *n, bool when, struct label *l, enum checked_by by);

static void condition(struct gen *g, struct node *n, bool when, struct label *l, enum checked_by by)
{
	bool noted = note_condition(g, n);

	condition_inside(g, n, when, l, by);
	if (noted)
		g->in_condition = false;
}

static void condition_inside(struct gen *g, struct node *n, bool when, struct label *l, enum checked_by by)
{
	uint32_t top = g->top, x, y;

	switch (n->kind) {
	case N_CONST:
		if (n->type == T_BOOL) {
			if (n->value.b == when)
				jump_to(g, l, C_JUMP, 0, 0, 0);
			return;
		}
		break;
	case N_AND:
	case N_OR: {
		bool and = n->kind == N_AND;
		enum checked_by first = and? BY_AND : BY_OR;

		if (when != and) { /* the first alone can decide for the jump */
			condition(g, n->a, when, l, first);
			condition(g, n->b, when, l, by);
		} else {
			struct label behind = {0};

			condition(g, n->a, !when, &behind, first);
			condition(g, n->b, when, l, by);
			place(g, &behind);
		}
		return;
	}
	case N_OP:
		if (n->op == OP_NOT) {
			condition(g, n->a, !when, l, BY_NOT);
			return;
		}
		if (node_is_comparison(n)) {
			at(g, n);
			x = expression(g, n->a);
			y = expression(g, n->b);
			at(g, n);
			jump_to(g, l, when ? C_TEST_TRUE : C_TEST_FALSE, n->op, x, y);
			g->top = top;
			return;
		}
		break;
	default: break;
	}
	x = expression(g, n);
	jump_to(g, l, when ? C_JUMP_TRUE : C_JUMP_FALSE, (uint16_t)by, x, 0);
	g->top = top;
}

/* ---- expressions ---- */

static void call(struct gen *g, struct node *n, uint32_t reg)
{
	uint32_t base = g->top, i = 0;

	note_callee(g, n->function->code);
	for (struct node *arg = n->a; arg; arg = arg->next, i++) {
		uint32_t r = temporary(g);

		expression_to(g, arg, r);
		g->top = base + i + 1;
	}
	if (!i)
		temporary(g); /* the result needs one anyway */
	at(g, n);
	emit(g, C_CALL, 0, base, 0,
		n->function == g->self ? CALL_SELF : code_callee(g->b, n->function->code));
	if (reg != base)
		emit(g, C_MOVE, 0, reg, base, 0);
	g->top = base;
}

static void path_mask(struct gen *g, struct node *n, uint32_t reg)
{
	uint32_t base = g->top, count = 0;
	struct mask_template t = {0};

	for (struct node *e = n->a; e; e = e->next)
		t.n++;
	t.items = arena_alloc(g->b->scratch, t.n * sizeof(*t.items));
	for (struct node *e = n->a; e; e = e->next, count++) {
		struct mask_template_item *it = &t.items[count];

		it->kind = e->op;
		if (e->op == MASK_NODE_EXPRESSION) {
			uint32_t r = temporary(g);

			expression_to(g, e->a, r);
			g->top = r + 1;
		} else if (e->op == MASK_NODE_ITEM) {
			it->mask_kind = e->mask_item->kind;
			it->range = e->mask_item->range;
			it->lo = e->mask_item->lo;
			it->hi = e->mask_item->hi;
			it->set = e->mask_item->set;
		}
	}
	at(g, n);
	emit(g, C_MASK, 0, reg, base, code_mask(g->b, &t));
	g->top = base;
}

static void expression_inside(struct gen *g, struct node *n, uint32_t reg);

/* Computes n into the register. */
static void expression_to(struct gen *g, struct node *n, uint32_t reg)
{
	bool noted = note_condition(g, n);

	expression_inside(g, n, reg);
	if (noted)
		g->in_condition = false;
}

static void expression_inside(struct gen *g, struct node *n, uint32_t reg)
{
	uint32_t top = g->top, x, y;

	at(g, n);
	switch (n->kind) {
	case N_CONST: emit(g, C_MOVE, 0, reg, code_constant(g->b, &n->value), 0); break;
	case N_VAR:
		if (n->slot != reg)
			emit(g, C_MOVE, 0, reg, n->slot, 0);
		break;
	case N_ATTR: emit(g, C_GET, n->attr, reg, n->type, n->extra); break;
	case N_OP:
		if (n->op == OP_LC) { /* three arguments: in a row */
			uint32_t base = g->top;
			struct node *args[3] = {n->a, n->b, n->c};

			for (unsigned i = 0; i < 3; i++) {
				uint32_t r = temporary(g);

				expression_to(g, args[i], r);
				g->top = r + 1;
			}
			at(g, n);
			emit(g, OP_LC, 0, reg, base, base + 1);
			break;
		}
		x = expression(g, n->a);
		y = n->b ? expression(g, n->b) : 0;
		at(g, n);
		emit(g, n->op, (uint16_t)n->extra, reg, x, y);
		break;
	case N_AND:
	case N_OR: {
		/* The second's value is the result, whatever it is; the first is surely a bool when it
		 * decides. A variable keeps its value until both are known: the second may read it. */
		uint32_t r = reg < g->slots ? temporary(g) : reg;
		struct label end = {0};

		expression_to(g, n->a, r);
		at(g, n);
		jump_to(g, &end, n->kind == N_AND ? C_JUMP_FALSE : C_JUMP_TRUE,
			n->kind == N_AND ? BY_AND : BY_OR, r, 0);
		expression_to(g, n->b, r);
		place(g, &end);
		if (r != reg)
			emit(g, C_MOVE, 0, reg, r, 0);
		break;
	}
	case N_CALL: call(g, n, reg); break;
	case N_MASK: path_mask(g, n, reg); break;
	case N_ROA:
	case N_ASPA: {
		uint32_t table = code_roa(g->b, n->table, n->table_type);

		if (!n->a) {
			g->b->net_free = true;
			emit(g, C_ROA_ROUTE, 0, reg, 0, table);
			break;
		}
		x = expression(g, n->a);
		y = expression(g, n->b);
		at(g, n);
		emit(g, n->kind == N_ROA ? C_ROA : C_ASPA, (uint16_t)table, reg, x, y);
		break;
	}
	default: break;
	}
	g->top = top;
}

/* An operand that has the value of n: where it is already, or a temporary. */
static uint32_t expression(struct gen *g, struct node *n)
{
	uint32_t r;

	if (n->kind == N_CONST)
		return code_constant(g->b, &n->value);
	if (n->kind == N_VAR)
		return n->slot;
	r = temporary(g);
	expression_to(g, n, r);
	g->top = r + 1;
	return r;
}

/* ---- commands ---- */

static void case_of(struct gen *g, struct node *n)
{
	struct cases *c = n->cases;
	struct label end = {0};
	uint32_t top = g->top, value = expression(g, n->a), index, k = 0;
	uint32_t *target = arena_alloc(g->b->scratch, (c->n + 1) * sizeof(*target));

	at(g, n);
	index = code_switch(g->b, &c->labels);
	emit(g, C_SWITCH, 0, 0, value, index);
	g->top = top;
	for (struct case_branch *b = c->first; b; b = b->next, k++) {
		target[k] = g->b->n_insns;
		g->b->barrier = g->b->n_insns;
		commands(g, b->commands);
		jump_to(g, &end, C_JUMP, 0, 0, 0);
	}
	target[c->n] = g->b->n_insns;
	place(g, &end);
	code_switch_targets(g->b, index, target, c->otherwise == UINT32_MAX ? c->n : c->otherwise);
}

static void for_loop(struct gen *g, struct node *n)
{
	struct label end = {0};
	uint32_t top = g->top, list = expression(g, n->a), again;

	at(g, n);
	emit(g, C_FOR_START, (uint16_t)n->type, n->slot, list, 0);
	g->top = top;
	again = g->b->n_insns;
	g->b->barrier = again;
	/* FOR has its exit in b, so it is patched by hand */
	uint32_t loop = emit(g, C_FOR, (uint16_t)n->type, n->slot, 0, 0);
	commands(g, n->b);
	at(g, n);
	emit(g, C_JUMP, 0, again, 0, 0);
	place(g, &end);
	g->b->insns[loop].b = g->b->n_insns;
	g->b->barrier = g->b->n_insns;
}

static void set_variable(struct gen *g, struct node *n, enum checked_by by)
{
	struct node *v = n->a;

	if (v->definite && v->type == n->type) {
		expression_to(g, v, n->slot);
		return;
	}
	uint32_t top = g->top, x = expression(g, v);

	at(g, n);
	emit(g, C_MOVE_TYPED, (uint16_t)n->type, n->slot, x, by);
	g->top = top;
}

static void print(struct gen *g, struct node *n)
{
	for (struct node *e = n->a; e; e = e->next) {
		uint32_t top = g->top, x = expression(g, e);

		at(g, n);
		emit(g, C_PRINT, 0, 0, x, 0);
		g->top = top;
	}
	at(g, n);
	if (n->extra)
		emit(g, C_FLUSH, 0, 0, 0, 0);
	switch (n->verdict) {
	case VERDICT_ACCEPT: emit(g, C_ACCEPT, 0, 0, 0, 0); break;
	case VERDICT_REJECT: emit(g, C_REJECT, 0, 0, 0, 0); break;
	case VERDICT_ERROR: emit(g, C_ERROR, 0, 0, 0, 0); break;
	default: break;
	}
}

static void if_chain(struct gen *g, struct node *n)
{
	struct label end = {0};

	while (n && n->kind == N_IF) {
		struct label otherwise = {0};

		at(g, n);
		condition(g, n->a, false, &otherwise, BY_CONDITION);
		commands(g, n->b);
		if (n->c)
			jump_to(g, &end, C_JUMP, 0, 0, 0);
		place(g, &otherwise);
		n = n->c;
	}
	commands(g, n);
	place(g, &end);
}

static void command(struct gen *g, struct node *n)
{
	uint32_t top = g->top, x;

	at(g, n);
	switch (n->kind) {
	case N_BLOCK: commands(g, n->a); break;
	case N_IF: if_chain(g, n); break;
	case N_CASE: case_of(g, n); break;
	case N_FOR: for_loop(g, n); break;
	case N_INIT:
		if (n->a)
			set_variable(g, n, BY_VAR_INIT);
		else
			emit(g, C_CLEAR, (uint16_t)n->type, n->slot, 0, 0);
		break;
	case N_SET_VAR: set_variable(g, n, BY_VAR_SET); break;
	case N_SET_ATTR:
		x = expression(g, n->a);
		at(g, n);
		emit(g, C_SET, n->attr, n->type, x, n->extra);
		break;
	case N_UNSET: emit(g, C_UNSET, n->attr, 0, 0, n->extra); break;
	case N_RETURN:
		x = expression(g, n->a);
		at(g, n);
		emit(g, C_RETURN, 0, 0, x, 0);
		break;
	case N_DROP: expression(g, n->a); break;
	case N_PRINT: print(g, n); break;
	case N_ASSERT: {
		struct value what = {.type = T_STRING, .s = n->string};

		x = expression(g, n->a);
		at(g, n);
		emit(g, C_ASSERT, 0, 0, x, code_constant(g->b, &what));
		break;
	}
	default: break;
	}
	g->top = top;
}

static void commands(struct gen *g, struct node *n)
{
	for (; n; n = n->next)
		command(g, n);
}

/* Expressions outside of any filter may name variables that do not exist there: they read as void. */
static uint32_t most_slot(const struct node *n)
{
	uint32_t most = 0, m;

	for (; n; n = n->next) {
		const struct node *sub[3] = {n->a, n->b, n->c};

		if (n->kind == N_VAR && n->slot + 1 > most)
			most = n->slot + 1;
		for (int i = 0; i < 3; i++)
			if (sub[i] && (m = most_slot(sub[i])) > most)
				most = m;
	}
	return most;
}

const struct code *code_compile(struct arena *scratch, enum compile_kind kind, struct node *body,
	unsigned n_args, unsigned n_slots, const char *name, const struct filter_function *self)
{
	struct code_builder b;
	struct gen g = {.b = &b, .self = self};
	struct value nothing = {.type = T_VOID};

	code_builder_init(&b, scratch);
	if (kind == COMPILE_EXPRESSION)
		n_slots = most_slot(body);
	g.slots = g.top = b.n_regs = n_slots;
	b.n_args = kind == COMPILE_EXPRESSION ? n_slots : n_args;
	at(&g, body);
	switch (kind) {
	case COMPILE_EXPRESSION: {
		g.in_condition = true; /* nobody asks an expression for a key */
		uint32_t x = expression(&g, body);

		at(&g, body);
		emit(&g, C_RETURN, 0, 0, x, 0);
		break;
	}
	case COMPILE_FUNCTION:
		commands(&g, body);
		emit(&g, C_RETURN, 0, 0, code_constant(&b, &nothing), 0);
		break;
	case COMPILE_ACTIONS:
		commands(&g, body);
		emit(&g, C_ACCEPT, 0, 0, 0, 0);
		break;
	default: commands(&g, body); emit(&g, C_END, 0, 0, 0, 0);
	}
	return code_finish(&b, name);
}
