/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is about to leave for a lost neighbour leaves over the backup instead.
 *
 * Mechanism. A BPF program at the egress of every port with neighbours (tcx) reads one word of memory that we
 * share with it: how many neighbours are lost. If that is none, it does nothing else. If there are some, it
 * asks the kernel's table to whom the packet goes out of this port. Is that next hop's slot in `state` lost,
 * and the frame has its address (the table cannot be asked for all that a rule may look at), it asks again,
 * for the port that the entry in `hops` names: the table answers with the member of the packet's own group
 * that is there, or with a less specific route, as it will when the route has been withdrawn. That neighbour
 * gets the packet (bpf_redirect_neigh()). For a backup on the lost one's own port, and for IPv6, the table
 * cannot be asked this way: then the entry names the neighbour, if it is the same for everything that goes to
 * the lost one.
 *
 * Saying that a neighbour is lost is a store: no system call, no lock of the kernel's, so a thousand
 * neighbours of a port cost what one costs, and what the kernel is busy with does not matter. It bridges the
 * time until netlink has been heard, a message for each object: then groups and routes lead to the backup by
 * themselves, and the fib thread takes the entries back. `ip route get` does not see any of it.
 *
 * The program is attached by links that the kernel takes away with our last descriptor: whatever ends us,
 * nothing is left.
 *
 * Threads
 *   fib thread    slots, entries, ports
 *   link thread   redirect_lost()
 * A slot belongs to a nexthop object for as long as any plan can name it, so a late redirect_lost() marks
 * nobody else.
 */
#pragma once
#include "controlplane/fib/links.h"

struct redirect;

/* 0, or -errno when this kernel cannot or will not; where: which step. */
int redirect_open(struct redirect **out, const char **where);
void redirect_close(struct redirect *r);

/* 0: none left. */
uint32_t redirect_slot(struct redirect *r);
/* Used again a grace period later. */
void redirect_slot_free(struct redirect *r, uint32_t slot);
/* When the slot is lost, packets of this family (4 or 6) to `from` leave out of ifindex: to gw, or (NULL) to
 * whom the table names there. -errno: the kernel refused. */
int redirect_set(struct redirect *r, uint32_t slot, uint8_t family, const struct hop *from, uint32_t ifindex,
	const struct ipaddr *gw);
void redirect_unset(struct redirect *r, uint8_t family, const struct hop *from);
/* Attaches the program if it is not there. */
int redirect_port(struct redirect *r, uint32_t ifindex);
/* Forgets it if the kernel has taken the program away with the interface. */
void redirect_port_changed(struct redirect *r, uint32_t ifindex);

/* Any thread. */
void redirect_lost(struct redirect *r, uint32_t slot);
/* Takes that back. */
void redirect_clear(struct redirect *r, uint32_t slot);
/* Slots that are lost now. */
unsigned redirect_active(const struct redirect *r);
/* For the benchmark. */
int redirect_program(const struct redirect *r);
