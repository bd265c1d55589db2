/* SPDX-License-Identifier: BSD-2-Clause */
/* The receiving side: UPDATEs, their canonical attributes, the memory of messages; and the model. */
#include "tools/bgpgen/model.h"
#include "tools/bgpgen/options.h"
#include <errno.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct prefix pfx(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static struct speaker speaker(unsigned i)
{
	struct speaker s = {.as = 64001 + i,
		.router_id = 1 + i,
		.next_hop4 = ipaddr_v4(htonl(0x0a408001 + i)),
		.v4 = true,
		.v6 = true};

	ipaddr_parse("2001:db8::1:0", &s.next_hop6);
	return s;
}

static struct gen_attrs attrs_of(unsigned n_path)
{
	struct gen_attrs a = {.n_path = (uint8_t)n_path,
		.med = UINT32_MAX,
		.n_community = 2,
		.community = {7 << 16 | 7, 1 << 16 | 1}};

	for (unsigned i = 0; i < n_path; i++)
		a.path[i] = 100 + i;
	return a;
}

static void reads_what_it_writes(void **state)
{
	struct gen_route routes[] = {
		{pfx("1.0.0.0/8"), 0}, {pfx("1.2.3.0/24"), 0}, {pfx("2001:db8::/32"), 0}, {pfx("::/0"), 0}};
	struct gen_table t = {.route = routes, .n_routes = 4, .n_v4 = 2};
	struct speaker who = speaker(0);
	struct gen_attrs a = attrs_of(3);
	uint32_t own = who.as;
	struct saying what = {.who = &who, .attrs = &a, .lead = &own, .n_lead = 1};
	struct stream s = {0};
	struct update u;
	struct prefix p;

	stream_announce(&s, &what, &t, 0, 2);
	assert_int_equal(update_parse(s.data + 19, s.len - 19, &u), 0);
	assert_false(u.end_of_rib);
	assert_int_equal(nlri_next(&u.announced4, true, false, &p), 1);
	assert_true(prefix_equal(&p, &routes[0].prefix));
	assert_int_equal(nlri_next(&u.announced4, true, false, &p), 1);
	assert_true(prefix_equal(&p, &routes[1].prefix));
	assert_int_equal(nlri_next(&u.announced4, true, false, &p), 0);
	s.len = 0;
	stream_announce(&s, &what, &t, 2, 4);
	assert_int_equal(update_parse(s.data + 19, s.len - 19, &u), 0);
	assert_int_equal(u.announced_afi, 2);
	for (unsigned i = 2; i < 4; i++) {
		assert_int_equal(nlri_next(&u.announced_mp, false, false, &p), 1);
		assert_true(prefix_equal(&p, &routes[i].prefix));
	}
	s.len = 0;
	stream_withdraw(&s, &t, 2, 4);
	assert_int_equal(update_parse(s.data + 19, s.len - 19, &u), 0);
	assert_int_equal(u.withdrawn_afi, 2);
	assert_int_equal(nlri_next(&u.withdrawn_mp, false, false, &p), 1);
	s.len = 0;
	stream_end_of_rib(&s, &who);
	for (size_t at = 0; at < s.len; at += (size_t)s.data[at + 16] << 8 | s.data[at + 17]) {
		assert_int_equal(update_parse(s.data + at + 19,
					 ((size_t)s.data[at + 16] << 8 | s.data[at + 17]) - 19, &u),
			0);
		assert_true(u.end_of_rib);
	}
	stream_free(&s);
}

static void bad_updates(void **state)
{
	static const struct {
		uint8_t b[24];
		size_t len;
	} cases[] = {
		{{0, 0, 0}, 3}, {{0, 5, 0, 0}, 4},              /* withdrawn past the end */
		{{0, 0, 0, 9}, 4},                              /* attributes past the end */
		{{0, 0, 0, 2, 0x40, 1}, 6},                     /* half an attribute */
		{{0, 0, 0, 3, 0x40, 1, 1}, 7},                  /* without its value */
		{{0, 0, 0, 3, 0x50, 1, 0}, 7},                  /* extended length cut short */
		{{0, 0, 0, 7, 0x80, 14, 4, 0, 2, 1, 0}, 11},    /* MP_REACH_NLRI too short */
		{{0, 0, 0, 8, 0x80, 14, 5, 0, 2, 1, 9, 0}, 12}, /* next hop longer than the attribute */
		{{0, 0, 0, 5, 0x80, 15, 2, 0, 2}, 9},           /* MP_UNREACH_NLRI too short */
	};
	struct slice s;
	struct prefix p;
	struct update u;
	uint8_t n[] = {33, 1, 2, 3, 4, 5};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t *exact = malloc(cases[i].len);

		memcpy(exact, cases[i].b, cases[i].len);
		assert_int_equal(update_parse(exact, cases[i].len, &u), -EBADMSG);
		free(exact);
	}
	s = (struct slice){n, 6};
	assert_int_equal(nlri_next(&s, true, false, &p), -EBADMSG); /* /33 */
	n[0] = 24;
	s = (struct slice){n, 3};
	assert_int_equal(nlri_next(&s, true, false, &p), -EBADMSG); /* cut short */
	s = (struct slice){n, 4};
	assert_int_equal(nlri_next(&s, true, true, &p), -EBADMSG); /* a path id and nothing */
}

/* The same route in two spellings: order of attributes and communities, extended lengths, split segments. */
static void canonical(void **state)
{
	static const uint8_t one[] = {0, 0, 0, 35, 0x40, 1, 1, 0, 0x40, 2, 10, 2, 2, 0, 0, 0, 1, 0, 0, 0, 2,
		0x40, 3, 4, 10, 0, 0, 1, 0xc0, 8, 8, 0, 2, 0, 2, 0, 1, 0, 1, 8, 9};
	static const uint8_t two[] = {0, 0, 0, 38, 0xd0, 8, 0, 8, 0, 1, 0, 1, 0, 2, 0, 2, 0x40, 2, 12, 2, 1,
		0, 0, 0, 1, 2, 1, 0, 0, 0, 2, 0x40, 3, 4, 10, 0, 0, 1, 0x40, 1, 1, 0, 8, 9};
	uint8_t a[256], b[256];
	struct update u;
	char text[200];
	int n, m;

	assert_int_equal(update_parse(one, sizeof(one), &u), 0);
	n = attrs_canonical(&u, a, sizeof(a));
	assert_true(n > 0);
	assert_int_equal(attrs_community(&u, 2), 2);
	assert_int_equal(attrs_community(&u, 3), -1);
	assert_int_equal(update_parse(two, sizeof(two), &u), 0);
	m = attrs_canonical(&u, b, sizeof(b));
	assert_int_equal(n, m);
	assert_memory_equal(a, b, (size_t)n);
	canonical_print(a, (size_t)n, text, sizeof(text));
	assert_string_equal(text, " origin 00 path 1 2 next hop 10.0.0.1 communities 1:1 2:2");
	assert_int_equal(attrs_canonical(&u, b, 10), -E2BIG);
}

static void memory_of_messages(void **state)
{
	struct gen_options o = {.v4 = 5000, .v6 = 500, .run = 5, .communities = 3, .seed = 4};
	struct speaker who = speaker(0);
	struct gen_table t;
	struct stream s = {0};
	struct memo m;
	uint32_t own = who.as, hint = 0, n = 0;

	assert_int_equal(table_make(&t, &o), 0);
	assert_int_equal(memo_init(&m, &t), 0);
	for (uint32_t i = 0; i < t.n_routes; i++) {
		struct saying what = {
			.who = &who, .attrs = &t.attrs[t.route[i].attrs], .lead = &own, .n_lead = 1};

		stream_announce(&s, &what, &t, i, i + 1);
	}
	for (unsigned round = 0; round < 2; round++) {
		uint32_t route = 0;

		for (size_t at = 0, len; at < s.len; at += len, route++) {
			const struct effect *e;

			len = (size_t)s.data[at + 16] << 8 | s.data[at + 17];
			e = memo_find(&m, s.data + at + 19, len - 19, false, hint);
			assert_non_null(e);
			hint = (uint32_t)(e - m.effect) + 1;
			assert_int_equal(e->n_runs, 1);
			assert_int_equal(m.run[e->first_run].from, route);
			assert_true(m.run[e->first_run].announced);
			assert_true(e->attrs > 0);
		}
		hint = 0;
		assert_int_equal(round ? n : m.n, m.n); /* nothing new the second time */
		n = m.n;
	}
	assert_null(memo_find(&m, (const uint8_t *)"\0\5\0\0", 4, false, 0));
	memo_free(&m);
	table_free(&t);
	stream_free(&s);
}

static bool wants(uint64_t *const *want, unsigned r, uint32_t route)
{
	return want[r][route / 64] >> route % 64 & 1;
}

struct fixture {
	struct scenario sc;
	struct gen_table t;
	struct model m;
	uint64_t *want[8], *ignore[8], minimum[8];
	uint32_t n_want[8];
};

static void set_up(struct fixture *f, unsigned clients, uint32_t routes)
{
	struct gen_options o = {.v4 = routes, .run = 4, .communities = 3, .seed = 9};

	f->sc.mode = MODE_RS;
	f->sc.clients = clients;
	f->sc.overlap = f->sc.overlap ? f->sc.overlap : 1;
	f->sc.base_as = 64001;
	f->sc.rs_as = 63999;
	assert_int_equal(table_make(&f->t, &o), 0);
	assert_int_equal(model_init(&f->m, &f->sc, &f->t), 0);
	for (unsigned i = 0; i < clients; i++) {
		f->m.who[i] = speaker(i);
		f->want[i] = calloc(routes / 64 + 1, 8);
		f->ignore[i] = calloc(routes / 64 + 1, 8);
	}
	model_wants(&f->m, f->want, f->ignore, f->n_want, f->minimum);
}

static void tear_down(struct fixture *f)
{
	for (unsigned i = 0; i < f->sc.clients; i++) {
		free(f->want[i]);
		free(f->ignore[i]);
	}
	model_free(&f->m);
	table_free(&f->t);
}

static void plain_server(void **state)
{
	struct fixture f = {0};

	set_up(&f, 4, 1000);
	for (unsigned r = 0; r < 4; r++) {
		assert_int_equal(f.n_want[r], 750);
		for (uint32_t i = 0; i < 1000; i++)
			assert_int_equal(wants(f.want, r, i), i / 250 != r);
		assert_true(f.minimum[r] <= 750 && f.minimum[r] >= 750 / 7);
	}
	f.m.up[2] = false;
	model_wants(&f.m, f.want, f.ignore, f.n_want, f.minimum);
	assert_int_equal(f.n_want[0], 500);
	assert_int_equal(f.n_want[2], 750);
	tear_down(&f);
}

static void overlap_and_refusals(void **state)
{
	struct fixture f = {.sc = {.overlap = 3, .refused = 10}};
	uint32_t total = 0;

	set_up(&f, 5, 1000);
	/* With three to announce it somebody's filter lets each route through; whoever is best does not get
	 * it back. */
	for (unsigned r = 0; r < 5; r++)
		total += f.n_want[r];
	assert_int_equal(total, 4 * 1000);
	tear_down(&f);
	f = (struct fixture){.sc = {.refused = 10}};
	set_up(&f, 5, 1000);
	for (uint32_t i = 0; i < 200; i++) /* client 0's share */
		assert_int_equal(wants(f.want, 4, i), i % 10 != 0);
	tear_down(&f);
}

/* What a right daemon would send is right, and nothing else is. */
static void verdicts(void **state)
{
	struct fixture f = {.sc = {.control = true, .overlap = 2}};
	struct memo memo;
	uint32_t *attrs;
	struct verdict v;
	uint64_t right;

	set_up(&f, 6, 2000);
	assert_int_equal(memo_init(&memo, &f.t), 0);
	attrs = calloc(2000, sizeof(*attrs));
	model_check(&f.m, &memo, 0, f.want[0], attrs, 0, &v);
	assert_int_equal(v.wrong, f.n_want[0]); /* there, with no attributes */
	assert_int_equal(v.missing + v.extra + v.right, 0);
	/* A client without control communities by hand: the attributes of the first route that client 0 must
	 * have. */
	for (uint32_t i = 0; i < 2000; i++)
		f.want[0][i / 64] &= ~(UINT64_C(1) << i % 64);
	model_check(&f.m, &memo, 0, f.want[0], attrs, 0, &v);
	assert_int_equal(v.missing, f.n_want[0]);
	/* Every attribute set that the check asks for was interned: try them all for one route. */
	right = 0;
	for (uint32_t i = 0; i < 2000 && !right; i++) {
		uint64_t only[2000 / 64 + 1] = {0};

		only[i / 64] |= UINT64_C(1) << i % 64;
		for (uint32_t k = 1; k <= memo.n_canon && !right; k++) {
			attrs[i] = k;
			model_check(&f.m, &memo, 0, only, attrs, 0, &v);
			right = v.right;
		}
		attrs[i] = 0;
	}
	assert_int_equal(right, 1);
	free(attrs);
	memo_free(&memo);
	tear_down(&f);
}

static void churn_is_what_the_stream_says(void **state)
{
	struct fixture f = {.sc = {.overlap = 2}};
	struct stream changes = {0}, whole = {0};
	struct memo memo;
	uint64_t seed = 3;
	uint64_t have[1000 / 64 + 1] = {0}, again[1000 / 64 + 1] = {0};

	set_up(&f, 4, 1000);
	assert_int_equal(memo_init(&memo, &f.t), 0);
	model_stream(&f.m, 1, &changes);
	for (unsigned i = 0; i < 3000; i++)
		model_churn(&f.m, 1, &seed, true, &changes);
	model_stream(&f.m, 1, &whole);
	/* All that was said, one after another, ends where the stream of the final state ends. */
	for (unsigned k = 0; k < 2; k++) {
		struct stream *s = k ? &whole : &changes;
		uint64_t *bits = k ? again : have;

		for (size_t at = 0, len; at < s->len; at += len) {
			const struct effect *e;

			len = (size_t)s->data[at + 16] << 8 | s->data[at + 17];
			e = memo_find(&memo, s->data + at + 19, len - 19, false, 0);
			assert_non_null(e);
			for (unsigned n = 0; n < e->n_runs; n++)
				for (uint32_t i = memo.run[e->first_run + n].from,
					      end = i + memo.run[e->first_run + n].n;
					i < end; i++)
					if (memo.run[e->first_run + n].announced)
						bits[i / 64] |= UINT64_C(1) << i % 64;
					else
						bits[i / 64] &= ~(UINT64_C(1) << i % 64);
		}
	}
	assert_memory_equal(have, again, sizeof(have));
	stream_free(&changes);
	stream_free(&whole);
	memo_free(&memo);
	tear_down(&f);
}

static int arguments(const char *line)
{
	static char text[512];
	char *argv[40] = {"bgpgen"}, *save = NULL;
	struct options o;
	int argc = 1;

	snprintf(text, sizeof(text), "%s", line);
	for (char *w = strtok_r(text, " ", &save); w && argc < 39; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	optind = 0;
	return options_parse(argc, argv, &o);
}

static void command_line(void **state)
{
#define HERE "--dut 10.0.0.1 --base 10.0.1.1 --v4 10 "
	assert_int_equal(arguments(HERE "--mode feeds"), 0);
	assert_int_equal(arguments(HERE "--mode rs --clients 5 --overlap 3 --check --pid 1 --pid 2"), 0);
	assert_int_equal(arguments(HERE "--mode rs"), -EINVAL);
	assert_int_equal(arguments("--mode feeds --v4 10"), -EINVAL);
	assert_int_equal(arguments("--mode feeds --dut 10.0.0.1 --base 10.0.1.1"), -EINVAL);
	assert_int_equal(arguments(HERE "--mode what"), -EINVAL);
	assert_int_equal(arguments(HERE "--mode feeds --drop 1"), -EINVAL);
	assert_int_equal(arguments(HERE "--mode rs --clients 5 --late"), -EINVAL);
	assert_int_equal(arguments(HERE "--mode rs --clients 5 --join 3 --drop 2"), -EINVAL);
	assert_int_equal(arguments(HERE "--mode rs --clients 5 --overlap 2 --busy 5"), -EINVAL);
	assert_int_equal(arguments(HERE "--mode rs --clients 5000 --control"), -EINVAL);
	assert_int_equal(arguments(HERE "--mode feeds --port 70000"), -EINVAL);
	assert_int_equal(arguments(HERE "--mode feeds --timeout 1x"), -EINVAL);
	assert_int_equal(arguments(HERE "--mode feeds --seed -1"), -EINVAL);
	assert_int_equal(arguments(HERE "--mode feeds --added-community 1:99999"), -EINVAL);
	assert_int_equal(arguments(HERE "--mode feeds --dut nowhere"), -EINVAL);
	assert_int_equal(arguments(HERE "--mode feeds leftover"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_it_writes),
		cmocka_unit_test(bad_updates),
		cmocka_unit_test(canonical),
		cmocka_unit_test(memory_of_messages),
		cmocka_unit_test(plain_server),
		cmocka_unit_test(overlap_and_refusals),
		cmocka_unit_test(verdicts),
		cmocka_unit_test(churn_is_what_the_stream_says),
		cmocka_unit_test(command_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
