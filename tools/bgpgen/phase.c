/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bgpgen/phase.h"
#include "shared/clock.h"
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define BOUND 0.95 /* of a core: the generator was what took the time */

void usage_read(const struct options *o, struct usage_sample *u)
{
	struct rusage self;

	*u = (struct usage_sample){0};
	for (unsigned i = 0; i < o->n_pids; i++) {
		char path[64], line[1024];
		unsigned long ut = 0, st = 0, kb;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/stat", o->pids[i]);
		f = fopen(path, "r");
		if (f && fgets(line, sizeof(line), f)) {
			const char *after = strrchr(line, ')');

			if (after)
				sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &ut,
					&st);
		}
		if (f)
			fclose(f);
		u->user_s += (double)ut / (double)sysconf(_SC_CLK_TCK);
		u->system_s += (double)st / (double)sysconf(_SC_CLK_TCK);
		snprintf(path, sizeof(path), "/proc/%d/status", o->pids[i]);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f)) {
			if (sscanf(line, "VmHWM: %lu", &kb) == 1)
				u->peak_kb += kb;
			if (sscanf(line, "VmRSS: %lu", &kb) == 1)
				u->rss_kb += kb;
		}
		if (f)
			fclose(f);
	}
	getrusage(RUSAGE_SELF, &self);
	u->own_s = (double)(self.ru_utime.tv_sec + self.ru_stime.tv_sec) +
		   (double)(self.ru_utime.tv_usec + self.ru_stime.tv_usec) / 1e6;
}

void phase_expect(struct run_state *s, const bool *counts)
{
	model_wants(&s->model, s->want, s->ignore, s->n_want, s->minimum);
	for (unsigned i = 0; i < s->g.n_peers; i++)
		peer_expect(&s->g.peer[i], counts[i] && model_receives(&s->model, i));
}

void phase_begin(struct run_state *s, struct phase *p, const char *name)
{
	s->g.now_ns = clock_now_ns();
	for (unsigned i = 0; i < s->g.n_peers; i++)
		peer_new_phase(&s->g.peer[i]);
	p->name = name;
	usage_read(s->o, &p->before);
	p->start_ns = s->busy_since_ns = s->g.now_ns = clock_now_ns();
	s->busy_done = 0;
}

static void pulse(struct run_state *s)
{
	struct peer *p = &s->g.peer[s->pulse_peer];

	if (s->g.now_ns < s->next_pulse_ns || p->state != PEER_UP)
		return;
	s->next_pulse_ns = s->g.now_ns + s->o->pulse_ms * NS_PER_MS;
	s->pulse_number = (s->pulse_number + 1) & 0xffff;
	s->g.pulse_sent_ns[s->pulse_number] = s->g.now_ns;
	model_pulse(&s->model, s->pulse_peer, s->pulse_number, &p->own);
	peer_flush(p);
}

static void busy(struct run_state *s)
{
	uint64_t due = (s->g.now_ns - s->busy_since_ns) / NS_PER_US * s->o->busy / 1000000;

	for (; s->busy_done < due; s->busy_done++) {
		unsigned c = s->busy_from + (unsigned)(s->seed % (s->busy_to - s->busy_from));
		struct peer *p = &s->g.peer[c];

		s->seed = s->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		if (p->state != PEER_UP || p->own.len - p->own_done > 1u << 20)
			continue;
		model_churn(&s->model, c, &s->seed, false, &p->own);
		peer_flush(p);
	}
}

void phase_turn(struct run_state *s, int wait_ms)
{
	generator_turn(&s->g, s->pulsing || s->churning ? 1 : wait_ms);
	if (s->pulsing)
		pulse(s);
	if (s->churning && s->busy_to > s->busy_from)
		busy(s);
}

bool phase_wait(struct run_state *s, const struct phase *p)
{
	while (s->g.n_complete < s->g.n_counting) {
		phase_turn(s, 20);
		if (s->g.now_ns - p->start_ns > s->o->timeout_s * NS_PER_S) {
			phase_complain(s, "not complete in time");
			return false;
		}
		for (unsigned i = 0; i < s->g.n_peers; i++)
			if (s->g.peer[i].fd < 0 && s->g.peer[i].problem[0]) {
				phase_complain(s, "a session was lost");
				return false;
			}
	}
	return true;
}

void phase_complain(const struct run_state *s, const char *what)
{
	unsigned shown = 0;

	fprintf(stderr, "peregrine-bgpgen: %s: %u of %u peers up, %u of %u complete\n", what, s->g.n_up,
		s->g.n_peers, s->g.n_complete, s->g.n_counting);
	for (unsigned i = 0; i < s->g.n_peers && shown < 5; i++) {
		const struct peer *p = &s->g.peer[i];

		if (p->problem[0] || (p->counts && (p->n_missing || p->n_extra))) {
			fprintf(stderr, "  peer %u: state %d, %u of %u routes missing, %u too many%s%s\n", i,
				p->state, p->n_missing, s->n_want[i], p->n_extra, p->problem[0] ? "; " : "",
				p->problem);
			shown++;
		}
	}
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static void check(struct run_state *s)
{
	struct verdict sum = {0}, v;

	for (unsigned i = 0; i < s->g.n_peers; i++) {
		const struct peer *p = &s->g.peer[i];

		if (!p->counts)
			continue;
		model_check(&s->model, &s->g.memo, i, p->have, p->attrs,
			sum.missing + sum.extra + sum.wrong < 5 ? 5 : 0, &v);
		sum.right += v.right;
		sum.missing += v.missing;
		sum.extra += v.extra;
		sum.wrong += v.wrong;
	}
	if (sum.missing || sum.extra || sum.wrong)
		s->failed = true;
	printf("\"check\":{\"right\":%" PRIu64 ",\"missing\":%" PRIu64 ",\"extra\":%" PRIu64
	       ",\"wrong\":%" PRIu64 "},",
		sum.right, sum.missing, sum.extra, sum.wrong);
}

/* Complete is not the end: where several announce a route, better ones may still come. */
static void wait_quiet(struct run_state *s)
{
	uint64_t from = clock_now_ns(), before = 0, count;

	while (s->g.now_ns < from || s->g.now_ns - from < 400 * NS_PER_MS) {
		phase_turn(s, 20);
		count = 0;
		for (unsigned i = 0; i < s->g.n_peers; i++)
			if (!s->g.peer[i].slow_bytes_s)
				count += s->g.peer[i].tally.announced + s->g.peer[i].tally.withdrawn;
		if (count != before)
			from = s->g.now_ns;
		before = count;
	}
}

void phase_report(struct run_state *s, const struct phase *p, bool minimum)
{
	struct tally t = {0};
	struct usage_sample after;
	uint64_t first = UINT64_MAX, least = 0, now = clock_now_ns(), *pulses = s->scratch + s->g.n_peers;
	double wall = seconds(now - p->start_ns), own;
	unsigned n = 0, n_pulse = 0;
	bool bound;

	usage_read(s->o, &after);
	own = after.own_s - p->before.own_s;
	bound = own > BOUND * wall &&
		own > after.user_s + after.system_s - p->before.user_s - p->before.system_s;
	for (unsigned i = 0; i < s->g.n_peers; i++)
		if (s->g.peer[i].counts && s->g.peer[i].tally.complete_ns)
			s->scratch[n++] = s->g.peer[i].tally.complete_ns;
	if (s->o->check)
		wait_quiet(s);
	for (unsigned i = 0; i < s->g.n_peers; i++) {
		const struct tally *x = &s->g.peer[i].tally;

		t.updates += x->updates;
		t.announced += x->announced;
		t.withdrawn += x->withdrawn;
		t.repeated += x->repeated;
		t.unknown += x->unknown;
		t.bytes += x->bytes;
		t.end_of_ribs += x->end_of_ribs;
		t.pulses += x->pulses;
		if (x->pulses && !s->g.peer[i].slow_bytes_s)
			pulses[n_pulse++] = x->worst_pulse_ns;
		if (!s->g.peer[i].slow_bytes_s && x->worst_silence_ns > t.worst_silence_ns)
			t.worst_silence_ns = x->worst_silence_ns;
		if (!s->g.peer[i].counts)
			continue;
		least += s->minimum[i];
		if (x->first_ns && x->first_ns < first)
			first = x->first_ns;
		if (x->worst_gap_ns > t.worst_gap_ns)
			t.worst_gap_ns = x->worst_gap_ns;
	}
	qsort(s->scratch, n, sizeof(*s->scratch), by_number);
	qsort(pulses, n_pulse, sizeof(*pulses), by_number);
	printf("\"%s\":{", p->name);
	if (n)
		printf("\"n\":%u,\"first_s\":%.6f,\"median_s\":%.6f,\"last_s\":%.6f,", n,
			seconds(s->scratch[0] - p->start_ns), seconds(s->scratch[n / 2] - p->start_ns),
			seconds(s->scratch[n - 1] - p->start_ns));
	if (first != UINT64_MAX)
		printf("\"first_update_s\":%.6f,\"worst_gap_s\":%.6f,", seconds(first - p->start_ns),
			seconds(t.worst_gap_ns));
	if (n_pulse)
		printf("\"pulses\":%" PRIu64 ",\"stall_median_s\":%.6f,\"stall_worst_s\":%.6f,", t.pulses,
			seconds(pulses[n_pulse / 2]), seconds(pulses[n_pulse - 1]));
	if (minimum)
		printf("\"minimum_updates\":%" PRIu64 ",", least);
	if (s->o->check)
		check(s);
	printf("\"updates\":%" PRIu64 ",\"announced\":%" PRIu64 ",\"withdrawn\":%" PRIu64
	       ",\"repeated\":%" PRIu64 ",\"unknown\":%" PRIu64 ",\"end_of_ribs\":%" PRIu64
	       ",\"received_bytes\":%" PRIu64 ",\"worst_silence_s\":%.6f,",
		t.updates, t.announced, t.withdrawn, t.repeated, t.unknown, t.end_of_ribs, t.bytes,
		seconds(t.worst_silence_ns));
	printf("\"cpu_user_s\":%.2f,\"cpu_system_s\":%.2f,\"peak_kb\":%" PRIu64 ",\"rss_kb\":%" PRIu64
	       ",\"wall_s\":%.6f,\"generator_cpu_s\":%.3f,\"generator_bound\":%s},",
		after.user_s - p->before.user_s, after.system_s - p->before.system_s, after.peak_kb,
		after.rss_kb, wall, own, bound ? "true" : "false");
}
