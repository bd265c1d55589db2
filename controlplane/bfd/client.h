/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the BFD client.
 *
 * Threads
 *   link thread   owns the back end, the link-state reader and the life of
 *                 sessions; the only one that frees a session
 *   any thread    opens, changes and closes requests, asks for views
 * client->lock protects the list of sessions, their requests and what a view
 * shows; subscribers' event() is called under it (it only posts), so that no
 * event comes after bfd_request_close(). It is not held while the FIB writes to
 * the kernel.
 */
#pragma once
#include "controlplane/bfd/bfd_client.h"
#include <pthread.h>
#include <stdatomic.h>
#include <urcu/list.h>

#define CLIENT_NO_SLOT UINT32_MAX

struct bfd_request {
	struct cds_list_head node; /* session->requests */
	struct bfd_session *session;
	struct bfd_request_config cf;
};

struct bfd_session {
	struct cds_list_head node; /* client->sessions */
	struct bfd_client *client;
	struct bfd_key key;
	char ifname[IF_NAMESIZE];
	struct cds_list_head requests;
	bool configured;  /* a `neighbor` of the bfd protocol */
	bool unsolicited; /* the neighbour began it: RFC 9468 */
	uint32_t sbfd_disc;
	struct bfd_options configured_options;
	struct bfd_params params; /* in force: interface block, then the requests' options */
	/* the link thread's, written under the lock */
	bool dirty;    /* to be provisioned (again) */
	bool awaiting; /* its answer is on the way */
	uint32_t slot, generation;
	bool known, up; /* what subscribers have been told */
	bool fib_down;  /* the FIB was told that the link is lost */
	struct linkstate_entry state;
	uint64_t since_ns;
	char problem[160];
	uint64_t retry_ns;
};

struct backend_ops {
	/* Tries to get ready; called again until it returns 0. Sets client->ls, reader, event_fd. */
	int (*open)(struct bfd_client *c);
	void (*close)(struct bfd_client *c);
	int (*add)(struct bfd_client *c, struct bfd_session *s);
	void (*remove)(struct bfd_client *c, struct bfd_session *s);
	void (*sync)(struct bfd_client *c);
	/* cfg->unsolicited, cfg->sbfd_reflector have changed, or the back end is new. False: later. */
	bool (*settings)(struct bfd_client *c);
	/* backend_fd is readable: false: it is gone. */
	bool (*readable)(struct bfd_client *c);
	const char *(*name)(const struct bfd_client *c);
	bool heartbeat; /* ls.header->heartbeat_ns is written by another process, which may stand still */
};
extern const struct backend_ops dataplane_backend, embedded_backend;

struct bfd_client {
	pthread_mutex_t lock;
	struct cds_list_head sessions;
	unsigned n_sessions;
	const struct bfd_config *cfg; /* NULL: no bfd protocol is up */
	char proto_name[65];
	struct fib *fib;
	char *dp_socket;
	/* the link thread's */
	pthread_t thread;
	bool started;
	_Atomic bool stop, keep, want_sync;
	int wake_fd; /* eventfd: requests have changed */
	const struct backend_ops *ops;
	_Atomic bool alive; /* the back end is open */
	int last_error;     /* of open(): logged when it changes */
	int backend_fd, event_fd;
	struct linkstate ls;
	struct linkstate_reader reader;
	struct bfd_session **by_slot;
	uint32_t capacity;
	uint64_t retry_ns, instance;
	bool settings_due;    /* under the lock */
	unsigned unsolicited; /* sessions, under the lock */
	uint64_t limit_said_ns;
	/* heartbeat as last seen, when it was looked at, and how many looks it has not moved since */
	uint64_t beat, beat_look_ns;
	unsigned beats_missed;
	_Atomic bool frozen;
	/* the back end's own */
	struct embedded *embedded;
	struct bfd_session **answers; /* dataplane: sessions whose replies are due, in order */
	uint32_t n_answers, cap_answers;
};

/* options.c: 0, or -EACCES: the protocol does not accept such a session. Under the lock. */
int options_apply(const struct bfd_client *c, struct bfd_session *s, struct bfd_params *out);

/* client.c: the session of a key, a new one if there is none. Under the lock. */
struct bfd_session *client_session_get(struct bfd_client *c, const struct bfd_key *k, const char *ifname);

/* link.c */
/* The calling thread goes before everything that is not as urgent: failover must not wait for a table load,
 * nor for other programs. Both kinds of threads sleep nearly all the time. */
#define PRIORITY_LINK 49
#define PRIORITY_ENGINE 50
void link_run_ahead(int priority);
void *link_thread(void *arg);
void link_wake(struct bfd_client *c);
/* The back end's answer to add(): under the lock. error 0: slot and generation are valid. */
void link_answer(struct bfd_client *c, struct bfd_session *s, int error, uint32_t slot, uint32_t generation,
	const char *text);
/* A packet that belongs to no session came from there: RFC 9468. Under the lock. */
void link_stranger(struct bfd_client *c, const struct bfd_key *k, const char *ifname);
void link_describe(const struct bfd_session *s, char *buf, size_t size); /* "192.0.2.1 on eth0" */
