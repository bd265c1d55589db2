/* SPDX-License-Identifier: BSD-2-Clause */
/* The manager's side of the workers. */
#define _LGPL_SOURCE
#include "dataplane/worker_core.h"
#include "shared/lines.h"
#include <errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <urcu/urcu-qsbr.h>

#define HANDOFF_MBUFS 4095

static struct rte_ring *make_ring(const char *what, unsigned number, unsigned size, unsigned flags)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s%u", what, number);
	return rte_ring_create(name, size, SOCKET_ID_ANY, flags);
}

static struct worker *make_worker(struct worker_group *g, unsigned number, uint64_t seed)
{
	struct bfd_engine_options o = {
		.capacity = g->capacity,
		.worker = (uint16_t)number,
		.seed = seed + number * UINT64_C(0x9e3779b97f4a7c15),
		.coming = worker_fetch_path,
	};
	struct worker *w = o.coming_arg = aligned_alloc(64, sizeof(*w));
	char name[32];

	if (!w)
		return NULL;
	memset(w, 0, sizeof(*w));
	w->group = g;
	w->number = number;
	atomic_init(&w->taken_ns, UINT64_MAX); /* it has nothing of anybody's yet */
	w->stats = &g->ls->header->workers[number];
	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->paths = map_lines(g->capacity, sizeof(*w->paths));
	w->engine = bfd_engine_create(g->ls, &o);
	w->commands = make_ring("commands", number, WORKER_COMMAND_RING, RING_F_SP_ENQ | RING_F_SC_DEQ);
	w->done = make_ring("done", number, WORKER_COMMAND_RING, RING_F_SC_DEQ);
	w->moves = make_ring("moves", number, WORKER_COMMAND_RING * 16, RING_F_SC_DEQ);
	w->inbox = make_ring("inbox", number, WORKER_INBOX_RING, RING_F_SC_DEQ);
	snprintf(name, sizeof(name), "handoff%u", number);
	w->handoff = rte_pktmbuf_pool_create(
		name, HANDOFF_MBUFS, 128, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	g->worker[number] = w;
	return w->wake_fd >= 0 && w->paths && w->engine && w->commands && w->done && w->moves && w->inbox &&
			       w->handoff
		       ? w
		       : NULL;
}

int worker_group_create(struct worker_group *g, struct linkstate *ls, unsigned n, bool adaptive,
	uint32_t capacity, uint64_t seed)
{
	memset(g, 0, sizeof(*g));
	g->n = n;
	g->adaptive = adaptive;
	g->salt = (uint32_t)(seed >> 32) ^ (uint32_t)seed;
	g->capacity = capacity;
	g->ls = ls;
	g->owner = calloc(capacity, sizeof(*g->owner));
	g->tables = calloc(1, sizeof(*g->tables));
	if (g->tables)
		g->tables->active = n;
	g->exceptions = make_ring("exceptions", 0, 1024, RING_F_SC_DEQ);
	g->strangers = make_ring("strangers", 0, 128, RING_F_SC_DEQ);
	if (!g->owner || !g->tables || !g->exceptions || !g->strangers)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		if (!make_worker(g, i, seed))
			return -ENOMEM;
	return 0;
}

int worker_start(struct worker_group *g, unsigned i, unsigned lcore)
{
	struct worker *w = g->worker[i];
	int rc = rte_eal_remote_launch(worker_run, w, lcore);

	if (rc)
		return rc;
	w->lcore = lcore;
	w->started = true;
	return 0;
}

void worker_group_destroy(struct worker_group *g)
{
	for (unsigned i = 0; i < g->n; i++)
		if (g->worker[i] && g->worker[i]->started)
			rte_eal_wait_lcore(g->worker[i]->lcore);
	for (unsigned i = 0; i < g->n; i++) {
		struct worker *w = g->worker[i];

		if (!w)
			continue;
		if (w->engine)
			bfd_engine_destroy(w->engine);
		rte_ring_free(w->commands);
		rte_ring_free(w->done);
		rte_ring_free(w->moves);
		rte_ring_free(w->inbox);
		rte_mempool_free(w->handoff);
		unmap_lines(w->paths, g->capacity, sizeof(*w->paths));
		if (w->wake_fd >= 0)
			close(w->wake_fd);
		free(w);
	}
	rte_ring_free(g->exceptions);
	rte_ring_free(g->strangers);
	free(g->tables);
	free((void *)g->owner);
	memset(g, 0, sizeof(*g));
}

void worker_publish(struct worker_group *g, struct worker_tables *t)
{
	struct worker_tables *old = g->tables;

	rcu_assign_pointer(g->tables, t);
	for (unsigned i = 0; i < g->n; i++)
		worker_wake_surely(g->worker[i]);
	/* Twice: what a worker could not send it keeps in hand into the next round, and lets go of in the
	 * first one that sees the new tables. */
	urcu_qsbr_synchronize_rcu();
	urcu_qsbr_synchronize_rcu();
	free(old);
}

int worker_command(struct worker_group *g, unsigned i, struct command *c)
{
	struct worker *w = g->worker[i];

	if (w->outstanding >= WORKER_COMMAND_RING - 1 || rte_ring_sp_enqueue(w->commands, c))
		return -EAGAIN;
	w->outstanding++;
	worker_wake_surely(w);
	return 0;
}

struct command *worker_done(struct worker_group *g, unsigned i)
{
	void *c;

	if (rte_ring_sc_dequeue(g->worker[i]->done, &c))
		return NULL;
	g->worker[i]->outstanding--;
	return c;
}

int worker_send(struct worker_group *g, unsigned port, const void *frame, uint16_t len)
{
	const struct worker_port *p = &g->tables->port[port];
	struct worker *w = g->worker[p->nqueues ? p->worker[0] : 0];
	struct rte_mbuf *m = worker_copy_frame(w->handoff, frame, len);

	if (!p->open || !m) {
		rte_pktmbuf_free(m);
		return -EAGAIN;
	}
	return worker_hand_over(w, m, port, HANDOFF_SEND) ? 0 : -EAGAIN;
}

uint16_t worker_exception(struct worker_group *g, unsigned *port, void *frame, uint16_t size)
{
	struct rte_mbuf *m;
	uint16_t len;

	if (rte_ring_sc_dequeue(g->exceptions, (void **)&m))
		return 0;
	len = m->data_len < size ? m->data_len : size;
	*port = m->port;
	memcpy(frame, rte_pktmbuf_mtod(m, void *), len);
	rte_pktmbuf_free(m);
	return len;
}

bool worker_stranger(struct worker_group *g, unsigned *port, struct bfd_rx *rx)
{
	struct rte_mbuf *m;

	while (rte_ring_sc_dequeue(g->strangers, (void **)&m) == 0) {
		const uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
		bool good;

		*port = m->port;
		memset(rx, 0, sizeof(*rx));
		/* The worker has looked at the checksum. */
		good = *port < g->tables->nports && bfd_frame_parse(frame, m->data_len, true, rx) == 0;
		if (good)
			rx->ifindex = worker_interface_of(&g->tables->port[*port], frame);
		rx->payload = NULL;
		rte_pktmbuf_free(m);
		if (good && rx->ifindex)
			return true;
	}
	return false;
}

bool worker_alive(struct worker_group *g)
{
	bool alive = true;

	for (unsigned i = 0; i < g->n; i++) {
		uint64_t loops = atomic_load_explicit(&g->worker[i]->stats->loops, memory_order_relaxed);

		if (loops == g->worker[i]->loops_seen)
			alive = false;
		g->worker[i]->loops_seen = loops;
	}
	return alive;
}
