/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory of the FIB. Without it the kernel could not be kept in step, silently: the process ends aloud
 * instead. */
#pragma once
#include "shared/log.h"
#include <stdlib.h>
#include <string.h>

static inline void *mem_grow(void *p, size_t bytes)
{
	p = realloc(p, bytes ? bytes : 1);
	if (!p) {
		log_msg(LOG_CLASS_FATAL, "Out of memory");
		abort();
	}
	return p;
}

static inline void *mem_zero(size_t bytes)
{
	return memset(mem_grow(NULL, bytes), 0, bytes);
}
