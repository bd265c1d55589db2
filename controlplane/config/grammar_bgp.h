/* SPDX-License-Identifier: BSD-2-Clause */
/* Between grammar_bgp*.c. */
#pragma once
#include "controlplane/config/grammar.h"

/* What a BGP protocol's body points to while it is read. The model's part comes first: its users know nothing
 * of the rest. */
struct bgp_body {
	struct bgp_config bgp;
	bool multihop_set, llgr_set; /* written somewhere: no default by session type */
};

void bgp_finish(struct parser *p, struct proto_config *pc, void *body);
