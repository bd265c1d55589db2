/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/bgp/listener.h"
#include <stdio.h>
#include <stdlib.h>

void listener_spec(const struct bgp_config *c, bool v6, struct bgp_listener *out)
{
	memset(out, 0, sizeof(*out));
	out->fd = -1;
	out->v6 = v6;
	out->port = c->local_port;
	out->free_bind = c->free_bind;
	if (!c->strict_bind)
		return;
	out->addr = c->local;
	if (c->ifname) {
		snprintf(out->device, sizeof(out->device), "%s", c->ifname);
		out->scope = ipaddr_is_link_local(&c->local) ? if_nametoindex(c->ifname) : 0;
	}
}

bool listener_same(const struct bgp_listener *a, const struct bgp_listener *b)
{
	return a->v6 == b->v6 && a->port == b->port && ipaddr_equal(&a->addr, &b->addr) &&
	       !strcmp(a->device, b->device);
}

struct bgp_listener *listener_open(const struct bgp_listener *spec, int *rc, char err[TRANSPORT_ERR])
{
	struct transport_options o = {.local = spec->addr,
		.local_port = spec->port,
		.scope = spec->scope,
		.device = spec->device[0] ? spec->device : NULL,
		.free_bind = spec->free_bind};
	struct bgp_listener *l;
	int fd = transport_listen(&o, spec->v6, err);

	if (fd < 0) {
		*rc = fd;
		return NULL;
	}
	l = malloc(sizeof(*l));
	if (!l)
		abort();
	*l = *spec;
	l->fd = fd;
	return l;
}
