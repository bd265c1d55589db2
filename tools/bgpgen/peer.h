/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Generated BGP peers: as many as wanted in one process and one thread (epoll).
 * A peer connects from an address of its own, establishes, sends its stream
 * when told to and follows what it is sent: a bitmap of the routes it has, so
 * that duplicates do not count as progress and the clock stops at the last
 * missing prefix, on the receiving side.
 */
#pragma once
#include "tools/bgpgen/stream.h"
#include <stdio.h>
#include <sys/epoll.h>

enum peer_state { PEER_IDLE, PEER_CONNECTING, PEER_OPEN_SENT, PEER_OPEN_CONFIRM, PEER_UP };

struct generator;

struct peer {
	struct generator *gen;
	unsigned number;
	struct speaker who;
	struct ipaddr local;
	enum peer_state state;
	int fd;
	uint64_t retry_at_ns, next_keepalive_ns;
	/* sending */
	const struct stream *table; /* its announcements; shared by nobody, owned by the generator */
	struct stream own;          /* open, keepalives, refresh: goes first */
	size_t table_done, own_done;
	bool sending;
	/* receiving */
	uint8_t *in;
	size_t in_len;
	uint64_t *have;              /* bit a route */
	uint32_t n_have, n_expected; /* expected 0: does not count */
	uint64_t rx_updates, rx_announced, rx_withdrawn, rx_unknown, rx_repeated, rx_bytes;
	uint64_t first_rx_ns, last_rx_ns, complete_ns, empty_ns, worst_gap_ns;
	uint32_t slow_bytes_s; /* reads at most this much a second; 0: as fast as it can */
	uint64_t slow_from_ns, slow_read;
	bool reads_nothing;
	char problem[160];
};

struct generator {
	struct gen_table *table;
	struct peer *peer;
	unsigned n_peers;
	struct ipaddr dut;
	uint16_t dut_port;
	int epoll;
	unsigned n_up, n_complete, n_expecting;
	uint64_t now_ns;
	uint64_t path_check_failed;
	bool verify_first_as;
};

/* Room for n peers. 0 or -errno. */
int generator_init(struct generator *g, unsigned n);
void generator_free(struct generator *g);
void peer_connect(struct peer *p);
void peer_close(struct peer *p, bool cease);
/* Starts (again) to send p->table from its beginning. */
void peer_send(struct peer *p);
/* One turn of all peers: at most wait_ms for something to happen. */
void generator_turn(struct generator *g, int wait_ms);
/* What the peer must have in the end: all routes but those in [from, to). Counting restarts. */
void peer_expect(struct peer *p, uint32_t n_expected);
