/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/cli/json.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void break_line(struct json *j)
{
	j->line[j->len] = 0;
	cli_line(&j->s->out, 1100, "%s", j->line);
	cli_flush_some(&j->s->out);
	j->len = 0;
}

static void put(struct json *j, const char *s, size_t n)
{
	if (j->len + n + 1 >= sizeof(j->line))
		break_line(j); /* inside a string only when one value is longer than the line: JSON strings
				  here are short */
	if (n >= sizeof(j->line))
		n = sizeof(j->line) - 1;
	memcpy(j->line + j->len, s, n);
	j->len += n;
}

static void quoted(struct json *j, const char *s)
{
	put(j, "\"", 1);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		char esc[8];

		if (c == '"' || c == '\\') {
			esc[0] = '\\';
			esc[1] = (char)c;
			put(j, esc, 2);
		} else if (c < 0x20) {
			put(j, esc, (size_t)snprintf(esc, sizeof(esc), "\\u%04x", c));
		} else {
			put(j, (const char *)&c, 1);
		}
	}
	put(j, "\"", 1);
}

static void key(struct json *j, const char *k)
{
	if (j->comma)
		put(j, ",", 1);
	/* Room for a whole value on this line. */
	if (j->len > 2048)
		break_line(j);
	if (k) {
		quoted(j, k);
		put(j, ":", 1);
	}
	j->comma = true;
}

void json_begin(struct json *j, struct cli_session *s)
{
	j->s = s;
	j->len = 0;
	j->comma = false;
}

void json_end(struct json *j)
{
	if (j->len)
		break_line(j);
	cli_end(&j->s->out, 0, "%s", "");
}

void json_open(struct json *j, const char *k, char bracket)
{
	key(j, k);
	put(j, &bracket, 1);
	j->comma = false;
}

void json_close(struct json *j, char bracket)
{
	put(j, &bracket, 1);
	j->comma = true;
}

void json_str(struct json *j, const char *k, const char *value)
{
	key(j, k);
	if (value)
		quoted(j, value);
	else
		put(j, "null", 4);
}

void json_u64(struct json *j, const char *k, uint64_t value)
{
	char t[24];

	key(j, k);
	put(j, t, (size_t)snprintf(t, sizeof(t), "%" PRIu64, value));
}

void json_bool(struct json *j, const char *k, bool value)
{
	key(j, k);
	put(j, value ? "true" : "false", value ? 4 : 5);
}

void json_seconds(struct json *j, const char *k, uint64_t us)
{
	char t[32];

	key(j, k);
	put(j, t, (size_t)snprintf(t, sizeof(t), "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000));
}
