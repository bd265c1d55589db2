/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a route costs inside the daemon, without sockets:
 *   export_table_bench [-4 routes] [-6 routes] [-p prefixes an attribute set] [-s shards] [-x]
 * Two feeds announce the same prefixes in different orders; the second one is better for half of them. With
 * -x one peer is attached to the IPv4 and one to the IPv6 table, and what it is sent is taken and thrown
 * away. Times are CPU time of the thread that does the work, so that a shared machine shows in the wall time
 * only.
 */
#include "controlplane/export/export.h"
#include "controlplane/rib/internal.h"
#include <getopt.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned n4 = 1000000, n6 = 200000, per_set = 8, shards = 1;
static bool with_export;

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void add_cpu(struct rib_shard *s, void *arg)
{
	atomic_fetch_add((_Atomic uint64_t *)arg, cpu_ns());
}

static uint64_t shards_cpu(struct rib *rib)
{
	_Atomic uint64_t sum = 0;

	rib_call_all(rib, add_cpu, &sum);
	return sum;
}

static void count_busy(struct rib_shard *s, void *arg)
{
	if (s->tasks || s->work->next)
		atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

static void quiet(struct rib *rib)
{
	_Atomic unsigned busy = 1;

	while (busy) {
		busy = 0;
		rib_call_all(rib, count_busy, &busy);
		if (busy)
			usleep(100);
	}
}

static double mb(uint64_t bytes)
{
	return (double)bytes / 1e6;
}

static uint64_t resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long size, rss = 0;

	if (f && fscanf(f, "%lu %lu", &size, &rss) != 2)
		rss = 0;
	if (f)
		fclose(f);
	return rss * 4096;
}

/* A table of distinct prefixes in random order. */
static struct net *make_nets(unsigned n, bool six, unsigned *seed)
{
	struct net *nets = malloc(n * sizeof(*nets));

	for (unsigned i = 0; i < n; i++) {
		uint32_t x = i * 13u & 0xffffff; /* distinct: 13 is odd */
		if (six) {
			struct ipaddr a = {
				.b = {0x20, 0x01, (uint8_t)(x >> 16), (uint8_t)(x >> 8), (uint8_t)x}};

			nets[i] = (struct net){.type = NET_IP6, .prefix = prefix_make(&a, 48)};
		} else {
			struct ipaddr a = ipaddr_v4(htonl(x << 8));

			nets[i] = (struct net){.type = NET_IP4, .prefix = prefix_make(&a, 24)};
		}
	}
	for (unsigned i = n; i > 1; i--) {
		unsigned k = (unsigned)(((uint64_t)rand_r(seed) << 15 ^ (unsigned)rand_r(seed)) % i);
		struct net t = nets[i - 1];

		nets[i - 1] = nets[k];
		nets[k] = t;
	}
	return nets;
}

static uint32_t set_of(unsigned feed, unsigned number)
{
	uint8_t path[2 + 4 * 6] = {2};
	uint32_t community[] = {65000u << 16 | number % 50, 65001u << 16 | number % 7, (feed + 1) << 16};
	struct attr_nexthop nh = {.gw = ipaddr_v4(htonl(0x0a000001 + feed)), .ifindex = 2, .weight = 1};
	unsigned len = 3 + number % 3 + (feed ? number / 3 % 2 * 2 : 1);
	struct attrs a = {
		.present = ATTR_ORIGIN | ATTR_AS_PATH | ATTR_NEXT_HOP | ATTR_COMMUNITY,
		.preference = 100,
		.dest = RTD_UNICAST,
		.next_hop = nh.gw,
		.nexthop = &nh,
		.n_nexthop = 1,
		.community = community,
		.n_community = 3,
		.as_path = path,
	};

	if (len > 6)
		len = 6;
	path[1] = (uint8_t)len;
	a.as_path_bytes = (uint16_t)(2 + 4 * len);
	for (unsigned i = 0; i < len; i++) {
		uint32_t be = htonl(i ? 100000 + number * 7 + i : 64500 + feed);

		memcpy(path + 2 + 4 * i, &be, 4);
	}
	return attrs_intern(&a);
}

static struct rib_source_config neighbour(unsigned feed)
{
	return (struct rib_source_config){.proto_name = "feed",
		.channel_name = "ipv4",
		.type_name = "BGP",
		.source = RTS_BGP,
		.import.kind = FILTER_ALL,
		.peer = {.bgp = true,
			.external = true,
			.path_metric = true,
			.igp_metric = true,
			.default_local_pref = 100,
			.router_id = 10 - feed,
			.local_as = 65000,
			.remote_as = 64500 + feed,
			.addr = ipaddr_v4(htonl(0x0a000001 + feed))}};
}

/* ---- the receiver ---- */

struct receiver {
	pthread_t thread;
	sem_t wake;
	struct export_peer *peer;
	_Atomic bool stop;
	uint64_t bytes, cpu;
};

static void wake(void *ctx)
{
	sem_post(&((struct receiver *)ctx)->wake);
}

static void *receive(void *arg)
{
	struct receiver *r = arg;
	struct iovec iov[64];

	rcu_register_thread();
	while (!r->stop) {
		unsigned n;

		while ((n = export_take(r->peer, iov, 64))) {
			size_t sum = 0;

			for (unsigned i = 0; i < n; i++)
				sum += iov[i].iov_len;
			r->bytes += sum;
			export_sent(r->peer, sum);
		}
		sem_wait(&r->wake);
	}
	r->cpu = cpu_ns();
	rcu_unregister_thread();
	return NULL;
}

static void attach(struct receiver *r, struct export_engine *x, struct rib_table *t)
{
	bool six = rib_table_net(t) == NET_IP6;
	struct export_peer_config c = {
		.table = t,
		.filter.kind = FILTER_ALL,
		.class = {.afi = six ? 2 : 1,
			.external = true,
			.local_as = 65000,
			.public_as = 65000,
			.local_addr = ipaddr_v4(htonl(0x0a0000fe)),
			.role = -1},
		.encode = {.afi = six ? 2 : 1, .safi = 1, .as4 = true, .max_message = 4096},
		.wake = wake,
		.ctx = r,
	};

	if (six)
		c.class.local_addr = (struct ipaddr){.b = {0x20, 1, 0xd, 0xb8, [15] = 1}};
	sem_init(&r->wake, 0, 0);
	r->peer = export_attach(x, &c);
	pthread_create(&r->thread, NULL, receive, r);
}

static void detach(struct receiver *r)
{
	r->stop = true;
	sem_post(&r->wake);
	pthread_join(r->thread, NULL);
	export_detach(r->peer);
}

/* ---- stages ---- */

static void say(const char *what, uint64_t ns, uint64_t n)
{
	printf("%-34s %8.1f ns each %9.3f s\n", what, (double)ns / (double)n, (double)ns / 1e9);
}

struct back_pressure {
	sem_t resume;
};

static void resume(void *ctx)
{
	sem_post(&((struct back_pressure *)ctx)->resume);
}

int main(int argc, char **argv)
{
	struct rib_table *t[2];
	struct net *nets[2];
	struct rib_source *src[2][2];
	struct back_pressure bp[2][2];
	struct receiver recv[2] = {0};
	struct export_engine *x = NULL;
	struct rib_table_stats st, sum = {0};
	struct attrs_usage u;
	unsigned seed = 1, n_sets;
	uint64_t base, routes, fill = 0;
	struct rib *rib;
	uint32_t *sets[2];
	int opt;

	while ((opt = getopt(argc, argv, "4:6:p:s:x")) != -1) {
		switch (opt) {
		case '4': n4 = (unsigned)atoi(optarg); break;
		case '6': n6 = (unsigned)atoi(optarg); break;
		case 'p': per_set = (unsigned)atoi(optarg); break;
		case 's': shards = (unsigned)atoi(optarg); break;
		case 'x': with_export = true; break;
		default:
			fprintf(stderr, "usage: %s [-4 routes] [-6 routes] [-p prefixes] [-s shards] [-x]\n",
				argv[0]);
			return 1;
		}
	}
	rcu_register_thread();
	attrs_init();
	nets[0] = make_nets(n4, false, &seed);
	nets[1] = make_nets(n6, true, &seed);
	n_sets = (n4 + n6) / per_set + 1;
	for (unsigned f = 0; f < 2; f++)
		sets[f] = malloc(n_sets * sizeof(uint32_t));
	base = resident();
	rib = rib_create(shards);
	x = export_create(rib);
	for (unsigned k = 0; k < 2; k++) {
		t[k] = rib_table_open(rib, k ? "master6" : "master4", k ? NET_IP6 : NET_IP4, false);
		for (unsigned f = 0; f < 2; f++) {
			struct rib_source_config c = neighbour(f);

			sem_init(&bp[f][k].resume, 0, 0);
			c.resume = resume;
			c.ctx = &bp[f][k];
			src[f][k] = rib_source_open(t[k], &c);
		}
		if (with_export)
			attach(&recv[k], x, t[k]);
	}
	routes = n4 + n6;
	for (unsigned f = 0; f < 2; f++) {
		uint64_t t0 = cpu_ns(), c0 = shards_cpu(rib), w0 = clock_now_ns();
		char what[64];

		for (unsigned i = 0; i < n_sets; i++)
			sets[f][i] = set_of(f, i);
		say(f ? "intern, second feed" : "intern, first feed", cpu_ns() - t0, n_sets);
		quiet(rib);
		c0 = shards_cpu(rib);
		w0 = clock_now_ns();
		fill = 0;
		for (unsigned k = 0, set = 0; k < 2; k++) {
			unsigned n = k ? n6 : n4;

			for (unsigned i = 0; i < n;) {
				uint64_t a = cpu_ns();
				struct rib_batch *b = rib_batch_create(src[f][k]);

				/* As updates come: an attribute set and its prefixes; a few hundred routes
				 * between two looks at the queue. The second feed goes through the prefixes
				 * from the other end. */
				for (unsigned end = i + 512 < n ? i + 512 : n; i < end; i++)
					rib_batch_announce(b, &nets[k][f ? n - 1 - i : i], 0,
						sets[f][(set++ / per_set) % n_sets]);
				fill += cpu_ns() - a;
				if (!rib_submit(b))
					sem_wait(&bp[f][k].resume);
			}
		}
		quiet(rib);
		snprintf(what, sizeof(what), "batches, feed %u", f + 1);
		say(what, fill, routes);
		snprintf(what, sizeof(what), "shards, feed %u", f + 1);
		say(what, shards_cpu(rib) - c0, routes);
		printf("%-34s %28.3f s\n", "  wall", (double)(clock_now_ns() - w0) / 1e9);
		/* The neighbour's cache of raw attributes is what holds them in the daemon, for a while. */
		for (unsigned i = 0; i < n_sets; i++)
			attrs_release(sets[f][i]);
	}
	if (with_export)
		for (unsigned k = 0; k < 2; k++) {
			usleep(200000);
			printf("%-34s %10.1f MB\n", k ? "sent, IPv6" : "sent, IPv4", mb(recv[k].bytes));
		}
	for (unsigned k = 0; k < 2; k++) {
		rib_table_stats(t[k], &st);
		sum.nets += st.nets;
		sum.routes += st.routes;
		sum.bytes += st.bytes;
	}
	attrs_usage(&u);
	printf("tables: %llu nets, %llu routes, %.1f MB, %.1f bytes a route\n", (unsigned long long)sum.nets,
		(unsigned long long)sum.routes, mb(sum.bytes), (double)sum.bytes / (double)sum.routes);
	printf("attributes: %llu sets, %.1f MB, %.1f bytes a route\n", (unsigned long long)u.sets,
		mb(u.bytes), (double)u.bytes / (double)sum.routes);
	printf("resident: %.1f MB more than before, %.1f bytes a route\n", mb(resident() - base),
		(double)(resident() - base) / (double)sum.routes);
	/* One goes, the other stays: half of the prefixes change hands. */
	{
		uint64_t c0 = shards_cpu(rib), w0 = clock_now_ns();

		for (unsigned k = 0; k < 2; k++)
			rib_source_flush(src[1][k]);
		quiet(rib);
		say("second feed lost", shards_cpu(rib) - c0, routes);
		printf("%-34s %28.3f s\n", "  wall", (double)(clock_now_ns() - w0) / 1e9);
	}
	for (unsigned k = 0; k < 2; k++) {
		if (with_export)
			detach(&recv[k]);
		for (unsigned f = 0; f < 2; f++)
			rib_source_close(src[f][k], NULL, NULL);
		rib_table_close(t[k]);
	}
	quiet(rib);
	export_destroy(x);
	rib_destroy(rib);
	rcu_barrier();
	attrs_usage(&u);
	printf("after: %llu sets, resident %.1f MB more than before\n", (unsigned long long)u.sets,
		mb(resident() - base));
	attrs_exit();
	free(nets[0]);
	free(nets[1]);
	free(sets[0]);
	free(sets[1]);
	rcu_unregister_thread();
	return 0;
}
