/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing to the kernel at its own speed: many rtnetlink messages in one
 * send(), built in place (libnl allocates and copies each message: half the
 * kernel's speed was lost to it).
 *
 * Accounting: the kernel works a datagram off inside send(), in order, and goes
 * on after a message that failed. Only the last message asks for an ACK; of the
 * others we hear only if they fail, by sequence number. When the last one's
 * answer has been read, every message is accounted for.
 *
 * The kernel has one lock for all that is written to its tables, taken for each
 * message. Who can wait gives way: nothing is sent while somebody has something urgent. And
 * no send of his takes long: where the kernel is not preemptible, who has been
 * waiting for the lock, and sits on the same core, gets it when the send is over, not
 * between two messages. 128 insertions are 0.6 ms, 128 removals from a large table 5 ms.
 *
 * A batch belongs to one thread.
 */
#pragma once
#include "shared/addr.h"
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_TEXT 128
#define BATCH_GIVE_WAY_MAX_NS UINT64_C(100000000)

struct batch {
	int fd;
	uint32_t port; /* ours: notifications of what we did carry it */
	uint32_t first_seq;
	unsigned n; /* messages */
	size_t len, cap;
	char *buf;
	struct nlmsghdr *last;
	char *reply; /* for answers */
	uint64_t sends, messages, errors;
	/* Set by the owner, NULL: never. While this is not 0, another thread has something urgent to write:
	 * we send when it has done so, or after BATCH_GIVE_WAY_MAX_NS. */
	const _Atomic uint32_t *urgent;
	_Atomic uint64_t gave_way; /* how often; any thread may read it */
	/* With urgent: so many messages are one send of BATCH_STRETCH_NS, by what the last ones took. */
	unsigned at_once;
	uint64_t message_ns;
};
#define BATCH_AT_ONCE_MAX 128
#define BATCH_AT_ONCE_MIN 8
#define BATCH_STRETCH_NS 300000

/* The owner has enough for a send. */
static inline bool batch_due(const struct batch *b)
{
	return b->n >= b->at_once;
}
/* Takes note that n messages took the kernel so long. */
void batch_pace(struct batch *b, unsigned n, uint64_t ns);

/* 0 or -errno. */
int batch_open(struct batch *b, size_t capacity);
void batch_close(struct batch *b);
/* All memory that it will ever need is there and stays, if that is allowed: the first use must not be the
 * slow one. */
void batch_touch(struct batch *b);

/* Message number b->n (before the call) of the batch: header and the family's fixed part, zeroed. There must
 * be room: see batch_room(). */
struct nlmsghdr *batch_add(struct batch *b, uint16_t type, uint16_t flags, size_t fixed);
#define BATCH_MESSAGE_MAX 1024 /* no message of ours is longer; multipath ones check with batch_room() */
static inline bool batch_room(const struct batch *b, size_t bytes)
{
	return b->cap - b->len >= bytes;
}

/* Attributes of the message added last. */
static inline void *batch_put(struct batch *b, uint16_t type, const void *data, size_t size)
{
	struct nlmsghdr *h = b->last;
	struct nlattr *a = (struct nlattr *)(b->buf + b->len);
	size_t total = NLA_ALIGN(NLA_HDRLEN + size);

	a->nla_type = type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + size);
	if (data)
		memcpy((char *)a + NLA_HDRLEN, data, size);
	memset((char *)a + NLA_HDRLEN + size, 0, total - NLA_HDRLEN - size);
	b->len += total;
	h->nlmsg_len += (uint32_t)total;
	return (char *)a + NLA_HDRLEN;
}

static inline void batch_put_u32(struct batch *b, uint16_t type, uint32_t v)
{
	batch_put(b, type, &v, sizeof(v));
}

static inline void batch_put_addr(struct batch *b, uint16_t type, const struct ipaddr *a)
{
	if (ipaddr_is_v4(a))
		batch_put(b, type, &a->w[3], 4);
	else
		batch_put(b, type, a->b, 16);
}

/* A nested attribute: what is put between start and end is inside. */
static inline struct nlattr *batch_nest(struct batch *b, uint16_t type)
{
	struct nlattr *a = (struct nlattr *)(b->buf + b->len);

	batch_put(b, type, NULL, 0);
	return a;
}

static inline void batch_nest_end(struct batch *b, struct nlattr *a)
{
	a->nla_len = (uint16_t)(b->buf + b->len - (char *)a);
}

/* Sends what is there and reads all answers; the batch is empty afterwards. failed() is called for each
 * message that the kernel refused, in order: index in the batch, negative errno, the kernel's words or "". 0,
 * or -errno when the batch could not be sent, or -ENOBUFS when answers were lost: then the outcome of its
 * messages is not known. */
int batch_flush(
	struct batch *b, void (*failed)(void *ctx, unsigned index, int err, const char *text), void *ctx);
/* The same for a batch whose only interest is the first error. */
int batch_flush_simple(struct batch *b, char text[BATCH_TEXT]);
