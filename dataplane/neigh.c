/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two netlink sockets: one only listens to notifications and never blocks, the
 * other asks and waits for its one answer. If notifications were lost (the
 * socket's buffer overran) everything is read again; nothing here depends on
 * having seen each change.
 *
 * Route changes are not subscribed to: this host may load a million routes.
 * Who depends on a route asks for it again now and then (dataplane/session.c).
 */
#include "dataplane/neigh.h"
#include "shared/clock.h"
#include "shared/hash.h"
#include "shared/log.h"
#include <errno.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>

/* The kernel header has the states but not this union of those with a usable address. */
#define NUD_VALID (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

#define BUCKETS 4096
#define ASK_AGAIN_NS (500 * NS_PER_MS)
#define REFRESH_NS (30 * NS_PER_S)
#define ASKS_A_TICK 256
#define EVENT_BUFFER (4 << 20)

struct neigh_table {
	struct neigh_events ev;
	struct nl_sock *events, *query;
	struct neigh_link *links;
	unsigned nlinks, links_size;
	struct neigh_addr *addrs;
	unsigned naddrs, addrs_size;
	struct neigh_watch *watch[BUCKETS];
	unsigned nwatches;
	uint64_t seed;
	bool quiet; /* the first dump: nobody is told */
	int error;  /* of the query that is being answered */
	struct neigh_route *route;
	bool got_route;
};

static struct neigh_watch **bucket_of(struct neigh_table *t, uint32_t ifindex, const struct ipaddr *ip)
{
	return &t->watch[hash_ipaddr(ip, t->seed + ifindex) % BUCKETS];
}

static struct neigh_watch *find_watch(struct neigh_table *t, uint32_t ifindex, const struct ipaddr *ip)
{
	struct neigh_watch *w = *bucket_of(t, ifindex, ip);

	while (w && (w->ifindex != ifindex || !ipaddr_equal(&w->ip, ip)))
		w = w->next;
	return w;
}

static int attr_address(const struct nlattr *a, int family, struct ipaddr *out)
{
	if (!a)
		return -ENOENT;
	if (family == AF_INET && nla_len(a) == 4) {
		uint32_t be;

		memcpy(&be, nla_data(a), 4);
		*out = ipaddr_v4(be);
		return 0;
	}
	if (family == AF_INET6 && nla_len(a) == 16) {
		*out = ipaddr_v6(nla_data(a));
		return 0;
	}
	return -EINVAL;
}

/* Links */

static struct neigh_link *link_by_index(struct neigh_table *t, uint32_t ifindex)
{
	for (unsigned i = 0; i < t->nlinks; i++)
		if (t->links[i].ifindex == ifindex)
			return &t->links[i];
	return NULL;
}

static void vlan_of(const struct nlattr *linkinfo, struct neigh_link *l)
{
	struct nlattr *info[IFLA_INFO_MAX + 1], *data[IFLA_VLAN_MAX + 1];

	if (nla_parse_nested(info, IFLA_INFO_MAX, (struct nlattr *)linkinfo, NULL) < 0 ||
		!info[IFLA_INFO_KIND] || strcmp(nla_get_string(info[IFLA_INFO_KIND]), "vlan") ||
		!info[IFLA_INFO_DATA] ||
		nla_parse_nested(data, IFLA_VLAN_MAX, info[IFLA_INFO_DATA], NULL) < 0 || !data[IFLA_VLAN_ID])
		return;
	l->vid = nla_get_u16(data[IFLA_VLAN_ID]);
}

static void drop_addresses(struct neigh_table *t, uint32_t ifindex)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < t->naddrs; i++)
		if (t->addrs[i].ifindex != ifindex)
			t->addrs[kept++] = t->addrs[i];
	t->naddrs = kept;
}

static void on_link(struct neigh_table *t, struct nlmsghdr *h)
{
	struct ifinfomsg *ifi = nlmsg_data(h);
	struct nlattr *a[IFLA_MAX + 1];
	struct neigh_link l = {0}, *old;

	if (ifi->ifi_family != AF_UNSPEC || nlmsg_parse(h, sizeof(*ifi), a, IFLA_MAX, NULL) < 0 ||
		!a[IFLA_IFNAME])
		return;
	l.ifindex = (uint32_t)ifi->ifi_index;
	l.up = ifi->ifi_flags & IFF_UP;
	l.running = l.up && (ifi->ifi_flags & IFF_RUNNING);
	strncpy(l.name, nla_get_string(a[IFLA_IFNAME]), sizeof(l.name) - 1);
	if (a[IFLA_ADDRESS] && nla_len(a[IFLA_ADDRESS]) == 6)
		memcpy(l.mac, nla_data(a[IFLA_ADDRESS]), 6);
	if (a[IFLA_LINKINFO])
		vlan_of(a[IFLA_LINKINFO], &l);
	if (l.vid && a[IFLA_LINK])
		l.lower = nla_get_u32(a[IFLA_LINK]);
	old = link_by_index(t, l.ifindex);
	if (h->nlmsg_type == RTM_DELLINK) {
		if (!old)
			return;
		*old = t->links[--t->nlinks];
		drop_addresses(t, l.ifindex);
		l.up = l.running = false;
		if (!t->quiet)
			t->ev.link(t->ev.arg, &l, true);
		return;
	}
	if (!old) {
		if (t->nlinks == t->links_size) {
			unsigned size = t->links_size ? t->links_size * 2 : 64;
			struct neigh_link *n = realloc(t->links, size * sizeof(*n));

			if (!n)
				return;
			t->links = n;
			t->links_size = size;
		}
		old = &t->links[t->nlinks++];
		memset(old, 0, sizeof(*old));
	}
	if (!memcmp(old, &l, sizeof(l)))
		return;
	*old = l;
	if (!t->quiet)
		t->ev.link(t->ev.arg, &l, false);
}

/* Addresses */

static void on_address(struct neigh_table *t, struct nlmsghdr *h)
{
	struct ifaddrmsg *ifa = nlmsg_data(h);
	struct nlattr *a[IFA_MAX + 1];
	struct neigh_addr n = {0};
	unsigned i;

	if (nlmsg_parse(h, sizeof(*ifa), a, IFA_MAX, NULL) < 0 ||
		attr_address(a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS], ifa->ifa_family, &n.addr))
		return;
	n.ifindex = ifa->ifa_index;
	n.len = ifa->ifa_prefixlen;
	for (i = 0; i < t->naddrs; i++)
		if (t->addrs[i].ifindex == n.ifindex && ipaddr_equal(&t->addrs[i].addr, &n.addr) &&
			t->addrs[i].len == n.len)
			break;
	if (h->nlmsg_type == RTM_DELADDR) {
		if (i == t->naddrs)
			return;
		t->addrs[i] = t->addrs[--t->naddrs];
	} else if (i < t->naddrs) {
		return;
	} else {
		if (t->naddrs == t->addrs_size) {
			unsigned size = t->addrs_size ? t->addrs_size * 2 : 64;
			struct neigh_addr *more = realloc(t->addrs, size * sizeof(*more));

			if (!more)
				return;
			t->addrs = more;
			t->addrs_size = size;
		}
		t->addrs[t->naddrs++] = n;
	}
	if (!t->quiet)
		t->ev.address(t->ev.arg, n.ifindex);
}

/* Neighbours */

static void learn(struct neigh_table *t, struct neigh_watch *w, const uint8_t mac[6], bool fresh)
{
	bool same = w->known && !memcmp(w->mac, mac, 6);

	w->fresh = fresh;
	w->asked = 0;
	if (fresh)
		w->next_ask_ns = clock_now_ns() + REFRESH_NS;
	if (same)
		return;
	memcpy(w->mac, mac, 6);
	w->known = true;
	if (!t->quiet)
		t->ev.resolved(t->ev.arg, w);
}

static void on_neighbour(struct neigh_table *t, struct nlmsghdr *h)
{
	struct ndmsg *nd = nlmsg_data(h);
	struct nlattr *a[NDA_MAX + 1];
	struct neigh_watch *w;
	struct ipaddr ip;

	if (nlmsg_parse(h, sizeof(*nd), a, NDA_MAX, NULL) < 0 ||
		attr_address(a[NDA_DST], nd->ndm_family, &ip))
		return;
	w = find_watch(t, (uint32_t)nd->ndm_ifindex, &ip);
	if (!w)
		return;
	if (h->nlmsg_type == RTM_DELNEIGH || !(nd->ndm_state & (NUD_VALID)) || !a[NDA_LLADDR] ||
		nla_len(a[NDA_LLADDR]) != 6) {
		w->fresh = false;
		return;
	}
	learn(t, w, nla_data(a[NDA_LLADDR]), nd->ndm_state & (NUD_REACHABLE | NUD_PERMANENT | NUD_NOARP));
}

void neigh_learn(struct neigh_table *t, uint32_t ifindex, const struct ipaddr *ip, const uint8_t mac[6])
{
	struct neigh_watch *w = find_watch(t, ifindex, ip);

	if (w)
		learn(t, w, mac, true);
}

static void on_route(struct neigh_table *t, struct nlmsghdr *h)
{
	struct rtmsg *rtm = nlmsg_data(h);
	struct nlattr *a[RTA_MAX + 1];
	struct neigh_route *r = t->route;

	if (!r || nlmsg_parse(h, sizeof(*rtm), a, RTA_MAX, NULL) < 0)
		return;
	if (rtm->rtm_type != RTN_UNICAST || !a[RTA_OIF]) {
		t->error = rtm->rtm_type == RTN_LOCAL ? -EADDRINUSE : -EHOSTUNREACH;
		return;
	}
	r->ifindex = nla_get_u32(a[RTA_OIF]);
	if (a[RTA_GATEWAY]) {
		attr_address(a[RTA_GATEWAY], rtm->rtm_family, &r->next_hop);
	} else if (a[RTA_VIA]) {
		const struct rtvia *via = nla_data(a[RTA_VIA]);

		if (via->rtvia_family == AF_INET6)
			r->next_hop = ipaddr_v6(via->rtvia_addr);
	}
	attr_address(a[RTA_PREFSRC], rtm->rtm_family, &r->source);
	t->got_route = true;
}

static int on_message(struct nl_msg *msg, void *arg)
{
	struct neigh_table *t = arg;
	struct nlmsghdr *h = nlmsg_hdr(msg);

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK: on_link(t, h); break;
	case RTM_NEWADDR:
	case RTM_DELADDR: on_address(t, h); break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH: on_neighbour(t, h); break;
	case RTM_NEWROUTE: on_route(t, h); break;
	default: break;
	}
	return NL_OK;
}

static int on_error(struct sockaddr_nl *who, struct nlmsgerr *e, void *arg)
{
	struct neigh_table *t = arg;

	t->error = e->error;
	return NL_STOP;
}

/* Sends msg, frees it, handles the answer: one message, one acknowledgement, or a whole dump. 0 or -errno. */
static int ask(struct neigh_table *t, struct nl_msg *msg)
{
	int rc;

	t->error = 0;
	rc = nl_send_auto(t->query, msg);
	nlmsg_free(msg);
	if (rc >= 0)
		rc = nl_recvmsgs_default(t->query);
	if (t->error)
		return t->error;
	return rc < 0 ? -EIO : 0;
}

static int dump(struct neigh_table *t, int type)
{
	struct rtgenmsg g = {.rtgen_family = AF_UNSPEC};
	struct ifinfomsg ifi = {0};
	struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_DUMP);

	if (!msg)
		return -ENOMEM;
	if (type == RTM_GETLINK)
		nlmsg_append(msg, &ifi, sizeof(ifi), NLMSG_ALIGNTO);
	else
		nlmsg_append(msg, &g, sizeof(g), NLMSG_ALIGNTO);
	return ask(t, msg);
}

static int put_address(struct nl_msg *msg, int attr, const struct ipaddr *a)
{
	return ipaddr_is_v4(a) ? nla_put(msg, attr, 4, &a->w[3]) : nla_put(msg, attr, 16, a->b);
}

/* What the kernel's table says about the watch now. */
static void look_up(struct neigh_table *t, struct neigh_watch *w)
{
	struct ndmsg nd = {
		.ndm_family = ipaddr_is_v4(&w->ip) ? AF_INET : AF_INET6, .ndm_ifindex = (int)w->ifindex};
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETNEIGH, NLM_F_REQUEST);

	if (!msg)
		return;
	nlmsg_append(msg, &nd, sizeof(nd), NLMSG_ALIGNTO);
	put_address(msg, NDA_DST, &w->ip);
	ask(t, msg);
}

/* As if the kernel had a packet for the neighbour: starts ARP or ND, or probes a stale entry. */
static int use(struct neigh_table *t, const struct neigh_watch *w)
{
	struct ndmsg nd = {.ndm_family = ipaddr_is_v4(&w->ip) ? AF_INET : AF_INET6,
		.ndm_ifindex = (int)w->ifindex,
		.ndm_flags = NTF_USE};
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE);

	if (!msg)
		return -ENOMEM;
	nlmsg_append(msg, &nd, sizeof(nd), NLMSG_ALIGNTO);
	put_address(msg, NDA_DST, &w->ip);
	return ask(t, msg);
}

static void ask_for(struct neigh_table *t, struct neigh_watch *w, uint64_t now)
{
	w->asked++;
	w->next_ask_ns = now + (w->known ? REFRESH_NS : ASK_AGAIN_NS);
	if (link_by_index(t, w->ifindex))
		use(t, w);
	else
		t->ev.solicit(t->ev.arg, w);
}

void neigh_tick(struct neigh_table *t, uint64_t now)
{
	unsigned asked = 0;

	if (t->nwatches == 0)
		return;
	for (unsigned b = 0; b < BUCKETS && asked < ASKS_A_TICK; b++)
		for (struct neigh_watch *w = t->watch[b]; w; w = w->next) {
			if (now < w->next_ask_ns)
				continue;
			if (w->known && w->fresh && link_by_index(t, w->ifindex)) {
				w->next_ask_ns = now + REFRESH_NS;
				continue;
			}
			ask_for(t, w, now);
			asked++;
		}
}

struct neigh_watch *neigh_watch(struct neigh_table *t, uint32_t ifindex, const struct ipaddr *ip)
{
	struct neigh_watch *w = find_watch(t, ifindex, ip), **b = bucket_of(t, ifindex, ip);
	uint64_t now = clock_now_ns();

	if (w) {
		w->users++;
		return w;
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->ifindex = ifindex;
	w->ip = *ip;
	w->users = 1;
	w->first_session = UINT32_MAX;
	w->next = *b;
	*b = w;
	t->nwatches++;
	t->quiet = true; /* the caller looks at the result, no event */
	if (link_by_index(t, ifindex))
		look_up(t, w);
	t->quiet = false;
	if (!w->known)
		ask_for(t, w, now);
	return w;
}

void neigh_unwatch(struct neigh_table *t, struct neigh_watch *w)
{
	struct neigh_watch **p = bucket_of(t, w->ifindex, &w->ip);

	if (--w->users)
		return;
	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	t->nwatches--;
	free(w);
}

const struct neigh_link *neigh_link(const struct neigh_table *t, uint32_t ifindex)
{
	return link_by_index((struct neigh_table *)t, ifindex);
}

unsigned neigh_links(const struct neigh_table *t, const struct neigh_link **out)
{
	*out = t->links;
	return t->nlinks;
}

unsigned neigh_addrs(const struct neigh_table *t, const struct neigh_addr **out)
{
	*out = t->addrs;
	return t->naddrs;
}

bool neigh_local_address(
	const struct neigh_table *t, uint32_t ifindex, const struct ipaddr *remote, struct ipaddr *out)
{
	const struct neigh_addr *any = NULL;

	for (unsigned i = 0; i < t->naddrs; i++) {
		const struct neigh_addr *a = &t->addrs[i];
		struct prefix subnet = prefix_make(&a->addr, a->len);

		if (a->ifindex != ifindex || ipaddr_is_v4(&a->addr) != ipaddr_is_v4(remote) ||
			ipaddr_is_link_local(&a->addr) != ipaddr_is_link_local(remote))
			continue;
		if (prefix_contains_addr(&subnet, remote)) {
			*out = a->addr;
			return true;
		}
		if (!any)
			any = a;
	}
	if (any)
		*out = any->addr;
	return any;
}

int neigh_route(struct neigh_table *t, const struct ipaddr *remote, const struct ipaddr *local,
	struct neigh_route *out)
{
	bool v4 = ipaddr_is_v4(remote);
	struct rtmsg rtm = {.rtm_family = v4 ? AF_INET : AF_INET6, .rtm_dst_len = v4 ? 32 : 128};
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_REQUEST);
	int rc;

	if (!msg)
		return -ENOMEM;
	memset(out, 0, sizeof(*out));
	out->next_hop = *remote;
	if (!ipaddr_is_zero(local))
		rtm.rtm_src_len = rtm.rtm_dst_len;
	nlmsg_append(msg, &rtm, sizeof(rtm), NLMSG_ALIGNTO);
	put_address(msg, RTA_DST, remote);
	if (!ipaddr_is_zero(local))
		put_address(msg, RTA_SRC, local);
	t->route = out;
	t->got_route = false;
	rc = ask(t, msg);
	t->route = NULL;
	return rc ? rc : t->got_route ? 0 : -EHOSTUNREACH;
}

/* Everything anew: at the start, and after lost notifications. */
static int read_all(struct neigh_table *t)
{
	int rc;

	rc = dump(t, RTM_GETLINK);
	if (rc == 0)
		rc = dump(t, RTM_GETADDR);
	if (rc == 0 && t->nwatches)
		rc = dump(t, RTM_GETNEIGH);
	return rc;
}

static struct nl_sock *open_socket(struct neigh_table *t)
{
	struct nl_sock *s = nl_socket_alloc();

	if (!s)
		return NULL;
	nl_socket_disable_auto_ack(s);
	nl_socket_modify_cb(s, NL_CB_VALID, NL_CB_CUSTOM, on_message, t);
	nl_socket_modify_err_cb(s, NL_CB_CUSTOM, on_error, t);
	if (nl_connect(s, NETLINK_ROUTE)) {
		nl_socket_free(s);
		return NULL;
	}
	return s;
}

int neigh_create(struct neigh_table **out, const struct neigh_events *ev)
{
	struct neigh_table *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return -ENOMEM;
	t->ev = *ev;
	t->seed = clock_now_ns();
	t->events = open_socket(t);
	t->query = open_socket(t);
	if (!t->events || !t->query) {
		rc = -errno ? -errno : -EIO;
		neigh_destroy(t);
		return rc;
	}
	nl_socket_disable_seq_check(t->events);
	nl_socket_set_nonblocking(t->events);
	nl_socket_set_buffer_size(t->events, EVENT_BUFFER, 0);
	nl_socket_add_memberships(
		t->events, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_NEIGH, 0);
	t->quiet = true;
	rc = read_all(t);
	t->quiet = false;
	if (rc) {
		neigh_destroy(t);
		return rc;
	}
	*out = t;
	return 0;
}

void neigh_destroy(struct neigh_table *t)
{
	if (!t)
		return;
	if (t->events)
		nl_socket_free(t->events);
	if (t->query)
		nl_socket_free(t->query);
	for (unsigned b = 0; b < BUCKETS; b++)
		while (t->watch[b]) {
			struct neigh_watch *w = t->watch[b];

			t->watch[b] = w->next;
			free(w);
		}
	free(t->links);
	free(t->addrs);
	free(t);
}

int neigh_fd(const struct neigh_table *t)
{
	return nl_socket_get_fd(t->events);
}

void neigh_dispatch(struct neigh_table *t)
{
	int rc;

	do
		rc = nl_recvmsgs_default(t->events);
	while (rc >= 0);
	if (rc == -NLE_AGAIN)
		return;
	/* Lost notifications (NLE_NOMEM is ENOBUFS): what vanished meanwhile is found by comparing with a
	 * fresh reading. */
	log_msg(LOG_CLASS_DEBUG, "netlink notifications were lost (%s): reading everything again",
		nl_geterror(rc));
	t->naddrs = 0;
	for (unsigned i = 0; i < t->nlinks;) {
		struct neigh_link l = t->links[i];

		if (if_nametoindex(l.name) == l.ifindex) {
			i++;
			continue;
		}
		t->links[i] = t->links[--t->nlinks];
		l.up = l.running = false;
		t->ev.link(t->ev.arg, &l, true);
	}
	if (read_all(t) == 0)
		t->ev.address(t->ev.arg, 0);
	else
		log_msg(LOG_CLASS_WARNING, "cannot read links and addresses from the kernel");
}
