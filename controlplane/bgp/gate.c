/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/bgp/gate.h"
#include "controlplane/bgp/session.h"
#include "shared/clock.h"
#include <sys/ioctl.h>

enum {
	AHEAD_BYTES = 48 << 20, /* under way before anybody waits */
	AHEAD_OF_FEW_BYTES =
		12 << 20,   /* the same while there are changes of others that this would hold up */
	FEW_NS = 500000000, /* for so long after the last of them */
	ROUTE_BYTES = 16,   /* what a route is on the wire, its share of the attributes included */
	FEW_BYTES = 1024,   /* so much is read at any time */
	LEAST_READ = 4096,  /* of a piece */
	LEAST_UPDATE = 23,
	MUCH_NS = 1000000000, /* for so long after it has said much, what it says is the rest of that */
	LOOK_MS = 1,
	HOLD_NS = 20000000,
	STUCK_NS = 20000000,
};

static struct bgp_conn *conn_waiting(struct cds_list_head *node)
{
	return caa_container_of(node, struct bgp_conn, gate.waiting);
}

static struct bgp_conn *conn_blocked(struct cds_list_head *node)
{
	return caa_container_of(node, struct bgp_conn, gate.blocked);
}

static uint64_t for_conn(const struct bgp_conn *c)
{
	const struct bgp_session *s = c->s;
	uint64_t sum = 0;

	for (unsigned i = 0; s->conn == c && i < s->n_channels; i++)
		if (s->channel[i].export)
			sum += export_peer_waiting(s->channel[i].export);
	return sum;
}

static void look_for_stuck(struct bgp_gate *g, uint64_t now)
{
	struct cds_list_head *node;
	uint64_t sum = 0;

	cds_list_for_each(node, &g->blocked)
	{
		const struct bgp_conn *c = conn_blocked(node);

		if (now - c->gate.blocked_since < STUCK_NS)
			break;
		sum += for_conn(c);
	}
	atomic_store_explicit(&g->stuck, sum, memory_order_relaxed);
}

static uint64_t ahead_limit(const struct bgp_gate *g, uint64_t now)
{
	return now - g->few_ns < FEW_NS ? AHEAD_OF_FEW_BYTES : AHEAD_BYTES;
}

/* Bytes that are on their way to somebody who takes them, or soon will be. */
static bool much_under_way(struct bgp_thread *t, uint64_t now)
{
	const struct daemon *d = engine_daemon(t->engine);
	uint64_t ahead = export_waiting(d->export) +
			 (uint64_t)ROUTE_BYTES * export_receivers(d->export) * rib_queued(d->rib);

	if (ahead < ahead_limit(&t->gate, now))
		return false;
	look_for_stuck(&t->gate, now);
	return ahead >= ahead_limit(&t->gate, now) + engine_stuck(t->engine);
}

static size_t piece(const struct bgp_thread *t, uint64_t now)
{
	size_t n = export_receivers(engine_daemon(t->engine)->export) + 1,
	       most = ahead_limit(&t->gate, now) / 4 / n;

	return most < LEAST_READ ? LEAST_READ : most > BGP_READ_SIZE ? BGP_READ_SIZE : most;
}

bool gate_closed(struct bgp_conn *c, size_t *most)
{
	struct bgp_thread *t = c->s->thread;
	uint64_t now = clock_now_ns();
	int unread = 0;

	*most = piece(t, now);
	if (c->s->conn != c || !much_under_way(t, now) ||
		(ioctl(c->fd, FIONREAD, &unread) == 0 && unread <= FEW_BYTES) ||
		now - t->gate.read_ns >= HOLD_NS) {
		t->gate.read_ns = now;
		return false;
	}
	if (!c->gate.waiting.next)
		cds_list_add_tail(&c->gate.waiting, &t->gate.waiting);
	ev_io_stop(loop_ev(t->loop), &c->rd);
	if (!ev_is_active(&t->gate.timer))
		ev_timer_again(loop_ev(t->loop), &t->gate.timer);
	return true;
}

void gate_read(struct bgp_conn *c, size_t n)
{
	if (n > FEW_BYTES)
		c->gate.much_ns = c->rx_ns;
	else if (n >= LEAST_UPDATE && c->rx_ns - c->gate.much_ns > MUCH_NS)
		c->s->thread->gate.few_ns = c->rx_ns;
}

static void leave(struct cds_list_head *node)
{
	if (node->next)
		cds_list_del(node);
	node->next = NULL;
}

void gate_blocked(struct bgp_conn *c, bool blocked)
{
	if (!blocked) {
		leave(&c->gate.blocked);
	} else if (!c->gate.blocked.next) {
		c->gate.blocked_since = clock_now_ns();
		cds_list_add_tail(&c->gate.blocked, &c->s->thread->gate.blocked);
	}
}

void gate_leave(struct bgp_conn *c)
{
	leave(&c->gate.waiting);
	leave(&c->gate.blocked);
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct bgp_thread *t = w->data;
	struct bgp_gate *g = &t->gate;

	(void)revents;
	while (!cds_list_empty(&g->waiting)) {
		struct cds_list_head *node = g->waiting.next;
		uint64_t now = clock_now_ns();

		if (now - g->read_ns < HOLD_NS && much_under_way(t, now))
			return;
		leave(node);
		conn_read_again(conn_waiting(node)); /* which may be the end of the connection */
		if (g->waiting.prev == node)
			return; /* not now after all */
	}
	ev_timer_stop(ev, w);
}

void gate_init(struct bgp_thread *t)
{
	struct bgp_gate *g = &t->gate;

	CDS_INIT_LIST_HEAD(&g->waiting);
	CDS_INIT_LIST_HEAD(&g->blocked);
	ev_timer_init(&g->timer, on_timer, 0, LOOK_MS / 1e3);
	g->timer.data = t;
}
