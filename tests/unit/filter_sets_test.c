/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets, prefix sets and path masks against the plainest implementation that can be thought of. */
#include "tests/unit/filter_support.h"

#include "controlplane/filter/list.h"
#include "controlplane/filter/mask.h"
#include "controlplane/filter/prefix_set.h"
#include "controlplane/filter/set.h"
#include <stdlib.h>

static uint64_t seed = 88172645463325252u;

static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % below;
}

/* ---- prefix sets ---- */

static bool bits_agree(const struct prefix *a, const struct prefix *b, unsigned n)
{
	unsigned skip = a->family == 4 ? 96 : 0;

	for (unsigned i = skip; i < skip + n; i++)
		if ((a->addr.b[i / 8] ^ b->addr.b[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

/* The definition, word for word. */
static bool pattern_matches(const struct prefix_pattern *p, const struct prefix *n)
{
	unsigned shorter = p->prefix.len < n->len ? p->prefix.len : n->len;

	return bits_agree(&p->prefix, n, shorter) && p->lo <= n->len && n->len <= p->hi;
}

static struct prefix random_prefix(int family, unsigned clusters)
{
	unsigned max = family == 4 ? 32 : 128;
	struct ipaddr a;

	memset(&a, 0, sizeof(a));
	if (family == 4)
		a = ipaddr_v4(0);
	/* few distinct values, so that prefixes nest and neighbour each other */
	for (unsigned i = family == 4 ? 12 : 0; i < 16; i++)
		a.b[i] = (uint8_t)(rnd(3) ? rnd(clusters) << rnd(8) : 0);
	return prefix_make(&a, rnd(4) ? rnd(max + 1) : rnd(12) * 4 % (max + 1));
}

static void prefix_sets_match_the_definition(void **state)
{
	unsigned matched = 0, missed = 0;

	(void)state;
	for (unsigned round = 0; round < 600; round++) {
		int family = round % 2 ? 4 : 6;
		unsigned max = family == 4 ? 32 : 128, n = 1 + rnd(round % 10 == 0 ? 400 : 12);
		struct prefix_pattern pattern[401];
		struct arena *a = arena_create();
		struct prefix_set_builder *b = prefix_set_builder(a);

		for (unsigned i = 0; i < n; i++) {
			pattern[i].prefix = random_prefix(family, 1 + rnd(6));
			switch (rnd(5)) {
			case 0:
				pattern[i].lo = (uint8_t)rnd(max + 1);
				pattern[i].hi = (uint8_t)(pattern[i].lo + rnd(max + 1 - pattern[i].lo));
				break;
			case 1:
				pattern[i].lo = 0;
				pattern[i].hi = pattern[i].prefix.len;
				break;
			case 2:
				pattern[i].lo = pattern[i].prefix.len;
				pattern[i].hi = (uint8_t)max;
				break;
			default: pattern[i].lo = pattern[i].hi = pattern[i].prefix.len;
			}
			assert_true(
				prefix_set_builder_add(b, &pattern[i].prefix, pattern[i].lo, pattern[i].hi));
		}
		const struct filter_prefix_set *s = prefix_set_build(b);
		for (unsigned k = 0; k < 300; k++) {
			struct net net = {.type = family == 4 ? NET_IP4 : NET_IP6};
			bool want = false;

			net.prefix = rnd(3) ? pattern[rnd(n)].prefix : random_prefix(family, 1 + rnd(6));
			if (rnd(2))
				net.prefix = prefix_make(&net.prefix.addr, rnd(max + 1));
			for (unsigned i = 0; i < n && !want; i++)
				want = pattern_matches(&pattern[i], &net.prefix);
			if (prefix_set_has_net(s, &net) != want) {
				char text[PREFIX_STRLEN];

				fail_msg("round %u: %s should%s match", round,
					prefix_format(&net.prefix, text), want ? "" : " not");
			}
			*(want ? &matched : &missed) += 1;
		}
		/* the other family never matches */
		struct net other = {.type = family == 4 ? NET_IP6 : NET_IP4};
		other.prefix = random_prefix(family == 4 ? 6 : 4, 3);
		assert_false(prefix_set_has_net(s, &other));
		prefix_set_release(s);
		arena_destroy(a);
	}
	assert_true(matched > 10000 && missed > 10000); /* the test saw both */
}

struct listed {
	unsigned n;
	struct prefix_pattern p[64];
};

static void note(void *ctx, const struct prefix_pattern *p)
{
	struct listed *l = ctx;

	assert_true(l->n < 64);
	l->p[l->n++] = *p;
}

static const struct filter_prefix_set *set_of(struct arena *a, const char *const prefixes[], unsigned n)
{
	struct prefix_set_builder *b = prefix_set_builder(a);
	struct prefix p;

	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(prefix_parse(prefixes[i], &p), 0);
		assert_true(prefix_set_builder_add(b, &p, p.len, 24));
	}
	return prefix_set_build(b);
}

/* Equal sets are one set, in whatever order they are written; what is the only copy goes with its last
 * holder. */
static void prefix_sets_are_shared(void **state)
{
	static const char *const x[] = {"10.0.0.0/8", "192.0.2.0/24", "10.1.0.0/16"};
	static const char *const y[] = {"10.1.0.0/16", "10.0.0.0/8", "192.0.2.0/24", "10.0.0.0/8"};
	static const char *const z[] = {"10.1.0.0/16", "10.0.0.0/8"};
	struct arena *a = arena_create();
	const struct filter_prefix_set *s = set_of(a, x, 3), *t = set_of(a, y, 4), *u = set_of(a, z, 2);
	struct listed l = {0};

	(void)state;
	assert_ptr_equal(s, t);
	assert_true(prefix_set_equal(s, t));
	assert_false(prefix_set_equal(s, u));
	prefix_set_each(s, note, &l);
	assert_int_equal(l.n, 3);
	assert_int_equal(l.p[1].prefix.len, 16);
	assert_int_equal(l.p[1].hi, 24);
	prefix_set_release(t);
	assert_int_equal(l.p[0].prefix.len, s->info[0].len);
	prefix_set_release(s);
	prefix_set_release(u);
	arena_destroy(a);
}

/* Millions of prefixes have to fit: the cost of each, not the time, is checked. */
static void large_prefix_sets_are_lean(void **state)
{
	struct arena *a = arena_create();
	struct prefix_set_builder *b4 = prefix_set_builder(a), *b6 = prefix_set_builder(a);
	enum { N = 200000 };

	(void)state;
	for (uint32_t i = 0; i < N; i++) {
		struct ipaddr x = ipaddr_v4(htonl(0x01000000 + i * 0x1300)), y;
		uint8_t six[16] = {0x2a, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

		y = ipaddr_v6(six);
		struct prefix p = prefix_make(&x, 20 + i % 5), q = prefix_make(&y, 32 + i % 17);
		assert_true(prefix_set_builder_add(b4, &p, p.len, 24));
		assert_true(prefix_set_builder_add(b6, &q, q.len, 48));
	}
	const struct filter_prefix_set *s4 = prefix_set_build(b4), *s6 = prefix_set_build(b6);
	assert_in_range(prefix_set_bytes(s4), 1, N * 18);
	assert_in_range(prefix_set_bytes(s6), 1, N * 30);
	assert_true(prefix_set_has4(s4, 0x01000000, 24));
	assert_false(prefix_set_has4(s4, 0x01000000, 25));
	prefix_set_release(s4);
	prefix_set_release(s6);
	arena_destroy(a);
}

/* ---- sets of values ---- */

static void sets_match_the_definition(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 500; round++) {
		struct arena *a = arena_create();
		struct set_builder b = {.arena = a, .type = T_INT};
		uint32_t lo[40], hi[40], n = rnd(40);

		for (uint32_t i = 0; i < n; i++) {
			lo[i] = rnd(200);
			hi[i] = lo[i] + rnd(10);
			set_builder_add(&b, &(union set_key){.i = lo[i]}, &(union set_key){.i = hi[i]}, 0);
		}
		const struct filter_set *s = set_build(&b);
		assert_true(n ? s != NULL : s == NULL);
		for (uint32_t v = 0; v < 220; v++) {
			struct value x = {.type = T_INT, .i = v};
			bool want = false;

			for (uint32_t i = 0; i < n; i++)
				want = want || (lo[i] <= v && v <= hi[i]);
			assert_int_equal(set_has(s, &x), want);
		}
		for (uint32_t i = 1; s && i < s->n; i++) /* sorted and apart */
			assert_true(s->hi32[i - 1] < s->lo32[i]);
		set_release(s);
		arena_destroy(a);
	}
}

static void overlaps_are_found(void **state)
{
	struct arena *a = arena_create();
	struct set_builder b = {.arena = a, .type = T_INT};

	(void)state;
	set_builder_add(&b, &(union set_key){.i = 5}, &(union set_key){.i = 7}, 0);
	set_builder_add(&b, &(union set_key){.i = 1}, &(union set_key){.i = 4}, 1);
	assert_true(set_builder_sort(&b, false));
	set_builder_add(&b, &(union set_key){.i = 7}, &(union set_key){.i = 7}, 1);
	assert_false(set_builder_sort(&b, false));
	arena_destroy(a);
}

/* ---- masks: tried in every way, which is slow and surely right ---- */

struct place {
	bool set;
	unsigned n;
	uint32_t asn[4];
};

static bool takes(const struct mask_item *it, uint32_t asn)
{
	return it->kind == MASK_ANY ||
	       (it->kind == MASK_ASN ? it->lo <= asn && asn <= it->hi : it->set && set_has_u32(it->set, asn));
}

static bool takes_place(const struct mask_item *it, const struct place *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (takes(it, p->asn[i]))
			return true;
	return false;
}

/* Can items k.. take places i..? A place that is a set may be taken again, or left together with the sets
 * behind it. */
static bool slow(
	const struct filter_mask *m, unsigned k, const struct place *p, unsigned n, unsigned i, bool again)
{
	if (again && i < n && takes_place(&m->item[k - 1], &p[i])) { /* one more of the loop before k */
		for (unsigned j = p[i].set ? i : i + 1;; j++) {
			if (j == i && p[i].set) {
				/* staying here takes the same item again: nothing new */
			} else if (slow(m, k, p, n, j, true)) {
				return true;
			}
			if (j >= n || !p[i].set || !p[j].set)
				break;
		}
	}
	if (k == m->n)
		return i == n;
	const struct mask_item *it = &m->item[k];
	if (it->kind == MASK_STAR) {
		for (unsigned j = i; j <= n; j++)
			if (slow(m, k + 1, p, n, j, false))
				return true;
		return false;
	}
	if (i >= n || !takes_place(it, &p[i]))
		return false;
	for (unsigned j = p[i].set ? i : i + 1;; j++) {
		if (slow(m, k + 1, p, n, j, it->loop))
			return true;
		if (j >= n || !p[i].set || !p[j].set)
			return false;
	}
}

static void masks_match_the_definition(void **state)
{
	unsigned matched = 0, missed = 0;

	(void)state;
	for (unsigned round = 0; round < 60000; round++) {
		struct arena *a = arena_create();
		struct set_builder b = {.arena = a, .type = T_INT};
		struct filter_mask *m = mask_new(a, 8);
		struct place p[8];
		uint8_t wire[256], *w = wire, *count = NULL;
		unsigned n = rnd(6), items = rnd(6);
		bool sets = rnd(2);

		for (unsigned i = 0; i < n; i++) {
			p[i].set = sets && !rnd(3);
			p[i].n = p[i].set ? 1 + rnd(3) : 1;
			if (p[i].set || !count) {
				*w++ = p[i].set ? PATH_SET : PATH_SEQUENCE;
				count = w++;
				*count = 0;
			}
			for (unsigned k = 0; k < p[i].n; k++) {
				uint32_t be = htonl(p[i].asn[k] = 1 + rnd(4));

				memcpy(w, &be, 4);
				w += 4;
				++*count;
			}
			if (p[i].set)
				count = NULL;
		}
		set_builder_add(&b, &(union set_key){.i = 1}, &(union set_key){.i = 2}, 0);
		const struct filter_set *s = set_build(&b);
		for (unsigned i = 0; i < items; i++) {
			struct mask_item it = {.kind = (uint8_t)rnd(4), .lo = 1 + rnd(4), .set = s};

			it.hi = it.lo + rnd(2);
			mask_add(m, it);
			if (!rnd(4))
				mask_add_loop(m);
		}
		mask_finish(m);
		struct value_list list = {wire, (uint32_t)(w - wire)};
		bool want = slow(m, 0, p, n, 0, false), got = mask_match(a, m, &list);
		if (want != got) {
			char text[256], path_text[256];
			struct value vm = {.type = T_PATH_MASK, .mask = m},
				     vp = {.type = T_PATH, .list = list};

			value_format(&vm, text, sizeof(text));
			value_format(&vp, path_text, sizeof(path_text));
			fail_msg("%s %s %s", path_text, want ? "should match" : "should not match", text);
		}
		*(want ? &matched : &missed) += 1;
		set_release(s);
		arena_destroy(a);
	}
	assert_true(matched > 5000 && missed > 5000);
}

/* ---- paths with sets and confederations ---- */

static void path_methods(void **state)
{
	/* {1 2} 3 4 {5} (6 7) ({8}) 9 */
	static const uint8_t wire[] = {1, 2, 0, 0, 0, 1, 0, 0, 0, 2, 2, 2, 0, 0, 0, 3, 0, 0, 0, 4, 1, 1, 0, 0,
		0, 5, 3, 2, 0, 0, 0, 6, 0, 0, 0, 7, 4, 1, 0, 0, 0, 8, 2, 1, 0, 0, 0, 9};
	struct value v = {.type = T_PATH, .list = {wire, sizeof(wire)}};
	struct arena *a = arena_create();
	char text[100];

	(void)state;
	value_format(&v, text, sizeof(text));
	assert_string_equal(text, "(path {1 2} 3 4 {5} (6 7) ({8}) 9)");
	v.list = path_filter(a, &v.list, false, NULL, 5, false);
	v.list = path_filter(a, &v.list, false, NULL, 2, false);
	value_format(&v, text, sizeof(text));
	assert_string_equal(text, "(path {1} 3 4 (6 7) ({8}) 9)");
	v.list = path_prepend(a, &v.list, 77);
	value_format(&v, text, sizeof(text));
	assert_string_equal(text, "(path 77 {1} 3 4 (6 7) ({8}) 9)");
	assert_ptr_equal(path_filter(a, &v.list, false, NULL, 1234, false).data,
		v.list.data); /* nothing to do, nothing done */
	arena_destroy(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefix_sets_match_the_definition),
		cmocka_unit_test(prefix_sets_are_shared),
		cmocka_unit_test(large_prefix_sets_are_lean),
		cmocka_unit_test(sets_match_the_definition),
		cmocka_unit_test(overlaps_are_found),
		cmocka_unit_test(masks_match_the_definition),
		cmocka_unit_test(path_methods),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
