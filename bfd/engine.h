/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The BFD engine: sessions, state machine, deadline sweep, transmit calendar.
 * Pure C, no I/O, no clock, no allocation after engine creation but for
 * bfd_engine_add(). One engine belongs to one thread (a dataplane worker, or
 * peregrined's kernel-socket thread) and is only ever called by it; a session
 * belongs to one engine. What others may know is published through
 * shared/linkstate.h, from inside these calls.
 *
 * Time is CLOCK_MONOTONIC ns, handed in by the caller; it must never go back.
 * The caller's loop is, each round:
 *
 *     now = clock
 *     receive a burst -> bfd_engine_rx() each
 *     bfd_engine_sweep(now)          at most each 50-100 us
 *     bfd_engine_tx(now) -> send     until it returns less than max
 *     if (bfd_engine_notify()) write the subscribers' eventfds
 *
 * A packet that came in time but still waits in a ring must not be found
 * missing: the caller says with bfd_engine_drained() up to when everything that
 * arrived has been handed in, which is the time before it last found the ring
 * empty, and the sweep judges only up to then.
 *
 * If the round before took longer than expected, the caller passes what it
 * drained through bfd_engine_rx() before sweeping and reports the gap with
 * bfd_engine_stalled(), so that our own pause is never taken for a dead peer,
 * and a session that goes Down because of it, here or at the other end, says so.
 */
#pragma once
#include "bfd/session.h"

struct bfd_engine;

struct bfd_engine_options {
	uint32_t capacity; /* highest slot number + 1 this engine may be given */
	uint16_t worker;   /* the linkstate ring and owner number */
	uint64_t seed;     /* jitter, discriminators */
	/* May be NULL. A packet of that slot will be among those that the present bfd_engine_tx() returns:
	 * for fetching what the caller keeps about the session, nothing else. */
	void (*coming)(void *arg, uint32_t slot);
	void *coming_arg;
};

/* NULL on allocation failure. ls must outlive the engine. */
struct bfd_engine *bfd_engine_create(struct linkstate *ls, const struct bfd_engine_options *o);
void bfd_engine_destroy(struct bfd_engine *e);

/* Takes over slot (free until now) for a new session. generation (never 0) and local_disc are chosen by the
 * manager, the second with bfd_discriminator_make(), unique over all engines. All discriminators of an engine
 * come from one salt. The first packet leaves within BFD_FIRST_TX_SPREAD_US. 0, -EINVAL, -EEXIST (slot or key
 * taken), -ENOMEM. */
int bfd_engine_add(struct bfd_engine *e, uint32_t slot, uint32_t generation, uint32_t local_disc,
	const struct bfd_key *key, const struct bfd_params *p, uint64_t now_ns);
#define BFD_FIRST_TX_SPREAD_US 20000
/* New parameters for a running session, by poll sequence where the protocol wants one; never resets it. */
int bfd_engine_update(struct bfd_engine *e, uint32_t slot, const struct bfd_params *p, uint64_t now_ns);
/* Forgets the session and frees the slot. The peer notices by its detection time;
 * call bfd_engine_update() with admin_down first and wait if it should be told. */
int bfd_engine_remove(struct bfd_engine *e, uint32_t slot, uint64_t now_ns);

/* A running session moves to the engine of another thread, which has the same slot free: neither its remote
 * nor a reader of the link state notices. Between the calls, which are made by the two threads, the session
 * is in `moved` and nothing is done for it. -ENOENT, -EEXIST, -EINVAL: nothing has changed. */
struct bfd_moved;
struct bfd_moved *bfd_moved_create(void);        /* NULL: no memory */
void bfd_moved_destroy(struct bfd_moved *moved); /* NULL is fine; a session in it is lost */
int bfd_engine_export(struct bfd_engine *e, uint32_t slot, struct bfd_moved *moved, uint64_t now_ns);
int bfd_engine_import(struct bfd_engine *e, uint32_t slot, struct bfd_moved *moved, uint64_t now_ns);

/* local discriminator = salt ^ (generation << 20 | slot), never 0: the slot is found without a hash,
 * a stale or guessed value is refused. */
uint32_t bfd_discriminator_make(uint32_t salt, uint32_t generation, uint32_t slot);
uint32_t bfd_discriminator_slot(uint32_t salt, uint32_t disc);
#define BFD_SLOT_BITS 20

enum bfd_rx_result {
	BFD_RX_OK,
	BFD_RX_INVALID, /* malformed: RFC 5880 section 6.8.6 */
	BFD_RX_TTL,     /* GTSM, RFC 5881 section 5 / RFC 5883 */
	BFD_RX_UNKNOWN, /* no such session here */
	BFD_RX_LIMITED, /* slow path token bucket empty */
	BFD_RX_AUTH,
	BFD_RX_REFUSED, /* a rule of section 6.8.6 after the session was found */
	BFD_RX_REFLECT, /* an echo packet of a session's remote: send it back where it came from
			   (bfd_frame_reflect()) */
	BFD_RX_COUNT
};

struct bfd_rx {
	const uint8_t *payload; /* UDP payload */
	uint16_t len;           /* bytes of UDP payload */
	uint16_t dport;         /* host order: decides single hop, multihop, echo */
	uint16_t sport;         /* host order; what a reflected packet is sent back to */
	uint32_t ifindex;       /* where it came in */
	uint8_t ttl;
	struct ipaddr src, dst;
};

/* The slot that a packet belongs to by Your Discriminator or, for 0, by addresses over the slots of this
 * engine; *slot is valid with BFD_RX_OK. */
enum bfd_rx_result bfd_engine_rx(
	struct bfd_engine *e, const struct bfd_rx *rx, uint64_t now_ns, uint32_t *slot);

/* RFC 9468: may a packet that bfd_engine_rx() did not know be the beginning of a session? */
bool bfd_rx_may_begin(const struct bfd_rx *rx);

/* S-BFD reflector, RFC 7880 section 7.2, for packets to port BFD_PORT_SBFD: no session, no state. reply has
 * room for BFD_PACKET_MAX (packet.h) bytes, *len of which go from BFD_PORT_SBFD to rx->sport of rx->src.
 * BFD_RX_REFLECT, else why not. */
enum bfd_rx_result bfd_sbfd_reflect(
	const struct bfd_rx *rx, const struct bfd_reflector *r, uint8_t *reply, uint16_t *len);

/* For bursts, a few packets ahead of bfd_engine_rx(): payload has at least 24 bytes, checked by the caller.
 */
void bfd_engine_rx_prefetch(const struct bfd_engine *e, const uint8_t *payload);

/* Declares Down what is late. Returns the number of sessions that went Down. */
unsigned bfd_engine_sweep(struct bfd_engine *e, uint64_t now_ns);
/* Everything that arrived before until_ns has been given to bfd_engine_rx(); never goes back. Without a call
 * the sweep judges up to its own now_ns. */
void bfd_engine_drained(struct bfd_engine *e, uint64_t until_ns);
/* We did nothing from now_ns - gap_ns to now_ns. */
void bfd_engine_stalled(struct bfd_engine *e, uint64_t gap_ns, uint64_t now_ns);

struct bfd_tx {
	uint32_t slot;
	uint16_t len;           /* UDP payload length */
	const uint8_t *payload; /* valid until the next call into the engine */
	uint8_t kind;           /* enum bfd_tx_kind */
};
/* BFD_TX_ECHO goes to port BFD_PORT_ECHO with TTL 255, from and to an address of our own, by way of the
 * remote's MAC; the source should not be one that makes the remote send redirects (RFC 5881 section 4). */
enum bfd_tx_kind { BFD_TX_CONTROL, BFD_TX_ECHO };
/* Packets that are due now (and immediate ones: F replies, state changes). At most one a session and call. */
unsigned bfd_engine_tx(struct bfd_engine *e, uint64_t now_ns, struct bfd_tx *out, unsigned max);
/* When the next transmit slot or deadline is due: how long an idle loop may sleep. UINT64_MAX: nothing to
 * wait for. */
uint64_t bfd_engine_next_ns(const struct bfd_engine *e, uint64_t now_ns);

/* True once after Up/Down was published: time for one eventfd write for each subscriber. */
bool bfd_engine_notify(struct bfd_engine *e);
/* MAC unknown or known again: sets LINKSTATE_UNRESOLVED; nothing is transmitted meanwhile. */
void bfd_engine_set_resolved(struct bfd_engine *e, uint32_t slot, bool resolved, uint64_t now_ns);
/* The caller knows that nothing can pass (its interface is down or gone): Down at once with diagnostic 5,
 * Path Down, instead of after the detection time. Nothing if the session is neither Init nor Up. */
void bfd_engine_path_down(struct bfd_engine *e, uint32_t slot, uint64_t now_ns);
/* NULL if there is no session in the slot. */
const struct bfd_key *bfd_engine_key(const struct bfd_engine *e, uint32_t slot);
const struct bfd_params *bfd_engine_params(const struct bfd_engine *e, uint32_t slot);
