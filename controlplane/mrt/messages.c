/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/mrt/messages.h"
#include "controlplane/bgp/wire.h"
#include "controlplane/mrt/writer.h"
#include "shared/clock.h"
#include "shared/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEAD 64u /* MRT header and BGP4MP's with IPv6 addresses: 12 + 8 + 4 + 32, and two states */

struct mrt_messages {
	_Atomic unsigned refs;
	_Atomic bool failed;
	int fd;
	char path[];
};

struct mrt_messages *mrt_messages_open(const char *path)
{
	size_t len = strlen(path) + 1;
	struct mrt_messages *m = malloc(sizeof(*m) + len);

	if (!m)
		return NULL;
	memcpy(m->path, path, len);
	atomic_init(&m->refs, 1);
	atomic_init(&m->failed, false);
	m->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (m->fd >= 0)
		return m;
	free(m);
	return NULL;
}

struct mrt_messages *mrt_messages_hold(struct mrt_messages *m)
{
	if (m)
		atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void mrt_messages_release(struct mrt_messages *m)
{
	if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
		return;
	close(m->fd);
	free(m);
}

const char *mrt_messages_path(const struct mrt_messages *m)
{
	return m->path;
}

static uint8_t *put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	return put16(put16(p, v >> 16), v & 0xffff);
}

static uint8_t *put_as(uint8_t *p, uint32_t as, bool as4)
{
	return as4 ? put32(p, as) : put16(p, as > UINT16_MAX ? AS_TRANS : as);
}

static uint8_t *put_header(uint8_t *p, const struct mrt_session *s, unsigned subtype, bool as4, size_t more)
{
	bool v4 = ipaddr_is_v4(&s->peer);
	size_t addr = v4 ? 4 : 16, start = v4 ? 3 : 0;

	p = put32(p, (uint32_t)(clock_wall_ns() / 1000000000));
	p = put16(p, MRT_BGP4MP);
	p = put16(p, subtype);
	p = put32(p, (uint32_t)((as4 ? 8 : 4) + 4 + 2 * addr + more));
	p = put_as(p, s->peer_as, as4);
	p = put_as(p, s->local_as, as4);
	p = put16(p, s->ifindex > UINT16_MAX ? 0 : s->ifindex);
	p = put16(p, v4 ? BGP_AFI_IPV4 : BGP_AFI_IPV6);
	memcpy(p, &s->peer.w[start], addr);
	memcpy(p + addr, &s->local.w[start], addr);
	return p + 2 * addr;
}

static void append(struct mrt_messages *m, const struct iovec *iov, int n)
{
	size_t len = iov[0].iov_len + (n > 1 ? iov[1].iov_len : 0);
	ssize_t done = writev(m->fd, iov, n);

	if (done == (ssize_t)len || atomic_exchange(&m->failed, true))
		return;
	log_msg(LOG_CLASS_ERROR, "Write to MRT file '%s' failed: %s", m->path,
		done < 0 ? strerror(errno) : "cut short");
}

void mrt_messages_received(
	struct mrt_messages *m, const struct mrt_session *s, const uint8_t *msg, size_t len)
{
	unsigned subtype = s->add_path ? (s->as4 ? MRT_MESSAGE_AS4_ADDPATH : MRT_MESSAGE_ADDPATH)
				       : (s->as4 ? MRT_MESSAGE_AS4 : MRT_MESSAGE);
	uint8_t head[HEAD], *end = put_header(head, s, subtype, s->as4, len);

	append(m, (const struct iovec[]){{head, (size_t)(end - head)}, {(void *)(uintptr_t)msg, len}}, 2);
}

void mrt_messages_state(struct mrt_messages *m, const struct mrt_session *s, unsigned from, unsigned to)
{
	uint8_t head[HEAD], *end = put_header(head, s, MRT_STATE_CHANGE_AS4, true, 4);

	end = put16(put16(end, from), to);
	append(m, (const struct iovec[]){{head, (size_t)(end - head)}}, 1);
}
