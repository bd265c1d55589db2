/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See roa.h. The index: net records (prefix, or ASN for ASPA) with a list of
 * entries (ASN and maximum length, or a provider), in the same structures and
 * with the same sequence counters as a table's part.
 *
 * A check asks for every prefix length that may cover; which ones exist is kept by
 * the leading bits of the address, so that a few look-ups are made, not
 * twenty. Bits are only set: a length that is gone costs a look-up, no more.
 *
 * The registry of names is the one thing here that is the process's: filters name
 * tables, configurations come and go, and the interface has no context (filter.h).
 */
#include "controlplane/rib/roa.h"
#include "controlplane/rib/internal.h"
#include "shared/log.h"
#include <stdlib.h>

enum {
	SETTLE_NS = 200000000, /* from the first change to evaluating again */
	BUCKETS = 1 << 16,     /* of leading bits */
	SHORT4 = 16,
	SHORT6 = 24, /* bits that choose a bucket; shorter prefixes are in the common map */
};

struct lengths {
	uint64_t w[3];
};

struct roa_entry {
	uint32_t asn, maxlen, next;
};

struct roa_table {
	struct rib_table *table;
	unsigned words;       /* of keys */
	pthread_mutex_t lock; /* writers: shards */
	struct index index;
	struct pool nodes, entries;
	struct lengths common; /* of the shorter ones */
	struct lengths *bucket;
};

struct roa_handle {
	struct roa_handle *next; /* never freed */
	enum net_type net;
	struct roa_table *table; /* RCU; NULL: there is none at present */
	bool held;               /* atomic; filters that ask it reject */
	char name[];
};

static struct {
	pthread_mutex_t lock;
	struct roa_handle *handles;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- names ---- */

static struct roa_handle *handle_of(const char *name, enum net_type net)
{
	struct roa_handle *h;

	for (h = registry.handles; h; h = h->next)
		if (h->net == net && strcmp(h->name, name) == 0)
			return h;
	h = memory_zero(sizeof(*h) + strlen(name) + 1);
	strcpy(h->name, name);
	h->net = net;
	h->next = registry.handles;
	registry.handles = h;
	return h;
}

static void *table_handle(const char *name, enum net_type net)
{
	struct roa_handle *h;

	pthread_mutex_lock(&registry.lock);
	h = handle_of(name, net);
	pthread_mutex_unlock(&registry.lock);
	return h;
}

struct roa_table *roa_table_create(struct rib_table *t)
{
	struct roa_table *r = memory_zero(sizeof(*r));
	struct roa_handle *h;

	r->table = t;
	r->words = t->net == NET_ROA4 ? 2 : t->net == NET_ROA6 ? 5 : 1;
	pthread_mutex_init(&r->lock, NULL);
	pool_init(&r->nodes, sizeof(struct net_record) + 4 * r->words, offsetof(struct net_record, key));
	pool_init(&r->entries, sizeof(struct roa_entry), offsetof(struct roa_entry, next));
	if (t->net != NET_ASPA)
		r->bucket = memory_zero(BUCKETS * sizeof(*r->bucket));
	pthread_mutex_lock(&registry.lock);
	h = handle_of(t->name, t->net);
	rcu_assign_pointer(h->table, r);
	pthread_mutex_unlock(&registry.lock);
	return r;
}

void roa_table_unlink(struct roa_table *r)
{
	pthread_mutex_lock(&registry.lock);
	for (struct roa_handle *h = registry.handles; h; h = h->next)
		if (h->table == r) {
			__atomic_store_n(&h->held, false, __ATOMIC_RELEASE);
			rcu_assign_pointer(h->table, NULL);
		}
	pthread_mutex_unlock(&registry.lock);
}

void roa_table_destroy(struct roa_table *r)
{
	index_destroy(&r->index);
	pool_destroy(&r->nodes);
	pool_destroy(&r->entries);
	memory_free(r->bucket);
	pthread_mutex_destroy(&r->lock);
	memory_free(r);
}

/* ---- lengths ---- */

static unsigned bucket_of(const uint32_t *key, unsigned words)
{
	uint32_t top = ntohl(key[0]);

	return words == 2 ? top >> (32 - SHORT4) : (uint32_t)hash_u64(top >> (32 - SHORT6), 0) % BUCKETS;
}

static struct lengths *lengths_of(struct roa_table *r, const uint32_t *key, unsigned len)
{
	return len < (r->words == 2 ? SHORT4 : SHORT6) ? &r->common : &r->bucket[bucket_of(key, r->words)];
}

static void mask(uint32_t *key, unsigned words, unsigned len)
{
	unsigned n = words - 1;

	for (unsigned i = 0; i < n; i++) {
		unsigned bits = len > 32 * i ? len - 32 * i : 0;

		if (bits < 32)
			key[i] &= htonl(bits ? UINT32_MAX << (32 - bits) : 0);
	}
	key[n] = len;
}

/* ---- writing: locked ---- */

static uint32_t node_find(struct roa_table *r, const uint32_t *key, uint32_t hash)
{
	struct index_probe probe = index_probe(&r->index, hash);
	uint32_t i;

	while (index_next(&probe, &i))
		if (memcmp(((struct net_record *)pool_at(&r->nodes, i))->key, key, 4 * (size_t)r->words) == 0)
			return i;
	return POOL_NONE;
}

static uint32_t hash_of(const struct roa_table *r, const uint32_t *key)
{
	return index_hash(key_hash(r->table->rib, key, r->words));
}

static struct net_record *node_get(struct roa_table *r, const uint32_t *key)
{
	uint32_t hash = hash_of(r, key), i = node_find(r, key, hash);
	struct net_record *n;

	if (i != POOL_NONE)
		return pool_at(&r->nodes, i);
	i = pool_take(&r->nodes);
	n = pool_at(&r->nodes, i);
	net_begin(n);
	put32(&n->first, POOL_NONE);
	for (unsigned k = 0; k < r->words; k++)
		put32(&n->key[k], key[k]);
	net_end(n);
	index_insert(&r->index, hash, i);
	if (r->bucket) {
		unsigned len = key[r->words - 1];
		struct lengths *l = lengths_of(r, key, len);

		__atomic_store_n(&l->w[len / 64], l->w[len / 64] | UINT64_C(1) << len % 64, __ATOMIC_RELEASE);
	}
	return n;
}

static void node_drop(struct roa_table *r, struct net_record *n)
{
	uint32_t hash = hash_of(r, n->key), i = node_find(r, n->key, hash);

	index_remove(&r->index, hash, i);
	net_begin(n);
	pool_give(&r->nodes, i);
	net_end(n);
}

static void entry_add(struct roa_table *r, struct net_record *n, uint32_t asn, uint32_t maxlen)
{
	uint32_t i = pool_take(&r->entries);
	struct roa_entry *e = pool_at(&r->entries, i);

	net_begin(n);
	put32(&e->asn, asn);
	put32(&e->maxlen, maxlen);
	put32(&e->next, n->first);
	put32(&n->first, i);
	net_end(n);
}

/* all: whatever their numbers. */
static void entry_remove(struct roa_table *r, struct net_record *n, uint32_t asn, uint32_t maxlen, bool all)
{
	uint32_t *at = &n->first;

	net_begin(n);
	while (*at != POOL_NONE) {
		uint32_t i = *at;
		struct roa_entry *e = pool_at(&r->entries, i);

		if (!all && (e->asn != asn || e->maxlen != maxlen)) {
			at = &e->next;
			continue;
		}
		put32(at, e->next);
		pool_give(&r->entries, i);
		if (!all)
			break;
	}
	net_end(n);
}

/* ---- changes are collected ---- */

struct roa_notifier {
	struct rib *rib;
	pthread_mutex_t lock;
	struct prefix *pending;
	unsigned n, cap;
	bool forced; /* also those that do not want to be told */
	struct cover_call *then;
};

struct roa_notifier *roa_notifier_create(struct rib *rib)
{
	struct roa_notifier *n = memory_zero(sizeof(*n));

	n->rib = rib;
	pthread_mutex_init(&n->lock, NULL);
	return n;
}

void roa_notifier_destroy(struct roa_notifier *n)
{
	memory_free(n->pending);
	pthread_mutex_destroy(&n->lock);
	memory_free(n);
}

static void arm(struct rib_shard *s, void *arg)
{
	s->wake_ns = clock_now_ns() + SETTLE_NS;
}

static void notify(struct rib *rib, const struct prefix *p, unsigned n, bool forced)
{
	struct roa_notifier *x = rib->roa;
	bool first;

	pthread_mutex_lock(&x->lock);
	first = x->n == 0 && !x->then;
	if (x->n + n > x->cap) {
		x->cap = 2 * (x->n + n);
		x->pending = memory_grow(x->pending, x->cap * sizeof(*x->pending));
	}
	memcpy(x->pending + x->n, p, n * sizeof(*p));
	x->n += n;
	x->forced |= forced;
	pthread_mutex_unlock(&x->lock);
	if (first)
		rib_shard_call(rib, 0, arm, NULL);
}

void rib_roa_settle(struct rib *rib, void (*done)(void *ctx), void *ctx)
{
	struct cover_call *call = memory_take(sizeof(*call));
	struct roa_notifier *x = rib->roa;
	bool first;

	pthread_mutex_lock(&x->lock);
	first = x->n == 0 && !x->then;
	*call = (struct cover_call){x->then, done, ctx};
	x->then = call;
	pthread_mutex_unlock(&x->lock);
	if (first)
		rib_shard_call(rib, 0, arm, NULL);
}

void roa_settled(struct rib_shard *s)
{
	struct roa_notifier *x = s->rib->roa;
	struct cover_call *then;
	struct prefix *list;
	struct rib_cover *c;
	unsigned n;
	bool forced;

	pthread_mutex_lock(&x->lock);
	list = x->pending;
	n = x->n;
	forced = x->forced;
	then = x->then;
	x->forced = false;
	x->then = NULL;
	x->pending = NULL;
	x->n = x->cap = 0;
	pthread_mutex_unlock(&x->lock);
	if (!n && !then)
		return; /* the timer is not ours alone */
	c = cover_of_prefixes(list, n, forced);
	cover_then(c, then);
	memory_free(list);
	cover_start(s->rib, c);
	cover_release(c);
}

static void notify_everything(struct rib *rib, bool forced)
{
	struct ipaddr v4 = ipaddr_v4(0), v6 = {.q = {0, 0}};
	struct prefix all[2] = {prefix_make(&v4, 0), prefix_make(&v6, 0)};

	notify(rib, all, 2, forced);
}

void rib_roa_hold(struct rib_table *t, bool held)
{
	struct roa_handle *h = table_handle(t->name, t->net);

	if (__atomic_exchange_n(&h->held, held, __ATOMIC_ACQ_REL) != held)
		notify_everything(t->rib, true);
}

void roa_changed(struct rib_table *t, const uint32_t *key, uint32_t old_attrs, uint32_t attrs)
{
	struct roa_table *r = t->roa;
	struct net_record *n;
	uint32_t k[8];
	struct net net;

	if (t->net != NET_ASPA && !old_attrs == !attrs)
		return;
	key_net(t->net, key, &net);
	memcpy(k, key, 4 * (size_t)r->words);
	if (t->net != NET_ASPA)
		k[r->words - 1] = net.prefix.len;
	pthread_mutex_lock(&r->lock);
	n = node_get(r, k);
	if (t->net == NET_ASPA) {
		const struct attr_extra *x =
			attrs ? attrs_find_extra(attrs_get(attrs), ATTR_EXTRA_ASPA_PROVIDERS) : NULL;
		uint32_t provider;

		entry_remove(r, n, 0, 0, true);
		for (unsigned i = 0; x && i + 4 <= x->len; i += 4) {
			memcpy(&provider, (const uint8_t *)x->data + i, 4);
			entry_add(r, n, provider, 0);
		}
		/* AS 0 is nobody's provider: an attestation that says "none" has an entry nevertheless. */
		if (attrs && n->first == POOL_NONE)
			entry_add(r, n, 0, 0);
	} else if (attrs) {
		entry_add(r, n, net.asn, net.maxlen);
	} else {
		entry_remove(r, n, net.asn, net.maxlen, false);
	}
	if (n->first == POOL_NONE)
		node_drop(r, n);
	pthread_mutex_unlock(&r->lock);

	if (t->net == NET_ASPA)
		notify_everything(t->rib, false);
	else
		notify(t->rib, &net.prefix, 1, false);
}

/* ---- checks: any thread, under rcu_read_lock() ---- */

enum answer { UNKNOWN, VALID, INVALID }; /* ROA_* and ASPA_* */

/* What is asked of the entries of a prefix, and what they answered. */
struct seen {
	uint32_t asn, len;
	bool any, match;
};

static void look_up(struct roa_table *r, const uint32_t *key, struct seen *seen)
{
	uint32_t candidates[16], n = index_candidates(&r->index, hash_of(r, key), candidates, 16);

	for (uint32_t c = 0; c < n; c++) {
		struct net_record *node = pool_peek(&r->nodes, candidates[c]);

		while (node) {
			uint32_t seq = get32(&node->seq), i, steps = 0;
			bool same = true, any = false, match = false;

			if (seq & 1)
				continue;
			for (unsigned k = 0; k < r->words; k++)
				same &= get32(&node->key[k]) == key[k];
			for (i = same ? get32(&node->first) : POOL_NONE; i != POOL_NONE;) {
				struct roa_entry *e = pool_peek(&r->entries, i);

				if (!e || (++steps % 1024 == 0 && get32(&node->seq) != seq))
					break;
				any = true;
				match |= get32(&e->asn) == seen->asn && get32(&e->maxlen) >= seen->len;
				i = get32(&e->next);
			}
			if (get32(&node->seq) != seq)
				continue;
			seen->any |= any;
			seen->match |= match;
			break;
		}
	}
}

static int roa_check(void *handle, const struct prefix *p, uint32_t asn)
{
	struct roa_table *r = rcu_dereference(((struct roa_handle *)handle)->table);
	struct seen seen = {.asn = asn, .len = p->len};
	uint32_t address[5], key[5];
	const struct lengths *bucket;

	if (!r || !r->bucket || p->family != (r->words == 2 ? 4 : 6))
		return UNKNOWN;
	if (r->words == 2)
		address[0] = p->addr.w[3];
	else
		memcpy(address, p->addr.w, 16);
	bucket = &r->bucket[bucket_of(address, r->words)];
	for (int w = p->len / 64; w >= 0; w--) {
		uint64_t map = __atomic_load_n(&r->common.w[w], __ATOMIC_ACQUIRE) |
			       __atomic_load_n(&bucket->w[w], __ATOMIC_ACQUIRE);

		if (w == p->len / 64 && p->len % 64 != 63)
			map &= (UINT64_C(2) << p->len % 64) - 1;
		for (; map; map &= ~(UINT64_C(1) << (63 - __builtin_clzll(map)))) {
			memcpy(key, address, sizeof(key));
			mask(key, r->words, (unsigned)(64 * w + 63 - __builtin_clzll(map)));
			look_up(r, key, &seen);
			if (seen.match && asn)
				return VALID;
		}
	}
	return seen.any ? INVALID : UNKNOWN;
}

static bool is_held(void *handle)
{
	return __atomic_load_n(&((struct roa_handle *)handle)->held, __ATOMIC_ACQUIRE);
}

/* Is provider one of customer's? UNKNOWN: the customer attests nothing. */
static enum answer provides(struct roa_table *r, uint32_t customer, uint32_t provider)
{
	struct seen seen = {.asn = provider};

	look_up(r, &customer, &seen);
	return !seen.any ? UNKNOWN : seen.match ? VALID : INVALID;
}

/* draft-ietf-sidrops-aspa-verification: as[0] is the neighbour, as[n - 1] the origin. */
static int aspa_verify(struct roa_table *r, const uint32_t *as, unsigned n, bool upstream)
{
	unsigned max_up, min_up, max_down, min_down;
	bool certain;

	if (upstream) {
		int result = VALID;

		for (unsigned i = n - 1; i > 0; i--) {
			enum answer a = provides(r, as[i], as[i - 1]);

			if (a == INVALID)
				return INVALID;
			if (a == UNKNOWN)
				result = UNKNOWN;
		}
		return result;
	}
	/* Ramps: from the origin up, from the neighbour up; how far they go at most and for certain. */
	max_up = min_up = 1;
	certain = true;
	for (unsigned i = n - 1; i > 0; i--) {
		enum answer a = provides(r, as[i], as[i - 1]);

		if (a == INVALID)
			break;
		certain &= a == VALID;
		max_up++;
		min_up += certain;
	}
	max_down = min_down = 1;
	certain = true;
	for (unsigned i = 0; i + 1 < n; i++) {
		enum answer a = provides(r, as[i], as[i + 1]);

		if (a == INVALID)
			break;
		certain &= a == VALID;
		max_down++;
		min_down += certain;
	}
	if (max_up + max_down < n)
		return INVALID;
	return min_up + min_down < n ? UNKNOWN : VALID;
}

static int aspa_check(void *handle, const uint8_t *path, unsigned bytes, bool upstream)
{
	struct roa_table *r = rcu_dereference(((struct roa_handle *)handle)->table);
	uint32_t stack[256], *as = stack;
	const uint8_t *end = path + bytes;
	unsigned n = 0;
	int result;

	if (!r)
		return UNKNOWN;
	if (bytes / 4 > 256)
		as = memory_take(bytes);
	for (; end - path >= 2; path += 2 + 4 * path[1]) {
		unsigned type = path[0], count = path[1];

		if ((size_t)(end - path) < 2 + 4 * (size_t)count)
			break;
		if (type == 3 || type == 4) /* within a confederation */
			continue;
		if (type != 2) {
			n = 0;
			break; /* sets cannot be verified */
		}
		for (unsigned i = 0; i < count; i++) {
			uint32_t asn;

			memcpy(&asn, path + 2 + 4 * i, 4);
			asn = ntohl(asn);
			if (!n || as[n - 1] != asn)
				as[n++] = asn;
		}
	}
	result = n ? aspa_verify(r, as, n, upstream) : INVALID;
	if (as != stack)
		memory_free(as);
	return result;
}

void rib_register_roa_ops(void)
{
	static const struct filter_roa_ops ops = {.table_handle = table_handle,
		.roa_check = roa_check,
		.aspa_check = aspa_check,
		.held = is_held};

	filter_set_roa_ops(&ops);
}
