/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a message does, remembered by its bytes. A route server says the same
 * to hundreds of receivers; parsing it once and applying runs of route numbers
 * to bitmaps keeps the generator cheaper than what it measures. The key is the
 * message's 64-bit hash and length. Entries stand in the order in which they
 * were first seen, so that a peer that hears the same sequence finds the next
 * one beside the last one.
 */
#pragma once
#include "tools/bgpgen/update.h"

#define PULSE_COMMUNITY 65000 /* 65000:N on the pulse prefix: its number */

struct run {
	uint32_t from;
	uint32_t n : 31, announced : 1;
};

struct effect {
	uint64_t hash;
	uint32_t first_run, attrs; /* attrs: number of the canonical attributes + 1, 0 without */
	uint16_t len, n_runs, n_unknown;
	uint8_t end_of_rib;
	int32_t pulse; /* number of the pulse in it, or -1 */
};

struct memo {
	const struct gen_table *table;
	struct effect *effect;
	struct run *run;
	uint32_t *slot; /* open addressing over effect numbers + 1 */
	uint32_t n, size, n_runs, runs_size, slot_mask;
	uint64_t generation; /* changes when everything was forgotten */
	/* canonical attributes */
	struct canonical {
		uint64_t hash;
		uint32_t at, len;
	} * canon;
	uint8_t *bytes;
	uint32_t *canon_slot, n_canon, canon_size, canon_mask;
	size_t bytes_len, bytes_size;
};

extern const struct prefix pulse_prefix; /* 10.255.255.0/24: in no table */

int memo_init(struct memo *m, const struct gen_table *t); /* 0 or -ENOMEM */
void memo_free(struct memo *m);
/*
 * The effect of an UPDATE's body. hint: number of the effect that may be it (the one after the peer's last).
 * NULL: malformed. Valid until the next call.
 */
const struct effect *memo_find(struct memo *m, const uint8_t *body, size_t len, bool add_path, uint32_t hint);
/* Number of canonical attributes, equal for equal bytes. */
uint32_t memo_intern(struct memo *m, const uint8_t *canonical, size_t len);
