/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Listening, and a thread for each connection. The server and its list of
 * connections belong to main; a connection's thread only says that it has
 * finished. Destroying shuts their sockets down, which makes every read and write of
 * theirs return, and joins them. Main must keep running its mailbox meanwhile:
 * a connection may be waiting for main in a synchronous call. So destruction
 * happens after main's loop has stopped and runs what is left by hand.
 */
#include "controlplane/cli/session.h"
#include "shared/log.h"
#include "shared/rcu.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <urcu/list.h>

#define MAX_CONNECTIONS 128u
#define MAX_LINE 4095u

struct cli_server {
	struct daemon *daemon;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd;
	bool restricted;
	ev_io accept;
	struct cds_list_head connections;
	unsigned n;
	_Atomic bool closing;
};

struct connection {
	struct cds_list_head node;
	struct cli_server *server;
	pthread_t thread;
	_Atomic bool finished; /* the thread is about to end: main joins it at the next accept */
	struct cli_session session;
	int fd;
};

/* Says what comes unasked meanwhile. */
static bool wait_for_input(struct connection *c)
{
	struct cli_session *s = &c->session;
	struct pollfd fds[2] = {{.fd = c->fd, .events = POLLIN}, {.fd = s->news, .events = POLLIN}};

	do {
		if (poll(fds, 2, -1) < 0) {
			if (errno != EINTR)
				return false;
			continue;
		}
		if (fds[1].revents) {
			cli_undo_news(s);
			cli_flush(&s->out);
		}
	} while (!fds[0].revents);
	return true;
}

static bool read_line(struct connection *c, char *buf, size_t *have, size_t *line_len, bool *too_long)
{
	for (;;) {
		char *nl = memchr(buf, '\n', *have);
		ssize_t n;

		if (nl) {
			*line_len = (size_t)(nl - buf);
			return true;
		}
		if (*have == MAX_LINE) {
			*too_long = true;
			*have = 0;
		}
		if (c->session.news >= 0 && !wait_for_input(c))
			return false;
		n = recv(c->fd, buf + *have, MAX_LINE - *have, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		*have += (size_t)n;
	}
}

static void *connection_thread(void *arg)
{
	struct connection *c = arg;
	struct cli_session *s = &c->session;
	char buf[MAX_LINE + 1];
	size_t have = 0, len;
	bool too_long = false;

	pthread_setname_np(pthread_self(), "cli");
	rcu_register_thread();
	cli_end(&s->out, 1, "BIRD 2.19.2 ready.");
	cli_flush(&s->out);
	while (!s->out.broken && read_line(c, buf, &have, &len, &too_long)) {
		cli_out_reset(&s->out);
		if (too_long)
			cli_end(&s->out, 9000, "Command too long");
		else
			cli_run_line(s, buf, len && buf[len - 1] == '\r' ? len - 1 : len);
		too_long = false;
		cli_flush(&s->out);
		memmove(buf, buf + len + 1, have - len - 1);
		have -= len + 1;
	}
	cli_undo_forget(s);
	if (s->vm)
		filter_vm_destroy(s->vm);
	for (int i = 0; i < 4; i++) {
		free(s->time_format[i].format);
		free(s->time_format[i].old);
	}
	free(s->json_line.text);
	free(s->scratch);
	arena_destroy(s->arena);
	cli_out_free(&s->out);
	rcu_unregister_thread();
	atomic_store(&c->finished, true);
	return NULL;
}

/* Main. all: also those that are still running. */
static void reap(struct cli_server *s, bool all)
{
	struct connection *c, *tmp;

	cds_list_for_each_entry_safe(c, tmp, &s->connections, node)
	{
		if (!all && !atomic_load(&c->finished))
			continue;
		pthread_join(c->thread, NULL);
		close(c->fd);
		cds_list_del(&c->node);
		s->n--;
		free(c);
	}
}

static void on_accept(struct ev_loop *ev, ev_io *w, int revents)
{
	struct cli_server *s = w->data;
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
	struct connection *c;

	(void)ev, (void)revents;
	if (fd < 0)
		return;
	reap(s, false);
	c = s->n < MAX_CONNECTIONS ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		close(fd);
		return;
	}
	c->server = s;
	c->fd = fd;
	c->session.daemon = s->daemon;
	c->session.restricted = s->restricted;
	c->session.arena = arena_create();
	c->session.closing = &s->closing;
	c->session.news = -1;
	cli_out_init(&c->session.out, fd);
	if (pthread_create(&c->thread, NULL, connection_thread, c)) {
		arena_destroy(c->session.arena);
		close(fd);
		free(c);
		return;
	}
	cds_list_add_tail(&c->node, &s->connections);
	s->n++;
}

static bool somebody_answers(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes;

	if (fd < 0)
		return false;
	yes = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0;
	close(fd);
	return yes;
}

int cli_server_create(struct daemon *d, const char *path, bool restricted, struct cli_server **out)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct cli_server *s;
	mode_t mask;
	int rc;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	if (somebody_answers(&sun))
		return -EADDRINUSE;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->daemon = d;
	s->restricted = restricted;
	strcpy(s->path, path);
	CDS_INIT_LIST_HEAD(&s->connections);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		goto fail;
	if (unlink(path) < 0 && errno != ENOENT)
		goto fail;
	mask = umask(0117); /* 0660 from the first moment */
	rc = bind(s->fd, (struct sockaddr *)&sun, sizeof(sun));
	umask(mask);
	if (rc < 0 || listen(s->fd, 16) < 0)
		goto fail;
	ev_io_init(&s->accept, on_accept, s->fd, EV_READ);
	s->accept.data = s;
	ev_io_start(loop_ev(d->main), &s->accept);
	*out = s;
	return 0;
fail:
	rc = -errno;
	if (s->fd >= 0)
		close(s->fd);
	free(s);
	return rc;
}

const char *cli_server_path(const struct cli_server *s)
{
	return s->path;
}

void cli_server_restrict(struct cli_server *s, bool restricted)
{
	s->restricted = restricted;
}

void cli_server_retire(struct cli_server *s)
{
	if (s->fd < 0)
		return;
	ev_io_stop(loop_ev(s->daemon->main), &s->accept);
	close(s->fd);
	unlink(s->path);
	s->fd = -1;
}

bool cli_server_idle(struct cli_server *s)
{
	reap(s, false);
	return s->n == 0;
}

void cli_server_destroy(struct cli_server *s)
{
	struct connection *c;

	cli_server_retire(s);
	atomic_store(&s->closing, true);
	cds_list_for_each_entry(c, &s->connections, node) shutdown(c->fd, SHUT_RDWR);
	/* One may be waiting for main: answer until all have finished. */
	cds_list_for_each_entry(c, &s->connections, node) while (!atomic_load(&c->finished))
	{
		loop_run_calls(s->daemon->main);
		usleep(1000);
	}
	reap(s, true);
	free(s);
}
