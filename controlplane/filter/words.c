/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/filter/words.h"
#include "controlplane/filter/filter.h"
#include "controlplane/rib/attr.h"
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

/* Attributes of protocols that are not run here: kept if a filter sets them, so that it reads back what it
 * wrote. */
#define INERT(n) (0x0400u | (n))
#define BIT(id, n) (ATTR_EXTRA_KRT(id) | (uint32_t)(n) << 24)

#define STATIC(name, type, attr, ro)                                                                         \
	{                                                                                                    \
		name, WORD_ATTR, type, attr, ro, 0                                                           \
	}
#define DYNAMIC(name, type, attr)                                                                            \
	{                                                                                                    \
		name, WORD_ATTR, type, attr, false, 0                                                        \
	}
#define EXTRA(name, type, id)                                                                                \
	{                                                                                                    \
		name, WORD_ATTR, type, FA_EXTRA, false, id                                                   \
	}
#define LOCK(name, bit)                                                                                      \
	{                                                                                                    \
		"krt_lock_" name, WORD_ATTR, T_BOOL, FA_EXTRA_BIT, false, BIT(RTAX_LOCK, bit)                \
	}
#define FEATURE(name, bit)                                                                                   \
	{                                                                                                    \
		"krt_feature_" name, WORD_ATTR, T_BOOL, FA_EXTRA_BIT, false, BIT(RTAX_FEATURES, bit)         \
	}
#define ENUM(name, type, value)                                                                              \
	{                                                                                                    \
		name, WORD_ENUM, type, 0, true, value                                                        \
	}
#define TYPE(name, type)                                                                                     \
	{                                                                                                    \
		name, WORD_TYPE, type, 0, true, 0                                                            \
	}

/* Sorted by text: looked up by bisection. */
static const struct word words[] = {
	ENUM("AF_IPV4", T_ENUM_AF, 1),
	ENUM("AF_IPV6", T_ENUM_AF, 2),
	ENUM("ASPA_INVALID", T_ENUM_ASPA, 2),
	ENUM("ASPA_UNKNOWN", T_ENUM_ASPA, 0),
	ENUM("ASPA_VALID", T_ENUM_ASPA, 1),
	ENUM("KBR_SRC_BIRD", T_ENUM_KBR_SOURCE, 0),
	ENUM("KBR_SRC_DYNAMIC", T_ENUM_KBR_SOURCE, 3),
	ENUM("KBR_SRC_LOCAL", T_ENUM_KBR_SOURCE, 1),
	ENUM("KBR_SRC_STATIC", T_ENUM_KBR_SOURCE, 2),
	ENUM("MPLS_POLICY_AGGREGATE", T_ENUM_MPLS_POLICY, 3),
	ENUM("MPLS_POLICY_NONE", T_ENUM_MPLS_POLICY, 0),
	ENUM("MPLS_POLICY_PREFIX", T_ENUM_MPLS_POLICY, 2),
	ENUM("MPLS_POLICY_STATIC", T_ENUM_MPLS_POLICY, 1),
	ENUM("MPLS_POLICY_VRF", T_ENUM_MPLS_POLICY, 4),
	ENUM("NET_ASPA", T_ENUM_NETTYPE, NET_ASPA),
	ENUM("NET_ETH", T_ENUM_NETTYPE, NET_ETH),
	ENUM("NET_EVPN", T_ENUM_NETTYPE, NET_EVPN),
	ENUM("NET_EVPN_EAD", T_ENUM_EVPN_TYPE, 1),
	ENUM("NET_EVPN_ES", T_ENUM_EVPN_TYPE, 4),
	ENUM("NET_EVPN_IMET", T_ENUM_EVPN_TYPE, 3),
	ENUM("NET_EVPN_MAC", T_ENUM_EVPN_TYPE, 2),
	ENUM("NET_FLOW4", T_ENUM_NETTYPE, NET_FLOW4),
	ENUM("NET_FLOW6", T_ENUM_NETTYPE, NET_FLOW6),
	ENUM("NET_IP4", T_ENUM_NETTYPE, NET_IP4),
	ENUM("NET_IP6", T_ENUM_NETTYPE, NET_IP6),
	ENUM("NET_IP6_SADR", T_ENUM_NETTYPE, NET_IP6_SADR),
	ENUM("NET_MPLS", T_ENUM_NETTYPE, NET_MPLS),
	ENUM("NET_NEIGHBOR", T_ENUM_NETTYPE, NET_NEIGHBOR),
	ENUM("NET_ROA4", T_ENUM_NETTYPE, NET_ROA4),
	ENUM("NET_ROA6", T_ENUM_NETTYPE, NET_ROA6),
	ENUM("NET_VPN4", T_ENUM_NETTYPE, NET_VPN4),
	ENUM("NET_VPN6", T_ENUM_NETTYPE, NET_VPN6),
	ENUM("ORIGIN_EGP", T_ENUM_ORIGIN, ORIGIN_EGP),
	ENUM("ORIGIN_IGP", T_ENUM_ORIGIN, ORIGIN_IGP),
	ENUM("ORIGIN_INCOMPLETE", T_ENUM_ORIGIN, ORIGIN_INCOMPLETE),
	ENUM("RA_PREF_HIGH", T_ENUM_RA_PREFERENCE, 0x08),
	ENUM("RA_PREF_LOW", T_ENUM_RA_PREFERENCE, 0x18),
	ENUM("RA_PREF_MEDIUM", T_ENUM_RA_PREFERENCE, 0x00),
	ENUM("ROA_INVALID", T_ENUM_ROA, 2),
	ENUM("ROA_UNKNOWN", T_ENUM_ROA, 0),
	ENUM("ROA_VALID", T_ENUM_ROA, 1),
	ENUM("RTD_BLACKHOLE", T_ENUM_RTD, RTD_BLACKHOLE),
	ENUM("RTD_PROHIBIT", T_ENUM_RTD, RTD_PROHIBIT),
	ENUM("RTD_UNICAST", T_ENUM_RTD, RTD_UNICAST),
	ENUM("RTD_UNREACHABLE", T_ENUM_RTD, RTD_UNREACHABLE),
	ENUM("RTS_AGGREGATED", T_ENUM_RTS, RTS_AGGREGATED),
	ENUM("RTS_BABEL", T_ENUM_RTS, RTS_BABEL),
	ENUM("RTS_BGP", T_ENUM_RTS, RTS_BGP),
	ENUM("RTS_DEVICE", T_ENUM_RTS, RTS_DEVICE),
	ENUM("RTS_INHERIT", T_ENUM_RTS, RTS_INHERIT),
	ENUM("RTS_L3VPN", T_ENUM_RTS, RTS_L3VPN),
	ENUM("RTS_OSPF", T_ENUM_RTS, RTS_OSPF),
	ENUM("RTS_OSPF_EXT1", T_ENUM_RTS, RTS_OSPF_EXT1),
	ENUM("RTS_OSPF_EXT2", T_ENUM_RTS, RTS_OSPF_EXT2),
	ENUM("RTS_OSPF_IA", T_ENUM_RTS, RTS_OSPF_IA),
	ENUM("RTS_PIPE", T_ENUM_RTS, RTS_PIPE),
	ENUM("RTS_REDIRECT", T_ENUM_RTS, RTS_REDIRECT),
	ENUM("RTS_RIP", T_ENUM_RTS, RTS_RIP),
	ENUM("RTS_RPKI", T_ENUM_RTS, RTS_RPKI),
	ENUM("RTS_STATIC", T_ENUM_RTS, RTS_STATIC),
	ENUM("RTS_STATIC_DEVICE", T_ENUM_RTS, RTS_STATIC_DEVICE),
	ENUM("SCOPE_HOST", T_ENUM_SCOPE, SCOPE_HOST),
	ENUM("SCOPE_LINK", T_ENUM_SCOPE, SCOPE_LINK),
	ENUM("SCOPE_ORGANIZATION", T_ENUM_SCOPE, SCOPE_ORGANIZATION),
	ENUM("SCOPE_SITE", T_ENUM_SCOPE, SCOPE_SITE),
	ENUM("SCOPE_UNDEFINED", T_ENUM_SCOPE, SCOPE_UNDEFINED),
	ENUM("SCOPE_UNIVERSE", T_ENUM_SCOPE, SCOPE_UNIVERSE),
	EXTRA("aspa_providers", T_CLIST, INERT(30)),
	EXTRA("babel_metric", T_INT, INERT(1)),
	EXTRA("babel_router_id", T_QUAD, INERT(2)),
	EXTRA("babel_seqno", T_INT, INERT(3)),
	DYNAMIC("bgp_aggregator", T_ENUM_EMPTY, FA_AGGREGATOR),
	DYNAMIC("bgp_aigp", T_ENUM_EMPTY, FA_AIGP),
	DYNAMIC("bgp_atomic_aggr", T_ENUM_EMPTY, FA_ATOMIC_AGGR),
	DYNAMIC("bgp_cluster_list", T_CLIST, FA_CLUSTER_LIST),
	DYNAMIC("bgp_community", T_CLIST, FA_COMMUNITY),
	DYNAMIC("bgp_ext_community", T_ECLIST, FA_EXT_COMMUNITY),
	DYNAMIC("bgp_large_community", T_LCLIST, FA_LARGE_COMMUNITY),
	DYNAMIC("bgp_local_pref", T_INT, FA_LOCAL_PREF),
	DYNAMIC("bgp_med", T_INT, FA_MED),
	DYNAMIC("bgp_next_hop", T_IP, FA_NEXT_HOP),
	DYNAMIC("bgp_origin", T_ENUM_ORIGIN, FA_ORIGIN),
	DYNAMIC("bgp_originator_id", T_QUAD, FA_ORIGINATOR_ID),
	DYNAMIC("bgp_otc", T_INT, FA_OTC),
	DYNAMIC("bgp_path", T_PATH, FA_PATH),
	EXTRA("bgp_pmsi_tunnel", T_ENUM_EMPTY, ATTR_EXTRA_BGP(22)),
	TYPE("bgpmask", T_PATH_MASK),
	TYPE("bgppath", T_PATH),
	TYPE("bool", T_BOOL),
	TYPE("bytestring", T_BYTESTRING),
	TYPE("clist", T_CLIST),
	STATIC("dest", T_ENUM_RTD, FA_DEST, false),
	TYPE("ec", T_EC),
	TYPE("eclist", T_ECLIST),
	STATIC("from", T_IP, FA_FROM, false),
	STATIC("gw", T_IP, FA_GW, false),
	STATIC("gw_mpls", T_INT, FA_GW_MPLS, false),
	STATIC("gw_mpls_stack", T_CLIST, FA_GW_MPLS_STACK, false),
	STATIC("ifindex", T_INT, FA_IFINDEX, true),
	STATIC("ifname", T_STRING, FA_IFNAME, false),
	DYNAMIC("igp_metric", T_INT, FA_IGP_METRIC),
	TYPE("int", T_INT),
	TYPE("ip", T_IP),
	EXTRA("kbr_source", T_ENUM_KBR_SOURCE, INERT(4)),
	EXTRA("krt_advmss", T_INT, ATTR_EXTRA_KRT(RTAX_ADVMSS)),
	EXTRA("krt_congctl", T_STRING, ATTR_EXTRA_KRT(RTAX_CC_ALGO)),
	EXTRA("krt_cwnd", T_INT, ATTR_EXTRA_KRT(RTAX_CWND)),
	EXTRA("krt_fastopen_no_cookie", T_INT, ATTR_EXTRA_KRT(RTAX_FASTOPEN_NO_COOKIE)),
	FEATURE("allfrag", 3),
	FEATURE("ecn", 0),
	EXTRA("krt_hoplimit", T_INT, ATTR_EXTRA_KRT(RTAX_HOPLIMIT)),
	EXTRA("krt_initcwnd", T_INT, ATTR_EXTRA_KRT(RTAX_INITCWND)),
	EXTRA("krt_initrwnd", T_INT, ATTR_EXTRA_KRT(RTAX_INITRWND)),
	LOCK("advmss", RTAX_ADVMSS),
	LOCK("congctl", RTAX_CC_ALGO),
	LOCK("cwnd", RTAX_CWND),
	LOCK("fastopen_no_cookie", RTAX_FASTOPEN_NO_COOKIE),
	LOCK("hoplimit", RTAX_HOPLIMIT),
	LOCK("initcwnd", RTAX_INITCWND),
	LOCK("initrwnd", RTAX_INITRWND),
	LOCK("mtu", RTAX_MTU),
	LOCK("quickack", RTAX_QUICKACK),
	LOCK("reordering", RTAX_REORDERING),
	LOCK("rto_min", RTAX_RTO_MIN),
	LOCK("rtt", RTAX_RTT),
	LOCK("rttvar", RTAX_RTTVAR),
	LOCK("ssthresh", RTAX_SSTHRESH),
	LOCK("sstresh", RTAX_SSTHRESH),
	LOCK("window", RTAX_WINDOW),
	DYNAMIC("krt_metric", T_INT, FA_KRT_METRIC),
	EXTRA("krt_mtu", T_INT, ATTR_EXTRA_KRT(RTAX_MTU)),
	DYNAMIC("krt_prefsrc", T_IP, FA_KRT_PREFSRC),
	EXTRA("krt_quickack", T_INT, ATTR_EXTRA_KRT(RTAX_QUICKACK)),
	DYNAMIC("krt_realm", T_INT, FA_KRT_REALM),
	EXTRA("krt_reordering", T_INT, ATTR_EXTRA_KRT(RTAX_REORDERING)),
	EXTRA("krt_rto_min", T_INT, ATTR_EXTRA_KRT(RTAX_RTO_MIN)),
	EXTRA("krt_rtt", T_INT, ATTR_EXTRA_KRT(RTAX_RTT)),
	EXTRA("krt_rttvar", T_INT, ATTR_EXTRA_KRT(RTAX_RTTVAR)),
	DYNAMIC("krt_scope", T_INT, FA_KRT_SCOPE),
	DYNAMIC("krt_source", T_INT, FA_KRT_SOURCE),
	EXTRA("krt_ssthresh", T_INT, ATTR_EXTRA_KRT(RTAX_SSTHRESH)),
	EXTRA("krt_sstresh", T_INT, ATTR_EXTRA_KRT(RTAX_SSTHRESH)),
	EXTRA("krt_window", T_INT, ATTR_EXTRA_KRT(RTAX_WINDOW)),
	TYPE("lc", T_LC),
	TYPE("lclist", T_LCLIST),
	TYPE("mac", T_MAC),
	EXTRA("mpls_class", T_INT, INERT(5)),
	EXTRA("mpls_label", T_INT, INERT(6)),
	EXTRA("mpls_policy", T_ENUM_MPLS_POLICY, INERT(7)),
	STATIC("net", T_NET, FA_NET, true),
	STATIC("onlink", T_BOOL, FA_ONLINK, false),
	EXTRA("ospf_metric1", T_INT, INERT(8)),
	EXTRA("ospf_metric2", T_INT, INERT(9)),
	EXTRA("ospf_router_id", T_QUAD, INERT(10)),
	EXTRA("ospf_tag", T_INT, INERT(11)),
	TYPE("pair", T_PAIR),
	STATIC("preference", T_INT, FA_PREFERENCE, false),
	TYPE("prefix", T_NET),
	STATIC("proto", T_STRING, FA_PROTO, true),
	TYPE("quad", T_QUAD),
	EXTRA("ra_lifetime", T_INT, INERT(12)),
	EXTRA("ra_preference", T_ENUM_RA_PREFERENCE, INERT(13)),
	EXTRA("radv_lifetime", T_INT, INERT(12)),
	EXTRA("radv_preference", T_ENUM_RA_PREFERENCE, INERT(13)),
	TYPE("rd", T_RD),
	EXTRA("rip_metric", T_INT, INERT(14)),
	EXTRA("rip_tag", T_INT, INERT(15)),
	TYPE("route", T_ROUTE),
	STATIC("scope", T_ENUM_SCOPE, FA_SCOPE, false),
	STATIC("source", T_ENUM_RTS, FA_SOURCE, true),
	TYPE("string", T_STRING),
	STATIC("weight", T_INT, FA_WEIGHT, false),
};

static int order(const void *key, const void *w)
{
	return strcmp(key, ((const struct word *)w)->text);
}

const struct word *word_find(const char *text)
{
	return bsearch(text, words, sizeof(words) / sizeof(words[0]), sizeof(words[0]), order);
}

enum value_type word_enum_type(const char *text)
{
	for (enum value_type t = T_ENUM_RTS; t < T_ENUM_EMPTY; t++)
		if (!strcmp(value_type_name(t) + strlen("enum "), text))
			return t;
	return T_VOID;
}

const char *word_attr_name(uint8_t attr, uint32_t extra)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].kind == WORD_ATTR && words[i].attr == attr && words[i].number == extra)
			return words[i].text;
	return filter_custom_attribute_name(extra);
}
