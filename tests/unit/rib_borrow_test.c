/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a pipe brings is borrowed (rib/borrow.c), against the same without: two tables get the same routes of
 * their own and the same pipe's from a third one, and one of them may borrow. Whatever happens, readers,
 * listeners and counters must not see a difference.
 */
#include "tests/unit/rib_support.h"

enum { FEEDS = 4, NETS = 400, VALUES = 6, SHARDS = 2, OWN = FEEDS };

/* As proto/pipe.c does it. */
struct bring {
	struct rib_source *to;
	uint32_t not_from;
	struct rib_listener *listener;
	struct rib_batch *batch[SHARDS];
};

static const struct rib_route_view *same_route(
	const struct rib_route_view *r, const struct rib_route_view *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].source == r->source && list[i].path_id == r->path_id)
			return &list[i];
	return NULL;
}

static void bring_changed(void *ctx, struct rib_shard *s, const struct rib_change *c, unsigned n, bool dump)
{
	struct bring *d = ctx;
	struct rib_batch **b = &d->batch[rib_shard_index(s)];

	if (!*b)
		*b = rib_batch_create(d->to);
	for (; n; n--, c++) {
		for (unsigned i = 0; i < c->n_old_routes; i++) {
			const struct rib_route_view *o = &c->old_routes[i];

			if (o->owner != d->not_from && !same_route(o, c->routes, c->n_routes))
				rib_batch_withdraw_from(*b, c->net, o->source, o->path_id);
		}
		for (unsigned i = 0; i < c->n_routes; i++) {
			const struct rib_route_view *r = &c->routes[i], *o;

			if (r->owner == d->not_from)
				continue;
			o = same_route(r, c->old_routes, c->n_old_routes);
			if (!o || o->attrs != r->attrs)
				rib_batch_announce_from(*b, c->net, r->source, r->path_id, r->attrs);
		}
	}
}

static void bring_flush(void *ctx, struct rib_shard *s)
{
	struct bring *d = ctx;
	struct rib_batch **b = &d->batch[rib_shard_index(s)];

	if (*b)
		rib_submit(*b);
	*b = NULL;
}

static void bring_closed(void *ctx, struct rib_shard *s)
{
	struct rib_batch **b = &((struct bring *)ctx)->batch[rib_shard_index(s)];

	if (*b)
		rib_batch_discard(*b);
	*b = NULL;
}

static const struct rib_listener_ops bring_ops = {
	.changed = bring_changed, .closed = bring_closed, .flush = bring_flush};

static unsigned net_number(const struct net *n)
{
	return (ntohl(n->prefix.addr.w[3]) - 0x0c000000) >> 8;
}

static struct net numbered(unsigned k)
{
	return net4(0x0c000000 + (k << 8), 24);
}

/* ---- a listener that remembers what it was told ---- */

struct watch {
	uint32_t best[NETS];
	unsigned routes[NETS];
	uint32_t net_of_index[SHARDS][4 * NETS];
};

static void watch_changed(void *ctx, struct rib_shard *s, const struct rib_change *c, unsigned n, bool dump)
{
	struct watch *w = ctx;

	for (unsigned i = 0; i < n; i++) {
		unsigned k = net_number(c[i].net);
		uint32_t *at = &w->net_of_index[rib_shard_index(s)][c[i].index];

		if (*at && *at != k + 1)
			abort(); /* an index is one prefix's until `last` */
		*at = c[i].last ? 0 : k + 1;
		if (!dump && c[i].old_best_attrs != w->best[k])
			abort();
		w->best[k] = c[i].best_attrs;
		w->routes[k] = c[i].n_routes;
	}
}

static const struct rib_listener_ops watch_ops = {.changed = watch_changed};

/* ---- a reader: what a route says fits who says it ---- */

struct reading {
	struct rib_table *t;
	uint32_t first_source; /* of the feeds */
	_Atomic bool stop;
};

static void check_view(const struct rib_net_view *v, uint32_t first_source)
{
	if (!v->n_routes)
		abort();
	for (unsigned i = 0; i < v->n_routes && i < 64; i++) {
		const struct rib_route_view *r = &v->routes[i];
		const struct attrs *a = attrs_get(r->attrs_received);

		if (!a || (!r->attrs && !(r->flags & ROUTE_FILTERED)))
			abort();
		if (r->source - first_source < FEEDS &&
			ntohl(a->next_hop.w[3]) != 0x0a000000 + (r->source - first_source))
			abort();
	}
}

static void *reader(void *arg)
{
	struct reading *r = arg;
	union net_buffer b;

	rcu_register_thread();
	for (unsigned k = 0; !r->stop; k = (k + 1) % NETS) {
		struct rib_cursor c = {.table = r->t, .shard = k % SHARDS, .index = k};
		struct net n = numbered(k);

		rcu_read_lock();
		if (rib_find(r->t, &n, &b.v, 64)) {
			if (net_number(&b.v.net) != k)
				abort();
			check_view(&b.v, r->first_source);
		}
		if (rib_next(&c, &b.v, 64))
			check_view(&b.v, r->first_source);
		rcu_read_unlock();
	}
	rcu_unregister_thread();
	return NULL;
}

/* ---- the two tables ---- */

struct pair {
	struct rib *rib;
	struct rib_table *master, *table[2]; /* [0] may borrow */
	struct rib_source *feed[FEEDS], *own[2], *back;
	struct rib_source_config pipe_config;
	struct bring bring[2], return_way;
	struct watch watch[2];
	struct rib_listener *listener[2];
	uint32_t values[FEEDS + 1][VALUES];
	unsigned seed;
	bool sorted;
};

static void count_borrowed(struct rib_shard *s, void *arg)
{
	void **a = arg;
	struct part *p = &((struct rib_table *)a[0])->part[s->number];

	for (uint32_t i = 0; i < p->nets.end; i++)
		__atomic_fetch_add((unsigned *)a[1],
			is_borrowed(((struct net_record *)pool_at(&p->nets, i))->first), __ATOMIC_RELAXED);
}

static unsigned borrowed(struct pair *x, unsigned which)
{
	unsigned n = 0;

	rib_call_all(x->rib, count_borrowed, (void *[]){x->table[which], &n});
	return n;
}

static void pipe_open(struct pair *x, unsigned i)
{
	struct bring *b = &x->bring[i];

	*b = (struct bring){
		.to = rib_source_open(x->table[i], &x->pipe_config), .not_from = rib_source_id(x->back)};
	if (i == 0)
		rib_source_borrow(b->to, x->master, b->not_from);
	b->listener = rib_listener_open(x->master, RIB_LISTEN_ALL | RIB_LISTEN_OLD, &bring_ops, b);
	if (i == 0) {
		x->return_way = (struct bring){.to = x->back, .not_from = rib_source_id(b->to)};
		x->return_way.listener = rib_listener_open(
			x->table[0], RIB_LISTEN_ALL | RIB_LISTEN_OLD, &bring_ops, &x->return_way);
	}
}

static void pipe_close(struct pair *x, unsigned i)
{
	rib_listener_close(x->bring[i].listener);
	if (i == 0)
		rib_listener_close(x->return_way.listener);
	rib_quiet(x->rib);
	source_close_wait(x->bring[i].to);
	if (i == 0) {
		rib_source_flush(x->back);
		rib_quiet(x->rib);
	}
}

static int by_route(const void *a, const void *b)
{
	const struct rib_route_view *x = a, *y = b;

	return x->source != y->source ? (x->source < y->source ? -1 : 1)
				      : (x->path_id > y->path_id) - (x->path_id < y->path_id);
}

static bool alike(struct pair *x, const struct rib_route_view *a, const struct rib_route_view *b)
{
	bool own = a->source == rib_source_id(x->own[0]);

	return (own ? b->source == rib_source_id(x->own[1]) : b->source == a->source) &&
	       a->owner == (own ? a->source : rib_source_id(x->bring[0].to)) &&
	       b->owner == (own ? b->source : rib_source_id(x->bring[1].to)) && a->path_id == b->path_id &&
	       a->attrs == b->attrs && a->attrs_received == b->attrs_received && a->flags == b->flags;
}

static unsigned usable(const struct rib_net_view *v)
{
	unsigned n = 0;

	while (n < v->n_routes && !(v->routes[n].flags & ROUTE_FILTERED))
		n++;
	return n;
}

/* What differs between the tables, or between a table and what its listener was told. */
static const char *difference(struct pair *x)
{
	struct rib_table_stats ts[2];
	struct rib_source_stats ss[2];
	unsigned nets = 0;

	for (unsigned k = 0; k < NETS; k++) {
		struct net n = numbered(k);
		union net_buffer b[2];
		bool found[2];

		rcu_read_lock();
		for (unsigned i = 0; i < 2; i++)
			found[i] = rib_find(x->table[i], &n, &b[i].v, 64);
		rcu_read_unlock();
		if (found[0] != found[1])
			return "net";
		for (unsigned i = 0; i < 2; i++) {
			unsigned count = found[i] ? usable(&b[i].v) : 0;

			if (x->watch[i].best[k] != (count ? b[i].v.routes[0].attrs : 0))
				return i ? "best told without" : "best told with";
			if (count && x->watch[i].routes[k] != count)
				return "routes told";
		}
		if (!found[0])
			continue;
		nets++;
		if (b[0].v.n_routes != b[1].v.n_routes || usable(&b[0].v) != usable(&b[1].v))
			return "number of routes";
		for (unsigned r = 0; r < usable(&b[0].v) && (x->sorted || r == 0); r++)
			if (!alike(x, &b[0].v.routes[r], &b[1].v.routes[r]))
				return "best routes";
		/* The order of the others is nobody's promise. */
		for (unsigned i = 0; i < 2; i++)
			qsort(b[i].v.routes, b[i].v.n_routes, sizeof(b[i].v.routes[0]), by_route);
		for (unsigned r = 0; r < b[0].v.n_routes; r++)
			if (!alike(x, &b[0].v.routes[r], &b[1].v.routes[r]))
				return "routes";
	}
	for (unsigned i = 0; i < 2; i++) {
		rib_table_stats(x->table[i], &ts[i]);
		rib_source_stats(x->bring[i].to, &ss[i]);
	}
	if (ts[0].nets != nets || ts[1].nets != nets || ts[0].routes != ts[1].routes)
		return "table's counters";
	if (ss[0].received != ss[1].received || ss[0].imported != ss[1].imported ||
		ss[0].filtered != ss[1].filtered || ss[0].preferred != ss[1].preferred)
		return "source's counters";
	return NULL;
}

/* Changes go from table to table and back, and what depends on ROAs is looked at 200 ms after they have
 * changed: so in the end. */
static void same_contents(struct pair *x)
{
	const char *what = "";

	for (unsigned tries = 0; what && tries < 4000; tries++) {
		if (tries)
			usleep(2000);
		for (unsigned i = 0; i < 6; i++)
			rib_quiet(x->rib);
		what = difference(x);
	}
	if (what)
		fail_msg("The two tables differ: %s", what);
	assert_int_equal(borrowed(x, 1), 0);
}

/* The same to both tables' own sources, or something to a feed. */
static void something(struct pair *x)
{
	unsigned who = (unsigned)rand_r(&x->seed) % (FEEDS + 1), n = 1 + (unsigned)rand_r(&x->seed) % 20;
	struct rib_batch *b[2] = {rib_batch_create(who == OWN ? x->own[0] : x->feed[who]),
		who == OWN ? rib_batch_create(x->own[1]) : NULL};

	for (unsigned i = 0; i < n; i++) {
		unsigned k = (unsigned)rand_r(&x->seed) % NETS, v = (unsigned)rand_r(&x->seed) % (VALUES + 3);
		/* No two routes of a net are equally good: which is older would then count. */
		unsigned which = who == 0 ? v / 2 % 3 : 0, path_id = which * 5000;
		struct net net = numbered(k);

		for (unsigned t = 0; t < 2 && b[t]; t++)
			if (v < VALUES)
				rib_batch_announce(b[t], &net, path_id, x->values[who][v]);
			else
				rib_batch_withdraw(b[t], &net, path_id);
	}
	for (unsigned t = 0; t < 2 && b[t]; t++)
		rib_submit(b[t]);
}

static const char *const filters[] = {
	"accept;",
	"if bgp_path.len > 2 then reject; accept;",
	"if net ~ [ 12.0.0.0/16{24,24} ] && bgp_path.len > 1 then reject; accept;",
	"if bgp_path.len = 1 then bgp_community.add((1,1)); accept;",
	"if roa_check(roas) = ROA_INVALID then reject; accept;",
	"reject;",
	"bgp_local_pref = 50; accept;",
};
enum { FILTERS = sizeof(filters) / sizeof(filters[0]) };

static void random_pair(bool sorted, unsigned steps)
{
	struct pair *x = calloc(1, sizeof(*x));
	struct rib_source_config c;
	struct config *conf[FILTERS];
	struct filter_ref filter[FILTERS];
	struct rib_source *roa;
	struct rib_table *roas;
	struct reading reading = {0};
	unsigned most = 0;
	struct attrs_usage u;
	pthread_t thread;

	x->seed = 99 + sorted;
	x->sorted = sorted;
	x->rib = rib_create(SHARDS);
	x->master = rib_table_open(x->rib, "master4", NET_IP4, sorted);
	x->table[0] = rib_table_open(x->rib, "t0", NET_IP4, sorted);
	x->table[1] = rib_table_open(x->rib, "t1", NET_IP4, sorted);
	roas = rib_table_open(x->rib, "roas", NET_ROA4, false);
	for (unsigned i = 0; i < FILTERS; i++)
		filter[i] = filter_from(filters[i], &conf[i]);
	for (unsigned i = 0; i <= FEEDS; i++)
		for (unsigned v = 0; v < VALUES; v++)
			x->values[i][v] = simple_attrs(7 + v % 2, 1 + v / 2 % 3, 0x0a000000 + i);
	for (unsigned i = 0; i < FEEDS; i++) {
		c = bgp_source("feed", 10 + i);
		x->feed[i] = rib_source_open(x->master, &c);
	}
	c = bgp_source("own", 5);
	x->own[0] = rib_source_open(x->table[0], &c);
	x->own[1] = rib_source_open(x->table[1], &c);
	c = bgp_source("roa", 1);
	c.source = RTS_STATIC;
	c.peer.bgp = false;
	roa = rib_source_open(roas, &c);
	x->pipe_config = c;
	x->pipe_config.source = RTS_PIPE;
	x->back = rib_source_open(x->master, &x->pipe_config);
	x->pipe_config.import = filter[0];
	for (unsigned i = 0; i < 2; i++)
		x->listener[i] = rib_listener_open(
			x->table[i], RIB_LISTEN_ALL | RIB_LISTEN_OLD, &watch_ops, &x->watch[i]);
	pipe_open(x, 0);
	pipe_open(x, 1);
	reading.t = x->table[0];
	reading.first_source = rib_source_id(x->feed[0]);
	pthread_create(&thread, NULL, reader, &reading);
	for (unsigned step = 0; step < steps; step++) {
		unsigned n = 1 + (unsigned)rand_r(&x->seed) % 60;

		while (n--)
			something(x);
		if (rand_r(&x->seed) % 4 == 0) {
			x->pipe_config.import = filter[(unsigned)rand_r(&x->seed) % FILTERS];
			for (unsigned i = 0; i < 2; i++)
				rib_source_reconfigure(x->bring[i].to, &x->pipe_config, RIB_IF_CHANGED);
		}
		if (rand_r(&x->seed) % 25 == 0) {
			struct net n4 = numbered((unsigned)rand_r(&x->seed) % NETS);
			uint32_t id = simple_attrs(1, 1, 1);

			n4.type = NET_ROA4;
			n4.asn = 12345;
			n4.maxlen = 24;
			if (rand_r(&x->seed) % 2)
				announce(roa, &n4, 0, id);
			else
				rib_source_flush(roa);
			attrs_release(id);
		}
		if (rand_r(&x->seed) % 16 == 0)
			rib_source_flush(x->feed[(unsigned)rand_r(&x->seed) % FEEDS]);
		if (rand_r(&x->seed) % 40 == 0)
			for (unsigned i = 0; i < 2; i++) {
				pipe_close(x, i);
				pipe_open(x, i);
			}
		if (step % 3 == 0) {
			same_contents(x);
			n = borrowed(x, 0);
			most = n > most ? n : most;
		}
	}
	same_contents(x);
	assert_true(most > NETS / 4);
	reading.stop = true;
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < 2; i++) {
		pipe_close(x, i);
		rib_listener_close(x->listener[i]);
		source_close_wait(x->own[i]);
	}
	rib_quiet(x->rib);
	source_close_wait(x->back);
	source_close_wait(roa);
	for (unsigned i = 0; i < FEEDS; i++)
		source_close_wait(x->feed[i]);
	for (unsigned i = 0; i <= FEEDS; i++)
		for (unsigned v = 0; v < VALUES; v++)
			attrs_release(x->values[i][v]);
	rib_table_close(roas);
	rib_table_close(x->master);
	rib_table_close(x->table[0]);
	rib_table_close(x->table[1]);
	for (unsigned i = 0; i < FILTERS; i++)
		config_release(conf[i]);
	rib_destroy(x->rib);
	rcu_barrier();
	attrs_usage(&u);
	assert_int_equal(u.sets, 0);
	free(x);
}

static void test_random_sorted(void **state)
{
	random_pair(true, 150);
}

static void test_random_unsorted(void **state)
{
	random_pair(false, 150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_sorted),
		cmocka_unit_test(test_random_unsorted),
	};

	return cmocka_run_group_tests(tests, rib_test_setup, rib_test_teardown);
}
