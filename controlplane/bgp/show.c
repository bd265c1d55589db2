/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `show protocols [all]` says about a session. Looking glasses parse these
 * lines: words, order and columns are BIRD 2's.
 */
#include "controlplane/bgp/bgp_proto.h"
#include "controlplane/cli/cli.h"
#include <stdarg.h>
#include <stdio.h>

#define CODE 1006

/* "12.345": seconds until a deadline, never negative. */
static const char *left(char buf[32], uint64_t deadline)
{
	uint64_t now = clock_now_ns(), ms = deadline > now ? (deadline - now) / NS_PER_MS : 0;

	snprintf(buf, 32, "%llu.%03llu", (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000));
	return buf;
}

static const char *state_word(const struct proto *p, bool have, const struct bgp_status *st)
{
	const struct bgp_config *c = p->cf->body;

	if (p->state == PS_DOWN)
		return "Down";
	if (!have && c->unnumbered && p->state == PS_START)
		return "Idle"; /* the neighbour has not been found yet */
	if (!have)
		return c->has_range && p->state == PS_START ? "Passive" : "Down";
	if (p->state == PS_STOP)
		return "Close";
	if (st->state == BS_IDLE && st->start_state == BSS_CONNECT)
		return "Passive";
	return bgp_conn_state_name(st->state);
}

static const char *last_error(const struct proto *p, bool have, const struct bgp_status *st)
{
	const struct bgp_peer *peer = p->data;

	return have ? st->last_error : peer ? peer->last_error : "";
}

void bgp_info(struct proto *p, char *buf, size_t size)
{
	struct bgp_status st;
	bool have = bgp_peer_status(p, &st);

	if (p->state == PS_DOWN)
		snprintf(buf, size, "%s", last_error(p, have, &st));
	else
		snprintf(buf, size, "%-14s%s", state_word(p, have, &st), last_error(p, have, &st));
}

/* ---- capabilities ---- */

struct family_line {
	char text[600];
	size_t len;
};

static void add_family(struct family_line *l, const struct bgp_af_caps *a)
{
	char buf[16];

	if (l->len + 20 < sizeof(l->text))
		l->len += (size_t)snprintf(
			l->text + l->len, sizeof(l->text) - l->len, " %s", bgp_af_name(a->afi, a->safi, buf));
}

static bool has_mp(const struct bgp_af_caps *a)
{
	return a->multiprotocol;
}

static bool has_next_hop(const struct bgp_af_caps *a)
{
	return a->extended_next_hop;
}

static bool has_gr(const struct bgp_af_caps *a)
{
	return a->gr;
}

static bool has_gr_kept(const struct bgp_af_caps *a)
{
	return a->gr && (a->gr_flags & GR_AF_FORWARDING);
}

static bool has_rx(const struct bgp_af_caps *a)
{
	return a->add_path & ADD_PATH_RX;
}

static bool has_tx(const struct bgp_af_caps *a)
{
	return a->add_path & ADD_PATH_TX;
}

static bool has_llgr(const struct bgp_af_caps *a)
{
	return a->llgr;
}

static bool has_llgr_kept(const struct bgp_af_caps *a)
{
	return a->llgr && (a->llgr_flags & GR_AF_FORWARDING);
}

static void families(struct cli_out *o, const char *label, const struct bgp_caps *c,
	bool (*has)(const struct bgp_af_caps *))
{
	struct family_line l = {.len = 0};

	for (unsigned i = 0; i < c->n_af; i++)
		if (has(&c->af[i]))
			add_family(&l, &c->af[i]);
	if (l.len)
		cli_line(o, CODE, "        %s%s", label, l.text);
}

static void show_paths_limit(struct cli_out *o, const struct bgp_caps *c)
{
	struct family_line l = {.len = 0};

	for (unsigned i = 0; i < c->n_af; i++) {
		if (!c->af[i].paths_limit)
			continue;
		add_family(&l, &c->af[i]);
		if (l.len + 8 < sizeof(l.text))
			l.len += (size_t)snprintf(
				l.text + l.len, sizeof(l.text) - l.len, " %u", c->af[i].paths_limit);
	}
	cli_line(o, CODE, "        Paths limit:%s", l.text);
}

static void show_llgr(struct cli_out *o, const struct bgp_caps *c)
{
	uint32_t time = 0;
	bool any = false, same = true;

	cli_line(o, CODE, "      Long-lived graceful restart");
	for (unsigned i = 0; i < c->n_af; i++) {
		if (!c->af[i].llgr)
			continue;
		same = same && (!any || c->af[i].llgr_time == time);
		time = c->af[i].llgr_time;
		any = true;
	}
	if (!any)
		return;
	if (same)
		cli_line(o, CODE, "        LL stale time: %u", time);
	families(o, "AF supported:", c, has_llgr);
	families(o, "AF preserved:", c, has_llgr_kept);
}

static void show_gr(struct cli_out *o, const struct bgp_caps *c)
{
	bool any = false;

	cli_line(o, CODE, "      Graceful restart");
	for (unsigned i = 0; i < c->n_af; i++)
		any |= c->af[i].gr;
	if (!any) /* only aware of others' */
		return;
	cli_line(o, CODE, "        Restart time: %u", c->gr_time);
	if (c->gr_flags & GR_FLAG_RESTART)
		cli_line(o, CODE, "        Restart recovery");
	families(o, "AF supported:", c, has_gr);
	families(o, "AF preserved:", c, has_gr_kept);
}

static void show_caps(struct cli_out *o, const struct bgp_caps *c)
{
	static const char *const roles[] = {"provider", "rs_server", "rs_client", "customer", "peer"};

	if (c->multiprotocol) {
		cli_line(o, CODE, "      Multiprotocol");
		families(o, "AF announced:", c, has_mp);
	}
	if (c->refresh)
		cli_line(o, CODE, "      Route refresh");
	if (c->extended_next_hop) {
		cli_line(o, CODE, "      Extended next hop");
		families(o, "IPv6 nexthop:", c, has_next_hop);
	}
	if (c->extended_messages)
		cli_line(o, CODE, "      Extended message");
	if (c->gr)
		show_gr(o, c);
	if (c->as4)
		cli_line(o, CODE, "      4-octet AS numbers");
	if (c->add_path) {
		cli_line(o, CODE, "      ADD-PATH");
		families(o, "RX:", c, has_rx);
		families(o, "TX:", c, has_tx);
		if (c->paths_limit)
			show_paths_limit(o, c);
	}
	if (c->enhanced_refresh)
		cli_line(o, CODE, "      Enhanced refresh");
	if (c->llgr)
		show_llgr(o, c);
	if (c->hostname)
		cli_line(o, CODE, "      Hostname: %s", c->host);
	if (c->role != BGP_ROLE_NONE)
		cli_line(o, CODE, "      Role: %s",
			c->role >= 0 && c->role <= BGP_ROLE_PEER ? roles[c->role] : "?");
	if (c->bfd_strict)
		cli_line(o, CODE, "      BFD strict mode");
	if (c->software[0])
		cli_line(o, CODE, "      Software version: %s", c->software);
}

/* ---- the session ---- */

static void show_start(struct cli_out *o, const struct bgp_status *st)
{
	char t[32];

	if (st->start_state == BSS_DELAY)
		cli_line(
			o, CODE, "    Error wait:       %s/%u", left(t, st->start_deadline), st->start_total);
	else if (st->state == BS_ACTIVE && !st->passive)
		cli_line(
			o, CODE, "    Connect delay:    %s/%u", left(t, st->start_deadline), st->start_total);
	if (st->bfd_deadline == UINT64_MAX)
		cli_line(o, CODE, "    BFD wait:         ---");
	else if (st->bfd_deadline)
		cli_line(o, CODE, "    BFD wait:         %s/-", left(t, st->bfd_deadline));
	if (st->gr_active && st->restart_deadline)
		cli_line(o, CODE, "    Restart timer:    %s/-", left(t, st->restart_deadline));
}

static void show_established(struct proto *p, struct cli_out *o, const struct bgp_status *st)
{
	const struct bgp_session *s = ((struct bgp_peer *)p->data)->session;
	const struct bgp_config *c = p->cf->body;
	struct ipaddr id = ipaddr_v4(htonl(st->peer_id));
	char t[IPADDR_STRLEN], rt[32];
	bool internal = st->peer_as == c->local_as;

	cli_line(o, CODE, "    Neighbor ID:      %s", ipaddr_format(&id, t));
	cli_line(o, CODE, "    Local capabilities");
	show_caps(o, &st->local_caps);
	cli_line(o, CODE, "    Neighbor capabilities");
	show_caps(o, &st->peer_caps);
	cli_line(o, CODE, "    Session:          %s%s%s%s%s", internal ? "internal" : "external",
		c->multihop ? " multihop" : "", c->rr_client ? " route-reflector" : "",
		c->rs_client ? " route-server" : "", st->as4 ? " AS4" : "");
	cli_line(o, CODE, "    Source address:   %s", ipaddr_format(&st->source_address, t));
	cli_line(o, CODE, "    Hold timer:       %s/%u",
		left(rt, st->hold_time ? atomic_load_explicit(&s->rx_ns, memory_order_relaxed) +
						 st->hold_time * NS_PER_S
				       : 0),
		st->hold_time);
	cli_line(o, CODE, "    Keepalive timer:  %s/%u",
		left(rt, st->keepalive_time ? atomic_load_explicit(&s->keepalive_due, memory_order_relaxed)
					    : 0),
		st->keepalive_time);
	cli_line(o, CODE, "    Send hold timer:  %s/%u",
		left(rt, st->send_hold_time ? atomic_load_explicit(&s->tx_ns, memory_order_relaxed) +
						      st->send_hold_time * NS_PER_S
					    : 0),
		st->send_hold_time);
}

static void show_address(struct proto *p, struct cli_out *o, bool have)
{
	const struct bgp_config *c = p->cf->body;
	const struct bgp_peer *peer = p->data;
	struct ipaddr remote = have ? peer->session->identity->c.remote : c->remote;
	char t[PREFIX_STRLEN];

	if (c->unnumbered && !have) {
		cli_line(o, CODE, "    Neighbor on:      %s", c->ifname);
		return;
	}
	if (c->has_range && !p->own_cf) {
		cli_line(o, CODE, "    Neighbor range:   %s", prefix_format(&c->range, t));
		return;
	}
	cli_line(o, CODE, "    Neighbor address: %s%s%s", ipaddr_format(&remote, t), c->ifname ? "%" : "",
		c->ifname ? c->ifname : "");
	if (c->remote_port && c->remote_port != BGP_PORT)
		cli_line(o, CODE, "    Neighbor port:    %u", c->remote_port);
}

void bgp_show_all(struct proto *p, struct cli_out *o)
{
	const struct bgp_config *c = p->cf->body;
	struct bgp_status st = {0};
	bool have = bgp_peer_status(p, &st);
	const char *error = last_error(p, have, &st);
	uint32_t remote_as = st.peer_as ? st.peer_as : c->remote_as;

	cli_line(o, CODE, "  BGP state:          %s", state_word(p, have, &st));
	show_address(p, o, have);
	if (remote_as)
		cli_line(o, CODE, "    Neighbor AS:      %u", remote_as);
	cli_line(o, CODE, "    Local AS:         %u", c->local_as);
	if (st.gr_active)
		cli_line(o, CODE, "    Neighbor graceful restart active");
	if (have && st.established)
		show_established(p, o, &st);
	else if (have)
		show_start(o, &st);
	if (error[0])
		cli_line(o, CODE, "    Last error:       %s", error);
}

void bgp_show_channel(struct proto *p, struct proto_channel *c, struct cli_out *o)
{
	struct bgp_peer *peer = p->data;
	struct bgp_status st;
	char a[IPADDR_STRLEN], b[IPADDR_STRLEN], t[32];

	if (!peer || !bgp_peer_status(p, &st))
		return;
	for (unsigned i = 0; i < peer->session->n_channels; i++) {
		if (peer->channel[i] != c)
			continue;
		if (st.channel[i].stale)
			cli_line(o, CODE, "    Neighbor GR:    %s",
				st.channel[i].llgr ? "long-lived" : "active");
		if (st.channel[i].llgr && st.channel[i].stale_deadline)
			cli_line(o, CODE, "    LL stale timer: %s/-", left(t, st.channel[i].stale_deadline));
		if (!st.channel[i].up)
			continue;
		if (ipaddr_is_zero(&st.channel[i].next_hop_ll) ||
			ipaddr_equal(&st.channel[i].next_hop_ll, &st.channel[i].next_hop))
			cli_line(
				o, CODE, "    BGP Next hop:   %s", ipaddr_format(&st.channel[i].next_hop, a));
		else
			cli_line(o, CODE, "    BGP Next hop:   %s %s",
				ipaddr_format(&st.channel[i].next_hop, a),
				ipaddr_format(&st.channel[i].next_hop_ll, b));
	}
	if (c->cf->igp_table4 && c->cf->igp_table4 != c->cf->table)
		cli_line(o, CODE, "    IGP IPv4 table: %s", c->cf->igp_table4->name);
	if (c->cf->igp_table6 && c->cf->igp_table6 != c->cf->table)
		cli_line(o, CODE, "    IGP IPv6 table: %s", c->cf->igp_table6->name);
	if (c->cf->validate)
		cli_line(o, CODE, "    Base table:     %s", c->cf->base_table->name);
}
