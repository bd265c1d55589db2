/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/fib/queue.h"
#include "controlplane/rib/attr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct prefix net(uint32_t addr, uint8_t len)
{
	struct ipaddr a = ipaddr_v4(htonl(addr));

	return prefix_make(&a, len);
}

static uint32_t attrs_of(unsigned med)
{
	struct attrs a = {.dest = RTD_BLACKHOLE, .med = med, .present = ATTR_MED};

	return attrs_intern(&a);
}

static struct fib_change change(struct prefix p, uint32_t index, uint32_t attrs)
{
	return (struct fib_change){.prefix = p, .index = index, .attrs = attrs};
}

static void push(struct queue *q, struct prefix p, uint32_t index, uint32_t attrs)
{
	struct fib_change c = change(p, index, attrs);

	queue_push(q, &c, 1);
}

static uint64_t held(void)
{
	struct attrs_usage u;

	attrs_usage(&u);
	return u.sets;
}

/* Only the last state of a prefix, in the place of the first; short ones first. */
static void test_order(void **state)
{
	struct queue q;
	struct fib_change out[8];
	struct prefix a = net(0x0a000000, 24), b = net(0x0a000100, 24), d = net(0, 0);

	queue_init(&q);
	push(&q, a, 5, attrs_of(1));
	push(&q, b, 6, attrs_of(2));
	push(&q, a, 5, attrs_of(3));
	push(&q, d, 7, attrs_of(4));
	assert_int_equal(queue_length(&q), 3);
	assert_int_equal(queue_pop(&q, out, 8), 3);
	assert_true(prefix_equal(&out[0].prefix, &d));
	assert_true(prefix_equal(&out[1].prefix, &a));
	assert_int_equal(attrs_get(out[1].attrs)->med, 3);
	assert_true(prefix_equal(&out[2].prefix, &b));
	for (int i = 0; i < 3; i++)
		attrs_release(out[i].attrs);
	assert_int_equal(queue_pop(&q, out, 8), 0);
	/* The number changes hands: the old prefix's end comes first. */
	push(&q, a, 5, 0);
	push(&q, b, 5, attrs_of(5));
	push(&q, a, 9, attrs_of(6));
	assert_int_equal(queue_pop(&q, out, 8), 3);
	assert_int_equal(out[0].attrs, 0);
	assert_true(prefix_equal(&out[1].prefix, &b));
	assert_int_equal(out[2].index, 9);
	attrs_release(out[1].attrs);
	attrs_release(out[2].attrs);
	push(&q, a, 5, attrs_of(7));
	queue_free(&q);
	assert_int_equal(held(), 0);
}

#define N 20000

struct load {
	struct queue *q;
	uint32_t last[N];
};

static void *pusher(void *arg)
{
	struct load *l = arg;
	unsigned seed = 1;

	for (int round = 0; round < 4; round++)
		for (uint32_t i = 0; i < N;) {
			struct fib_change c[64];
			unsigned n = 1 + (unsigned)rand_r(&seed) % 64, m;
			for (m = 0; m < n && i < N; m++, i++) {
				uint32_t x = round & 1 ? N - 1 - i : i;
				l->last[x] = (uint32_t)round + 1;
				/* Half of them in the short line. */
				c[m] = change(net(x << 13, x & 1 ? 15 : 20), x, 0);
				c[m].source = l->last[x];
				if (x & 1)
					c[m].prefix = net(x << 17, 15), c[m].backup_source = x;
			}
			queue_push(l->q, c, m);
		}
	return NULL;
}

static void test_threads(void **state)
{
	static uint32_t got[N];
	struct queue q;
	struct load l = {.q = &q};
	pthread_t t;
	bool ended = false;

	queue_init(&q);
	pthread_create(&t, NULL, pusher, &l);
	for (;;) {
		struct fib_change out[128];
		unsigned n = queue_pop(&q, out, 128);
		for (unsigned i = 0; i < n; i++) {
			assert_true(out[i].source > got[out[i].index]);
			got[out[i].index] = out[i].source;
		}
		if (n)
			continue;
		if (ended)
			break;
		if (pthread_tryjoin_np(t, NULL) == 0)
			ended = true;
	}
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(got[i], l.last[i]);
	assert_int_equal(queue_length(&q), 0);
	queue_free(&q);
}

static int start(void **state)
{
	return attrs_init();
}

static int stop(void **state)
{
	attrs_exit();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
