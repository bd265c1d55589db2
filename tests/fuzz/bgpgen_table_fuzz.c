/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables from files of others: text, ranges, MRT. Then one message of what was read goes through the
 * receiving side. */
#include "tools/bgpgen/memo.h"
#include "tools/bgpgen/stream.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct gen_options o = {.run = 3, .communities = 4, .seed = 1};
	struct gen_table t;
	unsigned where;

	if (size > 20000)
		return 0;
	if (table_parse(&t, data, size, &o, &where) == 0) {
		struct speaker who = {.as = 64001, .next_hop4 = ipaddr_v4(1), .v4 = true, .v6 = true};
		uint32_t own = who.as;

		for (uint32_t i = 0; i < t.n_routes && i < 50; i++) {
			struct saying what = {
				.who = &who, .attrs = &t.attrs[t.route[i].attrs], .lead = &own, .n_lead = 1};
			struct stream s = {0};
			struct update u;

			if (table_find(&t, &t.route[i].prefix) != i)
				abort();
			stream_announce(&s, &what, &t, i, i + 1);
			if (update_parse(s.data + 19, s.len - 19, &u) < 0)
				abort();
			stream_free(&s);
		}
	}
	table_free(&t);
	return 0;
}
