/* SPDX-License-Identifier: BSD-2-Clause */
/* OPEN bodies. What was read is written and read again: nothing may change. */
#include "controlplane/bgp/message.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t buf[BGP_MAX_MESSAGE];
	struct bgp_open o, back;
	struct bgp_error e;
	size_t len;

	if (size > BGP_MAX_MESSAGE - BGP_HEADER_LEN)
		return 0;
	if (bgp_open_decode(data, size, &o, &e) < 0) {
		if (e.code != BGP_ERR_OPEN || e.len > sizeof(e.data))
			abort();
		return 0;
	}
	if (o.caps.n_af > BGP_MAX_AF || strnlen(o.caps.host, sizeof(o.caps.host)) == sizeof(o.caps.host))
		abort();
	if (o.caps.role < BGP_ROLE_NONE || o.caps.role > BGP_ROLE_PEER)
		return 0; /* kept to be refused, never written */
	len = bgp_open_encode(&o, buf, sizeof(buf));
	if (!len)
		return 0;
	if (bgp_frame(buf, len, BGP_MAX_MESSAGE, &e) != (int)len ||
		bgp_open_decode(buf + 19, len - 19, &back, &e) < 0)
		abort();
	if (back.as != o.as || back.id != o.id || back.hold_time != o.hold_time ||
		back.caps.refresh != o.caps.refresh || back.caps.role != o.caps.role ||
		back.caps.gr != o.caps.gr)
		abort();
	return 0;
}
