/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of two routes is better: preference, then the rules of the protocol
 * they come from. For BGP these are RFC 4271 section 9.1.2.2 with the
 * extensions and in the order that users of BIRD rely on:
 *
 *   not suppressed (deterministic med), resolvable next hop, not LLGR-stale,
 *   LOCAL_PREF, AIGP (RFC 7311), AS path length, ORIGIN, MED within one
 *   neighbouring AS, external over internal, IGP metric, [older], ORIGINATOR_ID or
 *   router id, CLUSTER_LIST length (RFC 4456), neighbour address.
 *
 * MED makes it no ordering at all: which route wins may depend on the order of
 * comparison. update.c compares as BIRD does; deterministic med groups first.
 * Shard's thread only, but for rib_distance().
 */
#include "controlplane/rib/internal.h"

/* Neither too far nor a number anybody would configure: BIRD's unknown metric. */
#define METRIC_UNKNOWN 0x80000000u

static const struct rib_peer nobody;

/* conf: of the source that made the route, NULL: gone, as the origin of a pipe's route may be an instant
 * before the route is. home: the table it announces to. */
static inline void fill(struct rib *rib, const struct attrs *a, const struct rib_source_config *conf,
	struct rib_table *home, unsigned flags, struct candidate *out)
{
	out->flags = flags;
	out->attrs = a;
	out->peer = conf ? &conf->peer : &nobody;
	out->source = conf ? conf->source : RTS_NONE;
	out->metric = a->present & ATTR_IGP_METRIC ? a->igp_metric
		      : out->source == RTS_BGP     ? 0
						   : METRIC_UNKNOWN;
	out->resolvable = a->dest != RTD_UNREACHABLE;
	if (a->derived & ATTRD_RECURSIVE) {
		const struct rib_table *igp = conf ? conf->igp_table : NULL;
		struct nht *nht = atomic_load_explicit(&rib->nht, memory_order_acquire);
		const struct nht_answer *answer = NULL;

		if (nht && conf)
			answer = nht_lookup(nht, (struct rib_table *)(igp ? igp : home), &a->nexthop[0].gw);
		out->resolvable = answer && answer->reachable;
		out->metric = answer ? answer->metric : METRIC_UNKNOWN;
	}
}

void candidate_of(struct rib_shard *s, const struct route_record *r, struct candidate *out)
{
	uint32_t origin = route_owner(r), path;
	unsigned flags = route_flags(r);
	const struct local_source *l;

	if (flags & RECORD_PIPED)
		origin_of_key(s, r->path, &origin, &path);
	l = shard_source(s, origin);
	fill(s->rib, attrs_get(r->attrs), l ? &l->conf->c : NULL, l ? l->source->table : NULL, flags, out);
}

void candidate_of_view(struct rib *rib, const struct rib_route_view *v, struct candidate *out)
{
	const struct rib_source *src = rib_source_by_id(rib, v->source);

	fill(rib, attrs_get(v->attrs), src ? rib_source_config(src) : NULL, src ? src->table : NULL, v->flags,
		out);
}

uint32_t rib_distance(struct rib *rib, uint32_t source, const struct attrs *a)
{
	struct nht *nht = atomic_load_explicit(&rib->nht, memory_order_acquire);
	const struct rib_source *src = rib_source_by_id(rib, source);
	const struct nht_answer *answer;
	struct rib_table *igp;

	if (!(a->derived & ATTRD_RECURSIVE))
		return a->present & ATTR_IGP_METRIC ? a->igp_metric : 0;
	if (!nht || !src)
		return UINT32_MAX;
	igp = rib_source_config(src)->igp_table;
	answer = nht_lookup(nht, igp ? igp : src->table, &a->nexthop[0].gw);
	return answer && answer->reachable ? answer->metric : UINT32_MAX;
}

uint32_t attrs_neighbor_as(const struct attrs *a)
{
	return a->derived & ATTRD_CONFED_PATH ? as_path_first_regular(a->as_path, a->as_path_bytes)
					      : a->first_as;
}

uint32_t candidate_neighbor_as(const struct candidate *c)
{
	uint32_t as = attrs_neighbor_as(c->attrs);

	return as ? as : c->peer->local_as; /* originated here */
}

/* AIGP and the metric to the next hop; routes without are the worst. */
static uint64_t total_aigp(const struct candidate *c)
{
	uint64_t step = c->metric, total;

	if (!(c->attrs->present & ATTR_AIGP))
		return UINT64_MAX;
	if (!c->resolvable || step >= METRIC_UNKNOWN)
		return UINT64_MAX;
	if (!step)
		step = 1;
	total = c->attrs->aigp + step;
	return total < step ? UINT64_MAX : total;
}

static bool stale(const struct candidate *c)
{
	return (c->flags & RECORD_LLGR) || (c->attrs->derived & ATTRD_LLGR_COMMUNITY);
}

static bool interior(const struct candidate *c)
{
	return !c->peer->external || c->peer->confed;
}

static uint32_t local_pref(const struct candidate *c)
{
	return c->attrs->present & ATTR_LOCAL_PREF ? c->attrs->local_pref : c->peer->default_local_pref;
}

static uint32_t med(const struct candidate *c)
{
	return c->attrs->present & ATTR_MED ? c->attrs->med : c->peer->default_med;
}

static unsigned path_length(const struct candidate *c)
{
	return c->attrs->present & ATTR_AS_PATH ? c->attrs->path_len : UINT16_MAX;
}

static unsigned origin(const struct candidate *c)
{
	return c->attrs->present & ATTR_ORIGIN ? c->attrs->origin : ORIGIN_INCOMPLETE;
}

static bool comparable_med(const struct candidate *a, const struct candidate *b)
{
	return a->peer->med_metric || b->peer->med_metric ||
	       candidate_neighbor_as(a) == candidate_neighbor_as(b);
}

static bool bgp_better(const struct candidate *a, const struct candidate *b)
{
	uint32_t x, y;

#define LOWER(f, g)                                                                                          \
	do {                                                                                                 \
		if ((f) != (g))                                                                              \
			return (f) < (g);                                                                    \
	} while (0)
#define HIGHER(f, g) LOWER(g, f)
	LOWER(a->flags & ROUTE_SUPPRESSED, b->flags & ROUTE_SUPPRESSED);
	HIGHER(a->resolvable, b->resolvable);
	LOWER(stale(a), stale(b));
	HIGHER(local_pref(a), local_pref(b));
	if ((a->attrs->present | b->attrs->present) & ATTR_AIGP)
		LOWER(total_aigp(a), total_aigp(b));
	if (a->peer->path_metric || b->peer->path_metric)
		LOWER(path_length(a), path_length(b));
	LOWER(origin(a), origin(b));
	if (med(a) != med(b) && comparable_med(a, b))
		return med(a) < med(b);
	LOWER(interior(a), interior(b));
	x = a->peer->igp_metric ? a->metric : 0;
	y = b->peer->igp_metric ? b->metric : 0;
	LOWER(x, y);
	x = a->attrs->present & ATTR_ORIGINATOR ? a->attrs->originator_id : a->peer->router_id;
	y = b->attrs->present & ATTR_ORIGINATOR ? b->attrs->originator_id : b->peer->router_id;
	/* RFC 5004: the one that is there stays, if both are external and of different neighbours. */
	if ((a->peer->prefer_older || b->peer->prefer_older) && a->peer->external && x != y)
		return false;
	LOWER(x, y);
	LOWER(a->attrs->n_cluster, b->attrs->n_cluster);
#undef HIGHER
#undef LOWER
	return ipaddr_cmp(&a->peer->addr, &b->peer->addr) < 0;
}

bool candidate_better(const struct candidate *a, const struct candidate *b)
{
	if (a->attrs->preference != b->attrs->preference)
		return a->attrs->preference > b->attrs->preference;
	if (a->source != b->source)
		return a->source < b->source; /* any order, but always the same */
	if (a->source == RTS_BGP)
		return bgp_better(a, b);
	return a->metric < b->metric;
}

bool candidate_mergable(const struct candidate *a, const struct candidate *b)
{
	if (a->attrs->preference != b->attrs->preference || a->source != b->source)
		return false;
	if (a->source != RTS_BGP)
		return a->metric == b->metric;
	if (a->resolvable != b->resolvable || stale(a) != stale(b) || local_pref(a) != local_pref(b))
		return false;
	if ((a->peer->path_metric || b->peer->path_metric) && path_length(a) != path_length(b))
		return false;
	if (origin(a) != origin(b) || interior(a) != interior(b))
		return false;
	if (med(a) != med(b) && comparable_med(a, b))
		return false;
	return (a->peer->igp_metric ? a->metric : 0) == (b->peer->igp_metric ? b->metric : 0);
}

/* Would losing the one's neighbour leave the other: are they forwarded to the same places? */
bool same_next_hops(const struct attrs *a, const struct attrs *b)
{
	if (a == b)
		return true;
	if (a->dest != b->dest || a->n_nexthop != b->n_nexthop)
		return false;
	for (unsigned i = 0; i < a->n_nexthop; i++)
		if (!ipaddr_equal(&a->nexthop[i].gw, &b->nexthop[i].gw) ||
			a->nexthop[i].ifindex != b->nexthop[i].ifindex)
			return false;
	return true;
}
