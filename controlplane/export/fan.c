/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/export/fan.h"
#include "controlplane/export/room.h"
#include "shared/hash.h"
#include <stdlib.h>
#include <string.h>

void fans_init(struct fans *s)
{
	*s = (struct fans){0};
	numbers_init(&s->numbers);
	sents_init(&s->sents);
}

static size_t size_of(uint32_t n, uint32_t words)
{
	return sizeof(struct fan) +
	       n * (sizeof(struct variant) + (size_t)words * sizeof(uint64_t) + sizeof(struct fan_link));
}

/* ---- by source ---- */

/* NULL: not the first variant of its source. */
static struct fan_link *link_at(const struct fan *f, uint32_t i)
{
	for (uint32_t k = 0; k < i; k++)
		if (f->v[k].source == f->v[i].source)
			return NULL;
	return (struct fan_link *)(uintptr_t)fan_set(f, f->n) + i;
}

static struct fan_link *link_of(const struct fan *f, uint32_t source)
{
	uint32_t i = 0;

	while (f->v[i].source != source)
		i++;
	return (struct fan_link *)(uintptr_t)fan_set(f, f->n) + i;
}

uint32_t fan_next_of(const struct fan *f, uint32_t source)
{
	return link_of(f, source)->next;
}

static void need_source(struct fans *s, uint32_t source)
{
	uint32_t n;

	if (source < s->n_source)
		return;
	n = room_up_to(s->n_source, source + 1, 64);
	s->of_source = room_grow(s->of_source, s->n_source, n, sizeof(*s->of_source));
	s->n_source = n;
}

static void link_sources(struct fans *s, const struct fan *f, uint32_t id)
{
	for (uint32_t i = 0; i < f->n; i++) {
		uint32_t source = f->v[i].source;
		struct fan_link *l = link_at(f, i);

		if (!l)
			continue;
		need_source(s, source);
		*l = (struct fan_link){s->of_source[source], 0};
		if (l->next)
			link_of(numbers_get(&s->numbers, l->next), source)->prev = id;
		s->of_source[source] = id;
	}
}

static void unlink_sources(struct fans *s, const struct fan *f)
{
	for (uint32_t i = 0; i < f->n; i++) {
		uint32_t source = f->v[i].source;
		const struct fan_link *l = link_at(f, i);

		if (!l)
			continue;
		if (l->next)
			link_of(numbers_get(&s->numbers, l->next), source)->prev = l->prev;
		if (l->prev)
			link_of(numbers_get(&s->numbers, l->prev), source)->next = l->next;
		else
			s->of_source[source] = l->next;
	}
}

void fans_free(struct fans *s)
{
	for (uint32_t i = 1; i < s->numbers.n; i++)
		if (!numbers_is_free(&s->numbers, i)) {
			struct fan *f = numbers_get(&s->numbers, i);

			for (uint32_t k = 0; k < f->n; k++)
				sent_release(&s->sents, f->v[k].attrs);
			slab_give(&s->numbers.slab, f, size_of(f->n, f->words));
		}
	numbers_free(&s->numbers);
	free(s->of_source);
	sents_free(&s->sents);
}

size_t fans_bytes(const struct fans *s)
{
	return numbers_bytes(&s->numbers) + s->n_source * sizeof(*s->of_source) + sents_bytes(&s->sents);
}

void fan_release(struct fans *s, uint32_t id)
{
	struct fan *f = numbers_get(&s->numbers, id);

	if (!f || --f->number.refs)
		return;
	for (uint32_t i = 0; i < f->n; i++)
		sent_release(&s->sents, f->v[i].attrs);
	unlink_sources(s, f);
	numbers_remove(&s->numbers, id, size_of(f->n, f->words));
}

/* ---- drafts ---- */

static uint64_t *set_of(const struct draft *d, uint32_t i)
{
	return d->set + (size_t)i * d->cap_words;
}

static void room_for(struct draft *d, uint32_t n, uint32_t words)
{
	if (n > d->cap || words > d->cap_words) {
		uint32_t cap = d->cap ? d->cap : 4, cap_words = words > d->cap_words ? words : d->cap_words;
		uint64_t *set;

		while (cap < n)
			cap *= 2;
		set = calloc((size_t)cap * cap_words, sizeof(*set));
		d->v = realloc(d->v, cap * sizeof(*d->v));
		if (!set || !d->v)
			abort();
		for (uint32_t i = 0; i < d->n; i++)
			memcpy(set + (size_t)i * cap_words, set_of(d, i), d->cap_words * sizeof(*set));
		free(d->set);
		d->set = set;
		d->cap = cap;
		d->cap_words = cap_words;
	}
}

static void empty(struct draft *d)
{
	for (uint32_t i = 0; i < d->n; i++)
		sent_release(d->sents, d->v[i].attrs);
	d->n = 0;
}

void draft_init(struct draft *d, struct sents *s)
{
	*d = (struct draft){.sents = s};
}

void draft_begin(struct draft *d, uint32_t lanes)
{
	empty(d);
	d->words = (lanes + 63) / 64;
	if (!d->words)
		d->words = 1;
	room_for(d, 1, d->words);
}

static uint64_t *variant_set(struct draft *d, uint32_t attrs, uint32_t source)
{
	for (uint32_t i = 0; i < d->n; i++)
		if (d->v[i].attrs == attrs && d->v[i].source == source) {
			sent_release(d->sents, attrs);
			return set_of(d, i);
		}
	room_for(d, d->n + 1, d->words);
	d->v[d->n] = (struct variant){attrs, source};
	memset(set_of(d, d->n), 0, d->words * sizeof(uint64_t));
	return set_of(d, d->n++);
}

void draft_from(struct draft *d, const struct fan *f, uint32_t lanes)
{
	draft_begin(d, lanes);
	for (uint32_t i = 0; f && i < f->n; i++) {
		uint64_t *set;

		sent_hold(d->sents, f->v[i].attrs);
		set = variant_set(d, f->v[i].attrs, f->v[i].source);
		memcpy(set, fan_set(f, i), (f->words < d->words ? f->words : d->words) * sizeof(*set));
	}
}

void draft_clear(struct draft *d, uint32_t lane)
{
	for (uint32_t i = 0; i < d->n; i++)
		set_of(d, i)[lane / 64] &= ~(UINT64_C(1) << (lane & 63));
}

void draft_send(struct draft *d, uint32_t lane, uint32_t attrs, uint32_t source)
{
	variant_set(d, attrs, source)[lane / 64] |= UINT64_C(1) << (lane & 63);
}

void draft_send_all(struct draft *d, const uint64_t *lanes, uint32_t attrs, uint32_t source)
{
	uint64_t *set = variant_set(d, attrs, source);

	for (uint32_t i = 0; i < d->words; i++)
		set[i] |= lanes[i];
}

void draft_free(struct draft *d)
{
	empty(d);
	free(d->v);
	free(d->set);
	draft_init(d, d->sents);
}

/* ---- interning ---- */

/* One form for equal content: no empty variants, ordered, no empty words at the end. Returns the words. */
static uint32_t tidy(struct draft *d, const uint64_t *mask)
{
	uint32_t words = 0, n = 0;

	for (uint32_t i = 0; i < d->n; i++) {
		uint64_t *set = set_of(d, i), any = 0;
		uint32_t at = n;

		for (uint32_t k = 0; k < d->words; k++) {
			set[k] &= mask[k];
			any |= set[k];
			if (set[k] && k >= words)
				words = k + 1;
		}
		if (!any) {
			sent_release(d->sents, d->v[i].attrs);
			continue;
		}
		if (i != n) {
			d->v[n] = d->v[i];
			memcpy(set_of(d, n), set, d->words * sizeof(*set));
		}
		n++;
		for (; at && (d->v[at - 1].attrs > d->v[at].attrs ||
				     (d->v[at - 1].attrs == d->v[at].attrs &&
					     d->v[at - 1].source > d->v[at].source));
			at--) {
			struct variant v = d->v[at];

			d->v[at] = d->v[at - 1];
			d->v[at - 1] = v;
			for (uint32_t k = 0; k < d->words; k++) {
				uint64_t w = set_of(d, at)[k];

				set_of(d, at)[k] = set_of(d, at - 1)[k];
				set_of(d, at - 1)[k] = w;
			}
		}
	}
	d->n = n;
	return words;
}

static bool same(const struct fan *f, const struct draft *d, uint32_t words)
{
	if (f->n != d->n || f->words != words || memcmp(f->v, d->v, d->n * sizeof(*d->v)) != 0)
		return false;
	for (uint32_t i = 0; i < d->n; i++)
		if (memcmp(fan_set(f, i), set_of(d, i), words * sizeof(uint64_t)) != 0)
			return false;
	return true;
}

uint32_t fan_intern(struct fans *s, struct draft *d, const uint64_t *mask)
{
	uint32_t words = tidy(d, mask), id;
	uint64_t h = d->n;
	struct fan *f;

	if (!d->n)
		return FAN_NONE;
	for (uint32_t i = 0; i < d->n; i++) {
		h = hash_u64(h ^ ((uint64_t)d->v[i].source << 32 | d->v[i].attrs), 3);
		for (uint32_t k = 0; k < words; k++)
			h = hash_u64(h ^ set_of(d, i)[k], 5);
	}
	for (id = numbers_first(&s->numbers, (uint32_t)h); id; id = f->number.next) {
		f = numbers_get(&s->numbers, id);
		if (f->number.hash == (uint32_t)h && same(f, d, words)) {
			f->number.refs++;
			empty(d);
			return id;
		}
	}
	f = numbers_take(&s->numbers, size_of(d->n, words));
	*f = (struct fan){
		.number = {.refs = 1, .hash = (uint32_t)h}, .n = (uint16_t)d->n, .words = (uint16_t)words};
	memcpy(f->v, d->v, d->n * sizeof(*d->v));
	for (uint32_t i = 0; i < d->n; i++)
		memcpy((uint64_t *)(void *)(f->v + f->n) + (size_t)i * words, set_of(d, i),
			words * sizeof(uint64_t));
	d->n = 0;
	id = numbers_add(&s->numbers, &f->number);
	link_sources(s, f, id);
	return id;
}

bool fans_agree(const struct fan *a, const struct fan *b, const uint64_t *mask, uint32_t words)
{
	if (a == b)
		return true;
	for (uint32_t k = 0; k < words; k++) {
		uint64_t in_a = 0, in_b = 0;

		for (uint32_t i = 0; a && i < a->n && k < a->words; i++)
			in_a |= fan_set(a, i)[k];
		for (uint32_t i = 0; b && i < b->n && k < b->words; i++)
			in_b |= fan_set(b, i)[k];
		if ((in_a ^ in_b) & mask[k])
			return false;
		for (uint32_t i = 0; a && i < a->n && k < a->words; i++)
			for (uint32_t j = 0; b && j < b->n && k < b->words; j++)
				if ((a->v[i].attrs != b->v[j].attrs || a->v[i].source != b->v[j].source) &&
					(fan_set(a, i)[k] & fan_set(b, j)[k] & mask[k]))
					return false;
	}
	return true;
}
