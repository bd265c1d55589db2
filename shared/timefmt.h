/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wall-clock text. A format is strftime's plus a fraction of a second: %f is
 * six digits, %1f..%9f that many (cut, never rounded up into the next second).
 * Any thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define TIMEFMT_ISO_LONG "%F %T"
#define TIMEFMT_ISO_LONG_MS "%F %T.%3f"
#define TIMEFMT_ISO_LONG_US "%F %T.%6f"
#define TIMEFMT_ISO_SHORT "%T" /* while younger than TIMEFMT_SHORT_LIMIT_NS, else "%F" */
#define TIMEFMT_ISO_SHORT_MS "%T.%3f"
#define TIMEFMT_ISO_SHORT_US "%T.%6f"
#define TIMEFMT_SHORT_LIMIT_NS (UINT64_C(20) * 3600 * 1000000000) /* 20 hours, as BIRD has it */

#define TIMEFMT_MAX 128 /* enough for every format that people write; longer text is cut */

/* How a class of times is shown. old_format: for stamps at least limit_ns ago; NULL = always format. */
struct timefmt {
	const char *format;
	const char *old_format;
	uint64_t limit_ns;
};

/* Text of a CLOCK_REALTIME stamp. Always NUL-terminated; returns buf. */
char *timefmt_wall(char *buf, size_t size, const char *format, uint64_t wall_ns);
/* Text of a CLOCK_MONOTONIC stamp (clock.h), converted with the difference between the clocks now. */
char *timefmt_mono(char *buf, size_t size, const char *format, uint64_t mono_ns);
/* The same, with the choice between the two formats by age. */
char *timefmt_stamp(char *buf, size_t size, const struct timefmt *f, uint64_t mono_ns);
/* The CLOCK_REALTIME value of a CLOCK_MONOTONIC stamp and back, by the difference between the clocks now. */
uint64_t timefmt_mono_to_wall(uint64_t mono_ns);
uint64_t timefmt_wall_to_mono(uint64_t wall_ns);
