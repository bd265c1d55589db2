/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/fib/audit.h"
#include "controlplane/fib/learn.h"
#include "controlplane/fib/mem.h"
#include "shared/clock.h"
#include "shared/hash.h"
#include "shared/log.h"
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>

#define CHUNK (128 * 1024)
#define SLICE 20000 /* slots of a route table */

struct waiter {
	struct waiter *next;
	struct fib_audit result;
	bool running, done;
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

enum phase { IDLE, DUMP, PASS };

#define WRITTEN_BITS 65536

struct audit {
	struct fib *f;
	enum phase phase;
	struct fib_channel *ch; /* being compared */
	struct nl_sock *sock;
	ev_io io;
	char *buf;
	uint32_t seq, at; /* slot */
	bool disturbed;
	/* Prefixes written while the piece that is being read, and the one before, were made: the kernel is
	 * one ahead. */
	uint64_t written[2][WRITTEN_BITS / 64];
	unsigned generation;
	struct fib_audit sum;
	struct waiter *waiters;
};

struct audit *audit_create(struct fib *f)
{
	struct audit *a = mem_zero(sizeof(*a));

	a->f = f;
	a->buf = mem_grow(NULL, CHUNK);
	return a;
}

static uint64_t repaired_ever(const struct fib *f)
{
	const struct fib_channel *ch;
	uint64_t n = f->nh.repaired;

	cds_list_for_each_entry(ch, &f->channels, node) n +=
		atomic_load_explicit(&ch->repaired, memory_order_relaxed);
	return n;
}

static void wake(struct audit *a, struct waiter *w)
{
	pthread_mutex_lock(&w->lock);
	w->result = a->sum;
	w->result.repaired_ever = repaired_ever(a->f);
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static void close_dump(struct audit *a)
{
	if (!a->sock)
		return;
	ev_io_stop(loop_ev(a->f->loop), &a->io);
	nl_socket_free(a->sock);
	a->sock = NULL;
}

void audit_destroy(struct audit *a)
{
	close_dump(a);
	while (a->waiters) {
		struct waiter *w = a->waiters;
		a->waiters = w->next;
		wake(a, w);
	}
	free(a->buf);
	free(a);
}

bool audit_running(const struct audit *a)
{
	return a->phase != IDLE;
}

static void finish(struct audit *a)
{
	struct waiter **at = &a->waiters;

	a->phase = IDLE;
	a->ch = NULL;
	if (a->sum.repaired)
		log_msg(LOG_CLASS_WARNING,
			"FIB: audit of %llu routes: %llu missing, %llu wrong, %llu of ours that nobody "
			"wants; repaired",
			(unsigned long long)a->sum.checked, (unsigned long long)a->sum.missing,
			(unsigned long long)a->sum.wrong, (unsigned long long)a->sum.alien);
	while (*at) {
		struct waiter *w = *at;
		if (w->running) {
			*at = w->next;
			wake(a, w);
		} else {
			at = &w->next;
		}
	}
	fib_wake(a->f); /* others may wait */
}

/* ---- what we write meanwhile ---- */

static uint32_t bit_of(const struct prefix *p)
{
	return (uint32_t)hash_prefix(p, 1) % WRITTEN_BITS;
}

void audit_written(struct audit *a, const struct prefix *p)
{
	uint32_t b = bit_of(p);

	if (a && a->phase == DUMP)
		a->written[a->generation][b / 64] |= UINT64_C(1) << b % 64;
}

static bool written_lately(const struct audit *a, const struct prefix *p)
{
	uint32_t b = bit_of(p);

	return ((a->written[0][b / 64] | a->written[1][b / 64]) >> b % 64) & 1;
}

void audit_not_missing(struct audit *a)
{
	if (a->phase != PASS || !a->sum.missing)
		return;
	a->sum.missing--;
	a->sum.repaired--;
}

/* ---- comparing ---- */

static bool same_hops(const struct group *g, const struct kernel_route *k)
{
	if (g->n_members != k->n_hops)
		return false;
	for (unsigned i = 0; i < k->n_hops; i++)
		if (g->member[i].hop.ifindex != k->hops[i].ifindex ||
			!ipaddr_equal(&g->member[i].hop.gw, &k->hops[i].gw))
			return false;
	return true;
}

bool audit_same(struct fib_channel *ch, const struct route *r, const struct kernel_route *k)
{
	const struct group *g = group_at(ch->f, r->group);
	const struct route_info *i = &ch->f->infos[r->info];
	static const uint8_t types[] = {RTN_UNICAST, RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT};

	if (i->metric != k->info.metric || !ipaddr_equal(&i->prefsrc, &k->info.prefsrc) ||
		memcmp(i->metrics, k->info.metrics, sizeof(i->metrics)) != 0)
		return false;
	if (g->id || !g->key)
		return k->nhid == g->id && k->type == RTN_UNICAST;
	if (k->nhid || k->type != types[g->key->kind])
		return false;
	return g->key->kind != GROUP_UNICAST || same_hops(g, k);
}

static void compare(struct audit *a, const struct kernel_route *k)
{
	struct fib_channel *ch = a->ch;
	struct route *r = table_find(&ch->routes, &k->prefix);

	a->sum.checked++;
	if (written_lately(a, &k->prefix)) {
		if (r)
			r->flags = (uint8_t)((r->flags & ~ROUTE_SEEN) | ch->routes.seen);
		return;
	}
	if (!r || ch->f->infos[r->info].metric != k->info.metric) {
		a->sum.alien++;
		a->sum.repaired++;
		route_remove_unknown(ch, &k->prefix, k->info.metric);
		return;
	}
	if ((r->flags & ROUTE_IN_KERNEL) && audit_same(ch, r, k)) {
		r->flags = (uint8_t)((r->flags & ~ROUTE_SEEN) | ch->routes.seen);
		return;
	}
	if (!(r->flags & ROUTE_IN_KERNEL) && !group_usable(group_at(ch->f, r->group))) {
		route_remove_unknown(ch, &k->prefix, k->info.metric);
		return;
	}
	if (!(r->flags & (ROUTE_IN_KERNEL | ROUTE_REFUSED))) {
		/* What it is to replace: the sweep is on its way to it. */
		r->flags |= ROUTE_OLD_THERE;
		route_start_sweep(ch);
		return;
	}
	a->sum.wrong++;
	a->sum.repaired++;
	route_rewrite(ch, r, true);
}

static void take(struct audit *a, const struct nlmsghdr *h)
{
	struct fib_channel *ch = a->ch;
	struct kernel_route k;

	if (!kernel_route_parse(h, &k) || k.table != ch->table_id || k.prefix.family != ch->family ||
		k.cloned)
		return;
	if (k.protocol == ch->f->o.rtproto)
		compare(a, &k);
	else if (ch->learned)
		learned_update(ch->learned, &k);
}

/* ---- the dump ---- */

static void begin_pass(struct audit *a)
{
	close_dump(a);
	if (a->ch->learned && !a->disturbed)
		learned_end(a->ch->learned);
	a->phase = PASS;
	a->at = 0;
	fib_wake(a->f);
}

static void on_readable(struct ev_loop *ev, ev_io *w, int revents)
{
	struct audit *a = w->data;
	ssize_t n = recv(w->fd, a->buf, CHUNK, MSG_DONTWAIT);

	(void)ev, (void)revents;
	a->generation ^= 1;
	memset(a->written[a->generation], 0, sizeof(a->written[0]));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		a->disturbed = true;
		begin_pass(a);
		return;
	}
	int left = (int)n;
	bool done = false;
	for (struct nlmsghdr *h = (struct nlmsghdr *)a->buf; nlmsg_ok(h, left) && !done;
		h = nlmsg_next(h, &left)) {
		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			a->disturbed = true;
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
			int err = nlmsg_datalen(h) >= 4 ? *(int *)nlmsg_data(h) : 0;
			/* A table that does not exist (yet) is empty. */
			if (err < 0 && err != -ENOENT)
				a->disturbed = true;
			done = true;
		} else {
			take(a, h);
		}
	}
	route_flush(a->f);
	if (done)
		begin_pass(a);
}

static bool open_dump(struct audit *a)
{
	struct fib_channel *ch = a->ch;
	struct rtmsg m = {.rtm_family = ch->family == 4 ? AF_INET : AF_INET6,
		.rtm_table = ch->table_id < 256 ? (uint8_t)ch->table_id : RT_TABLE_UNSPEC};
	struct nl_msg *msg;
	int rc;

	if (netlink_open(&a->sock, true) < 0)
		return false;
	if (!ch->learned)
		m.rtm_protocol = a->f->o.rtproto;
	msg = nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP);
	if (!msg)
		return false;
	nlmsg_append(msg, &m, sizeof(m), NLMSG_ALIGNTO);
	nla_put_u32(msg, RTA_TABLE, ch->table_id);
	rc = (int)send(nl_socket_get_fd(a->sock), nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len, 0);
	nlmsg_free(msg);
	if (rc < 0)
		return false;
	ev_io_init(&a->io, on_readable, nl_socket_get_fd(a->sock), EV_READ);
	a->io.data = a;
	ev_io_start(loop_ev(a->f->loop), &a->io);
	return true;
}

static bool usable(const struct fib_channel *ch)
{
	return ch->ready && !ch->closing;
}

/* The channel after prev, or the first. */
static void next_channel(struct audit *a, struct fib_channel *prev)
{
	struct cds_list_head *at = prev ? prev->node.next : a->f->channels.next;

	close_dump(a);
	for (; at != &a->f->channels; at = at->next) {
		struct fib_channel *ch = cds_list_entry(at, struct fib_channel, node);
		if (!usable(ch))
			continue;
		a->ch = ch;
		a->disturbed = false;
		/* What is written from now on carries the new mark, too. */
		ch->routes.seen ^= ROUTE_SEEN;
		ch->next_scan_ns = clock_now_ns() + ch->kernel.scan_time * NS_PER_S;
		if (ch->learned)
			learned_begin(ch->learned);
		a->phase = DUMP;
		memset(a->written, 0, sizeof(a->written));
		if (open_dump(a))
			return;
		close_dump(a);
	}
	finish(a);
}

void audit_start(struct audit *a)
{
	if (audit_running(a))
		return;
	memset(&a->sum, 0, sizeof(a->sum));
	for (struct waiter *w = a->waiters; w; w = w->next)
		w->running = w->running || fib_queues_empty(a->f);
	a->f->resync_wanted = false;
	a->sum.repaired += nexthops_verify(a->f, 0);
	next_channel(a, NULL);
}

bool audit_step(struct audit *a)
{
	struct fib_channel *ch = a->ch;
	unsigned left = SLICE;

	if (a->phase != PASS)
		return false;
	for (; left && a->at <= ch->routes.mask; left--, a->at++) {
		struct route *r = table_at(&ch->routes, a->at);
		if (!r->group)
			continue;
		if ((r->flags & ROUTE_IN_KERNEL) && (r->flags & ROUTE_SEEN) != ch->routes.seen) {
			a->sum.missing++;
			a->sum.repaired++;
			route_rewrite(ch, r, false);
		} else if ((r->flags & ROUTE_REFUSED) && group_usable(group_at(ch->f, r->group))) {
			route_rewrite(ch, r, false);
		}
	}
	route_flush(a->f);
	if (a->at > ch->routes.mask)
		next_channel(a, ch);
	return true;
}

void audit_forget(struct audit *a, struct fib_channel *ch)
{
	if (a->ch == ch && audit_running(a))
		next_channel(a, ch);
}

/* ---- on request ---- */

struct request {
	struct fib *f;
	struct waiter *w;
};

static void enqueue(void *arg)
{
	struct request *r = arg;

	r->w->next = r->f->audit->waiters;
	r->f->audit->waiters = r->w;
	fib_wake(r->f);
}

void audit_drained(struct audit *a)
{
	if (a->waiters && !audit_running(a))
		audit_start(a);
}

int fib_audit(struct fib *f, struct fib_audit *out)
{
	struct waiter w = {0};
	struct request r = {f, &w};

	if (loop_is_current(f->loop))
		return -EDEADLK;
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.cond, NULL);
	loop_call_sync(f->loop, enqueue, &r);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_mutex_destroy(&w.lock);
	pthread_cond_destroy(&w.cond);
	*out = w.result;
	return 0;
}
