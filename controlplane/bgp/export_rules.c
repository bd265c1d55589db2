/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a session does to a route before and after the export filter. The
 * order is BIRD's: the checks see the route as it is in the table, the rewriting
 * sees what the filter made of it. See codec.h.
 */
#include "controlplane/bgp/codec.h"
#include "controlplane/bgp/wire.h"

static bool has_community(const struct attrs *a, uint32_t c)
{
	for (unsigned i = 0; i < a->n_community; i++)
		if (a->community[i] == c)
			return true;
	return false;
}

static bool interior(const struct bgp_export_class *c)
{
	return !c->external || c->confed;
}

bool bgp_export_allowed(
	const struct bgp_export_class *c, const struct attrs *a, const struct rib_source_config *from)
{
	const struct rib_peer *src = from && from->peer.bgp ? &from->peer : NULL;

	/* RFC 4456: between internal peers only by a reflector. */
	if (src && !src->external && !c->external && !src->rr_client && !c->rr_client)
		return false;
	/* RFC 8955 section 6: a neighbour's rule that is not feasible is not passed on. */
	if (src && c->safi == BGP_SAFI_FLOW && a->dest == RTD_UNREACHABLE)
		return false;
	if (c->interpret_communities && a->n_community) {
		if (has_community(a, COMM_NO_ADVERTISE))
			return false;
		if (!interior(c) && has_community(a, COMM_NO_EXPORT))
			return false;
		if (c->external && has_community(a, COMM_NO_EXPORT_SUBCONFED))
			return false;
	}
	/* RFC 9494 section 4.3 */
	if (!c->llgr_aware && ((a->present & ATTR_LLGR_STALE) || (a->derived & ATTRD_LLGR_COMMUNITY)))
		return false;
	/* RFC 9234 section 5: what came from a provider, peer or route server goes to customers only. */
	if ((c->role == BGP_ROLE_CUSTOMER || c->role == BGP_ROLE_PEER || c->role == BGP_ROLE_RS_CLIENT) &&
		(a->present & ATTR_OTC))
		return false;
	return true;
}

/* ---- AS path ---- */

static unsigned strip_confed(const uint8_t *path, unsigned bytes, uint8_t *out)
{
	uint8_t *o = out;

	for (const uint8_t *end = path + bytes; path < end; path += 2 + 4 * (size_t)path[1]) {
		if (path[0] == AS_CONFED_SEQUENCE || path[0] == AS_CONFED_SET)
			continue;
		memcpy(o, path, 2 + 4 * (size_t)path[1]);
		o += 2 + 4 * (size_t)path[1];
	}
	return (unsigned)(o - out);
}

static bool has_confed(const uint8_t *path, unsigned bytes)
{
	for (const uint8_t *end = path + bytes; path < end; path += 2 + 4 * (size_t)path[1])
		if (path[0] == AS_CONFED_SEQUENCE || path[0] == AS_CONFED_SET)
			return true;
	return false;
}

/* Returns the bytes of scratch used; the path always fits (see codec.h). */
static size_t rewrite_path(const struct bgp_export_class *c, struct attrs *out, uint8_t *scratch)
{
	const uint8_t *path = out->as_path;
	unsigned bytes = out->present & ATTR_AS_PATH ? out->as_path_bytes : 0, n;
	uint8_t *to = scratch;

	out->present |= ATTR_AS_PATH;
	out->as_path_bytes = (uint16_t)bytes;
	if (!c->external)
		return 0;
	if (c->confed) {
		n = as_path_prepend(path, bytes, c->local_as, AS_CONFED_SEQUENCE, to);
		out->as_path = to;
		out->as_path_bytes = (uint16_t)n;
		return n;
	}
	if (bytes && has_confed(path, bytes)) {
		bytes = strip_confed(path, bytes, to);
		path = to;
		to += bytes;
		out->as_path = path;
		out->as_path_bytes = (uint16_t)bytes;
	}
	if (c->rs_client) /* RFC 7947 section 2.2.2.1 */
		return (size_t)(to - scratch);
	n = as_path_prepend(path, bytes, c->public_as, AS_SEQUENCE, to);
	out->as_path = to;
	out->as_path_bytes = (uint16_t)n;
	return (size_t)(to - scratch) + n;
}

/* ---- next hop ---- */

static bool family_fits(const struct bgp_export_class *c, const struct ipaddr *nh)
{
	if (c->safi == BGP_SAFI_EVPN || (c->safi == BGP_SAFI_VPN && c->afi == BGP_AFI_IPV6))
		return true;
	return ipaddr_is_v4(nh) == (c->afi == BGP_AFI_IPV4) ||
	       (c->afi == BGP_AFI_IPV4 && c->extended_next_hop);
}

static bool mode_applies(uint8_t mode, const struct rib_peer *src)
{
	switch (mode) {
	case NHMODE_ALL: return true;
	case NHMODE_IBGP: return src && !src->external;
	case NHMODE_EBGP: return src && src->external;
	default: return false;
	}
}

/* The route's own BGP next hop goes out unchanged? */
static bool keeps_next_hop(const struct bgp_export_class *c, const struct attrs *a,
	const struct attrs *before, const struct rib_peer *src)
{
	if (!(a->present & ATTR_NEXT_HOP))
		return false;
	if (mode_applies(c->next_hop_keep, src))
		return true;
	if (mode_applies(c->next_hop_self, src))
		return false;
	/* set by the export filter, even if it is none: such a route does not leave */
	if (before && (!(before->present & ATTR_NEXT_HOP) || !ipaddr_equal(&a->next_hop, &before->next_hop)))
		return true;
	if (ipaddr_is_zero(&a->next_hop) || !family_fits(c, &a->next_hop))
		return false;
	/* A label means something to who gave it, and we forward nothing of these families. */
	if (interior(c) || c->safi == BGP_SAFI_VPN || c->safi == BGP_SAFI_EVPN)
		return true;
	/* Both neighbours on one network: they reach each other without us. */
	return c->ifindex && src && src->ifindex == c->ifindex;
}

/* What is forwarded to can be named instead of ourselves? */
static bool uses_gateway(const struct bgp_export_class *c, const struct attrs *a, const struct rib_peer *src)
{
	const struct attr_nexthop *nh = a->nexthop;

	if (mode_applies(c->next_hop_self, src))
		return false;
	if (a->dest != RTD_UNICAST || a->n_nexthop != 1 || ipaddr_is_zero(&nh->gw) ||
		ipaddr_is_link_local(&nh->gw) || (nh->flags & NH_RECURSIVE))
		return false;
	if (!family_fits(c, &nh->gw))
		return false;
	if (interior(c))
		return true;
	return c->ifindex && nh->ifindex == c->ifindex;
}

static bool rewrite_next_hop(const struct bgp_export_class *c, const struct attrs *before,
	const struct rib_peer *src, struct attrs *out)
{
	const struct ipaddr none = {0};

	if (c->safi == BGP_SAFI_FLOW) { /* rules have none */
		out->next_hop = out->next_hop_ll = none;
		out->present &= ~(uint32_t)ATTR_NEXT_HOP;
		return true;
	}
	if (keeps_next_hop(c, out, before, src)) {
		/* A link-local address means something on one link only. */
		if (!ipaddr_is_zero(&out->next_hop_ll) && !(c->ifindex && src && src->ifindex == c->ifindex))
			out->next_hop_ll = none;
	} else if (uses_gateway(c, out, src)) {
		out->next_hop = out->nexthop->gw;
		out->next_hop_ll = none;
	} else {
		out->next_hop = ipaddr_is_zero(&c->next_hop_address) ? c->local_addr : c->next_hop_address;
		out->next_hop_ll = c->ifindex ? c->local_ll : none;
		if (ipaddr_is_link_local(&out->next_hop) && ipaddr_is_zero(&out->next_hop_ll))
			out->next_hop_ll = out->next_hop;
	}
	if (c->afi == BGP_AFI_IPV4 && ipaddr_is_v4(&out->next_hop))
		out->next_hop_ll = none;
	out->present |= ATTR_NEXT_HOP;
	return !ipaddr_is_zero(&out->next_hop) && family_fits(c, &out->next_hop);
}

/* ---- the rest ---- */

static void set_reflection(
	const struct bgp_export_class *c, const struct rib_peer *src, struct attrs *out, uint8_t *scratch)
{
	uint32_t *list = (uint32_t *)scratch;

	if (!(out->present & ATTR_ORIGINATOR)) {
		out->originator_id = src->router_id;
		out->present |= ATTR_ORIGINATOR;
	}
	list[0] = c->cluster_id;
	if (out->n_cluster)
		memcpy(list + 1, out->cluster, 4 * (size_t)out->n_cluster);
	out->cluster = list;
	out->n_cluster++;
	out->present |= ATTR_CLUSTER_LIST;
}

/* list: room for two more than the route has. */
static void add_community(struct attrs *out, uint32_t community, uint32_t *list)
{
	unsigned n = out->present & ATTR_COMMUNITY ? out->n_community : 0;

	if (n == UINT16_MAX || has_community(out, community))
		return;
	if (n && out->community != list)
		memcpy(list, out->community, 4 * (size_t)n);
	list[n] = community;
	out->community = list;
	out->n_community = (uint16_t)(n + 1);
	out->present |= ATTR_COMMUNITY;
}

/*
 * RFC 7311 section 3.4: who makes himself the next hop adds his distance to the old one, at least 1; who has
 * a route of his own and is told to may begin with its metric.
 */
static void set_aigp(const struct bgp_export_class *c, const struct attrs *a, const struct rib_peer *src,
	uint32_t distance, struct attrs *out)
{
	bool own = !(a->present & ATTR_NEXT_HOP) || !ipaddr_equal(&a->next_hop, &out->next_hop);
	uint32_t metric = a->present & ATTR_IGP_METRIC ? a->igp_metric : 0;

	if (!c->aigp) {
		out->present &= ~(uint32_t)ATTR_AIGP;
	} else if (src && own && (a->present & ATTR_AIGP)) {
		uint64_t step = a->derived & ATTRD_RECURSIVE ? distance : metric;

		step = step ? step : 1;
		out->aigp = a->aigp > UINT64_MAX - step ? UINT64_MAX : a->aigp + step;
	} else if (!src && c->aigp_originate && !(a->present & ATTR_AIGP) && (a->present & ATTR_IGP_METRIC)) {
		out->aigp = metric;
		out->present |= ATTR_AIGP;
	}
}

bool bgp_export_attrs(const struct bgp_export_class *c, const struct attrs *a, const struct attrs *before,
	const struct rib_source_config *from, uint32_t distance, struct attrs *out, uint8_t *scratch,
	size_t scratch_size)
{
	const struct rib_peer *src = from && from->peer.bgp ? &from->peer : NULL;
	uint32_t *communities;
	size_t used;

	/* Stripping and prepending may both happen, hence twice the path. */
	if (scratch_size < BGP_EXPORT_SCRATCH(a) || a->as_path_bytes > UINT16_MAX - 16)
		return false;
	*out = *a;
	out->hash = 0;
	out->id = 0;
	if (!(out->present & ATTR_ORIGIN)) {
		out->origin = ORIGIN_IGP;
		out->present |= ATTR_ORIGIN;
	}
	used = rewrite_path(c, out, scratch);
	if (!rewrite_next_hop(c, before, src, out))
		return false;
	if (!interior(c)) {
		/* MED is between neighbours: ours only if the export filter said so. */
		if (!c->rs_client && !c->allow_med && (out->present & ATTR_MED) &&
			(!before || ((before->present & ATTR_MED) && before->med == out->med)))
			out->present &= ~(uint32_t)ATTR_MED;
		if (!c->allow_local_pref)
			out->present &= ~(uint32_t)ATTR_LOCAL_PREF;
		out->present &= ~(uint32_t)(ATTR_ORIGINATOR | ATTR_CLUSTER_LIST);
		out->n_cluster = 0;
	} else {
		if (!(out->present & ATTR_LOCAL_PREF)) {
			out->local_pref = c->default_local_pref;
			out->present |= ATTR_LOCAL_PREF;
		}
		if (src && !src->external && !c->external)
			set_reflection(c, src, out, scratch + ((used + 3) & ~(size_t)3));
	}
	set_aigp(c, a, src, distance, out);
	communities = (uint32_t *)(scratch + ((used + 3) & ~(size_t)3)) + a->n_cluster + 1;
	if (out->present & ATTR_LLGR_STALE) /* RFC 9494 section 4.3: says what it is where it is taken */
		add_community(out, COMM_LLGR_STALE, communities);
	if (c->graceful_shutdown)
		add_community(out, COMM_GRACEFUL_SHUTDOWN, communities);
	if (!out->n_community)
		out->present &= ~(uint32_t)ATTR_COMMUNITY;
	if (!out->n_ext)
		out->present &= ~(uint32_t)ATTR_EXT_COMMUNITY;
	if (!out->n_large)
		out->present &= ~(uint32_t)ATTR_LARGE_COMMUNITY;
	if ((c->role == BGP_ROLE_PROVIDER || c->role == BGP_ROLE_PEER || c->role == BGP_ROLE_RS_SERVER) &&
		!(out->present & ATTR_OTC)) {
		out->otc = c->public_as;
		out->present |= ATTR_OTC;
	}
	return true;
}
