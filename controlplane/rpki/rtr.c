/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/rpki/rtr.h"
#include <errno.h>
#include <string.h>

static uint16_t g16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static uint32_t g32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void p16(uint8_t *b, uint16_t v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static void p32(uint8_t *b, uint32_t v)
{
	p16(b, (uint16_t)(v >> 16));
	p16(b + 2, (uint16_t)v);
}

static int prefix_pdu(const uint8_t *b, struct rtr_pdu *out)
{
	bool v4 = out->type == RTR_IPV4_PREFIX;
	unsigned bits = v4 ? 32 : 128;
	struct ipaddr a;
	uint8_t len;

	if (out->length != (v4 ? 20u : 32u))
		return -EBADMSG;
	len = b[9];
	out->announce = b[8] & 1;
	out->max_len = b[10];
	if (v4) {
		uint32_t be;

		memcpy(&be, b + 12, 4);
		a = ipaddr_v4(be);
		out->asn = g32(b + 16);
	} else {
		a = ipaddr_v6(b + 12);
		out->asn = g32(b + 28);
	}
	if (len > bits || out->max_len > bits || out->max_len < len)
		return -EBADMSG;
	/* A mapped IPv4 address in an IPv6 PDU would change its family: no route has it. */
	if (!v4 && ipaddr_is_v4(&a)) {
		out->ignore = true;
		return (int)out->length;
	}
	out->prefix = prefix_make(&a, len);
	return (int)out->length;
}

static int end_of_data(const uint8_t *b, struct rtr_pdu *out)
{
	if (out->length != (out->version == 0 ? 12u : 24u))
		return -EBADMSG;
	out->serial = g32(b + 8);
	if (out->version > 0) {
		out->has_timers = true;
		out->refresh = g32(b + 12);
		out->retry = g32(b + 16);
		out->expire = g32(b + 20);
	}
	return (int)out->length;
}

static int error_report(const uint8_t *b, struct rtr_pdu *out)
{
	uint32_t inner, text;

	if (out->length < 16)
		return -EBADMSG;
	inner = g32(b + 8);
	if (inner > out->length - 16)
		return -EBADMSG;
	out->error = out->session;
	text = g32(b + 12 + inner);
	if (text > out->length - 16 - inner)
		return -EBADMSG;
	out->text = b + 16 + inner;
	out->text_len = text;
	return (int)out->length;
}

int rtr_parse(const uint8_t *b, size_t len, struct rtr_pdu *out)
{
	if (len < RTR_HEADER)
		return 0;
	*out = (struct rtr_pdu){.version = b[0], .type = b[1], .session = g16(b + 2), .length = g32(b + 4)};
	if (out->length < RTR_HEADER || out->length > RTR_MAX_PDU)
		return -EBADMSG;
	if (len < out->length)
		return 0;
	switch (out->type) {
	case RTR_SERIAL_NOTIFY:
	case RTR_SERIAL_QUERY:
		if (out->length != 12)
			return -EBADMSG;
		out->serial = g32(b + 8);
		return (int)out->length;
	case RTR_RESET_QUERY:
	case RTR_CACHE_RESPONSE:
	case RTR_CACHE_RESET: return out->length == 8 ? 8 : -EBADMSG;
	case RTR_IPV4_PREFIX:
	case RTR_IPV6_PREFIX: return prefix_pdu(b, out);
	case RTR_END_OF_DATA: return end_of_data(b, out);
	case RTR_ERROR_REPORT: return error_report(b, out);
	case RTR_ASPA:
		if (out->length < 12 || (out->length - 12) % 4)
			return -EBADMSG;
		out->announce = b[2] & 1;
		out->asn = g32(b + 8);
		out->providers = b + 12;
		out->n_providers = (out->length - 12) / 4;
		return (int)out->length;
	default: return (int)out->length; /* the caller says what it thinks of the type */
	}
}

uint32_t rtr_provider(const struct rtr_pdu *p, uint32_t i)
{
	return g32(p->providers + 4 * (size_t)i);
}

size_t rtr_reset_query(uint8_t version, uint8_t *buf)
{
	memset(buf, 0, 8);
	buf[0] = version;
	buf[1] = RTR_RESET_QUERY;
	p32(buf + 4, 8);
	return 8;
}

size_t rtr_serial_query(uint8_t version, uint16_t session, uint32_t serial, uint8_t *buf)
{
	buf[0] = version;
	buf[1] = RTR_SERIAL_QUERY;
	p16(buf + 2, session);
	p32(buf + 4, 12);
	p32(buf + 8, serial);
	return 12;
}

size_t rtr_error_report(
	uint8_t version, uint16_t code, const uint8_t *pdu, uint32_t len, const char *text, uint8_t *buf)
{
	uint32_t n = (uint32_t)strlen(text);

	buf[0] = version;
	buf[1] = RTR_ERROR_REPORT;
	p16(buf + 2, code);
	p32(buf + 4, 16 + len + n);
	p32(buf + 8, len);
	memcpy(buf + 12, pdu, len);
	p32(buf + 12 + len, n);
	memcpy(buf + 16 + len, text, n);
	return 16 + len + n;
}

const char *rtr_error_name(uint16_t code)
{
	static const char *const names[] = {
		"Corrupt Data",
		"Internal Error",
		"No Data Available",
		"Invalid Request",
		"Unsupported Protocol Version",
		"Unsupported PDU Type",
		"Withdrawal of Unknown Record",
		"Duplicate Announcement Received",
		"Unexpected Protocol Version",
	};

	return code < sizeof(names) / sizeof(*names) ? names[code] : "Unknown error";
}
