/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands: what stands between the braces of a filter or function. */
#include "controlplane/filter/code.h"
#include "controlplane/filter/parse.h"
#include <string.h>

static struct node *parse_command(struct parser *p);

/* ---- types and variables ---- */

bool parse_at_type(const struct parser *p)
{
	const struct word *w = parse_word(p);

	return (w && w->kind == WORD_TYPE) || parse_at_word(p, "enum");
}

enum value_type parse_type(struct parser *p)
{
	const struct word *w = parser_is_word(p) ? word_find(p->tok.text) : NULL;
	enum value_type t = T_VOID;

	if (parser_is(p, "enum")) {
		parser_next(p);
		if (parser_is_word(p))
			t = word_enum_type(p->tok.text);
		if (!t)
			parser_syntax_error(
				p, "RTS or BGP_ORIGIN or SCOPE or RTD or ROA or ASPA or NET_TYPE or AF");
	} else if (w && w->kind == WORD_TYPE) {
		t = w->type;
	} else {
		parser_syntax_error(p, NULL);
	}
	parser_next(p);
	if (parse_at_word(p, "set")) {
		if (t == T_NET)
			t = T_PREFIX_SET;
		else if (set_type_valid(t))
			t = T_SET;
		else
			parser_fail(p, "You can't create sets of this type.");
		parser_next(p);
	}
	if (t == T_ROUTE)
		parser_fail(p, "Values of type route are not supported");
	return t;
}

static uint32_t new_slot(struct parser *p)
{
	struct frame *f = parser_frame(p);

	if (f->slots >= 255)
		parser_fail(p, "Too many variables, at most 255 allowed");
	if (f->slots + 1 > f->most_slots)
		f->most_slots = f->slots + 1;
	return f->slots++;
}

static struct symbol *define_variable(struct parser *p, const struct token *name, enum value_type type)
{
	struct symbol *sym = parser_define(p, name, SYM_VARIABLE);

	sym->type = type;
	sym->index = new_slot(p);
	return sym;
}

struct node *parse_declarations(struct parser *p)
{
	struct node *first = NULL, **tail = &first;

	while (p->tok.kind != '{') {
		if (!parse_at_type(p))
			parser_syntax_error(p, "'{'");
		enum value_type type = parse_type(p);
		struct token name = p->tok;
		struct node *n = node_new(p, N_INIT);

		if (!parser_is_word(p))
			parser_syntax_error(p, NULL);
		parser_next(p);
		n->slot = define_variable(p, &name, type)->index;
		n->type = type;
		parser_expect_char(p, ';');
		*tail = n;
		tail = &n->next;
	}
	return first;
}

static struct node *variable(struct parser *p)
{
	struct node *n = node_new(p, N_INIT);
	enum value_type type = parse_type(p);
	struct token name = p->tok;

	if (!parser_is_word(p))
		parser_syntax_error(p, NULL);
	parser_next(p);
	if (p->tok.kind == '=') {
		parser_next(p);
		n->a = parse_expression(p); /* the new name is not known in it */
		if (p->tok.kind != ';')
			parser_syntax_error(p, "';'");
		n->slot = define_variable(p, &name, type)->index;
		node_want(p, n->a, 1, "VAR_INIT", type);
	} else {
		if (p->tok.kind != ';')
			parser_syntax_error(p, "';'");
		n->slot = define_variable(p, &name, type)->index;
	}
	n->type = type;
	parser_next(p);
	return n;
}

/* ---- blocks ---- */

static struct node *commands_until(struct parser *p, bool in_case)
{
	struct node *first = NULL, **tail = &first;

	while (p->tok.kind != '}') {
		struct node *n;

		if (in_case && p->tok.kind == TOK_ELSECOL)
			break;
		/* Labels cannot start a command, nor commands a label. */
		if (in_case &&
			(p->tok.kind == TOK_NUMBER || p->tok.kind == TOK_IP4 || p->tok.kind == TOK_IP6 ||
				p->tok.kind == TOK_RD || p->tok.kind == TOK_MAC || p->tok.kind == '('))
			break;
		const struct word *w = in_case ? parse_word(p) : NULL;
		if (w && w->kind == WORD_ENUM)
			break;
		n = parse_at_type(p) ? variable(p) : parse_command(p);
		*tail = n;
		while (*tail)
			tail = &(*tail)->next;
	}
	return first;
}

static struct node *scoped(struct parser *p, bool in_case)
{
	struct frame *f = parser_frame(p);
	uint32_t slots = f->slots;
	struct symbol_scope *outer = p->scope;
	struct node *n = node_new(p, N_BLOCK);

	parser_enter(p);
	p->scope = symbol_scope_push(p->arena, outer);
	n->a = commands_until(p, in_case);
	p->scope = outer;
	f->slots = slots;
	parser_leave(p);
	return n;
}

struct node *parse_block(struct parser *p)
{
	struct node *n;

	parser_expect_char(p, '{');
	n = scoped(p, false);
	parser_expect_char(p, '}');
	return n;
}

/* ---- statements ---- */

static void end_of_command(struct parser *p)
{
	if (p->tok.kind != ';')
		parser_syntax_error(p, "';'");
}

/* A chain of else if is a list here, however long: it does not nest. */
static struct node *if_command(struct parser *p)
{
	struct node *first = NULL, **link = &first, *n;

	parser_enter(p);
	do {
		n = node_new(p, N_IF);
		*link = n;
		link = &n->c;
		parser_next(p);
		n->a = parse_expression(p);
		parser_expect(p, "then");
		node_want(p, n->a, 1, "CONDITION", T_BOOL);
		n->b = parse_command(p);
		if (!parser_accept(p, "else"))
			break;
		if (!parse_at_word(p, "if")) {
			n->c = parse_command(p);
			break;
		}
	} while (true);
	parser_leave(p);
	return first;
}

static struct node *constant_case(struct parser *p, const struct value *v, const struct cases *c)
{
	const struct set_builder *l = &c->labels;
	struct case_branch *b = c->first;
	uint32_t branch = c->otherwise;

	for (uint32_t i = 0; i < l->n; i++) {
		struct value lo = set_key_value(l->type, &l->ranges[i].lo),
			     hi = set_key_value(l->type, &l->ranges[i].hi);
		bool ok_lo, ok_hi;

		if (value_compare(v, &lo, &ok_lo) >= 0 && value_compare(v, &hi, &ok_hi) <= 0 && ok_lo &&
			ok_hi) {
			branch = l->ranges[i].tag;
			break;
		}
	}
	for (uint32_t i = 0; b && i < branch; i++)
		b = b->next;
	return b ? b->commands : node_new(p, N_BLOCK);
}

static struct node *case_command(struct parser *p)
{
	struct node *n = node_new(p, N_CASE);
	struct cases *c = arena_alloc(p->arena, sizeof(*c));

	parser_next(p);
	n->a = parse_expression(p);
	n->cases = c;
	c->labels.arena = p->arena;
	c->otherwise = UINT32_MAX;
	parser_expect_char(p, '{');
	while (p->tok.kind != '}') {
		struct case_branch *branch = arena_alloc(p->arena, sizeof(*branch));

		if (p->tok.kind == TOK_ELSECOL) {
			if (c->otherwise != UINT32_MAX)
				parser_fail(p, "Overlaping intervals in switch cases not allowed");
			c->otherwise = c->n;
			parser_next(p);
		} else {
			parse_set_items(p, &c->labels, c->n, false);
			parser_expect_char(p, ':');
		}
		branch->commands = scoped(p, true);
		if (c->last)
			c->last->next = branch;
		else
			c->first = branch;
		c->last = branch;
		c->n++;
	}
	if (n->a->kind ==
		N_CONST) { /* the branch is known; as in BIRD nobody minds labels that overlap then */
		parser_next(p);
		return constant_case(p, &n->a->value, c);
	}
	if (!set_builder_sort(&c->labels, false))
		parser_fail(p, "Overlaping intervals in switch cases not allowed");
	parser_next(p);
	return n;
}

static enum value_type element_type(enum value_type t)
{
	switch (t) {
	case T_PATH: return T_INT;
	case T_CLIST: return T_PAIR;
	case T_ECLIST: return T_EC;
	case T_LCLIST: return T_LC;
	default: return T_VOID;
	}
}

static struct node *for_command(struct parser *p)
{
	struct node *n = node_new(p, N_FOR);
	struct frame *f = parser_frame(p);
	uint32_t slots = f->slots;
	struct symbol_scope *outer = p->scope, *inner = symbol_scope_push(p->arena, outer);
	struct symbol *var;
	struct token name;
	enum value_type type, element;

	parser_next(p);
	if (parser_symbol(p))
		parser_fail(p, "Use of a pre-defined variable in for loop is not allowed");
	type = parse_type(p);
	name = p->tok;
	if (!parser_is_word(p))
		parser_syntax_error(p, NULL);
	parser_next(p);
	p->scope = inner;
	var = define_variable(p, &name, type);
	n->slot = var->index;
	new_slot(p); /* the list, and how far the loop is in it */
	new_slot(p);
	p->scope = outer; /* what is walked does not see the variable */
	parser_expect(p, "in");
	n->a = parse_expression(p);
	parser_expect(p, "do");
	if (!n->a->type)
		parser_fail(p, "Cannot infer type of FOR expression, please assign it to a variable");
	element = element_type(n->a->type);
	if (!element)
		parser_fail(p, "Type %s is not iterable, can't be used in FOR", value_type_name(n->a->type));
	if (element != type)
		parser_fail(p, "Loop variable '%s' in FOR must be of type %s, got %s", var->name,
			value_type_name(element), value_type_name(type));
	n->type = n->a->type;
	p->scope = inner;
	parser_enter(p);
	n->b = parse_command(p);
	parser_leave(p);
	p->scope = outer;
	f->slots = slots;
	return n;
}

static struct node *return_command(struct parser *p)
{
	struct node *n = node_new(p, N_RETURN);
	struct filter_function *f = parser_frame(p)->function;

	parser_next(p);
	n->a = parse_expression(p);
	end_of_command(p);
	if (!f)
		parser_fail(p, "Can't return from a non-function, use accept or reject instead.");
	if (!f->return_type) {
		if (n->a->type)
			parser_warn(p, &p->tok, "Inferring function %s return type from its return value: %s",
				f->name, value_type_name(n->a->type));
		f->return_type = n->a->type;
	} else if (n->a->type && f->return_type != n->a->type && !node_promote(n->a, f->return_type, true)) {
		parser_fail(p, "Can't return type %s from function %s, expected %s",
			value_type_name(n->a->type), f->name, value_type_name(f->return_type));
	}
	parser_next(p);
	return n;
}

static struct node *print_command(struct parser *p, enum node_verdict verdict, bool newline)
{
	struct node *n = node_new(p, N_PRINT), **tail = &n->a;

	parser_next(p);
	n->verdict = (uint8_t)verdict;
	if (p->tok.kind != ';') {
		do {
			*tail = parse_expression(p);
			tail = &(*tail)->next;
		} while (parser_accept_char(p, ','));
	}
	n->extra = newline && (verdict == VERDICT_NONE || n->a);
	end_of_command(p);
	parser_next(p);
	return n;
}

static struct node *unset_command(struct parser *p)
{
	struct node *n = node_new(p, N_UNSET);
	struct symbol *sym;
	const struct word *w;

	parser_next(p);
	parser_expect_char(p, '(');
	sym = parser_symbol(p);
	if (sym) {
		if (sym->cls != SYM_ATTRIBUTE)
			parser_fail(p, "Can't unset symbol %s", sym->name);
		n->attr = FA_EXTRA;
		n->extra = sym->index;
	} else {
		w = parse_word(p);
		if (!w || w->kind != WORD_ATTR || w->attr <= FA_LAST_STATIC)
			parser_syntax_error(p, NULL);
		n->attr = w->attr;
		n->extra = w->number;
	}
	parser_next(p);
	parser_expect_char(p, ')');
	end_of_command(p);
	parser_next(p);
	return n;
}

/* What stands on the left: reading it and writing it. */
struct lvalue {
	struct symbol *variable;
	struct attr_word attr;
};

static struct node *read_lvalue(struct parser *p, const struct lvalue *l)
{
	struct node *n;

	if (!l->variable)
		return node_attr(p, &l->attr);
	n = node_new(p, N_VAR);
	n->slot = l->variable->index;
	n->type = l->variable->type;
	return n;
}

static struct node *write_lvalue(struct parser *p, const struct lvalue *l, struct node *value)
{
	struct node *n;

	if (l->variable) {
		n = node_new(p, N_SET_VAR);
		n->slot = l->variable->index;
		n->type = l->variable->type;
		node_want(p, value, 1, "VAR_SET", n->type);
	} else {
		n = node_new(p, N_SET_ATTR);
		n->attr = l->attr.attr;
		n->extra = l->attr.extra;
		n->type = l->attr.type;
		if (l->attr.readonly)
			parser_fail(p, "This static attribute is read-only.");
		if (n->type == T_ENUM_EMPTY)
			parser_fail(p, "Setting opaque attribute is not allowed");
		node_want(p, value, 1, n->attr <= FA_LAST_STATIC ? "RTA_SET" : "EA_SET", n->type);
	}
	n->a = value;
	return n;
}

static bool parse_lvalue(struct parser *p, struct lvalue *l)
{
	struct symbol *sym = parser_symbol(p);
	const struct word *w;

	memset(l, 0, sizeof(*l));
	if (sym) {
		if (sym->cls == SYM_VARIABLE)
			l->variable = sym;
		else if (sym->cls == SYM_ATTRIBUTE)
			l->attr = (struct attr_word){FA_EXTRA, false, sym->type, sym->index};
		else
			return false;
	} else {
		w = parse_word(p);
		if (!w || w->kind != WORD_ATTR)
			return false;
		l->attr = (struct attr_word){w->attr, w->readonly, w->type, w->number};
	}
	parser_next(p);
	return true;
}

/* x = e; x.method(e); f(e); */
static struct node *assignment_or_call(struct parser *p)
{
	struct symbol *sym = parser_symbol(p);
	struct lvalue l;
	struct node *n, *value;
	unsigned line = p->tok.line;

	if (sym && parser_peek(p)->kind == '(') {
		n = node_new(p, N_DROP);
		n->a = parse_expression(p);
		if (n->a->kind != N_CALL)
			parser_syntax_error(p, "';'");
		end_of_command(p);
		parser_next(p);
		return n;
	}
	if (!parse_lvalue(p, &l)) {
		if (!sym)
			parser_syntax_error(p, NULL);
		if (parser_peek(p)->kind == '.')
			parser_fail(p, "Variable name or custom attribute name required");
		parser_fail(p, "Can't assign to symbol %s", sym->name);
	}
	if (parser_accept_char(p, '.')) {
		value = parse_method(p, read_lvalue(p, &l));
	} else {
		parser_expect_char(p, '=');
		value = parse_expression(p);
	}
	end_of_command(p);
	n = write_lvalue(p, &l, value);
	n->line = line;
	parser_next(p);
	return n;
}

/* bt_assert(e); bt_check_assign(lvalue, e); for test suites written in the language */
static struct node *assert_command(struct parser *p)
{
	struct node *n = node_new(p, N_ASSERT), *set = NULL;
	bool assign = parser_is(p, "bt_check_assign");
	struct lvalue l;

	n->string = arena_printf(p->arena, "%s:%u", p->tok.file, p->tok.line);
	parser_next(p);
	parser_expect_char(p, '(');
	if (assign) {
		struct node *value;

		if (!parse_lvalue(p, &l))
			parser_syntax_error(p, NULL);
		parser_expect_char(p, ',');
		value = parse_expression(p);
		set = write_lvalue(p, &l, value);
		n->a = node_op(p, OP_EQ, value, read_lvalue(p, &l), NULL, 0);
		set->next = n;
	} else {
		n->a = parse_expression(p);
		node_want(p, n->a, 1, "ASSERT", T_BOOL);
	}
	parser_expect_char(p, ')');
	end_of_command(p);
	parser_next(p);
	return set ? set : n;
}

static struct node *parse_command(struct parser *p)
{
	if (p->tok.kind == '{')
		return parse_block(p);
	if (!parser_is_word(p))
		parser_syntax_error(p, NULL);
	if (p->tok.quoted || parser_symbol(p))
		return assignment_or_call(p);
	if (parser_is(p, "if"))
		return if_command(p);
	if (parser_is(p, "case"))
		return case_command(p);
	if (parser_is(p, "for"))
		return for_command(p);
	if (parser_is(p, "return"))
		return return_command(p);
	if (parser_is(p, "accept"))
		return print_command(p, VERDICT_ACCEPT, true);
	if (parser_is(p, "reject"))
		return print_command(p, VERDICT_REJECT, true);
	if (parser_is(p, "error"))
		return print_command(p, VERDICT_ERROR, true);
	if (parser_is(p, "print"))
		return print_command(p, VERDICT_NONE, true);
	if (parser_is(p, "printn"))
		return print_command(p, VERDICT_NONE, false);
	if (parser_is(p, "unset"))
		return unset_command(p);
	if (parser_is(p, "bt_assert") || parser_is(p, "bt_check_assign"))
		return assert_command(p);
	return assignment_or_call(p);
}
