/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fib thread: a loop with a mailbox. Work comes in slices of one batch each:
 * queues before sweeps before audits, and between any two slices the loop hears
 * the monitor, the mailbox and the clock.
 */
#include "controlplane/fib/audit.h"
#include "controlplane/fib/mem.h"
#include "controlplane/fib/nhobj.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/rcu.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#define DEFER_S 30.
#define NICE (-10) /* of the fib thread */
#define WRITER_BUFFER (256 * 1024)
#define SWEEP_SLICE 50000
/* A crash is survived by the kernel's routes for as long as peers wait for us: graceful restart's default. */
#define HOLD_S 240.0
#define SYNC_MEM "/proc/sys/net/ipv4/fib_sync_mem"
#define SYNC_MEM_WANTED (64UL << 20)
#define COMPAT_MODE "/proc/sys/net/ipv4/nexthop_compat_mode"

void fib_wake(struct fib *f)
{
	if (!atomic_exchange(&f->woken, true))
		ev_async_send(loop_ev(f->loop), &f->wake);
}

void fib_restore_later(struct fib *f)
{
	f->restore_at = ev_now(loop_ev(f->loop)) + RESTORE_DELAY_S;
}

#define CALM_S 0.02
#define CALM_MAX_S 0.1

void fib_keep_calm(struct fib *f)
{
	struct ev_loop *ev = loop_ev(f->loop);
	double left;

	ev_now_update(ev);
	if (!ev_is_active(&f->calm))
		f->calm_by = ev_now(ev) + CALM_MAX_S;
	left = f->calm_by - ev_now(ev);
	ev_timer_stop(ev, &f->calm);
	ev_timer_set(&f->calm, left < CALM_S ? (left > 0 ? left : 0) : CALM_S, 0);
	ev_timer_start(ev, &f->calm);
}

static void on_calm_over(struct ev_loop *ev, ev_timer *w, int revents)
{
	(void)ev, (void)revents;
	links_changed(w->data);
}

static void on_wake(struct ev_loop *ev, ev_async *w, int revents)
{
	struct fib *f = w->data;

	(void)revents;
	/* Before the queues are looked at: whoever pushes after this wakes us again. */
	atomic_store(&f->woken, false);
	ev_idle_start(ev, &f->work);
}

static void start_sweeps(struct fib *f)
{
	struct fib_channel *ch;

	cds_list_for_each_entry(ch, &f->channels, node) if (!ch->sweeping) route_start_sweep(ch);
}

static void drop_left_overs(struct fib *f)
{
	struct fib_channel *ch;

	f->recovered = true;
	cds_list_for_each_entry(ch, &f->channels, node)
	{
		if (ch->n_left_over)
			log_msg(LOG_CLASS_INFO,
				"FIB: %u routes of the earlier run in table %u were not wanted again",
				ch->n_left_over, ch->table_id);
		ch->drop_left_overs = true;
		route_start_sweep(ch);
	}
	if (cds_list_empty(&f->channels))
		nexthops_drop_left_overs(f);
}

static void on_work(struct ev_loop *ev, ev_idle *w, int revents)
{
	struct fib *f = w->data;
	bool busy;

	(void)revents;
	if (ev_is_active(&f->calm)) {
		ev_idle_stop(ev, &f->work); /* woken again when it is over */
		return;
	}
	nexthops_links_changed(f);
	if (f->verify_wanted) {
		f->verify_wanted = false;
		f->nh.repaired += nexthops_verify(f, 0);
		start_sweeps(f);
	}
	if (atomic_exchange(&f->nht_changed, false))
		nexthops_resolution_changed(f);
	busy = channel_work(f);
	busy = route_sweep(f, SWEEP_SLICE) || busy;
	if (f->recovery_done && !f->recovered && fib_queues_empty(f)) {
		drop_left_overs(f);
		busy = true;
	}
	route_flush(f);
	channels_reap(f);
	if (busy)
		return;
	if (f->resync_wanted)
		audit_start(f->audit);
	audit_drained(f->audit);
	if (audit_step(f->audit))
		return;
	ev_idle_stop(ev, &f->work);
}

static void on_tick(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct fib *f = w->data;
	struct fib_channel *ch;
	uint64_t now = clock_now_ns();

	(void)revents;
	if (ev_is_active(&f->calm))
		return;
	if (f->restore_at != 0 && ev_now(ev) >= f->restore_at && fib_queues_empty(f)) {
		f->restore_at = 0;
		nexthops_restore(f);
	}
	nexthops_retry(f);
	nexthops_poke_neighbours(f);
	nhobj_settle_redirections(f);
	nexthops_reap(f, false);
	if (!f->recovered && ev_now(ev) >= f->hold_until)
		drop_left_overs(f);
	if (f->deferred && ev_now(ev) >= f->defer_until) {
		log_msg(LOG_CLASS_WARNING, "FIB: not all neighbours are back, going on without them");
		f->deferred = false;
		fib_wake(f);
	}
	if (f->recovery_done && !f->recovered)
		fib_wake(f); /* a first dump had not ended */
	cds_list_for_each_entry(ch, &f->channels, node) if (ch->ready && ch->kernel.scan_time &&
							    now >= ch->next_scan_ns) f->resync_wanted = true;
	if (f->resync_wanted)
		fib_wake(f);
	links_log_history(&f->links);
}

/* ---- from elsewhere ---- */

struct iface_event {
	struct fib *f;
	uint32_t ifindex;
	uint64_t heard_ns;
};

static void iface_changed(void *arg)
{
	struct iface_event *e = arg;

	nexthops_iface_changed(e->f, e->ifindex, e->heard_ns);
	/* Addresses that went may have been some route's source: the kernel removes those routes silently. */
	e->f->resync_wanted = true;
	free(e);
}

static void on_iface(void *ctx, uint32_t ifindex)
{
	struct iface_event *e = mem_grow(NULL, sizeof(*e));

	*e = (struct iface_event){ctx, ifindex, clock_now_ns()};
	loop_call(e->f->loop, iface_changed, e);
}

static void on_resolution(void *ctx, struct rib_table *t, const struct ipaddr *addr)
{
	struct fib *f = ctx;

	(void)t, (void)addr;
	atomic_store(&f->nht_changed, true);
	fib_wake(f);
}

/* ---- life ---- */

/* Without this every replaced or deleted group costs the kernel a notification for each of its routes, under
 * its lock. */
static void set_compat_mode(void)
{
	char now = '1';
	int fd = open(COMPAT_MODE, O_RDWR | O_CLOEXEC);
	ssize_t n;

	int err = 0;

	if (fd < 0) {
		err = errno;
		fd = open(COMPAT_MODE, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return; /* a kernel that has no such mode */
	n = read(fd, &now, 1);
	if (n == 1 && now == '0') {
		close(fd);
		return;
	}
	if (!err && pwrite(fd, "0\n", 2, 0) != 2)
		err = errno;
	if (err)
		log_msg(LOG_CLASS_WARNING,
			"Cannot set net.ipv4.nexthop_compat_mode to 0: %s. A failover will keep the kernel "
			"busy for about a "
			"second per million routes, and later ones wait for it",
			strerror(err));
	close(fd);
}

/* While the kernel inserts IPv4 routes it waits for a grace period, under its lock, whenever so much of its
 * trie has been replaced; a failover waits as long. The setting is the host's, not the namespace's: it is its
 * owner's to change. */
static void look_at_sync_mem(void)
{
	char text[32] = "";
	int fd = open(SYNC_MEM, O_RDONLY | O_CLOEXEC);
	unsigned long now;

	if (fd < 0)
		return; /* not there in other namespaces than the host's */
	now = read(fd, text, sizeof(text) - 1) > 0 ? strtoul(text, NULL, 10) : SYNC_MEM_WANTED;
	close(fd);
	if (now < SYNC_MEM_WANTED)
		log_msg(LOG_CLASS_INFO,
			"net.ipv4.fib_sync_mem is %lu: with %lu a full table is loaded faster, and a "
			"failover "
			"meanwhile has "
			"less to wait for",
			now, SYNC_MEM_WANTED);
}

static void probe(struct fib *f)
{
	if (!f->nh.objects)
		log_msg(LOG_CLASS_WARNING, "This kernel has no nexthop objects: routes are installed one by "
					   "one and fail over one by one");
	else if (!f->nh.resilient)
		log_msg(LOG_CLASS_WARNING, "This kernel has no resilient nexthop groups: a lost neighbour's "
					   "groups are rewritten one by one");
}

static void open_redirect(struct fib *f)
{
	const char *where;
	int rc;

	if (f->o.no_redirect || !f->nh.objects)
		return;
	rc = redirect_open(&f->redirect, &where);
	if (rc < 0)
		log_msg(LOG_CLASS_INFO,
			"This kernel does not let us redirect packets of lost neighbours (BPF %s: %s): their "
			"loss is "
			"written object by object",
			where, strerror(-rc));
}

static void release(struct fib *f)
{
	redirect_close(f->redirect);
	batch_close(&f->ctl);
	batch_close(&f->writer);
	links_exit(&f->links);
	if (f->ask)
		nl_socket_free(f->ask);
	if (f->loop)
		loop_join_destroy(f->loop);
	free(f->infos);
	free(f);
}

/* What it writes is what packets wait for, and it works for all that fill its queues: it must not queue for a
 * core behind them. And while it holds the kernel's lock, a failover waits until it has got a core again. */
static void prefer(void *arg)
{
	(void)arg;
	if (setpriority(PRIO_PROCESS, 0, NICE) < 0)
		log_msg(LOG_CLASS_DEBUG, "FIB: no priority: %s", strerror(errno));
}

static void start_in_loop(void *arg)
{
	struct fib *f = arg;
	struct ev_loop *ev = loop_ev(f->loop);

	ev_async_init(&f->wake, on_wake);
	f->wake.data = f;
	ev_async_start(ev, &f->wake);
	ev_idle_init(&f->work, on_work);
	ev_set_priority(&f->work, EV_MAXPRI); /* a busy monitor must not starve it */
	f->work.data = f;
	ev_timer_init(&f->tick, on_tick, 1.0, 1.0);
	f->tick.data = f;
	ev_timer_init(&f->calm, on_calm_over, 0, 0);
	f->calm.data = f;
	ev_timer_start(ev, &f->tick);
	f->hold_until = ev_now(ev) + HOLD_S;
	if (monitor_open(f) < 0)
		log_msg(LOG_CLASS_ERROR,
			"FIB: cannot hear the kernel's notifications: only audits will see changes");
}

struct fib *fib_create(const struct fib_options *o)
{
	const struct route_info none = {0};
	struct fib *f = mem_zero(sizeof(*f));
	int rc;

	f->o = *o;
	f->ifaces = o->ifaces ? o->ifaces : ifaces_default();
	f->ctl.fd = f->writer.fd = f->links.batch.fd = -1;
	f->start_ns = clock_now_ns();
	f->recovered = !o->recover;
	CDS_INIT_LIST_HEAD(&f->channels);
	route_info_intern(f, &none);
	rc = links_init(&f->links, o->rtproto);
	if (rc == 0)
		rc = batch_open(&f->ctl, WRITER_BUFFER);
	if (rc == 0)
		rc = batch_open(&f->writer, WRITER_BUFFER);
	f->ctl.urgent = f->writer.urgent = &f->links.urgent;
	if (rc == 0)
		rc = netlink_open(&f->ask, false);
	if (rc == 0)
		rc = nexthops_init(f);
	if (rc == 0)
		rc = nexthops_probe(f);
	if (rc == 0 && !(f->loop = loop_create("fib")))
		rc = -ENOMEM;
	if (rc == 0 && f->nh.objects)
		rc = nexthops_take_stock(f, o->recover);
	if (rc < 0) {
		release(f);
		errno = -rc;
		return NULL;
	}
	open_redirect(f);
	set_compat_mode();
	look_at_sync_mem();
	probe(f);
	f->audit = audit_create(f);
	start_in_loop(f);
	loop_call(f->loop, prefer, f);
	rc = loop_start(f->loop);
	if (rc < 0) {
		audit_destroy(f->audit);
		release(f);
		errno = -rc;
		return NULL;
	}
	if (f->ifaces)
		ifaces_subscribe(f->ifaces, on_iface, f);
	if (f->o.nht)
		nht_subscribe(f->o.nht, on_resolution, f);
	return f;
}

struct stop {
	struct fib *f;
	bool keep;
};

static void stop_in_loop(void *arg)
{
	struct stop *s = arg;
	struct fib *f = s->f;
	struct ev_loop *ev = loop_ev(f->loop);

	route_flush(f);
	audit_destroy(f->audit);
	monitor_close(f);
	ev_async_stop(ev, &f->wake);
	ev_idle_stop(ev, &f->work);
	ev_timer_stop(ev, &f->tick);
	ev_timer_stop(ev, &f->calm);
	nexthops_exit(f, s->keep);
}

static void nothing(struct rib_shard *s, void *arg)
{
	(void)s, (void)arg;
}

static void recovery_done(void *arg)
{
	struct fib *f = arg;

	f->deferred = false;
	if (f->recovered)
		return;
	f->recovery_done = true;
	fib_wake(f);
}

static void defer(void *arg)
{
	struct fib *f = arg;

	if (f->recovered || f->recovery_done)
		return;
	f->deferred = true;
	f->defer_until = ev_now(loop_ev(f->loop)) + DEFER_S;
}

void fib_defer(struct fib *f)
{
	loop_call(f->loop, defer, f);
}

void fib_recovery_done(struct fib *f)
{
	/* What was learnt before this is in the queues when it returns. */
	rib_call_all(f->o.rib, nothing, NULL);
	loop_call(f->loop, recovery_done, f);
}

/* Channels have been closed by now: only objects and groups are left. */
void fib_destroy(struct fib *f, bool keep)
{
	struct stop s = {f, keep};

	if (!f)
		return;
	/* A shard that has posted its last call to us may still be inside posting it. */
	rib_call_all(f->o.rib, nothing, NULL);
	if (f->ifaces)
		ifaces_unsubscribe(f->ifaces, on_iface, f);
	if (f->o.nht)
		nht_unsubscribe(f->o.nht, on_resolution, f);
	loop_call_sync(f->loop, stop_in_loop, &s);
	release(f);
}

/* ---- seen by `show failover` ---- */

struct groups_query {
	struct fib *f;
	struct fib_group_view *all;
	unsigned n;
};

/* Each next hop once: the stand-by at the end repeats one. */
static void view_group(const struct group *g, struct fib_group_view *v)
{
	*v = (struct fib_group_view){
		.id = g->id, .family = g->key->family, .retired = g->retired, .prefixes = g->refs};
	for (unsigned i = 0; i < g->n_members; i++) {
		const struct member *m = &g->member[i];
		const struct hop *h = m->obj ? &m->obj->hop : &m->hop;
		bool known = false;
		for (unsigned k = 0; k < i && !known; k++) {
			const struct hop *o = g->member[k].obj ? &g->member[k].obj->hop : &g->member[k].hop;
			known = o->ifindex == h->ifindex && ipaddr_equal(&o->gw, &h->gw);
		}
		if (known)
			continue;
		if (v->n_members < sizeof(v->member) / sizeof(*v->member))
			v->member[v->n_members] =
				(struct fib_group_member){h->gw, h->ifindex, m->weight, m->primary};
		v->n_members++;
	}
}

static int by_prefixes(const void *a, const void *b)
{
	const struct fib_group_view *x = a, *y = b;

	if (x->prefixes != y->prefixes)
		return x->prefixes > y->prefixes ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void list_groups(void *arg)
{
	struct groups_query *q = arg;

	q->all = mem_grow(NULL, q->f->nh.n_groups * sizeof(*q->all));
	for (uint32_t i = GROUP_INDEX_PROHIBIT + 1; i < q->f->nh.n_groups; i++) {
		const struct group *g = q->f->nh.groups[i];
		if (g && g->key && g->refs)
			view_group(g, &q->all[q->n++]);
	}
}

unsigned fib_groups(struct fib *f, struct fib_group_view *out, unsigned max)
{
	struct groups_query q = {.f = f};

	loop_call_sync(f->loop, list_groups, &q);
	qsort(q.all, q.n, sizeof(*q.all), by_prefixes);
	if (q.n < max)
		max = q.n;
	memcpy(out, q.all, max * sizeof(*out));
	free(q.all);
	return q.n;
}

struct plans_query {
	struct fib *f;
	struct fib_plan_view *out;
	unsigned n, max;
};

static void list_plans(void *arg)
{
	struct plans_query *q = arg;

	for (unsigned b = 0; b < LINK_BUCKETS; b++)
		for (struct link *k = q->f->links.bucket[b]; k; k = k->next) {
			struct link_use *u;
			struct fib_plan_view v = {
				.addr = k->addr, .ifindex = k->ifindex, .link_up = !atomic_load(&k->down)};
			cds_list_for_each_entry(u, &k->uses, node)
			{
				v.groups += atomic_load_explicit(&u->obj->groups, memory_order_relaxed);
				v.prefixes += atomic_load_explicit(&u->obj->prefixes, memory_order_relaxed);
			}
			if (q->n < q->max)
				q->out[q->n] = v;
			q->n++;
		}
}

unsigned fib_plans(struct fib *f, struct fib_plan_view *out, unsigned max)
{
	struct plans_query q = {f, out, 0, max};

	loop_call_sync(f->loop, list_plans, &q);
	return q.n < max ? q.n : max;
}
