/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last stage of a failover: all neighbours have been sent what the loss of one changes.
 *
 * The withdrawal of its routes goes through the shards; a barrier behind it runs when each of them has chosen
 * anew and given the export side its changes, and with that has posted its wakes to the session threads. A
 * call posted to each thread after that runs behind those wakes, when the thread has written what the sockets
 * take. The last such call stamps.
 */
#include "controlplane/bgp/session.h"
#include "controlplane/fib/fib.h"
#include "controlplane/proto/proto.h"
#include "shared/clock.h"
#include <stdlib.h>

struct updates_out {
	struct bgp_session *s; /* held */
	struct ipaddr remote;
	uint32_t ifindex;
	_Atomic unsigned channels, threads; /* that are still to pass */
};

static void thread_has_written(void *arg)
{
	struct updates_out *u = arg;

	if (atomic_fetch_sub(&u->threads, 1) > 1)
		return;
	fib_link_stage(u->s->daemon->fib, &u->remote, u->ifindex, 0, clock_now_ns());
	session_release(u->s);
	free(u);
}

/* A shard's thread: only posts. */
static void shards_have_passed(void *ctx)
{
	struct updates_out *u = ctx;

	if (atomic_fetch_sub(&u->channels, 1) > 1)
		return;
	engine_call_threads(u->s->engine, thread_has_written, u);
}

void session_stamp_updates_out(struct bgp_session *s)
{
	struct updates_out *u;
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_channels; i++)
		n += s->channel[i].source != NULL;
	if (!s->daemon->fib || n == 0)
		return;
	u = calloc(1, sizeof(*u));
	if (!u)
		return; /* a stamp is missing, nothing else */
	u->s = session_hold(s);
	u->remote = s->cf->c.remote;
	u->ifindex = s->ifindex;
	atomic_init(&u->channels, n);
	atomic_init(&u->threads, engine_threads(s->engine));
	for (unsigned i = 0; i < s->n_channels; i++)
		if (s->channel[i].source)
			rib_source_barrier(s->channel[i].source, shards_have_passed, u);
}
