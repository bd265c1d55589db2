/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading a configuration, and what else is parsed with its grammar: CLI
 * command lines use the same lexer, symbols and expressions.
 * Main thread, or any one thread that holds a reference on the configuration
 * whose symbols are used (parsing a CLI line only reads them).
 */
#pragma once
#include "controlplane/config/model.h"
#include "controlplane/config/parser.h"

struct config_error {
	char file[256];
	unsigned line, col; /* 0: about the file as a whole */
	char text[512];
};

/* NULL and *err filled, or a configuration with one reference. Warnings go to the log (and to warn, if not
 * NULL). path is relative to the working directory; includes are relative to the including file. "-" is not
 * special. */
struct config *config_read(const char *path, struct config_error *err);
/* The same from memory, for tests and fuzzing; name stands for the file, includes are refused unless
 * allow_include. */
struct config *config_parse_text(
	const char *name, const char *text, size_t len, bool allow_include, struct config_error *err);
void config_hold(struct config *c);
void config_release(struct config *c);
/* "FILE:LINE:COL text", or "FILE: text". */
void config_error_format(const struct config_error *e, char *buf, size_t size);

/* What a reload changes, by content: filters and sets included. Bits for one protocol present in both. */
enum proto_change {
	PROTO_SAME = 0,
	PROTO_RECONFIGURE = 1, /* options that the protocol takes over while running */
	PROTO_RESTART = 2,     /* options that define the session or the channel */
	PROTO_IMPORT_CHANGED = 4,
	PROTO_EXPORT_CHANGED = 8,
};
uint32_t config_diff_protocol(const struct proto_config *old, const struct proto_config *new);
uint32_t config_diff_channel(const struct channel_config *old, const struct channel_config *new);
