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

static int by_prefix(const void *a, const void *b)
{
	const struct gen_route *x = a, *y = b;

	return prefix_cmp(&x->prefix, &y->prefix);
}

int table_add(struct gen_table *t, uint32_t *size, const struct prefix *p, uint32_t attrs)
{
	if (t->n_routes == *size) {
		uint32_t n = *size ? 2 * *size : 65536;
		struct gen_route *more = realloc(t->route, n * sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->route = more;
		*size = n;
	}
	t->route[t->n_routes++] = (struct gen_route){*p, attrs};
	return 0;
}

/* The prefixes that a range of addresses consists of, none longer than anybody accepts. */
static int add_range(struct gen_table *t, uint32_t *size, const struct ipaddr *first,
	const struct ipaddr *last, uint32_t origin)
{
	bool v4 = ipaddr_is_v4(first);
	uint64_t at = v4 ? ntohl(first->w[3]) : be64toh(first->q[0]),
		 end = v4 ? ntohl(last->w[3]) : be64toh(last->q[0]);
	unsigned width = v4 ? 32 : 64, longest = v4 ? 24 : 48;
	int rc = 0;

	if (ipaddr_is_v4(last) != v4 || at > end)
		return -EINVAL;
	while (rc == 0 && at <= end) {
		unsigned bits = 0; /* the largest block that starts here and ends in time */
		struct ipaddr a = {0};
		struct prefix p;

		while (bits < width && !(at & UINT64_C(1) << bits) && bits + 1 < width &&
			at + (UINT64_C(2) << bits) - 1 <= end && at + (UINT64_C(2) << bits) - 1 > at)
			bits++;
		if (v4)
			a = ipaddr_v4(htonl((uint32_t)at));
		else
			a.q[0] = htobe64(at);
		p = prefix_make(&a, width - bits);
		/* Reserved space, where data sets name it, is refused by every daemon. */
		if (width - bits <= longest && width - bits >= 8 &&
			(!v4 || (at >> 24 && at >> 24 != 10 && at >> 24 != 127 && at >> 28 < 14)) &&
			(v4 || at >> 61 == 1))
			rc = table_add(t, size, &p, origin);
		if (at + (UINT64_C(1) << bits) < at)
			break;
		at += UINT64_C(1) << bits;
	}
	return rc;
}

static int parse_line(struct gen_table *t, uint32_t *size, const char *text)
{
	char first[64], last[64];
	struct ipaddr a, b;
	struct prefix p;
	unsigned as = 0;
	int rc;

	if (strchr(text, ',') && !memchr(text, '/', strcspn(text, ","))) {
		if (sscanf(text, "%63[^,],%63[^,],%u", first, last, &as) < 3 || ipaddr_parse(first, &a) < 0 ||
			ipaddr_parse(last, &b) < 0)
			return -EINVAL;
		return as ? add_range(t, size, &a, &b, as) : 0;
	}
	if (sscanf(text, "%63s %u", first, &as) < 1)
		return -EINVAL;
	rc = prefix_parse(first, &p);
	return rc < 0 ? rc : table_add(t, size, &p, as);
}

static int parse_text(struct gen_table *t, uint32_t *size, const char *data, size_t len, unsigned *line)
{
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < len;) {
		const char *nl = memchr(data + at, '\n', len - at);
		size_t n = nl ? (size_t)(nl - data) - at : len - at;
		char text[256];

		++*line;
		snprintf(text, sizeof(text), "%.*s", (int)(n < 255 ? n : 255), data + at);
		if (text[0] && text[0] != '#' && text[0] != '\r')
			rc = parse_line(t, size, text);
		at += n + 1;
	}
	return rc;
}

/* In order, each prefix once. */
static void sort_routes(struct gen_table *t)
{
	uint32_t n = 0;

	if (t->n_routes)
		qsort(t->route, t->n_routes, sizeof(*t->route), by_prefix);
	for (uint32_t i = 0; i < t->n_routes; i++)
		if (!n || !prefix_equal(&t->route[i].prefix, &t->route[n - 1].prefix))
			t->route[n++] = t->route[i];
	t->n_routes = n;
	for (t->n_v4 = 0; t->n_v4 < n && t->route[t->n_v4].prefix.family == 4;)
		t->n_v4++;
}

static struct prefix more_specific(const struct prefix *p, unsigned longest, uint64_t *seed)
{
	unsigned len = below(seed, 3) ? longest : p->len + 1 + below(seed, longest - p->len);
	struct ipaddr a = p->addr;
	unsigned base = p->family == 4 ? 96 : 0;

	for (unsigned bit = base + p->len; bit < base + len; bit++)
		if (next(seed) & 1)
			a.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return prefix_make(&a, len);
}

/* As many routes of a family as asked for: more-specifics with the attributes of what they lie in, or fewer.
 */
static int resize(struct gen_table *t, uint32_t *size, unsigned family, uint32_t wanted, uint64_t *seed)
{
	unsigned longest = family == 4 ? 24 : 48;
	int rc = 0;

	for (unsigned round = 0; rc == 0 && wanted && round < 40; round++) {
		uint32_t from = family == 4 ? 0 : t->n_v4, to = family == 4 ? t->n_v4 : t->n_routes,
			 have = to - from, kept = from;

		if (have == wanted || !have)
			return 0;
		if (have < wanted) {
			for (uint32_t k = 0; rc == 0 && k < wanted - have; k++) {
				struct gen_route r = t->route[from + below(seed, have)];
				struct prefix p;

				if (r.prefix.len >= longest)
					continue;
				p = more_specific(&r.prefix, longest, seed);
				rc = table_add(t, size, &p, r.attrs);
			}
		} else {
			for (uint32_t i = from; i < to; i++)
				if (below(seed, to - i) < wanted - (kept - from))
					t->route[kept++] = t->route[i];
			memmove(&t->route[kept], &t->route[to], (t->n_routes - to) * sizeof(*t->route));
			t->n_routes -= to - kept;
		}
		sort_routes(t);
	}
	return rc;
}

int table_parse(
	struct gen_table *t, const uint8_t *data, size_t len, const struct gen_options *o, unsigned *where)
{
	bool mrt = len > 12 && !data[4] && data[5] == 13; /* no text has a zero there */
	uint32_t size = 0, *origin;
	uint64_t seed = o->seed;
	int rc;

	*t = (struct gen_table){0};
	*where = 0;
	rc = mrt ? table_parse_mrt(t, &size, data, len, where)
		 : parse_text(t, &size, (const char *)data, len, where);
	if (rc < 0)
		return rc;
	sort_routes(t);
	rc = resize(t, &size, 4, o->v4, &seed);
	if (rc == 0)
		rc = resize(t, &size, 6, o->v6, &seed);
	if (rc == 0 && !t->n_routes)
		rc = -ENODATA;
	if (rc == 0 && !mrt) {
		origin = calloc(t->n_routes + 1, sizeof(*origin));
		if (!origin)
			return -ENOMEM;
		for (uint32_t i = 0; i < t->n_routes; i++)
			origin[i] = t->route[i].attrs;
		rc = share_attrs(t, o, &seed, origin);
		free(origin);
	}
	return rc < 0 ? rc : index_routes(t);
}

int table_read(struct gen_table *t, const char *path, const struct gen_options *o, unsigned *where)
{
	FILE *f = fopen(path, "r");
	uint8_t *data = NULL;
	size_t len = 0, size = 0, n = 1;
	int rc;

	*t = (struct gen_table){0};
	*where = 0;
	if (!f)
		return -errno;
	while (n) {
		if (len == size) {
			uint8_t *more = realloc(data, size = size ? 2 * size : 1u << 20);

			if (!more) {
				free(data);
				fclose(f);
				return -ENOMEM;
			}
			data = more;
		}
		n = fread(data + len, 1, size - len, f);
		len += n;
	}
	rc = ferror(f) ? -EIO : table_parse(t, data, len, o, where);
	fclose(f);
	free(data);
	return rc;
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
