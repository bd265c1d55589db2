/* SPDX-License-Identifier: BSD-2-Clause */
/* show bfd sessions ..., show bfd counters, show failover. */
#include "controlplane/cli/query.h"
#include "controlplane/cli/session.h"
#include "controlplane/fib/fib.h"
#include "shared/clock.h"
#include "shared/timefmt.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct bfd_filter {
	bool all, has_addr, ipv4, ipv6, direct, multihop;
	struct prefix addr;
	const char *iface;
};

static bool wanted(const struct bfd_filter *f, const struct bfd_view *v)
{
	bool v4 = ipaddr_is_v4(&v->key.remote), mh = v->key.kind == BFD_KIND_MULTIHOP;

	return (!f->has_addr || prefix_contains_addr(&f->addr, &v->key.remote)) &&
	       (!f->iface || !strcmp(f->iface, v->ifname)) && (!f->ipv4 || v4) && (!f->ipv6 || !v4) &&
	       (!f->direct || !mh) && (!f->multihop || mh);
}

static const char *state_of(const struct bfd_view *v)
{
	return v->known ? bfd_state_name(v->state.state) : "Unknown";
}

static void seconds(char *buf, size_t size, uint64_t us)
{
	snprintf(buf, size, "%" PRIu64 ".%03" PRIu64, us / 1000000, us / 1000 % 1000);
}

static const char *kind_of(const struct bfd_view *v)
{
	switch (v->key.kind) {
	case BFD_KIND_MULTIHOP: return "Multihop";
	case BFD_KIND_SBFD: return "S-BFD";
	case BFD_KIND_ECHO_ONLY: return "Echo";
	default: return "Direct";
	}
}

static bool has_interface(const struct bfd_view *v)
{
	return v->key.kind != BFD_KIND_MULTIHOP && v->key.kind != BFD_KIND_SBFD;
}

/* "8-16 ms 120, 16-32 ms 3": the buckets that are not empty. */
static void histogram(const struct bfd_view *v, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = 0;
	for (unsigned i = 0; i < LINKSTATE_HIST && used + 1 < size; i++) {
		double from = (double)(1u << i) / 1000;

		if (v->rx_gap_hist[i])
			used += (size_t)snprintf(buf + used, size - used, "%s%.4g-%.4g ms %u",
				used ? ", " : "", i ? from : 0.0, from * 2, v->rx_gap_hist[i]);
	}
}

/* What BIRD does not tell. */
static void detail_ours(struct cli_session *s, const struct bfd_view *v)
{
	struct cli_out *o = &s->out;
	char a[24], b[24], text[512], t[TIMEFMT_MAX];

	cli_line(o, 1020, "  %-21s %" PRIu64 " received, %" PRIu64 " sent", "Packets:", v->rx_packets,
		v->tx_packets);
	cli_line(o, 1020,
		"  %-21s %" PRIu64 " (authentication %" PRIu64 ", TTL %" PRIu64 ", other rules %" PRIu64 ")",
		"Dropped:", v->rx_dropped, v->rx_auth_failed, v->rx_ttl, v->rx_refused);
	if (v->echo_tx)
		cli_line(o, 1020, "  %-21s %" PRIu64 " received, %" PRIu64 " sent",
			"Echo packets:", v->echo_rx, v->echo_tx);
	cli_line(o, 1020, "  %-21s %" PRIu64 " up, %" PRIu64 " down (%" PRIu64 " after a stall of our own)",
		"Transitions:", v->up_count, v->down_count, v->down_after_stall);
	seconds(a, sizeof(a), v->worst_rx_gap_us);
	seconds(b, sizeof(b), v->worst_tx_gap_us);
	cli_line(o, 1020, "  %-21s %s received, %s sent", "Worst gap:", a, b);
	histogram(v, text, sizeof(text));
	if (text[0])
		cli_line(o, 1020, "  %-21s %s", "Receive gaps:", text);
	if (v->last_down_ns) {
		cli_line(o, 1020, "  %-21s %s, %" PRIu64 ".%03" PRIu64 " ms after the last packet%s",
			"Last detection:", cli_time_mono(s, CLI_TIME_PROTOCOL, v->last_down_ns, t),
			(v->last_down_ns - v->last_down_rx_ns) / 1000000,
			(v->last_down_ns - v->last_down_rx_ns) / 1000 % 1000,
			v->state.flags & LINKSTATE_AFTER_STALL ? ", after a stall of our own" : "");
		cli_line(o, 1020, "  %-21s %" PRIu64 " us past the deadline at worst",
			"Detection overshoot:", v->worst_overshoot_us);
	}
	if (v->state.flags & LINKSTATE_DAMPED)
		cli_line(o, 1020, "  %-21s %s", "Dampened:", "held Down");
	if (v->unsolicited)
		cli_line(o, 1020, "  %-21s %s", "Begun by:", "the neighbor");
	if (v->problem[0])
		cli_line(o, 1020, "  %-21s %s", "Problem:", v->problem);
}

static void detail(struct cli_session *s, const struct bfd_view *v)
{
	struct cli_out *o = &s->out;
	char t[TIMEFMT_MAX], a[24], b[24], addr[IPADDR_STRLEN];

	cli_line(o, 1020, "  %-21s %s", "Address:", ipaddr_format(&v->key.remote, addr));
	cli_line(o, 1020, "  %-21s %s", "Interface:", has_interface(v) ? v->ifname : "---");
	cli_line(o, 1020, "  %-21s %s", "Session type:", kind_of(v));
	cli_line(o, 1020, "  %-21s %s", "Session state:", state_of(v));
	cli_line(o, 1020, "  %-21s %s", "Remote state:", bfd_state_name(v->state.remote_state));
	cli_line(o, 1020, "  %-21s %s",
		"Last state change:", cli_time_mono(s, CLI_TIME_PROTOCOL, v->since_ns, t));
	cli_line(o, 1020, "  %-21s %s", "Local diagnostic:", bfd_diag_name(v->state.diag));
	cli_line(o, 1020, "  %-21s %s", "Remote diagnostic:", bfd_diag_name(v->state.remote_diag));
	cli_line(o, 1020, "  %-21s %u", "Local discriminator:", v->state.local_disc);
	cli_line(o, 1020, "  %-21s %u", "Remote discriminator:", v->state.remote_disc);
	seconds(a, sizeof(a), v->state.tx_us);
	cli_line(o, 1020, "  %-21s %s", "Transmit interval:", a);
	if (v->state.state == BFD_UP || v->state.state == BFD_INIT) {
		uint64_t now = clock_now_ns(),
			 end = v->state.last_rx_ns + v->state.detect_us * UINT64_C(1000);

		seconds(a, sizeof(a), end > now ? (end - now) / 1000 : 0);
		seconds(b, sizeof(b), v->state.detect_us);
		cli_line(o, 1020, "  %-21s %s / %s", "Detect timer:", a, b);
	}
	cli_line(o, 1020, "  Local parameters:");
	seconds(a, sizeof(a), v->params.min_tx_us);
	seconds(b, sizeof(b), v->params.min_rx_us);
	cli_line(o, 1020, "    %-19s %s", "Min TX interval:", a);
	cli_line(o, 1020, "    %-19s %s", "Min RX interval:", b);
	cli_line(o, 1020, "    %-19s %s", "Demand mode:", v->params.demand ? "Yes" : "No");
	cli_line(o, 1020, "    %-19s %u", "Multiplier:", v->params.detect_mult);
	cli_line(o, 1020, "  Remote parameters:");
	seconds(a, sizeof(a), v->state.remote_min_tx_us);
	seconds(b, sizeof(b), v->state.remote_min_rx_us);
	cli_line(o, 1020, "    %-19s %s", "Min TX interval:", a);
	cli_line(o, 1020, "    %-19s %s", "Min RX interval:", b);
	cli_line(o, 1020, "    %-19s %s",
		"Demand mode:", v->state.flags & LINKSTATE_REMOTE_DEMAND ? "Yes" : "No");
	cli_line(o, 1020, "    %-19s %u", "Multiplier:", v->state.remote_detect_mult);
	detail_ours(s, v);
	cli_line(o, 1020, "%s", "");
}

static void json_session(struct json *j, const struct bfd_view *v)
{
	char addr[IPADDR_STRLEN];

	json_open(j, NULL, '{');
	json_str(j, "address", ipaddr_format(&v->key.remote, addr));
	json_str(j, "local_address", ipaddr_format(&v->key.local, addr));
	json_str(j, "interface", has_interface(v) ? v->ifname : NULL);
	json_str(j, "type",
		v->key.kind == BFD_KIND_MULTIHOP    ? "multihop"
		: v->key.kind == BFD_KIND_SBFD      ? "sbfd"
		: v->key.kind == BFD_KIND_ECHO_ONLY ? "echo"
						    : "direct");
	json_str(j, "state", state_of(v));
	json_str(j, "remote_state", bfd_state_name(v->state.remote_state));
	json_str(j, "diagnostic", bfd_diag_name(v->state.diag));
	json_str(j, "remote_diagnostic", bfd_diag_name(v->state.remote_diag));
	json_u64(j, "since_ns", v->since_ns);
	json_u64(j, "local_discriminator", v->state.local_disc);
	json_u64(j, "remote_discriminator", v->state.remote_disc);
	json_seconds(j, "interval", v->state.tx_us);
	json_seconds(j, "timeout", v->state.detect_us);
	json_u64(j, "remote_min_tx_us", v->state.remote_min_tx_us);
	json_u64(j, "remote_min_rx_us", v->state.remote_min_rx_us);
	json_u64(j, "remote_multiplier", v->state.remote_detect_mult);
	json_u64(j, "last_rx_ns", v->state.last_rx_ns);
	json_u64(j, "rx_packets", v->rx_packets);
	json_u64(j, "tx_packets", v->tx_packets);
	json_u64(j, "up_count", v->up_count);
	json_u64(j, "down_count", v->down_count);
	json_u64(j, "down_after_stall", v->down_after_stall);
	json_u64(j, "worst_rx_gap_us", v->worst_rx_gap_us);
	json_u64(j, "worst_overshoot_us", v->worst_overshoot_us);
	json_u64(j, "worst_tx_gap_us", v->worst_tx_gap_us);
	json_u64(j, "last_down_ns", v->last_down_ns);
	json_u64(j, "last_down_rx_ns", v->last_down_rx_ns);
	json_bool(j, "after_stall", v->state.flags & LINKSTATE_AFTER_STALL);
	json_bool(j, "dampened", v->state.flags & LINKSTATE_DAMPED);
	json_bool(j, "unsolicited", v->unsolicited);
	json_u64(j, "rx_dropped", v->rx_dropped);
	json_u64(j, "rx_auth_failed", v->rx_auth_failed);
	json_u64(j, "rx_ttl", v->rx_ttl);
	json_u64(j, "rx_refused", v->rx_refused);
	json_u64(j, "echo_rx", v->echo_rx);
	json_u64(j, "echo_tx", v->echo_tx);
	json_open(j, "rx_gap_histogram", '[');
	for (unsigned i = 0; i < LINKSTATE_HIST; i++)
		json_u64(j, NULL, v->rx_gap_hist[i]);
	json_close(j, ']');
	json_str(j, "problem", v->problem[0] ? v->problem : NULL);
	json_close(j, '}');
}

static const struct proto_config *bfd_protocol(const struct config *c, const char *name)
{
	const struct proto_config *p;

	cds_list_for_each_entry(p, &c->protocols,
		node) if (p->type == PROTO_BFD && (!name || !strcmp(name, p->name))) return p;
	return NULL;
}

struct bfd_up {
	struct cli_session *s;
	const char *name;
	bool up;
};

static void bfd_up_in_main(void *arg)
{
	struct bfd_up *b = arg;
	struct proto *p = proto_find(b->s->daemon, b->name);

	b->up = p && p->state == PS_UP;
}

static void parse(struct cli_session *s, struct parser *p, struct bfd_filter *f, const char **name)
{
	while (p->tok.kind != TOK_EOF) {
		if (parser_accept(p, "all"))
			f->all = true;
		else if (parser_accept(p, "ipv4"))
			f->ipv4 = true;
		else if (parser_accept(p, "ipv6"))
			f->ipv6 = true;
		else if (parser_accept(p, "direct"))
			f->direct = true;
		else if (parser_accept(p, "multihop"))
			f->multihop = true;
		else if (parser_accept(p, "address")) {
			f->has_addr = true;
			f->addr = query_parse_net(p).prefix;
		} else if (parser_accept(p, "interface") || parser_accept(p, "dev"))
			f->iface = parser_text(p);
		else if (parser_symbol(p))
			*name = cli_parse_symbol(s, p, SYM_PROTOCOL);
		else
			parser_syntax_error(p, NULL);
		if (f->ipv4 && f->ipv6)
			parser_fail(p, "Options 'ipv4' and 'ipv6' are mutually exclusive");
		if (f->direct && f->multihop)
			parser_fail(p, "Options 'direct' and 'multihop' are mutually exclusive");
	}
}

/* ---- show bfd counters ---- */

static void json_counters(struct cli_session *s, const struct bfd_counters *n)
{
	struct json j;

	json_begin(&j, s);
	json_open(&j, NULL, '{');
	json_open(&j, "workers", '[');
	for (unsigned i = 0; i < n->nworkers; i++) {
		json_open(&j, NULL, '{');
		json_u64(&j, "number", n->worker[i].number);
		json_u64(&j, "rx_packets", n->worker[i].rx);
		json_u64(&j, "tx_packets", n->worker[i].tx);
		json_u64(&j, "rx_invalid", n->worker[i].rx_invalid);
		json_u64(&j, "rx_ttl", n->worker[i].rx_ttl);
		json_u64(&j, "rx_unknown", n->worker[i].rx_unknown);
		json_u64(&j, "rx_ratelimited", n->worker[i].rx_ratelimited);
		json_u64(&j, "rx_forwarded", n->worker[i].rx_forwarded);
		json_u64(&j, "tx_dropped", n->worker[i].tx_dropped);
		json_u64(&j, "stalls", n->worker[i].stalls);
		json_u64(&j, "worst_stall_ns", n->worker[i].worst_stall_ns);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_open(&j, "filters", '[');
	for (unsigned i = 0; i < n->nports; i++) {
		json_open(&j, NULL, '{');
		json_str(&j, "port", n->port[i].name);
		json_u64(&j, "taken", n->port[i].taken);
		json_u64(&j, "dropped_ttl", n->port[i].ttl);
		json_u64(&j, "passed_not_local", n->port[i].not_local);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	json_end(&j);
}

static void show_counters(struct cli_session *s)
{
	struct cli_out *o = &s->out;
	struct bfd_counters n;
	bool there = bfd_client_counters(s->daemon->bfd, &n);

	if (s->json) {
		json_counters(s, &n);
		return;
	}
	if (!there) {
		cli_line(o, 1020, "The BFD engine does not answer");
		cli_end(o, 0, "%s", "");
		return;
	}
	for (unsigned i = 0; i < n.nworkers; i++) {
		cli_line(o, 1020, "Worker %u:", n.worker[i].number);
		cli_line(o, 1020, "  %-21s %" PRIu64 " received, %" PRIu64 " sent, %" PRIu64 " not sent",
			"Packets:", n.worker[i].rx, n.worker[i].tx, n.worker[i].tx_dropped);
		cli_line(o, 1020,
			"  %-21s malformed %" PRIu64 ", TTL %" PRIu64 ", unknown session %" PRIu64
			", over the limit %" PRIu64,
			"Dropped:", n.worker[i].rx_invalid, n.worker[i].rx_ttl, n.worker[i].rx_unknown,
			n.worker[i].rx_ratelimited);
		cli_line(o, 1020, "  %-21s %" PRIu64, "To other workers:", n.worker[i].rx_forwarded);
		cli_line(o, 1020, "  %-21s %" PRIu64 ", worst %" PRIu64 ".%03" PRIu64 " ms",
			"Stalls:", n.worker[i].stalls, n.worker[i].worst_stall_ns / 1000000,
			n.worker[i].worst_stall_ns / 1000 % 1000);
	}
	for (unsigned i = 0; i < n.nports; i++)
		cli_line(o, 1020,
			"XDP filter of %s: %" PRIu64 " taken, %" PRIu64 " dropped (TTL), %" PRIu64
			" passed on (not for us)",
			n.port[i].name, n.port[i].taken, n.port[i].ttl, n.port[i].not_local);
	cli_end(o, 0, "%s", "");
}

void cli_show_bfd(struct cli_session *s, struct parser *p)
{
	struct bfd_filter f = {0};
	const char *name = NULL;
	const struct proto_config *pc;
	struct bfd_up up;
	struct bfd_view *v;
	unsigned n, max;
	struct json j;

	if (parser_accept(p, "counters")) {
		cli_expect_end(p);
		show_counters(s);
		return;
	}
	parser_expect(p, "sessions");
	parse(s, p, &f, &name);
	pc = bfd_protocol(s->config, name);
	if (!pc && name)
		parser_fail(p, "%s: Not a BFD protocol", name);
	if (!pc)
		parser_fail(p, "There is no BFD protocol running");
	up = (struct bfd_up){s, pc->name, false};
	cli_in_main(s, bfd_up_in_main, &up);
	if (!up.up) {
		if (s->json) {
			json_begin(&j, s);
			json_open(&j, NULL, '[');
			json_close(&j, ']');
			json_end(&j);
			return;
		}
		cli_line(&s->out, 1020, "%s: is not up", pc->name);
		cli_end(&s->out, 0, "%s", "");
		return;
	}
	max = bfd_client_view(s->daemon->bfd, NULL, 0) + 64;
	v = arena_alloc(s->arena, max * sizeof(*v));
	n = bfd_client_view(s->daemon->bfd, v, max);
	if (n > max)
		n = max;
	if (s->json) {
		json_begin(&j, s);
		json_open(&j, NULL, '[');
		for (unsigned i = 0; i < n; i++)
			if (wanted(&f, &v[i]))
				json_session(&j, &v[i]);
		json_close(&j, ']');
		json_end(&j);
		return;
	}
	cli_line(&s->out, 1020, "%s:", pc->name);
	if (!f.all)
		cli_line(&s->out, 1020, "%-25s %-10s %-10s %-12s  %8s %8s", "IP address", "Interface",
			"State", "Since", "Interval", "Timeout");
	for (unsigned i = 0; i < n; i++) {
		char addr[IPADDR_STRLEN], t[TIMEFMT_MAX], a[24], b[24];

		if (!wanted(&f, &v[i]))
			continue;
		if (f.all) {
			detail(s, &v[i]);
			continue;
		}
		seconds(a, sizeof(a), v[i].state.tx_us);
		seconds(b, sizeof(b), v[i].state.detect_us);
		cli_line(&s->out, 1020, "%-25s %-10s %-10s %-12s  %7s  %7s",
			ipaddr_format(&v[i].key.remote, addr), has_interface(&v[i]) ? v[i].ifname : "---",
			state_of(&v[i]), cli_time_mono(s, CLI_TIME_PROTOCOL, v[i].since_ns, t), a, b);
		cli_flush_some(&s->out);
	}
	cli_end(&s->out, 0, "%s", "");
}

/* ---- show failover ---- */

/* Stages of a failover, each with its time since the last packet (or since detection where no packet is
 * known). */
struct stage {
	const char *name;
	uint64_t ns;
};

static unsigned stages(const struct fib_failover_view *f, struct stage *out)
{
	const struct stage all[] = {
		{"last_packet", f->t.last_rx},
		{"detected", f->t.detected},
		{"published", f->t.published},
		{"ring_read", f->t.ring_read},
		{"plan_found", f->t.plan_found},
		{"redirected", f->redirected_ns},
		{"netlink_sent", f->t.netlink_sent},
		{"netlink_acked", f->t.netlink_acked},
		{"bgp_told", f->bgp_told_ns},
		{"updates_out", f->updates_out_ns},
	};
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i].ns)
			out[n++] = all[i];
	return n;
}

static void json_group(struct json *j, const struct fib_group_view *g)
{
	char addr[IPADDR_STRLEN];

	json_open(j, NULL, '{');
	json_u64(j, "id", g->id);
	json_u64(j, "family", g->family);
	json_u64(j, "prefixes", g->prefixes);
	json_bool(j, "retired", g->retired);
	json_open(j, "members", '[');
	for (unsigned i = 0; i < g->n_members && i < sizeof(g->member) / sizeof(*g->member); i++) {
		const struct fib_group_member *m = &g->member[i];

		json_open(j, NULL, '{');
		if (!ipaddr_is_zero(&m->addr))
			json_str(j, "address", ipaddr_format(&m->addr, addr));
		json_str(j, "interface", ifaces_name(m->ifindex));
		json_u64(j, "weight", m->weight);
		json_bool(j, "carries", m->carries);
		json_close(j, '}');
	}
	json_close(j, ']');
	json_close(j, '}');
}

static void json_failover(struct cli_session *s, const struct fib_plan_view *pv, unsigned np,
	const struct fib_group_view *gv, unsigned ng, const struct fib_failover_view *fv, unsigned nf)
{
	char addr[IPADDR_STRLEN];
	struct json j;

	json_begin(&j, s);
	json_open(&j, NULL, '{');
	json_open(&j, "plans", '[');
	for (unsigned i = 0; i < np; i++) {
		json_open(&j, NULL, '{');
		json_str(&j, "address", ipaddr_format(&pv[i].addr, addr));
		json_str(&j, "interface", ifaces_name(pv[i].ifindex));
		json_u64(&j, "groups", pv[i].groups);
		json_u64(&j, "prefixes", pv[i].prefixes);
		json_bool(&j, "link_up", pv[i].link_up);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_open(&j, "groups", '[');
	for (unsigned i = 0; i < ng; i++)
		json_group(&j, &gv[i]);
	json_close(&j, ']');
	json_open(&j, "failovers", '[');
	for (unsigned i = 0; i < nf; i++) {
		struct stage st[16];
		unsigned n = stages(&fv[i], st);

		json_open(&j, NULL, '{');
		json_str(&j, "address", ipaddr_format(&fv[i].addr, addr));
		json_str(&j, "interface", ifaces_name(fv[i].ifindex));
		json_str(&j, "event", fv[i].up ? "up" : "down");
		json_str(&j, "reason", fv[i].reason);
		json_u64(&j, "groups", fv[i].groups);
		json_u64(&j, "prefixes", fv[i].prefixes);
		json_u64(&j, "error", (uint64_t)(fv[i].error < 0 ? -fv[i].error : fv[i].error));
		json_u64(&j, "wall_ns", fv[i].wall_ns);
		json_open(&j, "stages", '{');
		for (unsigned k = 0; k < n; k++)
			json_u64(&j, st[k].name, st[k].ns);
		json_close(&j, '}');
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	json_end(&j);
}

/* "via A on a0 (256), B on b0 (256); then C on c0" */
static void group_line(struct cli_session *s, const struct fib_group_view *g)
{
	const unsigned room = sizeof(g->member) / sizeof(*g->member);
	char text[1024], addr[IPADDR_STRLEN], id[16] = "plain";
	size_t len = 0;
	bool spare = false;

	text[0] = 0;
	if (g->id)
		snprintf(id, sizeof(id), "%u", g->id);
	for (unsigned i = 0; i < g->n_members && i < room; i++) {
		const struct fib_group_member *m = &g->member[i];
		const char *sep = i == 0 ? "via " : !m->carries && !spare ? "; then " : ", ";

		spare = spare || !m->carries;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%s%s", sep,
			ipaddr_is_zero(&m->addr) ? "" : ipaddr_format(&m->addr, addr),
			ipaddr_is_zero(&m->addr) ? "" : " on ", ifaces_name(m->ifindex));
		if (m->carries && m->weight > 1 && g->n_members > 1 && g->member[1].carries)
			len += (size_t)snprintf(text + len, sizeof(text) - len, " (%u)", m->weight);
	}
	if (g->n_members > room)
		snprintf(text + len, sizeof(text) - len, ", and %u more", g->n_members - room);
	cli_line(&s->out, 1101, "%-11s IPv%u %9" PRIu64 "  %s%s", id, g->family, g->prefixes,
		g->n_members ? text : "no way at present", g->retired ? "; until BGP has converged" : "");
	cli_flush_some(&s->out);
}

void cli_show_failover(struct cli_session *s, struct parser *p)
{
	const unsigned max = 1024;
	struct fib_plan_view *pv = arena_alloc(s->arena, max * sizeof(*pv));
	struct fib_failover_view *fv = arena_alloc(s->arena, max * sizeof(*fv));
	struct fib_group_view *gv = arena_alloc(s->arena, max * sizeof(*gv));
	unsigned np, nf, ng, groups;

	cli_expect_end(p);
	if (!s->daemon->fib) {
		cli_end(&s->out, 9001, "There is no kernel to fail over");
		return;
	}
	np = fib_plans(s->daemon->fib, pv, max);
	nf = fib_failovers(s->daemon->fib, fv, max);
	groups = fib_groups(s->daemon->fib, gv, max);
	ng = groups > max ? max : groups;
	np = np > max ? max : np;
	nf = nf > max ? max : nf;
	if (s->json) {
		json_failover(s, pv, np, gv, ng, fv, nf);
		return;
	}
	cli_line(&s->out, 1101, "%-25s %-10s %-5s %7s %9s", "Neighbour", "Interface", "Link", "Groups",
		"Prefixes");
	for (unsigned i = 0; i < np; i++) {
		char addr[IPADDR_STRLEN];
		const char *ifn = ifaces_name(pv[i].ifindex);

		cli_line(&s->out, 1101, "%-25s %-10s %-5s %7u %9" PRIu64, ipaddr_format(&pv[i].addr, addr),
			*ifn ? ifn : "---", pv[i].link_up ? "up" : "down", pv[i].groups, pv[i].prefixes);
	}
	cli_line(&s->out, 1101, "%s", "");
	cli_line(&s->out, 1101, "%-11s %-4s %9s  %s", "Group", "", "Prefixes", "Next hops");
	for (unsigned i = 0; i < ng; i++)
		group_line(s, &gv[i]);
	if (groups > ng)
		cli_line(&s->out, 1101, "... and %u groups with fewer prefixes", groups - ng);
	cli_line(&s->out, 1101, "%s", "");
	for (unsigned i = 0; i < nf; i++) {
		char addr[IPADDR_STRLEN], t[TIMEFMT_MAX], times[512];
		struct stage st[16];
		unsigned n = stages(&fv[i], st);
		size_t len = 0;

		times[0] = 0;
		for (unsigned k = 1; k < n; k++) {
			uint64_t d = st[k].ns - st[0].ns;

			len += (size_t)snprintf(times + len, sizeof(times) - len,
				" %s +%" PRIu64 ".%03" PRIu64 " ms", st[k].name, d / 1000000,
				d / 1000 % 1000);
			if (len >= sizeof(times))
				break;
		}
		cli_line(&s->out, 1101, "%s %s %s (%s): %u groups, %" PRIu64 " prefixes;%s%s",
			cli_time_wall(s, CLI_TIME_PROTOCOL, fv[i].wall_ns, t),
			ipaddr_is_zero(&fv[i].addr) ? ifaces_name(fv[i].ifindex)
						    : ipaddr_format(&fv[i].addr, addr),
			fv[i].up ? "up" : "down", fv[i].reason, fv[i].groups, fv[i].prefixes, times,
			fv[i].error ? " (kernel refused a part)" : "");
	}
	cli_end(&s->out, 0, "%s", "");
}
