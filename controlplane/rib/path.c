/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AS paths in wire form with 4-octet numbers: (type u8, count u8, count x u32
 * network order)*. The decoder lets only well-formed paths in; a truncated
 * segment nevertheless ends the walk instead of running past the bytes.
 */
#include "controlplane/rib/attr.h"
#include <string.h>

enum { SEG_SET = 1, SEG_SEQUENCE = 2, SEG_CONFED_SEQUENCE = 3, SEG_CONFED_SET = 4 };

struct segment {
	unsigned type, count;
	const uint8_t *as; /* count numbers */
};

/* Takes the next segment off [*p, end). */
static bool next_segment(const uint8_t **p, const uint8_t *end, struct segment *s)
{
	if (end - *p < 2)
		return false;
	s->type = (*p)[0];
	s->count = (*p)[1];
	s->as = *p + 2;
	if ((size_t)(end - s->as) < 4 * (size_t)s->count)
		return false;
	*p = s->as + 4 * (size_t)s->count;
	return true;
}

static uint32_t as_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return ntohl(v);
}

unsigned as_path_length(const uint8_t *path, unsigned bytes)
{
	const uint8_t *end = bytes ? path + bytes : path;
	struct segment s;
	unsigned n = 0;

	while (next_segment(&path, end, &s)) {
		if (s.type == SEG_SEQUENCE)
			n += s.count;
		else if (s.type == SEG_SET && s.count)
			n++;
	}
	return n;
}

uint32_t as_path_first(const uint8_t *path, unsigned bytes)
{
	const uint8_t *end = bytes ? path + bytes : path;
	struct segment s;

	return next_segment(&path, end, &s) && s.type == SEG_SEQUENCE && s.count ? as_at(s.as) : 0;
}

uint32_t as_path_first_regular(const uint8_t *path, unsigned bytes)
{
	const uint8_t *end = bytes ? path + bytes : path;
	struct segment s;

	while (next_segment(&path, end, &s)) {
		if (s.type == SEG_CONFED_SEQUENCE || s.type == SEG_CONFED_SET)
			continue;
		return s.type == SEG_SEQUENCE && s.count ? as_at(s.as) : 0;
	}
	return 0;
}

uint32_t as_path_last(const uint8_t *path, unsigned bytes)
{
	const uint8_t *end = bytes ? path + bytes : path;
	struct segment s;
	uint32_t last = 0;

	while (next_segment(&path, end, &s)) {
		if (!s.count)
			continue;
		last = s.type == SEG_SEQUENCE || s.type == SEG_CONFED_SEQUENCE
			       ? as_at(s.as + 4 * (size_t)(s.count - 1))
			       : 0;
	}
	return last;
}

uint32_t as_path_last_nonaggregated(const uint8_t *path, unsigned bytes)
{
	const uint8_t *end = bytes ? path + bytes : path;
	struct segment s;
	uint32_t last = 0;

	while (next_segment(&path, end, &s)) {
		if (s.type != SEG_SEQUENCE && s.type != SEG_CONFED_SEQUENCE)
			break;
		if (s.count)
			last = as_at(s.as + 4 * (size_t)(s.count - 1));
	}
	return last;
}

unsigned as_path_count(const uint8_t *path, unsigned bytes, uint32_t asn)
{
	const uint8_t *end = bytes ? path + bytes : path;
	struct segment s;
	unsigned n = 0;

	while (next_segment(&path, end, &s))
		for (unsigned i = 0; i < s.count; i++)
			n += as_at(s.as + 4 * (size_t)i) == asn;
	return n;
}

bool as_path_contains(const uint8_t *path, unsigned bytes, uint32_t asn)
{
	return as_path_count(path, bytes, asn) != 0;
}

unsigned as_path_prepend(const uint8_t *path, unsigned bytes, uint32_t asn, uint8_t type, uint8_t *out)
{
	uint32_t be = htonl(asn);

	if (bytes >= 2 && path[0] == type && path[1] > 0 && path[1] < 255) {
		memmove(out + 6, path + 2, bytes - 2);
		out[1] = path[1] + 1;
		out[0] = type;
		memcpy(out + 2, &be, 4);
		return bytes + 4;
	}
	if (bytes)
		memmove(out + 6, path, bytes);
	out[0] = type;
	out[1] = 1;
	memcpy(out + 2, &be, 4);
	return bytes + 6;
}
