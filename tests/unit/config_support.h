/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the configuration share. Include after nothing, before the tests. */
#pragma once
#include "controlplane/config/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The configuration, or a failed test that says why not. */
static inline struct config *must_parse(const char *text)
{
	struct config_error err;
	struct config *c = config_parse_text("t.conf", text, strlen(text), false, &err);

	if (!c) {
		char buf[1024];

		config_error_format(&err, buf, sizeof(buf));
		print_error("%s\n%s\n", text, buf);
		fail();
	}
	return c;
}

/* "LINE:COL text" of the error; a failed test when there is none. */
static inline const char *must_fail(const char *text)
{
	static char buf[800];
	struct config_error err;
	struct config *c = config_parse_text("t.conf", text, strlen(text), false, &err);

	if (c) {
		print_error("%s\nparses, but must not\n", text);
		config_release(c);
		fail();
	}
	snprintf(buf, sizeof(buf), "%u:%u %s", err.line, err.col, err.text);
	return buf;
}

static inline const struct proto_config *must_proto(const struct config *c, const char *name)
{
	const struct proto_config *pc = config_find_protocol(c, name);

	if (!pc)
		print_error("no protocol %s\n", name);
	assert_non_null(pc);
	return pc;
}

static inline const struct channel_config *must_channel(const struct proto_config *pc, const char *name)
{
	const struct channel_config *ch;

	cds_list_for_each_entry(ch, &pc->channels, node) if (!strcmp(ch->name, name)) return ch;
	print_error("no channel %s in %s\n", name, pc->name);
	fail();
	return NULL;
}

/* Is there a warning with this text in it? */
static inline bool has_warning(const struct config *c, const char *part)
{
	for (const struct config_warning *w = c->warnings; w; w = w->next)
		if (strstr(w->text, part))
			return true;
	return false;
}

static inline struct ipaddr ip(const char *text)
{
	struct ipaddr a;

	assert_int_equal(ipaddr_parse(text, &a), 0);
	return a;
}

#define assert_ip(have, text)                                                                                \
	do {                                                                                                 \
		struct ipaddr want_ = ip(text);                                                              \
		assert_true(ipaddr_equal(&(have), &want_));                                                  \
	} while (0)
