/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP for BGP: sockets with the options that sessions want. All sockets are
 * non-blocking and close-on-exec. Errors are -errno with a readable reason in err.
 * Any thread; no state.
 */
#pragma once
#include "controlplane/config/model.h"

#define TRANSPORT_ERR 200

struct transport_options {
	struct ipaddr local, remote; /* local zero: the system's choice */
	uint16_t local_port;         /* of a listener */
	uint16_t remote_port;
	uint32_t scope;     /* interface of link-local addresses */
	const char *device; /* bound to it, NULL: not */
	bool free_bind, ttl_security;
	unsigned hops; /* 1: direct */
	enum bgp_auth auth;
	const char *password;
	const struct ao_key *ao_keys;
};

/* A socket whose connect() is under way. */
int transport_connect(const struct transport_options *o, char err[TRANSPORT_ERR]);
/* local: zero for any address of the family. */
int transport_listen(const struct transport_options *o, bool v6, char err[TRANSPORT_ERR]);
/* What an accepted connection needs besides what it inherited. */
int transport_accepted(int fd, const struct transport_options *o, char err[TRANSPORT_ERR]);
/* The key for connections from `from` on a listener; password NULL removes it. */
int transport_listener_md5(
	int fd, const struct prefix *from, uint32_t scope, const char *password, char err[TRANSPORT_ERR]);
int transport_listener_ao(int fd, const struct prefix *from, uint32_t scope, const struct ao_key *keys,
	char err[TRANSPORT_ERR]);
/* 0, or -ENOPROTOOPT where the kernel has no TCP-AO. */
int transport_probe_ao(void);
