/* SPDX-License-Identifier: BSD-2-Clause */
/* Framing, OPEN and capabilities, NOTIFICATION, ROUTE-REFRESH. */
#include "controlplane/bgp/ra.h"
#include "tests/unit/bgp_support.h"
#include <errno.h>

static void header(struct bytes *o, uint16_t len, uint8_t type)
{
	uint8_t h[BGP_HEADER_LEN];

	bgp_put_header(h, len, type);
	put_bytes(o, h, sizeof(h));
}

static void test_frame(void **state)
{
	static const struct {
		uint16_t len;
		uint8_t type;
		int result;
		uint8_t code, subcode;
	} cases[] = {
		{19, BGP_MSG_KEEPALIVE, 19, 0, 0},
		{20, BGP_MSG_KEEPALIVE, -EBADMSG, 1, 2},
		{18, BGP_MSG_KEEPALIVE, -EBADMSG, 1, 2},
		{0, BGP_MSG_UPDATE, -EBADMSG, 1, 2},
		{22, BGP_MSG_UPDATE, -EBADMSG, 1, 2},
		{23, BGP_MSG_UPDATE, 23, 0, 0},
		{28, BGP_MSG_OPEN, -EBADMSG, 1, 2},
		{29, BGP_MSG_OPEN, 29, 0, 0},
		{20, BGP_MSG_NOTIFICATION, -EBADMSG, 1, 2},
		{21, BGP_MSG_NOTIFICATION, 21, 0, 0},
		{22, BGP_MSG_ROUTE_REFRESH, -EBADMSG, 1, 2},
		{23, BGP_MSG_ROUTE_REFRESH, 23, 0, 0},
		{4096, BGP_MSG_UPDATE, 4096, 0, 0},
		{4097, BGP_MSG_UPDATE, -EBADMSG, 1, 2},
		{30, 0, -EBADMSG, 1, 3},
		{30, 6, -EBADMSG, 1, 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bytes m = {.n = 0};
		struct bgp_error e;
		int r;

		header(&m, cases[i].len, cases[i].type);
		m.n = sizeof(m.b);
		r = bgp_frame(m.b, m.n, BGP_MAX_MESSAGE, &e);
		assert_int_equal(r, cases[i].result);
		if (r < 0) {
			assert_int_equal(e.code, cases[i].code);
			assert_int_equal(e.subcode, cases[i].subcode);
		} else {
			assert_int_equal(bgp_frame(m.b, (size_t)r - 1, BGP_MAX_MESSAGE, &e), 0);
		}
	}
}

static void test_frame_marker_and_extended(void **state)
{
	struct bytes m = {.n = 0};
	struct bgp_error e;

	(void)state;
	header(&m, 65535, BGP_MSG_UPDATE);
	assert_int_equal(bgp_frame(m.b, 65535, BGP_MAX_EXTENDED_MESSAGE, &e), 65535);
	m.b[3] = 0;
	/* Refused at the first wrong octet, not after waiting for a header. */
	assert_int_equal(bgp_frame(m.b, 4, BGP_MAX_MESSAGE, &e), -EBADMSG);
	assert_int_equal(e.code, 1);
	assert_int_equal(e.subcode, 1);
	assert_int_equal(bgp_frame(m.b, 3, BGP_MAX_MESSAGE, &e), 0);
	m.n = 0;
	header(&m, 5000, BGP_MSG_OPEN); /* RFC 8654: never for OPEN */
	assert_int_equal(bgp_frame(m.b, 5000, BGP_MAX_EXTENDED_MESSAGE, &e), -EBADMSG);
}

static struct bgp_open full_open(void)
{
	struct bgp_open o = {.version = 4, .as = 4200000001u, .hold_time = 90, .id = 0x0a000001};
	struct bgp_caps *c = &o.caps;
	struct bgp_af_caps *a;

	c->any = c->multiprotocol = c->refresh = c->enhanced_refresh = c->as4 = c->extended_messages = true;
	c->gr = c->llgr = c->hostname = c->bfd_strict = true;
	c->as4_number = 4200000001u;
	c->role = BGP_ROLE_RS_CLIENT;
	c->gr_flags = GR_FLAG_RESTART | GR_FLAG_NOTIFICATION;
	c->gr_time = 4095;
	strcpy(c->host, "rs1.example");
	strcpy(c->software, "peregrine");
	a = bgp_caps_af(c, 1, 1);
	*a = (struct bgp_af_caps){.afi = 1,
		.safi = 1,
		.multiprotocol = true,
		.extended_next_hop = true,
		.add_path = 3,
		.paths_limit = 0x1234,
		.gr = true,
		.gr_flags = GR_AF_FORWARDING,
		.llgr = true,
		.llgr_flags = GR_AF_FORWARDING,
		.llgr_time = 0xabcdef};
	c->extended_next_hop = c->add_path = c->paths_limit = true;
	a = bgp_caps_af(c, 2, 1);
	*a = (struct bgp_af_caps){
		.afi = 2, .safi = 1, .multiprotocol = true, .gr = true, .llgr = true, .llgr_time = 1};
	return o;
}

static void test_open_round_trip(void **state)
{
	struct bgp_open o = full_open(), back;
	uint8_t buf[BGP_MAX_MESSAGE];
	struct bgp_error e;
	size_t len = bgp_open_encode(&o, buf, sizeof(buf));

	(void)state;
	assert_int_equal(bgp_frame(buf, len, BGP_MAX_MESSAGE, &e), len);
	assert_int_equal(get_u16(buf + 20), AS_TRANS);
	assert_int_equal(bgp_open_decode(buf + 19, len - 19, &back, &e), 0);
	assert_int_equal(back.as, o.as);
	assert_int_equal(back.hold_time, 90);
	assert_int_equal(back.id, 0x0a000001);
	back.caps.role_conflict = false;
	assert_memory_equal(&back.caps.af, &o.caps.af, sizeof(o.caps.af));
	assert_int_equal(back.caps.n_af, 2);
	assert_int_equal(back.caps.gr_time, 4095);
	assert_int_equal(back.caps.gr_flags, o.caps.gr_flags);
	assert_int_equal(back.caps.role, BGP_ROLE_RS_CLIENT);
	assert_string_equal(back.caps.host, "rs1.example");
	assert_string_equal(back.caps.software, "peregrine");
	assert_true(back.caps.paths_limit);
	assert_int_equal(bgp_caps_find_af(&back.caps, 1, 1)->paths_limit, 0x1234);
	/* as draft-abraitis-idr-addpath-paths-limit draws it */
	assert_non_null(memmem(buf, len, "\x4c\x05\x00\x01\x01\x12\x34", 7));
	assert_true(back.caps.refresh && back.caps.enhanced_refresh && back.caps.extended_messages &&
		    back.caps.bfd_strict);
}

/* RFC 9072: more than 255 octets of parameters. */
static void test_open_extended_parameters(void **state)
{
	struct bgp_open o = full_open(), back;
	uint8_t buf[BGP_MAX_MESSAGE];
	struct bgp_error e;
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		bgp_caps_af(&o.caps, (uint16_t)(100 + i), 7)->multiprotocol = true;
	len = bgp_open_encode(&o, buf, sizeof(buf));
	assert_int_equal(buf[28], 255);
	assert_int_equal(buf[29], 255);
	assert_int_equal(bgp_open_decode(buf + 19, len - 19, &back, &e), 0);
	assert_int_equal(back.caps.n_af, 42);
	assert_non_null(bgp_caps_find_af(&back.caps, 139, 7));
}

static void test_open_without_capabilities(void **state)
{
	struct bgp_open o = {.version = 4, .as = 65001, .hold_time = 0, .id = 1}, back;
	uint8_t buf[BGP_MAX_MESSAGE];
	struct bgp_error e;
	size_t len;

	(void)state;
	o.caps.role = BGP_ROLE_NONE;
	len = bgp_open_encode(&o, buf, sizeof(buf));
	assert_int_equal(len, 29);
	assert_int_equal(bgp_open_decode(buf + 19, len - 19, &back, &e), 0);
	assert_false(back.caps.any);
	assert_int_equal(back.caps.role, BGP_ROLE_NONE);
}

static void test_open_errors(void **state)
{
	static const struct {
		const char *body; /* version as hold id optlen params */
		uint8_t code, subcode;
	} cases[] = {
		{"03 fde9 00f0 0a000001 00", 2, 1}, {"04 0000 00f0 0a000001 00", 2, 2},
		{"04 fde9 00f0 00000000 00", 2, 3}, {"04 fde9 0001 0a000001 00", 2, 6},
		{"04 fde9 0002 0a000001 00", 2, 6},
		{"04 fde9 00f0 0a000001 01", 2, 0},           /* parameters are missing */
		{"04 fde9 00f0 0a000001 00 00", 2, 0},        /* octets left over */
		{"04 fde9 00f0 0a000001 02 0205", 2, 0},      /* parameter overruns */
		{"04 fde9 00f0 0a000001 02 0100", 2, 4},      /* unknown parameter */
		{"04 fde9 00f0 0a000001 04 0202 0105", 2, 0}, /* capability overruns */
		{"04 fde9 00f0 0a000001 03 0201 01", 2, 0},   /* half a capability */
		{"04 fde9 00f0 0a000001 ff ff 0005 0200", 2, 0},
		{"04 fde9 00f0 0a000001 08 0206 4104 00000000", 2, 2}, /* AS 0 in the capability */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bytes m = {.n = 0};
		struct bgp_open o;
		struct bgp_error e = {0};

		put_hex(&m, cases[i].body);
		assert_int_equal(bgp_open_decode(m.b, m.n, &o, &e), -EBADMSG);
		assert_int_equal(e.code, cases[i].code);
		assert_int_equal(e.subcode, cases[i].subcode);
	}
}

static void test_capabilities_that_are_ignored(void **state)
{
	static const char *const lists[] = {
		"01 03 000101",         /* multiprotocol too short */
		"41 02 fde9",           /* AS4 too short */
		"45 04 0001 01 04",     /* ADD-PATH value 4 */
		"09 02 0003",           /* role of two octets */
		"40 01 00",             /* GR too short */
		"47 06 000101800000",   /* LLGR half an entry */
		"05 06 0001 0101 0002", /* SAFI 257 */
		"49 02 0500",           /* host name overruns */
		"ff 03 010203",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		struct bytes m = {.n = 0};
		struct bgp_caps c = {.role = BGP_ROLE_NONE};
		struct bgp_error e;

		put_hex(&m, lists[i]);
		assert_int_equal(bgp_caps_decode(&c, m.b, m.n, &e), 0);
		assert_int_equal(c.role, BGP_ROLE_NONE);
		assert_false(
			c.as4 || c.gr || c.add_path || c.extended_next_hop || c.hostname || c.multiprotocol);
	}
}

static void test_role_conflict(void **state)
{
	struct bytes m = {.n = 0};
	struct bgp_caps c = {.role = BGP_ROLE_NONE};
	struct bgp_error e;

	(void)state;
	put_hex(&m, "09 01 03 09 01 03");
	bgp_caps_decode(&c, m.b, m.n, &e);
	assert_false(c.role_conflict);
	m.n = 0;
	put_hex(&m, "09 01 04");
	bgp_caps_decode(&c, m.b, m.n, &e);
	assert_true(c.role_conflict);
	c.role = BGP_ROLE_NONE;
	m.n = 0;
	put_hex(&m, "09 01 ff"); /* not "none" */
	bgp_caps_decode(&c, m.b, m.n, &e);
	assert_int_not_equal(c.role, BGP_ROLE_NONE);
}

static void test_many_families_do_not_overflow(void **state)
{
	struct bgp_caps c = {.role = BGP_ROLE_NONE};
	struct bgp_error e;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		uint8_t cap[6] = {1, 4, (uint8_t)(i >> 8), (uint8_t)i, 0, 1};

		assert_int_equal(bgp_caps_decode(&c, cap, 6, &e), 0);
	}
	assert_int_equal(c.n_af, BGP_MAX_AF);
}

static void test_notification(void **state)
{
	struct bgp_error e, back;
	uint8_t buf[BGP_MAX_MESSAGE];
	char detail[300], name[32];
	size_t len;

	(void)state;
	bgp_fail(&e, BGP_ERR_CEASE, CEASE_SHUTDOWN);
	bgp_error_set_text(&e, "maintenance \"tonight\"");
	len = bgp_notification_encode(&e, buf, sizeof(buf));
	assert_int_equal(bgp_frame(buf, len, BGP_MAX_MESSAGE, &back), len);
	bgp_fail_data(&back, buf[19], buf[20], buf + 21, len - 21);
	bgp_error_detail(&back, detail, sizeof(detail));
	assert_string_equal(detail, ": \"maintenance \"tonight\"\"");
	assert_string_equal(bgp_error_name(6, 2, name), "Administrative shutdown");
	assert_string_equal(bgp_error_name(4, 0, name), "Hold timer expired");
	assert_string_equal(bgp_error_name(9, 3, name), "Unknown error 9.3");
}

static void test_notification_text_is_harmless(void **state)
{
	struct bgp_error e;
	char detail[300], text[400];
	uint8_t evil[] = {5, 'a', 0x1b, '\n', 0x7f, 'b'};
	uint8_t lying[] = {200, 'x'};

	(void)state;
	bgp_fail_data(&e, 6, 2, evil, sizeof(evil));
	bgp_error_detail(&e, detail, sizeof(detail));
	assert_string_equal(detail, ": \"a...b\"");
	bgp_fail_data(&e, 6, 2, lying, sizeof(lying));
	bgp_error_detail(&e, detail, sizeof(detail));
	assert_string_equal(detail, ": c878");
	bgp_fail_data(&e, 2, 2, "\x00\x00\xfd\xe9", 4);
	bgp_error_detail(&e, detail, sizeof(detail));
	assert_string_equal(detail, ": 65001");
	/* Cut between characters: 254 octets, then one of two. */
	memset(text, 'x', 254);
	strcpy(text + 254, "\xc3\xa9\xc3\xa9");
	bgp_fail(&e, 6, 2);
	bgp_error_set_text(&e, text);
	assert_int_equal(e.data[0], 254);
	assert_int_equal(e.len, 255);
}

static void test_refresh(void **state)
{
	uint8_t buf[64];
	struct bgp_refresh r;
	struct bgp_error e;

	(void)state;
	assert_int_equal(bgp_refresh_encode(2, 1, REFRESH_BEGIN, buf), 23);
	assert_int_equal(bgp_refresh_decode(buf + 19, 4, true, &r, &e), 0);
	assert_int_equal(r.afi, 2);
	assert_int_equal(r.safi, 1);
	assert_int_equal(r.subtype, REFRESH_BEGIN);
	assert_int_equal(bgp_refresh_decode(buf + 19, 4, false, &r, &e), 0);
	assert_int_equal(r.subtype, REFRESH_REQUEST);
	assert_int_equal(bgp_refresh_decode(buf + 19, 5, true, &r, &e), -EBADMSG);
	assert_int_equal(e.code, 7);
	assert_int_equal(e.subcode, 1);
	assert_int_equal(bgp_refresh_decode(buf + 19, 3, true, &r, &e), -EBADMSG);
}

/* RFC 4861 sections 6.1.1 and 6.1.2, rule by rule. */
static void test_router_advertisements(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1}, ll[16] = {0xfe, 0x80, [15] = 1},
			     global[16] = {0x20, 1};
	struct ipaddr from = ipaddr_v6(ll), far = ipaddr_v6(global), none = {0};
	uint8_t m[RA_LEN + 8] = {0}, rs[16] = {133};

	assert_int_equal(ra_make(NULL, m), 16);
	assert_int_equal(ra_read(m, 16, 255, &from), RA_ADVERTISEMENT);
	assert_int_equal(ra_make(mac, m), RA_LEN);
	assert_int_equal(m[6] << 8 | m[7], 0); /* nobody's default router */
	assert_memory_equal(m + 18, mac, 6);
	assert_int_equal(ra_read(m, RA_LEN, 255, &from), RA_ADVERTISEMENT);
	assert_int_equal(ra_read(m, RA_LEN, 254, &from), RA_NONE);
	assert_int_equal(ra_read(m, RA_LEN, -1, &from), RA_NONE);
	assert_int_equal(ra_read(m, RA_LEN, 255, &far), RA_NONE);
	assert_int_equal(ra_read(m, RA_LEN, 255, &none), RA_NONE);
	assert_int_equal(ra_read(m, 15, 255, &from), RA_NONE);
	for (size_t len = 17; len < RA_LEN; len++) /* the option is cut */
		assert_int_equal(ra_read(m, len, 255, &from), RA_NONE);
	m[1] = 1;
	assert_int_equal(ra_read(m, RA_LEN, 255, &from), RA_NONE);
	m[1] = 0;
	m[17] = 0; /* an option of no length */
	assert_int_equal(ra_read(m, RA_LEN, 255, &from), RA_NONE);
	m[17] = 1;
	m[0] = 136;
	assert_int_equal(ra_read(m, RA_LEN, 255, &from), RA_NONE);
	assert_int_equal(ra_read(rs, 8, 255, &from), RA_SOLICITATION);
	assert_int_equal(ra_read(rs, 8, 255, &none), RA_SOLICITATION);
	assert_int_equal(ra_read(rs, 7, 255, &from), RA_NONE);
	rs[8] = 1; /* whose address, if it has none? */
	rs[9] = 1;
	assert_int_equal(ra_read(rs, 16, 255, &from), RA_SOLICITATION);
	assert_int_equal(ra_read(rs, 16, 255, &none), RA_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_frame_marker_and_extended),
		cmocka_unit_test(test_open_round_trip),
		cmocka_unit_test(test_open_extended_parameters),
		cmocka_unit_test(test_open_without_capabilities),
		cmocka_unit_test(test_open_errors),
		cmocka_unit_test(test_capabilities_that_are_ignored),
		cmocka_unit_test(test_role_conflict),
		cmocka_unit_test(test_many_families_do_not_overflow),
		cmocka_unit_test(test_notification),
		cmocka_unit_test(test_notification_text_is_harmless),
		cmocka_unit_test(test_router_advertisements),
		cmocka_unit_test(test_refresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
