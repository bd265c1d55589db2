/* SPDX-License-Identifier: BSD-2-Clause */
/* Families whose destinations are no prefixes; see nlri.h. */
#include "controlplane/bgp/nlri.h"
#include "controlplane/filter/flow.h"
#include <errno.h>

enum net_type bgp_family_net(uint16_t afi, uint8_t safi)
{
	bool v6 = afi == BGP_AFI_IPV6;

	if (afi != BGP_AFI_IPV4 && afi != BGP_AFI_IPV6)
		return NET_NONE;
	switch (safi) {
	case BGP_SAFI_UNICAST: return v6 ? NET_IP6 : NET_IP4;
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

	if (!b->len)
		return -EBADMSG;
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

/* ---- any ---- */

int bgp_nlri_decode(struct bgp_bytes *b, enum net_type type, bool add_path, struct bgp_nlri *out)
{
	if (!b->len)
		return 0;
	out->path_id = 0;
	if (add_path) {
		if (b->len < 4)
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
	return take_flow(b, out);
}

size_t bgp_nlri_encode(const struct nlri *n, enum net_type type, const uint8_t *labels, unsigned n_labels,
	bool add_path, uint32_t path_id, uint8_t *buf, size_t room)
{
	size_t head = add_path ? 4 : 0, len;

	if (room < head)
		return 0;
	len = put_flow(n, buf + head, room - head);
	if (len && add_path)
		put_u32(buf, path_id);
	return len ? head + len : 0;
}
