/* SPDX-License-Identifier: BSD-2-Clause */
/* What the grammar of the configuration asks for: definitions, references to filters, constants. See
 * parser.h. */
#include "controlplane/filter/parse.h"
#include "controlplane/filter/code.h"
#include "controlplane/filter/mask.h"
#include "controlplane/filter/prefix_set.h"
#include "controlplane/filter/suite.h"
#include "controlplane/filter/vm.h"
#include "controlplane/rib/attr.h"
#include <string.h>

static void release_filter(void *f)
{
	filter_release(f);
}

static void release_code(void *c)
{
	code_release(c);
}

static struct value copy_value(struct arena *a, const struct value *v);

/* A scope of its own with a fresh frame; leaves it in p->scope, returns the one to go back to. */
static struct symbol_scope *enter_frame(struct parser *p, struct filter_function *function, struct frame *f)
{
	struct symbol_scope *outer = p->scope;

	memset(f, 0, sizeof(*f));
	f->function = function;
	p->scope = symbol_scope_push(p->arena, outer);
	p->scope->owner = f;
	return outer;
}

/* [declarations] { commands } */
static struct node *parse_body(struct parser *p)
{
	struct node *n = node_new(p, N_BLOCK), **tail = &n->a;

	n->a = parse_declarations(p);
	while (*tail)
		tail = &(*tail)->next;
	*tail = parse_block(p);
	return n;
}

static const struct filter *compile(
	struct parser *p, enum compile_kind kind, struct node *body, const struct frame *f, const char *name)
{
	return filter_new(name, code_compile(p->arena, kind, body, 0, f->most_slots, name, NULL), false);
}

/* The end of what parser_scratch_begin() began. The filter belongs to the configuration; whoever uses it
 * longer holds it. */
static const struct filter *keep(struct parser *p, struct arena *outer, const struct filter *f)
{
	parser_scratch_end(p, outer);
	arena_at_end(p->arena, release_filter, (void *)f);
	return f;
}

static const struct filter *compile_body(struct parser *p, const char *name)
{
	struct arena *arena = parser_scratch_begin(p);
	struct frame *f = arena_alloc(p->arena, sizeof(*f));
	struct symbol_scope *outer = enter_frame(p, NULL, f);
	struct node *body = parse_body(p);

	p->scope = outer;
	return keep(p, arena, compile(p, COMPILE_FILTER, body, f, name));
}

void filter_parse_definition(struct parser *p)
{
	struct token name = p->tok;
	struct symbol *sym;

	if (!parser_is_word(p))
		parser_syntax_error(p, NULL);
	sym = parser_define(p, &name, SYM_FILTER);
	parser_next(p);
	sym->filter = compile_body(p, name.text);
}

static void parse_parameters(struct parser *p, struct filter_function *f, struct arena *keep_in)
{
	struct frame *frame = parser_frame(p);
	enum value_type types[256];

	parser_expect_char(p, '(');
	while (p->tok.kind != ')') {
		enum value_type type = parse_type(p);
		struct token name = p->tok;
		struct symbol *sym;

		if (!parser_is_word(p))
			parser_syntax_error(p, NULL);
		parser_next(p);
		if (f->n_args >= 254)
			parser_fail(p, "Too many declarations, at most 255 allowed");
		sym = parser_define(p, &name, SYM_VARIABLE);
		sym->type = type;
		sym->index = frame->slots++;
		types[f->n_args++] = type;
		if (p->tok.kind == ')')
			break;
		if (p->tok.kind != ';')
			parser_syntax_error(p, "';' or ')'");
		parser_next(p);
		if (p->tok.kind == ')')
			parser_syntax_error(p, NULL);
	}
	parser_next(p);
	frame->most_slots = frame->slots;
	f->arg_types = arena_memdup(keep_in, types, f->n_args * sizeof(types[0]));
}

void filter_parse_function(struct parser *p)
{
	struct filter_function *f = arena_alloc(p->arena, sizeof(*f));
	struct arena *arena;
	struct frame *frame;
	struct token name = p->tok;
	struct symbol_scope *outer;
	struct symbol *sym;
	struct node *body;

	if (!parser_is_word(p))
		parser_syntax_error(p, NULL);
	sym = parser_define(p, &name, SYM_FUNCTION);
	parser_next(p);
	sym->function = f;
	f->name = sym->name;
	arena = parser_scratch_begin(p);
	frame = arena_alloc(p->arena, sizeof(*frame));
	outer = enter_frame(p, f, frame);
	parse_parameters(p, f, arena);
	if (parser_accept_char(p, TOK_ARROW))
		f->return_type = parse_type(p);
	body = parse_body(p);
	p->scope = outer;
	f->code = code_compile(p->arena, COMPILE_FUNCTION, body, f->n_args, frame->most_slots, f->name, f);
	parser_scratch_end(p, arena);
	arena_at_end(p->arena, release_code, (void *)f->code);
}

struct filter_ref filter_parse_ref(struct parser *p)
{
	struct filter_ref r = {FILTER_PROGRAM, NULL};

	if (parser_accept(p, "all"))
		return (struct filter_ref){FILTER_ALL, NULL};
	if (parser_accept(p, "none"))
		return (struct filter_ref){FILTER_NONE, NULL};
	if (parser_accept(p, "where")) {
		struct arena *arena = parser_scratch_begin(p);
		struct frame *f = arena_alloc(p->arena, sizeof(*f));
		struct symbol_scope *outer = enter_frame(p, NULL, f);
		struct node *n = node_new(p, N_IF), *accept = node_new(p, N_PRINT),
			    *reject = node_new(p, N_PRINT);

		n->a = parse_expression(p);
		node_want(p, n->a, 1, "CONDITION", T_BOOL);
		accept->verdict = VERDICT_ACCEPT;
		reject->verdict = VERDICT_REJECT;
		n->b = accept;
		n->c = reject;
		p->scope = outer;
		r.filter = keep(p, arena, compile(p, COMPILE_FILTER, n, f, NULL));
		return r;
	}
	if (!parser_accept(p, "filter"))
		parser_syntax_error(p, "ALL or NONE or FILTER or WHERE");

	struct symbol *sym = parser_symbol(p);
	if (sym) {
		if (sym->cls != SYM_FILTER)
			parser_fail(p, "Filter name required");
		/* A filter that is still being parsed cannot be used in itself, so there is one. */
		r.filter = sym->filter;
		parser_next(p);
		return r;
	}
	if (p->tok.kind != '{' && !parse_at_type(p))
		parser_syntax_error(p, "CF_SYM_KNOWN or '{'");
	r.filter = compile_body(p, NULL);
	return r;
}

const struct filter *filter_parse_actions(struct parser *p)
{
	struct arena *arena = parser_scratch_begin(p);
	struct frame *f = arena_alloc(p->arena, sizeof(*f));
	struct symbol_scope *outer = enter_frame(p, NULL, f);
	struct node *body = parse_block(p);

	p->scope = outer;
	return keep(p, arena, compile(p, COMPILE_ACTIONS, body, f, NULL));
}

const struct filter *filter_parse_expression(struct parser *p)
{
	struct node *n = parse_expression(p);

	return filter_new(NULL, code_compile(p->arena, COMPILE_EXPRESSION, n, 0, 0, NULL, NULL), true);
}

struct value filter_parse_constant(struct parser *p)
{
	struct arena *outer = parser_scratch_begin(p);
	struct value v = parse_evaluate(p, parse_expression(p), T_VOID);

	v = copy_value(outer, &v);
	parser_scratch_end(p, outer);
	return v;
}

bool filter_parse_test_statement(struct parser *p)
{
	bool same = parser_is(p, "bt_test_same");
	struct filter_test *t;
	struct symbol *sym;

	if (!same && !parser_is(p, "bt_test_suite"))
		return false;
	t = arena_alloc(p->arena, sizeof(*t));
	t->file = p->tok.file;
	t->line = p->tok.line;
	parser_next(p);
	parser_expect_char(p, '(');
	for (int i = 0; i < (same ? 2 : 1); i++) {
		sym = parser_symbol(p);
		if (!sym)
			parser_syntax_error(p, "CF_SYM_KNOWN");
		if (sym->cls != SYM_FUNCTION)
			parser_fail(p, "Function name required");
		if (i)
			t->other = sym->function;
		else
			t->function = sym->function;
		parser_next(p);
		parser_expect_char(p, ',');
	}
	if (same)
		t->same = parser_number(p) != 0;
	else
		t->description = parser_text(p);
	parser_expect_char(p, ')');
	filter_tests_add(p, t);
	return true;
}

/* ---- attribute TYPE name; attribute bgp NUM bytestring name; ---- */

static bool known_bgp_attribute(uint32_t code, const char **name)
{
	/* IANA "BGP Path Attributes", those with a word of their own in the language */
	static const char *const names[] = {[1] = "origin",
		[2] = "as_path",
		[3] = "next_hop",
		[4] = "med",
		[5] = "local_pref",
		[6] = "atomic_aggr",
		[7] = "aggregator",
		[8] = "community",
		[9] = "originator_id",
		[10] = "cluster_list",
		[14] = "mp_reach_nlri",
		[15] = "mp_unreach_nlri",
		[16] = "ext_community",
		[17] = "as4_path",
		[18] = "as4_aggregator",
		[22] = "pmsi_tunnel",
		[26] = "aigp",
		[32] = "large_community",
		[35] = "otc"};

	if (code >= sizeof(names) / sizeof(names[0]) || !names[code])
		return false;
	*name = names[code];
	return true;
}

void filter_parse_attribute(struct parser *p)
{
	enum value_type type;
	uint32_t index = 0;
	bool bgp = parser_accept(p, "bgp");
	const char *known;
	struct token name;
	struct symbol *sym;

	if (bgp) {
		index = parser_number(p);
		if (index < 1 || index > 255)
			parser_fail(p, "Invalid attribute number (Given %u, must be 1-255)", index);
	}
	type = parse_type(p);
	name = p->tok;
	if (!parser_is_word(p))
		parser_syntax_error(p, NULL);
	parser_next(p);
	if (bgp) {
		if (type != T_BYTESTRING)
			parser_fail(p, "Attribute type must be bytestring, not %s", value_type_name(type));
		if (known_bgp_attribute(index, &known))
			parser_fail(p, "Attribute BGP.%u already known as %s", index, known);
		index = ATTR_EXTRA_BGP(index);
	} else {
		switch (type) {
		case T_INT:
		case T_IP:
		case T_QUAD:
		case T_PATH:
		case T_CLIST:
		case T_ECLIST:
		case T_LCLIST:
		case T_STRING:
		case T_BYTESTRING: break;
		default: parser_fail(p, "Custom route attribute of unsupported type");
		}
	}
	sym = parser_define(p, &name, SYM_ATTRIBUTE);
	sym->type = type;
	sym->index = bgp ? index : filter_custom_attribute(name.text, type);
}

/* ---- constants ---- */

static void release_set(void *s)
{
	set_release(s);
}

static void release_prefix_set(void *s)
{
	prefix_set_release(s);
}

static struct value copy_value(struct arena *a, const struct value *v)
{
	struct value out = *v;

	switch (v->type) {
	case T_STRING: out.s = arena_strdup(a, v->s); break;
	case T_BYTESTRING: out.bytes = arena_memdup(a, v->bytes, sizeof(*v->bytes) + v->bytes->len); break;
	case T_NET: out.net = net_copy(a, v->net); break;
	case T_PATH:
	case T_CLIST:
	case T_ECLIST:
	case T_LCLIST:
		if (v->list.data)
			out.list.data = arena_memdup(a, v->list.data,
				v->list.count * (size_t)(v->type == T_PATH     ? 1
							 : v->type == T_CLIST  ? 4
							 : v->type == T_ECLIST ? 8
									       : 12));
		break;
	case T_PATH_MASK: {
		size_t size = sizeof(*v->mask) + v->mask->n * sizeof(v->mask->item[0]);

		out.mask = arena_memdup(a, v->mask, size);
		for (uint32_t i = 0; i < v->mask->n; i++)
			if (v->mask->item[i].set)
				arena_at_end(a, release_set, (void *)set_hold(v->mask->item[i].set));
		break;
	}
	case T_SET:
		if (v->set)
			arena_at_end(a, release_set, (void *)set_hold(v->set));
		break;
	case T_PREFIX_SET:
		if (v->pset)
			arena_at_end(a, release_prefix_set, (void *)prefix_set_hold(v->pset));
		break;
	default: break;
	}
	return out;
}

/* A function whose end has not been read yet, called from within itself: there is nothing to run. */
static const struct filter_function *unfinished(const struct node *n)
{
	const struct filter_function *f = NULL;

	for (; n && !f; n = n->next) {
		if (n->kind == N_CALL && !n->function->code)
			return n->function;
		if (!(f = unfinished(n->a)) && !(f = unfinished(n->b)))
			f = unfinished(n->c);
	}
	return f;
}

struct value parse_evaluate(struct parser *p, struct node *n, enum value_type want)
{
	struct value v;

	if (unfinished(n))
		parser_fail(p, "A function cannot be called where a constant is wanted within itself");
	if (n->kind == N_CONST) {
		v = n->value;
	} else {
		const struct filter *f = filter_new(
			NULL, code_compile(p->arena, COMPILE_EXPRESSION, n, 0, 0, NULL, NULL), true);
		struct filter_vm *vm = filter_vm_create();
		const char *error;
		int rc = filter_eval(vm, f, NULL, &v, &error);

		if (!rc)
			v = copy_value(p->arena, &v);
		filter_vm_destroy(vm);
		filter_release(f);
		if (rc)
			parser_fail(p, "Runtime error while evaluating expression; see log for details");
	}
	if (want && v.type != want)
		parser_fail(p, "Expression of type %s expected", value_type_name(want));
	return v;
}
