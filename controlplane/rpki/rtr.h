/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The RPKI-to-Router protocol's messages, versions 0 (RFC 6810), 1 (RFC 8210)
 * and 2 (draft-ietf-sidrops-8210bis). Pure functions on bytes; any thread.
 */
#pragma once
#include "shared/addr.h"
#include <stdbool.h>

#define RTR_HEADER 8u
#define RTR_MAX_PDU 65535u
#define RTR_MAX_VERSION 2

enum rtr_type {
	RTR_SERIAL_NOTIFY = 0,
	RTR_SERIAL_QUERY = 1,
	RTR_RESET_QUERY = 2,
	RTR_CACHE_RESPONSE = 3,
	RTR_IPV4_PREFIX = 4,
	RTR_IPV6_PREFIX = 6,
	RTR_END_OF_DATA = 7,
	RTR_CACHE_RESET = 8,
	RTR_ROUTER_KEY = 9,
	RTR_ERROR_REPORT = 10,
	RTR_ASPA = 11,
};

/* RFC 8210 section 12 */
enum rtr_error {
	RTR_ERR_CORRUPT = 0,
	RTR_ERR_INTERNAL = 1,
	RTR_ERR_NO_DATA = 2,
	RTR_ERR_INVALID_REQUEST = 3,
	RTR_ERR_VERSION = 4,
	RTR_ERR_TYPE = 5,
	RTR_ERR_UNKNOWN_WITHDRAWAL = 6,
	RTR_ERR_DUPLICATE = 7,
	RTR_ERR_UNEXPECTED_VERSION = 8,
};

struct rtr_pdu {
	uint8_t version, type;
	uint16_t session;
	uint16_t error; /* error report: the code */
	uint32_t length;
	uint32_t serial; /* notify, query, end of data */
	bool announce;   /* prefix, ASPA: announce or withdraw */
	bool ignore;     /* well-formed, but nothing that a route could match */
	struct prefix prefix;
	uint8_t max_len;
	uint32_t asn;    /* prefix: origin; ASPA: customer */
	bool has_timers; /* end of data of version 1 and later, seconds */
	uint32_t refresh, retry, expire;
	const uint8_t *text; /* error report: the diagnostic, not NUL-terminated */
	uint32_t text_len;
	const uint8_t *providers; /* ASPA: network order */
	uint32_t n_providers;
};

/* Bytes of the PDU at b, 0 if more are needed, or -EBADMSG: the stream makes no sense. */
int rtr_parse(const uint8_t *b, size_t len, struct rtr_pdu *out);
uint32_t rtr_provider(const struct rtr_pdu *p, uint32_t i); /* i < n_providers */
/* Write to buf (16 bytes do); return the length. */
size_t rtr_reset_query(uint8_t version, uint8_t *buf);
size_t rtr_serial_query(uint8_t version, uint16_t session, uint32_t serial, uint8_t *buf);
/* buf: at least 16 + len + strlen(text). */
size_t rtr_error_report(
	uint8_t version, uint16_t code, const uint8_t *pdu, uint32_t len, const char *text, uint8_t *buf);
const char *rtr_error_name(uint16_t code);
