/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/cli/out.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FLUSH_AT 65536u
#define HOLD_BACK 1024u

void cli_out_init(struct cli_out *o, int fd)
{
	*o = (struct cli_out){.fd = fd};
}

void cli_out_free(struct cli_out *o)
{
	free(o->buf);
	o->buf = NULL;
}

void cli_out_reset(struct cli_out *o)
{
	o->len = 0;
	o->last_code = 0;
	o->ended = false;
}

static void need(struct cli_out *o, size_t more)
{
	if (o->len + more <= o->size)
		return;
	o->size = o->size ? o->size : 4096;
	while (o->size < o->len + more)
		o->size *= 2;
	o->buf = realloc(o->buf, o->size);
	if (!o->buf)
		abort();
}

static void add(struct cli_out *o, const char *s, size_t len)
{
	memcpy(o->buf + o->len, s, len);
	o->len += len;
}

static void whole_line(struct cli_out *o, unsigned code, bool final, const char *text, size_t n)
{
	char head[8];

	if (final)
		snprintf(head, sizeof(head), "%04u ", code % 10000);
	else if (code == o->last_code)
		snprintf(head, sizeof(head), " ");
	else
		snprintf(head, sizeof(head), "%04u-", code % 10000);
	need(o, n + sizeof(head) + 1);
	add(o, head, strlen(head));
	add(o, text, n);
	add(o, "\n", 1);
	o->last_code = final ? 0 : code;
	o->ended = final;
}

static void line(struct cli_out *o, unsigned code, bool final, const char *fmt, va_list ap)
{
	char text[4096];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n < 0)
		return;
	if ((size_t)n >= sizeof(text))
		n = sizeof(text) - 1;
	/* Text of the user's or a peer's must not look like lines of ours. */
	for (int i = 0; i < n; i++)
		if (text[i] == '\n' || text[i] == '\r')
			text[i] = ' ';
	whole_line(o, code, final, text, (size_t)n);
}

void cli_text(struct cli_out *o, unsigned code, const char *text, size_t len)
{
	whole_line(o, code, false, text, len);
}

void cli_async(struct cli_out *o, const char *text)
{
	size_t n = strlen(text);

	need(o, n + 2);
	add(o, "+", 1);
	add(o, text, n);
	add(o, "\n", 1);
}

void cli_vline(struct cli_out *o, unsigned code, const char *fmt, va_list ap)
{
	line(o, code, false, fmt, ap);
}

void cli_line(struct cli_out *o, unsigned code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(o, code, false, fmt, ap);
	va_end(ap);
}

void cli_end(struct cli_out *o, unsigned code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(o, code, true, fmt, ap);
	va_end(ap);
}

static void write_out(struct cli_out *o, size_t n)
{
	size_t done = 0;

	while (done < n && !o->broken && o->fd >= 0) {
		ssize_t w = send(o->fd, o->buf + done, n - done, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			o->broken = true;
		else
			done += (size_t)w;
	}
	memmove(o->buf, o->buf + n, o->len - n);
	o->len -= n;
}

void cli_flush_some(struct cli_out *o)
{
	if (o->len >= FLUSH_AT && o->fd >= 0 && !o->hold)
		write_out(o, o->len - HOLD_BACK);
}

void cli_flush(struct cli_out *o)
{
	write_out(o, o->len);
}
