/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line and the --port specifications. */
#include "dataplane/options.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct port_spec ok(const char *text)
{
	struct port_spec s;
	char err[PORT_ERR] = "";

	if (port_spec_parse(text, &s, err))
		fail_msg("%s refused: %s", text, err);
	return s;
}

/* The refusal must name what is wrong. */
static void refused(const char *text, const char *word)
{
	struct port_spec s;
	char err[PORT_ERR] = "";

	assert_int_equal(port_spec_parse(text, &s, err), -EINVAL);
	if (!strstr(err, word))
		fail_msg("'%s' does not say '%s'", err, word);
}

static void kernel_ports(void **state)
{
	struct port_spec s = ok("af_xdp:eth0");

	assert_int_equal(s.type, PORT_AF_XDP);
	assert_string_equal(s.target, "eth0");
	assert_string_equal(s.name, "eth0");
	assert_int_equal(s.queues, 0);
	assert_int_equal(s.busy_budget, -1);
	s = ok("af_xdp:enp3s0f0,queues=4,copy=1,busy_budget=0");
	assert_int_equal(s.queues, 4);
	assert_true(s.copy);
	assert_int_equal(s.busy_budget, 0);
	assert_int_equal(ok("af_packet:eth0").type, PORT_AF_PACKET);
	refused("af_xdp:", "interface");
	refused("af_xdp:,queues=2", "interface");
	refused("af_xdp:averyverylongname", "too long");
	refused("af_xdp:eth0,queues=0", "queues");
	refused("af_xdp:eth0,queues=17", "queues");
	refused("af_xdp:eth0,queues=2x", "2x");
	refused("af_xdp:eth0,ip=192.0.2.1/24", "ip");
	refused("af_xdp:eth0,copy", "copy");
	refused("af_packet:eth0,copy=1", "copy");
	refused("eth0", "unknown port");
	refused("af_xd:eth0", "unknown port");
	refused("af_xdpeth0", "unknown port");
}

static void memif_ports(void **state)
{
	struct port_spec s = ok(
		"memif:/run/x.sock,role=server,id=7,mac=02:00:00:00:00:0a,ip=192.0.2.2/24,ip=2001:db8::2/64,"
		"name=m0,peer_mac=02:00:00:00:00:0b,queues=2");
	struct ipaddr a;

	assert_int_equal(s.type, PORT_MEMIF);
	assert_string_equal(s.target, "/run/x.sock");
	assert_true(s.server);
	assert_int_equal(s.id, 7);
	assert_true(s.has_mac);
	assert_int_equal(s.mac[5], 0x0a);
	assert_int_equal(s.peer_mac[5], 0x0b);
	assert_string_equal(s.name, "m0");
	assert_int_equal(s.nip, 2);
	assert_int_equal(ipaddr_parse("192.0.2.2", &a), 0);
	assert_true(ipaddr_equal(&s.ip_addr[0], &a));
	assert_int_equal(ipaddr_parse("192.0.2.77", &a), 0);
	assert_true(prefix_contains_addr(&s.ip[0], &a));
	assert_int_equal(ipaddr_parse("192.0.3.1", &a), 0);
	assert_false(prefix_contains_addr(&s.ip[0], &a));
	assert_int_equal(s.ip[1].family, 6);
	refused("memif:/run/x,role=master", "master");
	refused("memif:/run/x,mac=02:00:00:00:00", "mac");
	refused("memif:/run/x,mac=03:00:00:00:00:01", "mac"); /* a group address */
	refused("memif:/run/x,ip=192.0.2.1", "ip");
	refused("memif:/run/x,ip=192.0.2.1/33", "ip");
	refused("memif:/run/x,ip=2001:db8::/129", "ip");
	refused("memif:", "socket");
	s = ok("memif:/run/x,ip=192.0.2.2/24,vlan=10,ip=192.0.2.2/24,ip=2001:db8::1/64,vlan=4094,name=m0");
	assert_int_equal(s.nvlans, 2);
	assert_int_equal(s.vlan[0], 10);
	assert_int_equal(s.vlan[1], 4094);
	assert_int_equal(s.nip, 3);
	assert_int_equal(s.ip_vid[0], 0);
	assert_int_equal(s.ip_vid[1], 10);
	assert_int_equal(s.ip_vid[2], 10);
	assert_int_equal(s.bsize, PORT_ROOM);
	assert_int_equal(ok("memif:/run/x,bsize=256").bsize, 256);
	refused("memif:/run/x,bsize=127", "bsize");
	refused("memif:/run/x,bsize=2049", "bsize");
	refused("memif:/run/x,bsize=256,tap=tap0", "bsize");
	refused("memif:/run/x,vlan=0", "vlan");
	refused("memif:/run/x,vlan=4095", "vlan");
	refused("memif:/run/x,vlan=7,vlan=7", "vlan");
	refused("memif:/run/x,vlan=7,tap=tap0", "TAP");
	refused("memif:/run/x,vlan=7,name=elevenchars", "too long");
	refused("af_xdp:eth0,vlan=7", "vlan");
	refused("memif:/run/x,copy=1", "copy");
	assert_string_equal(ok("pci:0000:03:00.0,ip=192.0.2.1/24").target, "0000:03:00.0");
}

static void core_lists(void **state)
{
	unsigned core[4], n;

	assert_int_equal(options_parse_cores("2", core, 4, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(core[0], 2);
	assert_int_equal(options_parse_cores("0,2-4", core, 4, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(core[3], 4);
	assert_int_equal(options_parse_cores("0-4", core, 4, &n), -E2BIG);
	assert_int_equal(options_parse_cores("3-2", core, 4, &n), -EINVAL);
	assert_int_equal(options_parse_cores("", core, 4, &n), -EINVAL);
	assert_int_equal(options_parse_cores("1,", core, 4, &n), -EINVAL);
	assert_int_equal(options_parse_cores("1,1", core, 4, &n), -EINVAL);
	assert_int_equal(options_parse_cores("1;2", core, 4, &n), -EINVAL);
	assert_int_equal(options_parse_cores("-1", core, 4, &n), -EINVAL);
	assert_int_equal(options_parse_cores("99999", core, 4, &n), -EINVAL);
}

static int parse(struct options *o, char *err, char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return options_parse(o, argc, argv, err);
}
#define PARSE(...) parse(&o, err, (char *[]){"peregrine-dp", __VA_ARGS__, NULL})

static void command_line(void **state)
{
	struct options o;
	char err[OPTIONS_ERR] = "";

	assert_int_equal(PARSE("--socket", "/run/dp.sock", "--port", "af_xdp:eth0"), 0);
	assert_string_equal(o.socket_path, "/run/dp.sock");
	assert_int_equal(o.nports, 1);
	assert_int_equal(o.poll, POLL_ADAPTIVE);
	assert_int_equal(o.neal, 0);
	assert_int_equal(PARSE("--socket=/run/dp.sock", "--port=memif:/run/m,role=server,ip=10.0.0.1/8",
				 "--core", "1"),
		0);
	assert_true(o.port[0].server);
	assert_int_equal(o.poll, POLL_BUSY); /* whoever gives it a core wants it used */
	assert_int_equal(PARSE("--socket", "s", "--port", "af_xdp:eth0", "--poll", "busy", "--sessions",
				 "20000", "--", "-m", "64"),
		0);
	assert_int_equal(o.poll, POLL_BUSY);
	assert_int_equal(o.sessions, 20000);
	assert_null(o.group);
	assert_int_equal(PARSE("--socket", "s", "--group", "bird", "--port", "af_xdp:e"), 0);
	assert_string_equal(o.group, "bird");
	assert_int_equal(PARSE("--socket", "s", "--port", "af_xdp:eth0", "--", "-m", "64"), 0);
	assert_int_equal(o.neal, 2);
	assert_string_equal(o.eal[1], "64");
	assert_int_equal(PARSE("--port", "af_xdp:eth0"), -EINVAL);
	assert_non_null(strstr(err, "--socket"));
	assert_int_equal(
		PARSE("--frr", "unix:/x", "--port", "af_xdp:eth0"), 0); /* FRR alone needs no socket */
	assert_int_equal(PARSE("--socket", "s"), -EINVAL);
	assert_non_null(strstr(err, "--port"));
	assert_int_equal(PARSE("--socket", "s", "--port", "af_xdp:e", "--port", "af_packet:e"), -EINVAL);
	assert_non_null(strstr(err, "two ports"));
	assert_int_equal(PARSE("--socket", "s", "--port", "memif:/m,id=1", "--port", "memif:/m,id=2"), 0);
	assert_int_equal(PARSE("--socket"), -EINVAL);
	assert_int_equal(PARSE("--sockets", "s"), -EINVAL);
	assert_non_null(strstr(err, "--sockets"));
	assert_int_equal(PARSE("--socket", "s", "--port", "af_xdp:e", "--poll", "lazy"), -EINVAL);
	assert_int_equal(PARSE("--socket", "s", "--port", "af_xdp:e", "--sessions", "0"), -EINVAL);
	assert_int_equal(PARSE("--socket", "s", "--port", "af_xdp:e", "extra"), -EINVAL);
	assert_non_null(strstr(err, "extra"));
	assert_int_equal(PARSE("--help"), 0);
	assert_true(o.help);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_ports),
		cmocka_unit_test(memif_ports),
		cmocka_unit_test(core_lists),
		cmocka_unit_test(command_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
