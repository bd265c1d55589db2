/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel: routes through nexthop groups, and failover of the groups.
 *
 * Every unicast route is installed through a kernel nexthop group chosen by its
 * (best, backup) next-hop sets. Losing a neighbour is one netlink batch that
 * replaces the groups it is in.
 *
 *   fib thread       owns routes, nexthops, groups; batches netlink with ACK
 *                    accounting; publishes the failover plan (RCU)
 *   link thread      (controlplane/bfd) calls fib_link_event(): marks the link,
 *                    looks the plan up under rcu_read_lock(), writes netlink on a
 *                    socket of its own, before anybody else hears of it
 *   shard threads    hand changes to the fib thread through a queue that
 *                    keeps only the last state of a prefix
 */
#pragma once
#include "controlplane/bfd/bfd_client.h"
#include "controlplane/export/export.h"
#include "controlplane/rib/nht.h"

struct fib;
struct fib_channel;

#define FIB_RTPROT                                                                                           \
	186 /* RTPROT_BGP; routes and nexthop objects that are ours carry the number of options.rtproto */

struct fib_options {
	struct rib *rib;
	struct export_engine *export;
	struct nht *nht;
	uint8_t rtproto;
	bool recover;          /* adopt what a previous run left, without a hole */
	struct ifaces *ifaces; /* NULL: of the one created last */
	bool no_redirect;      /* packets for a lost neighbour wait for netlink */
};
/* Opens sockets, sets net.ipv4.nexthop_compat_mode=0 (warns once where it cannot). NULL with errno; the
 * daemon runs on without a kernel then if it has no kernel protocol. */
struct fib *fib_create(const struct fib_options *o);
/* keep: leave routes and groups in the kernel (restart, crash-like exit), else remove what is ours. */
void fib_destroy(struct fib *f, bool keep);

/* All that was to be re-learnt has been (end of graceful restart): what is left of an earlier run and was not
 * asked for again goes, as soon as the kernel has what was learnt until now. Without this call it goes after
 * 240 s. Any thread but the shards' and the FIB's; waits for the shards. */
void fib_recovery_done(struct fib *f);

/* Neighbours are about to send again what they had (RFC 4724 4.1): tables with routes of an earlier run are
 * left as they are until fib_recovery_done(), so that no packet takes the second best way only because its
 * neighbour came back first; 30 s at most, for one that does not come back. Without effect unless we recover.
 * Main thread. */
void fib_defer(struct fib *f);

/* ---- kernel protocol's channel: main thread ---- */
struct fib_channel_config {
	struct rib_table *table;
	const struct kernel_config *kernel; /* copied */
	struct filter_ref export;
	struct rib_source *learn_source; /* alien routes are submitted here; NULL: no learning */
};
struct fib_channel *fib_channel_open(struct fib *f, const struct fib_channel_config *c);
void fib_channel_reconfigure(struct fib_channel *ch, const struct fib_channel_config *c);
void fib_channel_close(struct fib_channel *ch, bool keep_routes, void (*done)(void *), void *ctx);
struct fib_channel_stats {
	uint64_t routes, pending, failed, repaired, adopted;
	struct export_feed_stats feed;
};
void fib_channel_stats(const struct fib_channel *ch, struct fib_channel_stats *out);

/* ---- links ---- */
/* A neighbour went or came. Any thread, but meant for the link thread: writes netlink at once and returns
 * when the kernel has acknowledged. Fills t's plan_found, netlink_sent and netlink_acked. ifindex 0: any
 * interface. Down of many in one call is one batch. */
struct fib_link {
	struct ipaddr addr;
	uint32_t ifindex;
	bool up;
	struct bfd_stamps *t;
	const char *reason; /* "bfd", "bgp session", "neighbour unreachable"; in views also "carrier" */
};
/* Up with this reason takes every mark of the link back: a BGP session was established over it, whether or
 * not BFD agrees (the neighbour may have stopped running BFD). */
#define FIB_LINK_REASON_ESTABLISHED "session established"
void fib_link_event(struct fib *f, const struct fib_link *links, unsigned n);
/* Later stages of the same event, for the timeline: BGP was told, updates went out. */
void fib_link_stage(struct fib *f, const struct ipaddr *addr, uint32_t ifindex, uint64_t bgp_told_ns,
	uint64_t updates_out_ns);

/* Seen by `show failover`. */
struct fib_plan_view {
	struct ipaddr addr;
	uint32_t ifindex;
	unsigned groups;   /* replaced when it is lost */
	uint64_t prefixes; /* on those groups */
	bool link_up;
};
unsigned fib_plans(struct fib *f, struct fib_plan_view *out, unsigned max);
/* A (best, backup) pair of next-hop sets as the kernel has it: members in the order in which they take over.
 */
struct fib_group_view {
	uint32_t id;    /* the kernel's; 0: routes carry their next hops themselves */
	uint8_t family; /* of the routes: 4 or 6 */
	bool retired;   /* a link of it changed; brought up to date when BGP has converged */
	uint64_t prefixes;
	unsigned n_members;
	struct fib_group_member {
		struct ipaddr addr; /* zero: on the interface */
		uint32_t ifindex;
		uint16_t weight;
		bool carries; /* traffic, now */
	} member[8];          /* the first ones */
};
/* Those with routes, most prefixes first; returns how many there are, out gets at most max. */
unsigned fib_groups(struct fib *f, struct fib_group_view *out, unsigned max);
struct fib_failover_view {
	struct ipaddr addr; /* zero: all of the interface's, moved by the kernel itself */
	uint32_t ifindex;
	bool up;
	char reason[32];
	unsigned groups;
	uint64_t prefixes;
	int error; /* 0 or the first errno the kernel gave */
	uint64_t wall_ns;
	struct bfd_stamps t;
	uint64_t redirected_ns; /* 0: not redirected */
	uint64_t redirected;    /* prefixes whose packets have gone to the backup since then */
	uint64_t bgp_told_ns, updates_out_ns;
};
unsigned fib_failovers(struct fib *f, struct fib_failover_view *out, unsigned max); /* latest first */

/* Kernel against RIB, now: what differs after the queue has drained. Blocks the caller, not the daemon. */
struct fib_audit {
	uint64_t checked, missing, wrong, alien, repaired;
	uint64_t repaired_ever; /* since the start: routes and objects, by notifications and audits */
};
int fib_audit(struct fib *f, struct fib_audit *out);

/* ---- interfaces and addresses, kept from rtnetlink: any thread, RCU inside ---- */
struct iface_addr {
	struct prefix prefix;
	struct ipaddr addr, peer; /* peer: point-to-point, else zero */
	bool primary, host, secondary;
	uint8_t scope; /* enum route_scope */
};
struct iface_view {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
	uint32_t flags; /* IFF_* */
	uint32_t mtu;
	uint32_t master;
	bool ethernet;
	bool up;          /* administratively and carrier */
	unsigned n_addrs; /* in addrs; an interface with more shows its first ones here, look-ups know all */
	struct iface_addr addrs[32];
};
struct ifaces;
struct ifaces *ifaces_create(void); /* thread of its own: rtnetlink monitor with re-scan */
void ifaces_destroy(struct ifaces *i);
struct ifaces *ifaces_default(void); /* the one created last, or NULL */
bool ifaces_by_index(struct ifaces *i, uint32_t ifindex, struct iface_view *out);
bool ifaces_by_name(struct ifaces *i, const char *name, struct iface_view *out);
unsigned ifaces_all(struct ifaces *i, struct iface_view *out, unsigned max);
/* The interface that a has a connected network with (single hop), or false; an interface that is up is
 * preferred. Link-local addresses are everywhere: false. local: our address in that network. out and local
 * may be NULL. */
bool ifaces_for_neighbor(
	struct ifaces *i, const struct ipaddr *a, struct iface_view *out, struct ipaddr *local);
/* The same on one interface; also for link-local addresses (local is then a link-local of ours). */
bool ifaces_neighbor_on(struct ifaces *i, const struct ipaddr *a, uint32_t ifindex, struct ipaddr *local);
bool ifaces_is_local(struct ifaces *i, const struct ipaddr *a);
/* For the filter machine and show, which have no struct ifaces at hand: of the one created last. "" when
 * there is no such interface. The text is the calling thread's until its next call. */
const char *ifaces_name(uint32_t ifindex);
/* changed() comes from the monitor's thread after the new state is visible; only posts. */
void ifaces_subscribe(struct ifaces *i, void (*changed)(void *ctx, uint32_t ifindex), void *ctx);
void ifaces_unsubscribe(struct ifaces *i, void (*changed)(void *ctx, uint32_t ifindex),
	void *ctx); /* no call after it returns */
/* Waits until the first full scan is in. */
void ifaces_wait_scan(struct ifaces *i);
