/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of the filter language that stand for values: attributes, enum constants, types. */
#pragma once
#include "controlplane/filter/value.h"

/* Route attributes with storage of their own in struct attrs or struct filter_route; all others are extras by
 * id. */
enum filter_attr {
	FA_NET,
	FA_PROTO,
	FA_SOURCE,
	FA_FROM,
	FA_GW,
	FA_DEST,
	FA_SCOPE,
	FA_IFNAME,
	FA_IFINDEX,
	FA_PREFERENCE,
	FA_WEIGHT,
	FA_ONLINK,
	FA_GW_MPLS,
	FA_GW_MPLS_STACK,
	FA_LAST_STATIC = FA_GW_MPLS_STACK,
	FA_ORIGIN,
	FA_PATH,
	FA_NEXT_HOP,
	FA_MED,
	FA_LOCAL_PREF,
	FA_ATOMIC_AGGR,
	FA_AGGREGATOR,
	FA_COMMUNITY,
	FA_ORIGINATOR_ID,
	FA_CLUSTER_LIST,
	FA_EXT_COMMUNITY,
	FA_LARGE_COMMUNITY,
	FA_AIGP,
	FA_OTC,
	FA_IGP_METRIC,
	FA_KRT_PREFSRC,
	FA_KRT_METRIC,
	FA_KRT_SOURCE,
	FA_KRT_REALM,
	FA_KRT_SCOPE,
	FA_EXTRA,     /* an attr_extra: extra is its id */
	FA_EXTRA_BIT, /* one bit of a number among them: extra = id | bit << 24 */
};

struct attr_word {
	uint8_t attr; /* enum filter_attr */
	bool readonly;
	enum value_type type;
	uint32_t extra;
};

enum word_kind { WORD_ATTR = 1, WORD_ENUM, WORD_TYPE };

struct word {
	const char *text;
	uint8_t kind;
	enum value_type type; /* of the attribute or constant; the type meant */
	uint8_t attr;         /* ATTR */
	bool readonly;
	uint32_t number; /* ATTR: extra; ENUM: the value */
};

/* NULL: no such word. */
const struct word *word_find(const char *text);
/* After `enum`: rts, bgp_origin, ... T_VOID: none. */
enum value_type word_enum_type(const char *text);
/* For traces: the name of an attribute; custom ones by filter_custom_attribute_name(). */
const char *word_attr_name(uint8_t attr, uint32_t extra);
