/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which sessions fall silent, and when: rounds of `count` sessions chosen by
 * chance among those that are Up, each at a moment of its own within the spread
 * (so that the device finds them at all phases of its own schedule), answered
 * again a while after the device has noticed. A round ends when all are Up again.
 * Pure but for the meter; the loop's thread.
 */
#pragma once
#include "tools/bfdgen/meter.h"

enum cut_step {
	CUT_CHOSEN, /* its packets are sent one by one, with stamps of their own */
	CUT_SILENT,
	CUT_BACK,
};

struct cut_item {
	uint32_t session;
	uint8_t step;
	bool noticed;
	uint64_t at_ns; /* of its next step */
};

struct cut_options {
	uint32_t count, rounds;
	uint64_t spread_ns, hold_ns;
	uint64_t lead_ns; /* between being chosen and the first that falls silent */
};

struct cut {
	struct cut_options o;
	struct meter *meter;
	struct cut_item *item;
	uint32_t nitems, round;
	uint64_t next_ns, round_ends_ns;
	uint64_t *random;
	bool hot; /* a Down is expected: a bad moment to sleep */
};

/* What the loop has to do: session changes to step. */
typedef void cut_step_fn(void *arg, uint32_t session, enum cut_step step);

int cut_create(struct cut *c, const struct cut_options *o, struct meter *m, uint64_t *random);
void cut_destroy(struct cut *c);
/* False: all rounds are done. */
bool cut_run(struct cut *c, uint64_t now_ns, cut_step_fn *step, void *arg);
