/* SPDX-License-Identifier: BSD-2-Clause */
/* Room for arrays that grow and that nothing can do without: malloc's, and abort() where there is none. */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What is new, from `from` entries on, is zero. */
static inline void *room_grow(void *p, uint32_t from, uint32_t to, size_t size)
{
	p = realloc(p, to * size);
	if (!p)
		abort();
	memset((char *)p + from * size, 0, (to - from) * size);
	return p;
}

/* How many, where `have` are not enough: doubled until they are, `first` at least. */
static inline uint32_t room_up_to(uint32_t have, uint32_t need, uint32_t first)
{
	uint32_t n = have ? have : first;

	while (n < need)
		n *= 2;
	return n;
}
