/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a reload changes, by content. The bodies are plain structures from a
 * zeroed arena, so most of a comparison is memcmp(), with the fields that are
 * pointers, or that a running protocol can take over, cut out and looked at one
 * by one. A difference that is not one costs a restart, never a wrong session.
 */
#include "controlplane/config/config.h"
#include <string.h>

struct span {
	size_t offset, size;
};
#define SPAN(type, field)                                                                                    \
	{                                                                                                    \
		offsetof(type, field), sizeof(((type *)NULL)->field)                                         \
	}
#define MAX_BODY 1024
_Static_assert(sizeof(struct bgp_config) <= MAX_BODY, "raise MAX_BODY");

/* Equal in all bytes outside the spans? */
static bool same_except(const void *a, const void *b, size_t size, const struct span *skip, size_t n)
{
	char x[MAX_BODY], y[MAX_BODY];

	memcpy(x, a, size);
	memcpy(y, b, size);
	for (size_t i = 0; i < n; i++) {
		memset(x + skip[i].offset, 0, skip[i].size);
		memset(y + skip[i].offset, 0, skip[i].size);
	}
	return !memcmp(x, y, size);
}
#define SAME_EXCEPT(a, b, spans) same_except(a, b, sizeof(*(a)), spans, sizeof(spans) / sizeof((spans)[0]))

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_table(const struct table_config *a, const struct table_config *b)
{
	if (!a || !b)
		return a == b;
	return !strcmp(a->name, b->name) && a->net == b->net && a->sorted == b->sorted;
}

static bool same_pattern(const struct iface_pattern *a, const struct iface_pattern *b)
{
	for (; a && b; a = a->next, b = b->next)
		if (a->negate != b->negate || !same_text(a->mask, b->mask) ||
			a->has_prefix != b->has_prefix ||
			(a->has_prefix && !prefix_equal(&a->prefix, &b->prefix)))
			return false;
	return a == b;
}

static bool same_keys(const struct ao_key *a, const struct ao_key *b)
{
	for (; a && b; a = a->next, b = b->next)
		if (a->send_id != b->send_id || a->recv_id != b->recv_id || a->secret_len != b->secret_len ||
			memcmp(a->secret, b->secret, a->secret_len) != 0 ||
			!same_text(a->algorithm, b->algorithm) || a->preferred != b->preferred ||
			a->deprecated != b->deprecated)
			return false;
	return a == b;
}

/* ---- protocols ---- */

static uint32_t diff_bgp(const struct proto_config *old, const struct proto_config *new)
{
	static const struct span apart[] = {
		SPAN(struct bgp_config, ifname),
		SPAN(struct bgp_config, iface_range),
		SPAN(struct bgp_config, dynamic_name),
		SPAN(struct bgp_config, password),
		SPAN(struct bgp_config, ao_keys),
#define POINTERS 5
		/* taken over while the session runs */
		SPAN(struct bgp_config, bfd),
		SPAN(struct bgp_config, bfd_options),
		SPAN(struct bgp_config, bfd_strict),
		SPAN(struct bgp_config, bfd_strict_hold),
		SPAN(struct bgp_config, check_link),
		SPAN(struct bgp_config, graceful_shutdown),
		SPAN(struct bgp_config, graceful_shutdown_receive),
		SPAN(struct bgp_config, require_refresh),
		SPAN(struct bgp_config, require_enhanced_refresh),
		SPAN(struct bgp_config, require_as4),
		SPAN(struct bgp_config, require_extended_messages),
		SPAN(struct bgp_config, require_hostname),
		SPAN(struct bgp_config, require_gr),
		SPAN(struct bgp_config, require_llgr),
	};
	const struct bgp_config *a = old->body, *b = new->body;

	if (!SAME_EXCEPT(a, b, apart) || !same_text(a->ifname, b->ifname) ||
		!same_pattern(a->iface_range, b->iface_range) ||
		!same_text(a->dynamic_name, b->dynamic_name) || !same_text(a->password, b->password) ||
		!same_keys(a->ao_keys, b->ao_keys))
		return PROTO_RESTART;
	if (old->router_id != new->router_id)
		return PROTO_RESTART;
	if (a->advertise_hostname && !same_text(old->hostname, new->hostname))
		return PROTO_RESTART;
	return same_except(a, b, sizeof(*a), apart, POINTERS) ? PROTO_SAME : PROTO_RECONFIGURE;
}

static bool same_bfd_lists(const struct bfd_config *a, const struct bfd_config *b)
{
	const struct cds_list_head *x, *y;

	for (x = a->ifaces.next, y = b->ifaces.next; x != &a->ifaces && y != &b->ifaces;
		x = x->next, y = y->next) {
		const struct bfd_iface_config *i = cds_list_entry(x, struct bfd_iface_config, node);
		const struct bfd_iface_config *j = cds_list_entry(y, struct bfd_iface_config, node);

		if (!same_pattern(i->pattern, j->pattern) ||
			memcmp(&i->options, &j->options, sizeof(i->options)))
			return false;
	}
	if (x != &a->ifaces || y != &b->ifaces)
		return false;
	for (x = a->neighbors.next, y = b->neighbors.next; x != &a->neighbors && y != &b->neighbors;
		x = x->next, y = y->next) {
		const struct bfd_neighbor_config *i = cds_list_entry(x, struct bfd_neighbor_config, node);
		const struct bfd_neighbor_config *j = cds_list_entry(y, struct bfd_neighbor_config, node);

		if (!ipaddr_equal(&i->addr, &j->addr) || !ipaddr_equal(&i->local, &j->local) ||
			!same_text(i->ifname, j->ifname) || i->multihop != j->multihop ||
			i->echo_only != j->echo_only || i->sbfd_disc != j->sbfd_disc ||
			memcmp(&i->options, &j->options, sizeof(i->options)))
			return false;
	}
	return x == &a->neighbors && y == &b->neighbors;
}

static bool same_unsolicited(const struct bfd_unsolicited_config *a, const struct bfd_unsolicited_config *b)
{
	if (a->on != b->on || a->limit != b->limit || a->keep_us != b->keep_us || a->n_allow != b->n_allow ||
		!a->pattern != !b->pattern || (a->pattern && !same_pattern(a->pattern, b->pattern)))
		return false;
	return memcmp(a->allow, b->allow, a->n_allow * sizeof(*a->allow)) == 0;
}

static uint32_t diff_bfd(const struct bfd_config *a, const struct bfd_config *b)
{
	if (a->accept_ipv4 != b->accept_ipv4 || a->accept_ipv6 != b->accept_ipv6 ||
		a->accept_direct != b->accept_direct || a->accept_multihop != b->accept_multihop ||
		a->strict_bind != b->strict_bind || a->zero_udp6_checksum_rx != b->zero_udp6_checksum_rx)
		return PROTO_RESTART;
	if (a->has_multihop != b->has_multihop ||
		memcmp(&a->multihop, &b->multihop, sizeof(a->multihop)) != 0)
		return PROTO_RECONFIGURE;
	if (memcmp(&a->reflector, &b->reflector, sizeof(a->reflector)) != 0 || a->workers != b->workers ||
		!same_unsolicited(&a->unsolicited, &b->unsolicited))
		return PROTO_RECONFIGURE;
	return same_bfd_lists(a, b) ? PROTO_SAME : PROTO_RECONFIGURE;
}

static bool same_actions(const struct filter *a, const struct filter *b)
{
	struct filter_ref x = {FILTER_PROGRAM, a}, y = {FILTER_PROGRAM, b};

	if (!a || !b)
		return a == b;
	return filter_same(&x, &y);
}

static bool same_nexthops(const struct static_nexthop *a, const struct static_nexthop *b)
{
	for (; a && b; a = a->next, b = b->next)
		if (!ipaddr_equal(&a->via, &b->via) || !same_text(a->ifname, b->ifname) ||
			a->onlink != b->onlink || a->use_bfd != b->use_bfd || a->weight != b->weight ||
			a->n_labels != b->n_labels || memcmp(a->label, b->label, sizeof(a->label)) != 0)
			return false;
	return a == b;
}

static bool same_routes(const struct static_route *a, const struct static_route *b)
{
	for (; a && b; a = a->next, b = b->next)
		if (!net_equal(&a->net, &b->net) || a->dest != b->dest || a->recursive != b->recursive ||
			!ipaddr_equal(&a->via_recursive, &b->via_recursive) ||
			a->n_providers != b->n_providers ||
			(a->n_providers && memcmp(a->providers, b->providers,
						   a->n_providers * sizeof(*a->providers)) != 0) ||
			!same_nexthops(a->nexthops, b->nexthops) || !same_actions(a->actions, b->actions))
			return false;
	return a == b;
}

static uint32_t diff_static(const struct static_config *a, const struct static_config *b)
{
	if (!same_table(a->igp_table, b->igp_table) || !same_table(a->igp_table6, b->igp_table6))
		return PROTO_RESTART;
	return a->check_link == b->check_link && same_routes(a->routes, b->routes) ? PROTO_SAME
										   : PROTO_RECONFIGURE;
}

static uint32_t diff_device(const struct device_config *a, const struct device_config *b)
{
	if (a->scan_time != b->scan_time || a->n_preferred != b->n_preferred)
		return PROTO_RECONFIGURE;
	for (unsigned i = 0; i < a->n_preferred; i++)
		if (!ipaddr_equal(&a->preferred[i].preferred, &b->preferred[i].preferred) ||
			!same_pattern(a->preferred[i].pattern, b->preferred[i].pattern))
			return PROTO_RECONFIGURE;
	return PROTO_SAME;
}

static uint32_t diff_kernel(const struct kernel_config *a, const struct kernel_config *b)
{
	static const struct span apart[] = {
		SPAN(struct kernel_config, scan_time),
		SPAN(struct kernel_config, persist),
		SPAN(struct kernel_config, graceful_restart),
	};

	if (!SAME_EXCEPT(a, b, apart))
		return PROTO_RESTART;
	return memcmp(a, b, sizeof(*a)) ? PROTO_RECONFIGURE : PROTO_SAME;
}

static uint32_t diff_rpki(const struct rpki_config *a, const struct rpki_config *b)
{
	static const struct span apart[] = {
		SPAN(struct rpki_config, host),
		SPAN(struct rpki_config, ssh_user),
		SPAN(struct rpki_config, ssh_private_key),
		SPAN(struct rpki_config, ssh_public_key),
		SPAN(struct rpki_config, md5_password),
		SPAN(struct rpki_config, refresh),
		SPAN(struct rpki_config, retry),
		SPAN(struct rpki_config, expire),
		SPAN(struct rpki_config, keep_refresh),
		SPAN(struct rpki_config, keep_retry),
		SPAN(struct rpki_config, keep_expire),
		SPAN(struct rpki_config, hold_routes),
		SPAN(struct rpki_config, hold_timeout),
	};

	if (!SAME_EXCEPT(a, b, apart) || !same_text(a->host, b->host) ||
		!same_text(a->ssh_user, b->ssh_user) || !same_text(a->ssh_private_key, b->ssh_private_key) ||
		!same_text(a->ssh_public_key, b->ssh_public_key) ||
		!same_text(a->md5_password, b->md5_password))
		return PROTO_RESTART;
	if (a->refresh != b->refresh || a->retry != b->retry || a->expire != b->expire ||
		a->keep_refresh != b->keep_refresh || a->keep_retry != b->keep_retry ||
		a->keep_expire != b->keep_expire || a->hold_routes != b->hold_routes ||
		a->hold_timeout != b->hold_timeout)
		return PROTO_RECONFIGURE;
	return PROTO_SAME;
}

static uint32_t diff_mrt(const struct mrt_config *a, const struct mrt_config *b)
{
	bool same = same_text(a->table_pattern, b->table_pattern) && same_table(a->table, b->table) &&
		    filter_same(&a->filter, &b->filter) && same_text(a->filename, b->filename) &&
		    a->period == b->period && a->always_add_path == b->always_add_path;

	return same ? PROTO_SAME : PROTO_RECONFIGURE;
}

static uint32_t diff_bmp(const struct bmp_config *a, const struct bmp_config *b)
{
	if (!ipaddr_equal(&a->local, &b->local) || !ipaddr_equal(&a->station, &b->station) ||
		a->port != b->port || !same_text(a->sys_name, b->sys_name) ||
		!same_text(a->sys_descr, b->sys_descr) || a->pre_policy != b->pre_policy ||
		a->post_policy != b->post_policy || a->out_pre_policy != b->out_pre_policy ||
		a->out_post_policy != b->out_post_policy || a->loc_rib != b->loc_rib ||
		a->mirror != b->mirror || !same_table(a->loc_rib_table[0], b->loc_rib_table[0]) ||
		!same_table(a->loc_rib_table[1], b->loc_rib_table[1]))
		return PROTO_RESTART;
	return a->tx_limit_mb == b->tx_limit_mb ? PROTO_SAME : PROTO_RECONFIGURE;
}

static uint32_t diff_body(const struct proto_config *old, const struct proto_config *new)
{
	switch (old->type) {
	case PROTO_BGP: return diff_bgp(old, new);
	case PROTO_BFD: return diff_bfd(old->body, new->body);
	case PROTO_STATIC: return diff_static(old->body, new->body);
	case PROTO_DEVICE: return diff_device(old->body, new->body);
	case PROTO_KERNEL: return diff_kernel(old->body, new->body);
	case PROTO_RPKI: return diff_rpki(old->body, new->body);
	case PROTO_MRT: return diff_mrt(old->body, new->body);
	case PROTO_BMP: return diff_bmp(old->body, new->body);
	case PROTO_DIRECT: {
		const struct direct_config *a = old->body, *b = new->body;

		return same_pattern(a->pattern, b->pattern) && a->check_link == b->check_link ? PROTO_SAME
											      : PROTO_RESTART;
	}
	case PROTO_PIPE:
	case PROTO_AGGREGATOR: {
		const struct pipe_config *a = old->body, *b = new->body;

		return same_table(a->peer_table, b->peer_table) && a->max_generation == b->max_generation
			       ? PROTO_SAME
			       : PROTO_RESTART;
	}
	case PROTO_INERT: break;
	}
	return PROTO_SAME;
}

uint32_t config_diff_protocol(const struct proto_config *old, const struct proto_config *new)
{
	uint32_t bits;

	if (old->type != new->type || strcmp(old->type_name, new->type_name) != 0)
		return PROTO_RESTART;
	if (!same_text(old->vrf, new->vrf) || old->vrf_default != new->vrf_default)
		return PROTO_RESTART;
	bits = diff_body(old, new);
	if (bits & PROTO_RESTART)
		return PROTO_RESTART;
	if (!same_text(old->description, new->description) || !same_text(old->hostname, new->hostname) ||
		old->debug != new->debug || old->mrtdump != new->mrtdump ||
		old->router_id != new->router_id || old->disabled != new->disabled)
		bits |= PROTO_RECONFIGURE;
	return bits;
}

/* ---- channels ---- */

static bool same_limit(const struct limit_config *a, const struct limit_config *b)
{
	return a->value == b->value && a->action == b->action;
}

static bool same_session(const struct channel_config *a, const struct channel_config *b)
{
	return !strcmp(a->name, b->name) && a->net == b->net && a->safi == b->safi &&
	       same_table(a->table, b->table) && a->mandatory == b->mandatory &&
	       a->secondary == b->secondary && a->validate == b->validate &&
	       a->import_table == b->import_table && a->export_table == b->export_table &&
	       a->require_add_paths == b->require_add_paths &&
	       a->require_extended_next_hop == b->require_extended_next_hop &&
	       ipaddr_equal(&a->next_hop_address, &b->next_hop_address) &&
	       same_table(a->igp_table4, b->igp_table4) && same_table(a->igp_table6, b->igp_table6) &&
	       same_table(a->base_table, b->base_table) && a->add_paths == b->add_paths &&
	       path_choice_same(&a->add_paths_send, &b->add_paths_send) &&
	       a->add_paths_receive_limit == b->add_paths_receive_limit &&
	       a->extended_next_hop == b->extended_next_hop && a->graceful_restart == b->graceful_restart &&
	       a->llgr == b->llgr && a->llgr_stale_time == b->llgr_stale_time &&
	       a->min_llgr_time == b->min_llgr_time && a->max_llgr_time == b->max_llgr_time;
}

uint32_t config_diff_channel(const struct channel_config *old, const struct channel_config *new)
{
	uint32_t bits = PROTO_SAME;

	if (!same_session(old, new))
		bits |= PROTO_RESTART;
	if (!filter_same(&old->import, &new->import) || old->preference != new->preference ||
		old->gateway_recursive != new->gateway_recursive ||
		old->next_hop_prefer_local != new->next_hop_prefer_local || old->cost != new->cost ||
		old->aigp != new->aigp || old->import_keep_filtered != new->import_keep_filtered)
		bits |= PROTO_IMPORT_CHANGED;
	if (!filter_same(&old->export, &new->export) || old->next_hop_keep != new->next_hop_keep ||
		old->next_hop_self != new->next_hop_self || old->aigp != new->aigp ||
		old->aigp_originate != new->aigp_originate ||
		old->link_local_format != new->link_local_format)
		bits |= PROTO_EXPORT_CHANGED;
	if (!same_limit(&old->receive_limit, &new->receive_limit) ||
		!same_limit(&old->import_limit, &new->import_limit) ||
		!same_limit(&old->export_limit, &new->export_limit) || old->rpki_reload != new->rpki_reload ||
		old->debug != new->debug)
		bits |= PROTO_RECONFIGURE;
	return bits;
}
