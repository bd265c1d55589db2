/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The transmit side of a session in one cache line, and the calendar that says
 * whose turn it is: a wheel of 4096 slots of 65.5 us (268 ms; what is due
 * later waits in the last slot and is put back), and a queue of those who must
 * send now. A session is in at most one of the lists. Nothing is allocated.
 *
 * The links of the lists are an array of their own, four to a cache line: with ten
 * thousand sessions it stays in a core's own cache, and going through a slot,
 * which jumps from session to session, never waits for the lines. The caller
 * has time to fetch those in advance.
 *
 * A slot's sessions are sent when the slot begins, so a packet is early by up
 * to a slot and never late by more than the caller's own loop; the jitter's
 * lower bound leaves room for that (bfd_jitter_ns()). After a pause the wheel
 * is walked once and every session found is handed out once: what was missed
 * is not made up for.
 */
#pragma once
#include "bfd/packet.h"
#include <stdbool.h>
#include <stdint.h>

#define BFD_WHEEL_SLOTS 4096u
#define BFD_WHEEL_SHIFT 16 /* 65536 ns a slot */
#define BFD_NIL UINT32_MAX

enum bfd_line_list { BFD_LIST_NONE, BFD_LIST_WHEEL, BFD_LIST_URGENT };

/* Why a session is in the urgent queue. */
#define BFD_PENDING_FINAL 1  /* a Poll is to be answered */
#define BFD_PENDING_CHANGE 2 /* contents differ from what was sent last */

struct bfd_line {
	_Alignas(64) uint8_t packet[BFD_PACKET_LEN]; /* as sent, but for P and F */
	uint64_t last_tx_ns;
	uint32_t interval_us; /* before jitter; 0: no periodic packets */
	uint32_t worst_gap_us;
	uint16_t tx_count; /* since the last flush to the statistics */
	uint8_t pending;
	uint8_t base_flags; /* second byte of the packet without P and F */
	bool mult_one;      /* detect_mult is 1: section 6.8.7 asks for other jitter */
	bool composed;      /* authenticated or padded: the packet is made in a buffer elsewhere */
	bool was_sent;
	bool polling; /* packets carry P */
	bool steady;  /* the last gap was made under the present interval */
};
_Static_assert(sizeof(struct bfd_line) == 64, "one cache line a session");

struct bfd_link {
	uint32_t next, prev;
	uint32_t due_slot; /* time of the next periodic packet, in units of a slot */
	uint16_t bucket;
	uint8_t list; /* enum bfd_line_list */
};
_Static_assert(sizeof(struct bfd_link) == 16, "four to a cache line");

struct bfd_pacer {
	struct bfd_link *links;
	uint64_t cursor; /* the slots before it are empty */
	uint32_t urgent_head, urgent_tail;
	bool wheels_turn; /* even when somebody is urgent */
	uint64_t occupied[BFD_WHEEL_SLOTS / 64];
	uint32_t head[BFD_WHEEL_SLOTS];
};

/* links: of all sessions, zeroed; the caller's. */
void bfd_pacer_init(struct bfd_pacer *p, struct bfd_link *links);
/* Puts the session, which must be in no list, into the wheel. */
void bfd_pacer_schedule(struct bfd_pacer *p, uint32_t id, uint64_t due_ns);
/* Puts the session, which must be in no list, back to where its due_slot says. */
void bfd_pacer_restore(struct bfd_pacer *p, uint32_t id);
/* Into the urgent queue, out of the wheel if it was there. Nothing if it is urgent already. */
void bfd_pacer_urge(struct bfd_pacer *p, uint32_t id);
/* Out of whatever list it is in. */
void bfd_pacer_remove(struct bfd_pacer *p, uint32_t id);
/* The next one that must send, out of its list; urgent ones first, but every second turn is the wheel's:
 * answers to Polls, of which there are as many as the remotes like, must not silence the sessions. BFD_NIL:
 * nobody now. */
uint32_t bfd_pacer_pop(struct bfd_pacer *p, uint64_t now_ns);
/* When pop may return something, UINT64_MAX: never. */
uint64_t bfd_pacer_next_ns(const struct bfd_pacer *p, uint64_t now_ns);

/* xorshift64*, never seeded with 0. */
static inline uint32_t bfd_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return (uint32_t)(x * UINT64_C(2685821657736338717) >> 32);
}

/* RFC 5880 section 6.8.7: 75-100 % of the interval, 75-90 % with a multiplier of 1. A slot's width is added
 * to the lower bound, because the slot is sent when it begins. */
static inline uint64_t bfd_jitter_ns(uint32_t interval_us, bool mult_one, uint32_t random)
{
	uint64_t ns = (uint64_t)interval_us * 1000;
	uint64_t low = ns - ns / 4 + (UINT64_C(1) << BFD_WHEEL_SHIFT);
	uint64_t high = mult_one ? ns - ns / 10 : ns;

	return high > low ? low + ((__uint128_t)(high - low) * random >> 32) : high;
}
