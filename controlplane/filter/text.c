/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/filter/text.h"
#include <stdio.h>
#include <string.h>

void text_put(struct text *t, const char *s, size_t n)
{
	if (t->len < t->size) {
		size_t room = t->size - t->len - 1;
		size_t fit = n < room ? n : room;

		memcpy(t->buf + t->len, s, fit);
		t->buf[t->len + fit] = 0;
	}
	t->len += n;
}

void text_puts(struct text *t, const char *s)
{
	text_put(t, s, strlen(s));
}

void text_char(struct text *t, char c)
{
	text_put(t, &c, 1);
}

void text_u32(struct text *t, unsigned v)
{
	char digits[10], *p = digits + sizeof(digits);

	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	text_put(t, p, (size_t)(digits + sizeof(digits) - p));
}

void text_printf(struct text *t, const char *fmt, ...)
{
	char tmp[256];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(tmp, sizeof(tmp), fmt, ap);
	va_end(ap);
	if (n > 0)
		text_put(t, tmp, (size_t)n < sizeof(tmp) ? (size_t)n : sizeof(tmp) - 1);
}

void text_drop(struct text *t, size_t n)
{
	t->len = n < t->len ? t->len - n : 0;
	if (t->len < t->size)
		t->buf[t->len] = 0;
}
