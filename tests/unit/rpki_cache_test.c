/* SPDX-License-Identifier: BSD-2-Clause */
/* What a cache has said ends when the cache stays away for longer than it holds (RFC 8210 section 6), and
 * not before. The cache is a socket of this test's; its time to live is one second, which no configuration
 * may ask for. */
#include "controlplane/rpki/cache.h"
#include "tests/unit/rib_support.h"
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static _Atomic unsigned synced, stopped;

static void on_synced(void *ctx)
{
	(void)ctx;
	synced++;
}

static void on_stopped(void *ctx)
{
	(void)ctx;
	stopped++;
}

static unsigned records(struct rib_table *t)
{
	union net_buffer u;
	struct rib_cursor cursor = {.table = t};
	unsigned n = 0;

	rcu_read_lock();
	while (rib_next(&cursor, &u.v, 4))
		n += u.v.n_routes > 0;
	rcu_read_unlock();
	return n;
}

static void records_expire(void **state)
{
	static const uint8_t answer[] = {1, 3, 0, 7, 0, 0, 0, 8,                    /* Cache Response */
		1, 4, 0, 0, 0, 0, 0, 20, 1, 24, 24, 0, 192, 0, 2, 0, 0, 0, 0xfc, 0, /* 192.0.2.0/24 AS64512 */
		1, 7, 0, 7, 0, 0, 0, 24, 0, 0, 0, 1, 0, 0, 0x0e, 0x10, 0, 0, 0x02, 0x58, 0, 0, 0x1c, 0x20};
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct rpki_config cf = {.remote = ipaddr_v4(htonl(INADDR_LOOPBACK)),
		.refresh = 3600,
		.retry = 3600,
		.expire = 1,
		.keep_retry = true,
		.keep_expire = true,
		.max_version = 1};
	struct rpki_cache_config c = {.name = "cache",
		.cf = &cf,
		.preference = {100, 100},
		.synced = on_synced,
		.stopped = on_stopped};
	struct rib_source_config sc = {.proto_name = "cache", .source = RTS_RPKI, .import.kind = FILTER_ALL};
	struct rib *rib = rib_create(2);
	struct rib_table *t = rib_table_open(rib, "r4", NET_ROA4, false);
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0), conn;
	struct rpki_cache *cache;
	struct rpki_cache_view v;
	uint8_t query[8];
	unsigned n;

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	cf.port = ntohs(at.sin_port);
	c.source[RPKI_ROA4] = rib_source_open(t, &sc);
	cache = rpki_cache_create(&c);
	assert_non_null(cache);
	conn = accept(listener, NULL, NULL);
	assert_true(conn >= 0);
	assert_int_equal(recv(conn, query, sizeof(query), MSG_WAITALL), sizeof(query));
	assert_int_equal(query[1], 2); /* Reset Query */
	assert_int_equal(send(conn, answer, sizeof(answer), 0), sizeof(answer));
	while (!synced)
		usleep(1000);
	/* The cache goes away at once, its record does not. */
	close(conn);
	close(listener);
	do {
		rpki_cache_view(cache, &v);
		usleep(1000);
	} while (strcmp(v.state, "Transport-Error"));
	rib_quiet(rib);
	n = records(t);
	rpki_cache_view(cache, &v);
	if (v.expire.running) /* it was when they were counted; this thread may have been away for a second */
		assert_int_equal(n, 1);
	do {
		rpki_cache_view(cache, &v);
		usleep(1000);
	} while (v.expire.running);
	for (unsigned i = 0; records(t) && i < 10000; i++)
		usleep(1000);
	assert_int_equal(records(t), 0);
	rpki_cache_view(cache, &v);
	assert_false(v.has_session); /* what comes next is everything, not a difference to what is gone */
	rpki_cache_stop(cache);
	while (!stopped)
		usleep(1000);
	rpki_cache_destroy(cache);
	source_close_wait(c.source[RPKI_ROA4]);
	rib_table_close(t);
	rib_destroy(rib);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(records_expire)};

	return cmocka_run_group_tests(tests, rib_test_setup, rib_test_teardown);
}
