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

/* Of what a route monitoring message speaks. */
enum bmp_rib { BMP_IN_PRE, BMP_IN_POST, BMP_OUT_PRE, BMP_OUT_POST, BMP_LOCAL };
#define BMP_RIB_BIT(rib) (1u << (rib))

void bmp_put_initiation(struct bmp_buffer *b, const char *sys_descr, const char *sys_name);
void bmp_put_termination(struct bmp_buffer *b, uint16_t reason); /* 0: administratively closed */
void bmp_put_peer_up(struct bmp_buffer *b, const struct bmp_peer *p);
void bmp_put_peer_down(
	struct bmp_buffer *b, const struct bmp_peer *p, const struct bmp_down *why, uint64_t wall_ns);
/* A route of p's channel: attrs NULL: withdrawn. */
void bmp_put_route(struct bmp_buffer *b, const struct bmp_peer *p, const struct bmp_peer_channel *ch,
	enum bmp_rib rib, const struct prefix *net, uint32_t path_id, const struct attrs *a,
	uint64_t wall_ns);
/* An UPDATE as it is sent to p; as4: with 4-octet AS numbers. */
void bmp_put_message(struct bmp_buffer *b, const struct bmp_peer *p, enum bmp_rib rib, bool as4,
	const uint8_t *message, size_t len, uint64_t wall_ns);
/* RFC 7854 4.7: a message that p has sent, as it came; message NULL: only that some were lost. */
void bmp_put_mirror(struct bmp_buffer *b, const struct bmp_peer *p, const uint8_t *message, size_t len,
	bool errored, bool lost, uint64_t wall_ns);
void bmp_put_end_of_rib(struct bmp_buffer *b, const struct bmp_peer *p, const struct bmp_peer_channel *ch,
	enum bmp_rib rib, uint64_t wall_ns);
struct bmp_statistics {    /* RFC 7854 4.8, RFC 8671 6.2 */
	uint64_t received; /* routes in the Adj-RIB-In */
	uint32_t rejected; /* of which the import filter rejects now */
	uint64_t sent;     /* routes in the Adj-RIB-Out */
};
void bmp_put_statistics(
	struct bmp_buffer *b, const struct bmp_peer *p, const struct bmp_statistics *count, uint64_t wall_ns);
