/* SPDX-License-Identifier: BSD-2-Clause */
/* The generator's command line, its cuts and its floods. */
#include "bfd/session.h"
#include "shared/clock.h"
#include "tools/bfdgen/cut.h"
#include "tools/bfdgen/flood.h"
#include "tools/bfdgen/options.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS NS_PER_MS
#define MAX_ARGS 40

/* Words of a line as argv. */
static int parse(struct gen_options *o, const char *line, char err[GEN_ERR])
{
	static char text[1024];
	char *argv[MAX_ARGS] = {"bfdgen"}, *save = NULL;
	int argc = 1;

	snprintf(text, sizeof(text), "%s", line);
	for (char *w = strtok_r(text, " ", &save); w && argc < MAX_ARGS; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	return gen_options_parse(o, argc, argv, err);
}

static struct gen_options ok(const char *line)
{
	struct gen_options o;
	char err[GEN_ERR] = "";

	if (parse(&o, line, err))
		fail_msg("%s refused: %s", line, err);
	return o;
}

static void refused(const char *line, const char *word)
{
	struct gen_options o;
	char err[GEN_ERR] = "";

	assert_int_equal(parse(&o, line, err), -EINVAL);
	if (!strstr(err, word))
		fail_msg("%s: '%s' does not say '%s'", line, err, word);
}

#define BASE "--port af_xdp:g0 --local 10.0.0.250 --peer 10.1.0.1 "

static void test_options(void **state)
{
	struct gen_options o =
		ok(BASE "--sessions 1000 --interval 3.3,10 --mult 5 --auth meticulous-sha1:7:secret "
			"--ramp=100 --cut 50 --cut-rounds 3 --flood garbage:1e5 --flood ttl:10 --pid 12=dut "
			"--watch-core 0,1 --core 1 --poll busy -- --in-memory");

	assert_string_equal(o.port, "af_xdp:g0");
	assert_int_equal(o.sessions, 1000);
	assert_int_equal(o.locals, 1000);
	assert_int_equal(o.params.min_tx_us, 3300);
	assert_int_equal(o.params.min_rx_us, 10000);
	assert_int_equal(o.params.detect_mult, 5);
	assert_int_equal(o.params.min_ttl, 255);
	assert_int_equal(o.params.auth_type, BFD_AUTH_METICULOUS_SHA1);
	assert_int_equal(o.params.auth[0].id, 7);
	assert_int_equal(o.params.auth[0].len, 6);
	assert_memory_equal(o.params.auth[0].secret, "secret", 6);
	assert_int_equal(o.ramp, 100);
	assert_int_equal(o.cut, 50);
	assert_int_equal(o.cut_rounds, 3);
	assert_int_equal(o.nfloods, 2);
	assert_int_equal(o.flood[0].kind, FLOOD_GARBAGE);
	assert_true(o.flood[0].rate == 1e5);
	assert_int_equal(o.flood[1].kind, FLOOD_TTL);
	assert_int_equal(o.npids, 1);
	assert_int_equal(o.pid[0].pid, 12);
	assert_string_equal(o.pid[0].name, "dut");
	assert_int_equal(o.nwatches, 2);
	assert_int_equal(o.core, 1);
	assert_false(o.nap);
	assert_int_equal(o.neal, 1);
	o = ok("--sockets g0 --local 2001:db8::1 --peer 2001:db8::2 --multihop");
	assert_int_equal(o.params.min_ttl, 1);
	assert_string_equal(o.sockets, "g0");
}

static void test_refusals(void **state)
{
	refused("--local 10.0.0.1 --peer 10.0.0.2", "--port or --sockets");
	refused(BASE "--sockets g0", "--port or --sockets");
	refused("--port af_xdp:g0 --local 10.0.0.1", "--peer");
	refused("--port af_xdp:g0 --local 10.0.0.1 --peer 2001:db8::1", "families");
	refused(BASE "--sessions many", "--sessions many");
	refused(BASE "--sessions 0", "nothing to do");
	refused(BASE "--interval 0.2", "--interval");
	refused(BASE "--interval 10,", "--interval");
	refused(BASE "--mult 0", "--mult");
	refused(BASE "--mult 256", "--mult");
	refused(BASE "--auth md6:1:x", "--auth");
	refused(BASE "--auth simple:1:", "--auth");
	refused(BASE "--auth simple:1:12345678901234567", "--auth");
	refused(BASE "--auth simple:256:x", "--auth");
	refused(BASE "--flood noise:10", "--flood");
	refused(BASE "--flood garbage", "--flood");
	refused(BASE "--flood garbage:0", "--flood");
	refused(BASE "--cut 2", "--cut");
	refused(BASE "--pid x", "--pid");
	refused(BASE "--poll sometimes", "--poll");
	refused(BASE "--min-ttl 200", "TTL 255");
	refused(BASE "--nonsense 1", "--nonsense");
	refused(BASE "--time", "--time");
	refused(BASE "word", "word");
}

static void is_address(struct ipaddr a, const char *text)
{
	struct ipaddr b;

	assert_int_equal(ipaddr_parse(text, &b), 0);
	assert_true(ipaddr_equal(&a, &b));
}

/* session i: local + i mod L, peer + i div L */
static void test_addresses(void **state)
{
	struct gen_options o = ok(BASE "--sessions 25 --locals 10");
	struct ipaddr a, b;

	is_address(gen_local(&o, 0), "10.0.0.250");
	is_address(gen_local(&o, 9), "10.0.1.3");
	is_address(gen_local(&o, 10), "10.0.0.250");
	is_address(gen_peer(&o, 9), "10.1.0.1");
	is_address(gen_peer(&o, 24), "10.1.0.3");
	assert_int_equal(gen_peers(&o), 3);
	for (uint32_t i = 0; i < 10; i++) {
		a = gen_local(&o, i);
		assert_int_equal(gen_number(&o.local, &a, 10), i);
	}
	is_address(gen_address(&o.local, 10), "10.0.1.4");
	a = gen_address(&o.local, 10);
	assert_int_equal(gen_number(&o.local, &a, 10), 10);
	ipaddr_parse("10.0.0.249", &a);
	assert_int_equal(gen_number(&o.local, &a, 10), 10);
	ipaddr_parse("2001:db8::ffff:ffff", &a);
	b = gen_address(&a, 2);
	is_address(b, "2001:db8::1:0:1");
	assert_int_equal(gen_number(&a, &b, 5), 2);
	ipaddr_parse("2001:db9::1:0:1", &b);
	assert_int_equal(gen_number(&a, &b, 5), 5);
}

/* Cuts */

#define N 40

struct steps {
	unsigned count[3];
	uint8_t last[N];
	bool touched[N];
};

static void on_step(void *arg, uint32_t session, enum cut_step step)
{
	struct steps *s = arg;

	s->count[step]++;
	s->last[session] = step;
	s->touched[session] = true;
}

static void hear(struct meter *m, uint32_t session, uint8_t state, uint64_t at)
{
	struct bfd_packet p = {.state = state,
		.detect_mult = 3,
		.my_disc = 9,
		.your_disc = 1,
		.min_tx_us = 10000,
		.min_rx_us = 10000};
	uint8_t b[BFD_PACKET_LEN];

	bfd_packet_build(&p, b);
	meter_received(m, session, b, at);
}

/* A device that notices when it should: 30 ms after the session fell silent. One, if any, never does. */
static void test_cut(void **state)
{
	const struct bfd_params ours = {.min_tx_us = 10000, .min_rx_us = 10000, .detect_mult = 3};
	const struct cut_options co = {
		.count = 8, .rounds = 2, .spread_ns = 100 * MS, .hold_ns = 20 * MS, .lead_ns = 50 * MS};
	struct meter *m = meter_create(N, &ours, 0);
	struct steps s = {.count = {0}};
	uint64_t random = 12345, silent[N] = {0}, now = NS_PER_S, deaf = N;
	unsigned spread_over = 0;
	struct cut c;

	assert_int_equal(cut_create(&c, &co, m, &random), 0);
	for (uint32_t i = 0; i < N; i++) {
		meter_local(m, i, BFD_UP, 0, now);
		hear(m, i, BFD_UP, now);
	}
	assert_int_equal(m->up, N);
	for (; cut_run(&c, now, on_step, &s); now += MS / 10) {
		for (uint32_t i = 0; i < N; i++) {
			if (s.last[i] == CUT_SILENT && s.touched[i] && !silent[i]) {
				meter_sent(m, i, now, now);
				silent[i] = now;
				spread_over += now > NS_PER_S + 100 * MS;
				if (deaf == N)
					deaf = i;
			}
			if (silent[i] && i != deaf && now == silent[i] + 30 * MS)
				hear(m, i, BFD_DOWN, now);
			if (silent[i] && s.last[i] == CUT_BACK) {
				silent[i] = 0;
				hear(m, i, BFD_UP, now);
			}
		}
		assert_true(now < 60 * NS_PER_S);
	}
	assert_int_equal(s.count[CUT_CHOSEN], 16);
	assert_int_equal(s.count[CUT_SILENT], 16);
	assert_int_equal(s.count[CUT_BACK], 16);
	assert_true(spread_over > 0); /* not all at the same moment */
	assert_true(m->missed >= 1 && m->missed <= 2);
	assert_int_equal(m->detections + m->missed, 16);
	assert_int_equal(m->early, 0);
	assert_int_equal(m->flaps, 0);
	assert_int_equal(m->up, N);
	cut_destroy(&c);
	meter_destroy(m);
}

/* Floods */

static void test_floods(void **state)
{
	struct flood_target t = {.my_disc = 0x1111, .your_disc = 0x2222};
	struct bfd_packet b;
	struct flood_packet p;
	struct ipaddr stranger;
	uint64_t random = 1;

	ipaddr_parse("10.0.0.1", &t.local);
	ipaddr_parse("10.0.0.2", &t.peer);
	ipaddr_parse("10.9.9.9", &stranger);
	flood_make(&p, FLOOD_SOURCE, &t, &stranger, false, &random);
	assert_int_equal(bfd_packet_parse(p.payload, p.len, &b), 0);
	assert_true(ipaddr_equal(&p.src, &stranger) && ipaddr_equal(&p.dst, &t.peer));
	assert_true(b.my_disc == 0x1111 && b.your_disc == 0x2222 && b.state == BFD_DOWN);
	assert_int_equal(p.ttl, 255);
	assert_int_equal(p.dport, BFD_PORT_CONTROL);
	flood_make(&p, FLOOD_TTL, &t, &stranger, true, &random);
	assert_true(ipaddr_equal(&p.src, &t.local));
	assert_int_equal(p.ttl, 254);
	assert_int_equal(p.dport, BFD_PORT_MULTIHOP);
	flood_make(&p, FLOOD_UNKNOWN, &t, &stranger, false, &random);
	assert_int_equal(bfd_packet_parse(p.payload, p.len, &b), 0);
	assert_true(b.your_disc != 0x2222);
	for (int i = 0; i < 1000; i++) {
		flood_make(&p, FLOOD_GARBAGE, &t, &stranger, false, &random);
		assert_true(p.len < FLOOD_PAYLOAD && p.sport >= 49152);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_floods),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
