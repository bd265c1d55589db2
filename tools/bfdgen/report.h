/* SPDX-License-Identifier: BSD-2-Clause */
/* What a run has shown: as lines for people, as JSON, as CSV files. After the loop has ended; main thread. */
#pragma once
#include "tools/bfdgen/gen.h"
#include "tools/bfdgen/watch.h"
#include <stdio.h>

/* Whose fault a flap was, as far as can be seen from here. */
enum blame {
	BLAME_DEVICE,    /* or the path between */
	BLAME_MACHINE,   /* a core was taken away for long enough to explain it */
	BLAME_GENERATOR, /* we were silent for longer than the detection time */
	BLAMES
};

struct cpu_sample {
	uint64_t at_ns;
	uint64_t used_ns[GEN_PIDS];
	uint64_t stolen_ns;
};

struct report {
	const struct gen *g;
	const struct gen_options *o;
	const struct core_watch *watch;
	unsigned nwatches;
	const struct cpu_sample *cpu;
	uint32_t ncpu;
	int argc;
	char **argv;
	uint64_t started_wall_ns;
};

/* Of n values; sorts them. q in 0..1, 0 for none. */
struct quantiles {
	uint64_t n, min, median, p99, max;
};
struct quantiles quantiles_of(uint64_t *v, uint64_t n);

enum blame report_blame(const struct report *r, const struct meter_flap *f, uint64_t *longest_stall_ns);
void report_text(const struct report *r, FILE *to);
/* 0 or -errno */
int report_json(const struct report *r, const char *path);
int report_csv(const struct report *r, const char *directory);
/* Something that a device which keeps the protocol would not have done, or sessions that never came up. */
bool report_trouble(const struct report *r);
