/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FRR's protocol between bfdd and a data plane, version 1: big-endian, a header
 * of 8 bytes, fixed bodies. Pure encoding and decoding.
 */
#pragma once
#include "shared/addr.h"
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BFDDP_VERSION 1
#define BFDDP_HEADER 8
#define BFDDP_PORT 50700
#define BFDDP_MAX_MESSAGE 4096 /* more than any body known; a longer one is a broken stream */
#define BFDDP_ECHO 24
#define BFDDP_SESSION 140
#define BFDDP_STATE 36
#define BFDDP_COUNTERS 80

enum bfddp_type {
	BFDDP_ECHO_REQUEST = 0,
	BFDDP_ECHO_REPLY = 1,
	BFDDP_ADD_SESSION = 2,
	BFDDP_DELETE_SESSION = 3,
	BFDDP_STATE_CHANGE = 4,
	BFDDP_REQUEST_COUNTERS = 5,
	BFDDP_SESSION_COUNTERS = 6,
};

enum bfddp_session_flag {
	BFDDP_MULTIHOP = 0x01,
	BFDDP_DEMAND = 0x02,
	BFDDP_CBIT = 0x04,
	BFDDP_ECHO_MODE = 0x08,
	BFDDP_IPV6 = 0x10,
	BFDDP_PASSIVE = 0x20,
	BFDDP_SHUTDOWN = 0x40,
};

struct bfddp_header {
	uint8_t version;
	uint16_t type, id, length;
};

struct bfddp_session {
	uint32_t flags;
	struct ipaddr src, dst; /* src zero: unknown */
	uint32_t lid;
	uint32_t min_tx_us, min_rx_us, min_echo_tx_us, min_echo_rx_us;
	uint8_t ttl, detect_mult;
	uint32_t ifindex;
	char ifname[IF_NAMESIZE];
};

struct bfddp_state {
	uint32_t lid, rid;
	uint32_t remote_flags; /* 1: control plane independent, 2: demand */
	uint32_t min_tx_us, min_rx_us, min_echo_rx_us;
	uint8_t state, diag, detect_mult;
};

struct bfddp_counters {
	uint64_t rx_bytes, rx_packets, tx_bytes, tx_packets;
	uint64_t echo_rx_bytes, echo_rx_packets, echo_tx_bytes, echo_tx_packets;
};

/* The message at the head of buf: its length, 0 if there is not enough of it yet, -EPROTO if it can't be one.
 */
int bfddp_frame(const uint8_t *buf, size_t len, struct bfddp_header *h);
/* body: after the header. 0 or -EPROTO. */
int bfddp_parse_session(const uint8_t *body, size_t len, struct bfddp_session *s);
int bfddp_parse_lid(const uint8_t *body, size_t len, uint32_t *lid);
/* Whole messages; they return their length. */
size_t bfddp_build_echo(
	uint8_t *out, enum bfddp_type type, uint16_t id, uint64_t dp_time_us, uint64_t bfdd_time_us);
size_t bfddp_build_state(uint8_t *out, const struct bfddp_state *s);
size_t bfddp_build_counters(uint8_t *out, uint16_t id, uint32_t lid, const struct bfddp_counters *c);
/* "unix:PATH", "ipv4:ADDR[:PORT]", "ipv6:[ADDR][:PORT]" as bfdd's --dplaneaddr. 0 or -EINVAL. */
int bfddp_parse_address(const char *text, struct sockaddr_storage *ss, socklen_t *len);
