/* SPDX-License-Identifier: BSD-2-Clause */
/* show status, interfaces, symbols, memory, static. */
#include "controlplane/cli/json.h"
#include "controlplane/cli/session.h"
#include "controlplane/config/symbol.h"
#include "controlplane/fib/fib.h"
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
	unsigned pending;
};

static void status_in_main(void *arg)
{
	struct status *st = arg;
	struct daemon *d = st->s->daemon;

	st->router_id = d->router_id;
	st->boot_ns = d->boot_wall_ns;
	st->reconfig_ns = d->reconfig_wall_ns;
	st->shutting_down = d->shutting_down;
	st->recovering = d->recovering;
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
	if (st.recovering)
		cli_line(&s->out, 24, "Graceful restart recovery in progress");
	cli_end(&s->out, 13, "%s", state);
}

/* ---- show interfaces ---- */

static void interface_line(struct cli_session *s, const struct iface_view *v)
{

	cli_line(&s->out, 1001, "%s %s (index=%u)", v->name, v->up ? "up" : "down", v->ifindex);
	cli_line(&s->out, 1004, "\t%s%s%sAdmin%s Link%s MTU=%u",
		v->flags & IFF_BROADCAST ? "MultiAccess Broadcast " : "PtP ",
		v->flags & IFF_MULTICAST ? "Multicast " : "", v->flags & IFF_LOOPBACK ? "Loopback " : "",
		v->flags & IFF_UP ? "Up" : "Down", v->up ? "Up" : "Down", v->mtu);
	for (unsigned i = 0; i < v->n_addrs; i++) {
		const struct iface_addr *a = &v->addrs[i];
		char addr[IPADDR_STRLEN];

		cli_line(&s->out, 1003, "\t%s/%u (%s, scope %s)", ipaddr_format(&a->addr, addr),
			a->prefix.len,
			a->primary     ? "Preferred"
			: a->secondary ? "Secondary"
				       : "Unselected",
			a->scope == SCOPE_UNIVERSE ? "univ"
			: a->scope == SCOPE_LINK   ? "link"
			: a->scope == SCOPE_HOST   ? "host"
						   : "site");
	}
}

void cli_show_interfaces(struct cli_session *s, struct parser *p)
{
	bool summary = parser_accept(p, "summary");
	unsigned max = 4096, n;
	struct iface_view *v;

	cli_expect_end(p);
	v = arena_alloc(s->arena, max * sizeof(*v));
	n = ifaces_all(s->daemon->ifaces, v, max);
	if (n > max)
		n = max;
	if (summary)
		cli_line(&s->out, 2005, "%-10s %-6s %-18s %s", "Interface", "State", "IPv4 address",
			"IPv6 address");
	for (unsigned i = 0; i < n; i++) {
		char a4[PREFIX_STRLEN] = "", a6[PREFIX_STRLEN] = "";

		if (!summary) {
			interface_line(s, &v[i]);
			continue;
		}
		for (unsigned k = 0; k < v[i].n_addrs; k++) {
			const struct iface_addr *a = &v[i].addrs[k];
			char *to = ipaddr_is_v4(&a->addr) ? a4 : a6, t[IPADDR_STRLEN];

			if (!*to)
				snprintf(to, PREFIX_STRLEN, "%s/%u", ipaddr_format(&a->addr, t),
					a->prefix.len);
		}
		cli_line(&s->out, 1005, "%-10s %-6s %-18s %s", v[i].name, v[i].up ? "up" : "down", a4, a6);
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
	const char *name = NULL;
	const struct symbol *sym;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds) && only == SYM_VOID; i++)
		if (parser_accept(p, kinds[i].word))
			only = kinds[i].cls;
	if (only == SYM_VOID && p->tok.kind != TOK_EOF)
		name = parser_name(p);
	cli_expect_end(p);
	if (name) {
		sym = symbol_find(s->config->symbols->global, name);
		cli_end(&s->out, 1010, "%-8s\t%s", name, sym ? symbol_class_name(sym) : "undefined");
		return;
	}
	for (sym = s->config->symbols->first; sym; sym = sym->order_next)
		if (only == SYM_VOID || sym->cls == only) {
			cli_line(&s->out, 1010, "%-8s\t%s", sym->name, symbol_class_name(sym));
			cli_flush_some(&s->out);
		}
	cli_end(&s->out, 0, "%s", "");
}

/* ---- show memory ---- */

static void memory_line(struct cli_session *s, const char *label, double effective, double overhead)
{
	static const char units[] = " kMGT";
	unsigned u[2] = {0, 0};
	double v[2] = {effective, overhead};

	for (int i = 0; i < 2; i++)
		while (v[i] >= 10000 && u[i] < 4) {
			v[i] /= 1024;
			u[i]++;
		}
	cli_line(&s->out, 1018, "%-17s %6.1f %cB   %6.1f %cB", label, v[0], units[u[0]], v[1], units[u[1]]);
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

void cli_show_memory(struct cli_session *s, struct parser *p)
{
	struct rib_table *tables[1024];
	struct attrs_usage au;
	uint64_t table_bytes = 0, rss = resident_bytes(), known;
	unsigned n;

	cli_expect_end(p);
	rcu_read_lock();
	n = rib_tables(s->daemon->rib, tables, 1024);
	for (unsigned i = 0; i < n && i < 1024; i++) {
		struct rib_table_stats st;

		rib_table_stats(tables[i], &st);
		table_bytes += st.bytes;
	}
	rcu_read_unlock();
	attrs_usage(&au);
	known = table_bytes + au.bytes + arena_bytes(s->config->arena);
	cli_line(&s->out, 1018, "BIRD memory usage");
	cli_line(&s->out, 1018, "%-17s Effective    Overhead", "");
	memory_line(s, "Routing tables:", (double)table_bytes, 0);
	memory_line(s, "Route attributes:", (double)au.bytes, 0);
	memory_line(s, "Protocols:", 0, 0);
	memory_line(s, "Current config:", (double)arena_bytes(s->config->arena), 0);
	memory_line(s, "Standby memory:", 0, rss > known ? (double)(rss - known) : 0);
	memory_line(s, "Total:", (double)known, rss > known ? (double)(rss - known) : 0);
	cli_end(&s->out, 0, "%s", "");
}

/* ---- show static ---- */

void cli_show_static(struct cli_session *s, struct parser *p)
{
	const char *name = p->tok.kind == TOK_EOF ? NULL : parser_name(p);
	const struct proto_config *pc;

	cli_expect_end(p);
	cds_list_for_each_entry(pc, &s->config->protocols, node)
	{
		const struct static_config *sc = pc->body;

		if (pc->type != PROTO_STATIC || (name && strcmp(name, pc->name)))
			continue;
		if (!name)
			cli_line(&s->out, 1009, "%s:", pc->name);
		for (const struct static_route *r = sc->routes; r; r = r->next) {
			static const char *const dests[] = {
				"", "", " blackhole", " unreachable", " prohibited"};
			char net[128], via[IPADDR_STRLEN];

			net_format(&r->net, net, sizeof(net));
			if (r->recursive)
				cli_line(&s->out, 1009, "%s recursive %s", net,
					ipaddr_format(&r->via_recursive, via));
			else if (r->dest != RTD_UNICAST)
				cli_line(&s->out, 1009, "%s%s", net, dests[r->dest]);
			else
				for (const struct static_nexthop *h = r->nexthops; h; h = h->next)
					cli_line(&s->out, 1009, "%s via %s%s%s", net,
						ipaddr_is_zero(&h->via) ? "" : ipaddr_format(&h->via, via),
						h->ifname ? " on " : "", h->ifname ? h->ifname : "");
			cli_flush_some(&s->out);
		}
	}
	cli_end(&s->out, 0, "%s", "");
}
