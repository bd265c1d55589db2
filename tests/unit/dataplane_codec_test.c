/* SPDX-License-Identifier: BSD-2-Clause */
/* What goes over wires and sockets byte by byte: ARP, neighbour discovery, FRR's data plane protocol. */
#include "dataplane/bfddp.h"
#include "dataplane/neigh_packet.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb};

static struct ipaddr ip(const char *text)
{
	struct ipaddr a;

	assert_int_equal(ipaddr_parse(text, &a), 0);
	return a;
}

static void arp(void **state)
{
	/* RFC 826, as any capture shows it: who has 192.0.2.1, tell 192.0.2.2. */
	static const uint8_t question[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0xa, 8, 6, 0,
		1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0xa, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1};
	struct ipaddr a = ip("192.0.2.2"), b = ip("192.0.2.1");
	struct neigh_packet p;
	uint8_t f[128];
	uint16_t len = neigh_packet_request(f, mac_a, &a, &b);

	assert_int_equal(len, 60); /* the least an Ethernet frame may have without its checksum */
	assert_memory_equal(f, question, sizeof(question));
	assert_int_equal(neigh_packet_parse(f, len, &p), 0);
	assert_true(p.request && p.has_mac && !p.v6);
	assert_true(ipaddr_equal(&p.sender, &a) && ipaddr_equal(&p.target, &b));

	len = neigh_packet_reply(f, mac_b, &b, mac_a, &a);
	assert_memory_equal(f, mac_a, 6);
	assert_int_equal(neigh_packet_parse(f, len, &p), 0);
	assert_false(p.request);
	assert_true(ipaddr_equal(&p.sender, &b));
	assert_memory_equal(p.sender_mac, mac_b, 6);

	for (uint16_t cut = 0; cut < 42; cut++)
		assert_int_equal(neigh_packet_parse(f, cut, &p), -EINVAL);
	f[21] = 3; /* RARP */
	assert_int_equal(neigh_packet_parse(f, len, &p), -EINVAL);
}

static void neighbour_discovery(void **state)
{
	struct ipaddr a = ip("2001:db8::2"), b = ip("2001:db8::1:2345");
	static const uint8_t group[6] = {0x33, 0x33, 0xff, 0x01, 0x23, 0x45};
	struct neigh_packet p;
	uint8_t f[128];
	uint16_t len = neigh_packet_request(f, mac_a, &a, &b);

	assert_int_equal(len, 86);
	assert_memory_equal(f, group, 6);
	assert_int_equal(f[14 + 7], 255);
	assert_int_equal(neigh_packet_parse(f, len, &p), 0);
	assert_true(p.v6 && p.request && p.has_mac);
	assert_true(ipaddr_equal(&p.target, &b) && ipaddr_equal(&p.sender, &a));
	assert_memory_equal(p.sender_mac, mac_a, 6);

	len = neigh_packet_reply(f, mac_b, &b, mac_a, &a);
	assert_memory_equal(f, mac_a, 6);
	assert_int_equal(neigh_packet_parse(f, len, &p), 0);
	assert_false(p.request);
	assert_true(ipaddr_equal(&p.sender, &b));
	assert_memory_equal(p.sender_mac, mac_b, 6);

	/* RFC 4861 section 7.1: hop limit 255 and a right checksum, else it is not from this link or not
	 * whole. */
	f[14 + 7] = 254;
	assert_int_equal(neigh_packet_parse(f, len, &p), -EINVAL);
	f[14 + 7] = 255;
	f[len - 1] ^= 1;
	assert_int_equal(neigh_packet_parse(f, len, &p), -EINVAL);
	f[len - 1] ^= 1;
	for (uint16_t cut = 0; cut < len; cut++)
		assert_int_equal(neigh_packet_parse(f, cut, &p), -EINVAL);
}

static void vlan_tags(void **state)
{
	const struct ipaddr a = ipaddr_v4(htonl(0xc0000201)), b = ipaddr_v4(htonl(0xc0000202));
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 10};
	uint8_t f[132], plain[132];
	struct neigh_packet p;
	uint16_t len = neigh_packet_request(plain, mac, &a, &b), tagged;

	memcpy(f, plain, len);
	assert_int_equal(neigh_packet_untag(f, &len), 0);
	assert_int_equal(neigh_packet_tag(f, len, 0), len);
	assert_memory_equal(f, plain, len);
	tagged = neigh_packet_tag(f, len, 4094);
	assert_int_equal(tagged, len + 4);
	assert_memory_equal(f + 12, "\x81\x00\x0f\xfe\x08\x06", 6);
	assert_int_equal(neigh_packet_parse(f, tagged, &p), -EINVAL);
	f[14] |= 0xe0; /* the priority is no part of the number */
	assert_int_equal(neigh_packet_untag(f, &tagged), 4094);
	assert_int_equal(tagged, len);
	assert_memory_equal(f, plain, len);
	tagged = 17; /* too short to be tagged */
	memcpy(f + 12, "\x81\x00", 2);
	assert_int_equal(neigh_packet_untag(f, &tagged), 0);
	assert_int_equal(tagged, 17);
}

static void bfddp_session(void **state)
{
	uint8_t m[BFDDP_SESSION] = {1, 0, 0, 2, 0, 0, 0, BFDDP_SESSION};
	struct bfddp_header h;
	struct bfddp_session s;
	struct ipaddr a;

	m[8 + 3] = BFDDP_CBIT | BFDDP_PASSIVE;
	memcpy(m + 8 + 4, (uint8_t[]){192, 0, 2, 2}, 4);
	memcpy(m + 8 + 20, (uint8_t[]){192, 0, 2, 1}, 4);
	memcpy(m + 8 + 36, (uint8_t[]){0xde, 0xad, 0xbe, 0xef}, 4);
	memcpy(m + 8 + 40, (uint8_t[]){0, 0, 0x27, 0x10}, 4); /* 10,000 us */
	memcpy(m + 8 + 44, (uint8_t[]){0, 0, 0x4e, 0x20}, 4);
	m[8 + 60] = 255;
	m[8 + 61] = 3;
	m[8 + 67] = 7;
	memcpy(m + 8 + 68, "eth0", 5);
	assert_int_equal(bfddp_frame(m, sizeof(m), &h), BFDDP_SESSION);
	assert_int_equal(h.type, BFDDP_ADD_SESSION);
	assert_int_equal(bfddp_parse_session(m + 8, sizeof(m) - 8, &s), 0);
	assert_int_equal(s.flags, BFDDP_CBIT | BFDDP_PASSIVE);
	a = ip("192.0.2.2");
	assert_true(ipaddr_equal(&s.src, &a));
	a = ip("192.0.2.1");
	assert_true(ipaddr_equal(&s.dst, &a));
	assert_int_equal(s.lid, 0xdeadbeef);
	assert_int_equal(s.min_tx_us, 10000);
	assert_int_equal(s.min_rx_us, 20000);
	assert_int_equal(s.ttl, 255);
	assert_int_equal(s.detect_mult, 3);
	assert_int_equal(s.ifindex, 7);
	assert_string_equal(s.ifname, "eth0");

	memset(m + 8 + 4, 0, 16); /* the local address may be unknown */
	assert_int_equal(bfddp_parse_session(m + 8, sizeof(m) - 8, &s), 0);
	assert_true(ipaddr_is_zero(&s.src));
	memset(m + 8 + 20, 0, 16); /* the remote one may not */
	assert_int_equal(bfddp_parse_session(m + 8, sizeof(m) - 8, &s), -EPROTO);
	m[8 + 20] = 0x20;
	m[8 + 3] |= BFDDP_IPV6;
	memset(m + 8 + 68, 'x', 64); /* longer than any interface's name: none */
	assert_int_equal(bfddp_parse_session(m + 8, sizeof(m) - 8, &s), 0);
	assert_false(ipaddr_is_v4(&s.dst));
	assert_string_equal(s.ifname, "");
	assert_int_equal(bfddp_parse_session(m + 8, sizeof(m) - 9, &s), -EPROTO);
}

static void bfddp_framing(void **state)
{
	uint8_t m[] = {1, 0, 0, 5, 0, 9, 0, 12, 1, 2, 3, 4, 0xff};
	struct bfddp_header h;
	uint32_t lid;

	for (size_t n = 0; n < 12; n++)
		assert_int_equal(bfddp_frame(m, n, &h), 0);
	assert_int_equal(bfddp_frame(m, sizeof(m), &h), 12);
	assert_int_equal(h.type, BFDDP_REQUEST_COUNTERS);
	assert_int_equal(h.id, 9);
	assert_int_equal(bfddp_parse_lid(m + 8, 4, &lid), 0);
	assert_int_equal(lid, 0x01020304);
	assert_int_equal(bfddp_parse_lid(m + 8, 3, &lid), -EPROTO);
	m[7] = 7; /* shorter than its header: a reader that believed it would never get on */
	assert_int_equal(bfddp_frame(m, sizeof(m), &h), -EPROTO);
	m[7] = 0;
	assert_int_equal(bfddp_frame(m, sizeof(m), &h), -EPROTO);
	m[6] = 0xff;
	assert_int_equal(bfddp_frame(m, sizeof(m), &h), -EPROTO);
	m[6] = 0, m[7] = 12, m[0] = 2;
	assert_int_equal(bfddp_frame(m, sizeof(m), &h), -EPROTO);
}

static void bfddp_answers(void **state)
{
	struct bfddp_state s = {.lid = 0x01020304,
		.rid = 0x05060708,
		.remote_flags = 1,
		.min_tx_us = 10000,
		.min_rx_us = 20000,
		.min_echo_rx_us = 50000,
		.state = 3,
		.diag = 7,
		.detect_mult = 5};
	static const uint8_t want[BFDDP_STATE] = {1, 0, 0, 4, 0, 0, 0, 36, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1,
		0, 0, 0x27, 0x10, 0, 0, 0x4e, 0x20, 0, 0, 0xc3, 0x50, 3, 7, 5, 0};
	struct bfddp_counters c = {
		.rx_bytes = 1, .rx_packets = 2, .tx_bytes = 3, .tx_packets = 4, .echo_tx_packets = 8};
	uint8_t m[128];

	assert_int_equal(bfddp_build_state(m, &s), BFDDP_STATE);
	assert_memory_equal(m, want, BFDDP_STATE);
	assert_int_equal(bfddp_build_counters(m, 0x0102, 0x0a0b0c0d, &c), BFDDP_COUNTERS);
	assert_memory_equal(m, ((uint8_t[]){1, 0, 0, 6, 1, 2, 0, 80, 0xa, 0xb, 0xc, 0xd, 0, 0, 0, 0}), 16);
	for (unsigned i = 0; i < 4; i++) /* eight bytes each, after four of padding */
		assert_int_equal(m[16 + 8 * i + 7], i + 1);
	assert_int_equal(m[16 + 8 * 7 + 7], 8);
	assert_int_equal(bfddp_build_echo(m, BFDDP_ECHO_REPLY, 0, 0x1122334455667788, 9), BFDDP_ECHO);
	assert_memory_equal(m,
		((uint8_t[]){1, 0, 0, 1, 0, 0, 0, 24, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88}), 16);
	assert_int_equal(m[23], 9);
}

static void bfddp_addresses(void **state)
{
	struct sockaddr_storage ss;
	socklen_t len;

	assert_int_equal(bfddp_parse_address("unix:/run/frr/bfdd_dplane.sock", &ss, &len), 0);
	assert_string_equal(((struct sockaddr_un *)&ss)->sun_path, "/run/frr/bfdd_dplane.sock");
	assert_int_equal(bfddp_parse_address("ipv4:127.0.0.1", &ss, &len), 0);
	assert_int_equal(ntohs(((struct sockaddr_in *)&ss)->sin_port), BFDDP_PORT);
	assert_int_equal(bfddp_parse_address("ipv4:127.0.0.1:4000", &ss, &len), 0);
	assert_int_equal(ntohs(((struct sockaddr_in *)&ss)->sin_port), 4000);
	assert_int_equal(bfddp_parse_address("ipv6:[::1]:4000", &ss, &len), 0);
	assert_int_equal(ss.ss_family, AF_INET6);
	assert_int_equal(ntohs(((struct sockaddr_in6 *)&ss)->sin6_port), 4000);
	assert_int_equal(bfddp_parse_address("unix:", &ss, &len), -EINVAL);
	assert_int_equal(bfddp_parse_address("ipv4:localhost", &ss, &len), -EINVAL);
	assert_int_equal(bfddp_parse_address("ipv4:127.0.0.1:0", &ss, &len), -EINVAL);
	assert_int_equal(bfddp_parse_address("ipv6:[::1", &ss, &len), -EINVAL);
	assert_int_equal(bfddp_parse_address("/run/x", &ss, &len), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arp),
		cmocka_unit_test(neighbour_discovery),
		cmocka_unit_test(vlan_tags),
		cmocka_unit_test(bfddp_session),
		cmocka_unit_test(bfddp_framing),
		cmocka_unit_test(bfddp_answers),
		cmocka_unit_test(bfddp_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
