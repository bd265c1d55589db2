/* SPDX-License-Identifier: BSD-2-Clause */
/* Sending: what is due, what is in hand, what others are to send. worker.c says why sending ends when it
 * does. */
#include "dataplane/worker_core.h"
#include <rte_ethdev.h>
#include <rte_prefetch.h>
#include <rte_ring.h>
#include <string.h>

#define SEND_ROUND_NS (100 * NS_PER_US)
#define BLOCKED_NS (300 * NS_PER_US)

/* What is left in the queue, which begins at `from`. */
static void drop_in_hand(struct worker *w, struct out_queue *o, unsigned from)
{
	if (!o->n)
		return;
	bump(&w->stats->tx_dropped, o->n);
	rte_pktmbuf_free_bulk(o->m + from, o->n);
	o->n = 0;
}

static void flush_port(struct worker *w, const struct worker_tables *t, unsigned port)
{
	struct out_queue *o = &w->out[port];
	const struct worker_port *p = &t->port[port];
	bool usable = p->open && p->up;
	unsigned sent = 0;

	if (usable && !t->changing) {
		for (unsigned q = 0; q < p->nqueues; q++) {
			if (p->worker[q] != w->number)
				continue;
			sent = rte_eth_tx_burst(p->q[q].ethdev, p->q[q].queue, o->m, (uint16_t)o->n);
			break;
		}
	}
	o->n -= sent;
	if (!o->n) {
		o->blocked_ns = 0;
		return;
	}
	if (!o->blocked_ns)
		o->blocked_ns = w->round_ns;
	if (usable && w->round_ns - o->blocked_ns < BLOCKED_NS) {
		memmove(o->m, o->m + sent, o->n * sizeof(o->m[0]));
		return;
	}
	drop_in_hand(w, o, sent);
}

void worker_queue_out(struct worker *w, const struct worker_tables *t, unsigned port, struct rte_mbuf *m)
{
	struct out_queue *o = &w->out[port];

	if (o->n == WORKER_BURST)
		flush_port(w, t, port);
	if (o->n == WORKER_BURST) {
		bump(&w->stats->tx_dropped, 1);
		rte_pktmbuf_free(m);
		return;
	}
	o->m[o->n++] = m;
}

/* False: some port has not taken all yet. */
static bool worker_flush_ports(struct worker *w, const struct worker_tables *t)
{
	bool all = true;

	for (unsigned i = 0; i < t->nports; i++) {
		if (w->out[i].n)
			flush_port(w, t, i);
		all &= w->out[i].n == 0;
	}
	return all;
}

/* Before the ports they were for may go. */
void worker_drop_in_hand(struct worker *w)
{
	for (unsigned i = 0; i < PORT_MAX; i++)
		drop_in_hand(w, &w->out[i], 0);
}

bool worker_hand_over(struct worker *to, struct rte_mbuf *m, unsigned port, unsigned kind)
{
	m->port = (uint16_t)port;
	m->hash.usr = kind;
	if (rte_ring_enqueue(to->inbox, m)) {
		rte_pktmbuf_free(m);
		return false;
	}
	worker_wake(to);
	return true;
}

/* The queue of ours on this port, or NULL with *other one of its workers. */
const struct port_queue *worker_own_queue(
	const struct worker *w, const struct worker_port *p, unsigned *other)
{
	for (unsigned q = 0; q < p->nqueues; q++)
		if (p->worker[q] == w->number)
			return &p->q[q];
	*other = p->worker[0];
	return NULL;
}

void worker_fetch_path(void *arg, uint32_t slot)
{
	const struct worker *w = arg;

	rte_prefetch0(&w->paths[slot]);
}

/* False: there is more, but the port or the time has run out. */
bool worker_send_due(struct worker *w, const struct worker_tables *t, uint64_t now)
{
	uint64_t took = now - w->round_ns, end = now + (took > SEND_ROUND_NS ? took : SEND_ROUND_NS);
	struct bfd_tx due[WORKER_BURST];
	unsigned n;

	if (t->changing)
		return false;
	do {
		if (!worker_flush_ports(w, t))
			return false;
		n = bfd_engine_tx(w->engine, now, due, WORKER_BURST);
		w->sent += n;
		for (unsigned i = 0; i < n; i++) {
			const struct worker_path *path = &w->paths[due[i].slot].p;
			const struct worker_port *p = &t->port[path->port];
			const struct bfd_frame *f = due[i].kind == BFD_TX_ECHO ? &path->echo : &path->control;
			const struct port_queue *q;
			struct rte_mbuf *m;
			unsigned other = 0;
			uint16_t len;

			if (!path->resolved || !p->open) {
				bump(&w->stats->tx_dropped, 1);
				continue;
			}
			q = worker_own_queue(w, p, &other);
			m = rte_pktmbuf_alloc(q ? q->pool : w->handoff);
			if (!m || f->headers_len + due[i].len > rte_pktmbuf_tailroom(m) ||
				f->headers_len + due[i].len > p->q[0].room) {
				rte_pktmbuf_free(m);
				bump(&w->stats->tx_dropped, 1);
				continue;
			}
			len = bfd_frame_write(f, due[i].payload, due[i].len, rte_pktmbuf_mtod(m, uint8_t *));
			m->data_len = len;
			m->pkt_len = len;
			if (q)
				worker_queue_out(w, t, path->port, m);
			else if (!worker_hand_over(w->group->worker[other], m, path->port, HANDOFF_SEND))
				bump(&w->stats->tx_dropped, 1);
		}
		if (n < WORKER_BURST)
			return worker_flush_ports(w, t);
		now = clock_now_ns();
	} while (now < end);
	worker_flush_ports(w, t);
	return false;
}
