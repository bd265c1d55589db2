/* SPDX-License-Identifier: BSD-2-Clause */
/* Every message of a batch is accounted for, whichever the kernel refuses. */
#include "controlplane/fib/batch.h"
#include "tests/unit/fib_netns.h"
#include <linux/rtnetlink.h>
#include <setjmp.h>

#include <cmocka.h>

static bool have_netns;

static int start(void **state)
{
	have_netns = netns_enter();
	if (have_netns)
		sh("ip link set lo up");
	return 0;
}

/* A blackhole route; a length of 200 is nonsense. */
static void put_route(struct batch *b, uint32_t n, uint8_t len, uint16_t type, uint16_t flags)
{
	uint32_t dst = htonl(0x14000000u + (n << 8));
	struct rtmsg *m = NLMSG_DATA(batch_add(b, type, flags, sizeof(*m)));

	m->rtm_family = AF_INET;
	m->rtm_dst_len = len;
	m->rtm_table = 77;
	m->rtm_protocol = RTPROT_STATIC;
	m->rtm_type = RTN_BLACKHOLE;
	batch_put(b, RTA_DST, &dst, 4);
}

struct seen {
	unsigned n, index[512];
	int err[512];
	char text[BATCH_TEXT];
};

static void failed(void *ctx, unsigned index, int err, const char *text)
{
	struct seen *s = ctx;

	s->index[s->n] = index;
	s->err[s->n++] = err;
	if (*text)
		snprintf(s->text, sizeof(s->text), "%s", text);
}

static int count(const char *cmd)
{
	FILE *f = popen(cmd, "r");
	int n = 0, c;

	while ((c = getc(f)) != EOF)
		n += c == '\n';
	pclose(f);
	return n;
}

static void test_errors_in_the_middle(void **state)
{
	struct seen s = {0};
	struct batch b;

	if (!have_netns)
		skip();
	assert_int_equal(batch_open(&b, 1 << 18), 0);
	for (unsigned i = 0; i < 300; i++)
		put_route(&b, i, i % 100 == 42 ? 200 : 24, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	assert_int_equal(batch_flush(&b, failed, &s), 0);
	assert_int_equal(s.n, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(s.index[i], 42 + 100 * i);
		assert_int_equal(s.err[i], -EINVAL);
	}
	assert_string_not_equal(s.text, ""); /* the kernel's own words */
	assert_int_equal(count("ip route show table 77"), 297);
	assert_int_equal(b.n, 0);
	assert_int_equal(b.errors, 3);

	/* The last one fails, and everything fails. */
	s.n = 0;
	put_route(&b, 1000, 24, RTM_NEWROUTE, NLM_F_CREATE);
	put_route(&b, 0, 24, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	assert_int_equal(batch_flush(&b, failed, &s), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.index[0], 1);
	assert_int_equal(s.err[0], -EEXIST);
	s.n = 0;
	for (unsigned i = 2000; i < 2300; i++)
		put_route(&b, i, 24, RTM_DELROUTE, 0);
	assert_int_equal(batch_flush(&b, failed, &s), 0);
	assert_int_equal(s.n, 300);
	assert_int_equal(s.err[299], -ESRCH);

	/* And after all that the numbers still fit. */
	char text[BATCH_TEXT];
	put_route(&b, 3000, 24, RTM_NEWROUTE, NLM_F_CREATE);
	assert_int_equal(batch_flush_simple(&b, text), 0);
	put_route(&b, 3000, 200, RTM_NEWROUTE, NLM_F_CREATE);
	assert_int_equal(batch_flush_simple(&b, text), -EINVAL);
	assert_int_equal(batch_flush_simple(&b, text), 0); /* empty */
	batch_close(&b);
}

/* As many messages in one send as the kernel does in BATCH_STRETCH_NS, by what the last ones took. */
static void test_pace(void **state)
{
	struct batch b = {.at_once = BATCH_AT_ONCE_MAX};

	for (unsigned i = 0; i < 3; i++) { /* replacements */
		batch_pace(&b, b.at_once, (uint64_t)b.at_once * 2000);
		assert_int_equal(b.at_once, BATCH_AT_ONCE_MAX);
	}
	for (unsigned i = 0; i < 30; i++) /* insertions */
		batch_pace(&b, b.at_once, (uint64_t)b.at_once * 6000);
	assert_in_range(b.at_once, 45, 50);
	batch_pace(&b, 1, 1000000); /* one that was slow makes no difference for long */
	for (unsigned i = 0; i < 30; i++)
		batch_pace(&b, b.at_once, (uint64_t)b.at_once * 6000);
	assert_in_range(b.at_once, 45, 50);
	for (unsigned i = 0; i < 30; i++) /* removals */
		batch_pace(&b, b.at_once, (uint64_t)b.at_once * 100000);
	assert_int_equal(b.at_once, BATCH_AT_ONCE_MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors_in_the_middle),
		cmocka_unit_test(test_pace),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
