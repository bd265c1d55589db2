/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/config/model.h"
#include <fnmatch.h>

bool iface_pattern_match(const struct iface_pattern *p, const char *ifname, const struct ipaddr *addr)
{
	for (; p; p = p->next) {
		if (p->mask && fnmatch(p->mask, ifname, 0) != 0)
			continue;
		if (p->has_prefix && (!addr || !prefix_contains_addr(&p->prefix, addr)))
			continue;
		return !p->negate;
	}
	return false;
}
