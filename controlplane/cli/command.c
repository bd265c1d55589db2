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

void cli_expect_end(struct parser *p)
{
	if (p->tok.kind != TOK_EOF)
		parser_syntax_error(p, "END");
}

const char *cli_parse_name_pattern(struct parser *p, bool *is_glob)
{
	const char *name;

	*is_glob = false;
	if (p->tok.kind == TOK_EOF)
		return NULL;
	if (p->tok.kind == TOK_TEXT) {
		*is_glob = true;
		name = p->tok.text;
		parser_next(p);
		return name;
	}
	if (parser_is(p, "all") && !p->tok.quoted) {
		parser_next(p);
		return NULL;
	}
	return parser_name(p);
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

	if (s->time_format[cls]) {
		*f = (struct timefmt){.format = s->time_format[cls]};
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

void cli_timeformat(struct cli_session *s, struct parser *p)
{
	static const char *const classes[] = {"route", "protocol", "base", "log"};
	const char *format = NULL;
	int cls = -1;

	for (int i = 0; i < 4; i++)
		if (parser_accept(p, classes[i])) {
			cls = i;
			break;
		}
	if (p->tok.kind == TOK_TEXT) {
		format = p->tok.text;
		parser_next(p);
	} else {
		bool is_long;

		parser_expect(p, "iso");
		is_long = parser_accept(p, "long");
		if (!is_long)
			parser_expect(p, "short");
		if (parser_accept(p, "ms"))
			format = is_long ? TIMEFMT_ISO_LONG_MS : TIMEFMT_ISO_SHORT_MS;
		else if (parser_accept(p, "us"))
			format = is_long ? TIMEFMT_ISO_LONG_US : TIMEFMT_ISO_SHORT_US;
		else
			format = is_long ? TIMEFMT_ISO_LONG : TIMEFMT_ISO_SHORT;
	}
	cli_expect_end(p);
	for (int i = 0; i < 4; i++) {
		if (cls >= 0 && cls != i)
			continue;
		free(s->time_format[i]);
		s->time_format[i] = strdup(format);
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

	for (size_t i = 0; i < sizeof(what) / sizeof(*what); i++)
		if (parser_accept(p, what[i].word)) {
			what[i].run(s, p);
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
		cli_audit(s, p);
	} else if (parser_accept(p, "restrict")) {
		cli_expect_end(p);
		s->restricted = true;
		cli_end(&s->out, 16, "Access restricted");
	} else if (parser_accept(p, "eval")) {
		cli_eval(s, p);
	} else if (parser_accept(p, "timeformat")) {
		cli_timeformat(s, p);
	} else if (parser_is(p, "echo") || parser_is(p, "debug") || parser_is(p, "mrtdump")) {
		/* Channels and masks of BIRD's debugging: accepted for scripts, without effect. */
		if (parser_is(p, "echo") || !denied(s))
			cli_end(&s->out, 0, "%s", "");
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
		if (p.tok.kind == TOK_EOF)
			cli_end(&s->out, 0, "%s", "");
		else
			dispatch(s, &p);
	}
	parser_close(&p);
	daemon_config_release(s->daemon, s->config);
	s->config = NULL;
}
