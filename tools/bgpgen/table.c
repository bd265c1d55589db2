/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bgpgen/table.h"
#include "shared/hash.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t next(uint64_t *s)
{
	uint64_t z = (*s += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint32_t below(uint64_t *s, uint32_t n)
{
	return (uint32_t)(next(s) % n);
}

/* Shares of a full table in per mille, most common first (as seen by public collectors in 2025). */
static unsigned length_v4(uint64_t *s)
{
	static const struct {
		unsigned share, len;
	} mix[] = {{590, 24}, {110, 22}, {100, 23}, {55, 21}, {50, 20}, {35, 19}, {20, 18}, {15, 17},
		{15, 16}, {10, 15}};
	unsigned r = below(s, 1000);

	for (unsigned i = 0; i < sizeof(mix) / sizeof(*mix); i++) {
		if (r < mix[i].share)
			return mix[i].len;
		r -= mix[i].share;
	}
	return 24;
}

static unsigned length_v6(uint64_t *s)
{
	unsigned r = below(s, 100);

	return r < 50 ? 48 : r < 62 ? 32 : r < 72 ? 44 : r < 82 ? 40 : r < 90 ? 36 : r < 95 ? 46 : 42;
}

static int make_v4(struct gen_table *t, const struct gen_options *o, uint64_t *seed)
{
	uint64_t at = UINT64_C(1) << 24; /* 1.0.0.0 */
	bool specifics = false;

	for (uint32_t i = 0; i < o->v4; i++) {
		unsigned len = o->host24 ? 24 : length_v4(seed);
		uint64_t size = UINT64_C(1) << (32 - len);
		struct ipaddr a;

		at = (at + size - 1) & ~(size - 1);
		if (!specifics && at + size > UINT64_C(0xe0000000)) {
			/* The rest as more specifics of what is there already: real tables have them too. */
			specifics = true;
			at = UINT64_C(1) << 24;
		}
		if (specifics) {
			len = 25;
			size = 256;
			at = (at + 255) & ~UINT64_C(255);
		}
		if (at >> 24 == 127 || at >> 24 == 10)
			at = ((at >> 24) + 1) << 24;
		if (at + size > UINT64_C(0xe0000000))
			return -ERANGE;
		a = ipaddr_v4(htonl((uint32_t)at));
		t->route[t->n_routes++].prefix = prefix_make(&a, len);
		at += size;
	}
	t->n_v4 = t->n_routes;
	return 0;
}

static void make_v6(struct gen_table *t, const struct gen_options *o, uint64_t *seed)
{
	uint64_t at = UINT64_C(0x2001000000000000); /* the upper 64 bits */

	for (uint32_t i = 0; i < o->v6; i++) {
		unsigned len = o->host24 ? 48 : length_v6(seed);
		uint64_t size = UINT64_C(1) << (64 - len);
		struct ipaddr a = {0};

		at = (at + size - 1) & ~(size - 1);
		a.q[0] = htobe64(at);
		t->route[t->n_routes++].prefix = prefix_make(&a, len);
		at += size;
	}
}

static void make_attrs(struct gen_attrs *a, const struct gen_options *o, uint64_t *seed, uint32_t origin_as)
{
	a->n_path = (uint8_t)(1 + below(seed, 5));
	for (unsigned i = 0; i < a->n_path; i++)
		/* Never a number of a peer or of the daemon: a loop would be refused. */
		a->path[i] = below(seed, 3) ? 1000 + below(seed, 59000) : 200000 + below(seed, 200000);
	if (origin_as)
		a->path[a->n_path - 1] = origin_as;
	a->origin = below(seed, 10) ? 0 : 2;
	a->med = below(seed, 5) ? UINT32_MAX : below(seed, 1000);
	a->n_community =
		(uint8_t)(o->communities ? below(seed, (o->communities < 8 ? o->communities : 8) + 1) : 0);
	for (unsigned i = 0; i < a->n_community; i++)
		a->community[i] = (1000 + below(seed, 60000)) << 16 | below(seed, 65536);
}

static int share_attrs(
	struct gen_table *t, const struct gen_options *o, uint64_t *seed, const uint32_t *origin)
{
	uint32_t run = o->run ? o->run : 1, left = 0;

	t->attrs = calloc(t->n_routes + 1, sizeof(*t->attrs));
	if (!t->attrs)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n_routes; i++) {
		/* A family has attribute sets of its own, as its next hop differs; so has an origin from a
		 * file. */
		if (!left || i == t->n_v4 || (origin && origin[i] != origin[i - 1])) {
			make_attrs(&t->attrs[t->n_attrs++], o, seed, origin ? origin[i] : 0);
			left = run > 1 ? 1 + below(seed, 2 * run - 1) : 1;
		}
		t->route[i].attrs = t->n_attrs - 1;
		left--;
	}
	return 0;
}

static uint32_t slot_of(const struct gen_table *t, const struct prefix *p)
{
	return (uint32_t)hash_prefix(p, 0) & t->hash_mask;
}

static int index_routes(struct gen_table *t)
{
	uint32_t size = 1024;

	while (size < 2 * t->n_routes)
		size *= 2;
	t->hash_mask = size - 1;
	t->hash = calloc(size, sizeof(*t->hash));
	if (!t->hash)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n_routes; i++) {
		uint32_t s = slot_of(t, &t->route[i].prefix);

		while (t->hash[s])
			s = (s + 1) & t->hash_mask;
		t->hash[s] = i + 1;
	}
	return 0;
}

int table_make(struct gen_table *t, const struct gen_options *o)
{
	uint64_t seed = o->seed;
	int rc;

	*t = (struct gen_table){0};
	t->route = calloc((size_t)o->v4 + o->v6 + 1, sizeof(*t->route));
	if (!t->route)
		return -ENOMEM;
	rc = make_v4(t, o, &seed);
	if (rc < 0)
		return rc;
	make_v6(t, o, &seed);
	rc = share_attrs(t, o, &seed, NULL);
	return rc < 0 ? rc : index_routes(t);
}

static int by_family(const void *a, const void *b)
{
	const struct gen_route *x = a, *y = b;

	return prefix_cmp(&x->prefix, &y->prefix);
}

int table_read(struct gen_table *t, const char *path, const struct gen_options *o, unsigned *line)
{
	FILE *f = fopen(path, "r");
	uint32_t size = 0, *origin = NULL, n;
	uint64_t seed = o->seed;
	char text[256];
	int rc = 0;

	*t = (struct gen_table){0};
	*line = 0;
	if (!f)
		return -errno;
	while (rc == 0 && fgets(text, sizeof(text), f)) {
		char pfx[64];
		unsigned as = 0;

		++*line;
		if (text[0] == '#' || text[0] == '\n')
			continue;
		if (t->n_routes == size) {
			size = size ? 2 * size : 65536;
			t->route = realloc(t->route, size * sizeof(*t->route));
			if (!t->route)
				return -ENOMEM;
		}
		if (sscanf(text, "%63s %u", pfx, &as) < 1)
			rc = -EINVAL;
		else
			rc = prefix_parse(pfx, &t->route[t->n_routes].prefix);
		t->route[t->n_routes++].attrs = as; /* the origin, until the sets are made */
	}
	fclose(f);
	if (rc < 0)
		return rc;
	qsort(t->route, t->n_routes, sizeof(*t->route), by_family);
	n = 0;
	origin = calloc(t->n_routes + 1, sizeof(*origin));
	if (!origin)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n_routes; i++)
		if (!n || !prefix_equal(&t->route[i].prefix, &t->route[n - 1].prefix)) {
			origin[n] = t->route[i].attrs;
			t->route[n++] = t->route[i];
		}
	t->n_routes = n;
	while (t->n_v4 < n && t->route[t->n_v4].prefix.family == 4)
		t->n_v4++;
	rc = share_attrs(t, o, &seed, origin);
	free(origin);
	return rc < 0 ? rc : index_routes(t);
}

void table_free(struct gen_table *t)
{
	free(t->route);
	free(t->attrs);
	free(t->hash);
}

uint32_t table_find(const struct gen_table *t, const struct prefix *p)
{
	uint32_t s = slot_of(t, p);

	for (; t->hash[s]; s = (s + 1) & t->hash_mask)
		if (prefix_equal(&t->route[t->hash[s] - 1].prefix, p))
			return t->hash[s] - 1;
	return UINT32_MAX;
}
