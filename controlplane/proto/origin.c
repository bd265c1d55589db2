/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/proto/origin.h"
#include <stdlib.h>

void origin_add(struct origin_set *s, const struct net *n, uint32_t attrs)
{
	if (s->n == s->size) {
		s->size = s->size ? 2 * s->size : 16;
		s->route = realloc(s->route, s->size * sizeof(*s->route));
		if (!s->route)
			abort();
	}
	s->route[s->n++] = (struct origin_route){*n, attrs};
}

void origin_clear(struct origin_set *s)
{
	for (unsigned i = 0; i < s->n; i++)
		attrs_release(s->route[i].attrs);
	free(s->route);
	*s = (struct origin_set){0};
}

/* Any total order will do: only equality matters to the merge. */
static int net_order(const struct net *a, const struct net *b)
{
	int c = prefix_cmp(&a->prefix, &b->prefix);

	if (c)
		return c;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->maxlen != b->maxlen)
		return a->maxlen < b->maxlen ? -1 : 1;
	if (a->asn != b->asn)
		return a->asn < b->asn ? -1 : 1;
	return 0;
}

static int by_net(const void *a, const void *b)
{
	return net_order(&((const struct origin_route *)a)->net, &((const struct origin_route *)b)->net);
}

void origin_sync(struct rib_source *src, struct origin_set *announced, struct origin_set *wanted)
{
	struct rib_batch *b = rib_batch_create(src);
	unsigned i = 0, j = 0;

	if (!b)
		abort();
	if (wanted->n)
		qsort(wanted->route, wanted->n, sizeof(*wanted->route), by_net);
	while (i < announced->n || j < wanted->n) {
		int c = i == announced->n ? 1
			: j == wanted->n  ? -1
					  : net_order(&announced->route[i].net, &wanted->route[j].net);

		if (c < 0) {
			rib_batch_withdraw(b, &announced->route[i++].net, 0);
			continue;
		}
		/* The last of several routes for one net counts, as when they are announced one after the
		 * other. */
		while (j + 1 < wanted->n && !net_order(&wanted->route[j].net, &wanted->route[j + 1].net)) {
			attrs_release(wanted->route[j].attrs);
			wanted->route[j].attrs = 0;
			j++;
		}
		if (c > 0 || announced->route[i].attrs != wanted->route[j].attrs)
			rib_batch_announce(b, &wanted->route[j].net, 0, wanted->route[j].attrs);
		if (c == 0)
			i++;
		j++;
	}
	rib_submit(b);
	for (i = j = 0; i < wanted->n; i++)
		if (wanted->route[i].attrs)
			wanted->route[j++] = wanted->route[i];
	wanted->n = j;
	origin_clear(announced);
	*announced = *wanted;
	*wanted = (struct origin_set){0};
}
