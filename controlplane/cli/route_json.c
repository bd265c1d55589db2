/* SPDX-License-Identifier: BSD-2-Clause */
/* Routes as JSON. Complete: nothing is cut here. */
#include "controlplane/cli/route_text.h"
#include "controlplane/fib/fib.h"
#include "shared/timefmt.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void nexthops(struct json *j, const struct route_hops *h)
{
	char t[IPADDR_STRLEN];

	json_open(j, "nexthops", '[');
	for (unsigned i = 0; h->dest == RTD_UNICAST && i < h->n; i++) {
		const struct attr_nexthop *n = &h->hop[i];
		const char *ifn;

		json_open(j, NULL, '{');
		json_str(j, "gateway", ipaddr_is_zero(&n->gw) ? NULL : ipaddr_format(&n->gw, t));
		ifn = n->ifindex ? ifaces_name(n->ifindex) : "";
		json_str(j, "interface", *ifn ? ifn : NULL);
		json_u64(j, "weight", n->weight);
		json_bool(j, "onlink", n->flags & NH_ONLINK);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void communities(struct json *j, const char *key, const uint32_t *list, unsigned n)
{
	char t[32];

	json_open(j, key, '[');
	for (unsigned i = 0; i < n; i++) {
		snprintf(t, sizeof(t), "%u:%u", list[i] >> 16, list[i] & 0xffff);
		json_str(j, NULL, t);
	}
	json_close(j, ']');
}

static void ext_communities(struct json *j, const char *key, const uint64_t *list, unsigned n)
{
	char t[96];

	json_open(j, key, '[');
	for (unsigned i = 0; i < n; i++) {
		ec_format(list[i], t, sizeof(t));
		json_str(j, NULL, t);
	}
	json_close(j, ']');
}

static void large_communities(struct json *j, const char *key, const struct lcomm *list, unsigned n)
{
	char t[96];

	json_open(j, key, '[');
	for (unsigned i = 0; i < n; i++) {
		snprintf(t, sizeof(t), "%u:%u:%u", list[i].asn, list[i].data1, list[i].data2);
		json_str(j, NULL, t);
	}
	json_close(j, ']');
}

static void quad(struct json *j, const char *key, uint32_t v)
{
	struct ipaddr a = ipaddr_v4(htonl(v));
	char t[IPADDR_STRLEN];

	json_str(j, key, ipaddr_format(&a, t));
}

static void path(struct cli_session *s, struct json *j, const struct attrs *a)
{
	/* A number of up to ten digits and a blank for each four bytes, and brackets. */
	char small[2048];
	bool is_small = 64 + 4u * a->as_path_bytes < sizeof(small);

	route_path_text(a, is_small ? small : cli_scratch(s), is_small ? sizeof(small) : CLI_SCRATCH);
	json_str(j, "as_path", is_small ? small : cli_scratch(s));
	json_u64(j, "as_path_length", a->path_len);
}

static void bgp(struct cli_session *s, struct json *j, const struct attrs *a)
{
	static const char *const origins[] = {"IGP", "EGP", "Incomplete"};
	char t[2 * IPADDR_STRLEN];

	json_open(j, "bgp", '{');
	if (a->present & ATTR_ORIGIN)
		json_str(j, "origin", origins[a->origin % 3]);
	if (a->present & ATTR_AS_PATH)
		path(s, j, a);
	if (a->present & ATTR_NEXT_HOP) {
		route_next_hop_text(a, t, sizeof(t));
		json_str(j, "next_hop", t);
	}
	if (a->present & ATTR_MED)
		json_u64(j, "med", a->med);
	if (a->present & ATTR_LOCAL_PREF)
		json_u64(j, "local_pref", a->local_pref);
	if (a->present & ATTR_ATOMIC)
		json_bool(j, "atomic_aggregate", true);
	if (a->present & ATTR_AGGREGATOR) {
		quad(j, "aggregator_id", a->aggregator_id);
		json_u64(j, "aggregator_as", a->aggregator_as);
	}
	communities(j, "communities", a->community, a->n_community);
	if (a->present & ATTR_ORIGINATOR)
		quad(j, "originator_id", a->originator_id);
	if (a->present & ATTR_CLUSTER_LIST) {
		json_open(j, "cluster_list", '[');
		for (unsigned i = 0; i < a->n_cluster; i++)
			quad(j, NULL, a->cluster[i]);
		json_close(j, ']');
	}
	ext_communities(j, "ext_communities", a->ext, a->n_ext);
	if (a->present & ATTR_AIGP)
		json_u64(j, "aigp", a->aigp);
	large_communities(j, "large_communities", a->large, a->n_large);
	if (a->present & ATTR_OTC)
		json_u64(j, "otc", a->otc);
	json_close(j, '}');
}

static void extra(struct json *j, const struct attr_extra *e)
{
	char name[128], value[2048];

	if (!route_extra_name(e, name, sizeof(name)))
		return;
	if (e->id == ATTR_EXTRA_ASPA_PROVIDERS) {
		json_open(j, name, '[');
		for (unsigned i = 0; i + 4 <= e->len; i += 4) {
			uint32_t as;

			memcpy(&as, (const uint8_t *)e->data + i, 4);
			json_u64(j, NULL, as);
		}
		json_close(j, ']');
		return;
	}
	switch (e->type) {
	case T_CLIST: communities(j, name, e->data, e->len / 4); return;
	case T_ECLIST: ext_communities(j, name, e->data, e->len / 8); return;
	case T_LCLIST: large_communities(j, name, e->data, e->len / sizeof(struct lcomm)); return;
	default: break;
	}
	route_extra_value(e, value, sizeof(value));
	if (e->type == T_INT)
		json_raw(j, name, value);
	else
		json_str(j, name, value);
}

void cli_route_json(struct cli_session *s, struct json *j, const struct route_text *r)
{
	const struct attrs *a = r->attrs;
	struct ipaddr f = route_from(r);
	struct route_hops h;
	char t[256];

	route_hops(s, r, &h);
	json_open(j, NULL, '{');
	json_str(j, "table", rib_table_name(r->table));
	if (r->net) {
		/* Of flow specifications all: up to some 20 kB. */
		size_t len = net_format(r->net, t, sizeof(t));

		if (len >= sizeof(t))
			net_format(r->net, cli_scratch(s), CLI_SCRATCH);
		json_str(j, "network", len < sizeof(t) ? t : cli_scratch(s));
	}
	json_str(j, "protocol", r->source ? r->source->proto_name : NULL);
	json_str(j, "source", r->source ? route_source_name(r->source->source) : NULL);
	json_str(j, "dest", route_dest_name(h.dest));
	json_str(j, "since", cli_time_mono(s, CLI_TIME_ROUTE, r->view->changed_ns, t));
	json_bool(j, "primary", r->primary);
	json_bool(j, "filtered", r->filtered);
	json_bool(j, "stale", r->view->flags & ROUTE_STALE);
	json_bool(j, "suppressed", r->view->flags & ROUTE_SUPPRESSED);
	json_u64(j, "preference", a->preference);
	if (h.recursive && h.resolved && h.metric < ROUTE_METRIC_UNKNOWN)
		json_u64(j, "igp_metric", h.metric);
	else if (a->present & ATTR_IGP_METRIC)
		json_u64(j, "igp_metric", a->igp_metric);
	if (!ipaddr_is_zero(&f))
		json_str(j, "from", ipaddr_format(&f, t));
	nexthops(j, &h);
	if ((a->present & (ATTR_ORIGIN | ATTR_AS_PATH | ATTR_COMMUNITY | ATTR_EXT_COMMUNITY |
				  ATTR_LARGE_COMMUNITY | ATTR_LOCAL_PREF | ATTR_MED)) != 0)
		bgp(s, j, a);
	if (a->present & ATTR_KRT_PREFSRC)
		json_str(j, "krt_prefsrc", ipaddr_format(&a->krt_prefsrc, t));
	if (a->present & ATTR_KRT_METRIC)
		json_u64(j, "krt_metric", a->krt_metric);
	if (a->n_extra) {
		json_open(j, "attributes", '{');
		for (unsigned i = 0; i < a->n_extra; i++)
			extra(j, &a->extra[i]);
		json_close(j, '}');
	}
	json_close(j, '}');
}
