/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/filter/ast.h"
#include <stdio.h>
#include <string.h>

struct node *node_new(struct parser *p, enum node_kind kind)
{
	struct node *n = arena_alloc(p->arena, sizeof(*n));

	n->kind = kind;
	n->file = p->tok.file;
	n->line = p->tok.line;
	return n;
}

struct node *node_const(struct parser *p, struct value v)
{
	struct node *n = node_new(p, N_CONST);

	n->value = v;
	n->type = v.type;
	n->definite = v.type != T_VOID;
	return n;
}

bool node_promote(struct node *n, enum value_type want, bool update)
{
	if (n->kind != N_CONST)
		return false;
	if (n->type == T_IP && want == T_QUAD && ipaddr_is_v4(&n->value.ip)) {
		if (update)
			n->value = (struct value){.type = T_QUAD, .i = ntohl(ipaddr_to_v4(&n->value.ip))};
	} else if (n->type == T_SET && want == T_PREFIX_SET && !n->value.set) {
		if (update)
			n->value = (struct value){.type = T_PREFIX_SET};
	} else {
		return false;
	}
	if (update)
		n->type = want;
	return true;
}

void node_want(struct parser *p, struct node *n, unsigned argument, const char *what, enum value_type want)
{
	if (n->type && n->type != want && !node_promote(n, want, true))
		parser_fail(p, "Argument %u of %s must be of type %s, got type %s", argument, what,
			value_type_name(want), value_type_name(n->type));
}

struct node *node_op(
	struct parser *p, enum filter_op op, struct node *a, struct node *b, struct node *c, uint32_t extra)
{
	const struct op_info *info = op_info(op);
	struct node *args[3] = {a, b, c};
	bool constant = true;

	for (unsigned i = 0; i < info->n_args; i++) {
		if (info->arg[i])
			node_want(p, args[i], i + 1, info->name, info->arg[i]);
		constant = constant && args[i]->kind == N_CONST;
	}
	if ((op == OP_EQ || op == OP_NEQ || op == OP_LT || op == OP_LTE) && a->type && b->type &&
		a->type != b->type && !node_promote(b, a->type, true) && !node_promote(a, b->type, true) &&
		(op == OP_LT || op == OP_LTE))
		parser_fail(p, "Arguments 1 and 2 of %s must be of the same type", info->name);

	struct node *n = node_new(p, N_OP);
	n->line = a->line;
	n->op = (uint8_t)op;
	n->type = info->result;
	n->definite = true;
	n->extra = extra;
	n->a = a;
	n->b = b;
	n->c = c;
	if (constant) {
		const struct value *x = &a->value, *y = b ? &b->value : NULL, *z = c ? &c->value : NULL;
		const struct value *values[3] = {x, y, z};
		unsigned wrong = op_check(op, values, info->n_args);
		struct value v = {.type = T_VOID};

		if (wrong)
			parser_fail(p,
				"filter preevaluation, line %u: Argument %u of %s must be of type %s, got "
				"type %s",
				n->line, wrong, info->name, value_type_name(info->arg[wrong - 1]),
				value_type_name(values[wrong - 1]->type));
		const char *error = op_apply(op, p->arena, extra, x, y, z, &v);
		if (error)
			parser_fail(p, "filter preevaluation, line %u: %s", n->line, error);
		n->kind = N_CONST;
		n->value = v;
		n->type = v.type;
	}
	return n;
}

struct node *node_and_or(struct parser *p, enum node_kind kind, struct node *a, struct node *b)
{
	const char *name = kind == N_AND ? "AND" : "OR";
	struct node *n;

	node_want(p, a, 1, name, T_BOOL);
	node_want(p, b, 2, name, T_BOOL);
	if (a->kind == N_CONST && a->type == T_BOOL)
		return a->value.b == (kind == N_AND) ? b : a;
	n = node_new(p, kind);
	n->type = T_BOOL;
	n->definite = b->definite;
	n->a = a;
	n->b = b;
	return n;
}

struct node *node_attr(struct parser *p, const struct attr_word *w)
{
	struct node *n = node_new(p, N_ATTR);

	n->attr = w->attr;
	n->extra = w->extra;
	n->type = w->type;
	n->definite = w->attr <= FA_LAST_STATIC || value_type_is_list(w->type);
	return n;
}

static bool receiver(enum filter_op op, enum value_type type, const char *name)
{
	const struct op_info *info = op_info(op);

	return info->method && info->arg[0] == type && !strcmp(info->method, name);
}

bool method_exists(enum value_type type, const char *name, bool *takes_arguments)
{
	for (enum filter_op op = OP_NONE + 1; op < OP_VALUES_END; op++)
		if (receiver(op, type, name)) {
			*takes_arguments = op_info(op)->n_args > 1;
			return true;
		}
	return false;
}

/* Among the methods of that name the one that takes the argument; if there is none, says what they would
 * take. */
struct node *node_method(
	struct parser *p, const char *name, struct node *object, struct node *args, bool dotted)
{
	char wanted[128] = "";
	bool found = false;

	/* From the last to the first, which is the order in which BIRD tries them (and lists them). */
	for (enum filter_op op = OP_VALUES_END - 1; op > OP_NONE; op--) {
		const struct op_info *info = op_info(op);

		if (!receiver(op, object->type, name))
			continue;
		found = true;
		if (info->n_args == 1) {
			if (args)
				parser_fail(p, "Argument %u of '%s' expected none, got %s", dotted ? 1 : 2,
					name, value_type_name(args->type));
			return node_op(p, op, object, NULL, NULL, 0);
		}
		if (args && !args->next && args->type &&
			(args->type == info->arg[1] || node_promote(args, info->arg[1], false))) {
			if (op == OP_CLIST_ADD_IP || op == OP_CLIST_DELETE_IP)
				parser_warn(p, &p->tok,
					"Method %s(clist, ip) is deprecated, please use %s(clist, quad)",
					name, name);
			return node_op(p, op, object, args, NULL, 0);
		}
		size_t n = strlen(wanted);

		snprintf(wanted + n, sizeof(wanted) - n, "%s%s", n ? " / " : "",
			value_type_name(info->arg[1]));
	}
	if (!found)
		parser_fail(p, "Type %s has no method '%s'", value_type_name(object->type), name);
	if (!args)
		parser_fail(p, "Argument %u of '%s' expected %s, got none", dotted ? 1 : 2, name, wanted);
	if (args->next)
		parser_fail(p, "Argument %u of '%s' expected none, got %s", dotted ? 2 : 3, name,
			value_type_name(args->next->type));
	if (!args->type)
		parser_fail(p, "Cannot infer type of argument %u of '%s', please assign it to a variable",
			dotted ? 1 : 2, name);
	parser_fail(p, "Argument %u of '%s' expected %s, got %s", dotted ? 1 : 2, name, wanted,
		value_type_name(args->type));
}
