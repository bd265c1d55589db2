/* SPDX-License-Identifier: BSD-2-Clause */
/* Receiving: a frame's way to the session it is for, here, at another worker, or at the manager. */
#include "bfd/bucket.h"
#include "bfd/packet.h"
#include "dataplane/worker_core.h"
#include <rte_ethdev.h>
#include <rte_prefetch.h>
#include <rte_ring.h>
#include <string.h>

#define AHEAD 4

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

uint32_t worker_interface_of(const struct worker_port *p, const uint8_t *frame)
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

struct rte_mbuf *worker_copy_frame(struct rte_mempool *pool, const uint8_t *frame, uint32_t len)
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
	struct rte_mbuf *m = worker_copy_frame(w->handoff, frame, len);

	if (m && worker_hand_over(w->group->worker[to], m, port, HANDOFF_RX + refused))
		bump(&w->stats->rx_forwarded, 1);
}

/* The remote's echo packet goes back out of the port it came in by. */
static void reflect(
	struct worker *w, const struct worker_tables *t, unsigned port, const uint8_t *frame, uint32_t len)
{
	unsigned other = 0;
	const struct port_queue *q = worker_own_queue(w, &t->port[port], &other);
	struct rte_mbuf *m = worker_copy_frame(q ? q->pool : w->handoff, frame, len);

	if (!m)
		return;
	if (!bfd_frame_reflect(rte_pktmbuf_mtod(m, uint8_t *)))
		rte_pktmbuf_free(m);
	else if (q)
		worker_queue_out(w, t, port, m);
	else
		worker_hand_over(w->group->worker[other], m, port, HANDOFF_SEND);
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
	if (worker_own_queue(w, &t->port[port], &other))
		worker_queue_out(w, t, port, m);
	else
		worker_hand_over(w->group->worker[other], m, port, HANDOFF_SEND);
}

static void report_stranger(struct worker *w, unsigned port, const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *m = worker_copy_frame(w->handoff, frame, len);

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

		if (rc != -EBADMSG && p->exceptions && (m = worker_copy_frame(w->handoff, frame, len))) {
			m->port = (uint16_t)port;
			if (rte_ring_enqueue(p->exceptions, m))
				rte_pktmbuf_free(m);
		} else {
			bump(&w->stats->rx_invalid, 1);
		}
		return;
	}
	rx.ifindex = worker_interface_of(p, frame);
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
unsigned worker_receive_ports(
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
	if (drained + WORKER_BEHIND_MAX_NS < start)
		drained = start - WORKER_BEHIND_MAX_NS;
	if (drained > w->drained_ns)
		w->drained_ns = drained;
	return total;
}

/* Up to when the others have handed over what was ours. Before our inbox is emptied. */
uint64_t worker_others_taken(const struct worker *w)
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

unsigned worker_receive_inbox(struct worker *w, const struct worker_tables *t)
{
	struct rte_mbuf *m[WORKER_BURST];
	unsigned n, total = 0;

	do {
		n = rte_ring_dequeue_burst(w->inbox, (void **)m, WORKER_BURST, NULL);
		for (unsigned k = 0; k < n; k++) {
			unsigned port = m[k]->port;

			if (port < t->nports && m[k]->hash.usr == HANDOFF_SEND) {
				unsigned other = w->number;

				if (worker_own_queue(w, &t->port[port], &other) || other == w->number)
					worker_queue_out(
						w, t, port, m[k]); /* freed there if the port has gone */
				else
					worker_hand_over(w->group->worker[other], m[k], port, HANDOFF_SEND);
				continue;
			}
			if (port < t->nports)
				receive(w, t, port, rte_pktmbuf_mtod(m[k], uint8_t *),
					rte_pktmbuf_data_len(m[k]), m[k]->hash.usr - HANDOFF_RX,
					clock_now_ns());
			rte_pktmbuf_free(m[k]);
		}
		total += n;
	} while (n == WORKER_BURST && total < WORKER_INBOX_RING);
	return total;
}
