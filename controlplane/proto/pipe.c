/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `protocol pipe`: routes of one table appear in another, in both directions.
 *
 * A direction is a listener on the table that routes are read from and a source
 * in the table that they go to. The source's import filter is the pipe's filter
 * of that direction, so verdicts are memoised, and re-run on a reload, by the
 * same machinery as everywhere. No attributes are copied, and of the two tables the
 * one with fewer pipes borrows what the filter does not change from the other
 * instead of keeping it twice (rib_source_borrow()). A route keeps the identity of the protocol that made it,
 * and what this pipe itself has put into a table is not read back from there.
 *
 * The listener's calls come in shard threads and fill a batch there: a prefix is
 * in the same shard in every table, so order is kept.
 */
#include "controlplane/proto/pipe.h"
#include "shared/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct direction {
	struct proto *proto;
	bool out;              /* from the channel's table to the peer table */
	struct rib_source *to; /* in the table that routes go to */
	uint32_t not_from;     /* what this pipe's other direction puts into the table we read */
	struct rib_listener *listener;
	struct rib_batch *batch[64]; /* by shard: filled by its thread, submitted at the end of its slice */
};

struct pipe_data {
	struct proto *proto;
	struct direction in, out; /* in: peer table -> table */
	struct rib_table *peer_table;
	unsigned closing; /* sources that are still giving back their routes */
};

static const struct rib_route_view *same_route(
	const struct rib_route_view *r, const struct rib_route_view *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].source == r->source && list[i].path_id == r->path_id)
			return &list[i];
	return NULL;
}

static void changed(void *ctx, struct rib_shard *s, const struct rib_change *c, unsigned n, bool dump)
{
	struct direction *d = ctx;
	unsigned shard = rib_shard_index(s);
	struct rib_batch *b = d->batch[shard];
	unsigned own = 0, own_withdrawn = 0;

	(void)dump;
	if (!b)
		b = d->batch[shard] = rib_batch_create(d->to);
	for (; n; n--, c++) {
		for (unsigned i = 0; i < c->n_old_routes; i++) {
			const struct rib_route_view *o = &c->old_routes[i];

			if (same_route(o, c->routes, c->n_routes))
				continue;
			if (o->owner == d->not_from)
				own_withdrawn++;
			else
				rib_batch_withdraw_from(b, c->net, o->source, o->path_id);
		}
		for (unsigned i = 0; i < c->n_routes; i++) {
			const struct rib_route_view *r = &c->routes[i],
						    *o = same_route(r, c->old_routes, c->n_old_routes);

			if (o && o->attrs == r->attrs)
				continue;
			if (r->owner == d->not_from)
				own++;
			else
				rib_batch_announce_from(b, c->net, r->source, r->path_id, r->attrs);
		}
	}
	rib_source_passed_over(d->to, s, own, own_withdrawn);
}

static void flush(void *ctx, struct rib_shard *s)
{
	struct direction *d = ctx;
	unsigned shard = rib_shard_index(s);
	struct rib_batch *b = d->batch[shard];

	if (!b)
		return;
	d->batch[shard] = NULL;
	rib_submit(b);
}

static void dumped(void *ctx, struct rib_shard *s)
{
	flush(ctx, s);
}

static void closed(void *ctx, struct rib_shard *s)
{
	struct direction *d = ctx;
	unsigned shard = rib_shard_index(s);

	if (d->batch[shard])
		rib_batch_discard(d->batch[shard]);
	d->batch[shard] = NULL;
}

static const struct rib_listener_ops listener_ops = {changed, dumped, closed, flush};

static struct proto_channel *channel_of(const struct proto *p)
{
	return cds_list_first_entry(&p->channels, struct proto_channel, node);
}

/* ---- limits: `import limit` counts what comes into the table, `export limit` what goes out of it ---- */

struct limit_call {
	struct proto *p;
	bool out;
	enum limit_action action;
};

static void limit_in_main(void *arg)
{
	struct limit_call *l = arg;
	const struct channel_config *cf = channel_of(l->p)->cf;

	if (l->p->data && l->action != LIMIT_NONE)
		proto_limit_hit(l->p, l->out ? "export" : "import",
			l->out ? cf->export_limit.value : cf->import_limit.value, l->action);
	free(l);
}

/* A shard's thread. Main hears of the source's end later than of this. */
static void limit_in_shard(void *ctx, bool import, enum limit_action action)
{
	struct direction *d = ctx;
	struct limit_call *l = malloc(sizeof(*l));

	(void)import;
	if (!l)
		abort();
	*l = (struct limit_call){d->proto, d->out, action};
	loop_call(d->proto->daemon->main, limit_in_main, l);
}

/* ---- start and stop: main ---- */

static int open_sources(struct proto *p, struct pipe_data *d)
{
	const struct pipe_config *cf = p->cf->body;
	struct rib_source_config sc = {.source = RTS_PIPE, .limit_hit = limit_in_shard, .ctx = &d->in};
	struct proto_channel *c = channel_of(p);
	int rc;

	d->peer_table = rib_table_open(
		p->daemon->rib, cf->peer_table->name, cf->peer_table->net, cf->peer_table->sorted);
	rc = proto_channel_open(c, &sc);
	if (rc < 0)
		return rc;
	sc = *rib_source_config(c->source);
	sc.import = c->cf->export;
	sc.keep_filtered = false;
	sc.receive_limit = (struct limit_config){0};
	sc.import_limit = c->cf->export_limit;
	sc.ctx = &d->out;
	d->out.to = rib_source_open(d->peer_table, &sc);
	if (!d->out.to)
		return -errno;
	d->in.to = c->source;
	return 0;
}

static unsigned pipes_at(const struct config *c, const struct table_config *t)
{
	const struct proto_config *p;
	unsigned n = 0;

	cds_list_for_each_entry(p, &c->protocols, node)
	{
		const struct pipe_config *pipe = p->body;
		const struct channel_config *ch;

		if (p->type != PROTO_PIPE)
			continue;
		n += pipe->peer_table == t;
		cds_list_for_each_entry(ch, &p->channels, node) n += ch->table == t;
	}
	return n;
}

/* The table that more pipes meet at lends. */
static void borrow(struct proto *p, struct pipe_data *d)
{
	const struct proto_channel *c = channel_of(p);
	const struct pipe_config *cf = p->cf->body;

	if (pipes_at(p->config, cf->peer_table) > pipes_at(p->config, c->cf->table))
		rib_source_borrow(d->in.to, d->peer_table, d->in.not_from);
	else
		rib_source_borrow(d->out.to, c->table, d->out.not_from);
}

static int pipe_start(struct proto *p)
{
	struct pipe_data *d;
	int rc;

	if (rib_shards(p->daemon->rib) > sizeof(d->in.batch) / sizeof(*d->in.batch))
		return -E2BIG;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->proto = d->in.proto = d->out.proto = p;
	d->out.out = true;
	rc = open_sources(p, d);
	if (rc < 0) {
		rib_table_close(d->peer_table);
		free(d);
		return rc;
	}
	p->data = d;
	d->in.not_from = rib_source_id(d->out.to);
	d->out.not_from = rib_source_id(d->in.to);
	borrow(p, d);
	d->in.listener =
		rib_listener_open(d->peer_table, RIB_LISTEN_ALL | RIB_LISTEN_OLD, &listener_ops, &d->in);
	d->out.listener = rib_listener_open(
		channel_of(p)->table, RIB_LISTEN_ALL | RIB_LISTEN_OLD, &listener_ops, &d->out);
	proto_set_state(p, PS_UP);
	return 0;
}

static void no_more_calls(struct rib_shard *s, void *arg)
{
	(void)s;
	(void)arg;
}

/* Both sources call us by way of limits until they are closed. */
static void one_closed(void *arg)
{
	struct proto *p = arg;
	struct pipe_data *d = p->data;

	if (--d->closing)
		return;
	rib_table_close(d->peer_table);
	free(d);
	p->data = NULL;
	proto_set_state(p, PS_DOWN);
}

static void in_closed(struct proto_channel *c, void *arg)
{
	(void)arg;
	one_closed(c->proto);
}

/* A shard's thread. */
static void out_closed_in_shard(void *ctx)
{
	struct proto *p = ctx;

	loop_call(p->daemon->main, one_closed, p);
}

static void pipe_stop(struct proto *p, const char *message)
{
	struct pipe_data *d = p->data;
	struct rib_source *to = d->out.to;

	(void)message;
	rib_listener_close(d->in.listener);
	rib_listener_close(d->out.listener);
	/* Behind this no shard calls us any more, and batches that were under way are in the queues before
	 * the flush. */
	rib_call_all(p->daemon->rib, no_more_calls, NULL);
	d->out.to = NULL;
	d->closing = 2;
	rib_source_close(to, out_closed_in_shard, p);
	proto_channel_close(channel_of(p), in_closed, NULL);
}

static void pipe_reconfigure(struct proto *p, const struct proto_config *old, uint32_t change)
{
	struct proto_channel *c = channel_of(p);
	struct pipe_data *d = p->data;
	struct rib_source_config sc;

	(void)old;
	proto_channels_reconfigure(p, change);
	if (!d || !d->out.to)
		return;
	sc = *rib_source_config(d->out.to);
	sc.proto_name = p->cf->name;
	sc.import = c->cf->export;
	sc.import_limit = c->cf->export_limit;
	sc.no_roa_reload = !c->cf->rpki_reload;
	rib_source_reconfigure(d->out.to, &sc, proto_reevaluate(change, PROTO_EXPORT_CHANGED));
}

static int reload_one(struct rib_source *s)
{
	struct rib_source_config sc;

	if (!s)
		return -ENOTSUP;
	sc = *rib_source_config(s);
	rib_source_reconfigure(s, &sc, RIB_ALWAYS);
	return 0;
}

static int pipe_reload(struct proto *p, bool in, bool out)
{
	struct pipe_data *d = p->data;
	int rc = 0;

	if (in)
		rc = reload_one(channel_of(p)->source);
	if (out && rc == 0)
		rc = reload_one(d ? d->out.to : NULL);
	return rc;
}

/* ---- show ---- */

static void pipe_info(struct proto *p, char *buf, size_t size)
{
	const struct pipe_config *cf = p->cf->body;

	snprintf(buf, size, "%s <=> %s", channel_of(p)->cf->table->name, cf->peer_table->name);
}

void pipe_view(struct proto *p, struct pipe_view *out)
{
	struct pipe_data *d = p->data;
	struct proto_channel *c = channel_of(p);

	*out = (struct pipe_view){.table = c->cf->table->name,
		.peer_table = ((const struct pipe_config *)p->cf->body)->peer_table->name};
	if (d && c->source && d->out.to) {
		out->running = true;
		out->in_source = rib_source_id(c->source);
		out->out_source = rib_source_id(d->out.to);
		rib_source_stats(c->source, &out->in);
		rib_source_stats(d->out.to, &out->out);
	}
}

const struct proto_ops pipe_ops = {
	.type = PROTO_PIPE,
	.start = pipe_start,
	.stop = pipe_stop,
	.reconfigure = pipe_reconfigure,
	.info = pipe_info,
	.reload = pipe_reload,
};
