/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Generated BGP peers: as many as wanted in one process and one thread (epoll).
 * A peer connects from an address of its own, establishes, sends its stream
 * when told to and follows what it is sent: a bitmap of the routes it has
 * against one of those it should have, so that duplicates do not count as
 * progress and the clock stops at the last missing prefix, on the receiving side.
 */
#pragma once
#include "tools/bgpgen/memo.h"
#include "tools/bgpgen/stream.h"
#include <stdio.h>
#include <sys/epoll.h>

enum peer_state { PEER_IDLE, PEER_CONNECTING, PEER_OPEN_SENT, PEER_OPEN_CONFIRM, PEER_UP };

/* What is counted of one phase (peer_new_phase() starts it anew). */
struct tally {
	uint64_t updates, announced, withdrawn, repeated, unknown, bytes, end_of_ribs;
	uint64_t first_ns, last_ns, complete_ns, worst_gap_ns; /* of UPDATEs; 0: none */
	uint64_t worst_silence_ns;                             /* between any two messages */
	uint64_t pulses, worst_pulse_ns;
};

struct peer {
	struct generator *gen;
	unsigned number;
	struct speaker who;
	struct ipaddr local;
	enum peer_state state;
	int fd;
	uint32_t events; /* that epoll watches */
	uint64_t retry_at_ns, next_keepalive_ns, keepalive_every_ns;
	/* sending */
	struct stream table; /* all that it announces; sent from the beginning by peer_send() */
	struct stream
		own; /* open, keepalives, changes: up to own_first before the table, the rest behind it */
	size_t table_done, own_done, own_first;
	bool sending;
	/* receiving */
	uint8_t *rest; /* of a message not yet whole */
	size_t rest_len, rest_size;
	/* Bit a route. ignore: its own, which some daemons send back (RFC 4271 9.1.3 leaves it open). */
	uint64_t *have, *want, *ignore;
	uint32_t *attrs;    /* number a route, with generator.check */
	uint32_t n_missing; /* wanted, not there */
	uint32_t n_extra;   /* there, neither wanted nor ignored */
	bool counts;        /* its completion is waited for */
	uint32_t memo_hint;
	uint64_t memo_generation;
	struct tally tally;
	uint64_t last_any_ns, established_ns;
	int last_pulse; /* -1: none yet */
	/* slow reading */
	uint32_t slow_bytes_s; /* reads at most this much a second; 0: as fast as it can */
	uint64_t slow_from_ns, slow_read;
	char problem[160];
};

struct generator {
	struct gen_table *table;
	struct memo memo;
	struct peer *peer;
	unsigned n_peers;
	struct ipaddr dut;
	uint16_t dut_port;
	int epoll;
	uint8_t *in; /* one buffer for all: what is left of a message moves to the peer */
	unsigned n_up, n_complete, n_counting;
	uint64_t now_ns;
	bool check;
	uint64_t *pulse_sent_ns; /* by number mod 65536 */
	int receive_buffer;      /* of each peer's socket; 0: the kernel's choice */
	/* A session is up: what it should send may have changed since it last was. */
	void (*established)(struct generator *g, struct peer *p, void *user);
	void (*lost)(struct generator *g, struct peer *p, void *user);
	void *user;
};

/* Room for n peers. 0 or -errno. */
int generator_init(struct generator *g, unsigned n);
void generator_free(struct generator *g);
void peer_connect(struct peer *p);
/* Ends the session, with a Cease or by just closing; it stays down until retry_at_ns is set. */
void peer_close(struct peer *p, bool cease);
/* Starts (again) to send p->table from its beginning. */
void peer_send(struct peer *p);
/* p->own has grown. */
void peer_flush(struct peer *p);
/* A slow reader is one no more. */
void peer_read_on(struct peer *p);
/* p->want has changed, or a new phase begins: counts what is missing, and whether it counts. */
void peer_expect(struct peer *p, bool counts);
/* As if nothing had been received yet: for phases in which everything must come again. */
void peer_forget(struct peer *p);
void peer_new_phase(struct peer *p);
/* One turn of all peers: at most wait_ms for something to happen. */
void generator_turn(struct generator *g, int wait_ms);
