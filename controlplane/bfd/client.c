/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/bfd/client.h"
#include "shared/clock.h"
#include "shared/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static bool key_equal(const struct bfd_key *a, const struct bfd_key *b)
{
	return ipaddr_equal(&a->remote, &b->remote) && ipaddr_equal(&a->local, &b->local) &&
	       a->ifindex == b->ifindex && a->kind == b->kind;
}

static struct bfd_session *session_find(struct bfd_client *c, const struct bfd_key *k)
{
	struct bfd_session *s;

	cds_list_for_each_entry(s, &c->sessions, node) if (key_equal(&s->key, k)) return s;
	return NULL;
}

struct bfd_session *client_session_get(struct bfd_client *c, const struct bfd_key *k, const char *ifname)
{
	struct bfd_session *s = session_find(c, k);

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	s->client = c;
	s->key = *k;
	snprintf(s->ifname, sizeof(s->ifname), "%s", ifname ? ifname : "");
	CDS_INIT_LIST_HEAD(&s->requests);
	s->slot = CLIENT_NO_SLOT;
	s->since_ns = clock_now_ns();
	s->state.state = BFD_DOWN;
	cds_list_add_tail(&s->node, &c->sessions);
	c->n_sessions++;
	return s;
}

struct bfd_client *bfd_client_create(const struct bfd_client_options *o)
{
	struct bfd_client *c = calloc(1, sizeof(*c));
	pthread_mutexattr_t inherit;
	int rc;

	if (!c)
		return NULL;
	/* The link thread has real-time priority; who holds the lock it waits for gets it, too. */
	pthread_mutexattr_init(&inherit);
	pthread_mutexattr_setprotocol(&inherit, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&c->lock, &inherit);
	pthread_mutexattr_destroy(&inherit);
	CDS_INIT_LIST_HEAD(&c->sessions);
	snprintf(c->proto_name, sizeof(c->proto_name), "%s", o->name);
	c->fib = o->fib;
	c->dp_socket = o->dp_socket ? strdup(o->dp_socket) : NULL;
	c->ops = o->dp_socket ? &dataplane_backend : &embedded_backend;
	c->backend_fd = c->event_fd = -1;
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake_fd < 0)
		goto fail;
	rc = pthread_create(&c->thread, NULL, link_thread, c);
	if (rc) {
		errno = rc;
		goto fail;
	}
	c->started = true;
	return c;
fail:
	rc = errno;
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	free(c->dp_socket);
	free(c);
	errno = rc;
	return NULL;
}

void bfd_client_destroy(struct bfd_client *c, bool keep_sessions)
{
	struct bfd_session *s, *tmp;

	atomic_store(&c->keep, keep_sessions);
	atomic_store(&c->stop, true);
	link_wake(c);
	pthread_join(c->thread, NULL);
	cds_list_for_each_entry_safe(s, tmp, &c->sessions, node)
	{
		struct bfd_request *q, *tmpq;

		cds_list_for_each_entry_safe(q, tmpq, &s->requests, node) free(q);
		free(s);
	}
	close(c->wake_fd);
	free(c->dp_socket);
	free(c->by_slot);
	free(c->answers);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void bfd_client_configure(struct bfd_client *c, const struct bfd_config *cfg, const char *proto_name)
{
	const struct bfd_neighbor_config *n;
	struct bfd_session *s;

	pthread_mutex_lock(&c->lock);
	c->cfg = cfg;
	c->settings_due = true;
	if (proto_name)
		snprintf(c->proto_name, sizeof(c->proto_name), "%s", proto_name);
	cds_list_for_each_entry(s, &c->sessions, node)
	{
		s->configured = false;
		s->dirty = true;
	}
	if (cfg)
		cds_list_for_each_entry(n, &cfg->neighbors, node)
		{
			struct bfd_key k = {.local = n->local,
				.remote = n->addr,
				.kind = n->sbfd_disc   ? BFD_KIND_SBFD
					: n->echo_only ? BFD_KIND_ECHO_ONLY
					: n->multihop  ? BFD_KIND_MULTIHOP
						       : BFD_KIND_SINGLEHOP};

			if (n->ifname && !n->multihop)
				k.ifindex = if_nametoindex(n->ifname);
			s = client_session_get(c, &k, n->ifname);
			s->configured = true;
			s->sbfd_disc = n->sbfd_disc;
			s->configured_options = n->options;
			s->dirty = true;
		}
	pthread_mutex_unlock(&c->lock);
	link_wake(c);
}

void bfd_client_sync(struct bfd_client *c)
{
	atomic_store(&c->want_sync, true);
	link_wake(c);
}

struct bfd_request *bfd_request_open(struct bfd_client *c, const struct bfd_request_config *r)
{
	struct bfd_request *q = calloc(1, sizeof(*q));
	struct bfd_session *s;

	if (!q)
		abort();
	q->cf = *r;
	pthread_mutex_lock(&c->lock);
	s = client_session_get(c, &r->key, r->ifname);
	q->session = s;
	q->cf.ifname = s->ifname;
	cds_list_add_tail(&q->node, &s->requests);
	s->dirty = true;
	if (s->known && s->up)
		r->event(r->ctx, BFD_EVENT_UP, s->state.diag, s->state.flags & LINKSTATE_REMOTE_CBIT, NULL,
			"");
	pthread_mutex_unlock(&c->lock);
	link_wake(c);
	return q;
}

void bfd_request_update(struct bfd_request *q, const struct bfd_options *o)
{
	struct bfd_client *c = q->session->client;

	pthread_mutex_lock(&c->lock);
	q->cf.options = *o;
	q->session->dirty = true;
	pthread_mutex_unlock(&c->lock);
	link_wake(c);
}

void bfd_request_close(struct bfd_request *q)
{
	struct bfd_client *c = q->session->client;

	pthread_mutex_lock(&c->lock);
	cds_list_del(&q->node);
	q->session->dirty = true; /* the link thread removes it if nobody is left */
	pthread_mutex_unlock(&c->lock);
	link_wake(c);
	free(q);
}

static void view_of(const struct bfd_client *c, const struct bfd_session *s, struct bfd_view *v)
{
	*v = (struct bfd_view){
		.key = s->key,
		.params = s->params,
		.state = s->state,
		.known = s->known,
		.since_ns = s->since_ns,
		.unsolicited = s->unsolicited,
	};
	memcpy(v->ifname, s->ifname, sizeof(v->ifname));
	memcpy(v->problem, s->problem, sizeof(v->problem));
	if (s->known && s->slot != CLIENT_NO_SLOT && c->ls.stats) {
		const struct linkstate_stats *st = &c->ls.stats[s->slot];
		struct linkstate_entry e;

		if (linkstate_read(&c->ls, s->slot, &e) && e.generation == s->generation)
			v->state = e;
		v->rx_packets = atomic_load_explicit(&st->rx_packets, memory_order_relaxed);
		v->tx_packets = atomic_load_explicit(&st->tx_packets, memory_order_relaxed);
		v->up_count = atomic_load_explicit(&st->up_count, memory_order_relaxed);
		v->down_after_stall = atomic_load_explicit(&st->down_after_stall, memory_order_relaxed);
		v->down_count = atomic_load_explicit(&st->down_count, memory_order_relaxed);
		v->worst_rx_gap_us = atomic_load_explicit(&st->worst_rx_gap_us, memory_order_relaxed);
		v->worst_overshoot_us = atomic_load_explicit(&st->worst_overshoot_us, memory_order_relaxed);
		v->last_down_ns = atomic_load_explicit(&st->last_down_ns, memory_order_relaxed);
		v->last_down_rx_ns = atomic_load_explicit(&st->last_down_rx_ns, memory_order_relaxed);
		v->rx_dropped = atomic_load_explicit(&st->rx_dropped, memory_order_relaxed);
		v->rx_auth_failed = atomic_load_explicit(&st->rx_auth_failed, memory_order_relaxed);
		v->rx_ttl = atomic_load_explicit(&st->rx_ttl, memory_order_relaxed);
		v->rx_refused = atomic_load_explicit(&st->rx_refused, memory_order_relaxed);
		v->worst_tx_gap_us = atomic_load_explicit(&st->worst_tx_gap_us, memory_order_relaxed);
		v->echo_rx = atomic_load_explicit(&st->echo_rx, memory_order_relaxed);
		v->echo_tx = atomic_load_explicit(&st->echo_tx, memory_order_relaxed);
		for (unsigned i = 0; i < LINKSTATE_HIST; i++)
			v->rx_gap_hist[i] = atomic_load_explicit(&st->rx_gap_hist[i], memory_order_relaxed);
	}
}

unsigned bfd_client_view(struct bfd_client *c, struct bfd_view *out, unsigned max)
{
	struct bfd_session *s;
	unsigned n = 0;

	pthread_mutex_lock(&c->lock);
	cds_list_for_each_entry(s, &c->sessions, node)
	{
		if (n < max)
			view_of(c, s, &out[n]);
		n++;
	}
	pthread_mutex_unlock(&c->lock);
	return n;
}

#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)

static void copy_counters(const struct linkstate_header *h, struct bfd_counters *out)
{
	for (unsigned i = 0; i < LINKSTATE_RINGS; i++) {
		const struct linkstate_worker *w = &h->workers[i];

		/* A worker that was never there has not made a round, nor has anything to tell. */
		if (!LOAD(w->loops) && !LOAD(w->rx_packets) && !LOAD(w->tx_packets) && i)
			continue;
		out->worker[out->nworkers].number = i;
		out->worker[out->nworkers].rx = LOAD(w->rx_packets);
		out->worker[out->nworkers].tx = LOAD(w->tx_packets);
		out->worker[out->nworkers].rx_invalid = LOAD(w->rx_invalid);
		out->worker[out->nworkers].rx_ttl = LOAD(w->rx_ttl);
		out->worker[out->nworkers].rx_unknown = LOAD(w->rx_unknown);
		out->worker[out->nworkers].rx_ratelimited = LOAD(w->rx_ratelimited);
		out->worker[out->nworkers].rx_forwarded = LOAD(w->rx_forwarded);
		out->worker[out->nworkers].tx_dropped = LOAD(w->tx_dropped);
		out->worker[out->nworkers].stalls = LOAD(w->stalls);
		out->worker[out->nworkers++].worst_stall_ns = LOAD(w->worst_stall_ns);
	}
	for (unsigned i = 0; i < LINKSTATE_PORTS; i++) {
		const struct linkstate_port *p = &h->ports[i];

		if (!p->name[0])
			continue;
		memcpy(out->port[out->nports].name, p->name, sizeof(p->name));
		out->port[out->nports].taken = LOAD(p->taken);
		out->port[out->nports].ttl = LOAD(p->ttl);
		out->port[out->nports++].not_local = LOAD(p->not_local);
	}
}

bool bfd_client_counters(struct bfd_client *c, struct bfd_counters *out)
{
	bool there;

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&c->lock);
	there = c->ls.header != NULL;
	if (there)
		copy_counters(c->ls.header, out);
	pthread_mutex_unlock(&c->lock);
	return there;
}

void bfd_client_status(struct bfd_client *c, char *buf, size_t size, bool *alive)
{
	*alive = atomic_load(&c->alive) && !atomic_load(&c->frozen);
	if (c->dp_socket)
		snprintf(buf, size, "peregrine-dp at %s", c->dp_socket);
	else
		snprintf(buf, size, "kernel sockets");
}
