/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread with an event loop (libev) and a mailbox.
 *
 * Everything in peregrined that waits for descriptors or timers runs in one of
 * these: main, the BGP session threads, RPKI, the CLI. State that belongs to a
 * loop is only touched by its thread; others send it a call.
 *
 * Ordering: calls from one thread to one loop run in the order they were sent
 * (a mailbox, then ev_async). What the sender wrote before loop_call() is
 * visible to the call.
 */
#pragma once
#include <ev.h>
#include <stdbool.h>

struct loop;
typedef void loop_fn(void *arg);

/* name: thread name (15 characters). Not started yet. NULL on failure. */
struct loop *loop_create(const char *name);
int loop_start(struct loop *l);          /* runs it in a new thread; registers it with RCU. 0 or -errno */
void loop_run(struct loop *l);           /* runs it in this thread, registered with RCU, until loop_stop() */
void loop_run_calls(struct loop *l);     /* the mailbox once, without the events: while shutting down */
void loop_stop(struct loop *l);          /* any thread */
void loop_join_destroy(struct loop *l);  /* stops if running, runs what is left in the mailbox, frees */
struct ev_loop *loop_ev(struct loop *l); /* for watchers; the loop's own thread only (or before it starts) */
bool loop_is_current(const struct loop *l);

/* Any thread. Never blocks, never fails (allocates; aborts when out of memory). */
void loop_call(struct loop *l, loop_fn *fn, void *arg);
/* Any other thread or the loop itself (then called directly): returns when fn has run. */
void loop_call_sync(struct loop *l, loop_fn *fn, void *arg);
