/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bfdgen/meter.h"
#include <stdlib.h>
#include <string.h>

#define FLAP_ROOM 100000u
#define STALL_ROOM 100000u
#define RTT_ROOM (1u << 20)
#define DETECTION_ROOM 200000u
#define METER_WARM 4
#define EXACT_NS 100000u /* between the stamps before and after sending: more is not worth judging by */

struct meter *meter_create(uint32_t sessions, const struct bfd_params *ours, uint64_t tolerance_ns)
{
	struct meter *m = calloc(1, sizeof(*m));
	size_t n = sessions ? sessions : 1;

	if (!m)
		return NULL;
	m->n = sessions;
	m->params = *ours;
	m->tolerance_ns = tolerance_ns;
	m->session = aligned_alloc(64, n * sizeof(*m->session));
	m->hist_rows = sessions > METER_HIST_SESSIONS ? 1 : (uint32_t)n;
	m->hist = aligned_alloc(64, m->hist_rows * sizeof(*m->hist));
	m->flap = calloc(FLAP_ROOM, sizeof(*m->flap));
	m->detection = calloc(DETECTION_ROOM, sizeof(*m->detection));
	m->stall = calloc(STALL_ROOM, sizeof(*m->stall));
	m->rtt_ns = calloc(RTT_ROOM, sizeof(*m->rtt_ns));
	if (!m->session || !m->hist || !m->flap || !m->detection || !m->stall || !m->rtt_ns) {
		meter_destroy(m);
		return NULL;
	}
	memset(m->session, 0, n * sizeof(*m->session));
	memset(m->hist, 0, m->hist_rows * sizeof(*m->hist));
	for (uint32_t i = 0; i < sessions; i++)
		m->session[i].dut_state = m->session[i].our_state = BFD_DOWN;
	m->flap_room = FLAP_ROOM;
	m->detection_room = DETECTION_ROOM;
	m->stall_room = STALL_ROOM;
	m->rtt_room = RTT_ROOM;
	return m;
}

void meter_destroy(struct meter *m)
{
	if (!m)
		return;
	free(m->session);
	free(m->hist);
	free(m->flap);
	free(m->detection);
	free(m->stall);
	free(m->rtt_ns);
	free(m);
}

static uint32_t dut_min_tx(const struct meter_session *s)
{
	return bfd_get32(s->said + 8);
}

static uint32_t dut_min_rx(const struct meter_session *s)
{
	return bfd_get32(s->said + 12);
}

uint64_t meter_detect_ns(const struct meter *m, uint32_t session)
{
	uint32_t rx = dut_min_rx(&m->session[session]);
	uint32_t us = rx > m->params.min_tx_us ? rx : m->params.min_tx_us;

	return (uint64_t)m->params.detect_mult * us * 1000;
}

uint32_t meter_bin_edge(unsigned bin)
{
	static const uint8_t coarse[] = {2, 3, 4, 6, 8, 16, 32};

	return bin < METER_BINS_FINE ? bin : 32u * coarse[bin - METER_BINS_FINE];
}

static unsigned bin_of(uint64_t bins)
{
	unsigned b = METER_BINS_FINE;

	if (bins < METER_BINS_FINE)
		return (unsigned)bins;
	while (b + 1 < METER_BINS && bins >= meter_bin_edge(b + 1))
		b++;
	return b;
}

/* Sending */

void meter_sent(struct meter *m, uint32_t session, uint64_t before_ns, uint64_t after_ns)
{
	struct meter_session *s = &m->session[session];
	uint64_t last = s->tx_ns[(s->tx_count - 1) % METER_RECENT];

	/* While both ends are Up we send periodically; before that, and until the new rhythm is agreed on,
	 * once a second. */
	if (s->tx_up && s->tx_warm >= METER_WARM) {
		if (before_ns - last > s->tx_gap_max_ns)
			s->tx_gap_max_ns = before_ns - last;
	} else {
		s->tx_warm += s->tx_up;
	}
	uint64_t took = (after_ns - before_ns + 999) / 1000;
	s->tx_took_us[s->tx_count % METER_RECENT] = took < UINT16_MAX ? (uint16_t)took : UINT16_MAX;
	s->tx_ns[s->tx_count++ % METER_RECENT] = before_ns;
	s->sent_after_ns = after_ns;
}

void meter_refused(struct meter *m, uint32_t session, uint64_t at_ns)
{
	m->session[session].refused_ns = at_ns;
}

void meter_probed(struct meter *m, uint32_t session, uint64_t before_ns)
{
	m->session[session].probe_ns = before_ns;
}

/* The longest silence of ours that began or ended within the last detection time. */
static uint64_t own_gap(const struct meter_session *s, uint64_t at_ns, uint64_t detect_ns)
{
	uint64_t newer = at_ns, worst = 0;

	for (unsigned i = 1; i <= METER_RECENT && i <= s->tx_count; i++) {
		uint64_t t = s->tx_ns[(s->tx_count - i) % METER_RECENT];

		if (newer - t > worst && newer >= t)
			worst = newer - t;
		if (t + detect_ns + detect_ns / 2 < at_ns)
			break;
		newer = t;
	}
	return worst;
}

/* States */

static void set_phase(struct meter *m, struct meter_session *s, uint8_t phase, uint64_t at_ns)
{
	if (s->phase == phase)
		return;
	m->up -= s->phase == METER_UP;
	m->up += phase == METER_UP;
	s->phase = phase;
	s->tx_up = phase == METER_UP;
	if (phase != METER_UP)
		return;
	if (m->up == m->n && !m->all_up_ns)
		m->all_up_ns = at_ns;
	s->tx_warm = 0;
	if (s->last_flap && !m->flap[s->last_flap - 1].back_ns)
		m->flap[s->last_flap - 1].back_ns = at_ns;
}

static void flapped(struct meter *m, uint32_t session, enum meter_flap_kind kind, uint8_t diag,
	uint64_t silent_ns, uint64_t at_ns)
{
	struct meter_session *s = &m->session[session];
	struct meter_flap *f;

	set_phase(m, s, METER_LOST, at_ns);
	s->flaps++;
	m->flaps++;
	s->last_flap = 0;
	if (m->nflaps == m->flap_room)
		return;
	f = &m->flap[m->nflaps++];
	s->last_flap = m->nflaps;
	*f = (struct meter_flap){
		.session = session,
		.kind = kind,
		.dut_state = s->dut_state,
		.dut_diag = diag,
		.at_ns = at_ns,
		.silent_ns = silent_ns,
		.interval_ns = s->interval_us * UINT64_C(1000),
	};
	f->detect_ns = kind == METER_FLAP_SAID ? meter_detect_ns(m, session)
					       : m->params.detect_mult * f->interval_ns;
	f->own_gap_ns = own_gap(s, at_ns, meter_detect_ns(m, session));
	f->refused = s->refused_ns && s->refused_ns + f->detect_ns + f->detect_ns / 2 >= at_ns;
}

/* Which of our packets the device certainly had when it judged: the last but i - 1. Its Down was sent after
 * heard_ns. 0: we were too slow to tell. */
static unsigned counted_from(
	const struct meter_session *s, uint64_t heard_ns, uint64_t at_ns, uint64_t detect_ns)
{
	unsigned i = 1;

	for (; i < METER_RECENT && i < s->tx_count; i++) {
		unsigned k = (s->tx_count - i) % METER_RECENT;

		if (s->tx_ns[k] + s->tx_took_us[k] * UINT64_C(1000) + detect_ns / 2 <= heard_ns)
			return i;
	}
	return at_ns - heard_ns > detect_ns / 4 ? 0 : i;
}

static void noticed(struct meter *m, uint32_t session, uint8_t diag, uint64_t at_ns)
{
	struct meter_session *s = &m->session[session];
	struct meter_detection *d;
	unsigned i;

	if (m->ndetections == m->detection_room)
		return;
	d = &m->detection[m->ndetections++];
	*d = (struct meter_detection){
		.session = session,
		.dut_diag = diag,
		.before_ns = s->tx_ns[(s->tx_count - 1) % METER_RECENT],
		.after_ns = s->sent_after_ns,
		.down_ns = at_ns,
		.detect_ns = meter_detect_ns(m, session),
	};
	i = counted_from(s, m->heard_ns && m->heard_ns < at_ns ? m->heard_ns : at_ns, at_ns, d->detect_ns);
	d->early = i && d->down_ns < s->tx_ns[(s->tx_count - i) % METER_RECENT] + d->detect_ns;
	d->spoilt = i != 1 || at_ns < m->spoilt_until_ns || d->after_ns - d->before_ns > EXACT_NS;
	m->detections++;
	m->early += d->early;
	s->detections++;
}

static void now_up(struct meter *m, struct meter_session *s, uint64_t at_ns)
{
	if (s->our_state == BFD_UP && s->dut_state == BFD_UP && s->phase != METER_CUT)
		set_phase(m, s, METER_UP, at_ns);
}

void meter_local(struct meter *m, uint32_t session, uint8_t state, uint8_t diag, uint64_t at_ns)
{
	struct meter_session *s = &m->session[session];

	s->our_state = state;
	if (state == BFD_UP)
		now_up(m, s, at_ns);
	else if (s->phase == METER_UP)
		flapped(m, session, METER_FLAP_SILENT, diag, at_ns - s->last_rx_ns, at_ns);
}

/* Receiving */

static void renegotiated(struct meter *m, struct meter_session *s)
{
	uint32_t tx = dut_min_tx(s);

	s->interval_us = tx > m->params.min_rx_us ? tx : m->params.min_rx_us;
	s->scale = s->interval_us ? (UINT64_C(32) << 32) / (s->interval_us * UINT64_C(1000)) : 0;
}

static bool changed(
	struct meter *m, uint32_t session, const uint8_t *payload, uint64_t gap_ns, uint64_t at_ns)
{
	struct meter_session *s = &m->session[session];
	uint8_t state = payload[1] >> 6, diag = payload[0] & 0x1f, old = s->dut_state;

	s->steady = state == BFD_UP;
	if (memcmp(s->said, payload + 4, sizeof(s->said)) != 0) {
		/* What it wanted before its Down is what the deadline was made of. */
		bool keep = state != BFD_UP && (s->phase == METER_UP || s->phase == METER_CUT);

		if (!keep) {
			memcpy(s->said, payload + 4, sizeof(s->said));
			renegotiated(m, s);
		}
	}
	if (state == old)
		return false;
	s->dut_state = state;
	if (state == BFD_UP)
		now_up(m, s, at_ns);
	else if (s->phase == METER_UP)
		flapped(m, session, METER_FLAP_SAID, diag, gap_ns, at_ns);
	else if (s->phase == METER_CUT && old == BFD_UP)
		noticed(m, session, diag, at_ns);
	return true;
}

static void probe_answered(struct meter *m, struct meter_session *s, uint64_t at_ns)
{
	uint64_t rtt = at_ns - s->probe_ns;

	if (m->nrtts < m->rtt_room && s->probe_ns >= m->spoilt_until_ns && rtt < UINT32_MAX)
		m->rtt_ns[m->nrtts++] = (uint32_t)rtt;
	s->probe_ns = 0;
}

static inline void count_gap(struct meter *m, uint32_t session, uint64_t gap_ns, uint64_t at_ns)
{
	struct meter_session *s = &m->session[session];

	if (s->last_rx_ns < m->spoilt_until_ns) {
		s->spoilt++;
		return;
	}
	if (gap_ns > UINT32_MAX)
		gap_ns = UINT32_MAX;
	s->gaps++;
	m->hist[m->hist_rows > 1 ? session : 0].bin[bin_of(gap_ns * s->scale >> 32)]++;
	if (gap_ns > s->gap_max_ns) {
		s->gap_max_ns = (uint32_t)gap_ns;
		s->gap_max_at_ns = at_ns;
	}
	if (gap_ns > m->window_gap_ns)
		m->window_gap_ns = gap_ns;
	if (gap_ns > s->interval_us * UINT64_C(1000)) {
		s->over++;
		s->late += gap_ns > s->interval_us * UINT64_C(1000) + m->tolerance_ns;
	}
}

static inline bool says_other(const struct meter_session *s, const uint8_t *payload)
{
	uint64_t a[2], b[2];
	uint32_t x, y;

	memcpy(a, s->said, sizeof(a));
	memcpy(b, payload + 4, sizeof(b));
	memcpy(&x, s->said + sizeof(a), sizeof(x));
	memcpy(&y, payload + 4 + sizeof(b), sizeof(y));
	return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (x ^ y)) != 0;
}

bool meter_received(struct meter *m, uint32_t session, const uint8_t *payload, uint64_t at_ns)
{
	struct meter_session *s = &m->session[session];
	uint64_t gap = at_ns - s->last_rx_ns;
	bool other = false;

	s->rx_count++;
	if (payload[1] & BFD_FLAG_FINAL && s->probe_ns)
		probe_answered(m, s, at_ns);
	if (payload[1] >> 6 != s->dut_state || says_other(s, payload))
		other = changed(m, session, payload, gap, at_ns);
	else if (s->steady == 2 && s->phase == METER_UP)
		count_gap(m, session, gap, at_ns);
	else if (s->steady == 1)
		s->steady = 2;
	s->last_rx_ns = at_ns;
	return other;
}

/* Stalls */

void meter_stalled(struct meter *m, uint64_t from_ns, uint64_t to_ns)
{
	m->stalls++;
	if (to_ns - from_ns > m->worst_stall_ns)
		m->worst_stall_ns = to_ns - from_ns;
	if (m->nstalls < m->stall_room)
		m->stall[m->nstalls++] = (struct meter_stall){from_ns, to_ns};
	m->spoilt_until_ns = UINT64_MAX;
}

void meter_drained(struct meter *m, uint64_t now_ns)
{
	m->spoilt_until_ns = now_ns;
}

uint64_t meter_longest_stall(const struct meter_stall *s, uint32_t n, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t worst = 0;

	/* In the order of time: the last ones are enough. */
	for (uint32_t i = n; i > 0 && s[i - 1].to_ns > from_ns; i--) {
		uint64_t from = s[i - 1].from_ns > from_ns ? s[i - 1].from_ns : from_ns;
		uint64_t to = s[i - 1].to_ns < to_ns ? s[i - 1].to_ns : to_ns;

		if (to > from && to - from > worst)
			worst = to - from;
	}
	return worst;
}

/* Cuts */

void meter_cut(struct meter *m, uint32_t session)
{
	struct meter_session *s = &m->session[session];

	s->detections = 0;
	s->probe_ns = 0;
	set_phase(m, s, METER_CUT, 0);
}

bool meter_restore(struct meter *m, uint32_t session)
{
	struct meter_session *s = &m->session[session];
	bool seen = s->detections > 0;

	if (!seen) {
		m->missed++;
		if (m->ndetections < m->detection_room)
			m->detection[m->ndetections++] = (struct meter_detection){
				.session = session,
				.missed = true,
				.before_ns = s->tx_ns[(s->tx_count - 1) % METER_RECENT],
				.after_ns = s->sent_after_ns,
				.detect_ns = meter_detect_ns(m, session),
			};
	}
	s->steady = 0;
	set_phase(m, s, METER_RETURNING, 0);
	now_up(m, s, 0);
	return seen;
}

uint64_t meter_window(struct meter *m)
{
	uint64_t worst = m->window_gap_ns;

	m->window_gap_ns = 0;
	return worst;
}
