/* SPDX-License-Identifier: BSD-2-Clause */
/* Large arrays whose elements are whole cache lines. */
#pragma once
#include <stddef.h>
#include <sys/mman.h>

/* Zeroed and page-aligned; a page costs memory only when it is first used. NULL: no memory. */
static inline void *map_lines(size_t n, size_t size)
{
	void *p = mmap(NULL, n * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static inline void unmap_lines(void *p, size_t n, size_t size)
{
	if (p)
		munmap(p, n * size);
}
