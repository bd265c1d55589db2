/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Link state shared between the process that runs the BFD engine and those
 * that act on it: one memfd (or anonymous mapping) with
 *
 *     header | rings[RINGS] | slots[capacity] (64 bytes each) | stats[capacity]
 *
 * Who writes what
 *   - Each slot and its stats have exactly one writer: the worker that owns the
 *     session. Ownership moves only through the manager while neither writes.
 *   - Each ring has exactly one producer, the worker of the same number.
 *   - Readers never write anything: any number of processes may attach
 *     read-only, die and come back, without the writer noticing.
 *
 * Ordering argument
 *   Slot: a sequence lock without fences, so that ThreadSanitizer sees all of
 *   it. The writer stores seq odd (relaxed), each word (release), then seq even
 *   (release). A reader loads seq (acquire), each word (acquire), then seq
 *   again (relaxed). A reader that saw one word of a newer write synchronises
 *   with that store and therefore sees at least that write's odd seq in its
 *   second load: equal and even means the copy is one state that the writer
 *   published. On x86 all of these are plain moves.
 *   Ring: the producer writes the slot first, then entry[head & mask]
 *   (release), then head (release). A reader that sees head (acquire) sees the
 *   entry and the slot state that made it. After copying (acquire) it loads
 *   head again: an entry that was overwritten meanwhile makes a head visible
 *   that is at least RING_SIZE past the reader's cursor. The ring carries only
 *   slot numbers: a reader that was lapped has lost only hints and rescans the
 *   table, which is the truth. An entry may be merged with a later one of the
 *   same slot for the same reason.
 *   Wake-up: one eventfd write for a batch of Up/Down publications, after head.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINKSTATE_MAGIC 0x50474c53u /* "PGLS" */
#define LINKSTATE_VERSION 2u
#define LINKSTATE_RINGS 16u
#define LINKSTATE_RING_SIZE 4096u
#define LINKSTATE_HIST 24u /* receive inter-arrival histogram, log2 buckets of microseconds */

/* RFC 5880 section 4.1 values, also used as the stored state. */
enum bfd_state { BFD_ADMIN_DOWN = 0, BFD_DOWN = 1, BFD_INIT = 2, BFD_UP = 3 };

enum linkstate_flag {
	LINKSTATE_REMOTE_CBIT = 1 << 0, /* remote's control plane independent bit */
	LINKSTATE_REMOTE_DEMAND = 1 << 1,
	LINKSTATE_POLLING = 1 << 2,     /* a poll sequence of ours is running */
	LINKSTATE_AFTER_STALL = 1 << 3, /* the last Down followed a stall of our own loop */
	LINKSTATE_UNRESOLVED = 1 << 4,  /* no neighbour MAC yet: nothing is being sent */
	LINKSTATE_DAMPED = 1 << 5,
};

/* A consistent copy of a slot, as linkstate_read() gives it. All times CLOCK_MONOTONIC ns. */
struct linkstate_entry {
	uint32_t generation; /* 0: the slot is free; else changes each time the slot is reused */
	uint8_t state;       /* enum bfd_state, ours */
	uint8_t diag;        /* RFC 5880 section 4.1, ours */
	uint8_t remote_state;
	uint8_t remote_diag;
	uint8_t remote_detect_mult;
	uint8_t flags;  /* enum linkstate_flag */
	uint16_t owner; /* worker number that writes the slot */
	uint32_t local_disc;
	uint32_t remote_disc;
	uint32_t remote_min_tx_us;
	uint32_t remote_min_rx_us;
	uint32_t remote_min_echo_rx_us;
	uint32_t tx_us;              /* interval in force, before jitter; 0 = not sending */
	uint32_t detect_us;          /* detection time in force; 0 = none */
	uint64_t last_rx_ns;         /* last valid packet before this publication */
	uint64_t detected_ns;        /* when the writer decided on the current state */
	uint32_t published_delta_ns; /* first publication of this state = detected_ns + this */
};

/* 64 bytes, one cache line. Access only through the functions below. */
struct linkstate_slot {
	_Atomic uint32_t seq;
	_Atomic uint32_t word[15];
};
_Static_assert(sizeof(struct linkstate_slot) == 64, "a slot is one cache line");

/* Written by the owner with relaxed stores, read with relaxed loads: monotonic counters, no consistency
 * across fields. */
struct linkstate_stats {
	_Alignas(64) _Atomic uint64_t rx_packets;
	_Atomic uint64_t tx_packets, rx_bytes, tx_bytes;
	_Atomic uint64_t rx_dropped; /* matched the session, refused by RFC 5880 section 6.8.6 */
	_Atomic uint64_t rx_auth_failed;
	_Atomic uint64_t up_count, down_count;
	_Atomic uint64_t worst_rx_gap_us, worst_tx_gap_us;
	_Atomic uint64_t last_down_ns,
		last_down_rx_ns;             /* of the last Down: detection and last packet before it */
	_Atomic uint64_t worst_overshoot_us; /* detection past the deadline */
	_Atomic uint64_t echo_rx, echo_tx;
	_Atomic uint32_t rx_gap_hist[LINKSTATE_HIST];
	_Atomic uint32_t rx_ttl, rx_refused; /* parts of rx_dropped: GTSM or minimum TTL; the other rules */
	_Atomic uint32_t down_after_stall;   /* part of down_count: LINKSTATE_AFTER_STALL was set */
	_Atomic uint32_t reserved[7];
};
_Static_assert(sizeof(struct linkstate_stats) == 256, "stats of two workers share no cache line");

struct linkstate_ring {
	_Alignas(64) _Atomic uint32_t head; /* next free position, never reduced */
	_Alignas(64) _Atomic uint32_t entry[LINKSTATE_RING_SIZE];
};

/* Per-worker counters for the whole process. */
struct linkstate_worker {
	_Alignas(64) _Atomic uint64_t rx_packets;
	_Atomic uint64_t tx_packets, rx_invalid, rx_ttl, rx_unknown, rx_ratelimited,
		rx_forwarded; /* forwarded: to the owning worker */
	_Atomic uint64_t stalls, worst_stall_ns;
	_Atomic uint64_t loops, busy_ns, tx_dropped;
};

/* What the filter in front of a port has done: the manager's, read from the kernel about once a second. */
#define LINKSTATE_PORTS 32u
struct linkstate_port {
	_Alignas(64) char name[16]; /* "": no port, or one without a filter; does not change */
	_Atomic uint64_t taken;     /* BFD for us, given to the workers */
	_Atomic uint64_t ttl;       /* dropped: single hop with a TTL other than 255 */
	_Atomic uint64_t not_local; /* BFD to others: left to the kernel */
};

struct linkstate_header {
	uint32_t magic, version;
	uint32_t capacity;
	uint32_t reserved;
	uint64_t instance; /* random per start of the writer process */
	_Atomic uint64_t
		heartbeat_ns; /* the manager's, each 100 ms: tells a frozen writer from a quiet one */
	struct linkstate_worker workers[LINKSTATE_RINGS];
	struct linkstate_port ports[LINKSTATE_PORTS];
};

/* A mapping. Opaque to users but for the header fields that are read-only after creation. */
struct linkstate {
	struct linkstate_header *header;
	struct linkstate_ring *rings;
	struct linkstate_slot *slots;
	struct linkstate_stats *stats;
	size_t bytes;
	int fd; /* memfd, or -1 for an anonymous mapping */
	bool writer;
};

/* Writer side. shared: make a memfd that can be passed on (sealed: whoever gets it can neither resize nor
 * write it); else anonymous. capacity 1..2^20. 0 or -errno. */
int linkstate_create(struct linkstate *ls, uint32_t capacity, bool shared);
/* Reader side: maps fd read-only and checks seals, magic, version and size (-EPROTO if they differ). Takes fd
 * over on success. */
int linkstate_attach(struct linkstate *ls, int fd);
void linkstate_close(struct linkstate *ls);

/* Owner of the slot only. Publishes e as the slot's state; published_delta_ns is filled in by the call. */
void linkstate_write(struct linkstate *ls, uint32_t slot, const struct linkstate_entry *e);
/* Any thread, any process: wait-free in practice (retries while the writer is inside its 10 ns window).
 * false: gave up after 1000 tries because the writer stands still inside the window: its core was taken away
 * (ask again later; the publication in progress is followed by a ring entry) or it died there. *out is then
 * unchanged. */
bool linkstate_read(const struct linkstate *ls, uint32_t slot, struct linkstate_entry *out);
/* Producer of the ring only: after linkstate_write(). */
void linkstate_push(struct linkstate *ls, unsigned ring, uint32_t slot);

/* Reader's cursor over all rings. */
struct linkstate_reader {
	const struct linkstate *ls;
	uint32_t cursor[LINKSTATE_RINGS];
};
void linkstate_reader_init(
	struct linkstate_reader *r, const struct linkstate *ls); /* starts at the present head */
/* Up to max slot numbers that changed since the last call. *overrun is set when hints were lost: scan the
 * table. Duplicates are possible. */
unsigned linkstate_poll(struct linkstate_reader *r, uint32_t *slots, unsigned max, bool *overrun);
