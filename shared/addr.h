/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses and prefixes, one representation for both families.
 *
 * An address is always 16 bytes in network order; IPv4 a.b.c.d is held as the
 * mapped address ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so comparing,
 * hashing and storing need no family switch. The all-zero value (::) means
 * "no address"; 0.0.0.0 is ::ffff:0.0.0.0 and is a different value.
 *
 * Everything here is a pure function on values: callable from any thread.
 */
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

struct ipaddr {
	union {
		uint8_t b[16];
		uint32_t w[4]; /* network order */
		uint64_t q[2]; /* network order */
	};
};

/* Longest text: IPv6 with an embedded IPv4 tail, or "addr/len", NUL included. */
#define IPADDR_STRLEN 46
#define PREFIX_STRLEN 52

/* Host bits of addr are zero in every prefix that leaves prefix_parse() or prefix_make(). */
struct prefix {
	struct ipaddr addr;
	uint8_t len;    /* in bits of its own family: 0..32 or 0..128 */
	uint8_t family; /* 4 or 6 */
	uint16_t reserved;
};

static inline bool ipaddr_is_v4(const struct ipaddr *a)
{
	return a->q[0] == 0 && a->w[2] == htonl(0xffff);
}

static inline bool ipaddr_is_zero(const struct ipaddr *a)
{
	return a->q[0] == 0 && a->q[1] == 0;
}

static inline bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b)
{
	return a->q[0] == b->q[0] && a->q[1] == b->q[1];
}

/* Order of the addresses as numbers: <0, 0, >0. */
static inline int ipaddr_cmp(const struct ipaddr *a, const struct ipaddr *b)
{
	return memcmp(a->b, b->b, 16);
}

/* be: an IPv4 address in network order. */
static inline struct ipaddr ipaddr_v4(uint32_t be)
{
	struct ipaddr a = {.w = {0, 0, htonl(0xffff), be}};
	return a;
}

static inline struct ipaddr ipaddr_v6(const void *bytes16)
{
	struct ipaddr a;
	memcpy(a.b, bytes16, 16);
	return a;
}

/* The IPv4 address in network order; meaningless when !ipaddr_is_v4(). */
static inline uint32_t ipaddr_to_v4(const struct ipaddr *a)
{
	return a->w[3];
}

static inline bool ipaddr_is_link_local(const struct ipaddr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

static inline bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return a->len == b->len && a->family == b->family && ipaddr_equal(&a->addr, &b->addr);
}

/* Text. ipaddr_parse(): 0 or -EINVAL. The formatters return buf. "%iface" suffixes are not part of an
 * address. */
int ipaddr_parse(const char *text, struct ipaddr *out);
char *ipaddr_format(const struct ipaddr *a, char buf[IPADDR_STRLEN]);
/* -EINVAL malformed, -ERANGE length too big, -EDOM host bits set (out is then the cleared prefix). */
int prefix_parse(const char *text, struct prefix *out);
char *prefix_format(const struct prefix *p, char buf[PREFIX_STRLEN]);

/* Clears host bits. family is taken from addr; len is in bits of that family. */
struct prefix prefix_make(const struct ipaddr *addr, unsigned len);
/* inner equal to or more specific than outer. */
bool prefix_contains(const struct prefix *outer, const struct prefix *inner);
bool prefix_contains_addr(const struct prefix *p, const struct ipaddr *a);
int prefix_cmp(const struct prefix *a, const struct prefix *b); /* family, address, length */

/* Socket addresses. scope: interface index for link-local, else 0. Returns the length used in ss. */
socklen_t ipaddr_to_sockaddr(
	const struct ipaddr *a, uint16_t port, uint32_t scope, struct sockaddr_storage *ss);
int ipaddr_from_sockaddr(const struct sockaddr *sa, struct ipaddr *a, uint16_t *port, uint32_t *scope);
