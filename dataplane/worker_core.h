/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of a worker, shared by worker.c (the rounds), worker_receive.c,
 * worker_send.c, worker_command.c (sessions come, change, move, go) and
 * worker_group.c (the manager's side). Nobody else includes this. But for
 * worker_group.c all of it runs in the worker's own thread.
 */
#pragma once
#include "dataplane/dpdk.h"
#include "dataplane/worker.h"
#include "shared/clock.h"
#include <rte_mbuf.h>
#include <unistd.h>

#define WORKER_BEHIND_MAX_NS (5 * NS_PER_MS) /* judging is behind the present by no more, whatever waits */
#define WORKER_COMMAND_RING 4096
#define WORKER_INBOX_RING 2048

/* What a mbuf in an inbox is for: in its hash.usr. A packet that went to its owner counts as refused PASSED
 * times. */
#define PASSED 64u
enum { HANDOFF_SEND = 0, HANDOFF_RX = 1 /* + number of workers that have refused it */ };

/* A control packet of IPv4 needs the first 64 bytes. */
struct path_line {
	_Alignas(64) struct worker_path p;
};

struct out_queue {
	struct rte_mbuf *m[WORKER_BURST];
	unsigned n;
	uint64_t blocked_ns; /* since when the port has not taken all; 0: it does */
};

struct worker {
	struct worker_group *group;
	unsigned number, lcore;
	struct bfd_engine *engine;
	struct linkstate_worker *stats; /* only this thread writes it: what the engine doesn't count itself */
	struct path_line *paths;        /* [capacity] */
	struct rte_ring *commands, *done;
	struct rte_ring *moves;      /* commands that came with a session from another worker, or after it */
	struct rte_ring *inbox;      /* frames from other workers and the manager */
	struct rte_mempool *handoff; /* what we put into other inboxes */
	int wake_fd;
	bool started, stop;
	unsigned outstanding; /* the manager's: commands given and not yet back */
	uint64_t loops_seen;  /* the same, for worker_alive() */
	struct out_queue out[PORT_MAX];
	uint64_t sbfd_ns;    /* bucket of the S-BFD reflector */
	uint64_t round_ns;   /* the round's present, for what needs no better */
	unsigned sent;       /* packets that this round was due to send */
	uint64_t drained_ns; /* what arrived at our queues before was taken in */
	uint64_t behind_ns;  /* since when another worker has kept us from judging; 0: nobody */
	/* drained_ns for the others (release, after the hand-over); UINT64_MAX: asleep. Its own cache line.
	 */
	_Alignas(64) _Atomic uint64_t taken_ns;
};

static inline void bump(_Atomic uint64_t *c, uint64_t by)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + by, memory_order_relaxed);
}

/* Even a busy one sleeps while it is not among the active. */
static inline void worker_wake_surely(struct worker *w)
{
	uint64_t one = 1;

	if (write(w->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake already */
}

static inline void worker_wake(struct worker *w)
{
	if (w->group->adaptive)
		worker_wake_surely(w);
}

/* worker_send.c */

/* Before the ports they were for may go. */
void worker_drop_in_hand(struct worker *w);
void worker_queue_out(struct worker *w, const struct worker_tables *t, unsigned port, struct rte_mbuf *m);
/* False: the other's inbox is full, and the packet is freed. */
bool worker_hand_over(struct worker *to, struct rte_mbuf *m, unsigned port, unsigned kind);
/* The queue of ours on this port, or NULL with *other one of its workers. */
const struct port_queue *worker_own_queue(
	const struct worker *w, const struct worker_port *p, unsigned *other);
/* For struct bfd_engine_options; arg: the worker. */
void worker_fetch_path(void *arg, uint32_t slot);
/* False: there is more, but the port or the time has run out. */
bool worker_send_due(struct worker *w, const struct worker_tables *t, uint64_t now);

/* worker_receive.c */

/* By a frame's tag; 0: it is in a VLAN that the port has no interface in. */
uint32_t worker_interface_of(const struct worker_port *p, const uint8_t *frame);
/* NULL: no buffer, or not one that large. */
struct rte_mbuf *worker_copy_frame(struct rte_mempool *pool, const uint8_t *frame, uint32_t len);
/* Everything that has arrived, up to a bound that keeps a flood from starving the sweep. start: a time just
 * before the call. Returns the number of packets. */
unsigned worker_receive_ports(
	struct worker *w, const struct worker_tables *t, unsigned bursts, uint64_t limit_ns, uint64_t start);
/* Up to when the others have handed over what was ours. Before our inbox is emptied. */
uint64_t worker_others_taken(const struct worker *w);
unsigned worker_receive_inbox(struct worker *w, const struct worker_tables *t);

/* worker_command.c; both return how many there were. */
unsigned worker_apply_commands(struct worker *w, uint64_t now);
/* Sessions that come from other workers, and what was sent after them. Before the inbox, where their packets
 * are. */
unsigned worker_apply_moves(struct worker *w);

/* worker.c: the thread; arg is the worker. */
int worker_run(void *arg);
