/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of the tables. A routing table that cannot remember a route is wrong, and there is nobody to tell:
 * out of memory ends the process with a line in the log.
 */
#pragma once
#include <stddef.h>

void *memory_take(size_t n);
void *memory_zero(size_t n);
void *memory_grow(void *p, size_t n); /* realloc */
void memory_free(void *p);
/* Zeroed, for what is big or page-sized: straight from the kernel and back to it, in huge pages when big
 * enough. */
void *memory_map(size_t n);
void memory_unmap(void *p, size_t n); /* n as given to memory_map(); NULL is fine */
/* Pages of 4 kB, zeroed, at multiples of 4 kB. Any thread. */
enum { MEMORY_PAGE = 4096 };
void *memory_page(void);
void memory_page_free(void *p);
