/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The generator's loop: one thread, one BFD engine, one wire, one meter.
 *
 *   main thread   opens the wire, starts the loop, samples what others use
 *                 (CPU time), prints, waits, and when the loop has ended writes
 *                 the report. While the loop runs it reads nothing but the
 *                 atomics below and finished samples.
 *   loop          everything else. It allocates nothing, logs nothing, and makes
 *                 no system call of its own but its naps.
 *
 * The course of a run is the loop's: sessions are added (ramp), awaited, held,
 * then some are cut in rounds, then all say goodbye.
 */
#pragma once
#include "bfd/engine.h"
#include "tools/bfdgen/cut.h"
#include "tools/bfdgen/flood.h"
#include "tools/bfdgen/meter.h"
#include "tools/bfdgen/options.h"
#include "tools/bfdgen/wire.h"
#include <stdatomic.h>

#define GEN_FLOOD_PATHS 1024u
#define GEN_SAMPLES 200000u
#define GEN_ROUND_BINS 256u

enum gen_stage { GEN_RAMP, GEN_HOLD, GEN_CUTS, GEN_GOODBYE, GEN_OVER };

/* One each second; finished when it is counted in nsamples. */
struct gen_sample {
	uint64_t at_ns;
	uint32_t up;
	uint64_t flaps, rx, tx, flood, refused, stalls;
	uint64_t worst_gap_ns, worst_round_ns;
	uint8_t stage;
};

struct gen {
	const struct gen_options *o;
	struct wire *wire;
	struct linkstate ls;
	struct linkstate_reader reader;
	struct bfd_engine *engine;
	struct meter *meter;
	struct cut cut;
	uint32_t salt;
	uint64_t random;

	/* The loop's. */
	uint32_t added;
	uint8_t *marks; /* of a session, see gen.c */
	uint32_t burst[WIRE_BURST];
	unsigned nburst;
	uint64_t burst_ns;
	uint32_t probe_at;
	uint64_t next_probe_ns, next_sample_ns, last_sweep_ns, drained_ns;
	struct flood_packet *flood[GEN_FLOODS]; /* GEN_FLOOD_PATHS of each */
	double flood_credit[GEN_FLOODS];
	uint32_t flood_at[GEN_FLOODS];
	uint64_t flood_ns;
	uint64_t slept_ns, awake_ns;

	/* What the report reads. */
	uint64_t start_ns, up_ns, hold_ns, cuts_ns, goodbye_ns, end_ns;
	uint32_t add_errors; /* sessions that our engine did not take */
	uint32_t reached_up, up_at_hold, up_at_end;
	uint64_t rx, tx, swallowed, flooded, refused_rx[BFD_RX_COUNT];
	uint64_t flaps_before_hold;
	/* Time spent in rounds, by how long they last (gen_round_edge_ns()): a packet comes in at a random
	 * moment, so this is the distribution of what its stamp may be late by. */
	uint64_t round_hist[GEN_ROUND_BINS];
	uint64_t worst_round_ns, window_round_ns;
	uint64_t busy_ns, busy_packets; /* since the hold began: rounds that had something to do, and what */
	struct gen_sample *sample;
	_Atomic uint32_t nsamples;
	_Atomic uint8_t stage; /* enum gen_stage */
	_Atomic bool stop;     /* by the main thread: say goodbye now */
};

/* 0, or a negative errno with a sentence in err. The wire is the caller's. */
int gen_create(struct gen *g, const struct gen_options *o, struct wire *w, char err[GEN_ERR]);
void gen_destroy(struct gen *g);
/* Until the course is over or stop is set. In the thread that is to do it. */
void gen_run(struct gen *g);
uint64_t gen_round_edge_ns(unsigned bin);
