/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values of the configuration and filter language: what a constant holds, what
 * the filter machine computes with, what `eval` prints.
 * A value does not own what it points to: constants live as long as their
 * configuration, run-time values as long as the filter run's arena.
 */
#pragma once
#include "shared/addr.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers are BIRD's (nest/rt enum order is visible in `eval NET_IP4`). */
enum net_type {
	NET_NONE = 0,
	NET_IP4 = 1,
	NET_IP6 = 2,
	NET_VPN4 = 3,
	NET_VPN6 = 4,
	NET_ROA4 = 5,
	NET_ROA6 = 6,
	NET_FLOW4 = 7,
	NET_FLOW6 = 8,
	NET_IP6_SADR = 9,
	NET_MPLS = 10,
	NET_ETH = 11,
	NET_ASPA = 12,
	NET_EVPN = 13,
	NET_NEIGHBOR = 14,
	NET_MAX
};

/* What identifies a route of a family whose destinations are not prefixes, as bytes in the form of the wire:
 *   FLOW4, FLOW6  the components of RFC 8955 and 8956, without the length before them
 *   VPN4, VPN6    route distinguisher, length of the prefix, and as many of its bytes as that says
 *   EVPN          type, length, fields; those that do not identify a route (RFC 7432) are zero */
struct nlri {
	uint16_t len;
	uint8_t data[];
};

/* A destination of any table. Fields beyond type and prefix are used by the types that have them. Whoever
 * made it owns what nlri points to. */
struct net {
	uint8_t type;         /* enum net_type */
	uint8_t maxlen;       /* ROA */
	uint16_t vlan;        /* ETH */
	uint32_t asn;         /* ROA, ASPA; MPLS: the label; NEIGHBOR: the interface index */
	struct prefix prefix; /* IP, VPN, ROA, SADR and FLOW (destination); NEIGHBOR: the address */
	uint64_t rd;          /* VPN, EVPN */
	union {
		struct prefix src;       /* SADR */
		uint8_t mac[6];          /* ETH */
		const struct nlri *nlri; /* FLOW, EVPN; VPN: of those that come from a table */
	};
};

/* Families whose destinations tables keep as bytes. */
static inline bool net_type_has_nlri(enum net_type t)
{
	return t == NET_FLOW4 || t == NET_FLOW6 || t == NET_VPN4 || t == NET_VPN6 || t == NET_EVPN;
}

enum value_type {
	T_VOID = 0,
	T_BOOL,
	T_INT,
	T_PAIR, /* i: high 16 = first */
	T_QUAD,
	T_IP,
	T_NET,
	T_RD,
	T_EC, /* u64 */
	T_LC,
	T_STRING,
	T_BYTESTRING,
	T_MAC,
	T_PATH,
	T_PATH_MASK,
	T_CLIST,
	T_ECLIST,
	T_LCLIST,
	T_SET,        /* tree/array of ranges, element type inside */
	T_PREFIX_SET, /* trie */
	T_ROUTE,
	T_ENUM_RTS = 64,
	T_ENUM_RTD,
	T_ENUM_SCOPE,
	T_ENUM_ORIGIN,
	T_ENUM_ROA,
	T_ENUM_ASPA,
	T_ENUM_NETTYPE,
	T_ENUM_AF,
	T_ENUM_RA_PREFERENCE,
	T_ENUM_MPLS_POLICY,
	T_ENUM_EVPN_TYPE,
	T_ENUM_KBR_SOURCE,
	T_ENUM_EMPTY, /* attributes that only defined() and unset() know: bgp_atomic_aggr, ... */
	T_ENUM_END,
};

static inline bool value_type_is_enum(enum value_type t)
{
	return t >= T_ENUM_RTS && t < T_ENUM_END;
}

struct lcomm {
	uint32_t asn, data1, data2;
};

struct value_bytes {
	uint32_t len;
	uint8_t data[];
};

/* AS path in wire form with 4-octet numbers: segments of (type u8, count u8, count x u32 network order).
 * data == NULL is the empty list that nobody has made: defined() says no. */
struct value_list {
	const void *data; /* PATH: bytes; CLIST: u32[]; ECLIST: u64[]; LCLIST: struct lcomm[] (host order) */
	uint32_t count;   /* PATH: bytes; else elements */
};

struct filter_set;
struct filter_prefix_set;
struct filter_mask;

struct value {
	enum value_type type;
	union {
		bool b;
		uint32_t i;   /* INT PAIR QUAD ENUM */
		uint64_t u64; /* EC RD */
		struct ipaddr ip;
		const struct net *net;
		struct lcomm lc;
		const char *s;
		const struct value_bytes *bytes;
		uint8_t mac[6];
		struct value_list list;
		const struct filter_set *set;
		const struct filter_prefix_set *pset;
		const struct filter_mask *mask;
	};
};

const char *value_type_name(
	enum value_type t); /* "int", "prefix", "set", "enum rts", ... as BIRD spells them */
static inline bool value_type_is_list(enum value_type t)
{
	return t >= T_PATH && t <= T_LCLIST && t != T_PATH_MASK;
}
/* What an unset variable or an absent attribute of the type reads as: an empty list, else void. */
struct value value_empty(enum value_type t);
/* BIRD's val_format. Returns the length needed (like snprintf). */
size_t value_format(const struct value *v, char *buf, size_t size);
/* <0 0 >0; *ok = false when the types cannot be ordered. */
int value_compare(const struct value *a, const struct value *b, bool *ok);
bool value_equal(const struct value *a, const struct value *b);
#define NET_STRLEN 1024 /* what is longer is cut: flow specifications may be */
size_t net_format(const struct net *n, char *buf, size_t size);
/* .len: of the prefix; 0 for what has none. */
static inline uint32_t net_length(const struct net *n)
{
	return n->prefix.family ? n->prefix.len : 0;
}
int net_compare(const struct net *a, const struct net *b); /* by type, then in BIRD's order */
bool net_equal(const struct net *a, const struct net *b);
struct arena;
struct net *net_copy(struct arena *a, const struct net *n); /* with what it points to */
bool net_contains(
	const struct net *outer, const struct net *inner); /* of one type; inner equal or more specific */
/* One community, extended community, route distinguisher: as show route prints them. Return what snprintf
 * would. */
size_t ec_format(uint64_t ec, char *buf, size_t size);
size_t lc_format(const struct lcomm *lc, char *buf, size_t size);
size_t rd_format(uint64_t rd, char *buf, size_t size);
