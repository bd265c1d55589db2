/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the dataplane's rings to the kernel: the test is the dataplane, the client and its link thread are
 * real. What is in the rings when the link thread looks is one batch of the FIB, whoever wrote it.
 */
#include "controlplane/bfd/client.h"
#include "controlplane/fib/fib_priv.h"
#include "shared/clock.h"
#include "shared/ipc.h"
#include "tests/unit/fib_lab.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#define NEIGHBOURS 300
#define GATE NEIGHBOURS /* one more session, whose subscriber holds the link thread */
#define SESSIONS (NEIGHBOURS + 1)
#define RING 2 /* of worker 0 and worker 1 by turns */

/* The dataplane. Slots are given in the order of asking; which session has which is found by its address. */
static struct dataplane {
	char path[64];
	int listener, sock, event_fd;
	struct linkstate ls;
	pthread_t thread;
	_Atomic bool stop;
	_Atomic unsigned sessions;
	struct ipaddr addr[SESSIONS];
} dp;

static void welcome(void)
{
	struct ipc_welcome w = {.h = {IPC_WELCOME, sizeof(w), 1},
		.magic = IPC_MAGIC,
		.version = IPC_VERSION,
		.instance = 1,
		.capacity = SESSIONS};
	int fds[2] = {dp.ls.fd, dp.event_fd};

	assert_int_equal(ipc_send(dp.sock, &w, sizeof(w), fds, 2), 0);
}

static void answer_add(const struct ipc_session_add *a)
{
	unsigned slot = atomic_load(&dp.sessions);
	struct ipc_session_reply r = {
		.h = {IPC_SESSION_REPLY, sizeof(r), a->h.id}, .slot = slot, .generation = 1, .created = 1};

	dp.addr[slot] = a->key.remote;
	linkstate_write(&dp.ls, slot, &(struct linkstate_entry){.generation = 1, .state = BFD_DOWN});
	atomic_store(&dp.sessions, slot + 1);
	while (ipc_send(dp.sock, &r, sizeof(r), NULL, 0) == -EAGAIN)
		usleep(1000);
}

static void *dataplane_thread(void *arg)
{
	union {
		struct ipc_header h;
		struct ipc_session_add add;
		char space[IPC_MAX_MSG];
	} m;

	(void)arg;
	while (!atomic_load(&dp.stop)) {
		struct pollfd p = {dp.sock < 0 ? dp.listener : dp.sock, POLLIN, 0};
		unsigned n = 0;
		atomic_store(&dp.ls.header->heartbeat_ns, clock_now_ns());
		if (poll(&p, 1, 50) <= 0)
			continue;
		if (dp.sock < 0) {
			dp.sock = accept(dp.listener, NULL, NULL);
			continue;
		}
		if (ipc_recv(dp.sock, &m, sizeof(m), NULL, &n) <= 0) {
			usleep(1000);
			continue;
		}
		if (m.h.type == IPC_HELLO)
			welcome();
		else if (m.h.type == IPC_SESSION_ADD)
			answer_add(&m.add);
	}
	return NULL;
}

static void dataplane_start(void)
{
	snprintf(dp.path, sizeof(dp.path), "/tmp/fib-ring-%d.sock", (int)getpid());
	dp.sock = -1;
	dp.listener = ipc_listen(dp.path);
	assert_true(dp.listener >= 0);
	dp.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(linkstate_create(&dp.ls, SESSIONS, true), 0);
	pthread_create(&dp.thread, NULL, dataplane_thread, NULL);
}

static void dataplane_stop(void)
{
	atomic_store(&dp.stop, true);
	pthread_join(dp.thread, NULL);
	close(dp.sock);
	close(dp.listener);
	close(dp.event_fd);
	linkstate_close(&dp.ls);
	unlink(dp.path);
}

static unsigned slot_of(const struct ipaddr *addr)
{
	for (unsigned i = 0; i < SESSIONS; i++)
		if (ipaddr_equal(&dp.addr[i], addr))
			return i;
	fail_msg("no such session");
	return 0;
}

/* As a worker publishes it; the wake-up is another call. */
static void publish(const struct ipaddr *addr, unsigned ring, uint8_t state)
{
	unsigned slot = slot_of(addr);
	uint64_t now = clock_now_ns();
	struct linkstate_entry e = {.generation = 1,
		.state = state,
		.remote_state = BFD_UP,
		.diag = state == BFD_UP ? 0 : 1,
		.last_rx_ns = now,
		.detected_ns = now};

	linkstate_write(&dp.ls, slot, &e);
	linkstate_push(&dp.ls, ring, slot);
}

static void wake(void)
{
	const uint64_t one = 1;

	assert_int_equal(write(dp.event_fd, &one, sizeof(one)), sizeof(one));
}

/* ---- subscribers ---- */

static _Atomic unsigned ups, downs;
static sem_t at_gate, gate;

static void on_event(
	void *ctx, enum bfd_event ev, uint8_t diag, bool cbit, const struct bfd_stamps *t, const char *text)
{
	(void)diag, (void)cbit, (void)t, (void)text;
	if (ev == BFD_EVENT_UP)
		atomic_fetch_add(&ups, 1);
	if (ev != BFD_EVENT_DOWN)
		return;
	atomic_fetch_add(&downs, 1);
	if (ctx == &gate) {
		sem_post(&at_gate);
		sem_wait(&gate);
	}
}

static struct ipaddr address(unsigned i)
{
	char t[32];

	snprintf(t, sizeof(t), "10.1.%u.%u", 4 + i / 250, 1 + i % 250);
	return ip(t);
}

static bool all_known(void *arg)
{
	return atomic_load(&dp.sessions) == SESSIONS;
}

static bool all_up(void *arg)
{
	return atomic_load(&ups) == SESSIONS;
}

static bool all_down(void *arg)
{
	return atomic_load(&downs) == SESSIONS;
}

static void announce(uint32_t backup)
{
	struct rib_batch *b = rib_batch_create(lab.one);

	lab_announce_many(lab.two, false, 0, NEIGHBOURS, backup);
	for (unsigned i = 0; i < NEIGHBOURS; i++) {
		struct attr_nexthop nh = {.gw = address(i), .ifindex = lab.a, .weight = 1};
		struct attrs a = {.dest = RTD_UNICAST, .preference = 200, .nexthop = &nh, .n_nexthop = 1};
		struct net n = lab_net4(i);
		uint32_t id = attrs_intern(&a);
		rib_batch_announce(b, &n, 0, id);
		attrs_release(id);
	}
	rib_submit(b);
}

static void withdraw(void)
{
	struct rib_batch *b = rib_batch_create(lab.one), *b2 = rib_batch_create(lab.two);

	for (unsigned i = 0; i < NEIGHBOURS; i++) {
		struct net n = lab_net4(i);
		rib_batch_withdraw(b, &n, 0);
		rib_batch_withdraw(b2, &n, 0);
	}
	rib_submit(b);
	rib_submit(b2);
}

/* Many links of two workers are lost while the link thread is busy: when it looks again, all of them are one
 * send. */
static void test_what_is_in_the_rings_is_one_batch(void **state)
{
	struct bfd_config cfg = {.accept_ipv4 = true, .accept_direct = true};
	struct bfd_client_options o = {.dp_socket = dp.path, .fib = lab.fib, .name = "bfd1"};
	struct bfd_request *q[SESSIONS];
	struct bfd_client *c;
	struct ipaddr a;

	NEED_LAB(&lab);
	CDS_INIT_LIST_HEAD(&cfg.ifaces);
	CDS_INIT_LIST_HEAD(&cfg.neighbors);
	sem_init(&at_gate, 0, 0);
	sem_init(&gate, 0, 0);
	dataplane_start();
	c = bfd_client_create(&o);
	assert_non_null(c);
	bfd_client_configure(c, &cfg, "bfd1");
	for (unsigned i = 0; i < SESSIONS; i++) {
		struct bfd_request_config r = {
			.key = {.remote = address(i), .ifindex = lab.a, .kind = BFD_KIND_SINGLEHOP},
			.ifname = "a0",
			.event = on_event,
			.ctx = i == GATE ? &gate : NULL};
		q[i] = bfd_request_open(c, &r);
	}
	assert_true(wait_for(all_known, NULL));
	for (unsigned i = 0; i < SESSIONS; i++) {
		a = address(i);
		publish(&a, i % RING, BFD_UP);
	}
	wake();
	assert_true(wait_for(all_up, NULL));
	uint32_t backup = lab_attrs(&lab, "10.2.0.2", 100);
	announce(backup);
	expect_routes(NEIGHBOURS);
	expect_in_step(&lab);
	expect_via("20.0.5.1", "10.1.4.6");

	a = address(GATE);
	publish(&a, 0, BFD_DOWN);
	wake();
	sem_wait(&at_gate); /* the link thread stands there */
	uint64_t sends = lab.fib->links.batch.sends, messages = lab.fib->links.batch.messages;
	for (unsigned i = 0; i < NEIGHBOURS; i++) {
		a = address(i);
		publish(&a, i % RING, BFD_DOWN);
	}
	wake();
	sem_post(&gate);
	assert_true(wait_for(all_down, NULL));
	assert_int_equal(lab.fib->links.batch.sends - sends, 1);
	assert_int_equal(lab.fib->links.batch.messages - messages, NEIGHBOURS);
	assert_string_equal(via("20.0.0.1"), "10.2.0.2");
	assert_string_equal(via("20.1.43.1"), "10.2.0.2"); /* the last */
	expect_in_step(&lab);

	for (unsigned i = 0; i < SESSIONS; i++)
		bfd_request_close(q[i]);
	bfd_client_destroy(c, false);
	dataplane_stop();
	withdraw();
	expect_routes(0);
	attrs_release(backup);
	sem_destroy(&gate);
	sem_destroy(&at_gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_in_the_rings_is_one_batch),
	};

	return cmocka_run_group_tests(tests, lab_group_start, lab_group_stop);
}
