/* SPDX-License-Identifier: BSD-2-Clause */
/* Protocols that carry routes from table to table or out to observers: pipe, aggregator, mrt, bmp. */
#include "controlplane/config/grammar.h"

/* ---- pipe, aggregator: the options of the one channel stand in the protocol's own body ---- */

static struct channel_config *own_channel(const struct proto_config *pc)
{
	return cds_list_entry(pc->channels.next, struct channel_config, node);
}

static void peer_table(struct parser *p, void *target)
{
	((struct pipe_config *)target)->peer_table = grammar_table_ref(p);
}

static bool pipe_item(struct parser *p, struct proto_config *pc, void *body)
{
	static const struct option options[] = {
		{.words = "peer table", .kind = OPT_CUSTOM, .parse = peer_table},
		{.words = "max generation",
			.kind = OPT_NUMBER,
			.offset = offsetof(struct pipe_config, max_generation)},
	};
	struct channel_config *ch = own_channel(pc);
	const struct option_set sets[] = {
		OPTION_SET(options, body), {channel_options, n_channel_options, ch}};

	/* `debug` is the protocol's here */
	if (parser_is(p, "debug"))
		return false;
	ch->inherited = false;
	return option_parse(p, sets, 2);
}

static void pipe_init(struct parser *p, struct proto_config *pc, void *body)
{
	struct channel_config *ch = channel_new(p, pc, &grammar_pipe, "main", NET_NONE);

	((struct pipe_config *)body)->max_generation = 16;
	ch->import.kind = ch->export.kind = FILTER_ALL;
	ch->import_defined = ch->export_defined = true;
}

/* init() made a channel, `from` brought another: the inherited one stays. */
static void pipe_inherit(struct parser *p, struct proto_config *pc, void *body)
{
	struct channel_config *ch = own_channel(pc);

	cds_list_del(&ch->node);
}

static void pipe_finish(struct parser *p, struct proto_config *pc, void *body)
{
	const struct pipe_config *c = body;
	struct channel_config *ch = own_channel(pc);

	if (!ch->table)
		parser_fail(p, "Primary routing table not specified");
	if (!c->peer_table)
		parser_fail(p, "Secondary routing table not specified");
	if (ch->table == c->peer_table)
		parser_fail(p, "Primary table and peer table must be different");
	if (ch->table->net != c->peer_table->net)
		parser_fail(p, "Primary table and peer table must have the same type");
	if (ch->import_keep_filtered)
		parser_fail(p, "Pipe protocol prohibits keeping filtered routes");
	ch->net = ch->table->net;
}

const struct proto_grammar grammar_pipe = {
	.word = "pipe",
	.type = PROTO_PIPE,
	.type_name = "Pipe",
	.body_size = sizeof(struct pipe_config),
	.init = pipe_init,
	.inherit = pipe_inherit,
	.item = pipe_item,
	.finish = pipe_finish,
};

static void aggregator_init(struct parser *p, struct proto_config *pc, void *body)
{
	struct channel_config *ch = channel_new(p, pc, &grammar_aggregator, "main", NET_NONE);

	ch->import.kind = ch->export.kind = FILTER_ALL;
	ch->import_defined = ch->export_defined = true;
}

/* aggregate on LIST; merge by { ... }; are kept out: their variables (`routes`) exist nowhere else */
static bool aggregator_item(struct parser *p, struct proto_config *pc, void *body)
{
	if (parser_accept(p, "aggregate")) {
		parser_expect(p, "on");
		while (!parser_is_char(p, ';')) {
			if (p->tok.kind == TOK_EOF || p->tok.kind == '}')
				parser_syntax_error(p, NULL);
			parser_next(p);
		}
		return true;
	}
	if (parser_accept(p, "merge")) {
		parser_expect(p, "by");
		if (!parser_is_char(p, '{'))
			parser_syntax_error(p, "'{'");
		grammar_skip_block(p);
		return true;
	}
	return pipe_item(p, pc, body);
}

static void aggregator_finish(struct parser *p, struct proto_config *pc, void *body)
{
	if (!((const struct pipe_config *)body)->peer_table)
		parser_fail(p, "Source table not specified");
	pipe_finish(p, pc, body);
	parser_warn(p, &p->tok, "Protocol %s (%s) is parsed but not run", pc->name, pc->type_name);
}

const struct proto_grammar grammar_aggregator = {
	.word = "aggregator",
	.type = PROTO_AGGREGATOR,
	.type_name = "Aggregator",
	.body_size = sizeof(struct pipe_config),
	.init = aggregator_init,
	.inherit = pipe_inherit,
	.item = aggregator_item,
	.finish = aggregator_finish,
};

/* ---- mrt ---- */

static void mrt_init(struct parser *p, struct proto_config *pc, void *body)
{
	((struct mrt_config *)body)->filter.kind = FILTER_ALL;
}

static void mrt_table(struct parser *p, void *target)
{
	struct mrt_config *m = target;

	m->table = NULL;
	m->table_pattern = NULL;
	if (p->tok.kind == TOK_TEXT)
		m->table_pattern = parser_text(p);
	else
		m->table = grammar_table_ref(p);
}

static bool mrt_item(struct parser *p, struct proto_config *pc, void *body)
{
	static const struct option options[] = {
		{.words = "table", .kind = OPT_CUSTOM, .parse = mrt_table},
		{.words = "filename", .kind = OPT_TEXT, .offset = offsetof(struct mrt_config, filename)},
		{.words = "period", .kind = OPT_NUMBER, .offset = offsetof(struct mrt_config, period)},
		{.words = "always add path",
			.kind = OPT_SWITCH,
			.offset = offsetof(struct mrt_config, always_add_path)},
	};
	const struct option_set set = OPTION_SET(options, body);

	if (parser_is(p, "filter") || parser_is(p, "where")) {
		((struct mrt_config *)body)->filter = filter_parse_ref(p);
		return true;
	}
	return option_parse(p, &set, 1);
}

static void mrt_finish(struct parser *p, struct proto_config *pc, void *body)
{
	const struct mrt_config *m = body;

	if (!m->table && !m->table_pattern)
		parser_fail(p, "Table not specified");
	if (!m->filename)
		parser_fail(p, "File not specified");
	if (!m->period)
		parser_fail(p, "Period not specified");
}

const struct proto_grammar grammar_mrt = {
	.word = "mrt",
	.type = PROTO_MRT,
	.type_name = "MRT",
	.body_size = sizeof(struct mrt_config),
	.init = mrt_init,
	.item = mrt_item,
	.finish = mrt_finish,
};

/* ---- bmp ---- */

static void bmp_init(struct parser *p, struct proto_config *pc, void *body)
{
	((struct bmp_config *)body)->tx_limit_mb = 1024;
}

/* station address [ip IP] [port N] */
static void station(struct parser *p, void *target)
{
	struct bmp_config *b = target;

	if (parser_accept(p, "ip"))
		b->station = parser_ip(p);
	if (parser_accept(p, "port"))
		b->port = (uint16_t)parser_number_in(p, 1, UINT16_MAX, "Invalid port number");
}

static bool bmp_item(struct parser *p, struct proto_config *pc, void *body)
{
	static const struct option options[] = {
		{.words = "local address", .kind = OPT_IP, .offset = offsetof(struct bmp_config, local)},
		{.words = "station address", .kind = OPT_CUSTOM, .parse = station},
		{.words = "system description",
			.kind = OPT_TEXT,
			.offset = offsetof(struct bmp_config, sys_descr)},
		{.words = "system name", .kind = OPT_TEXT, .offset = offsetof(struct bmp_config, sys_name)},
		{.words = "monitoring rib in pre_policy",
			.kind = OPT_SWITCH,
			.offset = offsetof(struct bmp_config, pre_policy)},
		{.words = "monitoring rib in post_policy",
			.kind = OPT_SWITCH,
			.offset = offsetof(struct bmp_config, post_policy)},
		/* ours */
		{.words = "monitoring rib out pre_policy",
			.kind = OPT_SWITCH,
			.offset = offsetof(struct bmp_config, out_pre_policy)},
		{.words = "monitoring rib out post_policy",
			.kind = OPT_SWITCH,
			.offset = offsetof(struct bmp_config, out_post_policy)},
		{.words = "monitoring rib local",
			.kind = OPT_SWITCH,
			.offset = offsetof(struct bmp_config, loc_rib)},
		{.words = "monitoring mirror",
			.kind = OPT_SWITCH,
			.offset = offsetof(struct bmp_config, mirror)},
		{.words = "tx buffer limit",
			.kind = OPT_NUMBER,
			.offset = offsetof(struct bmp_config, tx_limit_mb),
			.min = 1,
			.max = 1024 * 1024,
			.range = "BMP TX buffer limit must be at least 1 megabyte"},
	};
	const struct option_set set = OPTION_SET(options, body);

	return option_parse(p, &set, 1);
}

static void bmp_finish(struct parser *p, struct proto_config *pc, void *body)
{
	struct bmp_config *b = body;

	if (ipaddr_is_zero(&b->station))
		parser_fail(p, "Station IP address not specified");
	if (!b->port)
		parser_fail(p, "Station port number not specified");
	b->loc_rib_table[0] = p->config->default_table[NET_IP4];
	b->loc_rib_table[1] = p->config->default_table[NET_IP6];
}

const struct proto_grammar grammar_bmp = {
	.word = "bmp",
	.type = PROTO_BMP,
	.type_name = "BMP",
	.body_size = sizeof(struct bmp_config),
	.init = bmp_init,
	.item = bmp_item,
	.finish = bmp_finish,
};
