/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages but UPDATE: framing, OPEN with its capabilities, NOTIFICATION,
 * KEEPALIVE, ROUTE-REFRESH. Pure functions on buffers; any thread.
 */
#pragma once
#include "controlplane/bgp/wire.h"
#include "controlplane/config/model.h"

#define BGP_MAX_AF 48

/* What ends a session: the NOTIFICATION to send. data may be cut: it only helps who reads it. */
struct bgp_error {
	uint8_t code, subcode;
	uint16_t len;
	uint8_t data[256];
};

static inline int bgp_fail(struct bgp_error *e, uint8_t code, uint8_t subcode)
{
	e->code = code;
	e->subcode = subcode;
	e->len = 0;
	return -74; /* EBADMSG */
}
/* The same with data; both return -EBADMSG. */
int bgp_fail_data(struct bgp_error *e, uint8_t code, uint8_t subcode, const void *data, size_t len);

/* Length of the message at buf when it is complete and its header is sound; 0 when more bytes are needed;
 * -EBADMSG with *e. */
int bgp_frame(const uint8_t *buf, size_t len, size_t max_message, struct bgp_error *e);

/* ---- capabilities ---- */

enum { GR_AF_FORWARDING = 0x80 };                           /* RFC 4724: state preserved */
enum { GR_FLAG_RESTART = 0x8, GR_FLAG_NOTIFICATION = 0x4 }; /* of the 4 bits before the time */

struct bgp_af_caps {
	uint16_t afi;
	uint8_t safi;
	bool multiprotocol;
	bool extended_next_hop; /* IPv4 NLRI, IPv6 next hop */
	uint8_t add_path;       /* RFC 7911: 1 can receive, 2 can send, 3 both */
	uint16_t paths_limit;   /* ADD-PATH: wants no more of a destination; 0: any number */
	bool gr, llgr;
	uint8_t gr_flags, llgr_flags;
	uint32_t llgr_time;
};

struct bgp_caps {
	bool any;           /* the OPEN had capabilities at all */
	bool multiprotocol; /* at least one; without, IPv4 unicast is meant */
	bool refresh, enhanced_refresh, as4, extended_messages, extended_next_hop, add_path, paths_limit, gr,
		llgr, hostname, bfd_strict;
	uint32_t as4_number;
	uint8_t gr_flags;
	uint16_t gr_time;
	int8_t role;        /* enum bgp_role; BGP_ROLE_NONE: not sent */
	bool role_conflict; /* two that differ */
	char host[256];
	char software[256];
	unsigned n_af;
	struct bgp_af_caps af[BGP_MAX_AF];
};

const struct bgp_af_caps *bgp_caps_find_af(const struct bgp_caps *c, uint16_t afi, uint8_t safi);
struct bgp_af_caps *bgp_caps_af(
	struct bgp_caps *c, uint16_t afi, uint8_t safi); /* finds or adds; NULL when full */
/* Capability TLVs; returns their length. size >= 8192 is always enough. */
size_t bgp_caps_encode(const struct bgp_caps *c, uint8_t *buf, size_t size);
/* Adds what is in buf. 0 or -EBADMSG with *e: a list whose lengths do not fit. Unknown and malformed
 * capabilities are ignored. */
int bgp_caps_decode(struct bgp_caps *c, const uint8_t *buf, size_t len, struct bgp_error *e);
/* "ipv4", "ipv6", "vpn4-mpls", "<25/70>": the names of the CLI. */
const char *bgp_af_name(uint16_t afi, uint8_t safi, char buf[16]);

struct bgp_open {
	uint8_t version;
	uint32_t as;  /* from the capability when it is there */
	uint16_t as2; /* the field */
	uint16_t hold_time;
	uint32_t id; /* host order */
	struct bgp_caps caps;
};
/* The whole message; uses RFC 9072 when the capabilities need it. caps->any false: no optional parameters.
 * Returns its length. */
size_t bgp_open_encode(const struct bgp_open *o, uint8_t *buf, size_t size);
/* body: after the header. Checks what is wrong in itself; what disagrees with our side is the session's to
 * check. */
int bgp_open_decode(const uint8_t *body, size_t len, struct bgp_open *out, struct bgp_error *e);

/* ---- the small ones ---- */
size_t bgp_keepalive_encode(uint8_t *buf);
size_t bgp_notification_encode(const struct bgp_error *e, uint8_t *buf, size_t size);
size_t bgp_refresh_encode(uint16_t afi, uint8_t safi, uint8_t subtype, uint8_t *buf);
struct bgp_refresh {
	uint16_t afi;
	uint8_t safi, subtype;
};
int bgp_refresh_decode(
	const uint8_t *body, size_t len, bool enhanced, struct bgp_refresh *out, struct bgp_error *e);

/* "Hold timer expired"; for an unknown pair "Unknown error 9.3", in buf. */
const char *bgp_error_name(uint8_t code, uint8_t subcode, char buf[32]);
/* What the data says: ": 65001" (bad peer AS), ": \"text\"" (RFC 9003), ": 0a0b"; "" without. Control
 * characters of a peer's text become '.'. */
void bgp_error_detail(const struct bgp_error *e, char *buf, size_t size);
/* RFC 9003 text into the data of a Cease; cut at 255 bytes on a character boundary. */
void bgp_error_set_text(struct bgp_error *e, const char *text);
