/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interfaces and addresses, kept from rtnetlink.
 *
 * The monitor thread is the only writer. It keeps the present interfaces in
 * `now`, sorted by index; each struct iface is immutable and reference counted,
 * a change replaces it. After everything that was waiting on the socket has
 * been taken in, one snapshot is built and published with RCU, then the
 * subscribers hear which interfaces changed. So a reader sees either all of a
 * burst or nothing, and whoever is told finds the new state.
 *
 * The snapshot has what look-ups want: interfaces by index and by name,
 * connected networks by falling prefix length, local addresses in order.
 *
 * Messages lost (ENOBUFS) or a dump that was disturbed: everything is read
 * again and compared with what we had.
 */
#include "controlplane/fib/fib.h"
#include "controlplane/fib/mem.h"
#include "controlplane/fib/netlink.h"
#include "shared/log.h"
#include "shared/rcu.h"
#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RESCAN_RETRY_MS 1000
#define MONITOR_RCVBUF (4 << 20)

struct iface {
	_Atomic unsigned refs;
	uint32_t ifindex, flags, mtu, master;
	bool ethernet;
	char name[IF_NAMESIZE];
	unsigned n_addrs;
	struct iface_addr addrs[];
};

struct connected {
	struct prefix prefix;
	struct ipaddr local;
	const struct iface *iface;
};

struct snapshot {
	struct rcu_head rcu;
	unsigned n, n_connected, n_locals;
	struct iface **by_index; /* holds a reference on each */
	struct iface **by_name;
	struct connected *connected; /* longest prefix first, then by address, then up before down */
	struct ipaddr *locals;       /* sorted */
};

struct subscriber {
	struct subscriber *next;
	void (*changed)(void *ctx, uint32_t ifindex);
	void *ctx;
};

struct ifaces {
	struct snapshot *snap; /* RCU */
	pthread_t thread;
	int stop_fd;
	struct nl_sock *monitor, *ask;
	/* monitor thread only */
	struct iface **now;
	unsigned n_now, cap_now;
	uint32_t *changed;
	unsigned n_changed, cap_changed;
	bool rescan;
	pthread_mutex_t lock; /* subscribers */
	struct subscriber *subscribers;
};

static struct ifaces *last_created; /* RCU: ifaces_name() */

static void iface_put(struct iface *f)
{
	if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
		free(f);
}

static bool iface_is_up(const struct iface *f)
{
	return (f->flags & IFF_UP) && (f->flags & IFF_LOWER_UP);
}

/* ---- building, in the monitor's thread ---- */

static unsigned position(const struct ifaces *i, uint32_t ifindex)
{
	unsigned lo = 0, hi = i->n_now;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		if (i->now[mid]->ifindex < ifindex)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct iface *find_now(const struct ifaces *i, uint32_t ifindex)
{
	unsigned at = position(i, ifindex);

	return at < i->n_now && i->now[at]->ifindex == ifindex ? i->now[at] : NULL;
}

static void note_changed(struct ifaces *i, uint32_t ifindex)
{
	for (unsigned k = 0; k < i->n_changed; k++)
		if (i->changed[k] == ifindex)
			return;
	if (i->n_changed == i->cap_changed) {
		i->cap_changed = i->cap_changed ? i->cap_changed * 2 : 16;
		i->changed = mem_grow(i->changed, i->cap_changed * sizeof(*i->changed));
	}
	i->changed[i->n_changed++] = ifindex;
}

/* A private copy of f with room for n addresses; the first ones are copied. */
static struct iface *iface_copy(const struct iface *f, unsigned n)
{
	struct iface *c = mem_grow(NULL, sizeof(*c) + n * sizeof(c->addrs[0]));
	unsigned keep = f->n_addrs < n ? f->n_addrs : n;

	memcpy(c, f, sizeof(*f));
	memcpy(c->addrs, f->addrs, keep * sizeof(c->addrs[0]));
	c->n_addrs = keep;
	atomic_init(&c->refs, 1);
	return c;
}

static bool iface_same(const struct iface *a, const struct iface *b)
{
	return a->flags == b->flags && a->mtu == b->mtu && a->master == b->master &&
	       a->ethernet == b->ethernet && !strcmp(a->name, b->name) && a->n_addrs == b->n_addrs &&
	       !memcmp(a->addrs, b->addrs, a->n_addrs * sizeof(a->addrs[0]));
}

/* Takes f over: replaces the interface of the same index, or adds it. */
static void put_now(struct ifaces *i, struct iface *f)
{
	unsigned at = position(i, f->ifindex);

	if (at < i->n_now && i->now[at]->ifindex == f->ifindex) {
		if (iface_same(i->now[at], f)) {
			iface_put(f);
			return;
		}
		iface_put(i->now[at]);
		i->now[at] = f;
	} else {
		if (i->n_now == i->cap_now) {
			i->cap_now = i->cap_now ? i->cap_now * 2 : 16;
			i->now = mem_grow(i->now, i->cap_now * sizeof(*i->now));
		}
		memmove(&i->now[at + 1], &i->now[at], (i->n_now - at) * sizeof(*i->now));
		i->now[at] = f;
		i->n_now++;
	}
	note_changed(i, f->ifindex);
}

static void remove_now(struct ifaces *i, uint32_t ifindex)
{
	unsigned at = position(i, ifindex);

	if (at >= i->n_now || i->now[at]->ifindex != ifindex)
		return;
	iface_put(i->now[at]);
	memmove(&i->now[at], &i->now[at + 1], (i->n_now - at - 1) * sizeof(*i->now));
	i->n_now--;
	note_changed(i, ifindex);
}

/* RFC 4291 and friends, as coarse as a router wants it. */
static uint8_t address_scope(const struct ipaddr *a)
{
	if (ipaddr_is_v4(a)) {
		const uint8_t *b = a->b + 12;
		if (b[0] == 127)
			return SCOPE_HOST;
		if (b[0] == 169 && b[1] == 254)
			return SCOPE_LINK;
		if (b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168))
			return SCOPE_SITE;
		return SCOPE_UNIVERSE;
	}
	static const struct ipaddr loopback = {.b = {[15] = 1}};
	if (ipaddr_equal(a, &loopback))
		return SCOPE_HOST;
	if (ipaddr_is_link_local(a))
		return SCOPE_LINK;
	if ((a->b[0] & 0xfe) == 0xfc || (a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0xc0))
		return SCOPE_SITE;
	return SCOPE_UNIVERSE;
}

/* One primary address for IPv4, global IPv6 and link-local IPv6 each: the widest scope that is not secondary;
 * the kernel lists the oldest first. */
static void choose_primary(struct iface *f)
{
	int best[3] = {-1, -1, -1};

	for (unsigned k = 0; k < f->n_addrs; k++) {
		struct iface_addr *a = &f->addrs[k];
		int kind = ipaddr_is_v4(&a->addr) ? 0 : a->scope == SCOPE_LINK ? 2 : 1;
		a->primary = false;
		if (!a->secondary && (best[kind] < 0 || a->scope > f->addrs[best[kind]].scope))
			best[kind] = (int)k;
	}
	for (int kind = 0; kind < 3; kind++)
		if (best[kind] >= 0)
			f->addrs[best[kind]].primary = true;
}

static void take_link(struct ifaces *i, const struct nlmsghdr *h)
{
	const struct ifinfomsg *m = nlmsg_data(h);
	struct nlattr *tb[IFLA_MAX + 1];
	struct iface empty = {.ifindex = (uint32_t)m->ifi_index}, *old, *f;

	/* A bridge port's own messages come with AF_BRIDGE and do not describe the interface. */
	if (m->ifi_family != AF_UNSPEC ||
		nlmsg_parse((struct nlmsghdr *)h, sizeof(*m), tb, IFLA_MAX, NULL) < 0)
		return;
	if (h->nlmsg_type == RTM_DELLINK) {
		remove_now(i, (uint32_t)m->ifi_index);
		return;
	}
	old = find_now(i, (uint32_t)m->ifi_index);
	f = iface_copy(old ? old : &empty, old ? old->n_addrs : 0);
	f->flags = m->ifi_flags;
	f->ethernet = m->ifi_type == ARPHRD_ETHER;
	f->mtu = tb[IFLA_MTU] ? nla_get_u32(tb[IFLA_MTU]) : 0;
	f->master = tb[IFLA_MASTER] ? nla_get_u32(tb[IFLA_MASTER]) : 0;
	memset(f->name, 0, sizeof(f->name));
	if (tb[IFLA_IFNAME])
		nla_strlcpy(f->name, tb[IFLA_IFNAME], sizeof(f->name));
	put_now(i, f);
}

static bool parse_address(const struct nlmsghdr *h, struct iface_addr *a)
{
	const struct ifaddrmsg *m = nlmsg_data(h);
	struct nlattr *tb[IFA_MAX + 1];
	uint32_t flags = m->ifa_flags;
	unsigned host_len = m->ifa_family == AF_INET ? 32 : 128;
	struct ipaddr address, local;

	memset(a, 0, sizeof(*a)); /* addresses are compared as bytes */
	if ((m->ifa_family != AF_INET && m->ifa_family != AF_INET6) ||
		nlmsg_parse((struct nlmsghdr *)h, sizeof(*m), tb, IFA_MAX, NULL) < 0)
		return false;
	if (tb[IFA_FLAGS])
		flags = nla_get_u32(tb[IFA_FLAGS]);
	/* An IPv6 address that may not be used yet; the kernel tells us again when duplicate detection is
	 * over. */
	if (h->nlmsg_type == RTM_NEWADDR && (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) &&
		!(flags & IFA_F_OPTIMISTIC))
		return false;
	address = netlink_attr_addr(tb[IFA_ADDRESS]);
	local = tb[IFA_LOCAL] ? netlink_attr_addr(tb[IFA_LOCAL]) : address;
	if (ipaddr_is_zero(&local) || m->ifa_prefixlen > host_len)
		return false;
	if (ipaddr_is_zero(&address))
		address = local;
	a->addr = local;
	a->prefix = prefix_make(&address, m->ifa_prefixlen);
	if (!ipaddr_equal(&address, &local))
		a->peer = address;
	else
		a->host = m->ifa_prefixlen == host_len;
	a->secondary = m->ifa_family == AF_INET && (flags & IFA_F_SECONDARY);
	a->scope = address_scope(&local);
	return true;
}

static void take_address(struct ifaces *i, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = nlmsg_data(h);
	struct iface *old = find_now(i, m->ifa_index), *f;
	struct iface_addr a;
	unsigned k;

	if (!old || !parse_address(h, &a))
		return;
	for (k = 0; k < old->n_addrs; k++)
		if (ipaddr_equal(&old->addrs[k].addr, &a.addr) &&
			prefix_equal(&old->addrs[k].prefix, &a.prefix))
			break;
	if (h->nlmsg_type == RTM_DELADDR) {
		if (k == old->n_addrs)
			return;
		f = iface_copy(old, old->n_addrs);
		memmove(&f->addrs[k], &f->addrs[k + 1], (f->n_addrs - k - 1) * sizeof(a));
		f->n_addrs--;
	} else {
		f = iface_copy(old, old->n_addrs + (k == old->n_addrs));
		f->addrs[k] = a;
		if (k == f->n_addrs)
			f->n_addrs++;
	}
	choose_primary(f);
	put_now(i, f);
}

static int take_message(void *arg, struct nlmsghdr *h)
{
	struct ifaces *i = arg;

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (nlmsg_valid_hdr(h, sizeof(struct ifinfomsg)))
			take_link(i, h);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		if (nlmsg_valid_hdr(h, sizeof(struct ifaddrmsg)))
			take_address(i, h);
		break;
	}
	return 0;
}

/* Reads everything anew into `now`; interfaces that differ from before are noted. */
static int scan(struct ifaces *i)
{
	struct ifaces fresh = {0};
	const struct ifinfomsg all_links = {.ifi_family = AF_UNSPEC};
	const struct ifaddrmsg all_addrs = {.ifa_family = AF_UNSPEC};
	int rc;

	/* A dump that was disturbed is asked for again by netlink_dump(); what it repeats replaces what is
	 * there.
	 */
	rc = netlink_dump(i->ask, RTM_GETLINK, &all_links, sizeof(all_links), take_message, &fresh);
	if (rc == 0)
		rc = netlink_dump(i->ask, RTM_GETADDR, &all_addrs, sizeof(all_addrs), take_message, &fresh);
	if (rc == 0) {
		for (unsigned k = i->n_now; k-- > 0;)
			if (!find_now(&fresh, i->now[k]->ifindex))
				remove_now(i, i->now[k]->ifindex);
		for (unsigned k = 0; k < fresh.n_now; k++) {
			atomic_fetch_add_explicit(&fresh.now[k]->refs, 1, memory_order_relaxed);
			put_now(i, fresh.now[k]);
		}
	}
	for (unsigned k = 0; k < fresh.n_now; k++)
		iface_put(fresh.now[k]);
	free(fresh.now);
	free(fresh.changed);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct iface *const *)a)->name, (*(struct iface *const *)b)->name);
}

static int by_length(const void *pa, const void *pb)
{
	const struct connected *a = pa, *b = pb;
	int c;

	if (a->prefix.family != b->prefix.family)
		return a->prefix.family < b->prefix.family ? -1 : 1;
	if (a->prefix.len != b->prefix.len)
		return a->prefix.len > b->prefix.len ? -1 : 1;
	c = ipaddr_cmp(&a->prefix.addr, &b->prefix.addr);
	if (c)
		return c;
	if (iface_is_up(a->iface) != iface_is_up(b->iface))
		return iface_is_up(a->iface) ? -1 : 1;
	return a->iface->ifindex < b->iface->ifindex ? -1 : a->iface->ifindex > b->iface->ifindex;
}

static int by_address(const void *a, const void *b)
{
	return ipaddr_cmp(a, b);
}

static struct snapshot *snapshot_build(const struct ifaces *i)
{
	struct snapshot *s = mem_grow(NULL, sizeof(*s));
	unsigned total = 0;

	memset(s, 0, sizeof(*s));
	for (unsigned k = 0; k < i->n_now; k++)
		total += i->now[k]->n_addrs;
	s->n = i->n_now;
	s->by_index = mem_grow(NULL, s->n * sizeof(*s->by_index));
	s->by_name = mem_grow(NULL, s->n * sizeof(*s->by_name));
	s->connected = mem_grow(NULL, total * sizeof(*s->connected));
	s->locals = mem_grow(NULL, total * sizeof(*s->locals));
	for (unsigned k = 0; k < s->n; k++) {
		struct iface *f = i->now[k];
		atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
		s->by_index[k] = s->by_name[k] = f;
		for (unsigned n = 0; n < f->n_addrs; n++) {
			const struct iface_addr *a = &f->addrs[n];
			s->locals[s->n_locals++] = a->addr;
			if (!a->host && a->scope != SCOPE_HOST)
				s->connected[s->n_connected++] = (struct connected){a->prefix, a->addr, f};
		}
	}
	qsort(s->by_name, s->n, sizeof(*s->by_name), by_name);
	qsort(s->connected, s->n_connected, sizeof(*s->connected), by_length);
	qsort(s->locals, s->n_locals, sizeof(*s->locals), by_address);
	return s;
}

static void snapshot_free(struct snapshot *s)
{
	for (unsigned k = 0; k < s->n; k++)
		iface_put(s->by_index[k]);
	free(s->by_index);
	free(s->by_name);
	free(s->connected);
	free(s->locals);
	free(s);
}

static void snapshot_free_rcu(struct rcu_head *head)
{
	rcu_callback_begin(head);
	snapshot_free(caa_container_of(head, struct snapshot, rcu));
}

static void publish(struct ifaces *i)
{
	struct snapshot *fresh, *old;

	if (!i->n_changed)
		return;
	fresh = snapshot_build(i);
	old = rcu_xchg_pointer(&i->snap, fresh);
	if (old)
		call_rcu(&old->rcu, snapshot_free_rcu);
	pthread_mutex_lock(&i->lock);
	for (struct subscriber *s = i->subscribers; s; s = s->next)
		for (unsigned k = 0; k < i->n_changed; k++)
			s->changed(s->ctx, i->changed[k]);
	pthread_mutex_unlock(&i->lock);
	i->n_changed = 0;
}

static void *monitor_main(void *arg)
{
	struct ifaces *i = arg;
	struct pollfd p[2] = {
		{.fd = nl_socket_get_fd(i->monitor), .events = POLLIN}, {.fd = i->stop_fd, .events = POLLIN}};

	pthread_setname_np(pthread_self(), "ifaces");
	rcu_register_thread();
	for (;;) {
		if (poll(p, 2, i->rescan ? RESCAN_RETRY_MS : -1) < 0 && errno != EINTR)
			log_msg(LOG_CLASS_ERROR, "Interfaces: poll: %m");
		if (p[1].revents)
			break;
		if (netlink_drain(i->monitor, take_message, i) < 0)
			i->rescan = true;
		if (i->rescan)
			i->rescan = scan(i) < 0;
		publish(i);
	}
	rcu_unregister_thread();
	return NULL;
}

/* ---- life ---- */

static void release(struct ifaces *i)
{
	for (unsigned k = 0; k < i->n_now; k++)
		iface_put(i->now[k]);
	free(i->now);
	free(i->changed);
	if (i->snap)
		snapshot_free(i->snap);
	while (i->subscribers) {
		struct subscriber *s = i->subscribers;
		i->subscribers = s->next;
		free(s);
	}
	if (i->monitor)
		nl_socket_free(i->monitor);
	if (i->ask)
		nl_socket_free(i->ask);
	if (i->stop_fd >= 0)
		close(i->stop_fd);
	pthread_mutex_destroy(&i->lock);
	free(i);
}

/* The first scan is done here, so that nobody ever sees an empty machine. */
struct ifaces *ifaces_create(void)
{
	static const unsigned groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, 0};
	struct ifaces *i = calloc(1, sizeof(*i));
	int rc;

	if (!i)
		return NULL;
	pthread_mutex_init(&i->lock, NULL);
	i->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = i->stop_fd < 0 ? -errno : netlink_open_monitor(&i->monitor, MONITOR_RCVBUF, groups);
	if (rc == 0)
		rc = netlink_open(&i->ask, false);
	if (rc == 0)
		rc = scan(i);
	if (rc == -EINTR) { /* very busy: the monitor goes on with it */
		i->rescan = true;
		rc = 0;
	}
	if (rc == 0) {
		i->n_changed = 0;
		i->snap = snapshot_build(i);
		rc = -pthread_create(&i->thread, NULL, monitor_main, i);
	}
	if (rc < 0) {
		release(i);
		errno = -rc;
		return NULL;
	}
	rcu_set_pointer(&last_created, i);
	return i;
}

struct ifaces *ifaces_default(void)
{
	return rcu_dereference(last_created);
}

void ifaces_destroy(struct ifaces *i)
{
	uint64_t one = 1;

	if (!i)
		return;
	if (write(i->stop_fd, &one, sizeof(one)) < 0)
		log_msg(LOG_CLASS_BUG, "Interfaces: cannot stop: %m");
	pthread_join(i->thread, NULL);
	if (last_created == i)
		rcu_set_pointer(&last_created, (struct ifaces *)NULL);
	synchronize_rcu();
	release(i);
}

void ifaces_wait_scan(struct ifaces *i)
{
	(void)i; /* ifaces_create() has done it */
}

void ifaces_subscribe(struct ifaces *i, void (*changed)(void *ctx, uint32_t ifindex), void *ctx)
{
	struct subscriber *s = mem_grow(NULL, sizeof(*s)), **at;

	*s = (struct subscriber){.changed = changed, .ctx = ctx};
	pthread_mutex_lock(&i->lock);
	for (at = &i->subscribers; *at; at = &(*at)->next)
		;
	*at = s;
	pthread_mutex_unlock(&i->lock);
}

void ifaces_unsubscribe(struct ifaces *i, void (*changed)(void *ctx, uint32_t ifindex), void *ctx)
{
	struct subscriber *s = NULL, **at;

	pthread_mutex_lock(&i->lock);
	for (at = &i->subscribers; *at; at = &(*at)->next)
		if ((*at)->changed == changed && (*at)->ctx == ctx) {
			s = *at;
			*at = s->next;
			break;
		}
	pthread_mutex_unlock(&i->lock);
	free(s);
}

/* ---- look-ups ---- */

static const struct iface *lookup(const struct snapshot *s, uint32_t ifindex)
{
	unsigned lo = 0, hi = s->n;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		if (s->by_index[mid]->ifindex < ifindex)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n && s->by_index[lo]->ifindex == ifindex ? s->by_index[lo] : NULL;
}

static void view(const struct iface *f, struct iface_view *out)
{
	*out = (struct iface_view){.ifindex = f->ifindex,
		.flags = f->flags,
		.mtu = f->mtu,
		.master = f->master,
		.ethernet = f->ethernet,
		.up = iface_is_up(f),
		.n_addrs = f->n_addrs < 32 ? f->n_addrs : 32};
	memcpy(out->name, f->name, sizeof(out->name));
	memcpy(out->addrs, f->addrs, out->n_addrs * sizeof(out->addrs[0]));
}

bool ifaces_by_index(struct ifaces *i, uint32_t ifindex, struct iface_view *out)
{
	const struct iface *f;

	rcu_read_lock();
	f = lookup(rcu_dereference(i->snap), ifindex);
	if (f)
		view(f, out);
	rcu_read_unlock();
	return f != NULL;
}

bool ifaces_by_name(struct ifaces *i, const char *name, struct iface_view *out)
{
	const struct snapshot *s;
	unsigned lo = 0, hi;
	bool found;

	rcu_read_lock();
	s = rcu_dereference(i->snap);
	hi = s->n;
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		if (strcmp(s->by_name[mid]->name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	found = lo < s->n && !strcmp(s->by_name[lo]->name, name);
	if (found)
		view(s->by_name[lo], out);
	rcu_read_unlock();
	return found;
}

unsigned ifaces_all(struct ifaces *i, struct iface_view *out, unsigned max)
{
	const struct snapshot *s;
	unsigned n;

	rcu_read_lock();
	s = rcu_dereference(i->snap);
	n = s->n;
	for (unsigned k = 0; k < n && k < max; k++)
		view(s->by_index[k], &out[k]);
	rcu_read_unlock();
	return n;
}

/* First network of family and len that is not before addr. */
static unsigned connected_at(const struct snapshot *s, unsigned from, unsigned to, const struct ipaddr *addr)
{
	while (from < to) {
		unsigned mid = (from + to) / 2;
		if (ipaddr_cmp(&s->connected[mid].prefix.addr, addr) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

/* Past the run of networks with the family and length of connected[from]. */
static unsigned run_end(const struct snapshot *s, unsigned from)
{
	unsigned lo = from, hi = s->n_connected;
	uint8_t family = s->connected[from].prefix.family, len = s->connected[from].prefix.len;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		const struct prefix *p = &s->connected[mid].prefix;
		if (p->family == family && p->len == len)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const struct connected *find_connected(
	const struct snapshot *s, const struct ipaddr *a, uint32_t ifindex)
{
	uint8_t family = ipaddr_is_v4(a) ? 4 : 6;
	const struct connected *down = NULL;

	for (unsigned from = 0, to; from < s->n_connected; from = to) {
		struct prefix p;
		to = run_end(s, from);
		if (s->connected[from].prefix.family != family)
			continue;
		p = prefix_make(a, s->connected[from].prefix.len);
		for (unsigned k = connected_at(s, from, to, &p.addr);
			k < to && ipaddr_equal(&s->connected[k].prefix.addr, &p.addr); k++) {
			const struct connected *c = &s->connected[k];
			if (ifindex && c->iface->ifindex != ifindex)
				continue;
			if (iface_is_up(c->iface))
				return c;
			if (!down)
				down = c;
		}
	}
	return down;
}

bool ifaces_for_neighbor(
	struct ifaces *i, const struct ipaddr *a, struct iface_view *out, struct ipaddr *local)
{
	const struct connected *c;

	if (ipaddr_is_link_local(a))
		return false;
	rcu_read_lock();
	c = find_connected(rcu_dereference(i->snap), a, 0);
	if (c && out)
		view(c->iface, out);
	if (c && local)
		*local = c->local;
	rcu_read_unlock();
	return c != NULL;
}

bool ifaces_neighbor_on(struct ifaces *i, const struct ipaddr *a, uint32_t ifindex, struct ipaddr *local)
{
	const struct connected *c;

	rcu_read_lock();
	c = find_connected(rcu_dereference(i->snap), a, ifindex);
	if (c && local)
		*local = c->local;
	rcu_read_unlock();
	return c != NULL;
}

bool ifaces_is_local(struct ifaces *i, const struct ipaddr *a)
{
	const struct snapshot *s;
	bool found;

	rcu_read_lock();
	s = rcu_dereference(i->snap);
	found = bsearch(a, s->locals, s->n_locals, sizeof(*a), by_address) != NULL;
	rcu_read_unlock();
	return found;
}

const char *ifaces_name(uint32_t ifindex)
{
	static _Thread_local char name[IF_NAMESIZE];
	const struct iface *f = NULL;
	struct ifaces *i;

	rcu_read_lock();
	i = rcu_dereference(last_created);
	if (i)
		f = lookup(rcu_dereference(i->snap), ifindex);
	memcpy(name, f ? f->name : (const char[IF_NAMESIZE]){0}, sizeof(name));
	rcu_read_unlock();
	return name;
}
