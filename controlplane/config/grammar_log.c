/* SPDX-License-Identifier: BSD-2-Clause */
/* log, debug, mrtdump and timeformat. */
#include "controlplane/config/grammar.h"
#include "shared/timefmt.h"
#include <string.h>

#define LOG_LIMIT_MIN 16384 /* below, it would do nothing but rotate */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

uint32_t grammar_debug_mask(struct parser *p)
{
	static const struct word_bit bits[] = {
		{"states", DBG_STATES},
		{"routes", DBG_ROUTES},
		{"filters", DBG_FILTERS},
		{"interfaces", DBG_INTERFACES},
		{"events", DBG_EVENTS},
		{"packets", DBG_PACKETS},
	};

	if (parser_accept(p, "all"))
		return DBG_STATES | DBG_ROUTES | DBG_FILTERS | DBG_INTERFACES | DBG_EVENTS | DBG_PACKETS;
	if (parser_accept(p, "off"))
		return 0;
	if (!parser_is_char(p, '{'))
		parser_syntax_error(p, "OFF or '{' or ALL");
	return option_bits(p, bits, COUNT(bits));
}

uint32_t grammar_mrtdump_mask(struct parser *p)
{
	static const struct word_bit bits[] = {{"states", 1}, {"messages", 2}};

	if (parser_accept(p, "all"))
		return 3;
	if (parser_accept(p, "off"))
		return 0;
	if (!parser_is_char(p, '{'))
		parser_syntax_error(p, "OFF or '{' or ALL");
	return option_bits(p, bits, COUNT(bits));
}

void grammar_debug(struct parser *p)
{
	struct config *c = p->config;

	if (parser_accept(p, "protocols"))
		c->debug_protocols = grammar_debug_mask(p);
	else if (parser_accept(p, "channels"))
		c->debug_channels = grammar_debug_mask(p);
	else if (parser_accept(p, "tables"))
		c->debug_tables = grammar_debug_mask(p);
	else if (parser_accept(p, "commands"))
		c->debug_commands = parser_number(p);
	else if (parser_accept(p, "latency")) {
		if (parser_accept(p, "limit")) {
			struct token value = p->tok;
			uint64_t us = parser_time_us(p);

			if (us > UINT32_MAX)
				parser_fail_at(p, &value, "Time out of range");
			c->latency_limit_us = (uint32_t)us;
		} else {
			c->debug_latency = parser_switch(p);
		}
	} else
		parser_syntax_error(p, NULL);
	parser_expect_char(p, ';');
}

void grammar_mrtdump(struct parser *p)
{
	struct config *c = p->config;

	if (parser_accept(p, "protocols"))
		c->mrtdump_protocols = grammar_mrtdump_mask(p);
	else
		c->mrtdump_file = parser_text(p);
	parser_expect_char(p, ';');
}

static uint32_t log_classes(struct parser *p)
{
	static const struct word_bit bits[] = {
		{"debug", 1 << LOG_CLASS_DEBUG},
		{"trace", 1 << LOG_CLASS_TRACE},
		{"info", 1 << LOG_CLASS_INFO},
		{"remote", 1 << LOG_CLASS_REMOTE},
		{"warning", 1 << LOG_CLASS_WARNING},
		{"error", 1 << LOG_CLASS_ERROR},
		{"auth", 1 << LOG_CLASS_AUTH},
		{"fatal", 1 << LOG_CLASS_FATAL},
		{"bug", 1 << LOG_CLASS_BUG},
	};

	if (parser_accept(p, "all"))
		return (1u << LOG_CLASS_COUNT) - 1;
	if (!parser_is_char(p, '{'))
		parser_syntax_error(p, NULL);
	return option_bits(p, bits, COUNT(bits));
}

void grammar_log(struct parser *p)
{
	struct grammar *g = grammar_of(p);
	struct config *c = p->config;
	struct log_sink s = {.kind = LOG_SINK_FILE};

	if (parser_accept(p, "syslog")) {
		s.kind = LOG_SINK_SYSLOG;
		if (parser_accept(p, "name"))
			s.path = parser_text(p);
	} else if (parser_accept(p, "stderr")) {
		s.kind = LOG_SINK_STDERR;
	} else if (parser_accept(p, "udp")) {
		s.kind = LOG_SINK_UDP;
		s.port = 514;
		if (p->tok.kind == TOK_IP4 || p->tok.kind == TOK_IP6) {
			char buf[IPADDR_STRLEN];
			struct ipaddr ip = parser_ip(p);

			s.path = arena_strdup(p->arena, ipaddr_format(&ip, buf));
		} else {
			s.path = parser_text(p);
		}
		if (parser_accept(p, "port"))
			s.port = (uint16_t)parser_number_in(p, 0, UINT16_MAX, NULL);
	} else if (p->tok.kind == TOK_TEXT || p->tok.kind == TOK_SYMBOL) {
		if (p->tok.kind == TOK_SYMBOL && !parser_symbol(p))
			parser_syntax_error(p, NULL);
		s.path = parser_text(p);
		if (!parser_is_char(p, '{') && !parser_is(p, "all")) {
			if (p->tok.kind != TOK_NUMBER && p->tok.kind != '(' && p->tok.kind != TOK_SYMBOL)
				parser_syntax_error(p, NULL);
			s.limit_bytes = parser_number(p);
			if (s.limit_bytes < LOG_LIMIT_MIN)
				parser_fail(p, "Log file size limit too low, must be at least %d.",
					LOG_LIMIT_MIN);
			s.backup_path = parser_text(p);
		}
	} else {
		parser_syntax_error(p, NULL);
	}
	s.classes = log_classes(p);
	parser_expect_char(p, ';');
	if (c->n_log_sinks == g->sinks_size) {
		unsigned size = g->sinks_size ? 2 * g->sinks_size : 4;
		struct log_sink *more = arena_alloc(p->arena, size * sizeof(*more));

		if (c->n_log_sinks)
			memcpy(more, c->log_sinks, c->n_log_sinks * sizeof(*more));
		c->log_sinks = more;
		g->sinks_size = size;
	}
	c->log_sinks[c->n_log_sinks++] = s;
}

void grammar_timeformat(struct parser *p)
{
	static const char *const iso[2][3] = {
		{TIMEFMT_ISO_SHORT, TIMEFMT_ISO_SHORT_MS, TIMEFMT_ISO_SHORT_US},
		{TIMEFMT_ISO_LONG, TIMEFMT_ISO_LONG_MS, TIMEFMT_ISO_LONG_US},
	};
	struct config *c = p->config;
	const char **format, **old;
	uint32_t *limit;

	if (parser_accept(p, "route")) {
		format = &c->tf_route;
		old = &c->tf_route_old;
		limit = &c->tf_route_limit_s;
	} else if (parser_accept(p, "protocol")) {
		format = &c->tf_protocol;
		old = &c->tf_protocol_old;
		limit = &c->tf_protocol_limit_s;
	} else if (parser_accept(p, "base")) {
		format = &c->tf_base;
		old = &c->tf_base_old;
		limit = &c->tf_base_limit_s;
	} else if (parser_accept(p, "log")) {
		format = &c->tf_log;
		old = &c->tf_log_old;
		limit = &c->tf_log_limit_s;
	} else {
		parser_syntax_error(p, "PROTOCOL or ROUTE or BASE or LOG");
	}
	*old = NULL;
	*limit = 0;
	if (parser_accept(p, "iso")) {
		bool is_long = parser_accept(p, "long");

		if (!is_long && !parser_accept(p, "short"))
			parser_syntax_error(p, "SHORT or LONG");
		*format = iso[is_long][parser_accept(p, "ms") ? 1 : parser_accept(p, "us") ? 2 : 0];
		if (!is_long) {
			*old = "%F";
			*limit = (uint32_t)(TIMEFMT_SHORT_LIMIT_NS / 1000000000);
		}
	} else {
		*format = parser_text(p);
		if (p->tok.kind == TOK_NUMBER || p->tok.kind == '(' || p->tok.kind == TOK_SYMBOL) {
			*limit = parser_number(p);
			*old = parser_text(p);
		}
	}
	parser_expect_char(p, ';');
}
