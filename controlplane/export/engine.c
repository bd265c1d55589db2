/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/export/group.h"
#include <stdlib.h>

struct export_engine *export_create(struct rib *rib)
{
	struct export_engine *x = aligned_alloc(64, sizeof(*x));

	if (!x)
		return NULL;
	*x = (struct export_engine){.rib = rib};
	pthread_mutex_init(&x->lock, NULL);
	CDS_INIT_LIST_HEAD(&x->groups);
	return x;
}

uint64_t export_waiting(const struct export_engine *x)
{
	int64_t n = atomic_load_explicit(&x->waiting, memory_order_relaxed);

	return n > 0 ? (uint64_t)n : 0; /* blocks are counted just after they can be taken */
}

unsigned export_receivers(const struct export_engine *x)
{
	return atomic_load_explicit(&x->receivers, memory_order_relaxed);
}

size_t export_bytes(struct export_engine *x)
{
	struct group *g;
	size_t sum = 0;

	pthread_mutex_lock(&x->lock);
	cds_list_for_each_entry(g, &x->groups, node)
	{
		for (unsigned i = 0; i < g->n_shards; i++)
			sum += __atomic_load_n(&g->shard[i].bytes, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&x->lock);
	return sum;
}

void export_destroy(struct export_engine *x)
{
	pthread_mutex_destroy(&x->lock);
	free(x);
}
