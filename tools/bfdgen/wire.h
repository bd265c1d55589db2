/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way out: a DPDK port made by dataplane/port.c (wire_port.c) or kernel UDP
 * sockets (wire_socket.c). Opened and closed by the main thread, used by the
 * loop's thread alone in between.
 *
 * A packet is told to the wire by number of a path: what was given to set_path()
 * before. Packets of the sessions have numbers 0 to sessions - 1, packets of
 * floods those after.
 */
#pragma once
#include "bfd/engine.h"
#include "tools/bfdgen/options.h"

#define WIRE_BURST 32

struct wire_packet {
	struct bfd_rx rx;
	uint64_t at_ns;
};

struct wire_path {
	struct ipaddr src, dst;
	uint16_t sport, dport;
	uint8_t ttl;
};

struct wire {
	uint32_t ifindex; /* what packets that come in carry */
	uint64_t foreign; /* frames that were not BFD */
	uint64_t refused; /* packets that the way out did not take */
	/* Up to WIRE_BURST packets; their payloads are valid until the next call. more: there may be others.
	 */
	unsigned (*receive)(struct wire *w, struct wire_packet *out, bool *more);
	int (*set_path)(struct wire *w, uint32_t number, const struct wire_path *p);
	/* A packet with that number will be queued in a moment. May be NULL. */
	void (*prefetch)(struct wire *w, uint32_t number);
	/* One packet into the burst, which leaves when it is full and another one comes, and at flush().
	 * False: it is refused and not in the burst. */
	bool (*queue)(struct wire *w, uint32_t number, const uint8_t *payload, uint16_t len);
	/* Bit i: the i-th packet of the burst was not taken. */
	uint32_t (*flush)(struct wire *w);
	void (*close)(struct wire *w);
};

/* paths: how many numbers there will be. 0 or a negative errno with a sentence in err. */
int wire_port_open(const struct gen_options *o, uint32_t paths, struct wire **out, char err[GEN_ERR]);
int wire_socket_open(const struct gen_options *o, uint32_t paths, struct wire **out, char err[GEN_ERR]);
/* Runs the loop in a thread of its own; join waits for its end. 0 or -errno. */
int wire_port_launch(struct wire *w, int (*loop)(void *), void *arg);
void wire_port_join(struct wire *w);
