/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions as the manager knows them: who wants them, where their packets go.
 * Their protocol state belongs to the workers and is read from the link state
 * table. Manager thread only.
 */
#pragma once
#include "dataplane/dp.h"
#include "shared/ipc.h"

enum session_owner { OWNER_NONE, OWNER_CLIENT, OWNER_FRR };

enum session_state {
	SESSION_FREE,
	SESSION_LIVE,
	SESSION_LEAVING,  /* AdminDown is being sent; nobody's any more */
	SESSION_REMOVING, /* the worker has been told to forget it */
};

struct session {
	enum session_state state;
	enum session_owner owner;
	struct bfd_key key;       /* complete: the interface is known */
	char ifname[IF_NAMESIZE]; /* single hop: survives the interface's coming and going */
	struct bfd_params params;
	uint32_t generation, local_disc;
	uint32_t tag;      /* FRR's lid */
	unsigned worker;   /* whom its commands are given to */
	unsigned moved_to; /* who has it now: worker follows when nothing is pending */
	unsigned pending;  /* commands that have not come back */
	bool moving;
	uint32_t next_by_key;
	bool adding;        /* the worker has not confirmed it yet */
	bool named;         /* since the client's last HELLO */
	uint8_t seen_state; /* last logged */
	uint64_t leave_ns;
	/* The path. */
	int port; /* index, -1: none now */
	uint16_t vid;
	struct ipaddr local, next_hop;
	uint32_t out_ifindex;
	struct neigh_watch *watch;
	uint32_t next_on_watch;
	struct worker_path path;
	char why[96]; /* why it cannot send */
};

struct session_request {
	enum session_owner owner;
	struct bfd_key key;
	struct bfd_params params;
	char ifname[IF_NAMESIZE];
	uint32_t tag;
};

int session_table_create(struct dp *dp);
void session_table_destroy(struct dp *dp);
/* 0 with *slot and *created, or a negative errno and text. An identical request changes nothing, one with
 * other parameters updates the session. */
int session_add(
	struct dp *dp, const struct session_request *r, uint32_t *slot, bool *created, char text[IPC_TEXT]);
/* The slot of a key, or -ENOENT. The key is completed from ifname as session_add() does. */
int session_find(struct dp *dp, enum session_owner owner, const struct bfd_key *key, const char *ifname,
	uint32_t *slot);
/* Says AdminDown to the peer for a while, then frees the slot. */
void session_remove(struct dp *dp, uint32_t slot);
/* AdminDown on everything, at once: the process is about to end. */
void session_shutdown_all(struct dp *dp);
/* A command came back. */
void session_done(struct dp *dp, struct command *c);
/* Something on the way may have changed: works out the path of one session, of all over an interface (0:
 * all), or of those that wait for a MAC. */
void session_repath(struct dp *dp, uint32_t slot);
void session_repath_interface(struct dp *dp, uint32_t ifindex);
void session_repath_watch(struct dp *dp, const struct neigh_watch *w);
/* The port has a new interface index: its sessions start again there. */
void session_port_returned(struct dp *dp, const struct port *p);
/* The remote's echo packets are to be sent back on this port. */
bool session_reflects_on(const struct dp *dp, uint32_t slot, const struct port *p);
/* After dp->active or the owners of queues have changed: moves sessions to where they should be now. */
void session_rebalance(struct dp *dp);
void session_tick(struct dp *dp);
/* Text for people: "192.0.2.1%eth0 from 192.0.2.2". */
const char *session_name(const struct session *s, char *buf, size_t size);
