/* SPDX-License-Identifier: BSD-2-Clause */
/* The mailbox: order per sender, sync calls, calls left over at the end. */
#include "controlplane/loop/loop.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define SENDERS 4
#define CALLS 5000

struct box {
	struct loop *loop;
	unsigned next[SENDERS]; /* the loop's thread only */
	unsigned wrong;
};

struct message {
	struct box *box;
	unsigned sender, seq;
};

static void on_message(void *arg)
{
	struct message *m = arg;

	if (!loop_is_current(m->box->loop) || m->box->next[m->sender] != m->seq)
		m->box->wrong++;
	m->box->next[m->sender] = m->seq + 1;
	free(m);
}

struct sender {
	struct box *box;
	unsigned id;
};

static void *send_all(void *arg)
{
	struct sender *s = arg;

	for (unsigned i = 0; i < CALLS; i++) {
		struct message *m = malloc(sizeof(*m));
		*m = (struct message){s->box, s->id, i};
		loop_call(s->box->loop, on_message, m);
	}
	return NULL;
}

static void order_is_kept(void **state)
{
	struct box box = {.loop = loop_create("box")};
	struct sender senders[SENDERS];
	pthread_t t[SENDERS];

	assert_non_null(box.loop);
	assert_int_equal(loop_start(box.loop), 0);
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){&box, i};
		pthread_create(&t[i], NULL, send_all, &senders[i]);
	}
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(t[i], NULL);
	loop_join_destroy(box.loop);
	assert_int_equal(box.wrong, 0);
	for (unsigned i = 0; i < SENDERS; i++)
		assert_int_equal(box.next[i], CALLS);
}

static void add_one(void *arg)
{
	++*(int *)arg;
}

static void sync_waits(void **state)
{
	struct loop *l = loop_create("sync");
	int n = 0;

	assert_int_equal(loop_start(l), 0);
	for (int i = 1; i <= 1000; i++) {
		loop_call_sync(l, add_one, &n);
		assert_int_equal(n, i);
	}
	loop_join_destroy(l);
}

static void left_over_calls_run(void **state)
{
	struct loop *l = loop_create("left");
	int n = 0;

	loop_call(l, add_one, &n);
	loop_call(l, add_one, &n);
	loop_join_destroy(l); /* never started */
	assert_int_equal(n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_is_kept),
		cmocka_unit_test(sync_waits),
		cmocka_unit_test(left_over_calls_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
