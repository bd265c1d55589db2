/* SPDX-License-Identifier: BSD-2-Clause */
/* What `show static` wants to know: which next hops of a configuration cannot be used now. */
#pragma once
#include "controlplane/proto/proto.h"

struct static_session {
	struct ipaddr via;
	uint32_t ifindex;
	bool up;
};
struct static_view {
	bool up;
	struct static_session *session; /* BFD */
	unsigned n;
};
void static_view(struct proto *p, struct arena *a, struct static_view *out); /* main */
bool static_hop_dormant(struct daemon *d, const struct static_config *cf, const struct static_nexthop *h,
	const struct static_view *view); /* any thread */
