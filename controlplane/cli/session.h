/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One control connection and the command it is running. Belongs to the
 * connection's thread.
 */
#pragma once
#include "controlplane/cli/out.h"
#include "controlplane/config/config.h"
#include "controlplane/proto/proto.h"

enum cli_time_class { CLI_TIME_ROUTE, CLI_TIME_PROTOCOL, CLI_TIME_BASE, CLI_TIME_LOG };

struct cli_line_buffer {
	char *text;
	size_t len, size;
};

struct cli_session {
	struct daemon *daemon;
	struct cli_out out;
	bool restricted;
	struct arena *arena;   /* of the running command */
	struct config *config; /* in force when the command started: a reference */
	struct filter_vm *vm;  /* for where, filter, export, eval; made when first needed */
	struct cli_time_format {
		char *format, *old; /* format NULL: the configuration's */
		uint64_t limit_ns;
	} time_format[4]; /* the `timeformat` command's */
	bool json;        /* `json show ...` */
	struct cli_line_buffer json_line;
	char *scratch;         /* CLI_SCRATCH bytes, made when first needed */
	_Atomic bool *closing; /* the server wants its threads back */
	int news; /* eventfd: main has something to say that nobody asked for now; -1: nothing expected */
};

#define CLI_SCRATCH 262144u
char *cli_scratch(struct cli_session *s);

/* Runs one line and leaves the whole reply in s->out, final line included. */
void cli_run_line(struct cli_session *s, const char *line, size_t len);
struct filter_vm *cli_vm(struct cli_session *s);

/* Text of a time. buf needs TIMEFMT_MAX. */
char *cli_time_wall(const struct cli_session *s, enum cli_time_class cls, uint64_t wall_ns, char *buf);
char *cli_time_mono(const struct cli_session *s, enum cli_time_class cls, uint64_t mono_ns, char *buf);

/* ---- commands: p->tok is the token after the words that chose the command ---- */
void cli_show_status(struct cli_session *s, struct parser *p);
void cli_show_protocols(struct cli_session *s, struct parser *p);
void cli_show_route(struct cli_session *s, struct parser *p);
void cli_show_bfd(struct cli_session *s, struct parser *p);
void cli_show_failover(struct cli_session *s, struct parser *p);
void cli_show_interfaces(struct cli_session *s, struct parser *p);
void cli_show_symbols(struct cli_session *s, struct parser *p);
void cli_show_memory(struct cli_session *s, struct parser *p);
void cli_show_static(struct cli_session *s, struct parser *p);
void cli_configure(struct cli_session *s, struct parser *p);
void cli_protocol_command(struct cli_session *s, struct parser *p, const char *verb);
void cli_down(struct cli_session *s, struct parser *p);
void cli_graceful_restart(struct cli_session *s, struct parser *p);
void cli_eval(struct cli_session *s, struct parser *p);
void cli_timeformat(struct cli_session *s, struct parser *p);
void cli_audit(struct cli_session *s, struct parser *p);
void cli_explain(struct cli_session *s, struct parser *p);
void cli_debug(struct cli_session *s, struct parser *p);
void cli_mrtdump(struct cli_session *s, struct parser *p);
void cli_dump(struct cli_session *s, struct parser *p);
void cli_mrt_dump(struct cli_session *s, struct parser *p);
void cli_echo(struct cli_session *s, struct parser *p);

/* The end of a command line: nothing may follow. */
void cli_expect_end(struct parser *p);
/* NAME of a protocol, "glob" or all: as it is put to cli_name_matches(). NULL: all. Nothing at all counts as
 * all if may_be_empty. */
const char *cli_parse_name_pattern(struct cli_session *s, struct parser *p, bool may_be_empty, bool *is_glob);
bool cli_name_matches(const char *pattern, bool is_glob, const char *name);
/* The name of a known symbol of a class; running protocols that no configuration names count as symbols. */
const char *cli_parse_symbol(struct cli_session *s, struct parser *p, enum symbol_class cls);
/* After a `configure timeout` of this session: what `news` announces, for the client. */
void cli_undo_news(struct cli_session *s);
/* The session ends: main forgets it. */
void cli_undo_forget(struct cli_session *s);
/* Runs fn(arg) in main and waits. */
void cli_in_main(struct cli_session *s, loop_fn *fn, void *arg);
