/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Path attributes from bytes, with RFC 7606's treatment of what is wrong: the
 * table `rules` says for each attribute what its flags must be, who may send
 * it, and what an error of length, value or flags does. See update.h.
 */
#include "controlplane/bgp/update.h"
#include "controlplane/fib/fib.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum action { WITHDRAW, DISCARD };
enum verdict { GOOD, BAD_LENGTH, BAD_VALUE };
enum scope_rule {
	ANY = 0,
	INTERNAL_ONLY = 1, /* from an external peer: discarded without looking inside (RFC 7606
			      sections 7.5, 7.9, 7.10) */
	OLD_ONLY = 2,      /* from a speaker that knows 4-octet numbers: discarded (RFC 6793 section 4.1) */
	AIGP_ONLY = 4,     /* RFC 7311 section 3.2 */
};

struct decoder {
	const struct bgp_import_context *c;
	const struct bgp_import_class *k;
	struct bgp_decode_scratch *s;
	struct attrs *out;
	uint32_t bad_value; /* for the report */
	uint64_t seen[4];
	struct bgp_bytes as4_path;
	uint32_t as4_aggregator_as, as4_aggregator_id;
	bool has_as4_aggregator;
	struct ipaddr next_hop; /* of the NEXT_HOP attribute */
	struct attr_extra *extra;
	bool withdraw;
};

__attribute__((format(printf, 2, 3))) static void report(
	const struct bgp_import_context *c, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	if (!c->report)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	c->report(c->ctx, line);
}

/* Never fails: bgp_attrs_decode() made sure that the whole set fits. */
static void *take(struct bgp_decode_scratch *s, size_t n)
{
	void *p = s->mem + s->used;

	s->used += (n + 7) & ~(size_t)7;
	return p;
}

void bgp_decode_scratch_free(struct bgp_decode_scratch *s)
{
	free(s->mem);
	*s = (struct bgp_decode_scratch){0};
}

/* ---- AS paths ---- */

static bool segment_type_known(uint8_t t)
{
	return t >= AS_SET && t <= AS_CONFED_SET;
}

/* RFC 7606 section 7.2: type, emptiness and extent of each segment. width: bytes of a number. AS 0: RFC 7607.
 */
static bool path_is_sound(const uint8_t *p, size_t len, unsigned width)
{
	while (len) {
		size_t n;

		if (len < 2 || !segment_type_known(p[0]) || !p[1])
			return false;
		n = (size_t)p[1] * width;
		if (2 + n > len)
			return false;
		for (const uint8_t *a = p + 2; a < p + 2 + n; a += width)
			if (!(width == 2 ? get_u16(a) : get_u32(a)))
				return false;
		p += 2 + n;
		len -= 2 + n;
	}
	return true;
}

static bool path_has_type(const uint8_t *p, size_t len, uint8_t a, uint8_t b)
{
	for (const uint8_t *end = p + len; p < end; p += 2 + 4 * (size_t)p[1])
		if (p[0] == a || p[0] == b)
			return true;
	return false;
}

static size_t path_widen(const uint8_t *p, size_t len, uint8_t *out)
{
	uint8_t *o = out;

	for (const uint8_t *end = p + len; p < end;) {
		unsigned n = p[1];

		*o++ = *p++;
		*o++ = *p++;
		for (; n; n--, p += 2, o += 4)
			put_u32(o, get_u16(p));
	}
	return (size_t)(o - out);
}

static enum verdict decode_as_path(struct decoder *d, const uint8_t *p, size_t len)
{
	uint8_t *wide;

	if (!path_is_sound(p, len, d->k->as4 ? 4 : 2))
		return BAD_VALUE;
	if (d->k->as4) {
		d->out->as_path = p;
		d->out->as_path_bytes = (uint16_t)len;
	} else {
		wide = take(d->s, len * 2);
		len = path_widen(p, len, wide);
		if (len > UINT16_MAX)
			return BAD_LENGTH;
		d->out->as_path = wide;
		d->out->as_path_bytes = (uint16_t)len;
	}
	/* RFC 5065 section 5.3 */
	if (!d->k->interior &&
		path_has_type(d->out->as_path, d->out->as_path_bytes, AS_CONFED_SEQUENCE, AS_CONFED_SET))
		return BAD_VALUE;
	d->out->present |= ATTR_AS_PATH;
	return GOOD;
}

static enum verdict decode_as4_path(struct decoder *d, const uint8_t *p, size_t len)
{
	if (!len || !path_is_sound(p, len, 4))
		return BAD_VALUE;
	d->as4_path = (struct bgp_bytes){p, len};
	return GOOD;
}

/* Copies the first n numbers (as path length counts them) of a path; confederation segments among them come
 * along for nothing. */
static size_t path_head(const uint8_t *p, size_t len, unsigned n, uint8_t *out)
{
	uint8_t *o = out;

	for (const uint8_t *end = p + len; p < end; p += 2 + 4 * (size_t)p[1]) {
		unsigned count = p[1];
		bool confed = p[0] == AS_CONFED_SEQUENCE || p[0] == AS_CONFED_SET;

		if (!confed) {
			if (!n)
				break;
			if (p[0] == AS_SEQUENCE && count > n)
				count = n;
			n -= p[0] == AS_SEQUENCE ? count : 1;
		}
		o[0] = p[0];
		o[1] = (uint8_t)count;
		memcpy(o + 2, p + 2, 4 * (size_t)count);
		o += 2 + 4 * (size_t)count;
	}
	return (size_t)(o - out);
}

/* AS4_PATH without confederation segments, which RFC 6793 section 6 wants dropped. */
static size_t path_without_confed(const uint8_t *p, size_t len, uint8_t *out)
{
	uint8_t *o = out;

	for (const uint8_t *end = p + len; p < end; p += 2 + 4 * (size_t)p[1]) {
		if (p[0] != AS_SET && p[0] != AS_SEQUENCE)
			continue;
		memcpy(o, p, 2 + 4 * (size_t)p[1]);
		o += 2 + 4 * (size_t)p[1];
	}
	return (size_t)(o - out);
}

/* RFC 6793 section 4.2.3 */
static void merge_as4(struct decoder *d)
{
	struct attrs *a = d->out;
	unsigned n, m;
	uint8_t *tail, *out;
	size_t tail_len, len;

	if (d->k->as4 || (!d->as4_path.len && !d->has_as4_aggregator))
		return;
	if (a->present & ATTR_AGGREGATOR) {
		if (a->aggregator_as != AS_TRANS)
			return; /* somebody who knows no AS4_* aggregated after they were set */
		if (d->has_as4_aggregator) {
			a->aggregator_as = d->as4_aggregator_as;
			a->aggregator_id = d->as4_aggregator_id;
		}
	}
	if (!d->as4_path.len || !(a->present & ATTR_AS_PATH))
		return;
	tail = take(d->s, d->as4_path.len);
	tail_len = path_without_confed(d->as4_path.p, d->as4_path.len, tail);
	n = as_path_length(a->as_path, a->as_path_bytes);
	m = as_path_length(tail, (unsigned)tail_len);
	if (n < m || !m)
		return;
	out = take(d->s, a->as_path_bytes + tail_len);
	len = path_head(a->as_path, a->as_path_bytes, n - m, out);
	if (len + tail_len > UINT16_MAX)
		return;
	memcpy(out + len, tail, tail_len);
	a->as_path = out;
	a->as_path_bytes = (uint16_t)(len + tail_len);
}

/* ---- the others ---- */

static enum verdict decode_origin(struct decoder *d, const uint8_t *p, size_t len)
{
	if (len != 1)
		return BAD_LENGTH;
	if (p[0] > ORIGIN_INCOMPLETE) {
		d->bad_value = p[0];
		return BAD_VALUE;
	}
	d->out->origin = p[0];
	d->out->present |= ATTR_ORIGIN;
	return GOOD;
}

static enum verdict decode_next_hop(struct decoder *d, const uint8_t *p, size_t len)
{
	uint32_t be;

	if (len != 4)
		return BAD_LENGTH;
	memcpy(&be, p, 4);
	d->next_hop = ipaddr_v4(be);
	return GOOD;
}

static enum verdict decode_u32(struct decoder *d, const uint8_t *p, size_t len, uint32_t *field, uint32_t bit)
{
	if (len != 4)
		return BAD_LENGTH;
	*field = get_u32(p);
	d->out->present |= bit;
	return GOOD;
}

static enum verdict decode_med(struct decoder *d, const uint8_t *p, size_t len)
{
	return decode_u32(d, p, len, &d->out->med, ATTR_MED);
}

static enum verdict decode_local_pref(struct decoder *d, const uint8_t *p, size_t len)
{
	return decode_u32(d, p, len, &d->out->local_pref, ATTR_LOCAL_PREF);
}

static enum verdict decode_originator(struct decoder *d, const uint8_t *p, size_t len)
{
	return decode_u32(d, p, len, &d->out->originator_id, ATTR_ORIGINATOR);
}

static enum verdict decode_otc(struct decoder *d, const uint8_t *p, size_t len)
{
	return decode_u32(d, p, len, &d->out->otc, ATTR_OTC);
}

static enum verdict decode_atomic(struct decoder *d, const uint8_t *p, size_t len)
{
	if (len)
		return BAD_LENGTH;
	d->out->present |= ATTR_ATOMIC;
	return GOOD;
}

static enum verdict decode_aggregator(struct decoder *d, const uint8_t *p, size_t len)
{
	uint32_t as;

	if (len != (d->k->as4 ? 8 : 6))
		return BAD_LENGTH;
	as = d->k->as4 ? get_u32(p) : get_u16(p);
	if (!as)
		return BAD_VALUE; /* RFC 7607 */
	d->out->aggregator_as = as;
	d->out->aggregator_id = get_u32(p + len - 4);
	d->out->present |= ATTR_AGGREGATOR;
	return GOOD;
}

static enum verdict decode_as4_aggregator(struct decoder *d, const uint8_t *p, size_t len)
{
	if (len != 8)
		return BAD_LENGTH;
	if (!get_u32(p))
		return BAD_VALUE;
	d->as4_aggregator_as = get_u32(p);
	d->as4_aggregator_id = get_u32(p + 4);
	d->has_as4_aggregator = true;
	return GOOD;
}

static const uint32_t *take_u32s(struct decoder *d, const uint8_t *p, size_t len)
{
	uint32_t *v = take(d->s, len);

	for (size_t i = 0; i < len / 4; i++)
		v[i] = get_u32(p + 4 * i);
	return v;
}

static enum verdict decode_community(struct decoder *d, const uint8_t *p, size_t len)
{
	if (!len || len % 4)
		return BAD_LENGTH;
	d->out->community = take_u32s(d, p, len);
	d->out->n_community = (uint16_t)(len / 4);
	d->out->present |= ATTR_COMMUNITY;
	return GOOD;
}

static enum verdict decode_cluster_list(struct decoder *d, const uint8_t *p, size_t len)
{
	if (!len || len % 4)
		return BAD_LENGTH;
	d->out->cluster = take_u32s(d, p, len);
	d->out->n_cluster = (uint16_t)(len / 4);
	d->out->present |= ATTR_CLUSTER_LIST;
	return GOOD;
}

static enum verdict decode_ext_community(struct decoder *d, const uint8_t *p, size_t len)
{
	uint64_t *v;

	if (!len || len % 8)
		return BAD_LENGTH;
	v = take(d->s, len);
	for (size_t i = 0; i < len / 8; i++)
		v[i] = get_u64(p + 8 * i);
	d->out->ext = v;
	d->out->n_ext = (uint16_t)(len / 8);
	d->out->present |= ATTR_EXT_COMMUNITY;
	return GOOD;
}

static enum verdict decode_large_community(struct decoder *d, const uint8_t *p, size_t len)
{
	struct lcomm *v;

	if (!len || len % 12)
		return BAD_LENGTH;
	v = take(d->s, len);
	for (size_t i = 0; i < len / 12; i++)
		v[i] = (struct lcomm){get_u32(p + 12 * i), get_u32(p + 12 * i + 4), get_u32(p + 12 * i + 8)};
	d->out->large = v;
	d->out->n_large = (uint16_t)(len / 12);
	d->out->present |= ATTR_LARGE_COMMUNITY;
	return GOOD;
}

/* RFC 7311 section 3: TLVs; the first of type 1 counts. */
static enum verdict decode_aigp(struct decoder *d, const uint8_t *p, size_t len)
{
	bool found = false;

	while (len) {
		size_t n;

		if (len < 3 || (n = get_u16(p + 1)) < 3 || n > len)
			return BAD_VALUE;
		if (p[0] == 1 && !found) {
			if (n != 11)
				return BAD_VALUE;
			d->out->aigp = get_u64(p + 3);
			d->out->present |= ATTR_AIGP;
			found = true;
		}
		p += n;
		len -= n;
	}
	return GOOD;
}

static void add_extra(struct decoder *d, uint8_t code, uint8_t flags, const uint8_t *p, size_t len)
{
	struct attrs *a = d->out;
	struct attr_extra *list = d->extra;
	unsigned i = a->n_extra++;

	for (; i && list[i - 1].id > ATTR_EXTRA_BGP(code); i--)
		list[i] = list[i - 1];
	list[i] = (struct attr_extra){.id = ATTR_EXTRA_BGP(code),
		.type = T_BYTESTRING,
		.flags = flags,
		.len = (uint16_t)len,
		.data = p};
	a->extra = list;
}

static enum verdict decode_ipv6_ext_community(struct decoder *d, const uint8_t *p, size_t len)
{
	if (!len || len % 20)
		return BAD_LENGTH;
	add_extra(d, BA_IPV6_EXT_COMMUNITY, BAF_OPTIONAL | BAF_TRANSITIVE, p, len);
	return GOOD;
}

struct rule {
	const char *name;
	uint8_t flags; /* BAF_OPTIONAL | BAF_TRANSITIVE as they must be */
	uint8_t scope; /* enum scope_rule */
	enum action on_flags, on_error;
	enum verdict (*decode)(struct decoder *d, const uint8_t *p, size_t len);
};

#define WELL_KNOWN BAF_TRANSITIVE
#define OPTIONAL BAF_OPTIONAL
#define OPT_TRANS (BAF_OPTIONAL | BAF_TRANSITIVE)

/* Flags in conflict: RFC 7606 section 3 c. Errors of each: its section 7, RFC 6793 section 6 (AS4_*), RFC
 * 7311 section 3 (AIGP), RFC 8092 section 6 (large communities), RFC 9234 section 5 (OTC). */
static const struct rule rules[256] = {
	[BA_ORIGIN] = {"ORIGIN", WELL_KNOWN, ANY, WITHDRAW, WITHDRAW, decode_origin},
	[BA_AS_PATH] = {"AS_PATH", WELL_KNOWN, ANY, WITHDRAW, WITHDRAW, decode_as_path},
	[BA_NEXT_HOP] = {"NEXT_HOP", WELL_KNOWN, ANY, WITHDRAW, WITHDRAW, decode_next_hop},
	[BA_MED] = {"MULTI_EXIT_DISC", OPTIONAL, ANY, WITHDRAW, WITHDRAW, decode_med},
	[BA_LOCAL_PREF] = {"LOCAL_PREF", WELL_KNOWN, INTERNAL_ONLY, WITHDRAW, WITHDRAW, decode_local_pref},
	[BA_ATOMIC_AGGREGATE] = {"ATOMIC_AGGREGATE", WELL_KNOWN, ANY, WITHDRAW, DISCARD, decode_atomic},
	[BA_AGGREGATOR] = {"AGGREGATOR", OPT_TRANS, ANY, WITHDRAW, DISCARD, decode_aggregator},
	[BA_COMMUNITY] = {"COMMUNITY", OPT_TRANS, ANY, WITHDRAW, WITHDRAW, decode_community},
	[BA_ORIGINATOR_ID] = {"ORIGINATOR_ID", OPTIONAL, INTERNAL_ONLY, WITHDRAW, WITHDRAW,
		decode_originator},
	[BA_CLUSTER_LIST] = {"CLUSTER_LIST", OPTIONAL, INTERNAL_ONLY, WITHDRAW, WITHDRAW,
		decode_cluster_list},
	[BA_EXT_COMMUNITY] = {"EXTENDED COMMUNITIES", OPT_TRANS, ANY, WITHDRAW, WITHDRAW,
		decode_ext_community},
	[BA_AS4_PATH] = {"AS4_PATH", OPT_TRANS, OLD_ONLY, DISCARD, DISCARD, decode_as4_path},
	[BA_AS4_AGGREGATOR] = {"AS4_AGGREGATOR", OPT_TRANS, OLD_ONLY, DISCARD, DISCARD,
		decode_as4_aggregator},
	[BA_IPV6_EXT_COMMUNITY] = {"IPV6 EXTENDED COMMUNITIES", OPT_TRANS, ANY, WITHDRAW, WITHDRAW,
		decode_ipv6_ext_community},
	[BA_AIGP] = {"AIGP", OPTIONAL, AIGP_ONLY, DISCARD, DISCARD, decode_aigp},
	[BA_LARGE_COMMUNITY] = {"LARGE COMMUNITY", OPT_TRANS, ANY, WITHDRAW, WITHDRAW,
		decode_large_community},
	[BA_OTC] = {"OTC", OPT_TRANS, ANY, WITHDRAW, WITHDRAW, decode_otc},
};

/* Attributes that this session must not carry. True: dropped, and said so. */
static bool out_of_scope(struct decoder *d, const struct rule *r)
{
	const struct bgp_import_class *k = d->k;

	if ((r->scope & INTERNAL_ONLY) && !k->interior &&
		!(r == &rules[BA_LOCAL_PREF] && k->allow_local_pref)) {
		report(d->c, "Discarding %s attribute received from EBGP neighbor", r->name);
		return true;
	}
	if ((r->scope & OLD_ONLY) && k->as4) {
		report(d->c, "Discarding %s attribute received from AS4-aware neighbor", r->name);
		return true;
	}
	if ((r->scope & AIGP_ONLY) && !k->aigp) {
		report(d->c, "Discarding AIGP attribute received on non-AIGP session");
		return true;
	}
	return false;
}

static void act(struct decoder *d, enum action a)
{
	if (a == WITHDRAW)
		d->withdraw = true;
}

static void decode_unknown(struct decoder *d, uint8_t code, uint8_t flags, const uint8_t *p, size_t len)
{
	if (!(flags & BAF_OPTIONAL)) {
		report(d->c, "Unknown attribute (code %u) - conflicting flags (%02x)", code, flags);
		d->withdraw = true;
		return;
	}
	/* RFC 4271 section 5: passed on with the partial bit, or quietly dropped. */
	if (flags & BAF_TRANSITIVE)
		add_extra(d, code, BAF_OPTIONAL | BAF_TRANSITIVE | BAF_PARTIAL, p, len);
}

static void decode_one(struct decoder *d, uint8_t code, uint8_t flags, const uint8_t *p, size_t len)
{
	const struct rule *r = &rules[code];
	enum verdict v;

	if (d->seen[code / 64] >> code % 64 & 1) {
		report(d->c, "Discarding duplicate attribute (code %u)", code); /* RFC 7606 section 3 g */
		return;
	}
	d->seen[code / 64] |= UINT64_C(1) << code % 64;
	if (!r->decode) {
		decode_unknown(d, code, flags, p, len);
		return;
	}
	if (out_of_scope(d, r))
		return;
	if ((flags & (BAF_OPTIONAL | BAF_TRANSITIVE)) != r->flags) {
		report(d->c, "Malformed %s attribute - conflicting flags (%02x)", r->name, flags);
		act(d, r->on_flags);
		return;
	}
	d->bad_value = 0;
	v = r->decode(d, p, len);
	if (v == GOOD)
		return;
	if (v == BAD_LENGTH)
		report(d->c, "Malformed %s attribute - invalid length (%zu)", r->name, len);
	else
		report(d->c, "Malformed %s attribute - invalid value (%u)", r->name, d->bad_value);
	act(d, r->on_error);
}

/* ---- next hop ---- */

static bool resolve_direct(struct decoder *d, const struct ipaddr *gw, struct attr_nexthop *nh)
{
	const struct bgp_import_class *k = d->k;
	struct iface_view v;
	struct ipaddr local;

	nh->gw = *gw;
	if (ipaddr_is_link_local(gw) || ipaddr_equal(gw, &k->remote_addr) ||
		(k->link.family && prefix_contains_addr(&k->link, gw))) {
		nh->ifindex = k->ifindex;
		return true;
	}
	if (!d->c->ifaces || !ifaces_for_neighbor(d->c->ifaces, gw, &v, &local))
		return false;
	nh->ifindex = v.ifindex;
	return true;
}

static bool is_own_address(struct decoder *d, const struct ipaddr *a)
{
	if (ipaddr_equal(a, &d->k->local_addr))
		return true;
	return d->c->ifaces && ifaces_is_local(d->c->ifaces, a);
}

static bool bad_next_hop(struct decoder *d, const char *why, const struct ipaddr *a)
{
	char text[IPADDR_STRLEN];

	report(d->c, "Invalid NEXT_HOP attribute - %s%s", why, a ? ipaddr_format(a, text) : "");
	return false;
}

static bool take_mp_next_hop(struct decoder *d, struct bgp_bytes nh)
{
	struct attrs *a = d->out;
	bool vpn = d->k->safi == BGP_SAFI_VPN, any = vpn || d->k->safi == BGP_SAFI_EVPN;
	uint8_t bare[32];

	/* A route distinguisher that means nothing is before each address. */
	if (vpn && (nh.len == 12 || nh.len == 24 || nh.len == 48)) {
		size_t n = nh.len == 48 ? 16 : nh.len - 8;

		memcpy(bare, nh.p + 8, n);
		if (nh.len == 48)
			memcpy(bare + 16, nh.p + 32, 16);
		nh = (struct bgp_bytes){bare, nh.len == 48 ? 32 : n};
	} else if (vpn) {
		return bad_next_hop(d, "unexpected length", NULL);
	}
	if (nh.len == 4 && (any || d->k->afi == BGP_AFI_IPV4)) {
		uint32_t be;

		memcpy(&be, nh.p, 4);
		a->next_hop = ipaddr_v4(be);
		return true;
	}
	if ((nh.len != 16 && nh.len != 32) || (d->k->afi == BGP_AFI_IPV4 && !any && !d->k->extended_next_hop))
		return bad_next_hop(d, "unexpected length", NULL);
	a->next_hop = ipaddr_v6(nh.p);
	if (nh.len == 32)
		a->next_hop_ll = ipaddr_v6(nh.p + 16);
	/* Some send no global address: an unspecified one, or the link-local one twice (RFC 2545 leaves room
	 * for it). */
	if (ipaddr_is_zero(&a->next_hop) && !ipaddr_is_zero(&a->next_hop_ll))
		a->next_hop = a->next_hop_ll;
	if (!ipaddr_is_zero(&a->next_hop_ll) && !ipaddr_is_link_local(&a->next_hop_ll))
		memset(&a->next_hop_ll, 0, sizeof(a->next_hop_ll));
	if (ipaddr_is_link_local(&a->next_hop) && ipaddr_is_zero(&a->next_hop_ll))
		a->next_hop_ll = a->next_hop;
	if (ipaddr_is_v4(&a->next_hop) && d->k->afi == BGP_AFI_IPV6 && !any)
		return bad_next_hop(d, "mismatched address family of ", &a->next_hop);
	return true;
}

/* BGP next hop, and what to forward to: `gateway direct` or `recursive`. */
static bool set_next_hop(struct decoder *d, struct bgp_bytes mp)
{
	const struct bgp_import_class *k = d->k;
	struct attrs *a = d->out;
	struct attr_nexthop *nh;
	struct ipaddr gw;

	/* RFC 8955 section 4: rules are not forwarded along; whatever stands there means nothing. */
	if (k->safi == BGP_SAFI_FLOW) {
		a->dest = RTD_NONE;
		return true;
	}
	nh = take(d->s, sizeof(*nh));
	memset(nh, 0, sizeof(*nh));
	if (mp.p) {
		if (!take_mp_next_hop(d, mp))
			return false;
	} else {
		a->next_hop = d->next_hop;
	}
	if (ipaddr_is_zero(&a->next_hop) || (ipaddr_is_v4(&a->next_hop) && !ipaddr_to_v4(&a->next_hop)))
		return bad_next_hop(d, "zero address", NULL);
	if (a->next_hop.b[0] == 0xff || (ipaddr_is_v4(&a->next_hop) && a->next_hop.b[12] >= 224))
		return bad_next_hop(d, "address ", &a->next_hop);
	if (is_own_address(d, &a->next_hop))
		return bad_next_hop(d, "address is local: ", &a->next_hop);
	gw = a->next_hop;
	if (!ipaddr_is_zero(&a->next_hop_ll) && k->direct && k->prefer_link_local)
		gw = a->next_hop_ll;
	nh->weight = 1;
	if (k->gateway_recursive && !ipaddr_is_link_local(&gw)) {
		nh->gw = gw;
		nh->flags = NH_RECURSIVE;
	} else if ((ipaddr_is_link_local(&gw) && !k->direct) || !resolve_direct(d, &gw, nh)) {
		/* Of VPN and EVPN routes we forward none: what is behind other networks is as good. */
		if ((k->safi != BGP_SAFI_VPN && k->safi != BGP_SAFI_EVPN) || ipaddr_is_link_local(&gw))
			return bad_next_hop(d, "not directly reachable: ", &gw);
		nh->gw = gw;
		nh->flags = NH_RECURSIVE;
	}
	a->nexthop = nh;
	a->n_nexthop = 1;
	a->dest = RTD_UNICAST;
	a->present |= ATTR_NEXT_HOP;
	return true;
}

/* ---- what the set as a whole must be ---- */

static bool is_loop(const struct decoder *d)
{
	const struct bgp_import_class *k = d->k;
	const struct attrs *a = d->out;

	if (k->allow_local_as != UINT32_MAX) {
		if (as_path_count(a->as_path, a->as_path_bytes, k->local_as) > k->allow_local_as)
			return true;
		if (k->public_as != k->local_as &&
			as_path_count(a->as_path, a->as_path_bytes, k->public_as) > k->allow_local_as)
			return true;
	}
	if ((a->present & ATTR_ORIGINATOR) && a->originator_id == k->router_id)
		return true;
	for (unsigned i = 0; i < a->n_cluster; i++)
		if (a->cluster[i] == k->cluster_id)
			return true;
	return false;
}

/* RFC 9234 section 5, received. */
static bool otc_is_leak(struct decoder *d)
{
	struct attrs *a = d->out;
	bool have = a->present & ATTR_OTC;

	switch (d->k->role) {
	case BGP_ROLE_PROVIDER:
	case BGP_ROLE_RS_SERVER:
		if (have)
			report(d->c, "Route leak detected - OTC attribute from downstream");
		return have;
	case BGP_ROLE_PEER:
		if (have && a->otc != d->k->remote_as) {
			report(d->c, "Route leak detected - OTC attribute with mismatched ASN (%u)", a->otc);
			return true;
		}
		break;
	case BGP_ROLE_CUSTOMER:
	case BGP_ROLE_RS_CLIENT: break;
	default: return false;
	}
	if (!have) {
		a->otc = d->k->remote_as;
		a->present |= ATTR_OTC;
	}
	return false;
}

/* RFC 8326 section 4: the session, or the way behind it, will soon be down. */
static bool is_going(const struct decoder *d)
{
	const struct bgp_import_class *k = d->k;

	if (k->interior || k->graceful_shutdown)
		return !k->interior;
	for (unsigned i = 0; k->graceful_shutdown_receive && i < d->out->n_community; i++)
		if (d->out->community[i] == COMM_GRACEFUL_SHUTDOWN)
			return true;
	return false;
}

static bool is_acceptable(struct decoder *d, struct bgp_bytes next_hop)
{
	const struct bgp_import_class *k = d->k;
	struct attrs *a = d->out;

	if (!(a->present & ATTR_ORIGIN) || !(a->present & ATTR_AS_PATH)) {
		report(d->c, "Missing mandatory %s attribute",
			a->present & ATTR_ORIGIN ? "AS_PATH" : "ORIGIN");
		return false;
	}
	if (!next_hop.p && !(d->seen[0] >> BA_NEXT_HOP & 1)) {
		report(d->c, "Missing mandatory NEXT_HOP attribute");
		return false;
	}
	if (!k->allow_as_sets && path_has_type(a->as_path, a->as_path_bytes, AS_SET, AS_CONFED_SET)) {
		report(d->c, "Malformed AS_PATH attribute - AS_SET received"); /* RFC 9774 */
		return false;
	}
	if (k->enforce_first_as && as_path_first(a->as_path, a->as_path_bytes) != k->remote_as) {
		report(d->c, "Malformed AS_PATH attribute - first AS is not the neighbor's (%u)",
			k->remote_as);
		return false;
	}
	if (is_loop(d)) /* nothing wrong: that is how loops end */
		return false;
	if (!set_next_hop(d, next_hop) || otc_is_leak(d))
		return false;
	if (!(a->present & ATTR_LOCAL_PREF)) {
		a->local_pref = k->default_local_pref;
		a->present |= ATTR_LOCAL_PREF;
	}
	if (is_going(d))
		a->local_pref = 0;
	return true;
}

static void reserve(struct bgp_decode_scratch *s, size_t key_len)
{
	/* Widened path and its merge: less than 6 times; everything else: itself; then rounding, the list of
	 * unknown ones, next hop. */
	size_t want = 8 * key_len + 256 * (8 + sizeof(struct attr_extra)) + 1024;

	s->used = 0;
	if (s->size >= want)
		return;
	free(s->mem);
	s->mem = malloc(want);
	if (!s->mem)
		abort();
	s->size = want;
}

enum bgp_decode_result bgp_attrs_decode(const struct bgp_import_context *c, struct bgp_bytes key,
	struct bgp_bytes next_hop, struct bgp_decode_scratch *s, struct attrs *out)
{
	struct decoder d = {.c = c, .k = c->class, .s = s, .out = out};
	const uint8_t *p = key.p, *end = p + key.len;

	memset(out, 0, sizeof(*out));
	reserve(s, key.len);
	d.extra = take(s, 256 * sizeof(struct attr_extra));
	while (p < end) {
		unsigned head = p[0] & BAF_EXT_LEN ? 4 : 3;
		size_t len;

		/* bgp_update_split() has checked; this is for callers that have not. */
		if ((size_t)(end - p) < head)
			return BGP_DECODE_WITHDRAW;
		len = head == 4 ? get_u16(p + 2) : p[2];
		if ((size_t)(end - p) < head + len)
			return BGP_DECODE_WITHDRAW;
		decode_one(&d, p[1], p[0], p + head, len);
		p += head + len;
	}
	if (d.withdraw)
		return BGP_DECODE_WITHDRAW;
	merge_as4(&d);
	out->preference = d.k->preference;
	out->scope = SCOPE_UNIVERSE;
	return is_acceptable(&d, next_hop) ? BGP_DECODE_OK : BGP_DECODE_WITHDRAW;
}
