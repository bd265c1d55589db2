/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The manager's thread: an epoll loop around netlink, the clients' sockets,
 * signals and its own subscription to the link state, plus ten ticks a second.
 *
 * It may block for a while (netlink waits for the kernel's rtnl lock, which a
 * table load can hold); nothing that a session needs to stay up depends on it.
 * The heartbeat is therefore not the manager's: a thread of its own writes it
 * as long as every worker keeps making rounds.
 */
#include "bfd/session.h"
#include "dataplane/dp.h"
#include "dataplane/dpdk.h"
#include "dataplane/exception.h"
#include "dataplane/frr_offload.h"
#include "dataplane/provision.h"
#include "dataplane/session.h"
#include "dataplane/tap.h"
#include "shared/log.h"
#include <errno.h>
#include <rte_ethdev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICK_NS (100 * NS_PER_MS)
#define RETRY_NS (5 * NS_PER_S)
#define FILTERS_NS NS_PER_S
#define FAREWELL_NS (100 * NS_PER_MS)
#define LOG_LINES 64 /* session changes logged one by one from one batch */

int dp_watch(struct dp *dp, struct dp_source *s, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = s};
	int op = s->fd == fd ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	s->fd = fd;
	return epoll_ctl(dp->epoll_fd, op, fd, &e) ? -errno : 0;
}

void dp_unwatch(struct dp *dp, struct dp_source *s)
{
	if (s->fd >= 0)
		epoll_ctl(dp->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	s->fd = -1;
}

/* Commands */

static bool try_command(struct dp *dp, struct dp_command *c)
{
	if (worker_command(&dp->workers, c->worker, &c->c))
		return false;
	dp->outstanding++;
	return true;
}

void dp_command(struct dp *dp, unsigned worker, const struct command *command)
{
	struct dp_command *c = calloc(1, sizeof(*c));

	if (!c) {
		log_msg(LOG_CLASS_ERROR, "out of memory: a BFD session keeps its old parameters");
		return;
	}
	c->c = *command;
	c->worker = worker;
	if (command->type != COMMAND_STOP)
		dp->session[command->slot].pending++;
	if (!dp->backlog && try_command(dp, c))
		return;
	*dp->backlog_tail = c;
	dp->backlog_tail = &c->next;
}

static void move_commands(struct dp *dp)
{
	for (unsigned i = 0; i < dp->workers.n; i++) {
		struct command *c;

		while (dp->outstanding && (c = worker_done(&dp->workers, i))) {
			dp->outstanding--;
			session_done(dp, c);
			free(c);
		}
	}
	while (dp->backlog && try_command(dp, dp->backlog)) {
		dp->backlog = dp->backlog->next;
		if (!dp->backlog)
			dp->backlog_tail = &dp->backlog;
	}
}

/* What the workers see */

static void add_vlans(struct dp *dp, struct port *p, struct worker_port *wp)
{
	const struct neigh_link *links;
	unsigned n = neigh_links(dp->neigh, &links);

	for (unsigned i = 0; i < p->spec.nvlans; i++) {
		wp->vlan[wp->nvlans].vid = p->spec.vlan[i];
		wp->vlan[wp->nvlans++].ifindex = port_vlan_ifindex(p, p->spec.vlan[i]);
	}
	for (unsigned i = 0; p->kernel && i < n && wp->nvlans < PORT_VLANS; i++)
		if (links[i].vid && links[i].lower == p->ifindex) {
			wp->vlan[wp->nvlans].vid = links[i].vid;
			wp->vlan[wp->nvlans++].ifindex = links[i].ifindex;
			port_check_tags(p);
		}
}

/* changing: see worker_tables */
static void publish(struct dp *dp, bool changing)
{
	struct worker_tables *t = calloc(1, sizeof(*t));
	unsigned turn = 0;

	if (!t) {
		log_msg(LOG_CLASS_ERROR, "out of memory: workers keep the old ports");
		return;
	}
	t->subscriber[t->nsubscribers++] = dp->notify_fd;
	for (unsigned i = 0; i < dp->nextra; i++)
		t->subscriber[t->nsubscribers++] = dp->extra_subscriber[i];
	t->strangers = dp->strangers;
	t->reflector = dp->reflector;
	t->active = dp->active;
	t->changing = changing;
	t->nports = dp->nports;
	for (unsigned i = 0; i < dp->nports; i++) {
		struct port *p = &dp->port[i];
		struct worker_port *wp = &t->port[i];

		if (p->state != PORT_OPEN) {
			turn++; /* a port keeps its worker when another one comes back */
			continue;
		}
		wp->open = true;
		wp->up = p->up;
		wp->partial_csum = p->partial_csum;
		wp->exceptions = p->tap_fd >= 0 ? tap_thread_ring(dp->taps)
				 : p->kernel    ? NULL
						: dp->workers.exceptions;
		wp->ifindex = p->ifindex;
		wp->nqueues = p->nqueues;
		memcpy(wp->q, p->q, sizeof(wp->q));
		for (unsigned q = 0; q < p->nqueues; q++)
			wp->worker[q] = (uint8_t)((turn + q) % dp->active);
		turn++;
		add_vlans(dp, p, wp);
	}
	worker_publish(&dp->workers, t);
}

void dp_publish(struct dp *dp)
{
	publish(dp, false);
}

void dp_use_workers(struct dp *dp, unsigned n)
{
	if (n > dp->workers.n)
		log_msg(LOG_CLASS_WARNING, "%u workers are wanted, there are %u (--core)", n, dp->workers.n);
	if (n == 0 || n > dp->workers.n)
		n = dp->workers.n;
	if (n == dp->active)
		return;
	log_msg(LOG_CLASS_INFO, "%u of %u workers are in use", n, dp->workers.n);
	/* A queue has one user: for a moment it has none. */
	publish(dp, true);
	dp->active = n;
	publish(dp, false);
	session_rebalance(dp);
}

int dp_subscribe(struct dp *dp, int fd)
{
	if (dp->nextra == WORKER_SUBSCRIBERS - 1)
		return -ENOSPC;
	dp->extra_subscriber[dp->nextra++] = fd;
	dp_publish(dp);
	return 0;
}

void dp_unsubscribe(struct dp *dp, int fd)
{
	for (unsigned i = 0; i < dp->nextra; i++)
		if (dp->extra_subscriber[i] == fd) {
			dp->extra_subscriber[i] = dp->extra_subscriber[--dp->nextra];
			dp_publish(dp);
			return;
		}
}

/* Ports */

struct port *dp_port_by_ifindex(struct dp *dp, uint32_t ifindex, uint16_t *vid)
{
	const struct neigh_link *l;

	for (unsigned i = 0; i < dp->nports; i++)
		if (port_vlan_of(&dp->port[i], ifindex, vid))
			return &dp->port[i];
	*vid = 0;
	l = neigh_link(dp->neigh, ifindex);
	if (!l || !l->vid)
		return NULL;
	for (unsigned i = 0; i < dp->nports; i++)
		if (dp->port[i].ifindex == l->lower) {
			*vid = l->vid;
			return &dp->port[i];
		}
	return NULL;
}

struct port *dp_port_by_name(struct dp *dp, const char *name, uint32_t *ifindex)
{
	char vlan[IF_NAMESIZE];

	for (unsigned i = 0; i < dp->nports; i++) {
		struct port *p = &dp->port[i];

		*ifindex = p->ifindex;
		if (!strcmp(p->spec.name, name))
			return p;
		for (unsigned k = 0; k < p->spec.nvlans; k++) {
			port_vlan_name(p, p->spec.vlan[k], vlan);
			*ifindex = port_vlan_ifindex(p, p->spec.vlan[k]);
			if (!strcmp(vlan, name))
				return p;
		}
	}
	*ifindex = 0;
	return NULL;
}

static int by_address(const void *a, const void *b)
{
	const struct port_local *x = a, *y = b;
	int cmp = ipaddr_cmp(&x->addr, &y->addr);

	return cmp ? cmp : x->what - y->what;
}

/* The addresses whose BFD the XDP filter takes on this port: all of this host, link-local ones only of this
 * interface and of the VLANs on it; and for echo alone those of neighbours that we promised to send theirs
 * back. Sorted, each once. */
static unsigned local_addresses(struct dp *dp, const struct port *p, struct port_local *out)
{
	const struct neigh_addr *a;
	unsigned n = neigh_addrs(dp->neigh, &a), found = 0, kept = 0;

	for (unsigned i = 0; i < n && found < PORT_LOCALS; i++) {
		const struct neigh_link *l = neigh_link(dp->neigh, a[i].ifindex);

		if (!ipaddr_is_link_local(&a[i].addr) || a[i].ifindex == p->ifindex ||
			(l && l->vid && l->lower == p->ifindex))
			out[found++] = (struct port_local){a[i].addr, FILTER_LOCAL};
	}
	for (uint32_t i = 0; i < dp->opt->sessions && found < PORT_LOCALS; i++)
		if (session_reflects_on(dp, i, p))
			out[found++] = (struct port_local){dp->session[i].key.remote, FILTER_ECHO_PEER};
	qsort(out, found, sizeof(*out), by_address);
	for (unsigned i = 0; i < found; i++)
		if (kept == 0 || !ipaddr_equal(&out[kept - 1].addr, &out[i].addr))
			out[kept++] = out[i];
	return kept;
}

static void update_filter(struct dp *dp, struct port *p)
{
	struct port_local *want;
	unsigned n, i = 0, k = 0;
	int rc = 0;

	if (p->spec.type != PORT_AF_XDP || p->state != PORT_OPEN)
		return;
	want = calloc(PORT_LOCALS, sizeof(*want));
	if (!want)
		return;
	n = local_addresses(dp, p, want);
	while (i < n || k < p->nlocals) {
		int cmp = i == n ? 1 : k == p->nlocals ? -1 : ipaddr_cmp(&want[i].addr, &p->locals[k].addr);

		if (cmp > 0) {
			rc |= xdp_filter_local(&p->xdp, &p->locals[k++].addr, 0);
			continue;
		}
		if (cmp < 0 || want[i].what != p->locals[k].what)
			rc |= xdp_filter_local(&p->xdp, &want[i].addr, want[i].what);
		i++;
		k += cmp == 0;
	}
	free(p->locals);
	p->locals = want;
	p->nlocals = n;
	if (rc)
		log_msg(LOG_CLASS_ERROR, "%s: the XDP filter does not know all local addresses",
			p->spec.name);
}

static bool carrier(struct dp *dp, struct port *p)
{
	const struct neigh_link *l = neigh_link(dp->neigh, p->ifindex);

	if (p->own_link)
		return port_refuse(p, 0, "waiting for a link"), false; /* look_at_links() finds it */
	if (!l || l->running)
		return true;
	port_refuse(p, 0, "%s has no carrier", p->spec.name);
	return false;
}

static void announce(struct dp *dp, struct port *p)
{
	if (p->up)
		log_msg(LOG_CLASS_INFO, "port %s is up (%u queue%s)", p->spec.text, p->nqueues,
			p->nqueues == 1 ? "" : "s");
	else
		log_msg(LOG_CLASS_WARNING, "port %s is down: %s", p->spec.text, p->why);
	provision_port_event(dp, p);
}

static int open_port(struct dp *dp, struct port *p)
{
	int rc = port_open(p, &dp->how);

	if (rc)
		return rc;
	p->nlocals = 0;
	if (p->tap_fd >= 0) {
		rc = dp->taps ? 0 : tap_thread_create(&dp->taps, &dp->workers);
		if (rc)
			return port_refuse(p, rc, "no thread for TAP interfaces: %s", strerror(-rc));
		tap_thread_add(dp->taps, p->index, p->tap_fd);
	}
	update_filter(dp, p);
	p->up = carrier(dp, p);
	return 0;
}

static void port_came(struct dp *dp, struct port *p)
{
	eal_log_live(false);
	if (open_port(dp, p) == 0) {
		dp_publish(dp);
		session_port_returned(dp, p);
		announce(dp, p);
		session_repath_interface(dp, 0);
	} else if (p->state != PORT_WAITING) {
		log_msg(LOG_CLASS_ERROR, "port %s: %s", p->spec.text, p->why);
		p->state = PORT_WAITING;
		dp->next_retry_ns = dp->now_ns + RETRY_NS;
	}
	eal_log_live(true);
}

static void port_went(struct dp *dp, struct port *p)
{
	p->state = PORT_WAITING;
	p->up = false;
	port_refuse(p, 0, "%s is gone", p->spec.name);
	dp_publish(dp); /* the workers have let go of it when this returns */
	eal_log_live(false);
	port_close(p);
	eal_log_live(true);
	p->state = PORT_WAITING;
	announce(dp, p);
	session_repath_interface(dp, 0);
}

static void on_link(void *arg, const struct neigh_link *l, bool gone)
{
	struct dp *dp = arg;

	for (unsigned i = 0; i < dp->nports; i++) {
		struct port *p = &dp->port[i];
		bool ours = p->ifindex == l->ifindex, up;

		if (p->own_link)
			continue;
		if (ours && gone && p->state == PORT_OPEN) {
			port_went(dp, p);
		} else if (!gone && p->state == PORT_WAITING && !strcmp(p->spec.name, l->name) && l->up) {
			port_came(dp, p);
		} else if (ours && p->state == PORT_OPEN) {
			up = l->running;
			if (up == p->up)
				continue;
			p->up = up;
			port_refuse(p, 0, "%s %s", p->spec.name, l->up ? "has no carrier" : "is down");
			dp_publish(dp);
			announce(dp, p);
			session_repath_interface(dp, p->ifindex);
		}
	}
	if (l->vid) { /* VLANs come and go on a port */
		dp_publish(dp);
		session_repath_interface(dp, l->ifindex);
	}
}

static void on_address(void *arg, uint32_t ifindex)
{
	struct dp *dp = arg;

	for (unsigned i = 0; i < dp->nports; i++)
		update_filter(dp, &dp->port[i]);
	session_repath_interface(dp, ifindex);
}

static void on_resolved(void *arg, struct neigh_watch *w)
{
	session_repath_watch(arg, w);
}

static void on_solicit(void *arg, const struct neigh_watch *w)
{
	exception_solicit(arg, w);
}

/* Session changes */

static void log_change(const struct session *s, const struct linkstate_entry *e)
{
	char name[128];

	session_name(s, name, sizeof(name));
	if (e->state == BFD_UP)
		log_msg(LOG_CLASS_INFO, "BFD session %s: Up", name);
	else if (e->state == BFD_INIT)
		log_msg(LOG_CLASS_WARNING, "BFD session %s: went down, is coming back", name);
	else if (s->seen_state == BFD_UP)
		log_msg(LOG_CLASS_WARNING, "BFD session %s: %s, %s%s", name, bfd_state_name(e->state),
			bfd_diag_name(e->diag),
			e->flags & LINKSTATE_AFTER_STALL ? " (after a pause of our own)" : "");
}

static void look_at(struct dp *dp, uint32_t slot, unsigned *logged)
{
	struct session *s;
	struct linkstate_entry e;

	if (slot >= dp->opt->sessions || !linkstate_read(&dp->ls, slot, &e))
		return;
	s = &dp->session[slot];
	if ((s->state != SESSION_LIVE && s->state != SESSION_LEAVING) || e.generation != s->generation)
		return;
	if (s->owner == OWNER_FRR)
		frr_session_changed(dp, slot, &e);
	if (e.state == s->seen_state)
		return;
	if (s->owner != OWNER_NONE && !dp->stopping && (e.state == BFD_UP || s->seen_state == BFD_UP) &&
		(*logged)++ < LOG_LINES)
		log_change(s, &e);
	s->seen_state = e.state;
}

static void on_notify(struct dp_source *src, uint32_t events)
{
	struct dp *dp = src->owner;
	uint32_t slots[256];
	unsigned n, logged = 0;
	uint64_t drop;
	bool overrun = false;

	if (read(dp->notify_fd, &drop, sizeof(drop)) < 0)
		return;
	do {
		n = linkstate_poll(&dp->reader, slots, 256, &overrun);
		for (unsigned i = 0; i < n; i++)
			look_at(dp, slots[i], &logged);
	} while (n == 256);
	for (uint32_t i = 0; overrun && i < dp->opt->sessions; i++)
		look_at(dp, i, &logged);
	if (logged > LOG_LINES)
		log_msg(LOG_CLASS_INFO, "%u more BFD sessions changed", logged - LOG_LINES);
}

static void on_signal(struct dp_source *src, uint32_t events)
{
	struct dp *dp = src->owner;
	struct signalfd_siginfo si;

	if (read(dp->signal_fd, &si, sizeof(si)) != sizeof(si) || si.ssi_signo == SIGHUP)
		return;
	log_msg(LOG_CLASS_INFO, "signal %u: saying goodbye to the neighbours", si.ssi_signo);
	dp->stopping = true;
}

static void on_netlink(struct dp_source *src, uint32_t events)
{
	struct dp *dp = src->owner;

	neigh_dispatch(dp->neigh);
}

static void *heart(void *arg)
{
	struct dp *dp = arg;
	struct timespec pause = {.tv_nsec = (long)TICK_NS};

	pthread_setname_np(pthread_self(), "heartbeat");
	while (!atomic_load_explicit(&dp->heart_stop, memory_order_relaxed)) {
		if (worker_alive(&dp->workers))
			atomic_store_explicit(
				&dp->ls.header->heartbeat_ns, clock_now_ns(), memory_order_release);
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	return NULL;
}

/* Start, run, stop */

static int open_ports(struct dp *dp, char err[OPTIONS_ERR])
{
	for (unsigned i = 0; i < dp->nports; i++) {
		struct port *p = &dp->port[i];
		int rc = open_port(dp, p);

		if (rc == -EAGAIN) {
			log_msg(LOG_CLASS_WARNING, "port %s: %s, waiting for it to come up", p->spec.text,
				p->why);
			continue;
		}
		if (rc) {
			snprintf(err, OPTIONS_ERR, "port %.60s: %s", p->spec.text, p->why);
			return rc;
		}
	}
	return 0;
}

static int start_workers(struct dp *dp, char err[OPTIONS_ERR])
{
	int rc = linkstate_create(&dp->ls, dp->opt->sessions, true);

	if (rc) {
		snprintf(err, OPTIONS_ERR, "no shared memory for %u sessions: %s", dp->opt->sessions,
			strerror(-rc));
		return rc;
	}
	dp->active =
		dp->opt->workers && dp->opt->workers < dp->eal.nworkers ? dp->opt->workers : dp->eal.nworkers;
	for (unsigned i = 0; i < dp->nports && i < LINKSTATE_PORTS; i++)
		if (dp->port[i].spec.type == PORT_AF_XDP)
			snprintf(dp->ls.header->ports[i].name, sizeof(dp->ls.header->ports[i].name), "%.15s",
				dp->port[i].spec.name);
	rc = worker_group_create(
		&dp->workers, &dp->ls, dp->eal.nworkers, dp->how.adaptive, dp->opt->sessions, dp->seed);
	if (rc == 0)
		rc = session_table_create(dp);
	if (rc)
		snprintf(err, OPTIONS_ERR, "no memory for %u sessions and %u workers", dp->opt->sessions,
			dp->eal.nworkers);
	return rc;
}

int dp_start(struct dp *dp, const struct options *o, char err[OPTIONS_ERR])
{
	struct neigh_events ev = {dp, on_link, on_address, on_resolved, on_solicit};
	sigset_t signals;
	int rc;

	memset(dp, 0, sizeof(*dp));
	dp->opt = o;
	dp->backlog_tail = &dp->backlog;
	dp->nports = o->nports;
	for (unsigned i = 0; i < o->nports; i++)
		port_init(&dp->port[i], &o->port[i], i);
	dp->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	dp->notify_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (getrandom(&dp->seed, sizeof(dp->seed), 0) != sizeof(dp->seed))
		dp->seed = clock_now_ns();
	/* Blocked before any thread is made, so that they come to the manager alone. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	dp->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);

	rc = provision_create(dp, err);
	if (rc)
		return rc;
	rc = eal_start(o, &dp->eal, err);
	if (rc)
		return rc;
	dp->how = (struct port_open){dp->eal.nworkers, o->poll == POLL_ADAPTIVE, dp->eal.hugepages};
	rc = start_workers(dp, err);
	if (rc)
		return rc;
	rc = neigh_create(&dp->neigh, &ev);
	if (rc) {
		snprintf(err, OPTIONS_ERR, "cannot read links and addresses from the kernel: %s",
			strerror(-rc));
		return rc;
	}
	rc = open_ports(dp, err);
	if (rc)
		return rc;
	rc = frr_create(dp, err);
	if (rc)
		return rc;
	linkstate_reader_init(&dp->reader, &dp->ls);
	dp_publish(dp);
	for (unsigned i = 0; i < dp->eal.nworkers; i++) {
		rc = worker_start(&dp->workers, i, dp->eal.lcore[i]);
		if (rc) {
			snprintf(err, OPTIONS_ERR, "worker %u does not start: %s", i, strerror(-rc));
			return rc;
		}
	}
	/* Nothing that was touched may be paged out; what never is (a hundred drivers' code) need not be
	 * there. */
	mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	if (pthread_create(&dp->heart, NULL, heart, dp) == 0)
		dp->heart_runs = true;
	dp->notify_source = (struct dp_source){on_notify, dp, -1};
	dp->signal_source = (struct dp_source){on_signal, dp, -1};
	dp->neigh_source = (struct dp_source){on_netlink, dp, -1};
	dp_watch(dp, &dp->notify_source, dp->notify_fd, EPOLLIN);
	dp_watch(dp, &dp->signal_source, dp->signal_fd, EPOLLIN);
	dp_watch(dp, &dp->neigh_source, neigh_fd(dp->neigh), EPOLLIN);
	eal_log_live(true);
	return 0;
}

static void publish_filters(struct dp *dp)
{
	for (unsigned i = 0; i < dp->nports && i < LINKSTATE_PORTS; i++) {
		struct linkstate_port *out = &dp->ls.header->ports[i];
		struct xdp_counters n;

		if (!*out->name || dp->port[i].state != PORT_OPEN || xdp_filter_read(&dp->port[i].xdp, &n))
			continue;
		/* A port that came back counts from 0 again. */
		atomic_store_explicit(&out->taken, n.value[FILTER_TAKEN], memory_order_relaxed);
		atomic_store_explicit(&out->ttl, n.value[FILTER_TTL], memory_order_relaxed);
		atomic_store_explicit(&out->not_local, n.value[FILTER_NOT_LOCAL], memory_order_relaxed);
	}
}

static void retry_ports(struct dp *dp)
{
	for (unsigned i = 0; i < dp->nports; i++) {
		const struct neigh_link *l;
		uint32_t ifindex =
			dp->port[i].state == PORT_WAITING ? if_nametoindex(dp->port[i].spec.name) : 0;

		l = ifindex ? neigh_link(dp->neigh, ifindex) : NULL;
		if (l && l->up)
			port_came(dp, &dp->port[i]);
	}
}

/* A standalone port's carrier is its peer (memif) or its cable; the driver knows. */
static void look_at_links(struct dp *dp)
{
	for (unsigned i = 0; i < dp->nports; i++) {
		struct port *p = &dp->port[i];
		struct rte_eth_link link;

		if (!p->own_link || p->state != PORT_OPEN || rte_eth_link_get_nowait(p->dev[0], &link) ||
			link.link_status == p->up)
			continue;
		p->up = link.link_status;
		port_refuse(p, 0, p->spec.type == PORT_MEMIF ? "nobody is connected" : "no link");
		dp_publish(dp);
		announce(dp, p);
		session_repath_interface(dp, p->ifindex);
	}
}

static void tick(struct dp *dp)
{
	look_at_links(dp);
	for (unsigned i = 0; dp->filters_due && i < dp->nports; i++)
		update_filter(dp, &dp->port[i]);
	dp->filters_due = false;
	dp->next_tick_ns = dp->now_ns + TICK_NS;
	neigh_tick(dp->neigh, dp->now_ns);
	session_tick(dp);
	provision_tick(dp);
	frr_tick(dp);
	if (dp->now_ns >= dp->next_filters_ns) {
		dp->next_filters_ns = dp->now_ns + FILTERS_NS;
		publish_filters(dp);
	}
	if (dp->next_retry_ns && dp->now_ns >= dp->next_retry_ns) {
		dp->next_retry_ns = 0;
		retry_ports(dp);
	}
}

static int wait_ms(const struct dp *dp)
{
	uint64_t left = dp->next_tick_ns > dp->now_ns ? dp->next_tick_ns - dp->now_ns : 0;
	int ms = (int)(left / NS_PER_MS) + 1;

	if (dp->outstanding || dp->backlog)
		return 1;
	for (unsigned i = 0; i < dp->nports; i++)
		if (!dp->port[i].kernel && ms > 5)
			return 5;
	return ms;
}

static void one_round(struct dp *dp)
{
	struct epoll_event e[32];
	int n;

	dp->now_ns = clock_now_ns();
	n = epoll_wait(dp->epoll_fd, e, 32, wait_ms(dp));
	dp->now_ns = clock_now_ns();
	for (int i = 0; i < n; i++) {
		struct dp_source *s = e[i].data.ptr;

		s->ready(s, e[i].events);
	}
	exception_poll(dp);
	move_commands(dp);
	provision_flush(dp);
	if (dp->now_ns >= dp->next_tick_ns)
		tick(dp);
}

void dp_run(struct dp *dp)
{
	while (!dp->stopping)
		one_round(dp);
	session_shutdown_all(dp);
	for (uint64_t until = clock_now_ns() + FAREWELL_NS; clock_now_ns() < until;)
		one_round(dp);
}

static void stop_workers(struct dp *dp)
{
	for (unsigned i = 0; i < dp->workers.n; i++) {
		struct command stop = {.type = COMMAND_STOP};

		dp_command(dp, i, &stop);
	}
	while (dp->outstanding || dp->backlog) {
		move_commands(dp);
		usleep(1000);
	}
	worker_group_destroy(&dp->workers);
}

void dp_stop(struct dp *dp)
{
	tap_thread_destroy(dp->taps);
	if (dp->heart_runs) {
		atomic_store(&dp->heart_stop, true);
		pthread_join(dp->heart, NULL);
		stop_workers(dp);
		eal_log_live(false);
	}
	provision_destroy(dp);
	frr_destroy(dp);
	for (unsigned i = 0; i < dp->nports; i++) {
		if (dp->port[i].state == PORT_OPEN)
			port_close(&dp->port[i]);
		free(dp->port[i].locals);
	}
	session_table_destroy(dp);
	neigh_destroy(dp->neigh);
	if (dp->ls.header)
		linkstate_close(&dp->ls);
	if (dp->eal.started)
		eal_stop();
}
