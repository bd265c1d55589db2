/* SPDX-License-Identifier: BSD-2-Clause */
/* The generator's tables: made, read from text and from MRT. */
#include "tools/bgpgen/table.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct gen_options plain = {.run = 5, .communities = 6, .seed = 1};

static int parse(struct gen_table *t, const char *text, const struct gen_options *o, unsigned *where)
{
	/* A copy of its exact size: one byte too far is seen by the sanitizer. */
	size_t len = strlen(text);
	uint8_t *data = malloc(len + (len == 0));
	int rc;

	memcpy(data, text, len);
	rc = table_parse(t, data, len, o, where);
	free(data);
	return rc;
}

static uint32_t number_of(const struct gen_table *t, const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return table_find(t, &p);
}

static uint32_t origin(const struct gen_table *t, const char *text)
{
	uint32_t r = number_of(t, text);
	const struct gen_attrs *a;

	assert_int_not_equal(r, UINT32_MAX);
	a = &t->attrs[t->route[r].attrs];
	return a->path[a->n_path - 1];
}

static void made(void **state)
{
	struct gen_options o = plain;
	struct gen_table a, b;

	o.v4 = 20000;
	o.v6 = 3000;
	assert_int_equal(table_make(&a, &o), 0);
	assert_int_equal(table_make(&b, &o), 0);
	assert_int_equal(a.n_routes, 23000);
	assert_int_equal(a.n_v4, 20000);
	for (uint32_t i = 0; i < a.n_routes; i++) {
		assert_true(prefix_equal(&a.route[i].prefix, &b.route[i].prefix));
		assert_int_equal(a.route[i].attrs, b.route[i].attrs);
		assert_int_equal(table_find(&a, &a.route[i].prefix), i); /* each once */
	}
	table_free(&a);
	table_free(&b);
}

static void full_tables_fit(void **state)
{
	struct gen_options o = plain;
	struct gen_table t;

	o.v4 = 1200000;
	assert_int_equal(table_make(&t, &o), 0);
	assert_int_equal(t.n_routes, 1200000);
	table_free(&t);
	o.v4 = 4900000;
	o.host24 = true;
	assert_int_equal(table_make(&t, &o), 0);
	table_free(&t);
}

static void prefixes_and_origins(void **state)
{
	struct gen_table t;
	unsigned where;

	assert_int_equal(parse(&t,
				 "# a comment\n\n192.0.2.0/24 64500 more words\n2001:db8::/32 64501\n"
				 "198.51.100.0/24 64502\n192.0.2.0/24 9\n",
				 &plain, &where),
		0);
	assert_int_equal(t.n_routes, 3);
	assert_int_equal(t.n_v4, 2);
	assert_int_equal(origin(&t, "2001:db8::/32"), 64501);
	assert_int_equal(origin(&t, "198.51.100.0/24"), 64502);
	table_free(&t);
}

static void ranges(void **state)
{
	struct gen_table t;
	unsigned where;

	/* 1.0.0.0-1.0.4.255: a /22 and a /24; smaller pieces than /24 are nobody's; reserved space is left
	 * out. */
	assert_int_equal(parse(&t,
				 "1.0.0.0,1.0.4.255,13335,\"Cloudflare, Inc.\"\n"
				 "1.0.5.0,1.0.5.127,1,\"half a /24\"\n10.0.0.0,10.0.255.255,2,\"private\"\n"
				 "2a00::,2a00:0:ffff:ffff:ffff:ffff:ffff:ffff,3,\"a "
				 "/32\"\n8.0.0.0,8.0.0.255,0,\"nobody\"\n",
				 &plain, &where),
		0);
	assert_int_equal(t.n_routes, 3);
	assert_int_equal(origin(&t, "1.0.0.0/22"), 13335);
	assert_int_equal(origin(&t, "1.0.4.0/24"), 13335);
	assert_int_equal(origin(&t, "2a00::/32"), 3);
	table_free(&t);
}

static void resized(void **state)
{
	struct gen_options o = plain;
	struct gen_table t;
	unsigned where;

	o.v4 = 500;
	assert_int_equal(parse(&t, "20.0.0.0/8 1\n30.0.0.0/10 2\n", &o, &where), 0);
	assert_int_equal(t.n_routes, 500);
	for (uint32_t i = 0; i < t.n_routes; i++) {
		struct prefix p = t.route[i].prefix;

		assert_true(p.len <= 24);
		assert_int_equal(t.attrs[t.route[i].attrs].path[t.attrs[t.route[i].attrs].n_path - 1],
			p.addr.b[12] == 20 ? 1 : 2);
	}
	table_free(&t);
	o.v4 = 1;
	assert_int_equal(parse(&t, "20.0.0.0/8 1\n30.0.0.0/10 2\n2001:db8::/32 3\n", &o, &where), 0);
	assert_int_equal(t.n_v4, 1);
	assert_int_equal(t.n_routes, 2);
	table_free(&t);
}

static void bad_text(void **state)
{
	static const struct {
		const char *text;
		int rc;
		unsigned line;
	} cases[] = {
		{"1.0.0.0/24 1\nhello\n", -EINVAL, 2},
		{"1.0.0.0/33 1\n", -ERANGE, 1},
		{"1.0.0.1/24 1\n", -EDOM, 1},
		{"1.0.0.0,2001::,3\n", -EINVAL, 1},
		{"1.0.0.9,1.0.0.1,3\n", -EINVAL, 1},
		{"1.0.0.0,1.0.0.255\n", -EINVAL, 1},
		{"# nothing\n", -ENODATA, 1},
		{"", -ENODATA, 0},
	};
	struct gen_table t;
	unsigned where;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(parse(&t, cases[i].text, &plain, &where), cases[i].rc);
		assert_int_equal(where, cases[i].line);
		table_free(&t);
	}
	assert_int_equal(table_read(&t, "/nonexistent", &plain, &where), -ENOENT);
}

/* ---- MRT ---- */

struct mrt {
	uint8_t data[4096];
	size_t len;
};

static void bytes(struct mrt *m, const void *p, size_t n)
{
	memcpy(m->data + m->len, p, n);
	m->len += n;
}

static void number(struct mrt *m, uint64_t v, unsigned n)
{
	while (n--)
		m->data[m->len++] = (uint8_t)(v >> 8 * n);
}

static size_t begin(struct mrt *m, unsigned type, unsigned sub)
{
	number(m, 0x66000000, 4);
	number(m, type, 2);
	number(m, sub, 2);
	number(m, 0, 4);
	return m->len;
}

static void end(struct mrt *m, size_t from)
{
	struct mrt at = {.len = 0};

	number(&at, m->len - from, 4);
	memcpy(m->data + from - 4, at.data, 4);
}

/* One RIB record with one entry: ORIGIN, AS_PATH, MED, COMMUNITY. */
static void rib(
	struct mrt *m, unsigned sub, const uint8_t *net, unsigned plen, const uint32_t *path, unsigned n_path)
{
	size_t from = begin(m, 13, sub), attrs;

	number(m, 0, 4);
	number(m, plen, 1);
	bytes(m, net, (plen + 7) / 8);
	number(m, 1, 2);
	number(m, 0, 2);
	number(m, 0x66000000, 4);
	if (sub >= 8)
		number(m, 7, 4);
	number(m, 0, 2);
	attrs = m->len;
	number(m, 0x40010102, 4);
	number(m, 0x4002, 2);
	number(m, 2 + 4 * n_path, 1);
	number(m, 2, 1);
	number(m, n_path, 1);
	for (unsigned i = 0; i < n_path; i++)
		number(m, path[i], 4);
	number(m, 0x800404, 3);
	number(m, 77, 4);
	number(m, 0xc0080c, 3);
	number(m, 3356u << 16 | 100, 4);
	number(m, 0xffffff01, 4); /* NO_EXPORT stays behind */
	number(m, 3356u << 16 | 200, 4);
	m->data[attrs - 2] = (uint8_t)((m->len - attrs) >> 8);
	m->data[attrs - 1] = (uint8_t)(m->len - attrs);
	end(m, from);
}

static int parse_mrt(struct gen_table *t, const struct mrt *m, size_t len, unsigned *where)
{
	uint8_t *data = malloc(len + 1);
	int rc;

	memcpy(data, m->data, len);
	data = realloc(data, len ? len : 1);
	rc = table_parse(t, data, len, &plain, where);
	free(data);
	return rc;
}

static void dump(struct mrt *m)
{
	static const uint8_t v4[] = {193, 0, 20}, more[] = {193, 0, 22}, v6[] = {0x20, 0x01, 0x06, 0x7c};
	static const uint32_t path[] = {3356, 1299, 3333}, with_private[] = {3356, 64512, 23456, 1299, 3333};

	*m = (struct mrt){.len = 0};
	end(m, begin(m, 13, 1)); /* a peer index; nobody needs it */
	rib(m, 2, v4, 24, path, 3);
	rib(m, 8, more, 23, with_private, 5);
	rib(m, 4, v6, 32, path, 3);
	end(m, begin(m, 16, 4)); /* BGP4MP: not a table */
}

static void mrt(void **state)
{
	struct gen_table t;
	struct mrt m;
	unsigned where;
	const struct gen_attrs *a;

	dump(&m);
	assert_int_equal(parse_mrt(&t, &m, m.len, &where), 0);
	assert_int_equal(t.n_routes, 3);
	assert_int_equal(t.n_v4, 2);
	assert_int_equal(t.n_attrs, 1); /* private numbers are gone, so all three are alike */
	a = &t.attrs[t.route[number_of(&t, "193.0.22.0/23")].attrs];
	assert_int_equal(a->n_path, 3);
	assert_int_equal(a->path[0], 3356);
	assert_int_equal(a->path[2], 3333);
	assert_int_equal(a->origin, 2);
	assert_int_equal(a->med, 77);
	assert_int_equal(a->n_community, 2);
	table_free(&t);
}

static void mrt_cut_short(void **state)
{
	struct gen_table t;
	struct mrt m;
	unsigned where;

	dump(&m);
	for (size_t len = 13; len < m.len; len++) {
		int rc = parse_mrt(&t, &m, len, &where);

		assert_true(rc == 0 || rc == -EBADMSG || rc == -ENODATA || rc == -EINVAL);
		table_free(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made),
		cmocka_unit_test(full_tables_fit),
		cmocka_unit_test(prefixes_and_origins),
		cmocka_unit_test(ranges),
		cmocka_unit_test(resized),
		cmocka_unit_test(bad_text),
		cmocka_unit_test(mrt),
		cmocka_unit_test(mrt_cut_short),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
