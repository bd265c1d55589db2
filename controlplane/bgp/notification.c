/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words for what went wrong, and RFC 9003's text. Operators grep for these
 * words: they are what route servers and looking glasses have shown for years.
 */
#include "controlplane/bgp/message.h"
#include <stdio.h>

static const struct {
	uint8_t code, subcode;
	const char *name;
} names[] = {
	{1, 0, "Invalid message header"},
	{1, 1, "Connection not synchronized"},
	{1, 2, "Bad message length"},
	{1, 3, "Bad message type"},
	{2, 0, "Invalid OPEN message"},
	{2, 1, "Unsupported version number"},
	{2, 2, "Bad peer AS"},
	{2, 3, "Bad BGP identifier"},
	{2, 4, "Unsupported optional parameter"},
	{2, 5, "Authentication failure"},
	{2, 6, "Unacceptable hold time"},
	{2, 7, "Required capability missing"},
	{2, 8, "No supported AFI/SAFI"},
	{2, 11, "Role mismatch"},
	{3, 0, "Invalid UPDATE message"},
	{3, 1, "Malformed attribute list"},
	{3, 2, "Unrecognized well-known attribute"},
	{3, 3, "Missing mandatory attribute"},
	{3, 4, "Invalid attribute flags"},
	{3, 5, "Invalid attribute length"},
	{3, 6, "Invalid ORIGIN attribute"},
	{3, 7, "AS routing loop"},
	{3, 8, "Invalid NEXT_HOP attribute"},
	{3, 9, "Optional attribute error"},
	{3, 10, "Invalid network field"},
	{3, 11, "Malformed AS_PATH"},
	{4, 0, "Hold timer expired"},
	{5, 0, "Finite state machine error"},
	{5, 1, "Unexpected message in OpenSent state"},
	{5, 2, "Unexpected message in OpenConfirm state"},
	{5, 3, "Unexpected message in Established state"},
	{6, 0, "Cease"},
	{6, 1, "Maximum number of prefixes reached"},
	{6, 2, "Administrative shutdown"},
	{6, 3, "Peer de-configured"},
	{6, 4, "Administrative reset"},
	{6, 5, "Connection rejected"},
	{6, 6, "Other configuration change"},
	{6, 7, "Connection collision resolution"},
	{6, 8, "Out of Resources"},
	{6, 9, "Hard reset"},
	{6, 10, "BFD down"},
	{7, 0, "Invalid ROUTE-REFRESH message"},
	{7, 1, "Invalid ROUTE-REFRESH message length"},
	{8, 0, "Send hold timer expired"},
};

const char *bgp_error_name(uint8_t code, uint8_t subcode, char buf[32])
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].code == code && names[i].subcode == subcode)
			return names[i].name;
	snprintf(buf, 32, "Unknown error %u.%u", code, subcode);
	return buf;
}

/* RFC 8538 section 3.1: a Hard Reset carries the code and subcode it stands for, then their data. */
static size_t text_offset(const struct bgp_error *e)
{
	return e->code == BGP_ERR_CEASE && e->subcode == CEASE_HARD_RESET ? 2 : 0;
}

static bool put_text(const struct bgp_error *e, char *buf, size_t size)
{
	size_t at = text_offset(e), n, len;

	if (e->len <= at)
		return false;
	len = e->data[at];
	if (!len || at + 1 + len > e->len)
		return false;
	n = (size_t)snprintf(buf, size, ": \"");
	for (size_t i = 0; i < len && n + 3 < size; i++) {
		uint8_t c = e->data[at + 1 + i];

		/* A peer's text goes to terminals and log files: bytes of UTF-8 stay, control characters do
		 * not. */
		buf[n++] = c < 0x20 || c == 0x7f ? '.' : (char)c;
	}
	snprintf(buf + n, size - n, "\"");
	return true;
}

void bgp_error_detail(const struct bgp_error *e, char *buf, size_t size)
{
	size_t n;

	buf[0] = 0;
	if (!e->len)
		return;
	if (e->code == BGP_ERR_OPEN && e->subcode == 2 && (e->len == 2 || e->len == 4)) {
		snprintf(buf, size, ": %u", e->len == 2 ? get_u16(e->data) : get_u32(e->data));
		return;
	}
	if (e->code == BGP_ERR_CEASE && put_text(e, buf, size))
		return;
	n = (size_t)snprintf(buf, size, ": ");
	for (unsigned i = 0; i < e->len && i < 16 && n + 3 < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%02x", e->data[i]);
}

void bgp_error_set_text(struct bgp_error *e, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (!len)
		return;
	if (len > 255) {
		len = 255;
		while (len && ((uint8_t)text[len] & 0xc0) == 0x80)
			len--;
	}
	e->data[0] = (uint8_t)len;
	memcpy(e->data + 1, text, len);
	e->len = (uint16_t)(len + 1);
}
