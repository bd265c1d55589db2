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

static bool is_ours(const struct port *p, uint16_t vid, const struct ipaddr *a)
{
	for (unsigned i = 0; i < p->spec.nip; i++)
		if (p->spec.ip_vid[i] == vid && ipaddr_equal(&p->spec.ip_addr[i], a))
			return true;
	return false;
}

static bool has_vlan(const struct port *p, uint16_t vid)
{
	uint16_t found;

	return port_vlan_of(p, port_vlan_ifindex(p, vid), &found);
}

static void handle(struct dp *dp, struct port *p, uint8_t *frame, uint16_t len)
{
	uint16_t vid = neigh_packet_untag(frame, &len);
	struct neigh_packet n;
	uint8_t answer[132];

	if (!has_vlan(p, vid) || neigh_packet_parse(frame, len, &n))
		return;
	if (n.has_mac && !(n.sender_mac[0] & 1) && !is_ours(p, vid, &n.sender))
		neigh_learn(dp->neigh, port_vlan_ifindex(p, vid), &n.sender, n.sender_mac);
	/* A request without a sender's address is somebody's duplicate check: not one of ours to answer in
	 * unicast. */
	if (!n.request || !is_ours(p, vid, &n.target) || !n.has_mac || ipaddr_is_zero(&n.sender))
		return;
	len = neigh_packet_reply(answer, p->mac, &n.target, n.sender_mac, &n.sender);
	worker_send(&dp->workers, p->index, answer, neigh_packet_tag(answer, len, vid));
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
	const struct port *p;
	uint8_t frame[132];
	uint16_t vid, len;

	p = dp_port_by_ifindex(dp, w->ifindex, &vid);
	if (!p || p->kernel || p->state != PORT_OPEN)
		return;
	for (unsigned k = 0; k < p->spec.nip; k++) {
		if (p->spec.ip_vid[k] != vid || ipaddr_is_v4(&p->spec.ip_addr[k]) != ipaddr_is_v4(&w->ip))
			continue;
		if (!own || prefix_contains_addr(&p->spec.ip[k], &w->ip))
			own = &p->spec.ip_addr[k];
	}
	if (!own)
		return;
	len = neigh_packet_request(frame, p->mac, own, &w->ip);
	worker_send(&dp->workers, p->index, frame, neigh_packet_tag(frame, len, vid));
}
