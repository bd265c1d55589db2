/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One client at a time provisions; it may vanish and come back. Its sessions
 * are kept for the hold time it asked for, and after a new HELLO they are
 * unnamed until an ADD names them again; SYNC drops those that stayed unnamed.
 * So a restart of peregrined neither resets a session nor leaves one behind.
 * Observers (IPC_HELLO_OBSERVER) get the descriptors and the port list, and may
 * be several.
 *
 * Replies go out in the order of the questions. A reply to an ADD waits for the
 * worker's confirmation, so that the slot it names is published when it
 * arrives; later replies queue behind it. A client that does not read is not
 * read from either once OUT_MAX messages wait for it.
 */
#include "dataplane/provision.h"
#include "dataplane/dpdk.h"
#include "dataplane/session.h"
#include "shared/ipc.h"
#include "shared/log.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUT_MAX 256
#define READS_A_TURN 256
#define NO_SLOT UINT32_MAX

struct message {
	struct message *next;
	uint32_t slot; /* a reply to an ADD that is being confirmed; NO_SLOT: may go */
	union {
		struct ipc_header h;
		struct ipc_session_reply reply;
		struct ipc_port_event port;
		struct ipc_stranger stranger;
	};
};

struct client {
	struct client *next;
	struct dp *dp;
	struct dp_source source;
	bool greeted, provisions, dead;
	int event_fd;
	uint32_t hold_s;
	char name[32];
	struct message *out, **out_tail;
	unsigned nout;
};

struct provision {
	struct dp_source listener;
	int fd;
	struct client *clients;
	uint64_t hold_until_ns; /* the provisioning client is lost: its sessions go then; 0: nothing is
				   running out */
	uint32_t hold_s;
};

static void set_events(struct client *c)
{
	dp_watch(c->dp, &c->source, c->source.fd,
		(c->nout < OUT_MAX ? (uint32_t)EPOLLIN : 0) |
			(c->out && c->out->slot == NO_SLOT ? EPOLLOUT : 0));
}

static void append(struct client *c, const struct message *m)
{
	struct message *copy = malloc(sizeof(*copy));

	if (!copy) {
		c->dead = true; /* better to lose the connection than a message out of the middle */
		return;
	}
	*copy = *m;
	copy->next = NULL;
	*c->out_tail = copy;
	c->out_tail = &copy->next;
	c->nout++;
}

/* True when the session the reply is about is settled; fills in a refusal by the worker. */
static bool settled(struct dp *dp, struct message *m)
{
	const struct session *s = &dp->session[m->slot];

	if (s->adding && s->generation == m->reply.generation)
		return false;
	if (s->generation != m->reply.generation || s->state == SESSION_FREE ||
		s->state == SESSION_REMOVING) {
		m->reply.error = ECANCELED;
		snprintf(m->reply.text, sizeof(m->reply.text), "the session could not be started");
	}
	m->slot = NO_SLOT;
	return true;
}

static void flush(struct client *c)
{
	while (c->out && !c->dead) {
		struct message *m = c->out;
		int rc;

		if (m->slot != NO_SLOT && !settled(c->dp, m))
			break;
		rc = ipc_send(c->source.fd, &m->h, m->h.len, NULL, 0);
		if (rc == -EAGAIN)
			break;
		if (rc)
			c->dead = true;
		c->out = m->next;
		if (!c->out)
			c->out_tail = &c->out;
		c->nout--;
		free(m);
	}
	if (!c->dead)
		set_events(c);
}

static void drop_client(struct provision *pv, struct client *c)
{
	struct dp *dp = c->dp;

	for (struct client **p = &pv->clients; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			break;
		}
	if (c->provisions) {
		pv->hold_s = c->hold_s;
		pv->hold_until_ns = clock_now_ns() + c->hold_s * NS_PER_S + 1;
		log_msg(LOG_CLASS_WARNING, "%s is gone: its BFD sessions are kept for %u s", c->name,
			c->hold_s);
	}
	if (c->event_fd >= 0) {
		dp_unsubscribe(dp, c->event_fd);
		close(c->event_fd);
	}
	int fd = c->source.fd;
	dp_unwatch(dp, &c->source);
	close(fd);
	while (c->out) {
		struct message *m = c->out;

		c->out = m->next;
		free(m);
	}
	free(c);
}

static void reply(struct client *c, const struct ipc_header *to, int error, uint32_t slot,
	uint32_t generation, bool created, bool wait, const char *text)
{
	struct message m = {.slot = wait ? slot : NO_SLOT};

	m.reply = (struct ipc_session_reply){
		.h = {IPC_SESSION_REPLY, sizeof(m.reply), to->id},
		.error = error,
		.slot = slot,
		.generation = generation,
		.created = created,
	};
	snprintf(m.reply.text, sizeof(m.reply.text), "%s", text);
	append(c, &m);
}

static void on_hello(struct client *c, const struct ipc_hello *h)
{
	struct provision *pv = c->dp->provision;
	struct ipc_welcome w = {
		.h = {IPC_WELCOME, sizeof(w), h->h.id},
		.magic = IPC_MAGIC,
		.version = IPC_VERSION,
		.instance = c->dp->ls.header->instance,
		.capacity = c->dp->opt->sessions,
	};
	bool observer = h->flags & IPC_HELLO_OBSERVER;
	int fds[2];

	snprintf(c->name, sizeof(c->name), "%.31s", h->name);
	for (char *p = c->name; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	if (h->magic != IPC_MAGIC || h->version != IPC_VERSION) {
		w.error = EPROTO;
		snprintf(w.text, sizeof(w.text),
			"this peregrine-dp speaks version %u, not %u: both must be of one release",
			IPC_VERSION, h->version);
	}
	for (struct client *o = pv->clients; o && !observer && !w.error; o = o->next)
		if (o->provisions) {
			w.error = EBUSY;
			snprintf(w.text, sizeof(w.text), "%s is connected already", o->name);
		}
	if (!w.error) {
		c->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (c->event_fd < 0 || dp_subscribe(c->dp, c->event_fd)) {
			w.error = ENFILE;
			snprintf(w.text, sizeof(w.text), "too many clients");
		}
	}
	if (w.error) {
		ipc_send(c->source.fd, &w, sizeof(w), NULL, 0);
		c->dead = true;
		return;
	}
	fds[0] = c->dp->ls.fd;
	fds[1] = c->event_fd;
	if (ipc_send(c->source.fd, &w, sizeof(w), fds, 2)) {
		c->dead = true;
		return;
	}
	c->greeted = true;
	if (observer)
		return;
	c->provisions = true;
	c->hold_s = h->hold_s;
	pv->hold_until_ns = 0;
	for (uint32_t i = 0; i < c->dp->opt->sessions; i++)
		c->dp->session[i].named = false;
	log_msg(LOG_CLASS_INFO, "%s connected", c->name);
}

static void on_add(struct client *c, const struct ipc_session_add *a)
{
	struct session_request r = {.owner = OWNER_CLIENT, .key = a->key, .params = a->params};
	char text[IPC_TEXT] = "";
	uint32_t slot = 0;
	bool created = false;
	int rc;

	memcpy(r.ifname, a->ifname, sizeof(r.ifname));
	r.ifname[sizeof(r.ifname) - 1] = '\0';
	rc = session_add(c->dp, &r, &slot, &created, text);
	if (rc)
		reply(c, &a->h, -rc, 0, 0, false, false, text);
	else
		reply(c, &a->h, 0, slot, c->dp->session[slot].generation, created, true, "");
}

static void on_remove(struct client *c, const struct ipc_session_add *a)
{
	char ifname[IF_NAMESIZE];
	uint32_t slot;

	memcpy(ifname, a->ifname, sizeof(ifname));
	ifname[sizeof(ifname) - 1] = '\0';
	if (session_find(c->dp, OWNER_CLIENT, &a->key, ifname, &slot)) {
		reply(c, &a->h, ENOENT, 0, 0, false, false, "there is no such session");
		return;
	}
	reply(c, &a->h, 0, slot, c->dp->session[slot].generation, false, false, "");
	session_remove(c->dp, slot);
}

static void on_sync(struct client *c)
{
	unsigned removed = 0;

	for (uint32_t i = 0; i < c->dp->opt->sessions; i++) {
		struct session *s = &c->dp->session[i];

		if (s->state != SESSION_LIVE || s->owner != OWNER_CLIENT || s->named)
			continue;
		session_remove(c->dp, i);
		removed++;
	}
	if (removed)
		log_msg(LOG_CLASS_INFO, "%u BFD sessions are not wanted any more", removed);
}

static void append_port(struct client *c, const struct port *p)
{
	struct message m = {.slot = NO_SLOT};

	m.port = (struct ipc_port_event){
		.h = {IPC_PORT_EVENT, sizeof(m.port), 0},
		.ifindex = p->ifindex,
		.up = p->up,
	};
	snprintf(m.port.spec, sizeof(m.port.spec), "%.63s", p->spec.text);
	snprintf(m.port.text, sizeof(m.port.text), "%.159s", p->up ? p->spec.name : p->why);
	append(c, &m);
}

static void on_port_list(struct client *c, const struct ipc_header *h)
{
	for (unsigned i = 0; i < c->dp->nports; i++)
		append_port(c, &c->dp->port[i]);
	reply(c, h, 0, 0, 0, false, false, "");
}

static void on_settings(struct client *c, const struct ipc_settings *m)
{
	struct dp *dp = c->dp;

	dp->strangers = m->strangers;
	dp->reflector = m->reflector;
	dp_publish(dp);
	dp_use_workers(dp, m->workers ? m->workers : dp->opt->workers);
}

/* Told to the client that provisions, as long as it reads: the neighbour will ask again. */
static void tell_strangers(struct dp *dp)
{
	struct message m = {.slot = NO_SLOT};
	struct client *c = dp->provision->clients;
	struct bfd_rx rx;
	unsigned port;

	while (c && !c->provisions)
		c = c->next;
	while (worker_stranger(&dp->workers, &port, &rx)) {
		const struct neigh_link *l = neigh_link(dp->neigh, rx.ifindex);

		if (!c || c->dead || c->nout >= OUT_MAX / 2)
			continue;
		m.stranger = (struct ipc_stranger){.h = {IPC_STRANGER, sizeof(m.stranger), 0},
			.key = {.local = rx.dst, .remote = rx.src, .ifindex = rx.ifindex}};
		snprintf(m.stranger.ifname, sizeof(m.stranger.ifname), "%.15s",
			l ? l->name : dp->port[port].spec.name);
		append(c, &m);
	}
}

/* False: the message is none that may come here. */
static bool handle(struct client *c, const void *buf, size_t len)
{
	const struct ipc_header *h = buf;

	if (!c->greeted) {
		if (h->type != IPC_HELLO || len != sizeof(struct ipc_hello))
			return false;
		on_hello(c, buf);
		return true;
	}
	if (h->type == IPC_PORT_LIST && len == sizeof(*h)) {
		on_port_list(c, h);
		return true;
	}
	if (!c->provisions)
		return false;
	switch (h->type) {
	case IPC_SESSION_ADD:
		if (len != sizeof(struct ipc_session_add))
			return false;
		on_add(c, buf);
		return true;
	case IPC_SESSION_REMOVE:
		if (len != sizeof(struct ipc_session_add))
			return false;
		on_remove(c, buf);
		return true;
	case IPC_SYNC: on_sync(c); return true;
	case IPC_SETTINGS:
		if (len != sizeof(struct ipc_settings))
			return false;
		on_settings(c, buf);
		return true;
	default: return false;
	}
}

static void on_client(struct dp_source *s, uint32_t events)
{
	struct client *c = s->owner;
	_Alignas(8) char buf[IPC_MAX_MSG];

	for (unsigned i = 0; i < READS_A_TURN && !c->dead && c->nout < OUT_MAX; i++) {
		int n = ipc_recv(s->fd, buf, sizeof(buf), NULL, NULL);

		if (n == -EAGAIN)
			break;
		if (n > 0 && handle(c, buf, (size_t)n))
			continue;
		if (n > 0 || n == -EPROTO)
			log_msg(LOG_CLASS_ERROR,
				"%s sent something that is not in the protocol: connection closed",
				*c->name ? c->name : "a client");
		c->dead = true;
	}
	if (!c->dead)
		flush(c);
	if (c->dead)
		drop_client(c->dp->provision, c);
}

static void on_listener(struct dp_source *s, uint32_t events)
{
	struct dp *dp = s->owner;
	int fd = accept4(dp->provision->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct client *c;

	if (fd < 0)
		return;
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	c->dp = dp;
	c->event_fd = -1;
	c->out_tail = &c->out;
	c->source = (struct dp_source){on_client, c, -1};
	c->next = dp->provision->clients;
	dp->provision->clients = c;
	dp_watch(dp, &c->source, fd, EPOLLIN);
}

static int give_to_group(struct dp *dp, char err[OPTIONS_ERR])
{
	const struct group *gr = getgrnam(dp->opt->group);

	if (!gr) {
		snprintf(err, OPTIONS_ERR, "--group %.100s: there is no such group", dp->opt->group);
		return -ENOENT;
	}
	if (chown(dp->opt->socket_path, (uid_t)-1, gr->gr_gid) < 0) {
		int rc = -errno;

		snprintf(err, OPTIONS_ERR, "socket %.100s: cannot give it to group %.100s: %s",
			dp->opt->socket_path, dp->opt->group, strerror(-rc));
		return rc;
	}
	return 0;
}

int provision_create(struct dp *dp, char err[OPTIONS_ERR])
{
	struct provision *pv = calloc(1, sizeof(*pv));
	int fd;

	if (!pv)
		return -ENOMEM;
	dp->provision = pv;
	pv->fd = -1;
	if (!dp->opt->socket_path)
		return 0;
	fd = ipc_listen(dp->opt->socket_path);
	if (fd < 0) {
		snprintf(err, OPTIONS_ERR, "socket %.100s: %s", dp->opt->socket_path,
			fd == -EADDRINUSE ? "in use by a running process" : strerror(-fd));
		return fd;
	}
	pv->fd = fd;
	if (dp->opt->group) {
		int rc = give_to_group(dp, err);

		if (rc)
			return rc;
	}
	pv->listener = (struct dp_source){on_listener, dp, -1};
	return dp_watch(dp, &pv->listener, fd, EPOLLIN);
}

void provision_destroy(struct dp *dp)
{
	struct provision *pv = dp->provision;

	if (!pv)
		return;
	while (pv->clients) {
		pv->clients->provisions = false;
		if (pv->clients->event_fd >= 0)
			close(pv->clients->event_fd);
		pv->clients->event_fd = -1;
		drop_client(pv, pv->clients);
	}
	if (pv->fd >= 0) {
		close(pv->fd);
		unlink(dp->opt->socket_path);
	}
	free(pv);
	dp->provision = NULL;
}

void provision_port_event(struct dp *dp, const struct port *p)
{
	for (struct client *c = dp->provision->clients; c; c = c->next)
		if (c->greeted)
			append_port(c, p);
}

void provision_flush(struct dp *dp)
{
	struct client *next;

	for (struct client *c = dp->provision->clients; c; c = next) {
		next = c->next;
		if (c->out && !c->dead)
			flush(c);
		if (c->dead)
			drop_client(dp->provision, c);
	}
}

void provision_tick(struct dp *dp)
{
	struct provision *pv = dp->provision;
	unsigned removed = 0;

	tell_strangers(dp);
	if (!pv->hold_until_ns || dp->now_ns < pv->hold_until_ns)
		return;
	pv->hold_until_ns = 0;
	for (uint32_t i = 0; i < dp->opt->sessions; i++) {
		if (dp->session[i].state != SESSION_LIVE || dp->session[i].owner != OWNER_CLIENT)
			continue;
		session_remove(dp, i);
		removed++;
	}
	if (removed)
		log_msg(LOG_CLASS_WARNING, "nobody came back for %u s: %u BFD sessions are closed",
			pv->hold_s, removed);
}
