/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peregrine-bgpgen: BGP load and its measurement.
 *
 *   feeds    N feeders that each announce the whole table, M receivers
 *   rs       N route-server clients that each announce a share and receive the rest
 *
 * Phases: all peers establish; the clock starts with the first byte of routes
 * and stops when the last receiver has the last prefix. --drop closes some
 * clients then and measures the withdrawals at the others, and their return.
 * The daemon's CPU time and memory are read from /proc when its pid is given.
 * The result is one JSON object on standard output.
 */
#include "shared/clock.h"
#include "tools/bgpgen/peer.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum mode { MODE_FEEDS, MODE_RS };

struct run {
	enum mode mode;
	struct gen_options table;
	const char *table_file;
	unsigned clients, feeders, receivers, drop, slow;
	uint32_t slow_rate;
	struct ipaddr dut, base;
	uint16_t port;
	uint32_t base_as;
	unsigned hold_time, timeout_s, control; /* control: control communities a client adds */
	pid_t pids[8];
	unsigned n_pids;
	bool add_path, v6_sessions;
	unsigned hold_s; /* stay after the measurement */
};

struct cpu {
	double user, system;
	uint64_t peak_kb, rss_kb;
};

static void usage(FILE *f)
{
	fputs("Usage: peregrine-bgpgen --mode feeds|rs --dut ADDR [--port N] --base ADDR --base-as N "
	      "[options]\n\n"
	      "  --feeders N --receivers N    mode feeds\n"
	      "  --clients N                  mode rs\n"
	      "  --v4 N --v6 N                routes in the table (v6 over the same session)\n"
	      "  --table FILE                 or from a file of lines PREFIX ORIGIN-AS\n"
	      "  --run N                      average prefixes of an attribute set (default 5)\n"
	      "  --communities N              at most so many on each set (default 6)\n"
	      "  --host24                     plain /24s and /48s\n"
	      "  --control N                  each client adds N control communities (0:peer-as) of its own "
	      "choice\n"
	      "  --drop N                     rs: N clients drop and return after the first measurement\n"
	      "  --slow N --slow-rate B       N receivers read only B bytes a second and are not waited for\n"
	      "  --add-path                   receivers ask for all paths\n"
	      "  --pid N                      process whose CPU time and memory are reported; repeatable\n"
	      "  --seed N --timeout S --hold-time S --stay S\n"
	      "Peer i has the address base+i and the AS base-as+i.\n",
		f);
}

static void read_cpu(const struct run *r, struct cpu *c)
{
	*c = (struct cpu){0};
	for (unsigned i = 0; i < r->n_pids; i++) {
		char path[64], line[1024];
		unsigned long ut = 0, st = 0;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/stat", (int)r->pids[i]);
		f = fopen(path, "r");
		if (f && fgets(line, sizeof(line), f)) {
			const char *after = strrchr(line, ')');

			if (after)
				sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &ut,
					&st);
		}
		if (f)
			fclose(f);
		c->user += (double)ut / (double)sysconf(_SC_CLK_TCK);
		c->system += (double)st / (double)sysconf(_SC_CLK_TCK);
		snprintf(path, sizeof(path), "/proc/%d/status", (int)r->pids[i]);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f)) {
			unsigned long kb;

			if (sscanf(line, "VmHWM: %lu", &kb) == 1)
				c->peak_kb += kb;
			if (sscanf(line, "VmRSS: %lu", &kb) == 1)
				c->rss_kb += kb;
		}
		if (f)
			fclose(f);
	}
}

static struct ipaddr add(const struct ipaddr *base, unsigned n)
{
	struct ipaddr a = *base;

	a.w[3] = htonl(ntohl(a.w[3]) + n);
	return a;
}

static int parse(int argc, char **argv, struct run *r)
{
	static const struct option longs[] = {
		{"mode", 1, NULL, 'm'},
		{"dut", 1, NULL, 'd'},
		{"port", 1, NULL, 'p'},
		{"base", 1, NULL, 'b'},
		{"base-as", 1, NULL, 'a'},
		{"feeders", 1, NULL, 'f'},
		{"receivers", 1, NULL, 'r'},
		{"clients", 1, NULL, 'c'},
		{"v4", 1, NULL, '4'},
		{"v6", 1, NULL, '6'},
		{"table", 1, NULL, 't'},
		{"run", 1, NULL, 'R'},
		{"communities", 1, NULL, 'C'},
		{"host24", 0, NULL, 'h'},
		{"control", 1, NULL, 'x'},
		{"drop", 1, NULL, 'D'},
		{"slow", 1, NULL, 's'},
		{"slow-rate", 1, NULL, 'S'},
		{"add-path", 0, NULL, 'A'},
		{"pid", 1, NULL, 'P'},
		{"seed", 1, NULL, 'e'},
		{"timeout", 1, NULL, 'T'},
		{"hold-time", 1, NULL, 'H'},
		{"stay", 1, NULL, 'Y'},
		{"help", 0, NULL, '?'},
		{0},
	};
	int c;

	*r = (struct run){
		.table = {.run = 5, .communities = 6, .seed = 1},
		.feeders = 2,
		.receivers = 1,
		.port = 179,
		.base_as = 65001,
		.hold_time = 240,
		.timeout_s = 600,
		.slow_rate = 10000,
	};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'm':
			if (strcmp(optarg, "feeds") && strcmp(optarg, "rs")) {
				fprintf(stderr, "peregrine-bgpgen: unknown mode %s\n", optarg);
				return -EINVAL;
			}
			r->mode = strcmp(optarg, "rs") ? MODE_FEEDS : MODE_RS;
			break;
		case 'd':
		case 'b':
			if (ipaddr_parse(optarg, c == 'd' ? &r->dut : &r->base) < 0) {
				fprintf(stderr, "peregrine-bgpgen: not an address: %s\n", optarg);
				return -EINVAL;
			}
			break;
		case 'p': r->port = (uint16_t)atoi(optarg); break;
		case 'a': r->base_as = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'f': r->feeders = (unsigned)atoi(optarg); break;
		case 'r': r->receivers = (unsigned)atoi(optarg); break;
		case 'c': r->clients = (unsigned)atoi(optarg); break;
		case '4': r->table.v4 = (uint32_t)strtoul(optarg, NULL, 10); break;
		case '6': r->table.v6 = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 't': r->table_file = optarg; break;
		case 'R': r->table.run = (uint32_t)atoi(optarg); break;
		case 'C': r->table.communities = (uint32_t)atoi(optarg); break;
		case 'h': r->table.host24 = true; break;
		case 'x': r->control = (unsigned)atoi(optarg); break;
		case 'D': r->drop = (unsigned)atoi(optarg); break;
		case 's': r->slow = (unsigned)atoi(optarg); break;
		case 'S': r->slow_rate = (uint32_t)atoi(optarg); break;
		case 'A': r->add_path = true; break;
		case 'P':
			if (r->n_pids < 8)
				r->pids[r->n_pids++] = (pid_t)atoi(optarg);
			break;
		case 'e': r->table.seed = strtoull(optarg, NULL, 10); break;
		case 'T': r->timeout_s = (unsigned)atoi(optarg); break;
		case 'H': r->hold_time = (unsigned)atoi(optarg); break;
		case 'Y': r->hold_s = (unsigned)atoi(optarg); break;
		default: usage(c == '?' && optopt == 0 ? stdout : stderr); return -EINVAL;
		}
	}
	if (ipaddr_is_zero(&r->dut) || ipaddr_is_zero(&r->base) ||
		(!r->table_file && !r->table.v4 && !r->table.v6)) {
		usage(stderr);
		return -EINVAL;
	}
	return 0;
}

static unsigned total_peers(const struct run *r)
{
	return r->mode == MODE_RS ? r->clients : r->feeders + r->receivers;
}

/* The share of the table that peer i announces: [from, to). */
static void share(const struct run *r, const struct gen_table *t, unsigned i, uint32_t *from, uint32_t *to)
{
	if (r->mode == MODE_FEEDS) {
		*from = 0;
		*to = i < r->feeders ? t->n_routes : 0;
		return;
	}
	*from = (uint32_t)((uint64_t)t->n_routes * i / r->clients);
	*to = (uint32_t)((uint64_t)t->n_routes * (i + 1) / r->clients);
}

static bool is_slow(const struct run *r, unsigned i)
{
	return i >= total_peers(r) - r->slow;
}

static void set_up(struct generator *g, const struct run *r, struct stream *streams)
{
	for (unsigned i = 0; i < g->n_peers; i++) {
		struct peer *p = &g->peer[i];
		uint32_t from, to, extra[8], n_extra = 0;

		p->local = add(&r->base, i);
		p->who = (struct speaker){
			.as = r->base_as + i,
			.router_id = ntohl(p->local.w[3]),
			.next_hop4 = p->local,
			.hold_time = (uint16_t)r->hold_time,
			.v4 = g->table->n_v4 > 0,
			.v6 = g->table->n_v4 < g->table->n_routes,
			.add_path_rx = r->add_path,
		};
		/* A v6 next hop of its own: 2001:db8::<number>. */
		p->who.next_hop6 = (struct ipaddr){.b = {0x20, 0x01, 0x0d, 0xb8}};
		p->who.next_hop6.w[3] = htonl(0x10000 + i);
		for (; n_extra < r->control && n_extra < 8; n_extra++) /* not to some other client */
			extra[n_extra] = (r->base_as + (i * 7 + n_extra * 13 + 1) % g->n_peers) & 0xffff;
		share(r, g->table, i, &from, &to);
		if (from < to) {
			stream_announce(&streams[i], &p->who, g->table, from, to, extra, n_extra);
			stream_end_of_rib(&streams[i], &p->who);
			p->table = &streams[i];
		}
		if (is_slow(r, i))
			p->slow_bytes_s = r->slow_rate;
		p->retry_at_ns = 0;
	}
}

static bool timed_out(const struct generator *g, uint64_t since, const struct run *r)
{
	return g->now_ns - since > r->timeout_s * NS_PER_S;
}

static void complain(const struct generator *g, const char *what)
{
	unsigned shown = 0;

	fprintf(stderr, "peregrine-bgpgen: %s: %u of %u peers up, %u of %u complete\n", what, g->n_up,
		g->n_peers, g->n_complete, g->n_expecting);
	for (unsigned i = 0; i < g->n_peers && shown < 5; i++) {
		const struct peer *p = &g->peer[i];

		if (p->problem[0] || (p->n_expected && !p->complete_ns)) {
			fprintf(stderr, "  peer %u: state %d, %u of %u routes; %s\n", i, p->state, p->n_have,
				p->n_expected, p->problem);
			shown++;
		}
	}
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void report_times(const char *name, uint64_t *t, unsigned n, uint64_t start)
{
	qsort(t, n, sizeof(*t), by_time);
	printf("\"%s\":{\"n\":%u,\"first_s\":%.6f,\"median_s\":%.6f,\"last_s\":%.6f},", name, n,
		n ? (double)(t[0] - start) / 1e9 : 0, n ? (double)(t[n / 2] - start) / 1e9 : 0,
		n ? (double)(t[n - 1] - start) / 1e9 : 0);
}

/* Waits until everybody who expects something has it. */
static bool wait_complete(struct generator *g, const struct run *r, uint64_t start)
{
	while (g->n_complete < g->n_expecting) {
		generator_turn(g, 20);
		if (timed_out(g, start, r))
			return false;
		for (unsigned i = 0; i < g->n_peers; i++)
			if (g->peer[i].fd < 0 && g->peer[i].problem[0])
				return false;
	}
	return true;
}

static void report_completion(struct generator *g, const char *name, uint64_t start, uint64_t *scratch)
{
	unsigned n = 0;
	uint64_t gap = 0;

	for (unsigned i = 0; i < g->n_peers; i++) {
		if (!g->peer[i].n_expected)
			continue;
		scratch[n++] = g->peer[i].complete_ns;
		if (g->peer[i].worst_gap_ns > gap)
			gap = g->peer[i].worst_gap_ns;
	}
	report_times(name, scratch, n, start);
	printf("\"%s_worst_gap_s\":%.6f,", name, (double)gap / 1e9);
}

static bool drop_and_return(struct generator *g, const struct run *r, uint64_t *scratch)
{
	uint64_t start;
	uint32_t gone = 0, from, to;

	for (unsigned i = 0; i < r->drop; i++) {
		share(r, g->table, i, &from, &to);
		gone += to - from;
	}
	for (unsigned i = 0; i < r->drop; i++)
		peer_expect(&g->peer[i], 0), g->n_expecting--;
	for (unsigned i = r->drop; i < g->n_peers; i++)
		if (g->peer[i].n_expected)
			peer_expect(&g->peer[i], g->peer[i].n_expected - gone);
	start = g->now_ns = clock_now_ns();
	for (unsigned i = 0; i < r->drop; i++)
		peer_close(&g->peer[i], true);
	if (!wait_complete(g, r, start))
		return false;
	report_completion(g, "withdrawn", start, scratch);
	for (unsigned i = r->drop; i < g->n_peers; i++)
		if (g->peer[i].n_expected)
			peer_expect(&g->peer[i], g->peer[i].n_expected + gone);
	start = g->now_ns = clock_now_ns();
	for (unsigned i = 0; i < r->drop; i++) {
		share(r, g->table, i, &from, &to);
		g->peer[i].problem[0] = 0;
		peer_expect(&g->peer[i], g->table->n_routes - (to - from));
		g->peer[i].retry_at_ns = 0;
		peer_send(&g->peer[i]);
	}
	if (!wait_complete(g, r, start))
		return false;
	report_completion(g, "returned", start, scratch);
	return true;
}

static int measure(struct generator *g, const struct run *r)
{
	uint64_t *scratch = calloc(g->n_peers, sizeof(*scratch)), start = clock_now_ns();
	uint64_t bytes = 0, updates = 0, announced = 0, repeated = 0, unknown = 0, withdrawn = 0, sent = 0,
		 send_done = 0;
	struct cpu before, after;

	if (!scratch)
		return 1;
	while (g->n_up < g->n_peers) {
		generator_turn(g, 20);
		if (timed_out(g, start, r)) {
			complain(g, "not all sessions came up");
			return 1;
		}
	}
	printf("{\"peers\":%u,\"routes\":%u,\"attribute_sets\":%u,\"established_s\":%.6f,", g->n_peers,
		g->table->n_routes, g->table->n_attrs, (double)(g->now_ns - start) / 1e9);
	for (unsigned i = 0; i < g->n_peers; i++) {
		uint32_t from, to;

		share(r, g->table, i, &from, &to);
		if (!is_slow(r, i) && (r->mode == MODE_RS || i >= r->feeders))
			peer_expect(&g->peer[i], g->table->n_routes - (r->mode == MODE_RS ? to - from : 0));
	}
	read_cpu(r, &before);
	start = g->now_ns = clock_now_ns();
	for (unsigned i = 0; i < g->n_peers; i++)
		if (g->peer[i].table) {
			peer_send(&g->peer[i]);
			sent += g->peer[i].table->len;
		}
	while (g->n_complete < g->n_expecting) {
		bool all = true;

		generator_turn(g, 20);
		for (unsigned i = 0; i < g->n_peers && !send_done; i++)
			all &= !g->peer[i].table || g->peer[i].table_done == g->peer[i].table->len;
		if (all && !send_done)
			send_done = g->now_ns;
		if (timed_out(g, start, r))
			break;
	}
	if (g->n_complete < g->n_expecting) {
		complain(g, "not complete in time");
		return 1;
	}
	read_cpu(r, &after);
	report_completion(g, "complete", start, scratch);
	for (unsigned i = 0; i < g->n_peers; i++) {
		const struct peer *p = &g->peer[i];

		bytes += p->rx_bytes;
		updates += p->rx_updates;
		announced += p->rx_announced;
		repeated += p->rx_repeated;
		withdrawn += p->rx_withdrawn;
		unknown += p->rx_unknown;
	}
	printf("\"sent_s\":%.6f,\"sent_bytes\":%" PRIu64 ",\"received_bytes\":%" PRIu64
	       ",\"updates\":%" PRIu64 ",\"announced\":%" PRIu64 ",\"withdrawals\":%" PRIu64
	       ",\"repeated\":%" PRIu64 ",\"unknown\":%" PRIu64 ",",
		send_done ? (double)(send_done - start) / 1e9 : 0, sent, bytes, updates, announced, withdrawn,
		repeated, unknown);
	printf("\"cpu_user_s\":%.2f,\"cpu_system_s\":%.2f,\"peak_kb\":%" PRIu64 ",\"rss_kb\":%" PRIu64 ",",
		after.user - before.user, after.system - before.system, after.peak_kb, after.rss_kb);
	if (r->drop && r->mode == MODE_RS && !drop_and_return(g, r, scratch)) {
		complain(g, "drop and return did not complete");
		printf("\"ok\":false}\n");
		return 1;
	}
	printf("\"ok\":true}\n");
	fflush(stdout);
	for (start = g->now_ns; r->hold_s && g->now_ns - start < r->hold_s * NS_PER_S;)
		generator_turn(g, 100);
	free(scratch);
	return 0;
}

int main(int argc, char **argv)
{
	struct generator g = {0};
	struct gen_table table;
	struct stream *streams;
	struct rlimit l;
	struct run r;
	unsigned line;
	int rc;

	if (parse(argc, argv, &r) < 0)
		return 2;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
	rc = r.table_file ? table_read(&table, r.table_file, &r.table, &line) : table_make(&table, &r.table);
	if (rc < 0) {
		if (r.table_file)
			fprintf(stderr, "peregrine-bgpgen: %s:%u: %s\n", r.table_file, line, strerror(-rc));
		else
			fprintf(stderr, "peregrine-bgpgen: cannot make the table: %s\n", strerror(-rc));
		return 2;
	}
	g.table = &table;
	g.dut = r.dut;
	g.dut_port = r.port;
	rc = generator_init(&g, total_peers(&r));
	streams = calloc(total_peers(&r), sizeof(*streams));
	if (rc < 0 || !streams) {
		fprintf(stderr, "peregrine-bgpgen: %s\n", strerror(-rc));
		return 2;
	}
	set_up(&g, &r, streams);
	rc = measure(&g, &r);
	for (unsigned i = 0; i < g.n_peers; i++)
		stream_free(&streams[i]);
	free(streams);
	generator_free(&g);
	table_free(&table);
	return rc;
}
