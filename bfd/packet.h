/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control packet's mandatory section, RFC 5880 section 4.1, as bytes and
 * as values. Pure functions; what needs no session is checked here.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BFD_PACKET_LEN 24 /* mandatory section */
#define BFD_PACKET_MAX 52 /* with the longest authentication section, section 4.4 */

/* Bits of the second byte; the state is in the two above them. */
#define BFD_FLAG_POLL 0x20
#define BFD_FLAG_FINAL 0x10
#define BFD_FLAG_CPI 0x08
#define BFD_FLAG_AUTH 0x04
#define BFD_FLAG_DEMAND 0x02
#define BFD_FLAG_MULTIPOINT 0x01

/* Host byte order. */
struct bfd_packet {
	uint8_t diag;
	uint8_t state; /* enum bfd_state */
	uint8_t flags; /* BFD_FLAG_* */
	uint8_t detect_mult;
	uint8_t length; /* the Length field */
	uint32_t my_disc, your_disc;
	uint32_t min_tx_us, min_rx_us, min_echo_rx_us;
};

/* The checks of section 6.8.6 that need no session: version, length, multiplier, multipoint, My
 * Discriminator, state with Your Discriminator 0; also P and F together (section 6.5). 0 or -EINVAL. */
int bfd_packet_parse(const uint8_t *payload, size_t len, struct bfd_packet *p);
/* Writes BFD_PACKET_LEN bytes. p->length 0 means BFD_PACKET_LEN. */
void bfd_packet_build(const struct bfd_packet *p, uint8_t *out);

static inline uint32_t bfd_get32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static inline void bfd_put32(uint8_t *b, uint32_t v)
{
	b[0] = (uint8_t)(v >> 24);
	b[1] = (uint8_t)(v >> 16);
	b[2] = (uint8_t)(v >> 8);
	b[3] = (uint8_t)v;
}
