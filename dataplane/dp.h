/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The manager's state: everything of peregrine-dp that is not a worker's. One
 * thread, an epoll loop; nothing here is touched by anybody else but through
 * dataplane/worker.h.
 */
#pragma once
#include "dataplane/eal.h"
#include "dataplane/neigh.h"
#include "dataplane/options.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"
#include "shared/linkstate.h"
#include <pthread.h>

struct session;
struct provision;
struct frr;

/* What epoll gives back: whose descriptor became ready. */
struct dp_source {
	void (*ready)(struct dp_source *s, uint32_t events);
	void *owner;
	int fd;
};

struct dp_command {
	struct command c; /* first */
	struct dp_command *next;
	unsigned worker;
};

struct dp {
	const struct options *opt;
	struct eal eal;
	struct linkstate ls;
	struct worker_group workers;
	struct neigh_table *neigh;
	struct port port[PORT_MAX];
	unsigned nports;
	struct port_open how;

	/* Sessions (dataplane/session.c): index is the slot. */
	struct session *session;
	uint32_t *free_slots; /* a queue: the slot that has been free longest is used first */
	uint32_t free_head, free_count;
	uint32_t *by_key, by_key_mask; /* hash table of slots, UINT32_MAX = none; chained in the sessions */
	uint64_t seed;
	uint32_t route_cursor, leaving;
	bool filters_due; /* who may have echo packets sent back has changed */
	unsigned on_worker[WORKER_MAX];
	unsigned active;    /* workers in use, the first ones */
	bool rebalance_due; /* some session could not be moved at once */
	/* Commands that did not fit into a worker's ring yet, in order. */
	struct dp_command *backlog, **backlog_tail;
	unsigned outstanding;

	struct tap_thread *taps; /* NULL: no port has one */
	struct provision *provision;
	struct frr *frr;
	struct linkstate_reader reader; /* for the log and for FRR */
	bool scan;                      /* the reader lost hints: look at every slot */

	int epoll_fd, notify_fd, signal_fd;
	struct dp_source notify_source, signal_source, neigh_source;
	int extra_subscriber[WORKER_SUBSCRIBERS];
	unsigned nextra;
	uint64_t now_ns, next_tick_ns, next_retry_ns, next_filters_ns;
	bool stopping;
	bool strangers; /* the client's IPC_SETTINGS, as are the following */
	struct bfd_reflector reflector;
	pthread_t heart;
	_Atomic bool heart_stop;
	bool heart_runs;
};

/* manager.c */
int dp_watch(struct dp *dp, struct dp_source *s, int fd, uint32_t events); /* EPOLL_CTL_ADD or MOD */
void dp_unwatch(struct dp *dp, struct dp_source *s);
/* Gives a command to a worker, in order, and forgets about it: it comes back to session_done(). */
void dp_command(struct dp *dp, unsigned worker, const struct command *c);
/* How many workers have queues and sessions from now on; what the others have moves, no session notices. 0:
 * all there are; more than those: also. */
void dp_use_workers(struct dp *dp, unsigned n);
/* After a change of ports or subscribers: what the workers shall see from now on. */
void dp_publish(struct dp *dp);
/* An eventfd that is written at each Up or Down. -ENOSPC */
int dp_subscribe(struct dp *dp, int fd);
void dp_unsubscribe(struct dp *dp, int fd);
struct port *dp_port_by_ifindex(struct dp *dp, uint32_t ifindex, uint16_t *vid);
/* A port or one of its VLANs by the name that sessions have for it; *ifindex is its, 0 if there is no
 * interface yet. */
struct port *dp_port_by_name(struct dp *dp, const char *name, uint32_t *ifindex);
void dp_wanted_mac(struct dp *dp, const struct neigh_watch *w);

/* 0, or a negative errno with a sentence in err. */
int dp_start(struct dp *dp, const struct options *o, char err[OPTIONS_ERR]);
void dp_run(struct dp *dp);
void dp_stop(struct dp *dp);
