/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What others do to the kernel's tables, as it happens.
 *
 * The kernel tells every listener of every route written. A filter on the
 * socket drops what we wrote ourselves (by our sockets' port numbers) before it is
 * queued: a million routes of ours cost nothing here. If somebody
 * else writes faster than we read, messages are lost (ENOBUFS) and everything is
 * compared (audit.h).
 */
#include "controlplane/fib/audit.h"
#include "controlplane/fib/learn.h"
#include "shared/log.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <sys/socket.h>

#define RCVBUF (16 << 20)

/* nlmsg_pid is the port that asked for the change. Somebody else's new routes matter to those who learn; to
 * the others only if they replace something. Classic BPF loads in network order. */
int monitor_filter(struct fib *f)
{
	const uint32_t own[] = {htonl(f->writer.port), htonl(f->ctl.port), htonl(f->links.batch.port)};
	const uint32_t protocol = NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_protocol);
	bool learning = false;
	struct fib_channel *ch;

	cds_list_for_each_entry(ch, &f->channels, node) learning = learning || ch->learned;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, own[0], 10, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, own[1], 9, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, own[2], 8, 0),
		BPF_JUMP(BPF_JMP | BPF_JA, learning ? 6 : 0, 0, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 0, 4),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, protocol),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, f->o.rtproto, 2, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_flags)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htons(NLM_F_REPLACE), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (!f->monitor)
		return 0;
	return setsockopt(nl_socket_get_fd(f->monitor), SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0
		       ? -errno
		       : 0;
}

static void ours_changed(struct fib_channel *ch, const struct kernel_route *k, bool deleted)
{
	struct fib *f = ch->f;
	struct route *r = table_find(&ch->routes, &k->prefix);
	char p[PREFIX_STRLEN];

	if (!r || f->infos[r->info].metric != k->info.metric) {
		if (!deleted)
			route_remove_unknown(ch, &k->prefix, k->info.metric);
		return;
	}
	if (!(r->flags & ROUTE_IN_KERNEL) || (!deleted && audit_same(ch, r, k)))
		return;
	if (log_limit_ok(&ch->repaired_log))
		log_msg(LOG_CLASS_WARNING, "FIB: somebody %s %s in table %u: put back",
			deleted ? "removed" : "changed", prefix_format(&k->prefix, p), ch->table_id);
	route_rewrite(ch, r, !deleted);
}

static void others_changed(struct fib_channel *ch, struct kernel_route *k, bool deleted, bool replaced)
{
	struct route *r = table_find(&ch->routes, &k->prefix);
	char p[PREFIX_STRLEN];

	if (r && ch->f->infos[r->info].metric == k->info.metric) {
		if (!deleted && replaced && (r->flags & ROUTE_IN_KERNEL)) {
			/* It is theirs now, and what is not ours is not touched. */
			if (log_limit_ok(&ch->repaired_log))
				log_msg(LOG_CLASS_WARNING,
					"FIB: somebody replaced %s (metric %u) in table %u with a route of "
					"their own",
					prefix_format(&k->prefix, p), k->info.metric, ch->table_id);
			route_refuse(ch, r);
		} else if (deleted && (r->flags & ROUTE_REFUSED) && group_usable(group_at(ch->f, r->group))) {
			route_rewrite(ch, r, false);
		}
	}
	if (!ch->learned)
		return;
	if (deleted)
		learned_withdraw(ch->learned, k);
	else
		learned_update(ch->learned, k);
}

static void on_route(struct fib *f, const struct nlmsghdr *h)
{
	struct kernel_route k;
	struct fib_channel *ch;
	bool deleted = h->nlmsg_type == RTM_DELROUTE;

	if (!kernel_route_parse(h, &k) || k.cloned)
		return;
	ch = channel_of(f, k.prefix.family, k.table);
	if (!ch || !ch->ready || ch->closing)
		return;
	if (k.protocol == f->o.rtproto)
		ours_changed(ch, &k, deleted);
	else
		others_changed(ch, &k, deleted, h->nlmsg_flags & NLM_F_REPLACE);
}

static void on_nexthop(struct fib *f, const struct nlmsghdr *h)
{
	struct nlattr *tb[NHA_MAX + 1];

	if (nlmsg_parse((struct nlmsghdr *)h, sizeof(struct nhmsg), tb, NHA_MAX, NULL) == 0 && tb[NHA_ID] &&
		nexthop_id_is_ours(nla_get_u32(tb[NHA_ID]))) {
		f->verify_wanted = true;
		fib_wake(f);
	}
}

static void on_neighbour(struct fib *f, const struct nlmsghdr *h)
{
	const struct ndmsg *m = nlmsg_data(h);
	struct nlattr *tb[NDA_MAX + 1];
	struct ipaddr a;

	if ((m->ndm_family != AF_INET && m->ndm_family != AF_INET6) ||
		nlmsg_parse((struct nlmsghdr *)h, sizeof(*m), tb, NDA_MAX, NULL) < 0 || !tb[NDA_DST])
		return;
	a = netlink_attr_addr(tb[NDA_DST]);
	if (h->nlmsg_type == RTM_NEWNEIGH)
		nexthops_neighbour(f, &a, (uint32_t)m->ndm_ifindex, m->ndm_state,
			tb[NDA_PROBES] ? nla_get_u32(tb[NDA_PROBES]) : 0);
}

static int on_message(void *arg, struct nlmsghdr *h)
{
	struct fib *f = arg;

	switch (h->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE: on_route(f, h); break;
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP: on_nexthop(f, h); break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH: on_neighbour(f, h); break;
	}
	return 0;
}

static void on_readable(struct ev_loop *ev, ev_io *w, int revents)
{
	struct fib *f = w->data;
	struct fib_channel *ch;

	(void)ev, (void)revents;
	if (netlink_drain(f->monitor, on_message, f) == -ENOBUFS) {
		log_msg(LOG_CLASS_WARNING,
			"FIB: notifications of the kernel were lost: comparing everything");
		f->resync_wanted = true;
		fib_wake(f);
	}
	cds_list_for_each_entry(ch, &f->channels, node) learned_flush(ch->learned);
	route_flush(f);
}

int monitor_open(struct fib *f)
{
	static const unsigned groups[] = {
		RTNLGRP_NEXTHOP, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEIGH, 0};
	int rc = netlink_open_monitor(&f->monitor, RCVBUF, groups);

	if (rc < 0)
		return rc;
	rc = monitor_filter(f);
	if (rc < 0)
		log_msg(LOG_CLASS_WARNING, "FIB: cannot filter the kernel's notifications: %s",
			strerror(-rc));
	ev_io_init(&f->monitor_io, on_readable, nl_socket_get_fd(f->monitor), EV_READ);
	f->monitor_io.data = f;
	ev_io_start(loop_ev(f->loop), &f->monitor_io);
	return 0;
}

void monitor_close(struct fib *f)
{
	if (!f->monitor)
		return;
	ev_io_stop(loop_ev(f->loop), &f->monitor_io);
	nl_socket_free(f->monitor);
	f->monitor = NULL;
}
