/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of peregrine-bfdgen. Pure but for the strings it points into. */
#pragma once
#include "bfd/session.h"
#include "tools/bfdgen/flood.h"
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#define GEN_ERR 320
#define GEN_PIDS 16
#define GEN_WATCHES 8
#define GEN_FLOODS 4
#define GEN_SESSIONS_MAX (1u << 18)

struct gen_pid {
	int pid;
	char name[32];
};

struct gen_options {
	/* The way out: one of both. */
	const char *port; /* SPEC as peregrine-dp's */
	const char *sockets;
	bool has_peer_mac;
	uint8_t peer_mac[6];
	/* Sessions: number i speaks from local + i % locals to peer + i / locals. */
	struct ipaddr local, peer;
	uint32_t sessions, locals;
	struct bfd_params params;
	bool multihop;
	uint32_t ramp; /* sessions a second */
	uint64_t seed;
	/* The course of the run. */
	double wait_s, time_s;
	uint32_t cut, cut_rounds, cut_spread_ms, cut_hold_ms;
	struct flood_options flood[GEN_FLOODS];
	unsigned nfloods;
	uint32_t give_up; /* flaps that end the hold, and the run; 0: none do */
	bool vanish;
	/* Measuring. */
	int core; /* -1: wherever the kernel likes */
	bool nap;
	uint32_t stall_us, tolerance_us, probe_hz;
	struct gen_pid pid[GEN_PIDS];
	unsigned npids;
	unsigned watch[GEN_WATCHES];
	unsigned nwatches;
	/* Output. */
	const char *json, *csv, *label;
	bool quiet, strict;
	bool help, version;
	char **eal;
	int neal;
};

/* 0 or -EINVAL with a sentence in err. */
int gen_options_parse(struct gen_options *o, int argc, char **argv, char err[GEN_ERR]);
extern const char gen_options_usage[];

/* The addresses of a session. */
struct ipaddr gen_local(const struct gen_options *o, uint32_t session);
struct ipaddr gen_peer(const struct gen_options *o, uint32_t session);
uint32_t gen_peers(const struct gen_options *o); /* how many different ones */
/* The number of an address among n that follow first; n: it is none of them. */
uint32_t gen_number(const struct ipaddr *first, const struct ipaddr *a, uint32_t n);
/* a + n, carrying over all 32 or 128 bits. */
struct ipaddr gen_address(const struct ipaddr *a, uint64_t n);
