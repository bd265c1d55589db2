/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BGP-4 on the wire: numbers of RFC 4271 and its extensions, and access to
 * unaligned big-endian fields. Values and inline functions only; any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BGP_PORT 179
#define BGP_VERSION 4
#define BGP_HEADER_LEN 19
#define BGP_MAX_MESSAGE 4096           /* RFC 4271 section 4.1 */
#define BGP_MAX_EXTENDED_MESSAGE 65535 /* RFC 8654 */
#define AS_TRANS 23456                 /* RFC 6793 */

enum bgp_message_type {
	BGP_MSG_OPEN = 1,
	BGP_MSG_UPDATE = 2,
	BGP_MSG_NOTIFICATION = 3,
	BGP_MSG_KEEPALIVE = 4,
	BGP_MSG_ROUTE_REFRESH = 5,
};

enum { BGP_AFI_IPV4 = 1, BGP_AFI_IPV6 = 2, BGP_AFI_L2VPN = 25 };
enum { BGP_SAFI_UNICAST = 1, BGP_SAFI_EVPN = 70, BGP_SAFI_VPN = 128, BGP_SAFI_FLOW = 133 };

enum bgp_attr_flag {
	BAF_OPTIONAL = 0x80,
	BAF_TRANSITIVE = 0x40,
	BAF_PARTIAL = 0x20,
	BAF_EXT_LEN = 0x10,
};

enum bgp_attr_code {
	BA_ORIGIN = 1,
	BA_AS_PATH = 2,
	BA_NEXT_HOP = 3,
	BA_MED = 4,
	BA_LOCAL_PREF = 5,
	BA_ATOMIC_AGGREGATE = 6,
	BA_AGGREGATOR = 7,
	BA_COMMUNITY = 8,
	BA_ORIGINATOR_ID = 9,
	BA_CLUSTER_LIST = 10,
	BA_MP_REACH_NLRI = 14,
	BA_MP_UNREACH_NLRI = 15,
	BA_EXT_COMMUNITY = 16,
	BA_AS4_PATH = 17,
	BA_AS4_AGGREGATOR = 18,
	BA_IPV6_EXT_COMMUNITY = 25,
	BA_AIGP = 26,
	BA_LARGE_COMMUNITY = 32,
	BA_OTC = 35,
};

enum { AS_SET = 1, AS_SEQUENCE = 2, AS_CONFED_SEQUENCE = 3, AS_CONFED_SET = 4 };

/* Well-known communities */
#define COMM_GRACEFUL_SHUTDOWN 0xffff0000u
#define COMM_LLGR_STALE 0xffff0006u
#define COMM_NO_LLGR 0xffff0007u
#define COMM_NO_EXPORT 0xffffff01u
#define COMM_NO_ADVERTISE 0xffffff02u
#define COMM_NO_EXPORT_SUBCONFED 0xffffff03u

/* NOTIFICATION codes; names come from notification.c */
enum {
	BGP_ERR_HEADER = 1,
	BGP_ERR_OPEN = 2,
	BGP_ERR_UPDATE = 3,
	BGP_ERR_HOLD = 4,
	BGP_ERR_FSM = 5,
	BGP_ERR_CEASE = 6,
	BGP_ERR_REFRESH = 7,
	BGP_ERR_SEND_HOLD = 8, /* RFC 9687 */
};
enum {
	CEASE_MAX_PREFIXES = 1,
	CEASE_SHUTDOWN = 2,
	CEASE_DECONFIGURED = 3,
	CEASE_RESET = 4,
	CEASE_REJECTED = 5,
	CEASE_CONFIG_CHANGE = 6,
	CEASE_COLLISION = 7,
	CEASE_RESOURCES = 8,
	CEASE_HARD_RESET = 9, /* RFC 8538 */
	CEASE_BFD_DOWN = 10,  /* RFC 9384 */
};

/* ROUTE-REFRESH subtypes, RFC 7313 */
enum { REFRESH_REQUEST = 0, REFRESH_BEGIN = 1, REFRESH_END = 2 };

static inline uint16_t get_u16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, 2);
	return __builtin_bswap16(v);
}

static inline uint32_t get_u24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static inline uint32_t get_u32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

static inline uint64_t get_u64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}

static inline void put_u16(void *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, 2);
}

static inline void put_u24(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 16);
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)v;
}

static inline void put_u32(void *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}

static inline void put_u64(void *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, 8);
}

/* Marker, length and type: returns where the body starts. */
static inline uint8_t *bgp_put_header(uint8_t *buf, uint16_t len, uint8_t type)
{
	memset(buf, 0xff, 16);
	put_u16(buf + 16, len);
	buf[18] = type;
	return buf + BGP_HEADER_LEN;
}
