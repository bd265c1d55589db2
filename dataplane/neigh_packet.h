/* SPDX-License-Identifier: BSD-2-Clause */
/* ARP (RFC 826) and neighbour discovery (RFC 4861), as little as a BFD speaker needs: frames in, frames out.
 * Pure. */
#pragma once
#include "shared/addr.h"

/* What a frame says about neighbours. */
struct neigh_packet {
	bool v6, request; /* request: ARP request or neighbour solicitation; else reply or advertisement */
	struct ipaddr sender, target;
	uint8_t sender_mac[6];
	bool has_mac; /* sender_mac is known */
};
int neigh_packet_parse(const uint8_t *frame, uint16_t len, struct neigh_packet *out); /* 0 or -EINVAL */
/* Takes a frame's 802.1Q tag out, if it has one: its VLAN, else 0. *len becomes shorter. */
uint16_t neigh_packet_untag(uint8_t *frame, uint16_t *len);
/* Puts one in, unless vid is 0; room for four bytes more. Returns the new length. */
uint16_t neigh_packet_tag(uint8_t *frame, uint16_t len, uint16_t vid);
/* A request for target, or the reply to whoever asked (dst_mac, dst). Returns the frame's length; room for
 * 128 bytes. */
uint16_t neigh_packet_request(
	uint8_t *frame, const uint8_t mac[6], const struct ipaddr *own, const struct ipaddr *target);
uint16_t neigh_packet_reply(uint8_t *frame, const uint8_t mac[6], const struct ipaddr *own,
	const uint8_t dst_mac[6], const struct ipaddr *dst);
