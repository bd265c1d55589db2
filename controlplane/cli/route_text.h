/* SPDX-License-Identifier: BSD-2-Clause */
/* A route as `show route` prints it. Call under rcu_read_lock(). */
#pragma once
#include "controlplane/cli/json.h"
#include "controlplane/cli/session.h"

struct route_text {
	const struct net *net; /* NULL: same net as the line before */
	const struct attrs *attrs;
	const struct rib_source_config *source; /* NULL: gone meanwhile */
	const struct rib_route_view *view;
	bool primary, filtered, all;
};
void cli_route_lines(struct cli_session *s, const struct route_text *r);
void cli_route_json(struct cli_session *s, struct json *j, const struct route_text *r);
