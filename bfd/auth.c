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

unsigned bfd_auth_len(const struct bfd_params *p)
{
	const struct bfd_auth_key *k = send_key(p);

	if (p->auth_type == BFD_AUTH_NONE || !k)
		return 0;
	if (p->auth_type == BFD_AUTH_SIMPLE)
		return AUTH_PASSWORD + k->len;
	return AUTH_DIGEST + digest_len(p->auth_type);
}

/* The key in the place of the digest, padded with zeros. */
static void place_key(uint8_t *section, unsigned dlen, const struct bfd_auth_key *k)
{
	unsigned n = k->len < dlen ? k->len : dlen;

	memcpy(section + AUTH_DIGEST, k->secret, n);
	memset(section + AUTH_DIGEST + n, 0, dlen - n);
}

unsigned bfd_auth_sign(const struct bfd_params *p, uint32_t seq, uint8_t *packet)
{
	const struct bfd_auth_key *k = send_key(p);
	uint8_t *section = packet + BFD_PACKET_LEN;
	unsigned alen = bfd_auth_len(p);

	if (!alen)
		return BFD_PACKET_LEN;
	packet[1] |= BFD_FLAG_AUTH;
	packet[3] = (uint8_t)(BFD_PACKET_LEN + alen);
	section[AUTH_TYPE] = p->auth_type;
	section[AUTH_LEN] = (uint8_t)alen;
	section[AUTH_KEY_ID] = k->id;
	if (p->auth_type == BFD_AUTH_SIMPLE) {
		memcpy(section + AUTH_PASSWORD, k->secret, k->len);
	} else {
		uint8_t out[SHA1_LEN];
		unsigned dlen = digest_len(p->auth_type);

		section[3] = 0;
		bfd_put32(section + AUTH_SEQ, seq);
		place_key(section, dlen, k);
		digest(p->auth_type, packet, BFD_PACKET_LEN + alen, out);
		memcpy(section + AUTH_DIGEST, out, dlen);
	}
	return BFD_PACKET_LEN + alen;
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

int bfd_auth_verify(const struct bfd_params *p, const uint8_t *payload, const struct bfd_packet *pkt,
	struct bfd_auth_rx *st)
{
	const uint8_t *section = payload + BFD_PACKET_LEN;
	uint32_t seq = 0;

	if (!(pkt->flags & BFD_FLAG_AUTH))
		return p->auth_type == BFD_AUTH_NONE ? 0 : -EACCES;
	if (p->auth_type == BFD_AUTH_NONE || section[AUTH_TYPE] != p->auth_type)
		return -EACCES;
	/* Nothing may follow the section: it would be outside what the types define. */
	if (section[AUTH_LEN] != pkt->length - BFD_PACKET_LEN)
		return -EACCES;
	if (p->auth_type == BFD_AUTH_SIMPLE) {
		if (section[AUTH_LEN] <= AUTH_PASSWORD || section[AUTH_LEN] > AUTH_PASSWORD + PASSWORD_MAX)
			return -EACCES;
	} else {
		if (section[AUTH_LEN] != AUTH_DIGEST + digest_len(p->auth_type))
			return -EACCES;
		seq = bfd_get32(section + AUTH_SEQ);
		/* Sections 6.7.3, 6.7.4: a circular window of 3 * Detect Mult; meticulous: never the same
		 * number twice. */
		uint32_t ahead = seq - st->seq;
		if (st->known &&
			(ahead > 3u * pkt->detect_mult || (!ahead && bfd_auth_meticulous(p->auth_type))))
			return -EACCES;
	}
	for (unsigned i = 0; i < BFD_AUTH_KEYS; i++) {
		const struct bfd_auth_key *k = &p->auth[i];

		if (!k->len || !k->accept || k->id != section[AUTH_KEY_ID])
			continue;
		if (p->auth_type == BFD_AUTH_SIMPLE ? !password_matches(k, section)
						    : !digest_matches(p->auth_type, k, payload, pkt->length))
			continue;
		/* Only now: a forged packet must not move the window. */
		st->seq = seq;
		st->known = p->auth_type != BFD_AUTH_SIMPLE;
		return 0;
	}
	return -EACCES;
}
