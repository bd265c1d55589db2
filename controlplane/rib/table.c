/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables and the rib that has them. A table lives while somebody holds it: its
 * users, the sources and listeners on it, configurations that name it as igp
 * table. Whoever looks it up without a reference is inside RCU.
 */
#include "controlplane/rib/internal.h"
#include "controlplane/rib/roa.h"
#include "shared/log.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

struct rib *rib_create(unsigned shards)
{
	struct rib *rib;

	if (!shards)
		shards = 1;
	rib = aligned_alloc(64, sizeof(*rib) + shards * sizeof(rib->shard[0]));
	if (!rib)
		return NULL;
	memset(rib, 0, sizeof(*rib) + shards * sizeof(rib->shard[0]));
	if (getrandom(&rib->seed, sizeof(rib->seed), 0) != sizeof(rib->seed)) {
		free(rib);
		return NULL;
	}
	rib->nlris = nlri_store_create();
	if (!rib->nlris) {
		free(rib);
		return NULL;
	}
	pthread_mutex_init(&rib->lock, NULL);
	rib_register_roa_ops();
	rib->sources = memory_zero(SOURCES_MAX * sizeof(rib->sources[0]));
	rib->roa = roa_notifier_create(rib);
	rib->flow_bases = flow_bases_create(rib);
	rib->n_shards = shards;
	for (unsigned i = 0; i < shards; i++) {
		struct rib_shard *s = &rib->shard[i];
		int rc;

		s->rib = rib;
		s->number = i;
		rc = shard_start(s);
		if (rc < 0) {
			rib->n_shards = i;
			rib_destroy(rib);
			errno = -rc;
			return NULL;
		}
	}
	return rib;
}

void rib_destroy(struct rib *rib)
{
	/* Sources and tables that were closed last are on their way through the shards and grace periods. */
	for (unsigned waits = 0; atomic_load(&rib->live); waits++) {
		if (waits == 5000) {
			log_msg(LOG_CLASS_BUG, "%u tables and sources are still in use at the end",
				atomic_load(&rib->live));
			return; /* leaks rather than pulls the rug from under them */
		}
		usleep(1000);
	}
	for (unsigned i = 0; i < rib->n_shards; i++)
		shard_stop(&rib->shard[i]);
	roa_notifier_destroy(rib->roa);
	flow_bases_destroy(rib->flow_bases);
	nlri_store_destroy(rib->nlris);
	memory_free(rib->sources);
	pthread_mutex_destroy(&rib->lock);
	free(rib);
}

struct rib_table *rib_table_open(struct rib *rib, const char *name, enum net_type net, bool sorted)
{
	struct rib_table *t;
	size_t size = sizeof(*t) + rib->n_shards * sizeof(struct part);

	pthread_mutex_lock(&rib->lock);
	for (t = rib->tables; t; t = t->next)
		if (t->net == net && t->sorted == sorted && strcmp(t->name, name) == 0 && t->refs) {
			t->refs++;
			pthread_mutex_unlock(&rib->lock);
			return t;
		}
	t = memory_zero(size);
	t->rib = rib;
	t->name = strdup(name);
	if (!t->name)
		memory_take(SIZE_MAX);
	t->net = net;
	t->sorted = sorted;
	t->key_words = (uint8_t)key_words(net);
	t->refs = 1;
	atomic_init(&t->closing, rib->n_shards);
	for (unsigned i = 0; i < rib->n_shards; i++) {
		struct part *p = &t->part[i];

		p->table = t;
		p->shard = &rib->shard[i];
		pool_init(&p->nets, sizeof(struct net_record) + 4u * t->key_words,
			offsetof(struct net_record, key));
		pool_init(&p->routes, sizeof(struct route_record), offsetof(struct route_record, next));
		walk_init(p);
	}
	if (net == NET_ROA4 || net == NET_ROA6 || net == NET_ASPA)
		t->roa = roa_table_create(t);
	atomic_fetch_add(&rib->live, 1);
	t->next = rib->tables;
	rcu_assign_pointer(rib->tables, t);
	pthread_mutex_unlock(&rib->lock);
	return t;
}

void table_hold(struct rib_table *t)
{
	pthread_mutex_lock(&t->rib->lock);
	t->refs++;
	pthread_mutex_unlock(&t->rib->lock);
}

bool rib_table_hold(struct rib_table *t)
{
	bool alive;

	pthread_mutex_lock(&t->rib->lock);
	alive = t->refs > 0;
	t->refs += alive;
	pthread_mutex_unlock(&t->rib->lock);
	return alive;
}

static void table_free(struct rcu_head *head)
{
	struct rib_table *t = caa_container_of(head, struct rib_table, rcu);
	struct rib *rib;

	rcu_callback_begin(head);
	for (unsigned i = 0; i < t->rib->n_shards; i++) {
		struct part *p = &t->part[i];

		index_destroy(&p->index);
		pool_destroy(&p->nets);
		pool_destroy(&p->routes);
		memory_free(p->lengths);
		memory_free(p->idle);
		memory_free(p->lent.word);
		memory_free(p->recalled.word);
	}
	if (t->roa)
		roa_table_destroy(t->roa);
	free(t->name);
	rib = t->rib;
	memory_free(t);
	atomic_fetch_sub(&rib->live, 1);
}

static void table_stop(struct rib_shard *s, void *arg)
{
	struct rib_table *t = arg;

	walk_stop(s, &t->part[s->number]);
	if (atomic_fetch_sub(&t->closing, 1) == 1)
		call_rcu(&t->rcu, table_free);
}

void rib_table_close(struct rib_table *t)
{
	struct rib *rib = t->rib;
	struct rib_table **at;
	bool last;

	pthread_mutex_lock(&rib->lock);
	last = --t->refs == 0;
	if (last) {
		for (at = &rib->tables; *at != t;)
			at = &(*at)->next;
		rcu_assign_pointer(*at, t->next);
		if (t->roa)
			roa_table_unlink(t->roa);
	}
	pthread_mutex_unlock(&rib->lock);
	/* No sources, no listeners; but a walk may be under way. */
	if (last)
		for (unsigned i = 0; i < rib->n_shards; i++)
			rib_shard_call(rib, i, table_stop, t);
}

const char *rib_table_name(const struct rib_table *t)
{
	return t->name;
}

bool rib_table_is_sorted(const struct rib_table *t)
{
	return t->sorted;
}

enum net_type rib_table_net(const struct rib_table *t)
{
	return t->net;
}

struct rib *rib_table_rib(const struct rib_table *t)
{
	return t->rib;
}

struct rib_table *rib_table_find(struct rib *rib, const char *name)
{
	struct rib_table *t = rcu_dereference(rib->tables);

	while (t && strcmp(t->name, name) != 0)
		t = rcu_dereference(t->next);
	return t;
}

unsigned rib_tables(struct rib *rib, struct rib_table **out, unsigned max)
{
	unsigned n = 0;

	for (struct rib_table *t = rcu_dereference(rib->tables); t; t = rcu_dereference(t->next)) {
		if (n < max)
			out[n] = t;
		n++;
	}
	return n;
}

/* The words that `show route` uses. */
const char *route_source_name(enum route_source s)
{
	static const char *const names[] = {
		[RTS_NONE] = "none",
		[RTS_STATIC] = "static",
		[RTS_INHERIT] = "inherit",
		[RTS_DEVICE] = "device",
		[RTS_STATIC_DEVICE] = "static-device",
		[RTS_REDIRECT] = "redirect",
		[RTS_RIP] = "RIP",
		[RTS_OSPF] = "OSPF",
		[RTS_OSPF_IA] = "OSPF-IA",
		[RTS_OSPF_EXT1] = "OSPF-E1",
		[RTS_OSPF_EXT2] = "OSPF-E2",
		[RTS_BGP] = "BGP",
		[RTS_PIPE] = "pipe",
		[RTS_BABEL] = "Babel",
		[RTS_RPKI] = "RPKI",
		[RTS_PERF] = "Perf",
		[RTS_L3VPN] = "L3VPN",
		[RTS_AGGREGATED] = "aggregated",
	};

	return (unsigned)s < sizeof(names) / sizeof(names[0]) ? names[s] : "?";
}
