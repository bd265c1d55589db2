/* SPDX-License-Identifier: BSD-2-Clause */
/* Literals of addresses and of every sort of destination. */
#include "controlplane/filter/parse.h"
#include "shared/hash.h"
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

/* A digest of what is said of an EVPN route: equal to itself. */
static uint64_t digest_token(uint64_t digest, const struct token *t)
{
	const char *text =
		t->kind == TOK_KEYWORD || t->kind == TOK_SYMBOL || t->kind == TOK_TEXT ? t->text : NULL;
	uint64_t part = (uint64_t)t->kind;

	if (text)
		part = hash_bytes(text, strlen(text), part);
	else if (t->kind == TOK_NUMBER)
		part = hash_bytes(&t->number, sizeof(t->number), part);
	else if (t->kind == TOK_IP4 || t->kind == TOK_IP6)
		part = hash_bytes(&t->ip, sizeof(t->ip), part);
	else if (t->kind == TOK_RD)
		part = hash_bytes(&t->u64, sizeof(t->u64), part);
	else if (t->kind == TOK_MAC)
		part = hash_bytes(t->mac, sizeof(t->mac), part);
	return hash_bytes(&part, sizeof(part), digest);
}

/* evpn ead|mac|imet|es RD and what identifies the route: numbers, addresses, identifiers */
static struct net evpn_literal(struct parser *p)
{
	static const char *const kinds[] = {"ead", "mac", "imet", "es"};
	struct nlri *nlri = arena_alloc(p->arena, sizeof(*nlri) + sizeof(uint64_t));
	uint64_t digest = 0;
	struct net n;
	unsigned kind = 0;

	memset(&n, 0, sizeof(n));
	n.type = NET_EVPN;
	n.nlri = nlri;
	parser_warn(p, &p->tok, "EVPN networks are parsed but match nothing");
	parser_next(p);
	while (kind < 4 && !parser_is(p, kinds[kind]))
		kind++;
	if (kind == 4)
		parser_syntax_error(p, NULL);
	digest = digest_token(digest, &p->tok);
	parser_next(p);
	if (p->tok.kind != TOK_RD)
		parser_syntax_error(p, "VPN_RD");
	n.rd = p->tok.u64;
	while (p->tok.kind == TOK_RD || p->tok.kind == TOK_NUMBER || p->tok.kind == TOK_MAC ||
		p->tok.kind == TOK_BYTES || p->tok.kind == TOK_IP4 || p->tok.kind == TOK_IP6 ||
		(p->tok.kind == '*' && kind == 1)) {
		digest = digest_token(digest, &p->tok);
		parser_next(p);
	}
	nlri->len = sizeof(digest);
	memcpy(nlri->data, &digest, sizeof(digest));
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
