/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/export/sent.h"
#include "controlplane/bgp/nlri.h"
#include "shared/hash.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { NEXT_HOPS = 48, ATTRS_MAX = 65535 };

void sents_init(struct sents *s)
{
	numbers_init(&s->numbers);
	s->scratch = malloc(NEXT_HOPS + ATTRS_MAX + BGP_LABELS_MAX);
	if (!s->scratch)
		abort();
	/* Neighbours choose the bytes. */
	if (getrandom(&s->seed, sizeof(s->seed), GRND_NONBLOCK) != sizeof(s->seed))
		s->seed = (uintptr_t)s->scratch;
}

static size_t size_of(const struct sent *a)
{
	return sizeof(*a) + a->nh + a->len + a->labels;
}

void sents_free(struct sents *s)
{
	for (uint32_t i = 1; i < s->numbers.n; i++)
		if (!numbers_is_free(&s->numbers, i))
			slab_give(&s->numbers.slab, numbers_get(&s->numbers, i), size_of(sent_get(s, i)));
	numbers_free(&s->numbers);
	free(s->scratch);
}

static uint32_t intern(struct sents *s, const uint8_t *bytes, unsigned nh, unsigned len, unsigned labels)
{
	unsigned all = nh + len + labels;
	/* The last bit of a hash is the same for all in a bucket: it may as well say how long the next hop
	 * is. */
	uint32_t hash = (uint32_t)hash_bytes(bytes, all, s->seed + nh), id;
	struct sent *a;

	for (id = numbers_first(&s->numbers, hash); id; id = a->number.next) {
		a = numbers_get(&s->numbers, id);
		if (a->number.hash == hash && a->len == len && a->nh == nh && a->labels == labels &&
			memcmp(a->bytes, bytes, all) == 0) {
			a->number.refs++;
			return id;
		}
	}
	a = numbers_take(&s->numbers, sizeof(*a) + all);
	*a = (struct sent){.number = {.refs = 1, .hash = hash},
		.len = (uint16_t)len,
		.nh = (uint16_t)nh,
		.labels = (uint16_t)labels};
	memcpy(a->bytes, bytes, all);
	return numbers_add(&s->numbers, &a->number);
}

uint32_t sent_intern(struct sents *s, const struct bgp_encode_class *c, const struct attrs *a)
{
	unsigned nh = bgp_encode_next_hop(a, c, s->scratch);
	size_t len = bgp_encode_attrs(a, c, s->scratch + nh, ATTRS_MAX);
	unsigned labels = 0;

	for (unsigned i = 0; c->safi != BGP_SAFI_UNICAST && i < a->n_extra; i++)
		if (a->extra[i].id == bgp_labels_id(bgp_family_net(c->afi, c->safi)) &&
			a->extra[i].len <= BGP_LABELS_MAX) {
			labels = a->extra[i].len;
			memcpy(s->scratch + nh + len, a->extra[i].data, labels);
		}
	return intern(s, s->scratch, nh, (unsigned)len, labels);
}

uint32_t sent_copy(struct sents *to, const struct sents *from, uint32_t id)
{
	const struct sent *a = sent_get(from, id);

	return intern(to, a->bytes, a->nh, a->len, a->labels);
}

void sent_release(struct sents *s, uint32_t id)
{
	struct sent *a = numbers_get(&s->numbers, id);

	if (a && --a->number.refs == 0)
		numbers_remove(&s->numbers, id, size_of(a));
}

size_t sents_bytes(const struct sents *s)
{
	return numbers_bytes(&s->numbers) + NEXT_HOPS + ATTRS_MAX;
}
