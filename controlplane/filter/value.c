/* SPDX-License-Identifier: BSD-2-Clause */
/* Names, order and text of values. No state; any thread. */
#include "controlplane/filter/value.h"
#include "controlplane/filter/mask.h"
#include "controlplane/filter/path.h"
#include "controlplane/filter/prefix_set.h"
#include "controlplane/filter/set.h"
#include "controlplane/filter/text.h"
#include <stdio.h>

static const char *const type_names[T_ENUM_END] = {
	[T_VOID] = "void",
	[T_BOOL] = "bool",
	[T_INT] = "int",
	[T_PAIR] = "pair",
	[T_QUAD] = "quad",
	[T_IP] = "ip",
	[T_NET] = "prefix",
	[T_RD] = "rd",
	[T_EC] = "ec",
	[T_LC] = "lc",
	[T_STRING] = "string",
	[T_BYTESTRING] = "bytestring",
	[T_MAC] = "mac",
	[T_PATH] = "bgppath",
	[T_PATH_MASK] = "bgpmask",
	[T_CLIST] = "clist",
	[T_ECLIST] = "eclist",
	[T_LCLIST] = "lclist",
	[T_SET] = "set",
	[T_PREFIX_SET] = "set",
	[T_ROUTE] = "route",
	[T_ENUM_RTS] = "enum rts",
	[T_ENUM_RTD] = "enum rtd",
	[T_ENUM_SCOPE] = "enum scope",
	[T_ENUM_ORIGIN] = "enum bgp_origin",
	[T_ENUM_ROA] = "enum roa",
	[T_ENUM_ASPA] = "enum aspa",
	[T_ENUM_NETTYPE] = "enum net_type",
	[T_ENUM_AF] = "enum af",
	[T_ENUM_RA_PREFERENCE] = "enum ra_preference",
	[T_ENUM_MPLS_POLICY] = "enum mpls_policy",
	[T_ENUM_EVPN_TYPE] = "enum net_evpn_type",
	[T_ENUM_KBR_SOURCE] = "enum kbr_source",
};

const char *value_type_name(enum value_type t)
{
	return t < T_ENUM_END && type_names[t] ? type_names[t] : "?";
}

/* The number that an enum's text shows: `(enum 30)1`. */
static unsigned enum_code(enum value_type t)
{
	switch (t) {
	case T_ENUM_RTS: return 0x30;
	case T_ENUM_ORIGIN: return 0x31;
	case T_ENUM_SCOPE: return 0x32;
	case T_ENUM_RTD: return 0x33;
	case T_ENUM_ROA: return 0x34;
	case T_ENUM_ASPA: return 0x35;
	case T_ENUM_NETTYPE: return 0x36;
	case T_ENUM_RA_PREFERENCE: return 0x37;
	case T_ENUM_AF: return 0x38;
	case T_ENUM_MPLS_POLICY: return 0x39;
	case T_ENUM_EVPN_TYPE: return 0x3a;
	case T_ENUM_KBR_SOURCE: return 0x3b;
	default: return 0x3f;
	}
}

struct value value_empty(enum value_type t)
{
	struct value v = {.type = T_VOID};

	if (value_type_is_list(t))
		v.type = t;
	return v;
}

static int order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int sign(int c)
{
	return (c > 0) - (c < 0);
}

static int lc_order(const struct lcomm *a, const struct lcomm *b)
{
	if (a->asn != b->asn)
		return order(a->asn, b->asn);
	if (a->data1 != b->data1)
		return order(a->data1, b->data1);
	return order(a->data2, b->data2);
}

static bool is_v4(const struct value *v)
{
	return v->type == T_IP && ipaddr_is_v4(&v->ip);
}

int value_compare(const struct value *a, const struct value *b, bool *ok)
{
	*ok = true;
	if (a->type != b->type) {
		/* void sorts below everything: a label of `case` may be missing */
		if (a->type == T_VOID)
			return -1;
		if (b->type == T_VOID)
			return 1;
		/* A quad is written like an IPv4 address, so the two compare as numbers. */
		if (a->type == T_QUAD && is_v4(b))
			return order(a->i, ntohl(ipaddr_to_v4(&b->ip)));
		if (is_v4(a) && b->type == T_QUAD)
			return order(ntohl(ipaddr_to_v4(&a->ip)), b->i);
		*ok = false;
		return 0;
	}
	switch (a->type) {
	case T_VOID: return 0;
	case T_BOOL: return order(a->b, b->b);
	case T_INT:
	case T_PAIR:
	case T_QUAD: return order(a->i, b->i);
	case T_EC:
	case T_RD: return order(a->u64, b->u64);
	case T_LC: return lc_order(&a->lc, &b->lc);
	case T_IP: return sign(ipaddr_cmp(&a->ip, &b->ip));
	case T_MAC: return sign(memcmp(a->mac, b->mac, 6));
	case T_NET: return net_compare(a->net, b->net);
	case T_STRING: return sign(strcmp(a->s, b->s));
	case T_PATH: return path_compare(&a->list, &b->list);
	default:
		if (value_type_is_enum(a->type))
			return order(a->i, b->i);
		*ok = false;
		return 0;
	}
}

bool value_equal(const struct value *a, const struct value *b)
{
	static const uint8_t element[] = {[T_CLIST] = 4, [T_ECLIST] = 8, [T_LCLIST] = sizeof(struct lcomm)};
	bool ok;
	int c = value_compare(a, b, &ok);

	if (ok)
		return c == 0;
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case T_BYTESTRING:
		return a->bytes->len == b->bytes->len &&
		       !memcmp(a->bytes->data, b->bytes->data, a->bytes->len);
	case T_CLIST:
	case T_ECLIST:
	case T_LCLIST:
		return a->list.count == b->list.count &&
		       (!a->list.count ||
			       !memcmp(a->list.data, b->list.data, (size_t)a->list.count * element[a->type]));
	case T_PATH_MASK: return mask_equal(a->mask, b->mask);
	case T_SET: return set_equal(a->set, b->set);
	case T_PREFIX_SET: return prefix_set_equal(a->pset, b->pset);
	default: return false;
	}
}

size_t ec_format(uint64_t ec, char *buf, size_t size)
{
	uint32_t type = (uint32_t)(ec >> 48), key = (uint32_t)(ec >> 16), val = (uint32_t)ec;
	char unknown[20], ip[INET_ADDRSTRLEN];
	const char *kind = unknown;
	uint32_t be = htonl(key);

	switch (type & 0xf0ff) {
	case 0x0002: kind = "rt"; break;
	case 0x0003: kind = "ro"; break;
	default: snprintf(unknown, sizeof(unknown), "unknown 0x%x", type);
	}
	switch (ec >> 56) {
	case 0x00: /* RFC 4360 section 3.1: two-octet AS */
	case 0x40: return (size_t)snprintf(buf, size, "(%s, %u, %u)", kind, key >> 16, val);
	case 0x01: /* RFC 4360 section 3.2: IPv4 address */
	case 0x41:
		inet_ntop(AF_INET, &be, ip, sizeof(ip));
		return (size_t)snprintf(buf, size, "(%s, %s, %u)", kind, ip, val & 0xffff);
	case 0x02: /* RFC 5668: four-octet AS */
	case 0x42: return (size_t)snprintf(buf, size, "(%s, %u, %u)", kind, key, val & 0xffff);
	default: return (size_t)snprintf(buf, size, "(generic, 0x%x, 0x%x)", (uint32_t)(ec >> 32), val);
	}
}

size_t lc_format(const struct lcomm *lc, char *buf, size_t size)
{
	return (size_t)snprintf(buf, size, "(%u, %u, %u)", lc->asn, lc->data1, lc->data2);
}

static void format_quad(struct text *t, uint32_t q)
{
	text_printf(t, "%u.%u.%u.%u", q >> 24, q >> 16 & 255, q >> 8 & 255, q & 255);
}

static void format_list(struct text *t, const struct value *v)
{
	static const char *const names[] = {
		[T_CLIST] = "clist", [T_ECLIST] = "eclist", [T_LCLIST] = "lclist"};
	char buf[64];

	text_printf(t, "(%s ", names[v->type]);
	for (uint32_t i = 0; i < v->list.count; i++) {
		if (i)
			text_char(t, ' ');
		if (v->type == T_CLIST) {
			uint32_t c = ((const uint32_t *)v->list.data)[i];

			text_printf(t, "(%u,%u)", c >> 16, c & 0xffff);
		} else if (v->type == T_ECLIST) {
			ec_format(((const uint64_t *)v->list.data)[i], buf, sizeof(buf));
			text_puts(t, buf);
		} else {
			lc_format((const struct lcomm *)v->list.data + i, buf, sizeof(buf));
			text_puts(t, buf);
		}
	}
	text_char(t, ')');
}

void value_put(struct text *t, const struct value *v)
{
	char buf[160];

	switch (v->type) {
	case T_VOID: text_puts(t, "(void)"); return;
	case T_BOOL: text_puts(t, v->b ? "TRUE" : "FALSE"); return;
	case T_INT: text_u32(t, v->i); return;
	case T_PAIR: text_printf(t, "(%u,%u)", v->i >> 16, v->i & 0xffff); return;
	case T_QUAD: format_quad(t, v->i); return;
	case T_IP: text_puts(t, ipaddr_format(&v->ip, buf)); return;
	case T_NET: {
		char net[NET_STRLEN];

		net_format(v->net, net, sizeof(net));
		text_puts(t, net);
		return;
	}
	case T_RD:
		rd_format(v->u64, buf, sizeof(buf));
		text_puts(t, buf);
		return;
	case T_EC:
		ec_format(v->u64, buf, sizeof(buf));
		text_puts(t, buf);
		return;
	case T_LC:
		lc_format(&v->lc, buf, sizeof(buf));
		text_puts(t, buf);
		return;
	case T_STRING: text_puts(t, v->s); return;
	case T_BYTESTRING:
		for (uint32_t i = 0; i < v->bytes->len; i++)
			text_printf(t, i ? ":%02x" : "%02x", v->bytes->data[i]);
		return;
	case T_MAC:
		text_printf(t, "%02x:%02x:%02x:%02x:%02x:%02x", v->mac[0], v->mac[1], v->mac[2], v->mac[3],
			v->mac[4], v->mac[5]);
		return;
	case T_PATH:
		text_puts(t, "(path ");
		path_put(t, &v->list);
		text_char(t, ')');
		return;
	case T_CLIST:
	case T_ECLIST:
	case T_LCLIST: format_list(t, v); return;
	case T_PATH_MASK: mask_put(t, v->mask); return;
	case T_SET: set_put(t, v->set); return;
	case T_PREFIX_SET: prefix_set_put(t, v->pset); return;
	case T_ROUTE: text_puts(t, "[No route]"); return;
	default:
		if (value_type_is_enum(v->type))
			text_printf(t, "(enum %x)%u", enum_code(v->type), v->i);
		else
			text_printf(t, "[unknown type %x]", v->type);
	}
}

size_t value_format(const struct value *v, char *buf, size_t size)
{
	struct text t = text_make(buf, size);

	value_put(&t, v);
	return t.len;
}
