/* SPDX-License-Identifier: BSD-2-Clause */
#include "shared/log_sink.h"
#include "shared/clock.h"
#include "shared/timefmt.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define SYSLOG_SOCKET "/dev/log"

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
	int fd; /* -1 when it could not be opened; STDERR: not ours to close */
	char *path, *backup_path;
	uint64_t limit_bytes, written;
	bool may_block; /* not a regular file */
	bool stuck;     /* did not take a line for LOG_PATIENCE_MS */
	uint64_t lost;  /* lines, to be told */
};

struct log_sinks {
	char program[64], hostname[64], time_format[TIMEFMT_MAX];
	size_t n;
	struct sink sink[];
};

/* ---- opening ---- */

/* What poll(2) calls writable takes a line at once: lines are shorter than PIPE_BUF. */
static void look_at(struct sink *s)
{
	struct stat st;

	s->may_block = fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode);
	s->written = s->may_block ? 0 : (uint64_t)st.st_size;
}

static int open_file(struct sink *s)
{
	s->fd = open(s->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (s->fd < 0)
		return -errno;
	look_at(s);
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

/* Not syslog(3), which waits for a daemon that stands still. One that is not there yet is tried again with
 * each line. */
static void open_syslog(struct sink *s)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = SYSLOG_SOCKET};

	s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	s->may_block = true;
	if (s->fd >= 0 && connect(s->fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(s->fd);
		s->fd = -1;
	}
}

static int open_sink(struct sink *s, const struct log_sink *cf)
{
	s->kind = cf->kind;
	s->classes = cf->classes;
	s->limit_bytes = cf->limit_bytes;
	s->fd = -1;
	s->path = cf->path ? strdup(cf->path) : NULL;
	s->backup_path = cf->backup_path ? strdup(cf->backup_path) : NULL;
	switch (s->kind) {
	case LOG_SINK_FILE: return s->path ? open_file(s) : -EINVAL;
	case LOG_SINK_UDP: return s->path ? open_udp(s, cf->port) : -EINVAL;
	case LOG_SINK_SYSLOG: open_syslog(s); return 0;
	case LOG_SINK_STDERR:
		s->fd = STDERR_FILENO;
		look_at(s);
		return 0;
	}
	return -EINVAL;
}

struct log_sinks *log_sinks_open(
	const struct log_sink *sinks, size_t n, const char *time_format, const char *program, int *err)
{
	struct log_sinks *s = calloc(1, sizeof(*s) + n * sizeof(s->sink[0]));

	*err = 0;
	if (!s)
		return NULL;
	s->n = n;
	snprintf(s->program, sizeof(s->program), "%s", program);
	snprintf(s->time_format, sizeof(s->time_format), "%s",
		time_format ? time_format : TIMEFMT_ISO_LONG_MS);
	if (gethostname(s->hostname, sizeof(s->hostname)) != 0)
		snprintf(s->hostname, sizeof(s->hostname), "-");
	s->hostname[sizeof(s->hostname) - 1] = '\0';
	for (size_t i = 0; i < n; i++) {
		int rc = open_sink(&s->sink[i], &sinks[i]);
		if (rc && !*err)
			*err = rc;
	}
	return s;
}

void log_sinks_close(struct log_sinks *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		if (s->sink[i].fd >= 0 && s->sink[i].kind != LOG_SINK_STDERR)
			close(s->sink[i].fd);
		free(s->sink[i].path);
		free(s->sink[i].backup_path);
	}
	free(s);
}

static bool same_destination(const struct sink *a, const struct sink *b)
{
	if (a->kind != b->kind)
		return false;
	return a->path && b->path ? strcmp(a->path, b->path) == 0 : a->path == b->path;
}

void log_sinks_take_over(struct log_sinks *s, const struct log_sinks *before)
{
	for (size_t i = 0; i < s->n; i++) {
		struct sink *k = &s->sink[i];
		/* Those before may have written to the same file since it was opened. */
		if (k->kind == LOG_SINK_FILE && k->fd >= 0)
			look_at(k);
		for (size_t o = 0; before && o < before->n; o++)
			if (same_destination(k, &before->sink[o])) {
				k->stuck = before->sink[o].stuck;
				k->lost += before->sink[o].lost;
				break;
			}
	}
}

/* ---- writing ---- */

static bool takes(struct sink *s)
{
	struct pollfd p = {s->fd, POLLOUT, 0};
	int n;

	if (!s->may_block)
		return true;
	do
		n = poll(&p, 1, s->stuck ? 0 : LOG_PATIENCE_MS);
	while (n < 0 && errno == EINTR);
	s->stuck = n == 0;
	return n != 0; /* what is wrong with it, if anything, write() finds out */
}

/* One write() a line: lines of several processes in one file do not mix. */
static void write_line(int fd, const char *line, size_t len)
{
	ssize_t r;

	do
		r = write(fd, line, len);
	while (r < 0 && errno == EINTR);
}

/* False: it did not take the line. A disk that is full is the other sinks' chance, not an error of the
 * caller. */
static bool write_file(struct sink *s, const char *line, size_t len)
{
	if (s->limit_bytes && !s->may_block && s->written + len > s->limit_bytes && s->written) {
		if (s->fd >= 0)
			close(s->fd);
		s->fd = -1;
		if (!s->backup_path || rename(s->path, s->backup_path) < 0)
			unlink(s->path);
	}
	if (s->fd < 0 && open_file(s) < 0)
		return true;
	if (!takes(s))
		return false;
	write_line(s->fd, line, len);
	s->written += len;
	return true;
}

/* RFC 3164 section 4.1; the host's own daemon knows the host. */
static size_t make_packet(const struct log_sinks *all, const struct sink *s, enum log_class cls,
	uint64_t wall_ns, const char *text, char *packet, size_t size)
{
	bool local = s->kind == LOG_SINK_SYSLOG;
	char when[TIMEFMT_MAX];
	int n;

	timefmt_wall(when, sizeof(when), "%b %e %H:%M:%S", wall_ns);
	n = snprintf(packet, size, "<%d>%s %s%s%s[%d]: %s", LOG_DAEMON | syslog_priorities[cls], when,
		local ? "" : all->hostname, local ? "" : " ", local && s->path ? s->path : all->program,
		(int)getpid(), text);
	return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

static bool write_packet(
	const struct log_sinks *all, struct sink *s, enum log_class cls, uint64_t wall_ns, const char *text)
{
	char packet[LOG_TEXT_MAX + 256];
	size_t n = make_packet(all, s, cls, wall_ns, text, packet, sizeof(packet));

	if (s->kind == LOG_SINK_UDP) {
		if (s->fd >= 0)
			(void)send(s->fd, packet, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		return true;
	}
	for (int tries = 0; tries < 2; tries++) {
		if (s->fd < 0)
			open_syslog(s);
		if (s->fd < 0)
			return true; /* no syslog here: nobody to be told */
		if (!takes(s))
			return false;
		if (send(s->fd, packet, n, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return true;
		if (errno == EAGAIN || errno == ENOBUFS)
			return false;
		close(s->fd); /* it was restarted */
		s->fd = -1;
	}
	return true;
}

/* One line for one sink; line is made when the first asks for it. */
struct line {
	enum log_class cls;
	uint64_t wall_ns;
	const char *text;
	size_t len;
	char line[LOG_TEXT_MAX + TIMEFMT_MAX + 64];
};

static bool give(const struct log_sinks *all, struct sink *s, struct line *l)
{
	char when[TIMEFMT_MAX];

	if (s->kind == LOG_SINK_SYSLOG || s->kind == LOG_SINK_UDP)
		return write_packet(all, s, l->cls, l->wall_ns, l->text);
	if (!l->len) {
		timefmt_wall(when, sizeof(when), all->time_format, l->wall_ns);
		l->len = (size_t)snprintf(
			l->line, sizeof(l->line), "%s <%s> %s\n", when, class_names[l->cls], l->text);
	}
	if (s->kind == LOG_SINK_FILE)
		return write_file(s, l->line, l->len);
	if (!takes(s))
		return false;
	write_line(s->fd, l->line, l->len);
	return true;
}

static bool tell_lost(const struct log_sinks *all, struct sink *s)
{
	char text[120];
	struct line l = {.cls = LOG_CLASS_WARNING, .wall_ns = clock_wall_ns(), .text = text};

	snprintf(text, sizeof(text), "%llu lines of the log were lost: they were not taken in time",
		(unsigned long long)s->lost);
	if (!give(all, s, &l))
		return false;
	s->lost = 0;
	return true;
}

void log_sinks_write(struct log_sinks *all, enum log_class cls, uint64_t wall_ns, const char *text)
{
	struct line l = {.cls = cls, .wall_ns = wall_ns, .text = text};

	for (size_t i = 0; i < all->n; i++) {
		struct sink *s = &all->sink[i];
		if (!(s->classes & 1u << cls))
			continue;
		if ((s->lost && !tell_lost(all, s)) || !give(all, s, &l))
			s->lost++;
	}
}

void log_sinks_add_lost(struct log_sinks *s, uint64_t n)
{
	for (size_t i = 0; i < s->n; i++)
		s->sink[i].lost += n;
}

bool log_sinks_tell_lost(struct log_sinks *s)
{
	bool untold = false;

	for (size_t i = 0; i < s->n; i++)
		untold = (s->sink[i].lost && !tell_lost(s, &s->sink[i])) || untold;
	return untold;
}
