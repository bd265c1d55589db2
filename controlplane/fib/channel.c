/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel protocol's channel: from the RIB's feed into the queues (shards'
 * threads), out of the queues into the kernel (fib thread), and its life (main
 * thread).
 */
#include "controlplane/fib/audit.h"
#include "controlplane/fib/learn.h"
#include "controlplane/fib/mem.h"
#include "controlplane/fib/merge.h"
#include "shared/clock.h"
#include "shared/log.h"
#include <errno.h>

/* ---- shards' threads ---- */

static void changed(void *ctx, struct rib_shard *s, const struct export_feed_change *c, unsigned n, bool dump)
{
	struct fib_channel *ch = ctx;
	struct queue *q = &ch->queues[rib_shard_index(s)];
	struct fib_change out[64];

	(void)dump;
	for (unsigned i = 0; i < n;) {
		unsigned m = 0;
		for (; i < n && m < 64; i++, m++) {
			out[m] = (struct fib_change){.prefix = c[i].net->prefix,
				.index = c[i].index,
				.attrs = c[i].attrs,
				.source = c[i].source,
				.backup_attrs = c[i].attrs ? c[i].backup_attrs : 0,
				.backup_source = c[i].backup_source};
			if (out[m].attrs)
				attrs_hold(out[m].attrs);
			if (out[m].backup_attrs)
				attrs_hold(out[m].backup_attrs);
			if (out[m].attrs && ch->kernel.merge_paths)
				merge_paths(ch, s, &c[i], &out[m]);
		}
		queue_push(q, out, m);
	}
	fib_wake(ch->f);
}

static void dumped(void *ctx, struct rib_shard *s)
{
	struct fib_channel *ch = ctx;

	(void)s;
	atomic_fetch_add(&ch->dumped_shards, 1);
}

static void feed_closed(void *arg);

static void closed(void *ctx, struct rib_shard *s)
{
	struct fib_channel *ch = ctx;
	struct loop *loop = ch->f->loop;
	unsigned n = ch->n_shards;

	(void)s;
	/* Counted: from here on another shard may be the last one, and the channel gone. */
	if (atomic_fetch_add(&ch->closed_shards, 1) + 1 == n)
		loop_call(loop, feed_closed, ch);
}

/* ---- fib thread ---- */

struct fib_channel *channel_of(struct fib *f, uint8_t family, uint32_t table_id)
{
	struct fib_channel *ch;

	cds_list_for_each_entry(
		ch, &f->channels, node) if (ch->family == family && ch->table_id == table_id) return ch;
	return NULL;
}

bool channel_work(struct fib *f)
{
	struct fib_change c[BATCH_ROUTES];
	struct fib_channel *ch;
	struct recent recent;
	bool worked = false;

	cds_list_for_each_entry(ch, &f->channels, node)
	{
		if (ch->closing || !ch->ready || (f->deferred && ch->n_left_over))
			continue;
		for (unsigned s = 0; s < ch->n_shards; s++) {
			if (!queue_length(&ch->queues[s]))
				continue;
			unsigned n = queue_pop(&ch->queues[s], c, BATCH_ROUTES);
			for (unsigned i = 0; i < n; i++)
				table_prefetch(&ch->routes, &c[i].prefix);
			memset(&recent, 0, sizeof(recent));
			for (unsigned i = 0; i < n; i++)
				route_apply(ch, &c[i], &recent);
			for (unsigned i = 0; i < n; i++)
				queue_release(&c[i]);
			worked = worked || n > 0;
		}
	}
	return worked;
}

bool fib_queues_empty(struct fib *f)
{
	struct fib_channel *ch;

	cds_list_for_each_entry(ch, &f->channels, node)
	{
		if (ch->sweeping || atomic_load(&ch->dumped_shards) < ch->n_shards)
			return false;
		for (unsigned s = 0; s < ch->n_shards; s++)
			if (queue_length(&ch->queues[s]))
				return false;
	}
	return true;
}

/* One of an earlier run. What it goes through is a group of ours that is still there, or one of the four
 * kinds that need none; anything else is not worth keeping: it is replaced or removed by the first audit. */
static int take_left_over(void *arg, struct nlmsghdr *h)
{
	struct fib_channel *ch = arg;
	struct kernel_route k;
	struct group *g = NULL;

	if (!kernel_route_parse(h, &k) || k.table != ch->table_id || k.prefix.family != ch->family ||
		k.protocol != ch->f->o.rtproto)
		return 0;
	switch (k.type) {
	case RTN_UNICAST: g = k.nhid ? nexthops_by_id(ch->f, k.nhid) : NULL; break;
	case RTN_BLACKHOLE: g = group_at(ch->f, GROUP_INDEX_BLACKHOLE); break;
	case RTN_UNREACHABLE: g = group_at(ch->f, GROUP_INDEX_UNREACHABLE); break;
	case RTN_PROHIBIT: g = group_at(ch->f, GROUP_INDEX_PROHIBIT); break;
	}
	if (g)
		route_add_left_over(ch, &k.prefix, g, route_info_intern(ch->f, &k.info));
	return 0;
}

static void take_left_overs(struct fib_channel *ch)
{
	struct rtmsg m = {.rtm_family = ch->family == 4 ? AF_INET : AF_INET6,
		.rtm_protocol = ch->f->o.rtproto,
		.rtm_table = ch->table_id < 256 ? (uint8_t)ch->table_id : RT_TABLE_UNSPEC};
	struct nl_sock *s;

	if (netlink_open(&s, true) < 0)
		return;
	netlink_dump(s, RTM_GETROUTE, &m, sizeof(m), take_left_over, ch);
	nl_socket_free(s);
	if (!ch->n_left_over)
		return;
	log_msg(LOG_CLASS_INFO, "FIB: %u routes of an earlier run in table %u", ch->n_left_over,
		ch->table_id);
	if (!ch->f->o.recover) {
		ch->drop_left_overs = true;
		route_start_sweep(ch);
	}
}

static void channel_start(void *arg)
{
	struct fib_channel *ch = arg;
	struct fib *f = ch->f;

	if (channel_of(f, ch->family, ch->table_id))
		log_msg(LOG_CLASS_WARNING, "FIB: two protocols write kernel table %u", ch->table_id);
	cds_list_add_tail(&ch->node, &f->channels);
	take_left_overs(ch);
	if (ch->learn_source)
		ch->learned = learned_open(ch);
	monitor_filter(f);
	ch->ready = true;
	/* What was left without being recognised, and what there is to learn. */
	f->resync_wanted = true;
	fib_wake(f);
}

void channel_gone(struct fib_channel *ch)
{
	void (*done)(void *) = ch->done;
	void *ctx = ch->done_ctx;

	cds_list_del(&ch->node);
	merge_set_filter(ch, NULL);
	table_free(&ch->routes);
	free(ch->queues);
	free(ch);
	if (done)
		done(ctx);
}

/* The last call of the feed is behind us. */
static void feed_closed(void *arg)
{
	struct fib_channel *ch = arg;

	for (unsigned s = 0; s < ch->n_shards; s++)
		queue_free(&ch->queues[s]);
	ch->n_shards = 0;
	ch->flushing = true;
	route_start_sweep(ch);
}

struct close {
	struct fib_channel *ch;
	bool keep;
	void (*done)(void *ctx);
	void *ctx;
};

static void close_in_loop(void *arg)
{
	const struct close *c = arg;
	struct fib_channel *ch = c->ch;

	ch->keep = c->keep;
	ch->done = c->done;
	ch->done_ctx = c->ctx;
	audit_forget(ch->f->audit, ch);
	learned_close(ch->learned);
	ch->learned = NULL;
	monitor_filter(ch->f);
	ch->closing = true;
}

/* Channels whose entries are all gone. */
void channels_reap(struct fib *f)
{
	struct fib_channel *ch, *next;

	cds_list_for_each_entry_safe(ch, next, &f->channels, node) if (ch->flushing && !ch->routes.n)
	{
		route_flush(f);
		channel_gone(ch);
	}
}

/* ---- main thread ---- */

struct fib_channel *fib_channel_open(struct fib *f, const struct fib_channel_config *c)
{
	enum net_type type = rib_table_net(c->table);
	struct fib_channel *ch;
	struct export_feed_config feed;

	if (type != NET_IP4 && type != NET_IP6) {
		errno = EAFNOSUPPORT;
		return NULL;
	}
	ch = mem_zero(sizeof(*ch));
	ch->f = f;
	ch->table = c->table;
	ch->kernel = *c->kernel;
	ch->learn_source = c->learn_source;
	ch->family = type == NET_IP4 ? 4 : 6;
	ch->table_id = c->kernel->table_id;
	ch->n_shards = rib_shards(f->o.rib);
	ch->queues = mem_zero(ch->n_shards * sizeof(*ch->queues));
	for (unsigned s = 0; s < ch->n_shards; s++)
		queue_init(&ch->queues[s]);
	table_init(&ch->routes, ch->family);
	merge_set_filter(ch, &c->export);
	/* Before the feed's first change can be looked at. */
	loop_call(f->loop, channel_start, ch);
	feed = (struct export_feed_config){.table = c->table,
		.filter = c->export,
		.own_source = c->learn_source ? rib_source_id(c->learn_source) : 0,
		.with_backup = true,
		.changed = changed,
		.dumped = dumped,
		.closed = closed,
		.ctx = ch};
	ch->feed = export_feed_open(f->o.export, &feed);
	return ch;
}

struct reconfigure {
	struct fib_channel *ch;
	uint32_t scan_time;
};

static void reconfigure_in_loop(void *arg)
{
	struct reconfigure *r = arg;

	r->ch->kernel.scan_time = r->scan_time;
	r->ch->next_scan_ns = clock_now_ns() + r->scan_time * NS_PER_S;
	free(r);
}

/* Another table, metric or learning is another channel: the protocol is restarted for those. */
void fib_channel_reconfigure(struct fib_channel *ch, const struct fib_channel_config *c)
{
	struct reconfigure *r = mem_zero(sizeof(*r));

	*r = (struct reconfigure){ch, c->kernel->scan_time};
	loop_call(ch->f->loop, reconfigure_in_loop, r);
	merge_set_filter(ch, &c->export);
	export_feed_reconfigure(ch->feed, &c->export);
}

void fib_channel_close(struct fib_channel *ch, bool keep_routes, void (*done)(void *), void *ctx)
{
	struct export_feed *feed = ch->feed;
	struct close c = {ch, keep_routes, done, ctx};

	/* The learning source is the caller's to close: the fib thread must have let go of it. */
	loop_call_sync(ch->f->loop, close_in_loop, &c);
	export_feed_close(feed);
}

void fib_channel_stats(const struct fib_channel *ch, struct fib_channel_stats *out)
{
	memset(out, 0, sizeof(*out));
	out->routes = atomic_load_explicit(&ch->n_routes, memory_order_relaxed);
	out->failed = atomic_load_explicit(&ch->failed, memory_order_relaxed);
	out->repaired = atomic_load_explicit(&ch->repaired, memory_order_relaxed);
	out->adopted = atomic_load_explicit(&ch->adopted, memory_order_relaxed);
	for (unsigned s = 0; s < ch->n_shards; s++)
		out->pending += queue_length(&ch->queues[s]);
	if (ch->feed)
		export_feed_stats(ch->feed, &out->feed);
}
