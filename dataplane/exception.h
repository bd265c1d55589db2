/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a standalone port needs a little network stack for: answering ARP and
 * neighbour solicitations for its own addresses, asking for others. Manager
 * thread only.
 */
#pragma once
#include "dataplane/dp.h"

void exception_poll(struct dp *dp);
/* Asks for the MAC of a watch on a standalone port. */
void exception_solicit(struct dp *dp, const struct neigh_watch *w);

/* The codec, pure, for tests. What a frame says about neighbours. */
struct neigh_packet {
	bool v6, request; /* request: ARP request or neighbour solicitation; else reply or advertisement */
	struct ipaddr sender, target;
	uint8_t sender_mac[6];
	bool has_mac; /* sender_mac is known */
};
int neigh_packet_parse(const uint8_t *frame, uint16_t len, struct neigh_packet *out); /* 0 or -EINVAL */
/* A request for target, or the reply to whoever asked (dst_mac, dst). Returns the frame's length; room for
 * 128 bytes. */
uint16_t neigh_packet_request(
	uint8_t *frame, const uint8_t mac[6], const struct ipaddr *own, const struct ipaddr *target);
uint16_t neigh_packet_reply(uint8_t *frame, const uint8_t mac[6], const struct ipaddr *own,
	const uint8_t dst_mac[6], const struct ipaddr *dst);
