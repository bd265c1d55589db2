/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/cli/route_text.h"
#include "controlplane/fib/fib.h"
#include "shared/timefmt.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const dest_names[] = {"", "unicast", "blackhole", "unreachable", "prohibited"};
static const char *const origin_names[] = {"IGP", "EGP", "Incomplete"};

static struct ipaddr from_of(const struct route_text *r)
{
	if (r->attrs->present & ATTR_FROM)
		return r->attrs->from;
	return r->source && r->source->peer.bgp ? r->source->peer.addr : (struct ipaddr){0};
}

/* " (100) [AS65001i]" and its relatives. */
static void info_text(const struct route_text *r, char *buf, size_t size)
{
	const struct attrs *a = r->attrs;
	char metric[24] = "", as[16] = "";

	if (!r->source || r->source->source != RTS_BGP) {
		snprintf(buf, size, " (%u)", a->preference);
		return;
	}
	if (a->present & ATTR_AIGP)
		snprintf(metric, sizeof(metric), "/%" PRIu64, a->aigp);
	else if (a->n_nexthop && (a->nexthop[0].flags & NH_RECURSIVE)) {
		if (r->view->flags & ROUTE_UNREACHABLE)
			snprintf(metric, sizeof(metric), "/-");
		else if (a->present & ATTR_IGP_METRIC)
			snprintf(metric, sizeof(metric), "/%u", a->igp_metric);
		else
			snprintf(metric, sizeof(metric), "/?");
	}
	if (a->last_as)
		snprintf(as, sizeof(as), "AS%u", a->last_as);
	snprintf(buf, size, " (%u%s%s%s) [%s%.1s]", a->preference,
		r->view->flags & ROUTE_SUPPRESSED ? "-" : "", r->view->flags & ROUTE_STALE ? "s" : "", metric,
		as, a->present & ATTR_ORIGIN ? &"ie?"[a->origin % 3] : "");
}

static void nexthop_lines(struct cli_session *s, const struct attrs *a)
{
	if (a->dest != RTD_UNICAST)
		return;
	for (unsigned i = 0; i < a->n_nexthop; i++) {
		const struct attr_nexthop *h = &a->nexthop[i];
		const char *ifn = h->ifindex ? ifaces_name(h->ifindex) : NULL;
		char gw[IPADDR_STRLEN], weight[24] = "";

		if (a->n_nexthop > 1)
			snprintf(weight, sizeof(weight), " weight %u", h->weight);
		if (ipaddr_is_zero(&h->gw))
			cli_line(&s->out, 1007, "\tdev %s%s", ifn ? ifn : "?", weight);
		else if (h->flags & NH_RECURSIVE)
			cli_line(&s->out, 1007, "\tvia %s%s%s%s", ipaddr_format(&h->gw, gw),
				ifn ? " on " : "", ifn ? ifn : "", weight);
		else
			cli_line(&s->out, 1007, "\tvia %s on %s%s%s", ipaddr_format(&h->gw, gw),
				ifn ? ifn : "?", h->flags & NH_ONLINK ? " onlink" : "", weight);
	}
}

/* ---- attributes ---- */

struct words {
	struct cli_session *s;
	char line[640];
	size_t len;
	bool first; /* the line that has the label; later ones start with two tabs */
};

static void words_begin(struct words *w, struct cli_session *s, const char *label)
{
	w->s = s;
	w->len = (size_t)snprintf(w->line, sizeof(w->line), "\t%s:", label);
}

static void words_add(struct words *w, const char *text)
{
	size_t n = strlen(text);

	if (w->len + n + 1 > 500) {
		cli_line(&w->s->out, 1012, "%s", w->line);
		w->len = (size_t)snprintf(w->line, sizeof(w->line), "\t\t%s", text);
		return;
	}
	w->line[w->len++] = ' ';
	memcpy(w->line + w->len, text, n + 1);
	w->len += n;
}

static void words_end(struct words *w)
{
	cli_line(&w->s->out, 1012, "%s", w->line);
}

/* The path in BIRD's way: sets in braces, confederation segments in parentheses. Cut with "..." when it does
 * not fit. */
static void path_text(const struct attrs *a, char *buf, size_t size)
{
	static const char *const open[] = {"", "{", "", "(", "({"}, *const close[] = {"", "}", "", ")", "})"};
	const uint8_t *p = a->as_path, *end = p + a->as_path_bytes;
	size_t len = 0;

	buf[0] = 0;
	while (p && p + 2 <= end) {
		unsigned type = p[0] <= 4 ? p[0] : 2, count = p[1];

		p += 2;
		if (len + 24 > size)
			break;
		len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? " " : "", open[type]);
		for (unsigned i = 0; i < count && p + 4 <= end; i++, p += 4) {
			uint32_t as;

			memcpy(&as, p, 4);
			if (len + 24 > size) {
				snprintf(buf + len, size - len, " ...");
				return;
			}
			len += (size_t)snprintf(buf + len, size - len, "%s%u", i ? " " : "", ntohl(as));
		}
		len += (size_t)snprintf(buf + len, size - len, "%s", close[type]);
	}
}

static void ec_text(uint64_t ec, char *buf, size_t size)
{
	uint32_t high = (uint32_t)(ec >> 32), low = (uint32_t)ec;
	unsigned type = high >> 24 & 0x3f, sub = high >> 16 & 0xff;
	const char *kind = sub == 2 ? "rt" : sub == 3 ? "ro" : NULL;
	char ip[IPADDR_STRLEN];
	struct ipaddr addr;

	if (!kind || type > 2 || (high >> 24 & 0x40)) {
		if (kind == NULL && type <= 2 && !(high >> 24 & 0x40)) {
			snprintf(buf, size, "(unknown 0x%x, %u, %u)", high >> 16,
				type == 0 ? high & 0xffff : (uint32_t)((ec >> 16) & 0xffffffff),
				type == 0 ? low : low & 0xffff);
			return;
		}
		snprintf(buf, size, "(generic, 0x%x, 0x%x)", high, low);
		return;
	}
	switch (type) {
	case 0: snprintf(buf, size, "(%s, %u, %u)", kind, high & 0xffff, low); break;
	case 1:
		addr = ipaddr_v4(htonl((uint32_t)(ec >> 16)));
		snprintf(buf, size, "(%s, %s, %u)", kind, ipaddr_format(&addr, ip), low & 0xffff);
		break;
	default: snprintf(buf, size, "(%s, %u, %u)", kind, (uint32_t)(ec >> 16), low & 0xffff); break;
	}
}

static void quad_text(uint32_t v, char *buf)
{
	struct ipaddr a = ipaddr_v4(htonl(v));

	ipaddr_format(&a, buf);
}

static void next_hop_text(const struct attrs *a, char *buf, size_t size)
{
	char one[IPADDR_STRLEN], two[IPADDR_STRLEN];

	snprintf(buf, size, "%s%s%s", ipaddr_format(&a->next_hop, one),
		ipaddr_is_zero(&a->next_hop_ll) ? "" : " ",
		ipaddr_is_zero(&a->next_hop_ll) ? "" : ipaddr_format(&a->next_hop_ll, two));
}

static void community_lines(struct cli_session *s, const struct attrs *a)
{
	struct words w;
	char t[96];

	if (a->n_community) {
		words_begin(&w, s, "BGP.community");
		for (unsigned i = 0; i < a->n_community; i++) {
			snprintf(t, sizeof(t), "(%u,%u)", a->community[i] >> 16, a->community[i] & 0xffff);
			words_add(&w, t);
		}
		words_end(&w);
	}
	if (a->present & ATTR_ORIGINATOR) {
		quad_text(a->originator_id, t);
		cli_line(&s->out, 1012, "\tBGP.originator_id: %s", t);
	}
	if (a->n_cluster) {
		words_begin(&w, s, "BGP.cluster_list");
		for (unsigned i = 0; i < a->n_cluster; i++) {
			quad_text(a->cluster[i], t);
			words_add(&w, t);
		}
		words_end(&w);
	}
	if (a->n_ext) {
		words_begin(&w, s, "BGP.ext_community");
		for (unsigned i = 0; i < a->n_ext; i++) {
			ec_text(a->ext[i], t, sizeof(t));
			words_add(&w, t);
		}
		words_end(&w);
	}
	if (a->present & ATTR_AIGP)
		cli_line(&s->out, 1012, "\tBGP.aigp: %" PRIu64, a->aigp);
	if (a->n_large) {
		words_begin(&w, s, "BGP.large_community");
		for (unsigned i = 0; i < a->n_large; i++) {
			snprintf(t, sizeof(t), "(%u, %u, %u)", a->large[i].asn, a->large[i].data1,
				a->large[i].data2);
			words_add(&w, t);
		}
		words_end(&w);
	}
	if (a->present & ATTR_OTC)
		cli_line(&s->out, 1012, "\tBGP.otc: %u", a->otc);
}

static void extra_lines(struct cli_session *s, const struct attrs *a)
{
	for (unsigned i = 0; i < a->n_extra; i++) {
		const struct attr_extra *e = &a->extra[i];
		char hex[512];
		size_t len = 0;

		if (e->id < ATTR_EXTRA_BGP(0) || e->id > ATTR_EXTRA_BGP(255))
			continue; /* custom attributes are printed by name elsewhere */
		hex[0] = 0;
		for (unsigned k = 0; k < e->len && len + 8 < sizeof(hex); k++)
			len += (size_t)snprintf(hex + len, sizeof(hex) - len, "%s%02x", k ? " " : "",
				((const uint8_t *)e->data)[k]);
		cli_line(&s->out, 1012, "\tBGP.%02x%s: %s", e->id & 0xff, e->flags & 0x40 ? " [t]" : "", hex);
	}
}

static void attribute_lines(struct cli_session *s, const struct route_text *r)
{
	const struct attrs *a = r->attrs;
	char t[4000];

	cli_line(&s->out, 1008, "\tType: %s %s",
		r->source ? r->source->source == RTS_BGP ? "BGP" : route_source_name(r->source->source) : "?",
		"univ");
	if (a->present & ATTR_ORIGIN)
		cli_line(&s->out, 1012, "\tBGP.origin: %s", origin_names[a->origin % 3]);
	if (a->present & ATTR_AS_PATH) {
		path_text(a, t, sizeof(t));
		cli_line(&s->out, 1012, "\tBGP.as_path: %s", t);
	}
	if (a->present & ATTR_NEXT_HOP) {
		next_hop_text(a, t, sizeof(t));
		cli_line(&s->out, 1012, "\tBGP.next_hop: %s", t);
	}
	if (a->present & ATTR_MED)
		cli_line(&s->out, 1012, "\tBGP.med: %u", a->med);
	if (a->present & ATTR_LOCAL_PREF)
		cli_line(&s->out, 1012, "\tBGP.local_pref: %u", a->local_pref);
	if (a->present & ATTR_ATOMIC)
		cli_line(&s->out, 1012, "\tBGP.atomic_aggr: ");
	if (a->present & ATTR_AGGREGATOR) {
		quad_text(a->aggregator_id, t);
		cli_line(&s->out, 1012, "\tBGP.aggregator: %s AS%u", t, a->aggregator_as);
	}
	community_lines(s, a);
	extra_lines(s, a);
	if (a->present & ATTR_IGP_METRIC)
		cli_line(&s->out, 1012, "\tigp_metric: %u", a->igp_metric);
	if (a->present & ATTR_KRT_SOURCE)
		cli_line(&s->out, 1012, "\tKernel.source: %u", a->krt_source);
	if (a->present & ATTR_KRT_METRIC)
		cli_line(&s->out, 1012, "\tKernel.metric: %u", a->krt_metric);
	if (a->present & ATTR_KRT_PREFSRC) {
		ipaddr_format(&a->krt_prefsrc, t);
		cli_line(&s->out, 1012, "\tKernel.prefsrc: %s", t);
	}
}

void cli_route_lines(struct cli_session *s, const struct route_text *r)
{
	char net[192] = "", from[IPADDR_STRLEN + 8] = "", t[TIMEFMT_MAX], info[96];
	struct ipaddr f = from_of(r);
	const struct attrs *a = r->attrs;

	if (r->net)
		net_format(r->net, net, sizeof(net));
	if (!ipaddr_is_zero(&f) && !(a->n_nexthop == 1 && ipaddr_equal(&f, &a->nexthop[0].gw))) {
		memcpy(from, " from ", 6);
		ipaddr_format(&f, from + 6);
	}
	info_text(r, info, sizeof(info));
	cli_line(&s->out, 1007, "%-20s %s [%s %s%s]%s%s", net, dest_names[a->dest % 5],
		r->source ? r->source->proto_name : "?",
		cli_time_mono(s, CLI_TIME_ROUTE, r->view->changed_ns, t), from,
		r->filtered  ? " !"
		: r->primary ? " *"
			     : "",
		info);
	nexthop_lines(s, a);
	if (r->all)
		attribute_lines(s, r);
}

void cli_route_json(struct cli_session *s, struct json *j, const struct route_text *r)
{
	const struct attrs *a = r->attrs;
	char t[4000];
	struct ipaddr f = from_of(r);

	json_open(j, NULL, '{');
	if (r->net) {
		net_format(r->net, t, sizeof(t));
		json_str(j, "network", t);
	}
	json_str(j, "protocol", r->source ? r->source->proto_name : NULL);
	json_str(j, "dest", dest_names[a->dest % 5]);
	json_str(j, "since", cli_time_mono(s, CLI_TIME_ROUTE, r->view->changed_ns, t));
	json_bool(j, "primary", r->primary);
	json_bool(j, "filtered", r->filtered);
	json_u64(j, "preference", a->preference);
	if (!ipaddr_is_zero(&f))
		json_str(j, "from", ipaddr_format(&f, t));
	json_open(j, "nexthops", '[');
	for (unsigned i = 0; i < a->n_nexthop; i++) {
		json_open(j, NULL, '{');
		json_str(j, "gateway",
			ipaddr_is_zero(&a->nexthop[i].gw) ? NULL : ipaddr_format(&a->nexthop[i].gw, t));
		json_str(j, "interface", a->nexthop[i].ifindex ? ifaces_name(a->nexthop[i].ifindex) : NULL);
		json_close(j, '}');
	}
	json_close(j, ']');
	if (a->present & ATTR_ORIGIN) {
		json_open(j, "bgp", '{');
		json_str(j, "origin", origin_names[a->origin % 3]);
		path_text(a, t, sizeof(t));
		json_str(j, "as_path", t);
		next_hop_text(a, t, sizeof(t));
		json_str(j, "next_hop", t);
		if (a->present & ATTR_MED)
			json_u64(j, "med", a->med);
		if (a->present & ATTR_LOCAL_PREF)
			json_u64(j, "local_pref", a->local_pref);
		json_open(j, "communities", '[');
		for (unsigned i = 0; i < a->n_community; i++) {
			snprintf(t, sizeof(t), "%u:%u", a->community[i] >> 16, a->community[i] & 0xffff);
			json_str(j, NULL, t);
		}
		json_close(j, ']');
		json_open(j, "large_communities", '[');
		for (unsigned i = 0; i < a->n_large; i++) {
			snprintf(t, sizeof(t), "%u:%u:%u", a->large[i].asn, a->large[i].data1,
				a->large[i].data2);
			json_str(j, NULL, t);
		}
		json_close(j, ']');
		json_close(j, '}');
	}
	json_close(j, '}');
}
