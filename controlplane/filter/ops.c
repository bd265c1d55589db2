/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/filter/ops.h"
#include "controlplane/filter/flow.h"
#include "controlplane/filter/list.h"
#include "controlplane/filter/mask.h"
#include "controlplane/filter/path.h"
#include "controlplane/filter/prefix_set.h"
#include "controlplane/filter/set.h"
#include "controlplane/filter/text.h"
#include "controlplane/rib/attr.h"
#include <string.h>

#define TEXT_MAX 65536u /* x = x ++ x doubles: a few lines of that must not eat the machine */

#define V T_VOID
static const struct op_info info[OP_VALUES_END] = {
	[OP_ADD] = {"ADD", 2, {T_INT, T_INT}, T_INT, NULL},
	[OP_SUBTRACT] = {"SUBTRACT", 2, {T_INT, T_INT}, T_INT, NULL},
	[OP_MULTIPLY] = {"MULTIPLY", 2, {T_INT, T_INT}, T_INT, NULL},
	[OP_DIVIDE] = {"DIVIDE", 2, {T_INT, T_INT}, T_INT, NULL},
	[OP_EQ] = {"EQ", 2, {V, V}, T_BOOL, NULL},
	[OP_NEQ] = {"NEQ", 2, {V, V}, T_BOOL, NULL},
	[OP_LT] = {"LT", 2, {V, V}, T_BOOL, NULL},
	[OP_LTE] = {"LTE", 2, {V, V}, T_BOOL, NULL},
	[OP_NOT] = {"NOT", 1, {T_BOOL}, T_BOOL, NULL},
	[OP_MATCH] = {"MATCH", 2, {V, V}, T_BOOL, NULL},
	[OP_NOT_MATCH] = {"NOT_MATCH", 2, {V, V}, T_BOOL, NULL},
	[OP_DEFINED] = {"DEFINED", 1, {V}, T_BOOL, NULL},
	[OP_PAIR] = {"PAIR_CONSTRUCT", 2, {T_INT, T_INT}, T_PAIR, NULL},
	[OP_EC] = {"EC_CONSTRUCT", 2, {V, T_INT}, T_EC, NULL},
	[OP_LC] = {"LC_CONSTRUCT", 3, {T_INT, T_INT, T_INT}, T_LC, NULL},
	[OP_NET_TYPE] = {"METHOD__T_NET__type", 1, {T_NET}, T_ENUM_NETTYPE, "type"},
	[OP_NET_LEN] = {"METHOD__T_NET__len", 1, {T_NET}, T_INT, "len"},
	[OP_NET_IP] = {"METHOD__T_NET__ip", 1, {T_NET}, T_IP, "ip"},
	[OP_NET_MAXLEN] = {"METHOD__T_NET__maxlen", 1, {T_NET}, T_INT, "maxlen"},
	[OP_NET_ASN] = {"METHOD__T_NET__asn", 1, {T_NET}, T_INT, "asn"},
	[OP_NET_RD] = {"METHOD__T_NET__rd", 1, {T_NET}, T_RD, "rd"},
	[OP_NET_SRC] = {"NET_SRC", 1, {T_NET}, T_NET, "src"},
	[OP_NET_DST] = {"NET_DST", 1, {T_NET}, T_NET, "dst"},
	[OP_NET_MAC] = {"METHOD__T_NET__mac", 1, {T_NET}, T_MAC, "mac"},
	[OP_NET_VLAN_ID] = {"METHOD__T_NET__vlan_id", 1, {T_NET}, T_INT, "vlan_id"},
	[OP_IP_IS_V4] = {"METHOD__T_IP__is_v4", 1, {T_IP}, T_BOOL, "is_v4"},
	[OP_IP_MASK] = {"IP_MASK", 2, {T_IP, T_INT}, T_IP, "mask"},
	[OP_PAIR_ASN] = {"METHOD__T_PAIR__asn", 1, {T_PAIR}, T_INT, "asn"},
	[OP_PAIR_DATA] = {"METHOD__T_PAIR__data", 1, {T_PAIR}, T_INT, "data"},
	[OP_LC_ASN] = {"METHOD__T_LC__asn", 1, {T_LC}, T_INT, "asn"},
	[OP_LC_DATA1] = {"METHOD__T_LC__data1", 1, {T_LC}, T_INT, "data1"},
	[OP_LC_DATA2] = {"METHOD__T_LC__data2", 1, {T_LC}, T_INT, "data2"},
	[OP_PATH_LEN] = {"METHOD__T_PATH__len", 1, {T_PATH}, T_INT, "len"},
	[OP_PATH_FIRST] = {"METHOD__T_PATH__first", 1, {T_PATH}, T_INT, "first"},
	[OP_PATH_LAST] = {"METHOD__T_PATH__last", 1, {T_PATH}, T_INT, "last"},
	[OP_PATH_LAST_NONAGGREGATED] = {"METHOD__T_PATH__last_nonaggregated", 1, {T_PATH}, T_INT,
		"last_nonaggregated"},
	[OP_PATH_EMPTY] = {"METHOD__T_PATH__empty", 1, {T_PATH}, T_PATH, "empty"},
	[OP_PATH_PREPEND] = {"PATH_PREPEND", 2, {T_PATH, T_INT}, T_PATH, "prepend"},
	[OP_PATH_DELETE_INT] = {"PATH_DELETE_INT", 2, {T_PATH, T_INT}, T_PATH, "delete"},
	[OP_PATH_DELETE_SET] = {"PATH_DELETE_SET", 2, {T_PATH, T_SET}, T_PATH, "delete"},
	[OP_PATH_FILTER_SET] = {"PATH_FILTER_SET", 2, {T_PATH, T_SET}, T_PATH, "filter"},
	[OP_CLIST_LEN] = {"METHOD__T_CLIST__len", 1, {T_CLIST}, T_INT, "len"},
	[OP_CLIST_MIN] = {"METHOD__T_CLIST__min", 1, {T_CLIST}, T_PAIR, "min"},
	[OP_CLIST_MAX] = {"METHOD__T_CLIST__max", 1, {T_CLIST}, T_PAIR, "max"},
	[OP_CLIST_EMPTY] = {"METHOD__T_CLIST__empty", 1, {T_CLIST}, T_CLIST, "empty"},
	[OP_CLIST_ADD_PAIR] = {"CLIST_ADD_PAIR", 2, {T_CLIST, T_PAIR}, T_CLIST, "add"},
	[OP_CLIST_ADD_INT] = {"CLIST_ADD_INT", 2, {T_CLIST, T_INT}, T_CLIST, "add"},
	[OP_CLIST_ADD_IP] = {"CLIST_ADD_IP", 2, {T_CLIST, T_IP}, T_CLIST, "add"},
	[OP_CLIST_ADD_QUAD] = {"CLIST_ADD_QUAD", 2, {T_CLIST, T_QUAD}, T_CLIST, "add"},
	[OP_CLIST_ADD_CLIST] = {"CLIST_ADD_CLIST", 2, {T_CLIST, T_CLIST}, T_CLIST, "add"},
	[OP_CLIST_DELETE_PAIR] = {"CLIST_DELETE_PAIR", 2, {T_CLIST, T_PAIR}, T_CLIST, "delete"},
	[OP_CLIST_DELETE_INT] = {"CLIST_DELETE_INT", 2, {T_CLIST, T_INT}, T_CLIST, "delete"},
	[OP_CLIST_DELETE_IP] = {"CLIST_DELETE_IP", 2, {T_CLIST, T_IP}, T_CLIST, "delete"},
	[OP_CLIST_DELETE_QUAD] = {"CLIST_DELETE_QUAD", 2, {T_CLIST, T_QUAD}, T_CLIST, "delete"},
	[OP_CLIST_DELETE_CLIST] = {"CLIST_DELETE_CLIST", 2, {T_CLIST, T_CLIST}, T_CLIST, "delete"},
	[OP_CLIST_DELETE_SET] = {"CLIST_DELETE_SET", 2, {T_CLIST, T_SET}, T_CLIST, "delete"},
	[OP_CLIST_FILTER_CLIST] = {"CLIST_FILTER_CLIST", 2, {T_CLIST, T_CLIST}, T_CLIST, "filter"},
	[OP_CLIST_FILTER_SET] = {"CLIST_FILTER_SET", 2, {T_CLIST, T_SET}, T_CLIST, "filter"},
	[OP_ECLIST_LEN] = {"METHOD__T_ECLIST__len", 1, {T_ECLIST}, T_INT, "len"},
	[OP_ECLIST_MIN] = {"METHOD__T_ECLIST__min", 1, {T_ECLIST}, T_EC, "min"},
	[OP_ECLIST_MAX] = {"METHOD__T_ECLIST__max", 1, {T_ECLIST}, T_EC, "max"},
	[OP_ECLIST_EMPTY] = {"METHOD__T_ECLIST__empty", 1, {T_ECLIST}, T_ECLIST, "empty"},
	[OP_ECLIST_ADD_EC] = {"ECLIST_ADD_EC", 2, {T_ECLIST, T_EC}, T_ECLIST, "add"},
	[OP_ECLIST_ADD_ECLIST] = {"ECLIST_ADD_ECLIST", 2, {T_ECLIST, T_ECLIST}, T_ECLIST, "add"},
	[OP_ECLIST_DELETE_EC] = {"ECLIST_DELETE_EC", 2, {T_ECLIST, T_EC}, T_ECLIST, "delete"},
	[OP_ECLIST_DELETE_ECLIST] = {"ECLIST_DELETE_ECLIST", 2, {T_ECLIST, T_ECLIST}, T_ECLIST, "delete"},
	[OP_ECLIST_DELETE_SET] = {"ECLIST_DELETE_SET", 2, {T_ECLIST, T_SET}, T_ECLIST, "delete"},
	[OP_ECLIST_FILTER_ECLIST] = {"ECLIST_FILTER_ECLIST", 2, {T_ECLIST, T_ECLIST}, T_ECLIST, "filter"},
	[OP_ECLIST_FILTER_SET] = {"ECLIST_FILTER_SET", 2, {T_ECLIST, T_SET}, T_ECLIST, "filter"},
	[OP_LCLIST_LEN] = {"METHOD__T_LCLIST__len", 1, {T_LCLIST}, T_INT, "len"},
	[OP_LCLIST_MIN] = {"METHOD__T_LCLIST__min", 1, {T_LCLIST}, T_LC, "min"},
	[OP_LCLIST_MAX] = {"METHOD__T_LCLIST__max", 1, {T_LCLIST}, T_LC, "max"},
	[OP_LCLIST_EMPTY] = {"METHOD__T_LCLIST__empty", 1, {T_LCLIST}, T_LCLIST, "empty"},
	[OP_LCLIST_ADD_LC] = {"LCLIST_ADD_LC", 2, {T_LCLIST, T_LC}, T_LCLIST, "add"},
	[OP_LCLIST_ADD_LCLIST] = {"LCLIST_ADD_LCLIST", 2, {T_LCLIST, T_LCLIST}, T_LCLIST, "add"},
	[OP_LCLIST_DELETE_LC] = {"LCLIST_DELETE_LC", 2, {T_LCLIST, T_LC}, T_LCLIST, "delete"},
	[OP_LCLIST_DELETE_LCLIST] = {"LCLIST_DELETE_LCLIST", 2, {T_LCLIST, T_LCLIST}, T_LCLIST, "delete"},
	[OP_LCLIST_DELETE_SET] = {"LCLIST_DELETE_SET", 2, {T_LCLIST, T_SET}, T_LCLIST, "delete"},
	[OP_LCLIST_FILTER_LCLIST] = {"LCLIST_FILTER_LCLIST", 2, {T_LCLIST, T_LCLIST}, T_LCLIST, "filter"},
	[OP_LCLIST_FILTER_SET] = {"LCLIST_FILTER_SET", 2, {T_LCLIST, T_SET}, T_LCLIST, "filter"},
	[OP_STRING_APPEND] = {"STRING_APPEND", 2, {T_STRING, T_STRING}, T_STRING, "append"},
	[OP_BYTESTRING_APPEND] = {"BYTESTRING_APPEND", 2, {T_BYTESTRING, T_BYTESTRING}, T_BYTESTRING,
		"append"},
	[OP_FROM_HEX] = {"FROM_HEX", 1, {T_STRING}, T_BYTESTRING, NULL},
	[OP_FORMAT] = {"FORMAT", 1, {V}, T_STRING, NULL},
};
#undef V

const struct op_info *op_info(enum filter_op op)
{
	return &info[op];
}

unsigned op_check(enum filter_op op, const struct value *const args[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (info[op].arg[i] && args[i]->type != info[op].arg[i])
			return i + 1;
	return 0;
}

uint64_t ec_make(uint32_t kind, bool ipv4_key, uint32_t key, uint32_t value)
{
	uint64_t k = kind;

	if (kind == EC_GENERIC)
		return (uint64_t)key << 32 | value;
	if (ipv4_key) /* RFC 4360 section 3.2 */
		return (k | 0x0100) << 48 | (uint64_t)key << 16 | value;
	if (key < 0x10000) /* section 3.1 */
		return k << 48 | (uint64_t)key << 32 | value;
	return (k | 0x0200) << 48 | (uint64_t)key << 16 | value; /* RFC 5668 */
}

static const char *make_ec(
	struct arena *a, uint32_t kind, const struct value *x, const struct value *y, struct value *out)
{
	bool ipv4 = true;
	uint32_t key;

	if (x->type == T_INT) {
		ipv4 = false;
		key = x->i;
	} else if (x->type == T_QUAD) {
		key = x->i;
	} else if (x->type == T_IP && ipaddr_is_v4(&x->ip)) {
		key = ntohl(ipaddr_to_v4(&x->ip));
	} else {
		return arena_printf(a, "Argument 1 of EC constructor must be integer or IPv4 address, got %s",
			value_type_name(x->type));
	}
	if (kind != EC_GENERIC && y->i > 0xffff && (ipv4 || key > 0xffff))
		return arena_printf(a, "4-byte value %u can't be used with %s in extended community", y->i,
			ipv4 ? "IP-address key" : "4-byte ASN");
	*out = (struct value){.type = T_EC, .u64 = ec_make(kind, ipv4, key, y->i)};
	return NULL;
}

/* Shell patterns as in `proto ~ "bgp*"`: *, ?, and \ before a literal character. */
static bool glob(const char *pattern, const char *s)
{
	const char *star = NULL, *resume = NULL;

	for (;;) {
		if (*pattern == '*') {
			star = ++pattern;
			resume = s;
			continue;
		}
		if (!*s && !*pattern)
			return true;
		if (*s && *pattern) {
			const char *p = pattern;
			bool any = *p == '?';

			if (*p == '\\' && p[1])
				p++;
			if (any || *p == *s) {
				pattern = p + 1;
				s++;
				continue;
			}
		}
		if (!star || !*resume)
			return false;
		pattern = star;
		s = ++resume;
	}
}

int op_match(struct arena *a, const struct value *x, const struct value *y)
{
	union set_key k;

	switch (y->type) {
	case T_PREFIX_SET:
		if (x->type == T_NET)
			return prefix_set_has_net(y->pset, x->net);
		return -1;
	case T_SET:
		if (!y->set)
			return 0;
		if (x->type == y->set->type || (x->type == T_QUAD && y->set->type == T_IP && y->set->all_v4))
			return set_has(y->set, x);
		if (value_type_is_list(x->type)) {
			if (x->type == T_PATH)
				return set_type_is_32(y->set->type) && y->set->type == T_INT
					       ? path_has_any(&x->list, y->set)
					       : 0;
			if (!list_set_fits(x->type, y->set))
				return -1;
			return list_has_any(x->type, &x->list, y->set);
		}
		return -1;
	case T_CLIST:
		if (x->type == T_INT || x->type == T_PAIR || x->type == T_QUAD)
			k.i = x->i;
		else if (x->type == T_IP && ipaddr_is_v4(&x->ip))
			k.i = ntohl(ipaddr_to_v4(&x->ip));
		else
			return -1;
		return list_has(T_CLIST, &y->list, &k);
	case T_ECLIST:
	case T_LCLIST:
		if (x->type != (y->type == T_ECLIST ? T_EC : T_LC))
			return -1;
		k = set_key_of(x);
		return list_has(y->type, &y->list, &k);
	case T_PATH:
		if (x->type == T_INT)
			return as_path_contains(path_bytes(&y->list), y->list.count, x->i);
		return -1;
	case T_PATH_MASK:
		if (x->type == T_PATH)
			return mask_match(a, y->mask, &x->list);
		return -1;
	case T_NET:
		if (x->type == T_NET)
			return net_contains(y->net, x->net);
		if (x->type == T_IP)
			return y->net->prefix.family && prefix_contains_addr(&y->net->prefix, &x->ip);
		return -1;
	case T_STRING:
		if (x->type == T_STRING)
			return glob(y->s, x->s);
		return -1;
	default: return -1;
	}
}

static const char *defined_list(struct value *out, enum value_type type, struct value_list l)
{
	*out = (struct value){.type = type, .list = l};
	return NULL;
}

static const char *new_net(struct arena *a, const struct net *from, bool source, struct value *out)
{
	struct net *n;
	uint8_t type = NET_IP6;
	struct prefix p;

	switch (from->type) {
	case NET_FLOW4:
	case NET_FLOW6:
		type = from->type == NET_FLOW4 ? NET_IP4 : NET_IP6;
		flow_prefix(from->nlri, type == NET_IP6, source ? FLOW_SRC : FLOW_DST, &p);
		break;
	case NET_IP6_SADR: p = source ? from->src : from->prefix; break;
	default: return "Flow or SADR expected";
	}
	n = arena_alloc(a, sizeof(*n));
	n->type = type;
	n->prefix = p;
	*out = (struct value){.type = T_NET, .net = n};
	return NULL;
}

/* Mask of an address by a length in bits; longer than the address is all of it. */
static struct ipaddr masked(const struct ipaddr *a, uint32_t len)
{
	unsigned max = ipaddr_is_v4(a) ? 32 : 128;

	return prefix_make(a, len > max ? max : len).addr;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* Pairs of digits; blanks, dashes, dots and colons may stand between pairs. */
static const char *from_hex(struct arena *a, const char *s, struct value *out)
{
	struct value_bytes *b = arena_alloc_raw(a, sizeof(*b) + strlen(s) / 2 + 1);

	b->len = 0;
	while (*s) {
		if (strchr(" -.:", *s)) {
			s++;
			continue;
		}
		int high = hex_digit(s[0]), low = high < 0 ? -1 : hex_digit(s[1]);
		if (low < 0)
			return "Invalid hex string";
		b->data[b->len++] = (uint8_t)(high << 4 | low);
		s += 2;
	}
	*out = (struct value){.type = T_BYTESTRING, .bytes = b};
	return NULL;
}

static const char *to_text(struct arena *a, const struct value *x, struct value *out)
{
	char small[512];
	size_t n = value_format(x, small, sizeof(small));
	char *s = arena_alloc_raw(a, n + 1);

	if (n < sizeof(small))
		memcpy(s, small, n + 1);
	else
		value_format(x, s, n + 1);
	*out = (struct value){.type = T_STRING, .s = s};
	return NULL;
}

#define RETURN(t, field, ...)                                                                                \
	do {                                                                                                 \
		*out = (struct value){.type = (t), .field = (__VA_ARGS__)};                                  \
		return NULL;                                                                                 \
	} while (0)

static const char *net_method(enum filter_op op, struct arena *a, const struct net *n, struct value *out)
{
	switch (op) {
	case OP_NET_TYPE: RETURN(T_ENUM_NETTYPE, i, n->type);
	case OP_NET_LEN: RETURN(T_INT, i, net_length(n));
	case OP_NET_IP: RETURN(T_IP, ip, n->prefix.addr);
	case OP_NET_MAXLEN:
		if (n->type != NET_ROA4 && n->type != NET_ROA6)
			return "ROA expected";
		RETURN(T_INT, i, n->maxlen);
	case OP_NET_ASN:
		if (n->type != NET_ROA4 && n->type != NET_ROA6 && n->type != NET_ASPA)
			return "ROA or ASPA expected";
		RETURN(T_INT, i, n->asn);
	case OP_NET_RD:
		if (n->type != NET_VPN4 && n->type != NET_VPN6 && n->type != NET_EVPN)
			return "VPN or EVPN address expected";
		RETURN(T_RD, u64, n->rd);
	case OP_NET_SRC: return new_net(a, n, true, out);
	case OP_NET_DST: return new_net(a, n, false, out);
	case OP_NET_MAC:
		if (n->type != NET_ETH)
			return "Ethernet or EVPN MAC expected";
		out->type = T_MAC;
		memcpy(out->mac, n->mac, 6);
		return NULL;
	default:
		if (n->type != NET_ETH)
			return "Ethernet address expected";
		RETURN(T_INT, i, n->vlan);
	}
}

/* add, delete and filter of the three kinds of list */
static const char *list_method(
	enum filter_op op, struct arena *a, const struct value *x, const struct value *y, struct value *out)
{
	enum value_type t = x->type;
	union set_key k;

	switch (op) {
	case OP_CLIST_ADD_IP:
	case OP_CLIST_DELETE_IP:
		if (!ipaddr_is_v4(&y->ip))
			return "Mismatched IP type";
		memset(&k, 0, sizeof(k));
		k.i = ntohl(ipaddr_to_v4(&y->ip));
		break;
	case OP_CLIST_ADD_CLIST:
	case OP_ECLIST_ADD_ECLIST:
	case OP_LCLIST_ADD_LCLIST: return defined_list(out, t, list_union(a, t, &x->list, &y->list));
	case OP_CLIST_DELETE_CLIST:
	case OP_ECLIST_DELETE_ECLIST:
	case OP_LCLIST_DELETE_LCLIST:
		return defined_list(out, t, list_filter_list(a, t, &x->list, &y->list, false));
	case OP_CLIST_FILTER_CLIST:
	case OP_ECLIST_FILTER_ECLIST:
	case OP_LCLIST_FILTER_LCLIST:
		return defined_list(out, t, list_filter_list(a, t, &x->list, &y->list, true));
	case OP_CLIST_DELETE_SET:
	case OP_ECLIST_DELETE_SET:
	case OP_LCLIST_DELETE_SET:
	case OP_CLIST_FILTER_SET:
	case OP_ECLIST_FILTER_SET:
	case OP_LCLIST_FILTER_SET:
		if (!list_set_fits(t, y->set))
			return "Mismatched set type";
		return defined_list(out, t,
			list_filter_set(a, t, &x->list, y->set,
				op == OP_CLIST_FILTER_SET || op == OP_ECLIST_FILTER_SET ||
					op == OP_LCLIST_FILTER_SET));
	default: k = set_key_of(y);
	}
	switch (op) {
	case OP_CLIST_ADD_PAIR:
	case OP_CLIST_ADD_INT:
	case OP_CLIST_ADD_QUAD:
	case OP_CLIST_ADD_IP:
	case OP_ECLIST_ADD_EC:
	case OP_LCLIST_ADD_LC: return defined_list(out, t, list_add(a, t, &x->list, &k));
	default: return defined_list(out, t, list_remove(a, t, &x->list, &k));
	}
}

static const char *path_method(
	enum filter_op op, struct arena *a, const struct value *x, const struct value *y, struct value *out)
{
	const struct value_list *p = &x->list;

	switch (op) {
	case OP_PATH_LEN: RETURN(T_INT, i, as_path_length(path_bytes(p), p->count));
	case OP_PATH_FIRST: RETURN(T_INT, i, as_path_first(path_bytes(p), p->count));
	case OP_PATH_LAST: RETURN(T_INT, i, as_path_last(path_bytes(p), p->count));
	case OP_PATH_LAST_NONAGGREGATED:
		RETURN(T_INT, i, as_path_last_nonaggregated(path_bytes(p), p->count));
	case OP_PATH_PREPEND: RETURN(T_PATH, list, path_prepend(a, p, y->i));
	case OP_PATH_DELETE_INT: RETURN(T_PATH, list, path_filter(a, p, false, NULL, y->i, false));
	default:
		if (y->set && y->set->type != T_INT)
			return "Mismatched set type";
		RETURN(T_PATH, list, path_filter(a, p, true, y->set, 0, op == OP_PATH_FILTER_SET));
	}
}

const char *op_apply(enum filter_op op, struct arena *a, uint32_t extra, const struct value *x,
	const struct value *y, const struct value *c, struct value *out)
{
	int order;
	bool ok;

	switch (op) {
	case OP_ADD: RETURN(T_INT, i, x->i + y->i);
	case OP_SUBTRACT: RETURN(T_INT, i, x->i - y->i);
	case OP_MULTIPLY: RETURN(T_INT, i, x->i * y->i);
	case OP_DIVIDE:
		if (!y->i)
			return "Mother told me not to divide by 0";
		RETURN(T_INT, i, x->i / y->i);
	case OP_EQ: RETURN(T_BOOL, b, value_equal(x, y));
	case OP_NEQ: RETURN(T_BOOL, b, !value_equal(x, y));
	case OP_LT:
	case OP_LTE:
		order = value_compare(x, y, &ok);
		if (!ok)
			return "Can't compare values of incompatible types";
		RETURN(T_BOOL, b, op == OP_LT ? order < 0 : order <= 0);
	case OP_NOT: RETURN(T_BOOL, b, !x->b);
	case OP_MATCH:
	case OP_NOT_MATCH:
		order = op_match(a, x, y);
		if (order < 0)
			return op == OP_MATCH ? "~ applied on unknown type pair"
					      : "!~ applied on unknown type pair";
		RETURN(T_BOOL, b, order == (op == OP_MATCH));
	case OP_DEFINED:
		RETURN(T_BOOL, b, x->type != T_VOID && !(value_type_is_list(x->type) && !x->list.data));
	case OP_PAIR:
		if (x->i > 0xffff || y->i > 0xffff)
			return "Can't operate with value out of bounds in pair constructor";
		RETURN(T_PAIR, i, x->i << 16 | y->i);
	case OP_EC: return make_ec(a, extra, x, y, out);
	case OP_LC: RETURN(T_LC, lc, (struct lcomm){x->i, y->i, c->i});
	case OP_NET_TYPE:
	case OP_NET_LEN:
	case OP_NET_IP:
	case OP_NET_MAXLEN:
	case OP_NET_ASN:
	case OP_NET_RD:
	case OP_NET_SRC:
	case OP_NET_DST:
	case OP_NET_MAC:
	case OP_NET_VLAN_ID: return net_method(op, a, x->net, out);
	case OP_IP_IS_V4: RETURN(T_BOOL, b, ipaddr_is_v4(&x->ip));
	case OP_IP_MASK: RETURN(T_IP, ip, masked(&x->ip, y->i));
	case OP_PAIR_ASN: RETURN(T_INT, i, x->i >> 16);
	case OP_PAIR_DATA: RETURN(T_INT, i, x->i & 0xffff);
	case OP_LC_ASN: RETURN(T_INT, i, x->lc.asn);
	case OP_LC_DATA1: RETURN(T_INT, i, x->lc.data1);
	case OP_LC_DATA2: RETURN(T_INT, i, x->lc.data2);
	case OP_PATH_LEN:
	case OP_PATH_FIRST:
	case OP_PATH_LAST:
	case OP_PATH_LAST_NONAGGREGATED:
	case OP_PATH_PREPEND:
	case OP_PATH_DELETE_INT:
	case OP_PATH_DELETE_SET:
	case OP_PATH_FILTER_SET: return path_method(op, a, x, y, out);
	case OP_PATH_EMPTY:
	case OP_CLIST_EMPTY:
	case OP_ECLIST_EMPTY:
	case OP_LCLIST_EMPTY: *out = value_empty(x->type); return NULL;
	case OP_CLIST_LEN: RETURN(T_INT, i, x->list.count);
	/* BIRD counts the 32-bit words of these lists in some versions and elements in others; elements it
	 * is. */
	case OP_ECLIST_LEN:
	case OP_LCLIST_LEN: RETURN(T_INT, i, x->list.count);
	case OP_CLIST_MIN: RETURN(T_PAIR, i, list_min(T_CLIST, &x->list).i);
	case OP_CLIST_MAX: RETURN(T_PAIR, i, list_max(T_CLIST, &x->list).i);
	case OP_ECLIST_MIN: RETURN(T_EC, u64, list_min(T_ECLIST, &x->list).u64);
	case OP_ECLIST_MAX: RETURN(T_EC, u64, list_max(T_ECLIST, &x->list).u64);
	case OP_LCLIST_MIN: RETURN(T_LC, lc, list_min(T_LCLIST, &x->list).lc);
	case OP_LCLIST_MAX: RETURN(T_LC, lc, list_max(T_LCLIST, &x->list).lc);
	case OP_STRING_APPEND: {
		size_t n = strlen(x->s), m = strlen(y->s);
		char *s;

		if (n + m > TEXT_MAX)
			return "String too long";
		s = arena_alloc_raw(a, n + m + 1);

		memcpy(s, x->s, n);
		memcpy(s + n, y->s, m + 1);
		RETURN(T_STRING, s, s);
	}
	case OP_BYTESTRING_APPEND: {
		struct value_bytes *b;

		if ((size_t)x->bytes->len + y->bytes->len > TEXT_MAX)
			return "Bytestring too long";
		b = arena_alloc_raw(a, sizeof(*b) + x->bytes->len + y->bytes->len);

		b->len = x->bytes->len + y->bytes->len;
		memcpy(b->data, x->bytes->data, x->bytes->len);
		memcpy(b->data + x->bytes->len, y->bytes->data, y->bytes->len);
		RETURN(T_BYTESTRING, bytes, b);
	}
	case OP_FROM_HEX: return from_hex(a, x->s, out);
	case OP_FORMAT: return to_text(a, x, out);
	default: return list_method(op, a, x, y, out);
	}
}
