/* SPDX-License-Identifier: BSD-2-Clause */
/* From what the RIB calls a next hop to gateway and interface. */
#include "controlplane/fib/fib_priv.h"
#include "shared/rcu.h"

static unsigned resolve_recursive(struct fib *f, const struct nhspec *s, struct hop *out, unsigned max)
{
	const struct nht_answer *a;
	unsigned n = 0;

	if (!f->o.nht)
		return 0;
	rcu_read_lock();
	a = nht_lookup(f->o.nht, s->igp, &s->gw);
	if (a && a->reachable && a->dest == RTD_UNICAST)
		for (unsigned i = 0; i < a->n && n < max; i++) {
			const struct attr_nexthop *nh = &a->nexthop[i];
			/* A covering route on an interface alone: the address itself is the gateway there. */
			struct ipaddr gw = ipaddr_is_zero(&nh->gw) ? s->gw : nh->gw;
			unsigned weight = (unsigned)s->weight * (nh->weight ? nh->weight : 1);
			out[n++] = (struct hop){.gw = gw,
				.owner = s->gw,
				.ifindex = nh->ifindex,
				.weight = (uint16_t)(weight > 256 ? 256 : weight),
				.onlink = nh->flags & NH_ONLINK};
		}
	rcu_read_unlock();
	return n;
}

static bool find_interface(struct fib *f, struct hop *h)
{
	struct iface_view v;

	if (h->ifindex)
		return true;
	if (!f->ifaces || ipaddr_is_zero(&h->gw) || !ifaces_for_neighbor(f->ifaces, &h->gw, &v, NULL))
		return false;
	h->ifindex = v.ifindex;
	return true;
}

unsigned nexthop_resolve(struct fib *f, uint8_t family, const struct nhspec *s, struct hop *out, unsigned max)
{
	unsigned n, kept = 0;

	if (s->flags & NH_RECURSIVE) {
		n = resolve_recursive(f, s, out, max);
	} else {
		out[0] = (struct hop){.gw = s->gw,
			.ifindex = s->ifindex,
			.weight = s->weight,
			.onlink = s->flags & NH_ONLINK};
		n = max ? 1 : 0;
	}
	for (unsigned i = 0; i < n; i++) {
		struct hop h = out[i];
		/* The kernel takes an IPv6 gateway for an IPv4 route (RFC 8950), not the other way round. */
		if (family == 6 && !ipaddr_is_zero(&h.gw) && ipaddr_is_v4(&h.gw))
			continue;
		if (find_interface(f, &h))
			out[kept++] = h;
	}
	return kept;
}
