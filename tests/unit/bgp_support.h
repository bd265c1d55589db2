/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers of the BGP unit tests: bytes from hex, addresses from text, a buffer that grows. */
#pragma once
#include "controlplane/bgp/message.h"
#include "controlplane/bgp/update.h"
#include "controlplane/fib/fib.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct bytes {
	uint8_t b[70000];
	size_t n;
};

static inline void put_bytes(struct bytes *o, const void *p, size_t n)
{
	assert_true(o->n + n <= sizeof(o->b));
	memcpy(o->b + o->n, p, n);
	o->n += n;
}

/* "40 01 01 00": blanks between octets are free. */
static inline void put_hex(struct bytes *o, const char *hex)
{
	for (; *hex; hex++) {
		unsigned v;
		uint8_t c;

		if (*hex == ' ')
			continue;
		assert_int_equal(sscanf(hex, "%2x", &v), 1);
		c = (uint8_t)v;
		put_bytes(o, &c, 1);
		hex++;
	}
}

static inline struct ipaddr ip(const char *text)
{
	struct ipaddr a;

	assert_int_equal(ipaddr_parse(text, &a), 0);
	return a;
}

static inline struct prefix pfx(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

/* AS_PATH in wire form, one sequence. */
static inline size_t sequence(uint8_t *out, unsigned n, const uint32_t *as)
{
	out[0] = AS_SEQUENCE;
	out[1] = (uint8_t)n;
	for (unsigned i = 0; i < n; i++)
		put_u32(out + 2 + 4 * i, as[i]);
	return 2 + 4 * (size_t)n;
}
