/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens to the machine meanwhile.
 *
 * Core watchers: a thread for each watched core, at the highest real-time
 * priority, that sleeps a millisecond at a time. Nothing but the hypervisor, an
 * interrupt or the kernel itself can make it late, so its lateness is time in
 * which no program could have run there: a flap then is not the device's fault.
 *
 * CPU time: of processes, all threads, in ns from the scheduler's own accounts;
 * and what the machine says about stolen time. Main thread only.
 */
#pragma once
#include "tools/bfdgen/meter.h"
#include <pthread.h>
#include <stdatomic.h>

#define WATCH_NOTE_NS 200000u /* lateness worth a note */

struct core_watch {
	unsigned core;
	bool realtime; /* else lateness means less */
	pthread_t thread;
	bool started;
	_Atomic bool stop;
	struct meter_stall *stall;
	uint32_t room;
	_Atomic uint32_t nstalls;
	_Atomic uint64_t worst_ns;
};

/* 0 or -errno. */
int core_watch_start(struct core_watch *w, unsigned core);
void core_watch_stop(struct core_watch *w); /* the stalls can be read until core_watch_free() */
void core_watch_free(struct core_watch *w);

/* CPU time used so far; 0 if there is no such process. */
uint64_t cpu_used_ns(int pid);
/* Stolen from all cores since boot. */
uint64_t cpu_stolen_ns(void);
