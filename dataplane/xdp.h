/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Our XDP program on an interface (dataplane/xdp/bfd_filter.bpf.c), seen from
 * user space: who holds the XDP slot, taking over the program that the AF_XDP
 * driver attached, the local address maps, the counters. Manager thread only.
 */
#pragma once
#include "dataplane/xdp/filter_stats.h"
#include "shared/addr.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XDP_ERR 256

struct xdp_filter {
	uint32_t ifindex;
	int prog_fd, link_fd; /* link_fd -1: attached the old way, stays behind when we are killed */
	int xsks_fd, v4_fd, v6_fd, stats_fd;
};

struct xdp_counters {
	uint64_t value[FILTER_STATS];
};

/* The filter's object file: $PEREGRINE_LIB, next to the executable, ../lib/peregrine from it,
 * /usr/lib/peregrine. 0, or -ENOENT with the places looked at in err. */
int xdp_object_path(char *path, size_t size, char err[XDP_ERR]);

/* Makes sure that the slot of the interface is free. A program of ours that a killed run left is detached
 * (*leftover = true); somebody else's is left alone: -EBUSY and a sentence in err. */
int xdp_slot_claim(uint32_t ifindex, const char *ifname, bool *leftover, char err[XDP_ERR]);

/* What the driver has just attached to the interface: taken over (found, its maps opened, detached) ... */
int xdp_filter_take(struct xdp_filter *f, uint32_t ifindex, const char *ifname, char err[XDP_ERR]);
/* ... or only detached: another queue's copy of the same program. */
int xdp_filter_drop(uint32_t ifindex, const char *ifname, char err[XDP_ERR]);
int xdp_filter_socket(struct xdp_filter *f, unsigned queue, int xsk);
/* Attaches what was taken, by a bpf_link where the kernel can: it then goes away with this process however
 * that ends. */
int xdp_filter_attach(struct xdp_filter *f, const char *ifname, char err[XDP_ERR]);

void xdp_filter_init(struct xdp_filter *f);
/* what: enum filter_local, 0 to take the address out. */
int xdp_filter_local(struct xdp_filter *f, const struct ipaddr *a, uint8_t what);
int xdp_filter_read(const struct xdp_filter *f, struct xdp_counters *out);
void xdp_filter_close(struct xdp_filter *f);
