/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bgpgen/update.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	ORIGIN = 1,
	AS_PATH = 2,
	NEXT_HOP = 3,
	MED = 4,
	LOCAL_PREF = 5,
	COMMUNITY = 8,
	MP_REACH = 14,
	MP_UNREACH = 15
};

static unsigned get16(const uint8_t *b)
{
	return (unsigned)b[0] << 8 | b[1];
}

static uint32_t get32(const uint8_t *b)
{
	return (uint32_t)get16(b) << 16 | get16(b + 2);
}

/* The next attribute of *s: 1, 0 at the end, -EBADMSG. */
static int attr_next(struct slice *s, unsigned *code, struct slice *value)
{
	size_t head, len;

	if (!s->len)
		return 0;
	if (s->len < 3)
		return -EBADMSG;
	head = s->at[0] & 0x10 ? 4 : 3;
	if (s->len < head)
		return -EBADMSG;
	len = head == 4 ? get16(s->at + 2) : s->at[2];
	if (s->len < head + len)
		return -EBADMSG;
	*code = s->at[1];
	*value = (struct slice){s->at + head, len};
	s->at += head + len;
	s->len -= head + len;
	return 1;
}

int update_parse(const uint8_t *body, size_t len, struct update *out)
{
	struct slice attrs, v;
	unsigned code, n_attrs = 0;
	size_t n;
	int rc;

	*out = (struct update){0};
	if (len < 4)
		return -EBADMSG;
	n = get16(body);
	if (n + 4 > len)
		return -EBADMSG;
	out->withdrawn4 = (struct slice){body + 2, n};
	body += 2 + n;
	len -= 2 + n;
	n = get16(body);
	if (n + 2 > len)
		return -EBADMSG;
	out->attrs = attrs = (struct slice){body + 2, n};
	out->announced4 = (struct slice){body + 2 + n, len - 2 - n};
	while ((rc = attr_next(&attrs, &code, &v)) > 0) {
		n_attrs++;
		if (code == MP_REACH) {
			if (v.len < 5 || (size_t)v.at[3] + 5 > v.len)
				return -EBADMSG;
			out->announced_afi = (uint16_t)get16(v.at);
			out->mp_hop = (struct slice){v.at + 4, v.at[3]};
			out->announced_mp = (struct slice){v.at + 5 + v.at[3], v.len - 5 - v.at[3]};
		} else if (code == MP_UNREACH) {
			if (v.len < 3)
				return -EBADMSG;
			out->withdrawn_afi = (uint16_t)get16(v.at);
			out->withdrawn_mp = (struct slice){v.at + 3, v.len - 3};
		}
	}
	if (rc < 0)
		return rc;
	out->end_of_rib = !out->withdrawn4.len && !out->announced4.len &&
			  (!n_attrs || (n_attrs == 1 && out->withdrawn_afi && !out->withdrawn_mp.len));
	return 0;
}

int nlri_next(struct slice *s, bool v4, bool add_path, struct prefix *out)
{
	size_t bytes;

	if (!s->len)
		return 0;
	if (add_path) {
		if (s->len < 5)
			return -EBADMSG;
		s->at += 4;
		s->len -= 4;
	}
	*out = (struct prefix){.family = v4 ? 4 : 6, .len = s->at[0]};
	bytes = (out->len + 7u) / 8;
	if (out->len > (v4 ? 32 : 128) || s->len < 1 + bytes)
		return -EBADMSG;
	if (v4) {
		out->addr = ipaddr_v4(0);
		memcpy(&out->addr.b[12], s->at + 1, bytes);
	} else {
		memcpy(out->addr.b, s->at + 1, bytes);
	}
	s->at += 1 + bytes;
	s->len -= 1 + bytes;
	return 1;
}

/* ---- the canonical form: one byte of code, two of length, the value ---- */

struct out {
	uint8_t *buf;
	size_t len, size;
	bool full;
};

static void put(struct out *o, const void *p, size_t n)
{
	if (o->len + n > o->size) {
		o->full = true;
		return;
	}
	memcpy(o->buf + o->len, p, n);
	o->len += n;
}

static void put_attr(struct out *o, unsigned code, const void *p, size_t n)
{
	uint8_t head[3] = {(uint8_t)code, (uint8_t)(n >> 8), (uint8_t)n};

	put(o, head, 3);
	put(o, p, n);
}

/* Segments of a sequence may be split anywhere: flattened. Of a set: its numbers behind a zero mark each. */
static int put_path(struct out *o, struct slice v)
{
	size_t at = o->len;
	uint8_t head[3] = {AS_PATH};
	static const uint8_t mark[4];

	put(o, head, 3);
	while (v.len) {
		size_t n;

		if (v.len < 2 || v.len < 2 + 4 * (size_t)v.at[1])
			return -EBADMSG;
		n = 4 * (size_t)v.at[1];
		if (v.at[0] == 2) {
			put(o, v.at + 2, n);
		} else {
			for (size_t i = 0; i < n; i += 4) {
				put(o, mark, 4);
				put(o, v.at + 2 + i, 4);
			}
		}
		v.at += 2 + n;
		v.len -= 2 + n;
	}
	if (o->full)
		return 0;
	o->buf[at + 1] = (uint8_t)((o->len - at - 3) >> 8);
	o->buf[at + 2] = (uint8_t)(o->len - at - 3);
	return 0;
}

static int by_bytes4(const void *a, const void *b)
{
	return memcmp(a, b, 4);
}

int attrs_canonical(const struct update *u, uint8_t *buf, size_t size)
{
	struct slice at[256] = {{0}}, attrs = u->attrs, v;
	struct out o = {.buf = buf, .size = size};
	unsigned code;
	int rc;

	while ((rc = attr_next(&attrs, &code, &v)) > 0)
		at[code] = v;
	if (rc < 0)
		return rc;
	if (u->mp_hop.len && !u->announced4.len)
		at[NEXT_HOP] = u->mp_hop;
	for (code = 1; code < 256; code++) {
		v = at[code];
		if (!v.at || code == MP_REACH || code == MP_UNREACH)
			continue;
		if (code == AS_PATH) {
			rc = put_path(&o, v);
			if (rc < 0)
				return rc;
		} else if (code == COMMUNITY) {
			size_t from = o.len + 3;

			if (!v.len)
				continue; /* an empty list says what no list says */
			put_attr(&o, code, v.at, v.len);
			if (!o.full)
				qsort(buf + from, v.len / 4, 4, by_bytes4);
		} else if (code == NEXT_HOP && v.len == 32) {
			put_attr(&o, code, v.at,
				16); /* the global one; a link-local one is the link's business */
		} else {
			put_attr(&o, code, v.at, v.len);
		}
	}
	return o.full ? -E2BIG : (int)o.len;
}

int attrs_community(const struct update *u, unsigned high)
{
	struct slice attrs = u->attrs, v;
	unsigned code;

	while (attr_next(&attrs, &code, &v) > 0)
		if (code == COMMUNITY)
			for (size_t i = 0; i + 4 <= v.len; i += 4)
				if (get16(v.at + i) == high)
					return (int)get16(v.at + i + 2);
	return -1;
}

void canonical_print(const uint8_t *buf, size_t len, char *out, size_t size)
{
	size_t n = 0;

	out[0] = 0;
	for (size_t i = 0; i + 3 <= len;) {
		unsigned code = buf[i], vlen = get16(buf + i + 1);
		const uint8_t *v = buf + i + 3;

		if (i + 3 + vlen > len)
			return;
#define SAY(...) (n < size ? n += (size_t)snprintf(out + n, size - n, __VA_ARGS__) : 0)
		if (code == AS_PATH) {
			SAY(" path");
			for (unsigned k = 0; k + 4 <= vlen; k += 4)
				SAY(" %u", get32(v + k));
		} else if (code == COMMUNITY) {
			SAY(" communities");
			for (unsigned k = 0; k + 4 <= vlen; k += 4)
				SAY(" %u:%u", get16(v + k), get16(v + k + 2));
		} else if (code == NEXT_HOP && vlen == 4) {
			SAY(" next hop %u.%u.%u.%u", v[0], v[1], v[2], v[3]);
		} else if ((code == MED || code == LOCAL_PREF) && vlen == 4) {
			SAY(" %s %u", code == MED ? "med" : "local_pref", get32(v));
		} else {
			SAY(code == ORIGIN ? " origin" : code == NEXT_HOP ? " next hop" : " [%u]", code);
			for (unsigned k = 0; k < vlen; k++)
				SAY("%s%02x", k ? "" : " ", v[k]);
		}
#undef SAY
		i += 3 + vlen;
	}
}
