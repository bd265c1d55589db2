/* SPDX-License-Identifier: BSD-2-Clause */
/* The link thread's side of failover: see links.h for the argument. */
#include "controlplane/fib/links.h"
#include "controlplane/fib/fib_priv.h"
#include "controlplane/fib/mem.h"
#include "shared/clock.h"
#include "shared/hash.h"
#include "shared/log.h"
#include <errno.h>
#include <linux/nexthop.h>
#include <stdio.h>

#define URGENT_BUFFER (512 * 1024)
/* A failover's line waits this long for what BGP has to add. */
#define LOG_AFTER_NS NS_PER_S

int links_init(struct links *l, uint8_t rtproto)
{
	pthread_mutexattr_t inherit;
	int rc;

	memset(l, 0, sizeof(*l));
	l->rtproto = rtproto;
	/* The link thread has real-time priority; who holds the lock it waits for gets it, too. */
	pthread_mutexattr_init(&inherit);
	pthread_mutexattr_setprotocol(&inherit, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&l->lock, &inherit);
	pthread_mutex_init(&l->history_lock, &inherit);
	pthread_mutexattr_destroy(&inherit);
	rc = batch_open(&l->batch, URGENT_BUFFER);
	if (rc == 0)
		batch_touch(&l->batch);
	return rc;
}

static void plan_free(struct rcu_head *head)
{
	rcu_callback_begin(head);
	free(caa_container_of(head, struct plan, rcu));
}

void links_exit(struct links *l)
{
	for (unsigned b = 0; b < LINK_BUCKETS; b++)
		while (l->bucket[b]) {
			struct link *k = l->bucket[b];
			l->bucket[b] = k->next;
			if (k->plan)
				call_rcu(&k->plan->rcu, plan_free);
			free(k);
		}
	batch_close(&l->batch);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->history_lock);
}

static unsigned bucket_of(const struct ipaddr *addr)
{
	return (unsigned)(hash_ipaddr(addr, 0) % LINK_BUCKETS);
}

struct link *links_find(struct links *l, const struct ipaddr *addr, uint32_t ifindex)
{
	struct link *k = rcu_dereference(l->bucket[bucket_of(addr)]);

	while (k && !(k->ifindex == ifindex && ipaddr_equal(&k->addr, addr)))
		k = rcu_dereference(k->next);
	return k;
}

static struct link *find_or_make(struct links *l, const struct ipaddr *addr, uint32_t ifindex)
{
	struct link *k = links_find(l, addr, ifindex);
	unsigned b = bucket_of(addr);

	if (k)
		return k;
	pthread_mutex_lock(&l->lock);
	k = links_find(l, addr, ifindex);
	if (!k) {
		k = mem_zero(sizeof(*k));
		k->addr = *addr;
		k->ifindex = ifindex;
		CDS_INIT_LIST_HEAD(&k->uses);
		k->next = l->bucket[b];
		rcu_set_pointer(&l->bucket[b], k);
	}
	pthread_mutex_unlock(&l->lock);
	return k;
}

void links_of_hop(struct links *l, const struct hop *h, struct link *out[HOP_LINKS])
{
	out[0] = out[1] = out[2] = NULL;
	if (!ipaddr_is_zero(&h->gw)) {
		out[0] = links_find(l, &h->gw, h->ifindex);
		out[1] = links_find(l, &h->gw, 0);
	}
	if (!ipaddr_is_zero(&h->owner) && !ipaddr_equal(&h->owner, &h->gw))
		out[2] = links_find(l, &h->owner, 0);
}

bool hop_dead(struct links *l, const struct hop *h, uint64_t epoch)
{
	struct link *k[HOP_LINKS];

	links_of_hop(l, h, k);
	for (unsigned i = 0; i < HOP_LINKS; i++)
		if (k[i] && (atomic_load(&k[i]->down) || k[i]->down_epoch > epoch))
			return true;
	return false;
}

const char *link_text(const struct ipaddr *addr, uint32_t ifindex, char *buf, size_t size)
{
	char a[IPADDR_STRLEN];

	if (ifindex && ipaddr_is_zero(addr))
		snprintf(buf, size, "%s", ifaces_name(ifindex));
	else if (ifindex)
		snprintf(buf, size, "%s on %s", ipaddr_format(addr, a), ifaces_name(ifindex));
	else
		snprintf(buf, size, "%s", ipaddr_format(addr, a));
	return buf;
}

/* ---- writing ---- */

/* One object of a lost link. */
struct order {
	unsigned event; /* in the caller's array */
	const struct plan_entry *e;
	bool rewrite, refused;
};

struct urgent {
	struct links *l;
	struct redirect *redirect;
	struct order *order;
	unsigned n, cap, first; /* first: number of the first order in the batch that is being filled */
	struct fib_failover_view *view; /* by event */
};

static bool substitute_alive(const struct plan_entry *e)
{
	if (!e->has_substitute)
		return false;
	for (unsigned i = 0; i < HOP_LINKS; i++)
		if (e->substitute_link[i] &&
			(atomic_load(&e->substitute_link[i]->down) ||
				atomic_load(&e->substitute_link[i]->downs) != e->substitute_downs[i]))
			return false;
	return true;
}

/* NLM_F_REPLACE alone: an object that the kernel has removed meanwhile must not come back. */
static void put_rewrite(struct links *l, const struct plan_entry *e)
{
	const struct hop *s = &e->substitute;
	struct batch *b = &l->batch;
	struct nhmsg *m = NLMSG_DATA(batch_add(b, RTM_NEWNEXTHOP, NLM_F_REPLACE, sizeof(*m)));

	m->nh_family = hop_family(s, e->family);
	m->nh_protocol = l->rtproto;
	m->nh_flags = s->onlink ? RTNH_F_ONLINK : 0;
	batch_put_u32(b, NHA_ID, e->id);
	if (!ipaddr_is_zero(&s->gw))
		batch_put_addr(b, NHA_GATEWAY, &s->gw);
	batch_put_u32(b, NHA_OIF, s->ifindex);
}

static void put_delete(struct links *l, const struct plan_entry *e)
{
	batch_add(&l->batch, RTM_DELNEXTHOP, 0, sizeof(struct nhmsg));
	batch_put_u32(&l->batch, NHA_ID, e->id);
}

static void order_failed(struct urgent *u, struct order *o, int err)
{
	if (o->rewrite)
		o->refused = true;
	else if (err != -ENOENT && err != -ESRCH && !u->view[o->event].error)
		u->view[o->event].error = -err; /* that it is gone already is what we want */
}

static void on_refused(void *ctx, unsigned index, int err, const char *text)
{
	struct urgent *u = ctx;

	(void)text;
	order_failed(u, &u->order[u->first + index], err);
}

/* Orders from `first` up to (not including) end are in the batch. */
static void send_orders(struct urgent *u, unsigned end)
{
	int rc = batch_flush(&u->l->batch, on_refused, u);

	if (rc < 0)
		for (unsigned i = u->first; i < end; i++)
			order_failed(u, &u->order[i], rc);
	u->first = end;
}

static void write_orders(struct urgent *u)
{
	u->first = 0;
	for (unsigned i = 0; i < u->n; i++) {
		const struct order *o = &u->order[i];
		if (!batch_room(&u->l->batch, BATCH_MESSAGE_MAX))
			send_orders(u, i);
		if (o->rewrite)
			put_rewrite(u->l, o->e);
		else
			put_delete(u->l, o->e);
	}
	send_orders(u, u->n);
}

/* A rewrite that the kernel refused (the substitute's interface went, too): the object is deleted instead. */
static void delete_refused(struct urgent *u)
{
	unsigned n = 0;

	for (unsigned i = 0; i < u->n; i++)
		if (u->order[i].refused) {
			u->order[n] = u->order[i];
			u->order[n].rewrite = u->order[n].refused = false;
			n++;
		}
	u->n = n;
	if (n)
		write_orders(u);
}

/* A rewrite saves the kernel's grace period, 70 us an object; but that of an IPv6 object walks all routes
 * that are on it. */
#define IPV6_REWRITE_MAX 500

static bool rewrite_is_cheaper(const struct plan_entry *e)
{
	return e->family == 4 ||
	       atomic_load_explicit(&e->obj->prefixes, memory_order_relaxed) <= IPV6_REWRITE_MAX;
}

static void take_plan(struct urgent *u, unsigned event, const struct link *k)
{
	const struct plan *p = rcu_dereference(k->plan);
	struct fib_failover_view *v = &u->view[event];

	for (unsigned i = 0; p && i < p->n; i++) {
		const struct plan_entry *e = &p->e[i];
		if (u->n == u->cap) {
			u->cap = u->cap ? u->cap * 2 : 64;
			u->order = mem_grow(u->order, u->cap * sizeof(*u->order));
		}
		u->order[u->n++] = (struct order){
			.event = event, .e = e, .rewrite = rewrite_is_cheaper(e) && substitute_alive(e)};
		if (e->slot) {
			redirect_lost(u->redirect, e->slot);
			v->redirected += atomic_load_explicit(&e->obj->prefixes, memory_order_relaxed);
		}
		v->groups += atomic_load_explicit(&e->obj->groups, memory_order_relaxed);
		v->prefixes += atomic_load_explicit(&e->obj->prefixes, memory_order_relaxed);
	}
}

/* A deletion takes a grace period, which on a busy machine is tens of milliseconds; nobody else has to wait
 * for it. */
static void rewrites_first(struct urgent *u)
{
	unsigned n = 0;

	for (unsigned i = 0; i < u->n; i++)
		if (u->order[i].rewrite) {
			struct order o = u->order[n];

			u->order[n++] = u->order[i];
			u->order[i] = o;
		}
}

/* ---- events ---- */

static uint8_t down_bit(const char *reason)
{
	if (reason && !strcmp(reason, "bfd"))
		return LINK_DOWN_BFD;
	if (reason && !strcmp(reason, LINK_REASON_NEIGHBOUR))
		return LINK_DOWN_NEIGHBOUR;
	if (reason && !strcmp(reason, FIB_LINK_REASON_ESTABLISHED))
		return LINK_DOWN_BFD | LINK_DOWN_NEIGHBOUR; /* only ever up: TCP has just crossed the link */
	return 0;
}

void links_changed(struct fib *f)
{
	nexthops_links_changed(f);
	nexthops_publish(f);
	fib_restore_later(f);
	fib_wake(f);
	links_log_history(&f->links);
}

static void changed(void *arg)
{
	links_changed(arg);
}

static void lost(void *arg)
{
	fib_keep_calm(arg);
}

/* The event counter last: who sees it sees the rest. */
static void mark(struct links *l, struct link *k, bool up, uint8_t bit)
{
	if (up)
		atomic_fetch_and(&k->down, (uint8_t)~bit);
	else
		atomic_fetch_or(&k->down, bit);
	if (!up)
		atomic_fetch_add(&k->downs, 1);
	atomic_fetch_add(&k->changes, 1);
	atomic_fetch_add(&l->events, 1);
}

/* Calls fn for the links that an event is about: the one it names, and without an interface those on any. */
static void each_named(struct urgent *u, unsigned event, const struct fib_link *e,
	void (*fn)(struct urgent *u, unsigned event, struct link *k, const struct fib_link *e))
{
	fn(u, event, find_or_make(u->l, &e->addr, e->ifindex), e);
	if (e->ifindex)
		return;
	for (struct link *k = rcu_dereference(u->l->bucket[bucket_of(&e->addr)]); k;
		k = rcu_dereference(k->next))
		if (k->ifindex && ipaddr_equal(&k->addr, &e->addr))
			fn(u, event, k, e);
}

static void mark_named(struct urgent *u, unsigned event, struct link *k, const struct fib_link *e)
{
	(void)event;
	mark(u->l, k, e->up, down_bit(e->reason));
}

static void take_named(struct urgent *u, unsigned event, struct link *k, const struct fib_link *e)
{
	(void)e;
	take_plan(u, event, k);
}

static void remember(struct links *l, const struct fib_failover_view *v)
{
	pthread_mutex_lock(&l->history_lock);
	l->history[l->history_next] = (struct history_entry){.v = *v, .used = true};
	l->history_next = (l->history_next + 1) % HISTORY;
	pthread_mutex_unlock(&l->history_lock);
}

void fib_link_event(struct fib *f, const struct fib_link *events, unsigned n)
{
	struct links *l = &f->links;
	struct urgent u = {.l = l, .redirect = f->redirect, .view = mem_zero(n * sizeof(*u.view))};
	uint64_t found, sent, acked;
	bool wrote, loss = false;

	for (unsigned i = 0; i < n; i++)
		loss = loss || !events[i].up;
	if (loss)
		atomic_fetch_add(&l->urgent, 1);
	rcu_read_lock();
	/* L1, for all of them first: none must become the substitute of another. */
	for (unsigned i = 0; i < n; i++)
		each_named(&u, i, &events[i], mark_named);
	/* L2. Redirected is who can be by now, whoever holds the socket. */
	for (unsigned i = 0; i < n; i++)
		if (!events[i].up)
			each_named(&u, i, &events[i], take_named);
	rewrites_first(&u);
	found = clock_now_ns();
	pthread_mutex_lock(&l->lock);
	sent = acked = 0;
	if (u.n) {
		sent = found; /* the kernel works a message off inside send() */
		write_orders(&u);
		delete_refused(&u);
		acked = clock_now_ns();
	}
	pthread_mutex_unlock(&l->lock);
	rcu_read_unlock();
	if (loss)
		atomic_fetch_sub(&l->urgent, 1);

	for (unsigned i = 0; i < n; i++) {
		struct fib_failover_view *v = &u.view[i];
		if (events[i].t) {
			events[i].t->plan_found = found;
			events[i].t->netlink_sent = sent;
			events[i].t->netlink_acked = acked;
			v->t = *events[i].t;
		} else {
			v->t = (struct bfd_stamps){
				.plan_found = found, .netlink_sent = sent, .netlink_acked = acked};
		}
		v->redirected_ns = v->redirected ? found : 0;
		v->addr = events[i].addr;
		v->ifindex = events[i].ifindex;
		v->up = events[i].up;
		v->wall_ns = clock_wall_ns();
		snprintf(v->reason, sizeof(v->reason), "%s", events[i].reason ? events[i].reason : "");
		remember(l, v);
	}
	wrote = sent != 0;
	free(u.order);
	free(u.view);
	loop_call(f->loop, wrote ? lost : changed, f);
}

/* ---- history ---- */

void links_note_interface(struct links *l, uint32_t ifindex, const char *reason, uint64_t heard_ns,
	unsigned groups, uint64_t prefixes)
{
	struct fib_failover_view v = {.ifindex = ifindex,
		.groups = groups,
		.prefixes = prefixes,
		.wall_ns = clock_wall_ns(),
		.t = {.detected = heard_ns, .plan_found = clock_now_ns()}};

	snprintf(v.reason, sizeof(v.reason), "%s", reason);
	remember(l, &v);
}

void fib_link_stage(struct fib *f, const struct ipaddr *addr, uint32_t ifindex, uint64_t bgp_told_ns,
	uint64_t updates_out_ns)
{
	struct links *l = &f->links;

	pthread_mutex_lock(&l->history_lock);
	for (unsigned i = 0; i < HISTORY; i++) {
		struct history_entry *e = &l->history[(l->history_next + HISTORY - 1 - i) % HISTORY];
		if (!e->used || !ipaddr_equal(&e->v.addr, addr) ||
			(e->v.ifindex && ifindex && e->v.ifindex != ifindex))
			continue;
		if (bgp_told_ns && !e->v.bgp_told_ns)
			e->v.bgp_told_ns = bgp_told_ns;
		if (updates_out_ns)
			e->v.updates_out_ns = updates_out_ns;
		break;
	}
	pthread_mutex_unlock(&l->history_lock);
}

unsigned fib_failovers(struct fib *f, struct fib_failover_view *out, unsigned max)
{
	struct links *l = &f->links;
	unsigned n = 0;

	pthread_mutex_lock(&l->history_lock);
	for (unsigned i = 0; i < HISTORY && n < max; i++) {
		const struct history_entry *e = &l->history[(l->history_next + HISTORY - 1 - i) % HISTORY];
		if (e->used)
			out[n++] = e->v;
	}
	pthread_mutex_unlock(&l->history_lock);
	return n;
}

/* The moment that all stages are counted from. */
static uint64_t origin(const struct fib_failover_view *v)
{
	return v->t.detected ? v->t.detected : v->t.ring_read ? v->t.ring_read : v->t.plan_found;
}

static void add_stage(char *buf, size_t size, const char *name, uint64_t t, uint64_t zero)
{
	size_t at = strlen(buf);
	double us = t >= zero ? (double)(t - zero) / 1e3 : -((double)(zero - t) / 1e3);

	if (t)
		snprintf(buf + at, size - at, ", %s %+.0f us", name, us);
}

static void log_failover(const struct fib_failover_view *v)
{
	char where[IPADDR_STRLEN + IF_NAMESIZE + 8], stages[400] = "", failed[80] = "";
	uint64_t zero = origin(v);

	if (v->up) {
		log_msg(LOG_CLASS_INFO, "Failover: %s is back (%s)",
			link_text(&v->addr, v->ifindex, where, sizeof(where)), v->reason);
		return;
	}
	add_stage(stages, sizeof(stages), "last packet", v->t.last_rx, zero);
	add_stage(stages, sizeof(stages), "published", v->t.published, zero);
	add_stage(stages, sizeof(stages), "read", v->t.ring_read, zero);
	add_stage(stages, sizeof(stages), "plan", v->t.plan_found, zero);
	add_stage(stages, sizeof(stages), "redirected", v->redirected_ns, zero);
	add_stage(stages, sizeof(stages), "sent", v->t.netlink_sent, zero);
	add_stage(stages, sizeof(stages), "acknowledged", v->t.netlink_acked, zero);
	add_stage(stages, sizeof(stages), "BGP told", v->bgp_told_ns, zero);
	add_stage(stages, sizeof(stages), "updates out", v->updates_out_ns, zero);
	if (v->error)
		snprintf(failed, sizeof(failed), ", kernel refused: %s", strerror(v->error));
	log_msg(v->error ? LOG_CLASS_ERROR : LOG_CLASS_INFO,
		"Failover: %s lost (%s): %u groups, %llu prefixes%s%s",
		link_text(&v->addr, v->ifindex, where, sizeof(where)), v->reason, v->groups,
		(unsigned long long)v->prefixes, failed, stages);
}

void links_log_history(struct links *l)
{
	uint64_t now = clock_now_ns();

	for (unsigned i = 0; i < HISTORY; i++) {
		struct fib_failover_view v = {0};
		bool due = false;
		pthread_mutex_lock(&l->history_lock);
		struct history_entry *e = &l->history[(l->history_next + i) % HISTORY];
		if (e->used && !e->logged &&
			(e->v.up || e->v.updates_out_ns || now > e->v.t.plan_found + LOG_AFTER_NS)) {
			e->logged = due = true;
			v = e->v;
		}
		pthread_mutex_unlock(&l->history_lock);
		if (due)
			log_failover(&v);
	}
}
