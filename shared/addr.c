/* SPDX-License-Identifier: BSD-2-Clause */
/* Text and arithmetic of addresses and prefixes: see addr.h. No state, any thread. */
#include "shared/addr.h"
#include <endian.h>
#include <errno.h>

int ipaddr_parse(const char *text, struct ipaddr *out)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*out = ipaddr_v4(v4.s_addr);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6) == 1) {
		*out = ipaddr_v6(&v6);
		return 0;
	}
	return -EINVAL;
}

static char *put_decimal(char *p, unsigned v)
{
	if (v >= 100)
		*p++ = (char)('0' + v / 100);
	if (v >= 10)
		*p++ = (char)('0' + v / 10 % 10);
	*p++ = (char)('0' + v % 10);
	return p;
}

static char *put_hex(char *p, unsigned v)
{
	static const char digits[] = "0123456789abcdef";

	if (v >= 0x1000)
		*p++ = digits[v >> 12];
	if (v >= 0x100)
		*p++ = digits[v >> 8 & 15];
	if (v >= 0x10)
		*p++ = digits[v >> 4 & 15];
	*p++ = digits[v & 15];
	return p;
}

static char *put_v4(char *p, const uint8_t *b)
{
	for (int i = 0; i < 4; i++) {
		if (i)
			*p++ = '.';
		p = put_decimal(p, b[i]);
	}
	return p;
}

/* RFC 5952: lower case, no leading zeros, "::" for the longest (then first) run of at least two zero groups.
 * IPv4-compatible and mapped ones, ::a.b.c.d and ::ffff:a.b.c.d, as inet_ntop() and BIRD write them. */
static char *put_v6(char *p, const uint8_t *b)
{
	int best = -1, best_len = 1;

	for (int i = 0; i < 8;) {
		int j = i;
		while (j < 8 && b[2 * j] == 0 && b[2 * j + 1] == 0)
			j++;
		if (j - i > best_len) {
			best = i;
			best_len = j - i;
		}
		i = j > i ? j : i + 1;
	}
	if (best == 0 && (best_len == 6 || (best_len == 5 && b[10] == 0xff && b[11] == 0xff))) {
		p = stpcpy(p, best_len == 6 ? "::" : "::ffff:");
		return put_v4(p, b + 12);
	}
	for (int i = 0; i < 8;) {
		if (i == best) {
			*p++ = ':';
			*p++ = ':';
			i += best_len;
			continue;
		}
		if (i && !(best >= 0 && i == best + best_len))
			*p++ = ':';
		p = put_hex(p, (unsigned)b[2 * i] << 8 | b[2 * i + 1]);
		i++;
	}
	return p;
}

static char *put_addr(char *p, const struct ipaddr *a)
{
	return ipaddr_is_v4(a) ? put_v4(p, a->b + 12) : put_v6(p, a->b);
}

/* Written by hand: a table dump formats millions of them and inet_ntop() goes through printf. */
char *ipaddr_format(const struct ipaddr *a, char buf[IPADDR_STRLEN])
{
	*put_addr(buf, a) = '\0';
	return buf;
}

char *prefix_format(const struct prefix *p, char buf[PREFIX_STRLEN])
{
	char *s = p->family == 4 ? put_v4(buf, p->addr.b + 12) : put_v6(buf, p->addr.b);

	*s++ = '/';
	s = put_decimal(s, p->len);
	*s = '\0';
	return buf;
}

static unsigned family_bits(unsigned family)
{
	return family == 4 ? 32 : 128;
}

static void clear_host_bits(struct ipaddr *a, unsigned mapped_len)
{
	uint64_t hi = mapped_len >= 64 ? ~UINT64_C(0) : mapped_len ? ~UINT64_C(0) << (64 - mapped_len) : 0;
	unsigned low = mapped_len > 64 ? mapped_len - 64 : 0;
	uint64_t lo = low >= 64 ? ~UINT64_C(0) : low ? ~UINT64_C(0) << (64 - low) : 0;

	a->q[0] &= htobe64(hi);
	a->q[1] &= htobe64(lo);
}

struct prefix prefix_make(const struct ipaddr *addr, unsigned len)
{
	struct prefix p = {.addr = *addr, .family = ipaddr_is_v4(addr) ? 4 : 6};
	unsigned max = family_bits(p.family);

	p.len = (uint8_t)(len > max ? max : len);
	clear_host_bits(&p.addr, p.family == 4 ? 96u + p.len : p.len);
	return p;
}

int prefix_parse(const char *text, struct prefix *out)
{
	char addr_text[IPADDR_STRLEN];
	struct ipaddr addr;
	const char *slash = strchr(text, '/');
	unsigned len = 0;

	if (!slash || slash == text || (size_t)(slash - text) >= sizeof(addr_text))
		return -EINVAL;
	memcpy(addr_text, text, (size_t)(slash - text));
	addr_text[slash - text] = '\0';
	if (ipaddr_parse(addr_text, &addr) < 0)
		return -EINVAL;
	if (!slash[1])
		return -EINVAL;
	for (const char *d = slash + 1; *d; d++) {
		if (*d < '0' || *d > '9' || d - slash > 3)
			return -EINVAL;
		len = len * 10 + (unsigned)(*d - '0');
	}
	/* "::ffff:0:0/96" and shorter are IPv6 prefixes that happen to have a mapped address. */
	if (ipaddr_is_v4(&addr) && strchr(addr_text, ':')) {
		if (len > 128)
			return -ERANGE;
		*out = (struct prefix){.addr = addr, .len = (uint8_t)len, .family = 6};
		clear_host_bits(&out->addr, len);
	} else {
		if (len > family_bits(ipaddr_is_v4(&addr) ? 4 : 6))
			return -ERANGE;
		*out = prefix_make(&addr, len);
	}
	return ipaddr_equal(&out->addr, &addr) ? 0 : -EDOM;
}

bool prefix_contains_addr(const struct prefix *p, const struct ipaddr *a)
{
	struct ipaddr masked = *a;

	if (p->family == 4 && !ipaddr_is_v4(a))
		return false;
	/* ::/0 must not contain IPv4: a mapped address is not an IPv6 destination. */
	if (p->family == 6 && ipaddr_is_v4(a))
		return false;
	clear_host_bits(&masked, p->family == 4 ? 96u + p->len : p->len);
	return ipaddr_equal(&masked, &p->addr);
}

bool prefix_contains(const struct prefix *outer, const struct prefix *inner)
{
	struct ipaddr masked = inner->addr;

	if (outer->family != inner->family || outer->len > inner->len)
		return false;
	clear_host_bits(&masked, outer->family == 4 ? 96u + outer->len : outer->len);
	return ipaddr_equal(&masked, &outer->addr);
}

int prefix_cmp(const struct prefix *a, const struct prefix *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	int c = ipaddr_cmp(&a->addr, &b->addr);
	if (c)
		return c;
	return (int)a->len - (int)b->len;
}

socklen_t ipaddr_to_sockaddr(
	const struct ipaddr *a, uint16_t port, uint32_t scope, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (ipaddr_is_v4(a)) {
		struct sockaddr_in *sin = (struct sockaddr_in *)ss;
		sin->sin_family = AF_INET;
		sin->sin_port = htons(port);
		sin->sin_addr.s_addr = ipaddr_to_v4(a);
		return sizeof(*sin);
	}
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;
	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = htons(port);
	sin6->sin6_scope_id = scope;
	memcpy(&sin6->sin6_addr, a->b, 16);
	return sizeof(*sin6);
}

int ipaddr_from_sockaddr(const struct sockaddr *sa, struct ipaddr *a, uint16_t *port, uint32_t *scope)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *sin = (const struct sockaddr_in *)sa;
		*a = ipaddr_v4(sin->sin_addr.s_addr);
		if (port)
			*port = ntohs(sin->sin_port);
		if (scope)
			*scope = 0;
		return 0;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)sa;
		*a = ipaddr_v6(&sin6->sin6_addr);
		if (port)
			*port = ntohs(sin6->sin6_port);
		if (scope)
			*scope = sin6->sin6_scope_id;
		return 0;
	}
	return -EAFNOSUPPORT;
}
