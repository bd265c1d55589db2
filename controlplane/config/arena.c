/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chunks grow with what was asked for, so that a small configuration costs
 * 16 kB and one with millions of prefixes few mallocs. A request that is large
 * against the chunk size gets a chunk of its own, put behind the current one
 * so that the rest of the current one stays usable. Large chunks are mapped and
 * unmapped: a reload makes a big configuration in a thread that comes and goes
 * and drops another one in main, and malloc would keep the pages of both.
 */
#include "controlplane/config/arena.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK_FIRST ((size_t)16 * 1024)
#define CHUNK_MAX ((size_t)1024 * 1024)
#define MAP_FROM ((size_t)256 * 1024 - sizeof(struct chunk))
#define ALIGN(n) (((n) + 7) & ~(size_t)7)

struct chunk {
	struct chunk *next;
	size_t size; /* of data */
	char data[] __attribute__((aligned(16)));
};

struct cleanup {
	struct cleanup *next;
	void (*fn)(void *);
	void *arg;
};

struct arena {
	struct chunk *current; /* head of the list of all chunks */
	char *pos, *end;
	size_t next_size, bytes;
	struct cleanup *cleanups; /* newest first */
};

/* Under AddressSanitizer nothing is mapped, as it would not see what such a chunk points to, and nothing is
 * kept, so that it sees who looks at what is gone. */
#if defined(__SANITIZE_ADDRESS__)
#define WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WATCHED 1
#endif
#endif
#ifndef WATCHED
#define WATCHED 0
#endif

static bool mapped(size_t size)
{
	return !WATCHED && size >= MAP_FROM;
}

static void chunk_free(struct chunk *c)
{
	if (mapped(c->size))
		munmap(c, sizeof(*c) + c->size);
	else
		free(c);
}

static struct chunk *chunk_new(struct arena *a, size_t size)
{
	struct chunk *c;

	if (mapped(size)) {
		c = mmap(NULL, sizeof(*c) + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (c == MAP_FAILED)
			c = NULL;
	} else {
		c = malloc(sizeof(*c) + size);
	}
	if (!c) {
		fprintf(stderr, "out of memory (%zu bytes)\n", size);
		abort();
	}
	c->size = size;
	a->bytes += sizeof(*c) + size;
	return c;
}

struct arena *arena_create(void)
{
	struct arena *a = calloc(1, sizeof(*a));

	if (!a) {
		fprintf(stderr, "out of memory\n");
		abort();
	}
	a->next_size = CHUNK_FIRST;
	return a;
}

static void run_cleanups(struct arena *a)
{
	while (a->cleanups) {
		struct cleanup *c = a->cleanups;

		a->cleanups = c->next; /* first, so that a cleanup sees a consistent arena */
		c->fn(c->arg);
	}
}

void arena_destroy(struct arena *a)
{
	if (!a)
		return;
	run_cleanups(a);
	for (struct chunk *c = a->current, *next; c; c = next) {
		next = c->next;
		chunk_free(c);
	}
	free(a);
}

void arena_reset(struct arena *a)
{
	struct chunk *keep = NULL;

	run_cleanups(a);
	/* The largest chunk serves next time; what went beyond it is given back. */
	for (struct chunk *c = a->current, *next; c; c = next) {
		next = c->next;
		if (!WATCHED && (!keep || c->size > keep->size)) {
			if (keep) {
				a->bytes -= sizeof(*keep) + keep->size;
				chunk_free(keep);
			}
			keep = c;
		} else {
			a->bytes -= sizeof(*c) + c->size;
			chunk_free(c);
		}
	}
	if (WATCHED) /* or every reset would double the chunk that the next one has to make */
		a->next_size = CHUNK_FIRST;
	a->current = keep;
	a->pos = a->end = NULL;
	if (keep) {
		keep->next = NULL;
		a->pos = keep->data;
		a->end = keep->data + keep->size;
	}
}

static void *alloc_slow(struct arena *a, size_t size)
{
	struct chunk *c;

	if (size > a->next_size / 4 && a->current && size > (size_t)(a->end - a->pos)) {
		c = chunk_new(a, size);
		c->next = a->current->next;
		a->current->next = c;
		return c->data;
	}
	c = chunk_new(a, size > a->next_size ? size : a->next_size);
	if (a->next_size < CHUNK_MAX)
		a->next_size *= 2;
	c->next = a->current;
	a->current = c;
	a->pos = c->data + size;
	a->end = c->data + c->size;
	return c->data;
}

void *arena_alloc_raw(struct arena *a, size_t size)
{
	if (size > SIZE_MAX / 2) {
		fprintf(stderr, "arena: absurd size %zu\n", size);
		abort();
	}
	size = ALIGN(size);
	if (size <= (size_t)(a->end - a->pos)) {
		void *p = a->pos;

		a->pos += size;
		return p;
	}
	return alloc_slow(a, size);
}

void *arena_alloc(struct arena *a, size_t size)
{
	return memset(arena_alloc_raw(a, size), 0, size);
}

void *arena_memdup(struct arena *a, const void *p, size_t n)
{
	void *copy = arena_alloc_raw(a, n);

	if (n)
		memcpy(copy, p, n);
	return copy;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *copy = arena_alloc_raw(a, n + 1);

	memcpy(copy, s, n);
	copy[n] = 0;
	return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *out;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	out = arena_alloc_raw(a, (size_t)n + 1);
	out[0] = 0;
	va_start(ap, fmt);
	vsnprintf(out, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return out;
}

size_t arena_bytes(const struct arena *a)
{
	return a->bytes;
}

void arena_at_end(struct arena *a, void (*fn)(void *), void *arg)
{
	struct cleanup *c = arena_alloc_raw(a, sizeof(*c));

	c->fn = fn;
	c->arg = arg;
	c->next = a->cleanups;
	a->cleanups = c;
}
