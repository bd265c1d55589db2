/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A scope is a chained hash that grows with what is in it; a block of a filter
 * that declares nothing costs a few words. Only the thread that parses writes;
 * after that, any number of readers (CLI lines are parsed against it).
 */
#include "controlplane/config/symbol.h"
#include "shared/hash.h"
#include <string.h>

#define FIRST_BUCKETS 8u

struct symbol_scope *symbol_scope_push(struct arena *a, struct symbol_scope *parent)
{
	struct symbol_scope *s = arena_alloc(a, sizeof(*s));

	s->parent = parent;
	s->owner = parent ? parent->owner : NULL;
	return s;
}

struct symbol_table *symbol_table_create(struct arena *a)
{
	struct symbol_table *t = arena_alloc(a, sizeof(*t));

	t->global = symbol_scope_push(a, NULL);
	return t;
}

static uint32_t name_hash(const char *name)
{
	return (uint32_t)hash_bytes(name, strlen(name), 0);
}

static struct symbol *find_hashed(const struct symbol_scope *s, const char *name, uint32_t hash)
{
	if (!s->n_buckets)
		return NULL;
	for (struct symbol *sym = s->bucket[hash & (s->n_buckets - 1)]; sym; sym = sym->hash_next)
		if (sym->hash == hash && !strcmp(sym->name, name))
			return sym;
	return NULL;
}

struct symbol *symbol_find_here(const struct symbol_scope *s, const char *name)
{
	return find_hashed(s, name, name_hash(name));
}

struct symbol *symbol_find(const struct symbol_scope *s, const char *name)
{
	uint32_t hash = name_hash(name);

	for (; s; s = s->parent) {
		struct symbol *sym = find_hashed(s, name, hash);

		if (sym)
			return sym;
	}
	return NULL;
}

static void grow(struct arena *a, struct symbol_scope *s)
{
	unsigned n = s->n_buckets ? s->n_buckets * 2 : FIRST_BUCKETS;
	struct symbol **bucket = arena_alloc(a, n * sizeof(*bucket));

	for (unsigned i = 0; i < s->n_buckets; i++) {
		for (struct symbol *sym = s->bucket[i], *next; sym; sym = next) {
			next = sym->hash_next;
			sym->hash_next = bucket[sym->hash & (n - 1)];
			bucket[sym->hash & (n - 1)] = sym;
		}
	}
	s->bucket = bucket;
	s->n_buckets = n;
}

struct symbol *symbol_define(struct arena *a, struct symbol_table *t, struct symbol_scope *s,
	const char *name, enum symbol_class cls)
{
	struct symbol *sym = arena_alloc(a, sizeof(*sym));

	if (s->n_symbols >= s->n_buckets)
		grow(a, s);
	sym->name = name;
	sym->cls = cls;
	sym->hash = name_hash(name);
	sym->hash_next = s->bucket[sym->hash & (s->n_buckets - 1)];
	s->bucket[sym->hash & (s->n_buckets - 1)] = sym;
	s->n_symbols++;
	if (t && s == t->global) {
		if (t->last)
			t->last->order_next = sym;
		else
			t->first = sym;
		t->last = sym;
	}
	return sym;
}

const char *symbol_class_name(const struct symbol *s)
{
	switch (s->cls) {
	case SYM_CONSTANT: return "constant";
	case SYM_VARIABLE: return "variable";
	case SYM_FUNCTION: return "function";
	case SYM_FILTER: return "filter";
	case SYM_PROTOCOL: return "protocol";
	case SYM_TEMPLATE: return "protocol template";
	case SYM_TABLE: return "routing table";
	case SYM_ATTRIBUTE: return "custom attribute";
	case SYM_VOID: break;
	}
	return "undefined";
}
