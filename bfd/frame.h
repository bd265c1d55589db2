/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whole frames for senders that own the wire: Ethernet [802.1Q] IPv4|IPv6 UDP,
 * prebuilt once a session, the BFD payload copied in and the UDP checksum
 * finished per packet. Pure functions.
 */
#pragma once
#include "bfd/engine.h"
#include "bfd/session.h"

#define BFD_FRAME_MAX_HEADERS (14 + 4 + 40 + 8)

struct bfd_frame_addr {
	uint8_t src_mac[6], dst_mac[6];
	uint16_t vlan; /* 0: untagged; else 802.1Q id */
	struct ipaddr src, dst;
	uint16_t sport, dport; /* host order; source 49152-65535, RFC 5881 section 4 */
	uint8_t ttl;
};

/* In an order that lets IPv4, tagged or not, do with 56 bytes. */
struct bfd_frame {
	uint32_t udp_sum_base; /* partial sums, so that only the payload is added per packet */
	uint16_t ip_sum_base;
	uint8_t headers_len; /* bytes before the BFD payload */
	uint8_t l2_len;
	bool v6;
	uint8_t headers[BFD_FRAME_MAX_HEADERS];
};

void bfd_frame_init(struct bfd_frame *f, const struct bfd_frame_addr *a);
/* Writes the frame to out (room for headers_len + len); returns its length. IPv4 UDP checksum is computed
 * too. */
uint16_t bfd_frame_write(const struct bfd_frame *f, const uint8_t *payload, uint16_t len, uint8_t *out);

/* The other way: finds the UDP payload of a frame (IPv4 without fragments, IPv6 without extension headers,
 * one optional 802.1Q tag) and fills rx->payload, len, dport, ttl, src, dst; ifindex is left alone. Checks
 * lengths and IPv4 header checksum, verifies the UDP checksum unless partial_csum (the veth case). 0 or
 * -EINVAL / -EBADMSG (checksum). */
int bfd_frame_parse(const uint8_t *frame, uint32_t len, bool partial_csum, struct bfd_rx *rx);

/* Turns a frame that bfd_frame_parse() took around as a router would: MACs swapped, TTL one less, IPv4
 * checksum kept right. False, and nothing changed, if the TTL does not allow it. */
bool bfd_frame_reflect(uint8_t *frame);
