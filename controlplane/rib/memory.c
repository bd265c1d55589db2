/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/rib/memory.h"
#include "shared/log.h"
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Below, the C library; above, pages of our own that go back as a whole. Not in huge pages: they would save a
 * fifth of the time of a table load, but on a virtual machine a huge page that the host has not backed costs
 * more than all it saves (measured: 2 ms each, twice what filling it with routes takes), and khugepaged makes
 * half-used chunks whole.
 */
#define MAP_FROM ((size_t)64 << 10)
#define REGION ((size_t)2 << 20)

static void *must(void *p, size_t n)
{
	if (!p && n) {
		log_msg(LOG_CLASS_FATAL, "Out of memory (%zu bytes for a routing table)", n);
		abort();
	}
	return p;
}

void *memory_take(size_t n)
{
	return must(malloc(n), n);
}

void *memory_zero(size_t n)
{
	return must(calloc(1, n), n);
}

void *memory_grow(void *p, size_t n)
{
	return must(realloc(p, n), n);
}

void memory_free(void *p)
{
	free(p);
}

void *memory_map(size_t n)
{
	void *p;

	if (n < MAP_FROM)
		return memory_zero(n);
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return must(p == MAP_FAILED ? NULL : p, n);
}

/* REGION bytes at a multiple of it. */
static void *region_map(void)
{
	uint8_t *p, *at;

	p = mmap(
		NULL, 2 * REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(p == MAP_FAILED ? NULL : p, REGION);
	at = (uint8_t *)(((uintptr_t)p + REGION - 1) & ~(uintptr_t)(REGION - 1));
	if (at > p)
		munmap(p, (size_t)(at - p));
	munmap(at + REGION, (size_t)(p + REGION - at));
	return at;
}

void memory_unmap(void *p, size_t n)
{
	if (!p)
		return;
	if (n < MAP_FROM)
		free(p);
	else
		munmap(p, n);
}

/*
 * Pages: regions whose first page is the header. Free
 * pages of a region are a list through the pages; a region that is all free
 * goes back to the kernel.
 */
enum { REGION_PAGES = (int)(REGION / MEMORY_PAGE) };

struct region {
	struct region *next, **prev; /* of those with free pages; prev NULL: not in the list */
	void *free;
	unsigned used, fresh; /* pages in use; first page that was never used */
};

static struct {
	pthread_mutex_t lock;
	struct region *open; /* with free pages */
} pages = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void region_link(struct region *r)
{
	r->next = pages.open;
	r->prev = &pages.open;
	if (r->next)
		r->next->prev = &r->next;
	pages.open = r;
}

static void region_unlink(struct region *r)
{
	*r->prev = r->next;
	if (r->next)
		r->next->prev = r->prev;
	r->prev = NULL;
}

void *memory_page(void)
{
	struct region *r;
	void *p;

	pthread_mutex_lock(&pages.lock);
	r = pages.open;
	if (!r) {
		r = region_map();
		r->fresh = 1;
		region_link(r);
	}
	if (r->free) {
		p = r->free;
		r->free = *(void **)p;
	} else {
		p = (uint8_t *)r + (size_t)r->fresh++ * MEMORY_PAGE;
	}
	if (++r->used == REGION_PAGES - 1)
		region_unlink(r);
	pthread_mutex_unlock(&pages.lock);
	return memset(p, 0, MEMORY_PAGE);
}

void memory_page_free(void *p)
{
	struct region *r = (struct region *)((uintptr_t)p & ~(uintptr_t)(REGION - 1));

	if (!p)
		return;
	pthread_mutex_lock(&pages.lock);
	*(void **)p = r->free;
	r->free = p;
	if (!r->prev)
		region_link(r);
	/* The last open region stays: a table that comes and goes is not to map and unmap. */
	if (--r->used == 0 && (pages.open != r || r->next)) {
		region_unlink(r);
		memory_unmap(r, REGION);
	}
	pthread_mutex_unlock(&pages.lock);
}
