/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `protocol rpki`: one cache. Main's side; the cache has a thread of its own.
 * Sources are opened by main before that thread starts and closed by main
 * after it has stopped using them.
 *
 * `hold routes`: a table is held (rib_roa_hold()) from the start of a cache that asks for it until some
 * cache of the table has given its first complete answer, or the timeout of those that hold it is over.
 * Caches start before other protocols. A cache that is started again holds again, before its records go. Our
 * own graceful restart is not over while a table is held.
 */
#include "controlplane/bgp/bgp.h"
#include "controlplane/cli/cli.h"
#include "controlplane/proto/proto.h"
#include "controlplane/rpki/cache.h"
#include "shared/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum hold { HOLD_NONE, HOLD_WAITING, HOLD_TIMEOUT };

struct rpki {
	struct rpki_cache *cache;
	bool synced;
	enum hold hold;
	ev_timer timeout;
};

/* ---- holding routes ---- */

static bool feeds(const struct proto *p, const struct rib_table *t)
{
	const struct proto_channel *c;

	cds_list_for_each_entry(c, &p->channels, node) if (c->table == t) return true;
	return false;
}

static bool table_is_held(struct daemon *d, const struct rib_table *t)
{
	struct proto *p;
	bool waiting = false;

	cds_list_for_each_entry(p, &d->protos, node)
	{
		const struct rpki *r = p->ops == &rpki_ops ? p->data : NULL;

		if (!r || !feeds(p, t))
			continue;
		if (r->synced)
			return false;
		waiting |= r->hold == HOLD_WAITING;
	}
	return waiting;
}

static bool holds_something(const struct proto *p)
{
	const struct proto_channel *c;

	cds_list_for_each_entry(
		c, &p->channels, node) if (c->table && table_is_held(p->daemon, c->table)) return true;
	return false;
}

/* After something has changed with p. */
static void update_tables(struct proto *p)
{
	struct proto_channel *c;
	struct proto *q;
	bool held = false;

	cds_list_for_each_entry(c, &p->channels, node) if (c->table)
		rib_roa_hold(c->table, table_is_held(p->daemon, c->table));
	cds_list_for_each_entry(q, &p->daemon->protos, node) held |=
		q->ops == &rpki_ops && holds_something(q);
	bgp_recovery_hold(p->daemon, held);
}

static void on_hold_timeout(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct proto *p = w->data;
	struct rpki *r = p->data;

	(void)ev, (void)revents;
	r->hold = HOLD_TIMEOUT;
	log_msg(LOG_CLASS_WARNING,
		"%s: No complete answer in %u s: routes that are checked against its tables are no longer "
		"held",
		p->cf->name, ((const struct rpki_config *)p->cf->body)->hold_timeout);
	update_tables(p);
}

static void start_holding(struct proto *p)
{
	const struct rpki_config *cf = p->cf->body;
	struct rpki *r = p->data;

	ev_timer_stop(loop_ev(p->daemon->main), &r->timeout);
	r->hold = cf->hold_routes && !r->synced ? HOLD_WAITING : HOLD_NONE;
	update_tables(p);
	if (r->hold == HOLD_NONE)
		return;
	log_msg(LOG_CLASS_INFO,
		"%s: Routes that are checked against its tables are held until the first answer",
		p->cf->name);
	if (cf->hold_timeout) {
		ev_now_update(loop_ev(p->daemon->main));
		ev_timer_set(&r->timeout, cf->hold_timeout, 0);
		ev_timer_start(loop_ev(p->daemon->main), &r->timeout);
	}
}

static void proto_up(void *arg)
{
	struct proto *p = arg;
	struct rpki *r = p->data;

	if (p->state != PS_START || !r)
		return;
	r->synced = true;
	r->hold = HOLD_NONE;
	ev_timer_stop(loop_ev(p->daemon->main), &r->timeout);
	update_tables(p);
	proto_set_state(p, PS_UP);
}

static void synced(void *ctx)
{
	struct proto *p = ctx;

	loop_call(p->daemon->main, proto_up, p);
}

/* It is stopped to be started again. */
static bool comes_back(const struct proto *p)
{
	return (p->restart_wanted || p->next_cf) && !p->daemon->shutting_down;
}

static void down(void *arg)
{
	struct proto *p = arg;
	struct rpki *r = p->data;

	ev_timer_stop(loop_ev(p->daemon->main), &r->timeout);
	rpki_cache_destroy(r->cache);
	free(r);
	p->data = NULL;
	if (!comes_back(p))
		update_tables(p);
	proto_set_state(p, PS_DOWN);
}

static void stopped(void *ctx)
{
	struct proto *p = ctx;

	loop_call(p->daemon->main, down, p);
}

static int kind_of(enum net_type t)
{
	return t == NET_ROA4 ? RPKI_ROA4 : t == NET_ROA6 ? RPKI_ROA6 : t == NET_ASPA ? RPKI_ASPA : -1;
}

static int rpki_start(struct proto *p)
{
	const struct rpki_config *cf = p->cf->body;
	struct rpki_cache_config cc = {
		.name = p->cf->name, .cf = cf, .synced = synced, .stopped = stopped, .ctx = p};
	const struct rib_source_config sc = {.source = RTS_RPKI};
	struct proto_channel *c;
	struct rpki *r;

	if (cf->ssh) {
		log_msg(LOG_CLASS_ERROR, "%s:%u: transport ssh is not supported, use tcp", p->cf->file,
			p->cf->line);
		return -EPROTONOSUPPORT;
	}
	cds_list_for_each_entry(c, &p->channels, node)
	{
		int k = kind_of(c->cf->net), rc;

		if (k < 0)
			continue;
		rc = proto_channel_open(c, &sc);
		if (rc < 0)
			return rc;
		cc.source[k] = c->source;
		cc.preference[k] = c->cf->preference;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->cache = rpki_cache_create(&cc);
	if (!r->cache) {
		free(r);
		return -errno;
	}
	p->data = r;
	ev_timer_init(&r->timeout, on_hold_timeout, 0, 0);
	r->timeout.data = p;
	start_holding(p);
	proto_set_state(p, PS_START);
	return 0;
}

static void rpki_stop(struct proto *p, const char *message)
{
	struct rpki *r = p->data;

	(void)message;
	r->synced = false;
	if (comes_back(p))
		start_holding(p);
	rpki_cache_stop(r->cache);
}

static void rpki_reconfigure(struct proto *p, const struct proto_config *old, uint32_t change)
{
	struct rpki *r = p->data;

	const struct rpki_config *a = old->body, *b = p->cf->body;

	proto_channels_reconfigure(p, change);
	if (r && (change & ~PROTO_SOFT))
		rpki_cache_reconfigure(r->cache, p->cf->body);
	if (r && (a->hold_routes != b->hold_routes || a->hold_timeout != b->hold_timeout))
		start_holding(p);
}

static int rpki_reload(struct proto *p, bool in, bool out)
{
	struct rpki *r = p->data;

	(void)out;
	if (!r)
		return -ENOTSUP;
	if (in)
		rpki_cache_refresh(r->cache);
	return 0;
}

static void rpki_info(struct proto *p, char *buf, size_t size)
{
	struct rpki *r = p->data;
	struct rpki_cache_view v;

	*buf = 0;
	if (!r)
		return;
	rpki_cache_view(r->cache, &v);
	snprintf(buf, size, "%s", v.state);
}

static void timer_line(struct cli_out *o, const char *label, const struct rpki_timer_view *t)
{
	if (t->running)
		cli_line(o, 1006, "  %-16s: %.3f/%u", label, t->left_s, t->interval_s);
	else
		cli_line(o, 1006, "  %-16s: ---", label);
}

static void hold_line(struct cli_out *o, struct proto *p, struct rpki *r)
{
	double left = ev_timer_remaining(loop_ev(p->daemon->main), &r->timeout);

	if (!holds_something(p))
		cli_line(o, 1006, "  Routes held:      %s", r->hold == HOLD_TIMEOUT ? "no (timeout)" : "no");
	else if (ev_is_active(&r->timeout))
		cli_line(o, 1006, "  Routes held:      until the first answer, %.0f s at most", left);
	else
		cli_line(o, 1006, "  Routes held:      until the first answer");
}

static void rpki_show_all(struct proto *p, struct cli_out *o)
{
	const struct rpki_config *cf = p->cf->body;
	struct rpki *r = p->data;
	struct rpki_cache_view v;
	char addr[IPADDR_STRLEN];

	if (!r)
		return;
	rpki_cache_view(r->cache, &v);
	cli_line(o, 1006, "  Cache server:     %s", cf->host ? cf->host : ipaddr_format(&cf->remote, addr));
	if (cf->port != 323)
		cli_line(o, 1006, "  Cache port:       %u", cf->port);
	cli_line(o, 1006, "  Status:           %s", v.state);
	cli_line(o, 1006, "  Transport:        %s", cf->md5_password ? "TCP-MD5" : "Unprotected over TCP");
	cli_line(o, 1006, "  Protocol version: %u", v.version);
	if (v.has_session)
		cli_line(o, 1006, "  Session ID:       %u", v.session);
	else
		cli_line(o, 1006, "  Session ID:       ---");
	if (v.updated) {
		cli_line(o, 1006, "  Serial number:    %u", v.serial);
		cli_line(o, 1006, "  Last update:      before %.3f s", v.updated_before_s);
	} else {
		cli_line(o, 1006, "  Serial number:    ---");
		cli_line(o, 1006, "  Last update:      ---");
	}
	timer_line(o, "Refresh timer", &v.refresh);
	timer_line(o, "Retry timer", &v.retry);
	timer_line(o, "Expire timer", &v.expire);
	if (cf->hold_routes)
		hold_line(o, p, r);
}

const struct proto_ops rpki_ops = {
	.type = PROTO_RPKI,
	.start = rpki_start,
	.stop = rpki_stop,
	.reconfigure = rpki_reconfigure,
	.info = rpki_info,
	.show_all = rpki_show_all,
	.reload = rpki_reload,
};
