/* SPDX-License-Identifier: BSD-2-Clause */
/* MRT TABLE_DUMP_V2 (RFC 6396 4.3, RFC 8050): the first path of each prefix. */
#include "shared/hash.h"
#include "tools/bgpgen/table.h"
#include <errno.h>
#include <stdlib.h>

enum {
	TABLE_DUMP_V2 = 13,
	RIB_IPV4_UNICAST = 2,
	RIB_IPV6_UNICAST = 4,
	RIB_IPV4_UNICAST_ADDPATH = 8,
	RIB_IPV6_UNICAST_ADDPATH = 10
};

struct reader {
	const uint8_t *at, *end;
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *p = r->at;

	if ((size_t)(r->end - r->at) < n) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	return p;
}

static uint32_t number(struct reader *r, unsigned bytes)
{
	const uint8_t *p = take(r, bytes);
	uint32_t v = 0;

	for (unsigned i = 0; p && i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

/* Private numbers may be those of the generated peers or of the daemon: a loop would be refused. */
static bool usable(uint32_t as)
{
	return as && as != 23456 && (as < 60000 || as > 65535) && as < 4200000000u;
}

static void path(struct reader *r, struct gen_attrs *a)
{
	while (r->at < r->end && !r->bad) {
		unsigned n;

		take(r, 1);
		n = number(r, 1);
		for (unsigned i = 0; i < n && !r->bad; i++) {
			uint32_t as = number(r, 4);

			if (!usable(as))
				continue;
			if (a->n_path == GEN_PATH) /* the origin stays */
				a->path[GEN_PATH - 1] = as;
			else
				a->path[a->n_path++] = as;
		}
	}
}

static bool attributes(struct reader *r, struct gen_attrs *a)
{
	memset(a, 0, sizeof(*a)); /* padding too: sets are compared as bytes */
	a->med = UINT32_MAX;
	while (r->at < r->end && !r->bad) {
		unsigned flags = number(r, 1), code = number(r, 1), len = number(r, flags & 0x10 ? 2 : 1);
		struct reader v = {.at = take(r, len)};

		if (r->bad)
			return false;
		v.end = v.at + len;
		if (code == 1)
			a->origin = (uint8_t)(number(&v, 1) % 3);
		else if (code == 2)
			path(&v, a);
		else if (code == 4)
			a->med = number(&v, 4);
		else if (code == 8)
			while (v.at < v.end && a->n_community < GEN_COMMUNITIES)
				a->community[a->n_community++] = number(&v, 4);
		if (v.bad)
			return false;
	}
	/* Well-known ones (65535:x) would keep the route where it is. */
	for (unsigned i = 0; i < a->n_community;)
		if (a->community[i] >> 16 >= 60000 || a->community[i] >> 16 == 0)
			a->community[i] = a->community[--a->n_community];
		else
			i++;
	return !r->bad;
}

struct sets {
	uint32_t *slot, mask, size;
};

static int set_number(struct gen_table *t, struct sets *s, const struct gen_attrs *a, uint32_t *out)
{
	uint64_t h = hash_bytes(a, sizeof(*a), 0);
	uint32_t k;

	if (2 * t->n_attrs >= s->mask) {
		uint32_t mask = s->mask ? 2 * s->mask + 1 : 4095, *slot = calloc(mask + 1, sizeof(*slot));

		if (!slot)
			return -ENOMEM;
		free(s->slot);
		*s = (struct sets){slot, mask, s->size};
		for (uint32_t i = 0; i < t->n_attrs; i++) {
			for (k = (uint32_t)hash_bytes(&t->attrs[i], sizeof(*a), 0) & mask; slot[k];)
				k = (k + 1) & mask;
			slot[k] = i + 1;
		}
	}
	for (k = (uint32_t)h & s->mask; s->slot[k]; k = (k + 1) & s->mask)
		if (!memcmp(&t->attrs[s->slot[k] - 1], a, sizeof(*a))) {
			*out = s->slot[k] - 1;
			return 0;
		}
	if (t->n_attrs == s->size) {
		struct gen_attrs *more = realloc(t->attrs, (s->size ? 2 * s->size : 4096) * sizeof(*a));

		if (!more)
			return -ENOMEM;
		t->attrs = more;
		s->size = s->size ? 2 * s->size : 4096;
	}
	t->attrs[t->n_attrs] = *a;
	*out = t->n_attrs;
	s->slot[k] = ++t->n_attrs;
	return 0;
}

static int rib(
	struct gen_table *t, uint32_t *size, struct sets *sets, struct reader *r, bool v4, bool add_path)
{
	struct ipaddr addr = v4 ? ipaddr_v4(0) : (struct ipaddr){0};
	struct gen_attrs a;
	struct prefix p;
	const uint8_t *bytes;
	struct reader v;
	unsigned plen, n;
	uint32_t set;
	int rc;

	take(r, 4);
	plen = number(r, 1);
	if (r->bad || plen > (v4 ? 32 : 128))
		return -EBADMSG;
	bytes = take(r, (plen + 7) / 8);
	if (!number(r, 2) && !r->bad)
		return 0;
	take(r, add_path ? 10 : 6);
	n = number(r, 2);
	v.at = take(r, n);
	if (r->bad)
		return -EBADMSG;
	v.end = v.at + n;
	v.bad = false;
	memcpy(v4 ? &addr.b[12] : addr.b, bytes, (plen + 7) / 8);
	p = prefix_make(&addr, plen);
	if (!plen)
		return 0; /* a default route is nobody's full table */
	if (!attributes(&v, &a))
		return -EBADMSG;
	rc = set_number(t, sets, &a, &set);
	return rc < 0 ? rc : table_add(t, size, &p, set);
}

int table_parse_mrt(struct gen_table *t, uint32_t *size, const uint8_t *data, size_t len, unsigned *record)
{
	struct reader r = {data, data + len, false};
	struct sets sets = {0};
	int rc = 0;

	while (rc == 0 && r.at < r.end) {
		unsigned type, sub, n;
		struct reader body;

		++*record;
		take(&r, 4);
		type = number(&r, 2);
		sub = number(&r, 2);
		n = number(&r, 4);
		body.at = take(&r, n);
		body.bad = false;
		if (r.bad) {
			rc = -EBADMSG;
			break;
		}
		body.end = body.at + n;
		if (type == TABLE_DUMP_V2 &&
			(sub == RIB_IPV4_UNICAST || sub == RIB_IPV6_UNICAST ||
				sub == RIB_IPV4_UNICAST_ADDPATH || sub == RIB_IPV6_UNICAST_ADDPATH))
			rc = rib(t, size, &sets, &body,
				sub == RIB_IPV4_UNICAST || sub == RIB_IPV4_UNICAST_ADDPATH,
				sub >= RIB_IPV4_UNICAST_ADDPATH);
	}
	free(sets.slot);
	return rc;
}
