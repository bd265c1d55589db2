/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One copy of equal things, process-wide: sets, and the identities of filters.
 *
 * A reload parses the same sets and filters again; by content they are found
 * here, so memory is not doubled and a filter keeps its uid. This table is the
 * one piece of static state of the room (guarded by its mutex); entries leave
 * when their last reference goes.
 */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

struct digest {
	uint64_t low, high;
};

/* First member of an interned object. Counting is atomic; only the last release and look-ups take the mutex.
 */
struct interned {
	struct interned *next;
	struct digest digest; /* of the content, kind included: 128 bits, taken as identity */
	_Atomic uint32_t refs;
	uint32_t uid; /* unique while the process lives */
	void (*destroy)(struct interned *self);
};

/* fresh has its digest and destroy set. Returns the object to use, with one reference for the caller:
 * fresh itself, or an equal one from before (fresh is destroyed then). */
struct interned *intern_add(struct interned *fresh);
struct interned *intern_hold(struct interned *o);
void intern_release(struct interned *o);
