/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: BIRD 2's protocol.
 *
 * Each connection has a thread of its own with blocking writes: a dump reads
 * RCU snapshots in slices and waits for nobody but its own reader. Commands
 * that change something, and those that read main's state, are run in the main
 * thread by loop_call_sync() and only fill a buffer there.
 */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct daemon;
struct cli_server;

/* Main, like all of these. Binds the socket (mode 0660). -EADDRINUSE: another instance answers there. 0 or
 * -errno. */
int cli_server_create(struct daemon *d, const char *path, bool restricted, struct cli_server **out);
void cli_server_destroy(struct cli_server *s);
const char *cli_server_path(const struct cli_server *s);
/* Of sessions to come. */
void cli_server_restrict(struct cli_server *s, bool restricted);
/* No more sessions: the socket goes, those that are open stay. Only destruction may follow. */
void cli_server_retire(struct cli_server *s);
/* Has no session. */
bool cli_server_idle(struct cli_server *s);

/* What `cli "PATH"` in the configuration opens. Main. */
struct cli_sockets;
struct config;
struct cli_sockets *cli_sockets_create(struct daemon *d);
/* Opens, closes and restricts; what fails is said in the log. opened, which may be NULL, is called for each
 * new one. */
void cli_sockets_configure(struct cli_sockets *s, const struct config *c,
	void (*opened)(void *ctx, const char *path), void *ctx);
void cli_sockets_destroy(struct cli_sockets *s);

/* Output of a command: lines with codes, in a growing buffer. A connection flushes it; main only fills it. */
struct cli_out;
/* One line; the protocol's continuation rules (CCCC-, blank) are applied when flushed. */
void cli_line(struct cli_out *o, unsigned code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void cli_vline(struct cli_out *o, unsigned code, const char *fmt, va_list ap);
