/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text of a reply. One thread at a time: main fills it during a synchronous
 * call, the connection's thread otherwise; only the latter flushes.
 */
#pragma once
#include "controlplane/cli/cli.h"

struct cli_out {
	char *buf;
	size_t len, size;
	unsigned last_code; /* of the line before, 0: none: the continuation rule */
	bool ended;         /* the final line is in */
	int fd;             /* where flushing writes; -1: nowhere (main, tests) */
	bool broken;        /* the client is gone: output is dropped */
	bool hold;          /* main is filling it: cli_flush_some() writes nothing */
};

void cli_out_init(struct cli_out *o, int fd);
void cli_out_free(struct cli_out *o);
void cli_out_reset(struct cli_out *o); /* for the next command */
/* The final line of the reply: "CCCC text". */
void cli_end(struct cli_out *o, unsigned code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A line that belongs to no reply: "+text". Between replies only. */
void cli_async(struct cli_out *o, const char *text);
/* A line of any length. */
void cli_text(struct cli_out *o, unsigned code, const char *text, size_t len);
/* In a long dump: writes what has gathered, but for the last lines: clients expect the final line together
 * with data before it. */
void cli_flush_some(struct cli_out *o);
void cli_flush(struct cli_out *o);
