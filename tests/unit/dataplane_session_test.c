/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions that come, go, change worker and start again on a port that returned,
 * all at once: dataplane/session.c as the manager, real engines in threads of
 * their own, and between them what dataplane/worker_command.c does with commands, on
 * queues with a lock instead of DPDK's rings. ThreadSanitizer sees the
 * hand-over of a session from thread to thread; the end says whether slots, owners and
 * counts are what the manager believes.
 */
#include "dataplane/session.h"
#include "shared/clock.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORKERS 3u
#define SLOTS 24u
#define ROUNDS 6000u
#define QUEUE 4096u

struct queue {
	pthread_mutex_t lock;
	unsigned head, n;
	struct command *c[QUEUE];
};

struct thread_worker {
	struct bench *b;
	unsigned number;
	struct bfd_engine *engine;
	struct queue commands, moves, done;
	pthread_t thread;
};

struct bench {
	struct dp dp;
	struct options opt;
	struct thread_worker w[WORKERS];
	_Atomic bool stop;
	uint64_t random, moved;
	unsigned refused;
};

static struct bench *the_bench; /* for the functions that session.c calls */

static void put(struct queue *q, struct command *c)
{
	pthread_mutex_lock(&q->lock);
	assert_true(q->n < QUEUE);
	q->c[(q->head + q->n++) % QUEUE] = c;
	pthread_mutex_unlock(&q->lock);
}

static struct command *get(struct queue *q)
{
	struct command *c = NULL;

	pthread_mutex_lock(&q->lock);
	if (q->n) {
		c = q->c[q->head];
		q->head = (q->head + 1) % QUEUE;
		q->n--;
	}
	pthread_mutex_unlock(&q->lock);
	return c;
}

/* The workers, without packets. */

static void apply(struct thread_worker *w, struct command *c, uint64_t now)
{
	switch (c->type) {
	case COMMAND_ADD:
		c->result = bfd_engine_add(
			w->engine, c->slot, c->generation, c->local_disc, &c->key, &c->params, now);
		break;
	case COMMAND_UPDATE: c->result = bfd_engine_update(w->engine, c->slot, &c->params, now); break;
	case COMMAND_REMOVE: c->result = bfd_engine_remove(w->engine, c->slot, now); break;
	case COMMAND_MOVE: c->result = bfd_engine_import(w->engine, c->slot, c->moved, now); break;
	default: break;
	}
}

static bool give_away(struct thread_worker *w, struct command *c, uint64_t now)
{
	unsigned to = c->to;
	uint32_t slot = c->slot;

	if (to == w->number)
		return c->result = 0, false;
	c->result = bfd_engine_export(w->engine, c->slot, c->moved, now);
	if (c->result)
		return false;
	put(&w->b->w[to].moves, c);
	atomic_store_explicit(&w->b->dp.workers.owner[slot], (uint8_t)to, memory_order_release);
	return true;
}

static void *worker_thread(void *arg)
{
	struct thread_worker *w = arg;
	struct bfd_tx out[8];

	while (!atomic_load(&w->b->stop)) {
		uint64_t now = clock_now_ns();
		struct command *c;

		while ((c = get(&w->moves))) {
			apply(w, c, clock_now_ns());
			put(&w->b->w[c->given].done, c);
		}
		for (unsigned i = 0; i < 4 && (c = get(&w->commands)); i++) {
			unsigned owner =
				atomic_load_explicit(&w->b->dp.workers.owner[c->slot], memory_order_relaxed);

			c->given = w->number;
			if (owner != w->number) {
				put(&w->b->w[owner].moves, c);
				continue;
			}
			if (c->type == COMMAND_MOVE && give_away(w, c, now))
				continue;
			if (c->type != COMMAND_MOVE)
				apply(w, c, now);
			put(&w->done, c);
		}
		now = clock_now_ns();
		bfd_engine_sweep(w->engine, now);
		bfd_engine_tx(w->engine, now, out, 8);
		bfd_engine_notify(w->engine);
		sched_yield();
	}
	return NULL;
}

/* What session.c needs of the manager. */

void dp_command(struct dp *dp, unsigned worker, const struct command *command)
{
	struct command *c = malloc(sizeof(*c));

	assert_non_null(c);
	*c = *command;
	dp->session[c->slot].pending++;
	put(&the_bench->w[worker].commands, c);
}

static unsigned take_back(struct bench *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		for (struct command *c; (c = get(&b->w[i].done)); n++) {
			b->refused += c->result != 0;
			b->moved += c->type == COMMAND_MOVE && !c->result;
			session_done(&b->dp, c);
			free(c);
		}
	return n;
}

struct port *dp_port_by_ifindex(struct dp *dp, uint32_t ifindex, uint16_t *vid)
{
	*vid = 0;
	return ifindex == dp->port[0].ifindex ? &dp->port[0] : NULL;
}

struct port *dp_port_by_name(struct dp *dp, const char *name, uint32_t *ifindex)
{
	*ifindex = dp->port[0].ifindex;
	return &dp->port[0];
}

uint32_t port_vlan_ifindex(const struct port *p, uint16_t vid)
{
	return p->ifindex;
}

void port_vlan_name(const struct port *p, uint16_t vid, char name[IF_NAMESIZE])
{
	memcpy(name, p->spec.name, IF_NAMESIZE);
}

const struct neigh_link *neigh_link(const struct neigh_table *t, uint32_t ifindex)
{
	return NULL;
}

bool neigh_local_address(
	const struct neigh_table *t, uint32_t ifindex, const struct ipaddr *remote, struct ipaddr *out)
{
	*out = ipaddr_v4(htonl(0x0a000001));
	return true;
}

int neigh_route(struct neigh_table *t, const struct ipaddr *remote, const struct ipaddr *local,
	struct neigh_route *out)
{
	return -EHOSTUNREACH;
}

struct neigh_watch *neigh_watch(struct neigh_table *t, uint32_t ifindex, const struct ipaddr *ip)
{
	return NULL;
}

void neigh_unwatch(struct neigh_table *t, struct neigh_watch *w)
{
}

/* The course */

static unsigned rnd(struct bench *b, unsigned n)
{
	b->random = b->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(b->random >> 33) % n;
}

static struct session_request request(struct bench *b, unsigned i)
{
	struct session_request r = {.owner = OWNER_CLIENT,
		.key = {.remote = ipaddr_v4(htonl(0x0a000100 + i))},
		.params = {.min_tx_us = 10000 + rnd(b, 3) * 5000,
			.min_rx_us = 10000,
			.idle_tx_us = 1000000,
			.detect_mult = 3,
			.min_ttl = 255},
		.ifname = "eth0"};

	return r;
}

static void start(struct bench *b)
{
	b->opt.sessions = SLOTS;
	b->dp.opt = &b->opt;
	b->dp.nports = 1;
	b->dp.port[0] = (struct port){.state = PORT_OPEN, .up = true, .kernel = true, .ifindex = 10};
	b->dp.port[0].spec.has_peer_mac = true;
	b->dp.port[0].spec.bsize = PORT_ROOM;
	memcpy(b->dp.port[0].spec.name, "eth0", 5);
	b->dp.workers.n = b->dp.active = WORKERS;
	b->dp.workers.salt = 0x1234567;
	b->dp.workers.owner = calloc(SLOTS, sizeof(*b->dp.workers.owner));
	b->dp.workers.tables = calloc(1, sizeof(*b->dp.workers.tables));
	b->dp.now_ns = 1;
	b->random = 42;
	assert_int_equal(linkstate_create(&b->dp.ls, SLOTS, false), 0);
	assert_int_equal(session_table_create(&b->dp), 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		struct bfd_engine_options o = {.capacity = SLOTS, .worker = (uint16_t)i, .seed = i + 1};
		struct thread_worker *w = &b->w[i];

		w->b = b;
		w->number = i;
		w->engine = bfd_engine_create(&b->dp.ls, &o);
		assert_non_null(w->engine);
		pthread_mutex_init(&w->commands.lock, NULL);
		pthread_mutex_init(&w->moves.lock, NULL);
		pthread_mutex_init(&w->done.lock, NULL);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&b->w[i].thread, NULL, worker_thread, &b->w[i]), 0);
}

static void step(struct bench *b)
{
	struct session_request r = request(b, rnd(b, SLOTS + 4));
	char text[IPC_TEXT];
	uint32_t slot;
	bool created;

	b->dp.now_ns += rnd(b, 400) * NS_PER_MS;
	switch (rnd(b, 8)) {
	case 0:
	case 1:
	case 2: session_add(&b->dp, &r, &slot, &created, text); break;
	case 3:
	case 4:
		if (session_find(&b->dp, OWNER_CLIENT, &r.key, r.ifname, &slot) == 0)
			session_remove(&b->dp, slot);
		break;
	case 5: /* workers come and go */
		b->dp.active = 1 + rnd(b, WORKERS);
		session_rebalance(&b->dp);
		break;
	case 6: /* the interface was made again */
		if (rnd(b, 4) == 0) {
			b->dp.port[0].ifindex++;
			session_port_returned(&b->dp, &b->dp.port[0]);
		}
		break;
	case 7: session_tick(&b->dp); break;
	}
	if (rnd(b, 3) == 0)
		take_back(b);
}

static bool at_rest(struct bench *b)
{
	for (uint32_t i = 0; i < SLOTS; i++)
		if (b->dp.session[i].pending)
			return false;
	return true;
}

static void check(struct bench *b)
{
	unsigned on[WORKERS] = {0}, free_slots = 0;
	bool seen[SLOTS] = {false};

	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct session *s = &b->dp.session[i];
		bool there = s->state == SESSION_LIVE || s->state == SESSION_LEAVING;

		assert_true(there || s->state == SESSION_FREE);
		for (unsigned w = 0; w < WORKERS; w++)
			assert_int_equal(bfd_engine_key(b->w[w].engine, i) != NULL, there && w == s->worker);
		if (!there)
			continue;
		assert_int_equal(atomic_load(&b->dp.workers.owner[i]), s->worker);
		assert_true(ipaddr_equal(&bfd_engine_key(b->w[s->worker].engine, i)->remote, &s->key.remote));
		assert_int_equal(bfd_engine_key(b->w[s->worker].engine, i)->ifindex, s->key.ifindex);
		assert_int_equal(
			bfd_engine_params(b->w[s->worker].engine, i)->min_tx_us, s->params.min_tx_us);
		on[s->worker]++;
	}
	for (unsigned w = 0; w < WORKERS; w++)
		assert_int_equal(b->dp.on_worker[w], on[w]);
	/* Each free slot once in the list of those. */
	for (uint32_t i = 0; i < b->dp.free_count; i++) {
		uint32_t slot = b->dp.free_slots[(b->dp.free_head + i) % SLOTS];

		assert_int_equal(b->dp.session[slot].state, SESSION_FREE);
		assert_false(seen[slot]);
		seen[slot] = true;
		free_slots++;
	}
	assert_int_equal(free_slots + on[0] + on[1] + on[2], SLOTS);
}

static void settle(struct bench *b)
{
	while (!at_rest(b)) {
		take_back(b);
		sched_yield();
	}
}

static void destroy(struct bench *b)
{
	for (unsigned i = 0; i < WORKERS; i++)
		bfd_engine_destroy(b->w[i].engine);
	session_table_destroy(&b->dp);
	linkstate_close(&b->dp.ls);
	free((void *)b->dp.workers.owner);
	free(b->dp.workers.tables);
	free(b);
}

static void everything_at_once(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	the_bench = b;
	start(b);
	for (unsigned i = 0; i < ROUNDS; i++) {
		step(b);
		if (i % 50 == 49) /* else nobody is ever free to move */
			settle(b);
	}
	settle(b);
	atomic_store(&b->stop, true);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(b->w[i].thread, NULL);
	check(b);
	assert_int_equal(b->refused, 0);
	if (b->moved < 20)
		fail_msg("only %lu sessions have moved", b->moved);
	destroy(b);
}

/* Two REMOVEs of one slot under way: the slot is free after the second one. */
static void removed_twice(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct session_request r;
	char text[IPC_TEXT];
	uint32_t slot;
	bool created;

	assert_non_null(b);
	the_bench = b;
	b->random = 1;
	start(b);
	atomic_store(&b->stop, true); /* nobody takes commands: they are answered here, one by one */
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(b->w[i].thread, NULL);
	r = request(b, 1);
	assert_int_equal(session_add(&b->dp, &r, &slot, &created, text), 0);
	b->dp.port[0].ifindex++;
	session_port_returned(&b->dp, &b->dp.port[0]); /* REMOVE, ADD */
	b->dp.port[0].up = false;                      /* it cannot say goodbye */
	session_repath(&b->dp, slot);
	session_remove(&b->dp, slot); /* REMOVE */
	assert_int_equal(b->dp.session[slot].state, SESSION_REMOVING);
	for (struct command *c; (c = get(&b->w[b->dp.session[slot].worker].commands));) {
		assert_int_equal(b->dp.session[slot].state, SESSION_REMOVING);
		assert_int_equal(b->dp.free_count, SLOTS - 1);
		session_done(&b->dp, c);
		free(c);
	}
	assert_int_equal(b->dp.session[slot].state, SESSION_FREE);
	assert_int_equal(b->dp.free_count, SLOTS);
	destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(removed_twice),
		cmocka_unit_test(everything_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
