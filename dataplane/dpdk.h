/* SPDX-License-Identifier: BSD-2-Clause */
/* DPDK and shared/clock.h both define NS_PER_S, DPDK as an int. Include this before <rte_*.h> to keep ours.
 */
#pragma once
#include "shared/clock.h"
#undef NS_PER_S
#include <rte_cycles.h>
#undef NS_PER_S
#define NS_PER_S UINT64_C(1000000000)
