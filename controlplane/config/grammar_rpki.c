/* SPDX-License-Identifier: BSD-2-Clause */
/* protocol rpki: one cache server. */
#include "controlplane/config/grammar.h"
#include <string.h>

struct rpki_body {
	struct rpki_config rpki;
	bool port_set;
};

static void init(struct parser *p, struct proto_config *pc, void *body)
{
	struct rpki_config *r = body;

	r->refresh = 3600;
	r->retry = 600;
	r->expire = 7200;
	r->max_version = 2;
}

static void check_unused(struct parser *p, const struct rpki_config *r)
{
	if (r->host)
		parser_fail(p, "Only one cache server per protocol allowed");
}

static void port(struct parser *p, void *target)
{
	struct rpki_body *b = target;

	b->rpki.port = (uint16_t)parser_number_in(p, 0, UINT16_MAX, NULL);
	b->port_set = true;
}

/* remote IP|"host" [port N] */
static void remote(struct parser *p, void *target)
{
	struct rpki_config *r = target;
	const struct symbol *sym = parser_symbol(p);
	bool text =
		p->tok.kind == TOK_TEXT || (sym && sym->cls == SYM_CONSTANT && sym->value.type == T_STRING);

	check_unused(p, r);
	if (text) {
		r->host = parser_text(p);
		if (ipaddr_parse(r->host, &r->remote) < 0)
			memset(&r->remote, 0, sizeof(r->remote));
	} else {
		char buf[IPADDR_STRLEN];

		r->remote = parser_ip(p);
		r->host = arena_strdup(p->arena, ipaddr_format(&r->remote, buf));
	}
	if (parser_accept(p, "port"))
		port(p, target);
}

static uint32_t interval(struct parser *p, bool *keep, uint32_t min, uint32_t max, const char *name)
{
	struct token value;
	uint32_t n;

	*keep = parser_accept(p, "keep");
	value = p->tok;
	n = parser_number(p);
	if (n < min)
		parser_fail_at(p, &value, "Minimum allowed %s interval is %u seconds", name, min);
	if (n > max)
		parser_fail_at(p, &value, "Maximum allowed %s interval is %u seconds", name, max);
	return n;
}

static void refresh(struct parser *p, void *target)
{
	struct rpki_config *r = target;

	r->refresh = interval(p, &r->keep_refresh, 1, 86400, "refresh");
}

static void retry(struct parser *p, void *target)
{
	struct rpki_config *r = target;

	r->retry = interval(p, &r->keep_retry, 1, 7200, "retry");
}

static void expire(struct parser *p, void *target)
{
	struct rpki_config *r = target;

	r->expire = interval(p, &r->keep_expire, 600, 172800, "expire");
}

/* hold routes [timeout N] */
static void hold_routes(struct parser *p, void *target)
{
	struct rpki_config *r = target;

	r->hold_routes = true;
	r->hold_timeout = 0;
	if (parser_accept(p, "timeout"))
		r->hold_timeout =
			parser_number_in(p, 1, 86400, "Hold timeout must be in range 1-86400 seconds");
}

static uint8_t version(struct parser *p, const char *which)
{
	struct token value = p->tok;
	uint32_t n = parser_number(p);

	if (n > 2)
		parser_fail_at(
			p, &value, "RPKI version %u unsupported, %s version must be in range 0-2", n, which);
	return (uint8_t)n;
}

static void min_version(struct parser *p, void *target)
{
	((struct rpki_config *)target)->min_version = version(p, "min");
}

static void max_version(struct parser *p, void *target)
{
	((struct rpki_config *)target)->max_version = version(p, "max");
}

static void tcp(struct parser *p, void *target)
{
	struct rpki_config *r = target;
	bool md5 = false;

	r->ssh = false;
	if (!parser_accept_char(p, '{'))
		return;
	while (!parser_is_char(p, '}')) {
		if (parser_accept(p, "authentication")) {
			md5 = parser_accept(p, "md5");
			if (!md5 && !parser_accept(p, "none"))
				parser_syntax_error(p, "NONE or MD5");
		} else if (parser_accept(p, "password")) {
			r->md5_password = parser_text(p);
		} else if (!parser_is_char(p, ';')) {
			parser_syntax_error(p, "AUTHENTICATION or PASSWORD or '}'");
		}
		parser_expect_char(p, ';');
	}
	if (md5 != (r->md5_password != NULL))
		parser_fail(p, "Authentication and password options should be used together");
	parser_next(p);
}

static void ssh(struct parser *p, void *target)
{
	struct rpki_config *r = target;

	r->ssh = true;
	parser_expect_char(p, '{');
	while (!parser_is_char(p, '}')) {
		if (parser_accept(p, "bird")) {
			parser_expect(p, "private");
			parser_expect(p, "key");
			r->ssh_private_key = parser_text(p);
		} else if (parser_accept(p, "remote")) {
			parser_expect(p, "public");
			parser_expect(p, "key");
			r->ssh_public_key = parser_text(p);
		} else if (parser_accept(p, "user")) {
			r->ssh_user = parser_text(p);
		} else if (!parser_is_char(p, ';')) {
			parser_syntax_error(p, "BIRD or REMOTE or USER or '}'");
		}
		parser_expect_char(p, ';');
	}
	if (!r->ssh_user)
		parser_fail(p, "User must be set");
	parser_next(p);
}

static bool item(struct parser *p, struct proto_config *pc, void *body)
{
	static const struct option options[] = {
		{.words = "remote", .kind = OPT_CUSTOM, .parse = remote},
		{.words = "port", .kind = OPT_CUSTOM, .parse = port},
		{.words = "local address", .kind = OPT_IP, .offset = offsetof(struct rpki_config, local)},
		{.words = "refresh", .kind = OPT_CUSTOM, .parse = refresh},
		{.words = "retry", .kind = OPT_CUSTOM, .parse = retry},
		{.words = "expire", .kind = OPT_CUSTOM, .parse = expire},
		{.words = "ignore max length",
			.kind = OPT_SWITCH,
			.offset = offsetof(struct rpki_config, ignore_max_length)},
		{.words = "hold routes", .kind = OPT_CUSTOM, .parse = hold_routes},
		{.words = "min version", .kind = OPT_CUSTOM, .parse = min_version},
		{.words = "max version", .kind = OPT_CUSTOM, .parse = max_version},
		{.words = "transport tcp", .kind = OPT_CUSTOM, .parse = tcp},
		{.words = "transport ssh", .kind = OPT_CUSTOM, .parse = ssh},
	};
	const struct option_set set = OPTION_SET(options, body);

	return option_parse(p, &set, 1);
}

static void finish(struct parser *p, struct proto_config *pc, void *body)
{
	struct rpki_body *b = body;

	if (!b->rpki.host)
		parser_fail(p, "IP address or hostname of cache server must be set");
	if (pc->channels.next == &pc->channels)
		parser_fail(p, "Channel not specified");
	if (b->rpki.min_version > b->rpki.max_version)
		parser_fail(p, "Impossible min/max version for RPKI: %u/%u", b->rpki.min_version,
			b->rpki.max_version);
	if (!b->port_set)
		b->rpki.port = b->rpki.ssh ? 22 : 323;
	if (b->rpki.ssh)
		parser_warn(p, &p->tok, "%s: SSH transport is parsed but not run", pc->name);
}

const struct proto_grammar grammar_rpki = {
	.word = "rpki",
	.type = PROTO_RPKI,
	.type_name = "RPKI",
	.body_size = sizeof(struct rpki_body),
	.preference = 100,
	.nets = NET_BIT(NET_ROA4) | NET_BIT(NET_ROA6) | NET_BIT(NET_ASPA),
	.init = init,
	.item = item,
	.finish = finish,
};
