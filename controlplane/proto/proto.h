/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Protocols: what `protocol X name { }` becomes while the daemon runs.
 *
 * All of this belongs to the main thread: states, start and stop,
 * reconfiguration, enable/disable/restart. A protocol's own threads (BGP
 * sessions, FIB...) report by loop_call() to main. Nothing here may block or
 * take longer than a few milliseconds: table work is done elsewhere.
 *
 * States are BIRD's: down -> start -> up -> stop -> down. A protocol that is to
 * be restarted or reconfigured with PROTO_RESTART goes to down first and is
 * started again with the new configuration.
 */
#pragma once
#include "controlplane/config/config.h"
#include "controlplane/export/export.h"
#include "controlplane/loop/loop.h"
#include "controlplane/rib/rib.h"
#include <urcu/list.h>

struct daemon;
struct bmp_hub;
struct cli_out;
struct mrt_messages;
struct proto;

/* Beside enum proto_change: `configure soft`. */
#define PROTO_SOFT 0x100u

enum proto_state { PS_DOWN, PS_START, PS_UP, PS_STOP };
enum channel_state { CS_DOWN, CS_START, CS_UP, CS_FLUSHING };

/* A table's end of a protocol. Sources and feeds are opened by the protocol in start/up. */
struct proto_channel {
	struct cds_list_head node;
	struct proto *proto;
	const struct channel_config *cf;
	enum channel_state state;
	struct rib_table *table;   /* reference held while the protocol is not down */
	struct rib_source *source; /* import side, NULL while down */
	void *export;              /* the protocol's: struct export_feed *, ... */
	uint64_t since_ns;         /* wall clock */
	unsigned flushing;         /* closed sources whose routes are still being withdrawn */
};

struct proto_ops {
	enum proto_type type;
	/* cf is set, channels are made. State is PS_DOWN -> the call sets PS_START or PS_UP through
	 * proto_set_state(). 0, or -errno: then it has undone all it did except channels it opened, and
	 * p->data is such that destroy or another start may follow. */
	int (*start)(struct proto *p);
	/* Ends in proto_set_state(p, PS_DOWN), now or later. */
	void (*stop)(struct proto *p, const char *message /* RFC 9003, may be NULL */);
	/* cf and channels' cf are the new ones already; change is enum proto_change bits without RESTART, 0
	 * when nothing of this protocol differs; PROTO_SOFT says that new filters are for routes to come.
	 * Called on every reload: the old configuration is freed soon after, so a protocol whose threads
	 * point into it must have moved them when this returns. May be NULL for protocols that keep no
	 * pointers. */
	void (*reconfigure)(struct proto *p, const struct proto_config *old, uint32_t change);
	/* The Info column: "Established   ", "" ... */
	void (*info)(struct proto *p, char *buf, size_t size);
	/* Lines of `show protocols all` between Description and the channels; and for a channel its own tail
	 * (BGP Next hop). */
	void (*show_all)(struct proto *p, struct cli_out *o);
	void (*show_channel)(struct proto *p, struct proto_channel *c, struct cli_out *o);
	/* Numbers of the channel's export side; import comes from the source. */
	void (*export_stats)(struct proto *p, struct proto_channel *c, struct export_feed_stats *out);
	/* reload in|out. 0, or -ENOTSUP: reload failed. NULL: import filters run again over what was
	 * received. */
	int (*reload)(struct proto *p, bool in, bool out);
	void (*destroy)(struct proto *p); /* state is PS_DOWN: free p->data */
};

struct proto {
	struct cds_list_head node; /* daemon.protos, in configuration order */
	struct daemon *daemon;
	const struct proto_ops *ops; /* NULL: inert */
	const struct proto_config *cf;
	struct config *config; /* reference that keeps cf alive */
	enum proto_state state;
	bool disabled;        /* by configuration or CLI */
	bool restart_wanted;  /* when it reaches PS_DOWN */
	bool gone;            /* not in the new configuration: freed at PS_DOWN */
	bool stopped;         /* the protocol's own part of stopping is over; channels may still flush */
	struct proto *parent; /* of a spawned child: who spawned it; else NULL */
	struct proto_config *own_cf;        /* of a spawned child: its copy of cf, with its own name */
	const struct proto_config *next_cf; /* takes over at PS_DOWN */
	struct config *next_config;
	uint64_t since_wall_ns; /* last state change */
	char *message;          /* shutdown message, last one */
	struct cds_list_head channels;
	void *data; /* the protocol's own */
};

/* What the process consists of; made by main.c, lives until exit. */
struct daemon {
	struct loop *main;
	struct rib *rib;
	struct export_engine *export;
	struct nht *nht;
	struct fib *fib; /* NULL when the kernel is out of reach */
	struct ifaces *ifaces;
	struct bfd_client *bfd;
	struct bgp_engine *bgp; /* session threads */
	struct config
		*config; /* in force; main holds a reference; others take theirs through daemon_config() */
	struct config *old_config;         /* before the last commit, for undo; may be NULL */
	struct bmp_hub *bmp;               /* which sessions are up, for BMP stations */
	struct mrt_messages *mrt_messages; /* what `mrtdump "FILE"` names; NULL: nothing */
	struct cds_list_head protos;
	struct cds_list_head
		tables; /* of the configuration in force: kept open though no protocol uses them */
	struct ev_timer *undo_timer;
	void (*configured)(struct daemon *d); /* another configuration is in force; may be NULL */
	/* Tells whoever asked for `configure timeout`, if they still wait, that the undo comes by itself now.
	 * With the timer it goes: whoever puts something here takes it away again before it is gone. */
	void (*undo_expired)(void *asker);
	void *undo_asker;
	const char *config_path, *ctl_path;
	bool log_stderr; /* -d, -D: beside what the configuration says */
	const char *log_file;
	uint32_t router_id; /* host order, in force */
	uint64_t boot_wall_ns, reconfig_wall_ns;
	bool shutting_down, recovering;
	bool reloading;      /* the last commit has protocols to stop: "Reconfigured" is still to be said */
	bool undo_available; /* old_config may be put in force by `configure undo` */
	bool kernel_keep;    /* on exit: leave the kernel's routes (graceful restart) */
	void (*on_down)(struct daemon *d); /* shutting down and the last protocol is down */
	int exit_code;
};

/* ---- proto.c: main thread ---- */
void proto_set_state(struct proto *p, enum proto_state s);
void proto_channel_set_state(struct proto_channel *c, enum channel_state s);
struct proto *proto_find(struct daemon *d, const char *name); /* not those that are gone */
int proto_enable(struct proto *p);                            /* -EALREADY */
int proto_disable(struct proto *p, const char *message);
int proto_restart(struct proto *p, const char *message);
int proto_reload(struct proto *p, bool in, bool out); /* -ENOTSUP */
/* Says in BIRD's words that a limit was hit, and does what its action is if that is to stop. */
void proto_limit_hit(struct proto *p, const char *direction, uint32_t value, enum limit_action action);
const char *proto_limit_action_name(enum limit_action a);
/* How a source is to take a changed filter; bit: PROTO_IMPORT_CHANGED or PROTO_EXPORT_CHANGED. */
enum rib_reevaluate proto_reevaluate(uint32_t change, uint32_t bit);
/* Children of a dynamic neighbour: a protocol that no configuration names. */
struct proto *proto_spawn(struct proto *parent, const char *name);
/* Opens the channel's table and import source with what its configuration says; fields of sc the caller knows
 * better are given. */
int proto_channel_open(struct proto_channel *c, const struct rib_source_config *sc);
/* Withdraws and closes the import source; state FLUSHING until done. */
void proto_channel_close(struct proto_channel *c, void (*done)(struct proto_channel *, void *), void *arg);
/* Hands the import sides the new filters, limits and names of p->cf; change as proto_ops.reconfigure. */
void proto_channels_reconfigure(struct proto *p, uint32_t change);
const char *proto_state_name(enum proto_state s); /* down start up stop */

/* Used by reload.c. */
struct proto *proto_create(struct daemon *d, const struct proto_config *cf, struct config *config);
void proto_start(struct proto *p);
void proto_remove(struct proto *p);
void proto_replace(struct proto *p, const struct proto_config *cf,
	struct config *config);            /* stops, then starts with cf */
void proto_shutdown_all(struct daemon *d); /* d->on_down() when all are down */
void proto_free_all(struct daemon *d);

/* ---- reconfiguration: reload.c, main thread ---- */
enum reload_result { RELOAD_DONE, RELOAD_IN_PROGRESS, RELOAD_QUEUED, RELOAD_ERROR, RELOAD_SHUTDOWN };
/* Checks what can only be checked against the system (listening sockets): 0, or -errno with a line in err.
 * Nothing is changed. */
int daemon_check(struct daemon *d, const struct config *c, char *err, size_t size);
/* Takes c's reference. soft: filter changes do not re-evaluate. */
enum reload_result daemon_commit(struct daemon *d, struct config *c, bool soft, unsigned undo_timeout_s);
int daemon_undo(struct daemon *d);
int daemon_confirm(struct daemon *d);
void daemon_shutdown(struct daemon *d, bool graceful_restart);
/* The configuration in force with a reference, from any thread. */
struct config *daemon_config(struct daemon *d);
void daemon_config_release(struct daemon *d, struct config *c);
void daemon_tables_release(struct daemon *d); /* at the end */
/* Protocols that the last reload has still to stop or restart. */
unsigned daemon_reload_pending(struct daemon *d);

/* ---- the protocols ---- */
extern const struct proto_ops device_ops, direct_ops, static_ops, kernel_ops, bfd_ops, pipe_ops;
/* Interfaces or addresses changed: protocols that depend on them look again. Main thread. */
void direct_ifaces_changed(struct daemon *d);
void static_ifaces_changed(struct daemon *d);
extern const struct proto_ops bgp_ops;  /* controlplane/bgp/bgp_proto.c */
extern const struct proto_ops rpki_ops; /* controlplane/rpki/rpki_proto.c */
extern const struct proto_ops mrt_ops;  /* controlplane/mrt/mrt_proto.c */
extern const struct proto_ops bmp_ops;  /* controlplane/bmp/bmp_proto.c */
