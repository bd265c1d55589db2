/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes: what the RIB wants of a prefix against what we have put into the
 * kernel, and the messages that make up for the difference.
 *
 * An entry of the table says what the kernel has once the batch in the making
 * is through: it is set when the message is built and corrected when the kernel
 * refuses it.
 */
#include "controlplane/fib/audit.h"
#include "controlplane/fib/mem.h"
#include "shared/log.h"
#include <errno.h>
#include <linux/nexthop.h>

#define COUNT(counter, by)                                                                                   \
	atomic_store_explicit(&(counter), atomic_load_explicit(&(counter), memory_order_relaxed) + (by),     \
		memory_order_relaxed)

/* ---- attributes to key and info ---- */

static void add_specs(struct fib_channel *ch, struct group_key *k, const struct attrs *a, uint32_t source,
	unsigned max, uint8_t *count)
{
	struct rib_table *igp = NULL;
	unsigned at = (unsigned)k->n_best + k->n_backup;

	for (unsigned i = 0; i < a->n_nexthop && i < max; i++) {
		const struct attr_nexthop *nh = &a->nexthop[i];
		struct nhspec *s = &k->spec[at++];
		memset(s, 0, sizeof(*s));
		s->gw = nh->gw;
		s->ifindex = nh->ifindex;
		s->weight = nh->weight ? nh->weight : 1;
		s->flags = nh->flags & (NH_RECURSIVE | NH_ONLINK);
		if (s->flags & NH_RECURSIVE) {
			if (!igp) {
				rcu_read_lock();
				const struct rib_source *src = rib_source_by_id(ch->f->o.rib, source);
				igp = src ? rib_source_config(src)->igp_table : NULL;
				rcu_read_unlock();
				if (!igp)
					igp = ch->table;
			}
			s->igp = igp;
		}
		(*count)++;
	}
}

/* Routes of `direct` are the kernel's own already. */
static bool is_device_route(struct fib *f, uint32_t source)
{
	const struct rib_source *s;
	bool device;

	rcu_read_lock();
	s = rib_source_by_id(f->o.rib, source);
	device = s && rib_source_config(s)->source == RTS_DEVICE;
	rcu_read_unlock();
	return device;
}

static void make_info(struct fib_channel *ch, const struct attrs *a, struct route_info *i)
{
	memset(i, 0, sizeof(*i));
	i->metric = ch->kernel.metric;
	if (!i->metric && (a->present & ATTR_KRT_METRIC))
		i->metric = a->krt_metric;
	if (!i->metric && ch->family == 6)
		i->metric = 1024; /* the kernel's own choice */
	if (a->present & ATTR_KRT_REALM)
		i->realm = a->krt_realm;
	if (a->present & ATTR_KRT_SCOPE)
		i->scope = (uint8_t)a->krt_scope;
	if ((a->present & ATTR_KRT_PREFSRC) && ipaddr_is_v4(&a->krt_prefsrc) == (ch->family == 4))
		i->prefsrc = a->krt_prefsrc;
	for (unsigned k = 0; k < a->n_extra; k++) {
		const struct attr_extra *e = &a->extra[k];
		unsigned n = e->id - ATTR_EXTRA_KRT(0);
		if (e->id < ATTR_EXTRA_KRT(0) || n >= 24 || !n)
			continue;
		if (n == RTAX_CC_ALGO) {
			i->cc_len = e->len < sizeof(i->cc) - 1 ? e->len : sizeof(i->cc) - 1;
			memcpy(i->cc, e->data, i->cc_len);
		} else if (e->len == 4) {
			memcpy(&i->metrics[n], e->data, 4);
			i->n_metrics++;
		}
	}
}

uint16_t route_info_intern(struct fib *f, const struct route_info *i)
{
	/* A handful: nearly all routes have the same. */
	for (uint32_t k = 0; k < f->n_infos; k++)
		if (!memcmp(&f->infos[k], i, sizeof(*i)))
			return (uint16_t)k;
	if (f->n_infos == UINT16_MAX) {
		log_msg(LOG_CLASS_ERROR,
			"FIB: too many different krt_* attributes: some routes go without theirs");
		return 0;
	}
	f->infos = mem_grow(f->infos, (f->n_infos + 1) * sizeof(*f->infos));
	f->infos[f->n_infos] = *i;
	return (uint16_t)f->n_infos++;
}

static bool make_key(
	struct fib_channel *ch, const struct fib_change *c, const struct attrs *a, struct group_key *k)
{
	struct fib *f = ch->f;

	memset(k, 0, offsetof(struct group_key, spec));
	k->family = ch->family;
	switch (a->dest) {
	case RTD_BLACKHOLE: k->kind = GROUP_BLACKHOLE; return true;
	case RTD_UNREACHABLE: k->kind = GROUP_UNREACHABLE; return true;
	case RTD_PROHIBIT: k->kind = GROUP_PROHIBIT; return true;
	case RTD_UNICAST: break;
	default: return false;
	}
	if (is_device_route(f, c->source))
		return false;
	k->plain = !f->nh.objects || (a->present & ATTR_KRT_REALM);
	add_specs(ch, k, a, c->source, BEST_MAX, &k->n_best);
	if (!k->n_best)
		return false;
	if (c->backup_attrs && !k->plain) {
		const struct attrs *b = attrs_get(c->backup_attrs);
		if (b->dest == RTD_UNICAST)
			add_specs(ch, k, b, c->backup_source, BACKUP_MAX, &k->n_backup);
	}
	return true;
}

static bool is_recent(struct fib *f, const struct recent_entry *e, const struct fib_change *c)
{
	return e->attrs == c->attrs && e->source == c->source && e->backup_attrs == c->backup_attrs &&
	       e->backup_source == c->backup_source && e->changes == f->nh.changes && group_usable(e->group);
}

void route_apply(struct fib_channel *ch, const struct fib_change *c, struct recent *recent)
{
	struct recent_entry *e = &recent->e[(c->attrs ^ c->backup_attrs) % RECENT];
	struct group *g = NULL;
	uint16_t info = 0;

	if (c->attrs && is_recent(ch->f, e, c)) {
		g = e->group;
		info = e->info;
	} else if (c->attrs) {
		const struct attrs *a = attrs_get(c->attrs);
		struct group_key key;
		struct route_info i;
		if (make_key(ch, c, a, &key)) {
			make_info(ch, a, &i);
			info = route_info_intern(ch->f, &i);
			g = group_get(ch->f, &key);
			*e = (struct recent_entry){c->attrs, c->source, c->backup_attrs, c->backup_source,
				ch->f->nh.changes, info, g};
		}
	}
	route_set(ch, &c->prefix, g, info);
}

/* ---- messages ---- */

static struct rtmsg *start(
	struct fib_channel *ch, uint16_t type, uint16_t flags, const struct prefix *p, uint32_t metric)
{
	struct batch *b = &ch->f->writer;
	struct rtmsg *m = NLMSG_DATA(batch_add(b, type, flags, sizeof(*m)));

	m->rtm_family = ch->family == 4 ? AF_INET : AF_INET6;
	m->rtm_dst_len = p->len;
	m->rtm_table = ch->table_id < 256 ? (uint8_t)ch->table_id : RT_TABLE_UNSPEC;
	m->rtm_protocol = ch->f->o.rtproto;
	if (ch->family == 4)
		batch_put(b, RTA_DST, &p->addr.w[3], 4);
	else
		batch_put(b, RTA_DST, p->addr.b, 16);
	if (ch->table_id >= 256)
		batch_put_u32(b, RTA_TABLE, ch->table_id);
	if (metric)
		batch_put_u32(b, RTA_PRIORITY, metric);
	return m;
}

static void put_hop(struct batch *b, const struct hop *h, uint8_t family)
{
	if (ipaddr_is_zero(&h->gw))
		return;
	if (ipaddr_is_v4(&h->gw) == (family == 4)) {
		batch_put_addr(b, RTA_GATEWAY, &h->gw);
	} else {
		struct {
			uint16_t family;
			uint8_t addr[16];
		} via = {.family = AF_INET6};
		memcpy(via.addr, h->gw.b, 16);
		batch_put(b, RTA_VIA, &via, sizeof(via));
	}
}

/* Without nexthop objects the hops are in the route. */
static void put_hops(struct batch *b, struct rtmsg *m, const struct group *g, uint8_t family)
{
	if (g->n_members == 1) {
		const struct hop *h = &g->member[0].hop;
		put_hop(b, h, family);
		batch_put_u32(b, RTA_OIF, h->ifindex);
		if (h->onlink)
			m->rtm_flags |= RTNH_F_ONLINK;
		if (ipaddr_is_zero(&h->gw) && family == 4 && m->rtm_scope == RT_SCOPE_UNIVERSE)
			m->rtm_scope = RT_SCOPE_LINK;
		return;
	}
	struct nlattr *nest = batch_nest(b, RTA_MULTIPATH);
	for (unsigned i = 0; i < g->n_members; i++) {
		const struct hop *h = &g->member[i].hop;
		struct rtnexthop *nh = (struct rtnexthop *)(b->buf + b->len);
		*nh = (struct rtnexthop){.rtnh_flags = h->onlink ? RTNH_F_ONLINK : 0,
			.rtnh_hops = (uint8_t)(g->member[i].weight - 1),
			.rtnh_ifindex = (int)h->ifindex};
		b->len += sizeof(*nh);
		b->last->nlmsg_len += sizeof(*nh);
		put_hop(b, h, family);
		nh->rtnh_len = (uint16_t)(b->buf + b->len - (char *)nh);
	}
	batch_nest_end(b, nest);
}

static void put_info(struct fib_channel *ch, struct batch *b, const struct route_info *i)
{
	if (!ipaddr_is_zero(&i->prefsrc))
		batch_put_addr(b, RTA_PREFSRC, &i->prefsrc);
	if (i->realm && ch->family == 4)
		batch_put_u32(b, RTA_FLOW, i->realm);
	if (!i->n_metrics && !i->cc_len)
		return;
	struct nlattr *nest = batch_nest(b, RTA_METRICS);
	for (unsigned n = 1; n < 24; n++)
		if (i->metrics[n])
			batch_put_u32(b, (uint16_t)n, i->metrics[n]);
	if (i->cc_len)
		batch_put(b, RTAX_CC_ALGO, i->cc, (size_t)i->cc_len + 1);
	batch_nest_end(b, nest);
}

/* The slot for the message that comes next. */
static struct written *next_written(struct fib_channel *ch, const struct prefix *p)
{
	struct fib *f = ch->f;

	/* A plain multipath message is the longest. */
	if (batch_due(&f->writer) || !batch_room(&f->writer, BATCH_MESSAGE_MAX + BEST_MAX * 40))
		route_flush(f);
	audit_written(f->audit, p);
	struct written *w = &f->written[f->writer.n];
	*w = (struct written){.ch = ch, .prefix = *p};
	return w;
}

static void write_delete(struct fib_channel *ch, const struct prefix *p, uint32_t metric)
{
	next_written(ch, p);
	start(ch, RTM_DELROUTE, 0, p, metric)->rtm_scope = RT_SCOPE_NOWHERE;
}

static void write_route(struct fib_channel *ch, const struct prefix *p, const struct group *g, uint16_t info,
	bool replace, enum write_reason reason)
{
	static const uint8_t types[] = {RTN_UNICAST, RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT};
	struct fib *f = ch->f;
	const struct route_info *i = &f->infos[info];
	struct written *w = next_written(ch, p);
	struct rtmsg *m =
		start(ch, RTM_NEWROUTE, NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL), p, i->metric);

	w->group = g->index;
	w->info = info;
	w->replace = replace;
	w->reason = reason;
	m->rtm_type = types[g->key ? g->key->kind : GROUP_UNICAST];
	m->rtm_scope = i->scope;
	if (g->id)
		batch_put_u32(&f->writer, RTA_NH_ID, g->id);
	else if (g->key->kind == GROUP_UNICAST)
		put_hops(&f->writer, m, g, ch->family);
	put_info(ch, &f->writer, i);
}

/* ---- entries ---- */

/* Counts follow the flags: in the kernel, refused, or missing for want of a group. */
static void set_flags(struct fib_channel *ch, struct route *r, uint8_t flags)
{
	struct group *g = group_at(ch->f, r->group);
	uint8_t old = r->flags & (ROUTE_IN_KERNEL | ROUTE_REFUSED);

	if (old & ROUTE_IN_KERNEL)
		COUNT(ch->n_routes, -1);
	else if (old & ROUTE_REFUSED)
		COUNT(ch->failed, -1);
	else
		g->missing--;
	r->flags = (uint8_t)((r->flags & ~(ROUTE_IN_KERNEL | ROUTE_REFUSED | ROUTE_SEEN)) | flags |
			     ch->routes.seen);
	if (flags & ROUTE_IN_KERNEL)
		r->flags &= (uint8_t)~ROUTE_OLD_THERE;
	if (flags & ROUTE_IN_KERNEL)
		COUNT(ch->n_routes, 1);
	else if (flags & ROUTE_REFUSED)
		COUNT(ch->failed, 1);
	else
		g->missing++;
}

/* A new entry, out of table_take(); counts as missing. */
static void init_entry(struct fib_channel *ch, struct route *r, struct group *g, uint16_t info)
{
	r->group = g->index;
	r->info = info;
	r->flags = ch->routes.seen;
	g->missing++;
	group_ref(ch->f, g);
}

static void clear_left_over(struct fib_channel *ch, struct route *r)
{
	if (r->flags & ROUTE_LEFT_OVER) {
		r->flags &= (uint8_t)~ROUTE_LEFT_OVER;
		ch->n_left_over--;
	}
}

static void remove_entry(struct fib_channel *ch, struct route *r)
{
	struct group *g = group_at(ch->f, r->group);

	clear_left_over(ch, r);
	set_flags(ch, r, 0);
	g->missing--;
	group_unref(ch->f, g);
	table_remove(&ch->routes, r);
}

static void move_entry(struct fib_channel *ch, struct route *r, struct group *g, uint16_t info)
{
	struct group *old = group_at(ch->f, r->group);
	uint8_t keep = r->flags & (ROUTE_IN_KERNEL | ROUTE_REFUSED);

	set_flags(ch, r, 0);
	old->missing--;
	group_ref(ch->f, g);
	group_unref(ch->f, old);
	r->group = g->index;
	r->info = info;
	r->flags &= (uint8_t)~ROUTE_RETRIED;
	g->missing++;
	set_flags(ch, r, keep);
}

/* One of ours is in the kernel for this prefix, or may be. */
static bool there(const struct route *r)
{
	return r->flags & (ROUTE_IN_KERNEL | ROUTE_OLD_THERE);
}

static void set_entry(
	struct fib_channel *ch, struct route *r, const struct prefix *p, struct group *g, uint16_t info)
{
	struct fib *f = ch->f;
	bool replace = there(r);

	clear_left_over(ch, r);
	/* Another metric is another route to the kernel; and what cannot be installed must not linger. */
	if (replace && (f->infos[r->info].metric != f->infos[info].metric || !group_usable(g))) {
		write_delete(ch, p, f->infos[r->info].metric);
		set_flags(ch, r, 0);
		r->flags &= (uint8_t)~ROUTE_OLD_THERE;
		replace = false;
	}
	if (r->group != g->index || r->info != info)
		move_entry(ch, r, g, info);
	if (!group_usable(g)) {
		set_flags(ch, r, 0);
		return;
	}
	set_flags(ch, r, ROUTE_IN_KERNEL);
	write_route(ch, p, g, info, replace, WRITE_WISH);
}

void route_set(struct fib_channel *ch, const struct prefix *p, struct group *g, uint16_t info)
{
	struct route *r;

	if (!g) {
		r = table_find(&ch->routes, p);
		if (!r)
			return;
		if (there(r))
			write_delete(ch, p, ch->f->infos[r->info].metric);
		remove_entry(ch, r);
		return;
	}
	r = table_take(&ch->routes, p);
	if (!r->group)
		init_entry(ch, r, g, info);
	else if (r->group == g->index && r->info == info && (r->flags & ROUTE_IN_KERNEL)) {
		if (r->flags & ROUTE_LEFT_OVER) {
			clear_left_over(ch, r);
			COUNT(ch->adopted, 1);
		}
		return;
	}
	set_entry(ch, r, p, g, info);
}

void route_rewrite(struct fib_channel *ch, struct route *r, bool replace)
{
	struct group *g = group_at(ch->f, r->group);
	struct prefix p = route_prefix(&ch->routes, r);

	if (g->lost || g->moving || !group_usable(g)) {
		set_flags(ch, r, 0);
		route_start_sweep(ch);
		return;
	}
	enum write_reason reason = r->flags & ROUTE_REFUSED ? WRITE_RETRY : WRITE_MISSING;
	if (reason == WRITE_MISSING)
		COUNT(ch->repaired, 1);
	replace = replace || (r->flags & ROUTE_OLD_THERE);
	set_flags(ch, r, ROUTE_IN_KERNEL);
	write_route(ch, &p, g, r->info, replace, reason);
}

void route_refuse(struct fib_channel *ch, struct route *r)
{
	set_flags(ch, r, ROUTE_REFUSED);
}

void route_add_left_over(struct fib_channel *ch, const struct prefix *p, struct group *g, uint16_t info)
{
	struct route *r;

	if (table_find(&ch->routes, p))
		return;
	r = table_take(&ch->routes, p);
	group_keep(g, false);
	init_entry(ch, r, g, info);
	set_flags(ch, r, ROUTE_IN_KERNEL);
	r->flags |= ROUTE_LEFT_OVER;
	ch->n_left_over++;
}

void route_remove_unknown(struct fib_channel *ch, const struct prefix *p, uint32_t metric)
{
	write_delete(ch, p, metric);
}

/* ---- the kernel's answers ---- */

static void route_lost(struct fib_channel *ch, const struct written *w, int err, const char *text)
{
	struct route *r = table_find(&ch->routes, &w->prefix);
	uint8_t old = w->replace ? ROUTE_OLD_THERE : 0;
	char p[PREFIX_STRLEN];

	/* Written again later in the same batch: that one counts. */
	if (!r || r->group != w->group || r->info != w->info || !(r->flags & ROUTE_IN_KERNEL))
		return;
	if (w->reason == WRITE_MISSING && err == -EEXIST) {
		COUNT(ch->repaired, -1); /* it was there all the time */
		audit_not_missing(ch->f->audit);
		return;
	}
	if ((err == -EINVAL || err == -ENOENT || err == -ENODEV) && group_at(ch->f, w->group)->id &&
		!(r->flags & ROUTE_RETRIED)) {
		/* Most likely its group went while this was on the way. */
		set_flags(ch, r, 0);
		r->flags |= ROUTE_RETRIED | old;
		ch->f->verify_wanted = true;
		return;
	}
	if (err == -ENOMEM || err == -ENOBUFS || err == -EAGAIN) {
		set_flags(ch, r, 0);
		r->flags |= old;
		ch->f->resync_wanted = true;
		return;
	}
	set_flags(ch, r, ROUTE_REFUSED);
	r->flags |= old;
	if (err == -EEXIST && w->reason == WRITE_WISH)
		ch->f->resync_wanted = true; /* an alien's, or one of ours that was thought gone */
	if (w->reason != WRITE_RETRY && log_limit_ok(&ch->refused_log))
		log_msg(LOG_CLASS_ERROR, "FIB: the kernel refuses %s in table %u: %s%s%s",
			prefix_format(&w->prefix, p), ch->table_id,
			err == -EEXIST ? "there is a route of somebody else with the same metric"
				       : strerror(-err),
			*text && err != -EEXIST ? ": " : "", err != -EEXIST ? text : "");
}

static void on_refused(void *ctx, unsigned index, int err, const char *text)
{
	struct fib *f = ctx;
	const struct written *w = &f->written[index];
	char p[PREFIX_STRLEN];

	if (w->group) {
		route_lost(w->ch, w, err, text);
	} else if (err != -ESRCH && err != -ENOENT) {
		f->resync_wanted = true;
		if (log_limit_ok(&w->ch->refused_log))
			log_msg(LOG_CLASS_ERROR, "FIB: cannot remove %s from table %u: %s",
				prefix_format(&w->prefix, p), w->ch->table_id, strerror(-err));
	}
}

void route_flush(struct fib *f)
{
	int rc;

	if (!f->writer.n)
		return;
	nexthops_publish(f); /* F2, F3 of links.h: before any route is written */
	rc = batch_flush(&f->writer, on_refused, f);
	if (rc < 0) {
		/* Nobody knows what the kernel took: compare. */
		log_msg(LOG_CLASS_ERROR, "FIB: netlink: %s; comparing with the kernel", strerror(-rc));
		f->resync_wanted = true;
	}
}

/* ---- the sweep ---- */

void route_start_sweep(struct fib_channel *ch)
{
	ch->sweeping = true;
	ch->sweep_at = 0;
	ch->sweep_removals = ch->routes.removals;
	ch->sweep_rehashes = ch->routes.rehashes;
	fib_wake(ch->f);
}

/* Returns false when the entry was removed: another may be in its slot now. */
static bool sweep_entry(struct fib_channel *ch, struct route *r)
{
	struct fib *f = ch->f;
	struct group *g = group_at(f, r->group);
	struct prefix p = route_prefix(&ch->routes, r);

	if (ch->flushing || (ch->drop_left_overs && (r->flags & ROUTE_LEFT_OVER))) {
		if (there(r) && !(g->lost && (r->flags & ROUTE_IN_KERNEL)) && !ch->keep)
			write_delete(ch, &p, f->infos[r->info].metric);
		if (ch->keep)
			group_keep(g, true);
		remove_entry(ch, r);
		return false;
	}
	if (g->lost && (r->flags & ROUTE_IN_KERNEL)) {
		set_flags(ch, r, 0);
		COUNT(ch->repaired, 1);
	}
	if (g->lost || g->moving) {
		if (!g->key) { /* nobody asked for it yet, and it is gone */
			remove_entry(ch, r);
			return false;
		}
		set_entry(ch, r, &p, group_get(f, g->key), r->info);
	} else if (!(r->flags & (ROUTE_IN_KERNEL | ROUTE_REFUSED)) && group_usable(g)) {
		set_entry(ch, r, &p, g, r->info);
	}
	return true;
}

static bool anything_to_sweep(struct fib_channel *ch)
{
	if (ch->flushing)
		return ch->routes.n > 0;
	if (ch->drop_left_overs && ch->n_left_over)
		return true;
	for (uint32_t i = GROUP_INDEX_PROHIBIT + 1; i < ch->f->nh.n_groups; i++) {
		const struct group *g = ch->f->nh.groups[i];
		if (g && g->refs && group_wants_sweep(g) && (!g->key || g->key->family == ch->family))
			return true;
	}
	return false;
}

static void sweep_done(struct fib_channel *ch)
{
	bool missed = ch->sweep_removals != ch->routes.removals || ch->sweep_rehashes != ch->routes.rehashes;

	ch->sweeping = false;
	if (missed && anything_to_sweep(ch)) {
		route_start_sweep(ch);
		return;
	}
	if (ch->drop_left_overs) {
		ch->drop_left_overs = false;
		route_flush(ch->f);
		nexthops_drop_left_overs(ch->f);
	}
}

bool route_sweep(struct fib *f, unsigned max)
{
	struct fib_channel *ch;
	bool more = false;

	cds_list_for_each_entry(ch, &f->channels, node)
	{
		unsigned writes = f->writer.messages + f->writer.n + BATCH_ROUTES;
		if (!ch->sweeping)
			continue;
		more = true;
		while (ch->sweep_at <= ch->routes.mask && max-- &&
			f->writer.messages + f->writer.n < writes) {
			struct route *r = table_at(&ch->routes, ch->sweep_at);
			if (!r->group || sweep_entry(ch, r))
				ch->sweep_at++;
		}
		if (ch->sweep_at > ch->routes.mask)
			sweep_done(ch);
		break;
	}
	return more;
}
