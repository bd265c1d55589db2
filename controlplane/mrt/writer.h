/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records of an MRT file (RFC 6396): a header of 12 bytes and what follows it, put together in a buffer that
 * grows. Numbers go out in network order. Belongs to one thread.
 */
#pragma once
#include "shared/addr.h"
#include <stddef.h>
#include <stdint.h>

enum mrt_type { MRT_TABLE_DUMP_V2 = 13, MRT_BGP4MP = 16 };
enum mrt_table_dump_subtype { /* RFC 6396 4.3, RFC 8050 4 */
	MRT_PEER_INDEX_TABLE = 1,
	MRT_RIB_IPV4_UNICAST = 2,
	MRT_RIB_IPV6_UNICAST = 4,
	MRT_RIB_IPV4_UNICAST_ADDPATH = 8,
	MRT_RIB_IPV6_UNICAST_ADDPATH = 10,
};
enum mrt_bgp4mp_subtype { /* RFC 6396 4.4, RFC 8050 3 */
	MRT_MESSAGE = 1,
	MRT_MESSAGE_AS4 = 4,
	MRT_STATE_CHANGE_AS4 = 5,
	MRT_MESSAGE_ADDPATH = 8,
	MRT_MESSAGE_AS4_ADDPATH = 9,
};

struct mrt_writer {
	uint8_t *buf;
	size_t len, size;
	size_t record; /* where the record in hand begins */
};

void mrt_writer_init(struct mrt_writer *w);
void mrt_writer_free(struct mrt_writer *w);
/* Room for n bytes more at buf + len. */
void mrt_need(struct mrt_writer *w, size_t n);
/* Starts a record; what follows belongs to it until mrt_end(). */
void mrt_begin(struct mrt_writer *w, uint64_t wall_ns, enum mrt_type type, unsigned subtype);
void mrt_end(struct mrt_writer *w);
void mrt_drop(struct mrt_writer *w); /* the record in hand was none */
void mrt_put8(struct mrt_writer *w, uint8_t v);
void mrt_put16(struct mrt_writer *w, uint16_t v);
void mrt_put32(struct mrt_writer *w, uint32_t v);
void mrt_put_addr(struct mrt_writer *w, const struct ipaddr *a); /* 4 or 16 bytes */
void mrt_put_bytes(struct mrt_writer *w, const void *p, size_t n);
/* Writes all records to fd and empties the buffer. 0 or -errno. */
int mrt_flush(struct mrt_writer *w, int fd);
