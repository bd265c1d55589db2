/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole sessions over loopback TCP: ours is real, the neighbour is a script, RIB and export are doubles. */
#include "tests/unit/bgp_doubles.h"
#include <sys/socket.h>

#define OUR_AS 64500
#define PEER_AS 64496

static struct bgp_config bgp;
static struct proto_config proto_cf;
static struct proto *proto;
static uint16_t our_port, peer_port;

/* ---- running things in main ---- */

static void in_main(loop_fn *fn, void *arg)
{
	loop_call_sync(w.d.main, fn, arg);
}

static void do_start(void *arg)
{
	struct proto *p = arg;

	assert_int_equal(p->ops->start(p), 0);
}

struct stop_arg {
	struct proto *p;
	const char *message;
};

static void do_stop(void *arg)
{
	struct stop_arg *a = arg;

	if (a->p->state == PS_DOWN)
		return;
	proto_set_state(a->p, PS_STOP);
	a->p->ops->stop(a->p, a->message);
}

static void do_info(void *arg)
{
	bgp_info(proto, arg, 256);
}

static const char *info(void)
{
	static char text[256];

	in_main(do_info, text);
	return text;
}

/* What is shown follows what happens by a moment. */
static void wait_info(const char *want)
{
	const char *now = info();

	for (unsigned i = 0; i < 1000 && strcmp(now, want); i++, now = info())
		usleep(10000);
	assert_string_equal(now, want);
}

/* Now; WAIT_STATE waits. */
static bool is_up(void)
{
	bool up;

	pthread_mutex_lock(&w.lock);
	up = proto->state == PS_UP;
	pthread_mutex_unlock(&w.lock);
	return up;
}

static void do_show(void *arg)
{
	(void)arg;
	w.shown[0] = 0;
	bgp_show_all(proto, NULL);
}

static void wait_show(const char *want)
{
	for (unsigned i = 0; i < 1000; i++) {
		in_main(do_show, NULL);
		if (strstr(w.shown, want))
			return;
		usleep(10000);
	}
	fail_msg("not shown: %s\nbut:\n%s", want, w.shown);
}

/* ---- the neighbour ---- */

/* Below the ports that the kernel gives to connections (32768 and up), which would come and take one that was
 * free a moment ago; other runs of this program on the machine begin elsewhere. */
static uint16_t free_port(void)
{
	static unsigned next;
	struct sockaddr_in a = {.sin_family = AF_INET};

	if (!next)
		next = (unsigned)getpid() * 64;
	for (unsigned i = 0; i < 20000; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		uint16_t port = (uint16_t)(10000 + next++ % 20000);
		int rc;

		a.sin_port = htons(port);
		rc = bind(fd, (struct sockaddr *)&a, sizeof(a));
		close(fd);
		if (rc == 0)
			return port;
	}
	fail_msg("no free port");
	return 0;
}

static struct sockaddr_in v4(const char *text, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, text, &a.sin_addr);
	return a;
}

static void patience(int fd)
{
	struct timeval t = {.tv_sec = 10};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

static int peer_connect_from(const char *from)
{
	struct sockaddr_in me = v4(from, 0), to = v4("127.0.0.1", our_port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&me, sizeof(me)), 0);
	patience(fd);
	for (unsigned i = 0; connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0; i++) {
		assert_true(i < 1000); /* the listener comes with the session */
		usleep(10000);
	}
	return fd;
}

/* Connects until the session takes it: it may be waiting out a moment before it accepts. */
static int peer_connect(void);

static int peer_listen(void)
{
	struct sockaddr_in me = v4("127.0.0.2", peer_port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&me, sizeof(me)), 0);
	assert_int_equal(listen(fd, 5), 0);
	patience(fd);
	return fd;
}

static int peer_accept(int l)
{
	int fd = accept(l, NULL, NULL);

	assert_true(fd >= 0);
	patience(fd);
	return fd;
}

static bool read_all(int fd, void *buf, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t r = recv(fd, (uint8_t *)buf + got, n - got, 0);

		if (r <= 0)
			return false;
		got += (size_t)r;
	}
	return true;
}

static uint8_t msg[65536];
static size_t msg_len;

static unsigned msg_bypassed; /* KEEPALIVEs that expect() went past */

/* The next message of that type; KEEPALIVEs in between are skipped. False: closed. */
static bool expect(int fd, uint8_t type)
{
	msg_bypassed = UINT_MAX;
	do {
		msg_bypassed++;
		if (!read_all(fd, msg, BGP_HEADER_LEN))
			return false;
		msg_len = get_u16(msg + 16);
		assert_true(msg_len >= BGP_HEADER_LEN);
		if (!read_all(fd, msg + BGP_HEADER_LEN, msg_len - BGP_HEADER_LEN))
			return false;
	} while (msg[18] == BGP_MSG_KEEPALIVE && type != BGP_MSG_KEEPALIVE);
	if (msg[18] != type)
		fail_msg("message type %u instead of %u (%02x%02x)", msg[18], type, msg[19], msg[20]);
	return true;
}

static void expect_notification(int fd, uint8_t code, uint8_t subcode)
{
	assert_true(expect(fd, BGP_MSG_NOTIFICATION));
	if (msg[19] != code || msg[20] != subcode)
		fail_msg("notification %u/%u instead of %u/%u", msg[19], msg[20], code, subcode);
}

static void expect_closed(int fd)
{
	uint8_t b[256];
	ssize_t n;

	while ((n = recv(fd, b, sizeof(b), 0)) > 0)
		;
	assert_true(n == 0 || errno == ECONNRESET);
	close(fd);
}

static void put(int fd, const void *p, size_t n)
{
	assert_int_equal(send(fd, p, n, MSG_NOSIGNAL), n);
}

static void send_message(int fd, uint8_t type, const char *hex)
{
	struct bytes m = {.n = BGP_HEADER_LEN};

	put_hex(&m, hex);
	bgp_put_header(m.b, (uint16_t)m.n, type);
	put(fd, m.b, m.n);
}

static void send_keepalive(int fd)
{
	send_message(fd, BGP_MSG_KEEPALIVE, "");
}

static struct bgp_open peer_open;

static void send_open(int fd)
{
	uint8_t buf[4096];

	put(fd, buf, bgp_open_encode(&peer_open, buf, sizeof(buf)));
}

/* The neighbour's part of the exchange on a new connection. */
static void establish(int fd)
{
	assert_true(expect(fd, BGP_MSG_OPEN));
	send_open(fd);
	assert_true(expect(fd, BGP_MSG_KEEPALIVE));
	send_keepalive(fd);
}

static int peer_connect(void)
{
	for (unsigned i = 0; i < 1000; i++) {
		int fd = peer_connect_from("127.0.0.2");
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint8_t b;

		if (poll(&p, 1, 10000) == 1 && recv(fd, &b, 1, MSG_PEEK) == 1)
			return fd;
		close(fd);
		usleep(10000);
	}
	fail_msg("our side does not accept");
	return -1;
}

/* ---- set-up ---- */

static int group_setup(void **state)
{
	(void)state;
	rcu_register_thread();
	assert_int_equal(attrs_init(), 0);
	CDS_INIT_LIST_HEAD(&w.d.protos);
	w.d.router_id = 0x0a000001;
	w.d.ifaces = (struct ifaces *)1;
	w.d.bfd = (struct bfd_client *)1;
	w.d.config = &w.config;
	w.config.gr_wait = 240;
	w.d.main = loop_create("main");
	assert_int_equal(loop_start(w.d.main), 0);
	w.d.bgp = bgp_engine_create(&w.d, 2);
	assert_non_null(w.d.bgp);
	return 0;
}

static void destroy_engine(void *arg)
{
	(void)arg;
	bgp_engine_destroy(w.d.bgp);
}

static int group_teardown(void **state)
{
	(void)state;
	in_main(destroy_engine, NULL);
	loop_join_destroy(w.d.main);
	rcu_barrier();
	attrs_exit();
	rcu_unregister_thread();
	return 0;
}

static int setup(void **state)
{
	(void)state;
	our_port = free_port();
	peer_port = free_port();
	memset(w.source, 0, sizeof(w.source));
	w.no_interface = w.link_down = w.no_export = false;
	w.down_calls = 0;
	ch4_cf = (struct channel_config){.name = "ipv4",
		.net = NET_IP4,
		.safi = 1,
		.table = &table4,
		.preference = 100,
		.aigp = TRI_UNSET,
		.gateway_recursive = TRI_UNSET,
		.graceful_restart = TRI_UNSET,
		.llgr = TRI_UNSET,
		.llgr_stale_time = UINT32_MAX,
		.max_llgr_time = UINT32_MAX};
	ch6_cf = ch4_cf;
	ch6_cf.name = "ipv6";
	ch6_cf.net = NET_IP6;
	ch6_cf.table = &table6;
	ch6_cf.gateway_recursive = TRI_ON;
	bgp = (struct bgp_config){.local_as = OUR_AS,
		.remote_as = PEER_AS,
		.peer_type = BGP_PEER_BY_AS,
		.remote = ip("127.0.0.2"),
		.local_port = our_port,
		.remote_port = peer_port,
		.passive = true,
		.capabilities = true,
		.enable_refresh = true,
		.enable_enhanced_refresh = true,
		.enable_as4 = true,
		.gr_mode = GR_AWARE,
		.llgr_mode = GR_AWARE,
		.max_gr_time = UINT32_MAX,
		.max_llgr_time = UINT32_MAX,
		.gr_time = 120,
		.hold_time = 240,
		.startup_hold_time = 240,
		.send_hold_time = UINT32_MAX,
		.connect_delay = 1,
		.connect_retry = 1,
		.error_wait_min = 60,
		.error_wait_max = 300,
		.error_forget = 300,
		.check_link = TRI_ON,
		.default_local_pref = 100,
		.role = BGP_ROLE_NONE};
	proto_cf =
		(struct proto_config){.name = "peer1", .type = PROTO_BGP, .type_name = "BGP", .body = &bgp};
	CDS_INIT_LIST_HEAD(&proto_cf.channels);
	proto = make_proto(&proto_cf);
	peer_open = (struct bgp_open){.version = 4, .as = PEER_AS, .hold_time = 240, .id = 0x0a000002};
	peer_open.caps.role = BGP_ROLE_NONE;
	peer_open.caps.any = peer_open.caps.multiprotocol = peer_open.caps.as4 = peer_open.caps.refresh =
		true;
	peer_open.caps.as4_number = PEER_AS;
	bgp_caps_af(&peer_open.caps, 1, 1)->multiprotocol = true;
	return 0;
}

static void add_and_start(void *arg)
{
	cds_list_add_tail(&((struct proto *)arg)->node, &w.d.protos);
	do_start(arg);
}

static void start(void)
{
	in_main(add_and_start, proto);
}

/* And the neighbour has connected and is Established. */
static int start_up(void)
{
	int fd;

	start();
	fd = peer_connect();
	establish(fd);
	WAIT_STATE(proto, PS_UP);
	return fd;
}

static void remove_proto(void *arg)
{
	struct proto *p = arg;

	cds_list_del(&p->node);
	free_proto(p);
}

static int teardown(void **state)
{
	struct stop_arg a = {proto, NULL};

	(void)state;
	in_main(do_stop, &a);
	WAIT_STATE(proto, PS_DOWN);
	in_main(remove_proto, proto);
	return 0;
}

/* ---- tests ---- */

static void test_we_are_called(void **state)
{
	int fd;

	(void)state;
	fd = start_up();
	wait_info("Established   ");
	/* 192.0.2.0/24 and a withdrawal */
	send_message(fd, BGP_MSG_UPDATE, "0000 0014 40010100 40020602010000fbf0 4003047f000002 18c00002");
	WAIT_LOG("+192.0.2.0/24 0 as 64496 lp 100\n");
	send_message(fd, BGP_MSG_UPDATE, "0004 18c00002 0000");
	WAIT_LOG("-192.0.2.0/24 0\n");
	close(fd);
	WAIT_LOG("flush\n");
	WAIT_STATE(proto, PS_START);
	wait_info("Passive       Socket: Connection closed");
}

static void test_we_call(void **state)
{
	struct bgp_open o;
	struct bgp_error e;
	int l, fd;

	(void)state;
	bgp.passive = false;
	ch4_cf.add_paths = ADD_PATH_BOTH;
	bgp.role = BGP_ROLE_CUSTOMER;
	l = peer_listen();
	start();
	fd = peer_accept(l);
	assert_true(expect(fd, BGP_MSG_OPEN));
	assert_int_equal(bgp_open_decode(msg + 19, msg_len - 19, &o, &e), 0);
	assert_int_equal(o.as, OUR_AS);
	assert_int_equal(o.id, 0x0a000001);
	assert_int_equal(o.hold_time, 240);
	assert_true(o.caps.as4 && o.caps.refresh && o.caps.enhanced_refresh && o.caps.gr &&
		    !o.caps.extended_messages);
	assert_int_equal(o.caps.role, BGP_ROLE_CUSTOMER);
	assert_int_equal(bgp_caps_find_af(&o.caps, 1, 1)->add_path, ADD_PATH_BOTH);
	assert_true(bgp_caps_find_af(&o.caps, 2, 1)->multiprotocol);
	send_open(fd);
	assert_true(expect(fd, BGP_MSG_KEEPALIVE));
	send_keepalive(fd);
	WAIT_STATE(proto, PS_UP);
	wait_show("  BGP state:          Established\n    Neighbor address: 127.0.0.2\n");
	wait_show("    Neighbor ID:      10.0.0.2\n    Local capabilities\n      Multiprotocol\n"
		  "        AF announced: ipv4 ipv6\n      Route refresh\n      Graceful restart\n"
		  "      4-octet AS numbers\n      ADD-PATH\n        RX: ipv4\n        TX: ipv4\n"
		  "      Enhanced refresh\n");
	wait_show("    Session:          external AS4\n    Source address:   127.0.0.1\n");
	close(fd);
	close(l);
}

static void test_nobody_answers_then_somebody(void **state)
{
	int l, fd;

	(void)state;
	bgp.passive = false;
	start(); /* nothing listens: refused, tried again */
	wait_info("Active        Socket: Connection refused");
	l = peer_listen();
	fd = peer_accept(l);
	establish(fd);
	WAIT_STATE(proto, PS_UP);
	close(fd);
	close(l);
}

static void test_wrong_as(void **state)
{
	int fd;

	(void)state;
	start();
	fd = peer_connect();
	peer_open.as = peer_open.caps.as4_number = 65001;
	assert_true(expect(fd, BGP_MSG_OPEN));
	send_open(fd);
	expect_notification(fd, 2, 2);
	assert_int_equal(get_u32(msg + 21), 65001);
	expect_closed(fd);
	wait_info("Idle          BGP Error: Bad peer AS: 65001");
	wait_show("    Error wait:       ");
	wait_show("    Last error:       BGP Error: Bad peer AS: 65001\n");
	/* error wait: nobody is let in */
	fd = peer_connect_from("127.0.0.2");
	expect_closed(fd);
}

static void test_they_refuse_our_as(void **state)
{
	int fd;

	(void)state;
	start();
	fd = peer_connect();
	assert_true(expect(fd, BGP_MSG_OPEN));
	send_message(fd, BGP_MSG_NOTIFICATION, "0202");
	expect_closed(fd);
	wait_info("Idle          Received: Bad peer AS: 64500");
}

static void test_open_refusals(void **state)
{
	static const struct {
		const char *name;
		uint8_t code, subcode;
	} cases[] = {{"role mismatch", 2, 11}, {"role missing", 2, 11}, {"no family", 2, 8},
		{"capability missing", 2, 7}, {"hold time", 2, 6}, {"same id", 0, 0},
		{"update instead of open", 5, 1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int fd;

		if (i) {
			teardown(state);
			setup(state);
		}
		switch (i) {
		case 0:
			bgp.role = BGP_ROLE_PROVIDER;
			peer_open.caps.role = BGP_ROLE_PROVIDER;
			break;
		case 1:
			bgp.role = BGP_ROLE_PROVIDER;
			bgp.require_roles = true;
			break;
		case 2: peer_open.caps.af[0].afi = 25; break;
		case 3: bgp.require_extended_messages = true; break;
		case 4:
			bgp.min_hold_time = 30;
			peer_open.hold_time = 20;
			break;
		case 5: peer_open.id = w.d.router_id; break; /* RFC 6286: allowed between ASes */
		default: break;
		}
		start();
		fd = peer_connect();
		assert_true(expect(fd, BGP_MSG_OPEN));
		if (i == 6)
			send_message(fd, BGP_MSG_UPDATE, "0000 0000");
		else
			send_open(fd);
		if (cases[i].code) {
			expect_notification(fd, cases[i].code, cases[i].subcode);
			expect_closed(fd);
		} else {
			assert_true(expect(fd, BGP_MSG_KEEPALIVE));
			close(fd);
		}
	}
}

static void test_no_capabilities(void **state)
{
	struct bgp_open o;
	struct bgp_error e;
	int fd;

	(void)state;
	start();
	fd = peer_connect();
	assert_true(expect(fd, BGP_MSG_OPEN));
	send_message(fd, BGP_MSG_NOTIFICATION, "0204");
	expect_closed(fd);
	fd = peer_connect();
	assert_true(expect(fd, BGP_MSG_OPEN));
	assert_int_equal(bgp_open_decode(msg + 19, msg_len - 19, &o, &e), 0);
	assert_false(o.caps.any);
	memset(&peer_open.caps, 0, sizeof(peer_open.caps));
	peer_open.caps.role = BGP_ROLE_NONE;
	send_open(fd);
	assert_true(expect(fd, BGP_MSG_KEEPALIVE));
	send_keepalive(fd);
	WAIT_STATE(proto, PS_UP);
	/* 2-octet AS numbers */
	send_message(fd, BGP_MSG_UPDATE, "0000 0012 40010100 4002040201fbf0 4003047f000002 18c00002");
	WAIT_LOG("+192.0.2.0/24 0 as 64496 lp 100\n");
	close(fd);
}

/* The neighbour's connection is in OpenConfirm when it takes ours as well: the dominant side's survives. */
static void collision(uint32_t peer_id, bool keeps_theirs)
{
	int l, theirs, ours;

	bgp.passive = false;
	peer_open.id = peer_id;
	l = peer_listen();
	start();
	theirs = peer_connect();
	ours = peer_accept(l);
	assert_true(expect(theirs, BGP_MSG_OPEN));
	assert_true(expect(ours, BGP_MSG_OPEN));
	send_open(theirs);
	assert_true(expect(theirs, BGP_MSG_KEEPALIVE));
	send_open(ours);
	if (keeps_theirs) {
		expect_notification(ours, 6, 7);
		send_keepalive(theirs);
	} else {
		expect_notification(theirs, 6, 7);
		assert_true(expect(ours, BGP_MSG_KEEPALIVE));
		send_keepalive(ours);
	}
	WAIT_STATE(proto, PS_UP);
	close(ours);
	close(theirs);
	close(l);
}

static void test_collision_neighbor_dominant(void **state)
{
	(void)state;
	collision(0x0b000000, true);
}

static void test_collision_we_dominate(void **state)
{
	(void)state;
	collision(0x09000000, false);
}

static void test_hold_timer(void **state)
{
	int fd;

	(void)state;
	bgp.hold_time = 3;
	fd = start_up();
	expect_notification(fd, 4, 0);
	expect_closed(fd);
	WAIT_LOG("flush\n");
	wait_info("Idle          BGP Error: Hold timer expired");
}

static void test_keepalives_hold_it_up(void **state)
{
	int fd;

	(void)state;
	bgp.hold_time = 3;
	fd = start_up();
	/* Ours arrive in time (SO_RCVTIMEO is far longer than the hold time), theirs keep the session for
	 * longer than 3 s. */
	for (unsigned i = 0; i < 6; i++) {
		assert_true(expect(fd, BGP_MSG_KEEPALIVE));
		send_keepalive(fd);
	}
	assert_true(is_up());
	close(fd);
}

static void test_received_cease(void **state)
{
	int fd;

	(void)state;
	fd = start_up();
	send_message(fd, BGP_MSG_NOTIFICATION, "0602 04 70656163");
	WAIT_STATE(proto, PS_START);
	wait_info("Passive       Received: Administrative shutdown: \"peac\"");
	close(fd);
	fd = peer_connect(); /* a Cease is no error: at once again */
	establish(fd);
	WAIT_STATE(proto, PS_UP);
	close(fd);
}

static void test_disable_after_cease(void **state)
{
	int fd;

	(void)state;
	bgp.disable_after_cease = 1 << 2;
	fd = start_up();
	send_message(fd, BGP_MSG_NOTIFICATION, "0602");
	WAIT_STATE(proto, PS_DOWN);
	assert_true(proto->disabled);
	wait_info("Received: Administrative shutdown");
	close(fd);
}

static void test_admin_stop_says_why(void **state)
{
	struct stop_arg a = {proto, "back at noon"};
	int fd;

	(void)state;
	fd = start_up();
	proto->disabled = true;
	in_main(do_stop, &a);
	expect_notification(fd, 6, 2);
	assert_int_equal(msg[21], 12);
	assert_memory_equal(msg + 22, "back at noon", 12);
	expect_closed(fd);
	WAIT_STATE(proto, PS_DOWN);
}

static void test_bad_header(void **state)
{
	uint8_t junk[19] = {0};
	int fd;

	(void)state;
	fd = start_up();
	put(fd, junk, sizeof(junk));
	expect_notification(fd, 1, 1);
	expect_closed(fd);
}

static void test_malformed_attribute_keeps_session(void **state)
{
	int fd;

	(void)state;
	fd = start_up();
	send_message(fd, BGP_MSG_UPDATE, "0000 0014 40010103 40020602010000fbf0 4003047f000002 18c00002");
	WAIT_LOG("-192.0.2.0/24 0\n");
	send_message(fd, BGP_MSG_UPDATE, "0000 0014 40010100 40020602010000fbf0 4003047f000002 18c00002");
	WAIT_LOG("+192.0.2.0/24 0 as 64496 lp 100\n");
	/* but prefixes that cannot be found end it */
	send_message(fd, BGP_MSG_UPDATE, "0000 0014 40010100 40020602010000fbf0 4003047f000002 21c0000201");
	expect_notification(fd, 3, 10);
	expect_closed(fd);
}

static void test_back_pressure(void **state)
{
	int fd;
	char wish[64];

	(void)state;
	bgp.hold_time = 3;
	fd = start_up();
	pthread_mutex_lock(&w.lock);
	w.source[0].full = true;
	pthread_mutex_unlock(&w.lock);
	send_message(fd, BGP_MSG_UPDATE, "0004 18c00001 0000");
	WAIT_LOG("-192.0.1.0/24");
	/* Reading has stopped now: what comes stays in the socket, for longer than the hold time, and
	 * keepalives go on. */
	for (unsigned i = 0; i < 5; i++) {
		send_message(fd, BGP_MSG_UPDATE, "0004 18c00002 0000");
		assert_true(expect(fd, BGP_MSG_KEEPALIVE));
	}
	assert_false(logged_so_far("-192.0.2.0/24"));
	assert_true(is_up());
	pthread_mutex_lock(&w.lock);
	w.source[0].full = false;
	pthread_mutex_unlock(&w.lock);
	w.source[0].c.resume(w.source[0].c.ctx);
	snprintf(wish, sizeof(wish), "-192.0.2.0/24 0\n-192.0.2.0/24 0\n-192.0.2.0/24 0\n");
	WAIT_LOG(wish);
	close(fd);
}

/* While much is under way few routes are read at once, many piece by piece, and all in the end. */
static void test_much_waits_for_its_turn(void **state)
{
	enum { MANY = 200, MESSAGE = 27 };
	uint8_t bytes[MANY * MESSAGE], *p = bytes;
	unsigned submits;
	int fd;

	(void)state;
	fd = start_up();
	atomic_store(&w.under_way, UINT64_C(1) << 40);
	send_message(fd, BGP_MSG_UPDATE, "0004 18c00001 0000");
	WAIT_LOG("-192.0.1.0/24");
	for (unsigned i = 0; i < MANY; i++, p += MESSAGE) {
		static const uint8_t model[MESSAGE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, MESSAGE, BGP_MSG_UPDATE, 0, 4, 24, 10, 0,
			0, 0, 0};

		memcpy(p, model, MESSAGE);
		p[24] = (uint8_t)i;
	}
	pthread_mutex_lock(&w.lock);
	submits = w.source[0].submits;
	pthread_mutex_unlock(&w.lock);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	WAIT_LOG("-10.0.0.0/24 0\n-10.0.1.0/24 0\n-10.0.2.0/24 0\n");
	WAIT_LOG("-10.0.198.0/24 0\n-10.0.199.0/24 0\n");
	pthread_mutex_lock(&w.lock);
	assert_true(w.source[0].submits - submits > 1);
	pthread_mutex_unlock(&w.lock);
	assert_true(is_up());
	atomic_store(&w.under_way, 0);
	close(fd);
}

static bool peer4_attached(void *arg)
{
	(void)arg;
	return w.peer[0] != NULL;
}

/* What export knows of the IPv4 peer now; the session's thread may take it away as soon as the lock is free.
 */
static struct export_peer peer4(void)
{
	struct export_peer x;

	pthread_mutex_lock(&w.lock);
	assert_non_null(w.peer[0]);
	x = *w.peer[0];
	pthread_mutex_unlock(&w.lock);
	return x;
}

/* A long stream to a slow reader; then we are told to stop: the NOTIFICATION comes after a whole message. */
static void test_writing(void **state)
{
	struct stop_arg a = {proto, NULL};
	struct export_peer *x;
	size_t total = 0, updates = 0;
	int fd;

	(void)state;
	fd = start_up();
	assert_true(world_wait(peer4_attached, NULL));
	pthread_mutex_lock(&w.lock);
	x = w.peer[0];
	x->bytes = malloc(32 << 20);
	while (x->len < 31u << 20) {
		uint16_t n = (uint16_t)(23 + (x->len * 7 + total++) % 4000);

		bgp_put_header(x->bytes + x->len, n, BGP_MSG_UPDATE);
		memset(x->bytes + x->len + 19, (int)total, n - 19u);
		x->len += n;
	}
	pthread_mutex_unlock(&w.lock);
	x->c.wake(x->c.ctx);
	for (; updates < 4000; updates++)
		assert_true(expect(fd, BGP_MSG_UPDATE));
	proto->disabled = true;
	in_main(do_stop, &a);
	for (;;) {
		assert_true(read_all(fd, msg, BGP_HEADER_LEN));
		msg_len = get_u16(msg + 16);
		assert_int_equal(msg[0], 0xff);
		assert_true(read_all(fd, msg + BGP_HEADER_LEN, msg_len - BGP_HEADER_LEN));
		if (msg[18] == BGP_MSG_NOTIFICATION)
			break;
		assert_int_equal(msg[18], BGP_MSG_UPDATE);
		updates++;
	}
	assert_true(updates < total);
	assert_int_equal(msg[19], 6);
	expect_closed(fd);
}

static void test_refresh(void **state)
{
	int fd;

	(void)state;
	peer_open.caps.enhanced_refresh = true;
	fd = start_up();
	send_message(fd, BGP_MSG_ROUTE_REFRESH, "0001 01 01"); /* BoRR */
	WAIT_LOG("stale\n");
	send_message(fd, BGP_MSG_UPDATE, "0004 18c00002 0000");
	send_message(fd, BGP_MSG_ROUTE_REFRESH, "0001 02 01"); /* EoRR */
	WAIT_LOG("-192.0.2.0/24 0\nsweep\n");
	send_message(fd, BGP_MSG_ROUTE_REFRESH, "0001 00 01");
	send_message(fd, BGP_MSG_ROUTE_REFRESH, "0019 00 46"); /* a family we do not have: ignored */
	send_message(fd, BGP_MSG_UPDATE, "0004 18c00003 0000");
	WAIT_LOG("-192.0.3.0/24 0\n");
	assert_int_equal(peer4().refreshes, 100);
	send_message(fd, BGP_MSG_ROUTE_REFRESH, "0001 01 01 00");
	expect_notification(fd, 7, 1);
	expect_closed(fd);
}

static void do_reload(void *arg)
{
	(void)arg;
	assert_int_equal(bgp_ops.reload(proto, true, true), 0);
}

static void test_reload_by_hand(void **state)
{
	int fd;

	(void)state;
	fd = start_up();
	in_main(do_reload, NULL);
	assert_true(expect(fd, BGP_MSG_ROUTE_REFRESH));
	assert_int_equal(get_u32(msg + 19), 0x00010001);
	WAIT_LOG("reconfigure reevaluate\n");
	assert_int_equal(peer4().refreshes, 1);
	close(fd);
}

static void restartable_peer(uint8_t af_flags, uint16_t time)
{
	struct bgp_af_caps *a = bgp_caps_af(&peer_open.caps, 1, 1);

	peer_open.caps.gr = true;
	peer_open.caps.gr_time = time;
	a->gr = true;
	a->gr_flags = af_flags;
}

static void test_graceful_restart_helper(void **state)
{
	int fd;

	(void)state;
	restartable_peer(0, 100);
	fd = start_up();
	send_message(fd, BGP_MSG_UPDATE, "0000 0000"); /* End-of-RIB */
	close(fd);
	WAIT_LOG("stale\n");
	assert_true(is_up());
	wait_show("    Neighbor graceful restart active\n");
	/* back, with forwarding state */
	restartable_peer(GR_AF_FORWARDING, 100);
	fd = peer_connect();
	establish(fd);
	send_message(fd, BGP_MSG_UPDATE, "0000 0014 40010100 40020602010000fbf0 4003047f000002 18c00002");
	WAIT_LOG("+192.0.2.0/24 0 as 64496 lp 100\n");
	assert_false(logged_so_far("sweep"));
	send_message(fd, BGP_MSG_UPDATE, "0000 0000");
	WAIT_LOG("+192.0.2.0/24 0 as 64496 lp 100\nsweep\n");
	assert_false(logged_so_far("flush"));
	close(fd);
}

static void test_graceful_restart_lost_state(void **state)
{
	int fd;

	(void)state;
	restartable_peer(0, 100);
	fd = start_up();
	close(fd);
	WAIT_LOG("stale\n");
	fd = peer_connect(); /* forwarding state not preserved: F bit clear */
	establish(fd);
	WAIT_LOG("stale\nsweep\n");
	close(fd);
}

static void test_graceful_restart_timeout_then_llgr(void **state)
{
	struct bgp_af_caps *a = bgp_caps_af(&peer_open.caps, 1, 1);
	int fd;

	(void)state;
	restartable_peer(0, 1);
	peer_open.caps.llgr = a->llgr = true;
	a->llgr_time = 1;
	fd = start_up();
	close(fd);
	WAIT_LOG("stale\nllgr\nsweep\n");
	WAIT_STATE(proto, PS_START);
}

/* Back before we saw it go: RFC 4724 section 5. */
static void test_graceful_restart_unseen(void **state)
{
	int old, fd;

	(void)state;
	restartable_peer(GR_AF_FORWARDING, 100);
	old = start_up();
	fd = peer_connect_from("127.0.0.2");
	establish(fd);
	WAIT_LOG("stale\n");
	assert_true(is_up());
	expect_closed(old);
	close(fd);
}

static void test_notification_ends_restart(void **state)
{
	int fd;

	(void)state;
	restartable_peer(0, 100);
	fd = start_up();
	send_message(fd, BGP_MSG_NOTIFICATION, "0602");
	WAIT_LOG("flush\n");
	WAIT_STATE(proto, PS_START);
	close(fd);
}

/* RFC 8538: with the N bit on both sides a NOTIFICATION retains, a Hard Reset does not. */
static void test_notification_bit(void **state)
{
	int fd;

	(void)state;
	bgp.gr_mode = GR_ON;
	restartable_peer(GR_AF_FORWARDING, 100);
	peer_open.caps.gr_flags = GR_FLAG_NOTIFICATION;
	fd = start_up();
	send_message(fd, BGP_MSG_NOTIFICATION, "0604");
	WAIT_LOG("stale\n");
	close(fd);
	fd = peer_connect();
	establish(fd);
	send_message(fd, BGP_MSG_UPDATE, "0004 18c00002 0000"); /* Established */
	WAIT_LOG("-192.0.2.0/24 0\n");
	send_message(fd, BGP_MSG_NOTIFICATION, "0609 0602");
	WAIT_LOG("flush\n");
	close(fd);
}

static bool bfd_asked(void *arg)
{
	(void)arg;
	return w.bfd != NULL;
}

static void test_bfd(void **state)
{
	struct bfd_stamps t = {0};
	int fd;

	(void)state;
	bgp.bfd = BGP_BFD_ON;
	start();
	assert_true(world_wait(bfd_asked, NULL));
	assert_true(ipaddr_equal(&w.bfd->r.key.remote, &bgp.remote));
	assert_int_equal(w.bfd->r.key.ifindex, 1);
	fd = peer_connect(); /* comes up without BFD */
	establish(fd);
	WAIT_STATE(proto, PS_UP);
	w.bfd->r.event(w.bfd->r.ctx, BFD_EVENT_UP, 0, false, &t, NULL);
	/* no reasons to tear a session */
	w.bfd->r.event(w.bfd->r.ctx, BFD_EVENT_ADMIN_DOWN, 7, false, &t, NULL);
	w.bfd->r.event(w.bfd->r.ctx, BFD_EVENT_UNKNOWN, 0, false, &t, NULL);
	send_message(fd, BGP_MSG_UPDATE, "0004 18c00002 0000");
	WAIT_LOG("-192.0.2.0/24 0\n");
	w.bfd->r.event(w.bfd->r.ctx, BFD_EVENT_DOWN, 1, false, &t, NULL);
	expect_notification(fd, 6, 10);
	expect_closed(fd);
	WAIT_LOG("flush\n");
	wait_info("Idle          Error: BFD session down");
	/* the error wait ends when the path is back */
	w.bfd->r.event(w.bfd->r.ctx, BFD_EVENT_UP, 0, false, &t, NULL);
	fd = peer_connect();
	establish(fd);
	WAIT_STATE(proto, PS_UP);
	close(fd);
}

/* The next message is of that type: not even a KEEPALIVE comes before it. */
static void expect_next(int fd, uint8_t type)
{
	assert_true(expect(fd, type));
	assert_int_equal(msg_bypassed, 0);
}

static void strict_peer(uint32_t hold)
{
	bgp.bfd = BGP_BFD_ON;
	bgp.bfd_strict = true;
	bgp.bfd_strict_hold = hold;
	peer_open.caps.bfd_strict = true;
	start();
	assert_true(world_wait(bfd_asked, NULL));
}

/* OPENs are exchanged without BFD; the KEEPALIVE that ends the handshake waits for it. */
static void test_bfd_strict(void **state)
{
	struct bfd_stamps t = {0};
	struct bgp_open o;
	struct bgp_error e;
	int fd;

	(void)state;
	strict_peer(0);
	for (unsigned confirmed = 0; confirmed < 2; confirmed++) {
		fd = peer_connect();
		expect_next(fd, BGP_MSG_OPEN);
		assert_int_equal(bgp_open_decode(msg + 19, msg_len - 19, &o, &e), 0);
		assert_true(o.caps.bfd_strict);
		send_open(fd);
		if (confirmed) /* the neighbour has BFD Up before us, or does not care */
			send_keepalive(fd);
		wait_info(confirmed ? "OpenConfirm   Error: BFD session down" : "OpenConfirm   ");
		w.bfd->r.event(w.bfd->r.ctx, BFD_EVENT_UP, 0, false, &t, NULL);
		expect_next(fd, BGP_MSG_KEEPALIVE);
		if (!confirmed)
			send_keepalive(fd);
		WAIT_STATE(proto, PS_UP);
		w.bfd->r.event(w.bfd->r.ctx, BFD_EVENT_DOWN, 1, false, &t, NULL);
		expect_notification(fd, 6, 10);
		expect_closed(fd);
		wait_info("Idle          Error: BFD session down");
		/* Up and down again: the error wait is over, BFD is not Up. */
		w.bfd->r.event(w.bfd->r.ctx, BFD_EVENT_UP, 0, false, &t, NULL);
		w.bfd->r.event(w.bfd->r.ctx, BFD_EVENT_DOWN, 1, false, &t, NULL);
	}
	/* Lost again after our KEEPALIVE, before the neighbour's. */
	fd = peer_connect();
	w.bfd->r.event(w.bfd->r.ctx, BFD_EVENT_UP, 0, false, &t, NULL);
	expect_next(fd, BGP_MSG_OPEN);
	send_open(fd);
	expect_next(fd, BGP_MSG_KEEPALIVE);
	w.bfd->r.event(w.bfd->r.ctx, BFD_EVENT_DOWN, 1, false, &t, NULL);
	expect_notification(fd, 6, 10);
	expect_closed(fd);
}

/* BFD that does not come: the session ends with Cease/10, whatever the neighbour's KEEPALIVEs say. */
static void test_bfd_strict_hold(void **state)
{
	struct bfd_stamps t = {0};
	int fd;

	(void)state;
	strict_peer(1);
	fd = peer_connect();
	expect_next(fd, BGP_MSG_OPEN);
	send_open(fd);
	send_keepalive(fd);
	expect_next(fd, BGP_MSG_NOTIFICATION);
	assert_int_equal(msg[19], BGP_ERR_CEASE);
	assert_int_equal(msg[20], CEASE_BFD_DOWN);
	expect_closed(fd);
	wait_info("Idle          Error: BFD session not up");
	/* the error wait ends when it comes */
	w.bfd->r.event(w.bfd->r.ctx, BFD_EVENT_UP, 0, false, &t, NULL);
	fd = peer_connect();
	establish(fd);
	WAIT_STATE(proto, PS_UP);
	close(fd);
}

static void test_bfd_graceful(void **state)
{
	struct bfd_stamps t = {0};
	int fd;

	(void)state;
	bgp.bfd = BGP_BFD_GRACEFUL;
	restartable_peer(GR_AF_FORWARDING, 100);
	fd = start_up();
	w.bfd->r.event(w.bfd->r.ctx, BFD_EVENT_DOWN, 1, false, &t, NULL);
	WAIT_LOG("stale\n");
	expect_closed(fd);
	assert_true(is_up());
}

static void test_waits_for_interface(void **state)
{
	(void)state;
	w.no_interface = true;
	start();
	wait_info("Idle          ");
	w.no_interface = false;
	session_call(((struct bgp_peer *)proto->data)->session, session_iface_changed);
	for (unsigned i = 0; i < 1000 && !strstr(info(), "Passive"); i++)
		usleep(10000);
	wait_info("Passive       ");
}

static void test_link_down(void **state)
{
	int fd;

	(void)state;
	fd = start_up();
	w.link_down = true;
	session_call(((struct bgp_peer *)proto->data)->session, session_iface_changed);
	WAIT_LOG("flush\n");
	WAIT_STATE(proto, PS_START);
	wait_info("Idle          Error: Link down");
	expect_notification(fd, 6, 0);
	expect_closed(fd);
}

static void test_prefix_limit(void **state)
{
	int fd;

	(void)state;
	ch4_cf.import_limit = (struct limit_config){10, LIMIT_DISABLE};
	fd = start_up();
	w.source[0].c.limit_hit(w.source[0].c.ctx, true, LIMIT_DISABLE);
	expect_notification(fd, 6, 1);
	expect_closed(fd);
	WAIT_STATE(proto, PS_DOWN);
	assert_true(proto->disabled);
	wait_info("Automatic shutdown: Route limit exceeded");
}

static void test_out_of_resources(void **state)
{
	int fd;

	(void)state;
	w.no_export = true;
	start();
	fd = peer_connect();
	establish(fd);
	expect_notification(fd, 6, 8);
	expect_closed(fd);
	WAIT_STATE(proto, PS_START);
	wait_info("Idle          Error: Out of resources");
}

static bool has_child(void *arg)
{
	(void)arg;
	return w.child != NULL;
}

static void test_dynamic_neighbors(void **state)
{
	struct proto *child;
	int fd, stranger;

	(void)state;
	w.child = NULL;
	memset(&bgp.remote, 0, sizeof(bgp.remote));
	bgp.has_range = true;
	bgp.range = pfx("127.0.0.0/30");
	bgp.remote_as = 0;
	bgp.peer_type = BGP_PEER_EXTERNAL;
	bgp.dynamic_name = "dyn";
	start();
	wait_info("Passive       ");
	stranger = peer_connect_from("127.0.0.9");
	expect_notification(stranger, 6, 5); /* RFC 4486: Connection Rejected */
	expect_closed(stranger);
	fd = peer_connect();
	establish(fd);
	assert_true(world_wait(has_child, NULL));
	child = w.child;
	assert_string_equal(child->cf->name, "dyn1");
	WAIT_STATE(child, PS_UP);
	send_message(fd, BGP_MSG_UPDATE, "0004 18c00002 0000");
	WAIT_LOG("-192.0.2.0/24 0\n");
	close(fd);
	WAIT_STATE(child, PS_DOWN);
	assert_true(child->gone);
	in_main(remove_proto, child);
}

static void test_second_connection_is_refused(void **state)
{
	int fd, other;

	(void)state;
	fd = start_up();
	other = peer_connect_from("127.0.0.2");
	expect_closed(other);
	send_message(fd, BGP_MSG_UPDATE, "0004 18c00002 0000");
	WAIT_LOG("-192.0.2.0/24 0\n");
	close(fd);
}

static void test_extended_messages(void **state)
{
	static struct bytes m;
	int fd;

	(void)state;
	bgp.enable_extended_messages = true;
	peer_open.caps.extended_messages = true;
	fd = start_up();
	assert_int_equal(peer4().c.encode.max_message, 65535);
	m.n = 19;
	put_hex(&m, "ffe0"); /* 16376 withdrawals of 10.0.0.0/24 */
	for (unsigned i = 0; i < 0xffe0 / 4; i++)
		put_hex(&m, "180a0000");
	put_hex(&m, "0000");
	bgp_put_header(m.b, (uint16_t)m.n, BGP_MSG_UPDATE);
	put(fd, m.b, m.n);
	WAIT_LOG("-10.0.0.0/24 0\n-10.0.0.0/24 0\n-10.0.0.0/24 0\n");
	assert_true(is_up());
	close(fd);
}

#define SESSION_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SESSION_TEST(test_we_are_called),
		SESSION_TEST(test_we_call),
		SESSION_TEST(test_nobody_answers_then_somebody),
		SESSION_TEST(test_wrong_as),
		SESSION_TEST(test_they_refuse_our_as),
		SESSION_TEST(test_open_refusals),
		SESSION_TEST(test_no_capabilities),
		SESSION_TEST(test_collision_neighbor_dominant),
		SESSION_TEST(test_collision_we_dominate),
		SESSION_TEST(test_hold_timer),
		SESSION_TEST(test_keepalives_hold_it_up),
		SESSION_TEST(test_received_cease),
		SESSION_TEST(test_disable_after_cease),
		SESSION_TEST(test_admin_stop_says_why),
		SESSION_TEST(test_bad_header),
		SESSION_TEST(test_malformed_attribute_keeps_session),
		SESSION_TEST(test_back_pressure),
		SESSION_TEST(test_much_waits_for_its_turn),
		SESSION_TEST(test_writing),
		SESSION_TEST(test_refresh),
		SESSION_TEST(test_reload_by_hand),
		SESSION_TEST(test_graceful_restart_helper),
		SESSION_TEST(test_graceful_restart_lost_state),
		SESSION_TEST(test_graceful_restart_timeout_then_llgr),
		SESSION_TEST(test_graceful_restart_unseen),
		SESSION_TEST(test_notification_ends_restart),
		SESSION_TEST(test_notification_bit),
		SESSION_TEST(test_bfd),
		SESSION_TEST(test_bfd_strict),
		SESSION_TEST(test_bfd_strict_hold),
		SESSION_TEST(test_bfd_graceful),
		SESSION_TEST(test_waits_for_interface),
		SESSION_TEST(test_link_down),
		SESSION_TEST(test_prefix_limit),
		SESSION_TEST(test_out_of_resources),
		SESSION_TEST(test_dynamic_neighbors),
		SESSION_TEST(test_second_connection_is_refused),
		SESSION_TEST(test_extended_messages),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
