/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a configuration: no crash, no hang, memory bounded by the input. Includes are refused. */
#include "controlplane/config/arena.h"
#include "controlplane/config/config.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool quiet;
	struct config_error err;
	struct config *c;
	char buf[1024];

	if (!quiet) {
		log_configure(NULL, 0, NULL); /* warnings would drown the fuzzer */
		quiet = true;
	}
	c = config_parse_text("fuzz", (const char *)data, size, false, &err);
	if (!c) {
		config_error_format(&err, buf, sizeof(buf));
		if (!err.text[0])
			abort(); /* every refusal says why */
		return 0;
	}
	if (arena_bytes(c->arena) > ((size_t)1 << 20) + size * 1024)
		abort();
	config_release(c);
	return 0;
}
