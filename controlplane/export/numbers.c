/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/export/numbers.h"
#include <stdlib.h>

void numbers_init(struct numbers *s)
{
	*s = (struct numbers){.n = 1, .cap = 64, .mask = 63};
	s->at = calloc(s->cap, sizeof(*s->at));
	s->bucket = calloc((size_t)s->mask + 1, sizeof(*s->bucket));
	if (!s->at || !s->bucket)
		abort();
}

void numbers_free(struct numbers *s)
{
	free(s->at);
	free(s->bucket);
}

void *numbers_take(struct numbers *s, size_t size)
{
	s->bytes += slab_size(size);
	return slab_take(&s->slab, size);
}

static uint32_t take_number(struct numbers *s)
{
	uint32_t id = s->free;

	if (id) {
		s->free = (uint32_t)((uintptr_t)s->at[id] >> 1);
		return id;
	}
	if (s->n == s->cap) {
		s->cap *= 2;
		s->at = realloc(s->at, s->cap * sizeof(*s->at));
		if (!s->at)
			abort();
	}
	return s->n++;
}

static void link_in(struct numbers *s, uint32_t id)
{
	uint32_t *head = &s->bucket[s->at[id]->hash & s->mask];

	s->at[id]->next = *head;
	*head = id;
}

static void grow_buckets(struct numbers *s)
{
	s->mask = 2 * s->mask + 1;
	free(s->bucket);
	s->bucket = calloc((size_t)s->mask + 1, sizeof(*s->bucket));
	if (!s->bucket)
		abort();
	for (uint32_t i = 1; i < s->n; i++)
		if (!numbers_is_free(s, i))
			link_in(s, i);
}

uint32_t numbers_add(struct numbers *s, struct numbered *x)
{
	uint32_t id = take_number(s);

	s->at[id] = x;
	if (++s->used > s->mask)
		grow_buckets(s); /* links it too */
	else
		link_in(s, id);
	return id;
}

void numbers_remove(struct numbers *s, uint32_t id, size_t size)
{
	struct numbered *x = s->at[id];
	uint32_t *at = &s->bucket[x->hash & s->mask];

	while (*at != id)
		at = &s->at[*at]->next;
	*at = x->next;
	s->used--;
	s->bytes -= slab_size(size);
	slab_give(&s->slab, x, size);
	s->at[id] = (struct numbered *)(((uintptr_t)s->free << 1) | 1);
	s->free = id;
}

size_t numbers_bytes(const struct numbers *s)
{
	return s->bytes + s->cap * sizeof(*s->at) + ((size_t)s->mask + 1) * sizeof(*s->bucket);
}
