/* SPDX-License-Identifier: BSD-2-Clause */
/* A route as `show route` prints it. Call under rcu_read_lock(). */
#pragma once
#include "controlplane/cli/json.h"
#include "controlplane/cli/session.h"
#include "controlplane/rib/nht.h"

struct route_text {
	const struct net *net; /* NULL: same net as the line before */
	const struct attrs *attrs;
	const struct rib_source_config *source; /* NULL: gone meanwhile */
	const struct rib_table *table;
	const struct rib_route_view *view;
	bool primary, filtered, all;
};
void cli_route_lines(struct cli_session *s, const struct route_text *r);
void cli_route_json(struct cli_session *s, struct json *j, const struct route_text *r);

/* What the two have in common. */
struct route_hops {
	enum route_dest dest; /* of a recursive route: what its next hop comes to */
	unsigned n;
	const struct attr_nexthop *hop;
	bool recursive, resolved;
	uint32_t metric; /* recursive: to the next hop; ROUTE_METRIC_UNKNOWN */
};
#define ROUTE_METRIC_UNKNOWN 0x80000000u
void route_hops(struct cli_session *s, const struct route_text *r, struct route_hops *out);
struct ipaddr route_from(const struct route_text *r);
const char *route_dest_name(enum route_dest d);
/* The AS path, cut with "..." when it does not fit. */
void route_path_text(const struct attrs *a, char *buf, size_t size);
void route_next_hop_text(const struct attrs *a, char *buf, size_t size);
/* An attribute without a field of its own: name and value; false: not to be shown. */
bool route_extra_name(const struct attr_extra *e, char *buf, size_t size);
void route_extra_value(const struct attr_extra *e, char *buf, size_t size);
