/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a filter wants to know about the prefix, found while it is compiled: the
 * largest parts of its expressions that depend on the prefix and on nothing
 * else, and have few values. See filter_net_key().
 */
#include "controlplane/filter/ast.h"
#include "controlplane/filter/code.h"
#include <string.h>

enum on_net { ON_NET_UNKNOWN, ON_NET_CONSTANT /* depends on nothing */, ON_NET_ONLY, ON_NET_OTHER };

/* A function that could as well be written out as a condition. */
static bool depends_on_net_alone(const struct code *c)
{
	return !(c->reads & ~(uint32_t)FILTER_READS_NET) && !(c->attrs_read & ~(UINT64_C(1) << FA_NET)) &&
	       !c->decides;
}

static enum on_net on_net(struct node *n)
{
	enum on_net worst = ON_NET_CONSTANT, sub;
	struct node *operand[3] = {n->a, n->b, n->c};

	if (n->on_net)
		return n->on_net;
	switch (n->kind) {
	case N_CONST: break;
	case N_ATTR: worst = n->attr == FA_NET ? ON_NET_ONLY : ON_NET_OTHER; break;
	case N_OP:
	case N_AND:
	case N_OR:
		for (int i = 0; i < 3; i++)
			if (operand[i] && (sub = on_net(operand[i])) > worst)
				worst = sub;
		break;
	case N_CALL:
		if (!n->function->code || !depends_on_net_alone(n->function->code)) {
			worst = ON_NET_OTHER;
			break;
		}
		if (n->function->code->reads & FILTER_READS_NET)
			worst = ON_NET_ONLY;
		for (struct node *arg = n->a; arg; arg = arg->next)
			if ((sub = on_net(arg)) > worst)
				worst = sub;
		break;
	default: worst = ON_NET_OTHER;
	}
	n->on_net = (uint8_t)worst;
	return worst;
}

static bool is_of_net(const struct node *n, enum filter_op op)
{
	return n->kind == N_OP && n->op == op && n->a->kind == N_ATTR && n->a->attr == FA_NET;
}

/* Width of the value in a key, an error included; 0: too many values. */
static unsigned key_bits(const struct node *n)
{
	if (n->type == T_BOOL)
		return 2;
	if (n->type == T_ENUM_NETTYPE)
		return 5;
	if (n->kind == N_OP && n->op == OP_NET_LEN)
		return 8;
	return 0;
}

/* net.len or net.type against a number, either way round: the numbers for which it is true, or (negate) is
 * not. */
static void as_test(const struct node *n, struct net_condition *c)
{
	bool swapped = n->a->kind == N_CONST;
	const struct node *value = swapped ? n->b : n->a, *number = swapped ? n->a : n->b;
	bool len = is_of_net(value, OP_NET_LEN);

	if (number->kind != N_CONST || number->type != value->type || !(len || is_of_net(value, OP_NET_TYPE)))
		return;
	c->lo = c->hi = number->value.i;
	switch (n->op) {
	case OP_EQ: break;
	case OP_NEQ: c->negate = true; break;
	case OP_LT: /* value < k: not k and above; k < value: not k and below */
	case OP_LTE:
		c->negate = n->op == OP_LT;
		if (swapped == c->negate)
			c->lo = 0;
		else
			c->hi = UINT32_MAX;
		break;
	default: return;
	}
	c->ask = len ? ASK_LEN_TEST : ASK_TYPE_TEST;
}

/* The ways to ask it that need no code. */
static void simplify(const struct node *n, struct net_condition *c)
{
	if (n->kind != N_OP)
		return;
	if ((n->op == OP_MATCH || n->op == OP_NOT_MATCH) && n->a->kind == N_ATTR && n->b->kind == N_CONST &&
		n->b->type == T_PREFIX_SET) {
		c->ask = ASK_SET;
		c->set = n->b->value.pset;
		c->negate = n->op == OP_NOT_MATCH;
	} else if (is_of_net(n, OP_NET_LEN)) {
		c->ask = ASK_LEN;
	} else if (is_of_net(n, OP_NET_TYPE)) {
		c->ask = ASK_TYPE;
	} else if (node_is_comparison(n)) {
		as_test(n, c);
	}
}

enum net_condition_kind net_condition_of(struct arena *scratch, struct node *n, struct net_condition *out)
{
	struct node *rest;

	memset(out, 0, sizeof(*out));
	if (on_net(n) != ON_NET_ONLY)
		return NET_CONDITION_NONE;
	out->bits = (uint8_t)key_bits(n);
	if (!out->bits) /* of an operator, perhaps an operand will do: net.len of net.len + 1 */
		return n->kind == N_ATTR || n->kind == N_CALL ? NET_CONDITION_FREE : NET_CONDITION_NONE;
	simplify(n, out);
	rest = n->next; /* it may stand in a list of arguments */
	n->next = NULL;
	out->code = code_compile(scratch, COMPILE_EXPRESSION, n, 0, 0, NULL, NULL);
	n->next = rest;
	return NET_CONDITION_ITSELF;
}
