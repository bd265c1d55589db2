/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/mrt/writer.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER 12u

void mrt_writer_init(struct mrt_writer *w)
{
	*w = (struct mrt_writer){.size = 65536};
	w->buf = malloc(w->size);
	if (!w->buf)
		abort();
}

void mrt_writer_free(struct mrt_writer *w)
{
	free(w->buf);
	w->buf = NULL;
}

void mrt_need(struct mrt_writer *w, size_t n)
{
	if (w->len + n <= w->size)
		return;
	while (w->len + n > w->size)
		w->size *= 2;
	w->buf = realloc(w->buf, w->size);
	if (!w->buf)
		abort();
}

void mrt_put_bytes(struct mrt_writer *w, const void *p, size_t n)
{
	mrt_need(w, n);
	if (n)
		memcpy(w->buf + w->len, p, n);
	w->len += n;
}

void mrt_put8(struct mrt_writer *w, uint8_t v)
{
	mrt_put_bytes(w, &v, 1);
}

void mrt_put16(struct mrt_writer *w, uint16_t v)
{
	v = htons(v);
	mrt_put_bytes(w, &v, 2);
}

void mrt_put32(struct mrt_writer *w, uint32_t v)
{
	v = htonl(v);
	mrt_put_bytes(w, &v, 4);
}

void mrt_put_addr(struct mrt_writer *w, const struct ipaddr *a)
{
	if (ipaddr_is_v4(a))
		mrt_put_bytes(w, &a->w[3], 4);
	else
		mrt_put_bytes(w, a->w, 16);
}

void mrt_begin(struct mrt_writer *w, uint64_t wall_ns, enum mrt_type type, unsigned subtype)
{
	w->record = w->len;
	mrt_put32(w, (uint32_t)(wall_ns / 1000000000));
	mrt_put16(w, (uint16_t)type);
	mrt_put16(w, (uint16_t)subtype);
	mrt_put32(w, 0);
}

void mrt_end(struct mrt_writer *w)
{
	uint32_t len = htonl((uint32_t)(w->len - w->record - HEADER));

	memcpy(w->buf + w->record + 8, &len, 4);
}

void mrt_drop(struct mrt_writer *w)
{
	w->len = w->record;
}

int mrt_flush(struct mrt_writer *w, int fd)
{
	size_t done = 0;

	while (done < w->len) {
		ssize_t n = write(fd, w->buf + done, w->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			w->len = 0;
			return -errno;
		}
		done += (size_t)n;
	}
	w->len = 0;
	return 0;
}
