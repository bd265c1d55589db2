/* SPDX-License-Identifier: BSD-2-Clause */
/* NOTIFICATION bodies: what a peer says must come out as harmless text. */
#include "controlplane/bgp/message.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bgp_error e;
	uint8_t buf[BGP_MAX_MESSAGE];
	char text[300], small[8], name[32];

	if (size < 2 || size > BGP_MAX_MESSAGE)
		return 0;
	bgp_fail_data(&e, data[0], data[1], data + 2, size - 2);
	bgp_error_detail(&e, text, sizeof(text));
	bgp_error_detail(&e, small, sizeof(small));
	if (strnlen(text, sizeof(text)) == sizeof(text) || strnlen(small, sizeof(small)) == sizeof(small))
		abort();
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			abort();
	if (!bgp_error_name(data[0], data[1], name)[0] || !bgp_notification_encode(&e, buf, sizeof(buf)))
		abort();
	return 0;
}
