/* SPDX-License-Identifier: BSD-2-Clause */
/* `protocol direct`: a device route for each connected network of the matching interfaces that are up. */
#include "controlplane/fib/fib.h"
#include "controlplane/proto/origin.h"
#include <errno.h>
#include <stdlib.h>

struct direct {
	struct origin_set announced[2]; /* by channel: 0 ipv4, 1 ipv6 */
};

static uint32_t device_attrs(const struct proto_channel *c, uint32_t ifindex)
{
	const struct attr_nexthop nh = {.ifindex = ifindex, .weight = 1};
	const struct attrs a = {
		.preference = c->cf->preference,
		.dest = RTD_UNICAST,
		.scope = SCOPE_UNIVERSE,
		.n_nexthop = 1,
		.nexthop = &nh,
	};

	return attrs_intern(&a);
}

static void collect(struct proto_channel *c, const struct iface_view *v, unsigned n, struct origin_set *out)
{
	const struct direct_config *cf = c->proto->cf->body;

	for (unsigned i = 0; i < n; i++) {
		if (cf->check_link ? !v[i].up : !(v[i].flags & IFF_UP))
			continue;
		for (unsigned a = 0; a < v[i].n_addrs; a++) {
			const struct iface_addr *ia = &v[i].addrs[a];
			struct net net = {.type = c->cf->net, .prefix = ia->prefix};

			if (ipaddr_is_v4(&ia->addr) != (c->cf->net == NET_IP4) ||
				ipaddr_is_link_local(&ia->addr))
				continue;
			if (ia->scope < SCOPE_SITE || ia->secondary)
				continue;
			if (cf->pattern && !iface_pattern_match(cf->pattern, v[i].name, &ia->addr))
				continue;
			/* A network on two interfaces is two routes. */
			origin_add(out, &net, v[i].ifindex, device_attrs(c, v[i].ifindex));
		}
	}
}

static void look(struct proto *p)
{
	struct direct *d = p->data;
	unsigned max = ifaces_all(p->daemon->ifaces, NULL, 0) + 16, n;
	struct iface_view *v = malloc(max * sizeof(*v));
	struct proto_channel *c;

	if (!v)
		abort();
	n = ifaces_all(p->daemon->ifaces, v, max);
	if (n > max)
		n = max;
	cds_list_for_each_entry(c, &p->channels, node)
	{
		struct origin_set wanted = {0};

		if (!c->source)
			continue;
		collect(c, v, n, &wanted);
		origin_sync(c->source, &d->announced[c->cf->net == NET_IP6], &wanted);
	}
	free(v);
}

void direct_ifaces_changed(struct daemon *d)
{
	struct proto *p;

	cds_list_for_each_entry(p, &d->protos, node) if (p->ops == &direct_ops && p->state == PS_UP) look(p);
}

static int direct_start(struct proto *p)
{
	const struct rib_source_config sc = {.source = RTS_DEVICE};
	struct proto_channel *c;
	int rc;

	if (!p->data)
		p->data = calloc(1, sizeof(struct direct));
	if (!p->data)
		return -ENOMEM;
	cds_list_for_each_entry(c, &p->channels, node) if ((rc = proto_channel_open(c, &sc)) < 0) return rc;
	proto_set_state(p, PS_UP);
	look(p);
	return 0;
}

static void direct_stop(struct proto *p, const char *message)
{
	struct direct *d = p->data;

	(void)message;
	origin_clear(&d->announced[0]);
	origin_clear(&d->announced[1]);
	proto_set_state(p, PS_DOWN);
}

static void direct_reconfigure(struct proto *p, const struct proto_config *old, uint32_t change)
{
	(void)old;
	proto_channels_reconfigure(p, change);
	if (change & ~PROTO_SOFT)
		look(p);
}

static void direct_destroy(struct proto *p)
{
	free(p->data);
}

const struct proto_ops direct_ops = {
	.type = PROTO_DIRECT,
	.start = direct_start,
	.stop = direct_stop,
	.reconfigure = direct_reconfigure,
	.destroy = direct_destroy,
};
