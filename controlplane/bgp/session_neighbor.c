/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a session's neighbour is: the interface, the network, and the address of ours that it sees. */
#include "controlplane/bgp/session.h"
#include "controlplane/fib/fib.h"
#include <stdio.h>

static bool address_on(const struct iface_view *v, bool v6, bool link_local, struct ipaddr *out)
{
	for (unsigned i = 0; i < v->n_addrs; i++) {
		const struct ipaddr *a = &v->addrs[i].addr;

		if (ipaddr_is_v4(a) != v6 && ipaddr_is_link_local(a) == link_local) {
			*out = *a;
			return true;
		}
	}
	return false;
}

/* What the configured interface or the connected networks say about a direct neighbour. */
static bool find_interface(struct bgp_session *s, struct iface_view *v, struct ipaddr *local)
{
	struct ifaces *ifs = s->daemon->ifaces;
	const struct bgp_config *c = &s->cf->c;
	bool v6 = !ipaddr_is_v4(&c->remote);

	memset(local, 0, sizeof(*local));
	if (!ifs)
		return false;
	if (c->ifname) {
		if (!ifaces_by_name(ifs, c->ifname, v))
			return false;
		if (ipaddr_is_link_local(&c->remote))
			return address_on(v, true, true, local);
		for (unsigned i = 0; i < v->n_addrs; i++) {
			if (!prefix_contains_addr(&v->addrs[i].prefix, &c->remote) &&
				!ipaddr_equal(&v->addrs[i].peer, &c->remote))
				continue;
			*local = v->addrs[i].addr;
			return true;
		}
		return c->onlink && address_on(v, v6, false, local);
	}
	return ifaces_for_neighbor(ifs, &c->remote, v, local);
}

static void note_neighbor(struct bgp_session *s, const struct iface_view *v, const struct ipaddr *local)
{
	const struct bgp_config *c = &s->cf->c;

	s->ifindex = v->ifindex;
	snprintf(s->ifname, sizeof(s->ifname), "%s", v->name);
	s->local_addr = ipaddr_is_zero(&c->local) ? *local : c->local;
	memset(&s->link, 0, sizeof(s->link));
	memset(&s->local_ll, 0, sizeof(s->local_ll));
	for (unsigned i = 0; i < v->n_addrs; i++)
		if (prefix_contains_addr(&v->addrs[i].prefix, &c->remote) &&
			!ipaddr_is_link_local(&c->remote))
			s->link = v->addrs[i].prefix;
	address_on(v, true, true, &s->local_ll);
}

enum neighbor session_find_neighbor(struct bgp_session *s)
{
	struct iface_view v;
	struct ipaddr local;

	if (!s->cf->direct) {
		s->local_addr = s->cf->c.local;
		return NEIGHBOR_READY;
	}
	if (!find_interface(s, &v, &local))
		return NEIGHBOR_UNKNOWN;
	if (s->cf->c.check_link != TRI_OFF && !v.up) {
		snprintf(s->ifname, sizeof(s->ifname), "%s", v.name);
		return NEIGHBOR_LINK_DOWN;
	}
	note_neighbor(s, &v, &local);
	return NEIGHBOR_READY;
}
