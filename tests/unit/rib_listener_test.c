/* SPDX-License-Identifier: BSD-2-Clause */
/* Listeners: what they are told before and after, pins, repeated dumps, tasks. */
#include "tests/unit/rib_support.h"

enum { MAX_LOG = 4096 };

struct event {
	uint32_t prefix; /* host order */
	uint32_t index, old, now;
	unsigned n_old, n;
	uint32_t old_first, first;
	bool last, dump;
};

struct recorder {
	struct event e[MAX_LOG];
	unsigned n, dumped, closed, flushed;
	bool pin;
	struct rib_table *t;
};

static void changed(void *ctx, struct rib_shard *s, const struct rib_change *c, unsigned n, bool dump)
{
	struct recorder *r = ctx;

	for (unsigned i = 0; i < n; i++) {
		assert_true(r->n < MAX_LOG);
		r->e[r->n++] = (struct event){
			.prefix = ntohl(c[i].net->prefix.addr.w[3]),
			.index = c[i].index,
			.old = c[i].old_best_attrs,
			.now = c[i].best_attrs,
			.n_old = c[i].n_old_routes,
			.n = c[i].n_routes,
			.old_first = c[i].n_old_routes ? c[i].old_routes[0].attrs : 0,
			.first = c[i].n_routes ? c[i].routes[0].attrs : 0,
			.last = c[i].last,
			.dump = dump,
		};
	}
}

static void dumped(void *ctx, struct rib_shard *s)
{
	((struct recorder *)ctx)->dumped++;
}

static void closed(void *ctx, struct rib_shard *s)
{
	((struct recorder *)ctx)->closed++;
}

static void flushed(void *ctx, struct rib_shard *s)
{
	((struct recorder *)ctx)->flushed++;
}

static const struct rib_listener_ops ops = {
	.changed = changed, .dumped = dumped, .closed = closed, .flush = flushed};

struct ctx {
	struct rib *rib;
	struct rib_table *t;
	struct rib_source *a, *b;
	struct recorder r;
};

static void open_all(struct ctx *x, bool sorted)
{
	struct rib_source_config c = bgp_source("a", 1), d = bgp_source("b", 2);

	memset(x, 0, sizeof(*x));
	x->rib = rib_create(1);
	x->t = rib_table_open(x->rib, "t", NET_IP4, sorted);
	x->a = rib_source_open(x->t, &c);
	x->b = rib_source_open(x->t, &d);
	x->r.t = x->t;
}

static void close_all(struct ctx *x)
{
	struct attrs_usage u;

	source_close_wait(x->a);
	source_close_wait(x->b);
	rib_table_close(x->t);
	rib_destroy(x->rib);
	attrs_usage(&u);
	assert_int_equal(u.sets, 0);
}

/* All routes of a net, before and after, in order. */
static void test_old_and_new(void **state)
{
	static struct ctx x;
	struct rib_listener *l;
	struct net n = net_of("10.0.0.0/8");
	uint32_t one = simple_attrs(1, 1, 1), two = simple_attrs(1, 2, 2), three = simple_attrs(1, 3, 3);
	struct event *e = x.r.e;

	open_all(&x, true);
	l = rib_listener_open(x.t, RIB_LISTEN_ALL | RIB_LISTEN_OLD, &ops, &x.r);
	rib_quiet(x.rib); /* what comes before the first dump has passed is left to it */
	announce(x.a, &n, 0, two);
	announce(x.b, &n, 0, three); /* behind the best: of interest to who asked for all */
	announce(x.b, &n, 0, one);
	announce(x.b, &n, 0, one); /* nothing new */
	withdraw_net(x.b, &n, 0);
	withdraw_net(x.a, &n, 0);
	rib_quiet(x.rib);
	assert_int_equal(x.r.n, 5);
#define EVENT(i, n_before, before, n_after, after)                                                           \
	do {                                                                                                 \
		assert_int_equal(e[i].n_old, n_before);                                                      \
		assert_int_equal(e[i].old_first, before);                                                    \
		assert_int_equal(e[i].old, before);                                                          \
		assert_int_equal(e[i].n, n_after);                                                           \
		assert_int_equal(e[i].first, after);                                                         \
		assert_int_equal(e[i].now, after);                                                           \
	} while (0)
	EVENT(0, 0, 0, 1, two);
	EVENT(1, 1, two, 2, two);
	EVENT(2, 2, two, 2, one);
	EVENT(3, 2, one, 1, two);
	EVENT(4, 1, two, 0, 0);
	assert_true(e[4].last);
	assert_false(e[3].last);
	assert_true(x.r.flushed > 0);
	rib_listener_close(l);
	attrs_release(one);
	attrs_release(two);
	attrs_release(three);
	rib_quiet(x.rib);
	assert_int_equal(x.r.closed, 1);
	close_all(&x);
}

/* Who asked for the best hears of nothing else, though somebody else does. */
static void test_wants(void **state)
{
	static struct ctx x;
	static struct recorder all;
	struct rib_listener *l, *m;
	struct net n = net_of("10.0.0.0/8");
	uint32_t two = simple_attrs(1, 2, 2), three = simple_attrs(1, 3, 3);

	open_all(&x, false);
	memset(&all, 0, sizeof(all));
	l = rib_listener_open(x.t, RIB_LISTEN_BEST, &ops, &x.r);
	m = rib_listener_open(x.t, RIB_LISTEN_ALL, &ops, &all);
	rib_quiet(x.rib);
	announce(x.a, &n, 0, two);
	announce(x.b, &n, 0, three);
	withdraw_net(x.b, &n, 0);
	withdraw_net(x.a, &n, 0);
	rib_quiet(x.rib);
	assert_int_equal(x.r.n, 2);
	assert_int_equal(all.n, 4);
	rib_listener_close(l);
	rib_listener_close(m);
	attrs_release(two);
	attrs_release(three);
	close_all(&x);
}

static void pin(struct rib_shard *s, void *arg)
{
	rib_shard_pin(arg, s);
}

static void unpin(struct rib_shard *s, void *arg)
{
	rib_shard_unpin(arg, s);
}

/* A pinned table keeps the numbers of prefixes that have gone. */
static void test_pin(void **state)
{
	static struct ctx x;
	struct rib_listener *l;
	struct net n = net_of("10.0.0.0/8"), m = net_of("11.0.0.0/8");
	uint32_t id = simple_attrs(1, 2, 2), index;
	struct event *e = x.r.e;

	open_all(&x, false);
	l = rib_listener_open(x.t, RIB_LISTEN_BEST, &ops, &x.r);
	rib_quiet(x.rib);
	announce(x.a, &n, 0, id);
	rib_call_all(x.rib, pin, x.t);
	rib_call_all(x.rib, pin, x.t);
	withdraw_net(x.a, &n, 0);
	announce(x.a, &m, 0, id); /* gets another number */
	announce(x.a, &n, 0, id); /* gets its old one */
	withdraw_net(x.a, &n, 0);
	rib_quiet(x.rib);
	assert_int_equal(x.r.n, 5);
	index = e[0].index;
	assert_false(e[1].last);
	assert_int_equal(e[1].index, index);
	assert_int_not_equal(e[2].index, index);
	assert_int_equal(e[3].index, index);
	assert_int_equal(e[4].index, index);
	assert_false(e[4].last);
	rib_call_all(x.rib, unpin, x.t);
	rib_quiet(x.rib);
	assert_int_equal(x.r.n, 5);
	rib_call_all(x.rib, unpin, x.t);
	rib_quiet(x.rib);
	assert_int_equal(x.r.n, 6); /* once, though it went twice */
	assert_true(e[5].last);
	assert_int_equal(e[5].index, index);
	assert_int_equal(e[5].old, 0);
	rib_listener_close(l);
	attrs_release(id);
	close_all(&x);
}

static void test_redump(void **state)
{
	static struct ctx x;
	struct rib_listener *l;
	uint32_t id = simple_attrs(1, 2, 2);
	unsigned dumps = 0;

	open_all(&x, false);
	for (unsigned i = 0; i < 1000; i++) {
		struct net n = net4(i << 8, 24);

		announce(x.a, &n, 0, id);
	}
	rib_quiet(x.rib);
	l = rib_listener_open(x.t, RIB_LISTEN_BEST, &ops, &x.r);
	rib_quiet(x.rib);
	assert_int_equal(x.r.n, 1000);
	assert_int_equal(x.r.dumped, 1);
	rib_listener_redump(l);
	rib_quiet(x.rib);
	assert_int_equal(x.r.n, 2000);
	assert_int_equal(x.r.dumped, 2);
	for (unsigned i = 0; i < x.r.n; i++)
		dumps += x.r.e[i].dump && x.r.e[i].now == id && !x.r.e[i].old;
	assert_int_equal(dumps, 2000);
	rib_listener_close(l);
	l = rib_listener_open(x.t, RIB_LISTEN_BEST | RIB_LISTEN_NO_DUMP, &ops, &x.r);
	rib_quiet(x.rib);
	assert_int_equal(x.r.n, 2000);
	assert_int_equal(x.r.dumped, 3);
	rib_listener_close(l);
	attrs_release(id);
	close_all(&x);
}

/* A dump that takes many slices gives every prefix once: none is lost where a slice ends. */
struct tally {
	unsigned char seen[300000];
	unsigned again;
	_Atomic unsigned n;
};

static void tally_changed(void *ctx, struct rib_shard *s, const struct rib_change *c, unsigned n, bool dump)
{
	struct tally *t = ctx;

	(void)s;
	(void)dump;
	for (unsigned i = 0; i < n; i++) {
		unsigned number = ntohl(ipaddr_to_v4(&c[i].net->prefix.addr)) >> 8;

		t->again += t->seen[number]++ != 0;
	}
	atomic_fetch_add(&t->n, n);
}

static void dumped_nothing(void *ctx, struct rib_shard *s)
{
	(void)ctx;
	(void)s;
}

static void test_dump_in_slices(void **state)
{
	static const struct rib_listener_ops tally_ops = {
		.changed = tally_changed, .dumped = dumped_nothing, .closed = dumped_nothing};
	static struct ctx x;
	static struct tally t;
	struct rib_listener *l;
	struct rib_batch *b;
	uint32_t id = simple_attrs(1, 2, 2);

	open_all(&x, false);
	b = rib_batch_create(x.a);
	for (unsigned i = 0; i < 300000; i++) {
		struct net n = net4(i << 8, 24);

		rib_batch_announce(b, &n, 0, id);
	}
	rib_submit(b);
	rib_quiet(x.rib);
	l = rib_listener_open(x.t, RIB_LISTEN_BEST, &tally_ops, &t);
	rib_quiet(x.rib);
	assert_int_equal(atomic_load(&t.n), 300000);
	assert_int_equal(t.again, 0);
	rib_listener_close(l);
	attrs_release(id);
	close_all(&x);
}

/* ---- tasks ---- */

struct counter {
	struct rib_task task;
	unsigned runs, want;
	bool running;
};

static bool count(struct rib_task *t, struct rib_shard *s, uint64_t deadline_ns)
{
	struct counter *c = caa_container_of(t, struct counter, task);

	if (clock_now_ns() < deadline_ns)
		usleep(10);
	return ++c->runs < c->want;
}

static void start(struct rib_shard *s, void *arg)
{
	struct counter *c = arg;

	c->task.run = count;
	rib_task_start(s, &c->task);
	rib_task_start(s, &c->task); /* twice is once */
}

static void stop(struct rib_shard *s, void *arg)
{
	rib_task_stop(s, &((struct counter *)arg)->task);
}

static void look(struct rib_shard *s, void *arg)
{
	struct counter *c = arg;

	c->running = c->task.prev != NULL;
}

static bool running(struct rib *rib, struct counter *c)
{
	rib_call_all(rib, look, c);
	return c->running;
}

static void test_tasks(void **state)
{
	struct rib *rib = rib_create(1);
	struct counter a = {.want = 100}, b = {.want = 100}, endless = {.want = UINT32_MAX};

	rib_call_all(rib, start, &endless);
	rib_call_all(rib, start, &a);
	rib_call_all(rib, start, &b);
	/* Calls get through all the same. */
	for (unsigned i = 0; i < 10000 && running(rib, &b); i++)
		usleep(1000);
	rib_call_all(rib, stop, &endless);
	rib_quiet(rib);
	assert_int_equal(a.runs, 100);
	assert_int_equal(b.runs, 100);
	assert_true(endless.runs >= 100);
	rib_destroy(rib);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old_and_new),
		cmocka_unit_test(test_wants),
		cmocka_unit_test(test_pin),
		cmocka_unit_test(test_redump),
		cmocka_unit_test(test_dump_in_slices),
		cmocka_unit_test(test_tasks),
	};
	return cmocka_run_group_tests(tests, rib_test_setup, rib_test_teardown);
}
