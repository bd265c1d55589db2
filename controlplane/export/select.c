/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/export/select.h"
#include <stdlib.h>
#include <string.h>

static void *more(void *p, size_t n, size_t size)
{
	p = realloc(p, n * size);
	if (!p)
		abort();
	return p;
}

static bool usable(const struct rib_route_view *r)
{
	return r->attrs && !(r->flags & (ROUTE_FILTERED | ROUTE_UNREACHABLE));
}

/* The first is the best as the table has found it: with MED it need not be the one that comparing finds. */
static unsigned place_for(const struct selection *s, unsigned n, const struct candidate *c)
{
	unsigned low = n ? 1 : 0, high = n;

	while (low < high) {
		unsigned at = (low + high) / 2;

		if (candidate_better(c, &s->ranked[at]))
			high = at;
		else
			low = at + 1;
	}
	return low;
}

unsigned selection_rank(
	struct selection *s, struct rib *rib, bool sorted, const struct rib_route_view *r, unsigned n_routes)
{
	unsigned n = 0;

	if (n_routes > s->cap_ranked) {
		s->cap_ranked = 2 * n_routes;
		s->ranked = more(s->ranked, s->cap_ranked, sizeof(*s->ranked));
		s->rank = more(s->rank, s->cap_ranked, sizeof(*s->rank));
	}
	for (unsigned i = 0; i < n_routes; i++) {
		struct candidate c;
		unsigned at = n;

		if (!usable(&r[i]))
			continue;
		candidate_of_view(rib, &r[i], &c);
		if (!sorted)
			at = place_for(s, n, &c);
		memmove(&s->ranked[at + 1], &s->ranked[at], (n - at) * sizeof(c));
		memmove(&s->rank[at + 1], &s->rank[at], (n - at) * sizeof(*s->rank));
		s->ranked[at] = c;
		s->rank[at] = i;
		n++;
	}
	return n;
}

void selection_begin(struct selection *s, const struct path_choice *how, uint32_t words)
{
	if (words > s->cap_words) {
		s->cap_words = words;
		s->any = more(s->any, words, sizeof(*s->any));
		s->get = more(s->get, 2 * (size_t)words, sizeof(*s->get));
		s->cap_extra = s->cap_taken = s->cap_seen = 0; /* sets have another size */
	}
	s->words = words;
	s->how = how;
	s->n_extra = s->n_taken = s->n_seen = 0;
	memset(s->any, 0, words * sizeof(*s->any));
}

/* Of those in get the ones that have fewer than `most` so far; they have one more now. set[k]: lanes with
 * more than k. */
static void count_up(
	struct selection *s, uint64_t **set, unsigned *n, unsigned *cap, unsigned most, uint64_t *get)
{
	uint32_t words = s->words;

	if (*n == most)
		for (uint32_t k = 0; k < words; k++)
			get[k] &= ~(*set)[(size_t)(most - 1) * words + k];
	if (*n < most) {
		if (*n == *cap) {
			*cap = *cap ? 2 * *cap : 4;
			*set = more(*set, *cap * (size_t)s->cap_words, sizeof(**set));
		}
		memset(*set + (size_t)*n * words, 0, words * sizeof(**set));
		++*n;
	}
	for (unsigned i = *n; i-- > 1;)
		for (uint32_t k = 0; k < words; k++)
			(*set)[(size_t)i * words + k] |= (*set)[(size_t)(i - 1) * words + k] & get[k];
	for (uint32_t k = 0; k < words; k++)
		(*set)[k] |= get[k];
}

static void add_seen(struct selection *s)
{
	if (s->n_seen == s->cap_seen) {
		s->cap_seen = s->cap_seen ? 2 * s->cap_seen : 8;
		s->seen = more(s->seen, s->cap_seen, sizeof(*s->seen));
		s->seen_set = more(s->seen_set, s->cap_seen * (size_t)s->cap_words, sizeof(*s->seen_set));
	}
	memset(s->seen_set + (size_t)s->n_seen * s->words, 0, s->words * sizeof(*s->seen_set));
	s->n_seen++;
}

/* The first of each neighbouring AS. */
static void by_as(struct selection *s, const struct candidate *c)
{
	uint32_t as = candidate_neighbor_as(c);
	uint64_t *set;
	unsigned i;

	for (i = 0; i < s->n_seen && s->seen[i].neighbor_as != as; i++)
		;
	if (i == s->n_seen) {
		add_seen(s);
		s->seen[i].neighbor_as = as;
	}
	set = s->seen_set + (size_t)i * s->words;
	for (uint32_t k = 0; k < s->words; k++) {
		s->get[k] &= ~set[k];
		set[k] |= s->get[k];
	}
}

/* The first, and what is as good as that. */
static void as_good(struct selection *s, const struct candidate *c)
{
	uint64_t first = 0;
	uint64_t *set;

	for (unsigned i = 0; i < s->n_seen; i++) {
		if (candidate_mergable(&s->seen[i].best, c))
			continue;
		set = s->seen_set + (size_t)i * s->words;
		for (uint32_t k = 0; k < s->words; k++)
			s->get[k] &= ~set[k];
	}
	for (uint32_t k = 0; k < s->words; k++)
		first |= s->get[k] & ~s->any[k];
	if (!first)
		return;
	add_seen(s);
	s->seen[s->n_seen - 1].best = *c;
	set = s->seen_set + (size_t)(s->n_seen - 1) * s->words;
	for (uint32_t k = 0; k < s->words; k++)
		set[k] = s->get[k] & ~s->any[k];
}

void selection_take(struct selection *s, unsigned rank, const uint64_t *can)
{
	const struct path_choice *how = s->how;
	const struct candidate *c = &s->ranked[rank];
	uint64_t *get = s->get;

	memcpy(get, can, s->words * sizeof(*get));
	switch (how->send) {
	case SEND_ALL: break;
	case SEND_PER_AS: by_as(s, c); break;
	case SEND_ECMP: as_good(s, c); break;
	}
	if (how->plus) {
		uint64_t *rest = get + s->words;

		for (uint32_t k = 0; k < s->words; k++)
			rest[k] = can[k] & ~get[k];
		count_up(s, &s->extra, &s->n_extra, &s->cap_extra, how->plus, rest);
		for (uint32_t k = 0; k < s->words; k++)
			get[k] |= rest[k];
	}
	if (how->limit)
		count_up(s, &s->taken, &s->n_taken, &s->cap_taken, how->limit, get);
	for (uint32_t k = 0; k < s->words; k++)
		s->any[k] |= get[k];
}

bool selection_is_full(const struct selection *s, const uint64_t *all)
{
	const uint64_t *full;

	if (!s->how->limit || s->n_taken < s->how->limit)
		return false;
	full = s->taken + (size_t)(s->how->limit - 1) * s->words;
	for (uint32_t k = 0; k < s->words; k++)
		if (all[k] & ~full[k])
			return false;
	return true;
}

void selection_free(struct selection *s)
{
	free(s->ranked);
	free(s->rank);
	free(s->any);
	free(s->extra);
	free(s->taken);
	free(s->seen);
	free(s->seen_set);
	free(s->get);
}
