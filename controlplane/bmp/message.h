/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BMP messages (RFC 7854), appended to a buffer. Pure functions; the buffer belongs to one thread.
 */
#pragma once
#include "controlplane/bmp/hub.h"

struct bmp_buffer {
	uint8_t *data;
	size_t at, len, size; /* [at, len) is still to be sent */
};

void bmp_buffer_free(struct bmp_buffer *b);
size_t bmp_buffer_left(const struct bmp_buffer *b);
void bmp_buffer_sent(struct bmp_buffer *b, size_t n);

enum bmp_policy { BMP_PRE_POLICY, BMP_POST_POLICY };

void bmp_put_initiation(struct bmp_buffer *b, const char *sys_descr, const char *sys_name);
void bmp_put_termination(struct bmp_buffer *b, uint16_t reason); /* 0: administratively closed */
void bmp_put_peer_up(struct bmp_buffer *b, const struct bmp_peer *p);
void bmp_put_peer_down(
	struct bmp_buffer *b, const struct bmp_peer *p, const struct bmp_down *why, uint64_t wall_ns);
/* A route of p's channel: attrs NULL: withdrawn. */
void bmp_put_route(struct bmp_buffer *b, const struct bmp_peer *p, const struct bmp_peer_channel *ch,
	enum bmp_policy policy, const struct prefix *net, uint32_t path_id, const struct attrs *a,
	uint64_t wall_ns);
void bmp_put_end_of_rib(struct bmp_buffer *b, const struct bmp_peer *p, const struct bmp_peer_channel *ch,
	enum bmp_policy policy, uint64_t wall_ns);
/* RFC 7854 4.8: gauge of routes in the Adj-RIB-In, counter of prefixes that the import filter rejects now. */
void bmp_put_statistics(struct bmp_buffer *b, const struct bmp_peer *p, uint64_t received, uint32_t rejected,
	uint64_t wall_ns);
