/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The neighbours of standalone ports. Frames come from the workers through a ring and leave through a
 * worker's inbox; latencies of milliseconds are fine here.
 *
 * A reply is believed only for an address that is being watched, and whoever
 * asks for one of our addresses is answered and, if watched, learnt from.
 */
#include "dataplane/exception.h"
#include "dataplane/neigh_packet.h"
#include <string.h>

#define FRAMES_A_ROUND 256

static const struct ipaddr *own_address(const struct port *p, const struct ipaddr *a)
{
	for (unsigned i = 0; i < p->spec.nip; i++)
		if (ipaddr_equal(&p->spec.ip_addr[i], a))
			return &p->spec.ip_addr[i];
	return NULL;
}

static void handle(struct dp *dp, struct port *p, const uint8_t *frame, uint16_t len)
{
	struct neigh_packet n;
	uint8_t answer[128];

	if (neigh_packet_parse(frame, len, &n))
		return;
	if (n.has_mac && !(n.sender_mac[0] & 1) && !own_address(p, &n.sender))
		neigh_learn(dp->neigh, p->ifindex, &n.sender, n.sender_mac);
	/* A request without a sender's address is somebody's duplicate check: not one of ours to answer in
	 * unicast. */
	if (!n.request || !own_address(p, &n.target) || !n.has_mac || ipaddr_is_zero(&n.sender))
		return;
	worker_send(&dp->workers, p->index, answer,
		neigh_packet_reply(answer, p->mac, &n.target, n.sender_mac, &n.sender));
}

void exception_poll(struct dp *dp)
{
	uint8_t frame[512];
	unsigned port;
	uint16_t len;

	for (unsigned i = 0;
		i < FRAMES_A_ROUND && (len = worker_exception(&dp->workers, &port, frame, sizeof(frame)));
		i++)
		if (port < dp->nports)
			handle(dp, &dp->port[port], frame, len);
}

void exception_solicit(struct dp *dp, const struct neigh_watch *w)
{
	const struct ipaddr *own = NULL;
	uint8_t frame[128];

	for (unsigned i = 0; i < dp->nports; i++) {
		const struct port *p = &dp->port[i];

		if (p->kernel || p->ifindex != w->ifindex)
			continue;
		for (unsigned k = 0; k < p->spec.nip; k++) {
			if (ipaddr_is_v4(&p->spec.ip_addr[k]) != ipaddr_is_v4(&w->ip))
				continue;
			if (!own || prefix_contains_addr(&p->spec.ip[k], &w->ip))
				own = &p->spec.ip_addr[k];
		}
		if (own && p->state == PORT_OPEN)
			worker_send(&dp->workers, i, frame, neigh_packet_request(frame, p->mac, own, &w->ip));
		return;
	}
}
