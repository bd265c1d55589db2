/* SPDX-License-Identifier: BSD-2-Clause */
/* What the XDP program and dataplane/xdp.c have in common: indices of filter_stats, values of local_v4 and
 * local_v6. */
#pragma once

enum filter_local {
	FILTER_LOCAL = 1, /* an address of this host */
	FILTER_ECHO_PEER =
		2, /* a neighbour that may have its echo packets sent back: they are addressed to itself */
};

enum filter_stat {
	FILTER_TAKEN,     /* handed to AF_XDP */
	FILTER_TTL,       /* dropped: single hop with a TTL other than 255 */
	FILTER_NOT_LOCAL, /* a BFD port, but not an address of ours: left to the kernel */
	FILTER_STATS,
};
