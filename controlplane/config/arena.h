/* SPDX-License-Identifier: BSD-2-Clause */
/* Bump allocation freed as a whole. One thread at a time. Aborts when the system is out of memory. */
#pragma once
#include <stdarg.h>
#include <stddef.h>

struct arena;
struct arena *arena_create(void);
void arena_destroy(struct arena *a);
void arena_reset(struct arena *a);                   /* keeps the memory for the next use */
void *arena_alloc(struct arena *a, size_t size);     /* 8-byte aligned, zeroed */
void *arena_alloc_raw(struct arena *a, size_t size); /* 8-byte aligned, not zeroed */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void *arena_memdup(struct arena *a, const void *p, size_t n);
size_t arena_bytes(const struct arena *a);
/* Runs fn(arg) at destroy or reset: for the few things in an arena that hold references. */
void arena_at_end(struct arena *a, void (*fn)(void *), void *arg);
