/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bfdgen/watch.h"
#include "shared/clock.h"
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define STEP_NS NS_PER_MS
#define ROOM 100000u

static void *watch(void *arg)
{
	struct core_watch *w = arg;
	struct sched_param sp = {.sched_priority = 99};
	uint64_t next;

	prctl(PR_SET_NAME, "core-watch");
	prctl(PR_SET_TIMERSLACK, 1);
	w->realtime = sched_setscheduler(0, SCHED_FIFO, &sp) == 0;
	next = clock_now_ns() + STEP_NS;
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		struct timespec ts = {(time_t)(next / NS_PER_S), (long)(next % NS_PER_S)};
		uint32_t n = atomic_load_explicit(&w->nstalls, memory_order_relaxed);
		uint64_t now;

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
		now = clock_now_ns();
		if (now > next && now - next > atomic_load_explicit(&w->worst_ns, memory_order_relaxed))
			atomic_store_explicit(&w->worst_ns, now - next, memory_order_relaxed);
		if (now > next + WATCH_NOTE_NS && n < w->room) {
			/* The step before may have begun to be late at any time since. */
			w->stall[n] = (struct meter_stall){next, now};
			atomic_store_explicit(&w->nstalls, n + 1, memory_order_release);
		}
		next = now + STEP_NS;
	}
	return NULL;
}

int core_watch_start(struct core_watch *w, unsigned core)
{
	pthread_attr_t attr;
	cpu_set_t set;
	int rc;

	memset(w, 0, sizeof(*w));
	w->core = core;
	w->room = ROOM;
	w->stall = calloc(ROOM, sizeof(*w->stall));
	if (!w->stall)
		return -ENOMEM;
	CPU_ZERO(&set);
	CPU_SET(core, &set);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	rc = pthread_create(&w->thread, &attr, watch, w);
	pthread_attr_destroy(&attr);
	w->started = rc == 0;
	return -rc;
}

void core_watch_stop(struct core_watch *w)
{
	atomic_store(&w->stop, true);
	if (w->started)
		pthread_join(w->thread, NULL);
	w->started = false;
}

void core_watch_free(struct core_watch *w)
{
	free(w->stall);
	w->stall = NULL;
}

/* The first number of /proc/PID/task/TID/schedstat: ns on a core. */
uint64_t cpu_used_ns(int pid)
{
	char path[64];
	uint64_t total = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		unsigned long long ns;
		char name[128];
		FILE *f;

		if (*e->d_name == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%.16s/schedstat", path, e->d_name);
		f = fopen(name, "re");
		if (f && fscanf(f, "%llu", &ns) == 1)
			total += ns;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return total;
}

uint64_t cpu_stolen_ns(void)
{
	unsigned long long v[8] = {0};
	FILE *f = fopen("/proc/stat", "re");
	long hz = sysconf(_SC_CLK_TCK);
	int n = 0;

	if (f) {
		n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
			&v[4], &v[5], &v[6], &v[7]);
		fclose(f);
	}
	return n == 8 && hz > 0 ? v[7] * (NS_PER_S / (uint64_t)hz) : 0;
}
