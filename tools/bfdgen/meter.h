/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The meter: what a device under test ("the device") did, judged from the
 * packets at our port and their times alone. It knows nothing of our engine's
 * opinion but what it is told through meter_local(), so that a mistake of the
 * engine's shows up instead of cancelling out.
 *
 * Belongs to the loop's thread; others read it when that has ended. Pure: time
 * is handed in (CLOCK_MONOTONIC ns). Nothing is allocated after meter_create().
 *
 * What the figures mean
 *   gap         between two packets of a session at our port, both saying Up and
 *               otherwise alike. Compared with the interval that the device has to
 *               keep: max(its DesiredMinTxInterval, our RequiredMinRxInterval). A
 *               gap during which our own loop stood still says nothing about the
 *               device and is counted apart (spoilt).
 *   detection   of a session that we stopped answering: from our last packet to
 *               the first one from the device that no longer says Up. The deadline
 *               is our multiplier x max(its RequiredMinRxInterval, our
 *               DesiredMinTxInterval) after it got that packet, which was between
 *               the moments before and after our sending it. Only packets that
 *               our port has taken count. Early is what came before the deadline
 *               counted from `before`: certainly early, because the way there and
 *               back only adds. A packet that left less than half a detection
 *               time before the Down came may have crossed it on the way, when we
 *               were silent for a while before, or it may have waited in our ring:
 *               then the packet before it counts, or nothing can be said.
 *               Overshoot counts from `after` and contains the way back and our
 *               own resolution.
 *   flap        of a session that was Up at both ends and that we did not cut:
 *               either end says otherwise.
 */
#pragma once
#include "bfd/packet.h"
#include "bfd/session.h"
#include <stdbool.h>
#include <stdint.h>

#define METER_BINS_FINE 64 /* of 1/32 interval each: up to twice the interval */
#define METER_BINS 71      /* and [2,3) [3,4) [4,6) [6,8) [8,16) [16,32) [32,...) intervals */
#define METER_RECENT 4

enum meter_phase {
	METER_NEW,       /* not Up yet */
	METER_UP,        /* at both ends */
	METER_LOST,      /* flapped, not back yet */
	METER_CUT,       /* we went silent */
	METER_RETURNING, /* and answer again */
};

/* A packet from the device touches the first cache line and one of the histogram's, a packet of ours the
 * second. */
struct meter_session {
	_Alignas(64) uint64_t last_rx_ns;
	uint64_t scale;       /* bins a ns, in 2^-32; 0: no gap can be judged */
	uint32_t interval_us; /* the device's, before jitter */
	uint32_t gap_max_ns;
	uint32_t gaps, over, late; /* over the interval; over it by more than the tolerance */
	uint32_t rx_count;
	uint8_t said[20];  /* discriminators and intervals */
	uint8_t dut_state; /* enum bfd_state */
	uint8_t our_state;
	uint8_t phase;  /* enum meter_phase */
	uint8_t steady; /* like packets in a row, up to 2 */
	_Alignas(64)
		uint64_t tx_ns[METER_RECENT]; /* when our last packets left, a ring; this line is sending's */
	uint64_t sent_after_ns;               /* of the last one: by then it was gone */
	uint16_t tx_took_us[METER_RECENT];    /* from tx_ns until then, rounded up */
	uint64_t tx_gap_max_ns;               /* ours */
	uint32_t tx_count;
	bool tx_up;                     /* phase is METER_UP */
	uint8_t tx_warm;                /* packets sent since then */
	_Alignas(64) uint64_t probe_ns; /* a poll of ours is out since then; 0: none */
	uint64_t gap_max_at_ns;
	uint32_t flaps, last_flap; /* last_flap: index + 1 into meter.flap */
	uint32_t detections, spoilt;
	uint64_t refused_ns; /* when our port did not take a packet last */
};

enum meter_flap_kind {
	METER_FLAP_SAID,   /* the device's packet says that the session is not Up */
	METER_FLAP_SILENT, /* nothing came from it for our detection time */
};

struct meter_flap {
	uint32_t session;
	uint8_t kind, dut_state, dut_diag;
	uint64_t at_ns;
	uint64_t silent_ns;  /* since the device's last packet */
	uint64_t own_gap_ns; /* the longest pause between packets of ours within the device's detection time
				before */
	uint64_t detect_ns;  /* the detection time that is said to have passed */
	uint64_t interval_ns;
	uint64_t back_ns; /* Up again; 0: not seen */
	bool refused;     /* our port did not take a packet meanwhile: nobody emptied the ring */
};

struct meter_detection {
	uint32_t session;
	uint8_t dut_diag;
	bool early, missed;           /* missed: no Down came */
	bool spoilt;                  /* our own loop stood still, or our last packet crossed the Down */
	uint64_t before_ns, after_ns; /* our last packet */
	uint64_t down_ns;
	uint64_t detect_ns;
};

/* Somebody's core was taken away, or our loop was late: from .. to. */
struct meter_stall {
	uint64_t from_ns, to_ns;
};

_Static_assert(sizeof(struct meter_session) == 3 * 64, "what belongs together is in one cache line");

/* Where gaps fall that are as they should be, 75 to 100 % of the interval, is one cache line: bins 24 to 31.
 */
struct meter_hist {
	_Alignas(64) uint64_t bin[METER_BINS];
};
#define METER_HIST_USUAL 24
#define METER_HIST_SESSIONS 2000

struct meter {
	struct meter_session *session;
	/* Of each session; of all together where there are more than METER_HIST_SESSIONS: a row more to fetch
	 * for each packet was a third of the generator's time with ten thousand. */
	struct meter_hist *hist;
	uint32_t hist_rows;
	uint32_t n;
	struct bfd_params params; /* ours, the same for all sessions */
	uint64_t tolerance_ns;

	uint32_t up; /* sessions in METER_UP */
	uint64_t all_up_ns;
	uint64_t flaps, detections, early,
		missed; /* all that happened, also what the lists had no room for */
	struct meter_flap *flap;
	struct meter_detection *detection;
	uint32_t flap_room, nflaps, detection_room, ndetections;

	struct meter_stall *stall; /* of our own loop */
	uint32_t stall_room, nstalls;
	uint64_t stalls, worst_stall_ns;
	uint64_t spoilt_until_ns; /* packets that came before may have waited for us; UINT64_MAX: while we
				     drain */

	uint64_t heard_ns; /* what is received now had not arrived then: our ring was empty; 0: just now */

	uint32_t *rtt_ns; /* of polls */
	uint32_t rtt_room, nrtts;
	uint64_t window_gap_ns; /* the worst since somebody looked (meter_window()) */
};

/* NULL: no memory. */
struct meter *meter_create(uint32_t sessions, const struct bfd_params *ours, uint64_t tolerance_ns);
void meter_destroy(struct meter *m);

/* For bursts: a packet for this session will be received, or sent, in a moment. always_inline: gcc takes a
 * function that only prefetches for one without effect, and leaves the call out. */
__attribute__((always_inline)) static inline void meter_prefetch_rx(const struct meter *m, uint32_t session)
{
	if (session < m->n) {
		__builtin_prefetch(&m->session[session], 1);
		if (m->hist_rows > 1)
			__builtin_prefetch(&m->hist[session].bin[METER_HIST_USUAL], 1);
	}
}
__attribute__((always_inline)) static inline void meter_prefetch_tx(const struct meter *m, uint32_t session)
{
	__builtin_prefetch(m->session[session].tx_ns, 1);
}
/* A packet of ours left between these moments. */
void meter_sent(struct meter *m, uint32_t session, uint64_t before_ns, uint64_t after_ns);
/* It did not leave: the port took no more. */
void meter_refused(struct meter *m, uint32_t session, uint64_t at_ns);
/* It carried a Poll. */
void meter_probed(struct meter *m, uint32_t session, uint64_t before_ns);
/* A packet from the device, authentic and for this session; payload has BFD_PACKET_LEN bytes. True if the
 * state it says differs from the one before. */
bool meter_received(struct meter *m, uint32_t session, const uint8_t *payload, uint64_t at_ns);
/* Our engine's state of the session has changed. */
void meter_local(struct meter *m, uint32_t session, uint8_t state, uint8_t diag, uint64_t at_ns);
/* Our loop stood still; what arrived meanwhile is taken in between these two calls, with stamps that say
 * nothing. */
void meter_stalled(struct meter *m, uint64_t from_ns, uint64_t to_ns);
void meter_drained(struct meter *m, uint64_t now_ns);

/* The session's last packet has been sent. */
void meter_cut(struct meter *m, uint32_t session);
/* It is answered again. False: the device never noticed (counted as missed). */
bool meter_restore(struct meter *m, uint32_t session);

/* The detection time that the device has to apply. */
uint64_t meter_detect_ns(const struct meter *m, uint32_t session);
/* The longest of the stalls that touch [from, to], as far as it does. */
uint64_t meter_longest_stall(const struct meter_stall *s, uint32_t n, uint64_t from_ns, uint64_t to_ns);
uint64_t meter_window(struct meter *m);
/* The lower edge of a bin, in 1/32 of the interval. */
uint32_t meter_bin_edge(unsigned bin);
