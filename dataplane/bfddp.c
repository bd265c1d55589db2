/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/bfddp.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static uint16_t get16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static uint32_t get32(const uint8_t *b)
{
	return (uint32_t)get16(b) << 16 | get16(b + 2);
}

static void put16(uint8_t *b, uint16_t v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static void put32(uint8_t *b, uint32_t v)
{
	put16(b, (uint16_t)(v >> 16));
	put16(b + 2, (uint16_t)v);
}

static void put64(uint8_t *b, uint64_t v)
{
	put32(b, (uint32_t)(v >> 32));
	put32(b + 4, (uint32_t)v);
}

int bfddp_frame(const uint8_t *buf, size_t len, struct bfddp_header *h)
{
	if (len < BFDDP_HEADER)
		return 0;
	h->version = buf[0];
	h->type = get16(buf + 2);
	h->id = get16(buf + 4);
	h->length = get16(buf + 6);
	if (h->version != BFDDP_VERSION || h->length < BFDDP_HEADER || h->length > BFDDP_MAX_MESSAGE)
		return -EPROTO;
	return len < h->length ? 0 : h->length;
}

static int get_address(const uint8_t *b, bool v6, struct ipaddr *out)
{
	static const uint8_t zero[16];
	uint32_t be;

	memset(out, 0, sizeof(*out));
	if (!memcmp(b, zero, 16))
		return -ENOENT;
	if (v6) {
		*out = ipaddr_v6(b);
	} else {
		memcpy(&be, b, 4);
		*out = ipaddr_v4(be);
	}
	return 0;
}

int bfddp_parse_session(const uint8_t *b, size_t len, struct bfddp_session *s)
{
	bool v6;

	if (len < BFDDP_SESSION - BFDDP_HEADER)
		return -EPROTO;
	memset(s, 0, sizeof(*s));
	s->flags = get32(b);
	v6 = s->flags & BFDDP_IPV6;
	get_address(b + 4, v6, &s->src);
	if (get_address(b + 20, v6, &s->dst))
		return -EPROTO;
	s->lid = get32(b + 36);
	s->min_tx_us = get32(b + 40);
	s->min_rx_us = get32(b + 44);
	s->min_echo_tx_us = get32(b + 48);
	s->min_echo_rx_us = get32(b + 52);
	s->ttl = b[60];
	s->detect_mult = b[61];
	s->ifindex = get32(b + 64);
	/* 64 bytes on the wire; no interface here has a longer name than ours, and a cut one would be
	 * another's. */
	if (strnlen((const char *)b + 68, 64) < sizeof(s->ifname))
		memcpy(s->ifname, b + 68, strnlen((const char *)b + 68, 64));
	return 0;
}

int bfddp_parse_lid(const uint8_t *b, size_t len, uint32_t *lid)
{
	if (len < 4)
		return -EPROTO;
	*lid = get32(b);
	return 0;
}

static void header(uint8_t *out, enum bfddp_type type, uint16_t id, uint16_t length)
{
	memset(out, 0, length);
	out[0] = BFDDP_VERSION;
	put16(out + 2, (uint16_t)type);
	put16(out + 4, id);
	put16(out + 6, length);
}

size_t bfddp_build_echo(
	uint8_t *out, enum bfddp_type type, uint16_t id, uint64_t dp_time_us, uint64_t bfdd_time_us)
{
	header(out, type, id, BFDDP_ECHO);
	put64(out + 8, dp_time_us);
	put64(out + 16, bfdd_time_us);
	return BFDDP_ECHO;
}

size_t bfddp_build_state(uint8_t *out, const struct bfddp_state *s)
{
	header(out, BFDDP_STATE_CHANGE, 0, BFDDP_STATE);
	put32(out + 8, s->lid);
	put32(out + 12, s->rid);
	put32(out + 16, s->remote_flags);
	put32(out + 20, s->min_tx_us);
	put32(out + 24, s->min_rx_us);
	put32(out + 28, s->min_echo_rx_us);
	out[32] = s->state;
	out[33] = s->diag;
	out[34] = s->detect_mult;
	return BFDDP_STATE;
}

size_t bfddp_build_counters(uint8_t *out, uint16_t id, uint32_t lid, const struct bfddp_counters *c)
{
	const uint64_t v[8] = {c->rx_bytes, c->rx_packets, c->tx_bytes, c->tx_packets, c->echo_rx_bytes,
		c->echo_rx_packets, c->echo_tx_bytes, c->echo_tx_packets};

	header(out, BFDDP_SESSION_COUNTERS, id, BFDDP_COUNTERS);
	put32(out + 8, lid);
	for (unsigned i = 0; i < 8; i++) /* after 4 bytes of alignment */
		put64(out + 16 + 8 * i, v[i]);
	return BFDDP_COUNTERS;
}

static int parse_port(const char *text, uint16_t *port)
{
	char *end;
	unsigned long n;

	if (!*text)
		return 0;
	if (*text != ':')
		return -EINVAL;
	n = strtoul(text + 1, &end, 10);
	if (*end || n == 0 || n > 65535)
		return -EINVAL;
	*port = (uint16_t)n;
	return 0;
}

int bfddp_parse_address(const char *text, struct sockaddr_storage *ss, socklen_t *len)
{
	uint16_t port = BFDDP_PORT;
	char addr[IPADDR_STRLEN];
	const char *end;
	struct ipaddr a;

	memset(ss, 0, sizeof(*ss));
	if (!strncmp(text, "unix:", 5)) {
		struct sockaddr_un *un = (struct sockaddr_un *)ss;

		if (!text[5] || strlen(text + 5) >= sizeof(un->sun_path))
			return -EINVAL;
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, text + 5, strlen(text + 5) + 1);
		*len = sizeof(*un);
		return 0;
	}
	if (strncmp(text, "ipv4:", 5) && strncmp(text, "ipv6:[", 6))
		return -EINVAL;
	if (text[3] == '4') {
		text += 5;
		end = strchr(text, ':');
		end = end ? end : text + strlen(text);
	} else {
		text += 6;
		end = strchr(text, ']');
		if (!end)
			return -EINVAL;
	}
	if (end == text || (size_t)(end - text) >= sizeof(addr))
		return -EINVAL;
	snprintf(addr, sizeof(addr), "%.*s", (int)(end - text), text);
	if (ipaddr_parse(addr, &a) || parse_port(*end == ']' ? end + 1 : end, &port))
		return -EINVAL;
	*len = ipaddr_to_sockaddr(&a, port, 0, ss);
	return 0;
}
