/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See timefmt.h. localtime_r() takes libc's time zone lock, and a table dump
 * formats millions of stamps of a few seconds, so each thread remembers the
 * last second it has broken down. That cache is all the state there is.
 */
#include "shared/timefmt.h"
#include "shared/clock.h"
#include <stdbool.h>
#include <string.h>

static void break_down(time_t sec, struct tm *tm)
{
	static _Thread_local struct {
		bool valid;
		time_t sec;
		struct tm tm;
	} last;

	if (!last.valid || last.sec != sec) {
		localtime_r(&sec, &last.tm);
		last.sec = sec;
		last.valid = true;
	}
	*tm = last.tm;
}

/* Replaces %f and %<digit>f by digits, since strftime does not know them. */
static void expand_fraction(char *out, size_t size, const char *format, unsigned ns)
{
	size_t n = 0;

	for (const char *p = format; *p && n + 10 < size; p++) {
		int digits = 0;
		const char *end = p;

		if (p[0] == '%' && p[1] == 'f') {
			digits = 6;
			end = p + 1;
		} else if (p[0] == '%' && p[1] >= '1' && p[1] <= '9' && p[2] == 'f') {
			digits = p[1] - '0';
			end = p + 2;
		}
		if (!digits) {
			out[n++] = *p;
			if (p[0] == '%' && p[1]) /* "%%f" is a percent sign and an f */
				out[n++] = *++p;
			continue;
		}
		unsigned div = 100000000;
		for (int i = 0; i < digits; i++, div /= 10)
			out[n++] = (char)('0' + ns / div % 10);
		p = end;
	}
	out[n] = '\0';
}

char *timefmt_wall(char *buf, size_t size, const char *format, uint64_t wall_ns)
{
	char expanded[2 * TIMEFMT_MAX], text[2 * TIMEFMT_MAX];
	struct tm tm;

	if (!size)
		return buf;
	break_down((time_t)(wall_ns / NS_PER_S), &tm);
	expand_fraction(expanded, sizeof(expanded), format, (unsigned)(wall_ns % NS_PER_S));
	/* 0 means "did not fit" or an empty result: both give an empty text. */
	size_t n = strftime(text, sizeof(text), expanded, &tm);
	if (n >= size)
		n = size - 1;
	memcpy(buf, text, n);
	buf[n] = '\0';
	return buf;
}

static int64_t wall_minus_mono(void)
{
	uint64_t mono = clock_now_ns();

	return (int64_t)(clock_wall_ns() - mono);
}

uint64_t timefmt_mono_to_wall(uint64_t mono_ns)
{
	return mono_ns + (uint64_t)wall_minus_mono();
}

uint64_t timefmt_wall_to_mono(uint64_t wall_ns)
{
	return wall_ns - (uint64_t)wall_minus_mono();
}

char *timefmt_mono(char *buf, size_t size, const char *format, uint64_t mono_ns)
{
	return timefmt_wall(buf, size, format, timefmt_mono_to_wall(mono_ns));
}

char *timefmt_stamp(char *buf, size_t size, const struct timefmt *f, uint64_t mono_ns)
{
	/* Signed: a stamp taken over from before the last boot is "negative". */
	int64_t age = (int64_t)(clock_now_ns() - mono_ns);
	bool old = f->old_format && age >= (int64_t)f->limit_ns;

	return timefmt_mono(buf, size, old ? f->old_format : f->format, mono_ns);
}
