/* SPDX-License-Identifier: BSD-2-Clause */
/* BGP messages as bytes: what a generated peer says. */
#pragma once
#include "tools/bgpgen/table.h"

struct stream {
	uint8_t *data;
	size_t len, size;
	uint32_t updates;
};

struct speaker {
	uint32_t as, router_id; /* host order */
	struct ipaddr next_hop4, next_hop6;
	uint16_t hold_time;
	bool add_path_rx; /* ask for every path: ADD-PATH receive */
	bool v4, v6;
};

void stream_free(struct stream *s);
void stream_open(struct stream *s, const struct speaker *who);
void stream_keepalive(struct stream *s);
void stream_cease(struct stream *s);
/* What is said of routes that share an attribute set. lead: the numbers before the set's own path. */
struct saying {
	const struct speaker *who; /* next hops */
	const struct gen_attrs *attrs;
	const uint32_t *lead, *extra; /* extra: communities beside those of the set */
	unsigned n_lead, n_extra;
	bool no_med;
};
/* Announcements of routes [from, to), all of one family, packed into as few messages as they fit. */
void stream_announce(
	struct stream *s, const struct saying *what, const struct gen_table *t, uint32_t from, uint32_t to);
/* One IPv4 prefix, in the table or not. */
void stream_announce_prefix(struct stream *s, const struct saying *what, const struct prefix *p);
void stream_withdraw(struct stream *s, const struct gen_table *t, uint32_t from, uint32_t to);
void stream_end_of_rib(struct stream *s, const struct speaker *who);
