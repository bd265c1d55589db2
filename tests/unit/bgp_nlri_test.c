/* SPDX-License-Identifier: BSD-2-Clause */
/* Families whose destinations are no prefixes: what is taken, what is passed over, what ends the session; and
 * that what goes out is what came in. */
#include "controlplane/bgp/nlri.h"
#include "controlplane/filter/evpn.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct row {
	enum net_type type;
	const char *hex;  /* as received */
	const char *text; /* the destination; NULL: -EBADMSG */
	const char *wrong;
	const char *sent; /* hex; NULL: as received */
};

static size_t bytes_of(const char *hex, uint8_t *out)
{
	size_t n = 0;
	unsigned v;
	int used;

	for (; sscanf(hex, "%2x%n", &v, &used) == 1; hex += used)
		out[n++] = (uint8_t)v;
	return n;
}

static const struct row rows[] = {
	/* RFC 8955 section 4.3's examples */
	{NET_FLOW4, "0b 0118c00002 0381 06 048119", "flow4 { dst 192.0.2.0/24; proto 6; port 25; }", NULL,
		NULL},
	{NET_FLOW4, "10 0118c00002 0208cb 04 03 89 45 8b 91 1f 90",
		"flow4 { dst 192.0.2.0/24; src 203.0.0.0/8; port 137..139,8080; }", NULL, NULL},
	{NET_FLOW4, "09 0120c0000201 0c 80 05", "flow4 { dst 192.0.2.1/32; fragment !0x0/0x5; }", NULL, NULL},
	{NET_FLOW4, "00", "flow4 { }", NULL, NULL},
	/* RFC 8956 section 3.8 */
	{NET_FLOW6, "12 0120 00 20010db8 0268 40 12345678 9a 0381 06",
		"flow6 { dst 2001:db8::/32; src ::1234:5678:9a00:0/104 offset 64; next header 6; }", NULL,
		NULL},
};

static void check(const struct row *r, bool add_path)
{
	static struct bgp_nlri n;
	uint8_t in[600], want[600], out[600], copy[600];
	size_t head = add_path ? 4 : 0, len = bytes_of(r->hex, in + head), want_len, out_len;
	struct bgp_bytes b = {in, head + len};
	char text[2048];
	int rc;

	memcpy(in, "\0\0\1\2", head);
	memcpy(copy, in, head + len);
	rc = bgp_nlri_decode(&b, r->type, true, add_path, &n);
	assert_memory_equal(in, copy, head + len);
	if (!r->text) {
		if (rc != -EBADMSG)
			fail_msg("%s: %d, %s", r->hex, rc, n.wrong);
		return;
	}
	assert_int_equal(rc, 1);
	assert_int_equal(b.len, 0);
	assert_int_equal(n.path_id, add_path ? 258 : 0);
	if (r->wrong) {
		assert_non_null(n.wrong);
		assert_string_equal(n.wrong, r->wrong);
		return;
	}
	if (n.wrong)
		fail_msg("%s: %s", r->hex, n.wrong);
	net_format(&n.net, text, sizeof(text));
	assert_string_equal(text, r->text);
	memcpy(want, in, head);
	want_len = head + bytes_of(r->sent ? r->sent : r->hex, want + head);
	out_len = bgp_nlri_encode(
		n.net.nlri, r->type, n.labels, n.n_labels, add_path, n.path_id, out, sizeof(out));
	assert_int_equal(out_len, want_len);
	assert_memory_equal(out, want, want_len);
	assert_int_equal(bgp_nlri_encode(n.net.nlri, r->type, n.labels, n.n_labels, add_path, n.path_id, out,
				 want_len - 1),
		0);
}

/* Each without and with a path id. */
static void check_all(const struct row *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		check(&r[i], false);
		check(&r[i], true);
	}
}

static void test_there_and_back(void **state)
{
	check_all(rows, sizeof(rows) / sizeof(rows[0]));
}

/* Every departure that RFC 8955 and 8956 name: passed over when it is framed, and what has to be ignored is.
 */
static void test_flow(void **state)
{
	static const struct row bad[] = {
		{NET_FLOW4, "05 0121c0 0002", "", "Exceed maximal prefix length", NULL},
		{NET_FLOW4, "05 0118c0", NULL, NULL, NULL}, /* shorter than it says */
		{NET_FLOW4, "f0", NULL, NULL, NULL},
		{NET_FLOW4, "04 0118c000", "", "Not complete", NULL},
		{NET_FLOW4, "06 0381 06 0381 06", "", "Bad component order", NULL},
		{NET_FLOW4, "08 0381 06 0118c00002", "", "Bad component order", NULL},
		{NET_FLOW4, "03 0d81 06", "", "Unknown component", NULL},
		{NET_FLOW4, "03 0081 06", "", "Unknown component", NULL},
		{NET_FLOW6, "03 0e81 06", "", "Unknown component", NULL},
		{NET_FLOW4, "03 0301 06", "", "Not complete", NULL}, /* no end of list */
		{NET_FLOW4, "02 0381", "", "Not complete", NULL},
		{NET_FLOW4, "03 0391 06", "", "Not complete", NULL},
		{NET_FLOW4, "0a 03b1 0000000000000006", "", "Exceed maximal value length", NULL},
		{NET_FLOW4, "04 0b91 0006", "", "Exceed maximal value length", NULL},
		{NET_FLOW4, "04 0c91 0001", "", "Exceed maximal value length", NULL},
		{NET_FLOW4, "06 09a1 00000001", "", "Exceed maximal value length", NULL},
		{NET_FLOW6, "04 01 81 00 20", "", "Exceed maximal prefix length", NULL},
		{NET_FLOW6, "03 01 20 21", "", "Exceed maximal prefix offset", NULL},
		{NET_FLOW6, "03 01 20 20", "", "Exceed maximal prefix offset", NULL},
		{NET_FLOW6, "02 01 20", "", "Not complete", NULL},
		/* Bits that mean nothing: cleared, so that the rule is known again. */
		{NET_FLOW4, "03 03c1 06", "flow4 { proto 6; }", NULL, "03 0381 06"},
		{NET_FLOW4, "03 0389 06", "flow4 { proto 6; }", NULL, "03 0381 06"},
		{NET_FLOW4, "05 0114c000ff", "flow4 { dst 192.0.240.0/20; }", NULL, "05 0114c000f0"},
		{NET_FLOW4, "04 0995 f002", "flow4 { tcp flags 0x2/0x2; }", NULL, "04 0991 0002"},
		{NET_FLOW4, "03 0c8d f1", "flow4 { fragment dont_fragment; }", NULL, "03 0c81 01"},
		{NET_FLOW6, "03 0c81 f3", "flow6 { fragment is_fragment; }", NULL, "03 0c81 02"},
		/* Lengths in two bytes where one is enough. */
		{NET_FLOW4, "f003 0381 06", "flow4 { proto 6; }", NULL, "03 0381 06"},
		{NET_FLOW6, "0a 01 40 20 20010db8 0381 11",
			"flow6 { dst 0:0:2001:db8::/64 offset 32; next header 17; }", NULL, NULL},
	};

	check_all(bad, sizeof(bad) / sizeof(bad[0]));
}

/* RFC 4364, 4659, 8277 */
static void test_vpn(void **state)
{
	static const struct row all[] = {
		{NET_VPN4, "70 0003e1 0000fde800000001 0a0102", "65000:1 10.1.2.0/24", NULL, NULL},
		{NET_VPN4, "88 000640 0003e1 0001c00002010007 0a0102", "192.0.2.1:7 10.1.2.0/24", NULL, NULL},
		{NET_VPN4, "58 800000 0000fde800000001", "65000:1 0.0.0.0/0", NULL, NULL},
		{NET_VPN4, "6c 0003e1 0002fde800010001 0a01ff", "4259840001:1 10.1.240.0/20", NULL,
			"6c 0003e1 0002fde800010001 0a01f0"},
		{NET_VPN6, "88 0003e1 0000fde800000001 20010db80001", "65000:1 2001:db8:1::/48", NULL, NULL},
		{NET_VPN4, "79 0003e1 0000fde800000001 0a010203 80", NULL, NULL, NULL}, /* 33 bits */
		{NET_VPN4, "57 0003e1 0000fde800000001", NULL, NULL, NULL},
		{NET_VPN4, "30 0000f0 0000f2", NULL, NULL, NULL}, /* labels to the end */
		{NET_VPN4, "70 0003e1 0000fde800000001 0a01", NULL, NULL, NULL},
		{NET_VPN4, "10 0003", NULL, NULL, NULL},
	};
	static struct bgp_nlri n;
	uint8_t in[64], out[64];
	struct bgp_bytes b = {in, 0};

	check_all(all, sizeof(all) / sizeof(all[0]));
	/* Withdrawn: one label, whatever it is (RFC 8277 section 2.4), and the same route. */
	b.len = bytes_of("70 0003e0 0000fde800000001 0a0102", in);
	assert_int_equal(bgp_nlri_decode(&b, NET_VPN4, false, false, &n), 1);
	assert_int_equal(n.n_labels, 0);
	assert_int_equal(bgp_nlri_encode(n.net.nlri, NET_VPN4, NULL, 0, false, 0, out, sizeof(out)), 15);
	bytes_of("70 800000 0000fde800000001 0a0102", in);
	assert_memory_equal(in, out, 15);
	/* Of our own without a label: implicit null. */
	assert_int_equal(bgp_nlri_encode(n.net.nlri, NET_VPN4, n.labels, 0, false, 0, out, sizeof(out)), 15);
	bytes_of("70 000031 0000fde800000001 0a0102", in);
	assert_memory_equal(in, out, 15);
}

#define RD "0000fde800000001"
#define ESI "00112233445566778899"

/* RFC 7432 section 7, RFC 9136 section 3.1 */
static void test_evpn(void **state)
{
	static const struct row all[] = {
		{NET_EVPN, "01 19 " RD ESI "00000005 0003e1",
			"evpn ead 65000:1 5 00:11:22:33:44:55:66:77:88:99", NULL, NULL},
		{NET_EVPN, "02 21 " RD ESI "00000005 30 020000000007 00 0003e1",
			"evpn mac 65000:1 5 02:00:00:00:00:07 *", NULL, NULL},
		{NET_EVPN, "02 28 " RD ESI "00000005 30 020000000007 20 c0000201 0003e1 0007d1",
			"evpn mac 65000:1 5 02:00:00:00:00:07 192.0.2.1", NULL, NULL},
		{NET_EVPN, "03 11 " RD "00000007 20 c0000201", "evpn imet 65000:1 7 192.0.2.1", NULL, NULL},
		{NET_EVPN, "04 17 " RD ESI "20 c0000201",
			"evpn es 65000:1 00:11:22:33:44:55:66:77:88:99 192.0.2.1", NULL, NULL},
		{NET_EVPN, "05 22 " RD ESI "00000000 18 0a010200 c0000201 0003e1",
			"evpn prefix 65000:1 0 10.1.2.0/24", NULL, NULL},
		{NET_EVPN, "09 03 010203", "evpn type 9 01:02:03", NULL, NULL},
		{NET_EVPN, "01 18 " RD ESI "00000005 0003", "", "Bad length", NULL},
		{NET_EVPN, "02 21 " RD ESI "00000005 31 020000000007 00 0003e1", "", "Bad MAC length", NULL},
		{NET_EVPN, "02 21 " RD ESI "00000005 30 020000000007 08 0003e1", "", "Bad IP length", NULL},
		{NET_EVPN, "02 21 " RD ESI "00000005 30 020000000007 20 0003e1", "", "Bad length", NULL},
		{NET_EVPN, "03 11 " RD "00000007 21 c0000201", "", "Bad IP length", NULL},
		{NET_EVPN, "03 0c " RD "00000007", "", "Bad length", NULL},
		{NET_EVPN, "05 22 " RD ESI "00000000 21 0a010200 c0000201 0003e1", "", "Bad prefix length",
			NULL},
		{NET_EVPN, "03 12 " RD "00000007 20 c0000201", NULL, NULL, NULL},
		{NET_EVPN, "03", NULL, NULL, NULL},
	};
	static struct bgp_nlri a, b;
	uint8_t one[128], two[128];
	struct bgp_bytes x = {one, 0}, y = {two, 0};
	char text[256];

	check_all(all, sizeof(all) / sizeof(all[0]));
	/* Another ESI, another label, no second one: the same route. */
	x.len = bytes_of("02 28 " RD ESI "00000005 30 020000000007 20 c0000201 0003e1 0007d1", one);
	y.len = bytes_of("02 25 " RD "00000000000000000000 00000005 30 020000000007 20 c0000201 000001", two);
	assert_int_equal(bgp_nlri_decode(&x, NET_EVPN, true, false, &a), 1);
	assert_int_equal(bgp_nlri_decode(&y, NET_EVPN, false, false, &b), 1);
	assert_true(net_equal(&a.net, &b.net));
	evpn_details(a.labels, a.n_labels, text, sizeof(text));
	assert_string_equal(text, "esi 00:11:22:33:44:55:66:77:88:99 label 0x0003e1 0x0007d1");
	y = (struct bgp_bytes){
		two, bytes_of("02 25 " RD ESI "00000006 30 020000000007 20 c0000201 000001", two)};
	assert_int_equal(bgp_nlri_decode(&y, NET_EVPN, true, false, &b), 1);
	assert_false(net_equal(&a.net, &b.net));
}

static void test_end(void **state)
{
	static struct bgp_nlri n;
	uint8_t three[3] = {0};
	struct bgp_bytes none = {three, 0}, few = {three, 3};

	assert_int_equal(bgp_nlri_decode(&none, NET_FLOW4, true, true, &n), 0);
	assert_int_equal(bgp_nlri_decode(&few, NET_FLOW4, true, true, &n), -EBADMSG);
	assert_int_equal(bgp_family_net(1, 1), NET_IP4);
	assert_int_equal(bgp_family_net(2, 133), NET_FLOW6);
	assert_int_equal(bgp_family_net(3, 1), NET_NONE);
	assert_int_equal(bgp_family_net(1, 2), NET_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_flow),
		cmocka_unit_test(test_vpn),
		cmocka_unit_test(test_evpn),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
