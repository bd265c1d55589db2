/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes: control packets, authentication sections, frames. */
#include "bfd/auth.h"
#include "bfd/frame.h"
#include "bfd/packet.h"
#include <errno.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t valid[BFD_PACKET_LEN] = {0x20 | 5, BFD_UP << 6 | BFD_FLAG_CPI, 3, 24, 1, 2, 3, 4, 5, 6,
	7, 8, 0, 0, 0x27, 0x10, 0, 0, 0x4e, 0x20, 0, 0, 0, 50};

static void test_parse_and_build(void **state)
{
	struct bfd_packet p;
	uint8_t out[BFD_PACKET_LEN];

	assert_int_equal(bfd_packet_parse(valid, sizeof(valid), &p), 0);
	assert_int_equal(p.diag, 5);
	assert_int_equal(p.state, BFD_UP);
	assert_int_equal(p.flags, BFD_FLAG_CPI);
	assert_int_equal(p.detect_mult, 3);
	assert_int_equal(p.my_disc, 0x01020304);
	assert_int_equal(p.your_disc, 0x05060708);
	assert_int_equal(p.min_tx_us, 10000);
	assert_int_equal(p.min_rx_us, 20000);
	assert_int_equal(p.min_echo_rx_us, 50);
	bfd_packet_build(&p, out);
	assert_memory_equal(out, valid, sizeof(valid));
}

/* Each rule of section 6.8.6 that needs no session, broken alone. */
static void test_parse_refuses(void **state)
{
	static const struct {
		const char *what;
		unsigned offset;
		uint8_t value;
		size_t len;
		int result;
	} cases[] = {
		{"as is", 3, 24, 24, 0},
		{"longer payload", 3, 24, 100, 0},
		{"short", 3, 24, 23, -EINVAL},
		{"empty", 3, 24, 0, -EINVAL},
		{"version 0", 0, 0x05, 24, -EINVAL},
		{"version 2", 0, 0x45, 24, -EINVAL},
		{"length 23", 3, 23, 24, -EINVAL},
		{"length past the payload", 3, 25, 24, -EINVAL},
		{"length with trailing bytes", 3, 25, 25, 0},
		{"multiplier 0", 2, 0, 24, -EINVAL},
		{"multipoint", 1, BFD_UP << 6 | BFD_FLAG_MULTIPOINT, 24, -EINVAL},
		{"authentication without room", 1, BFD_UP << 6 | BFD_FLAG_AUTH, 24, -EINVAL},
		{"poll", 1, BFD_UP << 6 | BFD_FLAG_POLL, 24, 0},
		{"poll and final", 1, BFD_UP << 6 | BFD_FLAG_POLL | BFD_FLAG_FINAL, 24, -EINVAL},
	};
	uint8_t b[128];
	struct bfd_packet p;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		memset(b, 0, sizeof(b));
		memcpy(b, valid, sizeof(valid));
		b[cases[i].offset] = cases[i].value;
		if (bfd_packet_parse(b, cases[i].len, &p) != cases[i].result)
			fail_msg("%s", cases[i].what);
	}
	memcpy(b, valid, sizeof(valid));
	memset(b + 4, 0, 4);
	assert_int_equal(bfd_packet_parse(b, 24, &p), -EINVAL); /* My Discriminator */
	for (uint8_t st = 0; st < 4; st++) {
		memcpy(b, valid, sizeof(valid));
		memset(b + 8, 0, 4);
		b[1] = (uint8_t)(st << 6);
		assert_int_equal(
			bfd_packet_parse(b, 24, &p), st == BFD_DOWN || st == BFD_ADMIN_DOWN ? 0 : -EINVAL);
	}
	/* A bit set: 26 is the least. */
	memcpy(b, valid, sizeof(valid));
	b[1] |= BFD_FLAG_AUTH;
	b[3] = 25;
	assert_int_equal(bfd_packet_parse(b, 30, &p), -EINVAL);
	b[3] = 26;
	assert_int_equal(bfd_packet_parse(b, 30, &p), 0);
}

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned v;
		sscanf(hex + 2 * i, "%2x", &v);
		out[i] = (uint8_t)v;
	}
	return n;
}

static struct bfd_params auth_params(uint8_t type, uint8_t id, const char *secret)
{
	struct bfd_params p = {.auth_type = type};

	p.auth[0].id = id;
	p.auth[0].len = (uint8_t)strlen(secret);
	memcpy(p.auth[0].secret, secret, strlen(secret));
	p.auth[0].send = p.auth[0].accept = true;
	return p;
}

/* Packets that BIRD 2.0.12 put on the wire: key 7, "secretKey". */
static const struct {
	uint8_t type;
	const char *hex;
} bird[] = {
	{BFD_AUTH_SIMPLE, "20440324b218942600000000000f42400000c35000000000010c077365637265744b6579"},
	{BFD_AUTH_KEYED_MD5,
		"2044033054c55a7f00000000000f42400000c350000000000218070033eccf6fce52975160fcd5ba1c4a041d"
		"e650ca9e"},
	{BFD_AUTH_METICULOUS_MD5,
		"20440330d230cd7300000000000f42400000c350000000000318070087a055e4a19e33a0d4ee9b35aacfac88"
		"c7b9e05f"},
	{BFD_AUTH_KEYED_SHA1,
		"20440334039b1b8900000000000f42400000c35000000000041c07006974cb4057395bdf1370a357dc76dd19"
		"57dd331d770251d9"},
	{BFD_AUTH_METICULOUS_SHA1,
		"20440334830550ed00000000000f42400000c35000000000051c0700e5494160d062c14c07ab6f3c77c46491"
		"73905aee8c36be70"},
};

static void test_auth_interop(void **state)
{
	for (size_t i = 0; i < sizeof(bird) / sizeof(*bird); i++) {
		struct bfd_params p = auth_params(bird[i].type, 7, "secretKey");
		struct bfd_auth_rx st = {0};
		struct bfd_packet pkt;
		uint8_t b[64], mine[BFD_PACKET_MAX];
		size_t len = unhex(bird[i].hex, b);

		assert_int_equal(bfd_packet_parse(b, len, &pkt), 0);
		assert_int_equal(bfd_auth_verify(&p, b, &pkt, &st), 0);
		assert_int_equal(st.known, bird[i].type != BFD_AUTH_SIMPLE);
		/* We would have sent the very same bytes. */
		memcpy(mine, b, BFD_PACKET_LEN);
		mine[1] &= (uint8_t)~BFD_FLAG_AUTH;
		assert_int_equal(bfd_auth_len(&p), len - BFD_PACKET_LEN);
		assert_int_equal(bfd_auth_sign(&p, st.seq, mine), len);
		assert_memory_equal(mine, b, len);
		/* Every single bit matters. */
		for (size_t bit = 0; bit < len * 8; bit++) {
			b[bit / 8] ^= (uint8_t)(1 << bit % 8);
			struct bfd_auth_rx fresh = {0};
			bool mandatory = bit < BFD_PACKET_LEN * 8, simple = bird[i].type == BFD_AUTH_SIMPLE;
			/* A password protects nothing but itself; the reserved byte is covered by the digests
			 * only. */
			if (bfd_packet_parse(b, len, &pkt) == 0 && !(simple && mandatory))
				assert_int_equal(bfd_auth_verify(&p, b, &pkt, &fresh), -EACCES);
			assert_false(!simple && fresh.known);
			b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

/* The digests computed by another road: EVP over the packet with the key in the place of the digest. */
static void test_auth_against_evp(void **state)
{
	for (uint8_t type = BFD_AUTH_KEYED_MD5; type <= BFD_AUTH_METICULOUS_SHA1; type++) {
		bool md5 = type <= BFD_AUTH_METICULOUS_MD5;
		unsigned dlen = md5 ? 16 : 20, elen;
		for (unsigned klen = 1; klen <= dlen; klen++) {
			struct bfd_params p = auth_params(type, 200, "");
			uint8_t b[BFD_PACKET_MAX], copy[BFD_PACKET_MAX], want[64];
			p.auth[0].len = (uint8_t)klen;
			for (unsigned i = 0; i < klen; i++)
				p.auth[0].secret[i] = (uint8_t)(i * 37 + klen);
			memcpy(b, valid, sizeof(valid));
			unsigned len = bfd_auth_sign(&p, 0xfffffff0u + klen, b);
			assert_int_equal(len, 32 + dlen);
			memcpy(copy, b, len);
			memset(copy + 32, 0, dlen);
			memcpy(copy + 32, p.auth[0].secret, klen);
			assert_int_equal(
				EVP_Digest(copy, len, want, &elen, md5 ? EVP_md5() : EVP_sha1(), NULL), 1);
			assert_memory_equal(b + 32, want, dlen);
		}
	}
}

static int verify_seq(struct bfd_params *p, uint32_t seq, uint8_t mult, struct bfd_auth_rx *st)
{
	uint8_t b[BFD_PACKET_MAX];
	struct bfd_packet pkt;

	memcpy(b, valid, sizeof(valid));
	b[2] = mult;
	unsigned len = bfd_auth_sign(p, seq, b);
	assert_int_equal(bfd_packet_parse(b, len, &pkt), 0);
	return bfd_auth_verify(p, b, &pkt, st);
}

/* Sections 6.7.3, 6.7.4: RcvAuthSeq (or +1) to RcvAuthSeq + 3 * Detect Mult, circular. */
static void test_auth_sequence_window(void **state)
{
	static const uint32_t bases[] = {0, 1000, UINT32_MAX - 3, UINT32_MAX};

	for (uint8_t type = BFD_AUTH_KEYED_MD5; type <= BFD_AUTH_METICULOUS_SHA1; type++) {
		struct bfd_params p = auth_params(type, 1, "k");
		for (size_t i = 0; i < sizeof(bases) / sizeof(*bases); i++)
			for (int ahead = -3; ahead <= 20; ahead++) {
				struct bfd_auth_rx st = {.known = true, .seq = bases[i]};
				bool ok = ahead >= (bfd_auth_meticulous(type) ? 1 : 0) && ahead <= 15;
				uint32_t seq = bases[i] + (uint32_t)ahead;
				assert_int_equal(verify_seq(&p, seq, 5, &st), ok ? 0 : -EACCES);
				assert_int_equal(st.seq, ok ? seq : bases[i]);
			}
		struct bfd_auth_rx st = {0};
		assert_int_equal(verify_seq(&p, 123456, 5, &st), 0);
		assert_true(st.known && st.seq == 123456);
	}
}

/* Changing the key of a running session: both sides first accept both, then send the new one, then drop the
 * old. */
static void test_auth_keys(void **state)
{
	struct bfd_params a = auth_params(BFD_AUTH_KEYED_SHA1, 1, "old"), b = a;
	struct bfd_auth_rx st = {0};

	b.auth[1] = (struct bfd_auth_key){.id = 2, .len = 3, .secret = "new", .accept = true};
	assert_int_equal(verify_seq(&a, 1, 3, &st), 0);
	b.auth[1].send = true;
	b.auth[0].send = false;
	uint8_t p[BFD_PACKET_MAX];
	struct bfd_packet pkt;
	memcpy(p, valid, sizeof(valid));
	unsigned len = bfd_auth_sign(&b, 2, p);
	assert_int_equal(p[26], 2);
	assert_int_equal(bfd_packet_parse(p, len, &pkt), 0);
	assert_int_equal(bfd_auth_verify(&b, p, &pkt, &st), 0);
	st.known = false;
	assert_int_equal(bfd_auth_verify(&a, p, &pkt, &st), -EACCES); /* does not know it yet */
	a.auth[1] = b.auth[1];
	a.auth[1].accept = false;
	assert_int_equal(bfd_auth_verify(&a, p, &pkt, &st), -EACCES); /* knows it to send only */
	a.auth[1].accept = true;
	assert_int_equal(bfd_auth_verify(&a, p, &pkt, &st), 0);
	/* The same id with another secret next to it: either may be meant. */
	a.auth[2] = (struct bfd_auth_key){.id = 2, .len = 5, .secret = "third", .accept = true};
	a.auth[1].accept = false;
	struct bfd_params third = auth_params(BFD_AUTH_KEYED_SHA1, 2, "third");
	assert_int_equal(verify_seq(&third, 3, 3, &st), 0);
	memcpy(p, valid, sizeof(valid));
	len = bfd_auth_sign(&third, 4, p);
	assert_int_equal(bfd_packet_parse(p, len, &pkt), 0);
	assert_int_equal(bfd_auth_verify(&a, p, &pkt, &st), 0);
}

static void test_auth_presence(void **state)
{
	struct bfd_params none = {0}, md5 = auth_params(BFD_AUTH_KEYED_MD5, 1, "k"), sha = md5;
	struct bfd_auth_rx st = {0};
	uint8_t b[BFD_PACKET_MAX];
	struct bfd_packet pkt;

	sha.auth_type = BFD_AUTH_KEYED_SHA1;
	memcpy(b, valid, sizeof(valid));
	assert_int_equal(bfd_auth_sign(&none, 1, b), BFD_PACKET_LEN);
	assert_int_equal(bfd_packet_parse(b, BFD_PACKET_LEN, &pkt), 0);
	assert_int_equal(bfd_auth_verify(&none, b, &pkt, &st), 0);
	assert_int_equal(bfd_auth_verify(&md5, b, &pkt, &st), -EACCES);
	unsigned len = bfd_auth_sign(&md5, 1, b);
	assert_int_equal(bfd_packet_parse(b, len, &pkt), 0);
	assert_int_equal(bfd_auth_verify(&none, b, &pkt, &st), -EACCES);
	assert_int_equal(bfd_auth_verify(&sha, b, &pkt, &st), -EACCES);
	assert_int_equal(bfd_auth_verify(&md5, b, &pkt, &st), 0);
}

/* A checksum written as the RFC says it, one word at a time. */
static uint16_t plain_sum(const uint8_t *p, size_t len, uint32_t start)
{
	uint32_t sum = start;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)p[i] << 8 | (i + 1 < len ? p[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static struct bfd_frame_addr frame_addr(bool v6, uint16_t vlan)
{
	struct bfd_frame_addr a = {
		.src_mac = {2, 0, 0, 0, 0, 1},
		.dst_mac = {2, 0, 0, 0, 0, 2},
		.vlan = vlan,
		.sport = 49152 + 77,
		.dport = BFD_PORT_CONTROL,
		.ttl = 255,
	};

	assert_int_equal(ipaddr_parse(v6 ? "2001:db8::1" : "192.0.2.1", &a.src), 0);
	assert_int_equal(ipaddr_parse(v6 ? "2001:db8::2" : "192.0.2.2", &a.dst), 0);
	return a;
}

static void check_frame(const struct bfd_frame_addr *a, const uint8_t *payload, uint16_t len)
{
	uint8_t out[2048], pseudo[40];
	struct bfd_frame f;
	struct bfd_rx rx;
	bool v6 = !ipaddr_is_v4(&a->dst);

	bfd_frame_init(&f, a);
	assert_int_equal(f.headers_len, 14 + (a->vlan ? 4 : 0) + (v6 ? 40 : 20) + 8);
	uint16_t n = bfd_frame_write(&f, payload, len, out);
	assert_int_equal(n, f.headers_len + len);
	uint8_t *ip = out + f.l2_len, *udp = out + f.headers_len - 8;
	if (v6) {
		memcpy(pseudo, ip + 8, 32);
	} else {
		assert_int_equal(plain_sum(ip, 20, 0), 0xffff);
		memset(pseudo, 0, sizeof(pseudo));
		memcpy(pseudo, ip + 12, 8);
	}
	assert_int_equal(plain_sum(udp, 8u + len, plain_sum(pseudo, 32, 17u + 8u + len)), 0xffff);
	assert_true(udp[6] || udp[7]);

	memset(&rx, 0, sizeof(rx));
	rx.ifindex = 42;
	assert_int_equal(bfd_frame_parse(out, n, false, &rx), 0);
	assert_int_equal(rx.ifindex, 42);
	assert_int_equal(rx.len, len);
	assert_memory_equal(rx.payload, payload, len);
	assert_int_equal(rx.dport, a->dport);
	assert_int_equal(rx.sport, a->sport);
	assert_int_equal(rx.ttl, a->ttl);
	assert_true(ipaddr_equal(&rx.src, &a->src) && ipaddr_equal(&rx.dst, &a->dst));
	/* Ethernet padding behind it changes nothing. */
	memset(out + n, 0xaa, 20);
	assert_int_equal(bfd_frame_parse(out, n + 20u, false, &rx), 0);
	assert_int_equal(rx.len, len);
	/* Any cut is noticed. */
	for (unsigned cut = 0; cut < n; cut++)
		assert_int_equal(bfd_frame_parse(out, cut, false, &rx), -EINVAL);
	/* Any bit of the payload and of the ports. */
	for (unsigned bit = 0; bit < (4u + len) * 8; bit++) {
		uint8_t *at = bit < 32 ? udp + bit / 8 : udp + 8 + (bit - 32) / 8;
		*at ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(bfd_frame_parse(out, n, false, &rx), -EBADMSG);
		assert_int_equal(bfd_frame_parse(out, n, true, &rx), 0);
		*at ^= (uint8_t)(1 << bit % 8);
	}
}

static void test_frames(void **state)
{
	uint8_t payload[512];
	uint32_t seed = 3;

	for (int v6 = 0; v6 < 2; v6++)
		for (int vlan = 0; vlan < 2; vlan++) {
			struct bfd_frame_addr a = frame_addr(v6, vlan ? 4094 : 0);
			check_frame(&a, valid, sizeof(valid));
			for (uint16_t len = 0; len < 80; len++) {
				for (unsigned i = 0; i < len; i++)
					payload[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
				check_frame(&a, payload, len);
			}
			memset(payload, 0xff, sizeof(payload));
			check_frame(&a, payload, 500);
		}
}

/* A UDP sum of zero must be sent as all ones. */
static void test_frame_zero_checksum(void **state)
{
	struct bfd_frame_addr a = frame_addr(false, 0);
	uint8_t payload[4] = {0}, out[128];
	struct bfd_frame f;
	struct bfd_rx rx;
	unsigned hits = 0;

	bfd_frame_init(&f, &a);
	for (unsigned v = 0; v < 65536; v++) {
		payload[0] = (uint8_t)(v >> 8);
		payload[1] = (uint8_t)v;
		uint16_t n = bfd_frame_write(&f, payload, 4, out);
		assert_false(out[40] == 0 && out[41] == 0);
		hits += out[40] == 0xff && out[41] == 0xff;
		assert_int_equal(bfd_frame_parse(out, n, false, &rx), 0);
	}
	assert_in_range(hits, 1, 2); /* the value for which the sum really is zero */
}

static void test_frame_refuses(void **state)
{
	struct bfd_frame_addr a4 = frame_addr(false, 0), a6 = frame_addr(true, 0);
	uint8_t out[128];
	struct bfd_frame f;
	struct bfd_rx rx;
	uint16_t n;

#define WITH(offset, value, partial, result)                                                                 \
	do {                                                                                                 \
		uint8_t saved = out[offset];                                                                 \
		out[offset] = (value);                                                                       \
		assert_int_equal(bfd_frame_parse(out, n, partial, &rx), result);                             \
		out[offset] = saved;                                                                         \
	} while (0)
	bfd_frame_init(&f, &a4);
	n = bfd_frame_write(&f, valid, sizeof(valid), out);
	WITH(12, 0x86, false, -EINVAL);       /* IPv6 ethertype, IPv4 inside */
	WITH(13, 0x06, false, -EINVAL);       /* ARP */
	WITH(14, 0x65, false, -EINVAL);       /* version */
	WITH(14, 0x44, false, -EINVAL);       /* header length 16 */
	WITH(14, 0x4f, false, -EINVAL);       /* header length 60: past the packet */
	WITH(17, 19, false, -EINVAL);         /* total length below the headers */
	WITH(17, n, false, -EINVAL);          /* total length past the frame */
	WITH(20, 0x20, false, -EINVAL);       /* more fragments */
	WITH(21, 0x01, false, -EINVAL);       /* fragment offset */
	WITH(22, 254, false, -EBADMSG);       /* the sum does not fit any more */
	WITH(22, 254, true, -EBADMSG);        /* nor does a partial UDP sum excuse it */
	WITH(23, 6, false, -EINVAL);          /* TCP */
	WITH(39, 7, false, -EINVAL);          /* UDP length below its header */
	WITH(39, 8 + 24 + 1, false, -EINVAL); /* UDP length past the packet */
	out[40] = out[41] = 0;                /* no checksum: allowed on IPv4 */
	assert_int_equal(bfd_frame_parse(out, n, false, &rx), 0);

	bfd_frame_init(&f, &a6);
	n = bfd_frame_write(&f, valid, sizeof(valid), out);
	WITH(14, 0x40, false, -EINVAL);
	WITH(20, 0, false, -EINVAL); /* hop-by-hop options */
	WITH(19, 33, false, -EINVAL);
	WITH(19, 31, false, -EINVAL);
	out[60] = out[61] = 0; /* not allowed on IPv6 */
	assert_int_equal(bfd_frame_parse(out, n, false, &rx), -EBADMSG);
	assert_int_equal(bfd_frame_parse(out, n, true, &rx), 0);
#undef WITH
}

/* Turned around as a router would do it, until the TTL is used up. */
static void test_frame_reflect(void **state)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (int vlan = 0; vlan < 2; vlan++) {
			struct bfd_frame_addr a = frame_addr(v6, vlan ? 5 : 0);
			uint8_t out[128];
			struct bfd_frame f;
			struct bfd_rx rx;

			bfd_frame_init(&f, &a);
			uint16_t n = bfd_frame_write(&f, valid, sizeof(valid), out);
			for (unsigned ttl = 254; ttl >= 1; ttl--) {
				assert_true(bfd_frame_reflect(out));
				assert_int_equal(bfd_frame_parse(out, n, false, &rx), 0);
				assert_int_equal(rx.ttl, ttl);
				assert_memory_equal(out, ttl % 2 ? a.dst_mac : a.src_mac, 6);
				assert_memory_equal(out + 6, ttl % 2 ? a.src_mac : a.dst_mac, 6);
				assert_true(ipaddr_equal(&rx.src, &a.src) && ipaddr_equal(&rx.dst, &a.dst));
			}
			assert_false(bfd_frame_reflect(out));
			assert_int_equal(bfd_frame_parse(out, n, false, &rx), 0);
			assert_int_equal(rx.ttl, 1);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_and_build),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_auth_interop),
		cmocka_unit_test(test_auth_against_evp),
		cmocka_unit_test(test_auth_sequence_window),
		cmocka_unit_test(test_auth_keys),
		cmocka_unit_test(test_auth_presence),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_frame_zero_checksum),
		cmocka_unit_test(test_frame_refuses),
		cmocka_unit_test(test_frame_reflect),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
