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

/* Binds the socket (mode 0660). -EADDRINUSE: another instance answers there. 0 or -errno. */
int cli_server_create(struct daemon *d, const char *path, bool restricted, struct cli_server **out);
void cli_server_destroy(struct cli_server *s);

/* Output of a command: lines with codes, in a growing buffer. A connection flushes it; main only fills it. */
struct cli_out;
/* One line; the protocol's continuation rules (CCCC-, blank) are applied when flushed. */
void cli_line(struct cli_out *o, unsigned code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void cli_vline(struct cli_out *o, unsigned code, const char *fmt, va_list ap);
