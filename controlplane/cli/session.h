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

struct cli_session {
	struct daemon *daemon;
	struct cli_out out;
	bool restricted;
	struct arena *arena;   /* of the running command */
	struct config *config; /* in force when the command started: a reference */
	struct filter_vm *vm;  /* for where, filter, export, eval; made when first needed */
	char *time_format[4];  /* the `timeformat` command's, or NULL */
	bool json;             /* `json show ...` */
	_Atomic bool *closing; /* the server wants its threads back */
};

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

/* The end of a command line: nothing may follow. */
void cli_expect_end(struct parser *p);
/* NAME, 'name', "glob" or all (nothing): as it is put to cli_name_matches(). NULL: all. */
const char *cli_parse_name_pattern(struct parser *p, bool *is_glob);
bool cli_name_matches(const char *pattern, bool is_glob, const char *name);
/* Runs fn(arg) in main and waits. */
void cli_in_main(struct cli_session *s, loop_fn *fn, void *arg);
