/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/loop/loop.h"
#include "shared/rcu.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/wfcqueue.h>

struct call {
	struct cds_wfcq_node node;
	loop_fn *fn;
	void *arg;
	sem_t *done; /* loop_call_sync() waits on it; NULL otherwise */
};

struct loop {
	struct ev_loop *ev;
	ev_async wake;
	/* Senders touch only the tail, the loop's thread only the head: cache lines of their own. */
	struct __cds_wfcq_head head __attribute__((aligned(64)));
	struct cds_wfcq_tail tail __attribute__((aligned(64)));
	_Atomic bool stop;
	_Atomic bool running; /* thread is valid and its loop takes calls */
	bool own_thread;
	pthread_t thread;
	char name[16];
};

/* wfcqueue orders with assembly that ThreadSanitizer cannot see: tell it what the queue guarantees. */
static void publish(struct call *c)
{
#ifdef RCU_TSAN
	__tsan_release(c);
#else
	(void)c;
#endif
}

static void receive(struct call *c)
{
#ifdef RCU_TSAN
	__tsan_acquire(c);
#else
	(void)c;
#endif
}

static void run_mailbox(struct loop *l)
{
	struct cds_wfcq_node *n;

	while ((n = __cds_wfcq_dequeue_blocking(&l->head, &l->tail)) != NULL) {
		struct call *c = caa_container_of(n, struct call, node);
		receive(c);
		c->fn(c->arg);
		if (c->done)
			sem_post(c->done); /* c is on the waiter's stack: not touched after this */
		else
			free(c);
	}
}

static void on_wake(struct ev_loop *ev, ev_async *w, int revents)
{
	struct loop *l = w->data;

	run_mailbox(l);
	if (atomic_load_explicit(&l->stop, memory_order_acquire))
		ev_break(ev, EVBREAK_ALL);
}

struct loop *loop_create(const char *name)
{
	struct loop *l = aligned_alloc(64, (sizeof(*l) + 63) & ~(size_t)63);

	if (!l)
		return NULL;
	memset(l, 0, sizeof(*l));
	l->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (!l->ev) {
		free(l);
		return NULL;
	}
	__cds_wfcq_init(&l->head, &l->tail);
	snprintf(l->name, sizeof(l->name), "%s", name);
	ev_async_init(&l->wake, on_wake);
	l->wake.data = l;
	ev_async_start(l->ev, &l->wake);
	return l;
}

void loop_run(struct loop *l)
{
	rcu_register_thread();
	l->thread = pthread_self();
	atomic_store_explicit(&l->running, true, memory_order_release);
	run_mailbox(l);
	if (!atomic_load_explicit(&l->stop, memory_order_acquire))
		ev_run(l->ev, 0);
	run_mailbox(l);
	atomic_store_explicit(&l->running, false, memory_order_release);
	rcu_unregister_thread();
}

static void *loop_thread(void *arg)
{
	struct loop *l = arg;

	pthread_setname_np(pthread_self(), l->name);
	loop_run(l);
	return NULL;
}

int loop_start(struct loop *l)
{
	int rc = pthread_create(&l->thread, NULL, loop_thread, l);

	if (rc)
		return -rc;
	l->own_thread = true;
	return 0;
}

void loop_stop(struct loop *l)
{
	atomic_store_explicit(&l->stop, true, memory_order_release);
	ev_async_send(l->ev, &l->wake);
}

void loop_join_destroy(struct loop *l)
{
	if (!l)
		return;
	if (l->own_thread) {
		loop_stop(l);
		pthread_join(l->thread, NULL);
	}
	run_mailbox(l);
	ev_async_stop(l->ev, &l->wake);
	ev_loop_destroy(l->ev);
	free(l);
}

struct ev_loop *loop_ev(struct loop *l)
{
	return l->ev;
}

bool loop_is_current(const struct loop *l)
{
	return atomic_load_explicit(&l->running, memory_order_acquire) && pthread_equal(l->thread, pthread_self());
}

static void post(struct loop *l, struct call *c)
{
	cds_wfcq_node_init(&c->node);
	publish(c);
	cds_wfcq_enqueue((struct cds_wfcq_head *)&l->head, &l->tail, &c->node);
	ev_async_send(l->ev, &l->wake);
}

void loop_call(struct loop *l, loop_fn *fn, void *arg)
{
	struct call *c = malloc(sizeof(*c));

	if (!c)
		abort();
	*c = (struct call){.fn = fn, .arg = arg};
	post(l, c);
}

void loop_call_sync(struct loop *l, loop_fn *fn, void *arg)
{
	sem_t done;
	struct call c = {.fn = fn, .arg = arg, .done = &done};

	if (loop_is_current(l)) {
		fn(arg);
		return;
	}
	sem_init(&done, 0, 0);
	post(l, &c);
	while (sem_wait(&done) < 0 && errno == EINTR)
		;
	sem_destroy(&done);
}
