/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sources: who routes come from; their batches and their configuration.
 *
 * The owner's calls become items in every shard's queue, behind the batches it has
 * submitted: order is kept in each shard, and each shard takes a new
 * configuration over at its own pace. Configurations are immutable and counted, one
 * reference for the source (what readers see) and one for each shard.
 */
#include "controlplane/rib/internal.h"
#include "shared/log.h"
#include <errno.h>
#include <stdlib.h>

enum {
	OWN_HIGH = 1 << 16,   /* entries of one source in the queues: its neighbour waits */
	TOTAL_HIGH = 1 << 20, /* of all sources: then everybody waits who has more than... */
	CROWDED_HIGH = 1 << 12,
	OWN_LOW = 1 << 11, /* and goes on when he has less than this */
};

/* ---- configurations ---- */

static char *copy(const char *s)
{
	char *c = s ? strdup(s) : NULL;

	return s && !c ? memory_take(SIZE_MAX) : c;
}

static struct source_conf *conf_make(const struct rib_source_config *c)
{
	struct source_conf *k = memory_zero(sizeof(*k));

	k->c = *c;
	k->c.proto_name = copy(c->proto_name ? c->proto_name : "");
	k->c.channel_name = copy(c->channel_name ? c->channel_name : "");
	k->c.type_name = copy(c->type_name ? c->type_name : "");
	k->refs = 1;
	filter_ref_hold(&c->import);
	if (c->import.kind == FILTER_PROGRAM) {
		k->filter_uid = filter_uid(c->import.filter);
		k->filter_reads = filter_reads(c->import.filter);
	}
	if (c->igp_table)
		table_hold(c->igp_table);
	if (c->base_table)
		k->base = flow_base_take(c->base_table);
	return k;
}

static void conf_free(struct rcu_head *head)
{
	struct source_conf *k = caa_container_of(head, struct source_conf, rcu);

	rcu_callback_begin(head);
	filter_ref_release(&k->c.import);
	if (k->c.igp_table)
		rib_table_close(k->c.igp_table);
	if (k->base)
		flow_base_release(k->base);
	free((char *)k->c.proto_name);
	free((char *)k->c.channel_name);
	free((char *)k->c.type_name);
	free(k);
}

static void conf_hold(struct source_conf *k, unsigned n)
{
	__atomic_fetch_add(&k->refs, n, __ATOMIC_RELAXED);
}

static void conf_release(struct source_conf *k)
{
	if (__atomic_sub_fetch(&k->refs, 1, __ATOMIC_ACQ_REL) == 0)
		call_rcu(&k->rcu, conf_free);
}

/* ---- orders to all shards ---- */

struct order {
	struct item item;
	struct rib_source *source;
	void (*fn)(struct rib_shard *s, struct local_source *l, struct order *o);
	struct source_conf *conf;
	bool flag;
	struct barrier *barrier;
	struct rib_table *table;
	uint32_t number;
};

struct barrier {
	_Atomic unsigned left;
	void (*done)(void *ctx);
	void *ctx;
};

static bool order_run(struct rib_shard *s, struct item *i, uint64_t deadline_ns)
{
	struct order *o = caa_container_of(i, struct order, item);

	o->fn(s, &o->source->local[s->number], o);
	memory_free(o);
	return true;
}

static void order_all(struct rib_source *src, const struct order *model)
{
	struct rib *rib = src->rib;

	for (unsigned i = 0; i < rib->n_shards; i++) {
		struct order *o = memory_take(sizeof(*o));

		*o = *model;
		o->item.run = order_run;
		o->source = src;
		shard_push(&rib->shard[i], &o->item);
	}
}

/* ---- in the shards ---- */

/* Counts the source's routes where the limits look, if it has limits. */
static void count_for_limits(struct local_source *l)
{
	bool wanted =
		l->conf->c.receive_limit.action != LIMIT_NONE || l->conf->c.import_limit.action != LIMIT_NONE;
	int sign = (int)wanted - (int)l->counted;

	atomic_fetch_add(&l->source->n_received, (uint32_t)sign * l->stats.received);
	atomic_fetch_add(&l->source->n_imported, (uint32_t)sign * l->stats.imported);
	l->counted = wanted;
}

static void part_counts(struct local_source *l, int by)
{
	struct part *p = l->part;

	p->deterministic += (unsigned)(l->conf->c.peer.deterministic_med ? by : 0);
	p->flow_checked += (unsigned)(l->conf->base ? by : 0);
	p->roa_readers += (unsigned)(reads_roa(l->conf, false) ? by : 0);
	p->roa_quiet += (unsigned)(reads_roa(l->conf, true) && !reads_roa(l->conf, false) ? by : 0);
}

static void open_here(struct rib_shard *s, struct local_source *l, struct order *o)
{
	if (l->id >= s->n_sources) {
		uint32_t n = s->n_sources ? s->n_sources : 16;

		while (n <= l->id)
			n *= 2;
		s->sources = memory_grow(s->sources, n * sizeof(struct local_source *));
		memset(s->sources + s->n_sources, 0, (n - s->n_sources) * sizeof(struct local_source *));
		s->n_sources = n;
	}
	s->sources[l->id] = l;
	l->conf = o->conf;
	l->part = &l->source->table->part[s->number];
	count_for_limits(l);
	part_counts(l, 1);
}

static void borrow_here(struct rib_shard *s, struct local_source *l, struct order *o)
{
	borrow_open(s, l, o->table, o->number);
}

static void reconfigure_here(struct rib_shard *s, struct local_source *l, struct order *o)
{
	struct source_conf *old = l->conf;
	struct part *p = l->part;

	shard_flush_changes(s);
	part_counts(l, -1);
	/* Next hops are tracked in the table that the configuration names: the routes move over. */
	if (old->c.igp_table != o->conf->c.igp_table && p->tracked)
		update_retrack(s, l, o->conf);
	l->conf = o->conf;
	part_counts(l, 1);
	count_for_limits(l);
	conf_release(old);
	if (o->flag && l->stats.received)
		walk_source(s, l, WALK_IMPORT);
}

static void new_generation(struct local_source *l)
{
	__atomic_store_n(&l->generation, (uint8_t)((l->generation + 1) & 15), __ATOMIC_RELAXED);
}

static void sweep(struct rib_shard *s, struct local_source *l)
{
	l->marks = 0;
	l->sweep_generation = l->generation;
	if (l->stats.received)
		walk_source(s, l, WALK_SWEEP);
}

static void stale_here(struct rib_shard *s, struct local_source *l, struct order *o)
{
	/* There are sixteen generations. Who marks fifteen times without sweeping loses what was stale all
	 * the time. */
	if (++l->marks == 14)
		sweep(s, l);
	new_generation(l);
	if (o->flag && l->stats.received)
		walk_source(s, l, WALK_LLGR);
}

static void sweep_here(struct rib_shard *s, struct local_source *l, struct order *o)
{
	sweep(s, l);
}

static void flush_here(struct rib_shard *s, struct local_source *l, struct order *o)
{
	new_generation(l);
	sweep(s, l);
}

static void barrier_here(struct rib_shard *s, struct local_source *l, struct order *o)
{
	shard_flush_changes(s);
	listener_flush(s);
	if (atomic_fetch_sub(&o->barrier->left, 1) > 1)
		return;
	o->barrier->done(o->barrier->ctx);
	memory_free(o->barrier);
}

static void source_free(struct rcu_head *head)
{
	struct rib_source *src = caa_container_of(head, struct rib_source, rcu);
	struct rib *rib;

	rcu_callback_begin(head);
	rib = src->rib;
	conf_release(src->conf);
	rib_table_close(src->table);
	pthread_mutex_destroy(&src->telling);
	memory_free(src);
	atomic_fetch_sub(&rib->live, 1);
}

void source_tell_limit(struct local_source *l, bool import, enum limit_action action)
{
	const struct rib_source_config *c = &l->conf->c;

	pthread_mutex_lock(&l->source->telling);
	if (c->limit_hit && !l->source->silent)
		c->limit_hit(c->ctx, import, action);
	pthread_mutex_unlock(&l->source->telling);
}

/* The shard has none of its routes any more. */
void source_closed(struct rib_shard *s, struct local_source *l)
{
	struct rib_source *src = l->source;

	shard_flush_changes(s);
	listener_flush(s);
	part_counts(l, -1);
	borrow_close(s, l);
	s->sources[l->id] = NULL;
	conf_release(l->conf);
	if (atomic_fetch_sub(&src->closing, 1) > 1)
		return;
	atomic_store_explicit(&src->rib->sources[src->id], NULL, memory_order_release);
	if (src->done)
		src->done(src->done_ctx);
	call_rcu(&src->rcu, source_free);
}

static void close_here(struct rib_shard *s, struct local_source *l, struct order *o)
{
	new_generation(l);
	l->sweep_generation = l->generation;
	if (l->stats.received || l->walk)
		walk_source(s, l, WALK_SWEEP | WALK_CLOSE);
	else
		source_closed(s, l);
}

/* ---- the owner's calls ---- */

struct rib_source *rib_source_open(struct rib_table *t, const struct rib_source_config *c)
{
	struct rib *rib = t->rib;
	size_t size = sizeof(struct rib_source) + rib->n_shards * sizeof(struct local_source);
	struct rib_source *src = aligned_alloc(64, (size + 63) & ~(size_t)63);
	struct source_conf *conf;
	uint32_t id, tries = 0;

	if (!src) {
		errno = ENOMEM;
		return NULL;
	}
	memset(src, 0, size);
	conf = conf_make(c);
	pthread_mutex_lock(&rib->lock);
	/* Ids go round, so that one is not used again before a million others were. */
	do
		id = rib->next_source = rib->next_source % (SOURCES_MAX - 1) + 1;
	while (atomic_load_explicit(&rib->sources[id], memory_order_relaxed) && ++tries < SOURCES_MAX);
	if (tries == SOURCES_MAX) {
		pthread_mutex_unlock(&rib->lock);
		conf_release(conf);
		free(src);
		errno = ENOSPC;
		return NULL;
	}
	src->rib = rib;
	src->table = t;
	src->id = id;
	src->conf = conf;
	atomic_init(&src->closing, rib->n_shards);
	pthread_mutex_init(&src->telling, NULL);
	for (unsigned i = 0; i < rib->n_shards; i++) {
		src->local[i].id = id;
		src->local[i].source = src;
		src->local[i].conf = src->conf;
	}
	atomic_store_explicit(&rib->sources[id], src, memory_order_release);
	pthread_mutex_unlock(&rib->lock);
	atomic_fetch_add(&rib->live, 1);
	table_hold(t);
	conf_hold(src->conf, rib->n_shards);
	order_all(src, &(struct order){.fn = open_here, .conf = src->conf});
	return src;
}

void rib_source_reconfigure(
	struct rib_source *src, const struct rib_source_config *c, enum rib_reevaluate reevaluate)
{
	struct source_conf *old = src->conf, *k = conf_make(c);
	bool again = reevaluate == RIB_ALWAYS ||
		     (reevaluate == RIB_IF_CHANGED && (!filter_same(&old->c.import, &c->import) ||
							      old->c.keep_filtered != c->keep_filtered ||
							      old->c.base_table != c->base_table));

	conf_hold(k, src->rib->n_shards);
	rcu_assign_pointer(src->conf, k);
	atomic_store(&src->receive_hit, false);
	atomic_store(&src->import_hit, false);
	order_all(src, &(struct order){.fn = reconfigure_here, .conf = k, .flag = again});
	conf_release(old);
}

void rib_source_close(struct rib_source *src, void (*done)(void *ctx), void *ctx)
{
	src->done = done;
	src->done_ctx = ctx;
	/* A shard that is calling the owner just now is waited for: it only posts. */
	pthread_mutex_lock(&src->telling);
	src->silent = true;
	pthread_mutex_unlock(&src->telling);
	order_all(src, &(struct order){.fn = close_here});
}

void rib_source_borrow(struct rib_source *src, struct rib_table *from, uint32_t not_from)
{
	order_all(src, &(struct order){.fn = borrow_here, .table = from, .number = not_from});
}

void rib_source_mark_stale(struct rib_source *src, bool llgr)
{
	order_all(src, &(struct order){.fn = stale_here, .flag = llgr});
}

void rib_source_sweep_stale(struct rib_source *src)
{
	order_all(src, &(struct order){.fn = sweep_here});
}

void rib_source_flush(struct rib_source *src)
{
	order_all(src, &(struct order){.fn = flush_here});
}

void rib_source_barrier(struct rib_source *src, void (*done)(void *ctx), void *ctx)
{
	struct barrier *b = memory_take(sizeof(*b));

	atomic_init(&b->left, src->rib->n_shards);
	b->done = done;
	b->ctx = ctx;
	order_all(src, &(struct order){.fn = barrier_here, .barrier = b});
}

uint32_t rib_source_id(const struct rib_source *src)
{
	return src->id;
}

const struct rib_source *rib_source_by_id(struct rib *rib, uint32_t id)
{
	return id < SOURCES_MAX ? atomic_load_explicit(&rib->sources[id], memory_order_acquire) : NULL;
}

const struct rib_source_config *rib_source_config(const struct rib_source *src)
{
	return &rcu_dereference(((struct rib_source *)src)->conf)->c;
}

void rib_source_stats(const struct rib_source *src, struct rib_source_stats *out)
{
	*out = (struct rib_source_stats){0};
	for (unsigned i = 0; i < src->rib->n_shards; i++) {
		const struct rib_source_stats *k = &src->local[i].stats;

#define SUM(field) out->field += __atomic_load_n(&k->field, __ATOMIC_RELAXED)
		SUM(received);
		SUM(filtered);
		SUM(imported);
		SUM(preferred);
		SUM(updates_received);
		SUM(updates_rejected);
		SUM(updates_filtered);
		SUM(updates_ignored);
		SUM(updates_accepted);
		SUM(withdraws_received);
		SUM(withdraws_ignored);
		SUM(withdraws_accepted);
#undef SUM
	}
	out->receive_hit = atomic_load_explicit(&src->receive_hit, memory_order_relaxed);
	out->import_hit = atomic_load_explicit(&src->import_hit, memory_order_relaxed);
}

void rib_source_passed_over(
	struct rib_source *src, const struct rib_shard *shard, unsigned announced, unsigned withdrawn)
{
	struct rib_source_stats *k = &src->local[shard->number].stats;

	count_add(&k->updates_received, announced);
	count_add(&k->updates_rejected, announced);
	count_add(&k->withdraws_received, withdrawn);
}

/* ---- batches ---- */

/* What goes to one shard: entries of 32-bit words. No attributes: a withdrawal; no origin: the source is the
 * origin. */
enum { ENTRY_HASH, ENTRY_ATTRS, ENTRY_PATH, ENTRY_ORIGIN, ENTRY_KEY };

struct parcel {
	struct item item;
	struct rib_source *source;
	uint32_t n, cap, at; /* entries; at: processed */
	uint32_t words[];    /* n times (ENTRY_KEY + key_words) */
};

struct rib_batch {
	struct rib_source *source;
	unsigned count, stride;
	uint32_t run_attrs, run_n; /* references for the last ones are taken together */
	struct parcel *parcel[];
};

enum { PARCEL_FIRST = 64, AHEAD = 8 };

struct rib_batch *rib_batch_create(struct rib_source *src)
{
	unsigned n = src->rib->n_shards;
	struct rib_batch *b = memory_zero(sizeof(*b) + n * sizeof(b->parcel[0]));

	b->source = src;
	b->stride = ENTRY_KEY + src->table->key_words;
	return b;
}

/* Takes the references of the run that ends; the first one was taken when it began, so that the caller may
 * let go of its own. */
static void end_run(struct rib_batch *b)
{
	if (b->run_n > 1)
		attrs_hold_n(b->run_attrs, b->run_n - 1);
	b->run_n = 0;
	b->run_attrs = 0;
}

/* Nets that are bytes are held by each entry. */
static void parcel_free(struct parcel *p)
{
	const struct rib_table *t = p ? p->source->table : NULL;
	unsigned stride = t ? ENTRY_KEY + t->key_words : 0;

	if (t && key_is_nlri(t->key_words))
		for (uint32_t k = 0; k < p->n; k++)
			nlri_key_release(t->rib, p->words + k * stride + ENTRY_KEY);
	memory_free(p);
}

void rib_batch_discard(struct rib_batch *b)
{
	end_run(b);
	for (unsigned i = 0; i < b->source->rib->n_shards; i++) {
		struct parcel *p = b->parcel[i];

		for (uint32_t k = 0; p && k < p->n; k++)
			attrs_release(p->words[k * b->stride + ENTRY_ATTRS]);
		parcel_free(p);
	}
	memory_free(b);
}

static void add(struct rib_batch *b, const struct net *n, uint32_t origin, uint32_t path_id, uint32_t attrs)
{
	const struct rib_table *t = b->source->table;
	struct rib *rib = t->rib;
	uint32_t key[KEY_WORDS], *w;
	struct parcel *p;
	uint64_t hash;
	unsigned shard;

	if (key_is_nlri(t->key_words))
		nlri_key_take(rib, n, key);
	else
		key_of(t->net, n, key);
	hash = key_hash(rib, key, t->key_words);
	shard = shard_of(rib, t->net, key, hash);
	p = b->parcel[shard];
	if (!p || p->n == p->cap) {
		uint32_t cap = p ? 2 * p->cap : PARCEL_FIRST;
		bool fresh = !p;

		p = b->parcel[shard] =
			memory_grow(p, sizeof(*p) + (size_t)cap * b->stride * sizeof(uint32_t));
		if (fresh)
			*p = (struct parcel){.source = b->source};
		p->cap = cap;
	}
	w = p->words + (size_t)p->n++ * b->stride;
	w[ENTRY_HASH] = index_hash(hash);
	w[ENTRY_ATTRS] = attrs;
	w[ENTRY_PATH] = path_id;
	w[ENTRY_ORIGIN] = origin;
	memcpy(w + ENTRY_KEY, key, 4 * (size_t)t->key_words);
	b->count++;
	if (!attrs)
		return;
	if (attrs != b->run_attrs) {
		end_run(b);
		b->run_attrs = attrs;
		attrs_hold(attrs);
	}
	b->run_n++;
}

void rib_batch_announce(struct rib_batch *b, const struct net *n, uint32_t path_id, uint32_t attrs)
{
	add(b, n, 0, path_id, attrs);
}

void rib_batch_withdraw(struct rib_batch *b, const struct net *n, uint32_t path_id)
{
	add(b, n, 0, path_id, 0);
}

void rib_batch_announce_from(
	struct rib_batch *b, const struct net *n, uint32_t origin, uint32_t path_id, uint32_t attrs)
{
	add(b, n, origin, path_id, attrs);
}

void rib_batch_withdraw_from(struct rib_batch *b, const struct net *n, uint32_t origin, uint32_t path_id)
{
	add(b, n, origin, path_id, 0);
}

unsigned rib_batch_count(const struct rib_batch *b)
{
	return b->count;
}

/* Processed entries leave the queue; perhaps the owner waits for that. */
static void drained(struct rib_source *src, uint32_t n)
{
	uint32_t left = atomic_fetch_sub(&src->queued, n) - n;

	atomic_fetch_sub_explicit(&src->rib->queued, n, memory_order_relaxed);
	if (left < OWN_LOW && atomic_load(&src->paused) && atomic_exchange(&src->paused, false)) {
		const struct source_conf *k = rcu_dereference(src->conf);

		pthread_mutex_lock(&src->telling);
		if (k->c.resume && !src->silent)
			k->c.resume(k->c.ctx);
		pthread_mutex_unlock(&src->telling);
	}
}

/*
 * A route touches a bucket of the index, a net, a route and an attribute set, anywhere in memory. Each is
 * asked for AHEAD routes before it is looked at; what the index says about a net is kept as a hint until its
 * turn comes.
 */
static inline uint32_t prefetch_net(const struct part *p, const uint32_t *w)
{
	struct index_probe probe = index_probe(&p->index, w[ENTRY_HASH]);
	uint32_t i;

	if (!index_next(&probe, &i))
		return POOL_NONE;
	__builtin_prefetch(pool_at(&p->nets, i));
	return i;
}

static inline void prefetch_route(const struct part *p, const uint32_t *w, uint32_t before, uint32_t net)
{
	uint32_t route =
		net < p->nets.end ? ((const struct net_record *)pool_at(&p->nets, net))->first : POOL_NONE;

	if (route < p->routes.end)
		__builtin_prefetch(pool_at(&p->routes, route));
	if (w[ENTRY_ATTRS] && w[ENTRY_ATTRS] != before) /* runs have equal ones */
		__builtin_prefetch((const char *)attrs_get(w[ENTRY_ATTRS]) + offsetof(struct attrs, present));
}

static bool parcel_run(struct rib_shard *s, struct item *item, uint64_t deadline_ns)
{
	struct parcel *p = caa_container_of(item, struct parcel, item);
	struct rib_source *src = p->source;
	struct part *part = &src->table->part[s->number];
	struct local_source *l = &src->local[s->number];
	unsigned stride = ENTRY_KEY + src->table->key_words;
	const uint32_t *w = p->words + (size_t)p->at * stride;
	uint32_t hint[4 * AHEAD], left = p->n - p->at, i;

	for (i = 0; i < 2 * AHEAD; i++)
		hint[i] = POOL_NONE;
	for (i = 0; i < left; i++, w += stride) {
		struct update u = {
			.part = part,
			.source = l,
			.key = w + ENTRY_KEY,
			.hash = w[ENTRY_HASH],
			.hint = hint[i % (4 * AHEAD)],
			.path = w[ENTRY_PATH],
			.attrs = w[ENTRY_ATTRS],
		};

		if (i && i % 64 == 0 && clock_now_ns() >= deadline_ns)
			break;
		/* The parcel itself comes from another core's cache. */
		__builtin_prefetch(w + 6 * AHEAD * stride);
		if (i + 3 * AHEAD < left)
			index_prefetch(&part->index, w[3 * AHEAD * stride + ENTRY_HASH]);
		if (i + 2 * AHEAD < left)
			hint[(i + 2 * AHEAD) % (4 * AHEAD)] = prefetch_net(part, w + 2 * AHEAD * stride);
		if (i + AHEAD < left)
			prefetch_route(part, w + AHEAD * stride, w[(AHEAD - 1) * stride + ENTRY_ATTRS],
				hint[(i + AHEAD) % (4 * AHEAD)]);
		if (w[ENTRY_ORIGIN]) {
			u.piped = true;
			u.path = origin_key(s, w[ENTRY_ORIGIN], u.path);
		}
		update_apply(s, &u);
	}
	p->at += i;
	drained(src, i);
	if (p->at < p->n)
		return false;
	parcel_free(p);
	return true;
}

bool rib_submit(struct rib_batch *b)
{
	struct rib_source *src = b->source;
	struct rib *rib = src->rib;
	uint32_t own, high;
	bool pause;

	end_run(b);
	own = atomic_fetch_add(&src->queued, b->count) + b->count;
	high = atomic_fetch_add_explicit(&rib->queued, b->count, memory_order_relaxed) + b->count > TOTAL_HIGH
		       ? CROWDED_HIGH
		       : OWN_HIGH;
	/* Before the parcels go: if it is so much, they cannot have been processed before the pause is known.
	 */
	pause = own > high;
	if (pause)
		atomic_store(&src->paused, true);
	for (unsigned i = 0; i < rib->n_shards; i++)
		if (b->parcel[i]) {
			b->parcel[i]->item.run = parcel_run;
			shard_push(&rib->shard[i], &b->parcel[i]->item);
		}
	memory_free(b);
	return !pause;
}
