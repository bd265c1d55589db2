/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fans: who gets what of a route.
 *
 * A group's lanes are the export filters in use by its members. What they make
 * of one route is a fan: a list of variants (attributes as sent and the source
 * they came from), each with the set of lanes that send it. A lane in no set
 * sends nothing. Fans are interned by content, so that a prefix remembers its
 * fan as one number, and two prefixes for which the filters did the same have
 * the same: what is to be said when one fan takes another's place is worked out
 * once for all of them.
 *
 * One store for each shard of a group; its thread only.
 */
#pragma once
#include "controlplane/export/sent.h"

#define FAN_NONE 0u /* nobody gets anything */

struct variant {
	uint32_t attrs; /* as sent (sent.h): the fan holds a reference */
	uint32_t source;
};

struct fan {
	struct numbered number;
	uint32_t uses;                  /* prefixes (paths) whose fan it is: kept by the group */
	uint16_t n, words;              /* variants, words of a set */
	_Alignas(8) struct variant v[]; /* and behind them the sets, and behind those the links */
};

/* In the list of the fans that have variants of a source. The first of its variants is the one linked. */
struct fan_link {
	uint32_t next, prev; /* numbers of fans; 0 ends */
};

static inline const uint64_t *fan_set(const struct fan *f, uint32_t i)
{
	return (const uint64_t *)(const void *)(f->v + f->n) + (size_t)i * f->words;
}

static inline bool fan_sends(const struct fan *f, uint32_t i, uint32_t lane)
{
	return lane / 64 < f->words && (fan_set(f, i)[lane / 64] >> (lane & 63) & 1);
}

/* A word of the set of lanes that are sent something, among those in mask. f may be NULL. */
static inline uint64_t fan_word(const struct fan *f, const uint64_t *mask, uint32_t k)
{
	uint64_t w = 0;

	for (uint32_t i = 0; f && k < f->words && i < f->n; i++)
		w |= fan_set(f, i)[k];
	return w & mask[k];
}

static inline bool any_lane(const uint64_t *set, uint32_t words)
{
	for (uint32_t k = 0; k < words; k++)
		if (set[k])
			return true;
	return false;
}

/* What a lane sends; NULL: nothing. f may be NULL. */
static inline const struct variant *fan_variant(const struct fan *f, uint32_t lane)
{
	for (uint32_t i = 0; f && i < f->n; i++)
		if (fan_sends(f, i, lane))
			return &f->v[i];
	return NULL;
}

struct fans {
	struct numbers numbers;
	uint32_t *of_source, n_source; /* by source: the first fan with variants of its own */
	struct sents sents;            /* what the variants' attributes are */
};

/* A fan in the making. */
struct draft {
	struct sents *sents;
	uint32_t n, cap, words, cap_words;
	struct variant *v; /* a reference on each, which fan_intern() takes over */
	uint64_t *set;     /* [cap][cap_words] */
};

void fans_init(struct fans *s);
void fans_free(struct fans *s);
static inline const struct fan *fan_get(const struct fans *s, uint32_t id)
{
	return numbers_get(&s->numbers, id);
}
/* The fans that have variants of a source: the first, and the one behind one of them; 0: no more. */
static inline uint32_t fans_of_source(const struct fans *s, uint32_t source)
{
	return source < s->n_source ? s->of_source[source] : 0;
}
uint32_t fan_next_of(const struct fan *f, uint32_t source);
static inline void fan_hold(struct fans *s, uint32_t id)
{
	numbers_hold(&s->numbers, id);
}
/* n prefixes more (or less) have it. */
static inline void fan_use(struct fans *s, uint32_t id, uint32_t n)
{
	if (id)
		((struct fan *)numbers_get(&s->numbers, id))->uses += n;
}
void fan_release(struct fans *s, uint32_t id);
/* A number with one reference. Lanes outside `mask` (of d->words words) are left out. */
uint32_t fan_intern(struct fans *s, struct draft *d, const uint64_t *mask);
/* Do both send the same to all lanes in `mask`? */
bool fans_agree(const struct fan *a, const struct fan *b, const uint64_t *mask, uint32_t words);
size_t fans_bytes(const struct fans *s); /* with what is sent */

/* Empty, with room for so many lanes. Those that send take over a reference. */
void draft_init(struct draft *d, struct sents *s);
void draft_begin(struct draft *d, uint32_t lanes);
void draft_from(struct draft *d, const struct fan *f, uint32_t lanes);
void draft_clear(struct draft *d, uint32_t lane);
void draft_send(struct draft *d, uint32_t lane, uint32_t attrs, uint32_t source);
void draft_send_all(struct draft *d, const uint64_t *lanes, uint32_t attrs, uint32_t source); /* d->words */
void draft_free(struct draft *d);
