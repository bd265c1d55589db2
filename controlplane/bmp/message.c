/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/bmp/message.h"
#include "controlplane/bgp/codec.h"
#include "controlplane/bgp/wire.h"
#include <arpa/inet.h>
#include <stdlib.h>

#define BMP_VERSION 3
#define MAX_UPDATE BGP_MAX_EXTENDED_MESSAGE

enum { ROUTE_MONITORING, STATISTICS, PEER_DOWN, PEER_UP, INITIATION, TERMINATION, ROUTE_MIRRORING };
enum { PEER_GLOBAL = 0, PEER_LOC_RIB = 3 };
enum { FLAG_V6 = 0x80, FLAG_POST_POLICY = 0x40, FLAG_AS2 = 0x20, FLAG_ADJ_RIB_OUT = 0x10 };
enum { STAT_REJECTED = 0, STAT_ADJ_RIB_IN = 7, STAT_ADJ_RIB_OUT_POST = 15 };
enum { TLV_TABLE_NAME = 3 };
enum { MIRROR_MESSAGE, MIRROR_INFORMATION }; /* TLVs of ROUTE_MIRRORING */
enum { MIRROR_ERRORED, MIRROR_LOST };        /* information */

void bmp_buffer_free(struct bmp_buffer *b)
{
	free(b->data);
	*b = (struct bmp_buffer){0};
}

size_t bmp_buffer_left(const struct bmp_buffer *b)
{
	return b->len - b->at;
}

void bmp_buffer_sent(struct bmp_buffer *b, size_t n)
{
	b->at += n;
	if (b->at == b->len) {
		b->at = b->len = 0;
		if (b->size > 1u << 20) { /* grown by a burst */
			free(b->data);
			*b = (struct bmp_buffer){0};
		}
	}
}

static uint8_t *room(struct bmp_buffer *b, size_t n)
{
	if (b->at > b->size / 2) {
		memmove(b->data, b->data + b->at, b->len - b->at);
		b->len -= b->at;
		b->at = 0;
	}
	if (b->len + n > b->size) {
		if (!b->size)
			b->size = 65536;
		while (b->len + n > b->size)
			b->size *= 2;
		b->data = realloc(b->data, b->size);
		if (!b->data)
			abort();
	}
	return b->data + b->len;
}

static void put(struct bmp_buffer *b, const void *p, size_t n)
{
	memcpy(room(b, n), p, n);
	b->len += n;
}

static void put8(struct bmp_buffer *b, uint8_t v)
{
	put(b, &v, 1);
}

static void put16(struct bmp_buffer *b, uint16_t v)
{
	v = htons(v);
	put(b, &v, 2);
}

static void put32(struct bmp_buffer *b, uint32_t v)
{
	v = htonl(v);
	put(b, &v, 4);
}

static void put_addr(struct bmp_buffer *b, const struct ipaddr *a)
{
	static const uint8_t zeros[12];

	if (ipaddr_is_v4(a)) {
		put(b, zeros, 12);
		put(b, &a->w[3], 4);
	} else {
		put(b, a->w, 16);
	}
}

/* A message begins; what it returns goes to end(). Only relative to `at`: the buffer may move meanwhile. */
static size_t begin(struct bmp_buffer *b, uint8_t type)
{
	size_t start = b->len - b->at;

	put8(b, BMP_VERSION);
	put32(b, 0);
	put8(b, type);
	return start;
}

static void end(struct bmp_buffer *b, size_t start)
{
	uint32_t len = htonl((uint32_t)(b->len - b->at - start));

	memcpy(b->data + b->at + start + 1, &len, 4);
}

/* RFC 7854 4.2, RFC 8671 4, RFC 9069 4.2 */
static uint8_t flags_of(const struct bmp_peer *p, enum bmp_rib rib, bool as4)
{
	static const uint8_t of_rib[] = {[BMP_IN_POST] = FLAG_POST_POLICY,
		[BMP_OUT_PRE] = FLAG_ADJ_RIB_OUT,
		[BMP_OUT_POST] = FLAG_ADJ_RIB_OUT | FLAG_POST_POLICY,
		[BMP_LOCAL] = 0};

	if (p->local_rib)
		return 0;
	return of_rib[rib] | (ipaddr_is_v4(&p->peer) ? 0 : FLAG_V6) | (as4 ? 0 : FLAG_AS2);
}

static void put_peer(
	struct bmp_buffer *b, const struct bmp_peer *p, enum bmp_rib rib, bool as4, uint64_t wall_ns)
{
	put8(b, p->local_rib ? PEER_LOC_RIB : PEER_GLOBAL);
	put8(b, flags_of(p, rib, as4));
	put32(b, 0);
	put32(b, 0);
	put_addr(b, &p->peer);
	put32(b, p->as);
	put32(b, p->id);
	put32(b, (uint32_t)(wall_ns / 1000000000));
	put32(b, (uint32_t)(wall_ns / 1000 % 1000000));
}

static void put_tlv(struct bmp_buffer *b, uint16_t type, const char *text)
{
	size_t len = strlen(text);

	put16(b, type);
	put16(b, (uint16_t)len);
	put(b, text, len);
}

void bmp_put_initiation(struct bmp_buffer *b, const char *sys_descr, const char *sys_name)
{
	size_t start = begin(b, INITIATION);

	put_tlv(b, 1, sys_descr);
	put_tlv(b, 2, sys_name);
	end(b, start);
}

void bmp_put_termination(struct bmp_buffer *b, uint16_t reason)
{
	size_t start = begin(b, TERMINATION);

	put16(b, 1);
	put16(b, 2);
	put16(b, reason);
	end(b, start);
}

void bmp_put_peer_up(struct bmp_buffer *b, const struct bmp_peer *p)
{
	size_t start = begin(b, PEER_UP);

	put_peer(b, p, BMP_IN_PRE, true, p->up_wall_ns);
	put_addr(b, &p->local);
	put16(b, p->local_port);
	put16(b, p->peer_port);
	put(b, p->opens, p->sent_len + p->received_len);
	if (p->local_rib)
		put_tlv(b, TLV_TABLE_NAME, "global");
	end(b, start);
}

void bmp_put_peer_down(
	struct bmp_buffer *b, const struct bmp_peer *p, const struct bmp_down *why, uint64_t wall_ns)
{
	size_t start = begin(b, PEER_DOWN);

	put_peer(b, p, BMP_IN_PRE, true, wall_ns);
	put8(b, (uint8_t)why->reason);
	put(b, why->data, why->len);
	end(b, start);
}

/* What a route of another protocol lacks to be told as BGP would. */
static void complete(struct attrs *a, uint16_t afi)
{
	if (!(a->present & ATTR_ORIGIN))
		a->origin = ORIGIN_IGP;
	if (!(a->present & ATTR_NEXT_HOP))
		a->next_hop = a->n_nexthop && !ipaddr_is_zero(&a->nexthop->gw) ? a->nexthop->gw
			      : afi == BGP_AFI_IPV4                            ? ipaddr_v4(0)
									       : (struct ipaddr){0};
	a->present |= ATTR_ORIGIN | ATTR_NEXT_HOP;
}

void bmp_put_route(struct bmp_buffer *b, const struct bmp_peer *p, const struct bmp_peer_channel *ch,
	enum bmp_rib rib, const struct prefix *net, uint32_t path_id, const struct attrs *a, uint64_t wall_ns)
{
	struct bgp_encode_class class = {.afi = ch->afi,
		.safi = BGP_SAFI_UNICAST,
		.as4 = true,
		.add_path = ch->add_path,
		.max_message = MAX_UPDATE};
	static __thread uint8_t attr_bytes[MAX_UPDATE];
	uint8_t nlri[4 + 1 + 16];
	size_t nlri_len = bgp_encode_nlri(net, path_id, ch->add_path, nlri), attr_len, len;
	size_t start = begin(b, ROUTE_MONITORING);
	struct attrs whole;

	put_peer(b, p, rib, true, wall_ns);
	room(b, MAX_UPDATE);
	if (a && rib == BMP_LOCAL) {
		whole = *a;
		complete(&whole, ch->afi);
		a = &whole;
	}
	if (a) {
		class.extended_next_hop = ch->afi == BGP_AFI_IPV4 && !ipaddr_is_v4(&a->next_hop);
		attr_len = bgp_encode_attrs(a, &class, attr_bytes, sizeof(attr_bytes));
		len = attr_len ? bgp_encode_update(&class, a, attr_bytes, attr_len, nlri, nlri_len,
					 b->data + b->len, MAX_UPDATE)
			       : 0;
	} else {
		len = bgp_encode_withdraw(&class, nlri, nlri_len, b->data + b->len, MAX_UPDATE);
	}
	if (!len) { /* does not fit any message: it cannot have come in one */
		b->len = b->at + start;
		return;
	}
	b->len += len;
	end(b, start);
}

void bmp_put_end_of_rib(struct bmp_buffer *b, const struct bmp_peer *p, const struct bmp_peer_channel *ch,
	enum bmp_rib rib, uint64_t wall_ns)
{
	const struct bgp_encode_class class = {
		.afi = ch->afi, .safi = BGP_SAFI_UNICAST, .as4 = true, .max_message = MAX_UPDATE};
	size_t start = begin(b, ROUTE_MONITORING);

	put_peer(b, p, rib, true, wall_ns);
	room(b, BGP_MAX_MESSAGE);
	b->len += bgp_encode_end_of_rib(&class, b->data + b->len, BGP_MAX_MESSAGE);
	end(b, start);
}

void bmp_put_message(struct bmp_buffer *b, const struct bmp_peer *p, enum bmp_rib rib, bool as4,
	const uint8_t *message, size_t len, uint64_t wall_ns)
{
	size_t start = begin(b, ROUTE_MONITORING);

	put_peer(b, p, rib, as4, wall_ns);
	put(b, message, len);
	end(b, start);
}

static void put_information(struct bmp_buffer *b, uint16_t code)
{
	put16(b, MIRROR_INFORMATION);
	put16(b, 2);
	put16(b, code);
}

void bmp_put_mirror(struct bmp_buffer *b, const struct bmp_peer *p, const uint8_t *message, size_t len,
	bool errored, bool lost, uint64_t wall_ns)
{
	size_t start = begin(b, ROUTE_MIRRORING);

	put_peer(b, p, BMP_IN_PRE, p->as4, wall_ns);
	if (lost)
		put_information(b, MIRROR_LOST);
	if (errored)
		put_information(b, MIRROR_ERRORED);
	if (message) { /* the last one */
		put16(b, MIRROR_MESSAGE);
		put16(b, (uint16_t)len);
		put(b, message, len);
	}
	end(b, start);
}

static void put_gauge(struct bmp_buffer *b, uint16_t type, uint64_t v)
{
	put16(b, type);
	put16(b, 8);
	put32(b, (uint32_t)(v >> 32));
	put32(b, (uint32_t)v);
}

void bmp_put_statistics(
	struct bmp_buffer *b, const struct bmp_peer *p, const struct bmp_statistics *count, uint64_t wall_ns)
{
	size_t start = begin(b, STATISTICS);

	put_peer(b, p, BMP_IN_PRE, true, wall_ns);
	put32(b, 3);
	put16(b, STAT_REJECTED);
	put16(b, 4);
	put32(b, count->rejected);
	put_gauge(b, STAT_ADJ_RIB_IN, count->received);
	put_gauge(b, STAT_ADJ_RIB_OUT_POST, count->sent);
	end(b, start);
}
