/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The poll loop. One round: receive everything, apply commands, sweep the
 * deadlines, send what is due, tell the subscribers if somebody went up or
 * down. A round makes no system call of its own but that last one (one eventfd
 * write for each subscriber), takes no lock, allocates nothing, logs nothing.
 * What the drivers do is theirs: AF_XDP kicks the kernel once for each burst sent.
 *
 * Time is CLOCK_MONOTONIC through the vDSO, read twice in a round and once more
 * for each burst (60 cycles each on the reference machine): always comparable with the stamps of
 * peregrined and of the kernel, no calibration that could drift.
 *
 * Nobody is late as long as his packet waits in a ring of ours. Deadlines are
 * therefore judged up to the time before the rings were last found empty, not
 * up to the present (taken_until()). With several workers a session's packets
 * may come in by another one's queue: each publishes its own such time after
 * it has handed over what it took, and nobody judges beyond the others' times.
 * Under a flood that never lets a ring run empty, and while another worker
 * stands still, that is BEHIND_MAX_NS behind the present at most.
 *
 * Our own pauses: when a round starts later than it should have (a stolen core,
 * an SMI), packets of perfectly healthy peers wait in the rings while their
 * deadlines pass. So a late round first empties the rings, goes on doing so for
 * STALL_GRACE_NS because what the kernel still had in its own queues needs a
 * moment to arrive, tells the engine, and only then looks at deadlines. But
 * before all that it sends what is due, everybody's packets if it must be: our
 * patience can wait for the rings, that of the remotes is running out. (Ten
 * thousand packets are a millisecond; with receiving in between it was two.)
 *
 * After a pause everybody is due at once, more than a ring takes. Sending stops
 * to receive after SEND_ROUND_NS, or when it has had as long as receiving had
 * in this round: when both are too much, neither starves the other (a worker that
 * only receives loses its sessions, and each that returns makes more to
 * receive). It also stops when a port takes no more: the rest stays with the
 * engine, what is in hand is tried again next round. A port that takes
 * nothing for BLOCKED_NS holds up nobody any longer: its packets are dropped.
 *
 * Adaptive mode sleeps in ppoll() on the ports' descriptors until the engine's
 * next transmission or deadline. The timer slack of the thread is 1 ns, and it
 * runs as SCHED_FIFO if it may: it is nearly always asleep, so real-time
 * throttling never bites, but it must not queue behind a full table load when
 * it has something to do. A busy thread must stay out of SCHED_FIFO (the
 * kernel would stop it for 50 ms in each second); it gets the best nice value.
 */
#define _LGPL_SOURCE
#include "dataplane/worker.h"
#include "bfd/bucket.h"
#include "bfd/packet.h"
#include "dataplane/dpdk.h"
#include "shared/lines.h"
#include "shared/log.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_ring.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <urcu/urcu-qsbr.h>

#define SWEEP_NS (50 * NS_PER_US)
#define STALL_NS (500 * NS_PER_US)
#define STALL_GRACE_NS (200 * NS_PER_US)
#define CATCH_UP_NS (3 * NS_PER_MS) /* at most, of sending alone after a pause */
#define BEHIND_MAX_NS (5 * NS_PER_MS)
#define SEND_ROUND_NS (100 * NS_PER_US)
#define RECEIVE_ROUND_NS (200 * NS_PER_US) /* from one queue: with sending, below STALL_NS */
#define BLOCKED_NS (300 * NS_PER_US)
#define SPIN_NS (20 * NS_PER_US) /* not worth sleeping for */
#define SLEEP_MAX_NS (50 * NS_PER_MS)
#define SLEEP_BLIND_NS (250 * NS_PER_US) /* a port without a descriptor to sleep on */
#define CHANGING_NAP_NS (50 * NS_PER_US)
#define AWAKE_MAX_NS NS_PER_MS
#define NAP_PERCENT 6
#define COMMAND_RING 4096
#define INBOX_RING 2048
#define HANDOFF_MBUFS 4095
#define COMMANDS_A_ROUND 32
#define AHEAD 4
#define DRAIN_BURSTS 64

/* What a mbuf in an inbox is for: in its hash.usr. A packet that went to its owner counts as refused PASSED
 * times. */
#define PASSED 64u
enum { HANDOFF_SEND = 0, HANDOFF_RX = 1 /* + number of workers that have refused it */ };

/* A control packet of IPv4 needs the first 64 bytes. */
struct path_line {
	_Alignas(64) struct worker_path p;
};

struct out_queue {
	struct rte_mbuf *m[WORKER_BURST];
	unsigned n;
	uint64_t blocked_ns; /* since when the port has not taken all; 0: it does */
};

struct worker {
	struct worker_group *group;
	unsigned number, lcore;
	struct bfd_engine *engine;
	struct linkstate_worker *stats; /* only this thread writes it: what the engine doesn't count itself */
	struct path_line *paths;        /* [capacity] */
	struct rte_ring *commands, *done;
	struct rte_ring *moves;      /* commands that came with a session from another worker, or after it */
	struct rte_ring *inbox;      /* frames from other workers and the manager */
	struct rte_mempool *handoff; /* what we put into other inboxes */
	int wake_fd;
	bool started, stop;
	unsigned outstanding; /* the manager's: commands given and not yet back */
	uint64_t loops_seen;  /* the same, for worker_alive() */
	struct out_queue out[PORT_MAX];
	uint64_t sbfd_ns;    /* bucket of the S-BFD reflector */
	uint64_t round_ns;   /* the round's present, for what needs no better */
	unsigned sent;       /* packets that this round was due to send */
	uint64_t drained_ns; /* what arrived at our queues before was taken in */
	uint64_t behind_ns;  /* since when another worker has kept us from judging; 0: nobody */
	/* drained_ns for the others (release, after the hand-over); UINT64_MAX: asleep. Its own cache line.
	 */
	_Alignas(64) _Atomic uint64_t taken_ns;
};

static inline void bump(_Atomic uint64_t *c, uint64_t by)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + by, memory_order_relaxed);
}

/* Even a busy one sleeps while it is not among the active. */
static void wake_surely(struct worker *w)
{
	uint64_t one = 1;

	if (write(w->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake already */
}

static void wake(struct worker *w)
{
	if (w->group->adaptive)
		wake_surely(w);
}

/* Sending */

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

static void queue_out(struct worker *w, const struct worker_tables *t, unsigned port, struct rte_mbuf *m)
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
static bool flush_ports(struct worker *w, const struct worker_tables *t)
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
static void drop_all_in_hand(struct worker *w)
{
	for (unsigned i = 0; i < PORT_MAX; i++)
		drop_in_hand(w, &w->out[i], 0);
}

static bool hand_over(struct worker *to, struct rte_mbuf *m, unsigned port, unsigned kind)
{
	m->port = (uint16_t)port;
	m->hash.usr = kind;
	if (rte_ring_enqueue(to->inbox, m)) {
		rte_pktmbuf_free(m);
		return false;
	}
	wake(to);
	return true;
}

/* The queue of ours on this port, or NULL with *other one of its workers. */
static const struct port_queue *own_queue(
	const struct worker *w, const struct worker_port *p, unsigned *other)
{
	for (unsigned q = 0; q < p->nqueues; q++)
		if (p->worker[q] == w->number)
			return &p->q[q];
	*other = p->worker[0];
	return NULL;
}

static void fetch_path(void *arg, uint32_t slot)
{
	const struct worker *w = arg;

	rte_prefetch0(&w->paths[slot]);
}

/* False: there is more, but the port or the time has run out. */
static bool send_due(struct worker *w, const struct worker_tables *t, uint64_t now)
{
	uint64_t took = now - w->round_ns, end = now + (took > SEND_ROUND_NS ? took : SEND_ROUND_NS);
	struct bfd_tx due[WORKER_BURST];
	unsigned n;

	if (t->changing)
		return false;
	do {
		if (!flush_ports(w, t))
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
			q = own_queue(w, p, &other);
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
				queue_out(w, t, path->port, m);
			else if (!hand_over(w->group->worker[other], m, path->port, HANDOFF_SEND))
				bump(&w->stats->tx_dropped, 1);
		}
		if (n < WORKER_BURST)
			return flush_ports(w, t);
		now = clock_now_ns();
	} while (now < end);
	flush_ports(w, t);
	return false;
}

/* Receiving */

static uint32_t sum16(const uint8_t *b, unsigned len)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < len; i += 2)
		sum += (uint32_t)(b[i] << 8 | b[i + 1]);
	return sum;
}

/* What a sender leaves in the UDP checksum when the hardware is to finish it: the sum over the pseudo-header
 * alone. */
static bool checksum_unfinished(const struct bfd_rx *rx)
{
	const uint8_t *udp = rx->payload - 8;
	bool v4 = ipaddr_is_v4(&rx->src);
	uint32_t sum = sum16(rx->src.b + (v4 ? 12 : 0), v4 ? 4 : 16) +
		       sum16(rx->dst.b + (v4 ? 12 : 0), v4 ? 4 : 16) + IPPROTO_UDP + sum16(udp + 4, 2);

	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == sum16(udp + 6, 2);
}

static int parse(const struct worker_port *p, const uint8_t *frame, uint32_t len, struct bfd_rx *rx)
{
	int rc;

	if (!p->partial_csum)
		return bfd_frame_parse(frame, len, false, rx);
	rc = bfd_frame_parse(frame, len, true, rx);
	if (rc == 0 && !checksum_unfinished(rx))
		rc = bfd_frame_parse(frame, len, false, rx);
	return rc;
}

static uint32_t interface_of(const struct worker_port *p, const uint8_t *frame)
{
	uint16_t vid;

	if (frame[12] != 0x81 || frame[13] != 0)
		return p->ifindex;
	vid = (uint16_t)((frame[14] << 8 | frame[15]) & 0xfff);
	if (vid == 0) /* a priority tag */
		return p->ifindex;
	for (unsigned i = 0; i < p->nvlans; i++)
		if (p->vlan[i].vid == vid)
			return p->vlan[i].ifindex;
	return 0;
}

static inline bool is_bfd(const struct bfd_rx *rx)
{
	return rx->dport == BFD_PORT_CONTROL || rx->dport == BFD_PORT_MULTIHOP ||
	       rx->dport == BFD_PORT_ECHO || rx->dport == BFD_PORT_SBFD || rx->sport == BFD_PORT_SBFD;
}

static struct rte_mbuf *copy_frame(struct rte_mempool *pool, const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	if (!m)
		return NULL;
	if (len > rte_pktmbuf_tailroom(m)) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	memcpy(rte_pktmbuf_mtod(m, void *), frame, len);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	return m;
}

/* Who should see this packet: the owner of its Your Discriminator; without one, whoever finds the session by
 * its addresses, one worker after the other. */
static unsigned owner_of(const struct worker *w, const struct bfd_rx *rx)
{
	const struct worker_group *g = w->group;
	uint32_t disc, slot;

	if (rx->len < 12)
		return w->number;
	disc = (uint32_t)rx->payload[8] << 24 | (uint32_t)rx->payload[9] << 16 |
	       (uint32_t)rx->payload[10] << 8 | rx->payload[11];
	slot = bfd_discriminator_slot(g->salt, disc);
	if (disc == 0 || slot >= g->capacity)
		return w->number;
	return atomic_load_explicit(&g->owner[slot], memory_order_relaxed);
}

static void pass_on(
	struct worker *w, unsigned to, unsigned port, const uint8_t *frame, uint32_t len, unsigned refused)
{
	struct rte_mbuf *m = copy_frame(w->handoff, frame, len);

	if (m && hand_over(w->group->worker[to], m, port, HANDOFF_RX + refused))
		bump(&w->stats->rx_forwarded, 1);
}

/* The remote's echo packet goes back out of the port it came in by. */
static void reflect(
	struct worker *w, const struct worker_tables *t, unsigned port, const uint8_t *frame, uint32_t len)
{
	unsigned other = 0;
	const struct port_queue *q = own_queue(w, &t->port[port], &other);
	struct rte_mbuf *m = copy_frame(q ? q->pool : w->handoff, frame, len);

	if (!m)
		return;
	if (!bfd_frame_reflect(rte_pktmbuf_mtod(m, uint8_t *)))
		rte_pktmbuf_free(m);
	else if (q)
		queue_out(w, t, port, m);
	else
		hand_over(w->group->worker[other], m, port, HANDOFF_SEND);
}

/* Anybody may ask the reflector, and each question costs an answer: no more than this. */
#define SBFD_PER_S 100000u
#define SBFD_BURST_NS (20 * NS_PER_MS)

/* S-BFD, RFC 7880 section 7.2.1: the answer goes back the way the question came, whoever owns what. */
static void answer_sbfd(struct worker *w, const struct worker_tables *t, unsigned port, const uint8_t *frame,
	const struct bfd_rx *rx)
{
	struct bfd_frame_addr a = {
		.src = rx->dst, .dst = rx->src, .sport = BFD_PORT_SBFD, .dport = rx->sport, .ttl = 255};
	uint8_t reply[BFD_PACKET_MAX];
	struct bfd_frame f;
	struct rte_mbuf *m;
	uint16_t len;

	if (!bfd_bucket_take(&w->sbfd_ns, NS_PER_S / SBFD_PER_S, SBFD_BURST_NS, w->round_ns)) {
		bump(&w->stats->rx_ratelimited, 1);
		return;
	}
	if (bfd_sbfd_reflect(rx, &t->reflector, reply, &len) != BFD_RX_REFLECT ||
		!(m = rte_pktmbuf_alloc(w->handoff)))
		return;
	memcpy(a.dst_mac, frame + 6, 6);
	memcpy(a.src_mac, frame, 6);
	if (frame[12] == 0x81 && frame[13] == 0)
		a.vlan = (uint16_t)((frame[14] << 8 | frame[15]) & 0xfff);
	bfd_frame_init(&f, &a);
	m->data_len = bfd_frame_write(&f, reply, len, rte_pktmbuf_mtod(m, uint8_t *));
	m->pkt_len = m->data_len;
	unsigned other = 0;
	if (own_queue(w, &t->port[port], &other))
		queue_out(w, t, port, m);
	else
		hand_over(w->group->worker[other], m, port, HANDOFF_SEND);
}

static void report_stranger(struct worker *w, unsigned port, const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *m = copy_frame(w->handoff, frame, len);

	if (!m)
		return;
	m->port = (uint16_t)port;
	if (rte_ring_enqueue(w->group->strangers, m))
		rte_pktmbuf_free(m);
}

static void receive(struct worker *w, const struct worker_tables *t, unsigned port, const uint8_t *frame,
	uint32_t len, unsigned refused, uint64_t now)
{
	const struct worker_port *p = &t->port[port];
	unsigned n = t->active;
	struct bfd_rx rx = {0};
	uint32_t slot;
	int rc = parse(p, frame, len, &rx);

	if (rc || !is_bfd(&rx)) {
		struct rte_mbuf *m;

		if (rc != -EBADMSG && p->exceptions && (m = copy_frame(w->handoff, frame, len))) {
			m->port = (uint16_t)port;
			if (rte_ring_enqueue(p->exceptions, m))
				rte_pktmbuf_free(m);
		} else {
			bump(&w->stats->rx_invalid, 1);
		}
		return;
	}
	rx.ifindex = interface_of(p, frame);
	if (unlikely(!rx.ifindex)) { /* in a VLAN that we have no interface in */
		bump(&w->stats->rx_unknown, 1);
		return;
	}
	if (unlikely(rx.dport == BFD_PORT_SBFD && rx.sport != BFD_PORT_SBFD && t->reflector.discriminator)) {
		answer_sbfd(w, t, port, frame, &rx);
		return;
	}
	if (w->group->n > 1 && rx.dport != BFD_PORT_ECHO && (refused == 0 || refused == PASSED)) {
		unsigned owner = owner_of(w, &rx);

		/* Passed on already, and its session has moved on meanwhile: once more, and no further. */
		if (owner != w->number && owner < w->group->n) {
			pass_on(w, owner, port, frame, len, refused + PASSED);
			return;
		}
	}
	switch (bfd_engine_rx(w->engine, &rx, now, &slot)) {
	case BFD_RX_UNKNOWN:
		if (refused + 1 < n && w->number < n)
			pass_on(w, (w->number + 1) % n, port, frame, len, refused + 1);
		else if (refused < PASSED && t->strangers && bfd_rx_may_begin(&rx))
			report_stranger(w, port, frame, len);
		break;
	case BFD_RX_REFLECT: reflect(w, t, port, frame, len); break;
	default: break;
	}
}

/* What the engine keeps about the packet's session. */
static inline void look_at(struct worker *w, struct rte_mbuf *m)
{
	const uint8_t *f = rte_pktmbuf_mtod(m, const uint8_t *);
	unsigned at = f[12] == 0x08 ? 14 + 20 + 8 : 14 + 40 + 8;

	if (rte_pktmbuf_data_len(m) >= at + 24)
		bfd_engine_rx_prefetch(w->engine, f + at);
}

/* A few packets before its turn: the frame's first lines, then the session. */
static inline void look_ahead(struct worker *w, struct rte_mbuf *const *m, unsigned n, unsigned k)
{
	if (k + 2 * AHEAD < n)
		rte_prefetch0(rte_pktmbuf_mtod(m[k + 2 * AHEAD], void *));
	if (k + AHEAD < n)
		look_at(w, m[k + AHEAD]);
}

/* Everything that has arrived, up to a bound that keeps a flood from starving the sweep. start: a time just
 * before the call. Returns the number of packets. */
static unsigned receive_ports(
	struct worker *w, const struct worker_tables *t, unsigned bursts, uint64_t limit_ns, uint64_t start)
{
	struct rte_mbuf *m[WORKER_BURST];
	uint64_t drained = start;
	unsigned total = 0;

	for (unsigned i = 0; i < t->nports; i++) {
		const struct worker_port *p = &t->port[i];

		if (!p->open || t->changing)
			continue;
		for (unsigned q = 0; q < p->nqueues; q++) {
			if (p->worker[q] != w->number)
				continue;
			uint64_t began = 0;
			bool empty = false;

			for (unsigned b = 0; b < bursts && !empty; b++) {
				unsigned n = rte_eth_rx_burst(p->q[q].ethdev, p->q[q].queue, m, WORKER_BURST);
				uint64_t now;

				empty = n < WORKER_BURST;
				if (n == 0)
					break;
				/* The first ones too: a burst is short when all is well. */
				for (unsigned k = 0; k < n && k < AHEAD; k++)
					look_at(w, m[k]);
				now = clock_now_ns();
				began = began ? began : now;
				for (unsigned k = 0; k < n; k++) {
					look_ahead(w, m, n, k);
					receive(w, t, i, rte_pktmbuf_mtod(m[k], uint8_t *),
						rte_pktmbuf_data_len(m[k]), 0, now);
				}
				rte_pktmbuf_free_bulk(m, n);
				total += n;
				if (now - began > limit_ns)
					break;
			}
			if (!empty)
				drained = w->drained_ns; /* no progress, for all we know */
		}
	}
	if (drained + BEHIND_MAX_NS < start)
		drained = start - BEHIND_MAX_NS;
	if (drained > w->drained_ns)
		w->drained_ns = drained;
	return total;
}

/* Up to when the others have handed over what was ours. Before our inbox is emptied. */
static uint64_t others_taken(const struct worker *w)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < w->group->n; i++) {
		const struct worker *o = w->group->worker[i];
		uint64_t t;

		if (o == w)
			continue;
		t = atomic_load_explicit(&o->taken_ns, memory_order_acquire);
		least = t < least ? t : least;
	}
	return least;
}

static unsigned receive_inbox(struct worker *w, const struct worker_tables *t)
{
	struct rte_mbuf *m[WORKER_BURST];
	unsigned n, total = 0;

	do {
		n = rte_ring_dequeue_burst(w->inbox, (void **)m, WORKER_BURST, NULL);
		for (unsigned k = 0; k < n; k++) {
			unsigned port = m[k]->port;

			if (port < t->nports && m[k]->hash.usr == HANDOFF_SEND) {
				unsigned other = w->number;

				if (own_queue(w, &t->port[port], &other) || other == w->number)
					queue_out(w, t, port, m[k]); /* freed there if the port has gone */
				else
					hand_over(w->group->worker[other], m[k], port, HANDOFF_SEND);
				continue;
			}
			if (port < t->nports)
				receive(w, t, port, rte_pktmbuf_mtod(m[k], uint8_t *),
					rte_pktmbuf_data_len(m[k]), m[k]->hash.usr - HANDOFF_RX,
					clock_now_ns());
			rte_pktmbuf_free(m[k]);
		}
		total += n;
	} while (n == WORKER_BURST && total < INBOX_RING);
	return total;
}

/* Commands */

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
	wake_surely(to);
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

static unsigned apply_commands(struct worker *w, uint64_t now)
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
			wake_surely(w->group->worker[owner]);
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
static unsigned apply_moves(struct worker *w)
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

/* The rounds */

static void notify(const struct worker_tables *t)
{
	uint64_t one = 1;

	for (unsigned i = 0; i < t->nsubscribers; i++)
		if (write(t->subscriber[i], &one, sizeof(one)) < 0)
			continue; /* full: it has not read what we told it before, and will */
}

/* All there is to receive, or as much as limit_ns allows of each queue. start: a time just before the call.
 */
static unsigned take_in(struct worker *w, const struct worker_tables *t, uint64_t limit_ns, uint64_t start)
{
	uint64_t until;
	unsigned n;

	w->round_ns = start;
	n = receive_ports(w, t, DRAIN_BURSTS, limit_ns, start);
	if (w->group->n == 1) {
		bfd_engine_drained(w->engine, w->drained_ns);
		return n + receive_inbox(w, t);
	}
	n += apply_moves(w);
	atomic_store_explicit(&w->taken_ns, w->drained_ns, memory_order_release);
	until = others_taken(w);
	n += receive_inbox(w, t);
	if (until > start)
		until = start;
	if (until + STALL_NS >= w->drained_ns) {
		/* The others' pause was ours too, as far as our sessions are concerned. */
		if (w->behind_ns)
			bfd_engine_stalled(w->engine, start - w->behind_ns, start);
		w->behind_ns = 0;
	} else if (!w->behind_ns) {
		w->behind_ns = until;
	}
	if (until + BEHIND_MAX_NS < start)
		until = start - BEHIND_MAX_NS;
	bfd_engine_drained(w->engine, until < w->drained_ns ? until : w->drained_ns);
	return n;
}

static bool nothing_in_hand(const struct worker *w)
{
	for (unsigned i = 0; i < PORT_MAX; i++)
		if (w->out[i].n)
			return false;
	return true;
}

/* All that is due, unless a port takes no more. */
static void catch_up(struct worker *w, const struct worker_tables *t, uint64_t now)
{
	uint64_t end = now + CATCH_UP_NS;

	while (!send_due(w, t, now) && nothing_in_hand(w) && !t->changing) {
		now = clock_now_ns();
		if (now > end)
			break;
	}
}

/* After a pause of our own: send what is overdue, take in whatever came meanwhile, before any deadline is
 * looked at. */
static uint64_t recover_from_stall(
	struct worker *w, const struct worker_tables *t, uint64_t since, uint64_t now)
{
	uint64_t until;

	catch_up(w, t, now);
	now = clock_now_ns();
	until = now + STALL_GRACE_NS;
	do {
		take_in(w, t, UINT64_MAX, now);
		now = clock_now_ns();
	} while (now < until);
	bfd_engine_stalled(w->engine, now - since, now);
	return now;
}

/* The descriptors that wake us: our own first, then those of the ports' queues. Returns how many; *blind is
 * set when a queue has none. A port that is down is left out: its socket would only report errors. */
static nfds_t sources(
	struct worker *w, const struct worker_tables *t, struct pollfd *fds, nfds_t max, bool *blind)
{
	nfds_t n = 0;

	*blind = false;
	fds[n++] = (struct pollfd){.fd = w->wake_fd, .events = POLLIN};
	for (unsigned i = 0; i < t->nports; i++) {
		const struct worker_port *p = &t->port[i];

		for (unsigned q = 0; p->open && p->up && q < p->nqueues; q++) {
			if (p->worker[q] != w->number)
				continue;
			if (p->q[q].fd < 0 || n == max)
				*blind = true;
			else
				fds[n++] = (struct pollfd){.fd = p->q[q].fd, .events = POLLIN};
		}
	}
	return n;
}

/* Asleep: nothing is in hand, the rings are as good as empty because the kernel wakes us. */
static void rest(struct worker *w)
{
	atomic_store_explicit(&w->taken_ns, UINT64_MAX, memory_order_release);
	urcu_qsbr_thread_offline();
}

static void awake(struct worker *w)
{
	urcu_qsbr_thread_online();
	atomic_store_explicit(&w->taken_ns, clock_now_ns(), memory_order_release);
}

/* Sleeps until something arrives or is due. Returns when it meant to be back at the latest; 0 if it did not
 * sleep. */
static uint64_t sleep_until_due(struct worker *w, const struct worker_tables *t, uint64_t now)
{
	struct pollfd fds[PORT_MAX * 2 + 1];
	bool blind;
	nfds_t n = sources(w, t, fds, sizeof(fds) / sizeof(fds[0]), &blind);
	uint64_t next = bfd_engine_next_ns(w->engine, now), limit = blind ? SLEEP_BLIND_NS : SLEEP_MAX_NS;
	uint64_t left = next > now ? next - now : 0, wait = left < limit ? left : limit, drop;
	struct timespec ts = {.tv_sec = (time_t)(wait / NS_PER_S), .tv_nsec = (long)(wait % NS_PER_S)};
	int ready;

	if (wait < SPIN_NS)
		return 0;
	rest(w);
	ready = ppoll(fds, n, &ts, NULL);
	awake(w);
	if (ready <= 0)
		return now + wait;
	if (fds[0].revents & POLLIN && read(w->wake_fd, &drop, sizeof(drop)) < 0)
		return now + wait;
	for (nfds_t i = 1; i < n; i++) {
		int error;
		socklen_t len = sizeof(error);

		/* Left over from when the interface was down: until it is fetched, we would never sleep
		 * again. */
		if (fds[i].revents & POLLERR && getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &error, &len))
			continue;
	}
	return now + wait;
}

/* An adaptive worker that cannot keep up never sleeps, and the kernel would stop a real-time thread that uses
 * more than 95 % of its core for 50 ms in each second. A nap now and then keeps below that. */
static uint64_t nap(uint64_t now, uint64_t ns)
{
	struct timespec ts = {.tv_nsec = (long)(ns < NS_PER_S ? ns : NS_PER_S - 1)};

	/* Not offline: packets may be in hand, and the ports they are for must stay. */
	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	return now + ns;
}

/* Where the kernel shares the machine out by session first (autogroups), a nice value counts only within one:
 * a busy worker would get no more than any other session's compiler. */
static void raise_session(void)
{
	int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "-20", 3) < 0)
		log_msg(LOG_CLASS_DEBUG, "autogroup: %s", strerror(errno));
	close(fd);
}

static void prepare_thread(struct worker *w)
{
	char name[16];

	snprintf(name, sizeof(name), "bfd-worker-%u", w->number);
	pthread_setname_np(pthread_self(), name);
	if (w->group->adaptive) {
		struct sched_param sp = {.sched_priority = 50};

		prctl(PR_SET_TIMERSLACK, 1);
		if (sched_setscheduler(0, SCHED_FIFO, &sp))
			log_msg(LOG_CLASS_WARNING,
				"worker %u has no real-time priority (%s): sessions may suffer when the "
				"machine is busy",
				w->number, strerror(errno));
	} else {
		setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), -20);
		raise_session();
	}
}

static int worker_main(void *arg)
{
	struct worker *w = arg;
	bool adaptive = w->group->adaptive;
	const struct worker_tables *last = NULL;
	uint64_t expected, now, last_sweep = 0, slept;

	prepare_thread(w);
	urcu_qsbr_register_thread();
	expected = slept = now = clock_now_ns();
	while (!w->stop) {
		const struct worker_tables *t = rcu_dereference(w->group->tables);
		uint64_t start = now, back = 0;
		bool all_sent;
		unsigned work;

		if (t != last)
			drop_all_in_hand(w);
		last = t;
		work = take_in(w, t, RECEIVE_ROUND_NS, start);
		now = clock_now_ns();
		if (unlikely(now > expected + STALL_NS))
			now = recover_from_stall(w, t, expected, now);
		expected = now;
		work += apply_commands(w, now);
		if (adaptive || now - last_sweep >= SWEEP_NS) {
			work += bfd_engine_sweep(w->engine, now);
			last_sweep = now;
		}
		w->sent = 0;
		all_sent = send_due(w, t, now);
		if (bfd_engine_notify(w->engine))
			notify(t);
		bump(&w->stats->loops, 1);
		now = clock_now_ns(); /* when this round ends the next one begins */
		if (work || w->sent)
			bump(&w->stats->busy_ns, now - start);
		if (unlikely(t->changing)) /* the manager must get on with it, and may need our core */
			back = nap(now, CHANGING_NAP_NS);
		/* One that has nothing to do by order sleeps too: until then somebody else has its queues. */
		else if ((adaptive || w->number >= t->active) && work == 0 && all_sent)
			back = sleep_until_due(w, t, now);
		else if (adaptive && now - slept > AWAKE_MAX_NS)
			back = nap(now, (now - slept) * NAP_PERCENT / 100);
		if (back) {
			expected = back;
			now = slept = clock_now_ns();
		}
		urcu_qsbr_quiescent_state();
	}
	drop_all_in_hand(w);
	urcu_qsbr_unregister_thread();
	return 0;
}

/* The manager's side */

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
		.coming = fetch_path,
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
	w->commands = make_ring("commands", number, COMMAND_RING, RING_F_SP_ENQ | RING_F_SC_DEQ);
	w->done = make_ring("done", number, COMMAND_RING, RING_F_SC_DEQ);
	w->moves = make_ring("moves", number, COMMAND_RING * 16, RING_F_SC_DEQ);
	w->inbox = make_ring("inbox", number, INBOX_RING, RING_F_SC_DEQ);
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
	int rc = rte_eal_remote_launch(worker_main, w, lcore);

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
		wake_surely(g->worker[i]);
	/* Twice: what a worker could not send it keeps in hand into the next round, and lets go of in the
	 * first one that sees the new tables. */
	urcu_qsbr_synchronize_rcu();
	urcu_qsbr_synchronize_rcu();
	free(old);
}

int worker_command(struct worker_group *g, unsigned i, struct command *c)
{
	struct worker *w = g->worker[i];

	if (w->outstanding >= COMMAND_RING - 1 || rte_ring_sp_enqueue(w->commands, c))
		return -EAGAIN;
	w->outstanding++;
	wake_surely(w);
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
	struct rte_mbuf *m = copy_frame(w->handoff, frame, len);

	if (!p->open || !m) {
		rte_pktmbuf_free(m);
		return -EAGAIN;
	}
	return hand_over(w, m, port, HANDOFF_SEND) ? 0 : -EAGAIN;
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
			rx->ifindex = interface_of(&g->tables->port[*port], frame);
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
