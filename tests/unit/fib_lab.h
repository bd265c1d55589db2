/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A router in a namespace of the test's own: interfaces a0, b0, c0 (their far ends
 * a1, b1, c1 are their carriers) with neighbours .2 on each, a RIB with one table for
 * each family, a source for static and one for BGP-like routes, and the FIB on top.
 */
#pragma once
#include "controlplane/export/export.h"
#include "controlplane/fib/fib.h"
#include "controlplane/rib/nht.h"
#include "controlplane/rib/rib.h"
#include "shared/rcu.h"
#include "tests/unit/fib_netns.h"
#include <ctype.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdatomic.h>

#include <cmocka.h>

#define LAB_PROTO 201 /* not one that anybody else uses */

/* liburcu orders memory in assembly and is not instrumented: its own accesses are not what is tested
 * (shared/rcu.h). */
const char *__tsan_default_suppressions(void);
__attribute__((unused)) const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:liburcu-memb.so\nrace:urcu_common_wake_up_gp\nrace:_urcu_memb_\nmutex:"
	       "liburcu\n"
	       "race:rcu_barrier\n";
}

struct lab {
	bool ready;
	struct ifaces *ifaces;
	struct rib *rib;
	struct nht *nht;
	struct export_engine *export;
	struct fib *fib;
	struct rib_table *t4, *t6;
	struct rib_source *one, *two; /* two is preferred less */
	struct rib_source *one6, *two6;
	struct fib_channel *ch4, *ch6;
	struct kernel_config kernel;
	uint32_t a, b, c; /* interface indexes */
};

static inline struct ipaddr ip(const char *text)
{
	struct ipaddr a;

	assert_int_equal(ipaddr_parse(text, &a), 0);
	return a;
}

static inline struct net net_of(const char *text)
{
	struct net n = {0};

	assert_int_equal(prefix_parse(text, &n.prefix), 0);
	n.type = n.prefix.family == 4 ? NET_IP4 : NET_IP6;
	return n;
}

static inline void lab_interfaces(struct lab *l)
{
	sh("echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding;"
	   "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad; echo 0 "
	   ">/proc/sys/net/ipv6/conf/all/accept_dad;"
	   "ip link set lo up");
	for (const char *i = "abc"; *i; i++) {
		int n = *i - 'a' + 1;
		sh("ip link add %c0 type veth peer name %c1; ip link set %c0 up; ip link set %c1 up;"
		   "ip addr add 10.%d.0.1/16 dev %c0; ip -6 addr add 2001:db8:%d::1/64 dev %c0;"
		   "ip neigh add 10.%d.0.2 lladdr 02:00:00:00:00:0%d dev %c0;"
		   "ip neigh add 2001:db8:%d::2 lladdr 02:00:00:00:00:0%d dev %c0",
			*i, *i, *i, *i, n, *i, n, *i, n, n, *i, n, n, *i);
	}
	l->a = if_nametoindex("a0");
	l->b = if_nametoindex("b0");
	l->c = if_nametoindex("c0");
}

static inline struct rib_source *lab_source(struct rib_table *t, const char *name, enum route_source type)
{
	struct rib_source_config c = {.proto_name = name,
		.channel_name = "ipv4",
		.type_name = "BGP",
		.source = type,
		.import = {.kind = FILTER_ALL}};

	return rib_source_open(t, &c);
}

/* false: what is tested is netlink's part alone. */
static bool lab_redirects = true;

static inline void lab_fib(struct lab *l, bool recover)
{
	struct fib_options o = {l->rib, l->export, l->nht, LAB_PROTO, recover, l->ifaces, !lab_redirects};

	l->fib = fib_create(&o);
	assert_non_null(l->fib);
}

static inline void lab_channels(struct lab *l)
{
	struct fib_channel_config c4 = {.table = l->t4, .kernel = &l->kernel, .export = {.kind = FILTER_ALL}};
	struct fib_channel_config c6 = c4;

	c6.table = l->t6;
	l->ch4 = fib_channel_open(l->fib, &c4);
	l->ch6 = fib_channel_open(l->fib, &c6);
	assert_non_null(l->ch4);
	assert_non_null(l->ch6);
}

static inline void lab_rib(struct lab *l)
{
	assert_int_equal(attrs_init(), 0);
	l->rib = rib_create(2);
	assert_non_null(l->rib);
	l->nht = nht_create(l->rib);
	l->export = export_create(l->rib);
	l->t4 = rib_table_open(l->rib, "master4", NET_IP4, false);
	l->t6 = rib_table_open(l->rib, "master6", NET_IP6, false);
	l->one = lab_source(l->t4, "one", RTS_STATIC);
	l->two = lab_source(l->t4, "two", RTS_STATIC);
	l->one6 = lab_source(l->t6, "one6", RTS_STATIC);
	l->two6 = lab_source(l->t6, "two6", RTS_STATIC);
	l->kernel = (struct kernel_config){.table_id = 254, .metric = 32, .scan_time = 3600};
}

static inline bool lab_start(struct lab *l)
{
	rcu_register_thread();
	memset(l, 0, sizeof(*l));
	if (!netns_enter())
		return false;
	lab_interfaces(l);
	l->ifaces = ifaces_create();
	assert_non_null(l->ifaces);
	lab_rib(l);
	lab_fib(l, true);
	lab_channels(l);
	l->ready = true;
	return true;
}

static inline void lab_posted(void *ctx)
{
	sem_post(ctx);
}

static inline void lab_close_channels(struct lab *l, bool keep)
{
	sem_t s;

	sem_init(&s, 0, 0);
	fib_channel_close(l->ch4, keep, lab_posted, &s);
	fib_channel_close(l->ch6, keep, lab_posted, &s);
	sem_wait(&s);
	sem_wait(&s);
	sem_destroy(&s);
	l->ch4 = l->ch6 = NULL;
}

static inline void lab_close_rib(struct lab *l)
{
	sem_t s;
	struct rib_source *all[] = {l->one, l->two, l->one6, l->two6};

	sem_init(&s, 0, 0);
	for (int i = 0; i < 4; i++)
		rib_source_close(all[i], lab_posted, &s);
	for (int i = 0; i < 4; i++)
		sem_wait(&s);
	sem_destroy(&s);
	rib_table_close(l->t4);
	rib_table_close(l->t6);
	export_destroy(l->export);
	nht_destroy(l->nht);
	rib_destroy(l->rib);
	attrs_exit();
}

static inline void lab_stop(struct lab *l)
{
	if (!l->ready)
		return;
	lab_close_channels(l, false);
	fib_destroy(l->fib, false);
	lab_close_rib(l);
	ifaces_destroy(l->ifaces);
	rcu_unregister_thread();
}

/* The lab of a program; the fixtures of a group of tests in it. */
static struct lab lab;

static inline int lab_group_start(void **state)
{
	(void)state;
	lab_start(&lab);
	return 0;
}

static inline int lab_group_stop(void **state)
{
	(void)state;
	lab_stop(&lab);
	return 0;
}

#define NEED_LAB(l)                                                                                          \
	do {                                                                                                 \
		if (!(l)->ready)                                                                             \
			skip();                                                                              \
	} while (0)

/* "10.1.0.2" or "10.1.0.2 10.2.0.2": unicast attributes; the interface is found from the address. */
static inline uint32_t lab_attrs(const struct lab *l, const char *gateways, unsigned preference)
{
	struct attr_nexthop nh[16];
	struct attrs a = {.dest = RTD_UNICAST, .preference = (uint16_t)preference, .nexthop = nh};
	char buf[256], *save = NULL;

	snprintf(buf, sizeof(buf), "%s", gateways);
	for (char *t = strtok_r(buf, " ", &save); t; t = strtok_r(NULL, " ", &save)) {
		struct iface_view v;
		nh[a.n_nexthop] = (struct attr_nexthop){.gw = ip(t), .weight = 1};
		if (ifaces_for_neighbor(l->ifaces, &nh[a.n_nexthop].gw, &v, NULL))
			nh[a.n_nexthop].ifindex = v.ifindex;
		a.n_nexthop++;
	}
	return attrs_intern(&a);
}

static inline void lab_announce_id(struct rib_source *s, const char *prefix, uint32_t id)
{
	struct rib_batch *b = rib_batch_create(s);
	struct net n = net_of(prefix);

	rib_batch_announce(b, &n, 0, id);
	rib_submit(b);
	attrs_release(id);
}

static inline void lab_announce(const struct lab *l, struct rib_source *s, const char *prefix,
	const char *gateways, unsigned preference)
{
	lab_announce_id(s, prefix, lab_attrs(l, gateways, preference));
}

static inline void lab_withdraw(struct rib_source *s, const char *prefix)
{
	struct rib_batch *b = rib_batch_create(s);
	struct net n = net_of(prefix);

	rib_batch_withdraw(b, &n, 0);
	rib_submit(b);
}

/* Prefix number n of many. */
static inline struct net lab_net4(uint32_t n)
{
	struct ipaddr a = ipaddr_v4(htonl(0x14000000u + (n << 8)));

	return (struct net){.type = NET_IP4, .prefix = prefix_make(&a, 24)};
}

static inline struct net lab_net6(uint32_t n)
{
	struct ipaddr a = {
		.b = {0x24, 0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};

	return (struct net){.type = NET_IP6, .prefix = prefix_make(&a, 48)};
}

static inline void lab_announce_many(struct rib_source *s, bool v6, uint32_t from, uint32_t n, uint32_t id)
{
	struct rib_batch *b = rib_batch_create(s);

	for (uint32_t i = 0; i < n; i++) {
		struct net net = v6 ? lab_net6(from + i) : lab_net4(from + i);
		rib_batch_announce(b, &net, 0, id);
		if (i % 1000 == 999) {
			rib_submit(b);
			b = rib_batch_create(s);
		}
	}
	rib_submit(b);
}

/* Output of a command, blanks squeezed. */
static inline const char *output(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline const char *output(const char *fmt, ...)
{
	static char buf[65536];
	char cmd[512];
	size_t n = 0;
	int c, last = ' ';
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	f = popen(cmd, "r");
	assert_non_null(f);
	while ((c = getc(f)) != EOF && n + 1 < sizeof(buf)) {
		if (c == ' ' && last == ' ')
			continue;
		buf[n++] = (char)c;
		last = c;
	}
	buf[n] = '\0';
	pclose(f);
	return buf;
}

/* The gateway the kernel forwards to, "" without a route. */
static inline const char *via(const char *dst)
{
	static char gw[64];
	const char *o = output("ip route get %s 2>&1", dst), *p = strstr(o, "via ");

	gw[0] = '\0';
	if (p) {
		p += 4;
		if (!strncmp(p, "inet6 ", 6))
			p += 6;
		snprintf(gw, sizeof(gw), "%.*s", (int)strcspn(p, " \n"), p);
	} else if (strstr(o, "RTNETLINK") || strstr(o, "unreachable")) {
		return "";
	} else if (strstr(o, " dev ")) {
		return "direct";
	}
	return gw;
}

struct expectation {
	const char *dst, *gw;
};

static inline bool goes_via(void *arg)
{
	struct expectation *e = arg;

	return !strcmp(via(e->dst), e->gw);
}

/* Waits until traffic to dst goes to gw ("": nowhere). */
static inline void expect_via(const char *dst, const char *gw)
{
	struct expectation e = {dst, gw};

	if (!wait_for(goes_via, &e))
		fail_msg("%s goes to \"%s\", not to \"%s\"\n%s", dst, via(dst), gw,
			output("ip route; ip -6 route; ip nexthop"));
}

static inline unsigned count_lines(const char *s)
{
	unsigned n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

static inline unsigned kernel_routes(void)
{
	return (unsigned)atoi(output(
		"(ip -o route show proto %d; ip -o -6 route show proto %d) | wc -l", LAB_PROTO, LAB_PROTO));
}

static inline unsigned kernel_nexthops(void)
{
	return (unsigned)atoi(output("ip nexthop show proto %d | wc -l", LAB_PROTO));
}

static inline bool no_nexthops(void *arg)
{
	return kernel_nexthops() == 0;
}

static inline bool routes_are(void *arg)
{
	return kernel_routes() == *(unsigned *)arg;
}

static inline void expect_routes(unsigned n)
{
	if (!wait_for(routes_are, &n))
		fail_msg("%u routes, not %u\n%s", kernel_routes(), n,
			output("ip route | head -20; ip nexthop | head"));
}

/* All that was submitted has gone through the shards. */
static inline void lab_barrier(struct lab *l)
{
	struct rib_source *all[] = {l->one, l->two, l->one6, l->two6};
	sem_t s;

	sem_init(&s, 0, 0);
	for (int i = 0; i < 4; i++)
		rib_source_barrier(all[i], lab_posted, &s);
	for (int i = 0; i < 4; i++)
		sem_wait(&s);
	sem_destroy(&s);
}

/* Kernel and RIB agree, and did so before anybody looked. */
static inline void expect_in_step(struct lab *l)
{
	struct fib_audit a;

	lab_barrier(l);
	assert_int_equal(fib_audit(l->fib, &a), 0);
	assert_int_equal(a.missing, 0);
	assert_int_equal(a.wrong, 0);
	assert_int_equal(a.alien, 0);
	assert_int_equal(a.repaired, 0);
}

static inline void link_event(struct lab *l, const char *addr, uint32_t ifindex, bool up)
{
	struct bfd_stamps t = {0};
	struct fib_link e = {.addr = ip(addr), .ifindex = ifindex, .up = up, .t = &t, .reason = "bfd"};

	fib_link_event(l->fib, &e, 1);
}

/* As when BFD has come up: the link is known, and its plan published. */
static inline void link_known(struct lab *l, const char *addr, uint32_t ifindex)
{
	struct fib_plan_view v;

	link_event(l, addr, ifindex, true);
	fib_plans(l->fib, &v, 1); /* behind the event in the fib thread's mailbox */
}
