/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The XDP program, run by the kernel on frames of ours (BPF_PROG_TEST_RUN):
 * what is taken, dropped and left alone. Needs the right to load it; without,
 * or without the compiled object, the test is skipped aloud.
 */
#include "bfd/frame.h"
#include "dataplane/xdp.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct bpf_object *object;
static struct xdp_filter filter;
static const char *why_not;

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

static struct ipaddr ip(const char *text)
{
	struct ipaddr a;

	assert_int_equal(ipaddr_parse(text, &a), 0);
	return a;
}

static int load(void **state)
{
	char exe[PATH_MAX], path[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	struct bpf_program *prog;
	struct ipaddr a;

	xdp_filter_init(&filter);
	libbpf_set_print(quiet);
	exe[n > 0 ? n : 0] = '\0';
	if (n > 0)
		*strrchr(exe, '/') = '\0';
	snprintf(path, sizeof(path), "%s/../bfd_filter.bpf.o", exe);
	if (access(path, R_OK)) {
		why_not = "bfd_filter.bpf.o is not built";
		return 0;
	}
	object = bpf_object__open_file(path, NULL);
	if (libbpf_get_error(object) || bpf_object__load(object)) {
		if (errno != EPERM)
			return -1; /* the verifier refused it: that is a failure */
		why_not = "not allowed to load BPF programs";
		return 0;
	}
	prog = bpf_object__find_program_by_name(object, "bfd_filter");
	filter.prog_fd = bpf_program__fd(prog);
	filter.xsks_fd = bpf_object__find_map_fd_by_name(object, "xsks_map");
	filter.v4_fd = bpf_object__find_map_fd_by_name(object, "local_v4");
	filter.v6_fd = bpf_object__find_map_fd_by_name(object, "local_v6");
	filter.stats_fd = bpf_object__find_map_fd_by_name(object, "filter_stats");
	a = ip("192.0.2.2");
	if (xdp_filter_local(&filter, &a, FILTER_LOCAL))
		return -1;
	a = ip("2001:db8::2");
	return xdp_filter_local(&filter, &a, FILTER_LOCAL);
}

static int verdict(const uint8_t *frame, uint16_t len)
{
	uint8_t in[256] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = in, .data_size_in = len < 14 ? 14 : len, .repeat = 1);

	memcpy(in, frame, len);
	assert_int_equal(bpf_prog_test_run_opts(filter.prog_fd, &o), 0);
	return (int)o.retval;
}

static uint16_t build(
	uint8_t *out, const char *src, const char *dst, uint16_t dport, uint8_t ttl, uint16_t vlan)
{
	struct bfd_frame_addr a = {.src_mac = {2, 0, 0, 0, 0, 1},
		.dst_mac = {2, 0, 0, 0, 0, 2},
		.vlan = vlan,
		.src = ip(src),
		.dst = ip(dst),
		.sport = 49152,
		.dport = dport,
		.ttl = ttl};
	static const uint8_t payload[24] = {0x20, 0x40, 3, 24, 0, 0, 0, 1};
	struct bfd_frame f;

	bfd_frame_init(&f, &a);
	return bfd_frame_write(&f, payload, sizeof(payload), out);
}

static uint64_t counted(enum filter_stat what)
{
	struct xdp_counters c;

	assert_int_equal(xdp_filter_read(&filter, &c), 0);
	return c.value[what];
}

/* Without a socket for the queue, what would be taken is passed: only the counter tells. */
static bool taken(const uint8_t *frame, uint16_t len)
{
	uint64_t before = counted(FILTER_TAKEN);

	assert_int_equal(verdict(frame, len), XDP_PASS);
	return counted(FILTER_TAKEN) == before + 1;
}

#define NEEDS_FILTER()                                                                                       \
	do {                                                                                                 \
		if (why_not) {                                                                               \
			fprintf(stdout, "SKIP %s\n", why_not);                                               \
			skip();                                                                              \
		}                                                                                            \
	} while (0)

static void takes_bfd(void **state)
{
	static const uint16_t ports[] = {3784, 3785, 4784, 7784};
	uint8_t f[256];

	NEEDS_FILTER();
	for (unsigned i = 0; i < 4; i++) {
		assert_true(taken(f, build(f, "192.0.2.1", "192.0.2.2", ports[i], 255, 0)));
		assert_true(taken(f, build(f, "2001:db8::1", "2001:db8::2", ports[i], 255, 0)));
		assert_true(taken(f, build(f, "192.0.2.1", "192.0.2.2", ports[i], 255, 100)));
		assert_true(taken(f, build(f, "2001:db8::1", "2001:db8::2", ports[i], 255, 100)));
	}
	assert_true(taken(f, build(f, "198.51.100.1", "192.0.2.2", 4784, 7, 0))); /* multihop: any TTL */
}

static void drops_what_came_from_afar(void **state)
{
	uint64_t before;
	uint8_t f[256];

	NEEDS_FILTER();
	before = counted(FILTER_TTL);
	assert_int_equal(verdict(f, build(f, "192.0.2.1", "192.0.2.2", 3784, 254, 0)), XDP_DROP);
	assert_int_equal(verdict(f, build(f, "2001:db8::1", "2001:db8::2", 3784, 1, 0)), XDP_DROP);
	assert_int_equal(counted(FILTER_TTL), before + 2);
}

static void leaves_the_rest(void **state)
{
	uint64_t before;
	uint8_t f[256];
	uint16_t len;

	NEEDS_FILTER();
	assert_false(taken(f, build(f, "192.0.2.1", "192.0.2.2", 179, 255, 0)));
	assert_false(taken(f, build(f, "192.0.2.1", "192.0.2.2", 3783, 255, 0)));
	before = counted(FILTER_NOT_LOCAL);
	assert_false(taken(
		f, build(f, "192.0.2.1", "192.0.2.3", 3784, 1, 0))); /* routed through us, whatever its TTL */
	assert_false(taken(f, build(f, "2001:db8::1", "2001:db8::3", 3784, 255, 0)));
	assert_int_equal(counted(FILTER_NOT_LOCAL), before + 2);
	len = build(f, "192.0.2.1", "192.0.2.2", 3784, 255, 0);
	f[14 + 6] = 0x20; /* more fragments */
	assert_false(taken(f, len));
	f[14 + 6] = 0, f[14 + 7] = 8; /* a later fragment: what looks like a port is payload */
	assert_false(taken(f, len));
	f[14 + 7] = 0, f[14] = 0x46; /* options */
	assert_false(taken(f, len));
	f[14] = 0x45, f[14 + 9] = 6; /* TCP */
	assert_false(taken(f, len));
	f[14 + 9] = 17;
	assert_true(taken(f, len));
	for (uint16_t cut = 14; cut < 42; cut++) /* up to the end of the UDP header */
		assert_false(taken(f, cut));
	len = build(f, "2001:db8::1", "2001:db8::2", 3784, 255, 0);
	f[14 + 6] = 44; /* fragment header */
	assert_false(taken(f, len));
	len = build(f, "192.0.2.1", "192.0.2.2", 3784, 255, 100);
	f[12] = 0x88, f[13] = 0xa8; /* 802.1ad */
	assert_false(taken(f, len));
}

static void addresses_come_and_go(void **state)
{
	struct ipaddr a = {0};
	uint8_t f[256];
	uint16_t len;

	NEEDS_FILTER();
	a = ip("203.0.113.9");
	len = build(f, "203.0.113.1", "203.0.113.9", 3784, 255, 0);
	assert_false(taken(f, len));
	assert_int_equal(xdp_filter_local(&filter, &a, FILTER_LOCAL), 0);
	assert_true(taken(f, len));
	assert_int_equal(xdp_filter_local(&filter, &a, 0), 0);
	assert_false(taken(f, len));
	assert_int_equal(xdp_filter_local(&filter, &a, 0), 0); /* gone already */
}

static void echo_of_neighbours(void **state)
{
	struct ipaddr a = {0};
	uint8_t f[256];
	uint16_t len;

	NEEDS_FILTER();
	a = ip("192.0.2.1");
	len = build(f, "192.0.2.1", "192.0.2.1", 3785, 255, 0); /* addressed to itself */
	assert_false(taken(f, len));
	assert_int_equal(xdp_filter_local(&filter, &a, FILTER_ECHO_PEER), 0);
	assert_true(taken(f, len));
	assert_false(taken(f, build(f, "192.0.2.7", "192.0.2.1", 4784, 255, 0))); /* only passing through */
	assert_int_equal(xdp_filter_local(&filter, &a, 0), 0);
}

static void answers_of_reflectors(void **state)
{
	uint8_t f[256];
	uint16_t len;

	NEEDS_FILTER();
	len = build(f, "198.51.100.1", "192.0.2.2", 50000, 60, 0);
	assert_false(taken(f, len));
	f[14 + 20] = 7784 >> 8, f[14 + 21] = 7784 & 0xff;
	assert_true(taken(f, len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_bfd),
		cmocka_unit_test(drops_what_came_from_afar),
		cmocka_unit_test(leaves_the_rest),
		cmocka_unit_test(addresses_come_and_go),
		cmocka_unit_test(echo_of_neighbours),
		cmocka_unit_test(answers_of_reflectors),
	};

	return cmocka_run_group_tests(tests, load, NULL);
}
