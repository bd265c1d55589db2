/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/cli/json.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BREAK_AT 2048u

static void break_line(struct json *j)
{
	struct cli_line_buffer *l = &j->s->json_line;

	cli_text(&j->s->out, 1100, l->text, l->len);
	cli_flush_some(&j->s->out);
	l->len = 0;
}

static void put(struct json *j, const char *s, size_t n)
{
	struct cli_line_buffer *l = &j->s->json_line;

	if (l->len + n > l->size) {
		l->size = 2 * (l->len + n) + 4096;
		l->text = realloc(l->text, l->size);
		if (!l->text)
			abort();
	}
	memcpy(l->text + l->len, s, n);
	l->len += n;
}

/* Length of the well-formed UTF-8 sequence at s; 0: it is none. */
static size_t utf8(const unsigned char *s)
{
	size_t n = s[0] < 0x80                   ? 1
		   : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		   : (s[0] & 0xf0) == 0xe0       ? 3
		   : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
						 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if (n == 3 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0)))
		return 0;
	if (n == 4 && ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90)))
		return 0;
	return n;
}

static void quoted(struct json *j, const char *s)
{
	put(j, "\"", 1);
	while (*s) {
		unsigned char c = (unsigned char)*s;
		size_t n = utf8((const unsigned char *)s);
		char esc[8];

		if (c == '"' || c == '\\') {
			esc[0] = '\\';
			esc[1] = (char)c;
			put(j, esc, 2);
			s++;
		} else if (c < 0x20 || c == 0x7f || !n) {
			/* What is not UTF-8 (a peer's shutdown message, ...) is shown by its bytes. */
			put(j, esc, (size_t)snprintf(esc, sizeof(esc), "\\u%04x", c));
			s++;
		} else {
			put(j, s, n);
			s += n;
		}
	}
	put(j, "\"", 1);
}

static void key(struct json *j, const char *k)
{
	if (j->comma)
		put(j, ",", 1);
	if (j->s->json_line.len > BREAK_AT)
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
	j->comma = false;
	s->json_line.len = 0;
}

void json_end(struct json *j)
{
	if (j->s->json_line.len)
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

void json_raw(struct json *j, const char *k, const char *value)
{
	key(j, k);
	put(j, value, strlen(value));
}

void json_u64(struct json *j, const char *k, uint64_t value)
{
	char t[24];

	snprintf(t, sizeof(t), "%" PRIu64, value);
	json_raw(j, k, t);
}

void json_bool(struct json *j, const char *k, bool value)
{
	json_raw(j, k, value ? "true" : "false");
}

void json_seconds(struct json *j, const char *k, uint64_t us)
{
	char t[32];

	snprintf(t, sizeof(t), "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
	json_raw(j, k, t);
}

void json_number(struct json *j, const char *k, double value)
{
	char t[32];

	snprintf(t, sizeof(t), "%.3f", value);
	json_raw(j, k, t);
}
