/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast routes get into the kernel, and how fast they leave a lost neighbour.
 *
 *   fib_bench install [PREFIXES [4|6]]
 *         RIB to kernel against a bare netlink loop through the same kind of group: in, replaced, removed
 *   fib_bench write [PREFIXES [4|6 [RUNS]]]
 *         in and replaced only, RUNS (5) times by turns: every run and the medians
 *   fib_bench bare [PREFIXES [4|6]]
 *         only the bare loop, as JSON
 *   fib_bench failover [PREFIXES [4|6 [PAIRS [PEERS [same]]]]]
 *         one neighbour (or PEERS on one port) with PAIRS different backups is lost: time until packets to
 * prefixes all over the table leave over the backup (redirect.h), and until the kernel answers so, idle and
 * while another table is loading; against bare replaces of the same groups; same: the backups are on the lost
 * one's interface fib_bench redirect what redirection costs a packet while nobody is lost fib_bench failovers
 *         that for 10,000 to 1,000,000 prefixes of both families, for backups on the lost one's own
 *         interface, and for 1 to 1,000 peers on one port
 *
 * Runs in a network namespace of its own; needs root.
 */
#include "controlplane/fib/batch.h"
#include "controlplane/fib/fib_priv.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "tests/unit/fib_lab.h"
#include "tests/unit/fib_packets.h"
#include <linux/bpf.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static bool without_removal, same_interface;

/* Results of the child that runs the bare loop: a machine of its own, without anybody who listens. */
static struct bare_results {
	struct spent {
		double wall, cpu; /* s; CPU of the thread that writes, the kernel's work for it included */
		double queued;    /* s that it waited for a core */
	} in, over, out;
	struct measured {
		double call, first, last; /* us */
		double packet; /* us: when the last packet was sent that did not leave over a backup; only
				* with the daemon
				*/
	} loss;
	double neighbour; /* us: a permanent neighbour entry rewritten */
	struct spent our_in, our_over;
} * bare;

static void thread_clocks(void *out)
{
	struct spent *s = out;
	struct timespec ts;
	FILE *f = fopen("/proc/thread-self/schedstat", "r");

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	s->cpu = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
	if (f && fscanf(f, "%*s %lf", &s->queued) == 1)
		s->queued /= 1e9;
	if (f)
		fclose(f);
}

/* CPU of the fib thread, or of this one where there is none. */
static struct spent begin(void)
{
	struct spent s = {0};

	if (lab.fib)
		loop_call_sync(lab.fib->loop, thread_clocks, &s);
	else
		thread_clocks(&s);
	s.wall = (double)clock_now_ns() / 1e9;
	return s;
}

static struct spent since(struct spent t)
{
	double now = (double)clock_now_ns() / 1e9;
	struct spent s = begin();

	return (struct spent){now - t.wall, s.cpu - t.cpu, s.queued - t.queued};
}

/* ---- the bare loop ---- */

/* Backups have the numbers from here on. */
#define BACKUPS 5000u

static struct ipaddr peer_addr(bool v6, unsigned net, unsigned n)
{
	char t[IPADDR_STRLEN];

	if (v6)
		snprintf(t, sizeof(t), "2001:db8:%u::%x", net, n + 2);
	else
		snprintf(t, sizeof(t), "10.%u.%u.%u", net, (n + 2) / 256, (n + 2) % 256);
	return ip(t);
}

static void bare_nexthop(struct batch *b, uint32_t id, struct ipaddr a, uint32_t ifindex, uint16_t flags)
{
	struct nhmsg *m = NLMSG_DATA(batch_add(b, RTM_NEWNEXTHOP, NLM_F_CREATE | flags, sizeof(*m)));

	m->nh_family = ipaddr_is_v4(&a) ? AF_INET : AF_INET6;
	batch_put_u32(b, NHA_ID, id);
	batch_put_addr(b, NHA_GATEWAY, &a);
	batch_put_u32(b, NHA_OIF, ifindex);
}

static void bare_group(struct batch *b, uint32_t id, uint32_t member, uint16_t flags)
{
	struct nexthop_grp g = {.id = member};

	batch_add(b, RTM_NEWNEXTHOP, NLM_F_CREATE | flags, sizeof(struct nhmsg));
	batch_put_u32(b, NHA_ID, id);
	batch_put(b, NHA_GROUP, &g, sizeof(g));
}

static void must(struct batch *b)
{
	char text[BATCH_TEXT];
	int rc = batch_flush_simple(b, text);

	if (rc < 0) {
		fprintf(stderr, "netlink: %s %s\n", strerror(-rc), text);
		exit(1);
	}
}

static struct spent bare_routes(
	struct batch *b, uint16_t type, uint16_t flags, uint32_t n, bool v6, uint32_t group)
{
	struct spent t = begin();

	for (uint32_t i = 0; i < n; i++) {
		struct net net = v6 ? lab_net6(i) : lab_net4(i);
		struct rtmsg *m = NLMSG_DATA(batch_add(b, type, flags, sizeof(*m)));
		m->rtm_family = v6 ? AF_INET6 : AF_INET;
		m->rtm_dst_len = net.prefix.len;
		m->rtm_table = 254;
		m->rtm_protocol = 202;
		m->rtm_type = RTN_UNICAST;
		if (v6)
			batch_put(b, RTA_DST, net.prefix.addr.b, 16);
		else
			batch_put(b, RTA_DST, &net.prefix.addr.w[3], 4);
		batch_put_u32(b, RTA_PRIORITY, 32);
		if (type == RTM_NEWROUTE)
			batch_put_u32(b, RTA_NH_ID, group);
		if (b->n == BATCH_ROUTES || i + 1 == n)
			must(b);
	}
	return since(t);
}

static void bare_setup(struct batch *b, bool v6)
{
	bare_nexthop(b, 1, peer_addr(v6, 1, 0), lab.a, 0);
	bare_nexthop(b, 2, peer_addr(v6, 2, BACKUPS), lab.b, 0);
	bare_group(b, 10, 1, 0);
	bare_group(b, 20, 2, 0);
	must(b);
}

/* ---- install ---- */

static uint64_t in_kernel(bool v6)
{
	struct fib_channel_stats s;

	fib_channel_stats(v6 ? lab.ch6 : lab.ch4, &s);
	return s.pending ? UINT64_MAX : s.routes;
}

static struct spent wait_routes(struct spent t, bool v6, uint64_t n)
{
	while (in_kernel(v6) != n)
		usleep(1000);
	return since(t);
}

static void withdraw_all(struct rib_source *s, bool v6, uint32_t n)
{
	struct rib_batch *b = rib_batch_create(s);

	for (uint32_t i = 0; i < n; i++) {
		struct net net = v6 ? lab_net6(i) : lab_net4(i);
		rib_batch_withdraw(b, &net, 0);
		if (i % 1000 == 999) {
			rib_submit(b);
			b = rib_batch_create(s);
		}
	}
	rib_submit(b);
}

static void bare_install(uint32_t n, bool v6, unsigned pairs, unsigned peers)
{
	struct batch b;

	(void)pairs, (void)peers;
	if (batch_open(&b, 1 << 18) < 0)
		exit(1);
	bare_setup(&b, v6);
	bare->in = bare_routes(&b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, n, v6, 10);
	bare->over = bare_routes(&b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, n, v6, 20);
	if (!without_removal)
		bare->out = bare_routes(&b, RTM_DELROUTE, 0, n, v6, 0);
	batch_close(&b);
}

static void report(const char *what, uint32_t n, struct spent ours, struct spent theirs)
{
	printf("  %-9s %6.2f s %7.0f/s, %5.2f CPU s;  bare %6.2f s %7.0f/s, %5.2f CPU s;  ours/bare %.2f, "
	       "CPU %.2f\n",
		what, ours.wall, n / ours.wall, ours.cpu, theirs.wall, n / theirs.wall, theirs.cpu,
		ours.wall / theirs.wall, ours.cpu / theirs.cpu);
}

static void bench_install(uint32_t n, bool v6, unsigned pairs, unsigned peers)
{
	(void)pairs, (void)peers;
	uint32_t one = lab_attrs(&lab, v6 ? "2001:db8:1::2" : "10.1.0.2", 200);
	uint32_t other = lab_attrs(&lab, v6 ? "2001:db8:2::2" : "10.2.0.2", 200);
	struct rib_source *s = v6 ? lab.one6 : lab.one;
	struct spent in, over, out, t = begin();

	lab_announce_many(s, v6, 0, n, one);
	in = wait_routes(t, v6, n);
	t = begin();
	lab_announce_many(s, v6, 0, n, other);
	lab_barrier(&lab);
	over = wait_routes(t, v6, n);
	if (without_removal) {
		bare->our_in = in;
		bare->our_over = over;
		_exit(0); /* the namespace goes, and with it the routes */
	}
	t = begin();
	withdraw_all(s, v6, n);
	out = wait_routes(t, v6, 0);
	printf("install IPv%c, %u prefixes through the RIB:\n", v6 ? '6' : '4', n);
	report("in", n, in, bare->in);
	report("replaced", n, over, bare->over);
	report("removed", n, out, bare->out);
	attrs_release(one);
	attrs_release(other);
}

/* ---- failover ---- */

struct watch {
	uint32_t n; /* prefixes */
	bool v6;
	struct packets *packets; /* NULL: only ask the table */
	_Atomic bool stop, ready;
	uint64_t first, last_wrong, last_packet, asks, unseen;
};

/* The kernel would send dst to a backup. */
static bool by_backup(int fd, bool v6, const struct ipaddr *dst)
{
	struct {
		struct nlmsghdr n;
		struct rtmsg r;
		char attr[32];
	} q = {.n = {.nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST},
		.r = {.rtm_family = v6 ? AF_INET6 : AF_INET, .rtm_dst_len = v6 ? 128 : 32}};
	struct nlattr *a = (struct nlattr *)q.attr;
	_Alignas(8) char reply[4096];
	size_t size = v6 ? 16 : 4;
	int n;

	a->nla_type = RTA_DST;
	a->nla_len = (uint16_t)(NLA_HDRLEN + size);
	memcpy(a + 1, v6 ? (const void *)dst->b : (const void *)&dst->w[3], size);
	q.n.nlmsg_len = NLMSG_LENGTH(sizeof(q.r)) + NLA_ALIGN(a->nla_len);
	if (send(fd, &q, q.n.nlmsg_len, 0) < 0 || (n = (int)recv(fd, reply, sizeof(reply), 0)) < 0)
		return false;
	const struct nlmsghdr *h = (const struct nlmsghdr *)reply;
	struct nlattr *tb[RTA_MAX + 1];
	if (!nlmsg_ok(h, n) || h->nlmsg_type != RTM_NEWROUTE ||
		nlmsg_parse((struct nlmsghdr *)h, sizeof(struct rtmsg), tb, RTA_MAX, NULL) < 0 ||
		!tb[RTA_GATEWAY])
		return false;
	struct ipaddr gw = netlink_attr_addr(tb[RTA_GATEWAY]);
	return (unsigned)(gw.b[14] << 8 | gw.b[15]) >= BACKUPS;
}

/* Asks the kernel for one prefix after another, all over the table, as fast as it answers. */
static void *watch_main(void *arg)
{
	struct watch *w = arg;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	uint32_t k = 0, rounds_after = 0;

	while (!atomic_load(&w->stop) || rounds_after++ < 512) {
		struct net n = w->v6 ? lab_net6(k) : lab_net4(k);
		n.prefix.addr.b[15] = 1;
		if (w->packets) {
			uint64_t sent = clock_now_ns();
			int way = packets_way(w->packets, &n.prefix.addr);
			if (way < 0)
				w->unseen++;
			else if ((way & 0xffff) < (int)BACKUPS)
				w->last_packet = sent;
		}
		bool right = by_backup(fd, w->v6, &n.prefix.addr);
		uint64_t now = clock_now_ns();
		w->asks++;
		if (!right)
			w->last_wrong = now;
		else if (!w->first)
			w->first = now;
		k = (k + 7919) % w->n;
		atomic_store(&w->ready, true);
	}
	close(fd);
	return NULL;
}

static struct measured measure(uint32_t n, bool v6, struct packets *packets, void (*act)(void *), void *arg)
{
	struct watch w = {.n = n, .v6 = v6, .packets = packets};
	struct measured m;
	pthread_t t;
	uint64_t start, end;

	pthread_create(&t, NULL, watch_main, &w);
	while (!atomic_load(&w.ready))
		sched_yield();
	usleep(20000);
	w.first = 0; /* under another table's load an answer may have been lost before */
	start = clock_now_ns();
	act(arg);
	end = clock_now_ns();
	usleep(50000);
	atomic_store(&w.stop, true);
	pthread_join(t, NULL);
	m.call = (double)(end - start) / 1e3;
	m.first = w.first > start ? (double)(w.first - start) / 1e3 : 0;
	if (w.unseen)
		printf("  (%llu packets were not seen within 20 ms)\n", (unsigned long long)w.unseen);
	m.packet = !packets ? -1 : w.last_packet > start ? (double)(w.last_packet - start) / 1e3 : 0;
	m.last = w.last_wrong > start ? (double)(w.last_wrong - start) / 1e3 : 0;
	return m;
}

struct loss {
	struct fib_link *links;
	unsigned n;
};

static void lose(void *arg)
{
	const struct loss *l = arg;

	fib_link_event(lab.fib, l->links, l->n);
}

struct bare_loss {
	struct batch b;
	unsigned groups;
};

static void bare_replace(void *arg)
{
	struct bare_loss *l = arg;

	for (unsigned i = 0; i < l->groups; i++) {
		bare_group(&l->b, 1000 + i, 2, NLM_F_REPLACE);
		if (l->b.n == 1000)
			must(&l->b);
	}
	must(&l->b);
}

static uint32_t attrs_via(const struct ipaddr *gw, uint32_t ifindex, unsigned preference)
{
	struct attr_nexthop nh = {.gw = *gw, .ifindex = ifindex, .weight = 1};
	struct attrs a = {
		.dest = RTD_UNICAST, .preference = (uint16_t)preference, .nexthop = &nh, .n_nexthop = 1};

	return attrs_intern(&a);
}

/* Prefix i goes by neighbour first + i % spread. */
static void announce_spread(struct rib_source *s, bool v6, uint32_t n, unsigned net, unsigned first,
	unsigned spread, unsigned preference)
{
	struct rib_batch *b = rib_batch_create(s);
	uint32_t *ids = calloc(spread, sizeof(*ids));

	for (unsigned i = 0; i < spread; i++) {
		struct ipaddr gw = peer_addr(v6, net, first + i);
		ids[i] = attrs_via(&gw, net == 1 ? lab.a : lab.b, preference);
	}
	for (uint32_t i = 0; i < n; i++) {
		struct net p = v6 ? lab_net6(i) : lab_net4(i);
		rib_batch_announce(b, &p, 0, ids[i % spread]);
		if (i % 1000 == 999) {
			rib_submit(b);
			b = rib_batch_create(s);
		}
	}
	rib_submit(b);
	for (unsigned i = 0; i < spread; i++)
		attrs_release(ids[i]);
	free(ids);
}

/* What a virtual next hop would cost: the median of 99 rewrites of its neighbour entry. No look-up shows it:
 * the route says the same before and after. */
static double bare_neighbour(struct batch *b, bool v6)
{
	struct ipaddr gw = ip(v6 ? "2001:db8:1::2" : "10.1.0.2");
	double us[99];

	for (unsigned i = 0; i < 99; i++) {
		uint8_t mac[6] = {2, 0, 0, 0, 1, (uint8_t)i};
		uint64_t start = clock_now_ns();
		struct ndmsg *m =
			NLMSG_DATA(batch_add(b, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m)));
		m->ndm_family = v6 ? AF_INET6 : AF_INET;
		m->ndm_ifindex = (int)lab.a;
		m->ndm_state = NUD_PERMANENT;
		batch_put_addr(b, NDA_DST, &gw);
		batch_put(b, NDA_LLADDR, mac, sizeof(mac));
		must(b);
		double t = (double)(clock_now_ns() - start) / 1e3;
		unsigned k = i;
		for (; k > 0 && us[k - 1] > t; k--)
			us[k] = us[k - 1];
		us[k] = t;
	}
	return us[49];
}

static void bare_failover(uint32_t n, bool v6, unsigned pairs, unsigned peers)
{
	unsigned groups = pairs > peers ? pairs : peers;
	struct bare_loss l = {.groups = groups};
	uint32_t i = 0;

	if (batch_open(&l.b, 1 << 18) < 0)
		exit(1);
	bare_setup(&l.b, v6);
	for (unsigned g = 0; g < groups; g++) {
		bare_group(&l.b, 1000 + g, 1, 0);
		if (l.b.n == 1000 || g + 1 == groups)
			must(&l.b);
	}
	for (i = 0; i < n; i++) {
		struct net net = v6 ? lab_net6(i) : lab_net4(i);
		struct rtmsg *r = NLMSG_DATA(batch_add(&l.b, RTM_NEWROUTE, NLM_F_CREATE, sizeof(*r)));
		r->rtm_family = v6 ? AF_INET6 : AF_INET;
		r->rtm_dst_len = net.prefix.len;
		r->rtm_table = 254;
		r->rtm_protocol = 202;
		r->rtm_type = RTN_UNICAST;
		batch_put(&l.b, RTA_DST, v6 ? (void *)net.prefix.addr.b : (void *)&net.prefix.addr.w[3],
			v6 ? 16 : 4);
		batch_put_u32(&l.b, RTA_NH_ID, 1000 + i % groups);
		if (l.b.n == BATCH_ROUTES || i + 1 == n)
			must(&l.b);
	}
	bare->loss = measure(n, v6, NULL, bare_replace, &l);
	bare->neighbour = bare_neighbour(&l.b, v6);
	batch_close(&l.b);
}

static double median(double *v, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		for (unsigned k = i; k > 0 && v[k] < v[k - 1]; k--) {
			double x = v[k];
			v[k] = v[k - 1];
			v[k - 1] = x;
		}
	return v[n / 2];
}

static _Atomic bool loading;

/* Another table fills meanwhile: the other family, so that the prefixes watched stay what they are. */
static void *load_main(void *arg)
{
	bool v6 = !*(bool *)arg;
	uint32_t ids[2] = {lab_attrs(&lab, v6 ? "2001:db8:3::2" : "10.3.0.2", 200),
		lab_attrs(&lab, v6 ? "2001:db8:2::2" : "10.2.0.2", 200)};

	rcu_register_thread();
	for (unsigned r = 0; atomic_load(&loading); r++)
		for (uint32_t i = 0; i < 200000 && atomic_load(&loading); i += 2000) {
			lab_announce_many(v6 ? lab.one6 : lab.one, v6, i, 2000, ids[r & 1]);
			while (in_kernel(v6) == UINT64_MAX && atomic_load(&loading) && r == 0 &&
				i % 20000 == 0)
				usleep(500);
			usleep(8000);
		}
	rcu_unregister_thread();
	return NULL;
}

static void print_measured(const char *what, struct measured m)
{
	printf("  %-34s first %9.0f us   last %9.0f us   acknowledged %9.0f us", what, m.first, m.last,
		m.call);
	if (m.packet >= 0)
		printf("   last packet %9.0f us", m.packet);
	printf("\n");
}

/* Their hardware addresses end in the number that tells backups from peers. */
static void know_neighbours(bool v6, unsigned net, unsigned first, unsigned n)
{
	struct batch b;

	if (batch_open(&b, 1 << 18) < 0)
		exit(1);
	for (unsigned i = 0; i < n; i++) {
		struct ipaddr a = peer_addr(v6, net, first + i);
		uint8_t mac[6] = {2, 0, 0, (uint8_t)net, a.b[14], a.b[15]};
		struct ndmsg *m =
			NLMSG_DATA(batch_add(&b, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m)));
		m->ndm_family = v6 ? AF_INET6 : AF_INET;
		m->ndm_ifindex = (int)(net == 1 ? lab.a : lab.b);
		m->ndm_state = NUD_PERMANENT;
		batch_put_addr(&b, NDA_DST, &a);
		batch_put(&b, NDA_LLADDR, mac, sizeof(mac));
		if (b.n == 500 || i + 1 == n)
			must(&b);
	}
	batch_close(&b);
}

static void bench_failover(uint32_t n, bool v6, unsigned pairs, unsigned peers)
{
	struct fib_link *links = calloc(peers, sizeof(*links));
	struct loss l = {links, peers};
	unsigned groups = pairs > peers ? pairs : peers;
	struct packets packets;

	know_neighbours(v6, 1, 0, peers);
	know_neighbours(v6, same_interface ? 1 : 2, BACKUPS, pairs);
	packets_open(&packets);
	printf("failover IPv%c, %u prefixes, %u peer%s lost, %u pair%s, backup on %s interface:\n",
		v6 ? '6' : '4', n, peers, peers == 1 ? "" : "s", groups, groups == 1 ? "" : "s",
		same_interface ? "the same" : "another");
	announce_spread(v6 ? lab.two6 : lab.two, v6, n, same_interface ? 1 : 2, BACKUPS, pairs, 100);
	announce_spread(v6 ? lab.one6 : lab.one, v6, n, 1, 0, peers, 200);
	for (unsigned i = 0; i < peers; i++)
		links[i] = (struct fib_link){
			.addr = peer_addr(v6, 1, i), .ifindex = lab.a, .up = true, .reason = "bfd"};
	fib_link_event(lab.fib, links, peers);
	lab_barrier(&lab);
	wait_routes(begin(), v6, n);
	/* The load is the other family's: what it adds has nothing to do with the shape. */
	for (int loaded = 0; loaded < (same_interface || groups > 1 ? 1 : 2); loaded++) {
		pthread_t t;
		struct measured worst = {0}, m[7];
		const int rounds = 7;
		if (loaded) {
			atomic_store(&loading, true);
			pthread_create(&t, NULL, load_main, &v6);
			usleep(300000);
		}
		for (int r = 0; r < rounds; r++) {
			for (unsigned i = 0; i < peers; i++)
				links[i].up = false;
			m[r] = measure(n, v6, lab.fib->redirect ? &packets : NULL, lose, &l);
			if (m[r].last > worst.last)
				worst.first = m[r].first, worst.last = m[r].last, worst.call = m[r].call;
			if (m[r].packet > worst.packet)
				worst.packet = m[r].packet;
			for (unsigned i = 0; i < peers; i++)
				links[i].up = true;
			fib_link_event(lab.fib, links, peers);
			/* Back on the best before the next cut. */
			if (loaded) {
				atomic_store(&loading, false);
				pthread_join(t, NULL);
			}
			int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
			/* One prefix of each group, and some from all over the table. */
			for (uint32_t k = 0; k < n; k += k < groups ? 1 : n / 64 + 1) {
				struct net p = v6 ? lab_net6(k) : lab_net4(k);
				p.prefix.addr.b[15] = 1;
				while (by_backup(fd, v6, &p.prefix.addr))
					usleep(5000);
			}
			close(fd);
			struct fib_plan_view none;
			fib_plans(lab.fib, &none, 0); /* the fib thread has published what it has written */
			if (loaded) {
				atomic_store(&loading, true);
				pthread_create(&t, NULL, load_main, &v6);
				usleep(300000);
			}
		}
		if (loaded) {
			atomic_store(&loading, false);
			pthread_join(t, NULL);
		}
		/* Median by the last prefix. */
		for (int i = 1; i < rounds; i++)
			for (int k = i; k > 0 && m[k].last < m[k - 1].last; k--) {
				struct measured x = m[k];
				m[k] = m[k - 1];
				m[k - 1] = x;
			}
		double sorted[7];
		for (int i = 0; i < rounds; i++)
			sorted[i] = m[i].packet;
		m[rounds / 2].packet = median(sorted, rounds);
		print_measured(loaded ? "under load, median of 7" : "idle, median of 7", m[rounds / 2]);
		print_measured(loaded ? "under load, worst" : "idle, worst", worst);
	}
	print_measured("bare replace of the groups, idle", bare->loss);
	printf("  %-34s call %10.0f us\n", "bare rewrite of a neighbour entry", bare->neighbour);
	withdraw_all(v6 ? lab.one6 : lab.one, v6, n);
	withdraw_all(v6 ? lab.two6 : lab.two, v6, n);
	withdraw_all(v6 ? lab.one : lab.one6, !v6, 200000);
	lab_barrier(&lab);
	wait_routes(begin(), v6, 0);
	wait_routes(begin(), !v6, 0);
	packets_close(&packets);
	free(links);
}

/* Each in a process and namespace of its own: what one leaves behind is not the next one's trouble. */
static void in_child(bool with_fib, void (*fn)(uint32_t, bool, unsigned, unsigned), uint32_t n, bool v6,
	unsigned pairs, unsigned peers)
{
	fflush(stdout);
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (with_fib ? !lab_start(&lab) : !netns_enter())
			exit(1);
		if (!with_fib) {
			lab_interfaces(&lab);
			setpriority(PRIO_PROCESS, 0, -10); /* as the fib thread has */
			sh("echo 0 >/proc/sys/net/ipv4/nexthop_compat_mode");
		}
		fn(n, v6, pairs, peers);
		if (with_fib)
			lab_stop(&lab);
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		exit(1);
}

static void install(uint32_t n, bool v6)
{
	in_child(false, bare_install, n, v6, 0, 0);
	in_child(true, bench_install, n, v6, 0, 0);
}

#define RUNS_MAX 99

/* Ours and the bare loop by turns. The ratio is taken of two neighbouring runs, its median of all. */
static void write_runs(uint32_t n, bool v6, unsigned runs)
{
	static const char *const name[] = {"in", "replaced"};
	double ratio[2][RUNS_MAX], cpu[2][RUNS_MAX], wall[2][RUNS_MAX], floor_wall[2][RUNS_MAX];

	without_removal = true;
	if (runs < 1 || runs > RUNS_MAX)
		runs = 5;
	printf("write IPv%c, %u prefixes, %u runs by turns; s wall (CPU of the writing thread + its waits "
	       "for a core), ours / "
	       "bare:\n",
		v6 ? '6' : '4', n, runs);
	for (unsigned r = 0; r < runs; r++) {
		in_child(false, bare_install, n, v6, 0, 0);
		in_child(true, bench_install, n, v6, 0, 0);
		const struct spent ours[] = {bare->our_in, bare->our_over}, theirs[] = {bare->in, bare->over};
		printf("  run %-2u", r + 1);
		for (unsigned k = 0; k < 2; k++) {
			ratio[k][r] = ours[k].wall / theirs[k].wall;
			cpu[k][r] = ours[k].cpu / theirs[k].cpu;
			wall[k][r] = ours[k].wall;
			floor_wall[k][r] = theirs[k].wall;
			printf("  %s %.2f (%.2f+%.2f) / %.2f (%.2f+%.2f) = %.2f (%.2f)", name[k],
				ours[k].wall, ours[k].cpu, ours[k].queued, theirs[k].wall, theirs[k].cpu,
				theirs[k].queued, ratio[k][r], cpu[k][r]);
		}
		printf("\n");
	}
	for (unsigned k = 0; k < 2; k++) {
		double m = median(ratio[k], runs), c = median(cpu[k], runs);
		printf("  median %-9s %.2f s / %.2f s, ratio %.2f (worst %.2f), CPU %.2f (worst %.2f)\n",
			name[k], median(wall[k], runs), median(floor_wall[k], runs), m, ratio[k][runs - 1], c,
			cpu[k][runs - 1]);
	}
}

static void failover(uint32_t n, bool v6, unsigned pairs, unsigned peers)
{
	in_child(false, bare_failover, n, v6, pairs, peers);
	in_child(true, bench_failover, n, v6, pairs, peers);
}

static int bpf(int cmd, union bpf_attr *a)
{
	return (int)syscall(SYS_bpf, cmd, a, sizeof(*a));
}

/* ns for a packet, by the kernel's own test: the least of 9, which itself takes most of it. */
static unsigned packet_ns(int program)
{
	uint8_t packet[64] = {[12] = 8, [14] = 0x45};
	unsigned least = UINT32_MAX;

	for (int i = 0; i < 9; i++) {
		union bpf_attr a = {0};
		a.test.prog_fd = (uint32_t)program;
		a.test.data_in = (uintptr_t)packet;
		a.test.data_size_in = sizeof(packet);
		a.test.repeat = 1000000;
		if (bpf(BPF_PROG_TEST_RUN, &a) == 0 && a.test.duration < least)
			least = a.test.duration;
	}
	return least;
}

static void bench_redirect(uint32_t n, bool v6, unsigned pairs, unsigned peers)
{
	const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = -1}, {.code = BPF_JMP | BPF_EXIT}};
	union bpf_attr a = {0};

	(void)n, (void)v6, (void)pairs, (void)peers;
	if (!lab.fib->redirect) {
		printf("no redirection on this kernel\n");
		return;
	}
	a.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	a.insns = (uintptr_t)nothing;
	a.insn_cnt = 2;
	a.license = (uintptr_t) "GPL";
	int empty = bpf(BPF_PROG_LOAD, &a), ours = redirect_program(lab.fib->redirect);
	printf("redirection, ns for a packet in the kernel's own test: nobody lost %u", packet_ns(ours));
	redirect_lost(lab.fib->redirect, 1);
	printf(", somebody lost, packet of no interest %u", packet_ns(ours));
	redirect_clear(lab.fib->redirect, 1);
	printf("; a program that does nothing %u\n", packet_ns(empty));
}

static void failovers(void)
{
	in_child(true, bench_redirect, 0, false, 0, 0);
	for (uint32_t k = 10000; k <= 1000000; k *= 10) {
		failover(k, false, 1, 1);
		failover(k, true, 1, 1);
	}
	same_interface = true;
	failover(200000, false, 1, 1);
	failover(200000, true, 1, 1);
	same_interface = false;
	failover(200000, false, 100, 1);
	failover(200000, true, 100, 1);
	for (unsigned peers = 10; peers <= 1000; peers *= 10) {
		failover(200000, false, peers, peers);
		failover(200000, true, peers, peers);
	}
}

static void print_bare(void)
{
	const struct spent *s[] = {&bare->in, &bare->over, &bare->out};
	static const char *const name[] = {"in", "replaced", "removed"};

	for (int i = 0; i < 3; i++)
		printf("%s\"%s\": %.4f, \"%s_cpu\": %.4f", i ? ", " : "{", name[i], s[i]->wall, name[i],
			s[i]->cpu);
	printf("}\n");
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 2 ? (uint32_t)atoi(argv[2]) : 1000000;
	bool v6 = argc > 3 && atoi(argv[3]) == 6;
	unsigned pairs = argc > 4 ? (unsigned)atoi(argv[4]) : 1,
		 peers = argc > 5 ? (unsigned)atoi(argv[5]) : 1;

	const struct log_sink trouble = {.kind = LOG_SINK_STDERR,
		.classes = 1u << LOG_CLASS_WARNING | 1u << LOG_CLASS_ERROR | 1u << LOG_CLASS_FATAL |
			   1u << LOG_CLASS_BUG};

	log_configure(&trouble, 1, NULL);
	same_interface = argc > 6 && !strcmp(argv[6], "same");
	bare = mmap(NULL, sizeof(*bare), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (bare == MAP_FAILED)
		return 1;
	if (argc > 1 && !strcmp(argv[1], "install")) {
		install(n, v6);
	} else if (argc > 1 && !strcmp(argv[1], "write")) {
		write_runs(n, v6, argc > 4 ? (unsigned)atoi(argv[4]) : 5);
	} else if (argc > 1 && !strcmp(argv[1], "bare")) {
		in_child(false, bare_install, n, v6, 0, 0);
		print_bare();
	} else if (argc > 1 && !strcmp(argv[1], "failover")) {
		failover(n, v6, pairs, peers);
	} else if (argc > 1 && !strcmp(argv[1], "redirect")) {
		in_child(true, bench_redirect, 0, false, 0, 0);
	} else if (argc > 1 && !strcmp(argv[1], "failovers")) {
		failovers();
	} else {
		fprintf(stderr, "usage: fib_bench install|bare [PREFIXES [4|6]] | write [PREFIXES [4|6 "
				"[RUNS]]] | redirect | failovers | failover [PREFIXES [4|6 [PAIRS "
				"[PEERS [same]]]]]\n");
		return 2;
	}
	return 0;
}
