/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operators and methods of the language as functions on values. One
 * implementation serves the parser, which folds constants with it, and the
 * machine. Results that need memory take it from the arena given.
 */
#pragma once
#include "controlplane/config/arena.h"
#include "controlplane/filter/value.h"

enum filter_op {
	OP_NONE,
	/* operators */
	OP_ADD,
	OP_SUBTRACT,
	OP_MULTIPLY,
	OP_DIVIDE,
	OP_EQ,
	OP_NEQ,
	OP_LT,
	OP_LTE,
	OP_NOT,
	OP_MATCH,
	OP_NOT_MATCH,
	OP_DEFINED,
	/* constructors */
	OP_PAIR,
	OP_EC, /* extra: the kind */
	OP_LC,
	/* methods */
	OP_NET_TYPE,
	OP_NET_LEN,
	OP_NET_IP,
	OP_NET_MAXLEN,
	OP_NET_ASN,
	OP_NET_RD,
	OP_NET_SRC,
	OP_NET_DST,
	OP_NET_MAC,
	OP_NET_VLAN_ID,
	OP_IP_IS_V4,
	OP_IP_MASK,
	OP_PAIR_ASN,
	OP_PAIR_DATA,
	OP_LC_ASN,
	OP_LC_DATA1,
	OP_LC_DATA2,
	OP_PATH_LEN,
	OP_PATH_FIRST,
	OP_PATH_LAST,
	OP_PATH_LAST_NONAGGREGATED,
	OP_PATH_EMPTY,
	OP_PATH_PREPEND,
	OP_PATH_DELETE_INT,
	OP_PATH_DELETE_SET,
	OP_PATH_FILTER_SET,
	OP_CLIST_LEN,
	OP_CLIST_MIN,
	OP_CLIST_MAX,
	OP_CLIST_EMPTY,
	OP_CLIST_ADD_PAIR,
	OP_CLIST_ADD_INT,
	OP_CLIST_ADD_IP,
	OP_CLIST_ADD_QUAD,
	OP_CLIST_ADD_CLIST,
	OP_CLIST_DELETE_PAIR,
	OP_CLIST_DELETE_INT,
	OP_CLIST_DELETE_IP,
	OP_CLIST_DELETE_QUAD,
	OP_CLIST_DELETE_CLIST,
	OP_CLIST_DELETE_SET,
	OP_CLIST_FILTER_CLIST,
	OP_CLIST_FILTER_SET,
	OP_ECLIST_LEN,
	OP_ECLIST_MIN,
	OP_ECLIST_MAX,
	OP_ECLIST_EMPTY,
	OP_ECLIST_ADD_EC,
	OP_ECLIST_ADD_ECLIST,
	OP_ECLIST_DELETE_EC,
	OP_ECLIST_DELETE_ECLIST,
	OP_ECLIST_DELETE_SET,
	OP_ECLIST_FILTER_ECLIST,
	OP_ECLIST_FILTER_SET,
	OP_LCLIST_LEN,
	OP_LCLIST_MIN,
	OP_LCLIST_MAX,
	OP_LCLIST_EMPTY,
	OP_LCLIST_ADD_LC,
	OP_LCLIST_ADD_LCLIST,
	OP_LCLIST_DELETE_LC,
	OP_LCLIST_DELETE_LCLIST,
	OP_LCLIST_DELETE_SET,
	OP_LCLIST_FILTER_LCLIST,
	OP_LCLIST_FILTER_SET,
	OP_STRING_APPEND,
	OP_BYTESTRING_APPEND,
	/* functions */
	OP_FROM_HEX,
	OP_FORMAT,
	OP_VALUES_END,
};

enum ec_kind { EC_RT = 0x0002, EC_RO = 0x0003, EC_GENERIC = 0xffff };
uint64_t ec_make(
	uint32_t kind, bool ipv4_key, uint32_t key, uint32_t value); /* the caller has checked the range */

struct op_info {
	const char *name; /* as BIRD names the instruction in its messages */
	uint8_t n_args;
	enum value_type arg[3]; /* T_VOID: any */
	enum value_type result;
	const char *method; /* name as a method of arg[0], or NULL */
};
const struct op_info *op_info(enum filter_op op);

/* Types have been checked against op_info(). NULL, or what went wrong (static, or in the arena). c: third
 * argument or NULL. */
const char *op_apply(enum filter_op op, struct arena *a, uint32_t extra, const struct value *x,
	const struct value *y, const struct value *c, struct value *out);
/* The check: 0, or the number of the argument that is of the wrong type. */
unsigned op_check(enum filter_op op, const struct value *const args[], unsigned n);

/* x ~ y: 1, 0, or -1 when the types do not go together. */
int op_match(struct arena *a, const struct value *x, const struct value *y);
