/* SPDX-License-Identifier: BSD-2-Clause */
/* Filters as others hold them: references, names, identity; and the registry of custom attributes. */
#include "controlplane/filter/filter.h"
#include "controlplane/filter/code.h"
#include "controlplane/rib/attr.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void identity_destroy(struct interned *o)
{
	free(o);
}

const struct filter *filter_new(const char *name, const struct code *code, bool expression)
{
	struct filter *f = calloc(1, sizeof(*f));
	struct interned *id = calloc(1, sizeof(*id));

	if (!f || !id || (name && !(f->name = strdup(name)))) {
		fprintf(stderr, "out of memory\n");
		abort();
	}
	id->digest = code->digest;
	id->destroy = identity_destroy;
	f->identity = intern_add(id);
	f->code = code;
	f->expression = expression;
	atomic_init(&f->refs, 1);
	return f;
}

const char *filter_name(const struct filter *f)
{
	return f->name;
}

uint32_t filter_reads(const struct filter *f)
{
	return f->code->reads;
}

uint32_t filter_uid(const struct filter *f)
{
	return f->identity->uid;
}

uint64_t filter_attrs_read(const struct filter *f)
{
	return f->code->attrs_read;
}

uint64_t filter_attrs_written(const struct filter *f)
{
	return f->code->attrs_written;
}

bool filter_same(const struct filter_ref *a, const struct filter_ref *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind != FILTER_PROGRAM || a->filter == b->filter ||
	       filter_uid(a->filter) == filter_uid(b->filter);
}

const struct filter *filter_hold(const struct filter *f)
{
	if (f)
		atomic_fetch_add_explicit(&((struct filter *)f)->refs, 1, memory_order_relaxed);
	return f;
}

void filter_release(const struct filter *filter)
{
	struct filter *f = (struct filter *)filter;

	if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) > 1)
		return;
	code_release(f->code);
	intern_release(f->identity);
	free(f->name);
	free(f);
}

void filter_ref_hold(const struct filter_ref *r)
{
	if (r->kind == FILTER_PROGRAM)
		filter_hold(r->filter);
}

void filter_ref_release(const struct filter_ref *r)
{
	if (r->kind == FILTER_PROGRAM)
		filter_release(r->filter);
}

const char *filter_ref_name(const struct filter_ref *r)
{
	switch (r->kind) {
	case FILTER_ALL: return "ACCEPT";
	case FILTER_NONE: return "REJECT";
	default: return r->filter->name ? r->filter->name : "(unnamed)";
	}
}

/* ---- custom attributes: a name and type has one number while the process lives ---- */

static struct {
	pthread_mutex_t lock;
	struct custom {
		char *name;
		enum value_type type;
	} * list;
	uint32_t n, room;
} custom = {.lock = PTHREAD_MUTEX_INITIALIZER};

uint32_t filter_custom_attribute(const char *name, enum value_type type)
{
	uint32_t i;

	pthread_mutex_lock(&custom.lock);
	for (i = 0; i < custom.n; i++)
		if (custom.list[i].type == type && !strcmp(custom.list[i].name, name))
			break;
	if (i == custom.n) {
		if (custom.n == custom.room) {
			custom.room = custom.room ? custom.room * 2 : 16;
			custom.list = realloc(custom.list, custom.room * sizeof(*custom.list));
		}
		if (!custom.list || !(custom.list[i].name = strdup(name))) {
			fprintf(stderr, "out of memory\n");
			abort();
		}
		custom.list[i].type = type;
		custom.n++;
	}
	pthread_mutex_unlock(&custom.lock);
	return ATTR_EXTRA_CUSTOM(i);
}

const char *filter_custom_attribute_name(uint32_t id)
{
	const char *name = NULL;

	pthread_mutex_lock(&custom.lock);
	if (id >= ATTR_EXTRA_CUSTOM(0) && id - ATTR_EXTRA_CUSTOM(0) < custom.n)
		name = custom.list[id - ATTR_EXTRA_CUSTOM(0)].name;
	pthread_mutex_unlock(&custom.lock);
	return name;
}
