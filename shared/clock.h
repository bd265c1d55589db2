/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time. Every timestamp that is stored or crosses a process is CLOCK_MONOTONIC
 * in nanoseconds: both processes and the kernel (XDP, SO_TIMESTAMPNS converted)
 * can be put on one line. Wall-clock time is only for text that people read.
 * Any thread.
 */
#pragma once
#include <stdint.h>
#include <time.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

static inline uint64_t clock_now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static inline uint64_t clock_wall_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}
