/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects of a few hundred bytes, of many sizes, in pages of 4 kB: no header an
 * object, a page whose objects are all free goes back. Locked by the caller.
 */
#pragma once
#include <stddef.h>

enum { SLAB_STEP = 16, SLAB_MAX = 1008, SLAB_CLASSES = SLAB_MAX / SLAB_STEP + 1 };

struct slab_page;
struct slab {
	struct slab_page *partial[SLAB_CLASSES]; /* pages with room */
};

static inline size_t slab_size(size_t n) /* what an object of n bytes takes */
{
	return (n + SLAB_STEP - 1) / SLAB_STEP * SLAB_STEP;
}

void *slab_take(struct slab *s, size_t n); /* not zeroed, aligned to 16 */
void slab_give(struct slab *s, void *p, size_t n);
