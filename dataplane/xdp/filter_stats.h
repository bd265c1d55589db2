/* SPDX-License-Identifier: BSD-2-Clause */
/* Indices of the filter_stats map: shared by the XDP program and dataplane/xdp.c. */
#pragma once

enum filter_stat {
	FILTER_TAKEN,     /* handed to AF_XDP */
	FILTER_TTL,       /* dropped: single hop with a TTL other than 255 */
	FILTER_NOT_LOCAL, /* a BFD port, but not an address of ours: left to the kernel */
	FILTER_STATS,
};
