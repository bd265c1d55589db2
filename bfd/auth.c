/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 5880 section 6.7: see auth.h. */
/* The one-shot EVP interface costs a fetch and allocations for each packet; a block of the low-level one
 * costs neither. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "bfd/auth.h"
#include <errno.h>
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <string.h>

/* Offsets in the authentication section. */
#define AUTH_TYPE 0
#define AUTH_LEN 1
#define AUTH_KEY_ID 2
#define AUTH_PASSWORD 3
#define AUTH_SEQ 4
#define AUTH_DIGEST 8

#define MD5_LEN 16
#define SHA1_LEN 20
#define PASSWORD_MAX 16

static bool is_md5(uint8_t type)
{
	return type == BFD_AUTH_KEYED_MD5 || type == BFD_AUTH_METICULOUS_MD5;
}

static unsigned digest_len(uint8_t type)
{
	return is_md5(type) ? MD5_LEN : SHA1_LEN;
}

static void digest(uint8_t type, const uint8_t *data, size_t len, uint8_t *out)
{
	if (is_md5(type)) {
		MD5_CTX c;
		MD5_Init(&c);
		MD5_Update(&c, data, len);
		MD5_Final(out, &c);
	} else {
		SHA_CTX c;
		SHA1_Init(&c);
		SHA1_Update(&c, data, len);
		SHA1_Final(out, &c);
	}
}

/* Time does not depend on where the first difference is. */
static bool equal_secret(const uint8_t *a, const uint8_t *b, size_t len)
{
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++)
		diff |= a[i] ^ b[i];
	return diff == 0;
}

static const struct bfd_auth_key *send_key(const struct bfd_params *p)
{
	for (unsigned i = 0; i < BFD_AUTH_KEYS; i++)
		if (p->auth[i].len && p->auth[i].send)
			return &p->auth[i];
	return NULL;
}

static unsigned section_len(uint8_t type, const struct bfd_auth_key *k)
{
	return type == BFD_AUTH_SIMPLE ? (unsigned)AUTH_PASSWORD + k->len : AUTH_DIGEST + digest_len(type);
}

unsigned bfd_auth_len(const struct bfd_params *p)
{
	const struct bfd_auth_key *k = send_key(p);

	return p->auth_type == BFD_AUTH_NONE || !k ? 0 : section_len(p->auth_type, k);
}

/* The key in the place of the digest, padded with zeros. */
static void place_key(uint8_t *section, unsigned dlen, const struct bfd_auth_key *k)
{
	unsigned n = k->len < dlen ? k->len : dlen;

	memcpy(section + AUTH_DIGEST, k->secret, n);
	memset(section + AUTH_DIGEST + n, 0, dlen - n);
}

static unsigned sign_with(uint8_t type, const struct bfd_auth_key *k, uint32_t seq, uint8_t *packet)
{
	uint8_t *section = packet + BFD_PACKET_LEN;
	unsigned alen = section_len(type, k);

	packet[1] |= BFD_FLAG_AUTH;
	packet[3] = (uint8_t)(BFD_PACKET_LEN + alen);
	section[AUTH_TYPE] = type;
	section[AUTH_LEN] = (uint8_t)alen;
	section[AUTH_KEY_ID] = k->id;
	if (type == BFD_AUTH_SIMPLE) {
		memcpy(section + AUTH_PASSWORD, k->secret, k->len);
	} else {
		uint8_t out[SHA1_LEN];
		unsigned dlen = digest_len(type);

		section[3] = 0;
		bfd_put32(section + AUTH_SEQ, seq);
		place_key(section, dlen, k);
		digest(type, packet, BFD_PACKET_LEN + alen, out);
		memcpy(section + AUTH_DIGEST, out, dlen);
	}
	return BFD_PACKET_LEN + alen;
}

unsigned bfd_auth_sign(const struct bfd_params *p, uint32_t seq, uint8_t *packet)
{
	const struct bfd_auth_key *k = send_key(p);

	return p->auth_type == BFD_AUTH_NONE || !k ? BFD_PACKET_LEN : sign_with(p->auth_type, k, seq, packet);
}

static bool password_matches(const struct bfd_auth_key *k, const uint8_t *section)
{
	return section[AUTH_LEN] == AUTH_PASSWORD + k->len &&
	       equal_secret(section + AUTH_PASSWORD, k->secret, k->len);
}

static bool digest_matches(uint8_t type, const struct bfd_auth_key *k, const uint8_t *payload, unsigned len)
{
	uint8_t copy[BFD_PACKET_MAX], out[SHA1_LEN];
	unsigned dlen = digest_len(type);

	memcpy(copy, payload, len);
	place_key(copy + BFD_PACKET_LEN, dlen, k);
	digest(type, copy, len, out);
	return equal_secret(out, payload + BFD_PACKET_LEN + AUTH_DIGEST, dlen);
}

/* The section is there and has the form of the type. */
static bool well_formed(uint8_t type, const uint8_t *section, const struct bfd_packet *pkt)
{
	if (type == BFD_AUTH_NONE || !(pkt->flags & BFD_FLAG_AUTH) || section[AUTH_TYPE] != type)
		return false;
	/* Nothing may follow the section: it would be outside what the types define. */
	if (section[AUTH_LEN] != pkt->length - BFD_PACKET_LEN)
		return false;
	if (type == BFD_AUTH_SIMPLE)
		return section[AUTH_LEN] > AUTH_PASSWORD && section[AUTH_LEN] <= AUTH_PASSWORD + PASSWORD_MAX;
	return section[AUTH_LEN] == AUTH_DIGEST + digest_len(type);
}

/* The key that a well-formed section was made with, among those to be accepted. */
static const struct bfd_auth_key *signed_with(
	const struct bfd_params *p, const uint8_t *payload, const struct bfd_packet *pkt)
{
	const uint8_t *section = payload + BFD_PACKET_LEN;

	for (unsigned i = 0; i < BFD_AUTH_KEYS; i++) {
		const struct bfd_auth_key *k = &p->auth[i];

		if (!k->len || !k->accept || k->id != section[AUTH_KEY_ID])
			continue;
		if (p->auth_type == BFD_AUTH_SIMPLE ? password_matches(k, section)
						    : digest_matches(p->auth_type, k, payload, pkt->length))
			return k;
	}
	return NULL;
}

uint32_t bfd_auth_seq(const uint8_t *payload)
{
	const uint8_t *section = payload + BFD_PACKET_LEN;

	return section[AUTH_TYPE] == BFD_AUTH_SIMPLE ? 0 : bfd_get32(section + AUTH_SEQ);
}

int bfd_auth_verify(const struct bfd_params *p, const uint8_t *payload, const struct bfd_packet *pkt,
	struct bfd_auth_rx *st)
{
	uint32_t seq;

	if (p->auth_type == BFD_AUTH_NONE && !(pkt->flags & BFD_FLAG_AUTH))
		return 0;
	if (!well_formed(p->auth_type, payload + BFD_PACKET_LEN, pkt))
		return -EACCES;
	seq = bfd_auth_seq(payload);
	/* Sections 6.7.3, 6.7.4: a circular window of 3 * Detect Mult; meticulous: never the same number
	 * twice. */
	if (p->auth_type != BFD_AUTH_SIMPLE && st->known) {
		uint32_t ahead = seq - st->seq;

		if (ahead > 3u * pkt->detect_mult || (!ahead && bfd_auth_meticulous(p->auth_type)))
			return -EACCES;
	}
	if (!signed_with(p, payload, pkt))
		return -EACCES;
	/* Only now: a forged packet must not move the window. */
	st->seq = seq;
	st->known = p->auth_type != BFD_AUTH_SIMPLE;
	return 0;
}

int bfd_auth_reflect(
	const struct bfd_params *p, const uint8_t *payload, const struct bfd_packet *pkt, uint8_t *reply)
{
	const struct bfd_auth_key *k;

	if (p->auth_type == BFD_AUTH_NONE)
		return pkt->flags & BFD_FLAG_AUTH ? -EACCES : BFD_PACKET_LEN;
	if (!well_formed(p->auth_type, payload + BFD_PACKET_LEN, pkt))
		return -EACCES;
	k = signed_with(p, payload, pkt);
	return k ? (int)sign_with(p->auth_type, k, bfd_auth_seq(payload), reply) : -EACCES;
}
