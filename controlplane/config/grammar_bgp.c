/* SPDX-License-Identifier: BSD-2-Clause */
/* protocol bgp: its options. What they must fulfil together is in grammar_bgp_check.c, channels in
 * grammar_bgp_channel.c. */
#include "controlplane/config/grammar_bgp.h"
#include <string.h>

static void init(struct parser *p, struct proto_config *pc, void *body)
{
	struct bgp_body *b = body;
	struct bgp_config *c = &b->bgp;

	c->local_port = c->remote_port = 179;
	c->dynamic_name = "dynbgp";
	c->setkey = true;
	c->check_link = TRI_UNSET;
	c->capabilities = c->enable_refresh = c->enable_enhanced_refresh = c->enable_as4 = true;
	c->gr_mode = GR_AWARE;
	c->gr_time = 120;
	c->max_gr_time = UINT32_MAX;
	c->llgr_time = 3600;
	c->max_llgr_time = UINT32_MAX;
	c->interpret_communities = true;
	c->hold_time = 240;
	c->startup_hold_time = 240;
	c->send_hold_time = UINT32_MAX;
	c->connect_delay = 5;
	c->connect_retry = 120;
	c->error_wait_min = 60;
	c->error_wait_max = 300;
	c->error_forget = 300;
	c->path_metric = c->igp_metric = true;
	c->default_local_pref = 100;
	c->role = BGP_ROLE_NONE;
	c->bfd_strict_hold = 30;
	bfd_options_init(&c->bfd_options);
}

static uint16_t port(struct parser *p)
{
	return (uint16_t)parser_number_in(p, 1, UINT16_MAX, "Invalid port number");
}

static bool is_ip(const struct parser *p)
{
	return p->tok.kind == TOK_IP4 || p->tok.kind == TOK_IP6 || p->tok.kind == '(' || parser_symbol(p);
}

const char *grammar_ip_scope(struct parser *p)
{
	const char *name;

	if (!parser_accept_char(p, '%'))
		return NULL;
	if (p->tok.kind == TOK_TEXT) {
		name = p->tok.text;
		parser_next(p);
		return name;
	}
	return parser_name(p);
}

/* local [IP[%if]] { port N | as N } */
static void local(struct parser *p, void *target)
{
	struct bgp_config *c = target;

	if (!parser_is(p, "as") && !parser_is(p, "port") && is_ip(p)) {
		const char *ifname;

		c->local = parser_ip(p);
		ifname = grammar_ip_scope(p);
		if (ifname)
			c->ifname = ifname;
	}
	for (;;) {
		if (parser_accept(p, "as"))
			c->local_as = parser_number(p);
		else if (parser_accept(p, "port"))
			c->local_port = port(p);
		else
			return;
	}
}

/* neighbor [IP[%if] | range PREFIX | interface "if"] { port N | as N | internal | external | onlink } */
static void neighbor(struct parser *p, void *target)
{
	struct bgp_config *c = target;
	bool again = c->has_range || c->unnumbered || !ipaddr_is_zero(&c->remote), given = false;

	if (parser_accept(p, "range")) {
		given = true;
		c->range = parser_prefix(p);
		c->has_range = true;
	} else if (parser_accept(p, "interface")) {
		given = c->unnumbered = true;
		c->ifname = parser_text(p);
	} else if (!parser_is(p, "as") && !parser_is(p, "port") && is_ip(p)) {
		const char *ifname;

		given = true;
		c->remote = parser_ip(p);
		ifname = grammar_ip_scope(p);
		if (ifname)
			c->ifname = ifname;
	}
	for (;;) {
		if (parser_accept(p, "as"))
			c->remote_as = parser_number(p);
		else if (parser_accept(p, "port"))
			c->remote_port = port(p);
		else if (parser_accept(p, "internal"))
			c->peer_type = BGP_PEER_INTERNAL;
		else if (parser_accept(p, "external"))
			c->peer_type = BGP_PEER_EXTERNAL;
		else if (parser_accept(p, "onlink"))
			c->onlink = true;
		else
			break;
	}
	if (again && given)
		parser_fail(p, "Only one neighbor per BGP instance is allowed");
}

static void interface(struct parser *p, void *target)
{
	struct bgp_config *c = target;

	if (p->tok.kind != TOK_TEXT && p->tok.kind != '(' && !parser_symbol(p))
		parser_syntax_error(p, "CF_SYM_KNOWN or TEXT or '(' or RANGE");
	c->ifname = parser_text(p);
}

static void interface_range(struct parser *p, void *target)
{
	((struct bgp_config *)target)->iface_range = grammar_iface_pattern(p, false);
}

static void direct(struct parser *p, void *target)
{
	struct bgp_body *b = target;

	b->bgp.multihop = 0;
	b->multihop_set = true;
}

static void multihop(struct parser *p, void *target)
{
	struct bgp_body *b = target;

	b->bgp.multihop = parser_is_char(p, ';') ? 64 : parser_number(p);
	b->multihop_set = true;
	if (b->bgp.multihop < 1 || b->bgp.multihop > 255)
		parser_fail(p, "Multihop must be in range 1-255");
}

static void dynamic_name(struct parser *p, void *target)
{
	struct bgp_config *c = target;

	if (p->tok.kind != TOK_TEXT && p->tok.kind != '(' && !parser_symbol(p))
		parser_syntax_error(p, "CF_SYM_KNOWN or TEXT or '(' or DIGITS");
	c->dynamic_name = parser_text(p);
	if (strchr(c->dynamic_name, '%'))
		parser_fail(p, "Forbidden character '%%' in dynamic name");
	if (strlen(c->dynamic_name) > 48)
		parser_fail(p, "Dynamic name too long");
}

static void dynamic_digits(struct parser *p, void *target)
{
	struct bgp_config *c = target;

	c->dynamic_name_digits = parser_number(p);
	if (c->dynamic_name_digits > 10)
		parser_fail(p, "Dynamic name digits must be at most 10");
}

static void authentication(struct parser *p, void *target)
{
	struct bgp_config *c = target;

	if (parser_accept(p, "none"))
		c->auth = BGP_AUTH_NONE;
	else if (parser_accept(p, "md5"))
		c->auth = BGP_AUTH_MD5;
	else if (parser_accept(p, "ao"))
		c->auth = BGP_AUTH_AO;
	else
		parser_syntax_error(p, "NONE or MD5 or AO");
}

static uint32_t ao_id(struct parser *p)
{
	uint32_t id = parser_number(p);

	if (id > 255)
		parser_fail(p, "Key ID must be in range 0-255");
	return id;
}

static const char *ao_algorithm(struct parser *p)
{
	static const char *const hashes[] = {"md5", "sha1", "sha224", "sha256", "sha384", "sha512"};
	bool hmac = parser_accept(p, "hmac");

	if (!hmac && parser_accept(p, "cmac")) {
		parser_expect(p, "aes128");
		return "cmac(aes128)";
	}
	for (size_t i = 0; hmac && i < sizeof(hashes) / sizeof(hashes[0]); i++)
		if (parser_accept(p, hashes[i]))
			return arena_printf(p->arena, "hmac(%s)", hashes[i]);
	if (!hmac && (parser_accept(p, "keyed") || parser_is(p, "blake2s128") || parser_is(p, "blake2s256") ||
			     parser_is(p, "blake2b256") || parser_is(p, "blake2b512"))) {
		parser_next(p);
		parser_fail(p, "Unknown algorithm for TCP-AO");
	}
	parser_syntax_error(p, NULL);
}

/* { id N; send id N; recv id N; secret "x"|hex; algorithm A; preferred; deprecated; } */
static struct ao_key *ao_key(struct parser *p)
{
	struct ao_key *k = arena_alloc(p->arena, sizeof(*k));
	uint32_t send = UINT32_MAX, recv = UINT32_MAX;

	k->algorithm = "hmac(sha1)";
	parser_expect_char(p, '{');
	while (!parser_is_char(p, '}')) {
		if (parser_accept(p, "id")) {
			send = recv = ao_id(p);
		} else if (parser_accept(p, "send")) {
			parser_expect(p, "id");
			send = ao_id(p);
		} else if (parser_accept(p, "recv")) {
			parser_expect(p, "id");
			recv = ao_id(p);
		} else if (parser_accept(p, "secret")) {
			if (p->tok.kind == TOK_BYTES) {
				k->secret = (const char *)p->tok.bytes->data;
				k->secret_len = p->tok.bytes->len;
				parser_next(p);
			} else {
				k->secret = parser_text(p);
				k->secret_len = (uint32_t)strlen(k->secret);
			}
		} else if (parser_accept(p, "algorithm")) {
			k->algorithm = ao_algorithm(p);
		} else if (parser_accept(p, "preferred")) {
			k->preferred = parser_switch(p);
		} else if (parser_accept(p, "deprecated")) {
			k->deprecated = parser_switch(p);
		} else if (!parser_is_char(p, ';')) {
			parser_syntax_error(p, NULL);
		}
		parser_expect_char(p, ';');
	}
	if (send == UINT32_MAX)
		parser_fail(p, "No key Send ID");
	if (recv == UINT32_MAX)
		parser_fail(p, "No key Recv ID");
	k->send_id = (uint8_t)send;
	k->recv_id = (uint8_t)recv;
	if (!k->secret_len)
		parser_fail(p, "No secret defined for key %u/%u", send, recv);
	if (k->secret_len > 80) /* TCP_AO_MAXKEYLEN */
		parser_fail(p, "Secret of key %u/%u is longer than 80 characters", send, recv);
	parser_next(p);
	return k;
}

static void keys(struct parser *p, void *target)
{
	struct bgp_config *c = target;
	struct ao_key **link = &c->ao_keys;

	c->ao_keys = NULL; /* not added to a template's */
	parser_expect_char(p, '{');
	while (!parser_accept_char(p, '}')) {
		if (!parser_accept(p, "key"))
			parser_syntax_error(p, "'}' or KEY");
		*link = ao_key(p);
		link = &(*link)->next;
		parser_expect_char(p, ';');
	}
	for (const struct ao_key *k = c->ao_keys; k; k = k->next) {
		for (const struct ao_key *other = k->next; other; other = other->next) {
			if (k->send_id == other->send_id)
				parser_fail(p, "Multiple keys with Send ID %u", k->send_id);
			if (k->recv_id == other->recv_id)
				parser_fail(p, "Multiple keys with Recv ID %u", k->recv_id);
		}
	}
}

static void rr_cluster_id(struct parser *p, void *target)
{
	((struct bgp_config *)target)->rr_cluster_id = grammar_router_id(p);
}

static void allow_local_as(struct parser *p, void *target)
{
	struct bgp_config *c = target;

	c->allow_local_as = parser_is_char(p, ';') ? UINT32_MAX : parser_number(p);
}

static enum gr_mode gr_mode(struct parser *p)
{
	if (parser_accept(p, "aware"))
		return GR_AWARE;
	return parser_switch(p) ? GR_ON : GR_OFF;
}

static void graceful_restart(struct parser *p, void *target)
{
	((struct bgp_config *)target)->gr_mode = gr_mode(p);
}

static void long_lived(struct parser *p, void *target)
{
	struct bgp_body *b = target;

	b->bgp.llgr_mode = gr_mode(p);
	b->llgr_set = true;
}

/* RFC 4486 and RFC 8538 subcodes; all but a collision, which is nobody's fault */
#define CEASE_ON 0x17f

static void disable_after_cease(struct parser *p, void *target)
{
	static const struct word_bit bits[] = {
		{"cease", 1 << 0},
		{"prefix limit hit", 1 << 1},
		{"administrative shutdown", 1 << 2},
		{"peer deconfigured", 1 << 3},
		{"administrative reset", 1 << 4},
		{"connection rejected", 1 << 5},
		{"configuration change", 1 << 6},
		{"connection collision", 1 << 7},
		{"out of resources", 1 << 8},
	};
	struct bgp_config *c = target;

	if (parser_is_char(p, '{'))
		c->disable_after_cease = option_bits(p, bits, sizeof(bits) / sizeof(bits[0]));
	else
		c->disable_after_cease = parser_switch(p) ? CEASE_ON : 0;
}

static void hold_time(struct parser *p, void *target)
{
	struct bgp_config *c = target;

	c->hold_time = parser_number(p);
	if ((c->hold_time && c->hold_time < 3) || c->hold_time > UINT16_MAX)
		parser_fail(p, "Hold time must be in range 3-65535 or zero");
}

static void start_delay(struct parser *p, void *target)
{
	struct bgp_config *c = target;
	struct token value = p->tok;

	c->connect_delay = parser_number(p);
	parser_warn(p, &value, "%s: Start delay time option is deprecated, use connect delay time",
		grammar_of(p)->proto->name);
}

static void error_wait(struct parser *p, void *target)
{
	struct bgp_config *c = target;

	c->error_wait_min = parser_number(p);
	parser_expect_char(p, ',');
	c->error_wait_max = parser_number(p);
}

static void role(struct parser *p, void *target)
{
	struct bgp_config *c = target;

	if (parser_accept(p, "peer"))
		c->role = BGP_ROLE_PEER;
	else if (parser_accept(p, "provider"))
		c->role = BGP_ROLE_PROVIDER;
	else if (parser_accept(p, "customer"))
		c->role = BGP_ROLE_CUSTOMER;
	else if (parser_accept(p, "rs_server"))
		c->role = BGP_ROLE_RS_SERVER;
	else if (parser_accept(p, "rs_client"))
		c->role = BGP_ROLE_RS_CLIENT;
	else
		parser_syntax_error(p, NULL);
}

/* bfd sw | graceful | { opts } ; ours: bfd strict [hold time N] */
static void bfd(struct parser *p, void *target)
{
	struct bgp_config *c = target;

	if (parser_accept(p, "graceful")) {
		c->bfd = BGP_BFD_GRACEFUL;
	} else if (parser_accept(p, "strict")) {
		if (parser_accept(p, "hold")) {
			parser_expect(p, "time");
			c->bfd_strict_hold = parser_number(p);
		}
		c->bfd_strict = true;
		if (c->bfd == BGP_BFD_OFF)
			c->bfd = BGP_BFD_ON;
	} else if (parser_is_char(p, '{')) {
		c->bfd_options.graceful = c->bfd == BGP_BFD_GRACEFUL;
		grammar_bfd_options(p, &c->bfd_options, true);
		c->bfd = c->bfd_options.graceful ? BGP_BFD_GRACEFUL : BGP_BFD_ON;
	} else if (parser_switch(p)) {
		if (c->bfd == BGP_BFD_OFF)
			c->bfd = BGP_BFD_ON;
	} else {
		c->bfd = BGP_BFD_OFF;
		c->bfd_strict = false;
		bfd_options_init(&c->bfd_options);
	}
}

#define FIELD(f) .offset = offsetof(struct bgp_config, f)
#define SWITCH(w, f)                                                                                         \
	{                                                                                                    \
		.words = (w), .kind = OPT_SWITCH, FIELD(f)                                                   \
	}
#define NUMBER(w, f)                                                                                         \
	{                                                                                                    \
		.words = (w), .kind = OPT_NUMBER, FIELD(f)                                                   \
	}
#define CUSTOM(w, fn)                                                                                        \
	{                                                                                                    \
		.words = (w), .kind = OPT_CUSTOM, .parse = (fn)                                              \
	}
#define GR_TIME(w, f, name)                                                                                  \
	{                                                                                                    \
		.words = (w), .kind = OPT_NUMBER, FIELD(f), .max = 4095,                                     \
		.range = name " must be less than 4096"                                                      \
	}
#define LLGR_TIME(w, f, name)                                                                                \
	{                                                                                                    \
		.words = (w), .kind = OPT_NUMBER, FIELD(f), .max = (1 << 24) - 1,                            \
		.range = name " must be less than 2^24"                                                      \
	}

static const struct option options[] = {
	CUSTOM("local", local),
	CUSTOM("neighbor", neighbor),
	CUSTOM("interface", interface),
	CUSTOM("interface range", interface_range),
	SWITCH("onlink", onlink),
	{.words = "source address", .kind = OPT_IP, FIELD(local)},
	CUSTOM("direct", direct),
	CUSTOM("multihop", multihop),
	CUSTOM("dynamic name", dynamic_name),
	CUSTOM("dynamic name digits", dynamic_digits),
	SWITCH("strict bind", strict_bind),
	SWITCH("free bind", free_bind),
	{.words = "check link", .kind = OPT_TRISTATE, FIELD(check_link)},
	SWITCH("ttl security", ttl_security),
	CUSTOM("authentication", authentication),
	{.words = "password", .kind = OPT_TEXT, FIELD(password)},
	CUSTOM("keys", keys),
	SWITCH("setkey", setkey),
	SWITCH("passive", passive),
	NUMBER("confederation", confederation),
	SWITCH("confederation member", confederation_member),
	SWITCH("rr client", rr_client),
	CUSTOM("rr cluster id", rr_cluster_id),
	SWITCH("rs client", rs_client),
	SWITCH("allow bgp_local_pref", allow_local_pref),
	SWITCH("allow bgp_med", allow_med),
	CUSTOM("allow local as", allow_local_as),
	SWITCH("allow as sets", allow_as_sets),
	SWITCH("enforce first as", enforce_first_as),
	SWITCH("capabilities", capabilities),
	SWITCH("enable route refresh", enable_refresh),
	SWITCH("enable enhanced route refresh", enable_enhanced_refresh),
	SWITCH("enable as4", enable_as4),
	SWITCH("enable extended messages", enable_extended_messages),
	SWITCH("advertise hostname", advertise_hostname),
	SWITCH("advertise software version", advertise_software_version),
	SWITCH("require route refresh", require_refresh),
	SWITCH("require enhanced route refresh", require_enhanced_refresh),
	SWITCH("require as4", require_as4),
	SWITCH("require extended messages", require_extended_messages),
	SWITCH("require hostname", require_hostname),
	SWITCH("require graceful restart", require_gr),
	SWITCH("require long lived graceful restart", require_llgr),
	CUSTOM("graceful restart", graceful_restart),
	GR_TIME("graceful restart time", gr_time, "Graceful restart time"),
	GR_TIME("min graceful restart time", min_gr_time, "Min graceful restart time"),
	GR_TIME("max graceful restart time", max_gr_time, "Max graceful restart time"),
	CUSTOM("long lived graceful restart", long_lived),
	LLGR_TIME("long lived stale time", llgr_time, "Long-lived stale time"),
	LLGR_TIME("min long lived stale time", min_llgr_time, "Min long-lived stale time"),
	LLGR_TIME("max long lived stale time", max_llgr_time, "Max long-lived stale time"),
	SWITCH("graceful shutdown", graceful_shutdown),
	SWITCH("graceful shutdown receive", graceful_shutdown_receive),
	SWITCH("interpret communities", interpret_communities),
	SWITCH("disable after error", disable_after_error),
	CUSTOM("disable after cease", disable_after_cease),
	CUSTOM("hold time", hold_time),
	NUMBER("min hold time", min_hold_time),
	NUMBER("startup hold time", startup_hold_time),
	NUMBER("keepalive time", keepalive_time),
	NUMBER("min keepalive time", min_keepalive_time),
	NUMBER("send hold time", send_hold_time),
	NUMBER("connect delay time", connect_delay),
	CUSTOM("start delay time", start_delay),
	NUMBER("connect retry time", connect_retry),
	CUSTOM("error wait time", error_wait),
	NUMBER("error forget time", error_forget),
	SWITCH("path metric", path_metric),
	SWITCH("igp metric", igp_metric),
	SWITCH("med metric", med_metric),
	SWITCH("deterministic med", deterministic_med),
	SWITCH("prefer older", prefer_older),
	NUMBER("default bgp_med", default_med),
	NUMBER("default bgp_local_pref", default_local_pref),
	CUSTOM("local role", role),
	SWITCH("require roles", require_roles),
	CUSTOM("bfd", bfd),
	SWITCH("disable rx", disable_rx),
};

static bool item(struct parser *p, struct proto_config *pc, void *body)
{
	const struct option_set set = OPTION_SET(options, body);

	return option_parse(p, &set, 1);
}

const struct proto_grammar grammar_bgp = {
	.word = "bgp",
	.type = PROTO_BGP,
	.type_name = "BGP",
	.body_size = sizeof(struct bgp_body),
	.preference = 100,
	.nets = NET_BIT(NET_IP4) | NET_BIT(NET_IP6) | NET_BIT(NET_VPN4) | NET_BIT(NET_VPN6) |
		NET_BIT(NET_FLOW4) | NET_BIT(NET_FLOW6) | NET_BIT(NET_EVPN) | NET_BIT(NET_MPLS) |
		NET_BIT(NET_NEIGHBOR),
	.init = init,
	.item = item,
	.finish = bgp_finish,
};
