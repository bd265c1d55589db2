/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a log goes: files, stderr, the host's syslog, UDP. Used by one thread at a time: log.c sees to that.
 *
 * A destination that does not take a line (a pipe that nobody reads, a journal that stands still) is waited
 * for once, LOG_PATIENCE_MS; from then on it is passed over, and its lines are counted, until it takes one
 * again: then it is told how many it has missed. The others get every line all the time.
 */
#pragma once
#include "shared/log.h"

#define LOG_TEXT_MAX 2048
#define LOG_PATIENCE_MS 1000

struct log_sinks;

/* All that could be opened; *err: -errno of the first that could not, else 0. NULL without memory. */
struct log_sinks *log_sinks_open(
	const struct log_sink *sinks, size_t n, const char *time_format, const char *program, int *err);
void log_sinks_close(struct log_sinks *s);
/* They are about to be written to for the first time, instead of those before (NULL: none): a destination
 * that is still the same has still lost what it has lost. */
void log_sinks_take_over(struct log_sinks *s, const struct log_sinks *before);
void log_sinks_write(struct log_sinks *s, enum log_class cls, uint64_t wall_ns, const char *text);
/* So many lines never came here: all are to be told. */
void log_sinks_add_lost(struct log_sinks *s, uint64_t n);
/* Tells those that take lines again what they have missed; true: some are still to be told. */
bool log_sinks_tell_lost(struct log_sinks *s);
