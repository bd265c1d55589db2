/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/words.h"
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct word {
	const char *text, *help; /* help: only where the command may end */
	const struct word *next; /* what may follow, ended by a NULL text */
};

static const struct word bfd_words[] = {
	{"sessions", "[NAME] [address A] [dev I] [ipv4|ipv6] [direct|multihop] [all]", NULL},
	{"counters", "of the workers and of the XDP filters", NULL}, {0}};
static const struct word restart_words[] = {
	{"restart", "leave the peers' routes in place and exit", NULL}, {0}};
static const struct word symbol_words[] = {{"table", NULL, NULL}, {"filter", NULL, NULL},
	{"function", NULL, NULL}, {"protocol", NULL, NULL}, {"template", NULL, NULL}, {0}};
static const struct word protocol_words[] = {{"all", NULL, NULL}, {0}};
static const struct word route_words[] = {{"for", NULL, NULL}, {"in", NULL, NULL}, {"table", NULL, NULL},
	{"import", NULL, NULL}, {"export", NULL, NULL}, {"preexport", NULL, NULL}, {"noexport", NULL, NULL},
	{"exported", NULL, NULL}, {"protocol", NULL, NULL}, {"where", NULL, NULL}, {"filter", NULL, NULL},
	{"filtered", NULL, NULL}, {"primary", NULL, NULL}, {"all", NULL, NULL}, {"count", NULL, NULL},
	{"stats", NULL, NULL}, {0}};
static const struct word show_words[] = {
	{"status", "the daemon", NULL},
	{"protocols", "[all] [NAME|\"glob\"]", protocol_words},
	{"route",
		"[PREFIX|for ADDR|in PREFIX] [table T] [where EXPR] [all] [export P] [protocol P] [count] "
		"...",
		route_words},
	{"bfd", NULL, bfd_words},
	{"failover", "plans, and the last failovers with their stages", NULL},
	{"interfaces", "[summary]", NULL},
	{"symbols", "[table|filter|function|protocol|template|NAME]", symbol_words},
	{"memory", "what it is used for", NULL},
	{"static", "[NAME]", NULL},
	{0},
};
static const struct word configure_words[] = {{"soft", "filters of running sessions stay as they are", NULL},
	{"check", "only read it", NULL}, {"confirm", "keep what `timeout` would undo", NULL},
	{"undo", "back to the one before", NULL}, {"status", "is an undo scheduled?", NULL},
	{"timeout", "[SECONDS]: undone unless confirmed", NULL}, {0}};
static const struct word reload_words[] = {{"in", NULL, NULL}, {"out", NULL, NULL}, {0}};
static const struct word mrt_words[] = {
	{"dump", "table NAME|\"glob\" [filter F|where EXPR] to \"FILE\"", NULL}, {0}};
static const struct word top_words[] = {
	{"show", NULL, show_words},
	{"configure", "[soft] [\"FILE\"] [timeout [N]]", configure_words},
	{"enable", "NAME|\"glob\"|all", NULL},
	{"disable", "NAME|\"glob\"|all [\"message\"]", NULL},
	{"restart", "NAME|\"glob\"|all [\"message\"]", NULL},
	{"reload", "[in|out] NAME|\"glob\"|all", reload_words},
	{"explain", "PREFIX [import|export] PROTOCOL: which statement of which filter decided", NULL},
	{"audit", "compare the kernel with the tables, now", NULL},
	{"eval", "EXPRESSION", NULL},
	{"timeformat", "[class] iso long|short [ms|us] | \"FORMAT\"", NULL},
	{"restrict", "read only from now on", NULL},
	{"graceful", NULL, restart_words},
	{"down", "stop the daemon", NULL},
	{"echo", "accepted, without effect", NULL},
	{"debug", "NAME|\"glob\"|all all|off|{ states|routes|filters|interfaces|events|packets, ... }", NULL},
	{"mrtdump", "NAME|\"glob\"|all all|off|{ states|messages, ... }", NULL},
	{"mrt", NULL, mrt_words},
	{"dump", "accepted, without effect", NULL},
	{0},
};
/* Below these the words are the grammar's, never abbreviated (as in birdc). */
static bool is_argument_level(const struct word *level)
{
	return level == route_words || level == symbol_words || level == protocol_words ||
	       level == reload_words;
}

static size_t word_len(const char *s)
{
	size_t n = 0;

	while (s[n] && !isspace((unsigned char)s[n]))
		n++;
	return n;
}

/* The one word of the level that s abbreviates; NULL and *error when none or several. An exact match wins. */
static const struct word *match(const struct word *level, const char *s, size_t n, int *error)
{
	const struct word *found = NULL;

	*error = -ENOENT;
	for (const struct word *w = level; w->text; w++) {
		if (strncmp(w->text, s, n))
			continue;
		if (!w->text[n])
			return w;
		*error = found ? -EEXIST : 0;
		found = w;
	}
	return *error ? NULL : found;
}

int words_expand(const char *line, char *out, size_t size)
{
	const struct word *level = top_words;
	size_t len = 0;

	out[0] = 0;
	while (isspace((unsigned char)*line))
		line++;
	while (level && *line && !is_argument_level(level)) {
		size_t n = word_len(line);
		int error;
		const struct word *w = match(level, line, n, &error);

		if (!w) {
			/* After a command that may stand alone comes its argument. */
			if (level != top_words && level != show_words && level != bfd_words &&
				level != restart_words)
				break;
			snprintf(out, size, "%.*s", (int)n, line);
			return error;
		}
		len += (size_t)snprintf(out + len, size - len, "%s%s", len ? " " : "", w->text);
		if (len >= size)
			return -E2BIG;
		line += n;
		while (isspace((unsigned char)*line))
			line++;
		level = w->next;
	}
	if (*line && (size_t)snprintf(out + len, size - len, "%s%s", len ? " " : "", line) >= size - len)
		return -E2BIG;
	return 0;
}

unsigned words_complete(const char *line, size_t len, const char **out, unsigned max)
{
	const struct word *level = top_words;
	const char *end = line + len;
	unsigned n = 0;

	for (;;) {
		const struct word *w;
		size_t wl;
		int error;

		while (line < end && isspace((unsigned char)*line))
			line++;
		wl = word_len(line);
		if (line + wl >= end)
			break;
		w = match(level, line, wl, &error);
		if (!w) {
			if (is_argument_level(level)) { /* any order, any number */
				line += wl;
				continue;
			}
			return 0;
		}
		line += wl;
		if (w->next)
			level = w->next;
		else if (!is_argument_level(level))
			return 0;
	}
	for (const struct word *w = level; w->text && n < max; w++)
		if (!strncmp(w->text, line, (size_t)(end - line)))
			out[n++] = w->text;
	return n;
}

static void help(const struct word *level, const char *before)
{
	for (const struct word *w = level; w->text; w++) {
		char text[128];

		snprintf(text, sizeof(text), "%s%s%s", before, *before ? " " : "", w->text);
		if (w->help)
			printf("%-22s %s\n", text, w->help);
		if (w->next && !is_argument_level(w->next))
			help(w->next, text);
	}
}

void words_help(void)
{
	help(top_words, "");
	printf("%-22s %s\n%-22s %s\n", "watch SECONDS COMMAND", "again and again", "quit",
		"leave the client");
}
