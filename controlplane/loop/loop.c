/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mailbox is a stack of calls: senders push with a compare-and-swap
 * (release), the loop's thread takes the whole stack with one exchange
 * (acquire) and runs it in reverse, oldest first. Push is the only operation
 * senders do and nothing is popped singly, so there is no ABA to fear. Calls of
 * one sender are pushed in its order and reversed once: their order is kept.
 */
#include "controlplane/loop/loop.h"
#include "shared/rcu.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct call {
	struct call *below;
	loop_fn *fn;
	void *arg;
	sem_t *done; /* loop_call_sync() waits on it; NULL otherwise */
};

struct loop {
	struct ev_loop *ev;
	ev_async wake;
	_Atomic(struct call *) mailbox;
	_Atomic bool stop;
	_Atomic bool running; /* self is valid and its loop takes calls */
	pthread_t self;
	bool own_thread;
	pthread_t thread;
	char name[16];
};

/* What is in the mailbox now; false: nothing. */
static bool run_batch(struct loop *l)
{
	struct call *c = atomic_exchange_explicit(&l->mailbox, NULL, memory_order_acquire), *oldest = NULL,
		    *below;

	if (!c)
		return false;
	for (; c; c = below) {
		below = c->below;
		c->below = oldest;
		oldest = c;
	}
	for (c = oldest; c; c = below) {
		sem_t *done = c->done;

		below = c->below;
		c->fn(c->arg);
		if (done)
			sem_post(done); /* c was on the waiter's stack */
		else
			free(c);
	}
	return true;
}

static void run_mailbox(struct loop *l)
{
	while (run_batch(l))
		;
}

static void on_wake(struct ev_loop *ev, ev_async *w, int revents)
{
	struct loop *l = w->data;

	/* Not until it is empty: descriptors and timers have their turn, too, when calls beget calls. Who
	 * came after this batch has woken us again. */
	run_batch(l);
	if (atomic_load_explicit(&l->stop, memory_order_acquire))
		ev_break(ev, EVBREAK_ALL);
}

struct loop *loop_create(const char *name)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (!l->ev) {
		free(l);
		return NULL;
	}
	snprintf(l->name, sizeof(l->name), "%s", name);
	ev_async_init(&l->wake, on_wake);
	l->wake.data = l;
	ev_async_start(l->ev, &l->wake);
	return l;
}

void loop_run(struct loop *l)
{
	l->self = pthread_self();
	atomic_store_explicit(&l->running, true, memory_order_release);
	run_mailbox(l);
	if (!atomic_load_explicit(&l->stop, memory_order_acquire))
		ev_run(l->ev, 0);
	run_mailbox(l);
	atomic_store_explicit(&l->running, false, memory_order_release);
}

void loop_run_calls(struct loop *l)
{
	run_mailbox(l);
}

static void *loop_thread(void *arg)
{
	struct loop *l = arg;

	pthread_setname_np(pthread_self(), l->name);
	rcu_register_thread();
	loop_run(l);
	rcu_unregister_thread();
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
	return atomic_load_explicit(&l->running, memory_order_acquire) &&
	       pthread_equal(l->self, pthread_self());
}

static void post(struct loop *l, struct call *c)
{
	struct call *top = atomic_load_explicit(&l->mailbox, memory_order_relaxed);

	do {
		c->below = top;
	} while (!atomic_compare_exchange_weak_explicit(
		&l->mailbox, &top, c, memory_order_release, memory_order_relaxed));
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
