/* SPDX-License-Identifier: BSD-2-Clause */
/* The OPEN message, RFC 4271 section 4.2, with RFC 9072's long form of optional parameters. */
#include "controlplane/bgp/message.h"

#define PARAM_CAPABILITIES 2
#define PARAM_EXTENDED 255 /* RFC 9072: as the first "type", says that a 16-bit length follows */

size_t bgp_open_encode(const struct bgp_open *o, uint8_t *buf, size_t size)
{
	uint8_t caps[8192], *p;
	size_t n = o->caps.any ? bgp_caps_encode(&o->caps, caps, sizeof(caps)) : 0;
	bool extended = n > 253;
	size_t params = !n ? 0 : extended ? 3 + n : 2 + n;
	size_t len = BGP_HEADER_LEN + 10 + (extended ? 3 : 0) + params;

	if (len > size || len > BGP_MAX_MESSAGE)
		return 0;
	p = bgp_put_header(buf, (uint16_t)len, BGP_MSG_OPEN);
	*p++ = o->version;
	put_u16(p, o->as > 65535 ? AS_TRANS : (uint16_t)o->as);
	put_u16(p + 2, o->hold_time);
	put_u32(p + 4, o->id);
	p += 8;
	if (extended) {
		*p++ = PARAM_EXTENDED;
		*p++ = PARAM_EXTENDED;
		put_u16(p, (uint16_t)params);
		p += 2;
		*p++ = PARAM_CAPABILITIES;
		put_u16(p, (uint16_t)n);
		p += 2;
	} else {
		*p++ = (uint8_t)params;
		if (n) {
			*p++ = PARAM_CAPABILITIES;
			*p++ = (uint8_t)n;
		}
	}
	memcpy(p, caps, n);
	return len;
}

static int decode_params(
	const uint8_t *p, size_t len, bool extended, struct bgp_open *out, struct bgp_error *e)
{
	size_t head = extended ? 3 : 2;

	while (len) {
		size_t n;

		if (len < head)
			return bgp_fail(e, BGP_ERR_OPEN, 0);
		n = extended ? get_u16(p + 1) : p[1];
		if (len < head + n)
			return bgp_fail(e, BGP_ERR_OPEN, 0);
		if (p[0] != PARAM_CAPABILITIES)
			return bgp_fail_data(e, BGP_ERR_OPEN, 4, p, head + n);
		if (bgp_caps_decode(&out->caps, p + head, n, e) < 0)
			return -74;
		p += head + n;
		len -= head + n;
	}
	return 0;
}

int bgp_open_decode(const uint8_t *body, size_t len, struct bgp_open *out, struct bgp_error *e)
{
	static const uint8_t our_version[2] = {0, BGP_VERSION};
	size_t params;
	bool extended = false;
	const uint8_t *p;

	memset(out, 0, sizeof(*out));
	out->caps.role = BGP_ROLE_NONE;
	if (len < 10)
		return bgp_fail(e, BGP_ERR_OPEN, 0);
	out->version = body[0];
	out->as2 = get_u16(body + 1);
	out->as = out->as2;
	out->hold_time = get_u16(body + 3);
	out->id = get_u32(body + 5);
	if (out->version != BGP_VERSION)
		return bgp_fail_data(e, BGP_ERR_OPEN, 1, our_version, 2);
	params = body[9];
	p = body + 10;
	len -= 10;
	if (params && len >= 1 && p[0] == PARAM_EXTENDED) {
		if (len < 3)
			return bgp_fail(e, BGP_ERR_OPEN, 0);
		extended = true;
		params = get_u16(p + 1);
		p += 3;
		len -= 3;
	}
	if (params != len)
		return bgp_fail(e, BGP_ERR_OPEN, 0);
	if (decode_params(p, len, extended, out, e) < 0)
		return -74;
	if (out->caps.as4)
		out->as = out->caps.as4_number;
	if (!out->as || !out->as2) /* RFC 7607; the 2-octet field is AS_TRANS for large numbers, never 0 */
		return bgp_fail_data(e, BGP_ERR_OPEN, 2, body + 1, 2);
	if (!out->id)
		return bgp_fail_data(e, BGP_ERR_OPEN, 3, body + 5, 4);
	if (out->hold_time == 1 || out->hold_time == 2)
		return bgp_fail_data(e, BGP_ERR_OPEN, 6, body + 3, 2);
	return 0;
}
