/* SPDX-License-Identifier: BSD-2-Clause */
/* The outer form of UPDATE messages, and prefixes; see update.h. */
#include "controlplane/bgp/update.h"
#include <errno.h>

/* Length of one attribute with its header, or 0 when it does not fit. */
static size_t attr_extent(const uint8_t *p, size_t left, size_t *head)
{
	size_t len;

	if (left < 3)
		return 0;
	if (p[0] & BAF_EXT_LEN) {
		if (left < 4)
			return 0;
		*head = 4;
		len = get_u16(p + 2);
	} else {
		*head = 3;
		len = p[2];
	}
	return *head + len <= left ? *head + len : 0;
}

/* RFC 4760 section 3. */
static int split_reach(struct bgp_update *u, const uint8_t *p, size_t len, struct bgp_error *e)
{
	size_t nh;

	/* RFC 7606 section 5.2, 7.11: without a sound next hop length the prefixes cannot be found. */
	if (u->mp_reach)
		return bgp_fail(e, BGP_ERR_UPDATE, 1);
	if (len < 5)
		return bgp_fail(e, BGP_ERR_UPDATE, 9);
	nh = p[3];
	if (len < 5 + nh)
		return bgp_fail(e, BGP_ERR_UPDATE, 9);
	u->mp_reach = true;
	u->reach_afi = get_u16(p);
	u->reach_safi = p[2];
	u->next_hop = (struct bgp_bytes){p + 4, nh};
	u->reach = (struct bgp_bytes){p + 5 + nh, len - 5 - nh};
	return 0;
}

static int split_unreach(struct bgp_update *u, const uint8_t *p, size_t len, struct bgp_error *e)
{
	if (u->mp_unreach)
		return bgp_fail(e, BGP_ERR_UPDATE, 1);
	if (len < 3)
		return bgp_fail(e, BGP_ERR_UPDATE, 9);
	u->mp_unreach = true;
	u->unreach_afi = get_u16(p);
	u->unreach_safi = p[2];
	u->unreach = (struct bgp_bytes){p + 3, len - 3};
	return 0;
}

/* Walks the attributes: takes the two with prefixes out, copies the rest into scratch if there were any. */
static int split_attrs(struct bgp_update *u, uint8_t *scratch, struct bgp_error *e)
{
	const uint8_t *p = u->attrs.p, *end = p + u->attrs.len, *run = p;
	size_t used = 0, head, extent;

	for (; p < end; p += extent) {
		uint8_t type;

		extent = attr_extent(p, (size_t)(end - p), &head);
		if (!extent) {
			u->framing_error = true;
			break;
		}
		type = p[1];
		if (type != BA_MP_REACH_NLRI && type != BA_MP_UNREACH_NLRI)
			continue;
		if ((p[0] & (BAF_OPTIONAL | BAF_TRANSITIVE)) != BAF_OPTIONAL)
			u->bad_mp_flags = true;
		if (type == BA_MP_REACH_NLRI ? split_reach(u, p + head, extent - head, e) < 0
					     : split_unreach(u, p + head, extent - head, e) < 0)
			return -EBADMSG;
		memcpy(scratch + used, run, (size_t)(p - run));
		used += (size_t)(p - run);
		run = p + extent;
	}
	if (run == u->attrs.p) {
		u->key = (struct bgp_bytes){run, (size_t)(p - run)};
	} else {
		memcpy(scratch + used, run, (size_t)(p - run));
		u->key = (struct bgp_bytes){scratch, used + (size_t)(p - run)};
	}
	return 0;
}

int bgp_update_split(
	const uint8_t *body, size_t len, uint8_t *scratch, struct bgp_update *u, struct bgp_error *e)
{
	size_t n;

	memset(u, 0, sizeof(*u));
	if (len < 4)
		return bgp_fail(e, BGP_ERR_UPDATE, 1);
	n = get_u16(body);
	if (n + 4 > len)
		return bgp_fail(e, BGP_ERR_UPDATE, 1);
	u->withdrawn = (struct bgp_bytes){body + 2, n};
	body += 2 + n;
	len -= 2 + n;
	n = get_u16(body);
	if (n + 2 > len)
		return bgp_fail(e, BGP_ERR_UPDATE, 1);
	u->attrs = (struct bgp_bytes){body + 2, n};
	u->nlri = (struct bgp_bytes){body + 2 + n, len - 2 - n};
	return split_attrs(u, scratch, e);
}

bool bgp_update_is_end_of_rib(const struct bgp_update *u, uint16_t *afi, uint8_t *safi)
{
	if (u->withdrawn.len || u->nlri.len || u->key.len || u->mp_reach || u->framing_error)
		return false;
	if (!u->attrs.len) {
		*afi = BGP_AFI_IPV4;
		*safi = BGP_SAFI_UNICAST;
		return true;
	}
	if (!u->mp_unreach || u->unreach.len)
		return false;
	*afi = u->unreach_afi;
	*safi = u->unreach_safi;
	return true;
}

int bgp_nlri_next(struct bgp_bytes *b, uint8_t afi, bool add_path, uint32_t *path_id, struct prefix *out)
{
	unsigned len, bytes, max = afi == BGP_AFI_IPV4 ? 32 : 128;
	const uint8_t *p = b->p;
	size_t left = b->len;

	if (!left)
		return 0;
	*path_id = 0;
	if (add_path) {
		if (left < 5)
			return -EBADMSG;
		*path_id = get_u32(p);
		p += 4;
		left -= 4;
	}
	len = *p++;
	left--;
	bytes = (len + 7) / 8;
	if (len > max || bytes > left)
		return -EBADMSG;
	out->len = (uint8_t)len;
	out->reserved = 0;
	if (afi == BGP_AFI_IPV4) {
		uint32_t v = 0;

		memcpy(&v, p, bytes);
		v &= len ? htonl(~UINT32_C(0) << (32 - len)) : 0;
		out->addr = ipaddr_v4(v);
		out->family = 4;
	} else {
		memset(out->addr.b, 0, 16);
		memcpy(out->addr.b, p, bytes);
		if (len % 8) /* RFC 4271 section 4.3: the bits beyond the length mean nothing */
			out->addr.b[bytes - 1] &= (uint8_t)(0xff << (8 - len % 8));
		out->family = 6;
	}
	b->p = p + bytes;
	b->len = left - bytes;
	return 1;
}

bool bgp_prefix_is_usable(const struct prefix *p)
{
	const uint8_t *a = p->addr.b;

	if (!p->len)
		return true;
	if (p->family == 4)
		return a[12] != 127 && a[12] < 224;
	if (a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80))
		return false;
	/* ::/96 with the loopback, and the IPv4-mapped addresses. */
	return p->len < 96 || p->addr.q[0] || (p->addr.w[2] && p->addr.w[2] != htonl(0xffff));
}
