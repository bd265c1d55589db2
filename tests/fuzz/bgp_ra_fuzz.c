/* SPDX-License-Identifier: BSD-2-Clause */
/* Router advertisements and solicitations, as the kernel hands them over: no read beyond the end, and what
 * passes has whole options. */
#include "controlplane/bgp/ra.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t addr[16] = {0xfe, 0x80, [15] = 1}, *exact;
	struct ipaddr from;
	enum ra_kind kind;
	int hops;

	if (size < 3)
		return 0;
	hops = data[0];
	addr[0] = data[1];
	addr[1] = data[2];
	data += 3;
	size -= 3;
	from = ipaddr_v6(addr);
	exact = malloc(size ? size : 1); /* no byte behind it */
	if (!exact)
		abort();
	memcpy(exact, data, size);
	kind = ra_read(exact, size, hops, &from);
	if (kind != RA_NONE) {
		size_t at = kind == RA_ADVERTISEMENT ? 16 : 8;

		if (hops != 255 || (kind == RA_ADVERTISEMENT && !ipaddr_is_link_local(&from)))
			abort();
		while (at < size)
			at += 8 * (size_t)exact[at + 1];
		if (at != size)
			abort();
	}
	free(exact);
	return 0;
}
