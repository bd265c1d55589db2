/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A parsed configuration: plain data, built by the grammar, immutable
 * afterwards, shared by reference (main thread owns the references).
 * All memory is in the configuration's arena, freed at once. Filters are
 * reference counted on their own (controlplane/filter/filter.h) because they
 * outlive the configuration that compiled them.
 *
 * Defaults are BIRD 2.19's and are filled in by the grammar, so that users of
 * the model never see "unset" except where a comment says so.
 */
#pragma once
#include "bfd/session.h"
#include "controlplane/filter/filter.h"
#include "shared/log.h"
#include <net/if.h>
#include <urcu/list.h>

enum proto_type {
	PROTO_DEVICE,
	PROTO_DIRECT,
	PROTO_STATIC,
	PROTO_KERNEL,
	PROTO_BFD,
	PROTO_BGP,
	PROTO_PIPE,
	PROTO_RPKI,
	PROTO_MRT,
	PROTO_BMP,
	PROTO_AGGREGATOR,
	PROTO_INERT, /* parsed, not run: ospf, rip, babel, radv, l3vpn, perf, evpn, bridge */
};

struct arena; /* controlplane/config/arena.h */

struct table_config {
	struct cds_list_head node;
	const char *name;
	enum net_type net;
	bool sorted, trie;
	bool is_default; /* first of its type: master4, master6, ... */
	bool implicit;   /* not written in the file */
	uint32_t min_settle_ms, max_settle_ms, gc_threshold, gc_period_s;
	uint32_t debug;
	const char *file;
	unsigned line;
};

enum limit_action { LIMIT_NONE, LIMIT_WARN, LIMIT_BLOCK, LIMIT_RESTART, LIMIT_DISABLE };
struct limit_config {
	uint32_t value; /* routes; 0 with action LIMIT_NONE: no limit */
	enum limit_action action;
};

/* bits of debug_* fields */
enum debug_bit {
	DBG_STATES = 1,
	DBG_ROUTES = 2,
	DBG_FILTERS = 4,
	DBG_INTERFACES = 8,
	DBG_EVENTS = 16,
	DBG_PACKETS = 32,
	DBG_CHANNELS = 64
};

/* "[-] "mask" [prefix], ..." : first match wins */
struct iface_pattern {
	struct iface_pattern *next;
	bool negate;
	const char *mask; /* shell glob; NULL: any */
	bool has_prefix;
	struct prefix prefix;
};

/* First match wins; a list without any match: false. addr may be NULL: prefixes in the pattern do not match
 * then. */
bool iface_pattern_match(const struct iface_pattern *p, const char *ifname, const struct ipaddr *addr);

enum nexthop_mode {
	NHMODE_UNSET = -1 /* only while parsing */,
	NHMODE_OFF,
	NHMODE_ALL,
	NHMODE_IBGP,
	NHMODE_EBGP
}; /* next hop keep|self */
enum add_path_mode { ADD_PATH_NONE = 0, ADD_PATH_RX = 1, ADD_PATH_TX = 2, ADD_PATH_BOTH = 3 };
/* Ours, `add paths send`: which of the routes that the filter takes, best first. Numbers: 0 is none, no
 * limit. */
struct path_choice {
	enum {
		SEND_ALL,
		SEND_PER_AS, /* the best of each neighbouring AS */
		SEND_ECMP,   /* those that are as good as the best */
	} send;
	uint16_t plus;  /* and so many others */
	uint16_t limit; /* but no more than so many */
};
/* Not just all of them. */
static inline bool path_choice_is_some(const struct path_choice *c)
{
	return c->send != SEND_ALL || c->limit;
}
static inline bool path_choice_same(const struct path_choice *a, const struct path_choice *b)
{
	return a->send == b->send && a->plus == b->plus && a->limit == b->limit;
}
enum tristate { TRI_UNSET = -1, TRI_OFF = 0, TRI_ON = 1 };

struct channel_config {
	struct cds_list_head node;
	const char *name; /* "ipv4", "ipv6", "roa4", ... as in the CLI */
	enum net_type net;
	uint8_t safi;   /* BGP: 1 unicast, 2 multicast, 4 labelled, 128 vpn ... */
	bool inert;     /* a family that we parse and do not run */
	bool inherited; /* only while parsing: came with `from`, not opened here yet */
	struct table_config *table;
	uint16_t preference;
	struct filter_ref import, export;
	bool import_defined, export_defined;
	bool import_keep_filtered, rpki_reload;
	struct limit_config receive_limit, import_limit, export_limit;
	uint32_t debug;
	/* BGP only */
	bool mandatory, secondary, validate, import_table, export_table, require_add_paths,
		require_extended_next_hop;
	enum nexthop_mode next_hop_keep, next_hop_self;
	struct ipaddr next_hop_address; /* zero: none */
	bool next_hop_prefer_local, next_hop_prefer_set;
	enum tristate gateway_recursive; /* resolved when read: direct if single hop, else recursive */
	struct table_config *igp_table4, *igp_table6, *base_table;
	enum add_path_mode add_paths;
	struct path_choice add_paths_send;
	uint16_t add_paths_receive_limit; /* ours: what we ask of the neighbour; 0: nothing */
	bool extended_next_hop;
	enum tristate aigp;
	bool aigp_originate;
	uint32_t cost;
	enum tristate graceful_restart, llgr;
	uint32_t llgr_stale_time; /* s; filled in from the protocol */
	uint32_t min_llgr_time, max_llgr_time;
	uint8_t link_local_format; /* 0 native 1 single 2 double */
};

/* Options of a BFD session as written; intervals in us. */
struct bfd_options {
	bool set_min_rx, set_min_tx, set_idle, set_mult, set_passive, set_auth; /* written at this level */
	/* ours */
	bool set_demand, set_echo, set_echo_rx, set_pdu, set_ttl, set_damp;
	uint32_t min_rx_us, min_tx_us, idle_tx_us;
	uint8_t multiplier;
	bool passive, graceful, demand;
	uint8_t auth_type;
	uint8_t min_ttl;
	uint16_t pdu_size;                   /* RFC 9764: UDP payload of control packets; 0: not padded */
	uint32_t echo_tx_us, echo_min_rx_us; /* 0: off */
	uint8_t damp_flaps;                  /* 0: off */
	uint32_t damp_within_us, damp_hold_us, damp_max_us;
	unsigned n_keys;
	struct bfd_auth_key keys[BFD_AUTH_KEYS];
};

struct bfd_iface_config {
	struct cds_list_head node;
	struct iface_pattern *pattern;
	struct bfd_options options;
};

struct bfd_neighbor_config {
	struct cds_list_head node;
	struct ipaddr addr, local;
	const char *ifname; /* NULL: any */
	bool multihop;
	bool echo_only;             /* ours: RFC 9747 */
	uint32_t sbfd_disc;         /* ours: RFC 7880, the reflector's discriminator; 0: none */
	struct bfd_options options; /* ours: what is written for this one alone */
};

#define BFD_ALLOW_MAX 64
/* ours: RFC 9468, sessions that neighbours begin */
struct bfd_unsolicited_config {
	bool on;
	struct iface_pattern *pattern; /* NULL: any interface */
	struct prefix allow[BFD_ALLOW_MAX];
	unsigned n_allow; /* 0: anybody on the link */
	uint32_t limit;   /* sessions */
	uint32_t keep_us; /* how long one is kept that is not Up */
};

struct proto_config {
	struct cds_list_head node; /* config.protocols, in file order */
	enum proto_type type;
	const char *type_name; /* "BGP", "Device", "OSPF", ... as show protocols prints it */
	const char *name;
	bool is_template;
	const char *file;
	unsigned line;
	bool disabled;
	const char *description, *vrf, *hostname;
	const char *word;   /* "bgp", "ospf", ... as written */
	bool vrf_default;   /* `vrf default` */
	uint32_t router_id; /* host order; the global one unless overridden; 0: not known yet */
	uint32_t debug, mrtdump;
	struct cds_list_head channels;     /* channel_config */
	const struct proto_config *parent; /* from */
	const void *body;                  /* struct bgp_config, ... by type */
};

/* ---- per type ---- */

enum bgp_role {
	BGP_ROLE_NONE = -1,
	BGP_ROLE_PROVIDER = 0,
	BGP_ROLE_RS_SERVER = 1,
	BGP_ROLE_RS_CLIENT = 2,
	BGP_ROLE_CUSTOMER = 3,
	BGP_ROLE_PEER = 4
};
enum bgp_auth { BGP_AUTH_NONE, BGP_AUTH_MD5, BGP_AUTH_AO };
enum gr_mode { GR_OFF, GR_AWARE, GR_ON };
enum bgp_peer_type { BGP_PEER_BY_AS, BGP_PEER_INTERNAL, BGP_PEER_EXTERNAL };
enum bgp_bfd_mode { BGP_BFD_OFF, BGP_BFD_ON, BGP_BFD_GRACEFUL };

struct ao_key {
	struct ao_key *next;
	uint8_t send_id, recv_id;
	const char *secret;
	uint32_t secret_len;
	const char *algorithm;
	bool preferred, deprecated;
};

struct bgp_config {
	uint32_t local_as, remote_as; /* remote 0: by peer type */
	enum bgp_peer_type peer_type;
	bool internal;               /* resolved when remote_as or the type is known */
	struct ipaddr local, remote; /* zero: not given */
	const char *ifname;          /* interface "x" or %x; NULL */
	struct iface_pattern *iface_range;
	uint16_t local_port, remote_port;
	bool has_range;  /* neighbor range */
	bool unnumbered; /* ours, `neighbor interface`: whoever is on ifname */
	struct prefix range;
	const char *dynamic_name;
	unsigned dynamic_name_digits;
	bool onlink;
	unsigned multihop; /* 0: direct */
	bool strict_bind, free_bind, ttl_security, passive, setkey;
	enum tristate check_link;
	enum bgp_auth auth;
	const char *password;
	struct ao_key *ao_keys;
	uint32_t confederation;
	bool confederation_member;
	bool rr_client, rs_client;
	uint32_t rr_cluster_id; /* 0: router id */
	bool allow_local_pref, allow_med, allow_as_sets;
	uint32_t allow_local_as; /* UINT32_MAX: unlimited */
	bool enforce_first_as;
	bool capabilities, enable_refresh, enable_enhanced_refresh, enable_as4, enable_extended_messages;
	bool advertise_hostname, advertise_software_version; /* the second is ours */
	bool require_refresh, require_enhanced_refresh, require_as4, require_extended_messages,
		require_hostname, require_gr, require_llgr;
	enum gr_mode gr_mode, llgr_mode;
	uint32_t gr_time, min_gr_time, max_gr_time;
	uint32_t llgr_time, min_llgr_time, max_llgr_time;
	bool graceful_shutdown,
		graceful_shutdown_receive; /* ours: RFC 8326, as who goes and as who hears of it */
	bool interpret_communities, disable_after_error;
	uint32_t disable_after_cease; /* bit per Cease subcode */
	uint32_t hold_time, min_hold_time, startup_hold_time, keepalive_time, min_keepalive_time,
		send_hold_time; /* s; keepalive 0: hold/3; send hold UINT32_MAX: 2 x hold */
	uint32_t connect_delay, connect_retry, error_wait_min, error_wait_max, error_forget;
	bool path_metric, igp_metric, med_metric, deterministic_med, prefer_older;
	uint32_t default_med, default_local_pref;
	enum bgp_role role;
	bool require_roles;
	enum bgp_bfd_mode bfd;
	struct bfd_options bfd_options;
	bool bfd_strict;          /* ours: `bfd strict` */
	uint32_t bfd_strict_hold; /* s */
	bool disable_rx;
};

struct static_nexthop {
	struct static_nexthop *next;
	struct ipaddr via;  /* zero: device */
	const char *ifname; /* NULL */
	bool onlink, use_bfd;
	uint16_t weight;
	uint32_t label[8]; /* `mpls` A/B: of VPN routes; others do not use them */
	unsigned n_labels;
};

struct static_route {
	struct static_route *next;
	struct net net;
	enum route_dest dest;
	bool recursive;
	struct ipaddr via_recursive;
	struct static_nexthop *nexthops;
	const struct filter *actions; /* { ... } attribute block, run over the route; NULL */
	uint32_t *providers;          /* aspa */
	unsigned n_providers;
	const char *file;
	unsigned line;
};

struct static_config {
	bool check_link;
	struct table_config *igp_table, *igp_table6; /* for IPv4 and IPv6 gateways; NULL: the channel's */
	struct static_route *routes;
	unsigned n_routes;
};

struct device_config {
	uint32_t scan_time;
	struct {
		struct iface_pattern *pattern;
		struct ipaddr preferred;
	} preferred[16];
	unsigned n_preferred;
};

struct direct_config {
	struct iface_pattern *pattern; /* NULL: all */
	bool check_link;
};

struct kernel_config {
	uint32_t scan_time; /* s */
	uint32_t table_id;  /* 254 */
	uint32_t metric;    /* 32 */
	bool learn, learn_all, persist, merge_paths, graceful_restart;
	uint32_t merge_limit;
	uint32_t rx_buffer;
};

struct bfd_config {
	bool accept_ipv4, accept_ipv6, accept_direct, accept_multihop, strict_bind, zero_udp6_checksum_rx;
	struct cds_list_head ifaces; /* bfd_iface_config */
	bool has_multihop;
	struct bfd_options multihop;
	struct cds_list_head neighbors; /* bfd_neighbor_config */
	struct bfd_unsolicited_config unsolicited;
	struct bfd_reflector reflector; /* ours: S-BFD */
	uint32_t workers; /* ours: of peregrine-dp's workers, how many are used; 0: as it was started */
};

struct pipe_config {
	struct table_config *peer_table; /* channel's table is `table` */
	uint32_t max_generation;         /* 16; more hops through pipes end a route */
};

struct rpki_config {
	const char *host;
	struct ipaddr remote;
	uint16_t port;
	struct ipaddr local;
	uint32_t refresh, retry, expire;
	bool keep_refresh, keep_retry, keep_expire;
	bool ignore_max_length;
	bool hold_routes;      /* ours: filters that ask its tables reject until the first complete answer */
	uint32_t hold_timeout; /* s from the start of the protocol; 0: as long as it takes */
	uint8_t min_version, max_version;
	bool ssh;
	const char *ssh_user, *ssh_private_key, *ssh_public_key;
	const char *md5_password;
};

struct mrt_config {
	const char *table_pattern;
	struct table_config *table;
	struct filter_ref filter;
	const char *filename;
	uint32_t period;
	bool always_add_path;
};

struct bmp_config {
	struct ipaddr local, station;
	uint16_t port;
	const char *sys_name, *sys_descr;
	bool pre_policy, post_policy;
	bool out_pre_policy, out_post_policy, loc_rib, mirror; /* ours: RFC 8671, RFC 9069, RFC 7854 4.7 */
	struct table_config *loc_rib_table[2];                 /* the default ones for IPv4 and IPv6 */
	uint32_t tx_limit_mb;
};

struct cli_socket_config {
	struct cli_socket_config *next;
	const char *path;
	bool restricted;
};

/* What the grammar had to say besides errors; the first CONFIG_WARNINGS of them. Logged as well. */
#define CONFIG_WARNINGS 1000
struct config_warning {
	struct config_warning *next;
	const char *file, *text;
	unsigned line, col;
};

struct config {
	struct arena *arena;
	uint32_t refs; /* main thread */
	const char *path;
	uint64_t loaded_ns; /* wall clock */
	uint32_t router_id; /* host order; 0: derive */
	struct iface_pattern *router_id_from;
	const char *hostname;                                  /* NULL: uname */
	uint32_t gr_wait;                                      /* 240 */
	const char *tf_route, *tf_protocol, *tf_base, *tf_log; /* strftime with %f */
	const char *tf_route_old, *tf_protocol_old, *tf_base_old,
		*tf_log_old; /* second format for older times, or NULL */
	uint32_t tf_route_limit_s, tf_protocol_limit_s, tf_base_limit_s, tf_log_limit_s;
	struct log_sink *log_sinks;
	unsigned n_log_sinks;
	uint32_t debug_protocols, debug_channels, debug_tables, debug_commands;
	bool debug_latency;
	uint32_t latency_limit_us, watchdog_warning_us, watchdog_timeout_us;
	const char *mrtdump_file;
	uint32_t mrtdump_protocols;
	struct cli_socket_config *cli_sockets;
	struct cds_list_head tables;    /* table_config */
	struct cds_list_head protocols; /* proto_config, templates excluded */
	struct table_config *default_table[NET_MAX];
	struct symbol_table *symbols;    /* controlplane/config/symbol.h */
	struct config_warning *warnings; /* in order of appearance */
	unsigned n_warnings;
	/* ours, see docs: `failover { ... }` and the like */
	uint32_t threads;                /* io threads asked for; 0: automatic */
	uint32_t rib_shards;             /* 0: automatic */
	enum tristate failover_redirect; /* unset: on where the kernel can */
};

const struct proto_config *config_find_protocol(const struct config *c, const char *name);
const struct table_config *config_find_table(const struct config *c, const char *name);
