/* SPDX-License-Identifier: BSD-2-Clause */
/* Framing and the short messages; see message.h. */
#include "controlplane/bgp/message.h"
#include <errno.h>

int bgp_fail_data(struct bgp_error *e, uint8_t code, uint8_t subcode, const void *data, size_t len)
{
	bgp_fail(e, code, subcode);
	e->len = (uint16_t)(len < sizeof(e->data) ? len : sizeof(e->data));
	memcpy(e->data, data, e->len);
	return -EBADMSG;
}

int bgp_frame(const uint8_t *buf, size_t len, size_t max_message, struct bgp_error *e)
{
	/* Shortest body-and-header of each type, RFC 4271 section 6.1 and RFC 2918. */
	static const uint8_t shortest[] = {[BGP_MSG_OPEN] = 29,
		[BGP_MSG_UPDATE] = 23,
		[BGP_MSG_NOTIFICATION] = 21,
		[BGP_MSG_KEEPALIVE] = 19,
		[BGP_MSG_ROUTE_REFRESH] = 23};
	uint8_t type;
	unsigned total;

	for (size_t i = 0; i < 16 && i < len; i++)
		if (buf[i] != 0xff)
			return bgp_fail(e, BGP_ERR_HEADER, 1);
	if (len < BGP_HEADER_LEN)
		return 0;
	total = get_u16(buf + 16);
	type = buf[18];
	if (total < BGP_HEADER_LEN || total > max_message)
		return bgp_fail_data(e, BGP_ERR_HEADER, 2, buf + 16, 2);
	if (type < BGP_MSG_OPEN || type > BGP_MSG_ROUTE_REFRESH)
		return bgp_fail_data(e, BGP_ERR_HEADER, 3, buf + 18, 1);
	if (total < shortest[type] || (type == BGP_MSG_KEEPALIVE && total != BGP_HEADER_LEN) ||
		(type == BGP_MSG_OPEN && total > BGP_MAX_MESSAGE))
		return bgp_fail_data(e, BGP_ERR_HEADER, 2, buf + 16, 2);
	return len < total ? 0 : (int)total;
}

size_t bgp_keepalive_encode(uint8_t *buf)
{
	bgp_put_header(buf, BGP_HEADER_LEN, BGP_MSG_KEEPALIVE);
	return BGP_HEADER_LEN;
}

size_t bgp_notification_encode(const struct bgp_error *e, uint8_t *buf, size_t size)
{
	size_t len = BGP_HEADER_LEN + 2 + (size_t)e->len;
	uint8_t *p;

	if (len > size)
		return 0;
	p = bgp_put_header(buf, (uint16_t)len, BGP_MSG_NOTIFICATION);
	p[0] = e->code;
	p[1] = e->subcode;
	memcpy(p + 2, e->data, e->len);
	return len;
}

size_t bgp_refresh_encode(uint16_t afi, uint8_t safi, uint8_t subtype, uint8_t *buf)
{
	uint8_t *p = bgp_put_header(buf, BGP_HEADER_LEN + 4, BGP_MSG_ROUTE_REFRESH);

	put_u16(p, afi);
	p[2] = subtype;
	p[3] = safi;
	return BGP_HEADER_LEN + 4;
}

int bgp_refresh_decode(
	const uint8_t *body, size_t len, bool enhanced, struct bgp_refresh *out, struct bgp_error *e)
{
	if (len < 4)
		return bgp_fail_data(e, BGP_ERR_REFRESH, 1, body, len);
	out->afi = get_u16(body);
	out->subtype = enhanced ? body[2] : REFRESH_REQUEST; /* a reserved octet without RFC 7313 */
	out->safi = body[3];
	/* RFC 7313 section 5: a marker of the wrong length. Longer requests carry ORF entries (RFC 5291) that
	 * nobody agreed on. */
	if (enhanced && (out->subtype == REFRESH_BEGIN || out->subtype == REFRESH_END) && len != 4)
		return bgp_fail_data(e, BGP_ERR_REFRESH, 1, body, len);
	return 0;
}
