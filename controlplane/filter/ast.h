/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parsed form of a filter: nodes in the parser's arena, typed and with
 * constants folded as they are made. The parser (parse_*.c) builds it, the
 * compiler (compile.c) turns it into code, then it is forgotten.
 */
#pragma once
#include "controlplane/config/parser.h"
#include "controlplane/filter/filter.h"
#include "controlplane/filter/ops.h"
#include "controlplane/filter/set.h"
#include "controlplane/filter/words.h"

enum node_kind {
	/* expressions */
	N_CONST,
	N_VAR,  /* slot */
	N_ATTR, /* attr, extra */
	N_OP,   /* op over a, b, c; extra */
	N_AND,
	N_OR,
	N_CALL, /* function, arguments in list a */
	N_MASK, /* items in list a */
	N_ROA,  /* table; a: net, b: asn; both NULL: of the route */
	N_ASPA, /* table; a: path, b: upstream */
	/* commands, linked by next */
	N_BLOCK,   /* list a */
	N_IF,      /* a: condition, b, c */
	N_CASE,    /* a: value; cases */
	N_FOR,     /* slot (the variable; slot + 1 and + 2 belong to the loop), a: list, b: body */
	N_INIT,    /* slot = a, or the empty value of type when a is NULL */
	N_SET_VAR, /* slot = a */
	N_SET_ATTR,
	N_UNSET,
	N_RETURN,
	N_DROP,   /* a: a call */
	N_PRINT,  /* list a; extra: newline; then verdict */
	N_ASSERT, /* a; string: what it says */
};

enum node_verdict { VERDICT_NONE, VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_ERROR };

struct filter_function;
struct roa_ref;

/* Items of a path mask that are not expressions */
enum mask_node { MASK_NODE_ITEM, MASK_NODE_LOOP, MASK_NODE_EXPRESSION };

struct case_branch {
	struct case_branch *next;
	struct node *commands;
};

struct cases {
	struct set_builder labels; /* tag: number of the branch */
	struct case_branch *first, *last;
	uint32_t n;
	uint32_t otherwise; /* number of the else branch, or UINT32_MAX */
};

struct node {
	uint8_t kind;
	uint8_t op;   /* N_OP: enum filter_op; mask items: enum mask_node */
	uint8_t attr; /* enum filter_attr */
	uint8_t verdict;
	uint8_t on_net;       /* net_use.c: how it depends on the prefix */
	bool definite;        /* an expression whose value is surely of its type, not void */
	enum value_type type; /* T_VOID: not known before it is run */
	uint32_t extra;
	uint32_t slot;
	unsigned line;
	const char *file;
	struct node *next;
	struct node *a, *b, *c;
	struct value value; /* N_CONST; type T_PATH_MASK items: see mask */
	union {
		struct filter_function *function;
		const char *table;
		struct cases *cases;
		const char *string;
		struct mask_item *mask_item;
	};
	enum net_type table_type;
};

/* What a filter or function is being parsed into: the owner of its scopes. */
struct frame {
	struct filter_function *function; /* NULL in a filter */
	bool returns_nothing_yet;
	uint32_t slots, most_slots;
};
static inline struct frame *parser_frame(const struct parser *p)
{
	return p->scope->owner;
}

static inline bool node_is_comparison(const struct node *n)
{
	return n->op == OP_EQ || n->op == OP_NEQ || n->op == OP_LT || n->op == OP_LTE || n->op == OP_MATCH ||
	       n->op == OP_NOT_MATCH;
}

struct node *node_new(struct parser *p, enum node_kind kind);
struct node *node_const(struct parser *p, struct value v);
/* Checks types, folds. extra: kind of an extended community. b and c may be NULL as the operator has it. */
struct node *node_op(
	struct parser *p, enum filter_op op, struct node *a, struct node *b, struct node *c, uint32_t extra);
struct node *node_and_or(struct parser *p, enum node_kind kind, struct node *a, struct node *b);
struct node *node_attr(struct parser *p, const struct attr_word *w);
/* A constant that may stand where another type is wanted: an IPv4 address for a quad, [] for a prefix set. */
bool node_promote(struct node *n, enum value_type want, bool update);
/* Fails unless n is, or may be at run time, of the type. what: the instruction named in the message. */
void node_want(struct parser *p, struct node *n, unsigned argument, const char *what, enum value_type want);

/* A method of a's type by name. args: list. statement: the message counts the arguments without the object.
 */
struct node *node_method(
	struct parser *p, const char *name, struct node *object, struct node *args, bool dotted);
/* Is there one? */
bool method_exists(enum value_type type, const char *name, bool *takes_arguments);

/* net_use.c: is n a condition on the prefix alone, or something as narrow (net.len, net.type)? */
enum net_condition_kind {
	NET_CONDITION_NONE,   /* no; perhaps parts of it are */
	NET_CONDITION_ITSELF, /* *out is it, with a reference on its code */
	NET_CONDITION_FREE,   /* it uses the prefix in a way that no few answers stand for */
};
struct net_condition;
enum net_condition_kind net_condition_of(struct arena *scratch, struct node *n, struct net_condition *out);
