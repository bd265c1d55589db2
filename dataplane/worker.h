/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker: one thread, one BFD engine, the sessions that were given to it.
 *
 * Who writes what
 *   - A session (engine state, linkstate slot, its entry in paths[]) is written
 *     by its worker alone. The manager asks for changes through `commands`
 *     (single producer, single consumer) and gets each command back through
 *     `done`, with its result; it owns the memory.
 *   - What all workers read and only the manager changes (ports, descriptors to
 *     notify) is one immutable struct worker_tables behind an RCU (QSBR)
 *     pointer: after worker_publish() returns, no worker uses the old one.
 *     A worker is quiescent between two rounds and offline while it sleeps.
 *   - owner[slot] is written by the manager before a new session's ADD is queued, and
 *     by the worker that has a session when it gives it away; the workers read it
 *     to hand a packet to the worker it belongs to.
 *   - A session moves from worker to worker without the manager, which may be
 *     waiting for the kernel: COMMAND_MOVE goes to the one that has it, which puts
 *     the session into the command, the command into the other's `moves`, and then
 *     changes owner[slot]. Whatever the manager still sends to the first one for
 *     that slot goes the same way behind it, so the order is kept; the manager
 *     turns to the second one when everything has come back (session_done()).
 *     A command comes back by `done` of the worker that it was given to.
 *   - A queue of a port changes hands in two steps: first nobody uses the port
 *     (worker_tables.changing), then, when no worker can be in a round that began
 *     before, its new worker.
 *   - Packets that change hands (to another worker, or to the manager) are
 *     copied into buffers of the sender's own pool, so that a port and its
 *     buffers can go without asking who else holds one.
 */
#pragma once
#include "bfd/engine.h"
#include "bfd/frame.h"
#include "dataplane/port.h"
#include "shared/linkstate.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WORKER_BURST 32
#define WORKER_SUBSCRIBERS 8
#define WORKER_MAX 15

/* How a session's packets leave. */
struct worker_path {
	uint8_t port;
	bool resolved;
	struct bfd_frame control, echo;
};

enum command_type { COMMAND_ADD, COMMAND_UPDATE, COMMAND_PATH, COMMAND_REMOVE, COMMAND_MOVE, COMMAND_STOP };

struct command {
	enum command_type type;
	uint32_t slot;
	int result; /* set by the worker */
	uint32_t generation, local_disc;
	struct bfd_key key;
	struct bfd_params params;
	struct worker_path path;
	unsigned given;          /* the worker whose `done` it comes back by; the workers' own */
	unsigned to;             /* COMMAND_MOVE: the worker that gets the session */
	struct bfd_moved *moved; /* COMMAND_MOVE: for the way; the manager's */
	bool path_down;          /* COMMAND_PATH: the port is down, nothing can pass: Down at once */
};

struct rte_ring;
struct rte_mempool;

struct worker_port {
	bool open; /* receive from it and send to it */
	bool up;   /* else what is to be sent is dropped */
	bool partial_csum;
	struct rte_ring *exceptions; /* where what is not BFD goes; NULL: nowhere */
	uint32_t ifindex;
	unsigned nqueues;
	struct port_queue q[PORT_QUEUES];
	uint8_t worker[PORT_QUEUES]; /* whose queue it is */
	unsigned nvlans;
	struct {
		uint16_t vid;
		uint32_t ifindex;
	} vlan[PORT_VLANS];
};

struct worker_tables {
	unsigned nports, nsubscribers;
	bool changing;                      /* queues change hands: nobody receives or sends for the moment */
	unsigned active;                    /* workers that have queues and sessions: the first ones */
	bool strangers;                     /* packets that may begin a session go to the manager: RFC 9468 */
	struct bfd_reflector reflector;     /* S-BFD */
	int subscriber[WORKER_SUBSCRIBERS]; /* eventfds */
	struct worker_port port[PORT_MAX];
};

struct worker_group {
	unsigned n;
	bool adaptive;
	uint32_t salt, capacity;
	struct linkstate *ls;
	_Atomic uint8_t *owner;       /* [capacity] */
	struct worker_tables *tables; /* RCU */
	struct rte_ring *exceptions;  /* to the manager: struct rte_mbuf, port = our port index */
	struct rte_ring *strangers;   /* the same, packets of unknown neighbours */
	struct worker *worker[WORKER_MAX];
};

struct worker;

/* Manager thread, for all of these. */
int worker_group_create(struct worker_group *g, struct linkstate *ls, unsigned n, bool adaptive,
	uint32_t capacity, uint64_t seed);
/* Starts worker i on its EAL lcore. */
int worker_start(struct worker_group *g, unsigned i, unsigned lcore);
/* Waits for all workers to return after COMMAND_STOP, frees everything. */
void worker_group_destroy(struct worker_group *g);
/* Takes t over (malloc), frees the one before once nobody reads it any more. */
void worker_publish(struct worker_group *g, struct worker_tables *t);
/* -EAGAIN: the ring is full, try later. */
int worker_command(struct worker_group *g, unsigned i, struct command *c);
/* A command that came back, or NULL. */
struct command *worker_done(struct worker_group *g, unsigned i);
/* Sends a frame out of a port, soon; for the few that the manager makes itself. */
int worker_send(struct worker_group *g, unsigned port, const void *frame, uint16_t len);
/* The next frame that a standalone port got and is not BFD: its length, 0 if none. */
uint16_t worker_exception(struct worker_group *g, unsigned *port, void *frame, uint16_t size);
/* The next packet that may begin a session: false: none. rx has no payload. */
bool worker_stranger(struct worker_group *g, unsigned *port, struct bfd_rx *rx);
/* All workers are running rounds (since the last call). */
bool worker_alive(struct worker_group *g);
