/* SPDX-License-Identifier: BSD-2-Clause */
/* Literals of addresses and of every sort of destination. */
#include "controlplane/filter/evpn.h"
#include "controlplane/filter/parse.h"
#include <string.h>

static struct node *net_node(struct parser *p, const struct net *n)
{
	return node_const(p, (struct value){.type = T_NET, .net = arena_memdup(p->arena, n, sizeof(*n))});
}

static struct net net_of(struct prefix prefix)
{
	struct net n;

	memset(&n, 0, sizeof(n));
	n.type = prefix.family == 4 ? NET_IP4 : NET_IP6;
	n.prefix = prefix;
	return n;
}

struct node *parse_address(struct parser *p)
{
	if (parser_peek(p)->kind != '/') {
		struct node *n = node_const(p, (struct value){.type = T_IP, .ip = p->tok.ip});

		parser_next(p);
		return n;
	}
	struct net n = net_of(parser_prefix_literal(p));

	if (parse_at_word(p, "max")) {
		uint32_t max;

		parser_next(p);
		max = parser_number(p);
		parser_expect(p, "as");
		n.asn = parser_number(p);
		if (max < n.prefix.len || max > (n.type == NET_IP4 ? 32u : 128u))
			parser_fail(p, "Invalid max prefix length %u", max);
		n.type = n.type == NET_IP4 ? NET_ROA4 : NET_ROA6;
		n.maxlen = (uint8_t)max;
	} else if (n.type == NET_IP6 && parse_at_word(p, "from")) {
		parser_next(p);
		if (p->tok.kind != TOK_IP6)
			parser_syntax_error(p, "IP6");
		n.type = NET_IP6_SADR;
		n.src = parser_prefix_literal(p);
	}
	return net_node(p, &n);
}

struct node *parse_vpn(struct parser *p)
{
	uint64_t rd = p->tok.u64;

	parser_next(p);
	if (p->tok.kind != TOK_IP4 && p->tok.kind != TOK_IP6)
		return node_const(p, (struct value){.type = T_RD, .u64 = rd});
	struct net n = net_of(parser_prefix_literal(p));

	n.type = n.type == NET_IP4 ? NET_VPN4 : NET_VPN6;
	n.rd = rd;
	return net_node(p, &n);
}

/* ---- evpn ---- */

static uint8_t *put_be(uint8_t *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = bytes; i-- > 0; v >>= 8)
		p[i] = (uint8_t)v;
	return p + bytes;
}

static uint8_t *put_esi(struct parser *p, uint8_t *at)
{
	if (p->tok.kind != TOK_BYTES)
		parser_syntax_error(p, "BYTETEXT");
	if (p->tok.bytes->len != 10)
		parser_fail(p, "Invalid ESI length: %u", p->tok.bytes->len);
	memcpy(at, p->tok.bytes->data, 10);
	parser_next(p);
	return at + 10;
}

static uint8_t *put_address(struct parser *p, uint8_t *at)
{
	struct ipaddr ip = parser_ip(p);
	bool v4 = ipaddr_is_v4(&ip);

	*at++ = v4 ? 32 : 128;
	memcpy(at, ip.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	return at + (v4 ? 4 : 16);
}

/* evpn ead RD TAG ESI | mac RD TAG MAC (IP|*) | imet RD TAG IP | es RD ESI IP */
static struct net evpn_literal(struct parser *p)
{
	static const struct {
		const char *word;
		enum evpn_type type;
	} kinds[] = {{"ead", EVPN_EAD}, {"mac", EVPN_MAC}, {"imet", EVPN_IMET}, {"es", EVPN_ES}};
	struct nlri *nlri = arena_alloc(p->arena, sizeof(*nlri) + EVPN_MAX_BYTES);
	uint8_t *at = nlri->data + 2;
	struct net n;
	unsigned kind = 0;

	memset(&n, 0, sizeof(n));
	n.type = NET_EVPN;
	n.nlri = nlri;
	parser_next(p);
	while (kind < 4 && !parser_is(p, kinds[kind].word))
		kind++;
	if (kind == 4)
		parser_syntax_error(p, NULL);
	parser_next(p);
	if (p->tok.kind != TOK_RD)
		parser_syntax_error(p, "VPN_RD");
	n.rd = p->tok.u64;
	at = put_be(at, n.rd, 8);
	parser_next(p);
	switch (kinds[kind].type) {
	case EVPN_EAD: {
		uint32_t tag = parser_number(p);

		at = put_be(put_be(put_esi(p, at), tag, 4), 0, 3);
		break;
	}
	case EVPN_MAC:
		at = put_be(put_be(put_be(at, 0, 10), parser_number(p), 4), 48, 1);
		if (p->tok.kind != TOK_MAC)
			parser_syntax_error(p, "MAC_");
		memcpy(at, p->tok.mac, 6);
		at += 6;
		parser_next(p);
		at = parser_accept_char(p, '*') ? put_be(at, 0, 1) : put_address(p, at);
		at = put_be(at, 0, 3);
		break;
	case EVPN_IMET:
		at = put_be(at, parser_number(p), 4);
		at = put_address(p, at);
		break;
	default: at = put_address(p, put_esi(p, at));
	}
	nlri->data[0] = kinds[kind].type;
	nlri->data[1] = (uint8_t)(at - nlri->data - 2);
	nlri->len = (uint16_t)(at - nlri->data);
	return n;
}

struct node *parse_other_net(struct parser *p)
{
	struct net n;

	memset(&n, 0, sizeof(n));
	if (parse_at_word(p, "eth")) {
		parser_next(p);
		if (p->tok.kind != TOK_MAC)
			parser_syntax_error(p, "MAC_");
		n.type = NET_ETH;
		memcpy(n.mac, p->tok.mac, 6);
		parser_next(p);
		if (parse_at_word(p, "vlan")) {
			parser_next(p);
			if (p->tok.kind != TOK_NUMBER)
				parser_syntax_error(p, "NUM");
			n.vlan = (uint16_t)p->tok.number;
			parser_next(p);
		}
	} else if (parse_at_word(p, "mpls") || parse_at_word(p, "aspa")) {
		n.type = parser_is(p, "mpls") ? NET_MPLS : NET_ASPA;
		parser_next(p);
		n.asn = parser_number(p);
	} else if (parse_at_word(p, "neighbor")) {
		parser_next(p);
		n.type = NET_NEIGHBOR;
		n.prefix.addr = parser_ip(p);
		parser_expect_char(p, '%');
		n.asn = parser_number(p);
	} else if (parse_at_word(p, "flow4") || parse_at_word(p, "flow6")) {
		n = parse_flow(p);
	} else if (parse_at_word(p, "evpn")) {
		n = evpn_literal(p);
	} else {
		return NULL;
	}
	return net_node(p, &n);
}
