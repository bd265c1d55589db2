/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A DPDK port as peregrine-dp has it. On a Linux interface the kernel keeps
 * answering ARP and neighbour discovery for our addresses (one that it has, or
 * a whole prefix that was made local), and tells the device's MAC address. On a
 * port that is ours alone both is done here, in the loop, for whatever address
 * a session has. Such a port may have one VLAN, and all is in it then.
 */
#include "bfd/frame.h"
#include "dataplane/dpdk.h"
#include "dataplane/eal.h"
#include "dataplane/neigh.h"
#include "dataplane/neigh_packet.h"
#include "dataplane/port.h"
#include "tools/bfdgen/wire.h"
#include <errno.h>
#include <poll.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESOLVE_NS (10 * NS_PER_S)
#define ASK_NS (200 * NS_PER_MS)
#define FILTER_ROOM 4096u /* what the XDP filter's map of local addresses holds */

/* What IPv4 needs is in the first 64 bytes. */
struct path_line {
	_Alignas(64) struct bfd_frame frame; /* headers_len 0: not set */
};

struct wire_port {
	struct wire w; /* first */
	const struct gen_options *o;
	struct options dp; /* what peregrine-dp would have been given */
	struct eal eal;
	struct port port;
	struct path_line *path;
	uint32_t paths, peers;
	uint8_t (*peer_mac)[6];
	bool *peer_known;
	struct neigh_table *neigh;
	struct ipaddr via; /* the router to the peers, zero: they are on the link */
	uint16_t vid;      /* the VLAN that all is in; 0: untagged */
	unsigned queue;
	struct rte_mbuf *rx[WIRE_BURST], *tx[WIRE_BURST];
	unsigned nrx, ntx;
};

static struct wire_port *port_of(struct wire *w)
{
	return (struct wire_port *)w;
}

static bool is_bfd(const struct bfd_rx *rx)
{
	return rx->dport == BFD_PORT_CONTROL || rx->dport == BFD_PORT_MULTIHOP;
}

static void send_now(struct wire_port *p, const uint8_t *frame, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->port.q[0].pool);

	if (!m)
		return;
	memcpy(rte_pktmbuf_append(m, len), frame, len);
	if (rte_eth_tx_burst(p->port.q[0].ethdev, p->port.q[0].queue, &m, 1) == 0)
		rte_pktmbuf_free(m);
}

static uint16_t vlan_of(const uint8_t *frame)
{
	return frame[12] == 0x81 && frame[13] == 0 ? (uint16_t)((frame[14] << 8 | frame[15]) & 0xfff) : 0;
}

/* ARP and neighbour discovery on a port that no kernel stands behind. */
static void neighbour(struct wire_port *p, uint8_t *frame, uint16_t len)
{
	struct neigh_packet n;
	uint8_t answer[132];
	uint32_t peer;

	p->w.foreign++;
	if (p->port.kernel || neigh_packet_untag(frame, &len) != p->vid ||
		neigh_packet_parse(frame, len, &n) || !n.has_mac)
		return;
	peer = gen_number(&p->o->peer, &n.sender, p->peers);
	if (peer < p->peers && !(n.sender_mac[0] & 1) && !p->peer_known[peer]) {
		memcpy(p->peer_mac[peer], n.sender_mac, 6);
		p->peer_known[peer] = true;
	}
	if (!n.request || gen_number(&p->o->local, &n.target, p->o->locals) >= p->o->locals)
		return;
	len = neigh_packet_reply(answer, p->port.mac, &n.target, n.sender_mac, &n.sender);
	send_now(p, answer, neigh_packet_tag(answer, len, p->vid));
}

static unsigned receive(struct wire *w, struct wire_packet *out, bool *more)
{
	struct wire_port *p = port_of(w);
	const struct port_queue *q = &p->port.q[p->queue];
	unsigned n = 0;
	uint64_t now;

	if (p->nrx)
		rte_pktmbuf_free_bulk(p->rx, p->nrx);
	p->queue = p->queue + 1 < p->port.nqueues ? p->queue + 1 : 0;
	p->nrx = rte_eth_rx_burst(q->ethdev, q->queue, p->rx, WIRE_BURST);
	*more = p->nrx == WIRE_BURST || p->queue != 0;
	if (!p->nrx)
		return 0;
	now = clock_now_ns();
	for (unsigned i = 0; i < p->nrx; i++) {
		uint8_t *f = rte_pktmbuf_mtod(p->rx[i], uint8_t *);
		struct wire_packet *k = &out[n];

		if (i + 4 < p->nrx)
			rte_prefetch0(rte_pktmbuf_mtod(p->rx[i + 4], void *));
		k->rx = (struct bfd_rx){0};
		if (bfd_frame_parse(f, rte_pktmbuf_data_len(p->rx[i]), p->port.partial_csum, &k->rx) ||
			!is_bfd(&k->rx) || vlan_of(f) != p->vid) {
			neighbour(p, f, rte_pktmbuf_data_len(p->rx[i]));
			continue;
		}
		k->rx.ifindex = w->ifindex;
		k->at_ns = now;
		n++;
	}
	return n;
}

static uint32_t flush(struct wire *w)
{
	struct wire_port *p = port_of(w);
	uint32_t refused = 0;
	unsigned sent;

	if (!p->ntx)
		return 0;
	sent = rte_eth_tx_burst(p->port.q[0].ethdev, p->port.q[0].queue, p->tx, (uint16_t)p->ntx);
	if (sent < p->ntx) {
		w->refused += p->ntx - sent;
		rte_pktmbuf_free_bulk(p->tx + sent, p->ntx - sent);
		refused = UINT32_MAX << sent;
	}
	p->ntx = 0;
	return refused;
}

static void prefetch(struct wire *w, uint32_t number)
{
	rte_prefetch0(&port_of(w)->path[number]);
}

static bool queue(struct wire *w, uint32_t number, const uint8_t *payload, uint16_t len)
{
	struct wire_port *p = port_of(w);
	const struct bfd_frame *f = &p->path[number].frame;
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->port.q[0].pool);

	if (!m || !f->headers_len || f->headers_len + len > rte_pktmbuf_tailroom(m) ||
		f->headers_len + len > p->port.q[0].room) {
		rte_pktmbuf_free(m);
		w->refused++;
		return false;
	}
	if (p->ntx == WIRE_BURST)
		flush(w);
	m->data_len = bfd_frame_write(f, payload, len, rte_pktmbuf_mtod(m, uint8_t *));
	m->pkt_len = m->data_len;
	p->tx[p->ntx++] = m;
	return true;
}

static int set_path(struct wire *w, uint32_t number, const struct wire_path *path)
{
	struct wire_port *p = port_of(w);
	uint32_t peer = gen_number(&p->o->peer, &path->dst, p->peers);
	struct bfd_frame_addr a = {
		.src = path->src,
		.dst = path->dst,
		.sport = path->sport,
		.dport = path->dport,
		.ttl = path->ttl,
		.vlan = p->vid,
	};

	if (number >= p->paths || peer == p->peers || !p->peer_known[peer])
		return -EINVAL;
	memcpy(a.src_mac, p->port.mac, 6);
	memcpy(a.dst_mac, p->peer_mac[peer], 6);
	bfd_frame_init(&p->path[number].frame, &a);
	return 0;
}

static void close_port(struct wire *w)
{
	struct wire_port *p = port_of(w);

	if (p->nrx)
		rte_pktmbuf_free_bulk(p->rx, p->nrx);
	if (p->eal.started) {
		port_close(&p->port);
		eal_stop();
	}
	if (p->neigh)
		neigh_destroy(p->neigh);
	free(p->path);
	free(p->peer_mac);
	free(p->peer_known);
	free(p);
}

/* Before the loop runs: who the device is */

static uint32_t unknown_peer(const struct wire_port *p)
{
	for (uint32_t i = 0; i < p->peers; i++)
		if (!p->peer_known[i])
			return i;
	return p->peers;
}

static void resolved(void *arg, struct neigh_watch *w)
{
	struct wire_port *p = arg;
	uint32_t peer = gen_number(&p->o->peer, &w->ip, p->peers);

	for (uint32_t i = 0; w->known && i < p->peers; i++) {
		if (i != peer && !ipaddr_equal(&w->ip, &p->via))
			continue;
		memcpy(p->peer_mac[i], w->mac, 6);
		p->peer_known[i] = true;
	}
}

static void ignore_link(void *arg, const struct neigh_link *l, bool gone)
{
}

static void ignore_address(void *arg, uint32_t ifindex)
{
}

static void ignore_solicit(void *arg, const struct neigh_watch *w)
{
}

/* The next hop's MAC address: of the peers themselves, on the link; of the router to them, with --multihop.
 */
static int ask_kernel(struct wire_port *p, char err[GEN_ERR])
{
	const struct neigh_events ev = {p, ignore_link, ignore_address, resolved, ignore_solicit};
	uint64_t end = clock_now_ns() + RESOLVE_NS;
	struct neigh_route route;
	int rc = neigh_create(&p->neigh, &ev);

	if (rc)
		return snprintf(err, GEN_ERR, "the kernel does not tell its neighbours: %s", strerror(-rc)),
		       rc;
	if (p->o->multihop && neigh_route(p->neigh, &p->o->peer, &p->o->local, &route) == 0 &&
		!ipaddr_equal(&route.next_hop, &p->o->peer))
		p->via = route.next_hop;
	for (uint32_t i = 0; i < (ipaddr_is_zero(&p->via) ? p->peers : 1); i++) {
		struct ipaddr a = ipaddr_is_zero(&p->via) ? gen_address(&p->o->peer, i) : p->via;
		struct neigh_watch *w = neigh_watch(p->neigh, p->port.ifindex, &a);

		if (!w)
			return snprintf(err, GEN_ERR, "out of memory"), -ENOMEM;
		resolved(p, w);
	}
	while (unknown_peer(p) < p->peers && clock_now_ns() < end) {
		struct pollfd fd = {.fd = neigh_fd(p->neigh), .events = POLLIN};

		if (poll(&fd, 1, 50) > 0)
			neigh_dispatch(p->neigh);
		neigh_tick(p->neigh, clock_now_ns());
	}
	return 0;
}

static bool link_is_up(const struct wire_port *p)
{
	struct rte_eth_link link;

	return rte_eth_link_get_nowait(p->port.dev[0], &link) == 0 && link.link_status;
}

static int ask_wire(struct wire_port *p, char err[GEN_ERR])
{
	uint64_t end = clock_now_ns() + RESOLVE_NS, next = 0;
	struct wire_packet drop[WIRE_BURST];
	uint8_t frame[132];
	uint16_t len;
	bool more;

	while (!link_is_up(p)) {
		if (clock_now_ns() > end)
			return snprintf(err, GEN_ERR, "nobody is at the other end of %s", p->o->port),
			       -ENOLINK;
		usleep(10000);
	}
	end = clock_now_ns() + RESOLVE_NS;
	for (uint32_t i; (i = unknown_peer(p)) < p->peers && clock_now_ns() < end;) {
		if (clock_now_ns() >= next) {
			struct ipaddr to = gen_address(&p->o->peer, i);

			len = neigh_packet_request(frame, p->port.mac, &p->o->local, &to);
			send_now(p, frame, neigh_packet_tag(frame, len, p->vid));
			next = clock_now_ns() + (p->peers > 1 ? ASK_NS / 100 : ASK_NS);
		}
		receive(&p->w, drop, &more);
	}
	return 0;
}

static int find_peers(struct wire_port *p, char err[GEN_ERR])
{
	const uint8_t *mac = p->o->has_peer_mac          ? p->o->peer_mac
			     : p->port.spec.has_peer_mac ? p->port.spec.peer_mac
							 : NULL;
	char text[IPADDR_STRLEN];
	uint32_t i;
	int rc;

	for (i = 0; mac && i < p->peers; i++) {
		memcpy(p->peer_mac[i], mac, 6);
		p->peer_known[i] = true;
	}
	rc = p->port.kernel ? mac ? 0 : ask_kernel(p, err) : ask_wire(p, err);
	i = rc ? p->peers : unknown_peer(p);
	if (i < p->peers) {
		struct ipaddr a = gen_address(&p->o->peer, i);

		snprintf(err, GEN_ERR, "no MAC address of %s was found within 10 s (give --peer-mac)",
			ipaddr_format(&a, text));
		return -EHOSTUNREACH;
	}
	return rc;
}

static int fill_filter(struct wire_port *p, char err[GEN_ERR])
{
	if (p->port.spec.type != PORT_AF_XDP)
		return 0;
	if (p->o->locals > FILTER_ROOM)
		return snprintf(err, GEN_ERR,
			       "an af_xdp port takes packets for at most %u addresses of ours: --locals %u, "
			       "and "
			       "several peers",
			       FILTER_ROOM, FILTER_ROOM),
		       -E2BIG;
	for (uint32_t i = 0; i < p->o->locals; i++) {
		struct ipaddr a = gen_address(&p->o->local, i);
		int rc = xdp_filter_local(&p->port.xdp, &a, FILTER_LOCAL);

		if (rc)
			return snprintf(err, GEN_ERR, "the XDP filter takes no address: %s", strerror(-rc)),
			       rc;
	}
	return 0;
}

static int start(struct wire_port *p, char err[GEN_ERR])
{
	struct port_open how = {.workers = 1};
	const struct gen_options *o = p->o;
	int rc = port_spec_parse(o->port, &p->dp.port[0], err);

	if (rc)
		return rc;
	if (p->dp.port[0].nvlans > 1)
		return snprintf(err, GEN_ERR, "port %.60s: all is in one VLAN here, not in several", o->port),
		       -EINVAL;
	p->vid = p->dp.port[0].nvlans ? p->dp.port[0].vlan[0] : 0;
	p->dp.nports = 1;
	p->dp.poll = POLL_BUSY;
	p->dp.eal = o->eal;
	p->dp.neal = o->neal;
	if (o->core >= 0) {
		p->dp.core[0] = (unsigned)o->core;
		p->dp.ncores = 1;
	}
	rc = eal_start(&p->dp, &p->eal, err);
	if (rc)
		return rc;
	port_init(&p->port, &p->dp.port[0], 0);
	how.hugepages = p->eal.hugepages;
	rc = port_open(&p->port, &how);
	if (rc)
		return snprintf(err, GEN_ERR, "port %.60s: %.200s", o->port, p->port.why), rc;
	p->w.ifindex = p->port.ifindex;
	rc = fill_filter(p, err);
	return rc ? rc : find_peers(p, err);
}

int wire_port_open(const struct gen_options *o, uint32_t paths, struct wire **out, char err[GEN_ERR])
{
	struct wire_port *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	p->o = o;
	p->paths = paths;
	p->peers = gen_peers(o);
	p->path = aligned_alloc(64, (paths ? paths : 1) * sizeof(*p->path));
	if (p->path)
		memset(p->path, 0, paths * sizeof(*p->path));
	p->peer_mac = calloc(p->peers, sizeof(*p->peer_mac));
	p->peer_known = calloc(p->peers, sizeof(*p->peer_known));
	p->w = (struct wire){.receive = receive,
		.set_path = set_path,
		.prefetch = prefetch,
		.queue = queue,
		.flush = flush,
		.close = close_port};
	snprintf(err, GEN_ERR, "out of memory");
	rc = p->path && p->peer_mac && p->peer_known ? start(p, err) : -ENOMEM;
	if (rc)
		close_port(&p->w);
	else
		*out = &p->w;
	return rc;
}

/* An EAL thread: buffers are then taken from a cache of its own. */
int wire_port_launch(struct wire *w, int (*loop)(void *), void *arg)
{
	return rte_eal_remote_launch(loop, arg, port_of(w)->eal.lcore[0]);
}

void wire_port_join(struct wire *w)
{
	rte_eal_wait_lcore(port_of(w)->eal.lcore[0]);
}
