/* SPDX-License-Identifier: BSD-2-Clause */
/* A route out of an rtnetlink message, whoever's it is. */
#include "controlplane/fib/fib_priv.h"
#include <linux/nexthop.h>

static struct ipaddr via_addr(const struct nlattr *a)
{
	struct ipaddr r = {0};
	uint16_t family;

	if (nla_len(a) < 6)
		return r;
	memcpy(&family, nla_data(a), 2);
	if (family == AF_INET6 && nla_len(a) >= 18)
		r = ipaddr_v6((const char *)nla_data(a) + 2);
	else if (family == AF_INET) {
		uint32_t v4;
		memcpy(&v4, (const char *)nla_data(a) + 2, 4);
		r = ipaddr_v4(v4);
	}
	return r;
}

static struct ipaddr gateway(struct nlattr **tb)
{
	return tb[RTA_VIA] ? via_addr(tb[RTA_VIA]) : netlink_attr_addr(tb[RTA_GATEWAY]);
}

static void parse_multipath(struct kernel_route *r, const struct nlattr *a)
{
	const struct rtnexthop *nh = nla_data(a);
	int left = nla_len(a);

	while (left >= (int)sizeof(*nh) && nh->rtnh_len >= sizeof(*nh) && nh->rtnh_len <= left &&
		r->n_hops < BEST_MAX) {
		struct nlattr *tb[RTA_MAX + 1];
		nla_parse(tb, RTA_MAX, (struct nlattr *)(nh + 1), nh->rtnh_len - (int)sizeof(*nh), NULL);
		r->hops[r->n_hops++] = (struct hop){.gw = gateway(tb),
			.ifindex = (uint32_t)nh->rtnh_ifindex,
			.weight = (uint16_t)(nh->rtnh_hops + 1),
			.onlink = nh->rtnh_flags & RTNH_F_ONLINK};
		left -= NLMSG_ALIGN(nh->rtnh_len);
		nh = (const struct rtnexthop *)((const char *)nh + NLMSG_ALIGN(nh->rtnh_len));
	}
}

static void parse_metrics(struct route_info *i, struct nlattr *a)
{
	struct nlattr *tb[24];

	if (nla_parse_nested(tb, 23, a, NULL) < 0)
		return;
	for (unsigned n = 1; n < 24; n++) {
		if (!tb[n])
			continue;
		if (n == RTAX_CC_ALGO) {
			nla_strlcpy(i->cc, tb[n], sizeof(i->cc));
			i->cc_len = (uint16_t)strlen(i->cc);
		} else if (nla_len(tb[n]) == 4) {
			i->metrics[n] = nla_get_u32(tb[n]);
			i->n_metrics++;
		}
	}
}

bool kernel_route_parse(const struct nlmsghdr *h, struct kernel_route *r)
{
	const struct rtmsg *m = nlmsg_data(h);
	struct nlattr *tb[RTA_MAX + 1];
	struct ipaddr dst;

	memset(r, 0, offsetof(struct kernel_route, hops));
	if ((h->nlmsg_type != RTM_NEWROUTE && h->nlmsg_type != RTM_DELROUTE) ||
		!nlmsg_valid_hdr((struct nlmsghdr *)h, sizeof(*m)) ||
		(m->rtm_family != AF_INET && m->rtm_family != AF_INET6) || m->rtm_src_len ||
		nlmsg_parse((struct nlmsghdr *)h, sizeof(*m), tb, RTA_MAX, NULL) < 0)
		return false;
	dst = tb[RTA_DST]                ? netlink_attr_addr(tb[RTA_DST])
	      : m->rtm_family == AF_INET ? ipaddr_v4(0)
					 : (struct ipaddr){0};
	if (m->rtm_dst_len > (m->rtm_family == AF_INET ? 32 : 128))
		return false;
	/* Not prefix_make(): the family of ::/0 is the message's. */
	if (m->rtm_family == AF_INET6)
		r->prefix = (struct prefix){.addr = dst, .len = m->rtm_dst_len, .family = 6};
	else
		r->prefix = prefix_make(&dst, m->rtm_dst_len);
	r->table = tb[RTA_TABLE] ? nla_get_u32(tb[RTA_TABLE]) : m->rtm_table;
	r->type = m->rtm_type;
	r->protocol = m->rtm_protocol;
	r->cloned = m->rtm_flags & RTM_F_CLONED;
	r->nhid = tb[RTA_NH_ID] ? nla_get_u32(tb[RTA_NH_ID]) : 0;
	r->info.scope = m->rtm_scope;
	r->info.metric = tb[RTA_PRIORITY] ? nla_get_u32(tb[RTA_PRIORITY]) : 0;
	r->info.realm = tb[RTA_FLOW] ? nla_get_u32(tb[RTA_FLOW]) : 0;
	r->info.prefsrc = netlink_attr_addr(tb[RTA_PREFSRC]);
	if (tb[RTA_METRICS])
		parse_metrics(&r->info, tb[RTA_METRICS]);
	if (tb[RTA_MULTIPATH]) {
		parse_multipath(r, tb[RTA_MULTIPATH]);
	} else if (tb[RTA_OIF]) {
		r->hops[r->n_hops++] = (struct hop){.gw = gateway(tb),
			.ifindex = nla_get_u32(tb[RTA_OIF]),
			.weight = 1,
			.onlink = m->rtm_flags & RTNH_F_ONLINK};
	}
	return true;
}

/* ---- somebody else's nexthop objects ---- */

struct objects_query {
	struct kernel_route *r;
	uint32_t member[BEST_MAX];
	uint16_t weight[BEST_MAX];
	unsigned n;
	uint16_t own_weight;
};

static int take_object(void *arg, struct nlmsghdr *h)
{
	struct objects_query *q = arg;
	const struct nhmsg *m = nlmsg_data(h);
	struct nlattr *tb[NHA_MAX + 1];

	if (h->nlmsg_type != RTM_NEWNEXTHOP || nlmsg_parse(h, sizeof(*m), tb, NHA_MAX, NULL) < 0)
		return 0;
	if (tb[NHA_GROUP]) {
		const struct nexthop_grp *g = nla_data(tb[NHA_GROUP]);
		q->n = (unsigned)nla_len(tb[NHA_GROUP]) / sizeof(*g);
		if (q->n > BEST_MAX)
			q->n = BEST_MAX;
		for (unsigned i = 0; i < q->n; i++) {
			q->member[i] = g[i].id;
			q->weight[i] = (uint16_t)(g[i].weight + 1);
		}
	} else if (tb[NHA_BLACKHOLE]) {
		q->r->type = RTN_BLACKHOLE;
	} else if (q->r->n_hops < BEST_MAX) {
		q->r->hops[q->r->n_hops++] = (struct hop){.gw = netlink_attr_addr(tb[NHA_GATEWAY]),
			.ifindex = tb[NHA_OIF] ? nla_get_u32(tb[NHA_OIF]) : 0,
			.weight = q->own_weight,
			.onlink = m->nh_flags & RTNH_F_ONLINK};
	}
	return 0;
}

static void query(struct fib *f, uint32_t id, struct objects_query *q)
{
	struct nhmsg m = {0};
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETNEXTHOP, 0);

	if (!msg)
		return;
	nlmsg_append(msg, &m, sizeof(m), NLMSG_ALIGNTO);
	nla_put_u32(msg, NHA_ID, id);
	netlink_query(f->ask, msg, take_object, q);
}

/* With nexthop_compat_mode=0 routes come with the id only. */
void kernel_route_resolve(struct fib *f, struct kernel_route *r)
{
	struct objects_query q = {.r = r, .own_weight = 1};

	if (!r->nhid || r->n_hops)
		return;
	query(f, r->nhid, &q);
	for (unsigned i = 0, n = q.n; i < n; i++) {
		struct objects_query member = {.r = r, .own_weight = q.weight[i]};
		query(f, q.member[i], &member);
	}
}
