/* SPDX-License-Identifier: BSD-2-Clause */
/* A token bucket kept as one time, the one up to which it is spent: each token moves it on by its cost, and
 * ahead of now by more than the burst it is empty. Zero is a full one. Pure. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

static inline bool bfd_bucket_take(uint64_t *spent_ns, uint64_t cost_ns, uint64_t burst_ns, uint64_t now_ns)
{
	uint64_t from = *spent_ns < now_ns ? now_ns : *spent_ns;

	if (from + cost_ns > now_ns + burst_ns)
		return false;
	*spent_ns = from + cost_ns;
	return true;
}
