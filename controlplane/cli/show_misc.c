/* SPDX-License-Identifier: BSD-2-Clause */
/* show status, interfaces, symbols, memory, static. */
#include "controlplane/bgp/bgp.h"
#include "controlplane/cli/json.h"
#include "controlplane/cli/session.h"
#include "controlplane/config/symbol.h"
#include "controlplane/fib/fib.h"
#include "controlplane/proto/static.h"
#include "shared/clock.h"
#include "shared/rcu.h"
#include "shared/timefmt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- show status ---- */

struct status {
	struct cli_session *s;
	uint32_t router_id;
	uint64_t boot_ns, reconfig_ns;
	bool shutting_down, recovering;
	unsigned pending, gr_channels;
	double gr_left_s;
	uint32_t gr_total_s;
};

static void status_in_main(void *arg)
{
	struct status *st = arg;
	struct daemon *d = st->s->daemon;

	st->router_id = d->router_id;
	st->boot_ns = d->boot_wall_ns;
	st->reconfig_ns = d->reconfig_wall_ns;
	st->shutting_down = d->shutting_down;
	st->recovering = bgp_recovery_status(d, &st->gr_channels, &st->gr_left_s, &st->gr_total_s);
	st->pending = daemon_reload_pending(d);
}

void cli_show_status(struct cli_session *s, struct parser *p)
{
	struct status st = {.s = s};
	char now[TIMEFMT_MAX], boot[TIMEFMT_MAX], reconf[TIMEFMT_MAX], bfd[160], host[256], id[IPADDR_STRLEN];
	struct ipaddr rid;
	bool alive = false;
	const char *state;

	cli_expect_end(p);
	cli_in_main(s, status_in_main, &st);
	cli_time_wall(s, CLI_TIME_BASE, clock_wall_ns(), now);
	cli_time_wall(s, CLI_TIME_BASE, st.boot_ns, boot);
	cli_time_wall(s, CLI_TIME_BASE, st.reconfig_ns, reconf);
	bfd_client_status(s->daemon->bfd, bfd, sizeof(bfd), &alive);
	if (s->config->hostname)
		snprintf(host, sizeof(host), "%s", s->config->hostname);
	else if (gethostname(host, sizeof(host)) < 0)
		host[0] = 0;
	rid = ipaddr_v4(htonl(st.router_id));
	ipaddr_format(&rid, id);
	state = st.shutting_down ? "Shutdown in progress"
		: st.pending     ? "Reconfiguration in progress"
				 : "Daemon is up and running";
	if (s->json) {
		struct json j;

		json_begin(&j, s);
		json_open(&j, NULL, '{');
		json_str(&j, "version", "2.19.2");
		json_str(&j, "product", "peregrine " PEREGRINE_VERSION);
		json_str(&j, "router_id", id);
		json_str(&j, "hostname", host);
		json_str(&j, "server_time", now);
		json_str(&j, "last_reboot", boot);
		json_str(&j, "last_reconfiguration", reconf);
		json_str(&j, "bfd", bfd);
		json_bool(&j, "bfd_alive", alive);
		json_bool(&j, "recovering", st.recovering);
		json_str(&j, "state", state);
		json_close(&j, '}');
		json_end(&j);
		return;
	}
	cli_line(&s->out, 1000, "BIRD 2.19.2");
	cli_line(&s->out, 1011, "Router ID is %s", id);
	cli_line(&s->out, 1011, "Hostname is %s", host);
	cli_line(&s->out, 1011, "Current server time is %s", now);
	cli_line(&s->out, 1011, "Last reboot on %s", boot);
	cli_line(&s->out, 1011, "Last reconfiguration on %s", reconf);
	cli_line(&s->out, 1011, "Software is Peregrine " PEREGRINE_VERSION);
	cli_line(&s->out, 1011, "BFD runs on %s%s", bfd, alive ? "" : ", which does not answer");
	if (st.recovering) {
		cli_line(&s->out, 24, "Graceful restart recovery in progress");
		cli_line(&s->out, 24, "  Waiting for %u channels to recover", st.gr_channels);
		cli_line(&s->out, 24, "  Wait timer is %.3f/%u", st.gr_left_s, st.gr_total_s);
	}
	cli_end(&s->out, 13, "%s", state);
}

/* ---- show interfaces ---- */

static bool is_multiaccess(const struct iface_view *v)
{
	return v->flags & (IFF_BROADCAST | IFF_LOOPBACK) ||
	       (v->flags & IFF_MULTICAST && !(v->flags & IFF_POINTOPOINT));
}

static void address_lines(struct cli_session *s, const struct iface_view *v, bool v4)
{
	static const char *const scopes[] = {"host", "link", "site", "org", "univ", "undef"};

	for (unsigned i = 0; i < v->n_addrs; i++) {
		const struct iface_addr *a = &v->addrs[i];
		char addr[IPADDR_STRLEN], peer[IPADDR_STRLEN];
		bool opposite = !ipaddr_is_zero(&a->peer);

		if (ipaddr_is_v4(&a->addr) != v4)
			continue;
		cli_line(&s->out, 1003, "\t%s/%u (%s%s%s%sscope %s)", ipaddr_format(&a->addr, addr),
			a->prefix.len,
			a->primary     ? "Preferred, "
			: a->secondary ? "Secondary, "
				       : "",
			opposite ? "opposite " : "", opposite ? ipaddr_format(&a->peer, peer) : "",
			opposite ? ", " : "", scopes[a->scope % 6]);
	}
}

static void interface_lines(struct cli_session *s, const struct iface_view *v)
{
	const char *master = v->master ? ifaces_name(v->master) : "";

	cli_line(&s->out, 1001, "%s %s (index=%u%s%s)", v->name, v->up ? "up" : "down", v->ifindex,
		*master ? " master=" : "", master);
	cli_line(&s->out, 1004, "\t%s%s%s Admin%s Link%s%s%s MTU=%u",
		is_multiaccess(v) ? "MultiAccess" : "PtP", v->flags & IFF_BROADCAST ? " Broadcast" : "",
		v->flags & IFF_MULTICAST ? " Multicast" : "", v->flags & IFF_UP ? "Up" : "Down",
		v->flags & IFF_RUNNING ? "Up" : "Down", v->flags & IFF_LOOPBACK ? " Loopback" : "",
		v->flags & IFF_LOOPBACK ? " Ignored" : "", v->mtu);
	address_lines(s, v, true);
	address_lines(s, v, false);
}

static void interface_json(struct json *j, const struct iface_view *v)
{
	char t[IPADDR_STRLEN];

	json_open(j, NULL, '{');
	json_str(j, "name", v->name);
	json_u64(j, "index", v->ifindex);
	json_bool(j, "up", v->up);
	json_bool(j, "admin_up", v->flags & IFF_UP);
	json_u64(j, "mtu", v->mtu);
	json_open(j, "addresses", '[');
	for (unsigned i = 0; i < v->n_addrs; i++) {
		json_open(j, NULL, '{');
		json_str(j, "address", ipaddr_format(&v->addrs[i].addr, t));
		json_u64(j, "length", v->addrs[i].prefix.len);
		json_bool(j, "preferred", v->addrs[i].primary);
		json_close(j, '}');
	}
	json_close(j, ']');
	json_close(j, '}');
}

static void summary_line(struct cli_session *s, const struct iface_view *v)
{
	char a4[PREFIX_STRLEN] = "", a6[PREFIX_STRLEN] = "";

	for (unsigned k = 0; k < v->n_addrs; k++) {
		const struct iface_addr *a = &v->addrs[k];
		bool v4 = ipaddr_is_v4(&a->addr);
		char *to = v4 ? a4 : a6, t[IPADDR_STRLEN];

		/* The preferred one of its family; for IPv6 the global one. */
		if (*to && (!a->primary || (!v4 && a->scope == SCOPE_LINK)))
			continue;
		snprintf(to, PREFIX_STRLEN, "%s/%u", ipaddr_format(&a->addr, t), a->prefix.len);
	}
	cli_line(&s->out, 1005, "%-10s %-6s %-18s %s", v->name, v->up ? "up" : "down", a4, a6);
}

void cli_show_interfaces(struct cli_session *s, struct parser *p)
{
	bool summary = parser_accept(p, "summary");
	unsigned max, n;
	struct iface_view *v;
	struct json j;

	cli_expect_end(p);
	max = ifaces_all(s->daemon->ifaces, NULL, 0) + 16;
	v = arena_alloc(s->arena, max * sizeof(*v));
	n = ifaces_all(s->daemon->ifaces, v, max);
	if (n > max)
		n = max;
	if (s->json) {
		json_begin(&j, s);
		json_open(&j, NULL, '[');
		for (unsigned i = 0; i < n; i++)
			interface_json(&j, &v[i]);
		json_close(&j, ']');
		json_end(&j);
		return;
	}
	if (summary)
		cli_line(&s->out, 2005, "%-10s %-6s %-18s %s", "Interface", "State", "IPv4 address",
			"IPv6 address");
	for (unsigned i = 0; i < n; i++) {
		if (summary)
			summary_line(s, &v[i]);
		else
			interface_lines(s, &v[i]);
		cli_flush_some(&s->out);
	}
	cli_end(&s->out, 0, "%s", "");
}

/* ---- show symbols ---- */

void cli_show_symbols(struct cli_session *s, struct parser *p)
{
	static const struct {
		const char *word;
		enum symbol_class cls;
	} kinds[] = {
		{"table", SYM_TABLE},
		{"filter", SYM_FILTER},
		{"function", SYM_FUNCTION},
		{"protocol", SYM_PROTOCOL},
		{"template", SYM_TEMPLATE},
	};
	enum symbol_class only = SYM_VOID;
	const struct symbol *named = NULL, *sym;
	const char *unknown = NULL;
	struct json j;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds) && only == SYM_VOID; i++)
		if (parser_is(p, kinds[i].word) && !parser_symbol(p)) {
			parser_next(p);
			only = kinds[i].cls;
		}
	if (only == SYM_VOID && p->tok.kind != TOK_EOF) {
		static const struct symbol nobody = {.cls = SYM_VOID};

		if (!parser_is_word(p))
			parser_syntax_error(p, NULL);
		named = parser_symbol(p);
		if (!named)
			unknown = p->tok.text;
		parser_next(p);
		named = named ? named : &nobody;
	}
	cli_expect_end(p);
	if (s->json) {
		json_begin(&j, s);
		json_open(&j, NULL, '[');
	} else if (named) {
		cli_end(&s->out, 1010, "%-8s\t%s", unknown ? unknown : named->name, symbol_class_name(named));
		return;
	}
	for (sym = s->config->symbols->first; sym; sym = sym->order_next) {
		if ((only != SYM_VOID && sym->cls != only) || (named && sym != named))
			continue;
		if (s->json) {
			json_open(&j, NULL, '{');
			json_str(&j, "name", sym->name);
			json_str(&j, "class", symbol_class_name(sym));
			json_close(&j, '}');
			continue;
		}
		cli_line(&s->out, 1010, "%-8s\t%s", sym->name, symbol_class_name(sym));
		cli_flush_some(&s->out);
	}
	if (s->json) {
		json_close(&j, ']');
		json_end(&j);
	} else {
		cli_end(&s->out, 0, "%s", "");
	}
}

/* ---- show memory ---- */

/* "  12.3 kB", as BIRD prints sizes. */
static void size_text(char *buf, size_t size, uint64_t bytes)
{
	static const char units[] = " kMGT";
	uint64_t v = bytes * 10;
	unsigned u = 0;

	for (; v >= 100000 && u < 4; u++)
		v = (v + 512) / 1024;
	snprintf(buf, size, "%4u.%1u %cB", (unsigned)(v / 10), (unsigned)(v % 10), units[u]);
}

static void memory_line(struct cli_session *s, const char *label, uint64_t effective, uint64_t overhead)
{
	char a[32], b[32];

	size_text(a, sizeof(a), effective);
	size_text(b, sizeof(b), overhead);
	cli_line(&s->out, 1018, "%-17s %s   %s", label, a, b);
}

static uint64_t resident_bytes(void)
{
	unsigned long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f)
		return 0;
	if (fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t bytes_of_tables(struct daemon *d)
{
	struct rib_table *tables[4096];
	uint64_t bytes = 0;
	unsigned n;

	rcu_read_lock();
	n = rib_tables(d->rib, tables, 4096);
	for (unsigned i = 0; i < n && i < 4096; i++) {
		struct rib_table_stats st;

		rib_table_stats(tables[i], &st);
		bytes += st.bytes;
	}
	rcu_read_unlock();
	return bytes;
}

void cli_show_memory(struct cli_session *s, struct parser *p)
{
	struct attrs_usage au;
	uint64_t tables, config, export, known, rss, rest;
	struct json j;
	char t[32];

	cli_expect_end(p);
	rss = resident_bytes();
	tables = bytes_of_tables(s->daemon);
	attrs_usage(&au);
	config = arena_bytes(s->config->arena);
	export = export_bytes(s->daemon->export);
	known = tables + au.bytes + config;
	rest = rss > known ? rss - known : 0;
	if (s->json) {
		json_begin(&j, s);
		json_open(&j, NULL, '{');
		json_u64(&j, "tables", tables);
		json_u64(&j, "attributes", au.bytes);
		json_u64(&j, "attribute_sets", au.sets);
		json_u64(&j, "export", export);
		json_u64(&j, "config", config);
		json_u64(&j, "resident", rss);
		json_close(&j, '}');
		json_end(&j);
		return;
	}
	/* Where the rest goes (sessions, filters, groups, the allocator's) is not known apart, but for what
	 * groups keep; the lines are BIRD's. */
	cli_line(&s->out, 1018, "BIRD memory usage");
	cli_line(&s->out, 1018, "%-17s Effective    Overhead", "");
	memory_line(s, "Routing tables:", tables, 0);
	memory_line(s, "Route attributes:", au.bytes, 0);
	memory_line(s, "Protocols:", rest, 0);
	memory_line(s, "Current config:", config, 0);
	memory_line(s, "Standby memory:", 0, 0);
	memory_line(s, "Total:", known + rest, 0);
	cli_line(&s->out, 1018, "%s", "");
	size_text(t, sizeof(t), rss);
	cli_line(&s->out, 1018, "%-17s %s", "Active pages:", t);
	size_text(t, sizeof(t), 0);
	cli_line(&s->out, 1018, "%-17s %s", "Kept free pages:", t);
	cli_line(&s->out, 1018, "%-17s %s", "Cold free pages:", t);
	cli_end(&s->out, 0, "%s", "");
}

/* ---- show static: the configuration's text; main is only asked which next hops work ---- */

struct show_static {
	struct cli_session *s;
	const struct proto_config *pc;
	bool running;
	struct static_view view;
	struct json json;
};

static void static_in_main(void *arg)
{
	struct show_static *ss = arg;
	struct proto *p = proto_find(ss->s->daemon, ss->pc->name);

	ss->running = p && p->cf->type == PROTO_STATIC && p->state != PS_DOWN;
	if (ss->running)
		static_view(p, ss->s->arena, &ss->view);
	else
		memset(&ss->view, 0, sizeof(ss->view));
}

static bool dormant(const struct show_static *ss, const struct static_nexthop *h)
{
	return static_hop_dormant(ss->s->daemon, ss->pc->body, h, &ss->view);
}

static void static_route_json(struct show_static *ss, const struct static_route *r)
{
	static const char *const dests[] = {"", "unicast", "blackhole", "unreachable", "prohibited"};
	struct json *j = &ss->json;
	char t[192];

	json_open(j, NULL, '{');
	json_str(j, "protocol", ss->pc->name);
	net_format(&r->net, t, sizeof(t));
	json_str(j, "network", t);
	json_str(j, "dest", r->recursive ? "recursive" : dests[r->dest % 5]);
	if (r->recursive)
		json_str(j, "recursive", ipaddr_format(&r->via_recursive, t));
	json_open(j, "nexthops", '[');
	for (const struct static_nexthop *h = r->nexthops; h; h = h->next) {
		json_open(j, NULL, '{');
		json_str(j, "gateway", ipaddr_is_zero(&h->via) ? NULL : ipaddr_format(&h->via, t));
		json_str(j, "interface", h->ifname);
		json_bool(j, "bfd", h->use_bfd);
		json_bool(j, "dormant", dormant(ss, h));
		json_close(j, '}');
	}
	json_close(j, ']');
	json_close(j, '}');
}

static void static_route_lines(struct show_static *ss, const struct static_route *r)
{
	static const char *const dests[] = {"", "", "blackhole", "unreachable", "prohibited"};
	struct cli_out *o = &ss->s->out;
	char net[192], via[IPADDR_STRLEN];

	net_format(&r->net, net, sizeof(net));
	if (r->recursive) {
		cli_line(o, 1009, "%s\trecursive %s", net, ipaddr_format(&r->via_recursive, via));
		return;
	}
	if (r->dest != RTD_UNICAST) {
		cli_line(o, 1009, "%s\t%s", net, dests[r->dest % 5]);
		return;
	}
	cli_line(o, 1009, "%s", net);
	for (const struct static_nexthop *h = r->nexthops; h; h = h->next) {
		const char *state = dormant(ss, h) ? " (dormant)" : "";

		if (ipaddr_is_zero(&h->via))
			cli_line(o, 1009, "\tdev %s%s", h->ifname, state);
		else
			cli_line(o, 1009, "\tvia %s%s%s%s%s%s", ipaddr_format(&h->via, via),
				h->ifname ? "%" : "", h->ifname ? h->ifname : "", h->onlink ? " onlink" : "",
				h->use_bfd ? " (bfd)" : "", state);
	}
}

void cli_show_static(struct cli_session *s, struct parser *p)
{
	struct show_static ss = {.s = s};
	const char *name = NULL;
	unsigned shown = 0;

	if (p->tok.kind != TOK_EOF) {
		const struct proto_config *pc;

		if (!parser_symbol(p))
			parser_syntax_error(p, "END or CF_SYM_KNOWN");
		name = cli_parse_symbol(s, p, SYM_PROTOCOL);
		pc = config_find_protocol(s->config, name);
		if (!pc || pc->type != PROTO_STATIC)
			parser_fail(p, "%s: Not a Static protocol", name);
	}
	cli_expect_end(p);
	if (s->json) {
		json_begin(&ss.json, s);
		json_open(&ss.json, NULL, '[');
	}
	cds_list_for_each_entry(ss.pc, &s->config->protocols, node)
	{
		const struct static_config *sc = ss.pc->body;

		if (ss.pc->type != PROTO_STATIC || (name && strcmp(name, ss.pc->name) != 0))
			continue;
		cli_in_main(s, static_in_main, &ss);
		if (!ss.running && !name)
			continue;
		if (shown++ && !s->json)
			cli_line(&s->out, 1009, "%s", "");
		for (const struct static_route *r = sc->routes; r && !s->out.broken; r = r->next) {
			if (s->json)
				static_route_json(&ss, r);
			else
				static_route_lines(&ss, r);
			cli_flush_some(&s->out);
		}
	}
	if (s->json) {
		json_close(&ss.json, ']');
		json_end(&ss.json);
	} else if (!shown) {
		cli_end(&s->out, 9001, "There is no Static protocol running");
	} else {
		cli_end(&s->out, 0, "%s", "");
	}
}
