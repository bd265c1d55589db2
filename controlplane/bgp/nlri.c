/* SPDX-License-Identifier: BSD-2-Clause */
/* Families whose destinations are no prefixes; see nlri.h. */
#include "controlplane/bgp/nlri.h"
#include "controlplane/filter/evpn.h"
#include "controlplane/filter/flow.h"
#include <errno.h>

enum net_type bgp_family_net(uint16_t afi, uint8_t safi)
{
	bool v6 = afi == BGP_AFI_IPV6;

	if (afi == BGP_AFI_L2VPN)
		return safi == BGP_SAFI_EVPN ? NET_EVPN : NET_NONE;
	if (afi != BGP_AFI_IPV4 && afi != BGP_AFI_IPV6)
		return NET_NONE;
	switch (safi) {
	case BGP_SAFI_UNICAST: return v6 ? NET_IP6 : NET_IP4;
	case BGP_SAFI_VPN: return v6 ? NET_VPN6 : NET_VPN4;
	case BGP_SAFI_FLOW: return v6 ? NET_FLOW6 : NET_FLOW4;
	default: return NET_NONE;
	}
}

/* ---- flow specifications ---- */

/* RFC 8955 section 4.1: one byte up to 239, else two of which the first begins with 0xf. */
static int take_flow(struct bgp_bytes *b, struct bgp_nlri *out)
{
	bool v6 = out->net.type == NET_FLOW6;
	size_t len, head;

	head = b->p[0] < 0xf0 ? 1 : 2;
	if (b->len < head)
		return -EBADMSG;
	len = head == 1 ? b->p[0] : get_u16(b->p) & 0xfffu;
	if (b->len < head + len)
		return -EBADMSG;
	out->nlri.len = (uint16_t)len;
	memcpy(out->nlri.data, b->p + head, len);
	b->p += head + len;
	b->len -= head + len;
	out->wrong = flow_check(out->nlri.data, len, v6);
	if (!out->wrong)
		flow_prefix(&out->nlri, v6, FLOW_DST, &out->net.prefix);
	return 1;
}

static size_t put_flow(const struct nlri *n, uint8_t *buf, size_t room)
{
	size_t head = n->len < 0xf0 ? 1 : 2;

	if (room < head + n->len)
		return 0;
	if (head == 1)
		buf[0] = (uint8_t)n->len;
	else
		put_u16(buf, (uint16_t)(0xf000 | n->len));
	memcpy(buf + head, n->data, n->len);
	return head + n->len;
}

/* ---- VPN routes ---- */

enum { RD_BYTES = 8, LABEL_BYTES = 3, BOTTOM = 1, WITHDRAWN = 0x800000, IMPLICIT_NULL = 3 << 4 | BOTTOM };

/* RFC 8277 section 2: the length counts labels and route distinguisher as well. */
static int take_vpn(struct bgp_bytes *b, bool reach, struct bgp_nlri *out)
{
	bool v6 = out->net.type == NET_VPN6;
	uint8_t *addr = out->net.prefix.addr.b + (v6 ? 0 : 12);
	unsigned bits = b->p[0], bytes = (bits + 7) / 8;
	const uint8_t *p = b->p + 1;
	uint32_t label;

	if (b->len < 1 + bytes)
		return -EBADMSG;
	b->p += 1 + bytes;
	b->len -= 1 + bytes;
	do {
		if (bits < 8 * LABEL_BYTES)
			return -EBADMSG;
		label = get_u24(p);
		memcpy(out->labels + out->n_labels, p, LABEL_BYTES);
		out->n_labels += LABEL_BYTES;
		p += LABEL_BYTES;
		bits -= 8 * LABEL_BYTES;
		/* Some mark no bottom where there is no label. */
	} while (reach && !(label & BOTTOM) && label && label != WITHDRAWN);
	if (!reach)
		out->n_labels = 0;
	if (bits < 8 * RD_BYTES || bits - 8 * RD_BYTES > (v6 ? 128 : 32))
		return -EBADMSG;
	bits -= 8 * RD_BYTES;
	bytes = (bits + 7) / 8;
	out->net.rd = get_u64(p);
	out->net.prefix.len = (uint8_t)bits;
	out->net.prefix.family = v6 ? 6 : 4;
	if (!v6)
		out->net.prefix.addr = ipaddr_v4(0);
	memcpy(addr, p + RD_BYTES, bytes);
	if (bits % 8)
		addr[bytes - 1] &= (uint8_t)(0xff << (8 - bits % 8));
	out->nlri.len = (uint16_t)(RD_BYTES + 1 + bytes);
	memcpy(out->nlri.data, p, RD_BYTES);
	out->nlri.data[RD_BYTES] = (uint8_t)bits;
	memcpy(out->nlri.data + RD_BYTES + 1, addr, bytes);
	return 1;
}

static size_t put_vpn(const struct nlri *n, bool withdraw, const uint8_t *labels, unsigned n_labels,
	uint8_t *buf, size_t room)
{
	unsigned bits = n->data[RD_BYTES] + 8u * RD_BYTES, bytes = n->len - RD_BYTES - 1u;
	uint8_t none[LABEL_BYTES];

	if (!n_labels) {
		put_u24(none, withdraw ? WITHDRAWN : IMPLICIT_NULL);
		labels = none;
		n_labels = sizeof(none);
	}
	bits += 8 * n_labels;
	if (bits > 255 || room < 1 + n_labels + RD_BYTES + bytes)
		return 0;
	buf[0] = (uint8_t)bits;
	memcpy(buf + 1, labels, n_labels);
	memcpy(buf + 1 + n_labels, n->data, RD_BYTES);
	memcpy(buf + 1 + n_labels + RD_BYTES, n->data + RD_BYTES + 1, bytes);
	return 1 + n_labels + RD_BYTES + bytes;
}

/* ---- EVPN routes ---- */

static int take_evpn(struct bgp_bytes *b, bool reach, struct bgp_nlri *out)
{
	size_t len;

	if (b->len < 2 || b->len < 2u + b->p[1])
		return -EBADMSG;
	len = 2u + b->p[1];
	out->wrong = evpn_identity(b->p, len, &out->nlri, &out->net.rd);
	if (!out->wrong && reach && (out->nlri.len != len || memcmp(out->nlri.data, b->p, len) != 0)) {
		memcpy(out->labels, b->p, len);
		out->n_labels = (unsigned)len;
	}
	b->p += len;
	b->len -= len;
	return 1;
}

static size_t put_bytes(const uint8_t *p, size_t len, uint8_t *buf, size_t room)
{
	if (room < len)
		return 0;
	memcpy(buf, p, len);
	return len;
}

/* ---- any ---- */

int bgp_nlri_decode(struct bgp_bytes *b, enum net_type type, bool reach, bool add_path, struct bgp_nlri *out)
{
	if (!b->len)
		return 0;
	out->path_id = 0;
	if (add_path) {
		if (b->len < 5)
			return -EBADMSG;
		out->path_id = get_u32(b->p);
		b->p += 4;
		b->len -= 4;
	}
	memset(&out->net, 0, sizeof(out->net));
	out->net.type = (uint8_t)type;
	out->net.nlri = &out->nlri;
	out->wrong = NULL;
	out->n_labels = 0;
	switch (type) {
	case NET_FLOW4:
	case NET_FLOW6: return take_flow(b, out);
	case NET_EVPN: return take_evpn(b, reach, out);
	default: return take_vpn(b, reach, out);
	}
}

size_t bgp_nlri_encode(const struct nlri *n, enum net_type type, const uint8_t *labels, unsigned n_labels,
	bool add_path, uint32_t path_id, uint8_t *buf, size_t room)
{
	size_t head = add_path ? 4 : 0, len;

	if (room < head)
		return 0;
	room -= head;
	switch (type) {
	case NET_FLOW4:
	case NET_FLOW6: len = put_flow(n, buf + head, room); break;
	case NET_EVPN:
		len = n_labels ? put_bytes(labels, n_labels, buf + head, room)
			       : put_bytes(n->data, n->len, buf + head, room);
		break;
	default: len = put_vpn(n, !labels, labels, n_labels, buf + head, room);
	}
	if (len && add_path)
		put_u32(buf, path_id);
	return len ? head + len : 0;
}
