/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What strangers can send to the manager of peregrine-dp: ARP and neighbour
 * discovery frames on ports without a kernel, and the stream of a broken bfdd.
 * A frame that is believed must survive being answered and parsed again.
 */
#include "dataplane/bfddp.h"
#include "dataplane/neigh_packet.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void frame(const uint8_t *data, size_t size)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	struct neigh_packet p, again;
	uint8_t out[128];
	uint16_t len;

	if (size > 2048 || neigh_packet_parse(data, (uint16_t)size, &p) || !p.request || !p.has_mac)
		return;
	len = neigh_packet_reply(out, mac, &p.target, p.sender_mac, &p.sender);
	if (len > sizeof(out) || neigh_packet_parse(out, len, &again) || again.request ||
		!ipaddr_equal(&again.sender, &p.target))
		abort();
}

static void stream(const uint8_t *data, size_t size)
{
	size_t at = 0;

	while (at < size) {
		struct bfddp_header h;
		struct bfddp_session s;
		uint32_t lid;
		int n = bfddp_frame(data + at, size - at, &h);

		if (n <= 0)
			return;
		if ((size_t)n > size - at || n < BFDDP_HEADER)
			abort();
		if (bfddp_parse_session(data + at + BFDDP_HEADER, (size_t)n - BFDDP_HEADER, &s) == 0 &&
			!memchr(s.ifname, 0, sizeof(s.ifname)))
			abort();
		bfddp_parse_lid(data + at + BFDDP_HEADER, (size_t)n - BFDDP_HEADER, &lid);
		at += (size_t)n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size < 2)
		return 0;
	/* A copy of exactly that size: reading past the end is seen. */
	copy = malloc(size - 1);
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 1)
		frame(copy, size - 1);
	else
		stream(copy, size - 1);
	free(copy);
	return 0;
}
