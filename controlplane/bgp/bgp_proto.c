/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BGP as a protocol of the daemon: main's side. It makes sessions, hands them
 * settings, and hears from them; see session.h for who owns what.
 *
 * protocol start -> a session exists and tries; `up` while it is Established, `start` else.
 * A session that is lost stays the same session and the sources of its channels stay
 * open: only `stop` gives them back.
 */
#include "controlplane/bgp/bgp_proto.h"
#include "controlplane/bgp/recovery.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct bgp_peer *peer_of(struct proto *p)
{
	return p->data;
}

static const struct bgp_config *config_of(const struct proto *p)
{
	return p->cf->body;
}

static bool is_parent(const struct proto *p)
{
	return config_of(p)->has_range && !p->own_cf;
}

/* ---- what sessions tell ---- */

struct event {
	struct bgp_session *s;
	enum bgp_event event;
	uint32_t startup_delay;
};

static void set_channel_states(struct proto *p)
{
	struct bgp_peer *peer = peer_of(p);
	struct bgp_status st;

	if (!bgp_peer_status(p, &st))
		return;
	for (unsigned i = 0; i < peer->session->n_channels; i++)
		proto_channel_set_state(
			peer->channel[i], st.channel[i].up || st.channel[i].stale ? CS_UP : CS_DOWN);
}

static void leave_recovery(struct bgp_peer *peer, unsigned n)
{
	if (n > peer->recovering)
		n = peer->recovering;
	peer->recovering -= n;
	if (n)
		recovery_leave(engine_recovery(peer->p->daemon->bgp), n);
}

static void on_stopped(struct proto *p, struct bgp_session *s, uint32_t startup_delay)
{
	struct bgp_peer *peer = peer_of(p);

	snprintf(peer->last_error, sizeof(peer->last_error), "%s", s->status.last_error);
	peer->startup_delay = startup_delay;
	peer->session = NULL;
	s->proto = NULL;
	engine_put_thread(p->daemon->bgp, s->thread);
	session_release(s);
	leave_recovery(peer, peer->recovering);
	proto_set_state(p, PS_DOWN); /* p may be gone after this */
}

static void on_event(struct proto *p, const struct event *m)
{
	switch (m->event) {
	case BGP_EVENT_UP:
		if (p->state == PS_START)
			proto_set_state(p, PS_UP);
		set_channel_states(p);
		break;
	case BGP_EVENT_DOWN:
		if (p->state == PS_UP)
			proto_set_state(p, PS_START);
		set_channel_states(p);
		break;
	case BGP_EVENT_DISABLE: proto_disable(p, NULL); break;
	case BGP_EVENT_ENDED:
		if (p->parent)
			p->parent = NULL;
		proto_remove(p);
		break;
	case BGP_EVENT_EOR: leave_recovery(peer_of(p), 1); break;
	case BGP_EVENT_STOPPED: on_stopped(p, m->s, m->startup_delay); break;
	}
}

static void run_event(void *arg)
{
	struct event *m = arg;

	if (m->s->proto)
		on_event(m->s->proto, m);
	session_release(m->s);
	free(m);
}

void bgp_tell_main(struct bgp_session *s, enum bgp_event ev)
{
	struct event *m = malloc(sizeof(*m));

	if (!m)
		abort();
	*m = (struct event){session_hold(s), ev, s->startup_delay};
	loop_call(s->daemon->main, run_event, m);
}

bool bgp_peer_status(struct proto *p, struct bgp_status *out)
{
	struct bgp_peer *peer = peer_of(p);
	struct bgp_session *s = peer ? peer->session : NULL;

	if (!s)
		return false;
	pthread_mutex_lock(&s->lock);
	*out = s->status;
	pthread_mutex_unlock(&s->lock);
	return true;
}

/* ---- dynamic neighbours ---- */

static void child_name(struct proto *p, char *buf, size_t size)
{
	const struct bgp_config *c = config_of(p);
	struct bgp_peer *peer = peer_of(p);

	do {
		peer->children++;
		snprintf(buf, size, "%s%0*u", c->dynamic_name ? c->dynamic_name : "dynbgp",
			(int)c->dynamic_name_digits, peer->children);
	} while (proto_find(p->daemon, buf));
}

static void spawn(void *ctx, const struct bgp_incoming *in)
{
	struct proto *p = ctx, *q;
	struct bgp_peer *peer = peer_of(p);
	char name[128], text[IPADDR_STRLEN];

	/* Two connections of one neighbour may be on their way: the second is for the child that the first
	 * one made. */
	cds_list_for_each_entry(q, &p->daemon->protos, node)
	{
		struct bgp_peer *other = q->parent == p ? peer_of(q) : NULL;

		if (!other || !other->session ||
			!ipaddr_equal(&other->session->identity->c.remote, &in->remote))
			continue;
		engine_hand_over(other->session, in);
		return;
	}
	if (p->state != PS_START || p->disabled) {
		close(in->fd);
		return;
	}
	child_name(p, name, sizeof(name));
	log_msg(LOG_CLASS_INFO, "%s: Spawning dynamic BGP protocol %s for %s", p->cf->name, name,
		ipaddr_format(&in->remote, text));
	peer->incoming = *in;
	peer->has_incoming = true;
	proto_spawn(p, name);
	if (peer->has_incoming) { /* the child did not take it */
		close(peer->incoming.fd);
		peer->has_incoming = false;
	}
}

static void remove_children(struct proto *p)
{
	struct proto *q, *tmp;

	cds_list_for_each_entry_safe(q, tmp, &p->daemon->protos, node)
	{
		if (q->parent != p)
			continue;
		q->parent = NULL; /* it may outlive us by a moment */
		proto_remove(q);
	}
}

static int start_parent(struct proto *p)
{
	struct bgp_settings *cf = bgp_settings_make(p, NULL);
	char err[TRANSPORT_ERR];
	int rc;

	rc = engine_add_range(p->daemon->bgp, cf, spawn, p, err);
	bgp_settings_release(cf);
	if (rc < 0) {
		log_msg(LOG_CLASS_ERROR, "%s: %s", p->cf->name, err);
		return rc;
	}
	proto_set_state(p, PS_START);
	return 0;
}

/* ---- start and stop ---- */

static int open_channels(struct proto *p, struct bgp_peer *peer)
{
	struct bgp_session *s = peer->session;
	struct proto_channel *pc;
	unsigned i = 0;

	cds_list_for_each_entry(pc, &p->channels, node)
	{
		struct rib_source_config sc;
		int rc;

		if (i == s->n_channels || strcmp(pc->cf->name, s->cf->channel[i].name))
			continue;
		sc = bgp_source_config(s, i);
		rc = proto_channel_open(pc, &sc);
		if (rc < 0)
			return rc;
		proto_channel_set_state(pc, CS_DOWN); /* until the session is up */
		peer->channel[i] = pc;
		s->cf->channel[i].table = pc->table;
		s->channel[i].source = pc->source;
		i++;
	}
	return 0;
}

static void start_session(struct proto *p, struct bgp_peer *peer)
{
	struct bgp_session *s = peer->session;
	struct bgp_engine *e = p->daemon->bgp;
	char err[TRANSPORT_ERR];

	if (config_of(p)->gr_mode == GR_ON && recovery_join(engine_recovery(e), p->daemon, s->n_channels)) {
		s->recovering = true;
		peer->recovering = s->n_channels;
	}
	if (engine_register(e, s, err) < 0) {
		log_msg(LOG_CLASS_ERROR, "%s: %s", p->cf->name, err);
		snprintf(s->status.last_error, sizeof(s->status.last_error), "Error: No listening socket");
	}
	proto_set_state(p, PS_START);
	session_call(s, session_start);
}

int bgp_start_session(struct proto *p, struct bgp_peer *peer, const struct ipaddr *remote)
{
	struct bgp_settings *cf = bgp_settings_make(p, remote);
	int rc;

	peer->session = session_create(engine_pick_thread(p->daemon->bgp), p->daemon, cf);
	peer->session->proto = p;
	peer->session->dynamic = p->parent != NULL;
	peer->session->startup_delay = peer->startup_delay;
	snprintf(peer->session->status.last_error, sizeof(peer->session->status.last_error), "%s",
		peer->last_error);
	rc = open_channels(p, peer);
	if (rc < 0) {
		engine_put_thread(p->daemon->bgp, peer->session->thread);
		session_release(peer->session);
		peer->session = NULL;
		return rc;
	}
	start_session(p, peer);
	if (peer->has_incoming) {
		peer->has_incoming = false;
		engine_hand_over(peer->session, &peer->incoming);
	}
	return 0;
}

static int bgp_start(struct proto *p)
{
	struct bgp_peer *peer = peer_of(p), *parent;

	if (!p->cf->router_id && !p->daemon->router_id) {
		log_msg(LOG_CLASS_ERROR,
			"%s: Router ID must be set: no interface has an IPv4 address to take it from",
			p->cf->name);
		return -EINVAL;
	}
	if (!peer) {
		peer = calloc(1, sizeof(*peer));
		if (!peer)
			return -ENOMEM;
		peer->p = p;
		p->data = peer;
	}
	if (is_parent(p))
		return start_parent(p);
	if (config_of(p)->unnumbered)
		return bgp_unnumbered_start(p, peer);
	parent = p->parent ? peer_of(p->parent) : NULL;
	if (parent && parent->has_incoming) {
		peer->incoming = parent->incoming;
		peer->has_incoming = true;
		parent->has_incoming = false;
	}
	return bgp_start_session(p, peer, peer->has_incoming || p->parent ? &peer->incoming.remote : NULL);
}

struct stop_call {
	struct bgp_session *s;
	struct bgp_error e;
	bool silent;
};

static void run_stop(void *arg)
{
	struct stop_call *c = arg;

	session_stop(c->s, &c->e, c->silent);
	session_release(c->s);
	free(c);
}

/* RFC 4486: why we go. */
static uint8_t cease_subcode(const struct proto *p)
{
	if (p->daemon->shutting_down)
		return CEASE_SHUTDOWN;
	if (p->gone)
		return CEASE_DECONFIGURED;
	if (p->next_cf)
		return CEASE_CONFIG_CHANGE;
	return p->restart_wanted ? CEASE_RESET : CEASE_SHUTDOWN;
}

static void bgp_stop(struct proto *p, const char *message)
{
	struct bgp_peer *peer = peer_of(p);
	struct stop_call *c;

	if (is_parent(p)) {
		engine_remove_range(p->daemon->bgp, p);
		remove_children(p);
		proto_set_state(p, PS_DOWN);
		return;
	}
	if (peer && config_of(p)->unnumbered)
		bgp_unnumbered_stop(p, peer);
	if (!peer || !peer->session) {
		proto_set_state(p, PS_DOWN);
		return;
	}
	engine_unregister(p->daemon->bgp, peer->session);
	c = malloc(sizeof(*c));
	if (!c)
		abort();
	c->s = session_hold(peer->session);
	/* A graceful restart begins with silence. */
	c->silent = p->daemon->shutting_down && p->daemon->kernel_keep && config_of(p)->gr_mode == GR_ON;
	bgp_fail(&c->e, BGP_ERR_CEASE, cease_subcode(p));
	bgp_error_set_text(&c->e, message);
	loop_call(peer->session->thread->loop, run_stop, c);
}

static void bgp_destroy(struct proto *p)
{
	struct bgp_peer *peer = peer_of(p);

	if (peer->session) { /* the process ends and the session did not stop in time */
		peer->session->proto = NULL;
		session_release(peer->session);
	}
	free(peer);
	p->data = NULL;
}

/* ---- changes ---- */

struct settings_call {
	struct bgp_session *s;
	struct bgp_settings *cf;
	bool in, out;
};

static void run_settings(void *arg)
{
	struct settings_call *c = arg;

	session_take_settings(c->s, c->cf, c->in, c->out);
	session_release(c->s);
	free(c);
}

static void send_settings(struct proto *p, uint32_t change)
{
	struct bgp_peer *peer = peer_of(p);
	struct settings_call *c;

	if (!peer || !peer->session)
		return;
	c = malloc(sizeof(*c));
	if (!c)
		abort();
	c->s = session_hold(peer->session);
	c->cf = bgp_settings_make(p, &peer->session->identity->c.remote);
	c->in = change & PROTO_IMPORT_CHANGED;
	c->out = change & PROTO_EXPORT_CHANGED;
	loop_call(peer->session->thread->loop, run_settings, c);
}

static void reconfigure_children(struct proto *p, uint32_t change)
{
	struct proto *q;

	cds_list_for_each_entry(q, &p->daemon->protos, node)
	{
		struct config *before = q->config;
		const struct channel_config *ch;
		struct proto_channel *pc;

		if (q->parent != p)
			continue;
		q->config = p->config;
		config_hold(q->config);
		q->own_cf->body = p->cf->body;
		q->own_cf->description = p->cf->description;
		q->own_cf->debug = p->cf->debug;
		q->own_cf->mrtdump = p->cf->mrtdump;
		pc = cds_list_first_entry(&q->channels, struct proto_channel, node);
		cds_list_for_each_entry(ch, &p->cf->channels, node)
		{
			if (ch->inert)
				continue;
			pc->cf = ch;
			pc = cds_list_entry(pc->node.next, struct proto_channel, node);
		}
		send_settings(q, change);
		config_release(before);
	}
}

static void bgp_reconfigure(struct proto *p, const struct proto_config *old, uint32_t change)
{
	(void)old;
	if (is_parent(p))
		reconfigure_children(p, change);
	else
		send_settings(p,
			change); /* also without a change: soft ones hide from us which filter is to wait */
}

struct reload_call {
	struct bgp_session *s;
	bool in, out;
};

static void run_reload(void *arg)
{
	struct reload_call *c = arg;

	for (unsigned i = 0; i < c->s->n_channels; i++)
		channel_reload(&c->s->channel[i], c->in, c->out);
	session_release(c->s);
	free(c);
}

static int bgp_reload(struct proto *p, bool in, bool out)
{
	struct bgp_peer *peer = peer_of(p);
	struct reload_call *c;

	if (!peer || !peer->session)
		return is_parent(p) ? 0 : -ENOTSUP;
	/* Filters that `configure soft` has left aside come into force now. */
	send_settings(p, (in ? PROTO_IMPORT_CHANGED : 0) | (out ? PROTO_EXPORT_CHANGED : 0));
	c = malloc(sizeof(*c));
	if (!c)
		abort();
	*c = (struct reload_call){session_hold(peer->session), in, out};
	loop_call(peer->session->thread->loop, run_reload, c);
	return 0;
}

static void run_recovery_end(struct bgp_session *s)
{
	s->recovering = false;
	for (unsigned i = 0; i < s->n_channels; i++)
		channel_attach_export(&s->channel[i]);
	session_publish(s);
}

void bgp_recovery_ended(struct daemon *d)
{
	struct proto *p;

	cds_list_for_each_entry(p, &d->protos, node)
	{
		struct bgp_peer *peer = p->ops == &bgp_ops ? peer_of(p) : NULL;

		if (!peer || !peer->session)
			continue;
		peer->recovering = 0;
		session_call(peer->session, run_recovery_end);
	}
}

/* ---- numbers and views ---- */

static int channel_index(struct bgp_peer *peer, const struct proto_channel *c)
{
	for (unsigned i = 0; peer->session && i < peer->session->n_channels; i++)
		if (peer->channel[i] == c)
			return (int)i;
	return -1;
}

static void bgp_export_stats(struct proto *p, struct proto_channel *c, struct export_feed_stats *out)
{
	struct bgp_peer *peer = peer_of(p);
	struct export_peer_stats st;
	struct bgp_session *s;
	int i = peer ? channel_index(peer, c) : -1;

	memset(out, 0, sizeof(*out));
	if (i < 0)
		return;
	s = peer->session;
	pthread_mutex_lock(&s->lock);
	if (s->status.channel[i].export) {
		export_peer_stats(s->status.channel[i].export, &st);
	} else {
		st = s->status.channel[i].export_stats;
		st.exported = 0;
	}
	pthread_mutex_unlock(&s->lock);
	out->exported = st.exported;
	out->updates_received = st.updates_received;
	out->updates_rejected = st.updates_rejected;
	out->updates_filtered = st.updates_filtered;
	out->updates_accepted = st.updates_accepted;
	out->withdraws_received = st.withdraws_received;
	out->withdraws_accepted = st.withdraws_accepted;
}

int bgp_export_view(struct proto *p, struct proto_channel *c, struct export_peer_config *out)
{
	struct bgp_peer *peer = p->ops == &bgp_ops ? peer_of(p) : NULL;
	struct bgp_status st;
	int i = peer ? channel_index(peer, c) : -1;

	if (i < 0 || !bgp_peer_status(p, &st) || !st.channel[i].up)
		return -ENOENT;
	*out = st.channel[i].export_cf;
	out->table = c->table;
	out->filter = c->cf->export; /* held by the protocol's configuration */
	out->wake = NULL;
	out->limit_hit = NULL;
	out->ctx = NULL;
	return 0;
}

const struct proto_ops bgp_ops = {
	.type = PROTO_BGP,
	.start = bgp_start,
	.stop = bgp_stop,
	.reconfigure = bgp_reconfigure,
	.info = bgp_info,
	.show_all = bgp_show_all,
	.show_channel = bgp_show_channel,
	.export_stats = bgp_export_stats,
	.reload = bgp_reload,
	.destroy = bgp_destroy,
};
