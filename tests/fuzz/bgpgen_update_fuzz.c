/* SPDX-License-Identifier: BSD-2-Clause */
/* UPDATEs as a daemon under test may send them: parsed, remembered, and the same when seen again. */
#include "tools/bgpgen/memo.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct gen_options o = {.v4 = 200, .v6 = 50, .run = 3, .communities = 4, .seed = 1};
	static struct gen_table t;
	uint8_t canonical[CANONICAL_MAX];
	char text[300];
	struct update u;
	struct memo m;
	int n;

	if (!t.n_routes && table_make(&t, &o) < 0)
		abort();
	if (size > 65535 - 19)
		return 0;
	if (memo_init(&m, &t) < 0)
		abort();
	for (unsigned add_path = 0; add_path < 2; add_path++) {
		const struct effect *e = memo_find(&m, data, size, add_path, 0);

		if (e) {
			uint64_t h = e->hash;

			e = memo_find(&m, data, size, add_path, 0);
			if (!e || e->hash != h)
				abort();
			for (unsigned k = 0; k < e->n_runs; k++)
				if (m.run[e->first_run + k].from + m.run[e->first_run + k].n > t.n_routes)
					abort();
		}
	}
	if (update_parse(data, size, &u) == 0) {
		n = attrs_canonical(&u, canonical, sizeof(canonical));
		if (n > 0)
			canonical_print(canonical, (size_t)n, text, sizeof(text));
		attrs_community(&u, PULSE_COMMUNITY);
	}
	memo_free(&m);
	return 0;
}
