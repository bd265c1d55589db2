/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/filter/path.h"
#include "controlplane/filter/set.h"
#include "controlplane/filter/text.h"
#include "controlplane/rib/attr.h"

const uint8_t path_nothing[1] = {0};

bool path_walk(const struct value_list *path, uint32_t *pos, uint32_t *index, uint32_t *asn)
{
	const uint8_t *p = path_bytes(path);

	while (*pos < path->count) {
		const uint8_t *segment = p + *pos;

		if (*index < segment[1]) {
			*asn = path_asn(segment + 2 + 4 * *index);
			++*index;
			return true;
		}
		*pos += 2 + 4u * segment[1];
		*index = 0;
	}
	return false;
}

/* By the numbers one after the other; segments do not matter. A path that is the beginning of another is the
 * lesser. */
int path_compare(const struct value_list *a, const struct value_list *b)
{
	uint32_t pos_a = 0, pos_b = 0, index_a = 0, index_b = 0, asn_a = 0, asn_b = 0;

	for (;;) {
		bool more_a = path_walk(a, &pos_a, &index_a, &asn_a);
		bool more_b = path_walk(b, &pos_b, &index_b, &asn_b);

		if (!more_a || !more_b)
			return more_a - more_b;
		if (asn_a != asn_b)
			return asn_a < asn_b ? -1 : 1;
	}
}

bool path_has_any(const struct value_list *path, const struct filter_set *set)
{
	const uint8_t *p = path_bytes(path), *end = p + path->count;

	if (!set)
		return false;
	while (p < end) {
		unsigned n = p[1];

		for (p += 2; n; n--, p += 4)
			if (set_has_u32(set, path_asn(p)))
				return true;
	}
	return false;
}

struct value_list path_filter(struct arena *a, const struct value_list *path, bool set_given,
	const struct filter_set *set, uint32_t asn, bool keep)
{
	const uint8_t *p = path_bytes(path), *end = p + path->count;
	uint8_t *out, *d;
	bool changed = false;

	/* Most often nothing is taken away: look first, allocate then. */
	while (p < end && !changed) {
		unsigned n = p[1];

		for (p += 2; n; n--, p += 4) {
			uint32_t v = path_asn(p);

			if ((set_given ? set && set_has_u32(set, v) : v == asn) != keep) {
				changed = true;
				break;
			}
		}
	}
	if (!changed)
		return *path;
	out = d = arena_alloc_raw(a, path->count);
	for (p = path_bytes(path); p < end;) {
		unsigned n = p[1];
		uint8_t *segment = d;

		d[0] = p[0];
		d[1] = 0;
		d += 2;
		for (p += 2; n; n--, p += 4) {
			uint32_t v = path_asn(p);

			if ((set_given ? set && set_has_u32(set, v) : v == asn) == keep) {
				memcpy(d, p, 4);
				d += 4;
				segment[1]++;
			}
		}
		if (!segment[1])
			d = segment;
	}
	if (d == out)
		return (struct value_list){path_nothing, 0}; /* empty because somebody made it so */
	return (struct value_list){out, (uint32_t)(d - out)};
}

struct value_list path_prepend(struct arena *a, const struct value_list *path, uint32_t asn)
{
	uint8_t *out = arena_alloc_raw(a, path->count + 6);

	return (struct value_list){
		out, as_path_prepend(path_bytes(path), path->count, asn, PATH_SEQUENCE, out)};
}

void path_put(struct text *t, const struct value_list *path)
{
	const uint8_t *p = path_bytes(path), *end = p + path->count;

	while (p < end) {
		uint8_t type = p[0];
		unsigned n = p[1];

		if (type == PATH_CONFED_SEQUENCE || type == PATH_CONFED_SET)
			text_char(t, '(');
		if (path_is_set(type))
			text_char(t, '{');
		for (p += 2; n; n--, p += 4) {
			text_u32(t, path_asn(p));
			if (n > 1)
				text_char(t, ' ');
		}
		if (path_is_set(type))
			text_char(t, '}');
		if (type == PATH_CONFED_SEQUENCE || type == PATH_CONFED_SET)
			text_char(t, ')');
		if (p < end)
			text_char(t, ' ');
	}
}
