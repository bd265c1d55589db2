/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/bgp/refuse.h"
#include "controlplane/bgp/message.h"
#include "controlplane/bgp/wire.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINGER_S                                                                                             \
	2.0 /* closing at once with the neighbour's OPEN unread would reset the connection and lose the      \
	       message */

#define MOST_STRANGERS 32u

struct refusal {
	ev_io io;
	ev_timer timer;
	int fd;
	unsigned *open;
};

static void finish(struct ev_loop *ev, struct refusal *r)
{
	ev_io_stop(ev, &r->io);
	ev_timer_stop(ev, &r->timer);
	close(r->fd);
	--*r->open;
	free(r);
}

static void on_readable(struct ev_loop *ev, ev_io *w, int revents)
{
	struct refusal *r = w->data;
	char waste[4096];
	ssize_t n = read(r->fd, waste, sizeof(waste));

	(void)revents;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		finish(ev, r);
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	(void)revents;
	finish(ev, w->data);
}

static const struct proto *disabled_for(struct daemon *d, const struct ipaddr *remote)
{
	struct proto *p;

	cds_list_for_each_entry(p, &d->protos, node)
	{
		const struct bgp_config *c = p->cf->body;

		if (p->cf->type == PROTO_BGP && p->disabled && !c->has_range &&
			ipaddr_equal(&c->remote, remote))
			return p;
	}
	return NULL;
}

static size_t cease_message(uint8_t subcode, const char *text, uint8_t *buf, size_t size)
{
	struct bgp_error e = {.code = BGP_ERR_CEASE, .subcode = subcode};

	bgp_error_set_text(&e, text);
	return bgp_notification_encode(&e, buf, size);
}

bool bgp_refuse(struct daemon *d, const struct ipaddr *remote, int fd, unsigned *open)
{
	const struct proto *p = disabled_for(d, remote);
	struct ev_loop *ev = loop_ev(d->main);
	uint8_t b[21 + 256];
	struct refusal *r;
	size_t len;

	if (!p && *open >= MOST_STRANGERS) {
		close(fd);
		return false;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	r->fd = fd;
	r->open = open;
	++*open;
	len = cease_message(p ? CEASE_SHUTDOWN : CEASE_REJECTED, p ? p->message : NULL, b, sizeof(b));
	(void)!send(fd, b, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	ev_io_init(&r->io, on_readable, fd, EV_READ);
	ev_timer_init(&r->timer, on_timer, LINGER_S, 0);
	r->io.data = r->timer.data = r;
	ev_io_start(ev, &r->io);
	ev_timer_start(ev, &r->timer);
	return p != NULL;
}
