/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions come, change, move, go: worker.h says who sends what to whom, and why the order is kept. */
#include "dataplane/worker_core.h"
#include <rte_ring.h>

#define COMMANDS_A_ROUND 32

/* The session leaves; the command with it goes on to its new worker. False: it stays. */
static bool give_away(struct worker *w, struct command *c, uint64_t now)
{
	unsigned number = c->to;
	uint32_t slot = c->slot;
	struct worker *to = w->group->worker[number];

	if (to == w)
		return c->result = 0, false;
	c->result = bfd_engine_export(w->engine, c->slot, c->moved, now);
	if (c->result)
		return false;
	c->path = w->paths[c->slot].p;
	w->paths[c->slot].p.resolved = false;
	/* Never full: it has room for all commands that can be outstanding. From then on the command is the
	 * other's, and soon the manager's, who frees it. */
	rte_ring_enqueue(to->moves, c);
	/* After it: whoever sees the new owner hands a packet over behind the session. */
	atomic_store_explicit(&w->group->owner[slot], (uint8_t)number, memory_order_release);
	worker_wake_surely(to);
	return true;
}

static void apply(struct worker *w, struct command *c, uint64_t now)
{
	struct worker_path *path = &w->paths[c->slot].p;

	switch (c->type) {
	case COMMAND_ADD:
		c->result = bfd_engine_add(
			w->engine, c->slot, c->generation, c->local_disc, &c->key, &c->params, now);
		if (c->result)
			break;
		*path = c->path;
		if (!path->resolved)
			bfd_engine_set_resolved(w->engine, c->slot, false, now);
		break;
	case COMMAND_UPDATE: c->result = bfd_engine_update(w->engine, c->slot, &c->params, now); break;
	case COMMAND_PATH:
		if (path->resolved != c->path.resolved)
			bfd_engine_set_resolved(w->engine, c->slot, c->path.resolved, now);
		*path = c->path;
		if (c->path_down)
			bfd_engine_path_down(w->engine, c->slot, now);
		break;
	case COMMAND_REMOVE:
		c->result = bfd_engine_remove(w->engine, c->slot, now);
		path->resolved = false;
		break;
	case COMMAND_MOVE: /* it has come with its session */
		c->result = bfd_engine_import(w->engine, c->slot, c->moved, now);
		w->paths[c->slot].p = c->path;
		break;
	case COMMAND_STOP: w->stop = true; break;
	}
}

/* done is as big as commands, and the manager never has more than that outstanding at a worker: it cannot be
 * full. */
static void finished(struct worker *w, struct command *c)
{
	rte_ring_enqueue(w->group->worker[c->given]->done, c);
}

unsigned worker_apply_commands(struct worker *w, uint64_t now)
{
	struct command *c[COMMANDS_A_ROUND];
	unsigned n = rte_ring_sc_dequeue_burst(w->commands, (void **)c, COMMANDS_A_ROUND, NULL);

	for (unsigned i = 0; i < n; i++) {
		unsigned owner =
			c[i]->type == COMMAND_STOP
				? w->number
				: atomic_load_explicit(&w->group->owner[c[i]->slot], memory_order_relaxed);

		c[i]->given = w->number;
		if (owner != w->number) { /* the session has gone there: after it */
			rte_ring_enqueue(w->group->worker[owner]->moves, c[i]);
			worker_wake_surely(w->group->worker[owner]);
			continue;
		}
		if (c[i]->type == COMMAND_MOVE && give_away(w, c[i], now))
			continue;
		if (c[i]->type != COMMAND_MOVE)
			apply(w, c[i], now);
		finished(w, c[i]);
	}
	return n;
}

/* Sessions that come from other workers, and what was sent after them. Before the inbox, where their packets
 * are. */
unsigned worker_apply_moves(struct worker *w)
{
	struct command *c[COMMANDS_A_ROUND];
	unsigned n = rte_ring_sc_dequeue_burst(w->moves, (void **)c, COMMANDS_A_ROUND, NULL);
	uint64_t now = n ? clock_now_ns() : 0; /* not before anything that was done for them elsewhere */

	for (unsigned i = 0; i < n; i++) {
		apply(w, c[i], now);
		finished(w, c[i]);
	}
	return n;
}
