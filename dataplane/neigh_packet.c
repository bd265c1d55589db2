/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/neigh_packet.h"
#include <errno.h>
#include <netinet/icmp6.h>
#include <string.h>

#define ETH_LEN 14
#define VLAN_LEN 4
#define ARP_LEN 28
#define IP6_LEN 40
#define ND_LEN (8 + 16 + 8) /* header, target, one link-layer address option */

static uint16_t get16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static void put16(uint8_t *b, uint16_t v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static uint32_t sum_bytes(const uint8_t *b, unsigned len, uint32_t sum)
{
	for (unsigned i = 0; i + 1 < len; i += 2)
		sum += get16(b + i);
	return len & 1 ? sum + (uint32_t)(b[len - 1] << 8) : sum;
}

/* Over the ICMPv6 message and its pseudo-header (RFC 4443 section 2.3): 0 when the message with its checksum
 * is right. */
static uint16_t icmp6_sum(const uint8_t *ip6, const uint8_t *icmp, unsigned len)
{
	uint32_t sum = sum_bytes(ip6 + 8, 32, len + IPPROTO_ICMPV6);

	sum = sum_bytes(icmp, len, sum);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint16_t neigh_packet_untag(uint8_t *frame, uint16_t *len)
{
	uint16_t vid;

	if (*len < ETH_LEN + VLAN_LEN || get16(frame + 12) != 0x8100)
		return 0;
	vid = get16(frame + 14) & 0xfff;
	memmove(frame + 12, frame + 16, *len - 16u);
	*len -= VLAN_LEN;
	return vid;
}

uint16_t neigh_packet_tag(uint8_t *frame, uint16_t len, uint16_t vid)
{
	if (!vid)
		return len;
	memmove(frame + 16, frame + 12, len - 12u);
	put16(frame + 12, 0x8100);
	put16(frame + 14, vid);
	return (uint16_t)(len + VLAN_LEN);
}

static int parse_arp(const uint8_t *a, unsigned len, struct neigh_packet *out)
{
	static const uint8_t ethernet_ipv4[6] = {0, 1, 8, 0, 6, 4};
	uint16_t op;
	uint32_t be;

	if (len < ARP_LEN || memcmp(a, ethernet_ipv4, sizeof(ethernet_ipv4)))
		return -EINVAL;
	op = get16(a + 6);
	if (op != 1 && op != 2)
		return -EINVAL;
	out->request = op == 1;
	memcpy(out->sender_mac, a + 8, 6);
	out->has_mac = true;
	memcpy(&be, a + 14, 4);
	out->sender = ipaddr_v4(be);
	memcpy(&be, a + 24, 4);
	out->target = ipaddr_v4(be);
	return 0;
}

static int parse_nd(const uint8_t *ip6, unsigned len, struct neigh_packet *out)
{
	const uint8_t *icmp = ip6 + IP6_LEN;
	unsigned icmp_len;
	uint8_t want;

	if (len < IP6_LEN + 24 || ip6[0] >> 4 != 6 || ip6[6] != IPPROTO_ICMPV6 || ip6[7] != 255)
		return -EINVAL;
	icmp_len = get16(ip6 + 4);
	if (icmp_len < 24 || icmp_len > len - IP6_LEN || icmp[1] != 0 || icmp6_sum(ip6, icmp, icmp_len) != 0)
		return -EINVAL;
	if (icmp[0] != ND_NEIGHBOR_SOLICIT && icmp[0] != ND_NEIGHBOR_ADVERT)
		return -EINVAL;
	out->v6 = true;
	out->request = icmp[0] == ND_NEIGHBOR_SOLICIT;
	out->target = ipaddr_v6(icmp + 8);
	out->sender = out->request ? ipaddr_v6(ip6 + 8) : out->target;
	want = out->request ? ND_OPT_SOURCE_LINKADDR : ND_OPT_TARGET_LINKADDR;
	for (unsigned at = 24; at + 8 <= icmp_len && icmp[at + 1]; at += icmp[at + 1] * 8u)
		if (icmp[at] == want && icmp[at + 1] == 1) {
			memcpy(out->sender_mac, icmp + at + 2, 6);
			out->has_mac = true;
			break;
		}
	return 0;
}

int neigh_packet_parse(const uint8_t *frame, uint16_t len, struct neigh_packet *out)
{
	memset(out, 0, sizeof(*out));
	if (len < ETH_LEN)
		return -EINVAL;
	switch (get16(frame + 12)) {
	case 0x0806: return parse_arp(frame + ETH_LEN, len - ETH_LEN, out);
	case 0x86dd: return parse_nd(frame + ETH_LEN, len - ETH_LEN, out);
	default: return -EINVAL;
	}
}

static uint16_t build_arp(uint8_t *f, uint16_t op, const uint8_t mac[6], const struct ipaddr *own,
	const uint8_t dst_mac[6], const struct ipaddr *dst)
{
	static const uint8_t head[6] = {0, 1, 8, 0, 6, 4}, everybody[6] = {255, 255, 255, 255, 255, 255},
			     nobody[6];
	uint8_t *a = f + ETH_LEN;

	memset(f, 0, 60);
	memcpy(f, op == 1 ? everybody : dst_mac, 6);
	memcpy(f + 6, mac, 6);
	put16(f + 12, 0x0806);
	memcpy(a, head, 6);
	put16(a + 6, op);
	memcpy(a + 8, mac, 6);
	memcpy(a + 14, &own->w[3], 4);
	memcpy(a + 18, op == 1 ? nobody : dst_mac, 6);
	memcpy(a + 24, &dst->w[3], 4);
	return 60;
}

static uint16_t build_nd(uint8_t *f, uint8_t type, const uint8_t mac[6], const struct ipaddr *own,
	const uint8_t dst_mac[6], const struct ipaddr *dst, const struct ipaddr *target)
{
	uint8_t *ip6 = f + ETH_LEN, *icmp = ip6 + IP6_LEN;
	uint16_t sum;

	memset(f, 0, ETH_LEN + IP6_LEN + ND_LEN);
	memcpy(f, dst_mac, 6);
	memcpy(f + 6, mac, 6);
	put16(f + 12, 0x86dd);
	ip6[0] = 0x60;
	put16(ip6 + 4, ND_LEN);
	ip6[6] = IPPROTO_ICMPV6;
	ip6[7] = 255;
	memcpy(ip6 + 8, own->b, 16);
	memcpy(ip6 + 24, dst->b, 16);
	icmp[0] = type;
	icmp[4] = type == ND_NEIGHBOR_ADVERT ? 0x60 : 0; /* solicited, override */
	memcpy(icmp + 8, target->b, 16);
	icmp[24] = type == ND_NEIGHBOR_ADVERT ? ND_OPT_TARGET_LINKADDR : ND_OPT_SOURCE_LINKADDR;
	icmp[25] = 1;
	memcpy(icmp + 26, mac, 6);
	sum = icmp6_sum(ip6, icmp, ND_LEN);
	put16(icmp + 2, sum);
	return ETH_LEN + IP6_LEN + ND_LEN;
}

uint16_t neigh_packet_request(
	uint8_t *frame, const uint8_t mac[6], const struct ipaddr *own, const struct ipaddr *target)
{
	/* The solicited-node group of the target: RFC 4291 section 2.7.1, RFC 2464 section 7. */
	struct ipaddr group = {.b = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, target->b[13],
				       target->b[14], target->b[15]}};
	uint8_t group_mac[6] = {0x33, 0x33, 0xff, target->b[13], target->b[14], target->b[15]};

	if (ipaddr_is_v4(target))
		return build_arp(frame, 1, mac, own, NULL, target);
	return build_nd(frame, ND_NEIGHBOR_SOLICIT, mac, own, group_mac, &group, target);
}

uint16_t neigh_packet_reply(uint8_t *frame, const uint8_t mac[6], const struct ipaddr *own,
	const uint8_t dst_mac[6], const struct ipaddr *dst)
{
	if (ipaddr_is_v4(dst))
		return build_arp(frame, 2, mac, own, dst_mac, dst);
	return build_nd(frame, ND_NEIGHBOR_ADVERT, mac, own, dst_mac, dst, own);
}
