/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one way to log. Classes and the line layout are BIRD's
 * ("<time> <CLS> message"), because operators grep for them.
 *
 * log_msg() may be called from any thread and never waits for a sink: a thread of
 * the log's own writes (see log.c). What does not fit into its queue while a sink
 * stands still is counted and told. Not for a dataplane worker's loop all the same: it
 * allocates. Sinks are replaced as a whole by log_configure() (at start and on
 * reload), which starts that thread; before, messages go to stderr at once.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_class {
	LOG_CLASS_DEBUG,   /* DBG */
	LOG_CLASS_TRACE,   /* TRACE */
	LOG_CLASS_INFO,    /* INFO */
	LOG_CLASS_REMOTE,  /* RMT: a peer did something wrong */
	LOG_CLASS_WARNING, /* WARN */
	LOG_CLASS_ERROR,   /* ERR */
	LOG_CLASS_AUTH,    /* AUTH */
	LOG_CLASS_FATAL,   /* FATAL */
	LOG_CLASS_BUG,     /* BUG */
	LOG_CLASS_COUNT
};

enum log_sink_kind { LOG_SINK_STDERR, LOG_SINK_FILE, LOG_SINK_SYSLOG, LOG_SINK_UDP };

struct log_sink {
	enum log_sink_kind kind;
	uint32_t classes;        /* bit per enum log_class */
	const char *path;        /* FILE: path; SYSLOG: ident or NULL; UDP: host */
	const char *backup_path; /* FILE with a limit, else NULL */
	uint64_t limit_bytes;    /* FILE: 0 = none */
	uint16_t port;           /* UDP */
};

/* Replaces all sinks; strings are copied. time_format: strftime with %f (see shared/timefmt.h), NULL = iso
 * long ms. Returns 0 or -errno of the first sink that could not be opened (the others still work). */
int log_configure(const struct log_sink *sinks, size_t n, const char *time_format);
/* Waits until what was logged so far has been written, 2 s at most. exit(), abort() and a FATAL message do
 * so; who leaves by _exit() does it himself. A signal handler may. */
void log_flush(void);
/* The process name put before messages on stderr until log_configure() is called. */
void log_init(const char *program);

void log_msg(enum log_class cls, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_vmsg(enum log_class cls, const char *fmt, __builtin_va_list ap);

/* Token bucket for messages that a remote can provoke. Zero-initialised = 5 a second, burst 5. Any thread. */
struct log_limit {
	uint64_t window_start_ns;
	uint32_t count;
	uint32_t suppressed;
};
bool log_limit_ok(struct log_limit *l);
