/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A command line: parsed with the configuration's own lexer and grammar, in the
 * scope of the configuration in force, so that `show route where` can call the
 * user's functions. A syntax error is reported as BIRD does, by token.
 */
#include "controlplane/cli/session.h"
#include "shared/timefmt.h"
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

void cli_in_main(struct cli_session *s, loop_fn *fn, void *arg)
{
	loop_call_sync(s->daemon->main, fn, arg);
}

struct filter_vm *cli_vm(struct cli_session *s)
{
	if (!s->vm)
		s->vm = filter_vm_create();
	return s->vm;
}

char *cli_scratch(struct cli_session *s)
{
	if (!s->scratch)
		s->scratch = malloc(CLI_SCRATCH);
	if (!s->scratch)
		abort();
	return s->scratch;
}

void cli_expect_end(struct parser *p)
{
	if (p->tok.kind != TOK_EOF)
		parser_syntax_error(p, "END");
}

struct running {
	struct daemon *daemon;
	const char *name;
	bool found;
};

static void is_running(void *arg)
{
	struct running *r = arg;

	r->found = proto_find(r->daemon, r->name) != NULL;
}

/* A protocol that was spawned is no symbol of the configuration. */
static bool known_protocol(struct cli_session *s, const struct parser *p)
{
	struct running r = {s->daemon, p->tok.text, false};

	if (parser_is_word(p) && !parser_symbol(p))
		cli_in_main(s, is_running, &r);
	return r.found;
}

static const char *symbol_of_class(
	struct cli_session *s, struct parser *p, enum symbol_class cls, const char *expecting)
{
	const struct symbol *sym = parser_symbol(p);
	const char *name = p->tok.text;

	if (!sym && cls == SYM_PROTOCOL && known_protocol(s, p)) {
		parser_next(p);
		return name;
	}
	if (!sym)
		parser_syntax_error(p, expecting);
	if (sym->cls != cls)
		parser_fail(p, "%s name required", cls == SYM_TABLE ? "Table" : "Protocol");
	parser_next(p);
	return name;
}

const char *cli_parse_symbol(struct cli_session *s, struct parser *p, enum symbol_class cls)
{
	return symbol_of_class(s, p, cls, "CF_SYM_KNOWN");
}

const char *cli_parse_name_pattern(struct cli_session *s, struct parser *p, bool may_be_empty, bool *is_glob)
{
	const char *name;

	*is_glob = false;
	if (p->tok.kind == TOK_EOF && may_be_empty)
		return NULL;
	if (p->tok.kind == TOK_TEXT) {
		*is_glob = true;
		name = p->tok.text;
		parser_next(p);
		return name;
	}
	if (parser_is(p, "all") && !parser_symbol(p)) {
		parser_next(p);
		return NULL;
	}
	return symbol_of_class(s, p, SYM_PROTOCOL,
		may_be_empty ? "END or CF_SYM_KNOWN or TEXT or ALL" : "CF_SYM_KNOWN or TEXT or ALL");
}

bool cli_name_matches(const char *pattern, bool is_glob, const char *name)
{
	if (!pattern)
		return true;
	return is_glob ? fnmatch(pattern, name, 0) == 0 : strcmp(pattern, name) == 0;
}

static const struct timefmt *configured(
	const struct cli_session *s, enum cli_time_class cls, struct timefmt *f)
{
	const struct config *c = s->config;

	if (s->time_format[cls].format) {
		*f = (struct timefmt){
			s->time_format[cls].format, s->time_format[cls].old, s->time_format[cls].limit_ns};
		return f;
	}
	switch (cls) {
	case CLI_TIME_ROUTE:
		*f = (struct timefmt){
			c->tf_route, c->tf_route_old, c->tf_route_limit_s * UINT64_C(1000000000)};
		break;
	case CLI_TIME_PROTOCOL:
		*f = (struct timefmt){
			c->tf_protocol, c->tf_protocol_old, c->tf_protocol_limit_s * UINT64_C(1000000000)};
		break;
	case CLI_TIME_BASE:
		*f = (struct timefmt){c->tf_base, c->tf_base_old, c->tf_base_limit_s * UINT64_C(1000000000)};
		break;
	case CLI_TIME_LOG:
		*f = (struct timefmt){c->tf_log, c->tf_log_old, c->tf_log_limit_s * UINT64_C(1000000000)};
		break;
	}
	return f;
}

char *cli_time_mono(const struct cli_session *s, enum cli_time_class cls, uint64_t mono_ns, char *buf)
{
	struct timefmt f;

	return timefmt_stamp(buf, TIMEFMT_MAX, configured(s, cls, &f), mono_ns);
}

char *cli_time_wall(const struct cli_session *s, enum cli_time_class cls, uint64_t wall_ns, char *buf)
{
	return cli_time_mono(s, cls, timefmt_wall_to_mono(wall_ns), buf);
}

static const char *iso_format(struct parser *p)
{
	bool is_long = parser_accept(p, "long");

	if (!is_long)
		parser_expect(p, "short");
	if (parser_accept(p, "ms"))
		return is_long ? TIMEFMT_ISO_LONG_MS : TIMEFMT_ISO_SHORT_MS;
	if (parser_accept(p, "us"))
		return is_long ? TIMEFMT_ISO_LONG_US : TIMEFMT_ISO_SHORT_US;
	return is_long ? TIMEFMT_ISO_LONG : TIMEFMT_ISO_SHORT;
}

/* Of this session, for one class of times or all of them. */
void cli_timeformat(struct cli_session *s, struct parser *p)
{
	static const char *const classes[] = {"route", "protocol", "base", "log"};
	const char *format, *old = NULL;
	uint64_t limit_ns = 0;
	int cls = -1;

	for (int i = 0; i < 4 && cls < 0; i++)
		if (parser_is(p, classes[i]) && parser_peek(p)->kind != TOK_EOF) {
			parser_next(p);
			cls = i;
		}
	if (p->tok.kind == TOK_EOF)
		parser_syntax_error(p, "CF_SYM_KNOWN or TEXT or '(' or ISO");
	if (parser_accept(p, "iso")) {
		format = iso_format(p);
		if (!strncmp(format, TIMEFMT_ISO_SHORT, 2)) {
			old = "%F";
			limit_ns = TIMEFMT_SHORT_LIMIT_NS;
		}
	} else {
		format = parser_text(p);
		if (p->tok.kind != TOK_EOF) {
			limit_ns = parser_number(p) * UINT64_C(1000000000);
			old = parser_text(p);
		}
	}
	cli_expect_end(p);
	for (int i = 0; i < 4; i++) {
		if (cls >= 0 && cls != i)
			continue;
		free(s->time_format[i].format);
		free(s->time_format[i].old);
		s->time_format[i] =
			(struct cli_time_format){strdup(format), old ? strdup(old) : NULL, limit_ns};
	}
	cli_end(&s->out, 0, "%s", "");
}

static bool denied(struct cli_session *s)
{
	if (s->restricted)
		cli_end(&s->out, 8007, "Access denied");
	return s->restricted;
}

static void show(struct cli_session *s, struct parser *p)
{
	static const struct {
		const char *word;
		void (*run)(struct cli_session *, struct parser *);
	} what[] = {
		{"status", cli_show_status},
		{"protocols", cli_show_protocols},
		{"route", cli_show_route},
		{"bfd", cli_show_bfd},
		{"failover", cli_show_failover},
		{"interfaces", cli_show_interfaces},
		{"symbols", cli_show_symbols},
		{"memory", cli_show_memory},
		{"static", cli_show_static},
	};
	/* Protocols that BIRD has and we do not run: their commands are known, and there is nothing to say.
	 */
	static const struct {
		const char *word, *name;
	} not_run[] = {
		{"ospf", "OSPF"}, {"rip", "RIP"}, {"babel", "Babel"}, {"mpls", "MPLS"}, {"radv", "RAdv"}};

	for (size_t i = 0; i < sizeof(what) / sizeof(*what); i++)
		if (parser_accept(p, what[i].word)) {
			what[i].run(s, p);
			return;
		}
	for (size_t i = 0; i < sizeof(not_run) / sizeof(*not_run); i++)
		if (parser_is(p, not_run[i].word)) {
			cli_end(&s->out, 9001, "There is no %s protocol running", not_run[i].name);
			return;
		}
	parser_syntax_error(p, NULL);
}

static void dispatch(struct cli_session *s, struct parser *p)
{
	static const char *const verbs[] = {"enable", "disable", "restart", "reload"};

	if (parser_accept(p, "json"))
		s->json = true;
	if (parser_accept(p, "show")) {
		show(s, p);
		return;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (parser_accept(p, verbs[i])) {
			if (!denied(s))
				cli_protocol_command(s, p, verbs[i]);
			return;
		}
	if (parser_accept(p, "configure")) {
		if (!denied(s))
			cli_configure(s, p);
	} else if (parser_accept(p, "down")) {
		if (!denied(s))
			cli_down(s, p);
	} else if (parser_accept(p, "graceful")) {
		if (!denied(s))
			cli_graceful_restart(s, p);
	} else if (parser_accept(p, "audit")) {
		if (!denied(s)) /* it repairs */
			cli_audit(s, p);
	} else if (parser_accept(p, "restrict")) {
		cli_expect_end(p);
		s->restricted = true;
		cli_end(&s->out, 16, "Access restricted");
	} else if (parser_accept(p, "eval")) {
		cli_eval(s, p);
	} else if (parser_accept(p, "timeformat")) {
		cli_timeformat(s, p);
	} else if (parser_accept(p, "explain")) {
		cli_explain(s, p);
	} else if (parser_accept(p, "echo")) {
		cli_echo(s, p);
	} else if (parser_accept(p, "debug")) {
		if (!denied(s))
			cli_debug(s, p);
	} else if (parser_accept(p, "mrtdump")) {
		if (!denied(s))
			cli_mrtdump(s, p);
	} else if (parser_accept(p, "mrt")) {
		parser_expect(p, "dump");
		if (!denied(s))
			cli_mrt_dump(s, p);
	} else if (parser_accept(p, "dump")) {
		if (!denied(s))
			cli_dump(s, p);
	} else {
		parser_syntax_error(p, NULL);
	}
}

void cli_run_line(struct cli_session *s, const char *line, size_t len)
{
	struct config_error err = {0};
	struct parser p;

	arena_reset(s->arena);
	s->json = false;
	s->config = daemon_config(s->daemon);
	parser_open_line(&p, s->arena, s->config, line, len, &err);
	if (setjmp(p.fail)) {
		cli_out_reset(&s->out);
		cli_end(&s->out, 9001, "%s", err.text);
	} else {
		parser_start(&p);
		dispatch(s, &p);
	}
	parser_close(&p);
	daemon_config_release(s->daemon, s->config);
	s->config = NULL;
}
