/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/export/group.h"
#include <stdlib.h>

struct export_engine *export_create(struct rib *rib)
{
	struct export_engine *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->rib = rib;
	pthread_mutex_init(&x->lock, NULL);
	CDS_INIT_LIST_HEAD(&x->groups);
	return x;
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
