/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes as text. Looking glasses parse these lines: words, blanks and the order
 * of attributes (BIRD's numbers of them) are BIRD 2's, and so is the length at which a
 * line is cut or continued.
 */
#include "controlplane/cli/route_text.h"
#include "controlplane/fib/fib.h"
#include "controlplane/filter/evpn.h"
#include "shared/timefmt.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINE 500u

/* ---- pieces ---- */

const char *route_dest_name(enum route_dest d)
{
	static const char *const names[] = {"", "unicast", "blackhole", "unreachable", "prohibited"};

	return names[d % 5];
}

static const char *scope_name(unsigned scope)
{
	static const char *const names[] = {"host", "link", "site", "org", "univ", "undef"};

	return names[scope % 6];
}

static const char *origin_name(unsigned origin)
{
	static const char *const names[] = {"IGP", "EGP", "Incomplete"};

	return names[origin % 3];
}

struct ipaddr route_from(const struct route_text *r)
{
	if (r->attrs->present & ATTR_FROM)
		return r->attrs->from;
	return r->source && r->source->peer.bgp ? r->source->peer.addr : (struct ipaddr){0};
}

void route_hops(struct cli_session *s, const struct route_text *r, struct route_hops *out)
{
	const struct attrs *a = r->attrs;
	const struct nht_answer *answer;
	const struct rib_table *igp;

	*out = (struct route_hops){.dest = a->dest, .n = a->n_nexthop, .hop = a->nexthop, .resolved = true};
	if (a->dest != RTD_UNICAST || !a->n_nexthop || !(a->nexthop[0].flags & NH_RECURSIVE))
		return;
	igp = r->source && r->source->igp_table ? r->source->igp_table : r->table;
	answer = s->daemon->nht ? nht_lookup(s->daemon->nht, (struct rib_table *)igp, &a->nexthop[0].gw)
				: NULL;
	out->recursive = true;
	out->resolved = answer && answer->reachable;
	out->metric = answer ? answer->metric : ROUTE_METRIC_UNKNOWN;
	out->dest = out->resolved ? answer->dest : RTD_UNREACHABLE;
	out->n = out->resolved ? answer->n : 0;
	out->hop = answer ? answer->nexthop : NULL;
}

/* The path in BIRD's way: sets in braces, confederation segments in parentheses. */
void route_path_text(const struct attrs *a, char *buf, size_t size)
{
	static const char *const open[] = {"", "{", "", "(", "({"}, *const close[] = {"", "}", "", ")", "})"};
	const uint8_t *p = a->as_path, *end = p + a->as_path_bytes;
	size_t len = 0;

	buf[0] = 0;
	while (p && p + 2 <= end) {
		unsigned type = p[0] <= 4 ? p[0] : 2, count = p[1];

		p += 2;
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

static void quad_text(uint32_t v, char *buf)
{
	struct ipaddr a = ipaddr_v4(htonl(v));

	ipaddr_format(&a, buf);
}

void route_next_hop_text(const struct attrs *a, char *buf, size_t size)
{
	char one[IPADDR_STRLEN], two[IPADDR_STRLEN];

	snprintf(buf, size, "%s%s%s", ipaddr_format(&a->next_hop, one),
		ipaddr_is_zero(&a->next_hop_ll) ? "" : " ",
		ipaddr_is_zero(&a->next_hop_ll) ? "" : ipaddr_format(&a->next_hop_ll, two));
}

static bool is_bgp(const struct attr_extra *e)
{
	return e->id >= ATTR_EXTRA_BGP(0) && e->id <= ATTR_EXTRA_BGP(255);
}

bool route_extra_name(const struct attr_extra *e, char *buf, size_t size)
{
	const char *name = filter_custom_attribute_name(e->id);

	if (name)
		snprintf(buf, size, "%s", name);
	else if (is_bgp(e))
		snprintf(buf, size, "BGP.%02x%s", e->id & 0xff, e->flags & 0x40 ? " [t]" : "");
	else if (e->id == ATTR_EXTRA_ASPA_PROVIDERS)
		snprintf(buf, size, "aspa_providers");
	else if (e->id == ATTR_EXTRA_LABELS)
		snprintf(buf, size, "BGP.mpls_label_stack");
	else if (e->id == ATTR_EXTRA_EVPN)
		snprintf(buf, size, "BGP.evpn");
	else if (e->id >= ATTR_EXTRA_KRT(0) && e->id <= ATTR_EXTRA_KRT(255))
		snprintf(buf, size, "Kernel.%02x", e->id & 0xff);
	else
		return false;
	return true;
}

static uint32_t scalar(const struct attr_extra *e)
{
	uint32_t v = 0;

	memcpy(&v, e->data, e->len < sizeof(v) ? e->len : sizeof(v));
	return v;
}

void route_extra_value(const struct attr_extra *e, char *buf, size_t size)
{
	const uint8_t *bytes = e->data;
	struct ipaddr ip;
	size_t len = 0;

	buf[0] = 0;
	if (e->id == ATTR_EXTRA_EVPN) {
		evpn_details(bytes, e->len, buf, size);
		return;
	}
	if (e->id == ATTR_EXTRA_LABELS) {
		for (unsigned k = 0; k + 3 <= e->len && len + 10 < size; k += 3)
			len += (size_t)snprintf(buf + len, size - len, "%s%u", k ? " " : "",
				(unsigned)bytes[k] << 12 | (unsigned)bytes[k + 1] << 4 | bytes[k + 2] >> 4);
		return;
	}
	switch (e->type) {
	case T_INT: snprintf(buf, size, "%u", scalar(e)); return;
	case T_QUAD: quad_text(scalar(e), buf); return;
	case T_BOOL: snprintf(buf, size, "%s", scalar(e) ? "TRUE" : "FALSE"); return;
	case T_IP:
		if (e->len == sizeof(ip)) {
			memcpy(&ip, e->data, sizeof(ip));
			ipaddr_format(&ip, buf);
		}
		return;
	case T_STRING:
		snprintf(buf, size, "%.*s", (int)strnlen(e->data, e->len), (const char *)e->data);
		return;
	case T_PATH: {
		const struct attrs a = {.as_path = e->data, .as_path_bytes = e->len};

		route_path_text(&a, buf, size);
		return;
	}
	case T_CLIST:
	case T_ECLIST:
	case T_LCLIST: return; /* lists are written by their elements */
	default: break;
	}
	for (unsigned k = 0; k < e->len; k++) {
		if (len + 10 >= size) {
			snprintf(buf + len, size - len, " ...");
			return;
		}
		len += (size_t)snprintf(buf + len, size - len, "%s%02x", k ? " " : "", bytes[k]);
	}
}

/* ---- the head ---- */

/* " (100) [AS65001i]" and its relatives. */
static void info_text(const struct route_text *r, const struct route_hops *h, char *buf, size_t size)
{
	const struct attrs *a = r->attrs;
	char metric[24] = "", as[16] = "";

	if (!r->source || r->source->source != RTS_BGP) {
		snprintf(buf, size, " (%u)", a->preference);
		return;
	}
	if (a->present & ATTR_AIGP && h->resolved && h->metric < ROUTE_METRIC_UNKNOWN)
		snprintf(metric, sizeof(metric), "/%" PRIu64, a->aigp + (h->metric ? h->metric : 1));
	else if (h->recursive && !h->resolved)
		snprintf(metric, sizeof(metric), "/-");
	else if (h->recursive && h->metric >= ROUTE_METRIC_UNKNOWN)
		snprintf(metric, sizeof(metric), "/?");
	else if (h->recursive && h->metric)
		snprintf(metric, sizeof(metric), "/%u", h->metric);
	else if (!h->recursive && (a->present & ATTR_IGP_METRIC) && a->igp_metric)
		snprintf(metric, sizeof(metric), "/%u", a->igp_metric);
	if (a->last_as)
		snprintf(as, sizeof(as), "AS%u", a->last_as);
	snprintf(buf, size, " (%u%s%s%s) [%s%.1s]", a->preference,
		r->view->flags & ROUTE_SUPPRESSED ? "-" : "", r->view->flags & ROUTE_STALE ? "s" : "", metric,
		as, a->present & ATTR_ORIGIN ? &"ie?"[a->origin % 3] : "");
}

static void nexthop_lines(struct cli_session *s, const struct route_hops *hops)
{
	if (hops->dest != RTD_UNICAST)
		return;
	for (unsigned i = 0; i < hops->n; i++) {
		const struct attr_nexthop *h = &hops->hop[i];
		const char *ifn = h->ifindex ? ifaces_name(h->ifindex) : NULL;
		const char *onlink = h->flags & NH_ONLINK ? " onlink" : "";
		char gw[IPADDR_STRLEN], weight[24] = "";

		if (!ifn || !*ifn)
			ifn = "?";
		if (hops->n > 1)
			snprintf(weight, sizeof(weight), " weight %u", h->weight);
		if (ipaddr_is_zero(&h->gw))
			cli_line(&s->out, 1007, "\tdev %s%s%s", ifn, onlink, weight);
		else
			cli_line(&s->out, 1007, "\tvia %s on %s%s%s", ipaddr_format(&h->gw, gw), ifn, onlink,
				weight);
	}
}

/* ---- attributes ---- */

/*
 * A list that goes on on lines of its own when it gets long: a line takes another element as long as room
 * bytes would still fit, not counting the tabs, which is where BIRD breaks them.
 */
struct words {
	struct cli_session *s;
	char line[LINE + 100];
	size_t len, tabs, room;
};
#define ROOM_SHORT 24u /* pairs, quads, numbers */
#define ROOM_LONG 64u  /* extended and large communities */

static void words_begin(struct words *w, struct cli_session *s, const char *label, size_t room)
{
	w->s = s;
	w->room = room;
	w->tabs = 1;
	w->len = (size_t)snprintf(w->line, sizeof(w->line), "\t%s:", label);
}

static void words_add(struct words *w, const char *text)
{
	size_t n = strlen(text);

	/* The buffer of a line after the first is one byte shorter there. */
	if (w->len - w->tabs > LINE - (w->tabs - 1) - w->room) {
		cli_line(&w->s->out, 1012, "%s", w->line);
		w->tabs = 2;
		w->len = (size_t)snprintf(w->line, sizeof(w->line), "\t\t%s", text);
		return;
	}
	w->line[w->len++] = ' ';
	memcpy(w->line + w->len, text, n + 1);
	w->len += n;
}

static void words_end(struct words *w)
{
	cli_line(&w->s->out, 1012, "%s%s", w->line, w->line[w->len - 1] == ':' ? " " : "");
}

static void community_words(
	struct cli_session *s, const char *label, const uint32_t *list, unsigned n, bool quads)
{
	struct words w;
	char t[64];

	words_begin(&w, s, label, ROOM_SHORT);
	for (unsigned i = 0; i < n; i++) {
		if (quads)
			quad_text(list[i], t);
		else
			snprintf(t, sizeof(t), "(%u,%u)", list[i] >> 16, list[i] & 0xffff);
		words_add(&w, t);
	}
	words_end(&w);
}

static void ext_words(struct cli_session *s, const char *label, const uint64_t *list, unsigned n)
{
	struct words w;
	char t[96];

	words_begin(&w, s, label, ROOM_LONG);
	for (unsigned i = 0; i < n; i++) {
		ec_format(list[i], t, sizeof(t));
		words_add(&w, t);
	}
	words_end(&w);
}

static void large_words(struct cli_session *s, const char *label, const struct lcomm *list, unsigned n)
{
	struct words w;
	char t[96];

	words_begin(&w, s, label, ROOM_LONG);
	for (unsigned i = 0; i < n; i++) {
		lc_format(&list[i], t, sizeof(t));
		words_add(&w, t);
	}
	words_end(&w);
}

static void provider_words(struct cli_session *s, const struct attr_extra *e)
{
	struct words w;
	char t[16];

	words_begin(&w, s, "aspa_providers", ROOM_SHORT);
	for (unsigned i = 0; i + 4 <= e->len; i += 4) {
		uint32_t as;

		memcpy(&as, (const uint8_t *)e->data + i, 4);
		snprintf(t, sizeof(t), "%u", as);
		words_add(&w, t);
	}
	words_end(&w);
}

static void extra_line(struct cli_session *s, const struct attr_extra *e)
{
	char name[128], value[LINE];

	if (!route_extra_name(e, name, sizeof(name)))
		return;
	if (e->id == ATTR_EXTRA_ASPA_PROVIDERS) {
		provider_words(s, e);
		return;
	}
	switch (e->type) {
	case T_CLIST: community_words(s, name, e->data, e->len / 4, false); return;
	case T_ECLIST: ext_words(s, name, e->data, e->len / 8); return;
	case T_LCLIST: large_words(s, name, e->data, e->len / sizeof(struct lcomm)); return;
	default: break;
	}
	route_extra_value(e, value, LINE - strlen(name));
	cli_line(&s->out, 1012, "\t%s: %s", name, value);
}

/* Attributes with fields, by their BGP codes. */
static void known_line(struct cli_session *s, const struct attrs *a, unsigned code)
{
	struct cli_out *o = &s->out;
	char t[LINE - 16];

	switch (code) {
	case 1:
		if (a->present & ATTR_ORIGIN)
			cli_line(o, 1012, "\tBGP.origin: %s", origin_name(a->origin));
		break;
	case 2:
		if (!(a->present & ATTR_AS_PATH))
			break;
		route_path_text(a, t, sizeof(t));
		cli_line(o, 1012, "\tBGP.as_path: %s", t);
		break;
	case 3:
		if (!(a->present & ATTR_NEXT_HOP))
			break;
		route_next_hop_text(a, t, sizeof(t));
		cli_line(o, 1012, "\tBGP.next_hop: %s", t);
		break;
	case 4:
		if (a->present & ATTR_MED)
			cli_line(o, 1012, "\tBGP.med: %u", a->med);
		break;
	case 5:
		if (a->present & ATTR_LOCAL_PREF)
			cli_line(o, 1012, "\tBGP.local_pref: %u", a->local_pref);
		break;
	case 6:
		if (a->present & ATTR_ATOMIC)
			cli_line(o, 1012, "\tBGP.atomic_aggr: ");
		break;
	case 7:
		if (!(a->present & ATTR_AGGREGATOR))
			break;
		quad_text(a->aggregator_id, t);
		cli_line(o, 1012, "\tBGP.aggregator: %s AS%u", t, a->aggregator_as);
		break;
	case 8:
		if (a->present & ATTR_COMMUNITY)
			community_words(s, "BGP.community", a->community, a->n_community, false);
		break;
	case 9:
		if (!(a->present & ATTR_ORIGINATOR))
			break;
		quad_text(a->originator_id, t);
		cli_line(o, 1012, "\tBGP.originator_id: %s", t);
		break;
	case 10:
		if (a->present & ATTR_CLUSTER_LIST)
			community_words(s, "BGP.cluster_list", a->cluster, a->n_cluster, true);
		break;
	case 16:
		if (a->present & ATTR_EXT_COMMUNITY)
			ext_words(s, "BGP.ext_community", a->ext, a->n_ext);
		break;
	case 26:
		if (a->present & ATTR_AIGP)
			cli_line(o, 1012, "\tBGP.aigp: %" PRIu64, a->aigp);
		break;
	case 32:
		if (a->present & ATTR_LARGE_COMMUNITY)
			large_words(s, "BGP.large_community", a->large, a->n_large);
		break;
	case 35:
		if (a->present & ATTR_OTC)
			cli_line(o, 1012, "\tBGP.otc: %u", a->otc);
		break;
	default: break;
	}
}

static void attribute_lines(struct cli_session *s, const struct route_text *r)
{
	const struct attrs *a = r->attrs;
	struct cli_out *o = &s->out;
	unsigned k = 0;
	char t[IPADDR_STRLEN];

	cli_line(o, 1008, "\tType: %s %s", r->source ? route_source_name(r->source->source) : "?",
		scope_name(a->scope));
	if (a->present & ATTR_IGP_METRIC)
		cli_line(o, 1012, "\tigp_metric: %u", a->igp_metric);
	for (unsigned code = 1; code < 256; code++) {
		known_line(s, a, code);
		while (k < a->n_extra && a->extra[k].id < ATTR_EXTRA_BGP(0))
			k++;
		for (; k < a->n_extra && a->extra[k].id == ATTR_EXTRA_BGP(code); k++)
			extra_line(s, &a->extra[k]);
	}
	if (a->present & ATTR_KRT_SOURCE)
		cli_line(o, 1012, "\tKernel.source: %u", a->krt_source);
	if (a->present & ATTR_KRT_METRIC)
		cli_line(o, 1012, "\tKernel.metric: %u", a->krt_metric);
	if (a->present & ATTR_KRT_PREFSRC)
		cli_line(o, 1012, "\tKernel.prefsrc: %s", ipaddr_format(&a->krt_prefsrc, t));
	if (a->present & ATTR_KRT_REALM)
		cli_line(o, 1012, "\tKernel.realm: %u", a->krt_realm);
	if (a->present & ATTR_KRT_SCOPE)
		cli_line(o, 1012, "\tKernel.scope: %u", a->krt_scope);
	for (; k < a->n_extra; k++)
		extra_line(s, &a->extra[k]);
}

void cli_route_lines(struct cli_session *s, const struct route_text *r)
{
	char net[400] = "", from[IPADDR_STRLEN + 8] = "", t[TIMEFMT_MAX], info[96];
	struct ipaddr f = route_from(r);
	struct route_hops hops;

	route_hops(s, r, &hops);
	if (r->net)
		net_format(r->net, net, sizeof(net));
	if (!ipaddr_is_zero(&f) && !(hops.n && ipaddr_equal(&f, &hops.hop[0].gw))) {
		memcpy(from, " from ", 6);
		ipaddr_format(&f, from + 6);
	}
	info_text(r, &hops, info, sizeof(info));
	cli_line(&s->out, 1007, "%-20s %s [%s %s%s]%s%s", net, route_dest_name(hops.dest),
		r->source ? r->source->proto_name : "?",
		cli_time_mono(s, CLI_TIME_ROUTE, r->view->changed_ns, t), from, r->primary ? " *" : "", info);
	nexthop_lines(s, &hops);
	if (r->all)
		attribute_lines(s, r);
}
