/* SPDX-License-Identifier: BSD-2-Clause */
/* protocol bfd, and the session options that BGP's `bfd { }` shares with it. */
#include "controlplane/config/grammar.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

void bfd_options_init(struct bfd_options *o)
{
	memset(o, 0, sizeof(*o));
	o->min_rx_us = 10000;
	o->min_tx_us = 100000;
	o->idle_tx_us = 1000000;
	o->multiplier = 5;
}

static uint32_t interval(struct parser *p)
{
	struct token value = p->tok;
	uint64_t us = parser_time_us(p);

	if (us > UINT32_MAX)
		parser_fail_at(p, &value, "Time out of range");
	return (uint32_t)us;
}

static void both(struct parser *p, void *target)
{
	struct bfd_options *o = target;

	o->min_rx_us = o->min_tx_us = interval(p);
	o->set_min_rx = o->set_min_tx = true;
}

static void min_rx(struct parser *p, void *target)
{
	struct bfd_options *o = target;

	o->min_rx_us = interval(p);
	o->set_min_rx = true;
}

static void min_tx(struct parser *p, void *target)
{
	struct bfd_options *o = target;

	o->min_tx_us = interval(p);
	o->set_min_tx = true;
}

static void idle_tx(struct parser *p, void *target)
{
	struct bfd_options *o = target;

	o->idle_tx_us = interval(p);
	o->set_idle = true;
}

static void multiplier(struct parser *p, void *target)
{
	struct bfd_options *o = target;

	o->multiplier = (uint8_t)parser_number_in(p, 1, 255, "Multiplier must be in range 1-255");
	o->set_mult = true;
}

static void passive(struct parser *p, void *target)
{
	struct bfd_options *o = target;

	o->passive = parser_switch(p);
	o->set_passive = true;
}

/* Ours: what BIRD does not have. */

static void demand(struct parser *p, void *target)
{
	struct bfd_options *o = target;

	o->demand = parser_switch(p);
	o->set_demand = true;
}

static void echo_interval(struct parser *p, void *target)
{
	struct bfd_options *o = target;

	o->echo_tx_us = interval(p);
	o->set_echo = true;
}

static void echo_rx_interval(struct parser *p, void *target)
{
	struct bfd_options *o = target;

	o->echo_min_rx_us = interval(p);
	o->set_echo_rx = true;
}

static void pdu_size(struct parser *p, void *target)
{
	struct bfd_options *o = target;
	struct token value = p->tok;
	uint32_t n = parser_number(p);

	if (n && (n < 52 || n > 9188))
		parser_fail_at(p, &value, "PDU size must be 0 or in range 52-9188");
	o->pdu_size = (uint16_t)n;
	o->set_pdu = true;
}

static void min_ttl(struct parser *p, void *target)
{
	struct bfd_options *o = target;

	o->min_ttl = (uint8_t)parser_number_in(p, 1, 255, "TTL must be in range 1-255");
	o->set_ttl = true;
}

/* dampening SWITCH | { flaps N; within T; hold T; max hold T; } */
static void dampening(struct parser *p, void *target)
{
	struct bfd_options *o = target;
	struct token start = p->tok;

	o->set_damp = true;
	o->damp_within_us = 15000000;
	o->damp_hold_us = 5000000;
	o->damp_max_us = 60000000;
	if (!parser_accept_char(p, '{')) {
		o->damp_flaps = parser_switch(p) ? 3 : 0;
		return;
	}
	o->damp_flaps = 3;
	while (!parser_accept_char(p, '}')) {
		if (parser_accept(p, "flaps")) {
			struct token value = p->tok;
			uint32_t n = parser_number(p);

			if (n < 2 || n > BFD_DAMP_FLAPS)
				parser_fail_at(p, &value, "Flaps must be in range 2-%d", BFD_DAMP_FLAPS);
			o->damp_flaps = (uint8_t)n;
		} else if (parser_accept(p, "within")) {
			o->damp_within_us = interval(p);
		} else if (parser_accept(p, "hold")) {
			o->damp_hold_us = interval(p);
		} else if (parser_accept(p, "max")) {
			parser_expect(p, "hold");
			o->damp_max_us = interval(p);
		} else if (!parser_is_char(p, ';')) {
			parser_syntax_error(p, "FLAPS or WITHIN or HOLD or MAX");
		}
		parser_expect_char(p, ';');
	}
	if (!o->damp_within_us || !o->damp_hold_us || o->damp_max_us < o->damp_hold_us)
		parser_fail_at(p, &start, "Dampening needs times above 0, and max hold not below hold");
}

static void authentication(struct parser *p, void *target)
{
	struct bfd_options *o = target;
	bool meticulous;

	o->set_auth = true;
	if (parser_accept(p, "none")) {
		o->auth_type = BFD_AUTH_NONE;
		return;
	}
	if (parser_accept(p, "simple")) {
		o->auth_type = BFD_AUTH_SIMPLE;
		return;
	}
	meticulous = parser_accept(p, "meticulous");
	if (!parser_accept(p, "keyed"))
		parser_syntax_error(p, meticulous ? "KEYED" : "NONE or SIMPLE or METICULOUS or KEYED");
	if (parser_accept(p, "md5"))
		o->auth_type = meticulous ? BFD_AUTH_METICULOUS_MD5 : BFD_AUTH_KEYED_MD5;
	else if (parser_accept(p, "sha1"))
		o->auth_type = meticulous ? BFD_AUTH_METICULOUS_SHA1 : BFD_AUTH_KEYED_SHA1;
	else
		parser_syntax_error(p, "MD5 or SHA1");
}

/* "YYYY-MM-DD [HH:MM[:SS]]", local time */
static time_t date(struct parser *p)
{
	struct token value = p->tok;
	const char *text = parser_text(p);
	struct tm tm = {.tm_isdst = -1};
	int n = 0, fields;

	fields = sscanf(text, "%d-%d-%d%n %d:%d%n:%d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &n,
		&tm.tm_hour, &tm.tm_min, &n, &tm.tm_sec, &n);
	if (fields < 3 || fields == 4 || text[n] || tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 ||
		tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 ||
		tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60)
		parser_fail_at(p, &value, "Invalid date/time");
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return mktime(&tm);
}

/*
 * { id N; generate from|to T; accept from|to T; from|to T; }
 * The engine knows no calendar: whether a key is within its dates is decided
 * when the configuration is read.
 */
static void password_options(struct parser *p, struct bfd_auth_key *k)
{
	time_t now = time(NULL);
	uint32_t id = k->id;

	while (!parser_is_char(p, '}')) {
		bool generate = true, accept = true;

		if (parser_is_char(p, ';')) {
			parser_next(p);
			continue;
		}
		if (parser_accept(p, "id")) {
			id = parser_number(p);
			parser_expect_char(p, ';');
			continue;
		}
		if (parser_accept(p, "algorithm")) {
			/* of OSPF and Babel; BFD has its own authentication option */
			while (parser_is_word(p))
				parser_next(p);
			parser_expect_char(p, ';');
			continue;
		}
		if (parser_accept(p, "generate"))
			accept = false;
		else if (parser_accept(p, "accept"))
			generate = false;
		if (parser_accept(p, "from")) {
			bool early = date(p) > now;

			k->send &= !(generate && early);
			k->accept &= !(accept && early);
		} else if (parser_accept(p, "to")) {
			bool late = date(p) <= now;

			k->send &= !(generate && late);
			k->accept &= !(accept && late);
		} else {
			parser_syntax_error(p, NULL);
		}
		parser_expect_char(p, ';');
	}
	if (id > 255)
		parser_fail(p, "Password ID must be in range 0-255");
	k->id = (uint8_t)id;
	parser_next(p);
}

/* after the word password; ends before ';' */
static void password(struct parser *p, void *target)
{
	struct bfd_options *o = target;
	struct bfd_auth_key k = {.send = true, .accept = true, .id = (uint8_t)(o->n_keys + 1)};
	struct token value = p->tok;
	const void *secret;
	size_t len;

	if (p->tok.kind == TOK_BYTES) {
		secret = p->tok.bytes->data;
		len = p->tok.bytes->len;
		parser_next(p);
	} else {
		secret = parser_text(p);
		len = strlen(secret);
	}
	if (!len)
		parser_fail_at(p, &value, "BFD password must not be empty");
	if (len > sizeof(k.secret)) {
		parser_warn(p, &value, "BFD password is cut to %zu characters", sizeof(k.secret));
		len = sizeof(k.secret);
	}
	memcpy(k.secret, secret, len);
	k.len = (uint8_t)len;
	if (parser_accept_char(p, '{'))
		password_options(p, &k);
	if (o->n_keys == BFD_AUTH_KEYS) {
		parser_warn(p, &value, "Only %d BFD passwords are used", BFD_AUTH_KEYS);
		return;
	}
	o->keys[o->n_keys++] = k;
}

static void passwords(struct parser *p, void *target)
{
	parser_expect_char(p, '{');
	while (!parser_accept_char(p, '}')) {
		if (parser_accept(p, "password"))
			password(p, target);
		else if (!parser_is_char(p, ';'))
			parser_syntax_error(p, "PASSWORD or '}'");
		parser_expect_char(p, ';');
	}
}

const struct option bfd_session_options[] = {
	{.words = "interval", .kind = OPT_CUSTOM, .parse = both},
	{.words = "min rx interval", .kind = OPT_CUSTOM, .parse = min_rx},
	{.words = "min tx interval", .kind = OPT_CUSTOM, .parse = min_tx},
	{.words = "idle tx interval", .kind = OPT_CUSTOM, .parse = idle_tx},
	{.words = "multiplier", .kind = OPT_CUSTOM, .parse = multiplier},
	{.words = "passive", .kind = OPT_CUSTOM, .parse = passive},
	{.words = "demand", .kind = OPT_CUSTOM, .parse = demand},
	{.words = "echo interval", .kind = OPT_CUSTOM, .parse = echo_interval},
	{.words = "echo rx interval", .kind = OPT_CUSTOM, .parse = echo_rx_interval},
	{.words = "pdu size", .kind = OPT_CUSTOM, .parse = pdu_size},
	{.words = "min ttl", .kind = OPT_CUSTOM, .parse = min_ttl},
	{.words = "dampening", .kind = OPT_CUSTOM, .parse = dampening},
	{.words = "authentication", .kind = OPT_CUSTOM, .parse = authentication},
	{.words = "password", .kind = OPT_CUSTOM, .parse = password},
	{.words = "passwords", .kind = OPT_CUSTOM, .parse = passwords},
};
const size_t n_bfd_session_options = sizeof(bfd_session_options) / sizeof(bfd_session_options[0]);

static const struct option bgp_options[] = {
	{.words = "graceful", .kind = OPT_SWITCH, .offset = offsetof(struct bfd_options, graceful)},
};

void grammar_bfd_options(struct parser *p, struct bfd_options *o, bool bgp)
{
	const struct option_set sets[] = {
		{bfd_session_options, n_bfd_session_options, o},
		OPTION_SET(bgp_options, o),
	};
	bool first_password = true;

	parser_expect_char(p, '{');
	while (!parser_is_char(p, '}')) {
		/* a block's passwords replace those that came with a template */
		if (first_password && (parser_is(p, "password") || parser_is(p, "passwords"))) {
			first_password = false;
			o->n_keys = 0;
		}
		if (!option_parse(p, sets, bgp ? 2 : 1) && !parser_is_char(p, ';'))
			parser_syntax_error(p, NULL);
		parser_expect_char(p, ';');
	}
	if ((o->auth_type != BFD_AUTH_NONE) != (o->n_keys != 0))
		parser_warn(p, &p->tok, "Authentication and password options should be used together");
	if (!o->n_keys)
		o->auth_type = BFD_AUTH_NONE;
	/* RFC 5880 section 4.2-4.4: 16 bytes for all but SHA1 */
	if (o->auth_type == BFD_AUTH_SIMPLE || o->auth_type == BFD_AUTH_KEYED_MD5 ||
		o->auth_type == BFD_AUTH_METICULOUS_MD5)
		for (unsigned i = 0; i < o->n_keys; i++)
			o->keys[i].len = o->keys[i].len > 16 ? 16 : o->keys[i].len;
	parser_next(p);
}

/* ---- protocol bfd ---- */

static void init(struct parser *p, struct proto_config *pc, void *body)
{
	struct bfd_config *b = body;

	b->accept_ipv4 = b->accept_ipv6 = b->accept_direct = b->accept_multihop = true;
	CDS_INIT_LIST_HEAD(&b->ifaces);
	CDS_INIT_LIST_HEAD(&b->neighbors);
	bfd_options_init(&b->multihop);
}

static void inherit(struct parser *p, struct proto_config *pc, void *body)
{
	const struct bfd_config *parent = pc->parent->body;
	const struct bfd_iface_config *i;
	const struct bfd_neighbor_config *n;
	struct bfd_config *b = body;

	CDS_INIT_LIST_HEAD(&b->ifaces);
	CDS_INIT_LIST_HEAD(&b->neighbors);
	cds_list_for_each_entry(i, &parent->ifaces, node)
	{
		struct bfd_iface_config *copy = arena_memdup(p->arena, i, sizeof(*i));

		cds_list_add_tail(&copy->node, &b->ifaces);
	}
	cds_list_for_each_entry(n, &parent->neighbors, node)
	{
		struct bfd_neighbor_config *copy = arena_memdup(p->arena, n, sizeof(*n));

		cds_list_add_tail(&copy->node, &b->neighbors);
	}
}

/* accept [ipv4|ipv6] [direct|multihop]; several add up */
static void accept_kinds(struct parser *p, void *target)
{
	struct bfd_config *b = target;

	b->accept_ipv4 = b->accept_ipv6 = b->accept_direct = b->accept_multihop = true;
	for (;;) {
		if (parser_accept(p, "ipv4"))
			b->accept_ipv6 = false;
		else if (parser_accept(p, "ipv6"))
			b->accept_ipv4 = false;
		else if (parser_accept(p, "direct"))
			b->accept_multihop = false;
		else if (parser_accept(p, "multihop"))
			b->accept_direct = false;
		else
			return;
	}
}

static void interface(struct parser *p, void *target)
{
	struct bfd_iface_config *i = arena_alloc(p->arena, sizeof(*i));
	struct bfd_config *b = target;

	bfd_options_init(&i->options);
	i->pattern = grammar_iface_pattern(p, true);
	if (parser_is_char(p, '{'))
		grammar_bfd_options(p, &i->options, false);
	cds_list_add_tail(&i->node, &b->ifaces);
}

static void multihop(struct parser *p, void *target)
{
	struct bfd_config *b = target;

	bfd_options_init(&b->multihop);
	b->has_multihop = true;
	grammar_bfd_options(p, &b->multihop, false);
}

/* neighbor IP [%if | dev "if"] [local IP] [multihop sw]; ours: [echo only] [sbfd DISCRIMINATOR] [{ options }]
 */
static void neighbor(struct parser *p, void *target)
{
	struct bfd_neighbor_config *n = arena_alloc(p->arena, sizeof(*n));
	struct bfd_config *b = target;

	n->addr = parser_ip(p);
	n->ifname = grammar_ip_scope(p);
	for (;;) {
		if (parser_accept(p, "dev"))
			n->ifname = parser_text(p);
		else if (parser_accept(p, "local"))
			n->local = parser_ip(p);
		else if (parser_accept(p, "multihop"))
			n->multihop = parser_switch(p);
		else if (parser_accept(p, "echo")) {
			parser_expect(p, "only");
			n->echo_only = true;
		} else if (parser_accept(p, "sbfd")) {
			n->sbfd_disc = parser_number(p);
			if (!n->sbfd_disc)
				parser_fail(p, "An S-BFD discriminator is not 0");
		} else
			break;
	}
	if ((n->multihop || n->sbfd_disc) && n->echo_only)
		parser_fail(p, "Echo works over one hop only");
	if (n->multihop && n->sbfd_disc)
		parser_fail(p, "S-BFD is multihop by itself");
	if (n->sbfd_disc && n->ifname)
		parser_fail(p, "S-BFD neighbor cannot have an interface");
	if (n->echo_only && !n->ifname)
		parser_fail(p, "Echo-only neighbor requires an interface");
	if (n->multihop && ipaddr_is_zero(&n->local))
		parser_fail(p, "Multihop neighbor requires specified local address");
	if (n->multihop && n->ifname)
		parser_fail(p, "Neighbor cannot set both interface and multihop");
	bfd_options_init(&n->options);
	if (parser_is_char(p, '{'))
		grammar_bfd_options(p, &n->options, false);
	cds_list_add_tail(&n->node, &b->neighbors);
}

/* unsolicited SWITCH | { interface P; allow PREFIX, ...; limit N; keep T; } */
static void unsolicited(struct parser *p, void *target)
{
	struct bfd_config *b = target;
	struct bfd_unsolicited_config *u = &b->unsolicited;

	*u = (struct bfd_unsolicited_config){.on = true, .limit = 256, .keep_us = 60000000};
	if (!parser_accept_char(p, '{')) {
		u->on = parser_switch(p);
		return;
	}
	while (!parser_accept_char(p, '}')) {
		if (parser_accept(p, "interface")) {
			u->pattern = grammar_iface_pattern(p, true);
		} else if (parser_accept(p, "allow")) {
			do {
				if (u->n_allow == BFD_ALLOW_MAX)
					parser_fail(p, "Too many prefixes, %d are possible", BFD_ALLOW_MAX);
				u->allow[u->n_allow++] = parser_prefix(p);
			} while (parser_accept_char(p, ','));
		} else if (parser_accept(p, "limit")) {
			u->limit = parser_number(p);
		} else if (parser_accept(p, "keep")) {
			u->keep_us = interval(p);
		} else if (!parser_is_char(p, ';')) {
			parser_syntax_error(p, "INTERFACE or ALLOW or LIMIT or KEEP");
		}
		parser_expect_char(p, ';');
	}
}

/* sbfd reflector DISCRIMINATOR [min rx interval T] [{ options of a session: the interval and authentication
 * count }] */
static void reflector(struct parser *p, void *target)
{
	struct bfd_reflector *r = &((struct bfd_config *)target)->reflector;
	struct bfd_options o;

	memset(r, 0, sizeof(*r));
	r->discriminator = parser_number(p);
	if (!r->discriminator)
		parser_fail(p, "An S-BFD discriminator is not 0");
	r->params.min_rx_us = 10000;
	if (parser_accept(p, "min")) {
		parser_expect(p, "rx");
		parser_expect(p, "interval");
		r->params.min_rx_us = interval(p);
	}
	if (!parser_is_char(p, '{'))
		return;
	bfd_options_init(&o);
	grammar_bfd_options(p, &o, false);
	if (o.set_min_rx)
		r->params.min_rx_us = o.min_rx_us;
	r->params.auth_type = o.auth_type;
	for (unsigned i = 0; o.auth_type && i < o.n_keys; i++)
		r->params.auth[i] = o.keys[i];
}

static bool item(struct parser *p, struct proto_config *pc, void *body)
{
	static const struct option options[] = {
		{.words = "accept", .kind = OPT_CUSTOM, .parse = accept_kinds},
		{.words = "strict bind",
			.kind = OPT_SWITCH,
			.offset = offsetof(struct bfd_config, strict_bind)},
		{.words = "zero udp6 checksum rx",
			.kind = OPT_SWITCH,
			.offset = offsetof(struct bfd_config, zero_udp6_checksum_rx)},
		{.words = "interface", .kind = OPT_CUSTOM, .parse = interface},
		{.words = "multihop", .kind = OPT_CUSTOM, .parse = multihop},
		{.words = "neighbor", .kind = OPT_CUSTOM, .parse = neighbor},
		{.words = "unsolicited", .kind = OPT_CUSTOM, .parse = unsolicited},
		{.words = "sbfd reflector", .kind = OPT_CUSTOM, .parse = reflector},
		{.words = "workers", /* of peregrine-dp's: how many are in use */
			.kind = OPT_NUMBER,
			.offset = offsetof(struct bfd_config, workers),
			.min = 1,
			.max = 15,
			.range = "Number of workers must be in range 1-15"},
	};
	const struct option_set set = OPTION_SET(options, body);

	return option_parse(p, &set, 1);
}

const struct proto_grammar grammar_bfd = {
	.word = "bfd",
	.type = PROTO_BFD,
	.type_name = "BFD",
	.body_size = sizeof(struct bfd_config),
	.init = init,
	.inherit = inherit,
	.item = item,
};
