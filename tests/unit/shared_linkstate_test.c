/* SPDX-License-Identifier: BSD-2-Clause */
#include "shared/clock.h"
#include "shared/linkstate.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Every field is a function of v, so that a torn copy is seen. */
static struct linkstate_entry entry_of(uint32_t v)
{
	struct linkstate_entry e = {
		.generation = v,
		.state = (uint8_t)(v & 3),
		.diag = (uint8_t)(v >> 1),
		.remote_state = (uint8_t)(v >> 2),
		.remote_diag = (uint8_t)(v >> 3),
		.remote_detect_mult = (uint8_t)(v >> 4),
		.flags = (uint8_t)(v >> 5),
		.owner = (uint16_t)(v >> 6),
		.local_disc = v * 3,
		.remote_disc = v * 5,
		.remote_min_tx_us = v * 7,
		.remote_min_rx_us = v * 11,
		.tx_us = v * 13,
		.detect_us = v * 17,
		.last_rx_ns = (uint64_t)v * UINT64_C(0x100000001),
		.detected_ns = (uint64_t)v * UINT64_C(0x300000007),
		.remote_min_echo_rx_us = v * 19,
	};
	return e;
}

static bool entry_intact(const struct linkstate_entry *e)
{
	struct linkstate_entry want = entry_of(e->generation);

	/* Without holes up to here. */
	return memcmp(&want, e, offsetof(struct linkstate_entry, published_delta_ns)) == 0;
}

static void test_write_read(void **state)
{
	struct linkstate ls;
	struct linkstate_entry e = entry_of(0x89abcdef), out;

	assert_int_equal(linkstate_create(&ls, 16, false), 0);
	assert_true(linkstate_read(&ls, 3, &out));
	assert_int_equal(out.generation, 0);
	e.detected_ns = clock_now_ns();
	linkstate_write(&ls, 3, &e);
	assert_true(linkstate_read(&ls, 3, &out));
	assert_memory_equal(&out, &e, offsetof(struct linkstate_entry, published_delta_ns));
	assert_true(linkstate_read(&ls, 4, &out));
	assert_int_equal(out.generation, 0);
	linkstate_close(&ls);
	assert_int_equal(linkstate_create(&ls, 0, false), -EINVAL);
	assert_int_equal(linkstate_create(&ls, (1u << 20) + 1, false), -EINVAL);
}

/* How long the first publication of a state took; later ones about the same state do not change it. */
static void test_published_delta(void **state)
{
	struct linkstate ls;
	struct linkstate_entry e = entry_of(1), out;
	uint32_t first;

	assert_int_equal(linkstate_create(&ls, 1, false), 0);
	e.detected_ns = clock_now_ns() - 2 * NS_PER_S;
	linkstate_write(&ls, 0, &e);
	assert_true(linkstate_read(&ls, 0, &out));
	first = out.published_delta_ns;
	assert_true(first >= 2 * NS_PER_S);
	e.remote_min_tx_us++;
	linkstate_write(&ls, 0, &e);
	assert_true(linkstate_read(&ls, 0, &out));
	assert_int_equal(out.remote_min_tx_us, e.remote_min_tx_us);
	assert_int_equal(out.published_delta_ns, first);
	e.detected_ns -= NS_PER_S;
	linkstate_write(&ls, 0, &e);
	assert_true(linkstate_read(&ls, 0, &out));
	assert_true(out.published_delta_ns >= 3 * NS_PER_S);
	e.detected_ns = 1; /* more than 32 bits can say */
	linkstate_write(&ls, 0, &e);
	assert_true(linkstate_read(&ls, 0, &out));
	assert_int_equal(out.published_delta_ns, UINT32_MAX);
	e.detected_ns = clock_now_ns() + 3600 * NS_PER_S; /* a clock that tests move */
	linkstate_write(&ls, 0, &e);
	assert_true(linkstate_read(&ls, 0, &out));
	assert_int_equal(out.published_delta_ns, 0);
	linkstate_close(&ls);
}

/* A writer that died between odd and even must not hang a reader. */
static void test_dead_writer(void **state)
{
	struct linkstate ls;
	struct linkstate_entry out;

	assert_int_equal(linkstate_create(&ls, 1, false), 0);
	atomic_store(&ls.slots[0].seq, 7);
	assert_false(linkstate_read(&ls, 0, &out));
	linkstate_close(&ls);
}

#define SLOTS 4u
#define ROUNDS 60000u

struct race {
	struct linkstate ls;
	_Atomic unsigned writers;
	_Atomic unsigned started;
};

struct race_thread {
	struct race *race;
	unsigned number;
	unsigned errors, reads, overruns;
	uint32_t last[SLOTS * 2];
};

/* Each writer owns SLOTS slots and the ring of its number, as a worker does. */
static void *race_writer(void *arg)
{
	struct race_thread *t = arg;
	struct race *race = t->race;

	while (atomic_load(&race->started) < 4)
		sched_yield();
	for (uint32_t v = 1; v <= ROUNDS; v++) {
		struct linkstate_entry e = entry_of(v);
		uint32_t slot = t->number * SLOTS + v % SLOTS;
		linkstate_write(&race->ls, slot, &e);
		linkstate_push(&race->ls, t->number, slot);
	}
	atomic_fetch_sub(&race->writers, 1);
	return NULL;
}

static void *race_reader(void *arg)
{
	struct race_thread *t = arg;
	struct race *race = t->race;
	struct linkstate_reader r;
	uint32_t slots[64];
	bool last_round = false;

	linkstate_reader_init(&r, &race->ls);
	atomic_fetch_add(&race->started, 1);
	for (;;) {
		bool overrun, done = atomic_load(&race->writers) == 0;
		unsigned n = linkstate_poll(&r, slots, 64, &overrun);

		if (overrun) {
			t->overruns++;
			for (n = 0; n < SLOTS * 2; n++)
				slots[n] = n;
		}
		for (unsigned i = 0; i < n; i++) {
			struct linkstate_entry e;
			if (slots[i] >= SLOTS * 2) {
				t->errors++;
				continue;
			}
			/* More threads than cores: the writer may lose its core inside the window. */
			while (!linkstate_read(&race->ls, slots[i], &e))
				sched_yield();
			t->reads++;
			if (!entry_intact(&e) || e.generation < t->last[slots[i]])
				t->errors++;
			t->last[slots[i]] = e.generation;
		}
		if (last_round && !n)
			return NULL;
		last_round = done;
	}
}

/* Two writers, two readers: no torn copy, no step back, and the last state of every slot is always learnt. */
static void test_concurrent(void **state)
{
	struct race race = {.writers = 2};
	struct race_thread t[4] = {0};
	pthread_t id[4];

	assert_int_equal(linkstate_create(&race.ls, SLOTS * 2, false), 0);
	atomic_store(&race.started, 2);
	for (unsigned i = 0; i < 4; i++) {
		t[i].race = &race;
		t[i].number = i;
		assert_int_equal(pthread_create(&id[i], NULL, i < 2 ? race_writer : race_reader, &t[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(id[i], NULL);
	for (unsigned i = 2; i < 4; i++) {
		assert_int_equal(t[i].errors, 0);
		assert_true(t[i].reads >= SLOTS * 2);
		for (unsigned s = 0; s < SLOTS * 2; s++) {
			struct linkstate_entry e;
			assert_true(linkstate_read(&race.ls, s, &e));
			assert_int_equal(t[i].last[s], e.generation);
		}
	}
	linkstate_close(&race.ls);
}

static void test_ring_order_and_max(void **state)
{
	struct linkstate ls;
	struct linkstate_reader r;
	uint32_t slots[8];
	bool overrun;

	assert_int_equal(linkstate_create(&ls, 64, false), 0);
	linkstate_push(&ls, 0, 63); /* before the reader came: not its business */
	linkstate_reader_init(&r, &ls);
	assert_int_equal(linkstate_poll(&r, slots, 8, &overrun), 0);
	assert_false(overrun);
	for (uint32_t i = 0; i < 5; i++) {
		linkstate_push(&ls, 2, i);
		linkstate_push(&ls, 15, 10 + i);
	}
	assert_int_equal(linkstate_poll(&r, slots, 8, &overrun), 8);
	static const uint32_t first[8] = {0, 1, 2, 3, 4, 10, 11, 12};
	assert_memory_equal(slots, first, sizeof(first));
	assert_int_equal(linkstate_poll(&r, slots, 8, &overrun), 2);
	assert_int_equal(slots[0], 13);
	assert_int_equal(slots[1], 14);
	assert_int_equal(linkstate_poll(&r, slots, 8, &overrun), 0);
	linkstate_close(&ls);
}

static void test_reader_lapped(void **state)
{
	struct linkstate ls;
	struct linkstate_reader r;
	static uint32_t slots[2 * LINKSTATE_RING_SIZE];
	bool overrun;

	assert_int_equal(linkstate_create(&ls, 8, false), 0);
	linkstate_reader_init(&r, &ls);
	for (uint32_t i = 0; i < LINKSTATE_RING_SIZE - 1; i++)
		linkstate_push(&ls, 1, i & 7);
	assert_int_equal(
		linkstate_poll(&r, slots, 2 * LINKSTATE_RING_SIZE, &overrun), LINKSTATE_RING_SIZE - 1);
	assert_false(overrun);
	for (uint32_t i = 0; i < LINKSTATE_RING_SIZE; i++)
		linkstate_push(&ls, 1, i & 7);
	assert_int_equal(linkstate_poll(&r, slots, 2 * LINKSTATE_RING_SIZE, &overrun), 0);
	assert_true(overrun);
	linkstate_push(&ls, 1, 5);
	assert_int_equal(linkstate_poll(&r, slots, 8, &overrun), 1);
	assert_false(overrun);
	assert_int_equal(slots[0], 5);

	/* The positions are 32 bits and wrap. */
	atomic_store(&ls.rings[1].head, UINT32_MAX - 1);
	r.cursor[1] = UINT32_MAX - 1;
	for (uint32_t i = 0; i < 4; i++)
		linkstate_push(&ls, 1, i);
	assert_int_equal(linkstate_poll(&r, slots, 8, &overrun), 4);
	assert_false(overrun);
	assert_int_equal(slots[3], 3);
	linkstate_close(&ls);
}

static void test_attach(void **state)
{
	struct linkstate w, r;
	struct linkstate_entry e = entry_of(77), out;
	int fd;

	assert_int_equal(linkstate_create(&w, 100, true), 0);
	fd = dup(w.fd);
	assert_int_equal(linkstate_attach(&r, fd), 0);
	assert_false(r.writer);
	assert_int_equal(r.header->capacity, 100);
	assert_true(r.header->instance == w.header->instance);
	assert_true(r.header->instance != 0);
	linkstate_write(&w, 99, &e);
	assert_true(linkstate_read(&r, 99, &out));
	assert_true(entry_intact(&out));

	/* Whoever holds the descriptor can do no harm. */
	assert_int_equal(ftruncate(r.fd, 0), -1);
	assert_int_equal(ftruncate(r.fd, 1 << 24), -1);
	assert_ptr_equal(mmap(NULL, r.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0), MAP_FAILED);
	assert_int_equal(pwrite(r.fd, "x", 1, 0), -1);
	assert_int_equal(mprotect(r.header, r.bytes, PROT_READ | PROT_WRITE), -1);
	linkstate_close(&r);

	/* The table outlives neither side's mistakes: other files are refused and left open. */
	int other = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(linkstate_attach(&r, other), -EPROTO);
	assert_int_equal(ftruncate(other, (off_t)w.bytes), 0);
	assert_int_equal(linkstate_attach(&r, other), -EPROTO);
	assert_int_equal(fcntl(other, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_int_equal(linkstate_attach(&r, other), -EPROTO);
	struct linkstate_header h = {.magic = LINKSTATE_MAGIC, .version = LINKSTATE_VERSION, .capacity = 99};
	assert_int_equal(pwrite(other, &h, sizeof(h), 0), sizeof(h));
	assert_int_equal(linkstate_attach(&r, other), -EPROTO);
	h.capacity = 100;
	h.version++;
	assert_int_equal(pwrite(other, &h, sizeof(h), 0), sizeof(h));
	assert_int_equal(linkstate_attach(&r, other), -EPROTO);
	h.version--;
	assert_int_equal(pwrite(other, &h, sizeof(h), 0), sizeof(h));
	assert_int_equal(linkstate_attach(&r, other), 0);
	linkstate_close(&r);
	assert_int_equal(fcntl(other, F_GETFD), -1);
	linkstate_close(&w);
}

/* A reader in another process, which the writer outlives. */
static void test_attach_other_process(void **state)
{
	struct linkstate w;
	struct linkstate_entry e = entry_of(5);
	int status;

	assert_int_equal(linkstate_create(&w, 10, true), 0);
	linkstate_write(&w, 2, &e);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct linkstate r;
		struct linkstate_entry out;
		int ok = linkstate_attach(&r, dup(w.fd)) == 0 && linkstate_read(&r, 2, &out) &&
			 entry_intact(&out);
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	e = entry_of(6);
	linkstate_write(&w, 2, &e);
	linkstate_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_read),
		cmocka_unit_test(test_published_delta),
		cmocka_unit_test(test_dead_writer),
		cmocka_unit_test(test_concurrent),
		cmocka_unit_test(test_ring_order_and_max),
		cmocka_unit_test(test_reader_lapped),
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_attach_other_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
