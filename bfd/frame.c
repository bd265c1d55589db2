/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames: see frame.h. Checksums are sums of 16-bit words in memory order,
 * which come out right on either endianness (RFC 1071 section 2 B), so nothing
 * is swapped but the lengths that are added.
 */
#include "bfd/frame.h"
#include "bfd/packet.h"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define ETH_LEN 14
#define VLAN_LEN 4
#define IP4_LEN 20
#define IP6_LEN 40
#define UDP_LEN 8

#define ETHERTYPE_V4 0x0800
#define ETHERTYPE_V6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define PROTO_UDP 17
#define TOS_CONTROL 0xc0 /* class selector 6, as routing protocols have */

static void put16(uint8_t *b, uint16_t v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static uint16_t get16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

/* Sum of 16-bit words in memory order, not folded. An odd last byte is followed by a zero. */
static uint64_t sum_bytes(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;
	uint32_t w;

	for (; len >= 4; p += 4, len -= 4) {
		memcpy(&w, p, 4);
		sum += w;
	}
	if (len) {
		w = 0;
		memcpy(&w, p, len);
		sum += w;
	}
	return sum;
}

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void store_sum(uint8_t *at, uint16_t sum)
{
	memcpy(at, &sum, 2); /* memory order in, memory order out */
}

static uint8_t *init_ip4(struct bfd_frame *f, uint8_t *ip, const struct bfd_frame_addr *a)
{
	ip[0] = 0x45;
	ip[1] = TOS_CONTROL;
	put16(ip + 6, 0x4000); /* don't fragment; the id may then be 0 (RFC 6864) */
	ip[8] = a->ttl;
	ip[9] = PROTO_UDP;
	memcpy(ip + 12, a->src.b + 12, 4);
	memcpy(ip + 16, a->dst.b + 12, 4);
	f->ip_sum_base = fold(sum_bytes(ip, IP4_LEN));
	f->udp_sum_base = fold(sum_bytes(ip + 12, 8));
	return ip + IP4_LEN;
}

static uint8_t *init_ip6(struct bfd_frame *f, uint8_t *ip, const struct bfd_frame_addr *a)
{
	ip[0] = 0x60 | TOS_CONTROL >> 4;
	ip[1] = (TOS_CONTROL << 4) & 0xff;
	ip[6] = PROTO_UDP;
	ip[7] = a->ttl;
	memcpy(ip + 8, a->src.b, 16);
	memcpy(ip + 24, a->dst.b, 16);
	f->udp_sum_base = fold(sum_bytes(ip + 8, 32));
	return ip + IP6_LEN;
}

void bfd_frame_init(struct bfd_frame *f, const struct bfd_frame_addr *a)
{
	uint8_t *p = f->headers;

	memset(f, 0, sizeof(*f));
	f->v6 = !ipaddr_is_v4(&a->dst);
	memcpy(p, a->dst_mac, 6);
	memcpy(p + 6, a->src_mac, 6);
	p += 12;
	if (a->vlan) {
		put16(p, ETHERTYPE_VLAN);
		put16(p + 2, (uint16_t)(6 << 13 | (a->vlan & 0xfff))); /* priority 6, as the traffic class */
		p += VLAN_LEN;
	}
	put16(p, f->v6 ? ETHERTYPE_V6 : ETHERTYPE_V4);
	p += 2;
	f->l2_len = (uint8_t)(p - f->headers);
	p = f->v6 ? init_ip6(f, p, a) : init_ip4(f, p, a);
	put16(p, a->sport);
	put16(p + 2, a->dport);
	f->udp_sum_base += (uint32_t)sum_bytes(p, 4) % 0xffff + htons(PROTO_UDP);
	f->headers_len = (uint8_t)(p + UDP_LEN - f->headers);
}

uint16_t bfd_frame_write(const struct bfd_frame *f, const uint8_t *payload, uint16_t len, uint8_t *out)
{
	uint16_t udp_len = (uint16_t)(UDP_LEN + len), sum;
	uint8_t *ip = out + f->l2_len, *udp = out + f->headers_len - UDP_LEN;

	/* Nearly all are these: lengths that the compiler knows are a few moves. */
	if (f->headers_len == ETH_LEN + IP4_LEN + UDP_LEN)
		memcpy(out, f->headers, ETH_LEN + IP4_LEN + UDP_LEN);
	else
		memcpy(out, f->headers, f->headers_len);
	if (len == BFD_PACKET_LEN)
		memcpy(out + f->headers_len, payload, BFD_PACKET_LEN);
	else
		memcpy(out + f->headers_len, payload, len);
	if (f->v6) {
		put16(ip + 4, udp_len);
	} else {
		uint16_t total = (uint16_t)(IP4_LEN + udp_len);
		put16(ip + 2, total);
		store_sum(ip + 10, (uint16_t)~fold((uint64_t)f->ip_sum_base + htons(total)));
	}
	put16(udp + 4, udp_len);
	/* The length is in the pseudo header and in the UDP header. */
	sum = (uint16_t)~fold((uint64_t)f->udp_sum_base + 2u * htons(udp_len) + sum_bytes(payload, len));
	store_sum(udp + 6, sum ? sum : 0xffff); /* 0 would say "no checksum" */
	return (uint16_t)(f->headers_len + len);
}

static int check_udp(const uint8_t *udp, uint32_t room, uint64_t pseudo_sum, bool zero_allowed,
	bool partial_csum, struct bfd_rx *rx)
{
	uint16_t udp_len;

	if (room < UDP_LEN)
		return -EINVAL;
	udp_len = get16(udp + 4);
	if (udp_len < UDP_LEN || udp_len > room)
		return -EINVAL;
	if (!partial_csum) {
		bool none = udp[6] == 0 && udp[7] == 0;

		if (none && !zero_allowed)
			return -EBADMSG; /* RFC 8200 section 8.1 */
		if (!none && fold(pseudo_sum + htons(PROTO_UDP) + htons(udp_len) + sum_bytes(udp, udp_len)) !=
				     0xffff)
			return -EBADMSG;
	}
	rx->sport = get16(udp);
	rx->dport = get16(udp + 2);
	rx->payload = udp + UDP_LEN;
	rx->len = (uint16_t)(udp_len - UDP_LEN);
	return 0;
}

static int parse_ip4(const uint8_t *ip, uint32_t room, bool partial_csum, struct bfd_rx *rx)
{
	uint32_t header, total;
	uint32_t be;

	if (room < IP4_LEN || ip[0] >> 4 != 4)
		return -EINVAL;
	header = (ip[0] & 15) * 4u;
	total = get16(ip + 2);
	if (header < IP4_LEN || total < header || total > room)
		return -EINVAL;
	if (ip[9] != PROTO_UDP || (get16(ip + 6) & 0x3fff))
		return -EINVAL; /* more fragments, or not the first */
	if (fold(sum_bytes(ip, header)) != 0xffff)
		return -EBADMSG;
	rx->ttl = ip[8];
	memcpy(&be, ip + 12, 4);
	rx->src = ipaddr_v4(be);
	memcpy(&be, ip + 16, 4);
	rx->dst = ipaddr_v4(be);
	return check_udp(ip + header, total - header, sum_bytes(ip + 12, 8), true, partial_csum, rx);
}

static int parse_ip6(const uint8_t *ip, uint32_t room, bool partial_csum, struct bfd_rx *rx)
{
	uint32_t payload;

	if (room < IP6_LEN || ip[0] >> 4 != 6 || ip[6] != PROTO_UDP)
		return -EINVAL;
	payload = get16(ip + 4);
	if (payload > room - IP6_LEN)
		return -EINVAL;
	rx->ttl = ip[7];
	rx->src = ipaddr_v6(ip + 8);
	rx->dst = ipaddr_v6(ip + 24);
	return check_udp(ip + IP6_LEN, payload, sum_bytes(ip + 8, 32), false, partial_csum, rx);
}

int bfd_frame_parse(const uint8_t *frame, uint32_t len, bool partial_csum, struct bfd_rx *rx)
{
	uint32_t l2 = ETH_LEN;
	uint16_t type;

	if (len < ETH_LEN)
		return -EINVAL;
	type = get16(frame + 12);
	if (type == ETHERTYPE_VLAN) {
		l2 += VLAN_LEN;
		if (len < l2)
			return -EINVAL;
		type = get16(frame + 16);
	}
	if (type == ETHERTYPE_V4)
		return parse_ip4(frame + l2, len - l2, partial_csum, rx);
	if (type == ETHERTYPE_V6)
		return parse_ip6(frame + l2, len - l2, partial_csum, rx);
	return -EINVAL;
}

bool bfd_frame_reflect(uint8_t *frame)
{
	uint8_t *ip = frame + ETH_LEN + (get16(frame + 12) == ETHERTYPE_VLAN ? VLAN_LEN : 0), mac[6];
	uint8_t *ttl = ip[0] >> 4 == 4 ? ip + 8 : ip + 7;

	if (*ttl <= 1)
		return false;
	--*ttl;
	if (ip[0] >> 4 == 4) {
		/* RFC 1624, equation 3, for the word of which the TTL is the upper byte. */
		uint16_t sum = get16(ip + 10), word = get16(ip + 8);
		uint32_t fresh = (uint32_t)(uint16_t)~sum + (uint16_t) ~(word + 0x100) + word;
		fresh = (fresh & 0xffff) + (fresh >> 16);
		fresh = (fresh & 0xffff) + (fresh >> 16);
		put16(ip + 10, (uint16_t)~fresh);
	}
	memcpy(mac, frame, 6);
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, mac, 6);
	return true;
}
