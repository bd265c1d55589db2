/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running code. What a filter may cost is bounded whatever it says: depth of
 * calls, number of calls and loop turns, memory; beyond them it fails with a
 * run-time error like any other and the route is rejected.
 */
#include "controlplane/filter/vm.h"
#include "controlplane/filter/ast.h"
#include "controlplane/filter/list.h"
#include "controlplane/filter/mask.h"
#include "controlplane/filter/path.h"
#include "controlplane/filter/prefix_set.h"
#include "shared/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct filter_vm *filter_vm_create(void)
{
	struct filter_vm *vm = calloc(1, sizeof(*vm));

	if (vm) {
		vm->stack = calloc(VM_STACK, sizeof(*vm->stack));
		vm->frames = calloc(VM_DEPTH, sizeof(*vm->frames));
		vm->arena = arena_create();
	}
	if (!vm || !vm->stack || !vm->frames) {
		fprintf(stderr, "out of memory\n");
		abort();
	}
	vm->stack_end = vm->stack + VM_STACK;
	vm->budget = VM_BUDGET;
	return vm;
}

void filter_vm_destroy(struct filter_vm *vm)
{
	if (!vm)
		return;
	arena_destroy(vm->arena);
	if (vm->trace_arena)
		arena_destroy(vm->trace_arena);
	free(vm->stack);
	free(vm->frames);
	free(vm);
}

static const char *checker_name(unsigned by)
{
	static const char *const names[] = {"CONDITION", "AND", "OR", "NOT", "VAR_SET", "VAR_INIT", "ASSERT"};

	return names[by];
}

static const char *type_error(
	struct filter_vm *vm, const char *what, unsigned arg, enum value_type want, enum value_type got)
{
	return arena_printf(vm->arena, "Argument %u of %s must be of type %s, got type %s", arg, what,
		value_type_name(want), value_type_name(got));
}

static const char *build_mask(
	struct filter_vm *vm, const struct mask_template *t, const struct value *regs, struct value *out)
{
	struct filter_mask *m = mask_new(vm->arena, t->n);
	uint32_t k = 0;

	for (uint32_t i = 0; i < t->n; i++) {
		const struct mask_template_item *it = &t->items[i];
		const struct value *v;

		switch (it->kind) {
		case MASK_NODE_LOOP: mask_add_loop(m); break;
		case MASK_NODE_ITEM:
			mask_add(m, (struct mask_item){.kind = it->mask_kind,
					    .range = it->range,
					    .lo = it->lo,
					    .hi = it->hi,
					    .set = it->set});
			break;
		default:
			v = &regs[k++];
			if (v->type == T_INT)
				mask_add(m, (struct mask_item){.kind = MASK_ASN, .lo = v->i, .hi = v->i});
			else if (v->type != T_SET)
				return "Error resolving path mask template: value not an integer";
			else if (v->set && v->set->type != T_INT)
				return "Only integer sets allowed in path mask";
			else
				mask_add(m, (struct mask_item){.kind = MASK_SET, .set = v->set});
		}
	}
	mask_finish(m);
	*out = (struct value){.type = T_PATH_MASK, .mask = m};
	return NULL;
}

/* Where `case` goes. Labels of another type than the value never fit, but quads are found among IPv4
 * addresses. */
static uint32_t switch_target(const struct switch_table *t, const struct value *v)
{
	union set_key k;
	uint32_t n = t->n, base = 0;

	if (!n)
		return t->otherwise;
	if (v->type == t->type) {
		k = set_key_of(v);
	} else if (v->type == T_QUAD && t->type == T_IP) {
		k.ip = ipaddr_v4(htonl(v->i));
	} else if (v->type == T_IP && t->type == T_QUAD && ipaddr_is_v4(&v->ip)) {
		k.i = ntohl(ipaddr_to_v4(&v->ip));
	} else {
		return t->otherwise;
	}
	while (n > 1) {
		uint32_t half = n / 2;

		if (set_key_compare(t->type, &t->ranges[base + half].lo, &k) <= 0)
			base += half;
		n -= half;
	}
	if (set_key_compare(t->type, &t->ranges[base].lo, &k) > 0 ||
		set_key_compare(t->type, &t->ranges[base].hi, &k) < 0)
		return t->otherwise;
	return t->ranges[base].tag;
}

/* The next element of the list in r[1]; r[2] is the position: bytes and index for paths, index for the
 * others. */
static bool for_next(enum value_type type, struct value *r)
{
	const struct value_list *l = &r[1].list;
	uint32_t pos = (uint32_t)(r[2].u64 >> 32), index = (uint32_t)r[2].u64, asn;

	if (type == T_PATH) {
		if (!path_walk(l, &pos, &index, &asn))
			return false;
		r[0] = (struct value){.type = T_INT, .i = asn};
		r[2].u64 = (uint64_t)pos << 32 | index;
		return true;
	}
	if (index >= l->count)
		return false;
	union set_key k = list_get(type, l, index);
	r[0] = set_key_value(type == T_CLIST ? T_PAIR : type == T_ECLIST ? T_EC : T_LC, &k);
	r[2].u64 = index + 1;
	return true;
}

static inline const char *compare(
	struct filter_vm *vm, enum filter_op op, const struct value *x, const struct value *y, bool *result)
{
	struct value v;
	const char *error;

	switch (op) {
	case OP_MATCH:
	case OP_NOT_MATCH:
		if (y->type == T_PREFIX_SET && x->type == T_NET) {
			*result = prefix_set_has_net(y->pset, x->net) == (op == OP_MATCH);
			return NULL;
		}
		break;
	case OP_EQ:
	case OP_NEQ:
		if (x->type == y->type && (set_type_is_32(x->type) || x->type == T_INT)) {
			*result = (x->i == y->i) == (op == OP_EQ);
			return NULL;
		}
		break;
	case OP_LT:
		if (x->type == T_INT && y->type == T_INT) {
			*result = x->i < y->i;
			return NULL;
		}
		break;
	case OP_LTE:
		if (x->type == T_INT && y->type == T_INT) {
			*result = x->i <= y->i;
			return NULL;
		}
		break;
	default: break;
	}
	error = op_apply(op, vm->arena, 0, x, y, NULL, &v);
	if (!error)
		*result = v.b;
	return error;
}

/* Results of a run besides the verdicts */
enum { RUN_RETURNED = FILTER_ERROR + 1, RUN_ENDED, RUN_FAILED, RUN_HELD };

/* Runs c from its start with regs as first registers. On RUN_FAILED *error and *where are set. On
 * RUN_RETURNED regs[0] is the value. RUN_HELD: it asks a ROA table that must not be asked yet. */
static int run(
	struct filter_vm *vm, const struct code *c, struct value *regs, const char **error, unsigned *where)
{
	const struct insn *in = c->insns;
	const struct value *bank[2] = {regs, c->consts};
	uint32_t budget = vm->budget;
	const char *e = NULL;
	bool truth;

#define V(o) (&bank[(o) >> 31][(o) & ~OPERAND_CONST])
#define FAIL(text)                                                                                           \
	do {                                                                                                 \
		e = (text);                                                                                  \
		goto failed;                                                                                 \
	} while (0)
#define TRY(call)                                                                                            \
	do {                                                                                                 \
		e = (call);                                                                                  \
		if (__builtin_expect(e != NULL, 0))                                                          \
			goto failed;                                                                         \
	} while (0)

	vm->depth = 0;
	if (regs + c->n_regs > vm->stack_end)
		FAIL("Filter too deep");
	for (;; in++) {
		switch (in->op) {
		case C_MOVE: regs[in->a] = *V(in->b); break;
		case C_MOVE_TYPED:
			if (V(in->b)->type != in->x)
				FAIL(type_error(vm, checker_name(in->c), 1, in->x, V(in->b)->type));
			regs[in->a] = *V(in->b);
			break;
		case C_CLEAR: regs[in->a] = value_empty(in->x); break;
		case C_JUMP: in = c->insns + in->a - 1; break;
		case C_JUMP_FALSE:
		case C_JUMP_TRUE:
			if (V(in->b)->type != T_BOOL)
				FAIL(type_error(vm, checker_name(in->x), 1, T_BOOL, V(in->b)->type));
			if (V(in->b)->b == (in->op == C_JUMP_TRUE))
				in = c->insns + in->a - 1;
			break;
		case C_TEST_FALSE:
		case C_TEST_TRUE:
			TRY(compare(vm, in->x, V(in->b), V(in->c), &truth));
			if (truth == (in->op == C_TEST_TRUE))
				in = c->insns + in->a - 1;
			break;
		case C_GET: TRY(vm_get(vm, in->x, in->c, in->b, &regs[in->a])); break;
		case C_SET:
			if (V(in->b)->type != (enum value_type)in->a)
				FAIL(type_error(vm, in->x <= FA_LAST_STATIC ? "RTA_SET" : "EA_SET", 1, in->a,
					V(in->b)->type));
			TRY(vm_set(vm, in->x, in->c, in->a, V(in->b)));
			if (vm->trace_arena)
				vm_trace_step(vm, c, in, V(in->b));
			break;
		case C_UNSET:
			TRY(vm_unset(vm, in->x, in->c));
			if (vm->trace_arena)
				vm_trace_step(vm, c, in, NULL);
			break;
		case C_CALL: {
			const struct code *callee = in->c == CALL_SELF ? c : c->callees[in->c];
			struct value *base = regs + in->a;

			if (vm->depth == VM_DEPTH || base + callee->n_regs >= vm->stack_end)
				FAIL("Too many function calls in each other");
			if (!--budget || (!(budget & 255) && arena_bytes(vm->arena) > VM_MEMORY))
				FAIL("Filter takes too long or too much memory");
			vm->frames[vm->depth++] = (struct vm_frame){c, in, regs};
			c = callee;
			in = c->insns - 1;
			bank[0] = regs = base;
			bank[1] = c->consts;
			break;
		}
		case C_RETURN: {
			struct value v = *V(in->b);

			regs[0] = v;
			if (!vm->depth)
				return RUN_RETURNED;
			const struct vm_frame *f = &vm->frames[--vm->depth];
			c = f->code;
			in = f->pc;
			bank[0] = regs = f->regs;
			bank[1] = c->consts;
			break;
		}
		case C_ACCEPT:
		case C_REJECT:
			if (vm->trace_arena)
				vm_trace_step(vm, c, in, NULL);
			return in->op == C_ACCEPT ? FILTER_ACCEPT : FILTER_REJECT;
		case C_ERROR: return FILTER_ERROR;
		case C_END: return RUN_ENDED;
		case C_PRINT: value_put(&vm->print, V(in->b)); break;
		case C_FLUSH:
			log_msg(LOG_CLASS_INFO, "%s", vm->print_buffer);
			vm->print = text_make(vm->print_buffer, sizeof(vm->print_buffer));
			break;
		case C_FOR_START:
			if (V(in->b)->type != in->x)
				FAIL(type_error(vm,
					in->x == T_PATH     ? "PATH_FOR_NEXT"
					: in->x == T_CLIST  ? "CLIST_FOR_NEXT"
					: in->x == T_ECLIST ? "ECLIST_FOR_NEXT"
							    : "LCLIST_FOR_NEXT",
					1, in->x, V(in->b)->type));
			regs[in->a + 1] = *V(in->b);
			regs[in->a + 2] = (struct value){.type = T_VOID, .u64 = 0};
			break;
		case C_FOR:
			if (!--budget || (!(budget & 255) && arena_bytes(vm->arena) > VM_MEMORY))
				FAIL("Filter takes too long or too much memory");
			if (!for_next(in->x, &regs[in->a]))
				in = c->insns + in->b - 1;
			break;
		case C_SWITCH: in = c->insns + switch_target(&c->switches[in->c], V(in->b)) - 1; break;
		case C_MASK: TRY(build_mask(vm, &c->masks[in->c], regs + in->b, &regs[in->a])); break;
		case C_ROA_ROUTE: TRY(vm_roa_route(vm, &c->roas[in->c], &regs[in->a])); break;
		case C_ROA:
			if (V(in->b)->type != T_NET)
				FAIL(type_error(vm, "ROA_CHECK_EXPLICIT", 1, T_NET, V(in->b)->type));
			if (V(in->c)->type != T_INT)
				FAIL(type_error(vm, "ROA_CHECK_EXPLICIT", 2, T_INT, V(in->c)->type));
			TRY(vm_roa(&c->roas[in->x], V(in->b), V(in->c)->i, &regs[in->a]));
			break;
		case C_ASPA:
			if (V(in->b)->type != T_PATH)
				FAIL(type_error(vm, "ASPA_CHECK_EXPLICIT", 1, T_PATH, V(in->b)->type));
			if (V(in->c)->type != T_BOOL)
				FAIL(type_error(vm, "ASPA_CHECK_EXPLICIT", 2, T_BOOL, V(in->c)->type));
			TRY(vm_aspa(&c->roas[in->x], V(in->b), V(in->c)->b, &regs[in->a]));
			break;
		case C_ASSERT:
			if (V(in->b)->type != T_BOOL)
				FAIL(type_error(vm, "ASSERT", 1, T_BOOL, V(in->b)->type));
			if (!vm->assert_hook)
				FAIL("No bt_assert hook registered, can't assert");
			vm->assert_hook(vm->assert_ctx, V(in->b)->b, V(in->c)->s);
			break;
		case OP_LC: {
			const struct value *r = regs + in->b;

			for (unsigned i = 0; i < 3; i++)
				if (r[i].type != T_INT)
					FAIL(type_error(vm, "LC_CONSTRUCT", i + 1, T_INT, r[i].type));
			regs[in->a] = (struct value){.type = T_LC, .lc = {r[0].i, r[1].i, r[2].i}};
			break;
		}
		default: { /* an operator or a method */
			const struct op_info *info = op_info(in->op);
			const struct value *x = V(in->b), *y = V(in->c);
			struct value v;

			if (__builtin_expect(info->arg[0] && x->type != info->arg[0], 0))
				FAIL(type_error(vm, info->name, 1, info->arg[0], x->type));
			if (__builtin_expect(info->arg[1] && y->type != info->arg[1], 0))
				FAIL(type_error(vm, info->name, 2, info->arg[1], y->type));
			TRY(op_apply(in->op, vm->arena, in->x, x, y, NULL, &v));
			regs[in->a] = v;
		}
		}
	}
failed:
	if (e == vm_held) {
		if (vm->trace_arena)
			vm_trace_step(vm, c, in, NULL);
		return RUN_HELD;
	}
	*error = e;
	*where = c->lines[in - c->insns].line;
	return RUN_FAILED;
#undef V
#undef FAIL
#undef TRY
}

static struct log_limit error_limit; /* one for the process: a broken filter fails for every route */

static void begin(struct filter_vm *vm, const struct filter_route *r, struct attrs *out)
{
	arena_reset(vm->arena);
	vm->route = r;
	vm->attrs = r ? r->attrs : NULL;
	vm->out = out;
	vm->edited = false;
	vm->touched = 0;
	vm->print = text_make(vm->print_buffer, sizeof(vm->print_buffer));
	if (vm->trace_arena) {
		arena_reset(vm->trace_arena);
		vm->steps = NULL;
		vm->n_steps = vm->room_steps = 0;
	}
}

enum filter_verdict filter_run(struct filter_vm *vm, const struct filter *f, const struct filter_route *r,
	bool *changed, struct attrs *out)
{
	const char *error = NULL;
	unsigned line = 0;
	int rc;

	begin(vm, r, out);
	rc = run(vm, f->code, vm->stack, &error, &line);
	*changed = vm->edited;
	switch (rc) {
	case FILTER_ACCEPT:
	case FILTER_REJECT:
	case FILTER_ERROR: return rc;
	case RUN_HELD: return FILTER_REJECT;
	case RUN_FAILED:
		if (log_limit_ok(&error_limit))
			log_msg(LOG_CLASS_ERROR, "filters, line %u: %s", line, error);
		return FILTER_ERROR;
	default:
		if (log_limit_ok(&error_limit))
			log_msg(LOG_CLASS_ERROR,
				"Filter %s did not return accept nor reject. Make up your mind",
				f->name ? f->name : "(unnamed)");
		return FILTER_ERROR;
	}
}

uint64_t filter_vm_touched(const struct filter_vm *vm)
{
	return vm->touched;
}

int filter_eval(struct filter_vm *vm, const struct filter *expression, const struct filter_route *r,
	struct value *out, const char **error)
{
	struct attrs edited; /* functions called may assign; nobody sees it */
	unsigned line = 0;
	int rc;

	begin(vm, r, &edited);
	for (uint32_t i = 0; i < expression->code->n_args; i++)
		vm->stack[i].type = T_VOID;
	rc = run(vm, expression->code, vm->stack, error, &line);
	if (rc == RUN_RETURNED) {
		*out = vm->stack[0];
		return 0;
	}
	if (rc == RUN_FAILED) {
		if (log_limit_ok(&error_limit))
			log_msg(LOG_CLASS_ERROR, "filters, line %u: %s", line, *error);
		return -EINVAL;
	}
	*error = rc == RUN_HELD ? vm_held : "accept or reject in an expression";
	return -EINVAL;
}

bool vm_condition(struct filter_vm *vm, const struct code *c, const struct net *net, struct value *out)
{
	static const struct attrs none;
	struct filter_route r = {.net = net, .attrs = &none};
	const struct filter_route *route = vm->route;
	const struct attrs *attrs = vm->attrs;
	const char *error;
	unsigned line;
	int rc;

	vm->route = &r;
	vm->attrs = &none;
	for (uint32_t i = 0; i < c->n_args; i++)
		vm->stack[i].type = T_VOID;
	rc = run(vm, c, vm->stack, &error, &line);
	vm->route = route;
	vm->attrs = attrs;
	*out = vm->stack[0];
	return rc == RUN_RETURNED;
}

/* For test suites: the value of a call without arguments. */
int filter_vm_call(
	struct filter_vm *vm, const struct code *c, struct value *out, const char **error, unsigned *line)
{
	struct attrs edited;
	int rc;

	begin(vm, NULL, &edited);
	rc = run(vm, c, vm->stack, error, line);
	*out = vm->stack[0];
	return rc == RUN_RETURNED ? 0 : -EINVAL;
}
