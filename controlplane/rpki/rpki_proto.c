/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `protocol rpki`: one cache. Main's side; the cache has a thread of its own.
 * Sources are opened by main before that thread starts and closed by main
 * after it has stopped using them.
 */
#include "controlplane/cli/cli.h"
#include "controlplane/proto/proto.h"
#include "controlplane/rpki/cache.h"
#include "shared/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct rpki {
	struct rpki_cache *cache;
};

static void proto_up(void *arg)
{
	struct proto *p = arg;

	if (p->state == PS_START)
		proto_set_state(p, PS_UP);
}

static void synced(void *ctx)
{
	struct proto *p = ctx;

	loop_call(p->daemon->main, proto_up, p);
}

static void down(void *arg)
{
	struct proto *p = arg;
	struct rpki *r = p->data;

	rpki_cache_destroy(r->cache);
	free(r);
	p->data = NULL;
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
	proto_set_state(p, PS_START);
	return 0;
}

static void rpki_stop(struct proto *p, const char *message)
{
	struct rpki *r = p->data;

	(void)message;
	rpki_cache_stop(r->cache);
}

static void rpki_reconfigure(struct proto *p, const struct proto_config *old, uint32_t change)
{
	struct rpki *r = p->data;

	(void)old;
	proto_channels_reconfigure(p, change);
	if (r && (change & ~PROTO_SOFT))
		rpki_cache_reconfigure(r->cache, p->cf->body);
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
