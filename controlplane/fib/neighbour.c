/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gateways that the kernel cannot resolve. It tells so after its probes; while
 * traffic goes elsewhere nobody would ask again, so we ask each second until it
 * answers.
 */
#include "controlplane/fib/nhobj.h"
#include <linux/neighbour.h>

#define ANSWERS (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)

static void tell(struct fib *f, const struct ipaddr *addr, uint32_t ifindex, bool up)
{
	const struct fib_link e = {
		.addr = *addr, .ifindex = ifindex, .up = up, .reason = LINK_REASON_NEIGHBOUR};

	fib_link_event(f, &e, 1);
}

/* Does something that has an alternative go through it? */
static bool matters(struct fib *f, const struct ipaddr *addr, uint32_t ifindex)
{
	for (uint32_t b = 0; b <= f->nh.objs_mask; b++)
		for (const struct nhobj *o = f->nh.objs[b]; o; o = o->next)
			if (o->role == NH_PROTECTED && o->hop.ifindex == ifindex &&
				ipaddr_equal(&o->hop.gw, addr) &&
				atomic_load_explicit(&o->groups, memory_order_relaxed))
				return true;
	return false;
}

void nexthops_neighbour(
	struct fib *f, const struct ipaddr *addr, uint32_t ifindex, uint16_t state, uint32_t probes)
{
	const struct link *k;

	/* Without probes somebody has flushed the table: the next packet will resolve it. */
	if ((state & NUD_FAILED) && probes) {
		if (matters(f, addr, ifindex))
			tell(f, addr, ifindex, false);
	} else if (state & ANSWERS) {
		k = links_find(&f->links, addr, ifindex);
		if (k && (atomic_load(&k->down) & LINK_DOWN_NEIGHBOUR))
			tell(f, addr, ifindex, true);
	}
}

void nexthops_poke_neighbours(struct fib *f)
{
	for (unsigned b = 0; b < LINK_BUCKETS; b++)
		for (struct link *k = rcu_dereference(f->links.bucket[b]); k; k = rcu_dereference(k->next)) {
			if (!(atomic_load(&k->down) & LINK_DOWN_NEIGHBOUR))
				continue;
			struct ndmsg *m = NLMSG_DATA(
				batch_add(&f->ctl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m)));
			m->ndm_family = ipaddr_is_v4(&k->addr) ? AF_INET : AF_INET6;
			m->ndm_ifindex = (int)k->ifindex;
			m->ndm_flags = NTF_USE;
			batch_put_addr(&f->ctl, NDA_DST, &k->addr);
			batch_flush(&f->ctl, NULL, NULL);
		}
}
