/* SPDX-License-Identifier: BSD-2-Clause */
/* What a cache sends, as a stream: no PDU says more than its bytes hold, and the stream always moves on. */
#include "controlplane/rpki/rtr.h"
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint32_t sink; /* so that what is read is read */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t sum = 0;
	size_t at = 0;

	for (;;) {
		struct rtr_pdu p;
		int n = rtr_parse(data + at, size - at, &p);

		if (n == 0 || n == -EBADMSG)
			break;
		if (n < (int)RTR_HEADER || (size_t)n > size - at || (uint32_t)n != p.length)
			abort();
		if (p.type == RTR_ERROR_REPORT)
			for (uint32_t i = 0; i < p.text_len; i++)
				sum += p.text[i];
		if (p.type == RTR_ASPA)
			for (uint32_t i = 0; i < p.n_providers; i++)
				sum += rtr_provider(&p, i);
		if ((p.type == RTR_IPV4_PREFIX || p.type == RTR_IPV6_PREFIX) && !p.ignore &&
			(p.prefix.family != (p.type == RTR_IPV4_PREFIX ? 4 : 6) || p.max_len < p.prefix.len ||
				p.max_len > (p.prefix.family == 4 ? 32 : 128)))
			abort();
		at += (size_t)n;
	}
	sink = sum;
	return 0;
}
