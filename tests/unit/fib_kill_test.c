/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kill -9 at random moments: while the first routes go in, while they change,
 * while a neighbour is lost. The next run takes over whatever it finds.
 */
#include "tests/unit/fib_lab.h"
#include "tests/unit/fib_prepared.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 4000
#define KILLS 8

static bool have_netns;

static void up(void)
{
	rcu_register_thread();
	lab.ifaces = ifaces_create();
	assert_non_null(lab.ifaces);
	lab_rib(&lab);
	lab_fib(&lab, true);
	lab_channels(&lab);
	lab.ready = true;
}

/* In a process of its own until it is killed. */
static void live(unsigned seed)
{
	static const char *const gw[] = {"10.1.0.2", "10.2.0.2", "10.3.0.2"};
	static const char *const gw6[] = {"2001:db8:1::2", "2001:db8:2::2"};
	uint32_t ids[3], ids6[2];

	up();
	for (int i = 0; i < 3; i++)
		ids[i] = lab_attrs(&lab, gw[i], 200 - (unsigned)i * 20);
	for (int i = 0; i < 2; i++)
		ids6[i] = lab_attrs(&lab, gw6[i], 200);
	for (;;) {
		uint32_t from = (uint32_t)rand_r(&seed) % MANY, n = (uint32_t)rand_r(&seed) % (MANY - from);
		lab_announce_many(lab.one, false, from, n, ids[rand_r(&seed) % 3]);
		lab_announce_many(lab.two, false, from, n, ids[rand_r(&seed) % 3]);
		lab_announce_many(lab.one6, true, from, n, ids6[rand_r(&seed) % 2]);
		if (rand_r(&seed) % 3 == 0)
			link_event(&lab, gw[rand_r(&seed) % 3], lab.a, rand_r(&seed) % 2);
		usleep((unsigned)rand_r(&seed) % 20000);
	}
}

static bool so_many_programs(void *arg)
{
	return programs_at(lab.a) == *(unsigned *)arg;
}

static int start(void **state)
{
	have_netns = netns_enter();
	if (have_netns)
		lab_interfaces(&lab);
	return 0;
}

static void test_kill(void **state)
{
	unsigned seed = 11;
	struct fib_audit a;

	if (!have_netns)
		skip();
	for (unsigned k = 0; k < KILLS; k++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			live(k);
			_exit(0);
		}
		usleep(20000 + (unsigned)rand_r(&seed) % 400000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	assert_true(kernel_nexthops() > 0);
	unsigned none = 0;
	assert_true(wait_for(so_many_programs, &none)); /* of the killed ones nothing is left there */
	up();
	uint32_t best = lab_attrs(&lab, "10.1.0.2", 200), backup = lab_attrs(&lab, "10.2.0.2", 100),
		 best6 = lab_attrs(&lab, "2001:db8:1::2", 200);
	lab_announce_many(lab.one, false, 0, MANY / 2, best);
	lab_announce_many(lab.two, false, 0, MANY / 2, backup);
	lab_announce_many(lab.one6, true, 0, MANY / 2, best6);
	lab_barrier(&lab);
	assert_int_equal(fib_audit(lab.fib, &a), 0);
	assert_true(kernel_routes() >= MANY);
	fib_recovery_done(lab.fib);
	expect_routes(MANY);
	expect_in_step(&lab);
	expect_via("20.0.5.1", "10.1.0.2");
	/* What earlier lives had as backups does not keep it from being redirected. */
	unsigned one = 1;
	link_known(&lab, "10.1.0.2", lab.a);
	if (lab.fib->redirect)
		assert_true(wait_for(so_many_programs, &one));
	/* Of the objects of eight lives only those that are used stay: two groups, a protected object and a
	 * stand-by each for best and backup at most. */
	for (int i = 0; i < 2000 && kernel_nexthops() > 6; i++)
		usleep(5000);
	assert_in_range(kernel_nexthops(), 4, 6);
	link_event(&lab, "10.1.0.2", lab.a, false);
	expect_via("20.0.5.1", "10.2.0.2");
	attrs_release(best);
	attrs_release(backup);
	attrs_release(best6);
	lab_stop(&lab);
	assert_int_equal(kernel_routes(), 0);
	assert_int_equal(kernel_nexthops(), 0);
	assert_true(wait_for(so_many_programs, &none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
