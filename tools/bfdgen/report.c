/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bfdgen/report.h"
#include "shared/clock.h"
#include "shared/timefmt.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define LIST_MAX 2000u /* entries of a list in the JSON; the CSV files have all */

static const char *const blame_names[BLAMES] = {"device", "machine", "generator"};
static const char *const stage_names[] = {"ramp", "hold", "cuts", "goodbye", "over"};

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

struct quantiles quantiles_of(uint64_t *v, uint64_t n)
{
	if (n == 0)
		return (struct quantiles){0};
	qsort(v, n, sizeof(*v), by_value);
	/* The value that at least 99 % do not exceed. */
	return (struct quantiles){n, v[0], v[n / 2], v[(n * 99 + 99) / 100 - 1], v[n - 1]};
}

/* Gathering */

struct gaps {
	uint64_t count, over, late, spoilt;
	uint64_t max_ns, max_at_ns;
	uint32_t max_session;
	uint32_t interval_min_us, interval_max_us;
	uint64_t bin[METER_BINS];
	uint64_t own_max_ns;
};

static struct gaps gather_gaps(const struct meter *m)
{
	struct gaps g = {.interval_min_us = UINT32_MAX};

	for (uint32_t i = 0; i < m->n; i++) {
		const struct meter_session *s = &m->session[i];

		g.count += s->gaps;
		g.over += s->over;
		g.late += s->late;
		g.spoilt += s->spoilt;
		if (s->gap_max_ns > g.max_ns) {
			g.max_ns = s->gap_max_ns;
			g.max_at_ns = s->gap_max_at_ns;
			g.max_session = i;
		}
		if (s->gaps && s->interval_us < g.interval_min_us)
			g.interval_min_us = s->interval_us;
		if (s->gaps && s->interval_us > g.interval_max_us)
			g.interval_max_us = s->interval_us;
		if (s->tx_gap_max_ns > g.own_max_ns)
			g.own_max_ns = s->tx_gap_max_ns;
	}
	for (uint32_t i = 0; i < m->hist_rows; i++)
		for (unsigned b = 0; b < METER_BINS; b++)
			g.bin[b] += m->hist[i].bin[b];
	if (g.interval_min_us == UINT32_MAX)
		g.interval_min_us = 0;
	return g;
}

struct detections {
	struct quantiles overshoot, failure; /* failure: from the last packet to the Down */
	struct quantiles undisturbed;        /* overshoot while no watched core was taken away */
	uint64_t spoilt;
	int64_t earliest_ns; /* of all: the least time past the deadline */
};

/* A watched core was away about when the device should have noticed. */
static bool is_disturbed(const struct report *r, const struct meter_detection *x)
{
	uint64_t from = x->before_ns + x->detect_ns - NS_PER_MS;

	for (unsigned i = 0; i < r->nwatches; i++)
		if (meter_longest_stall(
			    r->watch[i].stall, atomic_load(&r->watch[i].nstalls), from, x->down_ns))
			return true;
	return false;
}

static struct detections gather_detections(const struct report *r)
{
	const struct meter *m = r->g->meter;
	struct detections d = {.earliest_ns = INT64_MAX};
	uint64_t *over = calloc(m->ndetections + 1, sizeof(*over)),
		 *whole = calloc(m->ndetections + 1, sizeof(*whole)),
		 *calm = calloc(m->ndetections + 1, sizeof(*calm)), n = 0, ncalm = 0;

	for (uint32_t i = 0; over && whole && calm && i < m->ndetections; i++) {
		const struct meter_detection *x = &m->detection[i];
		int64_t past = (int64_t)(x->down_ns - x->after_ns - x->detect_ns);

		if (x->missed)
			continue;
		if (x->spoilt) {
			d.spoilt++;
			continue;
		}
		if (past < d.earliest_ns)
			d.earliest_ns = past;
		if (!is_disturbed(r, x))
			calm[ncalm++] = past > 0 ? (uint64_t)past : 0;
		whole[n] = x->down_ns - x->after_ns;
		over[n++] = past > 0 ? (uint64_t)past : 0;
	}
	if (over && whole && calm) {
		d.overshoot = quantiles_of(over, n);
		d.failure = quantiles_of(whole, n);
		d.undisturbed = quantiles_of(calm, ncalm);
	}
	free(calm);
	free(over);
	free(whole);
	return d;
}

static struct quantiles gather_rtt(const struct meter *m)
{
	uint64_t *v = calloc(m->nrtts + 1, sizeof(*v));
	struct quantiles q = {0};

	for (uint32_t i = 0; v && i < m->nrtts; i++)
		v[i] = m->rtt_ns[i];
	if (v)
		q = quantiles_of(v, m->nrtts);
	free(v);
	return q;
}

static uint64_t round_quantile(const struct gen *g, double q)
{
	uint64_t n = 0, upto = 0;
	unsigned b = 0;

	for (unsigned i = 0; i < GEN_ROUND_BINS; i++)
		n += g->round_hist[i];
	for (b = 0; b < GEN_ROUND_BINS - 1; b++) {
		upto += g->round_hist[b];
		if ((double)upto >= q * (double)n)
			break;
	}
	return gen_round_edge_ns(b + 1);
}

/* The last time of the interval that a person would call "the run". */
static uint64_t run_ends_ns(const struct gen *g)
{
	return g->goodbye_ns ? g->goodbye_ns : g->end_ns;
}

enum blame report_blame(const struct report *r, const struct meter_flap *f, uint64_t *longest_ns)
{
	/* The device's engine judged the time up to a detection time back; one more interval for the packet
	 * before. */
	uint64_t from = f->at_ns - f->detect_ns - f->interval_ns;
	uint64_t worst = meter_longest_stall(r->g->meter->stall, r->g->meter->nstalls, from, f->at_ns);
	uint64_t need = f->detect_ns > f->interval_ns ? f->detect_ns - f->interval_ns : f->detect_ns;

	for (unsigned i = 0; i < r->nwatches; i++) {
		uint64_t s = meter_longest_stall(
			r->watch[i].stall, atomic_load(&r->watch[i].nstalls), from, f->at_ns);

		worst = s > worst ? s : worst;
	}
	*longest_ns = worst;
	/* What our port did not take waited for the device to empty the ring. */
	if (f->kind == METER_FLAP_SAID && f->own_gap_ns >= f->detect_ns && !f->refused)
		return BLAME_GENERATOR;
	return worst >= need && need ? BLAME_MACHINE : BLAME_DEVICE;
}

static void count_blame(const struct report *r, uint64_t by[BLAMES], bool hold_only)
{
	const struct meter *m = r->g->meter;
	uint64_t ignored;

	memset(by, 0, BLAMES * sizeof(*by));
	for (uint32_t i = 0; i < m->nflaps; i++)
		if (!hold_only || (r->g->hold_ns && m->flap[i].at_ns >= r->g->hold_ns))
			by[report_blame(r, &m->flap[i], &ignored)]++;
}

/* Since the hold began, and as far as they are listed: noticed there, or here. */
static uint64_t flaps_of_kind(const struct report *r, enum meter_flap_kind kind)
{
	const struct meter *m = r->g->meter;
	uint64_t n = 0;

	for (uint32_t i = 0; i < m->nflaps; i++)
		n += m->flap[i].kind == kind && r->g->hold_ns && m->flap[i].at_ns >= r->g->hold_ns;
	return n;
}

bool report_trouble(const struct report *r)
{
	const struct gen *g = r->g;

	return g->meter->flaps || g->meter->early || g->meter->missed || g->reached_up < r->o->sessions ||
	       g->add_errors;
}

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static double since_start(const struct report *r, uint64_t ns)
{
	return ns > r->g->start_ns ? (double)(ns - r->g->start_ns) / 1e9 : 0;
}

/* CPU time of a process between the first and the last sample of the hold and the cuts, in cores. */
static double cpu_share(const struct report *r, unsigned pid)
{
	const struct cpu_sample *a = NULL, *b = NULL;

	for (uint32_t i = 0; i < r->ncpu; i++) {
		if (r->cpu[i].at_ns < r->g->hold_ns || r->cpu[i].at_ns > run_ends_ns(r->g))
			continue;
		if (!a)
			a = &r->cpu[i];
		b = &r->cpu[i];
	}
	return a && b->at_ns > a->at_ns
		       ? (double)(b->used_ns[pid] - a->used_ns[pid]) / (double)(b->at_ns - a->at_ns)
		       : 0;
}

/* For people */

static void text_flaps(const struct report *r, FILE *to)
{
	const struct meter *m = r->g->meter;
	uint64_t by[BLAMES];

	count_blame(r, by, false);
	fprintf(to, "flaps        %lu", m->flaps);
	if (m->flaps)
		fprintf(to,
			" (%lu the device's or the path's, %lu a core was taken away, %lu we were silent)",
			by[BLAME_DEVICE], by[BLAME_MACHINE], by[BLAME_GENERATOR]);
	fputc('\n', to);
	for (uint32_t i = 0; i < m->nflaps && i < 10; i++) {
		const struct meter_flap *f = &m->flap[i];
		uint64_t stall;
		enum blame b = report_blame(r, f, &stall);

		fprintf(to,
			"  %9.3f s session %u: %s, its last packet %.1f ms before, our longest pause %.1f "
			"ms, "
			"longest stall %.1f ms: %s\n",
			since_start(r, f->at_ns), f->session,
			f->kind == METER_FLAP_SAID ? "the device says it is not Up" : "the device was silent",
			ms(f->silent_ns), ms(f->own_gap_ns), ms(stall), blame_names[b]);
	}
	if (m->nflaps > 10)
		fprintf(to, "  and %lu more\n", m->flaps - 10);
}

void report_text(const struct report *r, FILE *to)
{
	const struct gen *g = r->g;
	const struct meter *m = g->meter;
	struct gaps gaps = gather_gaps(m);
	struct detections d = gather_detections(r);
	struct quantiles rtt = gather_rtt(m);
	double whole = (double)(run_ends_ns(g) - g->start_ns) / 1e9;

	if (r->o->sessions) {
		fprintf(to, "sessions     %u of %u Up", g->reached_up, r->o->sessions);
		if (m->all_up_ns)
			fprintf(to, " after %.3f s", since_start(r, m->all_up_ns));
		fprintf(to, ", %u at the end; held for %.1f s\n", g->up_at_end,
			g->hold_ns ? (double)((g->cuts_ns ? g->cuts_ns : run_ends_ns(g)) - g->hold_ns) / 1e9
				   : 0);
		text_flaps(r, to);
		fprintf(to,
			"gaps         %lu between packets of the device at %.1f ms; worst %.2f ms (session "
			"%u at "
			"%.3f s); "
			"%lu above the interval, %lu by more than %.1f ms; %lu not judged\n",
			gaps.count, gaps.interval_max_us / 1e3, ms(gaps.max_ns), gaps.max_session,
			since_start(r, gaps.max_at_ns), gaps.over, gaps.late, r->o->tolerance_us / 1e3,
			gaps.spoilt);
	}
	if (m->ndetections)
		fprintf(to,
			"detections   %lu, %lu early, %lu missed, %lu not judged; past the deadline: median "
			"%.3f ms, "
			"99 %% %.3f ms, "
			"worst %.3f ms (while no core was away: %lu, 99 %% %.3f ms, worst %.3f ms); from the "
			"last "
			"packet: median %.2f ms, worst %.2f ms\n",
			m->detections, m->early, m->missed, d.spoilt, ms(d.overshoot.median),
			ms(d.overshoot.p99), ms(d.overshoot.max), d.undisturbed.n, ms(d.undisturbed.p99),
			ms(d.undisturbed.max), ms(d.failure.median), ms(d.failure.max));
	if (rtt.n)
		fprintf(to,
			"round trip   %lu polls: least %.1f us, median %.1f us, 99 %% %.1f us, worst %.1f "
			"us\n",
			rtt.n, rtt.min / 1e3, rtt.median / 1e3, rtt.p99 / 1e3, rtt.max / 1e3);
	fprintf(to, "packets      %lu received, %lu sent (%.0f and %.0f a second)", g->rx, g->tx,
		(double)g->rx / whole, (double)g->tx / whole);
	if (g->flooded)
		fprintf(to, ", %lu of floods", g->flooded);
	fprintf(to, "; %lu refused by the way out\n", g->wire->refused);
	fprintf(to,
		"ourselves    %lu stalls, worst %.2f ms; time between two looks at the port: median %.1f us, "
		"99 %% %.1f us; our own "
		"worst "
		"transmit gap %.2f ms\n",
		m->stalls, ms(m->worst_stall_ns), (double)round_quantile(g, 0.5) / 1e3,
		(double)round_quantile(g, 0.99) / 1e3, ms(gaps.own_max_ns));
	for (unsigned i = 0; i < r->nwatches; i++)
		fprintf(to, "core %-7u taken away %u times for more than 0.2 ms, worst %.2f ms%s\n",
			r->watch[i].core, atomic_load(&r->watch[i].nstalls),
			ms(atomic_load(&r->watch[i].worst_ns)),
			r->watch[i].realtime ? "" : " (not watched at real-time priority)");
	for (unsigned i = 0; i < r->o->npids; i++)
		fprintf(to, "cpu          %s %.1f %% of a core\n", r->o->pid[i].name, 100 * cpu_share(r, i));
	if (g->add_errors)
		fprintf(to, "error        %u sessions could not be made (two with the same addresses?)\n",
			g->add_errors);
}

/* JSON */

struct json {
	FILE *f;
	bool first;
};

static void key(struct json *j, const char *name)
{
	if (!j->first)
		fputs(",", j->f);
	fputs("\n", j->f);
	j->first = false;
	if (name)
		fprintf(j->f, "\"%s\": ", name);
}

static void open_(struct json *j, const char *name, char bracket)
{
	key(j, name);
	fputc(bracket, j->f);
	j->first = true;
}

static void close_(struct json *j, char bracket)
{
	fputc(bracket, j->f);
	j->first = false;
}

static void put(struct json *j, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void put(struct json *j, const char *name, const char *fmt, ...)
{
	va_list ap;

	key(j, name);
	va_start(ap, fmt);
	vfprintf(j->f, fmt, ap);
	va_end(ap);
}

static void put_string(struct json *j, const char *name, const char *s)
{
	key(j, name);
	fputc('"', j->f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(j->f, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			fprintf(j->f, "\\u%04x", *s);
		else
			fputc(*s, j->f);
	}
	fputc('"', j->f);
}

static void put_us(struct json *j, const char *name, uint64_t ns)
{
	put(j, name, "%.3f", (double)ns / 1e3);
}

static void put_quantiles(struct json *j, const char *name, const struct quantiles *q)
{
	open_(j, name, '{');
	put(j, "count", "%lu", q->n);
	put_us(j, "min", q->min);
	put_us(j, "median", q->median);
	put_us(j, "p99", q->p99);
	put_us(j, "max", q->max);
	close_(j, '}');
}

static void json_machine(struct json *j)
{
	struct utsname u = {0};
	char line[256], *model = NULL;
	FILE *f = fopen("/proc/cpuinfo", "re");
	double load[3] = {0};

	uname(&u);
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "model name", 10) && (model = strchr(line, ':'))) {
			model[strcspn(model, "\n")] = '\0';
			break;
		}
	if (f)
		fclose(f);
	getloadavg(load, 3);
	open_(j, "machine", '{');
	put_string(j, "kernel", u.release);
	put_string(j, "cpu", model ? model + 2 : "");
	put(j, "cores", "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	put(j, "load", "%.2f", load[0]);
	close_(j, '}');
}

static void json_sessions(struct json *j, const struct report *r)
{
	const struct gen *g = r->g;

	open_(j, "sessions", '{');
	put(j, "wanted", "%u", r->o->sessions);
	put(j, "reached_up", "%u", g->reached_up);
	put(j, "up_at_hold", "%u", g->up_at_hold);
	put(j, "up_at_end", "%u", g->up_at_end);
	if (g->meter->all_up_ns)
		put(j, "all_up_s", "%.6f", since_start(r, g->meter->all_up_ns));
	put(j, "our_min_tx_us", "%u", r->o->params.min_tx_us);
	put(j, "our_min_rx_us", "%u", r->o->params.min_rx_us);
	put(j, "our_mult", "%u", r->o->params.detect_mult);
	put(j, "auth_type", "%u", r->o->params.auth_type);
	close_(j, '}');
	open_(j, "course", '{');
	put(j, "hold_s", "%.6f", since_start(r, g->hold_ns));
	put(j, "cuts_s", "%.6f", since_start(r, g->cuts_ns));
	put(j, "goodbye_s", "%.6f", since_start(r, g->goodbye_ns));
	close_(j, '}');
}

static void json_flaps(struct json *j, const struct report *r)
{
	const struct meter *m = r->g->meter;
	uint64_t by[BLAMES], hold[BLAMES];

	count_blame(r, by, false);
	count_blame(r, hold, true);
	open_(j, "flaps", '{');
	put(j, "total", "%lu", m->flaps);
	put(j, "since_hold", "%lu", m->flaps - (r->g->hold_ns ? r->g->flaps_before_hold : m->flaps));
	for (unsigned b = 0; b < BLAMES; b++)
		put(j, blame_names[b], "%lu", hold[b]);
	put(j, "said", "%lu", flaps_of_kind(r, METER_FLAP_SAID));
	put(j, "silent", "%lu", flaps_of_kind(r, METER_FLAP_SILENT));
	open_(j, "list", '[');
	for (uint32_t i = 0; i < m->nflaps && i < LIST_MAX; i++) {
		const struct meter_flap *f = &m->flap[i];
		uint64_t stall;
		enum blame b = report_blame(r, f, &stall);

		open_(j, NULL, '{');
		put(j, "at_s", "%.6f", since_start(r, f->at_ns));
		put(j, "session", "%u", f->session);
		put_string(j, "what", f->kind == METER_FLAP_SAID ? "said" : "silent");
		put_string(j, "blame", blame_names[b]);
		put_us(j, "silent_us", f->silent_ns);
		put_us(j, "own_gap_us", f->own_gap_ns);
		put_us(j, "stall_us", stall);
		put_us(j, "detect_us", f->detect_ns);
		put(j, "dut_state", "%u", f->dut_state);
		put(j, "dut_diag", "%u", f->dut_diag);
		if (f->back_ns)
			put(j, "back_s", "%.6f", since_start(r, f->back_ns));
		close_(j, '}');
	}
	close_(j, ']');
	close_(j, '}');
}

static void json_gaps(struct json *j, const struct report *r)
{
	struct gaps g = gather_gaps(r->g->meter);

	open_(j, "gaps", '{');
	put(j, "count", "%lu", g.count);
	put(j, "interval_us_min", "%u", g.interval_min_us);
	put(j, "interval_us_max", "%u", g.interval_max_us);
	put_us(j, "max_us", g.max_ns);
	put(j, "max_session", "%u", g.max_session);
	put(j, "over", "%lu", g.over);
	put(j, "late", "%lu", g.late);
	put(j, "tolerance_us", "%u", r->o->tolerance_us);
	put(j, "spoilt", "%lu", g.spoilt);
	open_(j, "histogram", '[');
	for (unsigned b = 0; b < METER_BINS; b++) {
		if (!g.bin[b])
			continue;
		open_(j, NULL, '{');
		put(j, "from_percent", "%.3f", meter_bin_edge(b) * 100.0 / 32);
		if (b + 1 < METER_BINS)
			put(j, "to_percent", "%.3f", meter_bin_edge(b + 1) * 100.0 / 32);
		put(j, "count", "%lu", g.bin[b]);
		close_(j, '}');
	}
	close_(j, ']');
	close_(j, '}');
}

static void json_detections(struct json *j, const struct report *r)
{
	const struct meter *m = r->g->meter;
	struct detections d = gather_detections(r);

	open_(j, "detections", '{');
	put(j, "count", "%lu", m->detections);
	put(j, "early", "%lu", m->early);
	put(j, "missed", "%lu", m->missed);
	put(j, "spoilt", "%lu", d.spoilt);
	put_quantiles(j, "overshoot_us", &d.overshoot);
	put_quantiles(j, "overshoot_undisturbed_us", &d.undisturbed);
	put_quantiles(j, "last_packet_to_down_us", &d.failure);
	open_(j, "list", '[');
	for (uint32_t i = 0; i < m->ndetections && i < LIST_MAX; i++) {
		const struct meter_detection *x = &m->detection[i];

		open_(j, NULL, '{');
		put(j, "session", "%u", x->session);
		put(j, "last_packet_s", "%.6f", since_start(r, x->after_ns));
		put_us(j, "detect_us", x->detect_ns);
		if (!x->missed)
			put(j, "overshoot_us", "%.3f",
				(double)(int64_t)(x->down_ns - x->after_ns - x->detect_ns) / 1e3);
		put(j, "early", x->early ? "true" : "false");
		put(j, "missed", x->missed ? "true" : "false");
		put(j, "spoilt", x->spoilt ? "true" : "false");
		close_(j, '}');
	}
	close_(j, ']');
	close_(j, '}');
}

static void json_self(struct json *j, const struct report *r)
{
	static const char *const refused[BFD_RX_COUNT] = {
		[BFD_RX_INVALID] = "invalid",
		[BFD_RX_TTL] = "ttl",
		[BFD_RX_UNKNOWN] = "unknown",
		[BFD_RX_LIMITED] = "limited",
		[BFD_RX_AUTH] = "auth",
		[BFD_RX_REFUSED] = "refused",
	};
	const struct gen *g = r->g;

	open_(j, "packets", '{');
	put(j, "received", "%lu", g->rx);
	put(j, "sent", "%lu", g->tx);
	put(j, "flood", "%lu", g->flooded);
	put(j, "not_taken_by_port", "%lu", g->wire->refused);
	put(j, "foreign", "%lu", g->wire->foreign);
	for (unsigned i = 0; i < BFD_RX_COUNT; i++)
		if (refused[i])
			put(j, refused[i], "%lu", g->refused_rx[i]);
	close_(j, '}');
	open_(j, "generator", '{');
	put(j, "stalls", "%lu", g->meter->stalls);
	put_us(j, "worst_stall_us", g->meter->worst_stall_ns);
	put_us(j, "round_median_us", round_quantile(g, 0.5));
	put_us(j, "round_p99_us", round_quantile(g, 0.99));
	put_us(j, "own_tx_gap_max_us", gather_gaps(g->meter).own_max_ns);
	put(j, "add_errors", "%u", g->add_errors);
	/* Since the hold began; a stall within a round counts with it. */
	put(j, "busy_percent", "%.1f",
		g->hold_ns && g->goodbye_ns > g->hold_ns
			? 100 * (double)g->busy_ns / (double)(g->goodbye_ns - g->hold_ns)
			: 0);
	put(j, "ns_a_packet", "%.1f", g->busy_packets ? (double)g->busy_ns / (double)g->busy_packets : 0);
	close_(j, '}');
	open_(j, "cores", '[');
	for (unsigned i = 0; i < r->nwatches; i++) {
		open_(j, NULL, '{');
		put(j, "core", "%u", r->watch[i].core);
		put(j, "realtime", r->watch[i].realtime ? "true" : "false");
		put(j, "stalls", "%u", atomic_load(&r->watch[i].nstalls));
		put_us(j, "worst_us", atomic_load(&r->watch[i].worst_ns));
		close_(j, '}');
	}
	close_(j, ']');
	open_(j, "cpu", '[');
	for (unsigned i = 0; i < r->o->npids; i++) {
		open_(j, NULL, '{');
		put(j, "pid", "%d", r->o->pid[i].pid);
		put_string(j, "name", r->o->pid[i].name);
		put(j, "percent", "%.2f", 100 * cpu_share(r, i));
		close_(j, '}');
	}
	close_(j, ']');
	if (r->ncpu)
		put(j, "stolen_ms", "%.1f", ms(r->cpu[r->ncpu - 1].stolen_ns - r->cpu[0].stolen_ns));
}

static void json_series(struct json *j, const struct report *r)
{
	const struct gen *g = r->g;
	uint32_t n = atomic_load_explicit(&g->nsamples, memory_order_acquire);

	open_(j, "series", '[');
	for (uint32_t i = 0; i < n; i++) {
		const struct gen_sample *s = &g->sample[i];

		key(j, NULL);
		fprintf(j->f,
			"{\"at_s\": %.3f, \"stage\": \"%s\", \"up\": %u, \"flaps\": %lu, \"rx\": %lu, "
			"\"tx\": %lu, "
			"\"flood\": %lu, \"worst_gap_us\": %.1f, \"worst_round_us\": %.1f, \"stalls\": %lu}",
			since_start(r, s->at_ns), stage_names[s->stage], s->up, s->flaps, s->rx, s->tx,
			s->flood, (double)s->worst_gap_ns / 1e3, (double)s->worst_round_ns / 1e3, s->stalls);
	}
	close_(j, ']');
}

int report_json(const struct report *r, const char *path)
{
	struct quantiles rtt = gather_rtt(r->g->meter);
	struct json j = {.f = !strcmp(path, "-") ? stdout : fopen(path, "we"), .first = true};
	char when[40];
	int rc;

	if (!j.f)
		return -errno;
	timefmt_wall(when, sizeof(when), "%FT%T", r->started_wall_ns);
	fputc('{', j.f);
	put_string(&j, "generator_version", PEREGRINE_VERSION);
	put_string(&j, "label", r->o->label ? r->o->label : "");
	put_string(&j, "started", when);
	open_(&j, "command", '[');
	for (int i = 0; i < r->argc; i++)
		put_string(&j, NULL, r->argv[i]);
	close_(&j, ']');
	json_machine(&j);
	json_sessions(&j, r);
	json_flaps(&j, r);
	json_gaps(&j, r);
	json_detections(&j, r);
	put_quantiles(&j, "round_trip_us", &rtt);
	json_self(&j, r);
	json_series(&j, r);
	fputs("\n}\n", j.f);
	rc = ferror(j.f) ? -EIO : 0;
	if (j.f != stdout && fclose(j.f))
		rc = -errno;
	return rc;
}

/* CSV */

static FILE *csv(const char *directory, const char *name, const char *header)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.csv", directory, name);
	f = fopen(path, "we");
	if (f)
		fprintf(f, "%s\n", header);
	return f;
}

static int finish(FILE *f)
{
	int bad = ferror(f);

	return fclose(f) || bad ? -EIO : 0;
}

static int csv_sessions(const struct report *r, const char *directory)
{
	const struct meter *m = r->g->meter;
	FILE *f = csv(directory, "sessions",
		"session,local,peer,packets_received,packets_sent,interval_us,gaps,gap_max_us,gap_max_at_s,"
		"over,late,"
		"not_judged,flaps,detections,own_tx_gap_max_us,histogram");

	if (!f)
		return -errno;
	for (uint32_t i = 0; i < m->n; i++) {
		const struct meter_session *s = &m->session[i];
		char a[IPADDR_STRLEN], b[IPADDR_STRLEN];
		struct ipaddr local = gen_local(r->o, i), peer = gen_peer(r->o, i);

		fprintf(f, "%u,%s,%s,%u,%u,%u,%u,%.1f,%.6f,%u,%u,%u,%u,%u,%.1f,", i, ipaddr_format(&local, a),
			ipaddr_format(&peer, b), s->rx_count, s->tx_count, s->interval_us, s->gaps,
			s->gap_max_ns / 1e3, since_start(r, s->gap_max_at_ns), s->over, s->late, s->spoilt,
			s->flaps, s->detections, (double)s->tx_gap_max_ns / 1e3);
		/* percent-of-interval:count pairs; nothing where only the sum of all was kept */
		for (unsigned k = 0, first = 1; k < METER_BINS && m->n <= m->hist_rows; k++)
			if (m->hist[i].bin[k]) {
				fprintf(f, "%s%.1f:%lu", first ? "" : " ", meter_bin_edge(k) * 100.0 / 32,
					m->hist[i].bin[k]);
				first = 0;
			}
		fputc('\n', f);
	}
	return finish(f);
}

static int csv_events(const struct report *r, const char *directory)
{
	const struct meter *m = r->g->meter;
	FILE *f = csv(directory, "flaps",
		"at_s,session,what,blame,silent_us,own_gap_us,longest_stall_us,detect_us,dut_state,dut_diag,"
		"back_s");
	int rc;

	if (!f)
		return -errno;
	for (uint32_t i = 0; i < m->nflaps; i++) {
		const struct meter_flap *x = &m->flap[i];
		uint64_t stall;
		enum blame b = report_blame(r, x, &stall);

		fprintf(f, "%.6f,%u,%s,%s,%.1f,%.1f,%.1f,%.1f,%u,%u,%.6f\n", since_start(r, x->at_ns),
			x->session, x->kind == METER_FLAP_SAID ? "said" : "silent", blame_names[b],
			(double)x->silent_ns / 1e3, (double)x->own_gap_ns / 1e3, (double)stall / 1e3,
			(double)x->detect_ns / 1e3, x->dut_state, x->dut_diag, since_start(r, x->back_ns));
	}
	rc = finish(f);
	f = csv(directory, "detections",
		"last_packet_s,session,detect_us,overshoot_us,early,missed,not_judged,dut_diag");
	if (rc || !f)
		return rc ? rc : -errno;
	for (uint32_t i = 0; i < m->ndetections; i++) {
		const struct meter_detection *x = &m->detection[i];

		fprintf(f, "%.6f,%u,%.1f,%.3f,%d,%d,%d,%u\n", since_start(r, x->after_ns), x->session,
			(double)x->detect_ns / 1e3,
			x->missed ? 0.0 : (double)(int64_t)(x->down_ns - x->after_ns - x->detect_ns) / 1e3,
			x->early, x->missed, x->spoilt, x->dut_diag);
	}
	return finish(f);
}

static int csv_stalls(const struct report *r, const char *directory)
{
	const struct meter *m = r->g->meter;
	FILE *f = csv(directory, "stalls", "from_s,length_us,whose");

	if (!f)
		return -errno;
	for (uint32_t i = 0; i < m->nstalls; i++)
		fprintf(f, "%.6f,%.1f,generator\n", since_start(r, m->stall[i].from_ns),
			(double)(m->stall[i].to_ns - m->stall[i].from_ns) / 1e3);
	for (unsigned k = 0; k < r->nwatches; k++)
		for (uint32_t i = 0; i < atomic_load(&r->watch[k].nstalls); i++)
			fprintf(f, "%.6f,%.1f,core %u\n", since_start(r, r->watch[k].stall[i].from_ns),
				(double)(r->watch[k].stall[i].to_ns - r->watch[k].stall[i].from_ns) / 1e3,
				r->watch[k].core);
	return finish(f);
}

static int csv_series(const struct report *r, const char *directory)
{
	const struct gen *g = r->g;
	uint32_t n = atomic_load_explicit(&g->nsamples, memory_order_acquire);
	FILE *f = csv(directory, "series",
		"at_s,stage,up,flaps,rx,tx,flood,not_taken,worst_gap_us,worst_round_us,stalls");
	int rc;

	if (!f)
		return -errno;
	for (uint32_t i = 0; i < n; i++) {
		const struct gen_sample *s = &g->sample[i];

		fprintf(f, "%.3f,%s,%u,%lu,%lu,%lu,%lu,%lu,%.1f,%.1f,%lu\n", since_start(r, s->at_ns),
			stage_names[s->stage], s->up, s->flaps, s->rx, s->tx, s->flood, s->refused,
			(double)s->worst_gap_ns / 1e3, (double)s->worst_round_ns / 1e3, s->stalls);
	}
	rc = finish(f);
	if (rc || !r->o->npids)
		return rc;
	f = csv(directory, "cpu", "at_s,process,cpu_s,stolen_s");
	for (uint32_t i = 0; f && i < r->ncpu; i++)
		for (unsigned p = 0; p < r->o->npids; p++)
			fprintf(f, "%.3f,%s,%.6f,%.3f\n", since_start(r, r->cpu[i].at_ns), r->o->pid[p].name,
				(double)r->cpu[i].used_ns[p] / 1e9, (double)r->cpu[i].stolen_ns / 1e9);
	return f ? finish(f) : -errno;
}

int report_csv(const struct report *r, const char *directory)
{
	int rc = mkdir(directory, 0755) && errno != EEXIST ? -errno : 0;

	if (rc == 0)
		rc = csv_sessions(r, directory);
	if (rc == 0)
		rc = csv_events(r, directory);
	if (rc == 0)
		rc = csv_stalls(r, directory);
	return rc ? rc : csv_series(r, directory);
}
