/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The conversation on peregrine-dp's socket (AF_UNIX, SOCK_SEQPACKET): one
 * message a packet, host byte order (both ends are on one machine), fixed
 * structures. Version is checked by HELLO before anything else.
 *
 *   client                         dataplane
 *   HELLO(version)          ->
 *                           <-     WELCOME(version, instance, ...) + fds: linkstate memfd, eventfd
 *   SESSION_ADD ...         ->                (again after a reconnect: an identical ADD changes nothing)
 *                           <-     SESSION_REPLY (slot, generation | error text), one for each ADD, in order
 *   SYNC                    ->                (all sessions wanted have been named: drop what was not named)
 *   SESSION_REMOVE          ->     SESSION_REPLY
 *                           <-     PORT_EVENT (a port came, went, lost its carrier)
 *   SETTINGS                ->                (unsolicited sessions, S-BFD reflector, workers: until the next
 * one)
 *                           <-     STRANGER (a packet without a session, if SETTINGS asked for it)
 * The session is described by its key; a second ADD with the same key and other parameters is an update,
 * never a reset. When the client's connection goes away the dataplane keeps its sessions for hold_s seconds,
 * then removes them (AdminDown is sent first). One client may provision at a time; a second gets WELCOME with
 * error EBUSY; FRR's connections are separate owners of other sessions. A peer of another version gets an
 * answer with its own version and a text, then the connection is closed.
 */
#pragma once
#include "bfd/session.h"
#include <net/if.h>
#include <stdint.h>

#define IPC_VERSION 4u
#define IPC_MAGIC 0x50475243u /* "PGRC" */
#define IPC_TEXT 160
#define IPC_MAX_MSG 1024

enum ipc_type {
	IPC_HELLO = 1,
	IPC_WELCOME,
	IPC_SESSION_ADD,
	IPC_SESSION_REMOVE,
	IPC_SESSION_REPLY,
	IPC_SYNC,
	IPC_PORT_EVENT,
	IPC_PORT_LIST, /* request: answered with one PORT_EVENT for each port, then SESSION_REPLY with the
			  same id */
	IPC_SETTINGS,
	IPC_STRANGER,
};

struct ipc_header {
	uint16_t type; /* enum ipc_type */
	uint16_t len;  /* of the whole message */
	uint32_t id;   /* chosen by the asker, copied to the reply */
};

enum ipc_hello_flag {
	IPC_HELLO_OBSERVER =
		1, /* looks on: gets the descriptors, may ask for PORT_LIST; any number at a time */
};

struct ipc_hello {
	struct ipc_header h;
	uint32_t magic, version;
	uint32_t hold_s; /* how long to keep sessions after this connection is lost */
	uint32_t flags;  /* enum ipc_hello_flag */
	char name[32];
};

struct ipc_welcome {
	struct ipc_header h;
	uint32_t magic, version;
	uint64_t instance; /* linkstate_header.instance: a new one means all sessions are new */
	uint32_t capacity;
	int32_t error; /* 0 or an errno: no descriptors then */
	char text[IPC_TEXT];
};

struct ipc_session_add { /* also SESSION_REMOVE: params ignored */
	struct ipc_header h;
	struct bfd_key key;
	struct bfd_params params;
	char ifname[IF_NAMESIZE]; /* with key.ifindex; a single-hop session needs a port of that name or peer
				     index */
};

struct ipc_session_reply {
	struct ipc_header h;
	int32_t error; /* 0 or an errno */
	uint32_t slot;
	uint32_t generation;
	uint32_t created;    /* 1: new, 0: it was there already */
	char text[IPC_TEXT]; /* why, when error != 0 */
};

struct ipc_port_event {
	struct ipc_header h;
	char spec[64]; /* af_xdp:eth0 */
	uint32_t ifindex;
	uint8_t up;
	uint8_t reserved[3];
	char text[IPC_TEXT];
};

struct ipc_settings {
	struct ipc_header h;
	uint32_t strangers; /* tell about single-hop packets without a session: RFC 9468 */
	uint32_t workers;   /* to be used, of those that there are; 0: as the dataplane was started */
	struct bfd_reflector reflector;
};

struct ipc_stranger {
	struct ipc_header h;
	struct bfd_key key;
	char ifname[IF_NAMESIZE];
};

/* Blocking-free helpers on a SOCK_SEQPACKET descriptor. fds are closed by the receiver. 0 or -errno;
 * ipc_recv() returns the message length, 0 at end of stream, -EPROTO for a message whose header lies. */
int ipc_send(int sock, const void *msg, size_t len, const int *fds, unsigned nfds);
int ipc_recv(int sock, void *buf, size_t size, int *fds, unsigned *nfds);
int ipc_connect(const char *path); /* descriptor or -errno */
int ipc_listen(const char *path);  /* descriptor or -errno; -EADDRINUSE only if somebody answers there */
