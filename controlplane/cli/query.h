/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A `show route` command: what was asked (query_parse.c), what main knows about it (query_sides.c), and the
 * answer (show_route.c). Lives in the command's arena; belongs to the connection's thread.
 */
#pragma once
#include "controlplane/cli/json.h"
#include "controlplane/cli/session.h"

enum show_mode { SHOW_TABLE, SHOW_EXPORT, SHOW_PREEXPORT, SHOW_NOEXPORT, SHOW_EXPORTED };
enum addr_mode { ADDR_NONE, ADDR_EQUAL, ADDR_FOR, ADDR_IN };

/* PROTOCOL, or PROTOCOL.CHANNEL */
struct channel_name {
	const char *proto, *channel; /* NULL: none */
};

/* The way out of a table to a protocol. Filters are held while the command runs. */
struct export_side {
	enum { SIDE_BGP, SIDE_BEST, SIDE_ANY } kind;
	struct export_peer_config bgp;
	struct filter_ref filter; /* SIDE_BEST, SIDE_ANY */
	uint32_t own_source;      /* what this put into the table is not given back */
};

enum table_kind { TABLE_WHOLE, TABLE_IMPORT, TABLE_EXPORT };
struct query_table {
	const char *name;       /* as asked for; NULL: of the channel */
	struct channel_name of; /* TABLE_IMPORT, TABLE_EXPORT */
	enum table_kind kind;
	struct rib_table *table; /* held; NULL: skipped */
	const char *title;
	struct export_side *side;    /* of the mode, or of TABLE_EXPORT */
	uint32_t source;             /* TABLE_IMPORT: rib_source_id() */
	uint64_t shown, total, nets; /* of this table, when it is through */
};

struct query {
	struct cli_session *s;
	enum addr_mode addr_mode;
	struct net net;
	struct query_table *table;
	unsigned n_tables, max_tables;
	bool show_empty; /* tables are headed also when nothing of theirs is shown */
	bool need_match; /* the network must be of the tables' type */
	struct filter_ref filter;
	bool has_filter;
	bool all, primary, filtered, stats, count;
	enum show_mode mode;
	struct channel_name export;
	const char *protocol; /* protocol P */
	char error[256];      /* of main's part */
	/* running */
	struct json json;
	const struct query_table *headed;
	uint64_t shown, total, nets, all_shown, all_total, all_nets;
	unsigned tables_done;
	struct rib_net_view *view;
};

void query_parse(struct query *q, struct parser *p);
struct net query_parse_net(struct parser *p); /* fails when there is none */
struct channel_name query_parse_channel(struct cli_session *s, struct parser *p);
/* Finds and holds tables and export sides; fails by q->error. Always followed by query_release(). */
void query_prepare(struct query *q);
void query_release(struct query *q);
/* The export side of a protocol's channel. Main. NULL: nothing leaves there. */
struct export_side *query_side(struct arena *a, struct proto *p, const char *channel, const char *table);
void query_side_release(struct export_side *side);
/* Does the route pass? *a may become what is sent (in *out). */
bool query_side_passes(struct query *q, const struct export_side *side, enum show_mode mode,
	const struct rib_net_view *v, unsigned i, const struct attrs **a, const struct rib_source_config *src,
	struct attrs *out);
struct filter_route query_filter_route(
	const struct net *net, const struct attrs *a, const struct rib_source_config *src);
