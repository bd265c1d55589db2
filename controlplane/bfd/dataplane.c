/* SPDX-License-Identifier: BSD-2-Clause */
/* The back end on peregrine-dp's socket (shared/ipc.h). Link thread; add, remove and readable under the lock.
 */
#include "controlplane/bfd/client.h"
#include "shared/ipc.h"
#include "shared/log.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOLD_S 120 /* how long the dataplane keeps our sessions while we are away */

static const char *dataplane_name(const struct bfd_client *c)
{
	static __thread char text[160];

	snprintf(text, sizeof(text), "peregrine-dp at %s", c->dp_socket);
	return text;
}

static void close_all(int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}

/* Once for each different thing: a dataplane of another version is asked again and again. */
static int refused(struct bfd_client *c, const char *why)
{
	if (c->last_error != -EALREADY)
		log_msg(LOG_CLASS_ERROR, "%s: peregrine-dp at %s: %s", c->proto_name, c->dp_socket, why);
	return -EALREADY;
}

static int greet(struct bfd_client *c, int sock)
{
	struct ipc_hello hello = {
		.h = {IPC_HELLO, sizeof(hello), 1},
		.magic = IPC_MAGIC,
		.version = IPC_VERSION,
		.hold_s = HOLD_S,
		.name = "peregrined",
	};
	union {
		struct ipc_welcome w;
		char space[IPC_MAX_MSG];
	} in;
	struct pollfd p = {sock, POLLIN, 0};
	int fds[4], rc;
	unsigned n = 4;
	char text[256];

	rc = ipc_send(sock, &hello, sizeof(hello), NULL, 0);
	if (rc < 0)
		return rc;
	if (poll(&p, 1, 2000) <= 0)
		return -ETIMEDOUT;
	rc = ipc_recv(sock, &in, sizeof(in), fds, &n);
	if (rc < 0)
		return rc;
	if (rc < (int)sizeof(struct ipc_header) + 8 || in.w.h.type != IPC_WELCOME ||
		in.w.magic != IPC_MAGIC) {
		close_all(fds, n);
		return refused(c, "this is not a dataplane's socket");
	}
	if (in.w.version != IPC_VERSION || rc < (int)sizeof(in.w)) {
		close_all(fds, n);
		snprintf(text, sizeof(text), "it speaks version %u, we speak %u: install matching programs",
			in.w.version, IPC_VERSION);
		return refused(c, text);
	}
	if (in.w.error) {
		close_all(fds, n);
		in.w.text[sizeof(in.w.text) - 1] = 0;
		return refused(c, in.w.text[0] ? in.w.text : strerror(in.w.error));
	}
	if (n < 2) {
		close_all(fds, n);
		return -EPROTO;
	}
	rc = linkstate_attach(&c->ls, fds[0]);
	if (rc < 0) {
		close_all(fds, n);
		return rc;
	}
	c->event_fd = fds[1];
	if (n > 2)
		close_all(fds + 2, n - 2);
	if (c->instance && c->instance != in.w.instance)
		log_msg(LOG_CLASS_INFO, "%s: peregrine-dp was restarted, all BFD sessions begin again",
			c->proto_name);
	c->instance = in.w.instance;
	return 0;
}

static int dataplane_open(struct bfd_client *c)
{
	int sock = ipc_connect(c->dp_socket), rc;

	if (sock < 0)
		return sock;
	rc = greet(c, sock);
	if (rc < 0) {
		close(sock);
		return rc;
	}
	c->backend_fd = sock;
	c->n_answers = 0;
	return 0;
}

static void dataplane_close(struct bfd_client *c)
{
	close(c->backend_fd);
	close(c->event_fd);
	c->backend_fd = c->event_fd = -1;
	linkstate_close(&c->ls);
	memset(&c->ls, 0, sizeof(c->ls));
}

static int send_session(struct bfd_client *c, struct bfd_session *s, enum ipc_type type)
{
	struct ipc_session_add m = {
		.h = {type, sizeof(m), 0},
		.key = s->key,
		.params = s->params,
	};
	int rc;

	memcpy(m.ifname, s->ifname, sizeof(m.ifname));
	rc = ipc_send(c->backend_fd, &m, sizeof(m), NULL, 0);
	if (rc < 0)
		return rc; /* the socket is full: later */
	if (c->n_answers == c->cap_answers) {
		c->cap_answers = c->cap_answers ? 2 * c->cap_answers : 64;
		c->answers = realloc(c->answers, c->cap_answers * sizeof(*c->answers));
		if (!c->answers)
			abort();
	}
	c->answers[c->n_answers++] = type == IPC_SESSION_ADD ? s : NULL;
	return 0;
}

static int dataplane_add(struct bfd_client *c, struct bfd_session *s)
{
	int rc = send_session(c, s, IPC_SESSION_ADD);

	if (rc == 0)
		s->awaiting = true;
	return rc;
}

static void dataplane_remove(struct bfd_client *c, struct bfd_session *s)
{
	for (uint32_t i = 0; i < c->n_answers; i++)
		if (c->answers[i] == s)
			c->answers[i] = NULL;
	send_session(c, s, IPC_SESSION_REMOVE);
}

static void dataplane_sync(struct bfd_client *c)
{
	struct ipc_header m = {IPC_SYNC, sizeof(m), 0};

	ipc_send(c->backend_fd, &m, sizeof(m), NULL, 0);
}

static bool dataplane_settings(struct bfd_client *c)
{
	struct ipc_settings m = {.h = {IPC_SETTINGS, sizeof(m), 0}};

	if (c->cfg) {
		m.strangers = c->cfg->unsolicited.on;
		m.reflector = c->cfg->reflector;
		m.workers = c->cfg->workers;
	}
	return ipc_send(c->backend_fd, &m, sizeof(m), NULL, 0) == 0;
}

static void on_stranger(struct bfd_client *c, struct ipc_stranger *m)
{
	m->ifname[sizeof(m->ifname) - 1] = 0;
	link_stranger(c, &m->key, m->ifname);
}

static void on_reply(struct bfd_client *c, struct ipc_session_reply *r)
{
	struct bfd_session *s;

	if (!c->n_answers)
		return; /* the answer to a SYNC or a list */
	s = c->answers[0];
	memmove(c->answers, c->answers + 1, --c->n_answers * sizeof(*c->answers));
	r->text[sizeof(r->text) - 1] = 0;
	if (s)
		link_answer(c, s, r->error, r->slot, r->generation, r->text);
}

static void on_port(const struct bfd_client *c, struct ipc_port_event *p)
{
	p->spec[sizeof(p->spec) - 1] = 0;
	p->text[sizeof(p->text) - 1] = 0;
	log_msg(p->up ? LOG_CLASS_INFO : LOG_CLASS_WARNING, "%s: Dataplane port %s is %s%s%s", c->proto_name,
		p->spec, p->up ? "up" : "down", p->text[0] ? ": " : "", p->text);
}

static bool dataplane_readable(struct bfd_client *c)
{
	for (;;) {
		union {
			struct ipc_header h;
			struct ipc_session_reply reply;
			struct ipc_port_event port;
			struct ipc_stranger stranger;
			char space[IPC_MAX_MSG];
		} in;
		int fds[4], rc;
		unsigned n = 4;

		rc = ipc_recv(c->backend_fd, &in, sizeof(in), fds, &n);
		if (rc > 0)
			close_all(fds, n);
		if (rc == -EAGAIN || rc == -EWOULDBLOCK)
			return true;
		if (rc <= 0)
			return false;
		if (in.h.type == IPC_SESSION_REPLY && rc >= (int)sizeof(in.reply))
			on_reply(c, &in.reply);
		else if (in.h.type == IPC_PORT_EVENT && rc >= (int)sizeof(in.port))
			on_port(c, &in.port);
		else if (in.h.type == IPC_STRANGER && rc >= (int)sizeof(in.stranger))
			on_stranger(c, &in.stranger);
	}
}

const struct backend_ops dataplane_backend = {
	.open = dataplane_open,
	.close = dataplane_close,
	.add = dataplane_add,
	.remove = dataplane_remove,
	.sync = dataplane_sync,
	.settings = dataplane_settings,
	.readable = dataplane_readable,
	.name = dataplane_name,
	.heartbeat = true,
};
