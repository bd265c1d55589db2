/* SPDX-License-Identifier: BSD-2-Clause */
/* UPDATE: what is encoded is decoded again, for each sort of session; the RFC 7606 table; prefixes; AS4
 * merge. */
#include "controlplane/bgp/codec.h"
#include "tests/unit/bgp_support.h"
#include <errno.h>

/* Interfaces: 192.0.2.0/24 and 2001:db8:1::/64 on ifindex 3, we are .2 */
bool ifaces_for_neighbor(
	struct ifaces *i, const struct ipaddr *a, struct iface_view *out, struct ipaddr *local)
{
	struct prefix net = pfx("203.0.113.0/24");

	(void)i;
	memset(out, 0, sizeof(*out));
	*local = ip("203.0.113.2");
	out->ifindex = 4;
	return prefix_contains_addr(&net, a);
}

bool ifaces_is_local(struct ifaces *i, const struct ipaddr *a)
{
	struct ipaddr own = ip("198.51.100.99");

	(void)i;
	return ipaddr_equal(a, &own);
}

enum session { EBGP, IBGP, EBGP2 /* without 4-octet numbers */, CONFED, IBGP_AIGP };

static struct bgp_import_class class_of(enum session s)
{
	struct bgp_import_class k;
	bool aigp = s == IBGP_AIGP;

	if (aigp)
		s = IBGP;
	memset(&k, 0, sizeof(k));
	k.aigp = aigp;
	k.afi = 1;
	k.as4 = s != EBGP2;
	k.internal = s == IBGP;
	k.interior = s == IBGP || s == CONFED;
	k.direct = s != IBGP;
	k.gateway_recursive = s == IBGP;
	k.role = BGP_ROLE_NONE;
	k.preference = 100;
	k.local_as = k.public_as = 64500;
	k.remote_as = s == IBGP ? 64500 : 64496;
	k.router_id = k.cluster_id = 0x0a0000fe;
	k.default_local_pref = 100;
	k.ifindex = 3;
	k.local_addr = ip("192.0.2.2");
	k.link = pfx("192.0.2.0/24");
	return k;
}

static char reports[2048];

static void note(void *ctx, const char *line)
{
	(void)ctx;
	strncat(reports, line, sizeof(reports) - strlen(reports) - 2);
	strcat(reports, "\n");
}

static struct bgp_decode_scratch scratch;
static uint8_t key_buf[70000];

static enum bgp_decode_result decode_with(
	const struct bgp_import_class *k, const struct bytes *m, struct attrs *out, struct bgp_update *u)
{
	struct bgp_import_context c = {k, (struct ifaces *)1, note, NULL};
	struct bgp_error e;
	struct bgp_bytes none = {NULL, 0};

	reports[0] = 0;
	assert_int_equal(bgp_update_split(m->b, m->n, key_buf, u, &e), 0);
	if (u->framing_error)
		return BGP_DECODE_WITHDRAW;
	return bgp_attrs_decode(&c, u->key, u->mp_reach ? u->next_hop : none, &scratch, out);
}

/* A body around attribute bytes. */
static void body(struct bytes *m, const void *attrs, size_t n, const char *nlri)
{
	uint8_t len[2];

	m->n = 0;
	put_hex(m, "0000");
	put_u16(len, (uint16_t)n);
	put_bytes(m, len, 2);
	put_bytes(m, attrs, n);
	put_hex(m, nlri);
}

/* ---- round trips ---- */

static struct attrs rich_attrs(void)
{
	static uint8_t path[64];
	static const uint32_t as[] = {64496, 4200000001u, 65551, 3356};
	static const uint32_t comm[] = {0xffff0000, 0x0001ffff, 0x00010002};
	static const uint64_t ext[] = {UINT64_C(0x0002fde800000064)};
	static const struct lcomm large[] = {{64500, 1, 2}, {1, 2, 3}};
	static const struct attr_extra extra[] = {
		{.id = ATTR_EXTRA_BGP(20), .type = T_BYTESTRING, .flags = 0xe0, .len = 3, .data = "abc"},
		{.id = ATTR_EXTRA_BGP(200), .type = T_BYTESTRING, .flags = 0xe0, .len = 0, .data = ""}};
	struct attrs a = {.present = ATTR_ORIGIN | ATTR_AS_PATH | ATTR_NEXT_HOP | ATTR_MED | ATTR_LOCAL_PREF |
				     ATTR_ATOMIC | ATTR_AGGREGATOR | ATTR_COMMUNITY | ATTR_EXT_COMMUNITY |
				     ATTR_LARGE_COMMUNITY | ATTR_OTC};

	a.origin = ORIGIN_INCOMPLETE;
	a.as_path = path;
	a.as_path_bytes = (uint16_t)sequence(path, 4, as);
	a.next_hop = ip("192.0.2.1");
	a.med = 7;
	a.local_pref = 200;
	a.aggregator_as = 4200000001u;
	a.aggregator_id = 0x01020304;
	a.community = comm;
	a.n_community = 3;
	a.ext = ext;
	a.n_ext = 1;
	a.large = large;
	a.n_large = 2;
	a.otc = 64496;
	a.extra = extra;
	a.n_extra = 2;
	return a;
}

static void check_same(const struct attrs *a, const struct attrs *b)
{
	assert_int_equal(a->origin, b->origin);
	assert_int_equal(a->as_path_bytes, b->as_path_bytes);
	assert_memory_equal(a->as_path, b->as_path, a->as_path_bytes);
	assert_true(ipaddr_equal(&a->next_hop, &b->next_hop));
	assert_int_equal(a->med, b->med);
	assert_int_equal(a->aggregator_as, b->aggregator_as);
	assert_int_equal(a->aggregator_id, b->aggregator_id);
	assert_int_equal(a->n_ext, b->n_ext);
	assert_memory_equal(a->ext, b->ext, 8 * a->n_ext);
	assert_int_equal(a->n_large, b->n_large);
	assert_int_equal(a->otc, b->otc);
	assert_int_equal(a->n_extra, b->n_extra);
	for (unsigned i = 0; i < a->n_extra; i++) {
		assert_int_equal(a->extra[i].id, b->extra[i].id);
		assert_int_equal(a->extra[i].flags, b->extra[i].flags);
		assert_int_equal(a->extra[i].len, b->extra[i].len);
		assert_memory_equal(a->extra[i].data, b->extra[i].data, a->extra[i].len);
	}
}

static void round_trip(enum session s, bool v6)
{
	struct bgp_import_class k = class_of(s);
	struct bgp_encode_class ec = {.afi = v6 ? 2 : 1, .safi = 1, .as4 = s != EBGP2, .max_message = 4096};
	struct attrs a = rich_attrs(), b;
	struct prefix n = pfx(v6 ? "2001:db8:ffff::/48" : "198.51.100.0/24"), back;
	uint8_t buf[4096], msg[4096], nlri[32];
	struct bgp_update u;
	struct bytes m = {.n = 0};
	struct bgp_error e;
	size_t alen, nlen, len;
	uint32_t id;

	if (v6) {
		a.next_hop = ip("2001:db8:1::1");
		a.next_hop_ll = ip("fe80::1");
		k.afi = 2;
		k.link = pfx("2001:db8:1::/64");
		k.local_addr = ip("2001:db8:1::2");
	}
	alen = bgp_encode_attrs(&a, &ec, buf, sizeof(buf));
	assert_true(alen > 0);
	nlen = bgp_encode_nlri(&n, 0, false, nlri);
	len = bgp_encode_update(&ec, &a, buf, alen, nlri, nlen, msg, sizeof(msg));
	assert_int_equal(bgp_frame(msg, len, 4096, &e), len);
	put_bytes(&m, msg + 19, len - 19);
	assert_int_equal(decode_with(&k, &m, &b, &u), BGP_DECODE_OK);
	check_same(&a, &b);
	assert_int_equal(b.local_pref, s == IBGP || s == CONFED ? 200 : 100);
	/* lists go out sorted */
	assert_int_equal(b.community[0], 0x00010002);
	assert_int_equal(b.community[2], 0xffff0000);
	assert_int_equal(b.large[0].asn, 1);
	assert_int_equal(b.n_nexthop, 1);
	assert_int_equal(b.nexthop->flags & NH_RECURSIVE, s == IBGP ? NH_RECURSIVE : 0);
	assert_int_equal(b.nexthop->ifindex, s == IBGP ? 0 : 3);
	assert_int_equal(bgp_nlri_next(v6 ? &u.reach : &u.nlri, v6 ? 2 : 1, false, &id, &back), 1);
	assert_true(prefix_equal(&n, &back));
	if (v6)
		assert_true(ipaddr_equal(&b.next_hop_ll, &a.next_hop_ll));
}

static void test_round_trip(void **state)
{
	(void)state;
	for (int s = EBGP; s <= CONFED; s++) {
		round_trip((enum session)s, false);
		round_trip((enum session)s, true);
	}
}

static void test_withdraw_and_end_of_rib(void **state)
{
	struct bgp_encode_class ec = {.afi = 2, .safi = 1, .as4 = true, .max_message = 4096};
	struct bgp_update u;
	uint8_t msg[4096], nlri[32];
	struct prefix n = pfx("2001:db8::/32");
	struct bgp_error e;
	size_t len;
	uint16_t afi;
	uint8_t safi;

	(void)state;
	len = bgp_encode_withdraw(&ec, nlri, bgp_encode_nlri(&n, 9, true, nlri), msg, sizeof(msg));
	assert_int_equal(bgp_update_split(msg + 19, len - 19, key_buf, &u, &e), 0);
	assert_true(u.mp_unreach);
	assert_int_equal(u.unreach.len, 9);
	assert_false(bgp_update_is_end_of_rib(&u, &afi, &safi));
	len = bgp_encode_end_of_rib(&ec, msg, sizeof(msg));
	bgp_update_split(msg + 19, len - 19, key_buf, &u, &e);
	assert_true(bgp_update_is_end_of_rib(&u, &afi, &safi));
	assert_int_equal(afi, 2);
	ec.afi = 1;
	len = bgp_encode_end_of_rib(&ec, msg, sizeof(msg));
	assert_int_equal(len, 23);
	bgp_update_split(msg + 19, len - 19, key_buf, &u, &e);
	assert_true(bgp_update_is_end_of_rib(&u, &afi, &safi));
	assert_int_equal(afi, 1);
}

static void test_does_not_fit(void **state)
{
	struct bgp_encode_class ec = {.afi = 1, .safi = 1, .as4 = true, .max_message = 4096};
	static uint32_t comm[20000];
	struct attrs a = rich_attrs();
	static uint8_t buf[70000];

	(void)state;
	a.community = comm;
	a.n_community = 16000;
	assert_int_equal(bgp_encode_attrs(&a, &ec, buf, 4096), 0);
	assert_true(bgp_encode_attrs(&a, &ec, buf, sizeof(buf)) > 64000);
	assert_int_equal(bgp_encode_update(&ec, &a, buf, 64000, NULL, 0, buf, sizeof(buf)), 0);
	assert_int_equal(bgp_encode_withdraw(&ec, buf, 5000, buf, sizeof(buf)), 0);
}

/* ---- RFC 7606 ---- */

/* All attributes of a sound EBGP route; a case replaces or adds one. */
#define ORIGIN "40 01 01 00"
#define PATH "40 02 06 0201 0000fbf0"
#define PATH2 "40 02 04 0201 fbf0"
#define NEXTHOP "40 03 04 c0000201"
#define LPREF "40 05 04 00000064"

struct rule_case {
	const char *name, *attrs;
	enum session session;
	enum { KEEP, DROP /* the attribute */, WITHDRAW } result;
	uint32_t bit; /* of the attribute that is kept or dropped */
};

static const struct rule_case rule_cases[] = {
	{"sound", ORIGIN PATH NEXTHOP, EBGP, KEEP, ATTR_ORIGIN},
	{"origin length", "40 01 02 0000" PATH NEXTHOP, EBGP, WITHDRAW, 0},
	{"origin empty", "40 01 00" PATH NEXTHOP, EBGP, WITHDRAW, 0},
	{"origin value", "40 01 01 03" PATH NEXTHOP, EBGP, WITHDRAW, 0},
	{"origin flags", "c0 01 01 00" PATH NEXTHOP, EBGP, WITHDRAW, 0},
	{"origin missing", PATH NEXTHOP, EBGP, WITHDRAW, 0},
	{"path missing", ORIGIN NEXTHOP, EBGP, WITHDRAW, 0},
	{"next hop missing", ORIGIN PATH, EBGP, WITHDRAW, 0},
	{"path empty is allowed", ORIGIN "40 02 00" NEXTHOP LPREF, IBGP, KEEP, ATTR_AS_PATH},
	{"path segment type", ORIGIN "40 02 06 0501 0000fbf0" NEXTHOP, EBGP, WITHDRAW, 0},
	{"path segment type 0", ORIGIN "40 02 06 0001 0000fbf0" NEXTHOP, EBGP, WITHDRAW, 0},
	{"path segment overrun", ORIGIN "40 02 06 0202 0000fbf0" NEXTHOP, EBGP, WITHDRAW, 0},
	{"path segment underrun", ORIGIN "40 02 07 0201 0000fbf0 02" NEXTHOP, EBGP, WITHDRAW, 0},
	{"path segment empty", ORIGIN "40 02 08 0200 0201 0000fbf0" NEXTHOP, EBGP, WITHDRAW, 0},
	{"path AS 0", ORIGIN "40 02 0a 0202 0000fbf0 00000000" NEXTHOP, EBGP, WITHDRAW, 0},
	{"path AS_SET", ORIGIN "40 02 0c 0201 0000fbf0 0101 00000001" NEXTHOP, EBGP, WITHDRAW, 0},
	{"path confed from outside", ORIGIN "40 02 06 0301 0000fbf0" NEXTHOP, EBGP, WITHDRAW, 0},
	{"path confed inside", ORIGIN "40 02 06 0301 0000fbf0" NEXTHOP LPREF, CONFED, KEEP, ATTR_AS_PATH},
	{"path loop", ORIGIN "40 02 0a 0202 0000fbf0 0000fbf4" NEXTHOP, EBGP, WITHDRAW, 0},
	{"path of 2 octets", ORIGIN PATH2 NEXTHOP, EBGP2, KEEP, ATTR_AS_PATH},
	{"path of 4 octets to a 2-octet session", ORIGIN PATH NEXTHOP, EBGP2, WITHDRAW, 0},
	{"next hop length", ORIGIN PATH "40 03 03 c00002", EBGP, WITHDRAW, 0},
	{"next hop zero", ORIGIN PATH "40 03 04 00000000", EBGP, WITHDRAW, 0},
	{"next hop multicast", ORIGIN PATH "40 03 04 e0000001", EBGP, WITHDRAW, 0},
	{"next hop is ours", ORIGIN PATH "40 03 04 c0000202", EBGP, WITHDRAW, 0},
	{"next hop is another of ours", ORIGIN PATH "40 03 04 c6336463", EBGP, WITHDRAW, 0},
	{"next hop not connected", ORIGIN PATH "40 03 04 08080808", EBGP, WITHDRAW, 0},
	{"next hop on another network", ORIGIN PATH "40 03 04 cb007101", EBGP, KEEP, ATTR_NEXT_HOP},
	{"next hop not connected, recursive", ORIGIN PATH "40 03 04 08080808" LPREF, IBGP, KEEP,
		ATTR_NEXT_HOP},
	{"med", ORIGIN PATH NEXTHOP "80 04 04 00000001", EBGP, KEEP, ATTR_MED},
	{"med length", ORIGIN PATH NEXTHOP "80 04 03 000001", EBGP, WITHDRAW, 0},
	{"med flags", ORIGIN PATH NEXTHOP "c0 04 04 00000001", EBGP, WITHDRAW, 0},
	{"local pref", ORIGIN PATH NEXTHOP LPREF, IBGP, KEEP, ATTR_LOCAL_PREF},
	{"local pref length", ORIGIN PATH NEXTHOP "40 05 05 0000006400", IBGP, WITHDRAW, 0},
	{"local pref length from outside", ORIGIN PATH NEXTHOP "40 05 05 0000006400", EBGP, KEEP,
		ATTR_LOCAL_PREF},
	{"atomic", ORIGIN PATH NEXTHOP "40 06 00", EBGP, KEEP, ATTR_ATOMIC},
	{"atomic length", ORIGIN PATH NEXTHOP "40 06 01 00", EBGP, DROP, ATTR_ATOMIC},
	{"atomic flags", ORIGIN PATH NEXTHOP "c0 06 00", EBGP, WITHDRAW, 0},
	{"aggregator", ORIGIN PATH NEXTHOP "c0 07 08 0000fbf0 01020304", EBGP, KEEP, ATTR_AGGREGATOR},
	{"aggregator length", ORIGIN PATH NEXTHOP "c0 07 06 fbf0 01020304", EBGP, DROP, ATTR_AGGREGATOR},
	{"aggregator AS 0", ORIGIN PATH NEXTHOP "c0 07 08 00000000 01020304", EBGP, DROP, ATTR_AGGREGATOR},
	{"aggregator of 2 octets", ORIGIN PATH2 NEXTHOP "c0 07 06 fbf0 01020304", EBGP2, KEEP,
		ATTR_AGGREGATOR},
	{"aggregator partial bit is no conflict", ORIGIN PATH NEXTHOP "e0 07 08 0000fbf0 01020304", EBGP,
		KEEP, ATTR_AGGREGATOR},
	{"community", ORIGIN PATH NEXTHOP "c0 08 04 00010002", EBGP, KEEP, ATTR_COMMUNITY},
	{"community length", ORIGIN PATH NEXTHOP "c0 08 05 0001000200", EBGP, WITHDRAW, 0},
	{"community empty", ORIGIN PATH NEXTHOP "c0 08 00", EBGP, WITHDRAW, 0},
	{"community flags", ORIGIN PATH NEXTHOP "80 08 04 00010002", EBGP, WITHDRAW, 0},
	{"originator", ORIGIN PATH NEXTHOP LPREF "80 09 04 01020304", IBGP, KEEP, ATTR_ORIGINATOR},
	{"originator is us", ORIGIN PATH NEXTHOP LPREF "80 09 04 0a0000fe", IBGP, WITHDRAW, 0},
	{"originator length", ORIGIN PATH NEXTHOP LPREF "80 09 03 010203", IBGP, WITHDRAW, 0},
	{"originator from outside", ORIGIN PATH NEXTHOP "80 09 03 010203", EBGP, DROP, ATTR_ORIGINATOR},
	{"cluster list", ORIGIN PATH NEXTHOP LPREF "80 0a 04 01020304", IBGP, KEEP, ATTR_CLUSTER_LIST},
	{"cluster list has us", ORIGIN PATH NEXTHOP LPREF "80 0a 08 01020304 0a0000fe", IBGP, WITHDRAW, 0},
	{"cluster list length", ORIGIN PATH NEXTHOP LPREF "80 0a 05 0102030405", IBGP, WITHDRAW, 0},
	{"cluster list empty", ORIGIN PATH NEXTHOP LPREF "80 0a 00", IBGP, WITHDRAW, 0},
	{"cluster list from outside", ORIGIN PATH NEXTHOP "80 0a 05 0102030405", EBGP, DROP,
		ATTR_CLUSTER_LIST},
	{"extended community", ORIGIN PATH NEXTHOP "c0 10 08 0002000100000002", EBGP, KEEP,
		ATTR_EXT_COMMUNITY},
	{"extended community length", ORIGIN PATH NEXTHOP "c0 10 07 00020001000000", EBGP, WITHDRAW, 0},
	{"extended community empty", ORIGIN PATH NEXTHOP "c0 10 00", EBGP, WITHDRAW, 0},
	{"large community", ORIGIN PATH NEXTHOP "c0 20 0c 000000010000000200000003", EBGP, KEEP,
		ATTR_LARGE_COMMUNITY},
	{"large community length", ORIGIN PATH NEXTHOP "c0 20 0b 0000000100000002000000", EBGP, WITHDRAW, 0},
	{"large community empty", ORIGIN PATH NEXTHOP "c0 20 00", EBGP, WITHDRAW, 0},
	{"ipv6 extended community length", ORIGIN PATH NEXTHOP "c0 19 08 0002000100000002", EBGP, WITHDRAW,
		0},
	{"AS4_PATH from a 4-octet speaker", ORIGIN PATH NEXTHOP "c0 11 03 020100", EBGP, KEEP, ATTR_AS_PATH},
	{"AS4_PATH malformed", ORIGIN PATH2 NEXTHOP "c0 11 03 020100", EBGP2, KEEP, ATTR_AS_PATH},
	{"AS4_PATH flags", ORIGIN PATH2 NEXTHOP "40 11 06 02010000fbf0", EBGP2, KEEP, ATTR_AS_PATH},
	{"AS4_AGGREGATOR length", ORIGIN PATH2 NEXTHOP "c0 12 07 00000001010203", EBGP2, KEEP, ATTR_AS_PATH},
	{"AIGP on a session without", ORIGIN PATH NEXTHOP "80 1a 0b 01000b0000000000000001", EBGP, DROP,
		ATTR_AIGP},
	{"OTC", ORIGIN PATH NEXTHOP "c0 23 04 0000fbf0", EBGP, KEEP, ATTR_OTC},
	{"OTC length", ORIGIN PATH NEXTHOP "c0 23 05 0000fbf000", EBGP, WITHDRAW, 0},
	{"OTC of 1024 octets", NULL, EBGP, WITHDRAW, 0}, /* what reset sessions at exchanges in 2025 */
	{"next hop flags", ORIGIN PATH "c0 03 04 c0000201", EBGP, WITHDRAW, 0},
	{"local pref flags", ORIGIN PATH NEXTHOP "c0 05 04 00000064", IBGP, WITHDRAW, 0},
	{"aggregator flags", ORIGIN PATH NEXTHOP "80 07 08 0000fbf0 01020304", EBGP, WITHDRAW, 0},
	{"originator flags", ORIGIN PATH NEXTHOP LPREF "c0 09 04 01020304", IBGP, WITHDRAW, 0},
	{"cluster list flags", ORIGIN PATH NEXTHOP LPREF "c0 0a 04 01020304", IBGP, WITHDRAW, 0},
	{"extended community flags", ORIGIN PATH NEXTHOP "80 10 08 0002000100000002", EBGP, WITHDRAW, 0},
	{"ipv6 extended community flags",
		ORIGIN PATH NEXTHOP "80 19 14 000220010db8000000000000000000000000 0001", EBGP, WITHDRAW, 0},
	{"large community flags", ORIGIN PATH NEXTHOP "80 20 0c 000000010000000200000003", EBGP, WITHDRAW, 0},
	{"OTC flags", ORIGIN PATH NEXTHOP "80 23 04 0000fbf0", EBGP, WITHDRAW, 0},
	{"AS4_AGGREGATOR from a 4-octet speaker", ORIGIN PATH NEXTHOP "c0 12 08 00000001 01020304", EBGP,
		DROP, ATTR_AGGREGATOR},
	{"AS4_AGGREGATOR flags", ORIGIN PATH2 NEXTHOP "40 12 08 00000001 01020304", EBGP2, KEEP,
		ATTR_AS_PATH},
	{"AIGP", ORIGIN PATH NEXTHOP LPREF "80 1a 0b 01000b0000000000000001", IBGP_AIGP, KEEP, ATTR_AIGP},
	{"AIGP flags", ORIGIN PATH NEXTHOP LPREF "c0 1a 0b 01000b0000000000000001", IBGP_AIGP, DROP,
		ATTR_AIGP},
	{"AIGP value", ORIGIN PATH NEXTHOP LPREF "80 1a 01 00", IBGP_AIGP, DROP, ATTR_AIGP},
	{"unknown well-known", ORIGIN PATH NEXTHOP "40 63 01 00", EBGP, WITHDRAW, 0},
	{"unknown optional non-transitive", ORIGIN PATH NEXTHOP "80 63 01 00", EBGP, KEEP, ATTR_ORIGIN},
	{"duplicate: the first counts", ORIGIN PATH NEXTHOP "80 04 04 00000001 80 04 04 00000002", EBGP, KEEP,
		ATTR_MED},
	{"duplicate that is malformed", ORIGIN PATH NEXTHOP "80 04 04 00000001 80 04 01 00", EBGP, KEEP,
		ATTR_MED},
	{"last attribute overruns", ORIGIN PATH NEXTHOP "80 04 09 00000001", EBGP, WITHDRAW, 0},
	{"last attribute has half a header", ORIGIN PATH NEXTHOP "80 04", EBGP, WITHDRAW, 0},
	{"extended length", "50 01 0001 00" PATH NEXTHOP, EBGP, KEEP, ATTR_ORIGIN},
};

/* What a report says, without its numbers. */
static void kind_of(const char *line, char *out, size_t size)
{
	size_t n = 0;

	for (; *line && *line != '\n' && n + 1 < size; line++)
		if (*line == '(')
			line += strcspn(line, ")\n") - 1;
		else if (*line < '0' || *line > '9')
			out[n++] = *line;
	out[n] = 0;
}

static char covered[65536]; /* kinds of reports that the cases bring about, a line each */

static bool is_covered(const char *kind)
{
	char line[300];

	snprintf(line, sizeof(line), "\n%s\n", kind);
	return strstr(covered, line);
}

/* Returns how many kinds are new. head: that is wrong, say which attribute has none. */
static unsigned cover_reports(const char *head)
{
	unsigned n = 0;
	char kind[256];

	if (!covered[0])
		strcpy(covered, "\n");
	for (const char *line = reports; *line; line = strchr(line, '\n') + 1) {
		kind_of(line, kind, sizeof(kind));
		if (is_covered(kind))
			continue;
		if (head)
			print_message("no case for: %.*s (%s)\n", (int)strcspn(line, "\n"), line, head);
		if (strlen(covered) + strlen(kind) + 2 < sizeof(covered))
			strcat(strcat(covered, kind), "\n");
		n++;
	}
	return n;
}

/*
 * Every attribute code with every combination of flags and a few contents, in every kind of session: whatever
 * is reported of it has a case in the table. So an attribute or an error that is added to the decoder without
 * one fails here. After the table was run.
 */
static void test_rfc7606_table_is_whole(void **state)
{
	static const char *const contents[] = {"", "00", "ff", "0000", "000000", "00000000", "ffffffff",
		"0000000000", "000000000000", "0201 00000000", "0901 0000fbf0", "0202 0000fbf0", "0100 0b",
		"01000b00", "0100030100"};
	unsigned missing = 0;

	(void)state;
	for (enum session s = EBGP; s <= IBGP_AIGP; s++)
		for (unsigned code = 1; code < 256; code++)
			for (unsigned flags = 0; flags < 0x100; flags += 0x40)
				for (unsigned i = 0; i < sizeof(contents) / sizeof(*contents); i++) {
					struct bgp_import_class k = class_of(s);
					struct bytes v = {.n = 0}, a = {.n = 0}, m;
					struct bgp_update u;
					struct attrs out;
					char head[32];

					if (code == 14 || code == 15)
						continue; /* taken apart before: session_resets */
					put_hex(&v, contents[i]);
					snprintf(head, sizeof(head), "%02x %02x %02x", flags, code,
						(unsigned)v.n);
					put_hex(&a, head);
					put_hex(&a, contents[i]);
					body(&m, a.b, a.n, "18 c63364");
					decode_with(&k, &m, &out, &u);
					missing += cover_reports(head);
				}
	assert_int_equal(missing, 0);
}

static void test_rfc7606_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rule_cases) / sizeof(*rule_cases); i++) {
		const struct rule_case *c = &rule_cases[i];
		struct bgp_import_class k = class_of(c->session);
		struct bytes a = {.n = 0}, m;
		struct bgp_update u;
		struct attrs out;
		enum bgp_decode_result r;

		if (c->attrs) {
			put_hex(&a, c->attrs);
		} else {
			put_hex(&a, ORIGIN PATH NEXTHOP "d0 23 0400");
			a.n += 1024;
		}
		body(&m, a.b, a.n, "18 c63364");
		r = decode_with(&k, &m, &out, &u);
		if ((r == BGP_DECODE_WITHDRAW) != (c->result == WITHDRAW))
			fail_msg("%s: %s (%s)", c->name,
				r == BGP_DECODE_OK ? "accepted" : "treated as withdrawn", reports);
		if (r == BGP_DECODE_OK && !(out.present & c->bit) != (c->result == DROP))
			fail_msg("%s: attribute %s", c->name, out.present & c->bit ? "kept" : "dropped");
		cover_reports(NULL);
		/* The prefixes are found whatever the attributes are like. */
		assert_int_equal(u.nlri.len, 4);
		if (c->result != KEEP && !strstr(c->name, "loop") && !strstr(c->name, "us") &&
			!u.framing_error)
			assert_true(reports[0]);
	}
}

static void test_duplicate_keeps_first(void **state)
{
	struct bgp_import_class k = class_of(EBGP);
	struct bytes a = {.n = 0}, m;
	struct bgp_update u;
	struct attrs out;

	(void)state;
	put_hex(&a, ORIGIN PATH NEXTHOP "80 04 04 00000001 80 04 04 00000002");
	body(&m, a.b, a.n, "18 c63364");
	assert_int_equal(decode_with(&k, &m, &out, &u), BGP_DECODE_OK);
	assert_int_equal(out.med, 1);
	assert_string_equal(reports, "Discarding duplicate attribute (code 4)\n");
}

static void test_unknown_attributes(void **state)
{
	struct bgp_import_class k = class_of(EBGP);
	struct bytes a = {.n = 0}, m;
	struct bgp_update u;
	struct attrs out;

	(void)state;
	put_hex(&a, ORIGIN PATH NEXTHOP "c0 fe 02 beef 80 64 01 00 c0 63 01 aa");
	body(&m, a.b, a.n, "18 c63364");
	assert_int_equal(decode_with(&k, &m, &out, &u), BGP_DECODE_OK);
	assert_int_equal(out.n_extra, 2); /* the non-transitive one is gone */
	assert_int_equal(out.extra[0].id, ATTR_EXTRA_BGP(0x63));
	assert_int_equal(out.extra[0].flags, BAF_OPTIONAL | BAF_TRANSITIVE | BAF_PARTIAL);
	assert_int_equal(out.extra[1].id, ATTR_EXTRA_BGP(0xfe));
	assert_memory_equal(out.extra[1].data, "\xbe\xef", 2);
}

/* Errors that leave no way to find the prefixes. */
static void test_session_resets(void **state)
{
	static const struct {
		const char *name, *body;
		uint8_t subcode;
	} cases[] = {
		{"withdrawn overruns", "0005 0000", 1},
		{"attributes overrun", "0000 0009 40010100", 1},
		{"no attribute length", "0002 08 0a", 1},
		{"two MP_REACH",
			"0000 0030 800e15 0002 01 10 20010db8000100000000000000000001 00"
			"800e15 0002 01 10 20010db8000100000000000000000001 00",
			1},
		{"two MP_UNREACH", "0000 000c 800f03 000201 800f03 000201", 1},
		{"MP_REACH too short", "0000 0006 800e03 000201", 9},
		{"MP_REACH next hop overruns", "0000 0008 800e05 0002 01 10 00", 9},
		{"MP_UNREACH too short", "0000 0005 800f02 0002", 9},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bytes m = {.n = 0};
		struct bgp_update u;
		struct bgp_error e = {0};

		put_hex(&m, cases[i].body);
		if (bgp_update_split(m.b, m.n, key_buf, &u, &e) == 0)
			fail_msg("%s: accepted", cases[i].name);
		assert_int_equal(e.code, 3);
		assert_int_equal(e.subcode, cases[i].subcode);
	}
}

static void test_mp_next_hops(void **state)
{
	static const struct {
		const char *nh;
		enum bgp_decode_result r;
		const char *gw;
	} cases[] = {
		{"20010db8000100000000000000000001", BGP_DECODE_OK, "2001:db8:1::1"},
		{"20010db8000100000000000000000001 fe800000000000000000000000000001", BGP_DECODE_OK,
			"2001:db8:1::1"},
		{"fe800000000000000000000000000001", BGP_DECODE_OK, "fe80::1"},
		{"00000000000000000000000000000000 fe800000000000000000000000000001", BGP_DECODE_OK,
			"fe80::1"},
		{"fe800000000000000000000000000001 fe800000000000000000000000000001", BGP_DECODE_OK,
			"fe80::1"},
		{"00000000000000000000000000000000", BGP_DECODE_WITHDRAW, NULL},
		{"ff020000000000000000000000000001", BGP_DECODE_WITHDRAW, NULL},
		{"20010db8000100000000000000000002", BGP_DECODE_WITHDRAW, NULL}, /* ours */
		{"20010db8000900000000000000000001", BGP_DECODE_WITHDRAW, NULL}, /* not connected */
		{"00000000000000000000ffffc0000201", BGP_DECODE_WITHDRAW, NULL}, /* IPv4 in disguise */
		{"c0000201", BGP_DECODE_WITHDRAW, NULL},
	};
	struct bgp_import_class k = class_of(EBGP);

	(void)state;
	k.afi = 2;
	k.link = pfx("2001:db8:1::/64");
	k.local_addr = ip("2001:db8:1::2");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bytes nh = {.n = 0}, key = {.n = 0};
		struct bgp_import_context c = {&k, (struct ifaces *)1, note, NULL};
		struct attrs out;

		put_hex(&nh, cases[i].nh);
		put_hex(&key, ORIGIN PATH);
		assert_int_equal(bgp_attrs_decode(&c, (struct bgp_bytes){key.b, key.n},
					 (struct bgp_bytes){nh.b, nh.n}, &scratch, &out),
			cases[i].r);
		if (cases[i].gw) {
			struct ipaddr gw = ip(cases[i].gw);

			assert_true(ipaddr_equal(&out.nexthop->gw, &gw));
			assert_int_equal(out.nexthop->ifindex, 3);
		}
	}
}

/* RFC 8950 */
static void test_extended_next_hop(void **state)
{
	struct bgp_import_class k = class_of(EBGP);
	struct bytes nh = {.n = 0}, key = {.n = 0};
	struct bgp_import_context c = {&k, NULL, note, NULL};
	struct attrs out;
	struct bgp_bytes kb, nb;

	(void)state;
	k.link = pfx("2001:db8:1::/64");
	put_hex(&nh, "20010db8000100000000000000000001");
	put_hex(&key, ORIGIN PATH);
	kb = (struct bgp_bytes){key.b, key.n};
	nb = (struct bgp_bytes){nh.b, nh.n};
	assert_int_equal(bgp_attrs_decode(&c, kb, nb, &scratch, &out), BGP_DECODE_WITHDRAW);
	k.extended_next_hop = true;
	assert_int_equal(bgp_attrs_decode(&c, kb, nb, &scratch, &out), BGP_DECODE_OK);
}

/* ---- paths ---- */

static void test_as4_merge(void **state)
{
	static const struct {
		const char *path, *as4, *aggregator, *want; /* want: 4-octet wire form */
	} cases[] = {
		/* 64496 AS_TRANS 3356 + 4200000001 3356 -> 64496 4200000001 3356 */
		{"0203 fbf0 5ba0 0d1c", "0202 fa56ea01 00000d1c", "", "0201 0000fbf0 0202 fa56ea01 00000d1c"},
		/* AS4_PATH longer than AS_PATH: ignored */
		{"0201 5ba0", "0202 fa56ea01 00000d1c", "", "0201 00005ba0"},
		/* equal lengths: replaces all */
		{"0202 5ba0 0d1c", "0202 fa56ea01 00000d1c", "", "0202 fa56ea01 00000d1c"},
		/* confederation segments in AS4_PATH are dropped */
		{"0202 5ba0 0d1c", "0301 00000001 0202 fa56ea01 00000d1c", "", "0202 fa56ea01 00000d1c"},
		/* an old speaker aggregated later: both are ignored */
		{"0202 5ba0 0d1c", "0202 fa56ea01 00000d1c", "c0 07 06 fbf0 01020304",
			"0202 00005ba0 00000d1c"},
	};
	struct bgp_import_class k = class_of(EBGP2);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bytes a = {.n = 0}, p = {.n = 0}, q = {.n = 0}, want = {.n = 0}, m;
		struct bgp_update u;
		struct attrs out;
		char head[16];

		put_hex(&p, cases[i].path);
		put_hex(&q, cases[i].as4);
		put_hex(&want, cases[i].want);
		put_hex(&a, ORIGIN NEXTHOP);
		snprintf(head, sizeof(head), "4002%02x", (unsigned)p.n);
		put_hex(&a, head);
		put_bytes(&a, p.b, p.n);
		put_hex(&a, cases[i].aggregator);
		snprintf(head, sizeof(head), "c011%02x", (unsigned)q.n);
		put_hex(&a, head);
		put_bytes(&a, q.b, q.n);
		body(&m, a.b, a.n, "18 c63364");
		assert_int_equal(decode_with(&k, &m, &out, &u), BGP_DECODE_OK);
		assert_int_equal(out.as_path_bytes, want.n);
		assert_memory_equal(out.as_path, want.b, want.n);
	}
}

static void test_narrow_session_gets_as_trans(void **state)
{
	struct bgp_encode_class ec = {.afi = 1, .safi = 1, .as4 = false, .max_message = 4096};
	struct attrs a = rich_attrs();
	uint8_t buf[4096];
	size_t n = bgp_encode_attrs(&a, &ec, buf, sizeof(buf));
	bool as4_path = false, as4_aggregator = false;

	(void)state;
	for (uint8_t *p = buf; p < buf + n; p += 3 + p[2]) {
		assert_false(p[0] & BAF_EXT_LEN);
		if (p[1] == BA_AS_PATH)
			assert_int_equal(get_u16(p + 3 + 2 + 2), AS_TRANS);
		as4_path |= p[1] == BA_AS4_PATH;
		as4_aggregator |= p[1] == BA_AS4_AGGREGATOR;
	}
	assert_true(as4_path && as4_aggregator);
}

/* A path that fills an extended message: 16000 numbers, in and out again. */
static void test_huge_path(void **state)
{
	struct bgp_import_class k = class_of(EBGP);
	struct bgp_encode_class ec = {.afi = 1, .safi = 1, .as4 = true, .max_message = 65535};
	static struct bytes a, m;
	static uint8_t out_buf[70000];
	struct bgp_update u;
	struct attrs out;
	size_t path = 0;
	uint8_t len[2];

	(void)state;
	a.n = 0;
	put_hex(&a, ORIGIN NEXTHOP "50 02 0000");
	for (unsigned i = 0; i < 63; i++) {
		put_hex(&a, "02ff");
		for (unsigned j = 0; j < 255; j++)
			put_hex(&a, "0000fbf0");
		path += 2 + 4 * 255;
	}
	put_u16(len, (uint16_t)path);
	memcpy(a.b + 11 + 2, len, 2);
	body(&m, a.b, a.n, "18 c63364");
	assert_int_equal(decode_with(&k, &m, &out, &u), BGP_DECODE_OK);
	assert_int_equal(out.as_path_bytes, path);
	assert_int_equal(as_path_length(out.as_path, out.as_path_bytes), 63 * 255);
	assert_true(bgp_encode_attrs(&out, &ec, out_buf, sizeof(out_buf)) > path);
	ec.max_message = 4096;
	assert_int_equal(bgp_encode_attrs(&out, &ec, out_buf, 4096), 0);
}

/* ---- roles ---- */

static void test_otc_import(void **state)
{
	static const struct {
		int8_t role;
		const char *otc;
		enum bgp_decode_result r;
		uint32_t result;
	} cases[] = {
		{BGP_ROLE_PROVIDER, "", BGP_DECODE_OK, 0},
		{BGP_ROLE_PROVIDER, "c0 23 04 00000001", BGP_DECODE_WITHDRAW, 0},
		{BGP_ROLE_RS_SERVER, "c0 23 04 00000001", BGP_DECODE_WITHDRAW, 0},
		{BGP_ROLE_PEER, "c0 23 04 00000001", BGP_DECODE_WITHDRAW, 0},
		{BGP_ROLE_PEER, "c0 23 04 0000fbf0", BGP_DECODE_OK, 64496},
		{BGP_ROLE_PEER, "", BGP_DECODE_OK, 64496},
		{BGP_ROLE_CUSTOMER, "", BGP_DECODE_OK, 64496},
		{BGP_ROLE_CUSTOMER, "c0 23 04 00000001", BGP_DECODE_OK, 1},
		{BGP_ROLE_RS_CLIENT, "", BGP_DECODE_OK, 64496},
		{BGP_ROLE_NONE, "", BGP_DECODE_OK, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bgp_import_class k = class_of(EBGP);
		struct bytes a = {.n = 0}, m;
		struct bgp_update u;
		struct attrs out;

		k.role = cases[i].role;
		put_hex(&a, ORIGIN PATH NEXTHOP);
		put_hex(&a, cases[i].otc);
		body(&m, a.b, a.n, "18 c63364");
		assert_int_equal(decode_with(&k, &m, &out, &u), cases[i].r);
		if (cases[i].r != BGP_DECODE_OK)
			continue;
		assert_int_equal(!!(out.present & ATTR_OTC), !!cases[i].result);
		assert_int_equal(out.otc, cases[i].result);
	}
}

/* RFC 8326, received: whatever LOCAL_PREF it has, and only from outside. */
static void test_graceful_shutdown(void **state)
{
	static const struct {
		bool all, receive, internal;
		const char *more;
		uint32_t local_pref;
	} cases[] = {
		{false, false, false, "c0 08 04 ffff0000", 100},
		{false, true, false, "c0 08 04 ffff0000", 0},
		{false, true, false, "c0 08 08 fbf00007 ffff0000", 0},
		{false, true, false, "c0 08 04 ffff0001", 100},
		{false, true, false, "", 100},
		{true, false, false, "", 0},
		{true, true, true, "40 05 04 00000096 c0 08 04 ffff0000", 150},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bgp_import_class k = class_of(cases[i].internal ? IBGP : EBGP);
		struct bytes a = {.n = 0}, m;
		struct bgp_update u;
		struct attrs out;

		k.default_local_pref = 100;
		k.graceful_shutdown = cases[i].all;
		k.graceful_shutdown_receive = cases[i].receive;
		put_hex(&a, ORIGIN PATH NEXTHOP);
		put_hex(&a, cases[i].more);
		body(&m, a.b, a.n, "18 c63364");
		assert_int_equal(decode_with(&k, &m, &out, &u), BGP_DECODE_OK);
		assert_int_equal(out.local_pref, cases[i].local_pref);
	}
}

static void test_policy_options(void **state)
{
	struct bgp_import_class k = class_of(EBGP);
	struct bytes a = {.n = 0}, m;
	struct bgp_update u;
	struct attrs out;

	(void)state;
	put_hex(&a, ORIGIN "40 02 0c 0201 0000fbf0 0101 00000001" NEXTHOP LPREF);
	body(&m, a.b, a.n, "18 c63364");
	k.allow_as_sets = true;
	assert_int_equal(decode_with(&k, &m, &out, &u), BGP_DECODE_OK);
	k.enforce_first_as = true;
	assert_int_equal(decode_with(&k, &m, &out, &u), BGP_DECODE_OK);
	k.remote_as = 1;
	assert_int_equal(decode_with(&k, &m, &out, &u), BGP_DECODE_WITHDRAW);
	k.enforce_first_as = false;
	k.local_as = k.public_as = 64496;
	assert_int_equal(decode_with(&k, &m, &out, &u), BGP_DECODE_WITHDRAW);
	k.allow_local_as = 1;
	assert_int_equal(decode_with(&k, &m, &out, &u), BGP_DECODE_OK);
	k.allow_local_as = UINT32_MAX;
	assert_int_equal(decode_with(&k, &m, &out, &u), BGP_DECODE_OK);
	k.allow_local_pref = true;
	k.default_local_pref = 7;
	assert_int_equal(decode_with(&k, &m, &out, &u), BGP_DECODE_OK);
	assert_int_equal(out.local_pref, 100);
}

/* ---- prefixes ---- */

static void test_nlri(void **state)
{
	static const struct {
		const char *bytes;
		uint8_t afi;
		bool add_path;
		int result;
		const char *prefix;
		uint32_t id;
	} cases[] = {
		{"00", 1, false, 1, "0.0.0.0/0", 0},
		{"08 0a", 1, false, 1, "10.0.0.0/8", 0},
		{"09 0aff", 1, false, 1, "10.128.0.0/9", 0}, /* bits beyond the length are nothing */
		{"20 c0000201", 1, false, 1, "192.0.2.1/32", 0},
		{"21 c000020100", 1, false, -EBADMSG, NULL, 0},
		{"18 c000", 1, false, -EBADMSG, NULL, 0},
		{"00000007 18 c00002", 1, true, 1, "192.0.2.0/24", 7},
		{"00000007", 1, true, -EBADMSG, NULL, 0},
		{"20 20010db8", 2, false, 1, "2001:db8::/32", 0},
		{"81 00", 2, false, -EBADMSG, NULL, 0},
		{"", 1, false, 0, NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bytes m = {.n = 0};
		struct bgp_bytes b;
		struct prefix p;
		uint32_t id;

		put_hex(&m, cases[i].bytes);
		b = (struct bgp_bytes){m.b, m.n};
		assert_int_equal(
			bgp_nlri_next(&b, cases[i].afi, cases[i].add_path, &id, &p), cases[i].result);
		if (cases[i].result == 1) {
			struct prefix want = pfx(cases[i].prefix);

			assert_true(prefix_equal(&p, &want));
			assert_int_equal(id, cases[i].id);
			assert_int_equal(b.len, 0);
		}
	}
}

static void test_usable_prefixes(void **state)
{
	static const char *const good[] = {"0.0.0.0/0", "10.0.0.0/8", "223.255.255.0/24", "::/0",
		"2001:db8::/32", "64:ff9b::/96", "2000::/3"};
	static const char *const bad[] = {"127.0.0.0/8", "127.1.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
		"255.255.255.255/32", "::1/128", "fe80::/10", "fe80::1/128", "ff00::/8"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct prefix p = pfx(good[i]);

		assert_true(bgp_prefix_is_usable(&p));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct prefix p = pfx(bad[i]);

		assert_false(bgp_prefix_is_usable(&p));
	}
}

/* The key is what the attributes mean, whatever the prefixes in between. */
static void test_key_leaves_nlri_out(void **state)
{
	struct bytes a = {.n = 0}, b = {.n = 0}, ma, mb;
	struct bgp_update ua, ub;
	struct bgp_error e;
	static uint8_t other[70000];

	(void)state;
	put_hex(&a, ORIGIN "80 0e 1a 0002 01 10 20010db8000100000000000000000001 00 20 20010db8" PATH);
	put_hex(&b, ORIGIN "80 0e 19 0002 01 10 20010db8000100000000000000000001 00 18 200100" PATH
			   "80 0f 03 0002 01");
	body(&ma, a.b, a.n, "");
	body(&mb, b.b, b.n, "");
	assert_int_equal(bgp_update_split(ma.b, ma.n, key_buf, &ua, &e), 0);
	assert_int_equal(bgp_update_split(mb.b, mb.n, other, &ub, &e), 0);
	assert_int_equal(ua.key.len, ub.key.len);
	assert_memory_equal(ua.key.p, ub.key.p, ua.key.len);
	assert_int_equal(ua.reach.len, 5);
	assert_int_equal(ub.reach.len, 4);
	assert_int_equal(ua.next_hop.len, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_withdraw_and_end_of_rib),
		cmocka_unit_test(test_does_not_fit),
		cmocka_unit_test(test_rfc7606_table),
		cmocka_unit_test(test_rfc7606_table_is_whole),
		cmocka_unit_test(test_duplicate_keeps_first),
		cmocka_unit_test(test_unknown_attributes),
		cmocka_unit_test(test_session_resets),
		cmocka_unit_test(test_mp_next_hops),
		cmocka_unit_test(test_extended_next_hop),
		cmocka_unit_test(test_as4_merge),
		cmocka_unit_test(test_narrow_session_gets_as_trans),
		cmocka_unit_test(test_huge_path),
		cmocka_unit_test(test_otc_import),
		cmocka_unit_test(test_graceful_shutdown),
		cmocka_unit_test(test_policy_options),
		cmocka_unit_test(test_nlri),
		cmocka_unit_test(test_usable_prefixes),
		cmocka_unit_test(test_key_leaves_nlri_out),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	bgp_decode_scratch_free(&scratch);
	return rc;
}
