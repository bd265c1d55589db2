/* SPDX-License-Identifier: BSD-2-Clause */
/* Text put together piece by piece in a fixed buffer; counts what would have been needed, as snprintf does.
 */
#pragma once
#include <stdarg.h>
#include <stddef.h>

struct text {
	char *buf;
	size_t size, len; /* len may exceed size: then the text was cut */
};

static inline struct text text_make(char *buf, size_t size)
{
	if (size)
		buf[0] = 0;
	return (struct text){buf, size, 0};
}

void text_put(struct text *t, const char *s, size_t n);
void text_puts(struct text *t, const char *s);
void text_char(struct text *t, char c);
void text_u32(struct text *t, unsigned v);
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Takes the last n characters back. */
void text_drop(struct text *t, size_t n);

struct value;
void value_put(struct text *t, const struct value *v);
