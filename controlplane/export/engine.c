/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/export/engine.h"
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

void export_destroy(struct export_engine *x)
{
	pthread_mutex_destroy(&x->lock);
	free(x);
}
