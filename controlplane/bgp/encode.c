/* SPDX-License-Identifier: BSD-2-Clause */
/* Attributes and prefixes to bytes; see codec.h. */
#include "controlplane/bgp/codec.h"
#include "controlplane/bgp/wire.h"
#include <stdlib.h>

struct writer {
	uint8_t *p, *end;
	bool full;
};

/* Header of an attribute of len bytes; returns where they go, NULL when they do not fit. */
static uint8_t *begin(struct writer *w, uint8_t flags, uint8_t code, size_t len)
{
	size_t head = len > 255 ? 4 : 3;
	uint8_t *p = w->p;

	if (w->full || len > 65535 || (size_t)(w->end - p) < head + len) {
		w->full = true;
		return NULL;
	}
	p[0] = (uint8_t)((flags & ~BAF_EXT_LEN) | (head == 4 ? BAF_EXT_LEN : 0));
	p[1] = code;
	if (head == 4)
		put_u16(p + 2, (uint16_t)len);
	else
		p[2] = (uint8_t)len;
	w->p = p + head + len;
	return p + head;
}

static void put_attr_u8(struct writer *w, uint8_t flags, uint8_t code, uint8_t v)
{
	uint8_t *p = begin(w, flags, code, 1);

	if (p)
		*p = v;
}

static void put_attr_u32(struct writer *w, uint8_t flags, uint8_t code, uint32_t v)
{
	uint8_t *p = begin(w, flags, code, 4);

	if (p)
		put_u32(p, v);
}

/* ---- AS paths ---- */

static bool needs_as4(const uint8_t *path, unsigned bytes)
{
	for (const uint8_t *end = path + bytes; path < end; path += 2 + 4 * (size_t)path[1])
		for (unsigned i = 0; i < path[1]; i++)
			if (get_u32(path + 2 + 4 * i) > 65535)
				return true;
	return false;
}

static size_t narrow_size(const uint8_t *path, unsigned bytes)
{
	size_t n = 0;

	for (const uint8_t *end = path + bytes; path < end; path += 2 + 4 * (size_t)path[1])
		n += 2 + 2 * (size_t)path[1];
	return n;
}

static void put_path_narrow(struct writer *w, const uint8_t *path, unsigned bytes)
{
	uint8_t *p = begin(w, BAF_TRANSITIVE, BA_AS_PATH, narrow_size(path, bytes));

	if (!p)
		return;
	for (const uint8_t *end = path + bytes; path < end;) {
		unsigned n = path[1];

		*p++ = *path++;
		*p++ = *path++;
		for (; n; n--, path += 4, p += 2) {
			uint32_t as = get_u32(path);

			put_u16(p, as > 65535 ? AS_TRANS : (uint16_t)as);
		}
	}
}

/* RFC 6793 section 3: without confederation segments. */
static void put_as4_path(struct writer *w, const uint8_t *path, unsigned bytes)
{
	size_t n = 0;
	const uint8_t *end = path + bytes, *s;
	uint8_t *p;

	for (s = path; s < end; s += 2 + 4 * (size_t)s[1])
		if (s[0] == AS_SET || s[0] == AS_SEQUENCE)
			n += 2 + 4 * (size_t)s[1];
	if (!n)
		return;
	p = begin(w, BAF_OPTIONAL | BAF_TRANSITIVE, BA_AS4_PATH, n);
	if (!p)
		return;
	for (s = path; s < end; s += 2 + 4 * (size_t)s[1]) {
		if (s[0] != AS_SET && s[0] != AS_SEQUENCE)
			continue;
		memcpy(p, s, 2 + 4 * (size_t)s[1]);
		p += 2 + 4 * (size_t)s[1];
	}
}

/* ---- lists, sent in ascending order ---- */

static int cmp_bytes8(const void *a, const void *b)
{
	return memcmp(a, b, 8);
}

static int cmp_bytes12(const void *a, const void *b)
{
	return memcmp(a, b, 12);
}

static void sort_if_needed(void *list, size_t n, size_t size, int (*cmp)(const void *, const void *))
{
	const char *p = list;

	for (size_t i = 1; i < n; i++) {
		if (cmp(p + (i - 1) * size, p + i * size) > 0) {
			qsort(list, n, size, cmp);
			return;
		}
	}
}

static int cmp_bytes4(const void *a, const void *b)
{
	return memcmp(a, b, 4);
}

static void put_communities(struct writer *w, const uint32_t *c, unsigned n)
{
	uint8_t *p = n ? begin(w, BAF_OPTIONAL | BAF_TRANSITIVE, BA_COMMUNITY, 4 * (size_t)n) : NULL;

	if (!p)
		return;
	for (unsigned i = 0; i < n; i++)
		put_u32(p + 4 * i, c[i]);
	sort_if_needed(p, n, 4, cmp_bytes4);
}

static void put_ext_communities(struct writer *w, const uint64_t *c, unsigned n)
{
	uint8_t *p = n ? begin(w, BAF_OPTIONAL | BAF_TRANSITIVE, BA_EXT_COMMUNITY, 8 * (size_t)n) : NULL;

	if (!p)
		return;
	for (unsigned i = 0; i < n; i++)
		put_u64(p + 8 * i, c[i]);
	sort_if_needed(p, n, 8, cmp_bytes8);
}

static void put_large_communities(struct writer *w, const struct lcomm *c, unsigned n)
{
	uint8_t *p = n ? begin(w, BAF_OPTIONAL | BAF_TRANSITIVE, BA_LARGE_COMMUNITY, 12 * (size_t)n) : NULL;

	if (!p)
		return;
	for (unsigned i = 0; i < n; i++) {
		put_u32(p + 12 * i, c[i].asn);
		put_u32(p + 12 * i + 4, c[i].data1);
		put_u32(p + 12 * i + 8, c[i].data2);
	}
	sort_if_needed(p, n, 12, cmp_bytes12);
}

static void put_cluster_list(struct writer *w, const uint32_t *c, unsigned n)
{
	uint8_t *p = n ? begin(w, BAF_OPTIONAL, BA_CLUSTER_LIST, 4 * (size_t)n) : NULL;

	if (!p)
		return;
	for (unsigned i = 0; i < n; i++)
		put_u32(p + 4 * i, c[i]);
}

static void put_aggregator(struct writer *w, const struct attrs *a, bool as4)
{
	uint8_t *p = begin(w, BAF_OPTIONAL | BAF_TRANSITIVE, BA_AGGREGATOR, as4 ? 8 : 6);

	if (!p)
		return;
	if (as4)
		put_u32(p, a->aggregator_as);
	else
		put_u16(p, a->aggregator_as > 65535 ? AS_TRANS : (uint16_t)a->aggregator_as);
	put_u32(p + (as4 ? 4 : 2), a->aggregator_id);
}

static void put_aigp(struct writer *w, uint64_t v)
{
	uint8_t *p = begin(w, BAF_OPTIONAL, BA_AIGP, 11);

	if (!p)
		return;
	p[0] = 1;
	put_u16(p + 1, 11);
	put_u64(p + 3, v);
}

/* Those without a field of their own whose code is below `below`; returns the next to look at. */
static unsigned put_extras(struct writer *w, const struct attrs *a, unsigned i, unsigned below)
{
	for (; i < a->n_extra; i++) {
		const struct attr_extra *x = &a->extra[i];
		uint8_t *p;

		if (x->id < ATTR_EXTRA_BGP(0) || x->id > ATTR_EXTRA_BGP(255))
			continue; /* not BGP's */
		if ((x->id & 0xff) >= below)
			break;
		p = begin(w, x->flags, (uint8_t)(x->id & 0xff), x->len);
		if (p)
			memcpy(p, x->data, x->len);
	}
	return i;
}

size_t bgp_encode_attrs(const struct attrs *a, const struct bgp_encode_class *c, uint8_t *buf, size_t size)
{
	struct writer w = {buf, buf + size, false};
	bool narrow = !c->as4 && (a->present & ATTR_AS_PATH) && needs_as4(a->as_path, a->as_path_bytes);
	unsigned x = 0;
	uint8_t *p;

	if (a->present & ATTR_ORIGIN)
		put_attr_u8(&w, BAF_TRANSITIVE, BA_ORIGIN, a->origin);
	if (!(a->present & ATTR_AS_PATH)) {
		begin(&w, BAF_TRANSITIVE, BA_AS_PATH, 0);
	} else if (c->as4) {
		p = begin(&w, BAF_TRANSITIVE, BA_AS_PATH, a->as_path_bytes);
		if (p && a->as_path_bytes)
			memcpy(p, a->as_path, a->as_path_bytes);
	} else {
		put_path_narrow(&w, a->as_path, a->as_path_bytes);
	}
	if (c->afi == BGP_AFI_IPV4 && c->safi == BGP_SAFI_UNICAST && ipaddr_is_v4(&a->next_hop))
		put_attr_u32(&w, BAF_TRANSITIVE, BA_NEXT_HOP, ntohl(ipaddr_to_v4(&a->next_hop)));
	if (a->present & ATTR_MED)
		put_attr_u32(&w, BAF_OPTIONAL, BA_MED, a->med);
	if (a->present & ATTR_LOCAL_PREF)
		put_attr_u32(&w, BAF_TRANSITIVE, BA_LOCAL_PREF, a->local_pref);
	if (a->present & ATTR_ATOMIC)
		begin(&w, BAF_TRANSITIVE, BA_ATOMIC_AGGREGATE, 0);
	if (a->present & ATTR_AGGREGATOR)
		put_aggregator(&w, a, c->as4);
	if (a->present & ATTR_COMMUNITY)
		put_communities(&w, a->community, a->n_community);
	if (a->present & ATTR_ORIGINATOR)
		put_attr_u32(&w, BAF_OPTIONAL, BA_ORIGINATOR_ID, a->originator_id);
	if (a->present & ATTR_CLUSTER_LIST)
		put_cluster_list(&w, a->cluster, a->n_cluster);
	x = put_extras(&w, a, x, BA_EXT_COMMUNITY);
	if (a->present & ATTR_EXT_COMMUNITY)
		put_ext_communities(&w, a->ext, a->n_ext);
	if (narrow)
		put_as4_path(&w, a->as_path, a->as_path_bytes);
	if (!c->as4 && (a->present & ATTR_AGGREGATOR) && a->aggregator_as > 65535) {
		p = begin(&w, BAF_OPTIONAL | BAF_TRANSITIVE, BA_AS4_AGGREGATOR, 8);
		if (p) {
			put_u32(p, a->aggregator_as);
			put_u32(p + 4, a->aggregator_id);
		}
	}
	x = put_extras(&w, a, x, BA_AIGP);
	if (a->present & ATTR_AIGP)
		put_aigp(&w, a->aigp);
	x = put_extras(&w, a, x, BA_LARGE_COMMUNITY);
	if (a->present & ATTR_LARGE_COMMUNITY)
		put_large_communities(&w, a->large, a->n_large);
	x = put_extras(&w, a, x, BA_OTC);
	if (a->present & ATTR_OTC)
		put_attr_u32(&w, BAF_OPTIONAL | BAF_TRANSITIVE, BA_OTC, a->otc);
	put_extras(&w, a, x, 256);
	return w.full ? 0 : (size_t)(w.p - buf);
}

/* ---- prefixes and messages ---- */

size_t bgp_encode_nlri(const struct prefix *n, uint32_t path_id, bool add_path, uint8_t *buf)
{
	uint8_t *p = buf;
	unsigned bytes = ((unsigned)n->len + 7) / 8;

	if (add_path) {
		put_u32(p, path_id);
		p += 4;
	}
	*p++ = n->len;
	memcpy(p, n->addr.b + (n->family == 4 ? 12 : 0), bytes);
	return (size_t)(p - buf) + bytes;
}

/* IPv4 unicast goes into the fields of RFC 4271 unless its next hop is IPv6. */
static bool classic(const struct bgp_encode_class *c, const struct attrs *a)
{
	return c->afi == BGP_AFI_IPV4 && c->safi == BGP_SAFI_UNICAST && (!a || ipaddr_is_v4(&a->next_hop));
}

/* End-of-RIB has none. */
static void put_nlri(uint8_t *p, const uint8_t *nlri, size_t len)
{
	if (len)
		memcpy(p, nlri, len);
}

static size_t limit(const struct bgp_encode_class *c, size_t size)
{
	return size < c->max_message ? size : c->max_message;
}

/* RFC 4364 section 4.3.2, RFC 4659 section 3.2.1: behind a route distinguisher of zero; IPv6 routes reached
 * over IPv4 have the mapped address, which is how we keep it. */
static unsigned vpn_next_hop(const struct attrs *a, const struct bgp_encode_class *c, uint8_t *buf)
{
	bool v4 = c->afi == BGP_AFI_IPV4 && ipaddr_is_v4(&a->next_hop);
	unsigned n = v4 ? 12 : ipaddr_is_zero(&a->next_hop_ll) ? 24 : 48;

	memset(buf, 0, n);
	memcpy(buf + 8, a->next_hop.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	if (n == 48)
		memcpy(buf + 32, a->next_hop_ll.b, 16);
	return n;
}

unsigned bgp_encode_next_hop(const struct attrs *a, const struct bgp_encode_class *c, uint8_t *buf)
{
	bool both = c->safi != BGP_SAFI_EVPN && !ipaddr_is_zero(&a->next_hop_ll);
	unsigned n;

	if (classic(c, a) || c->safi == BGP_SAFI_FLOW)
		return 0;
	if (c->safi == BGP_SAFI_VPN)
		return vpn_next_hop(a, c, buf);
	n = ipaddr_is_v4(&a->next_hop) ? 4 : both ? 32 : 16;
	memcpy(buf, a->next_hop.b + (n == 4 ? 12 : 0), n == 4 ? 4 : 16);
	if (n == 32)
		memcpy(buf + 16, a->next_hop_ll.b, 16);
	return n;
}

size_t bgp_encode_update(const struct bgp_encode_class *c, const struct attrs *a, const uint8_t *attr_bytes,
	size_t attr_len, const uint8_t *nlri, size_t nlri_len, uint8_t *buf, size_t size)
{
	uint8_t next_hop[48];
	unsigned nh = bgp_encode_next_hop(a, c, next_hop);

	return bgp_encode_announce(c, next_hop, nh, attr_bytes, attr_len, nlri, nlri_len, buf, size);
}

size_t bgp_encode_announce(const struct bgp_encode_class *c, const uint8_t *next_hop, unsigned nh,
	const uint8_t *attr_bytes, size_t attr_len, const uint8_t *nlri, size_t nlri_len, uint8_t *buf,
	size_t size)
{
	uint8_t *p = buf + BGP_HEADER_LEN;
	size_t body, len, head;

	size = limit(c, size);
	if (!nh && c->safi == BGP_SAFI_UNICAST) {
		len = BGP_HEADER_LEN + 4 + attr_len + nlri_len;
		if (len > size)
			return 0;
		bgp_put_header(buf, (uint16_t)len, BGP_MSG_UPDATE);
		put_u16(p, 0);
		put_u16(p + 2, (uint16_t)attr_len);
		memcpy(p + 4, attr_bytes, attr_len);
		put_nlri(p + 4 + attr_len, nlri, nlri_len);
		return len;
	}
	body = 5 + nh + nlri_len;
	head = body > 255 ? 4 : 3;
	len = BGP_HEADER_LEN + 4 + head + body + attr_len;
	if (len > size)
		return 0;
	bgp_put_header(buf, (uint16_t)len, BGP_MSG_UPDATE);
	put_u16(p, 0);
	put_u16(p + 2, (uint16_t)(head + body + attr_len));
	p += 4;
	/* First: RFC 7606 section 5.1. */
	*p++ = head == 4 ? BAF_OPTIONAL | BAF_EXT_LEN : BAF_OPTIONAL;
	*p++ = BA_MP_REACH_NLRI;
	if (head == 4) {
		put_u16(p, (uint16_t)body);
		p += 2;
	} else {
		*p++ = (uint8_t)body;
	}
	put_u16(p, c->afi);
	p[2] = c->safi;
	p[3] = (uint8_t)nh;
	p += 4;
	memcpy(p, next_hop, nh);
	p += nh;
	*p++ = 0;
	put_nlri(p, nlri, nlri_len);
	memcpy(p + nlri_len, attr_bytes, attr_len);
	return len;
}

size_t bgp_encode_withdraw(
	const struct bgp_encode_class *c, const uint8_t *nlri, size_t nlri_len, uint8_t *buf, size_t size)
{
	uint8_t *p = buf + BGP_HEADER_LEN;
	size_t body, head, len;

	size = limit(c, size);
	if (classic(c, NULL)) {
		len = BGP_HEADER_LEN + 4 + nlri_len;
		if (len > size)
			return 0;
		bgp_put_header(buf, (uint16_t)len, BGP_MSG_UPDATE);
		put_u16(p, (uint16_t)nlri_len);
		put_nlri(p + 2, nlri, nlri_len);
		put_u16(p + 2 + nlri_len, 0);
		return len;
	}
	body = 3 + nlri_len;
	head = body > 255 ? 4 : 3;
	len = BGP_HEADER_LEN + 4 + head + body;
	if (len > size)
		return 0;
	bgp_put_header(buf, (uint16_t)len, BGP_MSG_UPDATE);
	put_u16(p, 0);
	put_u16(p + 2, (uint16_t)(head + body));
	p += 4;
	*p++ = head == 4 ? BAF_OPTIONAL | BAF_EXT_LEN : BAF_OPTIONAL;
	*p++ = BA_MP_UNREACH_NLRI;
	if (head == 4) {
		put_u16(p, (uint16_t)body);
		p += 2;
	} else {
		*p++ = (uint8_t)body;
	}
	put_u16(p, c->afi);
	p[2] = c->safi;
	put_nlri(p + 3, nlri, nlri_len);
	return len;
}

size_t bgp_encode_end_of_rib(const struct bgp_encode_class *c, uint8_t *buf, size_t size)
{
	return bgp_encode_withdraw(c, NULL, 0, buf, size);
}
