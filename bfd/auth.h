/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Authentication of control packets, RFC 5880 sections 4.2-4.4 and 6.7: all
 * five types. Pure functions on the caller's state; the keyed digests are one
 * block of libcrypto's MD5 or SHA1 over packet-with-key, not HMAC.
 */
#pragma once
#include "bfd/packet.h"
#include "bfd/session.h"

/* bfd.AuthSeqKnown, bfd.RcvAuthSeq */
struct bfd_auth_rx {
	uint32_t seq;
	bool known;
};

/* Bytes of the authentication section that bfd_auth_sign() adds; 0 for BFD_AUTH_NONE or without a key to send
 * with. */
unsigned bfd_auth_len(const struct bfd_params *p);
/* packet: BFD_PACKET_LEN bytes built, room for BFD_PACKET_MAX. Sets the A bit and the Length field, appends
 * the section (seq is used by the types that have one). Returns the new length. */
unsigned bfd_auth_sign(const struct bfd_params *p, uint32_t seq, uint8_t *packet);
/* payload as parsed to pkt. 0: authentic, st is updated; -EACCES: to be discarded, st is as before. Covers
 * the rules for a missing or unexpected section too. */
int bfd_auth_verify(const struct bfd_params *p, const uint8_t *payload, const struct bfd_packet *pkt,
	struct bfd_auth_rx *st);

/* A reflector's part: authentic whatever the sequence number, of which somebody without state knows nothing.
 * reply, built and with room as for bfd_auth_sign(), is signed with the key and the number of the question.
 * Its length, or -EACCES. */
int bfd_auth_reflect(
	const struct bfd_params *p, const uint8_t *payload, const struct bfd_packet *pkt, uint8_t *reply);
/* Of an authentic packet; 0 where the type has none. */
uint32_t bfd_auth_seq(const uint8_t *payload);

static inline bool bfd_auth_meticulous(uint8_t type)
{
	return type == BFD_AUTH_METICULOUS_MD5 || type == BFD_AUTH_METICULOUS_SHA1;
}
