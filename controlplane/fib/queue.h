/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the RIB's shards to the fib thread: for each prefix its last state.
 *
 * A shard pushes changes; a change to a prefix that is still waiting takes the
 * waiting one's place, so the queue is never longer than the table and nobody
 * has to be slowed down. What waits is found by the prefix's number in its
 * shard. A number that was given to another prefix meanwhile starts a new entry:
 * the old prefix's withdrawal stays in front of it.
 *
 * Two lines, short prefixes first. A prefix is always in the same line, so its
 * entries stay in order even when it changed its number.
 *
 * One queue a shard and channel. Pushing: the shard's thread. Popping: the fib
 * thread. A mutex held for a few hundred nanoseconds keeps them apart.
 * Attribute ids in the queue are held.
 */
#pragma once
#include "shared/addr.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fib_change {
	struct prefix prefix;
	uint32_t index;
	uint32_t attrs, source; /* attrs 0: no route */
	uint32_t backup_attrs, backup_source;
};

#define QUEUE_CHUNK 1024
struct queue_chunk {
	struct queue_chunk *next;
	unsigned n; /* entries used */
	struct fib_change e[QUEUE_CHUNK];
};

struct queue_line {
	struct queue_chunk *head, *tail;
	unsigned at;        /* next to pop in head */
	_Atomic uint32_t n; /* waiting */
};

struct queue {
	pthread_mutex_t lock;
	struct queue_line line[2];   /* 0: short prefixes */
	struct fib_change **waiting; /* by index; NULL: nothing */
	uint32_t n_indexes;
	uint64_t merged;
};

void queue_init(struct queue *q);
/* The references of a change that was popped. */
void queue_release(const struct fib_change *c);
/* Releases what waits. */
void queue_free(struct queue *q);
/* Takes over the references in c's ids. */
void queue_push(struct queue *q, const struct fib_change *c, unsigned n);
/* At most max, short prefixes first. The caller gets the references. */
unsigned queue_pop(struct queue *q, struct fib_change *out, unsigned max);
/* Any thread; a hint. */
static inline uint32_t queue_length(struct queue *q)
{
	return atomic_load_explicit(&q->line[0].n, memory_order_relaxed) +
	       atomic_load_explicit(&q->line[1].n, memory_order_relaxed);
}
