/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A shard: its queue, its slices, its sleep.
 *
 * The queue is a stack of items that anybody pushes with one compare-and-swap;
 * the shard takes all of it with one exchange and turns it round, so items run
 * in the order they were pushed. A push is a release, the exchange an acquire:
 * what was written before the push is visible to run().
 *
 * A slice is at most SLICE_NS of queue, then of background tasks (dumps, walks,
 * encoding), then the changes are given to the listeners. Tasks get half a
 * slice when the queue is not empty: neither starves the other.
 *
 * Sleep: asleep = 1, look at the queue once more, futex wait. A pusher pushes, then looks at asleep. Both are
 * sequentially consistent, so one of them sees the other.
 *
 * rcu_read_lock() is held for a slice: filters read ROA tables, next hops and
 * attribute sets without further ado. A grace period thus waits for a slice at most.
 */
#include "controlplane/rib/internal.h"
#include "controlplane/rib/roa.h"
#include "shared/log.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { IDLE_NS = 1000000000 }; /* after that long without work the memo lets go of what it holds */

static void futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(timeout_ns / NS_PER_S), .tv_nsec = (long)(timeout_ns % NS_PER_S)};

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout_ns ? &ts : NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void shard_push(struct rib_shard *s, struct item *i)
{
	struct item *head = atomic_load_explicit(&s->pushed, memory_order_relaxed);

	do
		i->next = head;
	while (!atomic_compare_exchange_weak_explicit(
		&s->pushed, &head, i, memory_order_seq_cst, memory_order_relaxed));
	if (atomic_load(&s->asleep) && atomic_exchange(&s->asleep, 0))
		futex_wake(&s->asleep);
}

static void take_pushed(struct rib_shard *s)
{
	struct item *i = atomic_exchange(&s->pushed, NULL), *first = NULL, *last = i;

	if (!i)
		return;
	while (i) {
		struct item *next = i->next;

		i->next = first;
		first = i;
		i = next;
	}
	if (s->work)
		s->work_last->next = first;
	else
		s->work = first;
	s->work_last = last;
}

static void run_queue(struct rib_shard *s, uint64_t deadline_ns)
{
	while (s->work) {
		struct item *i = s->work, *next = i->next;

		/* run() frees the item when it is done with it. */
		if (!i->run(s, i, deadline_ns))
			return;
		s->work = next;
		if (clock_now_ns() >= deadline_ns)
			return;
	}
}

/* ---- tasks ---- */

void rib_task_start(struct rib_shard *s, struct rib_task *t)
{
	if (t->prev)
		return;
	t->next = s->tasks;
	t->prev = &s->tasks;
	if (t->next)
		t->next->prev = &t->next;
	s->tasks = t;
}

void rib_task_stop(struct rib_shard *s, struct rib_task *t)
{
	if (!t->prev)
		return;
	*t->prev = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->prev = NULL;
	(void)s;
}

static void to_the_end(struct rib_shard *s, struct rib_task *t)
{
	struct rib_task **at = &s->tasks;

	rib_task_stop(s, t);
	while (*at)
		at = &(*at)->next;
	*at = t;
	t->next = NULL;
	t->prev = at;
}

static void run_tasks(struct rib_shard *s, uint64_t deadline_ns)
{
	unsigned n = 0, done = 0;
	uint64_t now = clock_now_ns();

	for (struct rib_task *t = s->tasks; t; t = t->next)
		n++;
	/* Round robin, each with its share of what is left. */
	while (s->tasks && done < n && now < deadline_ns) {
		struct rib_task *t = s->tasks;
		uint64_t share = (deadline_ns - now) / (n - done);

		if (share < 20000)
			share = 20000;
		to_the_end(s, t);
		if (!t->run(t, s, now + share))
			rib_task_stop(s, t);
		done++;
		now = clock_now_ns();
	}
}

/* ---- changes ---- */

void shard_drop(struct rib_shard *s, uint32_t attrs, uint32_t n)
{
	if (!attrs)
		return;
	if (s->n_dropped && s->dropped[s->n_dropped - 1][0] == attrs) {
		s->dropped[s->n_dropped - 1][1] += n;
		return;
	}
	if (s->n_dropped == s->cap_dropped) {
		s->cap_dropped = s->cap_dropped ? 2 * s->cap_dropped : 256;
		s->dropped = memory_grow(s->dropped, s->cap_dropped * sizeof(*s->dropped));
	}
	s->dropped[s->n_dropped][0] = attrs;
	s->dropped[s->n_dropped++][1] = n;
}

void shard_flush_changes(struct rib_shard *s)
{
	struct part *p = s->changed_part;
	unsigned n = s->n_changes;

	/* Listeners may drop and even change things (a pipe does not: it submits). What they drop is for the
	 * next time. */
	s->n_changes = s->n_views = 0;
	s->changed_part = NULL;
	if (n)
		for (struct local_listener *l = p->listeners, *next; l; l = next) {
			next = l->next;
			listener_changed(s, l, s->changes, n);
		}
	attrs_release_list(s->dropped, s->n_dropped);
	s->n_dropped = 0;
}

/* ---- the thread ---- */

static void *shard_main(void *arg)
{
	struct rib_shard *s = arg;
	char name[16];
	uint64_t idle_since = 0;

	snprintf(name, sizeof(name), "rib-%u", s->number);
	pthread_setname_np(pthread_self(), name);
	rcu_register_thread();
	while (!s->stop) {
		uint64_t timeout = 0;

		rcu_read_lock();
		s->now_ns = clock_now_ns();
		take_pushed(s);
		if (s->work)
			run_queue(s, s->now_ns + SLICE_NS);
		if (s->tasks)
			run_tasks(s, clock_now_ns() + (s->work ? SLICE_NS / 2 : SLICE_NS));
		if (s->wake_ns && s->now_ns >= s->wake_ns) {
			s->wake_ns = 0;
			roa_settled(s);
			flow_bases_settled(s);
		}
		shard_flush_changes(s);
		listener_flush(s);
		rcu_read_unlock();
		if (s->stop || s->work || s->tasks ||
			atomic_load_explicit(&s->pushed, memory_order_relaxed)) {
			idle_since = 0;
			continue;
		}
		/* Nothing to do. */
		if (!idle_since)
			idle_since = clock_now_ns();
		if (memo_in_use(s->memo)) {
			if (clock_now_ns() - idle_since >= IDLE_NS) {
				memo_forget(s, s->memo);
				shard_flush_changes(s);
				continue;
			}
			timeout = IDLE_NS;
		}
		if (s->wake_ns) {
			uint64_t now = clock_now_ns();

			if (now >= s->wake_ns)
				continue;
			if (!timeout || s->wake_ns - now < timeout)
				timeout = s->wake_ns - now;
		}
		atomic_store(&s->asleep, 1);
		if (!atomic_load(&s->pushed))
			futex_wait(&s->asleep, 1, timeout);
		atomic_store(&s->asleep, 0);
	}
	memo_forget(s, s->memo);
	shard_flush_changes(s);
	rcu_unregister_thread();
	return NULL;
}

/* ---- calls ---- */

struct call {
	struct item item;
	void (*fn)(struct rib_shard *s, void *arg);
	void *arg;
	sem_t *ran;
};

static bool call_run(struct rib_shard *s, struct item *i, uint64_t deadline_ns)
{
	struct call *c = caa_container_of(i, struct call, item);

	/* What happened before the call is known to everybody when it runs. */
	shard_flush_changes(s);
	c->fn(s, c->arg);
	if (c->ran)
		sem_post(c->ran);
	memory_free(c);
	return true;
}

static void call(struct rib_shard *s, void (*fn)(struct rib_shard *, void *), void *arg, sem_t *ran)
{
	struct call *c = memory_take(sizeof(*c));

	*c = (struct call){.item.run = call_run, .fn = fn, .arg = arg, .ran = ran};
	shard_push(s, &c->item);
}

void rib_shard_call(struct rib *rib, unsigned i, void (*fn)(struct rib_shard *s, void *arg), void *arg)
{
	call(&rib->shard[i], fn, arg, NULL);
}

void rib_call_all(struct rib *rib, void (*fn)(struct rib_shard *s, void *arg), void *arg)
{
	sem_t ran;

	sem_init(&ran, 0, 0);
	for (unsigned i = 0; i < rib->n_shards; i++)
		call(&rib->shard[i], fn, arg, &ran);
	for (unsigned i = 0; i < rib->n_shards; i++)
		while (sem_wait(&ran) && errno == EINTR)
			;
	sem_destroy(&ran);
}

unsigned rib_shards(const struct rib *rib)
{
	return rib->n_shards;
}

uint64_t rib_queued(const struct rib *rib)
{
	return atomic_load_explicit(&rib->queued, memory_order_relaxed);
}

unsigned rib_shard_index(const struct rib_shard *s)
{
	return s->number;
}

struct filter_vm *rib_shard_vm(struct rib_shard *s)
{
	return s->vm;
}

struct rib *rib_shard_rib(const struct rib_shard *s)
{
	return s->rib;
}

/* ---- life ---- */

static void stop(struct rib_shard *s, void *arg)
{
	s->stop = true;
}

static void shard_free(struct rib_shard *s)
{
	if (s->memo)
		memo_destroy(s->memo);
	if (s->tracker)
		tracker_destroy(s->tracker);
	if (s->origins)
		origin_map_destroy(s->origins);
	if (s->vm)
		filter_vm_destroy(s->vm);
	memory_free(s->changes);
	memory_free(s->change_nets);
	memory_unmap(s->views, CHANGE_VIEWS * sizeof(*s->views));
	memory_free(s->dropped);
	memory_free(s->scratch);
	memory_free(s->sources);
}

int shard_start(struct rib_shard *s)
{
	s->memo = memo_create();
	s->tracker = tracker_create();
	s->origins = origin_map_create();
	s->vm = filter_vm_create();
	s->changes = memory_take(CHANGES * sizeof(*s->changes));
	s->change_nets = memory_take(CHANGES * sizeof(*s->change_nets));
	s->views = memory_map(CHANGE_VIEWS * sizeof(*s->views));
	if (s->vm && pthread_create(&s->thread, NULL, shard_main, s) == 0)
		return 0;
	shard_free(s);
	return -EAGAIN;
}

void shard_stop(struct rib_shard *s)
{
	call(s, stop, NULL, NULL);
	pthread_join(s->thread, NULL);
	/* Items behind the stop are nobody's: sources and listeners were closed and waited for. */
	take_pushed(s);
	while (s->work) {
		struct item *next = s->work->next;

		memory_free(s->work);
		s->work = next;
	}
	shard_free(s);
}
