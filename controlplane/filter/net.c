/* SPDX-License-Identifier: BSD-2-Clause */
/* Destinations of every table type: text, order, containment. Pure, any thread. */
#include "controlplane/config/arena.h"
#include "controlplane/filter/evpn.h"
#include "controlplane/filter/flow.h"
#include "controlplane/filter/text.h"
#include "controlplane/filter/value.h"
#include <stdio.h>

size_t rd_format(uint64_t rd, char *buf, size_t size)
{
	uint32_t high = (uint32_t)(rd >> 16), low = (uint32_t)rd;
	char ip[INET_ADDRSTRLEN];
	uint32_t be = htonl(high);

	switch (rd >> 48) {
	case 0: return (size_t)snprintf(buf, size, "%u:%u", (uint32_t)(rd >> 32), low);
	case 1:
		inet_ntop(AF_INET, &be, ip, sizeof(ip));
		return (size_t)snprintf(buf, size, "%s:%u", ip, low & 0xffff);
	case 2: return (size_t)snprintf(buf, size, high >> 16 ? "%u:%u" : "2:%u:%u", high, low & 0xffff);
	default: return (size_t)snprintf(buf, size, "X:%08x:%08x", (uint32_t)(rd >> 32), low);
	}
}

size_t net_format(const struct net *n, char *buf, size_t size)
{
	struct text t = text_make(buf, size);
	char p[PREFIX_STRLEN], s[PREFIX_STRLEN], rd[40];

	switch (n->type) {
	case NET_IP4:
	case NET_IP6: text_puts(&t, prefix_format(&n->prefix, p)); break;
	case NET_FLOW4:
	case NET_FLOW6: return flow_format(n->nlri, n->type == NET_FLOW6, buf, size);
	case NET_EVPN: return evpn_format(n->nlri, buf, size);
	case NET_VPN4:
	case NET_VPN6:
		rd_format(n->rd, rd, sizeof(rd));
		text_printf(&t, "%s %s", rd, prefix_format(&n->prefix, p));
		break;
	case NET_ROA4:
	case NET_ROA6: text_printf(&t, "%s-%u AS%u", prefix_format(&n->prefix, p), n->maxlen, n->asn); break;
	case NET_IP6_SADR:
		text_printf(&t, "%s from %s", prefix_format(&n->prefix, p), prefix_format(&n->src, s));
		break;
	case NET_ETH:
		text_printf(&t, "%02x:%02x:%02x:%02x:%02x:%02x", n->mac[0], n->mac[1], n->mac[2], n->mac[3],
			n->mac[4], n->mac[5]);
		if (n->vlan)
			text_printf(&t, " vlan %u", n->vlan);
		break;
	case NET_MPLS:
	case NET_ASPA: text_u32(&t, n->asn); break;
	case NET_NEIGHBOR: text_printf(&t, "%s%%%u", ipaddr_format(&n->prefix.addr, p), n->asn); break;
	default: text_printf(&t, "[net type %u]", n->type);
	}
	return t.len;
}

static int order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int prefix_order(const struct prefix *a, const struct prefix *b)
{
	int c = ipaddr_cmp(&a->addr, &b->addr);

	return c ? (c > 0) - (c < 0) : order(a->len, b->len);
}

int net_compare(const struct net *a, const struct net *b)
{
	int c;

	if (a->type != b->type)
		return order(a->type, b->type);
	switch (a->type) {
	case NET_VPN4:
	case NET_VPN6:
		if ((c = order(a->rd, b->rd)))
			return c;
		return prefix_order(&a->prefix, &b->prefix);
	case NET_ROA4:
	case NET_ROA6:
		if ((c = prefix_order(&a->prefix, &b->prefix)) || (c = order(a->maxlen, b->maxlen)))
			return c;
		return order(a->asn, b->asn);
	case NET_IP6_SADR:
		if ((c = prefix_order(&a->prefix, &b->prefix)))
			return c;
		return prefix_order(&a->src, &b->src);
	case NET_ETH:
		if ((c = memcmp(a->mac, b->mac, 6)))
			return (c > 0) - (c < 0);
		return order(a->vlan, b->vlan);
	case NET_MPLS:
	case NET_ASPA: return order(a->asn, b->asn);
	case NET_NEIGHBOR:
		if ((c = ipaddr_cmp(&a->prefix.addr, &b->prefix.addr)))
			return (c > 0) - (c < 0);
		return order(a->asn, b->asn);
	case NET_FLOW4:
	case NET_FLOW6:
	case NET_EVPN:
		if ((c = prefix_order(&a->prefix, &b->prefix)) || (c = order(a->nlri->len, b->nlri->len)))
			return c;
		c = memcmp(a->nlri->data, b->nlri->data, a->nlri->len);
		return (c > 0) - (c < 0);
	default: return prefix_order(&a->prefix, &b->prefix);
	}
}

bool net_equal(const struct net *a, const struct net *b)
{
	/* In the order of what is likely to differ; what one type has no use for is zero. */
	return a->type == b->type && !net_compare(a, b) && a->maxlen == b->maxlen && a->asn == b->asn &&
	       a->rd == b->rd && a->vlan == b->vlan;
}

struct net *net_copy(struct arena *a, const struct net *n)
{
	struct net *copy = arena_memdup(a, n, sizeof(*n));

	if (net_type_has_nlri(n->type) && n->nlri)
		copy->nlri = arena_memdup(a, n->nlri, sizeof(*n->nlri) + n->nlri->len);
	return copy;
}

bool net_contains(const struct net *outer, const struct net *inner)
{
	return outer->type == inner->type && outer->prefix.family &&
	       prefix_contains(&outer->prefix, &inner->prefix);
}
