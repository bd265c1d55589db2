/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log sinks: see log.h. The log of a process is one of the few things that are
 * a singleton by nature; everything below is guarded by its mutex. A message is
 * formatted before the mutex is taken, so a slow sink delays other writers but
 * formatting does not.
 *
 * A sink that fails while running (disk full, syslog gone) is not an error of
 * the caller: the message goes to the other sinks.
 */
#include "shared/log.h"
#include "shared/clock.h"
#include "shared/timefmt.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define LOG_TEXT_MAX 2048
#define LOG_LIMIT_PER_S 5

static const char *const class_names[LOG_CLASS_COUNT] = {
	[LOG_CLASS_DEBUG] = "DBG",
	[LOG_CLASS_TRACE] = "TRACE",
	[LOG_CLASS_INFO] = "INFO",
	[LOG_CLASS_REMOTE] = "RMT",
	[LOG_CLASS_WARNING] = "WARN",
	[LOG_CLASS_ERROR] = "ERR",
	[LOG_CLASS_AUTH] = "AUTH",
	[LOG_CLASS_FATAL] = "FATAL",
	[LOG_CLASS_BUG] = "BUG",
};

static const int syslog_priorities[LOG_CLASS_COUNT] = {
	[LOG_CLASS_DEBUG] = LOG_DEBUG,
	[LOG_CLASS_TRACE] = LOG_DEBUG,
	[LOG_CLASS_INFO] = LOG_INFO,
	[LOG_CLASS_REMOTE] = LOG_NOTICE,
	[LOG_CLASS_WARNING] = LOG_WARNING,
	[LOG_CLASS_ERROR] = LOG_ERR,
	[LOG_CLASS_AUTH] = LOG_NOTICE,
	[LOG_CLASS_FATAL] = LOG_CRIT,
	[LOG_CLASS_BUG] = LOG_CRIT,
};

struct sink {
	enum log_sink_kind kind;
	uint32_t classes;
	int fd; /* FILE, UDP; -1 when it could not be opened */
	char *path, *backup_path;
	uint64_t limit_bytes, written;
};

static struct {
	pthread_mutex_t lock;
	char program[64];
	char hostname[64];
	char time_format[TIMEFMT_MAX];
	char *syslog_ident; /* openlog() keeps the pointer */
	bool configured;
	struct sink *sinks;
	size_t n;
} log_state = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.program = "peregrine",
	.time_format = TIMEFMT_ISO_LONG_MS,
};

void log_init(const char *program)
{
	pthread_mutex_lock(&log_state.lock);
	snprintf(log_state.program, sizeof(log_state.program), "%s", program);
	pthread_mutex_unlock(&log_state.lock);
}

static int open_file(struct sink *s)
{
	struct stat st;

	s->fd = open(s->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (s->fd < 0)
		return -errno;
	s->written = fstat(s->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	return 0;
}

static int open_udp(struct sink *s, uint16_t port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
	char service[8];
	int err = -EHOSTUNREACH;

	snprintf(service, sizeof(service), "%u", port ? port : 514u);
	if (getaddrinfo(s->path, service, &hints, &list) != 0)
		return -EHOSTUNREACH;
	for (struct addrinfo *a = list; a; a = a->ai_next) {
		s->fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
		if (s->fd < 0) {
			err = -errno;
			continue;
		}
		if (connect(s->fd, a->ai_addr, a->ai_addrlen) == 0) {
			err = 0;
			break;
		}
		err = -errno;
		close(s->fd);
		s->fd = -1;
	}
	freeaddrinfo(list);
	return err;
}

static void free_sinks(struct sink *sinks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (sinks[i].fd >= 0)
			close(sinks[i].fd);
		free(sinks[i].path);
		free(sinks[i].backup_path);
	}
	free(sinks);
}

int log_configure(const struct log_sink *sinks, size_t n, const char *time_format)
{
	struct sink *fresh = calloc(n ? n : 1, sizeof(*fresh));
	const char *ident = NULL;
	bool syslog_wanted = false;
	int result = 0;

	if (!fresh)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct sink *s = &fresh[i];
		int err = 0;

		s->kind = sinks[i].kind;
		s->classes = sinks[i].classes;
		s->limit_bytes = sinks[i].limit_bytes;
		s->fd = -1;
		s->path = sinks[i].path ? strdup(sinks[i].path) : NULL;
		s->backup_path = sinks[i].backup_path ? strdup(sinks[i].backup_path) : NULL;
		if (s->kind == LOG_SINK_FILE)
			err = s->path ? open_file(s) : -EINVAL;
		else if (s->kind == LOG_SINK_UDP)
			err = s->path ? open_udp(s, sinks[i].port) : -EINVAL;
		else if (s->kind == LOG_SINK_SYSLOG) {
			syslog_wanted = true;
			if (s->path)
				ident = s->path;
		}
		if (err && !result)
			result = err;
	}

	pthread_mutex_lock(&log_state.lock);
	struct sink *old = log_state.sinks;
	size_t old_n = log_state.n;
	log_state.sinks = fresh;
	log_state.n = n;
	log_state.configured = true;
	snprintf(log_state.time_format, sizeof(log_state.time_format), "%s",
		time_format ? time_format : TIMEFMT_ISO_LONG_MS);
	if (gethostname(log_state.hostname, sizeof(log_state.hostname)) != 0)
		snprintf(log_state.hostname, sizeof(log_state.hostname), "-");
	log_state.hostname[sizeof(log_state.hostname) - 1] = '\0';
	if (syslog_wanted) {
		char *name = strdup(ident ? ident : log_state.program);
		if (name) {
			openlog(name, LOG_CONS | LOG_NDELAY | LOG_PID, LOG_DAEMON);
			free(log_state.syslog_ident);
			log_state.syslog_ident = name;
		}
	}
	pthread_mutex_unlock(&log_state.lock);
	free_sinks(old, old_n);
	return result;
}

/* One write() a line: lines of several processes in one file do not mix. */
static void write_line(int fd, const char *line, size_t len)
{
	ssize_t r;

	do
		r = write(fd, line, len);
	while (r < 0 && errno == EINTR);
}

static void write_file(struct sink *s, const char *line, size_t len)
{
	if (s->limit_bytes && s->written + len > s->limit_bytes && s->written) {
		if (s->fd >= 0)
			close(s->fd);
		s->fd = -1;
		if (!s->backup_path || rename(s->path, s->backup_path) < 0)
			unlink(s->path);
	}
	if (s->fd < 0 && open_file(s) < 0)
		return;
	write_line(s->fd, line, len);
	s->written += len;
}

static void write_udp(const struct sink *s, enum log_class cls, const char *text)
{
	char when[TIMEFMT_MAX], packet[LOG_TEXT_MAX + 256];

	if (s->fd < 0)
		return;
	timefmt_wall(when, sizeof(when), "%b %e %H:%M:%S", clock_wall_ns()); /* RFC 3164 section 4.1.2 */
	int n = snprintf(packet, sizeof(packet), "<%d>%s %s %s[%d]: %s", LOG_DAEMON | syslog_priorities[cls],
		when, log_state.hostname, log_state.program, (int)getpid(), text);
	if (n > 0)
		(void)send(s->fd, packet, (size_t)n < sizeof(packet) ? (size_t)n : sizeof(packet) - 1,
			MSG_NOSIGNAL | MSG_DONTWAIT);
}

void log_vmsg(enum log_class cls, const char *fmt, va_list ap)
{
	char text[LOG_TEXT_MAX], when[TIMEFMT_MAX], line[LOG_TEXT_MAX + TIMEFMT_MAX + 64];
	int saved_errno = errno;

	if ((unsigned)cls >= LOG_CLASS_COUNT)
		cls = LOG_CLASS_BUG;
	vsnprintf(text, sizeof(text), fmt, ap);
	/* Text that came from a peer must not forge lines. */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = *p == '\t' ? ' ' : '?';

	pthread_mutex_lock(&log_state.lock);
	if (!log_state.configured) {
		int n = snprintf(line, sizeof(line), "%s: %s\n", log_state.program, text);
		write_line(STDERR_FILENO, line, (size_t)n);
	}
	size_t len = 0;
	for (size_t i = 0; i < log_state.n; i++) {
		struct sink *s = &log_state.sinks[i];

		if (!(s->classes & 1u << cls))
			continue;
		if (!len && (s->kind == LOG_SINK_STDERR || s->kind == LOG_SINK_FILE)) {
			timefmt_wall(when, sizeof(when), log_state.time_format, clock_wall_ns());
			len = (size_t)snprintf(
				line, sizeof(line), "%s <%s> %s\n", when, class_names[cls], text);
		}
		switch (s->kind) {
		case LOG_SINK_STDERR: write_line(STDERR_FILENO, line, len); break;
		case LOG_SINK_FILE: write_file(s, line, len); break;
		case LOG_SINK_SYSLOG: syslog(syslog_priorities[cls], "%s", text); break;
		case LOG_SINK_UDP: write_udp(s, cls, text); break;
		}
	}
	pthread_mutex_unlock(&log_state.lock);
	errno = saved_errno;
}

void log_msg(enum log_class cls, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vmsg(cls, fmt, ap);
	va_end(ap);
}

/* Races between threads can let a message or two more through; the fields are atomics so that this is all. */
bool log_limit_ok(struct log_limit *l)
{
	uint64_t now = clock_now_ns();
	uint64_t start = __atomic_load_n(&l->window_start_ns, __ATOMIC_RELAXED);

	if (!start || now - start >= NS_PER_S) {
		__atomic_store_n(&l->window_start_ns, now, __ATOMIC_RELAXED);
		__atomic_store_n(&l->count, 0, __ATOMIC_RELAXED);
	}
	if (__atomic_fetch_add(&l->count, 1, __ATOMIC_RELAXED) < LOG_LIMIT_PER_S)
		return true;
	__atomic_fetch_add(&l->suppressed, 1, __ATOMIC_RELAXED);
	return false;
}
