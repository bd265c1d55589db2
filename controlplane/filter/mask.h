/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AS path masks: [= 64500 * [1, 2..5] ? 7+ =]. A mask has to cover the whole
 * path. A set in the path stands for any sequence of its members.
 */
#pragma once
#include "controlplane/config/arena.h"
#include "controlplane/filter/set.h"

enum mask_kind { MASK_ASN /* lo..hi */, MASK_SET, MASK_ANY /* ? */, MASK_STAR /* * */ };

struct mask_item {
	uint8_t kind;
	bool written_loop; /* for text: a + follows it */
	bool loop;         /* one or more of this item */
	bool range;        /* for text: written as lo..hi */
	uint32_t lo, hi;
	const struct filter_set *set; /* NULL: empty set, matches nothing */
};

struct filter_mask {
	uint32_t n;
	struct mask_item item[];
};

/* A '+'. false: there is no item before it. */
bool mask_add_loop(struct filter_mask *m);
void mask_add(struct filter_mask *m, struct mask_item item);
/* After the last item. */
void mask_finish(struct filter_mask *m);
struct filter_mask *mask_new(struct arena *a, unsigned room);

bool mask_match(struct arena *a, const struct filter_mask *m, const struct value_list *path);
bool mask_equal(const struct filter_mask *a, const struct filter_mask *b);
struct text;
void mask_put(struct text *t, const struct filter_mask *m);
