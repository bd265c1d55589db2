/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Filters are shared: several threads run one while another reads
 * configurations that contain equal sets and filters, and lets go of them.
 * ThreadSanitizer watches the counting; here the answers are checked.
 */
#include "tests/unit/filter_support.h"

#include <pthread.h>
#include <stdatomic.h>

static const char text[] =
	"define S = [ 10.0.0.0/8+, 192.0.2.0/24 ];\ndefine A = [ 1, 5..9, 64496 ];\nattribute int mark;\n"
	"function ok(int x) -> bool { return x ~ A; }\n"
	"filter f { if net !~ S then reject; if ! ok(bgp_path.first) then reject; bgp_community.add((1,2)); "
	"mark = 5; accept; }\n";

struct shared {
	const struct filter *filter;
	atomic_bool stop;
	atomic_uint wrong, runs;
};

static void *runner(void *arg)
{
	static const uint8_t path[] = {2, 1, 0, 0, 0xfb, 0xf0};
	struct shared *s = arg;
	struct filter_vm *vm = filter_vm_create();
	struct net net = {.type = NET_IP4};
	struct attrs attrs = {.present = ATTR_AS_PATH, .as_path = path, .as_path_bytes = sizeof(path)};
	struct filter_route r = {.net = &net, .attrs = &attrs, .source = RTS_BGP};

	while (!atomic_load(&s->stop)) {
		for (int i = 0; i < 100; i++) {
			const struct filter *f = filter_hold(s->filter);
			struct attrs out;
			bool changed;

			prefix_parse(i % 2 ? "10.1.0.0/16" : "172.16.0.0/16", &net.prefix);
			enum filter_verdict want = i % 2 ? FILTER_ACCEPT : FILTER_REJECT;
			if (filter_run(vm, f, &r, &changed, &out) != want ||
				(changed && out.n_community != 1))
				atomic_fetch_add(&s->wrong, 1);
			filter_release(f);
		}
		atomic_fetch_add(&s->runs, 1);
	}
	filter_vm_destroy(vm);
	return NULL;
}

static void *reader(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < 60; i++) {
		struct config_error err;
		char all[2048];
		int n = snprintf(all, sizeof(all),
			"router id 192.0.2.1;\n%s\ndefine N%d = [ %d ];\nprotocol device { }\n", text, i, i);
		struct config *c = config_parse_text("t", all, (size_t)n, false, &err);

		if (!c || filter_uid(find_filter(c, "f")) != filter_uid(s->filter))
			atomic_fetch_add(&s->wrong, 1);
		if (c)
			config_release(c);
	}
	return NULL;
}

static void run_while_others_read(void **state)
{
	struct config *c = config_of(text);
	struct shared s = {.filter = filter_hold(find_filter(c, "f"))};
	pthread_t run[3], read[2];

	config_release(c);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&run[i], NULL, runner, &s), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&read[i], NULL, reader, &s), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(read[i], NULL);
	while (!atomic_load(&s.runs))
		;
	atomic_store(&s.stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(run[i], NULL);
	assert_int_equal(atomic_load(&s.wrong), 0);
	filter_release(s.filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(run_while_others_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
