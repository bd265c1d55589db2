/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Expressions. From the loosest to the tightest: && and || (equal, from the
 * left), comparisons (which do not chain), + - ++, * /, !, method calls.
 */
#include "controlplane/config/model.h"
#include "controlplane/filter/code.h"
#include "controlplane/filter/parse.h"
#include <string.h>

#define CHAIN_MAX                                                                                            \
	5000 /* operators of one level in a row: the tree leans to the left, and is walked recursively */

static void count_chain(struct parser *p, unsigned *n)
{
	if (++*n > CHAIN_MAX)
		parser_fail(p, "Expression too long");
}

bool parse_at_word(const struct parser *p, const char *word)
{
	return parser_is(p, word) && !parser_symbol(p);
}

const struct word *parse_word(const struct parser *p)
{
	return parser_is_word(p) && !p->tok.quoted && !parser_symbol(p) ? word_find(p->tok.text) : NULL;
}

struct node *parse_arguments(struct parser *p)
{
	struct node *first = NULL, **tail = &first;

	if (p->tok.kind == ')')
		return NULL;
	do {
		struct node *n = parse_expression(p);

		*tail = n;
		tail = &n->next;
	} while (parser_accept_char(p, ','));
	if (p->tok.kind != ')')
		parser_syntax_error(p, "',' or ')'");
	return first;
}

struct node *parse_method(struct parser *p, struct node *object)
{
	const char *name = p->tok.text;
	struct node *args = NULL, *n;
	bool takes;

	if (!parser_is_word(p))
		parser_syntax_error(p, "CF_SYM_METHOD_BARE or CF_SYM_METHOD_ARGS");
	if (object->type == T_VOID)
		parser_fail(p,
			"Can't infer type to properly call a method, please assign the value to a variable");
	if (!method_exists(object->type, name, &takes))
		parser_fail(p, "Type %s has no method '%s'", value_type_name(object->type), name);
	parser_next(p);
	if (!takes)
		return node_method(p, name, object, NULL, true);
	parser_expect_char(p, '(');
	args = parse_arguments(p);
	n = node_method(p, name, object, args, true);
	parser_next(p);
	return n;
}

/* prepend(path, asn) and the like: methods as functions */
static struct node *function_style(struct parser *p)
{
	const char *name = p->tok.text;
	struct node *object, *arg;
	bool takes;

	parser_next(p);
	parser_expect_char(p, '(');
	object = parse_expression(p);
	parser_expect_char(p, ',');
	arg = parse_expression(p);
	if (p->tok.kind != ')')
		parser_syntax_error(p, "')'");
	if (!method_exists(object->type, name, &takes))
		parser_fail(p, "Cannot dispatch method '%s'", name);
	object = node_method(p, name, object, arg, false);
	parser_next(p);
	return object;
}

static struct node *call(struct parser *p, struct symbol *sym)
{
	struct node *n = node_new(p, N_CALL), *arg;
	const struct filter_function *f = sym->function;
	unsigned count = 0;

	parser_next(p);
	if (sym->cls != SYM_FUNCTION)
		parser_fail(p, "You can't call something which is not a function. Really.");
	parser_expect_char(p, '(');
	n->a = parse_arguments(p);
	for (arg = n->a; arg; arg = arg->next)
		count++;
	if (count != f->n_args)
		parser_fail(p, "Function '%s' expects %u arguments, got %u arguments", sym->name, f->n_args,
			count);
	count = 0;
	for (arg = n->a; arg; arg = arg->next, count++)
		if (arg->type && arg->type != f->arg_types[count] &&
			!node_promote(arg, f->arg_types[count], true))
			parser_fail(p, "Argument %u of '%s' must be %s, got %s", count + 1, sym->name,
				value_type_name(f->arg_types[count]), value_type_name(arg->type));
	parser_next(p);
	n->function = (struct filter_function *)f;
	n->type = f->return_type;
	return n;
}

static struct node *symbol_value(struct parser *p, struct symbol *sym)
{
	struct node *n;

	if (parser_peek(p)->kind == '(')
		return call(p, sym);
	switch (sym->cls) {
	case SYM_CONSTANT: n = node_const(p, sym->value); break;
	case SYM_VARIABLE:
		n = node_new(p, N_VAR);
		n->slot = sym->index;
		n->type = sym->type;
		break;
	case SYM_ATTRIBUTE:
		n = node_attr(p, &(struct attr_word){FA_EXTRA, false, sym->type, sym->index});
		break;
	default: parser_fail(p, "Can't get value of symbol %s", sym->name);
	}
	parser_next(p);
	return n;
}

static const char *table_name(struct parser *p, bool aspa, enum net_type *type)
{
	struct symbol *sym = parser_symbol(p);

	if (!sym)
		parser_syntax_error(p, "CF_SYM_KNOWN");
	if (sym->cls != SYM_TABLE)
		parser_fail(p, "Table name required");
	*type = sym->table->net;
	if (aspa && *type != NET_ASPA)
		parser_fail(p, "Table type must be ASPA");
	if (!aspa && *type != NET_ROA4 && *type != NET_ROA6)
		parser_fail(p, "Table type must be either ROA4 or ROA6");
	parser_next(p);
	return sym->name;
}

static struct node *roa_check(struct parser *p)
{
	struct node *n = node_new(p, N_ROA);

	parser_next(p);
	parser_expect_char(p, '(');
	n->table = table_name(p, false, &n->table_type);
	n->type = T_ENUM_ROA;
	n->definite = true;
	if (parser_accept_char(p, ',')) {
		n->a = parse_expression(p);
		parser_expect_char(p, ',');
		n->b = parse_expression(p);
		if (p->tok.kind != ')')
			parser_syntax_error(p, "')'");
		node_want(p, n->a, 1, "ROA_CHECK_EXPLICIT", T_NET);
		node_want(p, n->b, 2, "ROA_CHECK_EXPLICIT", T_INT);
	}
	parser_expect_char(p, ')');
	return n;
}

/* aspa_check(table, path, upstream); aspa_check_upstream(table) and _downstream take the route's path. */
static struct node *aspa_check(struct parser *p)
{
	struct node *n = node_new(p, N_ASPA);
	bool explicit = parser_is(p, "aspa_check"), upstream = parser_is(p, "aspa_check_upstream");

	parser_next(p);
	parser_expect_char(p, '(');
	n->table = table_name(p, true, &n->table_type);
	n->type = T_ENUM_ASPA;
	n->definite = true;
	if (explicit) {
		parser_expect_char(p, ',');
		n->a = parse_expression(p);
		parser_expect_char(p, ',');
		n->b = parse_expression(p);
	} else {
		n->a = node_attr(p, &(struct attr_word){FA_PATH, false, T_PATH, 0});
		n->b = node_const(p, (struct value){.type = T_BOOL, .b = upstream});
	}
	node_want(p, n->a, 1, "ASPA_CHECK_EXPLICIT", T_PATH);
	node_want(p, n->b, 2, "ASPA_CHECK_EXPLICIT", T_BOOL);
	parser_expect_char(p, ')');
	return n;
}

static struct node *one_argument(struct parser *p, enum filter_op op)
{
	struct node *n;

	parser_next(p);
	parser_expect_char(p, '(');
	n = parse_expression(p);
	if (p->tok.kind != ')')
		parser_syntax_error(p, "')'");
	n = node_op(p, op, n, NULL, NULL, 0);
	parser_next(p);
	return n;
}

static struct node *word_value(struct parser *p)
{
	const struct word *w;
	struct node *n;
	static const char *const styles[] = {"prepend", "append", "add", "delete", "filter"};

	if (parser_is(p, "true") || parser_is(p, "false")) {
		n = node_const(p, (struct value){.type = T_BOOL, .b = parser_is(p, "true")});
		parser_next(p);
		return n;
	}
	if (parser_is(p, "defined"))
		return one_argument(p, OP_DEFINED);
	if (parser_is(p, "format"))
		return one_argument(p, OP_FORMAT);
	if (parser_is(p, "from_hex"))
		return one_argument(p, OP_FROM_HEX);
	if (parser_is(p, "roa_check"))
		return roa_check(p);
	if (parser_is(p, "aspa_check") || parser_is(p, "aspa_check_upstream") ||
		parser_is(p, "aspa_check_downstream"))
		return aspa_check(p);
	for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++)
		if (parser_is(p, styles[i]))
			return function_style(p);
	if ((n = parse_other_net(p)))
		return n;
	w = word_find(p->tok.text);
	if (!w || w->kind == WORD_TYPE)
		parser_syntax_error(p, NULL);
	if (w->kind == WORD_ENUM)
		n = node_const(p, (struct value){.type = w->type, .i = w->number});
	else
		n = node_attr(p, &(struct attr_word){w->attr, w->readonly, w->type, w->number});
	parser_next(p);
	return n;
}

/* After '(': an expression in parentheses, or a pair, a large or an extended community. */
static struct node *parenthesised(struct parser *p)
{
	struct node *a, *b, *c, *n;

	if (parse_at_word(p, "rt") || parse_at_word(p, "ro") || parse_at_word(p, "unknown") ||
		parse_at_word(p, "generic")) {
		uint32_t kind = parse_ec_kind(p);

		parser_expect_char(p, ',');
		a = parse_expression(p);
		parser_expect_char(p, ',');
		b = parse_expression(p);
		if (p->tok.kind != ')')
			parser_syntax_error(p, "')'");
		n = node_op(p, OP_EC, a, b, NULL, kind);
		parser_next(p);
		return n;
	}
	a = parse_expression(p);
	if (parser_accept_char(p, ')'))
		return a;
	if (p->tok.kind != ',')
		parser_syntax_error(p, "',' or ')'");
	parser_next(p);
	b = parse_expression(p);
	if (p->tok.kind == ')') {
		n = node_op(p, OP_PAIR, a, b, NULL, 0);
		parser_next(p);
		return n;
	}
	if (p->tok.kind != ',')
		parser_syntax_error(p, "',' or ')'");
	parser_next(p);
	c = parse_expression(p);
	if (p->tok.kind != ')')
		parser_syntax_error(p, "')'");
	n = node_op(p, OP_LC, a, b, c, 0);
	parser_next(p);
	return n;
}

/* +empty+, -empty-, --empty--, ---empty--- */
static struct node *empty_list(struct parser *p)
{
	static const enum value_type types[] = {T_VOID, T_CLIST, T_ECLIST, T_LCLIST};
	unsigned n = 0;

	if (parser_accept_char(p, '+')) {
		parser_expect(p, "empty");
		parser_expect_char(p, '+');
		return node_const(p, value_empty(T_PATH));
	}
	while (n < 3 && parser_accept_char(p, '-'))
		n++;
	parser_expect(p, "empty");
	for (unsigned i = 0; i < n; i++)
		parser_expect_char(p, '-');
	return node_const(p, value_empty(types[n]));
}

static struct node *primary(struct parser *p)
{
	struct value v = {.type = T_VOID};
	struct symbol *sym;
	struct node *n;

	switch (p->tok.kind) {
	case TOK_NUMBER: v = (struct value){.type = T_INT, .i = p->tok.number}; break;
	case TOK_TEXT: v = (struct value){.type = T_STRING, .s = p->tok.text}; break;
	case TOK_BYTES: v = (struct value){.type = T_BYTESTRING, .bytes = p->tok.bytes}; break;
	case TOK_MAC:
		v.type = T_MAC;
		memcpy(v.mac, p->tok.mac, 6);
		break;
	case TOK_IP4:
	case TOK_IP6: return parse_address(p);
	case TOK_RD: return parse_vpn(p);
	case '[': return parse_set(p);
	case TOK_PO: return parse_mask(p);
	case '+':
	case '-': return empty_list(p);
	case '(': parser_next(p); return parenthesised(p);
	case TOK_SYMBOL:
	case TOK_KEYWORD:
		sym = parser_symbol(p);
		if (sym)
			return symbol_value(p, sym);
		if (p->tok.quoted)
			parser_syntax_error(p, NULL);
		return word_value(p);
	default: parser_syntax_error(p, NULL);
	}
	n = node_const(p, v);
	parser_next(p);
	return n;
}

static struct node *postfix(struct parser *p)
{
	struct node *n = primary(p);
	unsigned chain = 0;

	while (parser_accept_char(p, '.')) {
		count_chain(p, &chain);
		n = parse_method(p, n);
	}
	return n;
}

static struct node *unary(struct parser *p)
{
	if (p->tok.kind == '!') {
		struct node *n;

		parser_next(p);
		parser_enter(p);
		n = node_op(p, OP_NOT, unary(p), NULL, NULL, 0);
		parser_leave(p);
		return n;
	}
	return postfix(p);
}

static struct node *product(struct parser *p)
{
	struct node *n = unary(p);
	unsigned chain = 0;

	for (;;) {
		enum filter_op op = p->tok.kind == '*'   ? OP_MULTIPLY
				    : p->tok.kind == '/' ? OP_DIVIDE
							 : OP_NONE;

		if (!op)
			return n;
		count_chain(p, &chain);
		parser_next(p);
		n = node_op(p, op, n, unary(p), NULL, 0);
	}
}

static struct node *sum(struct parser *p)
{
	struct node *n = product(p), *right;
	unsigned chain = 0;
	int kind;
	bool takes;

	for (;;) {
		kind = p->tok.kind;
		if (kind != '+' && kind != '-' && kind != TOK_PLUSPLUS)
			return n;
		count_chain(p, &chain);
		parser_next(p);
		right = product(p);
		if (kind == TOK_PLUSPLUS) {
			if (!method_exists(n->type, "append", &takes))
				parser_fail(p, "Cannot dispatch method 'append'");
			n = node_method(p, "append", n, right, false);
		} else {
			n = node_op(p, kind == '+' ? OP_ADD : OP_SUBTRACT, n, right, NULL, 0);
		}
	}
}

static enum filter_op comparison(int kind)
{
	switch (kind) {
	case '=': return OP_EQ;
	case TOK_NEQ: return OP_NEQ;
	case '<': return OP_LT;
	case TOK_LEQ: return OP_LTE;
	case '>': return OP_LT;
	case TOK_GEQ: return OP_LTE;
	case '~': return OP_MATCH;
	case TOK_NMA: return OP_NOT_MATCH;
	default: return OP_NONE;
	}
}

static struct node *relation(struct parser *p)
{
	struct node *n = sum(p), *right;
	int kind = p->tok.kind;
	enum filter_op op = comparison(kind);

	if (!op)
		return n;
	parser_next(p);
	right = sum(p);
	if (comparison(p->tok.kind))
		parser_syntax_error(p, NULL);
	if (kind == '>' || kind == TOK_GEQ)
		return node_op(p, op, right, n, NULL, 0);
	return node_op(p, op, n, right, NULL, 0);
}

struct node *parse_expression(struct parser *p)
{
	struct node *n;
	unsigned chain = 0;

	parser_enter(p);
	n = relation(p);
	while (p->tok.kind == TOK_AND || p->tok.kind == TOK_OR) {
		enum node_kind kind = p->tok.kind == TOK_AND ? N_AND : N_OR;

		count_chain(p, &chain);
		parser_next(p);
		n = node_and_or(p, kind, n, relation(p));
	}
	parser_leave(p);
	return n;
}
