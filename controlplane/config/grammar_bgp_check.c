/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A complete BGP protocol: defaults that depend on the kind of session, and
 * what cannot go together. Errors stand at the closing brace, in BIRD's words
 * and order, so that the first complaint about a file is the same.
 */
#include "controlplane/config/grammar_bgp.h"

static bool link_local(const struct ipaddr *a)
{
	return ipaddr_is_link_local(a);
}

static void check_session(struct parser *p, struct bgp_config *c, bool interior)
{
	if (!c->local_as)
		parser_fail(p, "Local AS number must be set");
	if (ipaddr_is_zero(&c->remote) && !c->has_range && !c->unnumbered)
		parser_fail(p, "Neighbor must be configured");
	if (ipaddr_is_zero(&c->local) && c->strict_bind && !c->ifname && !c->iface_range)
		parser_fail(p, "Local address or an interface must be configured for strict bind");
	if (c->iface_range && !c->strict_bind)
		parser_fail(p, "Interface range needs strict bind");
	if (!c->remote_as && c->peer_type == BGP_PEER_BY_AS)
		parser_fail(p, "Remote AS number (or peer type) must be set");
	if (c->peer_type == BGP_PEER_INTERNAL && c->remote_as && c->remote_as != c->local_as)
		parser_fail(p, "IBGP cannot have different ASNs");
	if (c->peer_type == BGP_PEER_EXTERNAL && c->remote_as == c->local_as)
		parser_fail(p, "EBGP cannot have the same ASNs");
	if (!c->ifname && !c->iface_range && (link_local(&c->local) || link_local(&c->remote)))
		parser_fail(p, "Link-local addresses require defined interface");
	if (!(c->capabilities && c->enable_as4) && c->remote_as > UINT16_MAX)
		parser_fail(p, "Neighbor AS number out of range (AS4 not available)");
	if (!c->internal && c->rr_client)
		parser_fail(p, "Only internal neighbor can be RR client");
	if (c->internal && c->rs_client)
		parser_fail(p, "Only external neighbor can be RS client");
	if (c->internal && c->role != BGP_ROLE_NONE)
		parser_fail(p, "Local role cannot be set on IBGP sessions");
	if (interior && c->role != BGP_ROLE_NONE)
		parser_warn(p, &p->tok, "BGP roles are not recommended to be used within AS confederations");
	if (c->require_roles && c->role == BGP_ROLE_NONE)
		parser_fail(p, "Local role must be set if roles are required");
	if (!c->confederation && c->confederation_member)
		parser_fail(p, "Confederation ID must be set for member sessions");
	if (c->multihop && (link_local(&c->local) || link_local(&c->remote)))
		parser_fail(p, "Multihop BGP cannot be used with link-local addresses");
	if (c->onlink && !c->passive && !c->has_range && !c->ifname)
		parser_fail(p, "Active onlink BGP must have interface configured");
	if (c->multihop && c->ifname)
		parser_fail(p, "Multihop BGP cannot be bound to interface");
	if (c->multihop && c->check_link == TRI_ON)
		parser_fail(p, "Multihop BGP cannot depend on link state");
	if (c->multihop && c->bfd != BGP_BFD_OFF && ipaddr_is_zero(&c->local))
		parser_fail(p, "Multihop BGP with BFD requires specified local address");
	if (c->gr_mode == GR_OFF && c->llgr_mode != GR_OFF)
		parser_fail(p, "Long-lived graceful restart requires basic graceful restart");
	if (c->internal && (c->graceful_shutdown || c->graceful_shutdown_receive))
		parser_fail(p, "Graceful shutdown is for EBGP sessions");
	if (c->internal && c->enforce_first_as)
		parser_fail(p, "Enforce first AS check is requires EBGP sessions");
}

static void check_times(struct parser *p, const struct bgp_config *c)
{
	uint32_t keepalive = c->keepalive_time ? c->keepalive_time : c->hold_time / 3;

	if (c->keepalive_time > c->hold_time)
		parser_fail(p, "Keepalive time must be at most hold time");
	if (c->keepalive_time > c->hold_time / 2)
		parser_warn(p, &p->tok, "Keepalive time should be at most 1/2 of hold time");
	if (c->min_hold_time > c->hold_time)
		parser_fail(p, "Min hold time (%u) exceeds hold time (%u)", c->min_hold_time, c->hold_time);
	if (c->min_keepalive_time > keepalive)
		parser_fail(p, "Min keepalive time (%u) exceeds keepalive time (%u)", c->min_keepalive_time,
			keepalive);
	if (c->send_hold_time && c->send_hold_time < c->hold_time)
		parser_fail(p, "Send hold time must be zero or at least hold time");
	if (c->min_gr_time > c->max_gr_time)
		parser_fail(p, "Min graceful restart time (%u) exceeds max graceful restart time (%u)",
			c->min_gr_time, c->max_gr_time);
	if (c->min_llgr_time > c->max_llgr_time)
		parser_fail(p, "Min long-lived stale time (%u) exceeds max long-lived stale time (%u)",
			c->min_llgr_time, c->max_llgr_time);
}

static void check_auth(struct parser *p, struct bgp_config *c)
{
	/* What configurations older than the option mean. Said once, not for each of a thousand clients. */
	if (c->auth == BGP_AUTH_NONE && c->password) {
		c->auth = BGP_AUTH_MD5;
		if (!grammar_of(p)->md5_warned)
			parser_warn(p, &p->tok, "Missing authentication option, assuming MD5");
		grammar_of(p)->md5_warned = true;
	}
	if ((c->auth == BGP_AUTH_MD5) != (c->password != NULL))
		parser_fail(p, "MD5 authentication and password option should be used together");
	if ((c->auth == BGP_AUTH_AO) != (c->ao_keys != NULL))
		parser_fail(p, "AO authentication and keys option should be used together");
	if (c->auth == BGP_AUTH_AO && (c->has_range || c->unnumbered))
		parser_fail(p, "AO authentication not supported on dynamic BGP sessions");
}

static struct table_config *igp_table(struct parser *p, const struct channel_config *ch, enum net_type net)
{
	return ch->table && ch->table->net == net ? ch->table : p->config->default_table[net];
}

/* Of the neighbour's own routes of the family, or the family's default. */
static struct table_config *base_table(
	const struct parser *p, const struct proto_config *pc, const struct channel_config *flow)
{
	enum net_type net = flow->net == NET_FLOW4 ? NET_IP4 : NET_IP6;
	const struct channel_config *ch;

	cds_list_for_each_entry(
		ch, &pc->channels, node) if (ch->net == net && ch->safi == 1) return ch->table;
	return p->config->default_table[net];
}

static void finish_channel(struct parser *p, const struct proto_config *pc, const struct bgp_config *c,
	struct channel_config *ch, bool interior)
{
	if (ch->net == NET_MPLS)
		return;
	if (ch->net == NET_NEIGHBOR) {
		if (!c->has_range)
			parser_fail(p, "Neighbor channel requires dynamic BGP (neighbor range option)");
		return;
	}
	/* RFC 8212 */
	if (!interior && !ch->import_defined)
		parser_fail(p, "EBGP requires explicit import policy");
	if (!interior && !ch->export_defined)
		parser_fail(p, "EBGP requires explicit export policy");
	if (ch->next_hop_keep == NHMODE_UNSET)
		ch->next_hop_keep = c->rr_client ? NHMODE_IBGP : c->rs_client ? NHMODE_ALL : NHMODE_OFF;
	if (ch->next_hop_self == NHMODE_UNSET)
		ch->next_hop_self = NHMODE_OFF;
	if (ch->gateway_recursive == TRI_UNSET)
		ch->gateway_recursive = c->multihop ? TRI_ON : TRI_OFF;
	if (!ch->next_hop_prefer_set)
		ch->next_hop_prefer_local = ch->gateway_recursive == TRI_ON;
	if (ch->graceful_restart == TRI_UNSET)
		ch->graceful_restart = c->gr_mode == GR_ON ? TRI_ON : TRI_OFF;
	if (ch->llgr == TRI_UNSET)
		ch->llgr = c->llgr_mode == GR_ON ? TRI_ON : TRI_OFF;
	if (ch->llgr_stale_time == UINT32_MAX)
		ch->llgr_stale_time = c->llgr_time;
	if (!ch->min_llgr_time)
		ch->min_llgr_time = c->min_llgr_time;
	if (ch->max_llgr_time == UINT32_MAX)
		ch->max_llgr_time = c->max_llgr_time;
	if (ch->aigp == TRI_UNSET)
		ch->aigp = interior ? TRI_ON : TRI_OFF;
	/* Their next hops are looked up as well where they are on no network of ours. */
	if (ch->gateway_recursive == TRI_ON || ch->net == NET_VPN4 || ch->net == NET_VPN6 ||
		ch->net == NET_EVPN) {
		if (!ch->igp_table4)
			ch->igp_table4 = igp_table(p, ch, NET_IP4);
		if (!ch->igp_table6)
			ch->igp_table6 = igp_table(p, ch, NET_IP6);
	}
	if (ch->validate && !ch->base_table)
		ch->base_table = base_table(p, pc, ch);
	if (c->multihop && ch->gateway_recursive == TRI_OFF)
		parser_fail(p, "Multihop BGP cannot use direct gateway mode");
	if (ch->gateway_recursive == TRI_ON && ch->table->sorted)
		parser_fail(p, "BGP in recursive mode prohibits sorted table");
	if (c->deterministic_med && ch->table->sorted)
		parser_fail(p, "BGP with deterministic MED prohibits sorted table");
	if (path_choice_is_some(&ch->add_paths_send) && !(ch->add_paths & ADD_PATH_TX))
		parser_fail(p, "Add paths send requires add paths tx");
	if (ch->add_paths_receive_limit && !(ch->add_paths & ADD_PATH_RX))
		parser_fail(p, "Add paths receive limit requires add paths rx");
	if (ch->secondary && !ch->table->sorted)
		parser_fail(p, "BGP with secondary option requires sorted table");
}

void bgp_finish(struct parser *p, struct proto_config *pc, void *body)
{
	struct bgp_body *b = body;
	struct bgp_config *c = &b->bgp;
	struct channel_config *ch;
	bool interior;

	c->internal = c->remote_as ? c->remote_as == c->local_as : c->peer_type == BGP_PEER_INTERNAL;
	interior = c->internal || c->confederation_member;
	if (!b->multihop_set)
		c->multihop = c->internal && !c->unnumbered ? 64 : 0;
	if (!b->llgr_set)
		c->llgr_mode = c->gr_mode == GR_OFF ? GR_OFF : GR_AWARE;
	check_session(p, c, interior);
	if (c->check_link == TRI_UNSET)
		c->check_link = c->multihop ? TRI_OFF : TRI_ON;
	if (c->internal)
		c->remote_as = c->local_as;
	check_times(p, c);
	check_auth(p, c);
	cds_list_for_each_entry(ch, &pc->channels, node) finish_channel(p, pc, c, ch, interior);
}
