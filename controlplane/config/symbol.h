/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names: one flat global scope for constants, functions, filters, tables,
 * protocols, templates and attributes; nested scopes for variables.
 */
#pragma once
#include "controlplane/config/arena.h"
#include "controlplane/filter/value.h"

enum symbol_class {
	SYM_VOID, /* seen, not defined */
	SYM_CONSTANT,
	SYM_VARIABLE,
	SYM_FUNCTION,
	SYM_FILTER,
	SYM_PROTOCOL,
	SYM_TEMPLATE,
	SYM_TABLE,
	SYM_ATTRIBUTE,
};

struct filter_function;
struct filter;
struct proto_config;
struct table_config;

struct symbol {
	struct symbol *hash_next;  /* within a scope */
	struct symbol *order_next; /* global scope: order of definition, for show symbols */
	const char *name;
	uint32_t hash;
	enum symbol_class cls;
	const char *file;
	unsigned line;
	struct value value;   /* CONSTANT */
	uint32_t index;       /* VARIABLE: slot; ATTRIBUTE: number */
	enum value_type type; /* VARIABLE, ATTRIBUTE */
	union {
		const struct filter_function *function;
		const struct filter *filter;
		struct proto_config *proto;
		struct table_config *table;
	};
};

struct symbol_scope {
	struct symbol_scope *parent;
	struct symbol **bucket;
	unsigned n_buckets, n_symbols;
	void *owner; /* the filter compiler's frame */
};

struct symbol_table {
	struct symbol_scope *global;
	struct symbol *first, *last; /* order of definition */
};

struct symbol_table *symbol_table_create(struct arena *a);
struct symbol_scope *symbol_scope_push(struct arena *a, struct symbol_scope *parent);
struct symbol *symbol_find(const struct symbol_scope *s, const char *name); /* innermost first; NULL */
struct symbol *symbol_find_here(const struct symbol_scope *s, const char *name);
/* New symbol in s; name must live as long as the scope. The caller has checked symbol_find_here(): while
 * parsing, use parser_define(), which does that and says so in BIRD's words. t may be NULL for a nested
 * scope. */
struct symbol *symbol_define(struct arena *a, struct symbol_table *t, struct symbol_scope *s,
	const char *name, enum symbol_class cls);
/* "constant", "routing table", ... as `show symbols` prints them. */
const char *symbol_class_name(const struct symbol *s);
