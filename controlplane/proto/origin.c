/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/proto/origin.h"
#include <stdlib.h>
#include <string.h>

void origin_add(struct origin_set *s, const struct net *n, uint32_t path_id, uint32_t attrs)
{
	if (s->n == s->size) {
		s->size = s->size ? 2 * s->size : 16;
		s->route = realloc(s->route, s->size * sizeof(*s->route));
		if (!s->route)
			abort();
	}
	s->route[s->n] = (struct origin_route){*n, path_id, attrs, NULL};
	if (net_type_has_nlri(n->type) && n->nlri) { /* the configuration that it is from may go first */
		size_t size = sizeof(*n->nlri) + n->nlri->len;

		s->route[s->n].nlri = malloc(size);
		if (!s->route[s->n].nlri)
			abort();
		memcpy(s->route[s->n].nlri, n->nlri, size);
		s->route[s->n].net.nlri = s->route[s->n].nlri;
	}
	s->n++;
}

static void drop(struct origin_route *r)
{
	attrs_release(r->attrs);
	free(r->nlri);
}

void origin_clear(struct origin_set *s)
{
	for (unsigned i = 0; i < s->n; i++)
		drop(&s->route[i]);
	free(s->route);
	*s = (struct origin_set){0};
}

/* Any total order will do: only equality matters to the merge. */
static int order(const struct origin_route *x, const struct origin_route *y)
{
	int c = net_compare(&x->net, &y->net);

	if (c)
		return c;
	if (x->path_id != y->path_id)
		return x->path_id < y->path_id ? -1 : 1;
	return 0;
}

struct numbered {
	struct origin_route r;
	unsigned n;
};

/* Equal ones in the order they were added: the last one counts. */
static int by_order(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	int c = order(&x->r, &y->r);

	return c ? c : x->n < y->n ? -1 : x->n > y->n;
}

static void sort(struct origin_set *s)
{
	struct numbered *v;
	unsigned i = 1;

	while (i < s->n && order(&s->route[i - 1], &s->route[i]) <= 0)
		i++;
	if (i >= s->n)
		return;
	v = malloc(s->n * sizeof(*v));
	if (!v)
		abort();
	for (i = 0; i < s->n; i++)
		v[i] = (struct numbered){s->route[i], i};
	qsort(v, s->n, sizeof(*v), by_order);
	for (i = 0; i < s->n; i++)
		s->route[i] = v[i].r;
	free(v);
}

void origin_number(struct origin_set *s)
{
	sort(s);
	for (unsigned i = 1; i < s->n; i++) {
		struct origin_route before = s->route[i - 1];
		uint32_t id = before.path_id;

		before.path_id = s->route[i].path_id;
		if (!order(&before, &s->route[i]))
			s->route[i].path_id = id + 1;
	}
}

void origin_sync(struct rib_source *src, struct origin_set *announced, struct origin_set *wanted)
{
	struct rib_batch *b = rib_batch_create(src);
	unsigned i = 0, j = 0;

	if (!b)
		abort();
	sort(wanted);
	while (i < announced->n || j < wanted->n) {
		int c = i == announced->n ? 1
			: j == wanted->n  ? -1
					  : order(&announced->route[i], &wanted->route[j]);

		if (c < 0) {
			rib_batch_withdraw(b, &announced->route[i].net, announced->route[i].path_id);
			i++;
			continue;
		}
		/* The last of several routes for one net counts, as when they are announced one after the
		 * other. */
		while (j + 1 < wanted->n && !order(&wanted->route[j], &wanted->route[j + 1])) {
			drop(&wanted->route[j]);
			wanted->route[j].attrs = 0;
			j++;
		}
		if (c > 0 || announced->route[i].attrs != wanted->route[j].attrs)
			rib_batch_announce(
				b, &wanted->route[j].net, wanted->route[j].path_id, wanted->route[j].attrs);
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
