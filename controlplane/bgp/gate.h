/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many routes at once wait in the socket they came by while what earlier ones have caused is still on its
 * way out; few routes never wait.
 *
 * A route that is read goes to all receivers, in order behind what is queued for them. Fifty clients of a
 * route server that return announce in 10 ms what takes a quarter of a second to write to the other 650: the
 * change of somebody else that comes then would be the last to leave. So a connection with much to
 * read is read in pieces, while no more is under way than some milliseconds of writing (AHEAD_OF_FEW_BYTES),
 * if changes of others have come lately, and some tens of milliseconds else: small pieces cost a write to
 * every receiver each. What waits costs no memory, and TCP holds the neighbour back. Every HOLD_NS one piece
 * is read whatever is under way; receivers that do not read are not waited for.
 *
 * A session thread's own; what is under way is known from the export engine (atomics).
 */
#pragma once
#include <ev.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu/list.h>

struct bgp_conn;
struct bgp_thread;

struct bgp_gate {
	struct ev_timer timer;
	struct cds_list_head waiting; /* connections that are not read now, the longest waiting first */
	struct cds_list_head blocked; /* connections whose socket takes nothing, since... */
	_Atomic uint64_t stuck;       /* bytes for those of them that have been so for long */
	uint64_t read_ns;             /* when it let somebody read */
	uint64_t few_ns;              /* when somebody had a few changes to tell */
};

/* A connection's part. */
struct bgp_gate_place {
	struct cds_list_head waiting, blocked; /* nodes; next NULL: in no list */
	uint64_t blocked_since;
	uint64_t much_ns; /* when it said much */
};

void gate_init(struct bgp_thread *t);
/* It has something to read. True: not now; it is read later. Else *most is how much may be read. */
bool gate_closed(struct bgp_conn *c, size_t *most);
void gate_read(struct bgp_conn *c, size_t n);        /* so many bytes have come */
void gate_blocked(struct bgp_conn *c, bool blocked); /* whether the socket takes bytes */
void gate_leave(struct bgp_conn *c);                 /* it is closed */
