/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bfdgen/gen.h"
#include "bfd/pacer.h"
#include "shared/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SWEEP_NS (50 * NS_PER_US)
#define TICK_NS (100 * NS_PER_US)
#define GRACE_NS (200 * NS_PER_US) /* after a stall: what the kernel still holds needs a moment */
#define CATCH_UP_NS                                                                                          \
	(3 * NS_PER_MS) /* of sending alone, at most, before that: as peregrine-dp's workers do              \
			 */
#define SAMPLE_NS NS_PER_S
#define GOODBYE_NS (150 * NS_PER_MS)
#define SETTLE_NS (200 * NS_PER_MS) /* from the last Up to the hold: polls end, rhythms settle */
#define TX_ROUND_NS (60 * NS_PER_US)
#define RX_ROUND_NS (150 * NS_PER_US) /* with sending, well below what counts as a stall */
#define AHEAD 6u
#define BEHIND_MAX_NS (5 * NS_PER_MS)
#define RX_BURSTS 16u
#define ADDS_A_TICK 32u
#define FLOOD_A_ROUND 32u
/* A real-time thread that never sleeps is stopped by the kernel for 50 ms in each second. */
#define AWAKE_NS NS_PER_MS
#define AWAKE_BUSY_NS (3 * NS_PER_MS / 2)
#define AWAKE_HOT_NS (25 * NS_PER_MS)
#define NAP_MAX_NS (2 * NS_PER_MS)
#define NAP_PERCENT 8 /* of 5 that must be; with 6 it was stopped now and then on a busy machine */

/* Marks of a session. */
#define MARK_MUTE 1  /* what it would send is not sent */
#define MARK_ALONE 2 /* its packets leave one by one, for exact stamps */
#define MARK_PROBE 4 /* its next packet carries a Poll */

uint64_t gen_round_edge_ns(unsigned bin)
{
	uint64_t v = bin;

	if (bin >= 8)
		v = (8 + (uint64_t)bin % 8) << (bin / 8 - 1);
	return v << 7;
}

static unsigned round_bin(uint64_t ns)
{
	uint64_t v = ns >> 7;
	unsigned e, bin;

	if (v < 8)
		return (unsigned)v;
	e = 63u - (unsigned)__builtin_clzll(v);
	bin = (e - 2) * 8 + (unsigned)(v >> (e - 3) & 7);
	return bin < GEN_ROUND_BINS ? bin : GEN_ROUND_BINS - 1;
}

static void fetch_for_sending(void *arg, uint32_t slot)
{
	const struct gen *g = arg;

	meter_prefetch_tx(g->meter, slot);
	if (g->wire->prefetch)
		g->wire->prefetch(g->wire, slot);
}

int gen_create(struct gen *g, const struct gen_options *o, struct wire *w, char err[GEN_ERR])
{
	struct bfd_engine_options eo = {
		.capacity = o->sessions ? o->sessions : 1,
		.seed = o->seed,
		.coming = fetch_for_sending,
		.coming_arg = g,
	};
	struct cut_options co = {
		.count = o->cut,
		.rounds = o->cut ? o->cut_rounds : 0,
		.spread_ns = o->cut_spread_ms * NS_PER_MS,
		.hold_ns = o->cut_hold_ms * NS_PER_MS,
		.lead_ns = 3 * NS_PER_US * (o->params.min_tx_us > 100000 ? o->params.min_tx_us : 100000),
	};
	int rc = linkstate_create(&g->ls, eo.capacity, false);

	snprintf(err, GEN_ERR, "no memory for %u sessions", o->sessions);
	if (rc)
		return rc;
	g->o = o;
	g->wire = w;
	g->random = o->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	g->salt = bfd_random(&g->random);
	eo.seed = g->random;
	g->engine = bfd_engine_create(&g->ls, &eo);
	g->meter = meter_create(o->sessions, &o->params, o->tolerance_us * NS_PER_US);
	g->marks = calloc(eo.capacity, 1);
	g->sample = calloc(GEN_SAMPLES, sizeof(*g->sample));
	for (unsigned i = 0; i < o->nfloods; i++) {
		g->flood[i] = calloc(GEN_FLOOD_PATHS, sizeof(*g->flood[i]));
		if (!g->flood[i])
			return -ENOMEM;
	}
	if (!g->engine || !g->meter || !g->marks || !g->sample ||
		cut_create(&g->cut, &co, g->meter, &g->random))
		return -ENOMEM;
	for (uint32_t i = 0; i < o->sessions; i++) {
		struct wire_path p = {
			.src = gen_local(o, i),
			.dst = gen_peer(o, i),
			.sport = (uint16_t)(49152 + i % 16384), /* RFC 5881 section 4 */
			.dport = o->multihop ? BFD_PORT_MULTIHOP : BFD_PORT_CONTROL,
			.ttl = 255,
		};

		if (w->set_path(w, i, &p))
			return snprintf(err, GEN_ERR, "session %u has no way out", i), -EINVAL;
	}
	linkstate_reader_init(&g->reader, &g->ls);
	return 0;
}

void gen_destroy(struct gen *g)
{
	if (g->engine)
		bfd_engine_destroy(g->engine);
	meter_destroy(g->meter);
	cut_destroy(&g->cut);
	free(g->marks);
	free(g->sample);
	for (unsigned i = 0; i < GEN_FLOODS; i++)
		free(g->flood[i]);
	linkstate_close(&g->ls);
}

/* Sending */

static void flush(struct gen *g)
{
	uint32_t refused;
	uint64_t after;

	if (!g->nburst)
		return;
	refused = g->wire->flush(g->wire);
	after = clock_now_ns();
	for (unsigned i = 0; i < g->nburst; i++)
		if (refused >> i & 1)
			meter_refused(g->meter, g->burst[i], after);
		else
			meter_sent(g->meter, g->burst[i], g->burst_ns, after);
	g->nburst = 0;
}

static void send_alone(struct gen *g, const struct bfd_tx *t)
{
	uint8_t poll[BFD_PACKET_LEN];
	const uint8_t *payload = t->payload;
	bool probe = g->marks[t->slot] & MARK_PROBE && t->len == BFD_PACKET_LEN &&
		     !(payload[1] & (BFD_FLAG_FINAL | BFD_FLAG_POLL | BFD_FLAG_AUTH)) &&
		     payload[1] >> 6 == BFD_UP;
	uint64_t before;

	flush(g);
	if (probe) {
		memcpy(poll, payload, sizeof(poll));
		poll[1] |= BFD_FLAG_POLL;
		payload = poll;
	}
	g->marks[t->slot] &= (uint8_t)~MARK_PROBE;
	before = clock_now_ns();
	if (!g->wire->queue(g->wire, t->slot, payload, t->len) || g->wire->flush(g->wire)) {
		meter_refused(g->meter, t->slot, before);
		return;
	}
	meter_sent(g->meter, t->slot, before, clock_now_ns());
	if (probe)
		meter_probed(g->meter, t->slot, before);
}

static unsigned send_burst(struct gen *g, uint64_t now)
{
	struct bfd_tx due[WIRE_BURST];
	unsigned n = bfd_engine_tx(g->engine, now, due, WIRE_BURST);

	g->burst_ns = now;
	for (unsigned i = 0; i < n; i++) {
		uint8_t mark = g->marks[due[i].slot];

		if (due[i].kind != BFD_TX_CONTROL || mark & MARK_MUTE) {
			g->swallowed++;
		} else if (mark) {
			send_alone(g, &due[i]);
			g->tx++;
		} else {
			if (g->wire->queue(g->wire, due[i].slot, due[i].payload, due[i].len))
				g->burst[g->nburst++] = due[i].slot;
			else
				meter_refused(g->meter, due[i].slot, now);
			g->tx++;
		}
	}
	flush(g);
	return n;
}

/* As much as is due, but back at receiving soon: not before as much time has gone into sending as into that.
 */
static unsigned send_due(struct gen *g, uint64_t now, uint64_t received_ns)
{
	uint64_t end = now + (received_ns > TX_ROUND_NS ? received_ns : TX_ROUND_NS);
	unsigned n, total = 0;

	do {
		n = send_burst(g, now);
		total += n;
		now = n == WIRE_BURST ? clock_now_ns() : end;
	} while (now < end);
	return total;
}

static void choose_probe(struct gen *g, uint64_t now)
{
	uint32_t n = g->o->sessions;

	if (!g->o->probe_hz || now < g->next_probe_ns || !g->meter->up)
		return;
	g->next_probe_ns = now + NS_PER_S / g->o->probe_hz;
	for (unsigned i = 0; i < 64; i++) {
		g->probe_at = g->probe_at + 1 < n ? g->probe_at + 1 : 0;
		if (g->meter->session[g->probe_at].phase != METER_UP || g->marks[g->probe_at])
			continue;
		g->marks[g->probe_at] = MARK_PROBE;
		return;
	}
}

/* Floods */

static void prepare_flood(struct gen *g, unsigned f)
{
	const struct gen_options *o = g->o;

	for (uint32_t j = 0; j < GEN_FLOOD_PATHS; j++) {
		uint32_t s = o->sessions ? bfd_random(&g->random) % o->sessions : 0;
		struct ipaddr stranger = gen_address(&o->local, o->locals + 1 + bfd_random(&g->random) % 200);
		struct flood_target t = {
			.local = gen_local(o, s), .peer = gen_peer(o, s), .reflector = o->flood[f].disc};
		struct flood_packet *p = &g->flood[f][j];
		struct wire_path path;

		if (o->sessions) {
			t.my_disc = bfd_discriminator_make(g->salt, 1, s);
			t.your_disc = bfd_get32(g->meter->session[s].said);
		}
		flood_make(p, o->flood[f].kind, &t, &stranger, o->multihop, &g->random);
		path = (struct wire_path){p->src, p->dst, p->sport, p->dport, p->ttl};
		g->wire->set_path(g->wire, o->sessions + f * GEN_FLOOD_PATHS + j, &path);
	}
	g->flood_credit[f] = 0;
}

static unsigned send_floods(struct gen *g, uint64_t now)
{
	double passed = (double)(now - g->flood_ns) / 1e9;
	unsigned sent = 0;

	g->flood_ns = now;
	for (unsigned f = 0; f < g->o->nfloods; f++) {
		double credit = g->flood_credit[f] + passed * g->o->flood[f].rate;
		unsigned n = credit > FLOOD_A_ROUND ? FLOOD_A_ROUND : (unsigned)credit;

		for (unsigned i = 0; i < n; i++) {
			uint32_t at = g->flood_at[f]++ % GEN_FLOOD_PATHS;

			g->wire->queue(g->wire, g->o->sessions + f * GEN_FLOOD_PATHS + at,
				g->flood[f][at].payload, g->flood[f][at].len);
		}
		/* What could not be sent in time is not made up for: at most one more burst. */
		g->flood_credit[f] = credit - n < FLOOD_A_ROUND ? credit - n : FLOOD_A_ROUND;
		sent += n;
	}
	g->wire->flush(g->wire);
	g->flooded += sent;
	return sent;
}

/* Receiving */

/* The engine looks for sessions without a discriminator by remote address and interface. All of ours may have
 * one remote, so each local address is an interface of its own to it. */
static uint32_t link_number(const struct gen *g, const struct ipaddr *local)
{
	return g->o->multihop ? 0 : 1 + gen_number(&g->o->local, local, g->o->locals);
}

static inline void prefetch(const struct gen *g, const struct bfd_rx *rx)
{
	if (rx->len < BFD_PACKET_LEN)
		return;
	bfd_engine_rx_prefetch(g->engine, rx->payload);
	meter_prefetch_rx(g->meter, bfd_discriminator_slot(g->salt, bfd_get32(rx->payload + 8)));
}

/* start: a time just before the call. */
static unsigned receive(struct gen *g, unsigned bursts, uint64_t limit_ns, uint64_t start)
{
	struct wire_packet k[WIRE_BURST];
	unsigned total = 0;
	bool more = true;

	g->meter->heard_ns = g->drained_ns;
	while (more && bursts--) {
		unsigned n = g->wire->receive(g->wire, k, &more);

		for (unsigned i = 0; i < n && i < AHEAD; i++)
			prefetch(g, &k[i].rx);
		for (unsigned i = 0; i < n; i++) {
			enum bfd_rx_result r;
			uint32_t slot;

			if (i + AHEAD < n)
				prefetch(g, &k[i + AHEAD].rx);
			/* Asked for only where no discriminator leads to the session. */
			if (k[i].rx.len < BFD_PACKET_LEN || !bfd_get32(k[i].rx.payload + 8))
				k[i].rx.ifindex = link_number(g, &k[i].rx.dst);
			r = bfd_engine_rx(g->engine, &k[i].rx, k[i].at_ns, &slot);
			if (r != BFD_RX_OK)
				g->refused_rx[r]++;
			else if (!g->goodbye_ns)
				meter_received(g->meter, slot, k[i].rx.payload, k[i].at_ns);
		}
		total += n;
		if (n && k[0].at_ns - start > limit_ns)
			break;
	}
	/* Nobody is late whose packet waits for us; but a generator that cannot keep up must not judge never.
	 */
	if (!more)
		g->drained_ns = start;
	else if (g->drained_ns + BEHIND_MAX_NS < start)
		g->drained_ns = start - BEHIND_MAX_NS;
	bfd_engine_drained(g->engine, g->drained_ns);
	g->rx += total;
	return total;
}

/* Our engine's sessions that went up or down. */
static void look_at_engine(struct gen *g)
{
	uint32_t slots[64], n = 0;
	struct linkstate_entry e;
	bool overrun = false;

	if (g->goodbye_ns) /* from then on what happens is our own doing */
		return;
	do {
		n = linkstate_poll(&g->reader, slots, 64, &overrun);
		for (uint32_t i = 0; i < n; i++)
			if (linkstate_read(&g->ls, slots[i], &e) &&
				e.state != g->meter->session[slots[i]].our_state)
				meter_local(g->meter, slots[i], e.state, e.diag, e.detected_ns);
	} while (n == 64);
	for (uint32_t i = 0; overrun && i < g->o->sessions; i++)
		if (linkstate_read(&g->ls, i, &e) && e.generation &&
			e.state != g->meter->session[i].our_state)
			meter_local(g->meter, i, e.state, e.diag, e.detected_ns);
}

static uint64_t recover(struct gen *g, uint64_t from, uint64_t to)
{
	uint64_t now = to, refused = g->wire->refused, until;

	meter_stalled(g->meter, from, to);
	while (send_burst(g, now) == WIRE_BURST && now < to + CATCH_UP_NS && g->wire->refused == refused)
		now = clock_now_ns();
	now = clock_now_ns();
	until = now + GRACE_NS;
	do {
		receive(g, 64, UINT64_MAX, now);
		now = clock_now_ns();
	} while (now < until);
	bfd_engine_stalled(g->engine, to - from, now);
	meter_drained(g->meter, now);
	return now;
}

/* The course */

static void stage(struct gen *g, enum gen_stage s)
{
	atomic_store_explicit(&g->stage, (uint8_t)s, memory_order_release);
}

static void cut_step(void *arg, uint32_t session, enum cut_step step)
{
	struct gen *g = arg;

	g->marks[session] = step == CUT_CHOSEN ? MARK_ALONE : step == CUT_SILENT ? MARK_MUTE : 0;
}

static void add_sessions(struct gen *g, uint64_t now)
{
	const struct gen_options *o = g->o;
	uint64_t due = (uint64_t)((double)(now - g->start_ns) / 1e9 * o->ramp) + 1;

	for (unsigned i = 0; i < ADDS_A_TICK && g->added < o->sessions && g->added < due; i++) {
		struct ipaddr local = gen_local(o, g->added);
		struct bfd_key key = {.local = local,
			.remote = gen_peer(o, g->added),
			.ifindex = link_number(g, &local),
			.kind = o->multihop ? BFD_KIND_MULTIHOP : BFD_KIND_SINGLEHOP};

		if (bfd_engine_add(g->engine, g->added, 1, bfd_discriminator_make(g->salt, 1, g->added), &key,
			    &o->params, now))
			g->add_errors++;
		g->added++;
	}
}

static void begin_hold(struct gen *g)
{
	for (unsigned f = 0; f < g->o->nfloods; f++)
		prepare_flood(g, f);
	g->busy_ns = g->busy_packets = 0;
	g->hold_ns = g->flood_ns = clock_now_ns();
	g->up_at_hold = g->meter->up;
	g->flaps_before_hold = g->meter->flaps;
	stage(g, GEN_HOLD);
}

static void begin_goodbye(struct gen *g, uint64_t now)
{
	struct bfd_params p = g->o->params;

	g->goodbye_ns = now;
	g->up_at_end = g->meter->up;
	p.admin_down = true;
	for (uint32_t i = 0; !g->o->vanish && i < g->added; i++)
		bfd_engine_update(g->engine, i, &p, now);
	stage(g, GEN_GOODBYE);
}

/* Returns false when a step took long on purpose: the round is not to be judged. */
static bool follow_course(struct gen *g, uint64_t now)
{
	const struct gen_options *o = g->o;
	enum gen_stage s = atomic_load_explicit(&g->stage, memory_order_relaxed);

	if (s < GEN_GOODBYE && atomic_load_explicit(&g->stop, memory_order_relaxed)) {
		begin_goodbye(g, now);
		return false;
	}
	switch (s) {
	case GEN_RAMP:
		add_sessions(g, now);
		if (g->added < o->sessions)
			break;
		if (!g->up_ns)
			g->up_ns = now; /* for now: when all were added */
		if (g->meter->up > g->reached_up)
			g->reached_up = g->meter->up;
		if (g->meter->all_up_ns ? now >= g->meter->all_up_ns + SETTLE_NS
					: now >= g->up_ns + (uint64_t)(o->wait_s * 1e9) || !o->sessions) {
			begin_hold(g);
			return false;
		}
		break;
	case GEN_HOLD:
		if (o->give_up && g->meter->flaps - g->flaps_before_hold >= o->give_up) {
			g->cuts_ns = now;
			begin_goodbye(g, now);
			return false;
		}
		if (now < g->hold_ns + (uint64_t)(o->time_s * 1e9))
			break;
		g->cuts_ns = now;
		stage(g, GEN_CUTS);
		break;
	case GEN_CUTS:
		if (cut_run(&g->cut, now, cut_step, g))
			break;
		begin_goodbye(g, now);
		return false;
	case GEN_GOODBYE:
		if (now >= g->goodbye_ns + GOODBYE_NS)
			stage(g, GEN_OVER);
		break;
	case GEN_OVER: break;
	}
	return true;
}

static void take_sample(struct gen *g, uint64_t now)
{
	uint32_t n = atomic_load_explicit(&g->nsamples, memory_order_relaxed);

	g->next_sample_ns += SAMPLE_NS;
	if (n == GEN_SAMPLES)
		return;
	g->sample[n] = (struct gen_sample){
		.at_ns = now,
		.up = g->meter->up,
		.flaps = g->meter->flaps,
		.rx = g->rx,
		.tx = g->tx,
		.flood = g->flooded,
		.refused = g->wire->refused,
		.stalls = g->meter->stalls,
		.worst_gap_ns = meter_window(g->meter),
		.worst_round_ns = g->window_round_ns,
		.stage = atomic_load_explicit(&g->stage, memory_order_relaxed),
	};
	g->window_round_ns = 0;
	atomic_store_explicit(&g->nsamples, n + 1, memory_order_release);
}

static void prepare_thread(const struct gen *g)
{
	struct sched_param sp = {.sched_priority = 60};
	int fd;

	prctl(PR_SET_NAME, "bfdgen-loop");
	prctl(PR_SET_TIMERSLACK, 1);
	if (g->o->nap && sched_setscheduler(0, SCHED_FIFO, &sp) == 0)
		return;
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), -20);
	/* With autogroups that counts only within our session: this is the session's. */
	fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "-20", 3) < 0)
		errno = 0; /* then not */
	if (fd >= 0)
		close(fd);
}

/* Returns when we meant to be back, 0 if we did not sleep. */
static uint64_t maybe_nap(struct gen *g, uint64_t now, bool idle)
{
	uint64_t awake = now - g->slept_ns, ns;
	struct timespec ts;

	if (!g->o->nap || awake < AWAKE_NS || (!idle && awake < AWAKE_BUSY_NS) ||
		(g->cut.hot && awake < AWAKE_HOT_NS))
		return 0;
	ns = awake * NAP_PERCENT / 100;
	ts = (struct timespec){.tv_nsec = (long)(ns < NAP_MAX_NS ? ns : NAP_MAX_NS)};
	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	g->slept_ns = clock_now_ns();
	return now + (uint64_t)ts.tv_nsec;
}

void gen_run(struct gen *g)
{
	uint64_t stall = g->o->stall_us * NS_PER_US, expected, last, now, next_tick = 0;

	prepare_thread(g);
	g->start_ns = last = expected = g->slept_ns = now = clock_now_ns();
	g->next_sample_ns = g->start_ns + SAMPLE_NS;
	/* The clock is read twice in a round, which costs as much as two packets: when one ends the next
	 * begins. */
	while (atomic_load_explicit(&g->stage, memory_order_relaxed) != GEN_OVER) {
		enum gen_stage s = atomic_load_explicit(&g->stage, memory_order_relaxed);
		bool judged = true;
		uint64_t back;
		unsigned work;

		if (now > expected + stall && s != GEN_GOODBYE)
			now = recover(g, expected, now);
		g->round_hist[round_bin(now - last)] += now - last;
		if (now - last > g->window_round_ns)
			g->window_round_ns = now - last;
		last = now;
		work = receive(g, RX_BURSTS, RX_ROUND_NS, now);
		now = clock_now_ns();
		if (now - g->last_sweep_ns >= SWEEP_NS) {
			bfd_engine_sweep(g->engine, now);
			g->last_sweep_ns = now;
		}
		choose_probe(g, now);
		work += send_due(g, now, now - last);
		if (g->o->nfloods && (s == GEN_HOLD || s == GEN_CUTS))
			work += send_floods(g, clock_now_ns());
		if (bfd_engine_notify(g->engine))
			look_at_engine(g);
		if (now >= next_tick) {
			judged = follow_course(g, now);
			next_tick = now + TICK_NS;
			if (now >= g->next_sample_ns)
				take_sample(g, now);
		}
		now = clock_now_ns();
		expected = judged ? last : now;
		if (!judged)
			last = now;
		if (work && judged && s < GEN_GOODBYE) {
			g->busy_ns += now - last;
			g->busy_packets += work;
		}
		/* Not when this round itself was interrupted: the next one has to see that. */
		back = now <= expected + stall ? maybe_nap(g, now, work == 0) : 0;
		if (back) {
			expected = back;
			now = g->slept_ns;
		}
	}
	g->end_ns = clock_now_ns();
	take_sample(g, g->end_ns);
}
