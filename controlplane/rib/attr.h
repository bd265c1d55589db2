/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Route attributes: immutable, interned once, named by a 32-bit id.
 *
 * A struct attrs is everything about a route but its prefix and who it came
 * from. Two routes with equal attributes have the same id, in all tables, before
 * and after filters; comparing attributes is comparing ids.
 *
 * Life: an id is held by reference counts (routes, batches, adj_rib_out
 * entries, memo tables). When the last goes, the set is unlinked at once and
 * freed after an RCU grace period: a reader inside rcu_read_lock() may keep
 * using a pointer it got. attrs_get(id) of a set one holds is always valid.
 *
 * Editing: copy the struct to the stack, point the lists at memory of your own
 * (an arena), change, attrs_intern(). Interning copies what is new. A field whose bit in
 * `present` is clear does not count: it reads as zero in the interned set. A list with its
 * bit set and no elements is a present, empty one.
 * Threads: any, concurrently, registered with RCU (shared/rcu.h).
 */
#pragma once
#include "controlplane/filter/value.h"
#include "shared/addr.h"
#include <stdbool.h>
#include <stdint.h>

enum attr_bit { /* in `present`, for those whose absence means something */
	ATTR_ORIGIN = 1 << 0,
	ATTR_AS_PATH = 1 << 1,
	ATTR_NEXT_HOP = 1 << 2,
	ATTR_MED = 1 << 3,
	ATTR_LOCAL_PREF = 1 << 4,
	ATTR_ATOMIC = 1 << 5,
	ATTR_AGGREGATOR = 1 << 6,
	ATTR_COMMUNITY = 1 << 7,
	ATTR_ORIGINATOR = 1 << 8,
	ATTR_CLUSTER_LIST = 1 << 9,
	ATTR_EXT_COMMUNITY = 1 << 10,
	ATTR_LARGE_COMMUNITY = 1 << 11,
	ATTR_AIGP = 1 << 12,
	ATTR_OTC = 1 << 13,
	ATTR_IGP_METRIC = 1 << 14,
	ATTR_FROM = 1 << 15, /* set by a filter; else the source's neighbour */
	ATTR_WEIGHT = 1 << 16,
	ATTR_KRT_PREFSRC = 1 << 17,
	ATTR_KRT_METRIC = 1 << 18,
	ATTR_KRT_SOURCE = 1 << 19,
	ATTR_KRT_REALM = 1 << 20,
	ATTR_KRT_SCOPE = 1 << 21,
	ATTR_LLGR_STALE = 1 << 22, /* not an attribute of the wire: kept by the helper of RFC 9494 */
	ATTR_STALE = 1 << 23,      /* RFC 4724 stale, for show and best path */
};

enum route_dest { RTD_NONE = 0, RTD_UNICAST = 1, RTD_BLACKHOLE = 2, RTD_UNREACHABLE = 3, RTD_PROHIBIT = 4 };
enum route_origin { ORIGIN_IGP = 0, ORIGIN_EGP = 1, ORIGIN_INCOMPLETE = 2 };
enum route_scope { SCOPE_HOST, SCOPE_LINK, SCOPE_SITE, SCOPE_ORGANIZATION, SCOPE_UNIVERSE, SCOPE_UNDEFINED };
/* RTS_*: BIRD's numbers */
enum route_source {
	RTS_NONE,
	RTS_STATIC,
	RTS_INHERIT,
	RTS_DEVICE,
	RTS_STATIC_DEVICE,
	RTS_REDIRECT,
	RTS_RIP,
	RTS_OSPF,
	RTS_OSPF_IA,
	RTS_OSPF_EXT1,
	RTS_OSPF_EXT2,
	RTS_BGP,
	RTS_PIPE,
	RTS_BABEL,
	RTS_RPKI,
	RTS_PERF,
	RTS_L3VPN,
	RTS_AGGREGATED,
};

enum nexthop_flag {
	NH_RECURSIVE = 1, /* gw is resolved through the igp table of the source (controlplane/rib/nht.h) */
	NH_ONLINK = 2,
};

struct attr_nexthop {
	struct ipaddr gw; /* zero: directly on the interface */
	uint32_t ifindex; /* 0: to be found from gw */
	uint16_t weight;  /* 1..256 */
	uint16_t flags;
};

/* Attributes without a field of their own: unknown BGP attributes, custom attributes, krt_* metrics. Sorted
 * by id. */
#define ATTR_EXTRA_BGP(code) (0x0100u | (code)) /* raw bytes, flags as received */
#define ATTR_EXTRA_CUSTOM(n)                                                                                 \
	(0x10000u + (n)) /* index from the `attribute` statement; value in network-free form */
/* What stands in the NLRI and does not identify the route: labels of VPN routes, three bytes each as on the
 * wire; an EVPN route as it was received, type first. T_BYTESTRING. */
#define ATTR_EXTRA_LABELS 0x0200u
#define ATTR_EXTRA_EVPN 0x0201u
#define ATTR_EXTRA_KRT(n) (0x0300u + (n))
#define ATTR_EXTRA_ASPA_PROVIDERS                                                                            \
	0x041eu /* aspa_providers of a route in an aspa table: T_CLIST, u32 in host order each */
struct attr_extra {
	uint32_t id;
	uint8_t type;  /* enum value_type; T_BYTESTRING for raw BGP ones */
	uint8_t flags; /* BGP attribute flags */
	uint16_t len;  /* bytes of data; a scalar is 4 bytes */
	const void *data;
};

/* Derived by attrs_intern() from the rest, so that best path selection looks at no list. */
enum attr_derived {
	ATTRD_RECURSIVE = 1,      /* some next hop is NH_RECURSIVE */
	ATTRD_LLGR_COMMUNITY = 2, /* carries LLGR_STALE (RFC 9494) */
	ATTRD_NO_LLGR = 4,        /* carries NO_LLGR */
	ATTRD_CONFED_PATH = 8,    /* as_path starts with a confederation segment */
};

/*
 * Field order matters to the store and to nobody else: pointers first, then
 * what best path reads within one cache line, no padding anywhere from
 * `present` to the end. Initialise by name.
 */
struct attrs {
	const uint8_t *as_path;    /* wire form, 4-octet ASNs */
	const uint32_t *community; /* host order */
	const uint64_t *ext;       /* host order of the 8 bytes */
	const struct lcomm *large;
	const uint32_t *cluster;            /* host order */
	const struct attr_nexthop *nexthop; /* dest == RTD_UNICAST */
	const struct attr_extra *extra;

	/* filled in by attrs_intern(); ignored while editing */
	uint64_t hash; /* of the content, with the process's seed */
	uint32_t id;
	uint32_t bytes; /* of the allocation: the store's own */

	uint32_t present; /* enum attr_bit */
	uint32_t local_pref, med, igp_metric;
	uint16_t preference;
	/* these four are derived by attrs_intern(); a caller need not keep them up */
	uint16_t path_len; /* RFC 4271 9.1.2.2 a / RFC 5065: sequences count each, sets 1, confederation 0 */
	uint32_t first_as; /* leftmost of a leading sequence, else 0 */
	uint32_t last_as;  /* origin: last of a trailing sequence, else 0 */
	uint8_t derived;   /* enum attr_derived */
	uint8_t origin, dest, scope;
	uint64_t aigp;
	uint32_t originator_id; /* host order, as the other ids */
	uint16_t n_cluster, n_nexthop;

	uint32_t otc;
	uint16_t weight, reserved;
	uint32_t aggregator_as, aggregator_id;
	uint32_t krt_metric, krt_source, krt_realm, krt_scope;
	struct ipaddr next_hop;    /* BGP next hop */
	struct ipaddr next_hop_ll; /* link-local companion, RFC 2545; zero if none */
	struct ipaddr from, krt_prefsrc;
	uint16_t as_path_bytes, n_community, n_ext, n_large, n_extra, reserved2[3];
};

/* One store a process; created before the first thread. */
int attrs_init(void);
void attrs_exit(void); /* frees all; every reference is gone or forgotten */

/* Returns an id with one reference for the caller; never 0. The argument is only read. */
uint32_t attrs_intern(const struct attrs *a);
/* Pointer for an id that is held, or that was read from shared state inside rcu_read_lock(). Wait-free. NULL
 * for 0. */
const struct attrs *attrs_get(uint32_t id);
void attrs_hold(uint32_t id);
void attrs_hold_n(uint32_t id, uint32_t n);
void attrs_release(uint32_t id);
void attrs_release_n(uint32_t id, uint32_t n);
/* The same for a list of (id, n), whose counters are fetched ahead: what many prefixes let go of is all over
 * memory. */
void attrs_release_list(uint32_t (*list)[2], unsigned count);
uint32_t attrs_references(uint32_t id); /* a guess unless nobody else has any: for tests */

struct attrs_usage {
	uint64_t sets, bytes, hits, misses;
};
void attrs_usage(struct attrs_usage *u);

/* Helpers on paths (wire form, 4-octet). */
unsigned as_path_length(const uint8_t *path, unsigned bytes);
uint32_t as_path_first(const uint8_t *path, unsigned bytes);
/* The neighbouring AS for MED: as_path_first(), leading confederation segments skipped. */
uint32_t as_path_first_regular(const uint8_t *path, unsigned bytes);
uint32_t as_path_last(const uint8_t *path, unsigned bytes);
uint32_t as_path_last_nonaggregated(const uint8_t *path, unsigned bytes);
bool as_path_contains(const uint8_t *path, unsigned bytes, uint32_t asn);
unsigned as_path_count(const uint8_t *path, unsigned bytes, uint32_t asn);
/* out needs bytes + 6; returns the new size. Joins a leading sequence of fewer than 255. type: 2 sequence, 3
 * confed. */
unsigned as_path_prepend(const uint8_t *path, unsigned bytes, uint32_t asn, uint8_t type, uint8_t *out);
const struct attr_extra *attrs_find_extra(const struct attrs *a, uint32_t id);
