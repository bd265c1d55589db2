/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Capabilities (RFC 5492) to and from bytes. A capability that is malformed in
 * itself is ignored, as an unknown one is: a session should not fail over an
 * option. Only a list that does not fit its container is an error.
 */
#include "controlplane/bgp/message.h"
#include <stdio.h>

enum cap_code {
	CAP_MULTIPROTOCOL = 1,     /* RFC 4760 */
	CAP_REFRESH = 2,           /* RFC 2918 */
	CAP_EXT_NEXT_HOP = 5,      /* RFC 8950 */
	CAP_EXT_MESSAGE = 6,       /* RFC 8654 */
	CAP_ROLE = 9,              /* RFC 9234 */
	CAP_GRACEFUL_RESTART = 64, /* RFC 4724 */
	CAP_AS4 = 65,              /* RFC 6793 */
	CAP_ADD_PATH = 69,         /* RFC 7911 */
	CAP_ENHANCED_REFRESH = 70, /* RFC 7313 */
	CAP_LLGR = 71,             /* RFC 9494 */
	CAP_FQDN = 73,             /* draft-walton-bgp-hostname-capability */
	CAP_BFD_STRICT = 74,       /* draft-ietf-idr-bgp-bfd-strict-mode */
	CAP_SOFTWARE_VERSION = 75, /* draft-abraitis-bgp-version-capability */
	CAP_PATHS_LIMIT = 76,      /* draft-abraitis-idr-addpath-paths-limit */
};

const struct bgp_af_caps *bgp_caps_find_af(const struct bgp_caps *c, uint16_t afi, uint8_t safi)
{
	for (unsigned i = 0; i < c->n_af; i++)
		if (c->af[i].afi == afi && c->af[i].safi == safi)
			return &c->af[i];
	return NULL;
}

struct bgp_af_caps *bgp_caps_af(struct bgp_caps *c, uint16_t afi, uint8_t safi)
{
	struct bgp_af_caps *a = (struct bgp_af_caps *)bgp_caps_find_af(c, afi, safi);

	if (a || c->n_af == BGP_MAX_AF)
		return a;
	a = &c->af[c->n_af++];
	*a = (struct bgp_af_caps){.afi = afi, .safi = safi};
	return a;
}

const char *bgp_af_name(uint16_t afi, uint8_t safi, char buf[16])
{
	static const struct {
		uint16_t afi;
		uint8_t safi;
		const char *name;
	} all[] = {{1, 1, "ipv4"}, {2, 1, "ipv6"}, {1, 2, "ipv4-mc"}, {2, 2, "ipv6-mc"}, {1, 4, "ipv4-mpls"},
		{2, 4, "ipv6-mpls"}, {1, 128, "vpn4-mpls"}, {2, 128, "vpn6-mpls"}, {1, 129, "vpn4-mc"},
		{2, 129, "vpn6-mc"}, {1, 133, "flow4"}, {2, 133, "flow6"}, {25, 70, "evpn"}};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i].afi == afi && all[i].safi == safi)
			return all[i].name;
	snprintf(buf, 16, "<%u/%u>", afi, safi);
	return buf;
}

/* ---- writing ---- */

static uint8_t *cap_head(uint8_t *p, uint8_t code)
{
	p[0] = code;
	return p + 2;
}

/* Fills in the length of the capability that began at start. */
static uint8_t *cap_done(uint8_t *start, uint8_t *p)
{
	start[1] = (uint8_t)(p - start - 2);
	return p;
}

static uint8_t *put_afis(uint8_t *p, const struct bgp_af_caps *a)
{
	put_u16(p, a->afi);
	p[2] = a->safi;
	return p + 3;
}

static uint8_t *encode_families(const struct bgp_caps *c, uint8_t *p)
{
	for (unsigned i = 0; i < c->n_af; i++) {
		uint8_t *start = p;

		if (!c->af[i].multiprotocol)
			continue;
		p = cap_head(p, CAP_MULTIPROTOCOL);
		put_u16(p, c->af[i].afi);
		p[2] = 0;
		p[3] = c->af[i].safi;
		p = cap_done(start, p + 4);
	}
	return p;
}

static uint8_t *encode_next_hop(const struct bgp_caps *c, uint8_t *p)
{
	uint8_t *start = p;

	p = cap_head(p, CAP_EXT_NEXT_HOP);
	for (unsigned i = 0; i < c->n_af; i++) {
		if (!c->af[i].extended_next_hop)
			continue;
		put_u16(p, c->af[i].afi);
		put_u16(p + 2, c->af[i].safi);
		put_u16(p + 4, BGP_AFI_IPV6);
		p += 6;
	}
	return p == start + 2 ? start : cap_done(start, p);
}

static uint8_t *encode_gr(const struct bgp_caps *c, uint8_t *p)
{
	uint8_t *start = p;

	p = cap_head(p, CAP_GRACEFUL_RESTART);
	put_u16(p, (uint16_t)(c->gr_flags << 12 | (c->gr_time & 0xfff)));
	p += 2;
	for (unsigned i = 0; i < c->n_af; i++) {
		if (!c->af[i].gr)
			continue;
		p = put_afis(p, &c->af[i]);
		*p++ = c->af[i].gr_flags;
	}
	return cap_done(start, p);
}

static uint8_t *encode_llgr(const struct bgp_caps *c, uint8_t *p)
{
	uint8_t *start = p;

	p = cap_head(p, CAP_LLGR);
	for (unsigned i = 0; i < c->n_af; i++) {
		if (!c->af[i].llgr)
			continue;
		p = put_afis(p, &c->af[i]);
		*p++ = c->af[i].llgr_flags;
		put_u24(p, c->af[i].llgr_time);
		p += 3;
	}
	return cap_done(start, p);
}

static uint8_t *encode_add_path(const struct bgp_caps *c, uint8_t *p)
{
	uint8_t *start = p;

	p = cap_head(p, CAP_ADD_PATH);
	for (unsigned i = 0; i < c->n_af; i++) {
		if (!c->af[i].add_path)
			continue;
		p = put_afis(p, &c->af[i]);
		*p++ = c->af[i].add_path;
	}
	return p == start + 2 ? start : cap_done(start, p);
}

static uint8_t *encode_paths_limit(const struct bgp_caps *c, uint8_t *p)
{
	uint8_t *start = p;

	p = cap_head(p, CAP_PATHS_LIMIT);
	for (unsigned i = 0; i < c->n_af; i++) {
		if (!c->af[i].paths_limit)
			continue;
		p = put_afis(p, &c->af[i]);
		put_u16(p, c->af[i].paths_limit);
		p += 2;
	}
	return cap_done(start, p);
}

static uint8_t *encode_text(uint8_t *p, uint8_t code, const char *text, bool fqdn)
{
	uint8_t *start = p;
	size_t n = strnlen(text, 250);

	p = cap_head(p, code);
	*p++ = (uint8_t)n;
	memcpy(p, text, n);
	p += n;
	if (fqdn)
		*p++ = 0; /* domain name: empty */
	return cap_done(start, p);
}

static uint8_t *encode_empty(uint8_t *p, uint8_t code)
{
	p[0] = code;
	p[1] = 0;
	return p + 2;
}

size_t bgp_caps_encode(const struct bgp_caps *c, uint8_t *buf, size_t size)
{
	/* Worst case: all families in each of six capabilities, and two texts. */
	uint8_t tmp[BGP_MAX_AF * (6 + 6 + 4 + 7 + 4 + 5) + 1024], *p = tmp, *start;

	p = encode_families(c, p);
	if (c->refresh)
		p = encode_empty(p, CAP_REFRESH);
	p = encode_next_hop(c, p);
	if (c->extended_messages)
		p = encode_empty(p, CAP_EXT_MESSAGE);
	if (c->role != BGP_ROLE_NONE) {
		start = p;
		p = cap_head(p, CAP_ROLE);
		*p++ = (uint8_t)c->role;
		p = cap_done(start, p);
	}
	if (c->gr)
		p = encode_gr(c, p);
	if (c->as4) {
		start = p;
		p = cap_head(p, CAP_AS4);
		put_u32(p, c->as4_number);
		p = cap_done(start, p + 4);
	}
	p = encode_add_path(c, p);
	if (c->enhanced_refresh)
		p = encode_empty(p, CAP_ENHANCED_REFRESH);
	if (c->llgr)
		p = encode_llgr(c, p);
	if (c->hostname)
		p = encode_text(p, CAP_FQDN, c->host, true);
	if (c->bfd_strict)
		p = encode_empty(p, CAP_BFD_STRICT);
	if (c->software[0])
		p = encode_text(p, CAP_SOFTWARE_VERSION, c->software, false);
	if (c->paths_limit)
		p = encode_paths_limit(c, p);
	if ((size_t)(p - tmp) > size)
		return 0;
	memcpy(buf, tmp, (size_t)(p - tmp));
	return (size_t)(p - tmp);
}

/* ---- reading ---- */

/* Peers' names are shown to people and logged. */
static void copy_text(char *out, size_t size, const uint8_t *p, size_t n)
{
	size_t i;

	for (i = 0; i < n && i + 1 < size; i++)
		out[i] = p[i] < 0x20 || p[i] == 0x7f ? '.' : (char)p[i];
	out[i] = 0;
}

static void decode_next_hop(struct bgp_caps *c, const uint8_t *p, size_t n)
{
	for (; n >= 6; p += 6, n -= 6) {
		struct bgp_af_caps *a;

		if (get_u16(p + 2) > 255 || get_u16(p + 4) != BGP_AFI_IPV6)
			continue;
		a = bgp_caps_af(c, get_u16(p), p[3]);
		if (a)
			a->extended_next_hop = c->extended_next_hop = true;
	}
}

static void decode_gr(struct bgp_caps *c, const uint8_t *p, size_t n)
{
	if (n < 2)
		return;
	/* RFC 4724 section 3: the last of several is the one that counts. */
	for (unsigned i = 0; i < c->n_af; i++)
		c->af[i].gr = false;
	c->gr = true;
	c->gr_flags = p[0] >> 4;
	c->gr_time = get_u16(p) & 0xfff;
	for (p += 2, n -= 2; n >= 4; p += 4, n -= 4) {
		struct bgp_af_caps *a = bgp_caps_af(c, get_u16(p), p[2]);

		if (!a)
			continue;
		a->gr = true;
		a->gr_flags = p[3];
	}
}

static void decode_llgr(struct bgp_caps *c, const uint8_t *p, size_t n)
{
	for (unsigned i = 0; i < c->n_af; i++)
		c->af[i].llgr = false;
	c->llgr = true;
	for (; n >= 7; p += 7, n -= 7) {
		struct bgp_af_caps *a = bgp_caps_af(c, get_u16(p), p[2]);

		if (!a)
			continue;
		a->llgr = true;
		a->llgr_flags = p[3];
		a->llgr_time = get_u24(p + 4);
	}
}

static void decode_add_path(struct bgp_caps *c, const uint8_t *p, size_t n)
{
	for (; n >= 4; p += 4, n -= 4) {
		struct bgp_af_caps *a;

		if (p[3] < 1 || p[3] > 3) /* RFC 7911 section 4: ignored */
			continue;
		a = bgp_caps_af(c, get_u16(p), p[2]);
		if (!a)
			continue;
		a->add_path = p[3];
		c->add_path = true;
	}
}

static void decode_paths_limit(struct bgp_caps *c, const uint8_t *p, size_t n)
{
	for (; n >= 5; p += 5, n -= 5) {
		uint16_t limit = get_u16(p + 3);
		struct bgp_af_caps *a = limit ? bgp_caps_af(c, get_u16(p), p[2]) : NULL;

		if (!a)
			continue;
		a->paths_limit = limit;
		c->paths_limit = true;
	}
}

static void decode_one(struct bgp_caps *c, uint8_t code, const uint8_t *p, size_t n)
{
	struct bgp_af_caps *a;

	switch (code) {
	case CAP_MULTIPROTOCOL:
		if (n != 4)
			return;
		a = bgp_caps_af(c, get_u16(p), p[3]);
		if (a)
			a->multiprotocol = c->multiprotocol = true;
		return;
	case CAP_REFRESH: c->refresh = true; return;
	case CAP_EXT_NEXT_HOP: decode_next_hop(c, p, n); return;
	case CAP_EXT_MESSAGE: c->extended_messages = true; return;
	case CAP_ROLE:
		if (n != 1)
			return;
		if (c->role != BGP_ROLE_NONE && c->role != (int8_t)p[0])
			c->role_conflict = true;
		/* A number that no role has disagrees with every role of ours; it must not look like "none".
		 */
		c->role = p[0] <= BGP_ROLE_PEER ? (int8_t)p[0] : INT8_MAX;
		return;
	case CAP_GRACEFUL_RESTART: decode_gr(c, p, n); return;
	case CAP_AS4:
		if (n != 4)
			return;
		c->as4 = true;
		c->as4_number = get_u32(p);
		return;
	case CAP_ADD_PATH: decode_add_path(c, p, n); return;
	case CAP_ENHANCED_REFRESH: c->enhanced_refresh = true; return;
	case CAP_LLGR: decode_llgr(c, p, n); return;
	case CAP_FQDN:
		if (n < 2 || (size_t)p[0] + 1 > n)
			return;
		c->hostname = true;
		copy_text(c->host, sizeof(c->host), p + 1, p[0]);
		return;
	case CAP_BFD_STRICT: c->bfd_strict = true; return;
	case CAP_SOFTWARE_VERSION:
		if (n < 1 || (size_t)p[0] + 1 > n)
			return;
		copy_text(c->software, sizeof(c->software), p + 1, p[0]);
		return;
	case CAP_PATHS_LIMIT: decode_paths_limit(c, p, n); return;
	default: return;
	}
}

int bgp_caps_decode(struct bgp_caps *c, const uint8_t *buf, size_t len, struct bgp_error *e)
{
	c->any = true;
	while (len) {
		if (len < 2 || len < 2 + (size_t)buf[1])
			return bgp_fail(e, BGP_ERR_OPEN, 0);
		decode_one(c, buf[0], buf + 2, buf[1]);
		len -= 2 + (size_t)buf[1];
		buf += 2 + buf[1];
	}
	return 0;
}
