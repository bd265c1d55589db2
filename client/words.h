/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words of the commands: abbreviations are written out here, because the
 * daemon wants them whole, and the same table completes them at the prompt.
 */
#pragma once
#include <stddef.h>

/* Writes the line with its command words in full to out. 0, or -ENOENT/-EEXIST (unknown, ambiguous) with the
 * word in out. */
int words_expand(const char *line, char *out, size_t size);
/* The words that may follow those of `line`, which start with its unfinished last word. Returns the number,
 * at most max. */
unsigned words_complete(const char *line, size_t len, const char **out, unsigned max);
/* One line of help for each command. */
void words_help(void);
