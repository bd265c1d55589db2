/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Detection deadlines: one u32 a session in an array that nothing else lives
 * in. A packet stores into it; a sweep compares the whole of it with the clock
 * each 50-100 us, a few instructions for each vector of sessions, and branches
 * only on what is late. There is no timer to arm, move or cancel.
 *
 * The unit is a tick of 1024 ns (a shift instead of a division). Ticks wrap
 * after 73 minutes: they are compared by signed difference, and a deadline is
 * never set more than BFD_TICKS_FAR ahead. "None" is a deadline that far away;
 * when it comes up the owner looks at the real time and sets it again.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define BFD_TICK_SHIFT 10
#define BFD_TICKS_FAR (UINT32_C(1) << 30) /* 18 minutes */
#define BFD_DETECT_BLOCK 64u              /* the array is a multiple of this long */

/* The clock, rounded down; a deadline, rounded up: now >= deadline is never true too early. */
static inline uint32_t bfd_tick_now(uint64_t now_ns)
{
	return (uint32_t)(now_ns >> BFD_TICK_SHIFT);
}

static inline uint32_t bfd_tick_deadline(uint64_t deadline_ns)
{
	return (uint32_t)((deadline_ns + (1u << BFD_TICK_SHIFT) - 1) >> BFD_TICK_SHIFT);
}

static inline bool bfd_tick_late(uint32_t deadline, uint32_t now)
{
	return (int32_t)(now - deadline) >= 0;
}

/* The first late index in [from, n), or n. n is a multiple of BFD_DETECT_BLOCK. */
uint32_t bfd_detect_next(const uint32_t *deadline, uint32_t from, uint32_t n, uint32_t now);
/* The least deadline[i] - now over [0, n), 0 if one is late: how many ticks nothing can happen.
 * n as above. */
uint32_t bfd_detect_slack(const uint32_t *deadline, uint32_t n, uint32_t now);
