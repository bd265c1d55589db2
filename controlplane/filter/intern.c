/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/filter/intern.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
	pthread_mutex_t lock;
	struct interned **bucket;
	uint32_t n_buckets, n; /* n_buckets is 0 or a power of two */
	uint32_t last_uid;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void grow(void)
{
	uint32_t n = table.n_buckets ? table.n_buckets * 2 : 256;
	struct interned **bucket = calloc(n, sizeof(*bucket));

	if (!bucket) {
		if (table.n_buckets)
			return; /* longer chains, no harm */
		fprintf(stderr, "out of memory\n");
		abort();
	}
	for (uint32_t i = 0; i < table.n_buckets; i++)
		for (struct interned *o = table.bucket[i], *next; o; o = next) {
			next = o->next;
			o->next = bucket[o->digest.low & (n - 1)];
			bucket[o->digest.low & (n - 1)] = o;
		}
	free(table.bucket);
	table.bucket = bucket;
	table.n_buckets = n;
}

struct interned *intern_add(struct interned *fresh)
{
	struct interned *o;

	pthread_mutex_lock(&table.lock);
	if (table.n >= table.n_buckets)
		grow();
	for (o = table.bucket[fresh->digest.low & (table.n_buckets - 1)]; o; o = o->next)
		if (o->digest.low == fresh->digest.low && o->digest.high == fresh->digest.high)
			break;
	if (o) {
		atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
	} else {
		o = fresh;
		atomic_store_explicit(&o->refs, 1, memory_order_relaxed);
		o->uid = ++table.last_uid;
		o->next = table.bucket[o->digest.low & (table.n_buckets - 1)];
		table.bucket[o->digest.low & (table.n_buckets - 1)] = o;
		table.n++;
	}
	pthread_mutex_unlock(&table.lock);
	if (o != fresh)
		fresh->destroy(fresh);
	return o;
}

struct interned *intern_hold(struct interned *o)
{
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
	return o;
}

/* The last reference goes under the lock, so that intern_add() never finds an object that is about to go. */
void intern_release(struct interned *o)
{
	uint32_t refs = atomic_load_explicit(&o->refs, memory_order_relaxed);

	while (refs > 1)
		if (atomic_compare_exchange_weak_explicit(
			    &o->refs, &refs, refs - 1, memory_order_release, memory_order_relaxed))
			return;
	pthread_mutex_lock(&table.lock);
	if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) > 1) {
		pthread_mutex_unlock(&table.lock);
		return;
	}
	struct interned **p = &table.bucket[o->digest.low & (table.n_buckets - 1)];
	while (*p != o)
		p = &(*p)->next;
	*p = o->next;
	if (!--table.n) { /* nothing is left: nor is the table */
		free(table.bucket);
		table.bucket = NULL;
		table.n_buckets = 0;
	}
	pthread_mutex_unlock(&table.lock);
	o->destroy(o);
}
