/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of the engine, shared by engine.c (sessions come, change, go),
 * receive.c and transmit.c. Nobody else includes this.
 *
 * A session is spread over five arrays indexed by slot, by who touches what:
 *   deadline[]  the sweep reads all of it, an accepted packet writes one word
 *   hot[]       one cache line: all that an accepted packet needs when nothing
 *               has changed, and the counters it makes
 *   line[]      one cache line: all that sending an unchanged packet needs
 *   link[]      whose turn it is to send (pacer.h)
 *   session[]   everything else; touched when something changes
 * The invariant that makes the short way of receiving right: hot[i].dport is
 * nonzero only while a packet with exactly the bytes hot[i].expect would, under
 * all the rules of RFC 5880 section 6.8.6, change nothing but the time of the
 * last packet; with the P bit set it would be answered as well. Whatever breaks that calls
 * session_leave_fast_path() first.
 */
#pragma once
#include "bfd/auth.h"
#include "bfd/detect.h"
#include "bfd/engine.h"
#include "bfd/fsm.h"
#include "bfd/pacer.h"
#include "bfd/packet.h"
#include "shared/clock.h"

#define SLOT_MASK ((1u << BFD_SLOT_BITS) - 1)
#define MAINTENANCE_NS (100 * NS_PER_MS) /* each session's counters are published at least this often */

struct session_hot {
	_Alignas(64) uint8_t expect[BFD_PACKET_LEN];
	uint64_t last_rx_ns;
	uint32_t detect_ticks;
	uint32_t worst_gap_us;
	uint32_t rx_count, rx_bytes; /* since the last flush to the statistics, as are the following */
	uint16_t gap_count[2];       /* of histogram buckets gap_base and gap_base + 1 */
	uint16_t dport;              /* 0: no short way */
	uint8_t min_ttl;
	uint8_t gap_base;
};
_Static_assert(sizeof(struct session_hot) == 64, "one cache line a session");

struct session {
	uint32_t generation; /* 0: free */
	uint32_t local_disc, remote_disc;
	uint32_t hash_next;
	uint8_t state, diag;
	uint8_t remote_state, remote_diag, remote_mult, remote_flags;
	bool heard; /* a packet came since remote_disc was last cleared */
	bool unresolved;
	bool after_stall;
	bool held; /* Down until hold_ns, whatever the remote says: after an echo failure (section 6.8.18), or
		      dampened */
	uint8_t damp_level; /* how often in a row it has been dampened */
	uint64_t hold_ns;
	uint64_t flap_ns[BFD_DAMP_FLAPS]; /* when it went Down, a ring */
	uint8_t flap_next;
	/* Poll sequences, section 6.5. What packets say (said_*), and what is in force (used_*),
	 * section 6.8.3. */
	bool polling;
	bool poll_again;   /* wishes changed meanwhile */
	bool poll_guard;   /* finished, but no packet without F yet: a new one would be ambiguous */
	bool poll_on_wire; /* its first packet has left, at poll_ns */
	uint64_t poll_ns;  /* when it began, or when the last one ended */
	uint32_t said_tx_us, said_rx_us;
	uint32_t used_tx_us, used_rx_us;
	uint32_t remote_min_tx_us, remote_min_rx_us, remote_min_echo_rx_us;
	uint64_t detect_ns; /* in force; 0: none */
	uint64_t since_ns;  /* of the state */
	uint64_t grace_ns;  /* silence before this is not held against the remote */
	uint32_t xmit_seq;
	struct bfd_auth_rx auth_rx;
	/* Our own echo, sections 6.8.5 and 6.8.9; its schedule is line[capacity + slot]. */
	uint64_t echo_cookie;
	uint64_t echo_ns; /* when it began, or the last one came back */
	uint64_t echo_detect_ns;
	uint32_t echo_seen; /* number of the last one that came back */
	uint32_t echo_rx_count;
	uint64_t reflect_ns; /* the remote's echo: the time up to which its share is spent */
	uint8_t signed_packet[BFD_PACKET_LEN]; /* contents that xmit_seq was last used for */
	uint8_t *buffer;                       /* for composed packets */
	uint16_t buffer_len;
	struct linkstate_entry published;
	struct bfd_key key;
	struct bfd_params params;
};

#define ENGINE_STALLS 16u
struct engine_stall {
	uint64_t from_ns, to_ns;
};

struct bfd_engine {
	/* What every packet needs comes first. */
	uint32_t *deadline;
	struct session_hot *hot;
	struct bfd_line *line; /* [2 * capacity]: their own echo packets after all the others, as in link[] */
	struct bfd_link *link;
	struct session *session;
	uint32_t capacity;
	uint32_t disc_salt; /* low BFD_SLOT_BITS only; valid while there are sessions */
	uint8_t min_ttl[2]; /* the least that any session accepts: single hop, multihop */
	uint32_t *echo_deadline;
	uint32_t echo_end;  /* as sweep_end; 0: no session has ever had an echo of its own */
	uint32_t sweep_end; /* a multiple of BFD_DETECT_BLOCK past the highest slot ever used */
	uint32_t sessions;
	struct linkstate *ls;
	uint16_t worker;
	bool notify;
	uint64_t drained_ns;                      /* the sweep judges up to here; 0: up to the present */
	struct engine_stall stall[ENGINE_STALLS]; /* our own pauses, a ring */
	unsigned stall_next;
	void (*coming)(void *arg, uint32_t slot); /* the caller's; may be NULL */
	void *coming_arg;
	uint64_t random;
	uint64_t rx_packets, tx_packets, rx_refused[BFD_RX_COUNT]; /* since the last flush */
	uint64_t maintained_ns;
	uint32_t maintained_slot;
	/* Lookup by address: chains through session.hash_next. */
	uint32_t *hash;
	uint32_t hash_mask;
	uint64_t hash_seed;
	uint64_t bucket_ns; /* token bucket of the slow path, as the time up to which it is spent */
	struct bfd_pacer pacer;
};

#define stat_get(p) atomic_load_explicit((p), memory_order_relaxed)
#define stat_set(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
/* Single writer: a load and a store, not an atomic addition. */
#define stat_add(p, n) stat_set((p), stat_get(p) + (n))

/* S-BFD initiators and unaffiliated echo: nobody else's timers count, and nothing is negotiated. */
static inline bool is_self_timed(const struct session *s)
{
	return s->key.kind == BFD_KIND_SBFD || s->key.kind == BFD_KIND_ECHO_ONLY;
}

static inline bool is_demand_active(const struct session *s)
{
	return s->params.demand && !is_self_timed(s) && s->state == BFD_UP && s->remote_state == BFD_UP;
}

static inline bool is_remote_demand_active(const struct session *s)
{
	return s->remote_flags & BFD_FLAG_DEMAND && s->state == BFD_UP && s->remote_state == BFD_UP;
}

static inline void session_leave_fast_path(struct bfd_engine *e, uint32_t slot)
{
	e->hot[slot].dport = 0;
}

/* engine.c */
void session_set_state(struct bfd_engine *e, uint32_t slot, uint8_t state, uint8_t diag, uint64_t now_ns);
/* Brings what we say and use in line with what is wished for, by poll sequence where section 6.8.3 wants one.
 */
void session_negotiate(struct bfd_engine *e, uint32_t slot, uint64_t now_ns);
/* Keeps a session that is Down there until then. */
void session_keep_down(struct session *s, uint64_t until_ns);
/* The same, as long as it is held. */
bool session_is_kept_down(struct session *s, uint64_t now_ns);
/* The slot's place in what the engine keeps of all its sessions: look-up by address, sweep, least TTL. */
void session_enter(struct bfd_engine *e, uint32_t slot, uint64_t now_ns);
/* The opposite: out of everything, and the slot is free; its buffer is the caller's. */
void session_forget(struct bfd_engine *e, uint32_t slot, uint64_t now_ns);
void session_poll_finished(struct bfd_engine *e, uint32_t slot, uint64_t now_ns);
/* Everything that follows from the session's variables: packet, transmit interval, detection time, what is
 * published. */
void session_refresh(struct bfd_engine *e, uint32_t slot, uint64_t now_ns);
void session_set_deadline(struct bfd_engine *e, uint32_t slot, uint64_t now_ns);
void bfd_session_publish(struct bfd_engine *e, uint32_t slot, uint64_t now_ns);
void session_flush_counters(struct bfd_engine *e, uint32_t slot);
/* The time as a deadline in ticks; one that is too far away comes up earlier and is looked at again. */
uint32_t session_deadline(uint64_t at_ns, uint64_t now_ns);
bool session_may_transmit(const struct session *s);
/* Did we ourselves pause for at least `least_ns` within [from, to]? Then what was or wasn't heard then may be
 * our doing. */
bool engine_was_stalled(const struct bfd_engine *e, uint64_t from_ns, uint64_t to_ns, uint64_t least_ns);
/* Up to when the sweep may judge: nothing that came before is still waiting. */
static inline uint64_t engine_judges_until(const struct bfd_engine *e, uint64_t now_ns)
{
	return e->drained_ns && e->drained_ns < now_ns ? e->drained_ns : now_ns;
}
/* local: NULL for any. */
uint32_t session_lookup(struct bfd_engine *e, const struct ipaddr *local, const struct ipaddr *remote,
	uint32_t ifindex, bool multihop);
/* receive.c */
void session_account(struct bfd_engine *e, uint32_t slot, uint16_t len, uint64_t now_ns, bool steady);
enum bfd_rx_result session_drop(struct bfd_engine *e, uint32_t slot, enum bfd_rx_result why);
enum bfd_rx_result engine_refuse(struct bfd_engine *e, enum bfd_rx_result why);
/* solo.c */
void solo_fill(const struct session *s, struct bfd_packet *p);
enum bfd_rx_result solo_receive(
	struct bfd_engine *e, const struct bfd_rx *rx, uint64_t now_ns, uint32_t *slot);
/* echo.c */
bool echo_is_wanted(const struct session *s);
void echo_refresh(struct bfd_engine *e, uint32_t slot, uint64_t now_ns);
void echo_flush_counters(struct bfd_engine *e, uint32_t slot);
void echo_forget(struct bfd_engine *e, uint32_t slot);
/* A session with all its variables has come into the slot from another engine. */
void echo_arrived(struct bfd_engine *e, uint32_t slot, uint64_t now_ns);
enum bfd_rx_result echo_receive(
	struct bfd_engine *e, const struct bfd_rx *rx, uint64_t now_ns, uint32_t *slot);
void echo_emit(struct bfd_engine *e, uint32_t slot, uint64_t now_ns, struct bfd_tx *out);
/* Judges up to until_ns. */
unsigned echo_sweep(struct bfd_engine *e, uint64_t until_ns, uint64_t now_ns);
