/* SPDX-License-Identifier: BSD-2-Clause */
/* See flow_base.h. */
#include "controlplane/rib/flow_base.h"
#include "controlplane/filter/flow.h"
#include "controlplane/rib/internal.h"

enum {
	SETTLE_NS = 200000000, /* from the first change to looking at rules again */
	PENDING_MAX = 4096,    /* changed prefixes; with more, all rules are looked at */
};

/* What a verdict wants to know of a prefix's best route. */
struct facts {
	bool bgp;
	uint32_t as; /* neighbouring; 0: there is none, and nothing is of the same */
	uint32_t originator;
	struct ipaddr from;
};

struct node {
	struct node *child[2], *up;
	struct prefix prefix;
	bool route;         /* false: a fork only, with two children */
	uint32_t common_as; /* of all routes from here on down; 0: there is more than one, or a route without
			     */
	struct facts facts;
};

struct flow_base {
	struct flow_base *next;
	struct flow_bases *all;
	struct rib_table *table;
	struct rib_listener *listener;
	unsigned refs; /* all->lock */
	_Atomic unsigned closing;
	pthread_mutex_t lock;
	struct node *root;
};

struct flow_bases {
	struct rib *rib;
	pthread_mutex_t lock;
	struct flow_base *bases;
	struct prefix *pending;
	unsigned n_pending;
};

/* ---- the tree ---- */

static unsigned bit_at(const struct prefix *p, unsigned i)
{
	i += p->family == 4 ? 96 : 0;
	return p->addr.b[i / 8] >> (7 - i % 8) & 1;
}

/* Leading bits that both have. */
static unsigned common_bits(const struct prefix *a, const struct prefix *b)
{
	unsigned most = a->len < b->len ? a->len : b->len, base = a->family == 4 ? 12 : 0, n = 0;

	while (n < most) {
		unsigned differ = a->addr.b[base + n / 8] ^ b->addr.b[base + n / 8];

		if (differ) {
			n += (unsigned)__builtin_clz(differ) - 24;
			break;
		}
		n += 8;
	}
	return n < most ? n : most;
}

static struct node **link_of(struct flow_base *b, const struct node *n)
{
	return !n->up ? &b->root : &n->up->child[n->up->child[1] == n];
}

static uint32_t common_as(const struct node *n)
{
	uint32_t as = 0;
	bool any = false;

	if (n->route) {
		as = n->facts.as;
		any = true;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (!n->child[i])
			continue;
		if (any && as != n->child[i]->common_as)
			return 0;
		as = n->child[i]->common_as;
		any = true;
	}
	return as;
}

/* From where something has changed up to where nothing has. */
static void carry_up(struct node *n)
{
	for (; n; n = n->up) {
		uint32_t as = common_as(n);

		if (as == n->common_as)
			return;
		n->common_as = as;
	}
}

/* Of the first len bits of p. */
static struct node *node_make(struct node *up, const struct prefix *p, unsigned len)
{
	struct node *n = memory_zero(sizeof(*n));
	unsigned first = p->family == 4 ? 96 : 0;

	n->up = up;
	n->prefix = *p;
	n->prefix.len = (uint8_t)len;
	for (unsigned i = len; i < p->len; i++)
		n->prefix.addr.b[(first + i) / 8] &= (uint8_t) ~(0x80 >> (first + i) % 8);
	return n;
}

static void hang(struct node *under, struct node *n)
{
	under->child[bit_at(&n->prefix, under->prefix.len)] = n;
	n->up = under;
}

static struct node *find(const struct flow_base *b, const struct prefix *p)
{
	struct node *n = b->root;

	while (n && n->prefix.len < p->len && prefix_contains(&n->prefix, p))
		n = n->child[bit_at(p, n->prefix.len)];
	return n && prefix_cmp(&n->prefix, p) == 0 ? n : NULL;
}

/* The node of a prefix, made where there is none. */
static struct node *node_get(struct flow_base *b, const struct prefix *p)
{
	struct node **at = &b->root, *up = NULL, *n, *made, *fork;
	unsigned bits = 0;

	while ((n = *at)) {
		bits = common_bits(&n->prefix, p);
		if (bits < n->prefix.len)
			break;
		if (n->prefix.len == p->len)
			return n;
		up = n;
		at = &n->child[bit_at(p, n->prefix.len)];
	}
	made = node_make(up, p, p->len);
	if (!n) {
		*at = made;
		return made;
	}
	if (bits == p->len) {
		*at = made;
		hang(made, n);
		return made;
	}
	*at = fork = node_make(up, p, bits);
	fork->common_as = n->common_as; /* as those above know it */

	hang(fork, n);
	hang(fork, made);
	return made;
}

/* A node without a route and with less than two children is none. Returns where something has changed. */
static struct node *node_prune(struct flow_base *b, struct node *n)
{
	while (n && !n->route && !(n->child[0] && n->child[1])) {
		struct node *up = n->up, *only = n->child[0] ? n->child[0] : n->child[1];

		*link_of(b, n) = only;
		if (only)
			only->up = up;
		memory_free(n);
		n = up;
		if (only)
			break;
	}
	return n;
}

/* f: NULL: the prefix has no route. Returns whether that is new. */
static bool tree_set(struct flow_base *b, const struct prefix *p, const struct facts *f)
{
	struct node *n = f ? node_get(b, p) : find(b, p);

	if (!f) {
		if (!n || !n->route)
			return false;
		n->route = false;
		carry_up(node_prune(b, n));
		return true;
	}
	if (n->route && n->facts.bgp == f->bgp && n->facts.as == f->as &&
		n->facts.originator == f->originator && ipaddr_equal(&n->facts.from, &f->from))
		return false;
	n->route = true;
	n->facts = *f;
	n->common_as = common_as(n);
	if (n->up)
		carry_up(n->up);
	return true;
}

static void tree_free(struct flow_base *b)
{
	struct node *n = b->root;

	while (n) {
		struct node *up = n->up, *down = n->child[0] ? n->child[0] : n->child[1];

		if (down) {
			n = down;
			continue;
		}
		*link_of(b, n) = NULL;
		memory_free(n);
		n = up;
	}
}

/* ---- the rule ---- */

static uint32_t originator(const struct attrs *a)
{
	return a->present & ATTR_ORIGINATOR ? a->originator_id : 0;
}

static struct ipaddr neighbor(const struct attrs *a, const struct rib_peer *peer)
{
	return a->present & ATTR_FROM ? a->from : peer->addr;
}

bool flow_base_allows(
	struct flow_base *b, const struct net *rule, const struct attrs *a, const struct rib_peer *peer)
{
	bool interior = !peer->external || peer->confed, allowed = false;
	const struct node *best = NULL, *n;
	struct ipaddr from = neighbor(a, peer);
	struct prefix dst;

	if (!flow_prefix(rule->nlri, rule->type == NET_FLOW6, FLOW_DST, &dst))
		return false;
	if (interior && !a->as_path_bytes)
		return true;
	pthread_mutex_lock(&b->lock);
	for (n = b->root; n && n->prefix.len < dst.len && prefix_contains(&n->prefix, &dst);
		n = n->child[bit_at(&dst, n->prefix.len)])
		if (n->route)
			best = n;
	/* Where all of the destination's more specific routes are. */
	if (n && !prefix_contains(&dst, &n->prefix))
		n = NULL;
	if (n && n->route && n->prefix.len == dst.len)
		best = n;
	if (best && best->facts.bgp && best->facts.as && best->facts.originator == originator(a) &&
		(best->facts.originator || ipaddr_equal(&best->facts.from, &from)))
		allowed = (interior || attrs_neighbor_as(a) == best->facts.as) &&
			  (!n || n->common_as == best->facts.as);
	pthread_mutex_unlock(&b->lock);
	return allowed;
}

/* ---- following the table ---- */

static void arm(struct rib_shard *s, void *arg)
{
	if (!s->wake_ns)
		s->wake_ns = clock_now_ns() + SETTLE_NS;
}

static void note(struct flow_bases *all, const struct prefix *list, unsigned n)
{
	static const struct prefix everything[2] = {
		{.addr.b = {[10] = 0xff, [11] = 0xff}, .family = 4}, {.family = 6}};
	bool first;

	if (!n)
		return;
	pthread_mutex_lock(&all->lock);
	first = !all->n_pending;
	if (!all->pending)
		all->pending = memory_take(PENDING_MAX * sizeof(*all->pending));
	if (n > PENDING_MAX - all->n_pending) {
		memcpy(all->pending, everything, sizeof(everything));
		all->n_pending = 2;
	} else {
		memcpy(all->pending + all->n_pending, list, n * sizeof(*list));
		all->n_pending += n;
	}
	pthread_mutex_unlock(&all->lock);
	if (first)
		rib_shard_call(all->rib, 0, arm, NULL);
}

static void changed(void *ctx, struct rib_shard *s, const struct rib_change *c, unsigned n, bool dump)
{
	struct flow_base *b = ctx;
	struct prefix list[CHANGES];
	unsigned k = 0;

	pthread_mutex_lock(&b->lock);
	for (unsigned i = 0; i < n; i++) {
		const struct rib_source *src;
		const struct attrs *a;
		struct facts f = {0};

		if (c[i].best_attrs) {
			a = attrs_get(c[i].best_attrs);
			src = rib_source_by_id(s->rib, c[i].best_source);
			f.bgp = src && rib_source_config(src)->source == RTS_BGP;
			if (f.bgp) {
				f.as = attrs_neighbor_as(a);
				f.originator = originator(a);
				f.from = neighbor(a, &rib_source_config(src)->peer);
			}
		}
		if (tree_set(b, &c[i].net->prefix, c[i].best_attrs ? &f : NULL))
			list[k++] = c[i].net->prefix;
		if (k == CHANGES) {
			note(b->all, list, k);
			k = 0;
		}
	}
	pthread_mutex_unlock(&b->lock);
	note(b->all, list, k);
}

static void closed(void *ctx, struct rib_shard *s)
{
	struct flow_base *b = ctx;

	if (atomic_fetch_sub(&b->closing, 1) > 1)
		return;
	tree_free(b);
	pthread_mutex_destroy(&b->lock);
	memory_free(b);
}

static void dumped(void *ctx, struct rib_shard *s)
{
}

void flow_bases_settled(struct rib_shard *s)
{
	struct flow_bases *all = s->rib->flow_bases;
	struct prefix *list;
	struct rib_cover *c;
	unsigned n;

	pthread_mutex_lock(&all->lock);
	list = all->pending;
	n = all->n_pending;
	all->pending = NULL;
	all->n_pending = 0;
	pthread_mutex_unlock(&all->lock);
	if (n) {
		c = cover_of_flows(list, n);
		cover_start(s->rib, c);
		cover_release(c);
	}
	memory_free(list);
}

/* ---- life ---- */

struct flow_base *flow_base_take(struct rib_table *t)
{
	static const struct rib_listener_ops ops = {.changed = changed, .dumped = dumped, .closed = closed};
	struct flow_bases *all = t->rib->flow_bases;
	struct flow_base *b;

	pthread_mutex_lock(&all->lock);
	for (b = all->bases; b && b->table != t;)
		b = b->next;
	if (!b) {
		b = memory_zero(sizeof(*b));
		b->all = all;
		b->table = t;
		atomic_init(&b->closing, t->rib->n_shards);
		pthread_mutex_init(&b->lock, NULL);
		b->listener = rib_listener_open(t, RIB_LISTEN_BEST, &ops, b);
		b->next = all->bases;
		all->bases = b;
	}
	b->refs++;
	pthread_mutex_unlock(&all->lock);
	return b;
}

void flow_base_release(struct flow_base *b)
{
	struct flow_bases *all = b->all;
	struct flow_base **at;
	bool last;

	pthread_mutex_lock(&all->lock);
	last = --b->refs == 0;
	if (last) {
		for (at = &all->bases; *at != b;)
			at = &(*at)->next;
		*at = b->next;
	}
	pthread_mutex_unlock(&all->lock);
	if (last)
		rib_listener_close(b->listener);
}

struct flow_bases *flow_bases_create(struct rib *rib)
{
	struct flow_bases *all = memory_zero(sizeof(*all));

	all->rib = rib;
	pthread_mutex_init(&all->lock, NULL);
	return all;
}

void flow_bases_destroy(struct flow_bases *all)
{
	memory_free(all->pending);
	pthread_mutex_destroy(&all->lock);
	memory_free(all);
}
