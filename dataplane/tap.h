/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way back to the kernel for ports that DPDK owns (tap= in the SPEC): a TAP
 * interface with the port's MAC address. What comes in and is not BFD is given
 * to it, what the kernel sends goes out of the port; the kernel keeps its
 * addresses, ARP, BGP sessions and whatever else was on that wire.
 */
#pragma once
#include "dataplane/port.h"
#include "dataplane/worker.h"

/* Manager thread. Opens (or attaches to) the interface: p->tap_fd, p->ifindex. 0 or -errno with p->why. */
int tap_open(struct port *p);
/* The port's MAC address is known now: gives it to the interface, which is then up. */
int tap_ready(struct port *p);
void tap_close(struct port *p);

struct tap_thread;
/* One thread carries the packets of all taps. add and remove wait until the thread has taken notice. */
int tap_thread_create(struct tap_thread **out, struct worker_group *g);
void tap_thread_destroy(struct tap_thread *t);
void tap_thread_add(struct tap_thread *t, unsigned port, int fd);
void tap_thread_remove(struct tap_thread *t, unsigned port);
/* Where workers put what is for the kernel. */
struct rte_ring *tap_thread_ring(struct tap_thread *t);
