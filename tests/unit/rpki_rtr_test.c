/* SPDX-License-Identifier: BSD-2-Clause */
/* RTR's PDUs: each type's lengths and fields, in every version; what is cut short, too long or makes no
 * sense. */
#include "controlplane/rpki/rtr.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t vrp4[20] = {1, 4, 0, 0, 0, 0, 0, 20, 1, 24, 28, 0, 192, 0, 2, 0, 0, 0, 0xfc, 0};
static const uint8_t vrp6[32] = {1, 6, 0, 0, 0, 0, 0, 32, 0, 32, 48, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 1, 0, 0};

static void prefixes(void **state)
{
	struct rtr_pdu p;
	char text[PREFIX_STRLEN];

	(void)state;
	assert_int_equal(rtr_parse(vrp4, sizeof(vrp4), &p), 20);
	assert_true(p.announce);
	assert_string_equal(prefix_format(&p.prefix, text), "192.0.2.0/24");
	assert_int_equal(p.max_len, 28);
	assert_int_equal(p.asn, 64512);
	assert_int_equal(rtr_parse(vrp6, sizeof(vrp6), &p), 32);
	assert_false(p.announce);
	assert_string_equal(prefix_format(&p.prefix, text), "2001:db8::/32");
	assert_int_equal(p.asn, 65536);
}

static void prefixes_that_make_no_sense(void **state)
{
	static const struct {
		unsigned at;
		uint8_t value;
	} bad[] = {{9, 33}, {10, 33}, {10, 23}, {7, 21}, {7, 19}};
	struct rtr_pdu p;
	uint8_t b[32];

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		memcpy(b, vrp4, sizeof(vrp4));
		b[bad[i].at] = bad[i].value;
		assert_int_equal(rtr_parse(b, sizeof(b), &p), -EBADMSG);
	}
	/* too short to have the fields: nothing behind its end is read */
	assert_int_equal(rtr_parse((const uint8_t[]){0, 4, 0, 0, 0, 0, 0, 8}, 8, &p), -EBADMSG);
	memcpy(b, vrp6, sizeof(vrp6));
	b[9] = 129;
	b[10] = 129;
	assert_int_equal(rtr_parse(b, sizeof(b), &p), -EBADMSG);
	/* ::ffff:192.0.2.0/120: no IPv6 route has such a prefix, and it is no IPv4 one either */
	memcpy(b, vrp6, sizeof(vrp6));
	b[9] = b[10] = 120;
	memcpy(b + 12, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\0", 16);
	assert_int_equal(rtr_parse(b, sizeof(b), &p), 32);
	assert_true(p.ignore);
}

/* Whatever is missing, more is asked for; nothing is decided early but what the length says. */
static void pieces(void **state)
{
	struct rtr_pdu p;

	(void)state;
	for (size_t n = 0; n < sizeof(vrp6); n++)
		assert_int_equal(rtr_parse(vrp6, n, &p), 0);
	assert_int_equal(rtr_parse((const uint8_t[]){1, 4, 0, 0, 0, 0, 0, 7}, 8, &p), -EBADMSG);
	assert_int_equal(rtr_parse((const uint8_t[]){1, 4, 0, 0, 0, 1, 0, 0}, 8, &p), -EBADMSG);
	assert_int_equal(rtr_parse((const uint8_t[]){1, 4, 0, 0, 0xff, 0xff, 0xff, 0xff}, 8, &p), -EBADMSG);
}

static void end_of_data(void **state)
{
	static const uint8_t v0[12] = {0, 7, 0, 9, 0, 0, 0, 12, 0, 0, 1, 0};
	static const uint8_t v1[24] = {
		1, 7, 0, 9, 0, 0, 0, 24, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 2, 0x58};
	struct rtr_pdu p;
	uint8_t b[24];

	(void)state;
	assert_int_equal(rtr_parse(v0, sizeof(v0), &p), 12);
	assert_int_equal(p.serial, 256);
	assert_int_equal(p.session, 9);
	assert_false(p.has_timers);
	assert_int_equal(rtr_parse(v1, sizeof(v1), &p), 24);
	assert_true(p.has_timers);
	assert_int_equal(p.refresh, 1);
	assert_int_equal(p.retry, 2);
	assert_int_equal(p.expire, 600);
	memcpy(b, v1, sizeof(b));
	b[0] = 0; /* version 0 has no timers */
	assert_int_equal(rtr_parse(b, sizeof(b), &p), -EBADMSG);
	b[0] = 1;
	b[7] = 12; /* and version 1 always has */
	assert_int_equal(rtr_parse(b, sizeof(b), &p), -EBADMSG);
}

static void aspa(void **state)
{
	static const uint8_t b[20] = {2, 11, 1, 0, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 0};
	uint8_t odd[22];
	struct rtr_pdu p;

	(void)state;
	assert_int_equal(rtr_parse(b, sizeof(b), &p), 20);
	assert_true(p.announce);
	assert_int_equal(p.asn, 1);
	assert_int_equal(p.n_providers, 2);
	assert_int_equal(rtr_provider(&p, 0), 2);
	assert_int_equal(rtr_provider(&p, 1), 65536);
	memcpy(odd, b, 20);
	odd[7] = 22;
	assert_int_equal(rtr_parse(odd, sizeof(odd), &p), -EBADMSG);
}

static void error_reports(void **state)
{
	uint8_t b[128];
	size_t n = rtr_error_report(1, RTR_ERR_TYPE, vrp4, sizeof(vrp4), "what?", b);
	struct rtr_pdu p;

	(void)state;
	assert_int_equal(rtr_parse(b, n, &p), n);
	assert_int_equal(p.error, RTR_ERR_TYPE);
	assert_int_equal(p.text_len, 5);
	assert_memory_equal(p.text, "what?", 5);
	/* lengths within that point outside */
	for (unsigned at = 8; at < 12; at++) {
		uint8_t c[128];

		memcpy(c, b, n);
		c[at] ^= 0x80;
		assert_int_equal(rtr_parse(c, n, &p), -EBADMSG);
		memcpy(c, b, n);
		c[at + 4 + sizeof(vrp4)] ^= 0x80;
		assert_int_equal(rtr_parse(c, n, &p), -EBADMSG);
	}
	assert_string_equal(rtr_error_name(RTR_ERR_NO_DATA), "No Data Available");
	assert_string_equal(rtr_error_name(77), "Unknown error");
}

static void queries(void **state)
{
	uint8_t b[16];
	struct rtr_pdu p;

	(void)state;
	assert_int_equal(rtr_parse(b, rtr_reset_query(2, b), &p), 8);
	assert_int_equal(p.version, 2);
	assert_int_equal(p.type, RTR_RESET_QUERY);
	assert_int_equal(rtr_parse(b, rtr_serial_query(1, 513, 70000, b), &p), 12);
	assert_int_equal(p.session, 513);
	assert_int_equal(p.serial, 70000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefixes),
		cmocka_unit_test(prefixes_that_make_no_sense),
		cmocka_unit_test(pieces),
		cmocka_unit_test(end_of_data),
		cmocka_unit_test(aspa),
		cmocka_unit_test(error_reports),
		cmocka_unit_test(queries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
