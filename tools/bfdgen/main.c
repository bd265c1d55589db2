/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peregrine-bfdgen: a BFD load generator and meter. Arguments, threads, and
 * once a second a line; the work is in gen.c, the judgement in meter.c.
 */
#include "shared/clock.h"
#include "shared/log.h"
#include "tools/bfdgen/gen.h"
#include "tools/bfdgen/report.h"
#include "tools/bfdgen/watch.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CPU_SAMPLES 200000u
#define TICK_US 50000

enum { EXIT_NOT_STARTED = 1, EXIT_USAGE = 2, EXIT_NOT_UP = 3, EXIT_TROUBLE = 4 };

/* What main's thread keeps while the loop runs. */
struct run {
	struct gen_options o;
	struct gen g;
	struct wire *wire;
	struct core_watch watch[GEN_WATCHES];
	unsigned nwatches;
	struct cpu_sample *cpu;
	uint32_t ncpu, shown;
	uint64_t next_cpu_ns;
	pthread_t thread;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	interrupted = 1;
}

static int loop(void *arg)
{
	gen_run(arg);
	return 0;
}

static void *loop_thread(void *arg)
{
	gen_run(arg);
	return NULL;
}

static int launch(struct run *r)
{
	pthread_attr_t attr;
	int rc;

	if (r->o.port)
		return wire_port_launch(r->wire, loop, &r->g);
	pthread_attr_init(&attr);
	if (r->o.core >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((unsigned)r->o.core, &set);
		pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	rc = pthread_create(&r->thread, &attr, loop_thread, &r->g);
	pthread_attr_destroy(&attr);
	return -rc;
}

static void join(struct run *r)
{
	if (r->o.port)
		wire_port_join(r->wire);
	else
		pthread_join(r->thread, NULL);
}

static void sample_cpu(struct run *r, uint64_t now)
{
	struct cpu_sample *s = &r->cpu[r->ncpu];

	if (now < r->next_cpu_ns || r->ncpu == CPU_SAMPLES)
		return;
	r->next_cpu_ns = now + NS_PER_S / 2;
	s->at_ns = now;
	s->stolen_ns = cpu_stolen_ns();
	for (unsigned i = 0; i < r->o.npids; i++)
		s->used_ns[i] = cpu_used_ns(r->o.pid[i].pid);
	r->ncpu++;
}

static void show(struct run *r)
{
	uint32_t n = atomic_load_explicit(&r->g.nsamples, memory_order_acquire);

	for (; r->shown < n; r->shown++) {
		const struct gen_sample *s = &r->g.sample[r->shown], *before = r->shown ? s - 1 : NULL;
		uint64_t rx = s->rx - (before ? before->rx : 0), tx = s->tx - (before ? before->tx : 0);

		if (r->o.quiet)
			continue;
		fprintf(stderr,
			"%7.1f s  up %u  flaps %lu  packets in %lu out %lu flood %lu  worst gap %.2f ms  our "
			"stalls "
			"%lu, worst round %.2f ms\n",
			(double)(s->at_ns - r->g.start_ns) / 1e9, s->up, s->flaps, rx, tx,
			s->flood - (before ? before->flood : 0), (double)s->worst_gap_ns / 1e6, s->stalls,
			(double)s->worst_round_ns / 1e6);
	}
}

static void attend(struct run *r)
{
	while (atomic_load_explicit(&r->g.stage, memory_order_acquire) != GEN_OVER) {
		sample_cpu(r, clock_now_ns());
		show(r);
		if (interrupted)
			atomic_store_explicit(&r->g.stop, true, memory_order_relaxed);
		usleep(TICK_US);
	}
}

static int write_report(struct run *r, int argc, char **argv, uint64_t started_wall_ns)
{
	struct report p = {.g = &r->g,
		.o = &r->o,
		.watch = r->watch,
		.nwatches = r->nwatches,
		.cpu = r->cpu,
		.ncpu = r->ncpu,
		.argc = argc,
		.argv = argv,
		.started_wall_ns = started_wall_ns};
	int rc = 0;

	if (!r->o.json || strcmp(r->o.json, "-") != 0)
		report_text(&p, stdout);
	if (r->o.json && (rc = report_json(&p, r->o.json)))
		fprintf(stderr, "peregrine-bfdgen: %s: %s\n", r->o.json, strerror(-rc));
	if (rc == 0 && r->o.csv && (rc = report_csv(&p, r->o.csv)))
		fprintf(stderr, "peregrine-bfdgen: %s: %s\n", r->o.csv, strerror(-rc));
	if (rc)
		return EXIT_NOT_STARTED;
	if (r->g.reached_up < r->o.sessions && !interrupted)
		return EXIT_NOT_UP;
	return r->o.strict && report_trouble(&p) ? EXIT_TROUBLE : 0;
}

static int start(struct run *r, char err[GEN_ERR])
{
	uint32_t paths = r->o.sessions + r->o.nfloods * GEN_FLOOD_PATHS;
	int rc = r->o.port ? wire_port_open(&r->o, paths, &r->wire, err)
			   : wire_socket_open(&r->o, paths, &r->wire, err);

	if (rc)
		return rc;
	rc = gen_create(&r->g, &r->o, r->wire, err);
	if (rc)
		return rc;
	mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	for (unsigned i = 0; i < r->o.nwatches; i++) {
		rc = core_watch_start(&r->watch[i], r->o.watch[i]);
		if (rc)
			return snprintf(err, GEN_ERR, "core %u cannot be watched: %s", r->o.watch[i],
				       strerror(-rc)),
			       rc;
		r->nwatches++;
	}
	rc = launch(r);
	if (rc)
		snprintf(err, GEN_ERR, "the loop does not start: %s", strerror(-rc));
	return rc;
}

int main(int argc, char **argv)
{
	static struct run r;
	struct sigaction sa = {.sa_handler = on_signal};
	struct log_sink to_stderr = {.kind = LOG_SINK_STDERR};
	uint64_t started = clock_wall_ns();
	char err[GEN_ERR] = "unknown";
	int rc;

	if (gen_options_parse(&r.o, argc, argv, err)) {
		fprintf(stderr, "peregrine-bfdgen: %s\n", err);
		return EXIT_USAGE;
	}
	if (r.o.help || r.o.version) {
		if (r.o.help)
			fputs(gen_options_usage, stdout);
		else
			printf("peregrine-bfdgen %s\n", PEREGRINE_VERSION);
		return 0;
	}
	log_init("peregrine-bfdgen");
	for (unsigned c = 0; c < LOG_CLASS_COUNT; c++)
		if (c != LOG_CLASS_DEBUG && c != LOG_CLASS_TRACE)
			to_stderr.classes |= 1u << c;
	log_configure(&to_stderr, 1, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	r.cpu = calloc(CPU_SAMPLES, sizeof(*r.cpu));
	rc = r.cpu ? start(&r, err) : -ENOMEM;
	if (rc) {
		fprintf(stderr, "peregrine-bfdgen: %s\n", err);
	} else {
		attend(&r);
		join(&r);
		show(&r);
	}
	for (unsigned i = 0; i < r.nwatches; i++)
		core_watch_stop(&r.watch[i]);
	rc = rc ? EXIT_NOT_STARTED : write_report(&r, argc, argv, started);
	gen_destroy(&r.g);
	if (r.wire)
		r.wire->close(r.wire);
	for (unsigned i = 0; i < r.nwatches; i++)
		core_watch_free(&r.watch[i]);
	free(r.cpu);
	return rc;
}
