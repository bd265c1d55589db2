/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Route mirroring (RFC 7854 4.7): messages as they were received.
 *
 * A session's thread copies one and posts it. Two bounds hold what waits: bytes
 * that are posted and not yet looked at, and bytes in the station's buffer, where mirrored messages may fill
 * half of what the station is allowed. What does not fit is left out, and the neighbour's next message is
 * told with "messages lost".
 */
#include "controlplane/bmp/station_priv.h"
#include "shared/clock.h"
#include <stdlib.h>
#include <string.h>

#define POSTED_BYTES (16u << 20)

struct mirrored {
	struct bmp_station *s;
	struct bmp_peer *p; /* held */
	bool errored;
	uint64_t wall_ns;
	size_t len; /* 0: it was left out */
	uint8_t message[];
};

static void say(struct mirrored *m)
{
	struct bmp_station *s = m->s;
	struct peer *peer = s->up ? station_find_peer(s, m->p) : NULL;

	if (!peer)
		return;
	if (!m->len || bmp_buffer_left(&s->tx) > atomic_load_explicit(&s->limit, memory_order_relaxed) / 2) {
		peer->lost = true;
		return;
	}
	bmp_put_mirror(&s->tx, m->p, m->message, m->len, m->errored, peer->lost, m->wall_ns);
	peer->lost = false;
	station_flush(s);
}

static void run(void *arg)
{
	struct mirrored *m = arg;

	atomic_fetch_sub(&m->s->mirrored, m->len + sizeof(*m));
	say(m);
	bmp_peer_release(m->p);
	free(m);
}

void station_mirror(
	struct bmp_subscriber *sub, struct bmp_peer *p, const uint8_t *message, size_t len, bool errored)
{
	struct bmp_station *s = caa_container_of(sub, struct bmp_station, subscriber);
	size_t waiting = atomic_load(&s->mirrored);
	struct mirrored *m;

	/* Left out: a note takes its place, and when there are too many notes, one of them has said it. */
	if (waiting > POSTED_BYTES) {
		if (waiting > 2 * POSTED_BYTES)
			return;
		len = 0;
	}
	m = malloc(sizeof(*m) + len);
	if (!m)
		abort();
	*m = (struct mirrored){s, bmp_peer_hold(p), errored, clock_wall_ns(), len};
	memcpy(m->message, message, len);
	atomic_fetch_add(&s->mirrored, len + sizeof(*m));
	loop_call(s->loop, run, m);
}
