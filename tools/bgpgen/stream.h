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
/* Announcements of routes [from, to), packed by attributes; then an end-of-RIB for each family. extra:
 * communities added to every set (route-server control communities). */
void stream_announce(struct stream *s, const struct speaker *who, const struct gen_table *t, uint32_t from,
	uint32_t to, const uint32_t *extra, unsigned n_extra);
void stream_withdraw(struct stream *s, const struct gen_table *t, uint32_t from, uint32_t to);
void stream_end_of_rib(struct stream *s, const struct speaker *who);
