/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 5880 section 4.1: see packet.h. */
#include "bfd/packet.h"
#include "shared/linkstate.h"
#include <errno.h>

#define BFD_VERSION 1
#define AUTH_LEN_MIN 2 /* type and length: section 6.8.6 asks for 26 bytes when A is set */

int bfd_packet_parse(const uint8_t *payload, size_t len, struct bfd_packet *p)
{
	if (len < BFD_PACKET_LEN)
		return -EINVAL;
	p->diag = payload[0] & 0x1f;
	p->state = payload[1] >> 6;
	p->flags = payload[1] & 0x3f;
	p->detect_mult = payload[2];
	p->length = payload[3];
	p->my_disc = bfd_get32(payload + 4);
	p->your_disc = bfd_get32(payload + 8);
	p->min_tx_us = bfd_get32(payload + 12);
	p->min_rx_us = bfd_get32(payload + 16);
	p->min_echo_rx_us = bfd_get32(payload + 20);

	if (payload[0] >> 5 != BFD_VERSION)
		return -EINVAL;
	if (p->length < BFD_PACKET_LEN + (p->flags & BFD_FLAG_AUTH ? AUTH_LEN_MIN : 0) || p->length > len)
		return -EINVAL;
	if (!p->detect_mult || !p->my_disc || p->flags & BFD_FLAG_MULTIPOINT)
		return -EINVAL;
	if ((p->flags & (BFD_FLAG_POLL | BFD_FLAG_FINAL)) == (BFD_FLAG_POLL | BFD_FLAG_FINAL))
		return -EINVAL;
	if (!p->your_disc && p->state != BFD_DOWN && p->state != BFD_ADMIN_DOWN)
		return -EINVAL;
	return 0;
}

void bfd_packet_build(const struct bfd_packet *p, uint8_t *out)
{
	out[0] = (uint8_t)(BFD_VERSION << 5 | (p->diag & 0x1f));
	out[1] = (uint8_t)(p->state << 6 | (p->flags & 0x3f));
	out[2] = p->detect_mult;
	out[3] = p->length ? p->length : BFD_PACKET_LEN;
	bfd_put32(out + 4, p->my_disc);
	bfd_put32(out + 8, p->your_disc);
	bfd_put32(out + 12, p->min_tx_us);
	bfd_put32(out + 16, p->min_rx_us);
	bfd_put32(out + 20, p->min_echo_rx_us);
}
