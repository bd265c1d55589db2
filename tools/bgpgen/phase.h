/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A phase of a run: it begins, peers complete or time passes, it ends, and one JSON object tells of it. The
 * daemon's CPU time and memory are read from /proc at both ends.
 */
#pragma once
#include "tools/bgpgen/options.h"
#include "tools/bgpgen/peer.h"

struct usage_sample {
	double user_s, system_s; /* of the daemon's processes */
	uint64_t rss_kb, peak_kb;
	double own_s; /* of the generator */
};

struct run_state {
	const struct options *o;
	struct generator g;
	struct model model;
	uint64_t **want, **ignore, *minimum;
	uint32_t *n_want;
	uint64_t *scratch;
	bool loaded; /* a peer that comes up sends its table by itself */
	bool pulsing, churning;
	unsigned pulse_number, pulse_peer, busy_from, busy_to; /* clients that make busy changes */
	uint64_t next_pulse_ns, busy_done, busy_since_ns, seed;
	bool failed; /* a check said no */
};

struct phase {
	const char *name;
	uint64_t start_ns;
	struct usage_sample before;
};

void usage_read(const struct options *o, struct usage_sample *u);
/* The model's idea of what everybody must have is computed anew; counts[i] false: i is not waited for. */
void phase_expect(struct run_state *s, const bool *counts);
void phase_begin(struct run_state *s, struct phase *p, const char *name);
/* One turn, pulses and busy changes included. */
void phase_turn(struct run_state *s, int wait_ms);
/* Until all that count are complete. False: time is over, or a session was lost that should be up. */
bool phase_wait(struct run_state *s, const struct phase *p);
/* Its JSON, with minimum: also the fewest UPDATEs possible. With --check the tables are compared. */
void phase_report(struct run_state *s, const struct phase *p, bool minimum);
void phase_complain(const struct run_state *s, const char *what);
