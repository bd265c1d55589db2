/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bfdgen/flood.h"
#include "bfd/pacer.h"
#include "bfd/session.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const flood_names[FLOOD_KINDS] = {
	[FLOOD_GARBAGE] = "garbage",
	[FLOOD_UNKNOWN] = "unknown",
	[FLOOD_SOURCE] = "source",
	[FLOOD_SBFD] = "sbfd",
	[FLOOD_TTL] = "ttl",
};

int flood_parse(const char *text, struct flood_options *out)
{
	const char *colon = strchr(text, ':');
	char *end;

	if (!colon || !colon[1])
		return -EINVAL;
	for (unsigned k = 0; k < FLOOD_KINDS; k++) {
		size_t len = strlen(flood_names[k]);

		if (strncmp(text, flood_names[k], len) != 0)
			continue;
		out->disc = 0;
		if (k == FLOOD_SBFD && text[len] == '=') {
			out->disc = (uint32_t)strtoul(text + len + 1, &end, 0);
			len = (size_t)(end - text);
		}
		if (text + len != colon || (k == FLOOD_SBFD) != (out->disc != 0))
			continue;
		out->kind = (uint8_t)k;
		out->rate = strtod(colon + 1, &end);
		return *end || !(out->rate > 0 && out->rate <= 1e8) ? -EINVAL : 0;
	}
	return -EINVAL;
}

static void say(struct flood_packet *p, uint8_t state, uint32_t my_disc, uint32_t your_disc)
{
	struct bfd_packet b = {
		.state = state,
		.detect_mult = 3,
		.my_disc = my_disc,
		.your_disc = your_disc,
		.min_tx_us = 1000000,
		.min_rx_us = 1000000,
	};

	bfd_packet_build(&b, p->payload);
	p->len = BFD_PACKET_LEN;
}

void flood_make(struct flood_packet *p, enum flood_kind kind, const struct flood_target *t,
	const struct ipaddr *stranger, bool multihop, uint64_t *random)
{
	memset(p, 0, sizeof(*p));
	p->src = t->local;
	p->dst = t->peer;
	p->sport = (uint16_t)(49152 + bfd_random(random) % 16384);
	p->dport = multihop ? BFD_PORT_MULTIHOP : BFD_PORT_CONTROL;
	p->ttl = 255;
	switch (kind) {
	case FLOOD_GARBAGE:
		p->len = (uint8_t)(bfd_random(random) % FLOOD_PAYLOAD);
		for (unsigned i = 0; i < p->len; i++)
			p->payload[i] = (uint8_t)bfd_random(random);
		break;
	case FLOOD_UNKNOWN:
		/* Half of them are found by address, if at all: the slower way. */
		p->src = *stranger;
		say(p, BFD_DOWN, bfd_random(random) | 1, bfd_random(random) & 1 ? bfd_random(random) | 1 : 0);
		break;
	case FLOOD_SOURCE:
		p->src = *stranger;
		say(p, BFD_DOWN, t->my_disc, t->your_disc);
		break;
	case FLOOD_SBFD:
		p->dport = BFD_PORT_SBFD;
		say(p, BFD_DOWN, bfd_random(random) | 1, t->reflector);
		p->payload[1] |= BFD_FLAG_DEMAND;
		break;
	case FLOOD_TTL:
		p->ttl = 254;
		say(p, BFD_DOWN, t->my_disc, t->your_disc);
		break;
	case FLOOD_KINDS: break;
	}
}
