/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AS paths as the filter language sees them. A path is a value_list of bytes in
 * wire form with four-octet numbers, already checked by whoever took it from
 * the wire: segments are complete and of types 1 to 4.
 */
#pragma once
#include "controlplane/config/arena.h"
#include "controlplane/filter/value.h"
#include <endian.h>
#include <string.h>

enum path_segment { PATH_SET = 1, PATH_SEQUENCE = 2, PATH_CONFED_SEQUENCE = 3, PATH_CONFED_SET = 4 };

static inline uint32_t path_asn(const uint8_t *p)
{
	uint32_t be;

	memcpy(&be, p, 4);
	return be32toh(be);
}

/* Its bytes, also if there are none: never NULL. */
extern const uint8_t path_nothing[1];
static inline const uint8_t *path_bytes(const struct value_list *path)
{
	return path->count ? path->data : path_nothing;
}

static inline bool path_is_set(uint8_t type)
{
	return type == PATH_SET || type == PATH_CONFED_SET;
}

/* One number after the other, whatever segment they are in. Start with *pos = 0, *index = 0. */
bool path_walk(const struct value_list *path, uint32_t *pos, uint32_t *index, uint32_t *asn);
int path_compare(const struct value_list *a, const struct value_list *b);
struct filter_set;
bool path_has_any(const struct value_list *path, const struct filter_set *set);
/* Keeps (or drops) the numbers of the set, or the one number when set_given is false. Unchanged: the same
 * data. */
struct value_list path_filter(struct arena *a, const struct value_list *path, bool set_given,
	const struct filter_set *set, uint32_t asn, bool keep);
struct value_list path_prepend(struct arena *a, const struct value_list *path, uint32_t asn);
struct text;
void path_put(struct text *t, const struct value_list *path);
