/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peregrine-bgpgen: BGP load and its measurement.
 *
 *   feeds    N feeders that each announce the whole table, M receivers
 *   rs       N route-server clients that each announce a share and receive the rest
 *
 * All peers establish; the clock starts with the first byte of routes and stops
 * when the last receiver has the last prefix: the phase "load". Further phases
 * follow by options: late, join, drop, command, beside, churn, slow. The result
 * is one JSON object on standard output, an object a phase in it.
 */
#include "shared/clock.h"
#include "tools/bgpgen/phase.h"
#include "tools/bgpgen/relay.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ipaddr add(const struct ipaddr *base, unsigned n)
{
	struct ipaddr a = *base;

	a.w[3] = htonl(ntohl(a.w[3]) + n);
	return a;
}

static bool is_slow(const struct options *o, unsigned i, unsigned n)
{
	return i >= n - o->slow;
}

/* Connects only after the load. */
static bool is_late(const struct options *o, unsigned i, unsigned n)
{
	if (o->late)
		return i > o->sc.feeders;
	return i >= n - o->slow - o->join && i < n - o->slow;
}

static void up(struct generator *g, struct peer *p, void *user)
{
	struct run_state *s = user;

	if (!model_announces(&s->model, p->number))
		return;
	s->model.up[p->number] = true;
	if (s->loaded) {
		model_stream(&s->model, p->number, &p->table);
		peer_send(p);
	}
}

static void down(struct generator *g, struct peer *p, void *user)
{
	struct run_state *s = user;

	if (model_announces(&s->model, p->number))
		s->model.up[p->number] = false;
}

static int set_up(struct run_state *s)
{
	const struct options *o = s->o;
	struct generator *g = &s->g;

	s->want = calloc(g->n_peers, sizeof(*s->want));
	s->ignore = calloc(g->n_peers, sizeof(*s->ignore));
	s->n_want = calloc(g->n_peers, sizeof(*s->n_want));
	s->minimum = calloc(g->n_peers, sizeof(*s->minimum));
	s->scratch = calloc(2 * (size_t)g->n_peers, sizeof(*s->scratch));
	if (!s->want || !s->ignore || !s->n_want || !s->minimum || !s->scratch)
		return -ENOMEM;
	for (unsigned i = 0; i < g->n_peers; i++) {
		struct peer *p = &g->peer[i];

		s->want[i] = p->want;
		s->ignore[i] = p->ignore;
		p->local = add(&o->sc.base, i);
		p->who = (struct speaker){
			.as = o->sc.base_as + i,
			.router_id = ntohl(p->local.w[3]),
			.next_hop4 = p->local,
			.next_hop6 = add(&o->sc.base6, i),
			.hold_time = (uint16_t)o->hold_time,
			.v4 = g->table->n_v4 > 0 || o->pulse_ms,
			.v6 = g->table->n_v4 < g->table->n_routes,
			.add_path_rx = o->add_path && model_receives(&s->model, i),
		};
		s->model.who[i] = p->who;
		if (is_slow(o, i, g->n_peers))
			p->slow_bytes_s = o->slow_rate;
		if (is_late(o, i, g->n_peers)) {
			p->retry_at_ns = UINT64_MAX;
			if (model_announces(&s->model, i))
				s->model.up[i] = false;
		}
	}
	/* What waits in our own buffers is our delay, and would be taken for the daemon's: many megabytes a
	 * peer are, if the kernel may. */
	g->receive_buffer = o->pulse_ms ? 128 << 10 : 0;
	s->pulse_peer = o->sc.mode == MODE_RS ? o->drop : 0;
	s->busy_from = o->drop;
	s->busy_to = o->sc.mode == MODE_RS ? g->n_peers - o->slow - o->join : o->sc.feeders;
	s->seed = o->table.seed;
	g->established = up;
	g->lost = down;
	g->user = s;
	return 0;
}

/* Who is waited for: everybody that is not slow, nor late while that is to come. */
static void everybody(const struct run_state *s, bool late_too, bool *counts)
{
	for (unsigned i = 0; i < s->g.n_peers; i++)
		counts[i] = !is_slow(s->o, i, s->g.n_peers) && (late_too || !is_late(s->o, i, s->g.n_peers));
}

static bool wait_up(struct run_state *s)
{
	uint64_t start = clock_now_ns();
	unsigned n = 0;

	for (unsigned i = 0; i < s->g.n_peers; i++)
		n += !is_late(s->o, i, s->g.n_peers);
	while (s->g.n_up < n) {
		generator_turn(&s->g, 20);
		if (s->g.now_ns - start > s->o->timeout_s * NS_PER_S) {
			phase_complain(s, "not all sessions came up in time");
			return false;
		}
	}
	printf("{\"peers\":%u,\"routes\":%u,\"attribute_sets\":%u,\"established_s\":%.6f,", s->g.n_peers,
		s->g.table->n_routes, s->g.table->n_attrs, (double)(s->g.now_ns - start) / 1e9);
	return true;
}

static bool load(struct run_state *s, bool *counts)
{
	uint64_t sent = 0, done = 0;
	struct phase p;

	for (unsigned i = 0; i < s->model.n_announcers; i++)
		if (!is_late(s->o, i, s->g.n_peers)) {
			model_stream(&s->model, i, &s->g.peer[i].table);
			sent += s->g.peer[i].table.len;
		}
	everybody(s, false, counts);
	phase_expect(s, counts);
	phase_begin(s, &p, "load");
	for (unsigned i = 0; i < s->model.n_announcers; i++)
		if (s->g.peer[i].table.len)
			peer_send(&s->g.peer[i]);
	s->loaded = true;
	while (s->g.n_complete < s->g.n_counting && !done) {
		bool all = true;

		generator_turn(&s->g, 20);
		for (unsigned i = 0; i < s->model.n_announcers && all; i++)
			all = s->g.peer[i].table_done == s->g.peer[i].table.len;
		if (all)
			done = s->g.now_ns;
		if (s->g.now_ns - p.start_ns > s->o->timeout_s * NS_PER_S)
			break;
	}
	if (!phase_wait(s, &p))
		return false;
	printf("\"sent_s\":%.6f,\"sent_bytes\":%" PRIu64 ",", done ? (double)(done - p.start_ns) / 1e9 : 0,
		sent);
	phase_report(s, &p, true);
	return true;
}

/* Those that connect only now: receivers of mode feeds, or clients of a route server at work. */
static bool newcomers(struct run_state *s, bool *counts, const char *name)
{
	struct phase p;
	bool ok;

	for (unsigned i = 0; i < s->g.n_peers; i++) {
		counts[i] = is_late(s->o, i, s->g.n_peers);
		if (counts[i] && model_announces(&s->model, i))
			s->model.up[i] = true;
	}
	phase_expect(s, counts);
	phase_begin(s, &p, name);
	s->churning = s->o->busy > 0;
	for (unsigned i = 0; i < s->g.n_peers; i++)
		if (counts[i])
			s->g.peer[i].retry_at_ns = 0;
	ok = phase_wait(s, &p);
	s->churning = false;
	if (ok)
		phase_report(s, &p, !s->o->busy);
	return ok;
}

static bool drop_and_return(struct run_state *s, bool *counts)
{
	unsigned n = s->o->drop;
	struct phase p;

	everybody(s, true, counts);
	for (unsigned i = 0; i < n; i++) {
		s->model.up[i] = false;
		counts[i] = false;
	}
	phase_expect(s, counts);
	phase_begin(s, &p, "withdrawn");
	for (unsigned i = 0; i < n; i++) {
		peer_close(&s->g.peer[i], false);
		s->g.peer[i].problem[0] = 0;
	}
	if (!phase_wait(s, &p))
		return false;
	phase_report(s, &p, false);
	for (unsigned i = 0; i < n; i++)
		s->model.up[i] = true;
	everybody(s, true, counts);
	phase_expect(s, counts);
	phase_begin(s, &p, "returned");
	for (unsigned i = 0; i < n; i++)
		s->g.peer[i].retry_at_ns = 0;
	if (!phase_wait(s, &p))
		return false;
	phase_report(s, &p, false);
	return true;
}

static pid_t start_command(const char *command)
{
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static bool command_worked(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	fputs("peregrine-bgpgen: the command failed\n", stderr);
	return false;
}

/* Everything must be announced again, with the attributes that the new policy gives it. */
static bool policy_command(struct run_state *s, bool *counts)
{
	struct phase p;
	bool ok;
	pid_t pid;

	everybody(s, true, counts);
	phase_expect(s, counts);
	for (unsigned i = 0; i < s->g.n_peers; i++)
		if (!s->g.peer[i].slow_bytes_s)
			peer_forget(&s->g.peer[i]);
	phase_begin(s, &p, "command");
	s->churning = s->o->busy > 0;
	s->model.added = s->o->added;
	pid = start_command(s->o->command);
	ok = pid > 0 && phase_wait(s, &p);
	s->churning = false;
	if (pid > 0 && !command_worked(pid))
		ok = false;
	if (ok)
		phase_report(s, &p, true);
	return ok;
}

static bool beside(struct run_state *s, bool *counts)
{
	unsigned times = 0;
	struct phase p;
	pid_t pid = -1;
	bool ok = true;

	memset(counts, 0, s->g.n_peers * sizeof(*counts));
	phase_expect(s, counts);
	phase_begin(s, &p, "beside");
	s->churning = s->o->busy > 0;
	while (ok && (s->g.now_ns - p.start_ns < s->o->beside_s * NS_PER_S || pid > 0)) {
		int status;

		if (pid <= 0 && s->g.now_ns - p.start_ns < s->o->beside_s * NS_PER_S)
			pid = start_command(s->o->beside);
		phase_turn(s, 1);
		if (pid > 0 && waitpid(pid, &status, WNOHANG) == pid) {
			ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
			pid = -1;
			times++;
		}
		if (s->g.now_ns - p.start_ns > (s->o->timeout_s + s->o->beside_s) * NS_PER_S && pid > 0) {
			kill(pid, SIGKILL);
			ok = false;
		}
	}
	s->churning = false;
	printf("\"beside_runs\":%u,", times);
	if (!ok)
		fputs("peregrine-bgpgen: the command beside failed\n", stderr);
	phase_report(s, &p, false);
	return ok;
}

/* The end of churn: everybody back and complete. */
static bool settle(struct run_state *s, bool *counts)
{
	uint64_t from = clock_now_ns();
	struct phase p;

	everybody(s, true, counts);
	/* All are back first: who is away is part of what the others must have. */
	while (s->g.n_up < s->g.n_peers) {
		generator_turn(&s->g, 20);
		if (s->g.now_ns - from > s->o->timeout_s * NS_PER_S) {
			phase_complain(s, "not all sessions came back in time");
			return false;
		}
	}
	phase_expect(s, counts);
	phase_begin(s, &p, "settled");
	if (!phase_wait(s, &p))
		return false;
	phase_report(s, &p, false);
	return true;
}

static bool churn(struct run_state *s, bool *counts)
{
	const struct options *o = s->o;
	uint64_t done = 0, dropped = 0, next_sample;
	struct usage_sample u;
	struct phase p;

	memset(counts, 0, s->g.n_peers * sizeof(*counts));
	phase_expect(s, counts);
	phase_begin(s, &p, "churn");
	next_sample = p.start_ns;
	printf("\"rss_samples_kb\":[");
	while (s->g.now_ns - p.start_ns < o->churn_s * NS_PER_S) {
		uint64_t ms = (s->g.now_ns - p.start_ns) / NS_PER_MS, due = ms * o->churn_rate / 1000;

		for (; done < due; done++) {
			unsigned c = (unsigned)((s->seed >> 16) % s->model.n_announcers);
			struct peer *x = &s->g.peer[c];

			s->seed = s->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
			if (x->state != PEER_UP || x->own.len - x->own_done > 1u << 20)
				continue;
			model_churn(&s->model, c, &s->seed, true, &x->own);
			peer_flush(x);
		}
		for (; dropped < ms * o->churn_drops / 60000; dropped++) {
			struct peer *x = &s->g.peer[(s->seed >> 24) % s->g.n_peers];

			peer_close(x, s->seed >> 40 & 1);
			x->problem[0] = 0;
			x->retry_at_ns = s->g.now_ns + (s->seed >> 44) % 1000 * NS_PER_MS;
		}
		phase_turn(s, 1);
		if (s->g.now_ns >= next_sample) {
			usage_read(o, &u);
			printf("%s%" PRIu64, next_sample == p.start_ns ? "" : ",", u.rss_kb);
			next_sample += o->churn_sample_s * NS_PER_S;
		}
	}
	printf("],\"changes\":%" PRIu64 ",\"dropped\":%" PRIu64 ",", done, dropped);
	phase_report(s, &p, false);
	return settle(s, counts);
}

/* The slow readers read on, now as fast as they can, and must end in the right state. */
static bool catch_up(struct run_state *s, bool *counts)
{
	struct phase p;

	for (unsigned i = 0; i < s->g.n_peers; i++) {
		s->g.peer[i].slow_bytes_s = 0;
		counts[i] = is_slow(s->o, i, s->g.n_peers);
	}
	phase_expect(s, counts);
	phase_begin(s, &p, "caught_up");
	for (unsigned i = 0; i < s->g.n_peers; i++)
		if (counts[i])
			peer_read_on(&s->g.peer[i]);
	if (!phase_wait(s, &p))
		return false;
	phase_report(s, &p, false);
	return true;
}

static bool phases(struct run_state *s)
{
	const struct options *o = s->o;
	bool *counts = calloc(s->g.n_peers, sizeof(*counts)), ok;

	ok = counts && wait_up(s) && load(s, counts);
	s->pulsing = o->pulse_ms > 0;
	ok = ok && (!o->late || newcomers(s, counts, "late")) &&
	     (!o->join || newcomers(s, counts, "joined")) && (!o->drop || drop_and_return(s, counts)) &&
	     (!o->command || policy_command(s, counts)) && (!o->beside || beside(s, counts)) &&
	     (!o->churn_s || churn(s, counts)) && (!o->slow || catch_up(s, counts));
	free(counts);
	return ok;
}

static int run(const struct options *o, struct gen_table *t)
{
	struct run_state s = {
		.o = o, .g = {.table = t, .dut = o->dut, .dut_port = o->port, .check = o->check}};
	int rc = model_init(&s.model, &o->sc, t);
	bool ok = false;

	if (rc == 0 && o->print_filters) {
		model_print_filters(&s.model);
		model_free(&s.model);
		return 0;
	}
	if (rc == 0)
		rc = generator_init(&s.g, s.model.n_peers);
	if (rc == 0)
		rc = set_up(&s);
	if (rc < 0) {
		fprintf(stderr, "peregrine-bgpgen: %s\n", strerror(-rc));
		return 2;
	}
	ok = phases(&s) && !s.failed;
	printf("\"ok\":%s}\n", ok ? "true" : "false");
	fflush(stdout);
	for (uint64_t from = s.g.now_ns; ok && s.g.now_ns - from < o->stay_s * NS_PER_S;)
		generator_turn(&s.g, 100);
	generator_free(&s.g);
	model_free(&s.model);
	free(s.want);
	free(s.ignore);
	free(s.n_want);
	free(s.minimum);
	free(s.scratch);
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct gen_table table;
	struct options o;
	struct rlimit l;
	unsigned where = 0;
	int rc = options_parse(argc, argv, &o);

	if (rc)
		return rc < 0 ? 2 : 0;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
	signal(SIGPIPE, SIG_IGN);
	if (o.relay)
		return relay_run(&o);
	rc = o.table_file ? table_read(&table, o.table_file, &o.table, &where) : table_make(&table, &o.table);
	if (rc < 0) {
		if (o.table_file)
			fprintf(stderr, "peregrine-bgpgen: %s:%u: %s\n", o.table_file, where, strerror(-rc));
		else
			fprintf(stderr, "peregrine-bgpgen: cannot make the table: %s\n", strerror(-rc));
		return 2;
	}
	rc = run(&o, &table);
	table_free(&table);
	return rc;
}
