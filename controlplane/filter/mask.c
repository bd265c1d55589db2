/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/filter/mask.h"
#include "controlplane/filter/path.h"
#include "controlplane/filter/text.h"
#include <string.h>

struct filter_mask *mask_new(struct arena *a, unsigned room)
{
	return arena_alloc(a, sizeof(struct filter_mask) + room * sizeof(struct mask_item));
}

void mask_add(struct filter_mask *m, struct mask_item item)
{
	m->item[m->n++] = item;
}

bool mask_add_loop(struct filter_mask *m)
{
	if (!m->n)
		return false;
	m->item[m->n - 1].written_loop = true;
	return true;
}

/* A + after a * says nothing about the *; it applies to the next item that takes a number. */
void mask_finish(struct filter_mask *m)
{
	bool pending = false;

	for (uint32_t i = 0; i < m->n; i++) {
		pending = pending || m->item[i].written_loop;
		if (m->item[i].kind != MASK_STAR) {
			m->item[i].loop = pending;
			pending = false;
		}
	}
}

/* Where a walk through the path may be: before a number, or inside a set. */
struct place {
	const uint8_t *asn; /* the number, or the first of the set's */
	uint8_t set;        /* how many in the set; 0: a number */
	bool marked;
	bool next; /* marked for the next item */
};

static bool item_takes(const struct mask_item *it, uint32_t asn)
{
	if (it->kind == MASK_ASN)
		return asn >= it->lo && asn <= it->hi;
	return it->set && set_has_u32(it->set, asn);
}

static bool item_takes_place(const struct mask_item *it, const struct place *p)
{
	if (it->kind == MASK_ANY)
		return true;
	for (unsigned i = 0; i < (p->set ? p->set : 1u); i++)
		if (item_takes(it, path_asn(p->asn + 4 * i)))
			return true;
	return false;
}

/* Paths without sets and masks without +: compared from both ends, with only the stars' middle searched. The
 * usual case. */
static bool simple(const struct filter_mask *m, const uint8_t *asn, unsigned n, bool *result)
{
	unsigned first = 0, last = m->n, begin = 0, end = n;

	for (uint32_t i = 0; i < m->n; i++)
		if (m->item[i].loop)
			return false;
	for (; first < last && m->item[first].kind != MASK_STAR; first++, begin++)
		if (begin >= end || (m->item[first].kind != MASK_ANY &&
					    !item_takes(&m->item[first], path_asn(asn + 4 * begin)))) {
			*result = false;
			return true;
		}
	if (first == last) {
		*result = begin == end;
		return true;
	}
	for (; last > first && m->item[last - 1].kind != MASK_STAR; last--, end--)
		if (begin >= end || (m->item[last - 1].kind != MASK_ANY &&
					    !item_takes(&m->item[last - 1], path_asn(asn + 4 * (end - 1))))) {
			*result = false;
			return true;
		}
	/* item[first] and item[last - 1] are stars: each run of items between two stars at its earliest place
	 */
	while (first < last) {
		unsigned run = ++first, len = 0;

		while (run + len < last && m->item[run + len].kind != MASK_STAR)
			len++;
		if (!len)
			continue;
		if (run + len == last)
			break; /* cannot be: the last item is a star */
		for (;; begin++) {
			unsigned k = 0;

			if (begin + len > end) {
				*result = false;
				return true;
			}
			while (k < len &&
				(m->item[run + k].kind == MASK_ANY ||
					item_takes(&m->item[run + k], path_asn(asn + 4 * (begin + k)))))
				k++;
			if (k == len)
				break;
		}
		begin += len;
		first = run + len;
	}
	*result = true;
	return true;
}

/* From place i on: a set may go on, or be left, together with the sets right behind it. */
static void advance(struct place *p, unsigned n, unsigned i)
{
	if (!p[i].set)
		i++;
	else
		while (i < n && p[i].set)
			p[i++].next = true;
	p[i].next = true;
}

bool mask_match(struct arena *a, const struct filter_mask *m, const struct value_list *path)
{
	const uint8_t *p = path_bytes(path), *end = p + path->count;
	unsigned n = 0;
	bool result;

	if (!path->count) {
		if (simple(m, NULL, 0, &result))
			return result;
	} else if (p[0] == PATH_SEQUENCE && 2u + 4u * p[1] == path->count) {
		if (simple(m, p + 2, p[1], &result))
			return result;
	}
	struct place *place = arena_alloc_raw(a, (path->count / 4 + 1) * sizeof(*place));

	while (p < end) {
		if (path_is_set(p[0])) {
			place[n++] = (struct place){p + 2, p[1], false, false};
		} else {
			for (unsigned i = 0; i < p[1]; i++)
				place[n++] = (struct place){p + 2 + 4 * i, 0, false, false};
		}
		p += 2 + 4u * p[1];
	}
	place[n] = (struct place){0}; /* behind the path */
	place[0].marked = true;
	for (uint32_t k = 0; k < m->n; k++) {
		const struct mask_item *it = &m->item[k];

		if (it->kind == MASK_STAR) {
			unsigned i = 0;

			while (i <= n && !place[i].marked)
				i++;
			for (; i <= n; i++)
				place[i].marked = true;
			continue;
		}
		/* Steps only lead forward, so one pass also follows those of a loop to their end. */
		for (unsigned i = 0; i < n; i++)
			if ((place[i].marked || (it->loop && place[i].next)) &&
				item_takes_place(it, &place[i]))
				advance(place, n, i);
		for (unsigned i = 0; i <= n; i++) {
			place[i].marked = place[i].next;
			place[i].next = false;
		}
	}
	return place[n].marked;
}

bool mask_equal(const struct filter_mask *a, const struct filter_mask *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		const struct mask_item *x = &a->item[i], *y = &b->item[i];

		if (x->kind != y->kind || x->written_loop != y->written_loop)
			return false;
		if (x->kind == MASK_ASN && (x->lo != y->lo || x->hi != y->hi || x->range != y->range))
			return false;
		if (x->kind == MASK_SET && !set_equal(x->set, y->set))
			return false;
	}
	return true;
}

void mask_put(struct text *t, const struct filter_mask *m)
{
	text_puts(t, "[= ");
	for (uint32_t i = 0; i < m->n; i++) {
		const struct mask_item *it = &m->item[i];

		switch (it->kind) {
		case MASK_ASN:
			if (it->range)
				text_printf(t, "%u..%u ", it->lo, it->hi);
			else
				text_printf(t, "%u ", it->lo);
			break;
		case MASK_SET:
			set_put(t, it->set);
			text_char(t, ' ');
			break;
		case MASK_ANY: text_puts(t, "? "); break;
		default: text_puts(t, "* ");
		}
		if (it->written_loop)
			text_puts(t, "+ ");
	}
	text_puts(t, "=]");
}
