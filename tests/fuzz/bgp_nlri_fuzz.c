/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Destinations of families that are no prefixes, the first octet of the input says of which. What is taken is
 * printed and sent on: that must be read again as the same, and so must the text.
 */
#include "controlplane/bgp/nlri.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bgp_nlri n, again;
static uint8_t buf[8192];
static char text[65536];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t families[][2] = {{1, 133}, {2, 133}, {1, 128}, {2, 128}, {25, 70}};
	struct bgp_bytes b, second;
	enum net_type type;
	bool add_path, reach;

	if (!size)
		return 0;
	type = bgp_family_net(families[data[0] % 5][0], (uint8_t)families[data[0] % 5][1]);
	add_path = data[0] & 0x80;
	reach = !(data[0] & 0x40);
	if (type == NET_NONE)
		return 0;
	b = (struct bgp_bytes){data + 1, size - 1};
	while (bgp_nlri_decode(&b, type, reach, add_path, &n) > 0) {
		size_t len;

		if (n.wrong)
			continue;
		if (net_format(&n.net, text, sizeof(text)) >= sizeof(text))
			abort();
		len = bgp_nlri_encode(
			n.net.nlri, type, n.labels, n.n_labels, add_path, n.path_id, buf, sizeof(buf));
		if (!len)
			abort();
		second = (struct bgp_bytes){buf, len};
		if (bgp_nlri_decode(&second, type, true, add_path, &again) != 1 || second.len ||
			again.wrong || !net_equal(&n.net, &again.net) || n.path_id != again.path_id ||
			(n.n_labels && n.n_labels != again.n_labels) ||
			memcmp(n.labels, again.labels, n.n_labels) != 0)
			abort();
		/* What is withdrawn is known by the same name. */
		len = bgp_nlri_encode(n.net.nlri, type, NULL, 0, add_path, n.path_id, buf, sizeof(buf));
		second = (struct bgp_bytes){buf, len};
		if (!len || bgp_nlri_decode(&second, type, false, add_path, &again) != 1 || second.len ||
			again.wrong || !net_equal(&n.net, &again.net))
			abort();
	}
	return 0;
}
