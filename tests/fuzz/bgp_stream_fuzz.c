/* SPDX-License-Identifier: BSD-2-Clause */
/* Framing of a byte stream, and ROUTE-REFRESH messages in it. */
#include "controlplane/bgp/message.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t max = size & 1 ? BGP_MAX_MESSAGE : BGP_MAX_EXTENDED_MESSAGE;
	struct bgp_refresh r;
	struct bgp_error e;

	/* The bare body too: a fuzzer takes long to find a marker. */
	for (int enhanced = 0; enhanced < 2; enhanced++) {
		if (bgp_refresh_decode(data, size, enhanced, &r, &e) < 0 &&
			(e.code != BGP_ERR_REFRESH || e.subcode != 1))
			abort();
	}
	while (size) {
		int n = bgp_frame(data, size, max, &e);

		if (n < 0 && e.code != BGP_ERR_HEADER)
			abort();
		if (n <= 0)
			break;
		if ((size_t)n > size || n < BGP_HEADER_LEN)
			abort();
		if (data[18] == BGP_MSG_ROUTE_REFRESH)
			bgp_refresh_decode(data + 19, (size_t)n - 19, true, &r, &e);
		data += n;
		size -= (size_t)n;
	}
	return 0;
}
