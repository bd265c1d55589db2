/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BFD for the control plane: who wants a session, and what it says.
 *
 * Two back ends, the same interface: peregrine-dp over its socket (--dp), or
 * the bfd/ engine on kernel sockets in a thread of its own. The link thread
 * waits on the link-state eventfd; on an event it first lets the FIB fail over
 * (fib_link_event()), then tells the subscribers, then main.
 *
 * A dataplane that goes away is not a link that goes down: sessions become
 * "unknown" (bfd_view.known false), subscribers are told BFD_EVENT_UNKNOWN and keep
 * their BGP sessions; on return all sessions are provisioned again.
 *
 * Threads: bfd_request() and friends from any; callbacks come from the link
 * thread and must only post.
 */
#pragma once
#include "bfd/session.h"
#include "controlplane/config/model.h"

struct bfd_client;
struct bfd_request;
struct fib;

struct bfd_client_options {
	const char *dp_socket; /* NULL: the embedded engine */
	struct fib *fib;       /* NULL: nothing to fail over */
	const char *name;      /* of the bfd protocol, for logs */
};
struct bfd_client *bfd_client_create(const struct bfd_client_options *o);
void bfd_client_destroy(
	struct bfd_client *c, bool keep_sessions); /* keep: the dataplane holds them for a restart */
/* `protocol bfd` configuration; NULL: no bfd protocol is up: requests wait. Main thread. */
void bfd_client_configure(struct bfd_client *c, const struct bfd_config *cfg, const char *proto_name);
/* All protocols have asked: what the dataplane holds and nobody wants may go. Main thread. */
void bfd_client_sync(struct bfd_client *c);

enum bfd_event {
	BFD_EVENT_UP,
	BFD_EVENT_DOWN,       /* detection, or the remote signalled Down */
	BFD_EVENT_ADMIN_DOWN, /* the remote went AdminDown: never a reason to tear BGP (RFC 5882 section 4.2
				 as clarified) */
	BFD_EVENT_UNKNOWN,    /* the dataplane is gone */
	BFD_EVENT_FAILED,     /* cannot be provisioned: text says why; retried */
};

/* Timeline of an event, CLOCK_MONOTONIC ns; 0 where a stage does not apply. */
struct bfd_stamps {
	uint64_t last_rx, detected, published, ring_read, plan_found, netlink_sent, netlink_acked;
};

struct bfd_request_config {
	struct bfd_key key;
	const char *ifname;         /* single hop; may be NULL when ifindex is 0 */
	struct bfd_options options; /* over those of the matching interface block */
	void (*event)(void *ctx, enum bfd_event ev, uint8_t diag, bool remote_cbit,
		const struct bfd_stamps *t, const char *text);
	void *ctx;
};
/* Sessions with equal keys are shared. The present state is reported by an event when it is Up or known. */
struct bfd_request *bfd_request_open(struct bfd_client *c, const struct bfd_request_config *r);
void bfd_request_update(struct bfd_request *q, const struct bfd_options *o);
void bfd_request_close(struct bfd_request *q); /* no event after it returns */

/* For `show bfd sessions`: a copy. Returns the number of sessions; fills at most max. Any thread. */
struct bfd_view {
	struct bfd_key key;
	char ifname[IF_NAMESIZE];
	struct bfd_params params;
	struct linkstate_entry state;
	bool known; /* false: the dataplane is gone or has not answered yet */
	uint64_t since_ns;
	char problem[160]; /* "" or why it is not provisioned */
	/* counters, zero when unknown */
	uint64_t down_after_stall; /* part of down_count */
	uint64_t rx_packets, tx_packets, up_count, down_count, worst_rx_gap_us, worst_overshoot_us;
	uint64_t last_down_ns, last_down_rx_ns;
	uint64_t rx_dropped, rx_auth_failed, rx_ttl, rx_refused; /* the last three are parts of the first */
	uint64_t worst_tx_gap_us, echo_rx, echo_tx;
	uint32_t rx_gap_hist[LINKSTATE_HIST]; /* bucket i: gaps of 2^i to 2^(i+1) us */
	bool unsolicited;
};
unsigned bfd_client_view(struct bfd_client *c, struct bfd_view *out, unsigned max);
/* What belongs to no session: of each worker (the embedded engine is worker 0), and of the XDP filters. */
struct bfd_counters {
	unsigned nworkers, nports;
	struct {
		unsigned number;
		uint64_t rx, tx, rx_invalid, rx_ttl, rx_unknown, rx_ratelimited, rx_forwarded, tx_dropped;
		uint64_t stalls, worst_stall_ns;
	} worker[LINKSTATE_RINGS];
	struct {
		char name[16];
		uint64_t taken, ttl, not_local;
	} port[LINKSTATE_PORTS];
};
/* False: there is no engine at the moment. Any thread. */
bool bfd_client_counters(struct bfd_client *c, struct bfd_counters *out);
/* "peregrine-dp at /run/x.sock", "kernel sockets", and whether it answers. */
void bfd_client_status(struct bfd_client *c, char *buf, size_t size, bool *alive);
