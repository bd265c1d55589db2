/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Feeds: a table behind a filter, for the FIB.
 *
 * A feed remembers for each prefix (by its index in the shard) what it last said
 * of it, so that a consumer hears of real changes only: a re-evaluated filter or
 * a second dump costs it nothing where nothing changed. All of it belongs to the
 * shard's thread.
 */
#include "controlplane/export/engine.h"
#include "controlplane/export/policy.h"
#include "controlplane/export/room.h"
#include "shared/rcu.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct said {
	uint32_t attrs, backup; /* references are held */
	uint32_t source, backup_source;
};

struct feed_shard {
	struct policy policy;
	struct said *said;
	uint32_t n_said;
	struct export_feed_stats stats; /* relaxed atomic writes */
};

struct export_feed {
	struct export_feed_config cf;
	struct rib *rib;
	struct rib_listener *listener;
	_Atomic unsigned open; /* shards not closed yet */
	struct feed_shard shard[];
};

static void count(uint64_t *c)
{
	__atomic_store_n(c, *c + 1, __ATOMIC_RELAXED);
}

static struct said *said_of(struct feed_shard *fs, uint32_t index)
{
	if (index >= fs->n_said) {
		uint32_t n = room_up_to(fs->n_said, index + 1, 1024);

		fs->said = room_grow(fs->said, fs->n_said, n, sizeof(*fs->said));
		fs->n_said = n;
	}
	return &fs->said[index];
}

/* Whether packets would go the same way: such a route is no backup. */
static bool same_next_hops(uint32_t x, uint32_t y)
{
	const struct attrs *a = attrs_get(x), *b = attrs_get(y);

	if (a->dest != b->dest || a->n_nexthop != b->n_nexthop)
		return false;
	for (unsigned i = 0; i < a->n_nexthop; i++)
		if (a->nexthop[i].ifindex != b->nexthop[i].ifindex ||
			!ipaddr_equal(&a->nexthop[i].gw, &b->nexthop[i].gw))
			return false;
	return true;
}

static void choose(struct export_feed *f, struct feed_shard *fs, struct rib_shard *s,
	const struct rib_change *c, struct said *now)
{
	*now = (struct said){0};
	for (unsigned i = 0; i < c->n_routes; i++) {
		const struct rib_route_view *r = &c->routes[i];
		uint32_t id = 0;
		bool accepted;

		if (r->flags & (ROUTE_FILTERED | ROUTE_UNREACHABLE))
			continue;
		if (f->cf.own_source && (r->source == f->cf.own_source || r->owner == f->cf.own_source)) {
			if (!now->attrs)
				return; /* the best is the consumer's own */
			continue;
		}
		if (!now->attrs)
			count(&fs->stats.updates_received);
		accepted = policy_run(&fs->policy, s, c->net, r, &id);
		if (!now->attrs) {
			count(accepted ? &fs->stats.updates_accepted : &fs->stats.updates_filtered);
			if (!accepted)
				return; /* the best is not wanted: nothing takes its place */
			now->attrs = id;
			now->source = r->source;
			if (!f->cf.with_backup)
				return;
		} else if (accepted) {
			if (!same_next_hops(now->attrs, id)) {
				now->backup = id;
				now->backup_source = r->source;
				return;
			}
			attrs_release(id);
		}
	}
}

static void changed(void *ctx, struct rib_shard *s, const struct rib_change *c, unsigned n, bool dump)
{
	struct export_feed *f = ctx;
	struct feed_shard *fs = &f->shard[rib_shard_index(s)];

	for (; n; n--, c++) {
		struct said *before = said_of(fs, c->index), now, old = *before;
		struct export_feed_change out;

		choose(f, fs, s, c, &now);
		if (memcmp(&now, &old, sizeof(now)) == 0 && !(c->last && now.attrs)) {
			if (now.attrs)
				attrs_release(now.attrs);
			if (now.backup)
				attrs_release(now.backup);
			continue;
		}
		*before = now;
		__atomic_store_n(&fs->stats.exported, fs->stats.exported + !!now.attrs - !!old.attrs,
			__ATOMIC_RELAXED);
		if (!now.attrs) {
			count(&fs->stats.withdraws_received);
			count(&fs->stats.withdraws_accepted);
		}
		out = (struct export_feed_change){
			.net = c->net,
			.index = c->index,
			.last = c->last,
			.attrs = now.attrs,
			.source = now.source,
			.backup_attrs = now.backup,
			.backup_source = now.backup_source,
			.routes = c->routes,
			.n_routes = c->n_routes,
		};
		f->cf.changed(f->cf.ctx, s, &out, 1, dump);
		if (old.attrs)
			attrs_release(old.attrs);
		if (old.backup)
			attrs_release(old.backup);
	}
}

static void dumped(void *ctx, struct rib_shard *s)
{
	struct export_feed *f = ctx;

	if (f->cf.dumped)
		f->cf.dumped(f->cf.ctx, s);
}

static void flush(void *ctx, struct rib_shard *s)
{
	struct export_feed *f = ctx;

	if (f->cf.flush)
		f->cf.flush(f->cf.ctx, s);
}

static void closed(void *ctx, struct rib_shard *s)
{
	struct export_feed *f = ctx;
	struct feed_shard *fs = &f->shard[rib_shard_index(s)];

	for (uint32_t i = 0; i < fs->n_said; i++) {
		if (fs->said[i].attrs)
			attrs_release(fs->said[i].attrs);
		if (fs->said[i].backup)
			attrs_release(fs->said[i].backup);
	}
	free(fs->said);
	policy_free(&fs->policy);
	if (f->cf.closed)
		f->cf.closed(f->cf.ctx, s);
	if (atomic_fetch_sub(&f->open, 1) == 1)
		free(f);
}

static const struct rib_listener_ops listener_ops = {changed, dumped, closed, flush};

struct export_feed *export_feed_open(struct export_engine *x, const struct export_feed_config *c)
{
	unsigned n = rib_shards(x->rib);
	struct export_feed *f = calloc(1, sizeof(*f) + n * sizeof(f->shard[0]));

	if (!f)
		return NULL;
	f->cf = *c;
	f->rib = x->rib;
	atomic_init(&f->open, n);
	for (unsigned i = 0; i < n; i++)
		policy_init(&f->shard[i].policy, &c->filter, NULL);
	f->listener = rib_listener_open(
		c->table, c->with_backup ? RIB_LISTEN_BACKUP : RIB_LISTEN_BEST, &listener_ops, f);
	if (!f->listener) {
		for (unsigned i = 0; i < n; i++)
			policy_free(&f->shard[i].policy);
		free(f);
		return NULL;
	}
	if (policy_reads_roa(&c->filter))
		rib_listener_reads_roa(f->listener, false);
	return f;
}

struct new_filter {
	struct export_feed *feed;
	const struct filter_ref *filter;
};

static void set_filter(struct rib_shard *s, void *arg)
{
	struct new_filter *nf = arg;
	struct policy *p = &nf->feed->shard[rib_shard_index(s)].policy;

	policy_free(p);
	policy_init(p, nf->filter, NULL);
}

void export_feed_reconfigure(struct export_feed *f, const struct filter_ref *filter)
{
	struct new_filter nf = {f, filter};

	rib_call_all(f->rib, set_filter, &nf);
	if (policy_reads_roa(filter))
		rib_listener_reads_roa(f->listener, false);
	rib_listener_redump(f->listener);
}

void export_feed_close(struct export_feed *f)
{
	rib_listener_close(f->listener);
}

void export_feed_stats(const struct export_feed *f, struct export_feed_stats *out)
{
	unsigned n = rib_shards(f->rib);

	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < n; i++) {
		const struct export_feed_stats *st = &f->shard[i].stats;

		out->exported += __atomic_load_n(&st->exported, __ATOMIC_RELAXED);
		out->updates_received += __atomic_load_n(&st->updates_received, __ATOMIC_RELAXED);
		out->updates_rejected += __atomic_load_n(&st->updates_rejected, __ATOMIC_RELAXED);
		out->updates_filtered += __atomic_load_n(&st->updates_filtered, __ATOMIC_RELAXED);
		out->updates_accepted += __atomic_load_n(&st->updates_accepted, __ATOMIC_RELAXED);
		out->withdraws_received += __atomic_load_n(&st->withdraws_received, __ATOMIC_RELAXED);
		out->withdraws_accepted += __atomic_load_n(&st->withdraws_accepted, __ATOMIC_RELAXED);
	}
}
