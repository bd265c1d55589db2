/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a BFD session is: its identity, its wishes. Shared by the engine, the
 * wire between the processes (shared/ipc.h) and the configuration.
 * Plain values; any thread.
 */
#pragma once
#include "shared/addr.h"
#include "shared/linkstate.h"
#include <stdbool.h>
#include <stdint.h>

#define BFD_PORT_CONTROL 3784 /* RFC 5881 section 4 */
#define BFD_PORT_ECHO 3785
#define BFD_PORT_MULTIHOP 4784 /* RFC 5883 section 5 */
#define BFD_PORT_SBFD 7784     /* RFC 7881 section 3 */

#define BFD_MIN_INTERVAL_US                                                                                  \
	1000 /* what bfd_params_check() lets through: the calendar's slots are 66 us wide */
#define BFD_MIN_IDLE_US 1000000 /* RFC 5880 section 6.8.3 */
#define BFD_PADDED_MAX 9188     /* UDP payload of a 9216-byte IPv4 packet, RFC 9764 */

/* RFC 5880 section 4.1 */
enum bfd_diag {
	BFD_DIAG_NONE = 0,
	BFD_DIAG_TIME_EXPIRED = 1,
	BFD_DIAG_ECHO_FAILED = 2,
	BFD_DIAG_NEIGHBOR_DOWN = 3,
	BFD_DIAG_FORWARDING_RESET = 4,
	BFD_DIAG_PATH_DOWN = 5,
	BFD_DIAG_CONCAT_PATH_DOWN = 6,
	BFD_DIAG_ADMIN_DOWN = 7,
	BFD_DIAG_REV_CONCAT_PATH_DOWN = 8,
};

enum bfd_kind {
	BFD_KIND_SINGLEHOP = 0, /* RFC 5881 */
	BFD_KIND_MULTIHOP = 1,  /* RFC 5883 */
	BFD_KIND_SBFD = 2,      /* RFC 7880 initiator */
	BFD_KIND_ECHO_ONLY = 3, /* RFC 9747 */
};

/* Two sessions with equal keys are the same session. */
struct bfd_key {
	struct ipaddr local; /* zero: chosen by the route to remote, or any address of the port */
	struct ipaddr remote;
	uint32_t ifindex; /* single hop: the interface; 0 when multihop */
	uint8_t kind;     /* enum bfd_kind */
	uint8_t reserved[3];
};

/* RFC 5880 section 4.2-4.4 */
enum bfd_auth_type {
	BFD_AUTH_NONE = 0,
	BFD_AUTH_SIMPLE = 1,
	BFD_AUTH_KEYED_MD5 = 2,
	BFD_AUTH_METICULOUS_MD5 = 3,
	BFD_AUTH_KEYED_SHA1 = 4,
	BFD_AUTH_METICULOUS_SHA1 = 5,
};

#define BFD_AUTH_KEYS 4
#define BFD_DAMP_FLAPS 8

struct bfd_auth_key {
	uint8_t id;
	uint8_t len; /* 0: unused */
	uint8_t secret[20];
	bool send;   /* used for transmit (the first such key) */
	bool accept; /* accepted on receive */
};

/* May be changed while the session runs (RFC 5880 section 6.8.3 poll rules apply). Intervals in microseconds.
 */
struct bfd_params {
	uint32_t min_tx_us;      /* DesiredMinTxInterval while Up */
	uint32_t min_rx_us;      /* RequiredMinRxInterval */
	uint32_t idle_tx_us;     /* DesiredMinTxInterval while not Up, at least 1 s (section 6.8.3) */
	uint32_t min_echo_rx_us; /* RequiredMinEchoRxInterval we advertise; 0: we do not reflect */
	uint32_t echo_tx_us;     /* our own echo; 0 = off */
	uint8_t detect_mult;     /* 1..255 */
	uint8_t min_ttl;         /* lowest TTL accepted; 255 for single hop (RFC 5881 section 5) */
	bool passive;            /* RFC 5880 section 6.1: wait for the other side */
	bool admin_down;
	bool demand;
	bool cbit;           /* set C: only where the engine survives the control plane */
	uint16_t padded_len; /* RFC 9764: pad control packets to this UDP payload length; 0 = no */
	uint8_t auth_type;   /* enum bfd_auth_type */
	/* Dampening: a session that went Down damp_flaps times (0: off) within damp_within_us stays Down for
	 * damp_hold_us, twice as long each time that happens again, at most damp_max_us. */
	uint8_t damp_flaps; /* 2..BFD_DAMP_FLAPS */
	uint8_t reserved[2];
	uint32_t damp_within_us, damp_hold_us, damp_max_us;
	uint32_t sbfd_disc; /* BFD_KIND_SBFD: the reflector's discriminator */
	struct bfd_auth_key auth[BFD_AUTH_KEYS];
};

/* An S-BFD reflector, RFC 7880: what it is known by, and of the parameters what it needs: min_rx_us (the
 * fastest it wants to be asked), admin_down and authentication. */
struct bfd_reflector {
	uint32_t discriminator; /* 0: none */
	struct bfd_params params;
};

/* "Down", "Neighbor down", ...: BIRD's words. Static strings. */
const char *bfd_state_name(uint8_t state);
const char *bfd_diag_name(uint8_t diag);
/* NULL if usable, else a static sentence about what is wrong. */
const char *bfd_params_check(const struct bfd_key *key, const struct bfd_params *p);
