/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/rib/slab.h"
#include "controlplane/rib/memory.h"
#include <stdint.h>

struct slab_page {
	struct slab_page *next, **prev; /* of the same class with room; prev NULL: full */
	void *free;
	uint16_t used, fresh; /* objects; bytes handed out at least once, header included */
	uint32_t reserved;
};

_Static_assert(sizeof(struct slab_page) % SLAB_STEP == 0, "objects are aligned behind the header");

static void link_page(struct slab *s, struct slab_page *p, unsigned class)
{
	p->next = s->partial[class];
	p->prev = &s->partial[class];
	if (p->next)
		p->next->prev = &p->next;
	s->partial[class] = p;
}

static void unlink_page(struct slab_page *p)
{
	*p->prev = p->next;
	if (p->next)
		p->next->prev = p->prev;
	p->prev = NULL;
}

void *slab_take(struct slab *s, size_t n)
{
	size_t size = slab_size(n);
	unsigned class = (unsigned)(size / SLAB_STEP);
	struct slab_page *p;
	void *object;

	if (n > SLAB_MAX)
		return memory_take(n);
	p = s->partial[class];
	if (!p) {
		p = memory_page();
		p->fresh = sizeof(*p);
		link_page(s, p, class);
	}
	if (p->free) {
		object = p->free;
		p->free = *(void **)object;
	} else {
		object = (uint8_t *)p + p->fresh;
		p->fresh = (uint16_t)(p->fresh + size);
	}
	p->used++;
	if (!p->free && p->fresh + size > MEMORY_PAGE)
		unlink_page(p);
	return object;
}

void slab_give(struct slab *s, void *object, size_t n)
{
	unsigned class = (unsigned)(slab_size(n) / SLAB_STEP);
	struct slab_page *p = (struct slab_page *)((uintptr_t)object & ~(uintptr_t)(MEMORY_PAGE - 1));

	if (n > SLAB_MAX) {
		memory_free(object);
		return;
	}
	*(void **)object = p->free;
	p->free = object;
	if (!p->prev)
		link_page(s, p, class);
	if (--p->used == 0) {
		unlink_page(p);
		memory_page_free(p);
	}
}
