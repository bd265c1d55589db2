/* SPDX-License-Identifier: BSD-2-Clause */
/* See evpn.h. */
#include "controlplane/filter/evpn.h"
#include "controlplane/filter/text.h"
#include <string.h>

/*
 * Offsets in the fields:
 *   1 Ethernet auto-discovery   RD 0, ESI 8, tag 18, label 22
 *   2 MAC/IP advertisement      RD 0, ESI 8, tag 18, bits of MAC 22, MAC 23, bits of IP 29, IP 30, labels
 *   3 inclusive multicast       RD 0, tag 8, bits of IP 12, IP 13
 *   4 Ethernet segment          RD 0, ESI 8, bits of IP 18, IP 19
 *   5 IP prefix                 RD 0, ESI 8, tag 18, length 22, prefix 23, gateway, label
 */

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t be24(const uint8_t *p)
{
	return be32(p) >> 8;
}

static uint64_t be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static bool ip_bits(unsigned bits)
{
	return bits == 0 || bits == 32 || bits == 128;
}

/* What is wrong with the fields of a type that we know; NULL: nothing. */
static const char *check(unsigned type, const uint8_t *v, size_t len)
{
	static const char wrong[] = "Bad length";
	size_t ip;

	switch (type) {
	case EVPN_EAD: return len == 25 ? NULL : wrong;
	case EVPN_MAC:
		if (len < 33)
			return wrong;
		if (v[22] != 48)
			return "Bad MAC length";
		if (!ip_bits(v[29]))
			return "Bad IP length";
		ip = v[29] / 8;
		return len == 30 + ip + 3 || len == 30 + ip + 6 ? NULL : wrong;
	case EVPN_IMET:
	case EVPN_ES: {
		size_t at = type == EVPN_IMET ? 12 : 18;

		if (len <= at)
			return wrong;
		if (v[at] != 32 && v[at] != 128)
			return "Bad IP length";
		return len == at + 1 + v[at] / 8u ? NULL : wrong;
	}
	case EVPN_PREFIX:
		if (len != 34 && len != 58)
			return wrong;
		return v[22] <= (len == 34 ? 32 : 128) ? NULL : "Bad prefix length";
	default: return NULL;
	}
}

const char *evpn_identity(const uint8_t *data, size_t len, struct nlri *out, uint64_t *rd)
{
	unsigned type = len ? data[0] : 0;
	const char *wrong;
	uint8_t *v = out->data + 2;

	if (len < 2 || len != 2u + data[1])
		return "Bad length";
	wrong = check(type, data + 2, len - 2);
	if (wrong)
		return wrong;
	out->len = (uint16_t)len;
	memcpy(out->data, data, len);
	*rd = type >= EVPN_EAD && type <= EVPN_PREFIX ? be64(v) : 0;
	switch (type) {
	case EVPN_EAD: memset(v + 22, 0, 3); break;
	case EVPN_MAC: {
		size_t ip = v[29] / 8;

		memset(v + 8, 0, 10);
		memset(v + 30 + ip, 0, 3);
		out->data[1] = (uint8_t)(30 + ip + 3);
		out->len = (uint16_t)(2 + 30 + ip + 3);
		break;
	}
	case EVPN_PREFIX: {
		size_t ip = len == 2 + 34 ? 4 : 16, bits = v[22];

		memset(v + 8, 0, 10);
		for (size_t i = 0; i < ip; i++)
			if (8 * i + 8 > bits)
				v[23 + i] &= (uint8_t)(8 * i >= bits ? 0 : 0xff << (8 * i + 8 - bits));
		memset(v + 23 + ip, 0, ip + 3);
		break;
	}
	default: break;
	}
	return NULL;
}

static void put_bytes(struct text *t, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text_printf(t, i ? ":%02x" : "%02x", p[i]);
}

static void put_ip(struct text *t, const uint8_t *p, size_t n)
{
	char s[IPADDR_STRLEN];
	struct ipaddr a = {0};

	if (n == 4) {
		uint32_t be;

		memcpy(&be, p, 4);
		a = ipaddr_v4(be);
	} else {
		a = ipaddr_v6(p);
	}
	text_puts(t, ipaddr_format(&a, s));
}

static void put_prefix(struct text *t, const uint8_t *v, size_t n)
{
	put_ip(t, v + 23, n);
	text_printf(t, "/%u", v[22]);
}

size_t evpn_format(const struct nlri *n, char *buf, size_t size)
{
	static const char *const names[] = {[EVPN_EAD] = "ead",
		[EVPN_MAC] = "mac",
		[EVPN_IMET] = "imet",
		[EVPN_ES] = "es",
		[EVPN_PREFIX] = "prefix"};
	struct text t = text_make(buf, size);
	unsigned type = n->data[0];
	const uint8_t *v = n->data + 2;
	char rd[40];

	if (type < EVPN_EAD || type > EVPN_PREFIX) {
		text_printf(&t, "evpn type %u ", type);
		put_bytes(&t, v, n->len - 2u);
		return t.len;
	}
	rd_format(be64(v), rd, sizeof(rd));
	text_printf(&t, "evpn %s %s ", names[type], rd);
	switch (type) {
	case EVPN_EAD:
		text_printf(&t, "%u ", be32(v + 18));
		put_bytes(&t, v + 8, 10);
		break;
	case EVPN_MAC:
		text_printf(&t, "%u ", be32(v + 18));
		put_bytes(&t, v + 23, 6);
		text_char(&t, ' ');
		if (v[29])
			put_ip(&t, v + 30, v[29] / 8);
		else
			text_char(&t, '*');
		break;
	case EVPN_IMET:
		text_printf(&t, "%u ", be32(v + 8));
		put_ip(&t, v + 13, v[12] / 8);
		break;
	case EVPN_ES:
		put_bytes(&t, v + 8, 10);
		text_char(&t, ' ');
		put_ip(&t, v + 19, v[18] / 8);
		break;
	default: text_printf(&t, "%u ", be32(v + 18)); put_prefix(&t, v, n->len == 2 + 34 ? 4 : 16);
	}
	return t.len;
}

size_t evpn_details(const uint8_t *data, size_t len, char *buf, size_t size)
{
	struct text t = text_make(buf, size);
	const uint8_t *v = data + 2, *end = data + len, *label = NULL;

	if (len < 2 || check(data[0], v, len - 2))
		return 0;
	switch (data[0]) {
	case EVPN_EAD: label = v + 22; break;
	case EVPN_MAC: label = v + 30 + v[29] / 8; break;
	case EVPN_PREFIX: label = end - 3; break;
	default: return 0;
	}
	if (data[0] != EVPN_EAD) {
		text_puts(&t, "esi ");
		put_bytes(&t, v + 8, 10);
		text_char(&t, ' ');
	}
	if (data[0] == EVPN_PREFIX) {
		size_t ip = len == 2 + 34 ? 4 : 16;

		text_puts(&t, "gateway ");
		put_ip(&t, v + 23 + ip, ip);
		text_char(&t, ' ');
	}
	text_printf(&t, "label 0x%06x", be24(label));
	if (label + 6 == end)
		text_printf(&t, " 0x%06x", be24(label + 3));
	return t.len;
}
